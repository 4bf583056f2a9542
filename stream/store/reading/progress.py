"""How far the counting is: the offsets that are settled, the positions, and the days that are counted.

Reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.store import chunks
from stream.topics import NoLongerHeld

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


def sent(connection: Connection) -> dict[tuple[str, int, str], int]:
    """When the last message counted was sent, microseconds since 1970, by the same; where it is on record."""
    return {
        (topic, partition, incarnation): time_us
        for topic, partition, incarnation, time_us in connection.execute(
            "select topic, partition, incarnation, (extract(epoch from sent_at) * 1000000)::int8 "
            "from frame_offset where sent_at is not null"
        )
    }


def no_longer_held(connection: Connection, days: int) -> list[NoLongerHeld]:
    """What was found in the last days to be deleted from Kafka before it was counted, the latest first."""
    return [
        NoLongerHeld(*row)
        for row in connection.execute(
            "select topic, partition, incarnation, first_offset, next_offset, "
            "(extract(epoch from sent_after) * 1000000)::int8, "
            "(extract(epoch from sent_before) * 1000000)::int8 "
            "from no_longer_held where found_at > now() - make_interval(days => %s) "
            "order by found_at desc, topic, partition, first_offset",
            [days],
        )
    ]


def positions(connection: Connection) -> int:
    """How many positions are counted."""
    return chunks.count(connection)


def days(connection: Connection) -> tuple[date, date] | None:
    """The first day, in UTC, that any slice lies in, and the day after the last; None: there is none."""
    [(first, last)] = connection.execute(
        "select min(start_at)::date, max(end_at)::date + 1 from slice"
    ).fetchall()
    return None if first is None else (first, last)
