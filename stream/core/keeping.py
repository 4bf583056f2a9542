"""How long what is kept: terms that make sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEAST_FIXES_DAYS: Final = 8
"""Positions are kept until the week that they are of has been published."""
LEAST_MORE_DAYS: Final = 31
"""Slices are kept at least so much longer."""


class RetentionError(ValueError):
    """What is asked for makes no sense; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what is kept.

    Attributes:
        off_duty_h: positions outside duties, hours: so late a booking may claim them.
        fixes_days: positions, days.
        slices_days: slices, stays, bookings and states, days.

    Raises:
        RetentionError: they contradict each other.
    """

    off_duty_h: float = 48.0
    fixes_days: int = 31
    slices_days: int = 400

    def __post_init__(self) -> None:
        if self.fixes_days < LEAST_FIXES_DAYS:
            raise RetentionError(
                f"PATROL_KEEP_FIXES_DAYS={self.fixes_days}: a week is published from its positions: "
                f"keep them at least {LEAST_FIXES_DAYS} days"
            )
        if not 1 <= self.off_duty_h <= 24 * self.fixes_days:
            raise RetentionError(
                f"PATROL_KEEP_OFF_DUTY_H={self.off_duty_h:g}: write hours from 1 to {24 * self.fixes_days}, "
                "for which all positions are kept"
            )
        if self.slices_days < self.fixes_days + LEAST_MORE_DAYS:
            raise RetentionError(
                f"PATROL_KEEP_SLICES_DAYS={self.slices_days}: figures are explained by slices longer than "
                f"by positions: write at least {self.fixes_days + LEAST_MORE_DAYS}"
            )
