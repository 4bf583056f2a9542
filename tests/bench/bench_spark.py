"""The account of some shifts on Apache Spark, by processors, beside the plain account.

Written to Parquet before, a file a day; each run is a process of its own, as users run it, so that the start
of Java and of Spark is in it. What grows with the days is told apart: the days beyond the first, by the time
beyond that of the first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import Row, show
from tests.bench.bench_force import a_day, later, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

OFFICERS, DAYS = 300, 5


def account(days: list[Path], out: Path, *words: str) -> float:
    """Seconds that ``patrol account`` takes."""
    out.mkdir()
    for name in ("duties.jsonl", "states.jsonl"):
        (out / name).write_bytes(b"".join((day / name).read_bytes() for day in days))
    command = [str(Path(sys.executable).with_name("patrol")), "account", "--by", "day"]
    command += ["--areas", str(days[0] / "areas.geojson")]
    command += [word for day in days for word in ("--positions", str(day / "positions.parquet"))]
    command += ["--duties", str(out / "duties.jsonl"), "--states", str(out / "states.jsonl")]
    began = time.monotonic()
    done = subprocess.run([*command, *words, "--out", str(out / "figures")], capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return time.monotonic() - began


def equal(one: Path, other: Path) -> bool:
    """Whether two accounts are the same to the byte."""
    names = sorted(path.name for path in (one / "figures").iterdir())
    return all(
        (one / "figures" / name).read_bytes() == (other / "figures" / name).read_bytes() for name in names
    )


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures."""
    parser = argparse.ArgumentParser(prog="spark")
    parser.add_argument("--officers", type=int, default=OFFICERS)
    parser.add_argument("--days", type=int, default=DAYS)
    given = parser.parse_args(list(options))
    officers, count = given.officers, given.days
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as root:
        days = [Path(root) / "day0"]
        a_day(days[0], officers)
        for day in range(1, count):
            days.append(Path(root) / f"day{day}")
            later(days[0], days[-1], day)
        rate = {}
        for name, words in (
            ("plain account, 1 thread", ("--jobs", "1")),
            ("plain account, 2 threads", ("--jobs", "2")),
            ("Spark, 1 processor", ("--engine", "spark:local[1]")),
            ("Spark, 2 processors", ("--engine", "spark:local[2]")),
        ):
            first = account(days[:1], Path(root) / f"{name} first", *words)
            whole = account(days, Path(root) / name, *words)
            rate[name] = officers * (count - 1) / max(whole - first, 0.001)
            note = f"{officers:,} officers, {count} days, {rows_of(days[0]) * count:,} fixes"
            found += [Row(name, officers * count / whole, "officer-days/s", note)]
            found += [Row("  of the days beyond the first", rate[name], "officer-days/s")]
            if not equal(Path(root) / name, Path(root) / "plain account, 1 thread"):
                sys.exit(f"{name}: another account than the plain one")
    line = f"spark: officer_days_per_s={rate['Spark, 2 processors']:.0f}"
    return [*found, Row(line=line)]


if __name__ == "__main__":
    print(show(run(sys.argv[1:])))
