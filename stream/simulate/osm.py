"""Streets from an OpenStreetMap extract, and a force invented over them where no areas are given.

GDAL reads the file; here its lines become a graph whose junctions are the vertices that lines share. One-way
streets are driven both ways, as the police may. Officers come in later rooms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.layer import AreaFileError, ReadingLimits
from geo.boundaries.reading import read_extract
from stream.simulate.plane import Plane
from stream.simulate.streets import Network, largest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MPS: Final = {
    "motorway": 29.0,
    "motorway_link": 18.0,
    "trunk": 23.0,
    "trunk_link": 15.0,
    "primary": 17.0,
    "primary_link": 12.0,
    "secondary": 15.0,
    "secondary_link": 12.0,
    "tertiary": 13.0,
    "tertiary_link": 10.0,
    "unclassified": 12.0,
    "residential": 9.0,
    "road": 9.0,
    "living_street": 5.0,
    "service": 5.0,
}
"""What cars drive on, metres a second; on no other kind of ``highway``."""
NOT_ON_FOOT: Final = {"motorway", "motorway_link", "trunk", "trunk_link"}
WALKED: Final = {"footway", "path", "pedestrian", "steps", "track", "bridleway", "cycleway", "corridor"}
"""What people walk on beside what cars drive on."""

_LATTICE = 1e7  # coordinates in the file have seven digits
_CALL_ALONG_M = 400.0  # a longer street without a junction gets a place to stop at
_NEIGHBOURHOODS, _PRIORITIES = 12, 14
_HOT_M = 75.0  # radius: 150 m across
_LARGE_M = 1_000.0
_LIMITS = ReadingLimits(features=1 << 30, vertices=1 << 32, seconds=3_600.0, memory_bytes=32 << 30)


class StreetsError(ValueError):
    """An extract cannot be used; says what to do, in one line."""


def read_streets(path: Path) -> Network:
    """Streets of an extract (``.osm.pbf``, ``.osm``): what hangs together by car, and on foot.

    Raises:
        StreetsError: no such file, no extract, or too few streets in it.
    """
    highway, shapes = _lines(path)
    mps = np.array([MPS.get(each, 0.0) for each in highway])
    walked = np.array([each in WALKED or (each in MPS and each not in NOT_ON_FOOT) for each in highway])
    used = (mps > 0) | walked
    if not (mps > 0).any():
        raise StreetsError(f"{path.name}: no street that cars drive on; give an extract with highways in it")
    mps, walked, shapes = mps[used], walked[used], shapes[used]

    coordinates, line = shapely.get_coordinates(shapes, return_index=True)
    lattice = np.rint(coordinates * _LATTICE).astype(np.int64)
    code, vertex = np.unique(lattice[:, 0] * (1 << 32) + lattice[:, 1], return_inverse=True)
    degrees = (
        np.column_stack(((code + (1 << 31)) >> 32, (code + (1 << 31)) % (1 << 32) - (1 << 31))) / _LATTICE
    )
    step = (line[1:] == line[:-1]) & (vertex[1:] != vertex[:-1])
    pieces = np.column_stack((vertex[:-1], vertex[1:]))[step]
    mps, walked = mps[line[:-1][step]], walked[line[:-1][step]]

    count = len(degrees)
    by_car = (mps > 0) & largest(count, pieces[mps > 0])[pieces[:, 0]]
    on_foot = walked & largest(count, pieces[walked])[pieces[:, 0]]
    kept = by_car | on_foot
    mps, walked = np.where(by_car, mps, 0.0), on_foot
    network = _contracted(degrees, pieces[kept], mps[kept], walked[kept])
    ends = [set(network.edges[open_].ravel().tolist()) for open_ in (network.mps > 0, network.walked)]
    if len(ends[0] & ends[1]) < 2:
        raise StreetsError(f"{path.name}: its streets do not hang together; give a larger extract")
    return network


def _lines(path: Path) -> tuple[list[str], NDArray[np.object_]]:
    """``(kind of highway, line)`` of all ways of an extract that have one."""
    if not path.is_file():
        raise StreetsError(f"{path}: there is no such file")
    try:
        found = read_extract(path, "lines", "highway", "highway IS NOT NULL", _LIMITS)
    except AreaFileError as error:
        raise StreetsError(
            f"{path.name}: not an OpenStreetMap extract; give an .osm.pbf or .osm file"
        ) from error
    if not len(found):
        raise StreetsError(f"{path.name}: no street in it; give an extract with highways")
    return [kind or "" for kind in found.values[0]], found.geometry


def _contracted(
    degrees: NDArray[np.float64],
    pieces: NDArray[np.int64],
    mps: NDArray[np.float64],
    walked: NDArray[np.bool_],
) -> Network:
    """Pieces put together into streets from junction to junction, the junctions numbered first."""
    metres = _metres(degrees, pieces)
    near: dict[int, list[int]] = {}
    for number, (one, other) in enumerate(pieces.tolist()):
        near.setdefault(one, []).append(number)
        near.setdefault(other, []).append(number)
    law = list(zip(mps.tolist(), walked.tolist(), strict=True))
    ends = pieces.tolist()
    junction = {node for node, some in near.items() if len(some) != 2 or law[some[0]] != law[some[1]]}
    done = np.zeros(len(pieces), np.bool_)
    chains: list[list[int]] = []
    first_piece: list[int] = []
    for start in sorted(junction):
        for piece in near[start]:
            if done[piece]:
                continue
            chain, at, along, gone = [start], start, piece, 0.0
            while True:
                done[along] = True
                one, other = ends[along]
                at = other if at == one else one
                chain.append(at)
                gone += metres[along]
                if at in junction or gone > _CALL_ALONG_M:
                    chains.append(chain)
                    first_piece.append(along)
                    if at in junction:
                        break
                    chain, gone = [at], 0.0
                two = near[at]
                along = two[0] if two[1] == along else two[1]
    # A circle without a junction hangs on nothing.
    crossings = np.unique([each for chain in chains for each in (chain[0], chain[-1])])
    between = np.unique([each for chain in chains for each in chain[1:-1]]).astype(np.int64)
    code = np.full(len(degrees), -1)
    code[between] = len(crossings) + np.arange(len(between))
    code[crossings] = np.arange(len(crossings))
    return Network(
        degrees=degrees[np.concatenate((crossings, between))],
        edges=code[np.array([(chain[0], chain[-1]) for chain in chains])],
        mps=mps[first_piece],
        walked=walked[first_piece],
        shapes=tuple(code[np.array(chain[1:-1], np.int64)] for chain in chains),
    )


def _metres(degrees: NDArray[np.float64], pieces: NDArray[np.int64]) -> list[float]:
    on = Plane.around(*shapely.total_bounds(shapely.points(degrees))).metres(degrees)
    found: list[float] = np.hypot(*(on[pieces[:, 0]] - on[pieces[:, 1]]).T).tolist()
    return found


def invent_force(network: Network, path: Path, seed: int) -> AreaSet:
    """A force over an extract: neighbourhoods around where streets are dense, priority areas, premises.

    Neighbourhoods are the cells of their middles and share their edges; they are named after the nearest town
    or village. Priority areas are 150 m across. There are a few stations, a custody suite and a court.

    Args:
        network: the streets.
        path: the extract again, for the names.
        seed: the same seed gives the same areas.
    """
    rng = np.random.default_rng((seed, 0x59))
    plane = Plane.around(*shapely.total_bounds(shapely.points(network.degrees)))
    crossings = np.unique(network.edges[(network.mps > 0) & network.walked])
    metres = plane.metres(network.degrees[crossings])
    middles = _dense(metres)
    cells = _cells(plane.metres(network.degrees), middles)
    names = _names(path, plane, middles)
    areas = [
        Area(Kind.NEIGHBOURHOOD, f"SN{number:02d}", name, shapely.transform(cell, plane.degrees))
        for number, (name, cell) in enumerate(zip(names, cells, strict=True), start=1)
    ]
    uses = ("police_station", "custody", "police_station", "court", "police_station")
    streets = shapely.STRtree(shapely.linestrings(plane.metres(network.degrees)[network.edges]))
    for number, use in enumerate(uses[: max(3, min(len(uses), len(middles)))], start=1):
        home = number - 1 if number <= len(middles) else 0
        centre = _beside(middles[home if use == "police_station" else 0], streets, rng)
        box = shapely.box(*(centre - 20.0), *(centre + 20.0))
        label = f"{names[home if use == 'police_station' else 0]} {use.replace('_', ' ')}"
        areas.append(
            Area(Kind.PREMISES, f"SP{number:02d}", label, shapely.transform(box, plane.degrees), {"use": use})
        )
    weight = np.exp(-_nearest(metres, middles) / 500.0)
    some = rng.choice(len(metres), min(_PRIORITIES, len(metres)), replace=False, p=weight / weight.sum())
    issues = (("anti-social behaviour", "Mon-Sun", "16:00-23:00"), ("retail theft", "Mon-Sat", "10:00-19:00"))
    for number, at in enumerate(some.tolist(), start=1):
        issue, days, hours = issues[number % 2]
        around = shapely.Point(metres[at]).buffer(_HOT_M, quad_segs=6)
        told = {"issue": issue, "days": days, "hours": hours}
        shape = shapely.transform(around, plane.degrees)
        areas.append(Area(Kind.PRIORITY, f"SA{number:02d}", f"Priority area {number} ({issue})", shape, told))
    return AreaSet.of(areas)


def _nearest(metres: NDArray[np.float64], middles: NDArray[np.float64]) -> NDArray[np.float64]:
    away = np.hypot(*(metres[:, None] - middles[None]).transpose(2, 0, 1))
    return np.asarray(away.min(axis=1))


def _dense(metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """``float64[h, 2]``: middles of the densest streets, apart from each other."""
    tree = shapely.STRtree(shapely.points(metres))
    of, _ = tree.query(shapely.points(metres), predicate="dwithin", distance=_LARGE_M)
    crowd = np.bincount(of, minlength=len(metres)).astype(np.float64)
    wide = np.ptp(metres, axis=0)
    apart = 0.7 * float(np.sqrt(wide[0] * wide[1] / _NEIGHBOURHOODS))
    chosen: list[int] = []
    free = np.ones(len(metres), np.bool_)
    while free.any() and len(chosen) < _NEIGHBOURHOODS:
        at = int(np.argmax(np.where(free, crowd, -1.0)))
        chosen.append(at)
        free &= np.hypot(*(metres - metres[at]).T) > apart
    return metres[chosen]


def _cells(metres: NDArray[np.float64], middles: NDArray[np.float64]) -> list[shapely.Polygon]:
    """The plane divided among middles, within the streets' hull; edges are drawn once and shared."""
    hull = shapely.convex_hull(shapely.MultiPoint(metres)).buffer(300.0, quad_segs=2)
    if len(middles) < 2:
        return [hull]
    edges = shapely.voronoi_polygons(
        shapely.MultiPoint(middles), extend_to=hull.buffer(10_000.0), only_edges=True
    )
    cells = shapely.get_parts(shapely.polygonize([shapely.union_all([hull.exterior, edges])]))
    cells = cells[shapely.contains_properly(hull.buffer(1.0), cells)]
    holds = shapely.contains(cells[None, :], shapely.points(middles)[:, None])
    return [cells[int(np.argmax(row))] for row in holds]


def _beside(
    middle: NDArray[np.float64], streets: shapely.STRtree, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Somewhere near a middle where a house has room between the streets."""
    best, room = middle, -1.0
    for _ in range(80):
        point = middle + rng.uniform(-400.0, 400.0, 2)
        (_, gap) = streets.query_nearest(shapely.Point(point), return_distance=True, all_matches=False)
        if gap[0] > 32.0:
            return np.asarray(point)
        if gap[0] > room:
            best, room = point, float(gap[0])
    return best


def _names(path: Path, plane: Plane, middles: NDArray[np.float64]) -> list[str]:
    """The nearest town or village of each middle, numbered where nobody has a name."""
    places = read_extract(path, "points", "name,place", "place IS NOT NULL AND name IS NOT NULL", _LIMITS)
    named: Sequence[str] = [
        name or "" if kind in {"city", "town", "suburb", "village", "neighbourhood"} else ""
        for name, kind in zip(
            *(places.values[places.columns.index(each)] for each in ("name", "place")), strict=True
        )
    ]
    known = np.array([bool(name) for name in named], np.bool_)
    if not known.any():
        return [f"Neighbourhood {number}" for number in range(1, len(middles) + 1)]
    where = plane.metres(shapely.get_coordinates(places.geometry)[known])
    names = [name for name in named if name]
    found: list[str] = []
    for number, middle in enumerate(middles, start=1):
        order = np.argsort(np.hypot(*(where - middle).T)).tolist()
        free = [names[at] for at in order[:5] if names[at] not in found]
        found.append(free[0] if free else f"Neighbourhood {number}")
    return found
