"""An officer's track on the live page: what is ignored is not drawn, what was opened closes in its order."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from stream.core.facts import SECOND, Allocation
from stream.core.stays import distance_m
from tests.shell.screen import (
    Visitor,
    serving_alone,
    visiting,
)
from tests.shell.town import MINUTE, SPOTS, duty, town_called
from tests.strategies import fix_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


def tracks(count: int) -> list[list[tuple[float, float, int]]]:
    """Random positions of units in time order: drives, standstills, silences, and legs that nobody drove."""
    chance = random.Random(7)
    found = []
    for _ in range(count):
        lon, lat, time = -1.0, 52.5, chance.randrange(1_790_000_000_000, 1_800_000_000_000)
        track = []
        for _ in range(chance.randint(0, 12)):
            step = chance.choice((10, 60, 300, 300.001, 1200))
            reach = chance.choice((0.0, 0.0005, 0.01, 3.0))
            time += round(step * 1000)
            lon, lat = lon + chance.uniform(-reach, reach), lat + chance.uniform(-reach / 2, reach / 2)
            track.append((lon, lat, time))
        found.append(track)
    return found


def driven(
    track: Sequence[tuple[float, float, int]], jump_mps: float, gap_s: float
) -> list[list[list[float]]]:
    """The lines of a track, leg by leg: rules 4 and 4a."""
    lines: list[list[list[float]]] = [[]]
    for at, (lon, lat, time) in enumerate(track):
        if at:
            before = track[at - 1]
            ends = (np.array([value]) for value in (*before[:2], lon, lat))
            seconds = (time - before[2]) / 1000
            if seconds > gap_s or distance_m(*ends)[0] > jump_mps * seconds:
                lines.append([])
        lines[-1].append([lon, lat])
    return [line for line in lines if len(line) > 1]


def test_trails_pass_over_no_leg_that_nobody_drove(street: Street) -> None:
    """A trail is broken at each leg too fast for a drive or too long for a straight line, and only there."""
    given = tracks(300)
    with visiting(street.browser, street.address) as visitor:
        for limits in ({"jump_speed_mps": 80, "max_gap_s": 300}, {"jump_speed_mps": 20, "max_gap_s": 60}):
            have = visitor.page.evaluate(
                "([tracks, limits]) => tracks.map((track) => patrol.map.linesOf(track, limits))",
                [given, limits],
            )
            jump_mps, gap_s = limits.values()
            want = [driven(track, jump_mps, gap_s) for track in given]
            assert have == want
            assert any(len(lines) > 1 for lines in want)


@pytest.mark.parametrize("minutes", [3, 20])
def test_a_line_passes_over_no_leg_that_nobody_drove(
    database_server: EmbeddedDatabase, browser: Browser, minutes: int
) -> None:
    """Between positions too far apart for a drive (rule 4a), or in time (rule 4), the way has a gap."""
    with town_called(database_server, f"page_gap_{minutes}") as town:
        town.begin(duty("O1", "N1", town.now, town.now + 480 * MINUTE))
        for spot in ("west", "away", "west"):
            town.put(R1=spot)
            town.go(minutes, step_s=60)
        town.now += 40 * MINUTE
        town.put(R1="east")
        town.go(5, step_s=60)
        with (
            serving_alone(town.dsn) as web,
            visiting(browser, web.address, "/#/o/O1") as visitor,
        ):
            lines = visitor.until(
                "() => patrol.map.data.track.features.map((one) => one.geometry.coordinates)", "the track"
            )
    assert {tuple(point) for line in lines for point in line} >= {SPOTS["west"], SPOTS["east"]}
    # Who stays away longer than a gap is shown there, and on no way to it.
    assert (SPOTS["away"] in {tuple(point) for line in lines for point in line}) == (minutes > 5)
    for line in lines:
        assert len({tuple(point) for point in line}) == 1
