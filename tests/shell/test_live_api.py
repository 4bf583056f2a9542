"""The live figures over HTTP: what the page starts from, what it is told, and what lies behind it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import subprocess
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import shapely
from openapi_spec_validator import validate as validate_openapi
from prometheus_client.parser import text_string_to_metric_families

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.writing import areas_geojson
from stream.core.calendar import parse_time, rfc3339
from stream.core.facts import SECOND, Allocation
from stream.core.live.alerts import KINDS
from stream.core.live.share_event import share_event
from stream.core.policy import Policies
from stream.core.shares import OFFICER
from stream.core.slices import whole_slices
from stream.embedded import EmbeddedDatabase
from stream.pipeline.processes import command
from stream.pipeline.watcher import Watcher
from stream.settings import Settings
from stream.store.alerts import noted
from stream.store.pool import Pool
from stream.store.reading.duty_track import read_duty
from stream.store.reading.exports import derived
from stream.store.reading.live import live
from stream.store.schema import connect
from stream.web.live.figures import PriorityAreaJson, ShareJson, alert_json, awaited_visibly, visible
from stream.web.live.pulse import BEHIND, Pulse
from stream.web.pages import policy
from tests.shell.pipeline import Message, Pipeline, demo_facts
from tests.shell.streamed import Event, events_of, listening, position
from tests.shell.town import MINUTE, NOON, SPOTS, TOWN, Town, duty
from tests.strategies import fix_columns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from stream.embedded import EmbeddedBroker

HOUR = 60 * MINUTE
RUNNING = Path(__file__).resolve().parents[2] / "deploy" / "README.md"


# ── The whole, running ────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Site:
    """The pipeline with its page, and what has not been sent yet."""

    pipeline: Pipeline
    address: str
    waiting: list[Message]

    def client(self) -> httpx.Client:
        """A plain HTTP client of the running program."""
        return httpx.Client(base_url=self.address, timeout=30)


@pytest.fixture(scope="module")
def site(
    embedded_broker: EmbeddedBroker,
    database_server: EmbeddedDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Ingest, worker and web over a simulated hour, the end of which has not been sent."""
    folder: Path = tmp_path_factory.mktemp("live")
    with connect(database_server.dsn) as server:
        server.execute("create database live_api template template0")
    facts = demo_facts(folder)
    pipeline = Pipeline(embedded_broker.bootstrap, database_server.dsn_of("live_api"), folder)
    web: subprocess.Popen[str] | None = None
    with pipeline:
        try:
            pipeline.load_areas(facts)
            cut = len(facts.messages) * 9 // 10
            pipeline.send(facts.messages[:cut])
            pipeline.settle()
            web = subprocess.Popen(
                command("web", "--port", "0"),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**pipeline.environment, "PYTHONUNBUFFERED": "1"},
            )
            assert web.stdout is not None
            held = len(facts.messages) * 19 // 20  # the officers stay on duty
            address = web.stdout.readline().strip().rstrip("/")
            yield Site(pipeline, address, list(facts.messages[cut:held]))
            web.terminate()
            assert web.wait(30) == 0
        finally:
            if web is not None:
                web.kill()
                web.communicate()
    with connect(database_server.dsn) as server:
        server.execute("drop database live_api with (force)")


@dataclass(slots=True)
class Page:
    """What a page knows, from the events that it was sent."""

    live: dict[str, Any] = field(default_factory=dict)
    shares: dict[str, dict[str, Any]] = field(default_factory=dict)
    areas: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    units: dict[str, dict[str, Any]] = field(default_factory=dict)
    as_of: str = ""

    def take(self, event: Event) -> None:
        """Takes an event in."""
        data = event.data
        if event.name == "snapshot":
            self.live = data["live"]
            self.as_of = self.live["as_of"]
            self.shares = {item["id"]: item for item in (self.live["force"], *self.live["neighbourhoods"])}
            self.areas = {item["id"]: item for item in self.live["priority_areas"]}
            self.alerts = {item["alert_id"]: item for item in self.live["alerts"]}
            self.units = {}
            self.move(data["units"])
        elif event.name == "share":
            for item in (*([data["force"]] if "force" in data else []), *data["neighbourhoods"]):
                self.shares[item["id"]] = item
        elif event.name == "units":
            self.move(data)
            for name in data["gone"]:
                del self.units[name]
        elif event.name == "areas":
            self.areas.update({item["id"]: item for item in data["priority_areas"]})
        elif event.name == "alert":
            self.alerts[data["alert_id"]] = data
        else:
            assert event.name == "pulse"
            self.as_of = data["as_of"]

    def move(self, columns: dict[str, Any]) -> None:
        """Takes columns of units in."""
        names = [name for name in columns if name not in {"ids", "gone"}]
        for at, unit in enumerate(columns["ids"]):
            self.units.setdefault(unit, {}).update({name: columns[name][at] for name in names})

    def seen(self) -> dict[str, Any]:
        """All that can be seen of it."""
        return {
            "shares": {name: visible(msgspec.convert(item, ShareJson)) for name, item in self.shares.items()},
            "areas": {
                name: awaited_visibly(msgspec.convert(item, PriorityAreaJson))
                for name, item in self.areas.items()
            },
            "alerts": {name: item for name, item in self.alerts.items() if item["cleared"] is None},
            "units": self.units,
        }


def test_a_page_that_is_told_what_changed_knows_what_a_new_one_is_given(site: Site) -> None:
    """A snapshot with every change applied, while a shift streams in, is what a new snapshot says."""
    page = Page()
    portions = [site.waiting[at::3] for at in range(3)]
    site.waiting = []
    with listening(site.address) as events:
        for event in events:
            assert page.live or event.name == "snapshot"
            page.take(event)
            if event.name == "pulse":
                if not portions:
                    break
                site.pipeline.post(portions.pop())
        site.pipeline.settle()
        quiet = 0  # pulses in a row with nothing else
        for before, event in itertools.pairwise(itertools.chain([Event(None, "", {})], events)):
            page.take(event)
            quiet = quiet + 1 if event.name == before.name == "pulse" else 0
            if quiet == 5:
                break
    with listening(site.address) as events:
        fresh = Page()
        fresh.take(next(events))
    assert fresh.as_of == page.as_of
    assert len(page.units) > 16
    assert page.seen() == fresh.seen()


def test_an_event_is_on_the_stream(site: Site) -> None:
    """Each position sent to Kafka is told to the page, though no other follows it."""
    with site.client() as client:
        unit = next(
            item
            for item in client.get("/api/v1/units").json()["features"]
            if item["properties"]["kind"] == "radio"
        )
        now = parse_time(client.get("/api/v1/live").json()["as_of"])
    device = unit["properties"]["device_id"]
    lon, lat = unit["geometry"]["coordinates"]
    with listening(site.address) as events:
        assert next(events).name == "snapshot"
        for at in range(1, 6):
            sent = now + at * 5 * SECOND
            site.pipeline.post([position(device, sent, lon, lat + at * 1e-5)])
            told = next(
                event.data for event in events if event.name == "units" and sent // 1000 in event.data["t_ms"]
            )
            assert told["ids"][told["t_ms"].index(sent // 1000)] == device


def test_live_figures_are_those_of_the_feed(site: Site) -> None:
    """What /live says of the force and of every neighbourhood is what `visibility.shares` is sent."""
    with site.client() as client:
        found = client.get("/api/v1/live").json()
    now = parse_time(found["as_of"])
    wanted = {
        (item.figures.scope, item.figures.id): msgspec.to_builtins(
            share_event(item.figures, item.name, item.target, item.officers.on_duty, item.officers.on_patch)
        )
        for item in live(site.pipeline.connection, now, Policies())
        if item.figures.scope != OFFICER
    }
    told = {(item["scope"], item["id"]): item for item in (found["force"], *found["neighbourhoods"])}
    assert told.keys() == wanted.keys()
    for key, item in wanted.items():
        assert {name: told[key][name] for name in item} == item
    assert found["force"]["officers_on_duty"] > 0
    needs = [item["need"] for item in found["neighbourhoods"]]
    assert needs == sorted(needs, reverse=True)


def test_a_duty_is_shown_as_it_was_counted(site: Site) -> None:
    """The slices of a duty are rule 12's, to the microsecond, and its figure is the officer's."""
    pipeline = site.pipeline
    with site.client() as client:
        now = parse_time(client.get("/api/v1/live").json()["as_of"])
        everything = derived(pipeline.connection)
        for number, booked in enumerate(everything.duties[:6]):
            path = f"/api/v1/officers/{booked.officer_id}/duties/{booked.duty_id}"
            found = client.get(path).json()
            slices, ambiguous = whole_slices(
                everything.slices, everything.duties, everything.places, Policies(), until=now
            )
            own = (slices.duty == number).nonzero()[0]
            assert [parse_time(item["start"]) for item in found["slices"]] == slices.start[own].tolist()
            assert [parse_time(item["end"]) for item in found["slices"]] == slices.end[own].tolist()
            assert [round(item["ambiguous_s"] * 1e3) for item in found["slices"]] == [
                round(item / 1e3) for item in ambiguous[own].tolist()
            ]
            officer = client.get(f"/api/v1/officers/{booked.officer_id}").json()
            assert {"duty_id": booked.duty_id, "from": rfc3339(booked.start)}.items() <= officer["duties"][
                0
            ].items()
            if officer["officer"] is not None:
                assert officer["officer"]["on_patch_s"] == pytest.approx(
                    found["figure"]["on_patch_s"], abs=0.001
                )
            track = found["track"]
            assert len({len(column) for column in track.values()}) == 1
            assert len(track["t_ms"]) > 0
            assert set(track["device_id"]) <= {item["device_id"] for item in found["duty"]["devices"]}


def test_a_neighbourhood_opens_to_its_hours_and_officers(site: Site) -> None:
    """The hours of a neighbourhood add up to its figure, and its officers are those of its figure."""
    with site.client() as client:
        found = client.get("/api/v1/live").json()
        for item in found["neighbourhoods"]:
            opened = client.get(f"/api/v1/neighbourhoods/{item['id']}").json()
            assert opened["as_of"] == found["as_of"]
            assert opened["share"] == item
            for name in ("duty_s", "on_patch_s", "off_patch_s", "not_visible_s", "unknown_s", "break_s"):
                assert sum(hour[name] for hour in opened["hours"]) == pytest.approx(item[name], abs=0.1)
            here = [officer for officer in opened["officers"] if officer["activity"] == "on_patch"]
            assert len({officer["officer_id"] for officer in here}) == item["officers_on_patch"]
            for officer in opened["officers"]:
                assert (officer["off_patch_since"] is not None) == (
                    officer["activity"] in ("off_patch", "not_visible")
                )


def test_a_neighbourhood_has_the_timelines_of_its_officers(site: Site) -> None:
    """Each officer's timeline in a neighbourhood is that of the slices of the duty, activities joined."""
    with site.client() as client:
        areas = [item["id"] for item in client.get("/api/v1/live").json()["neighbourhoods"]]
        officers = [
            item for area in areas for item in client.get(f"/api/v1/neighbourhoods/{area}").json()["officers"]
        ]
        assert officers
        for officer in officers[::4]:
            path = f"/api/v1/officers/{officer['officer_id']}/duties/{officer['duty_id']}"
            joined: list[list[Any]] = []
            for item in client.get(path).json()["slices"]:
                start, end = (parse_time(item[name]) // 1000 for name in ("start", "end"))
                if joined and joined[-1][1:] == [start, item["activity"]]:
                    joined[-1][1] = end
                else:
                    joined.append([start, end, item["activity"]])
            assert officer["timeline"] == joined


def test_units_say_who_has_them(site: Site) -> None:
    """A unit's columns name the officers who have it as the list of units does; nobody's has no name."""
    with listening(site.address) as events:
        units = next(events).data["units"]
    with site.client() as client:
        named = {
            item["id"]: ", ".join(officer["name"] for officer in item["properties"]["officers"]) or None
            for item in client.get("/api/v1/units").json()["features"]
        }
    assert dict(zip(units["ids"], units["names"], strict=True)) == named
    assert [name is None for name in units["names"]] == [not held for held in units["officers"]]
    assert any(name and name.startswith("PC") for name in units["names"])


def test_areas_are_sent_whole_once(site: Site) -> None:
    """The areas in force are sent compressed, and not again while the page has them."""
    with site.client() as client:
        whole = client.get("/api/v1/areas")
        assert whole.headers["content-encoding"] == "gzip"
        assert len(whole.json()["neighbourhood"]["features"]) == len(
            client.get("/api/v1/live").json()["neighbourhoods"]
        )
        again = client.get("/api/v1/areas", headers={"If-None-Match": whole.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = client.get("/api/v1/areas", headers={"Accept-Encoding": "identity"})
        assert plain.json() == whole.json()


def test_compressed_and_plain_streams_say_the_same(site: Site) -> None:
    """The stream comes as gzip where that is taken, and says the same as the plain one."""
    found = []
    for encoding in ("gzip", "identity"):
        with listening(site.address, **{"Accept-Encoding": encoding}) as events:
            page = Page()
            for event in itertools.islice(events, 3):
                page.take(event)
            found.append(page.seen())
    assert found[0] == found[1]


def test_only_its_own_pages_may_change_anything(site: Site) -> None:
    """A request to change something from another site, or as a plain form, is refused."""
    with site.client() as client:
        path = "/api/v1/alerts/none/acknowledge"
        said = json.dumps({"by": "me"})
        kind = {"Content-Type": "application/json"}
        for headers, status in (
            ({**kind, "Origin": "http://evil.example"}, 403),
            ({**kind, "Origin": "null"}, 403),
            ({**kind, "Sec-Fetch-Site": "cross-site"}, 403),
            ({"Content-Type": "text/plain"}, 415),
            (kind, 404),
            ({**kind, "Origin": site.address}, 404),
        ):
            answer = client.post(path, content=said, headers=headers)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/api/v1/live", headers={"Host": "evil.example"}).status_code == 400
        assert (
            client.post("/api/v1/boundaries/check", headers={"Origin": "http://evil.example"}).status_code
            == 403
        )


@pytest.mark.parametrize("path", ["/", "/api/v1/live", "/nothing", "/static/nothing.js", "/boundaries"])
def test_every_answer_tells_the_browser_to_ask_nobody_else(site: Site, path: str) -> None:
    """Every answer has a content security policy in which no other machine is named."""
    with site.client() as client:
        headers = client.get(path).headers
    assert headers["content-security-policy"] == policy()
    assert headers["x-content-type-options"] == "nosniff"
    assert "http" not in policy().replace("'self'", "")
    assert "https://tiles.example" in policy("https://tiles.example/{z}/{x}/{y}.png")


def test_machines_are_told_how_it_goes(site: Site) -> None:
    """Health, readiness with the age of the data, and just the metrics that deploy/README.md lists."""
    with site.client() as client:
        assert client.get("/healthz").json() == {"status": "up"}
        ready = client.get("/readyz").json()
        assert ready["status"] == "ready"
        assert ready["age_s"] == 0.0  # in a replay the newest event is now
        told = client.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", told.text, re.MULTILINE))
    listed = re.findall(r"^\| `(patrol_\w+)` \| (gauge|counter) \|", RUNNING.read_text("utf-8"), re.MULTILINE)
    others = ("patrol_ingest_", "patrol_worker_", "patrol_bridge_")  # told by their own processes
    assert types == {name: kind for name, kind in listed if not name.startswith(others)}
    families = list(text_string_to_metric_families(told.text))
    values = {item.name: item.value for family in families for item in family.samples if not item.labels}
    assert values["patrol_web_database_up"] == 1
    assert values["patrol_officers_on_duty"] > 0
    [alerts] = [family for family in families if family.name == "patrol_alerts"]
    assert [item.labels for item in alerts.samples] == [{"kind": kind} for kind in KINDS]


def test_the_described_api_is_the_committed_one(site: Site) -> None:
    """The OpenAPI document that is served is valid, and is `deploy/openapi.json` (patrol web --openapi)."""
    from stream.web.description import committed

    with site.client() as client:
        served = client.get("/api/v1/openapi.json").json()
    validate_openapi(served)
    assert served == json.loads(committed().read_text(encoding="utf-8")), (
        "run: patrol web --openapi > deploy/openapi.json"
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/neighbourhoods/none", 404),
        ("/api/v1/officers/none", 404),
        ("/api/v1/officers/none/duties/none", 404),
        ("/api/v1/boundaries/jobs/none", 404),
        ("/api/v1/live?what=1", 400),
        ("/api/v2", 404),
    ],
)
def test_what_is_not_there_is_said_plainly(site: Site, path: str, status: int) -> None:
    """An error is a problem document with a status and a plain line."""
    with site.client() as client:
        answer = client.get(path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_a_track_marks_the_jumps_that_rule_3_ignores(town: Town) -> None:
    """A track marks just the fixes that rule 3 ignores, judged by neighbours outside the allocation too."""
    start, end = NOON + 20 * MINUTE, NOON + 30 * MINUTE
    town.book(
        replace(duty("O1", "N1", NOON, NOON + 8 * HOUR, Allocation("V1", "vehicle", start, end)), revision=2)
    )
    west, away = SPOTS["west"], SPOTS["away"]
    times = range(start - 10 * SECOND, end + 11 * SECOND, 10 * SECOND)
    jumping = {start, start + 2 * MINUTE, end}
    rows = [("V1", time, *(away if time in jumping else west), None) for time in times]
    town.ledger.positions(fix_columns(rows))
    town.now = end + MINUTE
    track = read_duty(town.connection, "O1", "D-O1", town.now, Policies())
    assert track is not None
    own = track.fixes.device == [item.device_id for item in track.duty.devices].index("V1")
    assert track.fixes.time[own].tolist() == [time for time in times if start <= time <= end]
    assert set(track.fixes.time[own & track.ignored].tolist()) == jumping
    assert not track.ignored[~own].any()


# ── The pulse by itself ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def town(database: str) -> Iterator[Town]:
    """Three officers from noon on, all where they belong, for ten minutes."""
    made = Town(database).begin(
        duty("O1", "N1", NOON, NOON + 8 * HOUR),
        duty("O2", "N1", NOON, NOON + 8 * HOUR),
        duty("O3", "N2", NOON, None),
    )
    made.put(R1="west", R2="market", R3="east")
    made.go(10)
    yield made
    made.close()


@contextlib.asynccontextmanager
async def beating(settings: Settings, town: Town, **pace: float) -> AsyncIterator[Pulse]:
    """A pulse with the town's clock, quick unless said otherwise."""
    pool = Pool(settings)
    pulse = Pulse(settings, pool, lambda: town.now, **{"beat_s": 0.01, **pace})
    try:
        yield pulse
    finally:
        await pulse.close()
        pool.close()


async def several(stream: AsyncIterator[bytes], count: int) -> list[Event]:
    """The events of the next pieces of a stream."""
    found = []
    for _ in range(count):
        found += events_of((await anext(stream)).decode())
    return found


def test_a_page_that_comes_back_is_told_what_it_missed(town: Town) -> None:
    """With its last id a page gets every later pulse and no snapshot; with another's, a snapshot."""

    async def work() -> None:
        async with beating(Settings(database=town.dsn), town) as pulse:
            keeping = pulse.stream(None, compress=False)
            first = await several(keeping, 2)
            last = first[-1].id
            assert last is not None
            boot, number = last.split("-")
            town.put(R1="west vertex")
            town.go(1)
            missed = await several(keeping, 4)
            back = pulse.stream(last, compress=False)
            told = events_of((await anext(back)).decode())
            marks = [event.id for event in told if event.id]
            assert marks[: len([event for event in missed if event.id])] == [e.id for e in missed if e.id]
            assert marks == [f"{boot}-{int(number) + at}" for at in range(1, len(marks) + 1)]
            assert "snapshot" not in {event.name for event in told}
            assert "units" in {event.name for event in told}
            for other in (f"{boot}-999999", "0-1", "rubbish", f"{boot}-x"):
                stranger = pulse.stream(other, compress=False)
                assert (await several(stranger, 1))[0].name == "snapshot"
                await stranger.aclose()
            await back.aclose()
            await keeping.aclose()

    asyncio.run(work())


def test_what_is_forgotten_is_replaced_by_a_snapshot(town: Town) -> None:
    """A page that comes back after its news have been forgotten gets a snapshot."""

    async def work() -> None:
        async with beating(Settings(database=town.dsn), town, remembered_s=0.0) as pulse:
            keeping = pulse.stream(None, compress=False)
            first = await several(keeping, 1)
            await several(keeping, 3)
            back = pulse.stream(first[0].id, compress=False)
            assert (await several(back, 1))[0].name == "snapshot"
            await back.aclose()
            await keeping.aclose()

    asyncio.run(work())


def test_a_slow_page_gets_a_snapshot_and_costs_no_memory(town: Town) -> None:
    """A page that does not read for many pulses is given a snapshot in place of all that it missed."""

    async def work() -> None:
        async with beating(Settings(database=town.dsn), town) as pulse:
            slow, quick = pulse.stream(None, compress=False), pulse.stream(None, compress=False)
            assert (await several(slow, 1))[0].name == "snapshot"
            began = pulse.counts.pulses
            while pulse.counts.pulses <= began + BEHIND + 1:
                await several(quick, 1)
            before = pulse.counts.snapshots
            assert [event.name for event in await several(slow, 1)] == ["snapshot"]
            assert pulse.counts.snapshots == before + 1
            await slow.aclose()
            await quick.aclose()

    asyncio.run(work())


def test_pages_share_one_reading(town: Town) -> None:
    """However many pages are open, the database is read once a pulse, and not when the last has gone."""

    async def work() -> None:
        async with beating(Settings(database=town.dsn), town) as pulse:
            pages = [pulse.stream(None, compress=bool(at % 2)) for at in range(50)]
            for _ in range(3):
                await asyncio.gather(*(anext(page) for page in pages))
            assert pulse.counts.pages == 50
            assert pulse.counts.reads <= pulse.counts.pulses + 1
            for page in pages:
                await page.aclose()
            assert pulse.counts.pages == 0
            assert not pulse.beating

    asyncio.run(work())


def test_what_is_sent_to_all_is_readable_from_any_point(town: Town) -> None:
    """A page that joins later reads the shared compressed blocks behind its own header."""

    async def work() -> None:
        async with beating(Settings(database=town.dsn), town) as pulse:
            early = pulse.stream(None, compress=True)
            await anext(early)
            late, plain = pulse.stream(None, compress=True), pulse.stream(None, compress=False)
            unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
            found, wanted = b"", b""
            town.put(R1="west vertex")
            for _ in range(4):
                town.go(0.5)
                found += unpack.decompress(await anext(late))
                wanted += await anext(plain)
            assert events_of(found.decode())[0].name == "snapshot"
            common = min(len(found), len(wanted))
            assert found[:common] == wanted[:common]
            for page in (early, late, plain):
                await page.aclose()

    asyncio.run(work())


def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    """While the database is away pages are told so every pulse; when it is back they go on by themselves."""
    with EmbeddedDatabase() as server:
        town = Town(server.dsn).begin(duty("O1", "N1", NOON, None))
        town.put(R1="west")
        town.go(5)
        town.close()

        async def until(stream: AsyncIterator[bytes], state: str) -> dict[str, Any]:
            while True:
                for event in await several(stream, 1):
                    if event.name == "pulse" and event.data["fresh"]["state"] == state:
                        return dict(event.data["fresh"])

        async def work() -> None:
            settings = Settings(database=server.dsn)
            async with beating(settings, town, beat_s=0.1) as pulse:
                page = pulse.stream(None, compress=False)
                await until(page, "live")
                await asyncio.to_thread(server.stop)
                told = await until(page, "stale")
                assert told["text"].startswith("Stale: the database cannot be reached now")
                assert (await pulse.now()).fresh.state == "stale"
                late = pulse.stream(None, compress=False)
                assert (await several(late, 1))[0].data["live"]["fresh"]["state"] == "stale"
                await asyncio.to_thread(server.start)
                assert (await until(page, "live"))["newest_event"] == rfc3339(town.now)
                await late.aclose()
                await page.aclose()

        asyncio.run(work())


def test_a_page_opened_while_the_database_is_away_waits_for_it(tmp_path: Path) -> None:
    """A page opened before the database is up is told that it is stale, and gets a snapshot when it is up."""
    with EmbeddedDatabase() as server:
        town = Town(server.dsn).begin(duty("O1", "N1", NOON, None))
        town.put(R1="west")
        town.go(5)
        town.close()
        server.stop()

        async def work() -> None:
            async with beating(Settings(database=server.dsn), town, beat_s=0.1) as pulse:
                page = pulse.stream(None, compress=False)
                first = (await several(page, 1))[0]
                assert (first.name, first.data["fresh"]["state"]) == ("pulse", "stale")
                await asyncio.to_thread(server.start)
                names: list[str] = []
                while "snapshot" not in names:
                    names = [event.name for event in await several(page, 1)]
                await page.aclose()

        asyncio.run(work())


@pytest.mark.parametrize(("silent_s", "state"), [(0, "live"), (15, "live"), (16, "stale"), (3600, "stale")])
def test_old_data_are_called_stale(town: Town, silent_s: int, state: str) -> None:
    """Data older than the setting are stale, and how old they are is said."""

    async def work() -> None:
        town.now += silent_s * SECOND
        async with beating(Settings(database=town.dsn), town) as pulse:
            fresh = (await pulse.now()).fresh
            assert (fresh.state, fresh.age_s) == (state, float(silent_s))

    asyncio.run(work())


def test_who_is_off_duty_counts_nowhere(town: Town) -> None:
    """An officer who keyed off duty (state 11) is on duty neither on the page nor on `visibility.shares`."""
    town.key("O2", 11)
    town.go(2)
    feed = {
        item.figures.id: (item.officers.on_duty, item.officers.on_patch)
        for item in live(town.connection, town.now, Policies())
    }

    async def work() -> None:
        async with beating(Settings(database=town.dsn), town) as pulse:
            told = pulse.live_json(await pulse.now())
        page = {
            item.id: (item.officers_on_duty, item.officers_on_patch)
            for item in (told.force, *told.neighbourhoods)
        }
        assert page == {"force": (2, 2), "N1": (1, 1), "N2": (1, 1)}
        assert {name: feed[name] for name in page} == page

    asyncio.run(work())


def test_an_empty_database_says_so(database: str) -> None:
    """Without any position the page is told that there is none, and no figure is invented."""
    empty = Town(database).begin()

    async def work() -> None:
        async with beating(Settings(database=database), empty) as pulse:
            moment = await pulse.now()
            assert moment.fresh.state == "empty"
            assert moment.force.share is None
            assert pulse.live_json(moment).alerts == []

    asyncio.run(work())
    empty.close()


def test_an_alert_is_on_the_stream_when_it_rings_is_answered_and_clears(town: Town) -> None:
    """An alert comes as an event when it rings, when somebody answers it, and when it clears."""
    settings = replace(Settings(database=town.dsn), alert_nobody_on_patch_s=120.0, alert_clear_s=60.0)
    watcher = Watcher(settings, wall=lambda: town.now, steady=lambda: town.now / SECOND)

    async def told(stream: AsyncIterator[bytes]) -> dict[str, Any]:
        while True:
            for event in await several(stream, 1):
                if event.name == "alert":
                    return event.data

    def watch(minutes: int) -> None:
        for _ in range(minutes):
            town.go(1)
            watcher.changed()

    async def work() -> None:
        async with beating(settings, town) as pulse:
            page = pulse.stream(None, compress=False)
            assert (await several(page, 1))[0].data["live"]["alerts"] == []
            town.put(R3="west")
            rung, _ = await asyncio.gather(told(page), asyncio.to_thread(watch, 4))
            assert (rung["kind"], rung["id"], rung["cleared"]) == ("nobody_on_patch", "N2", None)
            [item] = noted(town.connection, town.now)
            assert msgspec.to_builtins(alert_json(item)) == rung
            town.connection.execute(
                "update alert set acknowledged_at = from_us(%s), acknowledged_by = 'Insp'", [town.now]
            )
            assert (await told(page))["acknowledged"] == {"at": rfc3339(town.now), "by": "Insp"}
            town.put(R3="east")
            cleared, _ = await asyncio.gather(told(page), asyncio.to_thread(watch, 3))
            assert cleared["alert_id"] == rung["alert_id"]
            assert cleared["cleared"] is not None
            await page.aclose()

    asyncio.run(work())
    watcher.close()


def test_an_acknowledgement_can_be_taken_back(town: Town, program: httpx.Client) -> None:
    """An alert acknowledged and then not is as it was, for everybody who looks; who was first stays."""
    settings = replace(Settings(database=town.dsn), alert_nobody_on_patch_s=60.0)
    watcher = Watcher(settings, wall=lambda: town.now, steady=lambda: town.now / SECOND)
    town.put(R3="west")
    for _ in range(3):
        town.go(1)
        watcher.changed()
    watcher.close()
    [before] = program.get("/api/v1/live").json()["alerts"]
    path = f"/api/v1/alerts/{before['alert_id']}"

    def say(word: str, by: str) -> dict[str, Any]:
        answer = program.post(f"{path}/{word}", json={"by": by})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert say("acknowledge", "Insp A")["acknowledged"]["by"] == "Insp A"
    assert say("acknowledge", "Sgt B")["acknowledged"]["by"] == "Insp A"
    assert say("unacknowledge", "Insp A") == before
    assert say("unacknowledge", "Insp A") == before
    assert say("acknowledge", "Sgt B")["acknowledged"]["by"] == "Sgt B"
    assert program.post("/api/v1/alerts/none/unacknowledge", json={"by": "me"}).status_code == 404


# ── Boundaries ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def program(town: Town) -> Iterator[httpx.Client]:
    """`patrol web` over the town, and a client of it."""
    web = subprocess.Popen(
        command("web", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PATROL_DATABASE": town.dsn, "PATROL_CLOCK": "events", "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert web.stdout is not None
        with httpx.Client(base_url=web.stdout.readline().strip(), timeout=60) as client:
            yield client
        web.terminate()
        assert web.wait(30) == 0
    finally:
        web.kill()
        web.communicate()


def checked(client: httpx.Client, content: bytes, name: str = "wards.geojson", **said: str) -> dict[str, Any]:
    """The job of a file, when it is done."""
    answer = client.post("/api/v1/boundaries/check", files={"file": (name, content)}, data=said)
    assert answer.status_code == 202, answer.text
    while (job := client.get(f"/api/v1/boundaries/jobs/{answer.json()['job']}").json())["state"] == "running":
        assert 0 <= job["progress"] < 1
        assert job["step"]
    return dict(job)


def wards(*areas: Area) -> bytes:
    """A file of areas."""
    return areas_geojson(AreaSet.of(areas))


def test_boundaries_are_checked_published_and_taken_back(town: Town, program: httpx.Client) -> None:
    """A file goes through the check to a version, into the history, and back out of force."""
    homes = [area for area in TOWN.areas() if area.kind is Kind.NEIGHBOURHOOD]
    wider = Area(Kind.NEIGHBOURHOOD, "N2", homes[1].name, shapely.box(-0.98, 52.50, -0.95, 52.52))
    job = checked(program, wards(homes[0], wider), kind="neighbourhood")
    assert (job["state"], job["progress"], job["error"]) == ("done", 1.0, None)
    result = job["result"]
    assert result["may_be_published"]
    assert [item["area_id"] for item in result["diff"]["moved"]] == ["N2"]
    assert result["diff"]["touched"] == [], "nobody's duty counts now: one without an end does so for a day"
    assert result["summary"]["moved"] == 1
    assert len(result["areas_geojson"]["features"]) == 2

    start = rfc3339(town.now - 5 * MINUTE)
    reached = program.get(f"/api/v1/boundaries/jobs/{job['job']}/touched", params={"from": start}).json()
    assert [(item["area_id"], item["officers"]) for item in reached["touched"]] == [("N2", ["O3"])]
    town.put(R3="away")
    said = {"job": job["job"], "from": start, "by": "GIS <i>"}
    published = program.post("/api/v1/boundaries/publish", json={**said, "why": "the new estate"})
    assert published.status_code == 201, published.text
    version = published.json()["version"]
    newest = program.get("/api/v1/boundaries/history").json()["versions"][0]
    assert (newest["version"], newest["loaded_by"], newest["why"]) == (version, "GIS <i>", "the new estate")
    assert newest["in_force"]
    assert newest["file"] == "wards.geojson"
    assert program.get("/api/v1/areas").json()["version"].startswith(f"{version}.")

    back = program.post(
        "/api/v1/boundaries/take-back", json={"by": "GIS", "kind": "neighbourhood", "why": "no"}
    )
    assert (back.status_code, back.json()["version"]) == (200, version)
    newest = program.get("/api/v1/boundaries/history").json()["versions"][0]
    assert (newest["withdrawn_by"], newest["in_force"]) == ("GIS", False)


def test_a_file_with_errors_is_not_published(program: httpx.Client) -> None:
    """Errors stand on the map and in a list, and keep a file from being published until they are accepted."""
    lapped = wards(
        Area(Kind.NEIGHBOURHOOD, "N1", "one", shapely.box(-1.00, 52.50, -0.98, 52.52)),
        Area(Kind.NEIGHBOURHOOD, "N2", "two", shapely.box(-0.99, 52.50, -0.96, 52.52)),
    )
    job = checked(program, lapped, kind="neighbourhood")
    errors = [item for item in job["result"]["findings"] if item["severity"] == "error"]
    assert errors
    assert not job["result"]["may_be_published"]
    assert len(job["result"]["findings_geojson"]["features"]) == len(job["result"]["findings"])
    said = {"job": job["job"], "from": "2026-11-24", "by": "GIS"}
    refused = program.post("/api/v1/boundaries/publish", json=said)
    assert (refused.status_code, refused.json()["code"]) == (409, "Errors")
    accept = {item["code"] for item in errors}
    with_reason = checked(
        program, lapped, kind="neighbourhood", accept=sorted(accept)[0], by="GIS", why="shared ground"
    )
    assert with_reason["result"]["may_be_published"] == (len(accept) == 1)


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"rubbish", "wards.geojson", "wards.geojson"),
        (b"", "../../etc/passwd", "passwd"),
        (b"PK\x03\x04rubbish", "wards.zip", "wards.zip"),
    ],
)
def test_a_file_that_is_none_is_said_to_be_none(
    program: httpx.Client, content: bytes, name: str, text: str
) -> None:
    """A damaged file, or one whose name is a path, ends as a finding or a plain line, never as a fault."""
    job = checked(program, content, name, kind="neighbourhood")
    assert job["file"] == text
    if job["state"] == "done":
        assert job["result"]["may_be_published"] is False
        assert job["result"]["findings"]
    else:
        assert job["error"]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"kind": "other"}, 400),
        ({"what": "1"}, 400),
        ({"accept": "overlap"}, 400),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(
    program: httpx.Client, said: dict[str, str], status: int
) -> None:
    """An unknown kind or field, or an error let pass without who and why, is refused."""
    answer = program.post("/api/v1/boundaries/check", files={"file": ("a.geojson", b"{}")}, data=said)
    assert answer.status_code == 400
    assert program.post("/api/v1/boundaries/check", data={"kind": "priority"}).status_code in (400, 415)


def test_an_open_page_does_not_keep_the_program_from_ending(town: Town) -> None:
    """Asked to end, the program lets its open pages go and ends with exit 0."""
    web = subprocess.Popen(
        command("web", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATROL_DATABASE": town.dsn, "PATROL_CLOCK": "events", "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert web.stdout is not None
        address = web.stdout.readline().strip()
        with (
            httpx.Client(base_url=address, timeout=30) as client,
            client.stream("GET", "/api/v1/stream") as page,
        ):
            parts = page.iter_text()
            assert "snapshot" in next(parts)
            web.terminate()
            assert all("snapshot" not in part for part in parts)  # to its end
        said = web.communicate(timeout=30)[1]
        assert web.returncode == 0
        assert "Traceback" not in said
        assert "ERROR" not in said
    finally:
        web.kill()
        web.communicate()
