"""The watch: looks for alerts every few seconds, and publishes them on ``visibility.alerts``.

A timer of the worker; one worker at a time is elected by a lock in the database. The conditions are in
``stream.core.live.conditions``, when an alert is raised in ``stream.core.live.alerts``. Episodes are in the
database before they are published; a worker that takes over publishes all open ones again, under the same
``alert_id``.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from stream import clock
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND
from stream.core.live.alerts import (
    FEED_STOPPED,
    KINDS,
    NOBODY_ON_PATCH,
    OFF_PATCH_LONG,
    PRIORITY_UNVISITED,
    PROJECTED_MISS,
    TRACKER_SILENT,
    Patience,
    Watch,
    observe,
)
from stream.core.live.conditions import conditions
from stream.pipeline.elected import Elected
from stream.store import alerts
from stream.store.reading.sight import Eyes
from stream.store.schema import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from stream.clock import Clock
    from stream.core.live.alerts import Episode
    from stream.settings import Settings
    from stream.store.schema import Connection


def patience(settings: Settings) -> Mapping[str, Patience]:
    """How long conditions must hold before an alert is raised, from the settings."""
    seconds = {
        NOBODY_ON_PATCH: settings.alert_nobody_on_patch_s,
        PROJECTED_MISS: settings.alert_projected_miss_s,
        PRIORITY_UNVISITED: settings.alert_priority_unvisited_s,
        OFF_PATCH_LONG: settings.alert_off_patch_s,
        TRACKER_SILENT: settings.alert_tracker_silent_s,
        FEED_STOPPED: settings.alert_feed_stopped_s,
    }
    quiet = int(settings.alert_clear_s * SECOND)
    # When positions arrive again the feed is running: there is nothing to wait for.
    return {
        kind: Patience(int(seconds[kind] * SECOND), 0 if kind == FEED_STOPPED else quiet) for kind in KINDS
    }


def message(episode: Episode) -> tuple[bytes, bytes]:
    """Key and value of an episode on ``visibility.alerts``."""
    event = {
        "alert_id": episode.alert_id,
        "kind": episode.kind,
        "scope": episode.scope,
        "id": episode.id,
        "level": episode.level,
        "since": rfc3339(episode.since),
        "text": episode.text,
        "cleared": None if episode.cleared is None else rfc3339(episode.cleared),
    }
    return episode.alert_id.encode(), json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


class Watcher(Elected):
    """Looks for alerts: one worker at a time, elected by a lock in the database.

    Args:
        settings: database, clock, and how long conditions must hold.
        wall: the clock, microseconds since 1970.
        steady: a monotonic clock, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        wall: Clock = clock.wall,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, Lock.WATCH, "patrol watch")
        self._patience = patience(settings)
        self._eyes = Eyes(settings, wall, steady)
        self._term = 0
        self._watch = Watch()

    def changed(self) -> list[tuple[bytes, bytes]]:
        """Key and value of the alerts that were raised, published again or cleared since the last look.

        Raises:
            psycopg.Error: the database is away.
        """
        with self:
            if not self.held():
                return []
            connection = self.connection()
            told = self._take_over(connection)
            sight = self._eyes.watch(connection)
            if sight.fresh.newest is None:
                return [message(item) for item in told]  # nothing was ever received
            seen = conditions(
                sight.picture,
                sight.shares,
                sight.depth,
                int((sight.fresh.age_s or 0.0) * SECOND),
                int(self._settings.alert_feed_stopped_s * SECOND),
            )
            after = observe(self._watch, seen, self._patience)
            changed = alerts.save(connection, self._watch, after)
            self._watch = after
            # Each episode once, in its latest state.
            return [message(item) for item in {item.alert_id: item for item in (*told, *changed)}.values()]

    def forget(self) -> None:
        """What was told last may not have arrived: what is open, or was a little before, is told again."""
        self._term = 0

    def _take_over(self, connection: Connection) -> Iterable[Episode]:
        """What is open, where it has just come to us to watch."""
        if self.terms == self._term:
            return ()
        self._watch, self._term = alerts.load(connection), self.terms
        return [item for item in self._watch.episodes if item.raised is not None] + alerts.cleared(connection)
