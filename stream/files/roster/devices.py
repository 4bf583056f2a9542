"""Cells with radios and vehicles → allocations of one piece of duty.

For what time a device was allocated may stand in columns of its own, or behind its id in the cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stream.core.facts import Allocation
from stream.files.roster.times import (
    LocalTime,
    TimeSpan,
    bad_time,
    chosen,
    instants_of,
    local_day_of,
    not_before,
    read_time,
)

if TYPE_CHECKING:
    from stream.files.roster.mapping import TimeReading

_ALLOCATED: Final = re.compile(
    r"(?P<id>.*\S)\s*[(\s]\s*(?P<start>\d{1,2}[:.]?\d\d)\s*[-–—]\s*(?P<end>\d{1,2}[:.]?\d\d)\s*\)?", re.ASCII
)
"""``FX12ABC (0900-1200)``."""


def with_times(
    text: str, start: LocalTime | None, end: LocalTime | None, how: TimeReading
) -> tuple[str, LocalTime | None, LocalTime | None]:
    """A device's id and for what time it was allocated: as the cell says, or else as given.

    Raises:
        RefusedRowError: the cell has times that are none.
    """
    if match := _ALLOCATED.fullmatch(text):
        return match["id"], read_time([match["start"]], how), read_time([match["end"]], how)
    return text, start, end


def allocated(
    device_id: str,
    kind: str,
    start: LocalTime | None,
    end: LocalTime | None,
    duty: TimeSpan,
    how: TimeReading,
) -> tuple[Allocation, bool] | None:
    """An allocation within a piece of duty, and whether the mapping decided between two equal hours.

    A start without a day is the first such time in the duty, or else the one on its first day, before the
    duty; an end is the first after that.

    Returns:
        None where the allocation is over before the piece begins, or begins when it is over.

    Raises:
        RefusedRowError: a time does not exist or could be two, or the end is not after the start.
    """
    first, told = (None, False) if start is None else _start(start, duty, how)
    last, also = (None, False) if end is None else _end(end, duty.start if first is None else first, how)
    if first is not None and last is not None and last <= first:
        raise bad_time(f"{kind} {device_id}: its end is not after its start")
    if last is not None and last <= duty.start:
        return None
    if first is not None and duty.end is not None and first >= duty.end:
        return None
    return Allocation(device_id, kind, first, last), told or also


def _start(time: LocalTime, duty: TimeSpan, how: TimeReading) -> tuple[int, bool]:
    _has_clock(time)
    day = time.day
    if day is None:
        today = local_day_of(duty.start, how)
        day, found = not_before(today, time, duty.start, how)
        if duty.end is not None and found[0] >= duty.end:
            day = today
    return chosen(day, time, how)


def _end(time: LocalTime, low: int, how: TimeReading) -> tuple[int, bool]:
    _has_clock(time)
    day = time.day or not_before(local_day_of(low, how), time, low, how)[0]
    if len(found := instants_of(day, time, how)) == 2 and found[0] <= low:
        return found[1], False
    return chosen(day, time, how)


def _has_clock(time: LocalTime) -> None:
    if time.clock is None:
        raise bad_time("the time of an allocation has no time of day")
