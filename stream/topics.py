"""The Kafka topics: their names, how they are kept, and how they come into being.

It speaks to Kafka's administration only. What stands in the messages is for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    InvalidSessionTimeoutError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.group import JoinGroupRequest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaConnectionError

from stream.core.calendar import LOCAL, moment
from stream.kafka_security import access, access_now, brokers, options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from stream.kafka_security import Where

# In: what outside systems send.
RADIO_POSITIONS: Final = "radio.positions"
VEHICLE_POSITIONS: Final = "vehicle.positions"
DUTY_BOOKINGS: Final = "duty.bookings"
DUTY_STATES: Final = "duty.states"
# Between the project's own parts.
FIXES: Final = "patrol.fixes"
"""Frames of valid fixes (``stream.core.frames``), everything of a device in one partition."""
DUTIES: Final = "patrol.duties"
"""Valid bookings and states, original JSON, an event a line, everything of an officer in one partition."""
HEARD: Final = "patrol.heard"
"""Heard frames: how each position was judged (``stream.core.heard_frames``), in the order of the offsets."""
# Out: what others may read.
SHARES: Final = "visibility.shares"
ALERTS: Final = "visibility.alerts"
DEAD_LETTERS: Final = "dead.letters"

RAW: Final = (RADIO_POSITIONS, VEHICLE_POSITIONS, DUTY_BOOKINGS, DUTY_STATES)
INTERNAL: Final = (FIXES, DUTIES, HEARD)
OUT: Final = (SHARES, ALERTS, DEAD_LETTERS)

KIND_HEADER: Final = "kind"
"""The header of a message on ``patrol.duties`` that tells what its lines are."""
KIND_DUTIES: Final = "duties"
KIND_STATES: Final = "states"
BROKEN_FRAME: Final = "broken_frame"
"""The reason of a dead letter from an internal topic; those from raw topics have the decoders' reasons."""
REPLAYED_HEADER: Final = "patrol-replayed"
"""The header of a dead letter that was sent again: where the message first stood, ``partition:offset``."""
DEAD_LETTER_HEADERS: Final = ("reason", "detail", "topic", "partition", "offset", "time")

METADATA_MS: Final = 10_000
"""How often clients look for topics and partitions made anew; by themselves every 5 minutes."""

MAX_MESSAGE_BYTES: Final = 8 * 2**20
"""What the topics for frames and for dead letters take; Kafka's own default, 1 MiB, holds 20,000 fixes."""

PATIENCE, REST_S = 50, 0.2
"""How often Kafka is asked for a topic's id, and the pause between two questions, seconds."""

_DAY_MS: Final = 86_400_000
_SENT: Final = "sent_us="
_TOPIC: Final = "topic="
_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class TopicError(RuntimeError):
    """A topic cannot be named or created so; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TopicOutcome:
    """What became of a topic: created, given more partitions, or left as it was."""

    name: str
    did: Literal["created", "raised", "kept"]
    detail: str


def named(topic: str, prefix: str = "") -> str:
    """A topic's full name under the common prefix (for several forces, or tests, on one Kafka).

    Raises:
        TopicError: Kafka would not take the name.
    """
    name = prefix + topic
    if not _NAME.fullmatch(name):
        raise TopicError(
            f"topic prefix {prefix!r}: use at most 200 letters, digits, dots, dashes, underscores"
        )
    return name


def specs(
    prefix: str = "", *, partitions: int = 8, replication: int = 1, retention_days: int = 7
) -> tuple[NewTopic, ...]:
    """All topics as the project wants them.

    Args:
        prefix: goes before every name.
        partitions: of the topics that carry positions, duties and states, raw and internal. ``patrol.fixes``
            and ``patrol.duties`` always have the same number.
        replication: copies of each partition; 1 on one broker, 3 where there are so many.
        retention_days: how long messages are kept. The facts stay in the database, not here.
    """
    kept = {"cleanup.policy": "delete", "retention.ms": str(retention_days * _DAY_MS)}
    large = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    # The newest figure of each key stays; figures of what is gone for long leave.
    newest = {"cleanup.policy": "compact,delete", "retention.ms": str(retention_days * _DAY_MS)}
    wanted = {
        **dict.fromkeys(RAW, (partitions, kept)),
        FIXES: (partitions, {**kept, **large}),
        DUTIES: (partitions, {**kept, **large}),
        HEARD: (1, {**kept, **large}),  # counted by device and day: one reader is quick enough
        SHARES: (1, newest),
        ALERTS: (1, newest),
        # Somebody has to look at these, and may be on leave.
        DEAD_LETTERS: (1, {**kept, **large, "retention.ms": str(max(retention_days, 30) * _DAY_MS)}),
    }
    return tuple(
        NewTopic(named(topic, prefix), count, replication, topic_configs=config)
        for topic, (count, config) in wanted.items()
    )


async def ensure_topics(
    where: Where,
    wanted: Sequence[NewTopic],
    *,
    patience_s: float = 30.0,
) -> list[TopicOutcome]:
    """Creates the topics that are missing and gives the others the partitions they lack; safe to repeat.

    Partitions are never taken away, and settings of a topic that exists are left to its owner; nothing is
    done where one has fewer copies than wanted.

    Args:
        where: Kafka.
        wanted: what should be.
        patience_s: how long to wait until every new partition has a leader.

    Returns:
        One outcome a topic, in the order of ``wanted``.

    Raises:
        TopicError: Kafka refused, or a topic has too few copies; the message has the reason.
        aiokafka.errors.KafkaConnectionError: no broker could be reached.
    """
    async with administration(where) as admin:
        _refuse_few(await admin.describe_topics(), wanted)
        found = await _leaders(admin)
        outcomes = [await _ensure(admin, spec, found.get(spec.name)) for spec in wanted]
        try:
            async with asyncio.timeout(patience_s):
                while not await _ready(admin, outcomes, wanted):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TopicError(
                f"new topics have no leader after {patience_s:g} s: look at the brokers"
            ) from None
    return outcomes


def opened(client: Any, where: Where, **further: Any) -> Any:
    """A client of kafka-python, where a broker answers.

    Its constructors leave a thread and sockets behind where none does, with each try: so that is looked at
    first.

    Args:
        client: ``KafkaAdminClient`` or ``KafkaConsumer``.
        where: Kafka.
        further: other options of its constructor.

    Raises:
        AccessError: no broker lets this program in.
        kafka.errors.KafkaConnectionError: no broker can be reached.
        kafka.errors.KafkaError: it does not answer.
    """
    if not access_now(where):
        raise KafkaConnectionError(f"no broker can be reached at {brokers(where).addresses}")
    made = client.__new__(client)
    try:
        made.__init__(**options(where), **further)
    except BaseException:
        for close in ("_client.close", "_net.stop"):
            with contextlib.suppress(Exception):  # it may not have come so far
                attrgetter(close)(made)()
        raise
    return made


@contextlib.asynccontextmanager
async def administration(where: Where) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for administration.

    Raises:
        AccessError: no broker lets this program in.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    await access(where)
    admin = AIOKafkaAdminClient(**options(where))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def enough_copies(where: Where, wanted: Sequence[NewTopic]) -> None:
    """Looks whether the topics that exist have as many copies as wanted.

    Raises:
        TopicError: one has fewer.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    async with administration(where) as admin:
        _refuse_few(await admin.describe_topics(), wanted)


def _refuse_few(described: Iterable[dict[str, Any]], wanted: Sequence[NewTopic]) -> None:
    copies = {
        topic["topic"]: min(len(partition["replicas"]) for partition in topic["partitions"])
        for topic in described
        if topic["partitions"]
    }
    few = [
        spec for spec in wanted if copies.get(spec.name, spec.replication_factor) < spec.replication_factor
    ]
    if few:
        has, more = copies[few[0].name], f" and {len(few) - 1} more" if few[1:] else ""
        raise TopicError(
            f"topic {few[0].name}{more}: Kafka keeps {has} of the {few[0].replication_factor} copies that "
            "PATROL_REPLICATION wants: it is for new topics only; add copies with Kafka's own "
            f"kafka-reassign-partitions.sh, or set PATROL_REPLICATION={has}"
        )


async def session_taken(where: Where, prefix: str, session_s: float) -> bool:
    """Whether a broker takes a session time.

    It is asked to let somebody into a group, of which it first looks at the session time; then it asks for a
    second request, which it does not get, so that nobody is in the group.

    Args:
        where: Kafka.
        prefix: goes before the group's name.
        session_s: the time, seconds.

    Raises:
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    group, session_ms = f"{prefix}patrol-start", min(round(session_s * 1000), 2**31 - 1)
    await access(where)
    client = AIOKafkaClient(**options(where))
    try:
        await client.bootstrap()
        for _ in range(PATIENCE):
            try:
                node = await client.coordinator_lookup(CoordinationType.GROUP, group)
                asked = JoinGroupRequest(
                    group, session_ms, session_ms, "", None, "consumer", [("range", b"")]
                )
                said = for_code((await client.send(node, asked)).error_code)
            except KafkaError as failure:
                said = type(failure)
            if not said.retriable:
                return said is not InvalidSessionTimeoutError
            await asyncio.sleep(REST_S)  # the broker is only coming up
        return True
    finally:
        await client.close()


async def existing(where: Where) -> set[str]:
    """The topics that Kafka has.

    Raises:
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    async with administration(where) as admin:
        return set(await admin.list_topics())


def incarnations(where: Where, names: Sequence[str]) -> dict[str, str]:
    """The topics' own ids in Kafka: other ones after a topic was deleted and made again.

    Args:
        where: Kafka.
        names: full names of topics.

    Returns:
        ids by name; a topic that Kafka does not know even after a while is left out.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be asked.
    """
    admin = opened(KafkaAdminClient, where)
    try:
        # Just after a topic was made again, Kafka may have no answer yet.
        for _ in range(PATIENCE):
            told = admin.describe_topics(list(names))
            found = {str(item["name"]): str(item["topic_id"]) for item in told if item.get("topic_id")}
            if set(names) <= set(found):
                break
            time.sleep(REST_S)
        return found
    finally:
        admin.close()


@dataclass(frozen=True, slots=True, order=True)
class NoLongerHeld:
    """Messages of one partition that Kafka deleted before they were counted.

    Attributes:
        topic: its full name.
        partition: its number.
        incarnation: the topic's own id in Kafka.
        start: the first offset that is missing.
        first: the first offset that Kafka still holds.
        sent_after: when the last message before them was sent, microseconds since 1970; None: not known.
        sent_before: when the first one after them was sent; None: there is none.
    """

    topic: str
    partition: int
    incarnation: str
    start: int
    first: int
    sent_after: int | None = None
    sent_before: int | None = None

    @property
    def count(self) -> int:
        """How many messages, or a few less where Kafka keeps marks of its own between them."""
        return self.first - self.start

    @property
    def hours(self) -> str:
        """When they were sent, in local time: a part of a sentence."""
        after, before = (
            None if time_us is None else moment(time_us).astimezone(LOCAL)
            for time_us in (self.sent_after, self.sent_before)
        )
        if after is None and before is None:
            return "sent at a time that is not on record"
        if after is None:
            return f"sent before {before:%Y-%m-%d %H:%M}"
        if before is None:
            return f"sent after {after:%Y-%m-%d %H:%M}"
        same = "%H:%M" if after.date() == before.date() else "%Y-%m-%d %H:%M"
        return f"sent between {after:%Y-%m-%d %H:%M} and {before:{same}}"

    def __str__(self) -> str:
        return (
            f"{self.topic} {self.partition}: {self.count:,} messages (offsets {self.start} to "
            f"{self.first - 1}), {self.hours}, are neither in the database nor in Kafka any more: what they "
            f"told is not counted. Restore a newer backup, or send again what the sources still have "
            f"(patrol replay)"
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """How far a consumer group is in one partition.

    Attributes:
        offset: the next one to be read.
        sent_us: when the last message before it was sent, microseconds since 1970; None: not on record.
        incarnation: the id of the topic in which it was reached; empty: not on record.
    """

    offset: int
    sent_us: int | None = None
    incarnation: str = ""

    def of(self, incarnation: str) -> bool:
        """Whether it is of the topic with this id; one that is not on record is taken for it."""
        return not self.incarnation or not incarnation or self.incarnation == incarnation


def settled(admin: Any, group: str) -> dict[tuple[str, int], Settled]:
    """How far a consumer group is, by topic and partition.

    Args:
        admin: kafka-python's client for administration.
        group: its name.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be asked.
    """
    found = dict(admin.list_group_offsets([group]).get(group, {}))
    return {
        (where.topic, where.partition): Settled(int(item.offset), *_noted(item.metadata))
        for where, item in found.items()
        if item.offset >= 0
    }


def settled_note(sent_us: int, incarnation: str) -> str:
    """What is committed beside an offset: when the last message before it was sent, and its topic's id."""
    return f"{_SENT}{sent_us} {_TOPIC}{incarnation}"


def _noted(note: str | None) -> tuple[int | None, str]:
    parts = (note or "").split(" ")
    times = [part.removeprefix(_SENT) for part in parts if part.startswith(_SENT)]
    ids = [part.removeprefix(_TOPIC) for part in parts if part.startswith(_TOPIC)]
    sent_us = int(times[0]) if times and times[0].isdecimal() else None
    return sent_us, ids[0] if ids else ""


def first_sent(where: Where, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """When the first message that Kafka still holds was sent, microseconds since 1970.

    Args:
        where: Kafka.
        partitions: topics' full names and numbers.

    Returns:
        times by partition; one that is empty is left out.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be asked.
    """
    consumer = opened(KafkaConsumer, where, enable_auto_commit=False)
    try:
        found = consumer.offsets_for_times({TopicPartition(*where): 0 for where in partitions})
        return {
            (where.topic, where.partition): int(item.timestamp) * 1000
            for where, item in found.items()
            if item is not None and item.timestamp >= 0
        }
    finally:
        consumer.close()


async def _ensure(admin: AIOKafkaAdminClient, spec: NewTopic, leaders: Sequence[bool] | None) -> TopicOutcome:
    if leaders is None:
        answer = await admin.create_topics([spec])
        for _, code, *message in answer.topic_errors:
            if code == TopicAlreadyExistsError.errno:  # somebody else was quicker
                return TopicOutcome(spec.name, "kept", "was there")
            if code:
                why = next(filter(None, message), None) or for_code(code).__name__
                raise TopicError(f"topic {spec.name} could not be created: {why}")
        return TopicOutcome(spec.name, "created", _count(spec.num_partitions))
    found = len(leaders)
    if found >= spec.num_partitions:
        return TopicOutcome(spec.name, "kept", f"has {_count(found)}")
    try:
        await admin.create_partitions({spec.name: NewPartitions(spec.num_partitions)})
    except IncompatibleBrokerVersion:
        short = f"has {_count(found)}, {spec.num_partitions} wanted: this broker cannot add any"
        return TopicOutcome(spec.name, "kept", short)
    except KafkaError as failure:
        raise TopicError(
            f"topic {spec.name} could not be given {spec.num_partitions} partitions: {failure}"
        ) from None
    return TopicOutcome(spec.name, "raised", f"from {found} to {_count(spec.num_partitions)}")


async def _leaders(admin: AIOKafkaAdminClient) -> dict[str, list[bool]]:
    """The topics that exist, and of each partition whether it has a leader."""
    # Asked about by name, a missing topic may be made on the spot with the broker's own settings.
    return {
        topic["topic"]: [partition["leader"] >= 0 for partition in topic["partitions"]]
        for topic in await admin.describe_topics()
    }


async def _ready(
    admin: AIOKafkaAdminClient, outcomes: Sequence[TopicOutcome], wanted: Sequence[NewTopic]
) -> bool:
    made = {outcome.name for outcome in outcomes if outcome.did != "kept"}
    if not made:
        return True
    found = await _leaders(admin)
    return all(sum(found.get(spec.name, ())) >= spec.num_partitions for spec in wanted if spec.name in made)


def _count(partitions: int) -> str:
    return f"{partitions} partition{'s' if partitions != 1 else ''}"
