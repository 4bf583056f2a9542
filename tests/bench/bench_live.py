"""What live positions cost, and how soon they are in a figure: one force, and all of England and Wales.

Apache Kafka and PostgreSQL, which waits for the disk, ingest and one worker as they are run, for England and
Wales with ``patrol timers`` beside it. Another process
sends what units say in real time; what it uses is not counted, nor what this one uses to listen. Processor
time is as Linux counts it, from when all is warm on; how soon is from a position's own time until a reader of
``visibility.shares`` has the message that first contains it, of the units that change sides of their patch
with every report.

``python -m tests.bench live --part force --seconds 20 --warm 10`` is a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream import topics
from stream.core.facts import SECOND
from stream.store import chunks
from tests.bench import Row, show
from tests.bench.roaming import INTERVAL_MS, Roaming, Size, command
from tests.bench.running import APART, DATABASE_OF_A_COUNTRY, OF_A_COUNTRY, Spending, pipeline, servers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tests.bench.running import Servers

SIZES: Mapping[str, tuple[Size, int, int]] = {
    "live": (Size(2_700, 700, 169, 100), 60, 60),
    "national": (Size(116_000, 31_000, 7_267, 200), 240, 600),
}
"""By part: how large, and for how many seconds it is run in, and measured."""
NAMES = {"live": "one force", "national": "England and Wales"}
CHOICE = {"force": "live", "national": "national"}
BEGINS_MS = 3_000
LISTENS_S = 0.05
PATIENCE_S = 60.0
KEPT_UP_S, ON_TIME_S = 10.0, 1.0
"""It kept up where each position was in a figure so soon, and where those who sent were not later."""


class _Figure(msgspec.Struct):
    duty_s: float
    break_s: float
    unknown_s: float


@dataclass(slots=True)
class Heard:
    """What a reader of the figures saw of the probes: how far each one's time is known, and since when."""

    probes: int
    messages: int = 0
    known: list[list[tuple[float, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = [[] for _ in range(self.probes)]

    def take(self, key: bytes, value: bytes, at: float) -> None:
        """Takes a message that came at a time, seconds since 1970."""
        self.messages += 1
        if key.startswith(b"officer:O") and (probe := int(key[9:])) < self.probes:
            figure = msgspec.json.decode(value, type=_Figure)
            self.known[probe].append((figure.duty_s + figure.break_s - figure.unknown_s, at))

    def waited(self, probe: int, turns: NDArray[np.int64], first_s: float) -> NDArray[np.float64]:
        """From reports' own times until the message that first contains each, seconds; infinity for none.

        Args:
            probe: whose.
            turns: which reports.
            first_s: time of the first report of all.
        """
        seen = self.known[probe]
        if not seen:
            return np.full(len(turns), np.inf)
        reached = np.maximum.accumulate(np.array([known for known, _ in seen]))
        at = np.append(np.array([when for _, when in seen]), np.inf)
        after = turns * (INTERVAL_MS / 1000)
        found: NDArray[np.float64] = at[np.searchsorted(reached, after - 0.5)] - first_s - after
        return found


async def listen(bootstrap: str, heard: Heard) -> None:
    """Reads the figures until cancelled."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=100)
    async with consumer:
        consumer.assign([TopicPartition(topics.SHARES, 0)])
        await consumer.seek_to_beginning()
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                at = time.time()
                for record in records:
                    heard.take(record.key, record.value, at)
            await asyncio.sleep(LISTENS_S)  # or each message would be a request


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a part came to.

    Attributes:
        cores: processor time by process, in cores.
        waits: of every report of a probe, seconds until it was in a figure, infinity where it never was.
        events: sent a second.
        shares: messages with figures a second.
        late_s: how late those who sent were at most.
        lost: positions sent that are not in the database.
    """

    cores: dict[str, float]
    waits: NDArray[np.float64]
    events: float
    shares: float
    late_s: float
    lost: int

    def after_s(self, percentile: float) -> float:
        """Of so many percent of the reports, the longest wait, seconds."""
        return float(np.percentile(self.waits, percentile, method="higher"))

    @property
    def kept_up(self) -> bool:
        """Whether everything was in a figure in time, and was sent in time."""
        return not self.lost and self.late_s <= ON_TIME_S and float(self.waits.max()) <= KEPT_UP_S

    def rows(self, name: str) -> list[Row]:
        """As a table."""
        note = f"{self.events:,.0f} positions/s, sent {self.late_s:.2f} s late at most"
        rows = [Row(f"{name}: all processes", sum(self.cores.values()), "cores", note)]
        rows += [Row(f"  {part}", used, "cores") for part, used in self.cores.items()]
        rows += [
            Row(f"  from a position to its figure, {said}", self.after_s(percentile), "s")
            for said, percentile in (("half of them", 50), ("99%", 99), ("the longest", 100))
        ]
        rows.append(Row("  messages with figures", self.shares, "a second"))
        return [*rows, Row("  kept up (1: yes)", self.kept_up, "", f"{self.lost:,} positions lost")]


async def watch(found: Servers, size: Size, warm_s: int, seconds: int, *, country: bool) -> Found:
    """Runs the pipeline under the feed, and measures."""
    roaming, heard = Roaming(size), Heard(size.probes)
    # As deploy/README.md says of a country on one machine.
    parts_of = pipeline(found.settings, APART, **OF_A_COUNTRY) if country else pipeline(found.settings)
    with parts_of as parts:
        listening = asyncio.create_task(listen(found.settings.kafka, heard))
        start_ms = int(time.time() * 1000) + BEGINS_MS
        words = command(
            *(found.settings.kafka, size, found.settings.partitions, start_ms, warm_s + seconds), paced=True
        )
        feeding = subprocess.Popen(words, stdout=subprocess.PIPE)
        try:
            await asyncio.sleep(start_ms / 1000 + warm_s - time.time())
            before, told = Spending.now(found, parts), heard.messages
            await asyncio.sleep(start_ms / 1000 + warm_s + seconds - time.time())
            after, shares = Spending.now(found, parts), heard.messages - told
            sent = json.loads((await asyncio.to_thread(feeding.communicate))[0])
            turns = np.arange(-(-warm_s * 1000 // INTERVAL_MS), (warm_s + seconds) * 1000 // INTERVAL_MS)
            first_s = (start_ms + roaming.phase_ms) / 1000

            def waits() -> NDArray[np.float64]:
                return np.concatenate(
                    [heard.waited(probe, turns, first_s[probe]) for probe in range(size.probes)]
                )

            until = time.monotonic() + PATIENCE_S
            while not (
                np.isfinite(waits()).all() and chunks.count(found.connection) >= int(sent["sent"])
            ) and (time.monotonic() < until):
                await asyncio.sleep(1.0)
                Spending.now(found, parts)
        finally:
            feeding.kill()
            feeding.wait()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    stored = chunks.count(found.connection)
    took = after.at - before.at
    return Found(
        cores={name: used / took for name, used in after.since(before).items()},
        waits=waits(),
        events=size.units * 1000 / INTERVAL_MS,
        shares=shares / took,
        late_s=sent["late_s"],
        lost=int(sent["sent"]) - stored,
    )


def measure(size: Size, warm_s: int, seconds: int, *, country: bool) -> Found:
    """One part, on servers of its own; as one force is run, or as a country is."""
    booked_from = time.time_ns() // 1000 - 600 * SECOND
    of_database = DATABASE_OF_A_COUNTRY if country else {}
    with servers(Roaming(size), booked_from, **of_database) as found:
        return asyncio.run(watch(found, size, warm_s, seconds, country=country))


def line(part: str, found: Found) -> str:
    """What a program reads of a part."""
    cores, p99 = sum(found.cores.values()), found.after_s(99)
    if part == "live":
        return f"live: cores={cores:.2f} p50_s={found.after_s(50):.1f} p99_s={p99:.1f}"
    return f"national: cores={cores:.1f} p99_s={p99:.1f} kept_up={'yes' if found.kept_up else 'no'}"


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures the parts asked for; each ends with a line for programs."""
    parser = argparse.ArgumentParser(prog="live")
    parser.add_argument("--part", choices=list(CHOICE), help="only this one")
    parser.add_argument("--seconds", type=int, help="measured")
    parser.add_argument("--warm", type=int, help="seconds before that")
    for name in ("radios", "vehicles", "neighbourhoods", "probes"):
        parser.add_argument(f"--{name}", type=int, help="of the force")
    given = parser.parse_args(list(options))
    rows = []
    for part in [CHOICE[given.part]] if given.part else list(SIZES):
        usual, warm_s, seconds = SIZES[part]
        size = Size(
            given.radios or usual.radios,
            usual.vehicles if given.vehicles is None else given.vehicles,
            given.neighbourhoods or usual.neighbourhoods,
            given.probes or usual.probes,
        )
        warm_s, seconds = given.warm or warm_s, given.seconds or seconds
        found = measure(size, warm_s, seconds, country=part == "national")
        rows += [*found.rows(f"{NAMES[part]}, {size.units:,} units"), Row(line=line(part, found))]
    return rows


if __name__ == "__main__":
    print(show(run()))
