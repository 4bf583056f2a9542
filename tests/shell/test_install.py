"""`make install` says how far it is, and ends as pip ends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

PIP = """#!/bin/sh
case "$*" in
  *--require-hashes*) : > "$TMPDIR/one.whl"; read code < answer; exit $code;;
esac
"""
"""A Python whose pip fetches one package, and ends with the code that it is given meanwhile."""


@pytest.mark.parametrize("code", [0, 3])
def test_installing_says_how_far_it_is(tmp_path: Path, code: int) -> None:
    """While pip says nothing lines tell what it has fetched and installed; where it fails, so does make."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    there = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "pip.dist-info"
    there.mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PIP)
    python.chmod(0o755)
    os.mkfifo(tmp_path / "answer")
    words = ["make", "--no-print-directory", ".venv/installed", "PATIENCE=0.1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as make:
        assert make.stdout is not None
        first, second = make.stdout.readline(), make.stdout.readline()
        assert (tmp_path / ".venv" / "fetched").is_dir()
        (tmp_path / "answer").write_text(f"{code}\n")
        rest = make.stdout.read()
    total = re.fullmatch(r"installing (\d+) packages into \.venv\n", first)
    assert total
    assert re.fullmatch(rf"  fetched [01] of {total[1]}, installed 1\n", second)
    assert (make.returncode == 0) == (code == 0)
    assert (tmp_path / ".venv" / "installed").exists() == (code == 0)
    assert ("patrol is in .venv" in rest) == (code == 0)
