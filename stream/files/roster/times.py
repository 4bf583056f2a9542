"""Local times as duty systems write them → microseconds since 1970 UTC.

Cells are texts, numbers or typed values of a workbook. What can be read in two ways is refused unless the
mapping says which is meant; so are the hour that comes twice when the clocks go back, and the one that does
not exist when they go forward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from stream.core.calendar import microseconds, moment
from stream.core.facts import SECOND
from stream.files.foreign import blank, float_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.files.foreign import Cell
    from stream.files.roster.mapping import TimeReading

DAY: Final = 86_400 * SECOND
EARLIEST_YEAR, LATEST_YEAR = 2000, 2099
_OUTSIDE: Final = f"lies outside the years {EARLIEST_YEAR} to {LATEST_YEAR}"
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""The same as milliseconds since 1970."""
_BASE: Final = datetime(1899, 12, 30)  # noqa: DTZ001 # Excel's day 0, in no zone
_LONGEST: Final = 80
"""Characters of a time or duration; what is longer is none, whatever digits it has."""
_YEAR_10000: Final = 2_958_466
"""The first of Excel's days that no calendar here has."""


class RefusedRowError(ValueError):
    """A row that is not taken: the reason as a word, and a line for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def bad_time(detail: str) -> RefusedRowError:
    """A time that is none, could be several, or makes no sense."""
    return RefusedRowError("bad_time", detail)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """What a cell says of a time: a day, a time of day, or both.

    Attributes:
        clock: microseconds since local midnight, up to 24:00.
        offset: from UTC in microseconds, where the cell itself has one.
        typed_day: whether the cell is a workbook's day without a time of day, which may mean midnight.
    """

    day: date | None = None
    clock: int | None = None
    offset: int | None = None
    typed_day: bool = False


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """When a piece of duty is: microseconds since 1970 UTC, ``end`` None where it is open.

    Attributes:
        twice: whether the mapping decided which of two equal hours is meant.
    """

    start: int
    end: int | None
    twice: bool = False


# --- One cell --------------------------------------------------------------------------------------------

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE: Final = (
    r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
    r"(?:(?P<y1>\d{4})(?P<s1>[-/.])(?P<m1>\d{1,2})(?P=s1)(?P<d1>\d{1,2})"
    r"|(?P<a>\d{1,2})(?P<s2>[-/.])(?P<b>\d{1,2})(?P=s2)(?P<y2>\d{4}|\d\d)"
    r"|(?P<d3>\d{1,2})(?:st|nd|rd|th)?[-/. ]?(?P<m3>[a-z]{3,9})\.?[-/, ]*(?P<y3>\d{4}|\d\d)"
    r"|(?P<y4>\d{4})(?P<m4>\d\d)(?P<d4>\d\d))"
)
_CLOCK: Final = (
    r"(?:(?P<h1>\d{1,2})[:.](?P<n1>\d\d)(?::(?P<sec>\d\d)(?:[.,](?P<frac>\d{1,9}))?)?|(?P<hhmm>\d{3,4})"
    r"|(?P<h2>\d{1,2})(?=\s*[ap]\.?m))"
    r"(?:\s*(?P<half>[ap])\.?m\.?|\s*h(?:rs?|ours?)?)?"
    r"\s*(?P<zone>z|utc|gmt|bst|[+-]\d\d:?\d\d)?"
)
_WHOLE: Final = re.compile(rf"{_DATE}(?:(?:t|,?\s+(?:at\s+)?){_CLOCK})?", re.IGNORECASE | re.ASCII)
_TIME: Final = re.compile(_CLOCK, re.IGNORECASE | re.ASCII)
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?", re.ASCII)
_FARTHEST: Final = 14 * 3600 * SECOND
"""The greatest offset from UTC that any zone has."""
_OFFSETS: Final = {"z": 0, "utc": 0, "gmt": 0, "bst": 3600 * SECOND}


def read_time(cells: Sequence[Cell], how: TimeReading) -> LocalTime | None:
    """What one cell, or several that are joined, say of a time; None where they are empty.

    Raises:
        RefusedRowError: it is no time, or could be two.
    """
    there = [cell for cell in cells if not blank(cell)]
    if not there:
        return None
    if len(there) == 1:
        return _one(there[0], how)
    if all(isinstance(cell, str) for cell in there):
        try:
            return _text(" ".join(str(cell) for cell in there), how)
        except RefusedRowError:
            pass
    parts = [_one(cell, how) for cell in there]
    days = [part for part in parts if part.day]
    # A workbook's day is often a midnight; beside a time of day that midnight means nothing.
    clocks = [part for part in parts if part.clock is not None and not (part.day and part.clock == 0)]
    clocks = clocks or [part for part in parts if part.clock is not None]
    if len(days) > 1 or len(clocks) > 1:
        raise bad_time(f"{shown(cells)} are joined, and hold two days or two times of day")
    clock = clocks[0] if clocks else LocalTime()
    return LocalTime(days[0].day if days else None, clock.clock, clock.offset, not clocks)


def _one(cell: Cell, how: TimeReading) -> LocalTime:
    if isinstance(cell, str):
        return _text(cell, how)
    if isinstance(cell, bool) or cell is None:
        raise bad_time(f"{cell} is not a time")
    if isinstance(cell, int | float):
        if (number := float_of(cell)) is None:
            raise bad_time(f"{str(cell)[:_LONGEST]} is not a time")
        return _number(f"{number:.15g}", how)
    if isinstance(cell, date) and cell.year <= 1900 and getattr(cell, "tzinfo", None) is None:
        return LocalTime(clock=_clock(_since_day_0(cell), cell))
    if isinstance(cell, datetime):
        if (offset := cell.utcoffset()) is not None:  # a column type that knows its zone
            return replace(_one(cell.replace(tzinfo=None), how), offset=offset // timedelta(microseconds=1))
        whole = _settled((cell - datetime.combine(cell.date(), time())) // timedelta(microseconds=1))
        day, clock = _carried(cell.date(), whole)
        return LocalTime(_day(day), clock)
    if isinstance(cell, date):
        return LocalTime(_day(cell), typed_day=True)
    if isinstance(cell, timedelta):
        return LocalTime(clock=_clock(_settled(cell // timedelta(microseconds=1)), cell))
    since = ((cell.hour * 60 + cell.minute) * 60 + cell.second) * SECOND + cell.microsecond
    return LocalTime(clock=_clock(_settled(since), cell))


def _since_day_0(cell: date) -> int:
    """A time of day, or a duration, in microseconds: some workbooks have it as a time on Excel's first days.

    Programs differ on whether day 0 is 30 or 31 December 1899; both are taken as 0.
    """
    days = max((date(cell.year, cell.month, cell.day) - date(1899, 12, 31)).days, 0)
    inside = cell - datetime.combine(cell.date(), time()) if isinstance(cell, datetime) else timedelta()
    return _settled((inside + timedelta(days=days)) // timedelta(microseconds=1))


def _settled(micros: int) -> int:
    """A typed time in whole milliseconds: spreadsheets count in parts of a day, a few microseconds off."""
    return (micros + 500) // 1000 * 1000


@lru_cache(maxsize=8192)  # a roster repeats its days and times
def _text(text: str, how: TimeReading) -> LocalTime:
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        raise bad_time(f"'{text[:_LONGEST]}…' is no date or time")
    if how.format:
        return _formatted(text, how)
    if _NUMBER.fullmatch(text) and (how.numbers or "." not in text):
        return _number(text, how)
    match = _WHOLE.fullmatch(text)
    if match:
        day = _date(match, text, how)
        if match["h1"] or match["hhmm"] or match["h2"]:
            return LocalTime(day, _clock_of(match, text), _offset(match["zone"], text, iso=bool(match["y1"])))
        return LocalTime(day)
    match = _TIME.fullmatch(text)
    if match:
        return LocalTime(None, _clock_of(match, text), _offset(match["zone"], text))
    raise bad_time(f"'{text}' is no date or time; say in [time] format how it is written")


def _formatted(text: str, how: TimeReading) -> LocalTime:
    for form in how.format:
        try:
            found = datetime.strptime(text, form)  # noqa: DTZ007 # local, and its zone is the mapping's
        except ValueError:
            continue
        asked = set(re.findall(r"%-?([A-Za-z])", form))
        day = found.date() if asked & set("dDjxcF") else None
        if day and "y" in asked and day.year < EARLIEST_YEAR:
            day = day.replace(year=day.year + 100)
        clock = (found - datetime.combine(found.date(), time(), found.tzinfo)) // timedelta(microseconds=1)
        offset = found.utcoffset()
        return LocalTime(
            _day(day) if day else None,
            clock if asked & set("HIMSfXcTR") else None,
            None if offset is None else offset // timedelta(microseconds=1),
        )
    raise bad_time(f"'{text}' is not of the form {' or '.join(how.format)} of [time] format")


def _number(text: str, how: TimeReading) -> LocalTime:
    """A bare number, by what the mapping says such numbers are."""
    text = text.replace(",", ".").removesuffix(".0")
    if not _NUMBER.fullmatch(text):
        raise bad_time(f"{text} is not a time")
    value = float(text)
    whole = "." not in text
    if whole and EARLIEST_MS <= value < LATEST_MS:  # as on the topics
        at = moment(int(text) * 1000)
        day = at.date()
        return LocalTime(day, (at - datetime.combine(day, time(), UTC)) // timedelta(microseconds=1), 0)
    if whole and len(text) == 8 and how.numbers != "days":
        return LocalTime(_made(int(text[:4]), int(text[4:6]), int(text[6:]), text))
    if how.numbers == "days":
        # Whole seconds: written with five decimals, a part of a day is up to half a second off.
        days, micros = divmod(round(value * 86_400) * SECOND, DAY)
        if days >= _YEAR_10000:
            raise bad_time(f"{text} {_OUTSIDE}")
        if value <= 1:
            return LocalTime(clock=_clock(round(value * 86_400) * SECOND, text))
        if whole:
            return LocalTime(_day((_BASE + timedelta(days=days)).date()), typed_day=True)
        found, clock = _carried((_BASE + timedelta(days=days)).date(), micros)
        return LocalTime(_day(found), clock)
    if how.numbers == "hours":
        return LocalTime(clock=_clock(round(value * 3600) * SECOND, text))
    if how.numbers == "h.mm":
        hours, _, minutes = text.partition(".")
        return LocalTime(clock=_clock_at(int(hours), int((minutes or "0").ljust(2, "0")), 0, text))
    if whole and (how.numbers == "hhmm" or len(text) in {3, 4} or value == 0):
        return LocalTime(clock=_clock_at(int(value) // 100, int(value) % 100, 0, text))
    hint = (
        'Excel\'s number of a day? Format its column as a date, or say [time] numbers = "days"'
        if 36_526 <= value < 73_051
        else 'say in [time] numbers whether it is "hhmm", "hours", "h.mm" or "days"'
    )
    raise bad_time(f"{text} could be several times; {hint}")


def _date(match: re.Match[str], text: str, how: TimeReading) -> date:
    if match["y1"]:
        return _made(int(match["y1"]), int(match["m1"]), int(match["d1"]), text)
    if match["y4"]:
        return _made(int(match["y4"]), int(match["m4"]), int(match["d4"]), text)
    if match["m3"]:
        name = match["m3"].lower()[:3]
        if name not in _MONTHS:
            raise bad_time(f"'{text}' has no month that is known")
        return _made(_year(match["y3"]), _MONTHS.index(name) + 1, int(match["d3"]), text)
    day, month = int(match["a"]), int(match["b"])
    if how.dates == "month-first":
        day, month = month, day
    if month > 12 >= day:
        other = "day-first" if how.dates == "month-first" else "month-first"
        raise bad_time(f"'{text}' has no such month; is it [time] dates = \"{other}\"?")
    return _made(_year(match["y2"]), month, day, text)


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _made(year: int, month: int, day: int, text: str) -> date:
    try:
        return _day(date(year, month, day))
    except ValueError as failure:
        if isinstance(failure, RefusedRowError):
            raise
        raise bad_time(f"'{text}' is no day of the calendar") from None


def _day(day: date) -> date:
    if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        raise bad_time(f"{day.isoformat()} {_OUTSIDE}")
    return day


def _clock_of(match: re.Match[str], text: str) -> int:
    if match["hhmm"]:
        hour, minute = divmod(int(match["hhmm"]), 100)
    else:
        hour, minute = int(match["h1"] or match["h2"]), int(match["n1"] or 0)
    if half := match["half"]:
        if not 1 <= hour <= 12:
            raise bad_time(f"'{text}' is no time of day")
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    micros = int((match["frac"] or "")[:6].ljust(6, "0"))
    return _clock_at(hour, minute, int(match["sec"] or 0), text) + micros


def _clock_at(hour: int, minute: int, second: int, text: str) -> int:
    if minute > 59 or second > 59:
        raise bad_time(f"'{text}' is no time of day")
    return _clock(((hour * 60 + minute) * 60 + second) * SECOND, text)


def _clock(micros: int, cell: object) -> int:
    if not 0 <= micros <= DAY:
        raise bad_time(f"'{cell}' is no time of day")
    return micros


def _offset(zone: str | None, text: str, *, iso: bool = False) -> int | None:
    """Microseconds from UTC. 0700-1700 is two times: a minus is an offset behind a date of ISO 8601 alone."""
    if not zone:
        return None
    if zone.lower() in _OFFSETS:
        return _OFFSETS[zone.lower()]
    digits = zone[1:].replace(":", "")
    offset = (int(digits[:2]) * 60 + int(digits[2:])) * 60 * SECOND * (-1 if zone[0] == "-" else 1)
    if (offset < 0 and not iso) or abs(offset) > _FARTHEST:
        raise bad_time(f"'{text}' is two times, or an offset that no zone has; map columns.times")
    return offset


def _carried(day: date, clock: int) -> tuple[date, int]:
    """24:00 is midnight of the next day."""
    if clock < DAY:
        return day, clock
    if day.year > LATEST_YEAR:  # the calendar has no day after its last one
        raise bad_time(f"{day.isoformat()} {_OUTSIDE}")
    return day + timedelta(days=1), clock - DAY


def shown(cells: Sequence[Cell]) -> str:
    """Cells as a message shows them: those of damaged files may be as long as the file."""
    return ", ".join(f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'" for text in map(str, cells))


# --- Durations -------------------------------------------------------------------------------------------

_DURATION: Final = re.compile(
    r"(?:(?P<h>\d+(?:[.,]\d+)?)\s*h(?:rs?|ours?)?)?\s*(?:(?P<m>\d+)\s*(?:m|mins?|minutes?)?)?",
    re.IGNORECASE | re.ASCII,
)
_COLONS: Final = re.compile(r"(?P<h>\d+):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?", re.ASCII)


def read_duration(cells: Sequence[Cell], how: TimeReading) -> int | None:
    """How long something lasts, microseconds; None where the cells are empty.

    Taken are ``8:30``, ``8h30``, ``8 h 30 min``, ``510 min``, typed durations, and bare numbers as hours or
    minutes by ``[time] duration``.

    Raises:
        RefusedRowError: it is no duration, or none at all.
    """
    there = [cell for cell in cells if not blank(cell)]
    if not there:
        return None
    micros = _lasting(there[0], how) if len(there) == 1 else -1
    if micros <= 0:
        raise bad_time(f"{shown(there)} is no duration; write it like 8:30 or 8h30")
    return micros


def _lasting(cell: Cell, how: TimeReading) -> int:
    if isinstance(cell, timedelta):
        return _settled(cell // timedelta(microseconds=1))
    if isinstance(cell, date):
        return _since_day_0(cell) if cell.year <= 1900 and getattr(cell, "tzinfo", None) is None else -1
    if isinstance(cell, time):
        return _one(cell, how).clock or -1
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return -1
    if isinstance(cell, str):
        text = cell.strip()
    else:
        text = "" if (number := float_of(cell)) is None else f"{number:.15g}"
    if not text or len(text) > _LONGEST:
        return -1
    if _NUMBER.fullmatch(text):
        if how.duration == "h.mm":
            whole, _, minutes = text.replace(",", ".").partition(".")
            return (int(whole) * 60 + int((minutes or "0").ljust(2, "0"))) * 60 * SECOND
        return round(float(text.replace(",", ".")) * (3600 if how.duration == "hours" else 60)) * SECOND
    if match := _COLONS.fullmatch(text):
        return ((int(match["h"]) * 60 + int(match["m"])) * 60 + int(match["s"] or 0)) * SECOND
    match = _DURATION.fullmatch(text)
    if match is None:
        return -1
    hours = float((match["h"] or "0").replace(",", "."))
    return round(hours * 3600 + int(match["m"] or 0) * 60) * SECOND


# --- Local times → UTC -----------------------------------------------------------------------------------


def local_day_of(time_us: int, how: TimeReading) -> date:
    """The day on which an instant is, in the mapping's zone."""
    return moment(time_us).astimezone(ZoneInfo(how.zone)).date()


@lru_cache(maxsize=4096)
def instants(day: date, clock: int, zone: str) -> tuple[int, ...]:
    """When local clocks show a time: one instant, two where it comes twice, none where it is left out.

    Args:
        day: the local day.
        clock: microseconds since its midnight as clocks show them, up to 24:00.
        zone: the name of a time zone.
    """
    day, clock = _carried(day, clock)
    naive = datetime.combine(day, time()) + timedelta(microseconds=clock)
    known = ZoneInfo(zone)
    found = {
        microseconds(at)
        for fold in (0, 1)
        for at in [naive.replace(tzinfo=known, fold=fold)]
        if at.astimezone(UTC).astimezone(known).replace(tzinfo=None) == naive
    }
    return tuple(sorted(found))


def instants_of(day: date, when: LocalTime, how: TimeReading) -> tuple[int, ...]:
    """The instants that a time of day on a day may mean: one, or two in the hour that comes twice.

    Raises:
        RefusedRowError: it does not exist.
    """
    clock = when.clock or 0
    if when.offset is not None:
        there, left = _carried(day, clock)
        at = datetime.combine(there, time(), UTC) + timedelta(microseconds=left - when.offset)
        return (microseconds(at),)
    found = instants(day, clock, how.zone)
    if not found:
        raise RefusedRowError(
            "no_such_hour",
            f"{_said(day, clock)} does not exist: the clocks go forward past it ({how.zone})",
        )
    return found


def not_before(day: date, when: LocalTime, low: int, how: TimeReading) -> tuple[date, tuple[int, ...]]:
    """A time of day on a day, or on the next where it would be before an instant.

    Args:
        day: the local day.
        when: the time of day.
        low: microseconds since 1970 UTC.
        how: the zone.

    Returns:
        The day, and the instants of the time on it.

    Raises:
        RefusedRowError: it does not exist there.
    """
    clock = when.clock or 0
    if when.offset is None and not instants(day, clock, how.zone):
        # Left out on that day; whether that day is meant is seen by the clock alone.
        there = moment(low).astimezone(ZoneInfo(how.zone)).replace(tzinfo=None)
        early = datetime.combine(day, time()) + timedelta(microseconds=clock) < there
    else:
        early = instants_of(day, when, how)[-1] < low
    if early:
        day += timedelta(days=1)
    return day, instants_of(day, when, how)


def span(
    start: LocalTime,
    end: LocalTime | None,
    duration: int | None,
    how: TimeReading,
    *,
    day: date | None = None,
    end_day: date | None = None,
    after: int | None = None,
) -> TimeSpan:
    """When a duty, or a piece of one, is.

    An end without a day of its own is on the day of the start, or on the next where it would not be after
    the start. A duration counts real hours, so a night in which the clocks change ends an hour earlier or
    later by the clock. In the hour that comes twice, times are taken that leave one possibility for the end
    to be after the start, else as ``[time] twice`` says.

    Args:
        start: local; its own day comes before ``day``.
        end: local; None where the duty is open or has a duration.
        duration: microseconds; counts where there is no end.
        how: zone, and which of two equal hours.
        day: local day of the start, where it has a column of its own.
        end_day: likewise of the end.
        after: the end of the piece before, which this one cannot precede: a start of day before it is on
            the next day.

    Raises:
        RefusedRowError: a part is missing, does not exist, could be two, or the end is not after the start.
    """
    first = start.day or day
    if first is None:
        raise bad_time("the start has no date; map columns.date")
    if start.clock is None:
        raise bad_time(f"the start on {first.isoformat()} has no time of day")
    if after is not None and start.day is None:
        first, starts = not_before(first, start, after, how)
    else:
        starts = instants_of(first, start, how)
    if end is None:
        at, twice = _chosen(starts, first, start, how)
        until = None if duration is None else at + duration
        if until is not None and until >= LATEST_MS * 1000:
            raise bad_time(f"the end {_OUTSIDE}")
        return TimeSpan(at, until, twice)
    if end.clock is None:
        raise bad_time("the end has no time of day")
    last = end.day or end_day
    if last is None:
        last = _last_day(first, start, starts, end, how)
    ends = instants_of(last, end, how)
    pairs = [(one, other) for one, other in product(starts, ends) if other > one]
    if not pairs:
        raise bad_time(
            f"the end, {_said(last, end.clock)}, is not after the start, {_said(first, start.clock)}",
        )
    if len(pairs) == 1:
        return TimeSpan(*pairs[0])
    one, told = _chosen(starts, first, start, how)
    other, also = _chosen(ends, last, end, how)
    if other <= one:
        raise bad_time(f"the end, {_said(last, end.clock)}, is not after the start")
    return TimeSpan(one, other, told or also)


def _last_day(
    first: date, start: LocalTime, starts: tuple[int, ...], end: LocalTime, how: TimeReading
) -> date:
    """The day of an end that has none: that of the start, or the next."""
    began, ended = start.clock or 0, end.clock or 0
    if ended > began:
        return first
    if ended == began:
        raise bad_time("start and end are the same time of day: nothing, or 24 h? Map columns.end_date")
    if len(starts) == 2:
        same = instants_of(first, end, how)
        if len(same) == 2 and max(same) > min(starts):
            raise RefusedRowError(
                "hour_twice",
                f"{_said(first, began)} to {_said(first, ended)}: both come twice, and the end may be on the "
                "same day or on the next; map columns.end_date",
            )
    return first + timedelta(days=1)


def chosen(day: date, when: LocalTime, how: TimeReading) -> tuple[int, bool]:
    """The instant of a time by itself, and whether the mapping decided which of two it is.

    Raises:
        RefusedRowError: it does not exist, or comes twice and the mapping does not say which is meant.
    """
    return _chosen(instants_of(day, when, how), day, when, how)


def _chosen(found: tuple[int, ...], day: date, when: LocalTime, how: TimeReading) -> tuple[int, bool]:
    if len(found) == 1:
        return found[0], False
    if how.twice == "refuse":
        raise RefusedRowError(
            "hour_twice",
            f"{_said(day, when.clock or 0)} comes twice, for the clocks go back; say which is meant: "
            '[time] twice = "first" or "second"',
        )
    return found[0 if how.twice == "first" else 1], True


def _said(day: date, clock: int) -> str:
    minutes, rest = divmod(clock, 60 * SECOND)
    seconds = f":{rest // SECOND:02d}" if rest else ""
    return f"{day.isoformat()} {minutes // 60:02d}:{minutes % 60:02d}{seconds}"
