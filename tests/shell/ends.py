"""Moments at which processes are told to end, and what is left after each: nothing.

By hand, more than in the tests: ``python -m tests.shell.ends --moments 50 --seed 1``. The last line is for
programs. What a moment started is known by a variable in its environment, which children inherit, never by
its name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stream.cli.serve import initialise
from stream.embedded import EmbeddedBroker, EmbeddedDatabase, free_port
from stream.pipeline.processes import command
from stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 10.0
"""So soon after a process was told to end it is gone, and everything that it started."""

SECRET = "ZqxK9w"
FAULTS = (
    SECRET,
    "Traceback",
    "Exception ignored",
    "never awaited",
    "Task was destroyed",
    "was never retrieved",
)
"""What no process writes: a password, and what Python says where something was not thought of."""

MARK = "PVTEST_ENDS"
ROW = '{"device_id":"A","time":"2026-11-20T1%d:00:00Z","lat":52.6,"lon":-1.1,"kind":"radio"}\n'

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
PARTS, UP, DEMO = "parts", "up", "demo"
"""What is started: every part and other command that runs until told, each by itself; all parts under one
supervisor; the demonstration. The last two are also killed: what they started has to go with them."""

CALM, AWAY, GOES, BACK, HANGS, RETURNS = "calm", "away", "goes", "back", "hangs", "returns"
"""What the servers do: nothing; they are away all the time; they go away, or come back; they accept and never
answer; they go away and come back."""
KAFKA, DATABASE = "kafka", "database"


@dataclass(frozen=True, slots=True)
class Moment:
    """One way to be told to end.

    Attributes:
        what: is started.
        outage: of the servers.
        whose: the servers that it strikes.
        outage_s: after the start of the processes it begins, seconds.
        told_s: after the start they are told.
        how: the signal; of the parts every second one gets the other of SIGTERM and SIGINT.
    """

    what: str
    outage: str
    whose: tuple[str, ...]
    outage_s: float
    told_s: float
    how: signal.Signals

    def __str__(self) -> str:
        """In words."""
        outage = f"{' and '.join(self.whose)} {self.outage} at {self.outage_s:.2f} s, " if self.whose else ""
        return f"{self.what}: {outage}{self.how.name} at {self.told_s:.2f} s"


def moment(seed: int, what: str | None = None) -> Moment:
    """A moment at random: half of them within the first second, where processes start."""
    rng = random.Random(seed)
    what = what or rng.choice([PARTS, PARTS, UP, DEMO, DEMO])
    outage = CALM if what == DEMO else rng.choice([CALM, AWAY, GOES, GOES, BACK, HANGS, RETURNS])
    if what == UP and outage == AWAY:
        outage = GOES  # it would end by itself
    whose = rng.choice([(KAFKA,), (DATABASE,), (KAFKA, DATABASE)]) if outage != CALM else ()
    told_s = rng.choice([rng.uniform(0.05, 1.5), rng.uniform(1.5, 8.0 if what == DEMO else 5.0)])
    how = rng.choice([TERM, INT] if what == PARTS else [TERM, INT, KILL])
    return Moment(what, outage, whose, rng.uniform(0.0, told_s), told_s, how)


@dataclass
class Servers:
    """A broker and a database that go away and come back."""

    broker: EmbeddedBroker
    database: EmbeddedDatabase
    stopped: list[int] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Servers]:
        """Both of them, for a number of moments."""
        with EmbeddedBroker() as broker, EmbeddedDatabase() as database:
            servers = cls(broker, database)
            try:
                yield servers
            finally:
                servers.go_on()

    @property
    def settings(self) -> Settings:
        """As processes get them."""
        return Settings(kafka=self.broker.bootstrap, database=self.database.dsn, session_s=2.0)

    def begin(self) -> None:
        """Both are up, with topics and schema."""
        self.go_on()
        for server in (self.broker, self.database):
            with contextlib.suppress(OSError):
                server.kill()
            server.start()
        initialise(self.settings)

    def go_away(self, whose: tuple[str, ...]) -> None:
        """They crash."""
        for name in whose:
            (self.broker if name == KAFKA else self.database).kill()

    def come_back(self, whose: tuple[str, ...]) -> None:
        """They are there again; the broker without topics."""
        for name in whose:
            (self.broker if name == KAFKA else self.database).start()

    def hang(self, whose: tuple[str, ...]) -> None:
        """They stay, and say nothing any more: neither the server nor those who serve connections."""
        for name in whose:
            pid = (self.broker if name == KAFKA else self.database).pid
            for each in (pid, *children_of(pid)):
                os.kill(each, signal.SIGSTOP)
                self.stopped.append(each)

    def go_on(self) -> None:
        """Those who hang go on."""
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()


@dataclass(frozen=True, slots=True)
class Left:
    """What a moment left behind, and how long the end took.

    Attributes:
        took_s: from the signal until nothing was left, seconds; at most ``patience_s``.
        processes: command lines of those still there.
        files: in the folder for temporary files.
        segments: of shared memory.
        faults: what a process wrote that tells of a fault of the program.
    """

    took_s: float
    processes: list[str]
    files: list[str]
    segments: list[str]
    faults: list[str]

    @property
    def nothing(self) -> bool:
        """Whether it is as it was before."""
        return not (self.processes or self.files or self.segments or self.faults)


def marked(mark: str) -> dict[int, str]:
    """Processes with the mark in their environment, and their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = line[-100:]
    return found


def children_of(pid: int) -> list[int]:
    """The processes that a process has made, Linux."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commands(what: str, row: Path) -> list[list[str]]:
    """What a moment starts."""
    if what == DEMO:
        return [command("demo", "--officers", "16", "--for", "60")]
    if what == UP:
        return [command("up")]
    return [
        command("ingest"),
        command("worker"),
        command("timers"),
        command("web", "--port", "0"),
        command("bridge", f"tcp://127.0.0.1:{free_port()}"),
        command("replay", str(row), "--speed", "1"),
    ]


def end(at: Moment, servers: Servers, patience_s: float = PATIENCE_S) -> Left:
    """Starts processes, has the servers fail, tells the processes to end, and looks what is left."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    with tempfile.TemporaryDirectory(prefix="ends-") as name:
        place = Path(name)
        temporary = place / "tmp"
        temporary.mkdir(mode=0o755)
        place.chmod(0o755)  # the demonstration's database may run as another user
        row = place / "row.jsonl"
        row.write_text(ROW % 4 + ROW % 5)
        if at.what != DEMO:
            servers.begin()
        if at.outage in {AWAY, BACK}:
            servers.go_away(at.whose)
        settings = servers.settings
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PATROL_")},
            "PATROL_KAFKA": settings.kafka,
            # The database asks for no password; whatever happens, nobody repeats it.
            "PATROL_DATABASE": settings.database.replace("postgres@", f"postgres:{SECRET}@"),
            "PATROL_SESSION_S": "2",
            "TMPDIR": str(temporary),
            "PYTHONUNBUFFERED": "1",
            MARK: mark,
        }
        with contextlib.ExitStack() as stack:
            began, since = time.monotonic(), int(time.time())
            processes = []
            for number, words in enumerate(commands(at.what, row)):
                said = stack.enter_context((place / f"said-{number}").open("wb"))
                processes.append(
                    subprocess.Popen(
                        words,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=said,
                        stderr=said,
                        start_new_session=True,
                    )
                )
            strikes: dict[str, Callable[[tuple[str, ...]], None]] = {
                GOES: servers.go_away,
                RETURNS: servers.go_away,
                BACK: servers.come_back,
                HANGS: servers.hang,
            }
            if at.outage in strikes:
                time.sleep(max(0.0, began + at.outage_s - time.monotonic()))
                strikes[at.outage](at.whose)
            if at.outage == RETURNS:
                servers.come_back(at.whose)
            time.sleep(max(0.0, began + at.told_s - time.monotonic()))
            started = set(marked(mark))
            told = time.monotonic()
            other = {TERM: INT, INT: TERM}
            for number, process in enumerate(processes):
                process.send_signal(other[at.how] if number % 2 else at.how)
            while marked(mark) and time.monotonic() < told + patience_s:
                for process in processes:
                    process.poll()
                time.sleep(0.05)
            took_s = time.monotonic() - told
            left = marked(mark)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in processes:
                process.wait()
        files = [str(path.relative_to(temporary)) for path in temporary.iterdir()]
        faults = [text for path in place.glob("said-*") if (text := _fault(path))]
        segments = segments_of(started, since)
        servers.go_on()
        return Left(took_s, list(left.values()), files, segments, faults)


def _fault(said: Path) -> str:
    """What a process wrote, without what Python says of a Ctrl-C, where that tells of a fault; else empty.

    Before any of our lines have run Python shows where it was, and so it does where it cannot pass it on.
    """
    text = re.sub(r"Exception ignored in: (.*\n)+?.*ToldError: ?\n", "", said.read_text(errors="replace"))
    early = len(text.split("Traceback")) == 2 and text.endswith("\nKeyboardInterrupt\n")
    return text if any(word in text for word in FAULTS) and not early else ""


def segments_of(makers: set[int], since: int = 0) -> list[str]:
    """Segments of System V shared memory that processes made, Linux.

    Args:
        makers: process ids; a number may have been another process's before.
        since: when the oldest of them may have been made, seconds since 1970.
    """
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return [line for line in lines if int((fields := line.split())[4]) in makers and int(fields[13]) >= since]


def main() -> None:
    """Tries moments and prints what each left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--what", choices=[PARTS, UP, DEMO])
    asked = parser.parse_args()
    bad, longest = 0, 0.0
    with Servers.running() as servers:
        for seed in range(asked.seed, asked.seed + asked.moments):
            at = moment(seed, asked.what)
            left = end(at, servers)
            bad += not left.nothing
            longest = max(longest, left.took_s)
            print(f"{seed}: {at}: {left.took_s:.1f} s{'' if left.nothing else f': {left}'}", flush=True)
    print(f"ends: moments={asked.moments} left={bad} longest_s={longest:.1f}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
