"""What is older than it may be goes; no figure changes by it, nor by whatever comes afterwards."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.keeping import Terms
from stream.store import chunks, recompute, retention
from stream.store.chunks import DAY, HOUR
from stream.store.doubts import judge_due
from stream.store.kept import kept
from stream.store.ledger import Ledger
from stream.store.records import restatements
from stream.store.retention import retain
from stream.store.schema import connect
from tests.shell.stored import (
    POLICIES,
    assert_consistent,
    empty,
    fine_expected,
    fine_stored,
    in_time,
    migrated,
    publish,
)
from tests.strategies import BINARY, World, many, micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

OPENING = micros("2026-11-16T00:00:00+00:00")
LONG = Terms(48, 31, 400)
SHORT = Terms(192, 8, 39)
Row = tuple[object, ...]


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each test empties it."""
    with migrated(database_server, "retention") as found:
        yield found


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to the emptied database."""
    with connect(dsn) as opened:
        empty(opened)
        yield opened


def days_of(seed: int, days: int = 4, apart: int = 1) -> World:
    """Some days of radios and a car: rounds on and off duty, nights on one spot, jumps, gaps of all kinds."""
    chance = random.Random(seed)
    shapes = tuple(
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(4 * n, 0), *BINARY.at(4 * n + 4, 4)))
        for n in range(2)
    )
    fixes, duties, states = [], [], []
    spans: list[tuple[str, int, int]] = []
    for officer in range(2):
        for day in range(days):
            begin = OPENING + day * apart * DAY + chance.randrange(6, 16) * HOUR + chance.randrange(HOUR)
            end = begin + chance.choice((HOUR // 2, 3 * HOUR, 8 * HOUR))
            held = [Allocation(f"R{officer}", "radio")]
            if chance.random() < 0.5:
                held.append(Allocation("V0", "vehicle", chance.choice((None, begin + HOUR // 4)), None))
            if chance.random() < 0.85:
                duties.append(
                    Duty(f"D{officer}-{day}", 1, f"O{officer}", begin, end, (f"N{officer}",), tuple(held))
                )
            if chance.random() < 0.4:
                states.append(StateReport(f"O{officer}", begin + HOUR // 3, chance.choice((4, 8, 11))))
                states.append(StateReport(f"O{officer}", begin + HOUR // 2, 2))
            spans += [
                (item.device_id, begin - chance.randrange(5 * HOUR), end + chance.randrange(9 * HOUR))
                for item in held
            ]
            spans.append(("V1", begin, begin + 2 * HOUR))
    seen: set[tuple[str, int]] = set()
    for device, low, high in spans:
        time, x, y = low, chance.uniform(1, 7), chance.uniform(1, 3)
        while time < high:
            time += chance.choice((60, 120, 240, 290, 310, 900, 1700, 2400)) * SECOND + chance.randrange(3)
            mood = chance.random()
            if mood < 0.5:
                x, y = x + chance.uniform(-0.4, 0.4), y + chance.uniform(-0.4, 0.4)
            jump = 900.0 if mood > 0.97 else 0.0
            if (device, time) not in seen:
                seen.add((device, time))
                fixes.append((device, time, *BINARY.at(x + jump, y), chance.choice((None, 10.0))))
    last = max(fix[1] for fix in fixes)
    return World(tuple(fixes), ((None, shapes),), tuple(duties), tuple(states), last, (OPENING, last))


def everything(connection: Connection, since: int = -FOREVER) -> tuple[list[Row], list[Row]]:
    """Slices and doubts as the tables hold them, from a time on."""
    judge_due(connection)
    doubts = connection.execute(
        "select duty_id, kind, device_id, other, t.start_at, t.end_at from doubt t join duty using (duty) "
        "join device using (device) where t.start_at >= from_us(%s) order by 1, 2, 3, 4, 5",
        [since],
    ).fetchall()
    return cut(fine_stored(connection)[1], since), doubts


def cut(rows: list[Row], since: int) -> list[Row]:
    """Rows of slices from a time on."""
    return [
        (name, max(int(str(start)), since), end, *others)
        for name, start, end, *others in rows
        if int(str(end)) > since
    ]


def again(connection: Connection, start: int, end: int) -> None:
    """Everything of a period counted again, and put on record."""
    try:
        recompute.hold(connection)
        until = recompute.horizon(connection, end)
        plan = recompute.plan(connection, start, end)
        recompute.begin(connection, plan, until)
        ledger = Ledger(connection)
        for part in plan:
            recompute.count(ledger, part, until)
        recompute.conclude(connection, (start, end), until, by="test", why="test", edition=1)
    finally:
        connection.execute("select pg_advisory_unlock_all()")


def filled(connection: Connection, world: World) -> None:
    """The world counted, and its hours closed."""
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    for part in in_time(world, 6):
        ledger.positions(part)
        chunks.close_due(connection, worth=20)
    judge_due(connection)


@many(12)
@given(st.integers(0, 10**6), st.integers(0, 3 * 24))
def test_positions_outside_duties_go_and_no_figure_changes(dsn: str, seed: int, hours: int) -> None:
    """Deleted, judged again and recomputed: slices and doubts are what they were, and nothing is restated."""
    world = days_of(seed)
    with connect(dsn) as connection:
        empty(connection)
        filled(connection, world)
        before = everything(connection)
        told = len(list(restatements(connection)))
        now = OPENING + 3 * DAY + hours * HOUR
        count = chunks.count(connection)
        dry = retain(connection, LONG, now, by="test", dry=True)
        assert chunks.count(connection) == count
        done = retain(connection, LONG, now, by="test")
        gone = sum(item.rows for item in done.deletions)
        assert gone == count - chunks.count(connection) == sum(item.rows for item in dry.deletions)
        assert everything(connection) == before
        connection.execute("insert into doubt_due (duty) select duty from duty on conflict do nothing")
        again(connection, OPENING - DAY, OPENING + 9 * DAY)
        assert everything(connection) == before
        assert len(list(restatements(connection))) == told
        assert_consistent(connection)
        # What is left of the time before lies near a duty, or on the spot where a device stood in one.
        line = (now - 48 * HOUR) // HOUR * HOUR
        margin = retention.margin_us(POLICIES) + HOUR
        spans = [
            (item.device_id, duty.start - margin, (duty.end or duty.start) + margin)
            for duty in world.duties
            for item in duty.devices
        ]
        loose = connection.execute(
            "select device_id, fix_us(time) from fix join device using (device) where time < from_us(%s)",
            [line],
        ).fetchall()
        for name, time in loose:
            near = any(device == name and low <= time <= high for device, low, high in spans)
            still = connection.execute(
                "select exists (select from suspect join device using (device) where device_id = %s "
                "and hour = %s)",
                [name, time // HOUR],
            ).fetchone()
            assert near or still == (True,)
        assert retention.verified(connection) == len(done.deletions)


class Dying(psycopg.Connection[tuple[object, ...]]):
    """A connection that is cut at a statement."""

    left = -1

    def execute(self, *args: Any, **others: Any) -> Any:
        """Counts down to the end."""
        self.left -= 1
        if self.left == 0:
            self.close()
            raise psycopg.OperationalError("cut")
        return super().execute(*args, **others)


@many(6)
@given(st.integers(0, 10**6))
def test_later_facts_of_deleted_days_change_nothing(dsn: str, seed: int) -> None:
    """Whatever comes between deletions, some of them cut short: figures are those of all facts taken.

    Before the time up to which facts are gone they stay as they were counted; from it on they are what the
    core counts from all facts, deleted ones among them.
    """
    chance = random.Random(seed)
    world = days_of(seed, days=5, apart=4)
    parts = in_time(world, 9)
    with connect(dsn) as connection:
        empty(connection)
        publish(connection, world)
        ledger = Ledger(connection)
        duties = list(world.duties)
        early = {duty.duty_id for duty in duties if chance.random() < 0.8}
        ledger.bookings([duty for duty in duties if duty.duty_id in early], world.states)
        later = [duty for duty in duties if duty.duty_id not in early]
        taken: set[tuple[str, int]] = set()
        counted = [duty for duty in duties if duty.duty_id in early]
        held_back = []
        frozen: tuple[int, list[Row]] = (-FOREVER, [])
        for number, part in enumerate(parts):
            if number % 3 == 1 and chance.random() < 0.7:
                held_back.append(part)
                continue
            coming = [part]
            if held_back and chance.random() < 0.6:
                coming.append(held_back.pop())
            since = kept(connection).counted_from
            for fixes in coming:
                ledger.positions(fixes)
                taken |= {
                    (fixes.device_ids[device], time)
                    for device, time in zip(fixes.device.tolist(), fixes.time.tolist(), strict=True)
                    if time >= since
                }
            if later and chance.random() < 0.5:
                late = later.pop()
                ledger.bookings([late], [])
                if late.start >= since:
                    counted.append(late)
            if chance.random() < 0.3 and counted:
                revised = chance.choice(counted)
                newer = replace(revised, revision=revised.revision + 1, patch=("N0", "N1"))
                ledger.bookings([newer], [])
                if revised.start >= since:
                    counted[counted.index(revised)] = newer
            chunks.close_due(connection, worth=20)
            now = int(part.time.max())
            if chance.random() < 0.6:
                with Dying.connect(dsn, autocommit=True) as cut_short:
                    assert isinstance(cut_short, Dying)
                    cut_short.execute("set timezone = 'UTC'")
                    cut_short.left = chance.randrange(3, 60)
                    with contextlib.suppress(psycopg.OperationalError):
                        retain(cut_short, SHORT, now, by="test")
            if chance.random() < 0.7:
                retain(connection, SHORT, now, by="test")
            if chance.random() < 0.4 and now + DAY > kept(connection).counted_from:
                again(connection, OPENING - DAY, now + DAY)
            since = kept(connection).counted_from
            assert_consistent(connection)
            _, rows = fine_stored(connection)
            settled = [row for row in rows if int(str(row[2])) <= frozen[0]]
            assert [row for row in frozen[1] if int(str(row[2])) <= frozen[0]] == settled
            frozen = since, rows
            all_facts = replace(
                world,
                fixes=tuple(fix for fix in world.fixes if (fix[0], fix[1]) in taken),
                duties=tuple(counted),
            )
            expected = [row for row in fine_expected(all_facts)[1] if int(str(row[2])) > since]
            begun = {duty.duty_id for duty in counted if duty.start >= since}
            mine = [row for row in rows if row[0] in begun]
            assert mine == [row for row in expected if row[0] in begun]
        assert retention.verified(connection) >= 0
