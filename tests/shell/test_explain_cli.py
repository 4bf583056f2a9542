"""``patrol explain`` and ``patrol teams`` as people type them, from files and from the database alike."""

from __future__ import annotations

import csv
import json
import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from stream.cli import patrol
from stream.core.calendar import moment, parse_time, rfc3339
from stream.core.explaining.parts import near_ids
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.policy import Policies
from stream.files.account import AccountError, read
from stream.simulate import demo_force, simulate, write
from stream.store.ledger import Ledger, Offset
from stream.store.schema import connect
from tests.shell.stored import counted, migrated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from stream.embedded import EmbeddedDatabase
    from stream.files.account import Facts

START = "2026-11-15T20:00:00Z"
"""A Sunday evening: the shift is divided at midnight and belongs to two weeks."""
UNTIL = "2026-11-16T00:30:00Z"


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated shift of twelve officers."""
    folder = tmp_path_factory.mktemp("shift")
    write(
        simulate(demo_force(1), officers=12, start=parse_time(START), hours=5.0, interval_s=20.0, seed=1),
        folder,
    )
    return folder


def files(shift: Path) -> list[str]:
    """The options that name the shift's files."""
    words = ["--areas", str(shift / "areas.geojson")]
    for name in ("positions", "duties", "states"):
        words += [f"--{name}", str(shift / f"{name}.jsonl")]
    return words


@pytest.fixture(scope="module")
def facts(shift: Path) -> Facts:
    """The shift as read from its files."""
    return read(
        [str(shift / "areas.geojson")],
        [shift / "positions.jsonl"],
        shift / "duties.jsonl",
        shift / "states.jsonl",
        Policies(),
    )


@pytest.fixture(scope="module")
def database(database_server: EmbeddedDatabase, facts: Facts) -> Iterator[str]:
    """A database that holds the shift."""
    with counted(database_server, "explained", facts) as dsn:
        yield dsn


def run(*words: str | Path, database: str = "") -> Result:
    """Runs the command in this process, with the database or none."""
    given = {name: None for name in os.environ if name.startswith("PATROL_")}
    return CliRunner().invoke(
        patrol,
        [str(word) for word in words],
        env={**given, "PATROL_DATABASE": database or None},
        catch_exceptions=False,
    )


def did(*words: str | Path, database: str = "") -> str:
    """Runs the command, which must succeed; gives what it printed."""
    done = run(*words, database=database)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def exact(text: str) -> int:
    """Seconds with six decimals as microseconds."""
    return int(Fraction(text) * SECOND)


WEEKS = ("2026-W46", "2026-W47")
SUMS = ("duty_s", "on_patch_s", "off_patch_s", "not_visible_s", "unknown_s", "break_s", "priority_s")


def test_every_figure_of_the_weeks_is_explained_exactly(shift: Path, database: str, tmp_path: Path) -> None:
    """For each figure in shares.csv `patrol explain` gives the same figure, and parts that sum to it."""
    did("account", *files(shift), "--by", "week", "--until", UNTIL, "--out", tmp_path / "all")
    shares = [row for row in rows(tmp_path / "all" / "shares.csv") if exact(row["duty_s"])]
    assert {row["scope"] for row in shares} == {"officer", "neighbourhood", "force"}
    starts = {
        rfc3339(parse_time(day)): week for day, week in (("2026-11-09", WEEKS[0]), ("2026-11-16", WEEKS[1]))
    }
    for row in shares:
        whose = ["--force"] if row["scope"] == "force" else [f"--{row['scope']}", row["id"]]
        words = ["explain", *whose, "--week", starts[row["from"]], "--until", UNTIL, "--json"]
        folder = tmp_path / "one"
        said = json.loads(did(*words, "--csv", folder, database=database).splitlines()[-1])
        assert {name: round(said[name] * SECOND) for name in SUMS} == {
            name: exact(row[name]) for name in SUMS
        }
        assert said["verdict"] == (row["verdict"] or None)
        total = dict.fromkeys(("on_patch", "off_patch", "not_visible", "unknown", "break"), 0)
        for part in rows(folder / "parts.csv"):
            total[part["activity"]] += exact(part["seconds"])
        assert {f"{name}_s": time for name, time in total.items()} == {
            f"{name}_s": exact(row[f"{name}_s"]) for name in total
        }
        items = rows(folder / "abstraction.csv")
        away = sum(exact(item["seconds"]) for item in items)
        assert away == exact(row["off_patch_s"]) + exact(row["not_visible_s"])


@pytest.mark.parametrize("period", [["--week", "2026-W46"], ["--day", "2026-11-16"]], ids=" ".join)
def test_files_and_database_tell_the_same(shift: Path, database: str, period: list[str]) -> None:
    """The explanation of the force, a neighbourhood and an officer is the same from files and database."""
    booked = [json.loads(line) for line in (shift / "duties.jsonl").read_text().splitlines()]
    duty = next(item for item in booked if item["patch"])
    for whose in (
        ["--force"],
        ["--neighbourhood", duty["patch"][0]],
        ["--officer", duty["officer_id"]],
    ):
        words = ["explain", *whose, *period, "--until", UNTIL, "--json"]
        one = json.loads(did(*words, *files(shift)))
        two = json.loads(did(*words, database=database))
        for said in (one, two):  # what the figure rests on is told in each's own way
            assert said["basis"].pop("boundaries")
            said["words"].pop("notes")
            said["basis"].pop("policy_from")
        assert one == two


def test_words_on_the_terminal(shift: Path, database: str) -> None:
    """Without --json there are sentences: whose, the verdict, the rest of the time, what it rests on."""
    said = did("explain", "--force", "--week", "2026-W46", database=database)
    lines = said.splitlines()
    assert lines[0] == "the force, week 2026-W46, Mon 9 Nov to Sun 15 Nov 2026"
    assert lines[1].startswith("On patch ")
    assert "The rest of the duty time:" in lines
    assert "Target 80%, under the policy in force." in lines
    assert any(line.startswith("Boundaries: neighbourhood version 1") for line in lines)
    assert any(line.startswith("Data as of ") for line in lines)
    assert "\x1b" not in said
    every = did("explain", "--force", "--week", "2026-W46", "--all", database=database)
    assert len(every.splitlines()) >= len(lines)
    assert "smaller items" not in every


def test_depth_cuts_the_tree(database: str) -> None:
    """--depth says how deep the tree of parts goes."""
    said = json.loads(
        did("explain", "--force", "--week", "2026-W46", "--json", "--depth", "where", database=database)
    )
    assert all("parts" not in item for part in said["parts"] for item in part["parts"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--officer", "no-one", "--week", "2026-W46"],
            "no duty is booked for officer no-one (cancelled ones aside)",
        ),
        (
            ["--neighbourhood", "E9", "--day", "2026-11-15"],
            "no duty of its own officers is booked for neighbourhood E9",
        ),
        (["--force", "--week", "2026-W01"], "duties begin on Sun 15 Nov 2026"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_nobody_on_duty_exits_1(shift: Path, database: str, words: list[str], complaint: str) -> None:
    """Where nobody was on duty the answer is no: exit 1, and a line that says what there is instead."""
    for source in ([], files(shift)):
        done = run("explain", *words, *source, database="" if source else database)
        assert done.exit_code == 1
        assert complaint in done.stderr
        assert done.stdout == ""


def test_files_of_another_kind_are_sent_where_they_belong(shift: Path, tmp_path: Path) -> None:
    """A workbook of bookings is sent to the import, and a kind of areas that is none is named with those
    that are.
    """
    book = tmp_path / "duties.xlsx"
    book.write_bytes(b"PK\x03\x04")
    given = files(shift)
    given[given.index("--duties") + 1] = str(book)
    with pytest.raises(AccountError, match=r"on to 'patrol roster import'") as refused:
        run("account", *given, "--out", tmp_path / "out")
    assert "duties.xlsx: not a form of tracks" in str(refused.value)
    assert "'patrol doctor'" in str(refused.value)
    given = files(shift)
    given[1] += ":beats"
    with pytest.raises(AccountError, match="'beats' is no kind of areas") as refused:
        run("account", *given, "--out", tmp_path / "out")
    assert "with neighbourhood or priority or premises" in str(refused.value)


def test_an_id_that_is_nearly_one_is_named(shift: Path, database: str, facts: Facts) -> None:
    """An officer's or neighbourhood's id without its zeros, or misspelt, is answered with the right one."""
    officer = facts.duties[0].officer_id
    area = next(duty.patch[0] for duty in facts.duties if duty.patch)
    for option, wanted, right in (
        ("--officer", f"0{officer}", officer),
        ("--neighbourhood", area.lower(), area),
        ("--neighbourhood", f"{area}x", area),
    ):
        for source in ([], files(shift)):
            done = run(
                "explain", option, wanted, "--week", "2026-W46", *source, database="" if source else database
            )
            assert done.exit_code == 1
            assert "Did you mean " in done.stderr
            assert right in done.stderr.partition("Did you mean ")[2]


@pytest.mark.parametrize(
    ("wanted", "known", "near"),
    [
        ("412", ["0412", "4120", "1412"], ("0412",)),
        ("LC1", ["LC01", "LC10", "LC11"], ("LC01",)),
        ("lc-01", ["LC01", "LC02"], ("LC01",)),
        ("9", ["0412"], ()),
    ],
)
def test_ids_without_their_zeros_are_near(wanted: str, known: list[str], near: tuple[str, ...]) -> None:
    """Ids that differ in zeros, case and dashes alone come before those that only look alike."""
    assert near_ids(wanted, known) == near


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["explain", "--week", "2026-W46"], "say whose figure"),
        (["explain", "--force", "--officer", "1", "--week", "2026-W46"], "say whose figure"),
        (["explain", "--force"], "give a period"),
        (["explain", "--force", "--week", "2026-W46", "--day", "2026-11-15"], "give a period"),
        (["explain", "--force", "--week", "46"], "'46' is not an ISO week"),
        (["explain", "--force", "--week", "2026-W54"], "week"),
        (["explain", "--force", "--day", "yesterday"], "yesterday"),
        (["explain", "--force", "--from", "2026-11-15"], "--from and --to go together"),
        (["explain", "--force", "--from", "2026-11-15", "--to", "2026-11-15"], "the period is empty"),
        (["explain", "--force", "--day", "2026-11-15", "--areas", "a.geojson"], "files need all three"),
        (["teams", "--duties", "pyproject.toml"], "pyproject.toml: not a form of tracks"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_says_what_to_write(words: list[str], complaint: str) -> None:
    """Used wrongly, the commands say what is missing or wrong."""
    done = CliRunner().invoke(patrol, words, env={"PATROL_DATABASE": "postgresql://127.0.0.1:1/x"})
    assert done.exit_code != 0
    assert complaint in done.stderr + str(done.exception)


def test_teams_from_files_and_database(shift: Path, database: str, tmp_path: Path) -> None:
    """Team facts are the same from a file of bookings and from the database, as table, JSON and CSV."""
    words = ["teams", "--as-of", UNTIL, "--from", "2026-01-01"]
    one = json.loads(did(*words, "--json", "--duties", shift / "duties.jsonl"))
    two = json.loads(did(*words, "--json", database=database))
    assert one == two
    assert {team["team"] for team in one["teams"]} == {item["team"] for item in one["officers"]}
    did(*words, "--csv", tmp_path, database=database)
    assert [row["team"] for row in rows(tmp_path / "teams.csv")] == [team["team"] for team in one["teams"]]
    assert [
        (row["officer_id"], row["team"], int(row["months"]), row["at_least"])
        for row in rows(tmp_path / "officers.csv")
    ] == [
        (item["officer_id"], item["team"], item["months"], "true" if item["at_least"] else "false")
        for item in one["officers"]
    ]
    team = one["teams"][0]["team"]
    said = did(*words, "--team", team, database=database)
    assert team in said
    assert all(name in said for name in one["teams"][0]["officers"])


def test_a_team_that_there_is_not_exits_1(shift: Path) -> None:
    """An unknown team, or a time before all bookings, is answered with no."""
    bookings = ("--duties", shift / "duties.jsonl")
    done = run("teams", "--team", "Night Watch", *bookings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no booking names the team Night Watch" in done.stderr
    done = run("teams", "--as-of", "2020-01-01", *bookings)
    assert done.exit_code == 1
    assert "no booking names a team before Wed 1 Jan 2020" in done.stderr


def test_a_database_without_positions_is_no_error(database_server: EmbeddedDatabase) -> None:
    """Without bookings the answer is no; booked and never heard, all time is unknown and says why."""
    asked = ("explain", "--force", "--week", "2026-W46")
    with migrated(database_server, "nothing_yet") as dsn:
        with connect(dsn) as connection:
            assert run(*asked, database=dsn).exit_code == 1
            assert run("teams", "--as-of", "2026-11-16", database=dsn).exit_code == 1
            start = parse_time(START)
            radio = (Allocation("R1", "radio"),)
            closed = Duty("D1", 1, "O1", start, start + 3600 * SECOND, ("E1",), radio)
            running = Duty("D2", 1, "O2", start, None, ("E1",), radio)
            Ledger(connection).bookings([closed, running], [], [Offset("duties", 0, "first", 1)])
        said = did(*asked, database=dsn)
        assert "No position known in any of the duty time, so no share: 1 h of duty time." in said
        assert "  1 h before any boundaries (O1; the longest O1 Sun 20:00–21:00)" in said.splitlines()
        assert json.loads(did(*asked, "--json", database=dsn))["unknown_s"] == 3600


def test_times_are_read_back(database: str) -> None:
    """Any period goes, with times of any offset."""
    words = ["--from", "2026-11-15T21:00:00+01:00", "--to", "2026-11-15T21:30:00Z"]
    said: dict[str, Any] = json.loads(did("explain", "--force", *words, "--json", database=database))
    assert said["from"] == "2026-11-15T20:00:00.000000Z"
    assert parse_time(said["to"]) - parse_time(said["from"]) == 90 * 60 * SECOND
    assert moment(parse_time(said["to"])).hour == 21
