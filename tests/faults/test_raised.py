"""Partitions added under load: new ones are read, and devices that move to another one are counted right."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic

from stream import topics
from tests.shell.pipeline import Pipeline, assert_same, demo_facts, offline

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.kafka import RealKafka


@pytest.mark.slow
@pytest.mark.kafka
def test_partitions_added_under_load_are_read(real_kafka: RealKafka, database: str, tmp_path: Path) -> None:
    """Raised from three to seven while messages wait: the new ones are used, the tables those of the files.

    A device's frames lie in two partitions then, and are counted in either order.
    """
    facts = demo_facts(tmp_path, hours=0.5)
    chance = random.Random(3)
    cut = sorted(chance.sample(range(1, len(facts.messages)), 2))
    parts = [facts.messages[low:high] for low, high in zip([0, *cut], [*cut, None], strict=True)]
    with Pipeline(real_kafka.bootstrap, database, tmp_path, batch_fixes=200) as pipeline:
        pipeline.load_areas(facts)
        pipeline.post(parts[0])
        pipeline.wait(lambda: pipeline.counted() > 0, "the first frame is counted")
        pipeline.post(parts[1])
        wanted = [
            NewTopic(spec.name, spec.num_partitions, spec.replication_factor)
            for spec in topics.specs(pipeline.settings.topic_prefix, partitions=7)
        ]
        outcomes = asyncio.run(topics.ensure_topics(real_kafka.bootstrap, wanted))
        assert sum(outcome.did == "raised" for outcome in outcomes) == len(topics.RAW) + 2
        # Clients learn of it within METADATA_MS; until then ingest goes on with the partitions that it knows.
        held = iter(range(len(parts[2])))
        new = f"select count(*) from frame_offset where partition >= 3 and topic like '%{topics.FIXES}'"

        def used() -> bool:
            at = next(held, None)
            if at is not None:
                pipeline.post(parts[2][at : at + 1])
            return pipeline.ask(new) > 0

        pipeline.wait(used, "a new partition is counted", rest_s=0.05)
        pipeline.post([parts[2][at] for at in held])
        pipeline.settle()
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
