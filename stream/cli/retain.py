"""Commands about how long data are kept: retain, and holds."""

from __future__ import annotations

from dataclasses import asdict

import click

from stream.cli.common import database, local_minute, print_json
from stream.cli.on_record import username
from stream.clock import chosen, wall
from stream.settings import load, terms_of


@click.command(epilog="Example: patrol retain --dry-run")
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option(
    "--check", is_flag=True, help="Prove what was deleted: nothing older is there, the record stands."
)
@click.option("--why", default="its time is over", show_default=True, help="The reason, for the record.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
@click.pass_context
def retain(context: click.Context, why: str, *, dry: bool, check: bool, as_json: bool) -> None:
    """Deletes what is older than PATROL_KEEP_… say, and puts on record what it deleted.

    Positions outside duties go first, then positions of whole days (but for duties on hold, see patrol
    hold), then slices, stays, bookings and states of whole weeks. Figures of settled weeks and published
    reports stay; nothing from before the deleted days is counted again. A worker does the same by itself,
    every PATROL_RETAIN_S. Killed at any time, the next run does the rest.
    """
    from stream.store.reading.live import newest_event
    from stream.store.retention import older, verified
    from stream.store.retention import retain as delete

    settings = load()
    terms = terms_of(settings)
    with database("patrol retain", settings) as connection:
        now = chosen(settings.clock, lambda: newest_event(connection), wall)()
        if check:
            count, late = verified(connection), older(connection, terms, now)
            if as_json:
                print_json({"deletions": count, "older": late})
            else:
                click.echo(f"{count:,} deletions on record, chained as they were written")
                for line in late:
                    click.echo(f"older than it may be: {line}", err=True)
            context.exit(1 if late else 0)
        done = delete(connection, terms, now, by=username(), why=why, dry=dry)
    if as_json:
        print_json(
            {"dry_run": dry, "deletions": [asdict(item) for item in done.deletions], "left": done.left}
        )
        return
    for item in done.deletions:
        said = f"{item.rows:,} {item.kind} from {local_minute(item.start)} to {local_minute(item.end)}"
        more = f", {item.held:,} kept for holds" if item.held else ""
        click.echo(f"{'would delete' if dry else 'deleted'} {said}{more}")
    if not done.deletions:
        click.echo("nothing is older than it may be")
    if done.left:
        click.echo(f"{done.left} days are being read just now: the next run deletes them", err=True)


@click.group()
def hold() -> None:
    """Duties whose facts are kept, whatever their age, while a complaint or a challenge is open."""


@hold.command("add", epilog="Example: patrol hold add D-2026-0412 --why 'complaint CO/123/26'")
@click.argument("duty_id")
@click.option("--why", required=True, help="The complaint or challenge, for the record.")
def hold_add(duty_id: str, why: str) -> None:
    """Puts a duty on hold: its positions, slices, booking and states are kept until it is released."""
    from stream.store.holds import HoldError, place

    with database("patrol hold") as connection:
        try:
            number = place(connection, duty_id, why=why, by=username())
        except HoldError as error:
            raise click.UsageError(str(error)) from error
    click.echo(f"hold {number} on duty {duty_id}; release it with: patrol hold release {number} --why …")


@hold.command("list", epilog="Example: patrol hold list --all")
@click.option("--all", "every", is_flag=True, help="Released ones too.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def hold_list(*, every: bool, as_json: bool) -> None:
    """Lists holds with why and by whom."""
    from stream.store.holds import holds

    with database("patrol hold") as connection:
        found = holds(connection, every=every)
    if as_json:
        print_json([asdict(item) for item in found])
        return
    for item in found:
        line = f"{item.hold}: duty {item.duty_id} of {item.officer_id or 'an officer unknown by now'}, "
        line += f"since {local_minute(item.placed_at)} by {item.placed_by}: {item.why}"
        if item.released_at is not None:
            line += f"; released {local_minute(item.released_at)} by {item.released_by}: {item.released_why}"
        click.echo(line)
    if not found:
        click.echo("no duty is on hold")


@hold.command("release", epilog="Example: patrol hold release 3 --why 'complaint closed'")
@click.argument("number", type=click.IntRange(1))
@click.option("--why", required=True, help="The reason, for the record.")
def hold_release(number: int, why: str) -> None:
    """Releases a hold: what is older than it may be goes with the next retention."""
    from stream.store.holds import HoldError, release

    with database("patrol hold") as connection:
        try:
            found = release(connection, number, why=why, by=username())
        except HoldError as error:
            raise click.UsageError(str(error)) from error
    click.echo(f"hold {number} on duty {found.duty_id} is released")
