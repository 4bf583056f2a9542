"""How answers leave: JSON, and GeoJSON whose shapes were written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"
GEOJSON = "application/geo+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


class PolygonJson(msgspec.Struct, tag_field="type", tag="Polygon"):
    """Rings: the outer one anticlockwise, then holes."""

    coordinates: list[list[tuple[float, float]]]


class MultiPolygonJson(msgspec.Struct, tag_field="type", tag="MultiPolygon"):
    """Several polygons."""

    coordinates: list[list[list[tuple[float, float]]]]


ShapeJson = PolygonJson | MultiPolygonJson


def answer(body: object, media: str = JSON, crs: str | None = None, *, status: int = 200) -> Response:
    """A response with its media type, and the reference system that it is in."""
    headers = {} if crs is None else {"Content-Crs": f"<{crs}>"}
    return Response(msgspec.json.encode(body), status, media_type=media, headers=headers)


def written(text: str | bytes) -> Any:
    """JSON that is written already, in the place of the struct that it says."""
    return msgspec.Raw(text)


def with_more(body: msgspec.Struct, more: Mapping[str, object]) -> Any:
    """A struct with further fields behind its own, of which its type does not know."""
    own = msgspec.json.encode(body)
    return written(own[:-1] + b"," + msgspec.json.encode(more)[1:]) if more else body
