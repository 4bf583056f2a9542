"""Restatements (rule 20) in the terminal: the command that lists them, and figures before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream.cli.common import (
    database,
    local_minute,
    moment_option,
    neighbourhoods_option,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.store.publications import Publication
    from stream.store.records import Restated

COLUMNS = ("week", "whose", "on patch before", "after", "share before", "after")
"""The columns of a table of ``row``."""


SHOWN = 40
"""How many figures the table of a week or neighbourhood shows; --json has all."""


@click.command(epilog="Example: patrol restatements --week 2026-W47 --area E05001784")
@click.option("--since", help="Only those recorded from then on: 2026-11-16 (local midnight), or RFC 3339.")
@click.option("--week", metavar="2026-W47", help="Only what changed of this week, with each figure.")
@click.option(
    "--month", metavar="2026-11", help="Only what changed of this month and of the weeks that it has days of."
)
@neighbourhoods_option
@click.option("--cause", metavar="CAUSE", help="Only what has this cause, like 'later facts'.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with each figure before and after.")
def restatements(
    since: str | None,
    week: str | None,
    month: str | None,
    areas: tuple[str, ...],
    cause: str | None,
    *,
    as_json: bool,
) -> None:
    """Lists how figures already counted were changed: when, what, why, before and after.

    By published areas, by a recompute because of facts or policy and, of weeks whose reports have been
    published, by facts that came later and by revised duties; and months whose reports were published again.
    With --week, --month or --area each figure is shown. The page /restatements shows the same.
    """
    from stream.files.restated import restatement_json
    from stream.store.policies import in_force
    from stream.store.recompute import unfinished
    from stream.store.records import CAUSES, in_order, periods_asked, restatement_page

    if cause is not None and cause not in CAUSES:
        raise click.BadParameter(f"--cause: '{cause}' is none: write one of {', '.join(CAUSES)}")
    try:
        periods = periods_asked(week, month)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    with database("patrol restatements") as connection:
        page = restatement_page(
            connection, since=moment_option(since), periods=periods, neighbourhoods=areas, cause=cause
        )
        policies, run = in_force(connection), unfinished(connection)
    found = in_order(page.restatements)
    if as_json:
        print_json([restatement_json(item, policies, page.names) for item in found], indent=1)
        return
    if run is not None:
        start, end, by, done, total = run
        click.echo(
            f"not on record yet: the recompute of {local_minute(start)} to {local_minute(end)}, begun by "
            f"{by}: {done:,} of {total:,} parts are done; the same command goes on with it"
        )
    if not found:
        chosen = since is not None or cause is not None or periods is not None or areas
        click.echo("no figure was restated" if chosen else "no figure was ever restated")
        return
    print_table(
        ("number", "cause", "version", "when", "by", "weeks", "figures", "why"),
        [
            (
                str(item.number),
                item.cause,
                str(item.version or ""),
                local_minute(item.recorded_at),
                item.recorded_by,
                f"{item.restated[0].week} to {item.restated[-1].week}",
                f"{len(item.restated):,}",
                item.why,
            )
            for item in found
        ],
        right=(0, 2, 6),
    )
    if periods is not None or areas:
        figures = [(str(item.number), *row(part, policies)) for item in found for part in item.restated]
        print_table(("number", *COLUMNS), figures[:SHOWN], right=(0,))
        if len(figures) > SHOWN:
            click.echo(f"… and {len(figures) - SHOWN:,} more; --json has all of them")


def row(item: Restated, policies: Policies) -> tuple[str, ...]:
    """One figure before and after, for a table; the policies say each week's target."""
    from stream.files.restated import target_of

    whose = item.scope if item.id == item.scope else f"{item.scope} {item.id}"
    target = target_of(item, policies)
    (hours, share), (hours_after, share_after) = (
        _words(figures, target, bounded=item.bounded) for figures in (item.before, item.after)
    )
    return item.week, whose, hours, hours_after, share, share_after


def _words(figures: Figures | None, target: float, *, bounded: bool) -> tuple[str, str]:
    """Hours on patch, and the share with its bounds; the verdict where it is not on one officer."""
    from stream.core.shares import OFFICER
    from stream.reports.view import reading

    if figures is None:
        return "–", "–"
    hours, found = f"{figures.on_patch / 3.6e9:,.2f} h", reading(figures, target)
    if found.verdict is None or not bounded:
        return hours, found.share_words
    verdict = "" if figures.scope == OFFICER else f", {found.verdict}"
    return hours, f"{found.share_words} ({found.low_words}–{found.high_words}{verdict})"


def outcome_json(outcome: Publication, policies: Policies) -> dict[str, object]:
    """A publication's outcome as JSON; times in seconds."""
    from stream.core.calendar import rfc3339
    from stream.files.restated import figure_before_and_after

    return {
        "versions": list(outcome.versions),
        "counted_anew_from": rfc3339(outcome.since),
        "devices": outcome.devices,
        "restatement": outcome.restatement,
        "restated": [figure_before_and_after(item, policies) for item in outcome.restated],
    }
