"""The edges of all areas, each once, as columns.

Between the areas' rings and the grid: what a ring was is forgotten here, only whose edge it is remains. An
edge that two neighbours share is one edge with two owners. Nothing of cells or places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.areas import AreaSet

    Sides = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Distinct edges of the areas, from west to east (south to north where upright).

    The line through an edge is ``(x − x1)·a + (y − y1)·b = 0`` with ``(a, b)`` of length 1 and ``a ≥ 0``:
    what the left side gives for a point is its distance from the line in degrees, positive to the east.

    Attributes:
        rows: ``float64[n, 8]``, what is known of each edge, in one line of the processor's cache: x1, y1
            (western end, degrees), x2, y2, a, b, the bits of the key, nothing.
        of_area: ``int32[k]``, the edges of area 0, then of area 1, and so on.
        area_from: ``int64[areas + 1]``, where in ``of_area`` each area begins.
        area_key: ``uint64[areas]``.
    """

    rows: NDArray[np.float64]
    of_area: NDArray[np.int32]
    area_from: NDArray[np.int64]
    area_key: NDArray[np.uint64]

    @classmethod
    def of_areas(cls, areas: AreaSet) -> Edges:
        """Take the areas' rings apart."""
        parts, part_area = shapely.get_parts(areas.geometry, return_index=True)
        rings, ring_part = shapely.get_rings(parts, return_index=True)
        vertex, vertex_ring = shapely.get_coordinates(rings, return_index=True)
        vertex = vertex + 0.0  # no negative zero: equal edges shall be equal bit by bit
        here, there = vertex[:-1], vertex[1:]
        real = (vertex_ring[:-1] == vertex_ring[1:]) & (here != there).any(axis=1)
        here, there = here[real], there[real]
        area = part_area[ring_part[vertex_ring[:-1][real]]]
        back = (here[:, 0] > there[:, 0]) | ((here[:, 0] == there[:, 0]) & (here[:, 1] > there[:, 1]))
        ends = np.where(back[:, None], np.hstack([there, here]), np.hstack([here, there]))

        area_key = _keys(len(areas))
        order = np.argsort(_mix(ends), kind="stable")
        ends = ends[order]
        # Two different edges may mix to the same number; then an edge may stay double, which does no harm.
        fresh = np.ones(len(ends), bool)
        fresh[1:] = (ends[1:] != ends[:-1]).any(axis=1)
        start = np.flatnonzero(fresh)
        key = np.bitwise_xor.reduceat(area_key[area[order]], start) if len(start) else np.empty(0, np.uint64)
        of_area = np.empty(len(ends), np.int32)
        of_area[order] = np.cumsum(fresh) - 1

        rows = np.zeros((len(start), 8))
        rows[:, :4] = ends[start]
        dx, dy = rows[:, 2] - rows[:, 0], rows[:, 3] - rows[:, 1]
        flip = np.where(dy < 0, -1.0, 1.0) / np.hypot(dx, dy)
        rows[:, 4], rows[:, 5] = dy * flip, -dx * flip
        rows.view(np.uint64)[:, 6] = key
        return cls(
            rows=rows,
            of_area=of_area,
            area_from=np.searchsorted(area, np.arange(len(areas) + 1)).astype(np.int64),
            area_key=area_key,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ends(self) -> Sides:
        """``x1, y1, x2, y2``, ``float64[n]`` each."""
        x1, y1, x2, y2 = self.rows[:, :4].T
        return x1, y1, x2, y2

    @property
    def key(self) -> NDArray[np.uint64]:
        """``uint64[n]``, the exclusive or of the owners' keys."""
        return self.rows.view(np.uint64)[:, 6]

    def of(self, area: int) -> NDArray[np.float64]:
        """``float64[4, k]``, the ends of an area's own edges, in no order."""
        mine = self.of_area[self.area_from[area] : self.area_from[area + 1]]
        return self.rows[mine, :4].T

    @property
    def nbytes(self) -> int:
        """Bytes held by the columns."""
        return sum(getattr(self, name).nbytes for name in self.__slots__)


def _keys(count: int) -> NDArray[np.uint64]:
    """One fixed 64-bit number an area, so that the exclusive or of several stands for the set of them.

    (SplitMix64: G. Steele and others, "Fast splittable pseudorandom number generators", 2014.) That two sets
    met in a force's areas share a number has odds of less than one in a billion billion per pair of sets.
    """
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _mix(ends: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A number for each row of bits, equal for equal rows."""
    bits = np.ascontiguousarray(ends).view(np.uint64)
    mixed = np.zeros(len(bits), np.uint64)
    with np.errstate(over="ignore"):
        for column in bits.T:
            mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
    return mixed
