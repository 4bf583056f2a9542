"""What happens to processes and servers while a run's messages flow: each kind of fault.

A fault strikes at a random moment and is over when it returns: what was broken is whole again. What follows
of it may go on for a while, and the next one may strike meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import psycopg
from kafka.errors import KafkaError

from stream import topics
from tests.faults.servers import until
from tests.shell.pipeline import WORKER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.faults.running import Run

    Strike = Callable[[Run], None]


def killed(run: Run) -> None:
    """SIGKILL, one or two processes or all workers, at any moment or when something was just counted."""
    victims = run.running(WORKER) if run.chance.random() < 0.4 else run.some_of_them()
    if run.chance.random() < 0.5:
        before = run.counted()
        with contextlib.suppress(AssertionError):
            until(lambda: run.counted() > before, "something more is counted", 3.0, 0.005)
    for name in victims:
        run.kill(name)
    run.rest(0, 1.0)
    for name in victims:
        run.start(name)


def stopped(run: Run) -> None:
    """SIGSTOP for longer than Kafka's session, so that others take over; then SIGCONT."""
    victims = run.some_of_them()
    for name in victims:
        run.halt(name)
    run.rest(run.session_s * 1.5, run.session_s * 3)
    for name in victims:
        run.go_on(name)


def broker_restarted(run: Run) -> None:
    """The broker crashes or is stopped, and comes back."""
    kafka = run.servers.kafka
    if run.chance.random() < 0.5:
        kafka.kill()
    else:
        kafka.stop()
    run.rest(0, 1.5)
    run.servers.start_kafka()


def database_restarted(run: Run) -> None:
    """The database crashes or is stopped, and comes back."""
    database = run.servers.database
    if run.chance.random() < 0.5:
        database.kill()
    else:
        database.stop()
    run.rest(0, 1.5)
    database.start()


def terminated(run: Run) -> None:
    """``pg_terminate_backend``, several times."""
    for _ in range(run.chance.randint(1, 5)):
        run.servers.terminate(run.database)
        run.rest(0.02, 0.5)


def disk_full(run: Run) -> None:
    """The disk of the database is full, data and log, for a while."""
    servers = run.servers
    servers.volume.fill(run.chance.choice([0, 8, 64, 256, 1024]))
    run.rest(1.0, 3.0)
    servers.heal()


def rebalanced(run: Run) -> None:
    """Workers and ingests join and leave, in order (SIGTERM)."""
    for _ in range(run.chance.randint(1, 3)):
        part = run.chance.choice(run.parts)
        mine = run.running(part)
        if len(mine) > 1 and run.chance.random() < 0.5:
            run.leave(run.chance.choice(mine))
        else:
            run.join(part)
        run.rest(0.1, 1.5)


def connection_cut(run: Run) -> None:
    """The lines to a server are cut, refused, or dead for a while."""
    servers = run.servers
    for line in run.chance.choice(
        [[servers.to_kafka], [servers.to_database], [servers.to_kafka, servers.to_database]]
    ):
        how = run.chance.choice(["cut", "refused", "dead"])
        if how == "cut":
            for _ in range(run.chance.randint(1, 4)):
                line.cut()
                run.rest(0.05, 0.5)
            continue
        if how == "refused":
            line.refuse(True)
        else:
            line.hold(True)
        run.rest(0.5, 3.0)
        line.heal()
        if how == "dead":
            line.cut()  # who waits for an answer hears at last that there will be none


def topics_made_again(run: Run) -> None:
    """All topics, or some, are deleted and made again while the processes run."""
    run.sender.pause()
    run.settle()
    names = run.chance.choice([[*topics.RAW, *topics.INTERNAL, topics.DEAD_LETTERS], *_SOME])
    run.remember(names)
    run.make_again(names)
    run.sender.resume()


_SOME = (
    list(topics.RAW),
    [topics.RADIO_POSITIONS],
    [topics.DUTY_BOOKINGS, topics.DUTY_STATES],
    [topics.FIXES],
    [topics.FIXES, topics.DUTIES],
    [topics.HEARD],
)


def partitions_raised(run: Run) -> None:
    """Topics are given more partitions under load, as ``patrol init`` does it."""
    run.partitions += run.chance.randint(1, 3)
    while True:
        with contextlib.suppress(KafkaError, topics.TopicError):
            asyncio.run(topics.ensure_topics(run.servers.kafka.bootstrap, run.wanted_topics()))
            return


def backup_restored(run: Run) -> None:
    """A backup takes the place of the database after more was counted."""
    backup = run.servers.dump(run.database)
    run.hang_up()
    more_counted(run)
    run.servers.restore(backup, run.database)


def standby_promoted(run: Run) -> None:
    """The database crashes, and a standby that was behind takes its place."""
    standby = run.servers.standby()
    try:
        until(standby.follows, "the standby follows")
        run.rest(0, 0.5)
        standby.cut()
        more_counted(run)
        standby.promote()
    except BaseException:
        if standby.database is not run.servers.database:
            standby.close()
        raise


def more_counted(run: Run) -> None:
    """Returns when the database has more than before, so that what was kept of it before is older."""
    before = run.counted()
    run.sender.allow_more(0.15)
    run.rest(0.2, 1.5)
    with contextlib.suppress(AssertionError):  # where nothing is left, it is as old
        until(lambda: run.counted() > before, "something more is counted", 8.0)


STRIKES: Mapping[str, Strike] = {
    "killed": killed,
    "stopped": stopped,
    "broker restarted": broker_restarted,
    "database restarted": database_restarted,
    "connections terminated": terminated,
    "disk full": disk_full,
    "rebalanced": rebalanced,
    "connection cut": connection_cut,
    "topics made again": topics_made_again,
    "partitions raised": partitions_raised,
    "backup restored": backup_restored,
    "standby promoted": standby_promoted,
}
"""By the name that the campaign lists them under."""


def waits_for_database(work: Callable[[], int], patience_s: float = 30.0) -> int:
    """Asks a database that may be away for a moment."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
