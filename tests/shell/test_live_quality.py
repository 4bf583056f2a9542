"""The API's answer to whether the facts behind the live figures can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stream.core.calendar import rfc3339
from stream.core.events import decode_positions
from stream.core.facts import SECOND, Allocation, StateReport
from stream.core.heard_frames import HeardFrame, HeardSpan
from stream.core.policy import Policies, limits
from stream.core.quality.heard import heard_rows
from stream.settings import Settings
from stream.store.device_days import examine_due
from stream.store.doubts import judge_due
from stream.store.losses import record
from stream.store.pool import Pool
from stream.store.schema import connect
from stream.topics import NoLongerHeld
from stream.web.live.pulse import Pulse
from stream.web.live.quality import HeardJson, LiveQuality, QualityJson
from tests.shell.town import MINUTE, NOON, SPOTS, Town, duty
from tests.strategies import fix_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 60 * MINUTE


@pytest.fixture
def town(database: str) -> Iterator[Town]:
    """Two officers from noon on, both where they belong, for an hour."""
    made = Town(database).begin(
        duty("O1", "N1", NOON, NOON + 8 * HOUR), duty("O2", "N2", NOON, NOON + 8 * HOUR)
    )
    made.put(R1="west", R2="east")
    made.go(60, 60)
    with contextlib.closing(made):
        yield made


def asked(town: Town) -> QualityJson:
    """The answer now."""

    async def ask() -> QualityJson:
        settings = Settings(database=town.dsn)
        pool = Pool(settings)
        pulse = Pulse(settings, pool, lambda: town.now)
        try:
            return await LiveQuality(pulse).now()
        finally:
            await pulse.close()
            pool.close()

    return asyncio.run(ask())


def test_a_clean_town_has_nothing_to_say(town: Town) -> None:
    """Where every device of every duty is heard among the areas, nothing is found."""
    said = asked(town)
    assert (said.findings, said.warnings) == ([], [])
    assert said.text == "Nothing contradicts the facts behind the figures."


def test_what_was_never_counted_is_told_with_its_hours(town: Town) -> None:
    """What Kafka deleted uncounted comes first, by topic, partitions and hours."""
    topic = "force.patrol.fixes"
    found = [
        NoLongerHeld(topic, number, "one", 100, 150, NOON - HOUR, NOON - 5 * MINUTE) for number in (0, 3)
    ]
    with connect(town.dsn) as connection:
        record(connection, found)
        record(connection, [replace(found[0], first=120), replace(found[1], topic="later", sent_before=None)])
    said = asked(town)
    assert said.text == "Part of what was sent was never counted, and is in no figure."
    rest = "were deleted from Kafka before they were counted: figures of that time lack what they told."
    assert said.warnings == [
        f"50 messages of later (partition 3), sent after 2026-11-16 11:00, {rest}",
        f"100 messages of {topic} (partitions 0 and 3), sent between 2026-11-16 11:00 and 11:55, {rest}",
    ]
    assert [(item.topic, item.partition, item.messages) for item in said.no_longer_held] == [
        ("later", 3, 50),
        (topic, 0, 50),
        (topic, 3, 50),
    ]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("near", ("device", "0077", "near_id")),
        ("two ids", ("device", "r1", "two_ids")),
        ("silent", ("duty", "D-O9", "never_heard")),
        ("other times", ("duty", "D-O9", "never_heard")),
        ("patch", ("patch", "N7", "unknown_patch")),
        ("open", ("duty", "D-O9", "open_duty")),
        ("twice", ("officer", "O1", "overlapping_duties")),
        ("spare", ("device", "SPARE", "not_booked")),
        ("swapped", ("device", "R9", "swapped_coordinates")),
        ("code", ("officer", "O1", "unknown_state")),
        ("codes", ("officer", "O2", "two_states")),
        ("officer", ("officer", "O1.0", "near_id")),
        ("state", ("officer", "O8", "state_without_duty")),
        ("far", ("device", "R9", "far_from_force")),
        ("jumps", ("device", "R2", "jump")),
    ],
)
def test_a_fault_is_told_by_name(town: Town, kind: str, wanted: tuple[str, str, str]) -> None:
    """Each kind of fault put into a clean town is found under its name, and said in words."""
    more = duty("O9", "N1", NOON, NOON + 8 * HOUR)
    lon, lat = SPOTS["west"]
    match kind:
        case "near":
            town.book(replace(more, devices=(Allocation("0077", "radio"),)))
            town.ledger.positions(fix_columns([("77", town.now - MINUTE, lon, lat, None)]))
        case "two ids":
            town.book(replace(more, devices=(Allocation("r1", "radio"),)))
            town.ledger.positions(fix_columns([("r1", town.now - MINUTE, lon, lat, None)]))
        case "silent":
            town.book(more)
        case "other times":
            town.book(more)
            town.ledger.positions(fix_columns([("R9", NOON - MINUTE, lon, lat, None)]))
        case "patch":
            town.book(replace(more, patch=("N7",), devices=(Allocation("R1", "radio"),)))
        case "open":
            town.book(replace(more, start=NOON - 20 * HOUR, end=None))
        case "twice":
            town.book(replace(more, officer_id="O1", devices=(Allocation("R1", "radio"),)))
        case "spare":
            town.ledger.positions(fix_columns([("SPARE", town.now - MINUTE, lon, lat, None)]))
        case "swapped":
            town.book(more)
            town.ledger.positions(fix_columns([("R9", town.now - MINUTE, lat, lon, None)]))
        case "code":
            town.ledger.bookings((), [StateReport("O1", town.now - MINUTE, 40)])
        case "codes":
            both = [
                StateReport("O2", town.now - ago * MINUTE, code) for ago in range(1, 6) for code in (4, 6)
            ]
            town.ledger.bookings((), both)
        case "officer":
            town.book(replace(more, officer_id="O1.0", devices=(Allocation("R1", "radio"),)))
        case "far":
            town.book(more)
            town.ledger.positions(fix_columns([("R9", town.now - MINUTE, lon + 2, lat, None)]))
        case "jumps":
            east = SPOTS["east"]
            away = [
                ("R2", town.now + at * SECOND, *(east if at % 2 else (lon, 53.5)), None) for at in range(900)
            ]
            town.ledger.positions(fix_columns(away))
        case _:
            town.ledger.bookings((), [StateReport("O8", town.now - MINUTE, 4)])
    examine_due(town.connection)
    said = asked(town)
    found = {(row.scope, row.id, row.finding): row for row in said.findings}
    assert wanted in found
    # The figures that it concerns: those of the patches of the duties that it is about.
    whose = {"spare": [], "patch": ["N7"], "state": [], "codes": ["N2"], "jumps": ["N2"]}.get(kind, ["N1"])
    assert found[wanted].neighbourhoods == whose
    # A spare car that nobody booked is listed, and is no mistake.
    assert any(wanted[1] in line for line in said.warnings) == (kind != "spare")
    assert "quality.csv" not in " ".join(said.warnings)
    assert said.text.startswith("Part of the facts behind the figures cannot be right: ") == (kind != "spare")


def hear(town: Town, device_id: str, *, late_s: float = 2.0, count: int = 20, **changes: object) -> None:
    """Reports of a device, a minute apart until now, are judged and counted as ingest and worker do it."""
    received = [town.now - at * MINUTE for at in range(count)]
    values = [
        json.dumps(
            {"device_id": device_id, "time": rfc3339(at - round(late_s * SECOND)), "lon": -1.1, "lat": 52.6}
            | changes
        ).encode()
        for at in received
    ]
    decoded = decode_positions(values, np.array(received, np.int64), limits=limits(Policies()))
    start = town.offset
    town.offset += count
    span = HeardSpan("radio.positions", 0, "one life", start, town.offset, len(decoded.judged))
    town.ledger.heard([HeardFrame((span,), start + decoded.judged_index, heard_rows(decoded.judged))])


def told(said: QualityJson) -> set[tuple[str, str, int, str]]:
    """The findings that come from what was heard."""
    return {
        (row.id, row.finding, row.count, row.detail)
        for row in said.findings
        if row.finding in {"rejected", "clock_offset", "none_usable", "never_heard"} and row.scope == "device"
    }


def test_what_was_heard_is_told_in_numbers(town: Town) -> None:
    """Reports, rejects by reason and delays of all devices are told, also where nothing is wrong."""
    hear(town, "R1", count=30)
    hear(town, "R2", count=10, late_s=50)
    hear(town, "SPARE", count=1, lon=0, lat=0)
    said = asked(town)
    assert said.heard == HeardJson(41, {"zero_position": 1}, 2, 50)
    assert said.findings == []


@pytest.mark.parametrize(
    "changes", [{}, {"time": "2019-04-07T00:00:00Z"}, {"time": "2080-01-06T00:00:00Z"}], ids=str
)
def test_a_device_of_which_nothing_could_be_used_was_heard(town: Town, changes: dict[str, Any]) -> None:
    """A booked device with rejects alone is told as such, with the reasons, and not as never heard.

    So is one whose receiver has no date as long as it has no position: it is heard today.
    """
    town.book(duty("O9", "N1", NOON, NOON + 8 * HOUR))
    hear(town, "R9", lon=0, lat=0, **changes)
    said = asked(town)
    assert {row for row in told(said) if row[1] != "clock_offset"} == {
        ("R9", "none_usable", 20, "20 zero_position")
    }
    assert any("'R9' was heard 20 times, and nothing of it could be used" in line for line in said.warnings)


@pytest.mark.parametrize(("hours", "words"), [(1, "1 hour behind"), (-1, "1 hour ahead")])
def test_a_wrong_clock_is_told_live(town: Town, hours: int, words: str) -> None:
    """A booked device whose clock is an hour off is named with how far; a spare one is not."""
    hear(town, "R1", late_s=3600 * hours)
    hear(town, "SPARE", late_s=3600 * hours)
    said = asked(town)
    wanted = {("R1", "clock_offset", 20, words)}
    if hours < 0:  # ahead of its receipt, a report cannot be used
        wanted |= {("R1", "rejected", 20, "in_future")}
    assert told(said) == wanted
    assert any(f"the clock is {words}" in line for line in said.warnings)


def test_few_rejects_are_only_counted(town: Town) -> None:
    """Every tracker errs now and then: a device is named only where a tenth of its reports were faulty.

    One that says that it has no position, in words or by 0, 0, as in a station, is not faulty.
    """
    hear(town, "R1", count=2000)
    hear(town, "R1", count=15, lon=0, lat=95)
    hear(town, "R3", count=50)
    hear(town, "R3", count=15, lon=0, lat=0)
    assert asked(town).findings == []
    hear(town, "R2", count=50)
    hear(town, "R2", count=15, lon=0, lat=95)
    assert told(asked(town)) == {("R2", "rejected", 15, "out_of_range")}


def test_a_device_heard_yesterday_and_silent_since_is_never_heard(town: Town) -> None:
    """Usable reports of before say nothing of a duty's own time: the device is silent, and not unusable."""
    town.book(duty("O9", "N1", NOON, NOON + 8 * HOUR))
    hear(town, "R9")
    names = {(row.id, row.finding) for row in asked(town).findings}
    assert ("R9", "never_heard") in names
    assert ("R9", "none_usable") not in names


def test_a_duty_that_has_just_begun_is_not_missed(town: Town) -> None:
    """A duty of a few minutes, and radios of officers who have gone home, are no faults yet."""
    town.book(duty("O9", "N1", town.now - 5 * MINUTE, None))
    town.book(replace(duty("O2", "N2", NOON, NOON + 30 * MINUTE), revision=2))
    assert asked(town).findings == []


def test_the_answer_is_kept_for_a_while(town: Town) -> None:
    """However many ask, the database is asked once in a while."""

    async def ask() -> tuple[QualityJson, QualityJson]:
        settings = Settings(database=town.dsn)
        pool = Pool(settings)
        pulse = Pulse(settings, pool, lambda: town.now)
        quality = LiveQuality(pulse)
        try:
            first = await quality.now()
            town.ledger.positions(fix_columns([("SPARE", town.now - SECOND, *SPOTS["west"], None)]))
            return first, await quality.now()
        finally:
            await pulse.close()
            pool.close()

    first, second = asyncio.run(ask())
    assert first is second


def test_a_device_frozen_beside_another_is_told_once_it_is_judged(town: Town) -> None:
    """A radio that repeats one position while its officer's car is elsewhere is named with the car."""
    town.book(duty("O9", "N1", town.now, town.now + 8 * HOUR, Allocation("V9", "vehicle")))
    town.put(R9="west", V9="east")
    town.go(45, 60)
    assert asked(town).findings == []
    judge_due(town.connection)
    said = asked(town)
    found = {(row.id, row.finding, row.detail): row.neighbourhoods for row in said.findings}
    assert found["R9", "frozen_beside", "V9"] == ["N1"]
    assert any("device 'V9' of the same officer is elsewhere" in line for line in said.warnings)
