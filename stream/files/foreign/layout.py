"""Where the header of a table stands, and which rows around it are none of the table's."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from stream.files.foreign.table import Cell, ForeignError, ForeignRow, LeftOut, blank, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stream.files.foreign.table import ForeignLimits, Record

LOOKED_AT: Final = 200
"""How many records from the top tell the layout."""
_HEADER_WITHIN: Final = 60
_VALUE: Final = re.compile(
    r"[-+]?[\d.,\s'\u00a0]+(?:[eE][-+]?\d+)?%?"  # a number
    r"|.*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|.*\d{1,2}:\d{2}.*|true|false|null|none",
    re.IGNORECASE | re.DOTALL,
)
_TOTAL: Final = re.compile(
    r"\s*((grand|sub|running)?[ -]?totals?|sum|summe|gesamt\w*|average|count|end of (report|file))\b",
    re.IGNORECASE,
)
_RULE: Final = re.compile(r"[-=_*+| ]{2,}")


class Layout:
    """The header of a table, found in its first records; then every record as a row or as something else.

    Args:
        first: the first records, at least ``LOOKED_AT`` where there are so many.
        header: the number of the row in which the names stand; None to find it.
        empty: what a missing cell is.
        name: of the table, for errors.
        limits: on columns.

    Raises:
        ForeignError: there are too many columns, or no row of that number.
    """

    def __init__(
        self, first: Sequence[Record], header: int | None, empty: Cell, name: str, limits: ForeignLimits
    ) -> None:
        self.left_out: list[LeftOut] = []
        self.notes: list[str] = []
        self.blanks = 0
        self._empty = empty
        at = _given(first, header, name) if header is not None else _found(first)
        names = [] if at is None else [" ".join(text_of(cell).split()) for cell in first[at][1]]
        body = first if at is None else first[at + 1 :]
        width = _width(names)
        if at is None:
            width = max((_width(cells) for _, cells in body), default=0)
        else:
            # Columns behind the last name count where most rows fill them, as a table's index may.
            widths = Counter(_width(cells) for _, cells in body if _width(cells) > 1)
            if widths and (usual := widths.most_common(1)[0]) and usual[1] * 2 > widths.total():
                width = max(width, usual[0])
        if width > limits.columns:
            raise ForeignError(
                f"{name}: has {width:,} columns, at most {limits.columns:,} are taken; is it a table at all?"
            )
        self.header: int | None = None if at is None else first[at][0]
        self._names: list[str] = names
        self.columns: tuple[str, ...] = self._named(names, width)
        above = () if at is None else first[:at]
        self.preamble: tuple[str, ...] = tuple(line for _, cells in above if (line := _line(cells)))
        if at is None and width:
            self.notes.append("no header line was found: its columns are numbered")
        self._start = 0 if at is None else first[at][0]

    def _named(self, names: Sequence[str], width: int) -> tuple[str, ...]:
        """The names, each one once."""
        taken: set[str] = set()
        made: list[str] = []
        twice: list[str] = []
        given = {name for name in names if name}
        for at in range(width):
            base = names[at] if at < len(names) and names[at] else f"column {at + 1}"
            name, count = base, 1
            while name in taken or (count > 1 and name in given):
                count += 1
                name = f"{base} ({count})"
            if count > 1:
                twice.append(base)
            taken.add(name)
            made.append(name)
        if twice:
            listed = ", ".join(repr(name) for name in dict.fromkeys(twice))
            self.notes.append(f"several columns are named {listed}: the later ones are numbered")
        return tuple(made)

    def rows(self, records: Iterator[Record] | Sequence[Record]) -> Iterator[ForeignRow]:
        """The records below the header that are rows; the others are kept in ``left_out``."""
        width = len(self.columns)
        for number, cells in records:
            if number <= self._start:
                continue
            filled = [cell for cell in cells if not blank(cell)]
            if not filled:
                self.blanks += 1
                continue
            if why := self._why_left_out(cells, filled, width):
                self.left_out.append(LeftOut(number, why, _line(cells)))
                continue
            row = tuple(cells[:width]) + (self._empty,) * (width - len(cells))
            yield ForeignRow(number, row, tuple(cell for cell in cells[width:] if not blank(cell)))

    def _why_left_out(self, cells: Sequence[Cell], filled: Sequence[Cell], width: int) -> str:
        if self.header is None:
            return ""
        if len(filled) == 1 and width >= 3:
            return "total" if _TOTAL.match(text_of(filled[0])) else "heading"
        if all(isinstance(cell, str) for cell in filled):
            if all(_RULE.fullmatch(text_of(cell)) for cell in filled):
                return "rule"
            names = [name for name in self._names if name]
            if [" ".join(text_of(cell).split()) for cell in filled] == names:
                return "header"
        if len(filled) * 5 < width * 3 and isinstance(filled[0], str) and _TOTAL.match(filled[0]):
            return "total"
        return ""


def _given(first: Sequence[Record], header: int, name: str) -> int:
    for at, (number, _) in enumerate(first):
        if number == header:
            return at
    raise ForeignError(f"{name}: has no row {header} near its top to take the names from")


def _found(first: Sequence[Record]) -> int | None:
    """Which record is the header: the first that is nearly as full as the rows, and of names alone."""
    counts = Counter(count for _, cells in first[:LOOKED_AT] if (count := _filled(cells)) > 1)
    # Of equally usual counts the largest: few rows tell little.
    usual = max(counts, key=lambda count: (counts[count], count), default=1)
    for at, (_, cells) in enumerate(first[:_HEADER_WITHIN]):
        filled = [cell for cell in cells if not blank(cell)]
        if not filled or len(filled) < 0.8 * usual:
            continue
        names = sum(isinstance(cell, str) and _is_name(cell) for cell in filled)
        if names >= 0.8 * len(filled):
            return at
    return None


def _is_name(text: str) -> bool:
    text = text.strip()
    return (
        len(text) <= 200
        and any(character.isalpha() for character in text)
        and not _VALUE.fullmatch(text)
        and not text.startswith(("{", "["))
    )


def _filled(cells: Sequence[Cell]) -> int:
    return sum(not blank(cell) for cell in cells)


def _width(cells: Sequence[Cell]) -> int:
    """Up to the last cell that is not empty."""
    return next((at + 1 for at in range(len(cells) - 1, -1, -1) if not blank(cells[at])), 0)


def _line(cells: Sequence[Cell]) -> str:
    return " | ".join(text_of(cell) for cell in cells if not blank(cell))[:300]
