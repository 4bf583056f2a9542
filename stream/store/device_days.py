"""What each tracker was seen to do by device and local day, kept in the database (rule 22).

What depends on every position is kept (``device_day``): positions, jumps, intervals, gaps, distances. What
follows from bookings and slices is not, for it is read quickly. Whoever counts pays next to nothing: what
comes in order is seen by the growing end's newest fix, and only days of late facts are marked
(``device_due``). ``examine_due`` looks at whole days a little later, with the functions that files are
examined with, and so keeps exactly what they give.
"""

from __future__ import annotations

import contextlib
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from geo.matching.history import FOREVER
from stream.core.calendar import day_numbers, day_of_number, day_start
from stream.core.columns import offsets, ranges
from stream.core.policy import BEGINNING
from stream.core.quality.tracks import Extent, device_days, long_legs
from stream.store import areas
from stream.store.chunks import around, firsts
from stream.store.columns import literal
from stream.store.policies import in_force
from stream.store.reading.instant import fetch
from stream.store.schema import Lock, alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Fixes
    from stream.core.policy import Policies
    from stream.store.schema import Connection

TOGETHER: Final = 50
"""So many days of devices are looked at in one transaction: a tracker may report each second."""

# ── marks, in the transaction that counts ─────────────────────────────────────────────────────────────────


def mark_late(
    connection: Connection,
    keys: NDArray[np.int32],
    fixes: Fixes,
    changed: NDArray[np.bool_],
    replaced: NDArray[np.bool_],
) -> None:
    """Marks the days that fixes touch which did not come in order.

    Args:
        connection: in the transaction that counts.
        keys: the devices' database keys.
        fixes: new ones among their neighbours, in order; devices are positions in ``keys``.
        changed: ``bool[n]``, those that are new, or better than what was.
        replaced: ``bool[n]``, the latter.
    """
    same = fixes.device[1:] == fixes.device[:-1]
    behind = same & changed[:-1] & ~changed[1:]
    if not behind.any() and not replaced.any():
        return
    late = np.zeros(len(keys), np.bool_)
    late[fixes.device[:-1][behind]] = late[fixes.device[replaced]] = True
    new = changed & late[fixes.device]
    # The leg before a new fix is another one, and both of its neighbours may be jumps now, or none.
    touched = new.copy()
    touched[:-1] |= new[1:] & same
    touched[1:] |= new[:-1] & same
    found = np.unique(np.stack([keys[fixes.device[touched]], day_numbers(fixes.time[touched])]), axis=1)
    _add(connection, *found)


def _add(connection: Connection, keys: NDArray[np.integer], days: NDArray[np.integer]) -> None:
    connection.execute(
        f"insert into device_due (device, day) select * from unnest({literal(keys, 'int4')}, "
        f"{literal(days, 'int4')})".encode()
    )


# ── looking, a little later ───────────────────────────────────────────────────────────────────────────────


def examine_due(connection: Connection, most: int | None = None) -> int:
    """Looks at the days of devices whose facts changed, the newest first; gives at how many.

    Killed at any instant, what was looked at is kept and the rest is still due.

    Args:
        connection: outside any transaction.
        most: no more than so many, rounded up to whole transactions; None: all.

    Raises:
        psycopg.Error: the database refused or went away.
    """
    seen = 0
    with alone(connection, Lock.DEVICE_DAYS):
        with _snapshot(connection):
            _mark_outdated(connection)
            _mark_in_order(connection)
        while most is None or seen < most:
            with _snapshot(connection):
                count = examine_some(connection)
            if not count:
                break
            seen += count
    return seen


@contextlib.contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """A transaction that sees one instant."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        yield


def _mark_in_order(connection: Connection) -> None:
    """Marks the days from the newest fix that was seen to the newest one there is."""
    found = fetch(
        connection,
        "select e.device, coalesce(s.newest, %s), e.newest from stay_end e "
        "left join device_seen s using (device) where e.newest > coalesce(s.newest, %s)",
        [-FOREVER, -FOREVER],
    )
    if not found:
        return
    device, seen, newest = np.array(found, np.int64).T
    never = seen == -FOREVER
    seen[never] = firsts(connection, device[never])
    row, day = ranges(day_numbers(seen).astype(np.int64), day_numbers(newest).astype(np.int64) + 1)
    _add(connection, device[row], day)
    connection.execute(
        f"insert into device_seen (device, newest) select * from unnest({literal(device, 'int4')}, "
        f"{literal(newest)}) on conflict (device) do update set newest = excluded.newest".encode()
    )


def _mark_outdated(connection: Connection) -> None:
    """Marks the days on which boundaries or policies that came into force since may change anything."""
    policies, token = in_force(connection), areas.newest(connection)
    spans = [
        [start, policy.jump_speed_mps, policy.max_gap_s]
        for start, policy in zip(policies.starts, policies.policies, strict=True)
    ]
    before = connection.execute("select areas, box, policies from device_day_basis").fetchone()
    if before is not None and before[0] == token and before[2] == spans:
        return
    box = list(before[1]) if before is not None and before[0] == token else _box(connection)
    if before is not None and before[1] != box:
        # Where all of a day lies near the areas, it still does if they have become more.
        which = "near < fixes" if _within(before[1], box) else "true"
        connection.execute(
            f"insert into device_due select device, day from device_day where {which}".encode()
        )
    if before is not None and before[2] != spans:
        since = _first_difference(before[2], spans)
        first = int(day_numbers(np.array([since], np.int64))[0]) if since > BEGINNING else -(2**31)
        connection.execute(
            "insert into device_due select device, day from device_day where day >= %s", [first]
        )
    connection.execute(
        "insert into device_day_basis (areas, box, policies) values (%s, %s, %s::jsonb) "
        "on conflict (one) do update set areas = excluded.areas, box = excluded.box, "
        "policies = excluded.policies",
        [token, box, msgspec.json.encode(spans).decode()],
    )


def _box(connection: Connection) -> list[float]:
    extent = Extent.of(found for _, found in areas.by_time(connection))
    return [] if extent is None else list(astuple(extent))


def _within(inner: Sequence[float], outer: Sequence[float]) -> bool:
    """Whether one box lies in another; none lies in none, nor has any in it."""
    return bool(inner and outer) and (
        outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]
    )


def _first_difference(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> int:
    """The first time at which two lists of settings by their start differ."""
    starts = sorted({int(item[0]) for item in (*one, *other)})
    for start in starts:
        if _at(one, start) != _at(other, start):
            return start
    return starts[-1]


def _at(spans: Sequence[Sequence[float]], time: int) -> Sequence[float]:
    return [item for item in spans if item[0] <= time][-1][1:]


def examine_some(connection: Connection) -> int:
    """Looks at some days that are due, and takes away what was due by then; gives at how many.

    Args:
        connection: in a transaction that sees one instant.
    """
    due = fetch(
        connection,
        "select distinct day, device from device_due order by day desc, device limit %s",
        [TOGETHER],
    )
    if not due:
        return 0
    day, device = np.array(due, np.int64).T
    basis = connection.execute("select box from device_day_basis").fetchone()
    assert basis is not None
    _keep(connection, device, day, Extent(*basis[0]) if basis[0] else None, in_force(connection))
    connection.execute(
        f"delete from device_due d using unnest({literal(device, 'int4')}, {literal(day, 'int4')}) "
        "w (device, day) where d.device = w.device and d.day = w.day".encode()
    )
    return len(due)


def _keep(
    connection: Connection,
    device: NDArray[np.int64],
    day: NDArray[np.int64],
    extent: Extent | None,
    policies: Policies,
) -> None:
    """Looks at days of devices (keys), and writes what is seen."""
    present, at = np.unique(np.concatenate([day, day + 1]), return_inverse=True)
    midnight = np.array([day_start(day_of_number(number)) for number in present.tolist()], np.int64)[at]
    low, high = midnight[: len(day)], midnight[len(day) :]
    fixes = around(connection, device, low, high - 1, before=1, after=1)
    found, _ = device_days(fixes, extent, policies)
    found = found.take(found.day == day[found.device])  # the neighbours are of other days
    if not len(found):
        return
    inside = np.flatnonzero((fixes.time >= low[fixes.device]) & (fixes.time < high[fixes.device]))
    bounds = offsets(fixes.device[inside], len(day))
    first, last = (inside[bounds[found.device + shift] - shift] for shift in (0, 1))
    legs = long_legs(fixes, policies)
    legs = legs[(fixes.time[legs] >= low[fixes.device[legs]])]
    legs = legs[fixes.time[legs + 1] < high[fixes.device[legs]]]
    gaps = np.stack([fixes.time[legs], fixes.time[legs + 1]], axis=1)
    ends = offsets(fixes.device[legs], len(day))
    connection.execute(
        "insert into device_day (device, day, fixes, jumps, intervals, median_ms, p95_ms, near, far, far_m, "
        "first_at, last_at, gaps) select device, day, fixes, jumps, intervals, median_ms, p95_ms, near, far, "
        "far_m, from_us(first), from_us(last), gaps::bigint[] from unnest(%s::int[], %s::int[], %s::int[], "
        "%s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::float8[], %s::bigint[], "
        "%s::bigint[], %s::text[]) r (device, day, fixes, jumps, intervals, median_ms, p95_ms, near, far, "
        "far_m, first, last, gaps) on conflict (device, day) do update set fixes = excluded.fixes, "
        "jumps = excluded.jumps, intervals = excluded.intervals, median_ms = excluded.median_ms, "
        "p95_ms = excluded.p95_ms, near = excluded.near, far = excluded.far, far_m = excluded.far_m, "
        "first_at = excluded.first_at, last_at = excluded.last_at, gaps = excluded.gaps",
        [
            device[found.device].tolist(),
            *(
                column.tolist()
                for column in (
                    *(found.day, found.fixes, found.jumps, found.intervals, found.median_ms, found.p95_ms),
                    *(found.near, found.far, found.far_m, fixes.time[first], fixes.time[last]),
                )
            ),
            [
                f"{{{','.join(map(str, gaps[ends[at] : ends[at + 1]].ravel().tolist()))}}}"
                for at in found.device.tolist()
            ],
        ],
    )
