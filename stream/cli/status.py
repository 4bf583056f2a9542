"""``patrol status``: how the system is, all of it, in a terminal or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream.cli.common import print_json, print_table
from stream.settings import load

if TYPE_CHECKING:
    from stream.pipeline.condition import Condition


@click.command(epilog="Example: patrol status")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """How the system is: versions, processes, what waits, what was rejected, what is kept; changes nothing.

    Exit 1: something is wrong, which the last lines say. Exit 3: Kafka or the database could not be reached;
    what the other one says is shown all the same.
    """
    from stream.pipeline.condition import examine
    from stream.pipeline.failures import UNREACHED

    settings = load()
    settings.need("kafka", "database")
    found = examine(settings)
    if as_json:
        print_json(found, indent=1)
    else:
        _show(found)
    context.exit(UNREACHED if found.unreached else 1 if found.wrong else 0)


def _show(found: Condition) -> None:
    from geo.boundaries.layer import printable
    from stream.pipeline.outages import lasting

    def age(seconds: float | None) -> str:
        return "–" if seconds is None else lasting(seconds)

    versions = f"schema {found.schema or 'unknown'}, PostgreSQL {found.postgresql or 'unknown'}"
    click.echo(f"Patrol Visibility {found.program}, {versions}")
    if found.newest_age_s is not None:
        click.echo(f"newest position {age(found.newest_age_s)} old")
    if found.dead_letters is not None:
        click.echo(f"{found.dead_letters:,} dead letters so far: patrol dead-letters list")
    if found.processes:
        click.echo()
        print_table(
            ("process", "on", "running for", "how many", "reads"),
            (
                (
                    item.part,
                    item.host or ("–" if item.since_s is None else "the database's machine"),
                    age(item.since_s),
                    str(item.count),
                    item.reads,
                )
                for item in found.processes
            ),
            right=(3,),
        )
    if found.topics:
        click.echo()
        print_table(
            ("topic", "waiting", "oldest waits for", "in all"),
            (
                (item.topic, f"{item.waiting:,}", age(item.oldest_s), f"{item.held:,}")
                for item in found.topics
            ),
            right=(1, 2, 3),
        )
    if found.timers:
        click.echo()
        print_table(
            ("done now and then", "last", "waiting", "by a worker"),
            (
                (item.name, age(item.age_s), f"{item.waiting:,}", "yes" if item.elected else "–")
                for item in found.timers
            ),
            right=(2,),
        )
    if found.tables:
        click.echo()
        print_table(
            ("kept", "rows, about", "MB", "parts"),
            (
                (item.name, f"{item.rows:,}", f"{item.size / 1e6:,.1f}", f"{item.parts:,}")
                for item in found.tables
            ),
            right=(1, 2, 3),
        )
    if found.oldest_day_age is not None:
        click.echo(f"\npositions were first heard {found.oldest_day_age:,} days ago; nothing is deleted yet")
    click.echo()
    for line in found.wrong or ["nothing is wrong"]:
        click.echo(printable(line))
