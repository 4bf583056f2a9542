"""Shapes of a boundary file: coordinate systems, shared vertices, repair of invalid polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.boundaries.crs import (
    Crs,
    CrsError,
    advice,
    area_m2,
    crs_of,
    looks_like,
    refuse_contradiction,
    to_wgs84,
)
from geo.boundaries.layer import AreaFileError, RawLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def system_of(raw: RawLayer, crs: str | None = None) -> Crs:
    """The reference system of a layer's numbers: the option's, else the file's; never guessed.

    Raises:
        AreaFileError: neither names one, or the numbers cannot be in it.
    """
    west, south, east, north = (float(value) for value in shapely.total_bounds(raw.geometry))
    bounds = (west, south, east, north)
    named = crs if crs is not None else raw.crs
    if named is None:
        raise AreaFileError(f"{raw.source}: names no coordinate system; {advice(looks_like(bounds))}")
    try:
        system = crs_of(named)
        refuse_contradiction(system, bounds)
    except CrsError as error:
        raise AreaFileError(f"{raw.source}: {error}") from error
    return system


def locate(raw: RawLayer, crs: str | None = None) -> NDArray[np.object_]:
    """A layer's shapes in WGS84 degrees, ``object[n]``, 2D, None where the file has none.

    Raises:
        AreaFileError: nothing usable tells where on earth they are.
    """
    system = system_of(raw, crs)
    # A straight line on a map's plane is not straight in degrees: over 2 km it bends by 10 cm.
    shapes = raw.geometry if system.system.is_geographic else with_shared_vertices(raw.geometry)
    try:
        return to_wgs84(shapes, system)
    except CrsError as error:
        raise AreaFileError(f"{raw.source}: {error}") from error


_VERTICES_AT_ONCE = 10_000


def with_shared_vertices(geometry: NDArray[np.object_], within: float = 0.001) -> NDArray[np.object_]:
    """Give edges the vertices of other areas that lie on them, so that areas that fit together keep fitting.

    Args:
        geometry: ``object[n]`` of shapely geometries or None; what is no valid polygon is left as it is.
        within: how near a vertex must lie to an edge to be on it, in the units of the coordinates.

    Returns:
        ``object[n]``; the very array given where every vertex is shared already.
    """
    plain = np.isin(
        shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    )
    rows = np.flatnonzero(plain & shapely.is_valid(geometry) & ~shapely.is_empty(geometry))
    parts, row_of_part = shapely.get_parts(geometry[rows], return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    xy, ring_of_vertex = shapely.get_coordinates(rings, return_index=True)
    starts = np.flatnonzero(ring_of_vertex[1:] == ring_of_vertex[:-1])
    vertices = np.unique(xy, axis=0)
    edges = shapely.linestrings(np.stack((xy[starts], xy[starts + 1]), axis=1))
    tree, found, pairs = shapely.STRtree(edges), [], 0
    for at in range(0, len(vertices), _VERTICES_AT_ONCE):
        near = tree.query(
            shapely.points(vertices[at : at + _VERTICES_AT_ONCE]), predicate="dwithin", distance=within
        )
        found.append(near + np.array([[at], [0]]))
        pairs += near.shape[1]
        if pairs > 100 * (len(vertices) + _VERTICES_AT_ONCE):
            return geometry  # areas duplicated on top of each other: the checks report it
    vertex, edge = np.concatenate(found, axis=1) if found else np.empty((2, 0), dtype=np.int64)
    start, end, on = xy[starts[edge]], xy[starts[edge] + 1], vertices[vertex]
    inner = np.minimum(np.hypot(*(on - start).T), np.hypot(*(on - end).T)) > 2 * within
    if not inner.any():
        return geometry
    edge, on, start = edge[inner], on[inner], start[inner]
    order = np.lexsort((np.hypot(*(on - start).T), edge))
    places = starts[edge[order]] + 1
    xy = np.insert(xy, places, on[order], axis=0)
    ring_of_vertex = np.insert(ring_of_vertex, places, ring_of_vertex[places])
    polygons = shapely.polygons(shapely.linearrings(xy, indices=ring_of_vertex), indices=part_of_ring)
    made = np.array(geometry, dtype=object)
    several = shapely.get_type_id(geometry[rows]) == shapely.GeometryType.MULTIPOLYGON
    of_several = several[row_of_part]
    made[rows[~several]] = polygons[~of_several]
    number = np.cumsum(several) - 1  # of each row among those of several parts
    made[rows[several]] = shapely.multipolygons(polygons[of_several], indices=number[row_of_part[of_several]])
    return made


def mend(shape: Any) -> Any:
    """A usable polygon from a shape in WGS84 degrees, None where there is none in it.

    Rings that cross themselves are rebuilt, parts that lie on each other become one, holes stay holes; lines
    and points beside polygons are left out, a multipolygon of one part becomes that part.
    """
    if shape is None or shape.is_empty or not np.isfinite(shapely.get_coordinates(shape)).all():
        return None
    if not shape.is_valid:
        if tangled(shape):
            return None
        shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    if shape.geom_type == "GeometryCollection":
        parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
        shape = shapely.union_all(parts) if parts else None
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        return None
    return shape.geoms[0] if shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1 else shape


_TANGLE = 1_000  # crossings; what people draw has a few
_TANGLE_VERTICES = 1_000_000
_TANGLE_STEP = 5_000_000  # pairs looked at in one go, 80 MB
_TANGLE_PAIRS = 50_000_000  # pairs looked at in all


def tangled(shape: Any) -> bool:
    """Whether an invalid shape crosses itself so often that a repair would take unbounded memory.

    Mending needs memory by the crossings, and their number may grow with the square of the vertices: 20,000
    vertices at random have a hundred million. Counting stops as soon as there are too many, and looks at
    pairs of edges in pieces.
    """
    xy, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(shapely.get_parts([shape]))[_polygonal(shape)]), return_index=True
    )
    starts = np.flatnonzero(ring[1:] == ring[:-1])
    if len(starts) > _TANGLE_VERTICES:
        return True
    edges = shapely.linestrings(np.stack((xy[starts], xy[starts + 1]), axis=1))
    tree = shapely.STRtree(edges)
    most = min(4_096, _TANGLE_STEP // max(1, len(edges)))
    at, step, pairs, crossings = 0, 1, 0, 0
    while at < len(edges):
        one, other = tree.query(edges[at : at + step])
        one, other = one[one + at < other], other[one + at < other]
        pairs += len(one)
        crossings += int(shapely.crosses(edges[at + one], edges[other]).sum())
        if crossings > _TANGLE or pairs > _TANGLE_PAIRS:
            return True
        at, step = at + step, min(2 * step, most)
    return False


def _polygonal(shape: Any) -> NDArray[np.bool_]:
    parts = shapely.get_parts(shapely.get_parts([shape]))
    return np.asarray(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON, dtype=np.bool_)


def change_m2(shape: Any, mended: Any) -> float:
    """How much area a repair gained (or lost, negative) compared with what the rings enclose, m²."""
    return float(area_m2(mended)[0] - area_m2(shape)[0])
