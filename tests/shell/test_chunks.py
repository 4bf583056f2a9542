"""Facts in column chunks: whatever is written in any order, and closed at any moment, all of it is read."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER
from stream.core.facts import SECOND, Fixes
from stream.core.stays import take
from stream.pipeline.chores import CLOSE
from stream.settings import Settings
from stream.store import chunks
from stream.store.chunks import DAY, HOUR, close_due
from stream.store.ledger import Ledger
from stream.store.schema import Lock, connect
from tests.hostile import hostile_columns
from tests.shell.stored import (
    assert_consistent,
    await_release,
    empty,
    fine_expected,
    fine_stored,
    migrated,
    publish,
)
from tests.strategies import World, bookable_worlds, many, world_fixes

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

START = 1_795_158_000 * SECOND // DAY * DAY
DEVICES = 3
Facts = dict[tuple[int, int], tuple[float, ...]]
"""By key and time: longitude, latitude, error, speed and heading."""


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "chunks") as dsn, connect(dsn) as opened:
        yield opened


def begin(connection: Connection) -> NDArray[np.int32]:
    """Empties the tables; gives the keys of three devices that are there then."""
    empty(connection)
    connection.execute("insert into device (device_id) select 'D' || n from generate_series(1, 3) n")
    connection.execute("insert into stay_end (device) select device from device")
    return np.arange(1, DEVICES + 1, dtype=np.int32)


def fixes_of(facts: Facts) -> Fixes:
    """Facts as columns, in order; devices are their keys less one."""
    rows = sorted(facts)
    lon, lat, error_m, speed_mps, heading_deg = np.array([facts[row] for row in rows]).reshape(-1, 5).T
    return Fixes(
        np.array([key - 1 for key, _ in rows], np.int32),
        np.array([time for _, time in rows], np.int64),
        *(lon, lat, error_m),
        *(speed_mps.astype(np.float32), heading_deg.astype(np.float32)),
        (),
    )


def write(connection: Connection, facts: Facts, new: Facts) -> None:
    """Writes fixes as a batch does: those that are known are taken away first."""
    keys = np.arange(1, DEVICES + 1, dtype=np.int32)
    known = fixes_of({row: new[row] for row in new if row in facts})
    with connection.transaction():
        chunks.remove(connection, keys, known.device, known.time)
        chunks.append(connection, keys, fixes_of(new))
        connection.execute(
            "update stay_end e set newest = greatest(e.newest, f.newest) from (select k, max(t) from "
            "unnest(%s::int[], %s::int8[]) w (k, t) group by k) f (device, newest) where e.device = f.device",
            [[key for key, _ in new], [time for _, time in new]],
        )
    facts |= new


def in_sql(connection: Connection, query: str = "select * from fix") -> Facts:
    """What the view tells people with SQL."""
    rows = connection.execute(
        f"select device, fix_us(time), lon, lat, error_m, speed_mps, heading_deg from ({query}) f".encode()
    ).fetchall()
    found = {(row[0], row[1]): tuple(row[2:]) for row in rows}
    assert len(found) == len(rows), "an identity is there twice"
    return found


def same(one: Facts, other: Facts) -> bool:
    """Whether facts are equal, NaN to NaN."""
    return one.keys() == other.keys() and all(
        np.array_equal(one[row], other[row], equal_nan=True) for row in one
    )


spots = st.tuples(
    st.integers(-18_000, 18_000).map(lambda number: number / 100),
    st.integers(-9_000, 9_000).map(lambda number: number / 100),
    st.sampled_from([math.nan, 3.0, 8.5, 0.1]),
    st.sampled_from([math.nan, 0.0, 13.5]),
    st.sampled_from([math.nan, 0.0, 270.0]),
)
moments = st.one_of(
    st.integers(0, 3 * 3600).map(lambda second: START + second * SECOND),
    st.integers(-2, 2).map(lambda microsecond: START + 2 * HOUR + microsecond),
    st.sampled_from([START - 5 * 365 * DAY, START - DAY - 1, START + 20 * DAY, START + DAY - 1]),
)
batches = st.dictionaries(st.tuples(st.integers(1, DEVICES), moments), spots, max_size=25)
closings = st.sampled_from([None, (1, -HOUR), (1, 0), (1000, -HOUR), (10, 600 * SECOND)])


@many(30)
@given(
    steps=st.lists(st.tuples(batches, closings), min_size=1, max_size=5),
    windows=st.lists(
        st.tuples(st.integers(1, DEVICES), moments, st.integers(-1, 4 * HOUR)), min_size=1, max_size=6
    ),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
)
def test_all_that_was_written_is_read(
    connection: Connection,
    steps: list[tuple[Facts, tuple[int, int] | None]],
    windows: list[tuple[int, int, int]],
    before: int,
    after: int,
) -> None:
    """In any order, better ones for known ones, hours closed between: every way of reading tells the same."""
    begin(connection)
    facts: Facts = {}
    for new, closing in steps:
        write(connection, facts, new)
        if closing is not None:
            close_due(connection, worth=closing[0], late=closing[1])
    assert same(in_sql(connection), facts)
    assert chunks.count(connection) == len(facts)
    keys, low, long = np.array(windows, np.int64).T
    high = low + long
    found = chunks.around(connection, keys, low, high, before=before, after=after)
    rows = zip(found.device.tolist(), found.time.tolist(), found.lon.tolist(), strict=True)
    told: list[list[tuple[int, float]]] = [[] for _ in windows]
    for window, time, lon in rows:
        told[window].append((time, lon))
    spoke, ends = [], []
    for at, (key, first, length) in enumerate(windows):
        mine = sorted(time for device, time in facts if device == key)
        last = first + length
        wanted = (
            [time for time in mine if time < first][len([t for t in mine if t < first]) - before :]
            if (before)
            else []
        )
        wanted = wanted if len([t for t in mine if t < first]) >= before else [t for t in mine if t < first]
        wanted += [time for time in mine if first <= time <= last]
        wanted += [time for time in mine if time > last][:after]
        assert told[at] == [(time, facts[key, time][0]) for time in wanted]
        within = [time for time in mine if first <= time < last]
        spoke.append(bool(within))
        ends += [(at, time) for time in sorted({*within[:1], *within[-1:]})]
    assert chunks.any_within(connection, keys, low, high).tolist() == spoke
    edges = chunks.first_and_last(connection, keys, low, np.maximum(high, low))
    assert list(zip(edges.device.tolist(), edges.time.tolist(), strict=True)) == ends
    every = sorted(facts)
    device, time = np.array(every, np.int64).reshape(-1, 2).T
    one_by_one = chunks.exactly(connection, device, time)
    assert one_by_one.device.tolist() == list(range(len(every)))
    assert one_by_one.time.tolist() == time.tolist()
    assert chunks.heard(connection).tolist() == sorted({key for key, _ in facts})
    firsts = chunks.firsts(connection, np.arange(1, DEVICES + 1))
    assert firsts.tolist() == [
        min((time for device, time in facts if device == key), default=FOREVER)
        for key in range(1, DEVICES + 1)
    ]
    span = chunks.span(connection)
    assert (span is None) == (not facts)
    assert span is None or (span[0] <= min(time) and max(time) <= span[1])
    since, until = int(low.min()), int(high.max())
    period = in_sql(connection, f"select * from fixes(from_us({since}), from_us({until}))")
    assert same(period, {row: facts[row] for row in facts if since <= row[1] < until})


@many(25)
@given(columns=hostile_columns(), close=st.booleans())
def test_sql_reads_what_numpy_wrote(connection: Connection, columns: list[NDArray[Any]], close: bool) -> None:
    """The view unpacks any values as they were packed; only a NaN's payload is not seen in SQL."""
    keys = begin(connection)
    time, lon, lat, error_m, speed_mps, heading_deg = columns
    fixes = Fixes(np.zeros(len(time), np.int32), time, lon, lat, error_m, speed_mps, heading_deg, ())
    chunks.append(connection, keys, fixes)
    if close:
        connection.execute("update stay_end set newest = %s", [START + 30 * DAY])
        close_due(connection, worth=1)
    rows = connection.execute(
        "select fix_us(time), lon, lat, error_m, speed_mps, heading_deg from fix order by time"
    ).fetchall()
    told = list(zip(*rows, strict=True)) or [()] * len(columns)
    for found, column in zip(told, columns, strict=True):
        assert np.array_equal(np.array(found, column.dtype), column, equal_nan=column.dtype.kind == "f")
        assert np.signbit(np.array(found))[~np.isnan(column)].tolist() == (
            np.signbit(column)[~np.isnan(column)].tolist()
        )
    back = chunks.around(connection, keys[:1], np.array([-FOREVER]), np.array([FOREVER]))
    for name, column in zip(
        ("time", "lon", "lat", "error_m", "speed_mps", "heading_deg"), columns, strict=True
    ):
        assert getattr(back, name).tobytes() == column.tobytes()


@many(6)
@given(
    world=bookable_worlds(),
    chance=st.randoms(use_true_random=False),
    closings=st.lists(st.booleans(), min_size=6),
)
def test_figures_do_not_depend_on_when_hours_are_closed(
    connection: Connection, world: World, chance: random.Random, closings: list[bool]
) -> None:
    """Facts in any order, some twice, hours closed between batches: stays and slices are the core's."""
    empty(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    fixes = world_fixes(world)
    rows = (
        list(range(len(fixes))) + chance.choices(range(len(fixes)), k=len(fixes) // 4) if len(fixes) else []
    )
    chance.shuffle(rows)
    for part, close in zip(np.array_split(np.array(rows, np.int64), 6), closings, strict=False):
        ledger.positions(take(fixes, part))
        if close:
            close_due(connection, worth=1, late=-HOUR)
    assert fine_stored(connection) == fine_expected(world)
    assert_consistent(connection)


def hours(count: int, devices: int = DEVICES, start: int = START) -> Facts:
    """A fix a minute of some devices for so many hours."""
    return {
        (key, start + minute * 60 * SECOND): (-1.1 + minute / 1e4, 52.6, 8.0, 1.5, math.nan)
        for key in range(1, devices + 1)
        for minute in range(60 * count)
    }


def tables(connection: Connection) -> tuple[int, int]:
    """How many runs there are in ``fix_open`` and in ``fix_chunk``."""
    [found] = connection.execute(
        "select (select count(*) from fix_open), (select count(*) from fix_chunk)"
    ).fetchall()
    return int(found[0]), int(found[1])


def test_an_hour_is_closed_when_its_device_has_gone_on(connection: Connection) -> None:
    """Hours become one row each as their device reports on, or others do for a day; the newest stays open."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, {row: value for row, value in hours(3).items() if row[0] == 1})
    write(connection, facts, {row: value for row, value in hours(1).items() if row[0] == 2})
    assert close_due(connection, worth=1) == 2
    assert tables(connection) == (2, 2)
    write(connection, facts, {(3, START + 30 * HOUR): (0.0, 0.1, 1.0, 0.0, 0.0)})
    assert close_due(connection, worth=1) == 2
    assert tables(connection) == (1, 4)
    assert close_due(connection, worth=1) == 0
    assert same(in_sql(connection), facts)


def test_a_late_fix_opens_its_hour_again(connection: Connection) -> None:
    """A late fix, and a better one, join the hour's row when it is closed the next time."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(2))
    assert close_due(connection, worth=1) == DEVICES
    write(connection, facts, {(1, START + 61 * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)})
    write(connection, facts, {(2, START + 60 * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)})
    assert tables(connection) == (DEVICES + 3, DEVICES - 1)
    assert same(in_sql(connection), facts)
    assert close_due(connection, worth=1) == 2
    assert tables(connection) == (DEVICES, DEVICES)
    assert same(in_sql(connection), facts)


def test_a_wrong_clock_makes_no_partitions(connection: Connection) -> None:
    """Single fixes of a thousand other days stay where they are, one row a device and hour, and are read."""
    begin(connection)
    before = partitions(connection)
    facts: Facts = {}
    strays: Facts = {
        (1, START - day * DAY + second * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)
        for day in range(100, 1100)
        for second in (7, 8)
    }
    halves = ({row: strays[row] for row in strays if row[1] % DAY == second} for second in (7e6, 8e6))
    for half in halves:
        write(connection, facts, half)
    write(connection, facts, hours(25))
    close_due(connection)
    assert partitions(connection) - before <= {START, START + DAY}
    assert tables(connection)[0] == 1000 + DEVICES
    assert close_due(connection) == 0
    assert chunks.count(connection) == len(facts)


def partitions(connection: Connection) -> set[int]:
    """The days that have one."""
    return set(chunks.partitions(connection))


def test_deleting_a_day_is_dropping_its_partition(connection: Connection) -> None:
    """Without its partition a day's facts are gone, all others are there, and late ones are taken again."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(26, start=START + 40 * DAY))
    close_due(connection, worth=1)
    day = np.datetime64(START + 40 * DAY, "us").astype("datetime64[D]")
    connection.execute(f"drop table fix_chunk_{str(day).replace('-', '')}".encode())
    facts = {row: value for row, value in facts.items() if row[1] >= START + 41 * DAY}
    assert facts
    assert same(in_sql(connection), facts)
    write(connection, facts, hours(1, start=START + 40 * DAY))
    close_due(connection, worth=1)
    assert same(in_sql(connection), facts)


def test_a_reader_opens_the_partitions_of_its_days_alone(connection: Connection) -> None:
    """However many days there are, one day's positions lock no other tables: room for locks is small."""
    begin(connection)
    facts: Facts = {}
    for day in range(12):
        write(connection, facts, hours(1, start=START + day * DAY))
    close_due(connection, worth=1, late=-HOUR)
    keys = np.array([1, 2], np.int32)
    low = np.full(2, START + 5 * DAY + 600 * SECOND, np.int64)
    for ask in (
        lambda: chunks.around(connection, keys, low, low + HOUR // 4, before=2, after=2),
        lambda: chunks.around(connection, keys, low, low + np.array([1, 2]), before=2, after=2),
        lambda: chunks.exactly(connection, keys, low),
        lambda: chunks.any_within(connection, keys, low, low + HOUR // 4),
    ):
        with connection.transaction():
            ask()
            [(locked,)] = connection.execute(
                "select count(*) from pg_locks join pg_class on oid = relation "
                r"where relname ~ '^fix_chunk_\d+$' and pid = pg_backend_pid()"
            ).fetchall()
        assert locked == 1


def test_one_worker_closes_for_all(connection: Connection, database_server: EmbeddedDatabase) -> None:
    """Of several workers one is elected to close hours, and another when it is gone."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(25))
    settings = Settings(database=database_server.dsn_of("chunks"))
    first, second = CLOSE(settings), CLOSE(settings)
    try:
        assert first.do() == 24 * DEVICES
        write(connection, facts, {(1, START + 61 * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)})
        assert second.do() == 0
        first.close()
        await_release(connection, Lock.CLOSER)
        assert second.do() == 1
    finally:
        first.close()
        second.close()
    assert same(in_sql(connection), facts)


def test_what_others_hold_is_closed_later(connection: Connection) -> None:
    """Hours of a device that a batch holds just now wait; nobody waits for the batch."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(2))
    with connect(connection.info.dsn) as other:
        with other.transaction():
            other.execute("select from stay_end where device = 2 for update")
            assert close_due(connection, worth=1) == DEVICES - 1
            assert same(in_sql(connection), facts)
        assert close_due(connection, worth=1) == 1
    assert same(in_sql(connection), facts)


def test_a_partition_is_made_only_when_nobody_reads(connection: Connection) -> None:
    """While somebody reads, hours of a day without a partition stay open, and are closed later."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(2, start=START + 60 * DAY))
    with connect(connection.info.dsn) as reader:
        with reader.transaction():
            assert same(in_sql(reader), facts)
            assert close_due(connection, worth=1) == 0
            assert same(in_sql(reader), facts)
        assert close_due(connection, worth=1) == DEVICES
    assert same(in_sql(connection), facts)


def test_killed_while_it_closes_nothing_is_lost_or_doubled(connection: Connection) -> None:
    """Whoever closes hours is killed at each of its statements in turn: all facts are there, once."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(3))
    close_due(connection, worth=1)
    for statement in range(1, 30):
        write(connection, facts, {(1, START + statement * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)})
        with connect(connection.info.dsn) as doomed:
            if not killed_at(doomed, statement):
                break
        assert same(in_sql(connection), facts)
    else:
        raise AssertionError("it never came to the end")
    close_due(connection, worth=1)
    assert tables(connection) == (DEVICES, 2 * DEVICES)
    assert same(in_sql(connection), facts)


def killed_at(doomed: Connection, statement: int) -> bool:
    """Closes hours over a connection that is ended by the server at a statement; gives whether it was."""
    left = statement
    execute = doomed.execute

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            with connect(doomed.info.dsn) as killer:
                killer.execute("select pg_terminate_backend(%s, 5000)", [doomed.info.backend_pid])
        return execute(*args, **options)

    doomed.execute = counted  # type: ignore[method-assign]
    try:
        close_due(doomed, worth=1)
    except psycopg.OperationalError:
        return True
    return False


def test_two_close_and_one_writes_at_once(connection: Connection) -> None:
    """Two processes that close hours beside one that writes late fixes into them lose and double nothing."""
    begin(connection)
    facts: Facts = {}
    write(connection, facts, hours(4))
    done = threading.Event()
    failed: list[BaseException] = []

    def close() -> None:
        try:
            with connect(connection.info.dsn) as mine:
                while not done.is_set():
                    close_due(mine, worth=1)
        except BaseException as error:  # told below, in the test's own thread
            failed.append(error)

    closers = [threading.Thread(target=close) for _ in range(2)]
    for closer in closers:
        closer.start()
    try:
        with connect(connection.info.dsn) as writer:
            for second in range(1, 40):
                new: Facts = {
                    (key, START + second * 7 * SECOND): (second / 100, 0.5, 1.0, 0.0, 0.0) for key in (1, 2)
                }
                with writer.transaction():
                    writer.execute("select from stay_end where device in (1, 2) order by device for update")
                    write(writer, facts, new)
                assert chunks.count(connection) == len(facts)
    finally:
        done.set()
        for closer in closers:
            closer.join()
    assert not failed
    assert same(in_sql(connection), facts)


def test_rows_of_the_version_before_are_read_and_closed(connection: Connection) -> None:
    """Fixes that stand one a row are facts like all others, among packed ones too, and are closed."""
    keys = begin(connection)
    facts: Facts = {}
    old = hours(3)
    for (key, time), values in old.items():
        connection.execute(
            "insert into fix_row values (%s, from_us(%s), %s, %s, %s, %s, %s)", [key, time, *values]
        )
    facts |= old
    connection.execute("update stay_end set newest = %s", [START + 3 * HOUR - 1])
    write(connection, facts, {(1, START + 61 * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)})
    write(connection, facts, {(2, START + 60 * SECOND): (0.5, 0.5, 1.0, 0.0, 0.0)})
    for again in range(2):
        assert same(in_sql(connection), facts)
        low, high = (
            np.full(DEVICES, START + 30 * SECOND, np.int64),
            np.full(DEVICES, START + 2 * HOUR, np.int64),
        )
        found = chunks.around(connection, keys, low, high + np.arange(DEVICES), before=1, after=1)
        assert len(found) == 3 * (120 + 1 + 1) + 1
        device, time = np.array(sorted(facts), np.int64).T
        assert len(chunks.exactly(connection, device, time)) == len(facts)
        if not again:
            close_due(connection, worth=1)
    [(left,)] = connection.execute("select count(*) from fix_row").fetchall()
    assert left == DEVICES * 60
    close_due(connection, worth=1, late=-HOUR)
    assert tables(connection) == (0, 3 * DEVICES)
    assert same(in_sql(connection), facts)
