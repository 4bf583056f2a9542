"""Intervals joined and intersected: as columns by key, and as short lists.

Pure functions of times; nothing of doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core.columns import changes, ranges, search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.int64]
    Interval: TypeAlias = tuple[int, int]


def stretches(key: NDArray[np.int64], start: Ints, end: Ints, gap: Ints) -> tuple[Ints, Ints, Ints]:
    """Intervals joined where less than ``gap`` (of the later one) is between them, by key, in any order."""
    order = np.lexsort((start, key))
    key, start, end, gap = key[order], start[order], end[order], gap[order]
    # How far the intervals of a key have reached: ranks by key and end rise from key to key.
    by_end = np.lexsort((end, key))
    rank = np.empty(len(order), np.int64)
    rank[by_end] = np.arange(len(order))
    reached = end[by_end[np.maximum.accumulate(rank)]] if len(order) else end
    fresh = changes(key)
    between = start[1:] - reached[:-1]
    fresh[1:] |= (between > 0) & (between >= gap[1:])
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(fresh))[: len(first)] - 1
    return key[first], start[first], reached[last]


def union(key: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """The time covered by intervals, by key."""
    return stretches(key, start, end, np.zeros(len(key), np.int64))


def divided(
    start: Ints, end: Ints, low: Ints, high: Ints, of_start: Ints, of_end: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """Intervals divided among sorted disjoint ones.

    Args:
        start: ``int64[n]``, of the intervals.
        end: ``int64[n]``, exclusive.
        low: ``int64[n]``, the first of those among which each is divided.
        high: ``int64[n]``, behind the last of them.
        of_start: ``int64[m]``, of those.
        of_end: ``int64[m]``, exclusive.

    Returns:
        ``(row, at, start, end)``: which interval, which of those, and when both are.
    """
    row, at = ranges(search(of_end, low, high, start, right=True), search(of_start, low, high, end))
    return row, at, np.maximum(start[row], of_start[at]), np.minimum(end[row], of_end[at])


def merged(parts: Iterable[Interval]) -> list[Interval]:
    """Intervals sorted, overlapping and touching ones joined."""
    found: list[Interval] = []
    for low, high in sorted(parts):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found


def common(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """The time in both of two lists of disjoint sorted intervals, in order."""
    found, at = [], 0
    for low, high in one:
        while at < len(other) and other[at][1] <= low:
            at += 1
        more = at
        while more < len(other) and other[more][0] < high:
            found.append((max(low, other[more][0]), min(high, other[more][1])))
            more += 1
    return found


def without(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """The time in the first of two lists of disjoint sorted intervals and not in the second."""
    bounds = [-FOREVER, *(edge for interval in other for edge in interval), FOREVER]
    return common(one, list(zip(bounds[::2], bounds[1::2], strict=True)))
