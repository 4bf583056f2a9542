"""The oldest PostgreSQL that deploy/README.md allows counts what the embedded one counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from stream.cli import patrol
from stream.core.calendar import Period, moment
from stream.core.policy import Policies
from stream.core.summaries.model import encode
from stream.store.reading.live import live
from stream.store.reading.summaries import summaries
from stream.store.schema import connect
from tests.shell.town import MINUTE, NOON, Town, duty

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = 15
PROGRAMS = Path(f"/usr/lib/postgresql/{OLDEST}/bin")
"""Where Debian has it."""

HOURS = 8 * 60 * MINUTE
VIEWS = ("officer_slices", "visits", "shares(%s, %s)", "abstraction(%s, %s)", "priority_visits(%s, %s)")


@pytest.fixture(scope="module")
def oldest() -> Iterator[str]:
    """The connection URL of an empty database on a server of that version."""
    if not PROGRAMS.is_dir():
        pytest.skip(f"needs PostgreSQL {OLDEST} (Debian 12: apt-get install postgresql-{OLDEST})")
    # It refuses to run as root; a temporary folder of pytest's is its maker's alone.
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="patrol-oldest-"))
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    control = [
        str(PROGRAMS / "pg_ctl"),
        "--silent",
        "--wait",
        "--pgdata",
        str(data),
        "--log",
        str(folder / "log"),
    ]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

    try:
        made = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
        run(str(PROGRAMS / "initdb"), "--pgdata", str(data), *made)
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c timezone=UTC"
        run(*control, "--options", settings, "start")
        try:
            yield f"postgresql://postgres@/template1?host={folder}"
        finally:
            run(*control, "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder)


def counted(dsn: str, folder: Path) -> dict[str, object]:
    """Everything that is read of an hour in the town, written into an empty database."""
    town = Town(dsn).begin(duty("O1", "N1", NOON, NOON + HOURS), duty("O2", "N2", NOON, None))
    town.put(R1="market", R2="east")
    town.go(20)
    town.key("O1", 6)
    town.put(R1="west", R2="west vertex")
    town.go(20)
    town.put(R1="station", R2="")
    now = town.go(20)
    town.close()
    done = CliRunner().invoke(patrol, ["export", "--out", str(folder)], env={"PATROL_DATABASE": dsn})
    assert done.exit_code == 0, done.output
    found: dict[str, object] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(found) > 5
    with connect(dsn) as connection:
        span = [moment(NOON), moment(now)]
        for view in VIEWS:
            query = f"select seen::text from {view} seen order by 1".encode()
            found[view] = connection.execute(query, span if "%s" in view else None).fetchall()
            assert found[view], view
        found["live"] = live(connection, now, Policies())
        week = summaries(connection, Policies(), Period.week("2026-W47"), now=now)
        found["week"] = [encode(item) for item in week]
    return found


def test_the_oldest_server_counts_alike(oldest: str, database: str, tmp_path: Path) -> None:
    """Files, views, live figures and summaries are the same on the oldest server as on the embedded one."""
    told = (Path(__file__).resolve().parents[2] / "deploy" / "README.md").read_text(encoding="utf-8")
    assert f"| PostgreSQL {OLDEST} or newer |" in told
    with connect(oldest) as connection:
        assert connection.info.server_version // 10_000 == OLDEST
    assert counted(oldest, tmp_path / "oldest") == counted(database, tmp_path / "ours")
