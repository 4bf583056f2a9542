"""What one elected process does a little after counting: doubts (21), devices' days (22), closing hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.pipeline.elected import Elected
from stream.store.chunks import close_due
from stream.store.device_days import examine_due
from stream.store.doubts import judge_due
from stream.store.schema import Lock

if TYPE_CHECKING:
    from stream.settings import Settings

MOST_DAYS = 10_000
"""So many devices' days are looked at in a row at most, before others have their turn."""

MOST_HOURS = 20_000
"""So many hours of devices are closed in a row at most."""


class Judge:
    """Judges the duties whose facts changed: one worker at a time, elected by a lock in the database."""

    def __init__(self, settings: Settings) -> None:
        self._elected = Elected(settings, Lock.JUDGE, "patrol judge")

    def judge(self) -> int:
        """Judges what is due; gives how many duties, none where another worker is elected.

        Raises:
            psycopg.Error: the database is away.
        """
        with self._elected as elected:
            return judge_due(elected.connection()) if elected.held() else 0

    def close(self) -> None:
        """Gives up the lock."""
        self._elected.close()


class DayExaminer:
    """Looks at the devices' days whose facts changed: one worker at a time, elected likewise."""

    def __init__(self, settings: Settings) -> None:
        self._elected = Elected(settings, Lock.EXAMINER, "patrol examine")

    def examine(self) -> int:
        """Looks at what is due, up to ``MOST_DAYS``; gives how many days of devices.

        Raises:
            psycopg.Error: the database is away.
        """
        with self._elected as elected:
            return examine_due(elected.connection(), MOST_DAYS) if elected.held() else 0

    def close(self) -> None:
        """Gives up the lock."""
        self._elected.close()


class Closer:
    """Closes hours of facts that are over: one worker at a time, elected likewise."""

    def __init__(self, settings: Settings) -> None:
        self._elected = Elected(settings, Lock.CLOSER, "patrol close")

    def close_hours(self) -> int:
        """Closes what is over, up to ``MOST_HOURS``; gives how many hours of devices.

        Raises:
            psycopg.Error: the database is away.
        """
        with self._elected as elected:
            return close_due(elected.connection(), MOST_HOURS) if elected.held() else 0

    def close(self) -> None:
        """Gives up the lock."""
        self._elected.close()
