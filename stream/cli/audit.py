"""``patrol audit``: the record of who saw, changed and passed on what about whom, searched and verified.

Words, options and exit codes: the record stands in ``stream.store.record``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stream.cli.common import (
    FILE,
    database,
    local_minute,
    moment_option,
    print_json,
    print_table,
    say_no,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stream.store.record import Recorded

KINDS = (
    *("collection", "alteration", "consultation", "disclosure", "combination", "erasure"),
    *("sign-in", "account", "setting", "publication"),
)
"""As in ``stream.store.record.Kind``, which a test checks: --help has to be quick."""


@click.group()
def audit() -> None:
    """The record of who saw, changed and passed on what about whom (Data Protection Act 2018, section 62).

    Entries are added and never changed, and each is chained to the one before it. `patrol audit head`, noted
    down elsewhere, lets `patrol audit verify` find that the end was cut off, too.
    """


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option(
            "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most."
        ),
    ):
        command = option(command)
    return command


@audit.command("list", epilog="Example: patrol audit list --limit 20")
@_shared
def list_(limit: int, *, as_json: bool) -> None:
    """The newest entries of the record, the newest first."""
    _show(limit, as_json=as_json)


@audit.command(epilog="Example: patrol audit search --about 1001 --kind consultation --from 2026-11-01")
@click.option("--about", metavar="ID", help="About this officer; entries about anybody are among them.")
@click.option("--account", metavar="NAME", help="By this account; server:NAME for work at the server.")
@click.option("--kind", type=click.Choice(KINDS), help="Of this kind.")
@click.option("--what", metavar="TEXT", help="This page, path or command, as the record has it.")
@click.option("--outcome", type=click.Choice(["done", "refused", "failed"]), help="With this outcome.")
@click.option("--text", metavar="TEXT", help="With this in what was done, the purpose or the details.")
@click.option("--from", "since", metavar="TIME", help="From here on: 2026-11-23 or a time with offset.")
@click.option("--to", "until", metavar="TIME", help="Up to here, exclusive.")
@_shared
def search(since: str | None, until: str | None, limit: int, *, as_json: bool, **which: str | None) -> None:
    """Entries of the record by officer, account, kind, text and time, the newest first.

    Exit 1: there is none.
    """
    found = _show(limit, as_json=as_json, since=moment_option(since), until=moment_option(until), **which)
    if not found:
        say_no("nothing on record matches")


def _show(limit: int, *, as_json: bool, **which: Any) -> Sequence[Recorded]:
    from stream.files.recorded import entry_json
    from stream.store import record

    with database("patrol audit", any_policy=True) as connection:
        found = record.search(connection, record.Search(**which), limit)
    if as_json:
        print_json([entry_json(item) for item in found], indent=1)
    elif found:
        print_table(
            ("entry", "when", "who", "from", "kind", "what", "about", "why"), map(_row, found), right=(0,)
        )
    return found


def _row(item: Recorded) -> tuple[str, ...]:
    from stream.store.record import ANYBODY

    about = ", ".join("anybody" if name == ANYBODY else name for name in item.about)
    what = item.what if item.outcome == "done" else f"{item.what} ({item.outcome})"
    return (
        str(item.entry),
        local_minute(item.at),
        item.account,
        item.source,
        item.kind,
        what,
        about,
        item.why or "",
    )


@audit.command(epilog="Example: patrol audit unusual --day 2026-11-23")
@click.option("--day", metavar="DAY", help="A local day (default: yesterday).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def unusual(day: str | None, *, as_json: bool) -> None:
    """Looking that is worth a question: one officer opened by many, and many officers opened by one.

    From how many on is said by PATROL_UNUSUAL_READERS and PATROL_UNUSUAL_READ. Lists are not counted. Exit 1:
    there is some.
    """
    from datetime import timedelta

    from stream.clock import wall
    from stream.core.calendar import local_day
    from stream.settings import load
    from stream.store import record

    first = local_day(wall()) - timedelta(days=1) if day is None else local_day(moment_option(day))
    start, end = (moment_option(text.isoformat()) for text in (first, first + timedelta(days=1)))
    settings = load()
    with database("patrol audit unusual", settings, any_policy=True) as connection:
        found = record.unusual(
            connection, start, end, readers=settings.unusual_readers, read=settings.unusual_read
        )
    if as_json:
        print_json([{"kind": item.kind, "who": item.who, "count": item.count} for item in found], indent=1)
    elif not found:
        click.echo(f"{first}: nothing unusual")
    else:
        rows = [(item.kind, item.who, str(item.count), ", ".join(item.whom)) for item in found]
        print_table(("what", "who", "how many", "whom, or by whom"), rows, right=(2,))
    if found:
        raise click.exceptions.Exit(1)


@audit.command(epilog="Example: patrol audit head")
def head() -> None:
    """Prints the newest entry's number, hash and time, to be kept where whoever runs this cannot change it.

    Run it daily; `patrol audit verify --heads FILE` compares the record with all lines of the file.
    """
    from stream.clock import wall
    from stream.core.calendar import rfc3339
    from stream.store import record

    with database("patrol audit head", any_policy=True) as connection:
        found = record.head(connection)
    if found is None:
        say_no("nothing is on record yet")
    click.echo(f"{found} {rfc3339(wall())}")


@audit.command(epilog="Example: patrol audit verify --heads record-heads.txt")
@click.option("--heads", type=FILE, help="Lines of 'patrol audit head' that were kept elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def verify(heads: Path | None, *, as_json: bool) -> None:
    """Says whether the record is whole: nothing changed, left out, or put in another order.

    That its end was cut off is seen with --heads alone. Exit 1: it is not whole; the first entry that does
    not fit is named.
    """
    from stream.store.record import Anchor
    from stream.store.record import verify as look

    try:
        lines = [] if heads is None else heads.read_text(encoding="utf-8").splitlines()
        anchors = [Anchor.read(line) for line in lines if line.strip()]
    except ValueError as error:
        raise click.BadParameter(f"{heads}: {error}", param_hint="--heads") from error
    with database("patrol audit verify", any_policy=True) as connection:
        found = look(connection, anchors)
    if as_json:
        answer = {
            "whole": found.broken is None,
            "entries": found.entries,
            "first": found.first,
            "head": None if found.head is None else str(found.head),
            "anchors": len(anchors),
            "broken": found.broken,
            "at": found.at,
        }
        print_json(answer, indent=1)
        if found.broken is not None:
            raise click.exceptions.Exit(1)
        return
    if found.broken is not None:
        say_no(f"the record is not whole: {found.broken}")
    if found.head is None:
        click.echo("nothing is on record yet")
        return
    compared = f", and agree with {len(anchors):,} noted heads" if anchors else ""
    click.echo(f"the record is whole: entries {found.first:,} to {found.head.entry:,} are chained{compared}")
    click.echo(f"head {found.head}")
