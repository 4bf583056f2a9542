"""The published boundaries as the web needs them: which version is in force when, and shapes ready to send.

A version never changes once it is published, so it is read once and kept; which versions there are is asked
each time, so that a new one shows at once, in every process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.boundaries.crs import BNG, crs_of, from_wgs84
from geo.matching.history import FOREVER
from stream.store import areas
from stream.store.reading.live import newest_event
from stream.web.answering import written
from stream.web.boundaries.parameters import CRS84, EPSG_4326, EPSG_27700, Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from geo.areas import Area, AreaSet, Kind
    from stream.store.areas import Version
    from stream.store.pool import Pool
    from stream.web.answering import ShapeJson

DIGITS = {CRS84: 9, EPSG_4326: 9, EPSG_27700: 3}
"""Decimals of coordinates: a tenth of a millimetre in degrees, a millimetre in metres."""


class Shapes:
    """The areas of one version, and their shapes in the reference systems that were asked for.

    Attributes:
        areas: the version's areas as values, by ``area_id``.
        bounds: west, south, east, north, degrees.
    """

    def __init__(self, found: AreaSet) -> None:
        self.areas: tuple[Area, ...] = found.areas()
        self.number = {area.area_id: at for at, area in enumerate(self.areas)}
        self.bounds = tuple(float(value) for value in shapely.total_bounds(found.geometry))
        self._set = found
        self._plane: dict[str, NDArray[np.object_]] = {}
        self._json: dict[tuple[str, int], ShapeJson] = {}

    def plane(self, crs: str) -> NDArray[np.object_]:
        """Shapes in a system, x before y whatever its axes: ``object[n]``.

        Raises:
            CrsError: an area lies where the system does not reach.
        """
        if crs == EPSG_4326:
            return self.plane(CRS84)
        if crs not in self._plane:
            shapes = self._set.geometry
            if crs == EPSG_27700:
                shapes = from_wgs84(shapes, crs_of(BNG))
            self._plane[crs] = shapes
        return self._plane[crs]

    def geojson(self, crs: str, at: int) -> ShapeJson:
        """One geometry as GeoJSON, outer rings anticlockwise, its numbers in the system's own order."""
        found = self._json.get((crs, at))
        if found is None:
            shape = shapely.orient_polygons(self.plane(crs)[at])

            def numbers(xy: NDArray[np.float64]) -> NDArray[np.float64]:
                return np.round(xy[:, ::-1] if crs == EPSG_4326 else xy, DIGITS[crs])

            found = self._json[crs, at] = written(shapely.to_geojson(shapely.transform(shape, numbers)))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """An area of one version, as it is shown.

    Attributes:
        id: its ``area_id``; with ``@`` and the version's number behind it where that is not in force now.
        at: its row in the version's shapes.
        start: when the version comes into force, microseconds.
        end: when another takes its place; ``FOREVER`` where none does yet.
    """

    id: str
    version: Version
    shapes: Shapes
    at: int
    start: int
    end: int

    @property
    def area(self) -> Area:
        """The area itself."""
        return self.shapes.areas[self.at]


@dataclass(frozen=True, slots=True)
class InForce:
    """A version in force for a time ``[start, end)``, microseconds."""

    version: Version
    start: int
    end: int

    def meets(self, first: int, last: int) -> bool:
        """Whether any instant from the first to the last, both included, lies in it."""
        return self.start <= last and self.end > first


def periods(published: Sequence[Version], kind: Kind) -> list[InForce]:
    """Which version of a kind is in force when: of those that begin at one time the newest (rule 6)."""
    chosen: dict[int, Version] = {}
    for item in sorted(published, key=lambda entry: (entry.valid_from, entry.version)):
        if item.kind == kind:
            chosen[item.valid_from] = item
    starts = [*chosen, FOREVER]
    return [InForce(item, start, end) for (start, item), end in zip(chosen.items(), starts[1:], strict=True)]


@dataclass(slots=True)
class Boundaries:
    """Published boundaries.

    Args:
        pool: connections to the database.
    """

    pool: Pool
    _shapes: dict[int, Shapes] = field(default_factory=dict)

    def ready(self) -> int:
        """Checks that the database answers and has the schema that this program needs.

        Returns:
            the newest event's time, microseconds; minus ``FOREVER`` where there is none.

        Raises:
            psycopg.OperationalError: it does not answer, or cannot be reached.
            SchemaError: run ``patrol init`` first.
        """
        return self.pool.ask(newest_event)

    def periods(self, kind: Kind) -> list[InForce]:
        """When which version of a kind is in force."""
        return periods(self.pool.ask(areas.versions), kind)

    def shapes(self, version: Version) -> Shapes:
        """The areas of a version."""
        found = self._shapes.get(version.version)
        if found is None:
            read = self.pool.ask(lambda connection: areas.read(connection, version.version, version.kind))
            found = self._shapes.setdefault(version.version, Shapes(read))
        return found

    def features(self, kind: Kind, query: Query, now: int) -> list[Feature]:
        """The features that a query asks for, in the order of their ids, without regard to its page.

        Raises:
            CrsError: an area lies where the system of the box does not reach.
        """
        first, last = query.period or (now, now)
        found: list[Feature] = []
        for period in self.periods(kind):
            if period.meets(first, last):
                shapes = self.shapes(period.version)
                hits = np.flatnonzero(query.hits(shapes.plane(query.bbox_crs)))
                found += (self._feature(period, shapes, at, now) for at in hits.tolist())
        return sorted(found, key=lambda feature: (feature.area.area_id, feature.start))

    def feature(self, kind: Kind, name: str, now: int) -> Feature | None:
        """The feature with an id, None where there is none."""
        for plain, number in _readings(name):
            for period in self.periods(kind):
                wanted = period.meets(now, now) if number is None else period.version.version == number
                shapes = self.shapes(period.version) if wanted else None
                if shapes is not None and plain in shapes.number:
                    return self._feature(period, shapes, shapes.number[plain], now)
        return None

    @staticmethod
    def _feature(period: InForce, shapes: Shapes, at: int, now: int) -> Feature:
        area_id = shapes.areas[at].area_id
        name = area_id if period.meets(now, now) else f"{area_id}@{period.version.version}"
        return Feature(name, period.version, shapes, at, period.start, period.end)


def _readings(name: str) -> Iterator[tuple[str, int | None]]:
    """What an id may mean: an area in force now, or one of a version by its number."""
    yield name, None
    plain, at, number = name.rpartition("@")
    if at and number.isascii() and number.isdigit():
        yield plain, int(number[:9])
