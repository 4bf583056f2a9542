"""The facts: every fix there is, in column chunks. Whatever reads or writes fixes does it here.

A *run* is what came of one device within one hour of UTC, packed (``packed``). A batch appends its runs to
``fix_open``. An hour that is over is *closed*: its runs become one, in the partition of its day of
``fix_chunk``. A late fix is a run more in ``fix_open`` until its hour is closed again. So the tables that a
batch writes do not grow with the years, and deleting a day is dropping its partition. Days of which there is
too little to be worth a partition (a tracker with a wrong clock makes many) are closed where they are.

An identity stands once in all of them, as the growing ends' locks see to: whoever writes fixes of a device,
or closes its hours, holds it. Every reading is one statement, so that nobody sees an hour between two tables;
and it says between which times it looks, so that no other partition is planned for, opened or locked.
Rows that a program of the version before wrote (``fix_row``) are read as runs, and closed as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psycopg

from geo.matching.history import FOREVER
from stream.core.columns import offsets, ranges
from stream.core.facts import SECOND, Fixes
from stream.store import packed
from stream.store.columns import HEADER, TRAILER, literal
from stream.store.schema import Lock, alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stream.store.schema import Connection

HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR

YEAR: Final = 365 * DAY
FURTHER: Final = 8
"""Of a device that was silent for longer the next fix is looked for so many times as far away, and so on."""

TOGETHER: Final = 200
"""So many devices are read at once where all are."""


def hour_of(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """The beginnings of the hours that times are in, microseconds."""
    return time // HOUR * HOUR


# ── writing, in the transaction that counts ───────────────────────────────────────────────────────────────


def append(connection: Connection, keys: NDArray[np.int32], fixes: Fixes) -> None:
    """Appends fixes that are not stored.

    Args:
        connection: in a transaction that holds the devices' growing ends.
        keys: the devices' database keys, in order.
        fixes: devices are positions in ``keys``; sorted by device and time, one an identity.
    """
    if len(fixes):
        _write(connection, "fix_open", keys[fixes.device], _columns(fixes))


def remove(
    connection: Connection, keys: NDArray[np.int32], device: NDArray[np.integer], time: NDArray[np.int64]
) -> None:
    """Takes fixes away, as better ones are to be stored for their identities (rule 1): their hours open.

    Args:
        connection: in a transaction that holds the devices' growing ends.
        keys: the devices' database keys.
        device: ``int[n]``, positions in ``keys``.
        time: ``int64[n]``.
    """
    if not len(time):
        return
    hours = np.unique(np.stack([keys[device].astype(np.int64), hour_of(time)]), axis=1)
    key, columns = _take(connection, *hours)
    gone = np.stack([keys[device].astype(np.int64), time])
    order = np.lexsort((gone[1], gone[0]))
    kept = ~_among(key, columns[0], *gone[:, order])
    _write(connection, "fix_open", key[kept].astype(np.int32), [column[kept] for column in columns])


def delete(connection: Connection, keys: NDArray[np.integer], hours: NDArray[np.int64]) -> int:
    """Deletes all fixes of hours of devices; gives how many.

    Args:
        connection: in a transaction that holds the devices' growing ends.
        keys: ``int[n]``.
        hours: ``int64[n]``, their beginnings; no pair occurs twice.
    """
    return len(_take(connection, keys.astype(np.int64), hours)[0])


def forget_ends(connection: Connection, keys: NDArray[np.integer], since: int) -> None:
    """Has nothing left of devices that have no fix any more but stays from before a time, microseconds."""
    if not len(keys):
        return
    some = literal(keys, "int4")
    connection.execute(
        f"delete from stay where device = any({some}) and start_at >= from_us(%s)".encode(), [since]
    )
    connection.execute(
        f"update stay set end_at = from_us(%s) where device = any({some}) and end_at > from_us(%s)".encode(),
        [since, since],
    )
    connection.execute(
        "update stay_end e set stays = default, context = '', whole = true, newest = default, "
        f"closed = coalesce((select fix_us(max(end_at)) from stay s where s.device = e.device), {-FOREVER}) "
        f"where device = any({some})".encode()
    )


def _among(
    key: NDArray[np.int64], time: NDArray[np.int64], keys: NDArray[np.int64], times: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of some identities are among others; both sorted by key and time, and each once."""
    joined = np.concatenate([key, keys]), np.concatenate([time, times])
    order = np.lexsort((joined[1], joined[0]))
    same = np.zeros(len(order), np.bool_)
    same[:-1] = (np.diff(joined[0][order]) == 0) & (np.diff(joined[1][order]) == 0)
    found = np.zeros(len(order), np.bool_)
    found[order] = same
    return found[: len(key)]


def _take(
    connection: Connection, keys: NDArray[np.int64], hours: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """Takes all fixes of hours of devices out of the tables: their keys and columns, in order.

    Args:
        connection: in a transaction that holds the devices' growing ends.
        keys: ``int64[n]``.
        hours: ``int64[n]``, their beginnings; no pair occurs twice.
    """
    window, columns = _read(connection, keys, hours, hours + HOUR - 1)
    within = f"unnest({literal(keys, 'int4')}, {literal(hours)}) w (k, hour)"
    for table, least in (("fix_open", -FOREVER), ("fix_chunk", int(hours.min()))):
        connection.execute(
            f"delete from {table} using {within} where device = w.k and at >= w.hour "
            f"and at < w.hour + {HOUR} and at >= {least} and at < {int(hours.max()) + HOUR}".encode()
        )
    connection.execute(
        f"delete from fix_row using {within} where device = w.k and time >= from_us(w.hour) "
        f"and time < from_us(w.hour + {HOUR})".encode()
    )
    order = np.lexsort((columns[0], keys[window]))
    return keys[window][order], [column[order] for column in columns]


def _write(
    connection: Connection, table: str, device: NDArray[np.int32], columns: Sequence[NDArray[Any]]
) -> None:
    """Writes fixes, by device and time, as a run an hour."""
    if not len(device):
        return
    hour = columns[0] // HOUR
    fresh = np.ones(len(device) + 1, np.bool_)
    fresh[1:-1] = (device[1:] != device[:-1]) | (hour[1:] != hour[:-1])
    bounds = np.flatnonzero(fresh)
    runs = packed.pack(columns, bounds)
    head = np.empty(len(runs), _HEAD)
    head["fields"], head["size_device"], head["size_at"], head["size_n"] = 4, 4, 8, 4
    head["device"], head["at"], head["n"] = device[bounds[:-1]], runs.at, runs.count
    head["size"] = np.diff(runs.ends)
    heads, data, ends = head.tobytes(), runs.data.tobytes(), runs.ends.tolist()
    size = _HEAD.itemsize
    parts = [HEADER]
    for number in range(len(runs)):
        parts += (
            heads[number * size : (number + 1) * size],
            data[ends[number] : ends[number + 1]],
        )
    parts.append(TRAILER)
    with connection.cursor().copy(
        f"copy {table} (device, at, n, data) from stdin (format binary)".encode()
    ) as copy:
        copy.write(b"".join(parts))


_HEAD = np.dtype(
    [
        ("fields", ">i2"),
        *(("size_device", ">i4"), ("device", ">i4")),
        *(("size_at", ">i4"), ("at", ">i8")),
        *(("size_n", ">i4"), ("n", ">i4")),
        ("size", ">i4"),
    ]
)
"""A row in binary COPY format, up to its bytes."""


def _columns(fixes: Fixes) -> list[NDArray[Any]]:
    return [fixes.time, fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg]


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


def around(
    connection: Connection,
    keys: NDArray[np.integer],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    *,
    before: int = 0,
    after: int = 0,
    since: int = -FOREVER,
    until: int = FOREVER,
) -> Fixes:
    """The fixes of devices in windows, with the nearest before and behind each, by window and time.

    ``device`` is the number of the window; there are no names.

    Args:
        connection: in whichever transaction it is.
        keys: ``int[n]``, of the devices.
        low: ``int64[n]``, the windows' starts, microseconds.
        high: ``int64[n]``, their ends, which belong to them. One before its start has nothing in it, and what
            is nearest before is before the start, and behind it from the start on.
        before: so many more before each window, as far as there are any.
        after: and so many behind it.
        since: nothing earlier than this is looked for before the windows.
        until: nor anything later behind them.
    """
    edge = np.maximum(high, low - 1)
    begins, ends = hour_of(low), hour_of(np.maximum(high, low)) + HOUR - 1
    parts = [_read(connection, keys, begins, ends)]
    [(window, (time, *_))] = parts
    lacking = before - np.bincount(window[time < low[window]], minlength=len(keys))
    parts += _further(connection, keys, begins, np.where(begins > since, lacking, 0), since, backward=True)
    lacking = after - np.bincount(window[time > edge[window]], minlength=len(keys))
    parts += _further(connection, keys, ends, np.where(ends < until, lacking, 0), until, backward=False)
    window = np.concatenate([part for part, _ in parts])
    columns = [np.concatenate(column) for column in zip(*(found for _, found in parts), strict=True)]
    order = np.lexsort((columns[0], window))
    window, columns = window[order], [column[order] for column in columns]
    time, bounds = columns[0], offsets(window, len(keys))
    first = bounds[:-1] + np.bincount(window[time < low[window]], minlength=len(keys)) - before
    last = bounds[1:] - np.bincount(window[time > edge[window]], minlength=len(keys)) + after
    _, rows = ranges(np.maximum(first, bounds[:-1]), np.minimum(last, bounds[1:]))
    return _fixes(window[rows], [column[rows] for column in columns])


def _further(
    connection: Connection,
    keys: NDArray[np.integer],
    edge: NDArray[np.int64],
    lacking: NDArray[np.int64],
    limit: int,
    *,
    backward: bool,
) -> Iterator[tuple[NDArray[np.int64], list[NDArray[Any]]]]:
    """Fixes before, or behind, what was read of windows, hour by hour and then more at a time.

    Args:
        connection: in whichever transaction it is.
        keys: ``int[n]``, the windows' devices.
        edge: ``int64[n]``, up to where each was read.
        lacking: ``int64[n]``, at least so many are wanted, as far as there are any.
        limit: nothing beyond this is looked for.
        backward: before, or else behind.
    """
    edge, lacking = edge.copy(), lacking.copy()
    within, span = DAY, 0
    while len(some := np.flatnonzero(lacking > 0)):
        nearest = _nearest(connection, keys[some], edge[some], within, backward=backward)
        there = np.abs(nearest) < FOREVER
        left = np.abs(edge[some] - float(limit))
        lacking[some[~there & ((left <= within) | (within == FOREVER))]] = 0
        if not there.all():
            within = FURTHER * within if within < YEAR else FOREVER
        some, nearest = some[there], nearest[there]
        if backward:
            start, end = hour_of(nearest) - span, edge[some] - 1
        else:
            start, end = edge[some] + 1, hour_of(nearest) + HOUR - 1 + span
        window, columns = _read(connection, keys[some], start, end)
        yield some[window], columns
        lacking -= np.bincount(some[window], minlength=len(keys))
        edge[some] = start if backward else end
        lacking[edge <= limit if backward else edge >= limit] = 0
        span = 2 * span + HOUR


def some_by_some(connection: Connection, low: int, high: int) -> Iterator[Fixes]:
    """All fixes of a period, its end included, of some devices after others."""
    found = connection.execute("select device from device order by device").fetchall()
    keys = np.array([key for (key,) in found], np.int32)
    for part in np.split(keys, range(TOGETHER, len(keys), TOGETHER)):
        yield around(connection, part, np.full(len(part), low, np.int64), np.full(len(part), high, np.int64))


def exactly(connection: Connection, keys: NDArray[np.integer], time: NDArray[np.int64]) -> Fixes:
    """The fixes of identities that are stored, by device and time; ``device`` is the position in ``keys``.

    Of a growing end it reads the last run alone.
    """
    if not len(keys):
        return Fixes.none()
    runs = (
        "(select at, n, data from {} where device = w.k and at >= w.hour and at <= w.t and {} "
        "order by at desc limit 1)"
    )
    bound = f"at >= {int(hour_of(time).min())} and at <= {int(time.max())}"
    window, columns = _unpacked(
        connection,
        f"select w.i, r.* from unnest({literal(np.arange(len(keys)), 'int4')}, {literal(keys, 'int4')}, "
        f"{literal(time)}, {literal(hour_of(time))}) w (i, k, t, hour) cross join lateral ("
        f"{runs.format('fix_open', 'true')} union all {runs.format('fix_chunk', bound)} union all "
        "select at, n, data from fix_written(array[w.k], w.t, w.t)) r",
    )
    met = np.flatnonzero(columns[0] == time[window])
    found = _fixes(window[met], [column[met] for column in columns])
    unmet = np.setdiff1d(np.arange(len(keys)), found.device)
    if len(unmet):  # what came late begins behind the run that it is in
        others = around(connection, keys[unmet], time[unmet], time[unmet])
        found = _joined(found, _fixes(unmet[others.device], _columns(others)))
    return found.take(np.argsort(found.device, kind="stable"))


def any_within(
    connection: Connection, keys: NDArray[np.integer], low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether devices have any fix within windows, their ends exclusive: ``bool[n]``."""
    found = np.zeros(len(keys), np.bool_)
    if not len(keys):
        return found
    least, most = int(low.min()), int(high.max())
    rows = connection.execute(
        f"select i from unnest({literal(np.arange(len(keys)), 'int4')}, {literal(keys, 'int4')}, "
        f"{literal(low)}, {literal(high)}) w (i, k, low, high) where "
        "exists (select from fix_open where device = w.k and at >= w.low and at < w.high) or "
        "exists (select from fix_chunk where device = w.k and at >= w.low and at < w.high "
        f"and at >= {least} and at < {most}) or "
        "exists (select from fix_row where device = w.k and time >= from_us(w.low) "
        "and time < from_us(w.high))".encode()
    ).fetchall()
    found[[at for (at,) in rows]] = True
    # Else, what began before the window may reach into it.
    ask = np.flatnonzero(~found & (low % HOUR != 0) & (low < high))
    window, columns = _read(connection, keys[ask], hour_of(low[ask]), low[ask] - 1)
    inside = (columns[0] >= low[ask[window]]) & (columns[0] < high[ask[window]])
    found[ask[window[inside]]] = True
    return found


def heard(connection: Connection, low: int = -FOREVER, high: int = FOREVER) -> NDArray[np.int32]:
    """Keys of the devices that have a fix in a period, its end exclusive, in order."""
    rows = connection.execute("select device from device order by device").fetchall()
    keys = np.array([key for (key,) in rows], np.int32)
    whole = np.full(len(keys), low, np.int64), np.full(len(keys), high, np.int64)
    return keys[any_within(connection, keys, *whole)]


def first_and_last(
    connection: Connection, keys: NDArray[np.integer], low: NDArray[np.int64], high: NDArray[np.int64]
) -> Fixes:
    """The first and the last fix of devices within windows, their ends exclusive, by window and time.

    ``device`` is the number of the window; one fix that is both comes once.
    """
    if not len(keys):
        return Fixes.none()
    bounds = {"since": int(low.min()), "until": int(high.max())}
    first = around(connection, keys, low, low - 1, after=1, **bounds)
    last = around(connection, keys, high, high - 1, before=1, **bounds)
    last = last.take(last.time >= low[last.device])
    first = first.take(first.time < high[first.device])
    joined = _joined(first, last)
    joined = joined.take(np.lexsort((joined.time, joined.device)))
    twice = np.zeros(len(joined), np.bool_)
    twice[1:] = (joined.device[1:] == joined.device[:-1]) & (joined.time[1:] == joined.time[:-1])
    return joined.take(~twice)


def firsts(connection: Connection, keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """Times of the first fixes of devices: ``int64[n]``, ``FOREVER`` where there is none."""
    return _nearest(connection, keys, np.full(len(keys), -FOREVER, np.int64), FOREVER, backward=False)


def span(connection: Connection) -> tuple[int, int] | None:
    """Times between which all fixes lie, microseconds: days of the first, the newest; None: there is none."""
    [(newest,)] = connection.execute("select max(newest) from stay_end").fetchall()
    if newest is None or newest == -FOREVER:
        return None
    days = partitions(connection)
    [(oldest,)] = connection.execute(
        "select least((select min(at) from fix_open), (select fix_us(min(time)) from fix_row))"
    ).fetchall()
    return min([newest, *days, *([] if oldest is None else [int(oldest)])]), int(newest)


def count(connection: Connection) -> int:
    """How many fixes there are."""
    [(found,)] = connection.execute(
        "select (select coalesce(sum(n), 0) from fix_open) + (select coalesce(sum(n), 0) from fix_chunk) "
        "+ (select count(*) from fix_row)"
    ).fetchall()
    return int(found)


def _nearest(
    connection: Connection,
    keys: NDArray[np.integer],
    edge: NDArray[np.int64],
    within: int,
    *,
    backward: bool,
) -> NDArray[np.int64]:
    """The nearest beginning of a run before, or behind, times: ``±FOREVER`` where there is none.

    Args:
        connection: in whichever transaction it is.
        keys: ``int[n]``, of the devices.
        edge: ``int64[n]``, microseconds.
        within: chunks further away are not looked for; ``FOREVER``: all are.
        backward: before, or else behind.
    """
    found = np.full(len(keys), -FOREVER if backward else FOREVER, np.int64)
    if not len(keys):
        return found
    sign, order, best = ("<", "desc", "greatest") if backward else (">", "asc", "least")
    bound = (
        "true"
        if within == FOREVER
        else (f"at >= {int(edge.min()) - within} and at <= {int(edge.max()) + within}")
    )
    rows = connection.execute(
        f"select i, {best}("
        f"(select at from fix_open where device = w.k and at {sign} w.edge order by at {order} limit 1), "
        f"(select at from fix_chunk where device = w.k and at {sign} w.edge and {bound} "
        f"order by at {order} limit 1), "
        f"(select fix_us(time) from fix_row where device = w.k and time {sign} from_us(w.edge) "
        f"order by time {order} limit 1)) from unnest({literal(np.arange(len(keys)), 'int4')}, "
        f"{literal(keys, 'int4')}, {literal(edge)}) w (i, k, edge)".encode()
    ).fetchall()
    for at, time in rows:
        if time is not None:
            found[at] = time
    return found


def _read(
    connection: Connection, keys: NDArray[np.integer], low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """The runs of devices that begin within windows, both ends included: window and columns of each fix."""
    if not len(keys):
        return np.empty(0, np.int64), packed.unpack(packed.Runs.of([], [], []))
    least, most = int(low.min()), int(high.max())
    if least == low.max() and most == high.min() and len(np.unique(keys)) == len(keys):
        # The same stretch of many devices is read as it lies, and not device by device.
        some = literal(keys, "int4")
        which = f"where device = any({some}) and at >= {least} and at <= {most}"
        device, columns = _unpacked(
            connection,
            f"select device, at, n, data from fix_open {which} union all "
            f"select device, at, n, data from fix_chunk {which} union all "
            f"select * from fix_written({some}, {least}, {most})",
        )
        order = np.argsort(keys)
        return order[np.searchsorted(keys[order], device)], columns
    runs = "select at, n, data from {} where device = w.k and at >= w.low and at <= w.high"
    return _unpacked(
        connection,
        f"select w.i, r.* from unnest({literal(np.arange(len(keys)), 'int4')}, {literal(keys, 'int4')}, "
        f"{literal(low)}, {literal(high)}) w (i, k, low, high) cross join lateral ("
        f"{runs.format('fix_open')} union all {runs.format('fix_chunk')} and at >= {least} and at <= {most} "
        "union all select at, n, data from fix_written(array[w.k], w.low, w.high) offset 0) r",
    )


def _unpacked(connection: Connection, query: str) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """What a query for runs gives: a number of whoever asks, then ``at, n, data``."""
    rows = connection.cursor(binary=True).execute(query.encode()).fetchall()
    whose, at, number, data = zip(*rows, strict=True) if rows else ((), (), (), ())
    runs = packed.Runs.of(at, number, data)
    return np.repeat(np.array(whose, np.int64), runs.count), packed.unpack(runs)


def _fixes(device: NDArray[np.integer], columns: Sequence[NDArray[Any]]) -> Fixes:
    time, lon, lat, error_m, speed_mps, heading_deg = columns
    return Fixes(device.astype(np.int32), time, lon, lat, error_m, speed_mps, heading_deg, ())


def _joined(*parts: Fixes) -> Fixes:
    device = np.concatenate([part.device for part in parts])
    columns = zip(*(_columns(part) for part in parts), strict=True)
    return _fixes(device, [np.concatenate(column) for column in columns])


# ── closing hours, a little later ─────────────────────────────────────────────────────────────────────────

LATE: Final = 900 * SECOND
"""An hour of a device is over when the device has reported so long after its end."""

SILENT: Final = 24 * HOUR
"""Of a device that reports no more, when another has reported so long after its end."""

AT_ONCE: Final = 40
"""So many hours of devices are closed in one transaction: their devices wait that long (0.1 s)."""

WORTH: Final = 1000
"""A day has a partition when so many of its fixes wait for one."""

PATIENCE_MS: Final = 200
"""So long whoever makes a partition waits for those who read, and others for it; then it tries later."""


def close_due(
    connection: Connection, most: int | None = None, *, worth: int = WORTH, late: int = LATE
) -> int:
    """Closes the hours that are over; gives how many hours of devices.

    Killed at any instant, what was closed is closed, and no fix is lost or there twice.

    Args:
        connection: outside any transaction.
        most: no more than so many, rounded up to whole transactions; None: all.
        worth: a day with fewer fixes than this waiting gets no partition.
        late: microseconds that a device must have reported after the end of an hour.

    Raises:
        psycopg.Error: the database refused or went away.
    """
    closed = 0
    with alone(connection, Lock.CLOSING):
        while most is None or closed < most:
            before = closed
            due, ready = _due(connection, worth, late)
            for part in np.split(due, range(AT_ONCE, due.shape[1], AT_ONCE), axis=1):
                closed += _close(connection, part, ready)
                if most is not None and closed >= most:
                    break
            if closed == before:
                break
    return closed


def _due(connection: Connection, worth: int, late: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hours of devices to be closed, ``int64[2, n]`` (key and beginning), and days with a partition."""
    found = connection.execute(
        "select d.device, r.hour, r.runs, r.fixes from (select device, "
        f"fix_hour(greatest(newest - {late}, max(newest) over () - {SILENT})) as until from stay_end) d "
        "cross join lateral (select fix_hour(at) as hour, count(*) as runs, sum(n)::bigint as fixes "
        "from fix_open o where o.device = d.device and o.at < d.until group by 1 union all "
        # Of rows of the version before only the first hour of each device: the next comes in the next round.
        "select fix_hour(fix_us(time)), 2, (select count(*) from fix_row h where h.device = d.device "
        f"and h.time < from_us(fix_hour(fix_us(f.time)) + {HOUR})) from (select time from fix_row f "
        "where f.device = d.device order by time limit 1) f where fix_us(time) < d.until) r "
        "order by r.hour, d.device".encode()
    ).fetchall()
    device, hour, runs, fixes = np.array(found, np.int64).reshape(-1, 4).T
    days, day = np.unique(hour // DAY * DAY, return_inverse=True)
    waiting = np.bincount(day, fixes, minlength=len(days))
    ready = np.array(partitions(connection), np.int64)
    wanted = days[(waiting >= worth) & ~np.isin(days, ready)].tolist()
    made = [begins for begins in wanted if _make_partition(connection, begins)]
    ready = np.concatenate([ready, np.array(made, np.int64)])
    some = (runs > 1) | np.isin(days[day], ready)
    return np.unique(np.stack([hour[some], device[some]]), axis=1)[::-1], ready


def partitions(connection: Connection) -> list[int]:
    """The beginnings of the days that have a partition, microseconds."""
    return [
        int(begins)
        for (begins,) in connection.execute(
            "select (regexp_match(pg_get_expr(c.relpartbound, c.oid), '-?[0-9]+'))[1] "
            "from pg_inherits i join pg_class c on c.oid = i.inhrelid "
            "where i.inhparent = 'fix_chunk'::regclass order by 1"
        ).fetchall()
    ]


def _make_partition(connection: Connection, begins: int) -> bool:
    """Makes the partition of a day, unless somebody reads for too long: gives whether it is there.

    It waits for whoever has planned to read without it, and so could miss what is moved there.
    """
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = {PATIENCE_MS}".encode())
            # Made as the owner of the table: the process owns nothing.
            connection.execute("select fix_chunk_day(%s)", [begins])
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _close(connection: Connection, part: NDArray[np.int64], ready: NDArray[np.int64]) -> int:
    """Closes hours of devices in one transaction, but of those that others hold just now; gives how many.

    The same fixes stay stored, and growing ends are locked but not written: so copies of these stay right.
    """
    with connection.transaction():
        found = connection.execute(
            f"select device from stay_end where device = any({literal(np.unique(part[0]), 'int4')}) "
            "order by device for update skip locked".encode()
        ).fetchall()
        part = part[:, np.isin(part[0], [key for (key,) in found])]
        if part.shape[1]:
            key, columns = _take(connection, *part)
            packed_ = np.isin(columns[0] // DAY * DAY, ready)
            for table, which in (("fix_chunk", packed_), ("fix_open", ~packed_)):
                _write(connection, table, key[which].astype(np.int32), [column[which] for column in columns])
    return int(part.shape[1])


# ── deleting, when their time is over ─────────────────────────────────────────────────────────────────────


def size_of(connection: Connection, day: int) -> int:
    """Bytes of the partition of a day, with its index; 0 where there is none."""
    [(found,)] = connection.execute(
        "select coalesce(pg_total_relation_size(to_regclass(%s)), 0)", [_name_of(day)]
    ).fetchall()
    return int(found)


def drop_day(
    connection: Connection,
    day: int,
    device: NDArray[np.int64],
    at: NDArray[np.int64],
    patience_ms: int,
) -> None:
    """Drops the partition of a day, but for some runs, which are open again.

    Args:
        connection: in a transaction.
        day: its beginning, microseconds.
        device: ``int64[n]``, keys, of the runs that stay.
        at: ``int64[n]``, their beginnings.
        patience_ms: so long it waits for whoever reads.

    Raises:
        psycopg.errors.LockNotAvailable: somebody reads for longer; nothing is dropped.
    """
    connection.execute(f"set local lock_timeout = {patience_ms}".encode())
    connection.execute("lock table fix_chunk in access exclusive mode")
    if len(device):
        connection.execute(
            f"insert into fix_open select c.* from fix_chunk c join unnest({literal(device, 'int4')}, "
            f"{literal(at)}) w (d, a) on c.device = w.d and c.at = w.a where c.at >= {day} "
            f"and c.at < {day + DAY}".encode()
        )
    connection.execute("select fix_chunk_drop(%s)", [day])
    connection.execute("set local lock_timeout = default")


def _name_of(day: int) -> str:
    return f"fix_chunk_{np.datetime64(day, 'us').astype('datetime64[D]')}".replace("-", "")


def forget_context(connection: Connection, before: int) -> None:
    """Has no growing end hold a fix from before a time, microseconds: the facts tell what is left.

    Args:
        connection: in a transaction in which nobody counts.
        before: microseconds.
    """
    rows = connection.cursor(binary=True).execute("select device, substr(context, 1, 8) from stay_end")
    some = [key for key, first in rows if first and int.from_bytes(first, "little", signed=True) < before]
    connection.execute("update stay_end set context = '', whole = false where device = any(%s)", [some])


def forget_old_ends(connection: Connection, before: int) -> None:
    """Empties growing ends of which all is from before a time, microseconds, in the same way."""
    connection.execute(
        "update stay_end e set stays = default, context = '', whole = true, closed = coalesce("
        f"(select fix_us(max(end_at)) from stay s where s.device = e.device), {-FOREVER}) "
        f"where stays[cardinality(stays) - 1] <= {before} or (cardinality(stays) = 0 and closed <= {before} "
        f"and closed > {-FOREVER} and newest <= {before})".encode()
    )
