"""Commands that run against Kafka and PostgreSQL: init, ingest, worker, up, export."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from stream.cli.common import FOLDER, database, moment_option, periods_option, write_tables
from stream.pipeline.processes import PARTS, in_words, start_logging, supervise, until_told
from stream.settings import SETTINGS, load

if TYPE_CHECKING:
    from pathlib import Path

    from stream.settings import Settings


PARTS_HELP = "\b\nEach is a process of its own; one that dies is started again:\n" + "\n".join(
    f"  patrol {name:<14} {text}" for name, text in PARTS.items()
)
SETTINGS_HELP = "\b\nSettings:\n" + "\n".join(
    f"  PATROL_{name.upper():<14} {text}" for name, text in SETTINGS.items()
)


def initialise(settings: Settings) -> list[str]:
    """Makes topics and schema, or brings them up to date; says what was done, a line each."""
    from stream.store.policies import keep
    from stream.store.reading.progress import days
    from stream.store.schema import connect, migrate
    from stream.topics import ensure_topics, specs

    policies = settings.policies()
    done = []
    outcomes = asyncio.run(
        ensure_topics(
            settings.kafka,
            specs(settings.topic_prefix, partitions=settings.partitions, replication=settings.replication),
        )
    )
    done += [f"topic {item.name}: {item.did} ({item.detail})" for item in outcomes]
    with connect(settings.database, name="patrol init") as connection:
        applied = migrate(connection)
        told = keep(connection, policies)
        before = days(connection) if BOUNDS in applied else None
    done += [f"database: applied {name}" for name in applied] or ["database: up to date"]
    if before:
        period = "--from {} --to {}".format(*before)
        done.append(f"database: figures counted before have no bounds until 'patrol recompute {period}'")
    if told:
        done.append("database: the views read by the policy's settings")
    return done


BOUNDS = "0003_bounds.sql"
"""The migration that brought bounds: what was counted before it has none."""


@click.command(
    epilog="Example: PATROL_KAFKA=localhost:9092 PATROL_DATABASE=postgresql://localhost/patrol patrol init"
)
def init() -> None:
    """Creates topics and database schema, or brings them up to date; safe to repeat."""
    settings = load()
    settings.need("kafka", "database")
    for line in initialise(settings):
        click.echo(line)


@click.command(epilog="Example: patrol ingest")
def ingest() -> None:
    """Raw topics to validated frames; what cannot be used goes to dead.letters with its reason."""
    from stream.core.policy import limits
    from stream.pipeline.ingest import IngestSettings, run

    settings = load()
    settings.need("kafka")
    start_logging()
    run_settings = IngestSettings(
        settings.kafka,
        limits(settings.policies()),
        prefix=settings.topic_prefix,
        group_id=f"{settings.topic_prefix}patrol-ingest",
        session_timeout_s=settings.session_s,
    )
    until_told(lambda stop: run(run_settings, stop))


@click.command(epilog="Example: patrol worker")
def worker() -> None:
    """Frames to stays, slices and shares; as many workers as there are partitions share the work."""
    from stream.pipeline.agents import run

    settings = load()
    settings.need("kafka", "database")
    start_logging()
    until_told(lambda stop: run(settings, stop))


@click.command(
    help=f"Runs {in_words(PARTS)} on this machine until told to stop.\n\n{PARTS_HELP}\n\n{SETTINGS_HELP}",
    epilog="Example: patrol up",
)
def up() -> None:
    """Checks settings and servers, then supervises the parts."""
    from stream.store.schema import connect, require

    settings = load()
    settings.need("kafka", "database")
    start_logging()
    settings.policies()
    with connect(settings.database) as connection:
        require(connection)
    asyncio.run(reach(settings))
    until_told(lambda stop: supervise(PARTS, stop))


async def reach(settings: Settings) -> None:
    """Asks Kafka for anything at all.

    Raises:
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
    finally:
        await admin.close()


@click.command(epilog="Example: patrol export --out week47")
@click.option("--out", type=FOLDER, required=True, help="Folder for the files.")
@periods_option
@click.option("--until", help="Count open duties up to this time (default: the last closed slice).")
def export(out: Path, by: str, until: str | None) -> None:
    """Writes from the database the CSV files that `patrol account` writes from files."""
    from stream.files.account import figures
    from stream.files.sheets import CountedAccount, sheets
    from stream.files.sheets.contract import last_known
    from stream.store.reading.exports import derived

    settings = load()
    policies = settings.policies()
    limit = moment_option(until)
    with database("patrol export", settings) as connection:
        found = derived(connection)
    end = last_known(found.slices, found.duties) if limit is None else limit
    counted = figures(found.slices, found.duties, found.places, by, end)
    tables = sheets(
        CountedAccount(
            found.stays,
            found.slices,
            found.device_ids,
            found.duties,
            found.places,
            found.versions,
            counted,
            end,
        ),
        policies,
    )
    write_tables(tables, out)
