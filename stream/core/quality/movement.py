"""Where devices are, to the microsecond: legs, known time, and when two devices are near each other.

Columns in, columns out; nothing of duties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geo.matching.history import UNKNOWN
from stream.core.columns import coalesce, offsets, ranges
from stream.core.facts import SECOND
from stream.core.quality.intervals import divided
from stream.core.stays import distance_m, jumps, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from numpy.typing import NDArray

    from stream.core.facts import Fixes
    from stream.core.policy import Policies
    from stream.core.stays import Stays

    Ints: TypeAlias = NDArray[np.int64]
    Floats: TypeAlias = NDArray[np.float64]


class Movement(NamedTuple):
    """Straight movements: from when, how long (both microseconds), from where, and by how much (degrees)."""

    start: Ints
    length: NDArray[np.int64] | Floats
    lon: Floats
    lat: Floats
    east: Floats
    north: Floats

    def take(self, rows: NDArray[np.integer]) -> Movement:
        """Some of them."""
        return Movement(*(column[rows] for column in self))

    def at(self, time: Ints) -> tuple[Floats, Floats]:
        """Where each is at its time: lon and lat in degrees."""
        part = (time - self.start) / self.length
        return self.lon + self.east * part, self.lat + self.north * part


@dataclass(frozen=True, slots=True, eq=False)
class Legs:
    """The legs of some devices, sorted by device and time; ``bounds`` has where each device's start."""

    bounds: Ints
    start: Ints
    end: Ints
    lon0: Floats
    lat0: Floats
    lon1: Floats
    lat1: Floats

    def during(self, device: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Intervals divided among their device's legs: ``(row, leg, start, end)``."""
        return divided(start, end, self.bounds[device], self.bounds[device + 1], self.start, self.end)

    def speed(self) -> Floats:
        """Metres a second of each leg."""
        length = (self.end - self.start) / SECOND
        found: Floats = distance_m(self.lon0, self.lat0, self.lon1, self.lat1) / length
        return found

    def ways(self, leg: Ints) -> Movement:
        """The movements of some legs."""
        lon, lat = self.lon0[leg], self.lat0[leg]
        length = self.end[leg] - self.start[leg]
        return Movement(self.start[leg], length, lon, lat, self.lon1[leg] - lon, self.lat1[leg] - lat)


@dataclass(frozen=True, slots=True, eq=False)
class Movements:
    """All devices' fixes in order and stays, by device."""

    fixes: Fixes
    stays: Stays
    policies: Policies
    number: Mapping[str, int]
    stays_from: Ints

    @classmethod
    def of(cls, fixes: Fixes, stays: Stays, policies: Policies) -> Movements:
        """Fixes in order, and the stays in the same numbering of devices."""
        number = {name: at for at, name in enumerate(fixes.device_ids)}
        return cls(fixes, stays, policies, number, offsets(stays.device, len(number)))

    def stays_during(
        self, device: Ints, start: Ints, end: Ints
    ) -> tuple[Ints, NDArray[np.int32], Ints, Ints]:
        """Intervals divided among their device's known stays: ``(row, place, start, end)``."""
        stays = self.stays
        first, last = self.stays_from[device], self.stays_from[device + 1]
        row, at, start, end = divided(start, end, first, last, stays.start, stays.end)
        known = stays.place[at] != UNKNOWN
        return row[known], stays.place[at[known]], start[known], end[known]

    def while_known(self, device: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
        """The parts of intervals in which their device's position is known: ``(row, start, end)``."""
        row, _, start, end = self.stays_during(device, start, end)
        at, start, end = coalesce(start, end, [row])
        return row[at], start, end

    def legs(self, devices: Ints) -> Legs:
        """The legs of these devices, jumps left out (rules 3 and 4)."""
        wanted = np.unique(devices)
        bounds = offsets(self.fixes.device, len(self.number))
        _, rows = ranges(bounds[wanted], bounds[wanted + 1])
        fixes = take(self.fixes, rows)
        fixes = take(fixes, ~jumps(fixes, self.policies))
        a = np.flatnonzero(fixes.device[1:] == fixes.device[:-1])
        time, lon, lat = fixes.time, fixes.lon, fixes.lat
        return Legs(
            offsets(fixes.device[a], len(self.number)),
            *(time[a], time[a + 1], lon[a], lat[a], lon[a + 1], lat[a + 1]),
        )


def near(one: Movement, two: Movement, start: Ints, end: Ints, metres: Floats) -> tuple[Ints, Ints]:
    """When two devices are at most so far from each other: ``(from, to)`` within each ``[start, end)``.

    Two straight movements come nearer, then go apart. The moment at which they are nearest is found in a
    plane; from there the first and the last whole microsecond at which the great circle between them is at
    most so long, by bisection. Empty intervals are ``(end, end)``.
    """

    def is_near(rows: NDArray[np.intp], time: Ints) -> NDArray[np.bool_]:
        close: NDArray[np.bool_] = (
            distance_m(*one.take(rows).at(time), *two.take(rows).at(time)) <= metres[rows]
        )
        return close

    def edge(rows: NDArray[np.intp], inside: Ints, outside: Ints) -> Ints:
        """The last microsecond that is near, on the way from one that is to one that is not."""
        inside, outside = inside.copy(), outside.copy()
        while True:
            open_ = np.flatnonzero(np.abs(outside - inside) > 1)
            if not len(open_):
                return inside
            middle = (inside[open_] + outside[open_]) // 2
            close = is_near(rows[open_], middle)
            inside[open_] = np.where(close, middle, inside[open_])
            outside[open_] = np.where(close, outside[open_], middle)

    nearest = _nearest(one, two, start, end)
    found = np.flatnonzero(is_near(np.arange(len(start)), nearest))
    near_from, near_to = end.copy(), end.copy()
    lowest, first, last = nearest[found], start[found], end[found] - 1
    near_from[found] = np.where(is_near(found, first), first, edge(found, lowest, first))
    near_to[found] = np.where(is_near(found, last), last, edge(found, lowest, last)) + 1
    return near_from, near_to


def _nearest(one: Movement, two: Movement, start: Ints, end: Ints) -> Ints:
    """About when two devices are nearest, to the microsecond, in the plane at their latitude then."""
    east = (two.east / two.length - one.east / one.length).astype(np.float64)
    north = (two.north / two.length - one.north / one.length).astype(np.float64)
    time = start
    for _ in range(3):
        (lon0, lat0), (lon1, lat1) = one.at(time), two.at(time)
        scale = np.cos(np.radians((lat0 + lat1) / 2)) ** 2
        across = (lon1 - lon0 + 180.0) % 360.0 - 180.0
        speed = east * east * scale + north * north
        until = -(across * east * scale + (lat1 - lat0) * north) / np.where(speed > 0, speed, np.inf)
        time = np.clip(np.rint(time + until), start, end - 1).astype(np.int64)
    return time
