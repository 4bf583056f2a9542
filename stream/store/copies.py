"""Copies of rows that a program keeps between transactions, as columns: no Python object per row.

A copy is of one version of its row, known by a stamp; whoever holds the lock that guards the row asks for its
stamp now, and reads again what has another. No SQL is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stream.core.columns import ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST: Final = 400_000
"""The most keys of which copies should be kept: more than a country has at work at once."""

_SPARE: Final = 100_000
"""So many parts that nobody needs any more may lie among the others."""


class Copies:
    """Copies of rows by key: of each a head of fixed size, and any number of parts of one or more kinds.

    Args:
        head: the fields of a head; ``stamp`` is among them, -1 where the copy is not to be used.
        parts: by name, the fields of a part.
    """

    def __init__(self, head: np.dtype[Any], **parts: np.dtype[Any]) -> None:
        self._kinds = {"head": head, **parts}
        self.forget()

    def forget(self) -> None:
        """Drops every copy."""
        self._keys = np.empty(0, np.int64)
        self._head: NDArray[Any] = np.empty(0, self._kinds["head"])
        self._parts = {name: _Parts(kind) for name, kind in self._kinds.items() if name != "head"}

    def __len__(self) -> int:
        return len(self._keys)

    def drop(self, keys: NDArray[np.integer]) -> None:
        """Drops the copies of some keys."""
        at = self.find(keys)
        self._head["stamp"][at[at >= 0]] = -1

    def find(self, keys: NDArray[np.integer]) -> NDArray[np.int64]:
        """Where the copies of keys are: ``int64[n]``, -1 where there is none; good until the next ``put``."""
        if not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found: NDArray[np.int64] = np.where(self._keys[at] == keys, at, -1)
        return found

    def head(self, at: NDArray[np.int64]) -> NDArray[Any]:
        """The heads of copies by where they are; for those that are not there, any: ``fresh`` tells."""
        return self._head[at] if len(self._head) else np.full(len(at), -1).astype(self._head.dtype)

    def fresh(self, at: NDArray[np.int64], stamps: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of those found have these stamps: ``bool[n]``, False where there is no copy."""
        known = at >= 0
        known[known] = self._head["stamp"][at[known]] == stamps[known]
        return known

    def part(self, name: str, at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The parts of copies by where they are: ``(bounds, rows)``, ``int64[n + 1]`` and all of them."""
        return self._parts[name].take(at)

    def put(
        self,
        keys: NDArray[np.integer],
        head: NDArray[Any],
        **parts: tuple[NDArray[np.int64], NDArray[Any]],
    ) -> None:
        """Keeps copies in the place of those there are.

        Args:
            keys: ``int[n]``, rising.
            head: as many.
            parts: of each kind ``(count, rows)``, how many each has, and the rows of all in their order.
        """
        at = self.find(keys)
        new = at < 0
        if new.any():
            where = np.searchsorted(self._keys, keys[new])
            self._keys = np.insert(self._keys, where, keys[new])
            self._head = np.insert(self._head, where, np.zeros(len(where), self._head.dtype))
            for kept in self._parts.values():
                kept.insert(where)
            at = self.find(keys)
        self._head[at] = head
        for name, (count, rows) in parts.items():
            self._parts[name].put(at, count, rows)


class _Parts:
    """One kind of part: where each copy's are in one long array, which is cleared up when it is full."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self._first = np.empty(0, np.int64)
        self._count = np.empty(0, np.int64)
        self._rows: NDArray[Any] = np.empty(0, kind)
        self._used = 0

    def insert(self, where: NDArray[np.int64]) -> None:
        self._first = np.insert(self._first, where, 0)
        self._count = np.insert(self._count, where, 0)

    def take(self, at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        first, count = self._first[at], self._count[at]
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
        return bounds, self._rows[ranges(first, first + count)[1]]

    def put(self, at: NDArray[np.int64], count: NDArray[np.int64], rows: NDArray[Any]) -> None:
        if self._used + len(rows) > len(self._rows):
            self._count[at] = 0
            every = np.arange(len(self._count), dtype=np.int64)
            bounds, kept = self.take(every)
            self._first, self._used = bounds[:-1].copy(), len(kept)
            self._rows = np.empty(2 * (len(kept) + len(rows)) + _SPARE, self._rows.dtype)
            self._rows[: len(kept)] = kept
        self._first[at] = self._used + np.cumsum(count) - count
        self._count[at] = count
        self._rows[self._used : self._used + len(rows)] = rows
        self._used += len(rows)
