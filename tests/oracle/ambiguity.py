"""When it cannot be told whether a device was on patch, for the error of its position (rule 14).

The edge that decides is the border of a region: of all points whose neighbourhood is in the patch and that
lie in no premises. It is put together from whole areas by set operations. When a leg is within its error of
it is found by search, edge by edge: the distance of a moving point from a straight edge falls, then rises, so
the lowest point is found by cutting the time into three, and where the error is reached by halving it.

A leg that passes the border is in doubt from end to end: nobody saw when it passed.

Distances are metres in a plane whose scale is that of the leg's middle latitude. Fixes, areas, patches and
slices come in.

An error is asked about twice, ``slack`` smaller and greater: where a leg passes a border at nearly a tangent,
or hardly moves, a micrometre makes more difference in time than any arithmetic can answer for.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import shapely

from tests.oracle.slices import NOT_VISIBLE
from tests.oracle.stays import EARTH_RADIUS_M, SECOND, distance_m, in_force, kept, nobody_drove, without_jumps

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from stream.core.facts import Duty
    from tests.oracle.exact import Area
    from tests.oracle.slices import Slice
    from tests.oracle.stays import Fix, Version

METRES_PER_DEGREE = math.radians(EARTH_RADIUS_M)

Interval = tuple[int, int]
"""``(start, end)`` in µs, half open."""


class Bounds(NamedTuple):
    """Least and most that a sum may be, µs."""

    least: int
    most: int


def region(areas: Sequence[Area], patch: Collection[str]) -> shapely.Geometry:
    """All points that count as on patch: the smallest neighbourhood's id there is in it, and no premises."""
    found: list[shapely.Geometry] = []
    others: list[shapely.Geometry] = []  # of smaller ids
    for area_id, shape in sorted((area[1], area[2]) for area in areas if area[0] == "neighbourhood"):
        if area_id in patch:
            found.append(shape.difference(shapely.union_all(others)))
        else:
            others.append(shape)
    premises = [shape for kind, _, shape in areas if kind == "premises"]
    return _solid(shapely.union_all(found).difference(shapely.union_all(premises)))


def _solid(shape: shapely.Geometry) -> shapely.Geometry:
    """A region without the threads of no width, holes and fragments, that set operations leave behind."""
    fragment = 1e-12  # square degrees: less than a hundredth of a square metre
    return shapely.MultiPolygon(
        [
            shapely.Polygon(
                part.exterior, [hole for hole in part.interiors if shapely.Polygon(hole).area > fragment]
            )
            for part in shapely.get_parts(shape).tolist()
            if part.geom_type == "Polygon" and part.area > fragment
        ]
    )


class Border:
    """The edges that decide for one patch under one version."""

    def __init__(self, areas: Sequence[Area], patch: Collection[str]) -> None:
        self.region = region(areas, patch)
        self.lines = [
            ((ax, ay), (bx, by))
            for line in shapely.get_parts(shapely.boundary(self.region)).tolist()
            for (ax, ay), (bx, by) in pairwise(line.coords)
        ]
        self._tree = shapely.STRtree([shapely.LineString(line) for line in self.lines])

    def passed(self, a: Fix, b: Fix, *, surely: bool) -> bool:
        """Whether a straight leg leads from one side of the border to the other; along it is neither."""
        leg = shapely.LineString([a[2:4], b[2:4]])
        if leg.length == 0 or self.region.is_empty:
            return False
        edge = shapely.boundary(self.region)
        if not surely:
            return bool(leg.intersects(edge))
        inside = leg.intersection(self.region).length - leg.intersection(edge).length
        return bool(inside > 1e-9 and leg.difference(self.region).length > 1e-9)

    def near(self, a: Fix, b: Fix, error_m: float) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """The edges that may be within an error of a leg."""
        y = 1.1 * error_m / METRES_PER_DEGREE + 1e-6
        x = y / math.cos(math.radians(max(abs(a[3]), abs(b[3])) + y))
        west, east = sorted((a[2], b[2]))
        south, north = sorted((a[3], b[3]))
        found = self._tree.query(shapely.box(west - x, south - y, east + x, north + y))
        return [self.lines[at] for at in sorted(found.tolist())]


class Plane(NamedTuple):
    """Metres east and north of a point; the scale is that of a latitude."""

    lon: float
    lat: float
    squeeze: float

    @classmethod
    def of(cls, a: Fix, b: Fix) -> Plane:
        """The plane of a leg."""
        return cls(a[2], a[3], math.cos(math.radians((a[3] + b[3]) / 2)))

    def at(self, lon: float, lat: float) -> tuple[float, float]:
        """A point in it."""
        return (
            (lon - self.lon) * self.squeeze * METRES_PER_DEGREE,
            (lat - self.lat) * METRES_PER_DEGREE,
        )


def apart(p: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres from a point to a straight edge."""
    along = (b[0] - a[0], b[1] - a[1])
    length = along[0] ** 2 + along[1] ** 2
    u = ((p[0] - a[0]) * along[0] + (p[1] - a[1]) * along[1]) / length if length else 0.0
    u = min(1.0, max(0.0, u))
    return math.hypot(a[0] + u * along[0] - p[0], a[1] + u * along[1] - p[1])


def valley(f: Callable[[int], float], end: int, level: float) -> Interval | None:
    """The whole numbers in ``[0, end]`` at which a function that falls, then rises, is at most a level."""
    low, high = 0, end
    while high - low > 2:
        one, two = low + (high - low) // 3, high - (high - low) // 3
        low, high = (low, two) if f(one) <= f(two) else (one, high)
    lowest = min(range(low, high + 1), key=f)
    if f(lowest) > level:
        return None

    def last(inside: int, outside: int) -> int:
        """The last number from one inside towards one outside that is still inside."""
        if f(outside) <= level:
            return outside
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if f(middle) <= level else (inside, middle)
        return inside

    return last(lowest, 0), last(lowest, end)


def within(a: Fix, b: Fix, border: Border, error_m: float) -> list[Interval]:
    """When a device that moves straight from fix to fix is within an error of the border, µs, per edge."""
    plane, dt = Plane.of(a, b), b[1] - a[1]
    end = plane.at(b[2], b[3])
    found = []
    for c, d in border.near(a, b, error_m):
        edge = plane.at(*c), plane.at(*d)

        def distance(t: int, edge: tuple[tuple[float, float], tuple[float, float]] = edge) -> float:
            return apart((end[0] * t / dt, end[1] * t / dt), *edge)

        if (inside := valley(distance, dt, error_m)) is not None:
            found.append((a[1] + inside[0], a[1] + inside[1]))
    return found


def _leg(
    a: Fix,
    b: Fix,
    versions: Sequence[tuple[int, int, Border]],
    error_m: float,
    policy: Mapping[str, float],
    *,
    surely: bool,
) -> list[Interval]:
    dt = b[1] - a[1]
    if dt <= policy["max_gap_s"] * SECOND:
        whole = [
            (start, end)
            for start, end, border in versions
            if start < end and border.passed(a, b, surely=surely)
        ]
        return whole + [
            (max(low, start), min(high, end))
            for start, end, border in versions
            for low, high in within(a, b, border, error_m)
            if max(low, start) < min(high, end)
        ]
    if dt <= policy["parked_gap_s"] * SECOND and distance_m(a, b) <= policy["parked_m"]:
        plane = Plane.of(a, b)
        return [
            (start, end)
            for start, end, border in versions
            if any(
                apart(plane.at(*fix[2:4]), plane.at(*c), plane.at(*d)) <= error_m
                for fix in (a, b)
                for c, d in border.near(fix, fix, error_m)
            )
        ]
    return []


def doubtful(
    fixes: Sequence[Fix],
    versions: Sequence[Version],
    patch: Collection[str],
    *,
    default_error_m: float = 10.0,
    slack: float = 0.0,
    jump_mps: float = 80.0,
) -> list[Interval]:
    """When a device is so near to the edge that decides about a patch that its error leaves it open.

    Args:
        fixes: one device's usable reports.
        versions: the published boundaries.
        patch: neighbourhoods.
        default_error_m: of fixes that do not state one.
        slack: metres by which errors are taken larger (or smaller).
        jump_mps: as for stays.

    Returns:
        intervals of µs, which may overlap. Where the device's place is unknown they mean nothing.
    """
    policy = {"max_gap_s": 300.0, "parked_gap_s": 1800.0, "parked_m": 50.0}
    borders = [(since, Border(areas, patch)) for since, areas in versions]
    found: list[Interval] = []
    track = without_jumps(kept(fixes), jump_mps)
    lost = nobody_drove(track, jump_mps, int(policy["max_gap_s"]))
    for (a, b), gone in zip(pairwise(track), lost, strict=True):
        error = (
            max(fix[4] if fix[4] is not None and fix[4] > 0 else default_error_m for fix in (a, b)) + slack
        )
        if error >= 0 and not gone:
            parts = _in_force(a[1], b[1], borders)
            found += _leg(a, b, parts, error, policy, surely=slack < 0)
    return found


def _in_force(
    start: int, end: int, borders: Sequence[tuple[int | None, Border]]
) -> list[tuple[int, int, Border]]:
    # Rule 6 does not mind what a version holds.
    parts = in_force(start, end, borders)  # type: ignore[arg-type]
    return [(low, high, border) for low, high, border in parts if border is not None]  # type: ignore[misc]


def _common(intervals: Iterable[Interval], start: int, end: int) -> int:
    """Microseconds of ``[start, end)`` that are in any of the intervals."""
    total, reached = 0, start
    for low, high in sorted(intervals):
        total += max(0, min(high, end) - max(low, reached))
        reached = max(reached, min(high, end))
    return total


def ambiguous(
    slices: Iterable[Slice],
    duties: Mapping[str, Duty],
    fixes: Sequence[Fix],
    versions: Sequence[Version],
    period: Interval,
    *,
    default_error_m: float = 10.0,
    slack: float = 1e-6,
) -> dict[str, tuple[Bounds, Bounds]]:
    """Rule 14 for each duty: ambiguous on-patch time, and ambiguous time off patch or in premises.

    Args:
        slices: as ``slices`` gives them under the default states.
        duties: the standing duties by id.
        fixes: usable reports of all devices.
        versions: the published boundaries.
        period: slices are clipped to it, µs.
        default_error_m: of fixes that do not state one.
        slack: metres that make no difference.

    Returns:
        by duty, how much it is at least and at most, with 2 µs for each border.
    """
    known: dict[tuple[str, tuple[str, ...], float], list[Interval]] = {}

    def when(device_id: str, patch: tuple[str, ...], by: float) -> list[Interval]:
        key = device_id, patch, by
        if key not in known:
            own = [fix for fix in fixes if fix[0] == device_id]
            known[key] = doubtful(own, versions, patch, default_error_m=default_error_m, slack=by)
        return known[key]

    sums = {duty_id: [[0, 0], [0, 0]] for duty_id in duties}
    for item in slices:
        start, end = max(item.start, period[0]), min(item.end, period[1])
        by_place = item.activity in {"on_patch", "off_patch"} or (
            item.activity == "not_visible" and item.reason not in NOT_VISIBLE.values()
        )
        if not by_place or item.device_id is None or start >= end:
            continue
        pair = sums[item.duty_id][0 if item.activity == "on_patch" else 1]
        for side, by in ((0, -slack), (1, slack)):
            intervals = when(item.device_id, duties[item.duty_id].patch, by)
            touching = [each for each in intervals if each[0] <= end and each[1] >= start]
            rounding = 2 * (2 * len(touching) + 2) * (1 if by > 0 else -1)
            pair[side] += max(0, _common(touching, start, end) + rounding) if touching or by < 0 else 0
    return {duty_id: (Bounds(*found[0]), Bounds(*found[1])) for duty_id, found in sums.items()}
