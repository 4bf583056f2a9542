"""How far the counting is: the offsets that are settled, the positions, and the days that are counted.

Reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.store import chunks

if TYPE_CHECKING:
    from datetime import date

    from stream.store.schema import Connection


def offsets(connection: Connection) -> dict[tuple[str, int, str], int]:
    """The next offset to be counted, by topic, partition and the topic's incarnation."""
    return {
        (topic, partition, incarnation): following
        for topic, partition, incarnation, following in connection.execute(
            "select topic, partition, incarnation, next_offset from frame_offset"
        )
    }


def positions(connection: Connection) -> int:
    """How many positions are counted."""
    return chunks.count(connection)


def days(connection: Connection) -> tuple[date, date] | None:
    """The first day, in UTC, that any slice lies in, and the day after the last; None: there is none."""
    [(first, last)] = connection.execute(
        "select min(start_at)::date, max(end_at)::date + 1 from slice"
    ).fetchall()
    return None if first is None else (first, last)
