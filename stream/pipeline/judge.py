"""What one elected process does to what counting has marked: doubts (rule 21), devices' days (rule 22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.pipeline.elected import Elected
from stream.store.device_days import examine_due
from stream.store.doubts import judge_due
from stream.store.schema import Lock

if TYPE_CHECKING:
    from stream.settings import Settings

MOST_DAYS = 10_000
"""So many devices' days are looked at in a row at most, before others have their turn."""


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
