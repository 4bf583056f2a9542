"""Viewers for tests: an entrance that says that whoever asks is whom the test chose."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from fastapi import Depends, FastAPI, Response

from stream.settings import Settings
from stream.store.pool import Pool
from stream.web.access.consulted import Consulted
from stream.web.access.door import Door
from stream.web.access.rights import permit
from stream.web.access.viewer import Grant, Loopback, Role, Viewer
from stream.web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from starlette.requests import HTTPConnection


@dataclass(slots=True)
class Chosen:
    """An entrance by which everybody is one and the same, whom the test may change."""

    who: Viewer | None = Loopback.everybody

    async def viewer(self, _connection: HTTPConnection) -> Viewer | None:
        """Whoever was chosen."""
        return self.who


def somebody(
    role: Role, neighbourhoods: Iterable[str] | None = None, *, officer: str | None = None
) -> Viewer:
    """Somebody with one role, signed in."""
    ground = None if neighbourhoods is None else frozenset(neighbourhoods)
    return Viewer(f"a-{role}", f"Name of {role}", (Grant(role, ground, officer),))


def everyone() -> dict[Role, Viewer]:
    """Somebody of each role, for the whole force; the officer is O1."""
    return {role: somebody(role, officer="O1" if role is Role.OFFICER else None) for role in Role}


class Unrecorded(Consulted):
    """Puts nothing on record: for tests of parts of the application that are about something else."""

    def __init__(self) -> None:
        super().__init__(Pool(Settings(database="postgresql:///none")), lambda: 0)

    def shown(self, *_: Any, **__: Any) -> None:
        """Nothing."""


def ruled() -> FastAPI:
    """An application without routes, which asks the table of rights, and where everybody sees everything."""
    app = FastAPI(dependencies=[Depends(permit)])
    app.add_middleware(Door, entrance=Loopback(), told=_nothing)
    app.state.consulted = Unrecorded()
    return app


def _nothing(_error: Exception) -> Response:
    return Response(status_code=500)


@dataclass(slots=True)
class Asking:
    """The application in this process, asked as whomever the test chooses."""

    app: FastAPI
    entrance: Chosen
    _client: httpx.AsyncClient
    _runner: asyncio.Runner

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An answer, whole."""
        return self._runner.run(self._client.request(method, path, **more))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Does something in the application's loop."""
        return self._runner.run(work)

    def get(self, path: str, who: Viewer | None = None, **more: Any) -> httpx.Response:
        """An answer, to somebody."""
        if who is not None:
            self.entrance.who = who
        return self.request("GET", path, **more)


@contextlib.contextmanager
def asking(settings: Settings, **more: Any) -> Iterator[Asking]:
    """The application over the database that the settings name."""
    entrance = Chosen()
    app = create_app(settings, entrance=entrance, **more)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60)
        try:
            yield Asking(app, entrance, client, runner)
        finally:

            async def over() -> None:
                await client.aclose()
                async with app.router.lifespan_context(app):
                    pass

            runner.run(over())
