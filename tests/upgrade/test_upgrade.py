"""From the last version with data in it to this one, and back: a backup is restored, and counted on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from stream.core.calendar import parse_time
from stream.store.schema import connect, migrate
from tests.shell.kafka import PROJECT
from tests.shell.pipeline import Facts, Message, Pipeline, assert_same, offline, tables
from tests.shell.stored import database_called
from tests.upgrade.make import BEFORE, accounted, restored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stream.embedded import EmbeddedBroker, EmbeddedDatabase

VERSION = "616a736"
"""The commit whose program made the backup: the last one before version 1.0 had a migration of its own."""
LAST = "0017_months_restated.sql"
"""Its newest migration."""


def told() -> tuple[Facts, int]:
    """What is sent, and how many of these messages the version before has counted."""
    story = json.loads((BEFORE / "story.json").read_text(encoding="utf-8"))
    lines = (BEFORE / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    messages = tuple(
        Message(topic, value.encode("latin-1"), stamp, key.encode("latin-1"))
        for topic, value, stamp, key in map(json.loads, lines)
    )
    areas = tuple((BEFORE / f"{kind}.geojson", str(kind)) for kind in story["areas"])
    return Facts(areas, messages, parse_time(story["until"])), int(story["counted"])


def test_a_database_of_the_last_version_is_counted_on(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """A database that is migrated, and told the rest, has what the account has of everything."""
    facts, counted = told()
    restored(database, BEFORE / "patrol.dump")
    with connect(database) as connection:
        assert connection.execute("select max(name) from migration").fetchall() == [(LAST,)]
    with Pipeline(embedded_broker.bootstrap, database, tmp_path) as pipeline:
        before = offline(Facts(facts.areas, facts.messages[:counted], facts.until), tmp_path / "before")
        assert_same(pipeline.export(facts.until), before)
        pipeline.posted += facts.messages[:counted]
        pipeline.post(facts.messages[counted:])
        pipeline.settle()
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))


@pytest.fixture(scope="module")
def last_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the last version."""
    found = subprocess.run(
        ["git", "archive", "--format=tar", VERSION, "stream", "geo", "deploy/migrations"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"needs the history: git fetch --unshallow, so that git has {VERSION}")
    folder = tmp_path_factory.mktemp("last")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def by_last_version(
    sources: Path, words: Sequence[str], database: str, bootstrap: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command of the last version's program to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PATROL_")}
    environment |= {
        "PYTHONPATH": str(sources),
        "PATROL_DATABASE": database,
        "PATROL_KAFKA": bootstrap,
        "PATROL_TOPIC_PREFIX": "last.",
    }
    return subprocess.run(
        [sys.executable, "-m", "stream", *words],
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_last_version_takes_its_backup_again_and_nothing_newer(
    database_server: EmbeddedDatabase,
    embedded_broker: EmbeddedBroker,
    database: str,
    last_version: Path,
    tmp_path: Path,
) -> None:
    """The older program refuses a newer schema in one line, and finds its backup as it left it."""
    _, counted = told()
    export = ["export", "--until", "2026-01-26T15:40:00Z", "--out", str(tmp_path / "export")]
    with database_called(database_server, "upgraded") as upgraded:
        restored(upgraded, BEFORE / "patrol.dump")
        with connect(upgraded) as connection:
            migrate(connection)
            connection.execute("insert into migration (name, sha256) values ('9999_newer_still.sql', '')")
        done = by_last_version(last_version, export, upgraded, embedded_broker.bootstrap)
        [line] = done.stderr.strip().splitlines()
        assert (done.returncode, "newer" in line) == (2, True), done
    restored(database, BEFORE / "patrol.dump")
    done = by_last_version(last_version, export, database, embedded_broker.bootstrap)
    assert done.returncode == 0, done
    words = [*accounted(tmp_path, counted), "--out", str(tmp_path / "account")]
    assert by_last_version(last_version, words, database, embedded_broker.bootstrap).returncode == 0
    assert_same(tables(tmp_path / "export"), tables(tmp_path / "account"))
