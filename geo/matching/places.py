"""Places: which areas a point lies in, and where a straight leg passes from one place to the next.

Answers rule 5 of the accounting rules, exactly and for millions of points. Points, legs and numbers only:
nothing of officers, time or Kafka. Points are looked up in a map of cells (:mod:`geo.matching.cells`); where
doubles cannot tell, exact geometry is asked: answers are those of comparing each point with each area.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely

from geo.areas import AreaSet, Kind
from geo.matching.cells import CellMap
from geo.matching.deciding import DecidingEdges
from geo.matching.edges import Edges
from geo.matching.grid import Grid
from geo.matching.legs import meets
from geo.matching.predicates import covers_exactly

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from geo.matching.predicates import Point

OUTSIDE = 0
"""The place number of "in no area at all", in every index."""

ELSEWHERE = ""
"""The decision class of a point that no patch can hold: outside every neighbourhood, or inside premises."""

_SLIVER = 2.0**-50
"""Intervals of a leg that are shorter than this fraction of it are an accident of rounding."""

_FAR = 360.0
"""Degrees; nothing that moves is farther than this."""

_AT_ONCE = 1 << 16
"""Points looked up together: few enough that what is in between stays in the processor's cache."""


class Place(NamedTuple):
    """What a point lies in (rule 5), and what it may lie in for all that its error allows (rule 14).

    Attributes:
        neighbourhood: ``area_id`` of the neighbourhood, the smallest where several cover the point.
        premises: ``area_id`` of the premises, likewise.
        priorities: ``area_id`` of all priority areas, sorted.
        near: the other decision classes within the error of the position, sorted; empty where no error was
            asked about.
    """

    neighbourhood: str | None
    premises: str | None
    priorities: tuple[str, ...]
    near: tuple[str, ...] = ()

    @property
    def decides(self) -> str:
        """The decision class: the neighbourhood whose patch holds the point, or ``ELSEWHERE``."""
        return ELSEWHERE if self.premises is not None else self.neighbourhood or ELSEWHERE

    def exact(self) -> Place:
        """The same without what is near."""
        return Place(*self[:3]) if self.near else self


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Legs divided where they pass from place to place; the pieces of each leg tile it.

    Sorted by leg, then by start; neighbours within a leg differ in place; no piece is empty. A piece ends
    where the leg's next one starts, the last one at 1.

    Attributes:
        leg: ``int64[m]``, the leg's index among those asked for.
        start: ``float64[m]``, fraction of the leg, 0.0 for its first piece.
        place: ``int32[m]``, place numbers.
    """

    leg: NDArray[np.int64]
    start: NDArray[np.float64]
    place: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.leg)


class PlaceIndex:
    """An index of one set of areas.

    Place numbers count the places met so far, and may differ between indexes; what they stand for does not.

    Attributes:
        areas: what was indexed.
        places: by place number; grows as points in new combinations of areas are met. Not to be changed.
        cells: the map of cells.
    """

    def __init__(self, areas: AreaSet, *, cell_m: float = 50.0) -> None:
        """Builds the index.

        Args:
            areas: closed sets with holes honoured, valid.
            cell_m: size of the cells in metres; grows where the areas would need more than
                ``geo.matching.grid.MAX_CELLS`` of them.

        Raises:
            ValueError: an area that is not valid, or a cell size of less than 0.1 m.
        """
        if not cell_m >= 0.1:
            raise ValueError(f"cell size of {cell_m} m: give 0.1 or more, or margins drown in rounding")
        valid = np.asarray(shapely.is_valid(areas.geometry), bool)
        if not valid.all():
            at = int(np.flatnonzero(~valid)[0])
            why = shapely.is_valid_reason(areas.geometry[at])
            raise ValueError(
                f"{areas.kind[at]} {areas.area_id[at]!r}: {why}; mend the boundary before it is used"
            )
        self.areas = areas
        self.places: list[Place] = []
        self._number: dict[Place, int] = {}
        self._intern(Place(None, None, ()))
        self._number_of_set: dict[tuple[int, ...], int] = {}
        self._tree = shapely.STRtree(areas.geometry)
        west, south, east, north = shapely.total_bounds(areas.geometry).tolist() if len(areas) else [0.0] * 4
        grid = Grid.over((west, south, east, north), cell_m)
        edges = Edges.of_areas(areas)
        self._area_key = edges.area_key
        self.cells = CellMap(edges, grid, self._keys_exactly)
        place = self._locate_exactly(*self.cells.sample.T)
        self._known = _Known.of(self.cells.keys, place)
        self.cells.number(place)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def nbytes(self) -> int:
        """Bytes held by the index besides the areas themselves."""
        return self.cells.nbytes + sum(column.nbytes for column in self._known)

    @cached_property
    def deciding(self) -> DecidingEdges:
        """The edges that decide what time counts as (rule 14); found when first asked for."""
        return DecidingEdges(self.areas, self._classes)

    def _classes(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[str]:
        """The decision classes of points."""
        number = self.locate(lon, lat)
        classes = [place.decides for place in self.places]
        return [classes[at] for at in number.tolist()]

    def place(self, number: int) -> Place:
        """What a place number stands for.

        Raises:
            ValueError: a number that this index never gave.
        """
        if not 0 <= number < len(self.places):
            raise ValueError(f"place {number}: this index has only given numbers 0 to {len(self.places) - 1}")
        return self.places[number]

    def locate(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int32]:
        """The place numbers of points (rule 5).

        Args:
            lon: ``float64[n]``, WGS84 degrees.
            lat: ``float64[n]``, WGS84 degrees.

        Returns:
            ``int32[n]``, ``OUTSIDE`` where no area covers the point, and for NaN.

        Raises:
            ValueError: columns of different lengths.
        """
        x, y = _columns(lon=lon, lat=lat)
        place = np.empty(len(x), np.int32)
        for at in range(0, len(x), _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            found, unsure = self._look_up(x[part], y[part])
            if len(unsure):
                found[unsure] = self._locate_exactly(x[part][unsure], y[part][unsure])
            place[part] = found
        return place

    def crossings(
        self,
        lon0: ArrayLike,
        lat0: ArrayLike,
        lon1: ArrayLike,
        lat1: ArrayLike,
        *,
        place0: NDArray[np.int32] | None = None,
        place1: NDArray[np.int32] | None = None,
    ) -> Pieces:
        """Divide straight legs exactly where they pass from place to place (rules 4 and 5).

        The pieces of a leg depend on that leg alone, to the last bit. The place of a piece is that of the
        open interval: a leg that starts on the edge it leaves has no piece on that edge, one that runs along
        an edge has. Intervals of less than 1e-15 of the leg are passed over. A leg with an end that is NaN,
        or beyond 360 degrees, lies outside.

        Args:
            lon0: ``float64[n]``, where the legs start, WGS84 degrees.
            lat0: ``float64[n]``, where the legs start, WGS84 degrees.
            lon1: ``float64[n]``, where they end.
            lat1: ``float64[n]``, where they end.
            place0: ``int32[n]``, what ``locate`` said of the starts, to save asking again.
            place1: ``int32[n]``, what ``locate`` said of the ends, likewise.

        Raises:
            ValueError: columns of different lengths.
        """
        x0, y0, x1, y1 = _columns(lon0=lon0, lat0=lat0, lon1=lon1, lat1=lat1)
        place = self.locate(x0, y0) if place0 is None else np.array(place0, np.int32)
        if len(place) != len(x0) or (place1 is not None and len(place1) != len(x0)):
            raise ValueError(f"{len(x0)} legs need {len(x0)} place numbers; give as many, or none")
        known = np.abs(x0) <= _FAR
        for side in (y0, x1, y1):
            known &= np.abs(side) <= _FAR
        place[~known] = OUTSIDE
        busy = self.cells.legs_near_edges(x0, y0, x1, y1)
        busy = busy[known[busy]]
        legs = _Legs(x0[busy], y0[busy], x1[busy], y1[busy], place[busy], None)
        if place1 is not None:
            legs = legs._replace(place1=np.asarray(place1, np.int32)[busy])
        inner = self._divide(legs)
        return _tile(place, Pieces(busy[inner.leg], inner.start, inner.place))

    def _divide(self, legs: _Legs) -> Pieces:
        """The pieces of those legs that meet an edge."""
        met = meets(self.cells, legs.x0, legs.y0, legs.x1, legs.y1)
        which, first, count = np.unique(met.leg, return_index=True, return_counts=True)
        # Most meet edges once, on the way: before that is where the leg starts, after it is where it ends.
        # (Had it started or ended on an edge, it would have met that there.)
        inside = (met.fraction >= _SLIVER) & (met.fraction <= 1.0 - _SLIVER)
        plain = (count == 1) & inside[first]
        leg, at = which[plain], first[plain]
        place1 = self.locate(legs.x1[leg], legs.y1[leg]) if legs.place1 is None else legs.place1[leg]
        zero = np.zeros(len(leg))
        # The others are divided at every meeting, and each interval's place is that of its middle.
        odd = np.repeat(~plain, count) & inside
        odd_leg = np.concatenate([which[~plain], met.leg[odd]])
        start = np.concatenate([np.zeros(int((~plain).sum())), met.fraction[odd]])
        order = np.lexsort((start, odd_leg))
        odd_leg, start = odd_leg[order], start[order]
        apart = np.ones(len(start), bool)
        apart[1:] = (odd_leg[1:] != odd_leg[:-1]) | (start[1:] - start[:-1] >= _SLIVER)
        odd_leg, start = odd_leg[apart], start[apart]
        end = np.ones(len(start))
        end[:-1] = np.where(odd_leg[1:] == odd_leg[:-1], start[1:], 1.0)
        place = self._place_on(legs, odd_leg, start + (end - start) / 2.0)

        leg = np.concatenate([leg, leg, odd_leg])
        start = np.concatenate([zero, met.fraction[at], start])
        place = np.concatenate([legs.place0[which[plain]], place1, place])
        order = np.lexsort((start, leg))
        leg, start, place = leg[order], start[order], place[order]
        new = np.ones(len(leg), bool)
        new[1:] = (leg[1:] != leg[:-1]) | (place[1:] != place[:-1])
        return Pieces(leg[new], start[new], place[new])

    def _place_on(
        self, legs: _Legs, leg: NDArray[np.int64], fraction: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Places at fractions of legs, as if fractions of legs were not rounded."""
        x0, y0, x1, y1 = (side[leg] for side in (legs.x0, legs.y0, legs.x1, legs.y1))
        place, unsure = self._look_up(x0 + fraction * (x1 - x0), y0 + fraction * (y1 - y0))
        for at in unsure.tolist():
            px, py, qx, qy, f = (Fraction(float(column[at])) for column in (x0, y0, x1, y1, fraction))
            place[at] = self._number_at((px + f * (qx - px), py + f * (qy - py)))
        return place

    def _number_at(self, point: Point) -> int:
        """The place number of a point that no double can name."""
        near = shapely.box(*(float(side) + step for step in (-1e-9, 1e-9) for side in point))
        found = []
        for area in sorted(self._tree.query(near).tolist()):
            x1, y1, x2, y2 = self.cells.edges.of(area)
            if covers_exactly(x1, y1, x2, y2, point):
                found.append(area)
        return self._number_of(found)

    def _look_up(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """Place numbers by the map, and the indexes of the points for which doubles cannot tell."""
        cells = self.cells
        place = cells.code.take(cells.grid.cell(x, y))
        at = np.flatnonzero(place < 0)
        if not len(at):
            return place, at
        key, close = cells.keys_near(-1 - place[at].astype(np.intp), x[at], y[at])
        known = self._known
        slot = key & known.mask
        place[at] = known.slot_place[slot]
        missed = (known.slot_key[slot] != key) & ~close
        if missed.any():  # two keys in one slot, or a set of areas met for the first time
            again = np.flatnonzero(missed)
            found = np.minimum(np.searchsorted(known.keys, key[again]), len(known.keys) - 1)
            place[at[again]] = known.places[found]
            new = again[known.keys[found] != key[again]]
            if len(new):
                place[at[new]] = self._learn(key[new], x[at[new]], y[at[new]])
        return place, at[close]

    def _learn(
        self, key: NDArray[np.uint64], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Place numbers of sets of areas met for the first time, each at a point that lies in it."""
        new, first, which = np.unique(key, return_index=True, return_inverse=True)
        place = self._locate_exactly(x[first], y[first])
        keys = np.concatenate([self._known.keys, new])
        order = np.argsort(keys)
        self._known = _Known.of(keys[order], np.concatenate([self._known.places, place])[order])
        return place[which]

    def _locate_exactly(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int32]:
        """Place numbers by asking the areas' exact geometry."""
        point, area = self._covering(x, y)
        key = self._keys_of(len(x), point, area)
        _, first, which = np.unique(key, return_index=True, return_inverse=True)
        begin, end = np.searchsorted(point, first), np.searchsorted(point, first, side="right")
        numbers = [self._number_of(area[a:b].tolist()) for a, b in zip(begin, end, strict=True)]
        return np.array(numbers, np.int32)[which]

    def _keys_exactly(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Keys of the sets of areas at points, by the areas' exact geometry."""
        return self._keys_of(len(x), *self._covering(x, y))

    def _keys_of(self, points: int, point: NDArray[np.intp], area: NDArray[np.intp]) -> NDArray[np.uint64]:
        key = np.zeros(points, np.uint64)
        np.bitwise_xor.at(key, point, self._area_key[area])
        return key

    def _covering(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """All pairs of a point and an area that covers it, sorted by both."""
        point, area = self._tree.query(shapely.points(x, y))
        shapely.prepare(self.areas.geometry[np.unique(area)])
        covers = shapely.intersects_xy(self.areas.geometry[area], x[point], y[point])
        order = np.lexsort((area[covers], point[covers]))
        return point[covers][order], area[covers][order]

    def _number_of(self, covering: list[int]) -> int:
        """Rule 5: the number of the place that areas make together."""
        number = self._number_of_set.get(tuple(covering))
        if number is None:
            ids: dict[Kind, list[str]] = {kind: [] for kind in Kind}
            for area in covering:
                ids[self.areas.kind[area]].append(self.areas.area_id[area])
            place = Place(
                min(ids[Kind.NEIGHBOURHOOD], default=None),
                min(ids[Kind.PREMISES], default=None),
                tuple(sorted(ids[Kind.PRIORITY])),
            )
            number = self._number_of_set[tuple(covering)] = self._intern(place)
        return number

    def _intern(self, place: Place) -> int:
        number = self._number.setdefault(place, len(self.places))
        if number == len(self.places):
            self.places.append(place)
        return number


class _Known(NamedTuple):
    """Place numbers by key: sorted, and once more in slots by the keys' last bits, where most are found.

    One value, so that a reader never sees half of an update.
    """

    keys: NDArray[np.uint64]
    places: NDArray[np.int32]
    slot_key: NDArray[np.uint64]
    slot_place: NDArray[np.int32]
    mask: np.uint64

    @classmethod
    def of(cls, keys: NDArray[np.uint64], places: NDArray[np.int32]) -> _Known:
        """The tables of keys in rising order."""
        slots = 1 << (8 * len(keys)).bit_length()
        mask = np.uint64(slots - 1)
        # Key 0 is that of no areas, so that empty slots and slot 0 say the same: outside.
        slot_key, slot_place = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
        slot_key[keys & mask], slot_place[keys & mask] = keys, places
        return cls(keys, places, slot_key, slot_place, mask)


class _Legs(NamedTuple):
    x0: NDArray[np.float64]
    y0: NDArray[np.float64]
    x1: NDArray[np.float64]
    y1: NDArray[np.float64]
    place0: NDArray[np.int32]
    place1: NDArray[np.int32] | None


def _columns(**columns: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Columns of equal length, or one clear error."""
    arrays = tuple(np.ascontiguousarray(column, np.float64) for column in columns.values())
    if any(array.shape != (len(arrays[0]),) for array in arrays):
        shapes = ", ".join(f"{name}{list(array.shape)}" for name, array in zip(columns, arrays, strict=True))
        raise ValueError(f"{shapes}: give flat columns of one length")
    return arrays


def _tile(place: NDArray[np.int32], inner: Pieces) -> Pieces:
    """One piece a leg, and in place of it those of the legs that were divided."""
    first = inner.start == 0.0
    place[inner.leg[first]] = inner.place[first]
    more = inner.leg[~first]
    at = more + 1 + np.arange(len(more))  # after the leg's first piece, and after all that came in before
    new = np.ones(len(place) + len(more), bool)
    new[at] = False
    leg = np.cumsum(new, dtype=np.int64)
    leg -= 1
    start = np.zeros(len(leg))
    start[at] = inner.start[~first]
    whole = place.take(leg)
    whole[at] = inner.place[~first]
    return Pieces(leg, start, whole)
