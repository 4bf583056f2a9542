"""Times of tracker exports: which form a column has, and each cell as microseconds since 1970 UTC."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from datetime import timezone as fixed_zone
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from stream.core.calendar import microseconds
from stream.core.times import EARLIEST, LATEST
from stream.files.foreign import float_of, nothing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stream.files.foreign import Cell

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
_BASE: Final = datetime(1899, 12, 30)  # noqa: DTZ001 # Excel's day 0, in no zone
_FULL: Final = re.compile(
    r"(?P<a>\d{1,4})[-/. ](?P<b>\d{1,2}|[A-Za-z]{3,9})[-/. ,]+(?P<c>\d{2,4})"
    r"(?:(?:[T ,]|\s-\s)\s*(?P<clock>\d.*))?",
    re.ASCII,
)
_CLOCK: Final = re.compile(
    r"(?P<h>\d{1,2})[:.](?P<m>\d{2})(?:[:.](?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?P<zone>Z|UTC|GMT|BST|[A-Za-z]+/[A-Za-z_]+|[+-]\d{2}:?\d{2}|[+-]\d{1,2})?",
    re.ASCII,
)
_COMPACT: Final = re.compile(r"(20\d{2})(\d{2})(\d{2})[T ]?(\d{2})(\d{2})(\d{2})?(Z)?", re.ASCII)
_WEEKDAY: Final = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +", re.IGNORECASE)
_AMERICAN: Final = re.compile(r"^([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4}),? ?", re.ASCII)
"""``Nov 23, 2026, 8:15 AM``."""
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_EXPONENT: Final = re.compile(r"\d[.,]\d+[eE]\+?\d+", re.ASCII)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NUMBERS: Final = {"unix-s": 1_000_000.0, "unix-ms": 1_000.0, "unix-us": 1.0, "unix-ns": 0.001}
"""Forms of bare numbers, and microseconds in one."""


@dataclass(frozen=True, slots=True)
class ReadTime:
    """A cell as a time.

    Attributes:
        time: microseconds since 1970 UTC; None where it cannot be read.
        why: the reason then: ``no time``, ``not a time``, ``impossible date``, ``year out of range``,
            ``hour that does not exist``, ``hour that comes twice`` (the time is then the first of the two).
        naive: whether it had no offset of its own.
    """

    time: int | None
    why: str = ""
    naive: bool = False


def number_form(value: float) -> str:
    """What a bare number is as a time: a key of ``NUMBERS``, ``days`` (Excel) or empty."""
    for form, micros in NUMBERS.items():
        if EARLIEST <= value * micros < LATEST:
            return form
    return "days" if 36_526 <= value < 73_051 else ""


def form_of(cells: Sequence[Cell]) -> str:
    """The form of a cell, or of a date and a time of day beside each other: a word for counting forms.

    ``offset``, ``local``, ``typed``, ``days`` or a key of ``NUMBERS``; empty for what is no time.
    """
    joined = _joined(cells)
    if joined is None:
        return ""
    if isinstance(joined, datetime):
        return "typed" if joined.tzinfo is None else "offset"
    if isinstance(joined, float):
        return number_form(joined)
    found = _split(joined)
    if found is None and _NUMBER.fullmatch(joined):
        if re.match(r"0\d", joined):  # 070000 is a time of day as receivers write it, no day's number
            return ""
        return "" if (number := float_of(joined)) is None else number_form(number)
    if found is None:
        return ""
    clock = _CLOCK.fullmatch(found["clock"].strip()) if found["clock"] else None
    return "offset" if clock is not None and clock["zone"] else "local"


def date_order(texts: Iterable[str]) -> tuple[Counter[str], bool]:
    """Which comes first in dates such as ``03/04/2026``: how many say day or month, and whether "
    "any is one.
    """
    found: Counter[str] = Counter()
    some = False
    for text in texts:
        match = _split(text.strip())
        if match is None or len(match["a"]) == 4 or match["b"].isalpha():
            continue
        some = True
        first, second = int(match["a"]), int(match["b"])
        if first > 12 >= second:
            found[DAY_FIRST] += 1
        elif second > 12 >= first:
            found[MONTH_FIRST] += 1
    return found, some


def read_clock(cells: Sequence[Cell], *, zone: str, dates: str, numbers: str) -> ReadTime:
    """One time, from one cell or from a date and a time of day.

    Args:
        cells: as they stand in the row.
        zone: of times without an offset.
        dates: ``day-first`` or ``month-first``.
        numbers: what a bare number is: a key of ``NUMBERS``, ``days``, or empty where none is taken.
    """
    joined = _joined(cells)
    if joined is None:
        return ReadTime(None, "no time")
    if isinstance(joined, datetime):
        return _placed(joined, zone)
    found = _split(joined) if isinstance(joined, str) else None
    if found is not None:
        return _texted(found, zone, dates)
    if isinstance(joined, float) or _NUMBER.fullmatch(joined):
        number = float_of(joined)
        return ReadTime(None, "year out of range") if number is None else _numeric(number, numbers, zone)
    return ReadTime(None, "not a time")


def _joined(cells: Sequence[Cell]) -> str | float | datetime | None:
    """What one or two cells say together."""
    filled = [cell for cell in cells if not nothing(cell)]
    if not filled:
        return None
    if len(filled) == 1:
        [cell] = filled
        if isinstance(cell, datetime):
            return cell
        if isinstance(cell, date):
            return datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 # local, placed later
        if isinstance(cell, bool | time | timedelta) or cell is None:
            return str(cell)
        if isinstance(cell, str):
            return " ".join(cell.split())
        return str(cell) if (number := float_of(cell)) is None else number
    first, second = filled[0], filled[1]
    if isinstance(first, date) and isinstance(second, time | timedelta | datetime | float | int):
        start = datetime(first.year, first.month, first.day)  # noqa: DTZ001 # local, placed later
        if isinstance(second, float | int):
            return start + timedelta(days=float(second)) if 0 <= second < 1 else str(second)
        if isinstance(second, timedelta):
            return start + second if abs(second.days) < 2 and start.year < 9999 else str(second)
        clock = second.time() if isinstance(second, datetime) else second
        return datetime.combine(start, clock)
    day = first.isoformat()[:10] if isinstance(first, date) else str(first).strip()
    hour = second.time().isoformat() if isinstance(second, datetime) else str(second).strip()
    if re.fullmatch(r"\d{6}(\.\d+)?", hour, re.ASCII):  # 081503, as receivers write it
        hour = f"{hour[:2]}:{hour[2:4]}:{hour[4:]}"
    if re.fullmatch(r"20\d{6}", day, re.ASCII):
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return f"{re.sub(r' 00:00(:00)?$', '', day)} {hour}"


def _split(text: str) -> re.Match[str] | None:
    """A date in a text, with the time of day behind it."""
    if match := _COMPACT.fullmatch(text):
        text = f"{match[1]}-{match[2]}-{match[3]} {match[4]}:{match[5]}:{match[6] or '00'}{match[7] or ''}"
    return _FULL.fullmatch(_AMERICAN.sub(r"\2 \1 \3 ", _WEEKDAY.sub("", text)).strip())


def _texted(found: re.Match[str], zone: str, dates: str) -> ReadTime:
    first, middle, last = found["a"], found["b"], found["c"]
    if middle.isalpha():
        if middle[:3].lower() not in _MONTHS:
            return ReadTime(None, "not a time")
        month = _MONTHS.index(middle[:3].lower()) + 1
        year, day = (first, last) if len(first) == 4 else (last, first)
    elif len(first) == 4:
        year, month, day = first, int(middle), last
    else:
        year = last
        day, month = (first, int(middle)) if dates == DAY_FIRST else (middle, int(first))
    if not found["clock"]:
        return ReadTime(None, "a date without a time of day")
    clock = _CLOCK.fullmatch(found["clock"].strip())
    if clock is None:
        return ReadTime(None, "not a time")
    hour = int(clock["h"])
    if clock["half"]:
        if not 1 <= hour <= 12:
            return ReadTime(None, "not a time")
        hour = hour % 12 + (12 if clock["half"][0] in "pP" else 0)
    micros = int((clock["f"] or "").ljust(6, "0")[:6])
    try:
        return _placed(
            datetime(
                int(year) + (2000 if len(year) == 2 else 0),
                month,
                int(day),
                hour,
                int(clock["m"]),
                int(clock["s"] or 0),
                micros,
                tzinfo=_zone(clock["zone"]),
            ),
            zone,
        )
    except ValueError:
        return ReadTime(None, "impossible date")


def _zone(text: str | None) -> fixed_zone | ZoneInfo | None:
    if not text:
        return None
    if text in {"Z", "UTC", "GMT"}:
        return UTC
    if text == "BST":
        return fixed_zone(timedelta(hours=1))
    if text[0] in "+-":
        digits = text[1:].replace(":", "").ljust(4, "0") if len(text) > 3 else f"{int(text[1:]):02}00"
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return fixed_zone(-offset if text[0] == "-" else offset) if offset < timedelta(hours=24) else None
    return _zone_named(text)


@lru_cache(maxsize=64)
def _zone_named(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _numeric(value: float, numbers: str, zone: str) -> ReadTime:
    if numbers == "days":
        if not 1 <= value < 100_000:
            return ReadTime(None, "year out of range")
        # Rounded to the millisecond: a spreadsheet counts in parts of a day.
        return _placed(_BASE + timedelta(milliseconds=round(value * 86_400_000)), zone)
    if numbers not in NUMBERS:
        return ReadTime(None, "not a time")
    return _in_range(round(value * NUMBERS[numbers]), naive=False)


def _placed(at: datetime, zone: str) -> ReadTime:
    """A local time in its zone, unless it has an offset."""
    if not 1999 <= at.year <= 2100:  # 0001-01-01 and 9999-12-31 leave the calendar in some zones
        return ReadTime(None, "year out of range", at.tzinfo is None)
    if at.tzinfo is not None:
        return _in_range(microseconds(at), naive=False)
    known = _zone_named(zone) or UTC
    first, second = at.replace(tzinfo=known), at.replace(tzinfo=known, fold=1)
    time = _in_range(microseconds(first.astimezone(UTC)), naive=True)
    if time.time is None or first.utcoffset() == second.utcoffset():
        return time
    back = first.astimezone(UTC).astimezone(known).replace(tzinfo=None)
    why = "hour that comes twice" if back == at else "hour that does not exist"
    return ReadTime(time.time if back == at else None, why, naive=True)


def _in_range(time: int, *, naive: bool) -> ReadTime:
    if not EARLIEST <= time < LATEST:
        return ReadTime(None, "year out of range", naive)
    return ReadTime(time, "", naive)


def shortened(cell: Cell) -> bool:
    """Whether a spreadsheet has written a long number shortly (``3.53E+14``), and lost its digits."""
    return isinstance(cell, str) and bool(_EXPONENT.fullmatch(cell.strip()))
