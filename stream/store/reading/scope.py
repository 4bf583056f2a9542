"""Who is outside somebody's scope in a period: the ids and names that they are not to see.

Reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.core.facts import SECOND
from stream.store.reading.instant import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.store.schema import Connection

MARGIN = 86_400 * SECOND
"""Duties that end so long before a period, or begin so long after it, may still be named in its summary."""


def outside(connection: Connection, patches: Sequence[str], start: int, end: int) -> frozenset[str]:
    """Ids and names of officers, duties and devices that no duty in scope has in a period.

    Args:
        connection: to the database.
        patches: duties are in scope whose patch has one of these neighbourhoods; none: no duty is.
        start: microseconds.
        end: exclusive.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for mine, *names in fetch(
        connection,
        "select patch && %s::text[], officer_id, name, duty_id, device_id from duty "
        "join officer using (officer) left join allocation using (duty) left join device using (device) "
        "where duty.start_at < from_us(%s) and coalesce(duty.end_at, 'infinity') > from_us(%s)",
        [list(patches), end + MARGIN, start - MARGIN],
    ):
        found[mine].update(name for name in names if name)
    return frozenset(found[False] - found[True])
