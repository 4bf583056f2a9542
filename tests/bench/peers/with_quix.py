"""The job in Quix Streams: a function with state by message key (the device), kept with a changelog.

``python -m tests.bench.peers.with_quix``. It commits after as many positions or seconds as all write after;
its sink writes at each commit.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.sinks.base import BaseSink

from tests.bench.peers.job import WRITE_AFTER, WRITE_S, Fix, Given, Ground, Table, after, read

GIVEN = Given.here()
GROUND = Ground(GIVEN.areas)


def spent(fix: Fix, state: Any) -> tuple[str, str, int] | None:
    """Takes a fix in; gives the row that it changed."""
    track, told = after(state.get("track"), fix, GROUND.place(fix.lon, fix.lat))
    state.set("track", track)
    return None if told is None else (fix.device_id, *told)


class TableSink(BaseSink):  # type: ignore[misc]
    """PostgreSQL: the newest row of each device and place, at each commit."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[tuple[str, str], int] = {}

    def setup(self) -> None:
        """Connects."""
        self._table = Table(GIVEN.database)

    def add(self, value: tuple[str, str, int], *_args: object, **_more: object) -> None:
        """Takes a row."""
        device, place, us = value
        self._rows[device, place] = us

    def flush(self) -> None:
        """Writes what it has, before the offsets are committed."""
        self._table.write(self._rows)
        self._rows.clear()


def main() -> None:
    """Runs until it is ended."""
    app = Application(
        broker_address=GIVEN.kafka,
        consumer_group=f"{GIVEN.prefix}quix",
        auto_offset_reset="earliest",
        commit_every=WRITE_AFTER,
        commit_interval=WRITE_S,
        state_dir=GIVEN.folder,
        loglevel="WARNING",
    )
    sink = TableSink()
    for name in GIVEN.topics:
        positions = app.dataframe(app.topic(name, value_deserializer="bytes", key_deserializer="str"))
        fixes = positions.apply(read).filter(lambda fix: fix is not None)
        rows = fixes.apply(spent, stateful=True).filter(lambda row: row is not None)
        rows.sink(sink)
    app.run()


if __name__ == "__main__":
    main()
