"""The ledger on a real database: whatever the order and the batches, the tables are what the core counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.slices import planned_slices
from stream.core.stays import legs_to_stays, take
from stream.store import bookings, gathering, positions
from stream.store import duties as duty_steps
from stream.store.chunks import HOUR, close_due
from stream.store.ledger import Ledger, Offset
from stream.store.schema import connect
from stream.store.tracks import CONTEXT
from tests.shell.stored import (
    assert_consistent,
    empty,
    expected,
    fine_expected,
    fine_stored,
    migrated,
    publish,
    stored,
)
from tests.strategies import BINARY, OPENINGS, World, areas, bookable_worlds, flickers, many, world_fixes
from tests.worlds import wandering

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from stream.core.facts import Fixes
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.embedded import EmbeddedDatabase
    from stream.store.ledger import Counted
    from stream.store.schema import Connection
    from tests.strategies import Area, Fix


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "ledger") as dsn, connect(dsn) as opened:
        yield opened


@many(120)
@given(world=bookable_worlds(), random=st.randoms(use_true_random=False), parts=st.integers(1, 8))
def test_the_tables_do_not_depend_on_order_batches_or_repetition(
    connection: Connection, world: World, random: random.Random, parts: int
) -> None:
    """Facts in any order, in any batches, some twice: the tables are what the core counts from all.

    However few devices of a batch with late facts are counted at a time.
    """
    empty(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    around = random.choice([1, 700, 2_000, gathering.MOST_AROUND])
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
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(gathering, "MOST_AROUND", around)
                ledger.positions(item, frame)  # type: ignore[arg-type]
    assert ledger.passed("frames", "first") == {0: len(work)}
    want, have = expected(world), stored(connection, world)
    assert have[0].to_pylist() == want[0].to_pylist()
    assert have[1].to_pylist() == want[1].to_pylist()
    assert fine_stored(connection) == fine_expected(world)


@many(40)
@given(
    track=st.builds(list.__add__, flickers("R1", OPENINGS[0]), flickers("V1", OPENINGS[0])),
    ground=areas(),
    random=st.randoms(use_true_random=False),
    late=st.sampled_from((0.0, 0.1, 1.0)),
    parts=st.integers(1, 30),
)
def test_what_nobody_drove_is_found_in_whatever_order(
    connection: Connection,
    track: list[Fix],
    ground: tuple[Area, ...],
    random: random.Random,
    late: float,
    parts: int,
) -> None:
    """Devices that leap away and back for minutes, in order or late: the tables are what the core counts."""
    empty(connection)
    held = (Allocation("R1", "radio"), Allocation("V1", "vehicle"))
    duty = Duty("D1", 1, "O1", OPENINGS[0], OPENINGS[0] + 7200 * SECOND, ("N1",), held)
    end = OPENINGS[0] + 9000 * SECOND
    world = World(tuple(track), ((None, ground),), (duty,), (), end, (OPENINGS[0], end))
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings([duty], [])
    fixes = world_fixes(world)
    order = sorted(range(len(fixes)), key=lambda at: fixes.time[at])
    for at in order[:]:
        if random.random() < late:
            order.remove(at)
            order.insert(random.randrange(len(order) + 1), at)
    for part in np.array_split(np.array(order, np.int64), parts):
        ledger.positions(take(fixes, part))
    want, have = expected(world), stored(connection, world)
    assert have[0].to_pylist() == want[0].to_pylist()
    assert have[1].to_pylist() == want[1].to_pylist()
    assert fine_stored(connection) == fine_expected(world)


def test_each_device_is_given_the_older_fixes_that_it_needs(connection: Connection) -> None:
    """Two devices end a batch where nobody can have driven; one needs few older fixes for it, the other many.

    What suffices for one is not forgotten while more is read for the other: all that lay between is unknown.
    """

    def track(name: str, x: float, before: Sequence[int]) -> list[Fix]:
        times = [*before, *range(1900, 2000, 5)]
        away = [1905 <= time < 1940 for time in times]
        return [
            (name, OPENINGS[0] + time * SECOND, *BINARY.at(x + 40 * gone, 1 + time / 1e4), None)
            for time, gone in zip(times, away, strict=True)
        ]

    steady = track("R1", 1, range(0, 1900, 5))
    gone_silent = track("R2", 2, range(900))  # a report a second, and then a silence of 1000 s
    square = shapely.box(*BINARY.at(0, 0), *BINARY.at(8, 8))
    world = World(
        tuple(steady + gone_silent), ((None, (("neighbourhood", "N1", square),)),), (), (), 0, (0, 1)
    )
    empty(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    fixes = world_fixes(world)
    first = fixes.time < OPENINGS[0] + 1940 * SECOND
    for part in (first, ~first):
        ledger.positions(take(fixes, part))
    assert fine_stored(connection) == fine_expected(world)


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_with_late_facts_closes_rows_and_mends_them(connection: Connection, seed: int) -> None:
    """Fixes in rising time with some minutes or hours late, duties booked at any time: the same."""
    empty(connection)
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
    ledgers = [Ledger(connection), Ledger(connection)]
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
    empty(connection)
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
    ledger = Ledger(connection)
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


# ── How much is counted, and by what ──────────────────────────────────────────────────────────────────────

START = 1_795_420_800_000_000
STEP = 30 * SECOND


def patrolled() -> World:
    """One radio that reports every half minute for five hours, in two duties, by turns in two areas."""
    fixes = [
        ("R1", START + n * STEP, *BINARY.at((n // 7) % 2 * 2 + n % 7 / 8, 1.0), 10.0) for n in range(600)
    ]
    areas = tuple(
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(n * 2, 0), *BINARY.at(n * 2 + 2, 6)))
        for n in range(2)
    )
    duties = tuple(
        Duty(
            *(f"D{n}", 1, "O1", START + n * 300 * STEP, START + (n + 1) * 300 * STEP, ("N1",)),
            (Allocation("R1", "radio"),),
        )
        for n in range(2)
    )
    end = START + 600 * STEP
    return World(tuple(fixes), ((None, areas),), duties, (StateReport("O1", START, 1),), end, (START, end))


class Work:
    """How many fixes were made into stays, and which stretches of which duties into slices."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.fixes: list[int] = []
        self.windows: list[list[tuple[int, int]]] = []

        def made(fixes: Fixes, *rest: Any) -> Stays:
            self.fixes.append(len(fixes))
            return legs_to_stays(fixes, *rest)

        def counted(*given: Any) -> Slices:
            self.windows.append(list(zip(*(bound.tolist() for bound in given[-2:]), strict=True)))
            return planned_slices(*given)

        patched.setattr(positions, "legs_to_stays", made)
        patched.setattr(duty_steps, "planned_slices", counted)


def test_a_new_fix_costs_no_more_than_its_neighbours(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixes in order, and late ones, are counted with a few neighbours, in the one duty that they touch."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    ledger, columns = Ledger(connection), world_fixes(world)
    ledger.bookings(world.duties, world.states)
    late = [100, 101, 450]
    ledger.positions(take(columns, np.setdiff1d(np.arange(550), late)))
    work = Work(monkeypatch)
    for number in range(550, 600):
        ledger.positions(take(columns, np.array([number])))
    assert max(work.fixes) <= 3
    assert [len(windows) for windows in work.windows] == [1] * 50
    assert max(high - low for [(low, high)] in work.windows) <= 2 * STEP
    work.fixes.clear()
    work.windows.clear()
    for number in late:
        ledger.positions(take(columns, np.array([number])))
    assert max(work.fixes) <= 5
    assert [len(windows) for windows in work.windows] == [1] * 3
    assert max(high - low for [(low, high)] in work.windows) <= 5 * STEP
    work.windows.clear()
    ledger.positions(take(columns, np.array([100, 450, 599])))  # repetitions
    assert work.windows == []
    assert fine_stored(connection) == fine_expected(world)


def test_a_steady_stream_reads_nothing_again(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Growing ends and bookings are read once, and again only where somebody else has written them."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    ledger, columns = Ledger(connection), world_fixes(world)
    ledger.bookings(world.duties, world.states)
    read: list[str] = []
    for module, name in ((gathering, "_read_ends"), (duty_steps, "_read_slice_ends")):
        monkeypatch.setattr(module, name, partial(_told, read, name, getattr(module, name)))
    monkeypatch.setattr(bookings, "read_officers", partial(_told, read, "booked", bookings.read_officers))
    for number in range(400):
        if number == 20:
            read.clear()
        ledger.positions(take(columns, np.array([number])))
    ledger.bookings([], [StateReport("O1", START, 2)])
    ledger.positions(take(columns, np.array([400])))
    assert read == ["booked", "booked"]  # both by the booking itself
    keyed = StateReport("O1", START + 401 * STEP, 8)
    Ledger(connection).bookings([], [keyed])
    read.clear()
    ledger.positions(take(columns, np.array([401])))
    assert sorted(read) == ["_read_slice_ends", "booked"]
    read.clear()
    connection.execute("update stay_end set stays = stays")
    connection.execute("update slice_end set slices = slices")
    for number in range(402, 410):
        ledger.positions(take(columns, np.array([number])))
    assert sorted(read) == ["_read_ends", "_read_slice_ends"]
    read.clear()
    assert close_due(connection, worth=1, late=-HOUR)  # which moves fixes, and leaves growing ends alone
    ledger.positions(take(columns, np.array([411])))
    ledger.positions(take(columns, np.array([410])))  # late: among fixes of an hour that is closed
    assert read == []
    told = replace(world, fixes=world.fixes[:412], states=(*world.states, StateReport("O1", START, 2), keyed))
    assert fine_stored(connection) == fine_expected(told)
    assert_consistent(connection)


def test_a_program_that_waits_for_another_sees_what_it_wrote(connection: Connection) -> None:
    """A growing end that was rewritten while a program waited for its lock is not counted by the old copy."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    columns, late = world_fixes(world), [396, 398]
    one = Ledger(connection)
    one.bookings(world.duties, world.states)
    one.positions(take(columns, np.setdiff1d(np.arange(400), late)))
    waits = f"select wait_event_type = 'Lock' from pg_stat_activity where pid = {connection.info.backend_pid}"
    with (
        connect(connection.info.dsn) as beside,
        connect(connection.info.dsn) as looking,
        ThreadPoolExecutor(1) as pool,
    ):
        with beside.transaction():
            Ledger(beside).positions(take(columns, np.array(late)))
            counted = pool.submit(one.positions, take(columns, np.array([400])))
            while looking.execute(waits.encode()).fetchone() != (True,):
                assert not counted.done()
        assert counted.result().fixes == 1
    assert fine_stored(connection) == fine_expected(replace(world, fixes=world.fixes[:401]))
    assert_consistent(connection)


def test_what_nobody_has_locked_does_not_wait_for_the_rest(connection: Connection) -> None:
    """While somebody has an officer locked, others' bookings and fixes are counted, and the rest afterwards.

    Frames are on record when everything in them is.
    """
    empty(connection)
    world = patrolled()
    other = Allocation("R2", "radio")
    world = replace(
        world,
        fixes=(*world.fixes, *(("R2", *fix[1:]) for fix in world.fixes)),
        duties=(
            *world.duties,
            *(
                replace(duty, duty_id=f"{duty.duty_id}b", officer_id="O2", devices=(other,))
                for duty in world.duties
            ),
        ),
        states=(*world.states, StateReport("O2", START, 2)),
    )
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings([replace(duty, revision=0) for duty in world.duties], [])
    frames = [Offset("frames", 0, "first", 1)]
    with connect(connection.info.dsn) as beside, connect(connection.info.dsn) as looking:

        def meanwhile(done: str, count: int, work: Callable[[], Any]) -> None:
            """Does work while O1 is locked, until a question has an answer, and then to its end."""
            with ThreadPoolExecutor(1) as pool:
                with beside.transaction():
                    beside.execute("select from officer where officer_id = 'O1' for update")
                    counted = pool.submit(work)
                    while looking.execute(done.encode()).fetchone() != (count,):
                        assert not counted.done()
                    assert Ledger(looking).passed("frames", "first") == {}
                counted.result()
            assert Ledger(looking).passed("frames", "first") == {0: 1}
            looking.execute("delete from frame_offset")

        meanwhile(
            "select sum(revision)::int from duty",
            2,
            lambda: ledger.bookings(world.duties, world.states, frames),
        )
        meanwhile(
            "select count(distinct device) from fix_open",
            1,
            lambda: ledger.positions(world_fixes(world), frames),
        )
    assert fine_stored(connection) == fine_expected(world)
    assert_consistent(connection)


def test_what_is_locked_can_be_left_for_later(connection: Connection) -> None:
    """Whoever has other work waits for nobody: states and fixes that are left are counted later."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    ledger, frames = Ledger(connection), [Offset("frames", 0, "first", 1)]
    columns = world_fixes(world)
    ledger.bookings(world.duties, [])
    ledger.positions(take(columns, np.arange(200)))
    ways: tuple[Callable[[], Counted], ...] = (
        lambda: ledger.bookings([], world.states, frames, patient=False),
        lambda: ledger.positions(columns, frames, patient=False),
    )
    with connect(connection.info.dsn) as beside:
        for counted in ways:
            with beside.transaction():
                beside.execute("select from officer for update")
                left = counted()
                assert (left.states, left.fixes, left.repeated) == (0, 0, 0)
                assert left.rest is not None
                assert ledger.passed("frames", "first") == {}
            found = left.rest(Ledger(beside))
            assert (found.states, found.fixes, found.repeated) in ((1, 0, 0), (0, 400, 200))
            assert found.rest is None
            assert ledger.passed("frames", "first") == {0: 1}
            beside.execute("delete from frame_offset")
    assert fine_stored(connection) == fine_expected(world)
    assert_consistent(connection)


@pytest.mark.parametrize("seed", range(2))
def test_programs_beside_each_other_count_what_one_counts(connection: Connection, seed: int) -> None:
    """Four programs that share the facts at random, those of one device too: the tables are the core's."""
    empty(connection)
    world = wandering(seed)
    publish(connection, world)
    chance = np.random.default_rng(seed)
    columns = world_fixes(world)
    share = chance.integers(0, 4, len(columns))
    booked = [*world.duties, *world.duties]

    def program(number: int) -> None:
        with connect(connection.info.dsn) as own:
            ledger = Ledger(own)
            mine = [take(columns, part) for part in np.array_split(np.flatnonzero(share == number), 12)]
            for at, part in enumerate(mine):
                ledger.positions(part)
                ledger.bookings(booked[(number + at) % 4 :: 4], world.states[number::4])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(program, number) for number in range(4)]:
            done.result()
    want, have = expected(world), stored(connection, world)
    assert have[0].to_pylist() == want[0].to_pylist()
    assert have[1].to_pylist() == want[1].to_pylist()
    assert_consistent(connection)


def _told(read: list[str], name: str, work: Callable[..., Any], *given: Any) -> Any:
    read.append(name)
    return work(*given)


def test_a_growing_end_holds_no_more_than_later_fixes_may_change(connection: Connection) -> None:
    """Closed is what ends before the last fix but one; of the fixes the last three are kept."""
    empty(connection)
    counts = {"R2": 2, "R3": 3, "R4": 4, "R9": 9}
    fixes = [
        (name, START + n * STEP, *BINARY.at(1.0 + n % 2 * 2, 1.0), 10.0)
        for name, count in counts.items()
        for n in range(count)
    ]
    world = replace(patrolled(), fixes=tuple(fixes))
    publish(connection, world)
    Ledger(connection).positions(world_fixes(world))
    found = connection.execute(
        "select device_id, octet_length(context), whole, closed "
        "from stay_end join device using (device) order by 1"
    ).fetchall()
    assert [(name, size // CONTEXT.itemsize, whole) for name, size, whole, _ in found] == [
        ("R2", 2, True),
        ("R3", 3, True),
        ("R4", 3, False),
        ("R9", 3, False),
    ]
    for name, _, _, closed in found:
        last = START + (counts[name] - 2) * STEP
        if counts[name] == 2:
            assert closed < START
        else:
            assert last - STEP < closed < last


def test_a_state_costs_no_more_than_what_follows_it(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A radio state has its own duty counted anew from its time on; a booking those it overlaps, whole."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(world_fixes(world))
    work = Work(monkeypatch)
    keyed = START + 400 * STEP
    ledger.bookings([], [StateReport("O1", keyed, 4)])
    assert work.windows == [[(keyed, FOREVER)]]
    work.windows.clear()
    start, end = world.duties[1].start, world.as_of
    ledger.bookings([], [StateReport("O1", start, 8), StateReport("O1", end, 8)])
    assert work.windows == [[(start, FOREVER)]]  # at its start a state is the duty's own, at its end not
    work.windows.clear()
    ledger.bookings([], [StateReport("O1", keyed, 4), StateReport("O1", keyed + 600 * STEP, 4)])
    ledger.bookings([replace(world.duties[0], revision=2, patch=("N0",))], [])
    assert work.windows == [[(-FOREVER, FOREVER)]]


def test_every_program_hears_of_a_booking(connection: Connection) -> None:
    """Bookings and states raise the counters of the officers and devices they touch, and of no others."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    ledger = Ledger(connection)
    others = [
        Duty(f"E{n}", 1, f"O{n}", START, world.as_of, ("N0",), (Allocation(f"R{n}", "radio"),))
        for n in (2, 3)
    ]
    ledger.bookings([*world.duties, *others], [])

    def counters() -> dict[str, int]:
        return dict(
            connection.execute(
                "select officer_id, facts from officer union all "
                "select device_id, booked from stay_end join device using (device)"
            ).fetchall()
        )

    def raised(duties: Sequence[Duty], states: Sequence[StateReport]) -> set[str]:
        before = counters()
        ledger.bookings(duties, states)
        return {name for name, value in counters().items() if value != before.get(name)}

    report = StateReport("O2", START + STEP, 8)
    assert raised([], [report]) == {"O2"}
    assert raised([], [report]) == set()
    assert raised([others[0]], []) == set()
    assert raised([replace(others[0], revision=2, end=world.as_of - STEP)], []) == {"O2", "R2"}
    moved = replace(others[0], revision=3, officer_id="O3", devices=(Allocation("R4", "radio"),))
    assert raised([moved], [StateReport("O1", START + STEP, 8)]) == {"O1", "O2", "O3", "R2", "R4"}


@pytest.mark.parametrize("what", ["a state", "an end", "another officer", "another device"])
def test_what_one_program_books_the_other_counts_by(connection: Connection, what: str) -> None:
    """A program that has bookings at hand counts its next fix by what another has booked meanwhile."""
    empty(connection)
    world = patrolled()
    publish(connection, world)
    one, other = Ledger(connection), Ledger(connection)
    columns = world_fixes(world)
    one.bookings(world.duties, world.states)
    one.positions(take(columns, np.arange(400)))
    last = world.duties[1]
    changed = {
        "a state": last,
        "an end": replace(last, revision=2, end=START + 410 * STEP),
        "another officer": replace(last, revision=2, officer_id="O2"),
        "another device": replace(
            last, revision=2, devices=(Allocation("R1", "radio", None, START + 405 * STEP),)
        ),
    }[what]
    states = [StateReport("O1", START + 402 * STEP, 8)] if what == "a state" else []
    other.bookings([changed], states)
    for number in range(400, 420):
        one.positions(take(columns, np.array([number])))
    told = replace(
        world,
        fixes=world.fixes[:420],
        duties=(*world.duties, changed),
        states=(*world.states, *states),
    )
    assert fine_stored(connection) == fine_expected(told)
    assert_consistent(connection)
