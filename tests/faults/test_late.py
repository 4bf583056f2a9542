"""Servers and topics that come later than the processes that need them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from stream.embedded import EmbeddedBroker, free_port
from stream.store.schema import connect, migrate
from tests.shell.pipeline import INGEST, WORKER, Pipeline, assert_same, demo_facts, offline

if TYPE_CHECKING:
    from pathlib import Path


class _Unprepared(Pipeline):
    """One whose processes start first."""

    def prepare(self) -> None:
        """Nothing yet."""

    def says(self, part: str, words: str) -> bool:
        """Whether a process's log has the words."""
        return words in self.log(part)


@pytest.mark.slow
def test_processes_started_first_wait_for_the_broker_and_its_topics(database: str, tmp_path: Path) -> None:
    """Ingest and worker say what they wait for, and go on by themselves when it is there."""
    facts = demo_facts(tmp_path, hours=0.5)
    port = free_port()
    with connect(database) as connection:
        migrate(connection)
    with _Unprepared(f"127.0.0.1:{port}", database, tmp_path) as pipeline:
        for part in (INGEST, WORKER):
            pipeline.wait(partial(pipeline.says, part, "waiting for Kafka"), f"{part} waits")
        with EmbeddedBroker(port):
            pipeline.wait(partial(pipeline.says, INGEST, "topics missing"), "ingest misses its topics")
            Pipeline.prepare(pipeline)
            pipeline.load_areas(facts)
            pipeline.send(facts.messages)
            pipeline.settle()
            assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
            pipeline.stop()
            pipeline.hang_up()
