"""Steps 3 and 4 of a commit: growing ends are locked, and new fixes put among their neighbours.

It reads what the core needs to judge new fixes; it only decides which report of one identity stays (rule
1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import numpy as np

from geo.matching.history import FOREVER
from stream.core.columns import in_time_order, offsets
from stream.core.facts import SECOND, Fixes
from stream.core.stays import stated, take
from stream.store import chunks
from stream.store.columns import parts_of_arrays
from stream.store.desk import END, STAMP
from stream.store.tracks import CONTEXT, STAYS, firsts, from_parts, pick, rows_of, to_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.core.windows import Rows
    from stream.store.desk import Desk

NEIGHBOURS = (4, 64, 1_024, 16_384, 1_000_000)
"""How many fixes before and after late ones are loaded, until they suffice."""

AGAIN = NEIGHBOURS[1:]
"""The same where long stretches are counted again, and reading them twice would cost more."""

NEAR_US = 3600 * SECOND
"""So far around new fixes the officers are looked for whose slices they may change: further than a leg."""

MOST_AROUND = 500_000
"""About so many stored fixes are read at once around late ones: hours of them may come together."""

REPORTED_US = 5 * SECOND
"""How often devices report, where it is only asked about how many fixes there are."""

MOST_FIXES = 20_000
"""So many fixes of several devices are counted at once: for as long, others cannot count these devices."""

PLACE = 3
"""The column of a stay's rows that holds its place."""

COLUMNS = ("device", "time", "lon", "lat", "error_m", "speed_mps", "heading_deg")


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
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
    booked: NDArray[np.int64]

    def only(self, which: NDArray[np.bool_]) -> Ends:
        """The ends of some devices, renumbered."""
        size = np.diff(self.bounds)
        renumber = np.cumsum(which) - 1
        rows = pick(self.stays, which[self.stays[0]])
        return Ends(
            (renumber[rows[0]], *rows[1:]),
            self.first[which],
            self.closed[which],
            self.context[np.repeat(which, size)],
            np.concatenate([np.zeros(1, np.int64), np.cumsum(size[which])]),
            self.whole[which],
            self.booked[which],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """New fixes among their neighbours, in order, with what ``stream.core.windows.rejudged`` asks.

    Attributes:
        fixes: devices are 0 … n-1.
        changed: ``bool[m]``, fixes that were not stored, or are better than what was.
        replaced: ``bool[m]``, the latter.
        bounds: ``int64[n + 1]``, rows of each device's fixes.
        more_before: ``bool[n]``, there may be earlier fixes that are not at hand.
        more_after: ``bool[n]``, there may be later ones.
    """

    fixes: Fixes
    changed: NDArray[np.bool_]
    replaced: NDArray[np.bool_]
    bounds: NDArray[np.int64]
    more_before: NDArray[np.bool_]
    more_after: NDArray[np.bool_]

    def stirred(self) -> NDArray[np.bool_]:
        """Devices with a changed fix: where all are repetitions there is nothing to count."""
        stirred = np.zeros(len(self.bounds) - 1, np.bool_)
        stirred[self.fixes.device[self.changed]] = True
        return stirred

    def only(self, which: NDArray[np.bool_]) -> Gathered:
        """The fixes of some devices, renumbered."""
        row = which[self.fixes.device]
        fixes = _only(self.fixes, which)
        return Gathered(
            fixes,
            self.changed[row],
            self.replaced[row],
            offsets(fixes.device, int(which.sum())),
            self.more_before[which],
            self.more_after[which],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Devices by database key, in order, and the fixes that came for them (None: they are to be recounted).

    Attributes:
        keys: ``int32[n]``.
        fixes: devices are 0 … n-1; sorted by device and time, one an identity.
        low: ``int64[n]``, time of the first fix, or where the recount starts.
        high: ``int64[n]``, time of the last one, or where the recount ends.
    """

    keys: NDArray[np.int32]
    fixes: Fixes | None
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def only(self, which: NDArray[np.bool_]) -> Batch:
        """Some devices, renumbered."""
        fixes = None if self.fixes is None else _only(self.fixes, which)
        return Batch(self.keys[which], fixes, self.low[which], self.high[which])

    def __len__(self) -> int:
        return len(self.keys)

    def parts(self) -> list[Batch]:
        """The same in parts of whole devices, so that none is locked for long."""
        if self.fixes is None or len(self.fixes) <= MOST_FIXES:
            return [self]
        number = (offsets(self.fixes.device, len(self.keys))[1:] - 1) // MOST_FIXES
        return [self.only(number == each) for each in np.unique(number)]

    @classmethod
    def joined(cls, parts: Sequence[Batch]) -> Batch:
        """Of some parts of a batch with fixes, in their order."""
        start = offsets(np.repeat(np.arange(len(parts)), list(map(len, parts))), len(parts))
        return cls(
            np.concatenate([part.keys for part in parts]),
            _join(
                *(
                    with_device(part.fixes, part.fixes.device + np.int32(first))
                    for part, first in zip(parts, start[:-1].tolist(), strict=True)
                    if part.fixes is not None
                )
            ),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.high for part in parts]),
        )


class Wait(Enum):
    """For which devices that somebody else has locked, or officers of theirs, it is waited."""

    ALL = auto()
    FIRST = auto()
    NONE = auto()


def lock(desk: Desk, batch: Batch, wait: Wait = Wait.ALL) -> tuple[NDArray[np.bool_], Ends]:
    """Step 3: locks the growing ends of devices, in the order of their keys, until the transaction ends.

    Args:
        desk: whose transaction is open.
        batch: whose.
        wait: for which; the others are passed over, and the officers of those that are not are locked, too.

    Returns:
        ``bool[n]``, which of them were locked, and the ends of these.
    """
    if wait is Wait.FIRST and len(batch.keys):
        first = np.arange(len(batch.keys)) == 0
        _lock(desk, batch.only(first), skip=False, officers=True)
    return _lock(desk, batch, skip=wait is not Wait.ALL, officers=wait is not Wait.ALL)


def _lock(desk: Desk, batch: Batch, *, skip: bool, officers: bool) -> tuple[NDArray[np.bool_], Ends]:
    how = "for update skip locked" if skip else "for update"
    found, stamps, booked = desk.columns(
        f"select device, {STAMP}, booked from stay_end where device = any(%s::int4[]) order by device {how}",
        [batch.keys],
        3,
    )
    free = np.isin(batch.keys, found)
    if officers and len(found):
        free[free] = _with_officers(desk, batch.only(free), booked, how)
        locked = np.isin(found, batch.keys[free])
        stamps, booked = stamps[locked], booked[locked]
    return free, ends_of(desk, batch.keys[free], stamps, booked)


def _with_officers(desk: Desk, batch: Batch, booked: NDArray[np.int64], how: str) -> NDArray[np.bool_]:
    """Locks the officers of devices, in the order of their keys; gives the devices that have none but these.

    Args:
        desk: whose transaction has locked the devices.
        batch: of them.
        booked: counters of their allocations.
        how: in SQL, how officers are locked.
    """
    low, high = batch.low - NEAR_US, batch.high + NEAR_US
    desk.refresh_allocations(batch.keys, booked, int(low.min()))
    bounds, rows = desk.allocated.part("rows", desk.allocated.find(batch.keys))
    owner = np.repeat(np.arange(len(batch.keys)), np.diff(bounds))
    meet = (rows["start"] < high[owner]) & (rows["end"] > low[owner])
    owner, theirs = owner[meet], rows["officer"][meet]
    [locked] = desk.columns(
        f"select officer from officer where officer = any(%s::int4[]) order by officer {how}",
        [np.unique(theirs)],
        1,
    )
    free = np.full(len(batch.keys), True)
    free[owner[~np.isin(theirs, locked)]] = False
    return free


def ends_of(
    desk: Desk, keys: NDArray[np.integer], stamps: NDArray[np.int64], booked: NDArray[np.int64]
) -> Ends:
    """Growing ends, from the copies as far as these have the stamps; the others are read.

    Args:
        desk: whose transaction holds locks that nobody can pass who would write them.
        keys: ``int[n]``, rising.
        stamps: ``int64[n]``, what the rows have now.
        booked: ``int64[n]``, counters.
    """
    stale = keys[~desk.ends.fresh(desk.ends.find(keys), stamps)]
    if len(stale):
        _read_ends(desk, stale)
    at = desk.ends.find(keys)
    head = desk.ends.head(at)
    stays = from_parts(*desk.ends.part("stays", at))
    bounds, context = desk.ends.part("context", at)
    return Ends(
        stays,
        firsts(stays, len(keys)),
        np.ascontiguousarray(head["closed"]),
        context,
        bounds,
        np.ascontiguousarray(head["whole"]),
        booked,
    )


def _read_ends(desk: Desk, keys: NDArray[np.integer]) -> None:
    """Copies growing ends."""
    [found] = desk.fetch(
        "select array_agg(stamp), array_agg(closed), array_agg(whole::int4::int8), "
        "array_agg(cardinality(stays)::int8), array_agg(length(context)::int8), "
        "string_agg(array_send(stays), ''), string_agg(context, '') "
        f"from (select *, {STAMP} as stamp from stay_end where device = any(%s::int4[]) order by device) e",
        [keys],
    )
    stamp, closed, whole, size, length, stays, context = found
    rows = desk.with_numbers(rows_of(STAYS, size, parts_of_arrays(stays, size)), PLACE)
    put_ends(
        desk,
        *(keys, stamp, closed, whole.astype(np.bool_)),
        *(rows, length // CONTEXT.itemsize, np.frombuffer(context, CONTEXT)),
    )


def put_ends(
    desk: Desk,
    keys: NDArray[np.integer],
    stamp: NDArray[np.int64] | int,
    closed: NDArray[np.int64],
    whole: NDArray[np.bool_],
    stays: Rows,
    size: NDArray[np.int64],
    context: NDArray[Any],
) -> None:
    """Keeps copies of growing ends, as they are in the database.

    Args:
        desk: that keeps them.
        keys: ``int[n]``, rising.
        stamp: the rows' own.
        closed: as in ``Ends``.
        whole: as in ``Ends``.
        stays: rows with keys 0 … n-1, in order, and numbers of places.
        size: ``int64[n]``, how many fixes are in the context of each.
        context: all of them.
    """
    head = np.empty(len(keys), END)
    head["stamp"], head["closed"], head["whole"] = stamp, closed, whole
    count = np.diff(offsets(stays[0], len(keys)))
    desk.ends.put(keys, head, stays=(count, to_parts(STAYS, stays)), context=(size, context))


def gather(
    desk: Desk, batch: Batch, ends: Ends, neighbours: int, more: NDArray[np.bool_], reach: int
) -> Gathered:
    """Step 4: the new fixes among their neighbours.

    Args:
        desk: whose transaction holds the locks.
        batch: the new fixes, or the stretches to be recounted.
        ends: of the same devices.
        neighbours: how many fixes before and after late ones are loaded, beyond their ``reach``.
        more: ``bool[n]``, devices whose growing end does not suffice: the facts are read.
        reach: microseconds before and after late ones from which all fixes are loaded.
    """
    low, high = batch.low, batch.high
    tracks = len(batch.keys)
    size = np.diff(ends.bounds)
    last, oldest, cold = _reach_of(ends)
    late = (low <= last) | cold | (more & (size > 0))
    more_before, more_after = ~late & ~ends.whole, np.zeros(tracks, np.bool_)

    track = np.repeat(np.arange(tracks, dtype=np.int32), size)
    simple = ~late[track]
    parts = [_context_fixes(track[simple], ends.context[simple])]
    if late.any():
        where = np.flatnonzero(late)
        until = np.where((high >= oldest) | cold, FOREVER, high)[where]
        since = np.maximum(low[where], reach - FOREVER) - reach
        until = np.minimum(until, FOREVER - reach) + reach
        known = chunks.around(
            desk.connection, batch.keys[where], since, until, before=neighbours, after=neighbours
        )
        whose, count = known.device, len(where)
        more_before[where] = np.bincount(whose[known.time < since[whose]], minlength=count) == neighbours
        more_after[where] = np.bincount(whose[known.time > until[whose]], minlength=count) == neighbours
        parts.append(with_device(known, where[known.device].astype(np.int32)))
    merged = _merge(*parts)
    if batch.fixes is None:
        changed = (merged.time >= low[merged.device]) & (merged.time <= high[merged.device])
        replaced = np.zeros(len(merged), np.bool_)
    else:
        merged, changed, replaced = _overlay(merged, batch.fixes)
    return Gathered(merged, changed, replaced, offsets(merged.device, tracks), more_before, more_after)


def portions(batch: Batch, ends: Ends, reach: int) -> list[NDArray[np.bool_]]:
    """Parts of a batch's devices around whose late fixes no more is read than fits into memory.

    Args:
        batch: the new fixes.
        ends: of the same devices.
        reach: as for ``gather``.

    Returns:
        ``bool[n]`` each, which devices; each device is in one of them.
    """
    last, oldest, cold = _reach_of(ends)
    late = (batch.low <= last) | cold
    known = last > -FOREVER
    until = np.where((batch.high >= oldest) & known, np.maximum(batch.high, last), batch.high)
    around = np.where(late, (until - batch.low + 2 * reach) // REPORTED_US, 0)
    number = np.cumsum(around) // MOST_AROUND
    return [number == each for each in np.unique(number)]


def _reach_of(ends: Ends) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Of growing ends the last fix, the oldest that is at hand, and whether only the facts can tell."""
    tracks, filled = len(ends.whole), np.diff(ends.bounds) > 0
    last = np.full(tracks, -FOREVER, np.int64)
    last[filled] = ends.context["time"][ends.bounds[1:][filled] - 1]
    oldest = np.full(tracks, FOREVER, np.int64)
    oldest[filled] = ends.context["time"][ends.bounds[:-1][filled]]
    return last, oldest, ~filled & ~ends.whole  # the growing end cannot tell: read the facts, up to the last


def with_device(fixes: Fixes, device: NDArray[np.int32]) -> Fixes:
    """The same fixes with devices renumbered; their names are left behind."""
    return Fixes(
        device, fixes.time, fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg, ()
    )


def _only(fixes: Fixes, which: NDArray[np.bool_]) -> Fixes:
    kept = take(fixes, which[fixes.device])
    renumber = np.cumsum(which, dtype=np.int32) - np.int32(1)
    return with_device(kept, renumber[kept.device])


def _context_fixes(device: NDArray[np.int32], context: NDArray[Any]) -> Fixes:
    missing = np.full(len(context), np.nan, np.float32)
    return Fixes(
        device, context["time"], context["lon"], context["lat"], context["error_m"], missing, missing, ()
    )


def _join(*parts: Fixes) -> Fixes:
    return Fixes(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}, device_ids=()
    )


def _merge(*parts: Fixes) -> Fixes:
    """Fixes of several parts by device and time; no identity occurs twice."""
    parts = tuple(part for part in parts if len(part)) or parts[:1]
    if len(parts) == 1:
        return parts[0]  # each part is in order
    joined = _join(*parts)
    return take(joined, in_time_order(joined.device, joined.time))


def _overlay(stored: Fixes, new: Fixes) -> tuple[Fixes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Stored and new fixes in order, one an identity: ``(fixes, changed, replaced)`` as in ``Gathered``."""
    joined = _join(stored, new)
    order = in_time_order(joined.device, joined.time)
    device, time = joined.device[order], joined.time[order]
    twice = np.zeros(len(order), np.bool_)
    twice[1:] = (device[1:] == device[:-1]) & (time[1:] == time[:-1])
    second = np.flatnonzero(twice)
    is_new = order >= len(stored)
    # Each pair is a stored and a new fix (the sort is stable, so stored first); the new one must be better.
    a, b = order[second - 1], order[second]
    better = np.zeros(len(second), np.bool_)
    equal = np.ones(len(second), np.bool_)
    for name in ("error_m", "lon", "lat", "speed_mps", "heading_deg"):
        column = getattr(joined, name)
        values = np.nan_to_num(stated(column) if name == "error_m" else column, nan=np.inf)
        better |= equal & (values[b] < values[a])
        equal &= values[b] == values[a]
    keep = np.ones(len(order), np.bool_)
    keep[second[~better]] = False
    keep[second[better] - 1] = False
    replaced = np.zeros(len(order), np.bool_)
    replaced[second[better]] = True
    return take(joined, order[keep]), is_new[keep], replaced[keep]
