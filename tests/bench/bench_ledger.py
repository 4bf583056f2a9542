"""What a device costs in a batch of live traffic: ``Ledger.positions`` alone, no Kafka.

Officers walk about their wards with a radio, some with a car beside that has its own tracker, all on duty.
Each device reports every five seconds, and a batch has one fix of each, in time order. Processor time only:
of this program, and of the server's process behind its connection. Everything follows from the seed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import Kind
from stream.core.facts import SECOND, Allocation, Duty, Fixes, StateReport
from stream.embedded import EmbeddedDatabase
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.bench import Row, show
from tests.bench.bench_pages import spent_s
from tests.bench.record import force

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from geo.areas import AreaSet
    from stream.store.schema import Connection

SIZES = (700, 20_000)
"""Devices: a batch of one small worker, and one of a country's."""
WARM, BATCHES = 8, 24
"""So many batches before anything is measured, and so many that are."""
INTERVAL = 5 * SECOND
START = 1_795_420_800_000_000
METRE = 1 / 111_195
"""Degrees of latitude."""


@dataclass(frozen=True, slots=True)
class Patrol:
    """Who is out: their bookings and states, and the devices' names."""

    duties: list[Duty]
    states: list[StateReport]
    device_ids: tuple[str, ...]
    home: np.ndarray[tuple[int], np.dtype[np.int64]]


def patrol(area_set: AreaSet, devices: int) -> Patrol:
    """So many devices: of five, four are radios of an officer each, and one is the car of two of these."""
    wards = sorted(area_set.only(Kind.NEIGHBOURHOOD).area_id)
    cars = devices // 5
    radios = devices - cars
    duties, home = [], []
    for number in range(radios):
        held = [Allocation(f"R{number:06}", "radio")]
        if number < 2 * cars:
            held.append(Allocation(f"V{number // 2:06}", "vehicle"))
        ward = number // 2 % len(wards)
        home.append(ward)
        about = (f"D{number:06}", 1, f"O{number:06}", START - 3600 * SECOND, START + 9 * 3600 * SECOND)
        duties.append(Duty(*about, (wards[ward],), tuple(held)))
    names = tuple(f"R{number:06}" for number in range(radios)) + tuple(f"V{n:06}" for n in range(cars))
    states = [StateReport(duty.officer_id, duty.start, 2) for duty in duties]
    return Patrol(duties, states, names, np.array(home + [home[2 * n] for n in range(cars)], np.int64))


def walks(area_set: AreaSet, who: Patrol, chance: Generator) -> Iterator[Fixes]:
    """A fix of each device, again and again; radios at walking pace, cars at ten metres a second."""
    own = area_set.only(Kind.NEIGHBOURHOOD)
    order = np.argsort(own.area_id)
    centre = np.array([own.geometry[at].representative_point().coords[0] for at in order.tolist()])
    count = len(who.device_ids)
    place = centre[who.home] + chance.normal(0, 300 * METRE, (count, 2))
    pace = np.where(np.char.startswith(who.device_ids, "V"), 10.0, 1.3) * INTERVAL / SECOND * METRE
    heading = chance.uniform(0, 2 * np.pi, count)
    phase = chance.integers(0, INTERVAL, count)
    error = chance.choice([5.0, 8.0, 10.0, 15.0], count)
    missing = np.full(count, np.nan, np.float32)
    device = np.arange(count, dtype=np.int32)
    for number in range(sys.maxsize):
        heading += chance.normal(0, 0.3, count)
        place = place + (pace * np.stack([np.cos(heading) * 1.6, np.sin(heading)])).T
        when = START + number * INTERVAL + phase
        late = np.argsort(when)
        yield Fixes(
            device[late],
            when[late],
            place[late, 0],
            place[late, 1],
            error[late],
            missing,
            missing,
            who.device_ids,
        )


def measure(connection: Connection, area_set: AreaSet, devices: int) -> list[Row]:
    """One size, on a database of its own."""
    who = patrol(area_set, devices)
    ledger = Ledger(connection)
    for part in range(0, len(who.duties), 2000):
        ledger.bookings(who.duties[part : part + 2000], who.states[part : part + 2000])
    fixes = walks(area_set, who, np.random.default_rng(1))
    for _ in range(WARM):
        ledger.positions(next(fixes))
    server = connection.info.backend_pid
    [(written,)] = connection.execute("select pg_current_wal_insert_lsn()::text").fetchall()
    began = time.process_time(), spent_s(server)
    for _ in range(BATCHES):
        ledger.positions(next(fixes))
    ours, theirs = time.process_time() - began[0], spent_s(server) - began[1]
    [(wal,)] = connection.execute(
        "select (pg_current_wal_insert_lsn() - %s::pg_lsn)::float8", [written]
    ).fetchall()
    many = devices * BATCHES
    note = f"{devices:,} devices, {len(who.duties):,} duties, {BATCHES} batches"
    return [
        Row(f"a device in a batch of {devices:,}", (ours + theirs) / many * 1e6, "µs", note),
        Row("  of it this program", ours / many * 1e6, "µs"),
        Row("  of it the server", theirs / many * 1e6, "µs"),
        Row("  written ahead", float(str(wal)) / many, "bytes"),
        Row(line=f"ledger: devices={devices} us_per_device={(ours + theirs) / many * 1e6:.1f}"),
    ]


def run(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Each size in turn."""
    name, area_set = force()
    found = [Row(f"areas: {name}", len(area_set), "areas")]
    for devices in sizes:
        with EmbeddedDatabase() as server, connect(server.dsn) as connection:
            migrate(connection)
            for kind in sorted(set(area_set.kind)):
                areas.publish(connection, area_set, kind, 0, file="bench", sha256="", by="bench")
            found += measure(connection, area_set, devices)
    return found


if __name__ == "__main__":
    print(show(run(tuple(map(int, sys.argv[1:])) or SIZES)))
