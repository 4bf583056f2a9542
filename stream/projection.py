"""Where a share is heading: its figure at the end of the shifts now running, if the rest goes on as of late.

A core room: values in, values out; no Kafka, no database, no clock. The rule: what is left of the duties now
running is divided among the activities as the last hour of the same duties was (all their seconds together,
breaks among them), and added to what has been counted. The bounds of rule 14 are carried along: of the rest
as much is unknown or ambiguous as was of the last hour. It is a straight line, not a forecast: it says what
would come of doing nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stream.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.facts import Duty
    from stream.shares import Figures

LOOK_BACK = 3600 * SECOND
"""How much of the past says how the rest goes on, microseconds."""

LEAST = 1800 * SECOND
"""Less booked time than this a duty, on average, says nothing: how a shift begins is not how it goes on."""

TIMES = (
    "on_patch",
    "off_patch",
    "not_visible",
    "unknown",
    "on_break",
    "priority",
    "ambiguous_on",
    "ambiguous_off",
)
"""What of a figure goes on."""


def remaining(duties: Iterable[Duty], now: int, usual: int) -> int:
    """Booked time still to come, microseconds.

    Args:
        duties: those now running.
        now: microseconds since 1970 UTC.
        usual: how long a duty without an end is expected to last, microseconds.
    """
    return sum(max(0, (duty.start + usual if duty.end is None else duty.end) - now) for duty in duties)


def project(counted: Figures, late: Figures, rest: int, duties: int) -> Figures | None:
    """The figure when the shifts end; None where the last hour says too little.

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
