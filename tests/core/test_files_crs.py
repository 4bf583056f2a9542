"""Reference systems against Ordnance Survey's own points, and against being guessed."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from convertbng.cutil import convert_bng
from hypothesis import given
from hypothesis import strategies as st

from geo.boundaries import crs
from geo.boundaries.crs import CrsError, Look

# The 40 points that Ordnance Survey published with OSTN15 to test implementations by
# (OSTN15_OSGM15_TestInput_ETRStoOSGB.txt and its TestOutput): ETRS89 longitude and latitude, then the
# National Grid. © Crown copyright, Ordnance Survey 2016; BSD licence.
TEST_POINTS = np.array(
    [
        (-6.29977752014, 49.92226393730, 91492.146, 11318.804),
        (-5.20304609998, 49.96006137820, 170370.718, 11572.405),
        (-4.10864563561, 50.43885825610, 250359.811, 62016.569),
        (-1.29782277240, 50.57563665000, 449816.371, 75335.861),
        (-1.45051433700, 50.93127937910, 438710.920, 114792.250),
        (-3.55128349240, 51.40078220140, 292184.870, 168003.465),
        (1.44454730409, 51.37447025550, 639821.835, 169565.858),
        (-2.54407618349, 51.42754743020, 362269.991, 169978.690),
        (-0.11992557180, 51.48936564950, 530624.974, 178388.464),
        (-4.30852476960, 51.85890896400, 241124.584, 220332.641),
        (0.89724327012, 51.89436637350, 599445.590, 225722.826),
        (-2.15458614387, 52.25529381630, 389544.190, 261912.153),
        (-0.91248956970, 52.25160951230, 474335.969, 262047.755),
        (0.40153547065, 52.75136687170, 562180.547, 319784.995),
        (-1.19747655922, 52.96219109410, 454002.834, 340834.943),
        (-2.64049320810, 53.34480280190, 357455.843, 383290.436),
        (-4.28918069756, 53.41628516040, 247958.971, 393492.909),
        (-4.28917792869, 53.41630925420, 247959.241, 393495.583),
        (-3.04045490691, 53.77911025760, 331534.564, 431920.794),
        (-1.66379168242, 53.80021519630, 422242.186, 433818.701),
        (-4.63452168212, 54.08666318080, 227778.330, 468847.388),
        (-0.07773133187, 54.11685144290, 525745.670, 470703.214),
        (-4.38849118133, 54.32919541010, 244780.636, 495254.887),
        (-2.93827741149, 54.89542340420, 339921.145, 556034.761),
        (-1.61657685184, 54.97912273660, 424639.355, 565012.703),
        (-4.29649016251, 55.85399952950, 256340.925, 664697.269),
        (-3.29479219337, 55.92478265510, 319188.434, 670947.534),
        (-5.82836691850, 57.00606696050, 167634.202, 797067.144),
        (-2.04856030746, 57.13902518960, 397160.491, 805349.736),
        (-4.21926398555, 57.48625000720, 267056.768, 846176.972),
        (-8.57854456076, 57.81351838410, 9587.909, 899448.996),
        (-7.59255560556, 58.21262247180, 71713.132, 938516.404),
        (-6.26091455533, 58.51560361300, 151968.652, 966483.780),
        (-3.72631022121, 58.58120461280, 299721.891, 967202.992),
        (-3.21454001115, 59.03743871190, 330398.323, 1017347.016),
        (-4.41757674598, 59.09335035320, 261596.778, 1025447.602),
        (-5.82799339844, 59.09671617400, 180862.461, 1029604.114),
        (-1.62516966058, 59.53470794490, 421300.525, 1072147.239),
        (-1.27486910356, 59.85409913890, 440725.073, 1107878.448),
        (-2.07382822798, 60.13308091660, 395999.668, 1138728.951),
    ]
)
LON, LAT, EAST, NORTH = np.ascontiguousarray(TEST_POINTS.T)
MILLIMETRE_DEG = 1e-3 / 111_000
MAPINFO_GRID = """PROJCS["unnamed",GEOGCS["unnamed",DATUM["Ordnance_Survey_of_Great_Britain_1936",
SPHEROID["Airy 1930",6377563.396,299.3249646]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],
PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",49],PARAMETER["central_meridian",-2],
PARAMETER["scale_factor",0.9996012717],PARAMETER["false_easting",400000],PARAMETER["false_northing",-100000],
UNIT["metre",1]]"""


def test_degrees_become_the_grid_that_ordnance_survey_published() -> None:
    """Each of Ordnance Survey's 40 points comes out at the published millimetre."""
    east, north = convert_bng(LON, LAT)
    np.testing.assert_allclose(east, EAST, rtol=0, atol=0.00051)
    np.testing.assert_allclose(north, NORTH, rtol=0, atol=0.00051)


def test_the_grid_becomes_the_degrees_that_ordnance_survey_published() -> None:
    """The reverse way of each of the 40 points is right to a millimetre on the ground, St Kilda's too."""
    lon, lat = crs.grid_to_lonlat(EAST, NORTH)
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(lon, lat, LON, LAT)
    assert metres.max() < 0.0011


def test_pyproj_alone_would_be_metres_off() -> None:
    """OSTN15 is not optional: what pip's pyproj makes of the same points is off by more than a metre."""
    plain = pyproj.Transformer.from_crs(27700, 4326, always_xy=True, allow_ballpark=True)
    lon, lat = plain.transform(EAST, NORTH)
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(lon, lat, LON, LAT)
    if metres.max() < 0.1:
        pytest.skip("this machine's pyproj has the OSTN15 grid")
    assert metres.max() > 1.0


@given(st.lists(st.tuples(st.floats(400_000, 550_000), st.floats(200_000, 400_000)), min_size=1, max_size=30))
def test_there_and_back_again(points: list[tuple[float, float]]) -> None:
    """Grid to degrees to grid comes back to the millimetre that it is rounded to, for any point inland."""
    east, north = np.array(points).T
    back = convert_bng(*crs.grid_to_lonlat(east, north))
    assert np.abs(back[0] - east).max() < 0.0016
    assert np.abs(back[1] - north).max() < 0.0016


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EPSG:27700", "grid"),
        ("27700", "grid"),
        ("EPSG:7405", "grid"),
        ("EPSG:4326", "wgs84"),
        ("OGC:CRS84", "wgs84"),
        ("EPSG:4258", "wgs84"),
        ("EPSG:4277", "osgb36"),
        ("EPSG:3857", "other"),
        ("EPSG:25830", "other"),
        (pyproj.CRS(27700).to_wkt("WKT1_ESRI"), "grid"),
        (MAPINFO_GRID, "grid"),
    ],
)
def test_the_grid_is_known_under_all_its_names(text: str, kind: str) -> None:
    """EPSG, ESRI and MapInfo spell British National Grid differently; each of them goes through OSTN15."""
    assert crs.crs_of(text).kind == kind


@pytest.mark.parametrize("text", ["EPSG:4277", "EPSG:3857", "EPSG:25830", "EPSG:4326:yx", "EPSG:27700:yx"])
def test_other_systems_reach_the_same_place(text: str) -> None:
    """A shape taken into any system and back is the same shape within 2 mm."""
    shape = np.array([shapely.box(-1.2, 52.6, -1.1, 52.7)], dtype=object)
    system = crs.crs_of(text)
    back = crs.to_wgs84(crs.from_wgs84(shape, system), system)
    assert shapely.hausdorff_distance(back[0], shape[0]) < 2 * MILLIMETRE_DEG


def test_old_datum_degrees_go_through_ostn15() -> None:
    """Degrees on the 1936 datum are projected first and shifted by OSTN15 then, not by Helmert's formula."""
    onto = pyproj.Transformer.from_crs(27700, 4277, always_xy=True)
    old = np.array([shapely.Point(*onto.transform(e, n)) for e, n in zip(EAST, NORTH, strict=True)])
    xy = shapely.get_coordinates(crs.to_wgs84(old, crs.crs_of("EPSG:4277")))
    assert np.abs(xy - TEST_POINTS[:, :2]).max() < 4 * MILLIMETRE_DEG


@pytest.mark.parametrize(
    ("bounds", "look"),
    [
        ((-1.6, 52.3, -0.4, 52.9), Look.LONLAT),
        ((52.3, -1.6, 52.9, -0.4), Look.LATLON),
        ((2.2, 48.8, 2.4, 48.9), Look.DEGREES),
        ((427293, 277438, 506294, 342944), Look.GRID),
        ((-178000, 6860000, -47000, 6970000), Look.MERCATOR),
        ((595000, 5800000, 675000, 5870000), Look.UTM),
        ((1e7, 1e7, 2e7, 2e7), Look.UNKNOWN),
        ((float("nan"),) * 4, Look.NOTHING),
    ],
)
def test_numbers_are_described(bounds: tuple[float, float, float, float], look: Look) -> None:
    """The range of the numbers tells what they look like, for people to decide."""
    assert crs.looks_like(bounds) is look
    assert "--crs" in crs.advice(look)


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize(
    ("box", "look", "beyond"),
    [
        (crs.GREAT_BRITAIN, Look.LONLAT, Look.DEGREES),
        ((49.0, -9.0, 62.0, 3.0), Look.LATLON, Look.DEGREES),
        ((-180.0, -90.0, 180.0, 90.0), Look.DEGREES, None),
        ((0.0, 0.0, 700_000.0, 1_300_000.0), Look.GRID, None),
        ((-1_100_000.0, 6_200_000.0, 400_000.0, 8_800_000.0), Look.MERCATOR, Look.UNKNOWN),
        ((100_000.0, 5_400_000.0, 900_000.0, 6_900_000.0), Look.UTM, Look.UNKNOWN),
    ],
)
def test_a_range_holds_its_own_limits(
    box: tuple[float, float, float, float], look: Look, beyond: Look | None, side: int
) -> None:
    """Numbers that reach a range's limits look like it; a hair beyond any of its sides they do not."""
    assert crs.looks_like(box) is look
    over = list(box)
    over[side] += -1e-9 if side < 2 else 1e-9
    found = crs.looks_like((over[0], over[1], over[2], over[3]))
    assert found is not look
    assert beyond is None or found is beyond


@pytest.mark.parametrize(
    ("name", "bounds", "says"),
    [
        ("EPSG:4326", (427293, 277438, 506294, 342944), "--crs EPSG:27700"),
        ("EPSG:27700", (-1.6, 52.3, -0.4, 52.9), "--crs EPSG:4326"),
        ("EPSG:4326", (52.3, -1.6, 52.9, -0.4), "--crs EPSG:4326:yx"),
        ("EPSG:4326:yx", (-1.6, 52.3, -0.4, 52.9), "leave :yx out"),
        ("EPSG:27700", (-178000, 6860000, -47000, 6970000), "--crs EPSG:3857"),
    ],
)
def test_a_system_at_odds_with_its_numbers_is_refused(
    name: str, bounds: tuple[float, float, float, float], says: str
) -> None:
    """Metres named degrees, degrees named metres and swapped axes are refused with the way out."""
    with pytest.raises(CrsError, match=says):
        crs.refuse_contradiction(crs.crs_of(name), bounds)


@pytest.mark.parametrize("text", ["EPSG:999999", "nonsense", "", "EPSG:5701"])
def test_an_unknown_system_is_refused(text: str) -> None:
    """What is no system for maps is refused, saying how to name one."""
    with pytest.raises(CrsError, match="--crs EPSG:27700"):
        crs.crs_of(text)


def test_a_place_beyond_ostn15_is_refused() -> None:
    """A vertex in the Atlantic has no National Grid, and is not given half of one."""
    shape = np.array([shapely.box(-20, 50, -19, 51)], dtype=object)
    with pytest.raises(CrsError, match="are outside the extent of"):
        crs.from_wgs84(shape, crs.crs_of("EPSG:27700"))


@given(st.floats(-7, 1.5), st.floats(50.5, 58.5), st.floats(0.0005, 0.2), st.floats(0.0005, 0.2))
def test_areas_are_true_ground_areas(lon: float, lat: float, width: float, height: float) -> None:
    """Square metres agree with the geodesic area to 0.01%, anywhere in Great Britain."""
    # Many vertices, so that straight lines in degrees and geodesics are the same lines.
    shape = shapely.segmentize(shapely.box(lon, lat, lon + width, lat + height), 0.002)
    truth, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)
    assert crs.area_m2(shape)[0] == pytest.approx(abs(truth), rel=1e-4)


vertex = st.tuples(st.floats(-2, 0), st.floats(52, 53))


@given(st.lists(vertex, min_size=3, max_size=12), st.lists(vertex, min_size=3, max_size=12))
def test_pieces_add_up_to_the_whole(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> None:
    """What two shapes share and what they do not add up to the shapes, however long their edges are."""
    a, b = shapely.convex_hull(shapely.MultiPoint(one)), shapely.convex_hull(shapely.MultiPoint(other))
    whole = crs.area_m2(a)[0]
    pieces = crs.area_m2(a.intersection(b))[0] + crs.area_m2(a.difference(b))[0]
    assert pieces == pytest.approx(whole, rel=1e-8, abs=1.0)


def test_areas_of_what_is_no_polygon_are_nothing() -> None:
    """Points, lines, None and empty shapes have no area; a collection has its polygons', less holes."""
    box, hole = shapely.box(0, 52, 0.2, 52.2), shapely.box(0.1, 52.1, 0.15, 52.15)
    ring = shapely.Polygon(box.exterior, [hole.exterior])
    nested = shapely.GeometryCollection([shapely.Point(0, 0), shapely.MultiPolygon([ring])])
    shapes = np.array([None, shapely.Point(0, 0), shapely.Polygon(), box.exterior, nested], dtype=object)
    areas = crs.area_m2(shapes)
    assert areas[:4].tolist() == [0, 0, 0, 0]
    assert areas[4] == pytest.approx(crs.area_m2(box)[0] - crs.area_m2(hole)[0])
