"""The CSV files of the public contract: columns, order, texts, and bytes that equal facts make equal."""

from __future__ import annotations

import csv
import random
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import parse_time
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.json_types import rounded, rounded_all
from stream.core.live.share_event import share_event
from stream.core.policy import Policies
from stream.core.shares import Figures
from stream.files.account import Account, Facts, account
from stream.files.sheets.arrow import write
from stream.files.sheets.contract import last_known
from tests.strategies import BINARY, World, fix_columns, many, micros, world_fixes, worlds
from tests.worlds import history_of

PLACES = ["neighbourhood", "premises", "priorities"]
HEADERS = {
    "stays": ["device_id", "start", "end", "known", *PLACES],
    "slices": [
        *("officer_id", "duty_id", "start", "end", "activity", "reason", *PLACES, "device_id", "ambiguous_s"),
        "doubtful_s",
    ],
    "shares": [
        *("scope", "id", "from", "to", "duty_s", "on_patch_s", "off_patch_s", "not_visible_s", "unknown_s"),
        *("break_s", "priority_s", "share", "share_low", "share_high", "target", "verdict"),
        *("doubtful_s", "attested_s"),
    ],
    "doubts": ["officer_id", "duty_id", "start", "end", "kind", "device_id", "other_id"],
}
COLUMNS = HEADERS | {
    "visits": ["area_id", "officer_id", "start", "end", "dwell_s", "in_window_s", "home_team"],
    "quality": ["scope", "id", "day", "finding", "count", "seconds", "detail"],
}
"""Those whose columns are explained one by one."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
PROJECT = Path(__file__).resolve().parents[2]
POLICIES = Policies()
OPENING = micros("2026-11-23T08:00:00.250001+00:00")


def counted(world: World) -> Account:
    """A world of one version, as files would be."""
    areas = history_of(replace(world, versions=world.versions[:1])).indexes[0].areas
    return account(Facts(areas, world_fixes(world), list(world.duties), list(world.states)), POLICIES)


@many(1)
@given(worlds(BINARY))
def test_every_column_is_explained(world: World) -> None:
    """deploy/files.md explains each column of the files that it takes apart, and names all the others.

    The numbers of files that it and README.md give are those that are written.
    """
    tables = counted(world).tables(POLICIES)
    told = (PROJECT / "deploy" / "files.md").read_text("utf-8")
    _, *sections = re.split(r"^## ", told, flags=re.MULTILINE)
    found: dict[str, list[str]] = {}
    for section in sections:
        title, _, body = section.partition("\n")
        found[title.removesuffix(".csv")] = re.findall(r"^\| `([\w.]+)` \|", body, re.MULTILINE)
    others = {name.removesuffix(".csv") for name in found.pop("The other files")}
    assert found == {name: list(tables[name].column_names) for name in found} == COLUMNS
    assert {*found, *others} == set(tables)
    written = NUMBERS[len(tables)]
    assert f"writes {written} CSV files; `patrol export` writes the same files" in told
    readme = (PROJECT / "README.md").read_text("utf-8")
    assert f"These {written} files" in readme
    assert f"# shares.csv, visits.csv and {NUMBERS[len(tables) - 2]} more" in readme
    assert len(re.findall(r"^figures/\w+\.csv: \d+ rows$", readme, re.MULTILINE)) == len(tables)


@many(60)
@given(worlds(BINARY))
def test_the_files_are_sorted_and_add_up(world: World) -> None:
    """Rows come in their order, and the slices of an officer sum to the officer's figures."""
    found = counted(world)
    tables = {name: table.to_pylist() for name, table in found.tables(POLICIES).items()}
    for name, header in HEADERS.items():
        assert found.tables(POLICIES)[name].column_names == header
    stays, slices = tables["stays"], tables["slices"]
    assert stays == sorted(stays, key=lambda row: (row["device_id"], row["start"]))
    assert slices == sorted(slices, key=lambda row: (row["officer_id"], row["start"], row["duty_id"]))
    total: dict[tuple[str, str], int] = {}
    for row in slices:
        length = parse_time(row["end"]) - parse_time(row["start"])
        assert length > 0
        key = (row["officer_id"], row["activity"])
        total[key] = total.get(key, 0) + length
    patched = {duty.officer_id for duty in found.duties if duty.patch and not duty.cancelled}
    plain = {duty.officer_id for duty in found.duties if not duty.patch and not duty.cancelled}
    for row in tables["shares"]:
        if row["scope"] == "officer" and not (row["id"] in patched and row["id"] in plain):
            for name, activity in (
                ("on_patch_s", "on_patch"),
                ("off_patch_s", "off_patch"),
                ("not_visible_s", "not_visible"),
                ("unknown_s", "unknown"),
                ("break_s", "break"),
            ):
                assert round(float(row[name]) * SECOND) == total.get((row["id"], activity), 0)


@many(30)
@given(worlds(BINARY))
def test_the_order_of_facts_cannot_change_a_byte(world: World) -> None:
    """The same facts shuffled give tables equal in every cell."""
    chance = random.Random(7)
    shuffled = replace(
        world,
        fixes=tuple(chance.sample(world.fixes, len(world.fixes))),
        duties=tuple(chance.sample(world.duties, len(world.duties))),
        states=tuple(chance.sample(world.states, len(world.states))),
    )
    one, two = counted(world).tables(POLICIES), counted(shuffled).tables(POLICIES)
    assert all(one[name].equals(two[name]) for name in HEADERS)


def small() -> Account:
    """Ten minutes: in A, then in premises, then nowhere known; and an open duty with the odd name."""
    from shapely.geometry import box

    from geo.areas import Area, AreaSet, Kind

    areas = AreaSet.of(
        [
            Area(Kind.NEIGHBOURHOOD, "N1", "N1", box(*BINARY.at(0, 0), *BINARY.at(4, 4))),
            Area(Kind.PREMISES, "B1", "B1", box(*BINARY.at(2, 0), *BINARY.at(4, 4))),
            Area(Kind.PRIORITY, "P2", "P2", box(*BINARY.at(0, 0), *BINARY.at(4, 4))),
            Area(Kind.PRIORITY, "P1", "P1", box(*BINARY.at(0, 0), *BINARY.at(4, 4))),
        ]
    )
    fixes = fix_columns(
        [
            ("R1", OPENING + at * SECOND, *BINARY.at(x, 1), None)
            for at, x in ((0, 1.0), (200, 1.0), (400, 3.0))
        ]
    )
    duties = [
        Duty('D,"1"', 1, "O1", OPENING, OPENING + 600 * SECOND, ("N1",), (Allocation("R1", "radio"),)),
        Duty("D2", 1, "O2", OPENING, None, (), ()),
    ]
    states = [StateReport("O1", OPENING + 100 * SECOND, 8), StateReport("O1", OPENING + 200 * SECOND, 2)]
    return account(Facts(areas, fixes, duties, states), POLICIES)


def test_the_files_read_as_a_person_would_write_them(tmp_path: Path) -> None:
    """Times with six decimals, ids joined by semicolons, reasons in words, nothing where nothing is known."""
    write(small().tables(POLICIES), tmp_path / "out")
    read = {name: (tmp_path / "out" / f"{name}.csv").read_text("utf-8").splitlines() for name in HEADERS}
    # Which values stand in quotation marks is the writer's affair.
    lines = {name: [",".join(row) for row in csv.reader(text)] for name, text in read.items()}
    assert {name: rows[0] for name, rows in lines.items()} == {
        name: ",".join(HEADERS[name]) for name in HEADERS
    }
    assert lines["stays"][1:] == [
        "R1,2026-11-23T08:00:00.250001Z,2026-11-23T08:05:00.250001Z,true,N1,,P1;P2",
        "R1,2026-11-23T08:05:00.250001Z,2026-11-23T08:06:40.250001Z,true,N1,B1,P1;P2",
    ]
    assert lines["slices"][1:] == [
        'O1,D,"1",2026-11-23T08:00:00.250001Z,2026-11-23T08:01:40.250001Z,on_patch,,N1,,P1;P2,R1,0.000000,0.000000',
        'O1,D,"1",2026-11-23T08:01:40.250001Z,2026-11-23T08:03:20.250001Z,not_visible,unavailable,N1,,P1;P2,R1,0.000000,0.000000',
        'O1,D,"1",2026-11-23T08:03:20.250001Z,2026-11-23T08:05:00.250001Z,on_patch,,N1,,P1;P2,R1,100.000000,0.000000',
        'O1,D,"1",2026-11-23T08:05:00.250001Z,2026-11-23T08:06:40.250001Z,not_visible,B1,N1,B1,P1;P2,R1,100.000000,0.000000',
        'O1,D,"1",2026-11-23T08:06:40.250001Z,2026-11-23T08:10:00.250001Z,unknown,,,,,,0.000000,0.000000',
        "O2,D2,2026-11-23T08:00:00.250001Z,2026-11-23T08:10:00.250001Z,unknown,,,,,,0.000000,0.000000",
    ]
    period = "2026-11-23T08:00:00.250001Z,2026-11-23T08:10:00.250001Z"
    sums = (
        "600.000000,200.000000,0.000000,200.000000,200.000000,0.000000,200.000000,"
        "0.333333333,0.166666667,0.833333333,0.800000000,not proven,0.000000,0.000000"
    )
    assert lines["shares"][1:] == [
        f"force,force,{period},{sums}",
        f"neighbourhood,N1,{period},{sums}",
        f"officer,O1,{period},{sums}",
        f"officer,O2,{period},600.000000,0.000000,0.000000,0.000000,600.000000,0.000000,0.000000,,,,0.800000000,,0.000000,0.000000",
    ]


def test_the_files_are_csv_that_others_read(tmp_path: Path) -> None:
    """Python's own reader gives back what was written, commas and quotes in a name among it."""
    found = small()
    write(found.tables(POLICIES), tmp_path)
    with (tmp_path / "slices.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {name: value or "" for name, value in row.items()}
        for row in found.tables(POLICIES)["slices"].to_pylist()
    ]


def test_a_share_event_has_the_contract_s_fields() -> None:
    """The event names every field of the contract, in seconds, with null where there is no figure."""
    item = Figures(
        "neighbourhood", "E1", OPENING, OPENING + 10 * SECOND, on_patch=8 * SECOND, unknown=2_500_000
    )
    event = share_event(item, "Abbey", 0.8, 9, 6)
    assert msgspec.to_builtins(event) == {
        "scope": "neighbourhood",
        "id": "E1",
        "name": "Abbey",
        "from": "2026-11-23T08:00:00.250001Z",
        "to": "2026-11-23T08:00:10.250001Z",
        "duty_s": 10.5,
        "on_patch_s": 8.0,
        "off_patch_s": 0.0,
        "not_visible_s": 0.0,
        "unknown_s": 2.5,
        "break_s": 0.0,
        "priority_s": 0.0,
        "share": 0.761905,
        "share_low": 0.761905,
        "share_high": 1.0,
        "target": 0.8,
        "verdict": "not proven",
        "doubtful_s": 0.0,
        "without_share": None,
        "officers_on_duty": 9,
        "officers_on_patch": 6,
    }
    nothing = share_event(replace(item, on_patch=0, unknown=0), "Abbey", 0.8, 0, 0)
    assert (nothing.share, nothing.without_share) == (None, "no_duty_time")


def test_open_duties_are_listed_up_to_the_last_thing_known() -> None:
    """Without a word an open duty is cut at the end of the last closed slice or duty."""
    found = small()
    assert np.any(found.slices.end > found.until)
    assert last_known(found.slices, found.duties) == OPENING + 600 * SECOND == found.until


@pytest.mark.parametrize("name", HEADERS)
def test_no_facts_make_files_with_a_head_and_no_rows(tmp_path: Path, name: str) -> None:
    """Without fixes and duties every file has its header and nothing else."""
    from geo.areas import AreaSet

    found = account(Facts(AreaSet.of([]), fix_columns([]), [], []), POLICIES)
    write(found.tables(POLICIES), tmp_path)
    with (tmp_path / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [HEADERS[name]]


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    """Where one file cannot be written to its end, the folder is as it was, with the files of before."""
    write({"one": pa.table({"a": ["1"]}), "two": pa.table({"a": ["1"]})}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / ".two.csv.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="no file was changed") as caught:
        write({"one": pa.table({"a": ["2"]}), "two": pa.table({"a": ["2"] * 9})}, tmp_path)
    assert caught.value.filename == str(tmp_path / "two.csv")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**12)), min_size=1, max_size=50))
def test_shares_rounded_together_are_those_rounded_one_by_one(found: list[tuple[int, int]]) -> None:
    """Thousands of shares have the decimals that each would have alone, those half between two as well."""
    parts = [min(on, duty) / duty for on, duty in found] + [1.5e-6, 2.5e-6, 0.1234565, 0.9999995, 0.0, 1.0]
    assert rounded_all(np.array(parts)) == [rounded(part) for part in parts]
