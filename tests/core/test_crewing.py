"""Vehicle time by officers allocated, against the oracle, and examples that people can check."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import UNKNOWN
from geo.matching.places import Place
from stream.core import calendar
from stream.core.crewing import HOUR, NOWHERE_KNOWN, OUTSIDE, Crewing, by_hour_of_day, crewing
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.policy import Policies
from stream.core.slices import newest
from stream.core.stays import Stays, stays
from stream.files.sheets.arrow import write
from stream.files.sheets.contract import crewing_table
from tests import oracle
from tests.oracle.crewing import Cell
from tests.oracle.crewing import crewing as oracle_crewing
from tests.strategies import BINARY, World, many, micros, world_fixes, worlds
from tests.worlds import history_of

if TYPE_CHECKING:
    from pathlib import Path

MONDAY = micros("2026-11-23T08:00:00+00:00")
MINUTE = 60 * SECOND

PLACES = (Place(None, None, ()), Place("N2", None, ()), Place("N1", "B1", ("P1",)), Place("N1", None, ()))


def plain(found: Crewing) -> dict[Cell, tuple[int, int]]:
    """Columns → the oracle's form."""
    rows = zip(
        found.neighbourhood.tolist(),
        found.hour.tolist(),
        found.single.tolist(),
        found.double.tolist(),
        strict=True,
    )
    return {(found.neighbourhood_ids[where], hour): (one, two) for where, hour, one, two in rows}


def all_vehicles(world: World) -> World:
    """A world in which radios are vehicles too, so that crews meet."""
    return replace(
        world,
        duties=tuple(
            replace(duty, devices=tuple(replace(item, kind="vehicle") for item in duty.devices))
            for duty in world.duties
        ),
    )


def of_world(world: World) -> Crewing:
    """Crewing in the world's period, by the core."""
    fixes, history = world_fixes(world), history_of(world)
    found = stays(fixes, history, Policies())
    return crewing(newest(world.duties), found, fixes.device_ids, history.places, *world.period)


@many(150)
@given(worlds(BINARY), st.booleans())
def test_crewing_equals_the_oracle(world: World, vehicles_only: bool) -> None:
    """For every neighbourhood and hour the time is that of the rule read literally, to the microsecond."""
    world = all_vehicles(world) if vehicles_only else world
    found = of_world(world)
    assert plain(found) == oracle_crewing(
        world.duties, oracle.stays(world.fixes, world.versions), world.period
    )
    keys = list(zip(found.neighbourhood.tolist(), found.hour.tolist(), strict=True))
    assert keys == sorted(set(keys))
    ids = found.neighbourhood_ids
    assert ids == (*sorted({where for where, _ in plain(found)} - {*ids[-2:]}), OUTSIDE, NOWHERE_KNOWN)


# Made directly: many officers, many allocations, stays with holes between them.

MOMENTS = st.one_of(
    st.integers(0, 30).map(lambda tens: MONDAY + tens * 10 * MINUTE),
    st.integers(MONDAY, MONDAY + 5 * HOUR),
    st.sampled_from([MONDAY + HOUR - 1, MONDAY + HOUR + 1]),
)


@st.composite
def allocations(draw: st.DrawFn) -> Allocation:
    """A vehicle, or now and then a radio, for an interval or the whole duty."""
    edges = st.one_of(st.none(), MOMENTS)
    return Allocation(
        draw(st.sampled_from(("V1", "V2", "V3"))),
        draw(st.sampled_from(("vehicle", "vehicle", "radio"))),
        draw(edges),
        draw(edges),
    )


@st.composite
def bookings(draw: st.DrawFn) -> list[Duty]:
    """Duties of up to four officers that may overlap, be open or cancelled."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        start = draw(MOMENTS)
        end = draw(st.one_of(st.none(), MOMENTS))
        found.append(
            Duty(
                f"D{number}",
                1,
                draw(st.sampled_from(("O1", "O2", "O3", "O4"))),
                start,
                None if end is None else max(start, end),
                ("N1",),
                tuple(draw(st.lists(allocations(), max_size=4))),
                cancelled=draw(st.sampled_from((False, False, False, True))),
            )
        )
    return found


@st.composite
def whereabouts(draw: st.DrawFn) -> Stays:
    """Stays of V1 and V2 with holes between some of them; of V3 nothing is known."""
    rows = []
    for device in range(2):
        at = draw(MOMENTS)
        for length, gone, place in draw(
            st.lists(
                st.tuples(
                    st.integers(1, HOUR),
                    st.sampled_from((0, 0, MINUTE)),
                    st.integers(UNKNOWN, len(PLACES) - 1),
                ),
                max_size=4,
            )
        ):
            rows.append((device, at, at + length, place))
            at += length + gone
    table = np.array(rows, np.int64).reshape(-1, 4)
    return Stays(
        table[:, 0].astype(np.int32), table[:, 1].copy(), table[:, 2].copy(), table[:, 3].astype(np.int32)
    )


def plain_stays(found: Stays) -> dict[str, list[oracle.Stay]]:
    """Columns → the oracle's form."""
    table: dict[str, list[oracle.Stay]] = {"V1": [], "V2": []}
    for device, start, end, place in zip(
        *(column.tolist() for column in (found.device, found.start, found.end, found.place)), strict=True
    ):
        where = None if place == UNKNOWN else oracle.Place(*PLACES[place][:3])
        table[f"V{device + 1}"].append((start, end, where))
    return table


PERIODS = st.tuples(MOMENTS, MOMENTS).map(lambda pair: (min(pair), max(pair)))


@many(200)
@given(bookings(), whereabouts(), PERIODS)
def test_crewing_of_any_bookings_equals_the_oracle(
    duties: list[Duty], found: Stays, period: tuple[int, int]
) -> None:
    """Overlapping duties, double allocations and vehicles that fall silent are counted as the rule says."""
    counted = crewing(duties, found, ("V1", "V2"), PLACES, *period)
    assert plain(counted) == oracle_crewing(duties, plain_stays(found), period)


@many(80)
@given(bookings(), whereabouts(), PERIODS, st.randoms(use_true_random=False))
def test_the_order_of_duties_and_devices_cannot_matter(
    duties: list[Duty], found: Stays, period: tuple[int, int], random: object
) -> None:
    """Duties and allocations in any order, devices and places numbered otherwise: the same columns."""
    one = crewing(duties, found, ("V1", "V2"), PLACES, *period)
    turned = [replace(duty, devices=duty.devices[::-1]) for duty in duties]
    random.shuffle(turned)  # type: ignore[attr-defined]
    order = np.lexsort((found.start, -found.device))
    place = np.where(found.place == UNKNOWN, UNKNOWN, len(PLACES) - 1 - found.place)
    again = Stays(
        (1 - found.device)[order], found.start[order], found.end[order], place[order].astype(np.int32)
    )
    two = crewing(turned, again, ("V2", "V1"), PLACES[::-1], *period)
    assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in Crewing.__slots__)


@many(80)
@given(bookings(), whereabouts(), PERIODS, st.data())
def test_the_time_of_parts_of_a_period_sums_to_that_of_the_whole(
    duties: list[Duty], found: Stays, period: tuple[int, int], data: st.DataObject
) -> None:
    """Divided at any instant, nothing is lost or counted twice; by hour of day it is the same time."""
    start, end = period
    middle = data.draw(st.integers(start, end))
    whole, before, after = (
        crewing(duties, found, ("V1", "V2"), PLACES, low, high)
        for low, high in ((start, end), (start, middle), (middle, end))
    )
    parts = [plain(before), plain(after)]
    assert plain(whole) == {
        cell: tuple(sum(part.get(cell, (0, 0))[at] for part in parts) for at in range(2))
        for cell in {*parts[0], *parts[1]}
    }
    single, double = by_hour_of_day(whole)
    for at in range(len(whole.neighbourhood_ids)):
        assert single[at].sum() == whole.single[whole.neighbourhood == at].sum()
        assert double[at].sum() == whole.double[whole.neighbourhood == at].sum()


@many(60)
@given(bookings(), whereabouts(), PERIODS)
def test_a_later_duty_of_somebody_else_takes_no_crewed_time_away(
    duties: list[Duty], found: Stays, period: tuple[int, int]
) -> None:
    """One more officer in every vehicle makes all single time double, and leaves no vehicle uncrewed."""
    devices = tuple(Allocation(name, "vehicle") for name in ("V1", "V2", "V3"))
    before = crewing(duties, found, ("V1", "V2"), PLACES, *period)
    more = Duty("X", 1, "OX", period[0], period[1], (), devices)
    after = crewing([*duties, more], found, ("V1", "V2"), PLACES, *period)
    assert after.double.sum() == before.single.sum() + before.double.sum()
    assert after.single.sum() + after.double.sum() == 3 * (period[1] - period[0])


# Examples.


def standing_still(place: int, start: int = MONDAY, hours: int = 10) -> Stays:
    """Vehicle V1 in one place."""
    return Stays(
        np.zeros(1, np.int32),
        np.array([start], np.int64),
        np.array([start + hours * HOUR], np.int64),
        np.array([place], np.int32),
    )


def duty(name: str, officer: str, *devices: Allocation, start: int = 0, end: int = 120) -> Duty:
    """A duty of some minutes from Monday 08:00."""
    return Duty(name, 1, officer, MONDAY + start * MINUTE, MONDAY + end * MINUTE, ("N1",), devices)


def car(start: int | None = None, end: int | None = None, kind: str = "vehicle") -> Allocation:
    """Vehicle V1 for some minutes from Monday 08:00."""
    edges = (None if at is None else MONDAY + at * MINUTE for at in (start, end))
    return Allocation("V1", kind, *edges)


def minutes(*duties: Duty, place: int = 3) -> tuple[float, float]:
    """Minutes of V1 with one officer, and with more, between 08:00 and 18:00."""
    found = crewing(duties, standing_still(place), ("V1",), PLACES, MONDAY, MONDAY + 10 * HOUR)
    return float(found.single.sum()) / MINUTE, float(found.double.sum()) / MINUTE


def test_two_officers_in_one_car_for_part_of_the_time() -> None:
    """08:00 to 09:00 and 08:40 to 10:00: 100 minutes with one officer, 20 with two."""
    assert minutes(duty("A", "O1", car(0, 60)), duty("B", "O2", car(40, 120))) == (100, 20)


def test_three_officers_are_two_or_more() -> None:
    """A third officer makes no third kind of time."""
    crew = [duty(name, f"O{name}", car()) for name in ("A", "B", "C")]
    assert minutes(*crew) == (0, 120)


def test_an_officer_allocated_twice_counts_once() -> None:
    """Two allocations of one officer to one car, in one duty or in two, are one officer."""
    assert minutes(duty("A", "O1", car(0, 60), car(30, 90))) == (90, 0)
    assert minutes(duty("A", "O1", car(), end=60), duty("B", "O1", car(), start=30)) == (120, 0)


def test_an_officer_is_on_one_duty_at_a_time() -> None:
    """While a later duty without the car runs, the earlier one's allocation is not taken up."""
    assert minutes(duty("A", "O1", car()), duty("B", "O1", start=30, end=60)) == (90, 0)


def test_allocations_count_within_their_duty_only() -> None:
    """An allocation from before the duty or beyond it is cut to the duty."""
    assert minutes(duty("A", "O1", car(-60, 600), start=30, end=90)) == (60, 0)


def test_cancelled_duties_and_radios_crew_nothing() -> None:
    """Neither a cancelled duty nor a radio makes vehicle time."""
    assert minutes(replace(duty("A", "O1", car()), cancelled=True), duty("B", "O2", car(kind="radio"))) == (
        0,
        0,
    )


def test_an_open_duty_is_counted_up_to_the_period_s_end() -> None:
    """Still on duty: the car is crewed until the end of what is asked about."""
    assert minutes(replace(duty("A", "O1", car()), end=None)) == (600, 0)


@pytest.mark.parametrize(
    ("place", "where"), [(0, OUTSIDE), (1, "N2"), (2, "N1"), (3, "N1"), (UNKNOWN, NOWHERE_KNOWN)]
)
def test_time_goes_to_where_the_vehicle_was(place: int, where: str) -> None:
    """A neighbourhood, inside premises too; else outside; and apart from all, at an unknown location."""
    found = crewing([duty("A", "O1", car())], standing_still(place), ("V1",), PLACES, MONDAY, MONDAY + HOUR)
    assert plain(found) == {(where, MONDAY): (HOUR, 0)}


def test_a_vehicle_that_was_never_seen_was_somewhere() -> None:
    """Without any position, and before the first and after the last, its time is unknown, not nothing."""
    never = crewing([duty("A", "O1", car())], standing_still(1), ("V9",), PLACES, MONDAY, MONDAY + HOUR)
    assert plain(never) == {(NOWHERE_KNOWN, MONDAY): (HOUR, 0)}
    late = standing_still(1, MONDAY + 20 * MINUTE)
    found = crewing([duty("A", "O1", car())], late, ("V1",), PLACES, MONDAY, MONDAY + HOUR)
    assert plain(found) == {
        ("N2", MONDAY): (40 * MINUTE, 0),
        (NOWHERE_KNOWN, MONDAY): (20 * MINUTE, 0),
    }


@pytest.mark.parametrize(
    ("midnight", "hours", "twice", "left_out"),
    [
        ("2026-10-24T23:00:00+00:00", 25, 1, None),
        ("2026-03-29T00:00:00+00:00", 23, None, 1),
        ("2026-11-23T00:00:00+00:00", 24, None, None),
    ],
)
def test_a_local_day_of_23_or_25_hours_by_hour_of_day(
    midnight: str, hours: int, twice: int | None, left_out: int | None
) -> None:
    """The hour that comes twice has two hours of time, the one left out has none, every other one."""
    start = micros(midnight)
    day = calendar.day_bounds(calendar.local_day(start))
    assert day == (start, start + hours * HOUR)
    noon = start + 12 * HOUR  # a day of 25 hours is too long for one duty (rule 8a)
    parts = ((start, noon), (noon, day[1]))
    booked = [Duty(f"A{part[0]}", 1, "O1", *part, ("N1",), (car(),)) for part in parts]
    found = crewing(booked, standing_still(3, start, hours), ("V1",), PLACES, *day)
    assert found.hour.tolist() == [start + at * HOUR for at in range(hours)]
    single, double = by_hour_of_day(found)
    wanted = [2 if hour == twice else 0 if hour == left_out else 1 for hour in range(24)]
    assert (single[0] // HOUR).tolist() == wanted
    assert not double.any()


def test_the_file_reads_as_a_person_would_write_it() -> None:
    """By neighbourhood and hour, outside and unknown last, seconds with six decimals."""
    found = crewing(
        [duty("A", "O1", car(30, 90)), duty("B", "O2", car(60, 75), Allocation("V2", "vehicle"))],
        standing_still(1),
        ("V1",),
        PLACES,
        MONDAY,
        MONDAY + 75 * MINUTE + 1,
    )
    table = crewing_table(found)
    assert table.column_names == ["neighbourhood", "hour", "single_s", "double_s"]
    assert [",".join(row.values()) for row in table.to_pylist()] == [
        "N2,2026-11-23T08:00:00.000000Z,1800.000000,0.000000",
        "N2,2026-11-23T09:00:00.000000Z,0.000001,900.000000",
        "unknown,2026-11-23T08:00:00.000000Z,3600.000000,0.000000",
        "unknown,2026-11-23T09:00:00.000000Z,900.000001,0.000000",
    ]


def test_nothing_comes_of_nothing(tmp_path: Path) -> None:
    """No duties, no stays: no crewing, and a file with a head and no rows."""
    none = Stays(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    found = crewing([], none, (), (), MONDAY, MONDAY + HOUR)
    assert (len(found), found.neighbourhood_ids) == (0, (OUTSIDE, NOWHERE_KNOWN))
    write({"crewing": crewing_table(found)}, tmp_path)
    assert (tmp_path / "crewing.csv").read_text("utf-8") == "neighbourhood,hour,single_s,double_s\n"
    assert by_hour_of_day(found)[0].shape == (2, 24)
