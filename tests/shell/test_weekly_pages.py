"""The weekly pages over HTTP: every number leads to parts that sum to it, and the API says the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from stream.core.calendar import Period, rfc3339
from stream.core.facts import StateReport
from stream.core.shares import NEIGHBOURHOOD, seconds
from stream.core.summaries.parts import Question, answer, explained, names_of, told
from stream.settings import Settings
from stream.store import reports
from stream.store.ledger import Ledger
from stream.store.pool import Pool
from stream.store.reading.summaries import facts_of, summaries
from stream.store.schema import connect
from stream.web.months import residents
from stream.web.weeks import restated
from stream.web.weeks.questions import asked, query_of
from stream.web.weeks.routes import router
from stream.web.weeks.shelf import Shelf
from tests.quarter import POLICIES
from tests.shell.screen import Web
from tests.shell.weekly_site import END, PUBLISHED_AT, WEEKS, WeeklySite, weekly_site
from tests.viewing import ruled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.core.shares import Figures
    from stream.core.summaries.counting import SummaryFacts
    from stream.core.summaries.model import Summary
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

pytestmark = pytest.mark.slow

BEFORE, CLOCKS_BACK, PUBLISHED, RUNNING = WEEKS
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def site(
    database_server: EmbeddedDatabase, weeks: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WeeklySite]:
    """The web process over four weeks."""
    folder = tmp_path_factory.mktemp("weekly")
    postcodes = folder / "postcodes.csv"
    postcodes.write_text("postcode,lat,long\nLE1 1AA,52.51,-1.19\nLE9 9ZZ,52.9,-1.9\nLE1 1AB,,0.0\n", "utf-8")
    with weekly_site(database_server, weeks, "weekly_pages", folder, postcodes=str(postcodes)) as found:
        yield found


@pytest.fixture(scope="module")
def client(site: WeeklySite) -> Iterator[httpx.Client]:
    """Somebody who asks."""
    with httpx.Client(base_url=site.address, timeout=120, headers=HTML) as found:
        yield found


@dataclass
class Read(HTMLParser):
    """What a page says to a program: links with their texts, and values.

    Attributes:
        links: ``(address, text)``.
        values: of ``data`` elements, by id where they have one.
        parts: of each row that is a part: its link and its values.
    """

    links: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    parts: list[tuple[str, list[int]]] = field(default_factory=list)
    _href: str | None = None
    _text: str = ""
    _in_part: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        said = dict(attrs)
        if tag == "tr":
            self._in_part = "part" in (said.get("class") or "").split()
            if self._in_part:
                self.parts.append(("", []))
        elif tag == "a":
            self._href, self._text = said.get("href") or "", ""
            if self._in_part and not self.parts[-1][0]:
                self.parts[-1] = (self._href, self.parts[-1][1])
        elif tag == "data":
            value = int(said.get("value") or "")
            if self._in_part:
                self.parts[-1][1].append(value)
            name = said.get("id") or said.get("data-of")
            if name:
                self.values[name] = value

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        if tag == "a" and self._href is not None:
            self.links.append((self._href, " ".join(self._text.split())))
            self._href = None
        elif tag == "tr":
            self._in_part = False

    def handle_data(self, data: str) -> None:
        """Text."""
        self._text += data


def read(client: httpx.Client, path: str) -> Read:
    """A page, which is there."""
    reply = client.get(path)
    assert reply.status_code == 200, (path, reply.text[-2000:])
    found = Read()
    found.feed(reply.text)
    return found


def all_parts(client: httpx.Client, path: str) -> tuple[int, list[tuple[str, list[int]]]]:
    """The number at the top of a page of parts, and its parts on all pages."""
    first = read(client, path)
    found = list(first.parts)
    mark = "&" if "?" in path else "?"
    for page in {href for href, _ in first.links if "page=" in href}:
        number = dict(parse_qsl(urlsplit(page).query))["page"]
        if number != "1":
            more = read(client, f"{path}{mark}page={number}")
            assert more.values["total"] == first.values["total"]
            found += more.parts
    return first.values["total"], found


# ── Numbers and their parts ───────────────────────────────────────────────────────────────────────────────


def numbers(summary: Summary) -> Iterator[tuple[Question, int]]:
    """Every time of a summary that stretches sum to, with the question that leads to it."""

    def of(figures: Figures, question: Question) -> Iterator[tuple[Question, int]]:
        yield question, figures.duty
        for name, time in (
            ("on_patch", figures.on_patch),
            ("off_patch", figures.off_patch),
            ("not_visible", figures.not_visible),
            ("off_patch,not_visible", figures.off_patch + figures.not_visible),
            ("unknown", figures.unknown),
            ("break", figures.on_break),
        ):
            yield replace(question, activity=name), time
        yield replace(question, activity="on_patch", of="priority"), figures.priority
        yield replace(question, activity="on_patch", of="beside"), figures.on_patch - figures.priority
        yield replace(question, activity="on_patch", of="doubt"), figures.ambiguous_on
        yield replace(question, activity="off_patch,not_visible", of="doubt"), figures.ambiguous_off

    yield from of(summary.figures, Question())
    for hour in summary.hours:
        at = Question(day=hour.day, hour=str(hour.hour), again="1" if hour.again else "")
        yield at, hour.duty
        yield replace(at, activity="on_patch"), hour.on_patch
        yield replace(at, activity="on_patch", of="priority"), hour.priority
        yield replace(at, activity="off_patch"), hour.off_patch
        yield replace(at, activity="not_visible"), hour.not_visible
        yield replace(at, activity="unknown"), hour.unknown
        yield replace(at, activity="break"), hour.on_break
    for item in summary.away:
        yield (
            Question(
                activity=item.activity,
                where=item.neighbourhood or "nowhere",
                premises=item.premises or "none",
                state=str(item.state),
                called=item.state_name,
            ),
            item.time,
        )
    for officer in summary.officers:
        yield from of(officer.figures, Question(officer=officer.officer_id))
        for duty in officer.duties:
            yield from of(duty.figures, Question(duty=duty.duty_id))


def facts(site: WeeklySite, period: Period) -> SummaryFacts:
    """What the pages of the first neighbourhood are counted from."""
    with connect(site.dsn) as connection:
        found = facts_of(connection, POLICIES, period, "N00", END)
    assert found is not None
    return found


@pytest.mark.parametrize("week", [CLOCKS_BACK, RUNNING])
def test_every_time_of_a_summary_is_the_sum_of_its_parts(site: WeeklySite, week: str) -> None:
    """Each number has a question whose stretches sum to it, in a week of 169 hours and one that runs."""
    period = Period.week(week)
    summary = site.summary(week, "N00")
    record = facts(site, period)
    assert summary.figures.duty
    names = names_of(record, period)
    spans: dict[tuple[int, int], Any] = {}
    asked = 0
    for question, number in numbers(summary):
        span = question.span(period)
        if span not in spans:
            spans[span] = explained(record, POLICIES, "N00", period, question)
        found = answer(spans[span], question, names)
        assert found.time == number, question
        assert sum(part.time for part in found.parts) == number, question
        assert told(summary, question) == number, question
        for part in found.parts:
            if part.question is not None:
                within = part.question.span(period)
                if within not in spans:
                    spans[within] = explained(record, POLICIES, "N00", period, part.question)
                inner = answer(spans[within], part.question, names)
                assert inner.time == part.time, (question, part.question)
        asked += 1
    assert asked > 169 * 7
    assert summary.figures.ambiguous_on
    assert summary.figures.priority


@pytest.mark.parametrize("by", ["activity", "where", "state", "officer", "day", "duty", "stretch"])
def test_parts_sum_however_they_are_divided(site: WeeklySite, client: httpx.Client, by: str) -> None:
    """By whatever the duty time is divided, its parts add up to it, and each part to its own parts."""
    summary = site.summary(CLOCKS_BACK, "N00")
    path = f"/weeks/{CLOCKS_BACK}/N00/parts"
    total, parts = all_parts(client, f"{path}?by={by}")
    assert total == summary.figures.duty
    assert sum(value for _, [value] in parts) == total
    for href, [value] in parts[:3]:
        if "/duties/" not in href:
            inner, _ = all_parts(client, href)
            assert inner == value, href


def walk(client: httpx.Client, path: str, value: int, trail: list[str]) -> list[str]:
    """Follows the largest part of a number down to the stretch of a duty; checks each sum on the way."""
    assert len(trail) < 8, trail
    total, parts = all_parts(client, path)
    assert total == value, (path, trail)
    assert sum(part for _, [part] in parts) == total, path
    href, [largest] = max(parts, key=lambda part: part[1])
    trail.append(path)
    if "/duties/" not in href:
        return walk(client, href, largest, trail)
    page = read(client, href)
    times = [values[0] for _, values in page.parts]
    assert largest in times, (href, largest)
    return [*trail, href]


def test_from_the_weeks_figure_down_to_a_slice(site: WeeklySite, client: httpx.Client) -> None:
    """From each of the week's figures a walk leads through parts that sum to it down to a duty's stretch."""
    summary = site.summary(PUBLISHED, "N00")
    for question, number in list(numbers(summary))[:7]:
        if number:
            trail = walk(client, f"/weeks/{PUBLISHED}/N00/parts?{query_of(question)}", number, [])
            assert "/duties/" in trail[-1]


def minutes_of(text: str) -> int | None:
    """A time as the summary writes it, in minutes; None where it is none."""
    if text == "under a minute":
        return 0
    found = re.fullmatch(r"(?:(\d[\d,]*) h)? ?(?:(\d+) min)?", text)
    if not text or found is None:
        return None
    return int((found[1] or "0").replace(",", "")) * 60 + int(found[2] or 0)


def test_every_number_that_is_a_link_leads_to_its_parts(site: WeeklySite, client: httpx.Client) -> None:
    """Each time on the sergeant's page that is a link is the sum, as rounded there, of its parts."""
    path = f"/weeks/{PUBLISHED}/N00"
    links = [link for link in read(client, path).links if link[0].startswith(f"{path}/parts")]
    period = Period.week(PUBLISHED)
    record = facts(site, period)
    names = names_of(record, period)
    spans: dict[tuple[int, int], Any] = {}
    seen: dict[str, int] = {}
    for href, text in links:
        question = asked(parse_qsl(urlsplit(href).query))
        span = question.span(period)
        if span not in spans:
            spans[span] = explained(record, POLICIES, "N00", period, question)
        found = answer(spans[span], question, names)
        hour = re.fullmatch(r"(\d+) of (\d+) min.*", text)
        said = int(hour[2]) if hour else minutes_of(text)
        if said is not None:
            assert abs(said * 60 - found.time / 1_000_000) < 60, (href, text)
            kind = "hour" if hour else "duty" if question.duty else "officer" if question.officer else "whole"
            seen[kind] = seen.get(kind, 0) + 1
    assert seen.keys() == {"hour", "duty", "officer", "whole"}
    assert len(links) > 200


def test_no_link_of_the_sergeants_page_is_dead(client: httpx.Client) -> None:
    """Of each kind of link some are followed, and all lead to a page that is there."""
    path = f"/weeks/{PUBLISHED}/N00"
    kinds: dict[str, list[str]] = {}
    for href, _ in read(client, path).links:
        kind = re.sub(r"=[^&]*|[0-9]+", "", href)
        kinds.setdefault(kind, []).append(href)
    assert len(kinds) > 12
    for hrefs in kinds.values():
        for href in {hrefs[0], hrefs[-1]}:
            assert client.get(href, follow_redirects=True).status_code == 200, href


def test_a_duty_sums_to_its_line(site: WeeklySite, client: httpx.Client) -> None:
    """A duty's stretches in the week sum to what the summary says it gave, also where it goes over Monday."""
    seen = 0
    over = 0
    for week in (CLOCKS_BACK, PUBLISHED):
        summary = site.summary(week, "N00")
        for officer in summary.officers:
            for line in officer.duties:
                across = line.start < summary.start or (line.end or 0) > summary.end
                if seen > 6 and not across:
                    continue
                page = read(client, f"/weeks/{week}/duties/{line.duty_id}")
                found = line.figures
                assert {name: page.values[name] for name in page.values} == {
                    "on_patch": found.on_patch,
                    "off_patch": found.off_patch,
                    "not_visible": found.not_visible,
                    "unknown": found.unknown,
                    "break": found.on_break,
                    "duty": found.duty,
                }
                seen += 1
                over += across
    assert seen > 6
    assert over


def test_visits_sum_to_the_priority_areas_figures(site: WeeklySite, client: httpx.Client) -> None:
    """Each priority area's visits, of every length, by others and in its hours, are listed and add up."""
    summary = site.summary(CLOCKS_BACK, "N00")
    assert any(area.figures.visits for area in summary.areas)
    for area in summary.areas:
        path = f"/weeks/{CLOCKS_BACK}/N00/visits/{area.area_id}"
        found = area.figures
        page = read(client, path)
        assert page.values["visits"] == found.visits
        if not page.parts:
            assert not found.officer_time
            continue
        assert page.values["officer"] == found.officer_time == sum(row[0] for _, row in page.parts)
        assert (
            page.values["officer-own"] == found.officer_time_in_window == sum(row[1] for _, row in page.parts)
        )
        assert page.values["patrol"] == found.patrol_time
        assert page.values["patrol-own"] == found.patrol_time_in_window
        for at, count in enumerate(found.visits_by_length):
            assert read(client, f"{path}?length={at}").values["visits"] == count
        others = read(client, f"{path}?others=1")
        assert others.values["visits"] == found.visits_others
        assert sum(row[0] for _, row in others.parts) == found.others_time
        assert read(client, f"{path}?in_hours=1").values["visits"] == found.visits_in_window
        assert client.get(page.parts[0][0]).status_code == 200


def test_crewing_sums_vehicle_by_vehicle(site: WeeklySite, client: httpx.Client) -> None:
    """Vehicles' hours with one officer and with more add up to the summary's, whole and by the hour."""
    summary = site.summary(CLOCKS_BACK, "N00")
    path = f"/weeks/{CLOCKS_BACK}/N00/crewing"
    page = read(client, path)
    assert (page.values["single"], page.values["double"]) == (summary.crewed.single, summary.crewed.double)
    assert sum(row[0] for _, row in page.parts) == summary.crewed.single
    assert sum(row[1] for _, row in page.parts) == summary.crewed.double
    assert summary.crewed.single + summary.crewed.double
    for hour in (1, 9, 23):
        page = read(client, f"{path}?hour={hour}")
        assert page.values["single"] == summary.crewed.single_by_hour[hour]
        assert page.values["double"] == summary.crewed.double_by_hour[hour]


def test_teams_list_who_is_in_them(site: WeeklySite, client: httpx.Client) -> None:
    """The teams' page names every officer of the week's teams, with the months that the summary has."""
    summary = site.summary(CLOCKS_BACK, "N00")
    text = client.get(f"/weeks/{CLOCKS_BACK}/N00/team").text
    assert summary.teams
    for team in summary.teams:
        counted = f"{team.officers} officer{'s' * (team.officers != 1)}: {team.experienced} experienced"
        assert team.team in text
        assert counted in text or team.officers == 0
    for officer in summary.officers:
        assert officer.name in text


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_api_has_all_that_the_summary_has(site: WeeklySite, client: httpx.Client) -> None:
    """Figures, bounds, hours, areas, abstraction, officers, basis: the same numbers in seconds and shares."""
    found = client.get(f"/api/v1/neighbourhoods/N00/weeks/{BEFORE}").json()
    summary = site.summary(BEFORE, "N00")
    assert found["published"] is None
    assert found["figure"]["scope"] == NEIGHBOURHOOD
    assert found["figure"]["on_patch_s"] == seconds(summary.figures.on_patch)
    assert found["figure"]["share_high"] == summary.figures.share_high
    assert found["figure"]["verdict"] == summary.verdict
    assert [item["week"] for item in found["past"]] == [item.name for item in summary.past]
    assert [item["duty_s"] for item in found["hours"]] == [seconds(item.duty) for item in summary.hours]
    assert [item["visits"] for item in found["priority_areas"]] == [a.figures.visits for a in summary.areas]
    assert [item["seconds"] for item in found["abstraction"]] == [seconds(a.time) for a in summary.away]
    assert found["crewing"]["single_s"] == seconds(summary.crewed.single)
    assert [item["officer_id"] for item in found["officers"]] == [o.officer_id for o in summary.officers]
    assert found["officers"][0]["duties"][0]["duty_id"] == summary.officers[0].duties[0].duty_id
    assert found["said"]["verdict"] == list(summary.said.verdict)
    assert found["basis"]["policy_sha256"] == summary.basis.policy_sha256
    assert found["basis"]["until"] == rfc3339(summary.basis.until)


def test_a_published_week_is_given_as_it_was_published(site: WeeklySite, client: httpx.Client) -> None:
    """It says number and time, is the same bytes each time, and is not sent again to who has it."""
    path = f"/api/v1/neighbourhoods/N00/weeks/{PUBLISHED}"
    first, second = client.get(path), client.get(f"{path}?number=1")
    assert first.json()["published"]["number"] == 1
    assert first.json()["published"]["at"] == rfc3339(PUBLISHED_AT)
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert not again.content


def test_a_week_counted_now_is_the_same_bytes_each_time(client: httpx.Client) -> None:
    """As long as no fact comes, the same question has the same answer, of a week that runs too."""
    path = f"/api/v1/neighbourhoods/N00/weeks/{RUNNING}"
    first, second = client.get(path), client.get(path)
    assert first.content == second.content
    assert first.json()["complete"] is False


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/neighbourhoods/nowhere/weeks/2026-W43", 404),
        ("/api/v1/neighbourhoods/N00/weeks/2026-W43?number=7", 404),
        ("/api/v1/neighbourhoods/N00/weeks/2026-W99", 404),
        ("/api/v1/neighbourhoods/N00/weeks/1888-W02", 404),
        ("/api/v1/neighbourhoods/N00/weeks/week", 400),
        ("/api/v1/neighbourhoods/N00/weeks/2026-W43?number=none", 400),
        ("/api/v1/neighbourhoods/N00/weeks/2026-W43?number=99999999999", 400),
        ("/api/v1/neighbourhoods/N00/weeks/2026-W43?numbr=1", 400),
        ("/api/v1/weeks/2026-W54", 404),
        ("/weeks/2026-W43/nowhere", 404),
        ("/weeks/2026-W43/nowhere/parts", 404),
        ("/weeks/2026-W43/nowhere/crewing", 404),
        ("/weeks/2026-W43/N00/visits/nothing", 404),
        ("/weeks/2026-W43/duties/D-nobody", 404),
        ("/weeks/2026-W43/N00/parts?activity=sleeping", 400),
        ("/weeks/2026-W43/N00/parts?day=2026-10-26", 400),
        ("/weeks/2026-W43/N00/parts?day=2026-10-24&hour=1&again=1", 400),
        ("/weeks/2026-W43?sort=colour", 400),
        ("/weeks/2026-W43/N%00", 400),
    ],
)
def test_what_is_not_there_is_said(client: httpx.Client, path: str, status: int) -> None:
    """What does not exist, or makes no sense, gets one plain line: JSON to programs, a page to people."""
    reply = client.get(path, headers={"Accept": "application/json"})
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"]
    if not path.startswith("/api"):
        shown = client.get(path)
        assert shown.status_code == status
        assert 'role="alert"' in shown.text
        assert 'href="/weeks"' in shown.text


def test_the_force_list_has_every_neighbourhood(site: WeeklySite, client: httpx.Client) -> None:
    """All twelve neighbourhoods stand in the list, as JSON and as page, with the figures of their own."""
    for week in (BEFORE, PUBLISHED, RUNNING):
        found = client.get(f"/api/v1/weeks/{week}").json()
        assert [item["id"] for item in found["neighbourhoods"]] == [f"N{at:02}" for at in range(12)]
        one = client.get(f"/api/v1/neighbourhoods/N01/weeks/{week}").json()
        mine = found["neighbourhoods"][1]
        assert {key: one["figure"][key] for key in mine if key != "published"} == {
            key: value for key, value in mine.items() if key != "published"
        }
        assert mine["published"] == one["published"]
        assert found["complete"] is (week != RUNNING)
        page = read(client, f"/weeks/{week}")
        assert {f"/weeks/{week}/N{at:02}" for at in range(12)} <= {href for href, _ in page.links}


class CountedPool(Pool):
    """Connections to the database, and how often one was taken."""

    taken = 0

    @contextlib.contextmanager
    def connection(self, *, patient: bool = False) -> Iterator[Connection]:
        """A connection for a question."""
        self.taken += 1
        with super().connection(patient=patient) as found:
            yield found


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/neighbourhoods/N00/weeks/{PUBLISHED}",
        f"/api/v1/neighbourhoods/N00/weeks/{RUNNING}",
        f"/api/v1/weeks/{PUBLISHED}",
        "/weeks",
        f"/weeks/{PUBLISHED}",
        f"/weeks/{RUNNING}",
        f"/weeks/{PUBLISHED}/N00",
        f"/weeks/{RUNNING}/N00",
        f"/weeks/{PUBLISHED}/N00.html",
        f"/weeks/{PUBLISHED}/N00/parts",
        f"/weeks/{PUBLISHED}/N00/crewing",
        f"/weeks/{PUBLISHED}/N00/team",
        f"/weeks/{PUBLISHED}/N00/visits/P00",
        f"/weeks/{PUBLISHED}/duties/{{duty}}",
        "/months",
        "/months/2026-10",
        "/months/2026-10/N00",
        "/postcode",
        "/postcode?postcode=LE1+1AA",
        "/restatements",
    ],
)
def test_an_answer_asks_the_database_once(site: WeeklySite, tmp_path: Path, path: str) -> None:
    """Every answer of the weeks and months takes one connection, once."""
    postcodes = tmp_path / "postcodes.csv"
    postcodes.write_text("postcode,lat,long\nLE1 1AA,52.51,-1.19\n", "utf-8")
    settings = Settings(database=site.dsn, clock="events", postcodes=str(postcodes))
    pool = CountedPool(settings)
    shelf = Shelf(settings, pool, lambda: END)
    app = ruled()
    app.include_router(router(shelf))
    app.include_router(residents.router(residents.Residents(shelf)))
    app.include_router(restated.router(shelf))
    duty = site.summary(PUBLISHED, "N00").officers[0].duties[0].duty_id if "{duty}" in path else ""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=site.address) as client:
            return await client.get(path.format(duty=duty))

    try:
        reply = asyncio.run(ask())
    finally:
        pool.close()
    assert reply.status_code in (200, 302)
    assert pool.taken == 1


def test_weeks_leads_to_the_last_that_is_over(client: httpx.Client) -> None:
    """The pages begin with the last complete week."""
    reply = client.get("/weeks")
    assert (reply.status_code, reply.headers["location"]) == (302, f"/weeks/{PUBLISHED}")


def test_no_script_may_run(client: httpx.Client) -> None:
    """The pages have no script, and their policy lets none run."""
    for path in (f"/weeks/{PUBLISHED}", f"/weeks/{PUBLISHED}/N00/parts"):
        reply = client.get(path)
        assert "<script" not in reply.text
        assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_a_figure_that_changed_since_is_said(
    database_server: EmbeddedDatabase, weeks: str, tmp_path: Path
) -> None:
    """Where parts are no longer those of what was published, both are said; then number 2 leads."""
    with weekly_site(database_server, weeks, "weekly_late", tmp_path) as site:
        summary = site.summary(PUBLISHED, "N00")
        line = summary.officers[0].duties[0]
        with connect(site.dsn) as connection:
            ledger = Ledger(connection)
            late = StateReport(summary.officers[0].officer_id, line.start + 3600 * 10**6, 10)
            ledger.bookings((), [late])
            with httpx.Client(base_url=site.address, timeout=120, headers=HTML) as client:
                now = site.summary(PUBLISHED, "N00").figures
                assert now != summary.figures
                path = f"/weeks/{PUBLISHED}/N00/parts?activity=on_patch"
                page = read(client, path)
                assert page.values["total"] == now.on_patch
                assert "As published (number 1" in client.get(path).text
                api = f"/api/v1/neighbourhoods/N00/weeks/{PUBLISHED}"
                assert client.get(api).json()["figure"]["on_patch_s"] == seconds(summary.figures.on_patch)
                period = Period.week(PUBLISHED)
                found = list(summaries(connection, POLICIES, period, area_ids=["N00"], now=END))
                reports.publish(connection, found, by="the timer", now=END)
                assert client.get(api).json()["published"]["number"] == 2
                assert client.get(api).json()["figure"]["on_patch_s"] == seconds(now.on_patch)
                assert client.get(f"{api}?number=1").json()["figure"]["on_patch_s"] == seconds(
                    summary.figures.on_patch
                )
                [restated] = client.get(api).json()["restatements"]
                assert restated["before"]["on_patch_s"] == seconds(summary.figures.on_patch)
                assert restated["after"]["on_patch_s"] == seconds(now.on_patch)
                assert "As published" not in client.get(path).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("le1 1aa", 'href="/months/2026-10/N00"'),
        ("LE9 9ZZ", "LE9 9ZZ"),
        ("LE1 1AB", "LE1 1AB"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_a_postcode_leads_to_its_neighbourhood(client: httpx.Client, typed: str, said: str) -> None:
    """A resident's postcode, however typed, leads to the month of the neighbourhood that it lies in."""
    reply = client.get("/postcode", params={"postcode": typed})
    assert reply.status_code == 200
    assert said in reply.text
    assert "<script" not in reply.text


def test_a_published_month_is_shown_from_its_reports(site: WeeklySite, client: httpx.Client) -> None:
    """A month that is not over is not shown; one that is published is shown as it was published."""
    assert client.get("/months/2026-11/N00").status_code == 404
    assert client.get("/months/2026-10/N77").status_code == 404
    assert client.get("/months/2026-10/N00?language=tlh").status_code == 400
    assert "not published yet" in client.get("/months/2026-10/N00").text
    with connect(site.dsn) as connection:
        found = list(summaries(connection, POLICIES, Period.month("2026-10"), now=END))
        reports.publish(connection, found, by="somebody", now=END)
    for language in ("en", "ro"):
        reply = client.get(f"/months/2026-10/N00?language={language}")
        assert reply.status_code == 200
        assert "from its published reports" in reply.text
        for officer in site.summary(PUBLISHED, "N00").officers:
            assert officer.name not in reply.text


def test_many_at_once_are_answered_or_asked_to_come_again(site: WeeklySite, client: httpx.Client) -> None:
    """However many weeks are to be counted at once, each gets its figures or a plain no."""
    path = f"{site.address}/api/v1/neighbourhoods/N00/weeks/{RUNNING}"
    alone = client.get(path).content
    with ThreadPoolExecutor(40) as crowd:
        waiting = [crowd.submit(httpx.get, path, timeout=120) for _ in range(40)]
        assert client.get("/healthz").status_code == 200
        replies = [item.result() for item in waiting]
    assert {reply.status_code for reply in replies} <= {200, 503}
    assert [reply.content for reply in replies if reply.status_code == 200].count(alone) >= 1
    assert {reply.content for reply in replies if reply.status_code == 200} == {alone}


def test_a_database_that_is_away_is_said() -> None:
    """Without its database every page says so: to people as a page, to programs as a problem."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PATROL_")}
    web = Web(plain | {"PATROL_DATABASE": "postgresql://127.0.0.1:1/nowhere"})
    try:
        with httpx.Client(base_url=web.start(), timeout=60) as client:
            for path in ("/weeks", "/weeks/2026-W43", "/weeks/2026-W43/N00", "/months", "/restatements"):
                shown = client.get(path, headers=HTML)
                assert shown.status_code == 503
                assert "database cannot be reached" in shown.text
                problem = client.get(path, headers={"Accept": "application/json"})
                assert (problem.status_code, problem.json()["code"]) == (503, "NotReady")
    finally:
        web.end()


def test_questions_come_back_as_they_were_asked() -> None:
    """A question written into an address and read again is the same question."""
    question = Question(
        activity="off_patch,break", where="N 1&x=2", premises="none", state="3", called="ä b", by="day"
    )
    assert asked(parse_qsl(query_of(question))) == question
    assert re.fullmatch(r"[!-~]*", query_of(question))
