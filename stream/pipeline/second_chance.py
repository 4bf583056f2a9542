"""Dead letters: read, judged anew, and sent again after a mend.

A dead letter holds the message unchanged. Judged by this program and the policies in force, it is usable now
or it is not. Only what is usable is sent: to where it first was or, for what the database had refused, to
where the worker reads. Facts are sets, and what was heard is on record by the message's first stand
(``stream.store.second_chances``): sent once or three times, the tables are the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition

from stream import topics
from stream.core import frames
from stream.core.calendar import day_numbers
from stream.core.events import (
    REASONS,
    UNKNOWN,
    decode_duties,
    decode_positions,
    decode_states,
    uncountable,
)
from stream.core.policy import limits
from stream.core.quality.heard import NO_DAY, NO_DELAY, heard_rows
from stream.kafka_security import options
from stream.store.policies import in_force
from stream.store.registry import Registry
from stream.store.second_chances import SecondChance, Stand, heard_up_to, known, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stream.core.events import UsableLimits
    from stream.settings import Settings
    from stream.store.schema import Connection

CHUNK: Final = 1000
"""So many letters are sent, and put on record, at a time."""
POSITIONS: Final = (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        partition, offset: where it is among the dead letters.
        kept_ms: when it was put there, milliseconds since 1970.
        reason: why, in a word; empty where it does not say.
        detail: why, in a line for people.
        topic: where the message stood: a topic's full name, or a feed.
        stood: partition and offset there; -1 for what never stood on a topic.
        time_ms: the message's own time there; None where it does not say.
        key: the message's key.
        value: the message, unchanged; None where it had none, or it was too long to be kept.
    """

    partition: int
    offset: int
    kept_ms: int
    reason: str
    detail: str
    topic: str
    stood: tuple[int, int]
    time_ms: int | None
    key: bytes | None
    value: bytes | None

    @property
    def number(self) -> str:
        """What it is called: its offset, with its partition where that is not the first."""
        return f"{self.partition}:{self.offset}" if self.partition else str(self.offset)

    @property
    def when_ms(self) -> int:
        """The message's time, or else when it was put among the dead letters."""
        return self.kept_ms if self.time_ms is None else self.time_ms

    @property
    def stand(self) -> Stand:
        """Where the message first stood."""
        return Stand(self.topic, *self.stood, hashlib.sha256(self.value or b"").digest())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters are meant; every condition holds.

    Attributes:
        numbers: these; empty: any.
        reasons: with one of these reasons; empty: any.
        topics: from these topics, with or without the prefix; empty: any.
        since_ms, until_ms: of this time, ``[since, until)``.
        device: that tell of this device; empty: any.
    """

    numbers: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    device: str = ""

    def takes(self, letter: DeadLetter, prefix: str) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.numbers or letter.number in self.numbers)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or bool(self.topics & {letter.topic, letter.topic.removeprefix(prefix)}))
            and (self.since_ms is None or letter.when_ms >= self.since_ms)
            and (self.until_ms is None or letter.when_ms < self.until_ms)
            and (not self.device or self.device in devices_of(letter))
        )


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────


def letter_of(record: Any) -> DeadLetter:
    """A record of ``dead.letters`` as a letter, whatever its headers hold."""
    said = {str(name): bytes(value or b"").decode("utf-8", "replace") for name, value in record.headers or ()}

    def number(name: str) -> int:
        text = said.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1

    try:
        time_ms: int | None = round(datetime.fromisoformat(said.get("time", "")).timestamp() * 1000)
    except (ValueError, OverflowError):
        time_ms = None
    return DeadLetter(
        record.partition,
        record.offset,
        int(record.timestamp),
        said.get("reason", ""),
        said.get("detail", ""),
        said.get("topic", ""),
        (number("partition"), number("offset")),
        time_ms,
        record.key,
        record.value,
    )


def letters(settings: Settings) -> Iterator[DeadLetter]:
    """All dead letters that there are now, oldest first in each partition.

    Raises:
        TopicError: there is no such topic.
        kafka.errors.KafkaError: Kafka does not answer.
    """
    name = topics.named(topics.DEAD_LETTERS, settings.topic_prefix)
    if name not in asyncio.run(topics.existing(settings.brokers)):
        raise topics.TopicError(f"Kafka has no topic {name}: run 'patrol init'")
    consumer: Any = topics.opened(
        KafkaConsumer, settings.brokers, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    try:
        where = [TopicPartition(name, each) for each in sorted(consumer.partitions_for_topic(name))]
        ends = consumer.end_offsets(where)
        filled = [item for item in where if ends[item] > 0]
        consumer.assign(filled)
        consumer.seek_to_beginning()
        # The embedded broker tells where the last batch begins: so a little is read beyond the end.
        left = {item for item in filled if consumer.position(item) < ends[item]}
        while found := consumer.poll(timeout_ms=5000 if left else 200):
            for item, records in found.items():
                yield from map(letter_of, records)
                if records[-1].offset + 1 >= ends[item]:
                    left.discard(item)
    finally:
        consumer.close()


class _Named(msgspec.Struct, gc=False):
    device_id: Any = None
    device: Any = None
    devices: Any = None


_named: Final = msgspec.json.Decoder(_Named).decode


def devices_of(letter: DeadLetter) -> set[str]:
    """The devices that a letter's message names, as far as it can be read."""
    value = letter.value or b""
    if value.startswith(frames.MAGIC):
        try:
            return set(frames.decode(value).fixes.device_ids)
        except frames.FrameError:
            return set()
    found: set[str] = set()
    for line in value.split(b"\n") if letter.reason == topics.BROKEN_FRAME else [value]:
        try:
            said = _named(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        names = [said.device_id]
        if isinstance(said.device, dict):
            names.append(said.device.get("uniqueId"))
        if isinstance(said.devices, list):
            names += [each.get("device_id") for each in said.devices if isinstance(each, dict)]
        found |= {name for name in names if isinstance(name, str)}
    return found


# ── Judging ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Resent:
    """A message that is sent again.

    Attributes:
        topic: its full name.
        value: the message.
        key: its key.
        partition: where it has to lie; None: by its key.
        headers: of the message.
        time_ms: its time, so that it is judged as if it came then; None: now.
    """

    topic: str
    value: bytes
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would become of a letter now.

    Attributes:
        letter: which.
        send: what is sent; nothing: it cannot be used.
        chance: what goes on record with it; None for what does not count as heard anew.
        why: why it cannot be used, a reason and a line for people.
    """

    letter: DeadLetter
    send: tuple[Resent, ...] = ()
    chance: SecondChance | None = None
    why: tuple[str, str] = ("", "")


NOT_REPLAYABLE: Final = "not_replayable"
"""Why a letter cannot be sent again whatever is mended."""
NOT_YET: Final = "not_yet"
"""Its rejection is not counted yet."""


class LetterJudge:
    """Judges letters by this program and the policies in force.

    Args:
        settings: the topics' prefix.
        limits: what is usable (rule 2).
        partitions: how many the topic of the frames has.
        heard_up_to: the offset before which a raw partition is counted as heard.
    """

    def __init__(
        self,
        settings: Settings,
        limits: UsableLimits,
        partitions: int,
        heard_up_to: Callable[[str, int], int],
    ) -> None:
        prefix = settings.topic_prefix
        self._raw = {topics.named(name, prefix): name for name in topics.RAW}
        self._names = {name: topics.named(name, prefix) for name in (*topics.RAW, *topics.INTERNAL)}
        self._limits = limits
        self._partitions = partitions
        self._heard_up_to = heard_up_to

    def judge(self, letter: DeadLetter) -> Judgement:
        """What would become of a letter now."""
        if letter.value is None:
            return _refused(
                letter, NOT_REPLAYABLE, "it holds no message: it had none, or was too long to be kept"
            )
        if letter.reason == topics.BROKEN_FRAME:
            return self._frame(letter, letter.value)
        name = self._raw.get(letter.topic)
        if name is None or min(letter.stood) < 0:
            why = f"it came from {letter.topic or 'nowhere'}, which is none of this system's topics"
            return _refused(letter, NOT_REPLAYABLE, why)
        if name in POSITIONS:
            return self._position(letter, name, letter.value)
        rejects = (decode_duties if name == topics.DUTY_BOOKINGS else decode_states)([letter.value])[2]
        if rejects:
            return _refused(letter, rejects[0].reason, rejects[0].detail)
        return Judgement(letter, (_again(letter, letter.value),), SecondChance(letter.stand, letter.reason))

    def _position(self, letter: DeadLetter, name: str, value: bytes) -> Judgement:
        received = UNKNOWN if letter.time_ms is None else letter.time_ms * 1000
        decoded = decode_positions(
            [value],
            np.array([received], np.int64),
            limits=self._limits,
            traccar=name == topics.VEHICLE_POSITIONS,
        )
        if decoded.rejects:
            return _refused(letter, decoded.rejects[0].reason, decoded.rejects[0].detail)
        if self._heard_up_to(letter.topic, letter.stood[0]) <= letter.stood[1]:
            return _refused(letter, NOT_YET, "its rejection is still being counted: try again in a minute")
        rows = heard_rows(decoded.judged)
        day, delay = int(rows.day[0]), int(rows.delay[0])
        receipt = int(decoded.judged.receipt[0])
        of_receipt = int(day_numbers(np.array([receipt], np.int64))[0]) if receipt >= 0 else NO_DAY
        chance = SecondChance(
            letter.stand,
            letter.reason,
            rows.device_ids[int(rows.device[0])],
            day,
            delay,
            REASONS.index(letter.reason) if letter.reason in REASONS else len(REASONS),
            ((day, delay), (of_receipt, delay), (day, NO_DELAY), (of_receipt, NO_DELAY), (NO_DAY, NO_DELAY)),
        )
        return Judgement(letter, (_again(letter, value),), chance)

    def _frame(self, letter: DeadLetter, value: bytes) -> Judgement:
        """What the worker could not read, or the database refused; only they can say whether they do now."""
        if letter.topic == self._names[topics.FIXES]:
            try:
                fixes = frames.decode(value).fixes
            except frames.FrameError as error:
                return _refused(letter, topics.BROKEN_FRAME, str(error))
            if fault := uncountable(fixes):
                return _refused(letter, topics.BROKEN_FRAME, fault)
            parts = frames.split(fixes, self._partitions, max(1, len(fixes)))
            return Judgement(
                letter,
                tuple(
                    Resent(letter.topic, frames.encode(part), partition=partition)
                    for partition, part in parts
                ),
            )
        if letter.topic == self._names[topics.DUTIES]:
            sent = []
            for line in frames.decode_lines(value):
                # Which kind they are the message said, and the letter does not; they are different enough.
                if not decode_duties([line])[2]:
                    sent.append(Resent(self._names[topics.DUTY_BOOKINGS], line))
                elif not (rejects := decode_states([line])[2]):
                    sent.append(Resent(self._names[topics.DUTY_STATES], line))
                else:
                    return _refused(letter, rejects[0].reason, rejects[0].detail)
            if sent:
                return Judgement(letter, tuple(sent))
        return _refused(
            letter, NOT_REPLAYABLE, f"a message of {letter.topic or 'nowhere'} is of no use later"
        )


def _refused(letter: DeadLetter, reason: str, detail: str) -> Judgement:
    return Judgement(letter, why=(reason, detail))


def _again(letter: DeadLetter, value: bytes) -> Resent:
    """The message as it came: its key, its time, its topic, and where it first stood."""
    stood = "{}:{}".format(*letter.stood).encode()
    return Resent(letter.topic, value, letter.key, None, ((topics.REPLAYED_HEADER, stood),), letter.time_ms)


# ── Sending ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class ReplayOutcome:
    """What a replay did, or would do.

    Attributes:
        sent: letters whose message was sent.
        before: those of them that had been sent before.
        doubled: letters that hold a message another letter holds too; it is sent once.
        refused: letters that cannot be used, by reason.
        examples: by reason the number of the first of them, and why.
    """

    sent: int = 0
    before: int = 0
    doubled: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[str, str]] = field(default_factory=dict)


def replay(
    settings: Settings,
    connection: Connection,
    wanted: Iterable[DeadLetter],
    *,
    by: str,
    dry_run: bool = False,
) -> ReplayOutcome:
    """Judges letters anew and sends again what is usable now; safe to repeat, and to end at any moment.

    Args:
        settings: Kafka, the topics' prefix.
        connection: outside any transaction.
        wanted: the letters.
        by: who does it, for the record.
        dry_run: only judges.

    Raises:
        kafka.errors.KafkaError, aiokafka.errors.KafkaError: Kafka does not take a message.
    """
    done, seen = ReplayOutcome(), set[Stand]()
    registry = Registry()

    @cache
    def up_to(topic: str, partition: int) -> int:
        return heard_up_to(connection, topic, partition)

    with asyncio.Runner() as runner:
        producer, partitions = runner.run(_producer(settings))
        try:
            judge = LetterJudge(settings, limits(in_force(connection)), partitions, up_to)
            chunk: list[Judgement] = []

            def settle() -> None:
                chances = [item.chance for item in chunk if item.chance is not None]
                done.before += len(known(connection, [item.stand for item in chances]))
                if not dry_run:
                    runner.run(_send(producer, [message for item in chunk for message in item.send]))
                    record(connection, chances, registry, by=by)
                done.sent += len(chunk)
                chunk.clear()

            for letter in wanted:
                judged = judge.judge(letter)
                if not judged.send:
                    done.refused[judged.why[0]] += 1
                    done.examples.setdefault(judged.why[0], (letter.number, judged.why[1]))
                    continue
                if letter.stand in seen:
                    done.doubled += 1
                    continue
                seen.add(letter.stand)
                chunk.append(judged)
                if len(chunk) >= CHUNK:
                    settle()
            settle()
        finally:
            runner.run(producer.stop())
    return done


async def _producer(settings: Settings) -> tuple[AIOKafkaProducer, int]:
    """A producer, and how many partitions the topic of the frames has."""
    producer = AIOKafkaProducer(
        **options(settings.brokers), acks="all", max_request_size=2 * topics.MAX_MESSAGE_BYTES
    )
    try:
        await producer.start()
        found = await producer.partitions_for(topics.named(topics.FIXES, settings.topic_prefix))
    except BaseException:
        await producer.stop()
        raise
    return producer, len(found)


async def _send(producer: AIOKafkaProducer, messages: Iterable[Resent]) -> None:
    """Sends messages; returns when Kafka has all of them."""
    sent = [
        await producer.send(
            message.topic,
            message.value,
            key=message.key,
            partition=message.partition,
            timestamp_ms=message.time_ms,
            headers=list(message.headers),
        )
        for message in messages
    ]
    await asyncio.gather(*sent)
