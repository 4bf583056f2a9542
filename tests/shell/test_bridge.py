"""The bridge between real sockets, a real MQTT broker and a running Kafka: nothing accepted is lost."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import gzip
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import generate_latest

from stream import topics
from stream.cli import patrol
from stream.core.calendar import parse_time
from stream.core.facts import SECOND
from stream.embedded import EmbeddedBroker, free_port
from stream.pipeline.bridge.buffer import BufferFolderError, DiskBuffer, MemoryBuffer, Record
from stream.pipeline.bridge.intake import FeedSettings
from stream.pipeline.bridge.metrics import BridgeMetrics
from stream.pipeline.bridge.running import run
from stream.pipeline.bridge.sending import KafkaTarget
from stream.pipeline.bridge.sources import Intake, parse_source
from stream.pipeline.failures import UNREACHED, WRONG_USE
from stream.pipeline.health import served
from stream.settings import SettingsError
from tests import feed_encoders as written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from stream.pipeline.bridge.buffer import Batch, Buffer

NOW = parse_time("2026-11-23T08:15:04Z")
PATIENCE_S = 60.0
PROJECT = Path(__file__).resolve().parents[2]
SAMPLES = PROJECT / "tests" / "samples"
_prefixes = itertools.count(1)


@pytest.fixture
def prefix() -> str:
    """A prefix of topics that are this test's own."""
    return f"bridge{next(_prefixes)}."


async def make_topics(bootstrap: str, prefix: str) -> None:
    """The topics that a bridge writes to."""
    wanted = [spec for spec in topics.specs(prefix, partitions=3) if spec.name.removeprefix(prefix) in OUT]
    await topics.ensure_topics(bootstrap, wanted)


OUT = (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS, topics.DEAD_LETTERS)


async def collect(bootstrap: str, topic: str, count: int, *, repeated: bool = False) -> list[Any]:
    """The first records of a topic, as many as are waited for; ``repeated``: some may be there twice."""
    found: list[Any] = []
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with asyncio.timeout(PATIENCE_S), consumer:
        while len({record.value for record in found} if repeated else found) < count:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    return found


def per_device(records: Sequence[Any]) -> dict[str, list[str]]:
    """The times of each device's events in the order in which they stand, each once."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        event = json.loads(record.value)
        assert record.key == event["device_id"].encode()
        found.setdefault(event["device_id"], {})[event["time"]] = None
    return {device: list(times) for device, times in found.items()}


async def until(true: Callable[[], object], what: str) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)
    assert true(), what


def track(device: str, count: int, start: int = 0) -> list[bytes]:
    """Lines of an NMEA tracker, a second apart."""
    return [
        f"{device},{written.rmc(NOW + at * SECOND, -1.1 + at * 1e-4, 52.6, 3, 90)}\r\n".encode()
        for at in range(start, start + count)
    ]


def times(count: int, start: int = 0) -> list[str]:
    """The times of a track, as events have them."""
    return [
        written.moment(NOW + at * SECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for at in range(start, start + count)
    ]


@dataclass
class Bridge:
    """A bridge that runs in this process."""

    port: int
    metrics: BridgeMetrics
    buffer: Buffer
    stop: asyncio.Event
    task: asyncio.Future[int]

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where nothing was counted."""
        return self.metrics.registry.get_sample_value(f"patrol_bridge_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def bridging(
    source: str,
    bootstrap: str,
    prefix: str,
    buffer: Buffer | None = None,
    limits: dict[str, Any] | None = None,
    **feed: Any,
) -> AsyncIterator[Bridge]:
    """Runs a bridge, and ends it as SIGTERM would."""
    metrics, stop = BridgeMetrics(), asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    held = buffer or MemoryBuffer()
    metrics.watch(held)
    place = parse_source(source)
    intake = Intake(
        FeedSettings(place.name, **feed),
        held,
        metrics,
        lambda: NOW,
        lambda _, port: listening.set_result(port),
    )
    task = asyncio.ensure_future(
        run(place, intake, KafkaTarget(bootstrap, prefix, feed.get("kind", "radio")), stop, **limits or {})
    )
    if place.kind in {"tcp", "udp"}:
        await asyncio.wait({listening, task}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield Bridge(listening.result() if listening.done() else 0, metrics, held, stop, task)
    finally:
        stop.set()
        await task


async def say(port: int, pieces: Sequence[bytes]) -> None:
    """Connects, sends pieces one by one, and goes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


# --- Ports ------------------------------------------------------------------------------------------------


def test_two_devices_on_one_port(embedded_broker: EmbeddedBroker, prefix: str) -> None:
    """Two devices talk at once, in pieces cut anywhere: each one's events arrive under its id, in order."""

    async def work() -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        async with bridging("tcp://127.0.0.1:0", embedded_broker.bootstrap, prefix) as bridge:
            first = b"".join(track("A1", 30))
            second = b"".join(track("B2", 30))
            cut_small = [first[at : at + 7] for at in range(0, len(first), 7)]
            cut_large = [second[at : at + 301] for at in range(0, len(second), 301)]
            await asyncio.gather(say(bridge.port, cut_small), say(bridge.port, cut_large))
            return await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, 60)

    assert per_device(asyncio.run(work())) == {"A1": times(30), "B2": times(30)}


def test_rejects_go_to_the_dead_letters(embedded_broker: EmbeddedBroker, prefix: str) -> None:
    """What cannot be used is kept unchanged with its reason and where it came from; the rest goes on."""

    async def work() -> tuple[list[Any], list[Any]]:
        await make_topics(embedded_broker.bootstrap, prefix)
        async with bridging("tcp://127.0.0.1:0", embedded_broker.bootstrap, prefix, kind="vehicle") as bridge:
            await say(
                bridge.port, [b"nonsense\n", *track("A1", 1), b"x" * 70_000 + b"\n", *track("A1", 1, 1)]
            )
            return (
                await collect(embedded_broker.bootstrap, prefix + topics.VEHICLE_POSITIONS, 2),
                await collect(embedded_broker.bootstrap, prefix + topics.DEAD_LETTERS, 2),
            )

    events, dead = asyncio.run(work())
    assert per_device(events) == {"A1": times(2)}
    assert [record.value for record in dead] == [b"nonsense", b"x" * 65_536]
    said = [{name: value.decode() for name, value in record.headers} for record in dead]
    assert [item["reason"] for item in said] == ["bad_value", "bad_value"]
    assert {item["topic"] for item in said} == {"tcp://127.0.0.1:0"}
    assert "70000 bytes" in said[1]["detail"]


def test_a_quiet_tracker_is_heard_at_once(embedded_broker: EmbeddedBroker, prefix: str) -> None:
    """The newest position leaves when the tracker has been quiet for a moment, not with its next report."""

    async def work() -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        async with bridging("tcp://127.0.0.1:0", embedded_broker.bootstrap, prefix) as bridge:
            _, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
            writer.write(track("A1", 1)[0])
            try:
                return await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, 1)
            finally:
                writer.close()

    assert per_device(asyncio.run(work())) == {"A1": times(1)}


def test_connections_are_limited_and_idle_ones_closed(embedded_broker: EmbeddedBroker, prefix: str) -> None:
    """One connection too many is refused and counted; a silent one is closed."""

    async def work() -> None:
        await make_topics(embedded_broker.bootstrap, prefix)
        limits: dict[str, Any] = {"connections": 1, "idle_s": 0.5}
        async with bridging("tcp://127.0.0.1:0", embedded_broker.bootstrap, prefix, limits=limits) as bridge:
            first, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
            await until(lambda: bridge.counted("connections") == 1, "connected")
            second, other = await asyncio.open_connection("127.0.0.1", bridge.port)
            assert await asyncio.wait_for(second.read(), PATIENCE_S) == b""
            assert bridge.counted("refused_total") == 1
            assert await asyncio.wait_for(first.read(), PATIENCE_S) == b""
            await until(lambda: bridge.counted("connections") == 0, "closed")
            for each in (writer, other):
                each.close()

    asyncio.run(work())


def test_datagrams_are_taken_whole(embedded_broker: EmbeddedBroker, prefix: str) -> None:
    """A datagram may hold several sentences and needs no line end; an address can stand for the device."""

    async def work() -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        source, device = "udp://127.0.0.1:0", "van-{address}"
        async with bridging(source, embedded_broker.bootstrap, prefix, device=device) as bridge:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for at in range(5):
                    time = NOW + at * SECOND
                    pair = written.rmc(time, -1.1, 52.6, 3, 90), written.gga(time, -1.1, 52.6)
                    sender.sendto("\r\n".join(pair).encode(), ("127.0.0.1", bridge.port))
            return await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, 5)

    assert per_device(asyncio.run(work())) == {"van-127.0.0.1": times(5)}


def test_a_datagram_that_finds_the_buffer_full_is_counted(prefix: str) -> None:
    """A datagram cannot wait: where the buffer is full it is lost, and told; what was accepted stays."""

    async def work() -> tuple[float, float, int]:
        held = MemoryBuffer(limit=3)
        nowhere = f"127.0.0.1:{free_port()}"
        async with bridging("udp://127.0.0.1:0", nowhere, prefix, held) as bridge:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for line in track("A1", 5):
                    sender.sendto(line, ("127.0.0.1", bridge.port))
            await until(lambda: bridge.counted("received_total") == 5, "all received")
            return (
                bridge.counted("accepted_total"),
                bridge.counted("dropped_total", why="buffer_full"),
                held.count,
            )

    assert asyncio.run(work()) == (3, 2, 3)


def test_a_full_buffer_stops_the_reading(prefix: str, tmp_path: Path) -> None:
    """While the buffer is full nothing more is accepted from a connection, and nothing of it is dropped."""

    async def work() -> None:
        held = DiskBuffer(tmp_path / "buffer", 4000)
        nowhere = f"127.0.0.1:{free_port()}"
        async with bridging("tcp://127.0.0.1:0", nowhere, prefix, held) as bridge:
            _, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
            lines = track("A1", 400)
            writing = asyncio.ensure_future(write_slowly(writer, lines))
            await until(lambda: held.full, "full")
            accepted = bridge.counted("accepted_total")
            assert 0 < accepted < 400
            assert held.size < 4000 + 70_000
            assert bridge.counted("dropped_total", why="buffer_full") == 0
            writing.cancel()
            writer.close()

    async def write_slowly(writer: asyncio.StreamWriter, lines: list[bytes]) -> None:
        for line in lines:
            writer.write(line)
            await writer.drain()
            await asyncio.sleep(0.001)

    asyncio.run(work())


# --- Kafka away -------------------------------------------------------------------------------------------


def test_kafka_away_and_back(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in while Kafka is away waits on disk and arrives when it is back, in order per device."""
    # The broker forgets its topics and acknowledges what is sent to none: the bridge has to notice first.
    monkeypatch.setattr("stream.pipeline.bridge.sending._ACK_PATIENCE_S", 1.0)

    async def work(broker: EmbeddedBroker) -> tuple[list[Any], list[Any]]:
        await make_topics(broker.bootstrap, prefix)
        held = DiskBuffer(tmp_path / "buffer", 2**20)
        async with bridging("tcp://127.0.0.1:0", broker.bootstrap, prefix, held) as bridge:
            await say(bridge.port, [*track("A1", 20), *track("B2", 20)])
            before = await collect(broker.bootstrap, prefix + topics.RADIO_POSITIONS, 40)
            await until(lambda: bridge.counted("buffered") == 0, "all sent")
            await asyncio.to_thread(broker.kill)
            await asyncio.gather(
                say(bridge.port, track("A1", 50, start=20)), say(bridge.port, track("B2", 50, start=20))
            )
            await until(lambda: bridge.counted("accepted_total") == 140, "all accepted")
            assert bridge.counted("buffered") == 100
            await until(lambda: bridge.counted("kafka_up") == 0, "noticed")
            await asyncio.to_thread(broker.start)  # it has forgotten everything
            await make_topics(broker.bootstrap, prefix)
            after = await collect(broker.bootstrap, prefix + topics.RADIO_POSITIONS, 100)
            await until(lambda: bridge.counted("buffered") == 0, "all sent")
            return before, after

    with EmbeddedBroker() as broker:
        before, after = asyncio.run(work(broker))
    assert per_device(before) == {"A1": times(20), "B2": times(20)}
    assert per_device(after) == {"A1": times(50, 20), "B2": times(50, 20)}


def test_missing_topics_are_waited_for(embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path) -> None:
    """Without its topics a bridge accepts, says what is missing, and sends once they are there."""

    async def work() -> list[Any]:
        held = DiskBuffer(tmp_path / "buffer", 2**20)
        async with bridging("tcp://127.0.0.1:0", embedded_broker.bootstrap, prefix, held) as bridge:
            await say(bridge.port, track("A1", 5))
            await until(lambda: bridge.counted("accepted_total") == 5, "accepted")
            assert bridge.counted("sent_total") == 0
            await make_topics(embedded_broker.bootstrap, prefix)
            return await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, 5)

    assert per_device(asyncio.run(work())) == {"A1": times(5)}


# --- The command as a process -----------------------------------------------------------------------------


@dataclass
class Process:
    """``patrol bridge`` in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    health: int
    log: Path

    def metric(self, name: str) -> float:
        """A metric, asked for over HTTP; 0 while it does not answer."""
        page = f"http://127.0.0.1:{self.health}/metrics"
        with contextlib.suppress(OSError), urllib.request.urlopen(page, timeout=PATIENCE_S) as answer:
            found = re.search(rf"^patrol_bridge_{name} (\S+)$", answer.read().decode(), re.MULTILINE)
            return float(found[1]) if found else 0.0
        return 0.0


@contextlib.contextmanager
def process(folder: Path, bootstrap: str, prefix: str, *words: str) -> Iterator[Process]:
    """Starts the command on a TCP port."""
    port, health, log = free_port(), free_port(), folder / "log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PATROL_")},
        "PATROL_KAFKA": bootstrap,
        "PATROL_TOPIC_PREFIX": prefix,
        "PATROL_HEALTH_PORT": str(health),
    }
    command = [sys.executable, "-m", "stream", "bridge", f"tcp://127.0.0.1:{port}", *words]
    with log.open("ab") as file:
        started = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=file, stderr=file)
    try:
        yield Process(started, port, health, log)
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()


async def connected(process: Process) -> asyncio.StreamWriter:
    """A connection to a process, as soon as it listens."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            assert process.process.poll() is None, process.log.read_text()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", process.port)
                return writer
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("at_least", [1, 60, 300])
def test_killed_while_it_buffers(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path, at_least: int
) -> None:
    """Killed by SIGKILL at any moment while Kafka is away: all that was accepted arrives later."""
    total = 300
    words = ("--buffer", str(tmp_path / "buffer"))

    async def fill(process: Process) -> int:
        writer = await connected(process)
        for line in track("A1", total):
            writer.write(line)
        await writer.drain()
        writer.close()
        accepted = 0.0
        async with asyncio.timeout(PATIENCE_S):
            while (accepted := await asyncio.to_thread(process.metric, "accepted_total")) < at_least:
                await asyncio.sleep(0)
        process.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.process.wait)
        return int(accepted)

    async def drain(process: Process, accepted: int) -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        (await connected(process)).close()
        found = await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, accepted)
        await until(lambda: process.metric("buffered") == 0, "all sent")
        return found

    with process(tmp_path, f"127.0.0.1:{free_port()}", prefix, *words) as killed:
        accepted = asyncio.run(fill(killed))
    with process(tmp_path, embedded_broker.bootstrap, prefix, *words) as next_one:
        found = asyncio.run(drain(next_one, accepted))
    arrived = per_device(found)["A1"]
    assert arrived == times(total)[: len(arrived)]
    assert len(arrived) >= accepted >= at_least


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    """What comes through a pipe is of now and is shown while the pipe stays open; a file's is not of now."""
    lip = f"7 {written.as_hex(written.lip_short(-1.1, 52.6))}\n".encode()
    command = [sys.executable, "-m", "stream", "bridge", "-", "--dry-run"]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(lip + track("A1", 1)[0])
        running.stdin.flush()
        shown = [json.loads(running.stdout.readline()) for _ in range(2)]
        running.stdin.close()
        assert running.wait() == 0
    assert [event["device_id"] for event in shown] == ["7", "A1"]
    assert shown[0]["time"] == shown[0]["received"]
    recorded = tmp_path / "lip.txt"
    recorded.write_bytes(lip)
    done = CliRunner().invoke(patrol, ["bridge", str(recorded), "--dry-run"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "gateway" in done.stderr


def test_sigterm_sends_what_is_there(embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path) -> None:
    """SIGTERM ends it within ten seconds with exit code 0; what had been sent to it is in Kafka."""

    async def work(process: Process) -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        writer = await connected(process)
        writer.write(b"".join(track("A1", 50)))
        await writer.drain()
        await until(lambda: process.metric("received_total") == 50, "received")
        process.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.process.wait, 10) == 0, process.log.read_text()
        writer.close()
        return await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, 50)

    with process(tmp_path, embedded_broker.bootstrap, prefix) as running:
        assert per_device(asyncio.run(work(running))) == {"A1": times(50)}


# --- The buffer -------------------------------------------------------------------------------------------

doings = st.lists(st.sampled_from(["put", "take", "again", "crash", "torn"]), max_size=25)


@given(doings, st.integers(200, 4000), st.data())
@settings(max_examples=60)
def test_what_was_accepted_comes_out_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], limit: int, data: st.DataObject
) -> None:
    """Whatever crashes in between, records come out as they were accepted: in order, none lost."""
    folder = tmp_path_factory.mktemp("buffer")

    async def work() -> None:
        held = DiskBuffer(folder, limit)
        try:
            accepted: list[int] = []
            done = 0
            for step in steps:
                if step == "put" and not held.full:
                    some = range(len(accepted), len(accepted) + data.draw(st.integers(1, 5)))
                    await held.accept([Record("t", b"", str(number).encode()) for number in some])
                    accepted += some
                elif step in {"take", "again"} and held.count:
                    batch = await held.next(data.draw(st.integers(1, 4)))
                    assert numbers(batch) == accepted[done : done + len(batch.records)]
                    if step == "take":
                        held.done(batch)
                        done += len(batch.records)
                elif step in {"crash", "torn"}:
                    await held.close()
                    written_to = max(folder.glob("*.segment"), default=None)
                    if step == "torn" and written_to is not None:
                        with written_to.open("ab") as file:
                            file.write(data.draw(st.binary(min_size=1, max_size=20)))
                    held = DiskBuffer(folder, limit)
                assert held.count == len(accepted) - done
            while held.count:
                batch = await held.next(100)
                assert numbers(batch) == accepted[done : done + len(batch.records)]
                held.done(batch)
                done += len(batch.records)
            assert done == len(accepted)
        finally:
            await held.close()

    def numbers(batch: Batch) -> list[int]:
        return [int(record.value) for record in batch.records]

    asyncio.run(work())


def test_a_folder_belongs_to_one_bridge(tmp_path: Path) -> None:
    """A second bridge with the same folder is refused: it would send what the first one has not."""

    async def work() -> None:
        held = DiskBuffer(tmp_path, 10_000)
        with pytest.raises(BufferFolderError, match="in use by another bridge"):
            DiskBuffer(tmp_path, 10_000)
        await held.close()
        await DiskBuffer(tmp_path, 10_000).close()

    asyncio.run(work())


def test_room_is_made_when_kafka_has_a_segment(tmp_path: Path) -> None:
    """Whoever waits for room goes on as soon as Kafka has what filled it, and the folder stays small."""

    async def work() -> None:
        held = DiskBuffer(tmp_path, 2000)
        records = [Record("t", b"", bytes([65 + at % 26]) * 100) for at in range(100)]
        filling = asyncio.ensure_future(fill(held, records))
        found: list[Record] = []
        while len(found) < len(records):
            async with asyncio.timeout(PATIENCE_S):
                batch = await held.next(3)
            found += batch.records
            held.done(batch)
            assert held.size <= 2000 + 200
        await filling
        assert found == records
        await held.close()

    async def fill(held: DiskBuffer, records: list[Record]) -> None:
        for record in records:
            await held.accept([record])

    asyncio.run(work())


def test_a_disk_that_takes_nothing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full nothing is accepted and nothing half written stays; then it goes on."""
    full = [True]
    real = os.fsync

    def fsync(number: int) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        real(number)

    async def work() -> None:
        held = DiskBuffer(tmp_path, 10_000)
        monkeypatch.setattr("stream.pipeline.bridge.buffer.os.fsync", fsync)
        monkeypatch.setattr("stream.pipeline.bridge.buffer._RETRY_S", 0.01)
        waiting = asyncio.ensure_future(held.accept([Record("t", b"", b"1")]))
        await until(lambda: held.full, "it says that it is full")
        assert not waiting.done()
        assert not held.offer([Record("t", b"", b"2")])
        full[0] = False
        await asyncio.wait_for(waiting, PATIENCE_S)
        assert [record.value for record in (await held.next(10)).records] == [b"1"]
        await held.close()

    asyncio.run(work())


# --- MQTT -------------------------------------------------------------------------------------------------


class Mosquitto:
    """A real MQTT broker on a free port, in a process of its own, that keeps its sessions over a restart."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
        if found is None:
            pytest.skip("needs an MQTT broker: install mosquitto")
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 20\n"
            f"persistence true\n"
            f"persistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true\nuser root\n"
        )
        self._command = [found, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def where(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; returns when it listens."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        pytest.fail("mosquitto does not listen")

    def stop(self) -> None:
        """Ends it in an orderly way, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """An MQTT broker that is this test's own."""
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def publish(where: str, messages: Sequence[tuple[str, str]]) -> None:
    """Publishes messages with QoS 1 and waits until the broker has them."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "publisher")
    host, _, port = where.partition(":")
    client.connect(host, int(port))
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)
    client.disconnect()
    client.loop_stop()


def locations(count: int, start: int = 0) -> list[tuple[str, str]]:
    """OwnTracks messages of a phone, a second apart."""
    return [
        ("owntracks/pc1001/phone", written.owntracks(NOW // SECOND + at, -1.1, 52.6, acc=5))
        for at in range(start, start + count)
    ]


def test_mqtt_messages_are_acknowledged_when_they_are_safe(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """A message is acknowledged once it is kept; those that were not come again to the next bridge."""
    source = f"mqtt://{mosquitto.where}/owntracks/+/+"
    nowhere = f"127.0.0.1:{free_port()}"

    async def work() -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        # Without Kafka and without a buffer on disk nothing is safe: nothing may be acknowledged.
        async with bridging(source, nowhere, prefix, MemoryBuffer()) as bridge:
            await until(lambda: bridge.counted("connections") == 1, "connected")
            await asyncio.to_thread(publish, mosquitto.where, locations(10))
            await until(lambda: bridge.counted("received_total") >= 1, "received")
            assert bridge.counted("accepted_total") == 0
        await asyncio.to_thread(publish, mosquitto.where, locations(10, start=10))  # nobody listens
        held = DiskBuffer(tmp_path / "buffer", 2**20)
        async with bridging(source, embedded_broker.bootstrap, prefix, held) as bridge:
            await until(lambda: bridge.counted("accepted_total") >= 20, "accepted")
            # The broker leaves at most 20 unacknowledged: then it has read those of the first 20.
            await asyncio.to_thread(publish, mosquitto.where, locations(25, start=20))
            await until(lambda: bridge.counted("accepted_total") >= 45, "accepted")
        async with bridging(source, embedded_broker.bootstrap, prefix, MemoryBuffer()) as bridge:
            await until(lambda: bridge.counted("connections") == 1, "connected")
            await asyncio.to_thread(publish, mosquitto.where, locations(1, start=45))
            await until(lambda: bridge.counted("accepted_total") >= 1, "accepted")
        total = 45 + int(bridge.counted("accepted_total"))
        return await collect(embedded_broker.bootstrap, prefix + topics.RADIO_POSITIONS, total)

    found = asyncio.run(work())
    assert set(per_device(found)["pc1001/phone"]) >= set(times(45))
    arrived = Counter(json.loads(record.value)["time"] for record in found)
    assert [arrived[time] for time in times(20)] == [1] * 20  # what was acknowledged did not come again


def test_an_mqtt_broker_away_and_back(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """The bridge finds a broker that comes back by itself, with its session, and goes on."""
    source = f"mqtt://{mosquitto.where}/owntracks/#"

    async def work() -> list[Any]:
        await make_topics(embedded_broker.bootstrap, prefix)
        held = DiskBuffer(tmp_path / "buffer", 2**20)
        async with bridging(source, embedded_broker.bootstrap, prefix, held) as bridge:
            await until(lambda: bridge.counted("connections") == 1, "connected")
            await asyncio.to_thread(publish, mosquitto.where, locations(5))
            await until(lambda: bridge.counted("accepted_total") == 5, "accepted")
            await asyncio.to_thread(mosquitto.stop)
            await until(lambda: bridge.counted("connections") == 0, "gone")
            await asyncio.to_thread(mosquitto.start)
            await asyncio.to_thread(publish, mosquitto.where, locations(5, start=5))
            # What the broker had not seen acknowledged when it went comes again.
            topic = prefix + topics.RADIO_POSITIONS
            return await collect(embedded_broker.bootstrap, topic, 10, repeated=True)

    assert per_device(asyncio.run(work())) == {"pc1001/phone": times(10)}


# --- Words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port", "topic"),
    [
        ("tcp://:5027", "", 5027, ""),
        ("udp://10.0.0.1:99", "10.0.0.1", 99, ""),
        ("tcp://[::1]:5027", "::1", 5027, ""),
        ("mqtt://broker/owntracks/#", "broker", 1883, "owntracks/#"),
        ("mqtts://me:p%40ss@broker/a/+/b", "broker", 8883, "a/+/b"),
        ("mqtt://me@broker:1999/a", "broker", 1999, "a"),
    ],
)
def test_a_source_is_understood(text: str, host: str, port: int, topic: str) -> None:
    """Ports, brokers and topics with wildcards are what they are written as; no password is in the name."""
    found = parse_source(text, password="from the environment")
    assert (found.host, found.port, found.topic) == (host, port, topic)
    assert "p%40ss" not in found.name
    assert "p@ss" not in repr(found.name)
    if found.user:
        assert found.password in {"p@ss", "from the environment"}


@pytest.mark.parametrize(
    "text", ["ftp://x", "tcp://:", "tcp://:99999", "mqtt://broker", "udp://a:1/b", "tcp://a"]
)
def test_what_is_no_source_is_told(text: str) -> None:
    """A source that is none is refused with the forms that there are."""
    with pytest.raises(SettingsError, match="SOURCE"):
        parse_source(text)


def test_health_pages() -> None:
    """The process is up, ready or waiting for something, and counts for Prometheus."""
    metrics, waiting = BridgeMetrics(), [""]
    metrics.rejected.labels("nmea", "bad_value").inc()

    def get(port: int, page: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as failure:
            with failure:
                return failure.code, failure.read().decode()

    with served(0, metrics.registry, lambda: waiting[0]) as port:
        assert get(port, "/healthz") == (200, '{"status": "up"}')
        assert get(port, "/readyz") == (200, '{"status": "ready"}')
        waiting[0] = "room"
        assert get(port, "/readyz") == (503, '{"status": "waiting", "detail": "room"}')
        assert get(port, "/other")[0] == 404
        code, text = get(port, "/metrics")
    assert code == 200
    assert 'patrol_bridge_rejected_total{format="nmea",reason="bad_value"} 1.0' in text
    assert text == generate_latest(metrics.registry).decode()


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_dry_run_shows_what_would_be_sent(path: Path) -> None:
    """``--dry-run`` prints each event as a JSON line, each reject with its reason, and how many of each."""
    done = CliRunner().invoke(patrol, ["bridge", str(path), "--dry-run"])
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) >= 4
    assert all(event["device_id"] and event["time"] for event in events)
    *rejects, summary = done.stderr.splitlines()
    counted = Counter(line.partition(": ")[0] for line in rejects)
    said, _, reasons = summary.partition("; rejected: ")
    assert said == f"{len(events)} positions"
    assert reasons == (", ".join(f"{n} {reason}" for reason, n in sorted(counted.items())) or "none")
    if path.stem != "taip":
        assert re.search(r"^(bad_value|missing_field|not_a_fix): ", done.stderr, re.MULTILINE)


def test_a_byte_order_mark_costs_no_message(tmp_path: Path) -> None:
    """What an editor puts before the first message of a file does not spoil it."""
    path = tmp_path / "log.json"
    line = b'{"_type":"location","lat":52.5,"lon":-1.1,"tst":1794812400,"tid":"R1"}\n'
    path.write_bytes(codecs.BOM_UTF8 + line * 2)
    done = CliRunner().invoke(patrol, ["bridge", str(path), "--dry-run"])
    assert done.stderr == "2 positions; rejected: none\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"$GPRMC", mtime=0), "is packed: zcat "),
        ("$GPRMC".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (None, "is not a file: pipe what it gives into 'patrol bridge -'"),
    ],
)
def test_what_is_no_text_is_not_taken_line_by_line(content: bytes | None, said: str, tmp_path: Path) -> None:
    """A packed log, UTF-16 and a pipe by name are refused with what to do: no thousand dead letters."""
    path = tmp_path / "log"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    done = CliRunner().invoke(patrol, ["bridge", str(path), "--dry-run"])
    assert done.exit_code == WRONG_USE
    assert said in done.output


def test_a_file_onto_kafka(embedded_broker: EmbeddedBroker, prefix: str) -> None:
    """A recorded file is sent whole and the command ends."""
    asyncio.run(make_topics(embedded_broker.bootstrap, prefix))
    environment = {"PATROL_KAFKA": embedded_broker.bootstrap, "PATROL_TOPIC_PREFIX": prefix}
    words = ["bridge", str(SAMPLES / "nmea.txt"), "--kind", "vehicle"]
    done = CliRunner().invoke(patrol, words, env=environment)
    assert done.exit_code == 0, done.output
    found = asyncio.run(collect(embedded_broker.bootstrap, prefix + topics.VEHICLE_POSITIONS, 4))
    assert list(per_device(found)) == ["FX12ABC"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["tcp://nowhere"], WRONG_USE, "SOURCE: write tcp://:PORT"),
        (["no/such/file.txt"], WRONG_USE, "there is no file"),
        (["tcp://:5027", "--near", "2026-11-23"], WRONG_USE, "is for files"),
        ([str(SAMPLES / "nmea.txt")], UNREACHED, "Kafka cannot be reached"),
    ],
)
def test_wrong_use_is_told(words: list[str], code: int, said: str) -> None:
    """A wrong source, a missing file and an unreachable Kafka end the command with one line and a code."""
    environment = {**os.environ, "PATROL_KAFKA": f"127.0.0.1:{free_port()}"}
    command = [sys.executable, "-m", "stream", "bridge", *words]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
