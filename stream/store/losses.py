"""What Kafka deleted before it was counted, on record: so that figures say what they lack, also later."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.store.schema import Connection
    from stream.topics import NoLongerHeld


def record(connection: Connection, found: Iterable[NoLongerHeld]) -> None:
    """Puts on record what is missing; what is there already is only widened, and is then found anew."""
    with connection.transaction():
        for item in found:
            connection.execute(
                "insert into no_longer_held as known (topic, partition, incarnation, first_offset, "
                "next_offset, sent_after, sent_before) "
                "values (%s, %s, %s, %s, %s, from_us(%s), from_us(%s)) "
                "on conflict (topic, partition, incarnation, first_offset) do update "
                "set next_offset = excluded.next_offset, sent_before = excluded.sent_before, "
                "found_at = excluded.found_at where known.next_offset < excluded.next_offset",
                [
                    *(item.topic, item.partition, item.incarnation, item.start, item.first),
                    *(item.sent_after, item.sent_before),
                ],
            )
