"""The pipeline as a force runs it, for measurements: servers that wait for the disk, and who spends what."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stream.cli.serve import initialise
from stream.embedded import EmbeddedDatabase
from stream.pipeline.processes import start
from stream.settings import Settings
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import connect
from tests.shell.kafka import AS_SHIPPED, RealKafka, unavailable_reason

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

    from stream.store.schema import Connection
    from tests.bench.roaming import Roaming

BOOKED_AT_ONCE = 2_000
USUAL: Final[dict[str, Any]] = {"broker_session_timeout_ms": 9_000, "broker_heartbeat_interval_ms": 2_000}
"""Kafka's own defaults, where tests have others."""
WAITS = ("fsync", "synchronous_commit", "full_page_writes")
PARTS = {"ingest": ("ingest",), "worker": ("worker",)}
"""As ``patrol up`` runs them, by name."""
APART = {"ingest": ("ingest",), "worker": ("worker", "--without-timers"), "timers": ("timers",)}
"""With what a worker does beside counting in a process of its own."""
OF_A_COUNTRY = {
    "PATROL_GATHER_S": "1",
    "PATROL_TENTHS_S": "60",
    "PATROL_HEAR_S": "300",
    "PATROL_WATCH_S": "60",
    "PATROL_DOUBT_S": "600",
}
"""Settings for very many officers on one machine, as deploy/README.md says."""
DATABASE_OF_A_COUNTRY = {
    "shared_buffers": "2GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "autovacuum_naptime": "5min",
}
"""Those of PostgreSQL."""
TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Servers:
    """Kafka and PostgreSQL, with boundaries and bookings in it.

    Attributes:
        connection: as long as the database is not stopped.
    """

    settings: Settings
    connection: Connection
    kafka: RealKafka
    database: EmbeddedDatabase


@contextmanager
def servers(roaming: Roaming, booked_from: int, **of_database: Any) -> Iterator[Servers]:
    """Starts both, and books everybody from a time on (microseconds); further settings are PostgreSQL's."""
    if reason := unavailable_reason():
        sys.exit(f"this needs Apache Kafka: {reason}")
    with ExitStack() as stack:
        kafka = stack.enter_context(RealKafka(jvm=AS_SHIPPED, **USUAL))
        database = stack.enter_context(EmbeddedDatabase(durable=True, **of_database))
        settings = Settings(kafka=kafka.bootstrap, database=database.dsn)
        initialise(settings)
        connection = stack.enter_context(connect(database.dsn, name="bench"))
        for name in WAITS:
            [(value,)] = connection.execute(f"show {name}".encode()).fetchall()
            assert value == "on", name
        force = roaming.areas()
        for kind in sorted(set(force.kind)):
            areas.publish(connection, force, kind, 0, file="bench", sha256="", by="bench")
        ledger, duties = Ledger(connection), list(roaming.duties(booked_from))
        for at in range(0, len(duties), BOOKED_AT_ONCE):
            ledger.bookings(duties[at : at + BOOKED_AT_ONCE], ())
        connection.execute("vacuum analyze")
        yield Servers(settings, connection, kafka, database)


@contextmanager
def pipeline(
    settings: Settings, processes: Mapping[str, tuple[str, ...]] = PARTS, **more: str
) -> Iterator[Mapping[str, subprocess.Popen[bytes]]]:
    """Ingest and one worker, each a process of its own, until no longer needed.

    Args:
        settings: Kafka and the database.
        processes: their commands, by name.
        more: of their environment.
    """
    servers = {"PATROL_KAFKA": settings.kafka, "PATROL_DATABASE": settings.database}
    environment = {**os.environ, **servers, **more}
    with tempfile.TemporaryFile() as log:
        parts = {
            name: start(*words, environment=environment, output=log.fileno())
            for name, words in processes.items()
        }
        try:
            yield parts
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            for process in parts.values():
                process.terminate()
            for process in parts.values():
                process.wait()


def _spent(pid: int) -> tuple[float, float]:
    """Processor time of a process, and of its children that have ended and were waited for, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, ended = (sum(int(field) for field in fields[low : low + 2]) for low in (11, 13))
    return own / TICKS_S, ended / TICKS_S


def children(pid: int) -> list[int]:
    """The processes that one has started and that run."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def spent_s(pid: int) -> float:
    """Processor time that a process and all that it started have used, seconds."""
    own, ended = _spent(pid)
    total = own + ended
    for child in children(pid):
        try:
            total += spent_s(child)
        except OSError:  # it has just ended: its parent has its time at the next look
            continue
    return total


@dataclass(frozen=True, slots=True)
class Spending:
    """Processor time that everybody had used at a moment.

    Attributes:
        at: the monotonic clock, seconds.
        by: seconds by name.
    """

    at: float
    by: dict[str, float]

    @classmethod
    def now(cls, found: Servers, parts: Mapping[str, subprocess.Popen[bytes]]) -> Spending:
        """As of now.

        Raises:
            RuntimeError: a part has ended.
        """
        for name, process in parts.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")
        pids = {"Kafka": found.kafka.pid, "PostgreSQL": found.database.pid}
        pids |= {name: process.pid for name, process in parts.items()}
        return cls(time.monotonic(), {name: spent_s(pid) for name, pid in pids.items()})

    def since(self, before: Spending) -> dict[str, float]:
        """Processor time used since, seconds by name."""
        return {name: spent - before.by.get(name, 0.0) for name, spent in self.by.items()}
