"""Clients of an application in this process: requests without a socket, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp


class InProcess(httpx.BaseTransport):
    """Has an application answer on a loop.

    Args:
        app: the application.
        loop: it runs elsewhere.
        address: where requests come from.
    """

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop, address: str) -> None:
        self._loop = loop
        self._transport = httpx.ASGITransport(app, client=(address, 40_000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request."""

        async def answered() -> httpx.Response:
            found = await self._transport.handle_async_request(request)
            assert isinstance(found.stream, httpx.AsyncByteStream)
            content = b"".join([part async for part in found.stream])
            return httpx.Response(found.status_code, headers=found.headers, stream=httpx.ByteStream(content))

        return asyncio.run_coroutine_threadsafe(answered(), self._loop).result()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread, as long as it is wanted."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def client_of(
    app: ASGIApp, loop: asyncio.AbstractEventLoop, base_url: str, address: str = "192.0.2.7"
) -> httpx.Client:
    """A client of an application, with cookies of its own."""
    return httpx.Client(transport=InProcess(app, loop, address), base_url=base_url)
