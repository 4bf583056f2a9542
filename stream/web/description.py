"""The OpenAPI 3.0 document: what each path takes and gives, made from the types of the answers.

FastAPI writes OpenAPI 3.1 from pydantic's types; a GIS expects 3.0, and what is said here are msgspec's
structs. So the paths carry their types (:func:`operation`), and :func:`document` makes one document of them:
every struct and enumeration is a component under its class's name, less a ``Json`` at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    400: "A parameter is unknown or makes no sense",
    403: "It was asked by another site's page",
    404: "There is no such thing",
    409: "It cannot be done as things stand",
    413: "Too much was sent",
    415: "What was sent is of another type",
    503: "The database cannot be reached now",
}


def in_path(name: str, about: str, kind: Any = str) -> Json:
    """A parameter that is part of the path."""
    return {"name": name, "in": "path", "required": True, "description": about, "schema": kind}


def in_query(name: str, about: str, kind: Any = str, *, required: bool = False, **more: object) -> Json:
    """A parameter of the query.

    Args:
        name: as it is written.
        about: for people.
        kind: its type.
        required: whether it has to be there.
        more: what else OpenAPI has to say of it.
    """
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": about,
        "schema": kind,
        **more,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What one path takes and gives. A type is what msgspec takes for one.

    Attributes:
        answer: type of the answer when all is well.
        parameters: of the path and the query, each with its type as ``schema``.
        media: type of the answer's content.
        content: type of what is sent, None where nothing is.
        content_media: its media type.
        status: of the answer when all is well.
        problems: further statuses, keys of ``PROBLEMS``.
        also: types that the answer holds though its own type cannot say so.
    """

    answer: Any
    parameters: tuple[Json, ...]
    media: str
    content: Any
    content_media: str
    status: int
    problems: tuple[int, ...]
    also: tuple[Any, ...]

    def described(self, summary: str) -> Json:
        """What OpenAPI has to say of it beside its name, with types where there shall be schemas."""
        failing = {400, 404, 503, *self.problems}
        found: Json = {"parameters": [dict(item) for item in self.parameters]}
        if self.content is not None:
            found["requestBody"] = {"required": True, "content": _content(self.content_media, self.content)}
            failing |= {403, 413, 415}
        problem = "application/problem+json"
        found["responses"] = {
            str(self.status): {"description": summary, "content": _content(self.media, self.answer)},
            **{
                str(code): {"description": PROBLEMS[code], "content": _content(problem, ProblemJson)}
                for code in sorted(failing)
            },
        }
        return found


_OPERATIONS: dict[str, Operation] = {}
"""By name. FastAPI carries no types but its own from a path to its document."""


def _content(media: str, kind: Any) -> Json:
    return {media: {"schema": kind}}


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
    """What FastAPI's decorators take to describe a path by its types.

    Args:
        name: the operation's id.
        summary: what it gives, for people.
        answer: its type; this and the rest as :class:`Operation` has them.
        parameters: of the path and the query.
        media: type of the answer's content.
        content: type of what is sent.
        content_media: its media type.
        status: of the answer when all is well.
        problems: further statuses.
        also: further types.
    """
    _OPERATIONS[name] = Operation(
        answer, tuple(parameters), media, content, content_media, status, problems, also
    )
    return {"operation_id": name, "summary": summary, "response_model": None, "status_code": status}


def committed() -> Path:
    """Where the document stands in the sources, to be read and compared without running anything."""
    return Path(__file__).parents[2] / "deploy" / "openapi.json"


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
    also: list[Any] = []
    for path in found["paths"].values():
        for action in path.values():
            described = _OPERATIONS[action["operationId"]]
            action.update(described.described(action["summary"]))
            also += described.also
    typed = list(_typed(found["paths"]))
    schemas, components = msgspec.json.schema_components(
        [*(item["schema"] for item in typed), *also], ref_template=f"{REFERENCE}{{name}}"
    )
    for item, schema in zip(typed, schemas, strict=False):
        item["schema"] = version_3_0(schema)
    found["paths"] |= _spelt_out(found["paths"])
    found["components"] = {"schemas": {_said(name): version_3_0(item) for name, item in components.items()}}
    return found


def _typed(tree: Any) -> Iterator[Json]:
    """Every object that has a type for its schema."""
    if isinstance(tree, dict):
        if "schema" in tree and not isinstance(tree["schema"], dict):
            yield tree
        for item in tree.values():
            yield from _typed(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _typed(item)


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
    ``x-prefixItems`` and, in any order, under ``items``. Titles, which only say the class's name, go.
    """
    if isinstance(schema, list):
        return [version_3_0(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: item for name, item in schema.items() if name not in ("title", "prefixItems", "examples")}
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
        found["items"] = {"anyOf": [item for at, item in enumerate(places) if item not in places[:at]]}
    if "$ref" in found:
        reference = {"$ref": REFERENCE + _said(found.pop("$ref").removeprefix(REFERENCE))}
        return {**found, "allOf": [reference]} if found else reference
    if {"type": "null"} in found.get("anyOf", ()):
        others = [item for item in found.pop("anyOf") if item != {"type": "null"}]
        if len(others) == 1 and "$ref" not in others[0]:
            return {**others[0], **found, "nullable": True}
        return {**found, "anyOf": [*others, NULL]}
    return found
