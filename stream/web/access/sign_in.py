"""The entrance where people sign in: a session's cookie, or a token, becomes whoever asks.

Every request needs an answer from the database, so a few things keep it quick and harmless: connections of
its own, an answer that holds for seconds, one question for many requests of one page, and no waiting while
the database has just failed to answer. Signing out and locking hold at once in this process, and in others as
soon as their answers are too old.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from stream.core.facts import SECOND
from stream.store import passwords, people
from stream.store.bounded import NoAnswerError
from stream.store.passwords import TOKEN_MARK
from stream.store.pool import Pool
from stream.store.schema import SchemaError
from stream.web.access.door import free, path_of
from stream.web.access.viewer import Viewer
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from starlette.requests import HTTPConnection

    from stream.clock import Clock
    from stream.settings import Settings
    from stream.store.people import Person, Session
    from stream.store.schema import Connection

    Answered = TypeVar("Answered")

COOKIE = "__Host-patrol"
"""A cookie of this host alone, over TLS alone (or to this machine), that no program on a page can read."""
BROWSER_COOKIE = "__Host-patrol-browser"
"""Says that somebody signed in with this browser before; it opens nothing."""

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
TOKEN = re.compile(rf"{TOKEN_MARK}[A-Za-z0-9_-]{{43}}")

HOLDS_S = 3.0
"""So long an answer of the database about a session holds."""
MOST_KEPT = 10_000
AWAY_S = 0.5
"""So long after the database failed to answer nobody waits for it again."""
THREADS = 4
HASHING = 2
"""Passwords hashed at once, 64 MiB each."""
MOST_WAITING = 40
"""So many more may wait for that; whoever comes then is told to come again."""

BACKGROUND = frozenset({"/api/v1/stream"})
"""What a page asks by itself, which is no sign that somebody sits before it."""
UNATTENDED = "patrol-unattended"
"""The header by which a page says that nobody has touched it lately."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database said of a secret, and when.

    Attributes:
        touched: whether it was told that this is a use.
    """

    viewer: Viewer | None
    session: Session | None
    asked: int
    touched: bool


class SignIn:
    """Tells who asks by sessions and tokens.

    Args:
        settings: the database, and how long sessions last.
        now: the wall clock.
    """

    def __init__(self, settings: Settings, now: Clock) -> None:
        self.settings, self.now = settings, now
        self._pool = Pool(settings, "patrol web sign-in")
        self._threads = ThreadPoolExecutor(THREADS, "sign-in")
        self._hashing = ThreadPoolExecutor(HASHING, "passwords")
        self._hashes = 0
        self._known: dict[str, _Known] = {}
        self._asking: dict[tuple[str, bool], asyncio.Future[_Known]] = {}
        self._edition = 0
        self._away: tuple[float, Exception] = (0.0, NoAnswerError())
        self.used: Callable[[Session, str], None] | None = None
        """Told of a session's use, with its secret, every few seconds at most."""

    # ── Who asks ──────────────────────────────────────────────────────────────────────────────────────────

    async def viewer(self, connection: HTTPConnection) -> Viewer | None:
        """Whoever made a request; None where nobody is signed in. A session is noted in the request's state.

        Raises:
            psycopg.OperationalError: the database cannot say.
        """
        path = path_of(connection.scope)
        if free(path):
            return None
        secret = secret_of(connection)
        if secret is None:
            return None
        touch = path not in BACKGROUND and UNATTENDED not in connection.headers
        found = await self._found(secret, touch=touch)
        connection.scope.setdefault("state", {})["session"] = found.session
        return found.viewer

    async def _found(self, secret: str, *, touch: bool) -> _Known:
        known, now = self._known.get(secret), self.now()
        if (
            known is not None
            and 0 <= now - known.asked < HOLDS_S * SECOND
            and (known.touched or not touch)
            and (known.session is None or now < known.session.until)
        ):
            return known
        asking = self._asking.get((secret, touch))
        if asking is None:
            if time.monotonic() < self._away[0]:
                raise self._away[1]
            asking = asyncio.ensure_future(self._look(secret, self._edition, touch=touch))
            self._asking[secret, touch] = asking
            asking.add_done_callback(partial(self._asked, (secret, touch)))
        return await asyncio.shield(asking)

    def _asked(self, key: tuple[str, bool], asking: asyncio.Future[_Known]) -> None:
        if self._asking.get(key) is asking:
            del self._asking[key]
        if not asking.cancelled():
            asking.exception()  # whoever waited has been told; perhaps nobody does any more

    async def _look(self, secret: str, edition: int, *, touch: bool) -> _Known:
        now = self.now()
        person: Person | None
        session = None
        if secret.startswith(TOKEN_MARK):
            person = await self.ask(lambda connection: people.token(connection, secret, now=now))
        else:
            idle_s = self.settings.idle_s
            session = await self.ask(
                lambda connection: people.session(connection, secret, now=now, idle_s=idle_s, touch=touch)
            )
            person = None if session is None else session.person
            if session is not None and self.used is not None:
                self.used(session, secret)
        means = "token" if session is None else "session"
        viewer = None if person is None else Viewer(person.account, person.shown, person.grants, means)
        found = _Known(viewer, session, now, touch)
        if edition == self._edition and viewer is not None:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[secret] = found
        return found

    def forget(self) -> None:
        """Has the database asked anew for everybody: somebody signed out, or an account was changed."""
        self._edition += 1
        self._known.clear()
        self._asking.clear()

    # ── What takes its time ───────────────────────────────────────────────────────────────────────────────

    async def ask(self, question: Callable[[Connection], Answered]) -> Answered:
        """What the database answers.

        Raises:
            psycopg.OperationalError: it cannot say in time.
        """
        if time.monotonic() < self._away[0]:
            raise self._away[1]
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._pool.ask, question)
        try:
            async with asyncio.timeout(self.settings.database_answer_s + 1.0):
                return await asyncio.shield(asked)
        except TimeoutError:
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._away = (time.monotonic() + AWAY_S, NoAnswerError())
            raise self._away[1] from None
        except (psycopg.OperationalError, SchemaError) as error:
            if not isinstance(error, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected):
                self._away = (time.monotonic() + AWAY_S, error)
            raise

    async def hashing(self, work: Callable[[], Answered]) -> Answered:
        """What takes a processor and memory, as hashing a password does: a few at a time.

        Raises:
            ProblemError: too many wait for it.
        """
        if self._hashes >= HASHING + MOST_WAITING:
            raise ProblemError(503, "NotReady", "too many sign in at once; try again")
        self._hashes += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work)
        finally:
            self._hashes -= 1

    def start(self) -> None:
        """Makes what the first sign-in would wait for, beside everything else."""
        self._hashing.submit(passwords.ready)

    def close(self) -> None:
        """Ends its connections and threads."""
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._hashing.shutdown(wait=False, cancel_futures=True)


def secret_of(connection: HTTPConnection) -> str | None:
    """The secret that a request brings along: a token in its header, else the cookie; None where it has none.

    A token is taken as ``Authorization: Bearer``, or as the password of ``Basic``, as QGIS can send it.
    """
    header = connection.headers.get("authorization")
    if header is not None:
        # Whoever sends one means it: the cookie does not stand in for a token that is no longer good.
        way, _, said = header.partition(" ")
        said = said.strip()
        if way.lower() == "basic":
            try:
                said = base64.b64decode(said, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return None
        elif way.lower() != "bearer":
            return None
        return said if TOKEN.fullmatch(said) else None
    cookie = connection.cookies.get(COOKIE, "")
    return cookie if SECRET.fullmatch(cookie) else None
