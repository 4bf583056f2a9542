"""The pages themselves, and what protects them: files as they were built, headers on every answer.

Nothing on a page comes from another machine, and the headers tell the browser so; the one exception is a tile
address that the settings name. Requests that change something are taken from these pages only.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles

from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stream.settings import Settings

STATIC = Path(__file__).parent / "static"
"""What ``stream/web/page`` is built into."""

MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Patrol Visibility</title>
<h1>The page has not been built yet</h1><p>Run <code>make install</code>, then start this again.
<p>The figures are at <a href="/api/v1/live">/api/v1/live</a>.</html>"""


def policy(tiles: str = "", forms: str = "") -> str:
    """The content security policy: everything from here, and map tiles from where the settings say.

    Args:
        tiles: a raster tile address, or anything else.
        forms: an address to whose host a form may lead: the OpenID provider's, where people sign out.
    """
    origin, elsewhere = _origin(tiles), _origin(forms)
    return "; ".join(
        (
            "default-src 'self'",
            f"img-src 'self' data: blob:{origin}",
            f"connect-src 'self'{origin}",
            "worker-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            f"form-action 'self'{elsewhere}",
            "frame-ancestors 'none'",
        )
    )


def _origin(address: str) -> str:
    """An address's origin behind a space; empty: it has none."""
    parts = urlsplit(address)
    return f" {parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else ""


class Heads:
    """Answers HEAD as GET is answered, without the content; what has no end ends with its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        over = asyncio.Event()

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not over.is_set():
                over.set()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def gone() -> Message:
            await over.wait()
            return {"type": "http.disconnect"}

        await self._app({**scope, "method": "GET"}, gone, without_content)


class Guard:
    """Adds the headers to every answer; a long-lived stream passes through as it is."""

    def __init__(self, app: ASGIApp, tiles: str = "", forms: str = "") -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy(tiles, forms),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/static/assets/") and message["status"] == 200:
                    # Names carry a hash of what is in them.
                    headers["Cache-Control"] = "public, max-age=31536000, immutable"
                elif scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, with_headers)


def refuse_foreign(headers: Headers, *, json: bool = True, named: bool = False) -> None:
    """Refuses a request to change something that another site made the browser send.

    Args:
        headers: of the request.
        json: whether its content has to be JSON, which no plain form can send.
        named: whether it has to say where it comes from, as every browser does.

    Raises:
        ProblemError: it names another origin, or its content is of another type.
    """
    origin, host = headers.get("origin"), headers.get("host", "")
    site = headers.get("sec-fetch-site")
    if (
        site not in (None, "same-origin", "none")
        or (origin is not None and urlsplit(origin).netloc != host)
        or (named and site is None and origin is None)
    ):
        raise ProblemError(403, "Refused", "this may be asked by this program's own pages only")
    if json and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ProblemError(415, "UnsupportedMediaType", "send the content as application/json")


def page(name: str) -> Response | None:
    """A page as it was built; None where nothing was."""
    path = STATIC / f"{name}.html"
    return FileResponse(path, headers={"Cache-Control": "no-cache"}) if path.is_file() else None


def static() -> StaticFiles:
    """The files that pages name."""
    return StaticFiles(directory=STATIC, check_dir=False)


def router(settings: Settings) -> APIRouter:
    """The pages."""
    routes = APIRouter(include_in_schema=False)

    def built(name: str) -> Response:
        return page(name) or Response(MISSING, media_type="text/html")

    @routes.get("/page")
    def index() -> Response:
        return built("index")

    @routes.get("/boundaries")
    def boundaries() -> Response:
        return built("boundaries")

    @routes.get("/basemap.pmtiles")
    def basemap(_request: Request) -> Response:
        path = Path(settings.basemap)
        if "{z}" in settings.basemap or not settings.basemap or not path.is_file():
            raise ProblemError(404, "NotFound", "PATROL_BASEMAP names no file that is there")
        return FileResponse(path, media_type="application/octet-stream")

    return routes
