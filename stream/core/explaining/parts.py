"""The facts from which an explanation is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stream.core.quality.doubts import Doubts
from stream.core.shares import FORCE, OFFICER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.explaining.wording import Named
    from stream.core.facts import Duty
    from stream.core.slices import Slices


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Whole duties with their slices, and what they are based on.

    Attributes:
        slices: of all duties that touch the period, and perhaps of others; no open ends.
        duties, places, device_ids: what the slices' numbers point at.
        until: up to when open duties are counted, microseconds.
        boundaries_from: since when there are boundaries, microseconds.
        basis: names, and what figures are based on.
        booked: the first and the last start of any duty of the officer or area asked about; None: there is
            none.
        left_out: what could not be used, in lines.
        doubts: the duties' doubtful time (rule 21); by default none is known.
    """

    slices: Slices
    duties: Sequence[Duty]
    places: Sequence[Place]
    device_ids: Sequence[str]
    until: int
    boundaries_from: int
    basis: Named
    booked: tuple[int, int] | None
    left_out: tuple[str, ...] = ()
    doubts: Doubts = field(default_factory=Doubts.none)


def area_names(*sets: AreaSet) -> dict[tuple[str, str], str]:
    """The areas' names by ``(kind, id)``; of several versions the last one's."""
    return {
        (kind.value, area_id): name
        for areas in sets
        for kind, area_id, name in zip(areas.kind, areas.area_id, areas.name, strict=True)
    }


def is_of(duty: Duty, scope: str, wanted: str) -> bool:
    """Whether a duty is an officer's, a neighbourhood's or the force's."""
    if duty.cancelled:
        return False
    if scope == OFFICER:
        return duty.officer_id == wanted
    return bool(duty.patch) if scope == FORCE else wanted in duty.patch
