"""Rosters with a column for each day → a row for each officer and day.

Only the shape is changed here; what stands in the cells is read as any other row is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from stream.files.foreign import ForeignRow, ForeignTable, blank
from stream.files.roster.mapping import RosterError, TimeReading
from stream.files.roster.times import RefusedRowError, read_time

if TYPE_CHECKING:
    from datetime import date

    from stream.files.roster.mapping import RosterMapping

DAY_COLUMN: Final = "(day)"
TIMES_COLUMN: Final = "(times)"
"""What the two columns are called that take the place of the days."""

_TYPED: Final = re.compile(r"\d{4}-\d\d-\d\d( 00:00:00)?", re.ASCII)
_AGAIN: Final = re.compile(r"(.*) \(\d+\)")


def unfolded(
    table: ForeignTable, mapping: RosterMapping
) -> tuple[ForeignTable, RosterMapping, tuple[date, ...]]:
    """A table with a row for each officer and day, its mapping, and its days; what is no grid stays as it is.

    Raises:
        RosterError: no column is named by a day, or two are by the same.
    """
    if not mapping.rows.grid:
        return table, mapping, ()
    days = {at: day for at, name in enumerate(table.columns) if (day := _day(name, mapping.time))}
    if not days:
        raise RosterError(
            f"{table.name}: rows.grid is set, and no column is named by a day with its year, like "
            f"23/11/2026; say rows.header, or [time] format; it has: {', '.join(table.columns[:40])}"
        )
    if len(set(days.values())) < len(days) or any(
        (match := _AGAIN.fullmatch(name)) and _day(match[1], mapping.time) for name in table.columns
    ):
        raise RosterError(f"{table.name}: several columns are named by the same day: leave one of them")
    others = [at for at in range(len(table.columns)) if at not in days]
    rows = [
        ForeignRow(row.number, (*(row.cells[other] for other in others), day, row.cells[at]), row.extra)
        for row in table.rows
        for at, day in days.items()
        if not blank(row.cells[at])
    ]
    columns = (*(table.columns[at] for at in others), DAY_COLUMN, TIMES_COLUMN)
    named = msgspec.structs.replace(mapping.columns, date=(DAY_COLUMN,), times=(TIMES_COLUMN,))
    return (
        replace(table, columns=columns, rows=rows),
        msgspec.structs.replace(mapping, columns=named),
        tuple(sorted(days.values())),
    )


def _day(name: str, how: TimeReading) -> date | None:
    """The day that a column is named by; None where it is not."""
    if _TYPED.fullmatch(name):  # a workbook's own day, however texts are written
        how = TimeReading()
    try:
        when = read_time([name], how)
    except RefusedRowError:
        return None
    return when.day if when is not None and when.clock in {None, 0} else None
