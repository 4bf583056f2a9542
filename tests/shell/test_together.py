"""What comes together is counted together: how a stage of the worker makes transactions of events."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import topics
from stream.core import frames
from stream.pipeline import agents
from stream.pipeline.agents import Intake, Turn
from stream.pipeline.batches import undivided
from stream.pipeline.metrics import WorkerMetrics
from stream.pipeline.outages import Outages
from stream.pipeline.stages import Stage
from stream.pipeline.waiting import first_of
from stream.settings import Settings
from stream.store.ledger import Counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from stream.store.ledger import Ledger, Offset

LIMIT = 10
"""The most fixes in one transaction."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a stage looks at of a message of Kafka."""

    partition: int
    offset: int
    value: bytes
    timestamp: float = 1_795_420_800.0


@dataclass(frozen=True, slots=True)
class Event:
    """A Faust event."""

    message: Message

    @property
    def value(self) -> bytes:
        return self.message.value


@dataclass(slots=True)
class Stream:
    """A Faust stream of events, between which others have their turn; it notes what is acknowledged."""

    events_: Sequence[Event]
    acknowledged: list[Message] = field(default_factory=list)
    all_done: asyncio.Event = field(default_factory=asyncio.Event)

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Event]:
        for event in self.events_:
            for _ in range(5):
                await asyncio.sleep(0)
            yield event

    async def ack(self, event: Event) -> None:
        self.acknowledged.append(event.message)
        if len(self.acknowledged) == len(self.events_):
            self.all_done.set()


class Desk(Turn):
    """A turn without a database."""

    async def run(self, work: Callable[[Any], Counted]) -> Counted:
        return work(NoLedger())


class LaterDesk(Turn):
    """A turn without a database, in which the messages before offset 2 are counted already."""

    def _do(self, work: Callable[[Any], Counted]) -> Counted:
        return work(LaterLedger())


class LaterLedger:
    """It has counted two messages of the partition."""

    def passed(self, _topic: str, _incarnation: str) -> dict[int, int]:
        return {0: 2}


class NoLedger:
    """It has counted nothing."""

    def passed(self, _topic: str, _incarnation: str) -> dict[int, int]:
        return {}


def counted(messages: Sequence[Message], stream: Stream, together_s: float) -> list[list[Message]]:
    """The transactions that are made of messages, all of which the stream has to be told are done.

    Args:
        messages: in the order of the stream.
        stream: of them.
        together_s: for how long those that come together are waited for.
    """
    made: list[list[Message]] = []

    def run(_ledger: Ledger, batch: list[Any], offsets: list[Offset], _broken: object) -> Counted:
        reached = {message.partition: message.offset + 1 for message in batch}
        assert {item.partition: item.next_offset for item in offsets} == reached
        assert not set(batch) & set(stream.acknowledged)  # only after the commit
        made.append(list(batch))
        return Counted()

    async def work() -> None:
        settings = Settings(batch_fixes=LIMIT)
        stage = Stage("locate", topics.FIXES, "", (), run, undivided)
        desk = Desk(settings, asyncio.Event())
        intake = Intake(stage, desk, lambda *_: None, asyncio.Event(), lambda: False, set())
        tasks = [asyncio.create_task(part) for part in (intake.agent(stream), intake.work())]
        try:
            await first_of(tasks[1:], stream.all_done)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            desk.close()
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents, "incarnation_of", lambda *_: "one life")
        patch.setattr(agents, "TOGETHER_S", together_s)
        asyncio.run(work())
    assert [message for batch in made for message in batch] == list(messages)
    return made


@pytest.mark.parametrize("full", [False, True])
def test_frames_that_ingest_sends_together_are_one_transaction(full: bool) -> None:
    """Frames of several partitions that come one after another are counted in one transaction.

    Where they fill it, nothing more is waited for.
    """
    size = frames.FIX_BYTES * (2 if full else 1)
    messages = [Message(partition, 0, b"x" * size) for partition in range(LIMIT // 2)]
    stream = Stream([Event(message) for message in messages])
    assert counted(messages, stream, 3600.0 if full else 0.1) == [messages]


@given(st.lists(st.integers(0, 3 * LIMIT), min_size=1, max_size=20))
def test_a_transaction_holds_no_more_than_fits(sizes: list[int]) -> None:
    """Whatever frames come, each is counted once, in order, and only the last of a batch may go too far."""
    messages = [Message(0, at, b"x" * size * frames.FIX_BYTES) for at, size in enumerate(sizes)]
    stream = Stream([Event(message) for message in messages])
    for batch in counted(messages, stream, 0.0):
        assert sum(len(message.value) for message in batch[:-1]) < LIMIT * frames.FIX_BYTES


def test_only_batches_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither questions to the database nor messages that were counted before are batches."""
    monkeypatch.setattr(agents, "incarnation_of", lambda *_: "one life")
    monkeypatch.setattr(agents, "TOGETHER_S", 0.0)
    stream = Stream([Event(Message(0, at, b"x")) for at in range(4)])
    metrics = WorkerMetrics(Outages())

    def run(_ledger: Ledger, batch: list[Any], _offsets: list[Offset], _broken: object) -> Counted:
        return Counted(fixes=len(batch))

    async def work() -> None:
        stage = Stage("locate", topics.FIXES, "", (), run, undivided)
        desk = LaterDesk(Settings(batch_fixes=0), asyncio.Event(), metrics=metrics)
        intake = Intake(stage, desk, lambda *_: None, asyncio.Event(), lambda: False, set())
        for _ in range(3):
            await desk.run(lambda _: Counted())
        tasks = [asyncio.create_task(part) for part in (intake.agent(stream), intake.work())]
        try:
            await first_of(tasks[1:], stream.all_done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            desk.close()

    asyncio.run(work())
    assert len(stream.acknowledged) == 4
    value = metrics.registry.get_sample_value
    assert value("patrol_worker_batch_messages_sum") == 2
    assert value("patrol_worker_commit_seconds_count") == value("patrol_worker_batch_messages_count") == 2
    assert value("patrol_worker_counted_total", {"kind": "fixes"}) == 2
