"""``patrol roster``: the force's own bookings and states, from what its duty system exports."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import date
from typing import TYPE_CHECKING, Any, cast

import click

from geo.boundaries.layer import printable
from stream.cli.common import FILE, FOLDER, dry_run_option, local_minute, print_json
from stream.cli.files import require_topics
from stream.cli.on_record import without_database
from stream.clock import wall
from stream.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stream.core.facts import Allocation, Duty, StateReport
    from stream.files.foreign import ForeignTable
    from stream.files.roster.changes import RosterChanges, Vanished
    from stream.files.roster.importing import Deliver, RosterImport
    from stream.files.roster.mapping import RosterMapping
    from stream.files.roster.record import RosterParcel
    from stream.files.roster.rows import PassedRow
    from stream.settings import Settings

SHOWN = 20
"""How many of each kind are listed; --json has all."""

TOLD = {
    "twice": "times in the hour that comes twice, taken as [time] twice says",
    "open": "duties without an end, taken as still running",
    "too_long": "duties of more than 24 hours, which count for nothing: correct them",
    "no_patch": "duties without a patch, which have no share",
    "blank_device": "cells that name no device ('-', 'n/a', 'TBC'), taken as blank",
    "no_device": "duties without a radio or vehicle, for which no position can count",
    **{
        f"digits_{key}": f"{what} that are numbers in the workbook: leading zeros, if there were any, are "
        f"gone; [digits] {key} says how many digits they have"
        for key, what in (("officer_id", "officers' numbers"), ("radio", "radios"), ("vehicle", "vehicles"))
    },
    "superseded": "rows with an older revision of their duty, passed over",
    "overlap": "duties that overlap another of their officer on the same day",
}
"""What was understood in a way that somebody should know."""


NO_PATCHES = (
    "nothing says whose patch is which, so no duty would have a share: fill in [teams], with [] for teams "
    "that have none, or map columns.patch"
)


@click.group()
def roster() -> None:
    """Bookings, allocations and radio states as the force's own duty system exports them."""


@roster.command(
    "import", epilog="Example: patrol roster import week47.xlsx --map roster.toml --record imported --dry-run"
)
@click.argument("file", type=FILE)
@click.option(
    "--map",
    "map_",
    type=FILE,
    help="TOML that says which of their columns is which of our fields (default: they have our own names).",
)
@dry_run_option
@click.option("--out", type=FOLDER, help="Write duties.jsonl and states.jsonl there instead of sending them.")
@click.option(
    "--record",
    type=FOLDER,
    help="With Kafka: the folder that keeps what was sent, so that the next import sends changes alone.",
)
@click.option(
    "--vanished",
    type=click.Choice(["ask", "keep", "cancel"]),
    default="ask",
    show_default=True,
    help="Duties imported before that the file should have and has not: list them and exit 1; list and keep "
    "them; cancel them.",
)
@click.option("--from", "first", metavar="DAY", help="First day that the file covers (default: its first).")
@click.option("--to", "last", metavar="DAY", help="Last day that the file covers (default: its last).")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def import_(
    file: Path,
    map_: Path | None,
    out: Path | None,
    record: Path | None,
    vanished: str,
    first: str | None,
    last: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Imports a CSV file or workbook of bookings, or of radio states, onto Kafka or into files.

    Sends what changed since the last import, as new revisions; the same file twice sends nothing. Rows that
    cannot be understood are refused by number and reason, and the rest is imported; the exit code is then 1.
    """
    import hashlib

    from stream.files.foreign import ForeignError
    from stream.files.roster.importing import bring_in, into_files, tables_of
    from stream.files.roster.mapping import RosterError, read_mapping
    from stream.files.roster.record import locked, read_record
    from stream.files.roster.rows import choose, read_rows
    from stream.files.roster.unread import require_decided, unread_columns

    if out is not None and record is not None:
        raise click.UsageError("--record is for Kafka; with --out that folder is the record itself")
    folder = out or record
    if folder is None and not dry_run:
        raise click.UsageError(
            "say where what was sent is kept, so that the next import sends changes alone: --record FOLDER "
            "(onto Kafka), or --out FOLDER (into files)"
        )
    days = _day("--from", first), _day("--to", last)
    if days[0] and days[1] and days[0] > days[1]:
        raise click.UsageError("--from is later than --to")
    settings = load()
    under = f" under {settings.topic_prefix}" if settings.topic_prefix else ""
    try:
        given = read_mapping(map_) if map_ is not None else None
        table, mapping = choose(tables_of(file, given), given)
        without = _without_patches(mapping, allowed=dry_run)
        require_decided(table, mapping)
        unread = unread_columns(table, mapping)
        found = read_rows(table, mapping)
        with nullcontext() if folder is None or dry_run else locked(folder):
            done = bring_in(
                found,
                mapping,
                read_record(folder, f"Kafka{under}" if out is None else "files"),
                into_files if dry_run or out is not None else _onto_kafka(settings),
                name=file.name,
                sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
                time=wall(),
                vanished=cast("Vanished", vanished),
                first=days[0],
                last=days[1],
                dry_run=dry_run,
            )
    except (RosterError, ForeignError) as failure:
        raise click.ClickException(printable(str(failure))) from failure
    if as_json:
        print_json({**_json(done), "unread": list(unread)}, indent=1)
    else:
        for line in _lines(done, table, unread):
            click.echo(printable(line))
        if without:
            click.echo(f"note: {NO_PATCHES}")
        click.echo(_outcome(done, folder, dry_run=dry_run, files=out is not None))
    if why := _wanting(done.changes, vanished):
        click.echo(f"patrol: {why}", err=True)
        raise click.exceptions.Exit(1)


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"'{text}' is no day: write it like 2026-11-23", param_hint=option) from None


def _without_patches(mapping: RosterMapping, *, allowed: bool) -> bool:
    """Whether a mapping of bookings leaves every duty without a patch."""
    without = mapping.teams is None and not mapping.columns.patch and not mapping.of_states
    if without and not allowed:
        raise click.ClickException(NO_PATCHES)
    return without


def _onto_kafka(settings: Settings) -> Deliver:
    import asyncio

    from aiokafka.errors import KafkaConnectionError, KafkaError

    from stream import topics
    from stream.files.roster.importing import send_parcel

    settings.need("kafka")
    without_database(settings)

    def deliver(parcel: RosterParcel, begin: Callable[[], None]) -> None:
        async def work() -> None:
            await require_topics(settings, [topics.DUTY_BOOKINGS, topics.DUTY_STATES])
            await send_parcel(parcel, settings.brokers, prefix=settings.topic_prefix, on_connected=begin)

        try:
            asyncio.run(work())
        except KafkaConnectionError:
            raise
        except KafkaError as failure:  # it answered, and then did not acknowledge
            raise KafkaConnectionError(str(failure)) from failure

    return deliver


# ── What is said ──────────────────────────────────────────────────────────────────────────────────────────


def _wanting(changes: RosterChanges, vanished: str) -> str:
    """Why the answer is no; empty where it is not."""
    wrong = []
    if changes.refused:
        wrong.append(f"{_count(len(changes.refused), 'row')} refused: correct the file or the mapping")
    left = len(changes.vanished) + len(changes.vanished_states)
    if left and vanished == "ask":
        wrong.append(
            f"{_count(left, 'fact')} imported before and not in this file: say --vanished keep, or "
            "--vanished cancel"
        )
    if changes.vanished and vanished == "cancel":
        wrong.append("nothing was cancelled, for a refused row does not tell whose it is")
    if changes.empty:
        wrong.append("no row has a duty or a state")
    return "; ".join(wrong)


def _lines(done: RosterImport, table: ForeignTable, unread: Sequence[str]) -> Iterator[str]:
    changes, found = done.changes, done.changes.found
    yield f"{table.name} ({table.form}): {_count(changes.found.rows, 'row')}{_covered(changes)}"
    if done.completed:
        yield f"an import was interrupted: its {_count(done.completed, 'message')} are sent first"
    counts = {
        "new": len(changes.new) + len(changes.new_states),
        "changed": len(changes.changed),
        "cancelled": len(changes.cancelled),
        "unchanged": changes.unchanged,
        "vanished": len(changes.vanished) + len(changes.vanished_states),
        "rows passed over": len(changes.found.passed),
        "rows refused": len(changes.refused),
    }
    yield ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "nothing in it"
    for key, number in changes.told.items():
        if number:
            yield f"note: {TOLD[key]}: {number:,}"
    for word, rows in (("passed over", found.passed), ("left out, as not of the table", found.left_out)):
        if rows:
            yield f"note: {word}: {_grouped(rows)}"
    if unread:
        yield f"note: columns that are not read: {', '.join(unread)}"
    if changes.elsewhere:
        teams = ", ".join(f"{team or 'no team'} ({number:,})" for team, number in changes.elsewhere.items())
        yield f"note: duties of teams that this file does not have are left alone: {teams}"
    for word, items in (
        ("new", [_booked(duty) for duty in changes.new]),
        ("changed", [_revised(before, now) for before, now in changes.changed]),
        ("cancelled", [_booked(now) for _, now in changes.cancelled]),
        ("vanished", [_booked(duty) for duty in changes.vanished]),
        ("vanished", [_keyed(state) for state in changes.vanished_states]),
        ("refused", [f"row {row.row}: {row.reason}: {row.detail}" for row in changes.refused]),
    ):
        for item in items[:SHOWN]:
            yield f"  {word}: {item}"
        if len(items) > SHOWN:
            yield f"  {word}: and {len(items) - SHOWN:,} more (--json lists all)"


def _grouped(rows: Sequence[PassedRow]) -> str:
    """Rows by why, with their numbers: the first of many."""
    by_why: dict[str, list[int]] = {}
    for item in rows:
        by_why.setdefault(item.why, []).append(item.row)
    return "; ".join(
        f"{'row' if len(numbers) == 1 else 'rows'} {', '.join(map(str, numbers[:SHOWN]))}"
        + (f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else "")
        + f" ({why})"
        for why, numbers in by_why.items()
    )


def _covered(changes: RosterChanges) -> str:
    covers = changes.covers
    if covers is None:
        return ""
    teams = "" if covers.teams is None else f", {_count(len(covers.teams), 'team')}"
    return f", {covers.first:%a %d %b %Y} to {covers.last:%a %d %b %Y}{teams}"


def _booked(duty: Duty) -> str:
    parts = [duty.duty_id, f"officer {duty.officer_id}", f"{local_minute(duty.start)} to {_end(duty.end)}"]
    parts += [f"patch {' '.join(duty.patch)}"] if duty.patch else []
    parts += [_devices(duty.devices)] if duty.devices else []
    return ", ".join([*parts, *(["cancelled"] if duty.cancelled else [])])


def _keyed(state: StateReport) -> str:
    return f"state {state.state} of {state.officer_id}, {local_minute(state.time)}"


def _revised(before: Duty, now: Duty) -> str:
    """What changed, old → new."""
    shown: dict[str, Callable[[Any], str]] = {
        "officer_id": str,
        "start": local_minute,
        "end": _end,
        "patch": " ".join,
        "devices": _devices,
        "cancelled": lambda value: "yes" if value else "no",
        "name": str,
        "role": str,
        "team": str,
    }
    parts = [
        f"{name} {show(getattr(before, name)) or 'none'} → {show(getattr(now, name)) or 'none'}"
        for name, show in shown.items()
        if getattr(before, name) != getattr(now, name)
    ]
    return f"{now.duty_id}, officer {now.officer_id}, revision {now.revision}: {'; '.join(parts)}"


def _end(end: int | None) -> str:
    return "open" if end is None else local_minute(end)


def _devices(devices: Sequence[Allocation]) -> str:
    return ", ".join(
        f"{item.kind} {item.device_id}"
        + ("" if item.start is item.end is None else f" ({_clock(item.start)}–{_clock(item.end)})")
        for item in devices
    )


def _clock(time: int | None) -> str:
    return "" if time is None else local_minute(time)[11:]


def _outcome(done: RosterImport, folder: Path | None, *, dry_run: bool, files: bool) -> str:
    count = _count(done.sent, "booking or state", "bookings and states")
    if dry_run:
        known = "" if folder is not None else "; without --record or --out everything is new"
        return f"would {'write' if files else 'send'} {count}{known}"
    return f"wrote {count} into {folder}" if files else f"sent {count}"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def _json(done: RosterImport) -> dict[str, object]:
    from stream.simulate.wire import duty_value, state_value

    def booked(duty: Duty) -> object:
        return json.loads(duty_value(duty))

    changes, covers = done.changes, done.changes.covers
    return {
        "rows": changes.found.rows,
        "passed_over": len(changes.found.passed),
        "passed": [item._asdict() for item in changes.found.passed],
        "left_out": [item._asdict() for item in changes.found.left_out],
        "covers": None
        if covers is None
        else {
            "first": covers.first.isoformat(),
            "last": covers.last.isoformat(),
            "teams": None if covers.teams is None else sorted(team or "" for team in covers.teams),
        },
        "sent": done.sent,
        "completed": done.completed,
        "unchanged": changes.unchanged,
        "new": [booked(duty) for duty in changes.new],
        "changed": [{"before": booked(before), "now": booked(now)} for before, now in changes.changed],
        "cancelled": [booked(now) for _, now in changes.cancelled],
        "vanished": [booked(duty) for duty in changes.vanished],
        "new_states": [json.loads(state_value(state)) for state in changes.new_states],
        "vanished_states": [json.loads(state_value(state)) for state in changes.vanished_states],
        "refused": [{"row": row.row, "reason": row.reason, "detail": row.detail} for row in changes.refused],
        "elsewhere": dict(changes.elsewhere),
        "told": {key: number for key, number in changes.told.items() if number},
    }
