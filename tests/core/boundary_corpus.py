"""Broken boundary files, made afresh: each with what the checks must say of it.

No file of the corpus is kept; a generator shows what is wrong better than bytes do. ``FAULTS`` are mistakes
in single areas, which can be put together in any number; ``CASES`` are whole files.
"""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import stat
import struct
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio.raw
import shapely
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box
from shapely.affinity import translate

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.crs import crs_of, from_wgs84
from geo.boundaries.writing import write_areas

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIDE = 0.01
"""Degrees: the side of the squares that areas are made of, 680 m by 1,100 m."""

WEST, SOUTH = -1.3, 52.5
OUTLINE = box(WEST - 0.1, SOUTH - 0.1, WEST + 0.5, SOUTH + 0.5)
"""A force's outline around all that the corpus draws (but for what is meant to lie outside)."""

METRE = 1 / 111_200
"""Degrees of latitude in a metre."""

Feature = dict[str, Any]


def square(x: float = 0, y: float = 0, size: float = SIDE) -> Polygon:
    """A square whose south-west corner is so many sides from the corner of the world."""
    return box(x * SIDE, y * SIDE, x * SIDE + size, y * SIDE + size, ccw=True)


def feature(ident: str | None, shape: Any, **properties: Any) -> Feature:
    """A GeoJSON feature; a shape may be a geometry or ready-made GeoJSON."""
    name = {"name": f"Beat {ident}"} if "name" not in properties else {}
    geometry = shapely.geometry.mapping(shape) if isinstance(shape, shapely.Geometry) else shape
    return {"type": "Feature", "properties": {"area_id": ident, **name, **properties}, "geometry": geometry}


@dataclass(frozen=True)
class Fault:
    """A mistake in one or two areas.

    Attributes:
        name: what it is.
        features: the areas, drawn around (0, 0); they are put where nothing else is.
        codes: the findings that it must get, no more and no fewer.
        kind: what the areas are for.
        fixed: whether it is about where they are, so that they must not be put elsewhere.
    """

    name: str
    features: Callable[[], list[Feature]]
    codes: frozenset[str]
    kind: Kind = Kind.NEIGHBOURHOOD
    fixed: bool = False


def _fault(
    name: str, codes: str, *features: Feature, kind: Kind = Kind.NEIGHBOURHOOD, fixed: bool = False
) -> Fault:
    return Fault(name, lambda: [dict(each) for each in features], frozenset(codes.split()), kind, fixed)


def _coordinates(*rings: list[tuple[float, ...]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(point) for point in ring] for ring in rings]}


S, H = SIDE, SIDE / 2
_VERTICES: list[tuple[float, ...]] = [(0, 0), (S, 0), (S, S), (0, S), (0, 0)]
_FRAME = Polygon(square(0, 0, 3 * S).exterior, [square(1, 1).exterior])


def _tangle(vertices: int) -> Polygon:
    """A ring through places at random: its crossings grow with the square of its vertices."""
    return Polygon(np.random.default_rng(7).uniform(0, S, (vertices, 2)))


FAULTS: tuple[Fault, ...] = (
    _fault(
        "bow tie", "shape-crossing", feature("bow", Polygon([(0, 0), (S, S), (S, 0), (0, 0.9 * S), (0, 0)]))
    ),
    _fault(
        "figure of eight",
        "shape-crossing",
        feature("eight", Polygon([(0, 0), (S, 0), (0.2 * S, S), (0.8 * S, S), (0, 0)])),
    ),
    _fault(
        "a spike",
        "shape-mended",
        feature("spike", Polygon([*_VERTICES[:4], (0, H), (0, 0.8 * S), (0, H), (0, 0)])),
    ),
    _fault(
        "a hole outside its shell",
        "shape-crossing",
        feature("hole", Polygon(_VERTICES, [square(2, 2).exterior.coords])),
    ),
    _fault(
        "a hole in a hole",
        "shape-crossing gap",
        feature(
            "holes",
            Polygon(
                _VERTICES,
                [box(0.1 * S, 0.1 * S, 0.9 * S, 0.9 * S).exterior, box(0.3 * S, 0.3 * S, H, H).exterior],
            ),
        ),
    ),
    _fault(
        "parts on each other",
        "shape-crossing",
        feature("parts", MultiPolygon([square(), translate(square(), H, H)])),
    ),
    _fault("the same part twice", "shape-crossing", feature("twins", MultiPolygon([square(), square()]))),
    _fault("a point", "shape-not-area", feature("point", Point(H, H))),
    _fault("a line", "shape-not-area", feature("line", LineString(_VERTICES))),
    _fault("no inside", "shape-not-area", feature("flat", Polygon([(0, 0), (S, 0), (H, 0), (0, 0)]))),
    _fault("no shape", "shape-missing", feature("none", None)),
    _fault("an empty shape", "shape-missing", feature("empty", {"type": "Polygon", "coordinates": []})),
    _fault(
        "a polygon with a point beside it",
        "shape-mixed",
        feature("mixed", GeometryCollection([square(), Point(0, 0)])),
    ),
    _fault("no id", "id-missing", feature(None, square())),
    _fault("a blank id", "id-missing", feature("  ", square())),
    _fault("one id twice", "id-twice", feature("twice", square()), feature("twice", square(2), name="Other")),
    _fault(
        "ids that differ in case", "id-nearly-twice", feature("NC-01", square()), feature("nc01", square(2))
    ),
    _fault("no name", "name-missing", feature("nameless", square(), name=None)),
    _fault(
        "one name twice",
        "name-twice",
        feature("n1", square(), name="Abbey"),
        feature("n2", square(2), name="ABBEY"),
    ),
    _fault("UTF-8 read as Windows-1252", "name-garbled", feature("moji", square(), name="CafÃ© Quarter")),
    _fault("letters lost for good", "name-garbled", feature("lost", square(), name="Caf\ufffd Quarter")),
    _fault("an id that steers a terminal", "id-unfit", feature("a\x1b[31mb", square())),
    _fault("an id that turns the writing", "id-unfit", feature("a\u202eb", square())),
    _fault("an id without end", "id-unfit", feature("x" * 201, square())),
    _fault("a name that steers a terminal", "name-unfit", feature("esc", square(), name="A\x1b[31mB")),
    _fault("a name that turns the writing", "name-unfit", feature("rlo", square(), name="A\u202eB")),
    _fault("a name without end", "name-unfit", feature("long", square(), name="x" * 201)),
    _fault("3,000 vertices at random", "shape-tangled", feature("tangle", _tangle(3_000))),
    _fault("an overlap", "overlap", feature("o1", square()), feature("o2", square(0.5))),
    _fault(
        "a sliver of overlap",
        "overlap-hairline",
        feature("h1", square()),
        feature("h2", square(1 - 0.3 * METRE / S)),
    ),
    _fault("one shape twice", "same-shape", feature("s1", square()), feature("s2", square())),
    _fault(
        "one inside the other",
        "one-inside-other",
        feature("i1", square(0, 0, 3 * S)),
        feature("i2", square(1, 1)),
    ),
    _fault("a gap", "gap", feature("g1", _FRAME), feature("g2", square(1, 1, 0.8 * S))),
    _fault(
        "a sliver of gap", "gap-hairline", feature("g3", _FRAME), feature("g4", square(1, 1, S - 0.5 * METRE))
    ),
    _fault("a hole that nobody fills", "gap", feature("g5", _FRAME)),
    _fault("much too small", "size-unlikely", feature("small", square(0, 0, 5 * METRE))),
    _fault(
        "a fragment", "part-tiny", feature("fragment", MultiPolygon([square(), square(2, 2, 0.5 * METRE)]))
    ),
    _fault("heights", "heights-dropped", feature("high", shapely.force_3d(square(), 77.0))),
    _fault("clockwise", "rings-turned", feature("turned", shapely.reverse(square()))),
    _fault("an open ring", "ring-open", feature("open", _coordinates(_VERTICES[:4]))),
    _fault(
        "a hole that stays open",
        "ring-open gap",
        feature("open2", _coordinates(_VERTICES, [(0.2 * S, 0.2 * S), (0.2 * S, H), (H, H), (H, 0.2 * S)])),
    ),
    _fault("outside the force", "outside-force", feature("away", square(70, 0)), fixed=True),
    _fault("across the outline", "partly-outside-force", feature("edge", square(49, 0, 2 * S)), fixed=True),
    _fault(
        "outside Great Britain",
        "outside-britain outside-force",
        feature("paris", translate(square(), 3.6, -3.6)),
        feature("here", square(45, 45)),
        feature("there", square(47, 45)),
        fixed=True,
    ),
    _fault("no such days", "days-unreadable", feature("d1", square(), days="Mon-Sut"), kind=Kind.PRIORITY),
    _fault("days in numbers", "days-unreadable", feature("d2", square(), days="1-5"), kind=Kind.PRIORITY),
    _fault("no such hours", "hours-unreadable", feature("u1", square(), hours="8pm-4am"), kind=Kind.PRIORITY),
    _fault("hour 25", "hours-unreadable", feature("u2", square(), hours="20:00-25:00"), kind=Kind.PRIORITY),
    _fault(
        "in no neighbourhood",
        "no-neighbourhood",
        feature("p1", square(-8, -8)),
        kind=Kind.PRIORITY,
        fixed=True,
    ),
    _fault(
        "one priority area twice",
        "same-shape",
        feature("p2", square()),
        feature("p3", square()),
        kind=Kind.PRIORITY,
    ),
    _fault(
        "premises on premises",
        "overlap",
        feature("q1", square()),
        feature("q2", square(0.5)),
        kind=Kind.PREMISES,
    ),
)


def placed(faults: list[Fault]) -> list[Feature]:
    """The features of several faults, each where no other is, with their kinds."""
    features = []
    for at, fault in enumerate(faults):
        # Eight to a row; nothing here is wider than three squares.
        column, row = (0, 0) if fault.fixed else (at % 8, at // 8)
        x, y = WEST + column * 5 * SIDE, SOUTH + row * 5 * SIDE
        for each in fault.features():
            geometry = each["geometry"]
            moved = None if geometry is None else {**geometry, **_moved(geometry, x, y)}
            properties = {**each["properties"], "kind": str(fault.kind)}
            features.append({**each, "properties": properties, "geometry": moved})
    return features


def _moved(geometry: dict[str, Any], x: float, y: float) -> dict[str, Any]:
    if geometry["type"] == "GeometryCollection":
        return {"geometries": [{**each, **_moved(each, x, y)} for each in geometry["geometries"]]}

    def move(nested: Any) -> Any:
        if nested and isinstance(nested[0], int | float):
            return [nested[0] + x, nested[1] + y, *nested[2:]]
        return [move(each) for each in nested]

    return {"coordinates": move(geometry["coordinates"])}


def sound(kind: Kind = Kind.NEIGHBOURHOOD) -> AreaSet:
    """Four squares side by side with nothing wrong about them."""
    return AreaSet.of(
        Area(kind, f"S{at}", f"Sound {at}", translate(square(at % 2, at // 2), WEST, SOUTH))
        for at in range(4)
    )


def homes() -> AreaSet:
    """One neighbourhood under all that the faults draw, for priority areas and premises to lie in."""
    shape = box(WEST - 0.01, SOUTH - 0.01, WEST + 0.39, SOUTH + 0.39)
    return AreaSet.of([Area(Kind.NEIGHBOURHOOD, "home", "Home", shape)])


def write(path: Path, features: list[Feature], **more: Any) -> Path:
    """A GeoJSON file just as told."""
    path.write_text(json.dumps({"type": "FeatureCollection", **more, "features": features}), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Case:
    """A whole file.

    Attributes:
        name: what is wrong.
        make: writes it into a folder.
        codes: findings that it must get.
        says: a pattern that the text of one of them must match.
        options: what ``check`` is told besides.
    """

    name: str
    make: Callable[[Path], Path]
    codes: frozenset[str] = frozenset({"unreadable"})
    says: str = ""
    options: dict[str, Any] = field(default_factory=dict)


# How files are broken -------------------------------------------------------------------------------------


def geojson(folder: Path) -> Path:
    """A sound GeoJSON file."""
    return write_areas(sound(), folder / "areas.geojson")


def gpkg(folder: Path) -> Path:
    """A sound GeoPackage."""
    return write_areas(sound(), folder / "areas.gpkg")


def kml(folder: Path) -> Path:
    """A sound KML file."""
    return write_areas(sound(), folder / "areas.kml")


def shapefile(folder: Path) -> Path:
    """A sound zipped Shapefile in British National Grid."""
    return write_areas(sound(), folder / "areas.zip", crs="EPSG:27700")


def loose(folder: Path) -> Path:
    """A sound Shapefile with its parts beside it; the .shp."""
    shutil.unpack_archive(shapefile(folder), folder / "loose")
    return folder / "loose" / "areas.shp"


def accented(folder: Path) -> Path:
    """A Shapefile with names in UTF-8 and nothing that says so."""
    area = Area(Kind.PRIORITY, "Y1", "Ynys Môn", sound().geometry[0])
    shutil.unpack_archive(write_areas(AreaSet.of([area]), folder / "areas.zip"), folder / "loose")
    (folder / "loose" / "areas.cpg").unlink()
    return folder / "loose" / "areas.shp"


def latin(folder: Path) -> Path:
    """A GeoJSON file with a name in Latin-1."""
    path = write(folder / "areas.geojson", [feature("Y1", _here(square()), name="Ynys Mon")])
    path.write_bytes(path.read_bytes().replace(b"Ynys Mon", "Ynys Môn".encode("latin-1")))
    return path


def latin_table(folder: Path) -> Path:
    """A Shapefile with a name in Latin-1 whose .cpg says UTF-8."""
    table = accented(folder).with_suffix(".dbf")
    table.write_bytes(table.read_bytes().replace("ô".encode(), "ô".encode("latin-1") + b" "))
    table.with_suffix(".cpg").write_text("UTF-8")
    return table.with_suffix(".shp")


def abroad(folder: Path) -> Path:
    """Two areas near Paris."""
    return write(
        folder / "areas.geojson",
        [feature(f"F{at}", _here(translate(square(at), 3.6, -3.6))) for at in (0, 1)],
    )


def heap(folder: Path) -> Path:
    """5,000 areas with one shape."""
    return write(folder / "areas.geojson", [feature(f"H{at}", _here(square())) for at in range(5_000)])


def _here(shape: Any) -> Any:
    return translate(shape, WEST, SOUTH)


def tab(folder: Path) -> Path:
    """A sound MapInfo table; the .tab."""
    meta, _, shapes, fields = pyogrio.raw.read(gpkg(folder))
    (folder / "tab").mkdir()
    path = folder / "tab" / "areas.tab"
    pyogrio.raw.write(
        path, shapes, fields, meta["fields"], driver="MapInfo File", crs="EPSG:4326", geometry_type="Polygon"
    )
    return path


def cut(make: Callable[[Path], Path], share: float, part: str = "") -> Callable[[Path], Path]:
    """Cut a file (or its companion of another ending) to a share of its length."""

    def made(folder: Path) -> Path:
        path = make(folder)
        victim = path.with_suffix(part) if part else path
        victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * share)])
        return path

    return made


def without(make: Callable[[Path], Path], part: str) -> Callable[[Path], Path]:
    """Leave a companion file out."""

    def made(folder: Path) -> Path:
        path = make(folder)
        path.with_suffix(part).unlink()
        return path

    return made


def patched(make: Callable[[Path], Path], part: str, at: int, data: bytes) -> Callable[[Path], Path]:
    """Write bytes over a header."""

    def made(folder: Path) -> Path:
        path = make(folder)
        victim = path.with_suffix(part)
        whole = bytearray(victim.read_bytes())
        whole[at : at + len(data)] = data
        victim.write_bytes(whole)
        return path

    return made


def text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    """A file with just that in it."""

    def made(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return made


def zipped(name: str, entries: dict[str, bytes]) -> Callable[[Path], Path]:
    """A zip with these entries, whatever their names are."""

    def made(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as file:
            for inside, content in entries.items():
                file.writestr(zipfile.ZipInfo(inside), content, zipfile.ZIP_DEFLATED)
        return folder / name

    return made


def beside(name: str, content: bytes) -> Callable[[Path], Path]:
    """A sound zipped Shapefile with one more entry."""

    def made(folder: Path) -> Path:
        path = shapefile(folder)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, content)
        return path

    return made


def link(folder: Path) -> Path:
    """A zip with a symbolic link to a file outside."""
    path = shapefile(folder)
    entry = zipfile.ZipInfo("extra.geojson")
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(entry, "/etc/hostname")
    return path


def locked(folder: Path) -> Path:
    """A zip whose entries say that they are encrypted."""
    path = shapefile(folder)
    whole = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = whole.find(mark)
        while at >= 0:
            whole[at + offset] |= 1
            at = whole.find(mark, at + 4)
    path.write_bytes(whole)
    return path


def liar(folder: Path) -> Path:
    """A zip bomb that claims to unpack to little: its directory says 1,000 bytes for 30 MB."""
    path = zipped("bomb.zip", {"areas.geojson": b" " * (30 << 20)})(folder)
    whole = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = whole.find(mark)
        whole[at + offset : at + offset + 4] = struct.pack("<I", 1_000)
    path.write_bytes(whole)
    return path


def nested(folder: Path) -> Path:
    """A zip within a zip."""
    inner = io.BytesIO(shapefile(folder).read_bytes())
    return zipped("outer.zip", {"areas.zip": inner.getvalue()})(folder)


def two_layers(folder: Path) -> Path:
    """A GeoPackage with two layers."""
    path = gpkg(folder)
    meta, _, shapes, fields = pyogrio.raw.read(path)
    pyogrio.raw.write(
        path,
        shapes,
        fields,
        meta["fields"],
        layer="beats",
        crs="EPSG:4326",
        geometry_type="Polygon",
        append=True,
    )
    return path


def _in_gpkg(*statements: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        path = gpkg(folder)
        base = sqlite3.connect(path)
        # What GDAL's triggers call, which nothing here depends on.
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            base.create_function(name, 1, lambda _: 0)
        for statement in statements:
            base.execute(statement)
        base.commit()
        base.close()
        return path

    return made


def curved(folder: Path) -> Path:
    """A GeoPackage with a circle drawn as arcs."""
    x, y, r = WEST + SIDE, SOUTH + SIDE, SIDE
    arcs = [(x - r, y), (x, y + r), (x + r, y), (x, y - r), (x - r, y)]
    circle = struct.pack("<BII", 1, 8, len(arcs)) + b"".join(struct.pack("<dd", *point) for point in arcs)
    # The GeoPackage standard's header: magic, version, flags (little endian, no envelope), reference system.
    blob = b"GP\0\x01" + struct.pack("<i", 4326) + struct.pack("<BII", 1, 10, 1) + circle
    return _in_gpkg(
        "DELETE FROM areas WHERE fid > 1",
        f"UPDATE areas SET geom = x'{blob.hex()}'",
        "UPDATE gpkg_geometry_columns SET geometry_type_name = 'CURVEPOLYGON'",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'POLYGON', 'CURVEPOLYGON') WHERE name = 'areas'",
    )(folder)


def in_system(
    name: str, suffix: str, *, told: str | None = None, swap: bool = False
) -> Callable[[Path], Path]:
    """Sound areas with numbers in one system under the name of another."""

    def made(folder: Path) -> Path:
        shapes = from_wgs84(sound().geometry, crs_of(name))
        if swap:
            shapes = shapely.transform(shapes, lambda xy: xy[:, ::-1])
        crs = {} if told is None else {"crs": {"type": "name", "properties": {"name": told}}}
        features = [feature(ident, shape) for ident, shape in zip(sound().area_id, shapes, strict=True)]
        return write(folder / f"areas{suffix}", features, **crs)

    return made


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
    "<Placemark><name>&c;</name></Placemark></Document></kml>"
)
OUTSIDE_ENTITY = ENTITIES.replace('<!ENTITY a "ha">', '<!ENTITY a SYSTEM "file:///etc/hostname">')
VRT = (
    '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>/etc/hostname</SrcDataSource>'
    "</OGRVRTLayer></OGRVRTDataSource>"
)
TWO_GB = 0x7FFF_FFF0


def _codes(codes: str) -> frozenset[str]:
    return frozenset(codes.split())


def _one(**properties: Any) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        single = {
            "type": "Feature",
            "properties": properties,
            "geometry": shapely.geometry.mapping(sound().geometry[0]),
        }
        return write(folder / "areas.geojson", [single])

    return made


N = {"kind": Kind.NEIGHBOURHOOD}

CASES: tuple[Case, ...] = (
    # What is no boundary file at all.
    Case("a file of no bytes", text("areas.geojson", b""), says="is empty"),
    Case("a letter", text("areas.geojson", "Dear colleague, please find attached"), says="no recognised"),
    Case(
        "a picture",
        text("areas.gpkg", b"\x89PNG\r\n\x1a\n" + b"\0" * 200),
        says="does not begin as a GeoPackage",
    ),
    Case("a letter as .zip", text("areas.zip", "Dear colleague"), says="damaged archive"),
    Case(
        "a letter as .shp",
        lambda f: text("loose/areas.shp", "Dear")(loose(f).parents[1]),
        says="does not begin",
    ),
    Case("a folder with no file", lambda f: f, says="no recognised boundary file"),
    Case("a table without shapes", text("areas.csv", "area_id,name\n1,Abbey\n"), says="no recognised format"),
    Case("a zip with a letter", zipped("a.zip", {"letter.txt": b"Dear"}), says="only: letter.txt"),
    Case("a zip with nothing", zipped("a.zip", {}), says="only: nothing"),
    # Cut short.
    *(
        Case(f"GeoJSON cut at {share:.0%}", cut(geojson, share), says="cannot be read")
        for share in (0.2, 0.6, 0.99)
    ),
    *(Case(f"GeoPackage cut at {share:.0%}", cut(gpkg, share), says="cut short") for share in (0.3, 0.9)),
    Case("GeoPackage cut in its header", cut(gpkg, 0.0005), says="does not begin as a GeoPackage"),
    *(Case(f"KML cut at {share:.0%}", cut(kml, share), says="cannot be read") for share in (0.3, 0.9)),
    *(
        Case(f"zip cut at {share:.0%}", cut(shapefile, share), says="damaged archive")
        for share in (0.1, 0.5, 0.95)
    ),
    *(Case(f"{part} cut", cut(loose, 0.6, part), says="cut short") for part in (".shp", ".shx", ".dbf")),
    Case(".shp cut in its header", cut(loose, 0.05), says="does not begin as a Shapefile"),
    *(Case(f"{part} cut", cut(tab, 0.5, part), says="cut short|cannot be read") for part in (".dat", ".map")),
    # Parts missing.
    *(Case(f"no {part}", without(loose, part), says=f"without its {part}") for part in (".shx", ".dbf")),
    *(Case(f"no {part}", without(tab, part), says=f"without its {part}") for part in (".dat", ".map", ".id")),
    # Headers that claim 2 GB.
    Case("2 GB in .shp", patched(loose, ".shp", 24, struct.pack(">I", TWO_GB // 2)), says="claims 2,048 MB"),
    Case("2 GB in .shx", patched(loose, ".shx", 24, struct.pack(">I", TWO_GB // 2)), says="claims 2,048 MB"),
    Case("2 GB in .dbf", patched(loose, ".dbf", 4, struct.pack("<I", 100_000_000)), says="claims .* MB"),
    Case("2 GB in .dat", patched(tab, ".dat", 4, struct.pack("<I", 100_000_000)), says="claims .* MB"),
    Case("2 GB in .gpkg", patched(gpkg, ".gpkg", 28, struct.pack(">I", 524_288)), says="claims 2,048 MB"),
    Case(
        "2 GB in a record", patched(loose, ".shp", 104, struct.pack(">I", TWO_GB // 2)), says="another length"
    ),
    Case(
        "2 GB in the index",
        patched(loose, ".shx", 104, struct.pack(">I", TWO_GB // 2)),
        says="beyond its end",
    ),
    Case(
        "2 G vertices in a shape",
        patched(loose, ".shp", 148, struct.pack("<I", TWO_GB)),
        codes=_codes("shape-missing"),
        says="S0 has no shape",
    ),
    # Archives that mean harm.
    Case("out of the folder", beside("../../evil.geojson", b"{}"), says="outside its folder"),
    Case("out of the folder, Windows", beside("..\\..\\evil.geojson", b"{}"), says="outside its folder"),
    Case("an absolute path", beside("/tmp/evil.geojson", b"{}"), says="outside its folder"),
    Case("a drive", beside("C:evil.geojson", b"{}"), says="outside its folder"),
    Case("a link", link, says="is a link"),
    Case("a password", locked, says="has a password"),
    Case("a bomb", zipped("bomb.zip", {"areas.geojson": b" " * (60 << 20)}), says="would grow from"),
    Case("a bomb that lies", liar, says="damaged archive|grows without end|cannot be read"),
    Case("a bomb as .kmz", zipped("bomb.kmz", {"doc.kml": b" " * (60 << 20)}), says="would grow from"),
    Case(
        "2,000 entries",
        zipped("many.zip", {f"{at}.txt": b"" for at in range(2_000)}),
        says="holds 2000 files",
    ),
    Case("a zip in a zip", nested, says="only: areas.zip"),
    Case("one entry twice in other letters", beside("AREAS.SHP", b"x"), says="is in it twice"),
    # XML that means harm.
    Case("KML entities", text("areas.kml", ENTITIES), says="document type"),
    Case("KML with a file as entity", text("areas.kml", OUTSIDE_ENTITY), says="document type"),
    Case("KML entities in UTF-16", text("areas.kml", ENTITIES.encode("utf-16")), says="document type"),
    Case("KML entities in KMZ", zipped("areas.kmz", {"doc.kml": ENTITIES.encode()}), says="document type"),
    Case("GML entities", text("areas.gml", ENTITIES), says="document type"),
    Case("XML entities under another name", text("areas.geojson", ENTITIES), says="document type"),
    # Files that reach for others, or never end.
    Case("a table of tables", text("areas.vrt", VRT), says="no recognised format"),
    Case("a table of tables under another name", text("areas.geojson", VRT), says="no recognised format"),
    Case(
        "a MapInfo table of tables",
        text("areas.tab", '!table\nDefinition Table\n  Type NATIVE\n"\\IsSeamless" = "TRUE"\n'),
        says="native",
    ),
    Case(
        "a MapInfo view",
        text("areas.tab", "!table\n!version 100\nDefinition Table\n  Type LINKED\n"),
        says="native",
    ),
    Case(
        "brackets without end",
        text("areas.geojson", '{"type":"FeatureCollection","features":' + "[" * 100_000),
    ),
    Case(
        "a layer that never ends",
        _in_gpkg(
            "ALTER TABLE areas RENAME TO kept",
            "CREATE VIEW areas AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT i AS fid, k.geom, k.area_id, k.kind, k.name FROM n JOIN kept k ON k.fid = 1",
        ),
        says="has a view",
    ),
    # Layers, columns, kinds.
    Case("two layers", two_layers, says="--layer: areas, beats"),
    Case("a layer that is not there", gpkg, says="choose with --layer: areas", options={"layer": "wards"}),
    Case("no rows", lambda f: write(f / "areas.geojson", []), codes=_codes("nothing-in-it")),
    Case(
        "no recognised id column",
        _one(beat="A1"),
        codes=_codes("columns-unknown"),
        says="--id-column",
        options=N,
    ),
    Case("two id columns", _one(LAD13CD="1", CTY13CD="2"), codes=_codes("columns-unknown"), options=N),
    Case("no kind", _one(id="A1"), codes=_codes("kind-unknown"), says="--kind"),
    Case("a kind of its own", _one(id="A1", kind="beat"), codes=_codes("kind-unknown"), says="'beat'"),
    Case("another kind", _one(id="A1", kind="beat"), codes=_codes("kind-replaced"), options=N),
    # Where on earth.
    Case(
        "no system",
        without(loose, ".prj"),
        codes=_codes("crs-missing"),
        says="National Grid.*--crs EPSG:27700",
    ),
    Case(
        "grid metres called degrees",
        in_system("EPSG:27700", ".geojson"),
        codes=_codes("crs-wrong"),
        says="--crs EPSG:27700",
        options=N,
    ),
    Case(
        "degrees called grid metres",
        in_system("EPSG:4326", ".geojson", told="urn:ogc:def:crs:EPSG::27700"),
        codes=_codes("crs-wrong"),
        says="--crs EPSG:4326",
        options=N,
    ),
    Case(
        "Web Mercator called grid",
        in_system("EPSG:3857", ".geojson", told="urn:ogc:def:crs:EPSG::27700"),
        codes=_codes("crs-wrong"),
        says="--crs EPSG:3857",
        options=N,
    ),
    Case(
        "latitude first",
        in_system("EPSG:4326", ".geojson", swap=True),
        codes=_codes("axes-swapped"),
        says="--crs EPSG:4326:yx",
        options=N,
    ),
    Case(
        "northing first",
        in_system("EPSG:27700", ".geojson", told="urn:ogc:def:crs:EPSG::27700", swap=True),
        codes=_codes("axes-swapped"),
        says="--crs EPSG:27700:yx",
        options=N,
    ),
    Case(
        "a system that is none",
        geojson,
        codes=_codes("crs-wrong"),
        says="is not a known coordinate",
        options={"crs": "EPSG:1"},
    ),
    Case(
        "another system as instructed",
        in_system("EPSG:27700", ".geojson"),
        codes=_codes("crs-replaced"),
        options={"crs": "EPSG:27700", **N},
    ),
    Case(
        "areas in another country", abroad, codes=_codes("abroad"), says="2 of 2 areas.*latitude", options=N
    ),
    Case(
        "5,000 squares on top of each other",
        heap,
        codes=_codes("heaped"),
        says="more than 500 overlaps",
        options=N,
    ),
    Case("GeoJSON in Latin-1", latin, says="--encoding|UTF-8", options=N),
    Case("a table in Latin-1 that says UTF-8", latin_table, says="--encoding latin-1"),
    Case("UTF-8 that nothing names", accented, codes=_codes("name-garbled"), says="Ynys MÃ´n"),
    Case("arcs", curved, codes=_codes("curves-straightened"), options=N),
)
