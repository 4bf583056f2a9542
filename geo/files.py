"""Boundary files in and out: GeoJSON, GeoPackage, Shapefile, KML/KMZ, MapInfo TAB, what else GDAL opens.

A shell room: it reads and writes the files that it is given, and nothing else. A file from outside is taken
for hostile. Archives are unpacked here, with limits; headers are compared with the bytes that are there; GDAL
itself runs in a child process with limited memory and time, without the drivers that follow links. Out comes
a :class:`RawLayer`, just what the file says, or an :class:`AreaSet`, or an :class:`AreaFileError` whose one
line says what to do. What is wrong with a file's contents in detail is for ``checks`` to say.
"""

from __future__ import annotations

import codecs
import inspect
import json
import math
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from geo.crs import (
    BNG,
    WGS84,
    Crs,
    CrsError,
    advice,
    area_m2,
    crs_of,
    from_wgs84,
    looks_like,
    refuse_contradiction,
    to_wgs84,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
"""Characters that steer a terminal or turn the direction of writing; no name needs them."""


def printable(text: str) -> str:
    """A text that may be shown anywhere: control characters are written out, as Python writes them."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


LONGEST = 200
"""Characters of an id or a name."""


def unfit(text: str) -> bool:
    """Whether an id or a name is too long, or has characters that steer a terminal or the way of writing."""
    return len(text) > LONGEST or printable(text) != text


class AreaFileError(ValueError):
    """A boundary file that cannot be used; the text is one line that says what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may ask of this machine.

    Attributes:
        file_bytes: size of the file, and of each file inside an archive.
        unpacked_bytes: size of everything inside an archive.
        ratio: how much an archive may grow by when unpacked, once it is over 10 MB.
        entries: files in an archive.
        features: rows of a layer.
        vertices: corners of all its shapes.
        seconds: time to read it.
        memory_bytes: memory of the process that reads it.
    """

    file_bytes: int = 256 << 20
    unpacked_bytes: int = 512 << 20
    ratio: int = 200
    entries: int = 1_000
    features: int = 100_000
    vertices: int = 10_000_000
    seconds: float = 60.0
    memory_bytes: int = 3 << 30


LIMITS = Limits()
"""What a force's boundaries never reach: the whole of England's wards in full detail just fit."""


@dataclass(frozen=True, slots=True, eq=False)
class RawLayer:
    """One layer just as its file has it.

    Attributes:
        source: the file's name, for messages.
        layer: the layer's name.
        driver: GDAL's word for the format.
        crs: the reference system that the file names, as WKT or a code; None where it names none.
        geometry: ``object[n]`` of shapely geometries in the file's own numbers, 2D or 3D; None where missing.
        columns: names of the other columns.
        values: one tuple a column, each ``n`` texts or None.
        unclosed: ``bool[n]``, whether a ring had to be closed to be read.
        curved: whether shapes have arcs, which reading turned into short straight lines.
        notes: what GDAL remarked.
    """

    source: str
    layer: str
    driver: str
    crs: str | None
    geometry: NDArray[np.object_]
    columns: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...]
    unclosed: NDArray[np.bool_]
    curved: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.geometry)


# What makes a file in a folder or archive a data set of its own; the rest are its companions.
_DATASETS = (".shp", ".tab", ".mif", ".gpkg", ".geojson", ".json", ".kml", ".fgb", ".gml", ".gdb")
_SAFE = "GeoPackage or GeoJSON"
_XML = (".kml", ".gml", ".xml", ".xsd")
# Drivers that reach for other files, programs or servers, or that a boundary file never needs.
_NEVER = (
    "OGR_VRT,VRT,GDALG,HTTP,WFS,OAPIF,OGCAPI,CSW,Elasticsearch,Carto,AmigoCloud,PLSCENES,NGW,EEDA,EEDAI,GPSBabel,"
    "ADBC,PGDUMP,PDF,MBTiles,PMTiles,MVT,GTFS,OSM,SQLite,Selafin,LVBAG,VDV,OGR_PDS,PDS4,VICAR,PCIDSK,MiraMonVector"
)


def read_areas(
    path: str | Path,
    kind: Kind | None = None,
    *,
    layer: str | None = None,
    id_column: str | None = None,
    name_column: str | None = None,
    crs: str | None = None,
    limits: Limits = LIMITS,
) -> AreaSet:
    """Read boundaries into WGS84 degrees.

    Args:
        path: a file, a zip of one, or a folder with one in it.
        kind: what the areas are for; None to take each feature's own ``kind`` column.
        layer: which layer, needed where there are several.
        id_column: the column with the ids; None to find ``area_id``, ``id``, ``code``, ``WD..CD``.
        name_column: the column with the names; None to find ``name``, ``WD..NM``, else names are ids.
        crs: the reference system, as ``EPSG:27700``, in place of the one that the file names.
        limits: how much the file may ask for.

    Returns:
        The areas, sorted. A ring that crosses itself is mended where that changes less than 1 m².

    Raises:
        AreaFileError: the file cannot be used; says what to do.
    """
    raw = read_layer(path, layer, limits=limits)
    return areas_of(raw, kind, id_column=id_column, name_column=name_column, crs=crs)


def areas_of(
    raw: RawLayer,
    kind: Kind | None = None,
    *,
    id_column: str | None = None,
    name_column: str | None = None,
    crs: str | None = None,
) -> AreaSet:
    """A layer's rows as areas; the part of :func:`read_areas` after the reading.

    Raises:
        AreaFileError: a row has no id, kind or usable shape, or nothing tells where on earth it is.
    """
    if not len(raw):
        raise AreaFileError(f"{raw.source}: has no areas in it; export it again with the areas selected")
    located = locate(raw, crs)
    ids = column(raw, find_column(raw, "id", id_column))
    names = column(raw, find_column(raw, "name", name_column))
    kinds = kinds_of(raw, kind)
    attributes = attributes_of(raw, id_column, name_column)
    rows = []
    for at, shape in enumerate(located):
        label = ids[at] or ""
        which = f"{raw.source}: row {at + 1}" + (f" ({label!r})" if label else "")
        if not label:
            raise AreaFileError(f"{which} has no id; fill its id column, or name another with --id-column")
        if unfit(label):
            raise AreaFileError(f"{raw.source}: row {at + 1} has an id that is too long or no text; mend it")
        mended = mend(shape)
        if mended is None:
            what = (
                "no shape" if shape is None or shape.is_empty else f"a {shape.geom_type}, no usable polygon"
            )
            raise AreaFileError(f"{which} has {what}; draw it as a polygon or take the row out")
        if not shape.is_valid and abs(change_m2(shape, mended)) > 1.0:
            reason = shapely.is_valid_reason(shape)
            raise AreaFileError(
                f"{which} is not a valid shape ({reason}); see `patrol areas check`, and mend it in your GIS"
            )
        rows.append(Area(kinds[at], label, names[at] or label, mended, attributes[at]))
    try:
        return AreaSet.of(rows)
    except ValueError as error:
        raise AreaFileError(f"{raw.source}: {error}") from error


# Columns --------------------------------------------------------------------------------------------------

_FOUND = {
    "id": ("area_id", "id", "code", r"wd\d\dcd", r"[a-z]{2,6}\d\dcd"),
    "name": ("name", r"wd\d\dnm", r"[a-z]{2,6}\d\dnm"),
}
# What KML readers add to every placemark.
_KML_OWN = frozenset(
    {"description", "timestamp", "begin", "end", "altitudemode", "tessellate", "extrude", "visibility"}
    | {"draworder", "icon", "snippet"}
)


def find_column(raw: RawLayer, what: str, named: str | None = None) -> str | None:
    """Which column holds the ids or the names.

    Args:
        raw: the layer.
        what: ``id`` or ``name``.
        named: the column that an option names, if one does; upper and lower case are alike.

    Returns:
        The column as the file spells it; None for names that are nowhere.

    Raises:
        AreaFileError: the column named is not there, several would do, or no id is to be found.
    """
    shown = ", ".join(raw.columns) or "none"
    if named is not None:
        for name in (*[c for c in raw.columns if c == named], *raw.columns):
            if name.lower() == named.lower():
                return name
        raise AreaFileError(f"{raw.source}: has no column {named!r}; its columns are: {shown}")
    patterns = _FOUND[what]
    if what == "id" and raw.driver in ("KML", "LIBKML"):
        # The format's own id of a placemark is mostly a number that the last program made up.
        patterns = (*[pattern for pattern in patterns if pattern != "id"], "id")
    filled = [name for name in raw.columns if any(column(raw, name))]
    for names in (filled, raw.columns):  # an empty column only where there is no better one
        for pattern in patterns:
            hits = [name for name in names if re.fullmatch(pattern, name.lower())]
            if len(hits) == 1:
                return hits[0]
            if hits:
                listed = " and ".join(hits)
                raise AreaFileError(
                    f"{raw.source}: {listed} may both hold the {what}; choose with --{what}-column"
                )
    if what == "id":
        raise AreaFileError(
            f"{raw.source}: has no id column that I know; name it with --id-column, its columns are: {shown}"
        )
    return None


def column(raw: RawLayer, name: str | None) -> tuple[str | None, ...]:
    """A column's texts without blanks around them, None where there is nothing; all None for no column."""
    if name is None:
        return (None,) * len(raw)
    return tuple((text or "").strip() or None for text in raw.values[raw.columns.index(name)])


def kinds_of(raw: RawLayer, kind: Kind | None) -> tuple[Kind, ...]:
    """What each row is for: as told, else as its own ``kind`` column says.

    Raises:
        AreaFileError: neither tells, or a row says a word that is no kind.
    """
    if kind is not None:
        return (Kind(kind),) * len(raw)
    choice = "|".join(Kind)
    own = next((name for name in raw.columns if name.lower() == "kind"), None)
    if own is None:
        raise AreaFileError(f"{raw.source}: does not say what its areas are for; give --kind {choice}")
    kinds = []
    for at, text in enumerate(column(raw, own)):
        if (text or "").lower() not in tuple(Kind):
            raise AreaFileError(
                f"{raw.source}: row {at + 1} has the kind {text or ''!r}; it must be {choice}, or give --kind"
            )
        kinds.append(Kind((text or "").lower()))
    return tuple(kinds)


def attributes_of(
    raw: RawLayer, id_column: str | None = None, name_column: str | None = None
) -> tuple[dict[str, str], ...]:
    """Every other column of each row, as texts, blanks left out; issue, days, hours and use in lower case."""
    taken = {"kind"}
    for what, named in (("id", id_column), ("name", name_column)):
        found = find_column(raw, what, named)
        taken |= {found.lower()} if found else set()
    if raw.driver in ("KML", "LIBKML"):
        taken |= _KML_OWN | {"id"}
    rows: tuple[dict[str, str], ...] = tuple({} for _ in range(len(raw)))
    for name in raw.columns:
        if name.lower() in taken:
            continue
        key = name.lower() if name.lower() in ("issue", "days", "hours", "use") else name
        for row, text in zip(rows, column(raw, name), strict=True):
            if text is not None:
                row.setdefault(key, text)
    return rows


# Where on earth, and whether a shape can be used ----------------------------------------------------------


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
    # What is straight on a map's plane is not straight in degrees: 2 km bend by 10 cm.
    shapes = raw.geometry if system.system.is_geographic else with_shared_corners(raw.geometry)
    try:
        return to_wgs84(shapes, system)
    except CrsError as error:
        raise AreaFileError(f"{raw.source}: {error}") from error


_CORNERS_AT_ONCE = 10_000


def with_shared_corners(geometry: NDArray[np.object_], within: float = 0.001) -> NDArray[np.object_]:
    """Give edges the corners of other areas that lie on them, so that what fits together goes on fitting.

    Args:
        geometry: ``object[n]`` of shapely geometries or None; what is no valid polygon is left as it is.
        within: how near a corner must lie to an edge to be on it, in the units of the coordinates.

    Returns:
        ``object[n]``; the very array given where every corner is shared already.
    """
    plain = np.isin(
        shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    )
    rows = np.flatnonzero(plain & shapely.is_valid(geometry) & ~shapely.is_empty(geometry))
    parts, row_of_part = shapely.get_parts(geometry[rows], return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    xy, ring_of_corner = shapely.get_coordinates(rings, return_index=True)
    starts = np.flatnonzero(ring_of_corner[1:] == ring_of_corner[:-1])
    corners = np.unique(xy, axis=0)
    edges = shapely.linestrings(np.stack((xy[starts], xy[starts + 1]), axis=1))
    tree, found, pairs = shapely.STRtree(edges), [], 0
    for at in range(0, len(corners), _CORNERS_AT_ONCE):
        near = tree.query(
            shapely.points(corners[at : at + _CORNERS_AT_ONCE]), predicate="dwithin", distance=within
        )
        found.append(near + np.array([[at], [0]]))
        pairs += near.shape[1]
        if pairs > 100 * (len(corners) + _CORNERS_AT_ONCE):
            return geometry  # areas heaped on one another: the checks will say so
    corner, edge = np.concatenate(found, axis=1) if found else np.empty((2, 0), dtype=np.int64)
    start, end, on = xy[starts[edge]], xy[starts[edge] + 1], corners[corner]
    inner = np.minimum(np.hypot(*(on - start).T), np.hypot(*(on - end).T)) > 2 * within
    if not inner.any():
        return geometry
    edge, on, start = edge[inner], on[inner], start[inner]
    order = np.lexsort((np.hypot(*(on - start).T), edge))
    places = starts[edge[order]] + 1
    xy = np.insert(xy, places, on[order], axis=0)
    ring_of_corner = np.insert(ring_of_corner, places, ring_of_corner[places])
    polygons = shapely.polygons(shapely.linearrings(xy, indices=ring_of_corner), indices=part_of_ring)
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
    """Whether an invalid shape crosses itself so often that mending it would take memory without end.

    Mending needs memory by the crossings, and their number may grow with the square of the corners: 20,000
    corners at random have a hundred million. Counting stops as soon as there are too many, and looks at pairs
    of edges in pieces.
    """
    xy, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(shapely.get_parts([shape]))[_polygonal(shape)]), return_index=True
    )
    starts = np.flatnonzero(ring[1:] == ring[:-1])
    if len(starts) > _TANGLE_VERTICES:
        return True
    edges = shapely.linestrings(np.stack((xy[starts], xy[starts + 1]), axis=1))
    tree = shapely.STRtree(edges)
    most = max(1, min(4_096, _TANGLE_STEP // max(1, len(edges))))
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
    """How much ground a repair gained (or lost, negative) against the shape as its rings enclose it, m²."""
    return float(area_m2(mended)[0] - area_m2(shape)[0])


# Reading --------------------------------------------------------------------------------------------------


def read_layer(
    path: str | Path, layer: str | None = None, *, encoding: str | None = None, limits: Limits = LIMITS
) -> RawLayer:
    """Read one layer of a file just as it stands, in bounded time and memory.

    ``encoding`` says how its texts are written, as ``latin-1``, in place of what the file or format says.

    Raises:
        AreaFileError: the file is missing, damaged, too big, hostile or of no known format, or it has several
            layers and none was chosen.
    """
    path = Path(path)
    try:
        known = None if encoding is None else codecs.lookup(encoding).name
    except LookupError:
        raise AreaFileError(
            f"there is no encoding {(encoding or '')[:40]!r}; give --encoding latin-1, cp1252 or utf-8"
        ) from None
    if known is not None:  # GDAL spells it with another hyphen than Python
        encoding = re.sub("^iso8859-", "ISO-8859-", known)
    if not path.exists():
        raise AreaFileError(f"{path.name}: there is no such file; check the path")
    try:
        with _unpacked(path, limits) as folder:
            dataset, layer = _choose(folder or path, path.name, layer)
            _refuse_damaged(dataset, path.name, limits)
            answer, blob = _ask_gdal(dataset, path.name, layer, limits, encoding)
    except OSError as error:
        raise AreaFileError(f"{path.name}: cannot be opened: {error.strerror}") from error
    return _raw(answer, blob, path.name)


@contextmanager
def _unpacked(path: Path, limits: Limits) -> Iterator[Path | None]:
    """A folder with what is inside an archive; None for any other file."""
    if path.is_dir() or path.suffix.lower() not in (".zip", ".kmz"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="areas-") as name:
        folder = Path(name)
        try:
            _unpack(path, folder, limits)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            struct.error,
            OSError,
        ) as error:
            raise AreaFileError(f"{path.name}: is a damaged archive ({error}); ask for it again") from error
        yield folder


def _unpack(path: Path, folder: Path, limits: Limits) -> None:
    """Unpack into a folder what may be unpacked, counting what really comes out."""
    bad = f"{path.name}: will not be opened, "
    packed = path.stat().st_size
    _refuse_big(path, path.name, limits)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > limits.entries:
            raise AreaFileError(f"{bad}it holds {len(entries)} files; zip only the boundary file")
        allowed = min(limits.unpacked_bytes, max(10 << 20, packed * limits.ratio))
        claimed = sum(entry.file_size for entry in entries)
        if claimed > allowed:
            raise AreaFileError(
                f"{bad}it would grow from {_size(packed)} to {_size(claimed)}; zip only the boundary file"
            )
        seen: set[str] = set()
        for entry in entries:
            inside = PurePosixPath(entry.filename.replace("\\", "/"))
            if inside.is_absolute() or ".." in inside.parts or re.match(r"[A-Za-z]:", entry.filename):
                raise AreaFileError(
                    f"{bad}{entry.filename!r} would be written outside its folder; zip it again"
                )
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise AreaFileError(f"{bad}{entry.filename!r} is a link to another file; zip the file itself")
            if entry.flag_bits & 1:
                raise AreaFileError(f"{bad}it has a password; zip it again without one")
            if entry.is_dir() or inside.parts[0] == "__MACOSX" or inside.name.startswith("."):
                continue
            if str(inside).lower() in seen:
                raise AreaFileError(f"{bad}{entry.filename!r} is in it twice; zip it again")
            seen.add(str(inside).lower())
            target = folder.joinpath(*inside.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as sink:
                while chunk := source.read(1 << 20):
                    allowed -= len(chunk)
                    if allowed < 0:
                        raise AreaFileError(f"{bad}it grows without end; zip only the boundary file")
                    sink.write(chunk)


def _choose(place: Path, source: str, layer: str | None) -> tuple[Path, str | None]:
    """The data set in a folder, and the layer to ask it for."""
    if not place.is_dir() or place.suffix.lower() == ".gdb":
        return place, layer
    found = sorted(
        file
        for file in place.rglob("*")
        if file.suffix.lower() in _DATASETS and not any(up.suffix.lower() == ".gdb" for up in file.parents)
    )
    if len(found) > 1 and layer is not None:
        chosen = [file for file in found if layer.lower() in (file.stem.lower(), file.name.lower())]
        if chosen:
            return chosen[0], None
    if len(found) > 1 and any(file.name.lower() == "doc.kml" for file in found):
        found = [file for file in found if file.name.lower() == "doc.kml"]
    if not found:
        names = ", ".join(sorted(file.name for file in place.rglob("*") if file.is_file())[:8]) or "nothing"
        raise AreaFileError(f"{source}: has no boundary file that I know in it, only: {names}")
    if len(found) > 1:
        raise AreaFileError(
            f"{source}: has several layers; choose with --layer: {_names(f.stem for f in found)}"
        )
    return found[0], layer


def _names(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")


def _size(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB" if size >= 10 << 20 else f"{size:,} bytes"


def _part(file: Path, source: str) -> str:
    """The start of a message about a file that may be the source itself or a part of it."""
    return f"{source}:" if file.name == source else f"{source}: {file.name}"


def _refuse_big(file: Path, source: str, limits: Limits) -> None:
    size = file.stat().st_size
    if size == 0:
        raise AreaFileError(f"{_part(file, source)} is empty (0 bytes); ask for it again")
    if size > limits.file_bytes:
        raise AreaFileError(
            f"{_part(file, source)} has {_size(size)}, more than {_size(limits.file_bytes)}; "
            "export only the areas needed, or simplify them"
        )


def _refuse_damaged(dataset: Path, source: str, limits: Limits) -> None:
    """Raise where a header claims more than there is, a companion is missing, or XML brings entities."""
    if dataset.is_dir():
        for file in dataset.rglob("*"):
            if file.is_file() and file.stat().st_size > limits.file_bytes:
                _refuse_big(file, source, limits)
        return
    _refuse_big(dataset, source, limits)
    suffix = dataset.suffix.lower()
    beside = {file.suffix.lower(): file for file in dataset.parent.iterdir() if file.stem == dataset.stem}
    needed = {".shp": (".shx", ".dbf"), ".tab": (".dat", ".map", ".id"), ".mif": (".mid",)}.get(suffix, ())
    if suffix == ".tab":
        head = dataset.read_bytes()[: 1 << 20].lower()
        if b"type native" not in head or re.search(rb'isseamless"\s*=\s*"true', head):
            raise AreaFileError(
                f"{source}: is a table over other files or servers; save a copy as a native table"
            )
    missing = [part for part in needed if part not in beside]
    if missing:
        raise AreaFileError(
            f"{_part(dataset, source)} comes without its {' and '.join(missing)}; zip all parts together"
        )
    for part in needed:
        _refuse_big(beside[part], source, limits)
    cut = ""
    if suffix == ".shp":
        index = beside[".shx"]
        cut = (
            _shape_cut(dataset)
            or _shape_cut(index)
            or _table_cut(beside[".dbf"])
            or _records_cut(dataset, index)
        )
    elif suffix == ".tab" and b"fields" in head:
        cut = _table_cut(beside[".dat"])
    elif suffix == ".gpkg":
        cut = _sqlite_cut(dataset)
    elif suffix in _XML or _begins_as_xml(dataset):
        _refuse_entities(dataset, source)
    if cut:
        cut = cut.removeprefix(f"{source} ")
        raise AreaFileError(f"{source}: {cut}; it was cut short or is damaged, ask for it again")


def _shape_cut(file: Path) -> str:
    """ESRI's whitepaper of 1998, main file header: code 9994, length in 16-bit words, version 1000."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(100)
    if (
        len(head) < 100
        or struct.unpack(">i", head[:4])[0] != 9994
        or struct.unpack("<i", head[28:32])[0] != 1000
    ):
        return f"{file.name} does not begin as a Shapefile does"
    claimed = struct.unpack(">I", head[24:28])[0] * 2
    return "" if claimed <= size else f"{file.name} claims {_size(claimed)} but has {_size(size)}"


def _records_cut(file: Path, index: Path) -> str:
    """Each record's place and length in words, in the index and before the record itself, big-endian."""
    records = np.frombuffer(index.read_bytes()[100:], dtype=">u4")
    places, lengths = records[: len(records) // 2 * 2].reshape(-1, 2).astype(np.int64).T * 2
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    used = lengths > 0
    whole = places + 8 + lengths <= len(content)
    if not whole[used].all():
        at = int(np.flatnonzero(used & ~whole)[0])
        return f"record {at + 1} of {file.name} lies beyond its end"
    heads = content[places[used, None] + np.arange(4, 8)].astype(np.int64) @ [1 << 24, 1 << 16, 1 << 8, 1]
    if (heads * 2 != lengths[used]).any():
        at = int(np.flatnonzero(used)[np.flatnonzero(heads * 2 != lengths[used])[0]])
        return f"record {at + 1} of {file.name} has another length than its index says"
    return ""


def _table_cut(file: Path) -> str:
    """The dBASE header: number of records, length of the header and of a record."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(32)
    if len(head) < 32:
        return f"{file.name} does not begin as a table does"
    records, header, record = struct.unpack("<IHH", head[4:12])
    claimed = header + records * record
    return "" if claimed <= size else f"{file.name} claims {_size(claimed)} but has {_size(size)}"


def _sqlite_cut(file: Path) -> str:
    """The SQLite header: page size at 16, number of pages at 28, valid where 24 and 92 agree."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        return f"{file.name} does not begin as a GeoPackage does"
    page = struct.unpack(">H", head[16:18])[0]
    claimed = (65_536 if page == 1 else page) * struct.unpack(">I", head[28:32])[0]
    whole = head[24:28] != head[92:96] or claimed <= size
    return "" if whole else f"{file.name} claims {_size(claimed)} but has {_size(size)}"


def _begins_as_xml(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(256)
    return head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def _refuse_entities(file: Path, source: str) -> None:
    """No document type, hence no entities of its own: the ways to make XML grow or reach for other files."""
    # NUL bytes are dropped so that UTF-16 cannot hide the words.
    text = file.read_bytes().replace(b"\0", b"").upper()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise AreaFileError(
            f"{source}: brings a document type with entities, which boundaries never need; export it again"
        )


# GDAL in a child ------------------------------------------------------------------------------------------


def _ask_gdal(
    dataset: Path, source: str, layer: str | None, limits: Limits, encoding: str | None = None
) -> tuple[dict[str, Any], bytes]:
    """Let a child process read a layer: a header of JSON, and the shapes as WKB one after the other."""
    request = {
        "path": str(dataset.resolve()),
        "layer": layer,
        "encoding": encoding,
        "never": _NEVER,
        "features": limits.features,
        "vertices": limits.vertices,
        "memory": limits.memory_bytes,
        "packages": [place for place in sys.path if Path(place).is_absolute()],
        "seconds": math.ceil(limits.seconds),
    }
    late = f"was not read within {limits.seconds:g} s; it is damaged or far too detailed, simplify it"
    # The function's own source is the child's program: it imports GDAL and numpy only, in a third of a
    # second, where importing this module with shapely and pandas takes two.
    program = f"from __future__ import annotations\n{inspect.getsource(_child)}\n_child()"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=limits.seconds + 5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AreaFileError(f"{source}: {late}") from None
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        raise AreaFileError(f"{source}: {late}")
    if done.returncode != 0 or len(done.stdout) < 8:
        raise AreaFileError(
            f"{source}: cannot be read within {_size(limits.memory_bytes)} of memory; "
            "it is damaged or far too detailed, export it again"
        )
    (length,) = struct.unpack("<Q", done.stdout[:8])
    answer: dict[str, Any] = json.loads(done.stdout[8 : 8 + length])
    if "error" in answer:
        raise AreaFileError(f"{source}: {_explained(answer)}")
    return answer, done.stdout[8 + length :]


def _explained(answer: dict[str, Any]) -> str:
    """GDAL's refusal in one line that says what to do."""
    if "layers" in answer:
        listed = _names(answer["layers"])
        if answer["error"] == "several":
            return f"has several layers; choose with --layer: {listed}"
        return f"has no layer of that name; choose with --layer: {listed}"
    if answer["error"] == "none":
        return "has no layer with shapes in it; export the boundaries, not the table alone"
    if answer["error"] == "many":
        return f"has {answer['features']:,} rows, too many to be boundaries; export only the areas"
    if answer["error"] == "detailed":
        return "is far too detailed to be boundaries; simplify it and export it again"
    said = " ".join(str(answer["error"]).split())
    if "codec can't decode" in said:
        return (
            "its texts are in another encoding than it says; give --encoding latin-1 (or cp1252), "
            "or save it again as UTF-8"
        )
    if "not recognized" in said:
        return f"is in no format that I know; export it as {_SAFE}"
    said = re.sub(r"'?/\S*/", "'", said)  # no temporary folders in messages
    return f"cannot be read ({said[:160]}); export it again as {_SAFE}"


def _child() -> None:
    """The child's whole program: read one layer and write it to standard output. Imports nothing of ours."""
    import json
    import logging
    import os
    import re
    import struct
    import sys
    import warnings

    request: dict[str, Any] = json.load(sys.stdin)
    os.environ.update(
        GDAL_SKIP=request["never"],
        GDAL_HTTP_MAX_RETRY="0",
        GDAL_HTTP_CONNECTTIMEOUT="1",
        GDAL_VRT_ENABLE_PYTHON="NO",
        GML_DOWNLOAD_SCHEMA="NO",
        GML_SKIP_RESOLVE_ELEMS="ALL",
        GML_GFS_TEMPLATE="",
        OGR_GEOJSON_MAX_OBJ_SIZE="200",
        OGR_SQLITE_LOAD_EXTENSIONS="",
        OPENBLAS_NUM_THREADS="1",
        GDAL_NUM_THREADS="1",
    )
    try:
        import resource
    except ImportError:  # not on Windows; the time limit of the parent still holds
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"]))
        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    # Isolated from the environment, it looks for packages where its parent does.
    sys.path += [place for place in request["packages"] if place not in sys.path]
    # Absent on purpose: pyogrio does without them, and starts five times faster.
    absent: dict[str, Any] = dict.fromkeys(("pandas", "geopandas", "pyarrow", "shapely"))
    sys.modules.update(absent)

    def send(answer: dict[str, Any], shapes: list[bytes]) -> None:
        head = json.dumps(answer).encode()
        sys.stdout.buffer.write(struct.pack("<Q", len(head)) + head)
        for shape in shapes:
            sys.stdout.buffer.write(shape)
        sys.stdout.buffer.flush()

    def text(value: Any) -> str | None:
        if value is None or isinstance(value, bytes) or str(value) in ("nan", "NaT"):
            return None
        # A list in one row makes GDAL give a list for every row.
        if isinstance(value, list | tuple) or type(value).__name__ == "ndarray":
            return ",".join(map(str, value))
        return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)

    # Outside the try: where there is no memory even for this, the parent says so.
    import pyogrio
    import pyogrio.raw

    logging.disable(logging.CRITICAL)
    remarks: list[str] = []
    try:
        path, layer = request["path"], request["layer"]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layers = [str(name) for name, shape in pyogrio.list_layers(path) if shape is not None]
            if not layers:
                return send({"error": "none"}, [])
            if layer is None and len(layers) > 1:
                filled = [name for name in layers if pyogrio.read_info(path, layer=name)["features"] != 0]
                if len(filled) != 1:
                    return send({"error": "several", "layers": layers}, [])
                layers = filled
            if layer is not None and layer not in layers:
                return send({"error": "layer", "layers": layers}, [])
            layer = layer if layer is not None else layers[0]
            info = pyogrio.read_info(path, layer=layer, force_feature_count=False)
            if info["features"] > request["features"]:
                return send({"error": "many", "features": int(info["features"])}, [])
            meta, _, shapes, fields = pyogrio.raw.read(
                path, layer=layer, datetime_as_string=True, encoding=request["encoding"]
            )
            curved = False
            if info["driver"] in (
                "GPKG",
                "GML",
                "OpenFileGDB",
                "DXF",
                "SQLite",
            ):  # the formats that have arcs
                named = layer.replace('"', '\\"')
                asked = f'SELECT OGR_GEOMETRY FROM "{named}"'  # a layer of this very file
                types = pyogrio.raw.read(path, sql=asked, sql_dialect="OGRSQL", read_geometry=False)[3][0]
                curved = any(
                    re.match("CIRC|COMPOUNDCURVE|CURVE|MULTICURVE|MULTISURF", str(each)) for each in types
                )
            remarks = sorted({str(warning.message) for warning in caught})
        wkb = [b"" if shape is None else bytes(shape) for shape in (() if shapes is None else shapes)]
        if sum(map(len, wkb)) > 16 * request["vertices"]:  # 16 bytes are a vertex in two dimensions
            return send({"error": "detailed"}, [])
        send(
            {
                "layer": layer,
                "driver": info["driver"],
                "crs": meta["crs"],
                "curved": curved,
                "columns": [str(name) for name in meta["fields"]],
                "values": [[text(value) for value in values.tolist()] for values in fields],
                "sizes": [len(shape) for shape in wkb],
                "remarks": remarks[:20],
            },
            wkb,
        )
    except MemoryError:
        raise
    except Exception as error:  # every refusal of GDAL becomes a text for the parent
        send({"error": f"{error}"}, [])


def _raw(answer: dict[str, Any], blob: bytes, source: str) -> RawLayer:
    """The child's answer as columns."""
    sizes = np.array(answer["sizes"], dtype=np.int64)
    ends = np.cumsum(sizes)
    wkb = np.empty(len(sizes), dtype=object)
    wkb[:] = [
        blob[end - size : end] if size else None
        for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
    ]
    with np.errstate(invalid="ignore"):
        geometry = shapely.from_wkb(wkb, on_invalid="ignore")
        unclosed = np.array([shape is None and size > 0 for shape, size in zip(geometry, sizes, strict=True)])
        unclosed = unclosed.astype(np.bool_)
        if unclosed.any():
            geometry[unclosed] = shapely.from_wkb(wkb[unclosed], on_invalid="fix")
    return RawLayer(
        source=source,
        layer=answer["layer"],
        driver=answer["driver"],
        crs=answer["crs"],
        geometry=geometry,
        columns=tuple(answer["columns"]),
        values=tuple(tuple(values) for values in answer["values"]),
        unclosed=unclosed,
        curved=bool(answer["curved"]),
        notes=tuple(answer["remarks"]),
    )


# Writing --------------------------------------------------------------------------------------------------

FORMATS = {"geojson": ".geojson", "gpkg": ".gpkg", "kml": ".kml", "shapefile": ".zip"}
"""Formats that are written, and how their files' names end."""


def write_areas(areas: AreaSet, path: str | Path, format: str | None = None, crs: str = WGS84) -> Path:  # noqa: A002
    """Write boundaries for other programs.

    Args:
        areas: what to write.
        path: the file; it is replaced.
        format: ``geojson`` (the same bytes for the same areas), ``gpkg``, ``kml`` or ``shapefile`` (zipped);
            None to go by the file's ending.
        crs: ``EPSG:4326``, or ``EPSG:27700`` through OSTN15.

    Returns:
        The file written.

    Raises:
        AreaFileError: a format or system that is not written, or a shape outside British National Grid.
    """
    path = Path(path)
    if format is None:
        format = next((name for name, suffix in FORMATS.items() if path.suffix.lower() == suffix), None)  # noqa: A001
    if format not in FORMATS:
        raise AreaFileError(f"{path.name}: give --format {'|'.join(FORMATS)}")
    try:
        system = crs_of(crs)
    except CrsError as error:
        raise AreaFileError(str(error)) from error
    if system.name not in (WGS84, BNG) or system.reversed:
        raise AreaFileError(f"areas are written in {WGS84} or {BNG}, not in {crs}")
    if format == "kml" and system.name != WGS84:
        raise AreaFileError(f"KML knows degrees only; leave --crs out, or choose --format gpkg for {crs}")
    try:
        shapes = from_wgs84(areas.geometry, system)
    except CrsError as error:
        raise AreaFileError(str(error)) from error
    if not path.parent.is_dir():
        raise AreaFileError(f"{path}: there is no such folder; make it first")
    if format == "geojson":
        path.write_bytes(_geojson(areas, shapes, system))
        return path
    with tempfile.TemporaryDirectory(prefix="areas-") as name:
        stem = re.sub(r"\W+", "_", path.stem) or "areas"
        made = Path(name) / f"{stem}{'.shp' if format == 'shapefile' else FORMATS[format]}"
        _write_with_gdal(areas, shapes, made, format, system)
        if format == "shapefile":
            _zip([part for part in sorted(Path(name).iterdir()) if part.stem == stem], path)
        else:
            shutil.move(made, path)
    return path


def _geojson(areas: AreaSet, shapes: NDArray[np.object_], system: Crs) -> bytes:
    """GeoJSON (RFC 7946), one area a line, outer rings anticlockwise, to 0.1 mm in degrees, 1 mm else."""
    digits = 9 if system.name == WGS84 else 3
    head = ['"type":"FeatureCollection"']
    if system.name != WGS84:  # the older standard's way; RFC 7946 knows degrees only
        head.append('"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::27700"}}')
    lines = []
    for area, shape in zip(areas.areas(), shapes, strict=True):
        outward = shapely.orient_polygons(shape)
        properties = {"area_id": area.area_id, "kind": area.kind, "name": area.name}
        properties |= {key: area.attributes[key] for key in sorted(area.attributes) if key not in properties}
        feature = {
            "type": "Feature",
            "properties": properties,
            "geometry": {
                "type": outward.geom_type,
                "coordinates": _rounded(shapely.geometry.mapping(outward)["coordinates"], digits),
            },
        }
        lines.append(json.dumps(feature, ensure_ascii=False, separators=(",", ":")))
    body = ",\n".join(lines)
    return f'{{{",".join(head)},"features":[\n{body}\n]}}\n'.encode()


def _rounded(nested: Any, digits: int) -> Any:
    if isinstance(nested, int | float):
        return round(nested, digits)
    return [_rounded(each, digits) for each in nested]


def _write_with_gdal(areas: AreaSet, shapes: NDArray[np.object_], made: Path, format: str, crs: Crs) -> None:  # noqa: A002
    import pyogrio.raw

    driver = {"gpkg": "GPKG", "kml": "KML", "shapefile": "ESRI Shapefile"}[format]
    keys = sorted({key for row in areas.attributes for key in row} - {"area_id", "kind", "name"})
    texts: dict[str, Sequence[str | None]] = {
        "area_id": areas.area_id,
        "kind": [str(kind) for kind in areas.kind],
        "name": areas.name,
    }
    titles = _short(keys, set(texts)) if format == "shapefile" else dict(zip(keys, keys, strict=True))
    texts |= {titles[key]: [row.get(key) for row in areas.attributes] for key in keys}
    several = any(shape.geom_type == "MultiPolygon" for shape in shapes)
    pyogrio.raw.write(
        made,
        geometry=shapely.to_wkb(shapes),
        field_data=[np.array(values, dtype=object) for values in texts.values()],
        fields=list(texts),
        driver=driver,
        layer=made.stem,
        # One type a layer is what GeoPackage and other programs expect.
        geometry_type="MultiPolygon" if several else "Polygon",
        promote_to_multi=several,
        crs=crs.name,
        encoding="UTF-8" if format == "shapefile" else None,
    )


def _short(keys: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Names of ten letters, all a Shapefile's table has room for, each of them once."""
    titles: dict[str, str] = {}
    used = {name.lower() for name in taken}
    for key in keys:
        title, number = key[:10], 1
        while title.lower() in used:
            number += 1
            title = f"{key[: 9 - len(str(number))]}_{number}"
        used.add(title.lower())
        titles[key] = title
    return titles


def _zip(parts: Sequence[Path], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(zipfile.ZipInfo(part.name), part.read_bytes(), zipfile.ZIP_DEFLATED)
