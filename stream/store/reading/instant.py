"""One instant of the database, and one numbering of what is read as of it.

Reads only. The core knows devices, places and duties by numbers from 0; the database by keys.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg.rows import scalar_row

from geo.matching.history import UNKNOWN
from stream.core.calendar import microseconds
from stream.core.facts import Allocation, Duty
from stream.core.slices import Slices
from stream.core.stays import Stays
from stream.store.registry import Registry
from stream.store.tracks import SLICES, STAYS, every

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.windows import Rows
    from stream.store.schema import Connection


@contextlib.contextmanager
def instant(connection: Connection) -> Iterator[None]:
    """All that is read inside is as of one instant, and nothing is written."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        yield


def numbering(keys: Sequence[int]) -> NDArray[np.int32]:
    """Database keys → positions, as a table to index; -1 stays -1."""
    table = np.full(max(keys, default=-1) + 2, UNKNOWN, np.int32)
    table[list(keys)] = np.arange(len(keys), dtype=np.int32)
    return table


def fetch(
    connection: Connection, query: str, values: Sequence[object] | Mapping[str, object] = ()
) -> list[Any]:
    """All rows at once and in binary: a force has many."""
    return connection.cursor(binary=True).execute(query.encode(), values).fetchall()


def scalars(connection: Connection, query: str, values: Sequence[object] = ()) -> list[Any]:
    """The values of a query for one column."""
    cursor = connection.cursor(binary=True, row_factory=scalar_row)
    return cursor.execute(query.encode(), values).fetchall()


@dataclass(frozen=True, slots=True, eq=False)
class Numbered:
    """The devices and places of the database by number.

    Attributes:
        device_ids: the names behind the devices' numbers, sorted.
        places: those behind the places' numbers.
    """

    device_ids: tuple[str, ...]
    places: Sequence[Place]
    _devices: NDArray[np.int32]
    _registry: Registry

    def devices(self, keys: NDArray[np.integer]) -> NDArray[np.int32]:
        """The numbers of devices by their keys."""
        found: NDArray[np.int32] = self._devices[keys]
        return found

    def keys(self) -> dict[str, int]:
        """The devices' keys by name."""
        keys = np.flatnonzero(self._devices >= 0)
        names = map(self.device_ids.__getitem__, self._devices[keys].tolist())
        return dict(zip(names, keys.tolist(), strict=True))

    @classmethod
    def of(cls, connection: Connection) -> Numbered:
        """As of now."""
        device_ids, devices = devices_of(connection)
        registry = Registry()
        return cls(device_ids, registry.places(connection, ()), devices, registry)

    def slices(self, connection: Connection, duties: Sequence[int], which: str = "true") -> Slices:
        """Slices, closed and growing, by duty and time.

        Args:
            connection: in a transaction that sees one instant.
            duties: keys of the duties by their numbers, of all that are read.
            which: slices, in SQL.
        """
        rows = every(connection, SLICES, which)
        places, devices = self._registry.to_numbers(rows[5]), self._devices[rows[6]]
        found = slices_of((numbering(duties)[rows[0]], *rows[1:5], places, devices))
        return found.take(np.lexsort((found.start, found.duty)))

    def stays(self, connection: Connection, which: str = "true") -> Stays:
        """Stays, closed and growing, by device and time.

        Args:
            connection: in a transaction that sees one instant.
            which: stays, in SQL; all by default.
        """
        device, start, end, place = every(connection, STAYS, which)
        found = Stays(self._devices[device], start, end, self._registry.to_numbers(place))
        return found.take(np.lexsort((found.start, found.device)))


def slices_of(rows: Rows) -> Slices:
    """Rows whose keys and values are numbers already as slices."""
    duty, start, end, activity, state, place, device = rows
    small = duty.astype(np.int32), activity.astype(np.int8), state.astype(np.int16), device.astype(np.int32)
    return Slices(small[0], start, end, small[1], small[2], place, small[3])


def devices_of(connection: Connection) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Names of all devices, sorted, and their numbering."""
    found = connection.execute("select device, device_id from device order by device_id").fetchall()
    return tuple(name for _, name in found), numbering([key for key, _ in found])


def read_duties(
    connection: Connection, which: str, values: Sequence[object] = (), *, devices: str | None = "true"
) -> dict[int, Duty]:
    """Duties by key, as they count now, in the order asked for.

    Args:
        connection: in a transaction that sees one instant, or that locked what is read.
        which: in SQL, a condition on ``duty`` joined with ``officer``, with an order where one matters.
        values: of the placeholders in it.
        devices: which of them come with their devices, in SQL: a condition on ``duty d``; None: none.
    """
    found = fetch(
        connection,
        f"select duty, duty_id, revision, officer_id, {us('start_at')}, {us('end_at')}, patch, cancelled, "
        f"name, role, team, longest_us from duty join officer using (officer) where {which}",
        values,
    )
    held: dict[int, list[Allocation]] = defaultdict(list)
    if devices is not None:
        for key, *allocated in fetch(
            connection,
            f"select duty, device_id, kind, {us('a.start_at')}, {us('a.end_at')} from allocation a "
            "join device using (device) join duty d using (duty) "
            f"where duty = any(%s) and {devices} order by duty, position",
            [[row[0] for row in found]],
        ):
            held[key].append(Allocation(*allocated))
    return {
        key: Duty(duty_id, revision, officer_id, start, end, tuple(patch), tuple(held[key]), *about)
        for key, duty_id, revision, officer_id, start, end, patch, *about in found
    }


def ever_booked(connection: Connection, officers: Sequence[int] | None = None) -> list[Duty]:
    """All duties ever of some officers and of everybody who was in one of their teams; None: of all.

    Without their devices, as team facts need them.
    """
    if officers is not None:
        officers = scalars(
            connection,
            "select distinct officer from duty where officer = any(%s) or team = any("
            "array(select distinct team from duty where officer = any(%s) and team is not null))",
            [list(officers)] * 2,
        )
    which = "true" if officers is None else "officer = any(%s)"
    return list(read_duties(connection, which, [] if officers is None else [officers], devices=None).values())


def first_duty(connection: Connection) -> int | None:
    """Start of the first duty that counts, microseconds; None: there is none."""
    row = connection.execute("select min(start_at) from duty where until_at is not null").fetchone()
    return None if row is None or row[0] is None else microseconds(row[0])


def us(column: str) -> str:
    """A time as microseconds in SQL; NULL stays NULL."""
    return f"(extract(epoch from {column}) * 1000000)::int8"
