"""The quality: how good trackers and their network are, and when they report.

Numbers alone; what becomes of them is made in the rooms around.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream.simulate.receivers import CLAIM, EXACT, FOOT, VEHICLE, Claim, Receiver

_MS = 1_000


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the trackers and their network are; rates are shares of all reports.

    Attributes:
        foot: how a receiver errs that is carried.
        vehicle: how one errs that is driven.
        claim: what it says of its own error; None: the truth.
        spread: standard deviation of the logarithm of what each device's errors are multiplied by.
        indoors: what errors are multiplied by indoors.
        jumps: a position some kilometres away, in one report alone (rule 3).
        doubled: sent twice, sometimes with another position error.
        late: arrives one to ten minutes late.
        unusable: accompanied by a message that must be rejected.
        silent: how likely a stay indoors silences a radio.
        lost: which part of all silences loses what fell into them; the rest is sent in a burst when they end.
        holes: how often a radio loses its signal outdoors, per hour.
    """

    foot: Receiver = FOOT
    vehicle: Receiver = VEHICLE
    claim: Claim | None = CLAIM
    spread: float = 0.2
    indoors: float = 1.5
    jumps: float = 0.0001
    doubled: float = 0.005
    late: float = 0.004
    unusable: float = 0.0005
    silent: float = 0.3
    lost: float = 0.3
    holes: float = 0.05


REAL: Final = Quality()
"""Errors as those of real trackers, by a fit; the network's troubles and the claims are assumptions."""

PERFECT: Final = Quality(
    foot=EXACT,
    vehicle=EXACT,
    claim=None,
    spread=0.0,
    indoors=1.0,
    jumps=0.0,
    doubled=0.0,
    late=0.0,
    unusable=0.0,
    silent=0.0,
    lost=0.0,
    holes=0.0,
)
"""Trackers that never err and never fall silent: for measuring the accounting alone."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """When trackers report.

    Attributes:
        interval_s: seconds between two reports; with ``on_movement`` the longest time without one.
        on_movement: report also whenever the position measured has moved or the way has turned.
        distance_m: how far it must have moved since the last report, metres.
        turn_deg: how far it must have turned since, degrees, while it moves at a metre a second or more.
        check_s: how often a tracker looks whether it has, seconds.
    """

    interval_s: float
    on_movement: bool = False
    distance_m: float = 50.0
    turn_deg: float = 45.0
    check_s: float = 5.0

    @property
    def tick(self) -> int:
        """Microseconds from one look at the position to the next, whole milliseconds."""
        seconds = min(self.check_s, self.interval_s) if self.on_movement else self.interval_s
        return round(seconds * 1000) * _MS
