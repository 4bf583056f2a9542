"""Positions of times at which nobody was known to be in any area: does any of them lie near one?

Reads only; what follows is said in ``stream.core.quality.elsewhere``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stream.core.quality import elsewhere
from stream.core.quality.tracks import Extent
from stream.store.columns import copy_out, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.quality.elsewhere import Positions
    from stream.core.slices import Slices
    from stream.store.schema import Connection


def all_far(connection: Connection, extent: Extent | None, start: int, until: int) -> bool:
    """Whether there are positions in a period, and none of anybody lies near any area.

    Every position of the period is looked at only where none lies within the box itself.

    Args:
        connection: in whichever transaction it is.
        extent: the box of the areas in force in the period; None: there are none.
        start: microseconds since 1970.
        until: exclusive.
    """
    if extent is None:
        return False
    [(within,)] = connection.execute(
        "select exists (select from device d cross join lateral (select from fix f "
        "where f.device = d.device and time >= from_us(%s) and time < from_us(%s) "
        "and lon between %s and %s and lat between %s and %s limit 1) found)",
        [start, until, extent.west, extent.east, extent.south, extent.north],
    ).fetchall()
    return not within and elsewhere.all_far(_positions(connection, [(start, until)]), extent, start, until)


def positions_nowhere(
    connection: Connection,
    slices: Slices,
    places: Sequence[Place],
    versions: Sequence[tuple[int, AreaSet]],
    until: int,
) -> Positions:
    """All positions of the local days up to a time on which there are duties and nobody was in any area."""
    known = Extent.of(item for _, item in versions) is not None
    return _positions(connection, elsewhere.days_nowhere(slices, places, until) if known else [])


def _positions(connection: Connection, stretches: Sequence[tuple[int, int]]) -> Positions:
    low, high = np.array(stretches, np.int64).reshape(-1, 2).T
    time, lon, lat = copy_out(
        connection,
        f"select time, lon, lat from unnest({literal(low)}, {literal(high)}) w (low, high) "
        "join fix on time >= from_us(low) and time < from_us(high)",
        ["time", "float8", "float8"],
    )
    return time, lon, lat
