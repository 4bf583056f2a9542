"""Connecting to the database, and bringing its schema up to date.

A shell: it runs the SQL of ``deploy/migrations`` and nothing else.
"""

from __future__ import annotations

import hashlib
import math
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

Connection = psycopg.Connection[TupleRow]

MIGRATION_LOCK = 0x7061_7472_0001
AREAS_LOCK = 0x7061_7472_0002


class SchemaError(RuntimeError):
    """The database's schema is not the one this program needs; the message says what to do."""


class NoAnswerError(psycopg.OperationalError):
    """The database took a question, or the connection, and did not answer in time."""


class _Bounded(psycopg.Connection[TupleRow]):
    """A connection that is given up when the server says nothing for too long.

    The server's own limit (``statement_timeout``) ends what takes too long there; this one is for a server,
    or a network, that does nothing at all any more.
    """

    silence_s = math.inf

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Waits for an answer, as psycopg does, but not for ever."""
        try:
            return super().wait(self._heard(gen), *args, **kwargs)
        except NoAnswerError:
            self.pgconn.finish()  # it is in the middle of something: nothing more can be asked of it
            raise

    def _heard(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same, but it fails when it is told too often that there was nothing to read or write."""
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.silence_s:
                    raise NoAnswerError("the database does not answer")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def connect(
    dsn: str, *, name: str = "patrol", connect_s: float | None = None, statement_s: float | None = None
) -> Connection:
    """A connection that commits each statement unless told otherwise, in UTC.

    Args:
        dsn: the database.
        name: the program's, for the server's own lists.
        connect_s: how long to wait for the connection, whole seconds from 2 on; None: as the DSN has it.
        statement_s: how long the server may take for a statement, seconds; None: as long as it likes. A
            second later it is held to be silent, and the connection is given up.

    Raises:
        psycopg.OperationalError: the server could not be reached.
    """
    limits: dict[str, Any] = {} if connect_s is None else {"connect_timeout": max(2, math.ceil(connect_s))}
    options = "-c timezone=UTC"
    if statement_s is None:
        return psycopg.connect(dsn, autocommit=True, application_name=name, options=options, **limits)
    options += f" -c statement_timeout={math.ceil(statement_s * 1000)}"
    found = _Bounded.connect(dsn, autocommit=True, application_name=name, options=options, **limits)
    found.silence_s = statement_s + 1
    return found


def give_up(connection: Connection) -> None:
    """Lets go whoever waits for an answer over a connection made with a limit: they get ``NoAnswerError``.

    For another thread than that which asks, when nobody wants the answer any more.
    """
    if isinstance(connection, _Bounded):
        connection.silence_s = 0.0


def migrations() -> Iterator[tuple[str, str]]:
    """``(name, SQL)`` of all migrations in order."""
    beside = Path(__file__).parents[2] / "deploy" / "migrations"
    folder = beside if beside.is_dir() else files("stream") / "_migrations"
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.name.endswith(".sql"):
            yield item.name, item.read_text(encoding="utf-8")


def migrate(connection: Connection) -> list[str]:
    """Brings the schema up to date; safe to repeat, and for several programs at once.

    Returns:
        the names of the migrations that were applied now.

    Raises:
        SchemaError: a migration applied earlier is not the one this program carries.
    """
    while True:
        try:
            return _migrate(connection)
        except psycopg.errors.DeadlockDetected:
            continue  # with somebody who reads two tables in another order; nothing was applied


def _migrate(connection: Connection) -> list[str]:
    applied = []
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        connection.execute(
            "create table if not exists migration (name text primary key, sha256 text not null, "
            "applied_at timestamptz not null default now())"
        )
        known: dict[str, str] = dict(connection.execute("select name, sha256 from migration").fetchall())
        for name, text in migrations():
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name not in known:
                connection.execute(text.encode())
                connection.execute("insert into migration (name, sha256) values (%s, %s)", [name, digest])
                applied.append(name)
            elif known[name] != digest:
                raise SchemaError(
                    f"the database was made with another {name}: "
                    "use the program that made it, or a new database"
                )
    return applied


def require(connection: Connection) -> None:
    """Checks that the schema is up to date.

    Raises:
        SchemaError: it is not; the message says to run ``patrol init``.
    """
    present = connection.execute("select to_regclass('migration') is not null").fetchone()
    known: set[object] = set()
    if present == (True,):
        known = {name for (name,) in connection.execute("select name from migration")}
    missing = [name for name, _ in migrations() if name not in known]
    if missing:
        raise SchemaError(f"the database lacks {', '.join(missing)}: run 'patrol init' first")
