"""What the worker runs is what is listed: its stages and errands, the topics and the tables of each."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stream import topics
from stream.core import frames, heard_frames
from stream.core.calendar import local_day, week_name
from stream.core.events import decode_positions
from stream.core.facts import SECOND
from stream.core.policy import Policies, limits
from stream.core.quality.heard import heard_rows
from stream.pipeline.agents import Worker
from stream.pipeline.stages import ERRANDS, STAGES
from stream.settings import Settings
from stream.simulate import TOPICS, demo_force, simulate
from stream.store import areas
from stream.store.chunks import HOUR, close_due
from stream.store.device_days import examine_due
from stream.store.doubts import judge_due
from stream.store.ledger import Ledger, Offset
from stream.store.schema import connect, migrate
from stream.store.settled import restate_due, settle
from tests.simulated import fixes_of

if TYPE_CHECKING:
    from stream.pipeline.stages import Errand, Stage
    from stream.store.schema import Connection

EVERYTHING = (*topics.RAW, *topics.INTERNAL, *topics.OUT)
KINDS = {topics.DUTY_BOOKINGS: topics.KIND_DUTIES, topics.DUTY_STATES: topics.KIND_STATES}
START = 1_769_439_600 * SECOND
LISTED: tuple[Stage | Errand, ...] = (*STAGES, *ERRANDS)
WRITTEN = [name for item in LISTED for name in item.writes]


def tables(connection: Connection) -> set[str]:
    """The names of all tables."""
    rows = connection.execute("select relname::text from pg_stat_user_tables").fetchall()
    return {str(name) for (name,) in rows}


def changes(connection: Connection) -> dict[str, int]:
    """How many rows of each table were written so far, this connection's and those told of by others.

    The partitions of a table count as the table.
    """
    connection.execute("select pg_stat_force_next_flush()")
    rows = connection.execute(
        "select relname::text, n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables "
        "where schemaname = 'public'"  # not the ledger's temporary ones
    ).fetchall()
    found: Counter[str] = Counter()
    for name, count in rows:
        found[re.sub(r"_\d{8}$", "", str(name))] += int(str(count))
    return found


def test_the_worker_runs_what_is_listed() -> None:
    """Each stage is an agent on its topic with a task, each errand a task, and there is nothing more."""
    settings = Settings(kafka="localhost:9", database="postgresql://localhost:9/none", topic_prefix="here.")

    async def made() -> Worker:
        return Worker(settings, asyncio.Event())

    worker = asyncio.run(made())
    try:
        read: dict[str, Any] = {
            name: agent.channel.get_topic_name() for name, agent in worker.app.agents.items()
        }
        assert read == {stage.name: f"here.{stage.topic}" for stage in STAGES}
        assert list(worker.tasks) == [item.name for item in LISTED]
        assert all(hasattr(settings, stage.gathers) for stage in STAGES if stage.gathers)
    finally:
        worker.close()


def test_the_topics_are_those_of_the_project() -> None:
    """The stages read the internal topics, one each; every outward topic is written, and no other."""
    assert sorted(stage.topic for stage in STAGES) == sorted(topics.INTERNAL)
    assert {name for name in WRITTEN if name in EVERYTHING} == set(topics.OUT)


def test_the_tables_are_those_of_the_schema(database: str) -> None:
    """What a stage or errand writes and is no topic is a table."""
    with connect(database) as connection:
        migrate(connection)
        assert {name for name in WRITTEN if name not in EVERYTHING} <= tables(connection)


def test_every_setting_named_is_one() -> None:
    """Where the lists say how often something is done, they name a setting."""
    named = {name for errand in ERRANDS for name in re.findall(r"PATROL_(\w+)", errand.does)}
    assert len(named) == len(ERRANDS)
    assert all(hasattr(Settings(), name.lower()) for name in named)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as the stages see it."""

    value: bytes
    headers: dict[str, bytes] = field(default_factory=dict)


def test_a_stage_writes_the_tables_that_are_listed(database: str) -> None:
    """Over a shift with bookings between its positions each stage writes just the tables listed for it.

    One device repeats its position, so that there is something suspect, and an hour that has been closed gets
    better fixes.
    """
    force = demo_force(1)
    made = simulate(force, officers=16, start=START, hours=0.3, interval_s=20.0, seed=1)
    fixes = fixes_of(made)
    stuck = fixes.device == 0
    fixes = replace(
        fixes,
        lon=np.where(stuck, fixes.lon[stuck][0], fixes.lon),
        lat=np.where(stuck, fixes.lat[stuck][0], fixes.lat),
    )
    # Some of the first half's devices are still to come, and late then.
    first = (fixes.device % 2 == 0) & (np.arange(len(fixes)) % 50 > 0)
    early, late = (
        [Letter(frames.encode(frames.select(fixes, np.flatnonzero(half))))] for half in (first, ~first)
    )
    better = replace(frames.select(fixes, np.flatnonzero(first)[:20]), error_m=np.full(20, 0.5))
    late.append(Letter(frames.encode(better)))
    lines: dict[str, list[bytes]] = {KINDS[name]: [] for name in KINDS}
    for part in made.messages():
        for number, value in zip(part.topic.tolist(), part.value, strict=True):
            if TOPICS[number] in KINDS:
                lines[KINDS[TOPICS[number]]].append(value)
    decoded = decode_positions(
        [b'{"device_id": "met", "time": 0, "lon": 0, "lat": 0}'], None, limits=limits(Policies())
    )
    span = heard_frames.HeardSpan("radio.positions", 0, "one life", 0, 1, 1)
    judged = [
        Letter(
            heard_frames.encode(
                heard_frames.HeardFrame((span,), decoded.judged_index, heard_rows(decoded.judged))
            )
        )
    ]
    booked = [Letter(frames.encode_lines(lines[kind]), {topics.KIND_HEADER: kind.encode()}) for kind in lines]
    locate, account, hear = STAGES
    written: dict[str, set[str]] = {stage.name: set() for stage in STAGES}
    examined: set[str] = set()
    closed: set[str] = set()
    restated: set[str] = set()
    with connect(database) as connection, connect(database) as witness:
        migrate(connection)
        for kind in sorted(set(force.kind)):
            areas.publish(connection, force, kind, 0, file="test", sha256="", by="test")
        settle(connection, [week_name(local_day(START))])  # so that all of it reaches into a settled week
        ledger = Ledger(connection)
        changes(connection)
        for at, (stage, batch) in enumerate(
            ((locate, early), (account, booked), (locate, late), (hear, judged)), 1
        ):
            changes(connection)
            before = changes(witness)
            stage.run(ledger, list(batch), [Offset(stage.topic, 0, "one life", at)], refuse)
            changes(connection)
            written[stage.name] |= {name for name, count in changes(witness).items() if count > before[name]}
            judge_due(connection)  # what is due already is not marked again
            changes(connection)
            before = changes(witness)
            restate_due(connection)
            changes(connection)
            restated |= {name for name, count in changes(witness).items() if count > before[name]}
            before = changes(witness)
            examine_due(connection)
            changes(connection)
            examined |= {name for name, count in changes(witness).items() if count > before[name]}
            before = changes(witness)
            close_due(connection, worth=1, late=-HOUR)
            changes(connection)
            closed |= {name for name, count in changes(witness).items() if count > before[name]}
    [close] = (errand for errand in ERRANDS if errand.name == "close")
    assert closed | {"fix_row"} == set(close.writes)
    [restate] = (errand for errand in ERRANDS if errand.name == "restate")
    assert {"restatement", "restated", "restatement_due", "settled"} <= restated <= set(restate.writes)
    [examine] = (errand for errand in ERRANDS if errand.name == "examine")
    assert examined == set(examine.writes)
    for stage in STAGES:
        assert written[stage.name] == set(stage.writes) - set(EVERYTHING), stage.name


def refuse(_message: object, detail: str) -> None:
    """A broken message, of which there is none here."""
    raise AssertionError(detail)
