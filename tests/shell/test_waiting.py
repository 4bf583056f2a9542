"""Pauses between tries, and waiting that a word to stop cuts short."""

from __future__ import annotations

import asyncio

from stream.pipeline.waiting import Backoff, first_of


def test_pauses_grow_until_a_try_goes_well() -> None:
    """Each pause is twice the one before, up to the longest; after a try that went well, the first again."""
    stop = asyncio.Event()
    stop.set()  # so that none of them lasts

    async def seen() -> list[float]:
        backoff, found = Backoff(100.0, 500.0), []
        for _ in range(5):
            found.append(backoff.next_s)
            await backoff.pause(stop)
        backoff.reset()
        return [*found, backoff.next_s]

    assert asyncio.run(seen()) == [100.0, 200.0, 400.0, 500.0, 500.0, 100.0]


def test_waiting_ends_with_the_first_of_the_work_or_the_word_to_stop() -> None:
    """Waiting ends when one piece of work is done, or when told to stop; the rest goes on."""

    async def work() -> tuple[bool, bool]:
        endless: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done = asyncio.ensure_future(asyncio.sleep(0))
        stop = asyncio.Event()
        await first_of([endless, done], stop)
        first = done.done() and not endless.done()
        stop.set()
        await first_of([endless], stop)
        return first, endless.done() or endless.cancelled()

    assert asyncio.run(work()) == (True, False)
