"""The truth: what each officer's time was, known from the true path and not from any report.

Straight lines against polygons with shapely, nothing of the accounting's own code: this is what the counted
figures are measured against. Reports and their errors may not come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.simulate.patrols import Path

_BREAK, _NOT_VISIBLE, _OFF_DUTY = (4,), (8, 9, 10), 11


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """True time by activity (rule 11 with perfect knowledge), one row a duty; it sums to the duty's length.

    Attributes:
        officer_id: who.
        duty_id: which duty.
        on_patch: ``int64[n]``, microseconds.
        off_patch: ``int64[n]``, microseconds.
        not_visible: ``int64[n]``, microseconds.
        rest: ``int64[n]``, microseconds of ``break``.
    """

    officer_id: tuple[str, ...]
    duty_id: tuple[str, ...]
    on_patch: NDArray[np.int64]
    off_patch: NDArray[np.int64]
    not_visible: NDArray[np.int64]
    rest: NDArray[np.int64]

    def share(self, rows: Sequence[int] | None = None) -> float:
        """``on_patch / duty`` of some rows together, of all by default (rule 13)."""
        at = np.arange(len(self.duty_id)) if rows is None else np.asarray(rows)
        duty = self.on_patch[at].sum() + self.off_patch[at].sum() + self.not_visible[at].sum()
        return float(self.on_patch[at].sum() / duty)


def true_time(
    force: AreaSet,
    patch: Sequence[str],
    path: Path,
    states: Sequence[tuple[int, int]],
    *,
    start: int,
    end: int,
) -> tuple[int, int, int, int]:
    """Time on patch, off patch, not visible and on break of one duty, microseconds.

    Args:
        force: the areas.
        patch: ids of the home neighbourhoods, may be empty.
        path: where the officer was, at least from ``start`` to ``end``.
        states: ``(time, state)`` keyed, in order; 1 before the first.
        start: duty's start, microseconds.
        end: duty's end, microseconds.
    """
    home = shapely.union_all(
        [
            each
            for each, kind, name in zip(force.geometry, force.kind, force.area_id, strict=True)
            if kind == Kind.NEIGHBOURHOOD and name in patch
        ]
    )
    inside = shapely.union_all(
        [each for each, kind in zip(force.geometry, force.kind, strict=True) if kind == Kind.PREMISES]
    )
    visible = shapely.difference(home, inside)  # premises come before the patch

    keyed = np.array([time for time, _ in states], np.int64)
    cuts = np.unique(np.concatenate((path.time, keyed, (start, end))))
    cuts = cuts[(cuts >= start) & (cuts <= end)]
    lon, lat = np.interp(cuts, path.time, path.lon), np.interp(cuts, path.time, path.lat)
    length = np.diff(cuts)
    lines = shapely.linestrings(
        np.stack((np.column_stack((lon, lat))[:-1], np.column_stack((lon, lat))[1:]), 1)
    )
    in_visible, in_premises = _part(lines, visible), _part(lines, inside)
    codes = np.array((1, *(state for _, state in states)))
    state = codes[np.searchsorted(keyed, cuts[:-1], side="right")]

    rest = np.isin(state, _BREAK)
    away = np.isin(state, _NOT_VISIBLE)
    counted = ~rest & ~away & (state != _OFF_DUTY)
    on_patch = round(float((length * in_visible)[counted].sum()))
    not_visible = round(float((length * in_premises)[counted].sum())) + int(length[away].sum())
    resting = int(length[rest].sum())
    total = int(length[state != _OFF_DUTY].sum())
    return on_patch, total - on_patch - not_visible - resting, not_visible, resting


def _part(lines: NDArray[np.object_], area: shapely.Geometry) -> NDArray[np.float64]:
    """``float64[n]``: which part of each line, or whether the point that it is, lies in an area."""
    part = np.zeros(len(lines))
    if shapely.is_empty(area):
        return part
    shapely.prepare(area)
    standing = shapely.length(lines) == 0.0
    points = shapely.get_coordinates(shapely.get_point(lines[standing], 0))
    part[standing] = shapely.intersects_xy(area, points[:, 0], points[:, 1])
    whole = ~standing & shapely.contains_properly(area, lines)
    part[whole] = 1.0
    some = ~standing & ~whole & shapely.intersects(area, lines)
    part[some] = shapely.length(shapely.intersection(lines[some], area)) / shapely.length(lines[some])
    return part
