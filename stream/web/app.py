"""The web application: its parts, its health, and who may ask.

Where nobody signs in (``PATROL_SIGN_IN`` is empty) the program answers on this machine only: ``patrol web``
refuses any other address. Which hosts requests may name, and what a proxy in front says, is settled in
``stream.web.reached``.
"""

from __future__ import annotations

import ipaddress
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

import psycopg
from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from stream.clock import wall
from stream.settings import DEMONSTRATION, OPENID, SettingsError, trusted_networks
from stream.store.bounded import NoAnswerError
from stream.store.pool import Pool
from stream.store.schema import SchemaError
from stream.web import description, health, pages
from stream.web.access import audit, me
from stream.web.access import routes as access
from stream.web.access.consulted import Consulted
from stream.web.access.demonstration import Demonstration
from stream.web.access.door import Door
from stream.web.access.provided import add_routes, provided_of
from stream.web.access.rights import permit, settled
from stream.web.access.sign_in import SignIn
from stream.web.access.viewer import Loopback
from stream.web.answering import OPENAPI, answer
from stream.web.boundaries import features, jobs, publishing
from stream.web.boundaries.published import Boundaries
from stream.web.live import acknowledging
from stream.web.live import routes as live
from stream.web.live.pulse import Pulse
from stream.web.live.quality import LiveQuality
from stream.web.months import residents
from stream.web.problems import ProblemError, ProblemJson
from stream.web.reached import Reached, is_loopback, public_of, refuse_taken_prefix
from stream.web.weeks import restated
from stream.web.weeks import routes as weeks
from stream.web.weeks.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stream.clock import Clock
    from stream.settings import Settings
    from stream.web.access.viewer import Entrance


class AddressError(ValueError):
    """An address that must not be listened on; the message says which may."""


def refuse_open(host: str) -> None:
    """Refuses an address that other machines can reach.

    Raises:
        AddressError: it is not a loopback address.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise AddressError(
            f"--host {host}: other machines could read this, and nobody has to sign in; set "
            "PATROL_SIGN_IN=local, or leave --host out, or give 127.0.0.1, and reach it through a tunnel"
        )


def create_app(settings: Settings, *, now: Clock = wall, entrance: Entrance | None = None) -> FastAPI:
    """The web application over the database that the settings name.

    Args:
        settings: ``database`` is needed.
        now: the wall clock.
        entrance: tells who asks; None: what ``sign_in`` says.

    Raises:
        SettingsError: no database is set, or the public address cannot be served.
        RightsError: a route is not in the table of rights.
    """
    settings.need("database")
    public = public_of(settings)
    if public is not None and entrance is None and not (signs_in(settings) or is_loopback(public.host)):
        raise SettingsError(
            f"PATROL_PUBLIC_URL={public.address}: others could read this, and nobody has to sign in; "
            "switch sign-in on first, or leave PATROL_PUBLIC_URL out"
        )
    pool = Pool(settings)
    boundaries = Boundaries(pool)
    pulse = Pulse(settings, pool, now)
    trust = LiveQuality(pulse)
    desk = jobs.Jobs(settings, pool, now)
    shelf = Shelf(settings, pool, now)
    sign_in = SignIn(settings, now)
    used = entrance is None and signs_in(settings)
    shown = Demonstration(pool) if settings.sign_in == DEMONSTRATION else Loopback()
    provided = provided_of(settings, sign_in) if used and settings.sign_in == OPENID else None
    if provided is not None:
        sign_in.used = provided.seen

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if used:
            sign_in.start()
        yield
        await pulse.close()
        if provided is not None:
            await provided.close()
        sign_in.close()
        pool.close()
        desk.close()

    app = FastAPI(
        title=features.TITLE,
        description=features.ABOUT,
        version=version("patrol-visibility"),
        # FastAPI's own documentation pages would load scripts from elsewhere.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(permit)],
    )
    app.add_middleware(Door, entrance=entrance or (sign_in if used else shown), told=_told)
    app.add_middleware(pages.Heads)
    app.add_middleware(pages.Guard, tiles=settings.basemap, forms=settings.openid_issuer if provided else "")
    app.add_middleware(
        Reached,
        public=public,
        trusted=trusted_networks(settings.trusted_proxies),
        header=settings.proxy_header,
    )
    app.include_router(features.router(boundaries, now))
    app.include_router(me.router())
    app.include_router(audit.router(pool))
    app.include_router(health.router(boundaries, pulse, trust, now))
    app.include_router(live.router(pulse, boundaries, trust))
    app.include_router(acknowledging.router(pulse))
    app.include_router(publishing.router(desk))
    app.include_router(weeks.router(shelf))
    app.include_router(restated.router(shelf))
    app.include_router(residents.router(residents.Residents(shelf)))
    app.include_router(pages.router(settings))
    app.include_router(
        access.router(
            sign_in,
            used=used,
            more=partial(add_routes, provided),
            leaves=None if provided is None else provided.leaves,
        )
    )
    app.mount("/static", pages.static())

    @app.get("/api", include_in_schema=False)
    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return answer(description.document(app, public.address if public else ""), OPENAPI)

    def problem(request: Request, error: Exception) -> Response:
        if isinstance(error, ProblemError) and (page := weeks.notice(request, error)) is not None:
            return page
        return _told(error)

    away = (psycopg.OperationalError, psycopg.InterfaceError, SchemaError)
    for kind in (ProblemError, HTTPException, psycopg.DataError, *away, Exception):
        app.add_exception_handler(kind, problem)
    refuse_taken_prefix(public, app.routes)
    app.state.pulse = pulse
    app.state.consulted = Consulted(pool, now, settings.purpose)
    settled(app)
    return app


def signs_in(settings: Settings) -> bool:
    """Whether people have to sign in."""
    return settings.sign_in not in ("", DEMONSTRATION)


def _told(error: Exception) -> Response:
    """The answer to a request that failed."""
    status, code, said = _problem(error)
    body = ProblemJson("about:blank", HTTPStatus(status).phrase, status, said, code, said)
    return answer(body, "application/problem+json", status=status)


def _problem(error: Exception) -> tuple[int, str, str]:
    """Status, word and line for what went wrong."""
    if isinstance(error, ProblemError):
        return error.status, error.code, error.description
    if isinstance(error, HTTPException):
        return error.status_code, "NotFound" if error.status_code == 404 else "Refused", str(error.detail)
    if isinstance(error, SchemaError):
        return 503, "NotReady", str(error)
    if isinstance(error, psycopg.DataError):
        return 400, "InvalidParameterValue", "a text contains a character that is not allowed"
    if not isinstance(error, psycopg.Error):
        return 500, "Fault", "an internal error; the program's log says more"
    if isinstance(error, (NoAnswerError, psycopg.errors.QueryCanceled)):
        return 503, "NotReady", "the database does not answer now; try again"
    # The driver's message may name servers and users: it goes to the log, not to the caller.
    return 503, "NotReady", "the database cannot be reached now; try again"
