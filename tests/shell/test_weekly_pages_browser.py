"""The weekly pages in a real browser: what a sergeant sees, follows, takes home and prints."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from stream.core.shares import NEIGHBOURHOOD
from stream.store.records import Restated
from stream.store.schema import connect
from stream.store.settled import record
from tests.shell.screen import DESK, PHONE, SHOTS, visiting
from tests.shell.weekly_site import WEEKS, WeeklySite, weekly_site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ViewportSize

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow

BEFORE, CLOCKS_BACK, PUBLISHED, RUNNING = WEEKS
HOME = f"/weeks/{PUBLISHED}/N00"
PAGES = {
    "weeks force": f"/weeks/{PUBLISHED}",
    "week": HOME,
    "week parts": f"{HOME}/parts?activity=off_patch",
    "week stretches": f"{HOME}/parts?activity=off_patch&by=stretch",
    "week visits": f"{HOME}/visits/P00",
    "week crewing": f"{HOME}/crewing",
    "week team": f"{HOME}/team",
    "restatements": "/restatements",
    "month": "/months/2026-10/N00",
    "months": "/months/2026-10",
    "postcode": "/postcode",
}
"""Pages by the names of their pictures."""


@pytest.fixture(scope="module")
def site(
    database_server: EmbeddedDatabase, weeks: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WeeklySite]:
    """The web process over four weeks."""
    with weekly_site(database_server, weeks, "weekly_browser", tmp_path_factory.mktemp("weekly")) as found:
        yield found


def pages_of(site: WeeklySite) -> dict[str, str]:
    """All pages, a duty's among them."""
    [first, *_] = site.summary(PUBLISHED, "N00").officers
    return {**PAGES, "week duty": f"/weeks/{PUBLISHED}/duties/{first.duties[0].duty_id}"}


@pytest.mark.parametrize(
    ("size", "scheme", "name"),
    [(DESK, "light", "desk"), (PHONE, "light", "phone"), (DESK, "dark", "dark")],
)
def test_pages_are_accessible_and_fit(
    browser: Browser, site: WeeklySite, size: ViewportSize, scheme: str, name: str
) -> None:
    """On a desk and a phone, light and dark: nothing against WCAG 2.2 AA, nothing to scroll sideways."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for title, path in pages_of(site).items():
        with visiting(browser, site.address, path, size=size, color_scheme=scheme) as visitor:
            expect(visitor.page.locator("h1")).to_have_count(1)
            visitor.page.screenshot(path=SHOTS / f"{title} {name}.png", full_page=True)
            visitor.accessible()
            visitor.fits()
            visitor.undisturbed(site.address)


def test_the_sergeants_page_prints_its_figure_on_one_sheet(browser: Browser, site: WeeklySite) -> None:
    """Printed, the strip is gone, and the figures fill the first sheet alone: the annex begins the second."""
    import pypdf

    with visiting(browser, site.address, HOME) as visitor:
        pdf = visitor.page.pdf(format="A4", prefer_css_page_size=True)
    texts = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]
    assert "Weekly summaries" not in "".join(texts)
    assert "Ward 0" in texts[0]
    assert "Annex" not in texts[0]
    assert "Annex" in texts[1]


def test_the_way_from_the_force_to_a_stretch(browser: Browser, site: WeeklySite) -> None:
    """By links alone: all neighbourhoods, one, its time off patch, an officer, a stretch in its duty."""
    with visiting(browser, site.address, "/weeks") as visitor:
        page = visitor.page
        expect(page).to_have_url(re.compile(rf"/weeks/{PUBLISHED}$"))
        page.get_by_role("link", name="Ward 0", exact=True).first.click()
        expect(page).to_have_url(re.compile(rf"{HOME}$"))
        expect(page.locator(".patrol-bar")).to_contain_text("Number 1, published Mon 2 Nov 2026 06:00")
        number = page.locator(".parts li", has_text="off patch").get_by_role("link")
        said = number.inner_text()
        number.click()
        expect(page.locator("#total")).to_contain_text(said.split(" min")[0][:2].strip())
        page.locator("tr.part a").first.click()
        page.get_by_role("link", name="each stretch").click()
        text = page.locator("tr.part").first.locator("th").inner_text()
        page.locator("tr.part a").first.click()
        marked = page.locator("tr.marked").first
        expect(marked.locator("th")).to_contain_text(text.split()[-1])
        expect(marked).to_be_in_viewport()
        link = page.locator("#playback")
        assert re.fullmatch(r"/#/o/O\d+/d/D\d+-\d+", link.get_attribute("href") or "")


@pytest.mark.parametrize(("size", "scheme", "name"), [(PHONE, "light", "phone"), (DESK, "dark", "dark")])
def test_what_has_been_restated_is_found_from_the_week(
    browser: Browser, site: WeeklySite, size: ViewportSize, scheme: str, name: str
) -> None:
    """From a week's page to its restatements by the keyboard, and on to all; it is accessible and fits."""
    figures = replace(site.summary(BEFORE, "N00").figures, doubtful=0)
    more = replace(figures, on_patch=figures.on_patch + figures.off_patch, off_patch=0)
    with connect(site.dsn) as connection:
        connection.execute("truncate restated, restatement restart identity cascade")
        for cause, area_id in (("later facts", "N00"), ("duties", "N01")):
            change = Restated(BEFORE, NEIGHBOURHOOD, area_id, figures, more)
            record(connection, cause, None, figures.start, "worker", "positions of R1", [change])
    with visiting(browser, site.address, f"/weeks/{BEFORE}/N00", size=size, color_scheme=scheme) as visitor:
        page = visitor.page
        page.get_by_role("link", name="What has been restated").press("Enter")
        expect(page).to_have_url(re.compile(rf"/restatements\?week={BEFORE}&area=N00$"))
        expect(page.locator("tr.part")).to_have_count(1)
        expect(page.locator("h2")).to_contain_text("Facts arrived late")
        visitor.accessible()
        visitor.fits()
        page.get_by_role("link", name="All restatements").press("Enter")
        expect(page.locator("tr.part")).to_have_count(2)
        page.screenshot(path=SHOTS / f"restatements filled {name}.png", full_page=True)
        page.get_by_label("Cause").select_option("duties")
        page.get_by_role("button", name="Show").press("Enter")
        expect(page.locator("tr.part")).to_have_count(1)
        expect(page.locator("h2")).to_contain_text("Duties were revised")
        visitor.accessible()
        visitor.undisturbed(site.address)


def test_files_are_taken_home(browser: Browser, site: WeeklySite) -> None:
    """PDF, spreadsheet, CSV and HTML of the page come as files whose names say what they are."""
    with visiting(browser, site.address, HOME) as visitor:
        for words, ending, begins in (
            ("PDF", ".pdf", b"%PDF"),
            ("Spreadsheet", ".xlsx", b"PK"),
            ("CSV", ".zip", b"PK"),
            ("HTML", ".html", b"<!doctype html>"),
        ):
            with visitor.page.expect_download() as waiting:
                visitor.page.locator(".patrol-bar").get_by_role("link", name=words, exact=True).click()
            file = waiting.value
            assert file.suggested_filename.startswith("N00_2026-W44")
            assert file.suggested_filename.endswith(ending)
            data = file.path().read_bytes()
            assert data.startswith(begins)
            if ending == ".zip":
                names = zipfile.ZipFile(io.BytesIO(data)).namelist()
                assert any(name.endswith(".csv") for name in names)


def test_a_resident_reads_the_month_in_either_language(browser: Browser, site: WeeklySite) -> None:
    """The month is to be had in English and Romanian, and says on what it rests."""
    with visiting(browser, site.address, "/months") as visitor:
        page = visitor.page
        expect(page).to_have_url(re.compile(r"/months/2026-10$"))
        page.get_by_role("link", name="Ward 0", exact=True).click()
        expect(page.locator("html")).to_have_attribute("lang", "en-GB")
        expect(page.locator(".patrol-bar")).to_contain_text("not published yet")
        page.locator(".patrol-bar").get_by_role("link", name="ro", exact=True).click()
        expect(page.locator("html")).to_have_attribute("lang", "ro")


def test_without_a_file_of_postcodes_that_is_said(browser: Browser, site: WeeklySite) -> None:
    """The finder asks; where no file is configured the answer says which setting names one."""
    with visiting(browser, site.address, "/postcode") as visitor:
        page = visitor.page
        page.locator("input[name=postcode]").fill("LE1 1AA")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("PATROL_POSTCODES")
