"""Where a worker begins to read: what becomes of it when that cannot be found out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka.errors
import kafka.errors
import pytest
from aiokafka import AIOKafkaProducer

from stream import topics
from stream.core import frames
from stream.core.events import decode_positions
from stream.core.policy import Policies, limits
from stream.pipeline import agents, monitor
from stream.pipeline.metrics import WorkerMetrics
from stream.pipeline.outages import Outages
from stream.store.schema import connect
from tests.messages import POSITION
from tests.shell.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stream.embedded import EmbeddedBroker
    from stream.settings import Settings

PATIENCE_S = 60.0
"""How long anything may take before a test fails; nothing is timed."""


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker, database: str, tmp_path: Path) -> Settings:
    """Of a worker with topics and schema of its own."""
    pipeline = Pipeline(embedded_broker.bootstrap, database, tmp_path)
    pipeline.prepare()
    return pipeline.settings


def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, failures: Iterator[Exception]) -> None:
    """Runs a worker until it knows where to read; before that each question fails as given."""
    ask = topics.incarnations

    async def until_placed() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def failing(bootstrap: str, names: Sequence[str]) -> dict[str, str]:
            if (failure := next(failures, None)) is not None:
                raise failure
            loop.call_soon_threadsafe(stop.set)
            return ask(bootstrap, names)

        monkeypatch.setattr(topics, "incarnations", failing)
        monkeypatch.setattr(agents, "OUTAGES", Outages())  # others have theirs
        await asyncio.wait_for(agents.run(settings, stop), PATIENCE_S)
        assert stop.is_set()

    asyncio.run(until_placed())


@pytest.mark.slow
def test_a_worker_that_cannot_ask_where_to_read_starts_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Kafka says at that moment, the worker asks again until it knows."""
    failures = iter(
        [
            kafka.errors.KafkaConnectionError("no broker can be reached"),
            kafka.errors.KafkaTimeoutError("no answer"),
            aiokafka.errors.NodeNotReadyError("not ready"),
        ]
    )
    run(settings, monkeypatch, failures)
    assert next(failures, None) is None


@pytest.mark.slow
def test_a_fault_where_reading_begins_ends_the_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no outage but a fault of the program ends the process, which is then started again."""
    with pytest.raises(ValueError, match="a fault"):
        run(settings, monkeypatch, iter([ValueError("a fault")]))


@pytest.mark.slow
def test_a_worker_to_which_nothing_comes_reads_afresh(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that is silent though messages wait is given up after a while, and what waits is counted."""
    monkeypatch.setattr(agents, "OUTAGES", Outages())
    monkeypatch.setattr(agents, "STILL_S", 1.0)
    monkeypatch.setattr(agents, "LOOK_S", 0.2)
    monkeypatch.setattr(monitor, "STALL_S", 0.5)
    monkeypatch.setattr(monitor, "LOOK_S", 0.2)
    take, deaf = agents.Intake.agent, {topics.FIXES}

    async def agent(intake: agents.Intake, stream: Any) -> None:
        if any(intake.topic.endswith(name) for name in deaf):
            deaf.clear()
            await asyncio.Event().wait()
        await take(intake, stream)

    monkeypatch.setattr(agents.Intake, "agent", agent)
    found = decode_positions([POSITION], None, limits=limits(Policies()))
    frame, topic = frames.encode(found.fixes), topics.named(topics.FIXES, settings.topic_prefix)

    async def until_counted() -> None:
        stop, metrics = asyncio.Event(), WorkerMetrics(Outages())
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all") as producer:
            await producer.send_and_wait(topic, frame, partition=1)
        looking = monitor.Monitor(settings, metrics, Outages())

        def counted() -> bool:
            with connect(settings.database) as connection:
                [(count,)] = connection.execute(
                    "select count(*) from frame_offset where topic = %s and next_offset = 1", [topic]
                ).fetchall()
                return bool(count)

        async def end() -> None:
            while not await asyncio.to_thread(counted):
                await asyncio.sleep(0.1)
            stop.set()

        with looking.watching():
            ending = asyncio.ensure_future(end())
            run = agents.run(settings, stop, metrics, stalled=looking.stalled)
            await asyncio.wait_for(asyncio.gather(run, ending), PATIENCE_S)

    asyncio.run(until_counted())
    assert not deaf
    assert f"nothing has come of {topic} 1 for" in caplog.text
