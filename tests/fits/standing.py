"""On foot: what positions do while nobody goes anywhere.

A *stand* is a longest run of positions, a minute or more, all within 25 m of their median. Its standard
deviation shows how big errors are; the middle stand's is taken, since on many a stand somebody stepped about
within the 25 m, and that is error too here. How far two positions are apart, by the time between them (the
structure function), is measured but not fitted: for the same reason it is an upper bound. How often a
position does not move at all shows how often receivers hold it.
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
LAGS = (1, 2, 3, 6, 12)
"""In steps: 5, 10, 15, 30 and 60 seconds."""
_REACH_M, _LEAST, _GAP_S = 25.0, 13, 8.0
_STILL_M = 0.3
_EACH = 10


@dataclass(frozen=True, slots=True)
class Structure:
    """What is measured on stands.

    Attributes:
        apart_m: root mean square of the difference on an axis at each of ``LAGS``, metres.
        spread_m: the middle stand's standard deviation on an axis, metres.
        still: share of pairs 5 s, and 30 s, apart that differ by less than 0.3 m on an axis.
        stands: how many stands were measured.
    """

    apart_m: tuple[float, ...]
    spread_m: float
    still: tuple[float, float]
    stands: int


def stands(tracks: Sequence[Track]) -> list[NDArray[np.float64]]:
    """Positions ``float64[n, 2]`` of every stand."""
    found = []
    for track in tracks:
        first = 0
        while first + _LEAST <= len(track.time):
            last = first + _LEAST
            if not _stands(track, first, last):
                first += 1
                continue
            while last < len(track.time) and _stands(track, first, last + 1):
                last += 1
            found.append(track.metres[first:last])
            first = last
    return found


def _stands(track: Track, first: int, last: int) -> bool:
    quick = bool((np.diff(track.time[first:last]) < _GAP_S).all())
    return quick and _together(track.metres[None, first:last])[0]


def _together(metres: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``bool[k]``: whether positions ``float64[k, n, 2]`` lie within the reach of their median."""
    away = metres - np.median(metres, axis=1, keepdims=True)
    near: NDArray[np.bool_] = np.hypot(away[..., 0], away[..., 1]).max(axis=1) < _REACH_M
    return near


def structure(runs: Sequence[NDArray[np.float64]]) -> Structure:
    """Measures stands."""
    differences = [
        np.concatenate([np.abs(run[lag:] - run[:-lag]).ravel() for run in runs if len(run) > lag])
        for lag in LAGS
    ]
    return Structure(
        tuple(float(np.sqrt((each**2).mean())) for each in differences),
        float(np.median([np.sqrt(run.var(axis=0).mean()) for run in runs])),
        (float((differences[0] < _STILL_M).mean()), float((differences[3] < _STILL_M).mean())),
        len(runs),
    )


def made_up(law: Receiver, lengths: Sequence[int], seed: int) -> list[NDArray[np.float64]]:
    """Stands of the simulator's receivers, ten as long as each real one, found by the same rule."""
    rng = np.random.default_rng(seed)
    longest = max(lengths)
    devices = _EACH * len(lengths)
    errors = Errors(law, EXACT, None, np.ones(devices), STEP_S, rng)
    shape = (longest, devices)
    east, north, _ = errors.next(np.zeros(shape, np.bool_), np.ones(shape, np.bool_), np.ones(shape))
    found = []
    for length in sorted(set(lengths)):
        mine = np.repeat(np.array(lengths) == length, _EACH)
        metres = np.stack((east[:length, mine].T, north[:length, mine].T), axis=2)
        found += list(metres[_together(metres)])
    return found
