"""The runbook's own commands for a backup and for restoring it, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from psycopg import conninfo

from stream.embedded import database_install
from stream.store.schema import connect, migrate, require
from tests.shell.kafka import PROJECT
from tests.shell.pipeline import TABLES, invoke
from tests.upgrade.make import BEFORE, restored

if TYPE_CHECKING:
    from pathlib import Path

HEADING = "## A backup, and how to restore it"


def documented() -> list[list[str]]:
    """The commands under the heading, block by block."""
    text = (PROJECT / "deploy/runbook.md").read_text(encoding="utf-8")
    section = text.split(f"{HEADING}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [[line.removeprefix("$ ") for line in block.splitlines()] for block in blocks]


def run(commands: list[str], database: str, folder: Path) -> str:
    """Runs commands in a shell that finds the database by PostgreSQL's variables; gives what they print."""
    where = conninfo.conninfo_to_dict(database)
    environment = {
        **os.environ,
        "PATH": f"{database_install() / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(where["host"]),
        "PGUSER": str(where["user"]),
        "PGDATABASE": str(where["dbname"]),
    }
    script = "set -eu\n" + "\n".join(commands)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(database: str, folder: Path) -> dict[str, bytes]:
    """The tables of a database."""
    invoke(["export", "--until", "2026-01-26T15:40:00Z", "--out", str(folder)], {"PATROL_DATABASE": database})
    return {name: (folder / name).read_bytes() for name in TABLES}


def test_a_backup_is_restored_by_the_runbook_alone(database: str, tmp_path: Path) -> None:
    """What the runbook says makes a backup and puts it in the database's place; what was there stays.

    The restored database has every table as it was, and is one that the program takes.
    """
    restored(database, BEFORE / "patrol.dump")
    with connect(database) as connection:
        migrate(connection)
    before = exported(database, tmp_path / "before")
    backing_up, restoring = documented()
    assert run(backing_up, database, tmp_path)
    with connect(database) as connection:
        connection.execute("delete from slice; delete from state; update stay_end set stays = default")
    assert exported(database, tmp_path / "damaged") != before
    run(restoring, database, tmp_path)
    with connect(database) as connection:
        require(connection)
    assert exported(database, tmp_path / "after") == before
    name = conninfo.conninfo_to_dict(database)["dbname"]
    with connect(conninfo.make_conninfo(database, dbname=f"{name}_old")) as connection:
        assert connection.execute("select count(*) from state").fetchall() == [(0,)]
    with connect(database) as connection:
        connection.execute(f'drop database "{name}_old" with (force)'.encode())
