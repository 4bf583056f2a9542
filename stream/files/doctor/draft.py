"""The draft of a mapping for a table of which too little is known: what was found, and blanks to fill.

Read as it is, such a draft is refused with the name of the first blank key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream.files.doctor.position_map import PositionColumns, PositionMapping, PositionRows, position_map_text
from stream.files.foreign import blank, text_of
from stream.files.roster.mapping import DeviceColumns, RosterColumns, RosterMapping, RowReading, mapping_text

if TYPE_CHECKING:
    from stream.files.doctor.guess import Guess
    from stream.files.foreign import ForeignTable

_BLANK = ("",)


def roster_draft(table: ForeignTable, guess: Guess[RosterMapping], name: str, *, states: bool) -> str:
    """A draft for bookings, or for radio states, as TOML.

    Args:
        table: whose columns are listed.
        guess: what was found; its ``mapping`` is None.
        name: of the file, for the head of the draft.
        states: whether it is more like a file of states.
    """
    found = guess.columns
    columns = {key: found[key] for key in RosterColumns.__struct_fields__ if key in found}
    columns.setdefault("officer_id", _BLANK)
    if states:
        columns = {"time": _BLANK, "state": _BLANK} | columns
    elif "times" not in columns:
        columns.setdefault("start", _BLANK)
        if "duration" not in columns:
            columns.setdefault("end", _BLANK)
    devices: dict[str, Any] = {key: found[key] for key in ("radio", "vehicle") if key in found}
    if not states and not devices:
        devices = {"radio": _BLANK}
    mapping = RosterMapping(
        columns=RosterColumns(**columns),
        devices=DeviceColumns(**devices),
        rows=RowReading(sheet=table.sheet, cancelled=guess.cancelled),
    )
    comments = {**guess.comments, "": "\n".join(_head(table, guess, name))}
    if "teams" not in comments and not states:
        comments["teams"] = 'Which neighbourhoods are each team\'s patch:\n[teams]\n"TEAM" = ["E05000000"]'
    return mapping_text(mapping, comments)


def position_draft(table: ForeignTable, guess: Guess[PositionMapping], name: str) -> str:
    """A draft for positions, as TOML; arguments as of :func:`roster_draft`."""
    found = guess.columns
    one = {
        key: names[0]
        for key, names in found.items()
        if key in PositionColumns.__struct_fields__ and key != "time"
    }
    lines = position_map_text(
        PositionMapping(PositionColumns(**one), rows=PositionRows(sheet=table.sheet)),  # type: ignore[arg-type]
        _head(table, guess, name),
    )
    blanks = [f'{key} = ""' for key in ("device_id", "time") if key not in one]
    return lines.replace("[positions]\n", "\n".join(["[positions]", *blanks, ""]), 1)


def _head(table: ForeignTable, guess: Guess[PositionMapping] | Guess[RosterMapping], name: str) -> list[str]:
    lines = [
        f'Drafted by patrol doctor from {name}, of which too little is known: fill in each "", or delete it.',
        *(f"Missing: {each}" for each in guess.missing),
        *(f"Not sure: {each}" for each in guess.unsure),
        "The columns, each with its first value:",
    ]
    for at, column in enumerate(table.columns):
        first = next((text_of(row.cells[at]) for row in table.rows if not blank(row.cells[at])), "")
        lines.append(" ".join(f"    {column} = {first[:60]}".splitlines()))
    return lines
