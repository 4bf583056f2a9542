"""What a worker does beside counting, each as a task that runs until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

from stream import topics
from stream.pipeline.failures import told
from stream.pipeline.weekly import Timer, keep_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from stream.pipeline.judge import Closer, DayExaminer, Judge
    from stream.pipeline.publisher import Publisher
    from stream.pipeline.watcher import Watcher
    from stream.settings import Settings

    Send = Callable[[str, Sequence[tuple[bytes, bytes]]], Awaitable[Any]]
    """Sends keys and values to a topic, all together, and returns when Kafka has them."""

log = logging.getLogger(__name__)

RESTS: Final = 20
"""So many times as long as it looked at devices' days the worker then does not."""

CLOSING_RESTS: Final = 4
"""The same of closing hours, which must keep up with a backlog."""


async def publish(publisher: Publisher, settings: Settings, send: Send, counted: asyncio.Event) -> None:
    """Tells the live figures that changed, as soon as a batch is committed.

    What another worker commits is looked at a little later, and so is what the clock alone changes. (Having
    the database notify the elected one costs every transaction that counts: while it commits, no other can.)
    """

    async def due() -> None:
        await asyncio.sleep(settings.publish_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settings.publish_s):
                await counted.wait()
        counted.clear()

    await _tell(publisher, due, topics.SHARES, send)


async def watch(watcher: Watcher, settings: Settings, send: Send, _counted: asyncio.Event) -> None:
    """Tells the alerts that rang, changed or cleared."""
    await _tell(watcher, lambda: asyncio.sleep(settings.watch_s), topics.ALERTS, send)


async def judge(judge: Judge, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the doubts of duties whose facts changed judged; while the database is away, nothing."""
    while True:
        await asyncio.sleep(settings.doubt_s)
        try:
            await asyncio.to_thread(judge.judge)
        except psycopg.Error as failure:
            log.warning("no doubts judged: %s", str(failure).strip())


async def examine(examiner: DayExaminer, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the devices' days whose facts changed looked at; while the database is away, nothing.

    However much there is to look at, it takes no more than a small part of the time.
    """
    await _rarely(examiner.examine, settings.examine_s, RESTS, "no days of devices looked at")


async def close(closer: Closer, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
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


async def report(timer: Timer, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the reports that are due published, and their letters sent."""
    await keep_time(settings, timer)


async def _tell(
    teller: Publisher | Watcher, due: Callable[[], Awaitable[None]], topic: str, send: Send
) -> None:
    """Whenever it is due, what changed since the last time; while the database is away, nothing.

    What Kafka did not take is told again, as it is then.
    """
    said = ""
    while True:
        await due()
        try:
            changed = await asyncio.to_thread(teller.changed)
        except psycopg.Error as failure:
            words = str(failure).strip()
        else:
            try:
                await send(topic, changed)
                words = ""
            except (KafkaError, ProducerSendError) as failure:
                words = told(failure)
                teller.forget()
        if words and words != said:  # once, however often it is tried
            log.warning("nothing for %s: %s", topic, words)
        said = words
