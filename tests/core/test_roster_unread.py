"""What a mapping leaves unread: columns that say a duty was cancelled are never passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.files.doctor.diagnosis import diagnose, parse_any_mapping
from stream.files.foreign import ForeignRow, ForeignTable, tables
from stream.files.roster.mapping import RosterError, RosterMapping, parse_mapping
from stream.files.roster.rows import read_rows, says_cancelled
from stream.files.roster.unread import require_decided, unread_columns
from tests.foreign_files import csv_bytes, xlsx_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORDS = (
    "canx",
    "cxl",
    "cncl",
    "cancelled",
    "Canceled",
    "canc",
    "withdrawn",
    "void",
    "deleted",
    "Cxl'd",
    "CANX - sick",
    "Cancelled by duty planning",
)
HEAD = ("Collar", "Start", "End", "Dty Status", "Remarks")
MAP = '[columns]\nofficer_id = "Collar"\nstart = "Start"\nend = "End"\n'


def table(*states: str, remarks: str = "", head: tuple[str, ...] = HEAD) -> ForeignTable:
    """A duty for each word of a status."""
    rows = [
        ForeignRow(
            at, (f"01{at:02d}", f"{at:02d}/11/2026 0700", f"{at:02d}/11/2026 1500", state, remarks), ()
        )
        for at, state in enumerate(states, 2)
    ]
    return ForeignTable("r.csv", "text", "CSV", head, rows, header=1)


def exported(folder: Path, name: str, *states: str) -> Path:
    """The same as a file."""
    path = folder / name
    rows: list[Sequence[object]] = [HEAD, *(row.cells for row in table(*states).rows)]
    path.write_bytes(csv_bytes(rows) if name.endswith(".csv") else xlsx_bytes({"Duties": rows}))
    return path


cased = st.sampled_from(WORDS).flatmap(lambda word: st.sampled_from([word, word.upper(), word.title()]))


@given(cased, st.integers(0, 4), st.sampled_from(["Dty Status", "X1", "Booking state"]))
def test_an_import_with_a_word_for_cancelled_that_nothing_decides_is_refused(
    word: str, at: int, name: str
) -> None:
    """Wherever a word for cancelled stands in a column that is not read, the import is refused, and what the
    message says to write decides it: either way.
    """
    states = ["BOOKED"] * 4
    states.insert(at, word)
    read = table(*states, head=(*HEAD[:3], name, "Remarks"))
    with pytest.raises(RosterError) as refused:
        require_decided(read, parse_mapping(MAP))
    said = str(refused.value)
    assert "\n" not in said
    assert f'cancelled = "{name}" under [columns] and cancelled = ["{word}"] under [rows]' in said
    decided = parse_mapping(f'{MAP}cancelled = "{name}"\n[rows]\ncancelled = ["{word}"]\n')
    require_decided(read, decided)
    assert [piece.cancelled for piece in read_rows(read, decided).pieces] == [
        state == word for state in states
    ]
    for rows in (f'ignore = "{name}"', f'skip = "{word}"'):
        require_decided(read, parse_mapping(f"{MAP}[rows]\n{rows}\n"))


@pytest.mark.parametrize("word", ["", "BOOKED", "Not cancelled", "uncancelled", "Canteen", "Avoid A6", "can"])
def test_other_words_cancel_nothing(word: str) -> None:
    """Words that only resemble those for cancelled, and those that deny it, are none."""
    assert not says_cancelled(word)
    require_decided(table(word, "BOOKED"), parse_mapping(MAP))


def test_a_column_named_cancelled_is_decided_by_a_mapping() -> None:
    """A column called Canx with Y in a row is not passed over, whatever else it holds."""
    head = (*HEAD[:3], "Canx", "Remarks")
    require_decided(table("N", "", head=head), parse_mapping(MAP))
    with pytest.raises(RosterError, match=r'write cancelled = "Canx" under \[columns\]; or, if it does not'):
        require_decided(table("N", "Y", head=head), parse_mapping(MAP))


def test_a_second_word_for_cancelled_is_refused_by_row() -> None:
    """Beside the words of the mapping, a word that looks like cancelled refuses its row until one decides."""
    mapping = f'{MAP}cancelled = "Dty Status"\n[rows]\ncancelled = "CANX"\n'
    read = read_rows(table("BOOKED", "CANX", "CXL"), parse_mapping(mapping))
    assert [piece.cancelled for piece in read.pieces] == [False, True]
    [row] = read.refused
    assert (row.row, row.reason) == (4, "bad_value")
    assert "List it in rows.cancelled if it does, else in rows.live" in row.detail
    read = read_rows(table("BOOKED", "CANX", "CXL"), parse_mapping(f'{mapping}live = "cxl"\n'))
    assert [piece.cancelled for piece in read.pieces] == [False, True, False]


@pytest.mark.parametrize("key", ["cancelled", "live"])
def test_words_for_cancelled_without_their_column_are_an_error(key: str) -> None:
    """rows.cancelled without columns.cancelled would cancel nothing: the error says what is missing."""
    with pytest.raises(RosterError, match=rf"rows\.{key} has words, and columns\.cancelled is missing"):
        parse_mapping(f'{MAP}[rows]\n{key} = "CANX"\n')


def test_columns_that_are_not_read_are_named() -> None:
    """What no key names is listed in the file's order, without columns that are empty."""
    assert unread_columns(table("BOOKED"), parse_mapping(MAP)) == ("Dty Status",)
    assert unread_columns(table("BOOKED", remarks="late"), parse_mapping(MAP)) == ("Dty Status", "Remarks")


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
@pytest.mark.parametrize("word", ["CANX", "cxl", "Withdrawn"])
def test_the_draft_of_the_doctor_cancels_what_was_cancelled(tmp_path: Path, name: str, word: str) -> None:
    """A status with a word for cancelled is in the draft, though it stands in one row alone."""
    path = exported(tmp_path, name, *["BOOKED"] * 8, word)
    [answer] = diagnose(path)
    assert answer.columns["cancelled"] == ["Dty Status"]
    mapping = parse_any_mapping(answer.mapping)
    assert isinstance(mapping, RosterMapping)
    [read] = tables(path)
    assert [piece.cancelled for piece in read_rows(read, mapping).pieces] == [False] * 8 + [True]


def test_the_doctor_asks_which_word_cancels(tmp_path: Path) -> None:
    """A status without a word that is known is asked about, and never said to have none."""
    [answer] = diagnose(exported(tmp_path, "a.csv", "BOOKED", "STOOD"))
    assert any("which of 'BOOKED', 'STOOD' in 'Dty Status' cancels a duty?" in each for each in answer.unsure)
