"""One mutant after another in the copy: which tests are asked, and what they say.

Each mutant is a process forked from one that has the libraries loaded already, so that a mutant costs its
tests and little else.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutants.copying import ROOT, imports, reached

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.mutants.making import Mutant

LIBRARIES = ("numpy", "geopandas", "pyogrio", "pyproj", "psycopg", "pyarrow.parquet", "msgspec", "jinja2")
MULTIPLE, SPARE = 4.0, 30.0
"""So many times the time of its tests without it, and so many seconds, and a mutant counts as hung."""

BROKEN, NONE = 70, 5
"""Exit codes: of a process in which not even pytest began; of pytest where it found none of the tests."""

KILLED, SURVIVED, TIMEOUT, UNREACHED = "killed", "survived", "timeout", "not reached"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: the word, the test that noticed, and how long it took."""

    word: str
    by: str
    seconds: float
    tests: int


class _Asked:
    """A plugin: only the tests chosen, in their order; notes the first that fails."""

    def __init__(self, names: Sequence[str]) -> None:
        self._rank = {name: at for at, name in enumerate(names)}
        self.failed = ""
        # A counterexample is enough; the smallest one nobody reads.
        settings.register_profile(
            "mutants",
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._rank), key=lambda item: self._rank[item.nodeid]
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


def nearness(tree: Path, path: str, files: Sequence[str]) -> list[list[str]]:
    """The files of tests by how near they are to a source.

    First those named like it, then those that import it, then by how many modules stand between, and last
    those that do not import it at all.
    """
    steps = distances(tree, path.removesuffix(".py").replace("/", "."))
    found: dict[float, list[str]] = {0: [], 1: [], math.inf: []}
    for name in files:
        named = f"_{Path(path).stem}_" in f"_{Path(name).stem}_"
        step = 0 if named else steps.get(name.removesuffix(".py").replace("/", "."), math.inf)
        found.setdefault(step, []).append(name)
    return [found[step] for step in sorted(found)]


def distances(tree: Path, module: str) -> dict[str, int]:
    """How many imports lead from each module to another one: 1 where it imports it itself."""
    importers = _importers(tree)
    found, last = {module: 0}, [module]
    while last:
        step = found[last[0]] + 1
        last = sorted({name for item in last for name in importers.get(item, ())} - found.keys())
        found |= dict.fromkeys(last, step)
    return found


@cache
def _importers(tree: Path) -> dict[str, set[str]]:
    """By module those that import it, tests and their helpers among them."""
    found: dict[str, set[str]] = {}
    for path in tree.rglob("*.py"):
        name = ".".join(path.relative_to(tree).with_suffix("").parts)
        if name.split(".")[0] in {"geo", "stream", "tests"}:
            for other in imports(path):
                found.setdefault(other, set()).add(name)
    return found


def chosen(
    mutant: Mutant, reach: Mapping[str, Mapping[str, Any]], at_most: float, *, others: bool = False
) -> tuple[list[str], float]:
    """The tests to ask about a mutant, the quick ones first, and how many seconds they take.

    Args:
        mutant: which.
        reach: per file of tests what they call and how long they take.
        at_most: seconds that the tests may take together without a mutant; the first is taken anyway.
        others: whether tests that do not call the function are asked as well, after those that do.
    """
    place = f"{mutant.path}:{mutant.function}"

    def calls(names: Sequence[str]) -> bool:
        # What runs on import, everybody reaches who reaches anything of the module.
        return place in names if mutant.function else any(name.startswith(place) for name in names)

    rows = []
    for known in reach.values():
        shared = calls(known["shared"])
        for test, what in known["tests"].items():
            if (hit := shared or calls(what["calls"])) or others:
                rows.append((not hit, what["seconds"], test))
    names: list[str] = []
    spent = 0.0
    for _, seconds, test in sorted(rows):
        if not names or spent + seconds <= at_most:
            names.append(test)
            spent += seconds
    return names, spent


def judged(
    tree: Path, mutant: Mutant, files: Sequence[str], at_most: float, *, near: bool = False
) -> Outcome:
    """What the tests say of a mutant, the nearest files first, until one fails.

    Args:
        tree: the copy.
        mutant: which.
        files: the files of tests that may be asked.
        at_most: seconds that the tests of each stage may take together without a mutant.
        near: whether only files are asked that are named like the module or import it, and where none of
            them calls the function, the nearest that do.
    """
    outcome = _by_stages(tree, mutant, files, at_most, near=near)
    if outcome.word != UNREACHED or not mutant.function:
        return outcome
    # It may run in a process of its own, which is not traced: whoever calls something of its module is asked.
    other = _by_stages(tree, replace(mutant, function=""), files, at_most, near=near)
    return other if other.word in {KILLED, TIMEOUT} else outcome


def _by_stages(tree: Path, mutant: Mutant, files: Sequence[str], at_most: float, *, near: bool) -> Outcome:
    stages = nearness(tree, mutant.path, files)
    seconds, asked, called = 0.0, 0, False
    for number, stage in enumerate(stages[:-1] if near else stages):
        if near and called and number > 1:
            break
        reach = reached(tree, stage)
        called = called or bool(chosen(mutant, reach, 0.0)[0])
        names, expected = chosen(mutant, reach, at_most, others=number == 0)
        if not names:
            continue
        found = tried(tree, mutant, names, expected)
        seconds, asked = seconds + found.seconds, asked + found.tests
        if found.word != SURVIVED:
            return Outcome(found.word, found.by, seconds, asked)
    return Outcome(SURVIVED if called else UNREACHED, "", seconds, asked)


def load() -> None:
    """Loads what every mutant needs."""
    for name in LIBRARIES:
        import_module(name)
    for plugin in entry_points(group="pytest11"):
        plugin.load()


def tried(tree: Path, mutant: Mutant, names: Sequence[str], seconds: float) -> Outcome:
    """Puts a mutant into the copy, asks the tests, and takes it out again.

    Args:
        tree: the copy.
        mutant: which.
        names: of the tests, in the order in which they are asked.
        seconds: that they take without it.
    """
    target, report = tree / mutant.path, tree / "mutant.json"
    report.unlink(missing_ok=True)
    begun = time.monotonic()
    whole, times = target.read_bytes(), target.stat()
    target.write_bytes(mutant.applied(whole))
    try:
        child = os.fork()
        if child == 0:
            _ask(tree, names, report)
        status = _ended(child, seconds * MULTIPLE + SPARE)
    finally:
        target.write_bytes(whole)
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    spent = time.monotonic() - begun
    if status is None:
        return Outcome(TIMEOUT, "", spent, len(names))
    if status == BROKEN:
        raise RuntimeError((tree / "mutant.log").read_text(errors="replace")[-3000:])
    said: dict[str, Any] = {"code": -1, "failed": "the end of the process"}
    if report.is_file():
        said = json.loads(report.read_text())
    return Outcome(SURVIVED if said["code"] in {0, NONE} else KILLED, said["failed"], spent, len(names))


def _ask(tree: Path, names: Sequence[str], report: Path) -> None:
    """In the child: never returns."""
    try:
        os.setsid()
        log = os.open(tree / "mutant.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = sys.path[0] = str(tree)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path[:] = [str(tree), *(entry for entry in sys.path if entry not in {"", str(tree), str(ROOT)})]
        # A mutant may be as long as another and written in the same second: none leaves bytecode behind.
        sys.dont_write_bytecode = True
        for name in [name for name in sys.modules if name.split(".")[0] in {"tests", "stream", "geo"}]:
            del sys.modules[name]
        plugin = _Asked(names)
        files = list(dict.fromkeys(name.split("::")[0] for name in names))
        options = ["-x", "-q", "--hypothesis-profile", "mutants", "-p", "no:cacheprovider", "--tb=short"]
        options += ["-W", "ignore:Module already imported"]  # which is why it is quick
        code = int(pytest.main([*options, *files], plugins=[plugin]))
        if code not in {0, 1, 2, NONE}:
            raise RuntimeError(f"pytest ends with {code}")  # noqa: TRY301
        report.write_text(json.dumps({"code": code, "failed": plugin.failed}))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(BROKEN)


def _ended(child: int, limit: float) -> int | None:
    """Waits for a child and gives its exit code; past the limit it and what it started are killed."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
