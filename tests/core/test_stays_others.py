"""Stays against other ways to find them: walking, MEOS (mobility databases) and MovingPandas.

All three are asked how long a device was inside closed polygons, on tracks without a gap that rule 4 would
not observe. Two differ from us where their arithmetic is made for metres and not for degrees, so they get the
same shapes and tracks in a finer unit: shifted and multiplied by a power of two, which rounds nothing. What
is left then, and what happens in plain degrees:

* MEOS takes pieces shorter than a fixed tolerance for nothing. In degrees that loses a phone that hardly
  moves (up to minutes of a courier's track), and legs that touch an edge end in "roundoff errors". In units
  of 2⁻³⁰° (0.1 mm) nothing is lost.
* MEOS cuts a track as one line. Where a long one crosses itself beside an edge, that line is noded anew and
  pieces fall to the wrong side; so legs that are made to touch edges are given to it one by one.
* A leg that runs along an edge at less than 1e-12° (0.1 µm) is inside or outside by the last bit of its ends.
  There GEOS, which both use, may say otherwise; fractions say what we say.
* MovingPandas multiplies by a length before it divides by one, rounding to a microsecond in between: in
  degrees that costs some 0.05 s a crossing. It moves crossings within 10 ms of a fix onto the fix.
"""

from __future__ import annotations

import importlib
import warnings
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.stays import stays
from tests import oracle
from tests.oracle.substeps import Ground, disagreement, walk
from tests.real import buses, couriers, wards
from tests.strategies import BINARY, DECIMAL, EPOCH, Grid, areas, fix_columns, many, spots
from tests.tessellations import SIZE, SOUTH, WEST, lattices, seeds, small_world, telling_points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.oracle import Fix
    from tests.oracle.stays import Stay
    from tests.strategies import Shape

ANY_SPEED = Policies(policies=(replace(Policy(), jump_speed_mps=1e12),))
"""No jumps: whoever compares tracks wants all of their fixes."""

FINE = 2.0**30
"""Units in a degree of the fine frame: some 0.1 mm each."""

MILLISECOND = 1000


class Frame(NamedTuple):
    """A plane of its own for shapes and tracks: shifted to a point nearby, then stretched by a power of two.

    Differences of doubles within a factor of two are exact, and so are these products: nothing is rounded.
    """

    lon: float
    lat: float
    scale: float = FINE

    def shape(self, shape: Shape) -> Shape:
        """A shape in this plane."""
        return shapely.transform(shape, self._move)

    def points(self, track: Sequence[Fix]) -> NDArray[np.object_]:
        """The fixes' points in this plane."""
        return np.asarray(shapely.points(self._move(np.array([fix[2:4] for fix in track]))))

    def _move(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.multiply(np.subtract(coordinates, (self.lon, self.lat)), self.scale, dtype=np.float64)


HERE = Frame(-1.125, 52.625)
DEGREES = Frame(0.0, 0.0, 1.0)


# Ours, and theirs.


def history_of(found: AreaSet) -> AreaHistory:
    """Areas in force from the beginning."""
    return AreaHistory([(BEGINNING, found)])


def alike(found: AreaSet) -> AreaSet:
    """Every area as a priority area, so that each counts by itself: a closed polygon."""
    return AreaSet.of(
        Area(Kind.PRIORITY, f"{area.kind} {area.area_id}", "", area.geometry) for area in found.areas()
    )


def tiles(tracks: Mapping[str, Sequence[Fix]], history: AreaHistory) -> dict[str, list[Stay]]:
    """Our stays of each track."""
    fixes = fix_columns([(name, *fix[1:]) for name, track in tracks.items() for fix in track])
    found = stays(fixes, history, ANY_SPEED)
    table: dict[str, list[Stay]] = {name: [] for name in tracks}
    for device, start, end, place in zip(
        *(column.tolist() for column in (found.device, found.start, found.end, found.place)), strict=True
    ):
        where = None if place == UNKNOWN else oracle.Place(*history.places[place][:3])
        table[fixes.device_ids[device]].append((start, end, where))
    return table


def inside(tiling: Sequence[Stay]) -> dict[str, int]:
    """Microseconds in each priority area."""
    total: dict[str, int] = defaultdict(int)
    for start, end, place in tiling:
        for area_id in () if place is None else place.priorities:
            total[area_id] += end - start
    return total


@pytest.fixture(scope="module")
def meos() -> Any:
    """The library behind MobilityDB, through PyMEOS.

    It is not finalised: MEOS 1.3 kills a process that begins with it a second time after that.
    """
    pymeos: Any = importlib.import_module("pymeos")
    pymeos.pymeos_initialize()
    return pymeos


def by_meos(meos: Any, track: Sequence[Fix], shape: Shape, frame: Frame = HERE) -> int:
    """Microseconds of a track, linearly interpolated, within a closed polygon."""
    moments = [EPOCH + timedelta(microseconds=fix[1]) for fix in track]
    instants = [
        meos.TGeomPointInst(point=at, timestamp=moment)
        for at, moment in zip(frame.points(track), moments, strict=True)
    ]
    sequence = meos.TGeomPointSeq(instant_list=instants, lower_inc=True, upper_inc=True, normalize=False)
    found = sequence.at(frame.shape(shape))
    return 0 if found is None else int(found.duration() / timedelta(microseconds=1))


def by_moving_pandas(track: Sequence[Fix], shape: Shape, frame: Frame = HERE) -> int:
    """Microseconds of a track clipped by a polygon."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what pandas will no longer do, and of extras not installed
        movingpandas: Any = importlib.import_module("movingpandas")
        rows = geopandas.GeoDataFrame(
            {"id": ["x"] * len(track)},
            geometry=frame.points(track),
            index=pandas.to_datetime([fix[1] for fix in track], unit="us"),
            crs=27700,  # a plane; which one does not matter
        )
        parts = movingpandas.Trajectory(rows, "x", traj_id_col="id").clip(frame.shape(shape)).trajectories
        return sum(round(part.get_duration().total_seconds() * SECOND) for part in parts)


# Tracks.


@st.composite
def grid_tracks(draw: st.DrawFn, grid: Grid) -> list[Fix]:
    """Fixes on and about the lines of a grid, at most 300 s apart; some rest, some hardly move."""
    gap = st.one_of(st.sampled_from([1, 7, 300 * SECOND, 30 * SECOND]), st.integers(1, 300 * SECOND))
    time, (x, y) = 1_795_420_800_000_000, draw(spots())
    track: list[Fix] = []
    for move in draw(st.lists(st.sampled_from(("go", "rest", "nudge")), min_size=2, max_size=12)):
        if move == "go":
            x, y = draw(spots())
        elif move == "nudge":
            x, y = x + draw(st.integers(-6, 6)) / 16, y + draw(st.integers(-6, 6)) / 16
        track.append(("R1", time, *grid.at(x, y), 10.0))
        time += draw(gap)
    return track


def wandering(points: NDArray[np.float64], seed: int) -> list[Fix]:
    """A track through points, with at most 300 s between them."""
    rng = np.random.default_rng(seed)
    times = 1_795_420_800_000_000 + np.cumsum(rng.integers(1, 300 * SECOND, len(points)))
    return [("R1", t, x, y, None) for t, (x, y) in zip(times.tolist(), points.tolist(), strict=True)]


def nearby(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those points of some that a patrol might be at."""
    middle = np.array([WEST + SIZE / 2, SOUTH + SIZE / 2])
    return points.compress(np.abs(points - middle).max(axis=1) < 4 * SIZE, axis=0)


# Walking.


def cut(tiling: Sequence[Stay], start: int, end: int) -> list[Stay]:
    """A tiling within bounds."""
    return [(max(s, start), min(e, end), place) for s, e, place in tiling if s < end and e > start]


def assert_walked(track: Sequence[Fix], found: AreaSet, ours: Sequence[Stay]) -> None:
    """Leg by leg, walking and our stays differ by no more than a microsecond or two a border."""
    ground = Ground(
        [
            (str(kind), name, g)
            for kind, name, g in zip(found.kind, found.area_id, found.geometry, strict=True)
        ]
    )
    for a, b in pairwise(track):
        mine = cut(ours, a[1], b[1])
        theirs = walk(a, b, ground, look=[(start + end) // 2 for start, end, _ in mine])
        assert disagreement(mine, theirs) <= 2 * (len(mine) + len(theirs) - 2) + 1, (a, b, mine, theirs)


@many(25)
@given(found=st.sampled_from((BINARY, DECIMAL)).flatmap(lambda g: st.tuples(areas(g), grid_tracks(g))))
def test_stays_are_what_walking_finds_on_a_grid(found: tuple[Any, list[Fix]]) -> None:
    """Over shared edges, holes and vertices, on lines and through vertices: stays are those of walking."""
    rows, track = found
    world = AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in rows)
    assert_walked(track, world, tiles({"R1": track}, history_of(world))["R1"])


@many(6)
@given(seed=seeds, snap=lattices)
def test_stays_are_what_walking_finds_on_tessellations(seed: int, snap: float) -> None:
    """Over stripes, discs with holes and multi-part areas, from and to a hair beside edges: likewise."""
    world = small_world(seed, snap=snap)
    track = wandering(nearby(telling_points(world, seed, 10)), seed)
    assert_walked(track, world, tiles({"R1": track}, history_of(world))["R1"])


@pytest.mark.shared
def test_stays_of_real_tracks_are_what_walking_finds(shared_data: Path) -> None:
    """Real buses and couriers over the real wards, priority areas and premises: likewise."""
    world = wards()
    history = history_of(world)
    rng = np.random.default_rng(4)
    for tracks in (buses(shared_data), couriers(shared_data)):
        names = sorted(tracks)
        picked = {
            names[at]: tracks[names[at]][:30] for at in rng.choice(len(names), 3, replace=False).tolist()
        }
        for name, tiling in tiles(picked, history).items():
            assert_walked(picked[name], world, tiling)


# MEOS.


@many(40)
@given(found=st.sampled_from((BINARY, DECIMAL)).flatmap(lambda g: st.tuples(areas(g), grid_tracks(g))))
def test_time_inside_equals_meos_on_a_grid(meos: Any, found: tuple[Any, list[Fix]]) -> None:
    """Time within each polygon of a grid, also along edges, is that of MEOS within 1 ms a track."""
    rows, track = found
    world = alike(AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in rows))
    ours = inside(tiles({"R1": track}, history_of(world))["R1"])
    for area_id, shape in zip(world.area_id, world.geometry, strict=True):
        theirs = sum(by_meos(meos, leg, shape) for leg in pairwise(track))
        assert abs(theirs - ours[area_id]) <= MILLISECOND, area_id


@many(40)
@given(seed=seeds, snap=lattices)
def test_time_inside_equals_meos_on_tessellations(meos: Any, seed: int, snap: float) -> None:
    """Random tracks over stripes, holes, discs and multi-part areas: MEOS's time within 1 ms a track."""
    world = alike(small_world(seed, snap=snap))
    points = np.random.default_rng(seed).uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE), (40, 2))
    track = wandering(points, seed)
    ours = inside(tiles({"R1": track}, history_of(world))["R1"])
    for area_id, shape in zip(world.area_id, world.geometry, strict=True):
        assert abs(by_meos(meos, track, shape) - ours[area_id]) <= MILLISECOND, area_id


def test_time_inside_slivers_equals_meos(meos: Any) -> None:
    """Stripes side by side, each half as wide as the last, down to a tenth of a millimetre: MEOS's time."""
    west, width = -1.125, 2.0**-10
    stripes = []
    for number in range(21):
        stripes.append(
            Area(Kind.PRIORITY, f"P{number:02}", "", shapely.box(west, 52.625, west + width, 52.75))
        )
        west, width = west + width, width / 2
    world = AreaSet.of(stripes)
    there, back = -1.1265, -1.1225
    track: list[Fix] = [
        ("R1", at * 240 * SECOND, back if at % 2 else there, 52.63 + 0.0071 * (at * at % 13), None)
        for at in range(14)
    ]
    ours = inside(tiles({"R1": track}, history_of(world))["R1"])
    for area_id, shape in zip(world.area_id, world.geometry, strict=True):
        assert ours[area_id] > 0
        assert abs(by_meos(meos, track, shape) - ours[area_id]) <= MILLISECOND, area_id


@many(20)
@given(seed=seeds, snap=lattices)
def test_where_meos_differs_fractions_side_with_us(meos: Any, seed: int, snap: float) -> None:
    """On legs that touch edges or run a hair beside them MEOS is within 1 ms of us, or wrong."""
    world = alike(small_world(seed, snap=snap))
    track = wandering(nearby(telling_points(world, seed, 30)), seed)
    tiling = tiles({"R1": track}, history_of(world))["R1"]
    for a, b in pairwise(track):
        ours = inside(cut(tiling, a[1], b[1]))
        for area_id, shape in zip(world.area_id, world.geometry, strict=True):
            if abs(by_meos(meos, (a, b), shape) - ours[area_id]) > MILLISECOND:
                exact = inside(
                    oracle.stays([a, b], [(None, [("priority", area_id, shape)])], jump_mps=1e12)["R1"]
                )
                assert abs(exact[area_id] - ours[area_id]) <= 4
                # And only where a piece is as good as on the edge all along: beside it by less than 1e-12°.
                way = shapely.linestrings(np.linspace(a[2:4], b[2:4], 1025))
                beside = shapely.distance(
                    shapely.boundary(shape), shapely.points(shapely.get_coordinates(way))
                )
                assert np.count_nonzero(beside < 1e-12) > 1


@pytest.mark.shared
@pytest.mark.parametrize("source", [buses, couriers])
def test_time_inside_real_areas_equals_meos(meos: Any, shared_data: Path, source: Any) -> None:
    """Real tracks in real wards, priority areas and premises: the time inside is that of MEOS within 1 ms."""
    tracks: dict[str, list[Fix]] = source(shared_data)
    world = alike(wards())
    tree = shapely.STRtree(world.geometry)
    compared = 0
    for name, tiling in tiles(tracks, history_of(world)).items():
        ours = inside(tiling)
        line = shapely.LineString([fix[2:4] for fix in tracks[name]])
        met = tree.query(line, predicate="intersects").tolist()
        assert {world.area_id[at] for at in met} >= set(ours)
        for at in met:
            theirs = by_meos(meos, tracks[name], world.geometry[at])
            assert abs(theirs - ours[world.area_id[at]]) <= MILLISECOND, (name, world.area_id[at])
            compared += 1
    assert compared > 100


@pytest.mark.shared
def test_in_plain_degrees_meos_loses_those_who_hardly_move(meos: Any, shared_data: Path) -> None:
    """Why the comparison is made in fine units: in degrees MEOS loses slow legs, never finds more than we."""
    tracks = couriers(shared_data)
    world = alike(AreaSet.of(area for area in wards().areas() if area.area_id == "E05001784"))
    lost = []
    for name, tiling in tiles(tracks, history_of(world)).items():
        theirs = by_meos(meos, tracks[name], world.geometry[0], DEGREES)
        lost.append(inside(tiling)[world.area_id[0]] - theirs)
    assert max(lost) > 60 * SECOND
    assert min(lost) > -MILLISECOND


# Rule 5 on shared edges, with MEOS doing the sums.


@many(30)
@given(found=areas(BINARY).flatmap(lambda rows: st.tuples(st.just(rows), grid_tracks(BINARY))))
def test_ties_go_to_the_smallest_id_as_meos_adds_them_up(meos: Any, found: tuple[Any, list[Fix]]) -> None:
    """A neighbourhood gets MEOS's time inside it less the time inside any with a smaller id (rule 5)."""
    rows, track = found
    world = AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in rows)
    ours: dict[str | None, int] = defaultdict(int)
    for start, end, place in tiles({"R1": track}, history_of(world))["R1"]:
        ours[place.neighbourhood if place else None] += end - start
    before: list[Shape] = []
    taken = 0
    for area in world.only(Kind.NEIGHBOURHOOD).areas():
        before.append(area.geometry)
        # Time in any of the first so many: closed sets, so their union is closed as well.
        ground = shapely.union_all([HERE.shape(shape) for shape in before])
        plain = shapely.transform(ground, lambda c: c / HERE.scale + (HERE.lon, HERE.lat))
        together = sum(by_meos(meos, leg, plain) for leg in pairwise(track))
        assert abs(together - taken - ours[area.area_id]) <= MILLISECOND, area.area_id
        taken = together


@pytest.mark.parametrize(("west", "east"), [("A", "B"), ("B", "A"), ("N10", "N2"), ("N2", "N10")])
def test_time_along_a_shared_edge_belongs_to_the_smallest_id(west: str, east: str) -> None:
    """On the edge that two neighbourhoods share a device is in the one with the smaller id (rule 5)."""
    lon, lat = -1.125, 52.625
    world = AreaSet.of(
        [
            Area(Kind.NEIGHBOURHOOD, west, "", shapely.box(lon - 0.125, lat, lon, lat + 0.125)),
            Area(Kind.NEIGHBOURHOOD, east, "", shapely.box(lon, lat, lon + 0.125, lat + 0.125)),
        ]
    )
    track: list[Fix] = [
        ("R1", 0, lon, lat + 0.0625, None),  # on the edge
        ("R1", 60 * SECOND, lon, lat + 0.03125, None),  # along it
        ("R1", 120 * SECOND, lon, lat + 0.03125, None),  # at rest on it
        ("R1", 180 * SECOND, lon, lat, None),  # to the vertex below
        ("R1", 240 * SECOND, lon - 0.03125, lat, None),  # west along the bottom
        ("R1", 300 * SECOND, lon + 0.03125, lat, None),  # and east, through the vertex again
    ]
    ours = tiles({"R1": track}, history_of(world))["R1"]
    times: dict[str | None, int] = defaultdict(int)
    for start, end, place in ours:
        times[place.neighbourhood if place else None] += end - start
    first = min(west, east)
    assert times[first] == (180 + 0) * SECOND + (90 if first == west else 30) * SECOND
    assert sum(times.values()) == 300 * SECOND
    assert None not in times


# MovingPandas.


@many(2)
@given(seed=seeds, snap=lattices)
def test_time_inside_equals_moving_pandas_on_tessellations(seed: int, snap: float) -> None:
    """Random tracks clipped by MovingPandas last as long as ours, within 10 ms a fix and crossing."""
    world = alike(small_world(seed, snap=snap))
    points = np.random.default_rng(seed).uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE), (12, 2))
    track = wandering(np.concatenate([points[:6], points[5:]]), seed)  # one rest
    tiling = tiles({"R1": track}, history_of(world))["R1"]
    ours = inside(tiling)
    for area_id, shape in zip(world.area_id, world.geometry, strict=True):
        assert abs(by_moving_pandas(track, shape) - ours[area_id]) <= 10 * MILLISECOND * len(tiling), area_id


@pytest.mark.shared
@pytest.mark.parametrize("source", [buses, couriers])
def test_time_inside_real_areas_equals_moving_pandas(shared_data: Path, source: Any) -> None:
    """Real tracks clipped by MovingPandas to real areas last as long as ours, within 10 ms a crossing."""
    tracks: dict[str, list[Fix]] = source(shared_data)
    world = alike(wards())
    tree = shapely.STRtree(world.geometry)
    names = sorted(tracks)
    picked = {
        names[at]: tracks[names[at]]
        for at in np.random.default_rng(3).choice(len(names), 3, replace=False).tolist()
    }
    for name, tiling in tiles(picked, history_of(world)).items():
        ours = inside(tiling)
        line = shapely.LineString([fix[2:4] for fix in picked[name]])
        for at in tree.query(line, predicate="intersects").tolist()[:5]:
            theirs = by_moving_pandas(picked[name], world.geometry[at])
            assert abs(theirs - ours[world.area_id[at]]) <= 10 * MILLISECOND * len(tiling), (name, at)
