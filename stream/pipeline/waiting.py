"""Waiting that a word to stop cuts short: growing pauses between tries, and work that may end early."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class Backoff:
    """Pauses between tries that fail, each twice as long as the one before.

    Attributes:
        first_s: the first pause, seconds.
        last_s: the longest.
        next_s: the one that comes next.
    """

    first_s: float = 0.2
    last_s: float = 5.0
    next_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A try went well: the next pause is the first again."""
        self.next_s = self.first_s

    async def pause(self, stop: asyncio.Event) -> None:
        """Waits before the next try, or until told to stop."""
        pause_s, self.next_s = self.next_s, min(self.next_s * 2, self.last_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)


async def first_of(work: Iterable[asyncio.Future[Any]], stop: asyncio.Event) -> None:
    """Waits until some of the work is done, or until told to stop; ends none of it."""
    told = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([*work, told], return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
