"""What each tracker was seen to do by day, kept live: whatever the order, it is what files say (rule 22)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.core import frames
from stream.core.calendar import day_bounds, day_numbers, local_day, rfc3339
from stream.core.events import decode_positions
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.heard_frames import HeardFrame, HeardSpan
from stream.core.policy import Policies, Policy, limits
from stream.core.quality.findings import DEVICE
from stream.core.quality.heard import heard, heard_rows
from stream.files.account import Facts, account
from stream.store import areas, policies
from stream.store.device_days import examine_due
from stream.store.ledger import Ledger
from stream.store.reading.device_days import SEEN, devices_seen
from stream.store.schema import connect
from tests.shell.stored import empty, migrated, put_in_force
from tests.shifts import STARTS, force, micros
from tests.strategies import many

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from stream.core.quality.findings import QualityFinding
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

HOUR = 3600 * SECOND
DAYS = 4
STEPS = (1.0, 0.25, 30.0, 60.0, 240.5, 299.0, 300.0, 300.000001, 301.0, 900.0, 3 * 3600, 11 * 3600, 26 * 3600)
"""Seconds between the reports of a device: steady, at the limit of a silence, in a drawer for a day."""
STRICT = Policy(max_gap_s=240, jump_speed_mps=40)


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "device_days") as dsn, connect(dsn) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Days:
    """Some days of a few trackers: reports as lines in the order in which they come, and bookings."""

    start: int
    lines: tuple[bytes, ...]
    received: tuple[int, ...]
    duties: tuple[Duty, ...]

    @property
    def until(self) -> int:
        """When all is over."""
        return self.start + (DAYS + 2) * 24 * HOUR


def some_days(chance: random.Random) -> Days:
    """Reports at any intervals, far off, faster than anybody drives, twice, better, unusable, late, shuffled.

    A vehicle is booked around the clock, duties overlap, one is open, one was cancelled; one device is
    booked and never heard.
    """
    start = micros(f"{chance.choice(STARTS)}+00:00")
    events: list[dict[str, Any]] = []
    for name in ("R1", "R2", "V1", "spare"):
        evening = day_bounds(local_day(start))[1] - chance.randrange(1, 9) * SECOND
        time = chance.choice([start + chance.randrange(26 * HOUR), evening])
        steps = chance.sample(STEPS, chance.randint(1, 4))
        for _ in range(chance.randint(0, 40)):
            if time >= start + DAYS * 24 * HOUR:
                break
            spot = chance.choice([0.0] * 8 + [0.3, 3.0])
            event = {
                "device_id": name,
                "time": rfc3339(time),
                "lon": -1.16 + spot + chance.uniform(-0.001, 0.001),
                "lat": 52.61,
                "error_m": chance.choice([None, 5.0, 900.0] if chance.random() < 0.1 else [8.0]),
            }
            events.append(event)
            if chance.random() < 0.1:  # the same moment, told twice, once perhaps better
                events.append({**event, "error_m": 1.0, "lon": chance.choice([-1.16, 2.0])})
            time += int(chance.choice(steps) * SECOND)
    if chance.random() < 0.8:
        chance.shuffle(events)
    lines = tuple(json.dumps(event).encode() for event in events)
    received = tuple(micros(event["time"]) + chance.choice([1, 40, 5_000]) * SECOND for event in events)
    booked = [
        Duty("round", 1, "O1", start - 48 * HOUR, start + 60 * HOUR, (), (Allocation("V1", "vehicle"),)),
        Duty("clock", 1, "O2", start + 60 * HOUR, start + 144 * HOUR, (), (Allocation("V1", "vehicle"),)),
    ]
    for number in range(chance.randint(1, 5)):
        begins = start + chance.randrange(DAYS * 24) * HOUR // 2
        ends = None if chance.random() < 0.2 else begins + chance.choice([120 * SECOND, 8 * HOUR, 30 * HOUR])
        held = [
            Allocation(name, "vehicle" if name == "V1" else "radio", None, None)
            for name in chance.sample(["R1", "R2", "V1", "never"], 2)
        ]
        booked.append(Duty(f"D{number}", 1, f"O{number % 3}", begins, ends, ("E05001784",), tuple(held)))
        if chance.random() < 0.3:
            booked.append(
                replace(booked[-1], revision=2, cancelled=chance.random() < 0.5, devices=(held[0],))
            )
    return Days(start, lines, received, tuple(booked))


def elsewhere() -> AreaSet:
    """Another neighbourhood, a way off, in force long after all is over: it makes the force's box larger."""
    return AreaSet.of([Area(Kind.NEIGHBOURHOOD, "new", "New", shapely.box(-0.9, 52.6, -0.8, 52.7))])


def files_say(found: Days, wanted: Policies, *, grown: bool) -> list[QualityFinding]:
    """What the account of the same facts says of devices by day."""
    decoded = decode_positions(
        list(found.lines), np.array(found.received, np.int64), limits=limits(Policies())
    )
    later = ((found.until + 30 * 24 * HOUR, elsewhere()),) if grown else ()
    facts = Facts(
        force(), frames.join([decoded.fixes]), list(found.duties), [], {}, later, heard(decoded.judged)
    )
    rows = account(facts, wanted, until=found.until).quality.rows(*SEEN)
    return [row for row in rows if row.scope == DEVICE]


def kept(connection: Connection, found: Days, wanted: Policies) -> list[QualityFinding]:
    """What the database says of every day of them, in pages of any size."""
    first, last = day_numbers(np.array([found.start - 72 * HOUR, found.until], np.int64)).tolist()
    rows = []
    for day in range(first, last + 1):
        after, more = "", True
        while more:
            page = devices_seen(connection, day, found.until, wanted, after=after, limit=2)
            rows += page.findings.rows()
            more, after = page.more, page.last
    return sorted(rows, key=order)


def order(row: QualityFinding) -> tuple[object, ...]:
    """Rows in one order."""
    return (row.id, row.day, row.finding, row.detail)


def take_in(connection: Connection, ledger: Ledger, found: Days, low: int, high: int) -> None:
    """Counts some of the reports, as ingest and worker do it."""
    lines = list(found.lines[low:high])
    decoded = decode_positions(lines, np.array(found.received[low:high], np.int64), limits=limits(Policies()))
    ledger.positions(decoded.fixes)
    span = HeardSpan("radio.positions", 0, "one life", low, high, len(decoded.judged))
    ledger.heard([HeardFrame((span,), low + decoded.judged_index, heard_rows(decoded.judged))])


@many(40)
@given(chance=st.randoms(use_true_random=False))
def test_what_is_kept_is_what_files_say(connection: Connection, chance: random.Random) -> None:
    """Whatever order, batches and looks between: by device and day the database says what files say.

    Boundaries that are published and policies that are loaded while facts come change nothing of that.
    """
    empty(connection)
    put_in_force(connection)
    areas.publish(connection, force(), Kind.NEIGHBOURHOOD, 0, file="test", sha256="", by="test")
    found, ledger = some_days(chance), Ledger(connection)
    cuts = sorted(chance.choices(range(len(found.lines) + 1), k=chance.randint(0, 6)))
    work = list(zip([0, *cuts], [*cuts, len(found.lines)], strict=True))
    booking, publishing, loading = (chance.randrange(len(work) + extra) for extra in (0, 5, 9))
    for number, (low, high) in enumerate(work):
        if number == booking:
            ledger.bookings(found.duties, ())
        if number == publishing:
            late = found.until + 30 * 24 * HOUR
            areas.publish(
                connection, elsewhere(), Kind.NEIGHBOURHOOD, late, file="test", sha256="", by="test"
            )
        if number == loading:
            since = found.start + chance.choice([-99, 5, 30, 31, 500]) * HOUR
            policies.load(connection, Policies((-(2**62),), (STRICT,)), since, by="test", why="test")
        take_in(connection, ledger, found, low, high)
        if chance.random() < 0.5:
            examine_due(connection, chance.choice([None, 1]))
    examine_due(connection)
    assert examine_due(connection) == 0
    wanted = policies.in_force(connection)
    # Slices counted before a policy was loaded for their time stay until they are recomputed.
    stale = {"decided"} if loading < len(work) else set()
    told = [row for row in files_say(found, wanted, grown=publishing < len(work)) if row.finding not in stale]
    rows = [row for row in kept(connection, found, wanted) if row.finding not in stale]
    assert [row for row in rows if row not in told] == []
    assert [row for row in told if row not in rows] == []
    assert len(rows) == len(told)
