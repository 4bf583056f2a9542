"""``patrol report``: weekly summaries as files, published, or side by side.

Words, options and exit codes; what a summary holds is said in ``stream.core.summaries.model``, how it looks
in ``stream.reports``.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from stream.cli.common import (
    database,
    folder_option,
    neighbourhoods_option,
    now_option,
    present,
    print_json,
    say_no,
    write_whole,
)
from stream.cli.on_record import username
from stream.pipeline.ending import begin_in_pool
from stream.settings import load

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from stream.core.calendar import Period
    from stream.core.summaries.model import Summary
    from stream.store.reports import Entry
    from stream.store.schema import Connection

FORMATS = ("html", "pdf", "xlsx", "csv", "json")


@click.group()
def report() -> None:
    """Summaries of neighbourhoods: the sergeant's week, the public's month."""


def _formats(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    """``"pdf,csv"`` makes ``("pdf", "csv")``."""
    found = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    if wrong := [word for word in found if word not in FORMATS]:
        raise click.BadParameter(f"'{wrong[0]}' is not a format: choose from {', '.join(FORMATS)}")
    if not found:
        raise click.BadParameter(f"name a format: {', '.join(FORMATS)}")
    return found


def _week(_: click.Context, __: click.Parameter, text: str | None) -> Period | None:
    """``"2026-W47"`` makes its period."""
    from stream.core.calendar import Period

    try:
        return None if text is None else Period.week(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


week_option = click.option(
    "--week", "period", metavar="WEEK", callback=_week, required=True, help="The ISO week, like 2026-W47."
)


@report.command(
    epilog="Example: patrol report weekly --area E05001784 --week 2026-W47 --format pdf,xlsx --out reports"
)
@neighbourhoods_option
@week_option
@click.option(
    "--format",
    "formats",
    metavar="FORMATS",
    callback=_formats,
    default="html,pdf,xlsx,csv",
    help="Which files, with commas between: html, pdf, xlsx, csv, json.  [default: html,pdf,xlsx,csv]",
)
@folder_option
@click.option("--number", type=click.IntRange(1), help="The report published under this number.")
@click.option("--fresh", is_flag=True, help="Count it now, even where a report is published.")
@now_option
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="Processes that write files.  [default: one per processor]"
)
@click.option("--json", "as_json", is_flag=True, help="Which files were written, as JSON.")
def weekly(
    areas: tuple[str, ...],
    period: Period,
    formats: tuple[str, ...],
    folder: Path,
    number: int | None,
    now: str | None,
    jobs: int | None,
    *,
    fresh: bool,
    as_json: bool,
) -> None:
    """A sergeant's weekly summary, of one neighbourhood or of all.

    Where the week's report is published, that report is written, the newest number of it; where not, or with
    --fresh, the week is counted from the facts as they are now. The same asked twice gives the same files,
    byte for byte, as long as no fact of the week changes. Exit 1: a neighbourhood was named that had neither
    boundaries nor duties in that week.
    """
    from stream.store.doubts import judge_due

    at = present(now)
    if at < period.start:
        raise click.UsageError(f"{period.name} has not begun")
    if number is not None and fresh:
        raise click.UsageError("--number asks for a published report, --fresh for one counted now: not both")
    settings = load()
    with database("patrol report", settings) as connection:
        judge_due(connection)
        found, stated = _found(connection, period, areas or None, at, number=number, fresh=fresh)
    refuse_unknown(known_ids(found), areas, period)
    folder.mkdir(parents=True, exist_ok=True)
    done = _written(found, formats, folder, jobs or os.cpu_count() or 1)
    written = list(_shown(done, len(found), as_json=as_json))
    if as_json:
        rows = [
            {
                "area_id": item.area_id,
                "name": item.area_name,
                "week": period.name,
                "published": stated[item.area_id].number if item.area_id in stated else None,
                "verdict": item.verdict,
                "share": item.figures.share,
                "share_low": item.figures.share_low,
                "share_high": item.figures.share_high,
                "files": [str(folder / name) for name in names],
            }
            for item, names in written
        ]
        print_json(rows)
        return
    if len(found) == 1:
        [(item, names)] = written
        click.echo(headline(item))
        click.echo(provenance(item, stated.get(item.area_id), number))
        for name in names:
            click.echo(f"  {folder / name}")
        return
    click.echo(tally(found, period))
    click.echo(f"{sum(len(names) for _, names in written)} files in {folder}")


def known_ids(found: Iterable[Summary]) -> set[str]:
    """The neighbourhoods that have boundaries or duties."""
    return {item.area_id for item in found if item.area_name != item.area_id or item.officers}


def refuse_unknown(known: Container[str], named: Sequence[str], period: Period) -> None:
    """Says which of the named neighbourhoods are unknown, and exits with 1."""
    for area_id in named:
        if area_id not in known:
            say_no(
                f"there is no neighbourhood '{area_id}' in {period.name}: neither boundaries nor "
                "duties name it; 'patrol areas export' shows those in force"
            )


def _found(
    connection: Connection,
    period: Period,
    area_ids: Sequence[str] | None,
    now: int,
    *,
    number: int | None,
    fresh: bool,
) -> tuple[list[Summary], dict[str, Entry]]:
    """Summaries by area, and under which number each is published where it is."""
    from stream.store import reports
    from stream.store.policies import in_force
    from stream.store.reading.summaries import summaries

    entries: dict[str, Entry] = {}
    stored: list[Summary] = []
    if not fresh:
        for entry in reports.listing(connection, period.name):
            if area_ids is None or entry.area_id in area_ids:
                entries[entry.area_id] = entry
        for area_id in sorted(entries):
            wanted = number or entries[area_id].number
            document = reports.read(connection, period.name, area_id, wanted)
            if document is None:
                raise click.UsageError(
                    f"{area_id}, {period.name}: no report was published under number {wanted}; the newest is "
                    f"{entries[area_id].number}"
                )
            stored.append(document)
        missing = [name for name in area_ids or () if name not in entries]
        if number is not None and (missing or not entries):
            whose = f" of {missing[0]}" if missing else ""
            raise click.UsageError(f"no report{whose} is published for {period.name}")
    rest = None if area_ids is None else [name for name in area_ids if name not in entries]
    counted: list[Summary] = []
    if rest or (rest is None and not entries):
        counted = list(summaries(connection, in_force(connection), period, area_ids=rest, now=now))
    return sorted([*stored, *counted], key=lambda item: item.area_id), entries


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────


def _write(data: bytes, formats: tuple[str, ...], folder: Path) -> list[str]:
    """In a process of its own: a stored summary to its files."""
    from stream.core.summaries.model import decode
    from stream.reports.bundle import files

    found = files(decode(data), formats)
    for name, content in found.items():
        write_whole(folder / name, content)
    return list(found)


def _written(
    found: Sequence[Summary], formats: tuple[str, ...], folder: Path, jobs: int
) -> Iterator[tuple[Summary, list[str]]]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from stream.core.summaries.model import encode

    if jobs == 1 or len(found) < 2:
        for item in found:
            yield item, _write(encode(item), formats, folder)
        return
    with ProcessPoolExecutor(
        min(jobs, len(found)), get_context("spawn"), initializer=begin_in_pool, initargs=(os.getpid(),)
    ) as pool:
        tasks = [pool.submit(_write, encode(item), formats, folder) for item in found]
        for item, task in zip(found, tasks, strict=True):
            yield item, task.result()


def _shown(
    done: Iterator[tuple[Summary, list[str]]], count: int, *, as_json: bool
) -> Iterator[tuple[Summary, list[str]]]:
    """The same with a progress bar, where it takes long and somebody is watching."""
    if count < 2 or not sys.stderr.isatty() or as_json:
        yield from done
        return

    def name(pair: tuple[Summary, list[str]] | None) -> str:
        return pair[0].area_name if pair else ""

    with click.progressbar(done, length=count, label="Writing", file=sys.stderr, item_show_func=name) as bar:
        yield from bar


# ── Words ─────────────────────────────────────────────────────────────────────────────────────────────────


def headline(summary: Summary) -> str:
    """The figure in a line."""
    from stream.core.explaining.wording import period_words

    when = period_words(summary.start, summary.end)
    said = summary.said.verdict[0] if summary.said.verdict else "No duty time, so no figure."
    return f"{summary.area_name}, {when}\n{said}"


def provenance(summary: Summary, entry: Entry | None, number: int | None) -> str:
    """Whether and when it was published, and what has changed since."""
    from stream.core.explaining.wording import moment_words

    so_far = "" if summary.complete else " The week is not over: this is so far."
    if entry is None:
        return f"Not published: counted now.{so_far}"
    if number is not None and number != entry.number:
        return f"Number {number} as it was published; the newest is number {entry.number}."
    return (
        f"Published as number {entry.number} on {moment_words(entry.published_at)} by {entry.published_by}."
    )


def tally(found: Sequence[Summary], period: Period) -> str:
    """How many met the target and how many did not."""
    counts = [
        f"{count} {word}"
        for word in ("met", "not proven", "missed")
        if (count := sum(item.verdict == word for item in found))
    ]
    none = sum(item.verdict is None for item in found)
    counts += [f"{none} without a share"] * bool(none)
    return f"{period.name}: {len(found)} neighbourhoods: {', '.join(counts)}"


# ── Publishing ────────────────────────────────────────────────────────────────────────────────────────────


def _month(_: click.Context, __: click.Parameter, text: str | None) -> Period | None:
    """``"2026-10"`` makes its period."""
    from stream.core.calendar import Period

    try:
        return None if text is None else Period.month(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@report.command(epilog="Example: patrol report publish --week 2026-W47")
@click.option("--week", metavar="WEEK", callback=_week, help="The ISO week, like 2026-W47.")
@click.option("--month", metavar="MONTH", callback=_month, help="Or the month, like 2026-10.")
@neighbourhoods_option
@click.option("--by", default=None, help="Who publishes it.  [default: your user name]")
@now_option
@click.option("--json", "as_json", is_flag=True, help="What was published, as JSON.")
def publish(
    week: Period | None,
    month: Period | None,
    areas: tuple[str, ...],
    by: str | None,
    now: str | None,
    *,
    as_json: bool,
) -> None:
    """Publishes a week's or a month's summaries; reports already published and unchanged stay as they are.

    The worker does this for the last week every Monday; by hand it is needed after later facts, when the new
    figure should not wait, and for months: what residents may see is then based on these reports, of all
    neighbourhoods. A figure that changed gets the next number, and both stand on record.
    """
    from stream.pipeline.mail import read_mailing
    from stream.store import reports
    from stream.store.doubts import judge_due
    from stream.store.policies import in_force
    from stream.store.reading.summaries import summaries
    from stream.store.settled import restate_due, settle

    period = week or month
    if period is None or (week and month):
        raise click.UsageError("give --week or --month")
    if month and areas:
        raise click.UsageError(
            "a month is published of all neighbourhoods together: some may share officers, and then what the "
            "public may see of one depends on the others; leave --area out"
        )
    at = present(now)
    if not period.is_over(at):
        raise click.UsageError(f"{period.name} is not over: only a whole {period.kind} can be published")
    settings = load()
    with database("patrol report", settings) as connection:
        judge_due(connection)
        settle(connection, period.weeks_over(at))
        restate_due(connection, at)
        found = list(summaries(connection, in_force(connection), period, area_ids=areas or None, now=at))
        refuse_unknown(known_ids(found), areas, period)
        mailed = settings.mail if week else ""
        letters = read_mailing(mailed).letters if mailed else lambda *_: ()
        done = reports.publish(connection, found, by=by or username(), now=at, letters=letters)
    if as_json:
        print_json(
            {
                period.kind: period.name,
                "written": [{"area_id": item.area_id, "number": item.number} for item in done.written],
                "unchanged": done.unchanged,
            }
        )
        return
    click.echo(tally(found, period))
    again = sum(item.number > 1 for item in done.written)
    click.echo(
        f"{len(done.written) - again} published, {again} published again because they changed, "
        f"{done.unchanged} unchanged"
    )
