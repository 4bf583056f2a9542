"""The worker: a Faust app that runs the stages and errands of ``stream.pipeline.stages``.

Events come in, one transaction a batch is made of them by ``stream.store.ledger`` (where the order of a
commit is written down step by step), and only then are they acknowledged. The batch is whatever came in while
the last one was written, and under light traffic what ingest sends together.

A stage that gathers is beside the others: what it writes nobody waits for.

Nothing here may raise out of an agent's loop: Faust would acknowledge the event. A database that is away
makes the worker wait, with growing pauses, and say so; what cannot be read goes to the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import psycopg
from aiokafka.errors import KafkaError
from faust import Agent
from faust import App as FaustApp
from faust.auth import SASLCredentials, SSLCredentials
from faust.exceptions import ProducerSendError
from faust.transport.drivers import aiokafka as driver
from kafka.errors import KafkaError as OtherKafkaError

from stream import topics
from stream.core import frames
from stream.core.facts import SECOND
from stream.kafka_security import AccessError, access, rotating
from stream.pipeline import dead_letters
from stream.pipeline.lag import TopicsSeen
from stream.pipeline.losses import Losses
from stream.pipeline.outages import DATABASE, KAFKA, OUTAGES, lasting
from stream.pipeline.stages import STAGES
from stream.pipeline.timers import Timers, mailing
from stream.pipeline.waiting import Backoff, first_of
from stream.secret_files import current
from stream.store.ledger import Counted, Ledger, Offset
from stream.store.policies import agreed
from stream.store.reading import progress
from stream.store.schema import connect, require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from stream.pipeline.batches import Broken
    from stream.pipeline.metrics import WorkerMetrics
    from stream.pipeline.stages import Stage
    from stream.settings import Settings
    from stream.store.schema import Connection

    Place = Callable[[Any, Callable[[], Awaitable[None]]], Awaitable[None]]

log = logging.getLogger(__name__)

TOGETHER_S = 0.1
"""So long after a frame those of other partitions have come that ingest sent with it."""
COMMITS_S = 2.0
"""How often the group's offsets are told to Kafka: nothing starts from them, but they can be looked at."""
FETCH_WAIT_MS = 250
"""So long Kafka may hold a request for messages back while there are none."""
WAITING_FRAMES = 64
"""Frames that may wait in memory for their transaction; the rest wait in Kafka."""
GATHERED = 3
"""So many times as much as others does a stage take at once that gathers: its cost is by device."""
MOST_REFUSALS = 64
"""So often a message is divided to find what the database refuses; then what is left is kept undivided."""
FOR_ITS_OWN_SAKE = (
    psycopg.OperationalError,  # also: disk full, too many connections, shutting down
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.InsufficientPrivilege,
)
"""What a database refuses because of its own state: it is waited for."""
FAREWELL_S = 4.0
"""So long Faust may take to stop."""
LOOK_S = 5.0
"""Seconds between two looks whether database and topics are still the same, also while nothing comes in."""
STILL_S: Final = 60.0
"""So long a worker is patient when nothing comes of a partition that it reads, though messages wait there."""
Gap: TypeAlias = "tuple[str, int, int, int]"
NEVER_SEEN: Callable[[], TopicsSeen] = partial(TopicsSeen, -math.inf, {})
"""Where nobody looks at the topics."""
NONE_STALLED: Callable[[], Mapping[tuple[str, int], tuple[float, int]]] = dict
"""Where nobody looks at them."""
FOR_THE_DATAS_SAKE = (psycopg.DataError, psycopg.IntegrityError)
"""What it refuses because of what it is given."""


@dataclass(slots=True)
class Turn:
    """The one place where events wait for their transaction: a connection, a thread, a ledger.

    Transactions of one worker come one after another; more workers, not more threads, make it faster.

    Attributes:
        checks: asked of each new connection before anything is written through it; they may raise.
        metrics: told of what was done.
    """

    settings: Settings
    stop: asyncio.Event
    name: str = "patrol worker"
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ledger"))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    ledger: Ledger | None = None
    checks: list[Callable[[Ledger], None]] = field(default_factory=list)
    metrics: WorkerMetrics | None = None
    _agreed: bool = False

    async def run(self, work: Callable[[Ledger], Counted]) -> Counted | None:
        """Does work in the thread, again and again while the database is away; None when told to stop."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        async with self.turn:
            while True:
                old = self.ledger is not None
                try:
                    counted = await loop.run_in_executor(self.thread, self._do, work)
                except FOR_ITS_OWN_SAKE as failure:
                    self._drop()
                    if old:
                        continue  # an old connection may have been cut: a new one tells more
                    OUTAGES.failed(self.name, DATABASE, failure)
                else:
                    OUTAGES.well(self.name)
                    if self.metrics is not None:
                        self.metrics.settled(counted)
                    return counted
                await backoff.pause(self.stop)
                if self.stop.is_set():
                    return None

    async def look(self) -> None:
        """Asks the database now and then, until cancelled; so an older one is noticed while nothing comes."""
        while await self.run(Ledger.answers) is not None:
            await asyncio.sleep(LOOK_S)

    def _do(self, work: Callable[[Ledger], Counted]) -> Counted:
        if self.ledger is None:
            self.connection = connect(self.settings.database, name=self.name)
            require(self.connection)
            if not self._agreed:
                # Later a newer policy is noticed, and followed: only who begins has to say the same.
                agreed(self.connection, self.settings)
                self._agreed = True
            # A batch is lost with a crash of the server at most, and then comes again from Kafka.
            ledger = Ledger(self.connection)
            for check in self.checks:
                check(ledger)
            self.ledger = ledger
        return work(self.ledger)

    def _drop(self) -> None:
        connection, self.connection, self.ledger = self.connection, None, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Ends thread and connection."""
        self.thread.shutdown(wait=True)
        self._drop()


def incarnation_of(settings: Settings, topic: str) -> str:
    """The topic's own id in Kafka: another one after it was deleted and made again."""
    found = topics.incarnations(settings.brokers, [topic])
    if topic not in found:
        raise UnknownTopicError(f"Kafka has no id for the topic {topic}: run 'patrol init'")
    return found[topic]


class UnknownTopicError(RuntimeError):
    """A topic that the worker reads is not there."""


class StartAgainError(Exception):
    """What the worker reads does not follow on what the database has: it has to look where to start."""


class AnotherLedgerError(Exception):
    """What was begun by one ledger would be ended by another."""


@dataclass(slots=True)
class ByOne:
    """Work of several transactions that one ledger has to do from the first to the last.

    Another ledger has another connection, and its database may be one that lacks the first of them: put back
    from a backup, or a standby. Then the last one, which records how far all is counted, must not be made.
    """

    desk: Turn
    ledger: Ledger | None = None

    async def run(self, work: Callable[[Ledger], Counted]) -> bool:
        """Does work in turn with the other stages, and what it leaves; False: told to stop.

        What it leaves because another worker has it locked comes after the others' turn.

        Raises:
            AnotherLedgerError: everything has to be done again.
        """
        counted = await self.desk.run(partial(self._do, work))
        while counted is not None and counted.rest is not None:
            counted = await self.desk.run(partial(self._do, counted.rest))
        return counted is not None

    def _do(self, work: Callable[[Ledger], Counted], ledger: Ledger) -> Counted:
        if self.ledger not in (None, ledger):
            raise AnotherLedgerError
        counted = work(ledger)
        self.ledger = ledger
        return counted


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message, in its place."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes
    headers: Any

    @classmethod
    def of(cls, whole: Any, value: bytes) -> Part:
        """With everything of the whole message but its value."""
        return cls(
            whole.topic, whole.partition, whole.offset, whole.timestamp, whole.key, value, whole.headers
        )


class Intake:
    """The events of a stage on their way into transactions.

    Args:
        stage: which.
        desk: where the transactions are made.
        broken: told of messages that cannot be read.
        counted: set whenever a batch is committed.
        adrift: whether reading may have begun elsewhere than where the database says.
        gaps: those that were looked into: topic, partition, the offset that was due, the one that came.

    Attributes:
        idle_since: since when nothing has come, by the event loop's clock; ``inf``: something is counted.
    """

    def __init__(
        self,
        stage: Stage,
        desk: Turn,
        broken: Broken,
        counted: asyncio.Event,
        adrift: Callable[[], bool],
        gaps: set[Gap],
    ) -> None:
        self.topic = topics.named(stage.topic, desk.settings.topic_prefix)
        self._stage = stage
        self._desk = desk
        self._broken = broken
        self._counted = counted
        self._adrift = adrift
        self._gaps = gaps
        self._waiting: asyncio.Queue[tuple[Any, Any, float]] = asyncio.Queue(WAITING_FRAMES)
        self._incarnation = ""
        self._passed: dict[int, int] = {}
        self.idle_since = math.inf
        desk.checks.append(self._check)

    def _check(self, ledger: Ledger) -> None:
        """Whether the database still has all that was counted: another one may have taken its place."""
        if not self._incarnation:
            return
        has = ledger.passed(self.topic, self._incarnation)
        for partition, offset in self._passed.items():
            if has.get(partition, 0) < offset:
                raise StartAgainError(
                    f"the database has {self.topic} {partition} up to {has.get(partition, 0)} only, and had "
                    f"it up to {offset}: an older one is in its place, or it lost its last transactions"
                )

    async def agent(self, stream: Any) -> None:
        """The body of the Faust agent: takes events off the stream, in order, without acknowledging them."""
        now = asyncio.get_running_loop().time
        async for event in stream.noack().events():
            await self._waiting.put((stream, event, now()))

    async def work(self) -> None:
        """Makes transactions of what waits, until cancelled."""
        now, metrics = asyncio.get_running_loop().time, self._desk.metrics
        while True:
            events = await self._events()
            began = now()
            if self._adrift():
                raise StartAgainError(f"where {self.topic} is to be read from was not known in time")
            fresh = await self._fresh([event.message for _, event, _ in events])
            if fresh and not await self._count(fresh):
                return
            self._counted.set()
            if fresh and metrics is not None:
                metrics.taken(self._stage.topic, len(fresh), now() - began)
            for stream, event, _ in events:
                await stream.ack(event)

    async def _events(self) -> list[tuple[Any, Any, float]]:
        """What goes into the next transaction: at least one event, and no more than fits into it."""
        settings, now = self._desk.settings, asyncio.get_running_loop().time
        self.idle_since = now()
        events = [await self._waiting.get()]
        self.idle_since = math.inf
        size, most = len(events[0][1].value or b""), settings.batch_fixes * frames.FIX_BYTES  # 44 bytes a fix
        if self._stage.gathers:
            most *= GATHERED
        # Whatever has waited for the last transaction need not wait for more.
        until = events[0][2] + (getattr(settings, self._stage.gathers) if self._stage.gathers else TOGETHER_S)
        while size < most:
            if self._waiting.empty():
                if (left := until - now()) <= 0:
                    break
                try:
                    async with asyncio.timeout(left):
                        events.append(await self._waiting.get())
                except TimeoutError:
                    break
            else:
                events.append(self._waiting.get_nowait())
            size += len(events[-1][1].value or b"")
        return events

    async def _fresh(self, messages: Sequence[Any]) -> list[Any]:
        """Those not yet counted; that the topic is still the one on record is looked at first.

        Raises:
            StartAgainError: messages did not come that were due. Where Kafka has deleted them, whoever starts
                again says so.
        """
        again = any(m.offset < self._passed.get(m.partition, 0) for m in messages)
        if not self._incarnation or again or self._gap(messages):
            self._incarnation = await asyncio.to_thread(incarnation_of, self._desk.settings, self.topic)
            self._passed.clear()

            def look(ledger: Ledger) -> Counted:
                self._passed = ledger.passed(self.topic, self._incarnation)
                return Counted()

            if await self._desk.run(look) is None:
                return []
            gap = self._gap(messages)
            if gap is not None and gap not in self._gaps:
                self._gaps.add(gap)
                topic, partition, due, came = gap
                raise StartAgainError(f"{topic} {partition}: offset {came} came where {due} was due")
        return [m for m in messages if m.offset >= self._passed.get(m.partition, 0)]

    def _gap(self, messages: Sequence[Any]) -> Gap | None:
        """The first place where messages are missing between what is counted and what came."""
        due = dict(self._passed)
        for message in messages:
            partition, offset = message.partition, message.offset
            if offset > due.get(partition, 0):
                return self.topic, partition, due.get(partition, 0), offset
            due[partition] = max(due.get(partition, 0), offset + 1)
        return None

    async def _count(self, messages: list[Any]) -> bool:
        """Makes one transaction of messages, or more; False: told to stop."""
        while True:
            with contextlib.suppress(AnotherLedgerError):
                return await self._count_by_one(messages, ByOne(self._desk))

    async def _count_by_one(self, messages: list[Any], one: ByOne) -> bool:
        """One transaction of messages; more where somebody has locked some, or the database refuses them."""
        try:
            done = await one.run(partial(self._batch, messages=messages))
        except FOR_THE_DATAS_SAKE as refusal:
            why = refusal.diag.message_primary or type(refusal).__name__
            log.warning("%s: %s; looking for what is refused", self.topic, why)
            for message in messages:
                if not await self._divide(message, one):
                    return False
            # What they hold is counted or kept: now only their offsets, none of them as a message.
            done = await one.run(partial(self._batch, messages=messages, empty=True))
        if done:
            self._passed.update(_reached(messages))
        return done

    async def _divide(self, message: Any, one: ByOne) -> bool:
        """Counts the parts of a message that the database takes; keeps the others among the dead letters."""
        parts, refusals = [message], 0
        while parts:
            part = parts.pop(0)
            try:
                if not await one.run(partial(self._part, part=part)):
                    return False
            except FOR_THE_DATAS_SAKE as refusal:
                refusals += 1
                halves = self._stage.halves(part.value) if refusals < MOST_REFUSALS else ()
                parts[:0] = [Part.of(message, value) for value in halves]
                if not halves:
                    # What else the database says repeats the row: who, and where.
                    words = " ".join((refusal.diag.message_primary or str(refusal)).split())
                    await asyncio.to_thread(self._broken, part, f"the database refuses it: {words}")
        return True

    def _part(self, ledger: Ledger, part: Any) -> Counted:
        return self._stage.run(ledger, [part], [], self._broken)

    def _batch(self, ledger: Ledger, messages: list[Any], *, empty: bool = False) -> Counted:
        sent = {message.partition: round(message.timestamp * SECOND) for message in messages}
        offsets = [
            Offset(self.topic, partition, self._incarnation, offset, sent[partition])
            for partition, offset in sorted(_reached(messages).items())
        ]
        return self._stage.run(ledger, [] if empty else messages, offsets, self._broken)


def _reached(messages: Sequence[Any]) -> dict[int, int]:
    """The next offset of each partition after messages."""
    reached: dict[int, int] = {}
    for message in messages:
        reached[message.partition] = max(reached.get(message.partition, 0), message.offset + 1)
    return reached


@dataclass(frozen=True, slots=True)
class Starts:
    """Where partitions are to be read from.

    Attributes:
        offsets: by partition the next offset that the database has not counted.
        sent: by partition when the last message counted was sent, microseconds since 1970; None: not known.
        ids: by topic its own id in Kafka.
    """

    offsets: Mapping[Any, int]
    sent: Mapping[Any, int | None]
    ids: Mapping[str, str]


class Worker:
    """The stages as agents of a Faust app, and the tasks beside them: made here, run by ``run``.

    Args:
        settings: Kafka, database, policies.
        stop: set when the worker is told to end.
        metrics: told of what is done.
        gaps: those that were looked into, by the worker before this one too.
        errands: whether it does them, if elected.
        seen: the topics that Kafka has, looked at now and then by somebody else.
        stalled: partitions of which nothing is settled: since when, seconds, and how many messages wait.

    Attributes:
        losses: where what Kafka no longer holds is told.
        fault: done when reading could not be placed: Faust then reads nothing any more, and goes on so.
    """

    def __init__(
        self,
        settings: Settings,
        stop: asyncio.Event,
        metrics: WorkerMetrics | None = None,
        gaps: set[Gap] | None = None,
        *,
        errands: bool = True,
        seen: Callable[[], TopicsSeen] = NEVER_SEEN,
        stalled: Callable[[], Mapping[tuple[str, int], tuple[float, int]]] = NONE_STALLED,
    ) -> None:
        self.app = build(settings, self._place)
        self.desk = Turn(settings, stop, metrics=metrics)
        self.aside = Turn(settings, stop, "patrol worker: hear", metrics=metrics)
        self._metrics = metrics
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._out = {name: self._topic(name) for name in topics.OUT}
        self._reads = {topics.named(stage.topic, settings.topic_prefix) for stage in STAGES}
        self._adrift = False
        self._ids: Mapping[str, str] = {}
        self._asked = -math.inf
        self._gaps: set[Gap] = set() if gaps is None else gaps
        self.losses = Losses(settings, "patrol worker: losses")
        self.fault: asyncio.Future[None] = self._loop.create_future()
        self._counted = asyncio.Event()
        self.tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._intakes: list[Intake] = []
        self._stalled = stalled
        for stage in STAGES:
            desk = self.aside if stage.gathers else self.desk
            intake = Intake(stage, desk, self._broken, self._counted, lambda: self._adrift, self._gaps)
            self._add(stage, intake)
            self._intakes.append(intake)
            self.tasks[stage.name] = intake.work
        self._seen = seen
        self._timers = Timers(settings, self._counted) if errands else None
        if self._timers is not None:
            self.tasks |= self._timers.tasks

    def _add(self, stage: Stage, intake: Intake) -> None:
        """Makes an agent as Faust's decorator does.

        That one also notes in which module it was used, for a search of them that is switched off; to find
        that out Python looks at the file of every module that there is.
        """
        self.app.agents[stage.name] = Agent(
            intake.agent,
            name=stage.name,
            app=self.app,
            channel=self._topic(stage.topic),
            concurrency=1,
            on_error=self.app._on_agent_error,
        )

    async def _place(self, consumer: Any, usual: Callable[[], Awaitable[None]]) -> None:
        """Begins to read each partition where the database says, whatever the group has committed."""
        mine = [tp for tp in consumer.assignment() if tp.topic in self._reads]
        done = False
        try:
            await usual()
            asked = time.monotonic()
            starts = await self._starts(mine)
            self._ids, self._asked = starts.ids, asked
            held = await consumer.earliest_offsets(*mine)
            if gone := {tp: (starts.offsets[tp], held[tp]) for tp in mine if held[tp] > starts.offsets[tp]}:
                await self.losses.tell(await asyncio.to_thread(self._gone, gone, starts))
                self._gaps |= {(tp.topic, tp.partition, *offsets) for tp, offsets in gone.items()}
            for tp in mine:
                await consumer.seek(tp, starts.offsets[tp])
            done = True
        except Exception as failure:
            if not self.fault.done():
                self.fault.set_exception(failure)
            raise
        finally:
            self._adrift = not done  # cancelled, because it took too long

    async def follow_topics(self) -> None:
        """Looks whether the topics are still those that reading began with, until cancelled.

        Kafka's client goes on in a topic that was made again at the offset that it had reached in the one
        before; what is below it there would be read by nobody.

        Raises:
            StartAgainError: one was made again.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            found = self._seen()
            if found.at < self._asked:
                continue
            for topic, known in self._ids.items():
                if found.ids.get(topic, known) != known:
                    raise StartAgainError(f"{topic} was deleted and made again")

    async def keep_reading(self) -> None:
        """Looks whether what waits is read, until cancelled.

        A client of Kafka may wait for ever for what does not come, after a broker went away at a bad moment
        for instance, and say nothing. Only reading afresh helps then, and does no harm where it does not.

        Raises:
            StartAgainError: nothing comes.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            if said := self._standing_still():
                raise StartAgainError(said)

    def _standing_still(self) -> str:
        now, mine = self._loop.time(), self.app.consumer.assignment()
        for intake in self._intakes:
            if now - intake.idle_since < STILL_S:
                continue
            for (topic, partition), (age, waiting) in self._stalled().items():
                whose = any((tp.topic, tp.partition) == (topic, partition) for tp in mine)
                if topic == intake.topic and age >= STILL_S and (whose or self.app.rebalancing):
                    return f"nothing has come of {topic} {partition} for {lasting(age)}, and {waiting:,} wait"
        return ""

    async def _starts(self, partitions: Sequence[Any]) -> Starts:
        """Where the database says that each partition is to be read from; waits while it is away."""

        def look() -> Starts:
            ids = topics.incarnations(self._settings.brokers, sorted({tp.topic for tp in partitions}))
            with connect(self._settings.database, name="patrol worker: start") as connection:
                has, sent = progress.offsets(connection), progress.sent(connection)
            known = {tp: (tp.topic, tp.partition, ids.get(tp.topic, "")) for tp in partitions}
            return Starts(
                {tp: has.get(known[tp], 0) for tp in partitions},
                {tp: sent.get(known[tp]) for tp in partitions},
                ids,
            )

        backoff = Backoff()
        while True:
            try:
                found = await asyncio.to_thread(look)
            except psycopg.OperationalError as failure:
                OUTAGES.failed("start", DATABASE, failure)
            else:
                OUTAGES.well("start")
                return found
            await backoff.pause(self.desk.stop)
            if self.desk.stop.is_set():
                raise asyncio.CancelledError  # nothing is read any more

    def _gone(self, gone: Mapping[Any, tuple[int, int]], starts: Starts) -> list[topics.NoLongerHeld]:
        """Which messages Kafka deleted before the database had them, and when they were sent."""
        until = topics.first_sent(self._settings.brokers, [(tp.topic, tp.partition) for tp in gone])
        return [
            topics.NoLongerHeld(
                *(tp.topic, tp.partition, starts.ids.get(tp.topic, ""), start, first),
                starts.sent[tp],
                until.get((tp.topic, tp.partition)),
            )
            for tp, (start, first) in sorted(gone.items())
        ]

    def _topic(self, name: str) -> Any:
        return self.app.topic(
            topics.named(name, self._settings.topic_prefix),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

    def _broken(self, message: Any, detail: str) -> None:
        """Keeps a message that cannot be read; called from the ledger's thread."""
        log.error("%s %s:%s: %s", message.topic, message.partition, message.offset, detail)
        if self._metrics is not None:
            self._metrics.dead_letters.labels(topics.BROKEN_FRAME).inc()
        asyncio.run_coroutine_threadsafe(self._keep(message, detail), self._loop).result()

    async def _keep(self, message: Any, detail: str) -> None:
        """Sends a message to the dead letters, and returns when Kafka has it: only then is it passed over."""

        async def send(key: bytes | None, value: bytes | None, detail: str) -> None:
            stood = message.topic, message.partition, message.offset, int(message.timestamp * 1000)
            headers = dead_letters.headers(topics.BROKEN_FRAME, detail, *stood)
            await (await self._out[topics.DEAD_LETTERS].send(key=key, value=value, headers=headers))

        # The client sends nothing that has neither value nor key.
        key = b"" if message.key is None and message.value is None else message.key
        try:
            await send(key, message.value, detail)
        except (ProducerSendError, *dead_letters.TOO_LARGE) as failure:
            if not isinstance(failure.__cause__ or failure, dead_letters.TOO_LARGE):
                raise
            await send(b"", None, dead_letters.without_value(detail, message.value))

    async def farewell(self) -> None:
        """Says goodbye to a broker that may be away."""
        timers = [self._timers.farewell()] if self._timers is not None else []
        await asyncio.gather(self.app.stop(), *timers)

    def close(self) -> None:
        """Ends the ledgers' threads and gives up every lock."""
        self.desk.close()
        self.aside.close()
        if self._timers is not None:
            self._timers.close()


def _credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """How Faust's clients are to connect to Kafka; None: without anything."""
    there = settings.brokers
    if there.sasl:
        return SASLCredentials(
            username=there.user,
            password=current(there.password),
            ssl_context=there.context(),
            mechanism=there.mechanism,
        )
    return SSLCredentials(there.context()) if there.tls else None


def build(settings: Settings, place: Place) -> FaustApp:
    """The Faust app without agents. Topics are made by ``patrol init``; PostgreSQL is the only state.

    Args:
        settings: Kafka, and its patience.
        place: seeks a consumer's partitions, whenever some were assigned, before anything is read; it is
            given Faust's own way too, which notes what the group has committed.
    """

    class ConsumerThread(driver.AIOKafkaConsumerThread):
        """Faust's own, which would let a fetch wait for 1.5 s: there is no setting.

        A fetch under way does not ask for the partitions that were just read, and nothing else is answered
        on its connection, even after partitions moved.
        """

        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = FETCH_WAIT_MS
            return rotating(consumer, settings.brokers)

    class Consumer(driver.Consumer):
        """Faust's own, which would begin at the offsets that the group has committed."""

        def _new_consumer_thread(self) -> Any:
            return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

        async def perform_seek(self) -> None:
            await place(self, super().perform_seek)

    class Producer(driver.Producer):
        """Faust's own, with the password that there is when it connects."""

        def _new_producer(self, transactional_id: str | None = None) -> Any:
            return rotating(super()._new_producer(transactional_id), settings.brokers)

    class Transport(driver.Transport):
        """With these."""

    class App(FaustApp):
        """Without folders, which Faust would make for tables."""

        def _create_directories(self) -> None:
            pass

    ConsumerThread.logger = driver.AIOKafkaConsumerThread.logger  # what they say is Faust's
    Consumer.logger, App.logger = driver.Consumer.logger, FaustApp.logger
    Producer.logger = driver.Producer.logger
    Transport.Consumer, Transport.Producer = Consumer, Producer
    app = App(
        f"{settings.topic_prefix}patrol-worker",
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=settings.session_s,
        broker_rebalance_timeout=max(1.0, settings.session_s / 2),
        broker_heartbeat_interval=settings.session_s / 7,
        broker_request_timeout=max(30.0, settings.session_s * 3),
        broker_commit_interval=COMMITS_S,
        broker_commit_every=10_000,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=WAITING_FRAMES,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=topics.METADATA_MS,
        producer_metadata_max_age_ms=topics.METADATA_MS,
        consumer_max_fetch_size=topics.MAX_MESSAGE_BYTES,
        producer_max_request_size=topics.MAX_MESSAGE_BYTES,
        HttpClient=object,  # it has none to ask: the usual one takes as long to import as all of Faust
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    return app


async def run(
    settings: Settings,
    stop: asyncio.Event,
    metrics: WorkerMetrics | None = None,
    *,
    errands: bool = True,
    seen: Callable[[], TopicsSeen] = NEVER_SEEN,
    stalled: Callable[[], Mapping[tuple[str, int], tuple[float, int]]] = NONE_STALLED,
) -> None:
    """Runs a worker until ``stop`` is set.

    Args:
        settings: Kafka, database, policies.
        stop: set it to end.
        metrics: told of what is done.
        errands: whether it does them beside counting, if elected.
        seen: the topics that Kafka has, looked at now and then by somebody else.
        stalled: as ``Worker`` takes it.

    Raises:
        SchemaError: the database's schema is not up to date.
        SettingsError: the mail file cannot be used, or PATROL_POLICY differs from the database.
        Exception: a fault of the program: better to end and be restarted than to continue in a bad state.
    """
    if errands:
        mailing(settings)
    backoff = Backoff()
    gaps: set[Gap] = set()
    while not stop.is_set():
        try:
            worker = Worker(settings, stop, metrics, gaps, errands=errands, seen=seen, stalled=stalled)
            await _run(worker, stop)
        except StartAgainError as error:
            log.warning("%s; the worker starts again from what the database has", error)
        except (KafkaError, OtherKafkaError, AccessError) as error:
            OUTAGES.failed("worker", KAFKA, error)
        else:
            return
        await backoff.pause(stop)


async def _run(worker: Worker, stop: asyncio.Event) -> None:
    tasks: list[asyncio.Future[None]] = [worker.fault]
    try:
        await worker.desk.run(
            lambda _: Counted()
        )  # waits for the database; an old schema is an error at once
        tasks.append(asyncio.create_task(worker.losses.keep(stop), name="losses"))
        await access(worker.desk.settings.brokers)
        # Faust waits for ever where the broker goes away meanwhile, so it is not waited for alone.
        starting = asyncio.ensure_future(worker.app.start())
        await first_of([starting, *tasks], stop)
        if starting.done():
            starting.result()
            OUTAGES.well("worker")
            tasks += [asyncio.create_task(task(), name=name) for name, task in worker.tasks.items()]
            tasks += [
                asyncio.create_task(desk.look(), name=desk.name) for desk in (worker.desk, worker.aside)
            ]
            tasks.append(asyncio.create_task(worker.follow_topics(), name="topics"))
            tasks.append(asyncio.create_task(worker.keep_reading(), name="reading"))
            await first_of(tasks, stop)
        else:
            starting.cancel()
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        stopping = asyncio.ensure_future(worker.farewell())
        await asyncio.wait([stopping], timeout=FAREWELL_S)
        stopping.cancel()
        await asyncio.to_thread(worker.close)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
