"""Connecting to the database, and bringing its schema up to date.

It runs the SQL of ``deploy/migrations`` and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from enum import IntEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import TupleRow

from stream.secret_files import current
from stream.store.poolers import complaint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Connection = psycopg.Connection[TupleRow]


class Lock(IntEnum):
    """The server's advisory locks that the program uses; their upper half spells *patr*."""

    MIGRATION = 0x7061_7472_0001
    AREAS = 0x7061_7472_0002
    """Of whoever publishes boundaries; shared by all who count."""
    PUBLISHER = 0x7061_7472_0003
    RECOMPUTE = 0x7061_7472_0004
    """Held by whoever recomputes: the notes belong to one at a time."""
    POLICY = 0x7061_7472_0005
    WATCH = 0x7061_7472_0006
    REPORTS = 0x7061_7472_0007
    """Held while reports are written: numbers are given out by one process at a time."""
    TIMER = 0x7061_7472_0008
    JUDGE = 0x7061_7472_000A
    """Of the worker that judges doubts over and over."""
    DOUBTS = 0x7061_7472_000B
    """Held while doubts are judged, so that what was read first is written first."""
    HEARD = 0x7061_7472_000C
    """Held to the end of a transaction that counts what was heard: what it adds to is read before."""
    EXAMINER = 0x7061_7472_000D
    """Of the worker that looks at the days of devices over and over."""
    DEVICE_DAYS = 0x7061_7472_000E
    """Held while days of devices are looked at, so that what was seen first is written first."""
    CLOSER = 0x7061_7472_0012
    """Of the worker that closes hours of facts over and over."""
    RESTATER = 0x7061_7472_0020
    """Of the worker that restates what later facts changed, over and over."""
    RESTATEMENTS = 0x7061_7472_0021
    """Held while restatements are put on record: each begins where the one before it ended."""
    RECORD = 0x7061_7472_0030
    """Held to the end of a transaction that adds to the record: each entry follows the one before it. The
    trigger takes it (``record_chain`` in the migrations)."""
    RETENTION = 0x7061_7472_0040
    """Held by whoever deletes what is older than it may be."""
    RETAINER = 0x7061_7472_0041
    """Of the worker that does so over and over."""
    PEOPLE = 0x7061_7472_0030
    """Held while it may be that nobody is left to administer accounts: two who lock each other are told."""
    CLOSING = 0x7061_7472_0013
    """Held while hours of facts are closed: partitions are made by one process at a time."""


SESSION: Mapping[str, Any] = {"autocommit": True}
"""How every connection is made; ``options`` are the DSN's own."""


class SchemaError(RuntimeError):
    """The database's schema is not the one this program needs; the message says what to do."""


class PoolerError(SchemaError):
    """The database cannot be used through what is in front of it; the message says what to do."""


def connect(dsn: str, *, name: str = "patrol", connect_s: float | None = None) -> Connection:
    """A connection that commits each statement unless told otherwise, in UTC.

    Args:
        dsn: the database; one that came from a file is read there again.
        name: the program's, for the server's own lists.
        connect_s: how long to wait for the connection, whole seconds from 2 on; None: as the DSN has it.

    Raises:
        psycopg.OperationalError: the server could not be reached.
    """
    limits: dict[str, Any] = {} if connect_s is None else {"connect_timeout": max(2, math.ceil(connect_s))}
    connection = psycopg.connect(current(dsn), application_name=name, **SESSION, **limits)
    try:
        in_utc(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def in_utc(connection: psycopg.Connection[TupleRow]) -> None:
    """Has a connection speak of times in UTC, whatever the server, the role, the database or the DSN says."""
    if connection.info.parameter_status("TimeZone") != "UTC":
        connection.execute("set timezone = 'UTC'")


def lock(connection: Connection, which: Lock, *, shared: bool = False) -> None:
    """Waits for a lock, and holds it until the transaction ends."""
    connection.execute(f"select pg_advisory_xact_lock{'_shared' if shared else ''}({which})".encode())


def try_lock(connection: Connection, which: Lock) -> bool:
    """Takes a lock until the connection ends, unless somebody else has it; gives whether it is ours."""
    return connection.execute(f"select pg_try_advisory_lock({which})".encode()).fetchone() == (True,)


@contextlib.contextmanager
def alone(connection: Connection, which: Lock) -> Iterator[None]:
    """One at a time does what is inside, in transactions whose snapshots are taken after the lock."""
    connection.execute("select pg_advisory_lock(%s)", [which])
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("select pg_advisory_unlock(%s)", [which])


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
        SchemaError: a migration applied earlier is not the one this program carries, or the database is of a
            newer version or in an encoding other than UTF-8.
    """
    _in_utf8(connection)
    while True:
        try:
            return _migrate(connection)
        except psycopg.errors.DeadlockDetected:
            continue  # with a reader of two tables in another order; nothing was applied


def _migrate(connection: Connection) -> list[str]:
    applied = []
    with connection.transaction():
        lock(connection, Lock.MIGRATION)
        connection.execute(
            "create table if not exists migration (name text primary key, sha256 text not null, "
            "applied_at timestamptz not null default now())"
        )
        known: dict[str, str] = dict(connection.execute("select name, sha256 from migration").fetchall())
        _not_newer(known)
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


def has_policies(connection: Connection) -> bool:
    """Whether policies are on record: not in a database that is empty, or of an older version."""
    return connection.execute("select to_regclass('policy_version') is not null").fetchone() == (True,)


def require(connection: Connection) -> None:
    """Checks that the schema is up to date.

    Raises:
        SchemaError: it is not, or is in an encoding other than UTF-8; the message says what to do.
    """
    known = suited(connection)
    missing = [name for name, _ in migrations() if name not in known]
    if missing:
        raise SchemaError(f"the database lacks {', '.join(missing)}: run 'patrol init' first")


def suited(connection: Connection) -> set[str]:
    """Checks that the database can be one of this program's; changes nothing.

    Returns:
        the names of the migrations that it has.

    Raises:
        PoolerError: it is behind a pooler that shares its connections.
        SchemaError: it is in an encoding other than UTF-8, or of a newer version.
    """
    if why := complaint(connection):
        raise PoolerError(why)
    _in_utf8(connection)
    present = connection.execute("select to_regclass('migration') is not null").fetchone()
    known: set[str] = set()
    if present == (True,):
        known = {name for (name,) in connection.execute("select name from migration")}
    _not_newer(known)
    return known


def _not_newer(known: Iterable[str]) -> None:
    newer = sorted(set(known) - {name for name, _ in migrations()})
    if newer:
        raise SchemaError(
            f"the database is of a newer version than this program, which does not know {', '.join(newer)}: "
            "update the program"
        )


def _in_utf8(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")  # asked for, it may be of bytes
    if encoding != "UTF8":
        raise SchemaError(
            f"the database is encoded in {encoding}, which cannot hold every name: "
            "make one with 'create database ... encoding utf8 template template0'"
        )
