"""Areas: one published set of boundaries, as frozen columns.

What an area is, and nothing about files, reference systems, points or time. Readers of boundaries make an
:class:`AreaSet`; matching takes one. Two sets made of the same areas are alike column by column, whatever
order the areas came in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
"""What an area without further attributes carries."""


class Kind(StrEnum):
    """What an area is for; the order of the kinds is the order in which they are written here."""

    NEIGHBOURHOOD = "neighbourhood"
    PRIORITY = "priority"
    PREMISES = "premises"


_ORDER = {kind: order for order, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """One area, before it becomes part of an :class:`AreaSet`.

    Attributes:
        kind: what it is for.
        area_id: its identity among areas of its kind, not blank.
        name: what people call it.
        geometry: shapely ``Polygon`` or ``MultiPolygon``, WGS84 degrees, lon before lat.
        attributes: other details from the publisher: issue, days, hours, use.
    """

    kind: Kind
    area_id: str
    name: str
    geometry: Any
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)


@dataclass(frozen=True, slots=True, eq=False)
class AreaSet:
    """Boundaries in force together, sorted by (order of kind, area_id), WGS84 degrees.

    Attributes:
        kind: what each area is for.
        area_id: identities, unique within a kind.
        name: what people call them.
        geometry: ``object[n]``, shapely ``Polygon`` or ``MultiPolygon``, lon/lat, 2D, not empty. Whether they
            are valid (rings that do not cross) is found by the checks and required by the index.
        attributes: issue, days, hours, use and the like.
    """

    kind: tuple[Kind, ...]
    area_id: tuple[str, ...]
    name: tuple[str, ...]
    geometry: NDArray[np.object_]
    attributes: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, areas: Iterable[Area]) -> AreaSet:
        """Sort areas into a set.

        Heights are dropped: places are plane.

        Raises:
            ValueError: a blank ``area_id``, two areas of one kind with one ``area_id``, or a geometry that is
                no polygon, is empty, or lies outside WGS84 degrees.
        """
        rows = sorted(areas, key=lambda area: (_ORDER[Kind(area.kind)], area.area_id))
        for area, after in pairwise(rows):
            if area.kind == after.kind and area.area_id == after.area_id:
                raise ValueError(f"{_label(area)}: two areas have this id; give each its own")
        for area in rows:
            if not area.area_id.strip():
                raise ValueError(f"{area.kind} {area.name!r}: has no area_id; name the column that holds it")
        geometry = np.empty(len(rows), dtype=object)
        geometry[:] = [area.geometry for area in rows]
        _refuse_unfit(rows, geometry)
        geometry = np.asarray(shapely.force_2d(geometry), dtype=object).reshape(len(rows))
        geometry.flags.writeable = False
        return cls(
            kind=tuple(Kind(area.kind) for area in rows),
            area_id=tuple(area.area_id for area in rows),
            name=tuple(area.name for area in rows),
            geometry=geometry,
            attributes=tuple(MappingProxyType(dict(area.attributes)) for area in rows),
        )

    @classmethod
    def union(cls, *sets: AreaSet) -> AreaSet:
        """All areas of several sets in one.

        Raises:
            ValueError: two of the sets hold one identity of one kind.
        """
        return cls.of(area for each in sets for area in each.areas())

    def only(self, kind: Kind) -> AreaSet:
        """The areas of one kind."""
        return AreaSet.of(area for area in self.areas() if area.kind == kind)

    def names(self, kind: Kind) -> dict[str, str]:
        """The names of one kind by ``area_id``."""
        return {
            area_id: name
            for each, area_id, name in zip(self.kind, self.area_id, self.name, strict=True)
            if each is kind
        }

    def areas(self) -> tuple[Area, ...]:
        """The rows of the set as values, in its order."""
        columns = (self.kind, self.area_id, self.name, self.geometry, self.attributes)
        return tuple(Area(*row) for row in zip(*columns, strict=True))

    def __len__(self) -> int:
        return len(self.area_id)


def _label(area: Area) -> str:
    return f"{area.kind} {area.area_id!r}"


def _refuse_unfit(rows: list[Area], geometry: NDArray[np.object_]) -> None:
    """Raise for the first geometry that cannot be used."""
    if not rows:
        return
    polygonal = np.isin(
        shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    )
    if not polygonal.all():
        at = int(np.flatnonzero(~polygonal)[0])
        what = getattr(geometry[at], "geom_type", type(geometry[at]).__name__)
        raise ValueError(f"{_label(rows[at])}: its geometry is {what}; give a Polygon or MultiPolygon")
    empty = np.asarray(shapely.is_empty(geometry))
    if empty.any():
        raise ValueError(
            f"{_label(rows[int(np.flatnonzero(empty)[0])])}: its geometry is empty; draw it or drop it"
        )
    # Bounds pass over NaN, so that every coordinate is looked at.
    coordinates, owner = shapely.get_coordinates(geometry, return_index=True)
    wrong = ~((np.abs(coordinates[:, 0]) <= 180.0) & (np.abs(coordinates[:, 1]) <= 90.0))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        lon, lat = coordinates[first]
        raise ValueError(
            f"{_label(rows[int(owner[first])])}: ({lon}, {lat}) is not in WGS84 degrees, lon before lat; "
            "convert the file or name its reference system"
        )
