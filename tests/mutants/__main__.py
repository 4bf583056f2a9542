"""``python -m tests.mutants --seed 1 --sample 250 [--only geo/*]``: whether tests notice small faults."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants.copying import KEPT, asked_files, copied, sources
from tests.mutants.making import Mutant, generated
from tests.mutants.running import KILLED, SURVIVED, TIMEOUT, UNREACHED, Outcome, judged, load

EQUIVALENTS = Path(__file__).with_name("equivalents.toml")
EQUIVALENT = "equivalent"


def equivalents() -> dict[tuple[str, str, str, str], str]:
    """The mutants known to change nothing, and why."""
    rows = tomllib.loads(EQUIVALENTS.read_text(encoding="utf-8")).get("equivalent", [])
    return {(row["module"], row["function"], row["was"], row["becomes"]): row["why"] for row in rows}


def identity(mutant: Mutant, source: bytes) -> tuple[str, str, str, str]:
    """What a mutant is known by wherever its file and its line move."""
    return Path(mutant.path).stem, mutant.function, *mutant.changed(source)


def main() -> None:
    """Draws the sample, tries each mutant, writes the table; exit code 1 where too many survive."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which sample (1)")
    parser.add_argument("--sample", type=int, default=100, help="how many mutants (100)")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only sources whose path matches")
    parser.add_argument("--share", type=float, default=0.97, help="of them must be noticed (0.97)")
    parser.add_argument(
        "--at-most", type=float, default=120, metavar="SECONDS", help="of tests for a mutant (120)"
    )
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N of it")
    parser.add_argument("--tests", default="*", metavar="GLOB", help="only files of tests whose path matches")
    parser.add_argument("--near", action="store_true", help="ask only the nearest files of tests")
    given = parser.parse_args()

    known = equivalents()
    load()
    rows: list[tuple[Mutant, Outcome]] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        copied(tree)
        texts = sources(tree, given.only)
        everything = list(generated(texts))
        if not everything:
            sys.exit(f"no source matches '{given.only}'")
        drawn = random.Random(given.seed).sample(everything, min(given.sample, len(everything)))
        print(f"{len(drawn)} of {len(everything)} mutants in {len(texts)} sources, seed {given.seed}")
        files = [name for name in asked_files(tree) if fnmatch(name, given.tests)]
        sound = replace(drawn[0], text=texts[drawn[0].path][drawn[0].low : drawn[0].high].decode())
        if (outcome := judged(tree, sound, files, 0.0, near=True)).word not in {SURVIVED, UNREACHED}:
            sys.exit(f"{outcome.by} fails without any fault: put that right first")
        for number, mutant in enumerate(drawn):
            if number < given.skip:
                continue
            if identity(mutant, texts[mutant.path]) in known:
                outcome = Outcome(EQUIVALENT, "", 0.0, 0)
            else:
                outcome = judged(tree, mutant, files, given.at_most, near=given.near)
            rows.append((mutant, outcome))
            print(f"{number + 1:4} {shown(mutant, outcome)}", flush=True)
            if outcome.word in {SURVIVED, UNREACHED}:
                print(mutant.diff(texts[mutant.path]), flush=True)
    sys.exit(report(rows, texts, given.seed, given.share))


def shown(mutant: Mutant, outcome: Outcome) -> str:
    """A mutant and what became of it, in one line."""
    where = f"{mutant.path}:{mutant.line}"
    return f"{outcome.word:<11} {where:<32} {mutant.kind:<18} {outcome.seconds:6.1f} s  {outcome.by}".rstrip()


def report(rows: list[tuple[Mutant, Outcome]], texts: dict[str, bytes], seed: int, share: float) -> int:
    """Writes ``build/mutants/report.md``; gives the exit code."""
    count = Counter(outcome.word for _, outcome in rows)
    noticed = count[KILLED] + count[TIMEOUT]
    judged = len(rows) - count[EQUIVALENT]
    reached_share = noticed / judged if judged else 1.0
    words = (KILLED, TIMEOUT, SURVIVED, UNREACHED, EQUIVALENT)
    said = f"{noticed} of {judged} noticed ({reached_share:.1%}); " + ", ".join(
        f"{word} {count[word]}" for word in words
    )
    lines = [
        f"# Mutants, seed {seed}",
        "",
        said,
        "",
        "| outcome | where | what | noticed by |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {outcome.word} | {mutant.path}:{mutant.line} | {mutant.kind} | {outcome.by} |"
        for mutant, outcome in rows
    ]
    for mutant, outcome in rows:
        if outcome.word in {SURVIVED, UNREACHED}:
            was, becomes = mutant.changed(texts[mutant.path])
            lines += ["", f"## {outcome.word}: {mutant.path}:{mutant.line}, {mutant.function}", "", "```diff"]
            lines += [
                mutant.diff(texts[mutant.path]),
                "```",
                "",
                f"- was: `{was}`",
                f"- becomes: `{becomes}`",
            ]
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\n{said}\nthe table, and what survived: build/mutants/report.md")
    return int(reached_share < share)


if __name__ == "__main__":
    main()
