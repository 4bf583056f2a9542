"""An officer's track on the live page: what is ignored is not drawn, what was opened closes in its order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from stream.core.facts import SECOND, Allocation
from tests.shell.screen import (
    Visitor,
    serving_alone,
    visiting,
)
from tests.shell.town import MINUTE, SPOTS, duty, town_called
from tests.strategies import fix_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow

WEST, SOUTH, EAST, NORTH = -1.0, 52.5, -0.96, 52.52


@dataclass(slots=True)
class Street:
    """The town's web process and a browser."""

    address: str
    browser: Browser


@pytest.fixture(scope="module")
def street(database_server: EmbeddedDatabase, browser: Browser) -> Iterator[Street]:
    """A patrol of forty minutes: its radio jumped away once, and its car stood far from it all the time.

    From spot to spot it takes 20 s: faster than that would be no drive (rule 4a).
    """
    with town_called(database_server, "page_track") as town:
        start = town.now
        now_ = duty("O1", "N1", start, start + 480 * MINUTE, Allocation("V1", "vehicle"))
        then = replace(
            now_, duty_id="D/1 of Monday", start=start - 1440 * MINUTE, end=start - 960 * MINUTE, devices=()
        )
        town.begin(now_, then)
        town.put(R1="west", V1="away")
        town.go(10, step_s=20)
        town.put(R1="west vertex", V1="away")
        town.go(10, step_s=20)
        lon, lat = SPOTS["away"]
        town.ledger.positions(fix_columns([("R1", town.now + 5 * SECOND, lon, lat, None)]))
        town.go(10, step_s=20)
        town.put(R1="east", V1="away")
        town.go(10, step_s=20)
        with serving_alone(town.dsn) as web:
            yield Street(web.address, browser)


def within(points: list[list[float]]) -> bool:
    """Whether all points lie in the town."""
    return all(WEST <= lon <= EAST and SOUTH <= lat <= NORTH for lon, lat in points)


def test_ignored_positions_are_crosses_and_no_part_of_the_line(street: Street) -> None:
    """A jump that no movement explains (rule 3) is a small cross, named in the key; the line passes it by."""
    with visiting(street.browser, street.address, "/#/o/O1") as visitor:
        page = visitor.page
        line = visitor.until(
            "() => patrol.map.data.track.features.flatMap((one) => one.geometry.coordinates)", "the track"
        )
        assert within(line)
        crosses = "() => patrol.map.data.ignored.features.map((one) => one.geometry.coordinates)"
        visitor.eventually(lambda: visitor.value(crosses) == [list(SPOTS["away"])], "a cross where it was")
        expect(page.locator("#detail .ignored")).to_contain_text("1\u00a0position ignored")
        expect(page.locator("#detail .ignored")).to_contain_text("no movement explains it (rule 3)")
        page.locator("#legend summary").click()
        expect(page.locator("#legend")).to_contain_text("ignored: no movement explains it (rule 3)")
        # Far out the cross is on the screen, too.
        visitor.value("() => patrol.map.map.jumpTo({ center: [-1.1, 52.6], zoom: 10 })")
        drawn = "() => patrol.map.map.queryRenderedFeatures({ layers: ['ignored'] }).length === 1"
        visitor.until(drawn, "a cross on the map")
        visitor.shot("ignored")
        visitor.undisturbed(street.address)


def test_line_goes_on_in_time(street: Street) -> None:
    """Of two devices that tell at once the line is that of the one which counts, in the order of time."""
    with visiting(street.browser, street.address, "/#/o/O1") as visitor:
        line = visitor.until(
            "() => patrol.map.data.track.features.flatMap((one) => one.geometry.coordinates)", "the track"
        )
        # West, then its vertex, then east: eastwards all the way.
        assert [lon for lon, _ in line] == sorted(lon for lon, _ in line)
        assert line[0] == list(SPOTS["west"])
        assert line[-1] == list(SPOTS["east"])


def test_playback_never_jumps(street: Street) -> None:
    """The hand stays in the town at every second of the shift, and is hidden where nothing is known."""
    with visiting(street.browser, street.address, "/#/o/O1") as visitor:
        page = visitor.page
        page.get_by_role("button", name="Play the track").click()
        page.get_by_role("button", name="Pause").click()
        points = visitor.value(
            """() => { const slider = document.querySelector('.playback input');
                       const points = [];
                       for (let at = 0; at <= Number(slider.max); at++) {
                         slider.value = String(at);
                         slider.dispatchEvent(new Event('input', { bubbles: true }));
                         points.push(...patrol.map.data.now.features.map((one) => one.geometry.coordinates));
                       }
                       return points; }"""
        )
        assert len(points) > 2000
        assert within(points)


def test_escape_closes_the_innermost(street: Street) -> None:
    """Escape closes playback, then officer, then neighbourhood; the focus goes to what opened each."""
    with visiting(street.browser, street.address) as visitor:
        page = visitor.page
        row = page.locator("#list a.row", has_text="Westcotes")
        row.focus()
        page.keyboard.press("Enter")
        officer = page.locator("#detail a.officer", has_text="PC O1")
        officer.focus()
        page.keyboard.press("Enter")
        play = page.get_by_role("button", name="Play the track")
        play.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#playback")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#playback")).to_be_hidden()
        expect(play).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#detail h2")).to_have_text("Westcotes")
        expect(officer).to_be_focused()
        page.keyboard.press("Escape")
        expect(row).to_be_focused()
        expect(page.locator("#detail")).to_be_hidden()


def test_escape_from_a_link_elsewhere_goes_back_there(street: Street) -> None:
    """What a link of another list opened gives the focus back to that link."""
    with visiting(street.browser, street.address) as visitor:
        page = visitor.page
        link = page.locator("#answer-nobody a").first
        link.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#detail h2")).to_have_text("Westcotes")
        expect(page.locator("#detail h2")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#list")).to_be_visible()
        expect(link).to_be_focused()
        area = page.locator("#areas a").first
        area.focus()
        page.keyboard.press("Enter")
        expect(area).to_have_attribute("aria-current", "true")
        page.keyboard.press("Escape")
        expect(page.locator("#areas a[aria-current]")).to_have_count(0)
        expect(area).to_be_focused()


def test_a_link_leads_to_one_duty_of_the_record(street: Street) -> None:
    """``#/o/OFFICER/d/DUTY`` shows that duty, whatever its id, not the one now running."""
    with visiting(street.browser, street.address, "#/o/O1/d/D%2F1%20of%20Monday") as visitor:
        page = visitor.page
        expect(page.locator("#detail h2")).to_have_text("PC O1")
        expect(page.locator("#detail")).to_contain_text("an earlier duty")
        expect(page.locator("#detail")).to_contain_text("That shift")
        page.goto(f"{street.address}/#/o/O1/d/D-O1")
        expect(page.locator("#detail")).to_contain_text("This shift")
        page.keyboard.press("Escape")
        expect(page.locator("#detail")).to_be_hidden()


def requests_of(visitor: Visitor, pattern: str) -> list[str]:
    """What was asked for that looks like this."""
    return [address for address in visitor.asked if re.search(pattern, address)]


def test_a_neighbourhood_is_one_request(street: Street) -> None:
    """A neighbourhood with its officers' timelines is one request, and the names of units need none."""
    with visiting(street.browser, street.address, "/#/n/N1") as visitor:
        page = visitor.page
        expect(page.locator("#detail a.officer .strip i")).not_to_have_count(0)
        assert requests_of(visitor, "/officers/") == []
        names = "() => [...patrol.state.units.values()].map((one) => one.name)"
        assert set(visitor.until(f"() => patrol.state.known && ({names})()", "units")) == {"PC O1"}
        visitor.until("() => patrol.map.unitsLayer.units.length === 2", "units on the map")
        visitor.value("() => patrol.map.map.jumpTo({ center: [-0.975, 52.505], zoom: 14 })")
        visitor.point_at("R1", "PC O1")
        assert requests_of(visitor, "/officers/") == []
