"""What the same job costs in other stream processors, by hand, and in ours: processor time an event.

One Apache Kafka and one PostgreSQL, which waits for the disk; everybody in turn, each with topics and a
database of its own, into which the same positions are put before. From the start of its processes until its
result is there, and right: the time of all processes is counted, the servers' too. What the job is:
``tests/bench/README.md``. ``python -m tests.bench peers --seconds 60 --rounds 1`` is a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import KafkaAdminClient

from geo.areas import Kind
from geo.orphans import end_with
from stream import topics
from stream.cli.serve import initialise
from stream.core.facts import SECOND
from stream.embedded import EmbeddedDatabase, free_port
from stream.pipeline.ending import as_child
from stream.pipeline.lag import LagMeter
from stream.pipeline.processes import command
from stream.settings import Settings
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.peers.reports import Reports
from tests.bench.roaming import BATCH_BYTES, INTERVAL_MS, Sender, Size
from tests.bench.running import BOOKED_AT_ONCE, PARTS, USUAL, spent_s
from tests.shell.kafka import AS_SHIPPED, PROJECT, RealKafka, unavailable_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SIZE = Size(2_700, 700, 169, 0)
SECONDS, ROUNDS = 1_200, 3
LOOK_S = 0.5
STALLED_S = 120.0
ENDING_S = 15.0
WARMING = 2
MOST_SAID = 200
HERE = Path(__file__).parent / "peers"
BUILT = PROJECT / "build" / "peers"
JVM = ("-Xms256m", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")

Result = dict[tuple[str, str], int]
"""Microseconds by device and place."""


class UnavailableError(RuntimeError):
    """A peer cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a peer works: its own topics and database.

    Attributes:
        settings: ours, which name both.
        port: PostgreSQL's.
        areas: the file of neighbourhoods.
        folder: an empty one.
    """

    settings: Settings
    port: int
    areas: Path
    folder: Path

    def environment(self) -> dict[str, str]:
        """What a peer's processes are told."""
        database = self.settings.database.rpartition("/")[2]
        told = {
            "PEER_KAFKA": self.settings.kafka,
            "PEER_DATABASE": self.settings.database,
            "PEER_JDBC": f"jdbc:postgresql://127.0.0.1:{self.port}/{database}?user=postgres",
            "PEER_PREFIX": self.settings.topic_prefix,
            "PEER_AREAS": str(self.areas),
            "PEER_FOLDER": str(self.folder),
        }
        return {**os.environ, **told, "PYTHONPATH": str(PROJECT)}


Commands = dict[str, list[str]]
"""Processes by what they are called, each as the words that start it."""


def made(command: Sequence[str], what: str, telling: int = 0) -> None:
    """Runs something that gets or makes what a peer needs.

    Args:
        command: its words.
        what: what it means if it fails.
        telling: which of the lines with ERROR says why.

    Raises:
        UnavailableError: it failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as failure:
        raise UnavailableError(f"{what}: {failure.strerror}: {command[0]}") from None
    if done.returncode:
        lines = [line for line in f"{done.stderr}\n{done.stdout}".splitlines() if "ERROR" in line]
        said = re.sub(r"\x1b\[\d*m", "", lines[telling]).strip() if lines else "no reason given"
        raise UnavailableError(f"{what}: {said[:MOST_SAID]}")


def _venv(name: str) -> Path:
    """The Python of an environment with a peer's packages, made where it is not there or has others."""
    wanted, folder = (HERE / f"{name}.txt").read_text(), BUILT / name
    stamp = folder / "installed"
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        made([sys.executable, "-m", "venv", "--clear", str(folder)], "no environment could be made")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        made(
            [*pip, "--only-binary", ":all:", "-r", str(HERE / f"{name}.txt")], "pip could not install it", -1
        )
        stamp.write_text(wanted)
    return python


def ours(_site: Site) -> Commands:
    """Ingest and one worker, as ``patrol up`` runs them."""
    return {part: command(part) for part in PARTS}


def kafka_streams(_site: Site) -> Commands:
    """A program in Java."""
    pom = HERE / "kafka_streams" / "pom.xml"
    made(["mvn", "-B", "-q", "-Dstyle.color=never", "-f", str(pom), "package"], "Maven could not make it")
    jars = pom.parent / "target" / "jars"
    return {"Kafka Streams": ["java", *JVM, "-cp", f"{jars}{os.sep}*", "peers.PlaceTime"]}


def bytewax(site: Site) -> Commands:
    """A dataflow, with a folder to recover from."""
    python = str(_venv("bytewax"))
    made([python, "-m", "bytewax.recovery", str(site.folder), "1"], "no folder to recover from")
    words = ["-m", "bytewax.run", "tests.bench.peers.with_bytewax"]
    return {
        "Bytewax": [
            python,
            *words,
            "--recovery-directory",
            str(site.folder),
            "--snapshot-interval",
            "10",
            "--backup-interval",
            "0",
        ]
    }


def quix(_site: Site) -> Commands:
    """An application."""
    return {"Quix Streams": [str(_venv("quix")), "-m", "tests.bench.peers.with_quix"]}


def _faust(*kinds: str) -> Commands:
    return {f"Faust: {kind}": [sys.executable, "-m", "tests.bench.peers.with_faust", kind] for kind in kinds}


def faust_one(_site: Site) -> Commands:
    """An agent by hand, one position at a time."""
    return _faust("one")


def faust_by_hand(_site: Site) -> Commands:
    """The same with batching by hand: one process makes packs, the agent takes them."""
    return _faust("pack", "packs")


PEERS: Mapping[str, Callable[[Site], Commands]] = {
    "ours": ours,
    "kafka_streams": kafka_streams,
    "bytewax": bytewax,
    "quix": quix,
    "faust_one": faust_one,
    "faust_by_hand": faust_by_hand,
}


@contextmanager
def running(commands: Commands, environment: dict[str, str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes, until they are no longer needed or this one is gone. What they wrote is shown on a fault."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with tempfile.TemporaryFile() as log:
        try:
            for name, words in commands.items():
                processes[name] = subprocess.Popen(
                    words,
                    env=environment,
                    cwd=PROJECT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509  # nobody else has threads yet
                )
            yield processes
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                try:
                    process.wait(ENDING_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


async def _feed(kafka: str, reports: Reports, partitions: int, prefix: str) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", max_batch_size=BATCH_BYTES, max_request_size=2**23
    )
    async with producer:
        sender = Sender(producer, reports, partitions, prefix, keyed=True)
        for turn in range(reports.turns):
            await sender.send(reports.order, reports.times_ms(turn)[reports.order], turn)
        await sender.finish()
    return sender.sent


async def _read(kafka: str, names: Sequence[str], count: int) -> None:
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=kafka, auto_offset_reset="earliest")
    async with consumer:
        while count > 0:
            found = await consumer.getmany(timeout_ms=200)
            count -= sum(len(messages) for messages in found.values())


class Bench:
    """Servers that are up, and what is asked of everybody."""

    def __init__(self, stack: ExitStack, reports: Reports) -> None:
        self._kafka = stack.enter_context(RealKafka(jvm=AS_SHIPPED, **USUAL))
        self._port = free_port()
        self._database = stack.enter_context(
            EmbeddedDatabase(durable=True, listen_addresses="127.0.0.1", port=self._port)
        )
        self._scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._reports = reports
        self._right, self._over = reports.right()
        self._total = sum(self._right.values())
        self._areas = self._scratch / "areas"
        force = reports.areas().only(Kind.NEIGHBOURHOOD)
        lines = (
            f"{name}\t{shape.wkb_hex}\n" for name, shape in zip(force.area_id, force.geometry, strict=True)
        )
        self._areas.write_text("".join(lines))
        self._admin = psycopg.connect(self._dsn("postgres"), autocommit=True)
        stack.callback(self._admin.close)

    def _dsn(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    @contextmanager
    def _site(self, name: str) -> Iterator[Site]:
        """Topics with the positions on them, and a database, for one run."""
        self._admin.execute(f"create database {name}".encode())
        folder = self._scratch / name
        folder.mkdir()
        settings = Settings(kafka=self._kafka.bootstrap, database=self._dsn(name), topic_prefix=f"{name}.")
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
        try:
            yield Site(settings, self._port, self._areas, folder)
        finally:
            mine = [topic for topic in admin.list_topics() if topic.startswith(f"{name}.")]
            admin.delete_topics(mine)
            admin.close()
            self._admin.execute(f"drop database {name} with (force)".encode())
            shutil.rmtree(folder)

    def warm(self) -> None:
        """Has Kafka take and give the positions a few times, so that the first run is like the others."""
        with self._site("warm") as site:
            settings = site.settings
            self._prepare(settings)
            for _ in range(WARMING):
                sent = asyncio.run(
                    _feed(settings.kafka, self._reports, settings.partitions, settings.topic_prefix)
                )
                asyncio.run(_read(settings.kafka, self._positions(settings), sent))

    def _positions(self, settings: Settings) -> list[str]:
        prefix = settings.topic_prefix
        return [topics.named(name, prefix) for name in (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS)]

    def _prepare_ours(self, settings: Settings) -> None:
        initialise(settings)
        force, booked_from = self._reports.areas(), self._reports.start_ms * 1000 - 600 * SECOND
        with connect(settings.database, name="bench") as connection:
            for kind in sorted(set(force.kind)):
                areas.publish(connection, force, kind, 0, file="bench", sha256="", by="bench")
            ledger, duties = Ledger(connection), list(self._reports.duties(booked_from))
            for at in range(0, len(duties), BOOKED_AT_ONCE):
                ledger.bookings(duties[at : at + BOOKED_AT_ONCE], ())
            connection.execute("vacuum analyze")

    def _prepare(self, settings: Settings) -> None:
        wanted = topics.specs(settings.topic_prefix, partitions=settings.partitions)
        specs = [spec for spec in wanted if spec.name in self._positions(settings)]
        packs = topics.specs(settings.topic_prefix, partitions=settings.partitions)[0]
        packs.name = topics.named("packs", settings.topic_prefix)
        asyncio.run(topics.ensure_topics(settings.kafka, [*specs, packs]))
        with psycopg.connect(settings.database, autocommit=True) as connection:
            connection.execute(
                "create table place_time "
                "(device_id text, place text, us bigint not null, primary key (device_id, place))"
            )

    def run(self, peer: str, number: int) -> tuple[dict[str, float], float]:
        """One run: µs of processor time an event by process, and events a second of the clock."""
        with self._site(f"{peer}_{number}") as site:
            settings = site.settings
            commands = PEERS[peer](site)
            (self._prepare_ours if peer == "ours" else self._prepare)(settings)
            sent = asyncio.run(
                _feed(settings.kafka, self._reports, settings.partitions, settings.topic_prefix)
            )
            environment = site.environment()
            if peer == "ours":
                told = {"KAFKA": settings.kafka, "DATABASE": settings.database}
                told |= {"TOPIC_PREFIX": settings.topic_prefix}
                environment = as_child(
                    {**environment, **{f"PATROL_{key}": value for key, value in told.items()}}
                )
            before, began = self._spent({}), time.monotonic()
            with running(commands, environment) as processes:
                if peer == "ours":
                    self._until_counted(settings, processes)
                else:
                    self._until_right(settings, processes)
                after, took = self._spent(processes), time.monotonic() - began
            self._check(peer, settings)
        spent = {name: (used - before.get(name, 0.0)) / sent * 1e6 for name, used in after.items()}
        return spent, sent / took

    def _spent(self, processes: Mapping[str, subprocess.Popen[bytes]]) -> dict[str, float]:
        for name, process in processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")
        pids = {"Kafka": self._kafka.pid, "PostgreSQL": self._database.pid}
        pids |= {name: process.pid for name, process in processes.items()}
        return {name: spent_s(pid) for name, pid in pids.items()}

    def _until_counted(self, settings: Settings, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
        meter = LagMeter(settings)
        try:
            with connect(settings.database, name="bench") as connection:
                while not meter.measure(connection).none:
                    self._spent(processes)
                    time.sleep(LOOK_S)
        finally:
            meter.close()

    def _until_right(self, settings: Settings, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
        moved, last = time.monotonic(), -1
        with psycopg.connect(settings.database, autocommit=True) as connection:
            while last != self._total:
                [(total,)] = connection.execute(
                    "select coalesce(sum(us), 0)::bigint from place_time"
                ).fetchall()
                if total != last:
                    moved, last = time.monotonic(), total
                self._spent(processes)
                if time.monotonic() - moved > STALLED_S:
                    raise RuntimeError(f"stands at {last / 1e6:,.3f} s of {self._total / 1e6:,.3f}")
                time.sleep(LOOK_S)

    def _check(self, peer: str, settings: Settings) -> None:
        """The results agree: peers' to the microsecond, ours but for where a leg over an edge is divided."""
        question = "select device_id, place, us from place_time"
        if peer == "ours":
            question = (
                "select device_id, coalesce(neighbourhood, ''), "
                "sum(extract(epoch from end_at - start_at) * 1000000)::bigint "
                "from stays join device using (device) join place using (place) group by 1, 2"
            )
        with psycopg.connect(settings.database, autocommit=True) as connection:
            found: Result = {(row[0], row[1]): row[2] for row in connection.execute(question.encode())}
        wrong = differences(found, self._right, self._over if peer == "ours" else None)
        if wrong:
            sys.exit(f"{peer}: {len(wrong)} of {len(self._right)} rows are wrong: {wrong[:5]}")


def differences(
    found: Result, right: Result, over: Mapping[str, int] | None
) -> list[tuple[str, str, int, int]]:
    """Rows that are not right: device, place, found, right (µs).

    Args:
        found: what somebody has in the database.
        right: what it should be.
        over: of each device how long its legs over an edge are, where those may be divided otherwise: the
            whole of each device must be right all the same, and has the place ``*`` where it is not. None:
            they may not.
    """
    may = over or {}
    wrong = [
        (*key, found.get(key, 0), right.get(key, 0))
        for key in sorted({*found, *right})
        if abs(found.get(key, 0) - right.get(key, 0)) > may.get(key[0], 0)
    ]
    sums: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for rows, into in zip((found, right), sums, strict=True):
        for (device, _), us in rows.items():
            into[device] = into.get(device, 0) + us
    wrong += [
        (device, "*", sums[0].get(device, 0), sums[1].get(device, 0))
        for device in sorted({*sums[0], *sums[1]})
        if sums[0].get(device, 0) != sums[1].get(device, 0)
    ]
    return wrong


def measure(
    size: Size, seconds: int, rounds: int, names: Sequence[str]
) -> tuple[dict[str, list[tuple[dict[str, float], float]]], dict[str, str]]:
    """Runs of everybody in turn; and why somebody could not be had."""
    if reason := unavailable_reason():
        sys.exit(f"this needs Apache Kafka: {reason}")
    reports = Reports(size, seconds * 1000 // INTERVAL_MS, time.time_ns() // 1_000_000 - 60_000)
    runs: dict[str, list[tuple[dict[str, float], float]]] = {name: [] for name in names}
    lacking: dict[str, str] = {}
    with ExitStack() as stack:
        bench = Bench(stack, reports)
        bench.warm()
        for number in range(rounds):
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                if name in lacking:
                    continue
                try:
                    runs[name].append(bench.run(name, number))
                except UnavailableError as failure:
                    lacking[name] = str(failure)
    return runs, lacking


def run(options: Sequence[str] = ()) -> list[Row]:
    """Measures; ends with a line for programs."""
    parser = argparse.ArgumentParser(prog="peers")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of positions that wait")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each")
    parser.add_argument("--only", default=",".join(PEERS), help="some of them, with commas between")
    for name in ("radios", "vehicles", "neighbourhoods"):
        parser.add_argument(f"--{name}", type=int, default=getattr(SIZE, name))
    given = parser.parse_args(list(options))
    names = [name for name in PEERS if name in given.only.split(",")]
    if unknown := sorted(set(given.only.split(",")) - set(PEERS)):
        parser.error(f"there is no '{unknown[0]}': choose from {', '.join(PEERS)}")
    size = Size(given.radios, given.vehicles, given.neighbourhoods, 0)
    runs, lacking = measure(size, given.seconds, given.rounds, names)
    rows, figures = [], []
    for name, mine in runs.items():
        if name in lacking:
            rows.append(Row(line=f"{name} cannot be had here: {lacking[name]}"))
            figures.append(f"{name}=unavailable")
            continue
        totals = [sum(spent.values()) for spent, _ in mine]
        note = f"{min(totals):.1f} to {max(totals):.1f}, {median(rate for _, rate in mine):,.0f} events/s"
        rows.append(Row(name, median(totals), "µs/event", note))
        rows += [
            Row(f"  {part}", median(spent[part] for spent, _ in mine), "µs/event") for part in mine[0][0]
        ]
        figures.append(f"{name}={median(totals):.1f}")
    return [*rows, Row(line=f"peers: {' '.join(figures)}")]


if __name__ == "__main__":
    print(show(run(sys.argv[1:])))
