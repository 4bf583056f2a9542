"""What grows with the years: the same work at 1, 30, 90 and 365 days of one force's facts.

A simulated day is counted by the ledger and packed; the days before it are copies, moved back and put into
the tables by SQL: facts, stays, bookings, states and slices, as a pipeline would have left them, constraints
and indexes in force. Half of the day after comes through the ledger, so that duties run. Then, each time from
the same state, for what it writes is rolled back: a live batch (five seconds of the force), the live page
(everything that a new page reads), the track of a duty ten days old, the week of a neighbourhood two weeks
ago, and a recompute of a day ten days old, its plan with it. The best of several rounds, wall clock, the
database on the same machine. ``worst`` is the largest growth from the second size to the last. The last line
is for programs: ``growth: worst=1.18``.

``make bench ARGS="growth --officers 10 --hours 1 --days 1,5,10,20"`` for another size.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stream.core import calendar
from stream.core.calendar import Period, week_bounds, week_name
from stream.core.policy import Policies
from stream.core.stays import take
from stream.embedded import EmbeddedDatabase
from stream.simulate import demo_force, simulate
from stream.store import areas, chunks, recompute
from stream.store.chunks import DAY, HOUR
from stream.store.ledger import Ledger
from stream.store.reading.duty_track import read_duty
from stream.store.reading.screen import Reader
from stream.store.reading.summaries import summaries
from stream.store.schema import connect, migrate
from tests.bench import Row, show
from tests.bench.bench_core import SEED, fixes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stream.core.facts import Duty, Fixes, StateReport
    from stream.simulate import Simulation
    from stream.store.schema import Connection

START = 1_794_812_400_000_000 // DAY * DAY + 7 * HOUR
ROUNDS = 7
LIVE_US = 5_000_000
BATCH = 20_000

TEMPLATES = (
    "create table day_chunk as select * from fix_chunk",
    "create table day_stay as select * from stays",
    "create table day_duty as select * from duty",
    "create table day_allocation as select * from allocation",
    "create table day_state as select * from state",
    "create table day_slice as select * from slice",
    "create table day_slice_end as select * from slice_end",
)
"""The day that is copied, as it stands when it is over."""

COPIES = (
    """
    insert into fix_chunk select device, at - d * {day}, n, data from day_chunk, {days}
    order by d desc, at, device
    """,
    """
    insert into stay select device, start_at - {back}, end_at - {back}, place from day_stay, {days}
    order by d desc, start_at
    """,
    # Between two days nobody knows where a device is.
    """
    insert into stay select device, max(end_at) - {back}, min(start_at) + interval '24 h' - {back}, null
    from day_stay, {days} group by device, d
    """,
    """
    insert into duty overriding system value
    select duty + d * {keys}, duty_id || '-' || d, officer, revision, start_at - {back}, end_at - {back},
           patch, cancelled, name, role, team
    from day_duty, {days}
    """,
    """
    insert into allocation
    select duty + d * {keys}, position, device, kind, start_at - {back}, end_at - {back}
    from day_allocation, {days}
    """,
    "insert into state select officer, time - {back}, state from day_state, {days}",
    """
    insert into slice
    select duty + d * {keys}, officer, start_at - {back}, end_at - {back}, activity, state, place, device
    from day_slice, {days} order by d desc, start_at
    """,
    """
    insert into slice_end
    select duty + d * {keys}, coalesce((
               select array_agg(case when (i - 1) % 6 < 2 then v - d * {day} else v end order by i)
               from unnest(slices) with ordinality u (v, i)), '{{}}'),
           closed - d * {day}, settled
    from day_slice_end, {days}
    """,
)


@dataclass(frozen=True, slots=True, eq=False)
class Town:
    """A database with a day that is over, and half of the next.

    Attributes:
        live: the next few seconds of all devices, not counted yet.
        duties: of the day that is over.
        keys: more than any of their keys.
    """

    connection: Connection
    ledger: Ledger
    live: Fixes
    duties: Sequence[Duty]
    keys: int


def town(connection: Connection, simulation: Simulation) -> Town:
    """Makes schema and boundaries, and counts the day and half of the next."""
    migrate(connection)
    for kind in sorted(set(simulation.force.kind)):
        areas.publish(connection, simulation.force, kind, 0, file="bench", sha256="", by="bench")
    ledger = Ledger(connection)
    fixes = fixes_of(simulation)
    fixes = take(fixes, np.argsort(fixes.time, kind="stable"))
    _count(ledger, fixes, simulation.duties, simulation.states)
    chunks.close_due(connection, worth=1, late=-HOUR)
    [(keys,)] = connection.execute("select max(duty) * 2 + 1 from duty").fetchall()
    connection.execute(f"alter table duty alter duty restart with {1000 * keys}".encode())
    for statement in TEMPLATES:
        connection.execute(statement.encode())
    later = replace(fixes, time=fixes.time + DAY)
    middle = int(np.median(later.time))
    _count(
        ledger,
        take(later, later.time < middle),
        [_moved(duty) for duty in simulation.duties],
        [replace(state, time=state.time + DAY) for state in simulation.states],
    )
    chunks.close_due(connection, worth=1)
    live = take(later, (later.time >= middle) & (later.time < middle + LIVE_US))
    return Town(connection, ledger, live, simulation.duties, int(keys))


def _count(ledger: Ledger, fixes: Fixes, duties: Sequence[Duty], states: Sequence[StateReport]) -> None:
    ledger.bookings(duties, states)
    for part in np.array_split(np.arange(len(fixes)), len(fixes) // BATCH + 1):
        ledger.positions(take(fixes, part))


def _moved(duty: Duty) -> Duty:
    """The same duty a day later."""

    def later(moment: int | None) -> int | None:
        return None if moment is None else moment + DAY

    return replace(
        duty,
        duty_id=f"{duty.duty_id}-later",
        start=duty.start + DAY,
        end=later(duty.end),
        devices=tuple(replace(item, start=later(item.start), end=later(item.end)) for item in duty.devices),
    )


def fill(found: Town, first: int, last: int) -> None:
    """Puts the days into the tables that are so many days before the one that is over, both ends included."""
    connection = found.connection
    with connection.transaction():
        for day in range(first, last + 1):
            begins = START // DAY * DAY - day * DAY
            if not chunks._make_partition(connection, begins):
                raise AssertionError("somebody else reads in this database")
        words = {
            "day": DAY,
            "keys": found.keys,
            "days": f"generate_series({first}, {last}) d",
            "back": "d * interval '24 h'",
        }
        for statement in COPIES:
            connection.execute(statement.format(**words).encode())
    connection.execute("vacuum analyze")


def works(found: Town, days: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name; there are so many days of facts."""
    connection, policies = found.connection, Policies()
    now = int(found.live.time.max())
    ago, weeks = (10, 2) if days >= 21 else (0, 0)
    duty = found.duties[0]
    name = duty.duty_id if not ago else f"{duty.duty_id}-{ago}"
    period = week_name(calendar.local_day(START - weeks * 7 * DAY))
    week = Period("week", period, *week_bounds(period))
    ward = next(duty.patch[0] for duty in found.duties if duty.patch)
    day = START // DAY * DAY - ago * DAY

    def page() -> None:
        reader = Reader()
        reader.picture(connection, "events", now)
        reader.tracks(connection, now)

    def again() -> None:
        ledger = Ledger(connection)
        for part in recompute.plan(connection, day, day + DAY):
            recompute.count(ledger, part, now)

    return {
        "live batch": lambda: found.ledger.positions(found.live),
        "live page": page,
        "a duty's track": lambda: read_duty(connection, duty.officer_id, name, now, policies),
        "a neighbourhood's week": lambda: list(
            summaries(connection, policies, week, area_ids=[ward], now=now)
        ),
        "a day recomputed": again,
    }


def _best(connection: Connection, work: Callable[[], object], *, writes: bool) -> float:
    """Seconds of the quickest round; what is written is rolled back."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        if writes:
            with connection.transaction(force_rollback=True):
                work()
                best = min(best, time.perf_counter() - began)
        else:
            work()
            best = min(best, time.perf_counter() - began)
    return best


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures."""
    parser = argparse.ArgumentParser(prog="growth")
    parser.add_argument("--officers", type=int, default=100)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two reports")
    parser.add_argument("--days", default="1,30,90,365", help="of facts, rising")
    given = parser.parse_args(list(options))
    sizes = [int(size) for size in given.days.split(",")]
    simulation = simulate(
        demo_force(SEED),
        officers=given.officers,
        start=START,
        hours=given.hours,
        interval_s=given.interval,
        seed=SEED,
    )
    took: dict[str, list[float]] = {}
    rows = []
    with EmbeddedDatabase() as server, connect(server.dsn) as connection:
        found = town(connection, simulation)
        filled = 0
        for size in sizes:
            if size - 1 > filled:
                fill(found, filled + 1, size - 1)
                filled = size - 1
            for name, work in works(found, size).items():
                writes = name in ("live batch", "a day recomputed")
                took.setdefault(name, []).append(_best(connection, work, writes=writes))
                rows.append(Row(f"{name}, {size} days", took[name][-1] * 1000, "ms"))
        count = chunks.count(connection)
    grown = {name: seconds[-1] / seconds[min(1, len(seconds) - 1)] for name, seconds in took.items()}
    span = f"from {sizes[min(1, len(sizes) - 1)]} to {sizes[-1]} days"
    return [
        Row("stored fixes at last", count, "fixes", f"{given.officers} officers, {given.hours:g} h a day"),
        *rows,
        *(Row(f"{name} grew", growth, "×", span) for name, growth in grown.items()),
        Row(line=f"growth: worst={max(grown.values()):.2f}"),
    ]


if __name__ == "__main__":
    print(show(run(sys.argv[1:])))
