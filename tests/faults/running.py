"""One run of the campaign: a random world, several processes, faults, and the comparison at the end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from aiokafka.admin import NewTopic
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream import topics
from stream.core.events import decode_states
from stream.core.quality.heard import NO_DAY
from stream.pipeline import ending, processes
from stream.pipeline.lag import LagMeter
from stream.store.heard import LAST_DAY, heard_between
from stream.store.reading.instant import us
from stream.store.schema import migrate
from tests.faults import facts, mistakes
from tests.faults.facts import FLAWS, Kept, judged, missing
from tests.faults.sending import Sender
from tests.faults.servers import until
from tests.faults.strikes import STRIKES, waits_for_database
from tests.shell.doubted import assert_device_days
from tests.shell.kafka import PROJECT
from tests.shell.pipeline import (
    COUNTS,
    INGEST,
    TIMERS,
    WORKER,
    Facts,
    Message,
    Pipeline,
    assert_same,
    heard_of,
    heard_rows_of,
    offline,
)
from tests.shell.stored import assert_consistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.faults.servers import Servers

PARTITIONS = 3
SESSION_S = 1.0
SENDING_S = 4.0
WARM, START_S = 0.9, 30.0
"""In so many of the runs faults strike when something was counted; in the others, while processes start."""
PLAIN_EVERY = 50
"""Every so many seeds a run has no fault: it must come out even as well."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a run; the seed alone decides.

    Attributes:
        seed: its number.
        strikes: faults of processes and servers, in the order in which they strike.
        flaws: what is wrong with the messages.
    """

    seed: int
    strikes: tuple[str, ...]
    flaws: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """All of it."""
        return *self.strikes, *self.flaws


def plan(seed: int, only: Sequence[str] = tuple(STRIKES)) -> Plan:
    """The plan of a seed: one kind after another in turn, so that each comes often, and others at random.

    Args:
        seed: its number, from 1.
        only: the kinds of strikes that are possible here.
    """
    if seed % PLAIN_EVERY == 0:
        return Plan(seed, (), ())
    chance = random.Random(f"plan {seed}")
    strikes = [only[seed % len(only)], *chance.choices(only, k=chance.choice([0, 1, 1, 2]))]
    chance.shuffle(strikes)
    flaws = [FLAWS[seed % len(FLAWS)], *(flaw for flaw in FLAWS if chance.random() < 0.5)]
    return Plan(seed, tuple(strikes), tuple(flaw for flaw in FLAWS if flaw in flaws))


@dataclass(slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        plan: what happened in it.
        differences: what is not as it should be, in words; empty where all is well.
        sent: messages on the raw topics.
        accepted: of these, counted.
        letters: of these, dead letters.
        ended: processes that ended without being told to, with their exit codes.
        settled_s: seconds from the last fault and the last message to the last figure.
        took_s: seconds in all.
    """

    plan: Plan
    differences: list[str] = field(default_factory=list)
    sent: int = 0
    accepted: int = 0
    letters: int = 0
    ended: list[str] = field(default_factory=list)
    settled_s: float = 0.0
    took_s: float = 0.0


def prepare(servers: Servers, folder: Path) -> None:
    """Databases with schema and boundaries, one a world, which runs copy."""
    for name in (facts.DEMO, facts.TOWN):
        servers.create(name)
        with servers.asked(name) as connection:
            migrate(connection)
        pipeline = Pipeline(servers.kafka.bootstrap, servers.direct(name), folder)
        pipeline.load_areas(Facts(facts.areas(name, folder / name), (), 0))


class Run:
    """Processes, a database and topics of one run's own.

    Args:
        servers: in use by this run alone.
        what: the plan; in some runs timers are processes of their own.
        folder: for logs and files.
        mistake: one of ``tests.faults.mistakes``, put into all processes; empty: none.
        patience_s: how long everything sent may take until it is counted.
    """

    session_s = SESSION_S

    def __init__(
        self, servers: Servers, what: Plan, folder: Path, *, mistake: str = "", patience_s: float = 90.0
    ) -> None:
        self.servers = servers
        self.plan = what
        self.folder = folder
        self.chance = random.Random(f"run {what.seed}")
        self.parts = (INGEST, WORKER) if self.chance.random() < 0.7 else (INGEST, WORKER, TIMERS)
        self.partitions = PARTITIONS
        self.database = f"run{what.seed}"
        self.outcome = Outcome(what)
        self._mistake = mistake
        self._patience_s = patience_s
        self._prefix = f"run{what.seed}."
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._halted: set[str] = set()
        self._numbers = itertools.count(1)
        self._kept: list[Kept] = []
        self._letters: set[tuple[str, int, int, bytes, str]] = set()
        self._pipeline: Pipeline | None = None
        self._environment: dict[str, str] = {}
        world = facts.world(what.seed, what.flaws, folder / "world")
        self.world = world
        messages = world.facts.messages
        self.sender = Sender(
            servers.kafka.bootstrap, self._prefix, messages, seed=what.seed, lasts_s=SENDING_S
        )

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        self.servers.create(self.database, self.world.name)
        asyncio.run(topics.ensure_topics(self.servers.kafka.bootstrap, self.wanted_topics()))
        batch = self.chance.choice([50, 200, 1000, 200_000])
        seen = self._tools(self.servers.bootstrap, self.servers.dsn(self.database), batch_fixes=batch)
        self._environment = {**seen.environment, ending.CHILD: str(os.getpid())}  # they end with it
        for part in (INGEST, INGEST, WORKER, WORKER, WORKER)[: self.chance.choice([4, 5])]:
            self.join(part)
        for part in self.parts[2:] * self.chance.choice([1, 2]):
            self.join(part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        with contextlib.suppress(Exception):
            self.sender.end()
        self.servers.heal()
        self.hang_up()
        self.servers.drop(self.database)
        self._delete([spec.name for spec in self.wanted_topics()])

    def _tools(self, bootstrap: str, database: str, **changes: Any) -> Pipeline:
        return Pipeline(
            bootstrap,
            database,
            self.folder,
            topic_prefix=self._prefix,
            session_s=SESSION_S,
            publish_s=1.0,
            hear_s=0.1,
            doubt_s=0.5,
            examine_s=0.5,
            **changes,
        )

    @property
    def pipeline(self) -> Pipeline:
        """What asks the servers, directly."""
        if self._pipeline is None:
            self._pipeline = self._tools(self.servers.kafka.bootstrap, self.servers.direct(self.database))
        return self._pipeline

    def hang_up(self) -> None:
        """Closes the run's own connections; new ones are made when they are needed."""
        if self._pipeline is not None:
            self._pipeline.hang_up()
        self._pipeline = None

    # ── processes ─────────────────────────────────────────────────────────────────────────────────────────

    def start(self, name: str) -> None:
        """Starts a process by its name, ``worker 2``; its log goes on."""
        part = name.split(maxsplit=1)[0]
        command = mistakes.command(self._mistake, part) if self._mistake else processes.command(part)
        if part == WORKER and TIMERS in self.parts:
            command = [*command, *COUNTS.split()[1:]]
        with self.log_of(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True, cwd=PROJECT
            )

    def log_of(self, name: str) -> Path:
        """Where a process writes."""
        return self.folder / f"{name.replace(' ', '-')}.log"

    def join(self, part: str) -> None:
        """One more of a kind."""
        self.start(f"{part} {next(self._numbers)}")

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def leave(self, name: str) -> None:
        """SIGTERM, and waits until it is gone."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            self.outcome.ended.append(f"{name}: did not end within 20 s of SIGTERM")
            process.kill()
            process.wait()

    def halt(self, name: str) -> None:
        """SIGSTOP."""
        self._halted.add(name)
        self._processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        self._halted.discard(name)
        self._processes[name].send_signal(signal.SIGCONT)

    def running(self, part: str) -> list[str]:
        """The names of a kind's processes."""
        return sorted(name for name in self._processes if name.startswith(part))

    def some_of_them(self) -> list[str]:
        """One or two processes."""
        names = sorted(self._processes)
        return self.chance.sample(names, self.chance.choice([1, 1, 2]))

    def supervise(self) -> None:
        """Starts again what has ended by itself, as ``patrol up`` or a container does, and remembers it."""
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                self.outcome.ended.append(f"{name}: exit code {code}")
                self.start(name)

    def rest(self, least_s: float, most_s: float) -> None:
        """Waits for a random time."""
        time.sleep(self.chance.uniform(least_s, most_s))

    # ── topics ────────────────────────────────────────────────────────────────────────────────────────────

    def wanted_topics(self) -> list[NewTopic]:
        """The topics as they should be now; nothing expires, since what is sent is old."""
        return [
            NewTopic(
                spec.name,
                spec.num_partitions,
                spec.replication_factor,
                topic_configs={**spec.topic_configs, "retention.ms": "-1"},
            )
            for spec in topics.specs(self._prefix, partitions=self.partitions)
        ]

    def make_again(self, names: Sequence[str]) -> None:
        """Deletes topics, and makes them."""
        self._delete([self._prefix + name for name in names])
        asyncio.run(topics.ensure_topics(self.servers.kafka.bootstrap, self.wanted_topics()))

    def _delete(self, names: Sequence[str]) -> None:
        admin: Any = KafkaAdminClient(bootstrap_servers=self.servers.kafka.bootstrap)

        def gone() -> bool:
            left = set(names) & set(admin.list_topics())
            if left:
                with contextlib.suppress(KafkaError):
                    admin.delete_topics(sorted(left))
            return not left

        try:
            until(gone, "the topics are gone", rest_s=0.05)
        finally:
            admin.close()

    def remember(self, names: Sequence[str]) -> None:
        """Reads what Kafka has of topics, for the comparison at the end."""
        for name in names:
            found = self._read(name)
            if name in topics.RAW or name in topics.INTERNAL:
                self._kept += found
            elif name == topics.DEAD_LETTERS:
                self._letters |= self._letters_of(found)

    def _read(self, name: str) -> list[Kept]:
        """All messages of a topic; the headers of dead letters in place of their own key."""
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.servers.kafka.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=20
        )
        try:
            full = self._prefix + name
            places = [TopicPartition(full, each) for each in sorted(consumer.partitions_for_topic(full))]
            consumer.assign(places)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(places)
            found: list[Kept] = []
            while any(consumer.position(place) < ends[place] for place in places):
                for place, records in consumer.poll(timeout_ms=200).items():
                    found += [
                        Kept(
                            name,
                            place.partition,
                            record.offset,
                            Message(name, record.value or b"", record.timestamp * 1000, record.key or b""),
                            tuple(record.headers),
                        )
                        for record in records
                    ]
            return found
        finally:
            consumer.close()

    def _letters_of(self, found: Sequence[Kept]) -> set[tuple[str, int, int, bytes, str]]:
        """Where the letters come from, what they hold and why they are there."""
        letters = set()
        for item in found:
            headers = dict(item.headers)
            topic = headers["topic"].decode().removeprefix(self._prefix)
            place = int(headers["partition"]), int(headers["offset"])
            letters.add((topic, *place, item.message.value, headers["reason"].decode()))
        return letters

    # ── waiting and comparing ─────────────────────────────────────────────────────────────────────────────

    def counted(self) -> int:
        """How many frames the database has; while it is away this waits."""

        def ask() -> int:
            try:
                return self.pipeline.counted()
            except psycopg.Error:
                self.hang_up()
                raise

        return waits_for_database(ask)

    def settle(self) -> None:
        """Returns when everything on Kafka is counted; whatever has ended meanwhile is started again."""
        with contextlib.ExitStack() as stack:
            meters: list[LagMeter] = []
            self.hang_up()

            def none() -> bool:
                self.supervise()
                try:
                    if not meters:
                        meters.append(LagMeter(self.pipeline.settings))
                        stack.callback(meters[-1].close)
                    lag = meters[-1].measure(self.pipeline.connection)
                except (KafkaError, psycopg.Error):
                    meters.clear()
                    self.hang_up()
                    return False
                self._lag = f"{lag.raw} raw messages and {lag.frames} frames wait"
                return lag.raw == lag.frames == 0

            try:
                until(none, "everything sent is counted", self._patience_s, rest_s=0.05)
            except AssertionError as failure:
                raise AssertionError(f"{failure}: {self._lag}") from None

    _lag = "the lag is not known"

    def go(self) -> Outcome:
        """Sends everything, lets the faults strike, and compares."""
        began = time.monotonic()
        outcome = self.outcome
        try:
            self.sender.start()
            if self.chance.random() < WARM:
                with contextlib.suppress(AssertionError):
                    until(lambda: self.counted() > 0, "the first frame is counted", START_S)
            parts = len(self.plan.strikes) + 1
            for number, name in enumerate(self.plan.strikes, 1):
                # On a slow machine too there is something left to send when the last one strikes.
                self.sender.allow(number / parts)
                self.rest(0.1 * SENDING_S / parts, 1.6 * SENDING_S / parts)
                self.supervise()
                STRIKES[name](self)
            self.sender.finish()
            healed = time.monotonic()
            self.settle()
            self.remember([*topics.RAW, *topics.INTERNAL, topics.DEAD_LETTERS])
            outcome.settled_s = time.monotonic() - healed
            outcome.differences += self._differences()
        except AssertionError as failure:
            outcome.differences.append(str(failure))
        outcome.took_s = time.monotonic() - began
        return outcome

    def _differences(self) -> list[str]:
        """What is not as it should be, in words."""
        raw = [item for item in self._kept if item.topic in topics.RAW]
        result = judged(raw)
        broken = {
            (item.topic, item.partition, item.offset, item.message.value, topics.BROKEN_FRAME)
            for item in self._kept
            if item.topic in topics.INTERNAL and item.message.key == b"poison"
        }
        rejected = {
            (item.topic, item.partition, item.offset, item.message.value, reason)
            for item, reason in result.rejected
        }
        outcome = self.outcome
        outcome.sent, outcome.accepted = len(raw), len(result.accepted)
        outcome.letters = len({letter for letter in self._letters if letter[0] in topics.RAW})
        found: list[str] = []
        if lost := missing([item for item in self.world.facts.messages if item.topic in topics.RAW], raw):
            found.append(f"the campaign itself lost {lost.total()} messages: {next(iter(lost))}")
        if self._letters != rejected | broken:
            extra, absent = self._letters - rejected - broken, (rejected | broken) - self._letters
            found.append(
                f"dead letters: {len(extra)} too many {_few(extra)}, {len(absent)} lost {_few(absent)}"
            )
        if outcome.accepted + outcome.letters != outcome.sent:
            found.append(
                f"accepted {outcome.accepted} plus dead letters {outcome.letters} is not sent {outcome.sent}"
            )
        cut = facts.until_of(self.world)
        wanted = offline(
            replace(self.world.facts, messages=result.accepted, until=cut), self.folder / "offline"
        )
        pipeline = self.pipeline
        checks: tuple[Callable[[], None], ...] = (
            lambda: assert_consistent(pipeline.connection),
            lambda: self._assert_heard([item.message for item in raw]),
            lambda: self._assert_keyed(result.accepted),
            lambda: assert_device_days(pipeline, self.folder / "offline" / "figures", cut),
            lambda: assert_same(pipeline.export(cut), wanted),
        )
        for check in checks:
            try:
                check()
            except AssertionError as failure:
                found.append(str(failure))
        return found

    def _assert_keyed(self, messages: Sequence[Message]) -> None:
        """Every state is there: most change no activity, and few tables tell of them."""
        values = [message.value for message in messages if message.topic == topics.DUTY_STATES]
        keyed = f"select officer_id, {us('time')}, state from state join officer using (officer)"
        have = set(self.pipeline.connection.execute(keyed.encode()).fetchall())
        want = {(report.officer_id, report.time, report.state) for report in decode_states(values)[0]}
        assert have == want, f"states: live only {_few(have - want)}; sent only {_few(want - have)}"

    def _assert_heard(self, messages: Sequence[Message]) -> None:
        have = set(heard_rows_of(heard_between(self.pipeline.connection, NO_DAY, LAST_DAY)))
        want = set(heard_rows_of(heard_of(messages)))
        assert have == want, f"heard: live only {_few(have - want)}; sent only {_few(want - have)}"


def _few(items: set[Any]) -> str:
    shown = [str(item)[:160] for item in sorted(items, key=str)[:2]]
    return f"({'; '.join(shown)})" if shown else ""
