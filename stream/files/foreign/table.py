"""What every form of a foreign file becomes: a table of cells, with what was seen on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

Cell = str | int | float | bool | datetime | date | time | timedelta | None
"""A cell as the file has it: a text file has texts alone; None is an empty cell of a workbook, or null."""

Record = tuple[int, Sequence[Cell]]
"""A row's number and its cells, as many as it has."""


class ForeignError(ValueError):
    """A file that cannot be read as a table; one line that says what it is and what to do."""


@dataclass(frozen=True, slots=True)
class ForeignLimits:
    """How much is read at most, so that a hostile or mistaken file costs little.

    Attributes:
        unpacked_bytes: of a file, after unpacking.
        ratio: of unpacked to packed bytes, judged from 4 MiB on.
        whole_bytes: of a file that has to be in memory as a whole (a workbook, a JSON array).
        rows: of a table.
        columns: of a table; Excel has 16,384.
        cells: of a table, all together.
        line_chars: of a line of text.
        members: files in a zip.
        memory_bytes: of the process that reads a workbook.
        seconds: that reading a workbook may take.
    """

    unpacked_bytes: int = 8 << 30
    ratio: float = 200.0
    whole_bytes: int = 256 << 20
    rows: int = 5_000_000
    columns: int = 16_384
    cells: int = 50_000_000
    line_chars: int = 4 << 20
    members: int = 200
    memory_bytes: int = 3 << 30
    seconds: float = 120.0


LIMITS: Final = ForeignLimits()


class ForeignRow(NamedTuple):
    """A row.

    Attributes:
        number: where it stands, from 1: the line in an editor (text; the first of a row with line feeds in
            quotes), the row in a spreadsheet program (workbook), the element (JSON array, Parquet).
        cells: one for each column; ``""`` (text) or None where the row is short.
        extra: cells beyond the last column that are not empty: usually a separator inside a text that is not
            quoted, so that the cells behind it are shifted.
    """

    number: int
    cells: tuple[Cell, ...]
    extra: tuple[Cell, ...] = ()


class LeftOut(NamedTuple):
    """A row below the header that is not one of the table's.

    Attributes:
        number: as in :class:`ForeignRow`.
        why: ``total``, ``heading`` (one cell alone, in a table of three columns or more), ``header`` (the
            header again), ``rule`` (dashes).
        text: its cells, for people.
    """

    number: int
    why: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class ForeignTable:
    """A table as it stands in a file.

    Attributes:
        name: the file, with the member of a zip and the sheet of a workbook behind it.
        kind: ``text``, ``workbook``, ``json``, ``jsonl`` or ``parquet``.
        form: what was detected, in words: ``CSV with semicolons, UTF-16 LE, gzip``.
        columns: the names, each one once: an empty one is ``column 3``, a second ``Time`` is ``Time (2)``.
        rows: the table's rows, in the file's order; blank ones are left out.
        header: the row in which the names stand; None where there is no header, or the form needs none.
        preamble: what stands above the header, a line each.
        left_out: rows below it that are not the table's.
        notes: what a person should know, a sentence each.
        complete: False where a sample was asked for and there is more.
        delimiter: of a text; else empty.
        sheet: of a workbook; else empty.
        hidden: a sheet that its workbook does not show.
    """

    name: str
    kind: str
    form: str
    columns: tuple[str, ...]
    rows: list[ForeignRow]
    header: int | None = None
    preamble: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    complete: bool = True
    delimiter: str = ""
    sheet: str = ""
    hidden: bool = False


def blank(cell: Cell) -> bool:
    """Whether a cell is empty, or white space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


NOTHING: Final = frozenset({"-", "--", "–", "—", "n/a", "#n/a", "null", "(null)", "<null>", "\\n", "nan"})
"""What databases and people write into a cell that has no value, in lower case."""


_TOO_LARGE: Final = 1e300


def nothing(cell: Cell) -> bool:
    """Whether a cell is empty, or says that there is no value: ``NULL``, ``N/A``, a dash."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return blank(cell) or (isinstance(cell, str) and cell.strip().lower() in NOTHING)


def float_of(value: str | float) -> float | None:
    """A number as a float; None where it is too large to be counted with, and for what is none."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < _TOO_LARGE else None  # which NaN is not either


def text_of(cell: Cell) -> str:
    """A cell as a person would type it: whole numbers without a point, times as ISO 8601, no outer space."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell).strip()
