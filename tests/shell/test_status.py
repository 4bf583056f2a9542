"""``patrol status``: what it says while all is well, while a part is missing, while servers are away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError

from stream import topics
from stream.cli import patrol
from stream.embedded import EmbeddedDatabase, free_port
from stream.pipeline.condition import (
    ALERTS,
    LATE_S,
    TIMER_LATE_S,
    Condition,
    PartJson,
    TimerJson,
    TopicJson,
    judge,
)
from stream.pipeline.stages import ERRANDS
from stream.store.losses import record
from stream.topics import NoLongerHeld
from tests.shell.pipeline import WORKER, Pipeline, demo_facts

if TYPE_CHECKING:
    from pathlib import Path

    from stream.embedded import EmbeddedBroker

BOTH = [PartJson(part, "", 1.0, 1, "") for part in ("patrol ingest", "patrol worker")]


def run(pipeline: Pipeline, *words: str, **other: str) -> tuple[int, str]:
    """Exit code and output of the command in the pipeline's environment."""
    environment = {
        "PATROL_DATABASE": pipeline.settings.database,
        "PATROL_KAFKA": pipeline.settings.kafka,
        "PATROL_TOPIC_PREFIX": pipeline.settings.topic_prefix,
        **other,
    }
    done = CliRunner().invoke(patrol, ["status", *words], env=environment, catch_exceptions=False)
    return done.exit_code, done.output


@pytest.mark.slow
def test_status_says_what_runs_and_what_is_wrong(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """Two processes that count: nothing is wrong; when one is killed, it is missed."""
    facts = demo_facts(tmp_path, hours=0.1)
    with Pipeline(embedded_broker.bootstrap, database, tmp_path, clock="wall") as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(facts.messages)
        pipeline.settle()

        def said() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(run(pipeline, "--json")[1])
            return found

        pipeline.wait(lambda: said()["wrong"] == [], "nothing is wrong", rest_s=0.2)
        found = said()
        assert {item["part"] for item in found["processes"]} >= {"patrol ingest", "patrol worker"}
        assert {item["topic"] for item in found["topics"]} == {*topics.RAW, *topics.INTERNAL}
        assert not any(item["waiting"] for item in found["topics"])
        assert len(found["timers"]) == len(ERRANDS)
        assert found["schema"].startswith("00")
        assert next(item["rows"] >= 0 for item in found["tables"] if item["name"].startswith("fix"))
        code, text = run(pipeline)
        assert (code, text.splitlines()[-1]) == (0, "nothing is wrong")

        pipeline.kill(WORKER)
        pipeline.wait(lambda: "no 'patrol worker' is running" in said()["wrong"], "it is missed", rest_s=0.2)
        code, text = run(pipeline)
        assert (code, "no 'patrol worker' is running" in text) == (1, True)


@pytest.mark.slow
def test_a_kafka_that_nobody_has_read_from_is_shown_and_what_was_lost_is_wrong(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Kafka finds out who keeps the readers' group it is asked again; a loss on record is told."""
    pipeline = Pipeline(embedded_broker.bootstrap, database, tmp_path)
    pipeline.prepare()
    ask = KafkaAdminClient.list_group_offsets
    refusals = [CoordinatorLoadInProgressError(), CoordinatorNotAvailableError()]

    def new(client: Any, groups: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return ask(client, groups)

    monkeypatch.setattr(KafkaAdminClient, "list_group_offsets", new)
    gone = NoLongerHeld(topics.named(topics.FIXES, pipeline.settings.topic_prefix), 0, "one", 3, 9)
    record(pipeline.connection, [gone])
    pipeline.hang_up()
    code, text = run(pipeline, "--json")
    found = json.loads(text)
    assert (code, found["kafka"], refusals) == (1, True, [])
    assert {item["topic"]: item["waiting"] for item in found["topics"]} == dict.fromkeys(
        (*topics.RAW, *topics.INTERNAL), 0
    )
    assert found["lost"] == [str(gone)]
    assert str(gone) in found["wrong"]


def test_a_server_that_is_away_is_told_and_the_other_one_shown(tmp_path: Path) -> None:
    """Without Kafka what the database says is shown, without both that they are away; exit code 3."""
    with EmbeddedDatabase() as server:
        dsn = server.dsn_of("postgres")
        pipeline = Pipeline(f"127.0.0.1:{free_port()}", dsn, tmp_path)
        code, text = run(pipeline)
        assert code == 3
        assert "Kafka cannot be asked: " in text
        assert "run 'patrol init' first" in text
    code, text = run(pipeline, PATROL_DATABASE=f"postgresql://x:secret@127.0.0.1:{free_port()}/y")
    assert code == 3
    assert "the database cannot be asked: " in text
    assert "secret" not in text


@given(
    st.floats(0, 100) | st.none(),
    st.sampled_from([*topics.RAW, *topics.INTERNAL]),
    st.floats(0, 1000) | st.none(),
    st.booleans(),
)
def test_what_is_wrong_is_said_and_nothing_else(
    oldest_s: float | None, topic: str, watched_s: float | None, worker: bool
) -> None:
    """Late messages, alerts that nobody looks for and missing parts are wrong, each by itself."""
    found = Condition("1", database=True, kafka=True, processes=BOTH if worker else BOTH[:1])
    found.topics = [TopicJson(topic, 1 if oldest_s is not None else 0, oldest_s, 5, 1)]
    found.timers = [TimerJson(ALERTS, watched_s, 0, elected=True)]
    judge(found)
    late = oldest_s is not None and oldest_s > LATE_S and topic != topics.HEARD
    silent = watched_s is not None and watched_s > TIMER_LATE_S
    assert len(found.wrong) == late + silent + (not worker)
