"""Which column of a duty system's export is which of our fields: a TOML file, read and written.

Nothing is guessed here. A key that is not known is an error that names the nearest one.
"""

from __future__ import annotations

import csv
import json
import re
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from stream.core.events import text_fault
from stream.core.spreadsheets import restored
from stream.core.toml import TomlError, toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Names = tuple[str, ...]
"""Columns that are joined: mostly one, none where a field is not in the export."""


class RosterError(ValueError):
    """A mapping, a roster or a record cannot be used; the message says which and what to do."""


class RosterColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our field = their column, or columns to be joined.

    Attributes:
        officer_id: who; needed.
        duty_id: the export's own number of the booking.
        revision: of several rows of one ``duty_id`` the one with the greatest counts.
        name, role, team: as on ``duty.bookings``.
        patch: area ids, where the export itself has them; else the team decides.
        date: the local date of the start, or of a state.
        start, end: local times, or dates with times.
        end_date: the local date of the end; without it an end before the start is on the next day.
        duration: how long the duty lasts, where there is no end.
        times: both ends in one cell, ``0700-1700``, several pieces of a split shift, or a code of ``shifts``.
        cancelled: whether the booking was cancelled.
        time: when a state was keyed; with ``state`` the file is one of states.
        state: the radio state keyed.
    """

    officer_id: Names = ()
    duty_id: Names = ()
    revision: Names = ()
    name: Names = ()
    role: Names = ()
    team: Names = ()
    patch: Names = ()
    date: Names = ()
    start: Names = ()
    end: Names = ()
    end_date: Names = ()
    duration: Names = ()
    times: Names = ()
    cancelled: Names = ()
    time: Names = ()
    state: Names = ()


class PieceColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of a further piece of a split shift in the same row."""

    start: Names
    end: Names = ()
    duration: Names = ()


class DeviceColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns with devices by kind; unlike elsewhere, several columns are several devices.

    Attributes:
        radio, vehicle: columns with ids; a cell may hold several.
        radio_start, radio_end, vehicle_start, vehicle_end: for what time; without them for the whole duty.
        separators: what stands between several ids in a cell.
        remove: what is taken out of ids: blanks of a registration, dashes.
        same: single ids that the export has otherwise than the trackers: theirs → as the trackers report it.
    """

    radio: Names = ()
    radio_start: Names = ()
    radio_end: Names = ()
    vehicle: Names = ()
    vehicle_start: Names = ()
    vehicle_end: Names = ()
    separators: tuple[str, ...] = (";", ",", "\n")
    remove: tuple[str, ...] = ()
    same: dict[str, str] = {}


class TimeReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How times are written.

    Attributes:
        zone: the zone of times without an offset.
        format: forms as for ``strptime``; where given, texts in any other form are refused.
        dates: which comes first in ``03/04/2026``.
        numbers: what a bare number is, as time of day: ``700`` (hhmm), ``7.5`` (hours), ``7.30`` (h.mm), or
            Excel's part of a day or number of a day (days). Empty: only three or four digits are taken, as
            hhmm.
        twice: the hour that comes twice in autumn: which one is meant. ``refuse``: such a row is refused.
        duration: what a bare number of a duration counts: ``8.5`` hours, ``510`` minutes, ``8.30`` (h.mm).
    """

    zone: str = "Europe/London"
    format: tuple[str, ...] = ()
    dates: Literal["day-first", "month-first"] = "day-first"
    numbers: Literal["", "hhmm", "hours", "h.mm", "days"] = ""
    twice: Literal["refuse", "first", "second"] = "refuse"
    duration: Literal["hours", "minutes", "h.mm"] = "hours"


class RowReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows count.

    Attributes:
        sheet: of a workbook; empty where only one sheet has the mapped columns.
        header: the number of the row with the columns' names, as Excel shows it; 0: found.
        grid: whether the export has a column for each day, with times or codes as in ``columns.times``.
        skip: rows with a cell that is one of these words are passed over; of a grid such cells.
        cancelled: what stands in ``columns.cancelled`` of a cancelled booking; everything else there is then
            none, unless it looks like a word for cancelled. Empty: yes, no and their like, and anything else
            is refused.
        live: what stands there of a booking that was not cancelled, and looks as if it were.
        ignore: columns with words for cancelled that do not cancel a booking, such as remarks.
        fill: fields that are written once for several rows below each other.
    """

    sheet: str = ""
    header: int = 0
    grid: bool = False
    skip: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fill: tuple[str, ...] = ()


class IdDigits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many digits a number has in full: spreadsheets drop leading zeros. 0: as written."""

    officer_id: int = 0
    radio: int = 0
    vehicle: int = 0


class RosterMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping.

    Attributes:
        piece: further pieces of split shifts in the same row.
        teams: their code → area ids; a code without any has no patch. A text is the name of a CSV file with
            the columns ``team`` and ``area_id``. None: the export has the patches, or there are none.
        roles: their word → ``npt``, ``pcso``, ``response`` or any other.
        states: their word → code. ``04``, ``4.0`` and ``Code 4`` need no entry, nor does
            ``4 - Refreshments``, where number and word agree.
        shifts: their code → times as in ``columns.times``; a code without any is no duty.
    """

    columns: RosterColumns = RosterColumns()
    piece: tuple[PieceColumns, ...] = ()
    time: TimeReading = TimeReading()
    devices: DeviceColumns = DeviceColumns()
    teams: dict[str, tuple[str, ...]] | str | None = None
    roles: dict[str, str] = {}
    states: dict[str, int] = {}
    shifts: dict[str, tuple[str, ...]] = {}
    rows: RowReading = RowReading()
    digits: IdDigits = IdDigits()

    @property
    def of_states(self) -> bool:
        """Whether the export has radio states and not bookings."""
        return bool(self.columns.state)

    def used(self) -> dict[str, Names]:
        """The columns that are read, by the key of the mapping that names them."""
        found = {
            f"{table}.{key}": names
            for table, struct in (("columns", self.columns), ("devices", self.devices))
            for key in struct.__struct_fields__
            if key not in _NO_COLUMNS and (names := getattr(struct, key))
        }
        for number, piece in enumerate(self.piece, 1):
            for key in piece.__struct_fields__:
                if names := getattr(piece, key):
                    found[f"piece {number}.{key}"] = names
        return found


_TABLES: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {
        "columns": RosterColumns,
        "time": TimeReading,
        "devices": DeviceColumns,
        "rows": RowReading,
        "digits": IdDigits,
    }
)
LONGEST_QUOTED: Final = 60
_NO_COLUMNS: Final = {"separators", "remove", "same"}
"""Keys of ``devices`` that name no columns."""
_WORDS: Final = ("teams", "roles", "states", "shifts")
_LISTS: Final = {"format", "skip", "cancelled", "live", "ignore", "fill", "separators", "remove"}
"""Keys outside of ``columns`` for which a single text may stand for a list of one."""


# --- Reading ---------------------------------------------------------------------------------------------


def read_mapping(path: Path) -> RosterMapping:
    """Reads a mapping, with the file of teams where it names one.

    Raises:
        RosterError: it cannot be read or used; the message names the key.
        OSError: a file cannot be opened.
    """
    try:
        mapping = parse_mapping(path.read_text(encoding="utf-8-sig"))
        if isinstance(mapping.teams, str):
            mapping = msgspec.structs.replace(mapping, teams=read_teams(path.parent / mapping.teams))
    except RosterError as failure:
        raise RosterError(f"{path}: {failure}") from None
    except UnicodeDecodeError as failure:
        raise RosterError(f"{path}: not UTF-8: {failure.reason}") from None
    return mapping


def parse_mapping(text: str) -> RosterMapping:
    """Reads a mapping's TOML.

    Raises:
        RosterError: it is no TOML, has a key that is not known or a value that cannot be used.
    """
    try:
        raw = toml(text)
    except TomlError as failure:
        raise RosterError(f"not TOML: {failure}") from None
    _know(raw, RosterMapping.__struct_fields__, "")
    for name, struct in _TABLES.items():
        if isinstance(table := raw.get(name), dict):
            _know(table, struct.__struct_fields__, name)
            single = set(table) if name == "columns" else _LISTS | set(DeviceColumns.__struct_fields__)
            raw[name] = {key: _listed(value) if key in single else value for key, value in table.items()}
    for number, piece in enumerate(raw.get("piece", ()), 1):
        if isinstance(piece, dict):
            _know(piece, PieceColumns.__struct_fields__, f"piece {number}")
            piece.update({key: _listed(value) for key, value in piece.items()})
    for name in ("teams", "shifts"):
        if isinstance(table := raw.get(name), dict):
            raw[name] = {key: _listed(value) for key, value in table.items()}
    try:
        mapping = msgspec.convert(raw, RosterMapping)
    except msgspec.ValidationError as failure:
        raise RosterError(_said(failure)) from None
    check(mapping)
    return mapping


def check(mapping: RosterMapping) -> None:
    """Checks what types alone do not say.

    Raises:
        RosterError: columns are missing or contradict each other, or a value makes no sense.
    """
    columns = mapping.columns
    if not columns.officer_id:
        raise RosterError('columns.officer_id is missing: say which column tells who, officer_id = "…"')
    if mapping.of_states:
        if not columns.time:
            raise RosterError("columns.time is missing: say which column tells when a state was keyed")
        wrong = [f"columns.{key}" for key in ("start", "end", "times", "duration") if getattr(columns, key)]
        if wrong or mapping.piece:
            raise RosterError(
                f"columns.state makes it a file of states, and {wrong[0] if wrong else 'piece'} "
                "one of bookings: write a mapping for each"
            )
    elif mapping.rows.grid:
        wrong = [key for key in ("date", "start", "end", "times", "duration") if getattr(columns, key)]
        if wrong or mapping.piece:
            left = f"columns.{wrong[0]}" if wrong else "piece"
            raise RosterError(f"rows.grid takes the times from the columns of the days: leave out {left}")
    elif not columns.start and not columns.times:
        raise RosterError(
            "neither columns.start nor columns.times (bookings) nor columns.state (states) is there: say "
            "which column tells the times"
        )
    elif columns.start and columns.times:
        raise RosterError("columns.start and columns.times both tell the start: leave one of them out")
    elif columns.start and not columns.end and not columns.duration:
        raise RosterError("columns.end is missing: say which column tells the end, or columns.duration")
    if columns.time and not mapping.of_states:
        raise RosterError("columns.time belongs to states, and columns.state is missing")
    try:
        ZoneInfo(mapping.time.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RosterError(
            f"time.zone '{mapping.time.zone}' is no time zone: write Europe/London or UTC"
        ) from None
    for key in ("cancelled", "live"):
        if (words := getattr(mapping.rows, key)) and not columns.cancelled:
            raise RosterError(
                f"rows.{key} has words, and columns.cancelled is missing: say under [columns] in which "
                f'column {", ".join(words[:5])} stands, cancelled = "…"'
            )
    if mapping.rows.header < 0:
        raise RosterError("rows.header is the number of a row, as Excel shows it: 1 or more")
    known = RosterColumns.__struct_fields__
    for name in mapping.rows.fill:
        if name not in known:
            raise RosterError(f"rows.fill: {_unknown(name, known)}")
    for key in mapping.digits.__struct_fields__:
        if not 0 <= getattr(mapping.digits, key) <= 20:
            raise RosterError(f"digits.{key} is how many digits a number has in full: 1 to 20")
    if "" in mapping.devices.separators or "" in mapping.devices.remove:
        raise RosterError("devices.separators and devices.remove hold at least one character each")
    for theirs, ours in mapping.devices.same.items():
        if fault := "is empty" if not ours.strip() else text_fault(ours):
            raise RosterError(f"devices.same.{theirs}: the id {fault}")
    for word, state in mapping.states.items():
        if not 0 <= state <= 255:
            raise RosterError(f"states.{word} is {state}: a state is a number from 0 to 255")
    for code, areas in (mapping.teams if isinstance(mapping.teams, dict) else {}).items():
        for area in areas:
            if fault := text_fault(area):
                raise RosterError(f"teams.{code}: an area id {fault}")
    for key, names in mapping.used().items():
        if any(not name.strip() for name in names):
            raise RosterError(f"{key} names a column without a name")


def read_teams(path: Path) -> dict[str, tuple[str, ...]]:
    """A table of teams: a CSV file with the columns ``team`` and ``area_id``, a row for each pair.

    A team with an empty ``area_id`` has no patch.

    Raises:
        RosterError: it has other columns, or is no CSV in UTF-8.
        OSError: it cannot be opened.
    """
    found: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"team", "area_id"} <= set(reader.fieldnames or ()):
                raise RosterError(f"{path}: the columns 'team' and 'area_id' are needed, separated by commas")
            for row in reader:
                areas = found.setdefault(restored((row["team"] or "").strip()), [])
                if area := restored((row["area_id"] or "").strip()):
                    areas.append(area)
    except UnicodeDecodeError as failure:
        raise RosterError(f"{path}: not UTF-8: {failure.reason}") from None
    except csv.Error as failure:
        raise RosterError(f"{path}: {failure}") from None
    return {team: tuple(areas) for team, areas in found.items()}


def own_names(header: Iterable[str]) -> RosterMapping | None:
    """The mapping of a file whose columns have our own names; None where it has not.

    Also ``radio`` and ``vehicle`` are taken, with ids separated by ``;``.
    """
    there = {name.strip() for name in header}
    columns = {key: (key,) for key in RosterColumns.__struct_fields__ if key in there}
    if {"officer_id", "time", "state"} <= there:
        columns = {key: columns[key] for key in ("officer_id", "date", "time", "state") if key in columns}
    else:
        columns.pop("time", None)
        columns.pop("state", None)
    devices: dict[str, Any] = {
        key: (key,) for key in DeviceColumns.__struct_fields__ if key in there and key not in _NO_COLUMNS
    }
    mapping = RosterMapping(columns=RosterColumns(**columns), devices=DeviceColumns(**devices))
    try:
        check(mapping)
    except RosterError:
        return None
    return mapping


def _know(table: Mapping[str, object], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise RosterError(f"{where}.{_unknown(key, known)}" if where else _unknown(key, known))


def _unknown(key: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(key.lower(), names, 1, 0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
    return f"'{brief(key)}' is not known; {hint}"


def brief(name: str) -> str:
    """A name as messages quote it: those of damaged files may be as long as the file."""
    return name if len(name) <= LONGEST_QUOTED else f"{name[:LONGEST_QUOTED]}…"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _said(failure: msgspec.ValidationError) -> str:
    what, _, where = str(failure).partition(" - at `")
    key = where.strip("`").removeprefix("$.").replace("[...]", "")
    for kind, plain in _KINDS.items():
        what = what.replace(f"`{kind}`", plain)
    text = f"{key}: {what[:1].lower()}{what[1:]}" if key else what
    return f"{text}; known: {', '.join(filter(None, _CHOICES[key]))}" if key in _CHOICES else text


_KINDS: Final = {
    "array": "a list",
    "str": "a text",
    "int": "a whole number",
    "object": "a table",
    "bool": "true or false",
}
_CHOICES: Final = {
    "time.dates": ("day-first", "month-first"),
    "time.numbers": ("hhmm", "hours", "h.mm", "days"),
    "time.twice": ("refuse", "first", "second"),
    "time.duration": ("hours", "minutes", "h.mm"),
}


# --- Writing ---------------------------------------------------------------------------------------------


def mapping_text(mapping: RosterMapping, comments: Mapping[str, str] | None = None) -> str:
    """A mapping as TOML; :func:`parse_mapping` reads it back equal.

    Args:
        mapping: what is written; what has its default is left out.
        comments: by key (``columns.officer_id``), table (``columns``), or empty for the head of the file;
            they stand above what they are about. A comment for a key that is left out is written too.
    """
    notes = dict(comments or {})
    lines = _comment(notes.pop("", ""))
    if isinstance(mapping.teams, str):
        lines += [*_comment(notes.pop("teams", "")), f"teams = {toml_value(mapping.teams)}"]
    for name in ("columns", "piece", "time", "devices", *_WORDS, "rows", "digits"):
        value = getattr(mapping, name)
        if name == "piece":
            for piece in value:
                lines += ["", *_comment(notes.pop("piece", "")), "[[piece]]", *_fields(piece, "piece", notes)]
        elif name in _WORDS:
            if isinstance(value, str):
                continue
            entries = [
                line
                for key, item in (value or {}).items()
                for line in (*_comment(notes.pop(f"{name}.{key}", "")), f"{_key(key)} = {toml_value(item)}")
            ]
            above = _comment(notes.pop(name, ""))
            if entries or (name == "teams" and value is not None):
                lines += ["", *above, f"[{name}]", *entries]
            elif above:
                lines += ["", *above]
        else:
            above = _comment(notes.pop(name, ""))
            inner = _fields(value, name, notes)
            if above or inner:
                lines += ["", *above, f"[{name}]", *inner]
    return "\n".join(lines).strip("\n") + "\n"


def _fields(struct: msgspec.Struct, table: str, notes: dict[str, str]) -> list[str]:
    defaults = dict(zip(struct.__struct_fields__[::-1], struct.__struct_defaults__[::-1], strict=False))
    lines = []
    for key in struct.__struct_fields__:
        lines += _comment(notes.pop(f"{table}.{key}", ""))
        value = getattr(struct, key)
        if value != {} and (key not in defaults or value != defaults[key]):
            lines.append(f"{key} = {toml_value(value)}")
    return lines


def _comment(text: str) -> list[str]:
    return [f"# {_PLAIN.sub(' ', line)}".rstrip() for line in text.splitlines()]


_PLAIN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else toml_value(text)


def toml_value(value: Any) -> str:
    """A value as TOML; a list of one as the one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {toml_value(item)}' for key, item in value.items())} }}"
    if isinstance(value, tuple):
        return toml_value(value[0]) if len(value) == 1 else f"[{', '.join(map(toml_value, value))}]"
    return str(value)
