"""What one program keeps while it counts: its connection, and copies that save reading.

No step of the counting is here. A copy is right only under the locks that guard it: the boundaries' while
they are held, allocations and bookings while the row with their counter is locked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg.postgres import types

from geo.matching.history import FOREVER
from stream.core.calendar import microseconds
from stream.core.policy import Policies
from stream.store import areas, bookings, policies
from stream.store.columns import IntegersLoader
from stream.store.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from geo.matching.history import AreaHistory
    from stream.core.windows import Rows
    from stream.store.schema import Connection

MARGIN_US = 36 * 3600 * 1_000_000
"""How much further back than asked duties are kept, so that a slightly late fact needs no reading."""


@dataclass(slots=True)
class Booked:
    """A copy of one device's allocations: duty, officer, start, end; complete from ``since`` on."""

    counter: int
    since: int
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)


class Desk:
    """A connection, the policies, and the copies of keys, boundaries, allocations and bookings.

    Attributes:
        connection: the program's own; not for several threads at once.
        policies: those in force in the database, by which everything is counted.
        registry: names and keys.
        booked: by device's key, its allocations.
        officers: by officer's key, since when the copy is complete (microseconds), and the copy.
        suspects: devices and hours that are marked as worth a look (``stream.store.doubts``).
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._wide = connection.cursor(binary=True)
        self._wide.adapters.register_loader(types["int8"].array_oid, IntegersLoader)
        self.policies = Policies()
        self.registry = Registry()
        self.booked: dict[int, Booked] = {}
        self.officers: dict[int, tuple[int, bookings.BookedOfficer]] = {}
        self.suspects: set[tuple[int, int]] = set()
        self._history: AreaHistory | None = None
        self._areas = ""

    def forget(self) -> None:
        """Drops every copy: nothing left behind by a failed transaction is trusted."""
        self.registry.forget()
        self._history = None
        self._areas = ""
        self.suspects.clear()
        self.forget_bookings()

    def forget_bookings(self) -> None:
        """Drops the copies of allocations and bookings."""
        self.booked.clear()
        self.officers.clear()

    def open(self) -> None:
        """Step 2 of every transaction: locks boundaries and policies, and brings the copies up to date."""
        areas.hold(self.connection)
        # One question for both: it is asked in every transaction.
        newest, edition = areas.newest_with(self.connection, policies.EDITION)
        if edition != self.policies.edition:
            self.policies = policies.in_force(self.connection)
        if self._history is None or newest != self._areas:
            known = self._history.places if self._history else ()
            places = self.registry.places(self.connection, known)
            self._history, self._areas = areas.history(self.connection, places), newest

    @property
    def history(self) -> AreaHistory:
        """The boundaries in force, as ``open`` found them.

        Raises:
            RuntimeError: no transaction was opened.
        """
        if self._history is None:
            raise RuntimeError("the boundaries are not at hand: call open() first in the transaction")
        return self._history

    def fetch(self, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """The rows of a query, sent in binary: for wide arrays, which come as ``int64[n]``, and bytes."""
        return self._wide.execute(query.encode(), parameters).fetchall()

    def numbers(self, keys: NDArray[np.integer]) -> NDArray[np.int32]:
        """Places' keys → numbers of ``history.places``."""
        self.registry.meet(self.connection, self.history, keys)
        return self.registry.to_numbers(keys)

    def keys(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Numbers of ``history.places`` → places' keys."""
        return self.registry.to_keys(self.connection, self.history.places, numbers)

    def with_numbers(self, rows: Rows, column: int) -> Rows:
        """Rows whose places are keys, with numbers instead."""
        return (*rows[:column], self.numbers(rows[column]), *rows[column + 1 :])

    def with_keys(self, rows: Rows, column: int) -> Rows:
        """Rows whose places are numbers, with keys instead."""
        return (*rows[:column], self.keys(rows[column]), *rows[column + 1 :])

    def refresh_allocations(self, counters: Mapping[int, int], since: int) -> None:
        """Reads the allocations of those devices whose copy is stale, or does not reach back to a time."""
        stale = [
            key
            for key, counter in counters.items()
            if (copy := self.booked.get(key)) is None or copy.counter != counter or copy.since > since
        ]
        if not stale:
            return
        since = max(since - MARGIN_US, -FOREVER) if since > -FOREVER else since
        for key in stale:
            self.booked[key] = Booked(counters[key], since)
        for device, duty, officer, start, end in self.connection.execute(
            "select a.device, duty, officer, coalesce(a.start_at, d.start_at), least(a.end_at, d.until_at) "
            "from allocation a join duty d using (duty) where a.device = any(%s) "
            "and d.until_at > from_us(%s)",
            [stale, since],
        ).fetchall():
            self.booked[device].rows.append((duty, officer, microseconds(start), microseconds(end)))

    def refresh_officers(self, counters: Mapping[int, int], since: int) -> None:
        """Reads the bookings of those officers whose copy is stale, or does not reach back to a time."""
        stale = [
            officer
            for officer, facts in counters.items()
            if (copy := self.officers.get(officer)) is None or copy[1].facts != facts or copy[0] > since
        ]
        if not stale:
            return
        margin = max(since - MARGIN_US, -FOREVER)
        for officer, found in bookings.read_officers(self.connection, stale, margin).items():
            found.facts = counters[officer]
            self.officers[officer] = (margin, found)
