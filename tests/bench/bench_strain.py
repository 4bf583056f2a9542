"""What the pipeline does under strain: too much to take, a server away for long, hours of positions at once.

Apache Kafka and PostgreSQL, which waits for the disk, ingest and one worker as they are run. Each part has
servers of its own. What waits is to grow and memory is not; afterwards everything sent is to be counted, and
nobody helps.

* ``overload``: positions come for so long at least twice as fast as they are counted meanwhile.
* ``database``: one force's positions come, and PostgreSQL is stopped for so long.
* ``kafka``: Kafka is stopped for so long; what was not sent meanwhile then comes at once.
* ``stored``: one force's positions come, and at once those of the four hours before.
* ``raised``: one force's positions come, and the topics get twice as many partitions; those who send use the
  new ones from then on. How soon all of them are read is what it needs to recover.

``python -m tests.bench strain --part database --minutes 1`` is a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.admin import NewTopic

from stream import topics
from stream.core.facts import SECOND
from stream.pipeline.lag import LagMeter
from stream.store import chunks
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.roaming import INTERVAL_MS, Roaming, Size, command
from tests.bench.running import Spending, children, pipeline, servers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from typing import Any

    from tests.bench.running import Servers

FORCE = Size(2_700, 700, 169, 0)
PARTS: Mapping[str, Size] = {
    "overload": Size(232_000, 62_000, 7_267, 0),
    "database": FORCE,
    "kafka": FORCE,
    "stored": FORCE,
    "raised": FORCE,
}
WARM_S, AFTER_S = 30, 30
"""Live positions come for so long before the strain and after it."""
STORED_S = 4 * 3600
LOOK_S = 2.0
PATIENCE_S = 3600.0
"""So long it may take until everything is counted."""
WELL_S = 3.0
"""Recovered is where no more waits than what comes in in so long."""


@dataclass(slots=True)
class Watch:
    """What was seen of a run, by moment.

    Attributes:
        found: the servers.
        parts: the processes.
        memory: ``(at, MB)`` of all of them together, ``at`` on the monotonic clock.
        waiting: ``(at, messages)`` not yet counted, where both servers could say it.
    """

    found: Servers
    parts: Mapping[str, subprocess.Popen[bytes]]
    memory: list[tuple[float, float]] = field(default_factory=list)
    waiting: list[tuple[float, int]] = field(default_factory=list)

    async def look(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            for name, process in self.parts.items():
                assert process.poll() is None, f"{name} has ended with {process.returncode}"
            self.memory.append((time.monotonic(), sum(map(resident_mb, self._pids()))))
            with suppress(Exception):  # a server is away
                waits = await asyncio.to_thread(self._waits)
                self.waiting.append((time.monotonic(), waits))
            await asyncio.sleep(LOOK_S)

    def _pids(self) -> Iterator[int]:
        due = [process.pid for process in self.parts.values()]
        while due:
            yield (pid := due.pop())
            with suppress(OSError):
                due += children(pid)

    def _waits(self) -> int:
        with meter(self.found) as lag, connect(self.found.settings.database, name="bench: lag") as connection:
            now = lag.measure(connection)
        return now.raw + now.frames - now.heard

    def most_mb(self, low: float, high: float) -> float:
        """The most memory between two moments."""
        return max((mb for at, mb in self.memory if low <= at <= high), default=0.0)

    def most_waiting(self) -> int:
        """The most messages that waited."""
        return max((count for _, count in self.waiting), default=0)

    async def until(self, few: float, deadline: float) -> float:
        """Waits until no more than so many messages wait, seen after this call; gives when that was."""
        seen = len(self.waiting)
        while not any(count <= few for _, count in self.waiting[seen:]):
            assert time.monotonic() < deadline, f"{self.waiting[-1:]} are still waiting"
            await asyncio.sleep(LOOK_S / 4)
        return next(at for at, count in self.waiting[seen:] if count <= few)


@contextmanager
def meter(found: Servers) -> Iterator[LagMeter]:
    """Clients of their own, for the broker may have been another process before."""
    opened = LagMeter(found.settings)
    try:
        yield opened
    finally:
        opened.close()


def resident_mb(pid: int) -> float:
    """Resident memory of one process; 0: it has ended."""
    try:
        said = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in said.splitlines() if line.startswith("VmRSS")), 0.0)


@dataclass(frozen=True, slots=True)
class Strained:
    """What a part came to.

    Attributes:
        minutes: how long the strain lasted.
        sent, lost: positions; those sent that are not in the database.
        before_mb, most_mb: memory of ingest and worker: the most before the strain, and from then on.
        later_mb: the most in the second half of the strain.
        behind: the most messages that waited.
        recovered_s: from the end of the strain until nothing waited but what was coming in.
        ratio: sent to counted during the strain, where that is the strain; otherwise 0.
    """

    minutes: float
    sent: int
    lost: int
    before_mb: float
    most_mb: float
    later_mb: float
    behind: int
    recovered_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Done:
    """A strain that is over.

    Attributes:
        sent: positions.
        began, ended: on the monotonic clock.
        counted: positions that were counted by the end, where that is asked; otherwise 0.
    """

    sent: int
    began: float
    ended: float
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Feed:
    """Positions of a force, sent by another process."""

    found: Servers
    size: Size

    def begin(
        self, start_ms: int, seconds: float, *, paced: bool, partitions: int = 0
    ) -> subprocess.Popen[bytes]:
        """Sends from a time on, as they are due or all at once; to as many partitions as there were first."""
        whole = round(seconds * 1000 / INTERVAL_MS) * INTERVAL_MS // 1000
        settings = self.found.settings
        words = command(
            *(settings.kafka, self.size, partitions or settings.partitions, start_ms, whole), paced=paced
        )
        return subprocess.Popen(words, stdout=subprocess.PIPE)


async def told(feeding: subprocess.Popen[bytes]) -> int:
    """How many positions a feed has sent, when it has ended."""
    return int(json.loads((await asyncio.to_thread(feeding.communicate))[0])["sent"])


async def until_ms(moment_ms: float) -> None:
    """Waits for a moment."""
    await asyncio.sleep(max(0.0, moment_ms / 1000 - time.time()))


async def overload(feed: Feed, start_ms: int, strain_s: float) -> Done:
    """Too much comes."""
    feeding = feed.begin(start_ms, strain_s, paced=True)
    try:
        await until_ms(start_ms)
        began = time.monotonic()
        sent = await told(feeding)
        return Done(sent, began, time.monotonic(), chunks.count(feed.found.connection))
    finally:
        feeding.kill()


async def database(feed: Feed, start_ms: int, strain_s: float) -> Done:
    """PostgreSQL is away."""
    feeding = feed.begin(start_ms, WARM_S + strain_s + AFTER_S, paced=True)
    try:
        await until_ms(start_ms + WARM_S * 1000)
        began = time.monotonic()
        await asyncio.to_thread(feed.found.database.stop)
        await asyncio.sleep(strain_s)
        await asyncio.to_thread(feed.found.database.start)
        ended = time.monotonic()
        return Done(await told(feeding), began, ended)
    finally:
        feeding.kill()


async def kafka(feed: Feed, start_ms: int, strain_s: float) -> Done:
    """Kafka is away: what units said meanwhile is sent afterwards, at once."""
    sent = await told(feed.begin(start_ms, WARM_S, paced=True))
    began = time.monotonic()
    await asyncio.to_thread(feed.found.kafka.stop)
    await asyncio.sleep(strain_s)
    await asyncio.to_thread(feed.found.kafka.start)
    ended = time.monotonic()
    turns = int(time.time() * 1000 - start_ms) // INTERVAL_MS - WARM_S * 1000 // INTERVAL_MS
    missed_ms = turns * INTERVAL_MS
    sent += await told(feed.begin(start_ms + WARM_S * 1000, missed_ms / 1000, paced=False))
    sent += await told(feed.begin(start_ms + WARM_S * 1000 + missed_ms, AFTER_S, paced=True))
    return Done(sent, began, ended)


async def stored(feed: Feed, start_ms: int, strain_s: float) -> Done:
    """Four hours of positions come at once beside those that come live."""
    live = feed.begin(start_ms, WARM_S + strain_s + AFTER_S, paced=True)
    try:
        await until_ms(start_ms + WARM_S * 1000)
        began = time.monotonic()
        sent = await told(feed.begin(start_ms - STORED_S * 1000, STORED_S, paced=False))
        ended = time.monotonic()
        return Done(sent + await told(live), began, ended)
    finally:
        live.kill()


async def raised(feed: Feed, start_ms: int, strain_s: float) -> Done:
    """The topics get more partitions, and those who send use them."""
    del strain_s
    settings = feed.found.settings
    more = 2 * settings.partitions
    sent = await told(feed.begin(start_ms, WARM_S, paced=True))
    wanted = [
        NewTopic(spec.name, spec.num_partitions, spec.replication_factor)
        for spec in topics.specs(settings.topic_prefix, partitions=more)
    ]
    began = time.monotonic()
    await topics.ensure_topics(settings.kafka, wanted)
    turns = int(time.time() * 1000 - start_ms) // INTERVAL_MS
    missed_ms = turns * INTERVAL_MS - WARM_S * 1000
    sent += await told(feed.begin(start_ms + WARM_S * 1000, missed_ms / 1000, paced=False, partitions=more))
    ended = time.monotonic()
    live = feed.begin(start_ms + turns * INTERVAL_MS, AFTER_S, paced=True, partitions=more)
    return Done(sent + await told(live), began, ended)


STRAINS: Mapping[str, Callable[[Feed, int, float], Coroutine[Any, Any, Done]]] = {
    "overload": overload,
    "database": database,
    "kafka": kafka,
    "stored": stored,
    "raised": raised,
}


async def strained(part: str, found: Servers, size: Size, minutes: float) -> Strained:
    """Runs one part."""
    with pipeline(found.settings) as parts:
        watch = Watch(found, parts)
        looking = asyncio.create_task(watch.look())
        try:
            feed = Feed(found, size)
            await watch.until(0, time.monotonic() + 60)  # both processes are there
            start_ms = int(time.time() * 1000) + 3_000
            working = asyncio.create_task(STRAINS[part](feed, start_ms, minutes * 60))
            await asyncio.wait({working, looking}, return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                working.cancel()
                looking.result()
            done = working.result()
            few, deadline = WELL_S * size.units * 1000 / INTERVAL_MS, time.monotonic() + PATIENCE_S
            well = [at for at, count in watch.waiting if at >= done.ended and count <= few]
            recovered = well[0] if well else await watch.until(few, deadline)
            await watch.until(0, deadline)
            Spending.now(found, parts)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
    with connect(found.settings.database, name="bench") as connection:
        lost = done.sent - chunks.count(connection)
    return Strained(
        minutes,
        done.sent,
        lost,
        before_mb=watch.most_mb(0, done.began),
        later_mb=watch.most_mb((done.began + done.ended) / 2, done.ended),
        most_mb=watch.most_mb(done.began, time.monotonic()),
        behind=watch.most_waiting(),
        recovered_s=recovered - done.ended,
        ratio=done.sent / done.counted if done.counted else 0.0,
    )


def rows(part: str, found: Strained) -> list[Row]:
    """As a table, with a line for programs."""
    table = [
        Row(f"{part}: sent", found.sent, "positions", f"{found.minutes:g} minutes, {found.lost:,} lost"),
        Row("  memory of ingest and worker before", found.before_mb, "MB"),
        Row("  in the second half of the strain", found.later_mb, "MB at most"),
        Row("  until everything was counted", found.most_mb, "MB at most"),
        Row("  waited", found.behind, "messages at most"),
        Row("  recovered after", found.recovered_s, "s"),
    ]
    if found.ratio:
        table.append(Row("  sent to counted meanwhile", found.ratio, "×"))
    line = (
        f"strain: part={part} minutes={found.minutes:g} lost={found.lost} mb_before={found.before_mb:.0f} "
        f"mb_most={found.most_mb:.0f} recovered_s={found.recovered_s:.0f}"
    )
    return [*table, Row(line=f"{line} ratio={found.ratio:.1f}" if found.ratio else line)]


def measure(part: str, size: Size, minutes: float) -> Strained:
    """One part, on servers of its own."""
    booked_from = time.time_ns() // 1000 - (STORED_S + 600) * SECOND
    with servers(Roaming(size), booked_from) as found:
        return asyncio.run(strained(part, found, size, minutes))


def run(options: Sequence[str] = ()) -> list[Row]:
    """Runs the parts asked for; each ends with a line for programs."""
    parser = argparse.ArgumentParser(prog="strain")
    parser.add_argument("--part", choices=list(PARTS), help="only this one")
    parser.add_argument("--minutes", type=float, default=10.0, help="of strain")
    parser.add_argument("--units", type=int, help="of the force, a fifth of them vehicles")
    given = parser.parse_args(list(options))
    found = []
    for part in [given.part] if given.part else list(PARTS):
        size = PARTS[part]
        if given.units:
            size = Size(given.units - given.units // 5, given.units // 5, size.neighbourhoods, 0)
        found += rows(part, measure(part, size, given.minutes))
    return found


if __name__ == "__main__":
    print(show(run()))
