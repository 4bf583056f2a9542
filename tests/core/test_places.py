"""Points: the index gives the answers of comparing each point with each area (rule 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.grid import MAX_CELLS, METRES_PER_DEGREE, Grid
from geo.matching.places import OUTSIDE, Place, PlaceIndex
from tests.real import needs_data, wards
from tests.strategies import many
from tests.tessellations import (
    SIZE,
    SOUTH,
    WEST,
    cell_sizes,
    lattices,
    places_by_comparison,
    seeds,
    small_world,
    square,
    telling_points,
    wiggly_world,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def places_by_index(index: PlaceIndex, points: NDArray[np.float64]) -> list[Place]:
    """What the index says."""
    return [index.place(number) for number in index.locate(points[:, 0], points[:, 1]).tolist()]


@many(60)
@given(seed=seeds, snap=lattices, cell_m=cell_sizes)
def test_every_point_is_where_comparison_puts_it(seed: int, snap: float, cell_m: float) -> None:
    """The index agrees with comparing points and areas: inside, on edges, on vertices, a hair beside them."""
    areas = small_world(seed, snap=snap)
    points = telling_points(areas, seed, 400)
    assert places_by_index(PlaceIndex(areas, cell_m=cell_m), points) == places_by_comparison(areas, points)


@many(10)
@given(seed=seeds, snap=lattices)
def test_cells_do_not_matter(seed: int, snap: float) -> None:
    """Places are the same whatever the size of the cells."""
    areas = small_world(seed, snap=snap)
    points = telling_points(areas, seed, 2000)
    answers = [places_by_index(PlaceIndex(areas, cell_m=size), points) for size in (15.0, 90.0, 1e6)]
    assert answers[0] == answers[1] == answers[2]


@many(10)
@given(seed=seeds)
def test_a_point_alone_is_where_it_is_in_a_batch(seed: int) -> None:
    """What else is asked for, and what was asked before, changes no place."""
    areas = small_world(seed)
    points = telling_points(areas, seed, 200)
    index, other = PlaceIndex(areas), PlaceIndex(areas)
    alone = [other.place(int(other.locate([x], [y])[0])) for x, y in points[::-1].tolist()]
    assert places_by_index(index, np.tile(points, (300, 1)))[-200:] == alone[::-1]


def test_no_area_at_all_means_outside() -> None:
    """An index of nothing puts everything outside."""
    index = PlaceIndex(AreaSet.of([]))
    assert index.locate([0.0, -1.1, np.nan], [0.0, 52.6, 1.0]).tolist() == [OUTSIDE] * 3
    assert index.place(OUTSIDE) == Place(None, None, ())
    assert len(index.crossings([0.0], [0.0], [1.0], [1.0])) == 1


def test_nowhere_is_outside() -> None:
    """Points beyond the grid, infinite or NaN, are outside."""
    index = PlaceIndex(AreaSet.of([square("A", -1.0, 52.0)]))
    far = [np.nan, np.inf, -np.inf, 179.0, -1e300, -0.995]
    assert index.locate(far, [52.005] * 6).tolist()[:5] == [OUTSIDE] * 5
    assert index.locate([-0.995] * 6, far).tolist() == [OUTSIDE] * 6
    assert index.place(int(index.locate(far, [52.005] * 6)[5])).neighbourhood == "A"


def test_smallest_id_wins_on_a_shared_edge_and_in_an_overlap() -> None:
    """Of neighbourhoods and of premises the smallest id wins, as text; priority areas are all counted."""
    index = PlaceIndex(
        AreaSet.of(
            [
                square("N2", 0.0, 0.0),
                square("N10", 0.01, 0.0),
                square("N3", 0.005, 0.0),
                square("B2", 0.0, 0.0, kind=Kind.PREMISES),
                square("B1", 0.01, 0.01, kind=Kind.PREMISES),
                square("P2", 0.0, 0.0, kind=Kind.PRIORITY),
                square("P10", 0.0, 0.0, 0.005, kind=Kind.PRIORITY),
            ]
        )
    )
    points = np.array([[0.01, 0.005], [0.007, 0.005], [0.012, 0.002], [0.01, 0.01], [0.005, 0.005]])
    assert places_by_index(index, points) == [
        Place("N10", "B2", ("P2",)),
        Place("N2", "B2", ("P2",)),
        Place("N10", None, ()),
        Place("N10", "B1", ("P2",)),
        Place("N2", "B2", ("P10", "P2")),
    ]


def test_a_hole_is_outside_and_its_edge_is_not() -> None:
    """Holes are honoured, and the ring of a hole belongs to the area."""
    ring = shapely.box(0, 0, 3, 3).difference(shapely.box(1, 1, 2, 2))
    index = PlaceIndex(AreaSet.of([Area(Kind.NEIGHBOURHOOD, "A", "", ring)]), cell_m=5000.0)
    points = np.array([[1.5, 1.5], [1.0, 1.5], [2.0, 2.0], [0.5, 0.5], [np.nextafter(1.0, 2), 1.5]])
    found = [place.neighbourhood for place in places_by_index(index, points)]
    assert found == [None, "A", "A", "A", None]


def test_many_areas_in_one_cell_are_told_apart() -> None:
    """A cell may be crowded: 400 areas of less than a metre in a single cell."""
    step = 2.0**-17
    boxes = [square(f"{at:03}", at % 20 * step, at // 20 * step, step) for at in range(400)]
    areas = AreaSet.of(boxes)
    points = (np.random.default_rng(1).integers(-1, 43, (500, 2)) * (step / 2)).astype(np.float64)
    assert places_by_index(PlaceIndex(areas, cell_m=1000.0), points) == places_by_comparison(areas, points)


def test_areas_smaller_than_any_tolerance_are_found() -> None:
    """An area of a few nanometres has an inside, an edge and an outside like any other."""
    tiny = 1e-13
    areas = AreaSet.of([square("A", 0.5, 0.5, tiny), square("B", 0.5 + tiny, 0.5, tiny)])
    points = 0.5 + tiny * np.random.default_rng(1).uniform(-1.0, 3.0, (300, 2))
    assert places_by_index(PlaceIndex(areas), points) == places_by_comparison(areas, points)


def test_cells_grow_rather_than_fill_the_memory() -> None:
    """The number of cells is bounded, whatever the extent and the size asked for."""
    for bounds in ((-180.0, -90.0, 180.0, 90.0), (-8.0, 49.0, 2.0, 61.0), (0.0, 89.0, 1.0, 90.0)):
        grid = Grid.over(bounds, 1.0)
        assert MAX_CELLS / 2 < grid.columns * grid.rows <= MAX_CELLS
        assert grid.cell_m > 1.0


@many(100)
@given(
    lon=st.floats(-1.2, -1.0),
    lat=st.floats(52.5, 52.7),
    to=st.tuples(st.floats(-1.4, -0.8), st.floats(52.4, 52.8)),
)
def test_a_line_misses_none_of_its_cells(lon: float, lat: float, to: tuple[float, float]) -> None:
    """Each point of a line that is in the grid lies in one of the cells that the line was said to pass."""
    grid = Grid.over((-1.2, 52.5, -1.0, 52.7), 700.0)
    _, cells = grid.trace(np.array([lon]), np.array([lat]), np.array([to[0]]), np.array([to[1]]), 1e-6)
    way = np.linspace(0.0, 1.0, 500)
    x, y = lon + way * (to[0] - lon), lat + way * (to[1] - lat)
    within = (x >= -1.2) & (x <= -1.0) & (y >= 52.5) & (y <= 52.7)
    assert set(grid.cell(x[within], y[within]).tolist()) <= set(cells.tolist())


@many(100)
@given(
    st.floats(-1.2, -1.0),
    st.floats(52.5, 52.7),
    st.floats(-1.2, -1.0),
    st.floats(52.5, 52.7),
    st.integers(1, 40),
)
def test_how_many_cells_a_line_meets_is_bounded_closely(
    lon: float, lat: float, to_lon: float, to_lat: float, hundred_m: int
) -> None:
    """A line meets no more cells than said before, and at least a twelfth of them."""
    grid = Grid.over((-1.2, 52.5, -1.0, 52.7), 100.0 * hundred_m)
    x0, y0, x1, y1 = (np.array([value]) for value in (lon, lat, to_lon, to_lat))
    met = len(grid.trace(x0, y0, x1, y1, 1e-6)[0])
    assert met <= grid.reach(x0, y0, x1, y1)[0] <= 12 * met


@pytest.mark.parametrize("lat", [0.0, 52.6, 60.1, -33.0, 80.0])
def test_cells_are_as_wide_as_they_are_high(lat: float) -> None:
    """A cell is a square of the size asked for at the middle latitude, and there are no more than needed."""
    grid = Grid.over((-1.2, lat - 0.1, -1.0, lat + 0.1), 50.0)
    wide = np.cos(np.radians(lat)) * METRES_PER_DEGREE / grid.per_lon
    high = METRES_PER_DEGREE / grid.per_lat
    assert (wide, high, grid.cell_m) == pytest.approx((50.0, 50.0, 50.0))
    assert grid.columns == pytest.approx(0.2 * METRES_PER_DEGREE * np.cos(np.radians(lat)) / 50, abs=4)
    assert grid.rows == pytest.approx(0.2 * METRES_PER_DEGREE / 50, abs=4)


def test_an_area_that_is_not_valid_is_refused() -> None:
    """A boundary that crosses itself gets an error that names it and says why."""
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    with pytest.raises(ValueError, match=r"neighbourhood 'A': Self-intersection.*mend"):
        PlaceIndex(AreaSet.of([Area(Kind.NEIGHBOURHOOD, "A", "", bow)]))


def test_columns_of_different_lengths_are_refused() -> None:
    """Columns that do not match get one clear error line."""
    index = PlaceIndex(AreaSet.of([square("A", 0.0, 0.0)]))
    with pytest.raises(ValueError, match=r"lon\[2\], lat\[1\]: give flat columns of one length"):
        index.locate([0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="flat columns"):
        index.crossings([0.0], [0.0], [0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="1 legs need 1 place numbers"):
        index.crossings([0.0], [0.0], [1.0], [0.0], place0=np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="place 7"):
        index.place(7)
    with pytest.raises(ValueError, match=r"give 0\.1 or more"):
        PlaceIndex(index.areas, cell_m=0.0)


def test_a_set_is_the_same_whatever_order_its_areas_came_in() -> None:
    """Areas are sorted by kind, then by id as text."""
    rows = [square("N2", 0, 0), square("P1", 0, 0, kind=Kind.PRIORITY), square("N10", 0, 0)]
    rows.append(square("B1", 0, 0, kind=Kind.PREMISES))
    for areas in (
        AreaSet.of(rows),
        AreaSet.of(rows[::-1]),
        AreaSet.union(*(AreaSet.of([row]) for row in rows)),
    ):
        assert areas.area_id == ("N10", "N2", "P1", "B1")
        assert [str(kind) for kind in areas.kind] == [
            "neighbourhood",
            "neighbourhood",
            "priority",
            "premises",
        ]
    assert AreaSet.of(rows).only(Kind.PRIORITY).area_id == ("P1",)
    assert len(AreaSet.of(rows)) == 4


@pytest.mark.parametrize(
    ("area", "why"),
    [
        (square(" ", 0, 0), "has no area_id"),
        (square("A", 179.999, 0), "not in WGS84 degrees"),
        (Area(Kind.PRIORITY, "A", "", shapely.Polygon()), "priority 'A': its geometry is empty"),
        (Area(Kind.PRIORITY, "A", "", shapely.Point(0, 0)), "its geometry is Point"),
        (Area(Kind.PRIORITY, "A", "", None), "its geometry is NoneType"),
        (square("B", 0, 0), "two areas have this id"),
    ],
)
def test_what_is_no_area_is_refused(area: Area, why: str) -> None:
    """What no place can be made of gets an error that names it."""
    with pytest.raises(ValueError, match=why):
        AreaSet.of([square("B", 0, 0), area])


def test_heights_are_dropped() -> None:
    """A boundary with heights becomes plane."""
    high = shapely.force_3d(shapely.box(0, 0, 1, 1), 7.0)
    assert not shapely.has_z(AreaSet.of([Area(Kind.PRIORITY, "A", "", high)]).geometry).any()


def test_a_force_of_thousands_of_areas_agrees() -> None:
    """3,000 wiggly areas with 100,000 vertices: the index agrees with exact comparison."""
    areas = wiggly_world(3, 3000, 100_000, priorities=30)
    index = PlaceIndex(areas)
    rng = np.random.default_rng(4)
    west, south, east, north = shapely.total_bounds(areas.geometry)
    vertices = shapely.get_coordinates(areas.geometry)
    points = np.concatenate(
        [
            rng.uniform((west, south), (east, north), (60_000, 2)),
            np.round(vertices[rng.integers(0, len(vertices), 20_000)] + rng.normal(0, 1e-5, (20_000, 2)), 7),
            vertices[rng.integers(0, len(vertices), 3_000)],
        ]
    )
    tree = shapely.STRtree(areas.geometry)
    point, area = tree.query(shapely.points(points), predicate="intersects")
    covering: list[list[int]] = [[] for _ in points]
    for p, a in sorted(zip(point.tolist(), area.tolist(), strict=True)):
        covering[p].append(a)
    expected = [
        Place(
            next((areas.area_id[at] for at in ats if areas.kind[at] is Kind.NEIGHBOURHOOD), None),
            None,
            tuple(areas.area_id[at] for at in ats if areas.kind[at] is Kind.PRIORITY),
        )
        for ats in covering
    ]
    assert places_by_index(index, points) == expected


@needs_data
@pytest.mark.shared
def test_the_real_wards_agree() -> None:
    """On 171 wards, 40 priority areas and 11 premises the index agrees with comparison, edges included."""
    areas = wards()
    west, south, east, north = shapely.total_bounds(areas.geometry)
    rng = np.random.default_rng(5)
    vertices = shapely.get_coordinates(areas.geometry)
    points = np.concatenate(
        [
            rng.uniform((west, south), (east, north), (20_000, 2)),
            np.round(vertices + rng.normal(0, 3e-5, vertices.shape), 7),
            vertices,
            (vertices[1:] + vertices[:-1]) / 2,
            rng.uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE), (10_000, 2)),
        ]
    )
    assert places_by_index(PlaceIndex(areas), points) == places_by_comparison(areas, points)


def test_a_million_random_points_are_where_comparison_puts_them() -> None:
    """A million points over a force of 300 wiggly areas: each in the neighbourhood that brute force finds."""
    areas = wiggly_world(11, 300, 30_000).only(Kind.NEIGHBOURHOOD)
    index = PlaceIndex(areas)
    west, south, east, north = shapely.total_bounds(areas.geometry)
    random = np.random.default_rng(11)
    lon, lat = random.uniform(west, east, 1_000_000), random.uniform(south, north, 1_000_000)
    # Areas in the order of their ids: the first that covers a point keeps it (rule 5).
    expected = np.full(len(lon), -1)
    for number, shape in enumerate(areas.geometry):
        box = shapely.bounds(shape)
        near = np.flatnonzero(
            (expected < 0) & (lon >= box[0]) & (lon <= box[2]) & (lat >= box[1]) & (lat <= box[3])
        )
        shapely.prepare(shape)
        expected[near[shapely.intersects_xy(shape, lon[near], lat[near])]] = number
    number_of = {name: number for number, name in enumerate(areas.area_id)}
    numbers = index.locate(lon, lat)  # which may meet new places, so it comes before they are listed
    found = np.array(
        [-1 if place.neighbourhood is None else number_of[place.neighbourhood] for place in index.places]
    )[numbers]
    assert np.array_equal(found, expected)
    assert np.count_nonzero(expected >= 0) > 500_000
