"""Settled weeks (rule 20): what changes a figure of one is on record with these values, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.cli import patrol
from stream.core import calendar
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.stays import take
from stream.store import policies, publications, recompute, settled
from stream.store.late import Mark
from stream.store.ledger import Ledger
from stream.store.records import restatements, times
from stream.store.schema import Lock, connect
from stream.store.settled import on_record, restate_due, settle
from stream.store.week_figures import difference, week_figures
from tests.shell.stored import await_release, empty, fine_stored, migrated, publish, put_in_force
from tests.strategies import BINARY, HOUR, World, many, world_fixes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stream.core.facts import Fixes
    from stream.embedded import EmbeddedDatabase
    from stream.store.records import Restatement
    from stream.store.schema import Connection
    from stream.store.week_figures import WeekFigures

START = calendar.week_bounds("2026-W47")[0]
MONDAY = calendar.week_bounds("2026-W48")[0]
UNTIL = MONDAY + 30 * HOUR
WEEKS = ("2026-W47", "2026-W48")
MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "settled") as found:
        yield found


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with connect(dsn) as opened:
        yield opened


def weeks_end(seed: int) -> World:
    """A Sunday and a Monday: officers who share radios and cars, duties over midnight, some left open,
    radios that fall silent, repeat a position, or jump.
    """
    random = Random(seed)
    first = MONDAY - 20 * HOUR
    areas = tuple(
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(n * 3, 0), *BINARY.at(n * 3 + 3, 6)))
        for n in range(3)
    )
    duties, states, fixes = [], [], []
    for number in range(7):
        start = first + random.randrange(0, 38) * HOUR
        end = None if random.random() < 0.15 else start + random.choice((1, 4, 9, 12)) * HOUR
        held = [Allocation(f"R{random.randrange(4)}", "radio")]
        if random.random() < 0.4:
            held.append(Allocation(f"V{random.randrange(2)}", "vehicle"))
        patch = tuple(sorted(random.sample(("N0", "N1", "N2"), random.choice((0, 1, 1, 1, 2)))))
        duties.append(Duty(f"D{number}", 1, f"O{random.randrange(4)}", start, end, patch, tuple(held)))
        states += [
            StateReport(
                duties[-1].officer_id,
                start + random.randrange(0, 9 * 60) * MINUTE,
                random.choice((2, 4, 9, 11)),
            )
            for _ in range(random.randrange(3))
        ]
    for device in ("R0", "R1", "R2", "R3", "V0", "V1"):
        x, y = random.uniform(0, 9), random.uniform(0, 6)
        time = first + random.randrange(0, 5 * 60) * MINUTE
        while time < MONDAY + 20 * HOUR:
            time += random.choice((60, 60, 120, 300, 301, 900, 3000, 9000)) * SECOND
            if random.random() < 0.7:
                x, y = random.uniform(0, 9), random.uniform(0, 6)
            fixes.append((device, time, *BINARY.at(x, y), random.choice((None, 8.0, 40.0))))
    return World(tuple(fixes), ((None, areas),), tuple(duties), tuple(states), UNTIL, (first, UNTIL))


def counted(connection: Connection, world: World) -> None:
    """The world in an emptied database, and Sunday's week settled."""
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(world_fixes(world))
    settle(connection, ["2026-W47"])


def divided(world: World, random: Random) -> tuple[World, Fixes]:
    """What comes in time of its positions, and what comes later."""
    late = np.array([random.random() < 0.25 for _ in world.fixes], np.bool_)
    if not late.any():
        late[random.randrange(len(late))] = True
    kept = tuple(fix for fix, is_late in zip(world.fixes, late.tolist(), strict=True) if not is_late)
    fixes = world_fixes(world)
    return replace(world, fixes=kept), take(fixes, np.flatnonzero(late))


def now(connection: Connection) -> WeekFigures:
    """The figures of both weeks as the tables say."""
    return week_figures(connection, START, UNTIL)


def sums(figures: WeekFigures, week: str | None = None) -> dict[tuple[str, str, str], tuple[bool, list[int]]]:
    """The figures as they stand on record, of a week or of all."""
    return {
        key: (item.has_share, times(item)) for key, item in figures.items() if week is None or key[0] == week
    }


def of_sunday(figures: WeekFigures) -> WeekFigures:
    """Those of the settled week."""
    return {key: item for key, item in figures.items() if key[0] == "2026-W47"}


# ── the four kinds of change ──────────────────────────────────────────────────────────────────────────────


def late_positions(connection: Connection, world: World, random: Random, late: Fixes) -> None:
    """Positions that come after the week was settled, in batches."""
    ledger = Ledger(connection)
    for part in np.array_split(np.array(random.sample(range(len(late)), len(late))), 3):
        ledger.positions(take(late, part))


def revised(connection: Connection, world: World, random: Random, _late: Fixes) -> None:
    """Duties revised, cancelled, given to others or booked late; a state keyed late."""
    duties = []
    for duty in random.sample(world.duties, 2):
        change = random.randrange(6)
        duties.append(
            replace(duty, revision=2, cancelled=True)
            if change == 0
            else replace(duty, revision=2, officer_id=f"O{random.randrange(5)}")
            if change == 1
            else replace(duty, revision=2, patch=random.choice(((), ("N0",), ("N1", "N2"))))
            if change == 2
            else replace(duty, revision=2, start=duty.start - HOUR)
            if change == 3
            else replace(duty, revision=2, end=duty.start + random.choice((1, 5, 13, 30)) * HOUR)
            if change == 4
            else replace(duty, duty_id=f"{duty.duty_id} b", officer_id="O9", start=duty.start + 600 * SECOND)
        )
    states = [
        StateReport(
            f"O{random.randrange(4)}", MONDAY + random.randrange(-15, 5) * HOUR, random.choice((4, 11))
        )
        for _ in range(random.randrange(3))
    ]
    Ledger(connection).bookings(duties, states)


def republished(connection: Connection, _world: World, random: Random, _late: Fixes) -> None:
    """Other boundaries, from some time on."""
    release(connection, MONDAY + random.randrange(-20, 10) * HOUR)


def release(connection: Connection, start: int) -> None:
    """Other boundaries, from a time on."""
    found = AreaSet.of(
        Area(
            Kind.NEIGHBOURHOOD, f"N{n}", f"N{n}", shapely.box(*BINARY.at(n * 4, 0), *BINARY.at(n * 4 + 4, 6))
        )
        for n in range(2)
    )
    publications.publish(
        connection,
        found,
        start,
        file="test",
        sha256="",
        by="tester",
        why="a test",
        now=UNTIL,
    )


def other_policy(connection: Connection, _world: World, random: Random, _late: Fixes) -> None:
    """Another policy, and all counted again by it."""
    wanted = Policy(
        max_gap_s=random.choice((60.0, 300.0, 900.0)),
        longest_duty_s=random.choice((3, 10, 30)) * 3600.0,
        default_error_m=random.choice((0.0, 60.0)),
    )
    since = random.choice((BEGINNING, MONDAY - 5 * HOUR, MONDAY))
    policies.load(connection, Policies((BEGINNING,), (wanted,)), since, by="tester", why="a test")
    with connect(connection.info.dsn, name="another") as own:
        count_again(own)


def count_again(connection: Connection, *, finish: bool = True) -> None:
    """Everything counted again; or, where it is broken off, its first parts."""
    period = START, UNTIL
    until = recompute.horizon(connection, UNTIL)
    recompute.hold(connection)
    edition, ledger = policies.edition(connection), Ledger(connection)
    plan = recompute.plan(connection, *period)
    recompute.begin(connection, plan, until)
    for part in plan if finish else plan[:1]:
        recompute.count(ledger, part, until)
    if finish:
        recompute.conclude(connection, period, until, by="tester", why="a test", edition=edition)


KINDS: tuple[tuple[str, Callable[[Connection, World, Random, Fixes], None]], ...] = (
    ("later facts", late_positions),
    ("later facts", revised),
    ("areas published", republished),
    ("policy", other_policy),
)


@many(12)
@given(seed=st.integers(0, 2**32 - 1), kind=st.integers(0, 3))
@example(seed=1015, kind=1)  # only whether there is a share changes
def test_what_changes_in_settled_weeks_is_on_record_and_nothing_else(dsn: str, seed: int, kind: int) -> None:
    """After late positions, revised duties, republished areas or another policy, the weeks and scopes on
    record are exactly those whose figures differ before and after, with these values.
    """
    random = Random(seed)
    world, late = divided(weeks_end(seed), random)
    cause, change = KINDS[kind]
    with connect(dsn) as connection:
        counted(connection, world)
        before = now(connection)
        assert sums(on_record(connection, "2026-W47")) == sums(before, "2026-W47")
        change(connection, world, random, late)
        restate_due(connection)
        after = now(connection)
        found = restatements(connection)
        if kind > 1:  # whoever publishes or recomputes restates weeks that are not settled too
            assert joined(found) == changed(before, after)
        else:
            assert joined(found) == changed(of_sunday(before), of_sunday(after))
            assert {item.cause for item in found} <= {cause, "duties"}
            assert all(item.recorded_by == "worker" and item.why for item in found)
        assert sums(on_record(connection, "2026-W47")) == sums(after, "2026-W47")
        restate_due(connection)
        assert restatements(connection) == found
        assert connection.execute("select * from restatement_due").fetchall() == []


@pytest.mark.parametrize("seed", [4, 6])
def test_all_kinds_of_change_at_once_are_on_record_once(dsn: str, connection: Connection, seed: int) -> None:
    """Late positions are counted while others restate, recompute and publish: no deadlock, the tables are
    those of the same facts in order, and the record leads from before to after without a gap.
    """
    random = Random(seed)
    world, late = divided(weeks_end(seed), random)
    counted(connection, world)
    before = now(connection)
    failed: list[BaseException] = []

    def beside(work: Callable[[Connection], object]) -> threading.Thread:
        def run() -> None:
            try:
                with connect(dsn) as own:
                    work(own)
            except BaseException as error:
                failed.append(error)

        return threading.Thread(target=run)

    def count(own: Connection) -> None:
        ledger = Ledger(own)
        for part in np.array_split(np.arange(len(late)), 12):
            ledger.positions(take(late, part))

    def restate(own: Connection) -> None:
        for _ in range(12):
            restate_due(own)

    threads = [
        beside(count),
        beside(restate),
        beside(count_again),
        beside(lambda own: republished(own, world, Random(seed), late)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    restate_due(connection)
    after = now(connection)
    assert joined(restatements(connection), "2026-W47") == changed(of_sunday(before), of_sunday(after))
    assert sums(on_record(connection, "2026-W47")) == sums(after, "2026-W47")
    found = fine_stored(connection)
    with connect(dsn) as other:
        recompute_all(other)
    assert fine_stored(connection) == found


def recompute_all(connection: Connection) -> None:
    """Everything counted again, in which nothing may differ."""
    count_again(connection)
    assert connection.execute("select * from recomputed").fetchall() == []


def test_killed_while_it_restates_it_does_so_once(dsn: str, connection: Connection) -> None:
    """SIGKILL before the commit: nothing is on record and what is due is; afterwards it is there once."""
    world, late = divided(weeks_end(4), Random(4))
    counted(connection, world)
    before = now(connection)
    Ledger(connection).positions(late)
    due = connection.execute("select * from restatement_due").fetchall()
    assert due
    code = (
        "import sys; from stream.store.schema import connect; from stream.store.settled import restate_due; "
        "restate_due(connect(sys.argv[1], name='to be killed'))"
    )
    with connect(dsn) as holder:
        with holder.transaction():
            holder.execute("lock table restated in share mode")
            process = subprocess.Popen([sys.executable, "-c", code, dsn])
            waiting = (
                "select count(*) from pg_stat_activity "
                "where application_name = 'to be killed' and wait_event_type = 'Lock'"
            )
            while connection.execute(waiting.encode()).fetchall() == [(0,)]:
                assert process.poll() is None
            process.kill()
            process.wait()
        await_release(connection, Lock.RESTATEMENTS)
    assert restatements(connection) == []
    assert connection.execute("select * from restatement_due").fetchall() == due
    assert restate_due(connection) > 0
    assert restate_due(connection) == 0
    assert joined(restatements(connection)) == changed(of_sunday(before), of_sunday(now(connection)))


def test_a_recompute_that_was_broken_off_is_not_taken_for_later_facts(
    dsn: str, connection: Connection
) -> None:
    """What its first part changed is told with the rest of it, and late positions that came in between by
    themselves.
    """
    world, late = divided(weeks_end(6), Random(6))
    counted(connection, world)
    connection.execute("update slice set activity = 3 where activity = 4")
    connection.execute("truncate settled, settled_week")
    settle(connection, ["2026-W47"])
    before = now(connection)
    with connect(dsn) as own:
        count_again(own, finish=False)
    Ledger(connection).positions(late)
    restate_due(connection)
    assert {item.cause for item in restatements(connection)} == {"later facts"}
    between = joined(restatements(connection))
    with connect(dsn) as own:
        count_again(own)
    found = restatements(connection)
    assert [item.cause for item in found] == ["later facts", "facts"]
    after = now(connection)
    assert joined(found, "2026-W47") == changed(of_sunday(before), of_sunday(after)) != between


def test_the_command_lists_all_or_what_is_asked_for(dsn: str, connection: Connection) -> None:
    """Of all, since a time, of one week or one neighbourhood, as a table or as JSON, with the same values."""
    world, late = divided(weeks_end(6), Random(6))
    counted(connection, world)
    runner = CliRunner(env={"PATROL_DATABASE": dsn})

    def said(*words: str) -> str:
        found = runner.invoke(patrol, ["restatements", *words])
        assert found.exit_code == 0
        return found.output

    assert said() == "no figure was ever restated\n"
    Ledger(connection).positions(late)
    restate_due(connection)
    release(connection, START)
    found = restatements(connection)
    assert [item.cause for item in found] == ["later facts", "areas published"]
    rows = json.loads(said("--json"))
    assert [row["why"] for row in rows] == [item.why for item in found]
    assert [len(row["restated"]) for row in rows] == [len(item.restated) for item in found]
    assert json.loads(runner.invoke(patrol, ["areas", "restatements", "--json"]).output) == rows

    [before, after] = json.loads(said("--json", "--week", "2026-W47", "--area", "N1"))
    [one], [other] = before["restated"], after["restated"]
    assert {(row["week"], row["scope"], row["id"]) for row in (one, other)} == {
        ("2026-W47", "neighbourhood", "N1")
    }
    assert one["after"] == other["before"]
    assert json.loads(said("--json", "--since", "2999-01-01")) == []
    assert said("--since", "2999-01-01") == "no figure was restated\n"
    table = said("--week", "2026-W47")
    assert "later facts" in table
    assert "positions of R" in table
    assert "neighbourhood N1" in table
    assert "share before" not in said()
    assert runner.invoke(patrol, ["restatements", "--week", "2026-47"]).exit_code == 2


def test_the_reason_names_the_facts(connection: Connection) -> None:
    """Positions by device with their times, a duty's revision, a state's officer; of many, how many more."""
    day = MONDAY - 10 * HOUR

    def at(kind: str, name: str, first: int, last: int, revision: int | None = None) -> Mark:
        return Mark(kind, name, day, MONDAY, first, last, "O1", revision)

    marks = [
        at("positions", "R1", day + HOUR, day + 2 * HOUR),
        at("positions", "R1", day + 3 * HOUR, day + 4 * HOUR),
        at("doubt", "D1", day, day),
        at("duty", "D1", day, MONDAY, 2),
        at("state", "O1", day + 5 * HOUR, day + 5 * HOUR),
    ]
    assert settled.reason(marks) == (
        "revision 2 of duty D1; positions of R1 from 2026-11-22 15:00 to 2026-11-22 18:00; "
        "a state of officer O1 from 2026-11-22 19:00"
    )
    assert settled.reason(marks[2:3]) == "duty D1 judged again for contradictions (rule 21)"
    many = [at("positions", f"R{n}", day + n * HOUR, day + n * HOUR) for n in range(9)]
    assert settled.reason(many).endswith("; and 3 more")


Values = tuple[bool, list[int]] | None


def joined(
    found: list[Restatement], week: str | None = None
) -> dict[tuple[str, str, str], tuple[Values, Values]]:
    """What all restatements come to, each of which begins where the one before it ended."""
    steps: dict[tuple[str, str, str], list[Values]] = {}
    for restatement in found:
        for item in restatement.restated:
            if week not in (None, item.week):
                continue
            passed = steps.setdefault((item.week, item.scope, item.id), [])
            before, after = (
                None if figures is None else (figures.has_share, times(figures))
                for figures in (item.before, item.after)
            )
            assert before != after
            if passed:
                assert passed[-1] == before
            else:
                passed.append(before)
            passed.append(after)
    return {key: (passed[0], passed[-1]) for key, passed in steps.items() if passed[0] != passed[-1]}


def changed(before: WeekFigures, after: WeekFigures) -> dict[tuple[str, str, str], tuple[Values, Values]]:
    """The figures that differ, as ``joined`` gives them."""
    return {
        (item.week, item.scope, item.id): (
            None if item.before is None else (item.before.has_share, times(item.before)),
            None if item.after is None else (item.after.has_share, times(item.after)),
        )
        for item in difference(before, after)
    }
