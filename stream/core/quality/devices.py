"""What one device's own fixes contradict: two devices under one id, and frozen receivers (rule 21).

Columns in, columns out; no other device, no booking. Fixes are those after rules 1 and 2: jumps are still
among them, since two interleaved tracks look like nothing but jumps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.columns import Columns, changes, ranges
from stream.core.facts import SECOND
from stream.core.quality.intervals import stretches
from stream.core.stays import distance_m, perhaps_faster

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from stream.core.facts import Fixes
    from stream.core.policy import Policies

    Ints: TypeAlias = NDArray[np.int64]
    Floats: TypeAlias = NDArray[np.float64]

KINDS = ("two_devices", "frozen", "shared_radio", "apart")
"""Rule 21's kinds of doubt, by number."""
TWO_DEVICES, FROZEN, SHARED_RADIO, APART = range(4)

NO_OTHER = -1


@dataclass(frozen=True, slots=True, eq=False)
class DeviceDoubts(Columns):
    """When devices are in doubt, sorted by device, kind and start; those of one device and kind are disjoint.

    Attributes:
        device: ``int32[m]``, the fixes' numbering.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive.
        kind: ``int8[m]``, index into ``KINDS``.
        other: ``int32[m]``, as in ``Doubts``.
    """

    device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: NDArray[np.int8]
    other: NDArray[np.int32]


def device_doubts(fixes: Fixes, policies: Policies) -> DeviceDoubts:
    """What the fixes of one device contradict by themselves: two devices under one id, and frozen ones.

    Args:
        fixes: sorted by device and time, one an identity (``in_order``); jumps are still among them.
        policies: rule 21's settings.
    """
    return alone(fixes, frozen_runs(fixes, policies), policies)


def alone(fixes: Fixes, runs: Runs, policies: Policies) -> DeviceDoubts:
    """The same, where the runs of equal coordinates are already known."""
    device, start, end = turning(fixes, policies)
    turned = of_kind(TWO_DEVICES, device, start, end)
    runs = runs.take(runs.moving)
    found = DeviceDoubts.joined([turned, of_kind(FROZEN, runs.device, runs.start, runs.end)])
    return found.take(np.lexsort((found.start, found.kind, found.device)))


def of_kind(
    kind: int,
    device: NDArray[np.integer],
    start: Ints,
    end: Ints,
    other: NDArray[np.integer] | None = None,
) -> DeviceDoubts:
    """Rows of one kind."""
    told = np.full(len(device), NO_OTHER) if other is None else other
    return DeviceDoubts(
        device.astype(np.int32), start, end, np.full(len(device), kind, np.int8), told.astype(np.int32)
    )


def turning(fixes: Fixes, policies: Policies) -> tuple[NDArray[np.integer], Ints, Ints]:
    """When two devices report under one id: ``(device, start, end)``."""
    device, time, lon, lat = fixes.device, fixes.time, fixes.lon, fixes.lat
    nothing = np.empty(0, np.int64)
    if len(fixes) < 3:
        return device[:0], nothing, nothing
    limit = np.broadcast_to(policies.setting(lambda p: p.double_speed_mps, time), len(fixes))
    far = perhaps_faster(fixes, limit.min())
    at = np.flatnonzero(far[:-1] & far[1:]) + 1
    if not len(at):
        return device[:0], nothing, nothing

    def speed(a: Ints, b: Ints) -> Floats:
        return distance_m(lon[a], lat[a], lon[b], lat[b]) / ((time[b] - time[a]) / SECOND)

    at = at[(speed(at - 1, at) > limit[at]) & (speed(at, at + 1) > limit[at])]
    # Directions are compared in the plane whose scale is that of the fix's own latitude.
    scale = np.cos(np.radians(lat[at])) ** 2
    (east_in, east), (north_in, north) = ((c[at] - c[at - 1], c[at + 1] - c[at]) for c in (lon, lat))
    at = at[east_in * east * scale + north_in * north < 0]

    owner, when = device[at], time[at]
    number = policies.number_at(when)
    needed = np.array([max(1, int(np.ceil(p.double_turns))) for p in policies.policies], np.int64)[number]
    within = np.array([round(p.double_within_s * SECOND) for p in policies.policies], np.int64)[number]
    last = np.arange(len(at)) + needed - 1
    real = last < len(at)
    last = np.minimum(last, len(at) - 1)
    real &= (owner[last] == owner) & (when[last] - when <= within)
    first = np.flatnonzero(real)
    key, start, end = stretches(owner[first].astype(np.int64), when[first], when[last[first]], within[first])
    return key, start, end


@dataclass(frozen=True, slots=True, eq=False)
class Runs(Columns):
    """Runs of fixes of one device with equal coordinates, long enough to count (rule 21, *frozen*).

    Sorted by device and time.

    Attributes:
        device: ``int32[m]``, the fixes' numbering.
        start: ``int64[m]``, time of the first fix, microseconds since 1970 UTC.
        end: ``int64[m]``, time of the last one.
        lon: ``float64[m]``, degrees.
        lat: ``float64[m]``, degrees.
        moving: ``bool[m]``, whether more than half of the fixes that state a speed state too high a one.
    """

    device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    moving: NDArray[np.bool_]


def frozen_runs(fixes: Fixes, policies: Policies) -> Runs:
    """All runs of equal coordinates that are at least ``frozen_s`` long.

    Args:
        fixes: sorted by device and time, one an identity.
        policies: each run is judged by the policy at its first fix.
    """
    fresh = changes(fixes.device, fixes.lon, fixes.lat)
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(fresh))[: len(first)] - 1
    more = last > first
    first, last = first[more], last[more]
    length = fixes.time[last] - fixes.time[first]
    long = length >= policies.setting(lambda p: p.frozen_s, fixes.time[first]) * SECOND
    first, last = first[long], last[long]
    limit = np.broadcast_to(policies.setting(lambda p: p.frozen_speed_mps, fixes.time[first]), len(first))
    run, fix = ranges(first, last + 1)
    speed = fixes.speed_mps[fix].astype(np.float64)
    stated = np.bincount(run[~np.isnan(speed)], minlength=len(first))
    fast = np.bincount(run[speed > limit[run]], minlength=len(first))
    return Runs(
        fixes.device[first],
        fixes.time[first],
        fixes.time[last],
        fixes.lon[first],
        fixes.lat[first],
        2 * fast > stated,
    )
