"""Slices → figures: seconds by activity, the share of duty time on patch, its bounds (rules 13–15, 19, 21).

Columns in, values out; no Kafka, no database, no clock. Sums are whole microseconds, so a sum does not
depend on the order of its parts; a share divides once, at the very end. Where there is none, the figure says
why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import UNKNOWN
from stream.core.facts import SECOND
from stream.core.quality.doubts import doubtful
from stream.core.slices import HIDDEN, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN, ambiguous

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.quality.doubts import Doubts
    from stream.core.slices import Slices

OFFICER, NEIGHBOURHOOD, FORCE = "officer", "neighbourhood", "force"
SCOPES = (FORCE, NEIGHBOURHOOD, OFFICER)

NO_DUTY_TIME, NO_HOME_PATCH, NO_POSITION, FAR = "no_duty_time", "no_home_patch", "no_position", "far"
REASONS = (NO_DUTY_TIME, NO_HOME_PATCH, NO_POSITION, FAR)
"""Why a figure has no share, the first that applies."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one scope and period, in microseconds.

    Attributes:
        scope: ``officer``, ``neighbourhood`` or ``force``.
        id: the officer's or the area's id; for the force ``force``.
        start: the period's start, microseconds since 1970 UTC.
        end: its end, exclusive.
        on_patch, off_patch, not_visible, unknown, on_break: time by activity (rule 11).
        priority: the part of ``on_patch`` spent inside at least one priority area.
        has_share: whether any of the duties counted has a home patch (rule 8).
        ambiguous_on: the part of ``on_patch`` that the error of the positions leaves open (rule 14).
        ambiguous_off: the part of ``off_patch``, and of ``not_visible`` inside premises, that it leaves open.
        doubtful: all duty time whose facts contradict each other (rule 21), ambiguous or not.
        only_doubtful_on: the part of ``on_patch`` that is doubtful and not ambiguous.
        only_doubtful_off: the part of ``off_patch`` and ``not_visible`` that is doubtful and not ambiguous.
        far: whether no position of the whole force lies near any area, so that nobody can be on patch.
    """

    scope: str
    id: str
    start: int
    end: int
    on_patch: int = 0
    off_patch: int = 0
    not_visible: int = 0
    unknown: int = 0
    on_break: int = 0
    priority: int = 0
    has_share: bool = True
    ambiguous_on: int = 0
    ambiguous_off: int = 0
    doubtful: int = 0
    only_doubtful_on: int = 0
    only_doubtful_off: int = 0
    far: bool = False

    @property
    def duty(self) -> int:
        """Time in duty less breaks (rule 13), microseconds."""
        return self.on_patch + self.off_patch + self.not_visible + self.unknown

    @property
    def proven(self) -> int:
        """On-patch time that is neither ambiguous nor doubtful (rules 14 and 21), microseconds."""
        return self.on_patch - self.ambiguous_on - self.only_doubtful_on

    @property
    def possible(self) -> int:
        """Time that may have been on patch: on patch, unknown, ambiguous or doubtful, microseconds."""
        return self.on_patch + self.unknown + self.ambiguous_off + self.only_doubtful_off

    @property
    def without_share(self) -> str | None:
        """Why there is no share, one of ``REASONS``; None where there is one.

        Where all duty time is unknown no position and no state says anything about it: 0% would be said of
        the radio, not of the officer (rule 15 and the reading of it in ``stream/README.md``).
        """
        if not self.duty:
            return NO_DUTY_TIME
        if not self.has_share:
            return NO_HOME_PATCH
        if self.unknown == self.duty:
            return NO_POSITION
        return FAR if self.far else None

    @property
    def share(self) -> float | None:
        """``on_patch / duty`` (rule 13); None where there is a reason to give none, never 0 or 1."""
        return self.on_patch / self.duty if self.without_share is None else None

    @property
    def share_low(self) -> float | None:
        """``proven / duty`` (rules 14 and 21); None where there is no share."""
        return self.proven / self.duty if self.without_share is None else None

    @property
    def share_high(self) -> float | None:
        """``possible / duty`` (rules 14 and 21); None where there is no share."""
        return self.possible / self.duty if self.without_share is None else None

    def verdict(self, target: float) -> str | None:
        """``met``, ``missed`` or ``not proven`` (rule 14); None where there is no share.

        Args:
            target: the share promised, 0 to 1.
        """
        if self.share_low is None or self.share_high is None:
            return None
        # Quotients of whole numbers are rounded correctly, and so is the target when it is read: a share that
        # is exactly the target compares as equal.
        return MET if self.share_low >= target else MISSED if self.share_high < target else NOT_PROVEN


MET, MISSED, NOT_PROVEN = "met", "missed", "not proven"
VERDICTS = (MET, MISSED, NOT_PROVEN)

PRIORITY, AMBIGUOUS_ON, AMBIGUOUS_OFF = 5, 6, 7
"""The columns of ``totals`` behind the activities' own."""
TOTALS = 8
"""How many columns there are."""
DOUBTFUL, ONLY_DOUBTFUL_ON, ONLY_DOUBTFUL_OFF = 8, 9, 10
"""The columns of ``doubt_totals``, where they stand behind those of ``totals``."""
DOUBT_TOTALS = 3
"""How many there are."""


def clip(slices: Slices, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of the slices cut to a period; those outside it have length zero or less."""
    return np.maximum(slices.start, start), np.minimum(slices.end, end)


def totals(
    slices: Slices, duties: Sequence[Duty], places: Sequence[Place], start: int, end: int
) -> NDArray[np.int64]:
    """Time of each duty by activity within a period: ``int64[duties, TOTALS]`` microseconds.

    The columns are those of ``ACTIVITIES``; then the part of on-patch time within priority areas, the part of
    it that is ambiguous, and ambiguous time off patch or in premises (rule 14).

    Args:
        slices: any slices; an open end needs a period that ends.
        duties: the duties behind ``slices.duty``.
        places: the places behind ``slices.place``.
        start: the period's start, microseconds.
        end: its end, exclusive.
    """
    low, high = clip(slices, start, end)
    length = np.maximum(high - low, 0)
    table = np.zeros((len(duties), TOTALS), np.int64)
    np.add.at(table, (slices.duty, slices.activity), length)
    prioritised = np.array([bool(place.priorities) for place in places] + [False], np.bool_)
    inside = (slices.activity == ON_PATCH) & prioritised[np.where(slices.place == UNKNOWN, -1, slices.place)]
    np.add.at(table[:, PRIORITY], slices.duty[inside], length[inside])
    open_ = np.flatnonzero(ambiguous(duties, slices.duty, slices.place, places))
    on_patch = slices.activity[open_] == ON_PATCH
    for column, rows in ((AMBIGUOUS_ON, open_[on_patch]), (AMBIGUOUS_OFF, open_[~on_patch])):
        np.add.at(table[:, column], slices.duty[rows], length[rows])
    return table


def doubt_totals(
    slices: Slices,
    doubts: Doubts,
    duties: Sequence[Duty],
    places: Sequence[Place],
    start: int,
    end: int,
) -> NDArray[np.int64]:
    """Doubtful time of each duty within a period (rule 21): ``int64[duties, DOUBT_TOTALS]`` microseconds.

    All of it, then the parts on patch and not on patch that are not ambiguous (rule 14). Put behind the
    columns of ``totals``, a row gives figures whose bounds take the doubt in (``figures_of``).

    Args:
        slices: as for ``totals``.
        doubts: the duties' doubtful time.
        duties: the duties behind ``slices.duty`` and ``doubts.duty``.
        places: the places behind ``slices.place``.
        start: the period's start, microseconds.
        end: its end, exclusive.
    """
    table = np.zeros((len(duties), DOUBT_TOTALS), np.int64)
    low, high = clip(slices, start, end)
    time = doubtful(replace(slices, start=low, end=high), doubts)
    rows = np.flatnonzero(time)
    duty, time, on_patch = slices.duty[rows], time[rows], slices.activity[rows] == ON_PATCH
    sure = ~ambiguous(duties, duty, slices.place[rows], places)
    for column, part in enumerate((np.ones(len(rows), np.bool_), sure & on_patch, sure & ~on_patch)):
        np.add.at(table[:, column], duty[part], time[part])
    return table


def shares(
    slices: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    start: int,
    end: int,
    *,
    neighbourhoods: Iterable[str] = (),
    doubts: Doubts | None = None,
) -> list[Figures]:
    """The figures of the force, of neighbourhoods and of officers for a period (rule 15).

    A neighbourhood's figure is the sum over the duties whose patch contains it; the force counts each duty
    that has a patch once. An officer's figure is the sum over the duties with a patch; an officer who has
    none in the period is listed with all duty time and no share.

    Args:
        slices: the slices of the duties; those that reach beyond the period are cut.
        duties: the duties behind ``slices.duty``.
        places: the places behind ``slices.place``.
        start: the period's start, microseconds.
        end: its end, exclusive.
        neighbourhoods: ids to list even where no duty has them in its patch.
        doubts: the duties' doubtful time (rule 21); None: there is none, or it is not known.

    Returns:
        figures sorted by scope (force, neighbourhood, officer) and id; only officers and neighbourhoods that
            have a duty in the period, and those asked for.
    """
    table = totals(slices, duties, places, start, end)
    if doubts is not None and len(doubts):
        table = np.hstack([table, doubt_totals(slices, doubts, duties, places, start, end)])
    present = {number for number, duty in enumerate(duties) if duty.is_in(start, end)}
    return gather(table, duties, sorted(present), start, end, neighbourhoods=neighbourhoods)


def gather(
    table: NDArray[np.int64],
    duties: Sequence[Duty],
    present: Sequence[int],
    start: int,
    end: int,
    *,
    neighbourhoods: Iterable[str] = (),
    far: bool = False,
) -> list[Figures]:
    """Sums the duties' totals into the figures of each scope (see ``shares``).

    Args:
        table: what ``totals`` gave, perhaps with what ``doubt_totals`` gave beside it (``np.hstack``).
        duties: the duties that its rows are of.
        present: numbers of those in the period.
        start: the period's start, microseconds.
        end: its end, exclusive.
        neighbourhoods: as in ``shares``.
        far: whether no position of all these duties lies near any area (``Figures.far``).
    """
    members: dict[tuple[str, str], list[int]] = {(FORCE, FORCE): []}
    members |= {(NEIGHBOURHOOD, area): [] for area in neighbourhoods}
    without: dict[str, list[int]] = {}
    for number in present:
        duty = duties[number]
        if not duty.patch:
            without.setdefault(duty.officer_id, []).append(number)
            continue
        for key in (
            (FORCE, FORCE),
            (OFFICER, duty.officer_id),
            *((NEIGHBOURHOOD, area) for area in duty.patch),
        ):
            members.setdefault(key, []).append(number)
    spent = np.asarray(table[:, :PRIORITY].any(axis=1))
    for name, numbers in without.items():
        # Booked with a patch, but off duty (state 11) all that time: what was worked had none.
        if spent[numbers].any() and not spent[members.get((OFFICER, name), [])].any():
            members.pop((OFFICER, name), None)
    found = [
        figures_of(scope, name, start, end, table[numbers].sum(axis=0), has_share=True)
        for (scope, name), numbers in members.items()
    ]
    found += [
        figures_of(OFFICER, name, start, end, table[numbers].sum(axis=0), has_share=False)
        for name, numbers in without.items()
        if (OFFICER, name) not in members
    ]
    if far:
        found = [replace(item, far=True) for item in found]
    return sorted(found, key=lambda item: (SCOPES.index(item.scope), item.id))


def figures_of(
    scope: str, name: str, start: int, end: int, row: NDArray[np.int64], *, has_share: bool = True
) -> Figures:
    """A row of ``totals``, perhaps with those of ``doubt_totals`` behind it, or a sum of rows, as figures."""
    values = row.tolist() + [0] * DOUBT_TOTALS  # where nothing is said of doubt there is none
    return Figures(
        scope,
        name,
        start,
        end,
        on_patch=values[ON_PATCH],
        off_patch=values[OFF_PATCH],
        not_visible=values[HIDDEN],
        unknown=values[UNSEEN],
        on_break=values[ON_BREAK],
        priority=values[PRIORITY],
        ambiguous_on=values[AMBIGUOUS_ON],
        ambiguous_off=values[AMBIGUOUS_OFF],
        doubtful=values[DOUBTFUL],
        only_doubtful_on=values[ONLY_DOUBTFUL_ON],
        only_doubtful_off=values[ONLY_DOUBTFUL_OFF],
        has_share=has_share,
    )


def seconds(microseconds: int) -> float:
    """Microseconds as seconds for people and JSON; exact for any figure below 285 years."""
    return microseconds / SECOND
