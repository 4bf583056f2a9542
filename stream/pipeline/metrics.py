"""The metrics of ingest and of a worker, for Prometheus; deploy/README.md lists what each means.

What a process does is counted where it does it; how far behind it is, and whether it gets on, is put here by
``stream.pipeline.monitor``. No metric names an officer or a device.
"""

from __future__ import annotations

import math
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from stream import topics
from stream.core.events import REASONS
from stream.pipeline.logs import held_back
from stream.pipeline.outages import OUTAGES, SERVERS

if TYPE_CHECKING:
    from stream.pipeline.ingest import IngestProgress
    from stream.pipeline.outages import Outages
    from stream.store.ledger import Counted

disable_created_metrics()  # type: ignore[no-untyped-call]

BATCH: Final = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


def program_version() -> str:
    """The program's own version."""
    return version("patrol-visibility")


class PipelineMetrics:
    """The metrics of one process.

    Args:
        part: ``ingest``, ``worker`` or ``timers``.
        outages: those of the process.

    Attributes:
        registry: what ``/metrics`` tells.
    """

    def __init__(self, part: str, outages: Outages = OUTAGES) -> None:
        self.part = part
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.messages = self._counter("messages", "Messages that are settled.", "topic")
        self.dead_letters = self._counter("dead_letters", "Messages kept as dead letters.", "reason")
        self.batch = self._histogram("batch_messages", "Messages of a batch.", BATCH)
        self.commit = self._histogram("commit_seconds", "Time that a batch took to be settled.", SECONDS)
        self.lag = self._gauge("lag_messages", "Messages that wait in Kafka.", "topic")
        self.lag_s = self._gauge("lag_seconds", "How long the oldest message has waited.", "topic")
        self.stalled = self._gauge(
            "stalled_partitions", "Partitions of which nothing is read, though it waits."
        )
        self.ready = self._gauge("ready", "Whether the process gets on.")
        self._gauge("build_info", "1; the label says the version.", "version").labels(program_version()).set(
            1
        )
        waiting = self._gauge("waiting_seconds", "For how long a server has been waited for.", "server")
        begun = self._gauge("outages", "Outages so far.", "server")
        for what in SERVERS:
            waiting.labels(what).set_function(partial(outages.seconds, what))
            begun.labels(what).set_function(partial(outages.total.__getitem__, what))
        self._gauge("log_lines_held_back", "Log lines that were held back so far.").set_function(held_back)
        for reason in (*REASONS, topics.BROKEN_FRAME):
            self.dead_letters.labels(reason)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"patrol_{self.part}_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"patrol_{self.part}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"patrol_{self.part}_{name}", text, buckets=buckets, registry=self.registry)

    def sum_of(self, counter: Counter) -> int:
        """What a counter has counted, with all labels."""
        return sum(
            int(sample.value)
            for metric in counter.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        )


class IngestMetrics(PipelineMetrics):
    """Of ingest, from what it tells after each batch."""

    def __init__(self, outages: Outages = OUTAGES) -> None:
        super().__init__("ingest", outages)
        self.fixes = self._counter("fixes", "Positions handed on.")
        self.frames = self._counter("frames", "Messages of positions handed on.")
        self.duties = self._counter("duties", "Bookings handed on.")
        self.states = self._counter("states", "Radio states handed on.")
        self._before: IngestProgress | None = None

    def take(self, progress: IngestProgress) -> None:
        """Counts what has been done since the last time."""
        before, self._before = self._before, progress
        for name in ("fixes", "frames", "duties", "states"):
            done = getattr(progress, name) - (getattr(before, name) if before else 0)
            getattr(self, name).inc(done)
        rejects = before.rejects if before else {}
        for reason, count in progress.rejects.items():
            self.dead_letters.labels(reason).inc(count - rejects.get(reason, 0))
        if messages := progress.messages - (before.messages if before else 0):
            self.messages.labels("raw").inc(messages)
            self.batch.observe(messages)
            self.commit.observe(progress.settle_s)


class WorkerMetrics(PipelineMetrics):
    """Of a worker, or of timers alone, and of the database that they write to."""

    def __init__(self, outages: Outages = OUTAGES, part: str = "worker") -> None:
        super().__init__(part, outages)
        self.counted = self._counter("counted", "Facts that were new.", "kind")
        self.newest_age = self._gauge("newest_fix_age_seconds", "Age of the newest position counted.")
        self.newest_age.set(math.nan)
        self.repeated = self._counter("repeated", "Positions that were known.")
        self.lost = self._gauge("lost_partitions", "Partitions of which Kafka deleted what was not counted.")
        self.due = self._gauge("due", "What waits for a timer.", "what")
        self.age = self._gauge("timer_age_seconds", "Seconds since a timer last did its work.", "timer")
        self.table_bytes = self._gauge("table_bytes", "Size of the largest tables, with indexes.", "table")
        self.table_rows = self._gauge("table_rows", "About how many rows they have.", "table")
        self.chunks = self._gauge("chunks", "Hours of devices kept as one row, by state.", "state")
        self.oldest_day = self._gauge("oldest_day_age_days", "Age of the oldest day on record.")
        self.oldest_day.set(math.nan)

    def settled(self, counted: Counted) -> None:
        """Counts what was new in one transaction."""
        for kind in ("fixes", "duties", "states", "heard"):
            self.counted.labels(kind).inc(getattr(counted, kind))
        self.repeated.inc(counted.repeated)

    def taken(self, topic: str, messages: int, seconds: float) -> None:
        """Counts one batch.

        Args:
            topic: without the prefix.
            messages: how many were settled, one at least.
            seconds: how long that took, what was waited for included.
        """
        self.messages.labels(topic).inc(messages)
        self.batch.observe(messages)
        self.commit.observe(seconds)
