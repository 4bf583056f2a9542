"""How fast places are found, beside the usual ways, on one core: ``python -m tests.bench.bench_places``.

On the real wards where ``../shared/data`` is there, else on a made-up tessellation of like size.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import shapely

from geo.areas import AreaSet, Kind
from geo.matching.places import PlaceIndex
from tests.bench import Row, show
from tests.real import DATA, wards
from tests.tessellations import wiggly_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_POINTS = 2_000_000
_COMPARED = 100_000
_ROUNDS = 5


def _best(work: Callable[[], Any], rounds: int = _ROUNDS) -> tuple[float, Any]:
    """The shortest of several times on the processor, in seconds, and the last result.

    Not by the clock on the wall: others may be using the machine, and everything here runs on one core.
    """
    times = []
    result = None
    for _ in range(rounds):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def _world() -> tuple[str, AreaSet]:
    """Areas of a force's size: 171 neighbourhoods with 17,000 vertices, and some of the other kinds."""
    if DATA.is_dir():
        return "wards", wards()
    return "made-up wards", wiggly_world(1, 171, 17_000, priorities=40)


def _points(areas: AreaSet, count: int) -> NDArray[np.float64]:
    """``float64[2, count]``, even over the areas' extent, rounded as trackers do."""
    west, south, east, north = shapely.total_bounds(areas.geometry)
    points = np.random.default_rng(1).uniform((west, south), (east, north), (count, 2))
    return np.ascontiguousarray(np.round(points, 7).T)


def _legs(areas: AreaSet, count: int) -> NDArray[np.float64]:
    """``float64[4, count]``: reports 5 s apart of officers on foot (7 m) and in cars (65 m)."""
    rng = np.random.default_rng(2)
    start = _points(areas, count)
    heading = rng.uniform(0.0, 2 * np.pi, count)
    metres = rng.choice([7.0, 65.0], count)
    step = np.stack([np.sin(heading) * metres / 67_400.0, np.cos(heading) * metres / 111_200.0])
    return np.concatenate([start, start + step])


def _first_neighbourhoods(points: NDArray[np.intp], areas: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Rule 5 on pairs of a point and an area: the smallest, or -1."""
    found = np.full(count, np.iinfo(np.intp).max)
    np.minimum.at(found, points, areas)
    found[found == np.iinfo(np.intp).max] = -1
    return found


def _matching(name: str, areas: AreaSet) -> list[Row]:
    """Points to neighbourhoods: the index, an STRtree query and a spatial join; and whether they agree."""
    hoods = areas.only(Kind.NEIGHBOURHOOD)
    all_kinds, index = PlaceIndex(areas), PlaceIndex(hoods)
    lon, lat = _points(areas, _POINTS)
    few = slice(0, _COMPARED)
    seconds, _ = _best(lambda: all_kinds.locate(lon, lat))
    rate = _POINTS / seconds
    seconds, numbers = _best(lambda: index.locate(lon, lat))
    rate_hoods = _POINTS / seconds

    tree = shapely.STRtree(hoods.geometry)
    points = shapely.points(lon[few], lat[few])
    seconds, pairs = _best(lambda: tree.query(points, predicate="intersects"), 2)
    rate_tree = _COMPARED / seconds
    frame = geopandas.GeoDataFrame(geometry=hoods.geometry, crs=4326)
    left = geopandas.GeoDataFrame(geometry=points, crs=4326)
    seconds, joined = _best(lambda: geopandas.sjoin(left, frame, predicate="intersects"), 2)
    rate_join = _COMPARED / seconds

    by_tree = _first_neighbourhoods(pairs[0], pairs[1], _COMPARED)
    by_join = _first_neighbourhoods(joined.index.to_numpy(), joined["index_right"].to_numpy(), _COMPARED)
    row = {area_id: at for at, area_id in enumerate(hoods.area_id)}
    area = np.array([row.get(place.neighbourhood or "", -1) for place in index.places])
    equal = np.array_equal(area[numbers[few]], by_tree) and np.array_equal(by_tree, by_join)
    size = f"{name}: {len(areas)} areas, {shapely.get_num_coordinates(areas.geometry).sum():,} vertices"
    return [
        Row("PlaceIndex.locate", rate / 1e6, "M points/s", f"{size}, all kinds"),
        Row("PlaceIndex.locate, neighbourhoods", rate_hoods / 1e6, "M points/s", f"{len(hoods)} areas"),
        Row(
            "STRtree.query(intersects)",
            rate_tree / 1e6,
            "M points/s",
            f"{rate_hoods / rate_tree:.0f} × slower",
        ),
        Row("geopandas.sjoin", rate_join / 1e6, "M points/s", f"{rate_hoods / rate_join:.0f} × slower"),
        Row("answers equal", float(equal), "", "yes" if equal else "no"),
    ]


def _index(name: str, areas: AreaSet) -> list[Row]:
    """Building, memory, points and legs."""
    vertices = int(shapely.get_num_coordinates(areas.geometry).sum())
    build, index = _best(lambda: PlaceIndex(areas), 3)
    lon, lat = _points(areas, _POINTS)
    locate, _ = _best(lambda: index.locate(lon, lat))
    legs = _legs(areas, _POINTS // 2)
    places = index.locate(*legs[:2]), index.locate(*legs[2:])
    x0, y0, x1, y1 = legs
    cross, pieces = _best(lambda: index.crossings(x0, y0, x1, y1, place0=places[0], place1=places[1]))
    alone, _ = _best(lambda: index.crossings(x0, y0, x1, y1), 3)
    legs_count = len(x0)
    return [
        Row(f"build, {name}", build, "s", f"{len(areas):,} areas, {vertices:,} vertices"),
        Row(f"memory, {name}", index.nbytes / 1e6, "MB", f"{index.cells.code.size:,} cells"),
        Row(f"locate, {name}", _POINTS / locate / 1e6, "M points/s"),
        Row(
            f"crossings, {name}",
            legs_count / cross / 1e6,
            "M legs/s",
            f"5 s apart, ends located before; {len(pieces) - legs_count:,} cuts in {legs_count:,} legs",
        ),
        Row(f"crossings, {name}, ends not located", legs_count / alone / 1e6, "M legs/s"),
    ]


def run() -> list[Row]:
    """All rows."""
    name, areas = _world()
    large = wiggly_world(1, 2900, 300_000, priorities=40)
    return [*_matching(name, areas), *_index(name, areas), *_index(f"{len(large):,} areas", large)]


if __name__ == "__main__":
    print(show(run()))
