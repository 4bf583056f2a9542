"""The live page where something is missing: it says what, what to do, and nothing that it cannot know."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
import shapely
from playwright.sync_api import expect

from geo.areas import Area, AreaSet, Kind
from stream.store import areas as tables
from stream.store.schema import connect, migrate
from tests.shell.screen import (
    DESK,
    PHONE,
    WALL,
    Visitor,
    serving_alone,
    visiting,
)
from tests.shell.stored import database_called
from tests.shell.town import MINUTE, Town, duty, town_called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase
    from tests.shell.screen import Web

pytestmark = pytest.mark.slow

CANNOT_BE_KNOWN = (
    r"data\s+old",
    r"newest",
    r"No priority areas are published",
    r"No neighbourhoods are published",
    r"Every neighbourhood",
    r"Nobody is on duty",
    r"Nothing to act on",
    r"nobody with a patch",
    r"\b0 s\b",
    r"NaN|undefined|null|Invalid",
)
"""What would be false, or broken, while no figures can be read."""


def claims(visitor: Visitor) -> list[str]:
    """What the page says that it cannot know."""
    said = visitor.page.locator("body").inner_text()
    said += " ".join(
        visitor.value("() => [...document.querySelectorAll('[data-said]')].map((one) => one.dataset.said)")
    )
    return [pattern for pattern in CANNOT_BE_KNOWN if re.search(pattern, said)]


def test_page_without_database_says_so_and_no_more(browser: Browser) -> None:
    """Opened while the database is away, the page says what the server says, and invents no figure."""
    with (
        serving_alone("postgresql://nobody@127.0.0.1:9/none") as web,
        visiting(browser, web.address) as visitor,
    ):
        page = visitor.page
        expect(page.locator("#banner")).to_contain_text("the database cannot be reached")
        expect(page.locator("body")).to_have_attribute("data-fresh", "away")
        expect(page.locator("#trust-text")).to_have_text("No figures")
        expect(page.locator("#answer-trust .big")).to_have_text("No")
        for card in ("nobody", "miss", "waiting"):
            expect(page.locator(f"#answer-{card} .big")).to_have_text("–")
            expect(page.locator(f"#answer-{card}")).to_contain_text("Not known")
        for place in ("#list", "#alerts", "#areas"):
            expect(page.locator(place)).to_have_attribute("data-said", re.compile("^Not known"))
        expect(page.locator("#map-empty")).to_contain_text("Not known: the database cannot be reached")
        assert claims(visitor) == []
        visitor.shot("away")
        visitor.fits()
        visitor.accessible()


def test_page_without_schema_fills_when_it_is_there(browser: Browser, database: str) -> None:
    """Opened before the tables are made, the page says which command makes them, and fills by itself."""
    town = Town(database)
    with (
        contextlib.closing(town),
        serving_alone(database) as web,
        visiting(browser, web.address) as visitor,
    ):
        page = visitor.page
        expect(page.locator("#banner")).to_contain_text("patrol init")
        assert claims(visitor) == []
        visitor.shot("no-schema")
        with connect(database) as connection:
            migrate(connection)
        expect(page.locator("#list")).to_have_attribute("data-said", re.compile("No neighbourhoods"))
        expect(page.locator("body")).to_have_attribute("data-fresh", "empty")
        expect(page.locator("#map-empty")).to_contain_text("No areas are published yet")
        town.begin(duty("O1", "N1", town.now, town.now + 480 * MINUTE))
        town.put(R1="west")
        town.go(30)
        expect(page.locator("#list a.row")).to_have_count(2)
        expect(page.locator("body")).to_have_attribute("data-fresh", "live")
        expect(page.locator("#map-empty")).to_be_hidden()
        visitor.until("() => patrol.map.has('neighbourhood', 'N1')", "areas on the map")


def test_database_that_goes_is_told_in_the_servers_words(
    browser: Browser, database_server: EmbeddedDatabase
) -> None:
    """When the database goes the figures stay, grey, under the server's words for it."""
    with (
        database_called(database_server, "page_gone") as dsn,
        serving_alone(dsn) as web,
        visiting(browser, web.address) as visitor,
    ):
        with connect(dsn) as connection:
            migrate(connection)
        page = visitor.page
        expect(page.locator("body")).to_have_attribute("data-fresh", "empty")
        town = Town(dsn)
        town.begin(duty("O1", "N1", town.now, town.now + 480 * MINUTE))
        town.put(R1="west")
        town.go(30)
        expect(page.locator("#force .figure")).to_contain_text("%")
        town.close()
        with connect(database_server.dsn) as server:
            server.execute("alter database page_gone allow_connections false")
            server.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'page_gone'"
            )
        expect(page.locator("#banner")).to_contain_text("the database cannot be reached")
        expect(page.locator("#answer-trust")).to_contain_text("the database cannot be reached")
        with visiting(browser, web.address) as late:
            # Opened only now: figures are there, the map's areas are not.
            expect(late.page.locator("#force .figure")).to_contain_text("%")
            expect(late.page.locator("#map-empty")).to_contain_text(
                "Not known: the database cannot be reached"
            )
            late.shot("late-without-database")
        expect(page.locator("#force .figure")).to_contain_text("%")
        expect(page.locator("#main")).to_have_css("filter", re.compile("grayscale"))
        with connect(database_server.dsn) as server:
            server.execute("alter database page_gone allow_connections true")
        expect(page.locator("#banner")).to_be_hidden()


def test_empty_rows_say_why_and_doubts_are_named(browser: Browser, database: str) -> None:
    """A row with nobody on patch says that all are on a break; what is heading below says it may miss."""
    town = Town(database)
    with (
        contextlib.closing(town),
        serving_alone(database) as web,
        visiting(browser, web.address) as visitor,
    ):
        end = town.now + 300 * MINUTE
        town.begin(*(duty(officer, "N1", town.now, end) for officer in ("O1", "O3")))
        town.book(duty("O2", "N2", town.now, end))
        town.put(R1="west", R2="east", R3="west")
        town.go(160, 30)
        town.put(R1="east", R3="east")
        town.go(28, 30)
        town.put(R1="west")
        town.key("O2", 4)
        town.go(2)
        page = visitor.page
        west = page.locator("#list a.row", has=page.locator(".name", has_text="Westcotes"))
        east = page.locator("#list a.row", has=page.locator(".name", has_text="Eastgate"))
        expect(west.locator(".may")).to_have_text("may miss")
        expect(west.locator(".may")).to_be_visible()
        expect(west).to_contain_text("May miss 80%")
        expect(east.locator(".may")).to_be_hidden()
        expect(east).to_have_attribute("data-nobody", "")
        expect(east.locator(".officers")).to_have_text("0\u2009/\u20091")
        expect(east.locator(".away")).to_contain_text("nobody on patch: all on a break")
        expect(page.locator("#answer-nobody .big")).to_have_text("0")
        expect(page.locator("#answer-nobody")).to_contain_text(
            "Nobody is missing: in Eastgate <b> all are on a break."
        )
        visitor.shot("break-and-doubt")
        west.click()
        expect(page.locator("#detail .facts")).to_contain_text("may miss")
        visitor.fits()
        visitor.accessible()


def test_long_names_are_read_to_their_end(browser: Browser, database: str) -> None:
    """On cards and in the list of areas a long name takes two lines: on the desk, dark, on the wall."""
    town = Town(database)
    spot = shapely.box(-0.996, 52.515, -0.995, 52.516)
    names = [
        f"Marlbeck Market {issue}"
        for issue in ("(anti-social behaviour)", "(night-time violence)", "(retail)")
    ]
    hours = {"days": "Mon-Sun", "hours": "11:00-18:00"}
    areas = AreaSet.of([Area(Kind.PRIORITY, f"P{at}", name, spot, hours) for at, name in enumerate(names)])
    with contextlib.closing(town), serving_alone(database, alert_priority_unvisited_s="600") as web:
        town.begin(duty("O1", "N1", town.now, town.now + 480 * MINUTE))
        tables.publish(town.connection, areas, Kind.PRIORITY, 1, file="long", sha256="-", by="test")
        town.put(R1="west")
        town.go(60)
        for name, size, path, scheme in (
            ("light", DESK, "/", "light"),
            ("dark", DESK, "/", "dark"),
            ("wall", WALL, "/?wall", "dark"),
        ):
            with visiting(browser, web.address, path, size=size, color_scheme=scheme) as visitor:
                page = visitor.page
                card = page.locator("#answer-waiting")
                expect(card.locator(".big")).to_have_text("3")
                expect(page.locator("#areas .name")).to_have_count(3)
                visitor.value("() => document.fonts.ready.then(() => true)")
                visitor.shot(f"long-names-{name}")
                cut = """() => [...document.querySelectorAll('#answer-waiting a, #areas .name')]
                           .filter((one) => one.offsetParent)
                           .filter((one) => one.scrollHeight > one.clientHeight + 1
                                         || one.scrollWidth > one.clientWidth + 1)
                           .map((one) => one.textContent)"""
                assert visitor.value(cut) == []
                shown = card.locator("[data-name]:visible").count()
                assert shown >= 1
                if shown < len(names):
                    expect(card).to_contain_text(f"and {len(names) - shown} more")
                assert visitor.box("#answer-waiting ul")[3] <= visitor.box("#answer-waiting")[3]
                visitor.fits()


@pytest.fixture(scope="module")
def small_town(database_server: EmbeddedDatabase) -> Iterator[Web]:
    """The web process over the town with one officer in it."""
    with town_called(database_server, "page_states") as town:
        town.begin(duty("O1", "N1", town.now, town.now + 480 * MINUTE))
        town.put(R1="west")
        town.go(5)
        with serving_alone(town.dsn) as web:
            yield web


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("#/n/nowhere", "There is no neighbourhood"),
        ("#/o/nobody", "There is no officer"),
        ("#/o/%00", "There is no officer"),
        ("#/o/../../x", "There is no officer “../../x”"),
        ("#/p/nothing", "There is no priority area “nothing”"),
        ("#/x/1", "This link leads nowhere"),
        ("#/n/%E0%A4%A", "This link leads nowhere"),
    ],
)
def test_link_to_nothing_says_so(browser: Browser, small_town: Web, link: str, words: str) -> None:
    """A link to what is not there says so, on a phone too, and its way back leads to the whole list."""
    with visiting(browser, small_town.address, f"/{link}", size=PHONE, has_touch=True) as visitor:
        page = visitor.page
        expect(page.locator("#detail [role=alert]")).to_contain_text(words)
        expect(page.locator("#detail h2")).to_be_focused()
        assert page.locator("#detail ol:empty, #detail ul:empty").count() == 0
        visitor.accessible()
        page.get_by_role("link", name="Show all neighbourhoods").click()
        expect(page.locator("#list a.row")).to_have_count(2)
        expect(page.locator("#list a.row").first).to_be_visible()
        expect(page.locator("#detail")).to_be_hidden()
