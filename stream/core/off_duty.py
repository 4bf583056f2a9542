"""Where devices are outside duties is nobody's business: what may be shown of their tracks.

A device is *on duty* while it is allocated to an officer whose duty counts and who is not signed off (rules 8
and 11). Only that part of a track is shown and exported; the rest is kept for as long as a late booking may
claim it (``stream.store.retention``), and counts for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core.quality.intervals import divided, union
from stream.core.stays import Stays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.core.slices import Slices

    Ints = NDArray[np.int64]


def on_duty(slices: Slices, duties: Sequence[Duty], device_ids: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """When devices are on duty: ``(device, start, end)``, by device and time, without overlaps.

    Args:
        slices: of the duties; they tile them, less the time in which the officer is signed off.
        duties: behind the slices' numbers.
        device_ids: names by number; devices that are not among them are left out.
    """
    numbers = {name: at for at, name in enumerate(device_ids)}
    whose, start, end = union(slices.duty.astype(np.int64), slices.start, slices.end)
    rows = np.array(
        [
            (
                numbers[item.device_id],
                at,
                -FOREVER if item.start is None else item.start,
                FOREVER if item.end is None else item.end,
            )
            for at, duty in enumerate(duties)
            for item in duty.devices
            if item.device_id in numbers
        ],
        np.int64,
    ).reshape(-1, 4)
    first, behind = (np.searchsorted(whose, rows[:, 1], side) for side in ("left", "right"))
    row, _, low, high = divided(rows[:, 2], rows[:, 3], first, behind, start, end)
    return union(rows[row, 0], low, high)


def in_duty(stays: Stays, slices: Slices, duties: Sequence[Duty], device_ids: Sequence[str]) -> Stays:
    """The parts of stays in which their devices are on duty, by device and time.

    Args:
        stays: sorted by device and time.
        slices: as for ``on_duty``.
        duties: likewise.
        device_ids: the names behind the stays' numbers.
    """
    device, low, high = on_duty(slices, duties, device_ids)
    first, behind = (np.searchsorted(device, stays.device, side) for side in ("left", "right"))
    row, _, start, end = divided(stays.start, stays.end, first, behind, low, high)
    real = start < end
    row = row[real]
    return Stays(stays.device[row], start[real], end[real], stays.place[row])
