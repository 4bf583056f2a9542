"""Clocks that are wrong: a delay that is constant, and half an hour or more (rule 22).

A network is late by seconds, a gap in coverage by anything at all. Only a clock, a time zone or the summer
time is off by one and the same amount for hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from stream.core.columns import changes
from stream.core.quality.heard import NO_DELAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.core.quality.heard import Heard

OFFSET_S: Final = 1_500
"""The least delay that is taken for a wrong clock: half an hour, less what a network may do to it."""
SPREAD_S: Final = 300
"""How far from their median the delays of a wrong clock lie at most."""
AROUND_S: Final = 1_200
"""So near to it hardly any other delays lie: those of reports sent on after a silence lie everywhere."""
ALONE: Final = 0.9
"""The least part of the delays within ``AROUND_S`` that lie within ``SPREAD_S``."""
LEAST: Final = 10
"""The least number of reports by which a clock is judged."""
PART: Final = 0.25
"""The least part of a day's reports: a tracker may be wrong only while it is offline."""


class ClockOffset(NamedTuple):
    """A device's clock on one day.

    Attributes:
        device: index into the names of ``Heard``.
        day: days since 1970-01-01, local.
        reports: how many show it.
        seconds: how far the clock is behind; negative where it is ahead.
    """

    device: int
    day: int
    reports: int
    seconds: int


def clock_offsets(heard: Heard) -> list[ClockOffset]:
    """The clocks that are wrong, by device and day; rejected reports count too, for their time may be why."""
    known = np.flatnonzero(heard.delay != NO_DELAY)
    device, day, count = heard.device[known], heard.day[known], heard.count[known]
    delay = heard.delay[known].astype(np.int64)
    first = np.flatnonzero(changes(device, day))
    ends = np.append(first[1:], len(known))
    odd = np.abs(delay) >= OFFSET_S
    group = np.cumsum(changes(device, day)) - 1
    enough = np.bincount(group[odd], weights=count[odd]) >= LEAST
    found = []
    for number in np.flatnonzero(enough).tolist():
        part = slice(first[number], ends[number])
        for side in (1, -1):
            seen = _constant(side * delay[part], count[part])
            if seen is not None:
                times, seconds = seen
                found.append(
                    ClockOffset(int(device[first[number]]), int(day[first[number]]), times, side * seconds)
                )
    return found


def _constant(delay: NDArray[np.int64], count: NDArray[np.int64]) -> tuple[int, int] | None:
    """How many reports came by one and the same long delay, and that delay; None where there is none."""
    late = delay >= OFFSET_S
    if not late.any():
        return None
    middle = weighted(delay[late], count[late], 50)
    alike = int(count[late & (np.abs(delay - middle) <= SPREAD_S)].sum())
    around = int(count[np.abs(delay - middle) <= AROUND_S].sum())
    constant = alike >= max(LEAST, PART * int(count.sum())) and alike >= ALONE * around
    return (alike, middle) if constant else None


def weighted(values: NDArray[np.integer], count: NDArray[np.int64], percent: int) -> int:
    """The value that so many in 100 do not exceed, each value being there ``count`` times (nearest rank)."""
    order = np.argsort(values, kind="stable")
    reach = np.cumsum(count[order])
    wanted = max(-(-int(reach[-1]) * percent // 100), 1)
    return int(values[order][int(np.searchsorted(reach, wanted))])


def offset_words(seconds: int) -> str:
    """How far a clock is off, in words: ``1 hour behind``, ``5 hours 30 minutes ahead``."""
    size = abs(seconds)
    quarter = 900 * round(size / 900)
    size = quarter if abs(size - quarter) <= SPREAD_S else 60 * round(size / 60)
    days, rest = divmod(size, 86_400)
    hours, minutes = divmod(rest // 60, 60)
    parts = [
        f"{number:,} {name}{'' if number == 1 else 's'}"
        for number, name in ((days, "day"), (hours, "hour"), (minutes, "minute"))
        if number
    ]
    return f"{' '.join(parts)} {'behind' if seconds > 0 else 'ahead'}"
