"""Where facts contradict each other (rule 21), moment by moment.

Reports, stays, slices and duties come in; nothing of boundaries. Whatever can be counted in whole numbers
and fractions is. Great circles cannot: the moments at which two devices are so far apart are found by search,
to the microsecond, and may be off by one.

Readings taken: a run of equal coordinates is of consecutive reports, jumps among them; it is told once, by
its own speeds or else by the first other device by name. An allocation is cut to its duty; that a radio is
booked twice, or that a device is an officer's alone, is judged by all standing duties, that a radio and a
vehicle are apart by the duty that the instant belongs to.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tests.oracle.ambiguity import valley
from tests.oracle.slices import allocated, duty_at, place_at, span, standing
from tests.oracle.stays import SECOND, distance_m, without_jumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stream.core.facts import Allocation, Duty
    from tests.oracle.exact import Place
    from tests.oracle.slices import Slice
    from tests.oracle.stays import Stay

Report: TypeAlias = "tuple[str, int, float, float, float | None, float | None]"
"""``(device_id, time in µs, lon, lat, error_m, speed_mps)``."""

Interval: TypeAlias = tuple[int, int]
"""``(start, end)`` in µs, half open."""


class Doubt(NamedTuple):
    """A doubtful stretch of a duty, times in µs."""

    duty_id: str
    start: int
    end: int
    kind: str
    device_id: str
    other_id: str


class Limits(NamedTuple):
    """Rule 21's thresholds."""

    double_speed_mps: float = 40.0
    double_turns: int = 6
    double_within_s: int = 900
    frozen_s: int = 1800
    frozen_speed_mps: float = 2.0
    apart_m: float = 500.0
    apart_s: int = 900
    apart_speed_mps: float = 5.0
    max_gap_s: int = 300
    jump_mps: float = 80.0


USUAL = Limits()


def kept(reports: Iterable[Report]) -> list[Report]:
    """Rule 1 for one device, in time order; what agrees so far is told apart by speed, missing last."""

    def rank(report: Report) -> tuple[float, ...]:
        _, _, lon, lat, error, speed = report
        return (math.inf if error is None else error, lon, lat, math.inf if speed is None else speed)

    best: dict[int, Report] = {}
    for report in reports:
        if report[1] not in best or rank(report) < rank(best[report[1]]):
            best[report[1]] = report
    return [best[time] for time in sorted(best)]


def _metres(a: Report, b: Report) -> float:
    return distance_m(a[:5], b[:5])


def _speed(a: Report, b: Report) -> float:
    return _metres(a, b) / ((b[1] - a[1]) / SECOND)


def _turns_back(a: Report, b: Report, c: Report) -> bool:
    """Whether the ways a to b and b to c point apart by more than a right angle, in the plane at b."""
    squeeze = Fraction(math.cos(math.radians(b[3]))) ** 2
    a_, b_, c_ = ((Fraction(item[2]), Fraction(item[3])) for item in (a, b, c))
    east = (b_[0] - a_[0]) * (c_[0] - b_[0])
    north = (b_[1] - a_[1]) * (c_[1] - b_[1])
    return east * squeeze + north < 0


def two_devices(track: Sequence[Report], limits: Limits = USUAL) -> list[Interval]:
    """When one device's reports, kept and with jumps, are those of two."""
    turns = [
        b[1]
        for a, b, c in zip(track, track[1:], track[2:], strict=False)
        if _speed(a, b) > limits.double_speed_mps
        and _speed(b, c) > limits.double_speed_mps
        and _turns_back(a, b, c)
    ]
    within = limits.double_within_s * SECOND
    marks = []
    for first in turns:
        near = [time for time in turns if first <= time <= first + within]
        if len(near) >= limits.double_turns:
            marks.append((first, near[-1]))
    return joined(marks, within)


def joined(intervals: Iterable[Interval], gap: int = 0) -> list[Interval]:
    """Intervals that overlap, touch, or lie less than a gap apart become one."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and (start <= found[-1][1] or start - found[-1][1] < gap):
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return found


class Facts(NamedTuple):
    """What doubts are judged on; reports are kept, legs are without jumps."""

    tracks: Mapping[str, list[Report]]
    legs: Mapping[str, list[tuple[Report, Report]]]
    stays: Mapping[str, Sequence[Stay]]
    duties: list[Duty]
    as_of: int | None
    limits: Limits

    def holders(self, device_id: str, t: int, *, radio: bool = False) -> set[str]:
        """The officers to whom a device is allocated at an instant."""
        return {
            duty.officer_id
            for duty in self.duties
            for item in duty.devices
            if item.device_id == device_id
            and (item.kind == "radio" or not radio)
            and self.holds(duty, item, t)
        }

    def holds(self, duty: Duty, item: Allocation, t: int) -> bool:
        """Whether an allocation of a duty holds at an instant."""
        start, end = allocated(duty, item, self.as_of)
        return start <= t < end

    def edges(self, *device_ids: str) -> set[int]:
        """Every instant at which anything changes about some devices, or about any duty."""
        found = {
            edge
            for duty in self.duties
            for edge in (
                *allocated_span(duty, self.as_of),
                *(edge for item in duty.devices for edge in allocated(duty, item, self.as_of)),
            )
        }
        for name in device_ids:
            found.update(edge for start, end, _ in self.stays.get(name, ()) for edge in (start, end))
            found.update(report[1] for leg in self.legs.get(name, ()) for report in leg)
        return found

    def leg_at(self, device_id: str, t: int) -> tuple[Report, Report] | None:
        """The leg of a device at an instant."""
        return next((leg for leg in self.legs.get(device_id, ()) if leg[0][1] <= t < leg[1][1]), None)


def allocated_span(duty: Duty, as_of: int | None) -> Interval:
    """A duty's interval."""
    return span(duty, duty.start if as_of is None else as_of)


def spot(leg: tuple[Report, Report], t: int) -> tuple[float, float]:
    """Where a device is on its leg."""
    a, b = leg
    part = (t - a[1]) / (b[1] - a[1])
    return a[2] + (b[2] - a[2]) * part, a[3] + (b[3] - a[3]) * part


def far(
    one: tuple[Report, Report], other: tuple[Report, Report], start: int, end: int, metres: float
) -> list[Interval]:
    """The moments of ``[start, end)`` at which two devices on their legs are more than so far apart."""

    def gap(t: int) -> float:
        here, there = spot(one, start + t), spot(other, start + t)
        return distance_m(("", 0, *here, None), ("", 0, *there, None))

    near = valley(gap, end - 1 - start, metres)
    if near is None:
        return [(start, end)]
    parts = [(start, start + near[0]), (start + near[1] + 1, end)]
    return [(low, high) for low, high in parts if low < high]


def frozen(device_id: str, facts: Facts) -> Iterator[tuple[int, int, str]]:
    """Runs of equal coordinates that no receiver makes that moves: ``(start, end, the other device)``."""
    limits = facts.limits
    for _, group in groupby(facts.tracks[device_id], key=lambda report: report[2:4]):
        run = list(group)
        start, end = run[0][1], run[-1][1]
        if end - start < limits.frozen_s * SECOND or start == end:
            continue
        stated = [report[5] for report in run if report[5] is not None]
        if 2 * sum(speed > limits.frozen_speed_mps for speed in stated) > len(stated):
            yield start, end, ""
            continue
        for other in sorted(facts.tracks):
            if other != device_id and _elsewhere(run, other, facts) > limits.apart_s * SECOND:
                yield start, end, other
                break


def _elsewhere(run: Sequence[Report], other: str, facts: Facts) -> int:
    """For how long another device, its officer's alone, was far from a run of equal coordinates."""
    start, end = run[0][1], run[-1][1]
    total = 0
    here = (run[0], (*run[0][:1], end, *run[0][2:]))
    edges = sorted({t for t in facts.edges(run[0][0], other) if start < t < end} | {start, end})
    for low, high in pairwise(edges):
        mine, theirs = facts.holders(run[0][0], low), facts.holders(other, low)
        leg = facts.leg_at(other, low)
        known = place_at(low, facts.stays.get(other, ())) is not None
        if len(theirs) == 1 and theirs <= mine and known and leg is not None:
            total += sum(b - a for a, b in far(here, leg, low, high, facts.limits.apart_m))
    return total


def kind_of_place(place: Place, duty: Duty) -> str:
    """On the duty's patch, off it, or in premises."""
    if place.premises is not None:
        return "premises"
    return "on" if place.neighbourhood in duty.patch else "off"


def apart(duty: Duty, radio: str, vehicle: str, facts: Facts) -> list[Interval]:
    """When a duty's radio is long somewhere else than its moving vehicle."""
    limits = facts.limits
    moments: list[Interval] = []
    own = [item for item in facts.duties if item.officer_id == duty.officer_id]
    for low, high in pairwise(sorted(facts.edges(radio, vehicle))):
        if duty_at(low, own, facts.as_of) is not duty:
            continue
        held = {
            (item.kind == "radio", item.device_id) for item in duty.devices if facts.holds(duty, item, low)
        }
        if not {(True, radio), (False, vehicle)} <= held:
            continue
        here, there = (place_at(low, facts.stays.get(name, ())) for name in (radio, vehicle))
        one, two = facts.leg_at(radio, low), facts.leg_at(vehicle, low)
        if here is None or there is None or one is None or two is None:
            continue
        if kind_of_place(here, duty) != kind_of_place(there, duty) and _speed(*two) > limits.apart_speed_mps:
            moments += far(one, two, low, high, limits.apart_m)
    long = limits.apart_s * SECOND
    return [(a, b) for a, b in joined(moments, limits.max_gap_s * SECOND) if b - a >= long]


def decided(item: Slice) -> bool:
    """Whether a position decided what a slice counts as."""
    hidden = item.activity == "not_visible" and item.place is not None and item.place.premises == item.reason
    return item.device_id is not None and (item.activity in ("on_patch", "off_patch") or hidden)


def doubts(
    reports: Sequence[Report],
    stays: Mapping[str, Sequence[Stay]],
    slices: Sequence[Slice],
    duties: Sequence[Duty],
    *,
    as_of: int | None = None,
    limits: Limits = USUAL,
) -> list[Doubt]:
    """Rule 21: the doubtful stretches of every standing duty, by duty, start, kind, device and other.

    Args:
        reports: usable reports of all devices, in any order.
        stays: for each device its stays, as ``stays`` gives them.
        slices: as ``slices`` gives them; premises are not named like a state.
        duties: revisions of duties, in any order.
        as_of: µs; open duties are counted up to here.
        limits: the thresholds.
    """
    names = sorted({report[0] for report in reports})
    tracks = {name: kept(report for report in reports if report[0] == name) for name in names}
    legs = {}
    for name, track in tracks.items():
        stay = {fix[1] for fix in without_jumps([report[:5] for report in track], limits.jump_mps)}
        legs[name] = list(pairwise(report for report in track if report[1] in stay))
    facts = Facts(tracks, legs, stays, standing(duties), as_of, limits)
    seen = [item for item in slices if decided(item)]

    found: dict[tuple[str, str, str, str], list[Interval]] = {}

    def add(item: Slice, start: int, end: int, kind: str, device: str, other: str) -> None:
        low, high = max(item.start, start), min(item.end, end)
        if low < high:
            found.setdefault((item.duty_id, kind, device, other), []).append((low, high))

    for name, track in tracks.items():
        own = [item for item in seen if item.device_id == name]
        alone = [(start, end, "two_devices", "") for start, end in two_devices(track, limits)]
        alone += [(start, end, "frozen", other) for start, end, other in frozen(name, facts)]
        for item in own:
            for start, end, kind, other in alone:
                add(item, start, end, kind, name, other)
            edges = {t for t in facts.edges() if item.start < t < item.end} | {item.start, item.end}
            for start, end in pairwise(sorted(edges)):
                holders = facts.holders(name, start, radio=True)
                for other in holders - {item.officer_id} if len(holders) > 1 else ():
                    add(item, start, end, "shared_radio", name, other)
    for duty in facts.duties:
        for radio, vehicle in {
            (one.device_id, two.device_id)
            for one in duty.devices
            for two in duty.devices
            if one.kind == "radio" and two.kind != "radio" and one.device_id != two.device_id
        }:
            for start, end in apart(duty, radio, vehicle, facts):
                for item in seen:
                    if item.duty_id == duty.duty_id:
                        add(item, start, end, "apart", radio, vehicle)
    return sorted(
        Doubt(duty_id, start, end, kind, device, other)
        for (duty_id, kind, device, other), parts in found.items()
        for start, end in joined(parts)
    )
