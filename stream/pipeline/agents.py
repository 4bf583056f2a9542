"""The Faust app: the stages of the pipeline, top to bottom.

    patrol.fixes  -> locate:  fixes -> stays -> slices    (``Ledger.positions``)
    patrol.duties -> account: duties, states -> slices    (``Ledger.bookings``)
    slices        -> publish: live figures on visibility.shares, every few seconds, when they changed
    slices        -> watch:   alerts on visibility.alerts, when they ring, change and clear
    slices        -> report:  Mondays at 06:00 the reports of the week before, and their letters

A shell: events come in, one transaction a batch is made of them by ``stream.store.ledger`` (where the order
of a commit is written down step by step), and only then are they acknowledged. The batch is whatever came in
while the last one was written: under light traffic a frame, under a backlog many. A stage reaches through to
the slices in its own transaction, so there is nothing between two commits that could be lost.

Nothing here may raise out of an agent's loop: Faust would acknowledge the event. A database that is away
makes the worker wait, with backoff and a visible state; what cannot be read goes to the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faust
import psycopg
from kafka import KafkaAdminClient

from stream import topics
from stream.core import frames
from stream.core.calendar import rfc3339
from stream.core.events import decode_duties, decode_states
from stream.core.facts import SECOND
from stream.pipeline.mail import read_mailing
from stream.pipeline.publisher import Publisher
from stream.pipeline.watcher import Watcher
from stream.pipeline.weekly import Timer, keep_time
from stream.store.ledger import Counted, Ledger, Offset
from stream.store.policies import keep
from stream.store.schema import SchemaError, connect, require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stream.core.facts import Duty, Fixes, StateReport
    from stream.settings import Settings
    from stream.store.schema import Connection

    Count = Callable[[Ledger, list[Any], list[Offset]], Counted]
    Broken = Callable[[Any, str], None]

log = logging.getLogger(__name__)

FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.2, 5.0
PATIENCE = 50
WAITING_FRAMES = 64
"""Frames that may wait in memory for their transaction; the rest wait in Kafka."""


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """What a worker has done since it started; ``state`` is ``waiting`` while the database is away."""

    state: str = "starting"
    detail: str = ""
    fixes: int = 0
    repeated: int = 0
    duties: int = 0
    states: int = 0
    batches: int = 0
    broken_frames: int = 0
    published: int = 0


@dataclass(slots=True)
class Turn:
    """The one place where events wait for their transaction: a connection, a thread, a ledger.

    Transactions of one worker come one after another; more workers, not more threads, make it faster.
    """

    settings: Settings
    on_progress: Callable[[WorkerProgress], None]
    stop: asyncio.Event
    progress: WorkerProgress = field(default_factory=WorkerProgress)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ledger"))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    ledger: Ledger | None = None

    def tell(self, **changes: Any) -> None:
        """Notes and reports progress."""
        self.progress = replace(self.progress, **changes)
        self.on_progress(self.progress)

    async def run(self, work: Callable[[Ledger], Counted]) -> Counted | None:
        """Does work in the thread, again and again while the database is away; None when told to stop."""
        backoff = FIRST_BACKOFF_S
        loop = asyncio.get_running_loop()
        async with self.turn:
            while True:
                try:
                    counted = await loop.run_in_executor(self.thread, self._do, work)
                except (psycopg.OperationalError, psycopg.InterfaceError) as failure:
                    self._drop()
                    self.tell(
                        state="waiting",
                        detail=f"the database: {str(failure).strip() or type(failure).__name__}",
                    )
                    log.warning("waiting for %s", self.progress.detail)
                else:
                    self.tell(
                        state="running",
                        detail="",
                        fixes=self.progress.fixes + counted.fixes,
                        repeated=self.progress.repeated + counted.repeated,
                        duties=self.progress.duties + counted.duties,
                        states=self.progress.states + counted.states,
                        batches=self.progress.batches + 1,
                    )
                    return counted
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), backoff)
                if self.stop.is_set():
                    return None
                backoff = min(backoff * 2, LAST_BACKOFF_S)

    def _do(self, work: Callable[[Ledger], Counted]) -> Counted:
        if self.ledger is None:
            self.connection = connect(self.settings.database, name="patrol worker")
            require(self.connection)
            policies = self.settings.policies()
            keep(self.connection, policies)
            # A batch is lost with a crash of the server at most, and then comes again from Kafka.
            self.ledger = Ledger(self.connection, policies)
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
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        # Just after a topic was made again, Kafka may have no answer yet.
        for _ in range(PATIENCE):
            if found := admin.describe_topics([topic])[0].get("topic_id"):
                return str(found)
            time.sleep(FIRST_BACKOFF_S)
    finally:
        admin.close()
    raise UnknownTopicError(f"Kafka has no id for the topic {topic}: run 'patrol init'")


class UnknownTopicError(RuntimeError):
    """A topic that the worker reads is not there."""


class Stage:
    """Events of one topic on their way into transactions."""

    def __init__(self, desk: Turn, topic: str, count: Count) -> None:
        self.desk = desk
        self.topic = topic
        self._count = count
        self._waiting: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue(WAITING_FRAMES)
        self._incarnation = ""
        self._passed: dict[int, int] = {}

    async def agent(self, stream: Any) -> None:
        """The body of the Faust agent: takes events off the stream, in order, without acknowledging them."""
        async for event in stream.noack().events():
            await self._waiting.put((stream, event))

    async def work(self) -> None:
        """Makes transactions of what waits, until cancelled."""
        while True:
            events = [await self._waiting.get()]
            size = len(events[0][1].value or b"")
            # 44 bytes a fix: what fits into one transaction.
            while not self._waiting.empty() and size < self.desk.settings.batch_fixes * frames.FIX_BYTES:
                events.append(self._waiting.get_nowait())
                size += len(events[-1][1].value or b"")
            fresh = await self._fresh([event.message for _, event in events])
            if fresh and await self.desk.run(partial(self._batch, messages=fresh)) is None:
                return
            for stream, event in events:
                await stream.ack(event)

    async def _fresh(self, messages: Sequence[Any]) -> list[Any]:
        """Those not yet counted; that the topic is still the one on record is looked at first."""
        if not self._incarnation or any(m.offset < self._passed.get(m.partition, 0) for m in messages):
            self._incarnation = await asyncio.to_thread(incarnation_of, self.desk.settings, self.topic)
            self._passed.clear()

            def look(ledger: Ledger) -> Counted:
                self._passed = ledger.passed(self.topic, self._incarnation)
                return Counted()

            if await self.desk.run(look) is None:
                return []
        return [m for m in messages if m.offset >= self._passed.get(m.partition, 0)]

    def _batch(self, ledger: Ledger, messages: list[Any]) -> Counted:
        reached: dict[int, int] = {}
        for message in messages:
            reached[message.partition] = max(reached.get(message.partition, 0), message.offset + 1)
        offsets = [
            Offset(self.topic, partition, self._incarnation, offset)
            for partition, offset in sorted(reached.items())
        ]
        counted = self._count(ledger, messages, offsets)
        self._passed.update(reached)
        return counted


def count_frames(broken: Broken) -> Count:
    """Frames of fixes → one transaction."""

    def count(ledger: Ledger, messages: list[Any], offsets: list[Offset]) -> Counted:
        found: list[Fixes] = []
        for message in messages:
            try:
                found.append(frames.decode(message.value or b"").fixes)
            except frames.FrameError as error:
                broken(message, str(error))
        return ledger.positions(frames.join(found), offsets)

    return count


def count_events(broken: Broken) -> Count:
    """Lines of duties and states → one transaction."""

    def count(ledger: Ledger, messages: list[Any], offsets: list[Offset]) -> Counted:
        duties: list[Duty] = []
        states: list[StateReport] = []
        for message in messages:
            lines = frames.decode_lines(message.value or b"")
            kind = dict(message.headers or {}).get(topics.KIND_HEADER, b"").decode()
            if kind == topics.KIND_DUTIES:
                new, _, rejects = decode_duties(lines)
                duties += new
            elif kind == topics.KIND_STATES:
                keyed, _, rejects = decode_states(lines)
                states += keyed
            else:
                broken(message, f"kind {kind!r} is neither duties nor states")
                continue
            if rejects:
                broken(message, rejects[0].detail)
        return ledger.bookings(duties, states, offsets)

    return count


def build(settings: Settings) -> faust.App:
    """The Faust app without agents. Topics are made by ``patrol init``; PostgreSQL is the only state."""
    return faust.App(
        f"{settings.topic_prefix}patrol-worker",
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        store="memory://",
        datadir=str(
            Path(tempfile.gettempdir()) / "patrol-worker"
        ),  # Faust insists on one; nothing is kept there
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=settings.session_s,
        broker_rebalance_timeout=max(1.0, settings.session_s / 2),
        broker_heartbeat_interval=settings.session_s / 7,
        broker_request_timeout=max(30.0, settings.session_s * 3),
        broker_commit_interval=0.5,
        broker_commit_every=100,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=WAITING_FRAMES,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=topics.MAX_MESSAGE_BYTES,
        producer_max_request_size=topics.MAX_MESSAGE_BYTES,
    )


async def run(
    settings: Settings, stop: asyncio.Event, on_progress: Callable[[WorkerProgress], None] = lambda _: None
) -> WorkerProgress:
    """Runs a worker until ``stop`` is set.

    Raises:
        SchemaError: the database's schema is not up to date.
        SettingsError: the mail file cannot be used.
        Exception: a fault of the program: better to end and be started again than to go on half dead.
    """
    desk = Turn(settings, on_progress, stop)
    publisher = Publisher(settings)
    watcher = Watcher(settings)
    timer = Timer(settings)
    if settings.mail:
        read_mailing(settings.mail)  # a file that cannot be used is better known now than on Monday
    app = build(settings)
    names = {name: topics.named(name, settings.topic_prefix) for name in (*topics.INTERNAL, *topics.OUT)}
    plain: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    letters = app.topic(names[topics.DEAD_LETTERS], **plain)
    shares = app.topic(names[topics.SHARES], **plain)
    alerts = app.topic(names[topics.ALERTS], **plain)
    loop = asyncio.get_running_loop()

    def broken(message: Any, detail: str) -> None:
        log.error("%s %s:%s: %s", message.topic, message.partition, message.offset, detail)
        headers = {
            "reason": b"broken_frame",
            "detail": detail.encode(),
            "topic": message.topic.encode(),
            "partition": str(message.partition).encode(),
            "offset": str(message.offset).encode(),
            "time": rfc3339(int(message.timestamp * SECOND)).encode(),
        }
        sent = asyncio.run_coroutine_threadsafe(
            letters.send(key=message.key, value=message.value, headers=headers), loop
        )
        sent.result()
        desk.progress = replace(desk.progress, broken_frames=desk.progress.broken_frames + 1)

    stages = [
        Stage(desk, names[topics.FIXES], count_frames(broken)),
        Stage(desk, names[topics.DUTIES], count_events(broken)),
    ]

    @app.agent(app.topic(stages[0].topic, **plain), concurrency=1)
    async def locate(stream: Any) -> None:
        await stages[0].agent(stream)

    @app.agent(app.topic(stages[1].topic, **plain), concurrency=1)
    async def account(stream: Any) -> None:
        await stages[1].agent(stream)

    async def publish() -> None:
        while True:
            await asyncio.sleep(settings.publish_s)
            try:
                changed = await asyncio.to_thread(publisher.changed)
            except psycopg.Error as failure:
                log.warning("no live figures: %s", str(failure).strip())
                continue
            for key, value in changed:
                await shares.send(key=key, value=value)
            desk.tell(published=desk.progress.published + len(changed))

    async def watch() -> None:
        while True:
            await asyncio.sleep(settings.watch_s)
            try:
                changed = await asyncio.to_thread(watcher.changed)
            except psycopg.Error as failure:
                log.warning("no watch for alerts: %s", str(failure).strip())
                continue
            for key, value in changed:
                await alerts.send(key=key, value=value)

    try:
        await _check_schema(desk)
        await app.start()
        desk.tell(state="running")
        tasks = [
            asyncio.create_task(work)
            for work in (
                *(stages[0].work(), stages[1].work(), publish(), watch()),
                keep_time(settings, timer),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping):
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        await app.stop()
        await asyncio.to_thread(desk.close)
        publisher.close()
        watcher.close()
        timer.close()
    desk.tell(state="stopped")
    return desk.progress


async def _check_schema(desk: Turn) -> None:
    """Waits for the database; a schema that is not up to date is an error at once."""
    try:
        await desk.run(lambda _: Counted())
    except SchemaError:
        desk.close()
        raise
