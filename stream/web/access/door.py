"""The door: who asks is found out before anything else looks at a request, and nobody else gets in.

What answers without signing in stands in the table of rights. Requests that change something are refused
where another site made the browser send them, in one place for all that there are.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import msgspec
import psycopg
from fastapi import Response
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from stream.store.schema import SchemaError
from stream.web.access.rights import MOUNTS, ROUTES
from stream.web.pages import refuse_foreign
from stream.web.problems import ProblemError, ProblemJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stream.web.access.viewer import Entrance, Viewer

FREE = frozenset(path for (_, path), rule in ROUTES.items() if rule.open)
"""Paths that answer without signing in: whether the process is up, and what signing in itself needs."""
FREE_FOLDERS = tuple(f"{path}/" for path in MOUNTS)
"""So do the files that pages are made of: programs and drawings, and nothing about anybody."""

SIGN_IN = "/sign-in"
PROVIDER_TELLS = "/sign-out/provider"
REALM = 'realm="Patrol Visibility", charset="UTF-8"'
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
RECHECK_S = 5.0
"""So often an answer that goes on and on is looked at again: is whoever it goes to still signed in?"""
GRACE_S = 60.0
"""So long such an answer goes on while the database cannot say."""


def free(path: str) -> bool:
    """Whether a path answers without signing in."""
    return path in FREE or path.startswith(FREE_FOLDERS)


def path_of(scope: Scope) -> str:
    """The path of a request without the prefix under which the pages are reached."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


class Door:
    """Finds out who asks: ``request.state.viewer``; sends away whoever has to sign in.

    Args:
        app: what is behind it.
        entrance: tells who asks.
        told: makes an answer of what went wrong.
    """

    def __init__(self, app: ASGIApp, entrance: Entrance, told: Callable[[Exception], Response]) -> None:
        self._app, self._entrance, self._told = app, entrance, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        scope.setdefault("state", {})["viewer"] = None
        path = path_of(scope)
        try:
            viewer = await self._entrance.viewer(request)
            if viewer is None and not free(path):
                await _sent_away(request, path)(scope, receive, send)
                return
            if scope["method"] not in SAFE and (viewer is None or viewer.means != "token"):
                # A browser sends a cookie along whoever asks it to, and always says who did.
                cookie = viewer is None or scope["state"].get("session") is not None
                # What the provider itself sends is signed, and no browser's.
                cookie = cookie and path != PROVIDER_TELLS
                refuse_foreign(request.headers, json=False, named=cookie)
        except (ProblemError, psycopg.Error, SchemaError) as error:
            await self._told(error)(scope, receive, send)
            return
        scope["state"]["viewer"] = viewer
        if viewer is None or viewer.means == "demonstration":
            await self._app(scope, receive, send)
            return
        await _Guarded(self._entrance, viewer, request, send).run(self._app, scope, receive)


def _sent_away(request: Request, path: str) -> Response:
    """What whoever is not signed in gets: a page, the way to the sign-in page; a program, status 401."""
    headers = request.headers
    visits = headers.get("sec-fetch-mode", "navigate") == "navigate" and "text/html" in headers.get(
        "accept", ""
    )
    if visits and request.method == "GET" and not path.startswith("/api/"):
        query = request.url.query
        back = quote(path, safe="/:@-._~!$&'()*+,;=") + (f"?{query}" if query else "")
        root = str(request.scope.get("root_path", "")).rstrip("/")
        to = f"{root}{SIGN_IN}" + ("" if back == "/" else f"?{urlencode({'next': back})}")
        return Response(status_code=303, headers={"Location": to, "Cache-Control": "no-store"})
    # A browser asked for Basic would open a window of its own over the page.
    ways = [f"Bearer {REALM}"] if "sec-fetch-site" in headers else [f"Bearer {REALM}", f"Basic {REALM}"]
    said = "sign in first, or send a token"
    body = msgspec.json.encode(ProblemJson("about:blank", "Unauthorized", 401, said, "SignIn", said))
    found = Response(body, 401, media_type="application/problem+json", headers={"Cache-Control": "no-store"})
    for way in ways:
        found.headers.append("WWW-Authenticate", way)
    return found


class _Guarded:
    """An answer to somebody who is signed in: kept by no cache, and ended when they are signed in no more."""

    def __init__(self, entrance: Entrance, viewer: Viewer, request: Request, send: Send) -> None:
        self._entrance, self._viewer, self._request, self._send = entrance, viewer, request, send
        self._sure = self._looked = time.monotonic()
        self._over = asyncio.Event()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Has a request answered."""
        whole = False

        async def heard() -> Message:
            nonlocal whole
            if not whole:
                message = await receive()
                whole = message["type"] != "http.request" or not message.get("more_body")
                return message
            # From here on there is only one thing to hear: that whoever asked has gone.
            coming, over = asyncio.ensure_future(receive()), asyncio.ensure_future(self._over.wait())
            try:
                await asyncio.wait([coming, over], return_when=asyncio.FIRST_COMPLETED)
                return coming.result() if coming.done() else {"type": "http.disconnect"}
            finally:
                coming.cancel()
                over.cancel()

        await app(scope, heard, self._pass)

    async def _pass(self, message: Message) -> None:
        if self._over.is_set():
            return
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
        elif message.get("more_body") and time.monotonic() - self._looked > RECHECK_S and await self._gone():
            self._over.set()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _gone(self) -> bool:
        """Whether whoever it goes to is signed in no more, or has other roles."""
        self._looked = time.monotonic()
        try:
            found = await self._entrance.viewer(self._request)
        except (psycopg.Error, SchemaError):
            return self._looked - self._sure > GRACE_S
        self._sure = self._looked
        return found != self._viewer
