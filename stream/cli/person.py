"""``patrol person``: what is held on one officer, and erasing the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stream.cli.common import FOLDER, database
from stream.cli.on_record import username
from stream.clock import wall

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def person() -> None:
    """What is held on one officer: all of it as files, and erasing the name."""


@person.command("export", epilog="Example: patrol person export 2345678 --out held-on-2345678")
@click.argument("officer_id")
@click.option("--out", type=FOLDER, required=True, help="Folder for the files.")
def person_export(officer_id: str, out: Path) -> None:
    """Writes everything held on an officer: JSON, CSV, GPX of tracks in duties, and a page to read.

    Positions outside duties are not held on anybody, and are not in it. index.html says what each file is.
    """
    from stream.files.person import write
    from stream.store.persons import PersonError, held_on

    with database("patrol person") as connection:
        try:
            found = held_on(connection, officer_id)
        except PersonError as error:
            raise click.UsageError(str(error)) from error
    tables: dict[str, list[dict[str, Any]]] = found.tables
    names = write(officer_id, tables, found.tracks, out)
    click.echo(f"{out / 'index.html'}: {len(names):,} files on officer {officer_id}")


@person.command("erase", epilog="Example: patrol person erase 2345678 --why 'left 2025-10-01, request 17'")
@click.argument("officer_id")
@click.option("--why", required=True, help="Who asked for it, and when: for the record.")
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be taken back.")
def person_erase(officer_id: str, why: str, *, yes: bool) -> None:
    """Has a pseudonym take the place of an officer's id and name, in published reports too.

    Figures stay, and facts stay under the pseudonym for as long as retention keeps them. The record of who
    saw what about whom stays: the law asks for it. A duty on hold, or one that has not ended, refuses. What
    comes later under the name is counted under the pseudonym. What is still in Kafka (7 days, dead letters
    30) has the name.
    """
    from stream.store.persons import PersonError, erase

    if not yes:
        click.confirm(f"Erase the name of officer {officer_id} for good?", abort=True)
    with database("patrol person") as connection:
        try:
            pseudonym = erase(connection, officer_id, why=why, by=username(), now=wall())
        except PersonError as error:
            raise click.UsageError(str(error)) from error
    click.echo(
        f"officer {officer_id} is {pseudonym} from now on; the id is in Kafka for 7 days, rejected ones "
        f"for 30"
    )
