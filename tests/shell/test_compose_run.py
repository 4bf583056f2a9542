"""What docker-compose.yml starts, started: the very commands with the very settings, as confined as there.

There is no container engine here. A process gets what Compose would give it: the user without any right, a
file system that it cannot write but for its ``tmpfs``, the secrets and settings that ``make prepare`` wrote,
and the limits. Only addresses, ports and folders differ, which a container would have to itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
import yaml

from stream.embedded import EmbeddedDatabase, database_install, free_port
from tests.shell.composed import filled_in
from tests.shell.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.shell.kafka import RealKafka

PROJECT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(filled_in((PROJECT / "docker-compose.yml").read_text()))[
    "services"
]
PARTS = ["ingest", "worker", "web"]
CONFINED = """
set -e
mount --make-rprivate /
mount -o remount,ro,bind /
mount -t tmpfs -o "$TMPFS" tmpfs "$TMPDIR"
cd "$TMPDIR"
exec "$@"
"""
"""In a mount namespace of its own: nothing can be written but what Compose's ``tmpfs`` names."""


def unconfinable() -> str | None:
    """Why a process cannot be confined here; None where it can."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return "needs root, and unshare and setpriv of util-linux"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount --make-rprivate / && mount -o remount,ro,bind /"],
        capture_output=True,
        check=False,
    )
    return None if done.returncode == 0 else "this machine allows no mount namespaces"


@dataclass
class Machine:
    """A machine that docker-compose.yml is started on, without an engine.

    Attributes:
        folder: a copy of what ``make prepare`` writes into, and a folder for each process.
        kafka, database: where the two servers are in place of their names.
        ports: in place of the ports in the file.
    """

    folder: Path
    kafka: str
    database: str
    ports: dict[str, dict[str, str]] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def here(self, name: str, text: str) -> str:
        """Something of a service's definition, as it has to be on this machine."""
        ports = self.ports.setdefault(name, {port: str(free_port()) for port in ("9101", "8080")})
        for inside, outside in (
            ("kafka:19092", self.kafka),
            ("/run/secrets/", f"{self.folder}/deploy/secrets/"),
            ("/etc/patrol/", f"{self.folder}/deploy/config/"),
            *ports.items(),
        ):
            text = text.replace(inside, outside)
        return text

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Starts a service's process as it is defined."""
        service = SERVICES[name]
        own = self.folder / name
        own.mkdir()
        own.chmod(0o755)
        (place,) = service["tmpfs"]
        user, group = service["user"].split(":")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "TMPDIR": str(own),
            "TMPFS": place.partition(":")[2],
            "PYTHONDONTWRITEBYTECODE": "1",
            **{key: self.here(name, str(value)) for key, value in service["environment"].items()},
        }
        words = [sys.executable, "-m", "stream", *(self.here(name, str(word)) for word in service["command"])]
        rights = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        rights += ["--bounding-set=-all", "--inh-caps=-all"]
        pids = service["deploy"]["resources"]["limits"]["pids"]
        limits = ["prlimit", f"--nproc={pids}"]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", CONFINED, "sh", *limits, *rights, *words],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.running[name] = process
        return process

    def healthy(self, name: str) -> bool:
        """Asks the service's own health check; a process that has ended is a failure."""
        assert self.running[name].poll() is None, self.log(name)
        test = SERVICES[name]["healthcheck"]["test"]
        assert test[:2] == ["CMD", "python"]
        words = [sys.executable, "-S", *(self.here(name, str(word)) for word in test[2:])]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def log(self, name: str) -> str:
        """What it wrote."""
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        """Ends what was started."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def prepared(folder: Path) -> list[str]:
    """Has ``make prepare``'s script write into a folder; returns what it says."""
    (folder / "deploy").mkdir(exist_ok=True)
    script = shutil.copy(PROJECT / "deploy" / "prepare.sh", folder / "deploy")
    done = subprocess.run([script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def bytes_of(text: str) -> int:
    """How many bytes ``2g`` or ``256m`` are."""
    return int(text[:-1]) << {"g": 30, "m": 20}[text[-1]]


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """Preparing writes every file that Compose names, none of them twice, and says which."""
    said = prepared(tmp_path)
    document = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    for secret in document["secrets"].values():
        path = tmp_path / secret["file"]
        assert f"wrote {secret['file'].removeprefix('./')}" in said
        assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "deploy/secrets").stat().st_mode & 0o777 == 0o700
    passwords = {path.read_text() for path in (tmp_path / "deploy/secrets").glob("*_password")}
    assert len(passwords) == 2
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in passwords)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert prepared(tmp_path) == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    (tmp_path / "deploy/secrets/grafana_password").unlink()
    assert prepared(tmp_path) == ["wrote deploy/secrets/grafana_password"]


@pytest.fixture(scope="module")
def machine(real_kafka: RealKafka) -> Iterator[Machine]:
    """Both servers as Compose has them: the database with passwords, its role made by the image's script."""
    if reason := unconfinable():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        # Not in pytest's folder, which keeps other users out.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="patrol-compose-")))
        folder.chmod(0o755)
        yield stack.enter_context(contextlib.contextmanager(set_up)(folder, real_kafka))


def set_up(folder: Path, real_kafka: RealKafka) -> Iterator[Machine]:
    """The machine, with its database started and ended."""
    prepared(folder)
    (folder / "deploy/secrets").chmod(0o755)  # a container is given the files, not the folder
    access = folder / "pg_hba.conf"
    access.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    port = free_port()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            EmbeddedDatabase(listen_addresses="127.0.0.1", port=port, hba_file=access)
        )
        with psycopg.connect(f"{server.dsn_of('postgres')}&port={port}", autocommit=True) as connection:
            connection.execute("drop database patrol")
        subprocess.run(
            [PROJECT / "deploy/database/roles.sh"],
            env={
                "PATH": f"{database_install() / 'bin'}:{os.environ['PATH']}",
                "PGHOST": str(server.folder),
                "PGPORT": str(port),
                "PATROL_PASSWORD_FILE": str(folder / "deploy/secrets/database_password"),
            },
            check=True,
        )
        dsn = folder / "deploy/secrets/patrol_database"
        dsn.write_text(dsn.read_text().replace("@database/", f"@127.0.0.1:{port}/"))
        found = Machine(folder, real_kafka.bootstrap, dsn.read_text())
        stack.callback(found.close)
        yield found


@pytest.mark.kafka
def test_what_compose_starts_runs_as_confined_as_it_says(machine: Machine) -> None:
    """After init all parts become healthy by their own checks, with no right, and within their limits."""
    init = machine.start("init")
    assert init.wait(120) == 0, machine.log("init")
    assert "topic radio.positions: created" in machine.log("init")
    for name in PARTS:
        machine.start(name)
    pipeline = Pipeline(machine.kafka, machine.database, machine.folder / "sent", parts=())
    for name in PARTS:
        pipeline.wait(lambda name=name: machine.healthy(name), f"{name} is healthy")  # type: ignore[misc]
    for name in PARTS:
        pid = machine.running[name].pid
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == ["10001"] * 4
        assert status["NoNewPrivs"].strip() == "1"
        for kind in ("CapEff", "CapPrm", "CapBnd", "CapInh"):
            assert int(status[kind], 16) == 0
        limits = SERVICES[name]["deploy"]["resources"]["limits"]
        assert int(status["VmHWM"].split()[0]) << 10 < bytes_of(limits["memory"])
        assert int(status["Threads"]) < limits["pids"]
    metrics = httpx.get(f"http://127.0.0.1:{machine.ports['worker']['9101']}/metrics").text
    assert "patrol_worker_ready 1.0" in metrics
    assert httpx.get(f"http://127.0.0.1:{machine.ports['web']['8080']}/").status_code == 200


@pytest.mark.kafka
def test_the_application_is_no_superuser(machine: Machine) -> None:
    """The role of the application owns its database and can make no role, no database and read no file."""
    with psycopg.connect(machine.database, autocommit=True) as connection:
        row = connection.execute(
            "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls "
            "from pg_roles where rolname = current_user"
        ).fetchone()
        assert row == (False,) * 5
        for refused in (
            "create role other",
            "create database other",
            "copy (select 1) to '/tmp/x'",
            "copy pg_temp.x from program 'id'",
            "select pg_read_file('/etc/passwd')",
            "alter system set fsync = off",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(refused.encode())


DOCKER = r"""#!/bin/sh
# Stands in for the engine's client: every image is known, and `compose config` fills in what .env says.
case "$*" in
  pull*) ;;
  image*) eval "last=\${$#}"; echo "${last%%:*}@sha256:$(printf '%s' "$last" | sha256sum | cut -d' ' -f1)" ;;
  *config) . ./.env; eval "cat <<END
$(grep -E '^ *(image|PYTHON_IMAGE): ' docker-compose.yml)
END" ;;
esac
"""


def test_an_image_without_a_digest_is_refused(tmp_path: Path) -> None:
    """Digests are written for every image fetched, again each time; one named by its tag is refused."""
    prepared(tmp_path)
    for name in ("docker-compose.yml", "deploy/images.sh"):
        shutil.copy(PROJECT / name, tmp_path / name)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)

    def images(word: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{docker.parent}:{os.environ['PATH']}"}
        words = [str(tmp_path / "deploy" / "images.sh"), word]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    before = images("check")
    assert before.returncode == 1
    named = set(before.stderr.partition("make images:")[2].split())
    assert {name.partition(":")[0] for name in named} == {
        *("apache/kafka", "postgres", "python", "prom/prometheus", "grafana/grafana")
    }
    assert images("lock").returncode == 0
    assert images("check").returncode == 0
    written = (tmp_path / ".env").read_text()
    assert {line.split("=")[1].partition("@")[0] for line in written.splitlines() if line[0] != "#"} == named
    assert images("lock").returncode == 0
    assert (tmp_path / ".env").read_text() == written
    (tmp_path / ".env").write_text(re.sub(r"(DATABASE_IMAGE=.*)@.*", r"\1", written))
    assert images("check").stderr.split()[-1].startswith("postgres:")
