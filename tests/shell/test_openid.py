"""Signing in at a real Keycloak, by the pages behind a real nginx with TLS and a path."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from playwright.sync_api import expect

from stream.embedded import free_port
from stream.settings import OPENID, Settings
from stream.store.schema import connect
from stream.web.access import openid, provided, sign_in
from stream.web.access.openid import Provider, SignedOut
from stream.web.app import create_app
from tests.shell.keycloak import REALM, Keycloak, pass_form, unavailable_reason
from tests.shell.nginx import Nginx, nginx_path
from tests.shell.screen import PHONE, built, visiting
from tests.shell.stored import migrated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow

ROLES = """
[[role]]
claim = "realm_access.roles"
value = "patrol-inspector"
role = "inspector"

[[role]]
claim = "realm_access.roles"
value = "patrol-auditor"
role = "auditor"
"""


@dataclass
class Site:
    """The pages, their proxy and their provider.

    Attributes:
        address: of the pages.
        own: the program's own address.
        heard: the provider's messages that somebody signed out.
    """

    keycloak: Keycloak
    nginx: Nginx
    address: str
    own: str
    dsn: str
    trust: ssl.SSLContext
    browsers: list[httpx.Client] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    told: threading.Condition = field(default_factory=threading.Condition)

    def browser(self) -> httpx.Client:
        """A browser that nobody has used."""
        made = httpx.Client(verify=self.trust, timeout=60, headers={"Accept": "text/html"})

        def as_browsers_do(request: httpx.Request) -> None:
            """Cookies for TLS alone are sent to this machine without it too."""
            if request.url.scheme == "http":
                kept = (item for item in made.cookies.jar if item.domain == request.url.host)
                request.headers["Cookie"] = "; ".join(f"{item.name}={item.value}" for item in kept)

        made.event_hooks = {"request": [as_browsers_do]}
        self.browsers.append(made)
        return made

    def form(self, browser: httpx.Client, path: str = "/account") -> httpx.Response:
        """The provider's page, from where a page of ours sent the browser."""
        asked = browser.get(f"{self.address}{path}")
        assert asked.headers["location"] == f"/patrol/sign-in?next=%2F{path[1:]}"
        begun = browser.get(f"{self.address}/sign-in/provider?next={path}")
        assert begun.headers["location"].startswith(f"{self.keycloak.issuer}/protocol/openid-connect/auth?")
        return browser.get(begun.headers["location"])

    def sign_in(self, name: str) -> httpx.Client:
        """A browser in which somebody has signed in."""
        browser = self.browser()
        back = browser.get(pass_form(browser, self.form(browser), name).headers["location"])
        assert (back.status_code, back.headers.get("location")) == (303, "/patrol/account"), back.text
        return browser

    def roles(self, browser: httpx.Client) -> list[str] | None:
        """The roles of whoever uses a browser; None: nobody is signed in."""
        answer = browser.get(f"{self.address}/api/v1/me")
        if answer.status_code == 401:
            return None
        assert answer.status_code == 200, answer.text
        return sorted(item["role"] for item in answer.json()["grants"])

    def due(self) -> None:
        """Has the provider asked again for every session that is used from now on."""
        with connect(self.dsn) as connection:
            connection.execute("update access_provided set due_at = now() - interval '1 second'")

    def until(self, browser: httpx.Client, wanted: list[str] | None) -> None:
        """Uses a browser until its roles are these: the provider is asked beside the requests."""
        for _ in range(600):
            if self.roles(browser) == wanted:
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"the roles are still {self.roles(browser)}")


@pytest.fixture(scope="module")
def keycloak() -> Iterator[Keycloak]:
    """One Keycloak for the run of this module."""
    if (reason := unavailable_reason()) is not None:
        pytest.skip(f"needs Keycloak: {reason}")
    nginx_path()
    with Keycloak() as found:
        yield found


@pytest.fixture(scope="module")
def site(
    keycloak: Keycloak, database_server: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The pages of a force whose people sign in at Keycloak."""
    built()
    roles = tmp_path_factory.mktemp("openid") / "roles.toml"
    roles.write_text(ROLES, "utf-8")
    port, listening = free_port(), socket.create_server(("127.0.0.1", 0))
    address, inside = f"https://localhost:{port}/patrol", listening.getsockname()[1]
    own = f"http://127.0.0.1:{inside}"
    keycloak.make_realm(address, f"{own}/sign-out/provider")
    with migrated(database_server, "openid") as dsn, pytest.MonkeyPatch.context() as patch:
        # Nothing is kept for seconds: what is tried is what happens, and not when.
        patch.setattr(sign_in, "HOLDS_S", 0.0)
        patch.setattr(provided, "LOOK_S", 0.0)
        patch.setattr(openid, "KEYS_S", 0.0)
        app = create_app(
            Settings(
                database=dsn,
                sign_in=OPENID,
                public_url=address,
                trusted_proxies="127.0.0.1",
                openid_issuer=keycloak.issuer,
                openid_client="patrol",
                openid_secret=keycloak.secret,
                roles=str(roles),
            )
        )
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, proxy_headers=False, access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            with Nginx(inside, port=port) as nginx:
                trust = ssl.create_default_context()
                nginx.authority.configure_trust(trust)
                found = Site(keycloak, nginx, address, own, dsn, trust)
                heard = Provider.signed_out

                async def hearing(self: Provider, token: str) -> SignedOut:
                    message = await heard(self, token)
                    with found.told:
                        found.heard.append(token)
                        found.told.notify_all()
                    return message

                patch.setattr(Provider, "signed_out", hearing)
                yield found
                for browser in found.browsers:
                    browser.close()
        finally:
            app.state.pulse.end()
            server.should_exit = True
            thread.join()


def test_people_sign_in_and_out_in_a_browser(site: Site, browser: Browser) -> None:
    """From the first page to the provider's, back to the pages, and out again on both sides."""
    site.keycloak.person("jane", "patrol-inspector")
    with visiting(browser, site.address, size=PHONE, ignore_https_errors=True) as visitor:
        page = visitor.page
        visitor.shot("openid-sign-in")
        visitor.fits()
        page.get_by_role("link", name="Sign in with your force account").click()
        page.locator("#username").fill("jane")
        page.locator("#password").fill("jane")
        page.locator("#kc-login").click()
        page.wait_for_url(f"{site.address}/")
        visitor.until("() => patrol.state.connection === 'open'", "heard its stream")
        page.goto(f"{site.address}/account")
        expect(page.get_by_text("jane, shown as Jane Doe")).to_be_visible()
        visitor.shot("openid-account")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{site.address}/sign-in?out")
        expect(page.get_by_text("You have signed out.")).to_be_visible()
        page.get_by_role("link", name="Sign in with your force account").click()
        expect(page.locator("#username")).to_be_visible()


def test_whom_nobody_gave_a_role_is_told_so(site: Site) -> None:
    """Somebody with an account at the provider and no role here gets one sentence and no session."""
    site.keycloak.person("nora")
    browser = site.browser()
    back = browser.get(pass_form(browser, site.form(browser), "nora").headers["location"])
    assert back.status_code == 403
    assert "nobody has given you a role here" in back.text
    assert site.roles(browser) is None


def test_a_code_or_state_counts_once_and_in_its_own_browser(site: Site) -> None:
    """What came back signs in nobody in another browser, a second time, or with another state."""
    site.keycloak.person("carl", "patrol-auditor")
    browser, thief = site.browser(), site.browser()
    back = pass_form(browser, site.form(browser), "carl").headers["location"]
    site.form(thief)  # a sign-in of its own has begun there
    assert thief.get(back).status_code == 403
    assert browser.get(back.replace("state=", "state=x")).status_code == 403
    assert site.roles(browser) is site.roles(thief) is None
    assert browser.get(back).status_code == 403  # the wrong state ended the sign-in
    good = site.sign_in("carl")
    assert site.roles(good) == ["auditor"]
    assert good.get(back).status_code == 403
    assert site.roles(good) == ["auditor"]


def test_the_provider_is_asked_again_for_roles_and_whether_somebody_may_stay(site: Site) -> None:
    """While nothing changes a session goes on; with other roles it is opened anew; once refused it ends."""
    key = site.keycloak.person("ruth", "patrol-auditor")
    browser = site.sign_in("ruth")
    for _ in range(2):
        site.due()
        site.until(browser, ["auditor"])
    site.keycloak.give(key, "patrol-inspector")
    site.due()
    site.until(browser, None)
    browser = site.sign_in("ruth")
    assert site.roles(browser) == ["inspector"]
    site.keycloak.ask("PUT", f"/{REALM}/users/{key}", {"enabled": False})
    site.due()
    site.until(browser, None)


def test_whom_the_provider_signs_out_is_signed_out_here(site: Site) -> None:
    """Its message ends the session at once; heard a second time, or changed, it ends nothing more."""
    key = site.keycloak.person("omar", "patrol-inspector")
    browser, before = site.sign_in("omar"), len(site.heard)
    site.keycloak.ask("POST", f"/{REALM}/users/{key}/logout")
    with site.told:
        assert site.told.wait_for(lambda: len(site.heard) > before, 60)
    site.until(browser, None)
    again, token = site.sign_in("omar"), site.heard[-1]
    with site.browser() as outside:
        for sent in (token, token[:-9] + "AAAAAAAAA", ""):
            answer = outside.post(f"{site.address}/sign-out/provider", data={"logout_token": sent})
            assert answer.status_code == 400, answer.text
    assert site.roles(again) == ["inspector"]


def test_a_new_key_of_the_provider_is_taken(site: Site) -> None:
    """After the provider has changed its key people sign in as before."""
    site.keycloak.person("kate", "patrol-inspector")
    site.sign_in("kate")
    site.keycloak.new_key()
    assert site.roles(site.sign_in("kate")) == ["inspector"]


def test_a_provider_that_answers_nothing_ends_no_session(site: Site) -> None:
    """While it hangs, whoever is signed in stays, whoever signs in is told; then it goes on."""
    site.keycloak.person("hana", "patrol-inspector")
    browser, other = site.sign_in("hana"), site.browser()
    back = pass_form(other, site.form(other), "hana").headers["location"]
    site.keycloak.hang()
    try:
        site.due()
        assert site.roles(browser) == ["inspector"]
        told = other.get(back)
        assert told.status_code == 503
        assert "The sign-in provider does not answer now; try again in a minute." in told.text
        assert site.roles(browser) == ["inspector"]
    finally:
        site.keycloak.go_on()
    with connect(site.dsn) as connection:
        connection.execute("update access_provided set due_at = now() + interval '1 hour'")
    site.until(browser, ["inspector"])
