"""From the buffer to Kafka, in order, with ``acks=all``; or onto standard output, to look at."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

import click
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from geo.boundaries.layer import printable
from stream import topics
from stream.kafka_security import options, rotating
from stream.pipeline.bridge.buffer import MemoryBuffer
from stream.pipeline.bridge.intake import KINDS
from stream.pipeline.compression import fast_lz4
from stream.pipeline.outages import KAFKA, OUTAGES
from stream.pipeline.waiting import Backoff, first_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from stream.kafka_security import Where
    from stream.pipeline.bridge.buffer import Batch, Buffer, Record
    from stream.pipeline.bridge.metrics import BridgeMetrics

BATCH: Final = 500
_ACK_PATIENCE_S: Final = 10.0
_CLOSE_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class KafkaTarget:
    """Where records go: Kafka, the topics' prefix, and the kind of device."""

    kafka: Where
    prefix: str = ""
    kind: str = "radio"

    def named(self, topic: str) -> str:
        """A topic's full name."""
        return topics.named(topic, self.prefix)


async def send(buffer: Buffer, target: KafkaTarget, metrics: BridgeMetrics, ending: asyncio.Event) -> None:
    """Sends what is in the buffer; returns when told that it ends and nothing is left.

    Records of one device have one key, so one partition, and leave in order. A batch whose acknowledgement
    got lost is sent again: facts are sets, so nothing is counted twice. While Kafka is away or lacks a
    topic it waits and tries again.
    """
    backoff = Backoff()
    never = asyncio.Event()
    while not (ending.is_set() and not buffer.count):
        try:
            async with _producer(target) as producer:
                metrics.kafka_up.set(1)
                OUTAGES.well("bridge")
                while (batch := await _next(buffer, ending)) is not None:
                    await _ship(producer, target, batch)
                    buffer.done(batch)
                    metrics.sent.inc(len(batch.records))
                    backoff.reset()
        except (KafkaError, topics.TopicError, OSError, TimeoutError) as failure:
            metrics.kafka_up.set(0)
            OUTAGES.failed("bridge", KAFKA, failure)
            await backoff.pause(never)


async def _next(buffer: Buffer, ending: asyncio.Event) -> Batch | None:
    """The next batch; None when it ends and there is none."""
    while not (ending.is_set() and not buffer.count):
        waiting = asyncio.ensure_future(buffer.next(BATCH))
        if ending.is_set():
            return await waiting
        await first_of([waiting], ending)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
    return None


async def _ship(producer: AIOKafkaProducer, target: KafkaTarget, batch: Batch) -> None:
    sent: list[asyncio.Future[object]] = []
    try:
        async with asyncio.timeout(_ACK_PATIENCE_S):
            for record in batch.records:
                name, headers = target.named(record.topic), list(record.headers)
                sent.append(await producer.send(name, record.value, key=record.key, headers=headers))
            await asyncio.gather(*sent)
    finally:
        for acknowledgement in sent:
            acknowledgement.cancel()  # those that are done stay so


@contextlib.asynccontextmanager
async def _producer(target: KafkaTarget) -> AsyncIterator[AIOKafkaProducer]:
    await require(target)
    producer = AIOKafkaProducer(
        **options(target.kafka),
        acks="all",
        linger_ms=5,
        compression_type=fast_lz4(),
        max_request_size=topics.MAX_MESSAGE_BYTES,
        request_timeout_ms=round(_ACK_PATIENCE_S * 1000),
    )
    rotating(producer, target.kafka)
    try:
        await producer.start()
        yield producer
    finally:
        stopping = asyncio.ensure_future(producer.stop())
        await asyncio.wait({stopping}, timeout=_CLOSE_PATIENCE_S)
        if not stopping.done():
            stopping.cancel()
            with contextlib.suppress(KafkaError, OSError):
                await producer.client.close()


async def require(target: KafkaTarget) -> None:
    """Checks that Kafka answers and has the topics: some brokers would make them on the spot.

    Raises:
        TopicError: a topic is missing.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    present = await topics.existing(target.kafka)
    needed = {target.named(topic) for topic in (KINDS[target.kind], topics.DEAD_LETTERS)}
    if missing := sorted(needed - present):
        raise topics.TopicError(f"topics missing: {', '.join(missing)}; create them with: patrol init")


class PrintedBuffer(MemoryBuffer):
    """In place of a buffer: events as JSON lines, and a line for each reject.

    Args:
        events: where events go.
        rejects: where rejects go.
    """

    def __init__(self, events: TextIO, rejects: TextIO) -> None:
        super().__init__()
        self._events = events
        self._rejects = rejects
        self._printed = 0
        self._reasons: Counter[str] = Counter()

    async def accept(self, records: Sequence[Record]) -> None:
        """Prints records."""
        self.offer(records)

    def offer(self, records: Sequence[Record]) -> bool:
        """Prints records."""
        for record in records:
            if record.topic == topics.DEAD_LETTERS:
                said = dict(record.headers)
                detail = printable(said["detail"].decode())
                self._reasons[said["reason"].decode()] += 1
                raw = printable(record.value[:200].decode("utf-8", "replace"))
                click.echo(f"{said['reason'].decode()}: {detail}: {raw}", file=self._rejects)
            else:
                click.echo(record.value.decode(), file=self._events)
                self._printed += 1
        return True

    def summary(self) -> str:
        """How many events there were, and how many rejects by reason, in a line."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self._reasons.items()))
        said = f"{self._printed:,} position{'' if self._printed == 1 else 's'}"
        return f"{said}; rejected: {reasons or 'none'}"
