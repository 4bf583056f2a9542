"""Processes killed at any moment: what is counted is what would have been counted without."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.shell.doubted import (
    assert_device_days,
    assert_doubts,
    assert_letters,
    await_judged,
    doubted_facts,
)
from tests.shell.pipeline import (
    INGEST,
    WORKER,
    Pipeline,
    assert_same,
    bootstrap_of,
    either,
    offline,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 20
STARTING, SENT, TAKEN, WRITING, COUNTED = "starting", "sent", "taken", "writing", "counted"
JUDGING = "judging"
HEARING = "hearing"
EXAMINING = "examining"

HEARD = "select coalesce(sum(next_offset), 0) from heard_offset"
HEARS = (
    "select count(*) from pg_stat_activity where application_name = 'patrol worker: hear' "
    "and datname = current_database() and backend_xid is not null"
)
SEEN = "select coalesce(sum(newest), 0)::int8 from device_seen"
EXAMINES = (
    "select count(*) from pg_stat_activity where application_name = 'patrol examine' "
    "and datname = current_database() and backend_xid is not null"
)
WRITES = (
    "select count(*) from pg_stat_activity "
    "where application_name = 'patrol worker' and datname = current_database() and backend_xid is not null"
)
# A killed process's own connection may still be there for a moment: the newest one tells.
CONNECTED = (
    "select coalesce(max(extract(epoch from backend_start) * 1000000)::int8, 0) from pg_stat_activity "
    "where application_name = 'patrol worker' and datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class Kill:
    """Whom to kill, and when.

    Attributes:
        victims: processes killed together.
        when: just started; messages just sent; ingest has settled some; the worker's transaction has written;
            that of what was heard has, or of devices' days; the worker has counted some; it has taken duties
            to judge their doubts, and not judged them yet.
    """

    victims: tuple[str, ...]
    when: str


def plan(seed: int) -> list[Kill]:
    """Kills from a seed, each kind among them."""
    kinds = [
        Kill((INGEST,), STARTING),
        Kill((INGEST,), SENT),
        Kill((INGEST,), TAKEN),
        Kill((INGEST,), TAKEN),
        Kill((INGEST,), TAKEN),
        Kill((WORKER,), STARTING),
        Kill((WORKER,), TAKEN),
        Kill((WORKER,), WRITING),
        Kill((WORKER,), WRITING),
        Kill((WORKER,), COUNTED),
        Kill((WORKER,), JUDGING),
        Kill((WORKER,), HEARING),
        Kill((WORKER,), EXAMINING),
        Kill((WORKER,), EXAMINING),
        Kill((INGEST, WORKER), SENT),
        Kill((INGEST, WORKER), COUNTED),
    ]
    chance = random.Random(seed)
    kills = [*kinds, *chance.choices(kinds, k=KILLS - len(kinds))]
    chance.shuffle(kills)
    return kills


@pytest.fixture
def bootstrap(broker: str, request: pytest.FixtureRequest) -> str:
    """The address of the broker that the test is run on."""
    return bootstrap_of(broker, request)


@pytest.mark.slow
@either
def test_killed_processes_lose_nothing_and_count_nothing_twice(
    bootstrap: str, database: str, tmp_path: Path
) -> None:
    """Killed twenty times while contradicting facts flow: the files' tables and doubts, each letter once."""
    doubted = doubted_facts(tmp_path)
    facts = doubted.facts
    messages = sorted(facts.messages, key=lambda message: message.stamp)
    corrections = [message for message in messages if message.stamp == facts.until]
    early = messages[: -len(corrections)]
    kills = plan(seed=1)
    portions = [
        [early[at] for at in part.tolist()] for part in np.array_split(np.arange(len(early)), KILLS + 1)
    ]
    with Pipeline(bootstrap, database, tmp_path, batch_fixes=100, doubt_s=0.1, examine_s=0.1) as pipeline:
        pipeline.load_areas(facts)
        for kill, portion in zip(kills, portions, strict=False):
            reached = moment(pipeline, kill)
            pipeline.post(portion)
            pipeline.wait(reached, f"the moment for {kill}", rest_s=0)
            pipeline.kill(*kill.victims)
            for victim in kill.victims:
                pipeline.start(victim)
        pipeline.post(portions[-1])
        await_judged(pipeline)
        # What is corrected last is all that is due: nothing else would have it judged after the kill.
        pipeline.post(corrections)
        pipeline.wait(moment(pipeline, Kill((WORKER,), JUDGING)), "the last duties are judged", rest_s=0)
        pipeline.kill(WORKER)
        pipeline.start(WORKER)
        await_judged(pipeline)
        wanted = offline(facts, tmp_path / "offline")
        assert_doubts(pipeline, wanted)
        assert_device_days(pipeline, tmp_path / "offline" / "figures")
        assert_same(pipeline.export(facts.until), wanted)
        assert_letters(pipeline, messages, doubted.unusable)


def moment(pipeline: Pipeline, kill: Kill) -> Callable[[], bool]:
    """Tells whether the moment for a kill has come, asked again and again from now on."""
    settled, counted, connected = pipeline.settled(), pipeline.counted(), pipeline.ask(CONNECTED)
    heard, seen = pipeline.ask(HEARD), pipeline.ask(SEEN)
    match kill.when:
        case "starting":
            pipeline.kill(*kill.victims)
            for victim in kill.victims:
                pipeline.start(victim)
            if kill.victims == (WORKER,):
                return lambda: pipeline.ask(CONNECTED) > connected
            return lambda: True
        case "sent":
            return lambda: True
        case "taken":
            return lambda: pipeline.settled() > settled
        case "writing":
            # A transaction may be too short to be seen: then what it has counted is.
            return lambda: pipeline.ask(WRITES) > 0 or pipeline.counted() > counted
        case "judging":
            # As short: then all that was counted has been judged.
            return lambda: (
                pipeline.ask("select count(*) from doubt_due where taken") > 0
                or (pipeline.counted() > counted and not pipeline.ask("select count(*) from doubt_due"))
            )
        case "hearing":
            return lambda: pipeline.ask(HEARS) > 0 or pipeline.ask(HEARD) > heard
        case "examining":
            return lambda: pipeline.ask(EXAMINES) > 0 or pipeline.ask(SEEN) > seen
        case _:
            return lambda: pipeline.counted() > counted
