"""How the simulator's trackers err, what they claim, when they report, and what gets lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.facts import SECOND
from stream.simulate import FOOT, PERFECT, REAL, VEHICLE, Claim, Receiver, Simulation, demo_force, simulate
from stream.simulate.plane import DEGREE_M
from stream.simulate.receivers import EXACT, RADIUS_68, Errors
from stream.simulate.reports import Tracks
from tests.simulated import fixes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.core.facts import Fixes

START = 1_795_158_000 * SECOND  # 2026-11-20T07:00:00Z
STEPS = 40


def made(
    law: Receiver,
    *,
    interval_s: float = 5.0,
    standing: bool = False,
    claim: Claim | None = None,
    devices: int = 3_000,
    seed: int = 1,
    steps: int = STEPS,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Errors of many receivers that all stand, or all walk."""
    errors = Errors(law, EXACT, claim, np.ones(devices), interval_s, np.random.default_rng(seed))
    shape = (steps, devices)
    return errors.next(np.zeros(shape, np.bool_), np.full(shape, standing), np.ones(shape))


# --- Position errors -------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.floats(1, 20), st.floats(5, 100), st.floats(0, 3), st.sampled_from([1.0, 5.0, 30.0]))
def test_errors_have_the_law_s_size_and_memory(
    sigma: float, memory: float, white: float, interval: float
) -> None:
    """Variance and covariance at any lag are those of the law, whatever the interval."""
    law = Receiver(sigma, memory, white, 0.0, 60.0)
    east, north, _ = made(law, interval_s=interval)
    for axis in (east, north):
        assert np.isclose((axis**2).mean(), sigma**2 + white**2, rtol=0.15)
        for lag in (1, 4, 12):
            wanted = sigma**2 * np.exp(-lag * interval / memory)
            assert abs((axis[lag:] * axis[:-lag]).mean() - wanted) < 0.12 * (sigma**2 + white**2)
    assert abs((east * north).mean()) < 0.1 * (sigma**2 + white**2)


def test_a_swinging_scale_keeps_the_size_and_makes_tails() -> None:
    """With a scale that swings the root mean square stays, and far errors become more frequent."""
    calm, _, _ = made(Receiver(5.0, 30.0, 0.0, 0.0, 60.0), devices=20_000)
    wild, _, _ = made(Receiver(5.0, 30.0, 0.0, 0.5, 60.0), devices=20_000)
    assert np.isclose(wild.std(), calm.std(), rtol=0.1)
    assert (np.abs(wild) > 20).mean() > 20 * (np.abs(calm) > 20).mean()


@pytest.mark.parametrize("interval", [1.0, 5.0, 15.0])
def test_who_stands_holds_a_position_for_the_law_s_share(interval: float) -> None:
    """A standing receiver repeats its position for the share and the time of the law, a walking one never."""
    law = Receiver(5.0, 30.0, 0.0, 0.2, 60.0, held=0.4, held_s=30.0)
    east, _, _ = made(law, interval_s=interval, standing=True, steps=200)
    settled = east[100:]
    same = settled[1:] == settled[:-1]
    # The chain repeats where it held and holds on: once a spell it only begins to hold.
    begins = (1 - np.exp(-interval / 30.0)) * 0.4
    assert abs(same.mean() - 0.4) < begins + 0.03
    walking, _, _ = made(law, interval_s=interval, standing=False)
    assert not (walking[1:] == walking[:-1]).any()
    assert np.isclose(settled.std(), 5.0, rtol=0.15)


def test_windows_join_without_a_seam() -> None:
    """Asked for twenty steps twice, errors go on where they were."""
    errors = Errors(FOOT, VEHICLE, None, np.ones(4_000), 5.0, np.random.default_rng(1))
    shape = (20, 4_000)
    standing, driving = np.ones(shape, np.bool_), np.zeros(shape, np.bool_)
    one, _, _ = errors.next(driving, standing, np.ones(shape))
    other, _, _ = errors.next(driving, standing, np.ones(shape))
    seam, within = other[0] - one[-1], one[10] - one[9]
    assert np.isclose(seam.std(), within.std(), rtol=0.1)
    assert np.isclose((seam == 0).mean(), (within == 0).mean(), atol=0.03)


# --- What they claim -------------------------------------------------------------------------------------

HONEST = Claim(noise=0.0, step_m=0.1, least_m=0.1, missing=0.0, rosy=0.0)


def test_an_honest_claim_holds_for_68_of_100() -> None:
    """Without noise and rosy times, 68% of errors lie within the error reported."""
    east, north, told = made(FOOT, claim=HONEST)
    assert abs((np.hypot(east, north) <= told).mean() - 0.68) < 0.02
    assert np.isclose(np.sqrt((told**2).mean()), RADIUS_68 * np.hypot(FOOT.sigma_m, FOOT.white_m), rtol=0.05)


def test_claims_are_true_on_average_and_not_always() -> None:
    """The real claim is an honest one on average, in whole metres, but missing or too small now and then."""
    claim = REAL.claim
    assert claim is not None
    _, _, honest = made(FOOT, claim=HONEST)
    _, _, told = made(FOOT, claim=claim)
    assert abs(np.isnan(told).mean() - claim.missing) < 0.004
    said = told[~np.isnan(told)]
    assert (said == np.rint(said)).all()
    assert said.min() >= claim.least_m
    assert np.isclose(said.mean(), honest.mean() * (1 - claim.rosy * (1 - claim.rosy_factor)), rtol=0.04)
    _, _, modest = made(FOOT, claim=replace(claim, rosy=0.0))
    assert np.nanquantile(told, 0.02) < np.nanquantile(modest, 0.02)


def test_a_rosy_time_lasts_minutes() -> None:
    """Whoever claims too little goes on doing so in the next report as a rule."""
    claim = replace(HONEST, rosy=0.3, rosy_factor=0.1)
    _, _, told = made(Receiver(10.0, 30.0, 0.0, 0.0, 60.0), claim=claim)
    rosy = told < 5.0
    assert abs(rosy.mean() - 0.3) < 0.03
    assert (rosy[1:] == rosy[:-1]).mean() > 0.98


# --- When they report ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def force() -> AreaSet:
    """The demonstration force of seed 1."""
    return demo_force(1)


def of_each(simulation: Simulation, fixes: Fixes) -> list[NDArray[np.intp]]:
    """Each device's rows in order of time."""
    order = np.lexsort((fixes.time, fixes.device))
    return [order[fixes.device[order] == device] for device in range(len(simulation.trackers.device_id))]


def test_on_movement_reports_come_when_moved_turned_or_due(force: AreaSet) -> None:
    """With perfect trackers each report, and no other look, is due: 50 m, 45 degrees or the longest time."""
    simulation = simulate(
        force, officers=8, start=START, hours=2, interval_s=300, seed=2, quality=PERFECT, on_movement=True
    )
    fixes = fixes_of(simulation)
    trackers, reporting = simulation.trackers, simulation.reporting
    tracks = Tracks(list({id(path): path for path in simulation.paths.values()}.values()))
    for device, rows in enumerate(of_each(simulation, fixes)):
        if trackers.vehicle[device]:
            continue
        time = fixes.time[rows]
        looks = np.arange(time[0], trackers.off[device], reporting.tick)
        lon, lat, speed, heading = tracks.at(np.full(len(looks), trackers.path[device]), looks)
        reported = np.isin(looks, time)
        assert np.count_nonzero(reported) == len(time)
        last, direction = 0, heading[0] if speed[0] >= 1.0 else np.nan
        for at in range(1, len(looks)):
            east = (lon[at] - lon[last]) * DEGREE_M * np.cos(np.radians(lat[at]))
            far = np.hypot(east, (lat[at] - lat[last]) * DEGREE_M)
            turned = abs((heading[at] - direction + 180) % 360 - 180) if speed[at] >= 1.0 else 0.0
            due = far >= 50.0 or turned >= 45.0 or looks[at] - looks[last] >= 300 * SECOND
            # At just 50 m either will do, for the plane here is a little different.
            assert due == reported[at] or abs(far - 50.0) < 0.5
            if reported[at]:
                last, direction = at, heading[at] if speed[at] >= 1.0 else direction
        assert np.diff(time).max() <= 300 * SECOND


def test_on_movement_saves_reports(force: AreaSet) -> None:
    """Of the reports of every 5 seconds few are left on movement, and more than of every 5 minutes."""
    count = [
        len(
            fixes_of(
                simulate(
                    force, officers=8, start=START, hours=2, interval_s=interval, seed=2, on_movement=movement
                )
            )
        )
        for interval, movement in ((5.0, False), (300.0, True), (300.0, False))
    ]
    assert count[0] > 2 * count[1] > 4 * count[2]


@pytest.mark.parametrize("interval", [1.0, 15.0, 900.0])
def test_radios_report_once_an_interval(force: AreaSet, interval: float) -> None:
    """Between two reports of a radio lies the interval, from a second to a quarter of an hour."""
    simulation = simulate(
        force, officers=4, start=START, hours=2, interval_s=interval, seed=2, quality=PERFECT
    )
    fixes = fixes_of(simulation, "radio.positions")
    apart = [
        set(np.diff(fixes.time[rows]).tolist())
        for device, rows in enumerate(of_each(simulation, fixes))
        if not simulation.trackers.vehicle[device]
    ]
    assert apart == [{round(interval * SECOND)}] * 4


def test_parked_vehicles_report_seldom(force: AreaSet) -> None:
    """A vehicle that stands reports every two minutes, one that drives at each interval."""
    simulation = simulate(force, officers=12, start=START, hours=3, interval_s=5, seed=2, quality=PERFECT)
    fixes = fixes_of(simulation, "vehicle.positions")
    gaps, driven = [], []
    for rows in of_each(simulation, fixes):
        gaps.append(np.diff(fixes.time[rows]) / SECOND)
        driven.append((fixes.speed_mps[rows][1:] > 0) & (fixes.speed_mps[rows][:-1] > 0))
    gap, moving = np.concatenate(gaps), np.concatenate(driven)
    assert gap.max() <= 120
    assert np.median(gap[moving]) == 5
    assert np.median(gap[~moving]) == 120


# --- What gets lost --------------------------------------------------------------------------------------


def test_a_radio_silent_in_a_building_sends_its_backlog(force: AreaSet) -> None:
    """What was measured in a silence comes in a burst when it ends, and nothing of it is missing."""
    quality = replace(PERFECT, silent=1.0, lost=0.0)
    simulation = simulate(force, officers=8, start=START, hours=3, interval_s=5, seed=2, quality=quality)
    calm = simulate(force, officers=8, start=START, hours=3, interval_s=5, seed=2, quality=PERFECT)
    sent, other = fixes_of(simulation), fixes_of(calm)
    assert sorted(zip(sent.device.tolist(), sent.time.tolist(), strict=True)) == sorted(
        zip(other.device.tolist(), other.time.tolist(), strict=True)
    )
    assert simulation.trackers.quiet
    position = {
        each: row for row, each in enumerate(zip(sent.device.tolist(), sent.time.tolist(), strict=True))
    }
    for device, start, end, late in simulation.trackers.quiet:
        assert late
        of_device = sent.time[sent.device == device]
        inside = of_device[(of_device >= start) & (of_device < end)]
        before_end = [
            position[device, each]
            for each in of_device[(of_device >= end - 60 * SECOND) & (of_device < end)].tolist()
        ]
        first_after = of_device[of_device >= end + 60 * SECOND]
        if not len(inside) or not len(first_after):
            continue
        # In sending order all of the backlog stands after whoever else reported just before the end.
        others = np.flatnonzero((sent.device != device) & (sent.time < end - 2 * SECOND))
        calm_others = others[~np.isin(sent.device[others], [each[0] for each in simulation.trackers.quiet])]
        assert not len(calm_others) or min(before_end) > calm_others.max()


def test_a_silence_may_lose_what_fell_into_it(force: AreaSet) -> None:
    """Where silences lose their reports none of them comes, and the others come as before."""
    quality = replace(PERFECT, silent=1.0, lost=1.0)
    simulation = simulate(force, officers=8, start=START, hours=3, interval_s=5, seed=2, quality=quality)
    calm = fixes_of(simulate(force, officers=8, start=START, hours=3, interval_s=5, seed=2, quality=PERFECT))
    found = fixes_of(simulation)
    quiet = np.zeros(len(calm), np.bool_)
    for device, start, end, late in simulation.trackers.quiet:
        assert not late
        quiet |= (calm.device == device) & (calm.time >= start) & (calm.time < end)
    assert quiet.any()
    assert sorted(zip(found.device.tolist(), found.time.tolist(), strict=True)) == sorted(
        zip(calm.device[~quiet].tolist(), calm.time[~quiet].tolist(), strict=True)
    )


def test_a_jump_is_one_report_far_away(force: AreaSet) -> None:
    """A jump leaves the neighbours of its report where they were: faster than anything both ways (rule 3)."""
    quality = replace(PERFECT, jumps=0.002)
    fixes = fixes_of(simulate(force, officers=8, start=START, hours=3, interval_s=5, seed=2, quality=quality))
    simulation = simulate(force, officers=8, start=START, hours=3, interval_s=5, seed=2, quality=PERFECT)
    jumps = 0
    for rows in of_each(simulation, fixes):
        lon, lat, time = fixes.lon[rows], fixes.lat[rows], fixes.time[rows]
        east = np.diff(lon) * DEGREE_M * np.cos(np.radians(52.5))
        speed = np.hypot(east, np.diff(lat) * DEGREE_M) / (np.diff(time) / SECOND)
        far = (speed[1:] > 80) & (speed[:-1] > 80) & (np.diff(time)[1:] <= 10 * SECOND)
        jumps += int(np.count_nonzero(far))
    assert 0.5 < jumps / (0.002 * len(fixes)) < 1.5
