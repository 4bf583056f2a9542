"""How answers leave: JSON, ETag, conditional requests."""

from __future__ import annotations

import msgspec
from fastapi import Response

JSON = "application/json"


GEOJSON = "application/geo+json"


OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


def answer(body: object, media: str = JSON, crs: str | None = None, *, status: int = 200) -> Response:
    """A response with its media type, and the reference system that it is in."""
    headers = {} if crs is None else {"Content-Crs": f"<{crs}>"}
    return Response(msgspec.json.encode(body), status, media_type=media, headers=headers)
