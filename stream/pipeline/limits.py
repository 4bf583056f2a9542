"""What ingest takes as usable (rule 2): read from the policies in the database, and followed.

Ingest judges reports and does not count, so it goes on with what it knows while the database is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import psycopg

from stream.core.policy import Policies, limits
from stream.pipeline.outages import DATABASE, OUTAGES
from stream.pipeline.waiting import Backoff
from stream.store.policies import Known, agreed
from stream.store.schema import connect, require

if TYPE_CHECKING:
    from stream.core.events import UsableLimits
    from stream.settings import Settings
    from stream.store.schema import Connection

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks whether a policy was loaded."""


class Limits:
    """The limits of the policies in force.

    Args:
        settings: where the database is, and which file must say the same.
        look_s: seconds between two looks.
    """

    def __init__(self, settings: Settings, *, look_s: float = LOOK_S) -> None:
        self._settings = settings
        self._look_s = look_s
        self._known = Known()
        self._connection: Connection | None = None
        self._edition = 0
        self._limits = limits(Policies())

    def now(self) -> UsableLimits:
        """As last read."""
        return self._limits

    async def begin(self, stop: asyncio.Event) -> bool:
        """Reads them, however long the database is away; False when told to stop before.

        Raises:
            SchemaError: run ``patrol init`` first.
            SettingsError: ``PATROL_POLICY`` names a file that differs from the database.
        """
        return await self._until_read(stop, first=True)

    async def follow(self, stop: asyncio.Event) -> None:
        """Looks now and then whether a policy was loaded, until ``stop`` is set."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._look_s)
            if not stop.is_set():
                await self._until_read(stop, first=False)

    async def _until_read(self, stop: asyncio.Event, *, first: bool) -> bool:
        backoff = Backoff()
        while not stop.is_set():
            old = self._connection is not None
            try:
                await asyncio.to_thread(self._read, first=first)
            except (psycopg.OperationalError, psycopg.InterfaceError) as failure:
                self.close()
                if old:
                    continue  # an old connection may have been cut: a new one tells more
                OUTAGES.failed("policies", DATABASE, failure)
            else:
                OUTAGES.well("policies")
                return True
            await backoff.pause(stop)
        return False

    def _read(self, *, first: bool) -> None:
        if self._connection is None:
            self._connection = connect(self._settings.database, name="patrol ingest")
            require(self._connection)
        if first:
            agreed(self._connection, self._settings)
        found = self._known.now(self._connection)
        if found.edition != self._edition:
            if self._edition:
                log.info("policy %d was loaded", found.edition)
            self._limits, self._edition = limits(found), found.edition

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()
