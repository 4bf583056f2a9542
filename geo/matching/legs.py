"""Where straight legs meet edges: the fractions of each leg at which something may change.

Between the map of cells and places: candidates come from the cells along the leg, doubles dismiss nearly all
of them, exact predicates settle the rest. What lies between two meetings is not said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.grid import spread
from geo.matching.predicates import TOLERANCE, meet, meet_exactly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.matching.cells import CellMap

_CELLS_AT_ONCE = 1 << 18

_LEG_MARGIN = 1e-6
"""Cells by which a leg's own way is widened; the edges' margin does the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Meets:
    """Meetings of legs with edges, sorted by leg, then fraction, each fraction of a leg once.

    Attributes:
        leg: ``int64[m]``.
        fraction: ``float64[m]``, 0 to 1, ends included; crossing and touching, and the two ends of what leg
            and edge share where they run along one line.
    """

    leg: NDArray[np.int64]
    fraction: NDArray[np.float64]


def meets(
    cells: CellMap,
    x0: NDArray[np.float64],
    y0: NDArray[np.float64],
    x1: NDArray[np.float64],
    y1: NDArray[np.float64],
) -> Meets:
    """Where legs meet edges; ``float64[n]`` each, finite, WGS84 degrees."""
    reach = np.cumsum(cells.grid.reach(x0, y0, x1, y1))
    found = [(np.empty(0, np.int64), np.empty(0))]
    at = 0
    while at < len(x0):
        before = reach[at - 1] if at else 0
        end = max(at + 1, int(np.searchsorted(reach, before + _CELLS_AT_ONCE, side="right")))
        part = slice(at, end)
        leg, fraction = _meets(cells, x0[part], y0[part], x1[part], y1[part])
        found.append((leg + at, fraction))
        at = end
    leg = np.concatenate([leg for leg, _ in found])
    fraction = np.concatenate([fraction for _, fraction in found])
    order = np.lexsort((fraction, leg))
    leg, fraction = leg[order], fraction[order]
    first = np.ones(len(leg), bool)
    first[1:] = (leg[1:] != leg[:-1]) | (fraction[1:] != fraction[:-1])
    return Meets(leg[first], fraction[first])


def _meets(
    cells: CellMap,
    x0: NDArray[np.float64],
    y0: NDArray[np.float64],
    x1: NDArray[np.float64],
    y1: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Meetings in no order, possibly repeated."""
    leg, edge = _candidates(cells, x0, y0, x1, y1)
    px, py, qx, qy = x0[leg], y0[leg], x1[leg], y1[leg]
    ux, uy, vx, vy = cells.edges.rows.take(edge, axis=0)[:, :4].T
    met = meet((px, py), (qx, qy), (ux, uy), (vx, vy))
    some = np.flatnonzero(~np.isnan(met.fraction))
    legs, fractions = [leg[some]], [met.fraction[some]]
    for at in np.flatnonzero(met.unsettled).tolist():
        ends = [Fraction(float(column[at])) for column in (px, py, qx, qy, ux, uy, vx, vy)]
        p, q, u, v = zip(ends[::2], ends[1::2], strict=True)
        exact = meet_exactly(p, q, u, v)
        legs.append(np.full(len(exact), leg[at]))
        fractions.append(np.array([float(fraction) for fraction in exact]))
    return np.concatenate(legs).astype(np.int64), np.concatenate(fractions)


def _candidates(
    cells: CellMap,
    x0: NDArray[np.float64],
    y0: NDArray[np.float64],
    x1: NDArray[np.float64],
    y1: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """``(leg, edge)`` pairs, each once: all that meet, and those for which doubles cannot tell."""
    leg, cell = cells.grid.trace(x0, y0, x1, y1, _LEG_MARGIN)
    code = cells.code.take(cell)
    near = np.flatnonzero(code < 0)
    place = -1 - code[near].astype(np.intp)
    first = cells.edges_from[place].astype(np.intp)
    which, pair = spread(first, cells.edges_from[place + 1] - first)
    leg, edge = leg[near][which], cells.edge[pair].astype(np.intp)

    # Are both ends of the leg on one side of the edge?
    ux, uy, vx, vy, a, b, _, _ = cells.edges.rows.take(edge, axis=0).T
    px, py, qx, qy = x0[leg], y0[leg], x1[leg], y1[leg]
    p = (px - ux) * a + (py - uy) * b
    q = (qx - ux) * a + (qy - uy) * b
    open_ = np.flatnonzero((np.minimum(p, q) <= TOLERANCE) & (np.maximum(p, q) >= -TOLERANCE))
    leg, edge, px, py = leg[open_], edge[open_], px[open_], py[open_]

    # Are both ends of the edge on one side of the leg?
    dx, dy = qx[open_] - px, qy[open_] - py
    u = dx * (uy[open_] - py) - dy * (ux[open_] - px)
    v = dx * (vy[open_] - py) - dy * (vx[open_] - px)
    near_leg = TOLERANCE * (np.abs(dx) + np.abs(dy))
    open_ = np.flatnonzero((np.minimum(u, v) <= near_leg) & (np.maximum(u, v) >= -near_leg))
    once = np.unique(leg[open_] * len(cells.edges) + edge[open_])
    return np.divmod(once, max(1, len(cells.edges)))
