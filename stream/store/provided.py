"""Sessions that began at an OpenID provider: its tokens as they are kept, and its messages that were heard.

The tokens come sealed and leave sealed: nothing here can open them. Times are microseconds since 1970.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.core.calendar import moment
from stream.core.facts import SECOND
from stream.store import passwords

if TYPE_CHECKING:
    from stream.store.schema import Connection

AGAIN_S = 60.0
"""So long after somebody has begun to ask the provider nobody else does, for one session."""


def keep(connection: Connection, session: bytes, sealed: bytes, *, due: int) -> None:
    """Keeps a session's sealed tokens, in place of those before; a session that has ended keeps none.

    Args:
        connection: to the database.
        session: its digest.
        sealed: the tokens.
        due: when the provider is to be asked again.
    """
    connection.execute(
        "insert into access_provided (digest, sealed, due_at) "
        "select digest, %s, %s from access_session where digest = %s "
        "on conflict (digest) do update set sealed = excluded.sealed, due_at = excluded.due_at",
        [sealed, moment(due), session],
    )


def due(connection: Connection, session: bytes, *, now: int) -> bytes | None:
    """A session's sealed tokens where the provider has to be asked again, which is then the caller's to do.

    A refresh token may be good once only, so of several processes one asks.
    """
    row = connection.execute(
        "update access_provided set due_at = %s where digest = %s and due_at <= %s returning sealed",
        [moment(now + int(AGAIN_S * SECOND)), session, moment(now)],
    ).fetchone()
    return None if row is None else bytes(row[0])


def sealed(connection: Connection, session: bytes) -> bytes | None:
    """The sealed tokens of a session."""
    row = connection.execute("select sealed from access_provided where digest = %s", [session]).fetchone()
    return None if row is None else bytes(row[0])


def heard(connection: Connection, message: str, *, until: int, now: int) -> bool:
    """Notes a message of the provider; whether it is heard for the first time.

    Args:
        connection: to the database.
        message: its id.
        until: when it is no longer good.
        now: the time.
    """
    connection.execute("delete from access_message where until_at < %s", [moment(now)])
    return (
        connection.execute(
            "insert into access_message (digest, until_at) values (%s, %s) on conflict do nothing",
            [passwords.digest(message), moment(until)],
        ).rowcount
        == 1
    )


def name_of(connection: Connection, issuer: str, subject: str) -> str | None:
    """The account of a provider's person; None: there is none."""
    row = connection.execute(
        "select name from access_account where issuer = %s and subject = %s", [issuer, subject]
    ).fetchone()
    return None if row is None else str(row[0])
