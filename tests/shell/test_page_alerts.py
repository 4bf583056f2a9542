"""Alerts on the live page, in a real browser: nothing moves under a hand, and what is done can be undone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from stream.core.calendar import moment
from tests.shell.screen import (
    DESK,
    PHONE,
    Visitor,
    serving_alone,
    visiting,
)
from tests.shell.town import MINUTE, Town, duty, town_called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Route, ViewportSize

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow


@dataclass(slots=True)
class Room:
    """A town with its web process and a browser; alerts are written as the watch leaves them."""

    town: Town
    address: str
    browser: Browser

    def ring(self, number: int, text: str, *, level: str = "look") -> None:
        """An alert rings; each later one is newer."""
        since = moment(self.town.now - (60 - number) * MINUTE)
        self.town.connection.execute(
            "insert into alert (alert_id, kind, scope, id, level, text, since, raised) "
            "values (%s, 'off_patch_long', 'officer', %s, %s, %s, %s, %s)",
            [f"alert-{number}", f"O{number}", level, text, since, since],
        )

    def clear(self, number: int) -> None:
        """Its cause is gone."""
        self.town.connection.execute(
            "update alert set cleared = %s where alert_id = %s",
            [moment(self.town.now), f"alert-{number}"],
        )

    def quiet(self) -> None:
        """No alert has ever rung."""
        self.town.connection.execute("delete from alert")


@pytest.fixture(scope="module")
def room(database_server: EmbeddedDatabase, browser: Browser) -> Iterator[Room]:
    """Half an hour in the town, over the database itself."""
    with town_called(database_server, "page_alerts") as town:
        start = town.now
        town.begin(duty("O1", "N1", start, start + 480 * MINUTE))
        town.put(R1="west")
        town.go(30)
        with serving_alone(town.dsn) as web:
            yield Room(town, web.address, browser)


@pytest.fixture
def three(room: Room) -> Room:
    """Three alerts, the third of them the newest."""
    room.quiet()
    for number in (1, 2, 3):
        room.ring(number, f"PC {number}: off patch")
    return room


def texts(visitor: Visitor) -> list[str]:
    """What the alerts say, from the top."""
    return visitor.page.locator("#alerts .alert .words").all_text_contents()


def alert(visitor: Visitor, number: int) -> Locator:
    """One alert's row."""
    return visitor.page.locator("#alerts .alert", has_text=f"PC {number}:")


def test_rows_stay_while_the_pointer_is_in_the_list(three: Room) -> None:
    """Under the pointer nothing moves: what is new waits, says so, and comes in when the pointer leaves."""
    with visiting(three.browser, three.address) as visitor:
        page = visitor.page
        expect(page.locator("#alerts .alert")).to_have_count(3)
        before = ["PC 3: off patch", "PC 2: off patch", "PC 1: off patch"]
        assert texts(visitor) == before
        alert(visitor, 2).hover()
        where = alert(visitor, 2).bounding_box()
        three.clear(3)
        three.ring(4, "PC 4: off patch", level="act")
        three.ring(5, "PC 5: off patch")
        waiting = page.locator("#alerts-new")
        expect(waiting).to_have_text("2 new")
        expect(page.locator("#said")).to_contain_text("PC 5: off patch")
        expect(alert(visitor, 3)).to_have_attribute("data-standing", "cleared")
        assert texts(visitor) == before
        assert alert(visitor, 2).bounding_box() == where
        visitor.shot("alerts-waiting")
        visitor.elsewhere()
        expect(page.locator("#alerts .alert")).to_have_count(5)
        expect(waiting).to_be_hidden()
        order = [f"PC {number}: off patch" for number in (4, 5, 2, 1, 3)]
        expect(page.locator("#alerts .alert .words")).to_have_text(order)
        visitor.undisturbed(three.address)


def test_what_waits_can_be_called_in(three: Room) -> None:
    """By keyboard what waits is called into the list, and the focus is in it."""
    with visiting(three.browser, three.address) as visitor:
        page = visitor.page
        expect(page.locator("#alerts .alert")).to_have_count(3)
        alert(visitor, 3).get_by_role("button", name=re.compile("^Snooze")).focus()
        three.ring(4, "PC 4: off patch", level="act")
        expect(page.locator("#alerts-new")).to_have_text("1 new")
        assert len(texts(visitor)) == 3
        page.locator("#alerts-new").press("Enter")
        expect(alert(visitor, 4)).to_be_visible()
        expect(alert(visitor, 4)).to_be_focused()


def test_name_field_keeps_its_focus_and_its_text(three: Room) -> None:
    """While somebody writes their name alerts come and go, that one among them; the field stays as it is."""
    with visiting(three.browser, three.address) as visitor:
        page = visitor.page
        alert(visitor, 2).get_by_role("button", name=re.compile("^Acknowledge")).click()
        name = page.get_by_role("textbox", name="Your name, for the record")
        expect(name).to_be_focused()
        page.keyboard.type("PC Sm")
        three.ring(4, "PC 4: off patch", level="act")
        three.clear(3)
        expect(page.locator("#alerts-new")).to_have_text("1 new")
        three.clear(2)
        expect(alert(visitor, 2)).to_have_attribute("data-standing", "cleared")
        expect(name).to_be_focused()
        page.keyboard.type("ith")
        expect(name).to_have_value("PC Smith")
        three.town.connection.execute("update alert set cleared = null where alert_id = 'alert-2'")
        expect(alert(visitor, 2)).to_have_attribute("data-standing", "open")
        expect(name).to_have_value("PC Smith")
        page.keyboard.press("Enter")
        expect(alert(visitor, 2)).to_contain_text("seen by PC Smith")


def test_acknowledgement_can_be_undone(three: Room) -> None:
    """What was acknowledged can be made not to be; a double click does not undo what it has just done."""
    with visiting(three.browser, three.address) as visitor:
        page = visitor.page
        page.locator("#signer").get_by_role("button").click()
        page.get_by_role("textbox", name="Your name, as it will be recorded").fill("PC Smith")
        page.keyboard.press("Enter")
        alert(visitor, 1).get_by_role("button", name=re.compile("^Acknowledge")).dblclick()
        expect(alert(visitor, 1)).to_have_attribute("data-standing", "acknowledged")
        expect(page.locator("#alerts-count")).to_have_text("2 open")
        alert(visitor, 1).get_by_role("button", name=re.compile("^Undo")).click()
        expect(alert(visitor, 1)).to_have_attribute("data-standing", "open")
        expect(alert(visitor, 1)).not_to_contain_text("seen by")
        expect(page.locator("#alerts-count")).to_have_text("3 open")
        visitor.undisturbed(three.address)


def test_who_signs_is_shown_changed_and_forgotten_with_the_tab(three: Room) -> None:
    """Who signs is shown and can be changed; the name is this tab's, and another one signs anew."""
    with visiting(three.browser, three.address) as visitor:
        page = visitor.page
        signer = page.locator("#signer")
        expect(signer).to_contain_text("no name given yet")
        alert(visitor, 1).get_by_role("button", name=re.compile("^Acknowledge")).click()
        page.get_by_role("textbox", name="Your name, for the record").fill("PC Smith")
        page.keyboard.press("Enter")
        expect(signer).to_have_text("signing as PC Smith – change")
        expect(alert(visitor, 1)).to_contain_text("seen by PC Smith")
        signer.get_by_role("button", name="change").click()
        field = page.get_by_role("textbox", name="Your name, as it will be recorded")
        expect(field).to_have_value("PC Smith")
        visitor.accessible()
        field.fill("Sgt Jones")
        page.keyboard.press("Escape")
        expect(signer).to_contain_text("signing as PC Smith")
        signer.get_by_role("button", name="change").click()
        field.fill("Sgt Jones")
        page.keyboard.press("Enter")
        expect(signer).to_contain_text("signing as Sgt Jones")
        alert(visitor, 2).get_by_role("button", name=re.compile("^Acknowledge")).click()
        expect(alert(visitor, 2)).to_contain_text("seen by Sgt Jones")
        visitor.shot("alerts-signed")
        page.reload()
        expect(signer).to_contain_text("signing as Sgt Jones")
        other = page.context.new_page()
        other.goto(three.address)
        expect(other.locator("#signer")).to_contain_text("no name given yet")
        assert other.evaluate("() => JSON.stringify({ ...localStorage })") == "{}"


def test_name_without_a_space_widens_nothing(three: Room) -> None:
    """The longest name in one word is shown whole, and the column with the alerts stays in the window."""
    long = "x" * 80
    with visiting(three.browser, three.address) as visitor:
        page = visitor.page
        alert(visitor, 1).get_by_role("button", name=re.compile("^Acknowledge")).click()
        page.get_by_role("textbox", name="Your name, for the record").fill(long)
        page.keyboard.press("Enter")
        seen = alert(visitor, 1).locator(".quiet")
        expect(seen).to_contain_text(f"seen by {long}")
        sizes: list[ViewportSize] = [DESK, {"width": 1100, "height": 800}, PHONE]
        for size in sizes:
            page.set_viewport_size(size)
            for place in (".alerts-panel", "#alerts .alert"):
                assert visitor.box(place)[2] <= size["width"]
            assert seen.evaluate("(one) => one.scrollWidth <= one.clientWidth")
            visitor.fits()
        visitor.shot("alerts-long-name")


def test_focus_is_back_at_once(three: Room) -> None:
    """Back at the neighbourhood the focus is on the officer's row before the server answers."""
    held: list[Route] = []
    with visiting(three.browser, three.address, "/#/n/N1") as visitor:
        page = visitor.page
        officer = page.locator("#detail a.officer")
        officer.click()
        expect(page.get_by_role("button", name="Play the track")).to_be_visible()

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/api/v1/neighbourhoods/*", hold)
        page.keyboard.press("Escape")
        expect(officer).to_be_focused()
        visitor.until("() => location.hash === '#/n/N1'", "the neighbourhood's address")
        page.route("**/api/v1/neighbourhoods/*", lambda route: route.continue_())
        for one in held:
            one.continue_()
        expect(page.locator("#detail h2")).to_have_text("Westcotes")
        expect(officer).to_be_focused()


def test_escape_closes_the_question_alone(three: Room) -> None:
    """Escape takes back an alert's question, to the button that asked it, and leaves open what else is."""
    with visiting(three.browser, three.address, "/#/n/N1") as visitor:
        page = visitor.page
        expect(page.locator("#detail h2")).to_have_text("Westcotes")
        alert(visitor, 1).get_by_role("button", name=re.compile("^Snooze")).click()
        expect(page.get_by_role("button", name="Snooze for 15 minutes")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Snooze for 15 minutes")).to_have_count(0)
        expect(alert(visitor, 1).get_by_role("button", name=re.compile("^Snooze"))).to_be_focused()
        expect(page.locator("#detail h2")).to_have_text("Westcotes")
        page.keyboard.press("Escape")
        expect(page.locator("#list")).to_be_visible()
