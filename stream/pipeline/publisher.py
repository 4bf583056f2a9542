"""Publishes live shares to Kafka, from one elected process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from stream.clock import UNKNOWN
from stream.core.live.share_event import share_event
from stream.pipeline.elected import Elected
from stream.store.policies import Known
from stream.store.reading.live import live, present
from stream.store.schema import Lock

if TYPE_CHECKING:
    from stream.core.live.overview import LiveShare
    from stream.core.live.share_event import ShareEvent
    from stream.settings import Settings


class Publisher(Elected):
    """Live figures on ``visibility.shares``: one worker at a time, elected by a lock in the database."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Lock.PUBLISHER, "patrol publisher")
        self._known = Known()
        self._term = 0
        self._sent: dict[str, ShareEvent] = {}

    def changed(self) -> list[tuple[bytes, bytes]]:
        """Key and value of the figures that changed since they were last published.

        Raises:
            psycopg.Error: the database is away.
        """
        with self:
            if not self.held():
                return []
            if self.terms != self._term:  # others may have published meanwhile
                self._sent, self._term = {}, self.terms
            connection = self.connection()
            now = present(connection, self._settings)
            if now == UNKNOWN:
                return []
            policies = self._known.now(connection)
            return [message for item in live(connection, now, policies) for message in self._new(item)]

    def _new(self, item: LiveShare) -> list[tuple[bytes, bytes]]:
        scope = item.figures.scope
        key = scope if scope == "force" else f"{scope}:{item.figures.id}"
        officers = item.officers
        event = share_event(item.figures, item.name, item.target, officers.on_duty, officers.on_patch)
        # The end of the period moves with the clock: a figure that differs in nothing else has not changed.
        # Where nobody is on duty the period begins now, whenever that is.
        lasting = replace(event, start=event.start if officers.on_duty else "", end="")
        if self._sent.get(key) == lasting:
            return []
        self._sent[key] = lasting
        return [(key.encode(), msgspec.json.encode(event))]
