"""What simulated officers truly did and visited, against exact fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND, Duty
from stream.simulate import Simulation, TrueVisits, demo_force, simulate
from stream.simulate.patrols import Path
from stream.simulate.visited import true_slices, true_visits

START = 1_795_158_000 * SECOND  # 2026-11-20T07:00:00Z
LEG = 60 * SECOND
Box = tuple[int, int, int, int]

HOME, NEXT, STATION = (10, 10, 40, 40), (10, -20, 40, 10), (20, 20, 26, 26)
HOT: dict[str, Box] = {"A": (14, 14, 34, 34), "B": (30, 4, 44, 24)}
FORCE = AreaSet.of(
    [
        Area(Kind.NEIGHBOURHOOD, "N", "North", shapely.box(*HOME)),
        Area(Kind.NEIGHBOURHOOD, "S", "South", shapely.box(*NEXT)),
        Area(Kind.PREMISES, "P", "Station", shapely.box(*STATION)),
        *(Area(Kind.PRIORITY, name, name, shapely.box(*box)) for name, box in HOT.items()),
    ]
)
odd = st.integers(0, 25).map(lambda n: 2 * n + 1)  # keeps off the edges, where a line could run along one
paths = st.lists(st.tuples(odd, odd), min_size=2, max_size=12)
keyed_states = st.lists(st.tuples(st.integers(0, 11), st.integers(1, 11)), max_size=4)


def within(a: tuple[int, int], b: tuple[int, int], box: Box) -> tuple[Fraction, Fraction] | None:
    """From which to which part of the line a–b lies in a box, as Liang and Barsky clip."""
    enter, leave = Fraction(0), Fraction(1)
    for axis in (0, 1):
        step, low, high = b[axis] - a[axis], box[axis], box[axis + 2]
        if step == 0:
            if not low <= a[axis] <= high:
                return None
            continue
        cuts = sorted((Fraction(low - a[axis], step), Fraction(high - a[axis], step)))
        enter, leave = max(enter, cuts[0]), min(leave, cuts[1])
    return (enter, leave) if enter < leave else None


def spans(path: list[tuple[int, int]], box: Box) -> list[tuple[Fraction, Fraction]]:
    """When a path is in a box, leg by leg."""
    found = []
    for at, (a, b) in enumerate(itertools.pairwise(path)):
        part = within(a, b, box)
        if part:
            found.append(((at + part[0]) * LEG, (at + part[1]) * LEG))
    return found


def expected_visits(
    path: list[tuple[int, int]], states: list[tuple[int, int]], box: Box
) -> list[tuple[Fraction, Fraction, Fraction]]:
    """Rule 17 by looking at every moment at which anything changes, in fractions."""
    inside, hidden = spans(path, box), spans(path, STATION)
    end = (len(path) - 1) * LEG
    moments = {Fraction(0), Fraction(end), *(Fraction(time) for time, _ in states)}
    moments |= {each for pair in (*inside, *hidden) for each in pair}
    present: list[list[Fraction]] = []
    for low, high in itertools.pairwise(sorted(each for each in moments if each <= end)):
        middle = (low + high) / 2
        state = max((each for each in states if each[0] <= middle), default=(0, 1))[1]
        seen = state not in {4, 8, 9, 10, 11}
        seen &= any(one <= middle <= other for one, other in inside)
        seen &= not any(one <= middle <= other for one, other in hidden)
        if seen and present and present[-1][1] == low:
            present[-1][1] = high
        elif seen:
            present.append([low, high])
    visits: list[list[Fraction]] = []
    for low, high in present:
        if visits and low - visits[-1][1] <= 60 * SECOND:
            visits[-1][1] = high
            visits[-1][2] += high - low
        else:
            visits.append([low, high, high - low])
    return [(low, high, inside) for low, high, inside in visits if high - low >= 120 * SECOND]


def as_path(path: list[tuple[int, int]]) -> Path:
    """A leg a minute."""
    lon, lat = np.array(path, float).T
    return Path(np.arange(len(path)) * LEG, lon, lat)


def duty(path: list[tuple[int, int]]) -> Duty:
    """A duty as long as its path, at home in the north."""
    return Duty("D", 1, "1001", 0, (len(path) - 1) * LEG, ("N",))


def near_a_limit(found: list[tuple[Fraction, Fraction, Fraction]], least: int = 120) -> bool:
    """Whether a visit is so close to the shortest that its rounding decides."""
    return any(abs(high - low - least * SECOND) < 5 for low, high, _ in found)


@settings(max_examples=300, deadline=None)
@given(paths, keyed_states, st.sampled_from(sorted(HOT)))
def test_true_visits_are_those_of_exact_fractions(
    path: list[tuple[int, int]], keyed: list[tuple[int, int]], name: str
) -> None:
    """Visits' starts, ends and dwell times are those of rational clipping, to a microsecond or two."""
    states = sorted({at * LEG + 7 * SECOND: state for at, state in keyed}.items())
    wanted = expected_visits(path, states, HOT[name])
    booked, gone = duty(path), as_path(path)
    found = true_visits(FORCE, booked, gone, true_slices(FORCE, booked, gone, states))
    rows = [row for row, area in enumerate(found.area_id) if area == name]
    assert len(rows) == len(wanted) or near_a_limit(wanted)
    for row, (start, end, dwell) in zip(rows, wanted, strict=len(rows) == len(wanted)):
        assert abs(int(found.start[row]) - start) <= 2
        assert abs(int(found.end[row]) - end) <= 2
        assert abs(int(found.dwell[row]) - dwell) <= 20


@settings(max_examples=200, deadline=None)
@given(paths, keyed_states)
def test_true_slices_tile_the_duty(path: list[tuple[int, int]], keyed: list[tuple[int, int]]) -> None:
    """Slices have no gap and no overlap, and neighbours differ."""
    states = sorted({at * LEG: state for at, state in keyed}.items())
    booked, gone = duty(path), as_path(path)
    found = true_slices(FORCE, booked, gone, states)
    assert found.start[0] == booked.start
    assert found.end[-1] == booked.end
    assert (found.start[1:] == found.end[:-1]).all()
    assert (found.end > found.start).all()
    told = list(zip(found.activity, found.neighbourhood, found.premises, found.state.tolist(), strict=True))
    assert all(one != other for one, other in itertools.pairwise(told))


def test_overlapping_neighbourhoods_go_to_the_smallest_id() -> None:
    """Where neighbourhoods overlap the truth names the one with the smallest id (rule 5)."""
    force = AreaSet.of(
        [
            Area(Kind.NEIGHBOURHOOD, "B", "B", shapely.box(0, 0, 6, 10)),
            Area(Kind.NEIGHBOURHOOD, "A", "A", shapely.box(4, 0, 10, 10)),
        ]
    )
    path = Path(np.array((0, 10 * SECOND)), np.array((0.0, 10.0)), np.array((5.0, 5.0)))
    found = true_slices(force, Duty("D", 1, "1", 0, 10 * SECOND, ("A",)), path, [])
    assert list(zip(found.neighbourhood, (found.end // SECOND).tolist(), strict=True)) == [
        ("B", 4),
        ("A", 10),
    ]
    assert found.activity == ("off_patch", "on_patch")


@pytest.fixture(scope="module")
def shift() -> Simulation:
    """Sixty officers for ten hours."""
    return simulate(demo_force(1), officers=60, start=START, hours=10, interval_s=900, seed=2)


@pytest.fixture(scope="module")
def visits(shift: Simulation) -> TrueVisits:
    """Their true visits."""
    return shift.true_visits()


def test_visits_are_worth_counting(shift: Simulation, visits: TrueVisits) -> None:
    """Every priority area is visited, visits are of all four lengths, and some come from other teams."""
    hot = set(shift.force.only(Kind.PRIORITY).area_id)
    assert set(visits.area_id) == hot
    minutes = (visits.end - visits.start) / (60 * SECOND)
    counted, _ = np.histogram(minutes, (2, 5, 10, 20, 600))
    assert counted.sum() == len(visits)
    assert (counted > 0.05 * len(visits)).all()
    assert (visits.dwell <= visits.end - visits.start).all()
    assert (visits.dwell < visits.end - visits.start).any()
    assert ((visits.end - visits.start) >= 120 * SECOND).all()
    patch = {each.officer_id: each.patch for each in shift.duties}
    response = {each.officer_id for each in shift.duties if each.role == "response"}
    assert response & set(visits.officer_id)
    assert {each for each in visits.officer_id if patch[each]}


def test_visits_lie_where_the_path_lies(shift: Simulation, visits: TrueVisits) -> None:
    """Looking each second at the true path finds the officer inside for the dwell time of each visit."""
    area = dict(zip(shift.force.area_id, shift.force.geometry, strict=True))
    for row in range(0, len(visits), 9):
        time = np.arange(visits.start[row], visits.end[row], SECOND) + SECOND // 2
        path = shift.paths[visits.officer_id[row]]
        lon, lat = np.interp(time, path.time, path.lon), np.interp(time, path.time, path.lat)
        inside = np.count_nonzero(shapely.contains_xy(area[visits.area_id[row]], lon, lat))
        assert inside >= visits.dwell[row] / SECOND - 10  # and more where a break was taken inside


def test_both_of_a_crew_make_the_visit(shift: Simulation, visits: TrueVisits) -> None:
    """Two officers who share their path have the same visits, each under their own name."""
    crews: dict[int, list[str]] = {}
    for officer, path in shift.paths.items():
        crews.setdefault(id(path), []).append(officer)
    pairs = [crew for crew in crews.values() if len(crew) == 2]
    assert pairs

    def made(officer: str) -> list[tuple[str, int, int]]:
        return [
            (visits.area_id[row], int(visits.start[row]), int(visits.end[row]))
            for row in range(len(visits))
            if visits.officer_id[row] == officer
        ]

    for one, other in pairs:
        assert made(one) == made(other)


def test_visits_come_in_order(visits: TrueVisits) -> None:
    """Visits are sorted by area, officer and start, and those of one officer to one area do not overlap."""
    rows = list(
        zip(visits.area_id, visits.officer_id, visits.start.tolist(), visits.end.tolist(), strict=True)
    )
    assert rows == sorted(rows)
    for one, other in itertools.pairwise(rows):
        assert one[:2] != other[:2] or other[2] - one[3] > 60 * SECOND


def test_officers_stand_and_walk_in_priority_areas(shift: Simulation, visits: TrueVisits) -> None:
    """In the longer visits officers both walk about and stand, neither of them all of the time."""
    standing = []
    for row in np.flatnonzero(visits.end - visits.start > 8 * 60 * SECOND).tolist():
        path = shift.paths[visits.officer_id[row]]
        start, end = visits.start[row], visits.end[row]
        took = np.minimum(path.time[1:], end) - np.maximum(path.time[:-1], start)
        still = (np.diff(path.lon) == 0) & (np.diff(path.lat) == 0)
        standing.append(took[(took > 0) & still].sum() / (end - start))
    assert 0.2 < float(np.median(standing)) < 0.9
    assert np.mean([0.1 < each < 0.95 for each in standing]) > 0.5
