"""One batch, one transaction: the order of a commit.

Positions:

1. Names become keys; new devices get their rows (committed on their own, harmless if the rest fails).
2. The transaction opens. No boundaries are published until it ends.
3. The devices' growing ends are locked, in the order of their keys.
4. The neighbours of the new fixes are gathered: from the growing end where the new fixes are the newest, from
   the facts where they came late. What is only a repetition falls out here.
5. The core counts the stays of each window anew and splices them into the old ones.
6. Fixes, stays and growing ends are written.
7. The duties to which the devices were allocated in the windows are found; their officers are locked.
8. The core counts the slices of the windows anew and splices them into the old ones.
9. Slices and growing ends are written.
10. The offsets of the frames are recorded, and the transaction commits. Only then is the frame acknowledged.

Bookings and states take the same road from step 7 on, after locking the devices that they allocate. Because
everybody locks devices before officers, and both in the order of their keys, nobody waits in a circle; and
because a booking locks the devices it allocates, a fix is never counted past a booking that is being written.

Killed at any instant, the database holds all of a batch or nothing of it, and the frames come again. A frame
counted twice changes nothing, since facts are sets. Whoever lost a partition and does not know it yet writes
facts all the same, under the same locks: there is no zombie to fear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from geo.history import FOREVER
from stream.columns import offsets, ranges
from stream.facts import Fixes
from stream.shares import totals
from stream.slices import Slices, slices
from stream.stays import Stays, in_order, jumps, legs_to_stays, take
from stream.store import areas, bookings
from stream.store.columns import Column, copy_in, copy_out, literal
from stream.store.registry import Registry
from stream.store.tracks import (
    SLICES,
    STAYS,
    closed,
    concatenate,
    pack,
    pick,
    replace_closed,
    rewrite_ends,
    settled_before,
    unpack,
)
from stream.windows import Rows, Window, rejudged, splice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.history import AreaHistory
    from stream.facts import Duty, StateReport
    from stream.policy import Policies
    from stream.store.schema import Connection

CONTEXT = np.dtype([("time", "<i8"), ("lon", "<f8"), ("lat", "<f8")])
"""A fix in ``stay_end.fixes``."""

NEIGHBOURS = (4, 64, 1_000_000)
"""How many fixes before and after late ones are loaded, until they suffice."""

MARGIN_US = 36 * 3600 * 1_000_000
"""How much further back than asked duties are kept at hand, so that a slightly later fact needs no reading."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a partition of one incarnation of a topic has been counted."""

    topic: str
    partition: int
    incarnation: str
    next_offset: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a batch amounted to.

    Attributes:
        fixes: fixes that were new, or better than the one they replaced.
        repeated: fixes that were known.
        duties: bookings that changed what counts.
        states: states that were new.
    """

    fixes: int = 0
    repeated: int = 0
    duties: int = 0
    states: int = 0


@dataclass(slots=True)
class _Booked:
    """A program's copy of one device's allocations: duty, officer, start, end; complete from ``since`` on."""

    counter: int
    since: int
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """Growing ends of devices, locked.

    Attributes:
        stays: rows with keys 0 … n-1.
        first: ``int64[n]``, start of the first of them, ``FOREVER`` where there is none.
        closed: ``int64[n]``, no closed stay ends after this.
        context: ``CONTEXT[m]``, the last fixes.
        bounds: ``int64[n + 1]``, whose they are.
        whole: ``bool[n]``, whether these are all fixes there are.
        booked: counters of the devices' allocations.
    """

    stays: Rows
    first: NDArray[np.int64]
    closed: NDArray[np.int64]
    context: NDArray[Any]
    bounds: NDArray[np.int64]
    whole: NDArray[np.bool_]
    booked: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class _Changed:
    """Devices whose stays changed, by database key, with the window and the frontier of each."""

    keys: NDArray[np.int32]
    booked: Sequence[int]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    frontier: NDArray[np.int64]


class Ledger:
    """Writes facts and what follows from them, a batch a transaction, over one connection.

    Not for several threads at once. After any exception from the database the copy of keys and bookings is
    dropped, so that the next call starts from what was committed.
    """

    def __init__(self, connection: Connection, policies: Policies) -> None:
        self._connection = connection
        self._policies = policies
        self._registry = Registry()
        self._history: AreaHistory | None = None
        self._areas = ""
        self._booked: dict[int, _Booked] = {}
        self._officers: dict[int, tuple[int, bookings.Officer]] = {}

    # ── the calls ─────────────────────────────────────────────────────────────────────────────────────────

    def positions(self, fixes: Fixes, frames: Iterable[Offset] = ()) -> Counted:
        """Counts fixes, in any order, repeated or not, and records the frames they came from.

        Raises:
            psycopg.Error: the database refused or went away; nothing of the batch is written.
        """
        return self._attempt(lambda: self._positions(fixes, list(frames)))

    def bookings(
        self, duties: Sequence[Duty], states: Sequence[StateReport], frames: Iterable[Offset] = ()
    ) -> Counted:
        """Counts bookings and radio states, in any order, repeated or not.

        Raises:
            psycopg.Error: the database refused or went away; nothing of the batch is written.
        """
        return self._attempt(lambda: self._bookings(duties, states, list(frames)))

    def recount(self, start: int) -> int:
        """Counts all stays and slices from a time on anew from the facts, in the caller's transaction.

        Returns:
            how many devices were looked at.
        """
        self._forget()
        found = self._connection.execute(
            "select distinct device from fix where time >= from_us(%s) order by device", [start]
        ).fetchall()
        keys = np.array([int(str(key)) for (key,) in found], np.int32)
        for part in np.array_split(keys, max(1, len(keys) // 200)):
            if len(part):
                self._count(
                    part, None, np.full(len(part), start, np.int64), np.full(len(part), FOREVER, np.int64)
                )
        return len(keys)

    def passed(self, topic: str, incarnation: str) -> dict[int, int]:
        """The next offset to count of each partition of this incarnation of a topic."""
        found = self._connection.execute(
            "select partition, next_offset from frame_offset where topic = %s and incarnation = %s",
            [topic, incarnation],
        ).fetchall()
        return {int(str(partition)): int(str(offset)) for partition, offset in found}

    # ── shared steps ──────────────────────────────────────────────────────────────────────────────────────

    def _attempt(self, work: Callable[[], Counted]) -> Counted:
        while True:
            try:
                return work()
            except (
                psycopg.errors.DeadlockDetected,
                psycopg.errors.SerializationFailure,
                _DevicesChangedError,
            ):
                self._forget()
            except BaseException:
                self._forget()
                raise

    def _forget(self) -> None:
        self._registry.forget()
        self._history = None
        self._areas = ""
        self._booked.clear()
        self._officers.clear()

    def _open(self) -> AreaHistory:
        """Steps 1 and 2 of every transaction: the boundaries hold still and are the newest."""
        areas.hold(self._connection)
        newest = areas.newest(self._connection)
        if self._history is None or newest != self._areas:
            known = self._history.places if self._history else ()
            places = self._registry.places(self._connection, known)
            self._history, self._areas = areas.history(self._connection, places), newest
        return self._history

    def _record(self, frames: Iterable[Offset]) -> None:
        for item in frames:
            self._connection.execute(
                "insert into frame_offset (topic, partition, incarnation, next_offset) values (%s, %s, %s, %s) "
                "on conflict (topic, partition) do update set incarnation = excluded.incarnation, "
                "next_offset = case when frame_offset.incarnation = excluded.incarnation "
                "then greatest(frame_offset.next_offset, excluded.next_offset) else excluded.next_offset end",
                [item.topic, item.partition, item.incarnation, item.next_offset],
            )

    # ── positions ─────────────────────────────────────────────────────────────────────────────────────────

    def _positions(self, fixes: Fixes, frames: list[Offset]) -> Counted:
        fixes = in_order(fixes)
        present, device = np.unique(fixes.device, return_inverse=True)
        keys = self._registry.devices(
            self._connection, [fixes.device_ids[number] for number in present.tolist()]
        )
        order = np.argsort(keys)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        fixes = Fixes(
            rank[device],
            fixes.time,
            fixes.lon,
            fixes.lat,
            fixes.error_m,
            fixes.speed_mps,
            fixes.heading_deg,
            (),
        )
        fixes = take(fixes, np.lexsort((fixes.time, fixes.device)))
        bounds = offsets(fixes.device, len(keys))
        with self._connection.transaction():
            self._open()
            changed = 0
            if len(fixes):
                changed = self._count(keys[order], fixes, fixes.time[bounds[:-1]], fixes.time[bounds[1:] - 1])
            self._record(frames)
        return Counted(fixes=changed, repeated=len(fixes) - changed)

    def _count(
        self,
        keys: NDArray[np.int32],
        fixes: Fixes | None,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
    ) -> int:
        """Steps 3 to 9: counts the windows that new fixes, or (without fixes) a recount of ``[low, high]``, touch.

        Returns:
            how many fixes were new or better than the ones they replaced.
        """
        ends = self._lock_devices(keys)
        for neighbours in NEIGHBOURS:
            found = self._gather(keys, ends, fixes, low, high, neighbours)
            # A device all of whose fixes are repetitions has nothing to count.
            stir = np.add.reduceat(found.changed, found.bounds[:-1]) > 0 if len(keys) else np.empty(0, bool)
            if not stir.all():
                row = stir[found.fixes.device]
                keys, low, high = keys[stir], low[stir], high[stir]
                renumber = np.cumsum(stir, dtype=np.int32) - 1
                if fixes is not None:
                    fixes = take(fixes, stir[fixes.device])
                    fixes = _with_device(fixes, renumber[fixes.device])
                ends = _some_ends(ends, stir)
                inner = take(found.fixes, row)
                found = _Gathered(
                    _with_device(inner, renumber[inner.device]),
                    found.changed[row],
                    found.replaced[row],
                    offsets(renumber[inner.device], len(keys)),
                    found.more_before[stir],
                    found.more_after[stir],
                )
            if not len(keys):
                return 0
            ignored = jumps(found.fixes, self._policies)
            window = rejudged(
                found.bounds, found.fixes.time, ignored, found.changed, found.more_before, found.more_after
            )
            if not window.short.any():
                break
        moved = self._write_stays(keys, ends, found, ignored, window, write_fixes=fixes is not None)
        self._count_slices(self._touched(moved))
        return int(found.changed.sum())

    def _lock_devices(self, keys: NDArray[np.int32]) -> _Ends:
        found: list[tuple[Any, ...]] = (
            self._connection.cursor(binary=True)
            .execute(
                "select stays, fixes, whole, closed, booked from stay_end where device = any(%s) order by device for update",
                [keys.tolist()],
            )
            .fetchall()
        )
        rows = unpack(STAYS, [row[0] for row in found])
        rows = (*rows[:3], self._numbers(rows[3]))
        context = np.frombuffer(b"".join(row[1] for row in found), CONTEXT)
        size = np.array([len(row[1]) // CONTEXT.itemsize for row in found], np.int64)
        return _Ends(
            rows,
            _firsts(rows, len(keys)),
            np.array([row[3] for row in found], np.int64),
            context,
            np.concatenate([np.zeros(1, np.int64), np.cumsum(size)]),
            np.array([row[2] for row in found], np.bool_),
            [row[4] for row in found],
        )

    def _gather(
        self,
        keys: NDArray[np.int32],
        ends: _Ends,
        fixes: Fixes | None,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        neighbours: int,
    ) -> _Gathered:
        """Step 4: the new fixes among their neighbours."""
        tracks = len(keys)
        size = np.diff(ends.bounds)
        filled = size > 0
        last = np.full(tracks, -FOREVER, np.int64)
        last[filled] = ends.context["time"][ends.bounds[1:][filled] - 1]
        oldest = np.full(tracks, FOREVER, np.int64)
        oldest[filled] = ends.context["time"][ends.bounds[:-1][filled]]
        late = low <= last
        if neighbours > NEIGHBOURS[0]:
            late |= filled  # the growing end did not suffice: ask the facts
        more_before, more_after = ~late & ~ends.whole, np.zeros(tracks, np.bool_)

        track = np.repeat(np.arange(tracks, dtype=np.int32), size)
        simple = ~late[track]
        stored = _fixes(
            track[simple],
            ends.context["time"][simple],
            ends.context["lon"][simple],
            ends.context["lat"][simple],
        )
        parts = [stored]
        if late.any():
            where = np.flatnonzero(late)
            until = np.where(high[where] >= oldest[where], FOREVER, high[where])
            known, before, after = self._facts(keys[where], low[where], until, neighbours)
            more_before[where] = before == neighbours
            more_after[where] = after == neighbours
            parts.append(_with_device(known, where[known.device].astype(np.int32)))
        if fixes is None:
            merged = _merge(*parts)
            changed = (merged.time >= low[merged.device]) & (merged.time <= high[merged.device])
            replaced = np.zeros(len(merged), np.bool_)
        else:
            merged, changed, replaced = _overlay(_merge(*parts), fixes)
        return _Gathered(merged, changed, replaced, offsets(merged.device, tracks), more_before, more_after)

    def _facts(
        self, keys: NDArray[np.int32], low: NDArray[np.int64], high: NDArray[np.int64], neighbours: int
    ) -> tuple[Fixes, NDArray[np.int64], NDArray[np.int64]]:
        """Stored fixes of ``[low, high]`` with some before and after; how many before and after."""
        row = "select {}::int2 as side, time, lon, lat, error_m, speed_mps, heading_deg from fix f where f.device = w.k"
        columns = copy_out(
            self._connection,
            f"select w.i, f.* from unnest({literal(np.arange(len(keys)), 'int4')}, {literal(keys, 'int4')}, "
            f"{literal(low)}, {literal(high)}) w (i, k, low, high), lateral ("
            f"({row.format(0)} and time < from_us(w.low) order by time desc limit {neighbours}) union all "
            f"({row.format(1)} and time >= from_us(w.low) and time <= from_us(w.high)) union all "
            f"({row.format(2)} and time > from_us(w.high) order by time limit {neighbours})) f",
            ["int4", "int2", "time", "float8", "float8", "float8", "float4", "float4"],
        )
        track, side = columns[0], columns[1]
        before = np.bincount(track[side == 0], minlength=len(keys))
        after = np.bincount(track[side == 2], minlength=len(keys))
        return _merge(Fixes(track, *columns[2:], ())), before, after

    def _write_stays(
        self,
        keys: NDArray[np.int32],
        ends: _Ends,
        found: _Gathered,
        ignored: NDArray[np.bool_],
        window: Window,
        *,
        write_fixes: bool,
    ) -> _Moved:
        """Steps 5 and 6."""
        history = self._history
        assert history is not None
        _, rows = ranges(window.first, window.last + 1)
        kept = take(found.fixes, rows[~ignored[rows]])
        fresh = legs_to_stays(kept, history, self._policies)
        new: Rows = (fresh.device.astype(np.int64), fresh.start, fresh.end, fresh.place)

        with_end = ~found.more_after | (window.high >= ends.first)
        ask = np.flatnonzero((window.low <= ends.closed) & (ends.closed > -FOREVER))
        was = closed(self._connection, STAYS, keys[ask], window.low[ask], window.high[ask])
        was = (ask[was[0]], *was[1:3], self._numbers(was[3]))
        table = splice(
            concatenate(was, pick(ends.stays, with_end[ends.stays[0]])), new, window.low, window.high
        )

        # The frontier: what comes in order changes nothing before the last fix that surely is no jump.
        row = np.arange(len(found.fixes), dtype=np.int64)
        start, end = found.bounds[:-1], found.bounds[1:]
        track = found.fixes.device
        sure = ~ignored & ((row > start[track]) | ~found.more_before[track]) & (row <= end[track] - 2)
        anchor = np.maximum.reduceat(np.where(sure, row, -1), start)
        frontier = np.where(anchor >= 0, found.fixes.time[anchor], -FOREVER)
        frontier = np.where(found.more_after, window.high, frontier)

        settled = settled_before(table, frontier) | ~with_end[table[0]]
        shut, open_rows = pick(table, settled), pick(table, ~settled)
        if write_fixes:
            self._write_fixes(keys, found)

        def in_keys(rows: Rows) -> Rows:
            return (*rows[:3], self._registry.to_keys(self._connection, history.places, rows[3]))

        replace_closed(self._connection, STAYS, keys, in_keys(was), in_keys(shut))
        until = ends.closed.copy()
        np.maximum.at(until, shut[0], shut[2])
        self._write_ends(keys, ends, found, anchor, with_end, in_keys(open_rows), until)
        return _Moved(keys, ends.booked, window, frontier, table, with_end)

    def _write_fixes(self, keys: NDArray[np.int32], found: _Gathered) -> None:
        better = np.flatnonzero(found.replaced)
        if len(better):
            self._connection.execute(
                f"delete from fix using unnest({literal(keys[found.fixes.device[better]], 'int4')}, "
                f"{literal(found.fixes.time[better])}) w (k, t) where device = w.k and time = from_us(w.t)".encode()
            )
        new = take(found.fixes, found.changed)
        copy_in(
            self._connection,
            "fix",
            [
                Column("device", "int4", keys[new.device]),
                Column("time", "time", new.time),
                Column("lon", "float8", new.lon),
                Column("lat", "float8", new.lat),
                Column("error_m", "float8", new.error_m),
                Column("speed_mps", "float4", new.speed_mps),
                Column("heading_deg", "float4", new.heading_deg),
            ],
        )

    def _write_ends(
        self,
        keys: NDArray[np.int32],
        ends: _Ends,
        found: _Gathered,
        anchor: NDArray[np.int64],
        with_end: NDArray[np.bool_],
        rows: Rows,
        until: NDArray[np.int64],
    ) -> None:
        context = np.empty(len(found.fixes), CONTEXT)
        context["time"], context["lon"], context["lat"] = found.fixes.time, found.fixes.lon, found.fixes.lat
        data, size = context.tobytes(), CONTEXT.itemsize
        texts = pack(rows, len(keys))
        start = np.maximum(np.where(anchor >= 0, anchor - 1, found.bounds[:-1]), found.bounds[:-1])
        whole = (start == found.bounds[:-1]) & ~found.more_before
        old = ends.context.tobytes()
        lines = []
        for number, (key, low, high, closed_until) in enumerate(
            zip(keys.tolist(), start.tolist(), found.bounds[1:].tolist(), until.tolist(), strict=True)
        ):
            if not with_end[number]:
                # Only closed stays before the growing end changed: it stands, and so does the end of the last.
                continue
            if found.more_after[number]:
                piece, all_of_it = (
                    old[ends.bounds[number] * size : ends.bounds[number + 1] * size],
                    ends.whole[number],
                )
            else:
                piece, all_of_it = data[low * size : high * size], whole[number]
            newest = int.from_bytes(piece[-size:][:8], "little", signed=True)
            lines.append(
                f"{key}\t{texts[number]}\t\\\\x{piece.hex()}\t{'t' if all_of_it else 'f'}\t{closed_until}\t{newest}\n"
            )
        rewrite_ends(self._connection, STAYS, lines, "stays, fixes, whole, closed, newest")

    # ── from devices to duties ────────────────────────────────────────────────────────────────────────────

    def _touched(self, moved: _Moved) -> _Windows:
        """Step 7: the duties that held the devices in the windows, and their officers, locked."""
        since = int(max(moved.window.low.min(initial=FOREVER), -FOREVER))
        stale = [
            key
            for key, counter in zip(moved.keys.tolist(), moved.booked, strict=True)
            if (copy := self._booked.get(key)) is None or copy.counter != counter or copy.since > since
        ]
        if stale:
            self._read_allocations(stale, dict(zip(moved.keys.tolist(), moved.booked, strict=True)), since)
        windows: dict[int, tuple[int, int, int]] = {}
        officers: set[int] = set()
        for key, low, high, frontier in zip(
            moved.keys.tolist(),
            moved.window.low.tolist(),
            moved.window.high.tolist(),
            moved.frontier.tolist(),
            strict=True,
        ):
            for duty, officer, start, end in self._booked[key].rows:
                if start < high and end > low:
                    known = windows.get(duty)
                    windows[duty] = (
                        (low, high, frontier)
                        if known is None
                        else (min(known[0], low), max(known[1], high), min(known[2], frontier))
                    )
                    officers.add(officer)
        return _Windows(windows, officers, moved)

    def _read_allocations(self, devices: list[int], counters: Mapping[int, int], since: int) -> None:
        since = max(since - MARGIN_US, -FOREVER) if since > -FOREVER else since
        for key in devices:
            self._booked[key] = _Booked(counters[key], since)
        for device, duty, officer, start, end in self._connection.execute(
            "select a.device, duty, officer, coalesce(a.start_at, d.start_at), coalesce(a.end_at, d.end_at) "
            "from allocation a join duty d using (duty) where a.device = any(%s) and not cancelled "
            "and (d.end_at is null or d.end_at > from_us(%s))",
            [devices, since],
        ).fetchall():
            rows = self._booked[int(str(device))].rows
            until = FOREVER if end is None else areas._us(end)
            rows.append((int(str(duty)), int(str(officer)), areas._us(start), until))

    def _count_slices(self, windows: _Windows) -> None:
        """Steps 7 (locks), 8 and 9."""
        if not windows.duties:
            return
        counters = bookings.lock_officers(self._connection, windows.officers)
        since = min(low for low, _, _ in windows.duties.values())
        self._refresh_officers(counters, since)
        duties: list[Duty] = []
        keys: list[int] = []
        officer_of: list[int] = []
        states: list[StateReport] = []
        for officer in sorted(counters):
            copy = self._officers[officer][1]
            keys.extend(copy.duties)
            duties.extend(copy.duties.values())
            officer_of.extend([officer] * len(copy.duties))
            states.extend(copy.states)
        self._write_slices(windows, keys, duties, officer_of, states)

    def _refresh_officers(self, counters: Mapping[int, int], since: int) -> None:
        stale = [
            officer
            for officer, facts in counters.items()
            if (copy := self._officers.get(officer)) is None or copy[1].facts != facts or copy[0] > since
        ]
        if stale:
            margin = max(since - MARGIN_US, -FOREVER)
            for officer, found in bookings.read_officers(self._connection, stale, margin).items():
                found.facts = counters[officer]
                self._officers[officer] = (margin, found)

    def _write_slices(
        self,
        windows: _Windows,
        keys: list[int],
        duties: list[Duty],
        officer_of: list[int],
        states: list[StateReport],
    ) -> None:
        history = self._history
        assert history is not None
        touched = [number for number, key in enumerate(keys) if key in windows.duties]
        bounds = [windows.duties[keys[number]] for number in touched]
        low, high, frontier = (np.array([b[column] for b in bounds], np.int64) for column in range(3))
        stays, names = self._stays_for([duties[n] for n in touched], low, high, windows.moved)
        if windows.moved is None:
            frontier = _newest_starts([duties[n] for n in touched], stays, names)
        counted = slices(
            duties,
            stays,
            names,
            states,
            history.places,
            self._policies,
            windows={n: (int(a), int(b)) for n, a, b in zip(touched, low, high, strict=True)},
        )
        track_of = np.full(len(duties), -1, np.int64)
        track_of[touched] = np.arange(len(touched))
        names_keys = self._registry.devices(self._connection, names)
        held = np.append(names_keys, np.int32(-1))[counted.device]
        new: Rows = (
            track_of[counted.duty],
            counted.start,
            counted.end,
            counted.activity.astype(np.int16),
            counted.state,
            counted.place,
            held.astype(np.int32),
        )

        duty_keys = np.array([keys[n] for n in touched], np.int32)
        found: list[tuple[Any, ...]] = (
            self._connection.cursor(binary=True)
            .execute(
                "select duty, slices, closed, settled from slice_end where duty = any(%s)",
                [duty_keys.tolist()],
            )
            .fetchall()
        )
        by_key = {row[0]: row for row in found}
        rows = [by_key[key] for key in duty_keys.tolist()]
        end = self._in_numbers(unpack(SLICES, [row[1] for row in rows]))
        until = np.array([row[2] for row in rows], np.int64)
        settled = np.array([row[3] for row in rows], np.int64).reshape(-1, 6)
        ask = np.flatnonzero((low <= until) & (until > -FOREVER))
        was = closed(self._connection, SLICES, duty_keys[ask], low[ask], high[ask])
        was = self._in_numbers((ask[was[0]], *was[1:]))
        with_end = high >= _firsts(end, len(touched))
        with_end |= ~np.isin(np.arange(len(touched)), end[0])
        table = splice(concatenate(was, pick(end, with_end[end[0]])), new, low, high)
        is_shut = settled_before(table, frontier) | ~with_end[table[0]]
        shut, open_rows = pick(table, is_shut), pick(table, ~is_shut)

        settled = settled + self._sums(shut, len(touched)) - self._sums(was, len(touched))
        officer = np.array([officer_of[n] for n in touched], np.int32)[shut[0]]
        replace_closed(
            self._connection,
            SLICES,
            duty_keys,
            self._in_keys(was),
            self._in_keys(shut),
            extra=[Column("officer", "int4", officer)],
        )
        np.maximum.at(until, shut[0], shut[2])
        texts = pack(self._in_keys(open_rows), len(touched))
        stored = {number: row[1] for number, row in enumerate(rows)}
        lines = [
            f"{key}\t{texts[n] if with_end[n] else _array(stored[n])}\t{limit}\t{_array(sums)}\n"
            for n, (key, limit, sums) in enumerate(
                zip(duty_keys.tolist(), until.tolist(), settled.tolist(), strict=True)
            )
        ]
        rewrite_ends(self._connection, SLICES, lines, "slices, closed, settled")

    def _numbers(self, keys: NDArray[np.integer]) -> NDArray[np.int32]:
        history = self._history
        assert history is not None
        self._registry.meet(self._connection, history, keys)
        return self._registry.to_numbers(keys)

    def _in_numbers(self, rows: Rows) -> Rows:
        return (*rows[:5], self._numbers(rows[5]), rows[6])

    def _in_keys(self, rows: Rows) -> Rows:
        history = self._history
        assert history is not None
        return (*rows[:5], self._registry.to_keys(self._connection, history.places, rows[5]), rows[6])

    def _sums(self, rows: Rows, duties: int) -> NDArray[np.int64]:
        history = self._history
        assert history is not None
        table = Slices(
            rows[0].astype(np.int32), rows[1], rows[2], rows[3].astype(np.int8), rows[4], rows[5], rows[6]
        )
        return totals(table, duties, history.places, -FOREVER, FOREVER)

    def _stays_for(
        self,
        duties: Sequence[Duty],
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        moved: _Moved | None,
    ) -> tuple[Stays, list[str]]:
        """The stays of all devices allocated in the windows: those just counted, and the others' from the tables."""
        wanted: dict[str, tuple[int, int]] = {}
        for duty, opens, closes in zip(duties, low.tolist(), high.tolist(), strict=True):
            opens = max(opens, duty.start)
            closes = min(closes, FOREVER if duty.end is None else duty.end)
            for item in duty.devices:
                known = wanted.get(item.device_id, (FOREVER, -FOREVER))
                wanted[item.device_id] = (min(known[0], opens), max(known[1], closes))
        names = sorted(wanted)
        keys = self._registry.devices(self._connection, names)
        opens = np.array([wanted[name][0] for name in names], np.int64)
        closes = np.array([wanted[name][1] for name in names], np.int64)
        rows = STAYS.empty()
        absent = np.ones(len(names), np.bool_)
        if moved is not None:
            track = {key: number for number, key in enumerate(moved.keys.tolist())}
            number = np.array([track.get(key, -1) for key in keys.tolist()], np.int64)
            first = np.append(_firsts(moved.stays, len(moved.keys)), FOREVER)
            at_hand = (number >= 0) & np.append(moved.complete, np.False_)[number] & (first[number] <= opens)
            absent = ~at_hand
            name_of = np.full(len(moved.keys), -1, np.int64)
            name_of[number[at_hand]] = np.flatnonzero(at_hand)
            inside = name_of[moved.stays[0]] >= 0
            rows = pick(moved.stays, inside)
            rows = (name_of[rows[0]], *rows[1:])
        if absent.any():
            where = np.flatnonzero(absent)
            rows = concatenate(rows, self._stored_stays(keys[where], opens[where], closes[where], where))
        else:
            rows = concatenate(rows)
        return Stays(rows[0].astype(np.int32), rows[1], rows[2], rows[3]), names

    def _stored_stays(
        self,
        keys: NDArray[np.int32],
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        track: NDArray[np.int64],
    ) -> Rows:
        found: list[tuple[Any, ...]] = (
            self._connection.cursor(binary=True)
            .execute("select device, stays, closed from stay_end where device = any(%s)", [keys.tolist()])
            .fetchall()
        )
        by_key = {row[0]: row for row in found}
        ends = unpack(STAYS, [by_key[key][1] for key in keys.tolist()])
        until = np.array([by_key[key][2] for key in keys.tolist()], np.int64)
        ask = np.flatnonzero((until > -FOREVER) & (low <= until))
        shut = closed(self._connection, STAYS, keys[ask], low[ask], high[ask])
        rows = concatenate((ask[shut[0]], *shut[1:]), ends)
        return (track[rows[0]], *rows[1:3], self._numbers(rows[3]))

    # ── bookings and states ───────────────────────────────────────────────────────────────────────────────

    def _bookings(
        self, duties: Sequence[Duty], states: Sequence[StateReport], frames: list[Offset]
    ) -> Counted:
        connection, registry = self._connection, self._registry
        received: dict[str, list[Duty]] = {}
        for duty in duties:
            received.setdefault(duty.duty_id, []).append(duty)
        stored = bookings.read_duties(connection, received)
        devices = {item.device_id for duty in duties for item in duty.devices}
        devices |= {item.device_id for _, _, duty in stored.values() for item in duty.devices}
        names = {duty.officer_id for duty in duties} | {report.officer_id for report in states}
        names |= {duty.officer_id for _, _, duty in stored.values()}
        officers = registry.officers(connection, names)
        keys = registry.devices(connection, sorted(devices))
        with connection.transaction():
            self._open()
            connection.execute(
                "select device from stay_end where device = any(%s) order by device for update",
                [keys.tolist()],
            )
            bookings.lock_officers(connection, officers.values())
            now = bookings.read_duties(connection, received)
            if any(
                item.device_id not in devices or duty.officer_id not in officers
                for _, _, duty in now.values()
                for item in duty.devices
            ):
                raise _DevicesChangedError
            changed: list[Duty] = []
            for duty_id, revisions in received.items():
                known = now.get(duty_id)
                counts = bookings.counting(known[2] if known else None, revisions)
                if known is None or counts != known[2]:
                    changed.append(counts)
            bookings.record_revisions(connection, duties)
            new_states = bookings.record_states(connection, states, officers)
            windows = self._book(changed, new_states, now, officers)
            self._count_slices(windows)
            self._record(frames)
        return Counted(duties=len(changed), states=len(new_states))

    def _book(
        self,
        changed: Sequence[Duty],
        states: Sequence[StateReport],
        stored: Mapping[str, tuple[int, int, Duty]],
        officers: Mapping[str, int],
    ) -> _Windows:
        """Writes what changed; gives the duties to be counted anew."""
        connection = self._connection
        affected: dict[int, tuple[int, int]] = {}

        def affect(officer: int, duty: Duty) -> None:
            low, high = affected.get(officer, (FOREVER, -FOREVER))
            affected[officer] = (min(low, duty.start), max(high, FOREVER if duty.end is None else duty.end))

        for duty in changed:
            affect(officers[duty.officer_id], duty)
            if known := stored.get(duty.duty_id):
                affect(known[1], known[2])
                if known[1] != officers[duty.officer_id]:
                    # Another officer's now: the slices are written afresh under the new name.
                    connection.execute("delete from slice where duty = %s", [known[0]])
                    connection.execute(
                        "update slice_end set slices = default, settled = default, closed = default where duty = %s",
                        [known[0]],
                    )
        bookings.write_duties(connection, self._registry, changed, officers)
        bookings.raise_counters(
            connection, affected.keys() | {officers[report.officer_id] for report in states}
        )
        self._booked.clear()
        self._officers.clear()

        windows: dict[int, tuple[int, int, int]] = {}
        touched = affected.keys() | {officers[report.officer_id] for report in states}
        since = min((low for low, _ in affected.values()), default=FOREVER)
        since = min([since, *(report.time for report in states)])
        by_officer: dict[int, list[StateReport]] = {}
        for report in states:
            by_officer.setdefault(officers[report.officer_id], []).append(report)
        for officer, copy in bookings.read_officers(
            connection, touched, min(since, FOREVER) if touched else 0
        ).items():
            low, high = affected.get(officer, (FOREVER, -FOREVER))
            for key, duty in copy.duties.items():
                until = FOREVER if duty.end is None else duty.end
                if duty.start < high and until > low:
                    windows[key] = (-FOREVER, FOREVER, -FOREVER)
                    continue
                keyed = [r.time for r in by_officer.get(officer, ()) if duty.start <= r.time < until]
                if keyed:
                    windows[key] = (min(keyed), FOREVER, -FOREVER)
        return _Windows(windows, set(touched), None)


class _DevicesChangedError(Exception):
    """A booking was revised between looking and locking: look again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    """New fixes among their neighbours, in order, with what ``rejudged`` asks."""

    fixes: Fixes
    changed: NDArray[np.bool_]
    replaced: NDArray[np.bool_]
    bounds: NDArray[np.int64]
    more_before: NDArray[np.bool_]
    more_after: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Moved:
    """Devices whose stays were counted anew.

    Attributes:
        stays: rows from before the window on; ``complete`` tells for which devices they reach to the end.
    """

    keys: NDArray[np.int32]
    booked: Sequence[int]
    window: Window
    frontier: NDArray[np.int64]
    stays: Rows
    complete: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Duties to be counted anew: by key the window's start, its end, and the frontier."""

    duties: dict[int, tuple[int, int, int]]
    officers: set[int]
    moved: _Moved | None


def _firsts(rows: Rows, keys: int) -> NDArray[np.int64]:
    """Start of each key's first row, ``FOREVER`` where it has none."""
    first = np.full(keys, FOREVER, np.int64)
    np.minimum.at(first, rows[0], rows[1])
    return first


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


def _fixes(
    device: NDArray[np.int32], time: NDArray[np.int64], lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> Fixes:
    nothing = np.full(len(time), np.nan)
    return Fixes(device, time, lon, lat, nothing, nothing.astype(np.float32), nothing.astype(np.float32), ())


def _with_device(fixes: Fixes, device: NDArray[np.int32]) -> Fixes:
    return Fixes(
        device, fixes.time, fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg, ()
    )


COLUMNS = ("device", "time", "lon", "lat", "error_m", "speed_mps", "heading_deg")


def _merge(*parts: Fixes) -> Fixes:
    """Fixes of several parts by device and time; no identity occurs twice."""
    joined = Fixes(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS), ())
    return take(joined, np.lexsort((joined.time, joined.device)))


def _overlay(stored: Fixes, new: Fixes) -> tuple[Fixes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Stored and new fixes in order, one an identity: ``(fixes, changed, replaced)``.

    ``changed`` marks new fixes that were not stored or are better (rule 1) than what was; ``replaced`` the latter.
    """
    joined = Fixes(*(np.concatenate([getattr(stored, name), getattr(new, name)]) for name in COLUMNS), ())
    order = np.lexsort((joined.time, joined.device))
    device, time = joined.device[order], joined.time[order]
    twice = np.zeros(len(order), np.bool_)
    if len(order):
        twice[1:] = (device[1:] == device[:-1]) & (time[1:] == time[:-1])
    second = np.flatnonzero(twice)
    is_new = order >= len(stored)
    # Each pair is one stored and one new fix (the sort is stable, so stored first); the new one must be better.
    a, b = order[second - 1], order[second]
    better = np.zeros(len(second), np.bool_)
    equal = np.ones(len(second), np.bool_)
    for name in ("error_m", "lon", "lat", "speed_mps", "heading_deg"):
        values = np.nan_to_num(getattr(joined, name), nan=np.inf)
        better |= equal & (values[b] < values[a])
        equal &= values[b] == values[a]
    keep = np.ones(len(order), np.bool_)
    keep[second[~better]] = False
    keep[second[better] - 1] = False
    replaced = np.zeros(len(order), np.bool_)
    replaced[second[better]] = True
    return take(joined, order[keep]), is_new[keep], replaced[keep]


def _some_ends(ends: _Ends, which: NDArray[np.bool_]) -> _Ends:
    size = np.diff(ends.bounds)
    renumber = np.cumsum(which) - 1
    rows = pick(ends.stays, which[ends.stays[0]])
    return _Ends(
        (renumber[rows[0]], *rows[1:]),
        ends.first[which],
        ends.closed[which],
        ends.context[np.repeat(which, size)],
        np.concatenate([np.zeros(1, np.int64), np.cumsum(size[which])]),
        ends.whole[which],
        [counter for counter, kept in zip(ends.booked, which.tolist(), strict=True) if kept],
    )


def _array(values: Sequence[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"
