"""Areas to boundary files."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.boundaries.crs import (
    BNG,
    WGS84,
    Crs,
    CrsError,
    crs_of,
    from_wgs84,
)
from geo.boundaries.layer import AreaFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet


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


def areas_geojson(areas: AreaSet) -> bytes:
    """Areas as one GeoJSON file, in degrees."""
    return _geojson(areas, areas.geometry, crs_of(WGS84))


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
    """Unique names of ten characters, which is all that a Shapefile's table has room for."""
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
