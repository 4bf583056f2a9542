"""When an area needs visits: its own days and hours, from the publisher's text to intervals of UTC.

Values only: texts and versions of areas in, columns out; nothing of officers, files or the database. Times
are microseconds since 1970 UTC, intervals half open. Days and hours are local time in London: an instant is
within an area's hours if the local time is. In spring the hour that is left out is in nobody's hours; in
autumn the hour that comes twice is in them both times. Hours over midnight belong to the day on which they
begin.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from geo.areas import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet

LOCAL = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
"""Microseconds in a minute."""
DAY = 1440 * MINUTE

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday."""

When: TypeAlias = tuple[tuple[int, ...], tuple[int, int]]
"""Days of the week, Monday 0, and minutes after midnight from and to."""

Intervals: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.int64]]"
"""Starts and ends, sorted and disjoint."""

ALWAYS: When = (tuple(range(7)), (0, 1440))


def days_of(text: str) -> tuple[int, ...]:
    """The days of the week that a priority area names: ``Mon-Sat``, ``Fri,Sun``, ``Fri-Mon``.

    Returns:
        Days in order, Monday 0 to Sunday 6.

    Raises:
        ValueError: a word is not a day.
    """
    days: set[int] = set()
    for part in re.split(r"[,;]", text):
        ends = [_day(word.strip(), text) for word in re.split("[-–]", part)]
        if len(ends) > 2:
            raise ValueError(f"{text!r} names no days; write them as Mon-Sat or Fri,Sun")
        days |= {(ends[0] + step) % 7 for step in range((ends[-1] - ends[0]) % 7 + 1)}
    return tuple(sorted(days))


def _day(word: str, text: str) -> int:
    hits = [at for at, name in enumerate(_DAYS) if len(word) >= 3 and name.startswith(word.lower())]
    if len(hits) != 1:
        raise ValueError(f"{text!r} names no days; write them as Mon-Sat or Fri,Sun")
    return hits[0]


def hours_of(text: str) -> tuple[int, int]:
    """The hours that a priority area names: ``20:00-04:00``, local time.

    Returns:
        Minutes after midnight from and to; an end at or before the start lies on the next day.

    Raises:
        ValueError: it is not two times with a dash between them, or both are the same.
    """
    match = re.fullmatch(r"\s*(\d{1,2})[:.](\d\d)\s*[-–]\s*(\d{1,2})[:.](\d\d)\s*", text)
    start, end = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
    if match is None or max(int(match[2]), int(match[4])) > 59 or start >= 1440 or end > 1440 or start == end:
        raise ValueError(f"{text!r} names no hours; write them as 20:00-04:00")
    return start, end


def when(attributes: Mapping[str, str]) -> When:
    """The days and hours of an area; ``ALWAYS`` where it has none.

    What cannot be read (the checks report it, and people may accept it) counts as missing: an area with
    unreadable hours has all hours of its days, one with unreadable days its hours on every day.
    """
    days, hours = ALWAYS
    with suppress(KeyError, ValueError):
        days = days_of(attributes["days"])
    with suppress(KeyError, ValueError):
        hours = hours_of(attributes["hours"])
    return days, hours


@dataclass(frozen=True, slots=True, eq=False)
class OwnHours:
    """The own time of each priority area within a reach, according to the version in force at each instant.

    An area without days and hours has the whole of the time in which it was published.

    Attributes:
        area_ids: every priority area of the versions, sorted.
        first: ``int64[areas + 1]``, where each area's rows begin.
        start: ``int64[m]``, microseconds since 1970 UTC; sorted and disjoint within an area.
        end: ``int64[m]``, exclusive; no interval ends where the next of its area starts.
        reach: the time that was asked about; nothing is known of any other.
    """

    area_ids: tuple[str, ...]
    first: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    reach: tuple[int, int]

    @classmethod
    def of(cls, versions: Sequence[tuple[int, AreaSet]], start: int, end: int) -> OwnHours:
        """The windows of all priority areas.

        Args:
            versions: ``(in force from, areas)`` with strictly rising times, as ``AreaHistory`` takes them.
            start: microseconds; the start of the time asked about.
            end: microseconds, exclusive.
        """
        end = max(start, end)
        stretches = _stretches(start, end)
        known: dict[When, Intervals] = {}
        parts: dict[str, list[Intervals]] = {}
        opens = [time for time, _ in versions]
        for (_, areas), low, high in zip(versions, opens, [*opens[1:], end], strict=False):
            for kind, area_id, attributes in zip(areas.kind, areas.area_id, areas.attributes, strict=True):
                if kind is not Kind.PRIORITY:
                    continue
                wanted = when(attributes)
                if wanted not in known:
                    known[wanted] = _intervals(stretches, wanted)
                parts.setdefault(area_id, []).append(_cut(known[wanted], low, high))
        area_ids = tuple(sorted(parts))
        joined = [_joined(parts[area_id]) for area_id in area_ids]
        nothing = [np.empty(0, np.int64)]
        return cls(
            area_ids,
            np.cumsum([0, *(len(starts) for starts, _ in joined)], dtype=np.int64),
            np.concatenate(nothing + [starts for starts, _ in joined]),
            np.concatenate(nothing + [ends for _, ends in joined]),
            (start, end),
        )

    def of_area(self, area_id: str) -> list[tuple[int, int]]:
        """One area's intervals in order; the whole reach for an area that no version has."""
        if area_id not in self.area_ids:
            return [self.reach] if self.reach[0] < self.reach[1] else []
        at = self.area_ids.index(area_id)
        rows = slice(int(self.first[at]), int(self.first[at + 1]))
        return list(zip(self.start[rows].tolist(), self.end[rows].tolist(), strict=True))


def _stretches(start: int, end: int) -> list[tuple[int, int, int]]:
    """Stretches of time in which local time is a fixed time ahead of UTC, and how far (microseconds).

    Looks at the offset once a day, and searches between two days that differ.
    """
    found = []
    at, ahead = start, _ahead(start)
    for day in [*range(start + DAY, end, DAY), end]:
        if _ahead(day) != ahead:
            low, high = max(at, day - DAY), day  # local time is still ``ahead`` at low, no longer at high
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _ahead(middle) == ahead else (low, middle)
            found.append((at, high, ahead))
            at, ahead = high, _ahead(high)
    return [*found, (at, end, ahead)]


def _intervals(stretches: Sequence[tuple[int, int, int]], wanted: When) -> Intervals:
    """Intervals of UTC in which the clock is within hours that begin on these days."""
    days, (begin, finish) = wanted
    day = np.arange(stretches[0][0] // DAY - 2, stretches[-1][1] // DAY + 2, dtype=np.int64)
    day = day[np.isin((day + _EPOCH_WEEKDAY) % 7, days)] * DAY
    shown = day + begin * MINUTE, day + (finish + 1440 * (finish <= begin)) * MINUTE
    return _joined(
        [
            _cut((shown[0] - ahead, shown[1] - ahead), low, high)
            for low, high, ahead in stretches
            if low < high
        ]
    )


def _ahead(time: int) -> int:
    """How far local time in London is ahead of UTC, microseconds."""
    ahead = (EPOCH + timedelta(microseconds=time)).astimezone(LOCAL).utcoffset()
    return (ahead or timedelta()) // timedelta(microseconds=1)


def _cut(intervals: Intervals, low: int, high: int) -> Intervals:
    start, end = np.maximum(intervals[0], low), np.minimum(intervals[1], high)
    kept = start < end
    return start[kept], end[kept]


def _joined(parts: Sequence[Intervals]) -> Intervals:
    """Intervals in order as one column, those that touch as one."""
    nothing = np.empty(0, np.int64)
    start = np.concatenate([nothing, *(starts for starts, _ in parts)])
    end = np.concatenate([nothing, *(ends for _, ends in parts)])
    apart = np.ones(len(start), np.bool_)
    apart[1:] = start[1:] != end[:-1]
    last = np.append(np.flatnonzero(apart)[1:], len(start)) - 1 if len(start) else np.empty(0, np.int64)
    return start[apart], end[last]
