"""One import from end to end: what is different is sent, and recorded when it has arrived.

The order is what makes it safe to be killed, and to be run again: what will be sent is noted first, then
sent, and recorded as sent last. An import that finds such a note completes it before it does its own work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream import topics
from stream.files.foreign import ForeignError, tables
from stream.files.roster.changes import compare
from stream.files.roster.mapping import RowReading
from stream.files.roster.record import parcel_of

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from stream.files.foreign import ForeignTable
    from stream.files.roster.changes import RosterChanges, Vanished
    from stream.files.roster.mapping import RosterMapping
    from stream.files.roster.record import RosterParcel, RosterRecord
    from stream.files.roster.rows import ReadRows
    from stream.kafka_security import Where


def tables_of(file: Path, mapping: RosterMapping | None) -> list[ForeignTable]:
    """The tables of a file in which a mapping may find the roster.

    Raises:
        ForeignError: there is none.
        OSError: it cannot be opened.
    """
    rows = mapping.rows if mapping is not None else RowReading()
    if rows.sheet or not rows.header:
        return tables(file, sheet=rows.sheet or None, header=rows.header or None)
    # The row of the header is that of one sheet; others may be shorter.
    found, failures = [], []
    for sheet in dict.fromkeys(table.sheet for table in tables(file, sample=1)):
        try:
            found += tables(file, sheet=sheet or None, header=rows.header)
        except ForeignError as failure:
            failures.append(failure)
    if not found:
        raise failures[0]
    return found


Deliver = Callable[["RosterParcel", Callable[[], None]], None]
"""Takes a parcel where it goes: calls the second when the way is open, returns when all has arrived."""


def into_files(parcel: RosterParcel, begin: Callable[[], None]) -> None:
    """Delivers into the record's own folder: what is recorded has arrived."""
    begin()


async def send_parcel(
    parcel: RosterParcel, kafka: Where, *, prefix: str, on_connected: Callable[[], None]
) -> None:
    """Sends bookings and states onto Kafka, each officer's in order; returns when every replica has them.

    Args:
        parcel: what is sent.
        kafka: where it is.
        prefix: goes before the topics' names; the topics must exist.
        on_connected: called when Kafka answers, before anything is sent.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be reached, or did not take a message in time.
    """
    from stream.files.replay import Outgoing, Sender

    names = [topics.named(name, prefix) for name in (topics.DUTY_BOOKINGS, topics.DUTY_STATES)]
    items = [*parcel.duties, *parcel.states]
    async with Sender(kafka, names) as sender:
        on_connected()
        await sender.send(
            Outgoing(
                send=np.zeros(len(items), np.int64),
                topic=np.repeat([0, 1], [len(parcel.duties), len(parcel.states)]),
                key=[officer.encode() for officer, _ in items],
                value=[value for _, value in items],
            )
        )


@dataclass(frozen=True, slots=True)
class RosterImport:
    """What an import did.

    Attributes:
        changes: what was different from the last one.
        sent: how many bookings and states were sent.
        completed: how many of an interrupted import were sent before, perhaps for a second time.
    """

    changes: RosterChanges
    sent: int
    completed: int


def bring_in(
    found: ReadRows,
    mapping: RosterMapping,
    record: RosterRecord,
    deliver: Deliver,
    *,
    name: str,
    sha256: str,
    time: int,
    vanished: Vanished = "ask",
    first: date | None = None,
    last: date | None = None,
    dry_run: bool = False,
) -> RosterImport:
    """Sends what an export says that was not known, and records it.

    Args:
        found: what its rows say.
        mapping: how they were understood.
        record: what was imported before; held by this import alone.
        deliver: takes it there.
        name: of the export.
        sha256: of its content.
        time: of the import, microseconds since 1970 UTC.
        vanished: what becomes of duties that the export should have and has not.
        first: the first local day that the export covers; None: the first that it has.
        last: likewise the last.
        dry_run: nothing is sent or recorded; what an interrupted import began counts as known.

    Raises:
        RosterError: states are to be cancelled, or the record is damaged.
        OSError: the record cannot be written.
        Exception: whatever ``deliver`` raises; nothing is then recorded as sent.
    """
    completed = len(record.pending)
    if dry_run:
        record.know(record.pending.duties, record.pending.states)
    elif record.pending.line:
        deliver(record.pending, lambda: None)
        record.finish()
    changes = compare(found, mapping, record.duties, record.states, vanished=vanished, first=first, last=last)
    parcel = parcel_of(changes, name=name, sha256=sha256, target=record.target, time=time)
    if len(parcel) and not dry_run:
        deliver(parcel, lambda: record.begin(parcel))
        record.finish()
    return RosterImport(changes, len(parcel), completed)
