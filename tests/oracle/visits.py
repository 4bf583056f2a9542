"""Visits to priority areas, officer by officer and area by area (rule 17).

Slices come in, as ``slices`` gives them, and for the areas' own days and hours what the publisher wrote.
Readings taken: time inside counts while the officer is on or off patch; a visit belongs to an officer,
whichever duties it falls in; it lasts from its first coming in to its last going out; the settings are those
in force when it starts. The clock on the wall decides whether an instant is in an area's own hours, so an
hour that the clock shows twice is in them twice, and one that it leaves out never. What cannot be read was
not said. A visit is counted in the period in which it starts, the time inside in the one in which it falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.oracle.slices import Slice

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE = 60 * SECOND
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

Wishes: TypeAlias = "Mapping[str, tuple[str | None, str | None]]"
"""For each priority area of a version its days and hours as published; ``None``: nothing was said."""

Settings: TypeAlias = "Callable[[int], tuple[int, int]]"
"""At a time: the longest absence that is joined and the shortest visit, µs."""


class Visit(NamedTuple):
    """One visit, times in µs; ``inside`` are its stretches of time inside, without the absences."""

    area_id: str
    officer_id: str
    start: int
    end: int
    home_team: bool
    inside: tuple[tuple[int, int], ...]


def _usual(_: int) -> tuple[int, int]:
    return 60 * SECOND, 120 * SECOND


def visits(slices: Iterable[Slice], settings: Settings = _usual) -> list[Visit]:
    """Rule 17: every visit, by area, start and officer."""
    seen = sorted(
        (item for item in slices if item.activity in ("on_patch", "off_patch") and item.place is not None),
        key=lambda item: item.start,
    )
    found: list[Visit] = []
    for area_id in sorted({area for item in seen if item.place for area in item.place.priorities}):
        inside = [item for item in seen if item.place is not None and area_id in item.place.priorities]
        for officer_id in sorted({item.officer_id for item in inside}):
            rest = [item for item in inside if item.officer_id == officer_id]
            while rest:
                visit, rest = [rest[0]], rest[1:]
                join, shortest = settings(visit[0].start)
                while rest and rest[0].start - visit[-1].end <= join:
                    visit, rest = [*visit, rest[0]], rest[1:]
                start, end = visit[0].start, visit[-1].end
                if end - start >= shortest:
                    home = any(item.activity == "on_patch" for item in visit)
                    parts = _merged([(item.start, item.end) for item in visit])
                    found.append(Visit(area_id, officer_id, start, end, home, tuple(parts)))
    return sorted(found, key=lambda visit: (visit.area_id, visit.start, visit.officer_id))


def _merged(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union of intervals."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(parts):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _days(text: str | None) -> set[int]:
    """Days as ``Mon-Sat`` or ``Fri,Sun``, Monday 0; what is not of this form was not said."""
    if text is None:
        return set(range(7))
    days: set[int] = set()
    for part in text.split(","):
        ends = part.split("-")
        if len(ends) > 2 or any(end not in WEEK for end in ends):
            return set(range(7))
        day = WEEK.index(ends[0])
        days.add(day)
        while WEEK[day] != ends[-1]:
            day = (day + 1) % 7
            days.add(day)
    return days


def _hours(text: str | None) -> tuple[int, int]:
    """Hours as ``20:00-04:00`` in minutes of the day; what is not of this form was not said."""
    if text is None or len(text) != 11 or not (text[0:2] + text[3:5] + text[6:8] + text[9:11]).isdigit():
        return 0, 1440
    start, end = int(text[0:2]) * 60 + int(text[3:5]), int(text[6:8]) * 60 + int(text[9:11])
    return start, end


def in_hours(t: int, days: str | None, hours: str | None) -> bool:
    """Whether the clock on the wall is within the hours that began on one of the days."""
    wall = (EPOCH + timedelta(microseconds=t)).astimezone(LONDON)
    minute = wall.hour * 60 + wall.minute
    start, end = _hours(hours)
    today, yesterday = wall.weekday() in _days(days), (wall.weekday() - 1) % 7 in _days(days)
    if start < end:
        return today and start <= minute < end
    return (today and start <= minute) or (yesterday and minute < end)


def own_time(
    area_id: str, start: int, end: int, versions: Sequence[tuple[int, Wishes]]
) -> list[tuple[int, int]]:
    """The parts of an interval in the area's own days and hours, by the version in force at each instant.

    Everything turns over on a full minute or with a version, so each minute is asked once. An area that no
    version knows has all time for its own.
    """
    if not any(area_id in wishes for _, wishes in versions):
        return _merged([(start, end)])
    edges = {start, end, *range((start // MINUTE + 1) * MINUTE, end, MINUTE)}
    edges |= {opens for opens, _ in versions if start < opens < end}
    ordered = sorted(edges)
    found = []
    for low, high in pairwise(ordered):
        in_force = [wishes for opens, wishes in versions if opens <= low]
        if in_force and area_id in in_force[-1] and in_hours(low, *in_force[-1][area_id]):
            found.append((low, high))
    return _merged(found)


@dataclass(frozen=True)
class Priority:
    """The figures of one area and period, whole microseconds."""

    visits: int
    visits_others: int
    visits_in_window: int
    by_length: tuple[int, int, int, int]
    officer_time: int
    patrol_time: int
    officer_own: int
    patrol_own: int
    others: int
    last_end: int | None


def priority(
    area_id: str,
    found: Iterable[Visit],
    period: tuple[int, int],
    versions: Sequence[tuple[int, Wishes]] | None = None,
) -> Priority:
    """Rule 17's figures of one area; without versions all time is its own."""
    mine = [visit for visit in found if visit.area_id == area_id]
    begun = [visit for visit in mine if period[0] <= visit.start < period[1]]

    def own(part: tuple[int, int]) -> list[tuple[int, int]]:
        return [part] if versions is None else own_time(area_id, *part, versions)

    def cut(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        pairs = [(max(low, period[0]), min(high, period[1])) for low, high in parts]
        return [(low, high) for low, high in pairs if low < high]

    def total(parts: Iterable[tuple[int, int]]) -> int:
        return sum(high - low for low, high in parts)

    inside = [part for visit in mine for part in cut(visit.inside)]
    inside_own = [piece for part in inside for piece in own(part)]
    minutes = [(visit.end - visit.start) / MINUTE for visit in begun]
    return Priority(
        visits=len(begun),
        visits_others=sum(not visit.home_team for visit in begun),
        visits_in_window=sum(any(own(part) for part in visit.inside) for visit in begun),
        by_length=(
            sum(length < 5 for length in minutes),
            sum(5 <= length < 10 for length in minutes),
            sum(10 <= length < 20 for length in minutes),
            sum(length >= 20 for length in minutes),
        ),
        officer_time=total(inside),
        patrol_time=total(_merged(inside)),
        officer_own=total(inside_own),
        patrol_own=total(_merged(inside_own)),
        others=total(part for visit in mine if not visit.home_team for part in cut(visit.inside)),
        last_end=max((visit.end for visit in begun), default=None),
    )
