"""Whether a process gets on: looked at every few seconds from a thread of its own, which nothing else delays.

It asks Kafka and the database how much waits, compares that with the look before, and says so on ``/readyz``,
in ``/metrics``, and in one log line a minute. It changes nothing and mends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from kafka.errors import KafkaError

from stream import topics
from stream.pipeline.health import served
from stream.pipeline.lag import LOST_DAYS, PATIENCE_MS, LagMeter, Reach, TopicsSeen
from stream.pipeline.metrics import WorkerMetrics
from stream.pipeline.outages import DATABASE, KAFKA, OUTAGES, lasting
from stream.store.reading import operations, progress
from stream.store.schema import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stream.pipeline.metrics import PipelineMetrics
    from stream.pipeline.outages import Outages
    from stream.settings import Settings
    from stream.store.schema import Connection

log = logging.getLogger(__name__)

LOOK_S: Final = 2.5
"""Seconds between two looks."""
STALL_S: Final = 9.0
"""A partition of which nothing was settled for so long, though something waits, stands still."""
SILENT_S: Final = 12.0
"""After so long without an answer to a look, or from the event loop, the process is not ready."""
REPORT_S: Final = 60.0
"""Seconds between two log lines in normal operation."""
SLOW_S: Final = 60.0
"""Seconds between two looks at the timers and the sizes of tables."""
RARE_S: Final = 3600.0
"""Seconds between two looks at what is asked of every row of a table."""
TABLES: Final = 8

Key = tuple[str, int]
"""Topic and partition."""


@dataclass(slots=True)
class _Seen:
    """What is known of one partition.

    Attributes:
        place: at the last look.
        moved: when its settled offset last changed, or nothing waited.
        ends: ``(time, end)`` of the looks at which the end had moved, oldest first.
        nothing: the settled offset and the end between which no message was found.
    """

    place: Reach
    moved: float
    ends: list[tuple[float, int]] = field(default_factory=list)
    nothing: tuple[int, int] | None = None


class Progress:
    """Looks at the same partitions again and again, and says which stand still.

    Args:
        oldest_ms: when the first message of a topic's partition from an offset on was written, or None.
        patience_s: by topic, how much longer than usual nothing may be settled.
    """

    def __init__(
        self,
        oldest_ms: Callable[[str, int, int], int | None],
        patience_s: Mapping[str, float] | None = None,
    ) -> None:
        self._oldest_ms = oldest_ms
        self._patience_s = patience_s or {}
        self._seen: dict[Key, _Seen] = {}
        self.stalled: dict[Key, tuple[float, int]] = {}

    def look(self, places: Mapping[Key, Reach], now: float) -> None:
        """Takes in how far each partition is.

        Args:
            places: by topic and partition, all there are.
            now: by a monotonic clock, seconds.
        """
        for key in self._seen.keys() - places.keys():
            del self._seen[key]
        for key, place in places.items():
            seen = self._seen.get(key)
            if seen is None:
                self._seen[key] = _Seen(place, now, [(now, place.end)])
                continue
            if place.settled != seen.place.settled or place.end < seen.place.end or not place.waiting:
                seen.moved = now
            elif not seen.place.waiting:
                seen.moved = now  # it came since the last look
            if place.end != seen.ends[-1][1]:
                seen.ends.append((now, place.end))
            seen.ends = _shortened(seen.ends, place)
            seen.place = place
        self.stalled = {
            key: (now - seen.moved, seen.place.waiting)
            for key, seen in self._seen.items()
            if now - seen.moved >= STALL_S + self._patience_s.get(key[0], 0.0) and self._waits(key, seen)
        }

    def _waits(self, key: Key, seen: _Seen) -> bool:
        """Whether a message waits for real."""
        where = seen.place.settled, seen.place.end
        if seen.nothing != where and self._oldest_ms(*key, seen.place.settled) is None:
            seen.nothing = where
        return seen.nothing != where

    def lag(self, now: float) -> dict[str, tuple[int, float]]:
        """By topic how many messages wait, and for how many seconds the oldest has, at least."""
        found: dict[str, tuple[int, float]] = {}
        for (topic, _), seen in self._seen.items():
            place = seen.place
            waiting = 0 if seen.nothing == (place.settled, place.end) else place.waiting
            # What is not settled came after the last look at which the end was not beyond what is settled.
            later = next((at for at, end in seen.ends if end > place.settled), now)
            messages, seconds = found.get(topic, (0, 0.0))
            found[topic] = messages + waiting, max(seconds, now - later if waiting else 0.0)
        return found

    def said(self) -> str:
        """Which partitions stand still, in a line; empty: none does."""
        lines = [
            f"nothing was read of {topic} {partition} for {lasting(age)}, and {waiting:,} messages wait"
            for (topic, partition), (age, waiting) in sorted(self.stalled.items())
        ]
        more = f"; so do {len(lines) - 1} other partitions" if len(lines) > 1 else ""
        return f"{lines[0]}{more}" if lines else ""


MOST_ENDS: Final = 600


def _shortened(ends: list[tuple[float, int]], place: Reach) -> list[tuple[float, int]]:
    """Without what is settled, but for the newest of it; where much waits, every other look."""
    passed = sum(end <= place.settled for _, end in ends)
    left = ends[max(0, passed - 1) :]
    return left if len(left) <= MOST_ENDS else [*left[:-1:2], left[-1]]


class Monitor:
    """Looks after one process.

    Args:
        settings: Kafka, the database, where health is told.
        metrics: of the process.
        outages: what the process waits for.
        steady: a monotonic clock, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: PipelineMetrics,
        outages: Outages = OUTAGES,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._outages = outages
        self._steady = steady
        self._meter: LagMeter | None = None
        self._connection: Connection | None = None
        self._heard = topics.named(topics.HEARD, settings.topic_prefix)
        self.progress = Progress(self._oldest, {self._heard: settings.hear_s})
        self._topics = TopicsSeen(-math.inf, {})
        self._looked = self._beat = steady()
        self._slow = self._rare = -RARE_S
        self._said = steady()
        self._before = (0, 0)
        self._failing = False
        self._detail = ""
        self._end = threading.Event()
        self._metrics.ready.set_function(lambda: not self.waiting_for())

    # ── what is told ──────────────────────────────────────────────────────────────────────────────────────

    def waiting_for(self) -> str:
        """Why the process is not ready, in a line; empty: it gets on. For any thread."""
        now = self._steady()
        if detail := self._outages.detail():
            return detail
        if (age := now - self._beat) > SILENT_S:
            return f"the process has been busy with one thing for {lasting(age)}"
        if (age := now - self._looked) > SILENT_S:
            return f"Kafka and the database have not said for {lasting(age)} how much waits"
        return self.progress.said()

    def topics(self) -> TopicsSeen:
        """The topics as of the last look. For any thread."""
        return self._topics

    def stalled(self) -> Mapping[Key, tuple[float, int]]:
        """Partitions of which nothing is settled: since when, seconds, and how many wait. For any thread."""
        return self.progress.stalled

    def beat(self) -> None:
        """The event loop is alive."""
        self._beat = self._steady()

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────

    def _oldest(self, topic: str, partition: int, offset: int) -> int | None:
        assert self._meter is not None
        return self._meter.oldest_ms(topic, partition, offset)

    def look(self) -> None:
        """One look; servers that are away are told to the outages."""
        now = self._steady()
        who = "monitor"
        try:
            if self._meter is None:
                self._meter = LagMeter(
                    self._settings, request_timeout_ms=PATIENCE_MS, bootstrap_timeout_ms=PATIENCE_MS
                )
            if isinstance(self._metrics, WorkerMetrics):
                connection = self._connected()
                if self._metrics.part == "worker":
                    self.progress.look(self._meter.internal(connection), now)
                self._operations(self._metrics, connection, now)
            else:
                self.progress.look(self._meter.raw(), now)
            self._topics = TopicsSeen(now, dict(self._meter.ids))
        except (psycopg.Error, KafkaError, OSError) as failure:
            self._drop()
            # Once is nothing: a leader may have moved, or the connection was an old one.
            if self._failing:
                what = DATABASE if isinstance(failure, psycopg.Error) else KAFKA
                self._outages.failed(who, what, failure)
            self._failing = True
            self._looked = self._steady()
            return
        self._failing = False
        self._outages.well(who)
        self._looked = self._steady()
        self._tell(now)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._settings.database, name="patrol worker: monitor", connect_s=5)
        return self._connection

    def _operations(self, metrics: WorkerMetrics, connection: Connection, now: float) -> None:
        if now - self._slow < SLOW_S:
            return
        found = operations.timers(connection)
        metrics.newest_age.set(math.nan if found.newest_age_s is None else found.newest_age_s)
        for timer, age in (("alerts", found.watched_age_s), ("reports", found.reports_age_s)):
            if age is not None:
                metrics.age.labels(timer).set(age)
        for what, count in (
            ("letters", found.letters_waiting),
            ("letters_failed", found.letters_failed),
            ("doubts", found.doubts_due),
            ("device_days", found.devices_due),
            ("outdated_duties", found.outdated),
        ):
            metrics.due.labels(what).set(count)
        metrics.table_bytes.clear()
        metrics.table_rows.clear()
        tables = operations.tables(connection)
        for table in tables[:TABLES]:
            metrics.table_bytes.labels(table.name).set(table.size)
            metrics.table_rows.labels(table.name).set(table.rows)
        for state, count in operations.chunks(tables).items():
            metrics.chunks.labels(state).set(count)
        # From the record: what Kafka itself says is over as soon as somebody has read on.
        gone = progress.no_longer_held(connection, LOST_DAYS)
        metrics.lost.set(len({(item.topic, item.partition) for item in gone}))
        if now - self._rare >= RARE_S:
            days = operations.oldest_day_age(connection)
            metrics.oldest_day.set(math.nan if days is None else days)
            self._rare = now
        self._slow = now

    def _tell(self, now: float) -> None:
        metrics = self._metrics
        lag = self.progress.lag(now)
        for topic, (messages, seconds) in lag.items():
            name = topic.removeprefix(self._settings.topic_prefix)
            metrics.lag.labels(name).set(messages)
            metrics.lag_s.labels(name).set(round(seconds, 1))
        metrics.stalled.set(len(self.progress.stalled))
        if (detail := self.progress.said()) != self._detail:
            if detail and not self._detail:
                log.warning("%s", detail, extra={"stalled": len(self.progress.stalled)})
            elif not detail:
                log.warning("all that waits is read again")
            self._detail = detail

    def report(self) -> None:
        """The line of the minute, where one is due."""
        now = self._steady()
        if now - self._said < REPORT_S:
            return
        done = self._metrics.sum_of(self._metrics.messages), self._metrics.sum_of(self._metrics.dead_letters)
        messages, letters = (after - before for after, before in zip(done, self._before, strict=True))
        # What was heard gathers for a while, and no figure waits for it.
        lag = {topic: found for topic, found in self.progress.lag(now).items() if topic != self._heard}
        waiting = sum(count for count, _ in lag.values())
        behind = max((seconds for _, seconds in lag.values()), default=0.0)
        # What came since the last look is no backlog.
        late = f", {lasting(behind)} behind" if waiting and behind > 2 * LOOK_S else ""
        log.info(
            "%d messages (%.1f a second), %d wait%s, %d dead letters",
            *(messages, messages / (now - self._said), waiting, late, letters),
            extra={
                "part": self._metrics.part,
                "seconds": round(now - self._said, 1),
                "messages": messages,
                "waiting": waiting,
                "behind_s": round(behind, 1),
                "dead_letters": letters,
                "ready": not self.waiting_for(),
            },
        )
        self._said, self._before = now, done

    def _drop(self) -> None:
        meter, self._meter = self._meter, None
        connection, self._connection = self._connection, None
        with contextlib.suppress(KafkaError, OSError, psycopg.Error):
            if connection is not None:
                connection.close()
            if meter is not None:
                meter.close()

    def _run(self) -> None:
        while not self._end.wait(LOOK_S):
            try:
                self.look()
                self.report()
            except Exception:
                log.exception("the monitor failed; it goes on")
                self._drop()
        self._drop()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Looks on while the block runs, and answers on the port of the settings where there is one."""
        with contextlib.ExitStack() as stack:
            if self._settings.health_port:
                stack.enter_context(
                    served(
                        self._settings.health_port,
                        self._metrics.registry,
                        self.waiting_for,
                        host=self._settings.health_host,
                    )
                )
            # A daemon: what it waits for must not keep the process from ending.
            thread = threading.Thread(target=self._run, name="monitor", daemon=True)
            thread.start()
            beats = asyncio.ensure_future(self._beats())
            try:
                yield
            finally:
                beats.cancel()
                self._end.set()
                thread.join(timeout=1.0)

    async def _beats(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(1.0)
