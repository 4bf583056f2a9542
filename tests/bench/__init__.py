"""Measurements. Each module has ``run() -> list[Row]`` and can be run by itself; none of them is a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    Attributes:
        name: what was measured.
        value: how much.
        unit: of what.
        note: what it compares to, or on which data.
        line: in place of all of them, a line for programs, which stands by itself.
    """

    name: str = ""
    value: float = 0.0
    unit: str = ""
    note: str = ""
    line: str = ""


def show(rows: list[Row]) -> str:
    """Rows as a small table of text; lines for programs end it."""
    cells = [
        (row.name, f"{row.value:,.3g}" if row.value < 1000 else f"{row.value:,.0f}", row.unit, row.note)
        for row in rows
        if not row.line
    ]
    wide = [max((len(cell[at]) for cell in cells), default=0) for at in range(3)]
    table = [
        f"{name:<{wide[0]}}  {value:>{wide[1]}} {unit:<{wide[2]}}  {note}".rstrip()
        for name, value, unit, note in cells
    ]
    return "\n".join([*table, *(row.line for row in rows if row.line)])
