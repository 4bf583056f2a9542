"""What each tracker was seen to do on a local day, as ``quality.csv`` has it (rule 22).

Reads only. What depends on every position is as of the last look (``stream.store.device_days``); bookings,
slices and what was heard are as they are now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geo.matching.history import FOREVER
from stream.core.calendar import day_bounds, day_numbers, day_of_number
from stream.core.facts import SECOND
from stream.core.quality.findings import DEVICE, MEASURES, SCOPES, Examined, QualityFindings, findings
from stream.core.quality.tracks import (
    ANY_DUTY,
    Covered,
    DeviceDays,
    Gaps,
    Held,
    Misplaced,
    Tracked,
    held,
)
from stream.store.columns import literal
from stream.store.heard import heard_between
from stream.store.reading.exports import with_repeats
from stream.store.reading.instant import Numbered, fetch, instant, read_duties, us

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.store.schema import Connection

SEEN: Final = (*MEASURES, "clock_offset")
"""The findings that are told of a device and day."""

COUNTS: Final = "fixes, jumps, intervals, median_ms, p95_ms, near, far, far_m"

LEAST_MARGIN: Final = 86_400 * SECOND
"""Bookings that end so long before a day, or begin so long after it, make no silence of it another one."""


@dataclass(frozen=True, slots=True, eq=False)
class DaySeen:
    """What some devices were seen to do on a day.

    Attributes:
        findings: those of ``SEEN``, as ``quality.csv`` has them.
        far_m: by device, how far the farthest of its positions was that were far from all areas, metres.
        waiting: the devices of which positions came since the last look.
        last: the name of the last device looked at, whether there is anything to tell of it or not.
        more: whether there are devices behind it.
    """

    findings: QualityFindings
    far_m: dict[str, float]
    waiting: frozenset[str]
    last: str
    more: bool


def devices_seen(
    connection: Connection,
    day: int,
    now: int,
    policies: Policies,
    *,
    after: str = "",
    limit: int | None = None,
    patches: Sequence[str] | None = None,
) -> DaySeen:
    """What devices were seen to do on a local day, by name.

    Args:
        connection: outside any transaction; all is read as of one instant.
        day: days since 1970-01-01, local.
        now: everything is counted up to here, microseconds.
        policies: those in force.
        after: only devices whose name comes after this one.
        limit: so many of them; None: all.
        patches: only devices booked that day by a duty whose patch has one of these neighbourhoods; None:
            all, booked or not.
    """
    start, end = day_bounds(day_of_number(day))
    with instant(connection):
        numbered = Numbered.of(connection)
        key_of = _on_record(connection, day, start, end, patches)
        names = sorted(name for name in key_of if name > after)
        more = limit is not None and len(names) > limit
        names = names[:limit]
        keys = [key_of[name] for name in names]
        margin = max(LEAST_MARGIN, *(2 * int(item.max_gap_s * SECOND) for item in policies.policies))
        duties = read_duties(
            connection,
            "duty = any(array(select distinct duty from allocation join duty d using (duty) "
            "where device = any(%s) and d.start_at < from_us(%s) "
            "and d.until_at > from_us(%s)))",
            [keys, end + margin, start - margin],
        )
        keys_of = sorted(duties, key=lambda key: duties[key].duty_id)
        mine = literal(np.array(keys, np.int64), "int4")
        slices = numbered.slices(
            connection,
            keys_of,
            f"duty = any({literal(np.array(keys_of, np.int64), 'int4')}) and device = any({mine}) "
            f"and start_at < from_us({end}) and end_at > from_us({start})",
        )
        heard = heard_between(connection, day, day, names)
        waiting = _waiting(connection, keys)
        days, gaps = _kept(connection, keys, waiting, numbered, day)
    booked_by = [duties[key] for key in keys_of]
    booked, booked_ids = _booked(booked_by, names)
    days = with_repeats(days, heard, numbered.device_ids)
    found = findings(
        Examined(
            booked_by,
            (),
            numbered.device_ids,
            heard,
            Tracked(days, _NOTHING_MISPLACED, _NOTHING_COVERED, gaps),
            booked,
            booked_ids,
            slices,
            {},
            {},
            now,
            policies=policies,
        )
    ).only(*SEEN)
    of_day = found.take((found.scope == SCOPES.index(DEVICE)) & (found.day == day))
    far = {
        numbered.device_ids[device]: metres
        for device, metres in zip(days.device.tolist(), days.far_m.tolist(), strict=True)
        if metres
    }
    waits = frozenset(name for name, key in zip(names, keys, strict=True) if key in waiting)
    return DaySeen(of_day, far, waits, names[-1] if names else after, more)


def kept_days(
    connection: Connection, first: int, last: int, names: Collection[str]
) -> tuple[DeviceDays, tuple[str, ...]]:
    """The days of devices by name, from one local day to another, as of the last look; and their names.

    Args:
        connection: in whichever transaction it is.
        first: days since 1970-01-01.
        last: the last one, inclusive.
        names: of the devices.
    """
    rows = fetch(
        connection,
        f"select device_id, day, {COUNTS} from device_day join device using (device) "
        "where day between %s and %s and device_id = any(%s)",
        [first, last, sorted(names)],
    )
    device_ids = tuple(sorted({row[0] for row in rows}))
    code_of = {name: code for code, name in enumerate(device_ids)}
    return _days([(code_of[name], *others) for name, *others in rows]), device_ids


def day_totals(connection: Connection, now: int) -> tuple[int, int, int, int, int]:
    """Of all devices on the local day of an instant: ``(devices, positions, jumps, far, waiting)``.

    Waiting are the devices of which positions of any day came since the last look.
    """
    [day] = day_numbers(np.array([now], np.int64)).tolist()
    [found] = fetch(
        connection,
        "select count(*), coalesce(sum(fixes), 0)::int8, coalesce(sum(jumps), 0)::int8, "
        "coalesce(sum(far), 0)::int8, (select count(*) from stay_end e "
        "left join device_seen s using (device) where e.newest > coalesce(s.newest, %s) "
        "or e.device in (select device from device_due)) from device_day where day = %s",
        [-FOREVER, day],
    )
    return tuple(found)


def _on_record(
    connection: Connection, day: int, start: int, end: int, patches: Sequence[str] | None
) -> dict[str, int]:
    """The keys by name of the devices that were heard on a day, usably or not, or booked; or of patches."""
    return dict(
        connection.execute(
            "select device_id, device from device where device in ("
            "select device from device_day where day = %(day)s "
            "union select device from heard where day = %(day)s "
            "union select device from allocation a join duty d using (duty) "
            "where d.start_at < from_us(%(end)s) and d.until_at > from_us(%(start)s)) "
            "and (%(patches)s::text[] is null or device in ("
            "select device from allocation a join duty d using (duty) where d.patch && %(patches)s::text[] "
            "and d.start_at < from_us(%(end)s) and d.until_at > from_us(%(start)s)))",
            {
                "day": day,
                "start": start,
                "end": end,
                "patches": None if patches is None else list(patches),
            },
        ).fetchall()
    )


def _booked(duties: Sequence[Duty], names: Collection[str]) -> tuple[Held, tuple[str, ...]]:
    """When the named devices are booked by any duty."""
    booked, booked_ids = held(duties)
    wanted = np.array([name in names for name in booked_ids] or [False], np.bool_)
    return booked.take((booked.duty == ANY_DUTY) & wanted[booked.device]), booked_ids


def _waiting(connection: Connection, keys: Sequence[int]) -> set[int]:
    """Those of the devices of which positions came since the last look."""
    found = connection.execute(
        "select e.device from stay_end e left join device_seen s using (device) where e.device = any(%s) "
        "and (e.newest > coalesce(s.newest, %s) or e.device in (select device from device_due))",
        [list(keys), -FOREVER],
    )
    return {device for (device,) in found}


def _kept(
    connection: Connection, keys: Sequence[int], waiting: Collection[int], numbered: Numbered, day: int
) -> tuple[DeviceDays, Gaps]:
    """What is kept of devices (keys) on a day, and their gaps that touch it.

    Of a device that waits for a look, what follows the last position seen is no gap yet.
    """
    rows = {
        row[0]: row[1:]
        for row in fetch(
            connection,
            f"select device, day, {COUNTS}, {us('first_at')}, {us('last_at')}, gaps from device_day "
            "where day = %s and device = any(%s)",
            [day, list(keys)],
        )
    }
    neighbours = fetch(
        connection,
        f"select w.device, coalesce((select {us('last_at')} from device_day d where d.device = w.device "
        "and day < %s order by day desc limit 1), %s), "
        f"coalesce((select {us('first_at')} from device_day d where d.device = w.device "
        "and day > %s order by day limit 1), %s) from unnest(%s::int[]) w (device)",
        [day, -FOREVER, day, FOREVER, list(keys)],
    )
    gaps: list[tuple[int, int, int]] = []
    for device, before, behind in neighbours:
        inner: list[int] = []
        if device in rows:
            first, last, long = rows[device][-3:]
            inner = [first, *long, last]
        marks = [before, *inner, behind]
        pairs = list(zip(marks[::2], marks[1::2], strict=True))
        if device in waiting and behind == FOREVER:
            pairs[-1] = (pairs[-1][0], pairs[-1][0])
        gaps += [(device, *pair) for pair in pairs]
    table = np.array(gaps, np.int64).reshape(-1, 3)
    table[:, 0] = numbered.devices(table[:, 0])
    order = np.lexsort((table[:, 1], table[:, 0]))
    device, start, end = table[order].T
    numbers = numbered.devices(np.array(list(rows), np.int64)).tolist()
    days = _days([(number, *row[:-3]) for number, row in zip(numbers, rows.values(), strict=True)])
    return days, Gaps(device.astype(np.int32), start.copy(), end.copy())


def _days(rows: Sequence[tuple[Any, ...]]) -> DeviceDays:
    """Rows of device, day and ``COUNTS`` as columns, in order, without repeats."""
    table = sorted(rows)
    device, day, *counts = (np.array([row[at] for row in table], np.int64) for at in range(9))
    fixes, *others = counts
    far_m = np.array([row[9] for row in table], np.float64)
    none = np.zeros(len(table), np.int64)
    jumps, intervals, median_ms, p95_ms, near, far = others
    return DeviceDays(
        device.astype(np.int32),
        day.astype(np.int32),
        *(fixes, none, jumps, intervals, median_ms, p95_ms, near, far, far_m),
    )


_NO_NUMBER: Final = np.empty(0, np.int32)
_NO_TIME: Final = np.empty(0, np.int64)
_NOTHING_MISPLACED: Final = Misplaced(_NO_NUMBER, _NO_NUMBER, _NO_NUMBER.astype(np.int8), _NO_TIME)
_NOTHING_COVERED: Final = Covered(_NO_TIME, _NO_TIME, _NO_TIME, _NO_TIME)
