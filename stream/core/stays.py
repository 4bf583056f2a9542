"""Fixes → stays: where each device was, and when that is unknown (accounting rules 1, 3, 4, 4a, 5, 6 and 7).

Columns in, columns out; no Kafka, no database, no clock. Every step looks only at a fix and its neighbours
in time, so a stretch of a device's track can be computed on its own and put into the rest
(``stream.core.windows`` does that for fixes that arrive late).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import UNKNOWN, exact_numbers
from stream.core.columns import Columns, changes, coalesce, in_time_order, ranges
from stream.core.facts import SECOND, Fixes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.history import AreaHistory
    from geo.matching.places import Place
    from stream.core.policy import Policies

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the earth, metres (the accounting rules' own)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stays(Columns):
    """Stays of devices, sorted by device and time; those of one device tile its track (rule 7).

    Finer than the rule asks: also cut where what is near changes (rule 14); ``whole_stays`` joins them.

    Attributes:
        device: ``int32[m]``, the fixes' numbering.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive.
        place: ``int32[m]``, a number of ``AreaHistory.places``, or ``UNKNOWN``.
    """

    device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    place: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)


def distance_m(
    lon0: NDArray[np.float64],
    lat0: NDArray[np.float64],
    lon1: NDArray[np.float64],
    lat1: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Great-circle distances by the haversine formula: degrees in, ``float64[n]`` metres out.

    Columns are made contiguous first: numpy rounds the last bit of a sine differently on strided memory, and
    a distance must not depend on the others in its batch.
    """
    lon0, lat0, lon1, lat1 = (np.ascontiguousarray(np.radians(c)) for c in (lon0, lat0, lon1, lat1))
    chord = np.sin((lat1 - lat0) / 2) ** 2 + np.cos(lat0) * np.cos(lat1) * np.sin((lon1 - lon0) / 2) ** 2
    metres: NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return metres


def take(fixes: Fixes, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Fixes:
    """Some rows of fixes, in the order given."""
    return fixes.take(rows)


def stated(error_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors as they count: 0 and less, which facts from before rule 2b may have, are NaN as if missing."""
    found: NDArray[np.float64] = np.where(error_m > 0, error_m, np.nan)
    return found


def in_order(fixes: Fixes) -> Fixes:
    """Fixes sorted by device and time, one an identity (rule 1).

    Of several reports of one identity the one with the smallest ``error_m`` stays (missing is worst), then
    the smallest lon, then lat, then (so that nothing depends on the order of arrival) speed and heading.
    """
    device, time = fixes.device, fixes.time
    if bool(np.all((device[1:] > device[:-1]) | ((device[1:] == device[:-1]) & (time[1:] > time[:-1])))):
        return fixes
    order = in_time_order(device, time)
    first = changes(device[order], time[order])
    if not first.all():
        # Only the few identities that were reported twice need the long comparison.
        identity = np.cumsum(first) - 1
        repeated = np.bincount(identity)[identity] > 1
        rows = order[repeated]
        worst = [np.nan_to_num(c[rows], nan=np.inf) for c in (fixes.heading_deg, fixes.speed_mps)]
        error = np.nan_to_num(stated(fixes.error_m[rows]), nan=np.inf)
        best = np.lexsort((*worst, fixes.lat[rows], fixes.lon[rows], error, time[rows], device[rows]))
        order[repeated] = rows[best]
    return take(fixes, order[first])


def jumps(fixes: Fixes, policies: Policies) -> NDArray[np.bool_]:
    """Which fixes are ignored as jumps (rule 3): ``bool[n]``, for fixes in order.

    A fix is judged by its neighbours as reported, ignored or not, all at once: so the answer depends on three
    fixes and on nothing before them. The first and the last fix of a device have no two neighbours and stay.
    """
    ignored = np.zeros(len(fixes), np.bool_)
    if len(fixes) < 3:
        return ignored
    limit = np.broadcast_to(policies.setting(lambda p: p.jump_speed_mps, fixes.time), len(fixes))
    fast = perhaps_faster(fixes, limit.min())
    at = np.flatnonzero(fast[:-1] & fast[1:]) + 1
    if len(at):
        top = limit[at]
        out, back, past = (
            _speed_mps(fixes, *ends) for ends in ((at - 1, at), (at, at + 1), (at - 1, at + 1))
        )
        ignored[at] = (out > top) & (back > top) & (past <= top)
    return ignored


METRES_A_DEGREE = np.pi / 180 * EARTH_RADIUS_M * (1 + 1e-9)
"""A little more than a degree of a great circle has."""
_BLOCK = 1 << 14
"""How many legs at once: what is computed of them stays in the processor's cache."""


def perhaps_faster(fixes: Fixes, limit_mps: float | np.floating) -> NDArray[np.bool_]:
    """Which legs of fixes in order may be faster than a limit: ``bool[n - 1]``, none that joins two devices.

    |Δlat| + |Δlon| bounds the great circle from above, so only the few fast legs need the exact distance.
    """
    fast = np.empty(max(len(fixes) - 1, 0), np.bool_)
    reach = limit_mps / METRES_A_DEGREE / SECOND
    for low in range(0, len(fast), _BLOCK):
        rows = slice(low, low + _BLOCK + 1)
        lon, lat, time, device = fixes.lon[rows], fixes.lat[rows], fixes.time[rows], fixes.device[rows]
        bound = np.abs(lon[1:] - lon[:-1]) + np.abs(lat[1:] - lat[:-1])
        fast[low : low + _BLOCK] = (bound > (time[1:] - time[:-1]) * reach) & (device[1:] == device[:-1])
    return fast


def _between_m(fixes: Fixes, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Metres from rows to rows, straight."""
    return distance_m(fixes.lon[a], fixes.lat[a], fixes.lon[b], fixes.lat[b])


def _speed_mps(fixes: Fixes, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Metres a second from rows to rows, straight."""
    return _between_m(fixes, a, b) / ((fixes.time[b] - fixes.time[a]) / SECOND)


def impossible(kept: Fixes, policies: Policies) -> NDArray[np.bool_]:
    """Which legs nobody drove, being faster than the jump speed (rule 4a).

    Args:
        kept: fixes in order of which none is a jump.
        policies: the one at the start of a leg decides.

    Returns:
        ``bool[n - 1]``, a leg for each two rows; False between two devices.
    """
    found = np.zeros(max(len(kept) - 1, 0), np.bool_)
    if not len(found):
        return found
    limit = np.broadcast_to(policies.setting(lambda p: p.jump_speed_mps, kept.time[:-1]), len(found))
    at = np.flatnonzero(perhaps_faster(kept, limit.min()))
    found[at] = _speed_mps(kept, at, at + 1) > limit[at]
    return found


def lost_legs(kept: Fixes, policies: Policies) -> NDArray[np.bool_]:
    """Which legs are unknown because nobody drove so (rule 4a): ``bool[n - 1]``, as in :func:`impossible`.

    Impossible ones, and what lies between two of them: a device that was there must have driven there and
    back. So the legs of fixes that are at most ``max_gap_s`` apart, first to last, with nothing impossible
    among them, an impossible leg of more than ``apart_m`` before and behind, and a way that can be driven
    past them. (Shorter ones may be the error of a position, as with a report a second.)
    """
    lost = impossible(kept, policies)
    legs = np.flatnonzero(lost)
    if not len(legs):
        return lost
    before, last = legs[:-1], legs[1:]
    first, after = before + 1, last + 1
    start = kept.time[before]
    span = np.rint(policies.setting(lambda p: p.max_gap_s, start) * SECOND)
    away = (last > first) & (kept.device[before] == kept.device[after])
    away &= kept.time[last] - kept.time[first] <= span
    at = np.flatnonzero(away)
    limit, apart = (
        np.broadcast_to(policies.setting(setting, start), len(before))[at]
        for setting in (lambda p: p.jump_speed_mps, lambda p: p.apart_m)
    )
    there = np.minimum(_between_m(kept, before[at], first[at]), _between_m(kept, last[at], after[at]))
    at = at[(there > apart) & (_speed_mps(kept, before[at], after[at]) <= limit)]
    lost[ranges(first[at], last[at])[1]] = True
    return lost


def stays(fixes: Fixes, history: AreaHistory, policies: Policies) -> Stays:
    """The stays of all devices.

    Args:
        fixes: any reports; they are put in order, and jumps ignored, first.
        history: the area versions.
        policies: the settings of rules 3 and 4, judged at the start of each leg.

    Returns:
        for each device a tiling from its first fix to its last (nothing for a device with one fix).
    """
    fixes = in_order(fixes)
    return legs_to_stays(take(fixes, ~jumps(fixes, policies)), history, policies)


def whole_stays(stays: Stays, places: Sequence[Place]) -> Stays:
    """Stays as rule 7 has them: cut where the place changes, not where what is near does (rule 14).

    Args:
        stays: as the core keeps them.
        places: the places behind ``stays.place``; those that come out are without what is near.
    """
    exact = exact_numbers(places)[stays.place]
    row, start, end = coalesce(stays.start, stays.end, [stays.device, exact])
    return Stays(stays.device[row], start, end, exact[row])


def legs_to_stays(
    kept: Fixes, history: AreaHistory, policies: Policies, lost: NDArray[np.bool_] | None = None
) -> Stays:
    """Stays from fixes in order of which none is a jump (rules 4 to 7).

    Args:
        kept: the fixes.
        history: the area versions.
        policies: the settings of rule 4.
        lost: ``bool[n - 1]``, what :func:`lost_legs` says of them among more fixes than these; None: these
            are all.
    """
    lost = lost_legs(kept, policies) if lost is None else lost
    a = np.flatnonzero(kept.device[1:] == kept.device[:-1])
    start, end = kept.time[a], kept.time[a + 1]
    gap = end - start
    drivable = ~lost[a]
    moving = drivable & (gap <= policies.setting(lambda p: p.max_gap_s, start) * SECOND)
    waiting = drivable & ~moving & (gap <= policies.setting(lambda p: p.parked_gap_s, start) * SECOND)
    near = np.flatnonzero(waiting)
    apart = distance_m(kept.lon[a[near]], kept.lat[a[near]], kept.lon[a[near] + 1], kept.lat[a[near] + 1])
    near = near[
        apart <= np.broadcast_to(policies.setting(lambda p: p.parked_distance_m, start), len(a))[near]
    ]

    error = _errors(
        kept.error_m[a], kept.error_m[a + 1], policies.setting(lambda p: p.default_error_m, start)
    )
    version, last_version = history.version_at(start), history.version_at(end - 1)
    leg: list[NDArray[np.int64]] = []
    when: list[NDArray[np.int64]] = []
    place: list[NDArray[np.int32]] = []

    def add(legs: NDArray[np.int64], times: NDArray[np.int64], places: NDArray[np.int32]) -> None:
        leg.append(legs)
        when.append(times)
        place.append(places)

    observed = np.zeros(len(a), np.bool_)
    observed[moving] = True
    observed[near] = True
    unseen = np.flatnonzero(~observed)
    add(unseen, start[unseen], np.full(len(unseen), UNKNOWN, np.int32))

    low, high = (int(version.min()), int(last_version.max())) if len(a) else (0, -1)
    for number in range(low, high + 1):
        during = (version <= number) & (last_version >= number)
        opens, closes = history.span(number)

        walked = np.flatnonzero(moving & during)
        i = a[walked]
        ways = kept.lon[i], kept.lat[i], kept.lon[i + 1], kept.lat[i + 1]
        pieces = history.crossings(number, *ways, error[walked])
        owner = walked[pieces.leg]
        times = start[owner]
        cut = np.flatnonzero(pieces.start)  # the others begin with their leg
        within = owner[cut]
        # To the nearest microsecond, ties to the even one: of the time itself, hence the odd start's detour.
        odd = times[cut] & 1
        times[cut] += np.rint(pieces.start[cut] * gap[within] + odd).astype(np.int64) - odd
        add(*_clipped(owner, times, pieces.place, end, opens=opens, closes=closes))

        stood = near[during[near]]
        i = a[stood]
        ways = kept.lon[i], kept.lat[i], kept.lon[i + 1], kept.lat[i + 1]
        add(stood, np.maximum(start[stood], opens), history.parked(number, *ways, error[stood]))

    legs, times, places = np.concatenate(leg), np.concatenate(when), np.concatenate(place)
    order = in_time_order(legs, times) if high > low else np.argsort(legs, kind="stable")
    legs, times, places = legs[order], times[order], places[order]
    return _runs(kept.device[a], end, legs, times, places)


def _errors(
    here: NDArray[np.float64], there: NDArray[np.float64], default: NDArray[np.float64] | np.float64
) -> NDArray[np.float64]:
    """The error of each leg, metres: the larger of its two fixes', the default where missing (rule 14)."""
    here, there = here.copy(), there.copy()
    for errors in (here, there):
        missing = np.flatnonzero(~(errors > 0))
        errors[missing] = np.broadcast_to(default, len(errors))[missing]
    return np.maximum(here, there)


def _clipped(
    leg: NDArray[np.int64],
    time: NDArray[np.int64],
    place: NDArray[np.int32],
    leg_end: NDArray[np.int64],
    *,
    opens: int,
    closes: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The part of the pieces that lies within ``[opens, closes)``: a leg is cut where the version changes."""
    if not len(leg) or (time[0] >= opens and time.min() >= opens and leg_end[leg].max() <= closes):
        return leg, time, place
    until = leg_end[leg].copy()
    same = leg[1:] == leg[:-1]
    until[:-1][same] = time[1:][same]
    inside = (until > opens) & (time < closes)
    return leg[inside], np.maximum(time[inside], opens), place[inside]


def _runs(
    device: NDArray[np.int32],
    leg_end: NDArray[np.int64],
    leg: NDArray[np.int64],
    time: NDArray[np.int64],
    place: NDArray[np.int32],
) -> Stays:
    """Pieces sorted by leg and time → maximal stays (rule 7)."""
    if not len(leg):
        nothing = np.empty(0, np.int64)
        return Stays(device[:0], nothing, nothing, place[:0])
    until = leg_end[leg].copy()
    same = leg[1:] == leg[:-1]
    until[:-1][same] = time[1:][same]
    # Two crossings may round to the same microsecond: the piece between them has no length and is no stay.
    real = np.flatnonzero(time < until)
    owner, time, until, place = device[leg[real]], time[real], until[real], place[real]
    first = np.flatnonzero(changes(owner, place))
    last = np.append(first[1:], len(owner)) - 1
    return Stays(owner[first], time[first], until[last], place[first])
