"""Puts on record whom somebody is shown, before it is shown: the one way in which views do it.

A view that shows persons calls ``shown`` (one entry each time: a duty, a weekly summary, a file), ``opened``
(a person's page that asks again every few seconds while it is open: an entry each time it is opened) or
``listed`` (lists: an entry an hour, and one more for officers who were not yet in it). Where the database
cannot take the entry, the persons are not shown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import psycopg

from stream.core.facts import SECOND
from stream.store import record
from stream.store.record import Entry, Kind, Outcome
from stream.store.schema import SchemaError
from stream.web.access.viewer import viewer_of
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from starlette.requests import HTTPConnection

    from stream.clock import Clock
    from stream.store.pool import Pool
    from stream.store.record import Detail

HOUR: Final = 3600 * SECOND
"""For how long one entry is enough for a list, microseconds."""

PAUSE: Final = 60 * SECOND
"""Whoever asks again for the same person within this time has them open still, microseconds."""

MOST_SESSIONS: Final = 4_000
"""Of so many sessions and lists is known what they were shown in this hour."""

ASK: Final = "ask"
"""The setting with which whoever opens a track says why."""

PURPOSE: Final = "patrol-purpose"
"""The header in which a page says why somebody looks, percent-encoded UTF-8."""


@dataclass(slots=True, eq=False)
class Consulted:
    """Puts on record what is shown to whom.

    Args:
        pool: connections to the database; an entry waits as long as a question does.
        now: the wall clock, microseconds.
        purpose: ``ask``: a track is shown only to whoever says why.
    """

    pool: Pool
    now: Clock
    purpose: str = ""
    _seen: dict[tuple[str, ...], tuple[int, set[str]]] = field(default_factory=dict)
    _open: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)

    def shown(
        self,
        request: HTTPConnection,
        what: str,
        about: Iterable[str] = (),
        *,
        kind: Kind = Kind.CONSULTATION,
        why: str | None = None,
        details: Mapping[str, Detail] | None = None,
        outcome: Outcome = Outcome.DONE,
    ) -> None:
        """Puts one entry on record; for views that run in a thread.

        Args:
            request: whose.
            what: what is shown, as the record calls it.
            about: the ids of the officers whom it shows.
            kind: ``DISCLOSURE`` for a file with names.
            why: the purpose.
            details: what else there is to say; no positions.
            outcome: ``REFUSED``: it was asked for, and not shown.

        Raises:
            psycopg.Error: it could not be put there: show nothing about a person.
            SchemaError: run ``patrol init`` first.
        """
        entry = Entry(kind, what, *whoever(request), tuple(sorted(about)), why, details or {}, outcome)
        with self.pool.connection() as connection:
            record.add(connection, entry)

    async def changes(
        self, request: HTTPConnection, what: str, why: str | None, details: Mapping[str, Detail]
    ) -> None:
        """Puts on record that somebody changes settings, before it is done.

        Raises:
            psycopg.Error: it could not be put there: change nothing.
            SchemaError: run ``patrol init`` first.
        """
        await asyncio.to_thread(self.shown, request, what, kind=Kind.SETTING, why=why, details=details)

    async def opened(
        self,
        request: HTTPConnection,
        what: str,
        about: str,
        *,
        why: str | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        """Puts on record that a person's page was opened; once while it stays open, an hour at most.

        Raises:
            psycopg.Error: it could not be put there: show nothing about the person.
            SchemaError: run ``patrol init`` first.
        """
        key, now = (
            (*whoever(request), what, about, why or "", *map(str, (details or {}).values())),
            self.now(),
        )
        first, last = self._open.get(key, (now - HOUR, now - PAUSE))
        if now - last >= PAUSE or now - first >= HOUR:
            await asyncio.to_thread(self.shown, request, what, [about], why=why, details=details)
            first = now
        if len(self._open) >= MOST_SESSIONS:
            self._open.clear()
        self._open[key] = (first, now)

    async def listed(self, request: HTTPConnection, what: str, about: Collection[str]) -> frozenset[str]:
        """Puts on record that officers stand in a list, once an hour for each session and officer.

        Returns:
            which of them may be shown: those whose consultation is on record. Where the database is away
            these are the officers who were shown to this session in this hour already.
        """
        key, hour = (*whoever(request), what), self.now() // HOUR
        known = self._seen.get(key)
        before = known[1] if known is not None and known[0] == hour else set()
        missing = set(about) - before
        if missing:
            try:
                await asyncio.to_thread(self.shown, request, what, missing)
            except (psycopg.Error, SchemaError):
                return frozenset(about) & before
            before |= missing
            if len(self._seen) >= MOST_SESSIONS:
                self._seen.clear()
            self._seen[key] = (hour, before)
        return frozenset(about)

    def reason(self, request: HTTPConnection) -> str | None:
        """Why a track is asked for, as whoever asks says it.

        Raises:
            ProblemError: the settings want it said, and it is not.
        """
        why = self.said(request)
        if self.wanting(why):
            raise ProblemError(428, "PurposeNeeded", "say why you look at this: it goes on record")
        return why

    def said(self, request: HTTPConnection) -> str | None:
        """What a request says why it asks; None where it does not."""
        return unquote(request.headers.get(PURPOSE, ""), errors="replace").strip() or None

    def wanting(self, why: str | None) -> bool:
        """Whether a purpose has to be said, and is not."""
        return self.purpose == ASK and not why


def whoever(request: HTTPConnection) -> tuple[str, str, str]:
    """Who asks, for the record: account, means and address."""
    viewer = viewer_of(request)
    source = "" if request.client is None else request.client.host
    return ("nobody", "none", source) if viewer is None else (viewer.account, viewer.means, source)


def consulted(request: HTTPConnection) -> Consulted:
    """The application's own."""
    found: Consulted = request.app.state.consulted
    return found
