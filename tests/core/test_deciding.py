"""What is near a leg, against the areas themselves: the decision classes that come within the error."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching import deciding as deciding_module
from geo.matching.grid import METRES_PER_DEGREE, Grid
from geo.matching.history import AreaHistory
from geo.matching.places import ELSEWHERE, Place, PlaceIndex
from tests.tessellations import SIZE, SOUTH, WEST, small_world, telling_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy
    from numpy.typing import NDArray

    from geo.matching.deciding import DecidingEdges

seeds: SearchStrategy[int] = st.integers(0, 2**32 - 1)


def many(examples: int) -> settings:
    """So many examples, and no limit on the time of one: the machine may be busy."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def regions(areas: AreaSet) -> dict[str, Any]:
    """The ground of each decision class by set operations: premises go first, then the smallest id."""
    closed = shapely.union_all(areas.geometry[[kind is Kind.PREMISES for kind in areas.kind]])
    taken, found = closed, {}
    hoods = sorted((area.area_id, area.geometry) for area in areas.areas() if area.kind is Kind.NEIGHBOURHOOD)
    for name, geometry in hoods:
        found[name] = shapely.difference(geometry, taken)
        taken = shapely.union(taken, geometry)
    everywhere = shapely.box(WEST - SIZE, SOUTH - SIZE, WEST + 2 * SIZE, SOUTH + 2 * SIZE)
    open_ = shapely.difference(everywhere, shapely.union_all([shape for _, shape in hoods] or [closed]))
    found[ELSEWHERE] = shapely.union(closed, open_) if hoods else everywhere
    # Set operations leave threads of no width behind: less than a hundredth of a square metre is no ground.
    parts = {name: shapely.get_parts(shape) for name, shape in found.items()}
    return {
        name: shapely.multipolygons(part[shapely.area(part) > 1e-12])
        for name, part in parts.items()
        if (shapely.area(part) > 1e-12).any()
    }


def plane(lat: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Degrees → metres, with the scale of one latitude."""
    scale = np.array([np.cos(np.radians(lat)) * METRES_PER_DEGREE, METRES_PER_DEGREE])
    return lambda points: points * scale


def legs(areas: AreaSet, seed: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Legs near what is of interest, some of no length; and their errors, metres."""
    rng = np.random.default_rng(seed)
    points = telling_points(areas, seed, 2 * count).reshape(count, 4)
    points = np.clip(points, np.tile([WEST, SOUTH], 2) - SIZE / 2, np.tile([WEST, SOUTH], 2) + 1.5 * SIZE)
    near = rng.random(count) < 0.7
    points[near, 2:] = points[near, :2] + rng.normal(0, 3e-4, (int(near.sum()), 2))
    still = rng.random(count) < 0.1
    points[still, 2:] = points[still, :2]
    return points, rng.choice([0.0, 1.0, 8.0, 10.0, 55.5, 200.0], count)


def near_by_index(
    deciding: DecidingEdges, points: NDArray[np.float64], error: NDArray[np.float64]
) -> list[list[tuple[float, tuple[str, ...]]]]:
    """The pieces of each leg as ``(start, classes)``."""
    table: list[list[tuple[float, tuple[str, ...]]]] = [[] for _ in points]
    lon0, lat0, lon1, lat1 = np.ascontiguousarray(points.T)
    found = deciding.near(lon0, lat0, lon1, lat1, error)
    for leg, start, classes in zip(found.leg, found.start, found.classes, strict=True):
        table[leg].append((float(start), deciding.sets[classes]))
    return [rows or [(0.0, ())] for rows in table]


@many(40)
@given(seed=seeds)
def test_what_is_near_is_the_ground_within_the_error(seed: int) -> None:
    """At every instant just those classes are near whose ground lies within the error, if several do.

    Instants closer than a millimetre to where that changes are passed over.
    """
    areas = small_world(seed)
    points, error = legs(areas, seed, 40)
    ground = regions(areas)
    for leg, pieces, reach in zip(
        points, near_by_index(PlaceIndex(areas).deciding, points, error), error, strict=True
    ):
        metres = plane((leg[1] + leg[3]) / 2)
        shapes = {name: shapely.transform(shape, metres) for name, shape in ground.items()}
        for (start, classes), (end, _) in pairwise([*pieces, (1.0, ())]):
            for way in (0.02, 0.5, 0.98):
                at = metres(leg[:2] + (start + way * (end - start)) * (leg[2:] - leg[:2]))
                away = {name: shapely.distance(shapely.Point(at), s) for name, s in shapes.items()}
                surely = {name for name, d in away.items() if d <= reach - 1e-3}
                perhaps = {name for name, d in away.items() if d <= reach + 1e-3}
                if len(perhaps) > 1:  # where only one class is near, none is another
                    assert surely <= set(classes) or len(surely) == 1
                assert set(classes) <= perhaps


@many(30)
@given(seed=seeds)
def test_pieces_of_what_is_near_tile_the_leg(seed: int) -> None:
    """The pieces of a leg begin at 0, rise, and neighbours differ; a leg alone gives the same bits."""
    areas = small_world(seed)
    points, error = legs(areas, seed, 60)
    index = PlaceIndex(areas)
    found = near_by_index(index.deciding, points, error)
    for number, pieces in enumerate(found):
        assert pieces[0][0] == 0.0
        assert all(a < b and one != two for (a, one), (b, two) in pairwise(pieces))
        assert pieces[-1][0] < 1.0
        alone = slice(number, number + 1)
        assert near_by_index(PlaceIndex(areas).deciding, points[alone], error[alone]) == [pieces]


@many(15)
@given(seed=seeds, pairs=st.sampled_from([1, 300, 5_000]))
def test_legs_looked_up_in_small_groups_are_near_the_same(seed: int, pairs: int) -> None:
    """However few legs are looked up at once, what is near each is the same, and none is looked up twice."""
    areas = small_world(seed)
    points, error = legs(areas, seed, 60)
    whole = near_by_index(PlaceIndex(areas).deciding, points, error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding_module, "_PAIRS_AT_ONCE", pairs)
        patch.setattr(deciding_module, "_LEGS_AT_ONCE", 7)
        assert near_by_index(PlaceIndex(areas).deciding, points, error) == whole


def lookups(
    deciding: DecidingEdges, points: NDArray[np.float64], error: NDArray[np.float64], room: int
) -> Any:
    """For each group of legs looked up together, how many there are and how many cells they meet."""
    met: list[tuple[int, int]] = []
    trace = Grid.trace

    def traced(self: Grid, *line: Any) -> Any:
        found = trace(self, *line)
        met.append((len(line[0]), len(found[0])))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding_module, "_PAIRS_AT_ONCE", room)
        patch.setattr(Grid, "trace", traced)
        near_by_index(deciding, points, error)
    return met


@many(15)
@given(seed=seeds)
def test_no_group_of_legs_meets_more_cells_than_there_is_room_for(seed: int) -> None:
    """Whatever way legs go, those looked up together meet no more cells than there is room for."""
    areas = small_world(seed)
    points, error = legs(areas, seed, 200)
    met = lookups(PlaceIndex(areas).deciding, points, error, 1_500)
    assert all(count == 1 or cells <= 1_500 for count, cells in met)


@pytest.mark.parametrize("axis", [0, 1])
def test_legs_for_which_there_is_room_are_looked_up_together(axis: int) -> None:
    """Legs of one error are one group where there is room for six times the cells that they meet."""
    areas = small_world(0)
    points, error = legs(areas, 0, 200)
    points[:, axis], points[:, axis + 2] = (WEST, SOUTH)[axis], (WEST, SOUTH)[axis] + SIZE / 2
    points[:, 3 - axis] = points[:, 1 - axis]
    index, error = PlaceIndex(areas).deciding, np.full(len(error), 10.0)
    [(count, cells)] = lookups(index, points, error, 1 << 30)
    assert lookups(index, points, error, 6 * cells) == [(count, cells)]
    assert len(lookups(index, points, error, cells)) > 1


@many(30)
@given(seed=seeds)
def test_a_larger_error_brings_more_near(seed: int) -> None:
    """What is near with an error is near with any larger one."""
    areas = small_world(seed)
    points, error = legs(areas, seed, 40)
    deciding = PlaceIndex(areas).deciding
    wider = near_by_index(deciding, points, error * 1.5 + 1.0)
    for small, large in zip(near_by_index(deciding, points, error), wider, strict=True):
        cuts = sorted({start for start, _ in small} | {start for start, _ in large} | {1.0})
        for low, high in pairwise(cuts):
            middle = (low + high) / 2
            inner, outer = (
                next(classes for start, classes in reversed(rows) if start <= middle)
                for rows in (small, large)
            )
            assert set(inner) <= set(outer)


@many(30)
@given(seed=seeds)
def test_places_with_what_is_near_are_the_places(seed: int) -> None:
    """Asked about the error, pieces are cut more finely, and are in the same places to the last bit."""
    areas = small_world(seed)
    points, error = legs(areas, seed, 60)
    history = AreaHistory([(0, areas)])
    lon0, lat0, lon1, lat1 = np.ascontiguousarray(points.T)
    plain = history.crossings(0, lon0, lat0, lon1, lat1)
    fine = history.crossings(0, lon0, lat0, lon1, lat1, error)
    exact = [history.places[number].exact() for number in fine.place.tolist()]
    joined = [
        (leg, start, place)
        for at, (leg, start, place) in enumerate(
            zip(fine.leg.tolist(), fine.start.tolist(), exact, strict=True)
        )
        if not at or fine.leg[at - 1] != leg or exact[at - 1] != place
    ]
    places = [history.places[number] for number in plain.place.tolist()]
    assert joined == list(zip(plain.leg.tolist(), plain.start.tolist(), places, strict=True))
    for number in set(fine.place.tolist()):
        place = history.places[number]
        assert place.decides not in place.near
        assert tuple(sorted(set(place.near))) == place.near


@many(30)
@given(seed=seeds)
def test_all_that_a_leg_passes_through_is_near_all_along_it(seed: int) -> None:
    """Each class that a leg passes through is its own or near all along: nobody saw when it passed."""
    areas = small_world(seed)
    points, error = legs(areas, seed, 60)
    history = AreaHistory([(0, areas)])
    lon0, lat0, lon1, lat1 = np.ascontiguousarray(points.T)
    found = history.crossings(0, lon0, lat0, lon1, lat1, error)
    sides = [history.places[number].decides for number in found.place.tolist()]
    passed: dict[int, set[str]] = {}
    for leg, side in zip(found.leg.tolist(), sides, strict=True):
        passed.setdefault(leg, set()).add(side)
    for leg, side, number in zip(found.leg.tolist(), sides, found.place.tolist(), strict=True):
        assert passed[leg] <= {side, *history.places[number].near}


def test_a_device_that_stayed_is_near_what_either_fix_is_near() -> None:
    """Of a parked device's two fixes either may be the right one: what is near one of them is near."""
    west = shapely.box(WEST, SOUTH, WEST + 0.01, SOUTH + 0.01)
    history = AreaHistory([(0, AreaSet.of([Area(Kind.NEIGHBOURHOOD, "A", "A", west)]))])
    metre = 1 / METRES_PER_DEGREE / np.cos(np.radians(SOUTH))

    def parked(first_m: float, second_m: float) -> Place | None:
        lon = np.array([[WEST + 0.01 - first_m * metre], [WEST + 0.01 - second_m * metre]])
        lat = np.full(1, SOUTH + 0.005)
        found = history.parked(0, lon[0], lat, lon[1], lat, np.array([10.0]))
        return history.places[found[0]] if found[0] >= 0 else None

    assert parked(30, 30) == Place("A", None, (), ())
    assert parked(30, 9) == parked(9, 30) == parked(9, 9) == Place("A", None, (), (ELSEWHERE,))
    assert parked(-9, -9) == Place(None, None, (), ("A",))
    assert parked(9, -9) is None


def test_hidden_edges_and_those_of_priority_areas_decide_nothing() -> None:
    """Only where another neighbourhood wins, or premises begin, does an edge decide."""
    box = shapely.box(WEST, SOUTH, WEST + 0.01, SOUTH + 0.01)
    small = shapely.box(WEST + 0.002, SOUTH + 0.002, WEST + 0.004, SOUTH + 0.004)

    def edges(*areas: Area) -> int:
        return len(PlaceIndex(AreaSet.of(areas)).deciding)

    alone = Area(Kind.NEIGHBOURHOOD, "A", "A", box)
    assert edges(alone) == 4
    assert edges(alone, Area(Kind.PRIORITY, "P", "P", small)) == 4
    assert edges(alone, Area(Kind.NEIGHBOURHOOD, "B", "B", small)) == 4
    assert edges(Area(Kind.NEIGHBOURHOOD, "B", "B", box), Area(Kind.NEIGHBOURHOOD, "A", "A", small)) == 8
    assert edges(alone, Area(Kind.PREMISES, "S", "S", small)) == 8
    assert edges(Area(Kind.PREMISES, "S", "S", small)) == 0
    assert edges() == 0
