"""One, two, four and eight workers on the same facts: equal tables, what it costs, and waits for locks.

A seeded shift, with reports that come twice and devices that are hours late, lies in Apache Kafka; two
ingests and so many workers count it into a PostgreSQL that waits for the disk. The workers share the
partitions before the first message is there, so that nobody counts alone. Then every table that is derived
is compared with what ``patrol account`` makes of the same facts.

Meanwhile the server is asked some fifty times a second what each of the workers' connections does. The share
of waits for locks is of those samples in which a connection has work (``state = 'active'``).

``python -m tests.bench workers --workers 1,4 --officers 60 --hours 0.5`` is a quick look.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaAdminClient
from kafka.errors import RetriableError

from stream.core.calendar import parse_time
from stream.embedded import EmbeddedDatabase
from stream.simulate import demo_force, simulate
from stream.store.device_days import examine_due
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.running import USUAL, spent_s
from tests.faults.facts import DISORDER, DUPLICATES, SHIFT, flawed
from tests.shell.doubted import assert_device_days
from tests.shell.kafka import AS_SHIPPED, RealKafka, unavailable_reason
from tests.shell.pipeline import INGEST, WORKER, Facts, Pipeline, assert_same, facts_of, offline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WORKERS: Final = (1, 2, 4, 8)
INGESTS: Final = 2
PARTITIONS: Final = 8
LOOK_S: Final = 0.02
SEED: Final = 12
OFFICERS, HOURS, INTERVAL_S = 1_000, 2.0, 5.0
FORCE: Final[dict[str, Any]] = {"session_s": 10.0, "publish_s": 0.5, "hear_s": 5.0, "examine_s": 5.0}
"""Settings as a force has them, where tests have others."""


def shift(folder: Path, officers: int, hours: float, interval_s: float) -> Facts:
    """A simulated shift in sending order; some of it comes twice, some hours late."""
    force = demo_force(1)
    made = simulate(
        force, officers=officers, start=parse_time(SHIFT), hours=hours, interval_s=interval_s, seed=SEED
    )
    facts = facts_of(made, force, folder)
    found = flawed(facts.messages, (DUPLICATES, DISORDER), random.Random(SEED))
    return replace(facts, messages=tuple(found))


@dataclass(slots=True)
class Waits:
    """What the workers' connections were seen to do.

    Attributes:
        looks: how often the server was asked.
        active: samples of connections with work.
        locked: of these, those that waited for a lock, by the statement.
    """

    looks: int = 0
    active: int = 0
    locked: Counter[str] = field(default_factory=Counter)

    @property
    def percent(self) -> float:
        """Waits for locks, percent of the samples with work."""
        return 100 * self.locked.total() / self.active if self.active else 0.0


@contextmanager
def watched(database: str) -> Iterator[Waits]:
    """Looks at the workers' connections until left."""
    found, ended = Waits(), threading.Event()

    def look() -> None:
        with connect(database, name="bench: locks") as connection:
            while not ended.wait(LOOK_S):
                found.looks += 1
                for waits, query in connection.execute(
                    "select wait_event_type = 'Lock', regexp_replace(left(query, 400), '\\s+', ' ', 'g') "
                    "from pg_stat_activity where datname = current_database() and state = 'active' "
                    "and pid <> pg_backend_pid() and application_name like 'patrol %' "
                    "and application_name <> 'patrol ingest'"
                ):
                    found.active += 1
                    if waits:
                        found.locked[query] += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one run came to.

    Attributes:
        workers: how many.
        events: messages.
        took_s: from the start of ingest until all are counted.
        spent_s: processor time by process, seconds.
        waits: for locks.
        memory_gb: the most that one worker had.
        differs: what is not as the account has it; empty where nothing is.
    """

    workers: int
    events: int
    took_s: float
    spent_s: Mapping[str, float]
    waits: Waits
    memory_gb: float
    differs: str

    def rows(self) -> list[Row]:
        """As a table."""
        total = sum(self.spent_s.values()) / self.events * 1e6
        shares = ", ".join(f"{name} {used / self.events * 1e6:.1f}" for name, used in self.spent_s.items())
        most = ", ".join(f"{count} × {query[:120]}" for query, count in self.waits.locked.most_common(3))
        whole = 100 * self.waits.locked.total() / max(1, self.waits.looks * self.workers)
        return [
            Row(f"{self.workers} workers", self.events / self.took_s, "events/s", f"{self.events:,} events"),
            Row("  processor time, all processes", total, "µs/event", shares),
            Row("  waits for locks", self.waits.percent, "%", most or f"of {self.waits.active:,} samples"),
            Row("  the same, of the workers' whole time", whole, "%"),
            Row("  memory of a worker, at most", self.memory_gb, "GB"),
            Row("  equal to the account (1: yes)", not self.differs, "", self.differs[:200]),
        ]


def parts(workers: int) -> list[str]:
    """What so many workers are called."""
    return [f"{WORKER} {number + 1}" for number in range(workers)]


def peak_gb(pid: int) -> float:
    """The most memory that a process has had, gigabytes, as Linux counts it."""
    said = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2]
    return int(said.split()[0]) / 1e6


def members(admin: Any, group: str) -> int:
    """Of how many members a group consists that has shared its partitions; 0 while it has not."""
    try:
        found = admin.describe_groups([group])[group]
    except RetriableError:  # Kafka is finding out who keeps the group
        return 0
    return len(found["members"]) if found["group_state"] == "Stable" else 0


@dataclass(frozen=True, slots=True)
class Job:
    """Facts, and what must become of them.

    Attributes:
        facts: to be sent.
        tables: as ``patrol account`` has them.
        figures: the folder of its other files.
    """

    facts: Facts
    tables: dict[str, bytes]
    figures: Path

    @classmethod
    def of(cls, facts: Facts, folder: Path) -> Job:
        """Asks the account; files go into a folder."""
        return cls(facts, offline(facts, folder), folder / "figures")

    def differs(self, pipeline: Pipeline) -> str:
        """What a pipeline that has settled has counted otherwise; empty where nothing is."""
        examine_due(pipeline.connection)  # the workers would do it by and by
        try:
            assert_device_days(pipeline, self.figures, self.facts.until)
            assert_same(pipeline.export(self.facts.until), self.tables)
        except AssertionError as failure:
            return str(failure)
        return ""


def count(job: Job, kafka: RealKafka, server: EmbeddedDatabase, pipeline: Pipeline) -> Counted:
    """Counts a job.

    Args:
        job: what.
        kafka: where it is sent.
        server: of the database.
        pipeline: of workers alone, with topics and a database that are empty.
    """
    facts, settings = job.facts, pipeline.settings
    workers = len(pipeline.pids())

    def spent() -> dict[str, float]:
        pids = {"Kafka": [kafka.pid], "PostgreSQL": [server.pid]}
        for kind in (INGEST, WORKER):
            pids[kind] = [pid for name, pid in pipeline.pids().items() if name.startswith(kind)]
        return {name: sum(map(spent_s, found)) for name, found in pids.items()}

    pipeline.load_areas(facts)
    pipeline.post(facts.messages)
    group = f"{settings.topic_prefix}patrol-worker"
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        pipeline.wait(lambda: members(admin, group) == workers, "all workers have partitions")
    before, began = spent(), time.monotonic()
    with watched(settings.database) as waits:
        for number in range(INGESTS):
            pipeline.start(f"{INGEST} {number + 1}")
        pipeline.wait(pipeline.taken, "all is taken by ingest")
        pipeline.wait(pipeline.caught_up, "all is counted")
    took, after = time.monotonic() - began, spent()
    pipeline.settle()
    return Counted(
        workers=workers,
        events=len(facts.messages),
        took_s=took,
        spent_s={name: used - before[name] for name, used in after.items()},
        waits=waits,
        memory_gb=max(peak_gb(pid) for name, pid in pipeline.pids().items() if name.startswith(WORKER)),
        differs=job.differs(pipeline),
    )


def line(found: Sequence[Counted]) -> str:
    """What a program reads."""
    equal = "no" if any(each.differs for each in found) else "yes"
    worst = max(each.waits.percent for each in found)
    return f"workers: equal={equal} worst_lock_wait_percent={worst:.1f}"


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures; ends with a line for programs."""
    parser = argparse.ArgumentParser(prog="workers")
    parser.add_argument("--workers", default=",".join(map(str, WORKERS)), help="how many, each a run")
    parser.add_argument("--officers", type=int, default=OFFICERS)
    parser.add_argument("--hours", type=float, default=HOURS)
    given = parser.parse_args(list(options))
    if reason := unavailable_reason():
        sys.exit(f"this needs Apache Kafka: {reason}")
    found = []
    with (
        tempfile.TemporaryDirectory() as name,
        RealKafka(jvm=AS_SHIPPED, **USUAL) as kafka,
        EmbeddedDatabase(durable=True) as server,
        connect(server.dsn, name="bench") as connection,
    ):
        folder = Path(name)
        job = Job.of(shift(folder, given.officers, given.hours, INTERVAL_S), folder / "account")
        for workers in map(int, given.workers.split(",")):
            database = f"workers_{workers}"
            connection.execute(f"create database {database} template template0".encode())
            with Pipeline(
                kafka.bootstrap,
                server.dsn_of(database),
                folder / database,
                parts=parts(workers),
                partitions=PARTITIONS,
                **FORCE,
            ) as pipeline:
                found.append(count(job, kafka, server, pipeline))
    return [*(row for each in found for row in each.rows()), Row(line=line(found))]


if __name__ == "__main__":
    print(show(run(sys.argv[1:])))
