"""``patrol web``: the pages and the API over HTTP; on this machine only, unless people sign in."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from stream.settings import LOCAL_ACCOUNTS, check_files, load, unprotected

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Iterator

    from stream.settings import Settings


class PortTakenError(click.ClickException):
    """Another program has the port, which may change; the message says what to do."""


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that listens on an address of this machine.

    Raises:
        PortTakenError: the port is taken.
        click.ClickException: it is not allowed.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio would leave Nagle's delay on: 40 ms for every answer on a connection kept alive.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)  # a request sent at once is answered when everything is running
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            why = "another program uses it, perhaps another 'patrol web'; end that, or give another --port"
            raise PortTakenError(f"--port {port}: {why}") from error
        raise click.ClickException(f"--port {port}: {error.strerror}; give another --port") from error
    return found


async def free_in_time(host: str, port: int, stop: asyncio.Event) -> socket.socket | None:
    """The same, as soon as the port is free; None where told to stop before.

    Raises:
        click.ClickException: the port is not allowed.
    """
    from stream.pipeline.waiting import Backoff

    log, backoff, told = logging.getLogger(__name__), Backoff(0.5, 5.0), False
    while not stop.is_set():
        try:
            return listening_on(host, port)
        except PortTakenError:
            if not told:
                log.warning(
                    "no live page: another program uses port %s. Everything is counted nevertheless: end "
                    "that program and the page appears by itself, or start again with another --port",
                    port,
                )
            told = True
        await backoff.pause(stop)
    return None


def agree(settings: Settings) -> None:
    """Compares the file of PATROL_POLICY with the database; where that is away, pages are served anyway.

    Raises:
        SettingsError: they differ, or the file cannot be used.
    """
    import psycopg

    from stream.settings import read_policies
    from stream.store.policies import agreed
    from stream.store.schema import connect, has_policies

    if not settings.policy:
        return
    read_policies(settings.policy)
    with (
        contextlib.suppress(psycopg.OperationalError),
        connect(settings.database, name="patrol web", connect_s=settings.database_connect_s) as connection,
    ):
        if has_policies(connection):
            agreed(connection, settings)


def refuse_pooler(settings: Settings) -> None:
    """Looks whether a pooler is in front of the database; where that is away, pages are served anyway.

    Raises:
        PoolerError: it shares its connections.
    """
    import psycopg

    from stream.secret_files import current
    from stream.store.bounded import Bounded
    from stream.store.poolers import complaint
    from stream.store.schema import PoolerError

    within_s = max(2, math.ceil(settings.database_connect_s))
    with (
        contextlib.suppress(psycopg.OperationalError),
        Bounded.connect(current(settings.database), autocommit=True, connect_timeout=within_s) as connection,
    ):
        connection.silence_s = settings.database_answer_s
        if why := complaint(connection):
            raise PoolerError(why)


def welcome(settings: Settings) -> None:
    """Where there is no account yet, makes an administrator's and shows its one-time password, this once.

    It is shown on a terminal only: output that goes elsewhere may be kept.
    """
    import psycopg

    from stream.cli.people import first_lines
    from stream.store.schema import SchemaError, connect, require

    with (
        contextlib.suppress(psycopg.OperationalError, SchemaError),
        connect(settings.database, name="patrol web", connect_s=settings.database_connect_s) as connection,
    ):
        require(connection)
        for line in first_lines(connection):
            click.echo(line, err=not sys.stdout.isatty())  # whoever reads the address reads nothing else


def _tell(failure: Exception | None) -> None:
    """Has an outage of the database logged, in a line when it begins and one when it is over."""
    from stream.pipeline.outages import DATABASE, OUTAGES

    if failure is None:
        OUTAGES.well("pages")
    else:
        OUTAGES.failed("pages", DATABASE, failure)


@click.command(epilog="Example: patrol web --port 8080")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on: loopback only, unless PATROL_SIGN_IN is set.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0: any free port; it is printed.",
)
@click.option("--wait", is_flag=True, help="Where another program uses the port, wait until it is free.")
@click.option("--openapi", is_flag=True, help="Print the API's description (OpenAPI) and end.")
@click.option("--rights", is_flag=True, help="Print who sees what (deploy/rights.md) and end.")
def web(host: str, port: int, wait: bool, openapi: bool, rights: bool) -> None:
    """Serves the live page and its API, and the published areas as OGC API Features (they open in QGIS).

    Where PATROL_SIGN_IN is not set nobody has to sign in: then it answers on this machine only, and refuses
    any other address.
    """
    import socket

    from stream.pipeline.processes import loading, until_told

    if rights:
        from stream.web.access.document import document as rights_document

        click.echo(rights_document(), nl=False)
        return

    with loading():
        import asyncio

        import uvicorn

        from stream.pipeline.logs import start_logging
        from stream.pipeline.waiting import first_of
        from stream.web.app import AddressError, create_app, refuse_open, signs_in
        from stream.web.tls import certificate_of

    if openapi:
        import json

        from stream.settings import Settings
        from stream.web.description import document

        found = document(create_app(Settings(database="postgresql:///patrol")))
        click.echo(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True))
        return

    class Server(uvicorn.Server):
        """Uvicorn without its own signal handlers: ``until_told`` has them, as for every other part."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    settings = load()
    try:
        if not signs_in(settings):
            refuse_open(host)
    except AddressError as error:
        raise click.ClickException(str(error)) from error
    check_files(settings)
    agree(settings)
    refuse_pooler(settings)
    certificate = certificate_of(settings)
    if settings.sign_in == LOCAL_ACCOUNTS:
        welcome(settings)
    app = create_app(settings)
    start_logging(settings.log)
    for line in unprotected(replace(settings, kafka="")):  # of Kafka it asks nothing
        logging.getLogger(__name__).warning("%s", line)
    app.state.pulse.tell = _tell
    plain = host.strip("[]")
    # What a proxy says is for the application to judge (stream.web.reached): uvicorn believes nobody.
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        server_header=False,
        ssl_context_factory=None if certificate is None else certificate.context,
        timeout_graceful_shutdown=5,
    )
    server = Server(config)
    at_once = None if wait else listening_on(plain, port)

    async def work(stop: asyncio.Event) -> None:
        found = at_once or await free_in_time(plain, port, stop)
        if found is None:
            return
        with found as listening:
            shown = f"[{plain}]" if listening.family == socket.AF_INET6 else plain
            serving = asyncio.ensure_future(server.serve(sockets=[listening]))
            scheme = "https" if certificate else "http"
            click.echo(f"{scheme}://{shown}:{listening.getsockname()[1]}/")
            await first_of([serving], stop)
            app.state.pulse.end()  # an open page would keep the server from ending
            server.should_exit = True
            await serving

    until_told(work)
