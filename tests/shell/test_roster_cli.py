"""`patrol roster import` from end to end: workbooks and CSV in, files and Kafka out, killed and run again."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import dataclasses
import json
import re
import uuid
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import openpyxl  # type: ignore[import-untyped]
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream import topics
from stream.cli import patrol
from stream.core.calendar import parse_time
from stream.core.events import decode_duties, decode_states
from stream.core.slices import newest
from stream.embedded import free_port
from stream.files.foreign import tables
from stream.files.roster.importing import bring_in, into_files
from stream.files.roster.mapping import (
    DeviceColumns,
    IdDigits,
    PieceColumns,
    RosterColumns,
    RosterMapping,
    RowReading,
    TimeReading,
    mapping_text,
    parse_mapping,
)
from stream.files.roster.record import (
    DUTIES_FILE,
    IMPORTS_FILE,
    PENDING_FILE,
    RosterParcel,
    locked,
    read_record,
)
from stream.files.roster.rows import choose, read_rows
from stream.pipeline.failures import exit_code, told
from tests.rosters import edited, local, rosters, written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stream.core.facts import Duty
    from stream.embedded import EmbeddedBroker
    from stream.files.foreign import Cell

DOCUMENT = Path(__file__).resolve().parents[2] / "deploy" / "roster.md"
PATIENCE_S = 30.0
NOW = 1_795_600_000_000_000


def run(*words: str | Path, code: int = 0, environment: dict[str, str] | None = None) -> str:
    """Runs a command in this process; gives what it said, and checks the exit code."""
    given = {"PATROL_KAFKA": None, "PATROL_TOPIC_PREFIX": None, **(environment or {})}
    done = CliRunner().invoke(patrol, [str(word) for word in words], env=given, standalone_mode=False)
    error, said = done.exception, done.output
    if isinstance(error, click.ClickException):
        ended, said = 2, said + error.format_message()
    elif error is not None:
        found = exit_code(error)
        if found is None:
            raise error
        ended, said = found, said + told(error)
    else:
        ended = done.return_value or 0
    assert ended == code, said
    return said


def duties_in(folder: Path) -> list[Duty]:
    """The newest revisions in a folder, by id."""
    found, _, bad = decode_duties((folder / DUTIES_FILE).read_bytes().splitlines())
    assert not bad
    return newest(found)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def workbook(path: Path, head: Sequence[Cell], rows: list[list[Cell]], above: int = 0) -> Path:
    """A workbook as a duty system exports it: a title above, a total below, days and times typed."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for _ in range(above):
        sheet.append(["Duties of the week"])
    for row in [head, *rows]:
        sheet.append([*row])
    book.create_sheet("Notes").append(["printed", "by"])
    book.save(path)
    book.close()
    return path


HEAD = ["Collar", "Team", "Date", "On", "Off", "Radio", "Status"]
MAP = """
[columns]
officer_id = "Collar"
team = "Team"
date = "Date"
start = "On"
end = "Off"
cancelled = "Status"
[devices]
radio = "Radio"
[teams]
NC04 = "E05001784"
[rows]
cancelled = "Cancelled"
"""


def week(*, end: time = time(17), more: bool = True) -> list[list[Cell]]:
    """Rows of a made-up week."""
    rows: list[list[Cell]] = [
        ["0101", "NC04", date(2026, 11, 23), time(7), end, 2345678, "Planned"],
        ["0102", "NC04", date(2026, 11, 23), time(22), time(7), 2345679, "Planned"],
    ]
    if more:
        rows.append(["0103", "NC04", date(2026, 11, 24), time(7), time(15), 2345680, "Planned"])
    return rows


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    """A mapping as a file."""
    path = tmp_path / "map.toml"
    path.write_text(MAP)
    return path


# --- Into files -------------------------------------------------------------------------------------------


def test_a_workbook_becomes_the_duties_of_an_account(tmp_path: Path, mapped: Path) -> None:
    """A made-up workbook is imported, and `patrol account` counts its duties as if they came otherwise."""
    shift = tmp_path / "shift"
    run("simulate", "--officers", "4", "--hours", "1", "--quality", "perfect", "--out", shift)
    booked = duties_in(shift)
    areas = {f"T{at}": duty.patch for at, duty in enumerate(booked)}
    rows: list[list[Cell]] = []
    for team, duty in zip(areas, booked, strict=True):
        start, end = local(duty.start), local(duty.end or 0)
        radios = [item.device_id for item in duty.devices if item.kind == "radio"]
        rows.append(
            [duty.officer_id, team, start.date(), start.time(), end.time(), int(radios[0]), "Planned"]
        )
    table = "".join(f"{team} = {json.dumps(patch)}\n" for team, patch in areas.items())
    mapped.write_text(MAP.replace('NC04 = "E05001784"\n', table))
    made = tmp_path / "made"
    said = run(
        "roster", "import", workbook(tmp_path / "w.xlsx", HEAD, rows, above=3), "--map", mapped, "--out", made
    )
    assert "new 4" in said
    files = ("--areas", shift / "areas.geojson", "--positions", shift / "positions.jsonl")
    figures = []
    for folder in (shift, made):
        run("account", *files, "--duties", folder / DUTIES_FILE, "--out", folder / "out")
        with (folder / "out" / "shares.csv").open(newline="") as file:
            figures.append(list(csv.DictReader(file)))
    assert [row["id"] for row in figures[0]] == [row["id"] for row in figures[1]]
    # Vehicles were left out of the workbook: what the radios heard is all there is.
    assert all(float(row["duty_s"]) > 0 for row in figures[1])
    assert [row["duty_s"] for row in figures[0]] == [row["duty_s"] for row in figures[1]]


def test_cancelled_duties_that_the_mapping_leaves_out_stop_the_import(tmp_path: Path, mapped: Path) -> None:
    """A word for cancelled in a column that is not read ends with exit 2 and one line, and writes nothing."""
    rows = week()
    rows[1][6] = "CANX"
    file, out = workbook(tmp_path / "w.xlsx", HEAD, rows), tmp_path / "out"
    mapped.write_text(
        MAP.replace('cancelled = "Status"\n', "").replace('[rows]\ncancelled = "Cancelled"\n', "")
    )
    said = run("roster", "import", file, "--map", mapped, "--out", out, code=2)
    assert "the column 'Status' holds 'CANX'" in said
    assert said.count("\n") == 0
    assert not out.exists()
    mapped.write_text(f'{mapped.read_text()}[rows]\nignore = "Status"\n')
    said = run("roster", "import", file, "--map", mapped, "--out", out)
    assert said.count("note: columns that are not read: Status\n") == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    broken=st.lists(
        st.sampled_from(["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"]),
        min_size=1,
        max_size=4,
    ),
    column=st.sampled_from([0, 4, 5]),
)
def test_an_error_of_the_spreadsheet_is_never_read_as_blank(
    tmp_path: Path, mapped: Path, broken: list[str], column: int
) -> None:
    """A row of a workbook whose officer, end or radio is #N/A or its like is refused by number and told."""
    rows: list[list[Cell]] = [
        [f"01{at:02d}", "NC04", date(2026, 11, 23), time(7), time(15), "2345678", "Planned"]
        for at in range(5)
    ]
    for row, text in zip(rows, broken, strict=False):
        row[column] = text
    file = workbook(tmp_path / "w.xlsx", HEAD, rows)
    said = run("roster", "import", file, "--map", mapped, "--dry-run", code=1)
    assert f"new {5 - len(broken)}, rows refused {len(broken)}" in said
    for number, text in enumerate(broken, 2):
        [line] = [line for line in said.splitlines() if f"refused: row {number}: " in line]
        assert text in line


def test_what_an_import_loses_is_told(tmp_path: Path, mapped: Path) -> None:
    """Duties without devices, ids that are numbers, rows passed over with their numbers: all are told, and
    the doctor counts the same rows.
    """
    rows: list[list[Cell]] = [*week(), ["0104", "NC04", date(2026, 11, 24), "RD", "", "", ""], ["Total", 4]]
    file = workbook(tmp_path / "w.xlsx", HEAD, rows, above=2)
    mapped.write_text(MAP.replace("[rows]", '[rows]\nskip = "RD"'))
    said = run("roster", "import", file, "--map", mapped, "--dry-run")
    assert "note: radios that are numbers in the workbook: leading zeros" in said
    assert "[digits] radio says how many digits they have: 3\n" in said
    assert "note: passed over: row 7 ('RD' is in rows.skip)\n" in said
    assert "note: left out, as not of the table: row 8 (a total)\n" in said
    [import_rows] = re.findall(r": (\d+) rows,", said.splitlines()[0])
    doctor = run("doctor", file, "--map", mapped)
    assert doctor.splitlines()[0].endswith(f"; {import_rows} rows")
    assert json.loads(run("roster", "import", file, "--map", mapped, "--dry-run", "--json"))["passed"] == [
        {"row": 7, "why": "'RD' is in rows.skip"}
    ]
    mapped.write_text(mapped.read_text().replace('radio = "Radio"\n', ""))
    said = run("roster", "import", file, "--map", mapped, "--dry-run")
    assert "note: duties without a radio or vehicle, for which no position can count: 3\n" in said


def test_the_same_file_twice_writes_nothing(tmp_path: Path, mapped: Path) -> None:
    """Imported a second time, a file leaves the folder as it was, byte for byte."""
    file, out = workbook(tmp_path / "w.xlsx", HEAD, week()), tmp_path / "out"
    run("roster", "import", file, "--map", mapped, "--out", out)
    before = contents(out)
    assert "unchanged 3" in run("roster", "import", file, "--map", mapped, "--out", out)
    assert contents(out) == before


def test_a_dry_run_shows_old_and_new_and_changes_nothing(tmp_path: Path, mapped: Path) -> None:
    """--dry-run tells what is new, changed (old → new) and vanished, and leaves the folder as it was."""
    out = tmp_path / "out"
    run("roster", "import", workbook(tmp_path / "a.xlsx", HEAD, week()), "--map", mapped, "--out", out)
    before = contents(out)
    rows: list[list[Cell]] = [
        *week(end=time(19), more=False),
        ["0104", "NC04", date(2026, 11, 24), "late", "", "", ""],
    ]
    later = workbook(tmp_path / "b.xlsx", HEAD, rows)
    said = run("roster", "import", later, "--map", mapped, "--out", out, "--dry-run", code=1)
    assert (
        "changed: 0101-20261123-1, officer 0101, revision 2: end 2026-11-23 17:00 → 2026-11-23 19:00" in said
    )
    assert "vanished: 0103-20261124-1, officer 0103, 2026-11-24 07:00 to 2026-11-24 15:00" in said
    assert "refused: row 4: bad_time: 'late' is no date or time" in said
    assert "would write 1 booking or state" in said
    assert contents(out) == before
    assert not (tmp_path / "nowhere").exists()
    run("roster", "import", later, "--map", mapped, "--out", tmp_path / "nowhere", "--dry-run", code=1)
    assert not (tmp_path / "nowhere").exists()


def test_what_vanished_is_asked_about_and_never_cancelled_silently(tmp_path: Path, mapped: Path) -> None:
    """A duty that is missing exits 1 and stays; --vanished keep exits 0 and keeps it; cancel cancels it."""
    out = tmp_path / "out"
    run("roster", "import", workbook(tmp_path / "a.xlsx", HEAD, week()), "--map", mapped, "--out", out)
    words = ("roster", "import", workbook(tmp_path / "b.xlsx", HEAD, week(more=False)), "--map", mapped)
    days = ("--to", "2026-11-24")
    assert "vanished:" not in run(*words, "--out", out)  # the file's own last day is the day before
    said = run(*words, "--out", out, *days, code=1)
    assert "1 fact imported before and not in this file: say --vanished keep, or --vanished cancel" in said
    run(*words, "--out", out, *days, "--vanished", "keep")
    assert [duty.cancelled for duty in duties_in(out)] == [False, False, False]
    run(*words, "--out", out, *days, "--vanished", "cancel")
    assert [(duty.revision, duty.cancelled) for duty in duties_in(out)] == [(1, False), (1, False), (2, True)]
    run(*words, "--out", out, *days)


def test_states_come_as_a_file_of_their_own(tmp_path: Path) -> None:
    """A CSV of states in Windows' encoding with semicolons goes beside the duties."""
    (tmp_path / "s.csv").write_bytes(
        "Collar;When;Status\r\n0101;23/11/2026 12:00;Code 4\r\n0101;23/11/2026 12:45;Café\r\n".encode(
            "cp1252"
        )
    )
    (tmp_path / "map.toml").write_text(
        '[columns]\nofficer_id = "Collar"\ntime = "When"\nstate = "Status"\n[states]\n"café" = 4\n'
    )
    run("roster", "import", tmp_path / "s.csv", "--map", tmp_path / "map.toml", "--out", tmp_path / "out")
    found, _, bad = decode_states((tmp_path / "out" / "states.jsonl").read_bytes().splitlines())
    assert not bad
    assert [state.state for state in found] == [4, 4]


def test_a_grid_of_days_is_read_from_a_workbook(tmp_path: Path) -> None:
    """A workbook with a typed day above each column of shift codes is imported by the row of its header."""
    head: list[Cell] = ["Collar", "Team", *(date(2026, 11, day) for day in range(23, 30))]
    rows: list[list[Cell]] = [
        ["0101", "NC04", "E", "E", "RD", "N", "N", "RD", "RD"],
        ["0102", "NC04", "RD", "RD", "0900-1300", "E", "", "N", "N"],
    ]
    file = workbook(tmp_path / "grid.xlsx", head, rows, above=2)
    (tmp_path / "map.toml").write_text(
        '[columns]\nofficer_id = "Collar"\nteam = "Team"\n[time]\nformat = "%d/%m/%Y"\n[rows]\ngrid = true\n'
        'header = 3\n[teams]\nNC04 = "E05001784"\n[shifts]\nE = "0700-1500"\nN = "2200-0700"\nRD = []\n'
    )
    said = run("roster", "import", file, "--map", tmp_path / "map.toml", "--out", tmp_path / "out")
    assert "Mon 23 Nov 2026 to Sun 29 Nov 2026" in said
    assert [duty.duty_id for duty in duties_in(tmp_path / "out")] == [
        *(f"0101-202611{day}-1" for day in (23, 24, 26, 27)),
        *(f"0102-202611{day}-1" for day in (25, 26, 28, 29)),
    ]


def test_columns_with_our_own_names_need_no_mapping(tmp_path: Path) -> None:
    """A CSV file with the topics' own names is imported as it is; any other says how a mapping is made."""
    own = tmp_path / "own.csv"
    own.write_text(
        "duty_id,officer_id,start,end,patch,radio\n"
        "D1,1001,2026-11-23T07:00:00Z,2026-11-23T17:00:00Z,E1;E2,2345678\n"
    )
    run("roster", "import", own, "--out", tmp_path / "out")
    [duty] = duties_in(tmp_path / "out")
    assert (duty.duty_id, duty.patch, duty.devices[0].device_id) == ("D1", ("E1", "E2"), "2345678")
    other = tmp_path / "other.csv"
    other.write_text("Collar,On,Off\n1,0700,1500\n")
    said = run("roster", "import", other, "--out", tmp_path / "out", code=2)
    assert "a mapping is needed for --map: 'patrol doctor FILE --write-map MAP.toml' drafts one" in said
    booked = tmp_path / "duties.jsonl"
    booked.write_text('{"officer_id": "1", "start": "x", "end": "y", "devices": [{}]}\n')
    said = run("roster", "import", booked, "--out", tmp_path / "out", code=2)
    assert "duties.jsonl is in the form of the topic already: 'patrol replay FILE" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "say where what was sent is kept"),
        (
            ("--out", "a", "--record", "b"),
            "--record is for Kafka; with --out that folder is the record itself",
        ),
        (("--out", "a", "--from", "23/11/2026"), "'23/11/2026' is no day: write it like 2026-11-23"),
        (("--record", "a"), "PATROL_KAFKA is not set"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, mapped: Path, words: tuple[str, ...], complaint: str) -> None:
    """Options that are missing or contradict each other are told, with exit code 2."""
    file = workbook(tmp_path / "w.xlsx", HEAD, week())
    with contextlib.chdir(tmp_path):
        assert complaint in run("roster", "import", file, "--map", mapped, *words, code=2)


def test_finishing_an_import_twice_changes_nothing(tmp_path: Path, mapped: Path) -> None:
    """Killed between recording and its end, an import is finished by the next, and no line is there twice."""
    out = tmp_path / "out"
    words = ("roster", "import", workbook(tmp_path / "w.xlsx", HEAD, week()), "--map", mapped, "--out", out)
    run(*words)
    whole = contents(out)
    record = read_record(out, "files")
    parcel = RosterParcel(
        tuple((duty.officer_id, line) for duty, line in zip(duties_in(out), _lines(out), strict=True)),
        (),
        whole[IMPORTS_FILE].strip(),
    )
    record.begin(parcel)
    assert "an import was interrupted: its 3 messages are sent first" in run(*words)
    assert contents(out) == whole


def _lines(folder: Path) -> list[bytes]:
    return (folder / DUTIES_FILE).read_bytes().splitlines()


def test_without_patches_only_a_dry_run_is_made(tmp_path: Path, mapped: Path) -> None:
    """A mapping that does not say whose patch is which sends nothing: no duty would have a share."""
    mapped.write_text(MAP.replace('[teams]\nNC04 = "E05001784"\n', ""))
    words = ("roster", "import", workbook(tmp_path / "w.xlsx", HEAD, week()), "--map", mapped)
    assert "note: nothing says whose patch is which" in run(*words, "--dry-run")
    assert "fill in [teams]" in run(*words, "--out", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_taken_for_a_record(tmp_path: Path, mapped: Path) -> None:
    """Duties that no import wrote, and a record of another target, are refused and left alone."""
    file, out = workbook(tmp_path / "w.xlsx", HEAD, week()), tmp_path / "out"
    out.mkdir()
    (out / DUTIES_FILE).write_bytes(b"{}\n")
    said = run("roster", "import", file, "--map", mapped, "--out", out, code=2)
    assert "was not written by an import: name another folder" in said
    assert contents(out) == {DUTIES_FILE: b"{}\n"}
    run("roster", "import", file, "--map", mapped, "--out", tmp_path / "b")
    said = run("roster", "import", file, "--map", mapped, "--record", tmp_path / "b", "--dry-run", code=2)
    assert "is the record of what went to files, and this would go to Kafka" in said


@pytest.mark.parametrize("name", ["duties.jsonl", "imports.jsonl", "pending.jsonl"])
@pytest.mark.parametrize("left", [None, 0, -30])
def test_a_record_of_which_something_is_gone_is_refused(
    name: str, left: int | None, tmp_path: Path, mapped: Path
) -> None:
    """Where less is there than was sent, or half a line, nothing is sent under revisions that were sent."""
    file, folder = workbook(tmp_path / "w.xlsx", HEAD, week()), tmp_path / "out"
    run("roster", "import", file, "--map", mapped, "--out", folder)
    path = folder / name
    if name == "pending.jsonl":
        path.write_bytes(b'{"file": "duties.jsonl", "officer_id": "1001", "event": {"half": "a line"')
    elif left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:left])
    before = contents(folder)
    said = run("roster", "import", file, "--map", mapped, "--out", folder, code=2)
    assert "restore the folder from a backup" in said or "name another folder" in said
    assert contents(folder) == before


def test_two_imports_at_once_are_not_let(tmp_path: Path, mapped: Path) -> None:
    """While one import holds a record, another ends at once and says so."""
    file, out = workbook(tmp_path / "w.xlsx", HEAD, week()), tmp_path / "out"
    with locked(out):
        said = run("roster", "import", file, "--map", mapped, "--out", out, code=2)
    assert "another import is at work on" in said
    run("roster", "import", file, "--map", mapped, "--out", out)


def test_the_answer_as_json_has_everything(tmp_path: Path, mapped: Path) -> None:
    """--json gives counts, bookings as on the topic, and refused rows by number and reason."""
    rows: list[list[Cell]] = [*week(), ["0104", "NC99", date(2026, 11, 24), time(7), time(15), "", ""]]
    file = workbook(tmp_path / "w.xlsx", HEAD, rows)
    said = run("roster", "import", file, "--map", mapped, "--dry-run", "--json", code=1)
    answer: dict[str, Any] = json.loads(said.partition("\npatrol:")[0])
    assert answer["covers"] == {"first": "2026-11-23", "last": "2026-11-24", "teams": ["NC04"]}
    assert [duty["duty_id"] for duty in answer["new"]] == [
        "0101-20261123-1",
        "0102-20261123-1",
        "0103-20261124-1",
    ]
    assert [(row["row"], row["reason"]) for row in answer["refused"]] == [(5, "unknown_team")]


# --- Real files in random manners ---------------------------------------------------------------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data(), st.booleans(), st.sampled_from(["xlsx", "csv", "semicolons"]))
def test_rosters_in_real_files_come_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, ids: bool, form: str
) -> None:
    """Workbooks and CSV files written in random manners come back exactly, and so do edits."""
    folder = tmp_path_factory.mktemp("roster")
    duties = data.draw(rosters(ids=ids))
    assert brought(folder, data, duties, ids=ids, form=form) == {duty.duty_id: duty for duty in duties}
    before = contents(folder / "record")
    brought(folder, data, duties, ids=ids, form=form)
    assert contents(folder / "record") == before
    now = data.draw(edited(duties, ids=ids))
    found = brought(folder, data, now.duties, ids=ids, form=form)
    assert {name: duty for name, duty in found.items() if name not in now.gone} == {
        duty.duty_id: duty for duty in now.duties
    }


def brought(
    folder: Path, data: st.DataObject, duties: list[Duty], *, ids: bool, form: str
) -> dict[str, Duty]:
    """Writes a roster as a file in a random manner, imports it, and gives what the record then has."""
    sheet = data.draw(written(duties, ids=ids, typed=None if form == "xlsx" else False))
    path = folder / f"roster.{form}"
    if form == "xlsx":
        workbook(path, sheet.columns, sheet.rows)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=";" if form == "semicolons" else ",")
            writer.writerows([sheet.columns, *sheet.rows])
    table, mapping = choose(tables(path), sheet.mapping)
    with locked(folder / "record"):
        record = read_record(folder / "record", "files")
        done = bring_in(
            read_rows(table, mapping), mapping, record, into_files, name=path.name, sha256="", time=NOW
        )
    assert [row.detail for row in done.changes.refused] == []
    known = read_record(folder / "record", "files").duties
    assert known == record.duties
    return {name: dataclasses.replace(duty, revision=0) for name, duty in known.items()}


# --- Onto Kafka ---------------------------------------------------------------------------------------------

PARTITIONS = 2


def prefixed(bootstrap: str) -> str:
    """Topics under a prefix of the test's own."""
    prefix = f"{uuid.uuid4().hex[:8]}."
    asyncio.run(topics.ensure_topics(bootstrap, topics.specs(prefix, partitions=PARTITIONS)))
    return prefix


def arrived(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """The values on a topic, as many as are waited for and no more."""

    async def read() -> list[bytes]:
        parts = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        found: list[bytes] = []
        async with consumer, asyncio.timeout(PATIENCE_S):
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record.value for record in records]
            assert not await consumer.getmany(timeout_ms=200)
        return found

    return asyncio.run(read())


def test_an_import_goes_onto_kafka_once(
    embedded_broker: EmbeddedBroker, tmp_path: Path, mapped: Path
) -> None:
    """Bookings arrive on the topic under the prefix; again nothing is sent; a change is one new revision."""
    bootstrap = embedded_broker.bootstrap
    prefix = prefixed(bootstrap)
    set_up = {"PATROL_KAFKA": bootstrap, "PATROL_TOPIC_PREFIX": prefix}
    words = ("--map", mapped, "--record", tmp_path / "record")
    first = workbook(tmp_path / "a.xlsx", HEAD, week())
    assert "sent 3 bookings and states" in run("roster", "import", first, *words, environment=set_up)
    assert "sent 0 bookings and states" in run("roster", "import", first, *words, environment=set_up)
    second = workbook(tmp_path / "b.xlsx", HEAD, week(end=time(19)))
    assert "sent 1 booking or state" in run("roster", "import", second, *words, environment=set_up)
    found, _, bad = decode_duties(arrived(bootstrap, prefix + topics.DUTY_BOOKINGS, 4))
    assert not bad
    assert newest(found) == duties_in(tmp_path / "record")
    assert [duty.revision for duty in newest(found)] == [2, 1, 1]


def test_states_go_onto_their_own_topic(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    """States arrive on the topic of states, once, in an order that each officer's keys keep."""
    bootstrap = embedded_broker.bootstrap
    prefix = prefixed(bootstrap)
    (tmp_path / "s.csv").write_text(
        "officer_id,date,time,state\n0102,23/11/2026,0800,2\n0101,23/11/2026,1200,04\n0101,23/11/2026,1245,2\n"
    )
    words = ("roster", "import", tmp_path / "s.csv", "--record", tmp_path / "record")
    for expected in ("sent 3 bookings and states", "sent 0 bookings and states"):
        said = run(*words, environment={"PATROL_KAFKA": bootstrap, "PATROL_TOPIC_PREFIX": prefix})
        assert expected in said
    found, _, bad = decode_states(arrived(bootstrap, prefix + topics.DUTY_STATES, 3))
    assert not bad
    assert [(item.time, item.state) for item in found if item.officer_id == "0101"] == [
        (parse_time("2026-11-23T12:00:00Z"), 4),
        (parse_time("2026-11-23T12:45:00Z"), 2),
    ]


def test_a_broker_that_is_away_exits_3_and_records_nothing(
    embedded_broker: EmbeddedBroker, tmp_path: Path, mapped: Path
) -> None:
    """Without a broker nothing is recorded, and the same command does it all when there is one."""
    file, record = workbook(tmp_path / "w.xlsx", HEAD, week()), tmp_path / "record"
    words = ("roster", "import", file, "--map", mapped, "--record", record)
    said = run(*words, code=3, environment={"PATROL_KAFKA": f"127.0.0.1:{free_port()}"})
    assert "Kafka cannot be reached" in said
    assert contents(record) == {}
    prefix = prefixed(embedded_broker.bootstrap)
    run(*words, environment={"PATROL_KAFKA": embedded_broker.bootstrap, "PATROL_TOPIC_PREFIX": prefix})
    assert len(arrived(embedded_broker.bootstrap, prefix + topics.DUTY_BOOKINGS, 3)) == 3


def test_a_topic_that_is_not_there_is_named(
    embedded_broker: EmbeddedBroker, tmp_path: Path, mapped: Path
) -> None:
    """Without its topics an import ends with exit code 2 and the command that makes them."""
    said = run(
        *("roster", "import", workbook(tmp_path / "w.xlsx", HEAD, week()), "--map", mapped),
        *("--record", tmp_path / "record"),
        code=2,
        environment={"PATROL_KAFKA": embedded_broker.bootstrap, "PATROL_TOPIC_PREFIX": "nobody."},
    )
    assert "Kafka has no topic nobody.duty.bookings: run 'patrol init'" in said


class _KilledError(Exception):
    """Stands for the end of the process."""


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_an_import_killed_anywhere_is_completed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Killed at any moment and run again, with a newer file too, no revision has two contents."""
    folder = tmp_path_factory.mktemp("killed") / "record"
    duties = data.draw(rosters(ids=True))
    sent: list[bytes] = []

    def work(now: list[Duty], kill: str) -> None:
        sheet = data.draw(written(now, ids=True))

        def deliver(parcel: RosterParcel, begin: Callable[[], None]) -> None:
            if kill == "unreached":
                raise _KilledError
            begin()
            values = [value for _, value in parcel.duties]
            some = data.draw(st.integers(0, len(values))) if kill == "sending" else len(values)
            sent.extend(values[:some])
            if kill in {"sending", "sent"}:
                raise _KilledError

        with locked(folder):
            bring_in(
                read_rows(sheet.table(), sheet.mapping),
                sheet.mapping,
                read_record(folder, "Kafka"),
                deliver,
                name="roster",
                sha256="",
                time=NOW,
            )

    for _ in range(data.draw(st.integers(1, 3))):
        with contextlib.suppress(_KilledError):
            work(duties, data.draw(st.sampled_from(["", "unreached", "sending", "sent"])))
        if data.draw(st.booleans()):
            duties = data.draw(edited(duties, ids=True)).duties
    work(duties, "")
    received, _, bad = decode_duties(sent)
    assert not bad
    contents_of: dict[tuple[str, int], Duty] = {}
    for duty in received:
        assert contents_of.setdefault((duty.duty_id, duty.revision), duty) == duty
    counted = {duty.duty_id: duty for duty in newest(received)}
    record = read_record(folder, "Kafka")
    assert counted == record.duties
    assert not record.pending
    assert not (folder / PENDING_FILE).exists()
    for duty in duties:
        assert dataclasses.replace(counted[duty.duty_id], revision=0) == duty
    work(duties, "unreached")  # nothing to be sent, so nobody is asked


# --- The document -------------------------------------------------------------------------------------------

SAMPLE = RosterMapping(
    columns=RosterColumns(
        officer_id=("Collar",),
        name=("Rank", "Surname"),
        role=("Role",),
        team=("Team",),
        date=("Date",),
        start=("On",),
        end=("Off",),
        cancelled=("Status",),
    ),
    devices=DeviceColumns(radio=("Radio",), vehicle=("Vehicle",), remove=(" ",)),
    teams={"NC04": ("E05001784",), "RT1": ()},
    roles={"Neighbourhood": "npt", "PCSO": "pcso", "Response": "response"},
    rows=RowReading(skip=("Rest day",), cancelled=("Cancelled",)),
    digits=IdDigits(officer_id=4),
)
COMMENTS = {
    "": "Our field = their column. What is not named is not read.",
    "columns.name": "Several columns are joined.",
    "columns.date": "The day of the start. An end before the start is on the next day.",
    "devices.remove": "FX12 ABC in the roster is FX12ABC in the tracker's reports.",
    "teams": "Their code = the neighbourhoods of its patch; none for a team without a patch.",
    "rows.skip": "Rows with such a cell are no duties.",
    "digits": "Spreadsheets drop leading zeros: 101 is 0101.",
}


def blocks(language: str) -> list[str]:
    """The blocks of the document in a language."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_mapping_shown_is_what_is_written() -> None:
    """The document's mapping is the one that the writer of mappings makes, comments too, and is read back."""
    [shown] = blocks("toml")
    assert shown == mapping_text(SAMPLE, COMMENTS)
    assert parse_mapping(shown) == SAMPLE


def test_the_import_shown_prints_what_is_shown(tmp_path: Path) -> None:
    """The document's roster and mapping, given to its command, print the lines that follow."""
    (tmp_path / "week47.csv").write_text(blocks("csv")[0])
    (tmp_path / "roster.toml").write_text(blocks("toml")[0])
    with contextlib.chdir(tmp_path):
        said = run(
            "roster", "import", "week47.csv", "--map", "roster.toml", "--out", "imported", "--dry-run", code=1
        )
    assert said == blocks("text")[0]


def test_the_document_names_every_key_and_reason() -> None:
    """Every key of a mapping and every reason for which a row is refused stands in the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", text))
    structs = {
        "columns": RosterColumns,
        "time": TimeReading,
        "devices": DeviceColumns,
        "rows": RowReading,
        "digits": IdDigits,
    }
    keys = {f"{table}.{key}" for table, struct in structs.items() for key in struct.__struct_fields__}
    missing = keys | {f"piece.{key}" for key in PieceColumns.__struct_fields__}
    missing |= {f"[{name}]" for name in ("teams", "roles", "states", "shifts")}
    sources = (Path(choose.__code__.co_filename).parent).glob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    reasons = set(re.findall(r'(?:RefusedRowError|RefusedRow)\(\s*(?:piece\.row, )?"(\w+)"', code))
    assert len(reasons) > 8
    assert (missing | reasons) - named == set()
