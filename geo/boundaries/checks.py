"""Findings on a boundary file: what is wrong, where, how serious it is, and what was repaired.

A layer of a file goes in, areas and findings come out, and nothing is published or written here. An
error stops a publication, a warning and a note do not; people may accept an error by its code, with name and
reason, and it becomes a note. Every code is listed in ``findings.CODES`` and, for people, in
``geo/README.md``.
Sizes are square metres on the ground, places are WGS84 degrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.areas import AreaSet, Kind
from geo.boundaries.crs import (
    BNG,
    REVERSED,
    Look,
    crs_of,
    looks_like,
    to_wgs84,
)
from geo.boundaries.each_area import areas_of_rows
from geo.boundaries.findings import (
    CODES,
    NOTHING,
    Acceptance,
    Checked,
    Findings,
    Severity,
    UnusableFileError,
    counted,
    finding_of,
    refuse_acceptances,
    with_acceptance,
)
from geo.boundaries.layer import AreaFileError, RawLayer
from geo.boundaries.shapes import locate, system_of
from geo.boundaries.together import (
    against_each_other,
    against_outline,
    against_published,
    far_from_published,
    mostly_abroad,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def check(
    raw: RawLayer,
    kind: Kind | None = None,
    against: AreaSet | None = None,
    outline: Any = None,
    *,
    id_column: str | None = None,
    name_column: str | None = None,
    crs: str | None = None,
    accept: Mapping[str, Acceptance] | None = None,
) -> Checked:
    """Check a layer of a boundary file.

    Args:
        raw: the layer as it was read.
        kind: what its areas are for; None to take each feature's own ``kind``.
        against: what is published of other kinds; priority areas and premises are looked for in its
            neighbourhoods.
        outline: the force's area, shapely polygon in WGS84 degrees.
        id_column: the column with the ids, where it cannot be found.
        name_column: the column with the names, where it cannot be found.
        crs: the reference system, in place of the file's.
        accept: errors that are accepted, by code or by ``code:area_id``; those of a file that cannot be used
            at all cannot be.

    Raises:
        ValueError: ``accept`` names an unknown code, or one that cannot be accepted.
    """
    accept = accept or {}
    refuse_acceptances(accept)
    areas: AreaSet | None = None
    found = Findings()
    try:
        shapes = _located(raw, crs, outline, found)
        rows = areas_of_rows(raw, kind, shapes, id_column=id_column, name_column=name_column, found=found)
        areas = AreaSet.of(rows) if rows else None
        if areas is not None:
            mostly_abroad(areas, found)
            for each in Kind:
                against_each_other(areas.only(each), each, found)
            against_outline(areas, outline, found)
            against_published(areas, against, found)
            if outline is None:
                far_from_published(areas, against, found)
    except UnusableFileError as stop:
        areas = None
        found.append(stop.finding)
    except (shapely.errors.ShapelyError, MemoryError, RecursionError) as error:
        areas = None
        said = " ".join(str(error).split())[:120] or "no memory"
        text = f"{raw.source}: its shapes cannot be worked with ({said}); simplify them and export it again"
        found.add("unreadable", text, NOTHING)
    order = {code: at for at, code in enumerate(CODES)}
    judged = [with_acceptance(finding, accept) for finding in found]
    judged.sort(
        key=lambda f: (list(Severity).index(f.severity), order[f.code], -(f.size_m2 or 0.0), f.area_id or "")
    )
    return Checked(areas, tuple(judged))


def _located(raw: RawLayer, crs: str | None, outline: Any, found: Findings) -> NDArray[np.object_]:
    """Shapes in degrees, and findings on where they are."""
    if not len(raw):
        raise UnusableFileError("nothing-in-it", f"{raw.source}: has no areas in it; export it again")
    west, south, east, north = (float(value) for value in shapely.total_bounds(raw.geometry))
    look = looks_like((west, south, east, north))
    named = crs if crs is not None else raw.crs
    try:
        system = system_of(raw, crs)
        shapes = locate(raw, crs)
    except AreaFileError as error:
        code = "crs-missing" if named is None else "crs-wrong"
        if named is not None and look is Look.LATLON and not named.endswith(REVERSED):
            code = "axes-swapped"
        raise UnusableFileError(code, str(error)) from error
    if system.kind == "grid" and outline is not None and not _reaches(shapes, outline):
        other = crs_of(system.name if system.reversed else f"{system.name}{REVERSED}")
        if (north if not system.reversed else east) <= 700_000 and _reaches(
            to_wgs84(raw.geometry, other), outline
        ):
            raise UnusableFileError(
                "axes-swapped",
                f"{raw.source}: northing comes before easting: the areas lie in the force only when "
                f"they are swapped; swap them in the file, or give --crs {BNG}{REVERSED}",
            )
    if crs is not None and raw.crs is not None and crs_of(raw.crs).name != system.name:
        found.add(
            "crs-replaced", f"the file names {crs_of(raw.crs).name}", f"{system.name} was used as instructed"
        )
    if shapely.has_z(raw.geometry).any():
        found.add("heights-dropped", "the shapes carry heights", "heights were dropped")
    if raw.curved:
        found.add(
            "curves-straightened",
            "some edges are arcs",
            "drawn as short straight lines, nowhere far from the arc",
        )
    _remarks(raw, found)
    return shapes


def _reaches(shapes: NDArray[np.object_], outline: Any) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(shapely.intersects(shapely.box(*shapely.total_bounds(shapes)), outline))


def _remarks(raw: RawLayer, found: Findings) -> None:
    """What the reader noticed, and rings that run the wrong way where the format says which is right."""
    found.extend(finding_of("reader-remark", remark, "") for remark in raw.notes)
    if raw.driver in ("GeoJSON", "KML", "LIBKML"):
        parts = shapely.get_parts(
            raw.geometry[shapely.is_valid(raw.geometry) & ~shapely.is_empty(raw.geometry)]
        )
        rings = shapely.get_exterior_ring(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
        turned = int((~shapely.is_ccw(rings)).sum())
        if turned:
            found.add(
                "rings-turned",
                f"{counted(turned, 'outer ring')} clockwise, where {raw.driver} wants the opposite",
                "which side is inside was never in doubt",
            )
