"""Positions of times at which nobody was known to be in any area: does any of them lie near one?

Reads only; what follows is said in ``stream.core.quality.elsewhere``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stream.core.quality import elsewhere
from stream.core.quality.tracks import Extent
from stream.store.chunks import some_by_some
from stream.store.reading.instant import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.quality.elsewhere import Positions
    from stream.core.slices import Slices
    from stream.store.schema import Connection


def all_far(connection: Connection, extent: Extent | None, start: int, until: int) -> bool:
    """Whether there are positions in a period, and none of anybody lies near any area.

    Every position of the period is looked at only where none lies within the box itself: nearly always the
    first devices are enough.

    Args:
        connection: in whichever transaction it is.
        extent: the box of the areas in force in the period; None: there are none.
        start: microseconds since 1970.
        until: exclusive.
    """
    if extent is None:
        return False
    gone, near = _erased(connection, [(start, until)])
    if near.any():
        return False
    parts = [(gone, *_beyond(extent, near))]
    for fixes in some_by_some(connection, start, until - 1):
        within = (fixes.lon >= extent.west) & (fixes.lon <= extent.east)
        if (within & (fixes.lat >= extent.south) & (fixes.lat <= extent.north)).any():
            return False
        parts.append((fixes.time, fixes.lon, fixes.lat))
    return elsewhere.all_far(_joined(parts), extent, start, until)


def positions_nowhere(
    connection: Connection,
    slices: Slices,
    places: Sequence[Place],
    versions: Sequence[tuple[int, AreaSet]],
    until: int,
) -> Positions:
    """All positions of the local days up to a time on which there are duties and nobody was in any area."""
    extent = Extent.of(item for _, item in versions)
    if extent is None:
        return _positions(connection, [])
    days = elsewhere.days_nowhere(slices, places, until)
    gone, near = _erased(connection, days)
    return _joined([_positions(connection, days), (gone, *_beyond(extent, near))])


def _erased(
    connection: Connection, stretches: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hours of which positions were deleted, within stretches, and whether any of these lay near an area."""
    found = [
        row
        for low, high in stretches
        for row in fetch(
            connection, "select at, near from erased_hour where at >= %s and at < %s order by at", [low, high]
        )
    ]
    return np.array([at for at, _ in found], np.int64), np.array([near for _, near in found], np.bool_)


def _beyond(extent: Extent, near: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates in the place of deleted positions: in the midst of the areas, or on the other side."""
    lon, lat = (extent.west + extent.east) / 2, (extent.south + extent.north) / 2
    far = lon - 180 if lon > 0 else lon + 180
    return np.where(near, lon, far), np.where(near, lat, -lat)


def _positions(connection: Connection, stretches: Sequence[tuple[int, int]]) -> Positions:
    return _joined(
        [
            (fixes.time, fixes.lon, fixes.lat)
            for low, high in stretches
            for fixes in some_by_some(connection, low, high - 1)
        ]
    )


def _joined(parts: Sequence[Positions]) -> Positions:
    none = np.empty(0, np.int64), np.empty(0), np.empty(0)
    time, lon, lat = (np.concatenate(columns) for columns in zip(none, *parts, strict=True))
    return time, lon, lat
