"""The search: the law whose made-up tracks measure as the real ones do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stream.simulate.receivers import Receiver
from tests.fits import roads, standing, walks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tests.fits.roads import Residuals

SWING_MEMORY_S = 120.0
"""Not fitted: the tracks are too short to tell how long good and bad minutes last."""
_ROUNDS = 14


def on_foot(walked: NDArray[np.float64], stood: Sequence[NDArray[np.float64]], seed: int) -> Receiver:
    """The law on foot: τ, w and s from walks, σ and how often a receiver holds from stands."""
    across, real = walks.across(walked), standing.structure(stood)
    lengths = [len(run) for run in stood]

    def off(law: Receiver) -> float:
        walk = walks.across(walks.made_up(law, seed))
        stand = standing.structure(standing.made_up(law, lengths, seed))
        apart = np.log(np.array(walk.apart_m) / across.apart_m)[:2]
        return float(
            (apart**2).sum()
            + np.log(walk.tail / across.tail) ** 2
            + np.log(stand.spread_m / real.spread_m) ** 2
            + float((((np.array(stand.still) - real.still) * 3.0) ** 2).sum())
        )

    start = Receiver(5.0, 30.0, 0.3, 0.4, SWING_MEMORY_S, 0.4, 60.0)
    return _search(off, start, ("sigma_m", "memory_s", "white_m", "swing", "held", "held_s"))


def driven(found: Residuals, seed: int) -> Receiver:
    """The law in vehicles: σ, τ, w and s, from residuals; a vehicle's position is never held."""
    real = roads.sideways(found)

    def off(law: Receiver) -> float:
        made = roads.sideways(roads.made_up(law, found, seed))
        apart = np.log(np.array(made.apart_m) / real.apart_m)
        return float(
            (apart**2).sum() + np.log(made.spread_m / real.spread_m) ** 2 + np.log(made.tail / real.tail) ** 2
        )

    start = Receiver(5.0, 30.0, 0.3, 0.4, SWING_MEMORY_S)
    return _search(off, start, ("sigma_m", "memory_s", "white_m", "swing"))


def _search(off: Callable[[Receiver], float], law: Receiver, names: Sequence[str]) -> Receiver:
    """One parameter after the other, up or down, in steps that shrink when none helps any more.

    Errors are drawn from one seed for every law that is tried, so laws are compared and not their luck.
    """
    best, step = off(law), 0.4
    for _ in range(_ROUNDS):
        better = False
        for name in names:
            for factor in (1.0 + step, 1.0 / (1.0 + step)):
                value = float(getattr(law, name)) * factor
                tried = replace(law, **{name: min(value, 0.95) if name == "held" else value})
                found = off(tried)
                if found < best:
                    law, best, better = tried, found, True
        if not better:
            step /= 2.0
    return law
