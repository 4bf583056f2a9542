"""Names and their keys: devices, officers and places are stored once by name, elsewhere as integers.

It looks keys up and makes those that are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from psycopg.conninfo import make_conninfo

from geo.matching.history import UNKNOWN
from geo.matching.places import Place
from stream.store.schema import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from geo.matching.history import AreaHistory
    from stream.store.schema import Connection


MOST_DEVICES: Final = 200_000
"""The most devices of which a copy is kept: more than any force has, and fewer than can be made up."""


class Registry:
    """A program's copy of the keys; what is missing is looked up or made.

    Keys never change, so a copy is never stale; but one read in a transaction that did not commit must be
    forgotten (``forget``).

    Attributes:
        aside: whether new places are made over a connection of its own, which commits at once.
    """

    def __init__(self) -> None:
        self._devices: dict[str, int] = {}
        self._officers: dict[str, int] = {}
        self.aside = True
        self.forget()

    def forget(self) -> None:
        """Drops everything known."""
        self._devices.clear()
        self._officers.clear()
        self._keys: dict[Place, int] = {}
        self._place_keys = np.empty(0, np.int32)
        self._place_numbers = np.empty(0, np.int32)

    def devices(self, connection: Connection, names: Sequence[str]) -> NDArray[np.int32]:
        """Keys of devices, new ones made with the row that their growing end lives in: ``int32[n]``."""
        if len(self._devices) > MOST_DEVICES:
            self._devices.clear()
        found = list(map(self._devices.get, names))
        if None not in found:
            return np.array(found, np.int32)
        if missing := self._unmet(connection, self._devices, "device", names):
            connection.execute(
                "with made as (insert into device (device_id) select unnest(%s::text[]) "
                "on conflict (device_id) do nothing returning device) "
                "insert into stay_end (device) select device from made",
                [missing],
            )
            self._unmet(connection, self._devices, "device", missing)
        return np.array([self._devices[name] for name in names], np.int32)

    def officers(self, connection: Connection, names: Iterable[str]) -> dict[str, int]:
        """Keys of officers, new ones made."""
        wanted = sorted(set(names))
        if missing := self._unmet(connection, self._officers, "officer", wanted):
            connection.execute(
                "insert into officer (officer_id) select unnest(%s::text[]) "
                "on conflict (officer_id) do nothing",
                [missing],
            )
            self._unmet(connection, self._officers, "officer", missing)
        return {name: self._officers[name] for name in wanted}

    @staticmethod
    def _unmet(connection: Connection, known: dict[str, int], table: str, names: Iterable[str]) -> list[str]:
        """Looks up names not known yet; those the database has not met either, sorted.

        Only they are written: an insert that finds its row waits for its lock.
        """
        missing = sorted({name for name in names if name not in known})
        if missing:
            known.update(
                connection.execute(
                    f"select {table}_id, {table} from {table} where {table}_id = any(%s)".encode(), [missing]
                )
            )
        return [name for name in missing if name not in known]

    def to_keys(
        self, connection: Connection, places: Sequence[Place], numbers: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Place numbers (of an ``AreaHistory``) → keys; ``UNKNOWN`` stays ``UNKNOWN``."""
        if len(places) > len(self._place_keys):
            self._meet(connection, places)
        keys: NDArray[np.int32] = np.append(self._place_keys, np.int32(UNKNOWN))
        return keys[numbers]

    def to_numbers(self, keys: NDArray[np.integer]) -> NDArray[np.int32]:
        """Keys of places that were loaded (``places``) → numbers; ``UNKNOWN`` stays ``UNKNOWN``."""
        numbers: NDArray[np.int32] = np.append(self._place_numbers, np.int32(UNKNOWN))
        found: NDArray[np.int32] = numbers[keys]
        return found

    def meet(self, connection: Connection, history: AreaHistory, keys: NDArray[np.integer]) -> None:
        """Makes sure that all these places have numbers: another program may have met them first."""
        known = np.append(self._place_numbers, np.int32(UNKNOWN))
        within = (keys >= 0) & (keys < len(self._place_numbers))
        unknown = np.unique(keys[(keys != UNKNOWN) & (known[np.where(within, keys, -1)] == UNKNOWN)])
        if not len(unknown):
            return
        found = _place_keys(connection, unknown.tolist())
        self._keys |= found
        for place in found:
            history.number(place)
        self._meet(connection, history.places)

    def places(self, connection: Connection, known: Sequence[Place]) -> list[Place]:
        """All places of the database behind those already numbered, in an order that may only grow.

        Those without what is near come first: the core takes the first of several for the exact one.
        """
        places = list(known) or [Place(None, None, ())]
        met = set(places)
        self._keys = _place_keys(connection)
        for place in self._keys:
            if place not in met:
                places.append(place)
                met.add(place)
        self._meet(connection, places)
        return places

    def _meet(self, connection: Connection, places: Sequence[Place]) -> None:
        new = [place for place in places if place not in self._keys]
        if new:
            self._keys |= _made(connection, new) if self.aside else _inserted(connection, new)
            if not self._keys.keys() >= set(new):  # somebody else met them meanwhile
                self._keys |= _place_keys(connection)
        self._place_keys = np.array([self._keys[place] for place in places], np.int32)
        self._place_numbers = np.full(max(self._keys.values(), default=-1) + 1, UNKNOWN, np.int32)
        self._place_numbers[self._place_keys] = np.arange(len(places), dtype=np.int32)


def _made(connection: Connection, places: Sequence[Place]) -> dict[Place, int]:
    """Keys of those places that were not there, with rows made for them.

    Made over a connection of its own, which commits at once: whoever meets the same place need not wait for
    the end of the transaction that is under way. Harmless if that fails: a place is only what it is called.
    """
    info = connection.info
    dsn = make_conninfo(info.dsn, password=info.password or None)
    with connect(dsn, name="patrol places") as aside:
        aside.execute("set lock_timeout = '10s'")
        return _inserted(aside, places)


def _inserted(connection: Connection, places: Sequence[Place]) -> dict[Place, int]:
    """The same over a connection."""
    made = {}
    # Sorted, so that two workers that meet the same new places wait for each other in one order.
    rows = sorted(places, key=lambda place: (place.neighbourhood or "", place.premises or "", *place[2:]))
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into place (neighbourhood, premises, priorities, near) values (%s, %s, %s, %s) "
            "on conflict (neighbourhood, premises, priorities, near) do nothing returning place",
            [
                [place.neighbourhood, place.premises, list(place.priorities), list(place.near)]
                for place in rows
            ],
            returning=True,
        )
        for place in rows:
            if (row := cursor.fetchone()) is not None:
                made[place] = int(row[0])
            cursor.nextset()
    return made


def _place_keys(connection: Connection, keys: Sequence[int] | None = None) -> dict[Place, int]:
    """Places and their keys, those without what is near first; None: all of them."""
    return {
        Place(neighbourhood, premises, tuple(priorities), tuple(near)): key
        for key, neighbourhood, premises, priorities, near in connection.execute(
            "select place, neighbourhood, premises, priorities, near from place "
            "where %(keys)s::int[] is null or place = any(%(keys)s) order by near <> '{}', place",
            {"keys": None if keys is None else list(keys)},
        ).fetchall()
    }
