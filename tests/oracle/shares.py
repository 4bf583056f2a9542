"""The figures: sums of slices, and one division (rules 13 and 15).

Slices and duties come in. The bounds of rule 14 are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from tests.oracle.slices import span, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stream.core.facts import Duty
    from tests.oracle.slices import Slice

Scope: TypeAlias = tuple[str, str]
"""``(scope, id)``: ``officer``, ``neighbourhood`` or ``force``; the force's id is empty."""

FORCE: Scope = ("force", "")


@dataclass(frozen=True)
class Figures:
    """Sums over a period, in whole microseconds; ``share`` is ``None`` where there is no figure."""

    duty: int
    on_patch: int
    off_patch: int
    not_visible: int
    unknown: int
    break_: int
    priority: int
    share: Fraction | None


def figures(slices: Iterable[Slice], period: tuple[int, int], *, has_share: bool = True) -> Figures:
    """Rule 13 over the slices clipped to the period; ``priority`` is on-patch time in any priority area.

    No share where nothing is known of all the duty time (rule 15).
    """
    total = dict.fromkeys(("on_patch", "off_patch", "not_visible", "unknown", "break"), 0)
    priority = 0
    for item in slices:
        inside = max(0, min(item.end, period[1]) - max(item.start, period[0]))
        total[item.activity] += inside
        if item.activity == "on_patch" and item.place is not None and item.place.priorities:
            priority += inside
    duty = sum(total.values()) - total["break"]
    return Figures(
        duty=duty,
        on_patch=total["on_patch"],
        off_patch=total["off_patch"],
        not_visible=total["not_visible"],
        unknown=total["unknown"],
        break_=total["break"],
        priority=priority,
        share=Fraction(total["on_patch"], duty) if has_share and duty > total["unknown"] else None,
    )


def running(duties: Iterable[Duty], now: int) -> list[Duty]:
    """Rule 15: the standing duties that run at an instant, for the live figure from their start to it."""
    return [duty for duty in standing(duties) if span(duty, now + 1)[0] <= now < span(duty, now + 1)[1]]


def shares(slices: Sequence[Slice], duties: Sequence[Duty], period: tuple[int, int]) -> dict[Scope, Figures]:
    """Rule 15: the figures of officers, neighbourhoods and the force, seconds over seconds.

    A neighbourhood has every duty whose patch contains it, the force every duty with a patch once. An officer
    has his duties with a patch; with none of them in the period all his duties, and no share. "In the period"
    means that a slice of the duty is.

    Args:
        slices: as ``slices`` gives them; those of duties that are not in ``duties`` are left out.
        duties: revisions of duties, in any order.
        period: ``(from, to)`` in µs.

    Returns:
        One entry for each officer with a standing duty, for each neighbourhood in a standing patch, and for
        the force: with zeros and no share where nothing falls into the period.
    """
    valid = {duty.duty_id: duty for duty in standing(duties)}
    counted = [
        item
        for item in slices
        if item.duty_id in valid and max(item.start, period[0]) < min(item.end, period[1])
    ]
    patched = [item for item in counted if valid[item.duty_id].patch]
    result: dict[Scope, Figures] = {}
    for officer_id in sorted({duty.officer_id for duty in valid.values()}):
        own = [item for item in patched if item.officer_id == officer_id]
        if own:
            result["officer", officer_id] = figures(own, period)
        else:
            rest = [item for item in counted if item.officer_id == officer_id]
            result["officer", officer_id] = figures(rest, period, has_share=False)
    for area_id in sorted({area_id for duty in valid.values() for area_id in duty.patch}):
        own = [item for item in patched if area_id in valid[item.duty_id].patch]
        result["neighbourhood", area_id] = figures(own, period)
    result[FORCE] = figures(patched, period)
    return result
