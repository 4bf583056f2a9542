"""Areas as OGC API Features: part 1 (core, GeoJSON, OpenAPI 3.0) and part 2 (reference systems).

It reads a request, asks ``Boundaries`` and writes the answer. Each kind of area is a collection; without
``datetime`` it has what is in force now, with it what was or will be then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from geo.areas import Kind
from geo.boundaries.crs import CrsError
from stream.core.calendar import rfc3339
from stream.core.json_types import when
from stream.web import description as api
from stream.web import pages
from stream.web.answering import GEOJSON, JSON, OPENAPI, answer, with_more
from stream.web.boundaries import ogc
from stream.web.boundaries.parameters import CRS84, SYSTEMS, parse, system
from stream.web.problems import ProblemError, bad, known

if TYPE_CHECKING:
    from stream.clock import Clock
    from stream.web.boundaries.published import Boundaries, Feature

CONFORMS_TO = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
)
TITLES = {
    Kind.NEIGHBOURHOOD: ("Neighbourhoods", "The ground that a team is responsible for."),
    Kind.PRIORITY: ("Priority areas", "Places that need visits, with their issue, days and hours."),
    Kind.PREMISES: ("Premises", "Stations, custody suites and courts: time inside is not visible."),
}
GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
TITLE = "Patrol Visibility: boundaries"
ABOUT = "Published boundaries of the force: what is in force now, and at any time asked for."


def router(boundaries: Boundaries, now: Clock) -> APIRouter:
    """The paths of OGC API Features.

    Args:
        boundaries: where the areas come from.
        now: the clock, microseconds since 1970.
    """
    routes = APIRouter(tags=["boundaries"])

    @routes.get("/", **api.operation("landing", "What there is, and where", ogc.LandingJson))
    def landing(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", "") and (page := pages.page("index")) is not None:
            return page
        known(request.query_params.multi_items(), ())
        base = base_of(request)
        links = [
            ogc.LinkJson(base + "/", "self", JSON, "this page"),
            ogc.LinkJson(f"{base}/api/v1/openapi.json", "service-desc", OPENAPI, "the API's description"),
            ogc.LinkJson(f"{base}/conformance", "conformance", JSON, "which standards are kept"),
            ogc.LinkJson(f"{base}/collections", "data", JSON, "the collections"),
        ]
        return answer(ogc.LandingJson(TITLE, ABOUT, links))

    @routes.get(
        "/conformance", **api.operation("conformance", "Which standards are kept", ogc.ConformanceJson)
    )
    def conformance(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        return answer(ogc.ConformanceJson(CONFORMS_TO))

    @routes.get("/collections", **api.operation("collections", "All collections", ogc.CollectionsJson))
    def collections(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        base = base_of(request)
        return answer(
            ogc.CollectionsJson(
                links=[ogc.LinkJson(f"{base}/collections", "self", JSON, "this page")],
                crs=SYSTEMS,
                collections=[collection_of(base, boundaries, kind) for kind in Kind],
            )
        )

    @routes.get(
        "/collections/{collectionId}",
        **api.operation("collection", "One collection", ogc.CollectionJson, [ogc.COLLECTION_ID]),
    )
    def collection(request: Request) -> Response:
        kind = kind_of(request)
        known(request.query_params.multi_items(), ())
        return answer(collection_of(base_of(request), boundaries, kind))

    @routes.get(
        "/collections/{collectionId}/items",
        **api.operation(
            "items",
            "The features of a collection",
            ogc.FeaturesJson,
            [ogc.COLLECTION_ID, *ogc.ITEMS],
            media=GEOJSON,
        ),
    )
    def items(request: Request) -> Response:
        kind = kind_of(request)
        pairs = request.query_params.multi_items()
        query = parse(pairs)
        moment = now()
        try:
            found = boundaries.features(kind, query, moment)
            page = found[query.offset : query.offset + query.limit]
            features = [feature_of(feature, query.crs) for feature in page]
        except CrsError as error:
            raise bad(f"{error}; leave crs and bbox-crs out") from error
        base = base_of(request)
        here = f"{base}/collections/{kind}/items"

        def at(offset: int) -> str:
            said = [(name, value) for name, value in pairs if name != "offset"]
            return f"{here}?{urlencode([*said, ('offset', str(offset))])}"

        links = [
            ogc.LinkJson(f"{here}?{urlencode(pairs)}" if pairs else here, "self", GEOJSON, "this page"),
            ogc.LinkJson(f"{base}/collections/{kind}", "collection", JSON, "the collection"),
        ]
        if query.offset + query.limit < len(found):
            links.append(ogc.LinkJson(at(query.offset + query.limit), "next", GEOJSON, "the next page"))
        if query.offset:
            links.append(
                ogc.LinkJson(at(max(0, query.offset - query.limit)), "prev", GEOJSON, "the page before")
            )
        body = ogc.FeaturesJson(rfc3339(moment), len(found), len(features), links, features)
        return answer(body, GEOJSON, query.crs)

    @routes.get(
        "/collections/{collectionId}/items/{featureId:path}",
        **api.operation(
            "item",
            "One feature",
            ogc.FeatureJson,
            [ogc.COLLECTION_ID, ogc.FEATURE_ID, ogc.CRS],
            media=GEOJSON,
        ),
    )
    def item(request: Request) -> Response:
        kind = kind_of(request)
        crs = system(known(request.query_params.multi_items(), ("crs",)), "crs")
        name = request.path_params["featureId"]
        found = boundaries.feature(kind, name, now())
        if found is None:
            raise ProblemError(404, "NotFound", f"there is no {kind} {name!r}")
        base = base_of(request)
        here = f"{base}/collections/{kind}/items/{quote(found.id, safe='')}"
        try:
            body = feature_of(found, crs)
        except CrsError as error:
            raise bad(f"{error}; leave crs out") from error
        body.links = [
            ogc.LinkJson(
                here if crs == CRS84 else f"{here}?{urlencode({'crs': crs})}", "self", GEOJSON, "this area"
            ),
            ogc.LinkJson(f"{base}/collections/{kind}", "collection", JSON, "the collection"),
        ]
        return answer(body, GEOJSON, crs)

    return routes


def base_of(request: Request) -> str:
    """The address under which the caller reaches this program, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def kind_of(request: Request) -> Kind:
    """The kind whose collection a path names.

    Raises:
        ProblemError: there is no such collection.
    """
    name = request.path_params["collectionId"]
    if name not in tuple(Kind):
        raise ProblemError(404, "NotFound", f"there is no collection {name!r}; there are: {', '.join(Kind)}")
    return Kind(name)


def collection_of(base: str, boundaries: Boundaries, kind: Kind) -> ogc.CollectionJson:
    """What there is to say about a collection: its extent over all versions, links, reference systems."""
    title, about = TITLES[kind]
    here = f"{base}/collections/{kind}"
    body = ogc.CollectionJson(
        id=kind,
        title=title,
        description=about,
        item_type="feature",
        crs=SYSTEMS,
        storage_crs=CRS84,
        links=[
            ogc.LinkJson(here, "self", JSON, "this collection"),
            ogc.LinkJson(f"{here}/items", "items", GEOJSON, title),
        ],
    )
    if found := boundaries.periods(kind):
        bounds = [boundaries.shapes(period.version).bounds for period in found]
        west, south = (min(box[side] for box in bounds) for side in (0, 1))
        east, north = (max(box[side] for box in bounds) for side in (2, 3))
        body.extent = ogc.ExtentJson(
            ogc.SpatialExtentJson([(west, south, east, north)], CRS84),
            ogc.TemporalExtentJson([(rfc3339(found[0].start), None)], GREGORIAN),
        )
    return body


def feature_of(feature: Feature, crs: str) -> ogc.FeatureJson:
    """A feature as GeoJSON."""
    area = feature.area
    said = ogc.PublishedAreaJson(
        area_id=area.area_id,
        name=area.name,
        kind=area.kind,
        version=feature.version.version,
        valid_from=rfc3339(feature.start),
        valid_to=when(feature.end),
    )
    others = {name: value for name, value in area.attributes.items() if name not in said.__struct_fields__}
    return ogc.FeatureJson(feature.id, feature.shapes.geojson(crs, feature.at), with_more(said, others))
