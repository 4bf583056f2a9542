"""The weekly timer: when reports are due, and that each is there once, whoever works or is killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER
from stream import topics
from stream.core.calendar import LOCAL, WEEK, Period, local_day, microseconds, moment, rfc3339
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.shares import NEIGHBOURHOOD
from stream.pipeline import weekly
from stream.pipeline.agents import run
from stream.pipeline.mail import NEWS, read_mailing
from stream.pipeline.processes import start
from stream.pipeline.weekly import AGAIN, PATIENCE_S, Timer, last_due, plan, publish_due, send_due
from stream.reports.view import restated
from stream.settings import EVENTS, WALL, Settings, SettingsError
from stream.store import reports
from stream.store.policies import in_force
from stream.store.pool import Pool
from stream.store.reading.live import newest_event
from stream.store.reading.summaries import summaries
from stream.store.records import Restated, restatements
from stream.store.schema import Lock, connect, lock, migrate
from stream.store.settled import WORKER, record
from stream.web.weeks.shelf import Shelf
from tests.shell.pipeline import Message, Pipeline
from tests.shell.stored import migrated, outbox_rows
from tests.shell.town import MINUTE, SPOTS, Town
from tests.strategies import fix_columns, micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stream.core.summaries.model import Summary
    from stream.embedded import EmbeddedBroker, EmbeddedDatabase
    from stream.store.schema import Connection

HOUR = 60 * MINUTE
MONDAY_SIX = (0, 6, 0)
W03 = micros("2026-01-12T00:00:00+00:00")
"""The Monday on which week 2026-W03 begins."""
WEEK_US = 7 * 24 * HOUR
DEADLINE_S = 120.0

AREAS = ("N1", "N2")


# ── When ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.integers(365 * 24 * HOUR, 128 * 365 * 24 * HOUR),
    st.integers(0, 6),
    st.integers(0, 23),
    st.sampled_from([0, 1, 30, 59]),
)
def test_reports_are_due_at_the_last_such_local_time(now: int, day: int, hour: int, minute: int) -> None:
    """Of all local times of that day and hour it is the last one that is not later than now."""
    today = local_day(now)
    around = [today + timedelta(days=offset) for offset in range(-9, 2)]
    times = [
        microseconds(datetime(item.year, item.month, item.day, hour, minute, tzinfo=LOCAL))
        for item in around
        if item.weekday() == day
    ]
    assert last_due(now, (day, hour, minute)) == max(time for time in times if time <= now)


@pytest.mark.parametrize(
    ("monday", "due", "hours", "week"),
    [
        (date(2026, 10, 26), "2026-10-26T06:00:00+00:00", 169, "2026-W43"),
        (date(2027, 3, 29), "2027-03-29T05:00:00+00:00", 167, "2027-W12"),
        (date(2026, 1, 19), "2026-01-19T06:00:00+00:00", 168, "2026-W03"),
    ],
)
def test_the_weeks_of_the_clock_changes_are_due_at_six_as_the_clock_shows_it(
    monday: date, due: str, hours: int, week: str
) -> None:
    """After weeks of 169, 167 and 168 hours reports are due at 06:00 on the wall, so long after the last."""
    at = micros(due)
    assert last_due(at, MONDAY_SIX) == at
    assert at - last_due(at - 1, MONDAY_SIX) == hours * HOUR
    assert moment(at).astimezone(LOCAL).date() == monday
    [last] = Period.around("week", at).before(1)
    assert (last.name, last.end - last.start) == (week, hours * HOUR)


@pytest.fixture(scope="module")
def booked(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """A database in which one duty was on the Tuesday of 2026-W03, for the tests of the plan."""
    with migrated(database_server, "weekly_plan") as dsn, connect(dsn) as connection:
        connection.execute("insert into officer (officer_id) values ('O1')")
        connection.execute(
            "insert into duty (duty_id, officer, revision, start_at, patch, cancelled) "
            "values ('D', 1, 1, %s, '{N1}', false)",
            [moment(W03 + 33 * HOUR)],
        )
        yield connection


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=12), st.integers(1, 14))
def test_whatever_runs_were_missed_or_broken_off_each_week_is_published_once(
    booked: Connection, runs: list[tuple[int, int]], back: int
) -> None:
    """Of any runs, some broken off after a few weeks, none does what is done; the last leaves nothing undone.

    Each run is so many half weeks after the one before, and ends after so many weeks of its plan.
    """
    booked.execute("delete from report_run")
    now, looked = W03, set[tuple[int, str]]()
    for wait, broken_off in [*runs, (0, 99)]:
        now += wait * WEEK_US // 2
        due = last_due(now, MONDAY_SIX)
        planned = plan(booked, due, back)
        assert planned == sorted(planned, key=lambda week: week.start)
        for week in planned[:broken_off]:
            assert W03 < week.end <= due
            assert (due, week.name) not in looked
            looked.add((due, week.name))
            booked.execute("insert into report_run values (%s, %s, now(), 0)", [moment(due), week.name])
    assert plan(booked, due, back) == []
    last = Period.around("week", due)
    within = [week.name for week in last.before(max(back, AGAIN)) if week.end > W03 + 33 * HOUR]
    assert {name for _, name in looked} >= set(within)
    assert {name for at, name in looked if at == due} >= set(within[-AGAIN:])


# ── A town with some weeks behind it ──────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Force:
    """A town, the clock on its wall, and what happened in its weeks."""

    town: Town
    now: int = W03
    timers: list[Timer] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """Settings of a worker there."""
        return Settings(database=self.town.dsn)

    def wall(self) -> int:
        """The clock."""
        return self.now

    def shift(self, start: int, officer: str = "O1", *, spot: str = "west", hours: int = 2) -> None:
        """An officer of the west is on duty and reports every few minutes from some place."""
        radio = f"R{officer[1:]}"
        self.town.book(
            Duty(
                f"D-{officer}-{start}",
                1,
                officer,
                start,
                start + hours * HOUR,
                ("N1",),
                (Allocation(radio, "radio"),),
                name=f"PC {officer}",
                team="NT1",
            )
        )
        self.tell(radio, range(start, start + hours * HOUR + 1, 4 * MINUTE), spot)

    def tell(self, radio: str, times: range | list[int], spot: str = "west") -> None:
        """A radio reports from a place."""
        self.town.ledger.positions(fix_columns([(radio, time, *SPOTS[spot], None) for time in times]))

    def work(self, **changes: object) -> weekly.Done:
        """What is due is published."""
        return publish_due(replace(self.settings, **changes), wall=self.wall)  # type: ignore[arg-type]

    def timer(self, *, steady: Callable[[], float] = time.monotonic, **changes: object) -> Timer:
        """A worker's timer."""
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        made = Timer(settings, wall=self.wall, steady=steady)
        self.timers.append(made)
        return made

    def is_so(self, query: str) -> bool:
        """What the database answers."""
        return self.town.connection.execute(query.encode()).fetchone() == (True,)

    def numbers(self) -> dict[tuple[str, str], int]:
        """How many reports there are of each week and neighbourhood; the numbers go up from 1."""
        found: dict[tuple[str, str], list[int]] = {}
        for period, area_id, number in self.town.connection.execute(
            "select period, area_id, number from report order by report"
        ).fetchall():
            found.setdefault((str(period), str(area_id)), []).append(int(str(number)))
        assert all(item == list(range(1, len(item) + 1)) for item in found.values())
        return {key: len(item) for key, item in sorted(found.items())}

    def summary(self, week: str, area_id: str = "N1") -> Summary:
        """A summary as counted now."""
        [found] = summaries(
            self.town.connection,
            in_force(self.town.connection),
            Period.week(week),
            area_ids=[area_id],
            now=self.now,
        )
        return found


@pytest.fixture
def force(database: str) -> Iterator[Force]:
    """A force that begins in the week 2026-W03, with a shift on its Tuesday."""
    town = Town(database, now=W03).begin()
    made = Force(town)
    made.shift(W03 + 33 * HOUR)
    yield made
    for timer in made.timers:
        timer.close()
    town.close()


def once(*weeks: str) -> dict[tuple[str, str], int]:
    """Each week's reports once."""
    return {(week, area_id): 1 for week in weeks for area_id in AREAS}


def six(weeks: int) -> int:
    """Monday 06:00 at the end of the week so many after 2026-W03."""
    return W03 + (weeks + 1) * WEEK_US + 6 * HOUR


# ── What ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_week_is_published_on_monday_at_six_and_not_before(force: Force) -> None:
    """Just before 06:00 there is no report; at 06:00 there is one of each neighbourhood; later no other."""
    force.now = six(0) - 1
    assert force.work().weeks == ()
    assert force.numbers() == {}
    force.now = six(0)
    done = force.work()
    assert (done.weeks, done.written) == (("2026-W03",), 2)
    assert force.numbers() == once("2026-W03")
    for force.now in (six(0) + 1, six(0) + HOUR, six(1) - 1):
        assert force.work().weeks == ()
    assert force.numbers() == once("2026-W03")


def test_what_is_published_is_what_is_counted(force: Force) -> None:
    """The stored report is the summary, byte for byte, with its figures beside it for lists."""
    force.now = six(0)
    summary = force.summary("2026-W03")
    force.work()
    connection = force.town.connection
    assert reports.read(connection, "2026-W03", "N1") == summary
    [entry] = reports.numbers(connection, "2026-W03", "N1")
    assert entry.figures == summary.figures
    assert (entry.verdict, entry.target) == (summary.verdict, 0.8)
    assert entry.figures.on_patch == 2 * HOUR
    assert (entry.published_at, entry.published_by, entry.as_of) == (six(0), weekly.BY, summary.basis.as_of)
    assert connection.execute(
        "select share, verdict, figures[4] from report where area_id = 'N1'"
    ).fetchone() == (summary.figures.share, summary.verdict, 2 * HOUR)
    assert connection.execute(
        "select share, verdict, sha256 = encode(sha256(document), 'hex') from report where area_id = 'N2'"
    ).fetchone() == (None, None, True)


def test_an_outage_over_two_mondays_is_made_up_for(force: Force) -> None:
    """When nobody was there on two Mondays, both weeks are published afterwards, the older one first."""
    force.shift(W03 + WEEK_US + 33 * HOUR)
    force.now = six(1) + 5 * HOUR
    assert force.work().weeks == ("2026-W03", "2026-W04")
    assert force.numbers() == once("2026-W03", "2026-W04")
    assert force.work().weeks == ()


def test_a_long_outage_is_made_up_for_as_far_back_as_the_setting_says(force: Force) -> None:
    """So many weeks are published late, and none from before the first duty."""
    force.now = six(7)
    assert force.work(report_weeks=6).weeks == tuple(f"2026-W{week:02d}" for week in range(5, 11))
    assert force.work(report_weeks=20).weeks == ("2026-W03", "2026-W04")
    assert force.work(report_weeks=52).weeks == ()


def test_nothing_is_published_where_nobody_ever_was_on_duty(database: str) -> None:
    """A database without duties has no reports, and no run is noted: facts may come."""
    town = Town(database, now=W03).begin()
    with connect(database) as connection:
        assert plan(connection, six(0), 12) == []
    town.close()


def test_later_facts_make_a_second_number_on_the_next_monday(force: Force) -> None:
    """Facts that arrive after publication are told by the next number, with before and after on record."""
    force.now = six(0)
    force.work()
    first = reports.document(force.town.connection, "2026-W03", "N1")
    before = force.summary("2026-W03").figures
    force.now += HOUR
    force.shift(W03 + 60 * HOUR, "O2", spot="east")
    assert force.work().weeks == ()  # not every few seconds
    force.now = six(1)
    assert force.work().weeks == ("2026-W03", "2026-W04")
    assert force.numbers() == {**once("2026-W03", "2026-W04"), ("2026-W03", "N1"): 2}
    connection = force.town.connection
    after = force.summary("2026-W03").figures
    assert after != before
    [change] = reports.changes(connection, "2026-W03", "N1")
    assert (change.before, change.after, change.recorded_at) == (before, after, six(1))
    [found] = restatements(connection)
    assert (change.number, change.cause, change.by) == (found.number, reports.LATER_FACTS, WORKER)
    assert change.why == found.why
    assert "revision 1 of duty " in change.why
    assert "positions of R2 from " in change.why
    second = reports.read(connection, "2026-W03", "N1")
    assert second is not None
    assert (second.changes, second.figures) == ((change,), after)
    assert reports.document(connection, "2026-W03", "N1", 1) == first
    assert [item.number for item in reports.numbers(connection, "2026-W03", "N1")] == [1, 2]
    assert reports.changes(connection, "2026-W03", "N2") == ()


def test_weeks_are_looked_at_again_for_four_mondays(force: Force) -> None:
    """On the fourth Monday a change still makes a new number; after that the week stands."""
    for weeks in range(AGAIN):
        force.now = six(weeks)
        force.work()
    force.shift(W03 + 60 * HOUR, "O2", spot="east")
    assert ("2026-W03", "N1") in force.numbers()
    force.now = six(AGAIN)
    assert "2026-W03" not in force.work().weeks
    assert force.numbers()["2026-W03", "N1"] == 1
    force.shift(W03 + WEEK_US + 60 * HOUR, "O2", spot="east")
    force.now = six(AGAIN) + 1
    force.town.connection.execute("delete from report_run where due = %s", [moment(six(AGAIN))])
    force.work()
    assert force.numbers()["2026-W04", "N1"] == 2


def test_a_restatement_on_record_is_not_told_twice(force: Force) -> None:
    """A recorded restatement that accounts for the difference between two numbers stands alone."""
    connection = force.town.connection
    force.now = six(0)
    force.work()
    before = force.summary("2026-W03").figures
    force.shift(W03 + 60 * HOUR, "O2", spot="east")
    after = force.summary("2026-W03").figures
    restated = Restated("2026-W03", NEIGHBOURHOOD, "N1", before, after)
    number = record(connection, "facts", None, W03, "Sgt A", "a radio found", [restated])
    connection.execute("update restatement set recorded_at = %s", [moment(six(0) + HOUR)])
    force.now = six(1)
    force.work()
    [change] = reports.changes(connection, "2026-W03", "N1")
    assert (change.number, change.by, change.why) == (number, "Sgt A", "a radio found")
    assert (change.before, change.after) == (before, after)
    second = reports.read(connection, "2026-W03", "N1")
    assert second is not None
    assert second.changes == (change,)


def test_later_facts_that_only_bring_doubt_make_a_new_number_that_says_so(force: Force) -> None:
    """Positions come late by which a radio stood still and said that it drove: the share stays, and the next
    number tells the bounds and the verdict before and after.
    """
    connection = force.town.connection
    force.now = six(0)
    force.work()
    start = W03 + 33 * HOUR
    late = fix_columns([("R1", start + at * MINUTE, *SPOTS["west"], None) for at in range(1, 120) if at % 4])
    force.town.ledger.positions(replace(late, speed_mps=np.full(len(late), 8.3, np.float32)))
    force.now = six(1)
    force.work()
    assert force.numbers()["2026-W03", "N1"] == 2
    [change] = reports.changes(connection, "2026-W03", "N1")
    assert change.before is not None
    assert change.after is not None
    assert (change.before.share, change.before.share_low) == (1.0, 1.0)
    assert (change.after.share, change.after.doubtful, change.after.share_low) == (1.0, 2 * HOUR, 0.0)
    second = reports.read(connection, "2026-W03", "N1")
    assert second is not None
    assert second.changes == (change,)
    assert restated(second).endswith(
        "before 100.0% (between 100.0% and 100.0%, met), after 100.0% (between 0.0% and 100.0%, not proven)."
    )


def test_a_report_is_not_published_again_because_it_was_asked_for_again(force: Force) -> None:
    """What is counted the same makes no new number, though names, later weeks and the time asked differ."""
    force.now = six(0)
    force.work()
    summary = force.summary("2026-W03")
    basis = replace(summary.basis, as_of=summary.end - 1, until=summary.end)
    other = replace(summary, area_name="Another name", basis=basis, past=())
    published = reports.publish(force.town.connection, [other], by="test", now=six(0) + 1)
    assert (published.written, published.unchanged) == ((), 1)
    moved = replace(summary.figures, on_patch=summary.figures.on_patch - 1, unknown=1)
    changed = replace(summary, figures=moved)
    [entry] = reports.publish(force.town.connection, [changed], by="test", now=six(0) + 2).written
    assert (entry.number, entry.figures) == (2, moved)


def test_a_week_that_is_not_over_is_not_published(force: Force) -> None:
    """Publishing a week that still runs is refused, and so is all that was to be published with it."""
    force.now = W03 + 2 * 24 * HOUR
    running = force.summary("2026-W03")
    done = replace(running, area_id="N9", complete=True)
    with pytest.raises(reports.ReportError, match="2026-W03 is not over: only a period that is over"):
        reports.publish(force.town.connection, [done, running], by="test", now=force.now)
    assert force.numbers() == {}


def test_what_was_published_cannot_be_changed(force: Force) -> None:
    """The database itself refuses to change a published report."""
    force.now = six(0)
    force.work()
    with pytest.raises(psycopg.errors.RaiseException, match="report 1 of N1 for 2026-W03 was published"):
        force.town.connection.execute("update report set verdict = 'met'")


def test_reports_are_listed(force: Force) -> None:
    """A period's list has the newest number of each neighbourhood; periods are listed newest first."""
    force.now = six(1)
    force.work()
    force.shift(W03 + 60 * HOUR, "O2", spot="east")
    force.now = six(2)
    force.work()
    connection = force.town.connection
    listed = reports.listing(connection, "2026-W03")
    assert [(item.area_id, item.number) for item in listed] == [("N1", 2), ("N2", 1)]
    weeks = connection.execute("select distinct period from report order by period desc").fetchall()
    assert weeks == [("2026-W05",), ("2026-W04",), ("2026-W03",)]
    assert reports.numbers(connection, "2026-W09", "N1") == []
    assert reports.read(connection, "2026-W03", "N1", 3) is None


# ── Who ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_at_once_publish_each_report_once(force: Force) -> None:
    """Of four that begin at the same instant one writes each report; the others find them unchanged."""
    force.shift(W03 + WEEK_US + 33 * HOUR)
    force.now = six(1)
    together = threading.Barrier(4)
    failures: list[BaseException] = []

    def at_once() -> None:
        try:
            together.wait()
            force.work()
        except BaseException as error:  # told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=at_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert force.numbers() == once("2026-W03", "2026-W04")


def test_one_worker_is_elected_and_another_takes_over(force: Force) -> None:
    """Only one of two timers says that there is work; when it is gone, the other does."""
    force.now = six(0)
    force.tell("R1", [six(0)])
    one, other = force.timer(), force.timer()
    assert (one.look(), other.look(), one.look()) == (True, False, True)
    one.close()
    until(other.look, "the server lets the other have the lock")
    force.work()
    assert not other.look()


def test_reports_wait_for_positions_that_are_on_their_way(force: Force) -> None:
    """After an outage reports wait until positions are counted beyond the week's end, though not for ever."""
    steady = [100.0]
    timer = force.timer(steady=lambda: steady[0])
    force.now = six(0)
    assert not timer.look()
    steady[0] += PATIENCE_S - 1
    assert not timer.look()
    force.tell("R1", [W03 + WEEK_US - SECOND])
    assert not timer.look()
    steady[0] += 1
    assert timer.look()
    force.now = six(1)
    assert not timer.look()
    force.tell("R1", [W03 + 2 * WEEK_US])
    assert timer.look()


def test_a_timer_that_lost_the_database_goes_on(force: Force) -> None:
    """A connection that breaks is an error once; the next look connects and is elected again."""
    force.now = six(0)
    force.tell("R1", [six(0)])
    timer = force.timer()
    assert timer.look()
    force.town.connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'patrol weekly timer'"
    )
    with pytest.raises(psycopg.OperationalError):
        timer.look()
    until(timer.look, "it is elected again")


def test_in_a_replay_the_newest_event_is_now(force: Force) -> None:
    """With the events' clock a week is due when events have reached Monday 06:00; without events never."""
    force.now = FOREVER
    timer = force.timer(clock=EVENTS)
    assert not timer.look()
    force.tell("R1", [six(0) - 1])
    assert not timer.look()
    force.tell("R1", [six(0)])
    assert timer.look()


@pytest.mark.parametrize("clock", [WALL, EVENTS])
def test_timer_and_pages_agree_on_whether_a_week_is_over(force: Force, clock: str) -> None:
    """By either clock pages call a week over from the microsecond on in which the timer may publish it."""
    week = Period.week("2026-W03")
    changes = {"clock": clock, "report_at": "Mon 00:00"}
    settings = replace(force.settings, **changes)  # type: ignore[arg-type]
    pool = Pool(settings)
    shelf = Shelf(settings, pool, force.wall)
    # Whatever it waits for, it has waited for long enough.
    timer = force.timer(steady=itertools.count(0, PATIENCE_S).__next__, **changes)
    said = []
    for newest in (week.end - 1, week.end):
        force.tell("R1", [newest])
        for force.now in (week.end - 1, week.end, week.end + 9 * HOUR):
            _, over = shelf.force(week, whole=False)
            assert timer.look() == over
            said.append(over)
    pool.close()
    assert said == ([False, True, True] * 2 if clock == WALL else [False] * 4 + [True] * 2)


def test_in_a_replay_without_events_nothing_is_over(database: str) -> None:
    """Before the first event of a replay no week is over, however late it is on the wall."""
    with connect(database) as connection:
        migrate(connection)
    settings = Settings(database=database, clock=EVENTS, report_at="Mon 00:00")
    pool = Pool(settings)
    shelf = Shelf(settings, pool, lambda: six(9))
    assert shelf.force(Period.week("2026-W03"), whole=False) == ([], False)
    assert [shelf.last()] == Period.around(WEEK, six(9)).before(1)
    pool.close()
    assert publish_due(settings, wall=lambda: six(9)) == weekly.Done((), 0)


# ── The letters ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mail(tmp_path: Path) -> dict[str, Any]:
    """Settings by which the sergeants of the west have mail, from a server that is not there."""
    file = tmp_path / "mail.toml"
    file.write_text(
        'from = "patrol@force.example"\n[recipients]\nN1 = ["a@force.example", "b@force.example"]\n'
    )
    return {"smtp": "smtp://localhost:9?tls=no", "mail": str(file)}


def queued(force: Force) -> list[tuple[str, int, str]]:
    """Week, number and recipient of all letters."""
    return [(item.period, item.number, item.recipient) for item in outbox_rows(force.town.connection)]


def test_letters_are_queued_with_their_report_and_only_for_news(force: Force, mail: dict[str, Any]) -> None:
    """New reports have letters; those of long ago, and numbers that change nothing said, have none."""
    force.now = six(2)
    force.work(**mail)
    assert queued(force) == [
        (week, 1, who) for week in ("2026-W04", "2026-W05") for who in ("a@force.example", "b@force.example")
    ]
    assert six(2) - (W03 + WEEK_US) > NEWS  # which is why W03 has none
    force.shift(W03 + WEEK_US + 60 * HOUR, "O2", spot="east")
    force.now = six(3)
    force.work(**mail)
    assert queued(force)[4:6] == [("2026-W04", 2, "a@force.example"), ("2026-W04", 2, "b@force.example")]
    # A quarter of a second elsewhere changes the figure, but nothing that a letter says.
    before = len(queued(force))
    summary = force.summary("2026-W04")
    figures = replace(summary.figures, on_patch=summary.figures.on_patch - 250_000, off_patch=250_000)
    changed = replace(summary, figures=replace(figures, off_patch=summary.figures.off_patch + 250_000))
    letters = read_mailing(mail["mail"]).letters
    [entry] = reports.publish(
        force.town.connection, [changed], by="test", now=force.now, letters=letters
    ).written
    assert (entry.number, len(queued(force))) == (3, before)


def test_letters_that_wait_are_work(force: Force, mail: dict[str, Any]) -> None:
    """While letters wait for a server that is away, the timer says so when their time comes."""
    force.now = six(0)
    force.work(**mail)
    timer = force.timer(**mail)
    assert timer.look()
    sent = send_due(replace(force.settings, **mail), wall=force.wall)
    assert (sent.sent, sent.postponed) == (0, 2)
    assert not timer.look()
    force.now += 61 * SECOND
    assert timer.look()


def test_a_mail_file_that_cannot_be_used_keeps_the_week_undone(force: Force, tmp_path: Path) -> None:
    """No report is published without the letters that belong to it."""
    force.now = six(0)
    with pytest.raises(SettingsError, match="mail file"):
        force.work(smtp="smtp://localhost:9?tls=no", mail=str(tmp_path / "none.toml"))
    assert force.numbers() == {}


def test_a_worker_says_at_once_that_its_mail_file_cannot_be_used(tmp_path: Path) -> None:
    """A worker does not start with a mail file that would fail on Monday."""
    settings = Settings(kafka="localhost:9", smtp="smtp://localhost", mail=str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match=r"mail file .*none\.toml"):
        asyncio.run(run(settings, asyncio.Event()))


# ── Killed ────────────────────────────────────────────────────────────────────────────────────────────────


def apart(force: Force) -> subprocess.Popen[bytes]:
    """The process that a worker starts, with the events' clock."""
    process = subprocess.Popen([sys.executable, "-m", "stream.pipeline.weekly"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(asdict(replace(force.settings, clock=EVENTS))))
    process.stdin.close()
    return process


def until(done: Callable[[], object], what: str) -> None:
    """Asks again and again until something is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, f"still not: {what}"
        threading.Event().wait(0.02)


AT_WORK = "select count(*) > 0 from pg_stat_activity where application_name = 'patrol reports'"
WAITING = f"{AT_WORK} and wait_event_type = 'Lock'"


@pytest.mark.parametrize("where", ["before it writes", "before it commits"])
def test_killed_in_the_middle_the_next_completes_and_none_is_there_twice(force: Force, where: str) -> None:
    """Killed before it writes, or with all written but not committed: nothing is there, and then all once."""
    force.tell("R1", [six(0)])
    with connect(force.town.dsn) as hindrance:
        hindrance.execute("begin")
        if where == "before it writes":
            lock(hindrance, Lock.REPORTS)
        else:
            hindrance.execute("insert into report_run values (%s, '2026-W03', now(), 0)", [moment(six(0))])
        process = apart(force)
        until(lambda: force.is_so(WAITING), "it waits for us")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        hindrance.execute("rollback")
    until(lambda: not force.is_so(AT_WORK), "the server has noticed")
    assert force.numbers() == {}
    assert apart(force).wait() == 0
    assert force.numbers() == once("2026-W03")


@pytest.mark.slow
def test_two_workers_make_each_report_once_though_one_is_killed(
    force: Force, embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Of two real workers the one at work is killed in the middle; the other completes, each report once."""
    force.shift(W03 + WEEK_US + 33 * HOUR)
    force.tell("R1", [six(1)])
    pipeline = Pipeline(embedded_broker.bootstrap, force.town.dsn, tmp_path)
    connection = force.town.connection
    holder = (
        "select pid from pg_locks where locktype = 'advisory' and granted and objid = %s and classid = %s"
    )
    halves = [Lock.TIMER & 0xFFFF_FFFF, Lock.TIMER >> 32]
    workers: list[subprocess.Popen[bytes]] = []
    logs = [tmp_path / f"worker{number}.log" for number in range(2)]
    try:
        pipeline.prepare()
        with connect(force.town.dsn) as hindrance, hindrance.transaction():
            lock(hindrance, Lock.REPORTS)
            for log in logs:
                with log.open("wb") as output:
                    workers.append(start("worker", environment=pipeline.environment, output=output.fileno()))
                # So that it is known which one is at work.
                until(lambda: connection.execute(holder, halves).fetchone(), "a worker is elected")
            until(lambda: force.is_so(WAITING), "its process waits for us")
            workers[0].kill()
            assert workers[0].wait() == -signal.SIGKILL
        until(lambda: force.numbers() == once("2026-W03", "2026-W04"), "all reports are there")
        until(lambda: not force.is_so(AT_WORK), "nobody is at work")
        workers[1].terminate()
        assert workers[1].wait() == 0
    finally:
        for process in workers:
            process.kill()
            process.wait()
    assert force.numbers() == once("2026-W03", "2026-W04")
    assert connection.execute("select count(*) from report_run").fetchone() == (2,)
    assert "Traceback" not in "".join(log.read_text() for log in logs)


def test_the_process_at_work_ends_when_it_is_told(force: Force) -> None:
    """Told to end, the process is gone at once, and what it had not committed is not there."""
    force.tell("R1", [six(0)])
    with connect(force.town.dsn) as hindrance, hindrance.transaction():
        lock(hindrance, Lock.REPORTS)
        process = apart(force)
        until(lambda: force.is_so(WAITING), "it waits for us")
        process.terminate()
        assert process.wait() == -signal.SIGTERM
    until(lambda: not force.is_so(AT_WORK), "the server has noticed")
    assert force.numbers() == {}


@pytest.mark.slow
def test_while_reports_are_published_the_worker_goes_on_counting(
    force: Force, embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Positions that come while reports are at work are counted, before any report is there."""
    force.tell("R1", [six(0)])
    later = six(0) + MINUTE
    with Pipeline(embedded_broker.bootstrap, force.town.dsn, tmp_path) as pipeline:
        with connect(force.town.dsn) as hindrance, hindrance.transaction():
            lock(hindrance, Lock.REPORTS)
            pipeline.wait(lambda: force.is_so(WAITING), "the process at work waits for us")
            lon, lat = SPOTS["west"]
            said = {"device_id": "R1", "time": rfc3339(later), "lon": lon, "lat": lat}
            pipeline.post([Message(topics.RADIO_POSITIONS, json.dumps(said).encode(), later)])
            pipeline.wait(lambda: newest_event(force.town.connection) == later, "the position is counted")
            assert force.is_so(WAITING)
            assert force.numbers() == {}
        pipeline.wait(lambda: force.numbers() == once("2026-W03"), "the reports are there")


def test_a_database_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    """Without a database the process ends with 3 and a line, no traceback."""
    settings = Settings(database=f"host={tmp_path} dbname=none")
    found = subprocess.run(
        [sys.executable, "-m", "stream.pipeline.weekly"],
        input=msgspec.json.encode(asdict(settings)),
        capture_output=True,
        check=False,
        env=dict(os.environ),
    )
    assert found.returncode == 3
    assert b"reports wait: connection" in found.stderr
    assert b"Traceback" not in found.stderr
