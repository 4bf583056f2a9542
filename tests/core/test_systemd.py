"""The units for plain servers: systemd takes them, and what they start may do little."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from stream.cli import patrol
from stream.settings import SETTINGS

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
MOST_EXPOSED = 15
"""Of systemd's own measure (0 to 100), for each service."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def text(name: str) -> str:
    return (FOLDER / name).read_text()


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_what_there_is(name: str) -> None:
    """Command, options and settings are ones that the program has, and each secret is a credential."""
    (line,) = re.findall(r"^ExecStart=/opt/patrol/bin/patrol (.+)$", text(name), re.MULTILINE)
    word, *options = line.split()
    own = [option for option in patrol.commands[word].params if isinstance(option, click.Option)]
    known = {opt for option in own for opt in option.opts}
    assert {option for option in options if option.startswith("--")} <= known
    credentials = set(re.findall(r"^LoadCredential=(\w+):/etc/patrol/credentials/", text(name), re.MULTILINE))
    used = set()
    for variable, value in re.findall(r"^Environment=PATROL_(\w+)=(.*)$", text(name), re.MULTILINE):
        assert variable.removesuffix("_FILE").lower() in {*SETTINGS, "config"}
        used |= set(re.findall(r"^%d/(\w+)$", value))
    assert used == credentials != set()


def test_the_target_wants_what_runs() -> None:
    """The target starts every service that goes on running, and stops it again."""
    wanted = set(re.findall(r"patrol-\w+\.service", text("patrol-all.target")))
    running = {name for name in UNITS if "\nType=exec\n" in text(name)}
    assert wanted == running
    for name in running:
        for needed in (
            "PartOf=patrol-all.target",
            "WantedBy=patrol-all.target",
            "Restart=always",
        ):
            assert f"\n{needed}\n" in text(name)


@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Systemd finds nothing to say of the units, once what they start is there."""
    for path in FOLDER.iterdir():
        if path.suffix in {".service", ".target"}:
            (tmp_path / path.name).write_text(path.read_text().replace("/opt/patrol/bin/patrol", "/bin/true"))
    units = [tmp_path / name for name in (*UNITS, "patrol-all.target")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "patrol" in line]
    assert said == []


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_what_a_unit_starts_may_do_little(name: str) -> None:
    """By systemd's own measure each service is hardly exposed."""
    words = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        f"--threshold={MOST_EXPOSED}",
        str(FOLDER / name),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
