"""What has been restated (rule 20): command, API and page tell the same, whole or page by page."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from stream.cli import patrol
from stream.clock import wall
from stream.core.calendar import Period
from stream.core.facts import SECOND
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER, Figures
from stream.settings import Settings
from stream.store.pool import Pool
from stream.store.records import CAUSES, Restated, RestatedPlace
from stream.store.schema import connect
from stream.store.settled import record
from stream.web.app import create_app
from stream.web.weeks.restated import WORDS, place_of, place_words, router
from stream.web.weeks.shelf import Shelf
from tests.shell.stored import migrated
from tests.strategies import many
from tests.viewing import ruled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

TARGET = 0.8
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each example empties its record."""
    with migrated(database_server, "restated") as found:
        yield found


@pytest.fixture(scope="module")
def app(dsn: str) -> Iterator[FastAPI]:
    """The paths of the record over it."""
    settings = Settings(database=dsn, clock="events")
    pool = Pool(settings)
    found = ruled()
    found.include_router(router(Shelf(settings, pool, wall)))
    yield found
    pool.close()


def ask(app: FastAPI, path: str, query: Mapping[str, str] | None = None) -> httpx.Response:
    """An answer of the application, with nothing between."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, params=query)

    return asyncio.run(asked())


# ── Records ───────────────────────────────────────────────────────────────────────────────────────────────

SIGNS = st.characters(codec="utf-8", exclude_characters="\0")
"""What a text of the database may hold."""

IDS = st.one_of(
    st.sampled_from(("N1", "E05001784", "1001", "a/b", "N 1", "é", "n1", "A.b", "100%", "<i>x</i>", "")),
    st.text(SIGNS, max_size=6),
)
"""Ids of areas and officers as forces write them, and worse."""

TEXTS = st.text(SIGNS, max_size=20)
PERIODS = st.sampled_from(("2026-W44", "2026-W45", "2026-W53", "2026-10", "2026-11"))
TIMES = st.integers(0, 400_000).map(lambda seconds: seconds * SECOND)


@st.composite
def figures(draw: st.DrawFn, scope: str, name: str, period: str) -> Figures | None:
    """A figure of a week or month; at times none."""
    if draw(st.integers(0, 4)) == 0:
        return None
    on, off, unknown = draw(TIMES), draw(TIMES), draw(TIMES)
    doubtful = draw(st.integers(0, on // 2))
    whole = Period.called(period)
    return Figures(
        scope,
        name,
        whole.start,
        whole.end,
        on_patch=on,
        off_patch=off,
        unknown=unknown,
        ambiguous_on=draw(st.integers(0, on // 2)),
        doubtful=doubtful,
        only_doubtful_on=doubtful // 2,
        has_share=scope != OFFICER or draw(st.booleans()),
    )


@st.composite
def restated(draw: st.DrawFn) -> Restated:
    """A figure before and after, which differ."""
    scope = draw(st.sampled_from((FORCE, NEIGHBOURHOOD, NEIGHBOURHOOD, OFFICER)))
    name = FORCE if scope == FORCE else draw(IDS)
    period = draw(PERIODS)
    before = draw(figures(scope, name, period))
    after = draw(figures(scope, name, period))
    if before == after:
        whole = Period.called(period)
        after = Figures(scope, name, whole.start, whole.end, on_patch=500_000 * SECOND)
    return Restated(period, scope, name, before, after)


@dataclass(frozen=True)
class Entry:
    """A restatement that is to be put on record."""

    cause: str
    by: str
    why: str
    restated: tuple[Restated, ...]


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from(CAUSES),
        TEXTS,
        TEXTS,
        st.lists(
            restated(), min_size=1, max_size=5, unique_by=lambda item: (item.week, item.scope, item.id)
        ).map(tuple),
    ),
    max_size=8,
)
"""Records, the oldest restatement first."""


def one(scope: str, name: str, week: str, before: int | None, after: int | None) -> Restated:
    """A restated figure of so many hours on patch of ten, before and after."""
    period = Period.called(week)

    def made(hours: int | None) -> Figures | None:
        if hours is None:
            return None
        on, off = hours * 3600 * SECOND, (10 - hours) * 3600 * SECOND
        return Figures(scope, name, period.start, period.end, on_patch=on, off_patch=off)

    return Restated(week, scope, name, made(before), made(after))


EVERY_CAUSE = [
    Entry(
        cause,
        "worker",
        f"because of {cause}",
        (
            one(FORCE, FORCE, week, 7, 8),
            one(NEIGHBOURHOOD, "N1", week, None, 9),
            one(NEIGHBOURHOOD, "N2", week, 8, None),
            one(OFFICER, "O1", week, 3, 4),
        ),
    )
    for cause, week in zip(CAUSES, ["2026-W44"] * 3 + ["2026-W45"] * 3 + ["2026-10"], strict=True)
]


def put(connection: Connection, entries: list[Entry]) -> None:
    """Makes these the only ones on record."""
    connection.execute("truncate restated, restatement restart identity cascade")
    for item in entries:
        record(connection, item.cause, 3, Period.week("2026-W44").start, item.by, item.why, item.restated)


# ── What the three say ────────────────────────────────────────────────────────────────────────────────────


def commanded(dsn: str, *words: str) -> list[Any]:
    """What the command says as JSON."""
    found = CliRunner(env={"PATROL_DATABASE": dsn}).invoke(patrol, ["restatements", "--json", *words])
    assert found.exit_code == 0, found.output
    return list(json.loads(found.output))


def answered(app: FastAPI, query: dict[str, str]) -> list[Any]:
    """What the API says, all its pages joined: a restatement that goes on is one."""
    whole: list[Any] = []
    query, passed = dict(query), set[str]()
    while True:
        reply = ask(app, "/api/v1/restatements", query)
        assert reply.status_code == 200, reply.text
        said = reply.json()
        assert sum(len(item["restated"]) for item in said["restatements"]) <= int(query.get("limit", "100"))
        for item in said["restatements"]:
            if whole and whole[-1]["restatement"] == item["restatement"]:
                assert {**whole[-1], "restated": []} == {**item, "restated": []}
                whole[-1]["restated"] += item["restated"]
            else:
                whole.append(item)
        if said["next"] is None:
            return whole
        assert said["next"] not in passed, "the answers go round in a circle"
        passed.add(said["next"])
        query["after"] = said["next"]


@dataclass
class Rows(HTMLParser):
    """The rows of the page: the figure, its shares and verdicts before and after; and where it goes on.

    Attributes:
        rows: ``[figure, [share before, share after], [verdict before, verdict after]]``.
        texts: all that a person reads.
    """

    rows: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    more: str = ""
    texts: str = ""
    _cell: int = 0
    _in: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        said = dict(attrs)
        self._in = tag
        if tag == "tr" and "data-of" in said:
            self.rows.append((said["data-of"] or "", ["", ""], ["", ""]))
            self._cell = -2
        elif tag == "td":
            self._cell += 1
        elif tag == "data":
            self.rows[-1][1][self._cell] = said["value"] or ""
        elif tag == "a" and said.get("rel") == "next":
            self.more = said["href"] or ""

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        self._in = ""

    def handle_data(self, data: str) -> None:
        """Text."""
        self.texts += data
        if self._in == "b":
            self.rows[-1][2][self._cell] += data


def shown(app: FastAPI, query: Mapping[str, str]) -> tuple[list[tuple[str, list[str], list[str]]], str]:
    """What the page shows, all its pages joined, and their texts."""
    found, passed = Rows(), set[str]()
    reply = ask(app, "/restatements", query)
    while True:
        assert reply.status_code == 200, reply.text
        assert "<script" not in reply.text
        found.more = ""
        found.feed(reply.text)
        if not found.more:
            return found.rows, found.texts
        assert found.more not in passed, "the pages go round in a circle"
        passed.add(found.more)
        reply = ask(app, found.more)


def rows_of(said: list[Any]) -> list[tuple[str, list[str], list[str]]]:
    """The rows that the page has to show, of what the API says."""
    found = []
    for item in said:
        for part in item["restated"]:
            sides = [part["before"] or {}, part["after"] or {}]
            shares = [side.get("share") for side in sides]
            verdicts = [side.get("verdict") if part["scope"] != OFFICER else None for side in sides]
            found.append(
                (
                    " ".join((str(item["restatement"]), part["week"], part["scope"], part["id"])),
                    ["" if share is None else repr(share) for share in shares],
                    [verdict or "" for verdict in verdicts],
                )
            )
    return found


def newest_first(said: list[Any]) -> list[Any]:
    """What the command says in the order of the API."""
    for item in said:
        item["restated"].sort(key=lambda part: (part["scope"], part["id"]))
        item["restated"].sort(key=lambda part: part["week"], reverse=True)
    return said[::-1]


@many(40)
@given(
    entries=ENTRIES,
    limit=st.integers(1, 9),
    week=st.sampled_from(("", "2026-W44", "2026-W53")),
    month=st.sampled_from(("", "2026-10", "2026-11")),
    area=st.sampled_from(("", "N1", "a/b", "é")),
    cause=st.sampled_from(("", *CAUSES)),
)
@example(entries=EVERY_CAUSE, limit=3, week="", month="", area="", cause="")
@example(entries=EVERY_CAUSE, limit=2, week="", month="2026-10", area="N1", cause="")
@example(entries=EVERY_CAUSE, limit=1, week="2026-W45", month="", area="N2", cause="policy")
@example(entries=EVERY_CAUSE, limit=9, week="2026-W44", month="2026-10", area="", cause="")
@example(entries=EVERY_CAUSE, limit=9, week="2026-W45", month="2026-10", area="", cause="")
@example(entries=[], limit=1, week="", month="", area="", cause="")
def test_command_api_and_page_tell_the_same(
    dsn: str, app: FastAPI, entries: list[Entry], limit: int, week: str, month: str, area: str, cause: str
) -> None:
    """Whatever is on record and asked for, in pages of any size, the three tell the same figures in order."""
    with connect(dsn) as connection:
        put(connection, entries)
    given = {"week": week, "month": month, "area": area, "cause": cause}
    query = {name: text for name, text in given.items() if text}
    words = [word for name, text in query.items() for word in (f"--{name}", text)]
    said = newest_first(commanded(dsn, *words))
    assert answered(app, query | {"limit": str(limit)}) == said
    rows, texts = shown(app, query | {"limit": str(limit)})
    assert rows == rows_of(said)
    kept = [
        (number, part.week, part.scope, part.id)
        for number, item in enumerate(entries, 1)
        for part in item.restated
        if (not area or (part.scope, part.id) == (NEIGHBOURHOOD, area))
        and (not cause or item.cause == cause)
        and (not week or part.week == week)
        and (not month or part.week in (*Period.month(month).weeks, month))
    ]
    assert sorted(kept) == sorted(
        (item["restatement"], part["week"], part["scope"], part["id"])
        for item in said
        for part in item["restated"]
    )
    if not kept:
        assert ("that fits was restated" if query else "was ever restated") in texts
    if not query:
        assert all(WORDS[item.cause] in texts for item in entries)


@given(
    number=st.integers(1, 10**9 - 1),
    week=PERIODS,
    scope=st.sampled_from((FORCE, NEIGHBOURHOOD, OFFICER)),
    name=TEXTS,
)
def test_a_place_in_the_record_is_read_as_it_was_written(
    number: int, week: str, scope: str, name: str
) -> None:
    """Whatever an id contains, the place of its figure survives being an address's parameter."""
    place = RestatedPlace(number, week, scope, name)
    assert place_of(place_words(place)) == place


@pytest.mark.parametrize(
    "query",
    [
        "week=2026-47",
        "week=2026-W99",
        "month=2026-13",
        "month=2026-W44",
        "cause=weather",
        "limit=0",
        "limit=1001",
        "after=12",
        "after=99999999999.2026-W44.force.force",
        "after=1.2026-W44.force.%00",
        "area=%00",
        "area=",
        "week=2026-W44&week=2026-W45",
        "number=3",
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_reason(dsn: str, query: str) -> None:
    """A parameter that makes no sense is refused, with a sentence that says why."""
    reply = ask(create_app(Settings(database=dsn)), f"/api/v1/restatements?{query}")
    assert reply.status_code in (400, 404)
    assert reply.json()["detail"]


def test_a_recompute_that_has_not_ended_is_said(dsn: str, app: FastAPI) -> None:
    """What a recompute has changed so far is not on record: API and page say so as the command does."""
    with connect(dsn) as connection:
        put(connection, EVERY_CAUSE)
        connection.execute(
            "insert into recompute_run (start_at, end_at, edition, until_at, begun_by, why) "
            "values ('2026-10-26T00:00Z', '2026-11-02T00:00Z', 1, '2026-11-02T00:00Z', 'Sgt A', 'a test')"
        )
        connection.execute("insert into recompute_part values (1, '{}', '{}', now(), now(), true)")
    try:
        told = ask(app, "/api/v1/restatements").json()["unfinished"]
        assert told == {
            "from": "2026-10-26T00:00:00.000000Z",
            "to": "2026-11-02T00:00:00.000000Z",
            "begun_by": "Sgt A",
            "parts_done": 1,
            "parts": 1,
        }
        assert "begun by Sgt A" in shown(app, {})[1]
        assert (
            "begun by Sgt A"
            in CliRunner(env={"PATROL_DATABASE": dsn}).invoke(patrol, ["restatements"]).output
        )
    finally:
        with connect(dsn) as connection:
            connection.execute("truncate recompute_run, recompute_part")


def test_what_an_old_record_did_not_count_is_not_made_up(dsn: str, app: FastAPI) -> None:
    """A record from before bounds were counted has no bounds and no verdict, in all three."""
    with connect(dsn) as connection:
        put(connection, [Entry("facts", "Sgt A", "a test", (one(NEIGHBOURHOOD, "N1", "2026-W44", 5, 9),))])
        connection.execute(
            "update restated set before = before[1:6] || array[null, null]::bigint[], "
            "after = after[1:6] || array[null, null]::bigint[]"
        )
    [said] = answered(app, {})
    assert commanded(dsn) == [said]
    [part] = said["restated"]
    for side in (part["before"], part["after"]):
        assert [side[name] for name in ("share_low", "share_high", "verdict", "doubtful_s")] == [None] * 4
    rows, texts = shown(app, {})
    assert rows == rows_of([said])
    assert texts.count("bounds not counted then") == 2
    assert "the verdict is another" not in texts


def test_a_verdict_that_turned_is_marked_and_no_officer_has_one(dsn: str, app: FastAPI) -> None:
    """From missed to met is marked, from 30% to 40% is not, and of an officer no verdict is said."""
    with connect(dsn) as connection:
        put(connection, [replace(EVERY_CAUSE[0], restated=(one(NEIGHBOURHOOD, "N1", "2026-W44", 7, 8),))])
    assert "Marked: the verdict is another" in shown(app, {})[1]
    with connect(dsn) as connection:
        put(connection, [replace(EVERY_CAUSE[0], restated=(one(NEIGHBOURHOOD, "N1", "2026-W44", 3, 4),))])
    assert "Marked" not in shown(app, {})[1]
    with connect(dsn) as connection:
        put(connection, [replace(EVERY_CAUSE[0], restated=(one(OFFICER, "O1", "2026-W44", 7, 8),))])
    rows, texts = shown(app, {})
    assert rows[0][1:] == (["0.7", "0.8"], ["", ""])
    assert "Marked" not in texts


def test_every_cause_has_words_and_is_let_on_record(dsn: str) -> None:
    """The database takes just the causes that the page has words for."""
    assert set(WORDS) == set(CAUSES)
    with connect(dsn) as connection:
        [(check,)] = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = 'restatement_cause_check'"
        ).fetchall()
    assert sorted(part for part in str(check).split("'") if part in CAUSES) == sorted(CAUSES)
