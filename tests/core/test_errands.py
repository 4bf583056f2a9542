"""When the worker tells what changed, and what becomes of it when Kafka does not take it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from stream import topics
from stream.pipeline import errands
from stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGES = [(b"force", b"{}"), (b"officer:1", b"{}")]


class Teller:
    """Says the same with each look."""

    def __init__(self) -> None:
        self.looks, self.forgotten = 0, 0

    def changed(self) -> list[tuple[bytes, bytes]]:
        """What changed."""
        self.looks += 1
        return MESSAGES

    def forget(self) -> None:
        """Counts how often it was to forget."""
        self.forgotten += 1


async def told(teller: Any, refusals: int, sendings: int, publish_s: float, *, counts: bool) -> list[Any]:
    """Runs the errand until so much was sent, after Kafka has refused so often; gives what was sent."""
    sent: list[Any] = []
    over, counted = asyncio.Event(), asyncio.Event()

    async def send(topic: str, messages: Sequence[tuple[bytes, bytes]]) -> None:
        nonlocal refusals
        if counts:
            counted.set()
        if refusals:
            refusals -= 1
            raise KafkaTimeoutError("gone")
        sent.append((topic, list(messages)))
        if len(sent) == sendings:
            over.set()

    if counts:
        counted.set()
    task = asyncio.create_task(errands.publish(teller, Settings(publish_s=publish_s), send, counted))
    await over.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return sent


@pytest.mark.parametrize("counts", [True, False])
def test_all_that_changed_is_sent_together(counts: bool) -> None:
    """After a batch, or without one a little later, the messages of a look go out in one sending."""
    teller = Teller()
    assert asyncio.run(told(teller, 0, 2, 0.01, counts=counts)) == [(topics.SHARES, MESSAGES)] * 2
    assert teller.forgotten == 0


def test_what_kafka_refused_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever tells is told that its messages did not arrive, the errand goes on, and it is logged once."""
    teller = Teller()
    assert asyncio.run(told(teller, 2, 1, 0.0, counts=True)) == [(topics.SHARES, MESSAGES)]
    assert (teller.looks, teller.forgotten) == (3, 2)
    assert caplog.text.count("gone") == 1
