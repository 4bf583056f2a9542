"""The tables as columns again: what the database holds, in the core's own forms.

A shell that only reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.slices import Slices
from stream.core.stays import Stays
from stream.store import areas, bookings
from stream.store.columns import copy_out
from stream.store.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.facts import Duty, StateReport
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """All stays and slices of the database, as of one instant.

    Attributes:
        device_ids: the names behind the devices' numbers.
        duties: the duties behind the slices' numbers, cancelled ones among them.
        versions: the boundaries by the time from which they are in force, microseconds.
        states: the radio states keyed.
    """

    stays: Stays
    slices: Slices
    device_ids: tuple[str, ...]
    places: Sequence[Place]
    duties: tuple[Duty, ...]
    versions: list[tuple[int, AreaSet]]
    states: tuple[StateReport, ...]


def derived(connection: Connection) -> Derived:
    """Reads stays and slices, closed and growing, as of one instant."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        registry = Registry()
        places = registry.places(connection, ())
        devices = connection.execute("select device, device_id from device order by device_id").fetchall()
        keys, names = [key for key, _ in devices], tuple(name for _, name in devices)
        officers = connection.execute("select officer from officer").fetchall()
        booked = bookings.read_officers(connection, [key for (key,) in officers], 0)
        duties = sorted(
            ((key, duty) for item in booked.values() for key, duty in item.duties.items()),
            key=lambda pair: pair[1].duty_id,
        )
        device, start, end, place = copy_out(
            connection,
            "select device, start_at, end_at, coalesce(place, -1) from stays",
            ["int4", "time", "time", "int4"],
        )
        number = _renumber(keys)
        stays = Stays(number[device], start, end, registry.to_numbers(place))
        order = np.lexsort((stays.start, stays.device))
        stays = Stays(stays.device[order], stays.start[order], stays.end[order], stays.place[order])
        duty, start, end, activity, state, place, device = copy_out(
            connection,
            "select duty, start_at, end_at, activity, state, coalesce(place, -1), coalesce(device, -1) "
            "from slices",
            ["int4", "time", "time", "int2", "int2", "int4", "int4"],
        )
        of_duty = _renumber([key for key, _ in duties])
        order = np.lexsort((start, of_duty[duty]))
        return Derived(
            stays,
            Slices(
                of_duty[duty][order],
                start[order],
                end[order],
                activity[order].astype(np.int8),
                state[order],
                registry.to_numbers(place)[order],
                number[device][order],
            ),
            names,
            places,
            tuple(duty for _, duty in duties),
            areas.by_time(connection),
            tuple(report for item in booked.values() for report in item.states),
        )


def _renumber(keys: Sequence[int]) -> NDArray[np.int32]:
    """Database keys → positions, as a table to index; -1 stays -1."""
    table = np.full(max(keys, default=-1) + 2, -1, np.int32)
    table[list(keys)] = np.arange(len(keys), dtype=np.int32)
    return table
