"""``patrol web`` as it runs: OGC API Features, judged by other people's conformance tests and clients."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import httpx
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from ogcapi_registry import parse_conformance_classes, validate_ogc_api
from openapi_spec_validator import validate as validate_openapi
from owslib.ogcapi.features import Features  # type: ignore[import-untyped]

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.crs import BNG, crs_of, from_wgs84
from stream.pipeline.processes import command
from stream.settings import Settings
from stream.simulate import demo_force
from stream.store import areas as tables
from stream.store.schema import connect, migrate
from stream.web import create_app
from stream.web.app import AddressError, refuse_open
from stream.web.boundaries.parameters import CRS84, EPSG_4326, EPSG_27700, Query, parse
from stream.web.problems import ProblemError
from tests.strategies import many, micros

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.embedded import EmbeddedDatabase

OLD, NOW, NEW = (micros(f"{day}T00:00:00+00:00") for day in ("2020-01-01", "2021-06-01", "2999-01-01"))
"""When the three versions of the neighbourhoods come into force: gone, in force, to come."""

ODD = "a/b ü@7"
"""An id with everything that an address must not have."""

FORCE = AreaSet.union(
    demo_force(2),
    AreaSet.of(
        [
            Area(
                Kind.PREMISES,
                ODD,
                "an odd one",
                shapely.box(-1.0, 52.5, -0.99, 52.51),
                {"name": "hidden", "use": "court"},
            )
        ]
    ),
)


class Site(NamedTuple):
    """The running program."""

    address: str
    dsn: str
    process: subprocess.Popen[str]


def moved(found: AreaSet, east: float) -> AreaSet:
    """The same areas, so many degrees further east."""
    return AreaSet.of(
        Area(
            area.kind,
            area.area_id,
            area.name,
            shapely.transform(area.geometry, lambda xy: np.add(xy, (east, 0.0))),
        )
        for area in found.areas()
    )


def publish(dsn: str, found: AreaSet, start: int) -> None:
    """Publishes areas, kind by kind."""
    with connect(dsn) as connection, connection.transaction():
        tables.hold(connection, publishing=True)
        for kind in Kind:
            if kind in found.kind:
                tables.publish(connection, found, kind, start, file="test", sha256="", by="test")


@pytest.fixture(scope="module")
def site(database_server: EmbeddedDatabase) -> Iterator[Site]:
    """``patrol web`` over a database with three versions of the neighbourhoods."""
    with connect(database_server.dsn) as server:
        server.execute("create database ogc_features template template0")
    dsn = database_server.dsn_of("ogc_features")
    with connect(dsn) as opened:
        migrate(opened)
    homes = FORCE.only(Kind.NEIGHBOURHOOD)
    publish(dsn, moved(homes, -0.1), OLD)
    publish(dsn, FORCE, NOW)
    publish(dsn, moved(homes, 0.1), NEW)
    process = subprocess.Popen(
        command("web", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PATROL_DATABASE": dsn, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        yield Site(address.rstrip("/"), dsn, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()
        with connect(database_server.dsn) as server:
            server.execute("drop database ogc_features with (force)")


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    """A plain HTTP client of the running program."""
    with httpx.Client(base_url=site.address, timeout=30) as opened:
        yield opened


def everything(client: httpx.Client, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All features of a collection, page by page."""
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    found = list(answer.json()["features"])
    while following := [link["href"] for link in answer.json()["links"] if link["rel"] == "next"]:
        answer = client.get(following[0])
        assert answer.status_code == 200, answer.text
        assert answer.json()["features"]
        found += answer.json()["features"]
    assert answer.json()["numberMatched"] == len(found)
    return found


# ── What others say of it ─────────────────────────────────────────────────────────────────────────────────


def test_the_abstract_test_suite_of_the_standard_passes(site: Site, tmp_path: Path) -> None:
    """All 29 tests of OGC API Features part 1, as ``ogctests`` from PyPI has them, pass without a warning."""
    suite = (
        "import sys; from ogctests.main import run_ogctests; "
        "sys.exit(run_ogctests('features/core', sys.argv[1], "
        "['-q', '-c', '/dev/null', '--rootdir', sys.argv[2], '-W', 'error::UserWarning', "
        "'-p', 'no:cacheprovider', '-p', 'no:hypothesispytest']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", suite, site.address, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "29 passed" in done.stdout


def test_the_description_is_openapi_3_0_with_all_that_the_standard_wants(client: httpx.Client) -> None:
    """Two validators of others find nothing, and the types are those that a GIS looks for."""
    landing = client.get("/").json()
    described = [link for link in landing["links"] if link["rel"] == "service-desc"]
    assert [link["type"] for link in described] == ["application/vnd.oai.openapi+json;version=3.0"]
    answer = client.get(described[0]["href"])
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    document = answer.json()
    assert document["openapi"].startswith("3.0.")
    assert client.get("/api").json() == document
    validate_openapi(document)
    classes = parse_conformance_classes(client.get("/conformance").json()["conformsTo"])
    result = validate_ogc_api(document, classes)
    assert (result.is_valid, result.errors, result.warnings) == (True, (), ())


def test_gdal_reads_it_as_it_is(site: Site) -> None:
    """GDAL's own client finds the collections, reads every page, filters by a box, and asks for metres."""
    source = f"OAPIF:{site.address}/"
    names = [str(name) for name, _ in pyogrio.list_layers(source)]
    assert names == list(Kind)
    homes = FORCE.only(Kind.NEIGHBOURHOOD)
    meta, _, shapes, fields = pyogrio.raw.read(source, layer="neighbourhood", PAGE_SIZE=3)
    ids = fields[list(meta["fields"]).index("area_id")].tolist()
    assert ids == list(homes.area_id)
    assert shapely.equals_exact(shapely.from_wkb(shapes), oriented(homes), tolerance=1e-8).all()

    west, south, east, north = homes.geometry[0].bounds
    meta, _, _, fields = pyogrio.raw.read(source, layer="neighbourhood", bbox=(west, south, east, north))
    hit = shapely.intersects(homes.geometry, shapely.box(west, south, east, north))
    found = fields[list(meta["fields"]).index("area_id")].tolist()
    assert found == [name for name, inside in zip(homes.area_id, hit, strict=True) if inside]

    meta, _, shapes, _ = pyogrio.raw.read(source, layer="neighbourhood", CRS="EPSG:27700")
    assert "27700" in meta["crs"]
    grid = from_wgs84(oriented(homes), crs_of(BNG))
    assert shapely.equals_exact(shapely.from_wkb(shapes), grid, tolerance=0.0011).all()


def oriented(found: AreaSet) -> Any:
    """Shapes with their outer rings anticlockwise."""
    return shapely.orient_polygons(found.geometry)


def test_owslib_reads_it_as_it_is(site: Site) -> None:
    """OWSLib finds the collections and one feature by its id."""
    features = Features(f"{site.address}/")
    assert features.feature_collections() == list(Kind)
    name = FORCE.only(Kind.PREMISES).area_id[1]
    found = features.collection_item("premises", name)
    assert found["properties"]["area_id"] == name


# ── What is asked and what is answered ────────────────────────────────────────────────────────────────────


@many(40)
@given(
    vertex=st.tuples(st.floats(-1.3, -0.7), st.floats(52.3, 52.8)),
    size=st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)),
    crs=st.sampled_from([CRS84, EPSG_4326, EPSG_27700]),
    limit=st.integers(1, 9),
)
def test_a_box_gives_each_area_that_meets_it_once(
    client: httpx.Client, vertex: tuple[float, float], size: tuple[float, float], crs: str, limit: int
) -> None:
    """In every reference system and with pages of any size: just those areas, in order, none twice."""
    homes = FORCE.only(Kind.NEIGHBOURHOOD)
    box = (*vertex, vertex[0] + size[0], vertex[1] + size[1])
    shapes, said = homes.geometry, box
    if crs == EPSG_4326:
        said = (box[1], box[0], box[3], box[2])
    elif crs == EPSG_27700:
        shapes = from_wgs84(homes.geometry, crs_of(BNG))
        west, south = 440_000 + vertex[0] * 1e4, 290_000 + vertex[1] * 1e3
        box = said = (west, south, west + size[0] * 1e5, south + size[1] * 1e5)
    hit = shapely.intersects(shapes, shapely.box(*box))
    found = everything(
        client,
        "/collections/neighbourhood/items",
        **{"bbox": ",".join(map(repr, said)), "bbox-crs": crs, "limit": limit},
    )
    assert [item["id"] for item in found] == [
        n for n, inside in zip(homes.area_id, hit, strict=True) if inside
    ]


@pytest.mark.parametrize(
    ("said", "starts"),
    [
        (None, [NOW]),
        ("2020-01-01T00:00:00Z", [OLD]),
        ("2019-12-31T23:59:59.999999Z", []),
        ("2021-05-31T23:59:59Z", [OLD]),
        ("2021-06-01T01:00:00+01:00", [NOW]),
        ("2999-01-01T00:00:00Z", [NEW]),
        ("../2020-06-01T00:00:00Z", [OLD]),
        ("2020-06-01T00:00:00Z/2021-06-01T00:00:00Z", [OLD, NOW]),
        ("2021-07-01T00:00:00Z/", [NOW, NEW]),
        ("../..", [OLD, NOW, NEW]),
    ],
)
def test_datetime_chooses_what_was_or_will_be_in_force(
    client: httpx.Client, said: str | None, starts: list[int]
) -> None:
    """Every version that was in force at any instant asked for, each feature under an id of its own."""
    parameters = {} if said is None else {"datetime": said}
    found = everything(client, "/collections/neighbourhood/items", **parameters)
    count = len(FORCE.only(Kind.NEIGHBOURHOOD))
    valid = sorted({item["properties"]["valid_from"] for item in found})
    assert [micros(text) for text in valid] == starts
    assert len(found) == count * len(starts)
    assert len({item["id"] for item in found}) == len(found)
    for item in found[:: max(1, count // 3)]:
        again = client.get(f"/collections/neighbourhood/items/{quote(item['id'], safe='')}").json()
        assert {key: again[key] for key in item} == item


def test_a_feature_is_the_same_in_every_reference_system(client: httpx.Client) -> None:
    """Lon before lat, lat before lon, or metres: the header says which, and the numbers are right."""
    path = f"/collections/priority/items/{FORCE.only(Kind.PRIORITY).area_id[0]}"
    shape = shapely.orient_polygons(FORCE.only(Kind.PRIORITY).geometry[0])
    expected = {
        CRS84: (shape, 1e-8),
        EPSG_4326: (shapely.transform(shape, lambda xy: xy[:, ::-1]), 1e-8),
        EPSG_27700: (from_wgs84(np.array([shape], dtype=object), crs_of(BNG))[0], 0.0011),
    }
    for crs, (want, tolerance) in expected.items():
        answer = client.get(path, params={"crs": crs})
        assert answer.headers["content-crs"] == f"<{crs}>"
        assert answer.headers["content-type"] == "application/geo+json"
        assert shapely.equals_exact(
            shapely.geometry.shape(answer.json()["geometry"]), want, tolerance=tolerance
        )


def test_an_id_may_hold_anything(client: httpx.Client) -> None:
    """Slashes, blanks, letters of any alphabet and an @: the links lead to the feature all the same."""
    listed = [item for item in everything(client, "/collections/premises/items") if item["id"] == ODD]
    assert len(listed) == 1
    answer = client.get(f"/collections/premises/items/{quote(ODD, safe='')}").json()
    itself = next(link["href"] for link in answer["links"] if link["rel"] == "self")
    assert client.get(itself).json() == answer
    assert (answer["properties"]["name"], answer["properties"]["use"]) == ("an odd one", "court")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/collections/beats", 404, "no collection 'beats'"),
        ("/collections/premises/items/nobody", 404, "no premises 'nobody'"),
        ("/collections/premises/items/nobody@3", 404, "no premises"),
        ("/nowhere", 404, "Not Found"),
        ("/?f=json", 400, "unknown parameter 'f'"),
        ("/collections/premises/items?bbox=1,2,3", 400, "four numbers"),
        ("/collections/premises/items?bbox=1,2,3,nan", 400, "four numbers"),
        ("/collections/premises/items?bbox=1,3,2,2", 400, "lower corner"),
        ("/collections/premises/items?limit=0", 400, "limit=0"),
        ("/collections/premises/items?limit=ten", 400, "limit=ten"),
        ("/collections/premises/items?offset=-1", 400, "offset=-1"),
        ("/collections/premises/items?limit=1&limit=2", 400, "twice"),
        ("/collections/premises/items?datetime=yesterday", 400, "datetime=yesterday"),
        (
            "/collections/premises/items?datetime=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z",
            400,
            "before its end",
        ),
        ("/collections/premises/items?crs=EPSG:27700", 400, "not offered"),
        ("/collections/premises/items?colour=blue", 400, "unknown parameter 'colour'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    client: httpx.Client, path: str, status: int, says: str
) -> None:
    """A wrong path or parameter gets its status and a line that names it, never everything or a fault."""
    answer = client.get(path)
    assert answer.status_code == status
    assert says in answer.json()["description"]


@many(200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["bbox", "bbox-crs", "crs", "datetime", "limit", "offset", "x"]),
            st.one_of(
                st.text(max_size=12),
                st.text("0123456789.,-/TZ:+eE", max_size=24),
                st.sampled_from([CRS84, EPSG_4326, EPSG_27700]),
            ),
        ),
        max_size=4,
    )
)
def test_any_text_is_understood_or_refused(pairs: list[tuple[str, str]]) -> None:
    """Whatever parameters say, they give a query that makes sense or a refusal with status 400."""
    refused: list[int] = []
    query = Query()
    try:
        query = parse(pairs)
    except ProblemError as error:
        refused.append(error.status)
    assert refused in ([], [400])
    assert query.limit >= 1
    assert query.offset >= 0
    assert query.period is None or query.period[0] <= query.period[1]
    assert query.bbox is None or query.bbox[1] <= query.bbox[3]


def test_pages_know_the_one_before(client: httpx.Client) -> None:
    """Going on to the last page and back again passes the same features."""
    forward = [client.get("/collections/neighbourhood/items", params={"limit": 4}).json()]
    while hrefs := [link["href"] for link in forward[-1]["links"] if link["rel"] == "next"]:
        forward.append(client.get(hrefs[0]).json())
    assert len(forward) > 2
    for before, after in pairwise(forward):
        back = next(link["href"] for link in after["links"] if link["rel"] == "prev")
        assert client.get(back).json()["features"] == before["features"]


# ── A new version, the machine, the database ──────────────────────────────────────────────────────────────


def test_a_new_version_shows_without_a_restart(site: Site, client: httpx.Client) -> None:
    """What is published while the program runs is there with the next request, and gone when taken back."""
    path = "/collections/priority/items"
    former = everything(client, path)
    fresh = AreaSet.of([Area(Kind.PRIORITY, "NEW", "new", shapely.box(-1.0, 52.6, -0.99, 52.61))])
    publish(site.dsn, fresh, NOW + 1)
    assert [item["id"] for item in everything(client, path)] == ["NEW"]
    with connect(site.dsn) as connection:
        connection.execute(
            "update area_version set withdrawn = now() "
            "where version = (select max(version) from area_version)"
        )
    assert everything(client, path) == former


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    """Only loopback is listened on where nobody has to sign in; the message says so."""
    with pytest.raises(AddressError, match="nobody has to sign in; set PATROL_SIGN_IN=local"):
        refuse_open(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"])
def test_loopback_is_allowed(host: str) -> None:
    """Every name of this machine for itself will do."""
    refuse_open(host)


def test_the_command_refuses_an_open_address(site: Site) -> None:
    """``patrol web --host 0.0.0.0`` ends with exit code 2 and one line."""
    done = subprocess.run(
        command("web", "--host", "0.0.0.0", "--port", "0"),
        capture_output=True,
        text=True,
        env={**os.environ, "PATROL_DATABASE": site.dsn},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nobody has to sign in" in done.stderr


def test_a_page_from_elsewhere_cannot_ask_under_its_own_name(client: httpx.Client) -> None:
    """A request that names another host is refused, wherever that name leads."""
    assert client.get("/collections", headers={"Host": "evil.example"}).status_code == 400


def test_health_tells_a_running_process_from_one_that_can_serve(database: str) -> None:
    """Without the schema, then without the database: up but not ready; with both: ready."""

    def ask(dsn: str) -> tuple[int, int, str]:
        async def both() -> tuple[int, int, str]:
            app = create_app(Settings(database=dsn))
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as asking,
            ):
                ready = await asking.get("/readyz")
                return (await asking.get("/healthz")).status_code, ready.status_code, ready.text

        return asyncio.run(both())

    assert ask(database)[:2] == (200, 503)
    assert "patrol init" in ask(database)[2]
    with connect(database) as connection:
        migrate(connection)
    assert ask(database)[:2] == (200, 200)
    up, ready, said = ask(database.replace("/test_", "/no_such_"))
    assert (up, ready) == (200, 503)
    assert "no_such" not in said
