"""What several commands share: options, times, the database, and how answers are printed."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, overload

import click

from stream.cli import on_record
from stream.clock import wall
from stream.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from stream.files.sheets.arrow import Form
    from stream.settings import Settings
    from stream.store.schema import Connection

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
KINDS = click.Choice(["neighbourhood", "priority", "premises"])
"""As in ``geo.areas.Kind``, which a test checks: --help has to be quick."""

# ── Options ───────────────────────────────────────────────────────────────────────────────────────────────

now_option = click.option("--now", help="Use this as the current time: 2026-11-23 or a time with offset.")
neighbourhoods_option = click.option(
    "--area", "areas", metavar="ID", multiple=True, help="One neighbourhood (default: all)."
)
folder_option = click.option(
    "--out",
    "folder",
    type=FOLDER,
    default=Path(),
    help="The folder to write them into.  [default: this one]",
)
policy_option = click.option("--policy", type=FILE, help="TOML with the accounting's settings.")
states_option = click.option("--states", type=FILE, help="JSON lines or CSV of radio states.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
periods_option = click.option(
    "--by",
    type=click.Choice(["all", "week", "day"]),
    default="all",
    show_default=True,
    help="Periods of shares.csv.",
)


# ── Times ─────────────────────────────────────────────────────────────────────────────────────────────────


@overload
def moment_option(text: str) -> int: ...
@overload
def moment_option(text: str | None) -> int | None: ...
def moment_option(text: str | None) -> int | None:
    """A time given on the command line, microseconds.

    Raises:
        click.BadParameter: it is none.
    """
    from stream.core.calendar import parse_time

    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def present(now: str | None) -> int:
    """What ``--now`` says, or the wall clock."""
    return wall() if now is None else moment_option(now)


def local_minute(time_us: int) -> str:
    """``2026-11-23 08:15``, local."""
    from stream.core.calendar import LOCAL, moment

    return f"{moment(time_us).astimezone(LOCAL):%Y-%m-%d %H:%M}"


# ── The database ──────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def database(
    name: str, settings: Settings | None = None, *, any_policy: bool = False
) -> Iterator[Connection]:
    """A connection to the database of the settings, with its schema and policies checked.

    The command is on record before it has the connection (``stream.cli.on_record``).

    Args:
        name: of the connection, for the server's own lists.
        settings: where they have been loaded already.
        any_policy: for commands about policies themselves: the file of PATROL_POLICY may say anything.

    Raises:
        SettingsError: no database is set, or PATROL_POLICY names a file that differs from its policies.
        SchemaError: its schema is not up to date.
    """
    from stream.store.policies import agreed
    from stream.store.schema import connect, require

    settings = settings or load()
    settings.need("database")
    with connect(settings.database, name=name) as connection:
        require(connection)
        if not any_policy:
            agreed(connection, settings)
        on_record.begin(connection)
        try:
            yield connection
        except BaseException as failure:
            on_record.failed(connection, failure)
            raise


# ── Answers ───────────────────────────────────────────────────────────────────────────────────────────────


def say_no(why: str) -> NoReturn:
    """Prints one line and exits with 1: the answer is no."""
    click.echo(f"patrol: {why}", err=True)
    raise click.exceptions.Exit(1)


def print_json(value: object, *, indent: int | None = None) -> None:
    """Prints an answer as JSON: values, or structs of them."""
    import msgspec

    click.echo(json.dumps(msgspec.to_builtins(value), indent=indent, ensure_ascii=False))


def write_tables(
    tables: dict[str, pa.Table], folder: Path, *, form: Form = "csv", err: bool = False, quiet: bool = False
) -> None:
    """Writes tables as files, and prints the number of rows of each, unless ``quiet``."""
    from stream.files.sheets.arrow import write

    write(tables, folder, form)
    for name, table in () if quiet else tables.items():
        click.echo(f"{folder / name}.{form}: {table.num_rows:,} rows", err=err)


def spare(inputs: Iterable[Path | None], names: Iterable[str], folder: Path, form: Form = "csv") -> None:
    """Refuses a folder in which a file that is written would take the place of one that is read.

    Raises:
        click.UsageError: there is one.
    """
    written = {(folder / f"{name}.{form}").resolve() for name in names}
    for path in inputs:
        if path is not None and path.resolve() in written:
            raise click.UsageError(
                f"--out {folder} would write over {path}, which is read: name another folder"
            )


def without_figures(tables: dict[str, pa.Table], folder: Path, form: Form = "csv") -> dict[str, pa.Table]:
    """The tables that may be written where nothing matches; an earlier run's others are taken away."""
    from stream.files.account import WITHOUT_FIGURES

    for name in tables.keys() - set(WITHOUT_FIGURES):
        (folder / f"{name}.{form}").unlink(missing_ok=True)  # they would be taken for this run's
    return {name: table for name, table in tables.items() if name in WITHOUT_FIGURES}


def say_unmatched(lines: Sequence[str]) -> None:
    """Says why there is no figure: the reason, then the likely causes."""
    from geo.boundaries.layer import printable

    for line in (f"patrol: {lines[0]}", *lines[1:]):
        click.echo(printable(line), err=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is complete or not there: nobody reads half a file meanwhile."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Prints a table as wide as the terminal, or wide enough where the output goes elsewhere."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from geo.boundaries.layer import printable

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
