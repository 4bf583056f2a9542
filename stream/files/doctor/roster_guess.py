"""A table of bookings or radio states without a mapping: which columns they are, and how sure it is."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from stream.files.doctor.clocks import shortened
from stream.files.doctor.guess import ColumnSearch, Guess, listed, part_that_fits
from stream.files.doctor.names import ROSTER_NAMES, plain_name
from stream.files.foreign import blank, text_of
from stream.files.roster.mapping import (
    DeviceColumns,
    RosterColumns,
    RosterError,
    RosterMapping,
    RowReading,
    TimeReading,
    check,
)
from stream.files.roster.rows import numbered_state, says_cancelled
from stream.files.roster.state_words import state_of_words
from stream.files.roster.times import LocalTime, RefusedRowError, read_duration, read_time

if TYPE_CHECKING:
    from stream.files.foreign import Cell, ForeignTable

_FEW_WORDS: Final = 20
"""Different words that a column of a status has at most."""
_MOST: Final = 0.6
_ID: Final = re.compile(r"(?=.*\d)[A-Za-z]{0,6}[ /_-]?\d{1,9}[A-Za-z]{0,3}", re.ASCII)
_RANGE: Final = re.compile(
    r"\s*\d{1,2}[:.]?\d{2}\s*(?:-|–|—|to|until)\s*\d{1,2}[:.]?\d{2}\b.*", re.ASCII | re.IGNORECASE | re.DOTALL
)
_YES_NO: Final = {"", "yes", "no", "y", "n", "true", "false", "0", "1", "x", "-"}
_ABSENT: Final = re.compile(
    r"rd|rest day.*|r/d|rest|al|a/l|annual leave.*|leave|sick.*|off|weekly off|bank holiday|bh|toil|"
    r"maternity.*|paternity.*|non working.*|nwd|day off|not working",
    re.IGNORECASE,
)
_PLATE: Final = re.compile(r"[A-Z]{2}\d{2} [A-Z]{3}\b")
_ROLES: Final = (
    (re.compile(r"pcso|community support", re.IGNORECASE), "pcso"),
    (re.compile(r"neighbourhood|\bnpt\b|\bsnt\b|\bnho\b", re.IGNORECASE), "npt"),
    (re.compile(r"response|\bpatrol\b|\bert\b", re.IGNORECASE), "response"),
)


def guess_roster(table: ForeignTable) -> Guess[RosterMapping]:
    """Guesses a mapping for a table of bookings or of radio states; its ``missing`` says what was "
    "not found.
    """
    looking = _Looking(table)
    states, duties = looking.states(), looking.duties()
    if states.mapping is not None and (duties.mapping is None or "times" in duties.columns):
        return states
    if duties.mapping is not None:
        return duties
    return states if len(states.missing) < len(duties.missing) else duties


class _Looking(ColumnSearch[RosterMapping]):
    def __init__(self, table: ForeignTable) -> None:
        super().__init__(table, ROSTER_NAMES, _MOST)

    # ── Bookings ──────────────────────────────────────────────────────────────────────────────────────────

    def duties(self) -> Guess[RosterMapping]:
        """The table as one of bookings."""
        self._begin()
        guess = self._guess
        officer = self._officer()
        numbers, found = self._times()
        if not found:
            self._lack("when the duty is: no columns of start and end")
        if not officer:
            self._lack("who is on duty: no column of an officer's number")
        for name in ("duty_id", "revision", "name", "role", "team", "patch"):
            self._take(name, _whole_number if name == "revision" else _short_text)
        guess.cancelled = self._cancelled()
        devices: dict[str, Any] = {
            name: (column,)
            for name in ("radio", "vehicle")
            if (column := self._take(name, lambda cell: not isinstance(cell, float) and _short_text(cell)))
        }
        if guess.missing:
            return guess
        if not devices:
            self._call_sign()
        for key, (name,) in devices.items():
            self._zeros(f"{key}s", key, name)
        self._registrations()
        columns = {key: names for key, names in guess.columns.items() if key not in {"radio", "vehicle"}}
        self._finish(
            columns,
            devices=DeviceColumns(**devices),
            time=TimeReading(numbers=numbers, dates=self._dates(), zone=self._zone()),
            rows=RowReading(sheet=self._table.sheet, cancelled=guess.cancelled, skip=self._absences()),
            roles=self._roles(),
        )
        self._patches()
        return guess

    def _times(self) -> tuple[Any, bool]:
        """The columns of times, and what bare numbers among them are."""
        numbers = ""
        days = self._candidates("date", self._is_day)
        for numbers in ("", "hhmm", "h.mm", "hours", "days"):
            how = TimeReading(numbers=numbers)  # type: ignore[arg-type]
            starts = self._candidates("start", lambda cell, how=how: _reads(cell, how))  # type: ignore[misc]
            if not starts:
                continue
            self._use("start", starts[0])
            ends = self._candidates("end", lambda cell, how=how: _reads(cell, how))  # type: ignore[misc]
            if ends:
                self._use("end", ends[0])
            elif self._by_cells():
                pass
            elif not self._take("duration", lambda cell, how=how: _lasts(cell, how)):  # type: ignore[misc]
                self._lack("when the duty ends: neither an end nor a duration")
                return "", True
            others = [name for name in starts[1:] if _says(name, "planned", "scheduled", "rostered", "plan")]
            if others:
                self._doubt(
                    f"{starts[0]!r} is taken for the start and not {listed(others)}: figures count "
                    "time worked"
                )
            break
        else:
            if self._by_cells():
                return "", True
            ranges = self._candidates("times", lambda cell: bool(_RANGE.fullmatch(text_of(cell))), most=0.3)
            if not ranges:
                return "", False
            self._use("times", ranges[0])
            codes = sorted(
                {
                    text
                    for cell in self._cells[ranges[0]]
                    if (text := text_of(cell)) and not _RANGE.fullmatch(text) and not _ABSENT.fullmatch(text)
                }
            )
            if codes:
                self._doubt(f"{ranges[0]!r} has codes without times: {listed(codes)}")
                self._guess.comments["shifts"] = "Say which times these are, or leave them out: " + ", ".join(
                    f'{code} = "0700-1700"' for code in codes[:20]
                )
            numbers = ""
        key = "start" if "start" in self._guess.columns else "times"
        name = self._guess.columns[key][0]
        if part_that_fits(self._cells[name], lambda cell: _with_day(cell, numbers)) < 0.5 or key == "times":
            if not days or days[0] in self._used:
                self._lack("the day: times of day without a date")
                return numbers, True
            self._use("date", days[0])
            ends_on = [each for each in self._candidates("end_date", self._is_day) if each not in self._used]
            if ends_on:
                self._use("end_date", ends_on[0])
        if numbers in {"h.mm", "hours"}:
            self._doubt(
                f"numbers such as {self._first(name)} in {name!r} are taken as "
                + ("hours and minutes (7.30 is 07:30)" if numbers == "h.mm" else "hours (7.5 is 07:30)")
            )
        return numbers, True

    def _by_cells(self) -> bool:
        """Takes the columns of start and end by their cells alone, where no name tells them.

        They are the two, or beside a start the one, whose cells are all days with times, and of which one is
        later than the other by a day at most.
        """
        others = [
            name
            for name, cells in self._cells.items()
            if name not in self._used
            and part_that_fits(cells, lambda cell: _with_day(cell, "") and _with_clock(cell)) == 1
        ]
        begun = self._guess.columns.get("start", ())
        if len(others) + len(begun) != 2:
            if len(others) > 2:
                self._doubt(f"which of {listed(others)} are the start and the end of a duty?")
            return False
        one, other = *begun, *others
        for start, end in [(one, other)] if begun else [(one, other), (other, one)]:
            if self._lasts_a_day(start, end):
                self._use("start", start)
                self._use("end", end)
                self._doubt(f"{start!r} and {end!r} are taken for start and end by their cells alone")
                return True
        return False

    def _lasts_a_day(self, start: str, end: str) -> bool:
        """Whether nearly every end is after its start, by 24 hours at most."""
        pairs = [
            (_minute(one), _minute(other))
            for one, other in zip(self._cells[start], self._cells[end], strict=True)
            if not blank(one) and not blank(other)
        ]
        fitting = sum(0 < other - one <= 24 * 60 for one, other in pairs)
        return bool(pairs) and fitting >= 0.9 * len(pairs)

    def _zone(self) -> str:
        """The zone of the times: that which the names of their columns say, else the local one."""
        names = [
            name
            for key in ("start", "end", "time")
            for name in self._guess.columns.get(key, ())
            if _says(name, "utc", "zulu", "gmt")
        ]
        if not names:
            return TimeReading().zone
        self._doubt(f"by the name of {listed(names)}, times are taken as UTC")
        return "UTC"

    def _cancelled(self) -> tuple[str, ...]:
        """The words of a cancelled duty; none where the column says yes or no, or there is no column."""
        named = self._candidates("cancelled", _short_text)
        others = [name for name in self._table.columns if name not in self._used and name not in named]
        silent: dict[str, list[str]] = {}
        for name in (*named, *others):
            at = self._table.columns.index(name)
            words = sorted({text_of(row.cells[at]) for row in self._table.rows})  # one may stand far down
            said = self._rank("cancelled", name) == 0
            if {word.lower() for word in words} <= _YES_NO:
                if said and any(words):
                    self._use("cancelled", name)
                    return ()
                continue
            if len(words) > _FEW_WORDS:
                continue
            marked = [word for word in words if says_cancelled(word)]
            if marked:
                self._use("cancelled", name)
                left = [word for word in words if word and word not in marked]
                self._doubt(
                    f"rows whose {name!r} is {listed(marked)} are cancelled; these are not: "
                    f"{listed(left) if left else 'those without a word'}"
                )
                return tuple(marked)
            if name in named and any(words):
                silent[name] = words
        for name, words in silent.items():
            self._doubt(
                f"which of {listed([word for word in words if word])} in {name!r} cancels a duty? If one "
                f'does, write cancelled = "{name}" under [columns], and its word under [rows] cancelled'
            )
        return ()

    def _absences(self) -> tuple[str, ...]:
        """Words of rest days and leave, which stand in rows that have no times."""
        key = "start" if "start" in self._guess.columns else "times"
        start = self._cells[self._guess.columns[key][0]]
        found: dict[str, None] = {}
        for cells in self._cells.values():
            for cell, begun in zip(cells, start, strict=True):
                text = text_of(cell)
                if isinstance(cell, str) and _ABSENT.fullmatch(text) and (blank(begun) or cell is begun):
                    found.setdefault(text)
        if found:
            self._doubt(f"rows with {listed(list(found))} are passed over, as no duties")
        return tuple(found)

    def _roles(self) -> dict[str, str]:
        """Words of roles → ours."""
        names = self._guess.columns.get("role")
        if not names:
            return {}
        words = sorted({text for cell in self._cells[names[0]] if (text := text_of(cell))})
        found = {
            word: role
            for word in words
            for pattern, role in [next((each for each in _ROLES if re.search(each[0], word)), ("", ""))]
            if role and role != word
        }
        if found:
            meant = ", ".join(f"{word!r} is taken as {role}" for word, role in found.items())
            self._doubt(f"roles are words of the force's own: {meant}")
        return found

    def _registrations(self) -> None:
        names = self._guess.columns.get("vehicle")
        if (
            names
            and part_that_fits(self._cells[names[0]], lambda cell: bool(_PLATE.match(text_of(cell)))) > 0.3
        ):
            self._doubt(
                f"registrations in {names[0]!r} have a blank; where trackers report without it, write "
                'remove = " " under [devices]'
            )

    def _call_sign(self) -> None:
        found = self._candidates("call_sign", _short_text)
        if found:
            self._doubt(
                f"no column has radios or vehicles; {found[0]!r} has call signs: if trackers report by them, "
                f'write vehicle = "{found[0]}" under [devices]'
            )
            self._guess.columns["call_sign"] = (found[0],)
        else:
            self._doubt("no column has radios or vehicles: without devices, no position can be an officer's")

    def _patches(self) -> None:
        guess = self._guess
        if "patch" in guess.columns:
            self._doubt(
                f"{guess.columns['patch'][0]!r} must hold the area ids of your boundary file, as in E05001784"
            )
        elif "team" in guess.columns:
            cells = self._cells[guess.columns["team"][0]]
            codes = sorted({text for cell in cells if (text := text_of(cell))})
            self._doubt(f"whose patch is which is not in the file: [teams] has to say it for {listed(codes)}")
            lines = ["Which neighbourhoods are each team's patch; [] for none:", "[teams]"]
            lines += [f'"{code}" = ["E05000000"]' for code in codes[:200]]
            guess.comments["teams"] = "\n".join(lines)
        else:
            self._doubt("no column has a patch or a team: duties without a patch have no share")

    # ── States ────────────────────────────────────────────────────────────────────────────────────────────

    def states(self) -> Guess[RosterMapping]:
        """The table as one of radio states."""
        self._begin()
        guess = self._guess
        officer = self._officer()
        how = TimeReading()
        times = self._candidates("time", lambda cell: _reads(cell, how))
        if times:
            self._use("time", times[0])
            if part_that_fits(self._cells[times[0]], lambda cell: _with_day(cell, "")) < 0.5:
                days = self._candidates("date", self._is_day)
                if days:
                    self._use("date", days[0])
                else:
                    self._lack("the day: times of day without a date")
        else:
            self._lack("when a state was keyed: no column of times")
        if not officer:
            self._lack("who keyed it: no column of an officer's number")
        states = [name for name in self._candidates("state", _short_text) if self._few(name)]
        if states:
            self._use("state", states[0])
        else:
            self._lack("the state: no column of status codes")
        if guess.missing:
            return guess
        self._finish(
            dict(guess.columns),
            time=TimeReading(dates=self._dates(), zone=self._zone()),
            rows=RowReading(sheet=self._table.sheet),
            states=self._words(states[0]),
        )
        return guess

    def _few(self, name: str) -> bool:
        """Whether a column has few different words, and none of them is a time."""
        words = {text_of(cell) for cell in self._filled(name)}
        return bool(words) and len(words) <= 60 and part_that_fits(self._cells[name], _is_time) < 0.5

    def _words(self, name: str) -> dict[str, int]:
        """Words of states → codes; numbers need none."""
        words = sorted({text_of(cell) for cell in self._filled(name)})
        spelt = [word for word in words if not re.fullmatch(r"(\w+ )?0*\d{1,3}(\.0)?", word, re.ASCII)]
        numbered = {word: state for word in spelt if (state := numbered_state(word))}
        meant_by = {word: state_of_words(numbered[word][1] if word in numbered else word) for word in spelt}
        # A number and a word that agree need no entry; where they do not, only a person knows which is meant.
        spelt = [word for word in spelt if word not in numbered or numbered[word][0] != meant_by[word]]
        found = {
            word: code for word in spelt if word not in numbered and (code := meant_by[word]) is not None
        }
        if found:
            meant = ", ".join(f"{word!r} is taken as {code}" for word, code in found.items())
            self._doubt(f"states are words: {meant}")
        if left := [word for word in spelt if word not in found]:
            self._doubt(f"states that [states] has to explain: {listed(left)}")
            self._guess.comments["states"] = "Not known yet: " + ", ".join(
                f'"{word}" = {"?" if meant_by[word] is None else meant_by[word]}' for word in left
            )
        return found

    # ── Both ──────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, columns: dict[str, tuple[str, ...]], **parts: Any) -> None:
        columns.pop("call_sign", None)
        mapping = RosterMapping(columns=RosterColumns(**columns), **parts)
        try:
            check(mapping)
        except RosterError as failure:
            self._lack(str(failure))
        else:
            self._guess.mapping = mapping

    def _emptiness(self, filled: float) -> float:
        return filled < 0.1

    def _officer(self) -> str:
        found = self._candidates("officer_id", lambda cell: bool(_ID.fullmatch(text_of(cell))))
        if not found:
            found = self._candidates("officer_id", _short_text)[:1]
            if found:
                self._doubt(f"{found[0]!r} is taken for the officer's number, and has names or words")
        if not found:
            return ""
        name = found[0]
        self._use("officer_id", name)
        if any(map(shortened, self._cells[name])):
            self._fault(
                f"a spreadsheet shortened numbers in {name!r}: their digits are lost; export them "
                "again as text"
            )
        else:
            self._zeros("officers' numbers", "officer_id", name)
        return name

    def _zeros(self, what: str, key: str, name: str) -> None:
        """Says so where a workbook has ids as numbers."""
        if self._table.kind == "workbook" and any(type(cell) is int for cell in self._cells[name]):
            self._doubt(
                f"{what} in {name!r} are numbers in the workbook: leading zeros, if there were any, are "
                f"gone; [digits] {key} says how many digits they have"
            )

    def _is_day(self, cell: Cell) -> bool:
        if isinstance(cell, datetime):
            return cell.time() == time()
        return isinstance(cell, date) or (_with_day(cell, "") and not _with_clock(cell))

    def _dates(self) -> Any:
        """Which comes first in the dates of the columns that are used."""
        return self._order(
            text_of(cell)
            for key, (name, *_) in self._guess.columns.items()
            if key in {"date", "start", "end", "end_date", "time"}
            for cell in self._cells[name]
            if isinstance(cell, str)
        )

    def _first(self, name: str) -> str:
        return next((repr(text_of(cell)) for cell in self._filled(name)), "")


def _says(name: str, *words: str) -> bool:
    return bool(set(plain_name(name).split()) & set(words))


def _time_of(cell: Cell, how: TimeReading) -> LocalTime | None:
    """What a cell says of a time; None where it is none."""
    try:
        return read_time([cell], how)
    except RefusedRowError:
        return None


def _reads(cell: Cell, how: TimeReading) -> bool:
    return _time_of(cell, how) is not None


def _lasts(cell: Cell, how: TimeReading) -> bool:
    try:
        return read_duration([cell], how) is not None
    except RefusedRowError:
        return False


def _with_day(cell: Cell, numbers: str) -> bool:
    found = _time_of(cell, TimeReading(numbers=numbers))  # type: ignore[arg-type]
    return found is not None and found.day is not None


def _with_clock(cell: Cell) -> bool:
    found = _time_of(cell, TimeReading())
    return found is not None and found.clock is not None


def _minute(cell: Cell) -> int:
    """Minutes of a day with a time, counted from the calendar's first; 0 where it is none."""
    found = _time_of(cell, TimeReading())
    if found is None or found.day is None or found.clock is None:
        return 0
    return found.day.toordinal() * 1440 + found.clock // 60_000_000


def _is_time(cell: Cell) -> bool:
    return isinstance(cell, datetime | date | time | timedelta) or (
        isinstance(cell, str) and bool(re.search(r"\d:\d\d|\d[-/.]\d{1,2}[-/.]\d", cell))
    )


def _short_text(cell: Cell) -> bool:
    return not _is_time(cell) and len(text_of(cell)) <= 120


def _whole_number(cell: Cell) -> bool:
    return bool(re.fullmatch(r"\d{1,10}", text_of(cell), re.ASCII))
