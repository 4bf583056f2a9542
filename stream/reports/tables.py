"""A summary as CSV files, one a table: UTF-8, RFC 4180, a header row.

Pure: the same summary, the same bytes. Times are whole and decimal seconds, shares from 0 to 1, instants
RFC 3339 with the local offset; what is not known is empty. A text that a spreadsheet would take for a formula
gets a ``'`` before it (``stream.core.spreadsheets``): a name stays text wherever the file is opened, and a
program that wants the name itself takes the JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.core.calendar import LOCAL, moment
from stream.core.facts import SECOND
from stream.core.spreadsheets import csv_text
from stream.reports.grid import INSTANT, PART, SHARE, TEXT, TIME, Cell, GridColumn, Table
from stream.reports.listing import tables as listed

if TYPE_CHECKING:
    from stream.core.summaries.model import Summary

UNITS = {TIME: "_s", PART: "_s"}


def tables(summary: Summary) -> dict[str, bytes]:
    """The CSV files of a summary by name."""
    return {f"{table.name}.csv": written(table, summary) for table in listed(summary)}


def written(table: Table, summary: Summary) -> bytes:
    """A table as CSV; the first columns say of which neighbourhood and period it is."""
    header = ["period", "area_id", *(heading(column) for column in table.columns)]
    rows = (
        [
            summary.name,
            without_nul(summary.area_id),
            *(plain(column, cell) for column, cell in zip(table.columns, row.cells, strict=True)),
        ]
        for row in table.rows
    )
    return csv_text(header, rows, end="\r\n").encode()


def heading(column: GridColumn) -> str:
    """A column's name for programs: ``on_patch_s``, ``share_on_patch``."""
    words = "".join(letter if letter.isalnum() else "_" for letter in column.name.lower())
    return "_".join(part for part in words.split("_") if part) + UNITS.get(column.kind, "")


def without_nul(text: str) -> str:
    """A text without NUL, which hardly any reader of CSV accepts."""
    return text.replace("\0", "")


def plain(column: GridColumn, cell: Cell) -> str:
    """A cell in a form for programs."""
    if cell is None:
        return ""
    if column.kind == TEXT:
        return without_nul(str(cell))
    if column.kind in (TIME, PART):
        return seconds(int(cell))
    if column.kind == INSTANT:
        return moment(int(cell)).astimezone(LOCAL).isoformat()
    return str(float(cell)) if column.kind == SHARE else str(cell)


def seconds(time: int) -> str:
    """Microseconds as seconds, exactly: ``3600``, ``0.000001``."""
    whole, rest = divmod(time, SECOND)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)
