"""A copy of the tree, in which mutants live; which files they are made of, and which tests reach them."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "mutants"

SOURCES = (
    "stream/core/**/*.py",
    "geo/matching/**/*.py",
    "geo/boundaries/**/*.py",
    *(
        f"stream/store/{name}.py"
        for name in ("ledger", "positions", "gathering", "duties", "bookings", "doubts", "heard")
    ),
)
"""What is mutated: a pattern that matches nothing is no error."""

TESTS = ("tests/core/test_*.py", "tests/shell/test_*.py")
WITHOUT = (
    *("playwright", "schemathesis", "tests.shell.kafka", "tests.shell.screen", "tests.shell.pipeline"),
    *("stream.simulate", "stream.pipeline.mail", "stream.files.replay", "tests.mutants"),
)
"""Tests that import these are not asked: a browser, Kafka, letters and the whole pipeline take minutes."""


def sources(tree: Path, pattern: str = "*") -> dict[str, bytes]:
    """The sources that are mutated, by their path from the root.

    Args:
        tree: the root.
        pattern: only paths that match.
    """
    found = {path for given in SOURCES for path in tree.glob(given) if path.name != "__init__.py"}
    names = sorted(str(path.relative_to(tree)) for path in found)
    return {name: (tree / name).read_bytes() for name in names if fnmatch(name, pattern)}


def copied(to: Path) -> None:
    """Copies what git knows of the tree and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / ".venv").symlink_to(ROOT / ".venv")


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
    return found


def asked_files(tree: Path) -> list[str]:
    """The files of tests that are asked: those that import what is mutated, and nothing of ``WITHOUT``."""
    modules = {name.removesuffix(".py").replace("/", ".") for name in sources(tree)}
    modules = {name for name in modules if not name.endswith(".facts")}  # which everybody imports
    found = []
    for path in sorted(path for pattern in TESTS for path in tree.glob(pattern)):
        names = imports(path)
        if names & modules and not any(f"{name}.".startswith(f"{out}.") for name in names for out in WITHOUT):
            found.append(str(path.relative_to(tree)))
    return found


def reached(tree: Path, files: list[str]) -> dict[str, dict[str, Any]]:
    """Per file of tests what its tests call and how long they take; measured where it is not known yet.

    Args:
        tree: the copy.
        files: the files of tests.
    """
    layout = "\n".join(sources(tree))
    found = {}
    for name in files:
        content = (tree / name).read_bytes() + layout.encode()
        kept = KEPT / "reach" / f"{Path(name).stem}-{hashlib.sha256(content).hexdigest()[:12]}.json"
        if not kept.is_file():
            print(f"     measuring what {name} reaches", flush=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            run = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "tests.mutants.reach",
                "-p",
                "no:cacheprovider",
            ]
            run += ["-m", "not kafka and not shared and not slow", name]
            with (kept.parent / "last.log").open("w") as log:
                env = {**os.environ, "PYTHONPATH": str(tree), "MUTANTS_REACH": str(kept)}
                subprocess.run(run, cwd=tree, check=False, stdout=log, stderr=log, env=env)
        if kept.is_file():
            found[name] = json.loads(kept.read_text())
    return found
