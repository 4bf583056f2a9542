"""One version of the boundaries compared with another: areas added, removed, renamed and moved.

Two :class:`AreaSet` in, one :class:`Diff` out; versions and dates are for others. The land that changed hands
is a table of flows: square metres from one area to another. Edges that were only rounded differently, by a
few centimetres, move no land.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.areas import AreaSet, Kind
from geo.boundaries.crs import area_m2, centre_of, metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MOVED_M2 = 1.0
"""Less land than this does not count as a move."""

ROUNDED_M = 0.05
"""Strips nowhere wider than this come from rounding coordinates, and are left out."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Land that went from one area to another.

    Attributes:
        kind: what both are for.
        from_id: the area that had it before, None for land that none had.
        to_id: the area that has it now, None for land that none has.
        size_m2: square metres on the ground.
        place: the land itself, shapely geometry in WGS84 degrees.
    """

    kind: Kind
    from_id: str | None
    to_id: str | None
    size_m2: float
    place: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """An area that differs between the versions.

    Attributes:
        kind: what it is for.
        area_id: its identity.
        before: its name before.
        after: its name now.
        gained_m2: land that is new to it, square metres.
        lost_m2: land that it no longer has, square metres.
        attributes: what else was changed, as ``(key, before, after)``; None for a missing value.
    """

    kind: Kind
    area_id: str
    before: str
    after: str
    gained_m2: float
    lost_m2: float
    attributes: tuple[tuple[str, str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between two versions; empty tuples where nothing does.

    Attributes:
        added: areas that only the newer has, ``(kind, area_id)``.
        removed: areas that only the older has.
        renamed: areas whose name changed.
        moved: areas that gained or lost at least :data:`MOVED_M2`.
        changed: areas whose other attributes changed.
        flows: which area lost land to which, the largest first within each kind; overlaps count in each pair.
    """

    added: tuple[tuple[Kind, str], ...]
    removed: tuple[tuple[Kind, str], ...]
    renamed: tuple[Change, ...]
    moved: tuple[Change, ...]
    changed: tuple[Change, ...]
    flows: tuple[Flow, ...]

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.renamed, self.moved, self.changed))

    @property
    def reaching(self) -> list[str]:
        """Ids of the neighbourhoods whose ground differs, sorted: duties in them are counted otherwise."""
        ground = {*self.added, *self.removed, *((item.kind, item.area_id) for item in self.moved)}
        return sorted(area_id for kind, area_id in ground if kind is Kind.NEIGHBOURHOOD)


def diff(old: AreaSet, new: AreaSet) -> Diff:
    """Compare two versions.

    Args:
        old: the earlier version.
        new: the later one.
    """
    before, after = ({(area.kind, area.area_id): area for area in areas.areas()} for areas in (old, new))
    both = [key for key in before if key in after]
    was, now = np.empty(len(both), dtype=object), np.empty(len(both), dtype=object)
    was[:], now[:] = [before[key].geometry for key in both], [after[key].geometry for key in both]
    gained, lost = _ground_m2(_less(now, was)), _ground_m2(_less(was, now))
    changes = [
        Change(
            *key,
            before=before[key].name,
            after=after[key].name,
            gained_m2=float(gain),
            lost_m2=float(loss),
            attributes=_attributes(before[key].attributes, after[key].attributes),
        )
        for key, gain, loss in zip(both, gained, lost, strict=True)
    ]
    return Diff(
        added=tuple(key for key in after if key not in before),
        removed=tuple(key for key in before if key not in after),
        renamed=tuple(change for change in changes if change.before != change.after),
        moved=tuple(change for change in changes if change.gained_m2 + change.lost_m2 >= MOVED_M2),
        changed=tuple(change for change in changes if change.attributes),
        flows=tuple(flow for kind in Kind for flow in _flows(kind, old.only(kind), new.only(kind))),
    )


def _attributes(before: Any, after: Any) -> tuple[tuple[str, str | None, str | None], ...]:
    keys = sorted({*before, *after})
    return tuple((key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def _less(shapes: NDArray[np.object_], others: NDArray[np.object_]) -> NDArray[np.object_]:
    """Each shape without the other; nothing for equal ones, whose difference would be rounding."""
    differ = np.array(
        [not one.equals_exact(other) for one, other in zip(shapes, others, strict=True)], dtype=np.bool_
    )
    left = np.full(len(shapes), shapely.Polygon(), dtype=object)
    left[differ] = shapely.difference(shapes[differ], others[differ])
    return left


def _ground_m2(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Area of each shape without its strips no wider than :data:`ROUNDED_M`, m²."""
    sizes = np.zeros(len(shapes))
    parts, owner = shapely.get_parts(shapes, return_index=True)
    areal = shapely.area(parts) > 0
    parts, owner = parts[areal], owner[areal]
    flat = metric(parts, centre_of(parts))
    wide = ~shapely.is_empty(shapely.buffer(flat, -ROUNDED_M / 2, quad_segs=1))
    np.add.at(sizes, owner[wide], area_m2(parts[wide]))
    return sizes


def _flows(kind: Kind, old: AreaSet, new: AreaSet) -> Iterable[Flow]:
    """Land that was one area's and is another's, or none's; what stayed with its area is not a flow."""
    found: list[Flow] = []
    if len(old) and len(new):
        tree = shapely.STRtree(new.geometry)
        a, b = tree.query(old.geometry, predicate="intersects")
        other = np.array(
            [old.area_id[i] != new.area_id[j] for i, j in zip(a, b, strict=True)], dtype=np.bool_
        )
        a, b = a[other], b[other]
        # What an area has kept is not a flow, even if another area has it now as well.
        lost = _lost_to(old, new, a)
        shared = shapely.intersection(lost, new.geometry[b])
        found += [
            Flow(kind, old.area_id[i], new.area_id[j], size, place)
            for i, j, size, place in zip(a, b, _ground_m2(shared).tolist(), shared, strict=True)
        ]
    found += [Flow(kind, area_id, None, size, place) for area_id, size, place in _unheld(old, new)]
    found += [Flow(kind, None, area_id, size, place) for area_id, size, place in _unheld(new, old)]
    flows = [flow for flow in found if flow.size_m2 >= MOVED_M2]
    return sorted(flows, key=lambda flow: (-flow.size_m2, flow.from_id or "", flow.to_id or ""))


def _lost_to(old: AreaSet, new: AreaSet, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """What each of the given old areas no longer has."""
    now = dict(zip(new.area_id, new.geometry, strict=True))
    kept = np.array([now.get(area_id, shapely.Polygon()) for area_id in old.area_id], dtype=object)
    return _less(old.geometry, kept)[rows]


def _unheld(one: AreaSet, other: AreaSet) -> Iterable[tuple[str, float, Any]]:
    """How much of each area no area of the other version holds, m², and where that is."""
    if not len(one):
        return ()
    whole = shapely.union_all(other.geometry) if len(other) else shapely.Polygon()
    left = shapely.difference(one.geometry, whole)
    return zip(one.area_id, _ground_m2(left).tolist(), left, strict=True)
