"""Slices → abstraction: off-patch and not-visible time, itemised by where and by which state (rule 16).

Columns in, values out; no Kafka, no database, no clock. The items of a figure sum to its ``off_patch`` and
``not_visible`` exactly, in whole microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stream.core.shares import FORCE, NEIGHBOURHOOD, SCOPES, clip
from stream.core.slices import ACTIVITIES, HIDDEN, NO_STATE, OFF_PATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.core.slices import Slices

OUTSIDE = "outside"
"""Stands for a known position in no neighbourhood."""


class Where(NamedTuple):
    """Where time was spent: in which neighbourhood, at which premises.

    Attributes:
        neighbourhood: its id, ``outside`` where none has the position, empty where the position is unknown.
        premises: their id, else empty.
    """

    neighbourhood: str = ""
    premises: str = ""


class Meaning(NamedTuple):
    """A radio status and what the policy calls it."""

    state: int
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """Time of one figure off patch or not visible, in one place and one state.

    Attributes:
        scope, id, start, end: the figure's own.
        activity: ``off_patch`` or ``not_visible``.
        where: the neighbourhood and the premises.
        meaning: the radio status in force, and its name under the policy at the duty's start.
        time: microseconds.
    """

    scope: str
    id: str
    start: int
    end: int
    activity: str
    where: Where
    meaning: Meaning
    time: int


def wheres(places: Sequence[Place]) -> tuple[list[Where], NDArray[np.int32]]:
    """What each place number means for abstraction.

    Returns:
        ``(wheres, number)``: the different ones, and for each place which of them; its last element stands
            for ``UNKNOWN``, so that place numbers index it.
    """
    known: dict[Where, int] = {}
    number = [
        known.setdefault(Where(place.neighbourhood or OUTSIDE, place.premises or ""), len(known))
        for place in places
    ]
    number.append(known.setdefault(Where(), len(known)))
    return list(known), np.array(number, np.int32)


def meanings(
    slices: Slices, duties: Sequence[Duty], policies: Policies
) -> tuple[list[Meaning], NDArray[np.int32]]:
    """What states mean under the policy at each duty's start.

    Returns:
        ``(meanings, number)``: the different ones, and ``int32[slices]`` which of them each slice has.
    """
    began = np.array([duty.start for duty in duties] or [0], np.int64)
    policy = policies.number_at(began)[slices.duty]
    pair, back = np.unique(policy * 1000 + slices.state, return_inverse=True)
    known: dict[Meaning, int] = {}
    number = [
        known.setdefault(
            Meaning(code, "" if code == NO_STATE else policies.policies[at].state(code).name), len(known)
        )
        for at, code in ((int(value + 1) // 1000, int(value + 1) % 1000 - 1) for value in pair)
    ]
    return list(known), np.array(number, np.int32)[back]


def abstraction(
    slices: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    policies: Policies,
    figures: Iterable[Figures],
) -> list[Item]:
    """Rule 16 for any figures: force, neighbourhoods or officers, of one period or several.

    Args:
        slices: the slices that the figures were counted from.
        duties: the duties behind ``slices.duty``.
        places: the places behind ``slices.place``.
        policies: they name the states.
        figures: what ``stream.core.shares`` gave.

    Returns:
        items by figure (in the order of period, scope and id), the longest first.
    """
    periods: dict[tuple[int, int], list[Figures]] = {}
    for figure in figures:
        periods.setdefault((figure.start, figure.end), []).append(figure)
    found_where, where = wheres(places)
    found_meaning, meaning = meanings(slices, duties, policies)
    away = np.flatnonzero((slices.activity == HIDDEN) | (slices.activity == OFF_PATCH))
    found: list[Item] = []
    for (start, end), wanted in sorted(periods.items()):
        low, high = clip(slices, start, end)
        rows = away[low[away] < high[away]]
        by_duty = _sums(
            slices.duty[rows],
            (slices.activity[rows], where[slices.place[rows]], meaning[rows]),
            (high - low)[rows],
        )
        for figure, numbers in members(wanted, duties, by_duty):
            total: dict[tuple[int, int, int], int] = {}
            for number in numbers:
                for key, time in by_duty[number]:
                    total[key] = total.get(key, 0) + time
            found += sorted(
                (
                    Item(
                        figure.scope,
                        figure.id,
                        start,
                        end,
                        ACTIVITIES[activity],
                        found_where[place],
                        found_meaning[state],
                        time,
                    )
                    for (activity, place, state), time in total.items()
                ),
                key=lambda item: (-item.time, item.activity, item.where, item.meaning),
            )
    return found


Key = tuple[int, int, int]


def _sums(
    duty: NDArray[np.int32], keys: tuple[NDArray[np.integer], ...], length: NDArray[np.int64]
) -> dict[int, list[tuple[Key, int]]]:
    """Whole microseconds by duty and by what they are itemised by."""
    columns = [duty, *keys]
    order = np.lexsort(columns)
    first = np.ones(len(order), np.bool_)
    first[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    at = np.flatnonzero(first)
    total = np.add.reduceat(length[order], at) if len(at) else np.empty(0, np.int64)
    found: dict[int, list[tuple[Key, int]]] = {}
    for owner, activity, place, state, time in zip(
        *(column[order][at].tolist() for column in columns), total.tolist(), strict=True
    ):
        found.setdefault(owner, []).append(((activity, place, state), time))
    return found


def members(
    figures: Sequence[Figures], duties: Sequence[Duty], present: Iterable[int]
) -> Iterator[tuple[Figures, list[int]]]:
    """Each figure, in order, with those of the present duties that it is the sum of (rule 15).

    Args:
        figures: what ``stream.core.shares`` gave for one period.
        duties: all duties.
        present: numbers of those that have slices in the period.
    """
    by_officer: dict[str, list[int]] = {}
    by_area: dict[str, list[int]] = {}
    patched: list[int] = []
    for number in present:
        duty = duties[number]
        by_officer.setdefault(duty.officer_id, []).append(number)
        for area in duty.patch:
            by_area.setdefault(area, []).append(number)
        patched += [number] if duty.patch else []
    for figure in sorted(figures, key=lambda item: (SCOPES.index(item.scope), item.id)):
        if figure.scope == FORCE:
            yield figure, patched
        elif figure.scope == NEIGHBOURHOOD:
            yield figure, by_area.get(figure.id, [])
        else:
            mine = by_officer.get(figure.id, [])
            yield figure, [number for number in mine if bool(duties[number].patch) == figure.has_share]
