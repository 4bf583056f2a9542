"""The OpenAPI 3.0 document: what each path takes and gives, made from the types of the answers.

FastAPI writes OpenAPI 3.1 from pydantic's types; a GIS expects 3.0, and what is said here are msgspec's
structs. So paths are described by types (:func:`operation`), and :func:`document` makes one document of them:
every struct and enumeration is a component under its class's name, less a ``Json`` at its end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from geo.areas import Kind
from stream.web.problems import ProblemJson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastapi import FastAPI

VERSION = "3.0.3"
OF_ONE = "/collections/{collectionId}"
REFERENCE = "#/components/schemas/"
Json = dict[str, Any]

PROBLEMS = {
    400: "A parameter is unknown or not valid",
    403: "Another site's page made the request",
    404: "It does not exist",
    409: "It cannot be done as things stand",
    413: "The content is too large",
    415: "The content is of the wrong type",
    428: "The settings want it said why: send it in the header `Patrol-Purpose`, percent-encoded",
    503: "The database cannot be reached now",
}


def in_path(name: str, about: str, kind: Any = str) -> Json:
    """A parameter that is part of the path."""
    return {"name": name, "in": "path", "required": True, "description": about, "schema": kind}


AREA_ID = in_path("areaId", "The id of a neighbourhood.")


def in_query(name: str, about: str, kind: Any = str, *, required: bool = False) -> Json:
    """A parameter of the query.

    Args:
        name: as it is written.
        about: for people.
        kind: its type.
        required: whether it has to be there.
    """
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": about,
        "schema": kind,
        "style": "form",
        "explode": False,
    }


_OPERATIONS: dict[str, tuple[Json, tuple[Any, ...]]] = {}
"""By name: the operation in OpenAPI's words with types in place of schemas, and further types that it needs.

FastAPI carries no types but its own from a path to its document."""


def operation(
    name: str,
    summary: str,
    answer: Any,
    parameters: Iterable[Json] = (),
    *,
    media: str = "application/json",
    content: Any = None,
    content_media: str = "application/json",
    status: int = 200,
    problems: tuple[int, ...] = (),
    also: tuple[Any, ...] = (),
) -> dict[str, Any]:
    """What FastAPI's decorators take to describe a path by its types. A type is what msgspec takes for one.

    Args:
        name: the operation's id.
        summary: what it gives, for people.
        answer: type of the answer when all is well.
        parameters: of the path and the query, each with its type as ``schema``.
        media: type of the answer's content.
        content: type of what is sent, None where nothing is.
        content_media: its media type.
        status: of the answer when all is well.
        problems: further statuses, keys of ``PROBLEMS``.
        also: types that the answer holds though its own type cannot say so.
    """
    failing = {400, 404, 503, *problems}
    described: Json = {"parameters": list(parameters)}
    if content is not None:
        described["requestBody"] = {"required": True, "content": {content_media: {"schema": content}}}
        failing |= {403, 413, 415}
    problem = {"application/problem+json": {"schema": ProblemJson}}
    described["responses"] = {
        str(status): {"description": summary, "content": {media: {"schema": answer}}},
        **{str(code): {"description": PROBLEMS[code], "content": problem} for code in sorted(failing)},
    }
    _OPERATIONS[name] = (described, also)
    return {"operation_id": name, "summary": summary, "response_model": None, "status_code": status}


def committed() -> Path:
    """Where the document stands in the sources, to be read and compared without running anything."""
    return Path(__file__).parents[2] / "deploy" / "openapi.json"


def document(app: FastAPI, server: str = "") -> Json:
    """The OpenAPI document of all paths of an application.

    Args:
        app: the application.
        server: the address at which people reach it; empty: where the document was found.
    """
    from fastapi.openapi.utils import get_openapi

    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        openapi_version=VERSION,
        routes=app.routes,
    )
    also: list[Any] = []
    for path in found["paths"].values():
        for action in path.values():
            described, others = _OPERATIONS[action["operationId"]]
            action.update(described)
            also += others
    schemas, components = msgspec.json.schema_components(
        [*_types(found["paths"]), *also], ref_template=f"{REFERENCE}{{name}}"
    )
    paths = _filled(found["paths"], iter(schemas))
    found["paths"] = paths | _spelt_out(paths)
    if server:
        found["servers"] = [{"url": server}]
    found["components"] = {"schemas": {_said(name): version_3_0(item) for name, item in components.items()}}
    return found


def _types(tree: Any) -> Iterator[Any]:
    """The types that stand where there shall be schemas."""
    if isinstance(tree, dict):
        for name, item in tree.items():
            if name == "schema" and not isinstance(item, dict):
                yield item
            else:
                yield from _types(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _types(item)


def _filled(tree: Any, schemas: Iterator[Json]) -> Any:
    """The same with schemas in their places, in the order of :func:`_types`."""
    if isinstance(tree, dict):
        return {
            name: version_3_0(next(schemas))
            if name == "schema" and not isinstance(item, dict)
            else _filled(item, schemas)
            for name, item in tree.items()
        }
    return [_filled(item, schemas) for item in tree] if isinstance(tree, list) else tree


def _spelt_out(paths: Json) -> Json:
    """The paths of the features once more for each collection: some programs look for just those."""
    made = {}
    for kind in Kind:
        action = dict(paths[f"{OF_ONE}/items"]["get"])
        action["operationId"] = f"{action['operationId']}_{kind}"
        action["parameters"] = [item for item in action["parameters"] if item["in"] == "query"]
        made[f"/collections/{kind}/items"] = {"get": action}
    return made


def _said(name: str) -> str:
    """The name of a component: that of its class."""
    return name.removesuffix("Json")


NULL: Json = {"type": "object", "nullable": True, "enum": [None]}
"""Nothing but null, as OpenAPI 3.0 can say it beside a reference."""


def version_3_0(schema: Any) -> Any:
    """A JSON schema of 2020, as msgspec writes it, in the words of OpenAPI 3.0.

    Null becomes ``nullable``; the types of a tuple's places, for which 3.0 has no word, stand under
    ``x-prefixItems`` and, in any order, under ``items``. Titles, which only say the class's name, go, and so
    do discriminators: of a union of structs each says by itself what its tag is.
    """
    if isinstance(schema, list):
        return [version_3_0(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = ("title", "prefixItems", "discriminator")
    found = {name: item for name, item in schema.items() if name not in dropped}
    if "properties" in found:
        found["properties"] = {name: version_3_0(item) for name, item in found["properties"].items()}
    for name in ("anyOf", "items", "additionalProperties"):
        if name in found:
            found[name] = version_3_0(found[name])
    if "description" in found:
        found["description"] = " ".join(found["description"].partition("\n\n")[0].split())
    if "enum" in found and all(isinstance(item, str) for item in found["enum"]):
        found["type"] = "string"
    if "exclusiveMinimum" in found:
        found |= {"minimum": found["exclusiveMinimum"], "exclusiveMinimum": True}
    if "prefixItems" in schema:
        places = version_3_0(schema["prefixItems"])
        found["x-prefixItems"] = places
        kinds = [item for at, item in enumerate(places) if item not in places[:at]]
        found["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if "$ref" in found:
        reference = {"$ref": REFERENCE + _said(found.pop("$ref").removeprefix(REFERENCE))}
        return {**found, "allOf": [reference]} if found else reference
    if {"type": "null"} in found.get("anyOf", ()):
        others = [item for item in found.pop("anyOf") if item != {"type": "null"}]
        if len(others) == 1 and "$ref" not in others[0]:
            return {**others[0], **found, "nullable": True}
        return {**found, "anyOf": [*others, NULL]}
    return found
