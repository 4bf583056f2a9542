"""Commands on files: account, replay."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from geo.boundaries.layer import printable
from stream.cli.common import (
    FILE,
    FOLDER,
    moment_option,
    periods_option,
    policy_option,
    print_json,
    say_unmatched,
    spare,
    states_option,
    without_figures,
    write_tables,
)
from stream.cli.on_record import without_database
from stream.pipeline.processes import until_told
from stream.settings import load, read_policies

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.files.account import Account, Reader
    from stream.files.sheets.arrow import Form
    from stream.settings import Settings


@click.command(
    epilog="Example: patrol account --areas wards.geojson:neighbourhood --areas stations.gpkg:premises "
    "--positions radios.csv --duties duties.jsonl --out figures"
)
@click.option(
    "--areas",
    "areas_",
    multiple=True,
    required=True,
    help="FILE, FILE:kind, or a later version FILE:kind@2026-11-25; may be given several times.",
)
@click.option(
    "--positions",
    type=FILE,
    multiple=True,
    required=True,
    help="CSV, JSON lines, Parquet, GPX or NMEA; may be given several times.",
)
@click.option("--duties", type=FILE, required=True, help="JSON lines or CSV of bookings.")
@states_option
@policy_option
@periods_option
@click.option("--until", help="Count up to this time (default: the last fact).")
@click.option("--strict", is_flag=True, help="Exit 1 when the force missed its target.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--jobs", type=click.IntRange(1), help="Threads to count with (default: one per processor).")
@click.option(
    "--engine",
    metavar="spark[:MASTER]",
    help="Count on Apache Spark; MASTER is local[4], spark://host:7077 …  [default: this process]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="Form of the files that are written.",
)
@click.option("--out", type=FOLDER, required=True, help="Folder for the files.")
@click.pass_context
def account(
    context: click.Context,
    areas_: tuple[str, ...],
    positions: tuple[Path, ...],
    duties: Path,
    states: Path | None,
    policy: Path | None,
    by: str,
    until: str | None,
    strict: bool,
    as_json: bool,
    jobs: int | None,
    engine: str | None,
    form: Form,
    out: Path,
) -> None:
    """Counts officer time from files alone: no Kafka, no database.

    With --engine spark the same is counted by Apache Spark, whose workers read the positions themselves (from
    paths that all of them see), for years of a whole country; it needs patrol[spark] and Java 17.

    Unusable rows are listed by reason and left out. Writes stays.csv, slices.csv, shares.csv with bounds and
    verdicts, visits.csv and priorities.csv, abstraction.csv, crewing.csv, teams.csv and officers.csv;
    doubts.csv, time whose facts contradict each other; and quality.csv, which says what the facts are worth.
    The important findings are printed first, with what to do about them. Where nothing matches (no position
    in any duty, none near an area, or no patch in the boundaries) there are no figures, but the likely
    cause, and the exit code is 1.

    Bookings as CSV have the columns duty_id, officer_id and start, and as needed end, patch, radio and
    vehicle (several joined by a semicolon), name, role, team, cancelled, and revision where a duty is there
    twice.
    """
    from stream.core.quality.wording import in_question, warnings
    from stream.core.shares import MISSED
    from stream.files.account import account as count
    from stream.files.account import by_reason, read, unread_hours

    policies = read_policies(str(policy) if policy else "")
    with _reader(engine) as reader:
        facts = read(areas_, positions, duties, states, policies, reader=reader)
        found = count(facts, policies, by=by, until=moment_option(until), jobs=jobs or os.cpu_count() or 1)
        tables = found.tables(policies)
        spare((*positions, duties, states, policy), tables, out, form)
        nothing = found.unmatched()
    if nothing:
        tables = without_figures(tables, out, form)
    write_tables(tables, out, form=form, quiet=as_json)
    rejected = by_reason(facts.rejects)
    force = [] if nothing else [item for item in found.figures if item.scope == "force"]
    told = [] if nothing else [*warnings(found.quality), *unread_hours(facts)]
    if as_json:
        print_json(
            {
                "rows": {name: table.num_rows for name, table in tables.items()},
                "rejected": rejected,
                "unmatched": nothing,
                "warnings": told,
                "force": [_figure(item, policies) for item in force],
            }
        )
    else:
        for name, reasons in rejected.items():
            listed = ", ".join(f"{count_} {reason}" for reason, count_ in sorted(reasons.items()))
            click.echo(f"{name}: left out {listed}", err=True)
            first = facts.rejects[name][0]
            click.echo(f"  the first: row {first.index}: {first.reason}: {printable(first.detail)}", err=True)
        for line in told:
            click.echo(printable(line), err=True)
        for line in _doubtful(found):
            click.echo(printable(line), err=True)
        if not force and not nothing:
            click.echo(
                "no duty with time to count: all are cancelled, later, or booked for too long to count",
                err=True,
            )
        doubts = in_question(found.quality)
        for item in force:
            click.echo(_sentence(item, policies))
            if doubts and item.share is not None:
                click.echo(f"  facts in question (said above): {doubts}")
    if nothing:
        say_unmatched(nothing)
        context.exit(1)
    missed = [item for item in force if item.verdict(policies.at(item.start).target) == MISSED]
    if strict and missed:
        context.exit(1)


@contextmanager
def _reader(engine: str | None) -> Iterator[Reader | None]:
    """What reads positions on an engine; None: they are read into this process."""
    if engine is None:
        yield None
        return
    name, _, master = engine.partition(":")
    if name != "spark":
        raise click.BadParameter(
            f"{engine!r} is no engine; write spark, or spark:MASTER", param_hint="--engine"
        )
    from stream.files import spark

    with spark.session(master) as session:
        yield partial(spark.read, session)


def _doubtful(found: Account) -> Iterator[str]:
    """What the facts contradict, the longest first, a line each (rule 21)."""
    from stream.core.explaining.wording import MOST_DOUBTS, Named, doubts_told, officer_names
    from stream.core.quality.doubts import named

    told = named(found.doubts.up_to(found.until), found.duties, found.facts.fixes.device_ids)
    listed = doubts_told(told, Named(officer_names(found.duties)))
    yield from (f"doubtful: {item.line()}" for item in listed[:MOST_DOUBTS])
    if len(listed) > MOST_DOUBTS:
        yield f"doubtful: {len(listed) - MOST_DOUBTS} more, in doubts.csv"


def _figure(item: Figures, policies: Policies) -> dict[str, object]:
    from stream.files.sheets.explanations import figure_json

    said = figure_json(item, policies.at(item.start).target)
    names = ("from", "to", "duty_s", "share", "share_low", "share_high", "target", "verdict")
    return {name: said[name] for name in (*names, "without_share", "unknown_s", "doubtful_s")}


def _sentence(item: Figures, policies: Policies) -> str:
    from fractions import Fraction

    from stream.core.calendar import LOCAL, moment
    from stream.core.explaining.wording import no_share_words, percent

    if not item.duty:
        return "the force: no duty time with a home patch, so no figure"
    start, end = (moment(time_us).astimezone(LOCAL) for time_us in (item.start, item.end))
    when = f"{start:%a %d %b %Y %H:%M} to {end:%a %d %b %Y %H:%M}"
    if item.share is None:
        why, hours = no_share_words(item), item.duty / 3.6e9
        return f"the force, {when}: {why}, so no share: {hours:,.1f} h of duty time"
    target = Fraction(str(policies.at(item.start).target))
    low, share, high = (
        percent(Fraction(part, item.duty), target) for part in (item.proven, item.on_patch, item.possible)
    )
    return (
        f"the force, {when}: {share} of {item.duty / 3.6e9:,.1f} h on patch, between {low} and {high}: "
        f"{item.verdict(float(target))} at {percent(target)}; "
        f"{percent(Fraction(item.unknown, item.duty))} unknown"
        + (f", {percent(Fraction(item.doubtful, item.duty))} doubtful" if item.doubtful else "")
    )


@click.command(epilog="Example: patrol replay tracks.gpx --speed 60")
@click.argument("file", type=FILE)
@click.option(
    "--topic",
    help="The one topic for everything, named without PATROL_TOPIC_PREFIX (default: radio.positions or "
    "vehicle.positions by kind).",
)
@click.option(
    "--speed",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="60: an hour in a minute; 0: as fast as possible.",
)
def replay(file: Path, topic: str | None, speed: float) -> None:
    """Sends the tracks of a CSV, JSON lines, Parquet, GPX or NMEA file onto Kafka with their own timing."""
    from stream.files.replay import replay as send

    settings = load()
    settings.need("kafka")
    without_database(settings)

    async def work(stop: asyncio.Event) -> None:
        await require_topics(settings, [topic] if topic else None)
        done = await send(
            file, settings.brokers, topic=topic, prefix=settings.topic_prefix, speed=speed, stop=stop
        )
        click.echo(f"sent {done.sent:,} messages")
        if done.reordered:
            click.echo(f"{done.reordered:,} of them late: the file is long and not in time order", err=True)
        for reject in done.left_out[:20]:
            click.echo(f"left out row {reject.index}: {reject.reason}: {reject.detail}", err=True)
        if len(done.left_out) > 20:
            click.echo(f"… and {len(done.left_out) - 20:,} more", err=True)

    until_told(work)


async def require_topics(settings: Settings, names: list[str] | None) -> None:
    """Checks that topics exist: some brokers would create them, and nobody would read them.

    Args:
        settings: where Kafka is.
        names: the topics, without the prefix; None: those that positions go to by kind.

    Raises:
        TopicError: one does not exist.
    """
    from stream import topics

    by_kind = (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS)
    present = await topics.existing(settings.brokers)
    for name in (topics.named(name, settings.topic_prefix) for name in names or by_kind):
        if name not in present:
            raise topics.TopicError(f"Kafka has no topic {name}: run 'patrol init', or look at --topic")
