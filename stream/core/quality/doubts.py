"""Facts → doubts: the time of duties in which the facts contradict each other (rule 21).

Columns in, columns out; no Kafka, no database, no clock. Doubt is judged on the facts alone, fixes after
rules 1 and 2, so the order in which they arrived makes no difference. It changes no share, only the bounds
(``stream.core.shares``).

The steps: ``device_doubts`` finds what one device's own fixes contradict; ``doubts`` adds what only shows
beside other devices and the bookings, and gives to each duty its doubtful time. Clean days cost little:
positions are compared only where the stays already disagree for long enough.

For a part of a track the doubts come out the same if enough is known around it. Whether an instant is in
doubt depends

* for ``two_devices`` on the device's fixes within twice ``double_within_s``, and one more on each side;
* for ``frozen`` on all fixes of the run of equal coordinates, on one fix before and after it, and on the
  stays, legs and allocations of the officer's other devices during the run;
* for ``shared_radio`` on the radio's allocations at that instant;
* for ``apart`` on the duty, and on both devices' legs and stays within ``apart_s`` + ``max_gap_s`` of it.

A leg depends on two fixes on each side, since one that is a jump is left out. So a fix that comes, changes or
goes at a time *t* can change ``two_devices`` and ``apart`` only of its device and within those distances of
*t*, measured from the second fix before it to the second after it; and ``frozen`` of the runs that it is in
or next to, and of those of other devices of an officer who then held its device, as far as they reach over
these fixes. A changed booking can change ``shared_radio`` and ``apart`` while its old or its new revision
allocates the device, and ``frozen`` of all runs that touch that time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geo.matching.history import FOREVER, UNKNOWN
from stream.core.columns import Columns, changes, coalesce, offsets, ranges, search
from stream.core.facts import SECOND, Fixes
from stream.core.slices import HIDDEN, NO_DEVICE, OFF_PATCH, ON_PATCH, decisive, spans
from stream.core.stays import EARTH_RADIUS_M, distance_m, in_order, jumps, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies, Policy
    from stream.core.slices import Slices
    from stream.core.stays import Stays

    Ints: TypeAlias = NDArray[np.int64]
    Floats: TypeAlias = NDArray[np.float64]
    Interval: TypeAlias = tuple[int, int]

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
        other: ``int32[m]``, the number of the device that was elsewhere; of ``shared_radio`` the first duty
            (by number) of the other officer; ``NO_OTHER`` where there is none.
    """

    device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: NDArray[np.int8]
    other: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, eq=False)
class Doubts(Columns):
    """Doubtful time of duties, sorted by duty, start, kind, device and other (rule 21).

    Only time that a position decided: no break, nothing that a state decides, nothing unknown. Rows of one
    duty, kind, device and other are disjoint and do not touch; those of different kinds may overlap
    (``doubtful`` counts nothing twice).

    Attributes:
        duty: ``int32[m]``, index into the duties given.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive.
        kind: ``int8[m]``, index into ``KINDS``.
        device: ``int32[m]``, the stays' numbering: the device in doubt; of ``apart`` the radio.
        other: ``str[m]``. Of ``shared_radio`` the other officer's id; of ``apart`` the vehicle's; of
            ``frozen`` that of the device that was elsewhere, empty where the device's own speeds say it;
            else empty.
    """

    duty: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: NDArray[np.int8]
    device: NDArray[np.int32]
    other: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def none(cls) -> Doubts:
        """No doubts."""
        number, time = np.empty(0, np.int32), np.empty(0, np.int64)
        return cls(number, time, time, np.empty(0, np.int8), number, np.empty(0, "U1"))

    def up_to(self, until: int) -> Doubts:
        """Doubts cut at an instant (microseconds)."""
        found = self.take(self.start < until)
        return replace(found, end=np.minimum(found.end, until))


class NamedDoubt(NamedTuple):
    """A doubt by the names of those concerned; times in microseconds since 1970 UTC, half open.

    Attributes:
        kind: one of ``KINDS``.
        device_id: the device in doubt; of ``apart`` the radio.
        other_id: the other officer or device, empty where there is none.
    """

    officer_id: str
    start: int
    end: int
    duty_id: str
    kind: str
    device_id: str
    other_id: str


def named(found: Doubts, duties: Sequence[Duty], device_ids: Sequence[str]) -> list[NamedDoubt]:
    """Doubts by name, in the same order.

    Args:
        found: doubts.
        duties: the duties behind ``found.duty``.
        device_ids: the names behind ``found.device``.
    """
    rows = zip(*(getattr(found, item.name).tolist() for item in fields(found)), strict=True)
    return [
        NamedDoubt(
            duties[duty].officer_id,
            start,
            end,
            duties[duty].duty_id,
            KINDS[kind],
            device_ids[device],
            other,
        )
        for duty, start, end, kind, device, other in rows
    ]


def doubts(
    duties: Sequence[Duty],
    fixes: Fixes,
    stays: Stays,
    slices: Slices,
    places: Sequence[Place],
    policies: Policies,
) -> Doubts:
    """The doubtful time of all duties.

    Args:
        duties: newest revisions (``newest``), with all duties that allocate a device that occurs.
        fixes: usable reports, in any order.
        stays: what ``stays`` gave for them, in the same numbering of devices.
        slices: what ``slices`` gave for the duties.
        places: the places behind the place numbers.
        policies: two devices are judged by the policy at each turn, a frozen run by the one at its start,
            devices apart by the one at the duty's start.
    """
    tracks = _Tracks.of(in_order(fixes), stays, policies)
    held = _holdings(duties, tracks.number)
    runs = frozen_runs(tracks.fixes, policies)
    found = [
        _alone(tracks.fixes, runs, policies),
        _beside_others(runs.take(~runs.moving), held, tracks, policies),
        _shared(duties, held),
    ]
    decided = slices.take(_decided(slices, duties, places, policies))
    own = _of_duties(DeviceDoubts.joined(found), decided, duties, fixes.device_ids)
    away = _apart(duties, decided, places, tracks, policies)
    return _in_order(Doubts.joined([own, away]))


def doubtful(slices: Slices, found: Doubts) -> Ints:
    """Doubtful microseconds of each slice, in one doubt or several: ``int64[m]``, nothing twice.

    Args:
        slices: sorted by duty and time, perhaps cut or joined; those of length zero or less have none.
        found: what ``doubts`` gave for the same numbering of duties.
    """
    total = np.zeros(len(slices), np.int64)
    row, start, end = doubtful_parts(slices, found)
    np.add.at(total, row, end - start)
    return total


def doubtful_parts(slices: Slices, found: Doubts) -> tuple[Ints, Ints, Ints]:
    """The doubtful parts of slices, disjoint and in order: ``(row, start, end)``.

    Args: see ``doubtful``.
    """
    nothing = np.empty(0, np.int64)
    if not len(found) or not len(slices):
        return nothing, nothing, nothing
    duty, start, end = _union(found.duty.astype(np.int64), found.start, found.end)
    bounds = offsets(duty, int(max(slices.duty.max(), duty.max())) + 1)
    low, high = bounds[slices.duty], bounds[slices.duty.astype(np.int64) + 1]
    row, at = ranges(search(end, low, high, slices.start, right=True), search(start, low, high, slices.end))
    start, end = np.maximum(slices.start[row], start[at]), np.minimum(slices.end[row], end[at])
    real = start < end
    return row[real], start[real], end[real]


# ── What one device's own fixes contradict ────────────────────────────────────────────────────────────────


def device_doubts(fixes: Fixes, policies: Policies) -> DeviceDoubts:
    """What the fixes of one device contradict by themselves: two devices under one id, and frozen ones.

    Args:
        fixes: sorted by device and time, one an identity (``in_order``); jumps are still among them.
        policies: rule 21's settings.
    """
    return _alone(fixes, frozen_runs(fixes, policies), policies)


def _alone(fixes: Fixes, runs: Runs, policies: Policies) -> DeviceDoubts:
    device, start, end = _turning(fixes, policies)
    turned = _device_doubts(TWO_DEVICES, device, start, end)
    runs = runs.take(runs.moving)
    found = DeviceDoubts.joined([turned, _device_doubts(FROZEN, runs.device, runs.start, runs.end)])
    return found.take(np.lexsort((found.start, found.kind, found.device)))


def _device_doubts(
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


def _turning(fixes: Fixes, policies: Policies) -> tuple[NDArray[np.integer], Ints, Ints]:
    """When two devices report under one id: ``(device, start, end)``."""
    device, time, lon, lat = fixes.device, fixes.time, fixes.lon, fixes.lat
    nothing = np.empty(0, np.int64)
    if len(fixes) < 3:
        return device[:0], nothing, nothing
    limit = np.broadcast_to(policies.setting(lambda p: p.double_speed_mps, time), len(fixes))
    # |Δlat| + |Δlon| bounds the great circle from above, so only the few fast legs need the exact distance.
    east, north, seconds = np.diff(lon), np.diff(lat), np.diff(time) / SECOND
    far = (np.abs(east) + np.abs(north)) * (np.pi / 180 * EARTH_RADIUS_M * (1 + 1e-9)) > limit.min() * seconds
    far &= device[1:] == device[:-1]
    at = np.flatnonzero(far[:-1] & far[1:]) + 1
    if not len(at):
        return device[:0], nothing, nothing

    def speed(a: Ints, b: Ints) -> Floats:
        return distance_m(lon[a], lat[a], lon[b], lat[b]) / ((time[b] - time[a]) / SECOND)

    at = at[(speed(at - 1, at) > limit[at]) & (speed(at, at + 1) > limit[at])]
    # Directions are compared in the plane whose scale is that of the fix's own latitude.
    scale = np.cos(np.radians(lat[at])) ** 2
    at = at[east[at - 1] * east[at] * scale + north[at - 1] * north[at] < 0]

    owner, when = device[at], time[at]
    number = policies.number_at(when)
    needed = np.array([max(1, int(np.ceil(p.double_turns))) for p in policies.policies], np.int64)[number]
    within = np.array([round(p.double_within_s * SECOND) for p in policies.policies], np.int64)[number]
    last = np.arange(len(at)) + needed - 1
    real = last < len(at)
    last = np.minimum(last, len(at) - 1)
    real &= (owner[last] == owner) & (when[last] - when <= within)
    first = np.flatnonzero(real)
    key, start, end = _stretches(owner[first].astype(np.int64), when[first], when[last[first]], within[first])
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

    def __len__(self) -> int:
        return len(self.start)


def frozen_runs(fixes: Fixes, policies: Policies) -> Runs:
    """All runs of equal coordinates that are at least ``frozen_s`` long.

    Args:
        fixes: sorted by device and time, one an identity.
        policies: each run is judged by the policy at its first fix.
    """
    fresh = changes(fixes.device, fixes.lon, fixes.lat)
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(fresh))[: len(first)] - 1
    length = fixes.time[last] - fixes.time[first]
    long = length >= policies.setting(lambda p: p.frozen_s, fixes.time[first]) * SECOND
    long &= last > first
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


# ── What other devices and the bookings contradict ────────────────────────────────────────────────────────


class _Holding(NamedTuple):
    """A device allocated to an officer by a duty that counts, cut to the duty."""

    device: int
    officer: str
    radio: bool
    start: int
    end: int


def _holdings(duties: Sequence[Duty], number: Mapping[str, int]) -> list[_Holding]:
    """Every allocation of every duty that counts, of devices that were heard."""
    return [item for duty in duties if not duty.cancelled for item in _holdings_of(duty, number)]


def _holdings_of(duty: Duty, number: Mapping[str, int]) -> Iterable[_Holding]:
    """The allocations of a duty, cut to it."""
    close = FOREVER if duty.end is None else duty.end
    for item in duty.devices:
        start = duty.start if item.start is None else max(duty.start, item.start)
        end = close if item.end is None else min(item.end, close)
        if item.device_id in number and start < end:
            yield _Holding(number[item.device_id], duty.officer_id, item.kind == "radio", start, end)


class _Book:
    """Holdings by some key of theirs, to be asked for by time."""

    def __init__(self, held: Iterable[_Holding], key: Callable[[_Holding], int | str]) -> None:
        self._items: dict[int | str, list[_Holding]] = {}
        for item in sorted(held, key=lambda item: item.start):
            self._items.setdefault(key(item), []).append(item)
        self._starts = {name: [item.start for item in items] for name, items in self._items.items()}
        # How far the holdings so far reach: rising, so that those that end before a time are skipped.
        self._reach = {
            name: list(accumulate((item.end for item in items), max)) for name, items in self._items.items()
        }

    def during(self, key: int | str, start: int, end: int) -> list[_Holding]:
        """Those that touch ``[start, end)``."""
        if key not in self._items:
            return []
        low, high = bisect_right(self._reach[key], start), bisect_left(self._starts[key], end)
        return [item for item in self._items[key][low:high] if item.end > start]

    def clusters(self) -> Iterable[list[_Holding]]:
        """Those of one key that overlap, directly or by others."""
        for name, items in self._items.items():
            first = 0
            for at in range(1, len(items) + 1):
                if at == len(items) or items[at].start >= self._reach[name][at - 1]:
                    yield items[first:at]
                    first = at


def _shared(duties: Sequence[Duty], held: Iterable[_Holding]) -> DeviceDoubts:
    """Radios while they are allocated to two or more officers, a row for each of the others."""
    first: dict[str, int] = {}
    for at, duty in enumerate(duties):
        first.setdefault(duty.officer_id, at)
    rows = []
    for items in _Book((item for item in held if item.radio), lambda item: item.device).clusters():
        officers = sorted({item.officer for item in items})
        for officer in officers if len(officers) > 1 else ():
            own = _merged((item.start, item.end) for item in items if item.officer == officer)
            rest = _merged((item.start, item.end) for item in items if item.officer != officer)
            rows += [(items[0].device, low, high, first[officer]) for low, high in _common(own, rest)]
    table = np.array(sorted(rows), np.int64).reshape(-1, 4)
    device, start, end, other = (table[:, column].copy() for column in range(4))
    return _device_doubts(SHARED_RADIO, device, start, end, other)


def _beside_others(runs: Runs, held: Sequence[_Holding], tracks: _Tracks, policies: Policies) -> DeviceDoubts:
    """Frozen runs in which another device of the same officer, and of nobody else, was elsewhere for long.

    Of several such devices the first by name is told.
    """
    rank = np.argsort(np.argsort(np.array([*tracks.fixes.device_ids, ""], dtype=object)))
    limits = [policies.policies[at] for at in policies.number_at(runs.start).tolist()]
    rows: list[tuple[int, int, int, int]] = []
    for run, other, parts in _company(runs, held):
        if sum(high - low for low, high in parts) > limits[run].apart_s * SECOND:
            rows += [(run, other, low, high) for low, high in parts]
    if not rows:
        return _device_doubts(FROZEN, runs.device[:0], runs.start[:0], runs.end[:0])
    table = np.array(rows, np.int64)
    of, others, start, end = (table[:, column].copy() for column in range(4))
    row, start, end = tracks.while_known(others, start, end)
    of, others = of[row], others[row]
    legs = tracks.legs(others)
    row, leg, start, end = legs.during(others, start, end)
    of, others = of[row], others[row]
    # A device that stands still is a leg that leads nowhere.
    still = np.zeros(len(of))
    spot = _Way(start, np.ones(len(of)), runs.lon[of], runs.lat[of], still, still)
    metres = np.array([limit.apart_m for limit in limits])[of]
    near_from, near_to = _near(spot, legs.ways(leg), start, end, metres)
    pair, back = np.unique(of * len(rank) + rank[others], return_inverse=True)
    away = np.zeros(len(pair), np.int64)
    np.add.at(away, back, (end - start) - (near_to - near_from))
    of, told = np.divmod(pair, len(rank))
    enough = np.flatnonzero(away > np.array([limit.apart_s for limit in limits])[of] * SECOND)
    enough = enough[changes(of[enough])]
    of, others = of[enough], np.argsort(rank)[told[enough]]
    return _device_doubts(FROZEN, runs.device[of], runs.start[of], runs.end[of], others)


def _company(runs: Runs, held: Sequence[_Holding]) -> Iterable[tuple[int, int, list[Interval]]]:
    """When an officer with a frozen device holds another that nobody else holds: ``(run, other, when)``."""
    by_device, by_officer = _Book(held, lambda item: item.device), _Book(held, lambda item: item.officer)
    for run, (device, start, end) in enumerate(
        zip(runs.device.tolist(), runs.start.tolist(), runs.end.tolist(), strict=True)
    ):
        mine: dict[str, list[Interval]] = {}
        for item in by_device.during(device, start, end):
            mine.setdefault(item.officer, []).append((max(item.start, start), min(item.end, end)))
        when: dict[int, list[Interval]] = {}
        for officer, parts in mine.items():
            company: dict[int, list[Interval]] = {}
            for item in by_officer.during(officer, start, end):
                if item.device != device:
                    company.setdefault(item.device, []).append((item.start, item.end))
            for other, held_too in company.items():
                taken = _merged(
                    (item.start, item.end)
                    for item in by_device.during(other, start, end)
                    if item.officer != officer
                )
                when.setdefault(other, []).extend(_without(_common(_merged(parts), _merged(held_too)), taken))
        yield from ((run, other, when[other]) for other in sorted(when) if when[other])


def may_be_apart(
    duties: Sequence[Duty],
    device_ids: Sequence[str],
    stays: Stays,
    places: Sequence[Place],
    policies: Policies,
) -> NDArray[np.int64]:
    """The devices whose fixes ``doubts`` has to see to tell which are *apart*: numbers, sorted.

    By the stays alone: a radio and a vehicle of one duty, in different classes for long enough.
    """
    tracks = _Tracks.of(Fixes.none(device_ids), stays, policies)
    found = _disagreeing(duties, places, tracks, policies)
    return np.unique(found.pairs[np.unique(found.key), 1:])


def _apart(
    duties: Sequence[Duty],
    decided: Slices,
    places: Sequence[Place],
    tracks: _Tracks,
    policies: Policies,
) -> Doubts:
    """Doubtful time of officers whose radio is somewhere else than a moving vehicle of theirs."""
    found = _disagreeing(duties, places, tracks, policies)
    pairs, policy = found.pairs, found.policy
    key, low, high = found.key, found.start, found.end
    if not len(key):
        return Doubts.none()
    # The stays differ: now by the vehicle's speed, and only then by where both were.
    legs = tracks.legs(pairs[key, 2])
    row, leg, low, high = legs.during(pairs[key, 2], low, high)
    key = key[row]
    fast = legs.speed()[leg] > np.array([item.apart_speed_mps for item in policy])[key]
    key, leg, low, high = key[fast], leg[fast], low[fast], high[fast]
    vehicle = legs.ways(leg)
    legs = tracks.legs(pairs[key, 1])
    row, leg, low, high = legs.during(pairs[key, 1], low, high)
    key = key[row]
    metres = np.array([item.apart_m for item in policy])[key]
    near_from, near_to = _near(legs.ways(leg), vehicle.take(row), low, high, metres)
    key = np.concatenate([key, key])
    low, high = np.concatenate([low, near_to]), np.concatenate([near_from, high])
    real = low < high
    key, low, high = found.lasting(key[real], low[real], high[real])

    bounds = offsets(decided.duty, len(duties))
    first, last = bounds[pairs[key, 0]], bounds[pairs[key, 0] + 1]
    row, at = ranges(
        search(decided.end, first, last, low, right=True), search(decided.start, first, last, high)
    )
    owner = pairs[key[row]].astype(np.int32)
    return Doubts(
        owner[:, 0],
        np.maximum(low[row], decided.start[at]),
        np.minimum(high[row], decided.end[at]),
        np.full(len(row), APART, np.int8),
        owner[:, 1],
        np.array([*tracks.fixes.device_ids, ""])[owner[:, 2]],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Radios and vehicles of duties, and moments of them.

    Attributes:
        pairs: ``int64[k, 3]``, duty, radio and vehicle.
        policy: as many, each by the start of its duty.
        key: ``int64[m]``, rows of ``pairs``, sorted with ``start``.
        start, end: ``int64[m]``, microseconds.
    """

    pairs: NDArray[np.int64]
    policy: Sequence[Policy]
    key: Ints
    start: Ints
    end: Ints

    def lasting(self, key: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints, Ints]:
        """Stretches that are long enough, of moments at which the devices may be apart."""
        gap = np.array([round(item.max_gap_s * SECOND) for item in self.policy], np.int64)
        least = np.array([round(item.apart_s * SECOND) for item in self.policy], np.int64)
        key, low, high = _stretches(key, low, high, gap[key])
        long = high - low >= least[key]
        return key[long], low[long], high[long]

    def only_lasting(self) -> _Pairs:
        """The moments within such stretches; the others can be left out."""
        key, low, high = self.lasting(self.key, self.start, self.end)
        bounds = offsets(key, len(self.pairs))
        at = search(high, bounds[self.key], bounds[self.key + 1], self.start, right=True)
        inside = at < bounds[self.key + 1]
        inside[inside] = low[at[inside]] <= self.start[inside]
        return replace(self, key=self.key[inside], start=self.start[inside], end=self.end[inside])


def _disagreeing(
    duties: Sequence[Duty], places: Sequence[Place], tracks: _Tracks, policies: Policies
) -> _Pairs:
    """When by the stays a duty's radio and vehicle are both known, and for long in different classes."""
    pairs, key, low, high = _allocated_pairs(duties, tracks.number)
    began = np.array([duties[at].start for at in pairs[:, 0].tolist()], np.int64)
    policy = [policies.policies[at] for at in policies.number_at(began).tolist()]
    if len(key):
        row, place, low, high = tracks.stays_during(pairs[key, 1], low, high)
        key, one = key[row], _classes(duties, pairs[key[row], 0], place, places)
        row, low, high = coalesce(low, high, [key, one])
        key, one = key[row], one[row]
        row, place, low, high = tracks.stays_during(pairs[key, 2], low, high)
        key = key[row]
        differ = one[row] != _classes(duties, pairs[key, 0], place, places)
        key, low, high = key[differ], low[differ], high[differ]
    return _Pairs(pairs, policy, key, low, high).only_lasting()


def _allocated_pairs(
    duties: Sequence[Duty], number: Mapping[str, int]
) -> tuple[NDArray[np.int64], Ints, Ints, Ints]:
    """When a duty that its officer is on allocates a radio and a vehicle.

    Returns:
        ``(pairs, key, start, end)``: ``int64[k, 3]``, duty, radio and vehicle; and for each interval the row
            of ``pairs``, sorted by it and start.
    """
    pairs: dict[tuple[int, int, int], list[Interval]] = {}
    for at, low, high in zip(*(column.tolist() for column in spans(duties)), strict=True):
        held: tuple[dict[int, list[Interval]], dict[int, list[Interval]]] = ({}, {})
        for item in _holdings_of(duties[at], number):
            held[not item.radio].setdefault(item.device, []).append((item.start, item.end))
        for radio, worn in held[0].items():
            for vehicle, driven in held[1].items():
                parts = _common(_common(_merged(worn), _merged(driven)), [(low, high)])
                if radio != vehicle and parts:
                    pairs.setdefault((at, radio, vehicle), []).extend(parts)
    rows = [(key, low, high) for key, pair in enumerate(sorted(pairs)) for low, high in sorted(pairs[pair])]
    table = np.array(rows, np.int64).reshape(-1, 3)
    key, start, end = (table[:, column].copy() for column in range(3))
    return np.array(sorted(pairs), np.int64).reshape(-1, 3), key, start, end


def _classes(
    duties: Sequence[Duty], duty: Ints, place: NDArray[np.int32], places: Sequence[Place]
) -> NDArray[np.int8]:
    """On the duty's patch (0), off it (1) or in premises (2), for known places: ``int8[n]``."""
    pair, back = np.unique(duty * len(places) + place, return_inverse=True)
    found = np.zeros(len(pair), np.int8)
    for row, (owner, where) in enumerate(zip(*(c.tolist() for c in divmod(pair, len(places))), strict=True)):
        spot = places[where]
        found[row] = 2 if spot.premises is not None else spot.neighbourhood not in duties[owner].patch
    return found[back]


# ── Where devices are, to the microsecond ─────────────────────────────────────────────────────────────────


class _Way(NamedTuple):
    """Straight movements: from when, how long (both microseconds), from where, and by how much (degrees)."""

    start: Ints
    length: NDArray[np.int64] | Floats
    lon: Floats
    lat: Floats
    east: Floats
    north: Floats

    def take(self, rows: NDArray[np.integer]) -> _Way:
        """Some of them."""
        return _Way(*(column[rows] for column in self))

    def at(self, time: Ints) -> tuple[Floats, Floats]:
        """Where each is at its time: lon and lat in degrees."""
        part = (time - self.start) / self.length
        return self.lon + self.east * part, self.lat + self.north * part


@dataclass(frozen=True, slots=True, eq=False)
class _Legs:
    """The legs of some devices, sorted by device and time; ``bounds`` has where each device's start."""

    bounds: Ints
    start: Ints
    end: Ints
    lon0: Floats
    lat0: Floats
    lon1: Floats
    lat1: Floats

    def during(self, device: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Intervals divided among their device's legs: ``(row, leg, start, end)``."""
        first, last = self.bounds[device], self.bounds[device + 1]
        row, leg = ranges(
            search(self.end, first, last, start, right=True), search(self.start, first, last, end)
        )
        return row, leg, np.maximum(start[row], self.start[leg]), np.minimum(end[row], self.end[leg])

    def speed(self) -> Floats:
        """Metres a second of each leg."""
        length = (self.end - self.start) / SECOND
        found: Floats = distance_m(self.lon0, self.lat0, self.lon1, self.lat1) / length
        return found

    def ways(self, leg: Ints) -> _Way:
        """The movements of some legs."""
        lon, lat = self.lon0[leg], self.lat0[leg]
        length = self.end[leg] - self.start[leg]
        return _Way(self.start[leg], length, lon, lat, self.lon1[leg] - lon, self.lat1[leg] - lat)


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """All devices' fixes in order and stays, by device."""

    fixes: Fixes
    stays: Stays
    policies: Policies
    number: Mapping[str, int]
    stays_from: Ints

    @classmethod
    def of(cls, fixes: Fixes, stays: Stays, policies: Policies) -> _Tracks:
        number = {name: at for at, name in enumerate(fixes.device_ids)}
        return cls(fixes, stays, policies, number, offsets(stays.device, len(number)))

    def stays_during(
        self, device: Ints, start: Ints, end: Ints
    ) -> tuple[Ints, NDArray[np.int32], Ints, Ints]:
        """Intervals divided among their device's known stays: ``(row, place, start, end)``."""
        stays = self.stays
        first, last = self.stays_from[device], self.stays_from[device + 1]
        row, at = ranges(
            search(stays.end, first, last, start, right=True), search(stays.start, first, last, end)
        )
        known = stays.place[at] != UNKNOWN
        row, at = row[known], at[known]
        return (
            row,
            stays.place[at],
            np.maximum(start[row], stays.start[at]),
            np.minimum(end[row], stays.end[at]),
        )

    def while_known(self, device: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
        """The parts of intervals in which their device's position is known: ``(row, start, end)``."""
        row, _, start, end = self.stays_during(device, start, end)
        at, start, end = coalesce(start, end, [row])
        return row[at], start, end

    def legs(self, devices: Ints) -> _Legs:
        """The legs of these devices, jumps left out (rules 3 and 4)."""
        wanted = np.unique(devices)
        bounds = offsets(self.fixes.device, len(self.number))
        _, rows = ranges(bounds[wanted], bounds[wanted + 1])
        fixes = take(self.fixes, rows)
        fixes = take(fixes, ~jumps(fixes, self.policies))
        a = np.flatnonzero(fixes.device[1:] == fixes.device[:-1])
        time, lon, lat = fixes.time, fixes.lon, fixes.lat
        return _Legs(
            offsets(fixes.device[a], len(self.number)),
            *(time[a], time[a + 1], lon[a], lat[a], lon[a + 1], lat[a + 1]),
        )


def _near(one: _Way, two: _Way, start: Ints, end: Ints, metres: Floats) -> tuple[Ints, Ints]:
    """When two devices are at most so far from each other: ``(from, to)`` within each ``[start, end)``.

    Two straight movements come nearer, then go apart. The moment at which they are nearest is found in a
    plane; from there the first and the last whole microsecond at which the great circle between them is at
    most so long, by bisection. Empty intervals are ``(end, end)``.
    """

    def is_near(rows: NDArray[np.intp], time: Ints) -> NDArray[np.bool_]:
        close: NDArray[np.bool_] = (
            distance_m(*one.take(rows).at(time), *two.take(rows).at(time)) <= metres[rows]
        )
        return close

    def edge(rows: NDArray[np.intp], inside: Ints, outside: Ints) -> Ints:
        """The last microsecond that is near, on the way from one that is to one that is not."""
        inside, outside = inside.copy(), outside.copy()
        while True:
            open_ = np.flatnonzero(np.abs(outside - inside) > 1)
            if not len(open_):
                return inside
            middle = (inside[open_] + outside[open_]) // 2
            close = is_near(rows[open_], middle)
            inside[open_] = np.where(close, middle, inside[open_])
            outside[open_] = np.where(close, outside[open_], middle)

    nearest = _nearest(one, two, start, end)
    found = np.flatnonzero(is_near(np.arange(len(start)), nearest))
    near_from, near_to = end.copy(), end.copy()
    lowest, first, last = nearest[found], start[found], end[found] - 1
    near_from[found] = np.where(is_near(found, first), first, edge(found, lowest, first))
    near_to[found] = np.where(is_near(found, last), last, edge(found, lowest, last)) + 1
    return near_from, near_to


def _nearest(one: _Way, two: _Way, start: Ints, end: Ints) -> Ints:
    """About when two devices are nearest, to the microsecond, in the plane at their latitude then."""
    east = (two.east / two.length - one.east / one.length).astype(np.float64)
    north = (two.north / two.length - one.north / one.length).astype(np.float64)
    time = start
    for _ in range(3):
        (lon0, lat0), (lon1, lat1) = one.at(time), two.at(time)
        scale = np.cos(np.radians((lat0 + lat1) / 2)) ** 2
        across = (lon1 - lon0 + 180.0) % 360.0 - 180.0
        speed = east * east * scale + north * north
        until = -(across * east * scale + (lat1 - lat0) * north) / np.where(speed > 0, speed, np.inf)
        time = np.clip(np.rint(time + until), start, end - 1).astype(np.int64)
    return time


# ── Tools ─────────────────────────────────────────────────────────────────────────────────────────────────


def _decided(
    slices: Slices, duties: Sequence[Duty], places: Sequence[Place], policies: Policies
) -> NDArray[np.bool_]:
    """Slices that a position decided: on patch, off it, or not visible for the premises: ``bool[m]``."""
    inside = np.array([item.premises is not None for item in places] + [False], np.bool_)[slices.place]
    hidden = (slices.activity == HIDDEN) & inside
    if hidden.any():
        hidden &= ~decisive(slices, duties, policies)
    seen = (slices.activity == ON_PATCH) | (slices.activity == OFF_PATCH) | hidden
    decided: NDArray[np.bool_] = seen & (slices.device != NO_DEVICE)
    return decided


def _of_duties(
    found: DeviceDoubts, decided: Slices, duties: Sequence[Duty], device_ids: Sequence[str]
) -> Doubts:
    """The parts of slices whose source is a device in doubt."""
    if not len(found) or not len(decided):
        return Doubts.none()
    rows = np.flatnonzero(np.isin(decided.device, found.device))
    rows = rows[np.argsort(decided.device[rows], kind="stable")]  # by device, duty and time
    device, duty = decided.device[rows], decided.duty[rows]
    start, end = decided.start[rows], decided.end[rows]
    # The slices of one device and duty follow one another; those of a shared device need not.
    group = np.flatnonzero(changes(device, duty))
    until = np.append(group[1:], len(rows))[: len(group)]
    bounds = offsets(device[group], int(max(device.max(initial=0), found.device.max())) + 1)
    row, at = ranges(bounds[found.device], bounds[found.device.astype(np.int64) + 1])
    who = [duty.officer_id for duty in duties]
    known = {name: number for number, name in enumerate(dict.fromkeys(who))}
    officer = np.array([*(known[name] for name in who), -1], np.int64)
    shared = found.kind == SHARED_RADIO
    others = np.where(shared, found.other, NO_OTHER)
    # Devices, officers by duty, and nobody: by the number of either, or by NO_OTHER.
    names = np.array([*device_ids, *who, ""])
    told = np.where(shared, len(device_ids) + found.other, found.other)
    foreign = officer[duty[group[at]]] != officer[others[row]]
    row, at = row[foreign], at[foreign]
    part, piece = ranges(
        search(end, group[at], until[at], found.start[row], right=True),
        search(start, group[at], until[at], found.end[row]),
    )
    row = row[part]
    return Doubts(
        duty[piece],
        np.maximum(start[piece], found.start[row]),
        np.minimum(end[piece], found.end[row]),
        found.kind[row],
        found.device[row],
        names[told[row]],
    )


def _in_order(found: Doubts) -> Doubts:
    """Doubts sorted, touching ones of one kind, device and other joined."""
    found = found.take(np.lexsort((found.start, found.other, found.device, found.kind, found.duty)))
    row, start, end = coalesce(found.start, found.end, [found.duty, found.kind, found.device, found.other])
    found = replace(found.take(row), start=start, end=end)
    return found.take(np.lexsort((found.other, found.device, found.kind, found.start, found.duty)))


def _stretches(key: NDArray[np.int64], start: Ints, end: Ints, gap: Ints) -> tuple[Ints, Ints, Ints]:
    """Intervals joined where less than ``gap`` (of the later one) is between them, by key, in any order."""
    order = np.lexsort((start, key))
    key, start, end, gap = key[order], start[order], end[order], gap[order]
    # How far the intervals of a key have reached: ranks by key and end rise from key to key.
    by_end = np.lexsort((end, key))
    rank = np.empty(len(order), np.int64)
    rank[by_end] = np.arange(len(order))
    reached = end[by_end[np.maximum.accumulate(rank)]] if len(order) else end
    fresh = changes(key)
    between = start[1:] - reached[:-1]
    fresh[1:] |= (between > 0) & (between >= gap[1:])
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(fresh))[: len(first)] - 1
    return key[first], start[first], reached[last]


def _union(key: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """The time covered by intervals, by key."""
    return _stretches(key, start, end, np.zeros(len(key), np.int64))


def _merged(parts: Iterable[Interval]) -> list[Interval]:
    """Intervals sorted, overlapping and touching ones joined."""
    found: list[Interval] = []
    for low, high in sorted(parts):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found


def _common(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """The time in both of two lists of disjoint sorted intervals, in order."""
    found, at = [], 0
    for low, high in one:
        while at < len(other) and other[at][1] <= low:
            at += 1
        more = at
        while more < len(other) and other[more][0] < high:
            found.append((max(low, other[more][0]), min(high, other[more][1])))
            more += 1
    return found


def _without(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """The time in the first of two lists of disjoint sorted intervals and not in the second."""
    bounds = [-FOREVER, *(edge for interval in other for edge in interval), FOREVER]
    return _common(one, list(zip(bounds[::2], bounds[1::2], strict=True)))
