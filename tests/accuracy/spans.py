"""Spans: sets of time as sorted, disjoint, half-open intervals, and the algebra on them.

``int64[n, 2]`` microseconds. Kept apart from the accounting's own tools, so that the truth and the other
methods do not lean on what is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Spans: TypeAlias = NDArray[np.int64]


def spans(rows: Iterable[tuple[int, int]] | NDArray[np.int64] = ()) -> Spans:
    """Any intervals as a set of time: sorted, overlapping and touching ones joined, empty ones dropped."""
    table = np.array(list(rows) if not isinstance(rows, np.ndarray) else rows, np.int64).reshape(-1, 2)
    table = table[table[:, 0] < table[:, 1]]
    if not len(table):
        return table
    table = table[np.argsort(table[:, 0], kind="stable")]
    reach = np.maximum.accumulate(table[:, 1])
    first = np.ones(len(table), np.bool_)
    first[1:] = table[1:, 0] > reach[:-1]
    last = np.append(np.flatnonzero(first)[1:] - 1, len(table) - 1)
    return np.column_stack((table[first, 0], reach[last]))


def covers(some: Spans, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each instant lies in the set: ``bool[n]``."""
    if not len(some):
        return np.zeros(len(times), np.bool_)
    at = np.searchsorted(some[:, 0], times, side="right") - 1
    return np.asarray((at >= 0) & (times < some[np.maximum(at, 0), 1]))


def union(*many: Spans) -> Spans:
    """What lies in at least one of the sets."""
    return spans(np.concatenate([spans(), *many]))


def intersection(one: Spans, other: Spans) -> Spans:
    """What lies in both."""
    return _cells(one, other, both=True)


def difference(one: Spans, other: Spans) -> Spans:
    """What lies in the first and not in the second."""
    return _cells(one, other, both=False)


def _cells(one: Spans, other: Spans, *, both: bool) -> Spans:
    cuts = np.unique(np.concatenate((one.ravel(), other.ravel())))
    kept = covers(one, cuts[:-1]) & (covers(other, cuts[:-1]) == both)
    return spans(np.column_stack((cuts[:-1], cuts[1:]))[kept])


def joined(some: Spans, gap: int) -> Spans:
    """The set with the gaps of at most ``gap`` microseconds between its intervals filled."""
    widened = spans(np.column_stack((some[:, 0], some[:, 1] + gap)))
    return np.column_stack((widened[:, 0], widened[:, 1] - gap))


def length(some: Spans) -> int:
    """Microseconds in the set."""
    return int((some[:, 1] - some[:, 0]).sum())
