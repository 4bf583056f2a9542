"""How many officers a vehicle had, instant by instant (rule 18).

Duties and stays come in. Between two instants at which anything can change, the officers allocated to the
vehicle are counted as a set, each by the duty that they are on. Readings taken: what counts as a vehicle is
any device that is no radio; the radio state does not matter; where the vehicle was is for its own stays to
say, premises or not.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from tests.oracle.slices import allocated, duty_at, place_at, span, standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream.core.facts import Duty
    from tests.oracle.stays import Stay

HOUR = 3_600_000_000

Cell: TypeAlias = tuple[str, int]
"""Neighbourhood, ``outside`` or ``unknown``, and the start of the hour in µs since 1970 UTC."""


def crewing(
    duties: Sequence[Duty], stays: Mapping[str, Sequence[Stay]], period: tuple[int, int]
) -> dict[Cell, tuple[int, int]]:
    """Rule 18: vehicle time with one officer, and with two or more, in µs; cells without time are left out.

    Args:
        duties: revisions of duties, in any order; open ones are counted up to the period's end.
        stays: for each device its stays.
        period: ``(from, to)`` in µs.
    """
    valid = standing(duties)
    start, end = period
    instants = {start, end, *range((start // HOUR + 1) * HOUR, end, HOUR)}
    for duty in valid:
        instants.update(span(duty, end))
        for allocation in duty.devices:
            instants.update(allocated(duty, allocation, end))
    for tiles in stays.values():
        instants.update(edge for low, high, _ in tiles for edge in (low, high))
    ordered = sorted(t for t in instants if start <= t <= end)
    vehicles = sorted({item.device_id for duty in valid for item in duty.devices if item.kind != "radio"})
    found: dict[Cell, tuple[int, int]] = {}
    for low, high in pairwise(ordered):
        for vehicle in vehicles:
            crew = _crew(low, vehicle, valid, end)
            if not crew:
                continue
            place = place_at(low, stays.get(vehicle, ()))
            where = "unknown" if place is None else place.neighbourhood or "outside"
            single, double = found.get((where, low // HOUR * HOUR), (0, 0))
            if len(crew) == 1:
                single += high - low
            else:
                double += high - low
            found[where, low // HOUR * HOUR] = (single, double)
    return found


def _crew(t: int, vehicle: str, duties: Sequence[Duty], as_of: int) -> set[str]:
    """The officers allocated to a vehicle at an instant."""
    crew = set()
    for officer_id in {duty.officer_id for duty in duties}:
        duty = duty_at(t, [duty for duty in duties if duty.officer_id == officer_id], as_of)
        if duty is None:
            continue
        for item in duty.devices:
            low, high = allocated(duty, item, as_of)
            if item.device_id == vehicle and item.kind != "radio" and low <= t < high:
                crew.add(officer_id)
    return crew
