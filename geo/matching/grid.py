"""The grid over the areas: which cell a point falls in, and which cells a line passes through.

Arithmetic on columns only: what a cell knows of places is not said here. A cell's number is
``row * columns + column``, counted from the south-west. The outermost cells are never reached by an area, so
that everything beyond the grid, and NaN, may be sent to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRES_PER_DEGREE = 6_371_008.8 * np.pi / 180.0
"""Length of a degree of latitude on the sphere of the accounting rules."""

MAX_CELLS = 1 << 24
"""Cells outgrow the size asked for rather than exceed this number. At 8 bytes each it bounds the memory."""

_BORDER = 1.5
"""Cells left free around the areas: one whole cell, and half of one for all rounding."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of equal degrees; equal metres too, as far as the middle latitude goes.

    Attributes:
        lon: western edge of column 0, degrees.
        lat: southern edge of row 0, degrees.
        per_lon: columns in a degree.
        per_lat: rows in a degree.
        columns: at least 3.
        rows: at least 3.
        cell_m: the cells' height, metres, as it came out.
    """

    lon: float
    lat: float
    per_lon: float
    per_lat: float
    columns: int
    rows: int
    cell_m: float

    @classmethod
    def over(cls, bounds: tuple[float, float, float, float], cell_m: float) -> Grid:
        """A grid over a box of degrees.

        Args:
            bounds: west, south, east, north.
            cell_m: the cells' size in metres; they come out larger where ``MAX_CELLS`` asks for it.
        """
        west, south, east, north = bounds
        # Near a pole a degree of longitude shrinks to nothing; there the cells may as well be narrow.
        squeeze = max(0.01, float(np.cos(np.radians((south + north) / 2.0))))
        while True:
            per_lat = METRES_PER_DEGREE / cell_m
            per_lon = per_lat * squeeze
            columns = int((east - west) * per_lon) + 4
            rows = int((north - south) * per_lat) + 4
            if columns * rows <= MAX_CELLS:
                lon, lat = west - _BORDER / per_lon, south - _BORDER / per_lat
                return cls(lon, lat, per_lon, per_lat, columns, rows, cell_m)
            cell_m *= max(1.01, float(np.sqrt(columns * rows / MAX_CELLS)))

    def across(self, lon: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitudes in cells from the western edge. Never falls where longitude rises, rounding included."""
        return (lon - self.lon) * self.per_lon

    def up(self, lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Latitudes in cells from the southern edge. Never falls where latitude rises."""
        return (lat - self.lat) * self.per_lat

    def column(self, lon: NDArray[np.float64]) -> NDArray[np.intp]:
        """Columns of longitudes; beyond the grid and NaN: an outermost column."""
        x = self.across(lon)
        np.fmax(x, 0.0, out=x)  # unlike maximum, turns NaN into 0
        np.fmin(x, self.columns - 1.0, out=x)
        column: NDArray[np.intp] = x.astype(np.intp)
        return column

    def row(self, lat: NDArray[np.float64]) -> NDArray[np.intp]:
        """Rows of latitudes; beyond the grid and NaN: an outermost row."""
        y = self.up(lat)
        np.fmax(y, 0.0, out=y)
        np.fmin(y, self.rows - 1.0, out=y)
        row: NDArray[np.intp] = y.astype(np.intp)
        return row

    def cell(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.intp]:
        """Cell numbers of points; beyond the grid and NaN: an outermost cell."""
        cell = self.row(lat)
        cell *= self.columns
        cell += self.column(lon)
        return cell

    def reach(
        self,
        lon0: NDArray[np.float64],
        lat0: NDArray[np.float64],
        lon1: NDArray[np.float64],
        lat1: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """An upper bound of the cells that each line meets, to cut a batch into bounded pieces."""
        across = np.abs(self.column(lon1) - self.column(lon0))
        cells: NDArray[np.intp] = 3 * (across + np.abs(self.row(lat1) - self.row(lat0)) + 3)
        return cells

    def trace(
        self,
        lon0: NDArray[np.float64],
        lat0: NDArray[np.float64],
        lon1: NDArray[np.float64],
        lat1: NDArray[np.float64],
        margin: float,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The cells that straight lines pass, or come within ``margin`` cells of.

        Returns:
            ``(line, cell)``, ``intp[m]`` each, by line and by column; never a cell too few, now and then one
            at a vertex too many. What lies beyond the grid is left out.
        """
        swap = lon1 < lon0
        xa, xb = self.across(np.where(swap, lon1, lon0)), self.across(np.where(swap, lon0, lon1))
        ya, yb = self.up(np.where(swap, lat1, lat0)), self.up(np.where(swap, lat0, lat1))
        first = np.clip(np.floor(xa - margin), 0, self.columns).astype(np.intp)
        last = np.clip(np.floor(xb + margin), -1, self.columns - 1).astype(np.intp)
        line, column = spread(first, np.maximum(last - first + 1, 0))
        # Within a column the line spans the heights at the two sides of the column, or at its own ends.
        width = xb - xa
        steep = width < 1e-9
        slope = np.where(steep, 0.0, (yb - ya) / np.where(steep, 1.0, width))
        xa_, xb_, ya_, slope_ = xa[line], xb[line], ya[line], slope[line]
        left = ya_ + (np.clip(column - margin, xa_, xb_) - xa_) * slope_
        right = ya_ + (np.clip(column + (1.0 + margin), xa_, xb_) - xa_) * slope_
        if steep.any():
            upright = steep[line]
            left = np.where(upright, ya_, left)
            right = np.where(upright, yb[line], right)
        # The height at a line's own end comes out rounded; the margin is far larger than that.
        low = np.clip(np.floor(np.minimum(left, right) - margin), 0, self.rows).astype(np.intp)
        high = np.clip(np.floor(np.maximum(left, right) + margin), -1, self.rows - 1).astype(np.intp)
        part, row = spread(low, np.maximum(high - low + 1, 0))
        return line[part], row * self.columns + column[part]


def spread(first: NDArray[np.intp], count: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Ranges written out: ``(index of the range, member)``, ``intp[sum(count)]`` each."""
    index = np.repeat(np.arange(len(count), dtype=np.intp), count)
    before = np.cumsum(count) - count
    return index, np.arange(len(index), dtype=np.intp) + np.repeat(first - before, count)
