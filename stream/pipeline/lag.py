"""How far behind the pipeline is: what waits in Kafka for ingest, and what waits for the worker.

It asks Kafka and the database, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import RetriableError

from stream import topics
from stream.store.reading import progress

if TYPE_CHECKING:
    from stream.settings import Settings
    from stream.store.schema import Connection


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


class LagMeter:
    """Asks repeatedly with one connection; not for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: Any = KafkaAdminClient(bootstrap_servers=settings.kafka)
        self._consumer: Any = KafkaConsumer(
            bootstrap_servers=settings.kafka, enable_auto_commit=False, fetch_max_wait_ms=50
        )
        self._group = f"{settings.topic_prefix}patrol-ingest"

    def measure(self, connection: Connection) -> Lag:
        """The lag now. Ingest is asked first: what leaves it is then seen at the worker."""
        ends = self._ends(topics.RAW)
        try:
            settled = self._admin.list_group_offsets([self._group])
        except RetriableError:
            settled = {}  # nobody has committed anything yet, or Kafka is finding out who keeps the group
        offsets = {
            (found.topic, found.partition): int(value.offset)
            for found, value in dict(settled.get(self._group, {})).items()
        }
        raw = sum(max(0, end - max(offsets.get(key, 0), 0)) for key, end in ends.items())
        ends = self._ends(topics.INTERNAL)
        counted = self._counted(connection, {topic for topic, _ in ends})
        waiting = {key: max(0, end - counted.get(key, 0)) for key, end in ends.items()}
        heard = topics.named(topics.HEARD, self._settings.topic_prefix)
        return Lag(raw, sum(waiting.values()), waiting.get((heard, 0), 0))

    def lost(self, connection: Connection) -> list[str]:
        """What Kafka deleted before the database had it, a line for each partition."""
        partitions = self._partitions(topics.INTERNAL)
        counted = self._counted(connection, {item.topic for item in partitions})
        return [
            topics.no_longer_held(item.topic, item.partition, next_offset, int(first))
            for item, first in sorted(self._consumer.beginning_offsets(partitions).items())
            if first > (next_offset := counted.get((item.topic, item.partition), 0))
        ]

    def _counted(self, connection: Connection, names: set[str]) -> dict[tuple[str, int], int]:
        """The next offset to be counted, by topic and partition."""
        # The record of a topic that was deleted and recreated does not apply to the new one.
        present = {
            (str(found["name"]), str(found["topic_id"]))
            for found in self._admin.describe_topics(sorted(names))
        }
        return {
            (topic, partition): offset
            for (topic, partition, incarnation), offset in progress.offsets(connection).items()
            if (topic, incarnation) in present
        }

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
