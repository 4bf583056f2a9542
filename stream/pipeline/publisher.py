"""Publishes live shares to Kafka, from one elected process."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import psycopg

from stream.core.calendar import rfc3339
from stream.core.live.share_event import share_event
from stream.settings import EVENTS
from stream.store.reading.live import Live, live, newest_event
from stream.store.schema import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.settings import Settings
    from stream.store.ledger import Counted, Ledger, Offset
    from stream.store.schema import Connection

    Count = Callable[[Ledger, list[Any], list[Offset]], Counted]
    Broken = Callable[[Any, str], None]


PUBLISHER_LOCK = 0x7061_7472_0003


class Publisher:
    """Live figures on ``visibility.shares``: one worker at a time, elected by a lock in the database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policies = settings.policies()
        self._connection: Connection | None = None
        self._elected = False
        self._sent: dict[str, dict[str, Any]] = {}

    def changed(self) -> list[tuple[bytes, bytes]]:
        """Key and value of the figures that changed since they were last published.

        Raises:
            psycopg.Error: the database is away.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._settings.database, name="patrol publisher")
            if not self._elected:
                row = self._connection.execute(
                    f"select pg_try_advisory_lock({PUBLISHER_LOCK})".encode()
                ).fetchone()
                self._elected = row == (True,)
            if not self._elected:
                return []
            now = time.time_ns() // 1000
            if self._settings.clock == EVENTS:
                now = min(now, newest_event(self._connection))
                if now < 0:
                    return []  # no event yet, so no now
            return [
                message for item in live(self._connection, now, self._policies) for message in self._new(item)
            ]
        except psycopg.Error:
            self.close()
            raise

    def _new(self, item: Live) -> list[tuple[bytes, bytes]]:
        scope = item.figures.scope
        key = scope if scope == "force" else f"{scope}:{item.figures.id}"
        event = share_event(item.figures, item.name, item.target, item.on_duty, item.on_patch, rfc3339)
        # The end of the period moves with the clock: a figure that differs in nothing else has not changed.
        lasting = {name: value for name, value in event.items() if name != "to"}
        if not item.on_duty:
            del lasting["from"]  # nobody's period begins now, whenever that is
        if self._sent.get(key) == lasting:
            return []
        self._sent[key] = lasting
        return [(key.encode(), json.dumps(event, separators=(",", ":")).encode())]

    def close(self) -> None:
        """Gives up the lock."""
        connection, self._connection, self._elected = self._connection, None, False
        self._sent.clear()
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()
