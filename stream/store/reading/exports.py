"""The tables as columns again: what the database holds, in the core's own forms.

Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.store import areas, bookings
from stream.store.reading.doubtful import doubts_of
from stream.store.reading.instant import Numbered, instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.facts import Duty, StateReport
    from stream.core.quality.doubts import Doubts
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """All stays and slices of the database, as of one instant.

    Attributes:
        device_ids: the names behind the devices' numbers.
        duties: the duties behind the slices' numbers, cancelled ones among them.
        versions: the boundaries by the time from which they are in force, microseconds.
        states: the radio states keyed.
        doubts: the duties' doubtful time, as judged last.
    """

    stays: Stays
    slices: Slices
    device_ids: tuple[str, ...]
    places: Sequence[Place]
    duties: tuple[Duty, ...]
    versions: list[tuple[int, AreaSet]]
    states: tuple[StateReport, ...]
    doubts: Doubts


def derived(connection: Connection) -> Derived:
    """Reads stays and slices, closed and growing, as of one instant."""
    with instant(connection):
        numbered = Numbered.of(connection)
        officers = [key for (key,) in connection.execute("select officer from officer")]
        known = bookings.read_officers(connection, officers, 0)
        keys, duties = bookings.duties_of(known.values())
        return Derived(
            numbered.stays(connection),
            numbered.slices(connection, keys),
            numbered.device_ids,
            numbered.places,
            tuple(duties),
            areas.by_time(connection),
            tuple(report for item in known.values() for report in item.states),
            doubts_of(connection, keys, numbered.device_ids),
        )
