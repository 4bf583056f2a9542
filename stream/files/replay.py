"""Replay: sends tracks from files and simulated shifts to Kafka topics, with their own timing.

What is sent is made by ``stream.files.tracks`` and ``stream.simulate``; here it waits for its moment and
goes out. The clock is an argument. Records are stamped when they are sent, as any sender's are: stamped with
the tracks' own times, Kafka would refuse the future's and soon delete the past's. Messages that carry their
own ``received`` time are judged by it, and so counted like the original.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer

from stream import topics
from stream.core.facts import SECOND
from stream.core.times import parse_times
from stream.files.tracks import read_rows
from stream.kafka_security import options
from stream.simulate import TOPICS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stream.core.events import Reject
    from stream.files.tracks import TrackRows
    from stream.kafka_security import Where
    from stream.simulate import Simulation

SLICE_S: Final = 0.05
"""Messages are sent in slices of this many seconds: none is early, and none is later than that."""
SLICE_MESSAGES: Final = 20_000
SORT_UP_TO: Final = 2_000_000
"""Files of up to this many rows are sorted by time; longer ones keep their own order."""
_BATCH_BYTES: Final = 512 * 1024
_IN_FLIGHT: Final = 32


class Clock:
    """Tells the time and waits: the machine's own clock."""

    def now(self) -> float:
        """Seconds since some moment, never falling."""
        return time.monotonic()

    async def wait(self, seconds: float, stop: asyncio.Event) -> None:
        """Waits, but no longer than until ``stop`` is set."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """Messages in sending order.

    Attributes:
        send: ``int64[n]``, when each is due, microseconds since 1970, never falling.
        topic: ``int[n]``, index into the sender's topics.
        key: keys, empty for none.
        value: values.
    """

    send: NDArray[np.int64]
    topic: NDArray[np.integer]
    key: Sequence[bytes]
    value: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.send)

    def part(self, start: int, end: int) -> Outgoing:
        """Messages ``[start, end)``."""
        return Outgoing(
            self.send[start:end], self.topic[start:end], self.key[start:end], self.value[start:end]
        )


class Pace(TypedDict, total=False):
    """How messages are sent.

    Attributes:
        speed: 1 (the default) as it was, 60 an hour in a minute, 0 as fast as possible.
        stop: ends it early.
        clock: tells the time and waits.
        on_progress: told after every slice how many messages were sent, and the time that the newest of them
            was due (microseconds since 1970).
    """

    speed: float
    stop: asyncio.Event
    clock: Clock
    on_progress: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        sent: messages sent, the unusable ones too: judging them is not for a replay.
        left_out: rows of which no message could be made; ``index`` is their line.
        reordered: messages sent later than their own time because a long file is out of order.
    """

    sent: int
    left_out: list[Reject] = field(default_factory=list)
    reordered: int = 0


async def paced(
    batches: Iterable[Outgoing],
    *,
    speed: float,
    clock: Clock,
    stop: asyncio.Event,
    slice_s: float = SLICE_S,
    slice_messages: int = SLICE_MESSAGES,
) -> AsyncGenerator[Outgoing, None]:
    """Yields some messages when they are due.

    The first message is due at once, the others after it as much later as their ``send`` says, divided by
    ``speed``. When the receiver is too slow, what is overdue follows without a pause. Batches are made in a
    thread, while others go on.

    Args:
        batches: messages in sending order.
        speed: 1 as it was, 60 an hour in a minute, 0 as fast as possible.
        clock: tells the time and waits.
        stop: ends it.
        slice_s: the shortest wait, so that many small messages go out together.
        slice_messages: the most messages at once.
    """
    began, origin = clock.now(), None
    source = iter(batches)
    while (batch := await asyncio.to_thread(next, source, None)) is not None:
        if not len(batch):
            continue
        if origin is None:
            began, origin = clock.now(), int(batch.send[0])
        at = 0
        while at < len(batch):
            if stop.is_set():
                return
            if speed == 0:
                upto = len(batch)
            else:
                due = origin + (clock.now() - began) * speed * SECOND
                upto = int(np.searchsorted(batch.send, due, side="right"))
                if upto <= at:
                    left = (int(batch.send[at]) - due) / SECOND / speed
                    await clock.wait(max(left, slice_s), stop)
                    continue
            upto = min(upto, at + slice_messages)
            yield batch.part(at, upto)
            at = upto


class Sender:
    """A producer that is handed whole slices: batches are built here, so that a message costs microseconds.

    Messages of one key stay in one partition and in order.

    Args:
        kafka: where it is.
        names: the topics, full names; they must exist.
    """

    def __init__(self, kafka: Where, names: Sequence[str]) -> None:
        self._kafka = kafka
        self._names = list(names)
        self._pending: deque[asyncio.Future[Any]] = deque()
        self._partitions: list[int] = []
        self._homes: list[dict[bytes, int]] = [{} for _ in names]

    async def __aenter__(self) -> Sender:
        self._producer = AIOKafkaProducer(
            **options(self._kafka),
            acks="all",
            max_batch_size=_BATCH_BYTES,
            max_request_size=4 * _BATCH_BYTES,
        )
        try:
            await self._producer.start()
            self._partitions = [len(await self._producer.partitions_for(name)) for name in self._names]
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            for future in self._pending:  # after an exception the rest is not waited for
                future.cancel()
            self._pending.clear()
            await self._producer.stop()

    async def send(self, messages: Outgoing) -> None:
        """Sends messages; returns when Kafka has all but the last few batches."""
        building: dict[tuple[int, int], Any] = {}
        stamp = time.time_ns() // 1_000_000
        for topic, key, value in zip(messages.topic.tolist(), messages.key, messages.value, strict=True):
            home = self._homes[topic].get(key)
            if home is None:
                home = self._homes[topic][key] = zlib.crc32(key) % self._partitions[topic]
            batch = building.get((topic, home))
            if batch is None:
                batch = building[topic, home] = self._producer.create_batch()
            if batch.append(timestamp=stamp, key=key or None, value=value) is None:
                await self._ship(topic, home, batch)
                batch = building[topic, home] = self._producer.create_batch()
                if batch.append(timestamp=stamp, key=key or None, value=value) is None:
                    raise ValueError(f"a message of {len(value)} bytes is too large to send")
        for (topic, home), batch in building.items():
            await self._ship(topic, home, batch)

    async def _ship(self, topic: int, partition: int, batch: Any) -> None:
        if batch.record_count() == 0:
            return
        while len(self._pending) >= _IN_FLIGHT:
            await self._pending.popleft()
        batch.close()
        self._pending.append(await self._producer.send_batch(batch, self._names[topic], partition=partition))

    async def flush(self) -> None:
        """Waits until Kafka has everything."""
        while self._pending:
            await self._pending.popleft()


async def send_simulation(
    simulation: Simulation, kafka: Where, *, prefix: str = "", **pace: Unpack[Pace]
) -> int:
    """Sends a simulated shift, each message at its moment.

    Positions of the future are rejected (rule 2), whenever they say they were received: let a shift that is
    sent faster than it happens have happened already.

    Args:
        simulation: what is sent: positions, bookings and states.
        kafka: where it is.
        prefix: goes before the topics' names; the topics must exist.
        pace: see ``Pace``.

    Returns:
        How many messages were sent.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be reached, or did not take a message in time.
    """
    names = [topics.named(name, prefix) for name in TOPICS]
    batches = (Outgoing(each.send, each.topic, each.key, each.value) for each in simulation.messages())
    async with Sender(kafka, names) as sender:
        return await _send_all(sender, batches, **pace)


async def replay(
    path: Path,
    kafka: Where,
    *,
    topic: str | None = None,
    prefix: str = "",
    sort_up_to: int = SORT_UP_TO,
    **pace: Unpack[Pace],
) -> Replayed:
    """Sends the tracks of a file with their own timing: when each was ``received``, else its ``time``.

    Of what Traccar forwards these are ``serverTime`` and ``fixTime``. Rows that have neither go with the row
    before them. Rows of kind ``vehicle``, and Traccar's, go to ``vehicle.positions``, all others to
    ``radio.positions``.

    Args:
        path: CSV, JSON lines, Parquet, GPX or NMEA.
        kafka: where it is.
        topic: the name of the one topic for everything, instead of those by kind; it must exist.
        prefix: goes before the topics' names.
        sort_up_to: a file of up to so many rows is put into order first; a longer one is sent in its own
            order, and what is out of order in it goes late.
        pace: see ``Pace``.

    Raises:
        OSError: the file cannot be opened.
        stream.files.tracks.TracksError: it is in no form known.
        aiokafka.errors.KafkaError: Kafka cannot be reached, or did not take a message in time.
    """
    by_kind = (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS)
    names = [topics.named(name, prefix) for name in (by_kind if topic is None else (topic,))]
    source = _Source(read_rows(path), sort_up_to, one_topic=topic is not None)
    async with Sender(kafka, names) as sender:
        sent = await _send_all(sender, source.batches(), **pace)
    return Replayed(sent, source.left_out, source.reordered)


async def _send_all(sender: Sender, batches: Iterable[Outgoing], **pace: Unpack[Pace]) -> int:
    speed, on_progress = pace.get("speed", 1.0), pace.get("on_progress")
    if not 0 <= speed < float("inf"):
        raise ValueError(f"speed is {speed}; give 1 for the tracks' own, more for faster, 0 for all at once")
    sent = 0
    stop = pace.get("stop") or asyncio.Event()
    async with contextlib.aclosing(
        paced(batches, speed=speed, clock=pace.get("clock") or Clock(), stop=stop)
    ) as slices:
        async for messages in slices:
            await sender.send(messages)
            sent += len(messages)
            if on_progress is not None:
                on_progress(sent, int(messages.send[-1]))
    return sent


# --- Files -----------------------------------------------------------------------------------------------


class _Stamp(msgspec.Struct, gc=False):
    """What a replay needs to know of a message, valid or not."""

    device_id: Any = None
    time: Any = None
    received: Any = None
    kind: Any = None
    position: Any = None
    device: Any = None


_stamp: Final = msgspec.json.Decoder(_Stamp).decode
_NOTHING: Final = _Stamp()


def _stamps(values: Sequence[bytes]) -> list[_Stamp]:
    found = []
    for value in values:
        try:
            found.append(_stamp(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.append(_NOTHING)
    return found


@dataclass(slots=True)
class _Source:
    """The rows of a file as messages in sending order."""

    rows: Iterator[TrackRows]
    sort_up_to: int
    one_topic: bool
    left_out: list[Reject] = field(default_factory=list)
    reordered: int = 0
    _last: int = -1

    def batches(self) -> Iterator[Outgoing]:
        """Everything in time order where it fits, otherwise in file order, chunk by chunk."""
        held: list[Outgoing] = []
        for chunk in self.rows:
            held.append(self._outgoing(chunk))
            if sum(map(len, held)) > self.sort_up_to:
                break
        else:
            yield from self._sorted(held)
            return
        newest = -1
        for batch in chain(held, map(self._outgoing, self.rows)):
            send = np.maximum.accumulate(np.maximum(batch.send, newest))
            self.reordered += int(np.count_nonzero(send > batch.send))
            newest = int(send[-1]) if len(send) else newest
            yield Outgoing(send, batch.topic, batch.key, batch.value)

    def _sorted(self, held: list[Outgoing]) -> Iterator[Outgoing]:
        if not held:
            return
        send = np.concatenate([each.send for each in held])
        topic = np.concatenate([each.topic for each in held])
        key = list(chain.from_iterable(each.key for each in held))
        value = list(chain.from_iterable(each.value for each in held))
        # Rows without any time before the first that has one.
        send[send < 0] = send[send >= 0].min() if (send >= 0).any() else 0
        order = np.argsort(send, kind="stable")
        for start in range(0, len(order), SLICE_MESSAGES):
            some = order[start : start + SLICE_MESSAGES]
            rows = some.tolist()
            yield Outgoing(send[some], topic[some], [key[at] for at in rows], [value[at] for at in rows])

    def _outgoing(self, chunk: TrackRows) -> Outgoing:
        self.left_out += chunk.rejects
        stamps = _stamps(chunk.value)
        traccar = [isinstance(each.position, dict) for each in stamps]
        time, ok = parse_times(
            [
                each.position.get("fixTime") if far else each.time
                for each, far in zip(stamps, traccar, strict=True)
            ]
        )
        received, known = parse_times(
            [
                each.position.get("serverTime") if far else each.received
                for each, far in zip(stamps, traccar, strict=True)
            ]
        )
        send = np.where(known, received, np.where(ok, time, -1))
        # Rows without a time go with the row before them.
        at = np.maximum.accumulate(np.where(send >= 0, np.arange(len(send)), -1))
        send = np.where(at >= 0, send[at], self._last)
        if len(send):
            self._last = int(send[-1])
        vehicle = [far or each.kind == "vehicle" for each, far in zip(stamps, traccar, strict=True)]
        topic = np.zeros(len(send), np.int64) if self.one_topic else np.array(vehicle, np.int64)
        return Outgoing(send, topic, [_key(each) for each in stamps], chunk.value)


def _key(stamp: _Stamp) -> bytes:
    name = stamp.device_id
    if name is None and isinstance(stamp.device, dict):
        name = stamp.device.get("uniqueId")
    return name.encode(errors="replace") if isinstance(name, str) else b""
