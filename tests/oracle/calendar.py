"""Local days and ISO weeks, by asking every hour which it belongs to (rule 19).

London's clock is a whole number of hours from UTC in the years that matter, so every local midnight is on a
UTC hour. Only dates and times come in.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
"""Microseconds in an hour."""

_Key = TypeVar("_Key", bound=Hashable)


def _local(t: int) -> datetime:
    return (EPOCH + timedelta(microseconds=t)).astimezone(LONDON)


def _day(t: int) -> date:
    return _local(t).date()


def _week(t: int) -> str:
    year, week, _ = _local(t).isocalendar()
    return f"{year:04d}-W{week:02d}"


def _hours_of(key: Callable[[int], _Key], wanted: _Key, first: date, last: date) -> tuple[int, int]:
    """From the first hour that belongs to ``wanted`` to the end of the last one."""
    begin = (first - EPOCH.date()).days * 24 * HOUR
    end = (last - EPOCH.date()).days * 24 * HOUR
    hours = [t for t in range(begin, end, HOUR) if key(t) == wanted]
    if not hours:
        raise ValueError(f"{wanted} is not in the calendar")
    return hours[0], hours[-1] + HOUR


def day_bounds(day: date) -> tuple[int, int]:
    """The local day ``[start, end)`` in µs since 1970 UTC: 24 hours, or 23, or 25."""
    return _hours_of(_day, day, day - timedelta(days=2), day + timedelta(days=3))


def week_bounds(week: str) -> tuple[int, int]:
    """The local ISO week, such as ``2026-W47``, as ``[start, end)`` in µs: 168 hours, or 167, or 169."""
    year = int(week[:4])
    return _hours_of(_week, week, date(year - 1, 12, 25), date(year + 1, 1, 8))


def _split(key: Callable[[int], _Key], start: int, end: int) -> list[tuple[_Key, int, int]]:
    pieces: list[tuple[_Key, int, int]] = []
    while start < end:
        stop = min(end, (start // HOUR + 1) * HOUR)
        if pieces and pieces[-1][0] == key(start):
            pieces[-1] = (pieces[-1][0], pieces[-1][1], stop)
        else:
            pieces.append((key(start), start, stop))
        start = stop
    return pieces


def split_by_day(start: int, end: int) -> list[tuple[date, int, int]]:
    """An interval divided at local midnights: ``(day, start, end)``, times in µs."""
    return _split(_day, start, end)


def split_by_week(start: int, end: int) -> list[tuple[str, int, int]]:
    """An interval divided at Monday 00:00 local: ``(week, start, end)``, times in µs."""
    return _split(_week, start, end)
