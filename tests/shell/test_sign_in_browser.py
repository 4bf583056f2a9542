"""Signing in, in a real browser: an administrator, a sergeant, and the demonstration's menu."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from stream.clock import wall
from stream.settings import DEMONSTRATION, LOCAL_ACCOUNTS
from stream.store import people
from stream.store.schema import connect
from tests.shell.screen import DESK, PHONE, serving_alone, visiting
from tests.shell.stored import migrated
from tests.shell.town import MINUTE, NOON, duty, town_called

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


def test_an_administrator_signs_in_makes_an_account_and_somebody_else_uses_it(
    browser: Browser, database_server: EmbeddedDatabase
) -> None:
    """From a one-time password to a page that is one's own, by keyboard, at a desk and on a phone."""
    with (
        migrated(database_server, "sign_in_browser") as dsn,
        serving_alone(dsn, sign_in=LOCAL_ACCOUNTS) as web,
    ):
        with connect(dsn) as connection:
            made = people.first_administrator(connection, now=wall(), by="test")
        assert made is not None
        with visiting(browser, web.address, "/accounts", size=DESK) as visitor:
            page = visitor.page
            expect(page).to_have_title("Sign in · Patrol Visibility")
            visitor.shot("sign in desk")
            visitor.accessible()
            page.keyboard.type("admin")
            page.keyboard.press("Tab")
            page.keyboard.type(made[1])
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()
            visitor.shot("choose a password")
            visitor.accessible()
            page.keyboard.type(PASSWORD)
            page.keyboard.press("Tab")
            page.keyboard.type(PASSWORD)
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Accounts", exact=True)).to_be_visible()
            assert page.url == f"{web.address}/accounts"
            page.get_by_label("Name, to sign in with").fill("ps.adeyemi")
            page.get_by_label("Shown as").fill("PS Adeyemi")
            page.get_by_label("Sergeant").check()
            page.get_by_label("Neighbourhoods' ids, with commas", exact=True).fill("N1, N2")
            page.get_by_role("button", name="Make the account").click()
            first = page.locator("code.secret").text_content()
            assert first
            visitor.shot("account made")
            visitor.accessible()
            page.get_by_role("link", name="All accounts").click()
            visitor.shot("accounts")
            visitor.accessible()
            visitor.undisturbed(web.address)
        with visiting(browser, web.address, "/sign-in", size=PHONE) as visitor:
            page = visitor.page
            visitor.shot("sign in phone")
            page.get_by_label("Name").fill("ps.adeyemi")
            page.get_by_label("Password").fill(first)
            page.get_by_role("button", name="Sign in").click()
            for label in ("New password", "The same again"):
                page.get_by_label(label).fill(PASSWORD)
            page.get_by_role("button", name="Save and sign in").click()
            expect(page.locator("#who")).to_contain_text("PS Adeyemi")
            visitor.fits()
            visitor.shot("signed in live phone")
            page.get_by_role("link", name="PS Adeyemi").click()
            expect(page.get_by_role("heading", name="My account")).to_be_visible()
            page.get_by_label("What it is for").fill("QGIS")
            page.get_by_role("button", name="Make a token").click()
            expect(page.locator("code.secret")).to_have_text(re.compile("^patrol_"))
            visitor.fits()
            visitor.shot("account phone")
            visitor.accessible()
            page.goto(f"{web.address}/page")
            expect(page.locator("#who")).to_contain_text("PS Adeyemi")
            with connect(dsn) as connection:
                people.lock(connection, "ps.adeyemi", now=wall())
            expect(page).to_have_title("Sign in · Patrol Visibility")
            assert page.url == f"{web.address}/sign-in?next=%2Fpage"


def test_the_demonstration_shows_itself_as_each_role_sees_it(
    browser: Browser, database_server: EmbeddedDatabase
) -> None:
    """It opens as the inspector; a menu shows it as each other role, on the page where that one begins."""
    with town_called(database_server, "see_as") as town:
        town.begin(duty("O1", "N1", NOON, NOON + 480 * MINUTE), duty("O3", "N2", NOON, NOON + 480 * MINUTE))
        town.put(R1="west", R3="east")
        town.go(5)
        with (
            serving_alone(town.dsn, sign_in=DEMONSTRATION) as web,
            visiting(browser, web.address, "/page", size=DESK) as visitor,
        ):
            page = visitor.page
            menu = page.get_by_label("See it as")
            expect(menu).to_have_value("inspector")
            visitor.shot("see as inspector")
            visitor.accessible()
            for key, path in (
                ("sergeant", "/page"),
                ("gis", "/boundaries"),
                ("officer", "/page"),
                ("analyst", "/page"),
            ):
                menu.select_option(key)
                page.wait_for_url(f"{web.address}{path}")
                expect(menu).to_have_value(key)
                visitor.shot(f"see as {key}")
            for key, path in (("display", "/page?wall"), ("public", "/months")):
                menu.select_option(key)
                page.wait_for_url(re.compile(re.escape(f"{web.address}{path}")))
                visitor.shot(f"see as {key}")
            page.goto(f"{web.address}/account")
            page.get_by_label("inspector: the whole force").check()
            page.get_by_role("button", name="Show").click()
            expect(menu).to_have_value("inspector")
            page.set_viewport_size(PHONE)
            visitor.fits()
            visitor.shot("see as phone")
