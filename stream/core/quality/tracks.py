"""What the tracks of devices are worth: how often they report, jumps, silences, and positions far off.

Columns in, columns out. Everything here is a function of the fixes after rule 1, so neither repeats nor the
order of arrival can matter. What was heard, rejects among it, is in ``stream.core.quality.heard``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from geo.matching.history import FOREVER
from stream.core.calendar import day_numbers
from stream.core.columns import Columns, changes, offsets, ranges, search
from stream.core.facts import SECOND
from stream.core.quality.allocated import holdings_of
from stream.core.quality.intervals import merged
from stream.core.stays import distance_m, jumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.core.facts import Duty, Fixes
    from stream.core.policy import Policies

NEAR_M: Final = 5_000.0
"""Within so many metres of the box around all areas a position is near them."""
FAR_M: Final = 50_000.0
"""Beyond so many metres of that box a position is far from the force: no neighbour's street is."""

_MS: Final = 1_000
_MOST_MS: Final = (1 << 35) - 1


class Mistake(StrEnum):
    """What may have been done to coordinates, so that they lie elsewhere."""

    SWAPPED = "swapped_coordinates"
    LON_SIGN = "longitude_sign"
    LAT_SIGN = "latitude_sign"
    BOTH_SIGNS = "both_signs"
    SWAPPED_SIGN = "swapped_and_sign"


MISTAKES: Final = tuple(Mistake)
NO_MISTAKE: Final = -1


@dataclass(frozen=True, slots=True)
class Extent:
    """The box around all areas, degrees; longitudes from west to east."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, versions: Iterable[AreaSet]) -> Extent | None:
        """The box of all areas of several versions; None where there is none."""
        shapes = [shape for areas in versions for shape in areas.geometry]
        return cls(*shapely.total_bounds(shapes).tolist()) if shapes else None

    def distance_m(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far positions lie outside the box, metres, 0 within: ``float64[n]``."""
        at_lon, at_lat = np.clip(lon, self.west, self.east), np.clip(lat, self.south, self.north)
        found = np.zeros(len(lon))
        outside = np.flatnonzero((at_lon != lon) | (at_lat != lat))
        found[outside] = distance_m(lon[outside], lat[outside], at_lon[outside], at_lat[outside])
        return found

    def is_near(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions lie within ``NEAR_M`` of the box: ``bool[n]``."""
        return self.distance_m(lon, lat) <= NEAR_M


@dataclass(frozen=True, slots=True, eq=False)
class Held(Columns):
    """When devices are booked: one row for each unbroken stretch of a duty's device, and of a device.

    Attributes:
        duty: ``int32[k]``, index into the duties; ``ANY_DUTY`` for a stretch of a device over all its duties.
        device: ``int32[k]``, index into the names given with it; -1 where there is none.
        start: ``int64[k]``, microseconds since 1970 UTC.
        end: ``int64[k]``, exclusive; perhaps in the future.
    """

    duty: NDArray[np.int32]
    device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


ANY_DUTY: Final = -1


def held(duties: Sequence[Duty]) -> tuple[Held, tuple[str, ...]]:
    """When the devices of duties are booked, and the devices' names, sorted.

    Args:
        duties: newest revisions; those that do not count book nothing. Allocations are cut to what counts of
            their duty (rules 8a and 9).
    """
    names = sorted({item.device_id for duty in duties if duty.counts for item in duty.devices})
    code_of = {name: code for code, name in enumerate(names)}
    by_duty: dict[tuple[int, int], list[tuple[int, int]]] = {}
    by_device: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, duty in enumerate(duties):
        for item in holdings_of(duty, code_of):
            by_duty.setdefault((number, item.device), []).append((item.start, item.end))
            by_device.setdefault((ANY_DUTY, item.device), []).append((item.start, item.end))
    rows = [
        (*key, start, end)
        for found in (by_duty, by_device)
        for key, parts in found.items()
        for start, end in merged(parts)
    ]
    table = np.array(rows, np.int64).reshape(-1, 4)
    duty_of, device = table[:, 0].astype(np.int32), table[:, 1].astype(np.int32)
    return Held(duty_of, device, table[:, 2].copy(), table[:, 3].copy()), tuple(names)


@dataclass(frozen=True, slots=True, eq=False)
class DeviceDays(Columns):
    """One row for each device and local day with a fix.

    Attributes:
        device: ``int32[k]``, the fixes' numbering, sorted.
        day: ``int32[k]``, days since 1970-01-01, local.
        fixes: ``int64[k]``, fixes after rule 1.
        repeats: ``int64[k]``, reports of an identity that had been reported already.
        jumps: ``int64[k]``, fixes ignored by rule 3.
        intervals: ``int64[k]``, legs that begin on the day.
        median_ms: ``int64[k]``, the median of the legs' durations (the lower one of two), whole milliseconds.
        p95_ms: ``int64[k]``, the duration that 95 in 100 legs do not exceed, whole milliseconds.
        near: ``int64[k]``, fixes within ``NEAR_M`` of the areas.
        far: ``int64[k]``, fixes beyond ``FAR_M``.
        far_m: ``float64[k]``, the distance of the farthest of these, metres.
    """

    device: NDArray[np.int32]
    day: NDArray[np.int32]
    fixes: NDArray[np.int64]
    repeats: NDArray[np.int64]
    jumps: NDArray[np.int64]
    intervals: NDArray[np.int64]
    median_ms: NDArray[np.int64]
    p95_ms: NDArray[np.int64]
    near: NDArray[np.int64]
    far: NDArray[np.int64]
    far_m: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Misplaced(Columns):
    """Positions that would lie among the areas but for a mistake, by device and local day.

    Attributes:
        device: ``int32[k]``, the fixes' numbering.
        day: ``int32[k]``, days since 1970-01-01, local.
        mistake: ``int8[k]``, index into ``MISTAKES``.
        count: ``int64[k]``, how many fixes.
    """

    device: NDArray[np.int32]
    day: NDArray[np.int32]
    mistake: NDArray[np.int8]
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Covered(Columns):
    """How well each row of ``Held`` was covered by reports.

    Attributes:
        row: ``int64[k]``, the row of ``Held``; one that is missing had no report at all.
        fixes: ``int64[k]``, fixes within it, after rule 1.
        gaps: ``int64[k]``, stretches of it longer than ``max_gap_s`` without a report.
        silent: ``int64[k]``, their length together, microseconds. An open row ends with its last fix.
    """

    row: NDArray[np.int64]
    fixes: NDArray[np.int64]
    gaps: NDArray[np.int64]
    silent: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Gaps(Columns):
    """Where a device may be silent: between two reports, before its first one and after its last one.

    What is missing is too short to be a silence, whatever is booked within it.

    Attributes:
        device: ``int32[k]``, the fixes' numbering, sorted.
        start: ``int64[k]``, microseconds, sorted within a device; ``-FOREVER`` before the first report.
        end: ``int64[k]``, of the next report; ``FOREVER`` after the last one.
    """

    device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """What the tracks of some devices are worth; that of other devices may be joined to it."""

    days: DeviceDays
    misplaced: Misplaced
    covered: Covered
    gaps: Gaps

    @classmethod
    def of_groups(cls, parts: Sequence[Tracked]) -> Tracked:
        """That of several groups of devices, none in two of them; at least one group is needed."""
        days = DeviceDays.joined([part.days for part in parts])
        misplaced = Misplaced.joined([part.misplaced for part in parts])
        covered = Covered.joined([part.covered for part in parts])
        gaps = Gaps.joined([part.gaps for part in parts])
        return cls(
            days.take(np.lexsort((days.day, days.device))),
            misplaced.take(np.lexsort((misplaced.mistake, misplaced.day, misplaced.device))),
            covered.take(np.argsort(covered.row)),
            gaps.take(np.lexsort((gaps.start, gaps.device))),
        )


def tracked(
    reported: Fixes,
    ordered: Fixes,
    allocations: Held,
    extent: Extent | None,
    policies: Policies,
) -> Tracked:
    """What the tracks of devices are worth.

    Args:
        reported: usable reports, in any order.
        ordered: the same after rule 1 (``stream.core.stays.in_order``).
        allocations: those of any devices, ``device`` in the fixes' numbering, -1 for a device without fixes.
        extent: the box around the areas; None: nothing is near or far.
        policies: rule 3's speed, and rule 4's ``max_gap_s``: more without a report is a silence.
    """
    days, misplaced = device_days(ordered, extent, policies)
    days = replace(days, repeats=_repeats(reported, ordered, days))
    return Tracked(days, misplaced, _covered(ordered, allocations, policies), _gaps(ordered, policies))


def device_days(ordered: Fixes, extent: Extent | None, policies: Policies) -> tuple[DeviceDays, Misplaced]:
    """Each device's days, without repeats.

    A day depends on its own fixes, and on the one before and the one after them (what was misplaced apart).

    Args:
        ordered: fixes after rule 1.
        extent: the box around the areas; None: nothing is near or far.
        policies: rule 3's speed.
    """
    ignored = jumps(ordered, policies)
    day = day_numbers(ordered.time)
    first = np.flatnonzero(changes(ordered.device, day))
    group = np.cumsum(changes(ordered.device, day)) - 1
    count = np.diff(np.append(first, len(ordered)))
    far, near, far_m, misplaced = _places(ordered, day, group, len(first), extent=extent, policies=policies)
    legs, median, p95 = _intervals(ordered, group, len(first))
    days = DeviceDays(
        ordered.device[first],
        day[first],
        count,
        np.zeros(len(first), np.int64),
        np.bincount(group[ignored], minlength=len(first)).astype(np.int64),
        legs,
        median,
        p95,
        near,
        far,
        far_m,
    )
    return days, misplaced


def _repeats(reported: Fixes, ordered: Fixes, days: DeviceDays) -> NDArray[np.int64]:
    """Reports by device and day beyond the one that each identity needs."""
    if len(reported) == len(ordered):
        return days.repeats
    low, width = int(days.day.min()), int(days.day.max()) - int(days.day.min()) + 1
    every = reported.device.astype(np.int64) * width + (day_numbers(reported.time) - low)
    kept = days.device.astype(np.int64) * width + (days.day - low)
    found = np.bincount(np.searchsorted(kept, every), minlength=len(kept)).astype(np.int64)
    return found - days.fixes


def _intervals(
    fixes: Fixes, group: NDArray[np.int64], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """By group: legs that begin in it, their median and 95th percentile in whole milliseconds."""
    leg = np.flatnonzero(fixes.device[1:] == fixes.device[:-1])
    lasting = np.minimum((fixes.time[leg + 1] - fixes.time[leg]) // _MS, _MOST_MS)
    # One sort of one number: the group in the high bits, the duration in the low ones.
    key = np.sort((group[leg] << 35) | lasting)
    count = np.bincount(group[leg], minlength=groups).astype(np.int64)
    start = np.cumsum(count) - count
    if not len(key):
        return count, np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    picked = []
    for percent in (50, 95):
        at = start + np.maximum(-(-count * percent // 100) - 1, 0)
        value = key[np.minimum(at, len(key) - 1)] & _MOST_MS
        picked.append(np.where(count > 0, value, 0))
    return count, picked[0], picked[1]


def _places(
    fixes: Fixes,
    day: NDArray[np.int32],
    group: NDArray[np.int64],
    groups: int,
    *,
    extent: Extent | None,
    policies: Policies,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], Misplaced]:
    """By group: fixes far from the areas, near them, the greatest distance; and what was misplaced."""
    far_m = np.zeros(groups)
    if extent is None or not len(fixes):
        nothing = np.zeros(groups, np.int64)
        return (
            nothing,
            nothing,
            far_m,
            Misplaced(fixes.device[:0], day[:0], day[:0].astype(np.int8), group[:0]),
        )
    metres = extent.distance_m(fixes.lon, fixes.lat)
    far = metres > FAR_M
    np.maximum.at(far_m, group[far], metres[far])
    mistake = _mistakes(fixes, metres > NEAR_M, extent, policies)
    rows = np.flatnonzero(mistake != NO_MISTAKE)
    key = group[rows] * len(MISTAKES) + mistake[rows]
    _, at, count = np.unique(key, return_index=True, return_counts=True)
    rows = rows[at]
    return (
        np.bincount(group[far], minlength=groups).astype(np.int64),
        np.bincount(group[metres <= NEAR_M], minlength=groups).astype(np.int64),
        far_m,
        Misplaced(fixes.device[rows], day[rows], mistake[rows], count.astype(np.int64)),
    )


def _mistakes(
    fixes: Fixes, outside: NDArray[np.bool_], extent: Extent, policies: Policies
) -> NDArray[np.int8]:
    """What was done to each fix's coordinates: ``int8[n]``, ``NO_MISTAKE`` where nothing shows that.

    A run of a device's consecutive fixes outside the areas is judged as a whole: one mistake has to bring all
    of them back among the areas. A lost sign of the longitude may also be a journey, since near Greenwich the
    mirrored place is not far: there the run must have been entered or left faster than anything moves, or be
    all that there is of the device.
    """
    found = np.full(len(fixes), NO_MISTAKE, np.int8)
    rows = np.flatnonzero(outside)
    if not len(rows):
        return found
    lon, lat = fixes.lon[rows], fixes.lat[rows]
    mended = ((lat, lon), (-lon, lat), (lon, -lat), (-lon, -lat), (-lat, lon))  # as MISTAKES has them
    begins = changes(rows - np.arange(len(rows)), fixes.device[rows])
    first = np.flatnonzero(begins)
    run = np.cumsum(begins) - 1
    last = np.append(first[1:], len(rows)) - 1
    size = last - first + 1
    before, after = rows[first] - 1, rows[last] + 1
    enters = (before >= 0) & (fixes.device[np.maximum(before, 0)] == fixes.device[rows[first]])
    leaves = after < len(fixes)
    leaves &= fixes.device[np.minimum(after, len(fixes) - 1)] == fixes.device[rows[last]]
    impossible = enters & _too_fast(fixes, np.maximum(before, 0), rows[first], policies)
    impossible |= leaves & _too_fast(fixes, rows[last], np.minimum(after, len(fixes) - 1), policies)
    proven = impossible | ~(enters | leaves)
    best = np.full(len(first), NO_MISTAKE, np.int8)
    for number in reversed(range(len(MISTAKES))):
        back = np.zeros(len(rows), np.bool_)
        there_lon, there_lat = mended[number]
        real = np.abs(there_lat) <= 90
        back[real] = extent.is_near(there_lon[real], there_lat[real])
        whole = np.bincount(run[back], minlength=len(first)) == size
        if MISTAKES[number] is Mistake.LON_SIGN:
            whole &= proven
        best[whole] = number
    found[rows] = best[run]
    return found


def _too_fast(
    fixes: Fixes, a: NDArray[np.int64], b: NDArray[np.int64], policies: Policies
) -> NDArray[np.bool_]:
    metres = distance_m(fixes.lon[a], fixes.lat[a], fixes.lon[b], fixes.lat[b])
    limit = policies.setting(lambda p: p.jump_speed_mps, fixes.time[a])
    return metres > limit * ((fixes.time[b] - fixes.time[a]) / SECOND)


def _covered(fixes: Fixes, allocations: Held, policies: Policies) -> Covered:
    """The reports within each allocation, and the silences between them."""
    known = np.flatnonzero(allocations.device >= 0)
    device, start, end = allocations.device[known], allocations.start[known], allocations.end[known]
    bounds = offsets(fixes.device, len(fixes.device_ids))
    low = search(fixes.time, bounds[device], bounds[device + 1], start)
    high = search(fixes.time, bounds[device], bounds[device + 1], end)
    heard = np.flatnonzero(low < high)
    start, end, low, high = start[heard], end[heard], low[heard], high[heard]
    limit = np.broadcast_to(policies.setting(lambda p: p.max_gap_s, fixes.time), len(fixes)) * SECOND
    leg = np.diff(fixes.time, append=fixes.time[-1:])
    silent = leg > limit
    gaps, length = (
        np.concatenate([[0], np.cumsum(column)]).astype(np.int64)
        for column in (silent, np.where(silent, leg, 0))
    )
    edge = np.broadcast_to(policies.setting(lambda p: p.max_gap_s, start), len(start)) * SECOND
    head, tail = fixes.time[low] - start, np.where(end == FOREVER, 0, end - fixes.time[high - 1])
    before, behind = head > edge, tail > limit[high - 1]
    # The legs between the first and the last fix within; that of the last one leads out of it.
    return Covered(
        known[heard],
        high - low,
        gaps[high - 1] - gaps[low] + before + behind,
        length[high - 1] - length[low] + np.where(before, head, 0) + np.where(behind, tail, 0),
    )


def long_legs(ordered: Fixes, policies: Policies) -> NDArray[np.int64]:
    """Legs part of which may be a silence: the rows of the fixes that they begin at.

    What of a leg is booked is judged by the policy at the start of that part, so any that is in force during
    the leg may decide.
    """
    start, end = ordered.time[:-1], ordered.time[1:]
    limit = np.minimum(
        policies.setting(lambda p: p.max_gap_s, start), policies.setting(lambda p: p.max_gap_s, end)
    )
    long = end - start > limit * SECOND
    if len(policies.policies) > 1:
        long |= policies.number_at(end) - policies.number_at(start) > 1
    return np.flatnonzero(long & (ordered.device[1:] == ordered.device[:-1]))


def _gaps(ordered: Fixes, policies: Policies) -> Gaps:
    leg = long_legs(ordered, policies)
    first = np.flatnonzero(changes(ordered.device))
    last = np.append(first[1:], len(ordered))[: len(first)] - 1
    endless = np.full(len(first), FOREVER, np.int64)
    found = Gaps(
        np.concatenate([ordered.device[first], ordered.device[leg], ordered.device[last]]),
        np.concatenate([-endless, ordered.time[leg], ordered.time[last]]),
        np.concatenate([ordered.time[first], ordered.time[leg + 1], endless]),
    )
    return found.take(np.lexsort((found.start, found.device)))


def silences(
    booked: Held, gaps: Gaps, devices: int, policies: Policies, until: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Stretches of booked time longer than ``max_gap_s`` without a report.

    Args:
        booked: rows of devices; ``device`` in the gaps' numbering, -1 for one without any report.
        gaps: of the devices.
        devices: how many there are.
        policies: rule 4's ``max_gap_s``, as it is when a stretch begins.
        until: everything is counted up to here, microseconds.

    Returns:
        ``(row, start, end)``: rows of ``booked``, and microseconds.
    """
    number = np.where(booked.device < 0, devices, booked.device)
    never = np.setdiff1d(np.arange(devices + 1, dtype=np.int32), gaps.device)
    endless = np.full(len(never), FOREVER, np.int64)
    every = Gaps.joined([gaps, Gaps(never.astype(np.int32), -endless, endless)])
    every = every.take(np.lexsort((every.start, every.device)))
    bounds = offsets(every.device, devices + 1)
    close = np.minimum(booked.end, until)
    low = search(every.end, bounds[number], bounds[number + 1], booked.start, right=True)
    high = search(every.start, bounds[number], bounds[number + 1], close)
    row, at = ranges(low, high)
    start, end = np.maximum(every.start[at], booked.start[row]), np.minimum(every.end[at], close[row])
    silent = end - start > policies.setting(lambda p: p.max_gap_s, start) * SECOND
    return row[silent].astype(np.int32), start[silent], end[silent]


def renumbered(allocations: Held, names: Sequence[str], device_ids: Sequence[str]) -> Held:
    """Booked stretches in the numbering of fixes: ``device`` points at ``device_ids``, -1 where not there."""
    code_of = {name: code for code, name in enumerate(device_ids)}
    codes = np.array([code_of.get(name, -1) for name in names] or [-1], np.int32)
    return replace(allocations, device=codes[allocations.device])
