"""Facts as trackers, rosters and senders get them wrong, through Kafka: each is told, none is believed.

Each case is a duty of eight hours in a neighbourhood of its own with one thing wrong, sent as raw messages.
All are counted by one pipeline, on one day: the right answer of a case is a figure of its neighbourhood.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from psycopg.rows import dict_row

from geo.areas import Area, AreaSet, Kind
from stream import topics
from stream.cli import patrol
from stream.core.calendar import parse_time, rfc3339
from stream.core.facts import SECOND
from stream.files.tracks import read_rows
from stream.store.doubts import judge_due
from stream.web import create_app
from tests.shell.pipeline import (
    Facts,
    Message,
    Pipeline,
    assert_same,
    invoke,
    offline,
    write_areas,
)
from tests.shell.stored import database_called

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stream.embedded import EmbeddedBroker, EmbeddedDatabase
    from tests.shell.kafka import RealKafka

Event = dict[str, Any]

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
START = parse_time("2026-01-26T08:00:00Z")
END = START + 8 * HOUR
LATE = END - MINUTE
"""When the live figures are read: a minute before the duties end."""
WEST, SOUTH = -1.2, 52.6


def text(minute: float) -> str:
    """The time so many minutes after the start of the duties."""
    return rfc3339(START + round(minute * MINUTE))


@dataclass(frozen=True, slots=True)
class Right:
    """The right answer of a case; seconds over eight hours.

    Attributes:
        share, low, high, verdict: without a share, nothing is known and so neither met nor missed.
        rejected: dead letters by reason.
    """

    share: float | None
    low: float | None
    high: float | None
    verdict: str
    duty_s: float = 28_800
    unknown_s: float = 0
    off_patch_s: float = 0
    break_s: float = 0
    doubtful_s: float = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


ALL = Right(1.0, 1.0, 1.0, "met")
NOTHING = Right(None, None, None, "", unknown_s=28_800)


@dataclass(slots=True)
class Case:
    """The facts of a case.

    Attributes:
        name: the id of its neighbourhood; its devices, officers and duties are named after it.
        right: the right answer.
        messages: what is sent.
        table: bookings or states as a CSV file, which `patrol replay` sends, with their topic.
    """

    name: str
    right: Right
    messages: list[Message] = field(default_factory=list)
    table: tuple[str, str] | None = None

    @property
    def lat(self) -> float:
        """The latitude of its neighbourhood's middle."""
        return SOUTH + 0.04 * NAMES.index(self.name) + 0.015

    @property
    def area(self) -> Area:
        """Its neighbourhood."""
        box = shapely.box(WEST, self.lat - 0.015, WEST + 0.04, self.lat + 0.015)
        return Area(Kind.NEIGHBOURHOOD, self.name, f"Ward {self.name}", box)

    @property
    def device(self) -> str:
        """The radio of its first officer."""
        return f"M{self.name}"

    def send(self, topic: str, value: Event, minute: int) -> None:
        """A message that is received so many minutes after the start."""
        self.messages.append(
            Message(topic, json.dumps(value).encode(), START + minute * MINUTE, self.name.encode())
        )

    def book(self, number: int = 1, **changes: Any) -> None:
        """A duty of eight hours with the case's radio, with something about it changed."""
        duty = {
            "duty_id": f"D{self.name}-{number}",
            "revision": 1,
            "officer_id": f"O{self.name}-{number}",
            "patch": [self.name],
            "start": text(0),
            "end": text(480),
            "devices": [{"device_id": self.device, "kind": "radio"}],
        }
        self.send(topics.DUTY_BOOKINGS, {**duty, **changes}, -60)

    def report(self, minute: int, **changes: Any) -> None:
        """A position of the case's radio in the middle of its neighbourhood, with something changed."""
        said = {"device_id": self.device, "time": text(minute), "lon": -1.18, "lat": self.lat}
        self.send(topics.RADIO_POSITIONS, {**said, **changes}, minute)

    def beat(self, **changes: Any) -> None:
        """A position a minute from start to end."""
        for minute in range(481):
            self.report(minute, **changes)


NAMES = ("03", "04", "10", "10b", "12", "14", "14b", "17", "20", "32", "38", "39", "46", "46b")


def frozen() -> Case:
    """A receiver that moves for an hour, and repeats its last position for seven while its car drives."""
    case = Case("03", Right(1.0, 0.125, 1.0, "not proven", doubtful_s=25_200))
    case.book()
    chance = np.random.default_rng(3)
    for minute in range(481):
        if minute < 60:
            lon, lat = (float(near) for near in chance.normal((-1.18, case.lat), 1e-4))
            case.report(minute, lon=lon, lat=lat, error_m=6)
        else:
            case.report(minute, lon=-1.1801234, lat=case.lat + 0.0001234, error_m=6, speed_mps=8.3)
    return case


def traccar_invalid() -> Case:
    """Traccar forwards an hour of positions, then seven of its last one, not valid and outdated."""
    unknown = Right(0.125, 0.125, 1.0, "not proven", unknown_s=25_200, rejected={"not_a_fix": 420})
    case = Case("04", unknown)
    case.book()
    for minute in range(481):
        position = {
            "id": 1,
            "attributes": {"sat": 9 if minute <= 60 else 0},
            "serverTime": text(minute),
            "deviceTime": text(minute),
            "fixTime": text(minute),
            "outdated": minute > 60,
            "valid": minute <= 60,
            "latitude": case.lat,
            "longitude": -1.18,
            "speed": 0.0,
            "course": 0.0,
            "accuracy": 0.0,
        }
        body = {"position": position, "device": {"id": 7, "uniqueId": case.device, "status": "online"}}
        case.send(topics.VEHICLE_POSITIONS, body, minute)
    return case


def at_the_edge(name: str, **said: Any) -> Case:
    """An officer 1.4 m from the edge of the patch all day."""
    case = Case(name, Right(1.0, 0.0, 1.0, "not proven"))
    case.book()
    case.beat(lon=WEST + 0.04 - 0.00002, **said)
    return case


def clock_an_hour_slow() -> Case:
    """A device that stamps everything an hour early, so that its last hour is not there."""
    case = Case("12", Right(0.875, 0.875, 1.0, "met", unknown_s=3600))
    case.book()
    for minute in range(481):
        case.report(minute, time=text(minute - 60), received=text(minute))
    return case


def positions_in_seconds() -> Case:
    """Positions with Unix seconds where milliseconds are wanted."""
    case = Case("14", replace(NOTHING, rejected={"bad_value": 481}))
    case.book()
    for minute in range(481):
        case.report(minute, time=START // SECOND + 60 * minute)
    return case


def bookings_in_seconds() -> Case:
    """A duty and a state in Unix seconds, beside a duty that is right."""
    case = Case("14b", replace(ALL, rejected={"bad_value": 2}))
    case.book()
    begin = START // SECOND
    case.book(2, start=begin, end=begin + 28_800)
    state = {"officer_id": "O14b-1", "time": begin + 3600, "state": 4}
    case.send(topics.DUTY_STATES, state, 60)
    case.beat()
    return case


IDS = {"0012345": "12345", "FX12ABC": "fx12abc ", "R3": " R3"}
"""Devices as they are booked, and as they report."""


def ids_nearly_the_same() -> Case:
    """Three duties whose devices report under ids that are only nearly the same."""
    case = Case("17", replace(NOTHING, duty_s=3 * 28_800, unknown_s=3 * 28_800))
    for number, (booked, heard) in enumerate(IDS.items(), 1):
        kind = "vehicle" if booked.startswith("FX") else "radio"
        case.book(number, devices=[{"device_id": booked, "kind": kind}])
        case.beat(device_id=heard)
    return case


def radio_shared_by_two() -> Case:
    """One radio booked to two officers, the second of whom has six hours."""
    case = Case("20", Right(1.0, 2 / 14, 1.0, "not proven", duty_s=14 * 3600, doubtful_s=12 * 3600))
    case.book()
    case.book(2, start=text(120))
    case.beat()
    return case


def swapped() -> Case:
    """Longitude and latitude exchanged by the sender; of one officer among others that changes no figure."""
    case = Case("32", Right(0.0, 0.0, 0.0, "missed", off_patch_s=28_800))
    case.book()
    case.beat(lon=case.lat, lat=-1.18)
    return case


def states_as_keyed() -> Case:
    """States as people key them: 04 and 4.0 are 4; a word, 256 and an empty cell are none."""
    rejected = {"bad_value": 2, "missing_field": 1}
    case = Case("38", replace(ALL, duty_s=25_200, break_s=3600, rejected=rejected))
    case.book()
    case.beat()
    keyed = ((60, "04"), (90, "2"), (120, "4.0"), (150, "2"), (180, "REFS"), (190, "256"), (200, ""))
    rows = "".join(f"O38-1,{text(minute)},{code}\n" for minute, code in keyed)
    case.table = (topics.DUTY_STATES, f"officer_id,time,state\n{rows}9999,{text(210)},4\n")
    return case


def bookings_as_a_table() -> Case:
    """A booking as a row of a CSV file."""
    case = Case("39", ALL)
    case.beat()
    header = "duty_id,revision,officer_id,start,end,patch,device_id"
    row = f"D39-1,1,O39-1,{text(0)},{text(480)},39,{case.device}"
    case.table = (topics.DUTY_BOOKINGS, f"{header}\n{row}\n")
    return case


def lost_signs(name: str, count: int, right: Right) -> Case:
    """So many reports in a row with the sign of the longitude lost, 160 km to the east."""
    case = Case(name, right)
    case.book()
    for minute in range(481):
        case.report(minute, lon=1.18 if 100 <= minute < 100 + count else -1.18)
    return case


def cases() -> dict[str, Case]:
    """All cases by name."""
    five = Right(28_440 / 28_800, 28_440 / 28_800, 1.0, "met", unknown_s=360)
    made = [
        frozen(),
        traccar_invalid(),
        at_the_edge("10"),
        at_the_edge("10b", error_m=0),
        clock_an_hour_slow(),
        positions_in_seconds(),
        bookings_in_seconds(),
        ids_nearly_the_same(),
        radio_shared_by_two(),
        swapped(),
        states_as_keyed(),
        bookings_as_a_table(),
        lost_signs("46", 1, ALL),
        lost_signs("46b", 5, five),
    ]
    return {case.name: case for case in made}


# ── All cases through one pipeline ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Told:
    """What the pipeline makes of the cases.

    Attributes:
        cases: by name.
        facts: all that was sent.
        tables: what `patrol export` writes.
        sql: the rows of ``shares()`` by neighbourhood, over the whole duties.
        sql_late: the same up to ``LATE``.
        published: the newest events of visibility.shares by neighbourhood, at ``LATE``.
        live: the neighbourhoods of ``/api/v1/live`` then.
        findings: (scope, id, finding) of ``/api/v1/quality`` then, with the detail of each.
        warnings: the sentences of it.
        doubts: rows of the view ``doubts``: duty, kind, device, other, start, end.
        letters: reason and detail of each dead letter, by its value.
        explained: what `patrol explain` says of each neighbourhood.
    """

    cases: Mapping[str, Case]
    facts: Facts
    tables: Mapping[str, bytes]
    sql: Mapping[str, Event]
    sql_late: Mapping[str, Event]
    published: Mapping[str, Event]
    live: Mapping[str, Event]
    findings: Mapping[tuple[str, str, str], str]
    warnings: Sequence[str]
    doubts: Sequence[tuple[object, ...]]
    letters: Mapping[bytes, tuple[str, str]]
    explained: Mapping[str, str]


def counted(bootstrap: str, dsn: str, folder: Path, chosen: Mapping[str, Case]) -> Told:
    """Sends cases through ingest and worker, in any order, and asks in all ways what came of them."""
    chance = random.Random(12)
    messages = [message for case in chosen.values() for message in case.messages]
    chance.shuffle(messages)
    files = {name: folder / f"{name}.csv" for name, case in chosen.items() if case.table is not None}
    with Pipeline(bootstrap, dsn, folder / "pipeline", doubt_s=0.2) as pipeline:
        variables = {**pipeline.environment, "PATROL_CLOCK": "events"}
        areas = write_areas(AreaSet.of(case.area for case in chosen.values()), folder)
        pipeline.load_areas(Facts(areas, (), END))
        for name, path in files.items():
            topic, table = chosen[name].table or ("", "")
            path.write_text(table)
            made = [Message(topic, value, START) for part in read_rows(path) for value in part.value]
            invoke(["replay", str(path), "--topic", topic, "--speed", "0"], variables)
            pipeline.sent += len(made)
            chosen[name].messages += made
        last = [message for message in messages if message.stamp >= END]
        pipeline.send([message for message in messages if message.stamp < END], portions=3)
        pipeline.settle()
        pipeline.wait(lambda: not pipeline.ask("select count(*) from doubt_due"), "doubts are judged")
        sql_late = shares(pipeline, LATE)
        published = newest_figures(pipeline, sql_late)
        live, quality = asked(pipeline)
        pipeline.send(last)
        pipeline.settle()
        tables = pipeline.export(END)
        judge_due(pipeline.connection)
        expected = sum(sum(case.right.rejected.values()) for case in chosen.values())
        records = pipeline.records(topics.DEAD_LETTERS)
        pipeline.wait(lambda: len(next(records)) >= expected, "all dead letters")
        letters = {}
        for record in next(records):
            headers = {name: value.decode() for name, value in record.headers}
            letters[record.value] = (headers["reason"], headers["detail"])
        doubts = pipeline.connection.execute(
            "select duty_id, kind, device_id, other_id, start_at, end_at from doubts order by 1, 2"
        ).fetchall()
        day = ["--from", rfc3339(START), "--to", rfc3339(END)]
        explained = {
            name: invoke(["explain", "--neighbourhood", name, *day, "--until", rfc3339(END)], variables)
            for name in chosen
        }
        return Told(
            chosen,
            Facts(areas, tuple(message for case in chosen.values() for message in case.messages), END),
            tables,
            shares(pipeline, END),
            sql_late,
            published,
            {item["id"]: item for item in live["neighbourhoods"]},
            {(row["scope"], row["id"], row["finding"]): row["detail"] for row in quality["findings"]},
            quality["warnings"],
            doubts,
            letters,
            explained,
        )


def shares(pipeline: Pipeline, until: int) -> dict[str, Event]:
    """The neighbourhoods' figures from the start of the duties, as SQL gives them."""
    rows = (
        pipeline.connection.cursor(row_factory=dict_row)
        .execute("select * from shares(from_us(%s), from_us(%s))", [START, until])
        .fetchall()
    )
    return {str(row["id"]): row for row in rows if row["scope"] == "neighbourhood"}


def asked(pipeline: Pipeline) -> tuple[Event, Event]:
    """What ``/api/v1/live`` and ``/api/v1/quality`` answer."""
    app = create_app(pipeline.settings)

    async def ask() -> tuple[Event, Event]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            live, quality = await client.get("/api/v1/live"), await client.get("/api/v1/quality")
        return live.json(), quality.json()

    return asyncio.run(ask())


def newest_figures(pipeline: Pipeline, wanted: Mapping[str, Event]) -> dict[str, Event]:
    """The newest event of each neighbourhood, when all are of ``LATE`` and have the doubts in them."""
    newest: dict[str, Event] = {}
    records = pipeline.records(topics.SHARES)

    def there() -> bool:
        newest.update(
            {record.key.decode().split(":")[-1]: json.loads(record.value) for record in next(records)}
        )
        return all(
            (newest.get(name, {}).get("to"), newest.get(name, {}).get("doubtful_s"))
            == (rfc3339(LATE), float(row["doubtful_s"]))
            for name, row in wanted.items()
        )

    pipeline.wait(there, f"figures up to {rfc3339(LATE)}")
    return newest


@pytest.fixture(scope="module")
def told(
    embedded_broker: EmbeddedBroker,
    database_server: EmbeddedDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Told]:
    """All cases, through the embedded broker."""
    with database_called(database_server, "cases_live") as dsn:
        yield counted(embedded_broker.bootstrap, dsn, tmp_path_factory.mktemp("cases"), cases())


def assert_right(figure: Event, right: Right, where: str) -> None:
    """A figure over the whole duties is the right one."""
    verdict = figure["verdict"] or None
    if right.share is None:
        assert verdict not in ("met", "missed"), f"{where}: nothing matches, and there is a verdict"
    else:
        for name, value in (("share", right.share), ("share_low", right.low), ("share_high", right.high)):
            assert float(figure[name]) == pytest.approx(value, abs=1e-6), f"{where}: {name}"
        assert verdict == right.verdict, f"{where}: verdict"
    for name in ("duty_s", "unknown_s", "off_patch_s", "break_s", "doubtful_s"):
        assert float(figure[name]) == pytest.approx(getattr(right, name), abs=1e-6), f"{where}: {name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_case_gets_its_right_figure(told: Told, name: str) -> None:
    """The exported files, and SQL over the whole duties, give the right answer of the case."""
    right = told.cases[name].right
    rows = csv.DictReader(told.tables["shares.csv"].decode().splitlines())
    [exported] = [row for row in rows if (row["scope"], row["id"]) == ("neighbourhood", name)]
    assert_right(exported, right, "shares.csv")
    assert_right(told.sql[name], right, "shares()")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_live_figures_are_as_honest(told: Told, name: str) -> None:
    """A minute before the end, visibility.shares and /api/v1/live say what SQL says, and the same verdict."""
    right, wanted = told.cases[name].right, told.sql_late[name]
    for where, figure in (("visibility.shares", told.published[name]), ("/api/v1/live", told.live[name])):
        for field_name in ("share", "share_low", "share_high"):
            have, want = figure[field_name], wanted[field_name]
            assert (have is None) == (want is None), f"{where}: {field_name}"
            assert have is None or have == pytest.approx(want, abs=1e-6), f"{where}: {field_name}"
        assert figure["verdict"] == wanted["verdict"], where
        assert figure["doubtful_s"] == pytest.approx(float(wanted["doubtful_s"]), abs=1e-6), where
        if right.share is None:
            assert figure["verdict"] not in ("met", "missed"), where
        else:
            assert figure["verdict"] == right.verdict, where


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_dead_letters_say_why(told: Told, name: str) -> None:
    """Exactly the unusable messages of the case are dead letters, unchanged, each with the right reason."""
    case = told.cases[name]
    mine = [found for value, found in told.letters.items() if value in {item.value for item in case.messages}]
    assert Counter(reason for reason, _ in mine) == Counter(case.right.rejected)
    assert all(detail for _, detail in mine)


@pytest.mark.slow
def test_seconds_are_named_in_the_dead_letters(told: Told) -> None:
    """Positions, a duty and a state in Unix seconds: each letter's detail says so, and what they mean."""
    named = [detail for value, (_, detail) in told.letters.items() if b'"M14"' in value]
    assert len(named) == 481
    assert all("looks like Unix seconds (2026-01-26T" in detail for detail in named)
    others = [detail for value, (_, detail) in told.letters.items() if b"O14b" in value]
    assert len(others) == 2
    assert all("looks like Unix seconds (2026-01-26T0" in detail for detail in others)


@pytest.mark.slow
def test_doubts_are_named_with_duties_and_times(told: Told) -> None:
    """The frozen receiver, and the shared radio of both duties with the hours they share; no other doubt."""

    def row(duty: str, kind: str, device: str, other: str, hours: tuple[int, int]) -> tuple[object, ...]:
        return (duty, kind, device, other, *(rfc3339(START + hour * HOUR) for hour in hours))

    found = [(*names, rfc3339(us(start)), rfc3339(us(end))) for *names, start, end in told.doubts]
    assert found == [
        row("D03-1", "frozen", "M03", "", (1, 8)),
        row("D20-1", "shared_radio", "M20", "O20-2", (2, 8)),
        row("D20-2", "shared_radio", "M20", "O20-1", (2, 8)),
    ]


def us(value: object) -> int:
    """A time of the database, in microseconds."""
    return parse_time(str(value).replace(" ", "T"))


@pytest.mark.slow
def test_ids_that_are_nearly_the_same_are_named(told: Told) -> None:
    """Each of the three booked devices is named with the id that was heard, and none is counted."""
    for number, (booked, heard) in enumerate(IDS.items(), 1):
        assert heard in told.findings["device", booked, "near_id"]
        assert ("duty", f"D17-{number}", "never_heard") in told.findings
        assert any(repr(booked) in line and repr(heard) in line for line in told.warnings)


@pytest.mark.slow
def test_exchanged_coordinates_are_named(told: Told) -> None:
    """The device of which longitude and latitude are exchanged is named, and that exchanging would help."""
    assert ("device", "M32", "swapped_coordinates") in told.findings
    assert any("'M32'" in line and "longitude and latitude exchanged" in line for line in told.warnings)


@pytest.mark.slow
def test_a_force_with_exchanged_coordinates_has_no_verdict(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """Where all coordinates are exchanged there is no figure: neither live, nor in files, which say why."""
    case = swapped()
    with Pipeline(embedded_broker.bootstrap, database, tmp_path) as pipeline:
        pipeline.load_areas(Facts(write_areas(AreaSet.of([case.area]), tmp_path), (), END))
        pipeline.send([message for message in case.messages if message.stamp < END])
        pipeline.settle()
        live, quality = asked(pipeline)
        done = CliRunner().invoke(
            patrol, ["export", "--out", str(tmp_path / "out")], env={"PATROL_DATABASE": database}
        )
    assert any("longitude and latitude exchanged" in line for line in quality["warnings"])
    for figure in (live["force"], *live["neighbourhoods"]):
        assert (figure["share"], figure["share_high"], figure["verdict"]) == (None, None, None)
    assert done.exit_code == 1
    assert "no figure and no verdict" in done.output


@pytest.mark.slow
def test_a_state_of_an_officer_without_a_duty_is_named(told: Told) -> None:
    """The officer of whom there is a state and no duty is named."""
    assert ("officer", "9999", "state_without_duty") in told.findings


@pytest.mark.slow
def test_a_clock_an_hour_slow_is_named(told: Told) -> None:
    """The device that stamps everything an hour early is named with the hour."""
    assert "1 hour behind" in told.findings["device", "M12", "clock_offset"]


@pytest.mark.slow
def test_what_nobody_drove_is_named(told: Told) -> None:
    """The explanation names the minutes in which positions were too far apart for anybody to have driven."""
    assert "positions too far apart for anybody to have driven" in told.explained["46b"]


@pytest.mark.slow
def test_the_tables_of_all_cases_are_those_of_files(told: Told, tmp_path: Path) -> None:
    """Wrong facts, too, are counted live as from files, byte for byte."""
    assert_same(dict(told.tables), offline(told.facts, tmp_path))


@pytest.mark.slow
@pytest.mark.kafka
def test_the_same_on_the_real_kafka(real_kafka: RealKafka, database: str, tmp_path: Path) -> None:
    """What Traccar calls invalid, and states as people key them, on Apache Kafka: the same right answers."""
    chosen = {name: case for name, case in cases().items() if name in ("04", "38")}
    found = counted(real_kafka.bootstrap, database, tmp_path, chosen)
    for name in chosen:
        test_each_case_gets_its_right_figure(found, name)
        test_live_figures_are_as_honest(found, name)
        test_dead_letters_say_why(found, name)
