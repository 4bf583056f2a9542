"""How long commands take to start: ``python -m tests.bench.bench_start``.

The help of every command, and the processor time of a worker until it has counted the first message that lay
on Kafka before. A process is started anew for each, so the interpreter's own start is in the figures; that of
compiling is not, because an installed program is compiled. The median of several rounds; the last line is for
programs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import click
from kafka import KafkaProducer

from stream import topics
from stream.cli import patrol
from stream.cli.serve import initialise
from stream.core import frames
from stream.embedded import EmbeddedBroker, EmbeddedDatabase
from stream.pipeline.processes import command, start
from stream.settings import Settings
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.bench_pages import spent_s
from tests.messages import DUTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 5
COUNTED = "select coalesce(sum(next_offset), 0) from frame_offset"


def commands(group: click.Group = patrol, *before: str) -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups included."""
    yield before
    for name, item in group.commands.items():
        if isinstance(item, click.Group):
            yield from commands(item, *before, name)
        else:
            yield (*before, name)


def help_s(words: Sequence[str]) -> float:
    """Seconds until the help of a command is printed."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command(*words, "--help"), stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - began)
    return median(found)


def worker_s() -> tuple[float, float]:
    """Seconds until a worker has counted a message: of processor time, and by the clock."""
    spent, took = [], []
    with EmbeddedBroker() as broker, EmbeddedDatabase() as database:
        settings = Settings(kafka=broker.bootstrap, database=database.dsn, session_s=2.0, partitions=1)
        initialise(settings)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PATROL_")},
            "PATROL_KAFKA": settings.kafka,
            "PATROL_DATABASE": settings.database,
            "PATROL_SESSION_S": str(settings.session_s),
        }
        producer: Any = KafkaProducer(bootstrap_servers=settings.kafka)
        with connect(settings.database) as connection:
            for counted in range(ROUNDS):
                headers = [(topics.KIND_HEADER, topics.KIND_DUTIES.encode())]
                line = frames.encode_lines([DUTY.replace(b"\n", b" ")])
                producer.send(topics.DUTIES, line, b"1001", headers=headers).get()
                began = time.perf_counter()
                worker = start("worker", environment=environment, output=subprocess.DEVNULL)
                while connection.execute(COUNTED).fetchone() != (counted + 1,):
                    if worker.poll() is not None:
                        sys.exit(f"the worker ended with exit code {worker.returncode}")
                    time.sleep(0.02)
                took.append(time.perf_counter() - began)
                spent.append(spent_s(worker.pid))
                worker.terminate()
                worker.wait()
        producer.close()
    return median(spent), median(took)


def run() -> list[Row]:
    """Measures the start of every command, and of a worker."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # so only the first round compiles
    helps = {" ".join(words): help_s(words) for words in commands()}
    slowest = max(helps, key=lambda name: helps[name])
    processor, clock = worker_s()
    line = f"start: help_s={helps['']:.2f} slowest_help_s={helps[slowest]:.2f} worker_cpu_s={processor:.2f}"
    return [
        Row("patrol --help", helps[""], "s", "aim 0.3"),
        Row("the slowest help of a command", helps[slowest], "s", f"patrol {slowest} --help; aim 0.3"),
        Row("a worker until it has counted a message", processor, "s of CPU", "aim 1"),
        Row("  by the clock", clock, "s", "most of it Kafka's first join of the group"),
        Row(line=line),
    ]


if __name__ == "__main__":
    print(show(run()))
