"""The oracle against the rules' own examples, and against what must hold in any world.

The oracle judges the fast rooms, so it is held here to the text alone: no fast room may come in.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from fractions import Fraction
from itertools import pairwise

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from stream.core.facts import SECOND, Allocation, Duty, StateReport
from tests import oracle
from tests.oracle.exact import Areas, ExactArea, crossings, inside_ring, on_edge, point
from tests.oracle.slices import canonical, span, state_at
from tests.strategies import (
    BINARY,
    DECIMAL,
    OFFICERS,
    Area,
    Fix,
    Grid,
    Shape,
    World,
    areas,
    many,
    micros,
    shapes,
    spots,
    tracks,
    world_fixes,
    worlds,
)

METRE = math.degrees(1 / 6_371_008.8)
"""Degrees of latitude in a metre."""

EDGE = 52.64
PATCH_A: Area = ("neighbourhood", "A", shapely.box(-1.15, 52.62, -1.10, EDGE))
PATCH_B: Area = ("neighbourhood", "B", shapely.box(-1.15, EDGE, -1.10, 52.66))
STATION: Area = ("premises", "station", shapely.box(-1.13, 52.625, -1.12, 52.635))
IN_A = oracle.Place("A", None, ())
IN_B = oracle.Place("B", None, ())
OUTSIDE = oracle.Place(None, None, ())
HOUR = 3600 * SECOND


def fix(seconds: float, north_m: float, *, device_id: str = "R1", error_m: float | None = 10.0) -> Fix:
    """A fix so many metres north of patch A's north edge."""
    return device_id, round(seconds * SECOND), -1.11, EDGE + north_m * METRE, error_m


def held(start_s: int, end_s: int, *, device_id: str = "R1") -> list[Fix]:
    """A fix deep in A each 30 s."""
    return [fix(seconds, -500, device_id=device_id) for seconds in range(start_s, end_s + 1, 30)]


def duty(start_s: float, end_s: float | None, *devices: Allocation, **more: object) -> Duty:
    """O1's duty with patch A, by default with radio R1."""
    plain = Duty(
        duty_id="D1",
        revision=1,
        officer_id="O1",
        start=round(start_s * SECOND),
        end=None if end_s is None else round(end_s * SECOND),
        patch=("A",),
        devices=devices or (Allocation("R1", "radio"),),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def timeline(found: list[oracle.Slice]) -> list[tuple[float, float, str, str]]:
    """Slices as ``(start s, end s, activity, reason)``."""
    return [(item.start / SECOND, item.end / SECOND, item.activity, item.reason) for item in found]


def count(
    fixes: list[Fix],
    duties: list[Duty],
    states: list[StateReport] | None = None,
    *,
    boundaries: tuple[Area, ...] = (PATCH_A,),
    as_of: int | None = None,
) -> list[oracle.Slice]:
    """The slices of a small case."""
    return oracle.slices(oracle.stays(fixes, [(None, boundaries)]), duties, states or [], as_of=as_of)


# The worked examples.


def test_crossing() -> None:
    """Crossing: 0 s in A 100 m from the edge, 10 s outside 100 m from it: on patch [0, 5), off [5, 10)."""
    found = count([fix(0, -100), fix(10, 100)], [duty(0, 10)])
    assert timeline(found) == [(0, 5, "on_patch", ""), (5, 10, "off_patch", "outside")]


def test_short_gap() -> None:
    """Short gap: 0 s in A, 300 s in A: on patch 300 s."""
    assert timeline(count([fix(0, -100), fix(300, -200)], [duty(0, 300)])) == [(0, 300, "on_patch", "")]


def test_long_gap() -> None:
    """Long gap: 0 s in A, 301 s in A, 51 m away: unknown 301 s."""
    assert timeline(count([fix(0, -100), fix(301, -151)], [duty(0, 301)])) == [(0, 301, "unknown", "")]


def test_parked() -> None:
    """Parked: 0 s in A, 1,800 s in A, 20 m away: on patch 1,800 s."""
    assert timeline(count([fix(0, -100), fix(1800, -120)], [duty(0, 1800)])) == [(0, 1800, "on_patch", "")]


def test_vehicle_helps() -> None:
    """Vehicle helps: radio silent 0-600 s, allocated vehicle in A with a fix each 30 s: on patch 600 s."""
    booked = duty(0, 600, Allocation("R1", "radio"), Allocation("V1", "vehicle"))
    found = count(held(0, 600, device_id="V1"), [booked])
    assert timeline(found) == [(0, 600, "on_patch", "")]
    assert found[0].device_id == "V1"


def test_station_inside_a() -> None:
    """Station inside A: radio in premises inside A 0-600 s: not visible 600 s, because of the premises."""
    fixes: list[Fix] = [("R1", seconds * SECOND, -1.125, 52.63, 10.0) for seconds in range(0, 601, 30)]
    found = count(fixes, [duty(0, 600)], boundaries=(PATCH_A, STATION))
    assert timeline(found) == [(0, 600, "not_visible", "station")]


def test_break() -> None:
    """Break: 10 h duty, 45 min state 4, rest in A: share 1.0 of 33,300 s."""
    booked = duty(0, 36_000)
    states = [StateReport("O1", 4 * HOUR, 4), StateReport("O1", 4 * HOUR + 2700 * SECOND, 2)]
    figures = oracle.shares(count(held(0, 36_000), [booked], states), [booked], (0, 10 * HOUR))
    for scope in (("officer", "O1"), ("neighbourhood", "A"), ("force", "")):
        assert figures[scope].share == 1
        assert figures[scope].duty == 33_300 * SECOND
        assert figures[scope].break_ == 2700 * SECOND


def test_unknown() -> None:
    """Unknown: 8 h duty, 6 h in A, 1 h off, 1 h no signal: share 0.75, and 0.875 with the unknown hour."""
    away = [(device_id, time, lon, lat + 0.02, error) for device_id, time, lon, lat, error in held(0, 3600)]
    fixes = held(0, 6 * 3600) + [(row[0], row[1] + 6 * HOUR + 30 * SECOND, *row[2:]) for row in away]
    booked = duty(0, 8 * 3600)
    found = count(fixes, [booked])
    figures = oracle.shares(found, [booked], (0, 8 * HOUR))["neighbourhood", "A"]
    assert figures.duty == 8 * HOUR
    assert figures.share == pytest.approx(0.75, abs=1e-3)  # half a minute is the way out
    assert Fraction(figures.on_patch + figures.unknown, figures.duty) == pytest.approx(0.875, abs=1e-3)
    assert [item.activity for item in found] == ["on_patch", "off_patch", "unknown"]


# From reports to stays.


@given(world=worlds())
@many(100)
def test_stays_tile(world: World) -> None:
    """A device's stays tile the time from its first to its last kept fix, and neighbours differ (rule 7)."""
    found = oracle.stays(world.fixes, world.versions)
    assert set(found) == {row[0] for row in world.fixes}
    for device_id, tiles in found.items():
        times = [row[1] for row in world.fixes if row[0] == device_id]
        if min(times) == max(times):
            assert tiles == []
            continue
        assert (tiles[0][0], tiles[-1][1]) == (min(times), max(times))
        assert all(start < end for start, end, _ in tiles)
        for before, after in pairwise(tiles):
            assert before[1] == after[0]
            assert before[2] != after[2]


@given(world=worlds(), data=st.data())
@many(50)
def test_arrival_order(world: World, data: st.DataObject) -> None:
    """The order of arrival, and hearing a report twice, change nothing (rule 1)."""
    again = data.draw(st.permutations(world.fixes + world.fixes[:3]))
    assert oracle.stays(again, world.versions) == oracle.stays(world.fixes, world.versions)


@given(world=worlds(), at=st.integers(-600, 4000))
@many(50)
def test_republished(world: World, at: int) -> None:
    """Boundaries published again unchanged, at whatever instant, change no stay (rule 6)."""
    first = min((row[1] for row in world.fixes), default=0)
    alone = world.versions[:1]
    again = (*alone, (first + at * SECOND, alone[0][1]))
    assert oracle.stays(world.fixes, again) == oracle.stays(world.fixes, alone)


@given(grid=st.sampled_from((BINARY, DECIMAL)), data=st.data())
@many(200)
def test_closed_areas(grid: Grid, data: st.DataObject) -> None:
    """A point is in a closed area just where GEOS says that the area covers it, on edges and vertices too."""
    shape: Shape = data.draw(shapes(grid))
    vertices = [tuple(c) for c in shapely.get_coordinates(shape)]
    x, y = data.draw(st.one_of(st.sampled_from(vertices), spots().map(lambda spot: grid.at(*spot))))
    assert ExactArea.of(("premises", "B1", shape)).covers(point(x, y)) == shape.covers(shapely.Point(x, y))


@given(boundaries=areas(), track=tracks("R1", 0), share=st.fractions(0, 1, max_denominator=97))
@many(200)
def test_where_the_device_was(boundaries: tuple[Area, ...], track: list[Fix], share: Fraction) -> None:
    """A moving device's stay names the areas that GEOS finds at its point of the straight line (rule 4)."""
    fixes = list({row[1]: row for row in track}.values())
    found = oracle.stays(fixes, [(None, boundaries)], jump_mps=math.inf)
    for a, b in pairwise(fixes):
        dt = b[1] - a[1]
        t = a[1] + math.floor(dt * share)
        f = (t - a[1]) / dt
        spot = shapely.Point(a[2] + (b[2] - a[2]) * f, a[3] + (b[3] - a[3]) * f)
        blur = 1e-8 + math.dist(a[2:4], b[2:4]) / dt  # what doubles and whole microseconds cannot tell apart
        near_edge = any(shape.boundary.distance(spot) < blur for _, _, shape in boundaries)
        if dt > 300 * SECOND or t == b[1] or near_edge:
            continue
        (place,) = [place for start, end, place in found["R1"] if start <= t < end]
        around = {
            kind: sorted(area_id for k, area_id, shape in boundaries if k == kind and shape.covers(spot))
            for kind in ("neighbourhood", "premises", "priority")
        }
        assert place == oracle.Place(
            next(iter(around["neighbourhood"]), None),
            next(iter(around["premises"]), None),
            tuple(around["priority"]),
        )


def test_which_repeat_is_kept() -> None:
    """Of one identity the least error is kept, missing the worst; then the least lon, then lat (rule 1)."""
    north, south = fix(0, 100), fix(0, -100)
    end = fix(10, -100)

    def begins(*rows: Fix) -> oracle.Place | None:
        return oracle.stays([*rows, end], [(None, (PATCH_A,))])["R1"][0][2]

    assert begins((*north[:4], 9.0), south) == OUTSIDE
    assert begins((*north[:4], None), south) == IN_A
    assert begins((*north[:4], None), (*south[:4], None)) == IN_A  # the smaller lat
    assert begins((*north[:2], north[2] - 0.001, *north[3:]), south) == OUTSIDE  # the smaller lon


def test_jump() -> None:
    """A fix far out and back at over 80 m/s is ignored, one that leads on is not; nobody drove so (3, 4a)."""
    back = [fix(0, -500), fix(10, 2000), fix(20, -500)]
    gone = [fix(0, -500), fix(10, 2000), fix(30, 3000)]
    ends = [fix(0, 2000), fix(10, -500)]
    version = (None, (PATCH_A,))
    assert oracle.stays(back, [version])["R1"] == [(0, 20 * SECOND, IN_A)]
    assert oracle.stays(gone, [version])["R1"] == [
        (0, 10 * SECOND, None),
        (10 * SECOND, 30 * SECOND, OUTSIDE),
    ]
    assert oracle.stays(ends, [version])["R1"] == [(0, 10 * SECOND, None)]


def test_impossible() -> None:
    """A leg faster than 80 m/s is unknown, however short; one of 80 m/s just is not (rule 4a)."""
    version = (None, (PATCH_A,))
    assert oracle.stays([fix(0, -900), fix(10, -90)], [version])["R1"] == [(0, 10 * SECOND, None)]
    assert oracle.stays([fix(0, -900), fix(10, -110)], [version])["R1"] == [(0, 10 * SECOND, IN_A)]


@pytest.mark.parametrize(
    ("gap_us", "north_m", "known"),
    [
        (300 * SECOND, 5000, True),
        (300 * SECOND + 1, -550.5, False),
        (300 * SECOND + 1, -549.5, True),
        (1800 * SECOND, -500, True),
        (1800 * SECOND + 1, -500, False),
    ],
)
def test_limits_of_legs(gap_us: int, north_m: float, known: bool) -> None:
    """The limits belong to the shorter kind of leg: 300 s still moves, 1,800 s is still parked (rule 4)."""
    found = oracle.stays([fix(0, -500), fix(gap_us / SECOND, north_m)], [(None, (PATCH_A,))])["R1"]
    assert (found[0][2] is not None) is known


def test_parked_across_an_edge() -> None:
    """Two fixes 20 m apart in different places do not make a parked leg (rule 4)."""
    found = oracle.stays([fix(0, -10), fix(900, 10)], [(None, (PATCH_A,))])["R1"]
    assert found == [(0, 900 * SECOND, None)]


def test_change_of_version() -> None:
    """A leg that spans a change of version is split there, and each part judged by its own areas (rule 6)."""
    versions: list[oracle.Version] = [(100 * SECOND, (PATCH_B,)), (None, (PATCH_A,))]
    moving = oracle.stays([fix(0, -100), fix(300, 200)], versions)["R1"]
    assert moving == [(0, 100 * SECOND, IN_A), (100 * SECOND, 300 * SECOND, IN_B)]
    parked = oracle.stays([fix(0, -10), fix(900, 10)], [(None, ()), (100 * SECOND, (PATCH_B,))])["R1"]
    assert parked == [(0, 100 * SECOND, OUTSIDE), (100 * SECOND, 900 * SECOND, None)]
    assert oracle.stays([fix(0, -10), fix(9, -10)], [(5 * SECOND, (PATCH_A,))])["R1"] == [
        (0, 5 * SECOND, None),
        (5 * SECOND, 9 * SECOND, IN_A),
    ]


def test_place_rules() -> None:
    """The smallest id wins on a shared edge and in an overlap; a hole's edge belongs (rule 5)."""
    square, inner = shapely.box(0, 0, 4, 4), shapely.box(1, 1, 3, 3)
    found = Areas(
        [
            ("neighbourhood", "N2", square),
            ("neighbourhood", "N10", shapely.box(4, 0, 8, 4)),
            ("premises", "ring", square.difference(inner)),
            ("premises", "yard", shapely.box(0, 0, 1, 4)),
            ("priority", "P2", square),
            ("priority", "P1", inner),
        ]
    )
    assert found.place(point(4, 2)) == ("N10", "ring", ("P2",))
    assert found.place(point(2, 2)) == ("N2", None, ("P1", "P2"))
    assert found.place(point(1, 2)) == ("N2", "ring", ("P1", "P2"))
    assert found.place(point(9, 2)) == (None, None, ())


def test_along_an_edge() -> None:
    """A way along an edge is cut at the edge's ends, one that touches a vertex at the vertex."""
    edge = (point(1, 0), point(3, 0))
    assert crossings(point(0, 0), point(4, 0), edge) == [Fraction(1, 4), Fraction(3, 4)]
    assert crossings(point(0, 1), point(2, -1), edge) == [Fraction(1, 2)]
    assert crossings(point(0, 1), point(4, 1), edge) == []
    assert crossings(point(2, 0), point(2, 0), edge) == []
    assert on_edge(point(3, 0), edge)
    assert not on_edge(point(4, 0), edge)


def test_ray_through_a_vertex() -> None:
    """A ray that meets a vertex counts it once where the ring passes, twice or not at all where it turns."""
    ring = [(point(*a), point(*b)) for a, b in pairwise([(0, 0), (2, 1), (0, 2), (-2, 1), (0, 0)])]
    assert inside_ring(point(0, 1), ring)
    assert not inside_ring(point(-3, 1), ring)
    assert not inside_ring(point(-1, 0), ring)
    assert not inside_ring(point(-1, 2), ring)


def test_crossings_are_rounded() -> None:
    """A crossing is rounded to the nearest microsecond, ties to even, and what becomes empty disappears."""
    at = (0.0, 1.0)
    halves: list[Area] = [("neighbourhood", "A", shapely.box(-8, -8, 0, 8))]

    def edges(start: int, end: int, west: float, east: float) -> list[tuple[int, int, str | None]]:
        tiny = 2.0**-34  # degrees: microseconds at a walk
        fixes: list[Fix] = [("R1", start, west * tiny, at[0], None), ("R1", end, east * tiny, at[0], None)]
        found = oracle.stays(fixes, [(None, halves)])["R1"]
        return [(begin, stop, place.neighbourhood if place else "?") for begin, stop, place in found]

    assert edges(10, 13, -1, 1) == [(10, 12, "A"), (12, 13, None)]  # 11.5
    assert edges(11, 14, -1, 1) == [(11, 12, "A"), (12, 14, None)]  # 12.5
    assert edges(10, 11, -1, 1) == [(10, 11, None)]  # 10.5
    assert edges(10, 20, -1, 7) == [(10, 11, "A"), (11, 20, None)]  # 11.25


@pytest.mark.parametrize(
    ("row", "good"),
    [
        (("R1", 0, -1.1, 52.6, None), True),
        (("R1", 0, -1.1, 52.6, 200.0), True),
        (("R1", 0, -1.1, 52.6, 200.5), False),
        (("R1", 0, 0.0, 0.0, 5.0), False),
        (("R1", 0, 0.0, 52.6, 5.0), True),
        (("R1", 0, 180.5, 52.6, 5.0), False),
        (("R1", 0, -1.1, -90.5, 5.0), False),
        (("R1", 0, math.nan, 52.6, 5.0), False),
        (("R1", 300 * SECOND, -1.1, 52.6, 5.0), True),
        (("R1", 300 * SECOND + 1, -1.1, 52.6, 5.0), False),
        (("R1", -HOUR, -1.1, 52.6, 5.0), True),
        (("R1", -HOUR - 1, -1.1, 52.6, 5.0), False),
    ],
)
def test_usable(row: Fix, good: bool) -> None:
    """Out of range, (0, 0), over 200 m, over 300 s ahead, past retention: unusable, and no more (rule 2)."""
    assert oracle.usable(row, received=0, retention=HOUR) is good


# From stays to slices.


@given(world=worlds())
@many(100)
def test_slices_tile(world: World) -> None:
    """The slices of an officer cover his duties exactly, less state 11, without overlap or hole (rule 12)."""
    found = oracle.slices(
        oracle.stays(world.fixes, world.versions), world.duties, world.states, as_of=world.as_of
    )
    valid = oracle.standing(world.duties)
    looks = {edge for one in valid for edge in span(one, world.as_of)}
    looks |= {report.time for report in world.states} | {edge for item in found for edge in item[2:4]}
    looks |= {t - 1 for t in looks}
    assert all(item.start < item.end for item in found)
    for officer_id in OFFICERS:
        own = [one for one in valid if one.officer_id == officer_id]
        for t in looks:
            here = [item for item in found if item.officer_id == officer_id and item.start <= t < item.end]
            running = [one for one in own if span(one, world.as_of)[0] <= t < span(one, world.as_of)[1]]
            latest = max(running, key=lambda one: (one.start, one.duty_id), default=None)
            if latest is None or state_at(t, latest, world.states) == 11:
                assert here == []
            else:
                assert [item.duty_id for item in here] == [latest.duty_id]


@given(world=worlds())
@many(50)
def test_slices_are_maximal(world: World) -> None:
    """Slices of one duty that touch differ in activity, reason, place or device (rule 12)."""
    found = oracle.slices(
        oracle.stays(world.fixes, world.versions), world.duties, world.states, as_of=world.as_of
    )
    assert found == sorted(found, key=lambda item: (item.officer_id, item.start))
    for before, after in pairwise(found):
        if (before.duty_id, before.end) == (after.duty_id, after.start):
            assert before[4:] != after[4:]
    for item in found:
        assert (item.place is None) == (item.device_id is None)
        assert item.activity != "unknown" or item.place is None


@given(world=worlds(), data=st.data())
@many(50)
def test_slices_ignore_order(world: World, data: st.DataObject) -> None:
    """The order in which duties and states become known changes no slice (rules 8 and 10)."""
    stays = oracle.stays(world.fixes, world.versions)
    duties = data.draw(st.permutations(world.duties))
    states = data.draw(st.permutations(world.states))
    expected = oracle.slices(stays, world.duties, world.states, as_of=world.as_of)
    assert oracle.slices(stays, duties, states, as_of=world.as_of) == expected


def test_revisions() -> None:
    """The highest revision counts whatever came last; cancelled, it counts for nothing (rule 8)."""
    first, second = duty(0, 600), duty(0, 300, revision=2)
    expected = [(0, 300, "on_patch", "")]
    assert timeline(count(held(0, 600), [first, second])) == expected
    assert timeline(count(held(0, 600), [second, first, first])) == expected
    assert count(held(0, 600), [first, replace(second, cancelled=True)]) == []
    other = replace(second, officer_id="O2")
    assert {item.officer_id for item in count(held(0, 600), [second, other])} == {"O2"}
    assert canonical(other) > canonical(second)


def test_radio_before_vehicle() -> None:
    """The radio counts while its stay is known, then the vehicle allocated last, then the other (rule 9)."""
    booked = duty(
        0,
        600,
        Allocation("V1", "vehicle"),
        Allocation("V2", "vehicle", 240 * SECOND, 420 * SECOND),
        Allocation("R1", "radio", -60 * SECOND, 120 * SECOND),
    )
    fixes = held(0, 180) + held(0, 540, device_id="V1") + held(300, 900, device_id="V2")
    assert [
        (item.start // SECOND, item.end // SECOND, item.device_id) for item in count(fixes, [booked])
    ] == [
        (0, 120, "R1"),
        (120, 300, "V1"),
        (300, 420, "V2"),
        (420, 540, "V1"),
        (540, 600, None),
    ]


def test_allocated_before_duty() -> None:
    """An allocation from before the duty begins with it, like one for the whole duty (rules 8 and 9)."""
    before, whole = Allocation("V1", "vehicle", -60 * SECOND), Allocation("V2", "vehicle")
    fixes = held(0, 60, device_id="V1") + held(0, 60, device_id="V2")
    for devices in ((before, whole), (whole, before)):
        assert [item.device_id for item in count(fixes, [duty(0, 60, *devices)])] == ["V1"]


def test_both_crew() -> None:
    """Both crew of a vehicle get its time; without an allocation nobody does (rule 9)."""
    crew = [
        duty(0, 600, Allocation("V1", "vehicle"), duty_id=f"D{k}", officer_id=f"O{k}", patch=patch)
        for k, patch in ((1, ("A",)), (2, ()))
    ]
    alone = duty(0, 600, duty_id="D3", officer_id="O3")
    found = count(held(0, 600, device_id="V1"), [*crew, alone])
    assert [(item.officer_id, item.activity, item.reason) for item in found] == [
        ("O1", "on_patch", ""),
        ("O2", "off_patch", "A"),
        ("O3", "unknown", ""),
    ]


def test_states() -> None:
    """A state holds until the next, of one time the largest; those before the duty do not count (rule 10)."""
    keyed = [
        (-5, 8),
        (60, 4),
        (120, 2),
        (180, 8),
        (180, 9),
        (180, 4),
        (240, 11),
        (300, 10),
        (360, 8),
        (420, 1),
        (600, 4),
    ]
    states = [StateReport("O1", t * SECOND, state) for t, state in keyed] + [
        StateReport("O2", 30 * SECOND, 4)
    ]
    assert timeline(count(held(0, 600), [duty(0, 600)], states)) == [
        (0, 60, "on_patch", ""),
        (60, 120, "break", ""),
        (120, 180, "on_patch", ""),
        (180, 240, "not_visible", "prisoner_escort"),
        (300, 360, "not_visible", "court"),
        (360, 420, "not_visible", "unavailable"),
        (420, 600, "on_patch", ""),
    ]


def test_off_duty_hole() -> None:
    """State 11 leaves a hole between two slices that are otherwise the same (rules 11 and 12)."""
    states = [StateReport("O1", 60 * SECOND, 11), StateReport("O1", 90 * SECOND, 1)]
    assert timeline(count(held(0, 120), [duty(0, 120)], states)) == [
        (0, 60, "on_patch", ""),
        (90, 120, "on_patch", ""),
    ]


def test_state_before_position() -> None:
    """State 11, then break, then a state out of sight come before the position, known or not (rule 11)."""
    states = [StateReport("O1", 0, 8), StateReport("O1", 60 * SECOND, 4), StateReport("O1", 90 * SECOND, 11)]
    assert timeline(count([], [duty(0, 120)], states)) == [
        (0, 60, "not_visible", "unavailable"),
        (60, 90, "break", ""),
    ]


def test_overlapping_duties() -> None:
    """An instant in two duties of one officer belongs to the later started, then to the greatest id."""
    duties = [
        duty(0, 600, duty_id="D1"),
        duty(120, 240, duty_id="D2", patch=("B",)),
        duty(120, 180, duty_id="D3", patch=()),
    ]
    found = count(held(0, 600), duties)
    assert [(item.start // SECOND, item.end // SECOND, item.duty_id) for item in found] == [
        (0, 120, "D1"),
        (120, 180, "D3"),
        (180, 240, "D2"),
        (240, 600, "D1"),
    ]


def test_open_duty() -> None:
    """An open duty is counted up to the instant asked for, and only with such an instant (rule 8)."""
    assert timeline(count(held(0, 600), [duty(0, None)], as_of=90 * SECOND)) == [(0, 90, "on_patch", "")]
    assert count(held(0, 600), [duty(120, None)], as_of=90 * SECOND) == []
    assert timeline(count(held(0, 600), [duty(0, 300)], as_of=90 * SECOND)) == [(0, 300, "on_patch", "")]
    with pytest.raises(ValueError, match="duty 'D1' is open: say as_of"):
        count(held(0, 600), [duty(0, None)])


# The figures.


@given(world=worlds(), cut=st.integers(0, 5000))
@many(60)
def test_figures_add_up(world: World, cut: int) -> None:
    """Parts make the duty, two periods make the whole, and the force has each patched duty once (rule 15)."""
    found = oracle.slices(
        oracle.stays(world.fixes, world.versions), world.duties, world.states, as_of=world.as_of
    )
    start, end = world.period
    middle = min(end, start + cut * SECOND)
    whole, first, second = (
        oracle.shares(found, world.duties, period)
        for period in ((start, end), (start, middle), (middle, end))
    )
    valid = {one.duty_id: one for one in oracle.standing(world.duties)}
    total = sum(
        max(0, min(item.end, end) - max(item.start, start)) for item in found if valid[item.duty_id].patch
    )
    assert whole["force", ""].duty + whole["force", ""].break_ == total
    for scope, sums in whole.items():
        assert sums.duty == sums.on_patch + sums.off_patch + sums.not_visible + sums.unknown
        assert sums.priority <= sums.on_patch
        assert sums.share is None or sums.share == Fraction(sums.on_patch, sums.duty)
        if scope[0] != "officer":
            assert sums.duty == first[scope].duty + second[scope].duty
            assert sums.on_patch == first[scope].on_patch + second[scope].on_patch
            assert (sums.share is None) == (sums.duty == sums.unknown)


def test_several_neighbourhoods() -> None:
    """A duty with two neighbourhoods counts in each of them, and once in the force (rule 15)."""
    both = duty(0, 600, patch=("A", "B"))
    found = count([fix(0, -100), fix(10, 100), *held(40, 600)], [both], boundaries=(PATCH_A, PATCH_B))
    figures = oracle.shares(found, [both], (0, 600 * SECOND))
    assert figures["neighbourhood", "A"] == figures["neighbourhood", "B"] == figures["force", ""]
    assert figures["force", ""].duty == 600 * SECOND


def test_priority_time() -> None:
    """Priority time is on-patch time in any priority area, counted once where two overlap (rule 5)."""
    spots: tuple[Area, ...] = tuple(
        ("priority", area_id, shapely.box(-1.15, 52.62, -1.10, EDGE - south * METRE))
        for area_id, south in (("P1", 100), ("P2", 150))
    )
    booked = duty(0, 300)
    found = count([fix(0, -200), fix(300, 100)], [booked], boundaries=(PATCH_A, *spots))
    figures = oracle.shares(found, [booked], (0, HOUR))["force", ""]
    assert figures.on_patch == pytest.approx(200 * SECOND, abs=1)
    assert figures.priority == pytest.approx(100 * SECOND, abs=1)


def test_no_patch_no_share() -> None:
    """A response officer has time but no share, and is not in the force's; no time, no figure (rule 15)."""
    response = duty(0, 600, patch=())
    figures = oracle.shares(count(held(0, 600), [response]), [response], (0, HOUR))
    assert (figures["officer", "O1"].off_patch, figures["officer", "O1"].share) == (600 * SECOND, None)
    assert (figures["force", ""].duty, figures["force", ""].share) == (0, None)
    patched = duty(600, 900, duty_id="D2")
    mixed = oracle.shares(count(held(0, 900), [response, patched]), [response, patched], (0, HOUR))
    assert mixed["officer", "O1"].duty == 300 * SECOND
    assert mixed["officer", "O1"].share == 1


def test_seconds_over_seconds() -> None:
    """A neighbourhood's figure is seconds over seconds, never a mean of percentages (rule 15)."""
    duties = [duty(0, 600), duty(0, 200, Allocation("R9", "radio"), duty_id="D2", officer_id="O2")]
    figures = oracle.shares(count(held(0, 600), duties), duties, (0, HOUR))
    assert figures["neighbourhood", "A"].share == Fraction(600, 800)


def test_live_figure() -> None:
    """The live figure takes the duties now running, each from its start to now (rule 15)."""
    duties = [duty(0, 300), duty(300, None, duty_id="D2"), duty(600, 900, duty_id="D3", officer_id="O2")]
    now = 450 * SECOND
    found = count(held(0, 600), duties, as_of=now)
    assert [one.duty_id for one in oracle.running(duties, now)] == ["D2"]
    figures = oracle.shares(found, oracle.running(duties, now), (0, now))
    assert figures["force", ""].duty == 150 * SECOND


# The calendar.


@pytest.mark.parametrize(
    ("week", "hours"), [("2026-W13", 167), ("2026-W43", 169), ("2026-W47", 168), ("2026-W53", 168)]
)
def test_weeks(week: str, hours: int) -> None:
    """The weeks of the clock changes have 167 and 169 hours (rule 19)."""
    start, end = oracle.week_bounds(week)
    assert end - start == hours * HOUR


def test_bounds_are_local() -> None:
    """Days and weeks begin at local midnight, an hour before UTC's in summer (rule 19)."""
    assert oracle.day_bounds(date(2026, 7, 1))[0] == micros("2026-07-01T00:00:00+01:00")
    assert oracle.week_bounds("2026-W27")[0] == micros("2026-06-29T00:00:00+01:00")
    assert oracle.week_bounds("2026-W01")[0] == micros("2025-12-29T00:00:00+00:00")
    lengths = [oracle.day_bounds(date(2026, month, day)) for month, day in ((3, 29), (10, 25), (11, 22))]
    assert [(end - start) // HOUR for start, end in lengths] == [23, 25, 24]
    with pytest.raises(ValueError, match="2025-W53 is not in the calendar"):
        oracle.week_bounds("2025-W53")


def test_night_shift() -> None:
    """A night shift is divided at midnight for days, and at Monday 00:00 for weeks (rule 19)."""
    start, end = micros("2026-06-28T22:00:00.5+01:00"), micros("2026-06-29T07:00:00+01:00")
    midnight = micros("2026-06-29T00:00:00+01:00")
    assert oracle.split_by_day(start, end) == [
        (date(2026, 6, 28), start, midnight),
        (date(2026, 6, 29), midnight, end),
    ]
    assert oracle.split_by_week(start, end) == [("2026-W26", start, midnight), ("2026-W27", midnight, end)]
    saturday = 24 * HOUR
    assert oracle.split_by_week(start - saturday, end - saturday) == [
        ("2026-W26", start - saturday, end - saturday)
    ]


# The strategies.


@given(world=worlds(grid=DECIMAL))
@many(30)
def test_worlds_are_sound(world: World) -> None:
    """A world's areas are valid, its versions start apart, and its columns hold its fixes."""
    assert all(shape.is_valid for _, found in world.versions for _, _, shape in found)
    assert len({valid_from for valid_from, _ in world.versions}) == len(world.versions)
    columns = world_fixes(world)
    rows = [
        (columns.device_ids[device], time, lon, lat, None if math.isnan(error) else error)
        for device, time, lon, lat, error in zip(
            columns.device.tolist(),
            columns.time.tolist(),
            columns.lon.tolist(),
            columns.lat.tolist(),
            columns.error_m.tolist(),
            strict=True,
        )
    ]
    assert tuple(rows) == world.fixes
