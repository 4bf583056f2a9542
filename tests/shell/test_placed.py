"""Where a worker begins to read: what becomes of it when that cannot be found out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiokafka.errors
import kafka.errors
import pytest

from stream import topics
from stream.pipeline import agents
from stream.pipeline.outages import Outages
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
