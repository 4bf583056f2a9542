"""Whether a pooler between this program and the database gives each connection a server process of its own.

A pooler such as PgBouncer may hand a connection to another server process after each transaction. Locks that
a session holds (so that one worker is elected), its settings and its prepared statements are then another
client's, and nothing says so: two workers would believe that they are elected, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import make_conninfo

from stream.store.bounded import Bounded, NoAnswerError

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

ROUNDS: Final = 4
"""How often it is tried: other clients could have taken a server process meanwhile."""
PATIENCE_S: Final = 10.0
"""How long the pooler may take for another connection."""

_kept: set[str] = set()


SHARED: Final = (
    "the database is behind a pooler that shares connections between transactions, by which locks and "
    "settings would be lost: give it pool_mode = session for this database (PgBouncer), or connect directly"
)
TOO_FEW: Final = (
    f"the pooler in front of the database has no second connection within {PATIENCE_S:.0f} s: allow it more "
    "(PgBouncer: default_pool_size), or connect directly"
)


def complaint(connection: psycopg.Connection[TupleRow]) -> str:
    """Why a connection cannot be used through the pooler in front of it, and what to do; empty: it can.

    Whether one does can be seen: a pooler that could pass a connection on has to give it a number of its own
    for cancelling, which is not the server process's. Then, a few times, the server process of ``connection``
    is asked for before and after a second connection has taken one and holds it in a transaction. If it is
    the first one's, or the first one has another one afterwards, they are shared; where a connection keeps
    its own, neither can be.

    Raises:
        psycopg.OperationalError: the database is away.
    """
    info = connection.info
    if _process(connection) == info.backend_pid or info.dsn in _kept:
        return ""
    dsn = make_conninfo(info.dsn, password=info.password or None)
    try:
        with Bounded.connect(dsn, autocommit=True, application_name="patrol start") as other:
            other.silence_s = PATIENCE_S
            for _ in range(ROUNDS):
                first = _process(connection)
                other.execute("begin")
                if _process(other) == first or _process(connection) != first:
                    return SHARED
                other.execute("rollback")
    except NoAnswerError:
        return TOO_FEW
    except psycopg.errors.ProtocolViolation:  # shared between statements, it does not begin a transaction
        return SHARED
    _kept.add(info.dsn)
    return ""


def _process(connection: psycopg.Connection[TupleRow]) -> int:
    row = connection.execute("select pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])
