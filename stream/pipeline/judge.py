"""Judges doubts (rule 21), from one elected process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.pipeline.elected import Elected
from stream.store.doubts import judge_due
from stream.store.schema import Lock

if TYPE_CHECKING:
    from stream.settings import Settings


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
