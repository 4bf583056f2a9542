"""A database that went back, restored or failed over: what Kafka still holds is counted again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import conninfo
from psycopg.sql import SQL, Identifier

from stream import topics
from stream.cli import patrol
from stream.store.reading import progress
from stream.store.schema import connect
from tests.shell.pipeline import (
    INGEST,
    WORKER,
    Pipeline,
    assert_same,
    bootstrap_of,
    demo_facts,
    either,
    offline,
)

if TYPE_CHECKING:
    from pathlib import Path

    from stream.embedded import EmbeddedBroker
    from tests.shell.kafka import RealKafka


@pytest.fixture
def bootstrap(broker: str, request: pytest.FixtureRequest) -> str:
    """The address of the broker that the test is run on."""
    return bootstrap_of(broker, request)


def beside(database: str) -> tuple[str, str]:
    """The DSN of the server's own database, and the name of this one."""
    return conninfo.make_conninfo(database, dbname="postgres"), str(
        conninfo.conninfo_to_dict(database)["dbname"]
    )


def copied(database: str, source: str, target: str, *, replacing: bool = False) -> None:
    """Copies one database of the server to another, as a backup and its restoration do; connections end."""
    server, _ = beside(database)
    with connect(server, name="backup") as connection:
        if replacing:
            connection.execute(SQL("drop database {} with (force)").format(Identifier(target)))
        while True:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [source]
            )
            try:
                connection.execute(
                    SQL("create database {} template {}").format(Identifier(target), Identifier(source))
                )
            except psycopg.errors.ObjectInUse:
                continue  # somebody was quicker to connect again
            return


@pytest.mark.slow
@either
@pytest.mark.parametrize("running", [False, True], ids=["worker stopped", "worker running"])
def test_restored_database_counts_again_what_kafka_holds(
    bootstrap: str, database: str, tmp_path: Path, running: bool
) -> None:
    """After an older backup took the database's place, the tables are those of all that was sent."""
    facts = demo_facts(tmp_path)
    chance = random.Random(7)
    cut = sorted(chance.sample(range(1, len(facts.messages)), 3))
    parts = [facts.messages[low:high] for low, high in zip([0, *cut], [*cut, None], strict=True)]
    _, name = beside(database)
    backup = f"{name}_backup"
    with Pipeline(bootstrap, database, tmp_path, batch_fixes=100) as pipeline:
        pipeline.load_areas(facts)
        pipeline.post(parts[0])
        pipeline.settle()
        pipeline.hang_up()
        copied(database, name, backup)
        pipeline.post(parts[1])
        pipeline.settle()
        before = pipeline.counted()
        pipeline.hang_up()
        if not running:
            pipeline.kill(WORKER)
        copied(database, backup, name, replacing=True)
        assert pipeline.counted() < before
        if not running:
            pipeline.start(WORKER)
        pipeline.settle()  # nothing new has to come for that
        pipeline.post(parts[2])
        pipeline.settle()
        pipeline.kill(WORKER)
        pipeline.start(WORKER)
        pipeline.post(parts[3])
        pipeline.settle()
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
        assert ("starts again from what the database has" in pipeline.log(WORKER)) == running


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("part", [WORKER, INGEST])
@pytest.mark.parametrize("running", [False, True], ids=["ended", "too slow"])
def test_what_nobody_has_any_more_is_said(
    real_kafka: RealKafka, database: str, tmp_path: Path, part: str, running: bool
) -> None:
    """What Kafka deleted before it was counted is named by topic, partition, offsets and hours, and kept."""
    facts = demo_facts(tmp_path, hours=0.5)
    topic = topics.FIXES if part == WORKER else topics.RADIO_POSITIONS
    low, high = len(facts.messages) // 3, 2 * len(facts.messages) // 3
    session_s = 30.0 if running else 1.0  # so long it keeps its partitions
    with Pipeline(real_kafka.bootstrap, database, tmp_path, session_s=session_s) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(facts.messages[:low])
        pipeline.settle()
        if running:
            pipeline.halt(part)
        else:
            pipeline.kill(part)
        pipeline.post(facts.messages[low:high])
        if part == WORKER:
            pipeline.wait(pipeline.taken, "all taken by ingest")
        assert checked(pipeline) == (0, "nothing is missing\n")
        pipeline.delete_records(topic)
        pipeline.post(facts.messages[high:])
        if part == WORKER:
            pipeline.wait(pipeline.taken, "all taken by ingest")
        code, said = checked(pipeline)
        assert code == 1
        if running:
            pipeline.go_on(part)
        else:
            pipeline.start(part)
        # One that was running may have had the first of them in its hands.
        wanted = said.splitlines()
        known = (lambda: gone(pipeline)) if running else (lambda: set(wanted) == gone(pipeline))
        pipeline.wait(known, "what is missing is on record")
        for item in progress.no_longer_held(pipeline.connection, 1):
            assert item.topic == topics.named(topic, pipeline.settings.topic_prefix)
            assert str(item) in pipeline.log(part)
            assert item.sent_after is not None
            assert item.sent_before is not None
            assert item.sent_after <= item.sent_before
            assert item.hours in str(item)
        pipeline.wait(lambda: checked(pipeline) == (0, "nothing is missing\n"), "all that is left is counted")
        assert 1 < len(gone(pipeline)) <= len(wanted)


def checked(pipeline: Pipeline) -> tuple[int, str]:
    """What ``patrol init --check`` says."""
    done = CliRunner().invoke(patrol, ["init", "--check"], env=pipeline.environment)
    return done.exit_code, done.output


def gone(pipeline: Pipeline) -> set[str]:
    """What is on record as deleted before it was counted."""
    return {str(item) for item in progress.no_longer_held(pipeline.connection, 1)}


@pytest.mark.slow
def test_check_says_what_is_missing_and_changes_nothing(
    embedded_broker: EmbeddedBroker, database: str
) -> None:
    """`patrol init --check` names topics that are not there and migrations, twice alike; init mends both."""
    settings = {
        "PATROL_KAFKA": embedded_broker.bootstrap,
        "PATROL_DATABASE": database,
        "PATROL_TOPIC_PREFIX": "missing.",
    }
    for _ in range(2):
        checked = CliRunner().invoke(patrol, ["init", "--check"], env=settings)
        assert checked.exit_code == 1
        for spec in topics.specs("missing."):
            assert f"topic {spec.name}: is not there; run 'patrol init'\n" in checked.output
        assert "the database lacks 0001" in checked.output
    assert CliRunner().invoke(patrol, ["init"], env=settings).exit_code == 0
    checked = CliRunner().invoke(patrol, ["init", "--check"], env=settings)
    assert (checked.exit_code, checked.output) == (0, "nothing is missing\n")
