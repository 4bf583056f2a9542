"""The servers of the campaign: the real Kafka, a real PostgreSQL with a standby, and what can happen to them.

Processes reach them through relays (``tests.faults.between``), the campaign itself directly.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo
from psycopg.sql import SQL, Identifier

from stream.embedded import EmbeddedDatabase, EmbeddedError, database_install, free_port
from stream.store.schema import connect
from tests.faults.between import Between, socket_of
from tests.shell.kafka import RealKafka

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from stream.store.schema import Connection

PATIENCE_S = 60.0
WAREHOUSE_MB = 4096
"""The size of the volume that the database lies on, as long as it is not full."""
SETTINGS: dict[str, Any] = {
    "max_wal_senders": 4,
    "wal_keep_size": "256MB",
    "hot_standby": "on",
    "restart_after_crash": "on",
    "max_connections": 100,
    "max_wal_size": "256MB",
    # A connection whose other end is gone is noticed, and its locks are free again.
    "client_connection_check_interval": "1s",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
}


class Volume:
    """A file system of its own in memory, whose size can be changed: the only way to be really full.

    Mounting needs root; where it is not possible there is an ordinary folder, which is never full.

    Args:
        folder: where it is mounted; made here.
        own: False: an ordinary folder will do.

    Attributes:
        can_fill: whether it is a file system of its own.
    """

    def __init__(self, folder: Path, *, own: bool = True) -> None:
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o777)
        self.can_fill = own and self._mount(folder)
        folder.chmod(0o777)

    def _mount(self, folder: Path) -> bool:
        options = f"size={WAREHOUSE_MB}m,mode=0777"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "patrol", str(folder)], capture_output=True, check=False
        )
        return done.returncode == 0

    def fill(self, left_kb: int) -> None:
        """Leaves only so much room."""
        self._resize(self._used_kb() + left_kb)

    def empty(self) -> None:
        """Makes room again."""
        self._resize(WAREHOUSE_MB * 1024)

    def _used_kb(self) -> int:
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024

    def _resize(self, size_kb: int) -> None:
        # What was written between looking and changing makes it too small: then it is refused.
        for more in (0, 256, 1024, 4096, 2**16):
            words = ["mount", "-o", f"remount,size={size_kb + more}k", str(self.folder)]
            if subprocess.run(words, capture_output=True, check=False).returncode == 0:
                return
        raise AssertionError(f"{self.folder} could not be made {size_kb} KB")

    def close(self) -> None:
        """Unmounts it."""
        if self.can_fill:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)


class Servers:
    """A broker and a database, each behind a relay, as one context.

    Args:
        can_fill: whether the database gets a volume of its own, which can be full; False: a folder will do.
    """

    def __init__(self, *, can_fill: bool = True) -> None:
        self._can_fill = can_fill
        self._open = contextlib.ExitStack()
        self._number = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="patrol-faults-")))
            self._folder.chmod(0o755)
            self.volume = Volume(self._folder / "volume", own=self._can_fill)
            stack.callback(self.volume.close)
            listens, told = free_port(), free_port()
            self.kafka = stack.enter_context(RealKafka((listens, told)))
            self.to_kafka = stack.enter_context(Between(told, listens))
            self._at = self._data()
            self.database = EmbeddedDatabase(self._at, **SETTINGS)
            stack.callback(lambda: self.database.close())  # noqa: PLW0108 # whichever it is by then
            self.database.start()
            front = self._folder / "database"
            front.mkdir()
            self.to_database = stack.enter_context(Between(socket_of(front), self._socket()))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    # ── addresses ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def bootstrap(self) -> str:
        """Kafka's address for processes."""
        return f"127.0.0.1:{self.to_kafka.front}"

    def dsn(self, name: str) -> str:
        """The address of a database for processes."""
        return f"postgresql://postgres@/{name}?host={self._folder / 'database'}"

    def direct(self, name: str = "postgres") -> str:
        """The address of a database for the campaign itself."""
        return self.database.dsn_of(name)

    def asked(self, name: str = "postgres") -> Connection:
        """A connection to a database."""
        return connect(self.direct(name), name="campaign")

    def _socket(self) -> Path:
        assert self.database.keeper is not None
        return socket_of(self.database.keeper.folder)

    def _data(self) -> Path:
        self._number += 1
        return self.volume.folder / f"data{self._number}"

    def heal(self) -> None:
        """Everything is there again, whatever happened to it."""
        if self.volume.can_fill:
            self.volume.empty()
        self.to_kafka.heal()
        self.to_database.heal()
        self.start_kafka()
        if not self._database_answers():
            self.database.kill()
            self.database.start()

    def start_kafka(self) -> None:
        """Starts Kafka where it is not running; a busy machine may need more time than one try has."""
        for left in (2, 1, 0):
            try:
                if self.kafka.running:
                    return
                self.kafka.start()
            except EmbeddedError:
                if not left:
                    raise

    def _database_answers(self) -> bool:
        until = time.monotonic() + 10  # it may be recovering from a crash by itself
        while time.monotonic() < until:
            try:
                with self.asked():
                    return True
            except psycopg.OperationalError:
                time.sleep(0.1)
        return False

    # ── databases ─────────────────────────────────────────────────────────────────────────────────────────

    def create(self, name: str, template: str = "template0") -> None:
        """Makes a database.

        Copied as files: copied by way of the log, its sequences fall back when the server crashes.
        """
        with self.asked() as connection:
            make = SQL("create database {} template {} strategy file_copy")
            connection.execute(make.format(Identifier(name), Identifier(template)))

    def drop(self, name: str) -> None:
        """Drops a database with all its connections."""
        with self.asked() as connection:
            connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))

    def terminate(self, name: str) -> int:
        """Ends all connections of processes to a database; gives how many."""
        with self.asked() as connection:
            return len(
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = %s and application_name <> 'campaign'",
                    [name],
                ).fetchall()
            )

    def dump(self, name: str) -> Path:
        """A backup, as ``pg_dump`` makes it."""
        path = self._folder / f"{name}.dump"
        self._tool("pg_dump", "-Fc", "-Z0", "-f", str(path), "-d", self.direct(name))
        return path

    def restore(self, path: Path, name: str) -> None:
        """Restores a backup beside the database, and puts it in its place."""
        beside, old = f"{name}_restored", f"{name}_old"
        self.create(beside)
        self._tool("pg_restore", "--exit-on-error", "-d", self.direct(beside), str(path))
        path.unlink()
        with self.asked() as connection:
            # Connections are refused meanwhile: whoever is quicker would hold the name.
            connection.execute(SQL("alter database {} with allow_connections false").format(Identifier(name)))
            for was, becomes in ((name, old), (beside, name)):
                self._renamed(connection, was, becomes)
        self.drop(old)

    def _renamed(self, connection: Connection, was: str, becomes: str) -> None:
        while True:
            self.terminate(was)
            try:
                change = SQL("alter database {} rename to {}")
                connection.execute(change.format(Identifier(was), Identifier(becomes)))
            except psycopg.errors.ObjectInUse:
                time.sleep(0.02)
            else:
                return

    def _tool(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [str(database_install() / "bin" / name), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"

    # ── a standby ─────────────────────────────────────────────────────────────────────────────────────────

    def standby(self) -> Standby:
        """A standby that follows the database, asynchronously, over a line of its own."""
        return Standby(self, self._data())

    def switch(self, database: EmbeddedDatabase, data: Path) -> None:
        """Another server, with its data folder, is the database from now on; the former one is no more."""
        former, self.database = self.database, database
        left, self._at = self._at, data
        self.to_database.back = self._socket()
        self.to_database.cut()
        former.close()
        shutil.rmtree(left, ignore_errors=True)


class Standby:
    """A server that follows another by streaming replication.

    Args:
        servers: whose database it follows.
        data: its data folder, which is made.
    """

    def __init__(self, servers: Servers, data: Path) -> None:
        self._servers = servers
        self._data = data
        primary = servers.database
        assert primary.keeper is not None
        front = data.parent / f"{data.name}.line"
        front.mkdir()
        front.chmod(0o755)
        self._line = Between(socket_of(front), socket_of(primary.keeper.folder))
        self._line.__enter__()
        source = conninfo.make_conninfo(host=str(front), user="postgres")
        command = [str(database_install() / "bin" / "pg_basebackup"), "-R", "-c", "fast", "-X", "stream"]
        primary.keeper.ask(
            "run", command=[*command, "--no-sync", "-D", str(data), "-d", source], env={"LC_ALL": "C"}
        )
        self.database = EmbeddedDatabase(data, **SETTINGS)
        self.database.start()

    def follows(self) -> bool:
        """Whether it is connected to the server that it follows."""
        with connect(self.database.dsn_of("postgres"), name="campaign") as connection:
            found = connection.execute(
                "select count(*) from pg_stat_wal_receiver where status = 'streaming'"
            ).fetchone()
        return found == (1,)

    def cut(self) -> None:
        """From now on it hears nothing new."""
        self._line.refuse(True)

    def promote(self) -> None:
        """Crashes the server that it follows, and takes its place."""
        self._servers.database.kill()
        with connect(self.database.dsn_of("postgres"), name="campaign") as connection:
            assert connection.execute("select pg_promote(true, 60)").fetchone() == (True,)
        self._servers.switch(self.database, self._data)
        self._line.__exit__(None, None, None)

    def close(self) -> None:
        """It was not needed."""
        self.database.close()
        self._line.__exit__(None, None, None)
        shutil.rmtree(self._data, ignore_errors=True)


def until(
    done: Callable[[], object], what: str, patience_s: float = PATIENCE_S, rest_s: float = 0.02
) -> None:
    """Asks again and again until something is so.

    Raises:
        AssertionError: it was not in time.
    """
    deadline = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {patience_s:.0f} s still not: {what}")
        time.sleep(rest_s)
