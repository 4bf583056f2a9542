"""The database's small rooms: schema, boundary versions, columns in and out; and the ledger's rarer calls."""

from __future__ import annotations

import math
import threading
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from psycopg import conninfo

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import FOREVER, UNKNOWN, AreaHistory
from geo.matching.places import Place
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.live.share_event import share_event
from stream.core.policy import Policies
from stream.core.shares import shares
from stream.core.slices import slices
from stream.core.stays import stays
from stream.files.sheets.contract import stays_table
from stream.store import areas as tables
from stream.store.columns import (
    WIDTHS,
    BinaryColumn,
    copy_in,
    copy_out,
    parts_of_arrays,
)
from stream.store.desk import Desk
from stream.store.ledger import Counted, Ledger, Offset
from stream.store.reading.exports import derived
from stream.store.reading.live import live, newest_event
from stream.store.registry import Registry
from stream.store.schema import Lock, SchemaError, connect, lock, migrate, migrations, require
from tests.strategies import BINARY, fix_columns, many, micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

NOON = micros("2026-11-23T12:00:00+00:00")
NAMES = [name for name, _ in migrations()]


@pytest.fixture
def empty(database: str) -> Iterator[Connection]:
    """A connection to a database without a schema."""
    with connect(database) as opened:
        yield opened


@pytest.fixture
def connection(empty: Connection) -> Connection:
    """A connection to a database with the schema."""
    migrate(empty)
    return empty


@pytest.fixture(scope="module")
def scratch(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """A connection whose temporary tables are the test's own."""
    with connect(database_server.dsn) as opened:
        yield opened


# ── The schema ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_schema_is_made_once(empty: Connection) -> None:
    """Migrating applies every migration in order, and again nothing."""
    with pytest.raises(SchemaError, match=f"the database lacks {', '.join(NAMES)}: run 'patrol init' first"):
        require(empty)
    assert migrate(empty) == NAMES == sorted(NAMES)
    require(empty)
    assert migrate(empty) == []


def test_two_programs_may_migrate_at_once(database: str) -> None:
    """Of two that start together one applies all, the other waits for it and applies nothing."""
    found: list[list[str]] = []

    def one() -> None:
        with connect(database) as opened:
            found.append(migrate(opened))

    with connect(database) as holder, connect(database) as watcher:
        with holder.transaction():
            lock(holder, Lock.MIGRATION)
            threads = [threading.Thread(target=one) for _ in range(2)]
            for thread in threads:
                thread.start()
            waiting = 0
            while waiting < 2:  # both stand before the lock: nothing but its release lets either on
                [(waiting,)] = watcher.execute(
                    "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                ).fetchall()
            assert found == []
        for thread in threads:
            thread.join()
        require(watcher)
    assert sorted(found) == [[], NAMES]


def test_a_database_made_with_another_migration_is_refused(connection: Connection) -> None:
    """A migration applied earlier must be the one this program carries."""
    connection.execute("update migration set sha256 = 'another' where name = %s", [NAMES[0]])
    with pytest.raises(SchemaError, match=f"the database was made with another {NAMES[0]}"):
        migrate(connection)


def test_a_migration_that_is_missing_is_named(connection: Connection) -> None:
    """A program newer than its database says what is missing and what to run."""
    connection.execute("delete from migration where name = %s", [NAMES[-1]])
    with pytest.raises(SchemaError, match=f"the database lacks {NAMES[-1]}: run 'patrol init' first"):
        require(connection)


def test_an_older_program_refuses_a_newer_database(connection: Connection) -> None:
    """A migration that this program does not carry is named, by every command and by init."""
    connection.execute("insert into migration (name, sha256) values ('9999_later.sql', '')")
    for refuse in (require, migrate):
        with pytest.raises(SchemaError, match=r"newer version.*does not know 9999_later\.sql: update"):
            refuse(connection)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused(database: str, encoding: str) -> None:
    """Names in all letters need UTF-8: init says so before it makes anything."""
    with connect(database) as opened:
        opened.execute(
            f"create database other_{encoding} encoding '{encoding}' locale 'C' template template0".encode()
        )
    with connect(conninfo.make_conninfo(database, dbname=f"other_{encoding}".lower())) as other:
        with pytest.raises(SchemaError, match=f"encoded in {encoding}.*encoding utf8"):
            migrate(other)
        assert other.execute("select to_regclass('migration')").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (NOON + 1, "2026-11-23 12:00:00.000001+00"),
        (-1, "1969-12-31 23:59:59.999999+00"),
        (FOREVER, "infinity"),
        (-FOREVER, "-infinity"),
        (FOREVER + 7, "infinity"),
    ],
)
def test_microseconds_become_times_without_loss(connection: Connection, us: int, text: str) -> None:
    """``from_us`` keeps the last microsecond, and knows both ends of time."""
    assert connection.execute("select from_us(%s)::text", [us]).fetchall() == [(text,)]


# ── Columns ───────────────────────────────────────────────────────────────────────────────────────────────

LIMITS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
TIMES = st.integers(micros("1970-01-01T00:00:00+00:00"), micros("2999-01-01T00:00:00+00:00"))


@st.composite
def tables_of_all_types(
    draw: st.DrawFn,
) -> tuple[list[BinaryColumn], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """One column of every type, and the rows in which the last two are NULL."""
    count = draw(st.integers(0, 6))
    columns = []
    for kind in WIDTHS:
        if kind == "bool":
            values: st.SearchStrategy[object] = st.booleans()
        elif kind in LIMITS:
            values = st.integers(-LIMITS[kind], LIMITS[kind] - 1)
        elif kind == "time":
            values = st.one_of(TIMES, st.just(FOREVER))
        else:
            values = st.floats(width=32 if kind == "float4" else 64)
        dtype = np.int64 if kind == "time" else np.dtype(WIDTHS[kind]).newbyteorder("=")
        columns.append(
            BinaryColumn(
                f"c_{kind}", kind, np.array(draw(st.lists(values, min_size=count, max_size=count)), dtype)
            )
        )
    order = np.arange(count)
    columns += [BinaryColumn(name, "int4", order.astype(np.int32)) for name in ("one", "two")]
    return columns, np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), np.bool_)


@many(60)
@given(tables_of_all_types())
def test_columns_come_back_as_they_went_in(
    scratch: Connection, table: tuple[list[BinaryColumn], np.ndarray[tuple[int], np.dtype[np.bool_]]]
) -> None:
    """Every type, infinity, NaN and NULL survive the way into a table and out again, bit by bit."""
    columns, null = table
    kinds = {"time": "timestamptz"}
    scratch.execute("drop table if exists pg_temp.kept")
    layout = ", ".join(f"{column.name} {kinds.get(column.type, column.type)}" for column in columns)
    scratch.execute(f"create temp table kept (position serial, {layout})".encode())
    copy_in(scratch, "kept", columns, null_where=null, nullable=frozenset({"one", "two"}))
    # Rows with NULL go in after the others.
    order = np.concatenate([np.flatnonzero(~null), np.flatnonzero(null)])
    names = [column.name for column in columns[:-2]]
    found = copy_out(
        scratch,
        f"select {', '.join(names)}, coalesce(one, -1), coalesce(two, -1) from kept order by position",
        [column.type for column in columns],
    )
    for column, values in zip(columns[:-2], found[:-2], strict=True):
        assert values.dtype.isnative
        assert np.array_equal(values, column.values[order], equal_nan=values.dtype.kind == "f")
    for values in found[-2:]:
        assert values.tolist() == np.where(null, -1, np.arange(len(null)))[order].tolist()


def test_the_end_of_time_comes_out_as_forever(scratch: Connection) -> None:
    """An open end in a view is ``infinity``, and ``FOREVER`` in a column."""
    [found] = copy_out(scratch, "select 'infinity'::timestamptz union all select to_timestamp(1)", ["time"])
    assert found.tolist() == [FOREVER, SECOND]


INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6)


@many(60)
@given(st.lists(INTEGERS, min_size=1, max_size=4))
def test_arrays_of_a_row_come_back_as_columns(scratch: Connection, arrays: list[list[int]]) -> None:
    """Every array of a row comes as it was kept, empty ones too, and numbers beside them stay numbers."""
    query = ", ".join(["%s::int8[]", "%s::int8"] * len(arrays))
    [row] = Desk(scratch).fetch(f"select {query}", [each for array in arrays for each in (array, len(array))])
    assert [found.tolist() for found in row[::2]] == arrays
    assert {found.dtype for found in row[::2]} == {np.dtype(np.int64)}
    assert list(row[1::2]) == [len(array) for array in arrays]


@many(60)
@given(st.lists(INTEGERS, min_size=1, max_size=8))
def test_arrays_of_many_rows_come_as_one_column(scratch: Connection, arrays: list[list[int]]) -> None:
    """Arrays of any sizes, sent together as the server joins them, come out one after another."""
    rows = ", ".join(f"({number}, %s::int8[])" for number in range(len(arrays)))
    [(size, items)] = Desk(scratch).fetch(
        "select array_agg(cardinality(items)::int8 order by number), "
        f"string_agg(array_send(items), '' order by number) from (values {rows}) v (number, items)",
        [np.array(array, np.int64) for array in arrays],
    )
    assert size.tolist() == [len(array) for array in arrays]
    assert parts_of_arrays(items, size).tolist() == [value for array in arrays for value in array]


def test_columns_of_integers_go_in_and_out_of_a_question(scratch: Connection) -> None:
    """An array given to a question arrives whole, and the answer is in order; no rows are empty columns."""
    desk, given = Desk(scratch), np.array([-(2**63), 0, 7, 2**63 - 1], np.int64)
    query = "select value, value / 2 from unnest(%s::int8[]) w (value) where value > %s order by value desc"
    value, half = desk.columns(query, [given, -1], 2)
    assert value.tolist() == [2**63 - 1, 7, 0]
    assert half.tolist() == [2**62 - 1, 3, 0]
    assert [len(found) for found in desk.columns(query, [given[:0], -1], 2)] == [0, 0]


def test_an_empty_result_has_columns_of_no_rows(scratch: Connection) -> None:
    """No rows out, and no rows in, are no trouble."""
    found = copy_out(scratch, "select 1::int4, now() where false", ["int4", "time"])
    assert [len(column) for column in found] == [0, 0]
    assert found[0].dtype == np.int32
    copy_in(scratch, "no_such_table", [BinaryColumn("a", "int4", np.empty(0, np.int32))])


# ── Boundary versions ─────────────────────────────────────────────────────────────────────────────────────


def square(kind: Kind, name: str, x: float, size: float = 2, **attributes: str) -> Area:
    """A square on the grid; the second one of a kind has a hole."""
    shape = shapely.box(*BINARY.at(x, 0), *BINARY.at(x + size, size))
    return Area(kind, name, f"{name}’s name", shape, attributes)


def put(connection: Connection, found: AreaSet, kind: Kind, valid_from: int) -> int:
    """Publishes one kind's areas."""
    return tables.publish(connection, found, kind, valid_from, file="wards.geojson", sha256="ab12", by="gis")


def test_a_published_version_is_listed_and_read_back(connection: Connection) -> None:
    """Ids, names, attributes and coordinates come back exactly, with who, when and which file."""
    ring = shapely.box(*BINARY.at(4, 0), *BINARY.at(8, 4)).difference(
        shapely.box(*BINARY.at(5, 1), *BINARY.at(6, 2))
    )
    areas = AreaSet.of(
        [
            square(Kind.NEIGHBOURHOOD, "N2", 0),
            Area(Kind.NEIGHBOURHOOD, "N1", 'Abbey, "old" part', ring),
            square(Kind.PRIORITY, "P1", 1, days="Fri,Sun", hours="20:00-04:00"),
        ]
    )
    first = put(connection, areas, Kind.NEIGHBOURHOOD, NOON)
    second = put(connection, areas, Kind.PRIORITY, NOON + SECOND)
    listed = tables.versions(connection)
    assert [(item.version, item.kind, item.valid_from, item.areas) for item in listed] == [
        (first, Kind.NEIGHBOURHOOD, NOON, 2),
        (second, Kind.PRIORITY, NOON + SECOND, 1),
    ]
    assert {(item.file, item.sha256, item.loaded_by) for item in listed} == {("wards.geojson", "ab12", "gis")}
    for number, kind in ((first, Kind.NEIGHBOURHOOD), (second, Kind.PRIORITY)):
        wanted, found = list(areas.only(kind).areas()), list(tables.read(connection, number, kind).areas())
        assert [(a.kind, a.area_id, a.name, dict(a.attributes)) for a in found] == [
            (a.kind, a.area_id, a.name, dict(a.attributes)) for a in wanted
        ]
        assert [shapely.to_wkb(a.geometry) for a in found] == [shapely.to_wkb(a.geometry) for a in wanted]


def test_the_history_is_every_version_in_its_time(connection: Connection) -> None:
    """Each kind changes on its own; the one that began last counts; a withdrawn one never."""
    one = AreaSet.of([square(Kind.NEIGHBOURHOOD, "N1", 0)])
    two = AreaSet.of([square(Kind.NEIGHBOURHOOD, "N2", 0)])
    busy = AreaSet.of([square(Kind.PRIORITY, "P1", 0)])
    nothing = tables.newest(connection)
    put(connection, two, Kind.NEIGHBOURHOOD, NOON + 100)
    put(connection, one, Kind.NEIGHBOURHOOD, NOON)
    put(connection, busy, Kind.PRIORITY, NOON + 50)
    before = tables.newest(connection)
    wrong = put(connection, busy, Kind.NEIGHBOURHOOD, NOON + 100)
    assert len({nothing, before, tables.newest(connection)}) == 3
    connection.execute("update area_version set withdrawn = now() where version = %s", [wrong])
    history = tables.history(connection, [Place(None, None, ())])
    assert history.starts.tolist() == [NOON, NOON + 50, NOON + 100]
    lon, lat = (np.array([value]) for value in BINARY.at(1, 1))
    found = [history.places[history.locate(number, lon, lat)[0]] for number in range(3)]
    assert found == [Place("N1", None, ()), Place("N1", None, ("P1",)), Place("N2", None, ("P1",))]


def test_of_two_versions_from_one_instant_the_newest_counts(connection: Connection) -> None:
    """A version published again for the same date replaces the first without withdrawing it."""
    for name in ("N1", "N2"):
        put(connection, AreaSet.of([square(Kind.NEIGHBOURHOOD, name, 0)]), Kind.NEIGHBOURHOOD, NOON)
    chosen = tables.in_force(tables.versions(connection), NOON)
    assert [item.version for item in chosen] == [tables.versions(connection)[-1].version]
    assert tables.in_force(tables.versions(connection), NOON - 1) == []


def test_nothing_is_published_while_something_is_counted(database: str, connection: Connection) -> None:
    """Counting holds the boundaries together with others who count; who publishes waits for all of them."""
    with connect(database) as other, connect(database) as publisher:
        publisher.execute("set lock_timeout = '50ms'")
        with connection.transaction(), other.transaction():
            tables.hold(connection)
            tables.hold(other)
            with pytest.raises(psycopg.errors.LockNotAvailable), publisher.transaction():
                tables.hold(publisher, publishing=True)
        with publisher.transaction():
            tables.hold(publisher, publishing=True)


# ── Names and keys ────────────────────────────────────────────────────────────────────────────────────────


def test_names_have_one_key_for_every_program(connection: Connection) -> None:
    """A device, an officer or a place has the key that the first program gave it, whoever asks."""
    one, two = Registry(), Registry()
    assert (
        one.devices(connection, ["R1", "R2", "R1"]).tolist()
        == two.devices(connection, ["R1", "R2", "R1"]).tolist()
    )
    assert two.devices(connection, ["R3", "R1"])[1] == one.devices(connection, ["R1"])[0]
    assert one.officers(connection, ["O2", "O1"]) == two.officers(connection, ["O1", "O2"])
    places = [
        Place(None, None, ()),
        Place("N1", None, ("P1", "P2")),
        Place("N1", "B1", ()),
        Place("N1", None, ("P1", "P2"), ("", "N2")),
    ]
    keys = one.to_keys(connection, places, np.array([2, 1, UNKNOWN, 0, 3], np.int32))
    assert len(set(keys.tolist())) == 5
    other = two.places(connection, places[:1])
    assert [other[at] if at != UNKNOWN else None for at in two.to_numbers(keys).tolist()] == [
        places[2],
        places[1],
        None,
        places[0],
        places[3],
    ]


def test_places_are_met_without_waiting_for_whoever_met_them_first(database: str) -> None:
    """A place that an open transaction met has its key for others at once, and keeps it if that one fails."""
    met = [Place(None, None, ()), Place("N1", "B1", ()), Place("N1", None, ("P1",))]
    more = [*met, Place("N2", None, ("P1",), ("", "N1"))]
    numbers = np.arange(3, dtype=np.int32)
    with connect(database) as first, connect(database) as second:
        migrate(first)
        second.execute("set lock_timeout = '1s'")
        one, two = Registry(), Registry()
        with first.transaction(force_rollback=True):
            keys = one.to_keys(first, met, numbers)
            with second.transaction():
                assert two.to_keys(second, more, numbers).tolist() == keys.tolist()
                [last] = two.to_keys(second, more, np.array([3], np.int32)).tolist()
            known = AreaHistory([])
            one.meet(first, known, np.array([last, UNKNOWN], np.int32))
            [number] = one.to_numbers(np.array([last], np.int32)).tolist()
            assert known.places[number] == more[3]
        assert Registry().to_keys(second, met, numbers).tolist() == keys.tolist()


def test_a_copy_of_the_devices_keys_is_bounded(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ids are made up, a program keeps few of them, and every device has its one key."""
    monkeypatch.setattr("stream.store.registry.MOST_DEVICES", 3)
    bounded, other = Registry(), Registry()
    for number in range(12):
        names = [f"made up {number}", f"made up {number // 2}", "R1"]
        keys = bounded.devices(connection, names).tolist()
        assert keys == other.devices(connection, names).tolist()
        assert len(bounded._devices) <= 3 + len(names)


# ── The ledger's rarer calls ──────────────────────────────────────────────────────────────────────────────


def test_an_offset_belongs_to_one_incarnation_of_its_topic(connection: Connection) -> None:
    """Within an incarnation an offset only rises; a topic made again starts afresh."""
    ledger = Ledger(connection)
    nothing = fix_columns([])
    for incarnation, partition, offset in (("a", 0, 7), ("a", 0, 5), ("a", 1, 3)):
        ledger.positions(nothing, [Offset("frames", partition, incarnation, offset)])
    assert ledger.passed("frames", "a") == {0: 7, 1: 3}
    assert ledger.bookings([], [], [Offset("frames", 0, "b", 2)]) == Counted()
    assert ledger.passed("frames", "b") == {0: 2}
    assert ledger.passed("frames", "a") == {1: 3}
    assert ledger.passed("others", "a") == {}


def test_what_is_counted_is_told(connection: Connection) -> None:
    """New, better and repeated fixes, changed duties and new states are told apart."""
    ledger = Ledger(connection)
    worse = fix_columns([("R1", NOON, *BINARY.at(1, 1), 60.0), ("R1", NOON + SECOND, *BINARY.at(1, 1), None)])
    better = fix_columns([("R1", NOON, *BINARY.at(1, 1), 5.0)])
    assert ledger.positions(worse) == Counted(fixes=2)
    assert ledger.positions(worse) == Counted(repeated=2)
    assert ledger.positions(better) == Counted(fixes=1)
    assert ledger.positions(worse) == Counted(repeated=2)
    duty = Duty("D1", 1, "O1", NOON, None, ("N1",), (Allocation("R1", "radio"),))
    state = StateReport("O1", NOON, 4)
    assert ledger.bookings([duty, duty], [state, state]) == Counted(duties=1, states=1)
    assert ledger.bookings([duty], [state]) == Counted()


def test_a_batch_that_is_refused_leaves_nothing_and_the_next_one_counts(connection: Connection) -> None:
    """What the database refuses is written not even in part; the ledger goes on from what was committed."""
    ledger = Ledger(connection)
    refused = Duty("D1", 1, "O1", NOON, NOON, (), (Allocation("R1", "radio"),))
    with pytest.raises(psycopg.errors.CheckViolation):
        ledger.bookings([refused], [StateReport("O1", NOON, 4)], [Offset("frames", 0, "a", 1)])
    assert connection.execute("select * from duty_revision").fetchall() == []
    assert connection.execute("select * from state").fetchall() == []
    assert ledger.passed("frames", "a") == {}
    fixes = fix_columns([("R1", NOON + at * SECOND, *BINARY.at(1, 1), None) for at in range(3)])
    assert ledger.positions(fixes) == Counted(fixes=3)


def test_keys_that_are_given_again_are_passed_over(connection: Connection) -> None:
    """Where a crash set sequences back, what is new gets keys that are free, and nothing is refused."""
    for round_ in range(2):
        ledger = Ledger(connection)
        put(
            connection,
            AreaSet.of([square(Kind.NEIGHBOURHOOD, f"N{at}", 4 * at, 4) for at in range(2 + round_)]),
            Kind.NEIGHBOURHOOD,
            round_,
        )
        for number in range(3):
            name = f"{round_}{number}"
            held = (Allocation(f"R{name}", "radio"),)
            booked = Duty(f"D{name}", 1, f"O{name}", NOON, NOON + 60 * SECOND, ("N1",), held)
            assert ledger.bookings([booked], []) == Counted(duties=1)
            spots = [BINARY.at(4 * at + 1, 1) for at in range(2 + round_)]
            fixes = [(f"R{name}", NOON + at * SECOND, *spot, None) for at, spot in enumerate(spots)]
            assert ledger.positions(fix_columns(fixes)) == Counted(fixes=len(fixes))
        for table in ("place", "device", "officer", "duty"):
            connection.execute(f"alter table {table} alter column {table} restart with 1".encode())
    assert connection.execute("select count(*) from device").fetchone() == (6,)
    assert connection.execute("select count(*) from duty").fetchone() == (6,)


def counted_shift(connection: Connection) -> Ledger:
    """N1 published from 1970 on, and 200 fixes of R1 that walk through it, held by O1 in an open duty."""
    put(connection, AreaSet.of([square(Kind.NEIGHBOURHOOD, "N1", 0, 4)]), Kind.NEIGHBOURHOOD, 0)
    ledger = Ledger(connection)
    ledger.bookings([Duty("D1", 1, "O1", NOON, None, ("N1",), (Allocation("R1", "radio"),))], [])
    ledger.positions(
        fix_columns([("R1", NOON + at * 10 * SECOND, *BINARY.at(1 + at / 50, 1), None) for at in range(200)])
    )
    return ledger


def test_live_figures_are_of_the_duties_now_running(connection: Connection) -> None:
    """From the duty's start to now: on patch to the edge, off it after, unknown since the last fix."""
    assert newest_event(connection) == -FOREVER
    assert [item.figures.duty for item in live(connection, NOON, Policies())] == [0]
    counted_shift(connection)
    assert newest_event(connection) == NOON + 1990 * SECOND
    found = {item.figures.scope: item for item in live(connection, NOON + 2000 * SECOND, Policies())}
    figures = found["neighbourhood"].figures
    assert (figures.on_patch, figures.off_patch, figures.unknown) == (
        1500 * SECOND,
        490 * SECOND,
        10 * SECOND,
    )
    assert found["neighbourhood"].name == "N1’s name"
    assert (found["force"].officers.on_duty, found["force"].officers.on_patch) == (1, 0)
    # A device's clock may be ahead of the server's: what lies behind now is not counted yet.
    for seconds in (100, 1500, 1600):
        behind = {item.figures.scope: item for item in live(connection, NOON + seconds * SECOND, Policies())}
        assert behind["force"].figures.duty == seconds * SECOND
        assert behind["force"].figures.on_patch == min(seconds, 1500) * SECOND
    early = {item.figures.scope: item for item in live(connection, NOON - 1, Policies())}
    assert early["neighbourhood"].officers.on_duty == 0


def test_live_figures_have_the_bounds_that_the_core_counts(connection: Connection) -> None:
    """Of closed and growing slices, at any now: ambiguous time, share and verdict are the core's."""
    ground = AreaSet.of([square(Kind.NEIGHBOURHOOD, "N1", 0, 4)])
    put(connection, ground, Kind.NEIGHBOURHOOD, 0)
    ledger = Ledger(connection)
    duty = Duty("D1", 1, "O1", NOON, None, ("N1",), (Allocation("R1", "radio"),))
    ledger.bookings([duty], [])
    # Along the edge with an error of 40 m, over it and back, again and again.
    walk = [
        ("R1", NOON + at * 10 * SECOND, *BINARY.at(4 + 0.5 * math.sin(at / 9), 2), 40.0 if at % 3 else None)
        for at in range(300)
    ]
    for part in range(0, 300, 20):
        ledger.positions(fix_columns(walk[part : part + 20]))
    assert connection.execute("select settled[7] > 0 and settled[8] > 0 from slice_end").fetchall() == [
        (True,)
    ]
    history = AreaHistory([(0, ground)])
    fixes = fix_columns(walk)
    counted = slices(
        [duty], stays(fixes, history, Policies()), fixes.device_ids, [], history.places, Policies()
    )
    verdicts = set()
    for now in range(NOON + 30 * SECOND, NOON + 3000 * SECOND, 130 * SECOND):
        want = {item.scope: item for item in shares(counted, [duty], history.places, NOON, now)}
        for found in live(connection, now, Policies()):
            item = found.figures
            assert item == want[item.scope]
            officers = found.officers
            event = share_event(item, found.name, found.target, officers.on_duty, officers.on_patch)
            assert event.share_low is not None
            assert event.share is not None
            assert event.share_high is not None
            assert 0 <= event.share_low <= event.share <= event.share_high <= 1
            verdicts.add(event.verdict)
    assert "not proven" in verdicts
    # Nobody on duty: no share, no bounds, no verdict.
    [force, *_] = live(connection, NOON - SECOND, Policies())
    event = share_event(force.figures, force.name, 0.8, 0, 0)
    assert [event.share, event.share_low, event.share_high, event.verdict] == [None] * 4


def test_a_recount_under_a_new_version_is_what_the_core_counts(connection: Connection) -> None:
    """Boundaries published for the past: after a recount the tables are as if they had been there."""
    counted_shift(connection)
    cut = NOON + 300 * SECOND
    with connection.transaction():
        tables.hold(connection, publishing=True)
        put(connection, AreaSet.of([square(Kind.NEIGHBOURHOOD, "N2", 0, 4)]), Kind.NEIGHBOURHOOD, cut)
        assert Ledger(connection).recount(cut) == 1
    found = derived(connection)
    rows = stays_table(found.stays, found.device_ids, found.places).to_pylist()
    assert [(row["neighbourhood"], row["start"][11:19]) for row in rows] == [
        ("N1", "12:00:00"),
        ("N2", "12:05:00"),
        ("", "12:25:00"),
    ]
    # The new version's ground is not the duty's patch.
    assert [value for value, _ in groupby(found.slices.activity.tolist())] == [3, 4, 2]
