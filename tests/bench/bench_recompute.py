"""How many stored fixes a second ``patrol recompute`` counts again, with one process and with two.

A simulated shift of an invented force, again on several days, goes through the ledger in the order of time,
all devices mixed, and its hours are closed as by a live pipeline. Then everything is counted again, with
nothing to mend. Wall clock, the database on the same machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stream.core.calendar import rfc3339
from stream.core.stays import take
from stream.embedded import EmbeddedDatabase
from stream.store import areas, chunks, recompute
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.bench import Row, show
from tests.bench.bench_core import fixes_of, shift

if TYPE_CHECKING:
    from stream.core.facts import Fixes
    from stream.simulate import Simulation

DAY_US = 86_400_000_000
OFFICERS, HOURS, DAYS = 1000, 2.0, 4
BATCH = 20_000
"""Fixes that one transaction takes while the database is filled: half a minute of this force."""


def fill(dsn: str, officers: int = OFFICERS, hours: float = HOURS, days: int = DAYS) -> tuple[int, int, int]:
    """Makes schema, boundaries, bookings and fixes; gives the period and how many fixes there are."""
    simulation = shift(officers, hours)
    fixes = fixes_of(simulation)
    order = np.argsort(fixes.time, kind="stable")
    with connect(dsn) as connection:
        migrate(connection)
        for kind in sorted(set(simulation.force.kind)):
            areas.publish(connection, simulation.force, kind, 0, file="bench", sha256="", by="bench")
        ledger = Ledger(connection)
        for day in range(days):
            _book(ledger, simulation, day)
            for part in np.array_split(order, len(order) // BATCH + 1):
                ledger.positions(_moved(take(fixes, part), day * DAY_US))
        chunks.close_due(connection)
        connection.execute("vacuum analyze")
        count = chunks.count(connection)
    end = simulation.end + (days - 1) * DAY_US + 3_600_000_000
    return simulation.start - 3_600_000_000, end, count


def _moved(fixes: Fixes, by: int) -> Fixes:
    return replace(fixes, time=fixes.time + by)


def _book(ledger: Ledger, simulation: Simulation, day: int) -> None:
    by = day * DAY_US

    def later(time: int | None) -> int | None:
        return None if time is None else time + by

    duties = [
        replace(
            duty,
            duty_id=f"{duty.duty_id}-{day}",
            start=duty.start + by,
            end=later(duty.end),
            devices=tuple(
                replace(item, start=later(item.start), end=later(item.end)) for item in duty.devices
            ),
        )
        for duty in simulation.duties
    ]
    ledger.bookings(duties, [replace(state, time=state.time + by) for state in simulation.states])


def _processor(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alone(dsn: str, start: int, end: int) -> list[Row]:
    """Once in this process: what it costs us, and what it costs the server."""
    with connect(dsn) as connection:
        ledger, done = Ledger(connection), recompute.Recounted()
        began = time.process_time(), _processor(connection.info.backend_pid)
        for part in recompute.plan(connection, start, end):
            done += recompute.count(ledger, part, end)
        spent = time.process_time() - began[0], _processor(connection.info.backend_pid) - began[1]
    return [
        Row("  processor time, this program", spent[0] / done.fixes * 1e6, "µs/fix"),
        Row("  processor time, the database", spent[1] / done.fixes * 1e6, "µs/fix"),
    ]


def command(dsn: str, start: int, end: int, jobs: int) -> Row:
    """``patrol recompute`` as users run it."""
    began = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "stream", "recompute", "--json", "--jobs", str(jobs)),
            *("--from", rfc3339(start), "--to", rfc3339(end)),
        ],
        env={**os.environ, "PATROL_DATABASE": dsn},
        capture_output=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    if answer["restatement"] is not None:
        sys.exit("figures changed though nothing was damaged")
    seconds = time.monotonic() - began
    note = f"{answer['fixes']:,} fixes of {answer['devices']:,} devices, {answer['duties']:,} duties"
    return Row(f"recompute, {jobs} process{'es' * (jobs > 1)}", answer["fixes"] / seconds, "fixes/s", note)


def run() -> list[Row]:
    """Fills a database of its own, and measures."""
    with EmbeddedDatabase() as server:
        start, end, _ = fill(server.dsn)
        return [*(command(server.dsn, start, end, jobs) for jobs in (1, 2)), *alone(server.dsn, start, end)]


if __name__ == "__main__":
    print(show(run()))
