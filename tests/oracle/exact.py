"""Exact plane geometry: points in areas and crossings of edges, in fractions (rule 5).

A double is a fraction, so nothing is rounded here. Only points, edges and areas may come in; no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapely import MultiPolygon, Polygon

Area: TypeAlias = "tuple[str, str, Polygon | MultiPolygon]"
"""``(kind, area_id, polygon)``; kind is ``neighbourhood``, ``premises`` or ``priority``."""

Point: TypeAlias = tuple[Fraction, Fraction]
"""``(lon, lat)`` in degrees."""

Edge: TypeAlias = tuple[Point, Point]


class Place(NamedTuple):
    """What a point lies in (rule 5); ``priorities`` is sorted."""

    neighbourhood: str | None
    premises: str | None
    priorities: tuple[str, ...]


def point(lon: float, lat: float) -> Point:
    """The same point, exactly."""
    return Fraction(lon), Fraction(lat)


def along(a: Point, b: Point, f: Fraction) -> Point:
    """The point ``a + (b − a)·f`` of the straight lon/lat line (rule 4)."""
    return a[0] + (b[0] - a[0]) * f, a[1] + (b[1] - a[1]) * f


def _cross(o: Point, p: Point, q: Point) -> Fraction:
    """Twice the signed area of the triangle o, p, q; zero where they lie on one line."""
    return (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0])


def on_edge(p: Point, edge: Edge) -> bool:
    """Whether ``p`` lies on the edge, its ends included."""
    c, d = edge
    return (
        min(c[0], d[0]) <= p[0] <= max(c[0], d[0])
        and min(c[1], d[1]) <= p[1] <= max(c[1], d[1])
        and _cross(c, d, p) == 0
    )


def inside_ring(p: Point, ring: Sequence[Edge]) -> bool:
    """Even-odd: whether a ray from ``p`` to the east crosses the ring an odd number of times.

    An edge counts where it passes from at or below the ray's height to above it, or back, so that a vertex on
    the ray is met by one of its two edges. For points on the ring itself the answer means nothing.
    """
    inside = False
    for (cx, cy), (dx, dy) in ring:
        if (cy <= p[1]) != (dy <= p[1]):
            meets = cx + (p[1] - cy) * (dx - cx) / (dy - cy)
            if meets > p[0]:
                inside = not inside
    return inside


def crossings(a: Point, b: Point, edge: Edge) -> list[Fraction]:
    """The fractions f, 0 < f < 1, at which the way from ``a`` to ``b`` meets or leaves the edge.

    Where the way runs along the edge, these are the fractions at the edge's two ends.
    """
    c, d = edge
    way = (b[0] - a[0], b[1] - a[1])
    side = (d[0] - c[0], d[1] - c[1])
    gap = (c[0] - a[0], c[1] - a[1])
    turn = way[0] * side[1] - way[1] * side[0]
    offset = gap[0] * way[1] - gap[1] * way[0]
    found: list[Fraction] = []
    if turn != 0:
        f = (gap[0] * side[1] - gap[1] * side[0]) / turn
        if 0 <= offset / turn <= 1:
            found.append(f)
    elif offset == 0 and a != b:
        length = way[0] * way[0] + way[1] * way[1]
        found.extend(((end[0] - a[0]) * way[0] + (end[1] - a[1]) * way[1]) / length for end in edge)
    return [f for f in found if 0 < f < 1]


@dataclass(frozen=True)
class ExactArea:
    """One area; ``parts`` holds for each polygon its rings, the shell first, then the holes."""

    kind: str
    area_id: str
    parts: tuple[tuple[tuple[Edge, ...], ...], ...]

    @classmethod
    def of(cls, area: Area) -> ExactArea:
        """The same area, exactly."""
        kind, area_id, shape = area
        polygons = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
        return cls(
            kind,
            area_id,
            tuple(
                tuple(
                    tuple(pairwise([point(x, y) for x, y in ring.coords]))
                    for ring in (polygon.exterior, *polygon.interiors)
                )
                for polygon in polygons
                if not polygon.is_empty
            ),
        )

    @property
    def edges(self) -> list[Edge]:
        """Every edge of every ring."""
        return [edge for rings in self.parts for ring in rings for edge in ring]

    def covers(self, p: Point) -> bool:
        """Whether ``p`` is in the closed area: on an edge (a hole's too), or in a shell and in no hole."""
        return any(on_edge(p, edge) for edge in self.edges) or any(
            inside_ring(p, rings[0]) and not any(inside_ring(p, hole) for hole in rings[1:])
            for rings in self.parts
        )


class Areas:
    """The boundaries of one version."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self.areas = [ExactArea.of(area) for area in areas]

    def place(self, p: Point) -> Place:
        """Rule 5: of neighbourhoods and of premises the smallest ``area_id``, of priority areas all."""
        found = {
            kind: sorted({area.area_id for area in self.areas if area.kind == kind and area.covers(p)})
            for kind in ("neighbourhood", "premises", "priority")
        }
        return Place(
            found["neighbourhood"][0] if found["neighbourhood"] else None,
            found["premises"][0] if found["premises"] else None,
            tuple(found["priority"]),
        )

    def crossings(self, a: Point, b: Point) -> list[Fraction]:
        """Every fraction of the way from ``a`` to ``b`` at which an edge is met, ascending, each once."""
        return sorted({f for area in self.areas for edge in area.edges for f in crossings(a, b, edge)})
