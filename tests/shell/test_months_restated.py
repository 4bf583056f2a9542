"""Published months after later facts (rule 20): what was restated since is said, the next number recorded."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stream.cli import patrol
from stream.core.calendar import Period, parse_time
from stream.core.facts import Allocation, Duty
from stream.core.summaries.disclosure import publish as public
from stream.settings import Settings
from stream.store import reports
from stream.store.ledger import Ledger
from stream.store.pool import Pool
from stream.store.reading.public_month import public_month, published_month
from stream.store.reading.summaries import summaries
from stream.store.records import MONTH_AGAIN, restatements, times
from stream.store.schema import connect
from stream.store.settled import restate_due, settle
from stream.web.months import residents
from stream.web.weeks import restated
from stream.web.weeks.shelf import Shelf
from tests.publics import World, summary, team
from tests.shell.stored import POLICIES, empty, fill, migrated, put_in_force
from tests.strategies import HOUR, many
from tests.viewing import ruled
from tests.worlds import wandering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from stream.core.summaries.model import Summary
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

MONTH = Period.month("2026-11")
OVER = parse_time("2026-12-01T06:00:00Z")
"""The month is over, and of its weeks all but the last, whose Monday is the month's last day."""

DAYS = {
    "the week before the month's first day": parse_time("2026-10-27T09:00:00Z"),
    "within": parse_time("2026-11-24T09:00:00Z"),
    "a week that is not settled": parse_time("2026-11-30T09:00:00Z"),
    "behind it": parse_time("2026-12-01T09:00:00Z"),
}


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module."""
    with migrated(database_server, "months_restated") as found:
        yield found


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to it, with a Monday of six officers in November."""
    with connect(dsn) as opened:
        begin(opened)
        yield opened


def begin(connection: Connection) -> None:
    """Empties the database and counts the world."""
    connection.execute("truncate outbox, report, report_run")
    empty(connection)
    put_in_force(connection)
    fill(connection, wandering(1))


def publish(connection: Connection, now: int) -> reports.Published:
    """Publishes the month as the command does."""
    settle(connection, MONTH.weeks_over(now))
    restate_due(connection, now)
    found = list(summaries(connection, POLICIES, MONTH, now=now))
    return reports.publish(connection, found, by="Insp B", now=now)


def booked(connection: Connection, number: int, start: int, area_id: str, hours: int = 8) -> None:
    """A duty of an officer of whom nothing was heard, booked late."""
    duty = Duty(
        f"L{number}",
        1,
        f"late {number}",
        start,
        start + hours * HOUR,
        (area_id,),
        (Allocation("R0", "radio"),),
    )
    Ledger(connection).bookings([duty], [])


# ── What is said ──────────────────────────────────────────────────────────────────────────────────────────


@many(5)
@given(seed=st.integers(0, 2**32 - 1))
def test_each_next_number_of_a_month_is_on_record(dsn: str, seed: int) -> None:
    """However late duties come and the month is published again, its record leads from each number of a
    report to the next with the figures of both; what was restated since the newest is what came after it.
    """
    random = Random(seed)
    with connect(dsn) as connection:
        begin(connection)
        now = OVER
        publish(connection, now)
        for number in range(3):
            at = random.choice(list(DAYS.values()))
            booked(connection, number, at, random.choice(("N0", "N1", "N2")), random.choice((1, 8)))
            now += HOUR
            before = {item.number for item in restatements(connection)}
            restate_due(connection, now)
            new = [item for item in restatements(connection) if item.number not in before]
            since = published_month(connection, MONTH.name).restated
            assert {item.number for items in since.values() for item in items} >= {
                item.number
                for item in new
                if any(part.scope == "neighbourhood" and part.week in MONTH.weeks for part in item.restated)
            }
            if random.random() < 0.7:
                now += HOUR
                written = publish(connection, now).written
                since = published_month(connection, MONTH.name).restated
                assert not since.keys() & {item.area_id for item in written}
        record = restatements(connection, periods=[MONTH.name])
        assert {item.cause for item in record} <= {MONTH_AGAIN}
        for area_id in ("N0", "N1", "N2", "N3"):
            said = [
                (times(part.before), times(part.after))
                for item in record
                for part in item.restated
                if part.id == area_id and part.before and part.after
            ]
            numbers = [times(item.figures) for item in reports.numbers(connection, MONTH.name, area_id)]
            assert said == [pair for pair in pairwise(numbers) if pair[0] != pair[1]]
        assert not any(
            week == MONTH.name for (week,) in connection.execute("select week from settled").fetchall()
        )


def test_the_reason_names_the_restatements_of_the_weeks(connection: Connection) -> None:
    """A month's restatement says which of its weeks were restated and why, as does the next number itself."""
    publish(connection, OVER)
    booked(connection, 1, DAYS["within"], "N1")
    assert restate_due(connection, OVER + HOUR)
    [entry] = publish(connection, OVER + 2 * HOUR).written
    assert (entry.area_id, entry.number) == ("N1", 2)
    [week, month] = restatements(connection)
    assert (month.cause, month.recorded_by, month.recorded_at) == (MONTH_AGAIN, "Insp B", OVER + 2 * HOUR)
    assert month.why == f"restatements of its weeks since it was published: {week.number} (duties, 2026-W48)"
    second = reports.read(connection, MONTH.name, "N1")
    assert second is not None
    [change] = second.changes
    assert (change.number, change.cause, change.why) == (month.number, MONTH_AGAIN, month.why)
    assert change.after == second.figures
    assert publish(connection, OVER + 3 * HOUR).written == ()


def test_days_of_a_week_that_is_not_settled_are_found_by_comparing(connection: Connection) -> None:
    """What changed on the month's last day, in a week that is not over, is on record with the next number."""
    publish(connection, OVER)
    booked(connection, 1, DAYS["a week that is not settled"], "N1")
    restate_due(connection, OVER + HOUR)
    assert restatements(connection) == []
    publish(connection, OVER + 2 * HOUR)
    [month] = restatements(connection)
    assert (month.cause, month.why) == (MONTH_AGAIN, "days of a week that was not settled changed")


def test_small_corrections_of_a_published_month_are_not_shown(connection: Connection) -> None:
    """A month stays as it was shown through small changes, until they come to enough (P9)."""

    def month(on: float) -> Summary:
        return summary(World(workers=team(6, on=on, calls=99 - on)))

    shown = []
    for number, on in enumerate((86.0, 85.2, 84.4, 83.6, 83.4), 1):
        [entry] = reports.publish(connection, [month(on)], by="Insp B", now=OVER + number).written
        assert entry.number == number
        shown += public_month(connection, "2026-10")
    first = public(month(86.0))
    assert shown[:2] == [first, first]
    third = replace(public(month(84.4)), corrected=True)
    assert shown[2:] == [third] * 3
    assert public(month(83.4)).share != third.share


# ── Where it is said ──────────────────────────────────────────────────────────────────────────────────────


def run(dsn: str, *words: str) -> Result:
    """A command over the database."""
    return CliRunner(env={"PATROL_DATABASE": dsn}).invoke(patrol, list(words))


def test_pages_and_commands_say_what_was_restated_since(
    dsn: str, connection: Connection, tmp_path: Path
) -> None:
    """The month's pages and its JSON name the weeks restated since it was published; published again, they no
    longer do, and the command and the page of restatements have the month's own figures before and after.
    """
    settings = Settings(database=dsn, clock="wall")
    pool = Pool(settings)
    shelf = Shelf(settings, pool, lambda: OVER + 9 * HOUR)
    app = ruled()
    app.include_router(residents.router(residents.Residents(shelf)))
    app.include_router(restated.router(shelf))

    def page(path: str) -> str:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get(path)

        reply = asyncio.run(asked())
        assert reply.status_code == 200, reply.text
        return reply.text

    def made() -> dict[str, Any]:
        words = ("report", "public", "--month", MONTH.name, "--now", "2026-12-02", "--out", str(tmp_path))
        return {item["area_id"]: item for item in json.loads(run(dsn, *words, "--json").stdout)}

    def published(now: str) -> Any:
        done = run(dsn, "report", "publish", "--month", MONTH.name, "--now", now, "--by", "Insp B", "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    try:
        assert made()["N1"]["published"] is None
        assert "not published yet" in page("/months/2026-11/N1")
        first = published("2026-12-01T06:00:00Z")
        assert (first["month"], {item["number"] for item in first["written"]}) == (MONTH.name, {1})
        assert (made()["N1"]["published"], made()["N1"]["restated_since"]) == (1, [])
        assert "from its published reports" in page("/months/2026-11/N1")
        assert "Weeks restated since" not in page("/months/2026-11/N1")

        booked(connection, 1, DAYS["within"], "N1")
        assert restate_due(connection, OVER + HOUR)
        [late] = restatements(connection)
        assert made()["N1"]["restated_since"] == [{"restatement": late.number, "weeks": ["2026-W48"]}]
        assert made()["N0"]["restated_since"] == []
        assert "Weeks restated since it was published: 2026-W48." in page("/months/2026-11/N1")
        assert "Weeks restated since" not in page("/months/2026-11/N0")
        assert "Weeks restated since it was published, of 1 neighbourhood: 2026-W48." in page(
            "/months/2026-11"
        )
        assert '"/restatements?month=2026-11&amp;area=N1">2026-W48</a>' in page("/months/2026-11")
        words = ("report", "public", "--month", MONTH.name, "--now", "2026-12-02", "--out", str(tmp_path))
        assert "weeks of 1 of them were restated since" in run(dsn, *words).output

        assert published("2026-12-01T08:00:00Z")["written"] == [{"area_id": "N1", "number": 2}]
        assert (made()["N1"]["published"], made()["N1"]["restated_since"]) == (2, [])
        assert "Weeks restated since" not in page("/months/2026-11/N1")
        said = json.loads(run(dsn, "restatements", "--month", MONTH.name, "--area", "N1", "--json").stdout)
        assert [(item["cause"], item["restated"][0]["week"]) for item in said] == [
            ("duties", "2026-W48"),
            (MONTH_AGAIN, MONTH.name),
        ]
        text = page(f"/restatements?month={MONTH.name}&area=N1")
        assert "A month&#39;s reports were published again" in text
        assert 'href="/months/2026-11/N1"' in text
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --week or --month"),
        (("--week", "2026-W48", "--month", "2026-11"), "give --week or --month"),
        (("--month", "2026-11", "--area", "N1"), "leave --area out"),
        (("--month", "2026-12", "--now", "2026-12-02"), "only a whole month can be published"),
        (("--month", "2026-W48"), "is not a month"),
    ],
)
def test_wrong_use_is_refused(dsn: str, words: tuple[str, ...], said: str) -> None:
    """A period is needed, one of the two kinds, over, and a month is published whole."""
    done = run(dsn, "report", "publish", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
