"""What was heard of each device on each day, kept in the database (rule 22): ``stream.core.quality.heard``.

Whoever adds to it holds ``Lock.HEARD`` to the end of the transaction, in which it also records which messages
it has added: so each message is counted exactly once, however often it came. It never changes a figure.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from stream.core.columns import changes
from stream.core.heard_frames import fresh
from stream.core.quality.heard import NO_DAY, Heard
from stream.store.columns import literal, series_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from stream.core.heard_frames import HeardFrame
    from stream.store.registry import Registry
    from stream.store.schema import Connection

_Frame = TypeVar("_Frame", bound=Sized)

MOST_REPORTS: Final = 300_000
"""About so many reports are counted at once: a count is by device and day, but a report is a row."""

LAST_DAY: Final = 2**31 - 1
"""With ``NO_DAY`` as the first day: every day, and reports whose day is not known."""


def count(connection: Connection, frames: Sequence[HeardFrame], registry: Registry) -> int:
    """Adds what frames tell for the first time, and how far each raw partition is counted with it.

    Args:
        connection: in a transaction that holds ``Lock.HEARD``; the devices of the frames have their rows.
        frames: in the order in which they came.
        registry: knows the devices' keys.

    Returns:
        how many reports were added.
    """
    sources = sorted({span.source for frame in frames for span in frame.spans})
    topics, partitions, incarnations = ([source[at] for source in sources] for at in range(3))
    passed = {
        (topic, partition, incarnation): following
        for topic, partition, incarnation, following in connection.execute(
            "select topic, partition, incarnation, next_offset from heard_offset "
            "join unnest(%s::text[], %s::int[], %s::text[]) w (topic, partition, incarnation) "
            "using (topic, partition, incarnation)",
            [topics, partitions, incarnations],
        )
    }
    parts: list[Heard] = []
    for some in portions(frames, MOST_REPORTS):
        part, reached = fresh(some, passed)
        parts.append(part)
        passed |= reached
    heard = Heard.joined(parts)
    add(connection, heard, registry.devices(connection, heard.device_ids))
    connection.execute(
        "insert into heard_offset (topic, partition, incarnation, next_offset) "
        "select * from unnest(%s::text[], %s::int[], %s::text[], %s::bigint[]) "
        "on conflict (topic, partition, incarnation) do update set next_offset = excluded.next_offset",
        [topics, partitions, incarnations, [passed[source] for source in sources]],
    )
    return int(heard.count.sum())


def portions(frames: Sequence[_Frame], most: int) -> Iterator[Sequence[_Frame]]:
    """Frames in their order, in parts: less than ``most`` reports come before the last frame of each."""
    number = np.cumsum([0, *map(len, frames[:-1])]) // most
    for each in np.unique(number):
        low, high = np.searchsorted(number, [each, each + 1])
        yield frames[low:high]


def add(connection: Connection, heard: Heard, keys: NDArray[np.int32]) -> None:
    """Adds counts to those on record.

    Args:
        connection: in a transaction that holds ``Lock.HEARD``.
        heard: what is added.
        keys: ``int32[len(heard.device_ids)]``, the devices' keys.
    """
    if not len(heard):
        return
    device, day, _ = _rows(heard)
    met = f"unnest({literal(keys[device], 'int4')}, {literal(day, 'int4')}) met (device, day)"
    before = _stored(connection, f"{met} join heard using (device, day)")
    total = Heard.joined([heard, before])
    device, day, bounds = _rows(total)
    rows = (keys[device], day, bounds[:-1] + 1, bounds[1:])
    connection.execute(
        (
            "insert into heard (device, day, verdict, delay, count) "
            "select device, day, verdict[first:last], delay[first:last], count[first:last] "
            f"from unnest({', '.join(literal(column, 'int4') for column in rows)}) "
            "r (device, day, first, last), "
            f"(select {literal(total.verdict, 'int2')}, {literal(total.delay, 'int4')}, "
            f"{literal(total.count)}) every (verdict, delay, count) "
            "on conflict (device, day) do update "
            "set verdict = excluded.verdict, delay = excluded.delay, count = excluded.count"
        ).encode()
    )


def _rows(heard: Heard) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Device and day of each row of the table, and the bounds of what is in it."""
    first = np.flatnonzero(changes(heard.device, heard.day))
    return heard.device[first], heard.day[first], np.append(first, len(heard))


def heard_between(
    connection: Connection, first_day: int, last_day: int, device_ids: Collection[str] | None = None
) -> Heard:
    """What was heard from one local day to another, as far as it is on record.

    Args:
        connection: in whichever transaction it is.
        first_day: days since 1970-01-01; ``NO_DAY`` for reports whose day is not known too.
        last_day: the last one, inclusive; ``LAST_DAY`` for all there is.
        device_ids: of these devices alone; None: of all.
    """
    which = ""
    if device_ids is not None:
        known = connection.execute(
            "select device from device where device_id = any(%s)", [sorted(device_ids)]
        ).fetchall()
        which = f" and device = any({literal(np.array([key for (key,) in known], np.int32), 'int4')})"
    days = f"{max(first_day, NO_DAY)} and {min(last_day, LAST_DAY)}"
    return _stored(connection, f"heard where day between {days}{which}")


def _stored(connection: Connection, source: str) -> Heard:
    """Rows of the table, ``source`` in SQL, as columns."""
    one = "array[cardinality(count)]"
    _, (key, day, verdict, delay, count) = series_out(
        connection,
        f"select row_number() over ()::int4 - 1, array_fill(device, {one}), array_fill(day, {one}), "
        f"verdict, delay, count from {source}",
        ["int4", "int4", "int2", "int4", "int8"],
    )
    found, device = np.unique(key, return_inverse=True)
    # Asked last: whatever has been read has its name by now.
    name_of: dict[int, str] = dict(
        connection.execute(
            "select device, device_id from device where device = any(%s)", [found.tolist()]
        ).fetchall()
    )
    part = Heard(
        device.astype(np.int32),
        day.astype(np.int32),
        verdict.astype(np.int8),
        delay.astype(np.int32),
        count.astype(np.int64),
        tuple(name_of[each] for each in found.tolist()),
    )
    return Heard.joined([part])
