"""``python -m tests.faults --runs 200 --seed 1``: the fault campaign.

Every run sends a random world through real servers and several processes while faults strike, and compares
every table with the account of the same facts from files. A seed decides everything but the machine's own
pace. Exit code 0: no difference; 1: there is one, named with its seed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import psycopg
from aiokafka.errors import KafkaError as AIOKafkaError
from kafka.errors import KafkaError

from stream.embedded import EmbeddedError
from tests.faults.facts import FLAWS
from tests.faults.mistakes import MISTAKES
from tests.faults.running import Outcome, Plan, Run, plan, prepare
from tests.faults.servers import Servers
from tests.faults.strikes import STRIKES
from tests.shell.kafka import unavailable_reason

ALONE = "FAULTS_OWN_MOUNTS"
DISK_FULL = "disk full"


def main() -> None:
    """Runs the campaign as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many runs (200)")
    parser.add_argument("--seed", type=int, default=1, help="the first run's seed (1)")
    parser.add_argument("--seeds", metavar="LIST", help="these seeds instead: 3,17,40-60")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="keep outcomes here, and leave out seeds that it has"
    )
    parser.add_argument("--mistake", choices=sorted(MISTAKES), default="", help="put one in on purpose")
    parser.add_argument("--patience", type=float, default=90.0, metavar="SECONDS", help="to settle (90)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs of runs with differences here")
    given = parser.parse_args()
    if reason := unavailable_reason():
        sys.exit(f"needs the real Kafka: {reason}")
    _in_own_mounts()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    for client in ("aiokafka", "kafka"):
        # What its own clients say of servers that it takes away itself is no news.
        logging.getLogger(client).setLevel(logging.CRITICAL)
    seeds = _seeds(given.seeds) if given.seeds else list(range(given.seed, given.seed + given.runs))
    rows = _recorded(given.record)
    rows = {seed: row for seed, row in rows.items() if seed in seeds}
    with Servers() as servers, tempfile.TemporaryDirectory(prefix="patrol-runs-") as name:
        folder = Path(name)
        kinds = [kind for kind in STRIKES if kind != DISK_FULL or servers.volume.can_fill]
        if DISK_FULL not in kinds:
            print("left out: disk full (a file system in memory cannot be mounted here: that needs root)")
        prepare(servers, folder)
        for seed in seeds:
            if seed in rows:
                continue
            mine = folder / f"run{seed}"
            outcome = judged(servers, plan(seed, kinds), mine, given.mistake, given.patience)
            rows[seed] = row(outcome)
            print(line(seed, rows[seed]), flush=True)
            if given.record:
                with given.record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"seed": seed, **rows[seed]}) + "\n")
            if given.keep and outcome.differences:
                shutil.copytree(mine, given.keep / f"run{seed}", dirs_exist_ok=True)
            shutil.rmtree(mine)
    sys.exit(report(rows))


def judged(servers: Servers, what: Plan, folder: Path, mistake: str, patience_s: float) -> Outcome:
    """Does a run; once more where the campaign's own clients could not do their part on a busy machine."""
    for again in (True, False):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            with Run(servers, what, folder, mistake=mistake, patience_s=patience_s) as run:
                return run.go()
        except (EmbeddedError, KafkaError, AIOKafkaError, psycopg.Error) as trouble:
            if not again:
                raise
            print(f"seed {what.seed}: could not be judged ({trouble!r:.200}); once more", flush=True)
            servers.heal()
            servers.drop(f"run{what.seed}")
    raise AssertionError("unreachable")


def row(outcome: Outcome) -> dict[str, object]:
    """What is kept of a run."""
    return {
        "faults": list(outcome.plan.faults),
        "sent": outcome.sent,
        "accepted": outcome.accepted,
        "letters": outcome.letters,
        "ended": outcome.ended,
        "settled_s": round(outcome.settled_s, 1),
        "took_s": round(outcome.took_s, 1),
        "differences": outcome.differences,
    }


def line(seed: int, kept: dict[str, object]) -> str:
    """A run in one line, and its differences below."""
    faults = ", ".join(map(str, _listed(kept["faults"]))) or "no fault"
    counts = f"{kept['sent']} sent = {kept['accepted']} counted + {kept['letters']} dead letters"
    words = f"seed {seed}: {faults}; {counts}; settled in {kept['settled_s']} s, took {kept['took_s']} s"
    for each in _listed(kept["ended"]):
        words += f"\n  ended by itself: {each}"
    for each in _listed(kept["differences"]):
        words += f"\n  DIFFERENCE, seed {seed}: {each}"
    return words


def report(rows: dict[int, dict[str, object]]) -> int:
    """Prints how often each fault struck and the totals; the exit code."""
    struck: Counter[str] = Counter()
    for kept in rows.values():
        struck.update(set(map(str, _listed(kept["faults"]))))
    print("runs in which each fault struck:")
    for kind in (*STRIKES, *FLAWS):
        print(f"  {kind:<24}{struck[kind]:>5}")
    print(f"seeds: {ranges(sorted(rows))}")
    sent = sum(int(str(kept["sent"])) for kept in rows.values())
    slowest = max((float(str(kept["settled_s"])) for kept in rows.values()), default=0.0)
    ended = sum(len(_listed(kept["ended"])) for kept in rows.values())
    print(f"messages: {sent}; slowest to settle: {slowest} s; processes that ended by themselves: {ended}")
    wrong = [seed for seed, kept in rows.items() if kept["differences"]]
    if wrong:
        print(f"seeds with differences: {ranges(sorted(wrong))}")
    faulted = sum(bool(kept["faults"]) for kept in rows.values())
    print(f"faults: runs={len(rows)} faulted={faulted} differences={len(wrong)}", flush=True)
    return 1 if wrong else 0


def ranges(seeds: list[int]) -> str:
    """``1-3, 7``."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and parts[-1][1] == seed - 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def _listed(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        found += range(int(low), int(high or low) + 1)
    return found


def _recorded(path: Path | None) -> dict[int, dict[str, object]]:
    if path is None or not path.exists():
        return {}
    rows = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    return {row.pop("seed"): row for row in rows}


def _in_own_mounts() -> None:
    """Begins again where mounts are the campaign's own: they go with it, even when it is killed."""
    unshare = shutil.which("unshare")
    if os.environ.get(ALONE) or os.geteuid() != 0 or unshare is None:
        return
    os.environ[ALONE] = "yes"
    words = [unshare, "--mount", "--propagation", "private", sys.executable, "-m", "tests.faults"]
    os.execv(unshare, [*words, *sys.argv[1:]])


if __name__ == "__main__":
    main()
