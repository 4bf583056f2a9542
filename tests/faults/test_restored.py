"""A database that went back, restored or failed over: what Kafka still holds is counted again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import conninfo
from psycopg.sql import SQL, Identifier

from stream import topics
from stream.cli import patrol
from stream.core.calendar import parse_time, rfc3339
from stream.core.facts import SECOND, Duty
from stream.pipeline import agents
from stream.pipeline.agents import Intake, Turn
from stream.pipeline.stages import STAGES
from stream.settings import Settings
from stream.store.ledger import Ledger
from stream.store.reading import progress
from stream.store.schema import connect, migrate
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
    from collections.abc import Callable
    from pathlib import Path

    from stream.embedded import EmbeddedBroker
    from stream.store.ledger import Counted
    from tests.shell.kafka import RealKafka

HOUR = 3600 * SECOND
SHIFT = parse_time("2026-01-26T15:00:00Z")


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


@dataclass(slots=True)
class Struck(Turn):
    """A turn after whose first transaction something happens, once."""

    strike: Callable[[], None] | None = None

    async def run(self, work: Callable[[Ledger], Counted]) -> Counted | None:
        counted = await super(Struck, self).run(work)
        if self.strike is not None and counted is not None and counted.states:
            strike, self.strike = self.strike, None
            strike()
        return counted


@pytest.mark.parametrize("why", ["somebody has the rest locked", "the database refuses them together"])
def test_what_takes_several_transactions_is_counted_in_one_database(
    database: str, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """A database put back between two transactions of one batch is given all of it, not the rest alone."""
    monkeypatch.setattr(agents, "incarnation_of", lambda *_: "one life")
    _, name = beside(database)
    with connect(database) as connection:
        migrate(connection)
        Ledger(connection).bookings([booked("O1"), booked("O2")], [])
    copied(database, name, f"{name}_backup")
    messages = [message(number, officer) for number, officer in enumerate(("O1", "O2"))]
    stage = account = next(stage for stage in STAGES if stage.topic == topics.DUTIES)

    def together(ledger: Ledger, batch: list[Any], *more: Any) -> Counted:
        if len(batch) > 1:
            raise psycopg.DataError("not both")
        return account.run(ledger, batch, *more)

    with contextlib.ExitStack() as stack:
        if why.startswith("somebody"):
            other = connect(database)
            stack.callback(other.close)
            other.execute("begin; select from officer where officer_id = 'O2' for update")
        else:
            stage = replace(account, run=together)

        async def work() -> None:
            stop = asyncio.Event()
            strike = partial(copied, database, f"{name}_backup", name, replacing=True)
            desk = Struck(Settings(database=database), stop, strike=strike)
            intake = Intake(stage, desk, lambda *_: None, asyncio.Event(), lambda: False, set())
            try:
                assert await intake._fresh(messages) == messages
                assert await intake._count(messages)
                assert desk.strike is None
                assert await desk.run(Ledger.answers) is not None
            finally:
                desk.close()

        asyncio.run(work())
    with connect(database) as connection:
        keyed = connection.execute("select officer_id, state from state join officer using (officer)")
        assert set(keyed.fetchall()) == {("O1", 6), ("O2", 6)}
        assert Ledger(connection).passed(topics.DUTIES, "one life") == {0: 2}


def booked(officer: str) -> Duty:
    """A duty of an hour."""
    return Duty(officer_id=officer, duty_id=f"D-{officer}", revision=1, start=SHIFT, end=SHIFT + HOUR)


def message(number: int, officer: str) -> Any:
    """A message of the topic of duties: a state keyed by an officer."""
    state = {"officer_id": officer, "time": rfc3339(SHIFT + HOUR // 2), "state": 6}
    return SimpleNamespace(
        topic=topics.DUTIES,
        partition=0,
        offset=number,
        timestamp=SHIFT / SECOND,
        key=b"",
        value=json.dumps(state).encode(),
        headers=[(topics.KIND_HEADER, topics.KIND_STATES.encode())],
    )


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
