"""``patrol areas``: boundaries published and taken back, and their records.

Words, options and tables only: the checks stand in ``geo.boundaries.checks``, the publication in
``stream.store.publications``. What needs a file but no database stands in ``stream.cli.boundary_files``.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import click

from stream.cli.boundary_files import (
    check,
    diff,
    export,
    file_options,
    findings_table,
    follower,
    read_checked,
)
from stream.cli.common import (
    KINDS,
    database,
    dry_run_option,
    local_minute,
    moment_option,
    print_json,
    print_table,
)
from stream.cli.on_record import username
from stream.cli.restated import restatements
from stream.clock import wall
from stream.settings import load as load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.core.policy import Policies
    from stream.store.publications import Publication
    from stream.store.records import VersionRecord

SHOWN = 40
"""How many figures a table of a restatement shows; ``--json`` has all."""


@click.group()
def areas() -> None:
    """Boundaries: neighbourhoods, priority areas and premises."""


for command in (check, diff, export):
    areas.add_command(command)


@areas.command(epilog="Example: patrol areas load wards.shp.zip --kind neighbourhood --from 2026-11-23")
@file_options
@click.option(
    "--from",
    "start",
    required=True,
    help="When they come into force: 2026-11-23 (local midnight) or a time with offset.",
)
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def load(
    context: click.Context, /, file: Path, start: str, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Publishes a file as a new version of all areas of one kind.

    The file is checked first: errors refuse it (exit 1), warnings are listed. What was counted after --from
    is counted again under the new version; figures that change are put on record, with the reason given with
    --why.
    """
    from geo.areas import Kind
    from geo.boundaries.findings import Severity, findings_rows
    from stream.cli.restated import outcome_json
    from stream.store.areas import versions
    from stream.store.policies import in_force
    from stream.store.publications import publish
    from stream.store.records import in_force_at

    settings = load_settings()
    valid_from = moment_option(start)
    with database("patrol areas load", settings) as connection:
        checked = read_checked(file, in_force_at(connection, valid_from), **options)
        rows = findings_rows(checked.findings)
        if checked.stops or checked.areas is None:
            if as_json:
                print_json({"published": False, "findings": rows}, indent=1)
            else:
                findings_table(checked.findings)
                errors = sum(item.severity is Severity.ERROR for item in checked.findings)
                click.echo(
                    f"not published: {errors} {'errors' if errors != 1 else 'error'}; mend the file, "
                    "or accept what is intended with --accept CODE --why TEXT"
                )
            context.exit(1)
        began = time.monotonic()
        with refusals():
            outcome = publish(
                connection,
                checked.areas,
                valid_from,
                file=file.name,
                sha256=digest(file),
                by=username(),
                why=options["why"],
                findings=rows,
                now=wall(),
                dry_run=dry_run,
            )
        standing, policies = versions(connection), in_force(connection)
    took = time.monotonic() - began
    if as_json:
        print_json({"published": not dry_run, **outcome_json(outcome, policies), "findings": rows}, indent=1)
        return
    findings_table(checked.findings)
    would = "would be " if dry_run else ""
    kinds = [kind for kind in Kind if kind in checked.areas.kind]
    for version, kind in zip(outcome.versions, kinds, strict=True):
        count = sum(each == kind for each in checked.areas.kind)
        click.echo(f"version {version}: {would}{count:,} areas of kind {kind}, in force from {start}")
        if (later := follower(standing, kind, valid_from)) is not None:
            until = local_minute(later.valid_from)
            click.echo(f"until {until} only: then version {later.version} takes over, published before")
    tell(outcome, policies, took, dry_run=dry_run)


@contextmanager
def refusals() -> Iterator[None]:
    """What a publication refuses becomes a line for the user."""
    from stream.store.publications import PublicationError

    try:
        yield
    except PublicationError as error:
        raise click.ClickException(str(error)) from error


@areas.command(epilog='Example: patrol areas rollback --kind neighbourhood --why "wrong file"')
@click.option("--kind", type=KINDS, help="Only a version of this kind.")
@click.option("--why", help="The reason, for the record; needed where figures change.")
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def rollback(kind: str | None, why: str | None, dry_run: bool, as_json: bool) -> None:
    """Takes the newest version back: the one before it is in force again.

    The version stays readable (`patrol areas list --all`, `patrol areas export --version`). What was counted
    under it is counted again, and figures that change are put on record.
    """
    from geo.areas import Kind
    from stream.cli.restated import outcome_json
    from stream.store.policies import in_force
    from stream.store.publications import withdraw

    settings = load_settings()
    began = time.monotonic()
    with database("patrol areas rollback", settings) as connection, refusals():
        outcome = withdraw(
            connection,
            Kind(kind) if kind else None,
            by=username(),
            why=why,
            now=wall(),
            dry_run=dry_run,
        )
        policies = in_force(connection)
    if as_json:
        print_json({"withdrawn": not dry_run, **outcome_json(outcome, policies)}, indent=1)
        return
    click.echo(f"version {outcome.versions[0]} {'would be' if dry_run else 'is'} withdrawn")
    tell(outcome, policies, time.monotonic() - began, dry_run=dry_run)


def tell(outcome: Publication, policies: Policies, took: float, *, dry_run: bool) -> None:
    """What was counted again and which figures it changed, for people."""
    from stream.cli import restated

    if outcome.devices:
        click.echo(
            f"counted {outcome.devices:,} devices again in {took:.1f} s: they had fixes after that time"
        )
    if not outcome.restated:
        return
    click.echo(
        f"{len(outcome.restated):,} figures {'would change' if dry_run else 'changed'}"
        + (f", on record as restatement {outcome.restatement}" if outcome.restatement else "")
        + ":"
    )
    print_table(
        restated.COLUMNS,
        [restated.row(item, policies) for item in outcome.restated[:SHOWN]],
        right=(2, 3, 4, 5),
    )
    if len(outcome.restated) > SHOWN:
        click.echo(f"… and {len(outcome.restated) - SHOWN:,} more; --json has all of them")
    if dry_run:
        click.echo("nothing was changed: it was a dry run")


def digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder by name."""
    import hashlib

    whole = hashlib.sha256()
    for item in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if item.is_file():
            whole.update(item.read_bytes())
    return whole.hexdigest()


@areas.command("list", epilog="Example: patrol areas list --all")
@click.option("--all", "everything", is_flag=True, help="Versions that were taken back, too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the findings that were accepted.")
def list_(everything: bool, as_json: bool) -> None:
    """Lists the published versions; the one of each kind that is in force now is marked."""
    from stream.files.recorded import record_json
    from stream.store import areas as tables
    from stream.store.records import records

    with database("patrol areas list") as connection:
        found = records(connection, withdrawn=everything)
    standing = [item.version for item in found if item.withdrawn_at is None]
    current = {item.version for item in tables.in_force(standing, wall())}
    if as_json:
        print_json([record_json(item, current) for item in found], indent=1)
        return
    if not found:
        click.echo(
            "no areas yet: publish some with 'patrol areas load FILE --kind neighbourhood --from DATE'"
        )
        return
    print_table(
        ("version", "kind", "areas", "from", "", "file", "by", "why"),
        [record_row(item, current) for item in found],
        right=(0, 2),
    )


def record_row(item: VersionRecord, current: set[int]) -> tuple[str, ...]:
    """A version for the table of versions."""
    from stream.core.calendar import LOCAL, moment

    version = item.version
    mark = "in force" if version.version in current else ""
    why = item.why or ""
    if item.withdrawn_at is not None:
        mark = "withdrawn"
        taken = f"withdrawn {moment(item.withdrawn_at).astimezone(LOCAL):%Y-%m-%d} by {item.withdrawn_by}"
        why = "; ".join(text for text in (why, taken, item.withdrawn_why) if text)
    return (
        str(version.version),
        version.kind.value,
        f"{version.areas:,}",
        local_minute(version.valid_from),
        mark,
        f"{version.file} (sha256 {version.sha256[:12]})",
        f"{version.loaded_by} {local_minute(version.loaded_at)}",
        why,
    )


_restatements = copy(restatements)  # it was here before it was of all causes
_restatements.epilog = "Example: patrol areas restatements --week 2026-W47 --area E05001784"
areas.add_command(_restatements)
