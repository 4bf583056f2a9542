"""Slices → explanation: the parts that a figure is the exact sum of (rules 11, 13, 14 and 16).

Columns in, values out; no Kafka, no database, no clock. Every microsecond of the duties behind a figure is
in exactly one part: on patch and off it, not visible, unknown, on a break. The words for people are made in
``stream.core.explaining.wording``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER, UNKNOWN
from stream.core import calendar
from stream.core.abstraction import Meaning, Where, meanings, members, wheres
from stream.core.columns import Columns, changes, coalesce, offsets, ranges, search
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING
from stream.core.shares import FORCE, OFFICER, clip
from stream.core.slices import (
    HIDDEN,
    NO_DEVICE,
    OFF_PATCH,
    ON_BREAK,
    ON_PATCH,
    UNSEEN,
    Slices,
    allocations,
    ambiguous,
    decisive,
    last_open,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.doubts import NamedDoubt
    from stream.core.shares import Figures

CAUSES = ("", "no_boundaries", "no_device", "not_heard", "before_first", "after_last", "gap", "impossible")
"""Why a position is unknown; empty for time that is not counted as unknown.

``no_boundaries``: no version of the boundaries was in force yet. ``no_device``: no device was allocated.
Else a device was allocated and silent: ``not_heard`` during the whole duty, ``before_first`` or
``after_last`` position of the duty, or in a ``gap`` between two of them that is too long (rule 4). Where it
the same device tells the place before and after, and it is unknown for at most ``max_gap_s``, or the device's
own positions in between are known and no further apart, it was not silent: the positions are ``impossible``,
too far apart for anybody to have driven (rule 4a). Where these positions are not at hand, as in summaries,
what is longer is called a gap, since slices do not tell the two apart.
"""
NO_CAUSE, NO_BOUNDARIES, NO_ALLOCATION, NOT_HEARD, BEFORE_FIRST, AFTER_LAST, GAP, IMPOSSIBLE = range(8)

LEVELS = ("activity", "where", "state", "officer", "day", "stretch")
"""How parts are divided, the coarsest first. Unknown time is divided by cause in place of where."""

ORDER = (ON_PATCH, OFF_PATCH, HIDDEN, UNSEEN, ON_BREAK)
"""The order in which activities are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretches(Columns):
    """The finest parts: stretches of duties that are alike in every detail shown, within one local day.

    Sorted by duty and time.

    Attributes:
        duty: ``int32[m]``, index into the duties.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive.
        activity: ``int8[m]``, index into ``ACTIVITIES``.
        where: ``int32[m]``, index into ``Explanation.wheres``.
        state: ``int32[m]``, index into ``Explanation.meanings``.
        cause: ``int8[m]``, index into ``CAUSES``.
        device: ``int32[m]``, the device that said where; of unknown time the one that should have (the first
            that rule 9 asks); index into the device ids, or ``NO_DEVICE``.
        day: ``int32[m]``, proleptic Gregorian ordinal of the local day (rule 19).
        ambiguous: ``int64[m]``, microseconds of it that the error of the positions leaves open (rule 14).
        priority: ``int64[m]``, microseconds of it on patch and in a priority area.
        by_state: ``bool[m]``, not visible because of the state (else because of the premises).
    """

    duty: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    activity: NDArray[np.int8]
    where: NDArray[np.int32]
    state: NDArray[np.int32]
    cause: NDArray[np.int8]
    device: NDArray[np.int32]
    day: NDArray[np.int32]
    ambiguous: NDArray[np.int64]
    priority: NDArray[np.int64]
    by_state: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A part of a figure and its own parts, which sum to it exactly.

    Attributes:
        level: one of ``LEVELS``: what tells it from its neighbours.
        row: one of its stretches, of which all that is said at its level and above is true.
        time, ambiguous, priority: microseconds.
        parts: by day and stretch in time order, else the longest first; empty at the depth asked for.
    """

    level: str
    row: int
    time: int
    ambiguous: int
    priority: int
    parts: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A figure, all its parts, and the settings under which it was counted.

    Attributes:
        figures: the figure.
        target: rule 13's, as the policy in force at the period's start has it.
        policy_from: since when that policy is in force, microseconds; ``BEGINNING`` for a first one.
        until: up to when duties without an end were counted, microseconds.
        stretches: the finest parts.
        wheres, meanings, device_ids: what the stretches' numbers point at.
        duties: the duties behind ``stretches.duty``.
        left_out: the officer's duties in the period that are not in the figure: they have no home patch.
        doubts: the doubts of its duties, cut to its period (rule 21).
        uncounted: duties that would be in it, but are booked for too long to count (rule 8a).
    """

    figures: Figures
    target: float
    policy_from: int
    until: int
    stretches: Stretches
    wheres: Sequence[Where]
    meanings: Sequence[Meaning]
    device_ids: Sequence[str]
    duties: Sequence[Duty]
    left_out: tuple[int, ...] = ()
    doubts: Sequence[NamedDoubt] = ()
    uncounted: tuple[int, ...] = ()

    @property
    def duty_numbers(self) -> list[int]:
        """The duties that the figure is made of, as indices into ``duties``."""
        found: list[int] = np.unique(self.stretches.duty).tolist()
        return found

    def parts(self, depth: str = LEVELS[-1]) -> tuple[Stretch, ...]:
        """The parts as a tree, divided down to a level.

        Args:
            depth: one of ``LEVELS``.
        """
        levels = LEVELS[: LEVELS.index(depth) + 1]
        if self.figures.scope == OFFICER:
            levels = tuple(level for level in levels if level != "officer")
        table = self.stretches
        return _divide(
            np.arange(len(table)),
            levels,
            {level: _key(self, level) for level in levels},
            (table.end - table.start, table.ambiguous, table.priority),
        )

    @property
    def missing(self) -> Fraction | None:
        """Microseconds on patch that are missing to the target, less than 0: to spare; None without share."""
        if self.figures.share is None:
            return None
        return exact(self.target) * self.figures.duty - self.figures.on_patch


def exact(value: float) -> Fraction:
    """A setting as written: 0.8 is four fifths, not the nearest double."""
    return Fraction(repr(float(value)))


def cut_open(slices: Slices, duties: Sequence[Duty], until: int) -> Slices:
    """The last slices of duties without an end cut at an instant (microseconds); the others as they are."""
    end = np.where(last_open(slices, duties), np.maximum(slices.start, until), FOREVER)
    return replace(slices, end=np.minimum(slices.end, end))


def explain(
    figures: Figures,
    slices: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    device_ids: Sequence[str],
    policies: Policies,
    *,
    until: int,
    boundaries_from: int = BEGINNING,
    doubts: Iterable[NamedDoubt] = (),
    reported: Mapping[str, NDArray[np.int64]] = MappingProxyType({}),
) -> Explanation:
    """All parts of a figure.

    Args:
        figures: what ``stream.core.shares`` gave for these slices.
        slices: with the whole duties behind the figure, also beyond its period: what comes before and after
            tells why a position is unknown. No open ends (``cut_open``).
        duties: the duties behind ``slices.duty``, all those of an officer asked about.
        places: the places behind ``slices.place``.
        device_ids: the names behind ``slices.device``.
        policies: they name the states, and set the target.
        until: up to when duties without an end were counted, microseconds.
        boundaries_from: since when there are boundaries, microseconds.
        doubts: doubtful time of these and perhaps other duties (rule 21).
        reported: by device the times of its positions in order, ``int64[k]`` microseconds, those within
            ``silences`` at least; by default none is at hand.
    """
    start, end = figures.start, figures.end
    low, high = clip(slices, start, end)
    running = np.unique(slices.duty[low < high]).tolist()
    [(_, own)] = members([figures], duties, running)
    mine = np.zeros(len(duties), np.bool_)
    mine[own] = True
    rows = np.flatnonzero((low < high) & mine[slices.duty]) if len(duties) else np.empty(0, np.int64)

    found_where, where = wheres(places)
    found_meaning, meaning = meanings(slices, duties, policies)
    names = {name: number for number, name in enumerate(device_ids)}
    for name in sorted({item.device_id for at in own for item in duties[at].devices}):
        names.setdefault(name, len(names))
    silent = _Silence.of(slices, duties, own, names, boundaries_from, policies, reported)

    # Midnights cut everything, and what may change a cause cuts unknown time.
    # Only of days on which there is anything to cut: a period may be of thousands of years.
    _, days = ranges(
        calendar.day_numbers(low[rows]).astype(np.int64), calendar.day_numbers(high[rows] - 1) + np.int64(1)
    )
    midnights = np.array(
        [calendar.day_start(calendar.day_of_number(day)) for day in np.unique(days).tolist()], np.int64
    )
    piece, begins, ends = _cut(
        low[rows], high[rows], midnights, np.zeros(len(rows), np.int64), np.full(len(rows), len(midnights))
    )
    rows = rows[piece]
    unseen = slices.activity[rows] == UNSEEN
    owner = slices.duty[rows]
    first, last = silent.bounds[owner], silent.bounds[owner + 1]
    piece, begins, ends = _cut(begins, ends, silent.time, np.where(unseen, first, last), last)
    rows, unseen, owner = rows[piece], unseen[piece], owner[piece]
    at = search(silent.time, silent.bounds[owner], silent.bounds[owner + 1], begins, right=True) - 1
    cause = np.where(unseen, silent.cause[at] if len(silent.cause) else 0, NO_CAUSE).astype(np.int8)
    device = slices.device[rows]
    device = np.where(unseen, silent.device[at] if len(silent.device) else NO_DEVICE, device).astype(np.int32)
    day_number = np.searchsorted(midnights, begins, side="right") - 1
    ordinals = np.array([calendar.local_day(int(time)).toordinal() for time in midnights] or [0], np.int32)

    prioritised = np.array([bool(place.priorities) for place in places] + [False], np.bool_)
    place = slices.place[rows]
    inside = (slices.activity[rows] == ON_PATCH) & prioritised[place]
    doubtful = ambiguous(duties, owner, place, places)
    by_state = decisive(slices, duties, policies)[rows] if len(duties) else np.zeros(0, np.bool_)
    same = (owner, slices.activity[rows], where[place], meaning[rows], cause, device, ordinals[day_number])
    row, joined, until_ = coalesce(begins, ends, same)
    of = np.zeros(len(rows), np.int64)
    of[row] = 1
    of = np.cumsum(of) - 1
    length = ends - begins

    def summed(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        total = np.zeros(len(row), np.int64)
        np.add.at(total, of[chosen], length[chosen])
        return total

    policy = int(policies.number_at(np.array([start], np.int64))[0])
    return Explanation(
        figures,
        policies.policies[policy].target,
        policies.starts[policy],
        until,
        Stretches(
            owner[row],
            joined,
            until_,
            slices.activity[rows][row],
            where[place][row],
            meaning[rows][row],
            cause[row],
            device[row],
            ordinals[day_number][row],
            summed(doubtful),
            summed(inside),
            by_state[row],
        ),
        found_where,
        found_meaning,
        tuple(names),
        duties,
        _left_out(figures, duties, start, end),
        _doubts_of(doubts, {duties[number].duty_id for number in own}, start, end),
        uncounted(figures.scope, figures.id, duties, start, end),
    )


def _doubts_of(found: Iterable[NamedDoubt], duty_ids: set[str], start: int, end: int) -> list[NamedDoubt]:
    """The doubts of some duties, cut to a period."""
    return [
        item._replace(start=max(item.start, start), end=min(item.end, end))
        for item in found
        if item.duty_id in duty_ids and max(item.start, start) < min(item.end, end)
    ]


def _left_out(figures: Figures, duties: Sequence[Duty], start: int, end: int) -> tuple[int, ...]:
    """Duties of an officer without a home patch, where the figure is over those with one."""
    return tuple(
        number
        for number, duty in enumerate(duties)
        if figures.scope == OFFICER
        and figures.has_share
        and duty.officer_id == figures.id
        and not duty.patch
        and duty.is_in(start, end)
    )


def is_of(duty: Duty, scope: str, wanted: str) -> bool:
    """Whether a duty is an officer's, a neighbourhood's or the force's."""
    if duty.cancelled:
        return False
    if scope == OFFICER:
        return duty.officer_id == wanted
    return bool(duty.patch) if scope == FORCE else wanted in duty.patch


def uncounted(scope: str, wanted: str, duties: Sequence[Duty], start: int, end: int) -> tuple[int, ...]:
    """Numbers of the duties that were booked in ``[start, end)`` and are too long to count (rule 8a).

    Args:
        scope: ``officer``, ``neighbourhood`` or ``force``.
        wanted: the id.
        duties: newest revisions.
        start: the period's start, microseconds.
        end: its end, exclusive.
    """
    return tuple(
        number
        for number, duty in enumerate(duties)
        if duty.too_long and duty.is_booked_in(start, end) and is_of(duty, scope, wanted)
    )


def _cut(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    cuts: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Intervals cut wherever one of their own cuts, ``cuts[first:last]``, lies within.

    Returns:
        ``(row, start, end)``: which interval each piece is of, and its bounds; in order.
    """
    low, high = search(cuts, first, last, start, right=True), search(cuts, first, last, end)
    _, cut = ranges(low, high)
    pieces = 1 + np.maximum(high - low, 0)
    final = np.cumsum(pieces) - 1
    whole = np.zeros(len(start) + len(cut), np.bool_)
    whole[final - pieces + 1] = True  # the piece that begins where its interval does
    begins = np.empty(len(whole), np.int64)
    begins[whole], begins[~whole] = start, cuts[cut]
    ends = np.append(begins[1:], 0)[: len(begins)]
    ends[final] = end
    return np.repeat(np.arange(len(start)), pieces), begins, ends


@dataclass(frozen=True, slots=True, eq=False)
class _Silence:
    """Why each duty's position would be unknown from each of these instants on.

    ``bounds[d]`` to ``bounds[d + 1]`` are the rows of duty d; a duty that is not asked about has none.
    """

    bounds: NDArray[np.int64]
    time: NDArray[np.int64]
    cause: NDArray[np.int8]
    device: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        slices: Slices,
        duties: Sequence[Duty],
        own: Sequence[int],
        names: dict[str, int],
        boundaries_from: int,
        policies: Policies,
        reported: Mapping[str, NDArray[np.int64]],
    ) -> _Silence:
        known = np.flatnonzero(slices.place != UNKNOWN)
        owner = slices.duty[known]
        first = np.full(len(duties), FOREVER, np.int64)
        last = np.full(len(duties), -FOREVER, np.int64)
        np.minimum.at(first, owner, slices.start[known])
        np.maximum.at(last, owner, slices.end[known])
        leaps = _leaps(
            slices, {names[name]: times for name, times in reported.items() if name in names}, policies
        )
        found: list[tuple[int, int, int, int]] = []
        for number in own:
            held = allocations(duties[number])
            heard = (int(first[number]), int(last[number]))
            times = {duties[number].start, boundaries_from, *heard}
            times |= {time for _, *span in held for time in span}
            leapt = leaps.get(number, [])
            times |= {time for _, *span in leapt for time in span}
            for time in sorted(max(time, duties[number].start) for time in times):
                device = next((name for name, low, high in held if low <= time < high), None)
                if time < boundaries_from:
                    cause = NO_BOUNDARIES
                elif device is None:
                    cause = NO_ALLOCATION
                elif heard[0] == FOREVER:
                    cause = NOT_HEARD
                elif any(at == names[device] and low <= time < high for at, low, high in leapt):
                    cause = IMPOSSIBLE
                else:
                    cause = BEFORE_FIRST if time < heard[0] else AFTER_LAST if time >= heard[1] else GAP
                found.append((number, time, cause, NO_DEVICE if device is None else names[device]))
        table = np.array(sorted(found), np.int64).reshape(-1, 4)
        table = table[changes(table[:, 0], table[:, 1])]
        return cls(
            offsets(np.ascontiguousarray(table[:, 0]), len(duties)),
            np.ascontiguousarray(table[:, 1]),
            table[:, 2].astype(np.int8),
            table[:, 3].astype(np.int32),
        )


def silences(slices: Slices) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where a duty's position is unknown between two slices in which one device tells the place.

    Returns:
        ``(row, start, end)``, ``int64[k]`` each: the slice before, and the time between, microseconds.
    """
    known = np.flatnonzero(slices.place != UNKNOWN)
    one, two = known[:-1], known[1:]
    alike = (slices.duty[one] == slices.duty[two]) & (slices.device[one] == slices.device[two])
    alike &= slices.end[one] < slices.start[two]
    return one[alike], slices.end[one[alike]], slices.start[two[alike]]


def _leaps(
    slices: Slices, reported: Mapping[int, NDArray[np.int64]], policies: Policies
) -> dict[int, list[tuple[int, int, int]]]:
    """By duty, ``(device, start, end)`` where a device that tells its place around was not silent."""
    row, start, end = silences(slices)
    most = np.broadcast_to(np.rint(policies.setting(lambda p: p.max_gap_s, start) * SECOND), len(row))
    found: dict[int, list[tuple[int, int, int]]] = {}
    for at, low, high, gap in zip(row.tolist(), start.tolist(), end.tolist(), most.tolist(), strict=True):
        device = int(slices.device[at])
        if high - low > gap:
            times = reported.get(device, start[:0])
            within = times[np.searchsorted(times, low) : np.searchsorted(times, high, side="right")]
            if not len(within) or int(np.diff(within, prepend=low, append=high).max()) > gap:
                continue
        found.setdefault(int(slices.duty[at]), []).append((device, low, high))
    return found


def _divide(
    rows: NDArray[np.intp],
    levels: Sequence[str],
    keys: Mapping[str, NDArray[np.int64]],
    columns: tuple[NDArray[np.int64], ...],
) -> tuple[Stretch, ...]:
    """The rows divided by the first level, and these parts by the next."""
    if not levels or not len(rows):
        return ()
    level, rest = levels[0], levels[1:]
    key = keys[level][rows]
    order = np.argsort(key, kind="stable")
    rows = rows[order]
    groups = np.split(rows, np.flatnonzero(changes(key[order]))[1:])
    parts = []
    for group in groups:
        time, doubt, priority = (int(column[group].sum()) for column in columns)
        parts.append(
            Stretch(level, int(group[0]), time, doubt, priority, _divide(group, rest, keys, columns))
        )
    if level in {"where", "state", "officer"}:
        parts.sort(key=lambda part: -part.time)
    return tuple(parts)


def _ranks(values: Sequence[Where] | Sequence[Meaning]) -> NDArray[np.int64]:
    """The rank of each value: numbers differ between files and database, ranks do not."""
    rank = np.empty(len(values) + 1, np.int64)
    rank[-1] = -1
    rank[sorted(range(len(values)), key=lambda at: tuple(map(str, values[at])))] = np.arange(len(values))
    return rank


def _key(found: Explanation, level: str) -> NDArray[np.int64]:
    """What distinguishes the parts of a level, as numbers in display order: ``int64[m]``."""
    table = found.stretches
    officers = np.array([duty.officer_id for duty in found.duties] or [""])
    if level == "activity":
        key: NDArray[np.integer] = np.argsort(ORDER)[table.activity]
    elif level == "where":
        # Unknown time has a cause in place of where.
        key = np.where(
            table.cause > NO_CAUSE, -table.cause.astype(np.int64), _ranks(found.wheres)[table.where]
        )
    elif level == "state":
        key = _ranks(found.meanings)[table.state]
    elif level == "officer":
        key = np.unique(officers, return_inverse=True)[1][table.duty]
    elif level == "day":
        key = table.day
    else:
        key = np.empty(len(table), np.int64)
        key[np.lexsort((officers[table.duty], table.start))] = np.arange(len(table))
    return key.astype(np.int64)
