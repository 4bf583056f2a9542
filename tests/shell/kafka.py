"""The real Apache Kafka (4, KRaft, one node) for tests: the server that users run, from Maven Central.

Resolves the jars that ``deploy/kafka/pom.xml`` names (once: they stay in ``deploy/kafka/target``), formats a
temporary folder and runs the server on free ports of loopback.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from stream.embedded import Keeper, ThrowawayServer, free_port, speaks_kafka

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parents[2]
POM = PROJECT / "deploy" / "kafka" / "pom.xml"
_VERSION = re.findall(r"<kafka.version>(.+?)</kafka.version>", POM.read_text())[0]
JARS = POM.parent / "target" / f"kafka-{_VERSION}"

AS_SHIPPED = [
    *("-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
    *("-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]
"""How Kafka's own start script runs it: for measurements."""

_JVM = [
    "-Xms128m",
    "-Xmx512m",
    # A short life on a shared machine: the quick compiler and the collector without threads.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]


@functools.cache
def unavailable_reason() -> str | None:
    """Why the real Kafka cannot be run here and what to do about it; ``None`` where it can."""
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return "no Java found (install a JDK 17 and Maven)"
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < 17:
        return "no Java 17 or newer found (install a JDK 17 and Maven)"
    if _resolved():
        return None
    if shutil.which("mvn") is None:
        return "no Maven found (install Maven)"
    done = subprocess.run(
        ["mvn", "-B", "-q", "-Dstyle.color=never", "-f", str(POM), "package"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not _resolved():
        first = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
        return f"Maven could not resolve Kafka's jars (try: mvn -f deploy/kafka/pom.xml package): {first}"
    return None


def _resolved() -> bool:
    return (JARS / f"kafka_2.13-{_VERSION}.jar").exists()


class RealKafka(ThrowawayServer):
    """One Kafka node, broker and controller in one, with a fresh folder.

    Groups form at once (no initial rebalance delay) and sessions may be as short as 100 ms, so that tests are
    quick. :meth:`kill` and :meth:`start` crash it and begin it again on what it had written.

    Args:
        jvm: options of Java; None: for a short life on a shared machine.
        outside: a second listener's port, and the port that its clients are told to come to, where something
            stands between them and the server.
        settings: further lines of ``server.properties``.
    """

    name = "kafka"

    def __init__(
        self,
        outside: tuple[int, int] | None = None,
        jvm: Sequence[str] | None = None,
        **settings: object,
    ) -> None:
        self._jvm = _JVM if jvm is None else jvm
        self._outside = outside
        self._further = settings
        self._ports: tuple[int, int] | None = None

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:PORT``, for ``bootstrap_servers``."""
        assert self._ports is not None, "not started"
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped or crashed since."""
        return self._pid is not None

    def format_words(self) -> Sequence[str]:
        """Further words for the formatting of the folder."""
        return ()

    def begin(self) -> None:
        """Formats the folder where it is new, starts the server and returns when it answers."""
        reason = unavailable_reason()
        assert reason is None, reason
        java = ["java", *self._jvm, "-cp", f"{JARS}{os.sep}*"]
        if self.keeper is None:
            self.keeper = Keeper("kafka")
            self._ports = free_port(), free_port()
            properties = self._write(self.keeper.folder, *self._ports)
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            format_it = [
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",  # as one word: an id may begin with a dash
                "-c",
                str(properties),
                "--standalone",
                *self.format_words(),
            ]
            self.keeper.ask("run", command=[*java, *format_it], env={})
        assert self._ports is not None
        properties = self.keeper.folder / "server.properties"
        self.launch([*java, "kafka.Kafka", str(properties)], functools.partial(speaks_kafka, self._ports[0]))

    def _write(self, folder: Path, port: int, controller: int) -> Path:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": folder / "logs",
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 100,
            # After a crash the controller lets the broker in again when its former session has run out.
            "broker.session.timeout.ms": 1000,
            "broker.heartbeat.interval.ms": 250,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 2**24,
            **{name.replace("_", "."): value for name, value in self._further.items()},
        }
        if self._outside is not None:
            listens, told = self._outside
            settings["listeners"] = f"{settings['listeners']},OUTSIDE://127.0.0.1:{listens}"
            settings["advertised.listeners"] = (
                f"{settings['advertised.listeners']},OUTSIDE://127.0.0.1:{told}"
            )
            settings["listener.security.protocol.map"] = ",".join(
                f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", "OUTSIDE")
            )
            settings["inter.broker.listener.name"] = "PLAINTEXT"
        path = folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path
