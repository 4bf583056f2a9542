"""Small tools over sorted columns, shared by the other modules.

Pure functions on numpy arrays, nothing of the accounting itself.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from numpy.typing import NDArray


class Columns:
    """A dataclass whose fields are columns of one length; a tuple among them holds the names behind one."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Some of its rows, as numbers or marks."""
        return self._of(lambda name: getattr(self, name)[rows])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of several, one after another; at least one is needed, and all have the same names."""
        return parts[0]._of(lambda name: np.concatenate([getattr(part, name) for part in parts]))

    def _of(self, column: Callable[[str], NDArray[Any]]) -> Self:
        found = ((item.name, getattr(self, item.name)) for item in fields(self))  # type: ignore[arg-type]
        return type(self)(*(value if isinstance(value, tuple) else column(name) for name, value in found))


def in_time_order(key: NDArray[np.integer], time: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stable order by key and time: ``int64[n]``, as ``np.lexsort((time, key))`` gives it.

    Where both fit one number that is sorted, and quickly, since such columns are a few sorted ones joined.
    """
    if not len(key):
        return np.empty(0, np.int64)
    low, high = int(time.min()), int(time.max())
    first, width = int(key.min()), high - low + 1
    if (int(key.max()) - first + 1) * width >= 2**63:
        return np.lexsort((time, key))
    return np.argsort((key.astype(np.int64) - first) * width + (time - low), kind="stable")


def ranges(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All integers of the ranges ``[start[i], end[i])``, one after another.

    Returns:
        ``(row, value)``, both ``int64[sum of the lengths]``: which range, and the integer.
    """
    count = np.maximum(end - start, 0)
    row = np.repeat(np.arange(len(start), dtype=np.int64), count)
    first = np.cumsum(count) - count
    return row, np.arange(len(row), dtype=np.int64) - first[row] + start[row]


def offsets(group: NDArray[np.integer], groups: int) -> NDArray[np.int64]:
    """Where each group starts in a column sorted by group: ``int64[groups + 1]``."""
    return np.searchsorted(group, np.arange(groups + 1)).astype(np.int64)


def search(
    values: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    wanted: NDArray[np.int64],
    *,
    right: bool = False,
) -> NDArray[np.int64]:
    """``searchsorted`` of each wanted value within its own sorted slice ``values[low:high]``.

    Args:
        values: ``int64[m]``, sorted within every slice asked about.
        low: ``int64[n]``, where each slice starts.
        high: ``int64[n]``, where it ends, exclusive.
        wanted: ``int64[n]``.
        right: like numpy's ``side="right"``.

    Returns:
        ``int64[n]``, positions in ``values``.
    """
    low, high = low.copy(), high.copy()
    while True:
        active = np.flatnonzero(low < high)
        if not len(active):
            return low
        middle = (low[active] + high[active]) // 2
        before = values[middle] <= wanted[active] if right else values[middle] < wanted[active]
        low[active] = np.where(before, middle + 1, low[active])
        high[active] = np.where(before, high[active], middle)


def changes(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Whether a row differs from the one before it in any column: ``bool[n]``, the first is True."""
    changed = np.ones(len(columns[0]), np.bool_)
    if len(changed):
        changed[1:] = False
        for column in columns:
            changed[1:] |= column[1:] != column[:-1]
    return changed


def coalesce(
    start: NDArray[np.int64], end: NDArray[np.int64], same: Sequence[NDArray[np.generic]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Joins touching intervals that are alike in all columns of ``same``; empty intervals vanish.

    Args:
        start: sorted within each run of what is alike.
        end: ends, exclusive.
        same: the columns that must agree (the key among them).

    Returns:
        ``(row, start, end)``: for each joined interval a row that it came from, and its bounds.
    """
    kept = np.flatnonzero(start < end)
    first = changes(*(column[kept] for column in same))
    first[1:] |= start[kept][1:] != end[kept][:-1]
    at = np.flatnonzero(first)
    last = np.append(at[1:], len(kept)) - 1 if len(at) else at
    return kept[at], start[kept[at]], end[kept[last]]
