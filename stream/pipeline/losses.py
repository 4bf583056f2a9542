"""What Kafka no longer holds and nobody has counted: said in the log at once, and put on record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

import psycopg

from stream.pipeline.outages import DATABASE, OUTAGES
from stream.pipeline.waiting import Backoff, first_of
from stream.store.losses import record
from stream.store.schema import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.settings import Settings
    from stream.topics import NoLongerHeld

log = logging.getLogger(__name__)

RECORD_S: Final = 5.0
"""For so long reading waits until a loss is on record; then it goes on, and the record is made later."""


class Losses:
    """Where a process tells of messages that are gone.

    Args:
        settings: where the database is.
        name: the process's, for the server's own lists.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._due: list[NoLongerHeld] = []
        self._told = asyncio.Event()
        self._none_due = asyncio.Event()
        self._none_due.set()

    async def tell(self, found: Sequence[NoLongerHeld]) -> None:
        """Says it, and waits a little until it is on record: while ``keep`` runs it will be."""
        for item in found:
            log.error("%s", item)
        self._due += found
        self._none_due.clear()
        self._told.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_due.wait(), RECORD_S)

    async def keep(self, stop: asyncio.Event) -> None:
        """Puts on record what is told, however long the database is away, until ``stop`` is set."""
        backoff = Backoff()
        while not stop.is_set():
            told = asyncio.ensure_future(self._told.wait())
            await first_of([told], stop)
            told.cancel()
            if not self._due:
                continue
            due = list(self._due)
            try:
                await asyncio.to_thread(self.write, due)
            except psycopg.Error as failure:  # also: read-only, as a standby is
                OUTAGES.failed(self._name, DATABASE, failure)
                await backoff.pause(stop)
                continue
            OUTAGES.well(self._name)
            backoff.reset()
            del self._due[: len(due)]
            if not self._due:
                self._told.clear()
                self._none_due.set()

    def write(self, found: Sequence[NoLongerHeld]) -> None:
        """Puts it on record now.

        Raises:
            psycopg.Error: the database is away, or takes nothing.
        """
        with connect(self._settings.database, name=self._name) as connection:
            record(connection, found)
