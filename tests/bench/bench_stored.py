"""How many bytes a stored fix takes, all indexes included, and what packing, closing and reading it cost.

A simulated shift, errors and silences of its receivers as in life, goes through the ledger in the order of
time, a minute to a batch, and after every ten the hours that are over are closed, as the worker does it; at
the end the last ones too. Then all tables of facts are asked for their size (``pg_total_relation_size``):
with indexes, TOAST, free space, and what the table of open hours keeps for the next. Processor time is that
of this process; sizes do not depend on the machine. The last line is for programs:
``stored: bytes_per_fix=6.1``.

``make bench ARGS="stored --officers 20 --hours 2"`` for another size.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from stream.core.stays import take
from stream.embedded import EmbeddedDatabase
from stream.simulate import demo_force, simulate
from stream.store import areas, chunks
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.bench import Row, show
from tests.bench.bench_core import SEED, fixes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.store.schema import Connection

BATCH = 2_000


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures."""
    parser = argparse.ArgumentParser(prog="stored")
    parser.add_argument("--officers", type=int, default=100)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two reports")
    given = parser.parse_args(list(options))
    simulation = simulate(
        demo_force(SEED),
        officers=given.officers,
        start=1_794_816_000_000_000,
        hours=given.hours,
        interval_s=given.interval,
        seed=SEED,
    )
    fixes = fixes_of(simulation)
    order = np.argsort(fixes.time, kind="stable")
    with EmbeddedDatabase() as server, connect(server.dsn) as connection:
        migrate(connection)
        for kind in sorted(set(simulation.force.kind)):
            areas.publish(connection, simulation.force, kind, 0, file="bench", sha256="", by="bench")
        ledger = Ledger(connection)
        closed, closing, close_wal, began = 0, 0.0, 0, _wal(connection)
        for minute, part in enumerate(np.array_split(order, max(1, round(given.hours * 60))), 1):
            ledger.positions(take(fixes, part))
            last = minute == round(given.hours * 60)
            if last or minute % 10 == 0:
                before, clock = _wal(connection), time.process_time()
                closed += chunks.close_due(connection, **({"late": -chunks.HOUR} if last else {}))
                closing += time.process_time() - clock
                close_wal += _wal(connection) - before
            if last or minute % 60 == 0:
                connection.execute("vacuum fix_open")  # as autovacuum does
        open_wal = _wal(connection) - began - close_wal
        stored = chunks.count(connection)
        [(kept,)] = connection.execute("select pg_total_relation_size('fix_open')").fetchall()
        size = _size(connection)
        clock = time.process_time()
        read = sum(len(some) for some in chunks.some_by_some(connection, 0, 1 << 61))
        reading = time.process_time() - clock
    if read != stored:
        raise AssertionError(f"{stored} fixes are stored and {read} are read")
    per = size / stored
    what = f"{given.officers} officers, {given.hours:g} h, a report in {given.interval:g} s"
    return [
        Row("stored fixes", stored, "fixes", what),
        Row("bytes a fix", per, "bytes", f"{closed} hours of devices closed, indexes included"),
        Row("of them kept for open hours", kept / stored, "bytes", "the same however long the year is"),
        Row("WAL a fix as it comes, all that is counted from it included", open_wal / stored, "bytes"),
        Row(
            "WAL a fix when its hour is closed", close_wal / stored, "bytes", "taking away what was open too"
        ),
        Row("closing", closing / stored * 1e6, "µs/fix", "processor time of the program, without PostgreSQL"),
        Row("reading", reading / stored * 1e6, "µs/fix", "the same; all devices, to columns"),
        Row(line=f"stored: bytes_per_fix={per:.1f}"),
    ]


def _size(connection: Connection) -> int:
    """Bytes of all tables of facts, with indexes and TOAST."""
    [(size,)] = connection.execute(
        "select sum(pg_total_relation_size(oid)) from pg_class where relname ~ '^fix_(row|open|chunk)' "
        "and relkind in ('r', 'p')"
    ).fetchall()
    return int(size)


def _wal(connection: Connection) -> int:
    """Bytes of WAL written so far."""
    [(size,)] = connection.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchall()
    return int(size)


if __name__ == "__main__":
    print(show(run(sys.argv[1:])))
