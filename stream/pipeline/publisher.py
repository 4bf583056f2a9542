"""Publishes live shares to Kafka, from one elected process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from stream import clock
from stream.clock import UNKNOWN
from stream.core.facts import SECOND
from stream.core.live.scopes import News
from stream.core.shares import FORCE
from stream.pipeline.elected import Elected
from stream.store.policies import Known
from stream.store.reading.live import LiveFigures, present
from stream.store.schema import Lock

if TYPE_CHECKING:
    from stream.clock import Clock
    from stream.core.live.share_event import ShareEvent
    from stream.settings import Settings


class Publisher(Elected):
    """Live figures on ``visibility.shares``: one worker at a time, elected by a lock in the database.

    Args:
        settings: database, and which clock says what is now.
        wall: the clock, microseconds since 1970.
    """

    def __init__(self, settings: Settings, *, wall: Clock = clock.wall) -> None:
        super().__init__(settings, Lock.PUBLISHER, "patrol publisher")
        self._wall = wall
        self._known = Known()
        self._term = 0
        self._figures = LiveFigures()
        self._news = self._nothing_told()

    def changed(self) -> list[tuple[bytes, bytes]]:
        """Key and value of the figures that changed since they were last published.

        Raises:
            psycopg.Error: the database is away.
        """
        with self:
            if not self.held():
                return []
            if self.terms != self._term:  # others may have published meanwhile
                self._news, self._term = self._nothing_told(), self.terms
            connection = self.connection()
            now = present(connection, self._settings, self._wall)
            if now == UNKNOWN:
                return []
            tally = self._figures.look(connection, now, self._known.now(connection))
            return [_message(event) for event in self._news.take(tally)]

    def forget(self) -> None:
        """What was told last may not have arrived: everything is told again."""
        self._news = self._nothing_told()

    def _nothing_told(self) -> News:
        return News(round(self._settings.tenths_s * SECOND))


_ENCODER = msgspec.json.Encoder()


def _message(event: ShareEvent) -> tuple[bytes, bytes]:
    """Key and value of a figure on ``visibility.shares``."""
    key = event.scope if event.scope == FORCE else f"{event.scope}:{event.id}"
    return key.encode(), _ENCODER.encode(event)
