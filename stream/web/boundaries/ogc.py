"""The description of OGC API Features for the OpenAPI document."""

from __future__ import annotations

from geo.areas import Kind
from stream.web.boundaries.parameters import CRS84, DEFAULT_LIMIT, MAX_LIMIT, SYSTEMS
from stream.web.description import Json, in_path
from stream.web.schemas import COUNT, NUMBER, TEXT, TIME, listed, record

_LINK = record("href rel type", href=TEXT, rel=TEXT, type=TEXT, title=TEXT)


_LINKS = listed(_LINK)


LANDING = record(title=TEXT, description=TEXT, links=_LINKS)


CONFORMANCE = record(conformsTo=listed(TEXT))


COLLECTION = record(
    "id links crs storageCrs",
    id={"type": "string", "enum": list(Kind)},
    title=TEXT,
    description=TEXT,
    itemType=TEXT,
    crs=listed(TEXT),
    storageCrs=TEXT,
    links=_LINKS,
    extent=record(
        spatial=record(bbox=listed(listed(NUMBER)), crs=TEXT),
        temporal=record(interval=listed(listed({**TIME, "nullable": True})), trs=TEXT),
    ),
)


COLLECTIONS = record(links=_LINKS, crs=listed(TEXT), collections=listed(COLLECTION))


_PROPERTIES = record(
    area_id=TEXT,
    name=TEXT,
    kind={"type": "string", "enum": list(Kind)},
    version={"type": "integer"},
    valid_from=TIME,
    valid_to={**TIME, "nullable": True},
)


_GEOMETRY = record(
    type={"type": "string", "enum": ["Polygon", "MultiPolygon"]}, coordinates={"type": "array", "items": {}}
)


FEATURE = record(
    "type id geometry properties",
    type={"type": "string", "enum": ["Feature"]},
    id=TEXT,
    geometry=_GEOMETRY,
    properties=_PROPERTIES,
    links=_LINKS,
)


FEATURES = record(
    type={"type": "string", "enum": ["FeatureCollection"]},
    timeStamp=TIME,
    numberMatched=COUNT,
    numberReturned=COUNT,
    links=_LINKS,
    features=listed(FEATURE),
)


def _query(name: str, about: str, schema: Json) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": about,
        "schema": schema,
        "style": "form",
        "explode": False,
    }


_SYSTEM: Json = {"type": "string", "format": "uri", "enum": list(SYSTEMS), "default": CRS84}


COLLECTION_ID = in_path("collectionId", "A kind of area.", {"type": "string", "enum": list(Kind)})


FEATURE_ID = in_path("featureId", "The id of an area, or area@version for a version not in force now.", TEXT)


CRS = _query("crs", "The reference system of the geometries.", _SYSTEM)


ITEMS: list[Json] = [
    _query(
        "bbox",
        "Only areas that meet a box: west,south,east,north (heights, if given, are not looked at).",
        {"type": "array", "minItems": 4, "maxItems": 6, "items": NUMBER},
    ),
    _query("bbox-crs", "The reference system of bbox.", _SYSTEM),
    CRS,
    _query(
        "datetime",
        "What was, is or will be in force at a time, or at any in a period: 2026-11-23T00:00:00Z, or "
        "2026-11-23T00:00:00Z/.. ; without it what is in force now.",
        TEXT,
    ),
    _query(
        "limit",
        "The most features of a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    _query("offset", "How many features to leave out.", {"type": "integer", "minimum": 0, "default": 0}),
]
