"""Exact plane geometry: sides, meetings and containment.

Two ways with equal answers. Arrays go through double-double arithmetic (T. J. Dekker, "A floating-point
technique for extending the available precision", 1971), which settles nearly everything and says where it did
not. What is left goes, one at a time, through fractions, which hold a double exactly. Coordinates only: no
cells.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-12
"""Degrees (0.1 µm). Plain doubles err by less than a tenth of it in the distance of a point from a line less
than ten degrees away; so whatever they put farther off than this is on the side that they say."""

_CERTAIN = 2.0**-96
"""Relative error that a double-double cross product stays well below."""

_SPLITTER = 134_217_729.0  # 2**27 + 1

_TINY = 1e-200  # below this, partial products may have underflowed

Point = tuple[Fraction, Fraction]
"""Lon and lat, exactly."""

Columns = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""Lon and lat of many points, or a column of doubles with what was rounded off them."""


class Meetings(NamedTuple):
    """What :func:`meet` says of pairs of a leg and an edge.

    Attributes:
        fraction: ``float64[n]``, where on the leg they meet, correctly rounded but for near-ties; NaN where
            they do not meet.
        unsettled: ``bool[n]``, needs :func:`meet_exactly` (along one line, or too close to call).
    """

    fraction: NDArray[np.float64]
    unsettled: NDArray[np.bool_]


def _difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> Columns:
    """``a − b`` as rounded value and exact rest."""
    s = a - b
    part = a - s
    return s, (a - (s + part)) + (part - b)


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> Columns:
    """``a · b`` as rounded value and exact rest (short of underflow)."""
    p = a * b
    big = a * _SPLITTER
    a1 = big - (big - a)
    a2 = a - a1
    big = b * _SPLITTER
    b1 = big - (big - b)
    b2 = b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


class _Side(NamedTuple):
    """A cross product: value ``high + low``, and its sign where that is certain."""

    high: NDArray[np.float64]
    low: NDArray[np.float64]
    sign: NDArray[np.int8]
    certain: NDArray[np.bool_]


def _cross(ax: Columns, ay: Columns, bx: Columns, by: Columns) -> _Side:
    """``ax · by − ay · bx`` of vectors given as doubles with their rests."""
    p, p_rest = _product(ax[0], by[0])
    q, q_rest = _product(ay[0], bx[0])
    whole = (ax[1] == 0) & (ay[1] == 0) & (bx[1] == 0) & (by[1] == 0)
    # Two exact products that are equal in both parts differ by exactly nothing.
    zero = whole & (p == q) & (p_rest == q_rest) & ((np.abs(p) > _TINY) | (_none(ax, by) & _none(ay, bx)))
    p_rest = p_rest + (ax[0] * by[1] + ax[1] * by[0])
    q_rest = q_rest + (ay[0] * bx[1] + ay[1] * bx[0])
    s, rest = _difference(p, q)
    rest = rest + (p_rest - q_rest)
    high = s + rest
    low = (s - high) + rest
    size = np.abs(high)
    certain = zero | (size > _CERTAIN * (np.abs(p) + np.abs(q)) + _TINY)
    return _Side(high, low, np.where(zero, 0.0, np.sign(high)).astype(np.int8), certain)


def _none(a: Columns, b: Columns) -> NDArray[np.bool_]:
    """Whether a product is exactly zero because a factor is."""
    nothing: NDArray[np.bool_] = (a[0] == 0) | (b[0] == 0)
    return nothing


def meet(p: Columns, q: Columns, u: Columns, v: Columns) -> Meetings:
    """Where legs p → q meet edges u – v; ``float64[n]`` columns, degrees. Each pair is independent."""
    (px, py), (qx, qy), (ux, uy), (vx, vy) = p, q, u, v
    leg = _difference(qx, px), _difference(qy, py)
    edge = _difference(vx, ux), _difference(vy, uy)
    up = _difference(px, ux), _difference(py, uy)
    side_p = _cross(*edge, *up)
    side_q = _cross(*edge, _difference(qx, ux), _difference(qy, uy))
    side_u = _cross(*leg, _difference(ux, px), _difference(uy, py))
    side_v = _cross(*leg, _difference(vx, px), _difference(vy, py))
    along = (side_p.sign == 0) & (side_q.sign == 0)
    apart = (side_p.certain & side_q.certain & (side_p.sign * side_q.sign > 0)) | (
        side_u.certain & side_v.certain & (side_u.sign * side_v.sign > 0)
    )
    certain = side_p.certain & side_q.certain & side_u.certain & side_v.certain
    unsettled = ~apart & (~certain | along)
    meets = ~apart & ~unsettled
    # fraction = p / (p − q), and one step of refinement with what the first quotient left over.
    p_high, p_low = np.where(meets, side_p.high, 0.0), np.where(meets, side_p.low, 0.0)
    d_high, rest = _difference(p_high, np.where(meets, side_q.high, -1.0))
    d_low = rest + (p_low - np.where(meets, side_q.low, 0.0))
    first = p_high / d_high
    back, back_rest = _product(first, d_high)
    left = (p_high - back) - back_rest + p_low - first * d_low
    fraction = np.where(side_p.sign == 0, 0.0, np.where(side_q.sign == 0, 1.0, first + left / d_high))
    return Meetings(np.where(meets, fraction, np.nan), unsettled)


def meet_exactly(p: Point, q: Point, u: Point, v: Point) -> list[Fraction]:
    """Where on the leg p → q it meets the edge u – v: nowhere, at one fraction, or from one to another."""
    leg = q[0] - p[0], q[1] - p[1]
    edge = v[0] - u[0], v[1] - u[1]
    gap = u[0] - p[0], u[1] - p[1]
    turn = leg[0] * edge[1] - leg[1] * edge[0]
    offset = gap[0] * leg[1] - gap[1] * leg[0]
    if turn:
        fraction = (gap[0] * edge[1] - gap[1] * edge[0]) / turn
        return [fraction] if 0 <= fraction <= 1 and 0 <= offset / turn <= 1 else []
    if offset or not (leg[0] or leg[1]):
        return []
    length = leg[0] ** 2 + leg[1] ** 2
    ends = sorted(((end[0] - p[0]) * leg[0] + (end[1] - p[1]) * leg[1]) / length for end in (u, v))
    low, high = max(ends[0], Fraction(0)), min(ends[1], Fraction(1))
    return [low, high] if low <= high else []


def covers_exactly(
    x1: NDArray[np.float64],
    y1: NDArray[np.float64],
    x2: NDArray[np.float64],
    y2: NDArray[np.float64],
    point: Point,
) -> bool:
    """Whether a closed area, given by all edges of all its rings, contains a point (rule 5)."""
    px, py = point
    x, y = float(px), float(py)
    near = TOLERANCE
    # Doubles find the edges at the point's height and to its west; only those are asked exactly.
    level = (np.minimum(y1, y2) <= y + near) & (np.maximum(y1, y2) >= y - near)
    inside = False
    for at in np.flatnonzero(level & (np.minimum(x1, x2) <= x + near)).tolist():
        ux, uy, vx, vy = (Fraction(float(column[at])) for column in (x1, y1, x2, y2))
        side = (vx - ux) * (py - uy) - (vy - uy) * (px - ux)
        if side == 0 and min(ux, vx) <= px <= max(ux, vx) and min(uy, vy) <= py <= max(uy, vy):
            return True
        if (uy > py) != (vy > py) and (side < 0) == (vy > uy):
            inside = not inside
    return inside
