"""From raw JSON on Kafka to committed rows: ingest and one worker as users run them.

Broker and database run beside them. A simulated shift lies on the raw topics before the two processes start;
the clock runs from the moment they are started, so their start is in the figure, until everything is counted.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx
from kafka import KafkaProducer

from stream.cli.serve import initialise
from stream.core.calendar import parse_time
from stream.core.facts import SECOND
from stream.embedded import EmbeddedBroker, EmbeddedDatabase
from stream.files.replay import send_simulation
from stream.pipeline.lag import LagMeter
from stream.pipeline.processes import start
from stream.settings import Settings
from stream.store import areas, chunks
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.bench_core import shift
from tests.shell.kafka import RealKafka, unavailable_reason
from tests.shell.screen import Web
from tests.shell.streamed import listening, position

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

OFFICERS, HOURS = 600, 2.0
TOLD = 20
"""Positions that are awaited on the page's stream, one after another."""


def measure(
    broker: EmbeddedBroker | RealKafka, name: str, officers: int = OFFICERS, hours: float = HOURS
) -> list[Row]:
    """One run on a broker that is up."""
    with ExitStack() as stack:
        database = stack.enter_context(EmbeddedDatabase())
        settings = Settings(kafka=broker.bootstrap, database=database.dsn, session_s=2.0, partitions=4)
        initialise(settings)
        connection = stack.enter_context(connect(database.dsn))
        simulation = shift(officers, hours)
        for kind in sorted(set(simulation.force.kind)):
            areas.publish(connection, simulation.force, kind, 0, file="bench", sha256="", by="bench")
        sent = asyncio.run(send_simulation(simulation, broker.bootstrap, speed=0))
        environment = {
            **os.environ,
            "PATROL_KAFKA": settings.kafka,
            "PATROL_DATABASE": settings.database,
            "PATROL_SESSION_S": str(settings.session_s),
            "PATROL_CLOCK": "events",
        }
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        output = stack.enter_context(log.open("wb"))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        with running(environment, output.fileno()) as processes:
            meter = LagMeter(settings)
            stack.callback(meter.close)
            first, counted = began, 0
            while not meter.measure(connection).none:
                if any(process.poll() is not None for process in processes):
                    sys.exit(log.read_text())
                if not counted:
                    counted, first = chunks.count(connection), time.monotonic()
                time.sleep(0.1)
            ended = time.monotonic()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows = connection.execute(
            "select (select count(*) from stays), (select count(*) from slices)"
        ).fetchone()
        fixes = chunks.count(connection)
        with running(environment, output.fileno()):
            waits = told_after(settings, environment)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    stays, slices = (int(str(value)) for value in rows or (0, 0))
    note = f"{sent:,} messages to {fixes:,} fixes, {stays:,} stays, {slices:,} slices"
    return [
        Row(f"end to end, {name}, start of the processes included", sent / (ended - began), "events/s", note),
        Row("  from the first rows on", (fixes - counted) / (ended - first), "fixes/s"),
        Row("  processor time of ingest and worker", processor / sent * 1e6, "µs/event"),
        Row(
            "  from Kafka to the page's stream", median(waits), "s", f"{min(waits):.2f} to {max(waits):.2f} s"
        ),
    ]


@contextmanager
def running(environment: dict[str, str], output: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Ingest and one worker, each a process of its own, until they are no longer needed."""
    processes = [start(part, environment=environment, output=output) for part in ("ingest", "worker")]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def told_after(settings: Settings, environment: dict[str, str]) -> list[float]:
    """Seconds from a position being sent to Kafka until a page that listens is told, some times over."""
    web = Web(environment)
    producer: Any = KafkaProducer(bootstrap_servers=settings.kafka)
    waits = []
    try:
        address = web.start()
        unit = httpx.get(f"{address}/api/v1/units", timeout=60).json()["features"][0]
        lon, lat = unit["geometry"]["coordinates"]
        now = parse_time(httpx.get(f"{address}/api/v1/live", timeout=60).json()["as_of"])
        with listening(address) as events:
            next(events)
            for at in range(1, TOLD + 1):
                sent = now + at * 5 * SECOND
                message = position(unit["properties"]["device_id"], sent, lon, lat + at * 1e-5)
                began = time.monotonic()
                producer.send(message.topic, message.value, message.key, timestamp_ms=sent // 1000).get()
                next(one for one in events if one.name == "units" and sent // 1000 in one.data["t_ms"])
                waits.append(time.monotonic() - began)
    finally:
        producer.close()
        web.end()
    return waits


def run() -> list[Row]:
    """Measures on the embedded broker, and on the real Kafka where that is to be had."""
    with EmbeddedBroker() as broker:
        rows = measure(broker, "embedded broker")
    if unavailable_reason() is None:
        with RealKafka() as kafka:
            rows += measure(kafka, "Apache Kafka")
    return rows


if __name__ == "__main__":
    print(show(run()))
