"""Everything ends when told, at any moment, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from stream import embedded
from stream.cli import patrol, serve
from stream.embedded import EmbeddedDatabase, Keeper
from stream.pipeline import agents, logs, processes, starting, weekly
from stream.pipeline.ending import END_S
from stream.pipeline.processes import command
from stream.settings import Settings
from tests.shell.ends import (
    AWAY,
    CALM,
    DATABASE,
    DEMO,
    HANGS,
    INT,
    KAFKA,
    KILL,
    PARTS,
    RETURNS,
    TERM,
    UP,
    Moment,
    Servers,
    children_of,
    end,
    moment,
    segments_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
"""How long anything may take before a test fails; nothing is timed."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A broker and a database for these tests alone: they crash."""
    with Servers.running() as found:
        yield found


@pytest.mark.parametrize(
    "at",
    [
        Moment(PARTS, HANGS, (KAFKA,), 0.0, 2.5, TERM),  # Faust waits for its broker
        Moment(PARTS, AWAY, (KAFKA, DATABASE), 0.0, 2.0, INT),
        Moment(UP, RETURNS, (KAFKA,), 1.2, 2.0, KILL),
        Moment(DEMO, CALM, (), 0.0, 1.0, KILL),  # before its folder is complete
        Moment(DEMO, CALM, (), 0.0, 3.0, TERM),  # its processes start
    ],
    ids=str,
)
def test_nothing_is_left_of_what_was_told_to_end(servers: Servers, at: Moment) -> None:
    """Told by SIGTERM or SIGINT, or its parent killed, every process goes, with files and shared memory."""
    # Ten seconds is what the campaign asks, on a machine that does nothing else; here, that they do end.
    left = end(at, servers, 6 * PATIENCE_S)
    assert left.nothing, left


def test_moments_at_random_are_of_every_kind() -> None:
    """Fifty seeds meet everything that is started, every outage of each server, and every signal."""
    found = [moment(seed) for seed in range(1, 51)]
    assert {(at.what, at.how) for at in found} == {
        *((PARTS, how) for how in (TERM, INT)),
        *((what, how) for what in (UP, DEMO) for how in (TERM, INT, KILL)),
    }
    assert {at.outage for at in found} == {CALM, AWAY, "goes", "back", HANGS, RETURNS}
    assert {whose for at in found for whose in at.whose} == {KAFKA, DATABASE}


# ── A process ─────────────────────────────────────────────────────────────────────────────────────────────


def program(body: str, **environment: str) -> subprocess.Popen[str]:
    """A program that says ``ready`` when it may be told to end."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import signal, sys, time\n{body}"],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(body: str, how: signal.Signals = TERM) -> tuple[int, str, str]:
    """Exit code, and what came after ``ready``, of a program that was told to end."""
    with program(body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(how)
        out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


ORDERLY = """
from stream.pipeline.processes import until_told
async def work(stop):
    print("ready", flush=True)
    await stop.wait()
    print("orderly")
until_told(work)
"""
BLOCKED_LOOP = """
from stream.pipeline.processes import until_told
async def work(stop):
    print("ready", flush=True)
    time.sleep(1000)
until_told(work, limit_s=0.2)
"""
THREAD_LEFT = """
import threading
from stream.pipeline.processes import until_told
async def work(stop):
    threading.Thread(target=threading.Event().wait).start()
    print("ready", flush=True)
    await stop.wait()
until_told(work, limit_s=0.2)
"""
SWALLOWED = """
from stream.pipeline.ending import heed_signals
heed_signals(0.2)
while True:
    try:
        print("ready", flush=True)
        time.sleep(1000)
    except KeyboardInterrupt:
        pass
"""
DEEP_IN_C = """
import ctypes
from stream.pipeline.ending import stopping
with stopping(lambda: None, 0.2):
    print("ready", flush=True)
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
"""


@pytest.mark.parametrize("how", [TERM, INT], ids=str)
def test_what_runs_for_ever_ends_orderly(how: signal.Signals) -> None:
    """Told to end, what runs until told finishes its work, and its exit code is 0."""
    assert told(ORDERLY, how) == (0, "orderly\n", "")


IGNORED = """
import asyncio
from stream.pipeline.processes import until_told
signal.signal(signal.SIGINT, signal.SIG_IGN)
async def work(stop):
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print("told" if stop.is_set() else "ready", flush=True)
    await stop.wait()
    print("orderly")
until_told(work)
"""


def test_what_is_ignored_stays_ignored() -> None:
    """What a shell starts in the background ignores Ctrl-C, and goes on doing so; SIGTERM ends it."""
    assert told(IGNORED) == (0, "orderly\n", "")


def test_who_waits_for_others_has_more_time_than_they(monkeypatch: pytest.MonkeyPatch) -> None:
    """`patrol up` may take longer than its parts, and a worker longer than a letter and Faust together."""
    limits: list[float] = []

    async def check_kafka(_settings: Settings) -> None:
        pass

    def until_told(_work: object, *, limit_s: float = END_S) -> None:
        limits.append(limit_s)

    monkeypatch.setattr(serve, "load", lambda: Settings(kafka="kafka:9092", database="postgresql://"))
    monkeypatch.setattr(serve, "database", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(serve, "until_told", until_told)
    monkeypatch.setattr(logs, "start_logging", lambda _: None)
    monkeypatch.setattr(starting, "check_kafka", check_kafka)
    CliRunner().invoke(patrol, ["up"], catch_exceptions=False)
    [limit_s] = limits
    assert limit_s > processes.FAREWELL_S > END_S > weekly.FAREWELL_S + agents.FAREWELL_S


def test_each_part_with_a_health_port_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest answers on the port of the setting, the worker on the next; `patrol web` has its own anyway."""
    monkeypatch.delenv("PATROL_HEALTH_PORT", raising=False)
    say = "import os, sys, time; path, part = sys.argv[1:]; port = os.environ.get('PATROL_HEALTH_PORT', '')\n"
    say += "open(f'{path}/.{part}', 'w').write(port); os.rename(f'{path}/.{part}', f'{path}/{part}')\n"
    say += "time.sleep(1000)"
    words = [sys.executable, "-c", say, str(tmp_path)]
    monkeypatch.setattr(processes, "command", lambda part, *_: [*words, part])
    parts = ("web", "ingest", "worker")

    async def scenario() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(processes.supervise(parts, stop, 9101))
        async with asyncio.timeout(PATIENCE_S):
            while not all((tmp_path / part).exists() for part in parts):
                await asyncio.sleep(0.01)
        stop.set()
        await work

    asyncio.run(scenario())
    assert [(tmp_path / part).read_text() for part in parts] == ["", "9101", "9102"]


@pytest.mark.parametrize("how", [TERM, INT], ids=str)
@pytest.mark.parametrize(
    "body",
    [
        BLOCKED_LOOP,
        THREAD_LEFT,
        SWALLOWED,
        pytest.param(
            DEEP_IN_C, marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's mutexes")
        ),
    ],
    ids=["blocked loop", "thread left", "swallowed", "deep in C"],
)
def test_what_does_not_answer_ends_all_the_same(body: str, how: signal.Signals) -> None:
    """Whatever a process waits for, after the limit it ends, with a line and an exit code that say so."""
    code, _, said = told(body, how)
    assert code == 128 + how
    assert re.fullmatch(r"patrol: told to end 0 s ago, .*\n", said)


def test_what_is_interrupted_tidies_up(tmp_path: Path) -> None:
    """Told to end before it runs, or where nothing runs for ever, a process removes its temporary files."""
    code, _, said = told(
        f"""
import tempfile
from stream.pipeline.ending import exit_code, heed_signals
heed_signals()
try:
    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):
        print("ready", flush=True)
        time.sleep(1000)
except KeyboardInterrupt:
    sys.exit(exit_code())
"""
    )
    assert (code, said, list(tmp_path.iterdir())) == (143, "", [])


SLOW_IMPORT = """
import time
class Named:  # Python makes another error of what is raised here
    def __set_name__(self, owner, name):
        print("ready", flush=True)
        time.sleep(1000)
class Owner:
    named = Named()
"""


@pytest.mark.parametrize("how", [TERM, INT], ids=str)
def test_what_is_told_while_it_is_imported_ends_without_a_word(tmp_path: Path, how: signal.Signals) -> None:
    """Told to end while its commands are imported, a part ends at once, and shows no traceback."""
    (tmp_path / "click.py").write_text(SLOW_IMPORT)
    with subprocess.Popen(
        command("ingest"),
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(how)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 128 + how


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("how", [KILL, TERM], ids=str)
def test_a_child_ends_with_its_parent(platform: str, how: signal.Signals) -> None:
    """When its parent goes a child ends, where the system tells it and where it has to look by itself."""
    child = f"""
import sys
sys.platform = {platform!r}
from stream.pipeline.ending import end_with_parent
from stream.pipeline.processes import until_told
async def work(stop):
    end_with_parent()
    print("ready", flush=True)
    await stop.wait()
    print("orderly", flush=True)
until_told(work)
"""
    parent = f"""
import os, subprocess
from stream.pipeline.ending import as_child
subprocess.Popen([sys.executable, "-c", {child!r}], env=as_child(os.environ))
time.sleep(1000)
"""
    with program(parent) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(how)
        # The child shares the parent's output, so this is its end too.
        assert process.communicate(timeout=PATIENCE_S) == ("orderly\n", "")


READER = """
from pathlib import Path
from geo.boundaries.reading import read_layer
print("ready", flush=True)
read_layer(Path({!r}))
"""
CHILD_ELSEWHERE = """
import sys
sys.platform = "darwin"
from geo.orphans import end_with
print("ready", flush=True)
end_with({})
import time
time.sleep(1000)
"""


def has_gdal(pid: int) -> bool:
    """Whether a process has begun to read areas, Linux."""
    try:
        return "libgdal" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def test_a_child_that_reads_a_file_ends_with_its_parent(tmp_path: Path) -> None:
    """The process in which GDAL reads, however long that takes, goes when the one that waits is killed."""
    path = tmp_path / "areas.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    with program(READER.format(str(path))) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not (reading := [pid for pid in children_of(process.pid) if has_gdal(pid)]):
            assert process.poll() is None
        [child] = reading
        os.kill(child, signal.SIGSTOP)  # it takes long
        process.kill()
        process.wait()
        gone(child)


def test_a_child_looks_for_its_parent_where_the_system_does_not_tell() -> None:
    """Without Linux's word a child looks whether its parent is there, and ends when it is not."""
    child = CHILD_ELSEWHERE.format("int(sys.argv[1])")
    parent = f"""
import os, subprocess
subprocess.Popen([sys.executable, "-c", {child!r}, str(os.getpid())])
time.sleep(1000)
"""
    with program(parent) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.communicate(timeout=PATIENCE_S) == ("", "")


# ── The embedded servers' folders ─────────────────────────────────────────────────────────────────────────


def test_what_a_killed_keeper_leaves_the_next_one_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of keeper and database killed together, the next keeper removes folder and shared memory."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    since = int(time.time())
    with contextlib.closing(EmbeddedDatabase()) as database:
        database.start()
        assert database.keeper is not None
        folder, server = database.folder, database.pid
        helpers = children_of(server)
        os.kill(database.keeper.pid, signal.SIGKILL)
        for pid in (server, *helpers):
            gone(pid)
        assert segments_of({server}, since)
        grown_old(folder)
        with contextlib.closing(Keeper("test", embedded._unprivileged())):
            assert not folder.exists()
            assert segments_of({server}, since) == []


def test_only_what_nobody_has_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that a keeper holds, one just made, another program's and a link stay as they are."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    new, other, aim = (tmp_path / name for name in ("patrol-kept-new", "another", "aim"))
    for folder in (new, other, aim):
        folder.mkdir()
    grown_old(other)
    grown_old(aim)
    (tmp_path / "patrol-kept-link").symlink_to(aim)
    with contextlib.closing(Keeper("test")) as first:
        held = first.folder
        grown_old(held)
        with contextlib.closing(Keeper("test")):
            assert all(path.is_dir() for path in (held, new, other, aim, tmp_path / "patrol-kept-link"))
    assert not held.exists()


def grown_old(folder: Path) -> None:
    """Makes a folder older than one that may just be in the making."""
    then = time.time() - 2 * embedded._NEW_S
    os.utime(folder, (then, then))


def gone(pid: int) -> None:
    """Returns when a process is no more."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")
