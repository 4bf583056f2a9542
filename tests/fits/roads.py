"""In vehicles: how far to the side of their road buses of one route are put.

Nobody knows where a bus was along its road, but all trips drive along one road. So the road is taken from
the other trips: a parabola by robust least squares through their positions around a position, none of its own
trip, and the *residual* is how far to the side of it the position lies. Lanes and stops are in it too, so
errors are rather too big than too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.simulate.receivers import EXACT, Errors, Receiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.fits.tracks import Track

LAGS_S = ((10, 30), (30, 60), (60, 120), (120, 300))
"""Classes of time between two positions, seconds."""
_REACH_M, _LEAST, _TRIPS = 70.0, 9, 4
_STRAIGHT = 0.25  # how much wider than long the positions around may lie
_MOVED_M = 20.0
_GRID_S = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Metres to the side of the road: ``float64[n]`` each, ``trip`` an index."""

    trip: NDArray[np.int64]
    time: NDArray[np.float64]
    metres: NDArray[np.float64]
    gone: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sideways:
    """What is measured on residuals, robustly: by medians of absolute values.

    Attributes:
        spread_m: standard deviation, metres.
        apart_m: standard deviation of the difference of two at each of ``LAGS_S``, over the root of 2.
        tail: how many times the median the 95th percentile is.
        count: how many residuals there are.
    """

    spread_m: float
    apart_m: tuple[float, ...]
    tail: float
    count: int


def residuals(trips: Sequence[Track]) -> Residuals:
    """How far to the side of the road every position lies whose road can be told."""
    trip = np.concatenate([np.full(len(each.time), at) for at, each in enumerate(trips)])
    time = np.concatenate([each.time for each in trips])
    metres = np.concatenate([each.metres for each in trips])
    gone = np.concatenate(
        [np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(each.metres, axis=0).T)))) for each in trips]
    )
    found = np.array([_aside(at, trip, metres) for at in range(len(trip))])
    known = ~np.isnan(found)
    return Residuals(trip[known], time[known], found[known], gone[known])


def _aside(at: int, trip: NDArray[np.int64], metres: NDArray[np.float64]) -> float:
    around = (trip != trip[at]) & (np.hypot(*(metres - metres[at]).T) < _REACH_M)
    if np.count_nonzero(around) < _LEAST or len(np.unique(trip[around])) < _TRIPS:
        return float("nan")
    near = metres[around] - metres[at]
    _, length, axes = np.linalg.svd(near - near.mean(axis=0))
    if length[1] > _STRAIGHT * length[0]:
        return float("nan")
    along, across = near @ axes[0], near @ axes[1]
    terms = np.column_stack((np.ones(len(along)), along, along**2))
    weight = np.ones(len(along))
    fitted = np.zeros(3)
    for _ in range(8):
        root = np.sqrt(weight)
        fitted = np.linalg.lstsq(terms * root[:, None], across * root, rcond=None)[0]
        off = np.abs(across - terms @ fitted)
        weight = np.minimum(1.0, 1.5 * max(float(np.median(off)) / 0.6745, 0.5) / np.maximum(off, 1e-9))
    # The road drawn is itself uncertain by its leverage at the position.
    leverage = min(float(np.linalg.pinv(terms.T @ terms)[0, 0]), 1.0)
    return -float(fitted[0]) / float(np.sqrt(1.0 + leverage))


def sideways(found: Residuals) -> Sideways:
    """Measures residuals."""
    size = np.abs(found.metres)
    apart = []
    for low, high in LAGS_S:
        steps: list[NDArray[np.float64]] = []
        for lag in range(1, 30):
            pair = found.trip[lag:] == found.trip[:-lag]
            after = found.time[lag:] - found.time[:-lag]
            pair &= (after >= low) & (after < high) & (found.gone[lag:] - found.gone[:-lag] > _MOVED_M)
            steps.append(np.abs(found.metres[lag:] - found.metres[:-lag])[pair])
        apart.append(float(np.median(np.concatenate(steps))) / 0.6745 / float(np.sqrt(2.0)))
    spread = float(np.median(size))
    return Sideways(spread / 0.6745, tuple(apart), float(np.quantile(size, 0.95)) / spread, len(size))


def made_up(law: Receiver, found: Residuals, seed: int, times: int = 4) -> Residuals:
    """The simulator's errors to one side at the times of real residuals, several times over."""
    rng = np.random.default_rng(seed)
    trips = len(np.unique(found.trip))
    first = np.array([found.time[found.trip == each].min() for each in np.unique(found.trip)])
    number = np.unique(found.trip, return_inverse=True)[1]
    step = np.rint((found.time - first[number]) / _GRID_S).astype(np.int64)
    errors = Errors(EXACT, law, None, np.ones(trips * times), _GRID_S, rng)
    shape = (int(step.max()) + 1, trips * times)
    east, _, _ = errors.next(np.ones(shape, np.bool_), np.zeros(shape, np.bool_), np.ones(shape))
    every = [east[step, number + trips * again] for again in range(times)]
    return Residuals(
        np.concatenate([number + trips * again for again in range(times)]),
        np.tile(found.time, times),
        np.concatenate(every),
        np.tile(found.gone, times),
    )
