"""Rosters: what was written in any manner is read back, and only what changed is a revision."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import parse_time
from stream.core.facts import Allocation, Duty, StateReport
from stream.core.policy import DEFAULT_STATES
from stream.files.foreign import Cell, ForeignRow, ForeignTable
from stream.files.roster.changes import RosterChanges, compare
from stream.files.roster.mapping import RosterError, parse_mapping
from stream.files.roster.rows import choose, read_rows
from tests.rosters import Written, edited, own_day, rosters, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.files.roster.changes import Vanished


def changes_of(
    sheet: Written,
    known: dict[str, Duty] | None = None,
    vanished: Vanished = "ask",
    days: tuple[date | None, date | None] = (None, None),
) -> RosterChanges:
    """What a sheet says that was not known, with nothing refused."""
    found = read_rows(sheet.table(), sheet.mapping)
    changes = compare(found, sheet.mapping, known or {}, (), vanished=vanished, first=days[0], last=days[1])
    assert [(row.row, row.detail) for row in changes.refused] == []
    return changes


def after(known: dict[str, Duty], changes: RosterChanges) -> dict[str, Duty]:
    """What is known when changes were sent."""
    return known | {duty.duty_id: duty for duty in changes.duties}


@given(st.data(), st.booleans())
def test_a_roster_written_in_any_manner_comes_back(data: st.DataObject, ids: bool) -> None:
    """Nights, split shifts and both clock changes, in any form, columns and order, are read back exactly."""
    duties = data.draw(rosters(ids=ids))
    changes = changes_of(data.draw(written(duties, ids=ids)))
    assert {duty.duty_id: replace(duty, revision=0) for duty in changes.new} == {
        duty.duty_id: duty for duty in duties
    }
    assert all(duty.revision == 1 for duty in changes.new)


@given(st.data(), st.booleans())
def test_the_same_roster_again_changes_nothing(data: st.DataObject, ids: bool) -> None:
    """Imported again, in another manner and order of rows, a roster has nothing new, changed or vanished."""
    duties = data.draw(rosters(ids=ids))
    known = after({}, changes_of(data.draw(written(duties, ids=ids))))
    again = changes_of(data.draw(written(duties, ids=ids)), known)
    assert again.duties == []
    assert again.vanished == []
    assert again.unchanged == len(duties)


@given(st.data(), st.booleans())
def test_edits_between_two_imports_give_exactly_the_revisions(data: st.DataObject, ids: bool) -> None:
    """What was edited has a new revision, what was added is new, what is gone is asked about, and no more."""
    duties = data.draw(rosters(ids=ids))
    known = after({}, changes_of(data.draw(written(duties, ids=ids))))
    now = data.draw(edited(duties, ids=ids))
    sheet = data.draw(written(now.duties, ids=ids))
    days = [own_day(duty) for duty in [*duties, *now.duties]]
    found = changes_of(sheet, known, days=(min(days), max(days)))

    assert {duty.duty_id: replace(duty, revision=0) for duty in found.new} == now.new
    assert {duty.duty_id: replace(duty, revision=0) for _, duty in found.changed} == now.changed
    assert all((before.revision, duty.revision) == (1, 2) for before, duty in found.changed)
    teams = {duty.team for duty in now.duties}
    gone = {name for name in now.gone if not known[name].cancelled and known[name].team in teams}
    assert {duty.duty_id for duty in found.vanished} == gone
    others = [name for name in now.gone if not known[name].cancelled and known[name].team not in teams]
    assert found.elsewhere.total() == len(others)

    cancelling = changes_of(sheet, known, "cancel", (min(days), max(days)))
    assert {now.duty_id: now for _, now in cancelling.cancelled} == {
        name: replace(known[name], revision=2, cancelled=True) for name in gone
    }
    assert cancelling.vanished == []
    once_more = changes_of(sheet, after(known, cancelling), "ask", (min(days), max(days)))
    assert (once_more.duties, once_more.vanished) == ([], [])


# --- Examples ---------------------------------------------------------------------------------------------

BASE = """
[columns]
officer_id = "Collar"
date = "Date"
start = "On"
end = "Off"
team = "Team"
"""
HEAD = ("Collar", "Date", "On", "Off", "Team", "Ref", "Rev", "Radio", "Vehicle")


def table(*rows: Sequence[Cell], head: Sequence[str] = HEAD, sheet: str = "") -> ForeignTable:
    """Rows under the usual columns."""
    full = [tuple(row) + (None,) * (len(head) - len(row)) for row in rows]
    return ForeignTable(
        "roster",
        "workbook",
        "",
        tuple(head),
        [ForeignRow(number, row) for number, row in enumerate(full, 2)],
        header=1,
        sheet=sheet,
    )


def brought(
    *rows: Sequence[Cell],
    more: str = "",
    known: dict[str, Duty] | None = None,
    vanished: Vanished = "ask",
    head: Sequence[str] = HEAD,
    base: str = BASE,
) -> RosterChanges:
    """What some rows say, with a mapping that goes on after the usual one."""
    mapping = parse_mapping(base + more)
    return compare(read_rows(table(*rows, head=head), mapping), mapping, known or {}, (), vanished=vanished)


def times(changes: RosterChanges) -> list[tuple[str, int, int | None]]:
    """Ids and times of what is new."""
    return [(duty.duty_id, duty.start, duty.end) for duty in changes.new]


def z(text: str) -> int:
    """``2026-11-23 07:00`` in UTC."""
    return parse_time(f"{text.replace(' ', 'T')}:00Z")


def test_a_moved_shift_is_a_revision_and_not_a_new_duty() -> None:
    """Without ids of its own, a shift moved within its day keeps its id, beside another piece too."""
    first = ["1001", "23/11/2026", "0700", "1100", "NC04"]
    second = ["1001", "23/11/2026", "1500", "1900", "NC04"]
    known = after({}, brought(first, second))
    moved = ["1001", "23/11/2026", "0600", "1000", "NC04"]
    changes = brought(second, moved, known=known)
    assert [(before.duty_id, now.start) for before, now in changes.changed] == [
        ("1001-20261123-1", z("2026-11-23 06:00"))
    ]
    assert not changes.new
    assert not changes.vanished


def test_the_first_of_two_pieces_may_go() -> None:
    """Where the first piece of a day is gone, that one has vanished, and the second is what it was."""
    first = ["1001", "23/11/2026", "0700", "1100", "NC04"]
    second = ["1001", "23/11/2026", "1500", "1900", "NC04"]
    changes = brought(second, known=after({}, brought(first, second)))
    assert [duty.duty_id for duty in changes.vanished] == ["1001-20261123-1"]
    assert changes.unchanged == 1


def test_a_cancelled_row_and_the_one_in_its_place_keep_their_ids() -> None:
    """Of a shift that was cancelled and another made instead, each keeps its id, though they start alike."""
    more = 'cancelled = "Ref"\n'
    rows = [
        ["1001", "23/11/2026", "0700", "1500", "NC04", "yes"],
        ["1001", "23/11/2026", "0700", "1700", "NC04", "no"],
    ]
    known = after({}, brought(*rows, more=more))
    assert brought(*rows, more=more, known=known).unchanged == 2
    moved = ["1001", "23/11/2026", "0600", "1600", "NC04", "no"]
    assert [
        (before.duty_id, before.cancelled) for before, _ in brought(moved, more=more, known=known).changed
    ] == [("1001-20261123-2", False)]


def test_what_a_refused_row_may_be_about_has_not_vanished() -> None:
    """A row that is refused keeps its officer's duty from being called vanished, or cancelled."""
    rows = [["1001", "23/11/2026", "0700", "1700", "NC04"], ["1002", "23/11/2026", "0700", "1700", "NC04"]]
    known = after({}, brought(*rows))
    changes = brought(rows[1], ["1001", "23/11/2026", "late", "1700", "NC04"], known=known, vanished="cancel")
    assert [row.row for row in changes.refused] == [3]
    assert not changes.vanished
    assert not changes.cancelled


def test_a_row_without_an_officer_keeps_everything_from_being_cancelled() -> None:
    """Where a refused row does not tell whose it is, nothing is cancelled: it may be any of them."""
    rows = [["1001", "23/11/2026", "0700", "1700", "NC04"], ["1002", "23/11/2026", "0700", "1700", "NC04"]]
    known = after({}, brought(*rows))
    changes = brought(rows[1], ["", "23/11/2026", "0700", "1700", "NC04"], known=known, vanished="cancel")
    assert [duty.officer_id for duty in changes.vanished] == ["1001"]
    assert not changes.cancelled


def test_only_days_and_teams_of_the_file_are_compared() -> None:
    """Duties of other days, and of teams that the file does not have, have not vanished."""
    known = after(
        {},
        brought(
            ["1001", "22/11/2026", "0700", "1700", "NC04"],
            ["1002", "23/11/2026", "0700", "1700", "NC05"],
            ["1003", "23/11/2026", "0700", "1700", "NC04"],
        ),
    )
    changes = brought(["1004", "23/11/2026", "0700", "1700", "NC04"], known=known)
    assert [duty.officer_id for duty in changes.vanished] == ["1003"]
    assert changes.elsewhere == {"NC05": 1}


def test_a_duty_that_comes_back_is_revised_again() -> None:
    """A duty that vanished, was cancelled and is in the next file is no longer cancelled."""
    row = ["1001", "23/11/2026", "0700", "1700", "NC04"]
    other = ["1002", "23/11/2026", "0700", "1700", "NC04"]
    known = after({}, brought(row, other))
    known = after(known, brought(other, known=known, vanished="cancel"))
    assert known["1001-20261123-1"].cancelled
    [(_, now)] = brought(row, other, known=known).changed
    assert (now.revision, now.cancelled) == (3, False)


def test_several_rows_make_one_duty() -> None:
    """Rows of equal times, one for each device, are one duty with all devices."""
    changes = brought(
        ["1001", "23/11/2026", "0700", "1700", "NC04", "D1", "", "2345678", ""],
        ["1001", "23/11/2026", "0700", "1700", "NC04", "D1", "", "", "FX12 ABC (0900-1200)"],
        more='duty_id = "Ref"\n[devices]\nradio = "Radio"\nvehicle = "Vehicle"\nremove = " "\n',
    )
    [duty] = changes.new
    assert duty.devices == (
        Allocation("2345678", "radio"),
        Allocation("FX12ABC", "vehicle", z("2026-11-23 09:00"), z("2026-11-23 12:00")),
    )


def test_of_several_revisions_the_greatest_counts() -> None:
    """Where the export has revisions, the row with the greatest counts, and its number is sent."""
    changes = brought(
        ["1001", "23/11/2026", "0700", "1700", "NC04", "D1", "10"],
        ["1001", "23/11/2026", "0800", "1700", "NC04", "D1", "9"],
        more='duty_id = "Ref"\nrevision = "Rev"\n',
    )
    assert [(duty.start, duty.revision) for duty in changes.new] == [(z("2026-11-23 07:00"), 10)]
    assert changes.told["superseded"] == 1


def test_a_split_shift_under_one_number_is_two_duties() -> None:
    """Two pieces under the export's own number have ids of their own, which the next import finds again."""
    rows = [
        ["1001", "23/11/2026", "0700", "1100", "NC04", "D1"],
        ["1001", "23/11/2026", "1500", "1900", "NC04", "D1"],
    ]
    changes = brought(*rows, more='duty_id = "Ref"\n')
    assert [duty.duty_id for duty in changes.new] == ["D1", "D1~2"]
    again = brought(*rows[::-1], more='duty_id = "Ref"\n', known=after({}, changes))
    assert again.unchanged == 2


@pytest.mark.parametrize(
    ("rows", "detail"),
    [
        (
            [
                ["1001", "23/11/2026", "0700", "1700", "NC04", "D1"],
                ["1002", "23/11/2026", "0700", "1700", "NC04", "D1"],
            ],
            "rows 2 and 3 give duty D1 to different officers",
        ),
        (
            [
                ["1001", "23/11/2026", "0700", "1700", "NC04", "D1"],
                ["1001", "23/11/2026", "0800", "1700", "NC04", "D1"],
            ],
            "rows 2 and 3 give duty D1 times that overlap; which counts?",
        ),
        (
            [
                ["1001", "23/11/2026", "0700", "1700", "NC04", "D1"],
                ["1001", "23/11/2026", "0700", "1700", "NC05", "D1"],
            ],
            "rows 2 and 3 are of one duty and differ in team",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_refused(rows: list[list[Cell]], detail: str) -> None:
    """Rows that say different things of one duty are refused together, and the message names them."""
    changes = brought(*rows, more='duty_id = "Ref"\n')
    assert [row.row for row in changes.refused] == [2, 3]
    assert changes.refused[0].detail.startswith(detail)
    assert not changes.new


def test_an_unknown_team_is_refused_and_one_without_a_patch_is_not() -> None:
    """A team that the table does not have is refused: an empty patch would take it out of the figures."""
    changes = brought(
        ["1001", "23/11/2026", "0700", "1700", "nc04 "],
        ["1002", "23/11/2026", "0700", "1700", "Response"],
        ["1003", "23/11/2026", "0700", "1700", "NC99"],
        ["1004", "23/11/2026", "0700", "1700", ""],
        more='[teams]\nNC04 = ["E2", "E1"]\nResponse = []\n',
    )
    assert [(duty.officer_id, duty.patch) for duty in changes.new] == [("1001", ("E1", "E2")), ("1002", ())]
    assert [(row.row, row.reason) for row in changes.refused] == [(4, "unknown_team"), (5, "unknown_team")]
    assert changes.told["no_patch"] == 1


def test_leading_zeros_that_a_spreadsheet_dropped_come_back() -> None:
    """Ids are texts; numbers shorter than [digits] says get their zeros, and shortened ones are refused."""
    changes = brought(
        [101, "23/11/2026", "0700", "1700", "NC04", "", "", 12345],
        ["0102", "23/11/2026", "0700", "1700", "NC04", "", "", "0012345"],
        ["A7", "23/11/2026", "0700", "1700", "NC04", "", "", "2.34568E+06"],
        more='[devices]\nradio = "Radio"\n[digits]\nofficer_id = 4\nradio = 7\n',
    )
    assert [duty.officer_id for duty in changes.new] == ["0101", "0102"]
    assert {duty.devices[0].device_id for duty in changes.new} == {"0012345"}
    assert changes.refused[0].detail == "radio '2.34568E+06': a spreadsheet has shortened the number"


@pytest.mark.parametrize("nothing", ["-", "N/A", "n/a", "None", "TBC", "nil", "–", "0", "-; n/a"])
def test_a_cell_that_says_that_there_is_nobody_is_no_id(nothing: str) -> None:
    """What people write where there is no device yet is no device, and is told; no officer is no duty."""
    changes = brought(
        ["1001", "23/11/2026", "0700", "1700", "NC04", "", "", nothing],
        [nothing.partition(";")[0], "23/11/2026", "0700", "1700", "NC04", "", "", "2345678"],
        more='[devices]\nradio = "Radio"\n',
    )
    assert [(duty.officer_id, duty.devices) for duty in changes.new] == [("1001", ())]
    assert changes.told["blank_device"] == nothing.count(";") + 1
    assert [(row.row, row.reason) for row in changes.refused] == [(3, "no_officer")]


@pytest.mark.parametrize("word", ["CANCELED", "Canx", "CNX", "cancellation", "cxld"])
def test_a_word_that_can_only_mean_cancelled_is_not_taken_for_a_duty(word: str) -> None:
    """Another spelling than the mapping has is refused by name; a cancelled rest day may be a duty."""
    changes = brought(
        ["1001", "23/11/2026", "0700", "1700", "NC04", word],
        ["1002", "23/11/2026", "0700", "1700", "NC04", "Cancelled rest day"],
        ["1003", "23/11/2026", "0700", "1700", "NC04", "Cancelled"],
        more='cancelled = "Ref"\n[rows]\ncancelled = "Cancelled"\nlive = "Cancelled rest day"\n',
    )
    assert [(duty.officer_id, duty.cancelled) for duty in changes.new] == [("1002", False), ("1003", True)]
    assert [(row.row, row.detail) for row in changes.refused] == [
        (2, f"does '{word}' mean cancelled? List it in rows.cancelled if it does, else in rows.live")
    ]


def test_codes_of_shifts_are_times_or_no_duty() -> None:
    """A shift's code stands for its times, one without times for an absence, an unknown one is refused."""
    base = '[columns]\nofficer_id = "Collar"\ndate = "Date"\ntimes = "On"\n'
    changes = brought(
        ["1001", "23/11/2026", "E"],
        ["1002", "23/11/2026", "rd"],
        ["1003", "23/11/2026", "7am-11am, 6pm to 2am"],
        ["1004", "23/11/2026", "EE"],
        ["1005", "23/11/2026", "22:00–06:00"],
        more='[shifts]\nE = "0700-1500"\nRD = []\n',
        base=base,
    )
    assert times(changes) == [
        ("1001-20261123-1", z("2026-11-23 07:00"), z("2026-11-23 15:00")),
        ("1003-20261123-1", z("2026-11-23 07:00"), z("2026-11-23 11:00")),
        ("1003-20261123-2", z("2026-11-23 18:00"), z("2026-11-24 02:00")),
        ("1005-20261123-1", z("2026-11-23 22:00"), z("2026-11-24 06:00")),
    ]
    assert [(row.row, row.reason) for row in changes.refused] == [(5, "unknown_shift")]
    assert "did you mean 'e'?" in changes.refused[0].detail
    assert len(changes.found.passed) == 1


def test_an_officer_written_once_for_several_rows_is_filled_down() -> None:
    """Where the export writes an officer once above several rows, [rows] fill reads the rows as meant."""
    changes = brought(
        ["1001", "23/11/2026", "0700", "1700", "NC04"],
        ["", "24/11/2026", "0700", "1700", ""],
        ["1002", "23/11/2026", "0700", "1700", "NC05"],
        more='[rows]\nfill = ["officer_id", "team"]\n',
    )
    assert [(duty.duty_id, duty.team) for duty in changes.new] == [
        ("1001-20261123-1", "NC04"),
        ("1001-20261124-1", "NC04"),
        ("1002-20261123-1", "NC05"),
    ]


def test_a_midnight_of_a_workbook_is_one_where_its_column_has_times() -> None:
    """Read from a workbook, midnight is a day alone: taken in a column of times, refused in one of days."""
    base = '[columns]\nofficer_id = "Collar"\nstart = "On"\nend = "Off"\n'
    midnight, noon = date(2026, 11, 23), datetime(2026, 11, 23, 12)  # noqa: DTZ001 # local
    good = brought(["1", "", midnight, noon], ["2", "", noon, date(2026, 11, 24)], base=base)
    assert times(good) == [
        ("1-20261123-1", z("2026-11-23 00:00"), z("2026-11-23 12:00")),
        ("2-20261123-1", z("2026-11-23 12:00"), z("2026-11-24 00:00")),
    ]
    bad = brought(["1", "", midnight, noon], base=base)
    assert bad.refused[0].detail == "the start on 2026-11-23 has no time of day"


def test_a_row_with_too_many_cells_is_refused() -> None:
    """A separator inside a text shifts the cells behind it: such a row is refused, not misread."""
    row = ForeignRow(2, ("1", "23/11/2026", "0700", "1700", "NC04"), ("5",))
    shifted = ForeignTable("roster", "text", "", HEAD[:5], [row])
    assert [row.reason for row in read_rows(shifted, parse_mapping(BASE)).refused] == ["shifted"]


def test_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    """A mapped column that the file does not have is an error that names the nearest of the file's."""
    with pytest.raises(
        RosterError, match=r"columns.start names the column 'On duty', .*did you mean 'On Duty at'"
    ):
        brought(
            base='[columns]\nofficer_id = "Collar"\nstart = "On duty"\nend = "Off"\n',
            head=("Collar", "On Duty at", "Off"),
        )


def test_of_several_sheets_the_one_with_the_columns_is_taken() -> None:
    """Where one sheet has the mapped columns it is the roster; where several have, the mapping must say."""
    mapping = parse_mapping(BASE)
    notes, roster = table(head=("a", "b"), sheet="Notes"), table(sheet="Week 47")
    assert choose([notes, roster], mapping)[0] is roster
    with pytest.raises(RosterError, match=r"say which is meant in rows\.sheet"):
        choose([roster, table(sheet="Week 48")], mapping)
    with pytest.raises(RosterError, match=r"columns\.officer_id names the column 'Collar'"):
        choose([notes], mapping)
    with pytest.raises(RosterError, match="a mapping is needed"):
        choose([notes], None)


@given(
    ids=st.lists(st.integers(1, 99_999), min_size=1, max_size=5, unique=True),
    wrong=st.integers(0, 4),
    digits=st.sampled_from([0, 7]),
    completed=st.booleans(),
)
def test_a_single_id_is_corrected_by_the_mapping(
    ids: list[int], wrong: int, digits: int, completed: bool
) -> None:
    """[devices.same] gives one device the id that its tracker reports, as written or as completed with zeros;
    all others keep theirs.
    """
    at = wrong % len(ids)
    theirs = str(ids[at]).zfill(digits if completed else 0)
    mapping = parse_mapping(
        '[columns]\nofficer_id = "Collar"\nstart = "On"\nend = "Off"\n[devices]\nradio = "Radio"\n'
        f'[devices.same]\n"{theirs}" = "T-1"\n[digits]\nradio = {digits}\n'
    )
    rows = [["0101", "23/11/2026 0700", "23/11/2026 1500", str(each)] for each in ids]
    read = read_rows(table(*rows, head=("Collar", "On", "Off", "Radio")), mapping)
    expected = [str(each).zfill(digits) for each in ids]
    expected[at] = "T-1"
    assert [piece.devices[0].device_id for piece in read.pieces] == expected


STATES = '[columns]\nofficer_id = "Collar"\ntime = ["Date", "Time"]\nstate = "State"\n'
STATE_HEAD = ("Collar", "Date", "Time", "State")


@pytest.mark.parametrize(
    ("text", "code"),
    [("04", 4), ("4.0", 4), (4.0, 4), (4, 4), ("Code 4", 4), ("code: 04", 4), ("S4", 4), ("Status 11", 11),
     ("4 - Refreshments", 4), ("6 At scene", 6), ("0", 0), ("Meal", 4), ("MEAL ", 4)],
)  # fmt: skip
def test_states_as_they_come(text: Cell, code: int) -> None:
    """A state is taken as a number in any of its usual forms, or by a word of the mapping."""
    mapping = parse_mapping(STATES + "[states]\nmeal = 4\n")
    found = read_rows(table(["1001", "23/11/2026", "12:00", text], head=STATE_HEAD), mapping)
    assert [state for _, state in found.states] == [StateReport("1001", z("2026-11-23 12:00"), code)]


@pytest.mark.parametrize("text", ["", "Meals", "10-4", "4/5", "300", "x"])
def test_a_state_that_is_not_known_is_refused(text: str) -> None:
    """What is neither a number nor a word of the mapping is refused."""
    mapping = parse_mapping(STATES + "[states]\nmeal = 4\n")
    found = read_rows(table(["1001", "23/11/2026", "12:00", text], head=STATE_HEAD), mapping)
    assert [row.reason for row in found.refused] == ["unknown_state"]


_NAMED = [(code, state.name.replace("_", " ")) for code, state in DEFAULT_STATES.items()]


@given(
    number=st.integers(0, 99),
    named=st.sampled_from([*_NAMED, (4, "refs"), (4, "Meal break"), (None, "Custody"), (None, "Enquiries")]),
    form=st.sampled_from(["{:02d} - {}", "{}: {}", "{} {}", "Code {} – {}"]),
    upper=st.booleans(),
)
def test_a_number_and_a_word_are_a_state_where_they_agree(
    number: int, named: tuple[int | None, str], form: str, upper: bool
) -> None:
    """A cell with a number and a word is taken where both mean the same state; else its row is refused, and
    what the refusal says to write decides it.
    """
    code, word = named
    text = form.format(number, word.upper() if upper else word)
    read = table(["1001", "23/11/2026", "12:00", text], head=STATE_HEAD)
    found = read_rows(read, parse_mapping(STATES))
    if number == code:
        assert [state.state for _, state in found.states] == [code]
        return
    [row] = found.refused
    assert row.reason == "unknown_state"
    assert "do not agree" in row.detail
    assert f"write '\"{text}\" = …' in [states]" in row.detail
    decided = read_rows(read, parse_mapping(f'{STATES}[states]\n"{text}" = 8\n'))
    assert [state.state for _, state in decided.states] == [8]


def test_states_that_vanished_are_told_and_cannot_be_cancelled() -> None:
    """A state that was sent stays sent: one missing in the next file is told, and never taken back."""
    mapping = parse_mapping(STATES)
    rows = [["1001", "23/11/2026", "12:00", "4"], ["1001", "23/11/2026", "12:45", "2"]]
    both = read_rows(table(*rows, head=STATE_HEAD), mapping)
    known = compare(both, mapping, {}, ()).new_states
    assert len(known) == 2
    changes = compare(read_rows(table(rows[1], head=STATE_HEAD), mapping), mapping, {}, known)
    assert [state.state for state in changes.vanished_states] == [4]
    with pytest.raises(RosterError, match="cannot be taken back"):
        compare(both, mapping, {}, known, vanished="cancel")


def test_several_forms_of_typed_cells() -> None:
    """A workbook's days, times, times beyond midnight and durations are taken as what they are."""
    base = '[columns]\nofficer_id = "Collar"\ndate = "Date"\nstart = "On"\nend = "Off"\n'
    changes = brought(
        ["1", date(2026, 11, 23), time(7), time(17)],
        ["2", date(2026, 11, 23), time(16), timedelta(hours=24)],
        ["3", date(2026, 11, 23), time(16), date(1900, 1, 1)],
        ["4", datetime(2026, 11, 23), time(6, 59, 59, 999_990), "1500"],  # noqa: DTZ001 # local
        base=base,
    )
    assert [(start, end) for _, start, end in times(changes)] == [
        (z("2026-11-23 07:00"), z("2026-11-23 17:00")),
        (z("2026-11-23 16:00"), z("2026-11-24 00:00")),
        (z("2026-11-23 16:00"), z("2026-11-24 00:00")),
        (z("2026-11-23 07:00"), z("2026-11-23 15:00")),
    ]


GRID = """
[columns]
officer_id = "Collar"
team = "Team"
[rows]
grid = true
skip = "AL"
[shifts]
E = "0700-1500"
RD = []
"""


def test_a_column_for_each_day_is_a_row_for_each_day() -> None:
    """A grid of officers and days gives a duty for each cell with times, and covers all its days."""
    head = ("Collar", "Team", "23/11/2026", "Tue 24 Nov 2026", "Total")
    rows: list[list[Cell]] = [
        ["1001", "NC04", "E", "2200-0600", 16],
        ["1002", "NC04", "RD", "", 0],
        ["1003", "NC05", "AL", "Q", 0],
    ]
    changes = brought(*rows, head=head, base=GRID)
    assert times(changes) == [
        ("1001-20261123-1", z("2026-11-23 07:00"), z("2026-11-23 15:00")),
        ("1001-20261124-1", z("2026-11-24 22:00"), z("2026-11-25 06:00")),
    ]
    assert [(row.row, row.reason, row.day) for row in changes.refused] == [
        (4, "unknown_shift", date(2026, 11, 24))
    ]
    assert len(changes.found.passed) == 2
    gone = brought(["1002", "NC04", "", "E"], head=head, base=GRID, known=after({}, changes))
    assert [duty.duty_id for duty in gone.vanished] == ["1001-20261123-1", "1001-20261124-1"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (("Collar", "Team", "Mon 23 Nov", "24"), "no column is named by a day with its year"),
        (("Collar", "Team", "23/11/2026", "2026-11-23"), "several columns are named by the same day"),
        (("Collar", "Team", "23/11/2026", "23/11/2026 (2)"), "several columns are named by the same day"),
        (
            ("Officer", "Team", "23/11/2026"),
            r"columns\.officer_id names the column 'Collar', which is not there",
        ),
    ],
)
def test_a_grid_without_days_or_with_one_twice_is_refused(head: tuple[str, ...], message: str) -> None:
    """A grid whose days cannot be told, or are there twice, is an error and not half a roster."""
    with pytest.raises(RosterError, match=message):
        brought(["1001", "NC04", "E"], head=head, base=GRID)


@pytest.mark.parametrize(
    ("on", "off", "cell", "found"),
    [
        ("0700", "1700", "A (0900-1200)", ("2026-11-23 09:00", "2026-11-23 12:00")),
        ("0700", "1700", "A 09:00-12:00", ("2026-11-23 09:00", "2026-11-23 12:00")),
        ("0700", "1700", "A (0645-1200)", ("2026-11-23 06:45", "2026-11-23 12:00")),  # booked before the duty
        ("2200", "0700", "A (0100-0500)", ("2026-11-24 01:00", "2026-11-24 05:00")),
        ("2200", "0700", "A (2330-0030)", ("2026-11-23 23:30", "2026-11-24 00:30")),
        ("2200", "0700", "A (2145-0030)", ("2026-11-23 21:45", "2026-11-24 00:30")),
        ("0700", "1700", "A (1600-1800)", ("2026-11-23 16:00", "2026-11-23 18:00")),
        ("0700", "1700", "A (0500-0600)", None),
        ("0700", "1700", "A (1800-1900)", None),
    ],
)
def test_an_allocation_is_for_its_part_of_the_duty(
    on: str, off: str, cell: str, found: tuple[str, str] | None
) -> None:
    """Times behind a device's id lie in the duty, past midnight too; what is outside of it is refused."""
    changes = brought(
        ["1001", "23/11/2026", on, off, "NC04", "", "", "", cell], more='[devices]\nvehicle = "Vehicle"\n'
    )
    if found is None:
        assert [row.detail for row in changes.refused] == ["vehicle A is allocated outside of the duty"]
    else:
        assert changes.new[0].devices == (Allocation("A", "vehicle", z(found[0]), z(found[1])),)


def test_an_allocation_that_ends_when_it_starts_is_refused() -> None:
    """Equal times of an allocation are nothing, or 24 hours: refused."""
    row = ["1001", "23/11/2026", "0700", "1700", "NC04", "", "", "", "A (0900-0900)"]
    changes = brought(row, more='[devices]\nvehicle = "Vehicle"\n')
    assert [row.detail for row in changes.refused] == ["vehicle A: its end is not after its start"]


def test_an_allocation_in_the_hour_that_comes_twice_is_told() -> None:
    """The hour that comes twice is refused for an allocation too; taken as the mapping says, it is told."""
    row = ["1001", "24/10/2026", "2200", "0700", "NC04", "", "", "", "A (0130-0500)"]
    devices = '[devices]\nvehicle = "Vehicle"\n'
    assert [item.reason for item in brought(row, more=devices).refused] == ["hour_twice"]
    changes = brought(row, more=devices + '[time]\ntwice = "second"\n')
    assert changes.new[0].devices[0].start == z("2026-10-25 01:30")
    assert changes.told["twice"] == 1


def test_an_allocation_belongs_to_the_piece_that_it_lies_in() -> None:
    """In a row of a split shift an allocation is of the piece in which it lies, one without times of each."""
    base = '[columns]\nofficer_id = "Collar"\ndate = "Date"\ntimes = "On"\n'
    row = ["1001", "29/03/2026", "2000-2200, 0130-0300", "", "", "", "", "R1", "A (0200-0230); B (2000-2130)"]
    changes = brought(row, more='[devices]\nradio = "Radio"\nvehicle = "Vehicle"\n', base=base)
    # The second piece is on 30 March: on the 29th there is no 01:30, but it is not meant.
    assert [(duty.start, [item.device_id for item in duty.devices]) for duty in changes.new] == [
        (z("2026-03-29 19:00"), ["R1", "B"]),
        (z("2026-03-30 00:30"), ["R1", "A"]),
    ]


def test_an_allocation_may_have_columns_for_its_time() -> None:
    """Columns of a device's start and end are times within the duty, past midnight too."""
    changes = brought(
        ["1001", "23/11/2026", "2200", "0700", "NC04", "2330", "0500", "2345678", "FX12ABC"],
        more='[devices]\nradio = "Radio"\nvehicle = "Vehicle"\nvehicle_start = "Ref"\nvehicle_end = "Rev"\n',
    )
    assert changes.new[0].devices == (
        Allocation("2345678", "radio"),
        Allocation("FX12ABC", "vehicle", z("2026-11-23 23:30"), z("2026-11-24 05:00")),
    )
