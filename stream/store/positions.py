"""Steps 4 to 6 of a commit: from new fixes to stays, closed rows and growing ends.

The core counts the stays (``stream.core.stays``) and says which of them (``stream.core.windows``); here
they are read and written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER, UNKNOWN
from stream.core.columns import ranges
from stream.core.facts import SECOND
from stream.core.stays import impossible, jumps, legs_to_stays, lost_legs, perhaps_faster, take
from stream.core.windows import difference, rejudged, splice, widened
from stream.store import chunks, device_days, doubts
from stream.store.gathering import AGAIN, NEIGHBOURS, PLACE, gather, put_ends
from stream.store.tracks import (
    CONTEXT,
    STAYS,
    closed,
    concatenate,
    firsts,
    pick,
    replace_closed,
    rewrite_ends,
    settled_before,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.core.policy import Policies
    from stream.core.windows import Rows, Window
    from stream.store.desk import Desk
    from stream.store.gathering import Batch, Ends, Gathered


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Devices whose stays were recounted, and what of it the duties need.

    Attributes:
        changed: how many fixes were new, or better than the ones they replaced.
        keys: ``int32[n]``, database keys.
        booked: ``int64[n]``, counters of the devices' allocations.
        window: what was recounted.
        watermark: ``int64[n]``, nothing that comes in order changes a stay that ends before it.
        stays: rows from before the window on.
        complete: ``bool[n]``, whether these rows reach to the end.
        differs: ``bool[n]``, whether any stay is not what it was.
    """

    changed: int
    keys: NDArray[np.int32]
    booked: NDArray[np.int64]
    window: Window
    watermark: NDArray[np.int64]
    stays: Rows
    complete: NDArray[np.bool_]
    differs: NDArray[np.bool_]


def widest_gap(policies: Policies) -> int:
    """The longest ``max_gap_s`` of any policy, microseconds."""
    return max(int(policy.max_gap_s * SECOND) for policy in policies.policies)


def count(desk: Desk, batch: Batch, ends: Ends) -> Moved | None:
    """Steps 4 to 6: counts the windows that new fixes, or a recount, touch; None where nothing changed.

    Args:
        desk: whose transaction has locked the devices.
        batch: what came for them.
        ends: their growing ends.
    """
    again = batch.fixes is None
    more = np.full(len(batch.keys), again)
    reach = widest_gap(desk.policies)
    for neighbours in AGAIN if again else NEIGHBOURS:
        found = gather(desk, batch, ends, neighbours, more, 2 * reach)
        stir = found.stirred()
        if not stir.all():
            batch, ends, found, more = batch.only(stir), ends.only(stir), found.only(stir), more[stir]
        if not len(batch.keys):
            return None
        ignored = jumps(found.fixes, desk.policies)
        at_hand = (found.more_before, found.more_after)
        window = rejudged(found.bounds, found.fixes.time, ignored, found.changed, *at_hand)
        driven = np.full(len(batch.keys), True) if again else _impossible(found, ignored, desk.policies)
        if driven.any():
            window = widened(window, found.bounds, found.fixes.time, ignored, *at_hand, driven, reach)
        if not window.short.any():
            break
        more = more | window.short  # what sufficed for a device is read again while another needs more
    if batch.fixes is not None:
        _write_fixes(desk, batch.keys, found)
        device_days.mark_late(desk.connection, batch.keys, found.fixes, found.changed, found.replaced)
    doubts.mark_suspect(
        desk.connection,
        desk.suspects,
        batch.keys,
        *doubts.suspicious(found.fixes, found.changed, desk.policies),
    )
    return _write_stays(desk, batch.keys, ends, found, ignored, window, again=again)


def _impossible(found: Gathered, ignored: NDArray[np.bool_], policies: Policies) -> NDArray[np.bool_]:
    """Devices with a leg that nobody drove, now or before the new fixes came, as far as is at hand."""
    devices = np.zeros(len(found.bounds) - 1, np.bool_)
    devices[found.fixes.device[found.replaced]] = True  # what it was before is not at hand
    # Where no leg is fast now, none was: what new fixes divide was no longer than its parts.
    fast = np.zeros(len(devices), np.bool_)
    slowest = min(policy.jump_speed_mps for policy in policies.policies)
    fast[found.fixes.device[:-1][perhaps_faster(found.fixes, slowest)]] = True
    if fast.any():
        some = fast[found.fixes.device]
        now, changed = take(found.fixes, some), found.changed[some]
        before = take(now, ~changed)
        for fixes, skipped in ((now, ignored[some]), (before, jumps(before, policies))):
            kept = take(fixes, ~skipped)
            devices[kept.device[:-1][impossible(kept, policies)]] = True
    return devices


def _write_stays(
    desk: Desk,
    keys: NDArray[np.int32],
    ends: Ends,
    found: Gathered,
    ignored: NDArray[np.bool_],
    window: Window,
    *,
    again: bool,
) -> Moved:
    """Steps 5 and 6."""
    _, rows = ranges(window.first, window.last + 1)
    rows = rows[~ignored[rows]]
    # Which legs nobody drove is judged among all that is at hand, not in the window alone.
    lost = lost_legs(take(found.fixes, ~ignored), desk.policies)
    leg = (np.cumsum(~ignored) - 1)[rows[:-1]]
    fresh = legs_to_stays(take(found.fixes, rows), desk.history, desk.policies, lost[leg])
    new: Rows = (fresh.device.astype(np.int64), fresh.start, fresh.end, fresh.place)

    start, end = found.bounds[:-1], found.bounds[1:]
    low, high = window.low, window.high
    at_first = (window.first == start) & ~found.more_before
    if again:
        # Before a device's first fix and after its last one there is no stay, whatever the tables say; but
        # what was counted from facts that are deleted by now stays.
        low = np.where(at_first, np.minimum(low, desk.counted_from), low)
        high = np.where((window.last == end - 1) & ~found.more_after, FOREVER, high)
    with_end = ~found.more_after | (window.high >= ends.first)
    ask = np.flatnonzero((low <= ends.closed) & (ends.closed > -FOREVER))
    was = closed(desk.connection, STAYS, keys[ask], low[ask], high[ask])
    was = desk.with_numbers((ask[was[0]], *was[1:]), PLACE)
    old = concatenate(was, pick(ends.stays, with_end[ends.stays[0]]))
    if desk.counted_from > -FOREVER:
        new, low = _joined_to_the_past(ends, old, new, low, window.low, at_first)
    table = splice(old, new, low, high)
    gone, added = difference(old, table)
    differs = np.zeros(len(keys), np.bool_)
    differs[old[0][gone]] = differs[table[0][added]] = True

    # The watermark: what comes in order changes nothing before the last fix that surely is no jump.
    row = np.arange(len(found.fixes), dtype=np.int64)
    track = found.fixes.device
    sure = ~ignored & ((row > start[track]) | ~found.more_before[track]) & (row <= end[track] - 2)
    anchor = np.maximum.reduceat(np.where(sure, row, -1), start)
    watermark = np.where(anchor >= 0, found.fixes.time[anchor], -FOREVER)
    watermark = np.where(found.more_after, window.high, watermark)

    settled = settled_before(table, watermark) | ~with_end[table[0]]
    shut, growing = pick(table, settled), pick(table, ~settled)
    replace_closed(desk.connection, STAYS, keys, desk.with_keys(was, PLACE), desk.with_keys(shut, PLACE))
    until = ends.closed.copy()
    np.maximum.at(until, shut[0], shut[2])
    write = with_end
    if again:  # mostly nothing changed, and then nothing is written
        gone, added = difference(pick(ends.stays, with_end[ends.stays[0]]), growing)
        write = until != ends.closed
        write[pick(ends.stays, with_end[ends.stays[0]])[0][gone]] = write[growing[0][added]] = True
        write = with_end & (write | ~ends.whole & (np.diff(ends.bounds) == 0))
    _write_ends(desk, keys, ends, found, anchor, write, growing, until)
    # A window that ends before the closed stays do has left some of them unread.
    complete = with_end & ((high >= ends.closed) | (high >= ends.first))
    return Moved(int(found.changed.sum()), keys, ends.booked, window, watermark, table, complete, differs)


def _joined_to_the_past(
    ends: Ends,
    old: Rows,
    new: Rows,
    low: NDArray[np.int64],
    first: NDArray[np.int64],
    at_first: NDArray[np.bool_],
) -> tuple[Rows, NDArray[np.int64]]:
    """New rows with what lies between a past whose facts are deleted and the first fix there is: unknown.

    Args:
        ends: growing ends of the devices.
        old: rows from ``low`` on.
        new: rows of the windows.
        low: ``int64[n]``, from when on the old rows are replaced.
        first: ``int64[n]``, times of the first fixes of the windows.
        at_first: ``bool[n]``, whether these are the first fixes there are.

    Returns:
        the new rows, and ``low`` with them.
    """
    tracks = len(low)
    reached = ends.closed.copy()
    np.maximum.at(reached, ends.stays[0], ends.stays[2])
    began = firsts(old, tracks)
    joint = np.where(reached <= low, reached, np.where(began < low, low, FOREVER))
    gap = np.flatnonzero(at_first & (joint > -FOREVER) & (joint < first))
    if not len(gap):
        return new, low
    unknown = (gap.astype(np.int64), joint[gap], first[gap], np.full(len(gap), UNKNOWN, new[3].dtype))
    low = low.copy()
    low[gap] = joint[gap]
    return concatenate(new, unknown), low


def _write_fixes(desk: Desk, keys: NDArray[np.int32], found: Gathered) -> None:
    better = found.replaced
    chunks.remove(desk.connection, keys, found.fixes.device[better], found.fixes.time[better])
    chunks.append(desk.connection, keys, take(found.fixes, found.changed))


def _write_ends(
    desk: Desk,
    keys: NDArray[np.int32],
    ends: Ends,
    found: Gathered,
    anchor: NDArray[np.int64],
    write: NDArray[np.bool_],
    growing: Rows,
    until: NDArray[np.int64],
) -> None:
    """Writes growing ends, with the fixes that later ones need as context: from before the anchor on.

    Where only closed stays before the growing end changed, it stands, and so does the end of the last.
    """
    if not write.any():
        return
    start = np.maximum(np.where(anchor >= 0, anchor - 1, found.bounds[:-1]), found.bounds[:-1])
    whole = (start == found.bounds[:-1]) & ~found.more_before
    which = np.flatnonzero(write)
    number = np.cumsum(write) - 1
    growing = pick(growing, write[growing[0]])
    growing = (number[growing[0]], *growing[1:])
    # What is at hand of a device may end before its last fixes: then these stand.
    stands = found.more_after[which]
    first, last = start[which], np.where(stands, start[which], found.bounds[1:][which])
    size = np.where(stands, np.diff(ends.bounds)[which], last - first)
    owner, rows = ranges(first, last)
    context = np.empty(len(rows), CONTEXT)
    for name in CONTEXT.names or ():
        context[name] = getattr(found.fixes, name)[rows]
    if stands.any():
        kept, rows = ranges(ends.bounds[which], np.where(stands, ends.bounds[which + 1], ends.bounds[which]))
        owner, context = np.concatenate([owner, kept]), np.concatenate([context, ends.context[rows]])
        context = context[np.argsort(owner, kind="stable")]
    whole = np.where(stands, ends.whole[which], whole[which])
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    rewrite_ends(
        desk.connection,
        STAYS,
        keys[which],
        desk.with_keys(growing, PLACE),
        {"whole": whole, "closed": until[which], "newest": context["time"][bounds[1:] - 1]},
        (bounds, context),
    )
    put_ends(desk, keys[which], desk.stamp(), until[which], whole, growing, size, context)
