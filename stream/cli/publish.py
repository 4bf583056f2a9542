"""``patrol publish site``: the public pages as a folder of static files, for any web server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream.cli.common import FILE, FOLDER, database, print_json, say_no
from stream.clock import wall
from stream.settings import load

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def publish() -> None:
    """What residents may see, put where a web server that is no part of this system serves it."""


@publish.command(epilog="Example: patrol publish site public --months 24")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--months", type=click.IntRange(1), default=24, show_default=True, help="So many months.")
@click.option("--postcodes", type=FILE, help="The file of postcodes (default: PATROL_POSTCODES).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def site(folder: Path, months: int, postcodes: Path | None, *, as_json: bool) -> None:
    """Writes the public pages of published months, in every language there is, as static files.

    The pages of each neighbourhood, and a finder of postcodes where there is a file of them; links are
    relative, so that DIR may be served under any address. DIR is replaced as a whole, and what is published
    no longer is gone; one with files that are not of this command is refused. Where nothing changed, nothing
    is written.

    Exit 1: no month is published.
    """
    from geo.areas import Kind
    from geo.matching.places import PlaceIndex
    from stream.core.postcodes import Finder
    from stream.core.summaries.model import FormError
    from stream.files.postcode_file import read_postcodes
    from stream.files.replaced import ForeignFolderError, replace_folder
    from stream.reports.site import files
    from stream.store import reports
    from stream.store.reading.public_month import public_month
    from stream.store.records import in_force_at

    settings = load()
    known = read_postcodes(postcodes, settings) if postcodes or settings.postcodes else None
    with database("patrol publish site", settings) as connection:
        names = reports.months(connection)[:months]
        try:
            found = {name: public_month(connection, name) for name in names}
        except FormError as error:
            raise click.UsageError(str(error)) from error
        grounds = in_force_at(connection, wall(), Kind.NEIGHBOURHOOD)
    if not found:
        say_no("no month is published yet: 'patrol report publish --month MONTH' publishes one")
    finder = None if known is None else Finder(known, PlaceIndex(grounds))
    try:
        done = replace_folder(folder, files(found, finder))
    except ForeignFolderError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(
            f"{folder} cannot be replaced ({error.strerror}): name another folder"
        ) from error
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "months": names,
                "files": done.files,
                "written": done.written,
                "deleted": done.deleted,
                "finder": finder is not None,
            }
        )
        return
    changed = f"{done.written:,} new or changed, {done.deleted:,} deleted"
    click.echo(f"{folder}: {done.files:,} files of {len(names)} months; {changed}")
    if finder is None:
        click.echo("without a finder of postcodes: PATROL_POSTCODES names no file")
