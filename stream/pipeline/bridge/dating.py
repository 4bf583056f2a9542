"""Times of day and days of the month → times, by a time near which they must lie.

Pure. Short reports save the date; it is the one that puts the report nearest to its receipt. So a report of
23:59:58 that is received at 00:00:03 belongs to the day before. One that waited for 12 to 24 hours comes out
in the future, and ingest rejects it under that name; one that waited for longer is dated a day late.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from stream.core.calendar import microseconds, moment
from stream.core.facts import SECOND

DAY: Final = 86_400 * SECOND


def by_time_of_day(time_of_day: int, near: int) -> int:
    """The time nearest to another one that has a given time of day (UTC).

    Args:
        time_of_day: microseconds since midnight, 0 to below a day.
        near: microseconds since 1970.

    Returns:
        Microseconds since 1970, at most half a day from ``near``.
    """
    return near + (time_of_day - near + DAY // 2) % DAY - DAY // 2


def by_day_of_month(day: int, time_of_day: int, near: int) -> int | None:
    """The time nearest to another one that has a given day of the month and time of day (UTC).

    Args:
        day: 1 to 31.
        time_of_day: microseconds since midnight.
        near: microseconds since 1970.

    Returns:
        Microseconds since 1970; None where no month near has such a day.
    """
    at = moment(near)
    found = []
    for step in (-2, -1, 0, 1, 2):
        year, month = divmod(at.year * 12 + at.month - 1 + step, 12)
        try:
            midnight = datetime(year, month + 1, day, tzinfo=UTC)
        except ValueError:
            continue
        found.append(microseconds(midnight) + time_of_day)
    return min(found, key=lambda time: abs(time - near), default=None)
