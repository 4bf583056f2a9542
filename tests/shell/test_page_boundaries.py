"""The boundary page in a real browser: a file checked, compared, published with a date, and taken back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from playwright.sync_api import expect

from tests.shell.screen import (
    DESK,
    PHONE,
    Visitor,
    Web,
    an_hour_in_town,
    serving,
    serving_alone,
    visiting,
)
from tests.shell.stored import database_called, migrated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, FilePayload

    from stream.embedded import EmbeddedBroker, EmbeddedDatabase
    from tests.shell.pipeline import Pipeline

pytestmark = pytest.mark.slow


@dataclass(slots=True)
class Desk:
    """The boundary page of a town in which an hour was patrolled."""

    web: Web
    browser: Browser


@pytest.fixture(scope="module")
def patrolled(
    embedded_broker: EmbeddedBroker,
    database_server: EmbeddedDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """What ingest and worker left of an hour in the town; both have ended, and the database can be copied."""
    with database_called(database_server, "page_boundaries") as dsn:
        folder = tmp_path_factory.mktemp("boundaries")
        with an_hour_in_town(embedded_broker.bootstrap, dsn, folder) as outside:
            pass
        yield outside.pipeline


@pytest.fixture
def desk(patrolled: Pipeline, database_server: EmbeddedDatabase, browser: Browser) -> Iterator[Desk]:
    """The web process over a copy of what was patrolled."""
    with (
        database_called(database_server, "page_desk", template="page_boundaries") as dsn,
        serving(patrolled, database=dsn) as web,
    ):
        yield Desk(web, browser)


def wards(edge: float, *, overlap: float = 0.0, **more: Any) -> FilePayload:
    """The two neighbourhoods as a file: the edge between them, and how far the west reaches over it."""
    shapes = {
        "N1": ("Westcotes", shapely.box(-1.00, 52.50, edge + overlap, 52.52)),
        "N2": ("Eastgate <b>", shapely.box(edge, 52.50, -0.96, 52.52)),
        **more,
    }
    features = [
        {
            "type": "Feature",
            "properties": {"area_id": area_id, "name": name},
            "geometry": shapely.geometry.mapping(shape),
        }
        for area_id, (name, shape) in shapes.items()
    ]
    whole = {"type": "FeatureCollection", "features": features}
    return {"name": "wards.geojson", "mimeType": "application/json", "buffer": json.dumps(whole).encode()}


def check(visitor: Visitor, file: FilePayload) -> None:
    """Chooses a file and has it checked."""
    visitor.page.set_input_files("#file", files=[file])
    visitor.page.get_by_role("button", name="Check", exact=True).click()
    expect(visitor.page.locator("#result")).to_be_visible()


def test_findings_are_on_the_map_and_in_a_list(desk: Desk) -> None:
    """What is wrong with a file stands in a list and on the map; an error stops it until it is accepted."""
    address = desk.web.address
    with visiting(desk.browser, address, "/boundaries") as visitor:
        page = visitor.page
        check(visitor, wards(-0.98, overlap=0.001))
        expect(page.locator("#result-title")).to_be_focused()
        expect(page.locator("#result-summary")).to_contain_text("cannot be published")
        error = page.locator(".finding[data-severity=error]")
        expect(error).to_have_count(1)
        expect(error).to_contain_text("overlap")
        error.click()
        expect(error).to_have_attribute("aria-current", "true")
        # The map goes to where it is: from the whole town to a strip of seventy metres.
        visitor.until("() => boundaries.map.map.getZoom() > 13", "the map at the finding")
        for what in ("findings", "chosen"):
            visitor.until(f"() => boundaries.map.data.{what}.features.length === 1", f"drawn the {what}")
        expect(page.locator("#publish")).to_contain_text("cannot be published")
        visitor.shot("boundaries-error")
        visitor.accessible()
        visitor.undisturbed(address)
        page.get_by_role("checkbox", name=re.compile("^overlap")).check()
        page.locator("#accept").get_by_label("Why").fill("shared high street")
        page.locator("#accept").get_by_label("Your name").fill("GIS desk")
        page.get_by_role("button", name="Check again with these accepted").click()
        expect(page.locator("#result-summary")).to_contain_text("can be published")
        expect(page.locator(".finding[data-severity=error]")).to_have_count(0)


def test_file_is_compared_published_and_taken_back(desk: Desk) -> None:
    """A clean file shows what it changes, is published with a date and a reason, listed, and taken back."""
    address = desk.web.address
    with visiting(desk.browser, address, "/boundaries") as visitor:
        page = visitor.page
        expect(page.locator("#history tbody tr")).to_have_count(3)
        check(visitor, wards(-0.984))
        expect(page.locator("#result-summary")).to_contain_text("2 neighbourhoods in the file. They can be")
        expect(page.locator("#diff")).to_contain_text("2 with another boundary")
        expect(page.locator("#diff")).to_contain_text("Eastgate <b> (N2): gained")
        expect(page.locator("#diff")).to_contain_text("from Westcotes (N1) to Eastgate <b> (N2)")
        assert page.locator("#diff b").count() == 0
        page.locator("#publish").get_by_label("In force from").fill("2026-01-26")
        page.locator("#publish").get_by_label("Your name").fill("GIS desk")
        publish = page.get_by_role("button", name=re.compile("^Publish"))
        publish.click()
        expect(page.locator("#publish .trouble")).to_contain_text("say why")
        page.locator("#publish").get_by_label("Why").fill("boundary review")
        publish.click()
        expect(page.locator("#published")).to_contain_text("in force from 26 Jan 2026")
        expect(page.locator("#published")).to_contain_text("on record as restatement")
        newest = page.locator("#history tbody tr").first
        expect(newest).to_contain_text("in force")
        expect(newest).to_contain_text("boundary review")
        visitor.shot("boundaries")
        visitor.accessible()
        newest.get_by_role("button", name=re.compile("^Take back")).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("The version before it is in force again")
        expect(dialog.get_by_label("Your name")).to_have_value("GIS desk")
        dialog.get_by_label("Why").fill("wrong file")
        dialog.get_by_role("button", name="Take it back").click()
        expect(newest).to_contain_text("taken back")
        expect(newest).to_contain_text("wrong file")
        expect(page.locator("#said")).to_contain_text("is taken back")
        # The first neighbourhoods follow none: without them there are none.
        page.get_by_role("button", name="Take back version 1", exact=True).click()
        expect(dialog).to_contain_text(
            re.compile("No (neighbourhoods|priority areas|premises) will be in force:")
        )
        expect(dialog).not_to_contain_text("in force again")
        dialog.get_by_role("button", name="Leave it").click()


def test_map_leaves_the_history_alone(desk: Desk) -> None:
    """The map stays beside the work while it scrolls, and never lies over what was published."""
    with visiting(desk.browser, desk.web.address, "/boundaries") as visitor:
        page = visitor.page
        expect(page.locator("#history tbody tr")).not_to_have_count(0)
        for findings in (False, True):
            if findings:
                check(visitor, wards(-0.98, overlap=0.001))
            height = visitor.value("() => document.documentElement.scrollHeight")
            for top in range(0, height, 100):
                visitor.value(f"() => scrollTo(0, {top})")
                left, _, right, bottom = visitor.box(".map-panel")
                below = visitor.box("section.history")
                assert bottom <= below[1]
                assert left >= 0
                assert right <= DESK["width"]
        visitor.value("() => scrollTo(0, 0)")
        visitor.value("() => scrollTo(0, 200)")
        assert visitor.box(".map-panel")[1] <= 60  # it went with the page as far as it may
        visitor.shot("boundaries-scrolled")


def asked_last_for(visitor: Visitor, day: str) -> bool:
    """Whether the page asked last for that date whom a publication reaches."""
    return [url.rpartition("=")[2] for url in visitor.asked if "/touched?from=" in url][-1:] == [day]


def test_duties_that_are_reached_go_with_the_date(desk: Desk) -> None:
    """Which duties a publication reaches is asked for its date, and again when that is another."""
    with visiting(desk.browser, desk.web.address, "/boundaries") as visitor:
        page = visitor.page
        check(visitor, wards(-0.984))
        reach = page.locator("#reach")
        expect(reach).to_contain_text("it affects")
        date = page.locator("#publish").get_by_label("In force from")
        for day in (date.input_value(), "2026-01-26", "2126-01-26"):
            date.fill(day)
            expect(reach).to_contain_text("it affects")
            visitor.eventually(partial(asked_last_for, visitor, day), f"asked for {day}")
        expect(reach).to_contain_text("From 26 Jan 2126 on it affects no booked duties.")
        date.fill("2026-01-26")
        expect(reach).to_contain_text("From 26 Jan 2026 on it affects duties of 4\u00a0officers in 2")
        expect(reach.locator("li").first).to_contain_text("week 2026-W05")
        visitor.accessible()
        desk.web.end()
        date.fill("2026-02-01")
        expect(reach.get_by_role("alert")).to_contain_text("Which duties it affects is not known: The server")
        expect(reach.locator("li")).to_have_count(0)


def test_unreadable_file_gets_a_clear_line(desk: Desk) -> None:
    """A file that is no boundary file is refused in one clear line, and so is a check without any file."""
    with visiting(desk.browser, desk.web.address, "/boundaries") as visitor:
        page = visitor.page
        notes: FilePayload = {"name": "notes.geojson", "mimeType": "application/json", "buffer": b"hello"}
        page.set_input_files("#file", files=[notes])
        page.get_by_role("button", name="Check", exact=True).click()
        expect(
            page.locator(".finding[data-severity=error], #check-trouble:not(:empty)").first
        ).to_be_visible()
        assert page.locator("#publish button").count() == 0


def test_long_work_shows_how_far_it_is(desk: Desk) -> None:
    """While a file is checked, the page says what is being done."""
    with visiting(desk.browser, desk.web.address, "/boundaries") as visitor:
        page = visitor.page
        seen = visitor.value(
            """() => { window.steps = [];
                       const words = document.querySelector('#progress-words');
                       new MutationObserver(() => steps.push(words.textContent))
                         .observe(words, { childList: true, characterData: true, subtree: true });
                       return true; }"""
        )
        assert seen
        check(visitor, wards(-0.98))
        steps = visitor.value("() => steps")
        assert any(step.endswith("…") for step in steps)
        expect(page.locator("#progress")).to_be_hidden()


def test_page_fits_a_phone_and_dark(desk: Desk) -> None:
    """On a phone and in the dark the boundary page needs no sideways scrolling and meets WCAG 2.2 AA."""
    with visiting(
        desk.browser, desk.web.address, "/boundaries", size=PHONE, color_scheme="dark", has_touch=True
    ) as visitor:
        check(visitor, wards(-0.984))
        visitor.shot("boundaries-phone")
        visitor.fits()
        visitor.accessible()


def test_file_can_be_dropped_anywhere(desk: Desk) -> None:
    """A file dropped on the page is taken, wherever it falls."""
    with visiting(desk.browser, desk.web.address, "/boundaries") as visitor:
        visitor.value(
            """() => { const data = new DataTransfer();
                       data.items.add(new File(['{}'], 'beats.geojson'));
                       const init = { dataTransfer: data, bubbles: true, cancelable: true };
                       document.querySelector('#map').dispatchEvent(new DragEvent('drop', init)); }"""
        )
        expect(visitor.page.locator("#drop")).to_contain_text("beats.geojson")


def test_history_of_an_empty_program(database_server: EmbeddedDatabase, browser: Browser) -> None:
    """Where nothing is published, the page says how that begins."""
    with (
        migrated(database_server, "page_boundaries_empty") as dsn,
        serving_alone(dsn) as web,
        visiting(browser, web.address, "/boundaries") as visitor,
    ):
        expect(visitor.page.locator("#history")).to_contain_text("Nothing is published yet")
        visitor.accessible()
