"""Worlds in a database: put there as the worker does it, read back, compared with what the core counts."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from psycopg.rows import class_row

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN
from stream.core.policy import BEGINNING, Policies, canonical
from stream.core.quality.doubts import Doubts
from stream.core.slices import NO_DEVICE, newest, slices
from stream.core.stays import stays, take
from stream.files.sheets.contract import slices_table, stays_table
from stream.store import areas as area_tables
from stream.store.ledger import Ledger, Offset
from stream.store.reading.exports import derived
from stream.store.reading.instant import us
from stream.store.schema import connect, migrate
from tests.strategies import World, world_fixes
from tests.worlds import history_of, horizon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from geo.matching.places import Place
    from stream.core.facts import Duty, Fixes
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.embedded import EmbeddedDatabase
    from stream.files.account import Facts as FileFacts
    from stream.store.schema import Connection

POLICIES = Policies()
TABLES = (
    "restated, restatement, area, area_version, place, fix_row, fix_open, fix_chunk, allocation, state, "
    "stay, stay_end, slice, slice_end, duty_revision, duty, officer, device, frame_offset, policy_outdated, "
    "suspect, doubt_due, doubt, doubtful, heard, heard_offset, device_day, device_due, device_seen, "
    "device_day_basis, hold, deletion, erased_person, erased_hour, settled, settled_week, "
    "restatement_due, recomputed, recompute_run, recompute_part"
)


@dataclass(frozen=True)
class OutboxLetter:
    """A letter as the outbox has it; times in microseconds.

    Attributes:
        settled_at: when it was sent or given up; None: it waits.
        last_error: what went wrong last; None: nothing.
    """

    period: str
    area_id: str
    number: int
    recipient: str
    message_id: str
    state: str
    attempts: int
    queued_at: int
    next_try: int
    settled_at: int | None
    last_error: str | None


def outbox_rows(connection: Connection) -> list[OutboxLetter]:
    """The outbox, the oldest first."""
    times = ", ".join(f"{us(name)} as {name}" for name in ("queued_at", "next_try", "settled_at"))
    return (
        connection.cursor(row_factory=class_row(OutboxLetter))
        .execute(
            f"select period, area_id, number, recipient, message_id, state, attempts, {times}, last_error "
            "from outbox o join report using (report) order by o.queued_at, report, recipient".encode()
        )
        .fetchall()
    )


@contextlib.contextmanager
def database_called(server: EmbeddedDatabase, name: str, *, template: str = "template0") -> Iterator[str]:
    """A database of that name, empty or a copy, as long as it is wanted; gives where it is."""
    with connect(server.dsn) as connection:
        connection.execute(f"create database {name} template {template}".encode())
    try:
        yield server.dsn_of(name)
    finally:
        with connect(server.dsn) as connection:
            connection.execute(f"drop database {name} with (force)".encode())


@contextlib.contextmanager
def migrated(server: EmbeddedDatabase, name: str) -> Iterator[str]:
    """A database of that name with the schema in it, as long as it is wanted; gives where it is."""
    with database_called(server, name, template=_with_schema(server)) as dsn:
        yield dsn


@functools.cache
def _with_schema(server: EmbeddedDatabase) -> str:
    """The name of a database to be copied: that takes a quarter of the time of making the schema."""
    name = "with_schema"
    with connect(server.dsn) as connection:
        connection.execute(f"create database {name} template template0".encode())
    with connect(server.dsn_of(name)) as connection:
        migrate(connection)
    return name


@contextlib.contextmanager
def counted(server: EmbeddedDatabase, name: str, facts: FileFacts) -> Iterator[str]:
    """A database of that name that holds what was read from files, counted; gives where it is."""
    with migrated(server, name) as dsn:
        with connect(dsn) as connection:
            for kind in Kind:
                area_tables.publish(
                    connection, facts.areas, kind, 0, file="areas.geojson", sha256="", by="test"
                )
            ledger = Ledger(connection)
            ledger.bookings(facts.duties, facts.states, [Offset("duties", 0, "first", 1)])
            ledger.positions(facts.fixes, [Offset("frames", 0, "first", 1)])
        yield dsn


def put_in_force(connection: Connection, wanted: Policies = POLICIES) -> None:
    """Makes policies the only ones on record, as if there had never been others."""
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # which asks no trigger
        connection.execute("delete from policy_outdated; delete from policy_version")
        connection.execute("set local session_replication_role = origin")
        for number, (start, policy) in enumerate(zip(wanted.starts, wanted.policies, strict=True), 1):
            connection.execute(
                "insert into policy_version values (%s, from_us(%s), %s::jsonb, 'a test', 'test')",
                [number, start, canonical(policy).decode()],
            )


def await_release(connection: Connection, lock: int) -> None:
    """Returns when nobody holds an advisory lock: a server lets go a little after its client has gone."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [lock])


def empty(connection: Connection) -> None:
    """Empties every table but the list of migrations.

    Row by row, for there are few: ``truncate`` makes a new file for each table and index, which takes longer.
    """
    names = TABLES.split(", ")
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # in any order of the tables
        connection.execute("; ".join(f"delete from {name}" for name in names).encode())
        connection.execute(
            "select setval(s.oid, 1, false) from pg_class s join pg_depend d on d.objid = s.oid "
            "where s.relkind = 'S' and d.deptype in ('a', 'i') and d.refobjid = any(%s::regclass[])",
            [names],
        )
        connection.execute("insert into place (priorities) values ('{}')")
        connection.execute("delete from kept_from; insert into kept_from default values")


def publish(connection: Connection, world: World) -> None:
    """The world's boundary versions, published kind by kind."""
    for start, rows in sorted(world.versions, key=lambda v: BEGINNING if v[0] is None else v[0]):
        found = AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in rows)
        for kind in Kind:
            area_tables.publish(
                connection, found, kind, 0 if start is None else start, file="test", sha256="", by="test"
            )


def fill(connection: Connection, world: World, parts: int = 20) -> None:
    """The world through the ledger, its fixes in order of time: rows close as they do live."""
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    for part in in_time(world, parts):
        ledger.positions(part)


def in_time(world: World, parts: int) -> list[Fixes]:
    """The world's fixes in order of time, in parts."""
    fixes = world_fixes(world)
    order = np.argsort(fixes.time, kind="stable")
    return [take(fixes, part) for part in np.array_split(order, parts)]


def expected(world: World) -> tuple[pa.Table, pa.Table]:
    """What the core counts from all facts at once."""
    fixes, history = world_fixes(world), history_of(world)
    duties = newest(world.duties)
    found = stays(fixes, history, POLICIES)
    counted = slices(duties, found, fixes.device_ids, world.states, history.places, POLICIES)
    return (
        stays_table(found, fixes.device_ids, history.places),
        slices_table(
            counted, duties, fixes.device_ids, history.places, POLICIES, Doubts.none(), until=horizon(world)
        ),
    )


def stored(connection: Connection, world: World) -> tuple[pa.Table, pa.Table]:
    """What the tables hold."""
    found = derived(connection)
    return (
        stays_table(found.stays, found.device_ids, found.places),
        slices_table(
            found.slices,
            found.duties,
            found.device_ids,
            found.places,
            POLICIES,
            Doubts.none(),
            until=horizon(world),
        ),
    )


Fine = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]
"""Stays and slices as the core keeps them, cut wherever anything changes: rows of names, times and places."""


def fine(
    found: Stays, counted: Slices, device_ids: Sequence[str], places: Sequence[Place], duties: Sequence[Duty]
) -> Fine:
    """Columns → rows that do not depend on anybody's numbers."""

    def place(number: int) -> Place | None:
        return None if number == UNKNOWN else places[number]

    stay_rows = [
        (device_ids[device], start, end, place(where))
        for device, start, end, where in zip(
            *(column.tolist() for column in (found.device, found.start, found.end, found.place)), strict=True
        )
    ]
    columns = (
        *(counted.duty, counted.start, counted.end, counted.activity, counted.state),
        *(counted.place, counted.device),
    )
    slice_rows = [
        (
            *(duties[duty].duty_id, start, end, activity, state, place(where)),
            None if device == NO_DEVICE else device_ids[device],
        )
        for duty, start, end, activity, state, where, device in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
    return sorted(stay_rows, key=lambda row: row[:2]), sorted(slice_rows, key=lambda row: row[:2])


def fine_expected(world: World, policies: Policies = POLICIES) -> Fine:
    """What the core counts from all facts at once, in every detail."""
    fixes, history = world_fixes(world), history_of(world)
    duties = newest(world.duties, policies)
    found = stays(fixes, history, policies)
    counted = slices(duties, found, fixes.device_ids, world.states, history.places, policies)
    return fine(found, counted, fixes.device_ids, history.places, duties)


def fine_stored(connection: Connection) -> Fine:
    """What the tables hold, in every detail."""
    found = derived(connection)
    return fine(found.stays, found.slices, found.device_ids, found.places, found.duties)


def assert_consistent(connection: Connection) -> None:
    """What SQL alone can see: nothing overlaps, duties are tiled, settled sums are sums."""
    for query in CHECKS:
        assert connection.execute(query.encode()).fetchall() == [], query


CHECKS = (
    # One device's stays follow each other without a hole.
    """
    select * from (
        select device, end_at, lead(start_at) over (partition by device order by start_at) as next
        from stays
    ) s where end_at <> next
    """,
    # One officer's slices never overlap.
    """
    select * from (
        select officer, end_at, lead(start_at) over (partition by officer order by start_at) as next
        from slices
    ) s where end_at > next
    """,
    # Settled sums are the sums of the closed slices: by activity, in priority areas, ambiguous.
    """
    select e.duty, e.settled from slice_end e join duty d using (duty) where settled <> (
        select array[
            coalesce(sum(us) filter (where activity = 0), 0),
            coalesce(sum(us) filter (where activity = 1), 0),
            coalesce(sum(us) filter (where activity = 2), 0),
            coalesce(sum(us) filter (where activity = 3), 0),
            coalesce(sum(us) filter (where activity = 4), 0),
            coalesce(sum(us) filter (where activity = 3 and priorities <> '{}'), 0),
            coalesce(sum(us) filter (where activity = 3 and open), 0),
            coalesce(sum(us) filter (where activity <> 3 and open), 0)]::bigint[]
        from (
            select activity, priorities, classes && d.patch and not classes <@ d.patch as open,
                   (extract(epoch from end_at - start_at) * 1000000)::bigint as us
            from slice s left join place using (place) where s.duty = e.duty
        ) closed
    )
    """,
    # The slices of a duty tile it, less what another duty of the officer or state 11 takes; left out are
    # duties that an older program counted without a longest duty.
    """
    select duty from duty join officer using (officer) where until_at is not null and longest_us < 1e15
    and not exists (
        select from state s where s.officer = duty.officer and s.state = 11
        and s.time >= duty.start_at and s.time < duty.until_at
    )
    and not exists (
        select from duty o where o.officer = duty.officer and o.duty <> duty.duty
        and o.start_at < duty.until_at and o.until_at > duty.start_at
    )
    and (select coalesce(sum(end_at - start_at), interval '0') from slices s where s.duty = duty.duty)
        <> until_at - start_at
    """,
    # A duty that counts for nothing has no slices, and none lies beyond where a duty counts to (rule 8a).
    """
    select duty from slices s join duty d using (duty) where longest_us < 1e15
    and (d.until_at is null or s.end_at > d.until_at or s.start_at < d.start_at)
    """,
)
