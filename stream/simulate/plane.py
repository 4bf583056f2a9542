"""The plane: metres around a point, so that a town can be drawn with a ruler.

A map from degrees to metres that keeps straight lines straight. Nothing else comes in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EARTH_RADIUS_M = 6_371_008.8
DEGREE_M = math.radians(1.0) * EARTH_RADIUS_M
"""Metres in a degree of latitude."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east and north of an origin given in WGS84 degrees; good for some tens of kilometres."""

    lon: float
    lat: float

    @classmethod
    def around(cls, west: float, south: float, east: float, north: float) -> Plane:
        """The plane around the middle of some bounds, degrees."""
        return cls(float(west + east) / 2, float(south + north) / 2)

    @property
    def lon_degree_m(self) -> float:
        """Metres in a degree of longitude at the origin."""
        return DEGREE_M * math.cos(math.radians(self.lat))

    def metres(self, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[n, 2]`` (lon, lat) to ``float64[n, 2]`` (east, north)."""
        return (degrees - (self.lon, self.lat)) * (self.lon_degree_m, DEGREE_M)

    def degrees(self, metres: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[n, 2]`` (east, north) to ``float64[n, 2]`` (lon, lat), on a lattice of 1e-6 degrees."""
        exact = metres / (self.lon_degree_m, DEGREE_M) + (self.lon, self.lat)
        return np.round(exact, 6)
