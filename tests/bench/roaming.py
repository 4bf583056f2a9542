"""Units of a made-up force of any size that report every five seconds, and a process that sends it all.

``python -m tests.bench.roaming BOOTSTRAP …`` sends in real time: each message within a few milliseconds of
its own time, as a gateway does whose producer waits so long for company (Kafka's own default). It tells on
standard output how many it sent, and how late it was at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from aiokafka import AIOKafkaProducer

from geo.areas import Area, AreaSet, Kind
from stream import topics
from stream.core.facts import SECOND, Allocation, Duty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

INTERVAL_MS = 5_000
TICK_MS = 5
HEARD_MS = 1
"""So much later the network had it."""
CELL = 0.02
WEST, SOUTH = -3.0, 51.0
STEP_OVER = 0.0009
"""How far from the edge of its patch a probe reports, degrees of longitude: 60 m."""
ROUND_S = 100_000
"""After so many seconds units are back where they were, at once."""
BATCH_BYTES = 2**18
OUTSTANDING = 400
"""So many batches may wait for their acknowledgement."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a force is.

    Attributes:
        radios: each with an officer on duty.
        vehicles: each allocated to one of them.
        neighbourhoods: in a grid.
        probes: so many of the radios change sides of the edge of their patch with every report, so that each
            report changes what is said of their officers.
    """

    radios: int
    vehicles: int
    neighbourhoods: int
    probes: int

    @property
    def units(self) -> int:
        """Radios and vehicles."""
        return self.radios + self.vehicles


class Roaming:
    """Units that go round and round, some over the edges of their patches."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.side = math.isqrt(size.neighbourhoods - 1) + 1
        chance = np.random.default_rng(1)
        number = np.arange(size.units)
        self.names = [f"R{at:06}" if at < size.radios else f"V{at:06}" for at in number.tolist()]
        self.ward = number % size.neighbourhoods
        row, column = np.divmod(self.ward, self.side)
        self._lon, self._lat = WEST + (column + 0.5) * CELL, SOUTH + (row + 0.5) * CELL
        self._turn = chance.uniform(0, 2 * np.pi, size.units)
        self._radius = chance.uniform(0.002, 0.013, size.units)
        self._speed = chance.uniform(0.0005, 0.004, size.units)
        self.phase_ms = chance.integers(0, INTERVAL_MS, size.units)
        self.order = np.argsort(self.phase_ms, kind="stable")
        self._heads = [f'{{"device_id":"{name}","time":"'.encode() for name in self.names]

    def areas(self) -> AreaSet:
        """Neighbourhoods, with a priority area in every second and a station in every tenth."""
        made = []
        for at in range(self.size.neighbourhoods):
            row, column = divmod(at, self.side)
            west, south = WEST + column * CELL, SOUTH + row * CELL
            for kind, often, inset, wide in (
                (Kind.NEIGHBOURHOOD, 1, 0.0, CELL),
                (Kind.PRIORITY, 2, 0.004, 0.003),
                (Kind.PREMISES, 10, 0.012, 0.001),
            ):
                if at % often == 0:
                    box = shapely.box(west + inset, south + inset, west + inset + wide, south + inset + wide)
                    made.append(Area(kind, f"{kind.value[:2]}{at:05}", f"{kind.value} {at}", box))
        return AreaSet.of(made)

    def duties(self, start: int) -> Iterator[Duty]:
        """Of every officer, for ten hours from a time on (microseconds)."""
        for at in range(self.size.radios):
            mine = [Allocation(self.names[at], "radio")]
            if at < self.size.vehicles:
                mine.append(Allocation(self.names[self.size.radios + at], "vehicle"))
            patch = (f"ne{self.ward[at]:05}",)
            end = start + 10 * 3600 * SECOND
            yield Duty(f"D{at:06}", 1, f"O{at:06}", start, end, patch, tuple(mine), name=f"PC {at}")

    def where(
        self, unit: NDArray[np.int64], time_ms: NDArray[np.int64], turn: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Where units are at times: lon and lat (degrees), and how far round they have gone (radians)."""
        angle = self._turn[unit] + self._speed[unit] * (time_ms / 1000 % ROUND_S)
        lon = self._lon[unit] + self._radius[unit] * np.cos(angle)
        lat = self._lat[unit] + self._radius[unit] * np.sin(angle)
        probe = unit < self.size.probes
        over = self._lon[unit] + CELL / 2 + (STEP_OVER if turn % 2 else -STEP_OVER)
        return np.where(probe, over, lon), np.where(probe, self._lat[unit], lat), angle

    def said(self, unit: NDArray[np.int64], time_ms: NDArray[np.int64], turn: int) -> list[bytes]:
        """What units say at times, as messages.

        Args:
            unit: numbers.
            time_ms: of each.
            turn: which report it is of theirs, counted from 0.
        """
        lon, lat, angle = self.where(unit, time_ms, turn)
        heads = self._heads
        when = np.datetime_as_string(time_ms.astype("datetime64[ms]")).astype("S")
        heard = np.datetime_as_string((time_ms + HEARD_MS).astype("datetime64[ms]")).astype("S")
        return [
            b'%b%bZ","lon":%.6f,"lat":%.6f,"error_m":8.0,"speed_mps":3.5,"heading_deg":%d,"received":"%bZ"}'
            % (heads[who], said, x, y, turned, received)
            for who, said, x, y, turned, received in zip(
                unit.tolist(),
                when.tolist(),
                lon.tolist(),
                lat.tolist(),
                (np.degrees(angle) % 360).astype(np.int64).tolist(),
                heard.tolist(),
                strict=True,
            )
        ]


class Sender:
    """Hands messages to Kafka, a batch for each partition at once.

    Args:
        prefix: of the topics' names.
        keyed: the messages' key is the device's id; otherwise they have none.
    """

    def __init__(
        self, producer: Any, roaming: Roaming, partitions: int, prefix: str = "", *, keyed: bool = False
    ) -> None:
        self._prefix = prefix
        self._keys = [name.encode() if keyed else None for name in roaming.names]
        self._producer = producer
        self._roaming = roaming
        self._partitions = partitions
        self._waiting: set[Any] = set()
        self.sent = 0

    async def send(self, unit: NDArray[np.int64], time_ms: NDArray[np.int64], turn: int) -> None:
        """Sends what units say; returns before it is acknowledged, unless much is waiting."""
        values = self._roaming.said(unit, time_ms, turn)
        radio = unit < self._roaming.size.radios
        lane = np.where(radio, 0, self._partitions) + unit % self._partitions
        times, keys = time_ms.tolist(), [self._keys[who] for who in unit.tolist()]
        for which in np.unique(lane).tolist():
            over, partition = divmod(which, self._partitions)
            topic = self._prefix + (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS)[over]
            batch = self._producer.create_batch()
            for at in np.flatnonzero(lane == which).tolist():
                if batch.append(key=keys[at], value=values[at], timestamp=times[at]) is None:
                    await self._hand(batch, topic, partition)
                    batch = self._producer.create_batch()
                    batch.append(key=keys[at], value=values[at], timestamp=times[at])
            await self._hand(batch, topic, partition)
        self.sent += len(values)

    async def _hand(self, batch: Any, topic: str, partition: int) -> None:
        done = await self._producer.send_batch(batch, topic, partition=partition)
        self._waiting.add(done)
        done.add_done_callback(self._waiting.discard)
        if len(self._waiting) > OUTSTANDING:
            await asyncio.wait(set(self._waiting), return_when=asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        """Returns when everything is acknowledged."""
        await asyncio.gather(*self._waiting)


async def pace(sender: Sender, roaming: Roaming, start_ms: int, seconds: int) -> float:
    """Sends in real time; gives how late it was at most, seconds."""
    phases, order = roaming.phase_ms[roaming.order], roaming.order
    late_ms = 0.0
    for turn in range(seconds * 1000 // INTERVAL_MS):
        began_ms, done = start_ms + turn * INTERVAL_MS, 0
        while done < len(order):
            now_ms = time.time() * 1000 - began_ms
            upto = int(np.searchsorted(phases, now_ms, side="right"))
            if upto > done:
                late_ms = max(late_ms, now_ms - float(phases[done]))
                await sender.send(order[done:upto], began_ms + phases[done:upto], turn)
                done = upto
            await asyncio.sleep(TICK_MS / 1000)
    return late_ms / 1000


async def past(sender: Sender, roaming: Roaming, start_ms: int, seconds: int) -> float:
    """Sends at once what was said from a time on."""
    phases, order = roaming.phase_ms[roaming.order], roaming.order
    for turn in range(seconds * 1000 // INTERVAL_MS):
        await sender.send(order, start_ms + turn * INTERVAL_MS + phases, turn)
    return 0.0


async def feed(
    bootstrap: str, size: Size, partitions: int, start_ms: int, seconds: int, *, paced: bool
) -> dict[str, float]:
    """Sends all of it; gives how many messages that were, and how late they were at most."""
    roaming = Roaming(size)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_batch_size=BATCH_BYTES, max_request_size=2**23
    )
    async with producer:
        sender = Sender(producer, roaming, partitions)
        late_s = await (pace if paced else past)(sender, roaming, start_ms, seconds)
        await sender.finish()
    return {"sent": sender.sent, "late_s": late_s}


def command(
    bootstrap: str, size: Size, partitions: int, start_ms: int, seconds: int, *, paced: bool
) -> list[str]:
    """The words that send it from a process of its own."""
    numbers = (size.radios, size.vehicles, size.neighbourhoods, size.probes, partitions, start_ms, seconds)
    words = [sys.executable, "-m", "tests.bench.roaming", bootstrap, *map(str, numbers)]
    return [*words, "--paced"] if paced else words


def main() -> None:
    """Sends what its arguments say (``command``)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    for name in ("radios", "vehicles", "neighbourhoods", "probes", "partitions", "start_ms", "seconds"):
        parser.add_argument(name, type=int)
    parser.add_argument("--paced", action="store_true")
    given = parser.parse_args()
    size = Size(given.radios, given.vehicles, given.neighbourhoods, given.probes)
    told = asyncio.run(
        feed(given.bootstrap, size, given.partitions, given.start_ms, given.seconds, paced=given.paced)
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
