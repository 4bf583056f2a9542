"""What the root README shows of the commands on files alone is what they print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from stream.cli import patrol
from stream.cli.demo import HOURS, SHIFT
from stream.core.calendar import parse_time
from stream.simulate import demo_force, simulate

if TYPE_CHECKING:
    import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def plain(text: str) -> str:
    """A text without the layout of its lines; a per cent sign may have a space before it or not."""
    return re.sub(r"\s+%", "%", " ".join(text.split()))


def test_the_commands_on_files_print_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The section on files alone, run from top to bottom, prints what it shows, line by line, to the end.

    Its blocks in sh are for files that are not there; whether their commands exist is tested with all others.
    """
    monkeypatch.chdir(tmp_path)
    section = (
        README.read_text(encoding="utf-8").partition("\n### From files alone\n")[2].partition("\n## ")[0]
    )
    printed, checked = "", 0
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        if language == "console":
            for line in body.splitlines():
                done = CliRunner().invoke(patrol, shlex.split(line)[2:])
                assert done.exit_code == 0, done.output
                printed += done.output
            continue
        if language == "sh":
            continue
        shown, said = (
            [plain(line) for line in text.splitlines() if line.strip()] for text in (body, printed)
        )
        assert said[-len(shown) :] == shown
        checked += len(shown)
        printed = ""
    assert checked > 15


def test_the_truth_shown_is_that_of_the_demonstration() -> None:
    """The truth in README.md's table is that of the demonstration's shift, and each difference adds up."""
    given: dict[str | None, Any] = {item.name: item.default for item in patrol.commands["demo"].params}
    force = demo_force(given["seed"])
    simulation = simulate(
        force,
        officers=given["officers"],
        start=parse_time(SHIFT),
        hours=HOURS,
        interval_s=300,  # the same people do the same, whatever is reported
        seed=given["seed"],
    )
    truth = simulation.truth()
    ids = {area.name: area.area_id for area in force.areas()}
    line = re.compile(
        r"^  (\S[\w ]+?) +([\d.]+)% +([\d.]+)%–([\d.]+)% +([\d.]+)% +([\d.]+) pt +", re.MULTILINE
    )
    shown = line.findall(README.read_text(encoding="utf-8"))
    assert len(shown) == 3
    for name, *numbers in shown:
        counted, low, high, true, off = map(float, numbers)
        rows = [
            at
            for at, duty in enumerate(simulation.duties)
            if duty.patch and (name == "the force" or ids[name] in duty.patch)
        ]
        assert true == round(truth.share(rows) * 100, 1), name
        assert low <= counted <= high
        assert abs(abs(counted - true) - off) < 0.15, name
