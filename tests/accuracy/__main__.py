"""``python -m tests.accuracy``: measures all methods at all intervals, and prints or writes the tables."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from tests.accuracy.drawing import svg
from tests.accuracy.scores import Errors, shift, summary
from tests.accuracy.tables import in_order, markdown, put_in, to_csv

HERE: Final = Path(__file__).parent
INTERVALS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
SEEDS: Final = (1, 2, 3, 4)
OFFICERS: Final = 30
HOURS: Final = 8.0


def main(arguments: list[str]) -> None:
    """Measures."""
    words = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    words.add_argument(
        "--seeds", type=int, default=list(SEEDS), nargs="+", metavar="N", help="a shift for each"
    )
    words.add_argument(
        "--intervals", type=float, default=list(INTERVALS), nargs="+", metavar="N", help="seconds"
    )
    words.add_argument("--officers", type=int, default=OFFICERS, help="in each shift")
    words.add_argument("--hours", type=float, default=HOURS, help="length of a shift")
    words.add_argument("--jobs", type=int, default=2, help="processes")
    words.add_argument("--quick", action="store_true", help="one seed and ten officers: about a minute")
    words.add_argument("--write", action="store_true", help="results.csv, errors.svg and the README's tables")
    asked = words.parse_args(arguments)
    if asked.quick:
        asked.seeds, asked.officers = asked.seeds[:1], 10

    began = time.monotonic()
    errors = {interval: Errors() for interval in sorted(asked.intervals)}
    # Results are taken in whatever order they come, but put together in the order of the seeds: the same
    # arguments give the same tables. The longest go first.
    with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("spawn")) as pool:
        tasks = {
            pool.submit(shift, seed, interval, asked.officers, asked.hours): (interval, seed)
            for interval in errors
            for seed in asked.seeds
        }
        for done, task in enumerate(as_completed(tasks), start=1):
            interval, seed = tasks[task]
            print(f"{done}/{len(tasks)}: seed {seed} at {interval:g} s", file=sys.stderr, flush=True)
        for task, (interval, _) in tasks.items():
            errors[interval].extend(task.result())
    rows = in_order(row for interval, each in errors.items() for row in summary(interval, each))
    tables = markdown(rows)
    print(tables)
    seeds = " ".join(map(str, asked.seeds))
    took = time.monotonic() - began
    print(f"seeds {seeds}, {asked.officers} officers, {asked.hours:g} hours; took {took:.0f} s")
    if asked.write:
        (HERE / "results.csv").write_text(to_csv(rows), encoding="utf-8")
        (HERE / "errors.svg").write_text(svg(rows), encoding="utf-8")
        readme = HERE / "README.md"
        readme.write_text(put_in(readme.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
