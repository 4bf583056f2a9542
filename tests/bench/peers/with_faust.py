"""The job as a Faust agent by hand: one position at a time, or packs of them that a process before it makes.

``python -m tests.bench.peers.with_faust one`` reads the raw topics. ``… packs`` reads packs of messages, a
message a line, which ``… pack`` makes of what it finds on the raw topics. State is in memory; offsets are
acknowledged after what they brought is written.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.bench.peers.job import WRITE_AFTER, WRITE_S, Given, Ground, Table, Track, count, read

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKS = "packs"
PACKED = 4_000
"""So many messages at most in a pack, of a partition; Kafka takes a megabyte."""


class Agent:
    """Reads events, counts them, and writes."""

    def __init__(self, given: Given) -> None:
        self._ground, self._table = Ground(given.areas), Table(given.database)
        self._tracks: dict[str, Track] = {}
        self._rows: dict[tuple[str, str], int] = {}
        self._waiting: list[Any] = []
        self._taken = 0

    def one(self, raw: bytes) -> None:
        """Takes a message."""
        self._taken += 1
        if (fix := read(raw)) is not None:
            count(((fix, self._ground.place(fix.lon, fix.lat)),), self._tracks, self._rows)

    def many(self, raws: Sequence[bytes]) -> None:
        """Takes messages: their places are looked up at once."""
        self._taken += len(raws)
        fixes = [fix for raw in raws if (fix := read(raw)) is not None]
        if fixes:
            places = self._ground.places([fix.lon for fix in fixes], [fix.lat for fix in fixes])
            count(zip(fixes, places, strict=True), self._tracks, self._rows)

    async def write(self, stream: Any) -> None:
        """Writes what changed, then acknowledges the events that brought it."""
        self._table.write(self._rows)
        waiting, self._waiting, self._taken = self._waiting, [], 0
        self._rows.clear()
        for event in waiting:
            await stream.ack(event)

    async def run(self, stream: Any, *, packs: bool) -> None:
        """Takes all events of a stream."""
        async for event in stream.noack().events():
            if packs:
                self.many(event.value.split(b"\n"))
            else:
                self.one(event.value)
            self._waiting.append(event)
            if self._taken >= WRITE_AFTER:
                await self.write(stream)


def worker(given: Given, *, packs: bool) -> None:
    """Runs an app with the agent until it is ended."""
    app = faust.App(
        f"{given.prefix}faust",
        broker=f"kafka://{given.kafka}",
        datadir=given.folder,
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
    )
    agent = Agent(given)
    names = (f"{given.prefix}{PACKS}",) if packs else given.topics
    streams: list[Any] = []

    async def positions(stream: Any) -> None:
        streams.append(stream)
        await agent.run(stream, packs=packs)

    async def tail() -> None:
        for stream in streams:
            await agent.write(stream)

    app.agent(app.topic(*names, value_type=bytes, value_serializer="raw"))(positions)
    app.timer(WRITE_S)(tail)
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


async def pack(given: Given) -> None:
    """Joins the messages that wait in each partition, until it is ended."""
    consumer = AIOKafkaConsumer(
        *given.topics,
        bootstrap_servers=given.kafka,
        group_id=f"{given.prefix}pack",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(bootstrap_servers=given.kafka, acks="all")
    async with producer, consumer:
        committed = time.monotonic()
        reached: dict[TopicPartition, int] = {}
        while True:
            found = await consumer.getmany(timeout_ms=200, max_records=8 * PACKED)
            sent = []
            for where, messages in found.items():
                for at in range(0, len(messages), PACKED):
                    body = b"\n".join(message.value for message in messages[at : at + PACKED])
                    sent.append(
                        await producer.send(f"{given.prefix}{PACKS}", body, partition=where.partition)
                    )
                reached[where] = messages[-1].offset + 1
            if sent:
                await asyncio.gather(*sent)
            if reached and time.monotonic() - committed > WRITE_S:
                await consumer.commit(reached)
                committed, reached = time.monotonic(), {}


def main(words: Sequence[str]) -> None:
    """Runs what is named."""
    given = Given.here()
    if words == ["pack"]:
        asyncio.run(pack(given))
    else:
        worker(given, packs=words == ["packs"])


if __name__ == "__main__":
    main(sys.argv[1:])
