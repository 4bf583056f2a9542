"""What commands put on record: the table has every command, and names things that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream.cli import patrol
from stream.cli.audit import KINDS
from stream.cli.on_record import COMMANDS, Line
from stream.store.record import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its name without ``patrol``."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def test_every_command_has_a_line() -> None:
    """Each command says as what it is on record, or why it is not; no line is of one that is gone."""
    assert dict(commands(patrol)).keys() == COMMANDS.keys()


def test_lines_name_what_there_is() -> None:
    """Each line's kind is one of the record's, and its officer is a parameter of the command."""
    found = dict(commands(patrol))
    assert tuple(Kind) == KINDS
    for name, line in COMMANDS.items():
        if isinstance(line, Line):
            assert line.kind in KINDS, name
            assert line.about in {"", *(item.name for item in found[name].params)}, name
        else:
            assert line, name
