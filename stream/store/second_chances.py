"""What was heard of a report that was rejected at first and is usable after a mend (rule 22).

When it was rejected it was counted as heard and rejected. Sent again and taken, it is not heard a second
time: the one count moves from its reason to the taken ones. Which reports that was done for is on record, so
that it is done once, however often they are sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.quality.heard import TAKEN
from stream.store.columns import literal
from stream.store.schema import Lock, lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stream.store.registry import Registry
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a message first stood.

    Attributes:
        topic: the topic's full name.
        partition: of it.
        offset: in it.
        digest: SHA-256 of the message.
    """

    topic: str
    partition: int
    offset: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class SecondChance:
    """A dead letter that is sent again.

    Attributes:
        stand: where the message first stood.
        reason: why it was rejected.
        device_id: of a position, whose report it is; empty for what is not counted as heard.
        day: the local day it is heard on, days since 1970-01-01.
        delay: from its time to its receipt, as ``rounded_delays`` rounds.
        verdict: the reason's index in ``REASONS``.
        before: days and delays under which the rejected report may have been counted, the likeliest first.
    """

    stand: Stand
    reason: str
    device_id: str = ""
    day: int = 0
    delay: int = 0
    verdict: int = 0
    before: tuple[tuple[int, int], ...] = ()


def heard_up_to(connection: Connection, topic: str, partition: int) -> int:
    """The offset before which the reports of a raw partition are counted as heard."""
    row = connection.execute(
        "select coalesce(max(next_offset), 0) from heard_offset where topic = %s and partition = %s",
        [topic, partition],
    ).fetchone()
    return 0 if row is None else int(row[0])


def known(connection: Connection, stands: Sequence[Stand]) -> set[Stand]:
    """Those of them that were sent again before."""
    return {
        Stand(topic, partition, offset, bytes(digest))
        for topic, partition, offset, digest in connection.execute(
            'select topic, partition, "offset", digest from replayed join unnest(%s::text[], %s::int[], '
            '%s::bigint[], %s::bytea[]) w (topic, partition, "offset", digest) '
            'using (topic, partition, "offset", digest)',
            _columns(stands),
        )
    }


def record(connection: Connection, given: Sequence[SecondChance], registry: Registry, *, by: str) -> int:
    """Puts on record what was sent again, and moves its counts; once for each message.

    Args:
        connection: outside any transaction.
        given: what was sent.
        registry: knows the devices' keys.
        by: who sent it.

    Returns:
        how many were not on record before.
    """
    by_stand = {item.stand: item for item in given}
    names = sorted({item.device_id for item in by_stand.values() if item.device_id})
    keys = dict(zip(names, registry.devices(connection, names).tolist(), strict=True))
    with connection.transaction():
        lock(connection, Lock.HEARD)
        stands = list(by_stand)
        new = [
            by_stand[Stand(topic, partition, offset, bytes(digest))]
            for topic, partition, offset, digest in connection.execute(
                'insert into replayed (topic, partition, "offset", digest, reason, replayed_by) '
                "select * from unnest(%s::text[], %s::int[], %s::bigint[], %s::bytea[], %s::text[]) w "
                "cross join (values (%s::text)) b on conflict do nothing "
                'returning topic, partition, "offset", digest',
                [*_columns(stands), [by_stand[stand].reason for stand in stands], by],
            )
        ]
        _move(connection, [(keys[item.device_id], item) for item in new if item.device_id])
    return len(new)


def _columns(stands: Sequence[Stand]) -> list[list[object]]:
    return [[getattr(stand, name) for stand in stands] for name in ("topic", "partition", "offset", "digest")]


def _move(connection: Connection, items: Sequence[tuple[int, SecondChance]]) -> None:
    """Moves one count of each report from its reason to the taken ones."""
    wanted = {(key, day) for key, item in items for day in (item.day, *(day for day, _ in item.before))}
    rows = _read(connection, wanted)
    for key, item in items:
        for day, delay in item.before:
            counts = rows[key, day]
            if counts.get((item.verdict, delay), 0) > 0:
                counts[item.verdict, delay] -= 1
                break
        counts = rows[key, item.day]
        counts[TAKEN, item.delay] = counts.get((TAKEN, item.delay), 0) + 1
    for (key, day), counts in rows.items():
        left = sorted((pair, count) for pair, count in counts.items() if count > 0)
        if not left:
            connection.execute("delete from heard where device = %s and day = %s", [key, day])
            continue
        columns = [
            [verdict for (verdict, _), _ in left],
            [delay for (_, delay), _ in left],
            [n for _, n in left],
        ]
        connection.execute(
            "insert into heard (device, day, verdict, delay, count) "
            "values (%s, %s, %s::smallint[], %s::int[], %s::bigint[]) on conflict (device, day) do update "
            "set verdict = excluded.verdict, delay = excluded.delay, count = excluded.count",
            [key, day, *columns],
        )


def _read(
    connection: Connection, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], dict[tuple[int, int], int]]:
    """The counts of devices' days, by verdict and delay; a day without any is there too."""
    found: dict[tuple[int, int], dict[tuple[int, int], int]] = {each: {} for each in wanted}
    if not found:
        return found
    device, day = np.array(sorted(found), np.int32).T
    for key, on, verdict, delay, count in connection.execute(
        (
            "select device, day, verdict, delay, count from heard join "
            f"unnest({literal(device, 'int4')}, {literal(day, 'int4')}) w (device, day) using (device, day)"
        ).encode()
    ):
        found[key, on] = {(v, d): n for v, d, n in zip(verdict, delay, count, strict=True)}
    return found
