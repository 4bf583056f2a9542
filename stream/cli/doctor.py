"""``patrol doctor``: what a file is that somebody sent, and what would take it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from geo.boundaries.layer import printable
from stream.cli.common import FILE, print_json, print_table, say_no, write_whole

if TYPE_CHECKING:
    from stream.files.doctor.diagnosis import AnyMapping
    from stream.files.doctor.told import Diagnosis

NEW_FILE = click.Path(path_type=Path, dir_okay=False)
WORDS = {
    "positions": "positions",
    "duties": "bookings",
    "states": "radio states",
    "areas": "boundaries",
    "policy": "a policy",
    "mapping": "a mapping of columns",
    "unknown": "not known",
}


@click.command(epilog="Example: patrol doctor export.xlsx --write-map MAP.toml")
@click.argument("files", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON: a list, one entry for each table.")
@click.option("--write-map", type=NEW_FILE, help="Write the draft of a mapping into this new file.")
@click.option("--map", "map_", type=FILE, help="Read the file by this mapping, and guess nothing.")
@click.option(
    "--write-positions",
    type=NEW_FILE,
    help="With --map: write the positions as CSV in the form that is taken, into this new file.",
)
@click.pass_context
def doctor(
    context: click.Context,
    files: tuple[Path, ...],
    write_map: Path | None,
    map_: Path | None,
    write_positions: Path | None,
    *,
    as_json: bool,
) -> None:
    """Says what files are, and what would take them; changes none of them.

    Takes CSV in any dialect and encoding, workbooks, JSON, Parquet, GPX, NMEA, boundaries, policies and
    mappings, packed with gzip or zip or not. Shows the first rows as understood, what does not fit with the
    numbers of rows, and what it is not sure of; prints the command that takes the file, or drafts the mapping
    that the command needs. This command alone guesses: counting and importing take what is declared.

    Exit code 0: the command printed takes the file as it is. 1: something does not fit, or a mapping is
    needed.

    With --json each entry has: name, kind, form, rows, complete, usable, columns (our field: theirs),
    form_of_values, understood (the first rows), misfits (reason, count, first rows, example), faults, unsure,
    missing, notes, as_is, command, then, mapping (TOML), declared, clean.
    """
    import msgspec

    from stream.files.doctor.diagnosis import diagnose, parse_any_mapping
    from stream.files.doctor.position_map import PositionMapError
    from stream.files.foreign import ForeignError
    from stream.files.roster.mapping import RosterError

    if len(files) > 1 and (write_map or map_ or write_positions):
        raise click.UsageError("--write-map, --map and --write-positions are for one file at a time")
    if write_positions and map_ is None:
        raise click.UsageError("--write-positions needs --map: what is written is never guessed")
    if map_ is not None and write_map:
        raise click.UsageError("--write-map drafts what --map has; give one of them")
    for path in (write_map, write_positions):
        if path is not None and path.exists():
            raise click.UsageError(f"{path} is there already; name a new file")
    mapping: AnyMapping | None = None
    if map_ is not None:
        try:
            mapping = parse_any_mapping(map_.read_text(encoding="utf-8-sig"))
        except (PositionMapError, RosterError, UnicodeDecodeError) as failure:
            raise click.UsageError(f"{map_}: {failure}") from failure
    left = 0
    answers: list[Diagnosis] = []
    refused: list[dict[str, str]] = []
    for path in files:
        try:
            found = diagnose(path, mapping)
        except (ForeignError, RosterError, OSError) as failure:
            why = f"{path}: {failure.strerror or failure}" if isinstance(failure, OSError) else str(failure)
            refused.append({"name": path.name, "kind": "unknown", "error": printable(" ".join(why.split()))})
            continue
        answers += found
    if as_json:
        told = [{**msgspec.structs.asdict(answer), "clean": answer.clean} for answer in answers]
        print_json([*told, *refused], indent=2)
    else:
        for number, answer in enumerate(answers):
            if number:
                click.echo()
            _say(answer, map_, write_map)
        for each in refused:
            click.echo(f"patrol: {each['error']}", err=True)
    if write_map is not None:
        _write_map(write_map, answers)
    if write_positions is not None:
        assert mapping is not None
        left = _write_positions(files[0], mapping, write_positions)
    if left or refused or not all(answer.clean for answer in answers):
        context.exit(1)


def _say(answer: Diagnosis, map_: Path | None, write_map: Path | None) -> None:
    """One table, for people."""

    def line(text: str) -> None:
        click.echo(printable(text))

    rows = f"{answer.rows:,} row{'' if answer.rows == 1 else 's'}{'' if answer.complete else ' looked at'}"
    line(f"{answer.name}: {WORDS[answer.kind]}; {answer.form}; {rows}")
    if answer.columns.get(""):
        line(f"  columns: {', '.join(answer.columns[''])}")
    else:
        for field, names in answer.columns.items():
            line(f"  {field} = {' + '.join(names)}")
    if answer.form_of_values:
        line("  read as: " + ", ".join(f"{name} {value}" for name, value in answer.form_of_values.items()))
    if answer.understood:
        click.echo("  the first rows as understood:")
        names = [name for name in answer.understood[0] if any(row.get(name) for row in answer.understood)]
        print_table(names, [[row.get(name, "") for name in names] for row in answer.understood])
    for group in answer.misfits:
        more = ", …" if group.count > len(group.first) else ""
        where = f"row{'s' if group.count > 1 else ''} {', '.join(f'{at:,}' for at in group.first)}{more}"
        line(f"  does not fit: {group.count:,} × {group.reason} ({where}): {group.example}")
    for words, sentences in (
        ("wrong", answer.faults),
        ("not sure", answer.unsure),
        ("missing", answer.missing),
        ("note", answer.notes),
    ):
        for sentence in sentences:
            line(f"  {words}: {sentence}")
    if not answer.command:
        if answer.mapping and write_map is None:
            line("too little is known: --write-map MAP.toml drafts a mapping with blanks to fill")
        return
    if answer.mapping and map_ is None:
        named = write_map or Path("MAP.toml")
        if write_map is None:
            line("a mapping is needed; --write-map MAP.toml drafts one:")
            click.echo(printable_block(answer.mapping))
        line(f"then, when you have looked at {named}:")
    else:
        line("to take it:")
    name = str(map_ or write_map or "MAP.toml")
    line(f"  {answer.command.replace('MAP.toml', name)}")
    if answer.then:
        line(f"  {answer.then}")


def printable_block(text: str) -> str:
    """Lines of a text, indented, without what would control a terminal."""
    return "\n".join(f"  {printable(line)}".rstrip() for line in text.splitlines())


def _write_map(path: Path, answers: list[Diagnosis]) -> None:
    drafts = [answer for answer in answers if answer.mapping]
    if len(drafts) > 1 and all(answer.kind == "unknown" for answer in drafts):
        # One with blanks is for a person: the sheet with the most columns, which the draft names.
        drafts = [max(drafts, key=lambda answer: len(answer.columns.get("", ())))]
    if not drafts:
        if answers and all(answer.as_is for answer in answers):
            say_no("no mapping is written: none is needed, the file is taken as it is")
        say_no("no mapping is written: no row with the names of columns was found in the file")
    if len(drafts) > 1:
        names = ", ".join(answer.name for answer in drafts)
        say_no(f"no mapping is written: {names} would each need one; save them as files of their own")
    with path.open("x", encoding="utf-8") as file:
        file.write(drafts[0].mapping)
    click.echo(f"{path}: written, look at each line", err=True)


def _write_positions(file: Path, mapping: AnyMapping, path: Path) -> int:
    """Writes positions by a declared mapping, whole or not at all; the number of rows left out."""
    from stream.core.spreadsheets import csv_text
    from stream.files.doctor.position_map import COLUMNS, PositionMapping, csv_row, map_positions
    from stream.files.doctor.told import grouped
    from stream.files.foreign import tables

    if not isinstance(mapping, PositionMapping):
        raise click.UsageError(
            "--write-positions is for positions; bookings go through 'patrol roster import'"
        )
    lines: list[tuple[str, ...]] = []
    left = 0
    rows = mapping.rows
    read = tables(
        file, sheet=rows.sheet or None, header=rows.header or None, delimiter=rows.delimiter or None
    )
    for table in read:
        found, misfits = map_positions(table, mapping)
        lines += (csv_row(item, mapping.form.kind) for item in found)
        left += len(misfits)
        for group in grouped((item.number, item.reason, item.detail) for item in misfits):
            click.echo(printable(f"{table.name}: left out {group.count:,} × {group.reason}"), err=True)
    write_whole(path, csv_text(COLUMNS, lines).encode())
    click.echo(f"{path}: {len(lines):,} positions written, {left:,} rows left out", err=True)
    return left
