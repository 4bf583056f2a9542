"""When an officer's radio is somewhere else than a moving vehicle of theirs (rule 21, *apart*).

Duties and tracks in, stretches out. Clean days cost little: positions are compared only where the stays
already disagree for long enough, and the vehicle is fast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stream.core.columns import coalesce, offsets, search
from stream.core.facts import SECOND, Fixes
from stream.core.quality.allocated import holdings_of
from stream.core.quality.intervals import common, merged, stretches
from stream.core.quality.movement import Movements, near
from stream.core.slices import spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies, Policy
    from stream.core.stays import Stays

    Ints: TypeAlias = NDArray[np.int64]
    Interval: TypeAlias = tuple[int, int]


class Apart(NamedTuple):
    """Stretches of duties: ``int64[m]`` each, the times in microseconds since 1970 UTC, half open."""

    duty: Ints
    radio: Ints
    vehicle: Ints
    start: Ints
    end: Ints


def apart(
    duties: Sequence[Duty],
    places: Sequence[Place],
    tracks: Movements,
    policies: Policies,
) -> Apart:
    """When radios are long enough somewhere else than moving vehicles of the same duty.

    Args:
        duties: newest revisions, with all duties of every officer that occurs.
        places: the places behind the stays' place numbers.
        tracks: all devices' fixes and stays.
        policies: each duty is judged by the policy at its start.
    """
    found = _disagreeing(duties, places, tracks, policies)
    pairs, policy = found.pairs, found.policy
    key, low, high = found.key, found.start, found.end
    if len(key):
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
        near_from, near_to = near(legs.ways(leg), vehicle.take(row), low, high, metres)
        key = np.concatenate([key, key])
        low, high = np.concatenate([low, near_to]), np.concatenate([near_from, high])
        real = low < high
        key, low, high = found.lasting(key[real], low[real], high[real])
    duty, radio, vehicle_ = pairs[key].T
    return Apart(duty, radio, vehicle_, low, high)


def may_be_apart(
    duties: Sequence[Duty],
    device_ids: Sequence[str],
    stays: Stays,
    places: Sequence[Place],
    policies: Policies,
) -> NDArray[np.int64]:
    """The devices whose fixes ``apart`` has to see: numbers, sorted.

    By the stays alone: a radio and a vehicle of one duty, in different classes for long enough.
    """
    tracks = Movements.of(Fixes.none(device_ids), stays, policies)
    found = _disagreeing(duties, places, tracks, policies)
    return np.unique(found.pairs[np.unique(found.key), 1:])


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
        key, low, high = stretches(key, low, high, gap[key])
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
    duties: Sequence[Duty], places: Sequence[Place], tracks: Movements, policies: Policies
) -> _Pairs:
    """When by the stays a duty's radio and vehicle are both known, and for long in different classes."""
    pairs, key, low, high = allocated_pairs(duties, tracks.number)
    began = np.array([duties[at].start for at in pairs[:, 0].tolist()], np.int64)
    policy = [policies.policies[at] for at in policies.number_at(began).tolist()]
    if len(key):
        row, place, low, high = tracks.stays_during(pairs[key, 1], low, high)
        key, one = key[row], classes(duties, pairs[key[row], 0], place, places)
        row, low, high = coalesce(low, high, [key, one])
        key, one = key[row], one[row]
        row, place, low, high = tracks.stays_during(pairs[key, 2], low, high)
        key = key[row]
        differ = one[row] != classes(duties, pairs[key, 0], place, places)
        key, low, high = key[differ], low[differ], high[differ]
    return _Pairs(pairs, policy, key, low, high).only_lasting()


def allocated_pairs(
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
        for item in holdings_of(duties[at], number):
            held[not item.radio].setdefault(item.device, []).append((item.start, item.end))
        for radio, worn in held[0].items():
            for vehicle, driven in held[1].items():
                parts = common(common(merged(worn), merged(driven)), [(low, high)])
                if radio != vehicle and parts:
                    pairs.setdefault((at, radio, vehicle), []).extend(parts)
    rows = [(key, low, high) for key, pair in enumerate(sorted(pairs)) for low, high in sorted(pairs[pair])]
    table = np.array(rows, np.int64).reshape(-1, 3)
    key, start, end = (table[:, column].copy() for column in range(3))
    return np.array(sorted(pairs), np.int64).reshape(-1, 3), key, start, end


def classes(
    duties: Sequence[Duty], duty: Ints, place: NDArray[np.int32], places: Sequence[Place]
) -> NDArray[np.int8]:
    """On the duty's patch (0), off it (1) or in premises (2), for known places: ``int8[n]``."""
    pair, back = np.unique(duty * len(places) + place, return_inverse=True)
    found = np.zeros(len(pair), np.int8)
    for row, (owner, where) in enumerate(zip(*(c.tolist() for c in divmod(pair, len(places))), strict=True)):
        spot = places[where]
        found[row] = 2 if spot.premises is not None else spot.neighbourhood not in duties[owner].patch
    return found[back]
