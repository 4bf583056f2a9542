"""Local days and ISO weeks as UTC intervals (rule 19).

Europe/London comes with the ``tzdata`` package, so a machine without a time zone database counts the same.
Days and weeks are half-open intervals of microseconds since 1970 UTC; in the weeks of the clock changes a
week has 167 or 169 hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WEEK, MONTH = "week", "month"
"""The kinds of ``Period``."""
LOCAL = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """An aware ``datetime`` as microseconds since 1970 UTC.

    Raises:
        ValueError: the moment has no offset.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no offset: write for example {moment.isoformat()}Z")
    return (moment - EPOCH) // MICROSECOND


def moment(time_us: int) -> datetime:
    """Microseconds since 1970 UTC as an aware ``datetime`` in UTC."""
    return EPOCH + timedelta(microseconds=time_us)


def rfc3339(time_us: int) -> str:
    """Microseconds since 1970 UTC as RFC 3339 with six decimals, ``2026-11-23T08:15:03.250000Z``."""
    return moment(time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> int:
    """RFC 3339 with offset, or a local date (its midnight), as microseconds.

    Raises:
        ValueError: neither; the message shows both forms.
    """
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return day_start(date.fromisoformat(text))
        return microseconds(datetime.fromisoformat(text))
    except ValueError as error:
        raise ValueError(
            f"'{text}' is not a time: write 2026-11-23 (local midnight) or 2026-11-23T08:15:03Z"
        ) from error


def day_start(day: date) -> int:
    """Local midnight at the start of a day."""
    return microseconds(datetime.combine(day, time(), LOCAL))


def day_bounds(day: date) -> tuple[int, int]:
    """A local day: 23, 24 or 25 hours."""
    return day_start(day), day_start(day + timedelta(days=1))


def week_bounds(week: str) -> tuple[int, int]:
    """An ISO week named like ``2026-W47``, Monday 00:00 local to the next.

    Raises:
        ValueError: not the name of an ISO week.
    """
    match = re.fullmatch(r"(\d{4})-W(\d\d)", week)
    if not match:
        raise ValueError(f"'{week}' is not an ISO week: write it like 2026-W47")
    try:
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return day_start(monday), day_start(monday + timedelta(days=7))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no ISO week '{week}': write it like 2026-W47") from error


def month_bounds(month: str) -> tuple[int, int]:
    """A calendar month named like ``2026-11``, local midnight to local midnight.

    Raises:
        ValueError: not the name of a month.
    """
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", month)
    if not match or not 1 < int(match[1]) < 9999:
        raise ValueError(f"'{month}' is not a month: write it like 2026-11")
    year, number = int(match[1]), int(match[2])
    return day_start(date(year, number, 1)), day_start(date(year + number // 12, number % 12 + 1, 1))


@dataclass(frozen=True, slots=True)
class Period:
    """A local week or month.

    Attributes:
        kind: ``WEEK`` or ``MONTH``.
        name: like ``2026-W47`` or ``2026-11``.
        start, end: microseconds since 1970 UTC, ``[start, end)``.
    """

    kind: str
    name: str
    start: int
    end: int

    @classmethod
    def week(cls, name: str) -> Period:
        """An ISO week like ``2026-W47``.

        Raises:
            ValueError: there is no such week.
        """
        return cls(WEEK, name, *week_bounds(name))

    @classmethod
    def month(cls, name: str) -> Period:
        """A month like ``2026-11``.

        Raises:
            ValueError: there is no such month.
        """
        return cls(MONTH, name, *month_bounds(name))

    @classmethod
    def named(cls, kind: str, name: str) -> Period:
        """A period by its kind and name.

        Raises:
            ValueError: there is none.
        """
        return cls.week(name) if kind == WEEK else cls.month(name)

    @classmethod
    def called(cls, name: str) -> Period:
        """A week or a month by its name alone.

        Raises:
            ValueError: there is none.
        """
        return cls.named(WEEK if "W" in name else MONTH, name)

    @classmethod
    def around(cls, kind: str, time_us: int) -> Period:
        """The week or month that an instant lies in."""
        day = local_day(time_us)
        return cls.week(week_name(day)) if kind == WEEK else cls.month(f"{day:%Y-%m}")

    def is_over(self, now: int) -> bool:
        """Whether it is over at an instant: then it is counted to its end, and may be published."""
        return now >= self.end

    def before(self, count: int) -> list[Period]:
        """So many periods before this one, the oldest first."""
        found = [self]
        for _ in range(count):
            found.append(Period.around(self.kind, found[-1].start - 1))
        return found[:0:-1]

    @property
    def weeks(self) -> tuple[str, ...]:
        """The names of the weeks that it has days of, in order."""
        return tuple(week_name(local_day(start)) for start, _ in weeks(self.start, self.end))

    def weeks_over(self, now: int) -> tuple[str, ...]:
        """Those of them that are over at an instant."""
        return tuple(name for name in self.weeks if week_bounds(name)[1] <= now)

    @property
    def next(self) -> Period:
        """The one after it."""
        return Period.around(self.kind, self.end)


def local_day(time_us: int) -> date:
    """The local day that an instant lies in."""
    return moment(time_us).astimezone(LOCAL).date()


def week_name(day: date) -> str:
    """The ISO week of a day, like ``2026-W47``."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"


def days(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The local days that ``[start, end)`` touches, in order, whole."""
    day = local_day(start)
    while day_start(day) < end:
        yield day_bounds(day)
        day += timedelta(days=1)


def weeks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The local ISO weeks that ``[start, end)`` touches, in order, whole but for the last one of all time."""
    first = local_day(start)
    monday = first - timedelta(days=first.weekday())
    while day_start(monday) < end:
        if date.max - monday < timedelta(days=7):
            yield day_start(monday), end
            return
        yield day_start(monday), day_start(monday + timedelta(days=7))
        monday += timedelta(days=7)


def day_numbers(times: NDArray[np.int64]) -> NDArray[np.int32]:
    """The local day that each instant lies in.

    Args:
        times: ``int64[n]``, microseconds since 1970 UTC.

    Returns:
        ``int32[n]``, days since 1970-01-01, which ``day_of_number`` names.
    """
    if not len(times):
        return np.empty(0, np.int32)
    # Europe/London is never behind UTC: an instant lies in the UTC day, or already in the next one.
    low, high = (_local_day(int(time)) for time in (times.min(), times.max()))
    if high - low <= _FEW_DAYS:
        found = np.full(len(times), low, np.int32)
        for number in range(low + 1, high + 1):
            found += times >= day_start(day_of_number(number))
        return found
    day: NDArray[np.int64] = times // _DAY
    first = int(day.min())
    present = np.bincount(day - first)
    midnight = np.zeros(len(present), np.int64)
    for number in np.flatnonzero(present).tolist():
        midnight[number] = day_start(day_of_number(first + number + 1))
    return (day + (times >= midnight[day - first])).astype(np.int32)


def _local_day(time: int) -> int:
    day = time // _DAY
    return day + (time >= day_start(day_of_number(day + 1)))


def day_of_number(number: int) -> date:
    """The day that is so many days after 1970-01-01."""
    return date.fromordinal(_EPOCH_DAY + number)


_DAY = 86_400_000_000
_FEW_DAYS = 4  # so few midnights are compared one by one
_EPOCH_DAY = EPOCH.toordinal()
