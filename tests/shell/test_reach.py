"""How far answers reach: nobody outside a viewer's scope is in any of them, and all inside it is as it is."""

from __future__ import annotations

import asyncio
import io
import random
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import shapely
from hypothesis import settings

from geo.areas import AreaSet, Kind
from geo.boundaries.writing import areas_geojson
from stream.core.facts import SECOND, Allocation, Duty
from stream.pipeline.watcher import Watcher
from stream.settings import Settings
from stream.store import alerts
from stream.web.access.reach import Reach, reach
from stream.web.access.viewer import Grant, Loopback, Role, Viewer
from stream.web.live.units import DIGITS
from tests.shell.town import MINUTE, NOON, SPOTS, TOWN, Town, town_called
from tests.strategies import fix_columns
from tests.viewing import Asking, asking, everyone, somebody

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stream.embedded import EmbeddedDatabase

HOUR = 60 * MINUTE
WEEK = "2026-W47"
AREAS = ("N1", "N2")
LOOSE, NEWEST = "LOOSE-77", "-0.971234"
"""A device that nobody has, and where it was last."""

LONG = settings.get_current_profile_name() == "fuzz"
SEEDS = range(1, 9) if LONG else [1]
"""Of the worlds; more of them by ``make fuzz``."""

FILES = (".html", ".xlsx", ".zip") if LONG else (".zip",)
"""They are made of one and the same summary."""

BEHIND = ("/parts?by=officer", "/parts?by=stretch", "/crewing", "/team")


@dataclass(slots=True)
class World:
    """Officers with duties at random, patrolling at random, each where no other is.

    Attributes:
        where: the decimals of longitudes at which each device was.
        alerts: ids by officer.
    """

    town: Town
    duties: list[Duty]
    where: dict[str, set[str]] = field(default_factory=dict)

    def foreign(self, found: Reach) -> dict[str, str]:
        """What must be in no answer to somebody who sees so far, and what it is."""
        mine = [duty for duty in self.duties if found.duty(duty)]
        seen = {name for duty in mine for name in _names(duty)}
        devices = {item.device_id for duty in mine for item in duty.devices}
        told = {name: "a name" for duty in self.duties for name in _names(duty) if name not in seen}
        told |= {name: "a device" for name in self.where if name not in devices and found.persons is not None}
        for device, places in self.where.items():
            if device in told:
                told |= dict.fromkeys(places, f"where {device} was")
        return told


def _names(duty: Duty) -> tuple[str, ...]:
    return (duty.officer_id, duty.name or "", duty.duty_id, *(item.device_id for item in duty.devices))


def made(town: Town, seed: int) -> World:
    """An hour of a world."""
    chance = random.Random(seed)
    duties = []
    for at in range(6):
        patch = chance.choice([("N1",), ("N2",), ("N1", "N2"), ()]) if at > 1 else (AREAS[at],)
        mark = f"{chance.randrange(16**5):05X}{at}"
        vehicle = Allocation(f"CAR-{chance.choice('XY')}{seed}", "vehicle")
        duties.append(
            Duty(
                f"DUTY-{mark}",
                1,
                f"OFF-{mark}",
                NOON - chance.choice([0, 2]) * MINUTE,
                NOON + 8 * HOUR,
                patch,
                (Allocation(f"RAD-{mark}", "radio"), *([vehicle] if chance.random() < 0.5 else [])),
                name=f"Constable {mark}",
                role="npt",
                team=chance.choice(["Team A", "Team B"]),
            )
        )
    world = World(town.begin(*duties), duties)
    devices = {item.device_id: item.kind for duty in duties for item in duty.devices}
    world.where = {name: set() for name in [*devices, LOOSE]}
    silent = f"RAD-{duties[2].officer_id[4:]}"
    rows = []
    for number, name in enumerate(world.where):
        lon, lat = SPOTS[chance.choice(list(SPOTS))]
        # No two devices are ever at one place, and no place is a round number.
        lon += (number + 1) * 1e-4 + chance.randrange(1, 9) * 1e-6
        world.where[name].add(f"{round(lon, DIGITS)}")
        until = 20 if name == silent else 60
        rows += [(name, NOON + minute * MINUTE, lon, lat, None) for minute in range(until)]
    town.ledger.positions(fix_columns(sorted(rows, key=lambda row: row[1])))
    town.now = NOON + 59 * MINUTE
    return world


@dataclass(slots=True)
class Site:
    """A world, and the application over it."""

    world: World
    web: Asking
    alerts: list[str]

    def answers(self, who: Viewer) -> Iterator[tuple[str, bytes]]:
        """All that somebody can ask for, each with its address; of what is packed what is in it."""
        self.web.entrance.who = who
        for path in paths(self.world.duties):
            found = self.web.request("GET", path, headers={"accept": "*/*"})
            if path.endswith((".xlsx", ".zip")) and found.status_code == 200:
                with zipfile.ZipFile(io.BytesIO(found.content)) as packed:
                    for name in packed.namelist():
                        yield f"{path}/{name}", packed.read(name)
            yield path, asked_for(path, found.content)
        for alert_id in self.alerts:
            path = f"/api/v1/alerts/{alert_id}/snooze"
            yield path, self.web.request("POST", path, json={"by": "x", "minutes": 0.01}).content
        yield "stream", self.streamed(who)

    def streamed(self, who: Viewer) -> bytes:
        """The first that a page is sent."""
        news = self.web.app.state.pulse.stream(None, compress=False, reach=reach(who.grants))

        async def read() -> bytes:
            try:
                found: bytes = await anext(news)
                return found
            finally:
                await news.aclose()

        first: bytes = self.web.run(read())
        return first


def asked_for(path: str, content: bytes) -> bytes:
    """An answer less what was asked for: an answer may repeat that."""
    for part in path.split("/"):
        content = content.replace(part.encode(), b"").replace(quote(part).encode(), b"")
    return content


def paths(duties: Sequence[Duty]) -> Iterator[str]:
    """Every address of the API and of the pages that could say something of a person."""
    yield from ("/api/v1/live", "/api/v1/units", "/api/v1/quality", "/api/v1/quality/devices?limit=1000")
    yield from ("/api/v1/restatements", "/restatements", "/metrics", "/api/v1/me", f"/api/v1/weeks/{WEEK}")
    yield from (f"/weeks/{WEEK}", "/api/v1/areas")
    for duty in duties:
        yield f"/api/v1/officers/{duty.officer_id}"
        yield f"/api/v1/officers/{duty.officer_id}/duties/{duty.duty_id}"
        yield f"/weeks/{WEEK}/duties/{duty.duty_id}"
    for area in AREAS:
        yield f"/api/v1/neighbourhoods/{area}"
        yield f"/api/v1/neighbourhoods/{area}/weeks/{WEEK}"
        for rest in (
            "",
            "/parts?by=officer",
            "/parts?by=stretch",
            "/crewing",
            "/team",
            ".html",
            ".xlsx",
            ".zip",
        ):
            yield f"/weeks/{WEEK}/{area}{rest}"
        yield f"/weeks/{WEEK}/{area}/visits/P{area[1]}"


@pytest.fixture(scope="module", params=SEEDS)
def site(request: pytest.FixtureRequest, database_server: EmbeddedDatabase) -> Iterator[Site]:
    """A world in which alerts ring."""
    with town_called(database_server, f"reach{request.param}") as town:
        world = made(town, request.param)
        chosen = replace(
            Settings(database=town.dsn, clock="events"),
            alert_nobody_on_patch_s=60.0,
            alert_off_patch_s=60.0,
            alert_tracker_silent_s=60.0,
            alert_priority_unvisited_s=60.0,
        )
        watcher = Watcher(chosen, wall=lambda: town.now, steady=lambda: town.now / SECOND)
        for _ in range(3):
            watcher.changed()
            rows = [(LOOSE, town.now + MINUTE, float(NEWEST), 52.5, None)]
            town.ledger.positions(fix_columns(rows))
            world.where[LOOSE].add(NEWEST)
            town.now += MINUTE
        watcher.changed()
        watcher.close()
        noted = [item.episode.alert_id for item in alerts.noted(town.connection, town.now)]
        assert noted
        with asking(chosen) as web:
            yield Site(world, web, noted)


def viewers(world: World, seed: int) -> list[Viewer]:
    """Sergeants of each neighbourhood, of both and of none, all who see no persons, and some at random."""
    chance = random.Random(seed)
    officer = chance.choice(world.duties).officer_id
    mixed = (
        Grant(Role.SERGEANT, frozenset({chance.choice(AREAS)})),
        Grant(chance.choice([Role.ANALYST, Role.DISPLAY, Role.GIS])),
        Grant(Role.OFFICER, None, officer),
    )
    return [
        somebody(Role.SERGEANT, ["N1"]),
        somebody(Role.INSPECTOR, [chance.choice(["N2", "N9"])]),
        somebody(Role.OFFICER, officer=officer),
        *(everyone()[role] for role in (Role.ANALYST, Role.DISPLAY, Role.GIS)),
        Viewer("mixed", "Mixed", mixed),
    ]


def test_nobody_outside_the_scope_is_in_any_answer(site: Site) -> None:
    """No id, name or position of an officer, duty or device out of scope is in any answer to anybody."""
    everything = b"".join(body for _, body in site.answers(Loopback.everybody))
    for number, who in enumerate(viewers(site.world, 7)):
        foreign = site.world.foreign(reach(who.grants))
        assert foreign, number
        for path, body in site.answers(who):
            told = [(text, what) for text, what in foreign.items() if text.encode() in body]
            assert told == [], (who.grants, path)
    # The search would find them: who sees everything is told of everybody.
    nobody = Reach(frozenset(), frozenset(), frozenset())
    nowhere = site.world.where[LOOSE]  # a device that nobody has is heard, and it is not told where
    told_of = site.world.foreign(nobody).keys() - nowhere
    missing = [text for text in told_of if text.encode() not in everything]
    assert missing == []
    assert [text for text in nowhere if text.encode() in everything] == []


def test_everything_inside_the_scope_is_as_whoever_sees_everything_sees_it(site: Site) -> None:
    """Figures, officers, duties, devices and weeks in scope are the same for a sergeant and an inspector."""

    def said(who: Viewer, path: str) -> Any:
        answer = site.web.get(path, who)
        assert answer.status_code == 200, path
        return answer.json()

    everybody = everyone()[Role.INSPECTOR]
    for area in AREAS:
        who = somebody(Role.SERGEANT, [area])
        found = reach(who.grants)
        mine = [duty for duty in site.world.duties if found.duty(duty)]
        for duty in mine:
            for path in (f"/api/v1/officers/{duty.officer_id}", f"/api/v1/neighbourhoods/{area}"):
                assert said(who, path) == said(everybody, path)
            path = f"/api/v1/officers/{duty.officer_id}/duties/{duty.duty_id}"
            assert said(who, path) == said(everybody, path)
        week = f"/api/v1/neighbourhoods/{area}/weeks/{WEEK}"
        own, whole = said(who, week), said(everybody, week)
        for name in ("figure", "hours", "officers", "priority_areas", "abstraction", "crewing"):
            assert own[name] == whole[name]
        own, whole = said(who, "/api/v1/live"), said(everybody, "/api/v1/live")
        assert own["force"] == whole["force"]
        assert own["neighbourhoods"] == [item for item in whole["neighbourhoods"] if item["id"] == area]
        ids = {area, *(duty.officer_id for duty in mine), "force"}
        ids |= {item["id"] for item in whole["priority_areas"] if item["neighbourhood"] == area}
        assert own["alerts"] == [item for item in whole["alerts"] if item["id"] in ids]
        devices = {item.device_id for duty in mine for item in duty.devices}
        own, whole = said(who, "/api/v1/units"), said(everybody, "/api/v1/units")
        assert {item["id"] for item in own["features"]} == devices & {
            item["id"] for item in whole["features"]
        }
        alike = {item["id"]: item for item in whole["features"]}
        officers = {duty.officer_id for duty in mine}
        for item in own["features"]:
            other = alike[item["id"]]
            assert item["geometry"] == other["geometry"]
            held = [one for one in other["properties"]["officers"] if one["officer_id"] in officers]
            assert item["properties"]["officers"] == held


def test_analysts_see_pseudonyms_that_stay_the_same(site: Site) -> None:
    """An analyst's week has as many officers with the same figures, under names that cannot be guessed."""
    path = f"/api/v1/neighbourhoods/N1/weeks/{WEEK}"
    mine = site.web.get(path, everyone()[Role.ANALYST]).json()
    whole = site.web.get(path, everyone()[Role.INSPECTOR]).json()
    assert mine == site.web.get(path, everyone()[Role.ANALYST]).json()

    def figures(week: dict[str, Any]) -> list[Any]:
        return sorted((item["on_patch_s"], item["duty_s"], len(item["duties"])) for item in week["officers"])

    assert figures(mine) == figures(whole)
    assert mine["figure"] == whole["figure"]
    assert all(item["name"].startswith("officer-") and not item["role"] for item in mine["officers"])


def test_gis_officers_are_told_how_many_officers_and_not_which(site: Site) -> None:
    """A boundary job says to a GIS officer how many officers a change reaches, and names none of them."""
    moved = AreaSet.of(
        replace(area, geometry=shapely.box(-1.001, 52.50, -0.98, 52.52)) if area.area_id == "N1" else area
        for area in TOWN.areas()
        if area.kind is Kind.NEIGHBOURHOOD
    )
    site.web.entrance.who = everyone()[Role.GIS]
    sent = site.web.request(
        "POST",
        "/api/v1/boundaries/check",
        files={"file": ("moved.geojson", areas_geojson(moved))},
        data={"kind": "neighbourhood"},
    )
    assert sent.status_code == 202, sent.text
    job = sent.json()["job"]
    while (found := site.web.get(f"/api/v1/boundaries/jobs/{job}")).json()["state"] == "running":
        site.web.run(_turn())
    touched = site.web.get(f"/api/v1/boundaries/jobs/{job}/touched?from=2026-11-16").json()["touched"]
    whole = site.web.get(f"/api/v1/boundaries/jobs/{job}/touched?from=2026-11-16", Loopback.everybody).json()[
        "touched"
    ]
    assert [item["officer_count"] for item in touched] == [len(item["officers"]) for item in whole] != []
    assert [item["officers"] for item in touched] == [[] for _ in whole]
    for duty in site.world.duties:
        assert duty.officer_id not in found.text


async def _turn() -> None:
    """Lets what runs in threads go on."""
    await asyncio.sleep(0.05)


def test_alerts_are_signed_with_the_viewer_s_own_name(site: Site) -> None:
    """Whatever name is sent, an alert says that whoever is signed in has seen it; others' are not there."""
    who = everyone()[Role.INSPECTOR]
    path = f"/api/v1/alerts/{site.alerts[0]}/acknowledge"
    site.web.entrance.who = who
    said = site.web.request("POST", path, json={"by": "Somebody Else"}).json()
    assert said["acknowledged"]["by"] == who.name
    site.web.entrance.who = somebody(Role.INSPECTOR, ["N9"])
    shown = {item["alert_id"] for item in site.web.get("/api/v1/live").json()["alerts"]}
    hidden = [name for name in site.alerts if name not in shown]
    assert hidden
    for name in (*hidden, "0" * 16):
        refused = site.web.request("POST", f"/api/v1/alerts/{name}/acknowledge", json={"by": "x"})
        assert (refused.status_code, refused.json()["detail"]) == (404, f"there is no alert {name!r}")
    assert "Somebody" not in site.web.get("/api/v1/live", everyone()[Role.INSPECTOR]).text
    assert who.name not in site.web.get("/api/v1/live", everyone()[Role.DISPLAY]).text


def test_the_stream_tells_each_viewer_of_their_own(site: Site) -> None:
    """What moves is told to pages whose viewers may see it; who comes back with other rights begins anew."""
    pulse, town = site.web.app.state.pulse, site.world.town
    grounds = [None, ["N1"], ["N2"]]
    found = [reach(somebody(Role.SERGEANT, ground).grants) for ground in grounds]
    radios = [duty.devices[0].device_id for duty in site.world.duties[:2]]  # of N1 and of N2

    async def read() -> tuple[list[str], list[str], str]:
        pages = [pulse.stream(None, compress=False, reach=one) for one in found]
        firsts = [(await anext(page)).decode() for page in pages]
        town.now += MINUTE
        town.ledger.positions(
            fix_columns(
                [(name, town.now, -0.9751234 - at * 1e-4, 52.505, None) for at, name in enumerate(radios)]
            )
        )
        news = ["", "", ""]
        while not all(radios[at] in news[0] for at in (0, 1)):
            news = [before + (await anext(page)).decode() for before, page in zip(news, pages, strict=True)]
        mark = news[1].rpartition("id: ")[2].partition("\n")[0]
        other = pulse.stream(mark, compress=False, reach=found[2])
        again = (await anext(other)).decode()
        for page in (*pages, other):
            await page.aclose()
        return firsts, news, again

    firsts, news, again = site.web.run(read())
    assert all("event: snapshot" in text for text in (*firsts, again))
    for texts in (firsts, news):
        assert [radios[0] in text for text in texts] == [True, True, False]
        assert [radios[1] in text for text in texts] == [True, False, True]
    assert radios[0] not in again
