"""The map of cells: what is known of the areas cell by cell, and how a point near an edge is decided.

Below places, above edges and grid: here a set of areas is a number (its *key*, the exclusive or of its
areas' keys), and which area wins is not said. Nearly every cell lies wholly in one set of areas. In a cell
that an edge touches, the set at a point follows from the set at a spot nearby by counting the edges on a way
between them: west along the point's latitude to just beyond the cell, then south. Each edge crossed lets its
owners begin or end, which on keys is one exclusive or.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.matching.grid import Grid, spread
from geo.matching.predicates import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from geo.matching.edges import Edges

    KeysAt = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.uint64]]

MARGIN = 1e-3
"""Cells; an edge that comes this near counts as touching, which is far more than any rounding error."""

_PAIRS_AT_ONCE = 1 << 20

_LEGS_AT_ONCE = 1 << 15

_CLEAR = 1e-5
"""Cells by which a point whose set of areas is to be a cell's reference should keep from its edges."""


class CellMap:
    """A grid whose cells know their sets of areas.

    Attributes:
        grid: the cells' places.
        code: ``int32[cells]``; an interior cell's index into ``keys`` (later its place number), or ``-1 − i``
            for the i-th edge cell.
        keys: ``uint64[k]``, the keys of the sets that fill whole cells.
        sample: ``float64[k, 2]``, for each of ``keys`` the lon and lat of a point that lies in just that set.
        edges_from: ``int32[e + 1]``, where in ``edge`` each edge cell begins.
        edge: ``int32[p]``, the edges that touch each edge cell.
    """

    code: NDArray[np.int32]
    keys: NDArray[np.uint64]
    sample: NDArray[np.float64]
    edges_from: NDArray[np.int32]
    edge: NDArray[np.int32]
    _y1: NDArray[np.float64]
    _clipped: NDArray[np.bool_]
    _base: NDArray[np.uint64]
    _edge_cells_before: NDArray[np.int32]

    def __init__(self, edges: Edges, grid: Grid, keys_at: KeysAt) -> None:
        """Builds the map.

        Args:
            edges: the areas' edges.
            grid: a grid over them.
            keys_at: the true keys at points, for the few spots where counting along rows cannot tell.

        Raises:
            ValueError: cells that are too large for edges so dense.
        """
        self.grid = grid
        self.edges = edges
        line, cell = grid.trace(*edges.ends, MARGIN)
        order = np.argsort(cell, kind="stable")
        cell, line = cell[order], line[order]
        fresh = np.ones(len(cell), bool)
        fresh[1:] = cell[1:] != cell[:-1]
        begin = np.flatnonzero(fresh)
        edge_cell = cell[begin]
        self.edges_from = np.append(begin, len(cell)).astype(np.int32)
        self.edge = line.astype(np.int32)
        self._clip(cell % grid.columns)
        along_rows = _Rows(edges, grid)
        self._fill(edge_cell, along_rows)
        self._calibrate(edge_cell, along_rows, keys_at)
        self._sum_up()

    @property
    def nbytes(self) -> int:
        """Bytes held by the map and the edges."""
        columns = (value for value in vars(self).values() if isinstance(value, np.ndarray))
        return sum(column.nbytes for column in columns) + self.edges.nbytes

    def keys_near(
        self, place: NDArray[np.intp], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """The sets of areas at points in edge cells.

        Args:
            place: ``intp[n]``, which edge cell each point lies in.
            x: ``float64[n]``, lon, degrees.
            y: ``float64[n]``, lat, degrees.

        Returns:
            ``(key, close)``: ``uint64[n]`` and ``bool[n]``; a point that is close to an edge's line needs an
            exact answer in place of this one.
        """
        key, close = self._crossed(place, x, y, TOLERANCE)
        key ^= self._base[place]
        return key, close

    def number(self, place: NDArray[np.int32]) -> None:
        """Give the interior cells the place number of their set of areas in place of its index.

        Args:
            place: ``int32[k]``, not negative, for each of ``keys``.
        """
        self.code = np.where(self.code < 0, self.code, place[np.maximum(self.code, 0)])

    def legs_near_edges(
        self,
        x0: NDArray[np.float64],
        y0: NDArray[np.float64],
        x1: NDArray[np.float64],
        y1: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """Which legs might meet an edge: those with an edge cell in their box; ``intp[k]``, rising."""
        busy = [np.empty(0, np.intp)]
        for at in range(0, len(x0), _LEGS_AT_ONCE):
            part = slice(at, at + _LEGS_AT_ONCE)
            column0, row0 = self.grid.column(x0[part]), self.grid.row(y0[part])
            column1, row1 = self.grid.column(x1[part]), self.grid.row(y1[part])
            cell = row0 * self.grid.columns + column0
            found = self.code.take(cell) < 0
            move = np.flatnonzero(((column0 != column1) | (row0 != row1)) & ~found)
            if len(move):
                column0, row0, column1, row1 = column0[move], row0[move], column1[move], row1[move]
                found[move] = self._edge_cells_in(
                    np.minimum(column0, column1),
                    np.minimum(row0, row1),
                    np.maximum(column0, column1) + 1,
                    np.maximum(row0, row1) + 1,
                )
            busy.append(np.flatnonzero(found) + at)
        return np.concatenate(busy)

    def _edge_cells_in(
        self, west: NDArray[np.intp], south: NDArray[np.intp], east: NDArray[np.intp], north: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Whether boxes of cells (their far sides excluded) hold an edge cell."""
        wide = self.grid.columns + 1
        count = self._edge_cells_before.take
        inside = count(north * wide + east) - count(north * wide + west)
        inside -= count(south * wide + east) - count(south * wide + west)
        found: NDArray[np.bool_] = inside > 0
        return found

    def _clip(self, column: NDArray[np.intp]) -> None:
        """Cut each cell's edges off at the meridian just west of the cell, where the way turns south."""
        edges, grid = self.edges, self.grid
        west = grid.lon + (column - MARGIN / 2) / grid.per_lon
        x1, y1, x2, y2 = (side[self.edge] for side in edges.ends)
        beyond = x2 < west
        self._clipped = (x1 < west) & ~beyond
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = y1 + (west - x1) * ((y2 - y1) / (x2 - x1))
        cut = np.clip(cut, np.minimum(y1, y2), np.maximum(y1, y2))
        self._y1 = np.where(self._clipped, cut, np.where(beyond, y2, y1))

    def _crossed(
        self, place: NDArray[np.intp], x: NDArray[np.float64], y: NDArray[np.float64], tolerance: float
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """What the way west and south from each point crosses, and whether the point is close to an edge."""
        first = self.edges_from[place].astype(np.intp)
        count = self.edges_from[place + 1] - first
        total = np.cumsum(count)
        if len(place) and total[-1] > _PAIRS_AT_ONCE and len(place) > 1:
            half = len(place) // 2
            parts = (slice(0, half), slice(half, None))
            done = [self._crossed(place[part], x[part], y[part], tolerance) for part in parts]
            return np.concatenate([key for key, _ in done]), np.concatenate([near for _, near in done])
        starts = total - count
        pair = np.arange(total[-1] if len(total) else 0, dtype=np.intp) + np.repeat(first - starts, count)
        edge = self.edges.rows.take(self.edge[pair], axis=0)
        x1, y1, _, y2, a, b, _, _ = edge.T
        px, py = np.repeat(x, count), np.repeat(y, count)
        distance = (px - x1) * a + (py - y1) * b
        above = self._y1[pair] > py
        # West: an edge whose ends lie on both sides of the latitude, and which the point is east of.
        # South: an edge cut off at the turning meridian, below the latitude; counted as "not above", since
        # a constant of the cell makes no difference.
        hit = ((above != (y2 > py)) & (distance > 0)) ^ (above & self._clipped[pair])
        key = edge.view(np.uint64)[:, 6] * hit
        near = np.abs(distance) <= tolerance
        if not len(place):
            return key, near
        close = np.zeros(len(place), bool)
        if near.any():
            close[np.searchsorted(total, np.flatnonzero(near), side="right")] = True
        return np.bitwise_xor.reduceat(key, starts), close

    def _fill(self, edge_cell: NDArray[np.intp], along_rows: _Rows) -> None:
        """Give each run of cells between edge cells the set that the row has there."""
        grid = self.grid
        cells = grid.columns * grid.rows
        # A run may go on from the end of one row to the beginning of the next: both are outside everything.
        start = np.concatenate([[0], edge_cell + 1])
        length = np.concatenate([edge_cell, [cells]]) - start
        run = np.flatnonzero(length)
        key = along_rows.keys(start[run] + 0.5)
        self.keys, sample, which = np.unique(key, return_index=True, return_inverse=True)
        cell = start[run][sample]
        self.sample = np.column_stack(self._degrees(cell, 0.5, 0.5))
        code = np.empty(2 * len(edge_cell) + 1, np.int32)
        code[1::2] = -1 - np.arange(len(edge_cell), dtype=np.int32)
        code[0::2][run] = which
        repeats = np.ones(len(code), np.intp)
        repeats[0::2] = length
        self.code = np.repeat(code, repeats)

    def _degrees(
        self, cell: NDArray[np.intp], right: float, up: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points at a given fraction of each cell's width and height."""
        row, column = np.divmod(cell, self.grid.columns)
        return (
            self.grid.lon + (column + right) / self.grid.per_lon,
            self.grid.lat + (row + up) / self.grid.per_lat,
        )

    def _calibrate(self, edge_cell: NDArray[np.intp], along_rows: _Rows, keys_at: KeysAt) -> None:
        """Find each edge cell's constant: what counting leaves over at a point whose set is known."""
        self._base = np.zeros(len(edge_cell), np.uint64)
        left = np.arange(len(edge_cell), dtype=np.intp)
        clear = _CLEAR / max(self.grid.per_lon, self.grid.per_lat)
        for right in (0.5, 0.25, 0.75, 0.1, 0.9):
            x, y = self._degrees(edge_cell[left], right, 0.5)
            key, near = self._crossed(left, x, y, clear)
            good = left[~near]
            self._base[good] = key[~near] ^ along_rows.keys(edge_cell[good] + right)
            left = left[near]
        # Cells crowded with edges, or with an edge along their middle: any clear point will do, at more cost.
        for step in range(1, 33):
            if not len(left):
                break
            x, y = self._degrees(edge_cell[left], (step * 0.754877666) % 1.0, (step * 0.569840291) % 1.0)
            key, near = self._crossed(left, x, y, max(clear * 0.5**step, 2 * TOLERANCE))
            good = left[~near]
            self._base[good] = key[~near] ^ keys_at(x[~near], y[~near])
            left = left[near]
        if len(left):
            raise ValueError(
                f"{len(left)} cells of {self.grid.cell_m:.3g} m are so full of edges that no point is clear "
                "of them; give a smaller cell size"
            )

    def _sum_up(self) -> None:
        """Count the edge cells south-west of each vertex (F. C. Crow, "Summed-area tables", 1984)."""
        grid = self.grid
        table = np.zeros((grid.rows + 1, grid.columns + 1), np.int32)
        inner = table[1:, 1:]
        np.cumsum((self.code < 0).reshape(grid.rows, grid.columns), axis=1, dtype=np.int32, out=inner)
        np.cumsum(inner, axis=0, out=inner)
        self._edge_cells_before = table.reshape(-1)


class _Rows:
    """Where each row's middle latitude enters and leaves areas, from west to east.

    Positions are ``row · columns + cells from the western edge``: the middle of a cell is at its number and a
    half.
    """

    def __init__(self, edges: Edges, grid: Grid) -> None:
        up1, up2 = grid.up(edges.ends[1]), grid.up(edges.ends[3])
        low = np.floor(np.minimum(up1, up2) - 0.5 - MARGIN).astype(np.intp)
        high = np.ceil(np.maximum(up1, up2) - 0.5 + MARGIN).astype(np.intp)
        edge, row = spread(low, high - low + 1)
        middle = grid.lat + (row + 0.5) / grid.per_lat
        x1, y1, x2, y2 = (side[edge] for side in edges.ends)
        over = (y1 > middle) != (y2 > middle)
        edge, row, middle = edge[over], row[over], middle[over]
        x1, y1, x2, y2 = x1[over], y1[over], x2[over], y2[over]
        at = row * grid.columns + grid.across(x1 + (middle - y1) * ((x2 - x1) / (y2 - y1)))
        order = np.argsort(at, kind="stable")
        self._at = at[order]
        # Rings close: at the end of each row every area that began has ended, and the next row starts empty.
        self._key = np.concatenate([[np.uint64(0)], np.bitwise_xor.accumulate(edges.key[edge][order])])

    def keys(self, position: NDArray[np.floating]) -> NDArray[np.uint64]:
        """The keys at positions well clear of edges."""
        key: NDArray[np.uint64] = self._key[np.searchsorted(self._at, position)]
        return key
