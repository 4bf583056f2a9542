"""A database that is not this program's is refused in one line, by every part and command, and left alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from psycopg import conninfo

from stream.cli import main
from stream.embedded import free_port
from stream.store.schema import connect, migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMANDS = ("init", "ingest", "worker", "up", "export --out OUT", "areas list", "policy list", "teams")
NEWER, LATIN = "newer", "latin"
LINES = {
    NEWER: "patrol: the database is of a newer version than this program, which does not know "
    "9999_later.sql: update the program",
    LATIN: "patrol: the database is encoded in LATIN1, which cannot hold every name: make one with "
    "'create database ... encoding utf8 template template0'",
}


def newer(database: str) -> str:
    """A database that a later version of the program has brought up to date."""
    with connect(database) as connection:
        migrate(connection)
        connection.execute("insert into migration (name, sha256) values ('9999_later.sql', '')")
    return database


def latin(database: str) -> str:
    """A database that cannot hold every name, made by a program that did not look."""
    with connect(database) as connection:
        connection.execute("drop database if exists other_latin")
        connection.execute("create database other_latin encoding 'LATIN1' locale 'C' template template0")
    other = conninfo.make_conninfo(database, dbname="other_latin")
    with connect(other) as connection:
        connection.execute("create table migration (name text primary key, sha256 text not null)")
    return other


@pytest.mark.parametrize(("kind", "made"), [(NEWER, newer), (LATIN, latin)])
@pytest.mark.usefixtures("no_settings")
def test_an_unsuited_database_is_refused_in_one_line(
    database: str,
    kind: str,
    made: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A newer schema, or an encoding other than UTF-8: one line says what to do, before Kafka is asked."""
    monkeypatch.setenv("PATROL_DATABASE", made(database))
    monkeypatch.setenv("PATROL_KAFKA", f"127.0.0.1:{free_port()}")
    for words in COMMANDS:
        monkeypatch.setattr(
            sys, "argv", ["patrol", *(str(tmp_path) if word == "OUT" else word for word in words.split())]
        )
        with pytest.raises(SystemExit) as caught:
            main()
        assert (caught.value.code, capsys.readouterr().err) == (2, f"{LINES[kind]}\n"), words
