"""How the system is, asked once: what ``patrol status`` says. It changes nothing.

Processes are found by what they hold open: connections to the database by their name, and Kafka's consumer
groups. A process that has neither is not seen.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream import topics
from stream.pipeline.failures import told
from stream.pipeline.lag import LOST_DAYS, PATIENCE_MS, LagMeter
from stream.pipeline.metrics import program_version
from stream.pipeline.outages import lasting
from stream.settings import EVENTS
from stream.store.reading import operations, progress
from stream.store.schema import Lock, SchemaError, connect, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.pipeline.lag import Reach
    from stream.settings import Settings
    from stream.store.schema import Connection

LATE_S: Final = 15.0
"""A message that waits for longer is told as something wrong."""
TIMER_LATE_S: Final = 60.0
"""Alerts are looked for every few seconds: after so long nobody does."""
PARTS: Final = ("patrol ingest", "patrol worker", "patrol web")
GROUPS: Final[Mapping[str, str]] = {"patrol-ingest": "patrol ingest", "patrol-worker": "patrol worker"}
LARGEST: Final = 8
ALERTS: Final = "alerts are looked for"


class PartJson(msgspec.Struct, frozen=True):
    """Processes of one kind on one machine.

    Attributes:
        part: what runs: ``patrol worker``.
        host: where, as the database sees it; empty: its own machine.
        since_s: for how long the oldest connection has been open, seconds; None: it has none.
        count: how many of them Kafka knows as readers, or that have a connection.
        reads: how many partitions they read, in words.
    """

    part: str
    host: str
    since_s: float | None
    count: int
    reads: str


class TopicJson(msgspec.Struct, frozen=True):
    """A topic that is read.

    Attributes:
        topic: without the prefix.
        waiting: messages that are not settled.
        oldest_s: for how many seconds the oldest of them has waited; None: none waits.
        held: messages up to now, those that Kafka has deleted since among them.
        partitions: how many there are.
    """

    topic: str
    waiting: int
    oldest_s: float | None
    held: int
    partitions: int


class TimerJson(msgspec.Struct, frozen=True):
    """What one elected worker does now and then.

    Attributes:
        name: what it does.
        age_s: seconds since it was last done; None: never, or not on record.
        waiting: what is still to be done.
        elected: whether a worker does it.
    """

    name: str
    age_s: float | None
    waiting: int
    elected: bool


class TableJson(msgspec.Struct, frozen=True):
    """A table: rows, about; bytes with indexes; in how many parts it is."""

    name: str
    rows: int
    size: int
    parts: int


class Condition(msgspec.Struct):
    """How everything is.

    Attributes:
        program, schema, postgresql: versions; empty where not known.
        kafka, database: whether they answered.
        newest_age_s: age of the newest position, seconds.
        dead_letters: how many were kept up to now.
        lost: what Kafka deleted before it was counted, a line each: what was found out in the last day, and
            what whoever reads it has yet to find out.
        wrong: what is wrong, a line each.
    """

    program: str
    schema: str = ""
    postgresql: str = ""
    kafka: bool = False
    database: bool = False
    newest_age_s: float | None = None
    processes: list[PartJson] = []
    topics: list[TopicJson] = []
    timers: list[TimerJson] = []
    tables: list[TableJson] = []
    oldest_day_age: int | None = None
    dead_letters: int | None = None
    lost: list[str] = []
    wrong: list[str] = []

    @property
    def unreached(self) -> bool:
        """Whether a server did not answer."""
        return not (self.kafka and self.database)


def examine(settings: Settings) -> Condition:
    """Asks Kafka and the database; what does not answer is told, and the other is shown."""
    found = Condition(program_version())
    connection: Connection | None = None
    connected: list[operations.ConnectedProcess] = []
    try:
        connection = connect(settings.database, name="patrol status", connect_s=5)
        connected = _database(found, connection, live=settings.clock != EVENTS)
    except psycopg.OperationalError as failure:
        found.wrong.append(f"the database cannot be asked: {told(failure)}")
    except SchemaError as failure:
        found.database = True
        found.wrong.append(str(failure))
        _closed(connection)
        connection = None
    try:
        _kafka(found, settings, connection, connected)
    except (KafkaError, OSError) as failure:
        found.wrong.append(f"Kafka cannot be asked: {told(failure)}")
        found.processes = [_part(item) for item in connected if item.name in PARTS]
    finally:
        _closed(connection)
    judge(found)
    return found


def _closed(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()


def _database(found: Condition, connection: Connection, *, live: bool) -> list[operations.ConnectedProcess]:
    """What the database says; live: ages are those of the wall clock."""
    found.postgresql = operations.server_version(connection)
    require(connection)
    found.database = True
    found.schema = operations.newest_migration(connection).removesuffix(".sql")
    timers, held = operations.timers(connection), operations.held(connection)
    found.newest_age_s = timers.newest_age_s if live else None
    found.timers = [
        TimerJson(ALERTS, timers.watched_age_s if live else None, 0, Lock.WATCH in held),
        TimerJson("live figures are published", None, 0, Lock.PUBLISHER in held),
        TimerJson("reports are published", timers.reports_age_s, timers.letters_waiting, Lock.TIMER in held),
        TimerJson("doubts are judged", None, timers.doubts_due, Lock.JUDGE in held),
        TimerJson("devices' days are looked at", None, timers.devices_due, Lock.EXAMINER in held),
        TimerJson("hours that are over are closed", None, 0, Lock.CLOSER in held),
        TimerJson("later facts are put on record", None, timers.facts_due, Lock.RESTATER in held),
        TimerJson("what is older than it may be is deleted", None, 0, Lock.RETAINER in held),
    ]
    found.tables = [
        TableJson(item.name, item.rows, item.size, item.parts)
        for item in operations.tables(connection)[:LARGEST]
    ]
    found.oldest_day_age = operations.oldest_day_age(connection)
    if timers.letters_failed:
        found.wrong.append(
            f"{timers.letters_failed:,} letters could not be sent in the last 7 days: see the table outbox"
        )
    if timers.outdated:
        found.wrong.append(
            f"{timers.outdated:,} duties are counted by a policy that was replaced: see 'patrol policy list'"
        )
    return operations.processes(connection)


def _kafka(
    found: Condition,
    settings: Settings,
    connection: Connection | None,
    connected: list[operations.ConnectedProcess],
) -> None:
    patience = {"request_timeout_ms": PATIENCE_MS, "bootstrap_timeout_ms": PATIENCE_MS}
    meter = LagMeter(settings, **patience)
    try:
        reaches = meter.raw()
        if connection is not None:
            reaches |= meter.internal(connection)
            # Where both tell of it, they do so from the same offset on.
            gone = {
                (item.topic, item.partition, item.incarnation, item.start): item
                for item in (*meter.lost(connection), *progress.no_longer_held(connection, LOST_DAYS))
            }
            found.lost = [str(gone[where]) for where in sorted(gone)]
        found.topics = _topics(meter, reaches, settings.topic_prefix)
        found.dead_letters = sum(each.end for each in meter.dead_letters().values())
    finally:
        meter.close()
    found.kafka = True
    found.processes = _processes(settings, connected, patience)


def _topics(meter: LagMeter, reaches: Mapping[tuple[str, int], Reach], prefix: str) -> list[TopicJson]:
    told_of: list[TopicJson] = []
    for name in (*topics.RAW, *topics.INTERNAL):
        of = {key: reach for key, reach in reaches.items() if key[0] == topics.named(name, prefix)}
        if not of:
            continue
        waiting, oldest = 0, None
        for (topic, partition), reach in of.items():
            if not reach.waiting:
                continue
            first = meter.oldest_ms(topic, partition, reach.settled)
            if first is not None:
                waiting += reach.waiting
                oldest = first if oldest is None else min(oldest, first)
        oldest_s = None if oldest is None else max(0.0, time.time() - oldest / 1000)
        told_of.append(TopicJson(name, waiting, oldest_s, sum(each.end for each in of.values()), len(of)))
    return told_of


def _part(item: operations.ConnectedProcess) -> PartJson:
    return PartJson(item.name, item.host, None if item.since_s is None else round(item.since_s, 1), 1, "–")


def _processes(
    settings: Settings, connected: list[operations.ConnectedProcess], patience: Mapping[str, int]
) -> list[PartJson]:
    """What is connected to the database, with what Kafka says of its readers."""
    admin: Any = topics.opened(KafkaAdminClient, settings.brokers, **patience)
    try:
        groups = {f"{settings.topic_prefix}{name}": part for name, part in GROUPS.items()}
        said_of: dict[str, Any] = {}
        for group, part in groups.items():
            # Some brokers do not answer, or in a form that the client does not know.
            with contextlib.suppress(KafkaError, ValueError, KeyError):
                said_of[part] = dict(admin.describe_groups([group]))[group]
    finally:
        admin.close()
    found = []
    for part in PARTS:
        here = [item for item in connected if item.name == part]
        said = said_of.get(part)
        count = len(said["members"]) if said else len(here)
        if not (count or here):
            continue
        since = max((item.since_s for item in here if item.since_s is not None), default=None)
        hosts = ", ".join(sorted({item.host for item in here} - {""}))
        found.append(PartJson(part, hosts, since, count, _reads(said)))
    return found


def _reads(group: Mapping[str, Any] | None) -> str:
    """How many partitions the members of a consumer group read, in words."""
    if group is None:
        return "–"
    if group["group_state"] not in ("Stable", "Empty"):
        return "partitions are being shared out"
    assigned = (member.get("member_assignment") for member in group["members"])
    count = sum(
        len(each["partitions"])
        for found in assigned
        if isinstance(found, dict)
        for each in found.get("assigned_partitions") or ()
    )
    return f"{count} partitions"


def judge(found: Condition) -> None:
    """Says what is wrong."""
    there = {item.part for item in found.processes}
    found.wrong += [f"no '{part}' is running" for part in PARTS[:2] if found.database and part not in there]
    for item in found.topics:
        if item.oldest_s is not None and item.oldest_s > LATE_S and item.topic != topics.HEARD:
            found.wrong.append(
                f"{item.waiting:,} messages of {item.topic} wait, the oldest for {lasting(item.oldest_s)}"
            )
    for timer in found.timers:
        if timer.name == ALERTS and timer.age_s is not None and timer.age_s > TIMER_LATE_S:
            found.wrong.append(f"nobody has looked for alerts for {lasting(timer.age_s)}")
    found.wrong += found.lost
