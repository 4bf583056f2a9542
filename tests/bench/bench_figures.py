"""What publishing live figures and watching for alerts costs, for one force, and how long after a commit.

2,700 officers with their radios and 700 vehicles in 169 neighbourhoods, some hours into a shift; then a
batch for every second of what follows, in which a fifth of the devices tell their position. After each batch
the live figures that changed are asked for, and alerts every PATROL_WATCH_S, as the worker does. No Kafka;
the clock is that of the events, so that nothing waits. Processor time of this thread, and of the publisher's
and the watcher's connections in PostgreSQL as Linux counts it.
"""

from __future__ import annotations

import sys
import time
from statistics import mean, median

import numpy as np

from geo.areas import Kind
from stream.core.facts import SECOND
from stream.embedded import EmbeddedDatabase
from stream.pipeline.publisher import Publisher
from stream.pipeline.watcher import Watcher
from stream.settings import Settings
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.bench import Row, show
from tests.bench.bench_pages import INTERVAL_S, UNITS, Crowd, force, spent_s

RADIOS = 2700
HOURS, STEP_S = 4.0, 30.0
SECONDS = 60
START = 1_794_816_000 * SECOND
"""16 November 2026, 08:00 UTC."""


def run(hours: float = HOURS, seconds: int = SECONDS) -> list[Row]:
    """Fills a shift, then looks after every batch."""
    crowd = Crowd(RADIOS)
    everybody = np.arange(UNITS)
    now = START + int(hours * 3600 * SECOND)
    with EmbeddedDatabase() as server, connect(server.dsn, name="bench") as connection:
        migrate(connection)
        for kind in Kind:
            areas.publish(connection, force(), kind, 0, file="bench", sha256="", by="bench")
        ledger = Ledger(connection)
        ledger.bookings(crowd.duties(START), ())
        for time_us in range(START, now, int(STEP_S * SECOND)):
            ledger.positions(crowd.at(everybody, time_us))
        connection.execute("vacuum analyze")
        settings = Settings(database=server.dsn, clock="events")
        publisher, watcher = Publisher(settings), Watcher(settings)
        try:
            watcher.changed()
            first = len(publisher.changed())
            pids = [item.connection().info.backend_pid for item in (publisher, watcher)]
            # What is asked the first time, and the first five seconds, are no part of the figures.
            looks: list[float] = []
            spent = [0.0, 0.0]
            sent, batches = 0, 0.0
            before = [0.0, 0.0]
            for second in range(-int(INTERVAL_S), seconds):
                if second == 0:
                    before = [spent_s(pid) for pid in pids]
                    looks, spent, sent, batches = [], [0.0, 0.0], 0, 0.0
                began = time.thread_time()
                part = np.arange(second % int(INTERVAL_S), UNITS, int(INTERVAL_S))
                ledger.positions(crowd.at(part, now + (second + 6) * SECOND))
                batches += time.thread_time() - began
                wall, began = time.perf_counter(), time.thread_time()
                sent += len(publisher.changed())
                spent[0] += time.thread_time() - began
                looks.append(time.perf_counter() - wall)
                if second % int(settings.watch_s) == 0:
                    began = time.thread_time()
                    watcher.changed()
                    spent[1] += time.thread_time() - began
            after = [spent_s(pid) for pid in pids]
        finally:
            publisher.close()
            watcher.close()
    note = f"{RADIOS:,} officers, {UNITS:,} devices at {INTERVAL_S:g} s, {hours:g} h into the shift"
    rows = [
        Row("looks for figures, one a second: Python", 100 * spent[0] / seconds, "% of a core", note),
        Row("  PostgreSQL", 100 * (after[0] - before[0]) / seconds, "% of a core"),
        Row(
            f"looks for alerts, one in {settings.watch_s:g} seconds: Python",
            100 * spent[1] / seconds,
            "% of a core",
        ),
        Row("  PostgreSQL", 100 * (after[1] - before[1]) / seconds, "% of a core"),
        Row("messages", sent / seconds, "a second", f"{first:,} when elected"),
        Row("from commit to messages", median(looks), "s", f"{mean(looks):.3f} mean, {max(looks):.3f} most"),
        Row("for comparison, counting: Python", 100 * batches / seconds, "% of a core"),
    ]
    total = sum(spent) + after[0] - before[0] + after[1] - before[1]
    line = f"figures: cores={total / seconds:.3f} messages_s={sent / seconds:.0f} look_s={median(looks):.3f}"
    return [*rows, Row(line=line)]


if __name__ == "__main__":
    print(show(run(*(kind(word) for kind, word in zip((float, int), sys.argv[1:], strict=False)))))
