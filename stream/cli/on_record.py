"""What commands put on record: one table, from the command to what it is on record as.

A command that opens the database through ``stream.cli.common.database`` is put on record before it reads or
changes anything, with whoever is signed in at this machine, and once more where it fails. Commands that need
no database are on record where one is set and the table says so (``without_database``).
"""

from __future__ import annotations

import getpass
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream.settings import Settings
    from stream.store.record import Detail, Entry, Outcome
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Line:
    """What a command is on record as.

    Attributes:
        kind: as in ``stream.store.record.Kind``, which a test checks: --help has to be quick.
        about: the parameter that names an officer; where it is not given, or there is none and ``anybody``,
            it may concern any of them.
        anybody: whether it concerns officers at all.
    """

    kind: str
    about: str = ""
    anybody: bool = True


_SETTING = Line("setting", anybody=False)
_PUBLICATION = Line("publication", anybody=False)
_ACCOUNT = Line("account", anybody=False)
_FILES = "files alone: what is held in the database is neither read nor changed"
_NO_PERSON = "shows and changes nothing about a person"
_PROCESS = "a process of the pipeline; what it stores is on record as facts with their offsets"

COMMANDS: Final[Mapping[str, Line | str]] = {
    "account": _FILES,
    "areas check": _NO_PERSON,
    "areas diff": Line("consultation"),
    "areas export": _NO_PERSON,
    "areas list": _NO_PERSON,
    "areas load": _SETTING,
    "areas restatements": Line("consultation"),
    "areas rollback": _SETTING,
    "audit head": _NO_PERSON,
    "audit list": Line("consultation"),
    "audit search": Line("consultation", about="about"),
    "audit unusual": Line("consultation"),
    "audit verify": _NO_PERSON,
    "bridge": _PROCESS,
    "dead-letters list": _NO_PERSON,
    "dead-letters replay": Line("collection"),
    "dead-letters show": Line("consultation"),
    "demo": "has a database of its own, with officers that are made up",
    "doctor": _FILES,
    "explain": Line("consultation", about="officer"),
    "export": Line("disclosure"),
    "ingest": _PROCESS,
    "hold add": Line("alteration"),
    "hold list": Line("consultation"),
    "hold release": Line("alteration"),
    "init": "makes the record itself",
    "people add": _ACCOUNT,
    "people list": _NO_PERSON,
    "people lock": _ACCOUNT,
    "people password": _ACCOUNT,
    "people roles": _ACCOUNT,
    "people token": _ACCOUNT,
    "people unlock": _ACCOUNT,
    "person erase": Line("erasure", about="officer_id"),
    "person export": Line("disclosure", about="officer_id"),
    "policy check": _FILES,
    "policy diff": _NO_PERSON,
    "policy list": _NO_PERSON,
    "policy load": _SETTING,
    "postcode": _NO_PERSON,
    "publish site": _PUBLICATION,
    "recompute": Line("alteration", about="officer"),
    "replay": Line("collection"),
    "report public": _PUBLICATION,
    "report publish": Line("disclosure"),
    "report weekly": Line("disclosure"),
    "restatements": Line("consultation"),
    "retain": Line("erasure"),
    "roster import": Line("collection"),
    "simulate": _FILES,
    "status": _NO_PERSON,
    "teams": Line("consultation"),
    "timers": _PROCESS,
    "up": _PROCESS,
    "web": "each view puts on record what it shows",
    "worker": _PROCESS,
}
"""Every command: what it is on record as, or why it is not."""


def command_path() -> str:
    """The command that runs, without ``patrol``: ``areas load``; empty where none does."""
    context = click.get_current_context(silent=True)
    names = []
    while context is not None and context.parent is not None:
        names.append(context.info_name or "")
        context = context.parent
    return " ".join(reversed(names))


def begin(connection: Connection) -> None:
    """Puts the command that runs on record, where its line says so; before it reads or changes anything.

    Raises:
        psycopg.Error: it could not be put there; the command must not go on.
    """
    _add(connection, "done")


def failed(connection: Connection, failure: BaseException) -> None:
    """Puts on record that the command that runs did not do what it began."""
    import psycopg

    if isinstance(failure, click.exceptions.Exit) or connection.closed or connection.broken:
        return
    try:
        _add(connection, "failed", {"failure": type(failure).__name__})
    except psycopg.Error:
        return  # it is on record that it began


def without_database(settings: Settings) -> None:
    """Puts a command on record that works on Kafka alone, where a database is set.

    Raises:
        psycopg.Error: a database is set, and it could not be put there; the command must not go on.
        SchemaError: that database lacks its tables.
    """
    if settings.database:
        from stream.store.schema import connect, require

        with connect(settings.database, name=f"patrol {command_path()}") as connection:
            require(connection)
            begin(connection)


def _add(connection: Connection, outcome: str, more: Mapping[str, Detail] | None = None) -> None:
    path = command_path()
    line = COMMANDS.get(path)
    if isinstance(line, Line):
        from stream.store.record import Outcome, add

        add(connection, _entry(path, line, click.get_current_context(), Outcome(outcome), more or {}))


def username() -> str:
    """Who runs the command; a number where it has no name, as often in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"user {os.getuid()}"


def at_the_keyboard() -> tuple[str, str, str]:
    """Who works at this machine, for the record: account, means and source."""
    elsewhere = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    become = os.environ.get("SUDO_USER", "")
    name = f"{become} as {username()}" if become else username()
    host = platform.node()
    return f"server:{name}", "command", f"{host} from {elsewhere}" if elsewhere else host


def _entry(
    path: str, line: Line, context: click.Context, outcome: Outcome, more: Mapping[str, Detail]
) -> Entry:
    from stream.store.record import ANYBODY, Entry, Kind

    given = {
        name: _said(value)
        for name, value in context.params.items()
        if value not in (None, (), False)
        and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    why = given.pop("why", None)
    named = given.get(line.about) if line.about else None
    about = (named,) if isinstance(named, str) else (ANYBODY,) if line.anybody else ()
    account, means, source = at_the_keyboard()
    return Entry(
        Kind(line.kind),
        f"patrol {path}",
        account,
        means,
        source,
        about,
        why if isinstance(why, str) else None,
        {**given, **more},
        outcome,
    )


def _said(value: object) -> Detail:
    """A parameter as text."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, tuple | list):
        return _texts(value)
    return str(value) if isinstance(value, Path) else str(getattr(value, "name", value))


def _texts(values: Sequence[object]) -> list[str]:
    return [str(item) for item in values]
