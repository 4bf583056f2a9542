"""The job in Bytewax: a dataflow from its Kafka source, keyed by device, with recovery on.

``python -m bytewax.run tests.bench.peers.with_bytewax --recovery-directory …``. Whole batches of messages are
decoded and looked up at once; a device's state tells every two seconds what changed, which the sink writes.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from tests.bench.peers.job import WRITE_S, Fix, Given, Ground, Table, Track, after, read

GIVEN = Given.here()
GROUND = Ground(GIVEN.areas)


def fixes(batch: list[Any]) -> list[tuple[str, tuple[Fix, str]]]:
    """Messages as valid fixes with their places, by device."""
    found = [fix for message in batch if (fix := read(message.value)) is not None]
    if not found:
        return []
    places = GROUND.places([fix.lon for fix in found], [fix.lat for fix in found])
    return [(fix.device_id, (fix, place)) for fix, place in zip(found, places, strict=True)]


class Device(op.StatefulBatchLogic):  # type: ignore[misc]
    """What is known of a device, and what of it is not told yet."""

    def __init__(self, track: Track | None) -> None:
        self._track = track
        # After a crash, what was told and not written then is told again.
        self._untold: dict[str, int] = dict(track[4]) if track else {}
        self._next: datetime | None = None
        self._plan()

    def _plan(self) -> None:
        if self._untold and self._next is None:
            self._next = datetime.now(timezone.utc) + timedelta(seconds=WRITE_S)  # noqa: UP017

    def on_batch(self, values: list[tuple[Fix, str]]) -> tuple[list[tuple[str, int]], bool]:
        """Takes fixes in; says nothing yet."""
        for fix, place in values:
            self._track, told = after(self._track, fix, place)
            if told is not None:
                self._untold[told[0]] = told[1]
        self._plan()
        return [], False

    def on_notify(self) -> tuple[list[tuple[str, int]], bool]:
        """Tells the places whose time changed."""
        told, self._untold, self._next = list(self._untold.items()), {}, None
        return told, False

    def notify_at(self) -> datetime | None:
        """When it will tell."""
        return self._next

    def snapshot(self) -> Track | None:
        """A copy of the state."""
        if self._track is None:
            return None
        *last, spent = self._track
        return (*last, dict(spent))  # type: ignore[return-value]


class TablePartition(StatelessSinkPartition):  # type: ignore[misc]
    """A connection to PostgreSQL."""

    def __init__(self) -> None:
        self._table = Table(GIVEN.database)

    def write_batch(self, items: list[tuple[str, tuple[str, int]]]) -> None:
        """Writes in one statement."""
        self._table.write({(device, place): us for device, (place, us) in items})


class TableSink(DynamicSink):  # type: ignore[misc]
    """PostgreSQL."""

    def build(self, _step: str, _index: int, _count: int) -> TablePartition:
        """For each of its workers; there is one."""
        return TablePartition()


flow = Dataflow("place_time")
messages = op.input("positions", flow, KafkaSource([GIVEN.kafka], list(GIVEN.topics)))
by_device = op.flat_map_batch("fixes", messages, fixes)
told = op.stateful_batch("tracks", by_device, Device)
op.output("place_time", told, TableSink())
