"""A connection that does not wait for ever: for whoever is to be told in time that a database is silent."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from collections.abc import Generator


class NoAnswerError(psycopg.OperationalError):
    """The database accepted a statement, or the connection, and did not answer in time."""

    def __init__(self, said: str = "the database does not answer") -> None:
        super().__init__(said)


class Bounded(psycopg.Connection[TupleRow]):
    """A connection that is given up when the server does not respond for too long.

    Attributes:
        silence_s: how long it may say nothing.
        deadline: when whoever asks wants to be told, by the monotonic clock.
    """

    silence_s = math.inf
    deadline = math.inf

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Waits for an answer, as psycopg does, but not for ever."""
        try:
            return super().wait(self._heard(gen), *args, **kwargs)
        except NoAnswerError:
            self.pgconn.finish()  # it is in the middle of a statement and cannot be used
            raise

    def _heard(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same, but it fails when it finds too often that there is nothing to read or write."""
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard = now
                elif now - heard > self.silence_s or now > self.deadline:
                    raise NoAnswerError
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
