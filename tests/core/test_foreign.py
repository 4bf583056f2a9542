# ruff: noqa: DTZ001 # what a workbook holds are local times without a zone
"""Foreign tables: the rows that were written come back, whatever wrote them; hostile files cost one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import zipfile
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from stream.files.foreign import ForeignError, ForeignLimits, blank, tables, text_of
from tests.foreign_files import csv_bytes, json_bytes, ods_bytes, packed, xlsx_bytes, zip_bytes

if TYPE_CHECKING:
    from pathlib import Path

WORD = st.text("abcdefghijklmnopqrstuvwxyzäöüéABCXYZ", min_size=1, max_size=8).filter(
    lambda word: word.lower() not in {"true", "false", "null", "none"}  # which no column is named
)
VALUE = st.one_of(
    st.integers(0, 99_999_999).map(str),
    st.floats(-180, 180).map(lambda value: f"{value:.5f}"),
    st.floats(-180, 180).map(lambda value: f"{value:.5f}".replace(".", ",")),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: f"{at:%d/%m/%Y %H:%M}"),
    WORD,
    st.sampled_from(["0012345", "Smith, Ann", "a;b", "a|b", 'five" screen', "two\nlines", "£5", "x\ty", ""]),
)


@st.composite
def written(draw: st.DrawFn, value: st.SearchStrategy[Any] = VALUE) -> tuple[list[str], list[list[Any]]]:
    """Names and rows; every row has at least two cells that are not empty, as a table's rows have."""
    columns = draw(st.lists(WORD, min_size=2, max_size=7, unique=True))
    row = st.lists(value, min_size=len(columns), max_size=len(columns))
    rows = draw(
        st.lists(
            row.filter(lambda cells: sum(not blank(cell) for cell in cells) >= 2), min_size=1, max_size=12
        )
    )
    return columns, rows


def _written_to(folder: Path, content: bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a property's files go, one after the other."""
    return tmp_path_factory.mktemp("foreign")


@given(
    table=written(),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be-mark", "cp1252"]),
    sep_line=st.booleans(),
    end=st.sampled_from(["\r\n", "\n"]),
    by=st.sampled_from(["", "gzip", "zip"]),
    all_quoted=st.booleans(),
    above=st.lists(st.sampled_from(["Positions report", "", "Printed 23/11/2026 08:15"]), max_size=3),
)
def test_a_text_comes_back(
    table: tuple[list[str], list[list[str]]],
    delimiter: str,
    encoding: str,
    sep_line: bool,
    end: str,
    by: str,
    all_quoted: bool,
    above: list[str],
    folder: Path,
) -> None:
    """Rows written with any delimiter, encoding, line ends, quoting and packing are read as they were."""
    columns, rows = table
    if not sep_line:
        # Without a line that says it, the delimiter is told by the rows: so there must be a few.
        assume(len(rows) >= 3 or not any(set(",;\t|") & set(cell) for row in rows for cell in row))
    content = csv_bytes(
        [*([line] for line in above), columns, *rows],
        delimiter=delimiter,
        encoding=encoding,
        sep_line=sep_line,
        end=end,
        quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL,
    )
    [found] = tables(_written_to(folder, packed(content, by)))
    assert found.columns == tuple(columns)
    assert [list(row.cells) for row in found.rows] == rows
    assert not any(row.extra for row in found.rows)
    assert found.delimiter == delimiter
    assert found.preamble == tuple(line for line in above if line)
    # A row's number is the line in an editor.
    lines = content if encoding.startswith("utf-8") else b""
    text = lines.decode("utf-8-sig").replace("\r\n", "\n").split("\n") if lines else []
    for row in found.rows if text else ():
        first = next((cell for cell in row.cells if cell and isinstance(cell, str)), "")
        assert first.split("\n")[0].replace('"', '""') in text[row.number - 1]


TYPED = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(-180, 180).map(lambda value: round(value, 6)),
    st.booleans(),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    st.dates(date(2000, 1, 1), date(2099, 1, 1)),
    st.times().map(lambda at: at.replace(microsecond=0)),
    WORD,
    st.sampled_from(["0012345", "1001", "23/11/2026", None]),
)


def _as_excel(cell: Any) -> Any:
    """A cell as Excel keeps it: whole numbers are numbers, midnight is a date."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell.date() if isinstance(cell, datetime) and cell.time() == time() else cell


@given(
    table=written(TYPED),
    down=st.integers(0, 4),
    across=st.integers(0, 3),
    by=st.sampled_from(["", "gzip", "zip"]),
)
@settings(max_examples=25)  # each starts a process
def test_a_workbook_comes_back(
    table: tuple[list[str], list[list[Any]]], down: int, across: int, by: str, folder: Path
) -> None:
    """Cells of a workbook keep their types, wherever the table stands; texts keep their zeros."""
    columns, rows = table
    content = xlsx_bytes({"Notes": [], "Duties": [columns, *rows]}, first_row=down, first_column=across)
    [found] = tables(_written_to(folder, packed(content, by, "book.xlsx"), "book.xlsx"))
    assert found.sheet == "Duties"
    assert found.columns == tuple(columns)
    assert [list(row.cells) for row in found.rows] == [[_as_excel(cell) for cell in row] for row in rows]
    assert [type(cell) for row in found.rows for cell in row.cells] == [
        type(_as_excel(cell)) for row in rows for cell in row
    ]
    assert [row.number for row in found.rows] == list(range(down + 2, down + 2 + len(rows)))
    assert found.header == down + 1


@given(table=written(st.one_of(WORD, st.integers(0, 10**6), st.sampled_from(["0012345", None]))))
@settings(max_examples=25)  # each starts a process
def test_an_opendocument_workbook_comes_back(table: tuple[list[str], list[list[Any]]], folder: Path) -> None:
    """Rows of an ODS sheet come back with their types and row numbers."""
    columns, rows = table
    [found] = tables(_written_to(folder, ods_bytes([columns, *rows]), "book.ods"))
    assert found.columns == tuple(columns)
    assert [list(row.cells) for row in found.rows] == rows
    assert [row.number for row in found.rows] == list(range(2, 2 + len(rows)))


@given(
    table=written(
        st.one_of(WORD, st.integers(-(2**53), 2**53), st.floats(-180, 180), st.booleans(), st.none())
    ),
    form=st.sampled_from(["array", "lines", "wrapped", "cells"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    by=st.sampled_from(["", "gzip", "zip"]),
)
def test_json_comes_back(
    table: tuple[list[str], list[list[Any]]], form: str, encoding: str, by: str, folder: Path
) -> None:
    """Objects in an array, in a wrapper, on lines, or arrays of cells come back with their types."""
    columns, rows = table
    content = json_bytes(columns, rows, form, encoding)
    [found] = tables(_written_to(folder, packed(content, by), "table.json"))
    assert found.columns == tuple(columns)
    assert [list(row.cells) for row in found.rows] == rows


@given(table=written(st.one_of(WORD, st.none())), sample=st.integers(1, 20))
def test_parquet_comes_back(table: tuple[list[str], list[list[Any]]], sample: int, folder: Path) -> None:
    """Parquet's rows come back, and a sample is their beginning and says so."""
    columns, rows = table
    arrays = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(columns))]
    path = folder / "table.parquet"
    parquet.write_table(pa.table(arrays, names=columns), path)
    [found] = tables(path, sample=sample)
    assert found.columns == tuple(columns)
    assert [list(row.cells) for row in found.rows] == rows[:sample]
    assert found.complete == (len(rows) <= sample)


def test_parquet_times_keep_their_zone(tmp_path: Path) -> None:
    """A timestamp column comes as datetimes, with its zone where it has one, nanoseconds cut off."""
    column = pa.array([1_763_884_800_123_456_789], pa.timestamp("ns", "UTC"))
    parquet.write_table(pa.table({"time": column}), tmp_path / "a.parquet")
    [found] = tables(tmp_path / "a.parquet")
    [value] = [row.cells[found.columns.index("time")] for row in found.rows]
    assert isinstance(value, datetime)
    assert value.isoformat() == "2025-11-23T08:00:00.123456+00:00"


def test_what_is_no_row_is_told_apart(tmp_path: Path) -> None:
    """Preamble, blank lines, rules, headings, headers repeated on each page and totals are not rows."""
    text = (
        "Duty export;;;;\r\nUnit:;NC04;;;\r\n\r\nOfficer;Start;;Start;End\r\n-------;-----;--;----;---\r\n"
        "Beat team;;;;\r\n1001;07:00;x;y;17:00\r\n;;;;\r\nOfficer;Start;;Start;End\r\n"
        "1002;08:00;;;18:00;;\r\n1003;09:00;a;b;19:00;spilt\r\nTotal;3;;;\r\n(3 rows affected)\r\n"
    )
    [found] = tables(_written_to(tmp_path, text.encode()))
    assert found.columns == ("Officer", "Start", "column 3", "Start (2)", "End")
    assert found.header == 4
    assert found.preamble == ("Duty export", "Unit: | NC04")
    assert [(row.number, row.cells[0], row.extra) for row in found.rows] == [
        (7, "1001", ()),
        (10, "1002", ()),
        (11, "1003", ("spilt",)),
    ]
    assert [(item.number, item.why) for item in found.left_out] == [
        (5, "rule"),
        (6, "heading"),
        (9, "header"),
        (12, "total"),
        (13, "heading"),
    ]


def test_a_table_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    """Rows without names above them are all kept, and it is said that there is no header."""
    [found] = tables(
        _written_to(tmp_path, b"R1,2026-11-23T08:00:00Z,-1.1,52.6\nR1,2026-11-23T08:01:00Z,-1.1,52.6\n")
    )
    assert found.header is None
    assert found.columns == ("column 1", "column 2", "column 3", "column 4")
    assert len(found.rows) == 2
    assert any("no header" in note for note in found.notes)


def test_blanks_before_quotes_are_no_part_of_cells(tmp_path: Path) -> None:
    """Quoted cells with a blank after the delimiter are read without quotes and blank."""
    [found] = tables(_written_to(tmp_path, b'"Device", "Time"\n"A", "08:00, local"\n"B", "09:00"\n'))
    assert found.columns == ("Device", "Time")
    assert [row.cells for row in found.rows] == [("A", "08:00, local"), ("B", "09:00")]


def test_sheet_and_header_can_be_chosen(tmp_path: Path) -> None:
    """A sheet's name and a header's row are taken as given; a wrong one is told with what there is."""
    sheets: dict[str, list[list[Any]]] = {
        "A": [["x", "y"], [1, 2]],
        "B": [["Week 47", "Names"], ["k", "l"], ["m", "n"]],
    }
    path = _written_to(tmp_path, xlsx_bytes(sheets), "b.xlsx")
    [found] = tables(path, sheet="B", header=2)
    assert found.columns == ("k", "l")
    assert [row.cells for row in found.rows] == [("m", "n")]
    with pytest.raises(ForeignError, match="no sheet 'C'; its sheets are 'A', 'B'"):
        tables(path, sheet="C")
    with pytest.raises(ForeignError, match="no row 9"):
        tables(path, sheet="B", header=9)


def test_members_of_an_archive_that_are_no_tables_are_named(tmp_path: Path) -> None:
    """Of a zip every table is read, and what is none is told beside them."""
    content = zip_bytes(
        {"a.csv": b"x,y\n1,2\n", "b/c.csv": b"x;y\n3;4\n", "d.pdf": b"%PDF-1.7 ...", "e.csv": b""}
    )
    found = tables(_written_to(tmp_path, content, "export.zip"))
    assert [table.name for table in found] == ["export.zip: a.csv", "export.zip: b/c.csv"]
    assert [row.cells for table in found for row in table.rows] == [("1", "2"), ("3", "4")]
    assert "not read: d.pdf: is a PDF: ask for the same list as CSV or as a workbook" in found[0].notes
    assert "not read: e.csv: is empty" in found[0].notes


def test_windows_letters_far_down_are_read(tmp_path: Path) -> None:
    """A text that begins as ASCII and has a Windows-1252 letter after megabytes is read, and says so."""
    content = b"id,name\n" + b"1,plain\n" * 100_000 + "2,Zoë\n".encode("cp1252")
    [found] = tables(_written_to(tmp_path, content))
    assert found.rows[-1].cells == ("2", "Zoë")
    assert any("Windows-1252" in note for note in found.notes)
    [sample] = tables(_written_to(tmp_path, content), sample=3)
    assert (len(sample.rows), sample.complete) == (3, False)


def test_nested_objects_become_dotted_columns(tmp_path: Path) -> None:
    """Objects in objects, small lists and lists of objects become columns, in the order first met."""
    value = [
        {"device": {"id": 7}, "geometry": {"coordinates": [-1.1, 52.6]}, "devices": [{"k": "v"}]},
        {"device": {"id": 8, "name": "x"}, "more": True},
    ]
    [found] = tables(_written_to(tmp_path, json.dumps(value).encode(), "a.json"))
    assert found.columns == (
        *("device.id", "geometry.coordinates.1", "geometry.coordinates.2", "devices"),
        *("device.name", "more"),
    )
    assert found.rows[0].cells == (7, -1.1, 52.6, '[{"k":"v"}]', None, None)
    assert found.rows[1].cells == (8, None, None, None, "x", True)


def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(200 << 20), 9)


def _xlsx_bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<x/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (300 << 20))
    return made.getvalue()


def _far_cells() -> bytes:
    made = io.BytesIO(xlsx_bytes({"A": [["x", "y"], ["1", "2"]]}))
    with zipfile.ZipFile(made) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", far)
    return zip_bytes(parts)


def _lying_zip() -> bytes:
    """A zip whose directory says that a bomb is small."""
    content = bytearray(zip_bytes({"a.csv": b"x,y\n" + b"1,2\n" * (5 << 20)}))
    size = (4 + 4 * (5 << 20)).to_bytes(4, "little")
    at = -1
    while (at := content.find(size, at + 1)) >= 0:
        content[at : at + 4] = (1000).to_bytes(4, "little")
    return bytes(content)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a zip that lies about its size": (_lying_zip(), "damaged|unpacks to|nothing in the archive"),
    "gzip bomb": (_gzip_bomb(), "unpacks to more than 200 times its size|binary|blank"),
    "zip bomb": (zip_bytes({"a.csv": b"x,y\n" + b"1,2\n" * (20 << 20)}), "unpacks to more than 200 times"),
    "workbook bomb": (_xlsx_bomb(), "unpacks to 300 MiB"),
    "cells far apart": (_far_cells(), "cannot be read within 3,072 MiB"),
    "a million columns": (b",".join([b"a"] * 1_000_000) + b"\n", "columns, at most 16,384"),
    "a line without end": (b"x" * (5 << 20), "more than 4,194,304 characters"),
    "rubbish": (bytes(range(256)) * 64, "is binary"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
    "a photograph": (b"\xff\xd8\xff\xe0" + bytes(100), "a picture"),
    "a PDF": (b"%PDF-1.7\n1 0 obj", "a PDF"),
    "nothing": (b"", "is empty"),
    "white space": (b" \n\n", "is blank"),
    "NUL bytes": (bytes(5000), "binary"),
    "a cut gzip": (gzip.compress(b"a,b\n1,2\n" * 1000)[:40], "compression is damaged"),
    "a cut zip": (zip_bytes({"a.csv": b"a,b\n"})[:40], "archive is damaged"),
    "a cut workbook": (xlsx_bytes({"A": [["a", "b"]]})[:900], "archive is damaged"),
    "an old workbook that is none": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "cannot be read"),
    "a web page": (b"<html><table><tr><td>1</td></tr></table></html>", "a web page"),
    "a document": (zip_bytes({"word/document.xml": b"<x/>"}), "is a document"),
    "broken JSON": (b'{"data": [{"a": 1}, {"a": ', "damaged JSON"),
    "deep JSON": (b"[" * 100_000 + b"]" * 100_000, "JSON"),
    "an open quote": (b'a,b\n1,"x\n' + b"2,y\n" * 1000, "a quote is opened"),
    "an open quote near the end": (b'a,b\n1,2\n3,"x\n', "a quote is opened and never closed"),
    "a cell without end": (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', "field larger"),
    "an archive of nothing": (b"PK\x05\x06" + bytes(18), "empty archive"),
    "an archive of pictures": (
        zip_bytes({"a.png": b"\x89PNG\r\n\x1a\n"}),
        "nothing in the archive is a table",
    ),
    "parquet in name": (b"PAR1" + bytes(100), "not Parquet"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_gets_one_line(kind: str, tmp_path: Path) -> None:
    """What is no table is refused with one line that names the file and says what it is."""
    content, words = HOSTILE[kind]
    path = _written_to(tmp_path, content, "sent.csv")
    with pytest.raises(ForeignError, match=words) as caught:
        tables(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("sent.csv:")
    assert path.read_bytes() == content


def test_a_folder_a_pipe_and_a_loop_get_one_line(tmp_path: Path) -> None:
    """A folder, a pipe, a link to itself and a file that is not there are refused, and nothing hangs."""
    with pytest.raises(ForeignError, match="is a folder"):
        tables(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ForeignError, match="not a file"):
        tables(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        tables(tmp_path / "loop")
    with pytest.raises(FileNotFoundError):
        tables(tmp_path / "none")


def test_limits_are_told(tmp_path: Path) -> None:
    """More rows than are taken is an error that says so, never a shortened table; a sample is one."""
    path = _written_to(tmp_path, b"a,b\n" + b"1,2\n" * 50)
    with pytest.raises(ForeignError, match="more than 10 rows"):
        tables(path, limits=ForeignLimits(rows=10))
    [found] = tables(path, sample=10, limits=ForeignLimits(rows=10))
    assert (len(found.rows), found.complete) == (10, False)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (True, "true"),
        (1001, "1001"),
        (1.5, "1.5"),
        (datetime(2026, 11, 23, 7), "2026-11-23 07:00:00"),
        (" x ", "x"),
    ],
)
def test_a_cell_as_text(cell: Any, text: str) -> None:
    """A cell is shown as a person would type it."""
    assert text_of(cell) == text
