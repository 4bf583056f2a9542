"""A summary as XLSX: one worksheet a table, typed cells, for further analysis.

Pure: the same summary, the same bytes. Times are hours as numbers, shares numbers shown in per cent, instants
local date and time; there is no formula in it, and a text that looks like one stays text.
"""

from __future__ import annotations

import io
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import xlsxwriter  # type: ignore[import-untyped]

from stream.core.calendar import LOCAL, moment
from stream.core.explaining.wording import moment_words
from stream.core.facts import SECOND
from stream.reports import listing, view
from stream.reports.grid import COUNT, INSTANT, PART, SHARE, TEXT, TIME, Cell, GridColumn, Table

if TYPE_CHECKING:
    from stream.core.summaries.model import Summary

Workbook: TypeAlias = Any
Worksheet: TypeAlias = Any
Format: TypeAlias = Any

HOUR = 3600 * SECOND
FORMATS = {
    TEXT: {"num_format": "@"},
    TIME: {"num_format": "0.00"},
    PART: {"num_format": "0.00"},
    COUNT: {"num_format": "General"},
    INSTANT: {"num_format": "yyyy-mm-dd hh:mm"},
}
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
PLACES = 7
"""Decimals of a percentage at most."""

LONGEST = 32_767
"""The most characters of a cell."""


def xlsx(summary: Summary) -> bytes:
    """A summary as a workbook: ``summary`` first, then a worksheet a table."""
    buffer = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(buffer, options)
    made = moment(view.made_at(summary) * SECOND).replace(tzinfo=None)
    book.set_properties(
        {"title": _text(view.title(summary))[:255], "author": "Patrol Visibility", "created": made}
    )
    formats = {kind: book.add_format({**given, "valign": "top"}) for kind, given in FORMATS.items()}
    for places in range(1, PLACES + 1):
        formats[f"{SHARE}{places}"] = book.add_format({"num_format": f"0.{'0' * places}%", "valign": "top"})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    _first(book.add_worksheet("summary"), summary, bold, formats)
    for table in listing.tables(summary):
        _worksheet(book, table, formats, bold)
    book.close()
    return buffer.getvalue()


def _first(worksheet: Worksheet, summary: Summary, bold: Format, formats: dict[str, Format]) -> None:
    """The words and single numbers of the first page."""
    found = view.reading(summary.figures, summary.basis.target)
    figures = summary.figures
    lines: list[tuple[str, str, Cell]] = [
        ("neighbourhood", TEXT, summary.area_name),
        ("id", TEXT, summary.area_id),
        (summary.period, TEXT, summary.name),
        ("from", INSTANT, summary.start),
        ("to", INSTANT, summary.end),
        ("over", TEXT, "yes" if summary.complete else f"no: up to {moment_words(summary.basis.until)}"),
        ("verdict", TEXT, found.verdict or f"none: {found.sentence}"),
        ("share on patch", SHARE, found.share),
        ("at least", SHARE, found.low),
        ("at most", SHARE, found.high),
        ("target", SHARE, found.target),
        ("duty time, hours", TIME, figures.duty),
        *((f"{part.label}, hours", TIME, part.time) for part in view.parts(summary)),
        *(("why", TEXT, text) for text in (*summary.said.verdict, *summary.said.costs, *summary.said.notes)),
        *(("facts", TEXT, text) for text in (view.turning(summary), *view.facts_said(summary)) if text),
        *(("basis", TEXT, text) for text in view.basis(summary)),
        *(("restated", TEXT, text) for text in [view.restated(summary)] if text),
    ]
    worksheet.set_column(0, 0, 36)
    worksheet.set_column(1, 1, 60)
    for row, (name, kind, cell) in enumerate(lines):
        worksheet.write_string(row, 0, name, bold)
        _write(worksheet, row, 1, kind, cell, formats, found.target)
    worksheet.freeze_panes(0, 1)


def _worksheet(book: Workbook, table: Table, formats: dict[str, Format], bold: Format) -> None:
    worksheet = book.add_worksheet(table.name)
    for at, column in enumerate(table.columns):
        worksheet.write_string(0, at, heading(column), bold)
        widest = max((len(str(row.cells[at])) for row in table.rows if column.kind == TEXT), default=0)
        worksheet.set_column(at, at, 17 if column.kind == INSTANT else max(11, min(widest + 2, 44)))
        for number, row in enumerate(table.rows, 1):
            _write(worksheet, number, at, column.kind, row.cells[at], formats, row.target or table.target)
    worksheet.freeze_panes(1, 1)
    if table.rows:
        worksheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)
    else:
        worksheet.write_string(1, 0, table.empty, formats[TEXT])


def heading(column: GridColumn) -> str:
    """A column's heading, with its unit."""
    return _text(f"{column.name}, hours" if column.kind in (TIME, PART) else column.name)


def _text(text: str) -> str:
    return CONTROLS.sub("", text)[:LONGEST]


def places(share: Fraction, target: Fraction | None) -> int:
    """How many decimals of a percentage keep it on its side of the target, and of 0 and 1."""
    for many in range(1, PLACES):
        shown = round(share, many + 2)
        sides = [Fraction(0), Fraction(1), *([] if target is None else [target])]
        if all((share < edge) == (shown < edge) and (share > edge) == (shown > edge) for edge in sides):
            return many
    return PLACES


def _write(
    worksheet: Worksheet,
    row: int,
    at: int,
    kind: str,
    cell: Cell,
    formats: dict[str, Format],
    target: Fraction | None,
) -> None:
    if cell is None:
        worksheet.write_blank(row, at, None)
    elif kind == TEXT:
        worksheet.write_string(row, at, _text(str(cell)), formats[TEXT])
    elif kind in (TIME, PART):
        worksheet.write_number(row, at, int(cell) / HOUR, formats[kind])
    elif kind == INSTANT:
        # Spreadsheets know no time zones: local time.
        local = moment(int(cell)).astimezone(LOCAL).replace(tzinfo=None, microsecond=0)
        worksheet.write_datetime(row, at, local, formats[kind])
    elif kind == SHARE:
        share = Fraction(cell)
        worksheet.write_number(row, at, float(share), formats[f"{SHARE}{places(share, target)}"])
    else:
        worksheet.write_number(row, at, float(cell), formats[kind])
