"""The errands of ``stream.pipeline.stages`` as tasks: beside the stages of a worker, or in a process alone.

Each is done by one process, elected by a lock in the database, of all that run it. In Python one thread at a
time works: where very many officers are counted, errands in a worker's own process slow its transactions
down, and have theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from stream import topics
from stream.kafka_security import options, rotating
from stream.pipeline.outages import DATABASE, OUTAGES
from stream.pipeline.stages import ERRANDS
from stream.pipeline.waiting import Backoff, first_of
from stream.store.policies import agreed
from stream.store.schema import connect, require

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from stream.settings import Settings

FAREWELL_S = 4.0
"""So long Kafka may take to say goodbye."""
SENT_BYTES = 2**18
"""So much to one partition leaves as one request: all figures that changed at once."""


class Sender:
    """Sends messages to topics, many together: by themselves each costs as much as fifty in a batch.

    Args:
        settings: Kafka, the topics' prefix.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._partition = DefaultPartitioner()

    async def send(self, topic: str, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Sends keys and values, and returns when Kafka has them.

        Args:
            topic: without the prefix.
            messages: those of one key arrive in their order.

        Raises:
            KafkaError: Kafka did not take them all.
        """
        if not messages:
            return
        producer, name = await self._started(), topics.named(topic, self._settings.topic_prefix)
        numbers = sorted(await producer.partitions_for(name))
        parts: dict[int, list[tuple[bytes, bytes]]] = {}
        for message in messages:
            # Working out a key's partition takes the client longer than all the rest.
            number = self._partition(message[0], numbers, numbers) if len(numbers) > 1 else numbers[0]
            parts.setdefault(number, []).append(message)
        outcomes: list[Any] = await asyncio.gather(
            *(self._send(producer, name, number, part) for number, part in parts.items()),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    @staticmethod
    async def _send(
        producer: AIOKafkaProducer, name: str, partition: int, messages: Sequence[tuple[bytes, bytes]]
    ) -> None:
        batch, sent = producer.create_batch(), []
        for key, value in messages:
            if batch.append(key=key, value=value, timestamp=None) is None:  # it is full
                sent.append(await producer.send_batch(batch, name, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        sent.append(await producer.send_batch(batch, name, partition=partition))
        await asyncio.gather(*sent)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **options(self._settings.brokers),
                    max_batch_size=SENT_BYTES,
                    max_request_size=topics.MAX_MESSAGE_BYTES,
                    metadata_max_age_ms=topics.METADATA_MS,
                )
                rotating(producer, self._settings.brokers)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Ends the connections; what was not sent yet is not."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                await producer.stop()


class Timers:
    """The errands.

    Args:
        settings: Kafka, database, how often.
        counted: set whenever this process has committed a batch.

    Attributes:
        tasks: by name of the errand: does it until cancelled.
    """

    def __init__(self, settings: Settings, counted: asyncio.Event) -> None:
        self._sender = Sender(settings)
        self._elected = [errand.elect(settings) for errand in ERRANDS]
        self.tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = {
            errand.name: partial(errand.run, elected, settings, self._sender.send, counted)
            for errand, elected in zip(ERRANDS, self._elected, strict=True)
        }

    async def farewell(self) -> None:
        """Says goodbye to Kafka, which takes long where it is away; what was not sent yet is not."""
        await self._sender.close()

    def close(self) -> None:
        """Gives up every lock."""
        for elected in self._elected:
            elected.close()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Does the errands and nothing else, until ``stop`` is set.

    Args:
        settings: Kafka, database, how often.
        stop: set it to end.

    Raises:
        SchemaError: the database's schema is not up to date.
        SettingsError: the mail file cannot be used, or PATROL_POLICY differs from the database.
        Exception: a fault of the program: better to end and be restarted than to continue in a bad state.
    """
    mailing(settings)
    backoff = Backoff()

    def look() -> None:
        with connect(settings.database, name="patrol timers") as connection:
            require(connection)
            agreed(connection, settings)

    while not stop.is_set():
        try:
            await asyncio.to_thread(look)
        except psycopg.OperationalError as failure:
            OUTAGES.failed("timers", DATABASE, failure)
        else:
            OUTAGES.well("timers")
            break
        await backoff.pause(stop)
    else:
        return
    timers = Timers(settings, asyncio.Event())
    tasks = [asyncio.create_task(task(), name=name) for name, task in timers.tasks.items()]
    try:
        await first_of(tasks, stop)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        closing = asyncio.ensure_future(timers.farewell())
        await asyncio.wait([closing], timeout=FAREWELL_S)
        closing.cancel()
        await asyncio.to_thread(timers.close)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def mailing(settings: Settings) -> None:
    """Reads the mail file where there is one: one that cannot be used is better known now than on Monday.

    Raises:
        SettingsError: it cannot be used.
    """
    if settings.mail:
        from stream.pipeline.mail import read_mailing

        read_mailing(settings.mail)
