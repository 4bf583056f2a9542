"""Settled figures again from stored facts: what is wrong is mended and on record, what is right stays."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from geo.matching.history import FOREVER, UNKNOWN
from stream.cli import patrol
from stream.core.calendar import rfc3339
from stream.core.facts import Allocation, Duty, StateReport
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.shares import AMBIGUOUS_OFF, AMBIGUOUS_ON, shares, totals
from stream.core.slices import HIDDEN, NO_STATE, last_open, newest, slices, whole_slices
from stream.core.stays import stays, whole_stays
from stream.store import policies, recompute
from stream.store.doubts import judge_due
from stream.store.ledger import Ledger
from stream.store.reading.exports import derived
from stream.store.reading.live import live
from stream.store.records import restatements, times
from stream.store.schema import connect, migrate, migrations
from stream.store.settled import Recomputed
from stream.store.week_figures import difference, week_figures
from tests.shell.stored import (
    POLICIES,
    assert_consistent,
    empty,
    fill,
    fine_expected,
    fine_stored,
    in_time,
    migrated,
    publish,
)
from tests.strategies import BINARY, World, bookable_worlds, many, world_fixes
from tests.worlds import history_of, horizon, wandering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

HOUR_US = 3_600_000_000

PROCESSES = "select count(*) from pg_stat_activity where application_name = 'patrol recompute'"
"""How many there are, as the server sees it."""

NOTHING = Recomputed(0, ())
"""What a recompute amounts to that finds nothing to correct."""

WRITTEN = "stay, slice, stay_end, slice_end, recomputed, restatement, restated"


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each test empties it."""
    with migrated(database_server, "recompute") as found:
        yield found


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to the emptied database."""
    with connect(dsn) as opened:
        clear(opened)
        yield opened


def clear(connection: Connection) -> None:
    """Empties every table but the list of migrations."""
    connection.execute("truncate recomputed")
    empty(connection)


def wide(world: World) -> tuple[int, int]:
    """A period around everything."""
    times = [fix[1] for fix in world.fixes] + [duty.start for duty in world.duties]
    return min(times) - 1, horizon(world) + 1


def again(
    connection: Connection, world: World, officer_id: str | None = None
) -> tuple[recompute.Recounted, Recomputed]:
    """Everything of the period counted again, in this process."""
    start, end = wide(world)
    recompute.hold(connection)
    until = recompute.horizon(connection, horizon(world))
    ledger = Ledger(connection)
    done = recompute.Recounted()
    plan = recompute.plan(connection, start, end, officer_id)
    recompute.begin(connection, plan, until)
    for part in plan:
        done += recompute.count(ledger, part, until)
    outcomes = recompute.conclude(
        connection,
        (start, end),
        until,
        by="tester",
        why="a test",
        edition=policies.edition(connection),
        officer_id=officer_id,
    )
    assert len(outcomes) < 2
    return done, outcomes[0] if outcomes else NOTHING


def written(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row with where it lies: a row written again lies elsewhere."""
    return {
        name: connection.execute(f"select ctid::text, t::text from {name} t order by 1".encode()).fetchall()
        for name in WRITTEN.split(", ")
    }


def damage(connection: Connection, seed: int) -> None:
    """Rows deleted, moved to other places and activities, sums and growing ends lost."""
    random = np.random.default_rng(seed)
    for table, key in (("stay", "device"), ("slice", "duty")):
        rows = connection.execute(f"select {key}, end_at from {table} order by 1, 2".encode()).fetchall()
        picked = [rows[at] for at in random.permutation(len(rows))[: max(1, len(rows) // 5)].tolist()]
        with connection.cursor() as cursor:
            cursor.executemany(
                f"delete from {table} where {key} = %s and end_at = %s".encode(), picked[: len(picked) // 2]
            )
            cursor.executemany(
                f"update {table} set place = (select max(place) from place) "
                f"where {key} = %s and end_at = %s".encode(),
                picked[len(picked) // 2 :],
            )
    connection.execute("update slice set activity = 3 where duty % 3 = 0 and activity = 4")
    connection.execute("update slice_end set settled = array_fill(7, array[8]) where duty % 2 = 0")
    connection.execute("update slice_end set slices = '{}' where duty % 4 = 1")
    connection.execute("update stay_end set stays = '{}' where device % 3 = 1")


# ── nothing to mend ───────────────────────────────────────────────────────────────────────────────────────


def reopened() -> World:
    """A car falls silent for minutes and the radio goes on: a slice that was closed grows again."""
    start, (lon, lat) = 1_795_420_200_000_000, BINARY.at(0, 0)

    def fix(device_id: str, second: int, lon: float = lon) -> tuple[str, int, float, float, float]:
        return device_id, start + second * 1_000_000, lon, lat, 10.0

    return World(
        (
            *(fix("R1", 630 + 30 * n) for n in range(6)),
            *(fix("V1", second) for second in (330, 360, 390, 420, 750)),
            fix("V1", 420, -1.0),
            *(fix("V2", 630 + 30 * n) for n in range(7)),
            fix("V2", 840, -1.0),
        ),
        ((None, (("neighbourhood", "N1", shapely.box(*BINARY.at(0, 0), *BINARY.at(1, 4))),)),),
        (
            Duty(
                *("D1", 1, "O1", start, start + HOUR_US, ("N1",)),
                (Allocation("R1", "radio"), Allocation("V1", "vehicle")),
            ),
        ),
        (StateReport("O1", start, 1),),
        start + 2 * HOUR_US,
        (start, start + 2 * HOUR_US),
    )


@many(40)
@given(world=bookable_worlds(), parts=st.integers(1, 6))
@example(world=reopened(), parts=3)
def test_where_nothing_differs_nothing_is_written(dsn: str, world: World, parts: int) -> None:
    """Counted again, every row of stays, slices and growing ends is where it was; nothing is on record."""
    with connect(dsn) as connection:
        clear(connection)
        fill(connection, world, parts)
        before = written(connection)
        done, outcome = again(connection, world)
        assert outcome == NOTHING
        assert done.changed == 0
        assert written(connection) == before


def test_closed_rows_are_left_alone_too(connection: Connection) -> None:
    """The same after hours in which hundreds of rows were closed."""
    world = wandering(1)
    fill(connection, world)
    before = written(connection)
    assert len(before["stay"]) > 50
    done, outcome = again(connection, world)
    assert outcome.restated == ()
    assert done.fixes == len({fix[:2] for fix in world.fixes})
    assert written(connection) == before


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────


def moved(world: World, by: int) -> World:
    """The same at another time."""

    def at(time: int | None) -> int | None:
        return None if time is None else time + by

    return World(
        tuple((name, time + by, x, y, error) for name, time, x, y, error in world.fixes),
        tuple((at(start), found) for start, found in world.versions),
        tuple(
            replace(
                duty,
                start=duty.start + by,
                end=at(duty.end),
                devices=tuple(replace(item, start=at(item.start), end=at(item.end)) for item in duty.devices),
            )
            for duty in world.duties
        ),
        tuple(replace(report, time=report.time + by) for report in world.states),
        world.as_of + by,
        (world.period[0] + by, world.period[1] + by),
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_was_damaged_is_mended_and_on_record(connection: Connection, seed: int) -> None:
    """Rows deleted and altered behind the program's back: mended, each figure restated, and then done."""
    world = moved(wandering(seed), -10 * HOUR_US if seed == 0 else 0)  # from a Sunday night on, once
    fill(connection, world)
    start, _ = wide(world)
    until = recompute.horizon(connection, horizon(world))
    right = week_figures(connection, start, until)
    damage(connection, seed)
    wrong = week_figures(connection, start, until)
    assert wrong != right
    assert fine_stored(connection) != fine_expected(world)

    _, outcome = again(connection, world)
    assert fine_stored(connection) == fine_expected(world)
    assert_consistent(connection)
    assert outcome.restated == tuple(difference(wrong, right))
    assert {item.week for item in outcome.restated} == {"2026-W48", *(["2026-W47"] if seed == 0 else [])}
    [record] = restatements(connection)
    assert (record.number, record.cause, record.why) == (outcome.restatement, "facts", "a test")
    assert record.restated == outcome.restated

    before = written(connection)
    assert again(connection, world)[1] == NOTHING
    assert written(connection) == before
    # And the pipeline goes on from there.
    later = replace(world, fixes=moved(world, 13_000_000_000).fixes)
    Ledger(connection).positions(world_fixes(later))
    assert fine_stored(connection) == fine_expected(replace(world, fixes=(*world.fixes, *later.fixes)))


def test_for_one_officer_only_his_duties_are_mended(connection: Connection) -> None:
    """The others' rows stay as they were found; a name nobody has is said to be none."""
    world = wandering(2)
    fill(connection, world)
    connection.execute("update slice set activity = 3 where activity = 4")
    done, outcome = again(connection, world, "O1")
    assert done.duties == 3
    assert {item.id for item in outcome.restated if item.scope == "officer"} == {"O1"}
    _, right = fine_expected(world)
    _, have = fine_stored(connection)

    def of(rows: list[tuple[object, ...]], officer: str) -> list[tuple[object, ...]]:
        names = {duty.duty_id for duty in world.duties if duty.officer_id == officer}
        return [row for row in rows if row[0] in names]

    assert of(have, "O1") == of(right, "O1")
    assert of(have, "O2") != of(right, "O2")
    with pytest.raises(recompute.RecomputeError, match="there is no officer 'O77'"):
        again(connection, world, "O77")


# ── broken off, and together with others ──────────────────────────────────────────────────────────────────


def one_by_one(connection: Connection, monkeypatch: pytest.MonkeyPatch, world: World) -> int:
    """Makes every part as small as it can be; gives how many there are."""
    monkeypatch.setattr(recompute, "PART_FIXES", 1)
    return len(recompute.plan(connection, *wide(world)))


@pytest.mark.parametrize("parts_done", [1, 4])
def test_broken_off_in_the_middle_it_harms_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, parts_done: int
) -> None:
    """After some of its parts it is gone: the next one does the rest, and restates what both changed."""
    world = wandering(3)
    fill(connection, world)
    assert one_by_one(connection, monkeypatch, world) > parts_done
    start, end = wide(world)
    until = recompute.horizon(connection, horizon(world))
    right = week_figures(connection, start, until)
    damage(connection, 3)
    wrong = week_figures(connection, start, until)
    ledger = Ledger(connection)
    for part in recompute.plan(connection, start, end)[:parts_done]:
        recompute.count(ledger, part, until)
    half = week_figures(connection, start, until)
    assert half not in (wrong, right)
    assert restatements(connection) == []

    _, outcome = again(connection, world)
    assert fine_stored(connection) == fine_expected(world)
    assert outcome.restated == tuple(difference(wrong, right))
    assert connection.execute("select * from recomputed").fetchall() == []


def run(dsn: str, *words: str) -> subprocess.Popen[bytes]:
    """``patrol recompute`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream", "recompute", *words],
        env={**os.environ, "PATROL_DATABASE": dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_while_it_waits_in_a_transaction_it_harms_nothing(
    dsn: str, connection: Connection, jobs: str
) -> None:
    """SIGKILL amid a part: nothing of the part is there, no process is left, the next run mends all."""
    world = wandering(0)
    fill(connection, world)
    start, end = wide(world)
    damage(connection, 0)
    words = ["--from", rfc3339(start), "--to", rfc3339(end), "--jobs", jobs, "--why", "after the flood"]
    with connect(dsn) as holder:
        with holder.transaction():
            holder.execute("select from officer for update")
            before = fine_stored(connection)
            process = run(dsn, *words)
            waiting = f"{PROCESSES} and wait_event_type = 'Lock'"
            while connection.execute(waiting.encode()).fetchall() == [(0,)]:
                assert process.poll() is None
            process.kill()
            process.communicate()
        while connection.execute(PROCESSES.encode()).fetchall() != [(0,)]:
            pass  # the server notices that nobody is there any more
    assert fine_stored(connection) == before
    process = run(dsn, *words, "--json")
    output, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    assert fine_stored(connection) == fine_expected(world)
    [record] = restatements(connection)
    answer = json.loads(output)
    assert answer["restatement"] == record.number
    assert len(answer["restated"]) == len(record.restated)
    assert record.why == "after the flood"


def test_told_to_end_it_finishes_the_part_at_hand_and_goes_on_from_there(
    dsn: str, connection: Connection
) -> None:
    """SIGTERM amid the first part: it says how far it is and how to go on, with exit code 143. The same
    command counts only the rest, mends all, and puts both on record as one; --anew begins from the start.
    """
    world = moved(wandering(0), -10 * HOUR_US)  # two days
    # None is open: how long it lasts by now would be for the clock to say.
    ended = tuple(replace(duty, end=duty.end or duty.start + HOUR_US) for duty in world.duties)
    world = replace(world, duties=ended)
    fill(connection, world)
    start, end = wide(world)
    until = recompute.horizon(connection, horizon(world))
    judge_due(connection)
    damage(connection, 0)
    wrong = week_figures(connection, start, until)
    words = ["--from", rfc3339(start), "--to", rfc3339(end)]
    with connect(dsn) as holder:
        with holder.transaction():
            holder.execute("select from officer for update")
            process = run(dsn, *words)
            waiting = f"{PROCESSES} and wait_event_type = 'Lock'"
            while connection.execute(waiting.encode()).fetchall() == [(0,)]:
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
        output, said = process.communicate(timeout=120)
    assert (process.returncode, output) == (143, b"")
    [(total,)] = connection.execute("select count(*) from recompute_part").fetchall()
    assert f"stopped after 1 of {total} parts: the same command goes on from there" in said.decode()
    assert total > 1
    assert restatements(connection) == []

    runner = CliRunner(env={"PATROL_DATABASE": dsn})
    listed = runner.invoke(patrol, ["restatements"])
    assert f"1 of {total} parts are done; the same command goes on with it" in listed.output
    found = runner.invoke(patrol, ["recompute", *words])
    assert found.exit_code == 0
    assert f"1 of {total} parts were done" in found.output
    assert fine_stored(connection) == fine_expected(world)
    [record] = restatements(connection)
    assert record.restated == tuple(difference(wrong, week_figures(connection, start, until)))
    assert connection.execute("select from recompute_run").fetchall() == []
    assert connection.execute("select from recompute_part").fetchall() == []

    with connect(dsn) as broken_off:
        recompute.hold(broken_off)
        recompute.start(broken_off, (start, end), None, until, by="tester", why="a test")
        recompute.finish(broken_off, 0)
    damage(connection, 0)
    found = runner.invoke(patrol, ["recompute", *words, "--anew"])
    assert (found.exit_code, "parts were done" in found.output) == (0, False)
    assert fine_stored(connection) == fine_expected(world)


def test_where_another_policy_was_loaded_it_begins_anew(connection: Connection) -> None:
    """What was done by the old one has to be counted again; the period or officer decide too."""
    world = wandering(1)
    fill(connection, world)
    period = wide(world)
    until = recompute.horizon(connection, horizon(world))
    recompute.hold(connection)

    def start(period: tuple[int, int], officer: str | None = None) -> recompute.Run:
        return recompute.start(connection, period, officer, until, by="tester", why="a test")

    first = start(period)
    recompute.finish(connection, 0)
    again = start(period)
    assert (first.begun, len(again.parts), again.total) == (None, first.total - 1, first.total)
    assert again.begun is not None
    assert start(period, "O1").begun is None
    assert start(period).begun is None
    assert start((period[0], period[1] + 1)).begun is None
    with connection.transaction(force_rollback=True):
        policies.load(
            connection,
            Policies((BEGINNING,), (Policy(max_gap_s=20.0, parked_gap_s=20.0),)),
            BEGINNING,
            by="tester",
            why="a test",
        )
        assert start((period[0], period[1] + 1)).begun is None
    assert start((period[0], period[1] + 1)).begun is not None


def test_it_says_how_far_it_is_where_nobody_looks_on(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a log there are ten lines however many parts there are, and the answer alone on standard output."""
    world = wandering(1)
    fill(connection, world)
    assert one_by_one(connection, monkeypatch, world) >= 3
    monkeypatch.setattr(sys.modules["stream.cli.recompute"], "TOLD", 3)
    start, end = (rfc3339(value) for value in wide(world))
    found = CliRunner(env={"PATROL_DATABASE": dsn}).invoke(
        patrol, ["recompute", "--from", start, "--to", end, "--json"]
    )
    assert found.exit_code == 0
    assert json.loads(found.stdout)["restated"] == []
    lines = [line for line in found.stderr.splitlines() if " parts, " in line]
    assert len(lines) == 3
    total = lines[-1].split(" of ")[0]
    assert lines[-1].startswith(f"{total} of {total} parts, ")


def test_the_pipeline_may_run_meanwhile(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New fixes come while old ones are counted again: both are there, and only the damage is restated."""
    world = wandering(1)
    parts = in_time(world, 40)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    for batch in parts[:30]:
        ledger.positions(batch)
    assert one_by_one(connection, monkeypatch, world) > 3
    start, end = wide(world)
    until = recompute.horizon(connection, horizon(world))
    connection.execute("update slice set activity = 3 where activity = 4")
    wrong = connection.execute(
        "select officer_id from slice join officer using (officer) where activity = 3"
    ).fetchall()

    def stream() -> None:
        with connect(dsn) as own:
            live_ledger = Ledger(own)
            for batch in parts[30:]:
                live_ledger.positions(batch)

    thread = threading.Thread(target=stream)
    thread.start()
    for part in recompute.plan(connection, start, end):
        recompute.count(ledger, part, until)
    thread.join()
    [outcome] = recompute.conclude(connection, (start, end), until, by="tester", why="a test", edition=1) or [
        NOTHING
    ]
    assert fine_stored(connection) == fine_expected(world)
    assert_consistent(connection)
    officers = {item.id for item in outcome.restated if item.scope == "officer"}
    assert officers
    assert officers <= {name for (name,) in wrong}
    after = week_figures(connection, start, until)
    assert all(after[item.week, item.scope, item.id] == item.after for item in outcome.restated)
    for item in outcome.restated:
        assert item.before is not None
        assert item.after is not None
        # Off-patch time was taken for on-patch time: what was there of both together is there still.
        was, now = item.before, item.after
        assert was.on_patch + was.off_patch == now.on_patch + now.off_patch


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_says_what_changed(dsn: str, connection: Connection) -> None:
    """In words with the weeks and figures; a second run says that no figure changed; wrong use is told."""
    world = wandering(0)
    fill(connection, world)
    connection.execute("update slice set activity = 3 where activity = 4")
    start, end = (rfc3339(value) for value in wide(world))
    runner = CliRunner(env={"PATROL_DATABASE": dsn})

    def say(*words: str) -> tuple[int, str]:
        found = runner.invoke(patrol, ["recompute", *words])
        return found.exit_code, found.output

    code, text = say("--from", start, "--to", end)
    assert code == 0
    assert "restatement 1:" in text
    assert "figures changed" in text
    assert "2026-W48 force: " in text
    code, text = say("--from", start, "--to", end)
    assert (code, text.splitlines()[-1]) == (0, "no figure changed")
    assert say("--from", end, "--to", start)[0] == 2
    code, text = say("--from", start, "--to", end, "--officer", "nobody")
    assert code == 2
    assert "there is no officer 'nobody'" in text
    with connect(dsn) as other:
        recompute.hold(other)
        code, text = say("--from", start, "--to", end)
        assert code == 2
        assert "another 'patrol recompute' is at work" in text


# ── a database made before there were bounds ──────────────────────────────────────────────────────────────


def migrate_to(connection: Connection, last: str) -> None:
    """The schema as a program of an earlier version made it."""
    connection.execute(
        "create table migration (name text primary key, sha256 text not null, "
        "applied_at timestamptz not null default now())"
    )
    for name, text in migrations():
        if name <= last:
            connection.execute(text.encode())
            digest = hashlib.sha256(text.encode()).hexdigest()
            connection.execute("insert into migration (name, sha256) values (%s, %s)", [name, digest])


def fill_as_before(connection: Connection, world: World) -> None:
    """The world as a program without bounds left it: exact places, states only where they decide."""
    fixes, history, duties = world_fixes(world), history_of(world), newest(world.duties)
    found = stays(fixes, history, POLICIES)
    counted = slices(duties, found, fixes.device_ids, world.states, history.places, POLICIES)
    sums = totals(counted, duties, history.places, -FOREVER, FOREVER)
    whole = whole_stays(found, history.places)
    until = horizon(world)
    rows, _ = whole_slices(counted, duties, history.places, POLICIES, until=until)
    execute = connection.execute
    boxes = ("west", "south", "east", "north")  # a program of then did not publish them
    execute(f"alter table area {', '.join(f'add {name} float8' for name in boxes)}".encode())
    publish(connection, world)
    execute(f"alter table area {', '.join(f'drop {name}' for name in boxes)}".encode())
    keys: dict[int, int | None] = {UNKNOWN: None}
    for number in sorted({*whole.place.tolist(), *rows.place.tolist()} - {UNKNOWN}):
        place = history.places[number]
        execute(
            "insert into place (neighbourhood, premises, priorities) values (%s, %s, %s) "
            "on conflict do nothing",
            [place.neighbourhood, place.premises, list(place.priorities)],
        )
        [(keys[number],)] = execute(
            "select place from place where neighbourhood is not distinct from %s "
            "and premises is not distinct from %s and priorities = %s",
            [place.neighbourhood, place.premises, list(place.priorities)],
        ).fetchall()
    for device, name in enumerate(fixes.device_ids):
        execute("insert into device (device_id) values (%s)", [name])
        at = np.flatnonzero(fixes.device == device)
        at = at[np.argsort(fixes.time[at])]
        for row in at.tolist():
            error = float(fixes.error_m[row])
            execute(
                "insert into fix values (%s, from_us(%s), %s, %s, %s, 'nan', 'nan') on conflict do nothing",
                [device + 1, int(fixes.time[row]), float(fixes.lon[row]), float(fixes.lat[row]), error],
            )
        context = np.empty(min(3, len(at)), [("time", "<i8"), ("lon", "<f8"), ("lat", "<f8")])
        for column in context.dtype.names or ():
            context[column] = getattr(fixes, column)[at[-3:]]
        mine = np.flatnonzero(whole.device == device).tolist()
        for row in mine[:-1]:
            execute(
                "insert into stay values (%s, from_us(%s), from_us(%s), %s)",
                [device + 1, int(whole.start[row]), int(whole.end[row]), keys[int(whole.place[row])]],
            )
        growing = [
            value
            for row in mine[-1:]
            for value in (int(whole.start[row]), int(whole.end[row]), keys[int(whole.place[row])] or -1)
        ]
        shut = int(whole.end[mine[-2]]) if len(mine) > 1 else -FOREVER
        execute(
            "insert into stay_end (device, stays, fixes, whole, closed, newest) "
            "values (%s, %s, %s, %s, %s, %s)",
            [device + 1, growing, context.tobytes(), len(at) <= 3, shut, int(fixes.time[at[-1]])],
        )
    officers = sorted({duty.officer_id for duty in duties})
    for name in officers:
        execute("insert into officer (officer_id) values (%s)", [name])
    for report in world.states:
        execute(
            "insert into state values (%s, from_us(%s), %s) on conflict do nothing",
            [officers.index(report.officer_id) + 1, report.time, report.state],
        )
    for number, duty in enumerate(duties):
        officer = officers.index(duty.officer_id) + 1
        execute(
            "insert into duty (duty_id, officer, revision, start_at, end_at, patch, cancelled) "
            "values (%s, %s, %s, from_us(%s), from_us(%s), %s, %s)",
            [duty.duty_id, officer, duty.revision, duty.start, duty.end, list(duty.patch), duty.cancelled],
        )
        for position, item in enumerate(duty.devices):
            if item.device_id in fixes.device_ids:
                execute(
                    "insert into allocation values (%s, %s, %s, %s, from_us(%s), from_us(%s))",
                    [
                        *(number + 1, position, fixes.device_ids.index(item.device_id) + 1, item.kind),
                        *(item.start, item.end),
                    ],
                )
        mine = np.flatnonzero(rows.duty == number).tolist()
        endless = last_open(counted, duties)[counted.duty == number]  # a program of then wrote no end
        last = mine[-1:] if endless.any() else []
        for row in mine[: len(mine) - len(last)]:
            device_key = int(rows.device[row]) + 1 or None
            execute(
                "insert into slice values (%s, %s, from_us(%s), from_us(%s), %s, %s, %s, %s)",
                [
                    *(number + 1, officer, int(rows.start[row]), int(rows.end[row])),
                    *(int(rows.activity[row]), int(rows.state[row]), keys[int(rows.place[row])], device_key),
                ],
            )
        growing = [
            value
            for row in last
            for value in (
                *(int(rows.start[row]), FOREVER, int(rows.activity[row]), int(rows.state[row])),
                *(keys[int(rows.place[row])] or -1, int(rows.device[row]) + 1 or -1),
            )
        ]
        ends = [int(rows.end[row]) for row in mine if row not in last]
        # What a duty without an end ends with is in no priority area.
        settled = sums[number, :6].tolist()
        for activity in range(5):
            settled[activity] = sum(
                int(rows.end[row] - rows.start[row])
                for row in mine
                if row not in last and rows.activity[row] == activity
            )
        execute(
            "insert into slice_end (duty, slices, closed, settled) values (%s, %s, %s, %s)",
            [number + 1, growing, max(ends, default=-FOREVER), settled],
        )


@pytest.mark.parametrize("seed", [5, 6])
def test_what_was_counted_before_bounds_proves_nothing_until_it_is_counted_again(
    database: str, seed: int
) -> None:
    """Migrated, sums stand and bounds are as wide as can be; counted again, they are the core's."""
    world = wandering(seed)
    start, _ = wide(world)
    with connect(database) as connection:
        migrate_to(connection, "0002_publications_and_restatements.sql")
        fill_as_before(connection, world)
        migrate(connection)
        # That open duties were counted without a longest duty is told by another test.
        connection.execute("delete from policy_outdated")
        assert_consistent(connection)

        core = fine_expected(world)
        found = derived(connection)
        until = horizon(world)
        fixes, history, duties = world_fixes(world), history_of(world), newest(world.duties)
        counted = slices(
            duties,
            stays(fixes, history, POLICIES),
            fixes.device_ids,
            world.states,
            history.places,
            POLICIES,
        )
        want = shares(counted, duties, history.places, start, until)
        have = shares(found.slices, found.duties, found.places, start, until)
        sums = ("scope", "id", "on_patch", "off_patch", "not_visible", "unknown", "on_break", "priority")
        assert [[getattr(item, name) for name in sums] for item in have] == [
            [getattr(item, name) for name in sums] for item in want
        ]
        hidden = (found.slices.activity == HIDDEN) & (found.slices.state == NO_STATE)
        table = totals(found.slices, found.duties, found.places, start, until)
        for number, duty in enumerate(found.duties):
            mine = (found.slices.duty == number) & hidden
            inside = int(np.sum(np.minimum(found.slices.end[mine], until) - found.slices.start[mine]))
            off = int(table[number][4]) + inside
            assert table[number][AMBIGUOUS_ON] == table[number][3]
            assert table[number][AMBIGUOUS_OFF] == (off if duty.patch else 0)
        assert "met" not in {item.verdict(0.8) for item in have}
        # The live figures are of the same kind, and positions go on to be counted.
        now = max(fix[1] for fix in world.fixes)
        assert all(
            item.figures.share_low in (0.0, None)
            for item in live(connection, now, Policies())
            if item.officers.on_duty
        )
        later = replace(
            world,
            fixes=tuple(
                (name, time + 60_000_000, lon, lat, 20.0)
                for name, (time, lon, lat) in {
                    fix[0]: (fix[1], fix[2], fix[3]) for fix in sorted(world.fixes, key=lambda fix: fix[1])
                }.items()
            ),
        )
        Ledger(connection).positions(world_fixes(later))
        assert_consistent(connection)

        now_all = replace(world, fixes=(*world.fixes, *later.fixes))
        assert fine_stored(connection) != core
        _, outcome = again(connection, now_all)
        assert fine_stored(connection) == fine_expected(now_all)
        assert_consistent(connection)
        assert outcome.restatement == 1
        assert all(
            item.before is not None
            and item.after is not None
            and times(item.before)[:6] == times(item.after)[:6]
            for item in outcome.restated
        )
        assert again(connection, now_all)[1].restated == ()
