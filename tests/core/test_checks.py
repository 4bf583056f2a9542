"""What the checks say: of each fault alone and of any together, of every broken file, and of sound ones."""

from __future__ import annotations

import html.parser
import json
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon
from shapely.affinity import translate

from geo.areas import Area, AreaSet, Kind
from geo.boundaries import checks, findings, pages, together
from geo.boundaries.apart import check_apart
from geo.boundaries.checks import check
from geo.boundaries.crs import area_m2
from geo.boundaries.each_area import ungarbled
from geo.boundaries.findings import CODES, Acceptance, Checked, Findings, Severity, UnusableFileError
from geo.boundaries.layer import RawLayer, ReadingLimits, printable
from geo.boundaries.reading import areas_of, read_areas, read_layer
from geo.boundaries.shapes import mend, tangled
from geo.boundaries.writing import write_areas
from geo.hours import days_of, hours_of
from tests.core import boundary_corpus as corpus
from tests.core.boundary_corpus import CASES, FAULTS, OUTLINE, SOUTH, WEST, Case, Fault, feature, square
from tests.real import DATA, needs_data


def codes(checked: Checked) -> set[str]:
    """What was found, by code."""
    return {finding.code for finding in checked.findings}


def errors(checked: Checked) -> set[str]:
    """What stops a publication, by code."""
    return {finding.code for finding in checked.findings if finding.severity is Severity.ERROR}


def layer(faults: list[Fault]) -> RawLayer:
    """The features of faults as a layer, without a file: what reading the file gives."""
    features = corpus.placed(faults)
    unclosed = [fault for fault in features if _open(fault["geometry"])]
    for each in unclosed:
        for ring in each["geometry"]["coordinates"]:
            ring.extend([] if ring[0] == ring[-1] else ring[:1])
    columns = ("area_id", "name", "kind", "days", "hours")
    shapes = shapely.from_geojson(
        [None if each["geometry"] is None else json.dumps(each["geometry"]) for each in features]
    )
    return RawLayer(
        source="made",
        layer="made",
        driver="GeoJSON",
        crs="EPSG:4326",
        geometry=shapes,
        columns=columns,
        values=tuple(tuple(each["properties"].get(name) for each in features) for name in columns),
        unclosed=np.array([each in unclosed for each in features], dtype=np.bool_),
    )


def _open(geometry: Any) -> bool:
    return (
        geometry is not None
        and geometry["type"] == "Polygon"
        and any(ring[0] != ring[-1] for ring in geometry["coordinates"])
    )


UNSAID = {"force-uncovered"}
"""The corpus draws a few squares in a large force: most of it is in no neighbourhood, in every file."""


def test_layers_made_here_are_what_files_give(tmp_path: Path) -> None:
    """All faults written to a file are read as the layer that the other tests make without one."""
    made, read = (
        layer(list(FAULTS)),
        read_layer(corpus.write(tmp_path / "a.geojson", corpus.placed(list(FAULTS)))),
    )
    assert (made.driver, made.crs, len(made)) == (read.driver, read.crs, len(read))
    assert made.unclosed.tolist() == read.unclosed.tolist()
    assert [
        one for one, other in zip(made.geometry, read.geometry, strict=True) if not _alike(one, other)
    ] == []
    for name, values in zip(made.columns, made.values, strict=True):
        assert values == read.values[read.columns.index(name)]


def _alike(one: Any, other: Any) -> bool:
    return one is other or bool(one.equals_exact(other, 1e-12))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_alone_gets_its_finding(fault: Fault) -> None:
    """A file with one mistake in it gets the findings for that mistake and no other."""
    checked = check(layer([fault]), None, corpus.homes(), OUTLINE)
    assert codes(checked) - UNSAID == fault.codes, [(f.code, f.text) for f in checked.findings]
    for finding in checked.findings:
        assert finding.text
        assert finding.done
        assert "\n" not in finding.text + finding.done


WHOLE_FILE = {"heights-dropped", "rings-turned", "name-missing"}
SAYS = {
    "id-missing": "^row 1 has no id$",
    "id-unfit": "^row 1 has an id ",
    "id-twice": "^rows 1 and 2 both are {kind} {a}$",
    "id-nearly-twice": "^{kind} ids {a} and {b} differ",
    "name-twice": "^{kind} {a} and {b} are all called '{name}'$",
    "name-garbled": "^{kind} {a} has the name '{name}', ",
    "same-shape": "^{kind} {a} and {b} have the same shape$",
    "one-inside-other": "^{kind} {a} lies inside {b}$",
    "overlap": "^{kind} {a} and {b} overlap by ",
    "overlap-hairline": "^{kind} {a} and {b} overlap by ",
    "gap": "(between {kind}s {a} and {b}|inside {kind} {a})$",
    "gap-hairline": "between {kind}s {a} and {b}$",
}
"""How the text of a finding names its areas; the others begin with kind and id."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_finding_names_its_own_area_and_the_other_in_their_places(fault: Fault) -> None:
    """A finding is told of the first of its areas, of the inner one, or of the file; ids stand for ids."""
    ids = [one["properties"]["area_id"] for one in fault.features()]
    names = [one["properties"]["name"] for one in fault.features()]
    checked = check(layer([fault]), None, corpus.homes(), OUTLINE)
    for finding in checked.findings:
        if finding.code in UNSAID:
            continue
        own, other = ids[0], ids[-1]
        if finding.code == "one-inside-other":
            own, other = other, own
        if finding.code in WHOLE_FILE:
            assert (finding.kind, finding.area_id, finding.place) == (None, None, None)
            continue
        unnamed = finding.code in {"id-missing", "id-unfit"}
        assert (finding.kind, finding.area_id) == (fault.kind, None if unnamed else own)
        if not unnamed:
            words = {"kind": str(fault.kind), "a": own, "b": other, "name": names[0]}
            assert re.search(SAYS.get(finding.code, "^{kind} {a} ").format(**words), finding.text)
        else:
            assert re.search(SAYS[finding.code], finding.text)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=2, max_size=20, unique=True))
def test_any_faults_together_get_all_their_findings(faults: list[Fault]) -> None:
    """Mistakes do not hide each other: any of them in one file get the findings that each gets alone."""
    checked = check(layer(faults), None, corpus.homes(), OUTLINE)
    # Where the file has neighbourhoods of its own, they are what priority areas and premises must lie in.
    unsaid = UNSAID | {"no-neighbourhood"}
    assert codes(checked) - unsaid == frozenset().union(*(fault.codes for fault in faults)) - unsaid


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=20, unique=True))
def test_what_comes_out_can_be_published(faults: list[Fault]) -> None:
    """Whatever goes in, the areas that come out are valid polygons that need no mending again."""
    areas = check(layer(faults), None, corpus.homes(), OUTLINE).areas
    if areas is not None:
        assert shapely.is_valid(areas.geometry).all()
        assert all(mend(shape) is shape for shape in areas.geometry)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_broken_file_gets_its_finding_or_one_clear_line(tmp_path: Path, case: Case) -> None:
    """Every file of the corpus is read in bounded time, and gets what it must get in one line each."""
    path = case.make(tmp_path)
    checked = check_apart(path, outline=OUTLINE, **case.options)
    assert case.codes <= codes(checked), [(f.code, f.text) for f in checked.findings]
    found = [f.text for f in checked.findings if not case.codes or f.code in case.codes]
    assert any(re.search(case.says, line) for line in found) or not case.codes, found
    for finding in checked.findings:
        assert "\n" not in finding.text
        assert len(finding.text) < 400
        assert str(tmp_path) not in finding.text
    assert not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize("ending", ["gpkg", "kml", "shp", "fgb"])
def test_faults_are_found_in_every_format(tmp_path: Path, ending: str) -> None:
    """The same mistakes get the same findings from a GeoPackage, a KML, a Shapefile and a FlatGeobuf."""
    names = ("bow tie", "one id twice", "an overlap", "a gap", "no name", "one shape twice", "no such hours")
    faults = [fault for fault in FAULTS if fault.name in names]
    made = layer(faults)
    path = tmp_path / f"areas.{ending}"
    pyogrio.raw.write(
        path,
        shapely.to_wkb(made.geometry),
        [np.array(values, dtype=object) for values in made.values],
        list(made.columns),
        driver={"gpkg": "GPKG", "kml": "KML", "shp": "ESRI Shapefile", "fgb": "FlatGeobuf"}[ending],
        crs="EPSG:4326",
        geometry_type="Polygon",
        encoding="UTF-8" if ending == "shp" else None,
    )
    checked = check_apart(path, None, corpus.homes(), OUTLINE)
    unsaid = UNSAID | {"rings-turned", "no-neighbourhood"}
    assert codes(checked) - unsaid == frozenset().union(*(fault.codes for fault in faults))


def test_a_sound_file_has_no_findings(tmp_path: Path) -> None:
    """Four squares side by side are published as they are, from every format."""
    for make in (corpus.geojson, corpus.gpkg, corpus.kml, corpus.shapefile, corpus.loose, corpus.tab):
        folder = tmp_path / make.__name__
        folder.mkdir()
        checked = check_apart(make(folder))
        assert [(f.code, f.text) for f in checked.findings] == []
        assert not checked.stops
        assert checked.areas is not None
        assert checked.areas.area_id == corpus.sound().area_id


@needs_data
@pytest.mark.shared
def test_the_real_boundaries_may_be_published() -> None:
    """Leicestershire's wards, priority areas and premises have no errors against the force's own outline."""
    outline = read_areas(DATA / "force_leicestershire_bng.gpkg", Kind.NEIGHBOURHOOD).geometry[0]
    wards = check_apart(DATA / "wards_leicestershire_bng_shp.zip", Kind.NEIGHBOURHOOD, outline=outline)
    assert not wards.stops
    assert wards.areas is not None
    assert len(wards.areas) == 171
    assert codes(wards) == {"name-twice", "force-uncovered", "outside-force-hairline"}
    for name in ("priority_areas.geojson", "premises.geojson"):
        checked = check_apart(DATA / name, None, wards.areas, outline)
        assert codes(checked) <= {"name-twice", "rings-turned"}
        assert not checked.stops


# How bad, and how big -------------------------------------------------------------------------------------


shifts = st.floats(0.001, 0.9)


@given(shifts, shifts)
def test_an_overlap_has_its_true_size(east: float, north: float) -> None:
    """The size of an overlap is that of the ground in both, and its place is where both are."""
    one = translate(square(), WEST, SOUTH)
    other = translate(one, east * corpus.SIDE, north * corpus.SIDE)
    checked = check(_layer(one, other), Kind.NEIGHBOURHOOD)
    [finding] = [f for f in checked.findings if f.code.startswith("overlap")]
    assert finding.size_m2 == pytest.approx(area_m2(shapely.intersection(one, other))[0], rel=1e-6)
    assert shapely.covers(shapely.buffer(one, 1e-9), finding.place)
    assert finding.area_id == "A0"


def _layer(*shapes: Any) -> RawLayer:
    at = range(len(shapes))
    column = np.empty(len(shapes), dtype=object)
    column[:] = shapes
    return RawLayer(
        source="made",
        layer="made",
        driver="made",
        crs="EPSG:4326",
        geometry=column,
        columns=("area_id", "name"),
        values=(tuple(f"A{i}" for i in at), tuple(f"Beat {i}" for i in at)),
        unclosed=np.zeros(len(shapes), dtype=np.bool_),
    )


def test_a_vertex_on_a_long_edge_makes_no_gap() -> None:
    """Areas drawn on the grid, with a vertex of one on a 12 km edge of the other, have no gap in degrees."""
    east, north = 450_000, 300_000
    hole = shapely.box(2_000, 1_000, 14_000, 3_000)
    frame = Polygon(shapely.box(0, 0, 16_000, 9_000).exterior, [hole.exterior])
    halves = [shapely.box(2_000, 1_000, 8_000, 3_000), shapely.box(8_000, 1_000, 14_000, 3_000)]
    shapes = [translate(shape, east, north) for shape in (frame, *halves)]
    checked = check(replace(_layer(*shapes), crs="EPSG:27700"), Kind.NEIGHBOURHOOD)
    assert [finding.text for finding in checked.findings] == []


def test_a_moat_is_one_gap_of_its_own_size() -> None:
    """Ground around an island of another area is one gap, less the island, and is not told twice."""
    hole = shapely.box(0.01, 0.01, 0.04, 0.04)
    frame = Polygon(shapely.box(0, 0, 0.05, 0.05).exterior, [hole.exterior])
    island = shapely.box(0.02, 0.02, 0.03, 0.03)
    frame, island, hole = (translate(shape, WEST, SOUTH) for shape in (frame, island, hole))
    outline = shapely.box(*frame.bounds)
    [finding] = check(_layer(frame, island), Kind.NEIGHBOURHOOD, outline=outline).findings
    assert finding.code == "gap"
    assert finding.size_m2 == pytest.approx(area_m2(hole)[0] - area_m2(island)[0])


@pytest.mark.parametrize(
    ("kind", "least_m2", "most_m2"),
    [
        (Kind.NEIGHBOURHOOD, 10_000, 2_000_000_000),
        (Kind.PRIORITY, 100, 50_000_000),
        (Kind.PREMISES, 20, 1_000_000),
    ],
)
def test_a_size_is_unlikely_by_what_the_area_is_for(kind: Kind, least_m2: float, most_m2: float) -> None:
    """An area is told to be very small or very big beyond the bounds of its kind, and only there."""
    for size, found in (
        (0.9 * least_m2, "small"),
        (1.1 * least_m2, ""),
        (0.9 * most_m2, ""),
        (1.1 * most_m2, "big"),
    ):
        side = corpus.SIDE * (size / area_m2(translate(square(), WEST, SOUTH))[0]) ** 0.5
        said = [
            finding.text
            for finding in check(_layer(translate(square(size=side), WEST, SOUTH)), kind).findings
            if finding.code == "size-unlikely"
        ]
        assert len(said) == bool(found)
        assert all(f"very {found} for a {kind}" in text for text in said)


@given(st.floats(0.05, 20.0))
def test_a_sliver_is_told_from_a_real_gap_by_its_width(width_m: float) -> None:
    """A strip nowhere wider than a metre is a sliver and a warning; a wider one is an error."""
    if abs(width_m - together.SLIVER_M) < 0.05:
        return
    inner = square(1, 1)
    hole = shapely.box(corpus.SIDE, corpus.SIDE, 2 * corpus.SIDE, 2 * corpus.SIDE + width_m * corpus.METRE)
    frame = Polygon(square(0, 0, 3 * corpus.SIDE).exterior, [hole.exterior])
    shapes = [translate(shape, WEST, SOUTH) for shape in (frame, inner)]
    checked = check(_layer(*shapes), Kind.NEIGHBOURHOOD)
    thin = width_m < together.SLIVER_M
    assert codes(checked) == {"gap-hairline" if thin else "gap"}
    assert checked.stops is not thin


def test_what_a_repair_changed_is_told() -> None:
    """A bow tie is rebuilt, and the finding says by how many square metres and where it crosses."""
    bow = translate(Polygon([(0, 0), (0.01, 0.01), (0.01, 0), (0, 0.01), (0, 0)]), WEST, SOUTH)
    checked = check(_layer(bow), Kind.NEIGHBOURHOOD)
    [finding] = checked.findings
    assert finding.code == "shape-crossing"
    assert checked.areas is not None
    assert finding.size_m2 == pytest.approx(area_m2(checked.areas.geometry)[0] - area_m2(bow)[0])
    assert shapely.distance(finding.place, shapely.Point(WEST + 0.005, SOUTH + 0.005)) < 1e-9


def test_severity_follows_the_kind() -> None:
    """An overlap is an error between neighbourhoods, a warning between premises, else nothing."""
    shapes = [translate(square(at), WEST, SOUTH) for at in (0, 0.5)]
    severities = {
        kind: [
            finding.severity for finding in check(_layer(*shapes), kind).findings if "overlap" in finding.code
        ]
        for kind in Kind
    }
    assert severities == {
        Kind.NEIGHBOURHOOD: [Severity.ERROR],
        Kind.PRIORITY: [],
        Kind.PREMISES: [Severity.WARNING],
    }


def test_findings_come_worst_first() -> None:
    """Errors stand before warnings, warnings before notes."""
    checked = check(layer(list(FAULTS)), None, corpus.homes(), OUTLINE)
    order = [list(Severity).index(finding.severity) for finding in checked.findings]
    assert order == sorted(order)
    assert len(set(order)) == 3


# Accepted exceptions --------------------------------------------------------------------------------------


def test_an_accepted_error_no_longer_stops() -> None:
    """An error accepted by code becomes a note that says who accepted it and why."""
    gap = [fault for fault in FAULTS if fault.name == "a gap"]
    assert check(layer(gap)).stops
    accepted = check(layer(gap), accept={"gap": Acceptance("Insp. Rowe", "the airfield has its own force")})
    assert not accepted.stops
    [finding] = accepted.findings
    assert finding.severity is Severity.NOTE
    assert "accepted by Insp. Rowe: the airfield has its own force" in finding.done


def test_an_exception_may_be_for_one_area_only() -> None:
    """``code:area_id`` accepts the finding of that area and no other."""
    two = [fault for fault in FAULTS if fault.name in ("a gap", "a hole that nobody fills")]
    checked = check(layer(two), accept={"gap:g1": Acceptance("A", "b")})
    assert sorted(f.severity for f in checked.findings if f.code == "gap") == ["error", "note"]


@pytest.mark.parametrize("key", ["gaps", "unreadable", "crs-missing", ""])
def test_not_everything_can_be_accepted(key: str) -> None:
    """A code that is none, or that leaves nothing to publish, is refused as an exception."""
    with pytest.raises(ValueError, match="not a finding that can be accepted"):
        check(layer(list(FAULTS[:1])), accept={key: Acceptance("A", "b")})


# Days, hours, names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon-Sat", (0, 1, 2, 3, 4, 5)),
        ("Fri,Sun", (4, 6)),
        ("Fri-Mon", (0, 4, 5, 6)),
        ("mon", (0,)),
        ("Saturday - Sunday", (5, 6)),
        ("Mon-Wed, Fri", (0, 1, 2, 4)),
        ("Mon-Sun", (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_days_are_read(text: str, days: tuple[int, ...]) -> None:
    """Ranges, lists, and ranges over the weekend name days of the week."""
    assert days_of(text) == days


@pytest.mark.parametrize(
    "text", ["", "Mo", "Mon-", "Mon-Sut", "Mon-Wed-Fri", "1-5", "Fri,,Sun", "daily", "Sonday"]
)
def test_days_that_are_none_are_refused(text: str) -> None:
    """What names no day is refused with how to write one."""
    with pytest.raises(ValueError, match="Mon-Sat or Fri,Sun"):
        days_of(text)


@given(st.integers(0, 1439), st.integers(0, 1440))
def test_hours_are_read(start: int, end: int) -> None:
    """Any two different times of day with a dash between them are hours, over midnight too."""
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    if start == end:
        with pytest.raises(ValueError, match="names no hours"):
            hours_of(text)
    else:
        assert hours_of(text) == (start, end)


@pytest.mark.parametrize(
    "text", ["", "20:00", "8pm-4am", "20:00-25:00", "24:00-04:00", "20:60-21:00", "20-04"]
)
def test_hours_that_are_none_are_refused(text: str) -> None:
    """What names no hours is refused with how to write them."""
    with pytest.raises(ValueError, match="20:00-04:00"):
        hours_of(text)


@given(st.text(st.characters(codec="cp1252", categories=("L", "N", "P", "Zs")), min_size=1))
def test_garbled_names_are_read_again(name: str) -> None:
    """A name written in UTF-8 and read as Windows-1252 is told, and what it was is found."""
    try:
        garbled = name.encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:
        return
    assert ungarbled(garbled) == (name if garbled != name else None)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs"))))
def test_plain_names_are_left_alone(name: str) -> None:
    """A name in plain letters is never taken for garbled."""
    assert ungarbled(name) is None


@pytest.mark.parametrize(
    "name", ["Ynys Môn", "Bôn-y-maen", "Llŷn", "Café", "Beaumont Leys – East", "“The Dell”"]
)
def test_true_accents_are_left_alone(name: str) -> None:
    """Names with accents, dashes and quotes as they should be are not taken for garbled."""
    assert ungarbled(name) is None


# For people and programs ----------------------------------------------------------------------------------


def everything() -> Checked:
    """All faults at once."""
    return check(layer(list(FAULTS)), None, corpus.homes(), OUTLINE)


def test_findings_as_geojson() -> None:
    """Findings make GeoJSON with one feature each, its place where it has one."""
    checked = everything()
    collection = json.loads(findings.findings_geojson(checked.findings))
    assert len(collection["features"]) == len(checked.findings)
    for made, finding in zip(collection["features"], checked.findings, strict=True):
        assert made["properties"]["code"] == finding.code
        assert (made["geometry"] is None) == (finding.place is None)
        assert " ".join(made["properties"]) == "severity code kind area_id size_m2 lon lat text done"


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "srcset")
        ]


def test_the_map_needs_nothing_from_anywhere() -> None:
    """The page has a drawing, a row a finding, no script, and no link but to itself."""
    checked = everything()
    page = _Page()
    made = pages.findings_html(checked, "areas.geojson")
    page.feed(made)
    assert "script" not in page.tags
    assert page.tags.count("tr") == len(checked.findings) + 1
    assert page.tags.count("svg") > 10
    assert all(link.startswith("#") for link in page.links)
    assert "http" not in made
    assert "url(" not in made


def test_the_map_shows_names_as_text() -> None:
    """A name that looks like a page's own code is shown, not run."""
    areas = [Area(Kind.NEIGHBOURHOOD, "<b>", "<script>alert(1)</script>", translate(square(), WEST, SOUTH))]
    made = pages.findings_html(Checked(AreaSet.of(areas), ()), "<i>")
    assert "<script" not in made
    assert "<i>" not in made
    assert "&lt;script&gt;" in made


def test_the_map_counts_and_shows_what_lies_below() -> None:
    """The page's head counts errors, warnings and notes; areas told to lie below are drawn."""
    made = pages.findings_html(check(layer([FAULTS[0]])), "a.geojson", corpus.homes())
    assert "1 area, 1 error, 0 warnings, 0 notes: it must not be published" in made
    assert "<title>home Home</title>" in made


def test_an_unreadable_file_has_a_page_too() -> None:
    """A file that cannot be read gets a page that says so."""
    checked = check_apart(Path("nowhere.gpkg"))
    assert "no such file" in pages.findings_html(checked, "nowhere.gpkg")
    assert checked.stops


def test_reading_agrees_with_checking(tmp_path: Path) -> None:
    """Areas read plainly are the areas that the checks let through, where they find no error."""
    path = write_areas(corpus.sound(), tmp_path / "a.gpkg")
    checked = check_apart(path)
    assert checked.areas is not None
    assert read_areas(path).area_id == checked.areas.area_id
    raw = read_layer(path)
    assert areas_of(raw).area_id == checked.areas.area_id


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6, unique=True))
def test_reading_plainly_refuses_or_gives_the_same(faults: list[Fault]) -> None:
    """Reading without checks gives the areas that the checks give, or one clear line."""
    made = layer(faults)
    checked, areas, line = check(made), None, ""
    try:
        areas = areas_of(made)
    except ValueError as error:
        line = str(error)
    assert "\n" not in line
    if areas is None:
        assert line
        assert errors(checked)
    else:
        assert checked.areas is not None
        assert areas.area_id == checked.areas.area_id


def test_what_lies_along_the_outline_is_told_from_what_is_missing() -> None:
    """Strips along the force's outline are one note; a part of the force in no neighbourhood is a warning."""
    force = shapely.box(WEST, SOUTH, WEST + 0.05, SOUTH + 0.05)
    along = shapely.box(WEST - 5 * corpus.METRE, SOUTH, WEST + 0.05, SOUTH + 0.05)
    assert codes(check(_layer(along), Kind.NEIGHBOURHOOD, outline=force)) == {"outside-force-hairline"}
    short = shapely.box(WEST, SOUTH, WEST + 0.04, SOUTH + 0.05)
    [finding] = check(_layer(short), Kind.NEIGHBOURHOOD, outline=force).findings
    assert finding.code == "force-uncovered"
    assert finding.size_m2 == pytest.approx(area_m2(force)[0] - area_m2(short)[0])


def test_coordinates_that_are_no_numbers_are_found() -> None:
    """A vertex that is not a number or infinite leaves its area out, and the others in."""
    with np.errstate(invalid="ignore"):
        wild = [
            Polygon([(WEST, SOUTH), (WEST + 0.01, SOUTH), (WEST, value), (WEST, SOUTH)])
            for value in (np.nan, np.inf)
        ]
    checked = check(_layer(translate(square(), WEST, SOUTH), *wild), Kind.NEIGHBOURHOOD)
    assert [f.code for f in checked.findings] == ["shape-broken", "shape-broken"]
    assert checked.areas is not None
    assert checked.areas.area_id == ("A0",)


def test_what_the_reader_remarks_is_passed_on() -> None:
    """A remark of GDAL's becomes a note."""
    [finding] = check(
        replace(_layer(translate(square(), WEST, SOUTH)), notes=("Hm.",)), Kind.PRIORITY
    ).findings
    assert (finding.code, finding.severity, finding.text) == ("reader-remark", Severity.NOTE, "Hm.")


def test_a_file_that_lies_elsewhere_than_what_is_published_is_an_error() -> None:
    """Nothing of the file where the published neighbourhoods lie: an error, until somebody accepts it."""
    elsewhere = AreaSet.of(
        Area(Kind.NEIGHBOURHOOD, row.area_id, row.name, translate(row.geometry, -2, 1))
        for row in corpus.sound().areas()
    )
    made = layer([fault for fault in FAULTS if fault.name == "heights"])
    assert "far-from-published" in errors(check(made, None, elsewhere))
    assert "far-from-published" not in codes(check(made, None, corpus.homes()))
    accepted = check(made, None, elsewhere, accept={"far-from-published": Acceptance("R", "moved")})
    assert not accepted.stops


def test_a_check_apart_says_the_same(tmp_path: Path) -> None:
    """In a process of its own a file gets the findings and areas that it gets here."""
    path = corpus.write(tmp_path / "a.geojson", corpus.placed(list(FAULTS)))
    here, away = check(read_layer(path), outline=OUTLINE), check_apart(path, outline=OUTLINE)
    assert [(f.code, f.text) for f in here.findings] == [(f.code, f.text) for f in away.findings]
    assert here.areas is not None
    assert away.areas is not None
    assert (here.areas.area_id, here.areas.attributes) == (away.areas.area_id, away.areas.attributes)
    with pytest.raises(ValueError, match="accepted"):
        check_apart(path, accept={"unreadable": Acceptance("R", "no")})


def _combs(folder: Path) -> Path:
    """Two sound combs of 3,000 teeth across each other: nine million crossings."""
    edge = [(x / 300_000, y * 0.01) for x in range(3_000) for y in ((0, 1) if x % 2 else (1, 0))]
    comb = Polygon([*edge, (0.011, 0), (0.011, -0.001), (-0.001, -0.001), (-0.001, 0.01)])
    other = Polygon([(y, x) for x, y in comb.exterior.coords])
    here = [translate(shape, WEST, SOUTH) for shape in (comb, other)]
    return corpus.write(folder / "combs.geojson", [feature("a", here[0]), feature("b", here[1])])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory can be limited on Linux only")
def test_a_check_apart_ends_within_its_memory(tmp_path: Path) -> None:
    """Sound areas whose overlap needs more memory than there may be get one error, not a crash."""
    checked = check_apart(
        _combs(tmp_path), Kind.NEIGHBOURHOOD, limits=ReadingLimits(memory_bytes=1 << 29, seconds=20)
    )
    assert "unreadable" in errors(checked)
    assert checked.areas is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="time can be limited on Linux only")
def test_a_check_apart_ends_within_its_time(tmp_path: Path) -> None:
    """Areas whose check needs more time than there may be get one error that says so, and what to do."""
    checked = check_apart(_combs(tmp_path), Kind.NEIGHBOURHOOD, limits=ReadingLimits(seconds=2))
    [found] = checked.findings
    assert found.code == "unreadable"
    assert "cannot be checked within" in found.text
    assert "and 2 s" in found.text
    assert checked.areas is None


@pytest.mark.parametrize("room", [0, -1])
def test_as_many_areas_may_touch_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Areas that touch each other are counted once a pair, and only more than there may be are refused."""
    squares = [
        Area(Kind.NEIGHBOURHOOD, f"N{x}{y}", "", shapely.box(x / 64, y / 64, (x + 1) / 64, (y + 1) / 64))
        for x in range(3)
        for y in range(3)
    ]
    monkeypatch.setattr(together, "_MOST_PAIRS", 20 + room)  # 12 edges and 8 vertices
    found = Findings()
    with nullcontext() if room == 0 else pytest.raises(UnusableFileError, match="export only one of them"):
        together.against_each_other(AreaSet.of(squares), Kind.NEIGHBOURHOOD, found)
    assert not len(found)


def test_northing_first_is_found_by_what_is_published(tmp_path: Path) -> None:
    """A file in metres with northing before easting and no outline is an error against what is published."""
    swapped = corpus.in_system("EPSG:27700", ".geojson", told="urn:ogc:def:crs:EPSG::27700", swap=True)
    checked = check_apart(swapped(tmp_path), Kind.NEIGHBOURHOOD, corpus.homes())
    assert errors(checked) & {"far-from-published", "abroad"}
    assert any("--crs" in f.done for f in checked.findings if f.severity is Severity.ERROR)


def test_a_force_abroad_may_accept_where_it_is(tmp_path: Path) -> None:
    """Areas outside Great Britain are one error, which can be accepted like others."""
    path = corpus.abroad(tmp_path)
    assert errors(check_apart(path, Kind.NEIGHBOURHOOD)) == {"abroad"}
    assert not check_apart(path, Kind.NEIGHBOURHOOD, accept={"abroad": Acceptance("R", "we are there")}).stops


def test_an_encoding_is_taken_as_told(tmp_path: Path) -> None:
    """A table in Latin-1 that says it is UTF-8 is read rightly with the encoding named."""
    areas = check_apart(corpus.latin_table(tmp_path), encoding="latin-1").areas
    assert areas is not None
    assert areas.name == ("Ynys Mô n",)
    assert "there is no encoding 'x'" in check_apart(tmp_path, encoding="x").findings[0].text


def test_crossings_are_counted_only_as_far_as_needed() -> None:
    """A bow tie is no tangle; 20,000 vertices at random are one, found without mending them."""
    places = np.random.default_rng(1).uniform(0, 0.01, (20_000, 2))
    assert tangled(Polygon(places))
    assert not tangled(Polygon([(0, 0), (1, 1), (1, 0), (0, 0.9), (0, 0)]))
    assert mend(Polygon(places)) is None


@pytest.mark.parametrize(("crossings", "told"), [(1000, False), (1001, True)])
def test_a_ring_that_crosses_itself_a_thousand_times_is_the_most_that_is_mended(
    crossings: int, told: bool
) -> None:
    """An edge that the rest of the ring crosses to and fro: one crossing over a thousand is a tangle."""
    zigzag = [(crossings - at, 1 - 2 * (at % 2)) for at in range(crossings + 1)]
    assert tangled(Polygon([(-1, 0), (crossings + 1, 0), *zigzag])) is told


@given(st.text())
def test_what_steers_a_terminal_is_written_out(text: str) -> None:
    """Control characters and those that turn the writing become their escapes; all else stays as it is."""
    odd = {*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)}
    assert printable(text) == "".join(ascii(sign)[1:-1] if ord(sign) in odd else sign for sign in text)
    assert printable("a\x1b[31m\u202eb\x7f") == r"a\x1b[31m\u202eb\x7f"


def test_no_text_of_a_finding_steers_a_terminal() -> None:
    """Escapes in ids and names come out written out, and the areas published have none in their names."""
    checked = check(layer([fault for fault in FAULTS if "steers" in fault.name or "turns" in fault.name]))
    assert checked.areas is not None
    texts = [text for f in checked.findings for text in (f.text, f.done, f.area_id or "")]
    texts += [*checked.areas.area_id, *checked.areas.name]
    assert [text for text in texts if printable(text) != text] == []


def test_the_readme_explains_every_code() -> None:
    """Each code stands in the table of geo/README.md with its severity, and the table has no other."""
    readme = (Path(checks.__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning|note)\b", readme, flags=re.MULTILINE))
    assert table == {code: str(severity) for code, severity in CODES.items()}


def test_the_corpus_is_big_enough() -> None:
    """More than sixty broken files, every one with a name of its own, and every code in at least one."""
    names = [case.name for case in CASES] + [fault.name for fault in FAULTS]
    assert len(names) > 120
    covered = {code for fault in FAULTS for code in fault.codes} | {
        code for case in CASES for code in case.codes
    }
    own_tests = {
        "far-from-published",
        "shape-broken",
        "force-uncovered",
        "outside-force-hairline",
        "reader-remark",
    }
    assert set(CODES) - covered == own_tests


def test_a_feature_of_the_corpus_is_geojson() -> None:
    """The corpus writes what it says: a named feature with an id."""
    assert feature("x", square())["properties"] == {"area_id": "x", "name": "Beat x"}
