"""How far the counting is: the offsets that are settled, the positions, and the days that are counted.

Reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    [(count,)] = connection.execute("select count(*) from fix").fetchall()
    return int(count)


def positions_about(connection: Connection) -> int:
    """The same as the server's own statistics have it, a moment late and without looking at any."""
    [(count,)] = connection.execute(
        "select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables where relname = 'fix'"
    ).fetchall()
    return int(count)


def days(connection: Connection) -> tuple[date, date] | None:
    """The first day, in UTC, that any slice lies in, and the day after the last; None: there is none."""
    [(first, last)] = connection.execute(
        "select min(start_at)::date, max(end_at)::date + 1 from slice"
    ).fetchall()
    return None if first is None else (first, last)
