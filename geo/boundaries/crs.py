"""Coordinate reference systems: from any that a file names to WGS84 degrees and back, and true metres.

Pure functions over arrays: no files, no areas. British National Grid goes through OSTN15 with the package
``convertbng``, because a pip-installed pyproj carries no OSTN15 grid and would be 2 m off. Everything else
goes through pyproj. Nothing is guessed: :func:`looks_like` describes the numbers, and people decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyproj
import shapely
from convertbng.cutil import convert_bng, convert_lonlat
from pyproj.network import set_network_enabled  # type: ignore[attr-defined]

from geo.boundaries.references import is_code_or_wkt

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

set_network_enabled(active=False)  # whatever the environment says: grids are never fetched

WGS84 = "EPSG:4326"
"""Degrees, longitude before latitude: what every area is kept in. ETRS89 (EPSG:4258) counts as the same."""

BNG = "EPSG:27700"
"""British National Grid, metres east and north."""

REVERSED = ":yx"
"""Ending of a reference system's name: the numbers are the other way round."""

GREAT_BRITAIN = (-9.0, 49.0, 3.0, 62.0)
"""Degrees that enclose Great Britain and its islands: west, south, east, north."""

_ROUNDING_M = 0.0006  # convertbng rounds eastings and northings to the millimetre
_AIRY_M = 6_377_563.396
_WGS84_M = 6_378_137.0
_WGS84_E = 0.081_819_190_842_622


class CrsError(ValueError):
    """A reference system that is missing, unknown or at odds with the numbers; the text says what to do."""


class Look(StrEnum):
    """What coordinates look like, judged by their range alone."""

    LONLAT = "longitude and latitude in degrees"
    LATLON = "latitude and longitude in degrees, swapped"
    DEGREES = "degrees, but not in Great Britain"
    GRID = "British National Grid metres"
    MERCATOR = "Web Mercator metres"
    UTM = "UTM metres"
    UNKNOWN = "no recognisable coordinates"
    NOTHING = "no coordinates at all"


@dataclass(frozen=True, slots=True)
class Crs:
    """A reference system, as this program uses it.

    Attributes:
        name: how to name it to people, ``EPSG:…`` where it has a number.
        kind: ``wgs84`` (taken as it is), ``grid`` (OSTN15), ``osgb36`` (to the grid first) or ``other``.
        system: pyproj's view of it.
        reversed: whether the file's numbers are the other way round.
    """

    name: str
    kind: str
    system: pyproj.CRS
    reversed: bool = False


@lru_cache(maxsize=64)
def crs_of(text: str) -> Crs:
    """Understand a reference system: an authority's code or WKT; ``:yx`` after it where axes are swapped.

    PROJ strings are refused: they can name files and addresses, which PROJ would open.

    Raises:
        CrsError: it is neither, pyproj knows no such system, or it is not one for maps.
    """
    swapped = text.lower().endswith(REVERSED)
    plain = text[: -len(REVERSED)] if swapped else text
    try:
        system = pyproj.CRS.from_user_input(plain.strip()) if is_code_or_wkt(plain) else None
    except pyproj.exceptions.CRSError:
        system = None
    if system is None:
        shown = plain if len(plain) <= 60 else f"{plain[:57]}…"
        raise CrsError(f"{shown!r} is not a known coordinate system; name one by its number, as --crs {BNG}")
    if not (system.is_projected or system.is_geographic or system.is_compound or system.is_bound):
        raise CrsError(f"{system.name!r} has no place on the earth; name a real system, as --crs {BNG}")
    flat = system
    while flat.is_bound and flat.source_crs is not None:
        flat = flat.source_crs
    if flat.is_compound:
        flat = flat.sub_crs_list[0]
    number = flat.to_epsg(min_confidence=70)
    if number in (4326, 4258) or flat.to_authority() == ("OGC", "CRS84"):
        return Crs(WGS84 if number != 4258 else "EPSG:4258", "wgs84", flat, swapped)
    if number == 27700 or _is_grid(flat):
        return Crs(BNG, "grid", flat, swapped)
    return Crs(
        f"EPSG:{number}" if number else flat.name, "osgb36" if _on_osgb36(flat) else "other", flat, swapped
    )


def _is_grid(system: pyproj.CRS) -> bool:
    """Whether a projection is the National Grid under another name, as MapInfo and old ``.prj`` write it."""
    operation = system.coordinate_operation
    if not system.is_projected or operation is None or "transverse" not in operation.method_name.lower():
        return False
    if system.ellipsoid is None or abs(system.ellipsoid.semi_major_metre - _AIRY_M) > 0.01:
        return False
    values = [float(parameter.value) for parameter in operation.params]
    wanted = (-100_000.0, -2.0, 0.9996012717, 49.0, 400_000.0)
    in_metres = {axis.unit_name for axis in system.axis_info} <= {"metre"}
    return in_metres and all(
        any(math.isclose(value, want, rel_tol=1e-9) for value in values) for want in wanted
    )


def _on_osgb36(system: pyproj.CRS) -> bool:
    geodetic = system.geodetic_crs
    if geodetic is None or geodetic.datum is None:
        return False
    name = geodetic.datum.name.lower().replace("_", " ")
    return "osgb" in name or "ordnance survey of great britain" in name


def grid_to_lonlat(
    east: NDArray[np.float64], north: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """British National Grid to WGS84 through OSTN15.

    Args:
        east: ``float64[n]`` metres.
        north: ``float64[n]`` metres.

    Returns:
        ``(lon, lat)``, each ``float64[n]`` degrees, NaN where OSTN15 does not reach. Ordnance Survey's 40
        test points come out within 1 mm.
    """
    lon, lat = convert_lonlat(east, north)
    # Far out at sea the package's inverse is 4 mm off; its forward way is exact, so the rest is put back.
    aim_east, aim_north = np.array(east, dtype=np.float64), np.array(north, dtype=np.float64)
    for _ in range(2):
        back_east, back_north = convert_bng(lon, lat)
        with np.errstate(invalid="ignore"):
            off = np.maximum(np.abs(back_east - east), np.abs(back_north - north)) > _ROUNDING_M
        if not off.any():
            break
        aim_east[off] += (east - back_east)[off]
        aim_north[off] += (north - back_north)[off]
        lon[off], lat[off] = convert_lonlat(aim_east[off], aim_north[off])
    return lon, lat


def to_wgs84(geometry: NDArray[np.object_], crs: Crs) -> NDArray[np.object_]:
    """Shapes in a reference system to WGS84 degrees, two-dimensional, all vertices in one go.

    Args:
        geometry: ``object[n]`` of shapely geometries or None.
        crs: what their numbers are in.

    Raises:
        CrsError: a vertex lies where the system does not reach.
    """
    return _each_vertex(geometry, _way(crs, back=False), crs.name, reverse_in=crs.reversed)


def from_wgs84(geometry: NDArray[np.object_], crs: Crs) -> NDArray[np.object_]:
    """Shapes in WGS84 degrees to a reference system; the reverse of :func:`to_wgs84`.

    Raises:
        CrsError: a vertex lies where the system does not reach.
    """
    return _each_vertex(geometry, _way(crs, back=True), crs.name, reverse_out=crs.reversed)


_Numbers: TypeAlias = "NDArray[np.float64]"
_Way: TypeAlias = "Callable[[_Numbers, _Numbers], tuple[_Numbers, _Numbers]]"


def _way(crs: Crs, *, back: bool) -> _Way:
    """From a system's numbers to longitude and latitude, or back."""
    if crs.kind == "wgs84":
        return lambda x, y: (x, y)
    if crs.kind == "grid":
        return convert_bng if back else grid_to_lonlat
    other = BNG if crs.kind == "osgb36" else WGS84
    source, target = (other, crs.system) if back else (crs.system, other)
    step = pyproj.Transformer.from_crs(source, target, always_xy=True)
    if crs.kind == "other":
        return step.transform
    # Same datum: projecting is exact, and only the other step needs OSTN15.
    if back:
        return lambda x, y: step.transform(*convert_bng(x, y))
    return lambda x, y: grid_to_lonlat(*step.transform(x, y))


def _each_vertex(
    geometry: NDArray[np.object_],
    way: _Way,
    name: str,
    *,
    reverse_in: bool = False,
    reverse_out: bool = False,
) -> NDArray[np.object_]:
    def turn(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        # NaN stays NaN: the checks find it, and it is not the reference system's fault.
        told = np.isfinite(xy).all(axis=1)
        columns = xy[told].T[::-1] if reverse_in else xy[told].T
        x, y = way(np.ascontiguousarray(columns[0]), np.ascontiguousarray(columns[1]))
        lost = ~(np.isfinite(x) & np.isfinite(y))
        if lost.any():
            at = xy[told][int(np.flatnonzero(lost)[0])]
            raise CrsError(
                f"{int(lost.sum())} of {len(xy)} vertices are outside the extent of {name}, the first at "
                f"({at[0]:g}, {at[1]:g}); name the system that the numbers are in with --crs"
            )
        turned = np.array(xy, dtype=np.float64)
        turned[told] = np.column_stack((y, x) if reverse_out else (x, y))
        return turned

    return np.asarray(shapely.transform(geometry, turn, include_z=False), dtype=object)


def looks_like(bounds: tuple[float, float, float, float]) -> Look:
    """Describe coordinates by their range.

    Args:
        bounds: smallest x, smallest y, largest x, largest y, in whatever unit they are.
    """
    west, south, east, north = bounds
    if not all(math.isfinite(value) for value in bounds):
        return Look.NOTHING
    for look, (left, low, right, high) in _BOXES.items():
        if left <= west and east <= right and low <= south and north <= high:
            return look
    return Look.UNKNOWN


_BOXES = {
    Look.LONLAT: GREAT_BRITAIN,
    Look.LATLON: (49.0, -9.0, 62.0, 3.0),
    Look.DEGREES: (-180, -90, 180, 90),
    Look.GRID: (0, 0, 700_000, 1_300_000),
    Look.MERCATOR: (-1_100_000, 6_200_000, 400_000, 8_800_000),
    Look.UTM: (100_000, 5_400_000, 900_000, 6_900_000),
}
"""Where coordinates that look so lie; the first that holds all of them decides."""

_OPTION = {
    Look.LONLAT: f"--crs {WGS84}",
    Look.LATLON: f"--crs {WGS84}{REVERSED}",
    Look.DEGREES: f"--crs {WGS84}",
    Look.GRID: f"--crs {BNG}",
    Look.MERCATOR: "--crs EPSG:3857",
    Look.UTM: "--crs EPSG:25830 (zone 30) or EPSG:25831 (zone 31)",
}


def advice(look: Look) -> str:
    """What to do about numbers that look like this, as the end of a sentence."""
    if look in _OPTION:
        return f"the numbers look like {look}: if they are, give {_OPTION[look]}"
    return f"the numbers look like {look}: ask who made the file, then name the system with --crs"


def refuse_contradiction(crs: Crs, bounds: tuple[float, float, float, float]) -> None:
    """Raise where the numbers cannot be in the system that the file, or an option, names.

    Args:
        crs: the system named.
        bounds: smallest x, smallest y, largest x, largest y, as they stand in the file.

    Raises:
        CrsError: degrees where metres were named, metres where degrees were, or latitude before longitude.
    """
    look = looks_like(bounds)
    degrees = look in (Look.LONLAT, Look.LATLON, Look.DEGREES)
    if look is Look.NOTHING:
        return
    if crs.system.is_geographic:
        if not degrees:
            raise CrsError(f"the coordinates cannot be degrees ({crs.name}); {advice(look)}")
        if look is Look.LATLON and not crs.reversed:
            raise CrsError(f"latitude comes before longitude; {advice(look)}, or swap them in the file")
        if look is Look.LONLAT and crs.reversed:
            raise CrsError(f"longitude already comes before latitude; leave {REVERSED} out of --crs")
    elif degrees and bounds != (0.0, 0.0, 0.0, 0.0):
        raise CrsError(f"the coordinates cannot be metres ({crs.name}); {advice(look)}")
    elif crs.kind == "grid" and look is not Look.GRID:
        raise CrsError(f"the coordinates lie outside British National Grid; {advice(look)}")


def metric(geometry: NDArray[np.object_], centre: tuple[float, float]) -> NDArray[np.object_]:
    """Shapes in WGS84 degrees to metres around a centre (Lambert azimuthal), for lengths and widths.

    Lengths within 100 km of the centre are true to 0.01%. For areas see :func:`area_m2`.

    Args:
        geometry: ``object[n]`` of shapely geometries or None.
        centre: longitude and latitude, degrees.
    """
    # Whole degrees: near enough, and few planes serve every call.
    plane = _plane(round(centre[0]), round(centre[1]))

    def turn(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(plane.transform(xy[:, 0], xy[:, 1]))

    return np.asarray(shapely.transform(geometry, turn, include_z=False), dtype=object)


@lru_cache(maxsize=64)
def _plane(lon: int, lat: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(
        WGS84, f"+proj=laea +lat_0={lat} +lon_0={lon} +ellps=WGS84 +units=m", always_xy=True
    )


def centre_of(geometry: NDArray[np.object_]) -> tuple[float, float]:
    """The middle of the bounds of all shapes, degrees; (0, 0) where there is nothing."""
    if not len(geometry):
        return (0.0, 0.0)
    west, south, east, north = (float(value) for value in shapely.total_bounds(geometry))
    middle = ((west + east) / 2, (south + north) / 2)
    return middle if all(math.isfinite(value) for value in middle) else (0.0, 0.0)


def area_m2(geometry: NDArray[np.object_] | Any) -> NDArray[np.float64]:
    """Ground area of shapes in WGS84 degrees, their edges straight in degrees as everywhere in this program.

    The integral of the authalic function along each edge (Snyder, Map Projections, 1987, formula 3-12), by
    Gauss's rule with three points: pieces of a shape add up to the shape, however long its edges are.

    Args:
        geometry: ``object[n]`` of shapely geometries, or one of them.

    Returns:
        ``float64[n]`` square metres on the ellipsoid, 0 for points, lines and None. A ring that crosses
        itself counts the area enclosed one way less the area enclosed the other way, as ``shapely.area``
        does.
    """
    shapes = np.atleast_1d(np.asarray(geometry, dtype=object))
    areas = np.zeros(len(shapes))
    parts, owner = shapely.get_parts(shapes, return_index=True)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owner = owner[inner]
    polygons = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, owner = parts[polygons], owner[polygons]
    for sign, rings, whose in (
        (1.0, shapely.get_exterior_ring(parts), np.arange(len(parts))),
        (-1.0, *_holes(parts)),
    ):
        np.add.at(areas, owner[whose], sign * np.abs(_ring_m2(rings)))
    return np.nan_to_num(areas)


def _holes(parts: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    rings, whose = shapely.get_rings(parts, return_index=True)
    first = np.r_[True, whose[1:] != whose[:-1]] if len(whose) else np.zeros(0, dtype=np.bool_)
    return rings[~first], whose[~first]


def _ring_m2(rings: NDArray[np.object_]) -> NDArray[np.float64]:
    """Signed area of closed rings, m²: dA = a²/2 · q(lat) · dlon."""
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat = np.radians(xy).T
    same = ring[1:] == ring[:-1]
    middle, half = (lat[1:] + lat[:-1]) / 2, (lat[1:] - lat[:-1]) / 2 * math.sqrt(3 / 5)
    mean = (5 * _authalic(middle - half) + 8 * _authalic(middle) + 5 * _authalic(middle + half)) / 18
    strips = np.where(same, mean * (lon[1:] - lon[:-1]), 0.0)
    sums = np.zeros(len(rings))
    np.add.at(sums, ring[1:], strips)
    return sums * (-(_WGS84_M**2) / 2)


def _authalic(lat: NDArray[np.float64]) -> NDArray[np.float64]:
    e, sine = _WGS84_E, np.sin(lat)
    straight = sine / (1 - (e * sine) ** 2)
    q = (1 - e * e) * (straight + np.log((1 + e * sine) / (1 - e * sine)) / (2 * e))
    return np.asarray(q, dtype=np.float64)
