"""Slices of duties as rows, for tests of what is live: written down one by one, counted as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stream.core.slices import NO_DEVICE, Slices

if TYPE_CHECKING:
    from collections.abc import Sequence


class Row(NamedTuple):
    """A slice of one duty."""

    start: int
    end: int
    activity: int
    state: int
    place: int


def columns(shift: Sequence[Sequence[Row]]) -> Slices:
    """Slices as columns."""
    rows = [(duty, *row) for duty, own in enumerate(shift) for row in own]
    table = np.array(rows, np.int64).reshape(-1, 6)
    return Slices(
        table[:, 0].astype(np.int32),
        table[:, 1].copy(),
        table[:, 2].copy(),
        table[:, 3].astype(np.int8),
        table[:, 4].astype(np.int16),
        table[:, 5].astype(np.int32),
        np.full(len(table), NO_DEVICE, np.int32),
    )
