"""What one program keeps while it counts: its connection, and copies that save reading.

No step of the counting is here. A copy is right only under the locks that guard it: the boundaries' while
they are held, allocations and bookings while the row with their counter is locked, a growing end while nobody
else may write its row and the stamp says that nobody has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psycopg.postgres import types

from geo.matching.history import FOREVER
from stream.core.policy import Policies
from stream.core.shares import TOTALS
from stream.core.slices import HELD, KEYED, SPAN, Plan, plan
from stream.store import areas, bookings, kept, late, policies
from stream.store.columns import IntegersDumper, IntegersLoader
from stream.store.copies import MOST, Copies
from stream.store.reading.instant import us
from stream.store.registry import Registry
from stream.store.tracks import CONTEXT, SLICES, STAYS, part_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.history import AreaHistory
    from stream.core.facts import Duty
    from stream.core.windows import Rows
    from stream.store.schema import Connection

STAMP: Final = "xmin::text::int8"
"""In SQL, which transaction wrote a row as it is: another one whenever anybody has written it anew."""

MARGIN_US = 36 * 3600 * 1_000_000
"""How much further back than asked duties are kept, so that a slightly late fact needs no reading."""


MOST_PLANS: Final = 20_000
"""So many duties are kept at least, before all are forgotten: those of a force's last days."""

END = np.dtype([("stamp", "<i8"), ("closed", "<i8"), ("whole", "?")])
"""Of a device's growing end, beside its stays and fixes."""
SLICE_END = np.dtype([("stamp", "<i8"), ("closed", "<i8"), ("settled", "<i8", (TOTALS,))])
"""Of a duty's growing end, beside its slices."""
COUNTED = np.dtype([("stamp", "<i8"), ("since", "<i8")])
"""Of what is complete from a time on: the counter it was read at, and the time."""
ALLOCATED = np.dtype([("duty", "<i8"), ("officer", "<i8"), ("start", "<i8"), ("end", "<i8")])
"""Of a device: the duty and officer it is allocated to, from when and until when."""
PLANNED = np.dtype([("stamp", "<i8"), ("start", "<i8"), ("patch", "<i4")])
"""Of a duty's plan, beside its spans, devices and states; its patch by number of ``patches``."""


class Desk:
    """A connection, the policies, and the copies of keys, boundaries, growing ends, allocations and bookings.

    Attributes:
        connection: the program's own; not for several threads at once.
        policies: those in force in the database, by which everything is counted.
        registry: names and keys.
        ends: by device's key, its growing end: ``stays`` with numbers of places, and ``context``.
        slice_ends: by duty's key, its growing end: ``slices`` with numbers of places.
        allocated: by device's key, its allocations as ``rows``.
        officers: by officer's key, since when ``duties`` and ``plans`` have all that it is booked for.
        duties: by key.
        plans: by duty's key, what its slices follow from but the stays; devices are keys.
        patches: the home patches, in the order of their numbers.
        busiest: how many duties were counted at once, at most.
        suspects: devices and hours that are marked as worth a look (``stream.store.doubts``).
        settled: before this time, microseconds, there are settled weeks, as ``open`` found it.
        counted_from: nothing before this time is counted again (``stream.store.kept``), likewise.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        connection.adapters.register_dumper(np.ndarray, IntegersDumper)
        self._wide = connection.cursor(binary=True)
        self._wide.adapters.register_loader(types["int8"].array_oid, IntegersLoader)
        self.policies = Policies()
        self.registry = Registry()
        self.ends = Copies(END, stays=part_of(STAYS), context=CONTEXT)
        self.slice_ends = Copies(SLICE_END, slices=part_of(SLICES))
        self.allocated = Copies(COUNTED, rows=ALLOCATED)
        self.officers = Copies(COUNTED)
        self.plans = Copies(PLANNED, spans=SPAN, held=HELD, keyed=KEYED)
        self.duties: dict[int, Duty] = {}
        self.patches: dict[tuple[str, ...], int] = {}
        self.busiest = 0
        self.suspects: set[tuple[int, int]] = set()
        self.settled = -FOREVER
        self.counted_from = -FOREVER
        self._history: AreaHistory | None = None
        self._areas = ""
        self._stamp: int | None = None

    def forget(self) -> None:
        """Drops every copy: nothing left behind by a failed transaction is trusted."""
        self.registry.forget()
        self._history = None
        self._areas = ""
        self.suspects.clear()
        self._forget_rows()

    def _forget_rows(self) -> None:
        for copies in (self.ends, self.slice_ends, self.allocated):
            copies.forget()
        self.forget_bookings()

    def forget_bookings(self) -> None:
        """Drops the copies of what officers are booked for."""
        self.officers.forget()
        self.plans.forget()
        self.duties.clear()
        self.patches.clear()

    def open(self) -> None:
        """Step 2 of every transaction: locks boundaries and policies, and brings the copies up to date."""
        self._stamp = None
        if max(map(len, (self.ends, self.slice_ends, self.allocated))) > MOST:
            self._forget_rows()
        if len(self.plans) > max(MOST_PLANS, 20 * self.busiest):
            self.forget_bookings()
        areas.hold(self.connection)
        # One question for all: it is asked in every transaction.
        newest, (edition, self.settled, self.counted_from) = areas.newest_with(
            self.connection, policies.EDITION, late.SETTLED, kept.COUNTED_FROM
        )
        if edition != self.policies.edition:
            self.policies = policies.in_force(self.connection)
            self.forget_bookings()
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

    def columns(self, query: str, parameters: Sequence[object], count: int) -> list[NDArray[np.int64]]:
        """The rows of a query for so many columns of integers: ``int64[n]`` each, in the query's order."""
        names = [f"c{number}" for number in range(count)]
        every = ", ".join(f"array_agg({name}::int8)" for name in names)
        [row] = self.fetch(f"select {every} from ({query}) q ({', '.join(names)})", parameters)
        return [np.empty(0, np.int64) if column is None else column for column in row]

    def stamp(self) -> int:
        """What the rows that this transaction writes have as their stamp (``STAMP``)."""
        if self._stamp is None:
            [(number,)] = self.connection.execute("select pg_current_xact_id()::text::int8").fetchall()
            self._stamp = int(number) % 2**32
        return self._stamp

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

    def refresh_allocations(self, keys: NDArray[np.integer], counters: NDArray[np.int64], since: int) -> None:
        """Reads the allocations of those devices whose copy is stale, or does not reach back to a time.

        Args:
            keys: ``int[n]``, rising.
            counters: ``int64[n]``, theirs.
            since: microseconds.
        """
        at = self.allocated.find(keys)
        fresh = self.allocated.fresh(at, counters) & (self.allocated.head(at)["since"] <= since)
        if fresh.all():
            return
        stale, counters = keys[~fresh], counters[~fresh]
        since = max(since - MARGIN_US, -FOREVER)
        device, duty, officer, start, end = self.columns(
            f"select a.device, duty, officer, {us('coalesce(a.start_at, d.start_at)')}, "
            f"{us('least(a.end_at, d.until_at)')} "
            "from allocation a join duty d using (duty) where a.device = any(%s::int4[]) "
            "and d.until_at > from_us(%s) order by a.device",
            [stale, since],
            5,
        )
        rows = np.empty(len(device), ALLOCATED)
        rows["duty"], rows["officer"], rows["start"], rows["end"] = duty, officer, start, end
        head = np.empty(len(stale), COUNTED)
        head["stamp"], head["since"] = counters, since
        count = np.searchsorted(device, stale, "right") - np.searchsorted(device, stale)
        self.allocated.put(stale, head, rows=(count, rows))

    def refresh_officers(
        self,
        keys: NDArray[np.int64],
        counters: NDArray[np.int64],
        since: int,
        wanted: NDArray[np.int64],
        theirs: NDArray[np.int64],
    ) -> None:
        """Reads the bookings of those officers whose copy is stale, or does not reach back to a time.

        Args:
            keys: ``int64[n]``, rising.
            counters: ``int64[n]``, theirs.
            since: microseconds.
            wanted: ``int64[m]``, duties that have to be there.
            theirs: ``int64[m]``, the officers of these.
        """
        at = self.officers.find(keys)
        fresh = self.officers.fresh(at, counters) & (self.officers.head(at)["since"] <= since)
        fresh &= ~np.isin(keys, theirs[self.plans.find(wanted) < 0])
        if fresh.all():
            return
        stale = keys[~fresh]
        margin = max(since - MARGIN_US, -FOREVER)
        found = bookings.read_officers(self.connection, stale.tolist(), margin)
        head = np.empty(len(stale), COUNTED)
        head["stamp"], head["since"] = counters[~fresh], margin
        self.officers.put(stale, head)
        read = sorted((pair for each in found.values() for pair in each.duties.items()), key=lambda p: p[0])
        duties = [duty for _, duty in read]
        names = sorted({item.device_id for duty in duties for item in duty.devices})
        devices = dict(zip(names, self.registry.devices(self.connection, names).tolist(), strict=True))
        booked = plan(duties, devices, [state for each in found.values() for state in each.states])
        self.duties.update(read)
        planned = np.empty(len(read), PLANNED)
        codes = [self.patches.setdefault(patch, len(self.patches)) for patch in booked.patches]
        planned["stamp"], planned["start"] = 0, booked.start
        planned["patch"] = np.array(codes, np.int32)[booked.patch]
        self.plans.put(
            np.array([key for key, _ in read], np.int64),
            planned,
            spans=(np.diff(booked.span_bounds), booked.spans),
            held=(np.diff(booked.held_bounds), booked.held),
            keyed=(np.diff(booked.keyed_bounds), booked.keyed),
        )

    def plan(self, keys: NDArray[np.int64]) -> Plan:
        """What is booked for duties of which there is a plan; devices are keys."""
        at = self.plans.find(keys)
        head = self.plans.head(at)
        span_bounds, spans = self.plans.part("spans", at)
        held_bounds, held = self.plans.part("held", at)
        keyed_bounds, keyed = self.plans.part("keyed", at)
        return Plan(
            *(np.ascontiguousarray(head["start"]), np.ascontiguousarray(head["patch"])),
            list(self.patches),
            *(spans, span_bounds, held, held_bounds, keyed, keyed_bounds),
        )
