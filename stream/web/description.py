"""The OpenAPI 3.0 document: what each path takes and gives.

Values only. FastAPI writes OpenAPI 3.1 from types; a GIS expects 3.0, and the standard says how each
parameter must be described, so they stand here as it has them, beside the schemas of the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geo.areas import Kind
from stream.web.parameters import CRS84, DEFAULT_LIMIT, MAX_LIMIT, SYSTEMS

if TYPE_CHECKING:
    from fastapi import FastAPI

VERSION = "3.0.3"
Json = dict[str, Any]


def _object(required: str = "", **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required.split() or list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_TIME: Json = {"type": "string", "format": "date-time"}
_LINK = _object("href rel type", href=_TEXT, rel=_TEXT, type=_TEXT, title=_TEXT)
_LINKS = _list(_LINK)
PROBLEM = _object(code=_TEXT, description=_TEXT)
LANDING = _object(title=_TEXT, description=_TEXT, links=_LINKS)
HEALTH = _object(status=_TEXT)
CONFORMANCE = _object(conformsTo=_list(_TEXT))
COLLECTION = _object(
    "id links crs storageCrs",
    id={"type": "string", "enum": list(Kind)},
    title=_TEXT,
    description=_TEXT,
    itemType=_TEXT,
    crs=_list(_TEXT),
    storageCrs=_TEXT,
    links=_LINKS,
    extent=_object(
        spatial=_object(bbox=_list(_list(_NUMBER)), crs=_TEXT),
        temporal=_object(interval=_list(_list({**_TIME, "nullable": True})), trs=_TEXT),
    ),
)
COLLECTIONS = _object(links=_LINKS, crs=_list(_TEXT), collections=_list(COLLECTION))
_PROPERTIES = _object(
    area_id=_TEXT,
    name=_TEXT,
    kind={"type": "string", "enum": list(Kind)},
    version={"type": "integer"},
    valid_from=_TIME,
    valid_to={**_TIME, "nullable": True},
)
_GEOMETRY = _object(
    type={"type": "string", "enum": ["Polygon", "MultiPolygon"]}, coordinates={"type": "array", "items": {}}
)
FEATURE = _object(
    "type id geometry properties",
    type={"type": "string", "enum": ["Feature"]},
    id=_TEXT,
    geometry=_GEOMETRY,
    properties=_PROPERTIES,
    links=_LINKS,
)
FEATURES = _object(
    type={"type": "string", "enum": ["FeatureCollection"]},
    timeStamp=_TIME,
    numberMatched=_COUNT,
    numberReturned=_COUNT,
    links=_LINKS,
    features=_list(FEATURE),
)


def _path(name: str, about: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


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


_OF_ONE = "/collections/{collectionId}"
_SYSTEM: Json = {"type": "string", "format": "uri", "enum": list(SYSTEMS), "default": CRS84}
COLLECTION_ID = _path("collectionId", "A kind of area.", {"type": "string", "enum": list(Kind)})
FEATURE_ID = _path("featureId", "The id of an area, or area@version for a version not in force now.", _TEXT)
CRS = _query("crs", "The reference system of the geometries.", _SYSTEM)
ITEMS: list[Json] = [
    _query(
        "bbox",
        "Only areas that meet a box: west,south,east,north (heights, if given, are not looked at).",
        {"type": "array", "minItems": 4, "maxItems": 6, "items": _NUMBER},
    ),
    _query("bbox-crs", "The reference system of bbox.", _SYSTEM),
    CRS,
    _query(
        "datetime",
        "What was, is or will be in force at a time, or at any in a period: 2026-11-23T00:00:00Z, or "
        "2026-11-23T00:00:00Z/.. ; without it what is in force now.",
        _TEXT,
    ),
    _query(
        "limit",
        "The most features of a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    _query("offset", "How many features to leave out.", {"type": "integer", "minimum": 0, "default": 0}),
]


def operation(
    name: str,
    summary: str,
    schema: Json,
    parameters: list[Json] | None = None,
    *,
    media: str = "application/json",
) -> dict[str, Any]:
    """What FastAPI's decorators take to describe a path as it stands here.

    Args:
        name: the operation's id.
        summary: what it gives, for people.
        schema: of the answer.
        parameters: of the path and the query.
        media: type of the answer.
    """
    problem = {"application/json": {"schema": PROBLEM}}
    return {
        "operation_id": name,
        "summary": summary,
        "response_model": None,
        "openapi_extra": {"parameters": parameters or []},
        "responses": {
            200: {"description": summary, "content": {media: {"schema": schema}}},
            400: {"description": "A parameter is unknown or makes no sense", "content": problem},
            404: {"description": "There is no such thing", "content": problem},
            503: {"description": "The database cannot be reached now", "content": problem},
        },
    }


def document(app: FastAPI) -> Json:
    """The OpenAPI document of all paths of an application."""
    from fastapi.openapi.utils import get_openapi

    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        openapi_version=VERSION,
        routes=app.routes,
    )
    for path in found["paths"].values():
        for action in path.values():
            _only_described(action)
    found["paths"] |= _spelt_out(found["paths"])
    return found


def _spelt_out(paths: Json) -> Json:
    """The paths of the features once more for each collection: some programs look for just those."""
    made = {}
    for kind in Kind:
        action = dict(paths[f"{_OF_ONE}/items"]["get"])
        action["operationId"] = f"{action['operationId']}_{kind}"
        action["parameters"] = [item for item in action["parameters"] if item["in"] == "query"]
        made[f"/collections/{kind}/items"] = {"get": action}
    return made


def _only_described(action: Json) -> None:
    """FastAPI adds an untyped JSON answer beside one of another type; only what was described stays."""
    content = action["responses"].get("200", {}).get("content", {})
    if len(content) > 1 and not content.get("application/json", {}).get("schema"):
        content.pop("application/json", None)
