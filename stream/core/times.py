"""Times as text or numbers to microseconds since 1970 UTC, and what a wrong one looks like (rule 2c)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stream.core.facts import MAX_TEXT, SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400 * SECOND

_MONTHS: Final = (
    np.arange("0001-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
)
"""The day since 1970 on which each month of the years 1 to 9999 begins, and the one after."""

_FIRST: Final = int(_MONTHS[0]) * _DAY
_LAST: Final = int(_MONTHS[-1]) * _DAY
EARLIEST: Final = 946_684_800 * SECOND
LATEST: Final = 4_102_444_800 * SECOND
"""2000 and 2100: the times of events that are taken lie between. One mistyped year would swamp a figure."""
TIME_WANTED: Final = "neither RFC 3339 with an offset nor integer milliseconds since 1970"

_TIME_TEXT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII
)


def parse_time(value: object) -> int | None:
    """One time → microseconds since 1970 UTC, ``None`` where it is not one.

    Taken are RFC 3339 with an offset (also with a space for the T, and without the offset's colon) and
    integer milliseconds since 1970. Digits beyond the microsecond are cut off. Years are 1 to 9999 in UTC.
    """
    if type(value) is int:
        time = value * 1000
        return time if _FIRST <= time < _LAST else None
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return None
    match = _TIME_TEXT.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(text) for text in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    offset = 0
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            return None
        offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60 * (1 if sign == "+" else -1)
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    micros = int((fraction or "")[:6].ljust(6, "0"))
    time = (at - _EPOCH) // timedelta(microseconds=1) - offset * SECOND + micros
    return time if _FIRST <= time < _LAST else None


def parse_times(values: Sequence[object]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Many times at once, each exactly as :func:`parse_time` reads it.

    Returns:
        ``(time, ok)``: ``int64[n]`` microseconds since 1970 UTC, 0 where ``ok`` (``bool[n]``) is False.
    """
    time = np.zeros(len(values), np.int64)
    ok = np.zeros(len(values), np.bool_)
    if set(map(type, values)) == {str}:
        texts: Sequence[Any] = values
    else:
        texts = [value if type(value) is str else "" for value in values]
    # Texts of one length have one layout, save for the two ways to write the offset. Nearly always all do.
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for length in set(lengths.tolist()):
        if 20 <= length <= 40:
            rows = np.flatnonzero(lengths == length)
            alike = texts if len(rows) == len(texts) else [texts[i] for i in rows.tolist()]
            for low in range(0, len(rows), _BLOCK):
                block = slice(low, low + _BLOCK)
                time[rows[block]], ok[rows[block]] = _parse_block(alike[block], length)
    for i in np.flatnonzero(~ok).tolist():  # the rest: integers, rarer forms, and values that are not times
        one = parse_time(values[i])
        if one is not None:
            time[i], ok[i] = one, True
    return time, ok


_BLOCK: Final = 4096
"""How many times at once: their columns stay in the processor's cache."""


def _parse_block(texts: Sequence[str], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Parses texts of one length."""
    # One "?" for each character that is not ASCII keeps the rows aligned, and is no digit.
    flat = np.frombuffer("".join(texts).encode("ascii", "replace"), np.uint8)
    cells = np.ascontiguousarray(flat.reshape(-1, length).T)
    time = np.zeros(len(texts), np.int64)
    ok = np.zeros(len(texts), np.bool_)
    zulu = cells[-1] | 0x20 == ord("z")
    for chosen, end in ((zulu, length - 1), (~zulu, length - 6)):
        if (end == 19 or end > 20) and chosen.any():
            if chosen.all():
                return _parse_cells(cells, end)
            time[chosen], ok[chosen] = _parse_cells(cells[:, chosen], end)
    return time, ok


def _parse_cells(cells: NDArray[np.uint8], end: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Parses times of one layout: ``cells`` is ``uint8[length, n]``, the offset begins in row ``end``."""
    digit = cells - np.uint8(ord("0"))  # what is below "0" wraps round to large numbers
    used = [*range(4), 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, *range(20, end)]
    ok = (cells[4] == ord("-")) & (cells[7] == ord("-")) & (cells[10] | 0x20 == ord("t"))
    ok &= (cells[13] == ord(":")) & (cells[16] == ord(":"))
    if end > 19:
        ok &= cells[19] == ord(".")

    def two(row: int) -> NDArray[np.int32]:
        number: NDArray[np.int32] = digit[row].astype(np.int32) * 10 + digit[row + 1]
        return number

    month = (two(0) * 100 + two(2) - 1) * 12 + two(5) - 1
    day, hour, minute, second = two(8), two(11), two(14), two(17)
    ok &= (month >= 0) & (two(5) >= 1) & (two(5) <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    seconds = (hour * 60 + minute) * 60 + second
    if len(cells) - end == 6:
        sign = 44 - cells[end].astype(np.int32)  # "+" is 43, "-" is 45
        ok &= (np.abs(sign) == 1) & (cells[end + 3] == ord(":"))
        offset_hours, offset_minutes = two(end + 1), two(end + 4)
        ok &= (offset_hours < 24) & (offset_minutes < 60)
        seconds -= sign * (offset_hours * 60 + offset_minutes) * 60
        used += [end + 1, end + 2, end + 4, end + 5]
    ok &= digit[used].max(axis=0) <= 9
    month[~ok] = 0
    begin = _MONTHS[month]
    ok &= (day >= 1) & (day <= _MONTHS[month + 1] - begin)
    micros = np.zeros(cells.shape[1], np.int32)
    for place, row in enumerate(range(20, min(end, 26))):
        micros += digit[row].astype(np.int32) * 10 ** (5 - place)
    time = ((begin + day - 1) * 86_400 + seconds) * SECOND + micros
    ok &= (time >= _FIRST) & (time < _LAST)
    time[~ok] = 0
    return time, ok


_ROLL_OVER: Final = 1024 * 7 * _DAY
"""GPS counts weeks modulo 1,024; a receiver that does not know in which round it is is so much early."""
_GPS_BEGAN: Final = 3_657 * _DAY
"""1980-01-06, the first day that GPS can say."""
_NUMBER_TEXT: Final = re.compile(r"\s*([+-]?\d{1,20})(?:[.,](\d{1,20}))?\s*", re.ASCII)
_LOCAL_TEXT: Final = re.compile(
    r"\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})[Tt ,]+\d{1,2}:\d\d.*", re.ASCII
)
_DAY_ZERO: Final = 25_569
"""The day number that spreadsheets give to 1970-01-01."""
_SPREADSHEET_TIMES: Final = range(-25_570 * _DAY, -24_000 * _DAY)
"""1899-12-29 to 1904-04-16: a time of day alone is a date of these years in a spreadsheet."""


def looks_like(value: object, receipt: int | None = None) -> str:
    """What a time that is not taken looks like, for people (rule 2c).

    Args:
        value: as it stood in the message: an integer, a float or a text; or what :func:`parse_time` reads.
        receipt: when it was received, microseconds since 1970; None where that is not known.

    Returns:
        the likely mistake and what to do, beginning without a capital; empty where none is known.
    """
    number = _number(value)
    if number is not None and (found := _counted(number, milliseconds=type(value) is not int)):
        return found
    time = parse_time(value)
    if time is None:
        if isinstance(value, str) and parse_time(value.strip()) is not None:
            return "a time with blanks around it: take them out"
        if isinstance(value, str) and _LOCAL_TEXT.fullmatch(value):
            return "a local time: write it as 2026-11-23T08:00:00Z, or with its offset from UTC"
        return ""
    if found := _rolled_over(time, receipt):
        return found
    if time >= EARLIEST:
        return ""
    if time in _SPREADSHEET_TIMES:
        return "a spreadsheet's time of day without its date"
    if time == 0:
        return "a time that was never set (0)"
    if found := _counted(time / 1000, milliseconds=False):
        return f"{found} (it was taken for milliseconds)"
    if _GPS_BEGAN <= time < _GPS_BEGAN + 2 * _DAY:
        return "a receiver that has not learned the date yet"
    if receipt is None and time >= _GPS_BEGAN:
        return "1,024 or 2,048 weeks early (GPS week roll-over): the receiver's software is too old"
    return ""


def _number(value: object) -> float | None:
    """A number, or a text that is one, also with a decimal comma."""
    if isinstance(value, str):
        match = _NUMBER_TEXT.fullmatch(value[:MAX_TEXT])
        return float(f"{match[1]}.{match[2] or 0}") if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e20 else None


def _counted(number: float, *, milliseconds: bool) -> str:
    """What a number counts that would be a time of the years taken."""
    first, last = EARLIEST // SECOND, LATEST // SECOND
    if first <= number < last:
        return f"Unix seconds ({_moment(number)}): multiply by 1,000"
    if milliseconds and first <= number / 1e3 < last:
        return (
            f"milliseconds ({_moment(number / 1e3)}), which are taken as an integer without quotation marks"
        )
    if first <= number / 1e6 < last:
        return f"microseconds ({_moment(number / 1e6)}): divide by 1,000"
    if first <= number / 1e9 < last:
        return f"nanoseconds ({_moment(number / 1e9)}): divide by 1,000,000"
    if first <= (number - _DAY_ZERO) * 86_400 < last:
        day = _moment((number - _DAY_ZERO) * 86_400)[:10]
        return f"a spreadsheet's day number ({day}): write date, time and offset from UTC as text"
    if 20_000_101 <= number < 20_991_232 or 20_000_101_000_000 <= number < 20_991_232_000_000:
        return "the digits of a date: write it as 2026-11-23T08:00:00Z"
    return ""


def _moment(seconds: float) -> str:
    return f"{_EPOCH + timedelta(seconds=int(seconds)):%Y-%m-%dT%H:%M:%SZ}"


def _rolled_over(time: int, receipt: int | None) -> str:
    """Whether a time is one or two rounds of GPS weeks before its receipt, two days more or less."""
    for rounds in (1, 2):
        if receipt is not None and abs(receipt - time - rounds * _ROLL_OVER) <= 2 * _DAY:
            return f"{1024 * rounds:,} weeks early (GPS week roll-over): the receiver's software is too old"
    return ""
