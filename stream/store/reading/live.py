"""The live figures: the duties now running, each from its start to now (rule 15).

Reads only; what is a figure is said in ``stream.core.shares``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geo.areas import Kind
from stream import clock
from stream.clock import UNKNOWN
from stream.core.live.overview import standing_shares
from stream.core.live.scopes import KeptScopes
from stream.store import areas
from stream.store.reading.instant import instant
from stream.store.reading.screen import Reader

if TYPE_CHECKING:
    from stream.clock import Clock
    from stream.core.live.overview import LiveShare
    from stream.core.live.scopes import Tally
    from stream.core.policy import Policies
    from stream.settings import Settings
    from stream.store.schema import Connection


def newest_event(connection: Connection) -> int:
    """Time of the newest fix counted, microseconds; ``UNKNOWN`` where there is none."""
    [(newest,)] = connection.execute("select max(newest) from stay_end").fetchall()
    return UNKNOWN if newest is None else int(newest)


def present(connection: Connection, settings: Settings, wall: Clock = clock.wall) -> int:
    """What is now by the clock that the settings name, microseconds; see ``stream.clock``."""
    return clock.chosen(settings.clock, lambda: newest_event(connection), wall)()


class LiveFigures:
    """The live figures, asked for again and again: only what changed is read. For one thread at a time."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._scopes = KeptScopes()

    def look(self, connection: Connection, now: int, policies: Policies) -> Tally:
        """The figures as ``live`` gives them, all together.

        Args:
            connection: outside any transaction; all is read as of one instant.
            now: microseconds since 1970.
            policies: their targets, and how old a position may be to be shown.
        """
        with instant(connection):
            found = self._reader.standing(connection, now)
            names = self._reader.grounds(connection, now)
        return self._scopes.of(found.duties, names).tally(found, now, policies)


def live(connection: Connection, now: int, policies: Policies) -> list[LiveShare]:
    """Figures of the force, of every neighbourhood in force, and of the officers on duty, without outlooks.

    Args:
        connection: outside any transaction; all is read as of one instant.
        now: microseconds since 1970.
        policies: their targets, and how old a position may be to be shown.
    """
    with instant(connection):
        found = Reader().standing(connection, now)
        published = areas.in_force(areas.versions(connection), now)
        names = {
            area_id: name
            for item in published
            if item.kind == Kind.NEIGHBOURHOOD
            for area_id, name in connection.execute(
                "select area_id, name from area where version = %s", [item.version]
            ).fetchall()
        }
    return standing_shares(found, now, names, policies)[1]
