"""What is now: the wall clock's time, or in a replay that of the newest event.

It reads the machine's clock. Whatever asks whether something has begun or is over asks a ``Clock``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stream.settings import EVENTS

Clock = Callable[[], int]
"""What is now, microseconds since 1970; ``UNKNOWN`` in a replay before its first event."""

UNKNOWN = -(2**62)
"""No now: nobody is on duty, nothing is over. It is -``FOREVER``, which a test checks."""


def wall() -> int:
    """The machine's clock."""
    return time.time_ns() // 1000


def events(newest: Clock, wall: Clock = wall) -> Clock:
    """The newest event's time, but not later than the wall clock's: a device's clock may be ahead."""
    return lambda: min(wall(), newest())


def chosen(setting: str, newest: Clock, wall: Clock = wall) -> Clock:
    """The clock that ``PATROL_CLOCK`` names.

    Args:
        setting: ``wall`` or ``events``.
        newest: gives the newest event's time, microseconds; ``UNKNOWN`` where there is none.
        wall: the machine's clock.
    """
    return events(newest, wall) if setting == EVENTS else wall
