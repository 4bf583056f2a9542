"""What the stored facts are worth: the findings are those of the same facts from files (rule 22)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Kind
from stream.cli import patrol
from stream.core import frames
from stream.core.calendar import rfc3339
from stream.core.events import decode_positions
from stream.core.facts import SECOND
from stream.core.heard_frames import HeardFrame, HeardSpan
from stream.core.policy import BEGINNING, DEFAULT_STATES, Policies, Policy, State, limits
from stream.core.quality.findings import INPUT, findings
from stream.core.quality.heard import heard, heard_rows
from stream.files.account import account
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.reading.exports import derived, examined
from stream.store.schema import connect
from tests.shell.stored import empty, migrated
from tests.shifts import clean_shifts, force
from tests.strategies import many

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from stream.core.quality.findings import QualityFinding
    from stream.embedded import EmbeddedDatabase
    from stream.files.account import Facts
    from stream.store.schema import Connection
    from tests.shifts import Event, Shift

LIMITS = limits(Policies())
NAMING = Policies((BEGINNING,), (Policy(states=dict(DEFAULT_STATES) | {42: State("training", "visible")}),))
HOUR = 3600


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "exported_quality") as dsn, connect(dsn) as opened:
        yield opened


def spoilt(event: Event, random: random.Random) -> Event:
    """A report as real radios, receivers and networks spoil it."""
    changes: list[dict[str, Any]] = [
        {"lon": 0.0, "lat": 0.0},
        {"lat": 152.6},
        {"error_m": 999.0},
        {"valid": False},
        {"lon": event["lat"], "lat": event["lon"]},
        {"lon": -event["lon"]},
        {"time": "2026-13-45T00:00:00Z"},
        {"time": 1_795_421_703},
        {"time": "2099-12-31T23:59:59Z"},
        {"time": "2021-01-01T00:00:00Z"},
        {"device_id": ""},
        {"device_id": f"0{event['device_id']}"},
        {"device_id": event["device_id"], "lon": None},
        {"lon": event["lon"] + 3.0},
        {"received": None},
        {},
    ]
    return {**event, **random.choice(changes)}


def sent(shift: Shift, random: random.Random) -> tuple[list[bytes], list[int]]:
    """The shift's reports in any order with faults among them, and when Kafka received each."""
    events = [spoilt(event, random) if random.random() < 0.1 else event for event in shift.positions]
    if random.random() < 0.5:  # a clock that is wrong
        name, off = events[0]["device_id"], random.choice([-HOUR, HOUR, 5 * HOUR])
        events = [
            {**event, "received": rfc3339(shift.start + (off + at * 10) * SECOND)}
            if event["device_id"] == name
            else event
            for at, event in enumerate(events)
        ]
    events += random.choices(events, k=random.randint(0, 20))  # sent twice
    random.shuffle(events)
    lines = [json.dumps(event).encode() for event in events]
    received = [shift.start + random.randint(0, 20 * HOUR) * SECOND for _ in lines]
    return lines, received


def store(
    connection: Connection, facts: Facts, lines: list[bytes], received: list[int], random: random.Random
) -> None:
    """Counts the facts as ingest and worker do it, in any batches."""
    empty(connection)
    for kind in sorted(set(force().kind)):
        areas.publish(connection, force(), kind, 0, file="test", sha256="", by="test")
    ledger = Ledger(connection)
    cuts = sorted(random.choices(range(len(lines) + 1), k=4))
    work: list[Any] = list(zip([0, *cuts], [*cuts, len(lines)], strict=True))
    booking = random.randrange(len(work) + 1)
    for number, (low, high) in enumerate([*work, (0, 0)]):
        if number == booking:
            ledger.bookings(facts.duties, facts.states)
        decoded = decode_positions(lines[low:high], np.array(received[low:high], np.int64), limits=LIMITS)
        ledger.positions(decoded.fixes)
        span = HeardSpan("radio.positions", 0, "one life", low, high, len(decoded.judged))
        frame = HeardFrame((span,), low + decoded.judged_index, heard_rows(decoded.judged))
        ledger.heard([frame] * random.randint(1, 2))


def told(rows: list[QualityFinding]) -> list[QualityFinding]:
    """All but what only files have: rows left out by file, those without a device among them."""
    return [row for row in rows if row.scope != INPUT]


@many(25)
@given(
    shift=clean_shifts(),
    random=st.randoms(use_true_random=False),
    policies=st.sampled_from([Policies(), NAMING]),
)
def test_findings_about_stored_facts_are_those_of_files(
    connection: Connection, shift: Shift, random: random.Random, policies: Policies
) -> None:
    """Whatever order, batches, repeats and faults reports come with, stored or in files the same is found.

    So is a state of the force's own, which only the policy in force can name.
    """
    duty = shift.duties[0]
    shift.states.append({"officer_id": duty["officer_id"], "time": duty["start"], "state": 42})
    lines, received = sent(shift, random)
    decoded = decode_positions(lines, np.array(received, np.int64), limits=LIMITS)
    facts = replace(
        shift.facts(), fixes=frames.join([decoded.fixes]), rejects={}, heard=heard(decoded.judged)
    )
    store(connection, facts, lines, received, random)
    until = shift.start + 30 * HOUR * SECOND
    found = derived(connection, policies)
    assert found.worth is not None
    stored = findings(examined(found, found.worth, until, policies)).rows()
    assert told(stored) == told(account(facts, policies, until=until).quality.rows())
    assert any(row.finding == "unknown_state" for row in stored) == (policies is not NAMING)


def test_facts_from_before_anything_was_counted_have_no_repeats(connection: Connection) -> None:
    """Positions that were stored before what is heard was counted are told, without rejects and repeats."""
    empty(connection)
    areas.publish(connection, force(), Kind.NEIGHBOURHOOD, 0, file="test", sha256="", by="test")
    line = b'{"device_id": "R1", "time": "2026-11-23T08:00:00Z", "lon": -1.16, "lat": 52.61}'
    Ledger(connection).positions(decode_positions([line, line], None, limits=LIMITS).fixes)
    found = derived(connection, Policies())
    assert found.worth is not None
    rows = findings(examined(found, found.worth, 2**50, Policies())).rows()
    assert [(row.finding, row.count) for row in rows] == [("positions", 1), ("not_booked", 1)]


def test_the_command_writes_the_file_unless_told_otherwise(database: str, tmp_path: Path) -> None:
    """`patrol export` writes quality.csv, and with --no-quality all the others alone."""
    from click.testing import CliRunner

    from stream.store.schema import migrate

    with connect(database) as opened:
        migrate(opened)
        line = b'{"device_id": "R1", "time": "2026-11-23T08:00:00Z", "lon": -1.16, "lat": 52.61}'
        Ledger(opened).positions(decode_positions([line], None, limits=LIMITS).fixes)
    for words, wanted in (([], True), (["--no-quality"], False)):
        out = tmp_path / f"{wanted}"
        done = CliRunner().invoke(
            patrol, ["export", "--out", str(out), *words], env={"PATROL_DATABASE": database}
        )
        assert done.exit_code == 0, done.output
        assert ("1 position of device 'R1', which no duty names" in done.stderr) == wanted
        assert (out / "quality.csv").exists() == wanted
        assert (out / "stays.csv").exists()
    assert "device,R1,2026-11-23,positions,1,," in (tmp_path / "True" / "quality.csv").read_text()
