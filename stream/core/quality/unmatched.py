"""Facts of which nothing matches: then there is a reason and a likely cause, but no figure and no verdict.

Of a single figure in which nothing is known ``stream.core.shares`` says so. Here all facts are looked at.

Nothing matches where no device that a duty names was heard, where no position lies within a duty, where none
lies near an area, or where no duty's patch is a neighbourhood of any boundary given. A figure of such facts
would say what officers did, and would mean what a file is like.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.calendar import day_numbers, day_of_number
from stream.core.columns import search
from stream.core.quality.clocks import offset_words
from stream.core.quality.findings import listed
from stream.core.quality.tracks import ANY_DUTY, NEAR_M, Mistake, renumbered
from stream.core.quality.wording import warnings
from stream.core.stays import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stream.core.facts import Duty, Fixes
    from stream.core.quality.findings import Examined, QualityFindings

QUARTER_S: Final = 900
MOST_SHIFT_S: Final = 14 * 3600
"""Clocks are off by quarters of an hour, and by as many hours as there are time zones."""
MATCHING: Final = 0.5
"""A shift of the clock is named where so much of the positions would then lie within duties."""


def unmatched(facts: Examined, positions: Callable[[], Fixes], found: QualityFindings) -> list[str]:
    """Why there can be no figure: the reasons, then the likely causes; empty where anything matches.

    Args:
        facts: what was examined.
        positions: gives all usable reports, in any order; asked only where nothing matches.
        found: the findings of the same facts.
    """
    counting = [duty for duty in facts.duties if duty.counts and duty.start < facts.until]
    if not counting:
        return []
    days = facts.tracked.days
    inside = facts.booked.duty[facts.tracked.covered.row] != ANY_DUTY
    lines = why(
        counting,
        frozenset(facts.neighbourhoods),
        heard={facts.device_ids[code] for code in np.unique(days.device).tolist()},
        inside=bool(inside.any()),
        near=not facts.neighbourhoods or bool(days.near.any()),
    )
    if not lines:
        return []
    if NO_TIME in lines[0]:
        lines += _times(facts, positions())
    if NOT_NEAR in lines[0] and not any(found.rows(str(mistake)) for mistake in Mistake):
        fixes = positions()
        lines.append(
            f"The positions are around longitude {np.median(fixes.lon):.2f}, latitude "
            f"{np.median(fixes.lat):.2f}: are the areas those of this force, and the coordinates degrees?"
        )
    return [*lines, *warnings(found)]


NO_TIME: Final = "no position lies within a duty that names its device"
NOT_NEAR: Final = f"no position lies within {NEAR_M / 1000:.0f} km of any area"


def why(
    duties: Sequence[Duty], neighbourhoods: frozenset[str], *, heard: set[str], inside: bool, near: bool
) -> list[str]:
    """Why there can be no figure in one line, then the causes that ids tell; empty where anything matches.

    Args:
        duties: those that count.
        neighbourhoods: the ids of all boundary versions.
        heard: the devices of which there is a usable position.
        inside: whether any position lies within a duty that names its device.
        near: whether any position lies near an area, or there are none.
    """
    booked = {item.device_id for duty in duties for item in duty.devices}
    reasons, causes = [], []
    if not heard:
        reasons.append("there is no usable position")
    elif not booked & heard:
        reasons.append("no device that a duty names was heard")
        causes.append(f"The duties name {_some(booked) or 'no device'}; heard were {_some(heard)}.")
    elif not inside:
        reasons.append(NO_TIME)
    if heard and not near:
        reasons.append(NOT_NEAR)
    patches = {area for duty in duties for area in duty.patch}
    if patches and patches.isdisjoint(neighbourhoods):
        reasons.append("no duty's patch is a neighbourhood of the boundaries given")
        causes.append(
            f"The patches are {_some(patches)}; the neighbourhoods are {_some(set(neighbourhoods))}."
            if neighbourhoods
            else "None of the areas is a neighbourhood: say so of their file, FILE:neighbourhood."
        )
    return [f"no figure and no verdict: {', and '.join(reasons)}", *causes] if reasons else []


def _times(facts: Examined, fixes: Fixes) -> list[str]:
    """Why positions of booked devices lie in none of their duties: other days, or a clock that is off."""
    booked = renumbered(facts.booked, facts.booked_ids, facts.device_ids)
    booked = booked.take((booked.device >= 0) & (booked.duty == ANY_DUTY))
    ordered = in_order(fixes)
    mine = np.isin(ordered.device, booked.device)
    times = ordered.time[mine]
    own = set(day_numbers(times).tolist())
    ends = np.minimum(booked.end, facts.until)
    wanted = {
        day
        for start, end in zip(
            day_numbers(booked.start), day_numbers(np.maximum(ends - 1, booked.start)), strict=True
        )
        for day in range(int(start), int(end) + 1)
    }
    lines = []
    if not own or not wanted:
        return ["Devices that were heard are allocated outside of their duties: correct the allocations."]
    if not own & wanted:
        lines.append(
            f"The positions are of {_days(own)}, the duties of {_days(wanted)}: give files of one time."
        )
        if {other for day in own if (other := _exchanged(day)) is not None} & wanted:
            lines.append("With day and month exchanged the days would agree: check how the dates were read.")
        return lines
    device = ordered.device
    first = np.searchsorted(device, booked.device)
    last = np.searchsorted(device, booked.device, side="right")
    best, shift = 0, 0
    for quarter in sorted(range(-MOST_SHIFT_S // QUARTER_S, MOST_SHIFT_S // QUARTER_S + 1), key=abs):
        moved = quarter * QUARTER_S * 1_000_000
        low = search(ordered.time, first, last, booked.start - moved)
        high = search(ordered.time, first, last, ends - moved)
        within = int((high - low).sum())
        if within > best:
            best, shift = within, quarter * QUARTER_S
    if best >= MATCHING * len(times):
        lines.append(
            f"If the clocks of the positions are {offset_words(shift)}, {best:,} of {len(times):,} "
            "positions lie within duties: check the time zones of both files."
        )
    else:
        lines.append("The positions are of other hours than the duties: check the times of both files.")
    return lines


def _some(names: set[str]) -> str:
    return listed([repr(name) for name in names]).replace(";", ", ")


def _days(days: set[int]) -> str:
    low, high = day_of_number(min(days)), day_of_number(max(days))
    return f"{low}" if low == high else f"{low} to {high}"


def _exchanged(day: int) -> int | None:
    """The day with its month and day of the month exchanged; None where there is no such day."""
    found = day_of_number(day)
    if found.day > 12 or found.day == found.month:
        return None
    return day + (date(found.year, found.day, found.month) - found).days
