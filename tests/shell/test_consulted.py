"""Who is shown whom is on record before it is shown, and where it cannot be put there nobody is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from stream.core.calendar import WEEK, Period
from stream.settings import Settings
from stream.store import record
from stream.store.record import ANYBODY, Search
from stream.store.schema import connect
from stream.web.access.viewer import Loopback, Role
from tests.shell.town import MINUTE, NOON, Town, duty, town_called
from tests.viewing import Asking, asking, somebody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.record import Recorded

INSPECTOR = somebody(Role.INSPECTOR)
SERGEANT = somebody(Role.SERGEANT, ["N1"])
AUDITOR = somebody(Role.AUDITOR)
FIRST = somebody(Role.OFFICER, officer="O1")


@pytest.fixture(scope="module")
def town(database_server: EmbeddedDatabase) -> Iterator[Town]:
    """Two officers of two neighbourhoods, on duty for ten minutes."""
    with town_called(database_server, "consulted") as made:
        made.begin(duty("O1", "N1", NOON, NOON + 480 * MINUTE), duty("O3", "N2", NOON, None))
        made.put(R1="west", R3="east")
        made.go(10)
        yield made


@pytest.fixture
def asked(town: Town) -> Iterator[Asking]:
    """The application, started anew, with nothing on record."""
    with connect(town.dsn) as connection, connection.transaction():
        connection.execute("set local session_replication_role = replica")
        connection.execute("delete from record_entry")
    with asking(Settings(database=town.dsn, clock="events"), now=lambda: town.now) as made:
        yield made


def on_record(town: Town) -> list[Recorded]:
    """All that is on record, the oldest first."""
    with connect(town.dsn) as connection:
        assert record.verify(connection).broken is None
        return record.search(connection, Search(), None)[::-1]


def said(item: Recorded) -> tuple[str, str, list[str]]:
    """Who was shown what about whom."""
    return item.account, item.what, list(item.about)


PERSONAL = {
    "/api/v1/live": None,
    "/api/v1/units": ("devices", {"O1", "O3"}),
    "/api/v1/quality": ("quality", {ANYBODY}),
    "/api/v1/quality/devices": ("devices of a day", {ANYBODY}),
    "/api/v1/neighbourhoods/N1": ("neighbourhood", {"O1"}),
    "/api/v1/officers/O1": ("officer", {"O1"}),
    "/api/v1/officers/O1/duties/D-O1": ("duty", {"O1"}),
}
"""Paths and what they are on record as; None: nobody is in them now."""


def test_whatever_shows_a_person_is_on_record(asked: Asking, town: Town) -> None:
    """Each answer with a person in it is on record with who asked, from where, and whom it shows."""
    for path in PERSONAL:
        assert asked.get(path, INSPECTOR).status_code == 200, path
    found = on_record(town)
    wanted = [what for what in PERSONAL.values() if what is not None]
    assert [(item.what, set(item.about)) for item in found] == wanted
    assert {(item.account, item.means, item.kind) for item in found} == {
        (INSPECTOR.account, "session", "consultation")
    }
    assert {item.source for item in found} == {"127.0.0.1"}


def test_what_is_asked_for_over_and_over_is_on_record_once(asked: Asking, town: Town) -> None:
    """A page that asks again is one entry; another session, and officers who come in, are entries more."""
    for _ in range(3):
        for path in ("/api/v1/units", "/api/v1/officers/O1", "/api/v1/neighbourhoods/N1"):
            assert asked.get(path, SERGEANT).status_code == 200
    assert [said(item) for item in on_record(town)] == [
        (SERGEANT.account, "devices", ["O1"]),
        (SERGEANT.account, "officer", ["O1"]),
        (SERGEANT.account, "neighbourhood", ["O1"]),
    ]
    asked.get("/api/v1/units", INSPECTOR)
    assert said(on_record(town)[-1]) == (INSPECTOR.account, "devices", ["O1", "O3"])
    seen = asked.app.state.consulted._seen[(SERGEANT.account, "session", "127.0.0.1", "devices")][1]
    seen.clear()
    asked.get("/api/v1/units", SERGEANT)
    assert said(on_record(town)[-1]) == (SERGEANT.account, "devices", ["O1"])


def test_a_person_is_not_shown_where_that_cannot_be_put_on_record(asked: Asking, town: Town) -> None:
    """Where the record refuses entries, figures are shown and persons are not; afterwards they are."""
    with connect(town.dsn) as other:
        other.execute("alter table record_entry add constraint full_up check (entry < 0) not valid")
        try:
            assert asked.get("/api/v1/units", INSPECTOR).json()["features"] == []
            assert asked.get("/api/v1/live").json()["neighbourhoods"]
            home = asked.get("/api/v1/neighbourhoods/N1").json()
            assert (home["officers"], home["share"]["officers_on_duty"]) == ([], 1)
            for path in ("quality", "officers/O1", "officers/O1/duties/D-O1"):
                answer = asked.get(f"/api/v1/{path}")
                assert answer.status_code == 503, path
                assert "O1" not in answer.text
        finally:
            other.execute("alter table record_entry drop constraint full_up")
    assert len(asked.get("/api/v1/units").json()["features"]) == 2
    assert asked.get("/api/v1/officers/O1").status_code == 200


def test_the_stream_shows_nobody_who_is_not_on_record(asked: Asking, town: Town) -> None:
    """The stream begins with an entry; where there can be none it says so, and ends."""
    pulse = asked.app.state.pulse

    async def first(*, admitted: bool) -> str:
        asked_about: list[frozenset[str]] = []

        async def admit(officers: frozenset[str]) -> bool:
            asked_about.append(officers)
            return admitted

        stream = pulse.stream(None, compress=False, admit=admit)
        chunk = (await anext(stream)).decode()
        if not admitted:
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        await stream.aclose()
        assert asked_about == [frozenset({"O1", "O3"})]
        return str(chunk)

    shown = asked._runner.run(first(admitted=True))
    assert "event: snapshot" in shown
    assert "O1" in shown
    hidden = asked._runner.run(first(admitted=False))
    assert "event: pulse" in hidden
    assert "O1" not in hidden


def test_no_entry_holds_a_position(asked: Asking, town: Town) -> None:
    """After all personal paths were asked for, nothing on record is a coordinate."""
    for path in [*PERSONAL, "/api/v1/record"]:
        asked.get(path, Loopback.everybody)
    for item in on_record(town):
        assert all(not isinstance(value, float) for value in json.loads(item.details).values())
        assert "." not in item.details.replace("127.0.0.1", "")


def test_a_purpose_is_asked_for_and_goes_on_record(town: Town, asked: Asking) -> None:
    """With the setting a track is shown only to whoever says why; what they say is on record."""
    path = "/api/v1/officers/O1/duties/D-O1"
    with asking(Settings(database=town.dsn, clock="events", purpose="ask"), now=lambda: town.now) as asker:
        refused = asker.get(path, INSPECTOR)
        assert (refused.status_code, refused.json()["code"]) == (428, "PurposeNeeded")
        blank = asker.get(path, INSPECTOR, headers={"Patrol-Purpose": "%20%09"})
        assert blank.status_code == 428
        given = asker.get(path, INSPECTOR, headers={"Patrol-Purpose": "a%20complaint%2C%20ref%20%C5%B4"})
        assert given.status_code == 200
        page = f"/weeks/{Period.around(WEEK, NOON).name}/duties/D-O1"
        form = asker.get(page, headers={"Accept": "text/html"}).text
        assert "Why do you look at this duty?" in form
        assert "O1" not in form.replace("D-O1", "")
        told = {"Origin": "http://localhost"}
        again = asker.request("POST", page, data={"why": " "}, headers=told).text
        assert "Why do you look at this duty?" in again
        shown = asker.request("POST", page, data={"why": "<a visit>"}, headers=told)
        assert (shown.status_code, "O1" in shown.text) == (200, True)
        foreign = asker.request("POST", page, data={"why": "x"}, headers={"Origin": "http://elsewhere"})
        assert foreign.status_code == 403
    first, second = on_record(town)
    assert (first.what, first.why) == ("duty", "a complaint, ref Ŵ")
    assert (second.what, second.why) == ("duty", "<a visit>")


def test_the_auditor_searches_the_record_and_is_on_record(asked: Asking, town: Town) -> None:
    """The API and the page give the same entries, by officer and kind, page by page; reading is recorded."""
    asked.get("/api/v1/officers/O1", INSPECTOR)
    asked.get("/api/v1/officers/O3", INSPECTOR)
    found = asked.get("/api/v1/record?about=O3&kind=consultation", AUDITOR).json()
    assert [(item["what"], item["about"]) for item in found["entries"]] == [
        ("record", ["O3"]),
        ("officer", ["O3"]),
    ]
    first = asked.get("/api/v1/record?limit=2").json()
    then = asked.get(f"/api/v1/record?before={first['next']}").json()
    assert [item["entry"] for item in first["entries"] + then["entries"]] == [4, 3, 2, 1]
    assert then["next"] is None
    page = asked.get("/record?about=O1&kind=&from=2026-01-01", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "<script" not in page.text
    assert ">officer<" in page.text
    assert "chained" in asked.get("/record/verify").text
    for wrong in ("kind=walk", "from=soon", "before=0", "limit=x", "outcome=maybe", "colour=red"):
        assert asked.get(f"/api/v1/record?{wrong}").status_code == 400, wrong


def test_names_on_record_are_text(asked: Asking, town: Town) -> None:
    """Whatever stands on record is shown as text, not as markup."""
    with connect(town.dsn) as connection:
        bad = "<img src=x onerror=alert(1)>"
        record.add(connection, record.Entry(record.Kind.SIGN_IN, bad, bad, bad, bad, (bad,), bad, {bad: bad}))
    text = asked.get("/record", AUDITOR, headers={"Accept": "text/html"}).text
    assert "<img" not in text
    assert "&lt;img" in text


def test_an_officer_sees_who_looked_at_them(asked: Asking, town: Town) -> None:
    """An officer sees who looked at them, and neither their own looks nor those at others."""
    asked.get("/api/v1/officers/O1", INSPECTOR)
    asked.get("/api/v1/officers/O3")
    asked.get("/api/v1/officers/O1", FIRST)
    found: dict[str, Any] = asked.get("/api/v1/me/looked", FIRST).json()
    assert [(item["account"], item["what"]) for item in found["looks"]] == [(INSPECTOR.account, "officer")]
    page = asked.get("/looked", FIRST, headers={"Accept": "text/html"}).text
    assert INSPECTOR.account in page
    assert asked.get("/api/v1/me/looked", INSPECTOR).status_code == 404


def test_what_is_changed_on_a_page_is_on_record(asked: Asking, town: Town) -> None:
    """Boundaries taken back on the page are on record, with why, before it is done."""
    body = {"kind": "premises", "by": "Ann", "why": "the wrong file"}
    asked.entrance.who = somebody(Role.GIS)
    answer = asked.request(
        "POST", "/api/v1/boundaries/take-back", json=body, headers={"Origin": "http://localhost"}
    )
    assert answer.status_code in (200, 409)
    [only] = on_record(town)
    assert (only.kind, only.what, only.why) == ("setting", "boundaries taken back", "the wrong file")
    assert json.loads(only.details)["kind"] == "premises"
