"""No file that leaves holds a formula, and what is read back is what it was."""

from __future__ import annotations

import ast
import csv
import io
import re
import tempfile
from pathlib import Path

import msgspec
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from stream.core.spreadsheets import csv_text, defused, restored
from stream.files.doctor.position_map import COLUMNS
from stream.files.foreign import tables
from stream.files.roster.mapping import read_teams
from stream.files.sheets.arrow import write
from stream.files.tracks.tables import read_csv
from tests.formulas import HOSTILE, begun, texts
from tests.strategies import many

ROOT = Path(__file__).resolve().parents[2]


@many(500)
@given(text=texts())
def test_a_text_is_harmless_and_comes_back(text: str) -> None:
    """Whatever the text, no program finds a formula in its cell, and it can be had again."""
    found = defused(text)
    assert begun(csv_text(["name"], [[found], ["x"]])) == []
    assert restored(found) == text
    assert defused(found).replace("'", "") == found.replace("'", "")


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="=+-@;\t\r\n")))
def test_other_texts_are_left_alone(text: str) -> None:
    """A text without a sign of a formula, and a mark in front of anything else, stay as they are."""
    plain = "a" + text
    assert defused(plain) == plain == restored(plain)
    assert restored("'" + plain) == "'" + plain


@given(number=st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_stay_numbers(number: float) -> None:
    """-0.5 and +1 are numbers to a program, and stay so."""
    for text in (repr(number), f"{number:+}"):
        assert defused(text) == text


def test_what_is_defused_can_be_read() -> None:
    """What a person sees is the text itself behind one mark."""
    assert defused("=1+1") == "'=1+1"
    assert defused("+44 7700 900123") == "'+44 7700 900123"
    assert defused("E01;=1+1;E02") == "E01;'=1+1;E02"
    assert defused("O'Neil-Smith; PC 7") == "O'Neil-Smith; PC 7"


@many(60)
@given(names=st.lists(texts(), min_size=1, max_size=6))
def test_the_files_of_an_account_hold_no_formula(names: list[str]) -> None:
    """Whatever the ids and names, no cell of a table begins a formula, and read back they are equal."""
    table = pa.table(
        {
            "officer_id": pa.array(names, pa.string()),
            "name": pa.array([*names[:-1], None], pa.string()),
            "count": pa.array([-1] * len(names)),
            "duty_s": pa.array(["-0.500000"] * len(names)),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        write({"officers": table}, Path(folder))
        content = (Path(folder) / "officers.csv").read_bytes().decode()
    assert begun(content) == []
    _, *rows = csv.reader(io.StringIO(content, newline=""))
    assert [restored(row[0]) for row in rows] == names
    assert [restored(row[1]) for row in rows] == [*names[:-1], ""]
    assert {(row[2], row[3]) for row in rows} == {("-1", "-0.500000")}


@many(60)
@given(ids=st.lists(texts(without="\r\n\0").filter(bool), min_size=1, max_size=6))
@example(ids=list(HOSTILE[:5]))
def test_ids_in_positions_that_we_wrote_are_equal(ids: list[str]) -> None:
    """A device's id from positions that the doctor wrote is the one that its messages have."""
    rows = [(each, "2026-11-16T07:00:00Z", "-0.5", "52.0", "", "", "", "radio") for each in ids]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "positions.csv"
        path.write_text(csv_text(COLUMNS, rows), "utf-8", newline="")
        found = [msgspec.json.decode(value) for part in read_csv(path, 100) for value in part.value]
    assert [item["device_id"] for item in found] == ids
    assert {item["lon"] for item in found} == {-0.5}


@many(40)
@given(ids=st.lists(texts(without="\r\n\0").map(str.strip).filter(bool), min_size=1, max_size=6))
def test_ids_in_bookings_and_tables_are_equal(ids: list[str]) -> None:
    """Officers, teams and areas copied from files of ours into a roster keep their ids."""
    with tempfile.TemporaryDirectory() as folder:
        duties = Path(folder) / "duties.csv"
        header = ("duty_id", "officer_id", "start")
        rows = [(f"D{at}", each, "2026-11-16T07:00:00Z") for at, each in enumerate(ids)]
        duties.write_text(csv_text(header, rows), "utf-8", newline="")
        found = [msgspec.json.decode(value) for part in read_csv(duties, 100) for value in part.value]
        assert [item["officer_id"] for item in found] == ids
        if all(each.isprintable() for each in ids):  # else it is taken for a file that is no table
            (table,) = tables(duties, delimiter=",")
            assert [row.cells[1] for row in table.rows] == ids
        teams = Path(folder) / "teams.csv"
        teams.write_text(csv_text(("team", "area_id"), [(each, each) for each in ids]), "utf-8", newline="")
        assert set(read_teams(teams)) == set(ids)
        assert {area for areas in read_teams(teams).values() for area in areas} == set(ids)


WRITERS = {
    "stream/core/spreadsheets.py": "csv_text, the one place with a writer",
    "stream/reports/workbook.py": "workbooks, in which texts are written as texts",
}
"""Modules that write files for spreadsheets through a library; all others call these."""

NAMING = {
    "stream/web/access/rights.py": "paths of a summary's files",
    "stream/cli/common.py": "hands tables to sheets/arrow.py",
    "stream/cli/files.py": "an option's value; the name of a file in a message",
    "stream/cli/report.py": "an option's values",
    "stream/cli/simulate.py": "names of files in a message",
    "stream/core/quality/wording.py": "the name of a file in a sentence",
    "stream/files/person.py": "calls csv_text",
    "stream/files/doctor/diagnosis.py": "a command to be typed",
    "stream/files/doctor/native.py": "reads; a command to be typed",
    "stream/files/sheets/arrow.py": "writes the tables of an account, defused as Arrow arrays",
    "stream/files/tracks/files.py": "reads",
    "stream/reports/bundle.py": "names the files that tables.py and workbook.py make",
    "stream/reports/tables.py": "calls csv_text",
    "stream/simulate/files.py": "calls csv_text",
    "stream/web/weeks/routes.py": "hands on what reports make",
}
"""Modules in whose texts the name of a spreadsheet's form stands, and what they do with it."""

WRITING = re.compile(
    r"\b(csv\.writer|DictWriter|to_csv|write_csv|sink_csv|CSVWriter|to_excel|write_excel|xlsxwriter|openpyxl"
    r"|xlwt|pyexcel|odf|copy\b.{1,80}\bcsv)\b"
)
"""How libraries, and the database, write CSV and workbooks."""

FORM = re.compile(r"\.(csv|tsv|xls[xm]?|ods)(\.part)?$|^text/(csv|tab)|^(csv|tsv|xlsx?|ods)$", re.IGNORECASE)


def sources() -> list[Path]:
    """Every module of the program."""
    return sorted(path for folder in ("stream", "geo") for path in (ROOT / folder).rglob("*.py"))


def said(tree: ast.AST) -> list[str]:
    """The texts of a module, its docstrings aside."""
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


def test_every_writer_of_spreadsheets_is_known() -> None:
    """Only these modules write CSV or workbooks, and only these name such a file."""
    writers: set[str] = set()
    naming: set[str] = set()
    for path in sources():
        text, name = path.read_text("utf-8"), path.relative_to(ROOT).as_posix()
        tree = ast.parse(text)
        told = said(tree)
        code = ast.unparse(tree) if "csv" in text or WRITING.search(text) else ""  # without comments
        if WRITING.search(code) or "from csv import" in code:
            writers.add(name)
        if any(FORM.search(each) for each in told):
            naming.add(name)
    writers.discard("stream/pipeline/failures.py")  # it names the package, to say what installs it
    assert writers == set(WRITERS), "a new writer calls stream.core.spreadsheets.csv_text"
    assert naming == set(NAMING), "what leaves as CSV goes through stream.core.spreadsheets"


def test_the_pages_write_no_spreadsheet() -> None:
    """What a browser could save as a table is made by the server alone."""
    found = [
        path.name
        for path in (ROOT / "stream" / "web" / "page").glob("src/**/*.ts")
        if path.name != "api.ts"  # made of the API's document: types and words
        and re.search(r"text/csv|\.csv\b|\.xlsx\b", path.read_text("utf-8"))
    ]
    assert found == []
