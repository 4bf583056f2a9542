"""Stays + duties + states → slices of officer time (accounting rules 8 to 12).

Columns in, columns out; no Kafka, no database, no clock. Every instant of a duty is judged on its own,
from the stays, states and allocations at that instant, so a window of a duty can be recounted and put back
into the rest.

What is booked and keyed becomes columns first (``plan``), which whoever counts again and again may keep. Then
the steps: duties are cut into *spans* (an officer is on one duty at a time); each allocation of a device lays
*claims* on the time in which the device's place is known; claims, states and spans cut the duty into
elementary intervals; each of them gets its best claim, its state and by these its activity; alike neighbours
are joined.
"""

from __future__ import annotations

import bisect
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geo.matching.history import FOREVER, UNKNOWN, exact_numbers
from stream.core.columns import Columns, changes, coalesce, in_time_order, offsets, ranges, search
from stream.core.policy import BREAK, MAX_STATE, NOT_VISIBLE, OFF_DUTY, Policies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty, StateReport
    from stream.core.stays import Stays

ACTIVITIES = ("break", "not_visible", "unknown", "on_patch", "off_patch")
"""Rule 11's activities in the order in which they apply."""
ON_BREAK, HIDDEN, UNSEEN, ON_PATCH, OFF_PATCH = range(5)

NO_STATE = -1
"""The state of slices that were counted before states were kept with every slice."""
NO_DEVICE = -1

DEFAULTS: Final = Policies()
"""The rules' own settings."""


@dataclass(frozen=True, slots=True, eq=False)
class Slices(Columns):
    """Slices of duties, sorted by duty and time; those of one duty tile it, less state 11 (rule 12).

    Finer than the rule asks: also cut where the state changes, and where what is near changes (rule 14);
    ``whole_slices`` joins them.

    Attributes:
        duty: ``int32[m]``, index into the duties given.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive; perhaps in the future.
        activity: ``int8[m]``, index into ``ACTIVITIES``.
        state: ``int16[m]``, the radio status in force (rule 10).
        place: ``int32[m]``, a number of ``AreaHistory.places``, or ``UNKNOWN``; with what is near only where
            the position decides what the time counts as (rule 14).
        device: ``int32[m]``, the stays' numbering, or ``NO_DEVICE``.
    """

    duty: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    activity: NDArray[np.int8]
    state: NDArray[np.int16]
    place: NDArray[np.int32]
    device: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def none(cls) -> Slices:
        """No slices."""
        number, time = np.empty(0, np.int32), np.empty(0, np.int64)
        return cls(number, time, time, np.empty(0, np.int8), np.empty(0, np.int16), number, number)


def canonical(duty: Duty) -> str:
    """One text for one content: JSON with sorted keys and no blanks."""
    return json.dumps(booking(duty), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def booking(duty: Duty) -> dict[str, Any]:
    """What was booked, field by field; how much of it counts is no part of it, but for the policy to say."""
    found = asdict(duty)
    del found["longest"]
    return found


def newest(duties: Iterable[Duty], policies: Policies = DEFAULTS) -> list[Duty]:
    """The revision of each duty that counts (rule 8), sorted by ``duty_id``; cancelled ones among them.

    If one revision was sent twice with different contents, the one with the greater canonical text counts,
    whichever came first.

    Args:
        duties: revisions, in any order.
        policies: how long each may be is for the policy at its start to say (rule 8a).
    """
    kept: dict[str, Duty] = {}
    for duty in duties:
        other = kept.get(duty.duty_id)
        if (
            other is None
            or duty.revision > other.revision
            or (duty.revision == other.revision and duty != other and canonical(duty) > canonical(other))
        ):
            kept[duty.duty_id] = duty
    return limited([kept[name] for name in sorted(kept)], policies)


def limited(duties: Iterable[Duty], policies: Policies) -> list[Duty]:
    """Duties with the longest duty of the policy at their start (rule 8a), in the same order."""
    found = list(duties)
    limits = [policy.longest_duty for policy in policies.policies]
    number = policies.number_at(np.array([duty.start for duty in found], np.int64)).tolist()
    return [
        duty if duty.longest == limits[at] else replace(duty, longest=limits[at])
        for duty, at in zip(found, number, strict=True)
    ]


def spans(
    duties: Sequence[Duty], windows: Mapping[int, tuple[int, int]] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """When each duty is the one that its officer is on.

    Where duties of one officer overlap, an instant belongs to the one that started latest (of equals: the
    greater ``duty_id``), so time is never counted twice (rule 8, and see ``stream/README.md``).

    Args:
        duties: newest revisions; those that do not count have no span.
        windows: by duty number, the interval asked about; duties not named are left out. None: all, whole.

    Returns:
        ``(duty, start, end)`` columns sorted by duty and start.
    """
    by_officer: dict[str, list[int]] = {}
    for number, duty in enumerate(duties):
        if duty.counts:
            by_officer.setdefault(duty.officer_id, []).append(number)
    found: list[tuple[int, int, int]] = []
    for numbers in by_officer.values():
        numbers.sort(key=lambda number: (duties[number].start, duties[number].duty_id))
        for at, number in enumerate(numbers):
            if windows is not None and number not in windows:
                continue
            duty = duties[number]
            free = [(duty.start, duty.until)]
            if windows is not None:
                low, high = windows[number]
                free = [(max(free[0][0], low), min(free[0][1], high))]
            for later in numbers[at + 1 :]:
                taken, until = duties[later].start, duties[later].until
                free = [
                    part
                    for low, high in free
                    for part in ((low, min(high, taken)), (max(low, until), high))
                    if part[0] < part[1]
                ]
            found.extend((number, low, high) for low, high in free if low < high)
    found.sort()
    table = np.array(found, np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].copy(), table[:, 2].copy()


def slices(
    duties: Sequence[Duty],
    stays: Stays,
    device_ids: Sequence[str],
    states: Iterable[StateReport],
    places: Sequence[Place],
    policies: Policies,
    *,
    windows: Mapping[int, tuple[int, int]] | None = None,
) -> Slices:
    """The slices of all duties, or of the windows asked about.

    Args:
        duties: newest revisions (``newest``), with all duties of every officer that occurs.
        stays: sorted by device and time.
        device_ids: the names behind ``stays.device``.
        states: the officers' radio states, from each duty's start on.
        places: the places behind ``stays.place``.
        policies: each duty is judged by the policy at its start.
        windows: by duty number, the interval asked about; None: every duty, whole.
    """
    booked = plan(duties, {name: number for number, name in enumerate(device_ids)}, states)
    low = np.full(len(duties), -FOREVER if windows is None else FOREVER, np.int64)
    high = np.full(len(duties), FOREVER, np.int64)
    for number, (start, end) in (windows or {}).items():
        low[number], high[number] = start, end
    return planned_slices(booked, stays, places, policies, low, high)


SPAN = np.dtype([("low", "<i8"), ("high", "<i8")])
"""A span of a duty: start and end, microseconds."""
HELD = np.dtype([("low", "<i8"), ("high", "<i8"), ("rank", "<i8"), ("device", "<i8")])
"""A device allocated: start and end, which of the duty's is asked first (0), and its number."""
KEYED = np.dtype([("time", "<i8"), ("state", "<i8")])
"""A radio state: when it was keyed, and its code."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is booked and keyed for duties, as columns: all that their slices follow from but the stays.

    A duty's part depends on its officer's bookings and states alone, with how long these duties may be (rule
    8a), so it may be kept beside others.

    Attributes:
        start: ``int64[n]``, the duties' starts, microseconds.
        patch: ``int32[n]``, index into ``patches``.
        patches: home patches.
        spans: ``SPAN[s]``, by duty and time, and ``span_bounds``: ``int64[n + 1]``, whose they are.
        held: ``HELD[h]``, by duty and rank, and ``held_bounds``.
        keyed: ``KEYED[k]``, by duty and time, within what counts of it, one a time; and ``keyed_bounds``.
    """

    start: NDArray[np.int64]
    patch: NDArray[np.int32]
    patches: Sequence[tuple[str, ...]]
    spans: NDArray[Any]
    span_bounds: NDArray[np.int64]
    held: NDArray[Any]
    held_bounds: NDArray[np.int64]
    keyed: NDArray[Any]
    keyed_bounds: NDArray[np.int64]


def plan(duties: Sequence[Duty], devices: Mapping[str, int], states: Iterable[StateReport]) -> Plan:
    """What is booked and keyed for duties.

    Args:
        duties: newest revisions, with all duties of every officer that occurs.
        devices: numbers of the devices by name; others are left out, for nothing is known of them.
        states: the officers' radio states, from each duty's start on.
    """
    codes: dict[tuple[str, ...], int] = {}
    patch = [codes.setdefault(duty.patch, len(codes)) for duty in duties]
    owner, low, high = spans(duties)
    span = np.empty(len(owner), SPAN)
    span["low"], span["high"] = low, high
    rows = [
        (number, start, end, rank, devices[name])
        for number, duty in enumerate(duties)
        for rank, (name, start, end) in enumerate(allocations(duty))
        if name in devices and start < end
    ]
    holder, held = _structured(rows, HELD)
    # Where several states are keyed at one instant, the largest code counts, whatever the order of arrival.
    by_officer: dict[str, dict[int, int]] = {}
    for report in states:
        known = by_officer.setdefault(report.officer_id, {})
        known[report.time] = max(known.get(report.time, NO_STATE), min(report.state, MAX_STATE))
    reports = {officer: sorted(known.items()) for officer, known in by_officer.items()}
    keyer, keyed = _structured(
        [
            (number, when, code)
            for number, duty in enumerate(duties)
            for when, code in _within(reports.get(duty.officer_id, []), duty)
        ],
        KEYED,
    )
    count = len(duties)
    return Plan(
        np.array([duty.start for duty in duties], np.int64),
        np.array(patch, np.int32),
        tuple(codes),
        *(span, offsets(owner, count)),
        *(held, offsets(holder, count)),
        *(keyed, offsets(keyer, count)),
    )


def _within(reports: list[tuple[int, int]], duty: Duty) -> list[tuple[int, int]]:
    """Of an officer's states in order those keyed in what counts of a duty."""
    first = bisect.bisect_left(reports, (duty.start,))
    return reports[first : bisect.bisect_left(reports, (duty.until,), first)]


def _structured(
    rows: Sequence[tuple[int, ...]], kind: np.dtype[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Rows whose first number is their owner's → owners, and the rest as one structured array."""
    names = kind.names or ()
    table = np.array(rows, np.int64).reshape(-1, 1 + len(names))
    found = np.empty(len(table), kind)
    for at, name in enumerate(names, 1):
        found[name] = table[:, at]
    return np.ascontiguousarray(table[:, 0]), found


def planned_slices(
    booked: Plan,
    stays: Stays,
    places: Sequence[Place],
    policies: Policies,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> Slices:
    """The slices of windows of duties.

    Args:
        booked: the duties.
        stays: sorted by device and time, numbered as the devices of ``booked``.
        places: the places behind ``stays.place``.
        policies: each duty is judged by the policy at its start.
        low: ``int64[n]``, where each duty's window starts, microseconds.
        high: ``int64[n]``, where it ends; no later than ``low``: the duty is left out.
    """
    duty = np.repeat(np.arange(len(booked.start), dtype=np.int32), np.diff(booked.span_bounds))
    opens, closes = np.maximum(booked.spans["low"], low[duty]), np.minimum(booked.spans["high"], high[duty])
    asked = np.flatnonzero(opens < closes)
    duty, opens, closes = duty[asked], opens[asked], closes[asked]
    claim = _claims(booked, duty, opens, closes, stays)
    changed = _state_changes(booked, duty, opens, closes)

    # Elementary intervals: every instant at which anything may change, per span.
    number = np.arange(len(duty), dtype=np.int64)
    span = np.concatenate([number, number, claim.span, claim.span, changed.span])
    time = np.concatenate([opens, closes, claim.start, claim.end, changed.time])
    order = in_time_order(span, time)
    fresh = changes(span[order], time[order])
    mark = np.empty(len(order), np.int64)
    mark[order] = np.cumsum(fresh) - 1
    span, time = span[order][fresh], time[order][fresh]
    first, last, claim_from, claim_to, state_at = np.split(
        mark, np.cumsum([len(number), len(number), len(claim.start), len(claim.end)])
    )

    # Rule 9: claims are painted from the worst rank to the best, so that the best stays on top.
    best = np.full(len(time), -1, np.int64)
    for rank in range(int(claim.rank.max(initial=-1)), -1, -1):
        painted = np.flatnonzero(claim.rank == rank)
        which, cell = ranges(claim_from[painted], claim_to[painted])
        best[cell] = painted[which]
    # Rule 10: a state holds until the next; each span knows the one it opens with.
    code = np.full(len(time), -1, np.int64)
    code[first] = changed.opening
    code[state_at] = changed.state
    known = np.maximum.accumulate(np.where(code >= 0, np.arange(len(code)), 0))
    code = code[known]

    cells = np.ones(len(time), np.bool_)
    cells[last] = False
    at = np.flatnonzero(cells)
    owner, low, high = duty[span[at]], time[at], time[at + 1] if len(at) else time[at]
    best, code = best[at], code[at]
    seen = best >= 0
    place = np.where(seen, claim.place[best] if len(claim.place) else UNKNOWN, UNKNOWN).astype(np.int32)
    device = np.where(seen, claim.device[best] if len(claim.device) else NO_DEVICE, NO_DEVICE).astype(
        np.int32
    )
    activity, state, place = _activities(booked, owner, code, place, places=places, policies=policies)

    counted = np.flatnonzero(activity >= 0)
    row, start, end = coalesce(
        low[counted],
        high[counted],
        [column[counted] for column in (owner, activity, state, place, device)],
    )
    row = counted[row]
    return Slices(owner[row], start, end, activity[row], state[row], place[row], device[row])


@dataclass(frozen=True, slots=True, eq=False)
class _Claims:
    """Known time of an allocated device within a span; rank 0 is the best (rule 9)."""

    span: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    rank: NDArray[np.int64]
    device: NDArray[np.int32]
    place: NDArray[np.int32]


def _claims(
    booked: Plan,
    duty: NDArray[np.int32],
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    stays: Stays,
) -> _Claims:
    owner, at = ranges(booked.held_bounds[duty], booked.held_bounds[duty + 1])
    held = booked.held[at]
    start, end = np.maximum(opens[owner], held["low"]), np.minimum(closes[owner], held["high"])
    real = np.flatnonzero(start < end)
    owner, start, end = owner[real], start[real], end[real]
    best, device = held["rank"][real], held["device"][real]
    bounds = offsets(stays.device, int(device.max(initial=-1)) + 1)
    first, last = bounds[device], bounds[device + 1]
    row, stay = ranges(
        search(stays.end, first, last, start, right=True),  # the first stay that ends after the claim's start
        search(stays.start, first, last, end),  # up to the first that starts at or after its end
    )
    known = np.flatnonzero(stays.place[stay] != UNKNOWN)
    row, stay = row[known], stay[known]
    return _Claims(
        owner[row],
        np.maximum(start[row], stays.start[stay]),
        np.minimum(end[row], stays.end[stay]),
        best[row],
        device[row].astype(np.int32),
        stays.place[stay],
    )


def allocations(duty: Duty) -> list[tuple[str, int, int]]:
    """The duty's devices with the time allocated, the one that rule 9 asks first in front.

    Returns:
        ``(device_id, start, end)``, microseconds, cut to what counts of the duty.
    """
    held = [
        (item.kind != "radio", -max(duty.start, item.start or duty.start), item.device_id, item)
        for item in duty.devices
    ]
    held.sort(key=lambda entry: entry[:3])
    until = duty.until
    return [
        (name, -start, until if item.end is None else min(item.end, until)) for _, start, name, item in held
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _StateChanges:
    """The state each span opens with, and the changes within spans (rule 10)."""

    opening: NDArray[np.int64]
    span: NDArray[np.int64]
    time: NDArray[np.int64]
    state: NDArray[np.int64]


def _state_changes(
    booked: Plan, duty: NDArray[np.int32], opens: NDArray[np.int64], closes: NDArray[np.int64]
) -> _StateChanges:
    when = np.ascontiguousarray(booked.keyed["time"])
    code = booked.keyed["state"]
    low, high = booked.keyed_bounds[duty], booked.keyed_bounds[duty + 1]
    inside = search(when, low, high, opens, right=True)  # states keyed at or before the span opens
    opening = np.ones(len(duty), np.int64)
    held = np.flatnonzero(inside > low)
    opening[held] = code[inside[held] - 1]
    span, report = ranges(inside, search(when, low, high, closes))
    return _StateChanges(opening, span, when[report], code[report])


def _activities(
    booked: Plan,
    duty: NDArray[np.int32],
    code: NDArray[np.int64],
    place: NDArray[np.int32],
    *,
    places: Sequence[Place],
    policies: Policies,
) -> tuple[NDArray[np.int8], NDArray[np.int16], NDArray[np.int32]]:
    """Rule 11, first that applies: the activity (-1: nothing is counted), the state in force, the place.

    The place keeps what is near only where the position decides.
    """
    counts = np.zeros((len(policies.policies), MAX_STATE + 1), np.int8)
    for number, policy in enumerate(policies.policies):
        for state, meaning in policy.states.items():
            counts[number, state] = {BREAK: 1, NOT_VISIBLE: 2, OFF_DUTY: 3}.get(meaning.counts, 0)
    counted = counts[policies.number_at(booked.start)[duty], code]

    at_home = _at_home(booked.patches, booked.patch[duty], place, places)
    in_premises = np.array([item.premises is not None for item in places], np.bool_)[place]
    unknown = place == UNKNOWN
    activity = np.select(
        [counted == 3, counted == 1, counted == 2, unknown, in_premises, at_home],
        [-1, ON_BREAK, HIDDEN, UNSEEN, HIDDEN, ON_PATCH],
        OFF_PATCH,
    ).astype(np.int8)
    place = np.where((counted == 1) | (counted == 2), exact_numbers(places)[place], place).astype(np.int32)
    return activity, code.astype(np.int16), place


def _at_home(
    patches: Sequence[tuple[str, ...]],
    patch: NDArray[np.int32],
    place: NDArray[np.int32],
    places: Sequence[Place],
) -> NDArray[np.bool_]:
    """Whether a place lies in a home patch: decided once for each pair that occurs."""
    pair, back = np.unique(patch.astype(np.int64) * (len(places) + 1) + place + 1, return_inverse=True)
    answer = np.zeros(len(pair), np.bool_)
    for at, (home, where) in enumerate(
        zip(*(c.tolist() for c in divmod(pair, len(places) + 1)), strict=True)
    ):
        answer[at] = where > 0 and places[where - 1].neighbourhood in patches[home]
    return answer[back]


def up_to(slices: Slices, until: int) -> Slices:
    """Slices cut at an instant (microseconds); none is open any more."""
    found = slices.take(slices.start < np.minimum(slices.end, until))
    return replace(found, end=np.minimum(found.end, until))


def last_open(slices: Slices, duties: Sequence[Duty]) -> NDArray[np.bool_]:
    """Which slices reach to where a duty that has no end yet counts to (rule 8a): ``bool[m]``."""
    last = np.array([duty.until if duty.end is None else FOREVER for duty in duties], np.int64)
    return np.asarray(slices.end >= last[slices.duty]) if len(slices) else np.zeros(0, np.bool_)


def decisive(slices: Slices, duties: Sequence[Duty], policies: Policies) -> NDArray[np.bool_]:
    """Whether a slice is not visible because of its state (else because of the premises): ``bool[m]``."""
    hidden = np.zeros((len(policies.policies), MAX_STATE + 1), np.bool_)
    for number, policy in enumerate(policies.policies):
        for state, meaning in policy.states.items():
            hidden[number, state] = meaning.counts == NOT_VISIBLE
    began = np.array([item.start for item in duties], np.int64)
    by_policy = policies.number_at(began)[slices.duty] if len(duties) else np.zeros(0, np.int64)
    decided: NDArray[np.bool_] = hidden[by_policy, slices.state]
    decided &= (slices.activity == HIDDEN) & (slices.state != NO_STATE)
    return decided


def ambiguous(
    duties: Sequence[Duty], duty: NDArray[np.int32], place: NDArray[np.int32], places: Sequence[Place]
) -> NDArray[np.bool_]:
    """Whether the position's error leaves open if it is on the duty's patch (rule 14): ``bool[m]``.

    Slices keep what is near only where the position decides, so any slice may be asked about.

    Args:
        duties: the duties behind ``duty``.
        duty: ``int32[m]``.
        place: ``int32[m]``, numbers of ``places``, or ``UNKNOWN``.
        places: what the numbers stand for.
    """
    doubtful = np.array([bool(item.near) for item in places] + [False], np.bool_)
    at = np.flatnonzero(doubtful[np.where(place == UNKNOWN, -1, place)])
    answer = np.zeros(len(duty), np.bool_)
    if not len(at):
        return answer
    # Few patches are shared by many duties.
    number: dict[tuple[str, ...], int] = {}
    patch_of = np.array([number.setdefault(item.patch, len(number)) for item in duties], np.int64)
    pair, back = np.unique(patch_of[duty[at]] * len(places) + place[at], return_inverse=True)
    patches = list(number)
    found = np.zeros(len(pair), np.bool_)
    for row, (which, where) in enumerate(zip(*(c.tolist() for c in divmod(pair, len(places))), strict=True)):
        patch, spot = patches[which], places[where]
        home = spot.decides in patch
        found[row] = any((other in patch) != home for other in spot.near)
    answer[at] = found[back]
    return answer


def whole_slices(
    slices: Slices, duties: Sequence[Duty], places: Sequence[Place], policies: Policies, *, until: int
) -> tuple[Slices, NDArray[np.int64]]:
    """Slices as rule 12 has them, and the ambiguous microseconds of each (rule 14).

    Args:
        slices: as the core keeps them, cut wherever anything changes.
        duties: the duties behind ``slices.duty``.
        places: the places behind ``slices.place``.
        policies: they say which states decide.
        until: slices are cut here, microseconds.

    Returns:
        ``(whole, ambiguous)``: slices whose state is the one that decides, else ``NO_STATE``, and whose place
            is without what is near; and ``int64[m]`` microseconds.
    """
    slices = up_to(slices, until)
    state = np.where(decisive(slices, duties, policies), slices.state, NO_STATE).astype(np.int16)
    exact = exact_numbers(places)[slices.place]
    same = (slices.duty, slices.activity, state, exact, slices.device)
    row, start, shut = coalesce(slices.start, slices.end, same)
    whole = Slices(
        slices.duty[row], start, shut, slices.activity[row], state[row], exact[row], slices.device[row]
    )
    # The parts of a whole slice follow one another: each belongs to the last one that started.
    first = np.zeros(len(slices), np.int64)
    first[row] = 1
    owner = np.cumsum(first) - 1
    unsure = ambiguous(duties, slices.duty, slices.place, places)
    length = np.zeros(len(row), np.int64)
    np.add.at(length, owner[unsure], (slices.end - slices.start)[unsure])
    return whole, length


def reason(activity: int, state: str, place: Place | None) -> str:
    """The reason of a slice in a word: the state, the premises, or the place off the patch (rule 11).

    Args:
        activity: index into ``ACTIVITIES``.
        state: the name of the radio status where it is what decided, else empty.
        place: where, None where unknown.
    """
    if state:
        return state
    if place is not None and activity == HIDDEN:
        return place.premises or ""
    if place is not None and activity == OFF_PATCH:
        return place.neighbourhood or "outside"
    return ""
