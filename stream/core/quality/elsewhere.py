"""Whether all positions of a period lie far from every area: then no figure has a share (``Figures.far``).

Of one officer or team it may be true, and counts; of a whole force it is a mistake in coordinates or
boundaries. Positions need only be looked at where nobody is known to have been in any area.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stream.core.calendar import day_bounds, day_numbers, day_of_number
from stream.core.quality.tracks import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.slices import Slices

Positions = tuple["NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.float64]"]
"""``(time, lon, lat)`` of positions of any devices: microseconds and degrees."""


def in_force(versions: Sequence[tuple[int, AreaSet]], start: int, end: int) -> list[tuple[int, AreaSet]]:
    """The versions of the boundaries in force at any time of a period, oldest first."""
    opens = [time for time, _ in versions]
    return [
        (time, found)
        for (time, found), closes in zip(versions, [*opens[1:], end], strict=False)
        if time < end and (closes > start or time == opens[-1])
    ]


def extent_of(versions: Sequence[tuple[int, AreaSet]], start: int, end: int) -> Extent | None:
    """The box of all areas in force at any time of a period; None where there are none."""
    return Extent.of(item for _, item in in_force(versions, start, end))


def anywhere(slices: Slices, places: Sequence[Place], start: int, end: int) -> bool:
    """Whether any slice of a period lies in any area."""
    return bool((_inside(slices, places) & (slices.start < end) & (slices.end > start)).any())


def all_far(positions: Positions, extent: Extent | None, start: int, end: int) -> bool:
    """Whether there are positions in a period, and none of them lies near an area.

    Args:
        positions: all of the period, perhaps with others.
        extent: the box of the areas in force in it.
        start: microseconds since 1970.
        end: exclusive.
    """
    time, lon, lat = positions
    mine = (time >= start) & (time < end)
    return extent is not None and bool(mine.any()) and not extent.is_near(lon[mine], lat[mine]).any()


def days_nowhere(slices: Slices, places: Sequence[Place], until: int) -> list[tuple[int, int]]:
    """The local days up to a time on which there are slices, or others between, and none lies in any area.

    Returns:
        ``[from, to)`` in microseconds, days that follow each other as one.
    """
    begun = slices.start < until
    if not begun.any():
        return []
    ends = np.minimum(slices.end, until) - 1
    first, last = day_numbers(np.array([slices.start.min(), ends[begun].max()], np.int64)).tolist()
    known = np.zeros(last - first + 2, np.int64)
    inside = begun & _inside(slices, places)
    np.add.at(known, day_numbers(slices.start[inside]) - first, 1)
    np.add.at(known, day_numbers(ends[inside]) - first + 1, -1)
    found: list[tuple[int, int]] = []
    for day in np.flatnonzero(np.cumsum(known)[:-1] == 0).tolist():
        start, end = day_bounds(day_of_number(first + day))
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found


def _inside(slices: Slices, places: Sequence[Place]) -> NDArray[np.bool_]:
    """Which slices lie in any area; behind the last place is that of ``UNKNOWN``."""
    area = np.array([*(any(place[:3]) for place in places), False], np.bool_)
    found: NDArray[np.bool_] = area[slices.place]
    return found
