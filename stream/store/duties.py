"""Steps 7 to 9 of a commit: from stays, bookings and states to slices, closed rows and growing ends.

The core counts the slices (``stream.core.slices``); here the duties are found, and slices read and
written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core.shares import TOTALS, totals
from stream.core.slices import Slices, limited, slices
from stream.core.stays import Stays
from stream.core.windows import difference, splice
from stream.store import bookings, doubts, gathering
from stream.store.columns import BinaryColumn
from stream.store.reading import instant
from stream.store.tracks import (
    SLICES,
    STAYS,
    closed,
    concatenate,
    firsts,
    pack,
    pick,
    replace_closed,
    rewrite_ends,
    settled_before,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty, StateReport
    from stream.core.windows import Rows
    from stream.store.desk import Desk
    from stream.store.positions import Moved

PLACE = 5
"""The column of a slice's rows that holds its place."""


@dataclass(frozen=True, slots=True, eq=False)
class TouchedWindows:
    """Duties to be recounted.

    Attributes:
        duties: by key the window's start, its end, and the watermark (microseconds).
        officers: their officers' keys.
        moved: the stays just counted; None where bookings or states changed, and no stays.
        since: no window, and no duty that is counted whole, begins before this.
        again: they are counted again although nothing is known to have changed: what is closed stays closed.
    """

    duties: dict[int, tuple[int, int, int]]
    officers: Collection[int]
    moved: Moved | None
    since: int
    again: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What counting again changed.

    Attributes:
        keys: ``int32[n]``, the duties counted.
        duties: as many.
        gone: rows that are no more; their keys are positions in ``duties``, their places numbers.
        added: rows that were not there.
    """

    keys: NDArray[np.int32]
    duties: list[Duty]
    gone: Rows
    added: Rows


@dataclass(frozen=True, slots=True, eq=False)
class _Booked:
    """All duties of the officers that are touched, and which of them are recounted.

    Attributes:
        keys, duties, officers: of one length, the officers' by key.
        states: the officers'.
        touched: ``int64[n]``, positions of the duties to be recounted.
    """

    keys: NDArray[np.int32]
    duties: list[Duty]
    officers: NDArray[np.int32]
    states: list[StateReport]
    touched: NDArray[np.int64]


# ── which duties, from devices or from bookings ───────────────────────────────────────────────────────────


def touched_by(desk: Desk, moved: Moved, which: NDArray[np.bool_] | None = None) -> TouchedWindows:
    """Step 7: the duties that held the devices, or those chosen, in the windows."""
    keys, window = moved.keys.tolist(), moved.window
    chosen = [True] * len(keys) if which is None else which.tolist()
    since = int(max(window.low.min(initial=FOREVER), -FOREVER))
    desk.refresh_allocations(dict(zip(keys, moved.booked, strict=True)), since)
    windows: dict[int, tuple[int, int, int]] = {}
    officers: set[int] = set()
    for key, low, high, watermark, wanted in zip(
        keys, window.low.tolist(), window.high.tolist(), moved.watermark.tolist(), chosen, strict=True
    ):
        if not wanted:
            continue
        for duty, officer, start, end in desk.booked[key].rows:
            if start < high and end > low:
                known = windows.get(duty, (FOREVER, -FOREVER, FOREVER))
                windows[duty] = (min(known[0], low), max(known[1], high), min(known[2], watermark))
                officers.add(officer)
    return TouchedWindows(windows, officers, moved, since)


def again(desk: Desk, duties: Collection[int], moved: Moved | None) -> TouchedWindows:
    """Step 7 for counting again: whole duties by key, and those that held a device whose stays differ."""
    windows: dict[int, tuple[int, int, int]] = {}
    officers: set[int] = set()
    since = FOREVER
    if moved is not None and moved.differs.any():
        found = touched_by(desk, moved, moved.differs)
        windows |= found.duties
        officers |= set(found.officers)
        since = found.since
    for duty, officer, start in desk.fetch(
        "select duty, officer, (extract(epoch from start_at) * 1000000)::int8 from duty where duty = any(%s)",
        [sorted(duties)],
    ):
        windows[duty] = (-FOREVER, FOREVER, -FOREVER)
        officers.add(officer)
        since = min(since, start)
    return TouchedWindows(windows, officers, moved, since, again=True)


def limit_again(desk: Desk, duties: Collection[int], devices: Collection[int]) -> set[int]:
    """Before duties are counted again: how long each may be is for the policies in force to say (rule 8a).

    Args:
        desk: whose transaction is open.
        duties: keys.
        devices: keys of devices that the transaction will lock.

    Returns:
        keys of the other duties of the same officers that this gives time to, or takes time from.
    """
    connection = desk.connection
    known = instant.read_duties(connection, "duty = any(%s)", [sorted(duties)])
    if all(
        was is now for was, now in zip(known.values(), limited(known.values(), desk.policies), strict=True)
    ):
        return set()
    # The same order of locks as everybody's: devices, then officers, both by key.
    held = connection.execute(
        "select device from allocation where duty = any(%s)", [sorted(duties)]
    ).fetchall()
    connection.execute(
        "select device from stay_end where device = any(%s) order by device for update",
        [sorted({*devices, *(device for (device,) in held)})],
    )
    owners: dict[int, int] = dict(
        connection.execute("select duty, officer from duty where duty = any(%s)", [sorted(duties)]).fetchall()
    )
    bookings.lock_officers(connection, set(owners.values()))
    known = instant.read_duties(connection, "duty = any(%s)", [sorted(duties)])
    others: set[int] = set()
    for key, was, now in zip(known, known.values(), limited(known.values(), desk.policies), strict=True):
        if was is now:
            continue
        connection.execute("update duty set longest_us = %s where duty = %s", [now.longest, key])
        if was.until == now.until:
            continue
        names = sorted({item.device_id for item in now.devices})
        allocated = desk.registry.devices(connection, names).tolist()
        connection.execute("update stay_end set booked = booked + 1 where device = any(%s)", [allocated])
        doubts.mark_sharing(connection, allocated, [was, now])
        bookings.raise_counters(connection, [owners[key]])
        others |= set(
            instant.scalars(
                connection,
                "select duty from duty where officer = %s and start_at < from_us(%s) "
                "and until_at > from_us(%s)",
                [owners[key], max(was.until, now.until), now.start],
            )
        )
    desk.forget_bookings()
    return others - set(duties)


def book(
    desk: Desk,
    changed: Sequence[Duty],
    states: Sequence[StateReport],
    stored: Mapping[str, tuple[int, int, Duty]],
    officers: Mapping[str, int],
) -> TouchedWindows:
    """Step 7 for bookings and states: writes what changed, and gives the duties to be recounted.

    Args:
        desk: whose transaction holds the locks.
        changed: the revisions that count from now on.
        states: new radio states.
        stored: by ``duty_id``, the duty's key, its officer's key, and what counted until now.
        officers: keys by ``officer_id``.
    """
    connection = desk.connection
    affected: dict[int, tuple[int, int]] = {}

    def affect(officer: int, duty: Duty) -> None:
        low, high = affected.get(officer, (FOREVER, -FOREVER))
        affected[officer] = (min(low, duty.start), max(high, duty.until))

    for duty in changed:
        affect(officers[duty.officer_id], duty)
        if known := stored.get(duty.duty_id):
            affect(known[1], known[2])
            if known[1] != officers[duty.officer_id]:
                # Another officer's now: the slices are rewritten under the new name.
                connection.execute("delete from slice where duty = %s", [known[0]])
                connection.execute(
                    "update slice_end set slices = default, settled = default, closed = default "
                    "where duty = %s",
                    [known[0]],
                )
    keyed: dict[int, list[int]] = {}
    for report in states:
        keyed.setdefault(officers[report.officer_id], []).append(report.time)
    touched = affected.keys() | keyed.keys()
    bookings.write_duties(connection, desk.registry, changed, officers)
    bookings.raise_counters(connection, touched)
    desk.forget_bookings()

    windows: dict[int, tuple[int, int, int]] = {}
    revised = {duty.duty_id for duty in changed}
    since = min([low for low, _ in affected.values()] + [report.time for report in states], default=0)
    for officer, copy in bookings.read_officers(connection, touched, since).items():
        low, high = affected.get(officer, (FOREVER, -FOREVER))
        for key, duty in copy.duties.items():
            if duty.duty_id in revised or (duty.start < high and duty.until > low):
                windows[key] = (-FOREVER, FOREVER, -FOREVER)
                continue
            within = [time for time in keyed.get(officer, ()) if duty.is_on(time)]
            if within:
                windows[key] = (min(within), FOREVER, -FOREVER)
    return TouchedWindows(windows, touched, None, min((low for low, _, _ in windows.values()), default=since))


# ── counting them ─────────────────────────────────────────────────────────────────────────────────────────


def count(desk: Desk, windows: TouchedWindows) -> Changes | None:
    """Steps 7 (locks), 8 and 9: recounts the windows' slices; None where there are none."""
    if not windows.duties:
        return None
    counters = bookings.lock_officers(desk.connection, windows.officers)
    doubts.mark_due(desk.connection, windows.duties)
    desk.refresh_officers(counters, windows.since)
    held = [
        (key, duty, officer)
        for officer in sorted(counters)
        for key, duty in desk.officers[officer][1].duties.items()
    ]
    booked = _Booked(
        np.array([key for key, _, _ in held], np.int32),
        [duty for _, duty, _ in held],
        np.array([officer for _, _, officer in held], np.int32),
        [report for officer in sorted(counters) for report in desk.officers[officer][1].states],
        np.array([at for at, (key, _, _) in enumerate(held) if key in windows.duties], np.int64),
    )
    bounds = [windows.duties[key] for key in booked.keys[booked.touched].tolist()]
    low, high, watermark = (np.array([row[column] for row in bounds], np.int64) for column in range(3))
    touched = [booked.duties[at] for at in booked.touched.tolist()]
    stays, names = _stays_for(desk, touched, low, high, windows.moved)
    if windows.moved is None:
        watermark = _newest_starts(touched, stays, names)
    new = _counted(desk, booked, low, high, stays, names)
    return _write(desk, booked, low, high, None if windows.again else watermark, new)


def _counted(
    desk: Desk,
    booked: _Booked,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    stays: Stays,
    names: list[str],
) -> Rows:
    """Step 8: the slices within the windows, as rows whose keys count the duties touched."""
    windows = zip(booked.touched.tolist(), low.tolist(), high.tolist(), strict=True)
    found = slices(
        booked.duties,
        stays,
        names,
        booked.states,
        desk.history.places,
        desk.policies,
        windows={number: (start, end) for number, start, end in windows},
    )
    track = np.full(len(booked.duties), -1, np.int64)
    track[booked.touched] = np.arange(len(booked.touched))
    device = np.append(desk.registry.devices(desk.connection, names), np.int32(-1))[found.device]
    return (
        track[found.duty],
        found.start,
        found.end,
        found.activity.astype(np.int16),
        found.state,
        found.place,
        device,
    )


def _write(
    desk: Desk,
    booked: _Booked,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    watermark: NDArray[np.int64] | None,
    new: Rows,
) -> Changes:
    """Step 9: the new slices are spliced into the old ones, and what changed is written.

    Without a watermark closed rows stay closed, and the growing end stays growing.
    """
    keys = booked.keys[booked.touched]
    found = desk.fetch(
        "select duty, slices, closed, settled from slice_end where duty = any(%s)", [keys.tolist()]
    )
    by_key = {row[0]: row for row in found}
    rows = [by_key[key] for key in keys.tolist()]
    ends = desk.with_numbers(unpack(SLICES, [row[1] for row in rows]), PLACE)
    until = np.array([row[2] for row in rows], np.int64)
    settled = np.concatenate([row[3] for row in rows]).reshape(-1, TOTALS)
    ask = np.flatnonzero((low <= until) & (until > -FOREVER))
    if watermark is None:
        # A closed row may grow again: the growing end shows this, the newest closed end does not.
        first = firsts(ends, len(keys))
        watermark = np.where(first < FOREVER, first, until) + 1
        ask = np.arange(len(keys))
    was = closed(desk.connection, SLICES, keys[ask], low[ask], high[ask])
    was = desk.with_numbers((ask[was[0]], *was[1:]), PLACE)
    with_end = high >= firsts(ends, len(keys))
    with_end |= ~np.isin(np.arange(len(keys)), ends[0])
    old = concatenate(was, pick(ends, with_end[ends[0]]))
    table = splice(old, new, low, high)
    done = settled_before(table, watermark) | ~with_end[table[0]]
    shut, growing = pick(table, done), pick(table, ~done)

    touched = [booked.duties[at] for at in booked.touched.tolist()]
    entire = (low <= -FOREVER) & (high >= FOREVER)
    settled[entire] = 0  # all closed rows are loaded: no old sum is needed
    was_summed = pick(was, ~entire[was[0]])
    settled = settled + _sums(desk, shut, touched) - _sums(desk, was_summed, touched)
    replace_closed(
        desk.connection,
        SLICES,
        keys,
        desk.with_keys(was, PLACE),
        desk.with_keys(shut, PLACE),
        extra=[BinaryColumn("officer", "int4", booked.officers[booked.touched][shut[0]])],
    )
    np.maximum.at(until, shut[0], shut[2])
    # Whoever keeps a copy of the closed rows sees by these numbers that they changed (``reading.screen``).
    gone, added = difference(was, shut)
    moved = np.zeros(len(keys), np.bool_)
    moved[was[0][gone]], moved[shut[0][added]] = True, True
    same = np.array([row[2] for row in rows], np.int64) == until
    same &= (settled == np.concatenate([row[3] for row in rows]).reshape(-1, TOTALS)).all(axis=1)
    until[moved & same] += 1
    texts = pack(desk.with_keys(growing, PLACE), len(keys))
    lines = []
    for at, (key, limit, sums, row) in enumerate(
        zip(keys.tolist(), until.tolist(), settled.tolist(), rows, strict=True)
    ):
        was_text = _array(row[1].tolist())
        text = texts[at] if with_end[at] else was_text
        if (text, limit, sums) != (was_text, row[2], row[3].tolist()):
            lines.append(f"{key}\t{text}\t{limit}\t{_array(sums)}\n")
    rewrite_ends(desk.connection, SLICES, lines, "slices, closed, settled")
    gone, added = difference(old, table)
    return Changes(keys, touched, pick(old, gone), pick(table, added))


def _sums(desk: Desk, rows: Rows, duties: Sequence[Duty]) -> NDArray[np.int64]:
    table = Slices(
        rows[0].astype(np.int32), rows[1], rows[2], rows[3].astype(np.int8), rows[4], rows[5], rows[6]
    )
    return totals(table, duties, desk.history.places, -FOREVER, FOREVER)


def _array(values: Sequence[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"


# ── the stays they are counted from ───────────────────────────────────────────────────────────────────────


def _stays_for(
    desk: Desk,
    duties: Sequence[Duty],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    moved: Moved | None,
) -> tuple[Stays, list[str]]:
    """The stays of all devices allocated in the windows: those just counted, the others' from the tables."""
    wanted: dict[str, tuple[int, int]] = {}
    for duty, start, end in zip(duties, low.tolist(), high.tolist(), strict=True):
        for item in duty.devices:
            known = wanted.get(item.device_id, (FOREVER, -FOREVER))
            wanted[item.device_id] = (
                min(known[0], max(start, duty.start)),
                max(known[1], min(end, duty.until)),
            )
    names = sorted(wanted)
    keys = desk.registry.devices(desk.connection, names)
    opens = np.array([wanted[name][0] for name in names], np.int64)
    closes = np.array([wanted[name][1] for name in names], np.int64)
    rows = STAYS.empty()
    absent = np.ones(len(names), np.bool_)
    if moved is not None:
        track = {key: number for number, key in enumerate(moved.keys.tolist())}
        number = np.array([track.get(key, -1) for key in keys.tolist()], np.int64)
        first = np.append(firsts(moved.stays, len(moved.keys)), FOREVER)
        at_hand = (number >= 0) & np.append(moved.complete, np.False_)[number] & (first[number] <= opens)
        absent = ~at_hand
        name_of = np.full(len(moved.keys), -1, np.int64)
        name_of[number[at_hand]] = np.flatnonzero(at_hand)
        rows = pick(moved.stays, name_of[moved.stays[0]] >= 0)
        rows = (name_of[rows[0]], *rows[1:])
    where = np.flatnonzero(absent)
    rows = concatenate(rows, _stored_stays(desk, keys[where], opens[where], closes[where], where))
    return Stays(rows[0].astype(np.int32), rows[1], rows[2], rows[3]), names


def _stored_stays(
    desk: Desk,
    keys: NDArray[np.int32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    track: NDArray[np.int64],
) -> Rows:
    """Stays from the tables, closed ones only within ``[low, high]``; their keys are those of ``track``."""
    if not len(keys):
        return STAYS.empty()
    found = desk.fetch("select device, stays, closed from stay_end where device = any(%s)", [keys.tolist()])
    by_key = {row[0]: row for row in found}
    ends = unpack(STAYS, [by_key[key][1] for key in keys.tolist()])
    until = np.array([by_key[key][2] for key in keys.tolist()], np.int64)
    ask = np.flatnonzero((until > -FOREVER) & (low <= until))
    shut = closed(desk.connection, STAYS, keys[ask], low[ask], high[ask])
    rows = concatenate((ask[shut[0]], *shut[1:]), ends)
    return desk.with_numbers((track[rows[0]], *rows[1:]), gathering.PLACE)


def _newest_starts(duties: Sequence[Duty], stays: Stays, names: Sequence[str]) -> NDArray[np.int64]:
    """For each duty the start of the newest stay of its devices: nothing before it will grow."""
    newest = np.full(len(names), -FOREVER, np.int64)
    np.maximum.at(newest, stays.device, stays.start)
    number = {name: at for at, name in enumerate(names)}
    return np.array(
        [
            max((int(newest[number[item.device_id]]) for item in duty.devices), default=-FOREVER)
            for duty in duties
        ],
        np.int64,
    )
