"""Ingest against merely reading: ``python -m tests.bench.bench_ingest``.

On the embedded broker, the same messages are read in two ways: with aiokafka's ``getmany`` and msgspec, one
by one, and by ingest, which also judges them and writes frames. Both in one run, so that the ratio holds on
any machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream import topics
from stream.core import frames
from stream.core.events import UsableLimits, decode_positions
from stream.embedded import EmbeddedBroker
from stream.pipeline.ingest import IngestProgress, IngestSettings
from stream.pipeline.ingest import run as ingest
from tests.bench import Row, show

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_MS = 1_795_421_704_000  # 2026-11-23 08:15:04 UTC
LIMITS = UsableLimits(retention_s=400 * 86_400)
PARTITIONS = 4
ROUNDS = 2


class _Position(msgspec.Struct):
    device_id: str
    time: str
    lon: float
    lat: float
    error_m: float
    speed_mps: float
    heading_deg: float
    received: str


def messages(count: int, seed: int = 1) -> list[bytes]:
    """Position events of 2,000 devices, shaped like the contract's example."""
    chance = random.Random(seed)
    values = []
    for i in range(count):
        second = i * 3600 // count
        at = f"2026-11-23T07:{second // 60:02}:{second % 60:02}.{chance.randrange(1000):03}Z"
        event = {
            "device_id": str(2_345_000 + chance.randrange(2000)),
            "time": at,
            "lon": round(chance.uniform(-1.4, -0.9), 6),
            "lat": round(chance.uniform(52.4, 52.8), 6),
            "error_m": 8.0,
            "speed_mps": 1.3,
            "heading_deg": 270,
            "received": "2026-11-23T08:15:04.100Z",
            "reason": "max interval",
        }
        values.append(json.dumps(event).encode())
    return values


def run(count: int = 500_000) -> list[Row]:
    """Measures; ``count`` messages go through Kafka."""
    values = messages(min(count, 100_000))
    with EmbeddedBroker() as broker:
        return [*_core(values), *asyncio.run(_through_kafka(broker.bootstrap, values, count))]


def _core(values: Sequence[bytes]) -> list[Row]:
    received = np.full(len(values), AT_MS * 1000, np.int64)
    steps = {"decode": 0.0, "split": 0.0, "encode": 0.0}
    for low in range(0, len(values), 20_000):
        began = time.perf_counter()
        part = slice(low, low + 20_000)
        fixes = decode_positions(values[part], received[part], limits=LIMITS).fixes
        decoded = time.perf_counter()
        parts = frames.split(fixes, PARTITIONS, 50_000)
        divided = time.perf_counter()
        for _, share in parts:
            frames.encode(share)
        for name, spent in zip(
            steps, (decoded - began, divided - decoded, time.perf_counter() - divided), strict=True
        ):
            steps[name] += spent
    return [
        Row(f"ingest_{name}", spent / len(values) * 1e6, "µs/message", "one core, 20,000 at a time")
        for name, spent in steps.items()
    ]


async def _through_kafka(bootstrap: str, values: Sequence[bytes], count: int) -> list[Row]:
    await topics.ensure_topics(bootstrap, topics.specs(partitions=PARTITIONS))
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=2**18) as producer:
        for i in range(count):
            value = values[i % len(values)]
            await producer.send(topics.RADIO_POSITIONS, value, partition=i % PARTITIONS, timestamp_ms=AT_MS)
    # Turn and turn about, the best of each: whatever else the machine does meanwhile disturbs both.
    plain, rate, frame_count = 0.0, 0.0, 0
    for turn in range(ROUNDS):
        plain = max(plain, count / await _read(bootstrap, count))
        rate, frame_count = max((rate, frame_count), await _ingest(bootstrap, count, f"turn-{turn}"))
    return [
        Row("plain_read", plain, "messages/s", "getmany and msgspec one by one, nothing written"),
        Row("ingest", rate, "messages/s", f"{frame_count} frames written"),
        Row("ingest_ratio", rate / plain, "×", "ingest against plain reading, aim 0.5"),
    ]


async def _read(bootstrap: str, count: int) -> float:
    decode = msgspec.json.Decoder(_Position).decode
    consumer = AIOKafkaConsumer(
        topics.RADIO_POSITIONS,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 2**20,
    )
    async with consumer:
        began, left = time.perf_counter(), count
        while left > 0:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=50_000)).values():
                left -= len([decode(record.value) for record in records])
        return time.perf_counter() - began


async def _ingest(bootstrap: str, count: int, group: str) -> tuple[float, int]:
    """Messages settled a second, and the number of frames."""
    stop = asyncio.Event()
    settled: list[tuple[float, int]] = []

    def look(progress: IngestProgress) -> None:
        if progress.messages:
            settled.append((time.perf_counter(), progress.messages))
        if progress.messages >= count:
            stop.set()

    settings = IngestSettings(
        bootstrap, lambda: LIMITS, group_id=group, session_timeout_s=2.0, idempotent=False
    )
    done = await ingest(settings, stop, look)
    # From the first cycle's end to the last one's: before that, the group had to form.
    (began, first), (ended, last) = settled[0], max(settled, key=lambda at: (at[1], -at[0]))
    return (last - first) / (ended - began), done.frames


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=500_000)
    print(show(run(parser.parse_args().messages)))


if __name__ == "__main__":
    main()
