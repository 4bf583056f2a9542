"""Boundary files in and out: the same areas from every format, and one clear line for every other file."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.crs import area_m2, crs_of, to_wgs84
from geo.boundaries.layer import LIMITS, AreaFileError, ReadingLimits
from geo.boundaries.reading import read_areas, read_layer
from geo.boundaries.shapes import with_shared_vertices
from geo.boundaries.writing import write_areas
from tests.real import DATA, needs_data

METRE_DEG = 1 / 111_000


def farthest_m(one: AreaSet, other: AreaSet) -> float:
    """How far the outlines of two sets lie apart at most, metres (of latitude, so rather too many)."""
    return float(shapely.hausdorff_distance(one.geometry, other.geometry).max()) / METRE_DEG


def three() -> AreaSet:
    """Two neighbourhoods, one with a hole, and a priority area in two parts."""
    ring = shapely.Polygon(
        shapely.box(-1.2, 52.6, -1.1, 52.7).exterior, [shapely.box(-1.16, 52.64, -1.14, 52.66).exterior]
    )
    two = shapely.MultiPolygon(
        [shapely.box(-1.19, 52.61, -1.18, 52.62), shapely.box(-1.17, 52.61, -1.165, 52.62)]
    )
    return AreaSet.of(
        [
            Area(Kind.NEIGHBOURHOOD, "N1", "Beaumont Leys", ring),
            Area(Kind.NEIGHBOURHOOD, "N2", "Ŷstrad & Øst", shapely.box(-1.1, 52.6, -1.0, 52.7)),
            Area(
                Kind.PRIORITY,
                "P1",
                "Market",
                two,
                {"issue": "theft", "days": "Mon-Sat", "hours": "20:00-04:00"},
            ),
        ]
    )


@needs_data
@pytest.mark.shared
def test_wards_are_the_same_from_degrees_and_from_the_grid() -> None:
    """The wards' GeoJSON and their zipped Shapefile in British National Grid load as one, within 2 cm."""
    degrees = read_areas(DATA / "wards_leicestershire.geojson", Kind.NEIGHBOURHOOD)
    grid = read_areas(DATA / "wards_leicestershire_bng_shp.zip", Kind.NEIGHBOURHOOD)
    assert len(degrees) == 171
    assert (degrees.area_id, degrees.name, degrees.attributes) == (grid.area_id, grid.name, grid.attributes)
    assert farthest_m(degrees, grid) < 0.02


@needs_data
@pytest.mark.shared
def test_real_files_need_no_options() -> None:
    """Priority areas and premises tell their own kind; a GeoPackage in the grid lands on Leicestershire."""
    priority = read_areas(DATA / "priority_areas.geojson")
    assert set(priority.kind) == {Kind.PRIORITY}
    assert priority.attributes[0]["hours"] == "20:00-04:00"
    assert set(read_areas(DATA / "premises.geojson").kind) == {Kind.PREMISES}
    force = read_areas(DATA / "force_leicestershire_bng.gpkg", Kind.NEIGHBOURHOOD)
    assert force.name == ("Leicestershire",)
    assert shapely.contains_xy(force.geometry[0], -1.1398, 52.6369)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:27700"])
@pytest.mark.parametrize("format", ["geojson", "gpkg", "kml", "shapefile"])
def test_what_is_written_is_read_again(tmp_path: Path, format: str, crs: str) -> None:  # noqa: A002
    """Every format and system that is written comes back as the same areas, within 2 mm."""
    if format == "kml" and crs != "EPSG:4326":
        with pytest.raises(AreaFileError, match="KML knows degrees only"):
            write_areas(three(), tmp_path / "a.kml", format, crs)
        return
    made = write_areas(three(), tmp_path / "a.out", format, crs).rename(tmp_path / f"a.{_ending(format)}")
    again = read_areas(made)
    assert (again.kind, again.area_id, again.name) == (three().kind, three().area_id, three().name)
    assert again.attributes == three().attributes
    assert farthest_m(again, three()) < 0.002


def _ending(format: str) -> str:  # noqa: A002
    return {"shapefile": "zip"}.get(format, format)


coordinates = st.tuples(st.floats(-3, 1), st.floats(51, 54), st.floats(0.001, 0.1), st.floats(0.001, 0.1))


@settings(max_examples=15, deadline=None)
@given(st.lists(coordinates, min_size=1, max_size=5), st.sampled_from(["geojson", "kml"]), st.randoms())
def test_any_areas_survive_the_journey(
    tmp_path_factory: pytest.TempPathFactory,
    boxes: list[tuple[float, float, float, float]],
    format: str,  # noqa: A002
    random: Any,
) -> None:
    """Any areas written and read are the same areas in the same order, and order in makes no odds."""
    areas = [
        Area(Kind.PRIORITY, f"P{at}", f"Näme {at} <&>", shapely.box(x, y, x + w, y + h), {"issue": f'"{at}"'})
        for at, (x, y, w, h) in enumerate(boxes)
    ]
    shuffled = random.sample(areas, len(areas))
    path = tmp_path_factory.mktemp("any") / f"a.{format}"
    first = write_areas(AreaSet.of(areas), path).read_bytes()
    again = read_areas(path)
    assert (again.area_id, again.name) == (AreaSet.of(areas).area_id, AreaSet.of(areas).name)
    assert again.attributes == AreaSet.of(areas).attributes
    assert farthest_m(again, AreaSet.of(areas)) < 0.001
    if format == "geojson":
        assert write_areas(AreaSet.of(shuffled), path).read_bytes() == first
        assert write_areas(again, path).read_bytes() == first


def test_mapinfo_tables_are_read_loose_and_zipped(tmp_path: Path) -> None:
    """A MapInfo table in the grid is read with OSTN15, as it lies and zipped."""
    wanted = write_areas(three(), tmp_path / "bng.gpkg", crs="EPSG:27700")
    _copy(wanted, tmp_path / "t" / "areas.tab", "MapInfo File")
    with zipfile.ZipFile(tmp_path / "tab.zip", "w") as archive:
        for part in (tmp_path / "t").iterdir():
            archive.write(part, f"folder/{part.name}")
    for path in (tmp_path / "t" / "areas.tab", tmp_path / "t", tmp_path / "tab.zip"):
        again = read_areas(path)
        assert again.area_id == three().area_id
        assert farthest_m(again, three()) < 0.05  # a table's grid of integers is a few centimetres wide


@pytest.mark.parametrize("driver", ["FlatGeobuf", "GML", "OpenFileGDB"])
def test_other_formats_of_gdal_are_read_too(tmp_path: Path, driver: str) -> None:
    """FlatGeobuf, GML and a file geodatabase come out as the same areas."""
    ending = {"FlatGeobuf": "fgb", "GML": "gml", "OpenFileGDB": "gdb"}[driver]
    _copy(write_areas(three(), tmp_path / "bng.gpkg", crs="EPSG:27700"), tmp_path / f"a.{ending}", driver)
    again = read_areas(tmp_path / f"a.{ending}")
    assert again.area_id == three().area_id
    assert farthest_m(again, three()) < 0.005


def _copy(source: Path, target: Path, driver: str) -> None:
    meta, _, shapes, fields = pyogrio.raw.read(source)
    target.parent.mkdir(exist_ok=True)
    pyogrio.raw.write(
        target,
        shapes,
        fields,
        meta["fields"],
        driver=driver,
        crs=meta["crs"],
        geometry_type="MultiPolygon",
        promote_to_multi=True,
    )


def test_kmz_and_loose_shapefiles_are_read(tmp_path: Path) -> None:
    """A KMZ is its doc.kml; a Shapefile may lie loose beside its parts."""
    kml = write_areas(three(), tmp_path / "doc.kml")
    with zipfile.ZipFile(tmp_path / "a.kmz", "w") as archive:
        archive.write(kml, "doc.kml")
        archive.writestr("files/other.kml", "<kml/>")
    assert read_areas(tmp_path / "a.kmz").area_id == three().area_id
    shutil.unpack_archive(write_areas(three(), tmp_path / "a.zip"), tmp_path / "loose")
    assert read_areas(tmp_path / "loose" / "a.shp").area_id == three().area_id


def test_several_layers_need_a_choice(tmp_path: Path) -> None:
    """A GeoPackage with two layers is refused by naming both, and read once one is chosen."""
    path = write_areas(three(), tmp_path / "first.gpkg")
    meta, _, shapes, fields = pyogrio.raw.read(path)
    pyogrio.raw.write(
        path,
        shapes,
        fields,
        meta["fields"],
        layer="second",
        crs="EPSG:4326",
        geometry_type="Unknown",
        append=True,
    )
    with pytest.raises(AreaFileError, match=r"choose with --layer: first, second"):
        read_areas(path)
    with pytest.raises(AreaFileError, match=r"no layer of that name.*first, second"):
        read_areas(path, layer="third")
    assert read_areas(path, layer="second").area_id == three().area_id


def test_several_shapefiles_in_a_zip_need_a_choice(tmp_path: Path) -> None:
    """A zip with two Shapefiles is refused by naming both, and read once one is chosen."""
    for name in ("beats", "wards"):
        shutil.unpack_archive(write_areas(three(), tmp_path / f"{name}.zip"), tmp_path / "all")
    shutil.make_archive(str(tmp_path / "both"), "zip", tmp_path / "all")
    with pytest.raises(AreaFileError, match=r"choose with --layer: beats, wards"):
        read_areas(tmp_path / "both.zip")
    assert read_areas(tmp_path / "both.zip", layer="wards").area_id == three().area_id


def feature(properties: dict[str, Any], shape: Any = None) -> dict[str, Any]:
    """A GeoJSON feature, by default a square in Leicester."""
    shape = shapely.box(-1.2, 52.6, -1.1, 52.7) if shape is None else shape
    return {"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(shape)}


def geojson(path: Path, *features: dict[str, Any], **more: Any) -> Path:
    """Write a GeoJSON file."""
    path.write_text(json.dumps({"type": "FeatureCollection", **more, "features": features}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("properties", "options", "found"),
    [
        ({"area_id": "a", "id": "b", "name": "n"}, {}, ("a", "n")),
        ({"ID": 7, "NAME": "n"}, {}, ("7", "n")),
        ({"code": "c"}, {}, ("c", "c")),
        ({"area_id": None, "code": "c", "name": " ", "WD13NM": "n"}, {}, ("c", "n")),
        ({"WD13CD": "w", "WD13NM": "n", "LAD13CD": "l", "LAD13NM": "m"}, {}, ("w", "n")),
        ({"PFA20CD": "p", "PFA20NM": "n"}, {}, ("p", "n")),
        (
            {"id": "b", "beat": " X1 ", "title": "t"},
            {"id_column": "BEAT", "name_column": "title"},
            ("X1", "t"),
        ),
    ],
)
def test_columns_are_found_or_named(
    tmp_path: Path, properties: dict[str, Any], options: dict[str, Any], found: tuple[str, str]
) -> None:
    """The id and the name are found under the contract's names, or taken from the columns named."""
    areas = read_areas(geojson(tmp_path / "a.geojson", feature(properties)), Kind.PRIORITY, **options)
    assert (areas.area_id[0], areas.name[0]) == found


@pytest.mark.parametrize(
    ("properties", "options", "says"),
    [
        ({"beat": "1"}, {"kind": Kind.PRIORITY}, "--id-column, its columns are: beat"),
        ({"id": "1"}, {"kind": Kind.PRIORITY, "id_column": "beet"}, "no column 'beet'; its columns are: id"),
        ({"LAD13CD": "1", "CTY13CD": "2"}, {"kind": Kind.PRIORITY}, "LAD13CD and CTY13CD .* --id-column"),
        ({"id": "1"}, {}, r"--kind neighbourhood\|priority\|premises"),
        ({"id": "1", "kind": "beat"}, {}, "row 1 has the kind 'beat'"),
        ({"id": " "}, {"kind": Kind.PRIORITY}, "row 1 has no id"),
        ({"id": "1"}, {"kind": Kind.PRIORITY, "crs": "EPSG:27700"}, "cannot be metres"),
        ({"id": "1"}, {"kind": Kind.PRIORITY, "crs": "EPSG:1"}, "is not a known coordinate system"),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    tmp_path: Path, properties: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    """A missing id, kind or system is asked for by the name of the option that gives it."""
    path = geojson(tmp_path / "a.geojson", feature(properties))
    with pytest.raises(AreaFileError, match=says) as caught:
        read_areas(path, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("a.geojson: ")


def test_a_missing_system_is_never_guessed(tmp_path: Path) -> None:
    """A Shapefile without .prj is refused with what its numbers look like, and read with --crs."""
    shutil.unpack_archive(write_areas(three(), tmp_path / "a.zip", crs="EPSG:27700"), tmp_path / "loose")
    (tmp_path / "loose" / "a.prj").unlink()
    with pytest.raises(AreaFileError, match=r"names no coordinate system.*National Grid.*--crs EPSG:27700"):
        read_areas(tmp_path / "loose")
    assert farthest_m(read_areas(tmp_path / "loose", crs="EPSG:27700"), three()) < 0.002


def test_swapped_axes_are_refused_and_can_be_told(tmp_path: Path) -> None:
    """Latitude before longitude is refused with the option that turns it, which then works."""
    swapped = shapely.box(52.6, -1.2, 52.7, -1.1)
    path = geojson(tmp_path / "a.geojson", feature({"id": "1"}, swapped))
    with pytest.raises(AreaFileError, match="--crs EPSG:4326:yx"):
        read_areas(path, Kind.PRIORITY)
    turned = read_areas(path, Kind.PRIORITY, crs="EPSG:4326:yx")
    assert turned.geometry[0].equals(shapely.box(-1.2, 52.6, -1.1, 52.7))


def test_the_older_geojson_with_a_system_is_read(tmp_path: Path) -> None:
    """GeoJSON of 2008 that names British National Grid is taken at its word."""
    grid = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::27700"}}
    path = geojson(
        tmp_path / "a.geojson", feature({"id": "1"}, shapely.box(454000, 300000, 455000, 301000)), crs=grid
    )
    areas = read_areas(path, Kind.PRIORITY)
    np.testing.assert_allclose(areas.geometry[0].bounds[:2], (-1.204, 52.5955), atol=0.002)


@settings(max_examples=30, deadline=None)
@given(st.floats(500, 20_000), st.lists(st.floats(0.02, 0.98), max_size=4), st.floats(-80, 80))
def test_areas_that_fit_on_the_grid_fit_in_degrees(length_m: float, cuts: list[float], turn: float) -> None:
    """Where a vertex of one area lies on the edge of another, no sliver opens between them in degrees."""
    edges = sorted({0.0, *(round(cut, 3) for cut in cuts), 1.0})
    south = shapely.box(0, -1000, length_m, 0)
    row = [shapely.box(low * length_m, 0, high * length_m, 1000) for low, high in pairwise(edges)]
    apart = shapely.MultiPolygon(
        [shapely.box(-500, -3000, 0, -2000), shapely.box(length_m, -2000, length_m + 9, 0)]
    )
    shapes = [affinity.rotate(shape, turn, origin=(0, 0)) for shape in (south, *row, apart)]
    shapes = [affinity.translate(shape, 450_000, 300_000) for shape in shapes]
    array = np.array(shapes, dtype=object)
    made = to_wgs84(with_shared_vertices(array), crs_of("EPSG:27700"))
    plain = to_wgs84(array, crs_of("EPSG:27700"))
    assert shapely.get_type_id(made).tolist() == shapely.get_type_id(plain).tolist()
    assert shapely.is_valid(made).all()
    assert (
        shapely.hausdorff_distance(made, plain).max() / METRE_DEG
        < 0.002 + (max(length_m, 3_000) / 2_000) ** 2 / 5
    )
    between = shapely.intersection(made[0], shapely.union_all(made[1:-1]))
    assert area_m2(between)[0] < 0.01
    whole = shapely.union_all(made)
    assert sum(len(part.interiors) for part in shapely.get_parts(whole)) == 0


@needs_data
@pytest.mark.shared
def test_shared_vertices_are_not_added_twice() -> None:
    """The wards share all their vertices already: as many come out of the grid as there are in degrees."""
    grid = read_areas(DATA / "wards_leicestershire_bng_shp.zip", Kind.NEIGHBOURHOOD)
    assert shapely.get_num_coordinates(grid.geometry).sum() == 17_385


def test_a_small_crossing_is_mended_and_a_big_one_refused(tmp_path: Path) -> None:
    """A ring that crosses itself within a square metre is mended; one that loses ground is left to people."""
    vertices = [(-1.2, 52.6), (-1.1, 52.6), (-1.1, 52.7), (-1.2, 52.7)]
    spike = shapely.Polygon([*vertices, (-1.2, 52.65), (-1.2, 52.68), (-1.2, 52.65)])
    mended = read_areas(geojson(tmp_path / "a.geojson", feature({"id": "1"}, spike)), Kind.PRIORITY)
    assert mended.geometry[0].is_valid
    bow = shapely.Polygon([vertices[0], vertices[2], vertices[1], vertices[3]])
    with pytest.raises(AreaFileError, match=r"row 1 \('1'\) is not a valid shape \(Self-intersection"):
        read_areas(geojson(tmp_path / "b.geojson", feature({"id": "1"}, bow)), Kind.PRIORITY)


def test_a_placemark_s_own_id_comes_last(tmp_path: Path) -> None:
    """In a KML the ids are taken from a column that people filled, not from what the last program made up."""
    areas = [Area(Kind.PRIORITY, "P1", "Market", shapely.box(-1.2, 52.6, -1.1, 52.7), {"code": "NC04"})]
    path = write_areas(AreaSet.of(areas), tmp_path / "a.kml")
    plain = path.read_text(encoding="utf-8")
    path.write_text(plain.replace('"area_id"', '"other"'), encoding="utf-8")
    again = read_areas(path)
    assert again.area_id == ("NC04",)
    assert again.attributes[0] == {"other": "P1"}


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_damage_gets_past_unsaid(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes are changed in whatever file, it is read or refused in one line."""
    folder = tmp_path_factory.mktemp("damaged")
    ending = data.draw(st.sampled_from(["geojson", "gpkg", "kml", "zip"]))
    path = write_areas(three(), folder / f"a.{ending}")
    if ending == "zip":
        shutil.unpack_archive(path, folder)
        path = folder / "a.shp"
    victim = data.draw(st.sampled_from(sorted(folder.glob("a.*")))) if ending == "zip" else path
    content = bytearray(victim.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    victim.write_bytes(content)
    try:
        read_areas(path, limits=ReadingLimits(seconds=10))
    except AreaFileError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (ReadingLimits(memory_bytes=64 << 20), "within 64 MB of memory"),
        (ReadingLimits(file_bytes=100), "more than 100 bytes"),
        (ReadingLimits(features=2), "has 3 rows, too many"),
        (ReadingLimits(vertices=10), "far too detailed"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limits: ReadingLimits, says: str) -> None:
    """A file that asks for more than its limits is refused, saying which."""
    path = write_areas(three(), tmp_path / "a.geojson")
    with pytest.raises(AreaFileError, match=says):
        read_areas(path, limits=limits)


@pytest.mark.parametrize("format", ["dxf", None])
def test_an_unknown_format_is_refused(tmp_path: Path, format: str | None) -> None:  # noqa: A002
    """A format that is not written is refused by listing those that are."""
    with pytest.raises(AreaFileError, match=r"--format geojson\|gpkg\|kml\|shapefile"):
        write_areas(three(), tmp_path / "a.dxf", format)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Neither reading nor writing where there is nothing raises anything but one clear line."""
    with pytest.raises(AreaFileError, match="no such file"):
        read_areas(tmp_path / "none" / "a.gpkg")
    with pytest.raises(AreaFileError, match="no such folder"):
        write_areas(three(), tmp_path / "none" / "a.gpkg")


def test_the_limits_are_those_of_the_readme() -> None:
    """What a file may ask for is what geo/README.md says that it may."""
    readme = (Path(__file__).parents[2] / "geo" / "README.md").read_text(encoding="utf-8")
    [told] = re.findall(r"^\*\*Limits\.\*\* .*$", readme, flags=re.MULTILINE)
    megabytes = 1 << 20
    assert f" {LIMITS.file_bytes / megabytes:.0f} MB a file, " in told
    assert f" {LIMITS.unpacked_bytes / megabytes:.0f} MB and {LIMITS.entries:,} files unpacked, " in told
    assert f" {LIMITS.features:,} rows, {LIMITS.vertices / 1e6:g} million " in told
    assert f" {LIMITS.memory_bytes / (1 << 30):g} GB of memory " in told
    assert LIMITS.seconds == 60


@pytest.mark.parametrize(("entries", "taken"), [(3, True), (4, False)])
def test_an_archive_may_hold_as_many_files_as_the_limit(tmp_path: Path, entries: int, taken: bool) -> None:
    """An archive with exactly as many files as allowed is read, one with one more is refused."""
    write_areas(three(), tmp_path / "a.geojson", "geojson")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.geojson", "a.geojson")
        for number in range(entries - 1):
            archive.writestr(f"{number}.txt", "nothing")
    limits = ReadingLimits(entries=3)
    if taken:
        assert len(read_layer(tmp_path / "a.zip", limits=limits)) == 3
    else:
        with pytest.raises(AreaFileError, match="it holds 4 files"):
            read_layer(tmp_path / "a.zip", limits=limits)


def test_layers_keep_what_the_file_says(tmp_path: Path) -> None:
    """A raw layer has the file's own numbers, its rings that had to be closed, and empty rows as None."""
    open_ring = {"type": "Polygon", "coordinates": [[[-1.2, 52.6], [-1.1, 52.6], [-1.1, 52.7], [-1.2, 52.7]]]}
    path = geojson(
        tmp_path / "a.geojson",
        {"type": "Feature", "properties": {"id": "1"}, "geometry": open_ring},
        {"type": "Feature", "properties": {"id": None}, "geometry": None},
    )
    raw = read_layer(path)
    assert raw.unclosed.tolist() == [True, False]
    assert raw.geometry[0].is_valid
    assert raw.geometry[1] is None
    assert raw.values[raw.columns.index("id")] == ("1", None)
