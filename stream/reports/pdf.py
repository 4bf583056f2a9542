"""A summary as PDF: the same page and annex, set by Typst, tagged for PDF/UA-1.

Pure but for its fonts, which come with the program: the same summary, the same bytes. The file's creation
date is that of the newest fact.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typst

from stream.reports import charts, listing, view
from stream.reports.grid import PART, SHARE, TEXT, TIME, Table, for_people, texts
from stream.reports.page import HEAT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.core.summaries.model import Summary

HERE = Path(__file__).parent

MISSING = "□"
"""Stands for a character that the fonts do not have."""

MISSING_NOTE = f"Characters that this document's fonts lack are shown as {MISSING}; the web page shows them."

KNOWN = ((0x20, 0x7E), (0xA0, 0xAC), (0xAE, 0x24F), (0x370, 0x3FF), (0x400, 0x45F), (0x1E80, 0x1EF9))
"""Characters that the fonts certainly have."""

SIGNS = "–—‘’“”†•…‹›€−×□▲▼◆"

WIDEST = 36
"""Characters after which a cell's text wraps."""

_COMPILING = threading.Lock()
"""A compiler sets one document at a time."""


def pdf(summary: Summary) -> bytes:
    """A summary as a PDF: A4, tagged, fonts embedded."""
    data = document(summary)
    for attempt in (_printable, _known):
        try:
            return _compiled(_every(data, attempt), view.made_at(summary))
        except typst.TypstError as error:
            if "could not be displayed" not in str(error):
                raise
            data["missing"] = MISSING_NOTE
    raise AssertionError("the fonts lack letters that they surely have")


@cache
def _compiler() -> typst.Compiler:
    fonts = typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=True,
        font_paths=[str(files("fontpkg_inter") / "files")],
    )
    return typst.Compiler(HERE / "summary.typ", root=HERE, font_paths=fonts, ignore_system_fonts=True)


def _compiled(data: dict[str, Any], made_at: int) -> bytes:
    with _COMPILING:
        found = _compiler().compile(
            format="pdf",
            sys_inputs={"data": msgspec.json.encode(data).decode()},
            pdf_standards=["ua-1"],
            timestamp=made_at,
        )
    assert isinstance(found, bytes)
    return found


def _every(value: Any, change: Callable[[str], str]) -> Any:
    """All texts in a value, changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _every(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_every(item, change) for item in value]
    return value


def _printable(text: str) -> str:
    """A text without control characters and marks that change the direction of writing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _known(text: str) -> str:
    return "".join(
        letter if letter in SIGNS or any(low <= ord(letter) <= high for low, high in KNOWN) else MISSING
        for letter in _printable(text)
    )


def document(summary: Summary) -> dict[str, Any]:
    """What the template takes: texts, tables, drawings."""
    found = view.reading(summary.figures, summary.basis.target)
    parts = view.parts(summary)
    crewed = summary.crewed
    return listing.first_page(summary) | {
        "period": view.period_title(summary).replace("week ", "Week ", 1),
        "week": summary.name,
        "kind": summary.period,
        "missing": "",
        "verdict": charts.CLASSES[found.verdict],
        "shape": found.shape,
        "share": found.share_words if found.share is not None else "",
        "sentence": view.share_sentence(summary),
        "bar": _drawing(charts.share_bar(found)),
        "trend": _drawing(charts.trend([view.step(past) for past in summary.past])),
        "trend_title": f"The last {len(summary.past)} {summary.period}s",
        "time": _drawing(charts.time_bar(parts)),
        "parts": [
            {
                "key": part.key,
                "label": part.label,
                "words": part.words,
                "percent": "" if part.key == "break" or part.percent == "–" else part.percent,
            }
            for part in parts
        ],
        "heat": _drawing(charts.heat(summary.hours, view.days(summary), found.target)),
        "heat_key": [{"key": key, "label": words} for key, words in HEAT_KEY],
        "all_said": list(summary.said.verdict),
        "all_reasons": list(summary.said.costs),
        "all_notes": list(summary.said.notes),
        "crewing": _drawing(charts.crewing(crewed.single_by_hour, crewed.double_by_hour))
        if crewed.single or crewed.double
        else None,
        "tables": [
            _table(table)
            for table in (
                listing.trend_table(summary),
                *listing.annex(summary),
                view.hour_table(summary),
            )
        ],
    }


def _drawing(drawing: charts.Drawing) -> dict[str, str]:
    return {"svg": drawing.standalone(), "words": drawing.words}


def _table(table: Table) -> dict[str, Any]:
    table = for_people(table)
    said = [
        [
            # A number and its unit stay on one line.
            text.replace(" ", "\u00a0") if column.kind in (TIME, PART, SHARE) else text
            for column, text in zip(table.columns, row, strict=True)
        ]
        for row in texts(table)
    ]
    heads = [column.heading for column in table.columns]
    return {
        "name": table.name,
        "title": table.title,
        "heads": heads,
        "widths": [_width(head, [row[at] for row in said]) for at, head in enumerate(heads)],
        "numbers": [column.kind != TEXT for column in table.columns],
        "rows": said,
        "note": table.note,
        "empty": table.empty,
    }


def _width(head: str, column: list[str]) -> float:
    """The relative width of a column: estimated here, because that is quicker than trying."""
    # What cannot wrap has to fit; what can may be narrower than its text.
    words = max((len(word) for text in (head, *column) for word in text.split(" ")), default=0)
    whole = max((min(len(text), WIDEST) for text in column), default=0)
    return max(min(words, WIDEST), 0.6 * whole) + 2
