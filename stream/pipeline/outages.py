"""What a process waits for: said in one line when it begins, and in one when it is over.

Many parts of a process use the same server and notice one after another that it is away, and that it is back.
Each tells that here; what is logged, and what ``/readyz`` and the metrics say, is one outage. Nothing here
tries again or waits: whoever tells does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from aiokafka.errors import KafkaError
from kafka.errors import KafkaError as OtherKafkaError

from stream.kafka_security import AccessError
from stream.pipeline.failures import told

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

KAFKA: Final = "Kafka"
DATABASE: Final = "the database"
SERVERS: Final = (KAFKA, DATABASE)

SETTLED_S: Final = 3.0
"""An outage is over when nothing has failed for so long: a server that restarts comes and goes."""

AWAY: Final = "away"
"""The kind of a failure that only says that a server is not there."""


def kind_of(failure: BaseException) -> str:
    """What a failure says of a server: ``AWAY``, or what else is wrong with it, in a word."""
    if isinstance(failure, AccessError):
        return "refused"
    if isinstance(failure, psycopg.Error):
        state = failure.sqlstate or ""
        # Class 08: the connection; 57P: it shuts down or starts; without any: it was not reached.
        if state and not state.startswith(("08", "57P")):
            return state
        return AWAY if isinstance(failure, psycopg.OperationalError | psycopg.InterfaceError) else "other"
    away = (KafkaError, OtherKafkaError, OSError, TimeoutError, asyncio.CancelledError)
    return AWAY if isinstance(failure, away) else type(failure).__name__


def lasting(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


@dataclass(slots=True)
class Outage:
    """One server that does not do what is asked of it.

    Attributes:
        why: what it said last, in a line.
        began: when the first failure was told, by the monotonic clock.
        kinds: the kinds of failure that were logged.
        waiting: who waits for it.
        quiet_since: since when nobody waits.
        held: lines of its clients that were held back meanwhile.
    """

    why: str
    began: float
    kinds: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    quiet_since: float = 0.0
    held: int = 0


class Outages:
    """The outages of a process; for all its threads.

    Args:
        clock: a monotonic clock, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now: dict[str, Outage] = {}
        self._lock = threading.Lock()
        self.total: dict[str, int] = dict.fromkeys(SERVERS, 0)

    def failed(self, who: str, what: str, failure: BaseException) -> None:
        """Somebody asked a server in vain, and will ask again.

        Args:
            who: the part of the process that waits now, until ``well`` is told for it.
            what: the server: ``KAFKA`` or ``DATABASE``.
            failure: what it said. A kind of it that is new in this outage is logged.
        """
        why, kind = told(failure) or type(failure).__name__, kind_of(failure)
        with self._lock:
            outage = self._now.get(what)
            if outage is None:
                outage = self._now[what] = Outage(why, self._clock())
                self.total[what] = self.total.get(what, 0) + 1
            outage.waiting.add(who)
            outage.why = why
            if kind in outage.kinds:
                return
            outage.kinds.add(kind)
        log.warning("waiting for %s: %s", what, why, extra={"outage": what})

    def well(self, who: str) -> None:
        """Somebody waits no longer; costs nothing where nothing is amiss."""
        if not self._now:
            return
        with self._lock:
            for outage in self._now.values():
                if who in outage.waiting:
                    outage.waiting.discard(who)
                    outage.quiet_since = self._clock()

    def look(self) -> None:
        """Ends the outages that are over, and says so; to be called every second or so."""
        if not self._now:
            return
        with self._lock:
            now = self._clock()
            over = [
                (what, outage)
                for what, outage in self._now.items()
                if not outage.waiting and now - outage.quiet_since >= SETTLED_S
            ]
            for what, _ in over:
                del self._now[what]
        for what, outage in over:
            lasted = outage.quiet_since - outage.began
            held = f"; {outage.held:,} lines of its clients were held back" if outage.held else ""
            log.warning(
                "%s is back after %s%s",
                *(what, lasting(lasted), held),
                extra={"outage": what, "seconds": round(lasted, 1), "held_back": outage.held},
            )

    def hold(self, what: str, count: int = 1) -> bool:
        """Whether lines of a client about a server belong to an outage; they are then counted as held back.

        Args:
            what: the server.
            count: how many lines.
        """
        with self._lock:
            outage = self._now.get(what)
            if outage is not None:
                outage.held += count
            return outage is not None

    def waiting(self) -> dict[str, tuple[float, str]]:
        """What is waited for now: since how many seconds, and why."""
        with self._lock:
            now = self._clock()
            return {
                what: (now - outage.began, outage.why) for what, outage in self._now.items() if outage.waiting
            }

    def seconds(self, what: str) -> float:
        """For how long a server has been waited for; 0: it is not."""
        return self.waiting().get(what, (0.0, ""))[0]

    def detail(self) -> str:
        """What is waited for now, for how long and why, in a line; empty where nothing is."""
        return "; ".join(
            f"waiting for {what} for {lasting(seconds)}: {why}"
            for what, (seconds, why) in sorted(self.waiting().items())
        )


OUTAGES: Final = Outages()
"""Those of this process, as loggers are: whatever part of it notices one tells it here."""
