"""A whole force through ``patrol account``: a day of it, and a week.

2,700 officers with shifts of ten hours, a report every five seconds, and their vehicles; five such days are a
week, each officer working five shifts. Written to Parquet before; the command runs as users run it, in a
process of its own, from the start of Python to the last line of the last file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stream.simulate import demo_force, simulate
from stream.simulate.files import write
from tests.bench import Row, show

OFFICERS, HOURS, INTERVAL_S, SEED, SHIFTS = 2_700, 10.0, 5.0, 1, 5
MONDAY = 1_794_816_000_000_000
"""16 November 2026, 08:00 UTC, microseconds."""


def a_day(folder: Path, officers: int = OFFICERS) -> None:
    """The files of one day."""
    simulation = simulate(
        demo_force(SEED), officers=officers, start=MONDAY, hours=HOURS, interval_s=INTERVAL_S, seed=SEED
    )
    write(simulation, folder, form="parquet")


def later(source: Path, folder: Path, days: int) -> None:
    """The same day, so many days later: other duties of the same officers."""
    folder.mkdir()
    step = pa.scalar(timedelta(days=days), pa.duration("ms"))
    with ExitStack() as stack:
        file = stack.enter_context(pq.ParquetFile(source / "positions.parquet"))
        kind = file.schema_arrow
        out = stack.enter_context(pq.ParquetWriter(folder / "positions.parquet", kind, compression="zstd"))
        for batch in file.iter_batches(1_000_000):
            columns = {
                name: pc.add(batch[name], step) if name in {"time", "received"} else batch[name]
                for name in batch.schema.names
            }
            out.write_batch(pa.record_batch(columns, schema=kind))

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: moved(each) for name, each in value.items()}
        if isinstance(value, list):
            return [moved(each) for each in value]
        if isinstance(value, str) and len(value) > 18 and value[10] == "T":
            when = datetime.fromisoformat(value) + timedelta(days=days)
            return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return value

    for name in ("duties.jsonl", "states.jsonl"):
        with (source / name).open(encoding="utf-8") as lines, (folder / name).open("w") as out_lines:
            for line in lines:
                event = moved(json.loads(line))
                if "duty_id" in event:
                    event["duty_id"] += f"+{days}"
                out_lines.write(json.dumps(event) + "\n")


def account(days: list[Path], jobs: int, out: Path) -> tuple[float, float, float]:
    """Runs ``patrol account``; wall clock and processor seconds, and the most memory it held in GB."""
    for name in ("duties.jsonl", "states.jsonl"):
        out.mkdir(exist_ok=True)
        (out / name).write_bytes(b"".join((day / name).read_bytes() for day in days))
    words = [str(Path(sys.executable).with_name("patrol")), "account"]
    words += ["--areas", str(days[0] / "areas.geojson")]
    words += [word for day in days for word in ("--positions", str(day / "positions.parquet"))]
    words += ["--duties", str(out / "duties.jsonl"), "--states", str(out / "states.jsonl")]
    words += ["--by", "week", "--jobs", str(jobs), "--out", str(out / "figures")]
    began = time.monotonic()
    with (out / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit((out / "log").read_text())
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def rows_of(folder: Path) -> int:
    """How many positions a day has."""
    with pq.ParquetFile(folder / "positions.parquet") as file:
        return int(file.metadata.num_rows)


def run(officers: int = OFFICERS, shifts: int = SHIFTS) -> list[Row]:
    """Measures."""
    cores = os.cpu_count() or 1
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as root:
        first = Path(root) / "day0"
        a_day(first, officers)
        week = [first]
        for day in range(1, shifts):
            week.append(Path(root) / f"day{day}")
            later(first, week[-1], day)
        count = rows_of(first)
        for name, days, jobs in (
            ("a force's day", week[:1], 1),
            ("a force's day", week[:1], cores),
            ("a force's week", week, cores),
        ):
            wall, used, memory = account(days, jobs, Path(root) / f"out{len(days)}-{jobs}")
            note = (
                f"{officers:,} officers, {len(days)} shifts each, {count * len(days):,} fixes, {jobs} threads"
            )
            found += [
                Row(f"{name}, patrol account", wall, "s", note),
                Row("  fixes a second of the clock", count * len(days) / wall, "fixes/s"),
                Row("  processor time", used, "s"),
                Row("  memory at most", memory, "GB"),
            ]
    return found


if __name__ == "__main__":
    print(show(run()))
