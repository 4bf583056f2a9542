"""The published versions of the areas, with one numbering of places across all of them.

Areas change a few times a year; those in force at the time of an event decide (rule 6). Each version has an
index of its own with place numbers of its own; here they get common numbers, so that a device that sits still
while an unrelated boundary moves stays in one place. Pure: no clock, no database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.matching.deciding import NOTHING
from geo.matching.places import Pieces, Place, PlaceIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.matching.deciding import DecidingEdges, Near

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
        self._class_of = np.empty(0, np.int64)
        self._class_names: list[str] = []
        self._class_number: dict[str, int] = {}

    @property
    def versions(self) -> list[tuple[int, AreaSet]]:
        """The areas by the time from which they are in force (microseconds), as they were given."""
        return [(start, index.areas) for start, index in zip(self.starts.tolist(), self.indexes, strict=True)]

    def again(self) -> AreaHistory:
        """A separate history of the same versions for another thread, with numbers of its own."""
        return AreaHistory(self.versions)

    def version_at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The version in force at each time: ``int64[n]``, -1 before the first."""
        return np.searchsorted(self.starts, times, side="right") - 1

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
        error_m: NDArray[np.float64] | None = None,
    ) -> Pieces:
        """Straight legs divided where they cross a boundary (see ``PlaceIndex``), with common place numbers.

        Given the legs' errors, metres, they are also divided where what is near changes (rule 14), and the
        places tell it. Everything that a leg passes through is near all along it: nobody saw when it passed.
        Under version -1 each leg is one piece, ``UNKNOWN``.
        """
        if version < 0:
            legs = np.arange(len(lon0), dtype=np.int64)
            return Pieces(legs, np.zeros(len(legs)), np.full(len(legs), UNKNOWN, np.int32))
        index = self.indexes[version]
        pieces = index.crossings(lon0, lat0, lon1, lat1)
        pieces = Pieces(pieces.leg, pieces.start, self._common_numbers(version, pieces.place))
        if error_m is None:
            return pieces
        near = index.deciding.near(lon0, lat0, lon1, lat1, error_m)
        passing, classes = self._passing(version, pieces)
        near = index.deciding.with_legs(near, passing, classes)
        return self._overlaid(version, pieces, near) if len(near) else pieces

    def parked(
        self,
        version: int,
        lon0: NDArray[np.float64],
        lat0: NDArray[np.float64],
        lon1: NDArray[np.float64],
        lat1: NDArray[np.float64],
        error_m: NDArray[np.float64],
    ) -> NDArray[np.int32]:
        """Where devices stayed that were last and next seen in the same place: ``int32[n]``.

        ``UNKNOWN`` where the two differ in neighbourhood or premises, and under version -1. Of the priority
        areas those count in which both spots lie. What is near one of the two spots is near (rule 14): the
        device may have been at either of them.
        """
        if version < 0:
            return np.full(len(lon0), UNKNOWN, np.int32)
        here, there = self.locate(version, lon0, lat0), self.locate(version, lon1, lat1)
        place = here.copy()
        odd = np.flatnonzero(here != there)
        if len(odd):
            pair, back = np.unique(here[odd].astype(np.int64) << 32 | there[odd], return_inverse=True)
            met = [self._common_ground(value >> 32, value & 0xFFFFFFFF) for value in pair.tolist()]
            place[odd] = np.array(met, np.int32)[back]
        deciding = self.indexes[version].deciding
        around = np.zeros((2, len(place)), np.int32)
        for classes, lon, lat in zip(around, (lon0, lon1), (lat0, lat1), strict=True):
            near = deciding.near(lon, lat, lon, lat, error_m)
            classes[near.leg] = near.classes
        some = np.flatnonzero((around != NOTHING).any(axis=0) & (place != UNKNOWN))
        if len(some):
            place[some] = self._with_near(version, place[some], deciding.union(*around[:, some]))
        return place

    def _common_ground(self, here: int, there: int) -> int:
        """The place of which both are part, or ``UNKNOWN``."""
        one, other = self.places[here], self.places[there]
        if (one.neighbourhood, one.premises) != (other.neighbourhood, other.premises):
            return UNKNOWN
        shared = tuple(area for area in one.priorities if area in other.priorities)
        return self.number(Place(one.neighbourhood, one.premises, shared))

    def _passing(self, version: int, pieces: Pieces) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The legs that pass from one decision class into another, and the sets of all classes of each."""
        class_of = self._classes()
        code = class_of[pieces.place]
        same = pieces.leg[1:] == pieces.leg[:-1]
        turns = np.flatnonzero(same & (code[1:] != code[:-1]))
        if not len(turns):
            return pieces.leg[:0], pieces.place[:0]
        passing = np.unique(pieces.leg[turns])
        member = np.zeros(int(pieces.leg[-1]) + 1, np.bool_)
        member[passing] = True
        rows = np.flatnonzero(member[pieces.leg])
        count = len(self._class_names)
        pair = np.unique(pieces.leg[rows] * count + code[rows])
        leg, code = np.divmod(pair, count)
        first = np.flatnonzero(np.diff(leg, prepend=-1))
        size = np.diff(first, append=len(leg))
        number = np.empty(len(passing), np.int32)
        deciding = self.indexes[version].deciding
        # Nearly all pass one edge: a pair of classes, of which there are few.
        two = size == 2
        both, back = np.unique(code[first[two]] * count + code[first[two] + 1], return_inverse=True)
        pairs = [divmod(value, count) for value in both.tolist()]
        number[two] = np.array([self._set(deciding, each) for each in pairs], np.int32)[back]
        for at in np.flatnonzero(~two).tolist():
            number[at] = self._set(deciding, code[first[at] : first[at] + size[at]].tolist())
        return passing, number

    def _set(self, deciding: DecidingEdges, codes: Sequence[int]) -> int:
        return deciding.number(self._class_names[code] for code in codes)

    def _classes(self) -> NDArray[np.int64]:
        """The number of each place's decision class."""
        known = self._class_of
        if len(self.places) > len(known):
            more = [place.decides for place in self.places[len(known) :]]
            for name in more:
                if name not in self._class_number:
                    self._class_number[name] = len(self._class_names)
                    self._class_names.append(name)
            known = np.concatenate([known, np.array([self._class_number[name] for name in more], np.int64)])
            self._class_of = known
        return known

    def _overlaid(self, version: int, pieces: Pieces, near: Near) -> Pieces:
        """Pieces cut where what is near changes."""
        touched = np.zeros(int(pieces.leg[-1]) + 1, np.bool_)
        touched[near.leg] = True
        rows = np.flatnonzero(touched[pieces.leg])
        # Starts of both tilings in one order; each opens a cell that keeps what the other last said.
        leg = np.concatenate([pieces.leg[rows], near.leg])
        start = np.concatenate([pieces.start[rows], near.start])
        order = np.lexsort((start, leg))
        said = np.concatenate([np.arange(len(rows)), np.full(len(near), -1)])[order]
        about = np.concatenate([np.full(len(rows), -1), np.arange(len(near))])[order]
        place = pieces.place[rows][np.maximum.accumulate(said)]
        classes = near.classes[np.maximum.accumulate(about)]
        leg, start = leg[order], start[order]
        last = np.ones(len(leg), np.bool_)  # of several starts at one instant the last one knows all
        last[:-1] = (leg[1:] != leg[:-1]) | (start[1:] != start[:-1])
        leg, start = leg[last], start[last]
        place = self._with_near(version, place[last], classes[last])
        new = np.ones(len(leg), np.bool_)
        new[1:] = (leg[1:] != leg[:-1]) | (place[1:] != place[:-1])
        leg, start, place = leg[new], start[new], place[new]

        rest = np.flatnonzero(~touched[pieces.leg])
        leg = np.concatenate([pieces.leg[rest], leg])
        order = np.argsort(leg, kind="stable")
        start = np.concatenate([pieces.start[rest], start])[order]
        return Pieces(leg[order], start, np.concatenate([pieces.place[rest], place])[order])

    def _with_near(
        self, version: int, place: NDArray[np.int32], classes: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Common numbers of places with what is near them."""
        sets = self.indexes[version].deciding.sets
        pair, back = np.unique(place.astype(np.int64) << 32 | classes, return_inverse=True)
        numbers = np.empty(len(pair), np.int32)
        for at, value in enumerate(pair.tolist()):
            exact = self.places[value >> 32]
            others = tuple(name for name in sets[value & 0xFFFFFFFF] if name != exact.decides)
            numbers[at] = self.number(exact._replace(near=others))
        return numbers[back]

    def number(self, place: Place) -> int:
        """The common number of a place, new where it was never met; without what is near it has one too."""
        if place.near:
            self.number(place.exact())
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


def exact_numbers(places: Sequence[Place]) -> NDArray[np.int32]:
    """For each place the number of the same without what is near, to index with place numbers.

    The last element stands for ``UNKNOWN``. Of a place that was never met by itself it is the first that
    differs in nothing else.
    """
    known: dict[Place, int] = {}
    numbers = [known.setdefault(place.exact(), number) for number, place in enumerate(places)]
    return np.array([*numbers, UNKNOWN], np.int32)
