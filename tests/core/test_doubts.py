"""Doubt: the rule's worked examples, each kind by itself, and what must hold of doubts in any world."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stream.core.facts import SECOND, Allocation, StateReport
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.quality.devices import FROZEN, TWO_DEVICES, device_doubts
from stream.core.shares import NOT_PROVEN, shares
from stream.core.slices import ON_PATCH, ambiguous
from stream.core.stays import in_order
from tests.clean_shifts import clean_shift
from tests.doubtful_worlds import (
    FAULTS,
    HOUR,
    METRE_NORTH,
    MINUTE,
    OPENING,
    SOUTH,
    WEST,
    Counted,
    Report,
    Row,
    at,
    circle,
    columns,
    doubtful_world,
    duty,
    moving,
    standing,
)
from tests.oracle.doubts import doubts as literal
from tests.oracle.doubts import joined
from tests.strategies import many

if TYPE_CHECKING:
    from random import Random

IN_A = (1500.0, 1500.0)


def test_shared_radio() -> None:
    """Shared radio: R1 is D1's 8-16 h and D2's 10-18 h: shares 1.0, doubtful 10-16 h for both, low 0.25."""
    shift = 8 * HOUR
    late = OPENING + 2 * HOUR
    case = Counted(
        standing("R1", IN_A, OPENING, late + shift),
        [
            duty("D1", "O1", OPENING, OPENING + shift, "R1"),
            duty("D2", "O2", late, late + shift, "R1"),
        ],
    )
    assert case.rows() == [
        ("D1", late, OPENING + shift, "shared_radio", "R1", "O2"),
        ("D2", late, OPENING + shift, "shared_radio", "R1", "O1"),
    ]
    figures = case.figures(OPENING, late + shift)
    for officer in ("O1", "O2"):
        item = figures["officer", officer]
        assert (item.share, item.share_low, item.share_high) == (1.0, 0.25, 1.0)
        assert item.verdict(0.8) == NOT_PROVEN
        assert item.doubtful == 6 * HOUR


def test_frozen() -> None:
    """Frozen: an hour moving in A, then equal coordinates for seven at 8.3 m/s: share 1.0, low 0.125."""
    end = OPENING + 8 * HOUR
    walk = moving("R1", OPENING, OPENING + HOUR - MINUTE, circle(IN_A, 300, 1.4), speed_mps=1.4)
    stuck = standing("R1", IN_A, OPENING + HOUR, end, speed_mps=8.3)
    case = Counted(walk + stuck, [duty("D1", "O1", OPENING, end, "R1")])
    assert case.rows() == [("D1", OPENING + HOUR, end, "frozen", "R1", "")]
    item = case.figures(OPENING, end)["officer", "O1"]
    assert (item.share, item.share_low, item.share_high) == (1.0, 0.125, 1.0)
    assert item.verdict(0.8) == NOT_PROVEN


def test_a_frozen_radio_is_told_by_the_officers_other_device() -> None:
    """Equal coordinates without speeds are in doubt where the officer's own car was far away for long."""
    end = OPENING + 2 * HOUR
    stuck = standing("R1", IN_A, OPENING, end)
    drive = moving("V1", OPENING, end, circle((1500, 1500), 1200, 8.0), step=20 * SECOND)
    alone = Counted(stuck + drive, [duty("D1", "O1", OPENING, end, "R1", "V1")])
    assert ("D1", OPENING, end, "frozen", "R1", "V1") in alone.rows()
    crew = Counted(
        stuck + drive,
        [duty("D1", "O1", OPENING, end, "R1", "V1"), duty("D2", "O2", OPENING, end, "R2", "V1")],
    )
    assert [row for row in crew.rows() if row.kind == "frozen"] == []


def test_two_devices_on_one_id() -> None:
    """Two tracks 2 km apart under one id, a report every 30 s in turn, are in doubt from turn to turn."""
    end = OPENING + HOUR
    here = moving("R1", OPENING, end, circle(IN_A, 100, 1.4))
    there = moving("R1", OPENING + 30 * SECOND, end, circle((3500, 1500), 100, 1.4))
    case = Counted(here + there, [duty("D1", "O1", OPENING, end, "R1")])
    [row] = case.rows()
    assert (row.kind, row.device_id, row.other_id) == ("two_devices", "R1", "")
    # The first turn is the second report, the last one that before the last.
    assert (row.start, row.end) == (OPENING + 30 * SECOND, end - 30 * SECOND)


def test_a_radio_apart_from_a_moving_car() -> None:
    """A radio that walks in A while its officer's car drives in B is doubtful for as long as that lasts."""
    end = OPENING + 2 * HOUR
    walk = moving("R1", OPENING, end, circle(IN_A, 300, 1.4))
    drive = moving("V1", OPENING, end, circle((4500, 1500), 800, 8.0), step=20 * SECOND)
    case = Counted(walk + drive, [duty("D1", "O1", OPENING, end, "R1", "V1")])
    assert case.rows() == [("D1", OPENING, end, "apart", "R1", "V1")]
    parked = standing("V1", (4500, 1500), OPENING, end)
    assert Counted(walk + parked, [duty("D1", "O1", OPENING, end, "R1", "V1")]).rows() == []


# What the rule says of each kind.


@pytest.mark.parametrize("spot", [IN_A, (1050.0, 1050.0)], ids=["on patch", "in premises"])
def test_time_that_a_state_decides_is_not_in_doubt(spot: tuple[float, float]) -> None:
    """A frozen radio makes no break, no time in court and no time off duty doubtful, in premises neither."""
    end = OPENING + 6 * HOUR
    stuck = standing("R1", spot, OPENING, end, speed_mps=8.3)
    keyed = [
        StateReport("O1", OPENING + number * HOUR, state) for number, state in enumerate((2, 4, 10, 11, 6))
    ]
    case = Counted(stuck, [duty("D1", "O1", OPENING, end, "R1")], keyed)
    assert case.rows() == [
        ("D1", OPENING, OPENING + HOUR, "frozen", "R1", ""),
        ("D1", OPENING + 4 * HOUR, end, "frozen", "R1", ""),
    ]
    item = case.figures(OPENING, end)["officer", "O1"]
    assert (item.duty, item.doubtful, item.proven, item.possible) == (4 * HOUR, 3 * HOUR, 0, 3 * HOUR)


def test_doubtful_time_off_patch_may_have_been_on_it() -> None:
    """Doubtful time off patch, or in premises, enters the upper bound and not the share."""
    end = OPENING + 2 * HOUR
    for spot in ((4500.0, 1500.0), (1050.0, 1050.0)):
        case = Counted(
            standing("R1", spot, OPENING, end, speed_mps=8.3), [duty("D1", "O1", OPENING, end, "R1")]
        )
        item = case.figures(OPENING, end)["officer", "O1"]
        assert (item.share, item.share_low, item.share_high) == (0.0, 0.0, 1.0)


def test_a_receiver_that_stands_still_is_not_frozen() -> None:
    """Equal coordinates without a speed, or mostly at rest, are in no doubt by themselves."""
    end = OPENING + 2 * HOUR
    for speeds in ([None], [0.0], [0.0, 8.3], [2.0], [None, None, 1.9]):
        stuck = [
            item._replace(speed_mps=speeds[n % len(speeds)])
            for n, item in enumerate(standing("R1", IN_A, OPENING, end - MINUTE))
        ]
        assert Counted(stuck, [duty("D1", "O1", OPENING, end, "R1")]).rows() == []


def test_a_vehicle_may_be_shared() -> None:
    """A vehicle that two officers crew is in no doubt; a radio of two duties of one officer is not either."""
    end = OPENING + HOUR
    crew = Counted(
        standing("V1", IN_A, OPENING, end),
        [duty("D1", "O1", OPENING, end, "V1"), duty("D2", "O2", OPENING, end, "V1")],
    )
    twice = Counted(
        standing("R1", IN_A, OPENING, end),
        [duty("D1", "O1", OPENING, end, "R1"), duty("D2", "O1", OPENING + MINUTE, end, "R1")],
    )
    assert crew.rows() == twice.rows() == []


def test_cancelled_and_replaced_bookings_share_no_radio() -> None:
    """Only newest revisions that are not cancelled count; a radio handed over in time is in no doubt."""
    end = OPENING + 2 * HOUR
    track = standing("R1", IN_A, OPENING, end)
    one = duty("D1", "O1", OPENING, end, "R1")
    two = duty("D2", "O2", OPENING, end, "R1")
    assert Counted(track, [one, two]).rows()
    assert not Counted(track, [one, replace(two, revision=2, cancelled=True), two]).rows()
    assert not Counted(track, [one, replace(two, revision=2, devices=()), two]).rows()
    handed = duty("D2", "O2", OPENING, end, Allocation("R1", "radio", OPENING + HOUR, None))
    kept = duty("D1", "O1", OPENING, end, Allocation("R1", "radio", None, OPENING + HOUR))
    assert not Counted(track, [kept, handed]).rows()


def test_three_officers_with_one_radio_are_each_told_of_both_others() -> None:
    """Each duty has a row for each other officer, and its doubtful time counts once."""
    end = OPENING + HOUR
    case = Counted(
        standing("R1", IN_A, OPENING, end), [duty(f"D{n}", f"O{n}", OPENING, end, "R1") for n in range(3)]
    )
    assert {(row.duty_id, row.other_id) for row in case.rows()} == {
        (f"D{n}", f"O{m}") for n in range(3) for m in range(3) if n != m
    }
    assert all(
        item.doubtful == HOUR for key, item in case.figures(OPENING, end).items() if key[0] == "officer"
    )


SETTINGS = {
    "double_speed_mps": 70.0,
    "double_turns": 32.0,
    "double_within_s": 149.0,
    "frozen_s": 7201.0,
    "frozen_speed_mps": 8.4,
    "apart_m": 5000.0,
    "apart_s": 7201.0,
    "apart_speed_mps": 9.0,
}
"""For each setting a value with which its kind of doubt is gone from the facts below."""


def contradictions() -> Counted:
    """Two hours with two devices on R1, a frozen R2, and an R3 that is not where its V3 is."""
    end = OPENING + 2 * HOUR
    here = moving("R1", OPENING, end, circle(IN_A, 50, 1.4))
    there = moving("R1", OPENING + 30 * SECOND, end, circle((3500, 1500), 50, 1.4))
    stuck = standing("R2", IN_A, OPENING, end, speed_mps=8.3)
    walk = moving("R3", OPENING, end, circle(IN_A, 300, 1.4))
    drive = moving("V3", OPENING, end, circle((4500, 1500), 800, 8.0), step=20 * SECOND)
    return Counted(
        [*here, *there, *stuck, *walk, *drive],
        [
            duty("D1", "O1", OPENING, end, "R1"),
            duty("D2", "O2", OPENING, end, "R2"),
            duty("D3", "O3", OPENING, end, "R3", "V3"),
        ],
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_every_threshold_is_a_setting_with_a_date(name: str) -> None:
    """A larger threshold takes its kind of doubt away from the day it is in force, and not before."""
    facts = contradictions()
    kind = {"double": "two_devices", "frozen": "frozen", "apart": "apart"}[name.partition("_")[0]]
    other = replace(Policy(), **{name: SETTINGS[name]})  # type: ignore[arg-type]
    kinds = {row.kind for row in facts.rows()}
    assert kinds == {"two_devices", "frozen", "apart"}
    lax = replace(facts, policies=Policies(policies=(other,)))
    assert {row.kind for row in lax.rows()} == kinds - {kind}
    later = replace(facts, policies=Policies((BEGINNING, OPENING + 9 * HOUR), (Policy(), other)))
    assert later.rows() == facts.rows()
    since = replace(facts, policies=Policies((BEGINNING, OPENING), (Policy(), other)))
    assert {row.kind for row in since.rows()} == kinds - {kind}


def there_and_back(start: int, count: int, last_step: int = 180 * SECOND) -> list[Report]:
    """So many turns, three minutes apart, between two spots at 55 m/s; a fix before and after them."""
    times = [start + (n - 1) * 180 * SECOND for n in range(count)]
    times += [times[-1] + last_step, times[-1] + last_step + 180 * SECOND]
    return [Report("R1", time, *at(10_000.0 * (n % 2), 0)) for n, time in enumerate(times)]


def doubted(reports: list[Report]) -> list[tuple[int, int]]:
    """When the one device among reports is in doubt by itself, microseconds since the opening."""
    found = device_doubts(in_order(columns(reports)), Policies())
    return [
        (start - OPENING, end - OPENING)
        for start, end in zip(found.start.tolist(), found.end.tolist(), strict=True)
    ]


def test_bounds_of_two_devices() -> None:
    """Six turns within exactly 900 s are enough; five, or one microsecond more, are not."""
    assert doubted(there_and_back(OPENING, 6)) == [(0, 900 * SECOND)]
    assert doubted(there_and_back(OPENING, 5)) == []
    assert doubted(there_and_back(OPENING, 6, last_step=180 * SECOND + 1)) == []
    # Two stretches: joined where less than 900 s are between them.
    first = there_and_back(OPENING, 6)
    for gap, joined_ in ((900 * SECOND, False), (900 * SECOND - 1, True)):
        second = there_and_back(OPENING + 900 * SECOND + gap, 6)
        second = [item._replace(lon=at(10_000.0 * ((n + 1) % 2), 0)[0]) for n, item in enumerate(second)]
        want = [(0, 900 * SECOND), (900 * SECOND + gap, 1800 * SECOND + gap)]
        assert doubted(first + second) == ([(0, want[1][1])] if joined_ else want)


def test_bounds_of_a_frozen_run() -> None:
    """A run of exactly 1,800 s counts, a shorter one or one with another last digit between does not."""
    run = standing("R1", IN_A, OPENING, OPENING + HOUR // 2, speed_mps=2.5)
    assert doubted(run) == [(0, HOUR // 2)]
    assert doubted([*run[:-1], run[-1]._replace(time=run[-1].time - 1)]) == []
    middle = run[15]._replace(lon=math.nextafter(run[15].lon, 0))
    assert doubted([*run[:15], middle, *run[16:]]) == []


@pytest.mark.parametrize(("seconds", "doubtful"), [(900, True), (900 - 1e-6, False)])
def test_bounds_of_devices_apart(seconds: float, doubtful: bool) -> None:
    """A car that drives in B for exactly 900 s while the radio is in A is in doubt, for less it is not."""
    end, start, stop = (
        OPENING + HOUR,
        OPENING + 600 * SECOND,
        OPENING + 600 * SECOND + round(seconds * SECOND),
    )
    radio = moving("R1", OPENING, end, circle(IN_A, 30, 0.1))
    where = circle((4500, 1500), 800, 8.0)
    times = [*range(start, stop, 20 * SECOND), stop]
    drive = [Report("V1", time, *at(*where((time - start) / SECOND))) for time in times]
    before = [drive[0]._replace(time=time) for time in range(OPENING, start, MINUTE)]
    after = [drive[-1]._replace(time=time) for time in range(stop + MINUTE, end, MINUTE)]
    case = Counted([*radio, *before, *drive, *after], [duty("D1", "O1", OPENING, end, "R1", "V1")])
    assert case.rows() == ([("D1", start, stop, "apart", "R1", "V1")] if doubtful else [])


def test_a_foot_beat_from_a_parked_car_is_no_contradiction() -> None:
    """A car that is parked in B, however long, contradicts no radio in A."""
    end = OPENING + 3 * HOUR
    walk = moving("R1", OPENING, end, circle(IN_A, 300, 1.4))
    parked = moving("V1", OPENING, end, circle((4500, 1500), 5, 0.2))
    assert Counted([*walk, *parked], [duty("D1", "O1", OPENING, end, "R1", "V1")]).rows() == []


# Any world.

seeds = st.integers(0, 2**32 - 1)
faulty = st.builds(doubtful_world, seeds, st.frozensets(st.sampled_from(FAULTS), min_size=1))
UNTIL = OPENING + 4 * HOUR


def told(case: Counted) -> list[Row]:
    """The core's doubts in the oracle's order."""
    return sorted(row._replace(end=min(row.end, UNTIL)) for row in case.rows())


@many(60)
@given(faulty)
def test_doubts_are_those_of_the_rule_read_literally(case: Counted) -> None:
    """Every doubt is where the slow reading of rule 21 has it, but for a microsecond or two of a search."""
    want = literal(case.reports, case.oracle_stays(), case.oracle_slices(UNTIL), case.booked, as_of=UNTIL)
    have = told(case)
    assert [row._replace(start=0, end=0) for row in have] == [
        Row(*row)._replace(start=0, end=0) for row in want
    ]
    for one, other in zip(have, want, strict=True):
        assert abs(one.start - other.start) <= 2, (one, other)
        assert abs(one.end - other.end) <= 2, (one, other)


@many(40)
@given(seeds)
def test_clean_worlds_give_no_doubt(seed: int) -> None:
    """Officers who drive and walk with their radios, in and out of range, contradict nothing."""
    assert doubtful_world(seed).rows() == []


@many(30)
@given(faulty, st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(case: Counted, random: Random) -> None:
    """The same facts in another order, some of them twice or with a worse error besides, doubt the same."""
    reports = [*case.reports, *random.sample(list(case.reports), 100)]
    reports += [item._replace(lon=item.lon + 0.01, error_m=150.0) for item in random.sample(reports, 100)]
    random.shuffle(reports)
    booked = [*case.booked, *case.booked[:2]]
    random.shuffle(booked)
    again = replace(case, reports=reports, booked=booked)
    assert again.rows() == case.rows()


@many(40)
@given(faulty)
def test_doubt_widens_bounds_and_changes_nothing_else(case: Counted) -> None:
    """Shares stay; the bounds leave out, or take in, what is ambiguous or doubtful, and nothing twice."""
    start, end = OPENING + 20 * MINUTE, UNTIL - HOUR
    plain = {
        (item.scope, item.id): item
        for item in shares(case.slices, case.duties, case.history.places, start, end)
    }
    found = case.figures(start, end)
    assert found.keys() == plain.keys()
    spans: dict[int, list[tuple[int, int]]] = {}
    for duty_, low, high in zip(
        case.doubts.duty.tolist(), case.doubts.start.tolist(), case.doubts.end.tolist(), strict=True
    ):
        spans.setdefault(duty_, []).append((low, high))
    unsure = ambiguous(case.duties, case.slices.duty, case.slices.place, case.history.places)
    want: dict[tuple[str, str], list[int]] = {key: [0, 0, 0] for key in found}
    for row in range(len(case.slices)):
        number = int(case.slices.duty[row])
        low, high = max(int(case.slices.start[row]), start), min(int(case.slices.end[row]), end)
        inside = joined(
            [(max(a, low), min(b, high)) for a, b in spans.get(number, []) if max(a, low) < min(b, high)]
        )
        doubt = sum(b - a for a, b in inside)
        one = case.duties[number]
        for key in [
            ("officer", one.officer_id),
            *(("neighbourhood", area) for area in one.patch),
            ("force", "force"),
        ]:
            if key in found and (one.patch or not found[key].has_share):
                activity = int(case.slices.activity[row])
                want[key][0] += doubt
                want[key][1] += doubt * (activity == ON_PATCH and not unsure[row])
                want[key][2] += doubt * (activity != ON_PATCH and not unsure[row])
    for key, item in found.items():
        doubtful = (item.doubtful, item.only_doubtful_on, item.only_doubtful_off)
        assert list(doubtful) == want[key], key
        assert replace(item, doubtful=0, only_doubtful_on=0, only_doubtful_off=0) == plain[key]
        assert item.proven == plain[key].proven - doubtful[1]
        assert item.possible == plain[key].possible + doubtful[2]
        assert 0 <= item.proven <= item.on_patch <= item.possible <= item.duty


@many(30)
@given(faulty, st.data())
def test_a_part_of_the_tracks_is_enough(case: Counted, data: st.DataObject) -> None:
    """Whether an instant is in doubt shows in so much of the tracks around it as the module says."""
    marks = [edge + step for row in case.rows() for edge in (row.start, row.end) for step in (-1, 0)]
    instant = data.draw(st.sampled_from([*marks, OPENING + HOUR, OPENING + 2 * HOUR]))

    def at_instant(found: Counted, kind: str) -> set[tuple[str, str, str]]:
        return {
            (row.duty_id, row.device_id, row.other_id)
            for row in found.rows()
            if row.kind == kind and row.start <= instant < row.end
        }

    for kind, reach_s, more in (("two_devices", 1800, 1), ("apart", 1200, 2)):
        kept = []
        for name in case.fixes.device_ids:
            track = sorted({item.time for item in case.reports if item.device_id == name})
            low = bisect_left(track, instant - reach_s * SECOND) - more
            high = bisect_right(track, instant + reach_s * SECOND) + more
            times = set(track[max(0, low) : high])
            kept += [item for item in case.reports if item.device_id == name and item.time in times]
        assert at_instant(replace(case, reports=kept), kind) == at_instant(case, kind)


@many(25)
@given(seeds)
def test_faults_put_into_clean_tracks_are_told_by_name(seed: int) -> None:
    """A second track under one id, and coordinates that repeat at speed, are told of their device."""
    clean = doubtful_world(seed)
    opens, closes = OPENING + HOUR, OPENING + 2 * HOUR
    for device, kind in (("R1", TWO_DEVICES), ("R2", FROZEN)):
        track = sorted(item for item in clean.reports if item.device_id == device)
        inside = [item for item in track if opens <= item.time < closes]
        assume(len(inside) > 20 and inside[-1].time - inside[0].time >= HOUR // 2)
        if kind == TWO_DEVICES:
            made = track + [
                item._replace(time=item.time + 9 * SECOND, lon=item.lon + 0.06) for item in inside
            ]
        else:
            stuck = [item._replace(lon=WEST, lat=SOUTH, speed_mps=5.0) for item in inside]
            made = [item for item in track if not opens <= item.time < closes] + stuck
        fixes = in_order(columns(made))
        found = device_doubts(fixes, Policies())
        assert found.kind.tolist().count(kind) == len(found) > 0
        assert device_doubts(in_order(columns(track)), Policies()).kind.tolist() == []


ELSEWHERE = {"frozen by its car": (2300.0, 2300.0, 300.0), "apart": (4500.0, 1500.0, 800.0)}
"""Where a car drives meanwhile: in the same patch, or in the other one; metres, and the circle's radius."""


@many(60)
@given(
    seeds,
    st.sampled_from(["shared", "frozen", "frozen by its car", "two devices", "apart"]),
    st.integers(10, 60),
    st.integers(40, 90),
    st.integers(20, 60),
)
def test_one_fault_in_a_clean_world_is_told_by_name(
    seed: int, fault: str, after_min: int, minutes: int, step_s: int
) -> None:
    """A crew with nothing wrong, and an officer with one fault: that kind, duty, device and time, no other.

    Each kind of rule 21 by itself, at random times, lengths and intervals of reporting.
    """
    world, end, step = doubtful_world(seed), OPENING + 3 * HOUR, step_s * SECOND
    reports = [item for item in world.reports if item.device_id not in ("R3", "V2")]
    booked = [item for item in world.booked if item.officer_id != "O3"]
    booked.append(duty("D3", "O3", OPENING, end, "R3", "V2"))
    walk = moving("R3", OPENING, end, circle((700.0, 700.0), 300, 1.4), step=step)
    assert Counted([*reports, *walk], booked).rows() == []
    opens, closes = OPENING + after_min * MINUTE, OPENING + (after_min + minutes) * MINUTE
    within = [item for item in walk if opens <= item.time <= closes]
    first, last = within[0].time, within[-1].time
    if fault in ELSEWHERE:
        *centre, radius = ELSEWHERE[fault]
        reports += moving("V2", first, last, circle((centre[0], centre[1]), radius, 9.0), step=step)
    if fault.startswith("frozen"):
        speed = 4.0 if fault == "frozen" else None
        stuck = [item._replace(lon=within[0].lon, lat=within[0].lat, speed_mps=speed) for item in within]
        walk = [item for item in walk if not opens <= item.time <= closes] + stuck
    elif fault == "two devices":
        north = (
            30 * step_s * METRE_NORTH
        )  # 60 m/s to and fro: faster is unknown, and nothing is decided by it
        walk += [item._replace(time=item.time + step // 2, lat=item.lat + north) for item in within]
    elif fault == "shared":
        booked.append(duty("D9", "O9", OPENING, end, Allocation("R3", "radio", opens, closes)))
    rows = Counted([*reports, *walk], booked).rows()
    wanted = {
        "shared": [
            Row("D3", opens, closes, "shared_radio", "R3", "O9"),
            Row("D9", opens, closes, "shared_radio", "R3", "O3"),
        ],
        "frozen": [Row("D3", first, last, "frozen", "R3", "")],
        "frozen by its car": [Row("D3", first, last, "frozen", "R3", "V2")],
        "apart": [Row("D3", first, last, "apart", "R3", "V2")],
    }
    if fault == "two devices":
        [row] = rows
        assert row[3:] == ("two_devices", "R3", "")
        assert first <= row.start <= first + 2 * step
        assert last - step <= row.end <= last + step
    else:
        assert sorted(rows) == sorted(wanted[fault])


def test_a_clean_shift_with_real_trackers_gives_hardly_any_doubt() -> None:
    """Less than one doubt in 1,000 officer-hours of a simulated shift (more by hand: tests.clean_shifts)."""
    found = clean_shift(officers=60, hours=6.0, seed=7)
    assert found.hours > 300
    assert found.per_thousand < 1
