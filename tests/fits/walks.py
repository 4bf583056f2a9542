"""On foot: how far to the side of a straight line walkers are put.

A *walk* is half a minute of seven positions that get on at a walker's pace and hardly turn. How far two of
its positions are apart across the line through them, by the time between them, shows how quickly errors
change. The simulator's walkers go dead straight and are chosen by the same rule, since straight walks are
those with small errors. People do not walk dead straight, so errors are rather too big than too small.
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

STEP_S = 5.0
LAGS = (1, 2, 3)
"""In steps: 5, 10 and 15 seconds."""
_POSITIONS = 7
_PACE_MPS, _STRAIGHT, _LATE_S = 0.7, 0.75, 0.6


@dataclass(frozen=True, slots=True)
class Across:
    """What is measured on walks.

    Attributes:
        apart_m: root mean square of the difference across the line at each of ``LAGS``, metres.
        tail: how many times the median the 95th percentile of the distances from the line is.
        pace_mps: the middle walk's speed.
        walks: how many walks were measured.
    """

    apart_m: tuple[float, ...]
    tail: float
    pace_mps: float
    walks: int


def walks(tracks: Sequence[Track]) -> NDArray[np.float64]:
    """``float64[k, 7, 2]``: positions of walks that share at most an end."""
    found = []
    for track in tracks:
        first = 0
        while first + _POSITIONS <= len(track.time):
            some = slice(first, first + _POSITIONS)
            steady = np.abs(np.diff(track.time[some]) - STEP_S).max() < _LATE_S
            if track.on_foot[some].all() and steady and _chosen(track.metres[None, some])[0]:
                found.append(track.metres[some])
                first += _POSITIONS - 1
            else:
                first += 1
    return np.array(found)


def _chosen(metres: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``bool[k]``: whether positions ``float64[k, 7, 2]`` get on and hardly turn."""
    step = np.diff(metres, axis=1)
    gone = np.hypot(step[..., 0], step[..., 1]).sum(axis=1)
    far = np.hypot(*(metres[:, -1] - metres[:, 0]).T)
    good: NDArray[np.bool_] = (far >= _PACE_MPS * STEP_S * (_POSITIONS - 1)) & (far >= _STRAIGHT * gone)
    return good


def across(found: NDArray[np.float64]) -> Across:
    """Measures walks."""
    centred = found - found.mean(axis=1, keepdims=True)
    aside = np.einsum("kni,ki->kn", centred, np.linalg.svd(centred)[2][:, 1])
    apart = (np.sqrt(((aside[:, lag:] - aside[:, :-lag]) ** 2).mean()) for lag in LAGS)
    far = np.hypot(*(found[:, -1] - found[:, 0]).T)
    return Across(
        tuple(map(float, apart)),
        float(np.quantile(np.abs(aside), 0.95) / np.median(np.abs(aside))),
        float(np.median(far)) / STEP_S / (_POSITIONS - 1),
        len(found),
    )


def made_up(law: Receiver, seed: int, tried: int = 2_000) -> NDArray[np.float64]:
    """Walks of the simulator's receivers, straight at 1.0 to 1.5 m/s, chosen by the same rule."""
    rng = np.random.default_rng(seed)
    errors = Errors(law, EXACT, None, np.ones(tried), STEP_S, rng)
    shape = (_POSITIONS, tried)
    standing = np.zeros(shape, np.bool_)
    east, north, _ = errors.next(standing, standing, np.ones(shape))
    gone = rng.uniform(1.0, 1.5, tried) * np.arange(_POSITIONS)[:, None] * STEP_S
    metres = np.stack(((gone + east).T, north.T), axis=2)
    return metres[_chosen(metres)]
