"""Steps 7 to 9 of a commit: from stays, bookings and states to slices, closed rows and growing ends.

The core counts the slices (``stream.core.slices``); here the duties are found, and slices read and
written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core.columns import changes, offsets
from stream.core.shares import TOTALS, totals
from stream.core.slices import NO_DEVICE, Slices, limited, planned_slices
from stream.core.stays import Stays
from stream.core.windows import difference, splice
from stream.store import bookings, doubts, gathering
from stream.store.columns import BinaryColumn, parts_of_arrays
from stream.store.desk import SLICE_END, STAMP
from stream.store.reading import instant
from stream.store.tracks import (
    SLICES,
    STAYS,
    Changes,
    closed,
    concatenate,
    firsts,
    from_parts,
    pick,
    replace_closed,
    rewrite_ends,
    rows_of,
    settled_before,
    to_parts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty, StateReport
    from stream.core.slices import Plan
    from stream.core.windows import Rows
    from stream.store.desk import Desk
    from stream.store.positions import Moved

PLACE = 5
"""The column of a slice's rows that holds its place."""


@dataclass(frozen=True, slots=True, eq=False)
class TouchedWindows:
    """Duties to be recounted.

    Attributes:
        keys: ``int64[n]``, rising.
        officers: ``int64[n]``, their officers' keys.
        low: ``int64[n]``, where each window starts, microseconds.
        high: ``int64[n]``, where it ends.
        watermark: ``int64[n]``, nothing that comes in order changes a slice that ends before it.
        moved: the stays just counted; None where bookings or states changed, and no stays.
        since: no window, and no duty that is counted whole, begins before this.
        again: they are counted again although nothing is known to have changed: what is closed stays closed.
    """

    keys: NDArray[np.int64]
    officers: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    watermark: NDArray[np.int64]
    moved: Moved | None
    since: int
    again: bool = False

    @classmethod
    def of(
        cls, rows: NDArray[np.int64], moved: Moved | None, since: int, *, again: bool = False
    ) -> TouchedWindows:
        """Of rows of duty, officer, low, high, watermark: windows of one duty become one."""
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        first = np.flatnonzero(changes(rows[:, 0]))
        duty, officer = rows[first, 0], rows[first, 1]
        if not len(first):
            return cls(duty, officer, duty, duty, duty, moved, since, again)
        low, watermark = (np.minimum.reduceat(rows[:, column], first) for column in (2, 4))
        high = np.maximum.reduceat(rows[:, 3], first)
        return cls(duty, officer, low, high, watermark, moved, since, again)

    def only(self, which: NDArray[np.bool_]) -> TouchedWindows:
        """Some of the duties."""
        return replace(
            self,
            keys=self.keys[which],
            officers=self.officers[which],
            low=self.low[which],
            high=self.high[which],
            watermark=self.watermark[which],
        )


# ── which duties, from devices or from bookings ───────────────────────────────────────────────────────────


def touched_by(desk: Desk, moved: Moved, which: NDArray[np.bool_] | None = None) -> TouchedWindows:
    """Step 7: the duties that held the devices, or those chosen, in the windows."""
    window = moved.window
    since = int(max(window.low.min(initial=FOREVER), -FOREVER))
    return TouchedWindows.of(_held(desk, moved, since, which), moved, since)


def _held(desk: Desk, moved: Moved, since: int, which: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Duties that held devices in their windows, as rows that ``TouchedWindows.of`` takes."""
    desk.refresh_allocations(moved.keys, moved.booked, since)
    device = np.arange(len(moved.keys)) if which is None else np.flatnonzero(which)
    bounds, rows = desk.allocated.part("rows", desk.allocated.find(moved.keys[device]))
    device = np.repeat(device, np.diff(bounds))
    low, high = moved.window.low[device], moved.window.high[device]
    meet = np.flatnonzero((rows["start"] < high) & (rows["end"] > low))
    rows, device = rows[meet], device[meet]
    return np.stack([rows["duty"], rows["officer"], low[meet], high[meet], moved.watermark[device]], axis=1)


def again(desk: Desk, duties: Collection[int], moved: Moved | None) -> TouchedWindows:
    """Step 7 for counting again: whole duties by key, and those that held a device whose stays differ."""
    held = np.empty((0, 5), np.int64)
    since = FOREVER
    if moved is not None and moved.differs.any():
        since = int(max(moved.window.low.min(initial=FOREVER), -FOREVER))
        held = _held(desk, moved, since, moved.differs)
    duty, officer, start = desk.columns(
        f"select duty, officer, {instant.us('start_at')} from duty where duty = any(%s::int4[])",
        [np.array(sorted(duties), np.int64)],
        3,
    )
    endless = np.full(len(duty), FOREVER, np.int64)
    whole = np.stack([duty, officer, -endless, endless, -endless], axis=1)
    since = min(since, int(start.min(initial=FOREVER)))
    return TouchedWindows.of(np.concatenate([whole, held]), moved, since, again=True)


def limit_again(
    desk: Desk, duties: Collection[int], devices: Collection[int]
) -> tuple[set[int], dict[int, Duty]]:
    """Before duties are counted again: how long each may be is for the policies in force to say (rule 8a).

    Args:
        desk: whose transaction is open.
        duties: keys.
        devices: keys of devices that the transaction will lock.

    Returns:
        keys of the other duties of the same officers that this gives time to, or takes time from; and by key,
        as they were, those that count up to somewhere else than before.
    """
    connection = desk.connection
    known = instant.read_duties(connection, "duty = any(%s)", [sorted(duties)])
    if all(
        was is now for was, now in zip(known.values(), limited(known.values(), desk.policies), strict=True)
    ):
        return set(), {}
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
    before: dict[int, Duty] = {}
    for key, was, now in zip(known, known.values(), limited(known.values(), desk.policies), strict=True):
        if was is now:
            continue
        connection.execute("update duty set longest_us = %s where duty = %s", [now.longest, key])
        if was.until == now.until:
            continue
        before[key] = was
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
    return others - set(duties), before


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
                desk.slice_ends.drop(np.array([known[0]]))
    keyed: dict[int, list[int]] = {}
    for report in states:
        keyed.setdefault(officers[report.officer_id], []).append(report.time)
    touched = affected.keys() | keyed.keys()
    bookings.write_duties(connection, desk.registry, changed, officers)
    bookings.raise_counters(connection, touched)

    windows: list[tuple[int, int, int, int, int]] = []
    revised = {duty.duty_id for duty in changed}
    since = min([low for low, _ in affected.values()] + [report.time for report in states], default=0)
    for officer, copy in bookings.read_officers(connection, touched, since).items():
        low, high = affected.get(officer, (FOREVER, -FOREVER))
        for key, duty in copy.duties.items():
            if duty.duty_id in revised or (duty.start < high and duty.until > low):
                windows.append((key, officer, -FOREVER, FOREVER, -FOREVER))
                continue
            within = [time for time in keyed.get(officer, ()) if duty.is_on(time)]
            if within:
                windows.append((key, officer, min(within), FOREVER, -FOREVER))
    rows = np.array(windows, np.int64).reshape(-1, 5)
    return TouchedWindows.of(rows, None, min((row[2] for row in windows), default=since))


# ── counting them ─────────────────────────────────────────────────────────────────────────────────────────


def count(desk: Desk, windows: TouchedWindows) -> Changes | None:
    """Steps 7 (locks), 8 and 9: recounts the windows' slices; None where there are none."""
    if not len(windows.keys):
        return None
    officers, counters = desk.columns(
        "select officer, facts from officer where officer = any(%s::int4[]) order by officer for update",
        [np.unique(windows.officers)],
        2,
    )
    doubts.mark_due(desk.connection, windows.keys)
    desk.refresh_officers(officers, counters, windows.since, windows.keys, windows.officers)
    windows = windows.only(desk.plans.find(windows.keys) >= 0)
    windows = _not_before(desk, windows)
    if not len(windows.keys):
        return None
    desk.busiest = max(desk.busiest, len(windows.keys))
    booked = desk.plan(windows.keys)
    stays, devices = _stays_for(desk, booked, windows)
    if windows.moved is None:
        windows = replace(windows, watermark=_newest_starts(booked, stays))
    return _write(desk, windows, _counted(desk, booked, windows, stays, devices))


def _not_before(desk: Desk, windows: TouchedWindows) -> TouchedWindows:
    """Of duties begun before some facts were deleted, only what is counted from those that are there."""
    if desk.counted_from == -FOREVER:
        return windows
    begun = np.array([desk.duties[key].start for key in windows.keys.tolist()], np.int64)
    early = begun < desk.counted_from
    windows = replace(windows, low=np.where(early, np.maximum(windows.low, desk.counted_from), windows.low))
    return windows.only(windows.low < windows.high)


def _counted(
    desk: Desk, booked: Plan, windows: TouchedWindows, stays: Stays, devices: NDArray[np.int64]
) -> Rows:
    """Step 8: the slices within the windows, as rows whose keys count the duties touched."""
    found = planned_slices(booked, stays, desk.history.places, desk.policies, windows.low, windows.high)
    return (
        found.duty.astype(np.int64),
        found.start,
        found.end,
        found.activity.astype(np.int16),
        found.state,
        found.place,
        np.append(devices, NO_DEVICE).astype(np.int32)[found.device],
    )


def _write(desk: Desk, windows: TouchedWindows, new: Rows) -> Changes:
    """Step 9: the new slices are spliced into the old ones, and what changed is written.

    Where they are counted again closed rows stay closed, and the growing end stays growing.
    """
    keys, low, high, watermark = windows.keys, windows.low, windows.high, windows.watermark
    every = np.arange(len(keys))
    ends, before, settled = _slice_ends(desk, keys)
    until = before.copy()
    ask = np.flatnonzero((low <= until) & (until > -FOREVER))
    if windows.again:
        # A closed row may grow again: the growing end shows this, the newest closed end does not.
        first = firsts(ends, len(keys))
        watermark = np.where(first < FOREVER, first, until) + 1
        ask = every
    was = closed(desk.connection, SLICES, keys[ask], low[ask], high[ask])
    was = desk.with_numbers((ask[was[0]], *was[1:]), PLACE)
    with_end = high >= firsts(ends, len(keys))
    with_end |= ~np.isin(every, ends[0])
    growing_before = pick(ends, with_end[ends[0]])
    old = concatenate(was, growing_before)
    table = splice(old, new, low, high)
    done = settled_before(table, watermark) | ~with_end[table[0]]
    shut, growing = pick(table, done), pick(table, ~done)

    touched = [desk.duties[key] for key in keys.tolist()]
    entire = (low <= -FOREVER) & (high >= FOREVER)
    summed = np.where(entire[:, np.newaxis], 0, settled)  # all closed rows are loaded: no old sum is needed
    was_summed = pick(was, ~entire[was[0]])
    summed = summed + _sums(desk, shut, touched) - _sums(desk, was_summed, touched)
    replace_closed(
        desk.connection,
        SLICES,
        keys,
        desk.with_keys(was, PLACE),
        desk.with_keys(shut, PLACE),
        extra=[BinaryColumn("officer", "int4", windows.officers[shut[0]])],
    )
    np.maximum.at(until, shut[0], shut[2])
    # Whoever keeps a copy of the closed rows sees by these numbers that they changed (``reading.screen``).
    gone, added = difference(was, shut)
    moved = np.zeros(len(keys), np.bool_)
    moved[was[0][gone]], moved[shut[0][added]] = True, True
    until[moved & (until == before) & (summed == settled).all(axis=1)] += 1
    write = (until != before) | (summed != settled).any(axis=1)
    gone, added = difference(growing_before, growing)
    write[growing_before[0][gone]] = write[growing[0][added]] = True
    now = concatenate(growing, pick(ends, ~with_end[ends[0]]))
    _write_ends(desk, np.flatnonzero(write), keys, until, summed, now)
    gone, added = difference(old, table)
    return Changes(keys.astype(np.int32), touched, pick(old, gone), pick(table, added))


def _slice_ends(desk: Desk, keys: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64], NDArray[np.int64]]:
    """Growing ends of duties: their slices, up to when rows are closed, and the sums of these."""
    _, stamps = desk.columns(
        f"select duty, {STAMP} from slice_end where duty = any(%s::int4[]) order by duty", [keys], 2
    )
    stale = keys[~desk.slice_ends.fresh(desk.slice_ends.find(keys), stamps)]
    if len(stale):
        _read_slice_ends(desk, stale)
    at = desk.slice_ends.find(keys)
    head = desk.slice_ends.head(at)
    rows = from_parts(*desk.slice_ends.part("slices", at))
    return rows, np.ascontiguousarray(head["closed"]), np.ascontiguousarray(head["settled"])


def _read_slice_ends(desk: Desk, keys: NDArray[np.int64]) -> None:
    """Copies growing ends."""
    [(stamp, until, settled, size, slices)] = desk.fetch(
        "select array_agg(stamp), array_agg(closed), string_agg(array_send(settled), ''), "
        "array_agg(cardinality(slices)::int8), string_agg(array_send(slices), '') "
        f"from (select *, {STAMP} as stamp from slice_end where duty = any(%s::int4[]) order by duty) e",
        [keys],
    )
    sums = parts_of_arrays(settled, np.full(len(keys), TOTALS, np.int64)).reshape(-1, TOTALS)
    rows = desk.with_numbers(rows_of(SLICES, size, parts_of_arrays(slices, size)), PLACE)
    _keep(desk, keys, stamp, until, sums, rows)


def _keep(
    desk: Desk,
    keys: NDArray[np.int64],
    stamp: NDArray[np.int64] | int,
    until: NDArray[np.int64],
    settled: NDArray[np.int64],
    rows: Rows,
) -> None:
    """Keeps copies of growing ends, as they are in the database; rows with numbers of places."""
    head = np.empty(len(keys), SLICE_END)
    head["stamp"], head["closed"], head["settled"] = stamp, until, settled
    count = np.diff(offsets(rows[0], len(keys)))
    desk.slice_ends.put(keys, head, slices=(count, to_parts(SLICES, rows)))


def _write_ends(
    desk: Desk,
    which: NDArray[np.int64],
    keys: NDArray[np.int64],
    until: NDArray[np.int64],
    settled: NDArray[np.int64],
    rows: Rows,
) -> None:
    """Writes those growing ends that are not what they were."""
    if not len(which):
        return
    number = np.full(len(keys), -1, np.int64)
    number[which] = np.arange(len(which))
    rows = pick(rows, number[rows[0]] >= 0)
    rows = (number[rows[0]], *rows[1:])
    rewrite_ends(
        desk.connection,
        SLICES,
        keys[which],
        desk.with_keys(rows, PLACE),
        {"closed": until[which], "settled": settled[which]},
    )
    _keep(desk, keys[which], desk.stamp(), until[which], settled[which], rows)


def _sums(desk: Desk, rows: Rows, duties: Sequence[Duty]) -> NDArray[np.int64]:
    if not len(rows[0]):
        return np.zeros((len(duties), TOTALS), np.int64)
    table = Slices(
        rows[0].astype(np.int32), rows[1], rows[2], rows[3].astype(np.int8), rows[4], rows[5], rows[6]
    )
    return totals(table, duties, desk.history.places, -FOREVER, FOREVER)


# ── the stays they are counted from ───────────────────────────────────────────────────────────────────────


def _stays_for(desk: Desk, booked: Plan, windows: TouchedWindows) -> tuple[Stays, NDArray[np.int64]]:
    """The stays of all devices allocated in the windows, and the keys behind their numbers.

    Of those just counted they are at hand, of the others in the tables. The devices of ``booked`` become
    these numbers.
    """
    owner = np.repeat(np.arange(len(windows.keys)), np.diff(booked.held_bounds))
    opens = np.maximum(windows.low[owner], booked.held["low"])
    closes = np.minimum(windows.high[owner], booked.held["high"])
    asked = np.flatnonzero(opens < closes)
    devices, number = np.unique(booked.held["device"][asked], return_inverse=True)
    low, high = np.full(len(devices), FOREVER, np.int64), np.full(len(devices), -FOREVER, np.int64)
    np.minimum.at(low, number, opens[asked])
    np.maximum.at(high, number, closes[asked])
    booked.held["device"] = len(devices)  # nothing is asked of the others
    booked.held["device"][asked] = number
    moved = windows.moved
    rows = STAYS.empty()
    absent = np.ones(len(devices), np.bool_)
    if moved is not None:
        at = np.minimum(np.searchsorted(moved.keys, devices), len(moved.keys) - 1)
        at_hand = (moved.keys[at] == devices) & moved.complete[at]
        at_hand &= firsts(moved.stays, len(moved.keys))[at] <= low
        absent = ~at_hand
        name_of = np.full(len(moved.keys), -1, np.int64)
        name_of[at[at_hand]] = np.flatnonzero(at_hand)
        rows = pick(moved.stays, name_of[moved.stays[0]] >= 0)
        rows = (name_of[rows[0]], *rows[1:])
    where = np.flatnonzero(absent)
    if len(where):
        rows = concatenate(rows, _stored_stays(desk, devices[where], low[where], high[where], where))
    return Stays(rows[0].astype(np.int32), rows[1], rows[2], rows[3]), devices


def _stored_stays(
    desk: Desk,
    keys: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    track: NDArray[np.int64],
) -> Rows:
    """Stays from the tables, closed ones only within ``[low, high]``; their keys are those of ``track``."""
    _, stamps, booked = desk.columns(
        f"select device, {STAMP}, booked from stay_end where device = any(%s::int4[]) order by device",
        [keys],
        3,
    )
    ends = gathering.ends_of(desk, keys, stamps, booked)
    ask = np.flatnonzero((ends.closed > -FOREVER) & (low <= ends.closed))
    shut = closed(desk.connection, STAYS, keys[ask], low[ask], high[ask])
    shut = desk.with_numbers((ask[shut[0]], *shut[1:]), gathering.PLACE)
    rows = concatenate(shut, ends.stays)
    return (track[rows[0]], *rows[1:])


def _newest_starts(booked: Plan, stays: Stays) -> NDArray[np.int64]:
    """For each duty the start of the newest stay of its devices: nothing before it will grow."""
    devices = int(max(booked.held["device"].max(initial=0), stays.device.max(initial=0))) + 1
    newest = np.full(devices, -FOREVER, np.int64)
    np.maximum.at(newest, stays.device, stays.start)
    found = np.full(len(booked.start), -FOREVER, np.int64)
    owner = np.repeat(np.arange(len(found)), np.diff(booked.held_bounds))
    np.maximum.at(found, owner, newest[booked.held["device"]])
    return found
