"""Columns that a mapping does not read, and what in them may say that a duty was cancelled.

A cancelled duty that is taken as live is an officer who was not on his patch all day, so nothing is guessed:
an export with a word for cancelled in a column that is not read is refused until its mapping decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stream.files.roster.grid import unfolded
from stream.files.roster.mapping import RosterError, toml_value
from stream.files.roster.rows import FALSE, folded, says_cancelled, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.files.foreign import Cell, ForeignTable
    from stream.files.roster.mapping import RosterMapping

_REMARK: Final = 60
"""Characters of a cell that may be a word of a status; what is longer is prose."""


def unread_columns(table: ForeignTable, mapping: RosterMapping) -> tuple[str, ...]:
    """The columns that the mapping does not name and that are not empty, in the file's order."""
    table, mapping, _ = unfolded(table, mapping)
    return tuple(table.columns[at] for at in _unread(table, mapping))


def require_decided(table: ForeignTable, mapping: RosterMapping) -> None:
    """Checks that the mapping decides which duties were cancelled, where the export says so anywhere.

    It does by ``columns.cancelled``, by ``rows.skip`` for rows with the word, or by ``rows.ignore`` for the
    column.

    Raises:
        RosterError: a column that is not read holds a word for cancelled; says what to write.
    """
    if mapping.of_states or mapping.columns.cancelled:
        return
    table, mapping, _ = unfolded(table, mapping)
    skip = {folded(word) for word in mapping.rows.skip}
    ignored = {folded(name) for name in mapping.rows.ignore}
    rows = [row for row in table.rows if not skip & {folded(text_of(cell)) for cell in row.cells}]
    for at in _unread(table, mapping):
        name = table.columns[at]
        if folded(name) in ignored:
            continue
        words = cancelling_words(name, [row.cells[at] for row in rows])
        if words:
            shown = ", ".join(f"'{word}'" for word in words[:5])
            column, listed = toml_value(name), ", ".join(map(toml_value, words[:5]))
            plain = all(folded(word) in _YES for word in words)
            raise RosterError(
                f"{table.name}: the column '{name}' holds {shown}, and the mapping does not say whether that "
                f"cancels a duty: write cancelled = {column} under [columns]"
                + ("" if plain else f" and cancelled = [{listed}] under [rows]")
                + f"; or, if it does not, ignore = {column} under [rows]"
            )


_YES: Final = {"yes", "y", "true", "1", "x"}


def cancelling_words(name: str, cells: list[Cell]) -> list[str]:
    """What in a column may say that a duty was cancelled, each word once, sorted.

    In a column whose name says cancelled, every cell that does not say no; elsewhere the short cells that
    have a word for it.
    """
    texts = sorted({text_of(cell) for cell in cells})
    if says_cancelled(name):
        return [text for text in texts if folded(text) not in FALSE]
    return [text for text in texts if len(text) <= _REMARK and says_cancelled(text)]


def _unread(table: ForeignTable, mapping: RosterMapping) -> Iterator[int]:
    used = {folded(name) for names in mapping.used().values() for name in names}
    for at, name in enumerate(table.columns):
        if folded(name) not in used and any(text_of(row.cells[at]) for row in table.rows):
            yield at
