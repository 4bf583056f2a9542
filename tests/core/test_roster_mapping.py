"""The mapping of a roster's columns: read, refused with reasons, and written back equal."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.files.roster.mapping import (
    DeviceColumns,
    IdDigits,
    PieceColumns,
    RosterColumns,
    RosterError,
    RosterMapping,
    RowReading,
    TimeReading,
    mapping_text,
    own_names,
    parse_mapping,
    read_mapping,
)

if TYPE_CHECKING:
    from pathlib import Path

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda text: bool(text.strip())
)
names = st.lists(words, min_size=1, max_size=3).map(tuple)
maybe = st.one_of(st.just(()), names)


@st.composite
def mappings(draw: st.DrawFn) -> RosterMapping:
    """Mappings that are taken, with odd characters in every name."""
    if draw(st.booleans()):
        columns = RosterColumns(
            officer_id=draw(names), start=draw(names), end=draw(names), team=draw(maybe), date=draw(maybe)
        )
        piece = tuple(
            PieceColumns(start=draw(names), end=draw(maybe)) for _ in range(draw(st.integers(0, 2)))
        )
    else:
        columns, piece = RosterColumns(officer_id=draw(names), time=draw(names), state=draw(names)), ()
    areas = st.lists(st.text(string.ascii_letters, min_size=1, max_size=9), max_size=3).map(tuple)
    return RosterMapping(
        columns=columns,
        piece=piece,
        time=TimeReading(
            zone=draw(st.sampled_from(["UTC", "Europe/London"])),
            format=draw(maybe),
            dates=draw(st.sampled_from(["day-first", "month-first"])),
            numbers=draw(st.sampled_from(["", "hhmm", "hours", "h.mm", "days"])),
            twice=draw(st.sampled_from(["refuse", "first", "second"])),
        ),
        devices=DeviceColumns(
            radio=draw(maybe),
            vehicle_end=draw(maybe),
            separators=draw(maybe),
            same=draw(st.dictionaries(words, st.text(string.digits, min_size=1, max_size=9), max_size=3)),
        ),
        teams=draw(st.one_of(st.none(), words, st.dictionaries(st.text(max_size=6), areas, max_size=4))),
        roles=draw(st.dictionaries(words, words, max_size=3)),
        states=draw(st.dictionaries(words, st.integers(0, 255), max_size=3)),
        shifts=draw(st.dictionaries(words, maybe, max_size=3)),
        rows=RowReading(sheet=draw(st.text(max_size=5)), header=draw(st.integers(0, 9)), skip=draw(maybe)),
        digits=IdDigits(officer_id=draw(st.integers(0, 20))),
    )


def test_a_single_id_is_not_corrected_to_nothing() -> None:
    """An id that would become empty is an error that names it."""
    with pytest.raises(RosterError, match=r"devices\.same\.71005: the id is empty"):
        parse_mapping('[columns]\nofficer_id = "a"\nstart = "b"\nend = "c"\n[devices.same]\n"71005" = " "\n')


@given(mappings(), st.dictionaries(st.sampled_from(["", "columns", "columns.end", "rows", "teams"]), words))
def test_what_is_written_is_read_back(mapping: RosterMapping, comments: dict[str, str]) -> None:
    """A mapping written as TOML, with comments of any text, is read back equal."""
    assert parse_mapping(mapping_text(mapping, comments)) == mapping


def test_a_comment_stands_above_its_key() -> None:
    """Comments are written above what they are about, for keys that are left out too."""
    mapping = RosterMapping(columns=RosterColumns(officer_id=("Collar",), start=("On",), end=("Off",)))
    text = mapping_text(
        mapping, {"": "Drafted", "columns.start": "booked on", "columns.team": "team: not found", "rows": "x"}
    )
    assert text == (
        '# Drafted\n\n[columns]\nofficer_id = "Collar"\n# team: not found\n# booked on\nstart = "On"\n'
        'end = "Off"\n\n# x\n[rows]\n'
    )


GOOD = '[columns]\nofficer_id = "Collar"\nstart = "On"\nend = "Off"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns = ", "not TOML: "),
        ('[column]\nofficer_id = "A"', "'column' is not known; did you mean 'columns'?"),
        ('[columns]\nofficer = "A"', "columns.'officer' is not known; did you mean 'officer_id'?"),
        ('[columns]\nzzz = "A"', "columns.'zzz' is not known; known: officer_id, duty_id, "),
        ("[columns]\nofficer_id = 1", "columns.officer_id: expected a list, got a whole number"),
        ('[columns]\nstart = "A"', "columns.officer_id is missing: "),
        ('[columns]\nofficer_id = "A"', "neither columns.start nor columns.times"),
        ('[columns]\nofficer_id = "A"\nstart = "B"', "columns.end is missing: "),
        (GOOD + 'times = "T"', "columns.start and columns.times both tell the start"),
        (GOOD + 'time = "T"', "columns.time belongs to states"),
        (GOOD + 'state = "T"', "columns.time is missing: "),
        (
            GOOD + 'state = "T"\ntime = "U"',
            "columns.state makes it a file of states, and columns.start one of",
        ),
        (
            GOOD + '[time]\ntwice = "third"',
            "time.twice: invalid enum value 'third'; known: ",
        ),
        (GOOD + '[time]\nzone = "London"', "time.zone 'London' is no time zone"),
        (
            GOOD + '[rows]\nfill = "oficer_id"',
            "rows.fill: 'oficer_id' is not known; did you mean 'officer_id'?",
        ),
        (GOOD + '[[piece]]\nstrat = "B"', "piece 1.'strat' is not known; did you mean 'start'?"),
        (GOOD + "[states]\nrest = 900", "states.rest is 900: a state is a number from 0 to 255"),
        (GOOD + '[teams]\nNC04 = ""', "teams.NC04: an area id is empty"),
        (
            '[columns]\nofficer_id = " "\nstart = "On"\nend = "Off"',
            "columns.officer_id names a column without",
        ),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(text: str, message: str) -> None:
    """A key that is not known names the nearest one, and a value that makes no sense its key."""
    with pytest.raises(RosterError) as caught:
        parse_mapping(text)
    assert str(caught.value).startswith(message)


def test_teams_may_stand_in_a_file(tmp_path: Path) -> None:
    """A table of teams in a CSV file beside the mapping is read as if it stood in the mapping."""
    (tmp_path / "teams.csv").write_text("team,area_id\nNC04,E05001784\nNC04,E05001785\nResponse,\n")
    (tmp_path / "map.toml").write_text('teams = "teams.csv"\n' + GOOD)
    found = read_mapping(tmp_path / "map.toml")
    assert found.teams == {"NC04": ("E05001784", "E05001785"), "Response": ()}
    (tmp_path / "teams.csv").write_text("code;area\n")
    with pytest.raises(RosterError, match="the columns 'team' and 'area_id' are needed"):
        read_mapping(tmp_path / "map.toml")


def test_a_file_with_our_own_names_needs_no_mapping() -> None:
    """Columns named as on the topics map to themselves; with names missing there is no mapping."""
    duties = own_names(["duty_id", "officer_id", "start", "end", "radio", "rank"])
    assert duties is not None
    assert duties.columns == RosterColumns(
        officer_id=("officer_id",), duty_id=("duty_id",), start=("start",), end=("end",)
    )
    assert duties.devices.radio == ("radio",)
    states = own_names(["officer_id", "time", "state", "end"])
    assert states is not None
    assert states.of_states
    assert own_names(["Collar", "start", "end"]) is None
