"""Commands that run against Kafka and PostgreSQL: init, ingest, worker, up, export."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import click

from stream.cli.common import (
    FOLDER,
    database,
    moment_option,
    periods_option,
    say_unmatched,
    without_figures,
    write_tables,
)
from stream.pipeline.processes import FAREWELL_S, PARTS, in_words, loading, supervise, until_told
from stream.settings import LOCAL_ACCOUNTS, SETTINGS, SettingsError, check_files, load

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from stream.settings import Settings


PARTS_HELP = "\b\nEach is a process of its own; one that dies is started again:\n" + "\n".join(
    f"  patrol {name:<14} {text}" for name, text in PARTS.items()
)
SETTINGS_HELP = "\b\nSettings:\n" + "\n".join(
    f"  PATROL_{name.upper():<14} {text}" for name, text in SETTINGS.items()
)


def initialise(settings: Settings, roles: str = "") -> list[str]:
    """Makes topics and schema, or brings them up to date; says what was done, a line each.

    Args:
        settings: Kafka and the database.
        roles: how the names of roles begin that are to be made; those that are there get their grants anyway.
    """
    import asyncio

    from stream.pipeline.starting import check_session
    from stream.store import areas
    from stream.store import roles as store_roles
    from stream.store.policies import agreed
    from stream.store.reading.progress import days
    from stream.store.schema import connect, has_policies, migrate, suited
    from stream.topics import ensure_topics, specs

    done = []
    with connect(settings.database, name="patrol init") as connection:
        suited(connection)  # before anything is changed, as is this:
        if has_policies(connection):
            agreed(connection, settings)
        asyncio.run(check_session(settings))
        outcomes = asyncio.run(
            ensure_topics(
                settings.brokers,
                specs(
                    settings.topic_prefix, partitions=settings.partitions, replication=settings.replication
                ),
            )
        )
        done += [f"topic {item.name}: {item.did} ({item.detail})" for item in outcomes]
        applied = migrate(connection)
        areas.measure(connection)
        agreed(connection, settings)
        before = days(connection) if BOUNDS in applied else None
        granted = [
            f"database: {line}"
            for prefix in sorted({*store_roles.prefixes(connection), *filter(None, [roles])})
            for line in store_roles.grant(connection, prefix)
        ]
    done += [f"database: applied {name}" for name in applied] or ["database: up to date"]
    done += granted or (["database: roles have what they need, and no more"] if roles else [])
    if before:
        period = "--from {} --to {}".format(*before)
        done.append(f"database: figures counted before have no bounds until 'patrol recompute {period}'")
    return done


def missing(settings: Settings) -> list[str]:
    """What the pipeline lacks, or will never count, a line each; changes nothing."""
    import asyncio

    from stream.pipeline.lag import LagMeter
    from stream.pipeline.starting import check_kafka
    from stream.store import roles
    from stream.store.schema import SchemaError, connect, require
    from stream.topics import TopicError, existing, specs

    wanted = specs(settings.topic_prefix, replication=settings.replication)
    absent = sorted({spec.name for spec in wanted} - asyncio.run(existing(settings.brokers)))
    found = [f"topic {name}: is not there; run 'patrol init'" for name in absent]
    try:
        asyncio.run(check_kafka(settings))
    except (TopicError, SettingsError) as error:
        found.append(str(error))
    with connect(settings.database, name="patrol init") as connection:
        try:
            require(connection)
        except SchemaError as error:
            return [*found, str(error)]
        for prefix in roles.prefixes(connection):
            lines = roles.lacking(connection, prefix)
            found += [f"database: to be done by 'patrol init': {line}" for line in lines]
        if absent:
            return found
        meter = LagMeter(settings)
        try:
            return [*found, *(str(item) for item in meter.lost(connection))]
        finally:
            meter.close()


BOUNDS = "0003_bounds.sql"
"""The migration that brought bounds: what was counted before it has none."""


@click.command(
    epilog="Example: PATROL_KAFKA=localhost:9092 PATROL_DATABASE=postgresql://localhost/patrol patrol init"
)
@click.option(
    "--check",
    is_flag=True,
    help="Changes nothing: says what is missing, and what Kafka deleted before the database had it; exit 1 "
    "if there is anything.",
)
@click.option(
    "--roles",
    is_flag=False,
    flag_value="patrol",
    default="",
    metavar="[PREFIX]",
    help="Makes a role of the database for each kind of process (patrol_ingest, patrol_worker, patrol_web …) "
    "and gives it what it needs and no more: make your logins members of them. Once they are there, each "
    "'patrol init' keeps them right.",
)
@click.option("--grants", is_flag=True, help="Prints what each role may do, as deploy/roles.md has it.")
@click.pass_context
def init(context: click.Context, check: bool, roles: str, grants: bool) -> None:
    """Creates topics and database schema, or brings them up to date; safe to repeat."""
    if grants:
        from stream.store.roles import document

        click.echo(document(), nl=False)
        return
    if roles and not re.fullmatch("[a-z][a-z0-9_]{0,30}", roles):
        raise click.BadParameter("use small letters, digits and underscores", param_hint="--roles")
    settings = load()
    settings.need("kafka", "database")
    lines = missing(settings) if check else initialise(settings, roles)
    for line in lines or ["nothing is missing"]:
        click.echo(line)
    if settings.sign_in == LOCAL_ACCOUNTS and not check:
        from stream.cli.people import first_lines

        with database("patrol init", settings) as connection:
            for line in first_lines(connection):
                click.echo(line)
    context.exit(1 if check and lines else 0)


@click.command(epilog="Example: patrol ingest")
def ingest() -> None:
    """Raw topics to validated frames; what cannot be used goes to dead.letters with its reason.

    What is usable is said by the policies in the database, so it needs that too; while the database is away
    it goes on with those that it knows.
    """
    import asyncio

    with loading():
        from stream.pipeline.ingest import IngestSettings, run
        from stream.pipeline.limits import Limits
        from stream.pipeline.logs import start_logging
        from stream.pipeline.losses import Losses
        from stream.pipeline.metrics import IngestMetrics
        from stream.pipeline.monitor import Monitor
        from stream.pipeline.starting import check_servers
        from stream.pipeline.waiting import first_of

    settings = load()
    settings.need("kafka", "database")
    start_logging(settings.log)
    limits, metrics = Limits(settings), IngestMetrics()
    monitor = Monitor(settings, metrics)

    async def work(stop: asyncio.Event) -> None:
        await check_servers(settings)
        with monitor.watching():
            await ingesting(stop)

    async def ingesting(stop: asyncio.Event) -> None:
        losses = Losses(settings, "patrol ingest")
        try:
            if not await limits.begin(stop):
                return
            run_settings = IngestSettings(
                settings.brokers,
                limits.now,
                prefix=settings.topic_prefix,
                group_id=f"{settings.topic_prefix}patrol-ingest",
                gather_s=settings.gather_s,
                session_timeout_s=settings.session_s,
                gone=losses.tell,
                seen=monitor.topics,
            )
            tasks = run(run_settings, stop, metrics.take), limits.follow(stop), losses.keep(stop)
            parts = [asyncio.ensure_future(part) for part in tasks]
            await first_of(parts, stop)
            stop.set()  # where one has failed, the other ends too
            await asyncio.gather(*parts)
        finally:
            limits.close()

    until_told(work)


@click.command(epilog="Example: patrol worker")
@click.option(
    "--without-timers",
    is_flag=True,
    help="Counts only: figures, alerts and reports are left to 'patrol timers', or to other workers.",
)
def worker(without_timers: bool) -> None:
    """Frames to stays, slices and shares; as many workers as there are partitions share the work."""
    with loading():
        from stream.pipeline.agents import run
        from stream.pipeline.logs import start_logging
        from stream.pipeline.metrics import WorkerMetrics
        from stream.pipeline.monitor import Monitor
        from stream.pipeline.starting import check_servers

    settings = load()
    settings.need("kafka", "database")
    start_logging(settings.log)
    metrics = WorkerMetrics()
    monitor = Monitor(settings, metrics)

    async def work(stop: asyncio.Event) -> None:
        await check_servers(settings)
        with monitor.watching():
            await run(
                settings,
                stop,
                metrics,
                errands=not without_timers,
                seen=monitor.topics,
                stalled=monitor.stalled,
            )

    until_told(work)


@click.command(epilog="Example: patrol timers")
def timers() -> None:
    """What a worker does beside counting, in a process of its own: live figures, alerts, doubts, reports.

    For very many officers, with 'patrol worker --without-timers'; of several one is elected for each.
    """
    from stream.pipeline.logs import start_logging
    from stream.pipeline.metrics import WorkerMetrics
    from stream.pipeline.monitor import Monitor
    from stream.pipeline.starting import check_servers
    from stream.pipeline.timers import run

    settings = load()
    settings.need("kafka", "database")
    start_logging(settings.log)
    metrics = WorkerMetrics(part="timers")

    async def work(stop: asyncio.Event) -> None:
        await check_servers(settings)
        with Monitor(settings, metrics).watching():
            await run(settings, stop)

    until_told(work)


@click.command(
    help=f"Runs {in_words(PARTS)} on this machine until told to stop.\n\n{PARTS_HELP}\n\n{SETTINGS_HELP}",
    epilog="Example: patrol up --port 8081",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="The live page's port. While another program uses it there is no page, and counting goes on.",
)
def up(port: int) -> None:
    """Checks settings and servers, then supervises the parts."""
    import asyncio

    from stream.pipeline.logs import start_logging
    from stream.pipeline.starting import check_kafka

    settings = load()
    settings.need("kafka", "database")
    check_files(settings)
    start_logging(settings.log)
    with database("patrol up", settings):
        pass
    asyncio.run(check_kafka(settings))
    options = {"web": ("--port", str(port), "--wait")}
    # What it waits for may take its whole time to end, and is only then ended by it.
    until_told(lambda stop: supervise(PARTS, stop, settings.health_port, options), limit_s=FAREWELL_S + 0.5)


@click.command(epilog="Example: patrol export --out week47")
@click.option("--out", type=FOLDER, required=True, help="Folder for the files.")
@periods_option
@click.option("--until", help="Count open duties up to this time (default: the last closed slice).")
@click.option(
    "--quality/--no-quality",
    default=True,
    help="With quality.csv, for which every stored position is looked at (default), or without.",
)
@click.option(
    "--pseudonyms",
    "veiled",
    is_flag=True,
    help="For analysts: no ids, but pseudonyms by PATROL_PSEUDONYM_KEY.",
)
@click.pass_context
def export(
    context: click.Context, out: Path, by: str, until: str | None, quality: bool, veiled: bool
) -> None:
    """Writes from the database the CSV files that `patrol account` writes from files.

    What the facts themselves are worth is in quality.csv, and probable mistakes are printed. It lacks what
    belongs to files: rows that name no device (scope input). Where nothing matches (no position in any duty,
    none near an area, or no patch in the boundaries) there are no figures, but the likely cause, and the exit
    code is 1.

    With --pseudonyms no id of an officer, a device or a duty leaves: the same id has the same pseudonym in
    every file and export under one key, rows are in the order of the pseudonyms, and what quality.csv tells
    in words that may name somebody is left out.
    """
    from geo.boundaries.layer import printable
    from stream.core.pseudonyms import Pseudonyms
    from stream.core.quality.elsewhere import all_far
    from stream.core.quality.findings import findings
    from stream.core.quality.wording import warnings
    from stream.files.account import figures
    from stream.files.sheets import CountedAccount, sheets
    from stream.files.sheets.contract import last_known, quality_table
    from stream.files.sheets.pseudonymous import pseudonymous
    from stream.store.doubts import judge_due
    from stream.store.policies import in_force
    from stream.store.reading.exports import derived, examined

    limit = moment_option(until)
    settings = load()
    if veiled:
        settings.need("pseudonym_key")
    with database("patrol export", settings) as connection:
        judge_due(connection)
        policies = in_force(connection)
        found = derived(connection, policies if quality else None)
    end = last_known(found.slices, found.duties) if limit is None else limit
    counted = figures(
        found.slices,
        found.duties,
        found.places,
        by,
        end,
        found.doubts,
        far=partial(all_far, found.nowhere),
        versions=found.versions,
    )
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
            found.doubts,
        ),
        policies,
    )
    told: list[str] = []
    if found.worth is not None:
        worth = findings(examined(found, found.worth, end, policies))
        tables["quality"], told = quality_table(worth), warnings(worth)
    if veiled:
        tables, told = pseudonymous(tables, Pseudonyms(settings.pseudonym_key), found.duties), []
    if found.unmatched:
        write_tables(without_figures(tables, out), out)
        say_unmatched(found.unmatched)
        context.exit(1)
    write_tables(tables, out)
    for line in told:
        click.echo(printable(line), err=True)
