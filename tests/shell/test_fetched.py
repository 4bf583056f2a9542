"""How the clients of Kafka ask for messages, where only a made-up cluster shows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream import topics
from stream.core.events import UsableLimits
from stream.pipeline.agents import FETCH_WAIT_MS, build
from stream.pipeline.ingest import IngestProgress, IngestSettings, _Reporter, _Worker
from stream.settings import Settings
from tests import messages as examples

if TYPE_CHECKING:
    from collections.abc import Callable

NEAR, FAR = TopicPartition(topics.RADIO_POSITIONS, 0), TopicPartition(topics.RADIO_POSITIONS, 1)
"""Partitions of two brokers, of which the second answers a little later."""


@dataclass(frozen=True, slots=True)
class Record:
    """A message as the client gives it."""

    offset: int
    value: bytes = examples.POSITION
    timestamp: int = 1_795_421_704_000
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = None


@dataclass(slots=True)
class Consumer:
    """A client of a cluster of two brokers: what is asked for comes once both are not paused.

    Attributes:
        committed: what was committed, time after time.
        dropped: how often records were asked for while paused: the client would drop those at hand.
    """

    stop: asyncio.Event
    committed: list[dict[TopicPartition, int]] = field(default_factory=list)
    dropped: int = 0
    asked: int = 0
    at_hand: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    held: set[TopicPartition] = field(default_factory=set)
    later: asyncio.TimerHandle | None = None

    def _answered(self, partition: TopicPartition, offset: int) -> None:
        self.at_hand[partition] = [Record(offset)]

    def subscribe(self, names: list[str], listener: object) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return {NEAR, FAR}

    def paused(self) -> set[TopicPartition]:
        return set(self.held)

    def pause(self, *partitions: TopicPartition) -> None:
        self.held |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.held -= set(partitions)

    def highwater(self, partition: TopicPartition) -> int:
        return self.asked

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        self.dropped += bool(self.held)
        if not self.at_hand and timeout_ms:
            self._answered(NEAR, self.asked)
            self.later = asyncio.get_running_loop().call_later(0.001, self._answered, FAR, self.asked)
            self.asked += 1
        found, self.at_hand = self.at_hand, {}
        return found

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        self.committed.append({at: offset for at, (offset, _) in offsets.items()})
        if len(self.committed) == 3:
            self.stop.set()


class Producer:
    """Takes everything."""

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0}

    async def send_and_wait(self, *_: object, **__: object) -> None: ...


def worked(make: Callable[[asyncio.Event], Consumer]) -> tuple[Consumer, IngestProgress]:
    """Ingest on a made-up cluster until told to stop."""

    async def work() -> tuple[Consumer, IngestProgress]:
        stop = asyncio.Event()
        consumer, told = make(stop), _Reporter(None)
        settings = IngestSettings("", lambda: UsableLimits(retention_s=3650 * 86_400), gather_s=0.0)
        worker = _Worker(settings, consumer, Producer(), told)
        worker._incarnations = {topics.RADIO_POSITIONS: "one life"}
        async with asyncio.timeout(60):
            await worker.work(stop)
        return consumer, told.now

    return asyncio.run(work())


def test_what_several_brokers_answer_is_settled_together() -> None:
    """Messages that came of one round of requests leave together, and none that is at hand is dropped."""
    consumer, told = worked(Consumer)
    assert consumer.committed[:3] == [{NEAR: at, FAR: at} for at in (1, 2, 3)]
    assert (told.fixes, told.frames, consumer.dropped) == (6, 3, 0)


def test_a_worker_asks_again_soon() -> None:
    """What Faust has no setting for is set: Kafka holds a worker's request back for a quarter of a second."""

    async def made() -> tuple[Any, Any]:
        async def place(_consumer: object, _usual: object) -> None: ...

        app: Any = build(Settings(kafka="localhost:9"), place)
        thread = app.consumer._thread
        ours = thread._create_worker_consumer(app.transport)
        plain = AIOKafkaConsumer(bootstrap_servers="localhost:9", fetch_max_wait_ms=7)
        waits = ours._fetch_max_wait_ms, plain._fetch_max_wait_ms
        for consumer in (ours, plain):
            await consumer.stop()
        thread.thread_loop.close()
        return waits

    assert asyncio.run(made()) == (FETCH_WAIT_MS, 7)
