"""Duties + stays → vehicle time with one officer allocated and with more (rule 18).

Columns in, columns out; no Kafka, no database, no clock. An officer is allocated to a vehicle while a duty
says so and it is the duty that the officer is on; what radio state they are in does not matter, nor where
their radio is. Where the vehicle was comes from its own tracker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER, UNKNOWN
from stream.core.calendar import LOCAL, moment
from stream.core.columns import changes, offsets, ranges, search
from stream.core.facts import SECOND
from stream.core.slices import spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.stays import Stays

HOUR = 3600 * SECOND
"""Microseconds in an hour. London's clock is whole hours from UTC, so its hours begin when UTC's do."""

OUTSIDE, NOWHERE_KNOWN = "outside", "unknown"
"""Vehicle time outside every neighbourhood, and time in which the vehicle's position is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Crewing:
    """Vehicle time by neighbourhood and local hour, sorted by both; rows without time are left out (rule 18).

    Attributes:
        neighbourhood: ``int32[n]``, index into ``neighbourhood_ids``.
        hour: ``int64[n]``, when the local hour begins, microseconds since 1970 UTC.
        single: ``int64[n]``, vehicle time with one officer allocated, microseconds.
        double: ``int64[n]``, with two or more. Together: the time with anybody allocated.
        neighbourhood_ids: those that occur, sorted, then ``OUTSIDE`` and ``NOWHERE_KNOWN``.
    """

    neighbourhood: NDArray[np.int32]
    hour: NDArray[np.int64]
    single: NDArray[np.int64]
    double: NDArray[np.int64]
    neighbourhood_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.hour)


def crewing(
    duties: Sequence[Duty],
    stays: Stays,
    device_ids: Sequence[str],
    places: Sequence[Place],
    start: int,
    end: int,
) -> Crewing:
    """Crewed vehicle time in a period.

    Two allocations of one officer to one vehicle count once; an officer allocated to two vehicles crews both.

    Args:
        duties: newest revisions (``stream.core.slices.newest``), with all duties of every officer that
            occurs; cancelled ones count for nothing.
        stays: of the vehicles, sorted by device and time; others do no harm.
        device_ids: the names behind ``stays.device``; a vehicle that is not among them was never seen.
        places: the places behind ``stays.place``.
        start: the period's start, microseconds.
        end: its end, exclusive; duties without an end are counted up to here.
    """
    vehicle, low, high, crew = _crews(duties, device_ids, start, end)
    row, low, high, place = _whereabouts(vehicle, low, high, stays)
    ids = sorted({item.neighbourhood for item in places if item.neighbourhood is not None})
    number = {name: at for at, name in enumerate(ids)}
    code = [len(ids) if p.neighbourhood is None else number[p.neighbourhood] for p in places]
    where = np.array([*code, len(ids) + 1], np.int64)[np.where(place == UNKNOWN, len(places), place)]

    part, hour = ranges(low // HOUR, -(-high // HOUR))
    length = np.minimum(high[part], (hour + 1) * HOUR) - np.maximum(low[part], hour * HOUR)
    where, double = where[part], crew[row[part]] > 1
    order = np.lexsort((hour, where))
    fresh = changes(where[order], hour[order])
    cell = np.empty(len(order), np.int64)
    cell[order] = np.cumsum(fresh) - 1
    time = np.zeros((int(fresh.sum()), 2), np.int64)
    np.add.at(time, (cell, double.astype(np.int64)), length)
    first = order[fresh]
    used = np.unique(np.append(where[first], [len(ids), len(ids) + 1]))
    return Crewing(
        np.searchsorted(used, where[first]).astype(np.int32),
        hour[first] * HOUR,
        time[:, 0].copy(),
        time[:, 1].copy(),
        tuple([*ids, OUTSIDE, NOWHERE_KNOWN][at] for at in used.tolist()),
    )


def by_hour_of_day(found: Crewing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums by neighbourhood and local hour: ``(single, double)``, each ``int64[neighbourhoods, 24]``.

    When the clocks go back, hour 1 has the time of both hours with that name.
    """
    hours, which = np.unique(found.hour, return_inverse=True)
    shown = np.array([moment(hour).astimezone(LOCAL).hour for hour in hours.tolist()], np.int64)[which]
    tables = np.zeros((2, len(found.neighbourhood_ids), 24), np.int64)
    np.add.at(tables[0], (found.neighbourhood, shown), found.single)
    np.add.at(tables[1], (found.neighbourhood, shown), found.double)
    return tables[0], tables[1]


def _crews(
    duties: Sequence[Duty], device_ids: Sequence[str], start: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """When vehicles were crewed: ``(vehicle, start, end, officers)``, disjoint for each vehicle.

    Vehicles have their place in ``device_ids``, or a number behind it.
    """
    vehicles = {name: number for number, name in enumerate(device_ids)}
    officers: dict[str, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    for number, opens, closes in zip(*(column.tolist() for column in spans(duties)), strict=True):
        duty = duties[number]
        for item in duty.devices:
            low = max(opens, start, opens if item.start is None else item.start)
            high = min(closes, end, closes if item.end is None else item.end)
            if item.kind != "radio" and low < high:
                vehicle = vehicles.setdefault(item.device_id, len(vehicles))
                rows.append((vehicle, officers.setdefault(duty.officer_id, len(officers)), low, high))
    table = np.array(rows, np.int64).reshape(-1, 4)
    # An officer in a vehicle counts once, however often allocated; then officers are counted.
    pair, back = np.unique(table[:, 0] * (len(officers) + 1) + table[:, 1], return_inverse=True)
    held, low, high, _ = _depths(back, table[:, 2], table[:, 3])
    return _depths(pair[held] // (len(officers) + 1), low, high)


def _depths(
    group: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How many intervals of a group cover an instant, where any does: ``(group, start, end, how many)``.

    What comes out is sorted and disjoint; it is divided wherever an interval begins or ends.
    """
    who, time = np.concatenate([group, group]), np.concatenate([start, end])
    step = np.repeat(np.array([1, -1], np.int64), len(start))
    order = np.lexsort((time, who))
    who, time, depth = who[order], time[order], np.cumsum(step[order])
    covered = np.flatnonzero((depth > 0) & (np.append(time[1:], 0) > time))  # a group ends with depth 0
    return who[covered], time[covered], time[covered + 1], depth[covered]


def _whereabouts(
    vehicle: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    stays: Stays,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Intervals of vehicles divided by where they were: ``(row, start, end, place)``, tiling each row."""
    # Each stay, and the silence behind it; before a device's first stay there is another silence.
    devices = max(int(vehicle.max(initial=-1)), int(stays.device.max(initial=-1))) + 1
    device = np.concatenate([np.arange(devices), np.repeat(stays.device, 2)])
    opens = np.concatenate([np.full(devices, -FOREVER), np.ravel(np.column_stack([stays.start, stays.end]))])
    silent = np.full(len(stays), UNKNOWN, np.int32)
    place = np.concatenate(
        [np.full(devices, UNKNOWN, np.int32), np.ravel(np.column_stack([stays.place, silent]))]
    )
    order = np.argsort(device, kind="stable")
    device, opens, place = device[order], opens[order], place[order]
    closes = np.full(len(opens), FOREVER)
    closes[:-1] = np.where(device[1:] == device[:-1], opens[1:], FOREVER)
    bounds = offsets(device, devices)
    first, last = bounds[vehicle], bounds[vehicle + 1]
    row, piece = ranges(search(closes, first, last, start, right=True), search(opens, first, last, end))
    low, high = np.maximum(start[row], opens[piece]), np.minimum(end[row], closes[piece])
    real = np.flatnonzero(low < high)
    return row[real], low[real], high[real], place[piece[real]]
