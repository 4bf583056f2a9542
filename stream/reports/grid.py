"""Tables of a summary: typed cells, made once and set by every form.

Values only. A cell holds the figure itself, in the units of ``stream.core.summaries.model``; how it is
written is decided here for all forms that people read (``texts``), and by the workbook and CSV for programs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from stream.core.explaining.wording import apportion, duration, moment_words, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT, TIME, PART, SHARE, COUNT, INSTANT = "text", "time", "part", "share", "count", "instant"
"""What a column holds: words; microseconds; microseconds that with the row's other parts make up its time;
a share from 0 to 1; a number; microseconds since 1970 UTC."""

Cell: TypeAlias = "str | int | Fraction | None"


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column.

    Attributes:
        name: its heading.
        kind: what it holds.
        short: a narrower heading for paper.
        key: what its numbers are of, for links.
        read: people read it; else it is an id, for programs.
    """

    name: str
    kind: str = TEXT
    short: str = ""
    key: str = ""
    read: bool = True

    @property
    def heading(self) -> str:
        """The heading shown."""
        return self.short or self.name


@dataclass(frozen=True, slots=True)
class GridRow:
    """A line.

    Attributes:
        cells: one a column.
        of: the value that it tells of, for links.
        target: which no share of the line is rounded across, where it differs from the table's.
        minutes: its first time in minutes, where that has to add up with figures elsewhere.
    """

    cells: tuple[Cell, ...]
    of: Any = None
    target: Fraction | None = None
    minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: for files and worksheets, like ``officers``.
        title: its caption.
        columns, rows: what stands in it; the first column heads the row.
        note: a remark on it.
        empty: the text where it has no rows.
        target: the target in force, which no share is rounded across.
    """

    name: str
    title: str
    columns: tuple[GridColumn, ...]
    rows: tuple[GridRow, ...]
    note: str = ""
    empty: str = "None."
    target: Fraction | None = None


def for_people(table: Table) -> Table:
    """A table without the columns that are for programs."""
    kept = [at for at, column in enumerate(table.columns) if column.read]
    return replace(
        table,
        columns=tuple(table.columns[at] for at in kept),
        rows=tuple(replace(row, cells=tuple(row.cells[at] for at in kept)) for row in table.rows),
    )


def texts(table: Table) -> list[list[str]]:
    """All cells in words; the parts of a row add up to its time to the minute."""
    return [_row(table, row) for row in table.rows]


def _row(table: Table, row: GridRow) -> list[str]:
    kinds = [column.kind for column in table.columns]
    minutes: dict[int, int] = {}
    whole = next((at for at, kind in enumerate(kinds) if kind == TIME), None)
    parts = [at for at, kind in enumerate(kinds) if kind == PART and row.cells[at] is not None]
    for at, kind in enumerate(kinds):
        value = row.cells[at]
        if kind == TIME and isinstance(value, int):
            given = row.minutes if at == whole else None
            [minutes[at]] = apportion([value]) if given is None else [given]
    if whole is not None and parts and whole in minutes:
        values = [int(row.cells[at] or 0) for at in parts]
        minutes |= dict(zip(parts, divided(values, minutes[whole]), strict=True))
    return [
        _said(kind, value, minutes.get(at), row.target or table.target)
        for at, (kind, value) in enumerate(zip(kinds, row.cells, strict=True))
    ]


def divided(times: Sequence[int], minutes: int) -> list[int]:
    """Parts of a time in whole minutes that add up to its own.

    The first is rounded to the nearest minute, so that time on patch is the same everywhere; the rest is
    apportioned.
    """
    [first] = apportion(times[:1])
    return [first, *apportion(times[1:], minutes - first)]


def _said(kind: str, value: Cell, minutes: int | None, target: Fraction | None) -> str:
    if value is None or value == "":
        return "–"
    if kind in (TIME, PART):
        return time_words(int(value), minutes)
    if kind == SHARE:
        return percent(Fraction(value), target)
    if kind == INSTANT:
        return moment_words(int(value))
    return f"{value:,}" if kind == COUNT else str(value)


def time_words(time: int, minutes: int | None = None) -> str:
    """A length of time in words: zero is ``0 min``, less than a minute ``under a minute``."""
    if not time:
        return "0 min"
    return duration(apportion([time])[0] if minutes is None else minutes)
