"""``patrol areas``: boundaries into the database, and what is there."""

from __future__ import annotations

import getpass
import hashlib
import json
import time
from pathlib import Path

import click

from geo.areas import Kind
from stream.cli.serve import moment_option
from stream.settings import load as load_settings

FILE = click.Path(path_type=Path, exists=True)


@click.group()
def areas() -> None:
    """Boundaries: neighbourhoods, priority areas and premises."""


@areas.command(epilog="Example: patrol areas load wards.shp.zip --kind neighbourhood --from 2026-11-23")
@click.argument("file", type=FILE)
@click.option(
    "--kind", type=click.Choice([kind.value for kind in Kind]), required=True, help="What the areas are for."
)
@click.option(
    "--from",
    "start",
    required=True,
    help="When they come into force: 2026-11-23 (local midnight) or a time with offset.",
)
@click.option("--layer", help="The layer of a file that has several.")
@click.option("--id-column", help="The column with the areas' ids.")
@click.option("--name-column", help="The column with their names.")
@click.option("--crs", help="The reference system, where the file does not name it: EPSG:27700 or EPSG:4326.")
def load(
    file: Path,
    kind: str,
    start: str,
    layer: str | None,
    id_column: str | None,
    name_column: str | None,
    crs: str | None,
) -> None:
    """Publishes a file as a new version of all areas of one kind.

    What was counted after --from is counted anew under the new version.
    """
    from geo.files import read_areas
    from stream.store import areas as tables
    from stream.store.ledger import Ledger
    from stream.store.schema import connect, require

    settings = load_settings()
    settings.need("database")
    valid_from = moment_option(start)
    assert valid_from is not None
    found = read_areas(file, Kind(kind), layer=layer, id_column=id_column, name_column=name_column, crs=crs)
    with connect(settings.database, name="patrol areas load") as connection:
        require(connection)
        with connection.transaction():
            tables.hold(connection, publishing=True)
            version = tables.publish(
                connection,
                found,
                Kind(kind),
                valid_from,
                file=file.name,
                sha256=digest(file),
                by=getpass.getuser(),
            )
            began = time.monotonic()
            devices = Ledger(connection, settings.policies()).recount(valid_from)
    click.echo(f"version {version}: {len(found):,} areas of kind {kind}, in force from {start}")
    if devices:
        click.echo(
            f"counted {devices:,} devices anew in {time.monotonic() - began:.1f} s: they had fixes after that time"
        )


def digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder by name."""
    whole = hashlib.sha256()
    for item in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if item.is_file():
            whole.update(item.read_bytes())
    return whole.hexdigest()


@areas.command("list", epilog="Example: patrol areas list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """Lists the published versions; the one of each kind that is in force now is marked."""
    from stream.calendar import LOCAL, moment, rfc3339
    from stream.store import areas as tables
    from stream.store.schema import connect, require

    settings = load_settings()
    settings.need("database")
    with connect(settings.database, name="patrol areas list") as connection:
        require(connection)
        published = tables.versions(connection)
    current = {item.version for item in tables.in_force(published, time.time_ns() // 1000)}
    if as_json:
        rows = [
            {
                "version": item.version,
                "kind": item.kind.value,
                "valid_from": rfc3339(item.valid_from),
                "areas": item.areas,
                "file": item.file,
                "sha256": item.sha256,
                "loaded_at": rfc3339(item.loaded_at),
                "loaded_by": item.loaded_by,
                "in_force": item.version in current,
            }
            for item in published
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    if not published:
        click.echo(
            "no areas yet: publish some with 'patrol areas load FILE --kind neighbourhood --from DATE'"
        )
    for item in published:
        mark = "in force" if item.version in current else ""
        since = moment(item.valid_from).astimezone(LOCAL)
        click.echo(
            f"{item.version:>4}  {item.kind.value:<13} {item.areas:>6,} areas  from {since:%Y-%m-%d %H:%M}  "
            f"{mark:<8}  {item.file} ({item.loaded_by}, sha256 {item.sha256[:12]})"
        )
