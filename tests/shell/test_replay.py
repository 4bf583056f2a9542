"""Replay: what is sent when, with a clock of our own, and what arrives on a real broker."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import topics
from stream.core.calendar import moment
from stream.core.facts import SECOND
from stream.embedded import free_port
from stream.files.replay import Clock, Outgoing, Replayed, paced, replay, send_simulation
from stream.simulate import TOPICS, demo_force, simulate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from aiokafka import ConsumerRecord

    from stream.embedded import EmbeddedBroker

START = 1_795_158_000 * SECOND
PATIENCE_S = 30.0


class FakeClock(Clock):
    """A clock that jumps over every wait."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        """The time, moved by nobody but the waits and the test."""
        return self.time

    async def wait(self, seconds: float, stop: asyncio.Event) -> None:
        """Jumps."""
        assert not stop.is_set()
        self.waits.append(seconds)
        self.time += seconds


def outgoing(send: Iterable[int]) -> Outgoing:
    """Messages due at some times, numbered."""
    due = np.array(list(send), np.int64)
    names = [str(at).encode() for at in range(len(due))]
    return Outgoing(due, np.zeros(len(due), np.int64), names, names)


# --- The pace --------------------------------------------------------------------------------------------

gaps = st.lists(st.lists(st.integers(0, 90 * SECOND), max_size=8), max_size=4)


@settings(max_examples=60, deadline=None)
@given(gaps, st.sampled_from([0.5, 1.0, 7.0, 600.0]), st.sampled_from([0.01, 0.05, 2.0]), st.integers(1, 5))
def test_nothing_is_early_and_nothing_late(
    found: list[list[int]], speed: float, slice_s: float, most: int
) -> None:
    """Each message is handed out once, in order, when it is due by the clock, or up to one slice later."""
    clock, at = FakeClock(), START
    batches = []
    for some in found:
        times = at + np.cumsum(np.array(some, np.int64))
        at = int(times[-1]) if len(times) else at
        batches.append(outgoing(times.tolist()))
    wanted = [int(send) for batch in batches for send in batch.send]
    handed: list[tuple[int, float]] = []

    async def run() -> None:
        stop = asyncio.Event()
        slices = paced(batches, speed=speed, clock=clock, stop=stop, slice_s=slice_s, slice_messages=most)
        async for messages in slices:
            assert 0 < len(messages) <= most
            handed.extend((int(send), clock.time) for send in messages.send)

    asyncio.run(run())
    assert [send for send, _ in handed] == wanted
    for send, when in handed:
        due = 1000.0 + (send - wanted[0]) / SECOND / speed
        assert due - 1e-6 <= when <= due + slice_s + 1e-6


def test_a_slow_receiver_is_not_made_to_wait() -> None:
    """Where the receiver falls behind, what is overdue follows at once."""
    clock = FakeClock()

    async def run() -> list[float]:
        found = []
        async for messages in paced(
            [outgoing(START + second * SECOND for second in range(100))],
            speed=1.0,
            clock=clock,
            stop=asyncio.Event(),
            slice_messages=1,
        ):
            found.append(clock.time - 1000.0 - (int(messages.send[0]) - START) / SECOND)
            clock.time += 3.0
        return found

    lates = asyncio.run(run())
    assert lates == [pytest.approx(2.0 * at) for at in range(100)]
    assert clock.waits == []


def test_speed_zero_never_waits() -> None:
    """At speed 0 everything goes out at once, in slices, without asking when it is due."""
    clock = FakeClock()

    async def run() -> list[int]:
        batches = [outgoing(START + hour * 3600 * SECOND for hour in range(10))] * 3
        slices = paced(batches, speed=0, clock=clock, stop=asyncio.Event(), slice_messages=4)
        return [len(messages) async for messages in slices]

    assert asyncio.run(run()) == [4, 4, 2] * 3
    assert clock.waits == []


def test_stop_ends_it() -> None:
    """Once stopped, nothing more is handed out."""

    async def run() -> int:
        stop, count = asyncio.Event(), 0
        batches = [outgoing([START, START + SECOND, START + 2 * SECOND])]
        async for messages in paced(batches, speed=1.0, clock=FakeClock(), stop=stop):
            count += len(messages)
            if count == 2:
                stop.set()
        return count

    assert asyncio.run(run()) == 2


# --- On a broker -----------------------------------------------------------------------------------------

PARTITIONS = 3


async def made(bootstrap: str) -> str:
    """Topics under a prefix of the test's own."""
    prefix = f"{uuid.uuid4().hex[:8]}."
    await topics.ensure_topics(bootstrap, topics.specs(prefix, partitions=PARTITIONS))
    return prefix


async def arrived(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    """The messages on a topic, as many as are waited for, each partition's in its order."""
    parts = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    async with consumer, asyncio.timeout(PATIENCE_S):
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        found: list[ConsumerRecord] = []
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        # The embedded broker's own count of a topic's messages cannot be relied on.
        assert not await consumer.getmany(timeout_ms=100)
    assert len(found) == count
    return found


@pytest.mark.parametrize("broker", ["embedded_broker", pytest.param("real_kafka", marks=pytest.mark.kafka)])
def test_a_simulation_arrives_whole(broker: str, request: pytest.FixtureRequest) -> None:
    """Every message of a simulation arrives on its topic with its key and its time, each key's in order."""
    bootstrap = request.getfixturevalue(broker).bootstrap
    # A broker has a clock of its own, and takes neither the future nor the distant past.
    yesterday = (int(time.time()) - 86_400) * SECOND
    simulation = simulate(demo_force(1), officers=10, start=yesterday, hours=1, interval_s=10, seed=3)
    told: list[int] = []

    async def run() -> tuple[int, dict[str, list[ConsumerRecord]]]:
        prefix = await made(bootstrap)
        sent = await send_simulation(
            simulation, bootstrap, prefix=prefix, speed=0, on_progress=lambda sent, _: told.append(sent)
        )
        return sent, {name: await arrived(bootstrap, prefix + name, len(wanted[name])) for name in TOPICS}

    wanted: dict[str, list[tuple[bytes, bytes]]] = {name: [] for name in TOPICS}
    for batch in simulation.messages():
        for topic, key, value in zip(batch.topic.tolist(), batch.key, batch.value, strict=True):
            wanted[TOPICS[topic]].append((key, value))
    sent, found = asyncio.run(run())
    assert sent == sum(map(len, wanted.values())) == told[-1]
    assert told == sorted(told)
    for name in TOPICS:
        records = [(record.key, record.value) for record in found[name]]
        assert sorted(records) == sorted(wanted[name])
        for key in {record[0] for record in records}:
            of_key = [record for record in records if record[0] == key]
            assert of_key == [record for record in wanted[name] if record[0] == key]


def test_a_simulation_keeps_its_pace_on_a_broker(embedded_broker: EmbeddedBroker) -> None:
    """At speed 60 an hour of messages takes the clock a minute, whatever the broker takes."""
    simulation = simulate(demo_force(1), officers=4, start=START, hours=1, interval_s=60, seed=3)
    clock = FakeClock()

    async def run() -> int:
        prefix = await made(embedded_broker.bootstrap)
        return await send_simulation(
            simulation, embedded_broker.bootstrap, prefix=prefix, speed=60, clock=clock
        )

    sent = asyncio.run(run())
    times = np.concatenate([batch.send for batch in simulation.messages()])
    assert sent == len(times)
    took = (times[-1] - times[0]) / SECOND / 60
    assert took - 1e-6 <= clock.time - 1000.0 <= took + 0.05 + 1e-6


CSV = b"""device_id,time,lon,lat,kind,received
r1,2026-11-20T10:00:05Z,-1.0,52.0,radio,
v1,2026-11-20T10:00:01Z,-1.0,52.0,vehicle,
r1,2026-11-20T10:00:00Z,-1.0,52.0,radio,2026-11-20T10:00:09Z
short,2026-11-20T10:00:00Z
r2,never,-1.0,52.0,,
r2,2026-11-20T10:00:03Z,-1.0,52.0,,
"""


def test_a_file_goes_to_the_topics_by_kind_in_order_of_time(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Rows go to the topic of their kind when they were received, bad values too; what is no row is told."""
    (tmp_path / "a.csv").write_bytes(CSV)
    before = time.time_ns() // 1_000_000

    async def run() -> tuple[Replayed, list[ConsumerRecord], list[ConsumerRecord]]:
        bootstrap = embedded_broker.bootstrap
        prefix = await made(bootstrap)
        done = await replay(tmp_path / "a.csv", bootstrap, prefix=prefix, speed=0)
        radios = await arrived(bootstrap, prefix + topics.RADIO_POSITIONS, 4)
        return done, radios, await arrived(bootstrap, prefix + topics.VEHICLE_POSITIONS, 1)

    done, radios, vehicles = asyncio.run(run())
    assert done.sent == 5
    assert [reject.index for reject in done.left_out] == [5]
    assert [record.key for record in vehicles] == [b"v1"]
    of_r1 = [json.loads(record.value)["time"] for record in radios if record.key == b"r1"]
    assert of_r1 == ["2026-11-20T10:00:05Z", "2026-11-20T10:00:00Z"]  # the second was received later
    # Stamped when it was sent, whatever its own time: Kafka keeps records by their stamps.
    sent_at = min(record.timestamp for record in radios + vehicles)
    assert before <= sent_at <= time.time_ns() // 1_000_000


def test_what_traccar_forwarded_goes_out_when_its_server_had_it(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Traccar's messages follow each other as ``serverTime`` says, those without one as ``fixTime`` does."""
    chance = random.Random(3)
    lines, due = [], []
    for number in range(60):
        fixed = START + chance.randrange(3600) * SECOND
        served = fixed + chance.choice((1, 60, 1800)) * SECOND + number if chance.random() < 0.7 else None
        position: dict[str, object] = {
            "fixTime": fixed // 1000,
            "longitude": -1.1,
            "latitude": 52.6,
            "id": number,
        }
        if served is not None or number % 2:
            position["serverTime"] = served if served is None else moment(served).isoformat()
        lines.append(json.dumps({"position": position, "device": {"uniqueId": "v1"}}))
        due.append((fixed if served is None else served, number))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))

    async def run() -> list[ConsumerRecord]:
        bootstrap = embedded_broker.bootstrap
        prefix = await made(bootstrap)
        await replay(tmp_path / "a.jsonl", bootstrap, prefix=prefix, speed=0)
        return await arrived(bootstrap, prefix + topics.VEHICLE_POSITIONS, len(lines))

    records = asyncio.run(run())
    assert [json.loads(record.value)["position"]["id"] for record in records] == [
        number for _, number in sorted(due)
    ]


def test_a_file_may_go_to_one_topic(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    """With a topic named, everything goes there: the force's own, under the prefix."""
    (tmp_path / "a.csv").write_bytes(CSV)

    async def run() -> list[ConsumerRecord]:
        bootstrap = embedded_broker.bootstrap
        prefix = await made(bootstrap)
        await replay(tmp_path / "a.csv", bootstrap, topic=topics.VEHICLE_POSITIONS, prefix=prefix, speed=0)
        return await arrived(bootstrap, prefix + topics.VEHICLE_POSITIONS, 5)

    assert {record.key for record in asyncio.run(run())} == {b"r1", b"r2", b"v1"}


def test_a_long_file_keeps_its_own_order(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    """A file too long to be sorted is sent as it stands, and what came late in it is counted."""
    (tmp_path / "a.csv").write_bytes(CSV)

    async def run() -> tuple[Replayed, list[ConsumerRecord]]:
        bootstrap = embedded_broker.bootstrap
        prefix = await made(bootstrap)
        named = prefix + topics.RADIO_POSITIONS
        done = await replay(tmp_path / "a.csv", bootstrap, topic=named, speed=0, sort_up_to=2)
        return done, await arrived(bootstrap, named, 5)

    done, records = asyncio.run(run())
    assert done.reordered == 2  # v1 came after 10:00:05, and the last row after 10:00:09
    assert len(records) == done.sent == 5


def test_a_broker_that_is_away_is_an_error_at_once(tmp_path: Path) -> None:
    """Where no broker answers, a replay ends with the client's own error and leaves nothing open."""
    (tmp_path / "a.csv").write_bytes(CSV)
    with pytest.raises(KafkaConnectionError):
        asyncio.run(replay(tmp_path / "a.csv", f"127.0.0.1:{free_port()}", speed=0))


def test_a_senseless_speed_is_refused(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    """A negative speed is an error that says what to give."""
    (tmp_path / "a.csv").write_bytes(CSV)

    async def run() -> None:
        prefix = await made(embedded_broker.bootstrap)
        await replay(tmp_path / "a.csv", embedded_broker.bootstrap, prefix=prefix, speed=-1)

    with pytest.raises(ValueError, match="speed is -1"):
        asyncio.run(run())
