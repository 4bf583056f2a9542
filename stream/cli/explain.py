"""``patrol explain`` and ``patrol teams``: a figure and its parts, and who is in which team.

Words, options and exit codes; what a figure is made of is said in ``stream.core.explaining.explanation``, the
sentences are made in ``stream.core.explaining.wording``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import click

from stream.cli.common import (
    FILE,
    FOLDER,
    database,
    moment_option,
    policy_option,
    print_json,
    print_table,
    say_no,
    states_option,
    write_tables,
)
from stream.settings import load, read_policies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stream.core.explaining.parts import Found
    from stream.core.explaining.wording import Words
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.teams import Teams


LEVELS = ("activity", "where", "state", "officer", "day", "stretch")
"""As in ``stream.core.explaining.explanation``, which a test checks: --help has to be quick."""


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    """The files of ``patrol account``, in place of the database."""
    for option in (
        policy_option,
        states_option,
        click.option("--duties", type=FILE, help="From files, not the database: the bookings."),
        click.option(
            "--positions", type=FILE, multiple=True, help="Files of positions; may be given several times."
        ),
        click.option("--areas", "areas_", multiple=True, help="FILE or FILE:kind, as in 'patrol account'."),
    ):
        command = option(command)
    return command


@click.command(epilog="Example: patrol explain --officer 1001 --week 2026-W47")
@click.option("--officer", metavar="ID", help="Explain an officer's figure.")
@click.option("--neighbourhood", metavar="ID", help="Explain a neighbourhood's figure.")
@click.option("--force", is_flag=True, help="Explain the force's figure.")
@click.option("--week", metavar="WEEK", help="The ISO week, like 2026-W47.")
@click.option("--day", metavar="DATE", help="The local day, like 2026-11-23.")
@click.option("--from", "start", metavar="TIME", help="Any period: its start, with --to its end.")
@click.option("--to", "end", metavar="TIME", help="The end, exclusive: 2026-11-23 or a time with offset.")
@file_options
@click.option("--until", help="Count up to this time (default: open duties to the newest position).")
@click.option("--all", "all_", is_flag=True, help="Name every item, however small.")
@click.option("--json", "as_json", is_flag=True, help="The figure and the tree of its parts, as JSON.")
@click.option(
    "--depth", type=click.Choice(LEVELS), default=LEVELS[-1], show_default=True, help="How deep --json goes."
)
@click.option("--csv", "folder", type=FOLDER, help="Write parts.csv and abstraction.csv into this folder.")
def explain(
    officer: str | None,
    neighbourhood: str | None,
    force: bool,
    week: str | None,
    day: str | None,
    start: str | None,
    end: str | None,
    until: str | None,
    all_: bool,
    as_json: bool,
    depth: str,
    folder: Path | None,
    **files: Any,
) -> None:
    """Explains a figure: what cost how many minutes, where and when.

    The figure is taken from the database, or counted from files with the options of `patrol account`; what is
    wrong with its facts is said beside it, of the database as far as it shows without every position. Its
    parts add up exactly; the text rounds to minutes that add up. Exit 1: nobody was on duty.
    """
    from stream.core.abstraction import abstraction
    from stream.core.explaining.explanation import explain as take_apart
    from stream.core.explaining.wording import words
    from stream.core.quality.doubts import named
    from stream.core.quality.wording import notes
    from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER, shares
    from stream.core.slices import up_to
    from stream.files.sheets.explanations import abstraction_table, explanation_json, parts_table

    chosen = [
        pair
        for pair in ((OFFICER, officer), (NEIGHBOURHOOD, neighbourhood), (FORCE, FORCE if force else None))
        if pair[1] is not None
    ]
    if len(chosen) != 1:
        raise click.UsageError("say whose figure: one of --officer ID, --neighbourhood ID and --force")
    scope, wanted = chosen[0][0], str(chosen[0][1])
    low, high = period_option(week, day, start, end)
    found, policies = _find(scope, wanted, low, high, moment_option(until), **files)
    if until is not None:
        found = replace(found, slices=up_to(found.slices, found.until))
    counted = shares(found.slices, found.duties, found.places, low, high, doubts=found.doubts)
    figure = next((item for item in counted if (item.scope, item.id) == (scope, wanted)), None)
    if figure is None or not any(_touches(found, duty, scope, wanted, low, high) for duty in found.duties):
        say_no(nobody(found, scope, wanted, low, high))
    figure = replace(figure, far=found.far)
    explained = take_apart(
        figure,
        found.slices,
        found.duties,
        found.places,
        found.device_ids,
        policies,
        until=found.until,
        boundaries_from=found.boundaries_from,
        doubts=named(found.doubts, found.duties, found.device_ids),
        reported=found.reported,
    )
    basis = found.basis
    if found.quality is not None:
        mine = [explained.duties[number] for number in explained.duty_numbers]
        basis = replace(basis, warnings=tuple(notes(found.quality, mine, low, high)))
    if folder is not None:
        tables = {
            "parts": parts_table(explained),
            "abstraction": abstraction_table(
                abstraction(found.slices, found.duties, found.places, policies, [figure])
            ),
        }
        write_tables(tables, folder, err=as_json)
    if as_json:
        print_json(explanation_json(explained, basis, depth=depth))
    else:
        _print(words(explained, basis, most=sys.maxsize if all_ else 10), no_share=figure.share is None)


def period_option(week: str | None, day: str | None, start: str | None, end: str | None) -> tuple[int, int]:
    """The period that the options name, microseconds.

    Raises:
        click.UsageError: they name none, or more than one.
        click.BadParameter: one is no week, day or time, or the period is empty.
    """
    from stream.core.calendar import day_bounds, week_bounds

    if sum([week is not None, day is not None, start is not None or end is not None]) != 1:
        raise click.UsageError("give a period: one of --week 2026-W47, --day 2026-11-23, or --from with --to")
    try:
        if week is not None:
            return week_bounds(week)
        if day is not None:
            return day_bounds(date.fromisoformat(day))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from error
    low, high = moment_option(start), moment_option(end)
    if low is None or high is None:
        raise click.UsageError("--from and --to go together")
    if not low < high:
        raise click.BadParameter(f"the period is empty: --to {end} is not later than --from {start}")
    return low, high


def _find(
    scope: str,
    wanted: str,
    start: int,
    end: int,
    until: int | None,
    *,
    areas_: tuple[str, ...],
    positions: tuple[Path, ...],
    duties: Path | None,
    states: Path | None,
    policy: Path | None,
) -> tuple[Found, Policies]:
    """The duties asked about, from files where some are given, else from the database."""
    from geo.boundaries.layer import printable
    from stream.files.account import NothingMatchesError
    from stream.files.explained import from_files
    from stream.store.policies import in_force
    from stream.store.reading.explained import from_database, quality_of

    if areas_ or positions or duties or states:
        if not (areas_ and positions and duties):
            raise click.UsageError("files need all three: --areas, --positions and --duties")
        policies = read_policies(str(policy) if policy else "")
        try:
            found = from_files(
                areas_,
                positions,
                duties,
                states,
                policies,
                scope=scope,
                wanted=wanted,
                start=start,
                end=end,
                until=until,
            )
        except NothingMatchesError as nothing:
            say_no("\n".join(printable(line) for line in nothing.args))
        for line in found.left_out:
            click.echo(line, err=True)
        return found, policies
    _refuse_policy(policy)
    with database("patrol explain") as connection:
        policies = in_force(connection)
        found = from_database(connection, start, end, scope=scope, wanted=wanted, until=until)
        return replace(found, quality=quality_of(connection, found, end, policies)), policies


def _refuse_policy(policy: Path | None) -> None:
    """What the database holds was counted by the policies on record, and is explained by them."""
    if policy is not None:
        raise click.UsageError(
            "--policy is for files: figures in the database are told by the policies on record "
            "('patrol policy list')"
        )


def _touches(found: Found, duty: Duty, scope: str, wanted: str, start: int, end: int) -> bool:
    """Whether a duty of the officer or area asked about lies in the counted part of the period."""
    from stream.core.explaining.explanation import is_of

    until = duty.until_by(found.until)
    return is_of(duty, scope, wanted) and max(duty.start, start) < min(until, end)


def nobody(found: Found, scope: str, wanted: str, start: int, end: int) -> str:
    """Why there is no figure, in one line, and where there are duties."""
    from geo.boundaries.layer import printable
    from stream.core.calendar import local_day
    from stream.core.explaining.explanation import uncounted
    from stream.core.explaining.wording import day_words, period_words, uncounted_words
    from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER

    who = {
        OFFICER: f"officer {printable(wanted)}",
        NEIGHBOURHOOD: f"neighbourhood {printable(wanted)}",
        FORCE: "the force",
    }[scope]
    what = "duty" if scope == OFFICER else "duty of its own officers"
    if found.booked is None:
        if scope == FORCE:
            return "no duties are booked (cancelled ones aside), so there is nothing to explain"
        hint = f"Did you mean {' or '.join(map(printable, found.near))}?" if found.near else "Check the id."
        return f"no {what} is booked for {who} (cancelled ones aside). {hint}"
    first, last = (day_words(local_day(time)) for time in found.booked)
    between = f"on {first}" if first == last else f"from {first} to {last}"
    if long := [found.duties[number] for number in uncounted(scope, wanted, found.duties, start, end)]:
        told = " ".join(printable(line) for line in uncounted_words(long))
        return f"{who} has no {what} that counts in {period_words(start, end)}. {told}"
    return f"{who} has no {what} in {period_words(start, end)}; duties begin {between}"


def _print(said: Words, *, no_share: bool) -> None:
    """Sentences, with the title and the verdict in bold on a terminal; plain text elsewhere."""
    from rich.console import Console
    from rich.text import Text

    from geo.boundaries.layer import printable

    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, width=None if terminal else 10**6)

    def line(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style=style), soft_wrap=not terminal)

    line(said.title, "bold")
    line(" ".join(said.verdict))
    for text in said.warnings:
        line(text)
    if said.costs:
        line("")
        line("Where the duty time went:" if no_share else "The rest of the duty time:")
        for text in said.costs:
            line(f"  {text}")
    line("")
    for text in said.notes:
        line(text, "dim")


@click.command(epilog="Example: patrol teams --as-of 2026-11-23 --from 2026-01-01 --to 2026-11-23")
@click.option("--as-of", "as_of", metavar="TIME", help="The day to look from (default: now).")
@click.option("--from", "start", metavar="TIME", help="Joiners and leavers from here (default: a year ago).")
@click.option("--to", "end", metavar="TIME", help="Joiners and leavers up to here (default: --as-of).")
@click.option("--team", metavar="NAME", help="One team only.")
@click.option("--duties", type=FILE, help="A file of bookings, not the database.")
@policy_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--csv", "folder", type=FOLDER, help="Write teams.csv and officers.csv into this folder.")
def teams(
    as_of: str | None,
    start: str | None,
    end: str | None,
    team: str | None,
    duties: Path | None,
    policy: Path | None,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Shows how long officers have been in their teams, who joined and who left, from the bookings alone.

    A team's experience is the share of its officers with at least 12 months in it (policy: team_months).
    Where an officer's time in the team reaches back to the beginning of the records, its length is not known:
    the lower share leaves these officers out, the upper one counts them. Exit 1: there is no such team, or
    none at all.
    """
    from stream.core.teams import teams as gather
    from stream.files.sheets.contract import officers_table, teams_table
    from stream.files.sheets.explanations import teams_json

    booked, policies, now = _bookings(duties, policy)
    if not booked:
        say_no("no booking is known, so there are no teams")
    present = now if as_of is None else moment_option(as_of)
    high = present if end is None else moment_option(end)
    low = a_year_before(high) if start is None else moment_option(start)
    if not low < high:
        raise click.BadParameter("the period is empty: --to must be later than --from")
    if low >= present:
        raise click.BadParameter(
            f"--from {_local(low)} is not before the present, {_local(present)}: nobody has moved yet"
        )
    high = min(high, present)
    found = gather(booked, policies.at(present), present, low, high)
    if team is not None:
        found = replace(
            found,
            members=tuple(item for item in found.members if item.team == team),
            teams=tuple(item for item in found.teams if item.team == team),
        )
    if not found.teams:
        known = "no booking names a team" if team is None else f"no booking names the team {team}"
        say_no(f"{known} before {_local(present)}")
    if folder is not None:
        tables = {"teams": teams_table(found), "officers": officers_table(found)}
        write_tables(tables, folder, err=as_json)
    if as_json:
        print_json(teams_json(found))
    else:
        _print_teams(found, policies.at(present).team_months)


def _bookings(duties: Path | None, policy: Path | None) -> tuple[list[Duty], Policies, int]:
    """Newest revisions from a file or the database, the policies, and what is now."""
    from stream.core.events import decode_duties
    from stream.core.slices import newest
    from stream.files.account import AccountError
    from stream.files.explained import left_out_lines
    from stream.files.tracks import read_rows
    from stream.store.policies import in_force
    from stream.store.reading.instant import ever_booked
    from stream.store.reading.live import present

    if duties is not None:
        booked, _, bad = decode_duties([value for rows in read_rows(duties) for value in rows.value])
        for line in left_out_lines({str(duties): bad}):
            click.echo(line, err=True)
        if not booked:
            raise AccountError(f"{duties}: no usable duty, so there are no teams")
        policies = read_policies(str(policy) if policy else "")
        duties_ = newest(booked, policies)
        now = max((duty.start + 1 if duty.end is None else duty.until) for duty in duties_)
        return duties_, policies, now
    _refuse_policy(policy)
    settings = load()
    with database("patrol teams", settings) as connection:
        return ever_booked(connection), in_force(connection), present(connection, settings)


def a_year_before(time_us: int) -> int:
    """The same local day of the year before, at midnight; 28 February for the 29th."""
    from stream.core.calendar import day_start, local_day

    day = local_day(time_us)
    try:
        return day_start(day.replace(year=day.year - 1))
    except ValueError:
        return day_start((day - timedelta(days=1)).replace(year=day.year - 1))


def _local(time_us: int) -> str:
    from stream.core.calendar import local_day
    from stream.core.explaining.wording import day_words

    return day_words(local_day(time_us))


def _print_teams(found: Teams, months: float) -> None:
    """A table of teams; of one team alone its officers and moves too."""
    click.echo(
        f"As of {_local(found.as_of)}; joined and left from {_local(found.start)} to {_local(found.end)}."
    )
    print_table(
        ("team", "officers", f"{months:g} months or more", "share", "joined", "left", "not seen recently"),
        [
            (
                item.team,
                str(len(item.officers)),
                str(len(item.experienced)),
                _bounds(item.share_low, item.share_high),
                str(len(item.joiners)),
                str(len(item.leavers)),
                str(len(item.unseen)),
            )
            for item in found.teams
        ],
        right=(1, 2, 3, 4, 5, 6),
    )
    if len(found.teams) > 1:
        return
    [team] = found.teams
    print_table(
        ("officer", "name", "since", "months", "last seen"),
        [
            (
                item.officer_id,
                item.name or "",
                _local(item.since or 0),
                f"{'at least ' if item.at_least else ''}{item.months}",
                "" if not item.unseen else f"{_local(item.last_seen)}, not since",
            )
            for item in found.members
        ],
        right=(3,),
    )
    for move in team.joiners:
        came = f"from {move.before}" if move.before else "new on record"
        click.echo(f"joined {_local(move.time)}: {_officer(move.officer_id)}, {came}")
    for move in team.leavers:
        click.echo(f"left {_local(move.time)}: {_officer(move.officer_id)}, to {move.team}")


def _officer(officer_id: str) -> str:
    from geo.boundaries.layer import printable

    return printable(officer_id)


def _bounds(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no officer"
    return f"{low:.0%}" if low == high else f"{low:.0%} to {high:.0%}"
