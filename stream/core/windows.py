"""Recounts a stretch of a track and puts it back into the rest, for late and repeated facts.

Pure functions on columns. Stays depend on a fix and its neighbours, slices on single instants; so a changed
fact changes a *window* of a track, and nothing outside it. ``rejudged`` finds that window, ``widened`` where
a track has legs that nobody drove, ``splice`` puts
the newly counted rows into the old ones, ``difference`` tells which rows really changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from stream.core.columns import coalesce, in_time_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows: TypeAlias = "tuple[NDArray[Any], ...]"
"""Columns of one table: key, start, end, then values. Keys are small integers, sorted with start."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """For each track of a batch, the part that must be recounted.

    Attributes:
        first: ``int64[tracks]``, row of the first fix to count from.
        last: ``int64[tracks]``, row of the last fix to count to.
        low: ``int64[tracks]``, the window's start, microseconds.
        high: ``int64[tracks]``, its end.
        short: ``bool[tracks]``, too few neighbours were at hand: load more and ask again.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    short: NDArray[np.bool_]


def rejudged(
    bounds: NDArray[np.int64],
    time: NDArray[np.int64],
    ignored: NDArray[np.bool_],
    changed: NDArray[np.bool_],
    more_before: NDArray[np.bool_],
    more_after: NDArray[np.bool_],
) -> Window:
    """The windows in which changed fixes may change stays (rules 3 and 4).

    A changed fix changes whether itself and its two neighbours are jumps; so the nearest fixes that surely
    are what they were, and are not jumps, lie at least two places away. Their own judgement needs one
    neighbour more.

    Args:
        bounds: ``int64[tracks + 1]``, rows of each track's fixes, which are in order.
        time: ``int64[n]`` microseconds.
        ignored: ``bool[n]``, jumps as judged among the fixes at hand.
        changed: ``bool[n]``, new or replaced fixes; at least one a track.
        more_before: ``bool[tracks]``, there may be earlier fixes that are not at hand.
        more_after: ``bool[tracks]``, there may be later ones.
    """
    tracks = len(bounds) - 1
    start, end = bounds[:-1], bounds[1:]
    row = np.arange(len(time), dtype=np.int64)
    track = np.repeat(np.arange(tracks, dtype=np.int64), np.diff(bounds))
    nowhere = np.int64(len(time))
    earliest = np.minimum.reduceat(np.where(changed, row, nowhere), start) if tracks else start
    latest = np.maximum.reduceat(np.where(changed, row, -1), start) if tracks else start

    sure = ~ignored & ((row > start[track]) | ~more_before[track])
    before = np.where(sure & (row <= earliest[track] - 2), row, -1)
    first = np.maximum.reduceat(before, start) if tracks else start
    sure = ~ignored & ((row < end[track] - 1) | ~more_after[track])
    after = np.where(sure & (row >= latest[track] + 2), row, nowhere)
    last = np.minimum.reduceat(after, start) if tracks else start

    at_start, at_end = first < 0, last == nowhere
    short = (at_start & more_before) | (at_end & more_after)
    first = np.where(at_start, start, first)
    last = np.where(at_end, end - 1, last)
    # Before the first fix and after the last one nothing is known.
    return Window(first, last, time[first], time[last], short)


def widened(
    window: Window,
    bounds: NDArray[np.int64],
    time: NDArray[np.int64],
    ignored: NDArray[np.bool_],
    more_before: NDArray[np.bool_],
    more_after: NDArray[np.bool_],
    which: NDArray[np.bool_],
    reach: int,
) -> Window:
    """Windows of tracks with impossible legs, in which changed fixes may change what lies between (rule 4a).

    That is at most ``reach`` long; so nothing farther from the plain window changes, and as much again must
    be at hand to judge what lies in the wider one.

    Args:
        window: as ``rejudged`` gave it for the same fixes.
        bounds: as ``rejudged`` takes them, and so all up to ``more_after``.
        time: ``int64[n]`` microseconds.
        ignored: ``bool[n]``, jumps.
        more_before: ``bool[tracks]``, there may be earlier fixes that are not at hand.
        more_after: ``bool[tracks]``, there may be later ones.
        which: ``bool[tracks]``, those that have, or had, an impossible leg.
        reach: microseconds, the longest ``max_gap_s``.
    """
    start, end = bounds[:-1], bounds[1:]
    row = np.arange(len(time), dtype=np.int64)
    track = np.repeat(np.arange(len(start), dtype=np.int64), np.diff(bounds))
    nowhere = np.int64(len(time))
    sure_before = ~ignored & ((row > start[track]) | ~more_before[track])
    sure_after = ~ignored & ((row < end[track] - 1) | ~more_after[track])

    def back(until: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum.reduceat(np.where(sure_before & (time <= until[track]), row, -1), start)

    def onward(since: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.minimum.reduceat(np.where(sure_after & (time >= since[track]), row, nowhere), start)

    first, last = back(time[window.first] - reach), onward(time[window.last] + reach)
    at_start, at_end = first < 0, last == nowhere
    first, last = np.where(at_start, start, first), np.where(at_end, end - 1, last)
    short = more_before & (at_start | (back(time[first] - reach) < 0))
    short |= more_after & (at_end | (onward(time[last] + reach) == nowhere))
    first, last = np.where(which, first, window.first), np.where(which, last, window.last)
    return Window(first, last, time[first], time[last], window.short | (which & short))


def splice(old: Rows, new: Rows, low: NDArray[np.int64], high: NDArray[np.int64]) -> Rows:
    """Rows with each key's window replaced; rows that touch and are alike are joined.

    Args:
        old: rows that overlap or touch the windows, or lie outside them.
        new: rows within the windows.
        low: ``int64[keys]``, each key's window from.
        high: ``int64[keys]``, to (exclusive).
    """
    key, start, end = old[0], old[1], old[2]
    before = (start, np.minimum(end, low[key]))
    behind = (np.maximum(start, high[key]), end)
    pieces = [(old[0], *before, *old[3:]), (old[0], *behind, *old[3:]), new]
    table = tuple(np.concatenate(columns) for columns in zip(*pieces, strict=True))
    real = table[1] < table[2]
    table = tuple(column[real] for column in table)
    order = in_time_order(table[0], table[1])
    table = tuple(column[order] for column in table)
    row, start, end = coalesce(table[1], table[2], (table[0], *table[3:]))
    return (table[0][row], start, end, *(column[row] for column in table[3:]))


def difference(old: Rows, new: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows of two tables have no equal in the other: ``(gone, added)``, ``bool`` of their lengths.

    In neither table do two rows of a key begin at one time.
    """
    count = len(old[0])
    table = tuple(np.concatenate(columns) for columns in zip(old, new, strict=True))
    order = in_time_order(table[0], table[1])
    alike = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in table:
        alike &= column[order[1:]] == column[order[:-1]]
    paired = np.zeros(len(order), np.bool_)
    paired[order[1:][alike]] = True
    paired[order[:-1][alike]] = True
    return ~paired[:count], ~paired[count:]
