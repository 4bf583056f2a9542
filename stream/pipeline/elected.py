"""Elections: of all workers one does what must be done by one, chosen by a lock in the database.

Whoever has the lock keeps it as long as the connection lives: when a worker ends, or loses the database,
another one is elected.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg

from stream.store.schema import connect, try_lock

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from stream.settings import Settings
    from stream.store.schema import Connection, Lock


class Elected:
    """A candidate, and what it does when elected. As a context manager it gives up when the database fails.

    Args:
        settings: the database.
        lock: whoever has it is elected.
        name: the connection's, for the server's own lists.

    Attributes:
        terms: how many times it was elected: who keeps something in mind begins anew with each term.
    """

    def __init__(self, settings: Settings, lock: Lock, name: str) -> None:
        self._settings, self._lock, self._name = settings, lock, name
        self._connection: Connection | None = None
        self._elected = False
        self.terms = 0

    def connection(self) -> Connection:
        """The connection, made where there is none.

        Raises:
            psycopg.OperationalError: the database is away.
        """
        if self._connection is None:
            self._connection = connect(self._settings.database, name=self._name)
        return self._connection

    def held(self) -> bool:
        """Whether it is elected; where nobody is, it is from now on.

        Raises:
            psycopg.Error: the database is away.
        """
        if not self._elected and try_lock(self.connection(), self._lock):
            self._elected = True
            self.terms += 1
        return self._elected

    def close(self) -> None:
        """Gives up the lock, and the connection with it."""
        connection, self._connection, self._elected = self._connection, None, False
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, psycopg.Error):
            self.close()
