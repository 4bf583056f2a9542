"""What a backlog costs: positions that wait in Kafka when ingest and one worker start, until all are counted.

Apache Kafka and PostgreSQL, which waits for the disk. Processor time of all four, the start of ingest and
worker included, as Linux counts it. ``python -m tests.bench backlog --seconds 300`` is a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from stream.core.facts import SECOND
from stream.pipeline.lag import LagMeter
from stream.store import chunks
from tests.bench import Row, show
from tests.bench.roaming import Roaming, Size, feed
from tests.bench.running import Spending, pipeline, servers

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = Size(2_700, 700, 169, 0)
SECONDS = 3_600
LOOK_S = 0.2


def measure(size: Size, seconds: int) -> tuple[dict[str, float], int, float]:
    """Processor time by process (seconds), the number of positions, and how long it took."""
    start_ms = time.time_ns() // 1_000_000 - seconds * 1000 - 60_000
    with servers(Roaming(size), start_ms * 1000 - 600 * SECOND) as found:
        settings = found.settings
        told = asyncio.run(feed(settings.kafka, size, settings.partitions, start_ms, seconds, paced=False))
        meter = LagMeter(settings)
        try:
            before = Spending.now(found, {})
            with pipeline(settings) as parts:
                while not meter.measure(found.connection).none:
                    Spending.now(found, parts)
                    time.sleep(LOOK_S)
                after = Spending.now(found, parts)
        finally:
            meter.close()
        stored = chunks.count(found.connection)
    assert stored == int(told["sent"])
    return after.since(before), int(told["sent"]), after.at - before.at


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures; ends with a line for programs."""
    parser = argparse.ArgumentParser(prog="backlog")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of positions that wait")
    given = parser.parse_args(list(options))
    spent, events, took = measure(SIZE, given.seconds)
    total = sum(spent.values()) / events * 1e6
    note = f"{events:,} positions of {SIZE.units:,} units in {took:.0f} s, start included"
    return [
        Row("backlog: all processes", total, "µs/event", note),
        *(Row(f"  {name}", used / events * 1e6, "µs/event") for name, used in spent.items()),
        Row("  counted", events / took, "events/s"),
        Row(line=f"backlog: us_per_event={total:.1f}"),
    ]


if __name__ == "__main__":
    print(show(run()))
