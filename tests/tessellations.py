"""Made-up areas for tests and measurements of places: tessellations with everything that boundaries can do.

Faces are cut from one network of lines, so that neighbours share their edges bit by bit. Seeds are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.places import Place

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEST, SOUTH = -1.15, 52.60
"""South-western vertex of the small tessellations."""

SIZE = 1.0 / 32.0
"""Width and height of the small tessellations, degrees."""


def faces(seed: int, count: int, *, snap: float = 0.0) -> NDArray[np.object_]:
    """About ``count`` Voronoi cells in a box of ``SIZE`` degrees; ``snap`` moves vertices onto a lattice."""
    rng = np.random.default_rng(seed)
    seeds = shapely.multipoints(rng.uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE), (count, 2)))
    box = shapely.box(WEST, SOUTH, WEST + SIZE, SOUTH + SIZE)
    lines = shapely.intersection(shapely.voronoi_polygons(seeds, only_edges=True, extend_to=box), box)
    network = shapely.union_all([lines, box.exterior])
    if snap:
        network = shapely.set_precision(network, snap)
    return np.array([face for face in shapely.polygonize([network]).geoms if face.area > 0], dtype=object)


def small_world(seed: int, *, snap: float = 0.0) -> AreaSet:
    """Areas of all kinds: multiparts, holes, islands, stripes, overlaps, shared edges, equal areas."""
    rng = np.random.default_rng(seed)
    cells = faces(seed, int(rng.integers(2, 12)), snap=snap)
    areas: list[Area] = []

    def add(kind: Kind, geometry: Any) -> None:
        if snap:
            geometry = shapely.set_precision(geometry, snap)
        if geometry.geom_type in {"Polygon", "MultiPolygon"} and geometry.area > 0 and geometry.is_valid:
            # Ids in an order of their own, and such that their order as text is not that of numbers.
            areas.append(Area(kind, f"{kind[:2]}{rng.integers(1, 30)}.{len(areas)}", "", geometry))

    group = rng.integers(0, max(2, len(cells) // 2), len(cells))  # 0: no neighbourhood there
    for number in range(1, int(group.max()) + 1):
        if (group == number).any():
            add(Kind.NEIGHBOURHOOD, shapely.union_all(cells[group == number]))
    for stripe in range(int(rng.integers(0, 4))):
        west = WEST + SIZE * (0.5 + stripe / 8)
        add(Kind.NEIGHBOURHOOD, shapely.box(west, SOUTH, west + SIZE / 8, SOUTH + SIZE * 0.75))
    for kind, most in ((Kind.PREMISES, 3), (Kind.PRIORITY, 5)):
        for _ in range(int(rng.integers(0, most + 1))):
            middle = rng.uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE))
            disc = shapely.Point(middle).buffer(
                rng.uniform(0.02, 0.3) * SIZE, quad_segs=int(rng.integers(1, 4))
            )
            hole = disc.buffer(-0.3 * SIZE * rng.uniform(0.01, 0.5))
            box = shapely.box(*np.round(np.array([*middle, *(middle + SIZE * rng.uniform(0.05, 0.2, 2))]), 3))
            add(kind, [disc, disc.difference(hole), box, cells[rng.integers(len(cells))]][rng.integers(4)])
    return AreaSet.of(areas)


def telling_points(areas: AreaSet, seed: int, count: int) -> NDArray[np.float64]:
    """``float64[count, 2]``: at random, on vertices, on edges, beside them, level with vertices, far out."""
    rng = np.random.default_rng(seed)
    vertex = shapely.get_coordinates(areas.geometry)
    if not len(vertex):
        vertex = np.array([[WEST, SOUTH], [WEST + SIZE, SOUTH + SIZE]])
    at = rng.integers(0, len(vertex) - 1, count)
    way = rng.choice([0.0, 0.5, 0.25, 1.0, 2.0, -1.0, 0.3], count)[:, None]
    on_line = vertex[at] + way * (vertex[at + 1] - vertex[at])
    random = rng.uniform((WEST, SOUTH), (WEST + SIZE, SOUTH + SIZE), (count, 2)) + rng.normal(
        0, 0.001, (count, 2)
    )
    kinds = [
        random,
        vertex[at],
        on_line,
        np.nextafter(on_line, rng.choice([-np.inf, np.inf], (count, 2))),
        on_line + rng.normal(0, 1e-12, (count, 2)),
        np.where([True, False], random, vertex[at]),
        np.where([False, True], random, vertex[at]),
        WEST + SIZE * rng.normal(0, 30, (count, 2)),
    ]
    return np.choose(rng.integers(0, len(kinds), count)[:, None], kinds)


def wiggly_world(seed: int, areas: int, vertices: int, *, priorities: int = 0) -> AreaSet:
    """A tessellation of a force's size: some ``areas`` neighbourhoods, some ``vertices`` vertices in all."""
    rng = np.random.default_rng(seed)
    west, south, east, north = -1.5975, 52.3922, -0.4284, 52.9777
    box = shapely.box(west, south, east, north)
    seeds = shapely.multipoints(rng.uniform((west, south), (east, north), (areas, 2)))
    network = shapely.intersection(shapely.voronoi_polygons(seeds, only_edges=True, extend_to=box), box)
    lines = shapely.get_parts(shapely.line_merge(shapely.union_all([network, box.exterior])))
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(lines, at)) for at in (0, -1)], axis=1)
    path = ends.reshape(-1, 2, 2)
    # Every line is a side of two areas: halve until there are enough vertices, each time with less of a kink.
    while 2 * len(path) * (path.shape[1] - 1) < vertices / 1.5:
        here, there = path[:, :-1], path[:, 1:]
        kink = np.stack([here[..., 1] - there[..., 1], there[..., 0] - here[..., 0]], axis=-1)
        between = (here + there) / 2 + kink * rng.uniform(-0.2, 0.2, (*kink.shape[:2], 1))
        longer = np.empty((len(path), 2 * path.shape[1] - 1, 2))
        longer[:, ::2], longer[:, 1::2] = path, np.clip(between, (west, south), (east, north))
        path = np.round(longer, 7)
    cells = shapely.polygonize([shapely.union_all(shapely.linestrings(path))]).geoms
    rows = [Area(Kind.NEIGHBOURHOOD, f"N{at:05}", "", cell) for at, cell in enumerate(cells)]
    middle = rng.uniform((west, south), (east, north), (priorities, 2))
    rows += [
        Area(Kind.PRIORITY, f"P{at:05}", "", disc)
        for at, disc in enumerate(
            shapely.buffer(shapely.points(middle), rng.uniform(0.002, 0.01, priorities))
        )
    ]
    return AreaSet.of(rows)


seeds = st.integers(0, 2**32 - 1)
lattices = st.sampled_from([0.0, SIZE / 64, 1e-7])
cell_sizes = st.sampled_from([20.0, 100.0, 700.0, 1e5])


def square(
    area_id: str, west: float, south: float, size: float = 0.01, kind: Kind = Kind.NEIGHBOURHOOD
) -> Area:
    """An area with sides along the meridians."""
    return Area(kind, area_id, area_id, shapely.box(west, south, west + size, south + size))


def places_by_comparison(areas: AreaSet, points: NDArray[np.float64]) -> list[Place]:
    """Rule 5 word by word: each point is compared with each area."""
    points_ = shapely.points(points)
    covered: dict[Kind, list[tuple[str, NDArray[np.bool_]]]] = {kind: [] for kind in Kind}
    for area in areas.areas():
        covered[area.kind].append((area.area_id, shapely.covers(area.geometry, points_)))
    found = []
    for at in range(len(points)):
        ids = {kind: sorted(name for name, covers in covered[kind] if covers[at]) for kind in Kind}
        hoods, sites = ids[Kind.NEIGHBOURHOOD], ids[Kind.PREMISES]
        found.append(
            Place(hoods[0] if hoods else None, sites[0] if sites else None, tuple(ids[Kind.PRIORITY]))
        )
    return found
