"""Rows of an export → pieces of duty, or radio states, as the mapping understands them.

Each row is judged by itself: it gives pieces, or is refused with a reason. What several rows say together is
not looked at here.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from stream.core.events import MAX_REVISION, text_fault
from stream.core.facts import Allocation, Duty, StateReport
from stream.core.policy import DEFAULT_STATES
from stream.files.roster.devices import allocated, with_times
from stream.files.roster.grid import unfolded
from stream.files.roster.mapping import RosterError, brief, own_names
from stream.files.roster.state_words import state_of_words
from stream.files.roster.times import (
    LocalTime,
    RefusedRowError,
    TimeSpan,
    bad_time,
    chosen,
    local_day_of,
    read_duration,
    read_time,
    shown,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stream.files.foreign import Cell, ForeignTable
    from stream.files.roster.mapping import RosterMapping

TRUE: Final = {"yes", "y", "true", "1", "x", "cancelled", "canceled"}
FALSE: Final = {"", "no", "n", "false", "0", "-"}
NOBODY: Final = {"-", "--", "–", "—", "?", "n/a", "none", "nil", "null", "0", "tba", "tbc", "tbd"}
"""What people write where there is no officer or no device yet; none of them is an id."""
_CANCELLED: Final = re.compile(
    r"(?<![a-z])(cancel[a-z]*|canc(el)?d?|canx[a-z]*|cnx|cxl?|cxl?d|cncl|cncld|withdrawn|void(ed)?|delet(ed?|ion)|removed"
    r"|annulled|rescinded|revoked)(?![a-z])",
    re.IGNORECASE,
)
_NOT: Final = re.compile(r"(?<![a-z])(not|un|never|non)(?![a-z])", re.IGNORECASE)


def bad_value(detail: str) -> RefusedRowError:
    """A cell that makes no sense."""
    return RefusedRowError("bad_value", detail)


@dataclass(frozen=True, slots=True)
class DutyPiece(Duty):
    """What one row says of one unbroken time on duty.

    ``duty_id`` and ``revision`` are the export's own, empty and 0 where it has none.

    Attributes:
        row: its number as a spreadsheet shows it.
        day: the local day of the start.
    """

    row: int = field(kw_only=True)
    day: date = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was not taken.

    Attributes:
        row: its number as a spreadsheet shows it.
        reason: a word, see ``deploy/roster.md``.
        detail: a line for people.
        officer_id, duty_id, day: whose it may be, as far as could be read: what a refused row may be
            about has not vanished.
    """

    row: int
    reason: str
    detail: str
    officer_id: str = ""
    duty_id: str = ""
    day: date | None = None


class PassedRow(NamedTuple):
    """A row that is no duty: its number as a spreadsheet shows it, and why in a few words."""

    row: int
    why: str


@dataclass(slots=True)
class ReadRows:
    """What the rows of an export say.

    Attributes:
        pieces: of bookings.
        states: of a file of states, with the row's number.
        refused: rows not taken.
        told: what was understood in a way that somebody should know, and how often.
        rows: how many rows there are, without blank ones and those that are not the table's.
        days: of a grid, the days that have a column; a blank cell then says that there is no duty.
        passed: those passed over as the mapping says.
        left_out: those below the header that are not the table's: totals, headings, rules.
    """

    pieces: list[DutyPiece] = field(default_factory=list)
    states: list[tuple[int, StateReport]] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    days: tuple[date, ...] = ()
    passed: list[PassedRow] = field(default_factory=list)
    left_out: list[PassedRow] = field(default_factory=list)


def choose(
    tables: Sequence[ForeignTable], mapping: RosterMapping | None
) -> tuple[ForeignTable, RosterMapping]:
    """The table of a file that is the roster, and its mapping.

    Args:
        tables: of a file: the sheets of a workbook, mostly one.
        mapping: None where the columns should have our own names.

    Raises:
        RosterError: no table has the columns, or several have; the message names the nearest column.
    """
    shown = [table for table in tables if not table.hidden] or list(tables)
    if mapping is None:
        if any("devices" in table.columns for table in shown):
            raise RosterError(
                f"{shown[0].name} is in the form of the topic already: 'patrol replay FILE --topic "
                "duty.bookings --speed 0' sends it, and 'patrol account --duties FILE' takes it"
            )
        owned = [(table, found) for table in shown if (found := own_names(table.columns)) is not None]
        if len(owned) == 1:
            return owned[0]
        raise RosterError(
            f"{shown[0].name}: its columns have names of their own, so a mapping is needed for --map: "
            "'patrol doctor FILE --write-map MAP.toml' drafts one"
            if not owned
            else "several sheets are rosters: say rows.sheet in a mapping"
        )
    failures = []
    fitting = []
    for table in shown:
        try:
            _columns(*unfolded(table, mapping)[:2])
        except RosterError as failure:
            failures.append(failure)
        else:
            fitting.append(table)
    if not fitting:
        raise failures[0]
    if len(fitting) > 1:
        sheets = ", ".join(f"'{table.sheet or table.name}'" for table in fitting)
        raise RosterError(f"{sheets} all have the mapped columns: say which is meant in rows.sheet")
    return fitting[0], mapping


def read_rows(table: ForeignTable, mapping: RosterMapping) -> ReadRows:
    """Reads the rows of an export.

    Raises:
        RosterError: a column that the mapping names is not there, or those of the days; the message names the
            nearest one.
    """
    rows = len(table.rows)
    table, mapping, days = unfolded(table, mapping)
    found = _Reader(table, mapping).read()
    found.rows, found.days = rows, days
    return found


def folded(text: str) -> str:
    """A name or word as it is compared: without regard to case and blanks."""
    return " ".join(text.replace("\xa0", " ").split()).casefold()


def _columns(table: ForeignTable, mapping: RosterMapping) -> dict[str, tuple[int, ...]]:
    """Which columns each key of the mapping names."""
    places = {folded(name): at for at, name in reversed(list(enumerate(table.columns)))}
    exact = {name: at for at, name in enumerate(table.columns)}
    found = {}
    for key, names in mapping.used().items():
        for name in names:
            if name not in exact and folded(name) not in places:
                near = get_close_matches(folded(name), places, 1, 0.6)
                hint = f"did you mean '{brief(table.columns[places[near[0]]])}'? " if near else ""
                where = "no header was found; say rows.header" if table.header is None else "it has"
                listed = ", ".join(map(brief, table.columns[:40]))
                raise RosterError(
                    f"{table.name}: {key} names the column '{brief(name)}', which is not there; "
                    f"{hint}{where}: {listed}"
                )
        found[key] = tuple(exact.get(name, places.get(folded(name), 0)) for name in names)
    return found


def says_cancelled(text: str) -> bool:
    """Whether a text has a word that duty systems use for cancelled: ``CANX``, ``Cxl'd``, ``void``."""
    return bool(_CANCELLED.search(text)) and not _NOT.search(text)


# --- Rows ------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, table: ForeignTable, mapping: RosterMapping) -> None:
        self._table = table
        self._map = mapping
        self._how = mapping.time
        # Times within a cell, and those of [shifts], are of the usual forms, whatever whole cells look like.
        self._usual = msgspec.structs.replace(mapping.time, format=())
        self._at = _columns(table, mapping)
        self._skip = {folded(word) for word in mapping.rows.skip}
        self._cancelled = {folded(word) for word in mapping.rows.cancelled}
        self._live = {folded(word) for word in mapping.rows.live}
        teams = mapping.teams
        self._teams = None if not isinstance(teams, dict) else {folded(key): teams[key] for key in teams}
        self._roles = {folded(key): value for key, value in mapping.roles.items()}
        self._states = {folded(key): value for key, value in mapping.states.items()}
        self._shifts = {folded(key): value for key, value in mapping.shifts.items()}
        self._separators = re.compile("|".join(map(re.escape, mapping.devices.separators)) or r"(?!)")
        self._same = {folded(theirs): ours for theirs, ours in mapping.devices.same.items()}
        self._midnights: set[str] = set()
        self._found = ReadRows()

    def read(self) -> ReadRows:
        """Reads all rows."""
        found = self._found
        rows = self._table.rows
        # A workbook's midnight cannot be told from its day: it is one where others of its column have times.
        for key, at in self._at.items():
            if any(isinstance(row.cells[column], datetime) for row in rows for column in at):
                self._midnights.add(key)
        last: dict[str, tuple[Cell, ...]] = {}
        found.left_out = [PassedRow(item.number, _LEFT_OUT[item.why]) for item in self._table.left_out]
        self._tell_numbers()
        for row in rows:
            cells = list(row.cells)
            word = next((text for cell in cells if folded(text := text_of(cell)) in self._skip), None)
            if word is not None:
                found.passed.append(PassedRow(row.number, f"'{word}' is in rows.skip"))
                continue
            for name in self._map.rows.fill:
                at = self._at.get(f"columns.{name}", ())
                if any(text_of(cells[column]) for column in at):
                    last[name] = tuple(cells[column] for column in at)
                elif name in last:
                    for column, cell in zip(at, last[name], strict=True):
                        cells[column] = cell
            self._row(row.number, cells, row.extra)
        return found

    def _tell_numbers(self) -> None:
        """Counts ids that a workbook has as numbers: their leading zeros, if they had any, are gone."""
        if self._table.kind != "workbook":
            return
        for key in self._map.digits.__struct_fields__:
            at = self._at.get(f"columns.{key}", self._at.get(f"devices.{key}", ()))
            if not getattr(self._map.digits, key):
                numbers = [row.cells[column] for row in self._table.rows for column in at]
                self._found.told[f"digits_{key}"] = sum(type(cell) is int for cell in numbers)

    def _row(self, row: int, cells: Sequence[Cell], extra: Sequence[Cell]) -> None:
        officer = own = ""
        day: date | None = None
        told: Counter[str] = Counter()
        try:
            own = _known(self._text(cells, "columns.duty_id"), "duty_id", 0)
            officer = self._officer(cells)
            day = self._day(cells, "columns.date")
            _refuse_shifted(extra)
            if self._map.of_states:
                self._found.states.append((row, self._state(officer, day, cells, told)))
            else:
                pieces = list(self._pieces(row, officer, own, day, cells, told))
                if not pieces:
                    self._found.passed.append(PassedRow(row, "by [shifts] no duty"))
                self._found.pieces += pieces
        except RefusedRowError as failure:
            day = day or self._about(cells)
            self._found.refused.append(RefusedRow(row, failure.reason, str(failure), officer, own, day))
        else:
            self._found.told += told

    def _about(self, cells: Sequence[Cell]) -> date | None:
        """The day that a refused row is about, where it can be read."""
        for key in ("columns.start", "columns.time"):
            try:
                when = self._time(cells, key)
            except RefusedRowError:
                continue
            if when is not None and when.day:
                return when.day
        return None

    # Fields

    def _cells(self, cells: Sequence[Cell], key: str) -> list[Cell]:
        return [cells[column] for column in self._at.get(key, ())]

    def _text(self, cells: Sequence[Cell], key: str) -> str:
        return " ".join(filter(None, map(text_of, self._cells(cells, key))))

    def _checked(self, cells: Sequence[Cell], key: str) -> str | None:
        text = self._text(cells, key)
        if text and (fault := text_fault(text)):
            raise bad_value(f"{key.partition('.')[2]} {fault}")
        return text or None

    def _officer(self, cells: Sequence[Cell]) -> str:
        written = self._text(cells, "columns.officer_id")
        officer = _known(written, "officer_id", self._map.digits.officer_id)
        if not officer or folded(written) in NOBODY:
            raise RefusedRowError("no_officer", "there is no officer_id")
        return officer

    def _time(self, cells: Sequence[Cell], key: str) -> LocalTime | None:
        when = read_time(self._cells(cells, key), self._how)
        if when is not None and when.typed_day and when.clock is None and key in self._midnights:
            return LocalTime(when.day, 0)
        return when

    def _day(self, cells: Sequence[Cell], key: str) -> date | None:
        when = read_time(self._cells(cells, key), self._how)
        if when is not None and when.day is None:
            raise bad_time(f"{key.partition('.')[2]} has no day: {shown(self._cells(cells, key))}")
        return None if when is None else when.day

    def _is_cancelled(self, cells: Sequence[Cell]) -> bool:
        text = self._text(cells, "columns.cancelled")
        word = folded(text)
        if word in self._live:
            return False
        if word in self._cancelled:
            return True
        if self._cancelled:
            if not says_cancelled(text):
                return False
            raise bad_value(
                f"does '{text}' mean cancelled? List it in rows.cancelled if it does, else in rows.live",
            )
        if word in TRUE or word in FALSE:
            return word in TRUE
        raise bad_value(
            f"does '{text}' mean cancelled? List the words that do in rows.cancelled",
        )

    def _patch(self, cells: Sequence[Cell], team: str | None) -> tuple[str, ...]:
        areas = self._split(self._text(cells, "columns.patch"))
        for area in areas:
            if fault := text_fault(area):
                raise bad_value(f"patch {fault}")
        if not areas and self._teams is not None:
            known = self._teams.get(folded(team or ""))
            if known is None:
                raise RefusedRowError(
                    "unknown_team",
                    f"team '{team}' is not among [teams]; a team without a patch is written '\"{team}\" = []'"
                    if team
                    else "there is no team; if such officers have no patch, write '\"\" = []' in [teams]",
                )
            areas = list(known)
        return tuple(sorted(set(areas)))

    def _split(self, text: str) -> list[str]:
        return [part for part in map(str.strip, self._separators.split(text)) if part]

    # Bookings

    def _pieces(
        self,
        row: int,
        officer: str,
        own: str,
        day: date | None,
        cells: Sequence[Cell],
        told: Counter[str],
    ) -> Iterator[DutyPiece]:
        spans = list(self._spans(day, cells))
        if not spans:
            return
        team = self._checked(cells, "columns.team")
        role = self._checked(cells, "columns.role")
        name = self._checked(cells, "columns.name")
        patch = self._patch(cells, team)
        cancelled = self._is_cancelled(cells)
        revision = self._revision(cells)
        held = self._devices(spans, cells, told)
        for when, devices in zip(spans, held, strict=True):
            first = local_day_of(when.start, self._how)
            if when.twice:
                told["twice"] += 1
            if when.end is None:
                told["open"] += 1
            yield DutyPiece(
                row=row,
                officer_id=officer,
                duty_id=own,
                revision=revision,
                day=first,
                start=when.start,
                end=when.end,
                name=name,
                role=self._roles.get(folded(role), role) if role else None,
                team=team,
                patch=patch,
                devices=devices,
                cancelled=cancelled,
            )

    def _revision(self, cells: Sequence[Cell]) -> int:
        text = self._text(cells, "columns.revision")
        if text and not (re.fullmatch(r"\d{1,10}", text, re.ASCII) and int(text) < MAX_REVISION):
            raise bad_value(f"revision '{text}' is no number of a revision")
        return int(text or 0)

    def _spans(self, day: date | None, cells: Sequence[Cell]) -> Iterator[TimeSpan]:
        """When the pieces of a row are."""
        if "columns.times" in self._at:
            yield from self._ranges(day, self._text(cells, "columns.times"))
            return
        start = self._time(cells, "columns.start")
        if start is None:
            raise RefusedRowError("no_start", "there is no start")
        end_day = self._day(cells, "columns.end_date")
        when = span(
            start,
            self._time(cells, "columns.end"),
            read_duration(self._cells(cells, "columns.duration"), self._how),
            self._how,
            day=day,
            end_day=end_day,
        )
        yield when
        for number in range(1, len(self._map.piece) + 1):
            more = self._time(cells, f"piece {number}.start")
            if more is None:
                continue
            if when.end is None:
                raise RefusedRowError("no_end", "a piece that is followed by another has no end")
            end = self._time(cells, f"piece {number}.end")
            lasting = read_duration(self._cells(cells, f"piece {number}.duration"), self._how)
            began = local_day_of(when.start, self._how)
            when = span(more, end, lasting, self._how, day=began, after=when.end)
            yield when

    def _ranges(self, day: date | None, text: str) -> Iterator[TimeSpan]:
        """The pieces of ``0700-1100, 1500-1900``, or of the code of a shift."""
        if not text:
            raise RefusedRowError("no_start", "there are no times")
        parts = self._shifts.get(folded(text))
        if parts is None:
            parts = tuple(part for part in re.split(r"[,;/&+\n]|\band\b", text) if part.strip())
        after: int | None = None
        for part in parts:
            ends = re.split(r"\s*(?:-|–|—|\bto\b|\buntil\b)\s*", part.strip())
            if len(ends) != 2:
                known = get_close_matches(folded(text), list(self._shifts), 1, 0.6)
                hint = f"; did you mean '{known[0]}'?" if known else ""
                raise RefusedRowError(
                    "unknown_shift", f"'{text}' is neither times like 0700-1700 nor among [shifts]{hint}"
                )
            start, end = (read_time([item], self._usual) for item in ends)
            if start is None or end is None:
                raise bad_time(f"'{part}' lacks its start or its end")
            when = span(start, end, None, self._how, day=day, after=after)
            day, after = local_day_of(when.start, self._how), when.end
            yield when

    # Devices

    def _named(
        self, cells: Sequence[Cell], told: Counter[str]
    ) -> Iterator[tuple[str, str, LocalTime | None, LocalTime | None]]:
        """The devices of a row: id, kind, and the start and end of their allocations as far as told."""
        for kind in ("radio", "vehicle"):
            start, end = (self._time(cells, f"devices.{kind}_{edge}") for edge in ("start", "end"))
            for cell in self._cells(cells, f"devices.{kind}"):
                for part in self._split(text_of(cell)):
                    if folded(part) in NOBODY:
                        told["blank_device"] += 1
                        continue
                    device, *times = with_times(part, start, end, self._usual)
                    for removed in self._map.devices.remove:
                        device = device.replace(removed, "")
                    written = device.strip()
                    device = _known(written, kind, getattr(self._map.digits, kind))
                    for theirs in (written, device):
                        if (ours := self._same.get(folded(theirs))) is not None:
                            device = ours
                            break
                    if device:
                        yield device, kind, times[0], times[1]

    def _devices(
        self, spans: Sequence[TimeSpan], cells: Sequence[Cell], told: Counter[str]
    ) -> list[tuple[Allocation, ...]]:
        """The allocations of each piece of a row."""
        found: list[dict[Allocation, None]] = [{} for _ in spans]
        for device, kind, start, end in self._named(cells, told):
            held = [allocated(device, kind, start, end, when, self._how) for when in spans]
            for piece, item in zip(found, held, strict=True):
                if item is not None:
                    piece[item[0]] = None
                    told["twice"] += item[1]
            if not any(held):
                raise bad_time(f"{kind} {device} is allocated outside of the duty")
        return [tuple(sorted(piece, key=by_kind)) for piece in found]

    # States

    def _state(
        self, officer: str, day: date | None, cells: Sequence[Cell], told: Counter[str]
    ) -> StateReport:
        when = self._time(cells, "columns.time")
        if when is None:
            raise RefusedRowError("no_start", "there is no time")
        on = when.day or day
        if on is None:
            raise bad_time("the time has no date; map columns.date")
        if when.clock is None:
            raise bad_time(f"{on.isoformat()} has no time of day")
        at, twice = chosen(on, when, self._how)
        told["twice"] += twice
        return StateReport(officer, at, self._code(self._text(cells, "columns.state")))

    def _code(self, text: str) -> int:
        if (known := self._states.get(folded(text))) is not None:
            return known
        if numbered := numbered_state(text):
            code, words = numbered
            if not words or state_of_words(words) == code:
                return code
            raise RefusedRowError(
                "unknown_state",
                f"'{text}' has a number and a word that do not agree: {code} is "
                + (DEFAULT_STATES[code].name.replace("_", " ") if code in DEFAULT_STATES else "not named")
                + " in the rules"
                + f"; write '\"{text}\" = …' in [states], with the number that it means",
            )
        near = get_close_matches(folded(text), list(self._states), 1, 0.6)
        hint = (
            f"did you mean '{near[0]}'?" if near else f"write '\"{text}\" = 4' in [states], with its number"
        )
        raise RefusedRowError("unknown_state", f"'{text}' is no state that is known; {hint}")


_CODE: Final = re.compile(
    r"(?:(?:code|state|status|st|s)\.?[ :#-]*)?0*(\d{1,3})(?:[.,]0+)?(?:\s*[-:–]\s*(\D.*)|\s+([^\W\d].*))?",
    re.IGNORECASE | re.ASCII,
)
"""``04``, ``4.0``, ``Code 4``, ``Status: 4``, ``4 - Refreshments``."""


def numbered_state(text: str) -> tuple[int, str] | None:
    """The number of a state and the words behind it, which may be none; None where no number leads."""
    match = _CODE.fullmatch(text)
    if match is None or int(match[1]) > 255:
        return None
    return int(match[1]), match[2] or match[3] or ""


_LEFT_OUT: Final = {
    "total": "a total",
    "heading": "one cell alone",
    "header": "the header again",
    "rule": "dashes",
}
_SHORTENED: Final = re.compile(r"\d(?:[.,]\d+)?E\+?\d+", re.IGNORECASE | re.ASCII)
_BROKEN: Final = {"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"}


def text_of(cell: Cell) -> str:
    """A cell as text: a whole number without a point, blanks of any kind as one."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        cell = int(cell)
    return "" if cell is None else " ".join(str(cell).replace("\xa0", " ").split())


def _known(text: str, name: str, digits: int) -> str:
    """An identifier, checked, with the leading zeros that a spreadsheet dropped."""
    if _SHORTENED.fullmatch(text):
        raise bad_value(f"{name} '{text}': a spreadsheet has shortened the number")
    if text in _BROKEN:
        raise bad_value(f"{name} is {text}")
    if text and (fault := text_fault(text)):
        raise bad_value(f"{name} {fault}")
    return text.zfill(digits) if digits and text.isascii() and text.isdigit() else text


def _refuse_shifted(extra: Sequence[Cell]) -> None:
    if extra:
        raise RefusedRowError(
            "shifted",
            f"there are more cells than columns ({shown(extra[:3])}): a separator inside a text?",
        )


def by_kind(item: Allocation) -> tuple[str, str, int, int]:
    """The order of a duty's allocations."""
    return item.kind, item.device_id, item.start or 0, item.end or 0
