"""What open pages cost: the server's processor time and each page's bytes, with 3,400 units that move.

A made-up force of 169 neighbourhoods, an hour of everybody's positions in the database, and every unit
telling its position every 5 s. ``patrol web`` runs as its users run it; pages are connections to its stream,
in this process, that read what they are sent as browsers do, compressed. Wall clock; processor time as Linux
counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND, Allocation, Duty, Fixes
from stream.embedded import EmbeddedDatabase
from stream.pipeline.processes import command
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.bench import Row, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.store.schema import Connection

UNITS = 3400
RADIOS = 2400
PAGES = (1, 200)
INTERVAL_S = 5.0
HISTORY_S, HISTORY_STEP_S = 3600.0, 20.0
MEASURED_S = 20.0
SIDE = 13
CELL = 0.02
WEST, SOUTH = -1.3, 52.5


def force() -> AreaSet:
    """Neighbourhoods in a grid, with a priority area in every second and a station in every tenth."""
    made = []
    for at in range(SIDE * SIDE):
        row, column = divmod(at, SIDE)
        west, south = WEST + column * CELL, SOUTH + row * CELL
        made.append(
            Area(
                Kind.NEIGHBOURHOOD,
                f"N{at:03}",
                f"Ward {at}",
                shapely.box(west, south, west + CELL, south + CELL),
            )
        )
        if at % 2 == 0:
            box = shapely.box(west + 0.004, south + 0.004, west + 0.007, south + 0.007)
            made.append(Area(Kind.PRIORITY, f"P{at:03}", f"Place {at}", box))
        if at % 10 == 0:
            box = shapely.box(west + 0.012, south + 0.012, west + 0.013, south + 0.013)
            made.append(Area(Kind.PREMISES, f"S{at:03}", f"Station {at}", box))
    return AreaSet.of(made)


class Crowd:
    """Units that go round and round, some of them over the edges of their wards.

    Args:
        radios: how many of them are officers' radios; the rest are vehicles.
    """

    def __init__(self, radios: int = RADIOS) -> None:
        self.radios = radios
        chance = np.random.default_rng(1)
        self.names = tuple(f"U{at:05}" for at in range(UNITS))
        self.ward = np.arange(UNITS) % (SIDE * SIDE)
        self._turn = chance.uniform(0, 2 * np.pi, UNITS)
        self._radius = chance.uniform(0.002, 0.013, UNITS)
        self._speed = chance.uniform(0.0005, 0.004, UNITS)

    def at(self, which: np.typing.NDArray[np.int64], time_us: int) -> Fixes:
        """Where some units are."""
        angle = self._turn[which] + self._speed[which] * (time_us / SECOND % 100_000)
        row, column = np.divmod(self.ward[which], SIDE)
        count = len(which)
        return Fixes(
            which.astype(np.int32),
            np.full(count, time_us, np.int64),
            WEST + (column + 0.5) * CELL + self._radius[which] * np.cos(angle),
            SOUTH + (row + 0.5) * CELL + self._radius[which] * np.sin(angle),
            np.full(count, 8.0),
            np.full(count, 3.0, np.float32),
            (np.degrees(angle) % 360).astype(np.float32),
            self.names,
        )

    def duties(self, start: int) -> list[Duty]:
        """An officer for every radio; the rest are vehicles, each with one of them."""
        return [
            Duty(
                f"D{at:05}",
                1,
                f"O{at:05}",
                start,
                start + 10 * 3600 * SECOND,
                (f"N{self.ward[at]:03}",),
                (
                    Allocation(self.names[at], "radio"),
                    *(
                        [Allocation(self.names[self.radios + at], "vehicle")]
                        if self.radios + at < UNITS
                        else []
                    ),
                ),
                name=f"PC {at}",
            )
            for at in range(self.radios)
        ]


def fill(connection: Connection, crowd: Crowd, now: int) -> Ledger:
    """An hour of everybody's positions."""
    migrate(connection)
    found = force()
    for kind in Kind:
        areas.publish(connection, found, kind, 0, file="bench", sha256="", by="bench")
    ledger = Ledger(connection)
    start = now - int(HISTORY_S * SECOND)
    ledger.bookings(crowd.duties(start), ())
    everybody = np.arange(UNITS)
    for time_us in range(start, now, int(HISTORY_STEP_S * SECOND)):
        ledger.positions(crowd.at(everybody, time_us))
    connection.execute("vacuum analyze")
    return ledger


@contextlib.contextmanager
def moving(ledger: Ledger, crowd: Crowd) -> Iterator[None]:
    """Every unit tells its position every five seconds, a fifth of them each second."""
    stop = threading.Event()

    def work() -> None:
        due, part = time.monotonic(), 0
        while not stop.is_set():
            ledger.positions(crowd.at(np.arange(part, UNITS, int(INTERVAL_S)), time.time_ns() // 1000))
            part = (part + 1) % int(INTERVAL_S)
            due += 1.0
            stop.wait(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def spent_s(pid: int) -> float:
    """Processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def read(address: str, pages: int, encoding: str, seconds: float, warm_s: float) -> tuple[float, float]:
    """Opens pages and reads; gives the bytes of all from when they are warm on, and how long that was."""
    count = 0

    async def page(session: aiohttp.ClientSession) -> None:
        nonlocal count
        async with session.get(f"{address}/api/v1/stream", headers={"Accept-Encoding": encoding}) as answer:
            async for part in answer.content.iter_any():
                count += len(part)

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        tasks = [asyncio.create_task(page(session)) for _ in range(pages)]
        await asyncio.sleep(warm_s)
        before, began = count, time.monotonic()
        await asyncio.sleep(seconds)
        found = count - before, time.monotonic() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


def measure(
    address: str, web: int, backend: list[int], pages: int, encoding: str
) -> tuple[float, float, float]:
    """Shares of a processor of the web process and its database connection; bytes a minute and page."""
    found: list[tuple[float, float]] = []
    warm_s = 4.0
    thread = threading.Thread(
        target=lambda: found.append(asyncio.run(read(address, pages, encoding, MEASURED_S, warm_s)))
    )
    thread.start()
    time.sleep(warm_s)
    before = (spent_s(web), sum(spent_s(pid) for pid in backend), time.monotonic())
    time.sleep(MEASURED_S)
    after = (spent_s(web), sum(spent_s(pid) for pid in backend), time.monotonic())
    thread.join()
    took = after[2] - before[2]
    [(size, span)] = found
    return (after[0] - before[0]) / took, (after[1] - before[1]) / took, size / pages * 60 / span


def run() -> list[Row]:
    """Opens one page, then many."""
    crowd = Crowd()
    rows: list[Row] = []
    with EmbeddedDatabase() as server, connect(server.dsn, name="bench") as connection:
        ledger = fill(connection, crowd, time.time_ns() // 1000)
        web = subprocess.Popen(
            command("web", "--port", "0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PATROL_DATABASE": server.dsn, "PYTHONUNBUFFERED": "1"},
        )
        assert web.stdout is not None
        address = web.stdout.readline().strip().rstrip("/")
        try:
            with moving(ledger, crowd), connect(server.dsn, name="bench looks") as looks:
                asyncio.run(read(address, 1, "gzip", 1.0, 2.0))
                backend = [
                    int(str(pid))
                    for (pid,) in looks.execute(
                        "select pid from pg_stat_activity where application_name = 'patrol web'"
                    ).fetchall()
                ]
                for pages in PAGES:
                    share, database, size = measure(address, web.pid, backend, pages, "gzip")
                    name = f"{pages} open page{'s' * (pages > 1)}"
                    note = f"{UNITS:,} units at {INTERVAL_S:g} s"
                    rows.append(Row(f"{name}: processor of the web process", 100 * share, "%", note))
                    rows.append(
                        Row(f"{name}: processor of its database connection", 100 * database, "%", note)
                    )
                    rows.append(Row(f"{name}: sent to each", size / 1e6, "MB/min", "compressed"))
                _, _, size = measure(address, web.pid, backend, 1, "identity")
                rows.append(Row("sent to a page that takes no gzip", size / 1e6, "MB/min", "plain"))
        finally:
            web.terminate()
            web.wait(30)
            web.stdout.close()
    return rows


if __name__ == "__main__":
    print(show(run()))
