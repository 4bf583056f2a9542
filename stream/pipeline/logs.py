"""Log lines of a process: one a minute while all is well, two for an outage, and no unknown error swallowed.

The clients (aiokafka, kafka-python, Faust, psycopg's pool) say what goes wrong between them and a server many
times a second. What is known to be such talk is held back, counted, and told as a number: with the end of the
outage that it belongs to, or after a moment where there is none. Everything else is written the first time
that it is said; what is said again and again is counted, and the number is written once a minute.
"""

from __future__ import annotations

import atexit
import logging
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from geo.boundaries.layer import printable
from stream.pipeline.outages import AWAY, DATABASE, KAFKA, OUTAGES, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict

    from stream.pipeline.outages import Outages

PLAIN, JSON = "plain", "json"

CLIENTS: Final[Mapping[str, str]] = {
    "aiokafka": KAFKA,
    "kafka": KAFKA,
    "faust": KAFKA,
    "mode": KAFKA,
    "psycopg": DATABASE,
}
"""Loggers of clients, by the first part of their names, and the server that they speak of."""

TALK: Final = re.compile(
    r"(?i)connect|disconnect|time[d ]?-?out|coordinator|metadata|bootstrap|heartbeat|fetch|rebalanc|leader"
    r"|broker|node|commit|not available|closed|socket|rejoin|session|retry|discarding|producer|cancelled"
    r"|topic|partition|crash|restart|recover"
)
"""Words of lines about a connection; a client's line without any of them is none."""

DEFER_S: Final = 10.0
"""So long a client's line waits for the outage that it may belong to before it is written."""
PERIOD_S: Final = 60.0
"""What is said again within this time is counted."""
OWN_A_PERIOD: Final = 10
"""So many like one of our own lines are written in that time; of others one."""


@dataclass(slots=True)
class _Kind:
    """Lines that are alike.

    Attributes:
        record: one of them, the first of the period.
        since: when it was said.
        written: how many were written in this period.
        held: how many were not.
        server: the server that a client speaks of, while the line still waits; else empty.
    """

    record: logging.LogRecord
    since: float
    written: int = 0
    held: int = 0
    server: str = ""


class Quiet(logging.Filter):
    """Decides what of the lines of a process is written; for a handler, and all threads.

    Args:
        outages: those of the process.
        clock: a monotonic clock, seconds.
    """

    def __init__(self, outages: Outages = OUTAGES, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._outages = outages
        self._clock = clock
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._lock = threading.Lock()
        self.held = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written now."""
        if record.levelno >= logging.CRITICAL or hasattr(record, "passed"):
            return True
        server = server_of(record)
        if server and self._outages.hold(server):
            self.held += 1
            return False
        most = OWN_A_PERIOD if record.name.startswith("stream.") else 1
        with self._lock:
            kind = self._kinds.setdefault(alike(record), _Kind(record, self._clock(), server=server))
            if not server and kind.written < most:
                kind.written += 1
                return True
            kind.held += 1
            self.held += 1
            return False

    def due(self, *, at_once: bool = False) -> list[logging.LogRecord]:
        """What is to be written now of what was held back: lines, and how many more there were."""
        found: list[logging.LogRecord] = []
        with self._lock:
            for key, kind in list(self._kinds.items()):
                age = self._clock() - kind.since
                if kind.server:
                    # Of an outage that was noticed later it is told while that lasts: it may be over soon.
                    if not self._outages.hold(kind.server, kind.held):
                        if age < DEFER_S and not at_once:
                            continue
                        # One line says it; what follows within the period is counted.
                        found.append(_again(kind.record, kind.held - 1))
                    kind.held, kind.server = 0, ""
                elif age >= PERIOD_S or at_once:
                    if kind.held:
                        found.append(_again(kind.record, kind.held))
                    del self._kinds[key]
        return found


def server_of(record: logging.LogRecord) -> str:
    """The server that a line is talk of a connection to; empty for what is something else."""
    failure = record.exc_info[1] if record.exc_info else None
    root = record.name.partition(".")[0]
    if root == "asyncio":  # what a client's task left behind
        return KAFKA if failure is not None and kind_of(failure) == AWAY else ""
    server = CLIENTS.get(root, "")
    if not server:
        return ""
    if failure is not None:
        return server if kind_of(failure) == AWAY else ""
    return server if TALK.search(record.getMessage()) else ""


def alike(record: logging.LogRecord) -> tuple[object, ...]:
    """Equal for lines that differ in numbers and names only."""
    failure = record.exc_info[1] if record.exc_info else None
    # What a client has put together itself differs in numbers; templates do not.
    words = re.sub(r"\d+|0x[0-9a-f]+", "#", str(record.msg))
    return record.name, record.levelno, words, type(failure)


def _again(record: logging.LogRecord, more: int) -> logging.LogRecord:
    """A line that was held back, without its traceback, and how many there were like it."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    if more > 0:
        text += f" ({more:,} more like this were held back)"
    said = logging.LogRecord(
        record.name, record.levelno, record.pathname, record.lineno, " ".join(text.split()), None, None
    )
    said.passed = True
    said.held_back = max(more, 0)
    return said


# ── How lines are written ─────────────────────────────────────────────────────────────────────────────────


def _plain(_logger: object, _name: str, event: EventDict) -> str:
    # Foreign words may hold line ends and what terminals obey.
    head = f"{event['time']} {event['level'].upper()} {event['logger']}: {printable(str(event['event']))}"
    trace = event.get("exception")
    return f"{head}\n{trace}" if trace else head


def _named(_logger: object, _name: str, event: EventDict) -> EventDict:
    event.pop("passed", None)
    return event


def formatter(style: str) -> logging.Formatter:
    """Makes lines of records: ``plain``, or ``json`` with an object a line."""
    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso" if style == JSON else "%Y-%m-%dT%H:%M:%SZ", key="time"),
        structlog.processors.format_exc_info,
    ]
    last: Any = structlog.processors.JSONRenderer(ensure_ascii=False) if style == JSON else _plain
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _named, last],
    )


def start_logging(style: str = PLAIN) -> None:
    """Log lines with UTC times on standard error, for a process that runs until it is told to end.

    Args:
        style: ``plain`` or ``json``.
    """
    root = logging.getLogger()
    if any(isinstance(found, Quiet) for handler in root.handlers for found in handler.filters):
        return
    handler, quiet = logging.StreamHandler(), Quiet()
    handler.addFilter(quiet)
    handler.setFormatter(formatter(style))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for client in CLIENTS:
        logging.getLogger(client).setLevel(logging.ERROR)
    logging.getLogger("psycopg.pool").setLevel(logging.WARNING)
    told.append(quiet)

    def write(*, at_once: bool = False) -> None:
        lines = quiet.due(
            at_once=at_once
        )  # first: what belongs to an outage that is over now is told with it
        OUTAGES.look()
        for record in lines:
            handler.handle(record)

    def now_and_then() -> None:
        while True:
            time.sleep(1.0)
            write()

    threading.Thread(target=now_and_then, name="log", daemon=True).start()
    atexit.register(write, at_once=True)


told: Final[list[Quiet]] = []
"""The filter of this process, once logging has begun."""


def held_back() -> int:
    """How many lines of this process were held back so far."""
    return sum(quiet.held for quiet in told)
