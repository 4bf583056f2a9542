"""What was heard of each device on each day: reports taken and rejected, and how late they came (rule 22).

Columns in, columns out. Fed with each batch as it is decoded, so that the times of receipt, which no figure
needs, do not have to be kept. What follows from the order of fixes (intervals, jumps, silences) is in
``stream.core.quality.tracks``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.calendar import day_numbers
from stream.core.columns import Columns, changes
from stream.core.events import REASONS, Judged, Reason, text_fault
from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

NO_DAY: Final = -(2**31)
"""The day of a report whose time is not known."""
NO_DELAY: Final = 2**31 - 1
"""The delay of a report whose receipt, or time, is not known."""
TAKEN: Final = -1
"""The verdict on a usable report; any other is an index into ``REASONS``."""

_FINE: Final = 60
"""Delays below so many seconds are rounded to whole seconds."""
_STEPS: Final = ((600, 10), (172_800, 60))
"""Longer ones below so many seconds are rounded to so many; all others to whole hours."""
_HOUR: Final = 3600
_MOST: Final = 2**31 - 2 - _HOUR
_DENSE: Final = 1 << 22
"""The most counters laid out at once; where more would be needed, the keys are sorted instead."""


def rounded_delays(delay: NDArray[np.int64]) -> NDArray[np.int32]:
    """Delays as they are counted: to a second below a minute, coarser above.

    Args:
        delay: ``int64[n]``, receipt less the report's own time, microseconds; negative where it is ahead.

    Returns:
        ``int32[n]`` seconds: to 1 s below 60 s, 10 s below 600 s, 60 s below two days, else to whole hours.
    """
    seconds = delay / SECOND
    found: NDArray[np.int32] = np.rint(np.clip(seconds, -_MOST, _MOST)).astype(np.int32)
    # Nearly all come within the minute, to which this is right already.
    coarse = np.flatnonzero(np.abs(seconds) >= _FINE)
    if len(coarse):
        seconds = seconds[coarse]
        size = np.abs(seconds)
        step = np.full(len(coarse), _HOUR, np.float64)
        for limit, width in reversed(_STEPS):
            step[size < limit] = width
        found[coarse] = np.clip(np.rint(seconds / step) * step, -_MOST, _MOST)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """How many reports there were of each device, day, verdict and delay: a multiset.

    It is a commutative monoid: ``Heard.joined`` of parts, in any order and grouping, is that of the whole,
    and ``Heard.joined([])`` is its zero. So each batch can be counted on its own, by any process, and a
    transaction that takes a batch exactly once may add the batch's counts to rows by device and day that it
    keeps. (A report that comes twice is heard twice: that is what is counted here. What is known of a fix
    once, however often it came, is counted from the facts.)

    Attributes:
        device: ``int32[k]``, index into ``device_ids``, sorted.
        day: ``int32[k]``, days since 1970-01-01, local (rule 19); ``NO_DAY`` where unknown. It is the day of
            the report's own time, but that of its receipt where the time alone would be a reason to reject
            it: a receiver without a fix often has no date either.
        verdict: ``int8[k]``, ``TAKEN`` or an index into ``stream.core.events.REASONS``.
        delay: ``int32[k]``, seconds from the report's time to its receipt, as ``rounded_delays`` rounds them;
            ``NO_DELAY`` where one of them is not known.
        count: ``int64[k]``, how many reports, at least 1.
        device_ids: the names that ``device`` points at, sorted.
    """

    device: NDArray[np.int32]
    day: NDArray[np.int32]
    verdict: NDArray[np.int8]
    delay: NDArray[np.int32]
    count: NDArray[np.int64]
    device_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.count)

    def of_devices(self, names: Collection[str]) -> Heard:
        """The reports of some devices, which are renumbered; names that there are none of do not matter."""
        kept = [code for code, name in enumerate(self.device_ids) if name in names]
        number = np.full(len(self.device_ids), -1, np.int32)
        number[kept] = np.arange(len(kept), dtype=np.int32)
        device = number[self.device]
        rows = np.flatnonzero(device >= 0)
        names_ = tuple(self.device_ids[code] for code in kept)
        day, verdict, delay, count = self.day[rows], self.verdict[rows], self.delay[rows], self.count[rows]
        return Heard(device[rows], day, verdict, delay, count, names_)

    @classmethod
    def joined(cls, parts: Sequence[Heard]) -> Heard:
        """All reports of several parts together."""
        names = sorted({name for part in parts for name in part.device_ids})
        code_of = {name: code for code, name in enumerate(names)}
        nothing = np.empty(0, np.int32)
        device = np.concatenate(
            [nothing, *(np.array([code_of[n] for n in p.device_ids], np.int32)[p.device] for p in parts)]
        )
        day = np.concatenate([nothing, *(part.day for part in parts)])
        verdict = np.concatenate([nothing.astype(np.int8), *(part.verdict for part in parts)])
        delay = np.concatenate([nothing, *(part.delay for part in parts)])
        count = np.concatenate([nothing.astype(np.int64), *(part.count for part in parts)])
        order = np.lexsort((delay, verdict, day, device))
        device, day, verdict, delay = device[order], day[order], verdict[order], delay[order]
        first = np.flatnonzero(changes(device, day, verdict, delay))
        total = np.add.reduceat(count[order], first) if len(first) else count
        return cls(device[first], day[first], verdict[first], delay[first], total, tuple(names))


class Gathered:
    """Collects what was heard batch by batch in bounded memory: joined whenever as much again has come."""

    def __init__(self) -> None:
        self._parts: list[Heard] = []
        self._waiting = 0
        self._most = _DENSE

    def add(self, part: Heard) -> None:
        """Takes one more batch."""
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > self._most:
            self._parts = [self.done()]
            self._waiting, self._most = 0, max(_DENSE, len(self._parts[0]))

    def done(self) -> Heard:
        """All of them together."""
        return Heard.joined(self._parts)


@dataclass(frozen=True, slots=True, eq=False)
class HeardRows(Columns):
    """The reports of a batch one by one, as they are counted.

    Attributes:
        device: ``int32[n]``, index into ``device_ids``; -1 where the report's ``device_id`` is no text.
        day: ``int32[n]``, as ``Heard.day``.
        verdict: ``int8[n]``, as ``Heard.verdict``.
        delay: ``int32[n]``, as ``Heard.delay``.
        device_ids: the names that ``device`` points at, in any order; some may be of no report.
    """

    device: NDArray[np.int32]
    day: NDArray[np.int32]
    verdict: NDArray[np.int8]
    delay: NDArray[np.int32]
    device_ids: tuple[str, ...]


def heard(judged: Judged) -> Heard:
    """Counts a batch of reports as they were judged (rule 2), those whose ``device_id`` is no text apart."""
    return counted(heard_rows(judged))


def heard_rows(judged: Judged) -> HeardRows:
    """What is counted of each report of a batch, in their order."""
    device = judged.device
    if (judged.verdict == REASONS.index(Reason.BAD_VALUE)).any():
        nameless = [code for code, name in enumerate(judged.device_ids) if text_fault(name)]
        if nameless:
            device = np.where(np.isin(device, nameless), np.int32(-1), device)
    timed, known = judged.time_ok, judged.receipt >= 0
    both = timed & known
    if both.all():
        delay = rounded_delays(judged.receipt - judged.time)
    else:
        delay = np.full(len(judged), NO_DELAY, np.int32)
        delay[both] = rounded_delays(judged.receipt[both] - judged.time[both])
    by_receipt = ~judged.dated
    dated = np.where(by_receipt, judged.receipt, judged.time) if by_receipt.any() else judged.time
    dateless = by_receipt & ~known
    if dateless.any():
        day = np.full(len(judged), NO_DAY, np.int32)
        day[~dateless] = day_numbers(dated[~dateless])
    else:
        day = day_numbers(dated)
    return HeardRows(device, day, judged.verdict, delay, judged.device_ids)


def counted(rows: HeardRows) -> Heard:
    """Reports as counts; those without a device are left out."""
    named = rows.device >= 0
    if not named.all():
        rows = rows.take(named)
    used = np.flatnonzero(np.bincount(rows.device, minlength=len(rows.device_ids)))
    names = sorted((rows.device_ids[code], code) for code in used.tolist())
    rank = np.zeros(len(rows.device_ids), np.int32)
    rank[[code for _, code in names]] = np.arange(len(names))
    device = rank[rows.device]
    at, count = _counted((device, rows.day, rows.verdict, rows.delay))
    return Heard(
        device[at], rows.day[at], rows.verdict[at], rows.delay[at], count, tuple(name for name, _ in names)
    )


def _counted(
    columns: Sequence[NDArray[np.integer]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A row of each combination of values that occurs, in their order, and how often it does."""
    length = len(columns[0])
    if not length:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    key, size = np.zeros(1, np.int64), 1
    for column in reversed(columns):
        low, high = int(column.min()), int(column.max())
        values, width = column.astype(np.int64) - low, high - low + 1
        if size * width > _DENSE:  # of so many combinations few occur
            key, size = _ranked(key, size)
        if size * width > _DENSE:
            values, width = _ranked(values, width)
        key = values * size + key
        size *= width
    if size > _DENSE:
        _, row, count = np.unique(key, return_index=True, return_counts=True)
        return row, count
    every = np.bincount(key)
    present = np.flatnonzero(every)
    row_of = np.empty(len(every), np.int64)
    row_of[key] = np.arange(length)  # any row of a combination will do
    return row_of[present], every[present]


def _ranked(values: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], int]:
    """Values from 0 to ``width`` as their ranks among those that occur, and how many those are."""
    if width > _DENSE:
        found, rank = np.unique(values, return_inverse=True)
        return rank, len(found)
    present = np.zeros(width, np.bool_)
    present[values] = True
    rank = np.cumsum(present) - 1
    return rank[values], int(rank[-1]) + 1
