"""Legs: divided exactly where they cross a boundary (rule 4), each piece in the place of its interval."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.legs import meets
from geo.matching.places import Pieces, Place, PlaceIndex
from geo.matching.predicates import covers_exactly, meet, meet_exactly
from tests.oracle.exact import Areas, along, point
from tests.real import needs_data, wards
from tests.strategies import many
from tests.tessellations import (
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

SLIVER = 1e-14
"""Fractions of a leg that are too short to speak of."""


def legs_of(areas: AreaSet, seed: int, count: int) -> NDArray[np.float64]:
    """``float64[4, n]``: legs between telling points, along edges, through vertices, and of no length."""
    start, end = telling_points(areas, seed, 2 * count).reshape(2, count, 2)
    vertices = shapely.get_coordinates(areas.geometry)[: count // 2 + 1]
    start = np.concatenate([start, vertices[:-1], vertices[:-1], start[:2]])
    end = np.concatenate([end, vertices[1:], 2 * vertices[1:] - vertices[:-1], start[:2]])
    return np.concatenate([start.T, end.T])


def cut(index: PlaceIndex, legs: NDArray[np.float64]) -> list[list[tuple[float, Place]]]:
    """The pieces of each leg as ``(start, place)``."""
    pieces = index.crossings(*legs)
    found: list[list[tuple[float, Place]]] = [[] for _ in range(legs.shape[1])]
    for leg, start, place in zip(*(column.tolist() for column in columns(pieces)), strict=True):
        found[leg].append((start, index.place(place)))
    return found


def columns(pieces: Pieces) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
    """The columns of pieces, to look at them together."""
    return pieces.leg, pieces.start, pieces.place


def ends(pieces: Pieces) -> NDArray[np.float64]:
    """``float64[m]``, where each piece ends: at the next one's start, or with the leg."""
    last = np.append(pieces.leg[1:] != pieces.leg[:-1], True)
    return np.where(last, 1.0, np.append(pieces.start[1:], 1.0))


def points_on(
    legs: NDArray[np.float64], leg: NDArray[np.int64], fraction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``float64[n, 2]``, points at fractions of legs."""
    x0, y0, x1, y1 = legs[:, leg]
    return np.column_stack([x0 + fraction * (x1 - x0), y0 + fraction * (y1 - y0)])


def tidy(pieces: list[tuple[float, Place]]) -> list[tuple[float, Place]]:
    """Without pieces that are too short to speak of, and with neighbours in one place joined."""
    kept: list[tuple[float, Place]] = []
    for (start, place), (end, _) in pairwise([*pieces, (1.0, Place(None, None, ()))]):
        if end - start > SLIVER and not (kept and kept[-1][1] == place):
            kept.append((start if kept else 0.0, place))
    return kept


@many(25)
@given(seed=seeds, snap=lattices, cell_m=cell_sizes)
def test_legs_are_cut_where_fractions_cut_them(seed: int, snap: float, cell_m: float) -> None:
    """The pieces are those of exact rational arithmetic, to the last bit of where they start."""
    areas = small_world(seed, snap=snap)
    oracle = Areas(
        [(str(kind), id_, g) for kind, id_, g in zip(areas.kind, areas.area_id, areas.geometry, strict=True)]
    )
    legs = legs_of(areas, seed, 10)
    for found, (x0, y0, x1, y1) in zip(
        cut(PlaceIndex(areas, cell_m=cell_m), legs), legs.T.tolist(), strict=True
    ):
        a, b = point(x0, y0), point(x1, y1)
        cuts = [Fraction(0), *oracle.crossings(a, b), Fraction(1)]
        exact = [(float(f), Place(*oracle.place(along(a, b, (f + g) / 2)))) for f, g in pairwise(cuts)]
        assert tidy(found) == tidy(exact)


@many(40)
@given(seed=seeds, snap=lattices, cell_m=cell_sizes)
def test_pieces_tile_each_leg(seed: int, snap: float, cell_m: float) -> None:
    """Pieces are sorted, start at 0, are never empty, and neighbours differ in place."""
    areas = small_world(seed, snap=snap)
    legs = legs_of(areas, seed, 100)
    pieces = PlaceIndex(areas, cell_m=cell_m).crossings(*legs)
    first = np.append(True, pieces.leg[1:] != pieces.leg[:-1])
    assert pieces.leg[first].tolist() == list(range(legs.shape[1]))
    assert np.all(pieces.start[first] == 0.0)
    inner = np.flatnonzero(~first)
    assert np.all(pieces.start[inner] > pieces.start[inner - 1])
    assert np.all(pieces.place[inner] != pieces.place[inner - 1])
    assert np.all(pieces.start < 1.0)
    assert [str(column.dtype) for column in columns(pieces)] == ["int64", "float64", "int32"]


@many(40)
@given(seed=seeds, snap=lattices)
def test_each_area_gets_its_share_of_each_leg(seed: int, snap: float) -> None:
    """The pieces within an area are as long as the intersection that GEOS finds, to 1e-9 of the leg."""
    world = small_world(seed, snap=snap)
    # As priority areas all of them count, so that each can be looked at by itself.
    areas = AreaSet.of(
        Area(Kind.PRIORITY, f"{area.kind} {area.area_id}", "", area.geometry) for area in world.areas()
    )
    legs = legs_of(areas, seed, 60)
    start, end = legs[:2].T, legs[2:].T
    lines = shapely.linestrings(np.stack([start, end], axis=1))
    length = shapely.length(lines)
    index = PlaceIndex(areas)
    pieces = index.crossings(*legs)
    width = ends(pieces) - pieces.start
    # A leg that runs beside an edge, closer than GEOS can tell, is snapped onto it there, and does not count.
    middle = points_on(legs, pieces.leg, pieces.start + width / 2)
    beside = np.zeros(len(lines), bool)
    if len(areas):
        edges = shapely.union_all(shapely.boundary(areas.geometry))
        beside[pieces.leg[shapely.distance(shapely.points(middle), edges) < 1e-9]] = True
    for area in areas.areas():
        within = [area.area_id in place.priorities for place in index.places]
        found = np.bincount(pieces.leg, width * np.array(within)[pieces.place], len(lines))
        expected = shapely.length(shapely.intersection(lines, area.geometry))
        # Fractions of a metre-long leg are coarser than doubles of degrees: the latter err by some 1e-14.
        close = np.abs(found * length - expected) <= 1e-9 * length + 1e-12
        assert np.all(close | beside | (length == 0.0))


@many(20)
@given(seed=seeds, snap=lattices)
def test_points_on_pieces_are_where_the_piece_is(seed: int, snap: float) -> None:
    """At random fractions within a piece, comparing point and areas gives the piece's place."""
    areas = small_world(seed, snap=snap)
    legs = legs_of(areas, seed, 60)
    index = PlaceIndex(areas)
    pieces = index.crossings(*legs)
    way = np.random.default_rng(seed).uniform(0.01, 0.99, len(pieces))
    points = points_on(legs, pieces.leg, pieces.start + (ends(pieces) - pieces.start) * way)
    # Where a point on a leg, rounded, is as good as on an edge, comparison has nothing to say about the leg.
    edges = shapely.union_all(shapely.boundary(areas.geometry)) if len(areas) else shapely.Point()
    clear = ~(shapely.distance(shapely.points(points), edges) < 1e-12)
    places = [index.place(number) for number in pieces.place[clear].tolist()]
    assert places == places_by_comparison(areas, points[clear])


@many(15)
@given(seed=seeds, snap=lattices)
def test_a_leg_alone_is_cut_as_in_a_batch(seed: int, snap: float) -> None:
    """The pieces of a leg depend on that leg alone: bit by bit the same in any company and order."""
    areas = small_world(seed, snap=snap)
    legs = legs_of(areas, seed, 40)
    index = PlaceIndex(areas)
    together = cut(index, legs)
    order = np.random.default_rng(seed).permutation(legs.shape[1])
    assert cut(index, legs[:, order]) == [together[at] for at in order]
    other = PlaceIndex(areas)
    for at in range(legs.shape[1]):
        assert cut(other, legs[:, at : at + 1]) == [together[at]]


def test_a_large_batch_is_cut_as_its_parts() -> None:
    """A batch that has to be worked in parts gives the pieces of its parts."""
    areas = wiggly_world(1, 60, 8000, priorities=5)
    rng = np.random.default_rng(2)
    west, south, east, north = shapely.total_bounds(areas.geometry)
    start = rng.uniform((west, south), (east, north), (70_000, 2))
    far = rng.random(len(start)) < 0.02
    end = np.where(far[:, None], start[::-1], start + rng.normal(0, 5e-4, start.shape))
    legs = np.concatenate([start.T, end.T])
    index = PlaceIndex(areas)
    whole = index.crossings(*legs)
    for part in (slice(0, 13), slice(33_000, 33_100), slice(69_900, None)):
        piece = (whole.leg >= range(70_000)[part][0]) & (whole.leg <= range(70_000)[part][-1])
        alone = index.crossings(*legs[:, part])
        assert np.array_equal(alone.leg + range(70_000)[part][0], whole.leg[piece])
        assert np.array_equal(alone.start, whole.start[piece])
        assert np.array_equal(alone.place, whole.place[piece])


@many(20)
@given(seed=seeds, snap=lattices)
def test_places_already_known_change_nothing(seed: int, snap: float) -> None:
    """Given the places of the ends, the pieces are the same."""
    areas = small_world(seed, snap=snap)
    legs = legs_of(areas, seed, 60)
    index = PlaceIndex(areas)
    place0, place1 = index.locate(*legs[:2]), index.locate(*legs[2:])
    plain = columns(index.crossings(*legs))
    for known0, known1 in ((place0, None), (None, place1), (place0, place1)):
        x0, y0, x1, y1 = legs
        pieces = index.crossings(x0, y0, x1, y1, place0=known0, place1=known1)
        assert np.array_equal(plain[0], pieces.leg)
        assert np.array_equal(plain[1], pieces.start)
        assert np.array_equal(plain[2], pieces.place)


def test_a_leg_across_an_edge_is_cut_in_the_middle() -> None:
    """The first worked example of the rules: half the leg in A, half outside."""
    index = PlaceIndex(AreaSet.of([square("A", -1.0, 52.0, 0.125)]))
    legs = np.array([[-0.9375], [52.0625], [-0.8125], [52.0625]])
    assert cut(index, legs) == [[(0.0, Place("A", None, ())), (0.5, Place(None, None, ()))]]


def test_a_leg_along_a_shared_edge_lies_in_the_smallest_id() -> None:
    """Along an edge, all the way or part of it, the smallest of its owners' ids wins."""
    areas = AreaSet.of([square("B", 0.0, 0.0, 0.25), square("A", 0.25, 0.0, 0.25)])
    index = PlaceIndex(areas, cell_m=3000.0)
    a, out = Place("A", None, ()), Place(None, None, ())
    legs = np.array([[0.25, 0.0, 0.25, 0.25], [0.25, 0.125, 0.25, 0.375], [0.25, -0.25, 0.25, 0.5]])
    assert cut(index, legs.T) == [
        [(0.0, a)],
        [(0.0, a), (0.5, out)],
        [(0.0, out), (1 / 3, a), (2 / 3, out)],
    ]


def test_a_leg_that_only_touches_is_not_cut() -> None:
    """Touching a vertex or an edge from outside takes no time, and makes no piece."""
    index = PlaceIndex(AreaSet.of([square("A", 0.0, 0.0, 0.25)]))
    out, a = Place(None, None, ()), Place("A", None, ())
    legs = np.array(
        [
            [-0.125, 0.125, 0.125, 0.375],  # through the vertex (0, 0.25) only
            [-0.25, 0.25, 0.5, 0.5],  # past that vertex
            [-0.125, 0.125, 0.125, -0.125],  # through the vertex (0, 0) only
            [0.25, 0.125, 0.5, 0.125],  # starts on the edge it leaves
            [0.125, 0.125, 0.25, 0.25],  # ends on a vertex from inside
            [0.25, 0.25, 0.25, 0.25],  # stays on a vertex
        ]
    ).T
    assert cut(index, legs) == [
        [(0.0, out)],
        [(0.0, out)],
        [(0.0, out)],
        [(0.0, out)],
        [(0.0, a)],
        [(0.0, a)],
    ]


def test_a_leg_that_is_nowhere_is_outside() -> None:
    """A leg with an end that is NaN, infinite or not on Earth is one piece outside."""
    index = PlaceIndex(AreaSet.of([square("A", 0.0, 0.0, 0.25)]))
    nowhere = [np.nan, np.inf, -np.inf, 1e300]
    legs = np.full((4, 16), 0.125)
    legs[np.arange(16) % 4, np.arange(16)] = np.repeat(nowhere, 4)
    assert cut(index, legs) == [[(0.0, Place(None, None, ()))]] * 16


coordinates = st.one_of(
    st.floats(-2.0, 2.0), st.integers(-8, 8).map(lambda n: n / 4), st.integers(-20, 20).map(lambda n: n / 10)
)
spots = st.tuples(coordinates, coordinates)


@many(300)
@given(p=spots, q=spots, u=spots, v=spots, way=st.sampled_from([None, 0.0, 0.3, 0.5, 1.0, 1.5]))
def test_meetings_are_those_of_fractions(
    p: tuple[float, float],
    q: tuple[float, float],
    u: tuple[float, float],
    v: tuple[float, float],
    way: float | None,
) -> None:
    """Double-double arithmetic finds the meetings that fractions find, or says that it cannot tell."""
    if way is not None:  # an end of the leg on the edge's line, or as near as doubles come
        p = (u[0] + way * (v[0] - u[0]), u[1] + way * (v[1] - u[1]))
    exact = meet_exactly(*(point(*spot) for spot in (p, q, u, v)))
    met = meet(*((np.array([x]), np.array([y])) for x, y in (p, q, u, v)))
    if met.unsettled[0] or p == q or u == v:
        return
    if np.isnan(met.fraction[0]):
        assert exact == []
    else:
        assert [float(f) for f in exact] == pytest.approx([float(met.fraction[0])], rel=2.3e-16, abs=1e-30)


small = st.sampled_from([0.0, 1e-170, -1e-170, 3e-165, -2e-155, 1e-100, -1e-90, 0.5])
tiny_spots = st.tuples(small, small)


@many(300)
@given(p=tiny_spots, q=tiny_spots, u=tiny_spots, v=tiny_spots)
@example(p=(0.0, 1e-170), q=(0.0, 0.5), u=(-1e-170, 0.0), v=(1e-170, 0.0))
@example(p=(1e-170, 0.0), q=(0.5, 0.0), u=(0.0, -1e-170), v=(0.0, 1e-170))
def test_products_too_small_for_doubles_decide_nothing(
    p: tuple[float, float], q: tuple[float, float], u: tuple[float, float], v: tuple[float, float]
) -> None:
    """Where products of coordinates vanish in doubles, meetings are those of fractions, or left to them."""
    exact = meet_exactly(*(point(*spot) for spot in (p, q, u, v)))
    met = meet(*((np.array([x]), np.array([y])) for x, y in (p, q, u, v)))
    if met.unsettled[0] or p == q or u == v:
        return
    if np.isnan(met.fraction[0]):
        assert exact == []
    else:
        assert [float(f) for f in exact] == pytest.approx([float(met.fraction[0])], rel=2.3e-16, abs=1e-30)


@many(12)
@given(seed=seeds, snap=lattices, cell_m=cell_sizes)
def test_meetings_are_where_fractions_put_them_also_where_doubles_cannot_tell(
    seed: int, snap: float, cell_m: float
) -> None:
    """A leg meets the edges at those fractions of it, counted from its start, that exact arithmetic gives."""
    areas = small_world(seed, snap=snap)
    legs = legs_of(areas, seed, 6)
    cells = PlaceIndex(areas, cell_m=cell_m).cells
    found = meets(cells, *legs)
    edges = [(point(*row[:2]), point(*row[2:4])) for row in cells.edges.rows.tolist()]
    for number, (x0, y0, x1, y1) in enumerate(legs.T.tolist()):
        p, q = point(x0, y0), point(x1, y1)
        exact = {
            float(at)
            for u, v in edges
            if min(u[0], v[0]) <= max(p[0], q[0])
            and max(u[0], v[0]) >= min(p[0], q[0])
            and min(u[1], v[1]) <= max(p[1], q[1])
            and max(u[1], v[1]) >= min(p[1], q[1])
            for at in meet_exactly(p, q, u, v)
        }
        # Two edges of one vertex may give fractions that differ in their last bit.
        assert found.fraction[found.leg == number].tolist() == pytest.approx(sorted(exact), abs=1e-15)


def test_a_leg_along_an_edge_meets_it_from_where_it_is_first_reached() -> None:
    """A leg that runs along an edge meets it where its own way there begins and ends, not the other way."""
    cells = PlaceIndex(AreaSet.of([square("A", 0.0, 0.0, 0.25)])).cells
    found = meets(cells, *np.array([[-0.25, 0.0, 0.75, 0.0], [0.75, 0.0, -0.25, 0.0]]).T)
    assert found.leg.tolist() == [0, 0, 1, 1]
    assert found.fraction.tolist() == [0.25, 0.5, 0.5, 0.75]


@many(100)
@given(seed=seeds, at=st.tuples(coordinates, coordinates))
def test_exact_containment_is_that_of_geos(seed: int, at: tuple[float, float]) -> None:
    """For points that doubles can name, exact containment is what GEOS says."""
    vertices = np.random.default_rng(seed).integers(-8, 9, (6, 2)) / 4
    hull = shapely.MultiPoint(vertices).convex_hull
    if hull.geom_type != "Polygon":
        return
    ring = shapely.get_coordinates(hull)
    (x1, y1), (x2, y2) = ring[:-1].T, ring[1:].T
    for spot in (at, *map(tuple, ring.tolist()), *map(tuple, ((ring[1:] + ring[:-1]) / 2).tolist())):
        assert covers_exactly(x1, y1, x2, y2, point(*spot)) == shapely.intersects_xy(hull, *spot)


@needs_data
@pytest.mark.shared
def test_legs_across_the_real_wards_get_their_shares() -> None:
    """On the real areas the pieces within each are as long as the intersection that GEOS finds."""
    world = wards()
    areas = AreaSet.of(
        Area(Kind.PRIORITY, f"{area.kind} {area.area_id}", "", area.geometry) for area in world.areas()
    )
    rng = np.random.default_rng(6)
    west, south, east, north = shapely.total_bounds(areas.geometry)
    start = rng.uniform((west, south), (east, north), (6_000, 2))
    end = start + rng.normal(0, 1, start.shape) * rng.choice([1e-5, 1e-3, 1e-2, 0.3], (len(start), 1))
    legs = np.concatenate([start.T, end.T])
    index = PlaceIndex(areas)
    pieces = index.crossings(*legs)
    width = np.where(
        np.append(pieces.leg[1:] != pieces.leg[:-1], True), 1.0, np.append(pieces.start[1:], 1.0)
    )
    width -= pieces.start
    lines = shapely.linestrings(np.stack([start, end], axis=1))
    length = shapely.length(lines)
    assert len(pieces) > 2 * len(lines)
    for at in range(len(areas)):
        within = np.array([areas.area_id[at] in place.priorities for place in index.places])
        found = np.bincount(pieces.leg, width * within[pieces.place], len(lines))
        near = np.flatnonzero(shapely.intersects(shapely.box(*areas.geometry[at].bounds), lines))
        expected = np.zeros(len(lines))
        expected[near] = shapely.length(shapely.intersection(lines[near], areas.geometry[at]))
        assert np.all(np.abs(found * length - expected) <= 1e-9 * length + 1e-12)
