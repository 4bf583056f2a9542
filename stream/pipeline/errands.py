"""What a worker does beside counting, each as a task that runs until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from aiokafka.errors import KafkaError

from stream import topics
from stream.pipeline.outages import DATABASE, KAFKA, OUTAGES
from stream.pipeline.weekly import RunError, run_apart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from stream.pipeline.chores import Chore
    from stream.pipeline.publisher import Publisher
    from stream.pipeline.watcher import Watcher
    from stream.pipeline.weekly import Timer
    from stream.settings import Settings

    Send = Callable[[str, Sequence[tuple[bytes, bytes]]], Awaitable[Any]]
    """Sends keys and values to a topic, all together, and returns when Kafka has them."""

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

AGAIN_S: Final = 5.0
"""While the database is away it is asked again after so long, however seldom it is asked otherwise."""

RESTS: Final = 20
"""So many times as long as it looked at devices' days, or at settled weeks, the worker then does not."""

OFTEN_RESTS: Final = 4
"""The same of closing hours, which must keep up with a backlog, of doubts and of alerts."""

LONGEST: Final = 20
"""No pause is longer than so many times what is set: it may have been a server that took long."""

FIRST_RETAIN_S: Final = 1800.0
"""So long after its start a worker looks for the first time for what is older than it may be."""

REPORTS_S, REPORTS_LAST_S = 5.0, 300.0
"""Seconds between two looks whether reports are due, and at most after work that failed."""


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
    """Tells the alerts that rang, changed or cleared, looked for in no more than a part of the time."""
    ended = time.monotonic()

    async def due() -> None:
        nonlocal ended
        await asyncio.sleep(_rest(settings.watch_s, OFTEN_RESTS, time.monotonic() - ended))
        ended = time.monotonic()

    await _tell(watcher, due, topics.ALERTS, send)


async def judge(chore: Chore, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the doubts of duties whose facts changed judged, in no more than a part of the time."""
    await _again("judge", chore, settings.doubt_s, OFTEN_RESTS)


async def examine(chore: Chore, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the devices' days whose facts changed looked at, in no more than a small part of the time."""
    await _again("examine", chore, settings.examine_s, RESTS)


async def close(chore: Chore, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the hours of facts that are over closed, in no more than a part of the time."""
    await _again("close", chore, settings.close_s, OFTEN_RESTS)


async def _again(who: str, chore: Chore, every_s: float, rests: int = 0, *, begin: bool = False) -> None:
    """Has a chore done every so often, or as much less often as it takes longer; at once, to begin with."""
    pause = 0.0 if begin else every_s
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        if await _asked(who, chore.do) is None:
            pause = min(every_s, AGAIN_S)
        else:
            pause = _rest(every_s, rests, time.monotonic() - began)


def _rest(every_s: float, rests: int, took_s: float) -> float:
    return max(every_s, min(rests * took_s, LONGEST * every_s))


async def restate(chore: Chore, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has what later facts changed in settled weeks put on record, in a small part of the time."""
    await _again("restate", chore, settings.restate_s, RESTS)


async def retain(chore: Chore, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has what is older than it may be deleted, the first time half an hour after the start."""
    await asyncio.sleep(min(settings.retain_s, FIRST_RETAIN_S))
    await _again("retain", chore, settings.retain_s, RESTS, begin=True)


async def report(timer: Timer, settings: Settings, _send: Send, _counted: asyncio.Event) -> None:
    """Has the reports that are due published, and their letters sent.

    Work that failed is tried again with growing pauses.
    """
    pause = REPORTS_S
    while True:
        due = await _asked("reports", timer.look)
        try:
            if due:
                await run_apart(settings)
            pause = REPORTS_S
        except RunError as failure:
            log.warning("reports wait: %s", " ".join(str(failure).split()))
            pause = min(pause * 2, REPORTS_LAST_S)
        await asyncio.sleep(pause)


async def _tell(
    teller: Publisher | Watcher, due: Callable[[], Awaitable[None]], topic: str, send: Send
) -> None:
    """Whenever it is due, what changed since the last time; while the database is away, nothing.

    What Kafka did not take is told again, as it is then.
    """
    while True:
        await due()
        changed = await _asked(topic, teller.changed)
        if changed is None:
            continue
        try:
            await send(topic, changed)
        except KafkaError as failure:
            OUTAGES.failed(f"sending to {topic}", KAFKA, failure)
            teller.forget()
        else:
            OUTAGES.well(f"sending to {topic}")


async def _asked(who: str, ask: Callable[[], Answer]) -> Answer | None:
    """What an elected part answers; None while the database is away, which is said."""
    for again in (True, False):
        try:
            found = await asyncio.to_thread(ask)
        except psycopg.Error as failure:
            # An old connection may have been cut: a new one tells more.
            if not again:
                OUTAGES.failed(who, DATABASE, failure)
        else:
            OUTAGES.well(who)
            return found
    return None
