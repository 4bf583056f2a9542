"""``patrol report`` on a real database: files, publishing, and what it says to wrong use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from stream.cli import main, patrol
from stream.core.calendar import Period
from stream.core.summaries.model import decode, encode
from stream.pipeline.processes import command
from stream.reports.bundle import file_name
from stream.store.ledger import Ledger
from stream.store.reading.summaries import summaries
from stream.store.schema import connect, migrate
from tests.shell.stored import POLICIES, fill
from tests.worlds import wandering

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


WEEK = "2026-W48"
AFTER = "2026-11-30"
FORMATS = ("_2026-W48.html", "_2026-W48.pdf", "_2026-W48.xlsx", "_2026-W48_csv.zip")


@pytest.fixture
def dsn(database: str) -> str:
    """A database with a Monday morning of six officers."""
    with connect(database) as connection:
        migrate(connection)
        fill(connection, wandering(1))
    return database


@pytest.fixture(autouse=True)
def _environment(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATROL_DATABASE", dsn)


def report(*words: str) -> Result:
    """The command's answer; what it would end with otherwise comes as an exception."""
    return CliRunner().invoke(patrol, ["report", *words])


def weekly(folder: Path, *words: str) -> Result:
    """``patrol report weekly`` of the week, asked when it is over."""
    return report("weekly", "--week", WEEK, "--now", AFTER, "--out", str(folder), *words)


def contents(folder: Path) -> dict[str, bytes]:
    """Files by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_week_is_written_in_every_form_and_twice_the_same(tmp_path: Path) -> None:
    """HTML, PDF, XLSX and CSV; asked again, from another process too, byte for byte the same."""
    done = weekly(tmp_path / "a", "--area", "N1")
    assert done.exit_code == 0, done.output
    assert sorted(contents(tmp_path / "a")) == sorted(f"N1{name}" for name in FORMATS)
    assert "between 0.0% and 45.3%): missed" in done.output
    assert "Not published: counted now." in done.output
    assert weekly(tmp_path / "b", "--area", "N1").exit_code == 0
    subprocess.run(
        [
            *command("report", "weekly", "--week", WEEK, "--now", AFTER),
            *("--area", "N1", "--out", str(tmp_path / "c")),
        ],
        check=True,
        env={**os.environ, "TZ": "Asia/Tokyo"},
        stdout=subprocess.DEVNULL,
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_all_neighbourhoods_at_once_are_what_each_is_alone(tmp_path: Path) -> None:
    """Without --area every neighbourhood is written; by two processes, or one at a time, the same files."""
    done = weekly(tmp_path / "all", "--format", "csv,json", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert f"{WEEK}: 4 neighbourhoods: " in done.output
    for area in ("N0", "N1", "N2", "N3"):
        assert weekly(tmp_path / "each", "--area", area, "--format", "json,csv").exit_code == 0
    assert contents(tmp_path / "all") == contents(tmp_path / "each")


def test_no_two_neighbourhoods_share_a_file() -> None:
    """Whatever the ids are, their files' names differ, also where letters' case does not count."""
    odd = [
        "N1",
        "n1",
        "CON",
        "con",
        "a b/c",
        "a/b c",
        "Ελληνι",
        "اختبار",
        "../../x",
        "-2",
        ".x",
        "L" * 200,
        "",
    ]
    names = [file_name(area_id).casefold() for area_id in odd]
    assert len(set(names)) == len(odd)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,80}", name) for name in names)
    assert file_name("E05001784") == "E05001784"


def test_the_answer_as_json_names_the_files_and_the_figure(tmp_path: Path) -> None:
    """--json gives per neighbourhood the share, its bounds, the verdict and the files."""
    done = weekly(tmp_path, "--area", "N1", "--format", "json", "--json")
    [row] = json.loads(done.stdout)
    summary = decode((tmp_path / f"N1_{WEEK}.json").read_bytes())
    assert row == {
        "area_id": "N1",
        "name": "N1",
        "week": WEEK,
        "published": None,
        "verdict": summary.verdict,
        "share": summary.figures.share,
        "share_low": summary.figures.share_low,
        "share_high": summary.figures.share_high,
        "files": [str(tmp_path / f"N1_{WEEK}.json")],
    }


def test_one_neighbourhood_is_counted_as_among_all(dsn: str) -> None:
    """What is read for one neighbourhood gives the very summary that reading everything gives."""
    with connect(dsn) as connection:
        for period in (Period.week(WEEK), Period.month("2026-11")):
            for whole in summaries(connection, POLICIES, period, now=period.end):
                [alone] = summaries(connection, POLICIES, period, area_ids=[whole.area_id], now=period.end)
                assert encode(alone) == encode(whole)


def test_a_published_week_stands_until_facts_change_it(dsn: str, tmp_path: Path) -> None:
    """Published again it is unchanged; after later facts it gets number 2, and number 1 is kept as it was."""
    first = report("publish", "--week", WEEK, "--now", AFTER, "--by", "tester")
    assert (first.exit_code, "4 published" in first.output) == (0, True), first.output
    again = report("publish", "--week", WEEK, "--now", AFTER, "--by", "tester", "--json")
    assert json.loads(again.stdout) == {"week": WEEK, "written": [], "unchanged": 4}
    assert "Published as number 1" in weekly(tmp_path / "one", "--area", "N1", "--format", "json").output

    world = wandering(1)
    with connect(dsn) as connection:
        moved = [
            replace(duty, revision=9, end=duty.start + 60_000_000)
            for duty in world.duties
            if duty.patch == ("N1",)
        ][:1]
        Ledger(connection).bookings(moved, [])
    later = json.loads(report("publish", "--week", WEEK, "--now", AFTER, "--by", "tester", "--json").stdout)
    # In N2 a car was that had two officers until then: its crewing is another too.
    written = [{"area_id": name, "number": 2} for name in ("N1", "N2")]
    assert later == {"week": WEEK, "written": written, "unchanged": 2}
    for name, words in (("two", ()), ("kept", ("--number", "1")), ("fresh", ("--fresh",))):
        assert weekly(tmp_path / name, "--area", "N1", "--format", "json", *words).exit_code == 0
    one, two, kept, fresh = (contents(tmp_path / name) for name in ("one", "two", "kept", "fresh"))
    assert kept == one
    file = f"N1_{WEEK}.json"
    assert decode(two[file]).figures == decode(fresh[file]).figures != decode(one[file]).figures
    [change] = decode(two[file]).changes
    assert (change.cause, change.before, change.after) == (
        "duties",
        decode(one[file]).figures,
        decode(two[file]).figures,
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("weekly", "--week", "2026-47"), 2, "write it like 2026-W47"),
        (("weekly", "--week", "2026-W54"), 2, "there is no ISO week"),
        (("weekly", "--week", "2999-W01"), 2, "has not begun"),
        (("weekly", "--week", WEEK, "--format", "docx"), 2, "choose from html, pdf, xlsx, csv, json"),
        (("weekly", "--week", WEEK, "--now", AFTER, "--area", "N77"), 1, "there is no neighbourhood 'N77'"),
        (("weekly", "--week", WEEK, "--now", AFTER, "--number", "1"), 2, "no report is published"),
        (("weekly", "--week", WEEK, "--now", AFTER, "--number", "1", "--fresh"), 2, "not both"),
        (("publish", "--week", "2999-W01"), 2, "is not over"),
        (("publish", "--week", WEEK, "--now", AFTER, "--area", "N77"), 1, "there is no neighbourhood 'N77'"),
    ],
)
def test_wrong_use_is_answered_in_a_line(
    words: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A week that is none, an unknown format or neighbourhood, what is not published: and no file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["patrol", "report", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
