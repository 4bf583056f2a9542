"""The pipeline as its users run it, and facts to send through it: for tests of the whole.

Two processes of the ``patrol`` command between a broker and a database that are there already; topics, tables
and logs are the test's own. What a process wrote is attached to the failure of a test.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from click.testing import CliRunner
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, RetriableError

from geo.boundaries.writing import areas_geojson
from stream import topics
from stream.cli import patrol
from stream.cli.serve import initialise
from stream.core.calendar import parse_time, rfc3339
from stream.core.events import decode_positions
from stream.core.facts import SECOND
from stream.core.policy import Policies, limits
from stream.core.quality.heard import NO_DAY, Heard, heard
from stream.pipeline.lag import LagMeter
from stream.pipeline.processes import start
from stream.settings import Settings
from stream.simulate import TOPICS, demo_force, simulate
from stream.store.heard import LAST_DAY, heard_between
from stream.store.schema import connect
from tests.shell.stored import assert_consistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from geo.areas import AreaSet
    from stream.embedded import EmbeddedBroker
    from stream.simulate import Simulation
    from stream.store.schema import Connection
    from tests.shell.kafka import RealKafka

PATIENCE_S = 180.0
LOG_TAIL = 6000
PRODUCER: Mapping[str, Any] = {
    "acks": "all",
    "linger_ms": 5,
    "max_request_size": 2 * topics.MAX_MESSAGE_BYTES,
}
INGEST, WORKER = "ingest", "worker"
COUNTS, TIMERS = "worker --without-timers", "timers"
TABLES = tuple(
    f"{name}.csv"
    for name in (
        *("stays", "slices", "shares", "visits", "priorities", "abstraction", "crewing"),
        *("teams", "officers", "doubts"),
    )
)
_numbers = itertools.count(1)

both = pytest.mark.parametrize(
    "broker", ["embedded_broker", pytest.param("real_kafka", marks=pytest.mark.kafka)]
)
"""Runs a test on the embedded broker and again on the real Kafka."""

either = pytest.mark.parametrize("broker", ["any_broker"])
"""Runs a test on the real Kafka where it can be run here, else on the embedded broker."""


def bootstrap_of(broker: str, request: pytest.FixtureRequest) -> str:
    """The address of the broker that a test is run on."""
    server: EmbeddedBroker | RealKafka = request.getfixturevalue(broker)
    return server.bootstrap


def aside(work: Callable[[], object]) -> None:
    """Does something in a thread of its own: a browser's driver has an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


@dataclass(frozen=True, slots=True)
class Message:
    """What an outside system sends: a topic of the contract, a value, the record's time (microseconds)."""

    topic: str
    value: bytes
    stamp: int
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a pipeline is told.

    Attributes:
        areas: boundary files, each with the kind of its areas.
        messages: in some order.
        until: where open duties are cut, microseconds since 1970.
    """

    areas: tuple[tuple[Path, str], ...]
    messages: tuple[Message, ...]
    until: int


SHIFT = "2026-01-26T15:00:00Z"


def demo_facts(folder: Path, *, hours: float = 1.0, interval_s: float = 10.0, seed: int = 1) -> Facts:
    """A simulated shift of sixteen officers, with late, doubled and unusable reports, in sending order."""
    force = demo_force(seed)
    made = simulate(
        force, officers=16, start=parse_time(SHIFT), hours=hours, interval_s=interval_s, seed=seed
    )
    return facts_of(made, force, folder)


def facts_of(made: Simulation, force: AreaSet, folder: Path) -> Facts:
    """What was simulated, in sending order, and the boundaries in files."""
    messages = tuple(
        Message(TOPICS[topic], value, send, key)
        for batch in made.messages()
        for topic, value, send, key in zip(
            batch.topic.tolist(), batch.value, batch.send.tolist(), batch.key, strict=True
        )
    )
    return Facts(write_areas(force, folder), messages, made.end + 600 * SECOND)


def write_areas(force: AreaSet, folder: Path) -> tuple[tuple[Path, str], ...]:
    """A boundary file for each kind of area."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind in sorted(set(force.kind)):
        path = folder / f"{kind}.geojson"
        path.write_bytes(areas_geojson(force.only(kind)))
        files.append((path, str(kind)))
    return tuple(files)


def offline(facts: Facts, folder: Path, *more: str) -> dict[str, bytes]:
    """The tables that ``patrol account`` makes of the facts as files, with more options."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.jsonl" for name in ("positions", "duties", "states")}
    lines: dict[str, list[bytes]] = {name: [] for name in files}
    home = {topics.DUTY_BOOKINGS: "duties", topics.DUTY_STATES: "states"}
    for message in facts.messages:
        lines[home.get(message.topic, "positions")].append(message.value + b"\n")
    for name, path in files.items():
        path.write_bytes(b"".join(lines[name]))
    words = ["account", "--until", rfc3339(facts.until), "--out", str(folder / "figures"), *more]
    for path, kind in facts.areas:
        words += ["--areas", f"{path}:{kind}"]
    for name, path in files.items():
        words += [f"--{name}", str(path)]
    invoke(words)
    return tables(folder / "figures")


def invoke(words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Runs the patrol command in this process; returns what it printed."""
    done = CliRunner().invoke(patrol, words, env=environment or {}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def tables(folder: Path) -> dict[str, bytes]:
    """The tables in a folder."""
    return {name: (folder / name).read_bytes() for name in TABLES}


def assert_same(found: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    """Byte for byte; where they differ, the first lines that do, and which other tables do."""
    different = [name for name in TABLES if found[name] != wanted[name]]
    for name in different[:1]:
        have, want = found[name].decode().splitlines(), wanted[name].decode().splitlines()
        lines = [
            f"line {number}:\n  live    {one}\n  offline {other}"
            for number, (one, other) in enumerate(itertools.zip_longest(have, want), 1)
            if one != other
        ]
        shown = "\n".join(lines[:5])
        more = f" (so do {', '.join(different[1:])})" if different[1:] else ""
        raise AssertionError(f"{name}: {len(lines)} of {len(want)} lines differ{more}\n{shown}")


class Pipeline:
    """Ingest and worker on topics and a database of a test's own.

    As a context it makes topics and schema and starts both processes; at the end it asks them to end, and
    expects that they do so cleanly.

    Args:
        bootstrap: the broker's address.
        database: an empty database's DSN.
        folder: for logs and exports.
        parts: the processes, with their options; several of a kind are numbered, ``worker 2``.
        changes: settings other than usual here.
    """

    def __init__(
        self,
        bootstrap: str,
        database: str,
        folder: Path,
        *,
        parts: Sequence[str] = (INGEST, WORKER),
        **changes: Any,
    ) -> None:
        usual = Settings(
            kafka=bootstrap,
            database=database,
            topic_prefix=f"pipeline{next(_numbers)}.",
            partitions=3,
            clock="events",
            session_s=1.0,
            publish_s=0.2,
            gather_s=0.5,
            hear_s=0.1,
        )
        self.settings = replace(usual, **changes)
        self.folder = folder
        self.sent = 0
        self.posted: list[Message] = []
        self._parts = tuple(parts)
        self._logs: dict[str, Path] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._open = contextlib.ExitStack()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        for part in self._parts:
            self.start(part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.stop()
        except BaseException as failure:
            failure.add_note(self.logs())
            raise
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()
            self._open.close()
            if error is not None:
                error.add_note(self.logs())

    def prepare(self) -> None:
        """Makes topics and schema; what is sent may be old, so Kafka is told to keep it."""
        wanted = [
            NewTopic(
                spec.name,
                spec.num_partitions,
                spec.replication_factor,
                topic_configs={**spec.topic_configs, "retention.ms": "-1"},
            )
            for spec in topics.specs(self.settings.topic_prefix, partitions=self.settings.partitions)
        ]

        def work() -> None:
            asyncio.run(topics.ensure_topics(self.settings.kafka, wanted))
            initialise(self.settings)

        aside(work)

    def forget_topics(self) -> None:
        """Deletes all topics and returns when they are gone."""
        names = {spec.name for spec in topics.specs(self.settings.topic_prefix)}

        def gone() -> bool:
            # Asked about while it goes, a topic may be made again by the asking: then it is deleted again.
            left = names & set(self._admin.list_topics())
            if left:
                with contextlib.suppress(KafkaError):
                    self._admin.delete_topics(sorted(left))
            return not left

        self.wait(gone, "the topics are gone")
        self.sent = 0

    def reached(self) -> dict[Any, Any]:
        """The offsets that ingest has committed, by partition, with what stands beside them."""
        return dict(self._admin.list_group_offsets([self._group])[self._group])

    def leave(self, reached: dict[Any, Any]) -> None:
        """Commits such offsets for ingest, once the one that was killed is no longer a member."""

        def done() -> bool:
            try:
                self._admin.alter_group_offsets(self._group, reached)
            except KafkaError:
                return False
            return self.reached() == reached

        self.wait(done, "the offsets are committed")

    def delete_records(self, topic: str) -> dict[int, int]:
        """Has Kafka delete all that a topic holds; gives each partition's first offset from then on."""
        name = topics.named(topic, self.settings.topic_prefix)
        found: Any = KafkaConsumer(bootstrap_servers=self.settings.kafka, enable_auto_commit=False)
        try:
            ends = found.end_offsets(
                [TopicPartition(name, each) for each in found.partitions_for_topic(name)]
            )
        finally:
            found.close()
        ends = {where: int(end) for where, end in ends.items() if end}
        self._admin.delete_records(ends)
        return {where.partition: end for where, end in ends.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the processes run in."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("PATROL_")}
        ours = {
            f"PATROL_{name.upper()}": str(value) for name, value in asdict(self.settings).items() if value
        }
        return given | ours

    def start(self, part: str) -> None:
        """Starts a process; its log goes on where the former one's ended."""
        path = self._logs.setdefault(part, self.folder / f"{part.replace(' ', '-')}.log")
        with path.open("ab") as log:
            kind, *words = part.split()
            options = [word for word in words if word.startswith("--")]
            self._processes[part] = start(kind, *options, environment=self.environment, output=log.fileno())

    def kill(self, *parts: str) -> None:
        """Kills processes (SIGKILL) and returns when they are gone."""
        for part in parts:
            self._processes[part].kill()
        for part in parts:
            assert self._processes.pop(part).wait() == -signal.SIGKILL, (
                f"{part} had ended before it was killed"
            )

    def halt(self, part: str) -> None:
        """Stops a process (SIGSTOP)."""
        self._processes[part].send_signal(signal.SIGSTOP)

    def go_on(self, part: str) -> None:
        """Has a stopped process go on (SIGCONT)."""
        self._processes[part].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Asks the processes to end (SIGTERM) and expects that they do, without a fault in their logs."""
        for process in self._processes.values():
            process.terminate()
        for part, process in self._processes.items():
            try:
                assert process.wait(20) == 0, f"{part} ended with exit code {process.returncode}"
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{part} did not end within 20 s of SIGTERM") from None
            assert "Traceback" not in self.log(part), f"{part} logged a fault"
        self._processes.clear()

    # ── waiting ───────────────────────────────────────────────────────────────────────────────────────────

    def wait(self, done: Callable[[], object], what: str, *, rest_s: float = 0.01) -> None:
        """Asks again and again until something is so; a process that ends meanwhile is a failure.

        Args:
            done: whether it is so.
            what: what is waited for, for people.
            rest_s: seconds between questions and for each process; 0 to miss no moment.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {PATIENCE_S:.0f} s still not: {what}")
            for part, process in self._processes.items():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    raise AssertionError(f"{part} ended with exit code {process.wait(rest_s)}")

    def settle(self) -> None:
        """Waits until everything sent is counted, and looks whether the tables agree with each other.

        What was heard is what was sent, each message once.
        """
        self.wait(self.taken, f"all {self.sent} messages taken by ingest")
        self.wait(self.caught_up, "everything sent is counted")
        assert_consistent(self.connection)
        self.wait(lambda: not self._meter.measure(self.connection).heard, "what was heard is counted")
        # A producer whose broker crashed may have written a batch twice, idempotent or not.
        again = self.settled() > self.sent == len(self.posted)
        posted = self._on_kafka() if again else self.posted
        found = heard_between(self.connection, NO_DAY, LAST_DAY)
        have, want = set(heard_rows_of(found)), set(heard_rows_of(heard_of(posted)))
        assert have == want, f"live only: {sorted(have - want)}; sent only: {sorted(want - have)}"

    def _on_kafka(self) -> list[Message]:
        """All messages that the raw topics hold."""
        found: list[Message] = []
        for topic in topics.RAW:
            records, settled = self.records(topic), self.settled(topic)
            while len(read := next(records)) < settled:
                pass  # each time it waits a little for more
            found += [
                Message(topic, record.value, record.timestamp * 1000, record.key or b"") for record in read
            ]
        return found

    def caught_up(self) -> bool:
        """Whether everything sent is counted."""
        return self._meter.measure(self.connection).none

    def pids(self) -> dict[str, int]:
        """The process ids of all that run."""
        return {part: process.pid for part, process in self._processes.items()}

    def taken(self) -> bool:
        """Whether ingest has settled everything sent."""
        return self.settled() >= self.sent

    def settled(self, topic: str = "") -> int:
        """How many raw messages ingest has settled, of one topic or all (they are read from offset 0)."""
        group = self._group
        try:
            found: dict[Any, Any] = dict(self._admin.list_group_offsets([group]).get(group, {}))
        except RetriableError:  # Kafka is finding out who keeps the group
            return 0
        name = topics.named(topic, self.settings.topic_prefix) if topic else ""
        return sum(max(0, int(value.offset)) for where, value in found.items() if name in ("", where.topic))

    def counted(self) -> int:
        """How many frames the worker has counted."""
        return self.ask(
            "select coalesce(sum(next_offset), 0) from frame_offset where topic not like '%patrol.heard'"
        )

    def ask(self, query: str) -> int:
        """One number from the database."""
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(str(row[0]))

    # ── in and out ────────────────────────────────────────────────────────────────────────────────────────

    def load_areas(self, facts: Facts) -> None:
        """Publishes the boundaries, in force from long ago."""
        for path, kind in facts.areas:
            words = ["areas", "load", str(path), "--kind", kind, "--from", "2000-01-01"]
            invoke(words, self._variables)

    def send(self, messages: Sequence[Message], *, portions: int = 1) -> None:
        """Sends messages, each portion when ingest has taken the one before."""
        for part in np.array_split(np.arange(len(messages)), portions):
            self.wait(self.taken, "the former portion taken by ingest")
            self.post([messages[at] for at in part.tolist()])

    def post(self, messages: Sequence[Message]) -> None:
        """Sends messages; returns when the broker has them."""

        async def work() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.settings.kafka, **PRODUCER) as producer:
                await self._hand_over(producer, messages)

        asyncio.run(work())
        self._count(messages)

    def post_around(self, messages: Sequence[Message], event: Callable[[], None]) -> None:
        """Sends messages, each once; between two halves something happens to the broker."""
        half = len(messages) // 2
        begun = threading.Event()

        async def work() -> None:
            async with AIOKafkaProducer(
                bootstrap_servers=self.settings.kafka, enable_idempotence=True, **PRODUCER
            ) as producer:
                await self._hand_over(producer, messages[:half])
                begun.set()
                await self._hand_over(producer, messages[half:])

        with ThreadPoolExecutor(1) as thread:
            sending = thread.submit(asyncio.run, work())
            sending.add_done_callback(lambda _: begun.set())
            begun.wait()
            event()
            sending.result()
        self._count(messages)

    def _count(self, messages: Sequence[Message]) -> None:
        self.sent += len(messages)
        self.posted += messages

    async def _hand_over(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        """As outside systems do it: each message by itself, stamped with its time."""
        waiting = [
            await producer.send(
                topics.named(message.topic, self.settings.topic_prefix),
                message.value,
                key=message.key,
                timestamp_ms=message.stamp // 1000,
            )
            for message in messages
        ]
        await asyncio.gather(*waiting)

    def export(self, until: int) -> dict[str, bytes]:
        """The tables that ``patrol export`` makes of the database."""
        folder = self.folder / "export"
        invoke(["export", "--until", rfc3339(until), "--out", str(folder)], self._variables)
        return tables(folder)

    def records(self, topic: str) -> Iterator[list[Any]]:
        """All records of a topic so far, again and again, for ``next``: each time with what came since."""
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.settings.kafka, enable_auto_commit=False, fetch_max_wait_ms=20
        )
        self._open.callback(consumer.close)
        name = topics.named(topic, self.settings.topic_prefix)
        consumer.assign([TopicPartition(name, each) for each in sorted(consumer.partitions_for_topic(name))])
        consumer.seek_to_beginning()
        found: list[Any] = []
        while True:
            for records in consumer.poll(timeout_ms=20).values():
                found += records
            yield found

    def log(self, part: str) -> str:
        """What a process, and those before it, wrote."""
        path = self._logs.get(part)
        return "" if path is None else path.read_text(errors="replace")

    def logs(self) -> str:
        """The ends of all logs, for people."""
        return "\n".join(f"── {part} ──\n{self.log(part)[-LOG_TAIL:]}" for part in self._logs)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _variables(self) -> dict[str, str]:
        return {"PATROL_DATABASE": self.settings.database, "PATROL_KAFKA": self.settings.kafka}

    @cached_property
    def connection(self) -> Connection:
        """A connection to the database."""
        return self._open.enter_context(connect(self.settings.database, name="test of the whole"))

    @property
    def _group(self) -> str:
        return f"{self.settings.topic_prefix}patrol-ingest"

    @cached_property
    def _meter(self) -> LagMeter:
        meter = LagMeter(self.settings)
        self._open.callback(meter.close)
        return meter

    @cached_property
    def _admin(self) -> Any:
        admin: Any = KafkaAdminClient(bootstrap_servers=self.settings.kafka)
        self._open.callback(admin.close)
        return admin

    def hang_up(self) -> None:
        """Closes the test's own connections, which do not outlive their servers; new ones are made later."""
        self._open.close()
        for name in ("connection", "_meter", "_admin"):
            self.__dict__.pop(name, None)


def heard_of(messages: Sequence[Message], policies: Policies | None = None) -> Heard:
    """What is heard of messages that each come once, under the rules' own settings or others (rule 22)."""
    parts = []
    for topic in (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS):
        mine = [message for message in messages if message.topic == topic]
        decoded = decode_positions(
            [message.value for message in mine],
            np.array([message.stamp // 1000 * 1000 for message in mine], np.int64),
            limits=limits(policies or Policies()),
            traccar=topic == topics.VEHICLE_POSITIONS,
        )
        parts.append(heard(decoded.judged))
    return Heard.joined(parts)


def heard_rows_of(found: Heard) -> list[tuple[object, ...]]:
    """Columns → rows with the devices' names, in order."""
    columns = (found.device, found.day, found.verdict, found.delay, found.count)
    return [
        (found.device_ids[device], *rest)
        for device, *rest in zip(*(column.tolist() for column in columns), strict=True)
    ]


def keyed(messages: Iterable[Message], key: Callable[[], bytes]) -> list[Message]:
    """The messages with other keys, so that they come to lie in other partitions."""
    return [replace(message, key=key()) for message in messages]
