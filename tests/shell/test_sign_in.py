"""Signing in: who gets in, how, for how long, and what nobody can do by trying."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.cli import patrol
from stream.cli.people import first_lines
from stream.clock import wall
from stream.core.facts import SECOND
from stream.core.grants import Grant, Role, grants_of
from stream.settings import LOCAL_ACCOUNTS, Settings
from stream.store import passwords, people, record
from stream.store.schema import connect
from stream.web.access.forms import own_path
from stream.web.access.sign_in import BROWSER_COOKIE, COOKIE
from stream.web.app import create_app
from tests.shell.asgi import client_of, running_loop
from tests.shell.stored import migrated
from tests.strategies import micros

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator

    import httpx
    from fastapi import FastAPI

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

BEGIN = micros("2026-11-23T08:00:00+00:00")
HOUR = 3600 * SECOND
PASSWORD = "correct horse battery"
SITE = "https://patrol.test"
OURS = {"Origin": SITE}
"""What a browser says of a form on our own page."""


@dataclass
class House:
    """The application with accounts, and a clock that a test moves."""

    dsn: str
    connection: Connection
    app: FastAPI
    loop: asyncio.AbstractEventLoop
    now: int = BEGIN
    made: int = 0

    def browser(
        self, address: str = "192.0.2.7", *, base: str = "https://patrol.test", app: FastAPI | None = None
    ) -> httpx.Client:
        """Another browser."""
        return client_of(app or self.app, self.loop, base, address)

    def account(self, *roles: str, password: str = PASSWORD) -> str:
        """Another account, with a password of its own."""
        self.made += 1
        name = f"person{self.made}"
        people.add(self.connection, name, f"Person {self.made}", grants_of(roles), by="test", now=self.now)
        self.connection.execute(
            "update access_account set password = %s, one_time_until = null where name = %s",
            [passwords.hashed(password), name],
        )
        return name


@pytest.fixture(scope="module")
def house(database_server: EmbeddedDatabase) -> Iterator[House]:
    """The application where people sign in, over an empty database; hashing is made cheap."""
    hasher, passwords.HASHER = passwords.HASHER, PasswordHasher(1, 8, 1)
    with (
        migrated(database_server, "sign_in") as dsn,
        connect(dsn) as connection,
        running_loop() as loop,
    ):
        app = create_app(
            Settings(database=dsn, sign_in=LOCAL_ACCOUNTS, public_url=SITE, idle_s=3600, signed_in_s=43_200),
            now=lambda: made.now,
        )
        made = House(dsn, connection, app, loop)
        yield made
    passwords.HASHER = hasher


def sign_in(
    browser: httpx.Client, name: str, password: str = PASSWORD, headers: dict[str, str] = OURS, **more: str
) -> httpx.Response:
    """What comes of a name and a password."""
    return browser.post("/sign-in", data={"name": name, "password": password, **more}, headers=headers)


def signed_in(house: House, *roles: str) -> tuple[httpx.Client, str]:
    """A browser in which somebody has signed in."""
    name, browser = house.account(*roles), house.browser()
    assert sign_in(browser, name).status_code == 303
    return browser, name


def secret_shown(answer: httpx.Response) -> str:
    """What a page shows this once."""
    found = re.search(r'<code class="secret">([^<]+)</code>', answer.text)
    assert found, answer.text
    return found[1]


def all_paths(routes: Iterable[Any]) -> Iterator[str]:
    """The paths of an application, those of its routers included."""
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from all_paths(router.routes)
        elif path := getattr(route, "path", ""):
            yield path


# ── Nobody ────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_but_its_health_answers_whoever_is_not_signed_in(house: House) -> None:
    """Every route, known to the application or not, answers 401 or the way to the sign-in page."""
    browser = house.browser()
    paths = {re.sub(r"\{[^}]*\}", "x", path) for path in all_paths(house.app.routes)}
    free = {"/healthz", "/sign-in", "/sign-in/style.css"}
    assert free < paths
    provider_s = {"/sign-in/provider", "/sign-in/provider/back", "/sign-out/provider"}
    assert {browser.get(path).status_code for path in provider_s} == {404}
    for path in sorted(
        paths - free - provider_s - {"/static", "/sign-in/password"}
        | {"/nothing", "/healthz/", "/sign-in/../api/v1/live"}
    ):
        answer = browser.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers.get_list("www-authenticate")[0].startswith("Bearer ")
        assert answer.json()["status"] == 401
        for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
            assert browser.request(method, path, headers=OURS).status_code == 401, (method, path)
    assert all(browser.get(path).status_code == 200 for path in free)


def test_a_page_leads_to_the_sign_in_page_and_back(house: House) -> None:
    """A browser that visits a page is sent to sign in, and comes back to the very page afterwards."""
    browser, name = house.browser(), house.account("inspector")
    html = {"Accept": "text/html,*/*"}
    away = browser.get("/weeks?x=1&y=%20b", headers=html)
    assert (away.status_code, away.headers["location"]) == (
        303,
        "/sign-in?next=%2Fweeks%3Fx%3D1%26y%3D%2520b",
    )
    page = browser.get(away.headers["location"], headers=html).text
    back = re.search(r'name="next" value="([^"]*)"', page)
    assert back
    answer = sign_in(browser, name, next=back[1].replace("&amp;", "&"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/weeks?x=1&y=%20b")
    assert browser.get("/api/v1/live", headers=html).status_code == 200
    assert house.browser().get("/api/v1/live", headers=html).status_code == 401


SHIFTY = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            ["/", "\\", "//evil.example", "https:", "javascript:1", "@", "\t", "\n", "?", "%2f", "."]
        ),
        max_size=6,
    ).map("".join),
)


@given(SHIFTY)
@settings(max_examples=300)
def test_the_way_back_is_never_another_machine(text: str) -> None:
    """Whatever stands in ``next``, a browser that follows it stays on this host."""
    found = own_path(text)
    assert found in {"/", text}
    # As the URL standard reads it: tabs and line ends are left out, a backslash is a slash.
    seen = re.sub(r"[\t\n\r]", "", found).strip("\0 ").replace("\\", "/")
    assert seen.startswith("/")
    assert not seen.startswith("//")


# ── Passwords ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_name_and_a_wrong_password_are_told_alike(house: House) -> None:
    """Nothing in the answer says whether there is such an account, or whether it is locked."""
    name, locked = house.account("gis"), house.account("gis")
    people.lock(house.connection, locked, now=house.now)
    answers = [
        sign_in(house.browser("192.0.2.20"), *pair)
        for pair in ((name, "wrong"), ("nobody-here", "wrong"), (locked, PASSWORD), ("NO\0BODY", PASSWORD))
        if "\0" not in pair[0]
    ]
    texts = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(texts) == 1
    assert {answer.status_code for answer in answers} == {403}
    assert not any("set-cookie" in answer.headers for answer in answers)


def test_as_much_is_hashed_for_an_account_that_does_not_exist(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown name, an account without a password and a wrong password each cost one verification."""
    counted: list[str] = []
    real = passwords.HASHER

    class Counting:
        def verify(self, kept: str, password: bytes) -> bool:
            counted.append(kept)
            return real.verify(kept, password)

        def hash(self, password: str) -> str:
            return real.hash(password)

    monkeypatch.setattr(passwords, "HASHER", Counting())
    for name in (house.account("gis"), "nobody-here", "###", ""):
        counted.clear()
        sign_in(house.browser("192.0.2.21"), name, "wrong")
        assert len(counted) == 1, name


def test_the_first_administrator_signs_in_once_with_a_password_that_is_kept_nowhere(house: House) -> None:
    """The one-time password opens nothing but the choice of one's own, works once, and ends by itself."""
    with house.connection.transaction(force_rollback=True):
        house.connection.execute("delete from access_account")
        assert people.nobody(house.connection)
        made = people.first_administrator(house.connection, now=house.now, by="test")
        assert made is not None
        assert people.first_administrator(house.connection, now=house.now, by="test") is None
        assert made[1] not in str(house.connection.execute("select * from access_account").fetchall())
    first = people.add(
        house.connection, "boss", "Boss", [Grant(Role.ADMINISTRATOR)], by="test", now=house.now
    )
    browser = house.browser()
    choice = sign_in(browser, "boss", first)
    assert choice.status_code == 200
    assert COOKIE not in browser.cookies
    ticket = re.search(r'name="ticket" value="([^"]+)"', choice.text)
    assert ticket
    assert sign_in(house.browser(), "boss", first).status_code == 403
    said = {"ticket": ticket[1], "account": "boss", "new": PASSWORD, "again": PASSWORD}
    for weak in ("short", "boss", "aaaaaaaaaaaaaaa", "boss 12345678"):
        answer = browser.post("/sign-in/password", data=said | {"new": weak, "again": weak}, headers=OURS)
        assert answer.status_code == 400, weak
    assert browser.post("/sign-in/password", data=said | {"again": "other"}, headers=OURS).status_code == 400
    assert browser.post("/sign-in/password", data=said).status_code == 403
    assert browser.post("/sign-in/password", data=said, headers=OURS).status_code == 303
    assert browser.get("/accounts").status_code == 200
    replayed = house.browser().post("/sign-in/password", data=said, headers=OURS)
    assert replayed.status_code == 400
    later = people.reset_password(house.connection, "boss", now=house.now)
    house.now += 3 * 24 * HOUR
    assert sign_in(house.browser(), "boss", later).status_code == 403


def test_failing_on_purpose_keeps_out_whoever_fails_and_not_the_owner(house: House) -> None:
    """After ten failures an address is refused, with the right password too, also after a restart; the
    account's owner still gets in where they signed in before, and everybody after a while.
    """
    browser, name = signed_in(house, "inspector")
    known = browser.cookies[BROWSER_COOKIE]
    attacker = house.browser("198.51.100.1")
    assert [sign_in(attacker, name, "wrong").status_code for _ in range(10)] == [403] * 10
    refused = sign_in(attacker, name)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    again = create_app(
        Settings(database=house.dsn, sign_in=LOCAL_ACCOUNTS, public_url=SITE), now=lambda: house.now
    )
    assert sign_in(house.browser("198.51.100.1", app=again), name).status_code == 429
    for host in range(2, 92):  # many addresses: now the account itself is full
        with house.connection.transaction():
            people.attempt(house.connection, name, address=f"198.51.100.{host}", browser=None, now=house.now)
    assert sign_in(house.browser("203.0.113.9"), name).status_code == 429
    owner = house.browser("203.0.113.9")
    owner.cookies.set(BROWSER_COOKIE, known, domain="patrol.test")
    assert sign_in(owner, name).status_code == 303
    stranger = house.browser("203.0.113.10")
    stranger.cookies.set(BROWSER_COOKIE, "A" * 43, domain="patrol.test")
    assert sign_in(stranger, name).status_code == 429
    house.now += HOUR
    assert sign_in(house.browser("203.0.113.9"), name).status_code == 303
    assert sign_in(attacker, name).status_code == 303


def test_attempts_at_once_are_counted_one_by_one(house: House) -> None:
    """However many attempts are made before the first is answered, no more than ten are let through."""
    name = house.account("inspector")
    for _ in range(10):
        people.attempt(house.connection, name, address="198.51.100.200", browser=None, now=house.now)
    with pytest.raises(people.TooOftenError):
        people.attempt(house.connection, name, address="198.51.100.200", browser=None, now=house.now)
    with pytest.raises(people.TooOftenError):
        people.attempt(house.connection, name, address="::ffff:198.51.100.200", browser=None, now=house.now)
    assert people.network("2001:db8::1") == people.network("2001:db8:0:0:ffff::2") != people.network("::1")


# ── Sessions ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cookie_is_for_this_host_over_tls_and_for_no_program_on_a_page(house: House) -> None:
    """The session's cookie has the prefix and the marks that keep it from other hosts, scripts and sites."""
    browser, name = house.browser(), house.account("gis")
    cookies = sign_in(browser, name).headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert cookie.startswith("__Host-patrol")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
        assert "domain" not in cookie.lower()
    with house.connection.cursor() as cursor:
        kept = str(cursor.execute("select digest::text from access_session").fetchall())
    assert browser.cookies[COOKIE] not in kept


def test_no_session_from_before_lives_on_after_signing_in(house: House) -> None:
    """A cookie that somebody else set is not taken over: signing in, and a new password, make a new one."""
    browser, name = house.browser(), house.account("gis")
    browser.cookies.set(COOKIE, "F" * 43, domain="patrol.test")
    sign_in(browser, name)
    first = browser.cookies[COOKIE]
    assert first != "F" * 43
    other = house.browser()
    other.cookies.set(COOKIE, first, domain="patrol.test")
    assert sign_in(other, house.account("gis")).status_code == 303
    assert browser.get("/account").status_code == 401
    sign_in(browser, name)
    second = house.browser()
    sign_in(second, name)
    before = browser.cookies[COOKIE]
    said = {"password": PASSWORD, "new": PASSWORD + " x", "again": PASSWORD + " x"}
    assert browser.post("/account/password", data=said | {"password": "no"}, headers=OURS).status_code == 403
    assert browser.post("/account/password", data=said, headers=OURS).status_code == 303
    assert browser.cookies[COOKIE] != before
    assert browser.get("/account").status_code == 200
    assert second.get("/account").status_code == 401


def test_a_session_ends_when_it_is_not_used_and_in_any_case_after_its_time(house: House) -> None:
    """Without use it ends after an hour, with use after twelve; a page that only listens is no use of it."""
    browser, _ = signed_in(house, "inspector")
    house.now += 50 * 60 * SECOND
    assert browser.get("/account").status_code == 200
    house.now += 50 * 60 * SECOND
    assert browser.get("/account").status_code == 200
    for minute in (25, 50, 75):  # what a page asks by itself
        house.now += 25 * 60 * SECOND
        assert browser.head("/api/v1/stream").status_code == (200 if minute < 60 else 401)
    browser, _ = signed_in(house, "inspector")
    for minute in (25, 50, 75):
        house.now += 25 * 60 * SECOND
        answer = browser.get("/api/v1/quality", headers={"Patrol-Unattended": "1"})
        assert answer.status_code == (200 if minute < 60 else 401)
    browser, _ = signed_in(house, "inspector")
    for _ in range(23):
        house.now += 30 * 60 * SECOND
        assert browser.get("/account").status_code == 200
    house.now += 30 * 60 * SECOND
    assert browser.get("/account").status_code == 401


def test_a_wall_display_stays_signed_in(house: House) -> None:
    """A display's session has no idle time-out and lasts ninety days; an account with more roles is none."""
    wall, _ = signed_in(house, "display")
    both, _ = signed_in(house, "display", "inspector")
    house.now += 80 * 24 * HOUR
    assert wall.get("/account").status_code == 200
    assert both.get("/account").status_code == 401
    house.now += 11 * 24 * HOUR
    assert wall.get("/account").status_code == 401


def test_signing_out_ends_the_session_itself(house: House) -> None:
    """After signing out the cookie opens nothing, even where somebody has kept it."""
    browser, _ = signed_in(house, "inspector")
    kept = browser.cookies[COOKIE]
    assert browser.get("/sign-out").status_code == 405
    assert browser.post("/sign-out", headers=OURS).headers["location"] == "/sign-in?out"
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, kept, domain="patrol.test")
    assert browser.get("/account").status_code == 401


def test_what_changes_something_comes_from_our_own_pages(house: House) -> None:
    """With a session's cookie a request of another site, or of none that is named, changes nothing."""
    browser, _ = signed_in(house, "inspector")
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://patrol.test.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", **OURS},
    ):
        for path in ("/sign-out", "/account/password", "/account/tokens", "/accounts", "/nothing"):
            assert browser.post(path, headers=headers).status_code == 403, (path, headers)
        assert sign_in(browser, "person1", headers=headers).status_code == 403
    assert browser.get("/account").status_code == 200


def test_passwords_do_not_come_in_the_clear(house: House) -> None:
    """Over http nobody signs in, but on this very machine; the page says so."""
    name = house.account("gis")
    for base, status in (
        ("http://patrol.test", 403), ("http://127.0.0.1:8080", 303), ("http://localhost", 303),
        ("http://[::1]", 303),
    ):  # fmt: skip
        browser = house.browser(base=base)
        assert sign_in(browser, name, headers={"Origin": base}).status_code == status, base
        assert ("not reached over https" in browser.get("/sign-in").text) == (status == 403)


# ── Any order ─────────────────────────────────────────────────────────────────────────────────────────────


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("in"), st.integers(0, 1), st.integers(0, 1)),
        st.tuples(st.just("wrong"), st.integers(0, 1), st.integers(0, 1)),
        st.tuples(st.sampled_from(["out", "ask", "others"]), st.integers(0, 1), st.just(0)),
        st.tuples(st.sampled_from(["lock", "unlock", "roles", "close"]), st.just(0), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.sampled_from([10, 40, 70, 800]), st.just(0)),
    ),
    max_size=14,
)
"""What is done, in which of two browsers (or how many minutes pass), and to which of two accounts."""


@given(STEPS)
@settings(max_examples=25)
def test_whoever_is_signed_in_is_as_a_small_model_says(
    house: House, pair: tuple[str, str], steps: list[tuple[str, int, int]]
) -> None:
    """In any order of signing in and out, locking, other roles and waiting, a browser is who it should be."""
    browsers = [house.browser("203.0.113.77"), house.browser("203.0.113.78")]
    holds: list[tuple[int, int, int] | None] = [None, None]  # account, begun, used
    locked = [False, False]
    house.connection.execute("delete from access_attempt")
    for name in pair:
        people.unlock(house.connection, name)

    def drop(of: Callable[[int], bool], but: int | None = None) -> None:
        for at, held in enumerate(holds):
            if held is not None and of(held[0]) and at != but:
                holds[at] = None

    for what, number, which in steps:
        if what == "wait":
            house.now += number * 60 * SECOND
            house.connection.execute("delete from access_attempt")
            for at, held in enumerate(holds):
                if held and (house.now - held[2] > HOUR or house.now - held[1] >= 12 * HOUR):
                    holds[at] = None
        elif what == "in":
            answer = sign_in(browsers[number], pair[which])
            assert answer.status_code == (403 if locked[which] else 303)
            if not locked[which]:
                holds[number] = (which, house.now, house.now)
        elif what == "wrong":
            assert sign_in(browsers[number], pair[which], "not the password").status_code == 403
        elif what == "out":
            answer = browsers[number].post("/sign-out", headers=OURS)
            assert answer.status_code == (401 if holds[number] is None else 303)
            holds[number] = None
        elif what == "others":
            said = {"session": "others"}
            answer = browsers[number].post("/account/sessions/end", data=said, headers=OURS)
            if (held := holds[number]) is not None:
                assert answer.status_code == 303
                drop(lambda account, own=held[0]: account == own, but=number)  # type: ignore[misc]
                holds[number] = (held[0], held[1], house.now)
        elif what in ("lock", "roles", "close"):
            if what == "lock":
                people.lock(house.connection, pair[which], now=house.now)
                locked[which] = True
            elif what == "roles":
                people.set_roles(house.connection, pair[which], [Grant(Role.GIS)])
            else:
                people.close_sessions(house.connection, account=pair[which])
            drop(lambda account, gone=which: account == gone)  # type: ignore[misc]
            house.now += 4 * SECOND  # from outside it holds within seconds
        elif what == "unlock":
            people.unlock(house.connection, pair[which])
            locked[which] = False
        for at, browser in enumerate(browsers):
            answer = browser.get("/api/v1/me")
            held = holds[at]
            assert answer.status_code == (401 if held is None else 200), (what, number, which, at)
            if held is not None:
                assert answer.json()["account"] == pair[held[0]]
                holds[at] = (held[0], held[1], house.now)


@pytest.fixture(scope="module")
def pair(house: House) -> tuple[str, str]:
    """Two accounts."""
    return house.account("gis"), house.account("gis")


# ── Tokens ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_program_signs_in_with_a_token(house: House) -> None:
    """A token is shown once, is taken as Bearer and as Basic's password, has only its roles, and ends."""
    browser, name = signed_in(house, "inspector", "gis")
    said = {"label": "QGIS <b>", "role": "gis", "days": "30"}
    answer = browser.post("/account/tokens", data=said, headers=OURS)
    token = secret_shown(answer)
    assert "<b>" not in answer.text
    assert token not in browser.get("/account").text
    basic = base64.b64encode(f"anybody:{token}".encode()).decode()
    program = house.browser()
    for header in (f"Bearer {token}", f"bearer {token}", f"Basic {basic}"):
        assert program.get("/api/v1/areas", headers={"Authorization": header}).status_code in (200, 404)
    for header in (
        "Bearer",
        f"Bearer {token}x",
        f"Basic {token}",
        "Basic !",
        f"Digest {token}",
        "Bearer " + "é",
    ):
        wrong = program.get("/api/v1/areas", headers={b"Authorization": header.encode()})
        assert wrong.status_code == 401, header
    # A token that is not good is not made up for by a cookie.
    assert browser.get("/account", headers={"Authorization": "Bearer no"}).status_code == 401
    person = people.token(house.connection, token, now=house.now)
    assert person is not None
    assert person.grants == (Grant(Role.GIS),)
    own = {"Authorization": f"Bearer {token}"}
    assert program.get("/account", headers=own).status_code == 403
    people.set_roles(house.connection, name, [Grant(Role.INSPECTOR)])
    person = people.token(house.connection, token, now=house.now)
    assert person is not None
    assert person.grants == ()
    assert people.token(house.connection, token, now=house.now + 31 * 24 * HOUR) is None
    [row] = people.tokens(house.connection, name)
    assert not people.end_token(house.connection, row.key, account="person1", now=house.now)
    assert people.end_token(house.connection, row.key, account=name, now=house.now)
    assert people.token(house.connection, token, now=house.now) is None


def test_a_token_is_never_more_than_its_owner(house: House) -> None:
    """Nobody makes a token for a role that they have not, nor one that administers accounts."""
    browser, _ = signed_in(house, "gis", "administrator")
    for role in ("inspector", "administrator", "king", ""):
        said = {"label": "x", "role": role, "days": "30"}
        assert browser.post("/account/tokens", data=said, headers=OURS).status_code == 400, role
    for days in ("0", "-1", "367", "x", ""):
        said = {"label": "x", "role": "gis", "days": days}
        assert browser.post("/account/tokens", data=said, headers=OURS).status_code == 400, days


# ── The administrator ─────────────────────────────────────────────────────────────────────────────────────


def test_an_administrator_makes_and_locks_accounts(house: House) -> None:
    """On the page: an account with roles, its one-time password, other roles, a lock that holds at once."""
    boss, own = signed_in(house, "administrator")
    said = {
        "name": "PS.Adeyemi",
        "shown": "PS <i>Adeyemi</i>",
        "role": ["sergeant", "gis"],
        "scope_sergeant": "N1, N2",
    }
    made = boss.post("/accounts", data=said, headers=OURS)
    first = secret_shown(made)
    assert "<i>Adeyemi" not in made.text
    account = people.account(house.connection, "ps.adeyemi", now=house.now)
    assert set(account.grants) == {Grant(Role.SERGEANT, frozenset({"N1", "N2"})), Grant(Role.GIS)}
    assert boss.post("/accounts", data=said, headers=OURS).status_code == 400
    for wrong in (
        {"role": "sergeant", "scope_sergeant": ""},
        {"role": "king"},
        {"name": "a b"},
        {"shown": "\u202e"},
    ):
        answer = boss.post("/accounts", data={"name": "other", "shown": "o"} | wrong, headers=OURS)
        assert answer.status_code == 400, wrong
    person = house.browser()
    ticket = re.search(r'name="ticket" value="([^"]+)"', sign_in(person, "ps.adeyemi", first).text)
    assert ticket
    person.post(
        "/sign-in/password", data={"ticket": ticket[1], "new": PASSWORD, "again": PASSWORD}, headers=OURS
    )
    assert person.get("/account").status_code == 200
    boss.post("/accounts/ps.adeyemi/roles", data={"role": "gis"}, headers=OURS)
    assert person.get("/account").status_code == 401
    assert sign_in(person, "ps.adeyemi").status_code == 303
    boss.post(
        "/accounts/ps.adeyemi/lock", headers={**OURS, "Content-Type": "application/x-www-form-urlencoded"}
    )
    assert person.get("/account").status_code == 401
    assert sign_in(person, "ps.adeyemi").status_code == 403
    for what in ("roles", "lock", "password"):
        assert (
            boss.post(f"/accounts/{own}/{what}", data={"role": "inspector"}, headers=OURS).status_code == 403
        )
    assert Role.INSPECTOR not in {grant.role for grant in people.account(house.connection, own, now=0).grants}


def test_nobody_else_finds_the_administrators_pages(house: House) -> None:
    """For every other role, and for tokens, the pages of accounts are not there, whatever is asked."""
    browser, name = signed_in(
        house, *(str(r) for r in Role if r not in (Role.ADMINISTRATOR, Role.OFFICER, Role.SERGEANT))
    )
    there = browser.get("/nothing-at-all")
    for path in ("/accounts", f"/accounts/{name}", "/accounts/person1"):
        assert browser.get(path).status_code == there.status_code == 404
    for path in (
        "/accounts",
        "/accounts/person1/roles",
        "/accounts/person1/password",
        "/accounts/person1/unlock",
    ):
        assert browser.post(path, data={"role": "administrator"}, headers=OURS).status_code == 404


def test_the_last_administrator_stays(house: House) -> None:
    """The last account that administers others can be neither locked nor given other roles."""
    with house.connection.transaction(force_rollback=True):
        house.connection.execute("delete from access_grant where role = 'administrator'")
        name = house.account("administrator")
        with pytest.raises(people.PeopleError, match="nobody would be left"), house.connection.transaction():
            people.lock(house.connection, name, now=house.now)
        with pytest.raises(people.PeopleError, match="nobody would be left"), house.connection.transaction():
            people.set_roles(house.connection, name, [Grant(Role.GIS)])


# ── On record ──


def test_signing_in_and_what_is_done_to_accounts_is_on_record(house: House) -> None:
    """Who signed in or could not, from where, and who gave which roles to whom is on record; no secret is."""
    before = record.head(house.connection)
    boss, own = signed_in(house, "administrator")
    sign_in(house.browser("192.0.2.66"), own, "a wrong password")
    sign_in(house.browser("192.0.2.66"), "my-password-by-mistake", "x")
    made = boss.post("/accounts", data={"name": "new.one", "role": "gis"}, headers=OURS)
    boss.post("/accounts/new.one/roles", data={"role": "analyst"}, headers=OURS)
    boss.post("/accounts/new.one/roles", data={"role": "king"}, headers=OURS)
    boss.post("/sign-out", headers=OURS)
    entries = record.search(house.connection, record.Search(), 20)
    found = [item for item in reversed(entries) if before is None or item.entry > before.entry]
    assert [(item.kind, item.what, item.outcome, item.account) for item in found] == [
        ("sign-in", "signed in", "done", own),
        ("sign-in", "signed in", "refused", own),
        ("sign-in", "signed in", "refused", "-"),
        ("account", "made an account", "done", own),
        ("account", "gave roles", "done", own),
        ("sign-in", "signed out", "done", own),
    ]
    assert [item.source for item in found[:3]] == ["192.0.2.7", "192.0.2.66", "192.0.2.66"]
    assert json.loads(found[4].details) == {"of": "new.one", "roles": ["analyst"]}
    kept = " ".join(item.details + item.what + item.account for item in found)
    assert not any(secret in kept for secret in (secret_shown(made), PASSWORD, "wrong password!", "mistake"))
    assert record.verify(house.connection).broken is None


def test_two_administrators_do_not_lock_each_other(house: House) -> None:
    """Of two who lock each other at the same time one is told that nobody would be left."""
    house.connection.execute("delete from access_grant where role = 'administrator'")
    names = [house.account("administrator"), house.account("administrator")]

    def lock(name: str) -> str:
        with connect(house.dsn) as connection:
            try:
                people.lock(connection, name, now=house.now)
            except people.PeopleError as error:
                return str(error)
            return ""

    with ThreadPoolExecutor(2) as both:
        said = list(both.map(lock, names))
    assert sorted(said) == [
        "",
        "nobody would be left to administer accounts: make another administrator first",
    ]
    for name in names:
        people.unlock(house.connection, name)


# ── A database that does not answer ───────────────────────────────────────────────────────────────────────


def test_without_its_database_nobody_gets_in_and_health_still_answers(house: House) -> None:
    """Where the database is away, a session's request, a token's and a sign-in are answered 503."""
    app = create_app(
        Settings(
            database="postgresql://127.0.0.1:1/none",
            sign_in=LOCAL_ACCOUNTS,
            public_url=SITE,
            database_answer_s=1.0,
        )
    )
    client = house.browser(app=app)
    assert client.get("/healthz").status_code == client.get("/sign-in").status_code == 200
    assert client.get("/account").status_code == 401
    assert sign_in(client, "person1").status_code == 503
    client.cookies.set(COOKIE, "A" * 43, domain="patrol.test")
    for path in ("/account", "/api/v1/live", "/metrics", "/weeks"):
        answer = client.get(path)
        assert answer.status_code == 503, path
        assert answer.json()["code"] == "NotReady"
        assert "127.0.0.1" not in answer.text


def test_a_database_that_hangs_holds_nobody_up(house: House) -> None:
    """Where the database takes a connection and says nothing, every request is told so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/none"
        app = create_app(
            Settings(
                database=dsn,
                sign_in=LOCAL_ACCOUNTS,
                public_url=SITE,
                database_connect_s=2,
                database_answer_s=0.5,
            )
        )
        client = house.browser(app=app)
        client.cookies.set(COOKIE, "A" * 43, domain="patrol.test")
        with ThreadPoolExecutor(8) as many:
            answers = list(many.map(lambda _: client.get("/account"), range(24)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["detail"] for answer in answers} == {
            "the database does not answer now; try again"
        }
        assert client.get("/healthz").status_code == 200


# ── The keyboard ──────────────────────────────────────────────────────────────────────────────────────────


def run(house: House, *words: str) -> tuple[int, str]:
    """What a command answers: its exit code and its output."""
    done = CliRunner().invoke(patrol, words, env={"PATROL_DATABASE": house.dsn}, catch_exceptions=False)
    return done.exit_code, done.output


def test_accounts_are_kept_at_the_keyboard(house: House) -> None:
    """`patrol people` does with accounts all that the page does, and says in a line what cannot be."""
    code, said = run(house, "people", "add", "PC.Brown", "--shown", "PC Brown", "--role", "officer:1002")
    assert code == 0
    first = re.search(r"one-time password (\S+),", said)
    assert first
    house.now = wall()  # by which the command goes
    assert "Choose a password" in sign_in(house.browser(), "pc.brown", first[1]).text
    for words, expected in (
        (("add", "pc.brown"), (1, "there is an account")),
        (("add", "a b"), (1, "an account's name has")),
        (("add", "x", "--role", "officer"), (1, "write officer:1001")),
        (("add", "x", "--role", "king"), (1, "role 'king' does not exist")),
        (("lock", "nobody"), (1, "there is no account 'nobody'")),
        (("roles", "pc.brown", "--role", "sergeant:N1"), (0, "sergeant:N1")),
        (("lock", "pc.brown"), (0, "locked")),
        (("token", "pc.brown", "--for", "x", "--role", "sergeant"), (1, "is locked")),
        (("unlock", "pc.brown"), (0, "not locked")),
        (("token", "pc.brown", "--for", "x", "--role", "inspector"), (1, "has no role inspector")),
        (("token", "pc.brown", "--for", "x", "--role", "sergeant"), (0, "patrol_")),
        (("list",), (0, "pc.brown")),
    ):
        code, said = run(house, "people", *words)
        assert (code, expected[1] in said) == (expected[0], True), (words, code, said)
    code, said = run(house, "people", "list", "--json")
    [row] = [item for item in json.loads(said) if item["name"] == "pc.brown"]
    assert (row["roles"], row["tokens"], row["password"]) == (["sergeant:N1"], 1, "none")


class Terminal(io.StringIO):
    """An output that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_the_first_password_is_shown_on_a_terminal_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the output goes elsewhere no account is made, and how to make one is said."""
    with house.connection.transaction(force_rollback=True):
        house.connection.execute("delete from access_account")
        [line] = first_lines(house.connection)
        assert "patrol people add NAME --role administrator" in line
        assert people.nobody(house.connection)
        monkeypatch.setattr(sys, "stdout", Terminal())
        shown = first_lines(house.connection)
        assert re.search(
            r"sign in as admin with the one-time password (\w{5}-){3}\w{5} within 3 days", shown[0]
        )
        assert first_lines(house.connection) == []
