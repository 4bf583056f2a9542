"""From stays to slices of officer time, instant by instant (rules 8 to 12).

Every instant at which anything can change is collected; between two of them nothing changes, so each such
interval is judged by itself and the equal ones are joined. Stays, duties and states come in; no geometry.
"""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stream.core.facts import Allocation, Duty, StateReport
    from tests.oracle.exact import Place
    from tests.oracle.stays import Stay

NOT_VISIBLE: Mapping[int, str] = {8: "unavailable", 9: "prisoner_escort", 10: "court"}
"""The states that are not visible, with the reason they give (rules 10 and 11)."""

Interval: TypeAlias = tuple[int, int]

LONGEST = 24 * 3_600_000_000
"""Rule 8a: a longer booking counts for nothing, and an open one so long and no further; elapsed µs."""


class Slice(NamedTuple):
    """One slice (rule 12), times in µs, half open.

    ``reason`` is the state's name or the premises for ``not_visible``, the neighbourhood or ``outside`` for
    ``off_patch``, else empty. Where the position is unknown, ``place`` and ``device_id`` are ``None``.
    """

    officer_id: str
    duty_id: str
    start: int
    end: int
    activity: str
    reason: str
    place: Place | None
    device_id: str | None


def canonical(duty: Duty) -> str:
    """One text for one content: JSON, keys sorted, no blanks."""
    booked = {name: value for name, value in dataclasses.asdict(duty).items() if name != "longest"}
    return json.dumps(booked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def standing(duties: Iterable[Duty], longest: int = LONGEST) -> list[Duty]:
    """Rules 8 and 8a: the last word on each duty, without those that count for nothing, by ``duty_id``.

    The highest revision counts; of one revision with several contents the greatest by canonical JSON text.
    Cancelled ones and those that were booked for longer than ``longest`` (µs) count for nothing.
    """
    latest: dict[str, Duty] = {}
    for duty in sorted(duties, key=lambda duty: (duty.revision, canonical(duty))):
        latest[duty.duty_id] = duty
    return sorted(
        (
            duty
            for duty in latest.values()
            if not duty.cancelled and (duty.end is None or duty.end <= duty.start + longest)
        ),
        key=lambda duty: duty.duty_id,
    )


def span(duty: Duty, as_of: int | None, longest: int = LONGEST) -> Interval:
    """A duty's interval; an open one reaches to ``as_of``, and no further than ``longest`` (rule 8a)."""
    if duty.end is not None:
        return duty.start, max(duty.start, duty.end)
    if as_of is None:
        raise ValueError(f"duty {duty.duty_id!r} is open: say as_of, the instant up to which it is counted")
    return duty.start, max(duty.start, min(as_of, duty.start + longest))


def counted_to(duty: Duty) -> int:
    """Up to where a standing duty counts at most (rule 8a)."""
    return duty.start + LONGEST if duty.end is None else duty.end


def allocated(duty: Duty, allocation: Allocation, as_of: int | None) -> Interval:
    """An allocation's interval, clipped to its duty: one made before the duty begins with it."""
    start, end = span(duty, as_of)
    begin = start if allocation.start is None else max(start, allocation.start)
    return begin, end if allocation.end is None else min(end, allocation.end)


def duty_at(t: int, duties: Iterable[Duty], as_of: int | None) -> Duty | None:
    """The duty that one officer's instant belongs to: the latest started, then the greatest ``duty_id``."""
    covering = [duty for duty in duties if span(duty, as_of)[0] <= t < span(duty, as_of)[1]]
    return max(covering, key=lambda duty: (duty.start, duty.duty_id), default=None)


def place_at(t: int, stays: Sequence[Stay]) -> Place | None:
    """Where a device is at an instant; ``None`` where unknown, before the first fix and after the last."""
    for start, end, place in stays:
        if start <= t < end:
            return place
    return None


def whereabouts(
    t: int, duty: Duty, stays: Mapping[str, Sequence[Stay]], as_of: int | None
) -> tuple[Place | None, str | None]:
    """Rule 9: where the officer is and which device says so; the first whose stay is known.

    Radios come before vehicles; within a kind the latest allocated first, then by ``device_id``.
    """
    for kind in ("radio", "vehicle"):
        intervals = [
            (*allocated(duty, allocation, as_of), allocation.device_id)
            for allocation in duty.devices
            if allocation.kind == kind
        ]
        held = [(start, device_id) for start, end, device_id in intervals if start <= t < end]
        for _, device_id in sorted(held, key=lambda item: (-item[0], item[1])):
            place = place_at(t, stays.get(device_id, ()))
            if place is not None:
                return place, device_id
    return None, None


def state_at(t: int, duty: Duty, states: Iterable[StateReport]) -> int:
    """Rule 10: 1 at the start of the duty, then what was keyed in it last; of one time the largest code."""
    keyed = [
        (report.time, report.state)
        for report in states
        if report.officer_id == duty.officer_id and duty.start <= report.time <= t
    ]
    return max(keyed)[1] if keyed else 1


def judge(
    duty: Duty,
    state: int,
    place: Place | None,
    *,
    break_states: Sequence[int],
    not_visible: Mapping[int, str],
    off_duty_states: Sequence[int],
) -> tuple[str, str] | None:
    """Rule 11: the activity and its reason, the first that applies; ``None`` where nothing is counted."""
    if state in off_duty_states:
        return None
    if state in break_states:
        return "break", ""
    if state in not_visible:
        return "not_visible", not_visible[state]
    if place is None:
        return "unknown", ""
    if place.premises is not None:
        return "not_visible", place.premises
    if place.neighbourhood in duty.patch:
        return "on_patch", ""
    return "off_patch", place.neighbourhood or "outside"


def merge_slices(pieces: Iterable[Slice]) -> list[Slice]:
    """Rule 12: pieces that touch and agree in all but their times become one."""
    merged: list[Slice] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and last.end == piece.start and piece == last._replace(start=piece.start, end=piece.end):
            merged[-1] = last._replace(end=piece.end)
        else:
            merged.append(piece)
    return merged


def instants(
    duties: Iterable[Duty],
    stays: Mapping[str, Sequence[Stay]],
    states: Iterable[StateReport],
    as_of: int | None,
) -> list[int]:
    """Every instant at which anything can change, ascending."""
    found = {report.time for report in states}
    for tiles in stays.values():
        found.update(edge for start, end, _ in tiles for edge in (start, end))
    for duty in duties:
        found.update(span(duty, as_of))
        for allocation in duty.devices:
            found.update(allocated(duty, allocation, as_of))
    return sorted(found)


def slices(
    stays: Mapping[str, Sequence[Stay]],
    duties: Sequence[Duty],
    states: Sequence[StateReport],
    *,
    as_of: int | None = None,
    break_states: Sequence[int] = (4,),
    not_visible: Mapping[int, str] = NOT_VISIBLE,
    off_duty_states: Sequence[int] = (11,),
    longest: int = LONGEST,
) -> list[Slice]:
    """Rules 8 to 12: the slices of every standing duty, by officer and then by time.

    Args:
        stays: for each device its stays, as ``stays`` gives them.
        duties: revisions of duties, in any order.
        states: radio states, in any order.
        as_of: µs; open duties are counted up to here, nothing else is touched by it.
        break_states: states that are breaks.
        not_visible: states that are not visible, each with its reason.
        off_duty_states: states in which nothing is counted.
        longest: rule 8a's longest duty, µs.

    Raises:
        ValueError: a duty is open and ``as_of`` is not given.
    """
    valid = [
        dataclasses.replace(duty, end=span(duty, as_of, longest)[1]) if duty.end is None else duty
        for duty in standing(duties, longest)
    ]
    result: list[Slice] = []
    for officer_id in sorted({duty.officer_id for duty in valid}):
        own = [duty for duty in valid if duty.officer_id == officer_id]
        pieces: list[Slice] = []
        for start, end in pairwise(instants(own, stays, states, as_of)):
            duty = duty_at(start, own, as_of)
            if duty is None:
                continue
            place, device_id = whereabouts(start, duty, stays, as_of)
            judged = judge(
                duty,
                state_at(start, duty, states),
                place,
                break_states=break_states,
                not_visible=not_visible,
                off_duty_states=off_duty_states,
            )
            if judged is not None:
                pieces.append(Slice(officer_id, duty.duty_id, start, end, *judged, place, device_id))
        result.extend(merge_slices(pieces))
    return result
