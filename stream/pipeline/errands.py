"""What a worker does beside counting, each as a task that runs until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg

from stream import topics
from stream.pipeline.weekly import Timer, keep_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stream.pipeline.judge import Closer, DayExaminer, Judge
    from stream.pipeline.publisher import Publisher
    from stream.pipeline.watcher import Watcher
    from stream.settings import Settings

    Send = Callable[[str, bytes, bytes], Awaitable[Any]]
    """Sends a key and a value to a topic."""

log = logging.getLogger(__name__)

RESTS: Final = 20
"""So many times as long as it looked at devices' days the worker then does not."""

CLOSING_RESTS: Final = 4
"""The same of closing hours, which must keep up with a backlog."""


async def publish(publisher: Publisher, settings: Settings, send: Send) -> None:
    """Tells the live figures that changed."""
    await _tell(publisher, settings.publish_s, topics.SHARES, send)


async def watch(watcher: Watcher, settings: Settings, send: Send) -> None:
    """Tells the alerts that rang, changed or cleared."""
    await _tell(watcher, settings.watch_s, topics.ALERTS, send)


async def judge(judge: Judge, settings: Settings, _send: Send) -> None:
    """Has the doubts of duties whose facts changed judged; while the database is away, nothing."""
    while True:
        await asyncio.sleep(settings.doubt_s)
        try:
            await asyncio.to_thread(judge.judge)
        except psycopg.Error as failure:
            log.warning("no doubts judged: %s", str(failure).strip())


async def examine(examiner: DayExaminer, settings: Settings, _send: Send) -> None:
    """Has the devices' days whose facts changed looked at; while the database is away, nothing.

    However much there is to look at, it takes no more than a small part of the time.
    """
    await _rarely(examiner.examine, settings.examine_s, RESTS, "no days of devices looked at")


async def close(closer: Closer, settings: Settings, _send: Send) -> None:
    """Has the hours of facts that are over closed; while the database is away, nothing.

    However many there are, it takes no more than a part of the time.
    """
    await _rarely(closer.close_hours, settings.close_s, CLOSING_RESTS, "no hours of facts closed")


async def _rarely(work: Callable[[], int], every_s: float, rests: int, failed: str) -> None:
    """Has something done every so often, or as much less often as it takes longer."""
    pause = every_s
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        try:
            await asyncio.to_thread(work)
        except psycopg.Error as failure:
            log.warning("%s: %s", failed, str(failure).strip())
        pause = max(every_s, rests * (time.monotonic() - began))


async def report(timer: Timer, settings: Settings, _send: Send) -> None:
    """Has the reports that are due published, and their letters sent."""
    await keep_time(settings, timer)


async def _tell(teller: Publisher | Watcher, every_s: float, topic: str, send: Send) -> None:
    """Every so often, what changed since the last time; while the database is away, nothing."""
    while True:
        await asyncio.sleep(every_s)
        try:
            changed = await asyncio.to_thread(teller.changed)
        except psycopg.Error as failure:
            log.warning("nothing for %s: %s", topic, str(failure).strip())
            continue
        for key, value in changed:
            await send(topic, key, value)
