"""The whole pipeline as users run it: what it counts live is what `patrol account` counts from files."""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely

from geo.areas import Kind
from geo.boundaries.reading import read_areas
from stream import topics
from stream.core.calendar import LOCAL, microseconds, parse_time, rfc3339
from stream.core.facts import SECOND
from stream.core.policy import Policies
from stream.embedded import EmbeddedDatabase
from stream.store.reading.live import newest_event
from tests.shell.doubted import (
    assert_device_days,
    assert_doubts,
    assert_letters,
    await_judged,
    doubted_facts,
)
from tests.shell.kafka import RealKafka
from tests.shell.pipeline import (
    COUNTS,
    INGEST,
    TIMERS,
    WORKER,
    Facts,
    Message,
    Pipeline,
    assert_same,
    bootstrap_of,
    both,
    demo_facts,
    either,
    keyed,
    offline,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stream.embedded import EmbeddedBroker

MINUTE = 60 * SECOND


@pytest.fixture
def bootstrap(broker: str, request: pytest.FixtureRequest) -> str:
    """The address of the broker that the test is run on."""
    return bootstrap_of(broker, request)


# ── Live equals offline ───────────────────────────────────────────────────────────────────────────────────

EAST, NORTH = 1.7835, -0.8091
"""Degrees from Liverpool's route 14 to where it crosses twelve wards of Leicester, stops at a police station
and passes priority areas."""


def bus_facts(data: Path) -> Facts:
    """Buses as patrol cars: real tracks and boundaries, invented duties, radios and states."""
    tracks = bus_tracks(data / "liverpool_bus_route14_2026-01-26.csv")
    wards = read_areas(data / "wards_leicestershire.geojson", Kind.NEIGHBOURHOOD)
    messages: list[Message] = []
    for number, (vehicle, track) in enumerate(tracks.items()):
        messages += [_vehicle_fix(vehicle, row, traccar=bool(number % 2)) for row in track]
    names = list(tracks)
    for number, vehicle in enumerate(names):
        track, other = tracks[vehicle], names[(number + 1) % len(names)]
        first, last = _time(track[0]), _time(track[-1])
        crossed = _wards_crossed(wards, track)
        one, two = f"1{number:03}", f"2{number:03}"
        # The first officer's radio is heard for a part of the day, with two silences; else the vehicle helps.
        heard = [row for row in track if first + 20 * MINUTE < _time(row) < last - 15 * MINUTE]
        heard = [row for row in heard if (_time(row) - first) // (7 * MINUTE) % 4 != 2]
        messages += [_radio_fix(f"R{one}", row) for row in heard]
        messages += _bookings(
            {
                "duty_id": f"D-{one}",
                "officer_id": one,
                "patch": crossed[:2],
                "start": rfc3339(first - 5 * MINUTE),
                "end": rfc3339(last + 5 * MINUTE),
                "devices": [
                    {"device_id": f"R{one}", "kind": "radio"},
                    {"device_id": vehicle, "kind": "vehicle"},
                ],
            },
            first - 30 * MINUTE,
            revised=number % 2 == 0,
            cancelled=number == 3,
        )
        # The second one changes the vehicle at half-time and has not booked off; every third has no patch.
        half = (first + last) // 2
        messages += _bookings(
            {
                "duty_id": f"D-{two}",
                "officer_id": two,
                "patch": [] if number % 3 == 2 else crossed[2:3],
                "start": rfc3339(first + 10 * MINUTE),
                "end": None,
                "devices": [
                    {"device_id": vehicle, "kind": "vehicle", "end": rfc3339(half)},
                    {"device_id": other, "kind": "vehicle", "start": rfc3339(half - MINUTE)},
                ],
            },
            first,
        )
        for minutes, officer, state in (
            (25, one, 4),
            (38, one, 2),
            (52, one, 8),
            (60, one, 1),
            (31, two, 10),
            (33, two, 6),
            (75, two, 11),
            (80, two, 1),
        ):
            at = first + minutes * MINUTE
            value = {"officer_id": officer, "time": rfc3339(at), "state": state}
            messages.append(Message(topics.DUTY_STATES, json.dumps(value).encode(), at + 400_000))
    until = max(_time(track[-1]) for track in tracks.values()) + 20 * MINUTE
    areas = (
        (data / "wards_leicestershire.geojson", "neighbourhood"),
        (data / "priority_areas.geojson", "priority"),
        (data / "premises.geojson", "premises"),
    )
    return Facts(areas, tuple(messages), until)


def bus_tracks(path: Path) -> dict[str, list[dict[str, str]]]:
    """Each vehicle's reports in order of time, somewhere else."""
    tracks: dict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            row["longitude"] = f"{float(row['longitude']) + EAST:.6f}"
            row["latitude"] = f"{float(row['latitude']) + NORTH:.6f}"
            tracks[f"V{row['vehicle_id']}"].append(row)
    return {name: sorted(tracks[name], key=_time) for name in sorted(tracks)}


def _time(row: Mapping[str, str]) -> int:
    """The data tell local time."""
    return microseconds(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=LOCAL))


def _wards_crossed(wards: Any, track: list[dict[str, str]]) -> list[str]:
    """Wards by how many reports lie in them."""
    points = shapely.points([[float(row["longitude"]), float(row["latitude"])] for row in track])
    ward = shapely.STRtree(wards.geometry).query(points, predicate="intersects")[1]
    numbers, count = np.unique(ward, return_counts=True)
    return [wards.area_id[number] for number in numbers[np.argsort(-count, kind="stable")].tolist()]


def _vehicle_fix(vehicle: str, row: Mapping[str, str], *, traccar: bool) -> Message:
    at, bearing = _time(row), float(row["bearing"]) if row["bearing"] else None
    value: dict[str, Any]
    if traccar:
        position = {
            "fixTime": rfc3339(at),
            "longitude": float(row["longitude"]),
            "latitude": float(row["latitude"]),
            "accuracy": 12.0,
            "speed": 11.0,
            "course": bearing or 0.0,
        }
        value = {"position": position, "device": {"uniqueId": vehicle}}
    else:
        value = {
            "device_id": vehicle,
            "time": rfc3339(at),
            "lon": float(row["longitude"]),
            "lat": float(row["latitude"]),
            "heading_deg": bearing,
        }
    return Message(topics.VEHICLE_POSITIONS, json.dumps(value).encode(), at + 900_000)


def _radio_fix(radio: str, row: Mapping[str, str]) -> Message:
    """A report of the vehicle, seven seconds later and some ten metres beside it."""
    at = _time(row) + 7 * SECOND
    value = {
        "device_id": radio,
        "time": rfc3339(at),
        "lon": round(float(row["longitude"]) + 0.0001, 6),
        "lat": round(float(row["latitude"]) - 0.0001, 6),
        "error_m": 8.0,
    }
    return Message(topics.RADIO_POSITIONS, json.dumps(value).encode(), at + 400_000)


def _bookings(
    duty: dict[str, Any], at: int, *, revised: bool = False, cancelled: bool = False
) -> list[Message]:
    """A duty as booked; perhaps first with another end and patch, perhaps cancelled in the end."""
    revisions = [{**duty, "revision": 1}]
    if revised:
        first = {
            "revision": 1,
            "patch": duty["patch"][:1],
            "end": rfc3339(parse_time(duty["start"]) + MINUTE),
        }
        revisions = [{**duty, **first}, {**duty, "revision": 2}]
    if cancelled:
        revisions.append({**duty, "revision": 3, "cancelled": True})
    return [Message(topics.DUTY_BOOKINGS, json.dumps(each).encode(), at) for each in revisions]


def live_equals_offline(facts: Facts, pipeline: Pipeline, folder: Path, seed: int) -> None:
    """Sends the facts in a shuffled order, a tenth of them twice, and compares the tables."""
    chance = random.Random(seed)
    messages = [*facts.messages, *chance.sample(facts.messages, len(facts.messages) // 10)]
    chance.shuffle(messages)
    wanted = offline(facts, folder / "offline")
    pipeline.load_areas(facts)
    pipeline.send(keyed(messages, lambda: str(chance.randrange(1000)).encode()), portions=6)
    pipeline.settle()
    assert_same(pipeline.export(facts.until), wanted)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("broker", "order"),
    [
        ("embedded_broker", 1),
        *(pytest.param("real_kafka", order, marks=pytest.mark.kafka) for order in (2, 3)),
    ],
)
def test_real_tracks_are_counted_live_as_from_files(
    bootstrap: str, database: str, shared_data: Path, tmp_path: Path, order: int
) -> None:
    """Real tracks over real wards, shuffled and a tenth doubled: the live tables are those of the files."""
    facts = bus_facts(shared_data)
    with Pipeline(bootstrap, database, tmp_path, batch_fixes=100) as pipeline:
        live_equals_offline(facts, pipeline, tmp_path, order)
        seen = pipeline.ask("select count(distinct activity) from slices")
        assert seen == 5, "the facts show all activities"


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["embedded_broker"])
def test_a_simulated_shift_is_counted_live_as_from_files(
    bootstrap: str, database: str, tmp_path: Path
) -> None:
    """A shift with late, doubled and unusable reports, shuffled: the live tables are those of the files."""
    facts = demo_facts(tmp_path)
    with Pipeline(bootstrap, database, tmp_path, batch_fixes=500) as pipeline:
        live_equals_offline(facts, pipeline, tmp_path, seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["embedded_broker"])
@pytest.mark.parametrize(
    ("seed", "portions", "last"), [(1, 3, topics.DUTY_BOOKINGS), (2, 30, topics.RADIO_POSITIONS)]
)
def test_contradicting_facts_are_judged_alike_in_any_order(
    bootstrap: str, database: str, tmp_path: Path, seed: int, portions: int, last: str
) -> None:
    """One world in two orders and cuts, a tenth doubled: the same tables, doubts and dead letters.

    What comes last comes one by one when all the rest has been judged: bookings, or positions.
    """
    doubted = doubted_facts(tmp_path)
    facts, chance = doubted.facts, random.Random(seed)
    messages = [*facts.messages, *chance.sample(facts.messages, len(facts.messages) // 10)]
    chance.shuffle(messages)
    messages = keyed(messages, lambda: str(chance.randrange(1000)).encode())
    singly = [message for message in messages if message.topic == last][:20]
    wanted = offline(facts, tmp_path / "offline")
    with Pipeline(
        bootstrap, database, tmp_path, batch_fixes=20 * portions, doubt_s=0.1, examine_s=0.1
    ) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send([message for message in messages if message not in singly], portions=portions)
        for message in singly:
            await_judged(pipeline)
            pipeline.send([message])
        await_judged(pipeline)
        assert_doubts(pipeline, wanted)
        assert_device_days(pipeline, tmp_path / "offline" / "figures")
        assert_same(pipeline.export(facts.until), wanted)
        assert_letters(pipeline, messages, doubted.unusable)


# ── What cannot be used ───────────────────────────────────────────────────────────────────────────────────

AT = parse_time("2026-01-26T15:00:00Z")


def _fix(second: int, **changes: Any) -> Message:
    """A report of one radio, with something about it changed; None takes a field out."""
    value = {
        "device_id": "R1",
        "time": rfc3339(AT + second * SECOND),
        "lon": -1.1398,
        "lat": 52.6369 + second * 1e-5,
        **changes,
    }
    said = {name: item for name, item in value.items() if item is not None}
    return Message(topics.RADIO_POSITIONS, json.dumps(said).encode(), AT + second * SECOND)


@both
def test_what_cannot_be_used_is_kept_with_its_reason(bootstrap: str, database: str, tmp_path: Path) -> None:
    """Each unusable message is in dead.letters unchanged with reason and origin; all around it is counted."""
    bad = {
        "not_json": replace(_fix(5), value=b'{"device_id": "R1", "time": \xff'),
        "missing_field": _fix(15, lon=None),
        "out_of_range": _fix(25, lat=95.0),
        "zero_position": _fix(35, lon=0.0, lat=0.0),
        "not_a_fix": _fix(27, valid=False, outdated=True),
        "in_future": replace(_fix(86_400 + 45), stamp=AT + 45 * SECOND),
    }
    good = [_fix(second) for second in range(0, 60, 10)]
    messages = sorted([*bad.values(), *good], key=lambda message: message.stamp)
    chance = random.Random(7)
    with Pipeline(bootstrap, database, tmp_path) as pipeline:
        pipeline.send(keyed(messages, lambda: str(chance.randrange(100)).encode()), portions=2)
        pipeline.settle()
        assert pipeline.ask("select count(*) from fix") == len(good)
        letters, raw = pipeline.records(topics.DEAD_LETTERS), pipeline.records(topics.RADIO_POSITIONS)
        pipeline.wait(lambda: len(next(letters)) >= len(bad), "all dead letters")
        pipeline.wait(lambda: len(next(raw)) >= len(messages), "all raw messages")
        found, origin = next(letters), {record.value: record for record in next(raw)}
    assert len(found) == len(bad)
    for letter in found:
        headers = {name: value.decode() for name, value in letter.headers}
        reason, record = headers["reason"], origin[letter.value]
        assert letter.value == bad[reason].value
        assert headers["detail"]
        assert (headers["topic"], headers["partition"], headers["offset"]) == (
            record.topic,
            str(record.partition),
            str(record.offset),
        )
        assert parse_time(headers["time"]) == bad[reason].stamp


def test_a_broken_frame_is_kept_and_passed(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """What an internal topic should not hold goes to dead.letters unchanged; what comes after is counted."""
    broken = {
        topics.FIXES: b"no frame",
        topics.DUTIES: b"no kind",
        topics.HEARD: bytes(topics.MAX_MESSAGE_BYTES - 150),  # with its headers too long for a letter
    }
    with Pipeline(embedded_broker.bootstrap, database, tmp_path) as pipeline:
        pipeline.post([Message(topic, value, AT) for topic, value in broken.items()])
        pipeline.sent = 0  # not by way of ingest
        pipeline.send([_fix(0)])
        pipeline.settle()
        assert pipeline.ask("select count(*) from fix") == 1
        letters = pipeline.records(topics.DEAD_LETTERS)
        pipeline.wait(lambda: len(next(letters)) >= len(broken), "all dead letters")
        prefix = pipeline.settings.topic_prefix
        found = {
            dict(record.headers)["topic"].decode().removeprefix(prefix): record for record in next(letters)
        }
    assert set(found) == set(broken)
    for topic, value in broken.items():
        headers = {name: text.decode() for name, text in found[topic].headers}
        assert headers["reason"] == topics.BROKEN_FRAME
        assert headers["detail"]
        assert (headers["topic"], headers["offset"]) == (f"{prefix}{topic}", "0")
        assert parse_time(headers["time"]) == AT
        assert found[topic].value == (None if topic == topics.HEARD else value)
    assert "too long to be kept here" in dict(found[topics.HEARD].headers)["detail"].decode()


# ── Late facts ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@either
def test_late_facts_change_the_tables_as_if_they_had_been_in_time(
    bootstrap: str, database: str, tmp_path: Path
) -> None:
    """Late fixes, late bookings, revisions, cancellations: after each, the tables are those of all so far."""
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    duties = {duty["duty_id"]: duty for duty in map(_json, facts.messages) if "duty_id" in duty}
    patched = [duties[name] for name in sorted(duties) if duties[name]["patch"]]
    booked_late, revised, cancelled, moved = patched[:4]
    radio = moved["devices"][0]["device_id"]
    track = [message for message in facts.messages if _json(message).get("device_id") == radio]
    late = track[len(track) // 3 : len(track) // 3 + 30]
    held = [*late, *(each for each in facts.messages if _json(each).get("duty_id") == booked_late["duty_id"])]
    start = parse_time(str(revised["start"]))
    revision = {
        **revised,
        "revision": 9,
        "start": rfc3339(start + 4 * MINUTE),
        "end": rfc3339(start + 19 * MINUTE),
        "patch": cancelled["patch"],
    }
    steps = {
        "at first": [message for message in facts.messages if message not in held],
        "fixes after their neighbours": late,
        "a duty after its fixes": held[len(late) :],
        "a duty revised": [_booking(revision, facts.until)],
        "a duty cancelled": [_booking({**cancelled, "revision": 9, "cancelled": True}, facts.until)],
    }
    sent: list[Message] = []
    before: dict[str, bytes] = {}
    with Pipeline(bootstrap, database, tmp_path) as pipeline:
        pipeline.load_areas(facts)
        for number, (step, messages) in enumerate(steps.items()):
            pipeline.send(messages)
            pipeline.settle()
            sent += messages
            found = pipeline.export(facts.until)
            wanted = offline(replace(facts, messages=tuple(sent)), tmp_path / f"step{number}")
            assert_same(found, wanted)
            assert found["slices.csv"] != before.get("slices.csv"), f"{step}: makes a difference"
            before = found


def _json(message: Message) -> dict[str, Any]:
    try:
        found = json.loads(message.value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _booking(duty: dict[str, Any], at: int) -> Message:
    return Message(topics.DUTY_BOOKINGS, json.dumps(duty).encode(), at)


# ── The live figures ──────────────────────────────────────────────────────────────────────────────────────

FIELDS = [
    *("scope", "id", "name", "from", "to"),
    *("duty_s", "on_patch_s", "off_patch_s", "not_visible_s", "unknown_s", "break_s", "priority_s"),
    *("share", "share_low", "share_high", "target", "verdict", "doubtful_s", "without_share"),
    *("officers_on_duty", "officers_on_patch"),
]
OTHERS = ("priority", "ambiguous_on", "ambiguous_off", "officers", "patch")
ACTIVITIES = ("on_patch", "off_patch", "not_visible", "unknown", "break")


@both
@pytest.mark.parametrize("apart", [False, True], ids=["worker", "timers apart"])
def test_live_figures_are_those_of_the_tables(
    bootstrap: str, database: str, tmp_path: Path, apart: bool
) -> None:
    """The newest figure of each key on visibility.shares has all fields, and the slices' sums up to then.

    A worker without timers counts, and tells none: they do, whenever they start.
    """
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    # Up to the middle of the shift, so that duties are running.
    middle = sorted(message.stamp for message in facts.messages)[len(facts.messages) // 2]
    messages = [message for message in facts.messages if message.stamp <= middle]
    parts = (INGEST, COUNTS) if apart else (INGEST, WORKER)
    with Pipeline(bootstrap, database, tmp_path, parts=parts) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(messages, portions=3)
        pipeline.settle()
        now = newest_event(pipeline.connection)
        if apart:
            assert not next(pipeline.records(topics.SHARES))
            pipeline.start(TIMERS)
        tables = pipeline.export(now)
        wanted = figures(tables["slices.csv"], messages, now)
        wanted |= {
            f"neighbourhood:{area}": {} for area in _names(facts) if f"neighbourhood:{area}" not in wanted
        }
        shares = pipeline.records(topics.SHARES)
        newest: dict[str, dict[str, Any]] = {}

        def all_there() -> bool:
            newest.update({record.key.decode(): json.loads(record.value) for record in next(shares)})
            return all(newest.get(key, {}).get("to") == rfc3339(now) for key, want in wanted.items() if want)

        pipeline.wait(all_there, f"figures up to {rfc3339(now)}")
    names = _names(facts)
    assert "force" in wanted
    assert newest.keys() >= wanted.keys()
    for key, want in wanted.items():
        event = newest[key]
        assert list(event) == FIELDS
        assert key == (event["scope"] if event["scope"] == "force" else f"{event['scope']}:{event['id']}")
        for activity in ACTIVITIES:
            assert event[f"{activity}_s"] == pytest.approx(want.get(activity, 0.0), abs=1e-6), (key, activity)
        duty = sum(want.get(activity, 0.0) for activity in ACTIVITIES[:4])
        assert event["duty_s"] == pytest.approx(duty, abs=1e-6)
        assert event["priority_s"] == pytest.approx(want.get("priority", 0.0), abs=1e-6)
        assert event["officers_on_duty"] == want.get("officers", 0)
        assert 0 <= event["officers_on_patch"] <= event["officers_on_duty"]
        if duty > want.get("unknown", 0.0) and want["patch"]:
            target = Policies().policies[0].target
            low = (want["on_patch"] - want["ambiguous_on"]) / duty
            high = (want["on_patch"] + want["unknown"] + want["ambiguous_off"]) / duty
            assert event["share"] == pytest.approx(want["on_patch"] / duty, abs=1e-6)
            assert event["share_low"] == pytest.approx(low, abs=1e-6)
            assert event["share_high"] == pytest.approx(high, abs=1e-6)
            verdict = "met" if low >= target else "missed" if high < target else "not proven"
            assert (event["verdict"], event["without_share"]) == (verdict, None)
        else:
            why = "no_position" if duty and want["patch"] else "no_home_patch" if duty else "no_duty_time"
            assert (event["share"], event["share_low"], event["without_share"]) == (None, None, why)
            assert (event["share_high"], event["verdict"]) == (None, None)
        assert event["target"] == Policies().policies[0].target
        if event["scope"] == "neighbourhood":
            assert event["name"] == names[event["id"]]
        if want:
            assert event["from"] == rfc3339(int(want["start"]))


def figures(slices: bytes, messages: list[Message], now: int) -> dict[str, dict[str, float]]:
    """Sums of the slices by key, over the duties that are running at a time, in seconds; counted by hand."""
    duties: dict[str, dict[str, Any]] = {}
    for duty in sorted(map(_json, messages), key=lambda value: int(value.get("revision", 0))):
        if "duty_id" in duty:
            duties[duty["duty_id"]] = duty
    running = {
        name: duty
        for name, duty in duties.items()
        if not duty["cancelled"]
        and parse_time(duty["start"]) <= now
        and (duty["end"] is None or parse_time(duty["end"]) > now)
    }
    found: dict[str, dict[str, float]] = {}
    keys: dict[str, list[str]] = {}
    for name, duty in running.items():
        keys[name] = [f"officer:{duty['officer_id']}"]
        if duty["patch"]:
            keys[name] += ["force", *(f"neighbourhood:{area}" for area in duty["patch"])]
        for key in keys[name]:
            sums = found.setdefault(key, dict.fromkeys((*ACTIVITIES, *OTHERS), 0.0))
            sums["officers"] += 1  # nobody has two duties at a time here
            sums["patch"] += bool(duty["patch"])
    # Every figure is told from the start of the earliest of its own duties that are running.
    for key, sums in found.items():
        sums["start"] = min(parse_time(duty["start"]) for name, duty in running.items() if key in keys[name])
    for row in csv.DictReader(slices.decode().splitlines()):
        for key in keys.get(row["duty_id"], ()):
            length = (parse_time(row["end"]) - parse_time(row["start"])) / SECOND
            found[key][row["activity"]] += length
            side = "on" if row["activity"] == "on_patch" else "off"
            found[key][f"ambiguous_{side}"] += float(row["ambiguous_s"])
            if row["activity"] == "on_patch" and row["priorities"]:
                found[key]["priority"] += length
    return found


def _names(facts: Facts) -> dict[str, str]:
    """The names of the neighbourhoods."""
    path = next(path for path, kind in facts.areas if kind == "neighbourhood")
    features = json.loads(path.read_bytes())["features"]
    return {each["properties"]["area_id"]: each["properties"]["name"] for each in features}


# ── Servers that go away ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@either
def test_topics_made_again_are_not_taken_for_old_news(bootstrap: str, database: str, tmp_path: Path) -> None:
    """After the topics were deleted and made again, frames at low offsets are counted."""
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    chance = random.Random(5)
    messages = chance.sample(facts.messages, len(facts.messages))
    cut = len(messages) * 2 // 3
    with Pipeline(bootstrap, database, tmp_path) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(messages[:cut], portions=6)
        pipeline.settle()
        before = pipeline.counted()
        pipeline.kill(INGEST, WORKER)
        pipeline.forget_topics()
        pipeline.prepare()
        pipeline.start(INGEST)
        pipeline.start(WORKER)
        pipeline.send(messages[cut:])
        pipeline.settle()
        assert 0 < pipeline.counted() < before, "the offsets are those of the new topics"
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))


@pytest.mark.slow
@either
def test_a_database_that_goes_away_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    """The database crashes while messages flow and comes back later: the tables are those of the files."""
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    messages = list(facts.messages)
    third = len(messages) // 3
    with (
        EmbeddedDatabase() as server,
        Pipeline(bootstrap, server.dsn, tmp_path, batch_fixes=100) as pipeline,
    ):
        pipeline.load_areas(facts)
        pipeline.send(messages[:third], portions=3)
        pipeline.wait(lambda: pipeline.counted() > 0, "the first frame is counted")
        pipeline.hang_up()
        server.kill()
        pipeline.send(messages[third : 2 * third], portions=3)
        pipeline.wait(lambda: "waiting for the database" in pipeline.log(WORKER), "the worker says so")
        server.start()
        pipeline.send(messages[2 * third :], portions=3)
        pipeline.settle()
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))


@pytest.mark.slow
@pytest.mark.kafka
def test_a_broker_that_goes_away_loses_nothing(database: str, tmp_path: Path) -> None:
    """Kafka crashes while messages flow and comes back: the tables are those of the files."""
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    half = len(facts.messages) // 2
    with RealKafka() as kafka, Pipeline(kafka.bootstrap, database, tmp_path) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(facts.messages[:half], portions=3)
        pipeline.wait(lambda: pipeline.counted() > 0, "the first frame is counted")

        def crash() -> None:
            pipeline.hang_up()
            kafka.kill()
            kafka.start()

        pipeline.post_around(facts.messages[half:], crash)
        pipeline.settle()
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
