"""Connecting to the database, and bringing its schema up to date.

A shell: it runs the SQL of ``deploy/migrations`` and nothing else.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = psycopg.Connection[TupleRow]

MIGRATION_LOCK = 0x7061_7472_0001
AREAS_LOCK = 0x7061_7472_0002


class SchemaError(RuntimeError):
    """The database's schema is not the one this program needs; the message says what to do."""


def connect(dsn: str, *, name: str = "patrol") -> Connection:
    """A connection that commits each statement unless told otherwise, in UTC.

    Raises:
        psycopg.OperationalError: the server could not be reached.
    """
    return psycopg.connect(dsn, autocommit=True, application_name=name, options="-c timezone=UTC")


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
