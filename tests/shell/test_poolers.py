"""A pooler in front of the database: one that shares connections is refused, any other is as good as none."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stream.cli import main
from stream.embedded import free_port
from stream.store import poolers
from stream.store.schema import Lock, SchemaError, alone, connect, migrate, require, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
LONG_S = 30.0
COMMANDS = ("init", "up", "worker", "ingest", "timers", "web", "export --out x")


@contextlib.contextmanager
def pooler(database: str, mode: str, *, size: int = 20, turns: int = 0) -> Iterator[str]:
    """PgBouncer in front of a database; gives the DSN through it.

    Args:
        database: the database's own DSN.
        mode: its ``pool_mode``.
        size: how many server connections it makes.
        turns: whether it takes them in turn, or the one that was used last.
    """
    if not Path(PROGRAM).exists():
        pytest.skip("needs pgbouncer: it is not here (Debian: apt-get install pgbouncer)")
    own = conninfo_to_dict(database)
    port = free_port()
    # It refuses to run as root, and the database's folder is its user's alone.
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="patrol-pooler-"))
    try:
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={own['host']} user={own['user']}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\ndefault_pool_size = {size}\nserver_round_robin = {turns}\n"
        )
        folder.chmod(0o755)
        process = subprocess.Popen(
            [PROGRAM, "--quiet", str(folder / "pgbouncer.ini")],
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + LONG_S
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield make_conninfo(
                "", host="127.0.0.1", port=port, user=str(own["user"]), dbname=str(own["dbname"])
            )
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("mode", "size", "turns"),
    [
        ("transaction", 20, 0),
        ("transaction", 20, 1),
        ("transaction", 1, 0),
        ("statement", 20, 0),
        ("statement", 20, 1),
    ],
)
def test_a_pooler_that_shares_connections_is_refused(database: str, mode: str, size: int, turns: int) -> None:
    """In transaction and statement mode, however many server connections there are, idle ones too."""
    with pooler(database, mode, size=size, turns=turns) as dsn, contextlib.ExitStack() as open_:
        if mode == "transaction" and size > 1:
            # Several server connections lie idle, as they do where a pipeline has been running.
            busy = [open_.enter_context(connect(dsn)) for _ in range(4)]
            for each in busy:
                each.execute("begin")
                each.execute("select 1")
            for each in busy:
                each.execute("rollback")
        mine = open_.enter_context(connect(dsn))
        with pytest.raises(SchemaError) as refused:
            require(mine)
        assert str(refused.value) == poolers.SHARED


def test_a_pooler_that_keeps_connections_is_taken(database: str) -> None:
    """In session mode the schema is made, a lock elects one of two, and times are in UTC."""
    with connect(database) as connection:
        connection.execute("alter role postgres set timezone = 'Europe/London'")
    try:
        with pooler(database, "session") as dsn:
            with connect(dsn) as one, connect(dsn) as other:
                migrate(one)
                require(one)
                require(other)
                assert [try_lock(each, Lock.WATCH) for each in (one, other)] == [True, False]
                assert one.execute("show timezone").fetchone() == ("UTC",)
            with connect(dsn) as third:  # whoever goes gives the lock back, once the pooler has seen to it
                third.execute("select set_config('statement_timeout', %s, false)", (f"{LONG_S}s",))
                with alone(third, Lock.WATCH):
                    pass
    finally:
        with connect(database) as connection:
            connection.execute("alter role postgres reset timezone")


def test_a_pooler_with_too_few_connections_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a second connection has to wait for the first one's end it is said what to raise."""
    monkeypatch.setattr(poolers, "PATIENCE_S", 0.2)
    with pooler(database, "session", size=1) as dsn, connect(dsn) as mine:
        with pytest.raises(SchemaError) as refused:
            require(mine)
        assert str(refused.value) == poolers.TOO_FEW


@pytest.mark.usefixtures("no_settings")
def test_it_is_told_in_one_line_at_the_start(
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every command says it in one line and exits 2."""
    monkeypatch.setenv("PATROL_KAFKA", f"127.0.0.1:{free_port()}")
    with pooler(database, "transaction") as dsn:
        monkeypatch.setenv("PATROL_DATABASE", dsn)
        for words in COMMANDS:
            monkeypatch.setattr(sys, "argv", ["patrol", *words.split()])
            with pytest.raises(SystemExit) as leaving:
                main()
            assert (leaving.value.code, capsys.readouterr().err) == (2, f"patrol: {poolers.SHARED}\n"), words


def test_options_of_the_address_are_kept(database: str) -> None:
    """What a DSN sets for its sessions is set, but the time zone, which is UTC whatever anybody sets."""
    options = "-c search_path=force,public -c timezone=Asia/Tokyo -c lock_timeout=7s"
    with connect(make_conninfo(database, options=options)) as connection:
        assert connection.execute("show search_path").fetchone() == ("force,public",)
        assert connection.execute("show lock_timeout").fetchone() == ("7s",)
        assert connection.execute("show timezone").fetchone() == ("UTC",)
