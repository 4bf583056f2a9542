"""The ledger on a real database: whatever the order and the batches, the tables are what the core counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN
from stream.core.facts import Allocation, Duty, StateReport
from stream.core.policy import BEGINNING, Policies
from stream.core.slices import NO_DEVICE, newest, slices
from stream.core.stays import stays, take
from stream.files.sheets.contract import slices_table, stays_table
from stream.store import areas as area_tables
from stream.store import gathering, positions
from stream.store.ledger import Ledger, Offset
from stream.store.reading.exports import derived
from stream.store.schema import connect, migrate
from tests.core.test_accounting import history_of, horizon
from tests.strategies import BINARY, World, many, world_fixes, worlds

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from geo.matching.places import Place
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

POLICIES = Policies()
TABLES = (
    "area, area_version, fix, allocation, state, stay, stay_end, slice, slice_end, duty_revision, duty, "
    "officer, device, frame_offset"
)


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with connect(database_server.dsn) as server:
        server.execute("create database ledger template template0")
    with connect(database_server.dsn_of("ledger")) as opened:
        migrate(opened)
        yield opened
    with connect(database_server.dsn) as server:
        server.execute("drop database ledger with (force)")


def publish(connection: Connection, world: World) -> None:
    """The world's boundary versions, published kind by kind."""
    for start, rows in sorted(world.versions, key=lambda v: BEGINNING if v[0] is None else v[0]):
        found = AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in rows)
        for kind in Kind:
            area_tables.publish(
                connection, found, kind, 0 if start is None else start, file="test", sha256="", by="test"
            )


def expected(world: World) -> tuple[pa.Table, pa.Table]:
    """What the core counts from all facts at once."""
    fixes, history = world_fixes(world), history_of(world)
    duties = newest(world.duties)
    found = stays(fixes, history, POLICIES)
    counted = slices(duties, found, fixes.device_ids, world.states, history.places, POLICIES)
    return (
        stays_table(found, fixes.device_ids, history.places),
        slices_table(counted, duties, fixes.device_ids, history.places, POLICIES, until=horizon(world)),
    )


def stored(connection: Connection, world: World) -> tuple[pa.Table, pa.Table]:
    """What the tables hold."""
    found = derived(connection)
    return (
        stays_table(found.stays, found.device_ids, found.places),
        slices_table(
            found.slices, found.duties, found.device_ids, found.places, POLICIES, until=horizon(world)
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
    duties = newest(world.duties)
    found = stays(fixes, history, policies)
    counted = slices(duties, found, fixes.device_ids, world.states, history.places, policies)
    return fine(found, counted, fixes.device_ids, history.places, duties)


def fine_stored(connection: Connection) -> Fine:
    """What the tables hold, in every detail."""
    found = derived(connection)
    return fine(found.stays, found.slices, found.device_ids, found.places, found.duties)


@many(120)
@given(world=worlds(BINARY), random=st.randoms(use_true_random=False), parts=st.integers(1, 8))
def test_the_tables_do_not_depend_on_order_batches_or_repetition(
    connection: Connection, world: World, random: random.Random, parts: int
) -> None:
    """Facts in any order, in any batches, some twice: the tables are what the core counts from all."""
    assume(all(duty.end is None or duty.end > duty.start for duty in world.duties))
    connection.execute(f"truncate {TABLES} restart identity".encode())
    publish(connection, world)
    ledger = Ledger(connection, POLICIES)
    fixes = world_fixes(world)
    rows = list(range(len(fixes)))
    rows += random.sample(rows, len(rows) // 3)
    random.shuffle(rows)
    work: list[object] = [take(fixes, np.array(part, np.int64)) for part in np.array_split(rows, parts)]
    work += [("duty", duty) for duty in (*world.duties, *world.duties[:1])]
    work += [("state", report) for report in world.states]
    random.shuffle(work)
    for number, item in enumerate(work):
        frame = [Offset("frames", 0, "first", number + 1)]
        if isinstance(item, tuple):
            kind, value = item
            ledger.bookings([value] if kind == "duty" else [], [value] if kind == "state" else [], frame)
        else:
            ledger.positions(item, frame)  # type: ignore[arg-type]
    assert ledger.passed("frames", "first") == {0: len(work)}
    want, have = expected(world), stored(connection, world)
    assert have[0].to_pylist() == want[0].to_pylist()
    assert have[1].to_pylist() == want[1].to_pylist()
    assert fine_stored(connection) == fine_expected(world)


def wandering(seed: int) -> World:
    """Twelve devices over four neighbourhoods: walks, gaps, jumps, duties that end in between."""
    random = np.random.default_rng(seed)
    start = 1_795_420_800_000_000
    box = [(0, 0), (4, 0), (0, 4), (4, 4)]
    shapes = [
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(x, y), *BINARY.at(x + 4, y + 4)))
        for n, (x, y) in enumerate(box)
    ]
    shapes.append(("premises", "B1", shapely.box(*BINARY.at(3, 3), *BINARY.at(3.5, 3.5))))
    shapes.append(("priority", "P1", shapely.Point(BINARY.at(4, 2)).buffer(BINARY.unit * 0.7, quad_segs=3)))
    later = [area for area in shapes if area[1] != "N3"]
    fixes = []
    for device in range(12):
        x, y, time = float(random.uniform(1, 7)), float(random.uniform(1, 7)), start
        for _ in range(int(random.integers(100, 400))):
            time += (
                int(
                    random.choice(
                        [5, 5, 5, 15, 60, 301, 900, 2000], p=[0.3, 0.3, 0.2, 0.1, 0.06, 0.02, 0.01, 0.01]
                    )
                )
                * 1_000_000
            )
            if random.random() < 0.7:
                x, y = x + float(random.normal(0, 0.15)), y + float(random.normal(0, 0.15))
            jump = 30.0 if random.random() < 0.02 else 0.0
            fixes.append((f"{'RV'[device % 2]}{device}", time, *BINARY.at(x + jump, y), None))
    duties = [
        Duty(
            f"D{n}-{part}",
            int(random.integers(1, 3)),
            f"O{n}",
            start + part * 3_000_000_000 - (600_000_000 if n == 2 else 0),
            None if n == 3 and part else start + (part + 1) * 3_000_000_000,
            (f"N{n % 4}",) if n < 5 else (),
            (
                Allocation(f"R{2 * n}", "radio"),
                Allocation(f"V{2 * (n // 2) + 1}", "vehicle", start + 1_000_000_000, start + 4_000_000_000),
            ),
        )
        for n in range(6)
        for part in range(3)
    ]
    states = [
        StateReport(
            f"O{int(random.integers(6))}",
            start + int(random.integers(9000)) * 1_000_000,
            int(random.choice([1, 4, 8, 11, 2])),
        )
        for _ in range(40)
    ]
    end = start + 12_000_000_000
    return World(
        tuple(fixes),
        ((None, tuple(shapes)), (start + 4_000_000_000, tuple(later))),
        tuple(duties),
        tuple(states),
        end,
        (start, end),
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_with_late_facts_closes_rows_and_mends_them(connection: Connection, seed: int) -> None:
    """Fixes in rising time with some minutes or hours late, duties booked at any time: the same."""
    connection.execute(f"truncate {TABLES} restart identity".encode())
    world = wandering(seed)
    publish(connection, world)
    random = np.random.default_rng(seed + 100)
    fixes = world_fixes(world)
    delay = np.where(random.random(len(fixes)) < 0.05, random.exponential(1200, len(fixes)), 0) * 1e6
    order = np.argsort(fixes.time + delay, kind="stable")
    twice = np.sort(np.concatenate([np.arange(len(order)), random.choice(len(order), len(order) // 10)]))
    facts: list[tuple[float, object]] = [
        (number, take(fixes, part)) for number, part in enumerate(np.array_split(order[twice], 40))
    ]
    facts += [(random.uniform(0, 40), duty) for duty in world.duties]
    facts += [(random.uniform(0, 40), report) for report in world.states]
    ledgers = [Ledger(connection, POLICIES), Ledger(connection, POLICIES)]
    for at, fact in sorted(facts, key=lambda pair: pair[0]):
        # Two programs take turns, so that what one keeps at hand goes stale by the other's doing.
        ledger = ledgers[int(at) % 2]
        if isinstance(fact, Duty):
            ledger.bookings([fact], [])
        elif isinstance(fact, StateReport):
            ledger.bookings([], [fact])
        else:
            ledger.positions(fact)  # type: ignore[arg-type]
    want, have = expected(world), stored(connection, world)
    assert have[0].to_pylist() == want[0].to_pylist()
    assert have[1].to_pylist() == want[1].to_pylist()
    assert fine_stored(connection) == fine_expected(world)
    closed = connection.execute("select (select count(*) from stay), (select count(*) from slice)").fetchone()
    assert closed is not None
    assert min(int(str(count)) for count in closed) > 50
    assert_consistent(connection)


@many(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    held_back=st.lists(st.integers(1, 14), min_size=2, max_size=2),
    whole=st.booleans(),
    many_neighbours=st.booleans(),
)
def test_two_devices_of_a_duty_may_be_late_at_once(
    connection: Connection, seed: int, held_back: list[int], whole: bool, many_neighbours: bool
) -> None:
    """A late fix of the radio and one of the car in one batch: the same as if all had come in order.

    Each opens a window of its own; the duty's covers both, and then also stays of a device that lie between
    its window and its growing end. How many neighbours are loaded with a late fix is a matter of speed only.
    """
    connection.execute(f"truncate {TABLES} restart identity".encode())
    random = np.random.default_rng(seed)
    start = 1_795_420_800_000_000
    fixes = []
    for device in ("R1", "V1"):
        time = start + int(random.integers(60)) * 1_000_000
        for _ in range(20):
            time += int(random.choice([30, 60, 290, 400])) * 1_000_000
            fixes.append((device, time, *BINARY.at(*random.uniform(0, 6, 2).tolist()), 10.0))
    duty = Duty(
        *("D1", 1, "O1", start, start + 4 * 3_600_000_000, ("N1",)),
        (Allocation("R1", "radio"), Allocation("V1", "vehicle")),
    )
    areas = tuple(
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(n * 2, 0), *BINARY.at(n * 2 + 2, 6)))
        for n in range(3)
    )
    end = start + 5 * 3_600_000_000
    world = World(tuple(fixes), ((None, areas),), (duty,), (StateReport("O1", start, 1),), end, (start, end))
    publish(connection, world)
    ledger = Ledger(connection, POLICIES)
    ledger.bookings(world.duties, world.states)
    columns = world_fixes(world)
    late = np.array([20 - held_back[0], 40 - held_back[1]])
    early = np.setdiff1d(np.arange(40), late)
    for part in [early] if whole else np.array_split(early[np.argsort(columns.time[early])], 12):
        ledger.positions(take(columns, part))
    with pytest.MonkeyPatch.context() as patched:
        if many_neighbours:
            patched.setattr(gathering, "NEIGHBOURS", gathering.AGAIN)
            patched.setattr(positions, "NEIGHBOURS", gathering.AGAIN)
        ledger.positions(take(columns, late))
    assert fine_stored(connection) == fine_expected(world)
    assert_consistent(connection)


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
    # The slices of a duty tile it, less what another duty of the officer or state 11 takes.
    """
    select duty from duty join officer using (officer) where not cancelled and end_at is not null
    and not exists (
        select from state s where s.officer = duty.officer and s.state = 11
        and s.time >= duty.start_at and s.time < duty.end_at
    )
    and not exists (
        select from duty o where o.officer = duty.officer and o.duty <> duty.duty and not o.cancelled
        and o.start_at < duty.end_at and coalesce(o.end_at, 'infinity') > duty.start_at
    )
    and (select coalesce(sum(end_at - start_at), interval '0') from slices s where s.duty = duty.duty)
        <> end_at - start_at
    """,
)
