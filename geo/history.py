"""The published versions of the areas, and one numbering of places over them all.

Areas change a few times a year; those in force at the time of an event decide (rule 6). Each version has an
index of its own with place numbers of its own; here they get common numbers, so that a device that sits still
while an unrelated boundary moves stays in one place. Pure: no clock, no database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.places import Pieces, Place, PlaceIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet

UNKNOWN = -1
"""The place of a device that was not observed, or at a time for which no areas have been published."""

FOREVER = 2**62


class AreaHistory:
    """Versions of the areas by the time from which they are in force.

    Attributes:
        starts: ``int64[k]``, microseconds since 1970 UTC, strictly rising.
        indexes: as many place indexes.
        places: every place met so far by its common number; ``places[0]`` is outside all areas.
    """

    def __init__(self, versions: Sequence[tuple[int, AreaSet]], *, places: Sequence[Place] = ()) -> None:
        """Indexes each version.

        Args:
            versions: ``(valid from, areas)``, with strictly rising times.
            places: places that already have common numbers, in order (the first must be outside).

        Raises:
            ValueError: times that do not rise.
        """
        self.starts = np.array([start for start, _ in versions], np.int64)
        if np.any(np.diff(self.starts) <= 0):
            raise ValueError("area versions must be given in the order of the times they come into force")
        self.indexes = [PlaceIndex(areas) for _, areas in versions]
        self.places: list[Place] = list(places) or [Place(None, None, ())]
        self._number = {place: number for number, place in enumerate(self.places)}
        self._common = [np.empty(0, np.int32) for _ in versions]

    def version_at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The version in force at each time: ``int64[n]``, -1 before the first."""
        return np.searchsorted(self.starts, times, side="right").astype(np.int64) - 1

    def span(self, version: int) -> tuple[int, int]:
        """The time during which a version (-1: none yet) is in force."""
        start = int(self.starts[version]) if version >= 0 else -FOREVER
        end = int(self.starts[version + 1]) if version + 1 < len(self.starts) else FOREVER
        return start, end

    def locate(self, version: int, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int32]:
        """Common place numbers of points (degrees): ``int32[n]``, ``UNKNOWN`` under version -1."""
        if version < 0:
            return np.full(len(lon), UNKNOWN, np.int32)
        return self._common_numbers(version, self.indexes[version].locate(lon, lat))

    def crossings(
        self,
        version: int,
        lon0: NDArray[np.float64],
        lat0: NDArray[np.float64],
        lon1: NDArray[np.float64],
        lat1: NDArray[np.float64],
    ) -> Pieces:
        """Straight legs divided where they cross a boundary (see ``PlaceIndex``), with common place numbers.

        Under version -1 each leg is one piece, ``UNKNOWN``.
        """
        if version < 0:
            legs = np.arange(len(lon0), dtype=np.int64)
            return Pieces(legs, np.zeros(len(legs)), np.full(len(legs), UNKNOWN, np.int32))
        pieces = self.indexes[version].crossings(lon0, lat0, lon1, lat1)
        return Pieces(pieces.leg, pieces.start, self._common_numbers(version, pieces.place))

    def number(self, place: Place) -> int:
        """The common number of a place, new where it was never met."""
        number = self._number.setdefault(place, len(self.places))
        if number == len(self.places):
            self.places.append(place)
        return number

    def _common_numbers(self, version: int, local: NDArray[np.int32]) -> NDArray[np.int32]:
        index, common = self.indexes[version], self._common[version]
        if len(index.places) > len(common):
            new = [self.number(index.place(number)) for number in range(len(common), len(index.places))]
            common = self._common[version] = np.concatenate([common, np.array(new, np.int32)])
        return common[local]
