"""What places are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geo.areas import Kind

if TYPE_CHECKING:
    from geo.areas import AreaSet
    from geo.matching.places import Place


class AreaNames:
    """Names of areas by kind and id."""

    def __init__(self, areas: AreaSet) -> None:
        self._names = {
            (kind, area_id): name
            for kind, area_id, name in zip(areas.kind, areas.area_id, areas.name, strict=True)
        }

    def of(self, kind: Kind, area_id: str) -> str:
        """A name; an area without one is called by its id."""
        return self._names.get((kind, area_id)) or area_id

    def place(self, place: Place | None) -> str:
        """Where that is, in words."""
        if place is None:
            return "position unknown"
        if place.premises is not None:
            return self.of(Kind.PREMISES, place.premises)
        if place.neighbourhood is not None:
            return self.of(Kind.NEIGHBOURHOOD, place.neighbourhood)
        return "outside the force"
