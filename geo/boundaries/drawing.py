"""Shapes as SVG: degrees to a drawing true to scale, north up.

For the pages that findings and differences are shown on: paths and circles as text, and nothing about what
they mean. No script, no request: a page can be mailed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTH = 1_000.0
"""The longer side of a drawing, in its own units."""


@dataclass(frozen=True, slots=True)
class MapFrame:
    """Where a drawing lies and how degrees become its units.

    Attributes:
        west: the left edge, degrees.
        north: the upper edge, degrees.
        x: units in a degree of longitude.
        y: units in a degree of latitude.
        view: the ``viewBox``, with a margin.
    """

    west: float
    north: float
    x: float
    y: float
    view: str

    @classmethod
    def around(cls, shapes: Sequence[Any]) -> Self:
        """A frame that holds all shapes (WGS84 degrees); one degree square where there are none."""
        bounds = shapely.total_bounds(np.array(shapes, dtype=object)) if shapes else np.full(4, np.nan)
        west, south, east, north = (float(value) for value in bounds)
        if not math.isfinite(west):
            west, south, east, north = 0.0, 0.0, 1.0, 1.0
        squeeze = max(0.01, math.cos(math.radians((south + north) / 2)))
        scale = WIDTH / max((east - west) * squeeze, north - south, 1e-6)
        x, y = scale * squeeze, scale
        width, height = max(1.0, (east - west) * x), max(1.0, (north - south) * y)
        return cls(west, north, x, y, f"-10 -10 {width + 20:.1f} {height + 20:.1f}")

    def xy(self, shape: Any) -> NDArray[np.float64]:
        """Vertices of a shape in the drawing's units: ``float64[n, 2]``."""
        moved = shapely.get_coordinates(shape) - (self.west, self.north)
        return np.asarray(moved * (self.x, -self.y), dtype=np.float64)

    def path(self, shape: Any) -> str:
        """The ``d`` of a ``path``: the rings of a shape's polygons and its lines; nothing for points."""
        steps = []
        for part in shapely.get_parts(shapely.get_parts([shape])):
            rings = shapely.get_rings(part) if part.geom_type == "Polygon" else [part]
            steps += [
                "M"
                + "L".join(f"{x:.3f} {y:.3f}" for x, y in self.xy(ring))
                + ("Z" if ring.geom_type == "LinearRing" else "")
                for ring in rings
                if ring.geom_type in ("LineString", "LinearRing")
            ]
        return "".join(steps)
