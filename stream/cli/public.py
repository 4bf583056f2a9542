"""``patrol report public`` and ``patrol postcode``: what residents may see, and how they look it up.

Words, options and exit codes; what may be seen is decided in ``stream.core.summaries.disclosure``, how it
looks in ``stream.reports.public``, where a postcode lies in ``stream.core.postcodes``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream.cli.common import (
    FILE,
    database,
    folder_option,
    neighbourhoods_option,
    now_option,
    present,
    print_json,
    write_whole,
)
from stream.cli.report import refuse_unknown
from stream.clock import wall
from stream.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from geo.areas import AreaSet
    from stream.core.postcodes import Lookup
    from stream.core.summaries.disclosure import Public
    from stream.settings import Settings


@click.command(
    epilog="Example: patrol report public --area E05001784 --month 2026-10 --language ro --out site"
)
@neighbourhoods_option
@click.option("--month", required=True, metavar="MONTH", help="A month that is over, like 2026-10.")
@click.option(
    "--language", "languages", multiple=True, help="en, or a language with texts; may be given several times."
)
@click.option("--fragment", is_flag=True, help="A fragment to embed in another page, with its style.")
@click.option(
    "--officers", type=click.IntRange(3), help="Show only figures from at least this many officers."
)
@folder_option
@now_option
@click.option("--json", "as_json", is_flag=True, help="What is shown of each and which files, as JSON.")
def public(
    areas: tuple[str, ...],
    month: str,
    languages: tuple[str, ...],
    officers: int | None,
    folder: Path,
    now: str | None,
    *,
    fragment: bool,
    as_json: bool,
) -> None:
    """The public's monthly summary, of one neighbourhood or of all, as HTML.

    No officer can be identified: figures from too few officers are left out, by the rule in stream/README.md.
    All neighbourhoods are counted even where one is asked for, because two that share officers could together
    reveal one of them. Of a month that is published (report publish --month) they are made from its reports,
    and it is said which of its weeks have been restated since. Exit 1: the neighbourhood named does not
    exist.
    """
    from stream.core.calendar import Period
    from stream.core.summaries.disclosure import NOBODY, Rule, publish_all
    from stream.core.summaries.model import FormError
    from stream.reports.public import SOURCE, LanguageError, texts
    from stream.store.doubts import judge_due
    from stream.store.policies import in_force
    from stream.store.reading.public_month import public_month, published_month
    from stream.store.reading.summaries import summaries

    languages = tuple(dict.fromkeys(languages)) or (SOURCE,)
    try:
        period = Period.month(month)
        for language in languages:
            texts(language)
    except (LanguageError, ValueError) as error:
        raise click.BadParameter(str(error)) from error
    at = present(now)
    if not period.is_over(at):
        raise click.BadParameter(f"{month} is not over: it can be made public when it is")
    settings = load()
    rule = None if officers is None else Rule(officers=officers)
    with database("patrol report public", settings) as connection:
        judge_due(connection)
        based = published_month(connection, month)
        try:
            found = (
                public_month(connection, month, rule)
                if based.newest
                else publish_all(summaries(connection, in_force(connection), period, now=at), rule)
            )
        except FormError as error:
            raise click.UsageError(str(error)) from error
    refuse_unknown(
        {item.area_id for item in found if item.area_name != item.area_id or item.state != NOBODY},
        areas,
        period,
    )
    shown = [item for item in found if not areas or item.area_id in areas]
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for item in shown:
        names = [_write(item, language, folder, fragment=fragment) for language in languages]
        rows.append(
            {
                "area_id": item.area_id,
                "name": item.area_name,
                "month": item.month,
                "state": item.state,
                "verdict": item.share.verdict if item.share else None,
                "published": based.newest[item.area_id].number if item.area_id in based.newest else None,
                "restated_since": [
                    {"restatement": one.number, "weeks": sorted({part.week for part in one.restated})}
                    for one in based.restated.get(item.area_id, ())
                ],
                "files": [str(folder / name) for name in names],
            }
        )
    if as_json:
        print_json(rows)
        return
    left_out = sum(item.share is None for item in shown)
    count = "1 neighbourhood" if len(shown) == 1 else f"{len(shown)} neighbourhoods"
    without = f", {left_out} of them without a figure" if left_out and len(shown) > 1 else ""
    click.echo(f"{month}: {count}{without}; {len(shown) * len(languages)} files in {folder}")
    if len(shown) == 1:
        click.echo(f"  {STATES[shown[0].state]}")
    restated = [item for item in shown if item.area_id in based.restated]
    if restated:
        click.echo(
            f"weeks of {len(restated)} of them were restated since the month was published "
            f"(patrol restatements --month {month}); patrol report publish --month {month} publishes it again"
        )


STATES = {
    "shown": "The figure is shown.",
    "nobody": "No officer of its own was on duty, so there is no figure.",
    "few": "The figure is not shown: it comes from too few officers.",
    "shared": "The figure is not shown: with that of a neighbour it would tell of few officers.",
    "unseen": "No position is known of any of the duty time, so there is no figure.",
}
"""The state of a neighbourhood's figure, in words."""


def _write(item: Public, language: str, folder: Path, *, fragment: bool) -> str:
    from stream.reports import public as page
    from stream.reports.bundle import file_name

    name = f"{file_name(item.area_id)}_{item.month}.{language}{'.part' if fragment else ''}.html"
    text = page.fragment(item, language) if fragment else page.html(item, language)
    write_whole(folder / name, text.encode())
    return name


# ── Postcodes ─────────────────────────────────────────────────────────────────────────────────────────────


@click.command(epilog="Example: patrol postcode LE1 1AA")
@click.argument("words", metavar="POSTCODE", nargs=-1, required=True)
@click.option("--postcodes", "file", type=FILE, help="The file of postcodes (default: PATROL_POSTCODES).")
@click.option(
    "--areas", "boundaries", type=FILE, help="A file of neighbourhoods, not those in force in the database."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def postcode(
    context: click.Context,
    words: tuple[str, ...],
    file: Path | None,
    boundaries: Path | None,
    *,
    as_json: bool,
) -> None:
    """Says which neighbourhood a postcode lies in, as the boundaries are now.

    In capitals or not, with spaces anywhere. Exit 1: it lies in none, is not known, or has no published
    position.
    """
    from geo.matching.places import PlaceIndex
    from stream.core.postcodes import Finder, LookupOutcome
    from stream.files.postcode_file import read_postcodes

    settings = load()
    known = read_postcodes(file, settings)
    areas = _areas(boundaries, settings)
    answer = Finder(known, PlaceIndex(areas)).find(" ".join(words))
    if as_json:
        print_json(
            {
                "asked": answer.asked,
                "outcome": answer.outcome.value,
                "postcode": answer.postcode,
                "area_id": answer.neighbourhood.area_id if answer.neighbourhood else None,
                "name": answer.neighbourhood.name if answer.neighbourhood else None,
                "neighbourhoods": [
                    {"area_id": item.area_id, "name": item.name} for item in answer.neighbourhoods
                ],
                "suggestions": answer.suggestions,
            }
        )
    else:
        click.echo(said(answer))
    if answer.outcome is not LookupOutcome.FOUND:
        context.exit(1)


def _areas(file: Path | None, settings: Settings) -> AreaSet:
    """The neighbourhoods of a file, or those in force now."""
    from geo.areas import Kind
    from geo.boundaries.reading import read_areas
    from stream.store.records import in_force_at

    if file is not None:
        return read_areas(file, Kind.NEIGHBOURHOOD)
    with database("patrol postcode", settings) as connection:
        return in_force_at(connection, wall(), Kind.NEIGHBOURHOOD)


def said(answer: Lookup) -> str:
    """An answer in plain words, a line each."""
    from geo.boundaries.layer import printable
    from stream.core.postcodes import LookupOutcome
    from stream.reports.public import MOST

    lines = {
        LookupOutcome.FOUND: f"{answer.postcode} is in "
        f"{answer.neighbourhood.name if answer.neighbourhood else ''} "
        f"({answer.neighbourhood.area_id if answer.neighbourhood else ''})",
        LookupOutcome.OUTSIDE: f"{answer.postcode} is in none of the neighbourhoods",
        LookupOutcome.NO_POSITION: f"{answer.postcode} is known, but no position is published for it",
        LookupOutcome.UNKNOWN: f"{answer.postcode} is not a known postcode: check it",
        LookupOutcome.PARTIAL: f"{answer.postcode} is only the first part of postcodes, which are in "
        + ("none of the neighbourhoods" if not answer.neighbourhoods else "these neighbourhoods:"),
        LookupOutcome.NO_POSTCODE: f"'{answer.asked}' does not look like a postcode: write it like LE1 1AA",
        LookupOutcome.EMPTY: "give a postcode, like LE1 1AA",
    }
    found = [lines[answer.outcome]]
    found += [f"  {item.name} ({item.area_id})" for item in answer.neighbourhoods[:MOST]]
    if len(answer.neighbourhoods) > MOST:
        found.append(f"  and {len(answer.neighbourhoods) - MOST} more")
    found += [f"  did you mean {item}?" for item in answer.suggestions]
    return "\n".join(printable(line) for line in found)
