"""The streets that simulated patrols move along: made up, or from an OpenStreetMap extract."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.cli.simulate import simulate as command
from stream.core.facts import SECOND
from stream.simulate import demo_force, simulate
from stream.simulate.drawn import draw
from stream.simulate.osm import MPS, StreetsError, invent_force, read_streets
from stream.simulate.plane import DEGREE_M
from stream.simulate.streets import Network, Router, Streets, components, largest, settle

if TYPE_CHECKING:
    from pathlib import Path

START = 1_795_158_000 * SECOND  # 2026-11-20T07:00:00Z
EXTRACT = "rutland_2022-07.osm.pbf"


# --- Graphs ----------------------------------------------------------------------------------------------

edges_ = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20)


@settings(deadline=None)
@given(edges_)
def test_components_are_what_walking_reaches(edges: list[tuple[int, int]]) -> None:
    """Two nodes have one label just if one can be reached from the other; the largest part has most nodes."""
    reach = np.eye(10, dtype=bool)
    for one, other in edges:
        reach[one, other] = reach[other, one] = True
    for _ in range(4):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    label = components(10, np.array(edges))
    assert ((label[:, None] == label[None, :]) == reach).all()
    used = sorted({node for edge in edges for node in edge})
    kept = np.flatnonzero(largest(10, np.array(edges))).tolist()
    assert len(kept) == max(len(set(used) & set(np.flatnonzero(reach[node]).tolist())) for node in used)
    assert all(reach[kept[0], node] for node in kept)


def grid(mps: list[float], walked: list[bool]) -> Streets:
    """A three by three grid of streets about 111 m apart, each driven and walked as told."""
    column, row = np.meshgrid(np.arange(3), np.arange(3))
    degrees = np.column_stack((column.ravel(), row.ravel())).astype(np.float64) * 0.001
    number = np.arange(9).reshape(3, 3)
    edges = np.concatenate(
        (
            np.column_stack((number[:, :-1].ravel(), number[:, 1:].ravel())),
            np.column_stack((number[:-1].ravel(), number[1:].ravel())),
        )
    )
    network = Network(
        degrees, edges, np.array(mps), np.array(walked), tuple(np.empty(0, np.int64) for _ in edges)
    )
    ends = degrees[edges]
    metres = np.hypot(*((ends[:, 1] - ends[:, 0]) * DEGREE_M).T)
    nobody = np.full(9, -1)
    return Streets(
        network, tuple(metres[:, None]), nobody, np.empty(0, np.int64), (), (), nobody, np.empty(0, object)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([2.0, 5.0, 9.0, 20.0]), min_size=12, max_size=12),
    st.integers(0, 8),
    st.integers(0, 8),
    st.booleans(),
)
def test_ways_are_the_quickest(mps: list[float], start: int, end: int, by_car: bool) -> None:
    """A way takes as long as Floyd and Warshall say, and goes from crossing to neighbouring crossing."""
    streets = grid(mps, [True] * 12)
    cost = np.full((9, 9), np.inf)
    np.fill_diagonal(cost, 0.0)
    for (one, other), pace, piece in zip(streets.network.edges, mps, streets.pieces, strict=True):
        cost[one, other] = cost[other, one] = float(piece[0]) / (pace if by_car else 1.0)
    neighbour = np.isfinite(cost)
    for middle in range(9):
        cost = np.minimum(cost, cost[:, middle, None] + cost[None, middle])
    way = Router(streets).way(start, end, by_car=by_car)
    assert way.nodes[0] == start
    assert way.nodes[-1] == end
    assert np.isclose(way.seconds[-1], cost[start, end])
    assert all(neighbour[one, other] for one, other in zip(way.nodes[:-1], way.nodes[1:], strict=True))


def test_cars_go_round_what_is_only_walked() -> None:
    """People take the footpath through the middle; cars drive round it."""
    # Edges 0 to 5 run east, 6 to 11 north; the middle crossing is number 4.
    through = [2, 3, 7, 10]
    streets = grid([0.0 if edge in through else 9.0 for edge in range(12)], [True] * 12)
    router = Router(streets)
    assert 4 in router.way(3, 5, by_car=False).nodes
    assert 4 not in router.way(3, 5, by_car=True).nodes


@pytest.mark.parametrize("seed", [1, 2])
def test_made_up_streets_reach_everything(seed: int) -> None:
    """Every place that officers may be sent to is reached by car and on foot from every other."""
    force = demo_force(seed)
    streets = settle(force, draw(force, seed), seed)
    network = streets.network
    reached = [
        largest(len(network.degrees), network.edges[open_]) for open_ in (network.mps > 0, network.walked)
    ]
    places = np.concatenate((*streets.calls, streets.centre, streets.premises))
    assert (places >= 0).all()
    for each in reached:
        assert each[places].all()
    stations = force.only(Kind.PREMISES).geometry
    assert shapely.contains_xy(stations, *network.degrees[streets.premises].T).all()
    assert sum(map(len, streets.beats)) == len(force.only(Kind.PRIORITY))


# --- Extracts --------------------------------------------------------------------------------------------


def extract(path: Path, ways: list[tuple[str, list[int]]], places: dict[int, tuple[float, float]]) -> Path:
    """Writes an extract of some ways, each a kind of highway and its nodes."""
    lines = ['<?xml version="1.0"?>', '<osm version="0.6">']
    lines += [f'<node id="{id_}" lon="{lon}" lat="{lat}" version="1"/>' for id_, (lon, lat) in places.items()]
    for number, (kind, nodes) in enumerate(ways, start=1):
        refs = "".join(f'<nd ref="{node}"/>' for node in nodes)
        lines.append(f'<way id="{number}" version="1">{refs}<tag k="highway" v="{kind}"/></way>')
    path.write_text("\n".join([*lines, "</osm>"]))
    return path


PLACES = {at: (-0.7 + 0.002 * (at % 5), 52.6 + 0.002 * (at // 5)) for at in range(25)}


def between(network: Network, one: int, other: int) -> list[int]:
    """The edges whose ends are two of the places."""
    at = [int(np.argmin(np.hypot(*(network.degrees - PLACES[each]).T))) for each in (one, other)]
    return [row for row, edge in enumerate(network.edges.tolist()) if sorted(edge) == sorted(at)]


def test_lines_that_share_a_vertex_meet_and_others_do_not(tmp_path: Path) -> None:
    """A junction is where ways share a vertex; a bridge that merely crosses is none, and a bend is none."""
    # Row by row; the way 2-12 passes over the way 6-8 without sharing its node 7.
    ways = [
        ("residential", [0, 1, 2, 3, 4]),
        ("residential", [0, 5, 6]),
        ("residential", [6, 8, 9]),
        ("residential", [4, 9]),
        ("tertiary", [2, 12, 13, 9]),
    ]
    # Ten times as near, for a street of more than 400 m is given crossings.
    near = {at: (lon / 10, 47.34 + lat / 10) for at, (lon, lat) in PLACES.items()}
    network = read_streets(extract(tmp_path / "a.osm", ways, near))
    ends = {tuple(np.round(network.degrees[node], 6)) for node in network.edges.ravel()}
    assert ends == {tuple(np.round(near[node], 6)) for node in (2, 9)}
    assert len(network.edges) == 3
    assert sum(map(len, network.shapes)) == len({0, 1, 3, 4, 5, 6, 8, 12, 13})


def test_motorways_are_not_walked_and_footpaths_not_driven(tmp_path: Path) -> None:
    """Cars keep off footpaths and people off motorways; a street is for both, at its own speed."""
    ways = [
        ("motorway", [0, 4]),
        ("residential", [0, 5, 9, 4]),
        ("footway", [5, 9]),
        ("service", [0, 1]),
        ("proposed", [1, 2]),
    ]
    network = read_streets(extract(tmp_path / "a.osm", ways, PLACES))
    [motorway] = between(network, 0, 4)
    assert network.mps[motorway] == MPS["motorway"]
    assert not network.walked[motorway]
    paces = {(float(network.mps[each]), bool(network.walked[each])) for each in between(network, 5, 9)}
    assert paces == {(0.0, True), (MPS["residential"], True)}
    [service] = between(network, 0, 1)
    assert network.walked[service]
    assert not between(network, 1, 2)


def test_what_hangs_on_nothing_is_left_out(tmp_path: Path) -> None:
    """Only the largest part that hangs together stays, for cars and for people each."""
    ways = [
        ("residential", [0, 1, 2]),
        ("residential", [1, 6]),
        ("residential", [23, 24]),
        ("footway", [2, 7]),
        ("footway", [20, 21]),
    ]
    network = read_streets(extract(tmp_path / "a.osm", ways, PLACES))
    assert not between(network, 23, 24)
    assert not between(network, 20, 21)
    assert len(between(network, 2, 7)) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an OpenStreetMap extract"),
        (b"hello", "not an OpenStreetMap extract"),
        (b'{"type": "FeatureCollection", "features": []}', "not an OpenStreetMap extract"),
        (b'<?xml version="1.0"?><osm version="0.6"></osm>', "no street"),
    ],
)
@pytest.mark.parametrize("name", ["x.osm", "x.osm.pbf"])
def test_a_bad_extract_is_an_error_that_says_so(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """A file that is no extract, or has no street, is refused in one line that names it."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StreetsError, match=rf"x\.osm.*({said}|not an OpenStreetMap extract)") as caught:
        read_streets(path)
    assert "\n" not in str(caught.value)


def test_footpaths_alone_are_no_streets(tmp_path: Path) -> None:
    """An extract without a street for cars says so."""
    with pytest.raises(StreetsError, match="cars"):
        read_streets(extract(tmp_path / "a.osm", [("footway", [0, 1])], PLACES))


def test_the_command_says_what_is_wrong_with_streets_and_areas(tmp_path: Path) -> None:
    """`patrol simulate` ends with one line about a bad extract, and about areas that cannot be patrolled."""
    (tmp_path / "x.osm").write_text("hello")
    out = ["--out", str(tmp_path / "out")]
    found = CliRunner().invoke(command, ["--streets", str(tmp_path / "x.osm"), *out])
    assert found.exit_code != 0
    assert found.output.splitlines() == [
        "Error: x.osm: not an OpenStreetMap extract; give an .osm.pbf or .osm file"
    ]
    alone = {
        "type": "Feature",
        "properties": {"area_id": "A", "name": "A", "kind": "neighbourhood"},
        "geometry": json.loads(shapely.to_geojson(shapely.box(-1, 52, -0.99, 52.01))),
    }
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [alone]}))
    found = CliRunner().invoke(command, ["--areas", str(tmp_path / "a.geojson"), *out])
    assert found.exit_code != 0
    assert "premises" in found.output
    assert len(found.output.splitlines()) == 1


def test_the_command_patrols_areas_and_streets_given(tmp_path: Path) -> None:
    """`patrol simulate --areas --streets` writes a shift in those areas, on those streets."""
    rows = [("residential", [5 * row + column for column in range(5)]) for row in range(5)]
    columns = [("residential", [5 * row + column for row in range(5)]) for column in range(5)]
    streets = extract(tmp_path / "grid.osm", rows + columns, PLACES)
    told = [
        ("neighbourhood", "W", shapely.box(-0.71, 52.59, -0.696, 52.62)),
        ("neighbourhood", "E", shapely.box(-0.696, 52.59, -0.68, 52.62)),
        ("premises", "P", shapely.box(-0.6975, 52.6005, -0.6965, 52.6012)),
    ]
    features = [
        {
            "type": "Feature",
            "properties": {"area_id": id_, "name": id_, "kind": kind},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for kind, id_, shape in told
    ]
    areas = tmp_path / "a.geojson"
    areas.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    words = ["--streets", str(streets), "--areas", str(areas), "--officers", "4", "--hours", "1"]
    words += ["--quality", "perfect", "--format", "parquet", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(command, words)
    assert found.exit_code == 0, found.output
    written = {each.name for each in (tmp_path / "out").iterdir()}
    assert written == {
        *("areas.geojson", "positions.parquet", "duties.jsonl", "states.jsonl"),
        *("truth.csv", "true_visits.csv"),
    }
    duties = [json.loads(line) for line in (tmp_path / "out" / "duties.jsonl").read_text().splitlines()]
    assert {area for duty in duties for area in duty["patch"]} <= {"W", "E"}


# --- A real extract --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rutland(shared_data: Path) -> Network:
    """The streets of Rutland."""
    return read_streets(shared_data / EXTRACT)


@pytest.mark.shared
def test_a_real_extract_hangs_together(rutland: Network) -> None:
    """By car, and on foot, every street of a real extract is reached from every other one."""
    for open_ in (rutland.mps > 0, rutland.walked):
        edges = rutland.edges[open_]
        label = components(len(rutland.degrees), edges)
        assert len(np.unique(label[edges])) == 1
    assert (rutland.mps > 0).sum() > 5_000
    assert rutland.walked.sum() > 5_000
    assert ((rutland.mps > 0) | rutland.walked).all()


@pytest.mark.shared
def test_streets_lie_where_the_extract_has_them(rutland: Network, shared_data: Path) -> None:
    """Every vertex of the streets, bends too, is one of the file's, and no edge leaves the file's lines."""
    import pyogrio

    _, _, shapes, columns = pyogrio.raw.read(shared_data / EXTRACT, layer="lines", columns=["highway"])
    lines = shapely.from_wkb(shapes[np.array([each is not None for each in columns[0]])])
    known = {tuple(each) for each in np.round(shapely.get_coordinates(lines), 7).tolist()}
    assert {tuple(each) for each in np.round(rutland.degrees, 7).tolist()} <= known
    chains = [
        shapely.LineString(rutland.degrees[np.concatenate((edge[:1], shape, edge[1:]))])
        for edge, shape in zip(rutland.edges[::50], rutland.shapes[::50], strict=True)
    ]
    tree = shapely.STRtree(lines)
    for chain in chains:
        near = shapely.union_all(lines[tree.query(chain, predicate="intersects")])
        assert shapely.covers(near.buffer(1e-9), chain)


@pytest.mark.shared
def test_a_force_is_invented_over_an_extract(rutland: Network, shared_data: Path) -> None:
    """Invented neighbourhoods tessellate under real names, with stations and priority areas of 150 m."""
    force = invent_force(rutland, shared_data / EXTRACT, 1)
    homes = force.only(Kind.NEIGHBOURHOOD)
    assert shapely.coverage_is_valid(homes.geometry)
    assert {"Oakham", "Uppingham"} <= set(homes.name)
    assert len(set(homes.name)) == len(homes)
    premises = force.only(Kind.PREMISES)
    assert {"police_station", "custody", "court"} == {each["use"] for each in premises.attributes}
    whole = shapely.union_all(homes.geometry)
    assert shapely.covers(whole, premises.geometry).all()
    hot = force.only(Kind.PRIORITY)
    west, south, east, north = shapely.bounds(hot.geometry).T
    assert np.allclose((north - south) * DEGREE_M, 150, atol=1)
    assert np.allclose((east - west) * DEGREE_M * np.cos(np.radians(52.6)), 150, atol=2)
    again = invent_force(rutland, shared_data / EXTRACT, 1)
    assert shapely.to_wkb(force.geometry).tolist() == shapely.to_wkb(again.geometry).tolist()


@pytest.mark.shared
def test_patrols_on_a_real_extract_keep_to_its_streets(rutland: Network, shared_data: Path) -> None:
    """Who drives is on a street for cars; calls, beats and breaks happen as on made-up streets."""
    force = invent_force(rutland, shared_data / EXTRACT, 1)
    made = simulate(force, officers=20, start=START, hours=6, interval_s=60, seed=2, network=rutland)
    driven = np.flatnonzero(rutland.mps > 0)
    roads = shapely.STRtree(
        [
            shapely.LineString(rutland.degrees[np.concatenate((edge[:1], shape, edge[1:]))])
            for edge, shape in ((rutland.edges[at], rutland.shapes[at]) for at in driven)
        ]
    )
    fast = 0
    for path in made.paths.values():
        east = np.diff(path.lon) * DEGREE_M * np.cos(np.radians(path.lat[:-1]))
        mps = np.hypot(east, np.diff(path.lat) * DEGREE_M) / (np.diff(path.time) / SECOND)
        assert mps.max() < 40.0
        rows = np.flatnonzero(mps > 4.0)[::7]
        middle = shapely.points(
            (path.lon[rows] + path.lon[rows + 1]) / 2, (path.lat[rows] + path.lat[rows + 1]) / 2
        )
        _, away = roads.query_nearest(middle, return_distance=True, all_matches=False)
        assert away.max(initial=0.0) < 2e-6
        fast += len(rows)
    assert fast > 1_000
    patched = [row for row, duty in enumerate(made.duties) if duty.patch]
    assert 0.5 < made.truth().share(patched) < 0.97
    assert len(made.true_visits()) > 20


@pytest.mark.shared
def test_areas_beyond_the_streets_are_patrolled_by_nobody(rutland: Network, shared_data: Path) -> None:
    """Of areas given with streets only those with streets in them are anybody's patch."""
    force = invent_force(rutland, shared_data / EXTRACT, 1)
    far = Area(Kind.NEIGHBOURHOOD, "FAR", "Far away", shapely.box(-2.0, 54.0, -1.9, 54.1))
    station = Area(
        Kind.PREMISES,
        "FARP",
        "Far station",
        shapely.box(-1.95, 54.05, -1.949, 54.051),
        {"use": "police_station"},
    )
    wider = AreaSet.of([*force.areas(), far, station])
    made = simulate(wider, officers=40, start=START, hours=1, interval_s=60, seed=2, network=rutland)
    assert all("FAR" not in duty.patch for duty in made.duties)
    with pytest.raises(ValueError, match="no street lies"):
        simulate(
            AreaSet.of([far, station]),
            officers=4,
            start=START,
            hours=1,
            interval_s=60,
            seed=2,
            network=rutland,
        )
