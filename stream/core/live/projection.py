"""Where a share is heading: what is certain of a figure when the shifts now running end, and what is likely.

Values in, values out; no Kafka, no database, no clock. Three figures for the end of the shift:

* **best**: all that is left of the duties now running is on patch, and every doubt so far counts for it;
* **worst**: none of it is, and every doubt counts against it;
* **ahead**: what is left is divided among the activities as the last hour of the same duties was (all their
  seconds together, breaks among them), and the bounds of rule 14 are carried along. It is a straight line,
  not a forecast: it shows what happens if nothing changes.

The outlook in a word: where the best is below the target, a miss is *certain*; where the worst is not, so is
that the target is met. Otherwise it is *too early* to tell until a set part of the booked time is over: a
shift begins at the station, and its beginning is not typical. From then on a miss is *likely* where the
figure is below the target already and the last hour's share would not recover it, with every doubt counted in
its favour in both. One bad hour of a good shift, or a slow start that the last hour makes up for, is not a
miss yet: *open*.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from stream.core.facts import SECOND
from stream.core.shares import MISSED, Figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.core.facts import Duty

LOOK_BACK = 3600 * SECOND
"""How much of the past the projection uses, microseconds."""

LEAST = 1800 * SECOND
"""With less booked time than this a duty, on average, the last hour tells nothing."""

TIMES = tuple(item.name for item in fields(Figures) if item.type == "int" and item.default == 0)
"""The parts of a figure that are projected."""

TOO_EARLY, OPEN = "too_early", "open"
LIKELY_MISS, CERTAIN_MISS, CERTAIN_MET = "likely_miss", "certain_miss", "certain_met"
OUTLOOKS = (TOO_EARLY, OPEN, LIKELY_MISS, CERTAIN_MISS, CERTAIN_MET)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a figure may be at the end of the shift; the duties end as they are booked.

    Attributes:
        counted: the figure so far.
        done: the part of the booked time that is over, 0 to 1.
        best: the share if all that is left were on patch and every doubt counted for it.
        worst: the share if nothing that is left were, and every doubt counted against it.
        ahead: the figure if the rest continues like the last hour; None where it is too early to tell.
    """

    counted: Figures
    done: float
    best: float
    worst: float
    ahead: Figures | None

    def word(self, target: float) -> str:
        """One of ``OUTLOOKS``.

        Args:
            target: the share promised, 0 to 1.
        """
        if self.best < target:
            return CERTAIN_MISS
        if self.worst >= target:
            return CERTAIN_MET
        if self.ahead is None:
            return TOO_EARLY
        missing = self.counted.verdict(target) == MISSED and self.ahead.verdict(target) == MISSED
        return LIKELY_MISS if missing else OPEN


def expected_end(duty: Duty, usual: int) -> int:
    """When a duty is expected to end, microseconds; an open one after the ``usual`` time, or its longest."""
    return duty.until if duty.end is not None else min(duty.start + usual, duty.until)


def remaining(duties: Iterable[Duty], now: int, usual: int) -> int:
    """Booked time still to come, microseconds.

    Args:
        duties: those now running.
        now: microseconds since 1970 UTC.
        usual: how long a duty without an end is expected to last, microseconds.
    """
    return sum(max(0, expected_end(duty, usual) - now) for duty in duties)


def outlook(
    counted: Figures, late: Figures | None, rest: int, duties: int, least_done: float
) -> Outlook | None:
    """How a figure may develop until the shifts end; None where it has no share.

    Args:
        counted: the figure so far.
        late: the same duties' figure over the last hour (``LOOK_BACK``), None where there is none.
        rest: booked time still to come (``remaining``), microseconds.
        duties: how many duties there are.
        least_done: how much of the booked time must be over before the last hour says anything, 0 to 1.
    """
    best = replace(counted, on_patch=counted.on_patch + rest).share_high
    worst = replace(counted, off_patch=counted.off_patch + rest).share_low
    if best is None or worst is None or counted.share is None:
        return None
    past = counted.duty + counted.on_break
    done = past / (past + rest)
    ahead = None if late is None or done < least_done else project(counted, late, rest, duties)
    return Outlook(counted, done, best, worst, ahead)


def project(counted: Figures, late: Figures, rest: int, duties: int) -> Figures | None:
    """The figure when the shifts end, if the last hour continues; None where that hour tells too little.

    Args:
        counted: the figure so far.
        late: the same duties' figure over the last hour (``LOOK_BACK``).
        rest: booked time still to come (``remaining``), microseconds.
        duties: how many duties there are.

    Returns:
        the figure with the rest added; its period is that of the figure so far.
    """
    past = late.duty + late.on_break
    if past < LEAST * max(1, duties) or not counted.has_share:
        return None
    return replace(
        counted,
        **{name: getattr(counted, name) + rest * getattr(late, name) // past for name in TIMES},
    )
