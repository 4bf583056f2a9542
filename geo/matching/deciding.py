"""The edges that decide, and which of them are within the error of a leg (accounting rule 14).

Above places, which tell the two sides of an edge apart; below the history of versions. An edge *decides*
where the ground on its two sides belongs to different decision classes: another neighbourhood wins, or there
is none, or premises begin. Edges of priority areas, and edges hidden beneath other areas, decide nothing.
Nothing of officers, patches or time.

Distances are measured in a plane, metres, whose scale is that of the leg's middle latitude: within the few
hundred metres of an error it differs from the great circle by less than the errors are known to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import Kind
from geo.matching.grid import METRES_PER_DEGREE, Grid, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from geo.areas import AreaSet

    Floats = NDArray[np.float64]
    ClassesAt = Callable[[Floats, Floats], list[str]]

NOTHING = 0
"""The number of the empty set of classes."""

_CELL_M = 50.0

_MARGIN = 1e-3
"""Cells; far more than any rounding error."""

_STEP = 1e-8
"""Degrees (1 mm) by which the two sides of an edge are asked about."""

_PAIRS_AT_ONCE = 1 << 18

_LEGS_AT_ONCE = 1 << 15

_COSINE_BITS = 2.0**30
"""A cosine is rounded to so many parts: its last bits, which processors round differently, decide nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """What is within the error of legs, piece by piece; legs that nothing is near to are not listed.

    Sorted by leg, then by start; the pieces of a listed leg tile it, and neighbours differ.

    Attributes:
        leg: ``int64[m]``, the leg's index among those asked for.
        start: ``float64[m]``, fraction of the leg, 0.0 for its first piece.
        classes: ``int32[m]``, numbers of ``DecidingEdges.sets``.
    """

    leg: NDArray[np.int64]
    start: NDArray[np.float64]
    classes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.leg)


class DecidingEdges:
    """The deciding edges of one set of areas, by cell.

    Attributes:
        sets: by number, the sets of decision classes met so far; grows. Not to be changed.
        ends: ``float64[n, 4]``, lon and lat of both ends of each deciding edge.
        sides: ``int32[n, 2]``, the numbers of the classes on its two sides.
    """

    def __init__(self, areas: AreaSet, classes_at: ClassesAt) -> None:
        """Finds the deciding edges.

        Args:
            areas: closed, valid sets.
            classes_at: the decision class of each point, ``float64[n]`` lon and lat in degrees.
        """
        self.sets: list[tuple[str, ...]] = [()]
        self._number_of_set: dict[tuple[str, ...], int] = {(): NOTHING}
        self._number_of_key: dict[int, int] = {}
        decide = np.array([kind is not Kind.PRIORITY for kind in areas.kind], np.bool_)
        self.ends = _noded(areas.geometry[decide])
        here, there = (classes_at(*side) for side in _sides(self.ends))
        names = sorted({*here, *there})
        number = {name: at for at, name in enumerate(names)}
        sides = np.array([[number[name] for name in each] for each in (here, there)], np.int32).reshape(2, -1)
        different = sides[0] != sides[1]
        self.ends, self.sides = self.ends[different], np.ascontiguousarray(sides[:, different].T)
        self._names = names
        self._key = np.random.Generator(np.random.PCG64(14)).integers(1, 2**63, len(names), dtype=np.uint64)
        self._index()

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def nbytes(self) -> int:
        """Bytes held by the columns."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def near(self, lon0: Floats, lat0: Floats, lon1: Floats, lat1: Floats, error_m: Floats) -> Near:
        """The classes on both sides of all deciding edges within the error of straight legs.

        The pieces of a leg depend on that leg and its error alone.

        Args:
            lon0: ``float64[n]``, where the legs start, WGS84 degrees; finite.
            lat0: ``float64[n]``.
            lon1: ``float64[n]``, where they end.
            lat1: ``float64[n]``.
            error_m: ``float64[n]``, metres, not negative.
        """
        busy = self._busy(lon0, lat0, lon1, lat1, error_m)
        found = [(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int32))]
        # Legs of like error and length are looked up together: the widest margin of a group is used for all.
        for part in self._groups(busy, lon0, lat0, lon1, lat1, error_m):
            legs = tuple(column[part] for column in (lon0, lat0, lon1, lat1, error_m))
            leg, start, classes = self._pieces(len(part), *self._intervals(*legs))
            found.append((part[leg], start, classes))
        leg, start, classes = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(leg, kind="stable")
        return Near(leg[order], start[order], classes[order])

    def union(self, one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
        """The numbers of the unions of sets, by their numbers, row by row."""
        pair = one.astype(np.int64) << 32 | other
        values, back = np.unique(pair, return_inverse=True)
        numbers = [
            self.number((*self.sets[value >> 32], *self.sets[value & 0xFFFFFFFF]))
            for value in values.tolist()
        ]
        return np.array(numbers, np.int32)[back]

    def number(self, classes: Iterable[str]) -> int:
        """The number of a set of classes, new where it was never met."""
        return self._intern(tuple(sorted(set(classes))))

    def with_legs(self, near: Near, legs: NDArray[np.int64], classes: NDArray[np.int32]) -> Near:
        """The same with sets of classes near to whole legs.

        Args:
            near: what is near piece by piece.
            legs: ``int64[k]``, rising.
            classes: ``int32[k]``, the number of the set that is near all along each.
        """
        if not len(legs):
            return near
        at = np.minimum(np.searchsorted(legs, near.leg), len(legs) - 1)
        told = legs[at] == near.leg
        number = near.classes.copy()
        number[told] = self.union(near.classes[told], classes[at[told]])
        known = np.zeros(len(legs), np.bool_)
        known[at[told]] = True
        new = np.flatnonzero(~known)
        leg = np.concatenate([near.leg, legs[new]])
        start = np.concatenate([near.start, np.zeros(len(new))])
        number = np.concatenate([number, classes[new]])
        order = np.argsort(leg, kind="stable")
        leg, start, number = leg[order], start[order], number[order]
        fresh = np.ones(len(leg), np.bool_)
        fresh[1:] = (leg[1:] != leg[:-1]) | (number[1:] != number[:-1])
        return Near(leg[fresh], start[fresh], number[fresh])

    # ── what is where ─────────────────────────────────────────────────────────────────────────────────────

    def _index(self) -> None:
        """Sorts the edges into cells, and counts the cells with edges south-west of each vertex."""
        x, y = self.ends[:, 0::2], self.ends[:, 1::2]
        bounds = (x.min(), y.min(), x.max(), y.max()) if len(self) else (0.0, 0.0, 0.0, 0.0)
        grid = self._grid = Grid.over(tuple(map(float, bounds)), _CELL_M)  # type: ignore[arg-type]
        edge, cell = grid.trace(x[:, 0], y[:, 0], x[:, 1], y[:, 1], _MARGIN)
        order = np.argsort(cell, kind="stable")
        self._edge = edge[order].astype(np.int32)
        count = np.bincount(cell, minlength=grid.columns * grid.rows)
        self._edges_from = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        table = np.zeros((grid.rows + 1, grid.columns + 1), np.int32)
        table[1:, 1:] = (count > 0).reshape(grid.rows, grid.columns).cumsum(axis=0).cumsum(axis=1)
        self._before = table.reshape(-1)

    def _busy(self, x0: Floats, y0: Floats, x1: Floats, y1: Floats, error_m: Floats) -> NDArray[np.intp]:
        """Legs with an edge's cell within the error of their box."""
        grid, wide = self._grid, self._grid.columns + 1
        found = [np.empty(0, np.intp)]
        if not len(self):
            return found[0]
        count = self._before.take
        for at in range(0, len(x0), _LEGS_AT_ONCE):
            part = slice(at, at + _LEGS_AT_ONCE)
            up = error_m[part] * (grid.per_lat / METRES_PER_DEGREE) + 2 * _MARGIN
            # No leg is so long that the cosine at its ends matters more than the half.
            across = (
                error_m[part] * (1.5 * grid.per_lon / METRES_PER_DEGREE) / _cosine(y0[part]) + 2 * _MARGIN
            )
            xa, xb = grid.across(x0[part]), grid.across(x1[part])
            ya, yb = grid.up(y0[part]), grid.up(y1[part])
            west = _clip(np.minimum(xa, xb) - across, grid.columns)
            east = _clip(np.maximum(xa, xb) + across, grid.columns) + 1
            south = _clip(np.minimum(ya, yb) - up, grid.rows) * wide
            north = (_clip(np.maximum(ya, yb) + up, grid.rows) + 1) * wide
            inside = count(north + east) - count(north + west) - count(south + east) + count(south + west)
            found.append(np.flatnonzero(inside) + at)
        return np.concatenate(found)

    def _groups(
        self, busy: NDArray[np.intp], x0: Floats, y0: Floats, x1: Floats, y1: Floats, error_m: Floats
    ) -> list[NDArray[np.intp]]:
        """Busy legs in groups of like reach, each of bounded size."""
        if not len(busy):
            return []
        margin = np.ceil(np.log2(np.maximum(error_m[busy], 1.0) / _CELL_M) * 2).astype(np.int64)
        cells = self._grid.reach(x0[busy], y0[busy], x1[busy], y1[busy])
        groups = []
        for value in np.unique(margin).tolist():
            rows = np.flatnonzero(margin == value)
            size = np.cumsum(cells[rows] * (1 + int(2.0 ** (value / 2))) * 2)
            at = 0
            while at < len(rows):
                before = size[at - 1] if at else 0
                end = max(at + 1, int(np.searchsorted(size, before + _PAIRS_AT_ONCE, side="right")))
                groups.append(busy[rows[at:end]])
                at = end
        return groups

    def _intervals(
        self, x0: Floats, y0: Floats, x1: Floats, y1: Floats, error_m: Floats
    ) -> tuple[NDArray[np.int64], NDArray[np.intp], Floats, Floats]:
        """``(leg, edge, from, to)``: the fractions of legs that are within the error of an edge."""
        grid = self._grid
        widest = float(error_m.max())
        squeeze = float(_cosine(np.array([y0.min(), y0.max(), y1.min(), y1.max()])).min())
        margin = 1.01 * widest / METRES_PER_DEGREE * max(grid.per_lat, grid.per_lon / squeeze) + _MARGIN
        leg, cell = grid.trace(x0, y0, x1, y1, margin)
        row, pair = spread(
            self._edges_from[cell].astype(np.intp), (self._edges_from[cell + 1] - self._edges_from[cell])
        )
        # An edge may come up from several cells: what it says twice is said once below.
        leg, edge = leg[row], self._edge[pair].astype(np.intp)

        scale = np.rint(_cosine((y0 + y1) / 2) * _COSINE_BITS) / _COSINE_BITS * METRES_PER_DEGREE
        dx, dy = (x1 - x0) * scale, (y1 - y0) * METRES_PER_DEGREE
        ux, uy, vx, vy = self.ends.take(edge, axis=0).T
        across, error = scale[leg], error_m[leg]
        start = (x0[leg] - ux) * across, (y0[leg] - uy) * METRES_PER_DEGREE
        way = dx[leg], dy[leg]
        side = (vx - ux) * across, (vy - uy) * METRES_PER_DEGREE
        # Most pairs are in cells side by side and still too far apart, as their boxes tell.
        close = np.ones(len(leg), np.bool_)
        for p, d, v in zip(start, way, side, strict=True):
            close &= (p + np.minimum(d, 0.0) - error <= np.maximum(v, 0.0)) & (
                p + np.maximum(d, 0.0) + error >= np.minimum(v, 0.0)
            )
        rows = np.flatnonzero(close)
        px, py, dx, dy, vx, vy = (column[rows] for column in (*start, *way, *side))
        low, high = _within((px, py), (dx, dy), (vx, vy), error[rows])
        real = np.flatnonzero(low < high)
        return leg[rows[real]], edge[rows[real]], low[real], high[real]

    # ── from edges to sets of classes ─────────────────────────────────────────────────────────────────────

    def _pieces(
        self, count: int, leg: NDArray[np.int64], edge: NDArray[np.intp], low: Floats, high: Floats
    ) -> tuple[NDArray[np.int64], Floats, NDArray[np.int32]]:
        """Intervals of edges → pieces of legs, of which there are ``count``, with the set of classes near."""
        met = np.zeros(count, np.bool_)
        met[leg] = True
        legs = np.flatnonzero(met)
        at = (np.cumsum(met) - 1)[leg]
        # Every instant at which an edge comes near or is left, once; and the legs' starts and ends.
        owner = np.concatenate([at, at, np.arange(len(legs)), np.arange(len(legs))])
        time = np.concatenate([low, high, np.zeros(len(legs)), np.ones(len(legs))])
        order = np.lexsort((time, owner))
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = (owner[order][1:] != owner[order][:-1]) | (time[order][1:] != time[order][:-1])
        mark = np.empty(len(order), np.int64)
        mark[order] = np.cumsum(fresh) - 1
        owner, time = owner[order][fresh], time[order][fresh]

        first, last = mark[: len(at)], mark[len(at) : 2 * len(at)]
        which, cell = spread(first, last - first)
        classes = self.sides[edge[which]]
        pairs = np.unique(
            np.concatenate([cell * len(self._names) + classes[:, side] for side in (0, 1)])
            if len(cell)
            else np.empty(0, np.int64)
        )
        cell, name = np.divmod(pairs, max(1, len(self._names)))
        key = np.zeros(len(time), np.uint64)
        begin = np.flatnonzero(np.diff(cell, prepend=-1))
        if len(cell):
            key[cell[begin]] = np.bitwise_xor.reduceat(self._key[name], begin)
        number = self._numbers(key, cell, name, begin)
        # The mark at a leg's end opens nothing.
        opens = np.ones(len(time), np.bool_)
        opens[mark[2 * len(at) + len(legs) :]] = False
        owner, time, number = owner[opens], time[opens], number[opens]
        new = np.ones(len(owner), np.bool_)
        new[1:] = (owner[1:] != owner[:-1]) | (number[1:] != number[:-1])
        return legs[owner[new]], time[new], number[new]

    def _numbers(
        self,
        key: NDArray[np.uint64],
        cell: NDArray[np.int64],
        name: NDArray[np.int64],
        begin: NDArray[np.intp],
    ) -> NDArray[np.int32]:
        """Keys of sets → their numbers; a set met for the first time is written out."""
        values, first, back = np.unique(key, return_index=True, return_inverse=True)
        end = np.append(begin[1:], len(cell))
        numbers = np.zeros(len(values), np.int32)
        for at, value in enumerate(values.tolist()):
            if value == 0:
                continue
            known = self._number_of_key.get(value)
            if known is None:
                row = int(np.searchsorted(cell[begin], first[at]))
                members = name[begin[row] : end[row]].tolist()
                known = self.number(self._names[member] for member in members)
                self._number_of_key[value] = known
            numbers[at] = known
        return numbers[back]

    def _intern(self, classes: tuple[str, ...]) -> int:
        number = self._number_of_set.setdefault(classes, len(self.sets))
        if number == len(self.sets):
            self.sets.append(classes)
        return number


def _noded(geometry: NDArray[np.object_]) -> Floats:
    """All edges of areas, cut wherever they meet one another, each once: ``float64[n, 4]``."""
    lines = shapely.union_all(shapely.boundary(geometry)) if len(geometry) else None
    if lines is None:
        return np.empty((0, 4))
    vertex, line = shapely.get_coordinates(shapely.get_parts(lines), return_index=True)
    same = line[1:] == line[:-1]
    return np.hstack([vertex[:-1][same], vertex[1:][same]])


def _sides(ends: Floats) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """A point just left, and one just right of the middle of each edge."""
    x1, y1, x2, y2 = np.ascontiguousarray(ends.T)
    squeeze = _cosine((y1 + y2) / 2)
    dx, dy = (x2 - x1) * squeeze, y2 - y1
    length = np.hypot(dx, dy)
    step_x, step_y = -dy / length * _STEP / squeeze, dx / length * _STEP
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return (x + step_x, y + step_y), (x - step_x, y - step_y)


def _cosine(lat: Floats) -> Floats:
    """Cosines of latitudes in degrees, never quite nothing; of contiguous memory (see
    ``stream.core.stays``).
    """
    cosine: Floats = np.maximum(np.cos(np.radians(np.ascontiguousarray(lat))), 1e-6)
    return cosine


def _clip(cells: Floats, size: int) -> NDArray[np.intp]:
    cells = np.fmin(np.fmax(cells, 0.0), size - 1.0)
    return cells.astype(np.intp)


def _within(
    start: tuple[Floats, Floats], way: tuple[Floats, Floats], edge: tuple[Floats, Floats], error: Floats
) -> tuple[Floats, Floats]:
    """From which to which fraction a leg is within the error of an edge; ``from ≥ to`` where never.

    The points within the error of an edge are those of a rectangle along it and of a disc at either end: a
    convex set, so that a straight leg has one interval in it, the hull of its intervals in the three.

    Args:
        start: ``float64[n]`` x and y of where the leg starts, metres from the edge's first end.
        way: x and y from the leg's start to its end.
        edge: x and y of the edge's second end.
        error: metres.
    """
    (px, py), (dx, dy), (vx, vy) = start, way, edge
    low, high = np.full(len(px), np.inf), np.full(len(px), -np.inf)

    def widen(a: Floats, b: Floats) -> None:
        some = a <= b
        low[some] = np.minimum(low[some], a[some])
        high[some] = np.maximum(high[some], b[some])

    speed = dx * dx + dy * dy
    still = speed == 0
    divisor = np.where(still, 1.0, speed)
    for qx, qy in ((px, py), (px - vx, py - vy)):
        half = qx * dx + qy * dy
        rest = qx * qx + qy * qy - error * error
        under = half * half - speed * rest
        root = np.sqrt(np.maximum(under, 0.0))
        a = np.where(still, -np.inf, (-half - root) / divisor)
        b = np.where(still, np.inf, (-half + root) / divisor)
        never = np.where(still, rest > 0, under < 0)
        widen(np.where(never, np.inf, a), np.where(never, -np.inf, b))
    square = vx * vx + vy * vy
    reach = error * np.sqrt(square)
    a, b = _between(vx * py - vy * px, vx * dy - vy * dx, -reach, reach)
    c, d = _between(vx * px + vy * py, vx * dx + vy * dy, np.zeros(len(px)), square)
    widen(np.maximum(a, c), np.minimum(b, d))
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def _between(value: Floats, slope: Floats, least: Floats, most: Floats) -> tuple[Floats, Floats]:
    """For which ``t`` it holds that ``least ≤ value + t · slope ≤ most``."""
    flat = slope == 0
    divisor = np.where(flat, 1.0, slope)
    a, b = (least - value) / divisor, (most - value) / divisor
    inside = (least <= value) & (value <= most)
    low = np.where(flat, np.where(inside, -np.inf, np.inf), np.minimum(a, b))
    high = np.where(flat, np.where(inside, np.inf, -np.inf), np.maximum(a, b))
    return low, high
