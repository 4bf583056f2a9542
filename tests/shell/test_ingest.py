"""Ingest on a running broker: all that comes in goes out, at least once, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, codec
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaTimeoutError
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from stream import topics
from stream.core import frames, heard_frames
from stream.core.events import Reason, UsableLimits, decode_duties, decode_positions, decode_states
from stream.core.quality.heard import Heard, heard
from stream.embedded import EmbeddedBroker, free_port
from stream.pipeline import ingest as ingest_module
from stream.pipeline.compression import LEVEL, fast_lz4
from stream.pipeline.ingest import MAX_EVENT_BYTES, IngestProgress, IngestSettings, run
from tests import messages as examples
from tests.shell.kafka import RealKafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

# Kafka takes no message from the future, so the contract's examples happened a year earlier.
AT_MS = 1_763_885_704_000  # 2025-11-23 08:15:04 UTC
POSITION, TRACCAR, DUTY, STATE = (
    event.replace(b"2026", b"2025")
    for event in (examples.POSITION, examples.TRACCAR, examples.DUTY, examples.STATE)
)
PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
_worlds = itertools.count(1)

both = pytest.mark.parametrize(
    "broker", ["embedded_broker", pytest.param("real_kafka", marks=pytest.mark.kafka)]
)


@dataclass(frozen=True)
class World:
    """A broker, and topics and a consumer group on it that are a test's own."""

    bootstrap: str
    prefix: str
    partitions: int = 2
    sent: dict[TopicPartition, int] = field(default_factory=dict)
    """The end of each raw partition, as far as this test wrote to it."""

    def settings(self, **changes: Any) -> IngestSettings:
        usual: dict[str, Any] = {"session_timeout_s": 2.0, "idempotent": False, "group_id": self.prefix}
        return IngestSettings(
            self.bootstrap, lambda: UsableLimits(retention_s=3650 * 86_400), self.prefix, **usual | changes
        )

    @property
    def specs(self) -> dict[str, NewTopic]:
        wanted = topics.specs(self.prefix, partitions=self.partitions)
        return {spec.name.removeprefix(self.prefix): spec for spec in wanted}

    async def create(self, **configs: dict[str, str]) -> None:
        """Creates the topics, some with settings of their own (dots in names are written as underscores)."""
        wanted = []
        for topic, spec in self.specs.items():
            more = configs.get(topic.replace(".", "_"), {})
            config = {**spec.topic_configs, "retention.ms": "-1", **more}  # or Kafka clears away old messages
            wanted.append(
                NewTopic(spec.name, spec.num_partitions, spec.replication_factor, topic_configs=config)
            )
        await topics.ensure_topics(self.bootstrap, wanted)

    async def send(self, topic: str, values: Iterable[bytes | None], timestamp_ms: int = AT_MS) -> None:
        """Sends messages as an outside system would; returns when Kafka has them."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, max_request_size=2**22)
        async with producer:
            waiting = [
                await producer.send(
                    self.prefix + topic, value, key=str(i).encode(), timestamp_ms=timestamp_ms
                )
                for i, value in enumerate(values)
            ]
            for done in await asyncio.gather(*waiting):
                at = done.topic_partition
                self.sent[at] = max(self.sent.get(at, 0), done.offset + 1)

    async def send_tombstone(self, topic: str) -> None:
        """Sends a message without value and key, as only some clients can."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            batch = producer.create_batch()
            batch.append(key=None, value=None, timestamp=AT_MS)
            sent = await producer.send_batch(batch, self.prefix + topic, partition=0)
            done = await sent
            self.sent[done.topic_partition] = max(self.sent.get(done.topic_partition, 0), done.offset + 1)

    def _of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(self.prefix + topic, p) for p in range(self.specs[topic].num_partitions)]

    async def all_of(self, topic: str) -> list[Any]:
        """All records that a topic holds now."""
        records: list[Any] = []
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, fetch_max_wait_ms=50)
        async with consumer:
            left = set(self._of(topic))
            consumer.assign(left)
            await consumer.seek_to_beginning()
            # The end is asked of the fetches: the embedded broker answers the question for it wrongly.
            while left:
                for fetched in (await consumer.getmany(timeout_ms=20)).values():
                    records += fetched
                left = {at for at in left if await consumer.position(at) != consumer.highwater(at)}
        return records

    async def fixes(self) -> Counter[tuple[str, int]]:
        """How often each fix (device, second) stands in a frame."""
        found: Counter[tuple[str, int]] = Counter()
        for record in await self.all_of(topics.FIXES):
            fixes = frames.decode(record.value).fixes
            owners = {frames.partition_of(name, self.partitions) for name in fixes.device_ids}
            assert owners == {record.partition}
            names = [fixes.device_ids[code] for code in fixes.device.tolist()]
            found.update(zip(names, (fixes.time // 1_000_000).tolist(), strict=True))
        return found

    async def assert_heard(self) -> None:
        """Counted in the order of the topic, heard frames say how each message was judged, each once."""
        parts = []
        for topic in (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS):
            records = await self.all_of(topic)
            decoded = decode_positions(
                [record.value for record in records],
                np.array([record.timestamp for record in records], np.int64) * 1000,
                limits=self.settings().limits(),
                traccar=topic == topics.VEHICLE_POSITIONS,
            )
            parts.append(heard(decoded.judged))
        found, reached = heard_frames.fresh(
            [heard_frames.decode(record.value) for record in await self.all_of(topics.HEARD)], {}
        )
        assert _table(found) == _table(Heard.joined(parts))
        assert all(incarnation for _, _, incarnation in reached)
        ends = {TopicPartition(topic, partition): end for (topic, partition, _), end in reached.items()}
        assert ends == {at: end for at, end in self.sent.items() if at.topic.endswith(".positions")}

    async def behind(self) -> int:
        """How many of the messages sent are not yet committed by ingest's group."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=self.prefix, enable_auto_commit=False
        ) as consumer:
            consumer.assign(list(self.sent))
            return sum([end - (await consumer.committed(at) or 0) for at, end in self.sent.items()])

    async def finish(self, **changes: Any) -> IngestProgress:
        """Runs ingest until nothing is left to do."""
        async with self.running(**changes) as ingest:
            while await self.behind():
                await ingest.news()
        return await ingest.task

    @contextlib.asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Running]:
        """Ingest beside the test; it is stopped orderly at the end."""
        ingest = Running(self.settings(**changes))
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield ingest
        finally:
            ingest.stop.set()
            await ingest.task


def _table(found: Heard) -> list[tuple[object, ...]]:
    """Counts as rows, with the devices' names."""
    columns = (found.device, found.day, found.verdict, found.delay, found.count)
    return [
        (found.device_ids[device], *rest)
        for device, *rest in zip(*(column.tolist() for column in columns), strict=True)
    ]


class Running:
    """Ingest in a task, and what it tells."""

    def __init__(self, settings: IngestSettings) -> None:
        self.stop = asyncio.Event()
        self._told: asyncio.Queue[IngestProgress] = asyncio.Queue()
        self.task = asyncio.create_task(run(settings, self.stop, self._told.put_nowait))

    async def news(self) -> IngestProgress:
        """What it tells next; fails where it has died."""
        told = asyncio.create_task(self._told.get())
        await asyncio.wait({told, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            told.cancel()
            self.task.result()
        return await told

    async def until(self, enough: Callable[[IngestProgress], bool]) -> IngestProgress:
        while not enough(progress := await self.news()):
            pass
        return progress


@pytest.fixture
def world(request: pytest.FixtureRequest, broker: str) -> World:
    """Topics of this test's own on a running broker."""
    return World(request.getfixturevalue(broker).bootstrap, f"ingest{next(_worlds)}.")


def _fix(i: int) -> tuple[str, int]:
    return f"r{i % 7}", AT_MS // 1000 - i


def _position(i: int) -> bytes:
    device, second = _fix(i)
    return json.dumps({"device_id": device, "time": second * 1000, "lon": -1.1, "lat": 52.6}).encode()


_NOWHERE = _position(1).replace(b"-1.1", b"0").replace(b"52.6", b"0")


def _headers(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


# --- What comes in goes out ------------------------------------------------------------------------------


@both
def test_good_and_bad_messages_go_where_they_belong(world: World) -> None:
    """Fixes leave as frames, duty events as lines, and every reject unchanged with its reason, once each."""

    async def scenario() -> None:
        await world.create()
        bad: dict[str, list[bytes | None]] = {
            topics.RADIO_POSITIONS: [None, b"\xff\x00", b"{}", _NOWHERE],
            topics.DUTY_STATES: [STATE.replace(b"4}", b"4000}")],
        }
        await world.send(topics.RADIO_POSITIONS, [POSITION, *bad[topics.RADIO_POSITIONS]])
        await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(1000)])
        await world.send(topics.VEHICLE_POSITIONS, [TRACCAR])
        await world.send(topics.DUTY_BOOKINGS, [DUTY])
        await world.send(topics.DUTY_STATES, [STATE, *bad[topics.DUTY_STATES], STATE])

        progress = await world.finish()
        assert (progress.messages, progress.fixes, progress.duties, progress.states) == (1010, 1002, 1, 2)
        assert progress.rejects == {
            Reason.NOT_JSON: 2,
            Reason.MISSING_FIELD: 1,
            Reason.ZERO_POSITION: 1,
            Reason.BAD_VALUE: 1,
        }
        wanted = Counter([_fix(i) for i in range(1000)])
        wanted.update([("2345678", AT_MS // 1000 - 1), ("FX12ABC", AT_MS // 1000 - 1)])
        assert await world.fixes() == wanted
        await world.assert_heard()

        events = await world.all_of(topics.DUTIES)
        lines = [(_headers(record)["kind"], frames.decode_lines(record.value)) for record in events]
        assert {record.partition for record in events} == {frames.partition_of("1001", 2)}
        duties = [duty for kind, values in lines if kind == "duties" for duty in decode_duties(values)[0]]
        states = [state for kind, values in lines if kind == "states" for state in decode_states(values)[0]]
        assert duties == decode_duties([DUTY])[0]
        assert states == decode_states([STATE, STATE])[0]

        letters = await world.all_of(topics.DEAD_LETTERS)
        raw = {
            (record.topic, record.partition, record.offset): record
            for topic in bad
            for record in await world.all_of(topic)
        }
        assert Counter(letter.value for letter in letters) == Counter(itertools.chain(*bad.values()))
        for letter in letters:
            headers = _headers(letter)
            assert tuple(headers) == topics.DEAD_LETTER_HEADERS
            original = raw[headers["topic"], int(headers["partition"]), int(headers["offset"])]
            assert (letter.value, letter.key) == (original.value, original.key)
            assert headers["time"] == "2025-11-23T08:15:04.000Z"
            assert headers["detail"]

    asyncio.run(scenario())


@both
def test_an_orderly_stop_and_start_repeats_nothing(world: World) -> None:
    """What an orderly ended run has settled is not read again by the next."""

    async def scenario() -> None:
        await world.create()
        for part in (range(100), range(100, 200)):
            await world.send(topics.RADIO_POSITIONS, [_position(i) for i in part])
            await world.finish()
        assert await world.fixes() == Counter(_fix(i) for i in range(200))
        await world.assert_heard()

    asyncio.run(scenario())


@both
def test_a_backlog_makes_large_frames(world: World) -> None:
    """Messages that wait are packed into few frames, none larger than asked for."""

    async def scenario() -> None:
        await world.create()
        await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(20_000)])
        progress = await world.finish(max_frame_fixes=6_000)
        sizes = [len(frames.decode(r.value).fixes) for r in await world.all_of(topics.FIXES)]
        assert (sum(sizes), max(sizes) <= 6_000, len(sizes)) == (20_000, True, progress.frames)
        assert progress.frames < 20

    asyncio.run(scenario())


@both
def test_a_message_of_nothing_is_a_dead_letter(world: World) -> None:
    """A message with neither value nor key is rejected like any other, and ingest goes on."""

    async def scenario() -> None:
        await world.create()
        for topic in topics.RAW:
            await world.send_tombstone(topic)
        await world.send(topics.RADIO_POSITIONS, [_position(1)])
        progress = await world.finish()
        assert (progress.fixes, progress.rejects) == (1, {Reason.NOT_JSON: 4})
        letters = await world.all_of(topics.DEAD_LETTERS)
        assert [letter.value for letter in letters] == [None] * 4
        assert {_headers(letter)["topic"] for letter in letters} == {world.prefix + t for t in topics.RAW}
        await world.assert_heard()

    asyncio.run(scenario())


@pytest.mark.parametrize("broker", ["embedded_broker"])
def test_an_event_too_long_to_be_passed_on_is_a_dead_letter(world: World) -> None:
    """A booking of more than a mebibyte is rejected with a reason and does not stand in the way of others."""

    async def scenario() -> None:
        await world.create()
        long = DUTY.replace(b'"PC 1001"', b'"' + b"x" * MAX_EVENT_BYTES + b'"')
        await world.send(topics.DUTY_BOOKINGS, [DUTY, long, DUTY])
        progress = await world.finish()
        assert (progress.duties, progress.rejects) == (2, {Reason.BAD_VALUE: 1})
        [letter] = await world.all_of(topics.DEAD_LETTERS)
        assert letter.value == long
        assert "bytes, at most 1048576" in _headers(letter)["detail"]

    asyncio.run(scenario())


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["real_kafka"])
def test_topics_that_take_only_small_messages_are_no_obstacle(world: World) -> None:
    """Where Kafka refuses a large message, frames are halved, and a dead letter comes without its value."""

    async def scenario() -> None:
        small = {"max.message.bytes": "3000"}
        await world.create(patrol_fixes=small, patrol_duties=small, patrol_heard=small, dead_letters=small)
        await world.send(topics.DUTY_STATES, [STATE] * 100)
        await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(2000)])
        many = [_position(i).replace(b'"r', b'"%d-' % i) for i in range(2000)]  # names take room too
        await world.send(topics.VEHICLE_POSITIONS, many)
        await world.send(topics.RADIO_POSITIONS, [b"x" * 10_000, b"y"])
        await world.finish(compression=None)
        lines = [line for r in await world.all_of(topics.DUTIES) for line in frames.decode_lines(r.value)]
        assert lines == [STATE] * 100
        found = await world.fixes()
        assert sum(found.values()) == 4000
        assert Counter({key: n for key, n in found.items() if key[0][0] == "r"}) == Counter(
            _fix(i) for i in range(2000)
        )
        await world.assert_heard()
        letters = await world.all_of(topics.DEAD_LETTERS)
        assert {letter.value for letter in letters} == {None, b"y"}
        [note] = [_headers(letter)["detail"] for letter in letters if letter.value is None]
        assert "10000 bytes" in note

    asyncio.run(scenario())


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["real_kafka"])
def test_an_idempotent_producer_is_used_where_there_is_one(world: World) -> None:
    """With a broker that sorts out repeats, ingest lets it, and all goes out once."""

    async def scenario() -> None:
        await world.create()
        await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(100)])
        await world.finish(idempotent=True)
        assert await world.fixes() == Counter(_fix(i) for i in range(100))

    asyncio.run(scenario())


@pytest.mark.parametrize("broker", ["embedded_broker"])
def test_a_broker_without_idempotent_producers_is_noticed(world: World) -> None:
    """Asked for an idempotent producer that the broker does not know, ingest goes on with a plain one."""

    async def scenario() -> None:
        await world.create()
        await world.send(topics.RADIO_POSITIONS, [_position(1)])
        await world.finish(idempotent=True)
        assert await world.fixes() == Counter([_fix(1)])

    asyncio.run(scenario())


# --- What happens in between -----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("fatal", ["send:3", "acknowledged:3", "commit:2", "committed:2"])
def test_killed_at_any_step_nothing_is_lost(world: World, fatal: str) -> None:
    """Killed before or after a send, an acknowledgement or a commit, the next run brings what was missing."""

    async def scenario() -> None:
        await world.create()
        await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(500)])
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.shell.test_ingest", world.bootstrap, world.prefix, fatal),
            cwd=PROJECT,
        )
        dead = asyncio.create_task(child.wait())
        sent = 500
        async with asyncio.timeout(PATIENCE_S):
            while not dead.done():  # so that it has as many cycles as it takes
                await world.send(topics.RADIO_POSITIONS, [b"?", *map(_position, range(sent, sent + 100))])
                sent += 100
            assert await dead == -signal.SIGKILL
        await world.finish()
        assert set(await world.fixes()) == {_fix(i) for i in range(sent)}
        assert len(await world.all_of(topics.DEAD_LETTERS)) >= (sent - 500) // 100
        await world.assert_heard()

    asyncio.run(scenario())


@both
def test_partitions_move_between_processes_without_loss(world: World) -> None:
    """A second process joins, the first one leaves, messages keep coming: every fix is there."""

    async def scenario() -> None:
        await world.create()
        sent = 0

        async def send_more() -> None:
            nonlocal sent
            await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(sent, sent + 500)])
            sent += 500

        async with world.running() as first, world.running() as second:
            for ingest in (first, second):
                heard = asyncio.create_task(ingest.until(lambda progress: progress.messages > 0))
                while not heard.done():
                    await send_more()
            first.stop.set()
            await first.task
            await send_more()
            while await world.behind():
                await second.news()
        assert set(await world.fixes()) == {_fix(i) for i in range(sent)}
        await world.assert_heard()

    asyncio.run(scenario())


@pytest.mark.parametrize("broker", ["embedded_broker"])
def test_nobody_waits_for_messages_that_gather(world: World) -> None:
    """While messages gather in Kafka, another process may take partitions over, and ingest ends when told."""

    async def scenario() -> None:
        await world.create()
        await world.send(topics.RADIO_POSITIONS, [_position(0)])
        sent = 1
        async with world.running(gather_s=10 * PATIENCE_S) as first:
            await first.until(lambda progress: progress.messages == 1)
            async with world.running() as second:
                heard = asyncio.create_task(second.until(lambda progress: progress.messages > 0))
                while not heard.done():
                    await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(sent, sent + 50)])
                    sent += 50
                first.stop.set()
                await first.task
                while await world.behind():
                    await second.news()
        assert set(await world.fixes()) == {_fix(i) for i in range(sent)}
        await world.assert_heard()

    asyncio.run(scenario())


def test_while_kafka_is_away_ingest_waits_and_says_so() -> None:
    """Without a broker or topics, ingest waits, says what is missing, and goes on when it is there."""

    async def scenario() -> None:
        port = free_port()
        world = World(f"127.0.0.1:{port}", "away.")
        async with world.running() as ingest:
            waiting = await ingest.until(lambda progress: progress.state == "waiting")
            assert str(port) in waiting.detail
            for _ in range(2):  # the second broker knows nothing of the first one's topics and offsets
                with EmbeddedBroker(port):
                    missing = await ingest.until(lambda progress: "patrol init" in progress.detail)
                    assert "away.radio.positions" in missing.detail
                    world.sent.clear()
                    await world.create()
                    await ingest.until(lambda progress: progress.state == "running")
                    await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(100)])
                    while await world.behind():
                        await ingest.news()
                    assert set(await world.fixes()) == {_fix(i) for i in range(100)}
                    await world.assert_heard()
                await ingest.until(lambda progress: progress.state == "waiting")
        assert (await ingest.task).state == "stopped"

    asyncio.run(scenario())


@pytest.mark.parametrize("question", ["_ask_settled", "beginning_offsets"])
def test_where_reading_goes_on_is_asked_until_it_is_known(
    embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    """While Kafka does not say what it still holds, nothing is settled; ingest asks afresh, and goes on."""
    world = World(embedded_broker.bootstrap, f"ingest{next(_worlds)}.")
    asked: Any = AIOKafkaConsumer if hasattr(AIOKafkaConsumer, question) else ingest_module._Worker
    ask = getattr(asked, question)
    failures = [KafkaTimeoutError("no answer")]

    def failing(whom: Any, *about: Any) -> Any:
        if failures:
            raise failures.pop()
        return ask(whom, *about)

    async def scenario() -> list[str]:
        await world.create()
        for part in range(2):
            await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(part * 50, part * 50 + 50)])
            if part:
                monkeypatch.setattr(asked, question, failing)
            async with world.running() as ingest:
                told = [await ingest.news()]
                while told[-1].messages < 50:
                    told.append(await ingest.news())
        assert set(await world.fixes()) == {_fix(i) for i in range(100)}
        return [progress.detail for progress in told if progress.state == "waiting"]

    assert asyncio.run(scenario()) == ["where reading was to go on could not be asked: starting afresh"]
    assert failures == []


@pytest.mark.kafka
@pytest.mark.slow
def test_a_crash_of_kafka_loses_nothing() -> None:
    """Kafka is killed under load and comes back: ingest waits meanwhile, and every fix is there."""

    async def scenario(kafka: RealKafka) -> None:
        world = World(kafka.bootstrap, "crash.")
        await world.create()
        await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(1000)])
        async with world.running(idempotent=True) as ingest:
            await ingest.until(lambda progress: progress.messages > 0)
            await asyncio.to_thread(kafka.kill)
            await ingest.until(lambda progress: progress.state == "waiting")
            await asyncio.to_thread(kafka.start)
            await ingest.until(lambda progress: progress.state == "running")
            await world.send(topics.RADIO_POSITIONS, [_position(i) for i in range(1000, 2000)])
            while await world.behind():
                await ingest.news()
        assert set(await world.fixes()) == {_fix(i) for i in range(2000)}
        await world.assert_heard()

    with RealKafka() as kafka:
        asyncio.run(scenario(kafka))


# --- The child that is killed: this file run as a module -------------------------------------------------


def _die_at(fatal: str) -> None:
    """Makes this process kill itself the n-th time that it comes to a step."""
    step, count = fatal.split(":")
    left = itertools.count(int(count), -1)
    send, commit = AIOKafkaProducer.send, AIOKafkaConsumer.commit

    def reached(here: str) -> None:
        if here == step and next(left) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    async def watched_send(self: Any, *args: Any, **details: Any) -> Any:
        reached("send")
        acknowledgement = await send(self, *args, **details)
        if step == "acknowledged":
            await acknowledgement
        reached("acknowledged")
        return acknowledgement

    async def watched_commit(self: Any, *args: Any) -> None:
        reached("commit")
        await commit(self, *args)
        reached("committed")

    AIOKafkaProducer.send = watched_send
    AIOKafkaConsumer.commit = watched_commit


def _child(bootstrap: str, prefix: str, fatal: str) -> None:
    _die_at(fatal)
    settings = World(bootstrap, prefix).settings(max_frame_fixes=50, gather_s=0.02)
    asyncio.run(run(settings, asyncio.Event()))


if __name__ == "__main__":
    _child(*sys.argv[1:])


@both
def test_long_messages_are_settled_before_many_are_held(world: World) -> None:
    """Under a backlog some dozens of megabytes of rejects or events leave at once, however few they are."""

    async def work() -> None:
        await world.create()
        long = b"{" + b"x" * 30_000
        await world.send(topics.RADIO_POSITIONS, [long] * 2_000)
        async with world.running(grow_s=10 * PATIENCE_S) as ingest:
            told = await ingest.until(lambda progress: progress.messages > 0)
            assert told.messages < 2_000
            assert told.rejects == {Reason.NOT_JSON: told.messages}

    asyncio.run(work())


def test_what_goes_to_kafka_is_compressed_at_the_fast_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record batches are LZ4 at the fast level, though aiokafka has another one, and can be read."""
    value = json.dumps([i * i for i in range(10_000)]).encode()

    def records(attributes: int) -> bytes:
        batch = DefaultRecordBatchBuilder(2, attributes, 0, -1, -1, 0, 2**20)
        assert batch.append(0, timestamp=AT_MS, key=None, value=value, headers=[]) is not None
        data = bytes(batch.build())
        assert [record.value for record in DefaultRecordBatch(data)] == [value]
        return data[_BATCH_HEADER_BYTES:]

    monkeypatch.setattr(codec.lz4_encode, "__defaults__", (9,))
    plain, slow = records(0), records(DefaultRecordBatch.CODEC_LZ4)
    assert fast_lz4() == "lz4"
    assert records(DefaultRecordBatch.CODEC_LZ4) == codec.lz4_encode(plain, level=LEVEL) != slow


_BATCH_HEADER_BYTES = 61
"""What stands before the records of a batch in Kafka's format 2."""
