"""Bounds: ambiguous time against a slow reading of rule 14, and what must hold of bounds in any world."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.shares import AMBIGUOUS_OFF, AMBIGUOUS_ON, FORCE, MET, MISSED, NOT_PROVEN, shares, totals
from stream.core.slices import ambiguous as unsure
from stream.core.slices import newest, slices
from stream.core.stays import distance_m, stays
from tests import oracle
from tests.oracle.ambiguity import Border, Plane, ambiguous, apart, doubtful
from tests.real import buses, wards
from tests.strategies import (
    BINARY,
    DECIMAL,
    NEIGHBOURHOODS,
    World,
    areas,
    fix_columns,
    many,
    tracks,
    world_fixes,
)
from tests.tessellations import SIZE, SOUTH, WEST, small_world
from tests.worlds import busy, history_of, horizon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stream.core.shares import Figures
    from tests.oracle import Fix
    from tests.oracle.ambiguity import Interval

METRE = math.degrees(1 / 6_371_008.8)
"""Degrees of latitude in a metre."""

EDGE = 52.64
HOUR = 3600 * SECOND
PATCH_A = Area(Kind.NEIGHBOURHOOD, "A", "A", shapely.box(-1.15, 52.62, -1.10, EDGE))
STATION = Area(Kind.PREMISES, "station", "station", shapely.box(-1.13, 52.625, -1.12, 52.635))


def ambiguous_time(world: World, policies: Policies) -> dict[str, tuple[int, int]]:
    """By duty, what the core counts as ambiguous on patch, and off it or in premises."""
    fixes, history, duties = world_fixes(world), history_of(world), newest(world.duties)
    found = slices(
        duties, stays(fixes, history, policies), fixes.device_ids, world.states, history.places, policies
    )
    table = totals(found, duties, history.places, *world.period)
    return {
        duty.duty_id: (int(row[AMBIGUOUS_ON]), int(row[AMBIGUOUS_OFF]))
        for duty, row in zip(duties, table, strict=True)
        if not duty.cancelled
    }


def figures_of(world: World, policies: Policies) -> dict[tuple[str, str], Figures]:
    """By scope and id."""
    fixes, history, duties = world_fixes(world), history_of(world), newest(world.duties)
    found = slices(
        duties, stays(fixes, history, policies), fixes.device_ids, world.states, history.places, policies
    )
    return {(item.scope, item.id): item for item in shares(found, duties, history.places, *world.period)}


def assert_doubtful(
    fixes: Sequence[Fix],
    versions: Sequence[oracle.Version],
    history: AreaHistory,
    patch: Sequence[str],
    *,
    default: float = 10.0,
) -> int:
    """Device by device, ambiguous time is that of the search: no less than with every error 1 µm smaller, no
    more than with it larger, but for 2 µs a border. Returns how many microseconds that was.
    """
    policies = Policies(policies=(replace(Policy(), default_error_m=default),))
    columns = fix_columns(fixes)
    found = stays(columns, history, policies)
    duty = Duty("D1", 1, "O1", 0, None, tuple(patch))
    open_ = unsure([duty], np.zeros(len(found), np.int32), found.place, history.places)
    counted = 0
    for number, device in enumerate(columns.device_ids):
        own = found.device == number
        seen = list(zip(found.start[own].tolist(), found.end[own].tolist(), strict=True))
        core = [each for each, yes in zip(seen, open_[own].tolist(), strict=True) if yes]
        known = [each for each, at in zip(seen, found.place[own].tolist(), strict=True) if at != UNKNOWN]
        track = [fix for fix in fixes if fix[0] == device]
        least, most = (
            within(doubtful(track, versions, patch, default_error_m=default, slack=slack), known)
            for slack in (-1e-6, 1e-6)
        )
        rounding = 4 * (len(core) + len(least) + len(most))
        assert length(least) - length(within(least, core)) <= rounding, (device, patch, least, core)
        assert length(core) - length(within(core, most)) <= rounding, (device, patch, core, most)
        counted += length(core)
    return counted


def within(some: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """What two sets of instants have in common, as intervals that do not touch."""
    marks = sorted({at for each in (*some, *others) for at in each})
    found: list[Interval] = []
    for start, end in pairwise(marks):
        if all(any(low <= start and end <= high for low, high in each) for each in (some, others)):
            joins = found and found[-1][1] == start
            found.append((found.pop()[0] if joins else start, end))
    return found


def length(intervals: Sequence[Interval]) -> int:
    """Microseconds in intervals that do not overlap."""
    return sum(end - start for start, end in intervals)


@many(50)
@given(
    track=tracks("R1", 0, max_size=12),
    versions=st.tuples(areas(BINARY), areas(BINARY)),
    patch=st.sets(st.sampled_from(NEIGHBOURHOODS), min_size=1).map(sorted),
    default=st.sampled_from([10.0, 0.0, 33.0]),
)
def test_a_device_is_in_doubt_when_the_rule_says_so(
    track: list[Fix], versions: tuple[Any, Any], patch: list[str], default: float
) -> None:
    """Instant by instant, a position is ambiguous where a search finds it near the border of the patch."""
    dated = [(BEGINNING, versions[0]), (450 * SECOND, versions[1])]
    history = AreaHistory(
        [
            (since, AreaSet.of(Area(Kind(k), name, name, shape) for k, name, shape in rows))
            for since, rows in dated
        ]
    )
    assert_doubtful(track, dated, history, patch, default=default)


@pytest.mark.shared
def test_real_vehicles_are_in_doubt_when_the_rule_says_so(shared_data: Path) -> None:
    """Real vehicles among real wards, stations in them: likewise, for patches of one to five wards."""
    real = wards()
    history = AreaHistory([(BEGINNING, real)])
    rows = [(str(area.kind), area.area_id, area.geometry) for area in real.areas()]
    rng = np.random.default_rng(14)
    for number, (name, run) in enumerate(sorted(buses(shared_data).items())[:6]):
        track: list[Fix] = [(name, *fix[1:4], float(rng.choice([3.0, 12.0, 60.0]))) for fix in run[:80]]
        line = shapely.LineString([fix[2:4] for fix in track])
        met = sorted(
            area.area_id
            for area in real.only(Kind.NEIGHBOURHOOD).areas()
            if shapely.intersects(area.geometry, line)
        )
        patch = sorted(rng.choice(met, min(len(met), 1 + number % 5), replace=False).tolist())
        assert assert_doubtful(track, [(None, rows)], history, patch) > SECOND


@many(20)
@given(world=busy(), default=st.sampled_from([10.0, 0.0, 33.0]))
def test_ambiguous_time_is_that_of_the_rule_read_literally(world: World, default: float) -> None:
    """Per duty, ambiguous time is what a search finds on the border of the patch, to 2 µs a crossing."""
    policies = Policies(policies=(replace(Policy(), default_error_m=default),))
    found = oracle.slices(
        oracle.stays(world.fixes, world.versions), world.duties, world.states, as_of=horizon(world)
    )
    standing = {duty.duty_id: duty for duty in oracle.standing(world.duties)}
    expected = ambiguous(found, standing, world.fixes, world.versions, world.period, default_error_m=default)
    for duty_id, times in ambiguous_time(world, policies).items():
        for have, (least, most) in zip(times, expected[duty_id], strict=True):
            assert least <= have <= most, (duty_id, times, expected[duty_id])


# What must hold in any world.


@many(25)
@given(world=busy(DECIMAL))
def test_the_share_lies_within_its_bounds(world: World) -> None:
    """In any world ``0 ≤ low ≤ share ≤ high ≤ 1``, and the verdict follows from them."""
    for item in figures_of(world, Policies()).values():
        assert 0 <= item.ambiguous_on <= item.on_patch
        assert 0 <= item.ambiguous_off <= item.off_patch + item.not_visible
        if item.share is None:
            assert (item.share_low, item.share_high, item.verdict(0.8)) == (None, None, None)
            continue
        assert item.share_low is not None
        assert item.share_high is not None
        assert 0 <= item.share_low <= item.share <= item.share_high <= 1
        assert item.verdict(item.share_low) == MET
        assert item.verdict(math.nextafter(item.share_high, 2)) in {MISSED, MET}
        assert (item.verdict(item.share_high) == MET) == (item.share_low == item.share_high)


@many(25)
@given(world=busy(), more=st.sampled_from([0.0, 1.0, 25.0, 140.0]))
def test_larger_errors_only_widen(world: World, more: float) -> None:
    """With every error larger no low bound rises, no high bound falls, and nothing else changes."""
    wider = replace(
        world,
        fixes=tuple((*fix[:4], None if fix[4] is None else fix[4] + more) for fix in world.fixes),
    )
    one = figures_of(world, Policies())
    two = figures_of(wider, Policies(policies=(replace(Policy(), default_error_m=10.0 + more),)))
    assert one.keys() == two.keys()
    for key, item in one.items():
        assert two[key].ambiguous_on >= item.ambiguous_on
        assert two[key].ambiguous_off >= item.ambiguous_off
        same = replace(two[key], ambiguous_on=item.ambiguous_on, ambiguous_off=item.ambiguous_off)
        assert same == item


@many(20)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_error_only_legs_that_pass_the_border_are_ambiguous(seed: int) -> None:
    """Where errors are next to nothing, the legs that lead over the border are ambiguous, nothing else."""
    world = small_world(seed)
    rng = np.random.default_rng(seed)
    points = rng.uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE), (40, 2)).tolist()
    track: list[Fix] = [("R1", at * 60 * SECOND, x, y, 1e-9) for at, (x, y) in enumerate(points)]
    ids = sorted(world.only(Kind.NEIGHBOURHOOD).area_id)
    assume(ids)
    duty = Duty("D1", 1, "O1", 0, 39 * 60 * SECOND, (ids[0],), (Allocation("R1", "radio"),))
    found = figure(track, [duty], areas=world.areas())
    assert found.on_patch + found.off_patch + found.not_visible == found.duty > 0
    rows = [(str(area.kind), area.area_id, area.geometry) for area in world.areas()]
    border = Border(rows, (ids[0],))
    least, most = (
        sum(border.passed(a, b, surely=surely) for a, b in pairwise(track)) for surely in (True, False)
    )
    legs, rest = divmod(found.ambiguous_on + found.ambiguous_off + 50, 60 * SECOND)
    assert least <= legs <= most
    assert rest <= 100


# The plane that rule 14's distances are measured in.


@many(200)
@given(
    lat=st.floats(-65, 65),
    way=st.tuples(st.floats(-12, 12), st.floats(-12, 12)),
    at=st.floats(0, 1),
    offset=st.tuples(st.floats(-200, 200), st.floats(-200, 200)),
    edge=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_the_plane_agrees_with_great_circles(
    lat: float,
    way: tuple[float, float],
    at: float,
    offset: tuple[float, float],
    edge: tuple[float, float],
) -> None:
    """On legs of some 24 km, within 200 m of an edge, distances in the leg's plane err by under 0.5%."""
    lon = 10.0
    squeeze = math.cos(math.radians(lat))

    def moved(x: float, y: float, by: tuple[float, float]) -> tuple[float, float]:
        return x + by[0] * METRE / squeeze, y + by[1] * METRE

    a = (lon, lat)
    b = moved(*a, (way[0] * 1000, way[1] * 1000))
    spot = (a[0] + at * (b[0] - a[0]), a[1] + at * (b[1] - a[1]))
    c = moved(*spot, offset)
    d = moved(*c, edge)
    leg: tuple[Fix, Fix] = ("R1", 0, *a, None), ("R1", 1, *b, None)
    plane = Plane.of(*leg)
    flat = apart(plane.at(*spot), plane.at(*c), plane.at(*d))
    # Brute force: great circles to many points of the edge, then to many around the nearest of them.
    low, high = 0.0, 1.0
    for _ in range(4):
        f = np.linspace(low, high, 201)
        here = np.full(len(f), spot[0]), np.full(len(f), spot[1])
        round_ = distance_m(*here, c[0] + f * (d[0] - c[0]), c[1] + f * (d[1] - c[1]))
        best = int(np.argmin(round_))
        low, high = float(f[max(0, best - 1)]), float(f[min(200, best + 1)])
    assert abs(flat - float(round_.min())) <= 0.005 * 200
    # The search ends a micrometre or so from the nearest point.
    assert abs(flat - float(round_.min())) <= 0.005 * flat + 1e-5


# The worked examples, with their bounds.


def fix(seconds: float, north_m: float, *, device_id: str = "R1", error_m: float | None = 10.0) -> Fix:
    """A fix so many metres north of patch A's north edge."""
    return device_id, round(seconds * SECOND), -1.11, EDGE + north_m * METRE, error_m


def held(start_s: int, end_s: int, north_m: float = -500, *, device_id: str = "R1") -> list[Fix]:
    """A fix each 30 s in one spot, by default deep in A."""
    return [fix(seconds, north_m, device_id=device_id) for seconds in range(start_s, end_s + 1, 30)]


def duty_of(seconds: int, *devices: Allocation) -> Duty:
    """O1's duty with patch A, by default with radio R1."""
    return Duty("D1", 1, "O1", 0, seconds * SECOND, ("A",), devices or (Allocation("R1", "radio"),))


def figure(
    fixes: Sequence[Fix],
    duties: Sequence[Duty],
    states: Sequence[StateReport] = (),
    *,
    areas: Sequence[Area] = (PATCH_A,),
) -> Figures:
    """The force's figure."""
    columns, history, policies = fix_columns(fixes), AreaHistory([(BEGINNING, AreaSet.of(areas))]), Policies()
    found = slices(
        duties, stays(columns, history, policies), columns.device_ids, states, history.places, policies
    )
    end = max(duty.end or 0 for duty in duties)
    every = shares(found, duties, history.places, 0, end)
    return next(item for item in every if item.scope == FORCE)


def bounds(item: Figures) -> tuple[float | None, float | None, float | None, str | None]:
    """Low bound, share, high bound and verdict at the target of 0.8."""
    return item.share_low, item.share, item.share_high, item.verdict(0.8)


def near(*values: float) -> list[Any]:
    """Shares to a microsecond a second."""
    return [pytest.approx(value, abs=1e-6) for value in values]


def lasting(seconds: float) -> Any:
    """Microseconds, to two."""
    return pytest.approx(seconds * SECOND, abs=2)


def test_crossing() -> None:
    """Crossing in one leg: nobody saw when, so all ten seconds are ambiguous."""
    item = figure([fix(0, -100), fix(10, 100)], [duty_of(10)])
    assert [item.ambiguous_on, item.ambiguous_off] == [lasting(5)] * 2
    assert bounds(item) == (*near(0.0, 0.5, 1.0), NOT_PROVEN)


def test_passing_by() -> None:
    """Along the edge at 20 m/s, never over it: ambiguous only while within the error of 10 m."""
    item = figure([fix(0, -110), fix(5, -10), fix(10, -5), fix(15, -105)], [duty_of(15)])
    # The last leg leaves the ten metres after a quarter of a second.
    assert [item.ambiguous_on, item.ambiguous_off] == [lasting(5.25), 0]
    assert bounds(item) == (*near(9.75 / 15, 1.0, 1.0), NOT_PROVEN)


def test_short_gap() -> None:
    """Short gap: 300 s in A far from its edge are proven."""
    assert bounds(figure([fix(0, -100), fix(300, -200)], [duty_of(300)])) == (1.0, 1.0, 1.0, MET)


def test_long_gap() -> None:
    """Long gap: 301 s unknown might all have been on patch: beside one known second nothing is proven."""
    track = [fix(0, -100), fix(301, -151)]
    assert bounds(figure(track, [duty_of(301)])) == (None, None, None, None)
    low, share, high, verdict = bounds(figure([*track, fix(302, -151)], [duty_of(302)]))
    assert (low, share, high, verdict) == (1 / 302, 1 / 302, 1.0, NOT_PROVEN)


def test_parked() -> None:
    """Parked: 1,800 s in A, 100 and 120 m from the edge, are proven; 9 m from it they are ambiguous."""
    assert bounds(figure([fix(0, -100), fix(1800, -120)], [duty_of(1800)])) == (1.0, 1.0, 1.0, MET)
    assert bounds(figure([fix(0, -9), fix(1800, -29)], [duty_of(1800)])) == (0.0, 1.0, 1.0, NOT_PROVEN)
    assert bounds(figure([fix(0, -29), fix(1800, -9)], [duty_of(1800)])) == (0.0, 1.0, 1.0, NOT_PROVEN)
    assert bounds(figure([fix(0, 29), fix(1800, 9)], [duty_of(1800)])) == (0.0, 0.0, 1.0, NOT_PROVEN)


def test_vehicle_helps() -> None:
    """Vehicle helps: what the vehicle says is as proven as what a radio says, by its own error."""
    booked = duty_of(600, Allocation("R1", "radio"), Allocation("V1", "vehicle"))
    assert bounds(figure(held(0, 600, device_id="V1"), [booked])) == (1.0, 1.0, 1.0, MET)
    beside = held(0, 600, -9, device_id="V1")
    assert bounds(figure(beside, [booked])) == (0.0, 1.0, 1.0, NOT_PROVEN)


def test_station_inside_a() -> None:
    """Station inside A: not visible, and ambiguous only near the station's wall."""
    metre_east = METRE / math.cos(math.radians(52.63))
    for inward_m, high in ((200, 0.0), (9, 1.0)):
        spot: list[Fix] = [
            ("R1", at * SECOND, -1.13 + inward_m * metre_east, 52.63, 10.0) for at in range(0, 601, 30)
        ]
        item = figure(spot, [duty_of(600)], areas=(PATCH_A, STATION))
        assert item.not_visible == 600 * SECOND
        assert (item.share_low, item.share, item.share_high) == (0.0, 0.0, high)


def test_break() -> None:
    """Break: 45 minutes of ten hours are no part of the figure, ambiguous or not."""
    states = [StateReport("O1", 4 * HOUR, 4), StateReport("O1", 4 * HOUR + 2700 * SECOND, 2)]
    spot = held(0, 4 * 3600) + held(4 * 3600 + 30, 4 * 3600 + 2700 - 30, -9) + held(4 * 3600 + 2700, 36_000)
    item = figure(spot, [duty_of(36_000)], states)
    assert (item.duty, item.ambiguous_on) == (33_300 * SECOND, 0)
    assert bounds(item) == (1.0, 1.0, 1.0, MET)


def test_unknown() -> None:
    """Unknown: 6 h in A, 1 h off, 1 h no signal: share 0.75, low ≤ 0.75, high ≥ 0.875, not proven at 0.80."""
    track = [*held(0, 6 * 3600 - 30), fix(6 * 3600 - 15, -500), fix(6 * 3600 + 15, 500)]
    track += held(6 * 3600 + 30, 7 * 3600, 500)
    item = figure(track, [duty_of(8 * 3600)])
    doubt = 15 / (8 * 3600)  # each side's half of the leg that passes the edge
    assert bounds(item) == (*near(0.75 - doubt, 0.75, 0.875 + doubt), NOT_PROVEN)
    assert item.share_low is not None
    assert item.share_high is not None
    assert item.share_low <= 0.75
    assert item.share_high >= 0.875


def test_the_larger_error_of_a_leg_counts() -> None:
    """A leg has the larger error of its two fixes, 10 m where one does not say (rule 14)."""
    for errors, doubt_m in (((5.0, 40.0), 40), ((40.0, 5.0), 40), ((None, 5.0), 10), ((None, None), 10)):
        for side in (-1, 1):
            track = [fix(0, side * 201, error_m=errors[0]), fix(10, side * 1, error_m=errors[1])]
            item = figure(track, [duty_of(10)])
            wanted = [lasting((doubt_m - 1) / 20), 0]
            assert [item.ambiguous_on, item.ambiguous_off] == wanted[::-side]


def test_an_edge_between_two_neighbourhoods_of_one_patch_decides_nothing() -> None:
    """Between two neighbourhoods of one patch nothing is ambiguous; between the patch and others it is."""
    north = Area(Kind.NEIGHBOURHOOD, "B", "B", shapely.box(-1.15, EDGE, -1.10, 52.66))
    track = [fix(0, -100), fix(10, 100)]
    both = replace(duty_of(10), patch=("A", "B"))
    assert bounds(figure(track, [both], areas=(PATCH_A, north))) == (1.0, 1.0, 1.0, MET)
    assert figure(track, [duty_of(10)], areas=(PATCH_A, north)).ambiguous_on == lasting(5)
