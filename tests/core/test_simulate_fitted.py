"""The simulator's receivers err as real ones do: the constants are what the fit gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stream.simulate import FOOT, VEHICLE, Receiver
from tests.fits import roads, search, standing, walks
from tests.fits.tracks import Track, buses, couriers

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope="module")
def on_foot(shared_data: Path) -> list[Track]:
    """The couriers' tracks."""
    return couriers(shared_data)


@pytest.fixture(scope="module")
def aside(shared_data: Path) -> roads.Residuals:
    """How far to the side of their road the buses were put."""
    return roads.residuals(buses(shared_data))


def alike(one: Receiver, other: Receiver) -> None:
    """Whether two laws are the same within what the luck of a seed changes."""
    assert np.isclose(one.sigma_m, other.sigma_m, rtol=0.15)
    assert np.isclose(one.memory_s, other.memory_s, rtol=0.3)
    assert max(one.white_m, other.white_m) < 1.5  # too small to be told from the rest
    assert abs(one.swing - other.swing) < 0.15
    assert abs(one.held - other.held) < 0.05
    assert np.isclose(one.held_s, other.held_s, rtol=0.4)


def test_the_law_on_foot_is_what_the_fit_gives(on_foot: list[Track]) -> None:
    """Fitted anew to the couriers' walks and stands, the law on foot comes out as it stands."""
    alike(FOOT, search.on_foot(walks.walks(on_foot), standing.stands(on_foot), seed=5))


def test_the_law_in_vehicles_is_what_the_fit_gives(aside: roads.Residuals) -> None:
    """Fitted anew to the buses' distances from their road, the law in vehicles comes out as it stands."""
    alike(VEHICLE, search.driven(aside, seed=5))


def test_made_up_walks_measure_as_real_ones(on_foot: list[Track]) -> None:
    """Across the line of a walk, positions 5 and 10 s apart differ as much made up as real."""
    real, made = walks.across(walks.walks(on_foot)), walks.across(walks.made_up(FOOT, seed=9))
    assert np.allclose(made.apart_m[:2], real.apart_m[:2], rtol=0.25)
    assert np.isclose(made.tail, real.tail, rtol=0.2)
    assert real.walks > 50


def test_made_up_stands_measure_as_real_ones(on_foot: list[Track]) -> None:
    """Stands scatter as much made up as real, and as often do not move; real ones move more, as people do."""
    runs = standing.stands(on_foot)
    real = standing.structure(runs)
    made = standing.structure(standing.made_up(FOOT, [len(run) for run in runs], seed=9))
    assert np.isclose(made.spread_m, real.spread_m, rtol=0.25)
    assert np.allclose(made.still, real.still, atol=0.05)
    ratio = np.array(made.apart_m) / real.apart_m
    assert (ratio > 0.6).all()
    assert (ratio < 1.15).all()
    assert real.stands > 100


def test_made_up_buses_measure_as_real_ones(aside: roads.Residuals) -> None:
    """The side distances' spread, tail and difference by the time between them are those of the real ones."""
    real, made = roads.sideways(aside), roads.sideways(roads.made_up(VEHICLE, aside, seed=9))
    assert np.isclose(made.spread_m, real.spread_m, rtol=0.12)
    assert np.allclose(made.apart_m, real.apart_m, rtol=0.15)
    assert np.isclose(made.tail, real.tail, rtol=0.15)
    assert real.count > 800
