"""Ingest: raw topics → frames of valid fixes, valid duty events, and dead letters, at Kafka's own speed.

It moves bytes between Kafka and the core (``stream.core.events``, ``stream.core.frames``). It judges
nothing itself, keeps nothing between runs but its offsets in Kafka, and uses no database: what is usable it
is told (``stream.pipeline.limits``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal

import kafka.errors
import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    UnknownError,
    UnsupportedVersionError,
)

from stream import topics
from stream.core import frames, heard_frames
from stream.core.events import Reason, Reject, UsableLimits, decode_duties, decode_positions, decode_states
from stream.kafka_security import access, options, rotating
from stream.pipeline import dead_letters
from stream.pipeline.compression import fast_lz4
from stream.pipeline.dead_letters import LAST_MS, TOO_LARGE
from stream.pipeline.outages import KAFKA, OUTAGES
from stream.pipeline.waiting import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiokafka import ConsumerRecord
    from numpy.typing import NDArray

    from stream.core.facts import Fixes
    from stream.core.heard_frames import HeardFrame
    from stream.kafka_security import Where
    from stream.pipeline.lag import TopicsSeen

log = logging.getLogger(__name__)

MAX_EVENT_BYTES: Final = 2**20
"""The longest duty or state event: it has to fit into a message of ``patrol.duties`` with others."""

_LINES_BYTES: Final = 2**19  # of one message of patrol.duties, more only for a single long event
_MAX_FIXES: Final = 1_000_000  # held at once, some 50 MB: one request must not outgrow what a broker takes
_MAX_HEARD: Final = 200_000  # reports of one heard frame, a megabyte or four
_MAX_HELD: Final = 20_000  # messages held as they came: rejects and duty events
_MAX_HELD_BYTES: Final = 2**25  # of them together: a few long ones are as much as many
_SMALL_LAG: Final = 1_000  # messages that wait in Kafka when there is no backlog
_ANSWERS_S: Final = 0.01  # so much later than the first, the other brokers have answered too
_FETCH_WAIT_MS: Final = 100
_IDLE_POLL_S: Final = 0.2
_PROBE_S: Final = 2.0  # after so long without a message, look whether the broker is there at all
_ACK_PATIENCE_S: Final = 20.0
_CLOSE_PATIENCE_S: Final = 5.0

State = Literal["starting", "running", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """How ingest runs.

    Attributes:
        kafka: where it is.
        limits: says which positions are unusable (rule 2); asked for every batch.
        prefix: prefix of every topic's name.
        group_id: the consumer group; several processes with one group share the work.
        gather_s: while all is read, messages gather in Kafka for so long before they are fetched: decoding
            one costs nearly what decoding a hundred does. The first after a silence is fetched at once.
        grow_s: under a backlog, frames grow for so long at most.
        max_frame_fixes: the most fixes of one frame.
        session_timeout_s: after this silence, Kafka gives a process's partitions to another.
        idempotent: whether Kafka removes duplicates of the producer; a broker that cannot is detected.
        gone: is told of messages that Kafka deleted before they were read.
        seen: the topics that Kafka has, looked at now and then by somebody else; None: nobody does.
        compression: of what is produced, as aiokafka names it; the fast LZ4 halves frames at 60 ns a fix.
    """

    kafka: Where
    limits: Callable[[], UsableLimits]
    prefix: str = ""
    group_id: str = "patrol-ingest"
    gather_s: float = 0.5
    grow_s: float = 1.0
    max_frame_fixes: int = 50_000
    session_timeout_s: float = 10.0
    idempotent: bool = True
    compression: str | None = field(default_factory=fast_lz4)
    gone: Callable[[list[topics.NoLongerHeld]], Awaitable[None]] | None = None
    seen: Callable[[], TopicsSeen] | None = None


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """What ingest has done since it started; ``messages`` are all that came in and are settled.

    Attributes:
        state: ``waiting`` while Kafka is away or not ready; ``detail`` then says what is missing.
        rejects: dead letters by reason.
        lag: messages known to wait in Kafka.
        settle_s: how long the last batch took to be settled, seconds.
    """

    state: State = "starting"
    detail: str = ""
    messages: int = 0
    fixes: int = 0
    frames: int = 0
    duties: int = 0
    states: int = 0
    rejects: Mapping[Reason, int] = field(default_factory=dict)
    lag: int = 0
    settle_s: float = 0.0


class NotReadyError(RuntimeError):
    """Kafka lacks something that ingest needs; the message says what to do."""


async def run(
    settings: IngestSettings, stop: asyncio.Event, on_progress: Callable[[IngestProgress], None] | None = None
) -> IngestProgress:
    """Runs until ``stop`` is set; settles what it holds, then returns.

    One cycle:

    1. Messages are fetched from the raw topics; the consumer's position moves on, the committed offset stays.
    2. They are decoded at once: into columns of fixes, duty events, and rejects with reasons. Under a backlog
       1 and 2 repeat for ``grow_s``, or until the frames are full.
    3. Fixes leave as frames, keyed by device; duty events as lines, keyed by officer; rejects unchanged as
       dead letters; and how each position was judged, by its offset, as heard frames (rule 22).
    4. Every one of these is acknowledged by all in-sync replicas.
    5. The raw offsets are committed, of the partitions still owned.
    6. Where that was all, nothing is fetched until ``gather_s`` have passed since 1.

    Killed before 5, the messages since the last commit come again, and their frames once more: facts are
    sets, and heard frames have offsets, so nothing is counted twice. For that, heard frames leave one after
    another: of each partition, what comes before a message is in the same frame or an earlier one. An offset
    is never committed before 4, so nothing is lost. When partitions move to another process, 3 to 5 run
    before they go. When Kafka is away, everything held is dropped, ``run`` waits with backoff until Kafka is
    back, and reads on from the committed offsets.

    Args:
        settings: where and how.
        stop: set it to end.
        on_progress: is told after every cycle and at every change of state; must not block.
    """
    progress = _Reporter(on_progress)
    idempotent = settings.idempotent
    backoff = Backoff()
    while not stop.is_set():
        settled = progress.now.messages
        try:
            async with contextlib.AsyncExitStack() as stack:
                consumer = await _open_consumer(settings, stack)
                producer = await _open_producer(settings, stack, idempotent=idempotent)
                if producer is None:
                    log.info("the broker has no idempotent producers: going on without")
                    idempotent = False
                    continue
                await _Worker(settings, consumer, producer, progress).work(stop)
        except (KafkaError, NotReadyError, OSError, TimeoutError) as failure:
            if progress.now.messages > settled:
                backoff.reset()
            OUTAGES.failed("ingest", KAFKA, failure)
            progress.tell(state="waiting", detail=str(failure) or type(failure).__name__)
            await backoff.pause(stop)
    OUTAGES.well("ingest")
    progress.tell(state="stopped", detail="")
    return progress.now


class _Reporter:
    """Keeps the newest progress and reports it."""

    def __init__(self, on_progress: Callable[[IngestProgress], None] | None) -> None:
        self.now = IngestProgress()
        self._on_progress = on_progress

    def tell(self, **changes: Any) -> None:
        self.now = replace(self.now, **changes)
        if self._on_progress is not None:
            self._on_progress(self.now)


async def _open_consumer(settings: IngestSettings, stack: contextlib.AsyncExitStack) -> AIOKafkaConsumer:
    session_ms = round(settings.session_timeout_s * 1000)
    await access(settings.kafka)
    consumer = AIOKafkaConsumer(
        **options(settings.kafka),
        group_id=settings.group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms,
        heartbeat_interval_ms=max(session_ms // 4, 100),
        metadata_max_age_ms=topics.METADATA_MS,
        max_partition_fetch_bytes=4 * 2**20,
        # A fetch under way does not ask for the partitions that were just read: it must not wait for long.
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    stack.push_async_callback(_close, rotating(consumer, settings.kafka))
    await consumer.start()
    # Asked about by name, a missing topic may be made on the spot with the broker's own settings.
    there = await consumer.topics()
    needed = [
        topics.named(topic, settings.prefix) for topic in (*topics.RAW, *topics.INTERNAL, topics.DEAD_LETTERS)
    ]
    if missing := [topic for topic in needed if topic not in there]:
        raise NotReadyError(f"topics missing: {', '.join(missing)}; create them with: patrol init")
    return consumer


async def _open_producer(
    settings: IngestSettings, stack: contextlib.AsyncExitStack, *, idempotent: bool
) -> AIOKafkaProducer | None:
    """A producer that waits for all replicas; ``None`` where the broker knows no idempotent ones."""
    producer = AIOKafkaProducer(
        **options(settings.kafka),
        acks="all",
        enable_idempotence=idempotent,
        compression_type=settings.compression,
        metadata_max_age_ms=topics.METADATA_MS,
        max_batch_size=2**18,
        max_request_size=topics.MAX_MESSAGE_BYTES,
        request_timeout_ms=round(_ACK_PATIENCE_S * 1000),
    )
    stack.push_async_callback(_close, rotating(producer, settings.kafka))
    try:
        await producer.start()
    except (UnknownError, UnsupportedVersionError):
        if not idempotent:
            raise
        return None
    return producer


async def _close(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Closes a client, whatever state it is in; what it did not finish is read again by the next one."""
    stopping = asyncio.ensure_future(client.stop())
    await asyncio.wait({stopping}, timeout=_CLOSE_PATIENCE_S)
    stopping.cancel()
    await asyncio.wait({stopping})
    if stopping.cancelled() or stopping.exception() is not None:
        # With a broker away, aiokafka's consumer lets a cancellation of its own out before it has closed all.
        inner = client._client if isinstance(client, AIOKafkaConsumer) else client.client
        with contextlib.suppress(KafkaError, OSError):
            await inner.close()


@dataclass(slots=True)
class _Batch:
    """What was decoded and is not settled yet."""

    began: float = 0.0
    messages: int = 0
    fixes: list[Fixes] = field(default_factory=list)
    fix_count: int = 0
    events: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    rejects: list[tuple[ConsumerRecord, Reject]] = field(default_factory=list)
    heard: list[HeardFrame] = field(default_factory=list)
    held_bytes: int = 0
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    sent_ms: dict[TopicPartition, int] = field(default_factory=dict)
    oldest_ms: int = LAST_MS

    @property
    def held(self) -> int:
        return len(self.rejects) + self.kinds.total()


class _Worker(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped here
    """The cycle, for as long as one pair of clients lives."""

    def __init__(
        self,
        settings: IngestSettings,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        progress: _Reporter,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._producer = producer
        self._progress = progress
        self._batch = _Batch()
        self._positions: dict[TopicPartition, int] = {}
        self._partitions: dict[str, int] = {}
        self._incarnations: dict[str, str] = {}
        self._asked = -math.inf
        self._settling = asyncio.Lock()
        self._failed = ""
        names = {topic: topics.named(topic, settings.prefix) for topic in (*topics.RAW, *topics.INTERNAL)}
        self._names = names
        self._dead_letters = topics.named(topics.DEAD_LETTERS, settings.prefix)
        self._raw = {names[topic]: topic for topic in topics.RAW}

    async def work(self, stop: asyncio.Event) -> None:
        """Repeats the cycle until ``stop`` is set; raises what Kafka raises."""
        await self._look_at_partitions()
        self._consumer.subscribe(list(self._raw), listener=self)
        self._progress.tell(state="running", detail="")
        now = asyncio.get_running_loop().time
        heard = now()
        while not stop.is_set():
            wait_s = self._patience(now()) if self._batch.messages else _IDLE_POLL_S
            if await self._fetch(wait_s):
                heard = now()
                if not self._behind():
                    await self._gather(stop)
            elif now() - heard > _PROBE_S:
                async with asyncio.timeout(_ACK_PATIENCE_S):
                    await self._consumer.topics()  # raises where no broker answers
                OUTAGES.well("ingest")
                heard = now()
            if self._failed or self._due(now()):
                await self._settle()
            await self._follow_topics()
        await self._settle()

    async def _follow_topics(self) -> None:
        """Reads a topic that was made again from its beginning.

        Kafka's client goes on in it at the offset that it had reached in the one before; what is below it
        there would be read by nobody.
        """
        if self._settings.seen is None:
            return
        found = self._settings.seen()
        again = {
            topic
            for topic, known in self._incarnations.items()
            if found.at >= self._asked and found.ids.get(topic, known) != known
        }
        if not again:
            return
        log.warning("%s: deleted and made again; read from the beginning", ", ".join(sorted(again)))
        for each in [each for each in self._batch.offsets if each.topic in again]:
            del self._batch.offsets[each]  # they are of the topic before
        await self._settle()
        await self._learn_topics()
        mine = [each for each in self._consumer.assignment() if each.topic in again]
        for each in mine:
            self._positions.pop(each, None)
        if mine:
            await self._consumer.seek_to_beginning(*mine)

    async def _fetch(self, wait_s: float) -> bool:
        """Steps 1 and 2; whether anything came within a time."""
        fetched = await self._consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=50_000)
        if fetched and not self._batch.messages:
            self._batch.began = asyncio.get_running_loop().time()
        if any(found[0].offset < self._positions.get(at, 0) for at, found in fetched.items()):
            # A topic was made again: what was read before belongs to the one before.
            await self._settle()
            await self._learn_topics()
        due = self._positions
        if gaps := {
            at: due[at] for at, found in fetched.items() if found[0].offset > due.get(at, found[0].offset)
        }:
            await self._look_for_gone(gaps)
        by_topic: dict[str, dict[TopicPartition, list[ConsumerRecord]]] = {}
        for at, found in fetched.items():
            by_topic.setdefault(at.topic, {})[at] = found
        for topic, parts in by_topic.items():
            self._take(topic, parts)
        return bool(fetched)

    async def _gather(self, stop: asyncio.Event) -> None:
        """Settles what was just fetched, and lets messages gather at the brokers.

        Paused, the client has no fetch under way that would bring a message or two, and nobody waits for one
        when partitions move or the process ends.
        """
        consumer, began = self._consumer, self._batch.began
        consumer.pause(*consumer.assignment())
        try:
            await asyncio.sleep(_ANSWERS_S)
            consumer.resume(*consumer.paused())
            await self._fetch(0)  # what the other brokers answered; it does not give way, so none is asked
            consumer.pause(*consumer.assignment())
            await self._settle()
            rest_s = began + self._settings.gather_s - asyncio.get_running_loop().time()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, rest_s))
        finally:
            consumer.resume(*consumer.paused())

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Settles what is held while the partitions are still owned, so that nobody reads it again."""
        await self._settle()
        for partition in revoked:
            self._positions.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Everything needed is in Kafka; a topic may have been made again meanwhile."""
        # What is fetched already is not settled meanwhile: where reading was to go on is what is committed.
        async with self._settling:
            try:
                await self._learn_topics()
                reached = await asyncio.to_thread(self._ask_settled)
                found = {
                    each: reached[key]
                    for each in assigned
                    if (key := (each.topic, each.partition)) in reached
                }
                of_another = {
                    each for each, at in found.items() if not at.of(self._incarnations.get(each.topic, ""))
                }
                if of_another:
                    names = ", ".join(sorted({each.topic for each in of_another}))
                    log.warning("%s: deleted and made again; read from the beginning", names)
                    await self._consumer.seek_to_beginning(*of_another)
                await self._look_for_gone(
                    {each: at.offset for each, at in found.items() if each not in of_another}
                )
            except (KafkaError, NotReadyError):
                # The client only logs what is raised here, and a loss would never be told.
                self._failed = "where reading was to go on could not be asked"
            except BaseException:
                self._failed = "where reading was to go on could not be asked"
                raise

    async def _look_for_gone(self, starts: Mapping[TopicPartition, int]) -> None:
        """Says what Kafka deleted before it was read: from offsets on where reading was to go on."""
        if not starts:
            return
        first = await self._consumer.beginning_offsets(list(starts))
        gone = {
            (each.topic, each.partition): (offset, first[each])
            for each, offset in starts.items()
            if first[each] > offset
        }
        if gone:
            found = await asyncio.to_thread(self._ask_for_gone, gone)
            if self._settings.gone is not None:
                await self._settings.gone(found)

    def _ask_for_gone(self, gone: Mapping[tuple[str, int], tuple[int, int]]) -> list[topics.NoLongerHeld]:
        since = self._ask_settled()
        ids = self._ask_incarnations(sorted({topic for topic, _ in gone}))
        try:
            until = topics.first_sent(self._settings.kafka, gone)
        except kafka.errors.KafkaError as failure:
            raise NotReadyError(f"Kafka does not say since when it holds messages: {failure}") from failure
        return [
            topics.NoLongerHeld(
                *where,
                ids.get(where[0], ""),
                start,
                first,
                since[where].sent_us if where in since else None,
                until.get(where),
            )
            for where, (start, first) in sorted(gone.items())
        ]

    def _ask_settled(self) -> dict[tuple[str, int], topics.Settled]:
        try:
            admin = topics.opened(kafka.KafkaAdminClient, self._settings.kafka)
            try:
                return topics.settled(admin, self._settings.group_id)
            finally:
                admin.close()
        except kafka.errors.KafkaError as failure:
            raise NotReadyError(f"Kafka does not say where reading was to go on: {failure}") from failure

    def _lag(self) -> int:
        return sum(
            max(0, (self._consumer.highwater(partition) or 0) - position)
            for partition, position in self._positions.items()
            if partition in self._consumer.assignment()
        )

    def _behind(self) -> bool:
        """Whether there is a backlog in Kafka."""
        return self._lag() > _SMALL_LAG

    def _patience(self, now: float) -> float:
        """How long the batch may still grow, seconds: not at all where there is no backlog."""
        return max(0.0, self._batch.began + self._settings.grow_s - now) if self._behind() else 0.0

    def _due(self, now: float) -> bool:
        batch, settings = self._batch, self._settings
        if not batch.messages:
            return False
        full = min(self._partitions[topics.FIXES] * settings.max_frame_fixes, _MAX_FIXES)
        much = batch.held >= _MAX_HELD or batch.held_bytes >= _MAX_HELD_BYTES
        return batch.fix_count >= full or much or self._patience(now) <= 0

    def _take(self, name: str, parts: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        """Step 2: decodes what came from the partitions of a raw topic into the batch."""
        batch = self._batch
        topic = self._raw[name]
        records = [record for found in parts.values() for record in found]
        values = [record.value for record in records]
        if topic in {topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS}:
            received = _received(records)
            decoded = decode_positions(
                values,
                received * 1000,
                limits=self._settings.limits(),
                traccar=topic == topics.VEHICLE_POSITIONS,
            )
            batch.fixes.append(decoded.fixes)
            batch.fix_count += len(decoded.fixes)
            batch.oldest_ms = min(batch.oldest_ms, int(received[received >= 0].min(initial=LAST_MS)))
            rejects = decoded.rejects
            offsets = {at.partition: _offsets(found) for at, found in parts.items()}
            heard = heard_frames.of_partitions(decoded, name, offsets)
            # A dead letter that was sent again was heard when it came first.
            again = {
                at.partition: [one.offset for one in found if one.headers and dead_letters.first_stand(one)]
                for at, found in parts.items()
            }
            batch.heard.append(heard_frames.without(heard, again) if any(again.values()) else heard)
        else:
            rejects = self._take_events(topic, values)
        batch.rejects += [(records[reject.index], reject) for reject in rejects]
        batch.held_bytes += sum(len(values[reject.index] or b"") for reject in rejects)
        batch.messages += len(records)
        for at, found in parts.items():
            batch.offsets[at] = self._positions[at] = found[-1].offset + 1
            batch.sent_ms[at] = found[-1].timestamp

    def _take_events(self, topic: str, values: list[bytes | None]) -> list[Reject]:
        long = {i: len(value) for i, value in enumerate(values) if value and len(value) > MAX_EVENT_BYTES}
        short = [b"" if i in long else value for i, value in enumerate(values)]
        if topic == topics.DUTY_BOOKINGS:
            kind = topics.KIND_DUTIES
            duties, index, rejects = decode_duties(short)
            officers = [duty.officer_id for duty in duties]
        else:
            kind = topics.KIND_STATES
            states, index, rejects = decode_states(short)
            officers = [state.officer_id for state in states]
        partitions = self._partitions[topics.DUTIES]
        for officer, i in zip(officers, index.tolist(), strict=True):
            key = kind, frames.partition_of(officer, partitions)
            value = values[i]
            assert value is not None
            self._batch.events.setdefault(key, []).append(value)
            self._batch.held_bytes += len(value)
        self._batch.kinds[kind] += len(officers)
        return [
            Reject(i, Reason.BAD_VALUE, f"has {long[i]} bytes, at most {MAX_EVENT_BYTES} are taken")
            if (i := reject.index) in long
            else reject
            for reject in rejects
        ]

    async def _settle(self) -> None:
        """Steps 3 to 5, one batch after another.

        After a failure nothing is settled any more: a later offset would cover the messages that failed.
        """
        async with self._settling:
            if self._failed:
                raise NotReadyError(f"{self._failed}: starting afresh")
            # What comes in meanwhile belongs to the next batch, its offsets too.
            batch, self._batch = self._batch, _Batch()
            if not batch.messages:
                return
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(_ACK_PATIENCE_S):
                    made = await self._produce(batch)
                await self._commit(batch.offsets, batch.sent_ms)
            except BaseException:
                self._failed = "the messages held could not be handed on"
                raise
        OUTAGES.well("ingest")
        before = self._progress.now
        self._progress.tell(
            messages=before.messages + batch.messages,
            fixes=before.fixes + batch.fix_count,
            frames=before.frames + made,
            duties=before.duties + batch.kinds[topics.KIND_DUTIES],
            states=before.states + batch.kinds[topics.KIND_STATES],
            rejects=Counter(before.rejects) + Counter(reject.reason for _, reject in batch.rejects),
            lag=self._lag(),
            settle_s=asyncio.get_running_loop().time() - began,
        )

    async def _produce(self, batch: _Batch) -> int:
        """Steps 3 and 4: returns the number of frames when everything is acknowledged."""
        await self._look_at_partitions()
        parts = frames.split(
            frames.join(batch.fixes), self._partitions[topics.FIXES], self._settings.max_frame_fixes
        )
        sent = await asyncio.gather(
            *(self._send_frame(partition, part, batch.oldest_ms) for partition, part in parts),
            *(self._send_lines(*key, values) for key, values in batch.events.items()),
            self._send_heard(batch.heard),
            self._send_dead_letters(batch.rejects),
        )
        return sum(sent)

    async def _send_frame(self, partition: int, fixes: Fixes, oldest_ms: int) -> int:
        data = frames.encode(fixes, meta={"received": oldest_ms * 1000} if oldest_ms < LAST_MS else None)
        try:
            await self._producer.send_and_wait(self._names[topics.FIXES], data, partition=partition)
        except TOO_LARGE:
            # Somebody keeps the topic's messages small, or the devices have very long names.
            if len(fixes) == 1:
                raise
            middle = len(fixes) // 2
            halves = np.arange(middle), np.arange(middle, len(fixes))
            return sum(
                [await self._send_frame(partition, frames.select(fixes, half), oldest_ms) for half in halves]
            )
        return 1

    async def _send_lines(self, kind: str, partition: int, values: list[bytes]) -> int:
        for lines in _chunks(values, _LINES_BYTES):
            data, headers = frames.encode_lines(lines), [(topics.KIND_HEADER, kind.encode())]
            try:
                await self._producer.send_and_wait(
                    self._names[topics.DUTIES], data, partition=partition, headers=headers
                )
            except TOO_LARGE:
                if len(lines) == 1:
                    raise
                for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
                    await self._send_lines(kind, partition, half)
        return 0

    async def _send_heard(self, parts: list[HeardFrame]) -> int:
        if not parts:
            return 0
        names = {span.topic for part in parts for span in part.spans}
        if not names <= set(self._incarnations):
            self._incarnations |= await asyncio.to_thread(self._ask_incarnations, sorted(names))
        every = heard_frames.join(parts)
        spans = tuple(
            # A topic that is gone already has none: what was read of it is counted all the same.
            msgspec.structs.replace(span, incarnation=self._incarnations.get(span.topic, ""))
            for span in every.spans
        )
        await self._send_heard_frames(heard_frames.split(replace(every, spans=spans), _MAX_HEARD))
        return 0

    async def _send_heard_frames(self, parts: list[HeardFrame]) -> None:
        """One after another: each is there before the next one leaves."""
        for part in parts:
            try:
                await self._producer.send_and_wait(
                    self._names[topics.HEARD], heard_frames.encode(part), partition=0
                )
            except TOO_LARGE:
                if len(part) <= 1:
                    raise
                await self._send_heard_frames(heard_frames.split(part, len(part) // 2))

    async def _learn_topics(self) -> None:
        self._asked = time.monotonic()
        names = sorted({each.topic for each in self._consumer.assignment()})
        self._incarnations = await asyncio.to_thread(self._ask_incarnations, names) if names else {}

    def _ask_incarnations(self, names: list[str]) -> dict[str, str]:
        try:
            return topics.incarnations(self._settings.kafka, names)
        except kafka.errors.KafkaError as failure:
            raise NotReadyError(f"Kafka does not say the topics' ids: {failure}") from failure

    async def _send_dead_letters(self, rejects: list[tuple[ConsumerRecord, Reject]]) -> int:
        sends = [await self._send_dead_letter(record, reject) for record, reject in rejects]
        for (record, reject), result in zip(
            rejects, await asyncio.gather(*sends, return_exceptions=True), strict=True
        ):
            if isinstance(result, TOO_LARGE):
                try:  # alone: perhaps it was only too long together with its neighbours
                    await (await self._send_dead_letter(record, reject))
                except TOO_LARGE:
                    await (await self._send_dead_letter(record, reject, whole=False))
            elif isinstance(result, BaseException):
                raise result
        return 0

    async def _send_dead_letter(
        self, record: ConsumerRecord, reject: Reject, *, whole: bool = True
    ) -> asyncio.Future[Any]:
        key = record.key
        if whole:
            # The client sends nothing that has neither value nor key; a nameless tombstone gets an empty key.
            key = b"" if key is None and record.value is None else key
            headers = _headers(record, reject)
            with contextlib.suppress(*TOO_LARGE):
                return await self._send(self._dead_letters, record.value, key=key, headers=headers)
        # It stays where the other headers say, as long as the raw topic is kept.
        note = dead_letters.without_value(reject.detail, record.value)
        headers = _headers(record, replace(reject, detail=note))
        return await self._send(self._dead_letters, None, key=b"", headers=headers)

    async def _send(self, topic: str, value: bytes | None, **details: Any) -> asyncio.Future[Any]:
        """Hands a message to the producer; the future is its acknowledgement."""
        sent: asyncio.Future[Any] = await self._producer.send(topic, value, **details)
        return sent

    async def _look_at_partitions(self) -> None:
        # From the client's own picture of the cluster, which it renews every few minutes.
        for topic in topics.INTERNAL:
            self._partitions[topic] = len(await self._producer.partitions_for(self._names[topic]))

    async def _commit(
        self, offsets: Mapping[TopicPartition, int], sent_ms: Mapping[TopicPartition, int]
    ) -> None:
        """Step 5; beside each offset stands when the last message before it was sent, and of which topic."""
        owned = self._consumer.assignment()
        mine = {
            partition: (
                offset,
                topics.settled_note(
                    max(0, sent_ms[partition]) * 1000, self._incarnations.get(partition.topic, "")
                ),
            )
            for partition, offset in offsets.items()
            if partition in owned
        }
        if not mine:
            return
        try:
            await self._consumer.commit(mine)
        except (CommitFailedError, IllegalStateError) as failure:
            # The group is being rebalanced. What is not committed is read again: more frames, same facts.
            log.info("offsets not committed, their messages come again: %s", failure)


def _offsets(records: Sequence[ConsumerRecord]) -> NDArray[np.int64]:
    """The records' offsets."""
    first, count = records[0].offset, len(records)
    offset = np.arange(first, first + count)
    if records[-1].offset >= first + count:  # Kafka has removed some in between
        offset = np.fromiter((record.offset for record in records), np.int64, count)
    return offset


def _headers(record: ConsumerRecord, reject: Reject) -> list[tuple[str, bytes]]:
    first = dead_letters.first_stand(record) if record.headers else None
    partition, offset = first or (record.partition, record.offset)
    stood = (record.topic, partition, offset, record.timestamp)
    return list(dead_letters.headers(reject.reason, reject.detail, *stood).items())


def _received(records: Sequence[ConsumerRecord]) -> NDArray[np.int64]:
    """The records' times, milliseconds since 1970, -1 where there is no valid one."""
    at = np.fromiter(map(attrgetter("timestamp"), records), np.int64, len(records))
    return np.where(at <= LAST_MS, at, -1)


def _chunks(values: Sequence[bytes], size: int) -> list[list[bytes]]:
    """Divides values into runs of at most ``size`` bytes; a longer value is a run of its own."""
    runs: list[list[bytes]] = [[]]
    room = size
    for value in values:
        if len(value) >= room and runs[-1]:
            runs.append([])
            room = size
        runs[-1].append(value)
        room -= len(value) + 1
    return runs
