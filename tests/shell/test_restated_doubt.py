"""Restatements with what is doubtful (rules 20 and 21): what is on record before and after is what was so."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import AreaSet
from stream.core import calendar
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.shares import FORCE
from stream.core.stays import take
from stream.store import policies, recompute
from stream.store.doubts import judge_due
from stream.store.ledger import Ledger
from stream.store.publications import publish
from stream.store.records import restatements, times
from stream.store.schema import connect
from stream.store.week_figures import week_figures
from tests.doubtful_worlds import (
    HOUR,
    MINUTE,
    OPENING,
    PATCH_A,
    PATCH_B,
    STATION,
    TOWN,
    Counted,
    duty,
    ground,
    moving,
    standing,
    two_days,
)
from tests.shell.stored import empty, migrated, put_in_force
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.core.shares import Figures
    from stream.embedded import EmbeddedDatabase
    from stream.store.records import Restated
    from stream.store.schema import Connection
    from stream.store.settled import Recomputed
    from stream.store.week_figures import WeekFigures

MOVED = (
    replace(PATCH_A, geometry=ground(0, 0, 1600, 3000)),
    replace(PATCH_B, geometry=ground(1600, 0, 4400, 3000)),
    STATION,
)
"""The town with another border: what was on patch is not, and doubtful time of the one sort is of another."""

UNTIL = OPENING + 48 * HOUR

Sums = dict[tuple[str, str, str], tuple[list[int], list[int]]]
"""Sums before and after, by week, scope and id."""


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "restated_doubt") as dsn, connect(dsn) as opened:
        yield opened


def town(connection: Connection) -> None:
    """An empty database with the town in it, and the usual policy."""
    connection.execute("truncate recomputed")
    empty(connection)
    put_in_force(connection)
    release(connection, TOWN, BEGINNING)


def release(connection: Connection, areas: tuple[object, ...], start: int, *, dry: bool = False) -> object:
    """Publishes boundaries; gives what that restated."""
    found = AreaSet.of(areas)  # type: ignore[arg-type]
    return publish(
        connection,
        found,
        max(start, 0),
        file="test",
        sha256="",
        by="tester",
        why="a test",
        now=UNTIL,
        dry_run=dry,
    ).restated


def counted(connection: Connection, world: Counted, random: Random) -> None:
    """The facts through the ledger in some order and batches, judged in between or not."""
    ledger = Ledger(connection)
    rows = list(range(len(world.reports)))
    random.shuffle(rows)
    ledger.bookings(world.booked[: len(world.booked) // 2], [])
    for part in np.array_split(np.array(rows, np.int64), 3):
        ledger.positions(take(world.fixes, part))
        if random.random() < 0.5:
            judge_due(connection)
    ledger.bookings(world.booked, [])


def weeks(world: Counted) -> dict[tuple[str, str, str], Figures]:
    """The core's figures of each week, doubtful time with them."""
    found = {}
    for start, end in calendar.weeks(OPENING, UNTIL):
        week = calendar.week_name(calendar.local_day(start))
        for (scope, name), item in world.figures(start, end).items():
            found[week, scope, name] = item
    return found


def changed(before: WeekFigures, after: WeekFigures) -> Sums:
    """Sums before and after of the figures that differ."""
    return {
        key: (times(item), times(after[key]))
        for key, item in before.items()
        if times(item) != times(after[key])
    }


def said(restated: object) -> Sums:
    """The same of a restatement."""
    rows: tuple[Restated, ...] = restated  # type: ignore[assignment]
    found = {}
    for item in rows:
        assert item.before is not None
        assert item.after is not None
        found[item.week, item.scope, item.id] = times(item.before), times(item.after)
    return found


# ── boundaries ────────────────────────────────────────────────────────────────────────────────────────────


@many(4)
@given(seed=st.integers(0, 2**32 - 1))
def test_new_boundaries_restate_doubtful_time_with_the_figures(connection: Connection, seed: int) -> None:
    """Before and after have the doubtful time that the core finds under either border, judged before or not;
    a dry run says the same and leaves everything as it was.
    """
    random = Random(seed)
    reports, booked = two_days(random)
    old, new = Counted(reports, booked), Counted(reports, booked, areas=MOVED)
    town(connection)
    counted(connection, old, random)
    want = changed(weeks(old), weeks(new))
    tried = said(release(connection, MOVED, BEGINNING, dry=True))
    assert tried == want
    judge_due(connection)
    assert week_figures(connection, OPENING, UNTIL) == weeks(old)
    assert said(release(connection, MOVED, BEGINNING)) == want
    assert week_figures(connection, OPENING, UNTIL) == weeks(new)
    assert judge_due(connection) == 0  # what the recount marked was judged with it
    assert said(restatements(connection)[-1].restated) == want


def test_the_worlds_have_doubt_that_a_border_moves() -> None:
    """In some of them a border moves doubtful time from one side of the bounds to the other."""
    moved = 0
    for seed in range(6):
        reports, booked = two_days(Random(seed))
        before, after = weeks(Counted(reports, booked)), weeks(Counted(reports, booked, areas=MOVED))
        moved += any(item.only_doubtful_on != after[key].only_doubtful_on for key, item in before.items())
    assert moved > 2


# ── counting again ────────────────────────────────────────────────────────────────────────────────────────


def again(connection: Connection, parts: int | None = None) -> tuple[Recomputed, ...]:
    """Everything counted again; with ``parts``, it is killed after so many of them."""
    period = OPENING - HOUR, UNTIL
    recompute.hold(connection)
    edition = policies.edition(connection)
    plan = recompute.plan(connection, *period)
    recompute.begin(connection, plan, UNTIL)
    for part in plan[:parts]:
        recompute.count(Ledger(connection), part, UNTIL)
        judge_due(connection)  # the worker goes on with its own
    if parts is not None:
        assert len(plan) > parts
        return ()
    return recompute.conclude(connection, period, UNTIL, by="tester", why="a test", edition=edition)


@pytest.mark.parametrize("killed", [None, 1, 3])
@pytest.mark.parametrize("seed", range(2))
def test_counting_again_restates_doubtful_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, seed: int, killed: int | None
) -> None:
    """Slices and doubts altered behind the program's back, and the recount killed or not: the restatement
    leads from what the tables said to what the core finds, and a second one finds nothing.
    """
    monkeypatch.setattr(recompute, "PART_FIXES", 1)
    random = Random(seed)
    world = Counted(*two_days(random))
    town(connection)
    counted(connection, world, random)
    judge_due(connection)
    right = weeks(world)
    assert week_figures(connection, OPENING, UNTIL) == right
    connection.execute("update slice set activity = 4 where activity = 3 and duty % 3 = 0")
    connection.execute("delete from doubtful where duty % 2 = 0")
    wrong = week_figures(connection, OPENING, UNTIL)
    assert changed(wrong, right)
    if killed is not None:
        assert again(connection, killed) == ()
    [outcome] = again(connection)
    assert said(outcome.restated) == changed(wrong, right)
    assert week_figures(connection, OPENING, UNTIL) == right
    assert connection.execute("select count(*) from recomputed").fetchone() == (0,)
    assert again(connection) == ()


def test_what_only_a_doubt_changes_is_restated(connection: Connection) -> None:
    """A policy by which a shorter stop is a frozen receiver: counted again, no sum moves and the bounds do,
    and the restatement says so under the policy's name, with the verdict before and after.
    """
    booked = [duty("D1", "O1", OPENING, OPENING + 2 * HOUR, "R1")]
    reports = [
        *moving("R1", OPENING, OPENING + 100 * MINUTE, lambda s: (1500.0 + s / 60, 1500.0)),
        *standing("R1", (1600.0, 1500.0), OPENING + 101 * MINUTE, OPENING + 2 * HOUR, speed_mps=8.3),
    ]
    town(connection)
    ledger = Ledger(connection)
    ledger.bookings(booked, [])
    ledger.positions(Counted(reports, booked).fixes)
    judge_due(connection)
    strict = Policies((BEGINNING,), (Policy(frozen_s=900.0, target=0.9),))
    assert again(connection) == ()
    policies.load(connection, strict, BEGINNING, by="tester", why="a test")
    [outcome] = again(connection)
    assert outcome.cause == "policy"
    assert {(item.scope, item.id) for item in outcome.restated} == {
        (FORCE, FORCE),
        ("neighbourhood", "A"),
        ("officer", "O1"),
    }
    [record] = restatements(connection)
    assert record.restated == outcome.restated
    for item in record.restated:
        assert item.before is not None
        assert item.after is not None
        assert (item.before.on_patch, item.before.duty) == (item.after.on_patch, item.after.duty)
        assert (item.before.doubtful, item.after.doubtful) == (0, 20 * MINUTE)
        assert (item.before.share_low, item.after.share_low) == (1.0, 100 / 120)
        assert (item.before.verdict(0.9), item.after.verdict(0.9)) == ("met", "not proven")


# ── records from before ───────────────────────────────────────────────────────────────────────────────────


def test_a_record_without_doubtful_time_says_so(connection: Connection) -> None:
    """Eight sums as programs wrote them before: bounds without doubt; with two of them null, no bounds."""
    town(connection)
    connection.execute(
        "insert into restatement (cause, since, recorded_by, why) values ('facts', now(), 'Sgt A', 'old')"
    )
    connection.execute(
        "insert into restated (restatement, scope, id, week, before, after) values "
        "(1, 'force', 'force', '2026-W47', '{0,0,0,60,40,0,null,null}', '{0,0,0,70,30,0,null,null}'), "
        "(1, 'force', 'force', '2026-W48', null, '{0,0,0,70,30,0,10,5}')"
    )
    [record] = restatements(connection)
    first, second = record.restated
    assert (first.bounded, first.doubted) == (False, False)
    assert (second.bounded, second.doubted) == (True, False)
    assert second.before is None
    assert second.after is not None
    assert (second.after.share_low, second.after.share_high, second.after.doubtful) == (0.6, 0.75, 0)


@pytest.mark.parametrize("count", [7, 9, 10, 12])
def test_a_record_of_another_length_is_refused(connection: Connection, count: int) -> None:
    """The database takes eight sums or eleven, and nothing between."""
    town(connection)
    connection.execute(
        "insert into restatement (cause, since, recorded_by, why) values ('facts', now(), 'Sgt A', 'x')"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into restated (restatement, scope, id, week, after) "
            "values (1, 'force', 'force', '2026-W48', array_fill(1::bigint, array[%s]))",
            [count],
        )
