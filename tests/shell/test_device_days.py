"""What each tracker was seen to do by day, kept live: whatever the order, it is what files say (rule 22)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.core import frames
from stream.core.calendar import day_numbers, rfc3339
from stream.core.events import decode_positions
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.heard_frames import HeardFrame, HeardSpan
from stream.core.policy import Policies, Policy, limits
from stream.core.quality.findings import DEVICE
from stream.core.quality.heard import heard, heard_rows
from stream.files.account import Facts, account
from stream.store import areas, device_days, policies
from stream.store.device_days import examine_due
from stream.store.ledger import Ledger
from stream.store.reading.device_days import SEEN, devices_seen
from stream.store.schema import connect
from tests.shell.stored import empty, migrated, put_in_force
from tests.shifts import force, micros
from tests.strategies import many
from tests.tracker_days import HOUR, Days, some_days

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from stream.core.quality.findings import QualityFinding
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

STRICT = Policy(max_gap_s=240, jump_speed_mps=40)


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "device_days") as dsn, connect(dsn) as opened:
        yield opened


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


def seen(connection: Connection, *times: int, far: bool = False) -> None:
    """A radio reports at some times, from among the areas or from far away."""
    lines = [
        json.dumps(
            {"device_id": "R1", "time": rfc3339(time), "lon": 2.0 if far else -1.16, "lat": 52.61}
        ).encode()
        for time in times
    ]
    Ledger(connection).positions(decode_positions(lines, None, limits=limits(Policies())).fixes)


def test_a_late_position_makes_a_jump_of_the_next_day(connection: Connection) -> None:
    """A position that comes late, just before midnight, decides what the first one after midnight is."""
    empty(connection)
    put_in_force(connection)
    midnight = micros("2026-11-24T00:00:00+00:00")
    seen(connection, midnight, far=True)
    seen(connection, midnight + SECOND)
    examine_due(connection)
    counts = "select day::text, positions, jumps, interval_median_s from device_days order by day"
    assert connection.execute(counts).fetchall() == [("2026-11-24", 2, 0, 1)]
    seen(connection, midnight - SECOND)
    examine_due(connection)
    assert connection.execute(counts).fetchall() == [("2026-11-23", 1, 0, 1), ("2026-11-24", 2, 1, 1)]


def test_what_comes_while_it_is_looked_at_is_looked_at_next(connection: Connection) -> None:
    """A late fact that is committed after the look's snapshot keeps its mark."""
    empty(connection)
    put_in_force(connection)
    noon = micros("2026-11-24T12:00:00+00:00")
    seen(connection, noon, noon + 60 * SECOND)
    examine_due(connection)
    seen(connection, noon + 20 * SECOND)
    with connect(connection.info.dsn) as looking:
        with looking.transaction():
            looking.execute("set transaction isolation level repeatable read")
            assert looking.execute("select count(*) from device_due").fetchone() == (1,)
            seen(connection, noon + 40 * SECOND)
            device_days.examine_some(looking)
        assert connection.execute("select positions from device_days").fetchone() == (3,)
        assert examine_due(looking) == 1
    assert connection.execute("select positions from device_days").fetchone() == (4,)


def test_a_device_that_waits_for_a_look_is_not_called_silent(connection: Connection) -> None:
    """Positions that nobody has looked at yet are no silence: before the first look, and after later ones."""
    empty(connection)
    put_in_force(connection)
    noon = micros("2026-11-24T12:00:00+00:00")
    [day] = day_numbers(np.array([noon], np.int64)).tolist()
    booked = Duty("D1", 1, "O1", noon, noon + 8 * HOUR, (), (Allocation("R1", "radio"),))
    Ledger(connection).bookings([booked], [])

    def silent(now: int) -> tuple[bool, list[int | None]]:
        page = devices_seen(connection, day, now, Policies())
        return "R1" in page.waiting, [row.us for row in page.findings.rows() if row.finding == "silent"]

    assert silent(noon + HOUR) == (False, [HOUR])  # nothing was heard, and nothing waits
    for start in (noon, noon + HOUR):
        seen(connection, *range(start, start + HOUR, 60 * SECOND))
        assert silent(start + HOUR) == (True, [])
        examine_due(connection)
        assert silent(start + HOUR) == (False, [])
    assert silent(noon + 3 * HOUR) == (False, [HOUR + 60 * SECOND])


def test_a_look_that_fails_takes_nothing_away(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended within a look, the days are still due, and nothing of it is kept."""
    empty(connection)
    put_in_force(connection)
    noon = micros("2026-11-24T12:00:00+00:00")
    seen(connection, noon, noon + 60 * SECOND)

    def broken(*_: object) -> None:
        raise RuntimeError("the power goes")

    with monkeypatch.context() as patch:
        patch.setattr(device_days, "device_days", broken)
        with pytest.raises(RuntimeError, match="the power goes"):
            examine_due(connection)
    assert connection.execute("select count(*) from device_days").fetchone() == (0,)
    assert examine_due(connection) == 1
    assert connection.execute("select positions from device_days").fetchone() == (2,)


def test_a_day_of_a_device_is_small(connection: Connection) -> None:
    """A device that reports twice a minute, with a dozen silences, takes less than half a kilobyte."""
    empty(connection)
    put_in_force(connection)
    start = micros("2026-11-01T00:00:00+00:00")
    steps = [at for at in range(0, 86_400, 30) if at % 7_200 > 900]
    days = 20
    seen(connection, *(start + (day * 86_400 + at) * SECOND for day in range(days) for at in steps))
    assert examine_due(connection) >= days
    [(rows, size)] = connection.execute(
        "select count(*), sum(pg_column_size(d.*)) from device_day d"
    ).fetchall()
    assert size / rows < 500
