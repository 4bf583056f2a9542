"""What an officer truly did, piece by piece, and which priority areas they truly visited.

Exact lines of the true path against polygons with shapely, and intervals of whole microseconds; nothing of
the accounting's own code comes in, for it is measured against this. Reports and their errors may not come in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.core.facts import Duty
    from stream.simulate.patrols import Path

_BREAK, _NOT_VISIBLE, _OFF_DUTY = 4, (8, 9, 10), 11
_SLIVER = 2  # microseconds: two areas' times at their shared edge are rounded each by itself


@dataclass(frozen=True, slots=True, eq=False)
class TrueSlices:
    """A duty's time, divided wherever activity, neighbourhood, premises or state change.

    Attributes:
        start: ``int64[n]``, microseconds.
        end: ``int64[n]``, microseconds; the pieces tile the duty.
        activity: ``on_patch``, ``off_patch``, ``not_visible``, ``break`` or ``off_duty`` (rule 11, with
            perfect knowledge).
        neighbourhood: its id, empty outside all (rule 5).
        premises: its id, empty outside all.
        state: ``int64[n]``, the radio status in force.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    activity: tuple[str, ...]
    neighbourhood: tuple[str, ...]
    premises: tuple[str, ...]
    state: NDArray[np.int64]

    def time(self, activity: str) -> int:
        """How long an activity took in all, microseconds."""
        rows = np.array([each == activity for each in self.activity], np.bool_)
        return int((self.end - self.start)[rows].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """True time by activity (rule 11 with perfect knowledge), one row a duty; it sums to the duty's length.

    Attributes:
        officer_id: who.
        duty_id: which duty.
        on_patch: ``int64[n]``, microseconds.
        off_patch: ``int64[n]``, microseconds.
        not_visible: ``int64[n]``, microseconds.
        rest: ``int64[n]``, microseconds of ``break``.
    """

    officer_id: tuple[str, ...]
    duty_id: tuple[str, ...]
    on_patch: NDArray[np.int64]
    off_patch: NDArray[np.int64]
    not_visible: NDArray[np.int64]
    rest: NDArray[np.int64]

    def share(self, rows: Sequence[int] | None = None) -> float:
        """``on_patch / duty`` of some rows together, of all by default (rule 13)."""
        at = np.arange(len(self.duty_id)) if rows is None else np.asarray(rows)
        duty = self.on_patch[at].sum() + self.off_patch[at].sum() + self.not_visible[at].sum()
        return float(self.on_patch[at].sum() / duty)


@dataclass(frozen=True, slots=True, eq=False)
class TrueVisits:
    """Visits to priority areas, one row each (rule 17).

    Attributes:
        area_id: which priority area.
        officer_id: who.
        start: ``int64[n]``, microseconds, of the first moment inside.
        end: ``int64[n]``, of the last one.
        dwell: ``int64[n]``, microseconds really inside, without the absences joined.
    """

    area_id: tuple[str, ...]
    officer_id: tuple[str, ...]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    dwell: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def of(self, officer_id: str) -> TrueVisits:
        """The same visits, made by somebody else."""
        return replace(self, officer_id=(officer_id,) * len(self))

    @staticmethod
    def together(parts: Sequence[TrueVisits]) -> TrueVisits:
        """All of them by area, officer and start."""
        area = [each for part in parts for each in part.area_id]
        officer = [each for part in parts for each in part.officer_id]
        start, end, dwell = (
            np.concatenate([np.empty(0, np.int64), *columns])
            for columns in zip(*((part.start, part.end, part.dwell) for part in parts), strict=True)
        )
        order = sorted(range(len(area)), key=lambda row: (area[row], officer[row], int(start[row])))
        return TrueVisits(
            tuple(area[row] for row in order),
            tuple(officer[row] for row in order),
            start[order],
            end[order],
            dwell[order],
        )


def true_slices(force: AreaSet, duty: Duty, path: Path, keyed: Sequence[tuple[int, int]]) -> TrueSlices:
    """What a duty's time truly was.

    Args:
        force: the areas.
        duty: with an end.
        path: where the officer was, at least during the duty.
        keyed: ``(time, state)``, in order; 1 before the first.
    """
    start, end = duty.start, _end(duty)
    homes, homes_in = _inside(path, force, Kind.NEIGHBOURHOOD)
    houses, houses_in = _inside(path, force, Kind.PREMISES)
    times = np.array([time for time, _ in keyed], np.int64)
    edges = [each.ravel() for each in (*homes_in, *houses_in)]
    edge = np.unique(np.concatenate((np.empty(0, np.int64), *edges)))
    fixed = np.unique(np.concatenate((times, (start, end))))
    # Of times of edges that differ by their rounding alone, and from what is fixed, one is kept.
    near = np.abs(edge - fixed[np.clip(np.searchsorted(fixed, edge), 0, len(fixed) - 1)])
    before = np.abs(edge - fixed[np.clip(np.searchsorted(fixed, edge) - 1, 0, len(fixed) - 1)])
    edge = edge[np.minimum(near, before) > _SLIVER]
    if len(edge):
        edge = edge[np.concatenate(([True], np.diff(edge) > _SLIVER))]
    cuts = np.union1d(fixed, edge)
    cuts = cuts[(cuts >= start) & (cuts <= end)]
    # Between two cuts nothing changes, so the middle speaks for all of a piece.
    middle = (cuts[:-1] + cuts[1:]) // 2
    home, house = _first(middle, homes, homes_in), _first(middle, houses, houses_in)
    state = np.array((1, *(each for _, each in keyed)))[np.searchsorted(times, cuts[:-1], side="right")]
    activity = [_activity(int(state[row]), house[row], home[row] in duty.patch) for row in range(len(middle))]
    told = list(zip(activity, home, house, state.tolist(), strict=True))
    new = np.array([row == 0 or told[row] != told[row - 1] for row in range(len(told))], np.bool_)
    rows = np.flatnonzero(new)
    return TrueSlices(
        start=cuts[rows],
        end=cuts[np.append(rows[1:], len(told))],
        activity=tuple(activity[row] for row in rows),
        neighbourhood=tuple(home[row] for row in rows),
        premises=tuple(house[row] for row in rows),
        state=state[rows],
    )


def true_visits(
    force: AreaSet,
    duty: Duty,
    path: Path,
    pieces: TrueSlices,
    *,
    join_s: float = 60.0,
    least_s: float = 120.0,
) -> TrueVisits:
    """A duty's true visits to priority areas (rule 17).

    Breaks, states in which nobody is visible, and time in premises are absences.

    Args:
        force: the areas.
        duty: with an end.
        path: where the officer was, at least during the duty.
        pieces: what ``true_slices`` gives for them.
        join_s: absences up to this long are joined, seconds.
        least_s: the shortest visit, from its first moment to its last, seconds.
    """
    seen = np.array([each in {"on_patch", "off_patch"} for each in pieces.activity], np.bool_)
    visible = _joined(np.column_stack((pieces.start, pieces.end))[seen], 0)
    names: list[str] = []
    rows: list[tuple[int, int, int]] = []
    for name, inside in zip(*_inside(path, force, Kind.PRIORITY), strict=True):
        present = _both(inside, visible)
        present = present[present[:, 1] - present[:, 0] > _SLIVER]
        for start, end in _joined(present, round(join_s * 1e6)).tolist():
            if end - start >= least_s * 1e6:
                part = present[(present[:, 0] >= start) & (present[:, 1] <= end)]
                rows.append((start, end, int((part[:, 1] - part[:, 0]).sum())))
                names.append(name)
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    return TrueVisits(tuple(names), (duty.officer_id,) * len(names), *columns)


def _end(duty: Duty) -> int:
    assert duty.end is not None
    return duty.end


def _activity(state: int, premises: str, at_home: bool) -> str:
    """Rule 11 with perfect knowledge."""
    if state == _OFF_DUTY:
        return "off_duty"
    if state == _BREAK:
        return "break"
    if state in _NOT_VISIBLE or premises:
        return "not_visible"
    return "on_patch" if at_home else "off_patch"


def _first(
    time: NDArray[np.int64], names: Sequence[str], intervals: Sequence[NDArray[np.int64]]
) -> list[str]:
    """At each time the smallest id whose area the officer was in, or empty."""
    found = np.full(len(time), "", object)
    for name, inside in sorted(zip(names, intervals, strict=True), key=lambda each: each[0], reverse=True):
        within = np.searchsorted(inside[:, 0], time, "right") > np.searchsorted(inside[:, 1], time, "right")
        found[within] = name
    return [str(each) for each in found]


def _inside(path: Path, force: AreaSet, kind: Kind) -> tuple[list[str], list[NDArray[np.int64]]]:
    """The areas of a kind that a path meets, and ``int64[k, 2]`` when it was in each: sorted, disjoint."""
    rows = np.array([row for row, each in enumerate(force.kind) if each == kind], np.int64)
    if not len(rows) or len(path.time) < 2:
        return [], []
    place = np.column_stack((path.lon, path.lat))
    long = np.flatnonzero(np.diff(path.time) > 0)
    start, end, a, b = path.time[long], path.time[long + 1], place[long], place[long + 1]
    stood = (a == b).all(axis=1)
    lines = shapely.linestrings(np.stack((a, b), 1))
    lines[stood] = shapely.points(a[stood])
    shapes = force.geometry[rows]
    shapely.prepare(shapes)
    leg, area = shapely.STRtree(shapes).query(lines, predicate="intersects")
    whole = stood[leg] | shapely.contains_properly(shapes[area], lines[leg])
    parts, of = shapely.get_parts(
        shapely.intersection(lines[leg[~whole]], shapes[area[~whole]]), return_index=True
    )
    straight = shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    ends, at = shapely.get_coordinates(parts[straight], return_index=True)
    of = of[straight]
    crossing = np.flatnonzero(~whole)[of]
    line = leg[crossing]
    step = b[line] - a[line]
    axis = (np.abs(step[:, 1]) > np.abs(step[:, 0])).astype(np.int64)
    each = np.arange(len(line))
    gone = (ends[np.arange(len(ends)), axis[at]] - a[line][each, axis][at]) / step[each, axis][at]
    low, high = np.full(len(line), np.inf), np.full(len(line), -np.inf)
    np.minimum.at(low, at, gone)
    np.maximum.at(high, at, gone)
    took = (end - start)[line]
    found_area = np.concatenate((area[whole], area[crossing]))
    began = np.concatenate((start[leg[whole]], start[line] + np.rint(low * took).astype(np.int64)))
    ended = np.concatenate((end[leg[whole]], start[line] + np.rint(high * took).astype(np.int64)))
    names, intervals = [], []
    for number in np.unique(found_area).tolist():
        mine = found_area == number
        names.append(force.area_id[rows[number]])
        intervals.append(_joined(np.column_stack((began[mine], ended[mine])), 0))
    return names, intervals


def _joined(intervals: NDArray[np.int64], gap: int) -> NDArray[np.int64]:
    """Intervals ``int64[n, 2]`` in order, those joined that overlap or are at most so far apart."""
    if not len(intervals):
        return intervals.reshape(0, 2)
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.concatenate(([True], ordered[1:, 0] - reach[:-1] > gap))
    last = np.append(np.flatnonzero(first)[1:] - 1, len(ordered) - 1)
    return np.column_stack((ordered[first, 0], reach[last]))


def _both(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """When both of two sets of disjoint intervals hold."""
    start, end = (
        np.maximum(one[:, None, 0], other[None, :, 0]),
        np.minimum(one[:, None, 1], other[None, :, 1]),
    )
    some = start < end
    found = np.column_stack((start[some], end[some]))
    return found[np.argsort(found[:, 0], kind="stable")]
