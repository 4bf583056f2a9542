"""Boundary files to areas: GeoJSON, GeoPackage, zipped Shapefile, KML and KMZ, MapInfo TAB."""

from __future__ import annotations

import codecs
import re
import tempfile
from pathlib import Path

import shapely

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.columns import attributes_of, column, find_column, kinds_of
from geo.boundaries.distrust import dataset_in, refuse_damaged, unpacked_archive
from geo.boundaries.formats import (
    OPENSTREETMAP,
    copied,
    format_of,
    refuse_no_extract,
    refuse_pipes,
    refuse_references,
)
from geo.boundaries.gdal import ask_gdal, layer_of_answer
from geo.boundaries.layer import LIMITS, AreaFileError, RawLayer, ReadingLimits, unfit
from geo.boundaries.shapes import change_m2, locate, mend


def read_areas(
    path: str | Path,
    kind: Kind | None = None,
    *,
    layer: str | None = None,
    id_column: str | None = None,
    name_column: str | None = None,
    crs: str | None = None,
    limits: ReadingLimits = LIMITS,
) -> AreaSet:
    """Read boundaries into WGS84 degrees.

    Args:
        path: a file, a zip of one, or a folder with one in it.
        kind: what the areas are for; None to take each feature's own ``kind`` column.
        layer: which layer, needed where there are several.
        id_column: the column with the ids; None to find ``area_id``, ``id``, ``code``, ``WD..CD``.
        name_column: the column with the names; None to find ``name``, ``WD..NM``, else names are ids.
        crs: the reference system, as ``EPSG:27700``, in place of the one that the file names.
        limits: limits on size, memory and time.

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
            raise AreaFileError(f"{raw.source}: row {at + 1} has an id that is too long or not text; mend it")
        mended = mend(shape)
        if mended is None:
            what = "no shape" if shape is None or shape.is_empty else f"a {shape.geom_type}, not a polygon"
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


def read_layer(
    path: str | Path, layer: str | None = None, *, encoding: str | None = None, limits: ReadingLimits = LIMITS
) -> RawLayer:
    """Read one layer of a file exactly as it is, in bounded time and memory.

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
        refuse_pipes(path, path.name)
        with unpacked_archive(path, limits) as folder, tempfile.TemporaryDirectory(prefix="areas-") as own:
            found, layer = dataset_in(folder or path, path.name, layer)
            form = format_of(found, path.name)
            dataset = copied(found, form, Path(own).resolve(), path.name, limits)
            refuse_damaged(dataset, path.name, limits)
            refuse_references(dataset, form, path.name)
            answer, blob = ask_gdal(dataset, form, path.name, layer, limits, encoding)
    except OSError as error:
        raise AreaFileError(f"{path.name}: cannot be opened: {error.strerror}") from error
    return layer_of_answer(answer, blob, path.name)


def read_extract(path: Path, layer: str, columns: str, where: str, limits: ReadingLimits) -> RawLayer:
    """One layer of an OpenStreetMap extract, read as a boundary file is: shut in, and from this file only.

    Args:
        path: an ``.osm.pbf`` or ``.osm`` file.
        layer: ``points``, ``lines``, …
        columns: which, divided by commas.
        where: which rows, in GDAL's SQL.
        limits: on memory, time and vertices.

    Raises:
        AreaFileError: it is missing, damaged or something else.
    """
    if not path.is_file():
        raise AreaFileError(f"{path.name}: there is no such file; check the path")
    refuse_no_extract(path, path.name)
    answer, blob = ask_gdal(path.resolve(), OPENSTREETMAP, path.name, layer, limits, only=(columns, where))
    return layer_of_answer(answer, blob, path.name)
