"""Doubts in a real database: whatever the order of the facts, they are what the core finds in all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import AreaSet, Kind
from stream.core.calendar import microseconds
from stream.core.facts import Duty
from stream.core.quality.elsewhere import all_far
from stream.core.shares import doubt_totals, shares
from stream.core.stays import take
from stream.files.account import figures
from stream.files.sheets import CountedAccount, sheets
from stream.store import areas, doubts
from stream.store.doubts import LONG, judge_due, mark_sharing
from stream.store.ledger import Ledger
from stream.store.reading.exports import derived
from stream.store.schema import connect
from tests.doubtful_worlds import (
    HOUR,
    MINUTE,
    OPENING,
    POLICIES,
    TOWN,
    Counted,
    circle,
    duty,
    moving,
    standing,
    two_days,
)
from tests.shell.stored import empty, migrated
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.core.facts import Fixes
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "doubts") as dsn, connect(dsn) as opened:
        yield opened


Row = tuple[str, int, int, str, str, str]


def stored(connection: Connection) -> list[Row]:
    """The doubts as SQL shows them."""
    return sorted(
        (str(duty_id), microseconds(start), microseconds(end), str(kind), str(device_id), str(other))
        for duty_id, start, end, kind, device_id, other in connection.execute(
            "select duty_id, start_at, end_at, kind, device_id, other_id from doubts"
        ).fetchall()
    )


def expected(world: Counted) -> list[Row]:
    """The doubts as the core finds them in all facts at once."""
    return sorted(
        (row.duty_id, row.start, row.end, row.kind, row.device_id, row.other_id) for row in world.rows()
    )


def publish(connection: Connection) -> None:
    """An empty database with the town in it."""
    empty(connection)
    for kind in Kind:
        areas.publish(connection, AreaSet.of(TOWN), kind, 0, file="test", sha256="", by="test")


def amended(first: Duty, how: int) -> Duty:
    """A revision after which none of a duty counts, or other hours do."""
    end = first.start + 30 * HOUR if how == 1 else first.end
    start = first.start + (5 * 24 * HOUR if how == 2 else 0)
    end = end if how < 2 else start + 8 * HOUR
    return replace(first, revision=2, start=start, end=end, cancelled=how == 0)


@many(8)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(2, 9))
def test_doubts_do_not_depend_on_order_batches_or_on_when_they_are_judged(
    connection: Connection, seed: int, parts: int
) -> None:
    """Facts in any order and batches, bookings revised, judged now and then: what the core finds in all."""
    publish(connection)
    ledger = Ledger(connection)
    random = Random(seed)
    reports, booked = two_days(random)
    booked += [amended(item, random.randrange(3)) for item in random.sample(booked, random.choice([0, 1, 2]))]
    world = Counted(reports, booked)
    rows = list(range(len(world.fixes)))
    if random.random() < 0.5:
        rows.sort(key=lambda row: int(world.fixes.time[row]))
        rows = [
            row for part in np.array_split(rows, parts) for row in random.sample(part.tolist(), len(part))
        ]
    else:
        random.shuffle(rows)
    batches = np.array_split(np.array(rows, np.int64), parts)
    work: list[Fixes | Duty] = [take(world.fixes, part) for part in batches]
    for item in booked:
        work.insert(random.randrange(len(work) + 1), item)
    first = random.choice(booked)
    wrong = duty(first.duty_id, first.officer_id, first.start + HOUR, first.end, "R2", "V2", patch=("B",))
    work.insert(0, replace(wrong, revision=0))
    for fact in work:
        if isinstance(fact, Duty):
            ledger.bookings([fact], [])
        else:
            ledger.positions(fact)
        if random.random() < 0.3:
            judge_due(connection)
    with patch.object(doubts, "MOST_HOURS", random.choice([0.01, 20, doubts.MOST_HOURS])):
        judge_due(connection)
    assert stored(connection) == expected(world)
    assert connection.execute("select count(*) from doubt_due").fetchone() == (0,)
    assert judge_due(connection) == 0


def test_the_random_days_hold_every_kind_of_doubt() -> None:
    """The worlds above hold what they are made for: each kind, and doubts over a change of hands."""
    kinds: set[str] = set()
    over = 0
    for seed in range(12):
        world = Counted(*two_days(Random(seed)))
        rows = world.rows()
        kinds |= {row.kind for row in rows}
        ends = {(row.device_id, row.end) for row in rows if row.kind == "frozen"}
        over += len({(row.device_id, row.start) for row in rows if row.kind == "frozen"} & ends)
    assert kinds == {"two_devices", "frozen", "shared_radio", "apart"}
    assert over > 0


@pytest.mark.parametrize("how", range(3))
def test_a_doubt_ends_with_the_duty_that_was_its_reason(connection: Connection, how: int) -> None:
    """A car is frozen for its next officer too while its first walks elsewhere: not without the first."""
    publish(connection)
    reports = standing("V1", (1050.0, 1050.0), OPENING, OPENING + 7 * HOUR, step=5 * MINUTE)
    reports += moving("R1", OPENING, OPENING + 2 * HOUR, circle((4500.0, 1500.0), 300, 1.4), step=2 * MINUTE)
    first = duty("D1", "O1", OPENING, OPENING + 2 * HOUR, "R1", "V1")
    later = duty("D2", "O2", OPENING + 3 * HOUR, OPENING + 7 * HOUR, "V1")
    ledger = Ledger(connection)
    ledger.positions(Counted(reports, []).fixes)
    ledger.bookings([first, later], [])
    judge_due(connection)
    assert {row[0] for row in stored(connection) if row[3] == "frozen"} == {"D2"}
    ledger.bookings([changed := amended(first, how)], [])
    judge_due(connection)
    assert stored(connection) == expected(Counted(reports, [first, later, changed]))
    assert not [row for row in stored(connection) if row[0] == "D2"]


def test_duties_that_share_a_device_are_marked(connection: Connection) -> None:
    """Marked are all duties that hold one of the devices within two days of the duties, the edges included.

    Without devices or without duties none is.
    """
    publish(connection)
    long = LONG // HOUR
    spans = ((-1, 0, "R1"), (long, long + 1, "R1"), (long, long + 2, "R2"), (2 * long + 2, None, "R1"))
    booked = [
        duty(
            f"D{number}",
            f"O{number}",
            OPENING + start * HOUR,
            None if end is None else OPENING + end * HOUR,
            device,
        )
        for number, (start, end, device) in enumerate(spans)
    ]
    Ledger(connection).bookings(booked, [])
    keys: dict[str, int] = dict(connection.execute("select device_id, device from device").fetchall())
    for devices, chosen, marked in (
        (["R1"], [booked[1]], {"D0", "D1"}),
        (["R1", "R2"], [booked[1]], {"D0", "D1", "D2"}),
        (["R1"], [booked[2]], {"D0", "D1", "D3"}),
        (["R2"], [booked[0]], {"D2"}),
        (["R1"], [booked[3]], {"D3"}),
        ([], [booked[1]], set()),
        (["R1"], [], set()),
    ):
        connection.execute("delete from doubt_due")
        mark_sharing(connection, [keys[name] for name in devices], chosen)
        found = connection.execute("select duty_id from doubt_due join duty using (duty)").fetchall()
        assert {name for (name,) in found} == marked


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_doubtful_time_are_the_cores(connection: Connection, seed: int) -> None:
    """``doubtful_times`` of any period gives the microseconds that the core gives, by duty."""
    publish(connection)
    reports, booked = two_days(Random(seed))
    world = Counted(reports, booked)
    ledger = Ledger(connection)
    ledger.bookings(booked, [])
    ledger.positions(world.fixes)
    assert judge_due(connection) == len(booked)
    for start, end in ((OPENING, OPENING + 48 * HOUR), (OPENING + 3 * HOUR + 1, OPENING + 11 * HOUR)):
        table = doubt_totals(world.slices, world.doubts, world.duties, world.history.places, start, end)
        want = {
            item.duty_id: tuple(row)
            for item, row in zip(world.duties, table.tolist(), strict=True)
            if any(row)
        }
        have = {
            str(name): tuple(int(str(value)) for value in row)
            for name, *row in connection.execute(
                "select duty_id, doubtful, doubtful_on, doubtful_off "
                "from doubtful_times(from_us(%s), from_us(%s)) join duty using (duty)",
                [start, end],
            ).fetchall()
        }
        assert have == want
    assert any(row[0] for row in table.tolist())


@pytest.mark.parametrize("seed", range(2))
def test_the_files_from_the_database_are_those_from_files(connection: Connection, seed: int) -> None:
    """Tables of ``patrol export`` are those of ``patrol account``, and SQL agrees, doubtful time too."""
    publish(connection)
    reports, booked = two_days(Random(seed))
    world = Counted(reports, booked)
    ledger = Ledger(connection)
    ledger.bookings(booked, [])
    ledger.positions(world.fixes)
    judge_due(connection)
    found = derived(connection)
    until = OPENING + 48 * HOUR
    counted = sheets(
        CountedAccount(
            world.stays,
            world.slices,
            world.fixes.device_ids,
            world.duties,
            world.history.places,
            world.history.versions,
            figures(
                world.slices,
                world.duties,
                world.history.places,
                "day",
                until,
                world.doubts,
                far=partial(all_far, (world.fixes.time, world.fixes.lon, world.fixes.lat)),
                versions=world.history.versions,
            ),
            until,
            world.doubts,
        ),
        POLICIES,
    )
    exported = sheets(
        CountedAccount(
            found.stays,
            found.slices,
            found.device_ids,
            found.duties,
            found.places,
            found.versions,
            figures(
                found.slices,
                found.duties,
                found.places,
                "day",
                until,
                found.doubts,
                far=partial(all_far, found.nowhere),
                versions=found.versions,
            ),
            until,
            found.doubts,
        ),
        POLICIES,
    )
    assert exported.keys() == counted.keys()
    for name, table in counted.items():
        assert exported[name].to_pylist() == table.to_pylist(), name
    assert counted["doubts"].num_rows > 0
    views = connection.execute(
        "select scope, id, share_low, share_high, verdict, doubtful_s from shares(from_us(%s), from_us(%s))",
        [OPENING, until],
    ).fetchall()
    whole = [
        item
        for item in shares(
            world.slices, world.duties, world.history.places, OPENING, until, doubts=world.doubts
        )
        if item.share is not None
    ]
    said = {(str(scope), str(name)): row for scope, name, *row in views}
    for item in whole:
        low, high, verdict, doubtful = said[item.scope, item.id]
        assert (low, high, verdict) == (item.share_low, item.share_high, item.verdict(0.8)), item.id
        assert float(str(doubtful)) == item.doubtful / 1e6
    assert any(item.doubtful for item in whole)
