"""Sends a run's messages at a random pace while servers come and go, and stops when asked to."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream import topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.shell.pipeline import Message

PAUSE_S = 0.01
HEAD = 60
"""So many messages are sent first, before the pace begins."""


class Sender:
    """Hands over messages in a thread of its own, each until Kafka has acknowledged it.

    What is not acknowledged is sent again, so a message may be there twice: Kafka says what it has.

    Args:
        bootstrap: Kafka's address.
        prefix: of the topics.
        messages: in the order of sending.
        seed: of the pace.
        lasts_s: about how long it takes, without faults.
    """

    def __init__(
        self, bootstrap: str, prefix: str, messages: Sequence[Message], *, seed: int, lasts_s: float
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._messages = messages
        self._chance = random.Random(f"pace {seed}")
        self._lasts_s = lasts_s
        self._going = threading.Event()
        self._resting = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)
        self._allowed = HEAD - 1
        self.done = 0

    def start(self) -> None:
        """Sends a few messages, and goes no further before it is allowed to."""
        self._going.set()
        self._thread.start()

    def pause(self) -> None:
        """Returns when everything handed over is acknowledged, and nothing more is."""
        self._resting.clear()
        self._going.clear()
        while self._thread.is_alive() and not self._resting.wait(0.05):
            pass

    def resume(self) -> None:
        """Goes on."""
        self._going.set()

    def allow(self, share: float) -> None:
        """Goes on until this part of the messages is sent, from 0 to 1."""
        self._allowed = round(share * len(self._messages))

    def allow_more(self, share: float) -> None:
        """Goes on by a part of the messages."""
        self._allowed += round(share * len(self._messages))

    def finish(self) -> None:
        """Returns when everything is sent."""
        self.allow(1)
        self._going.set()
        self._thread.join()

    def end(self) -> None:
        """Gives up what is left."""
        self._ended.set()
        self.finish()

    def _portions(self) -> list[Sequence[Message]]:
        """Runs of messages of very different lengths."""
        found, at = [self._messages[:HEAD]], HEAD
        while at < len(self._messages):
            size = self._chance.choice([1, 5, 20, 20, 60, 60, 200, 600])
            found.append(self._messages[at : at + size])
            at += size
        return found

    async def _work(self) -> None:
        portions = self._portions()
        rest_s = self._lasts_s / len(portions)
        for portion in portions:
            left = list(portion)
            while left and not self._ended.is_set():
                while not self._going.is_set() or self.done > self._allowed:
                    if not self._going.is_set():
                        self._resting.set()
                    await asyncio.sleep(PAUSE_S)
                left = await self._sent(left)
            self.done += len(portion)
            await asyncio.sleep(self._chance.expovariate(1 / rest_s))
        if self._producer is not None:
            await self._producer.stop()

    _producer: AIOKafkaProducer | None = None

    async def _sent(self, messages: list[Message]) -> list[Message]:
        """Sends messages; gives those that were not acknowledged."""
        try:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    acks="all",
                    linger_ms=2,
                    metadata_max_age_ms=2000,
                    request_timeout_ms=10_000,
                    max_request_size=2 * topics.MAX_MESSAGE_BYTES,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            waiting = [
                await self._producer.send(
                    self._prefix + message.topic,
                    message.value,
                    key=message.key or None,
                    partition=0 if message.topic == topics.HEARD else None,
                    timestamp_ms=message.stamp // 1000,
                )
                for message in messages
            ]
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        except (KafkaError, OSError):
            outcomes = [KafkaError()] * len(messages)
        left = [item for item, outcome in zip(messages, outcomes, strict=True) if _failed(outcome)]
        if left:
            producer, self._producer = self._producer, None
            if producer is not None:
                await producer.stop()
            await asyncio.sleep(0.2)
        return left


def _failed(outcome: object) -> bool:
    if isinstance(outcome, BaseException) and not isinstance(outcome, KafkaError | OSError):
        raise outcome
    return isinstance(outcome, BaseException)
