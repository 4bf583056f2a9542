"""Slices → visits to priority areas, and what they amount to (rule 17).

Columns in, columns out; no Kafka, no database, no clock. A visit belongs to an officer, whatever duty it
falls in: one begun in one duty goes on in the next. The officer's time inside an area is that of the visible
slices there (on or off patch); all else, a break or a call to the station among it, is an absence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core.columns import changes, coalesce, ranges, search
from stream.core.facts import SECOND
from stream.core.slices import OFF_PATCH, ON_PATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from geo.hours import OwnHours
    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.slices import Slices

LENGTHS = (300 * SECOND, 600 * SECOND, 1200 * SECOND)
"""Where one of the four lengths of visits ends and the next begins (rule 17), microseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """Visits sorted by area, start and officer, and the time inside behind each of them (rule 17).

    Attributes:
        area: ``int32[n]``, index into ``area_ids``.
        officer: ``int32[n]``, index into ``officer_ids``.
        start: ``int64[n]``, microseconds since 1970 UTC; the officer comes in.
        end: ``int64[n]``, exclusive; the officer leaves for good.
        dwell: ``int64[n]``, microseconds really inside: without the absences joined.
        in_window: ``int64[n]``, the part of ``dwell`` within the area's own days and hours.
        home_team: ``bool[n]``, whether any of it was on the officer's own patch.
        inside_visit: ``int64[m]``, the visit of each stretch of time inside; rising.
        inside_start: ``int64[m]``, sorted within a visit, disjoint.
        inside_end: ``int64[m]``, exclusive.
        inside_in_window: ``bool[m]``, whether the stretch lies within the area's own days and hours; one
            that begins or ends there is divided.
        area_ids: the areas that have visits, sorted.
        officer_ids: the officers who made them, sorted.
    """

    area: NDArray[np.int32]
    officer: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    dwell: NDArray[np.int64]
    in_window: NDArray[np.int64]
    home_team: NDArray[np.bool_]
    inside_visit: NDArray[np.int64]
    inside_start: NDArray[np.int64]
    inside_end: NDArray[np.int64]
    inside_in_window: NDArray[np.bool_]
    area_ids: tuple[str, ...]
    officer_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)


def reach(slices: Slices, duties: Sequence[Duty], until: int) -> tuple[int, int]:
    """The time that visits may lie in: from the first slice to the end of the last; ``(0, 0)`` for none.

    Args:
        slices: those that ``visits`` is to be asked about.
        duties: the duties behind ``slices.duty``.
        until: see ``visits``.
    """
    start, end = slices.start, _ends(slices, duties, until)
    real = start < end
    return (int(start[real].min()), int(end[real].max())) if real.any() else (0, 0)


def visits(
    slices: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    policies: Policies,
    windows: OwnHours | None = None,
    *,
    until: int,
) -> Visits:
    """The visits that officers made to priority areas.

    Absences are joined, and short visits left out, by the policy at the visit's start.

    Args:
        slices: slices of the duties, in any order; those of one officer do not overlap.
        duties: the duties behind ``slices.duty``; an officer's duties are taken together.
        places: the places behind ``slices.place``.
        policies: ``visit_join_s`` and ``visit_min_s``.
        windows: the areas' own days and hours over at least ``reach(slices, duties, until)``; an area that
            it does not know has all the time for its own, and so has every area where it is None.
        until: duties that have no end yet are counted up to here, microseconds.

    Raises:
        ValueError: a visit outside the windows' reach.
    """
    area_ids = sorted({area for place in places for area in place.priorities})
    number = {area: at for at, area in enumerate(area_ids)}
    listed = np.cumsum([0, *(len(place.priorities) for place in places)], dtype=np.int64)
    listing = np.array([number[area] for place in places for area in place.priorities], np.int64)
    officer_ids = sorted({duty.officer_id for duty in duties})
    who = {name: at for at, name in enumerate(officer_ids)}
    officer_of = np.array([who[duty.officer_id] for duty in duties], np.int64)

    # Time inside: one row for each visible slice and each priority area that it lies in.
    end = _ends(slices, duties, until)
    visible = np.flatnonzero(
        ((slices.activity == ON_PATCH) | (slices.activity == OFF_PATCH)) & (slices.start < end)
    )
    where = slices.place[visible]
    row, at = ranges(listed[where], listed[where + 1])
    row = visible[row]
    area, officer = listing[at], officer_of[slices.duty[row]]
    order = np.lexsort((slices.start[row], officer, area))
    row, area, officer = row[order], area[order], officer[order]
    start, end, home = slices.start[row], end[row], slices.activity[row] == ON_PATCH

    # Visits: runs of time inside of one officer in one area, short absences joined.
    fresh = _fresh(area, officer, start, end, policies)
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(fresh))[: len(first)] - 1
    shortest = policies.setting(lambda p: p.visit_min_s, start[first]) * SECOND
    long = end[last] - start[first] >= shortest
    rank = np.lexsort((officer[first[long]], start[first[long]], area[first[long]]))
    kept = np.flatnonzero(long)[rank]  # the runs that are visits, in the order of the columns
    place_of = np.full(len(first), -1, np.int64)
    place_of[kept] = np.arange(len(kept))
    visit = place_of[np.cumsum(fresh) - 1]
    homely = np.zeros(len(kept), np.bool_)
    homely[visit[home & (visit >= 0)]] = True

    # The stretches inside, in the order of visits, divided where the area's own hours begin and end.
    rows = np.flatnonzero(visit >= 0)
    rows = rows[np.lexsort((start[rows], visit[rows]))]
    joined, low, high = coalesce(start[rows], end[rows], [visit[rows]])
    inside = visit[rows[joined]]
    part, low, high, own = _divided(area[rows[joined]], low, high, area_ids, windows)
    inside = inside[part]
    dwell, in_window = np.zeros(len(kept), np.int64), np.zeros(len(kept), np.int64)
    np.add.at(dwell, inside, high - low)
    np.add.at(in_window, inside[own], (high - low)[own])

    visited, area_code = np.unique(area[first[kept]], return_inverse=True)
    made_by, officer_code = np.unique(officer[first[kept]], return_inverse=True)
    return Visits(
        area_code.astype(np.int32),
        officer_code.astype(np.int32),
        start[first[kept]],
        end[last[kept]],
        dwell,
        in_window,
        homely,
        inside,
        low,
        high,
        own,
        tuple(area_ids[n] for n in visited.tolist()),
        tuple(officer_ids[n] for n in made_by.tolist()),
    )


def _ends(slices: Slices, duties: Sequence[Duty], until: int) -> NDArray[np.int64]:
    """Ends of the slices, those of duties without an end cut at ``until`` (rule 8)."""
    running = np.array([duty.end is None for duty in duties], np.bool_)
    return np.where(running[slices.duty], np.minimum(slices.end, until), slices.end)


def _fresh(
    area: NDArray[np.int64],
    officer: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    policies: Policies,
) -> NDArray[np.bool_]:
    """Which rows, sorted by area, officer and start, begin a visit: ``bool[n]``.

    How long an absence may be is for the policy at the visit's start to say. So where policies differ, a run
    that spans a change of policy has to be followed from its start; there are few of them.
    """
    fresh = changes(area, officer)
    absence = np.zeros(len(start), np.int64)
    absence[1:] = start[1:] - end[:-1]
    limit = np.broadcast_to(policies.setting(lambda p: p.visit_join_s, start) * SECOND, len(start))
    fresh |= absence > limit.max(initial=0.0)
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(fresh))[: len(first)] - 1
    spans = policies.number_at(start[first]) != policies.number_at(start[last])
    run = np.cumsum(fresh) - 1
    fresh |= (absence > limit) & ~spans[run]
    for at in np.flatnonzero(spans).tolist():
        joined = limit[first[at]]
        for row in range(first[at] + 1, last[at] + 1):
            if absence[row] > joined:
                fresh[row], joined = True, limit[row]
    return fresh


def _divided(
    area: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    area_ids: Sequence[str],
    windows: OwnHours | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Intervals divided where their areas' own days and hours begin and end.

    Returns:
        ``(row, start, end, own)`` sorted by row and start: which interval, the part, and whether it is in
            the area's own hours.
    """
    row = np.arange(len(area), dtype=np.int64)
    if windows is None or not len(area):
        return row, start, end, np.ones(len(row), np.bool_)
    if start.min() < windows.reach[0] or end.max() > windows.reach[1]:
        raise ValueError("there are visits outside the windows' reach: make the windows over reach(…)")
    numbers = {name: at for at, name in enumerate(windows.area_ids)}
    known_as = np.array([numbers.get(name, -1) for name in area_ids], np.int64)[area]
    knows = known_as >= 0
    low, high = windows.first[known_as], windows.first[known_as + 1]
    owner, window = ranges(
        np.where(knows, search(windows.end, low, high, start, right=True), 0),
        np.where(knows, search(windows.start, low, high, end), 0),
    )
    inside_from = np.maximum(start[owner], windows.start[window])
    inside_to = np.minimum(end[owner], windows.end[window])
    owner = np.concatenate([owner, row[~knows]])
    inside_from = np.concatenate([inside_from, start[~knows]])
    inside_to = np.concatenate([inside_to, end[~knows]])
    # Outside the windows: from the row's start or a window's end to the next window's start or the row's end.
    around = np.concatenate([row, owner])
    outside_from = np.concatenate([start, inside_to])
    outside_to = np.concatenate([end, inside_from])
    by_from, by_to = np.lexsort((outside_from, around)), np.lexsort((outside_to, around))
    around, outside_from, outside_to = around[by_from], outside_from[by_from], outside_to[by_to]
    real = outside_from < outside_to
    part = np.concatenate([owner, around[real]])
    low = np.concatenate([inside_from, outside_from[real]])
    high = np.concatenate([inside_to, outside_to[real]])
    own = np.arange(len(part)) < len(owner)
    order = np.lexsort((low, part))
    return part[order], low[order], high[order], own[order]


@dataclass(frozen=True, slots=True)
class PriorityFigures:
    """What the visits to one priority area amount to in a period (rule 17); times in microseconds.

    A visit is counted in the period in which it starts; the time inside is cut to the period.

    Attributes:
        area_id: the area.
        start: the period's start, microseconds since 1970 UTC.
        end: its end, exclusive.
        visits: how many start in the period.
        visits_in_window: those of them with any time in the area's own days and hours.
        visits_others: those of them made by other teams' officers, no part of it on their own patch.
        visits_by_length: how many lasted under 5 minutes, 5 to 10, 10 to 20, 20 and over, joined absences
            included; they sum to ``visits``. None is shorter than the policy's shortest, 2 minutes.
        officer_time: time inside, two officers together counted twice.
        patrol_time: time in which at least one officer was inside.
        officer_time_in_window: the part of ``officer_time`` in the area's own days and hours.
        patrol_time_in_window: the part of ``patrol_time`` in them.
        others_time: the part of ``officer_time`` that other teams' officers gave.
        last_visit_end: the latest end of the visits counted, perhaps after the period; None without any.
    """

    area_id: str
    start: int
    end: int
    visits: int = 0
    visits_in_window: int = 0
    visits_others: int = 0
    visits_by_length: tuple[int, int, int, int] = (0, 0, 0, 0)
    officer_time: int = 0
    patrol_time: int = 0
    officer_time_in_window: int = 0
    patrol_time_in_window: int = 0
    others_time: int = 0
    last_visit_end: int | None = None


def priority_figures(
    visits: Visits, start: int, end: int, *, areas: Iterable[str] = ()
) -> list[PriorityFigures]:
    """The figures of each priority area for a period, sorted by ``area_id``.

    Args:
        visits: all visits that may touch the period; found over the whole record, not over the period, so
            that one that crosses its edge is not counted as two.
        start: the period's start, microseconds.
        end: its end, exclusive.
        areas: ids to list even where nobody was.
    """
    count = len(visits.area_ids)
    low, high = np.maximum(visits.inside_start, start), np.minimum(visits.inside_end, end)
    rows = np.flatnonzero(low < high)
    low, high, visit = low[rows], high[rows], visits.inside_visit[rows]
    area, own, helping = visits.area[visit], visits.inside_in_window[rows], ~visits.home_team[visit]
    whole = np.ones(len(rows), np.bool_)
    times = [
        *(_sum(area[part], (high - low)[part], count) for part in (whole, own, helping)),
        *(_sum(*_union(area[part], low[part], high[part]), count) for part in (whole, own)),
    ]

    begun = np.flatnonzero((visits.start >= start) & (visits.start < end))
    lengths = np.zeros((count, len(LENGTHS) + 1), np.int64)
    length = np.searchsorted(LENGTHS, (visits.end - visits.start)[begun], side="right")
    np.add.at(lengths, (visits.area[begun], length), 1)
    in_window = np.bincount(visits.area[begun[visits.in_window[begun] > 0]], minlength=count)
    others = np.bincount(visits.area[begun[~visits.home_team[begun]]], minlength=count)
    latest = np.full(count, -FOREVER, np.int64)
    np.maximum.at(latest, visits.area[begun], visits.end[begun])

    found = {area_id: PriorityFigures(area_id, start, end) for area_id in areas}
    officer_time, officer_own, helped, patrol_time, patrol_own = (column.tolist() for column in times)
    for at, (area_id, bins) in enumerate(zip(visits.area_ids, lengths.tolist(), strict=True)):
        if sum(bins) or officer_time[at]:
            found[area_id] = PriorityFigures(
                area_id,
                start,
                end,
                visits=sum(bins),
                visits_in_window=int(in_window[at]),
                visits_others=int(others[at]),
                visits_by_length=(bins[0], bins[1], bins[2], bins[3]),
                officer_time=officer_time[at],
                patrol_time=patrol_time[at],
                officer_time_in_window=officer_own[at],
                patrol_time_in_window=patrol_own[at],
                others_time=helped[at],
                last_visit_end=int(latest[at]) if sum(bins) else None,
            )
    return [found[area_id] for area_id in sorted(found)]


def _sum(group: NDArray[np.int32], value: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Sums of whole numbers by group."""
    total = np.zeros(groups, np.int64)
    np.add.at(total, group, value)
    return total


def _union(
    group: NDArray[np.int32], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Time covered by at least one interval: ``(group, length)``, to be summed."""
    who, time = np.concatenate([group, group]), np.concatenate([start, end])
    step = np.repeat(np.array([1, -1], np.int64), len(start))
    order = np.lexsort((time, who))
    depth = np.cumsum(step[order])
    covered = np.flatnonzero(depth > 0)  # a group's last end brings the depth to 0
    time = time[order]
    return who[order][covered], time[covered + 1] - time[covered]
