"""Facts that contradict each other, as messages, and what must become of them: for tests of the whole."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from geo.areas import AreaSet
from stream import topics
from stream.core.calendar import microseconds, rfc3339
from stream.core.facts import SECOND
from stream.core.quality.devices import KINDS
from stream.core.quality.findings import DEVICE
from stream.store.policies import in_force
from stream.store.reading.device_days import day_totals, devices_seen
from tests.doubtful_worlds import FAULTS, HOUR, OPENING, TOWN, Report, doubtful_world
from tests.shell.pipeline import Facts, Message, write_areas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stream.core.facts import Duty
    from tests.shell.pipeline import Pipeline

SEEDS = (5, 6, 9, 12)
"""Worlds that have doubts of all kinds together."""

TAKEN_BACK = 6
"""The world in which the booking of a shared radio is cancelled in the end."""

UNTIL = OPENING + 4 * HOUR
"""When bookings are corrected for the last time."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """Facts that contradict each other.

    Attributes:
        facts: what is sent.
        unusable: the messages among them that must be rejected, each with its reason.
    """

    facts: Facts
    unusable: Mapping[bytes, str]


def doubted_facts(folder: Path, seed: int = 1) -> Doubted:
    """Sixteen officers in a town, with doubts of all kinds, legs that nobody drove, and unusable messages."""
    chance = Random(seed)
    messages: list[Message] = []
    unusable: dict[bytes, str] = {}
    for number in SEEDS:
        world = doubtful_world(number, frozenset(FAULTS))
        messages += [_booking(duty, number) for duty in world.booked]
        messages += [
            _message(
                topics.DUTY_STATES,
                {"officer_id": f"{number}{item.officer_id}", "time": rfc3339(item.time), "state": item.state},
                item.time,
            )
            for item in world.keyed
        ]
        reports = _far_away(list(world.reports), chance)
        messages += [_position(item, number) for item in reports]
        messages += _corrections(world.booked, number)
        for item in chance.sample(reports, 60):
            wrong, reason = _unusable(_position(item, number), chance)
            unusable[wrong.value] = reason
            messages.append(wrong)
    return Doubted(Facts(write_areas(AreaSet.of(TOWN), folder), tuple(messages), UNTIL), unusable)


def _message(topic: str, value: dict[str, Any], stamp: int, key: str = "") -> Message:
    return Message(topic, json.dumps(value).encode(), stamp, key.encode())


def _booking(duty: Duty, number: int) -> Message:
    held = [
        {
            "device_id": f"{number}{item.device_id}",
            "kind": item.kind,
            **({} if item.start is None else {"start": rfc3339(item.start)}),
            **({} if item.end is None else {"end": rfc3339(item.end)}),
        }
        for item in duty.devices
    ]
    value = {
        "duty_id": f"{number}{duty.duty_id}",
        "revision": duty.revision,
        "officer_id": f"{number}{duty.officer_id}",
        "patch": duty.patch,
        "start": rfc3339(duty.start),
        "end": None if duty.end is None else rfc3339(duty.end),
        "cancelled": duty.cancelled,
        "devices": held,
    }
    return _message(topics.DUTY_BOOKINGS, value, duty.start)


def _corrections(booked: Sequence[Duty], number: int) -> list[Message]:
    """Bookings revised when all is over: one takes a radio back, and with it a doubt of another duty."""
    duties = {duty.duty_id: duty for duty in booked}
    first = duties["D1"]
    revised = [replace(first, revision=7, end=OPENING + 2 * HOUR, patch=("B",))]
    if "D4" in duties:
        revised.append(replace(duties["D4"], revision=7, cancelled=number == TAKEN_BACK))
    return [replace(_booking(duty, number), stamp=UNTIL) for duty in revised]


def _position(item: Report, number: int) -> Message:
    value = {
        "device_id": f"{number}{item.device_id}",
        "time": rfc3339(item.time),
        "lon": item.lon,
        "lat": item.lat,
        "error_m": item.error_m,
        "speed_mps": item.speed_mps,
    }
    topic = topics.VEHICLE_POSITIONS if item.device_id.startswith("V") else topics.RADIO_POSITIONS
    return _message(topic, value, item.time + SECOND, item.device_id)


def _far_away(reports: list[Report], chance: Random) -> list[Report]:
    """The reports with some of each device, one or several in a row, with the sign of the longitude lost."""
    reports.sort(key=lambda item: (item.device_id, item.time))
    for _ in range(12):
        first, count = chance.randrange(len(reports)), chance.choice([1, 1, 2, 4])
        for at in range(first, min(first + count, len(reports))):
            reports[at] = reports[at]._replace(lon=-reports[at].lon)
    return reports


def _unusable(message: Message, chance: Random) -> tuple[Message, str]:
    """A message beside a usable one, a little later, that must be rejected, and the reason."""
    value = json.loads(message.value)
    stamp = message.stamp + chance.randrange(SECOND)
    value["time"] = rfc3339(stamp)
    value["lon"] += chance.uniform(-1e-3, 1e-3)  # so that no two are the same
    changes: dict[str, dict[str, Any]] = {
        "not_a_fix": {"valid": False, "outdated": True},
        "out_of_range": {"lat": 95.0},
        "zero_position": {"lon": 0.0, "lat": 0.0},
        "error_too_large": {"error_m": 500.0},
        "in_future": {"time": rfc3339(stamp + HOUR), "received": rfc3339(stamp)},
        "bad_value": {"time": stamp // SECOND},
        "missing_field": {"lat": None},
    }
    reason = chance.choice([*changes, "not_json"])
    wrong = json.dumps({**value, **changes.get(reason, {})}).encode()
    return replace(message, value=wrong[:-1] if reason == "not_json" else wrong, stamp=stamp), reason


def await_judged(pipeline: Pipeline) -> None:
    """Waits until everything sent is counted, and the worker has judged all doubts by itself."""
    pipeline.settle()
    pipeline.wait(lambda: not pipeline.ask("select count(*) from doubt_due"), "all doubts are judged")


def assert_doubts(pipeline: Pipeline, wanted: Mapping[str, bytes]) -> None:
    """What the worker judged is what files say, by kind and in the figures that SQL gives."""
    rows = pipeline.connection.execute(
        "select officer_id, duty_id, start_at, end_at, kind, device_id, other_id from doubts"
    ).fetchall()
    found = [[_text(value) for value in row] for row in rows]
    told = list(csv.reader(wanted["doubts.csv"].decode().splitlines()))[1:]
    assert {row[4] for row in told} == set(KINDS), "the facts have doubts of all kinds"
    assert sorted(found) == sorted(told)
    for row in csv.DictReader(wanted["shares.csv"].decode().splitlines()):
        [(low, high, verdict, doubtful)] = pipeline.connection.execute(
            "select share_low, share_high, verdict, doubtful_s "
            "from shares(%s::timestamptz, %s::timestamptz) where scope = %s and id = %s",
            [row["from"], row["to"], row["scope"], row["id"]],
        ).fetchall()
        assert (_part(low), _part(high), verdict or "") == (
            row["share_low"],
            row["share_high"],
            row["verdict"],
        )
        assert f"{float(str(doubtful)):.6f}" == row["doubtful_s"]


EXACT = ("positions", "interval_median", "interval_p95", "silent", "jump", "decided", "far_from_force")
"""What is told of devices by day whatever came twice."""


def assert_device_days(pipeline: Pipeline, folder: Path, until: int = UNTIL) -> None:
    """By device and day the worker keeps what ``quality.csv`` in a folder says of the same facts."""
    connection = pipeline.connection
    pipeline.wait(lambda: not day_totals(connection, until)[-1], "all days of devices are looked at")
    with (folder / "quality.csv").open(encoding="utf-8", newline="") as file:
        told = [
            tuple(row.values())
            for row in csv.DictReader(file)
            if row["scope"] == DEVICE and row["finding"] in EXACT
        ]
    days = sorted({row[2] for row in told})
    assert days
    found = [
        (row.scope, row.id, row.day, row.finding, str(row.count), _seconds(row.us), row.detail)
        for day in range(*(number_of(name) + more for name, more in ((days[0], -1), (days[-1], 2))))
        for row in devices_seen(connection, day, until, in_force(connection)).findings.rows(*EXACT)
    ]
    assert sorted(found) == sorted(told)


def number_of(day: str) -> int:
    """Days since 1970-01-01."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def _seconds(us: int | None) -> str:
    return "" if us is None else f"{us / SECOND:.6f}"


def _text(value: object) -> str:
    return rfc3339(microseconds(value.astimezone(UTC))) if isinstance(value, datetime) else str(value)


def _part(value: object) -> str:
    return "" if value is None else f"{float(str(value)):.9f}"


def assert_letters(pipeline: Pipeline, sent: Sequence[Message], unusable: Mapping[bytes, str]) -> None:
    """Each unusable message that was sent is a dead letter with its reason, and nothing else is.

    A message that is judged again after a kill may be there again: letters of one origin count once.
    """
    wanted = Counter(
        (message.value, unusable[message.value]) for message in sent if message.value in unusable
    )
    records = pipeline.records(topics.DEAD_LETTERS)
    found: dict[tuple[bytes, ...], tuple[bytes, str]] = {}

    def there() -> bool:
        for record in next(records):
            headers = dict(record.headers)
            origin = (headers["topic"], headers["partition"], headers["offset"])
            found[origin] = (record.value, headers["reason"].decode())
        return len(found) >= wanted.total()

    pipeline.wait(there, f"{wanted.total()} dead letters")
    assert Counter(found.values()) == wanted
