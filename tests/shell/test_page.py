"""The live page in a real browser, before the running pipeline: what a duty inspector sees and does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.shell.screen import (
    DESK,
    MARKUP,
    PHONE,
    WALL,
    Outside,
    Visitor,
    Web,
    an_hour_in_town,
    serving,
    visiting,
)
from tests.shell.stored import database_called, migrated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Route, ViewportSize

    from stream.embedded import EmbeddedBroker, EmbeddedDatabase
    from tests.shell.pipeline import Pipeline

pytestmark = pytest.mark.slow


@dataclass(slots=True)
class Site:
    """The pipeline with the town's first hour in it, its web process and the browser."""

    pipeline: Pipeline
    outside: Outside
    web: Web
    browser: Browser

    @property
    def address(self) -> str:
        """Where the page is."""
        return self.web.address


@pytest.fixture(scope="module")
def site(
    embedded_broker: EmbeddedBroker,
    database_server: EmbeddedDatabase,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Ingest, worker and web over an hour in the town; nothing is stale, however slow the machine."""
    calm = {"stale_s": 36_000.0, "alert_feed_stopped_s": 36_000.0}
    with (
        database_called(database_server, "page") as dsn,
        an_hour_in_town(
            embedded_broker.bootstrap,
            dsn,
            tmp_path_factory.mktemp("page"),
            watch_s=0.5,
            alert_priority_unvisited_s=1800.0,
            **calm,
        ) as outside,
        serving(outside.pipeline) as web,
    ):
        yield Site(outside.pipeline, outside, web, browser)


def opened(visitor: Visitor) -> Visitor:
    """A page that has its figures and has drawn its map."""
    expect(visitor.page.locator("#list a.row")).to_have_count(2)
    visitor.until(
        "() => patrol.map.map.getLayer('units') && patrol.map.map.areTilesLoaded()", "drawn its map"
    )
    return visitor


def row(visitor: Visitor, name: str) -> str:
    """What a neighbourhood's row says to those who do not see it."""
    return visitor.page.locator("#list a.row", has_text=name).locator(".hidden").text_content() or ""


# ── The four questions ────────────────────────────────────────────────────────────────────────────────────


def test_four_questions_are_answered_without_a_click(site: Site) -> None:
    """Opened cold, the page says where nobody is on patch, who will miss, what waits, whether to trust it."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        expect(page.locator("#answer-nobody .big")).to_have_text("1")
        expect(page.locator("#answer-nobody li").first).to_contain_text("Eastgate <b>")
        expect(page.locator("#answer-nobody li").first).to_contain_text("for")
        # An hour of eight: how the shift ends is not foreseen, and that is said.
        expect(page.locator("#answer-miss .big")).to_have_text("Too early to tell")
        expect(page.locator("#answer-miss li").first).to_have_text("1 below 80% so far:")
        expect(page.locator("#answer-miss [data-name]")).to_contain_text(["Eastgate <b>"])
        expect(page.locator("#answer-waiting .big")).to_have_text("1")
        expect(page.locator("#answer-waiting li").first).to_contain_text("the market")
        expect(page.locator("#answer-trust .big")).to_have_text("Partly")  # one radio of four fell silent
        expect(page.locator("#answer-trust")).to_contain_text("1 officer silent")
        for card in ("force", "answer-nobody", "answer-miss", "answer-waiting", "answer-trust"):
            box = page.locator(f"#{card}").bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= DESK["height"]
        visitor.undisturbed(site.address)


def test_probable_mistakes_in_the_facts_are_led_to(site: Site) -> None:
    """Findings about the facts make the trust partial, and lead to their sentences."""
    said: dict[str, Any] = {
        "as_of": "2026-01-26T13:00:00.000000Z",
        "text": "Part of the facts behind the figures cannot be right: 1 kind of mistake.",
        "warnings": [f"device '77' of duty D-1 was never heard {MARKUP}"],
        "findings": [
            {
                "scope": "device",
                "id": "<i>R7</i>",
                "day": "2026-01-26",
                "finding": finding,
                "count": 12,
                "seconds": None,
                "detail": detail,
                "neighbourhoods": [],
            }
            for finding, detail in (("rejected", "zero_position"), ("clock_offset", "1 hour behind"))
        ],
        "heard": {
            "reports": 12345,
            "rejected": {"in_future": 7, "zero_position": 12},
            "delay_median_s": 2,
            "delay_p95_s": 95,
        },
        "no_longer_held": [],
    }

    def answered(route: Route) -> None:
        route.fulfill(body=json.dumps(said), content_type="application/json")

    with visiting(site.browser, site.address) as visitor:
        page = visitor.page
        page.route("**/api/v1/quality", answered)
        page.reload()
        opened(visitor)
        link = page.locator("#answer-trust a")
        expect(link).to_have_text("a probable mistake")
        expect(page.locator("#answer-trust .big")).to_have_text("Partly")
        link.click()
        expect(page.locator("#detail h2")).to_have_text("Can the data be trusted?")
        expect(page.locator("#detail")).to_contain_text("device '77' of duty D-1 was never heard <img")
        expect(page.locator("#detail .facts dd")).to_have_text(
            ["12,345", "2\u00a0s", "2\u00a0min", "1\u00a0device"]
        )
        expect(page.locator("#detail .wheres li")).to_have_text(
            ["zero position12", "in future7", "<i>R7</i> · zero position12"]
        )
        page.locator("#detail a.back").click()
        expect(page.locator("#list-view")).to_be_visible()
        visitor.undisturbed(site.address)


def test_facts_in_question_stand_beside_the_verdict_of_whom_they_concern(site: Site) -> None:
    """A neighbourhood's row has a sign, and its card names the findings about its own officers, no others."""
    finding = {"scope": "device", "id": "R1", "day": "", "count": 1, "seconds": None, "detail": ""}
    said: dict[str, Any] = {
        "as_of": "2026-01-26T13:00:00.000000Z",
        "text": "Part of the facts behind the figures cannot be right: 1 kind of mistake.",
        "warnings": ["60 positions of device 'R1' lie outside the areas"],
        "findings": [
            {**finding, "finding": "swapped_coordinates", "neighbourhoods": ["N1"]},
            {**finding, "finding": "not_booked", "neighbourhoods": ["N1", "N2"]},
        ],
    }

    def answered(route: Route) -> None:
        route.fulfill(body=json.dumps(said), content_type="application/json")

    with visiting(site.browser, site.address) as visitor:
        page = visitor.page
        page.route("**/api/v1/quality", answered)
        page.reload()
        opened(visitor)
        expect(page.locator("#answer-trust .big")).to_have_text("Partly")
        for name, concerned in (("N1", True), ("N2", False)):
            row = page.locator(f"#list a.row[href='#/n/{name}']")
            expect(row.locator(".question")).to_have_text(" · facts in question" if concerned else "")
            row.click()
            expect(page.locator("#detail dl.facts")).to_be_visible()
            beside = page.locator("#detail .summary + .in-question")
            if concerned:
                expect(beside).to_have_text("Facts in question: swapped coordinates")
                expect(beside.locator("a")).to_have_attribute("href", "#/quality")
            else:
                expect(beside).to_have_count(0)
            page.locator("#detail a.back").click()
        visitor.undisturbed(site.address)


def test_force_figure_has_bounds_and_promise(site: Site) -> None:
    """The force's figure stands with its bounds, its verdict and the line of the promise."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        force = visitor.value("() => patrol.state.force")
        assert force["share_low"] <= force["share"] <= force["share_high"]
        expect(page.locator("#force .figure")).to_have_text(re.compile(r"^\d+\.\d%$"))
        expect(page.locator("#force .verdict")).to_have_text(force["verdict"])
        expect(page.locator("#force .bounds")).to_contain_text("between")
        line = page.locator("#force .bar-share .line")
        assert line.evaluate("(element) => element.style.left") == f"{force['target'] * 100:g}%"


def test_list_is_sorted_by_need(site: Site) -> None:
    """The neighbourhood with nobody on patch is first, with its officers and where the minutes went."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        expect(page.locator("#list a.row .name")).to_have_text(["Eastgate <b>", "Westcotes"])
        first = page.locator("#list a.row").first
        expect(first.locator(".officers")).to_have_text(re.compile(r"0\s/\s2"))
        expect(first).to_contain_text("nobody on patch")
        expect(first).to_contain_text("min away: Westcotes")
        said = row(visitor, "Eastgate")
        share = r"\d+\.\d%"
        assert re.search(rf"{share}, between {share} and {share}, missed\. 0 of 2\sofficers on patch", said)
        assert "1\u00a0officer silent" in said
        told = rf"Too early to tell how the shift will end: anything from {share} to {share} is possible"
        assert re.search(told, said)


def test_names_from_outside_stay_text(site: Site) -> None:
    """Markup in the name of an area or an officer is shown as it is written, and does nothing."""
    with visiting(site.browser, site.address, "/#/n/N2") as visitor:
        page = visitor.page
        expect(page.locator("#detail h2")).to_have_text("Eastgate <b>")
        expect(page.locator("#detail .officer .name").filter(has_text=MARKUP)).to_have_count(1)
        assert page.locator("img").count() == 0
        assert page.locator(".name b").count() == 0
        assert "Patrol Visibility" in page.title()
        visitor.undisturbed(site.address)


# ── The map ───────────────────────────────────────────────────────────────────────────────────────────────


def test_map_shows_shares_areas_and_units(site: Site) -> None:
    """The map has neighbourhoods with share and verdict, each priority area's wait, premises and units."""
    with visiting(site.browser, site.address) as visitor:
        opened(visitor)
        visitor.until(
            """() => { const { names, waits, houses } = patrol.map.data;
                       return names.features.length === 2 && waits.features.length === 2
                         && houses.features.length && patrol.state.units.size >= 3; }""",
            "all of it on the map",
        )
        names = visitor.value("() => patrol.map.data.names.features.map((one) => one.properties)")
        said = {one["area_id"]: one["figure"] for one in names}
        assert re.fullmatch(r"\d+\.\d% missed\nnobody on patch", said["N2"])
        assert re.fullmatch(r"\d+\.\d% met", said["N1"])
        assert visitor.value("() => patrol.map.map.getFilter('missed')[2][1]") == ["N2"]
        assert visitor.value("() => patrol.map.map.getFilter('nobody')[2][1]") == ["N2"]
        shares = visitor.value(
            """() => ['N1', 'N2'].map((id) =>
                 patrol.map.map.getFeatureState({ source: 'neighbourhoods', id }).share)"""
        )
        assert shares[0] > 0.9
        assert shares[1] < 0.5
        waits = visitor.value("() => patrol.map.data.waits.features.map((one) => one.properties)")
        assert {one["area_id"]: (one["standing"], one["wait"]) for one in waits} == {
            "P1": ("overdue", "no visit"),
            "P2": ("closed", "no visit"),
        }
        assert visitor.value("() => patrol.map.data.houses.features.length") == 1
        units = visitor.value(
            "() => Object.fromEntries([...patrol.state.units.values()].map((one) => [one.id, one.activity]))"
        )
        assert units["R1001"] == "on_patch"
        assert units["R2001"] == "off_patch"
        assert visitor.value("() => document.querySelectorAll('.map .maplibregl-marker').length") == 0


def test_a_unit_on_the_map_opens_its_officer(site: Site) -> None:
    """Pointing at a unit says who it is, what they do and how old that is; a click opens the officer."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        visitor.until("() => patrol.map.unitsLayer.units.length >= 3", "units on the map")
        spot = visitor.point_at("R1002", "on patch")
        expect(page.locator("#tip")).to_contain_text("ago")
        page.mouse.click(*spot)
        expect(page.locator("#detail h2")).to_have_text("PC Brown")


def test_trails_on_demand(site: Site) -> None:
    """Trails are drawn only when they are asked for, and go again."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        assert visitor.value("() => patrol.map.data.trails.features.length") == 0
        button = page.get_by_role("button", name="Trails")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        site.outside.go(1)
        site.outside.send()
        visitor.until("() => patrol.map.data.trails.features.length > 0", "trails")
        button.click()
        visitor.until("() => patrol.map.data.trails.features.length === 0", "put the trails away")


# ── What things open to ───────────────────────────────────────────────────────────────────────────────────


def test_neighbourhood_opens_to_its_officers(site: Site) -> None:
    """A neighbourhood opens to the shift by the hour, and its officers: where, since when, and why."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        page.locator("#list a.row").first.click()
        expect(page.locator("#detail h2")).to_have_text("Eastgate <b>")
        expect(page.locator("#detail h2")).to_be_focused()
        away = page.locator("#detail a.officer", has_text=MARKUP)
        expect(away.locator(".state")).to_contain_text("off patch, in Westcotes, at scene since 12:20")
        expect(away.locator(".spent")).to_contain_text("20\u00a0min of")
        expect(page.locator("#detail a.officer")).to_have_count(2)
        expect(away.locator(".strip i.on_patch")).to_have_count(1)
        expect(away.locator(".strip i.off_patch")).to_have_count(1)
        expect(page.locator("#detail .hours .column")).not_to_have_count(0)
        expect(page.locator("#detail .wheres")).to_contain_text("Westcotes")
        visitor.until("() => patrol.map.map.getFilter('selected')[2] === 'N2'", "marked it on the map")
        visitor.shot("neighbourhood")


def test_officer_opens_to_timeline_track_and_playback(site: Site) -> None:
    """An officer opens to the shift stretch by stretch and the track on the map, which plays."""
    with visiting(site.browser, site.address, "/#/o/2001") as visitor:
        page = visitor.page
        expect(page.locator("#detail h2")).to_have_text(f"PC {MARKUP}")
        expect(page.locator(".slices-table tbody tr")).to_have_count(2)
        expect(page.locator(".slices-table tbody tr").first).to_contain_text("off patch")
        expect(page.locator(".slices-table tbody tr").first).to_contain_text("Westcotes")
        activities = "() => patrol.map.data.track.features.map((one) => one.properties.activity)"
        assert set(visitor.until(activities, "the track")) == {"on_patch", "off_patch"}
        page.get_by_role("button", name="Play the track").click()
        visitor.until("() => patrol.map.data.now.features.length === 1", "a hand on the map")
        slider = page.get_by_role("slider", name="Time")
        start = slider.input_value()
        visitor.until(
            f"() => document.querySelector('.playback input').value !== '{start}'", "moved the hand by itself"
        )
        page.get_by_role("button", name="Pause").click()
        slider.evaluate(
            "(one) => { one.value = 1800; one.dispatchEvent(new Event('input', { bubbles: true })); }"
        )
        expect(page.locator(".playback .at")).to_have_text(re.compile(r"^12:30:\d\d · off patch$"))
        visitor.shot("officer")
        page.get_by_role("button", name="Close the playback").click()
        expect(page.locator("#playback")).to_be_hidden()


# ── Live ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_changes_arrive_and_a_lost_connection_mends(site: Site) -> None:
    """What changes is shown by itself; without the server the page says so, then catches up unasked."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        site.web.end()
        expect(page.locator("#banner")).to_contain_text("The connection to the server is lost")
        expect(page.locator("body")).to_have_attribute("data-fresh", "lost")
        expect(page.locator("#trust-text")).to_contain_text("No connection")
        visitor.shot("lost")
        site.outside.put(r2002="east")
        site.outside.go(3)
        site.outside.send()
        site.web.start()
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#list a.row", has_text="Eastgate").locator(".officers")).to_have_text(
            re.compile(r"1\s/\s2")
        )
        site.outside.put(r2002="")
        site.outside.go(7)
        site.outside.send()
        expect(page.locator("#list a.row", has_text="Eastgate").locator(".officers")).to_have_text(
            re.compile(r"0\s/\s2")
        )


def test_page_is_stale_when_the_pipeline_is(site: Site) -> None:
    """Without new positions the page says how old it is, and looks it."""
    with serving(site.pipeline, stale_s="1") as web, visiting(site.browser, web.address) as visitor:
        page = opened(visitor).page
        expect(page.locator("body")).to_have_attribute("data-fresh", "stale")
        expect(page.locator("#banner")).to_contain_text("no new position for")
        expect(page.locator("#banner")).to_contain_text("do not rely on it")
        expect(page.locator("#answer-trust .big")).to_have_text("No")
        expect(page.locator("#main")).to_have_css("filter", re.compile("grayscale"))
        expect(page).to_have_title(re.compile("^STALE| STALE "))
        visitor.shot("stale")
        visitor.accessible()


def test_empty_program_is_no_broken_page(database_server: EmbeddedDatabase, site: Site) -> None:
    """Before anything is published or received, the page says what is missing and who can bring it."""
    with (
        migrated(database_server, "page_empty") as dsn,
        serving(site.pipeline, database=dsn, clock="wall") as web,
        visiting(site.browser, web.address) as visitor,
    ):
        page = visitor.page
        expect(page.locator("#banner")).to_contain_text("nothing has been received")
        expect(page.locator("#list")).to_have_attribute(
            "data-said", re.compile("No neighbourhoods are published")
        )
        expect(page.locator("#answer-trust .big")).to_have_text("No data")
        visitor.shot("empty")
        visitor.accessible()
        visitor.undisturbed(web.address)


# ── Alerts ────────────────────────────────────────────────────────────────────────────────────────────────


def test_alerts_are_acknowledged_snoozed_and_end(site: Site) -> None:
    """An alert is seen by a name, sleeps and wakes; when its cause is gone it is over, and says so."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        alert = page.locator("#alerts .alert", has_text="Eastgate <b>: nobody on patch since")
        expect(alert).to_have_attribute("data-level", "act")
        alert.get_by_role("button", name=re.compile("^Acknowledge")).click()
        page.get_by_role("textbox", name="Your name, for the record").fill("Insp Gray")
        page.keyboard.press("Enter")
        expect(alert).to_have_attribute("data-standing", "acknowledged")
        expect(alert).to_contain_text("seen by Insp Gray")
        alert.get_by_role("button", name=re.compile("^Snooze")).click()
        alert.get_by_role("button", name="Snooze for 30 minutes").click()
        expect(alert).to_have_attribute("data-standing", "snoozed")
        alert.get_by_role("button", name=re.compile("^End snooze")).click()
        expect(alert).to_have_attribute("data-standing", "acknowledged")
        site.outside.put(r2001="east")
        site.outside.go_until(lambda: alert.get_attribute("data-standing") == "cleared")
        expect(alert).to_contain_text("cleared at")
        # The next one is said once, politely, to those who listen.
        site.outside.put(r2001="west")
        again = "Eastgate <b>: nobody on patch since"
        site.outside.go_until(lambda: again in (page.locator("#said").text_content() or ""))
        assert page.locator("#said").get_attribute("aria-live") == "polite"
        visitor.undisturbed(site.address)


# ── For people ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "size", "path", "options"),
    [
        ("desktop", DESK, "/", {}),
        ("dark", DESK, "/", {"color_scheme": "dark"}),
        ("wall", WALL, "/?wall", {"color_scheme": "dark"}),
        ("wall-4k", {"width": 3840, "height": 2160}, "/?wall", {}),
        ("phone", PHONE, "/", {"has_touch": True}),
        ("tablet", {"width": 820, "height": 1180}, "/", {}),
    ],
)
def test_page_fits_and_is_accessible(
    site: Site, name: str, size: ViewportSize, path: str, options: dict[str, Any]
) -> None:
    """At any size, light or dark, the page needs no sideways scrolling and meets WCAG 2.2 AA by axe."""
    with visiting(site.browser, site.address, path, size=size, **options) as visitor:
        expect(visitor.page.locator("#list a.row")).to_have_count(2)
        visitor.until("() => patrol.map.map.getLayer('units')", "a map")
        visitor.shot(name)
        visitor.fits()
        visitor.accessible()
        visitor.undisturbed(site.address)


def test_wall_has_larger_type(site: Site) -> None:
    """On a display on the wall type grows with the display."""
    sizes = []
    for path, width in (("/", 1920), ("/?wall", 1920), ("/?wall", 3840)):
        with visiting(site.browser, site.address, path, size={"width": width, "height": 1080}) as visitor:
            expect(visitor.page.locator("#list a.row")).to_have_count(2)
            sizes.append(
                visitor.value("() => parseFloat(getComputedStyle(document.documentElement).fontSize)")
            )
    assert sizes[0] < sizes[1] < sizes[2]


def test_phone_has_all_in_four_views(site: Site) -> None:
    """On a phone everything is there, in four views, with targets that a thumb hits."""
    with visiting(site.browser, site.address, size=PHONE, has_touch=True) as visitor:
        page = visitor.page
        expect(page.locator("#answer-nobody")).to_be_visible()
        for view, what in (
            ("List", "#list a.row"),
            ("Map", "#map canvas"),
            ("Alerts", "#areas a"),
            ("Now", "#force"),
        ):
            page.locator("#tabs").get_by_role("button", name=view).click()
            expect(page.locator(what).first).to_be_visible()
            visitor.shot(f"phone-{view.lower()}")
            visitor.fits()
        for button in page.locator("#tabs button").all():
            box = button.bounding_box()
            assert box is not None
            assert min(box["height"], box["width"]) >= 44
        page.locator("#tabs").get_by_role("button", name="List").click()
        page.locator("#list a.row").first.click()
        expect(page.locator("#detail h2")).to_be_visible()
        visitor.accessible()


def test_keyboard_alone_is_enough(site: Site) -> None:
    """By keyboard alone: to the list in a few stops, through it by arrows, to an officer and back."""
    with visiting(site.browser, site.address) as visitor:
        page = opened(visitor).page
        page.keyboard.press("Tab")
        expect(page.locator("a.skip")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(6):
            page.keyboard.press("Tab")
            if page.evaluate("() => document.activeElement.matches('#list a.row')"):
                break
        expect(page.locator("#list a.row").first).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(page.locator("#list a.row").nth(1)).to_be_focused()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.locator("#detail h2")).to_be_focused()
        for _ in range(8):
            page.keyboard.press("Tab")
            if page.evaluate("() => document.activeElement.matches('a.officer')"):
                break
        expect(page.locator("#detail a.officer").first).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Play the track")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#detail a.officer").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#list a.row").first).to_be_focused()


def test_times_are_local_whatever_the_machine_says(site: Site) -> None:
    """Times are those of London, though the machine that shows them stands elsewhere."""
    with visiting(site.browser, site.address, "/#/o/1001") as visitor:
        assert visitor.value("() => Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"
        expect(visitor.page.locator("#detail .facts")).to_contain_text("12:00–20:00")


def test_colours_follow_the_wish(site: Site) -> None:
    """Light or dark is the system's wish until somebody says otherwise, and that is kept."""
    with visiting(site.browser, site.address, color_scheme="dark") as visitor:
        page = opened(visitor).page
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_role("button", name="Light").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
