"""How far behind the pipeline is: what waits in Kafka for ingest, and what waits for the worker.

It asks Kafka and the database, and changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    UnknownTopicOrPartitionError,
)

from stream import topics
from stream.store.reading import progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.settings import Settings
    from stream.store.schema import Connection

PATIENCE_MS: Final = 5_000
"""How long Kafka is waited for at each question of a glance."""
LOST_DAYS: Final = 1
"""For so many days after it was found out it is told as wrong that Kafka deleted what was not counted."""
NO_COORDINATOR: Final = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
"""What Kafka answers while it finds out which broker keeps a group, a new one for instance."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Messages not yet settled.

    Attributes:
        raw: on the raw topics, not yet in frames or dead letters.
        frames: on the internal topics, not yet in the database.
        heard: of these, those that no figure depends on: what was heard, which gathers for a while.
    """

    raw: int
    frames: int
    heard: int = 0

    @property
    def none(self) -> bool:
        """Whether everything sent so far is in the figures."""
        return self.raw == 0 and self.frames == self.heard


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one partition is settled, and where it ends.

    Attributes:
        settled: the next offset to be settled.
        end: the offset of the next message to come; the embedded broker says where the last batch begins.
    """

    settled: int
    end: int

    @property
    def waiting(self) -> int:
        """Messages not settled yet; where Kafka removed some, or keeps marks between them, a few too many."""
        return max(0, self.end - self.settled)


@dataclass(frozen=True, slots=True)
class TopicsSeen:
    """The topics that Kafka had.

    Attributes:
        at: it was asked no earlier than this, seconds of the monotonic clock.
        ids: their own ids by full name: others after a topic was deleted and made again.
    """

    at: float
    ids: Mapping[str, str]


class LagMeter:
    """Asks repeatedly with one connection; not for several threads at once.

    Args:
        settings: Kafka, the topics' prefix.
        patience: further options of the clients: how long they wait.

    Attributes:
        ids: the topics' own ids by full name, as they were last heard of.
    """

    def __init__(self, settings: Settings, **patience: int) -> None:
        self.ids: dict[str, str] = {}
        self._settings = settings
        self._admin: Any = topics.opened(KafkaAdminClient, settings.brokers, **patience)
        try:
            self._consumer: Any = topics.opened(
                KafkaConsumer,
                settings.brokers,
                enable_auto_commit=False,
                check_crcs=False,  # only times and offsets are looked at, and the client counts in Python
                fetch_max_wait_ms=50,
                **patience,
            )
        except BaseException:
            self._admin.close()
            raise
        self._group = f"{settings.topic_prefix}patrol-ingest"

    def measure(self, connection: Connection) -> Lag:
        """The lag now. Ingest is asked first: what leaves it is then seen at the worker."""
        ends = self._ends(topics.RAW)
        self._ids({topic for topic, _ in ends})
        offsets = self._committed()
        raw = sum(max(0, end - offsets[key].offset if key in offsets else end) for key, end in ends.items())
        ends = self._ends(topics.INTERNAL)
        counted = self._counted(connection, {topic for topic, _ in ends})
        waiting = {key: max(0, end - counted.get(key, 0)) for key, end in ends.items()}
        heard = topics.named(topics.HEARD, self._settings.topic_prefix)
        return Lag(raw, sum(waiting.values()), waiting.get((heard, 0), 0))

    def raw(self) -> dict[tuple[str, int], Reach]:
        """How far ingest is, by topic and partition, at a glance: nothing is read.

        Raises:
            kafka.errors.KafkaError: Kafka does not answer.
        """
        return self._reaches(topics.RAW, {key: found.offset for key, found in self._committed().items()})

    def internal(self, connection: Connection) -> dict[tuple[str, int], Reach]:
        """How far the workers are, likewise.

        Raises:
            kafka.errors.KafkaError, psycopg.Error: one of them does not answer.
        """
        names = {topics.named(name, self._settings.topic_prefix) for name in topics.INTERNAL}
        return self._reaches(topics.INTERNAL, self._counted(connection, names))

    def dead_letters(self) -> dict[tuple[str, int], Reach]:
        """How many dead letters were kept so far, by topic and partition: none of them is settled."""
        return self._reaches((topics.DEAD_LETTERS,), {})

    def oldest_ms(self, topic: str, partition: int, offset: int) -> int | None:
        """When the first message from an offset on was written, milliseconds since 1970; None: there is none.

        An offset below the end does not say that a message waits: a transaction's mark takes one up, and so
        does what was removed.
        """
        where, consumer = TopicPartition(topic, partition), self._consumer
        consumer.assign([where])
        try:
            first = int(consumer.beginning_offsets([where], timeout_ms=PATIENCE_MS)[where])
        except KeyError:  # the client's own: it lost the topic while it asked
            raise UnknownTopicOrPartitionError(f"{topic} {partition}") from None
        consumer.seek(where, max(offset, first))
        found = consumer.poll(timeout_ms=1000, max_records=1).get(where)
        consumer.unsubscribe()
        return int(found[0].timestamp) if found else None

    def _reaches(
        self, names: tuple[str, ...], settled: Mapping[tuple[str, int], int]
    ) -> dict[tuple[str, int], Reach]:
        ends = self._offsets(names, OffsetSpec.LATEST)
        return {key: Reach(settled.get(key, 0), end) for key, end in ends.items()}

    def _offsets(self, names: tuple[str, ...], which: Any) -> dict[tuple[str, int], int]:
        """The first or the last offsets by topic and partition, of all partitions that there are now."""
        wanted = sorted(topics.named(name, self._settings.topic_prefix) for name in names)
        # Asked anew each time: partitions may have been added, or topics made again.
        told = self._admin.describe_topics(wanted)
        self.ids |= {str(found["name"]): str(found["topic_id"]) for found in told if found.get("topic_id")}
        asked = {
            TopicPartition(str(found["name"]), int(each["partition_index"])): which
            for found in told
            for each in found.get("partitions") or ()
        }
        found = self._admin.list_partition_offsets(asked, timeout_ms=PATIENCE_MS) if asked else {}
        return {(item.topic, item.partition): int(at.offset) for item, at in found.items()}

    def _committed(self) -> dict[tuple[str, int], topics.Settled]:
        """How far ingest is in the topics that there are; empty: it has committed nothing yet.

        A Kafka that nobody has read from yet chooses a broker for the group when it is asked, and does not
        answer meanwhile.
        """
        until = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                found = topics.settled(self._admin, self._group)
                return {where: each for where, each in found.items() if each.of(self.ids.get(where[0], ""))}
            except NO_COORDINATOR:
                if time.monotonic() > until:
                    raise
            time.sleep(topics.REST_S)

    def lost(self, connection: Connection) -> list[topics.NoLongerHeld]:
        """What Kafka deleted that ingest has still to read, or the database to count, by topic and partition.

        It is no longer told once the process concerned has read on: then it is on record
        (``progress.no_longer_held``).

        Raises:
            kafka.errors.KafkaError, psycopg.Error: one of them does not answer.
        """
        firsts = self._offsets((*topics.INTERNAL, *topics.RAW), OffsetSpec.EARLIEST)
        internal = {topics.named(name, self._settings.topic_prefix) for name in topics.INTERNAL}
        ids = self._ids({topic for topic, _ in firsts})
        counted, sent = progress.offsets(connection), progress.sent(connection)
        starts = {
            where: topics.Settled(counted.get(known, 0), sent.get(known))
            for where, known in ((where, (*where, ids.get(where[0], ""))) for where in firsts)
            if where[0] in internal
        }
        starts |= self._committed()
        gone = {
            where: (starts[where], first)
            for where, first in sorted(firsts.items())
            if where in starts and first > starts[where].offset
        }
        until = topics.first_sent(self._settings.brokers, gone) if gone else {}
        return [
            topics.NoLongerHeld(
                *where, ids.get(where[0], ""), start.offset, first, start.sent_us, until.get(where)
            )
            for where, (start, first) in gone.items()
        ]

    def _counted(self, connection: Connection, names: set[str]) -> dict[tuple[str, int], int]:
        """The next offset to be counted, by topic and partition."""
        # The record of a topic that was deleted and recreated does not apply to the new one.
        ids = self._ids(names)
        return {
            (topic, partition): offset
            for (topic, partition, incarnation), offset in progress.offsets(connection).items()
            if ids.get(topic) == incarnation
        }

    def _ids(self, names: set[str]) -> dict[str, str]:
        """The topics' own ids in Kafka, by name."""
        told = self._admin.describe_topics(sorted(names))
        self.ids |= {str(found["name"]): str(found["topic_id"]) for found in told if found.get("topic_id")}
        return {name: self.ids[name] for name in names if name in self.ids}

    def _partitions(self, names: tuple[str, ...]) -> list[TopicPartition]:
        return [
            TopicPartition(name, partition)
            for name in (topics.named(name, self._settings.topic_prefix) for name in names)
            for partition in sorted(self._consumer.partitions_for_topic(name) or ())
        ]

    def _ends(self, names: tuple[str, ...]) -> dict[tuple[str, int], int]:
        consumer, partitions = self._consumer, self._partitions(names)
        ends = {item: int(end) for item, end in consumer.end_offsets(partitions).items()}
        # The embedded broker tells where the last batch begins, not where it ends: so look into it.
        filled = [item for item, end in ends.items() if end > 0]
        consumer.assign(filled)
        for item in filled:
            consumer.seek(item, ends[item] - 1)
        unseen = set(filled)
        while records := consumer.poll(timeout_ms=1000 if unseen else 0, max_records=100_000):
            unseen -= set(records)
            for item, found in records.items():
                ends[item] = max(ends[item], found[-1].offset + 1)
        consumer.unsubscribe()
        return {(item.topic, item.partition): end for item, end in ends.items()}

    def close(self) -> None:
        """Closes the connections to Kafka."""
        self._consumer.close()
        self._admin.close()
