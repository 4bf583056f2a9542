"""No command, page or log repeats a password, however its address is written and whatever fails.

What processes write while servers go away and come back is looked at by ``tests.shell.ends``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from stream.cli import main
from stream.embedded import free_port
from stream.pipeline.processes import command

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "ZqxK9w"
LEAKS = (
    ("PATROL_DATABASE", f"postgresql://patrol:{SECRET}/x@db:5432/patrol"),
    ("PATROL_DATABASE", f"postgresql://patrol:{SECRET}@[::1/patrol"),
    ("PATROL_DATABASE", f"host=db passwrd={SECRET}"),
    ("PATROL_KAFKA", f"patrol:{SECRET}@kafka:9092"),
    ("PATROL_KAFKA", f"sasl://patrol:{SECRET}:kafka:9092"),
    ("PATROL_SMTP", f"smtp://patrol:{SECRET}@[mail"),
)
ROW = '{"device_id":"A","time":"2026-11-20T14:00:00Z","lat":52.6,"lon":-1.1}\n'
COMMANDS = (
    "init",
    "init --check",
    "ingest",
    "worker",
    "web --port 0",
    "up",
    "export --out OUT",
    "areas list",
    "areas rollback --kind premises",
    "areas restatements",
    "policy list",
    "recompute --from 2026-11-16 --to 2026-11-23",
    "report weekly --week 2026-W47 --out OUT",
    "report publish --week 2026-W47",
    "report public --month 2026-10 --out OUT",
    "explain --force --week 2026-W47",
    "teams",
    "postcode LE1 1AA",
    "replay ROW",
    "bridge ROW",
)
"""Those that speak to a server."""
PATHS = ("/readyz", "/healthz", "/metrics", "/api/v1/live", "/collections", "/weeks", "/")


@pytest.mark.parametrize(("name", "value"), LEAKS, ids=[f"{name}-{at}" for at, (name, _) in enumerate(LEAKS)])
@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.usefixtures("no_settings")
def test_no_command_repeats_a_password(
    name: str,
    value: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An address that cannot be one is refused in one line that has nothing of the password."""
    monkeypatch.setenv("PATROL_DATABASE", "postgresql://127.0.0.1:1/patrol")
    monkeypatch.setenv("PATROL_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv(name, value)
    row = tmp_path / "row.jsonl"
    row.write_text(ROW)
    places = {"ROW": str(row), "OUT": str(tmp_path / "out")}
    monkeypatch.setattr(sys, "argv", ["patrol", *(places.get(word, word) for word in words.split())])
    with pytest.raises(SystemExit) as caught:
        main()
    said = "".join(capsys.readouterr())
    assert caught.value.code == 2
    assert len(said.strip().splitlines()) == 1
    assert said.startswith(f"patrol: {name}")
    assert SECRET not in said


@pytest.mark.parametrize("source", ["mqtt:/patrol:{}@broker/t", "mqtt://patrol:{}@broker:port/t", "mqtts:{}"])
def test_no_source_of_a_bridge_is_repeated(
    source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A source that is none, or nearly an address, is refused without a word of the password in it."""
    monkeypatch.setattr(sys, "argv", ["patrol", "bridge", source.format(SECRET), "--dry-run"])
    with pytest.raises(SystemExit) as caught:
        main()
    said = "".join(capsys.readouterr())
    assert caught.value.code == 2
    assert SECRET not in said


def test_pages_tell_nothing_of_a_database_that_is_away(tmp_path: Path) -> None:
    """Readiness, metrics, the API and the log have no password of a database that cannot be reached."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PATROL_")}
    log = tmp_path / "log"
    with (
        log.open("wb") as said,
        httpx.Client(timeout=60) as client,
        subprocess.Popen(
            command("web", "--port", "0"),
            env={
                **given,
                "PATROL_DATABASE": f"postgresql://patrol:{SECRET}@127.0.0.1:{free_port()}/patrol",
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as web,
    ):
        assert web.stdout is not None
        address = web.stdout.readline().strip().rstrip("/")
        answers = [client.get(f"{address}{path}") for path in PATHS]
        web.terminate()
        assert web.wait() == 0
    assert {answer.status_code for answer in answers} == {200, 503}
    for text in (*(answer.text for answer in answers), log.read_text()):
        assert SECRET not in text
