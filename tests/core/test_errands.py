"""When the worker tells what changed, and what becomes of it when Kafka does not take it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from aiokafka.errors import KafkaTimeoutError

from stream import topics
from stream.pipeline import errands
from stream.pipeline.outages import DATABASE, Outages
from stream.pipeline.weekly import RunError
from stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGES = [(b"force", b"{}"), (b"officer:1", b"{}")]


@pytest.fixture(autouse=True)
def outages(monkeypatch: pytest.MonkeyPatch) -> Outages:
    """Those of the errands of one test; other tests of this process have theirs."""
    found = Outages()
    monkeypatch.setattr(errands, "OUTAGES", found)
    return found


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


def test_an_outage_is_over_for_reports_when_the_database_answers(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports wait for the database until the timer's look succeeds, also where the work then fails."""
    monkeypatch.setattr(errands, "REPORTS_S", 0.0)
    looks = iter([False, False, True])
    while_away: list[set[str]] = []
    while_at_work: list[set[str]] = []

    class Timer:
        """Fails twice, and then has something to do."""

        def look(self) -> bool:
            """As the timer's."""
            if outages.waiting():
                while_away.append(set(outages.waiting()))
            if not next(looks):
                raise psycopg.OperationalError("away")
            return True

    async def once() -> None:
        worked = asyncio.Event()

        async def work(_settings: Settings) -> None:
            while_at_work.append(set(outages.waiting()))
            worked.set()
            raise RunError("it ended with exit code 1")

        monkeypatch.setattr(errands, "run_apart", work)
        timer: Any = Timer()
        task = asyncio.create_task(errands.report(timer, Settings(), send_nothing, asyncio.Event()))
        await asyncio.wait({task, asyncio.create_task(worked.wait())}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(once())
    assert while_away == [{DATABASE}]
    assert while_at_work == [set()]


async def send_nothing(topic: str, _messages: Sequence[tuple[bytes, bytes]]) -> None:
    """Where nothing is to be sent."""
    raise AssertionError(topic)
