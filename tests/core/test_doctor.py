"""The doctor: what it says of the files of a corpus, of random exports and of hostile files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import os
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from stream.cli.areas import areas
from stream.cli.doctor import doctor
from stream.cli.roster import roster
from stream.core.calendar import microseconds
from stream.core.events import UsableLimits
from stream.core.stays import distance_m
from stream.files.doctor.clocks import NUMBERS, ReadTime, form_of, read_clock
from stream.files.doctor.coordinates import angle_of, point_of
from stream.files.doctor.diagnosis import diagnose, parse_any_mapping
from stream.files.doctor.position_guess import speed_unit
from stream.files.doctor.position_map import (
    SPEEDS,
    MappedPosition,
    PositionColumns,
    PositionForm,
    PositionMapError,
    PositionMapping,
    PositionRows,
    map_positions,
    parse_position_map,
    position_map_text,
)
from stream.files.doctor.told import Diagnosis
from stream.files.foreign import tables
from stream.files.roster.mapping import RosterMapping
from stream.files.roster.rows import read_rows
from stream.files.tracks import read_fixes
from tests.doctor_corpus import (
    LONDON,
    Export,
    duties,
    fixes,
    position_exports,
    roster_exports,
    state_exports,
)
from tests.foreign_files import csv_bytes, xlsx_bytes, zip_bytes
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.files.foreign import ForeignTable
    from tests.doctor_corpus import TrueDuty, TrueFix

CORPUS = [*position_exports(), *roster_exports(), *state_exports()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a property's files go, one after the other."""
    return tmp_path_factory.mktemp("doctor")


def _put(folder: Path, export: Export) -> Path:
    path = folder / export.file
    path.write_bytes(export.content)
    return path


def _said(answers: list[Diagnosis]) -> str:
    return "\n".join(
        sentence for answer in answers for sentence in (*answer.faults, *answer.unsure, *answer.notes)
    )


def _agree(found: list[MappedPosition], truth: list[TrueFix], metres: float) -> None:
    """Positions found are the truth, each to so many metres and to the second."""
    found = sorted(found, key=lambda item: (item.device_id, item.time))
    truth = sorted(truth, key=lambda fix: (fix.device, fix.at))
    assert [item.device_id for item in found] == [fix.device for fix in truth]
    assert all(abs(item.time - microseconds(fix.at)) < 10_000 for item, fix in zip(found, truth, strict=True))
    off = distance_m(
        *(np.array([getattr(item, name) for item in found]) for name in ("lon", "lat")),
        *(np.array([getattr(fix, name) for fix in truth]) for name in ("lon", "lat")),
    )
    assert off.max() < metres
    told = [(item.speed_mps, fix.speed) for item, fix in zip(found, truth, strict=True)]
    assert all(math.isnan(mps) or abs(mps - true) < 0.5 for mps, true in told)


@pytest.mark.parametrize("export", CORPUS, ids=lambda export: export.name)
def test_an_export_is_understood(export: Export, tmp_path: Path) -> None:
    """What was written is what is understood, doubts are said, and the draft alone reads the file again."""
    path = _put(tmp_path, export)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    answers = diagnose(path)
    assert {answer.kind for answer in answers} == {export.kind}
    assert all(answer.as_is is export.as_is for answer in answers)
    said = _said(answers)
    for words in export.words:
        assert words in said
    for field, names in export.columns.items():
        assert answers[0].columns[field] == names
    positions: list[MappedPosition] = []
    for answer in answers:
        if export.as_is:
            assert answer.usable == len(export.fixes)
            continue
        mapping = parse_any_mapping(answer.mapping)
        again = diagnose(path, mapping)
        assert all(item.declared for item in again)
        table = next(table for table in tables(path) if table.name == answer.name)
        if isinstance(mapping, PositionMapping):
            positions += map_positions(table, mapping)[0]
            continue
        assert isinstance(mapping, RosterMapping)
        _agree_roster(table, mapping, export)
    if positions and export.fixes:
        _agree(positions, export.fixes, export.metres)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [each.name for each in tmp_path.iterdir()] == [export.file]


def _agree_roster(table: ForeignTable, mapping: RosterMapping, export: Export) -> None:
    read = read_rows(table, mapping)
    assert read.refused == []
    if mapping.of_states:
        assert [(item.officer_id, item.time) for _, item in read.states] == [
            (duty.officer, microseconds(duty.start.replace(tzinfo=LONDON).astimezone(UTC)))
            for duty in export.duties
        ]
        return
    truth = [
        (
            duty.officer.lstrip("0"),
            microseconds(duty.start.replace(tzinfo=LONDON).astimezone(UTC)),
            microseconds(duty.end.replace(tzinfo=LONDON).astimezone(UTC)),
            duty.cancelled and bool(mapping.columns.cancelled),
        )
        for duty in export.duties
    ]
    assert [
        (piece.officer_id.lstrip("0"), piece.start, piece.end, piece.cancelled) for piece in read.pieces
    ] == truth


def test_the_corpus_is_large_and_of_every_kind() -> None:
    """There are at least thirty exports; bookings, states and positions are among them."""
    assert len(CORPUS) >= 30
    assert {export.kind for export in CORPUS} == {"positions", "duties", "states"}
    assert len({export.name for export in CORPUS}) == len({export.file for export in CORPUS}) == len(CORPUS)


# --- Random manners --------------------------------------------------------------------------------------

NAMES: dict[str, tuple[str, ...]] = {
    "device": (
        "device_id",
        "Vehicle",
        "Registration",
        "VRM",
        "Tracker ID",
        "ISSI",
        "imei",
        "Call Sign",
        "unitId",
    ),
    "lat": ("lat", "Latitude", "GPS_Lat", "Breitengrad", "Lat (deg)", "gpsLatitude", "LATITUDE"),
    "lon": ("lon", "Longitude", "GPS_Long", "Längengrad", "Lng (deg)", "gpsLongitude", "LONGITUDE"),
    "time": ("time", "Timestamp", "Date/Time", "GPS Time", "fixTime", "Event Date Time", "Recorded At"),
    "speed": ("Speed (mph)", "speed_kmh", "Velocity (knots)", "Speed m/s"),
    "more": ("Odometer", "Ignition", "Address", "Event", "Battery V"),
}
SPEED_IN = {"Speed (mph)": 0.44704, "speed_kmh": 1 / 3.6, "Velocity (knots)": 0.514444, "Speed m/s": 1.0}
TIME_FORMS: dict[str, Callable[[TrueFix], object]] = {
    "offset": lambda fix: fix.at.isoformat(),
    "Z": lambda fix: f"{fix.at:%Y-%m-%dT%H:%M:%SZ}",
    "seconds": lambda fix: int(fix.at.timestamp()),
    "milliseconds": lambda fix: int(fix.at.timestamp() * 1000),
    "local": lambda fix: f"{fix.local:%d/%m/%Y %H:%M:%S}",
    "named month": lambda fix: f"{fix.local:%d %b %Y %H:%M:%S}",
    "twelve hours": lambda fix: f"{fix.local:%d/%m/%Y %I:%M:%S %p}",
    "compact": lambda fix: f"{fix.local:%Y%m%d%H%M%S}",
}


@given(
    names=st.fixed_dictionaries({key: st.sampled_from(values) for key, values in NAMES.items()}),
    order=st.permutations(["device", "time", "lat", "lon", "speed", "more"]),
    form=st.sampled_from(sorted(TIME_FORMS)),
    day=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001 # made UTC below
    seed=st.integers(0, 99),
    comma=st.booleans(),
    exchanged=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    delimiter=st.sampled_from(";\t|"),
    above=st.lists(st.just("Vehicle activity report"), max_size=2),
)
def test_a_random_export_is_understood_or_doubted(
    names: dict[str, str],
    order: list[str],
    form: str,
    day: datetime,
    seed: int,
    comma: bool,
    exchanged: bool,
    encoding: str,
    delimiter: str,
    above: list[str],
    folder: Path,
) -> None:
    """Whatever columns are called and however values are written, the draft gives back what was written.

    The one exception is the hour that comes twice in autumn, of which it is said that nothing tells it.
    """
    truth = fixes(start=day.replace(second=0, microsecond=0, tzinfo=UTC), count=12, seed=seed)

    def cell(key: str, fix: TrueFix) -> object:
        if key in {"lat", "lon"}:
            value = fix.lat if (key == "lat") != exchanged else fix.lon
            return f"{value:.6f}".replace(".", ",") if comma else f"{value:.6f}"
        if key == "speed":
            return f"{fix.speed / SPEED_IN[names['speed']]:.2f}".replace(".", "," if comma else ".")
        if key == "time":
            return TIME_FORMS[form](fix)
        return fix.device if key == "device" else "x"

    rows: list[list[object]] = [
        [names[key] for key in order],
        *([cell(key, fix) for key in order] for fix in truth),
    ]
    path = folder / "export.csv"
    path.write_bytes(csv_bytes([*([line] for line in above), *rows], delimiter=delimiter, encoding=encoding))
    [answer] = diagnose(path)
    said = _said([answer])
    assert answer.kind == "positions", said
    if form in {"local", "twelve hours", "named month", "compact"}:
        assert "no offset" in said or "comes twice" in said or "UTC is taken" in said
    if form in {"local", "twelve hours"} and day.day <= 12:
        assert "both orders" in said or day.day == 12
    if exchanged and not answer.as_is:
        assert "exchanged" in said
    if "comes twice" in said:
        return
    mapping = parse_any_mapping(answer.mapping)
    assert isinstance(mapping, PositionMapping)
    [table] = tables(path)
    _agree(map_positions(table, mapping)[0], truth, 1.0)


ROSTER_NAMES: dict[str, tuple[str, ...]] = {
    "officer": (
        "Collar No",
        "Officer ID",
        "Employee Number",
        "StaffID",
        "Warrant No",
        "Shoulder Number",
        "PIN",
        "Shldr No.",
        "PNo",
        "Coll No",
        "Collar [PNC]",
    ),
    "team": ("Team", "Section", "Unit", "Relief", "Department", "Team Code", "Unit Code"),
    "date": ("Date", "Duty Date", "Shift Date", "Work Date", "DutyDate"),
    "start": (
        "Start",
        "Start Time",
        "From",
        "Duty Start",
        "Shift Start",
        "Time On",
        "Book On",
        "Bkd On (local)",
        "Start (local)",
    ),
    "end": (
        "End",
        "End Time",
        "To",
        "Duty End",
        "Shift Finish",
        "Time Off",
        "Book Off",
        "Bkd Off (local)",
        "End (local)",
    ),
    "radio": ("Radio", "ISSI", "Airwave ISSI", "Radio No", "Handset"),
    "cancelled": ("Cancelled", "Canceled", "Status", "Duty Status", "Dty Status", "Deleted"),
}
DATES = ("%d/%m/%Y", "%d-%b-%y", "%Y-%m-%d", "%d.%m.%Y", "%a %d %b %Y")
CLOCKS = ("%H:%M", "%H%M", "%H.%M", "%H:%M:%S")


@given(
    names=st.fixed_dictionaries({key: st.sampled_from(values) for key, values in ROSTER_NAMES.items()}),
    order=st.permutations(sorted(ROSTER_NAMES)),
    day=st.sampled_from(DATES),
    clock=st.sampled_from(CLOCKS),
    whole=st.booleans(),
    typed=st.booleans(),
    delimiter=st.sampled_from(",;\t"),
)
@settings(max_examples=60)  # some start a process
def test_a_random_roster_is_understood(
    names: dict[str, str],
    order: list[str],
    day: str,
    clock: str,
    whole: bool,
    typed: bool,
    delimiter: str,
    folder: Path,
) -> None:
    """Whatever columns are called and times are written like, the draft gives back the duties written."""
    truth = duties()
    whole = whole and clock not in {"%H%M", "%H.%M"}
    words = ("Planned", "Cancelled") if "Status" in names["cancelled"] else ("N", "Y")

    def cell(key: str, duty: TrueDuty) -> object:
        if key in {"start", "end"}:
            at = duty.start if key == "start" else duty.end
            if typed:
                return at if whole else at.time()
            return f"{at:{day} {clock}}" if whole else f"{at:{clock}}"
        if key == "date":
            return duty.start.date() if typed else f"{duty.start:{day}}"
        told = {"officer": duty.officer, "team": duty.team, "radio": duty.radio}
        return told.get(key, words[duty.cancelled])

    used = [key for key in order if not (whole and key == "date")]
    rows: list[list[object]] = [[names[key] for key in used]]
    rows += [[cell(key, duty) for key in used] for duty in truth]
    path = folder / "roster.csv"
    path.write_bytes(xlsx_bytes({"Duties": rows}) if typed else csv_bytes(rows, delimiter=delimiter))
    [answer] = diagnose(path)
    assert answer.kind == "duties", (answer.missing, answer.columns)
    mapping = parse_any_mapping(answer.mapping)
    assert isinstance(mapping, RosterMapping)
    [table] = tables(path)
    _agree_roster(table, mapping, Export("", "", b"", "duties", duties=truth))
    assert answer.columns["radio"] == [names["radio"]]
    assert answer.columns["cancelled"] == [names["cancelled"]]
    assert answer.columns["team"] == [names["team"]]


# --- The command -----------------------------------------------------------------------------------------


def _run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(doctor, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_draft_leads_to_positions_that_are_taken(tmp_path: Path) -> None:
    """From an export by the draft to a CSV that the accounting takes as it is; nothing there is "
    "overwritten.
    """
    export = next(each for each in CORPUS if each.name == "German fleet software")
    path, draft, out = _put(tmp_path, export), tmp_path / "map.toml", tmp_path / "positions.csv"
    code, said = _run(path, "--write-map", draft)
    assert code == 1
    assert f"--map {draft} --write-positions positions.csv" in said
    assert _run(path, "--write-map", draft)[0] == 2
    code, said = _run(path, "--map", draft, "--write-positions", out)
    assert code == 0
    assert "80 positions written, 0 rows left out" in said
    assert _run(path, "--map", draft, "--write-positions", out)[0] == 2
    code, said = _run(out)
    assert code == 0
    assert f"--positions {out}" in said
    [part] = read_fixes(out, limits=UsableLimits(retention_s=1e9))
    assert part.rejects == []
    assert sorted(part.fixes.time.tolist()) == sorted(microseconds(fix.at) for fix in export.fixes)
    assert path.read_bytes() == export.content


def test_a_roster_draft_is_taken_by_the_import(tmp_path: Path) -> None:
    """The command printed for bookings takes the file by the draft written."""
    export = next(each for each in CORPUS if each.name.startswith("duty management, a day"))
    path, draft = _put(tmp_path, export), tmp_path / "map.toml"
    code, said = _run(path, "--write-map", draft)
    assert code == 1
    [command] = [line.strip() for line in said.splitlines() if "patrol roster import" in line]
    words = shlex.split(command)[3:]
    done = CliRunner().invoke(roster, ["import", *words])
    assert done.exit_code == 0, done.output


def test_several_files_and_json(tmp_path: Path) -> None:
    """With --json there is one entry for each table, with every field, and one for each file refused."""
    own = next(each for each in CORPUS if each.as_is)
    other = next(each for each in CORPUS if each.kind == "states")
    picture = tmp_path / "photo.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    code, said = _run(_put(tmp_path, own), _put(tmp_path, other), picture, "--json")
    assert code == 1
    first, second, third = json.loads(said)
    assert (first["kind"], first["clean"], first["as_is"]) == ("positions", True, True)
    assert (second["kind"], second["clean"], second["columns"]["state"]) == ("states", False, ["Status Code"])
    assert third == {
        "name": "photo.csv",
        "kind": "unknown",
        "error": "photo.csv: is a picture: ask for the list as CSV or as a workbook",
    }
    assert set(first) == {*Diagnosis.__struct_fields__, "clean"}
    for name in set(first):
        assert name in (doctor.help or ""), name


def test_misfits_are_counted_by_reason_with_their_rows(tmp_path: Path) -> None:
    """Rows that do not fit are counted by reason, with the first row numbers as an editor shows them."""
    path = tmp_path / "bad.csv"
    path.write_bytes(
        b"Report\n\nVehicle,Time,Lat,Lon,Fix\n"
        + b"A,2026-11-23T08:00:00Z,52.6,-1.1,1\n" * 20
        + b"A,2026-11-23T08:00:00Z,0,0,1\n"
        + b"A,yesterday,52.6,-1.1,1\nA,2026-11-23T08:00:00Z,,,1\nA,1970-01-01T00:00:00Z,52.6,-1.1,1\n"
        + b"A,2026-11-23T08:00:00Z,52.6,-1.1,0\n,2026-11-23T08:00:00Z,52.6,-1.1,1\n"
        + b"B,2026-11-23T08:00:00Z,52,6,-1,1,1\n"
    )
    [answer] = diagnose(path)
    assert {group.reason: group.first for group in answer.misfits} == {
        "coordinates 0, 0": [24],
        "not a time": [25],
        "no coordinates": [26],
        "year out of range": [27],
        "the tracker says that it had no fix": [28],
        "no device id": [29],
        "more cells than the header": [30],
    }
    assert answer.usable == 20
    code, said = _run(path)
    assert code == 1
    assert "does not fit: 1 × coordinates 0, 0 (row 24)" in said


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        *((word, "") for word in ("1", "A", "3D", "valid", "true", "2", "4", "")),
        *(
            (word, "the tracker says that it had no fix")
            for word in ("0", "V", "No fix", "not valid", "6", "8")
        ),
        *((word, "validity that says neither yes nor no") for word in ("banana", "ungültig", "-", "12")),
    ],
)
def test_validity_is_read_as_the_accounting_reads_it(word: str, reason: str, tmp_path: Path) -> None:
    """A word of validity that says neither yes nor no leaves its row out: it is never taken for a fix."""
    path = tmp_path / "avl.csv"
    rows = "".join(f"A,2026-11-23T08:{at:02}:00Z,52.6,-1.1,valid\n" for at in range(20))
    path.write_text(f"Vehicle,Time,Lat,Lon,Fix\n{rows}A,2026-11-23T08:30:00Z,52.6,-1.1,{word}\n", "utf-8")
    [answer] = diagnose(path)
    assert answer.columns["valid"] == ["Fix"]
    assert [(group.reason, group.first) for group in answer.misfits] == ([(reason, [22])] if reason else [])
    assert answer.usable == 20 + (not reason)


def test_a_column_whose_words_say_nothing_of_a_fix_is_not_taken_for_one(tmp_path: Path) -> None:
    """Words that nobody knows are no validity: the column is not used, and that is said."""
    path = tmp_path / "avl.csv"
    path.write_text("Vehicle,Time,Lat,Lon,GPS status\n" + "A,2026-11-23T08:00:00Z,52.6,-1.1,Moving\n" * 3)
    [answer] = diagnose(path)
    assert "valid" not in answer.columns
    assert "'Moving' means neither yes nor no to us" in _said([answer])
    assert answer.usable == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"imei,time,lat,lon\n3.53E+14,2026-11-23T08:00:00Z,52.6,-1.1\n" * 3, "shortened ids"),
        (
            b"car,time,lat,lon\nA,2026-11-23T08:00:00Z,5.263.690.166,-1.139.833.333\n" * 3,
            "points for thousands",
        ),
        (b"car,time,lat,lon\nA,31/01/2026 08:00,52.6,-1.1\nA,01/31/2026 08:00,52.6,-1.1\n", "in both orders"),
        (b"car,time,lat,lon\nA,1795420800,52.6,-1.1\nA,2026-11-23T08:00:00Z,52.6,-1.1\n", "several ways"),
        (b"car,time,lat,lon\nA,01/02/2026 08:00,52.6,-1.1\n", "could be read in both orders"),
        (b"car,time,lat,lon\nA,2026-11-23T08:00:00Z,4.65,-74.06\n", "not in Britain"),
        (b"car,time,lat,lon\nA,2026-11-23T08:00:00Z,52.6,1.1\n", "east of Greenwich"),
        (
            b"car,time,lat,lon\n" + b"A,2026-11-23 08:01,52.6,-1.1\nA,2026-11-23 08:01,52.61,-1.1\n",
            "no seconds",
        ),
        (
            b"car,devicetime,fixtime,lat,lon\nA,2026-11-23 08:01,2026-11-23 08:01:05,52.6,-1.1\n",
            "'fixtime' have",
        ),
    ],
)
def test_what_is_wrong_with_the_whole_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    """What spreadsheets spoil, what is mixed, and what cannot be told is said by name."""
    (tmp_path / "a.csv").write_bytes(content)
    assert words in _said(diagnose(tmp_path / "a.csv"))


def test_an_unknown_table_is_shown_with_what_was_looked_for(tmp_path: Path) -> None:
    """A table of something else is shown as it stands, with what is missing, and no command."""
    (tmp_path / "crimes.csv").write_bytes(b"Crime No,Offence,Ward\n1,Theft,Abbey\n2,Fraud,Castle\n")
    [answer] = diagnose(tmp_path / "crimes.csv")
    assert (answer.kind, answer.command, answer.clean) == ("unknown", "", False)
    assert answer.understood[0] == {"Crime No": "1", "Offence": "Theft", "Ward": "Abbey"}
    assert any("for positions: the time" in each for each in answer.missing)
    assert any("for bookings or states" in each for each in answer.missing)


def test_times_of_duty_are_known_by_their_cells(tmp_path: Path) -> None:
    """Two columns of days with times are start and end, whatever they are called and in whatever order."""
    head = ("Coll No", "Zweite", "Erste")
    rows = [
        (f"01{at:02d}", f"{at:02d}/11/2026 2300", f"{at:02d}/11/2026 1500", f"{at:02d}/11/2026 0100")
        for at in range(10, 20)
    ]
    (tmp_path / "a.csv").write_bytes(csv_bytes([head, *(row[:3] for row in rows)]))
    [answer] = diagnose(tmp_path / "a.csv")
    assert answer.kind == "duties"
    assert (answer.columns["start"], answer.columns["end"]) == (["Erste"], ["Zweite"])
    assert any("by their cells alone" in each for each in answer.unsure)
    (tmp_path / "b.csv").write_bytes(csv_bytes([(*head, "Dritte"), *rows]))
    [answer] = diagnose(tmp_path / "b.csv")
    assert answer.kind == "unknown"
    assert "which of 'Zweite', 'Erste', 'Dritte' are the start and the end of a duty?" in _said([answer])


def test_times_whose_column_says_utc_are_not_taken_as_local(tmp_path: Path) -> None:
    """A zone in the name of a column of times is that of the draft."""
    rows = [("PNo", "Bkd On (UTC)", "Bkd Off (UTC)"), ("0101", "01/07/2026 0600", "01/07/2026 1400")]
    (tmp_path / "a.csv").write_bytes(csv_bytes(rows))
    [answer] = diagnose(tmp_path / "a.csv")
    mapping = parse_any_mapping(answer.mapping)
    assert isinstance(mapping, RosterMapping)
    assert mapping.time.zone == "UTC"
    assert answer.understood[0]["start"] == "Wed 01 Jul 2026 07:00:00 BST"


_column = st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), min_size=1, max_size=9).filter(
    lambda name: any(map(str.isalpha, name))
)


@given(names=st.lists(_column, min_size=2, max_size=6, unique_by=str.casefold), places=st.booleans())
@settings(max_examples=60)
def test_where_a_header_was_found_there_is_a_draft(names: list[str], places: bool, folder: Path) -> None:
    """Of anything with a header a mapping is drafted that lists each column; its blanks are refused."""
    names = [*names, "Lat", "Lon"] if places else names
    path, draft = folder / "anything.csv", folder / "anything.toml"
    cells = ["word"] * (len(names) - 2 * places) + ["52.61", "-1.12"] * places
    path.write_bytes(csv_bytes([names, cells, cells, cells]))
    draft.unlink(missing_ok=True)
    [answer] = diagnose(path)
    code, said = _run(path, "--write-map", draft)
    assert code == 1, said
    if tables(path)[0].header is None:
        assert not draft.exists()
        assert "no row with the names of columns was found" in said
        return
    written = draft.read_text()
    assert written == answer.mapping
    if answer.kind == "unknown":
        said = " ".join(written.split())
        assert all(f"# {' '.join(name.split())} = " in said for name in tables(path)[0].columns)
        code, said = _run(path, "--map", draft)
        assert code == 2
        assert "a column without a name" in said or "missing" in said
        assert ("[positions]" in written) == places


def test_a_draft_of_too_little_keeps_what_was_found(tmp_path: Path) -> None:
    """Where only the officer is not found, all else is in the draft, and the officer's key is blank."""
    (tmp_path / "a.csv").write_bytes(
        csv_bytes(
            [
                ("Mark", "Bkd On", "Bkd Off", "Airwave", "Dty Status"),
                ("A", "01/07/2026 0600", "01/07/2026 1400", "71001", "BOOKED"),
                ("B", "01/07/2026 0600", "01/07/2026 1400", "71002", "CANX"),
            ]
        )
    )
    [answer] = diagnose(tmp_path / "a.csv")
    assert answer.kind == "unknown"
    filled = parse_any_mapping(answer.mapping.replace('officer_id = ""', 'officer_id = "Mark"'))
    assert isinstance(filled, RosterMapping)
    [table] = tables(tmp_path / "a.csv")
    assert [(piece.officer_id, piece.cancelled) for piece in read_rows(table, filled).pieces] == [
        ("A", False),
        ("B", True),
    ]


def test_a_roster_with_days_across_is_told(tmp_path: Path) -> None:
    """A roster with a column for each day is named as one, and what to ask for instead."""
    head = "Officer,Mon 16/11,Tue 17/11,Wed 18/11,Thu 19/11,Fri 20/11\n"
    (tmp_path / "grid.csv").write_text(head + "1001 Ash,0700-1700,0700-1700,RD,RD,1400-2300\n" * 3)
    [answer] = diagnose(tmp_path / "grid.csv")
    assert answer.kind == "unknown"
    assert "the days stand across" in _said([answer])


@pytest.mark.parametrize(
    ("cell", "angle"),
    [
        ("52.6369", 52.6369),
        ("52,6369", 52.6369),
        ("-1.1398°", -1.1398),
        ("1.1398 W", -1.1398),
        ("52° 38' 12.84\" N", 52.6369),
        ("N 52 38.214", 52.6369),
        ("52°38.214'", 52.6369),
        ("52.6369, -1.1398", None),
        ("52.6369 -1.1398", None),
        ("52, 1", None),
        ("High Street 12", None),
        ("52° 75'", None),
        ("", None),
        (52, 52.0),
        (True, None),
    ],
)
def test_an_angle_is_read_or_refused(cell: str | int, angle: float | None) -> None:
    """Degrees are read in each way that they are written; two numbers are not taken for one angle."""
    assert angle_of(cell) == (None if angle is None else pytest.approx(angle, abs=1e-9))


def test_settings_and_boundaries_are_known(tmp_path: Path) -> None:
    """A policy, a mapping and boundaries are told, each with its command; a wrong policy with what "
    "is wrong.
    """
    policy = tmp_path / "policy.toml"
    policy.write_text("[[policy]]\nfrom = 2026-11-01\ntarget = 0.75\n")
    code, said = _run(policy)
    assert code == 0
    assert "--policy" in said
    policy.write_text("[[policy]]\nfrom = 2026-11-01\ntargett = 0.75\n")
    code, said = _run(policy)
    assert code == 1
    assert "targett" in said
    wards = tmp_path / "wards.geojson"
    ring = [[-1.2, 52.6], [-1.1, 52.6], [-1.1, 52.7], [-1.2, 52.6]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"WD25CD": "E05001784", "WD25NM": "Abbey"}}
    wards.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    code, said = _run(wards)
    assert code == 0
    assert f"patrol areas check {wards} --kind neighbourhood" in said


_beats = {
    "BeatCode": ("LC01", "LC02", "LC03"),
    "Sector_Ref": ("S1", "S1", "S2"),
    "WD25CD": ("E05001784", "E05001785", "E05001786"),
    "LAD25CD": ("E06000016",) * 3,
    "code": ("1", "2", ""),
    "BeatName": ("Castle", "Westcotes", "Spinney Hills"),
    "NPT name": ("City", "City", "West"),
    "Remarks": ("", "new", ""),
    "kind": ("neighbourhood", "neighbourhood", "beat"),
}


@given(
    names=st.lists(st.sampled_from(sorted(_beats)), max_size=5, unique=True),
    crossing=st.booleans(),
)
@many(30)
def test_the_command_for_boundaries_works_where_the_doctor_says_so(
    names: list[str], crossing: bool, folder: Path
) -> None:
    """Whatever the columns are, exit code 0 means that the command printed ends with 0 too; else it is said
    what is wrong or missing.
    """
    features = []
    for at in range(3):
        west, north = -1.2 + at * 0.02, 52.7 if at or not crossing else 52.6
        ring = [[west, 52.6], [west + 0.02, north], [west + 0.02, 52.7 - (north - 52.6)], [west, 52.7]]
        ring = ring if crossing else [[west, 52.6], [west + 0.02, 52.6], [west + 0.02, 52.7], [west, 52.7]]
        features.append(
            {
                "type": "Feature",
                "properties": {name: _beats[name][at] for name in names},
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            }
        )
    path = folder / "beats.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    code, said = _run(path)
    commands = [line.strip() for line in said.splitlines() if line.strip().startswith("patrol areas check")]
    for command in commands:
        done = CliRunner().invoke(areas, shlex.split(command)[2:])
        assert (done.exit_code == 0) == (code == 0), done.output
    assert commands or code == 1
    assert code == 0 or "wrong: " in said or "missing: " in said, said


def test_guessed_columns_of_boundaries_are_said_to_be_guessed(tmp_path: Path) -> None:
    """Ids and names of the force's own columns are in the command printed, and said to be guesses."""
    shape = {"type": "Polygon", "coordinates": [[[-1.2, 52.6], [-1.1, 52.6], [-1.1, 52.7], [-1.2, 52.6]]]}
    properties = {"BeatCode": "LC01", "BeatName": "Castle"}
    feature = {"type": "Feature", "geometry": shape, "properties": properties}
    path = tmp_path / "beats.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    code, said = _run(path)
    assert code == 0
    assert f"{path} --kind neighbourhood --id-column BeatCode --name-column BeatName" in said
    assert "'BeatCode' is taken for the column of the areas' ids: that is a guess" in said
    assert "'BeatName' is taken for the column of the areas' names: that is a guess" in said


def test_states_whose_number_and_word_differ_are_asked_about(tmp_path: Path) -> None:
    """The draft takes neither the number nor the word of such a state: it asks."""
    words = ("02 - Available", "05 - Refs", "07 - Custody", "99 - Emergency")
    rows = [("Date/Time", "Collar", "Status")]
    rows += [(f"22/11/2026 10:4{at}:10", "0412", word) for at, word in enumerate(words)]
    (tmp_path / "a.csv").write_bytes(csv_bytes(rows))
    [answer] = diagnose(tmp_path / "a.csv")
    assert answer.kind == "states"
    assert (
        "states that [states] has to explain: '05 - Refs', '07 - Custody', '99 - Emergency'" in answer.unsure
    )
    assert '# Not known yet: "05 - Refs" = 4, "07 - Custody" = ?, "99 - Emergency" = 0' in answer.mapping
    assert answer.usable == 1


def test_bookings_of_our_own_form_are_taken(tmp_path: Path) -> None:
    """Bookings and states as JSON lines are read by the accounting's own reader, rejects and all."""
    duty = {"duty_id": "D1", "revision": 1, "officer_id": "1001", "start": "2026-11-23T08:00:00Z"}
    path = tmp_path / "duties.jsonl"
    path.write_text(f"{json.dumps(duty)}\n\n{json.dumps({**duty, 'start': 'soon'})}\n")
    [answer] = diagnose(path)
    assert (answer.kind, answer.as_is, answer.usable, answer.clean) == ("duties", True, 1, False)
    assert [(group.reason, group.first) for group in answer.misfits] == [("bad_value", [3])]
    path.write_text(f"{json.dumps(duty)}\n")
    assert _run(path)[0] == 0


def _gpx() -> bytes:
    points = "".join(
        f'<trkpt lat="{fix.lat}" lon="{fix.lon}"><time>{fix.at:%Y-%m-%dT%H:%M:%SZ}</time></trkpt>'
        for fix in fixes(("R1",))
    )
    return f'<?xml version="1.0"?><gpx><trk><name>R1</name><trkseg>{points}</trkseg></trk></gpx>'.encode()


def _parquet() -> bytes:
    true = fixes(("R1",))
    columns = {
        "device_id": [fix.device for fix in true],
        "time": [fix.at for fix in true],
        "lon": [fix.lon for fix in true],
        "lat": [fix.lat for fix in true],
    }
    content = io.BytesIO()
    parquet.write_table(pa.table(columns), content)
    return content.getvalue()


def _forwarded() -> bytes:
    return b"".join(
        json.dumps(
            {
                "position": {"fixTime": fix.at.isoformat(), "latitude": fix.lat, "longitude": fix.lon},
                "device": {"uniqueId": fix.device},
            }
        ).encode()
        + b"\n"
        for fix in fixes(("R1",))
    )


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("track.gpx", _gpx()),
        ("track.gpx.gz", gzip.compress(_gpx())),
        ("R1.parquet", _parquet()),
        ("forwarded.jsonl", _forwarded()),
        ("R1.nmea", b"$GPRMC,081503.000,A,5238.2140,N,00108.3880,W,17.5,270.0,231126,,\r\n"),
    ],
)
def test_tracks_are_taken_as_they_are(file: str, content: bytes, tmp_path: Path) -> None:
    """Tracks in every form that the accounting reads are taken by the command printed, without a mapping."""
    path = tmp_path / file
    path.write_bytes(content)
    [answer] = diagnose(path)
    assert (answer.kind, answer.as_is, answer.clean, answer.mapping) == ("positions", True, True, "")
    assert answer.understood[0]["device_id"] in {"R1", "track"}
    assert answer.usable == sum(len(part.fixes) for part in read_fixes(path, limits=UsableLimits(1e9)))
    assert answer.command.startswith(f"patrol account --areas AREAS --positions {path}")
    assert any("default_error_m" in note for note in answer.notes)


HOSTILE: dict[str, bytes] = {
    "a million columns": b",".join([b"a"] * 1_000_000) + b"\n",
    "rubbish": bytes(range(256)) * 64,
    "a PDF": b"%PDF-1.7\n1 0 obj",
    "nothing": b"",
    "NUL bytes": bytes(5000),
    "an array without an end": b"[" * 100_000,
    "a zip bomb": zip_bytes({"a.csv": b"x,y\n" + b"1,2\n" * (5 << 20)}),
    "objects within objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "XML that is no track": b'<?xml version="1.0"?><Workbook xmlns="urn:x"><Worksheet/></Workbook>',
    "a web page": b"<meta charset=utf-8><table><tr><td>Collar</td></tr></table>",
    "packed three times": gzip.compress(gzip.compress(gzip.compress(b"device_id,time,lon,lat\n"))),
    "escape sequences": b"\x1b]0;owned\x07,\x1b[2J\n" * 50,
}


@pytest.mark.parametrize("suffix", [".csv", ".json", ".gpx", ".parquet", ".toml"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_costs_a_few_lines(kind: str, suffix: str, tmp_path: Path) -> None:
    """Under any name a hostile file gives exit code 1, a few plain lines, and is not changed."""
    path = tmp_path / f"sent{suffix}"
    path.write_bytes(HOSTILE[kind])
    code, said = _run(path)
    assert code == 1
    assert len(said) < 6_000
    assert "\x1b" not in said
    assert "Traceback" not in said
    assert path.read_bytes() == HOSTILE[kind]


def test_a_device_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    """What never ends is not waited for, whatever it is called, also behind a link: it is refused."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.csv", tmp_path / "zero.toml"):
        code, said = _run(path)
        assert code == 1
        assert "is not a file, but a device or a pipe; copy it into a file first" in said


def test_what_was_packed_twice_is_read(tmp_path: Path) -> None:
    """A packed log in a packed upload is read as what it is."""
    path = tmp_path / "sent.csv.gz"
    rows = b"Device,Time,Lat,Lon\nR1,23/11/2026 08:00:00,52.6,-1.1\n"
    path.write_bytes(gzip.compress(gzip.compress(rows)))
    [answer] = diagnose(path)
    assert (answer.kind, answer.usable, answer.form) == ("positions", 1, "CSV with commas, UTF-8, gzip, gzip")


@pytest.mark.parametrize("name", ["sent.csv.gz", "sent.jsonl.gz", "sent.gpx.gz", "sent.nmea.gz", "sent.gz"])
@pytest.mark.parametrize("left", [12, 40, -9])
def test_a_compressed_file_that_was_cut_is_told(name: str, left: int, tmp_path: Path) -> None:
    """Of an upload that broke off it is said that its compression is damaged, under any name."""
    path = tmp_path / name
    rows = b"".join(b"R%d,2026-11-23T08:00:00Z,-1.1,52.6\n" % at for at in range(50))
    path.write_bytes(gzip.compress(b"device_id,time,lon,lat\n" + rows)[:left])
    code, said = _run(path)
    assert code == 1
    assert "its compression is damaged" in said


def test_a_folder_a_loop_and_nothing_are_told(tmp_path: Path) -> None:
    """A folder is refused with one line; a link to itself and a missing file are wrong use."""
    code, said = _run(tmp_path)
    assert (code, said.count("\n")) == (1, 1)
    assert "is a folder" in said
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert _run(tmp_path / "loop")[0] == 2
    assert _run(tmp_path / "none")[0] == 2
    assert _run()[0] == 2


@pytest.mark.parametrize("unit", sorted(SPEEDS))
def test_the_unit_of_speed_is_told_by_the_distances(unit: str) -> None:
    """Speeds in a unit are told from the distances between positions, and nonsense is told as unknown."""
    told = [
        MappedPosition(0, fix.device, microseconds(fix.at), fix.lon, fix.lat, 8, fix.speed / SPEEDS[unit], 0)
        for fix in fixes()
    ]
    assert speed_unit(told) == (unit, unit in {"m/s", "km/h"})
    assert speed_unit([replace(item, speed_mps=item.speed_mps * 40) for item in told]) == ("", False)
    assert speed_unit([]) == ("", False)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T08:15:03Z",
        "2026-11-23 08:15:03.000+00:00",
        "2026-11-23 09:15:03 +0100",
        "2026/11/23 08:15:03",
        "23/11/2026 08:15:03",
        "23.11.2026, 08:15:03",
        "23-Nov-26 08:15:03",
        "Monday 23 November 2026 08:15:03",
        "Mon, 23 Nov 2026 08:15:03 GMT",
        "Nov 23, 2026, 8:15:03 AM",
        "23/11/2026 08:15:03,000",
        "20261123T081503Z",
        "20261123081503",
    ],
)
def test_a_time_is_read_however_it_is_written(text: str) -> None:
    """Each way to write a moment gives that moment; a local one in Greenwich time."""
    found = read_clock([text], zone="Europe/London", dates="day-first", numbers="")
    assert (found.time, found.why) == (microseconds(datetime(2026, 11, 23, 8, 15, 3, tzinfo=UTC)), "")
    assert form_of([text]) in {"offset", "local"}


@pytest.mark.parametrize(
    "text",
    ["", "soon", "31/02/2026 08:00", "2026-11-23", "2026-11-23T25:00:00Z", "1970-01-01T00:00:00Z", "7"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """No time is made of a date alone, an impossible date, a time before 2000, or a bare number."""
    found = read_clock([text], zone="Europe/London", dates="day-first", numbers="")
    assert found.time is None
    assert found.why


@given(
    st.sampled_from([datetime.min, datetime.max]) | st.datetimes(),  # noqa: DTZ901 # local
    st.sampled_from(["Europe/London", "UTC", "Asia/Tokyo", "America/New_York"]),
    st.booleans(),
)
def test_a_date_at_the_ends_of_the_calendar_is_a_year_out_of_range(
    at: datetime, zone: str, typed: bool
) -> None:
    """What systems write for never, 0001-01-01 or 9999-12-31, is refused by name in every zone."""
    found = read_clock([at if typed else str(at)], zone=zone, dates="day-first", numbers="")
    if not 1999 <= at.year <= 2100:
        assert found == ReadTime(None, "year out of range", naive=True)


@pytest.mark.parametrize(
    ("text", "east", "north", "half"),
    [
        ("SK 58 04", 458_500, 304_500, 500),
        ("SK5804", 458_500, 304_500, 500),
        ("TQ 30000 80000", 530_000.5, 180_000.5, 0.5),
    ],
)
def test_a_grid_reference_is_the_middle_of_its_square(
    text: str, east: float, north: float, half: float
) -> None:
    """A grid reference names a square, and stands for its middle with half its diagonal as error."""
    found = point_of(text)
    assert found is not None
    assert found[:3] == ("grid", east, north)
    assert found[3] == pytest.approx(math.hypot(half, half))


# --- The document ----------------------------------------------------------------------------------------

DOCUMENT = (Path(__file__).resolve().parents[2] / "deploy/doctor.md").read_text(encoding="utf-8")


def test_the_example_of_the_document_is_what_happens(tmp_path: Path) -> None:
    """The export shown in deploy/doctor.md gives the draft shown, and the row that is said not to fit."""
    blocks = dict(re.findall(r"```(csv|toml)\n(.*?)```", DOCUMENT, re.DOTALL))
    path = tmp_path / "fleet.csv"
    path.write_text(blocks["csv"], encoding="utf-8")
    [answer] = diagnose(path)
    draft = "\n".join(line for line in answer.mapping.splitlines() if not line.startswith("#"))
    assert draft.strip() == blocks["toml"].strip()
    assert parse_any_mapping(blocks["toml"]) == parse_any_mapping(answer.mapping)
    assert [(group.reason, group.first) for group in answer.misfits] == [("coordinates 0, 0", [5])]
    assert len(answer.unsure) == 1
    assert "no offset" in answer.unsure[0]


def test_the_document_has_every_key_and_field() -> None:
    """Every key of a mapping of positions, its words, and every field of the answer are in the document."""
    for table, struct in (("positions", PositionColumns), ("form", PositionForm), ("rows", PositionRows)):
        for key in struct.__struct_fields__:
            assert f"`{table}.{key}`" in DOCUMENT, key
    for word in (*SPEEDS, *NUMBERS, "days", "day-first", "month-first", "degrees-minutes", "grid"):
        assert f"`{word}`" in DOCUMENT, word
    for name in (*Diagnosis.__struct_fields__, "clean"):
        assert f"`{name}`" in DOCUMENT, name


mappings = st.builds(
    PositionMapping,
    st.builds(
        PositionColumns,
        device_id=st.text(min_size=1),
        time=st.lists(st.text(min_size=1), min_size=1, max_size=2).map(tuple),
        lon=st.text(min_size=1),
        lat=st.text(min_size=1),
        speed=st.text(),
    ),
    st.builds(
        PositionForm,
        kind=st.sampled_from(["radio", "vehicle"]),
        scale=st.sampled_from([1.0, 1e-7]),
        lon_sign=st.sampled_from([1, -1]),
        speed=st.sampled_from(sorted(SPEEDS)),
        zone=st.sampled_from(["Europe/London", "UTC"]),
        numbers=st.sampled_from(["", *sorted(NUMBERS), "days"]),
    ),
    st.builds(PositionRows, sheet=st.text(), header=st.integers(0, 99)),
)


@given(mapping=mappings, comments=st.lists(st.text(), max_size=3))
def test_a_mapping_of_positions_comes_back(mapping: PositionMapping, comments: list[str]) -> None:
    """A mapping written as TOML, whatever columns are called, is read back equal."""
    assert parse_position_map(position_map_text(mapping, comments)) == mapping


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[positions", "not TOML"),
        ("[positions]\ntimes = 1", "times"),
        ('[positions]\nlon = "x"', "positions.time is missing"),
        ('[positions]\ntime = "t"\nlon = "x"', "positions.lat are missing"),
        ('[positions]\ntime = "t"\nlon = "x"\nlat = "y"', "positions.device_id is missing"),
        ('[positions]\ntime = "t"\n[form]\nspeed = "furlongs"', "furlongs"),
        ('[positions]\ntime = "t"\npoint = "p"\n[form]\ndevice = "A"\nzone = "Mars"', "form.zone"),
    ],
)
def test_a_wrong_mapping_of_positions_is_told(text: str, words: str) -> None:
    """A mapping that cannot be used is refused with the key and what to write."""
    with pytest.raises(PositionMapError, match=words):
        parse_position_map(text)
