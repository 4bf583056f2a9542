"""Topics deleted and made again behind the back of who reads them, with more in them than there was."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.shell.pipeline import INGEST, WORKER, Pipeline, assert_same, demo_facts, offline

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.kafka import RealKafka


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("slept", [INGEST, WORKER])
def test_nothing_is_passed_over_in_a_topic_that_was_made_again(
    slept: str, real_kafka: RealKafka, database: str, tmp_path: Path
) -> None:
    """Who slept meanwhile stands amid the new topic, and would go on there: all of it is counted.

    The session outlasts the sleep, so no partition moves, and nobody is told that there is another topic.
    """
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    messages = random.Random(7).sample(facts.messages, len(facts.messages))
    cut = len(messages) // 5
    with Pipeline(real_kafka.bootstrap, database, tmp_path, batch_fixes=200, session_s=60.0) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(messages[:cut], portions=6)
        pipeline.settle()
        pipeline.halt(slept)
        pipeline.forget_topics()
        pipeline.prepare()
        pipeline.post(messages[cut:])
        if slept == WORKER:
            pipeline.wait(pipeline.taken, "ingest has taken what is in the new topics")
        pipeline.go_on(slept)
        # What ingest read before it noticed was heard twice, once of each topic; facts are sets.
        pipeline.wait(pipeline.taken, "all that was sent is taken by ingest")
        pipeline.wait(pipeline.caught_up, "all that was sent is counted")
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))


@pytest.mark.slow
@pytest.mark.kafka
def test_a_place_reached_in_the_topic_before_is_not_gone_on_from(
    real_kafka: RealKafka, database: str, tmp_path: Path
) -> None:
    """Ingest that was killed before it noticed left such a place in the new topic: all of it is counted."""
    facts = demo_facts(tmp_path, hours=0.5, interval_s=15.0)
    messages = random.Random(8).sample(facts.messages, len(facts.messages))
    cut = len(messages) // 5
    with Pipeline(real_kafka.bootstrap, database, tmp_path, batch_fixes=200) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(messages[:cut], portions=6)
        pipeline.settle()
        pipeline.kill(INGEST)
        reached = pipeline.reached()
        assert sum(each.offset for each in reached.values()) == cut
        pipeline.forget_topics()
        pipeline.prepare()
        pipeline.post(messages[cut:])
        pipeline.leave(reached)
        pipeline.start(INGEST)
        pipeline.wait(pipeline.taken, "all that was sent is taken by ingest")
        pipeline.wait(pipeline.caught_up, "all that was sent is counted")
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
