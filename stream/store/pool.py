"""The connections of whatever answers questions: kept, looked at when taken, never waited for too long.

A shell over ``psycopg_pool``. Whoever asks is told within the time that the settings allow: what the database
said, that it cannot be reached, or that it does not answer. The server's own limit (``statement_timeout``)
ends what takes too long there; that of the connection is for a server, or a network, that does nothing at all
any more.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from stream.secret_files import current
from stream.store.bounded import Bounded, NoAnswerError
from stream.store.schema import SESSION, in_utc, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from stream.settings import Settings
    from stream.store.schema import Connection

    Answered = TypeVar("Answered")

MOST = 12
"""So many connections are open at once; whoever comes then waits for one."""

GRACE_S = 1.0
"""So long after the server's own limit for a statement it is held to be silent."""


class _Kept(ConnectionPool[Bounded]):
    """Connections that are kept; where none can be made, all who wait for one are told why at once."""

    failure: Exception

    def _connect(self, timeout: float | None = None) -> Bounded:
        try:
            return super()._connect(timeout)
        except Exception as failure:
            self.failure = failure
            raise

    def reconnect_failed(self) -> None:
        """Whoever comes from now on has it tried anew."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for client in waiting:
            client.fail(self.failure)


class Pool:
    """Connections to a database that has the schema this program needs.

    Args:
        settings: the database, and how long to wait for it.
        name: the program's, for the server's own lists.
    """

    def __init__(self, settings: Settings, name: str = "patrol web") -> None:
        self._settings = settings
        self._asked: set[Bounded] = set()
        self._kept = _Kept(
            lambda: current(settings.database),
            connection_class=Bounded,
            kwargs={
                **SESSION,
                "application_name": name,
                "connect_timeout": max(2, math.ceil(settings.database_connect_s)),
            },
            min_size=0,
            max_size=MOST,
            open=False,
            configure=self._require,
            reconnect_timeout=0.0,
            name=name,
        )

    def ask(self, question: Callable[[Connection], Answered]) -> Answered:
        """What a question answers that is asked over a connection (see ``connection``)."""
        with self.connection() as connection:
            return question(connection)

    @contextlib.contextmanager
    def connection(self, *, patient: bool = False) -> Iterator[Connection]:
        """A connection for a question; each of its statements commits unless told otherwise, in UTC.

        Args:
            patient: the answer may take longer than a person waits: each statement has the time that the
                settings give it, ``database_statement_s``, and the connection ``database_connect_s``.
                Otherwise all together have ``database_answer_s``.

        Raises:
            NoAnswerError: the database does not answer in time.
            psycopg.OperationalError: it cannot be reached.
            SchemaError: run ``patrol init`` first.
        """
        limits = self._settings
        within_s = limits.database_connect_s if patient else limits.database_answer_s
        connection = self._taken(time.monotonic() + within_s, patient=patient)
        try:
            yield connection
        finally:
            self._asked.discard(connection)
            self._kept.putconn(connection)

    def _taken(self, deadline: float, *, patient: bool) -> Bounded:
        """A connection over which the server has just answered, with its limits set."""
        limit_s = self._settings.database_statement_s if patient else self._settings.database_answer_s
        while True:
            try:
                self._kept.open()
                connection = self._kept.getconn(max(0.0, deadline - time.monotonic()))
            except (PoolTimeout, PoolClosed):
                raise NoAnswerError from None
            connection.silence_s, connection.deadline = limit_s + GRACE_S, deadline
            self._asked.add(connection)
            try:
                connection.execute(f"set statement_timeout = {math.ceil(limit_s * 1000)}".encode())
            except psycopg.OperationalError as failure:
                # The server went away, and perhaps came back, since it was used last.
                self._asked.discard(connection)
                self._kept.putconn(connection)
                if isinstance(failure, NoAnswerError):
                    raise
            else:
                connection.deadline = math.inf if patient else deadline
                return connection

    def _require(self, connection: Bounded) -> None:
        connection.deadline = time.monotonic() + self._settings.database_connect_s
        try:
            in_utc(connection)
            require(connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Ends the connections; whoever still waits for an answer gets ``NoAnswerError``."""
        for connection in tuple(self._asked):
            connection.silence_s = 0.0
        self._kept.close()
