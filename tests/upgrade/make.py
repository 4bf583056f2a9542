"""``python -m tests.upgrade.make``: a backup with data in it, made by the version before the next one.

Run from the sources of that version, before anything of the next one is in them. What it sent and what it
will send stand beside the backup, so that nothing of it depends on how today's simulator makes facts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from stream import topics
from stream.core.calendar import parse_time, rfc3339
from stream.embedded import EmbeddedBroker, EmbeddedDatabase, database_install
from stream.simulate import demo_force, simulate
from tests.shell.pipeline import SHIFT, Message, Pipeline, facts_of

BEFORE = Path(__file__).parent / "before"


def main() -> None:
    """Counts the first half of a small shift, and writes the backup, the messages and the boundaries."""
    shutil.rmtree(BEFORE, ignore_errors=True)
    BEFORE.mkdir()
    force = demo_force(1)
    made = simulate(force, officers=4, start=parse_time(SHIFT), hours=0.5, interval_s=45.0, seed=17)
    facts = facts_of(made, force, BEFORE)
    half = len(facts.messages) // 2
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker() as broker:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs as another user
        with EmbeddedDatabase(folder / "database") as server:
            with Pipeline(broker.bootstrap, server.dsn, folder, doubt_s=0.2, examine_s=0.2) as pipeline:
                pipeline.load_areas(facts)
                pipeline.post(facts.messages[:half])
                pipeline.settle()
                pipeline.wait(lambda: not due(pipeline), "doubts and devices' days are looked at")
            tool = database_install() / "bin" / "pg_dump"
            subprocess.run(
                [tool, "--format=custom", "--compress=9", "--file", BEFORE / "patrol.dump", "-d", server.dsn],
                check=True,
            )
    lines = [_line(message) for message in facts.messages]
    (BEFORE / "messages.jsonl").write_text("".join(lines), encoding="utf-8")
    story = {"until": rfc3339(facts.until), "counted": half, "areas": [kind for _, kind in facts.areas]}
    (BEFORE / "story.json").write_text(json.dumps(story) + "\n", encoding="utf-8")


def due(pipeline: Pipeline) -> int:
    """What is still to be looked at."""
    [(count,)] = pipeline.connection.execute(
        "select (select count(*) from doubt_due) + (select count(*) from device_due)"
    ).fetchall()
    return int(count)


def restored(database: str, backup: Path) -> None:
    """Restores a backup into an empty database, as the runbook says."""
    tool = database_install() / "bin" / "pg_restore"
    subprocess.run([tool, "--exit-on-error", "--no-owner", "--dbname", database, backup], check=True)


def accounted(folder: Path, first: int | None = None) -> list[str]:
    """What ``patrol account`` is told to count all of it from files, which are written into a folder.

    Args:
        folder: one that is there.
        first: only so many messages.
    """
    home = {topics.DUTY_BOOKINGS: "duties", topics.DUTY_STATES: "states"}
    lines: dict[str, list[bytes]] = {name: [] for name in ("positions", "duties", "states")}
    story = json.loads((BEFORE / "story.json").read_text(encoding="utf-8"))
    for line in (BEFORE / "messages.jsonl").read_text(encoding="utf-8").splitlines()[:first]:
        topic, value, *_ = json.loads(line)
        lines[home.get(topic, "positions")].append(value.encode("latin-1") + b"\n")
    words = ["account", "--until", story["until"]]
    for kind in story["areas"]:
        words += ["--areas", f"{BEFORE / kind}.geojson:{kind}"]
    for name, found in lines.items():
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"".join(found))
        words += [f"--{name}", str(path)]
    return words


def _line(message: Message) -> str:
    value = message.value.decode("latin-1")  # some of them nobody can read
    return json.dumps([message.topic, value, message.stamp, message.key.decode("latin-1")]) + "\n"


if __name__ == "__main__":
    main()
