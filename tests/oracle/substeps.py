"""Where a moving device is, found by walking: step by step, and halving where the place has changed.

No crossing of two lines is computed here. All that is asked is in which areas a point lies (in fractions, so
that a point on an edge is on it) and how far the nearest edge is (a step that long leaves no place unseen).
Fixes and areas come in; no officers. A leg's microseconds are judged by their middles, so an answer here may
differ from a crossing's exact time, rounded, by one microsecond.

What it cannot see: beside an edge, nearer than 1/1024 of the leg's length, steps are a guess that doubles
while nothing happens (to 1/256 of the leg). Places that change to and fro within such a step are missed,
unless the walker is told to look there.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import shapely

from tests.oracle.exact import Area, Areas, Place, along, point

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.oracle.stays import Fix, Stay

MARGIN = 1e-12
"""Degrees by which a distance may be wrong."""


class Ground:
    """One version's areas, as a walker sees them: what is here, and how far may I go?"""

    def __init__(self, areas: Sequence[Area]) -> None:
        self.areas = list(areas)
        self._tree = shapely.STRtree([shape for _, _, shape in self.areas])
        self._edges = shapely.STRtree(
            [shapely.LineString(pair) for _, _, shape in self.areas for pair in _sides(shape)]
        )

    def near(self, a: Fix, b: Fix) -> Areas:
        """The areas that a way between two fixes can touch at all."""
        box = shapely.box(min(a[2], b[2]), min(a[3], b[3]), max(a[2], b[2]), max(a[3], b[3]))
        return Areas([self.areas[at] for at in sorted(self._tree.query(box).tolist())])

    def clearance(self, lon: float, lat: float) -> float:
        """Degrees from a point to the nearest edge, never too many."""
        if not len(self._edges.geometries):
            return 1e6
        _, apart = self._edges.query_nearest(shapely.Point(lon, lat), return_distance=True, all_matches=False)
        return max(0.0, float(apart[0]) - MARGIN)


def _sides(shape: shapely.Polygon | shapely.MultiPolygon) -> Iterable[list[tuple[float, float]]]:
    for polygon in shapely.get_parts(shape).tolist():
        for ring in (polygon.exterior, *polygon.interiors):
            vertices = [(x, y) for x, y in ring.coords]
            yield from ([p, q] for p, q in pairwise(vertices))


def walk(a: Fix, b: Fix, ground: Ground, look: Iterable[int] = ()) -> list[Stay]:
    """The places of a leg on which the device moves straight and at constant speed (rule 4).

    Args:
        a: where it starts.
        b: where it ends, later.
        ground: the areas in force all the while.
        look: instants, µs, that no step beside an edge may pass over.

    Returns:
        ``(start, end, place)`` in µs that tile the leg; neighbours differ in place.
    """
    (_, start, *_), (_, end, *_) = a, b
    p, q, dt = point(a[2], a[3]), point(b[2], b[3]), end - start
    length = max(abs(b[2] - a[2]), abs(b[3] - a[3])) * 2**0.5
    areas = ground.near(a, b)
    known: dict[int, Place] = {}

    def place(t: int) -> Place:
        """Where the device is in the middle of a microsecond."""
        if t not in known:
            known[t] = areas.place(along(p, q, Fraction(2 * t + 1, 2 * dt)))
        return known[t]

    def free(t: int) -> int:
        """How many microseconds from here no edge can be met."""
        if not length:
            return dt
        f = (t + 0.5) / dt
        return int(ground.clearance(a[2] + f * (b[2] - a[2]), a[3] + f * (b[3] - a[3])) / length * dt)

    found: list[Stay] = []
    t, since, guess = 0, 0, 1
    stops = sorted({at - start for at in look if start < at < end} | {dt - 1}, reverse=True)
    while t < dt - 1:
        step = free(t)
        sure = step >= max(1, dt // 1024)
        step, guess = (step, 1) if sure else (guess, min(2 * guess, max(1, dt // 256)))
        while stops[-1] <= t:
            stops.pop()
        ahead = min(t + step, dt - 1 if sure else stops[-1])
        if not sure and place(ahead) != place(t):
            low, high = t, ahead
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if place(middle) == place(t) else (low, middle)
            found.append((start + since, start + high, place(t)))
            ahead, since, guess = high, high, 1
        t = ahead
    return [*found, (start + since, end, place(dt - 1))]


def disagreement(one: Sequence[Stay], other: Sequence[Stay]) -> int:
    """Microseconds in which two tilings of one interval do not say the same."""
    marks = sorted({at for start, end, _ in (*one, *other) for at in (start, end)})
    apart, i, j = 0, 0, 0
    for start, end in pairwise(marks):
        while one[i][1] <= start:
            i += 1
        while other[j][1] <= start:
            j += 1
        if one[i][2] != other[j][2]:
            apart += end - start
    return apart
