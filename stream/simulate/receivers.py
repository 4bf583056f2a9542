"""The receivers: how far from the truth a tracker puts its officer, and how far it says it does.

The position error of each axis is a stationary process (an Ornstein-Uhlenbeck, or first-order Gauss-Markov,
process) whose scale itself wanders:

    error(t) = σ · exp(s·z(t) − s²) · x(t) + w · n(t)

with x and z of unit variance and correlation exp(−lag / τ) and exp(−lag / τ_z), and n white. σ is the root
mean square of the first part, s makes the tails heavy: good minutes and bad ones, as between high buildings.
A receiver that stands *holds* now and then: for some seconds it repeats its position, error and all.

The figures were fitted to real tracks; ``tests/fits`` holds the fit and says how. Where officers are, and
what is sent, come in other rooms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Receiver:
    """The law by which a receiver errs.

    Attributes:
        sigma_m: σ, metres on each axis.
        memory_s: τ, seconds.
        white_m: w, metres on each axis.
        swing: s, the standard deviation of the logarithm of the scale.
        swing_memory_s: τ_z, seconds.
        held: share of the time in which a receiver that stands holds its position.
        held_s: how long it does on average, seconds.
    """

    sigma_m: float
    memory_s: float
    white_m: float
    swing: float
    swing_memory_s: float
    held: float = 0.0
    held_s: float = 30.0


FOOT: Final = Receiver(7.2, 32.0, 0.2, 0.15, 120.0, 0.4, 37.0)
"""A radio worn on the body: fitted to telephones of couriers on foot, a fix in 5 s, seeds 1 to 3."""

VEHICLE: Final = Receiver(4.95, 39.0, 0.3, 0.39, 120.0)
"""A vehicle's tracker, and a radio in a vehicle that drives: fitted to buses, a fix in 24 s, seeds 1 to 6."""

EXACT: Final = Receiver(0.0, 1.0, 0.0, 0.0, 1.0)
"""No error at all."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The law of the ``error_m`` that a tracker reports with a position.

    True on average: the radius in which 68% of errors of the scale now in force lie, as telephones define
    it, times a noise with mean 1, in steps, never below a least value. But some reports do not say it, and
    some trackers say, for minutes together, far too little.

    Attributes:
        noise: standard deviation of the noise's logarithm.
        step_m: what it is rounded to, metres.
        least_m: the smallest said, metres.
        missing: share of reports without it.
        rosy: share of the time in which a tracker says too little.
        rosy_factor: what it is multiplied by then.
    """

    noise: float = 0.25
    step_m: float = 1.0
    least_m: float = 3.0
    missing: float = 0.02
    rosy: float = 0.05
    rosy_factor: float = 0.33


CLAIM: Final = Claim()
"""An assumption: no data at hand say what receivers claim and how far they are off."""


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


RADIUS_68: Final = 1.5096
"""Radius of the circle that holds 68% of a round normal distribution of standard deviation 1."""
_MS = 1_000
_MOST_M = 150.0  # above 200 m a report is rejected, and those are planned
_ROSY_STEPS_S = 300.0  # a tracker's opinion of itself lasts so long


class Errors:
    """The errors of many devices from step to step."""

    def __init__(
        self,
        foot: Receiver,
        vehicle: Receiver,
        claim: Claim | None,
        spread: NDArray[np.float64],
        interval_s: float,
        rng: np.random.Generator,
    ) -> None:
        """Starts every device somewhere in its stationary state.

        Args:
            foot: the law on foot.
            vehicle: the law in a vehicle.
            claim: the law of the reported error; None: exactly the error that there is.
            spread: ``float64[d]``, what each device's errors are multiplied by.
            interval_s: seconds from one step to the next.
            rng: makes the errors.
        """
        self._laws, self._claim, self._spread = (foot, vehicle), claim, spread
        self._interval_s, self._rng = interval_s, rng
        self._now = rng.standard_normal((3, len(spread)))
        self._holds = np.zeros(len(spread), np.bool_)
        self._shown: NDArray[np.float64] | None = None
        self._rosy = rng.random(len(spread)) < (claim.rosy if claim else 0.0)

    def next(
        self, driving: NDArray[np.bool_], standing: NDArray[np.bool_], inflated: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Errors of the next steps.

        Args:
            driving: ``bool[steps, d]``, whether the law in a vehicle holds.
            standing: ``bool[steps, d]``, whether a device stands still.
            inflated: ``float64[steps, d]``, what errors are multiplied by: more than 1 indoors.

        Returns:
            ``(metres east, metres north, error_m as reported)``, each ``float64[steps, d]``.
        """
        steps, devices = driving.shape

        def law(name: str) -> NDArray[np.float64]:
            on_foot, driven = (float(getattr(each, name)) for each in self._laws)
            return np.where(driving, driven, on_foot)

        keep = np.exp(-self._interval_s / np.stack((law("memory_s"),) * 2 + (law("swing_memory_s"),), 1))
        kick = self._rng.standard_normal((steps, 3, devices)) * np.sqrt(1.0 - keep**2)
        now = self._now
        for step in range(steps):
            now = kick[step] = keep[step] * now + kick[step]
        self._now = now
        swing, white = law("swing"), law("white_m")
        extra = self._spread * inflated
        scale = law("sigma_m") * np.exp(swing * kick[:, 2] - swing**2) * extra
        error = kick[:, :2] * scale[:, None]
        if any(each.white_m for each in self._laws):
            error += self._rng.standard_normal(error.shape) * (white * extra)[:, None]
        self._hold(error, law("held"), law("held_s"), standing)
        told = self._told(np.hypot(scale, white * extra), np.hypot(error[:, 0], error[:, 1]))
        return error[:, 0], error[:, 1], told

    def _hold(
        self,
        error: NDArray[np.float64],
        share: NDArray[np.float64],
        mean_s: NDArray[np.float64],
        standing: NDArray[np.bool_],
    ) -> None:
        """Puts what is shown while a receiver holds in place of ``float64[steps, 2, d]`` errors."""
        if not any(each.held for each in self._laws):
            return
        leaves = -np.expm1(-self._interval_s / (mean_s * (1.0 - share)))
        # Of all standing time the share is held, whatever the interval: a chain of two states, sampled.
        free, stuck = share * leaves, 1.0 - (1.0 - share) * leaves
        chance = self._rng.random(share.shape)
        holds, shown = self._holds, error[0] if self._shown is None else self._shown
        for step in range(len(error)):
            holds = standing[step] & (chance[step] < np.where(holds, stuck[step], free[step]))
            shown = error[step] = np.where(holds, shown, error[step])
        self._holds, self._shown = holds, shown

    def _told(self, scale: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
        claim = self._claim
        if claim is None:
            return np.maximum(size, 1.0)
        steps, devices = scale.shape
        noise = np.exp(claim.noise * self._rng.standard_normal(scale.shape) - claim.noise**2 / 2)
        turn = self._rng.random((steps, devices)) < -np.expm1(-self._interval_s / _ROSY_STEPS_S)
        fresh = self._rng.random((steps, devices)) < claim.rosy
        for step in range(steps):
            self._rosy = np.where(turn[step], fresh[step], self._rosy)
            fresh[step] = self._rosy
        told = RADIUS_68 * scale * noise * np.where(fresh, claim.rosy_factor, 1.0)
        told = np.clip(np.rint(told / claim.step_m) * claim.step_m, claim.least_m, _MOST_M)
        told[self._rng.random(told.shape) < claim.missing] = np.nan
        return told
