"""The OpenAPI 3.0 document: what each path takes and gives.

Values only. FastAPI writes OpenAPI 3.1 from types; a GIS expects 3.0, and the standard says how each
parameter must be described, so they stand here as it has them, beside the schemas of the answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from geo.areas import Kind

if TYPE_CHECKING:
    from fastapi import FastAPI

VERSION = "3.0.3"
OF_ONE = "/collections/{collectionId}"
Json = dict[str, Any]


def record(required: str = "", /, **properties: Json) -> Json:
    """An object: all its properties are always there, unless those that are get named."""
    return {"type": "object", "properties": properties, "required": required.split() or list(properties)}


def listed(items: Json) -> Json:
    """A list of such."""
    return {"type": "array", "items": items}


TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
TIME: Json = {"type": "string", "format": "date-time"}
PROBLEM = record(type=TEXT, title=TEXT, status={"type": "integer"}, detail=TEXT, code=TEXT, description=TEXT)
"""An error: RFC 9457, and under ``code`` and ``description`` as OGC API Features has it."""

PROBLEMS = {
    400: "A parameter is unknown or makes no sense",
    403: "It was asked by another site's page",
    404: "There is no such thing",
    409: "It cannot be done as things stand",
    413: "Too much was sent",
    415: "What was sent is of another type",
    503: "The database cannot be reached now",
}
HEALTH = record(status=TEXT)
READY = record(
    "status", status=TEXT, newest_event={**TIME, "nullable": True}, age_s={**NUMBER, "nullable": True}
)


def in_path(name: str, about: str, schema: Json) -> Json:
    """A parameter that is part of the path."""
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def operation(
    name: str,
    summary: str,
    schema: Json,
    parameters: list[Json] | None = None,
    *,
    media: str = "application/json",
    content: Json | None = None,
    content_media: str = "application/json",
    status: int = 200,
    problems: tuple[int, ...] = (),
) -> dict[str, Any]:
    """What FastAPI's decorators take to describe a path as it stands here.

    Args:
        name: the operation's id.
        summary: what it gives, for people.
        schema: of the answer.
        parameters: of the path and the query.
        media: type of the answer.
        content: schema of what is sent, for a request that changes something.
        content_media: its type.
        status: of the answer when all is well.
        problems: further statuses, keys of ``PROBLEMS``.
    """
    problem = {"application/problem+json": {"schema": PROBLEM}}
    extra: Json = {"parameters": parameters or []}
    failing = [400, 404, 503, *problems]
    if content is not None:
        extra["requestBody"] = {"required": True, "content": {content_media: {"schema": content}}}
        failing += [403, 413, 415]
    return {
        "operation_id": name,
        "summary": summary,
        "response_model": None,
        "status_code": status,
        "openapi_extra": extra,
        "responses": {
            status: {"description": summary, "content": {media: {"schema": schema}}},
            **{code: {"description": PROBLEMS[code], "content": problem} for code in sorted(set(failing))},
        },
    }


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
    for path in found["paths"].values():
        for action in path.values():
            _only_described(action)
    found["paths"] |= _spelt_out(found["paths"])
    return found


def _spelt_out(paths: Json) -> Json:
    """The paths of the features once more for each collection: some programs look for just those."""
    made = {}
    for kind in Kind:
        action = dict(paths[f"{OF_ONE}/items"]["get"])
        action["operationId"] = f"{action['operationId']}_{kind}"
        action["parameters"] = [item for item in action["parameters"] if item["in"] == "query"]
        made[f"/collections/{kind}/items"] = {"get": action}
    return made


def _only_described(action: Json) -> None:
    """FastAPI adds an untyped JSON answer beside one of another type; only what was described stays."""
    for answer in action["responses"].values():
        content = answer.get("content", {})
        if len(content) > 1 and not content.get("application/json", {}).get("schema"):
            content.pop("application/json", None)
