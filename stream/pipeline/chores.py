"""What one elected process does a little after counting.

Doubts (rule 21), devices' days (22), closing hours, what later facts changed in settled weeks (20), and
deleting what is older than it may be.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from stream.clock import chosen, wall
from stream.pipeline.elected import Elected
from stream.settings import terms_of
from stream.store.chunks import close_due
from stream.store.device_days import examine_due
from stream.store.doubts import judge_due
from stream.store.reading.live import newest_event
from stream.store.retention import retain
from stream.store.schema import Lock
from stream.store.settled import restate_due

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.settings import Settings
    from stream.store.schema import Connection

MOST_DAYS = 10_000
"""So many devices' days are looked at in a row at most, before others have their turn."""

MOST_HOURS = 20_000
"""So many hours of devices are closed in a row at most."""


class Chore(Elected):
    """Does what is due: one worker at a time, elected by a lock in the database.

    Args:
        lock: by which it is elected.
        name: the connection's, for the server's own lists.
        work: does it, and gives how much that was.
        settings: where the database is.
    """

    def __init__(self, lock: Lock, name: str, work: Callable[[Connection], int], settings: Settings) -> None:
        super().__init__(settings, lock, name)
        self._work = work

    def do(self) -> int:
        """How much was done; 0 where another worker is elected.

        Raises:
            psycopg.Error: the database is away.
        """
        with self:
            return self._work(self.connection()) if self.held() else 0


class Retainer(Chore):
    """Deletes what is older than it may be.

    Args:
        settings: where the database is, how long what is kept, and what is now.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(Lock.RETAINER, "patrol retain", partial(_retain, settings), settings)


def _retain(settings: Settings, connection: Connection) -> int:
    now = chosen(settings.clock, lambda: newest_event(connection), wall)()
    return len(retain(connection, terms_of(settings), now, by="worker").deletions)


JUDGE: Final = partial(Chore, Lock.JUDGE, "patrol judge", partial(judge_due, wait=False))
EXAMINE: Final = partial(Chore, Lock.EXAMINER, "patrol examine", partial(examine_due, most=MOST_DAYS))
CLOSE: Final = partial(Chore, Lock.CLOSER, "patrol close", partial(close_due, most=MOST_HOURS))
RESTATE: Final = partial(Chore, Lock.RESTATER, "patrol restate", restate_due)
RETAIN: Final = Retainer
"""The chores that there are, of a worker with its settings."""
