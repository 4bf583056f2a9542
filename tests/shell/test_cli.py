"""The patrol command as people type it: help, wrong use, servers that are away, and each command's work."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, TopicPartition

from stream import topics
from stream.cli import main, patrol
from stream.cli.on_record import username
from stream.core.calendar import parse_time
from stream.core.facts import SECOND
from stream.embedded import free_port
from stream.pipeline.processes import command
from stream.settings import SETTINGS
from stream.simulate import demo_force, simulate
from tests.shell.pipeline import write_areas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedBroker

PROJECT = Path(__file__).resolve().parents[2]
AWAY_DATABASE = "postgresql://127.0.0.1:{port}/patrol"


def environment(**settings: str) -> dict[str, str]:
    """An environment with these settings and no others."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PATROL_")}
    return given | {f"PATROL_{name.upper()}": value for name, value in settings.items()} | {"COLUMNS": "110"}


def run(*words: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    return subprocess.run(
        command(*map(str, words)),
        env=environment(**settings),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def did(*words: str | Path, **settings: str) -> str:
    """Runs the command, which must succeed; returns what it printed."""
    done = run(*words, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed(*words: str | Path, **settings: str) -> str:
    """What the command prints when it is run in this process, which spares its start; it must succeed."""
    done = CliRunner().invoke(
        patrol, [str(word) for word in words], env=environment(**settings), catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


# ── Help and wrong use ────────────────────────────────────────────────────────────────────────────────────


def commands(group: click.Group = patrol, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that lead to it."""
    for name, item in group.commands.items():
        if isinstance(item, click.Group):
            yield from commands(item, *before, name)
        else:
            yield (*before, name), item


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_each_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    """Each command's --help exits 0 and has an example of just that command."""
    done = CliRunner().invoke(patrol, [*words, "--help"], prog_name="patrol")
    assert done.exit_code == 0
    example = " ".join(done.output[done.output.index("Example: ") :].split())
    assert f"patrol {' '.join(words)}" in example


def test_each_example_can_be_parsed() -> None:
    """The words of each example are understood by the command: only the file may be missing."""
    for words, item in commands():
        assert item.epilog is not None
        said = shlex.split(item.epilog.partition(f"patrol {' '.join(words)}")[2])
        with CliRunner().isolated_filesystem():
            for name in said:
                path = Path(name.partition(":")[0])
                if "." in path.name and not name.startswith("-"):
                    path.touch()
            item.make_context(words[-1], said)


def test_help_lists_all_commands_and_settings() -> None:
    """`patrol --help` lists every command; `patrol up --help` every setting."""
    said = did("--help")
    for words, _ in commands():
        assert re.search(rf"^  {words[0]} ", said, re.MULTILINE)
    said = CliRunner().invoke(patrol, ["up", "--help"]).output
    assert all(f"PATROL_{name.upper()}" in said for name in SETTINGS)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["walk"], "walk"),
        (["account"], "--areas"),
        (["account", "--areas", "a", "--positions", "no.csv", "--duties", "no", "--out", "x"], "no.csv"),
        (["simulate"], "--out"),
        (["simulate", "--officers", "0", "--out", "x"], "--officers"),
        (["simulate", "--start", "soon", "--out", "x"], "soon"),
        (["demo", "--for", "1"], "--for"),
        (["areas", "load", "pyproject.toml", "--kind", "pond", "--from", "2026-01-01"], "pond"),
        (["export"], "--out"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_exits_2(words: list[str], complaint: str) -> None:
    """A command used wrongly exits 2 and says what was wrong."""
    done = CliRunner().invoke(patrol, words)
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_a_fault_in_the_words_is_told_without_a_traceback() -> None:
    """In a process of its own too, wrong use exits 2 and shows no traceback."""
    done = run("account", "--out", "x")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Error: Missing option '--areas'." in done.stderr


@pytest.mark.parametrize(
    ("words", "variable"),
    [
        (["init"], "PATROL_KAFKA"),
        (["ingest"], "PATROL_KAFKA"),
        (["worker"], "PATROL_KAFKA"),
        (["up"], "PATROL_KAFKA"),
        (["export", "--out", "x"], "PATROL_DATABASE"),
        (["areas", "list"], "PATROL_DATABASE"),
        (["replay", "pyproject.toml"], "PATROL_KAFKA"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_missing_setting_is_named(
    words: list[str],
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A command without a setting that it needs exits 2 with one line that names the variable."""
    assert left(words, {}, monkeypatch) == 2
    assert re.fullmatch(rf"patrol: {variable} is not set: .+\n", capsys.readouterr().err)


def test_a_setting_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A setting that is no number exits 2 with one line that names the variable and the value."""
    assert left(["init"], {"PATROL_PARTITIONS": "many"}, monkeypatch) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"patrol: PATROL_PARTITIONS='many' is not a .*number: .+\n", said)


def left(words: list[str], settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code with which the program leaves, in this process."""
    for name in [name for name in os.environ if name.startswith("PATROL_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("sys.argv", ["patrol", *words])
    with pytest.raises(SystemExit) as leaving:
        main()
    return leaving.value.code


@pytest.mark.parametrize(
    "words",
    [
        ["init"],
        ["replay", "tracks.csv"],
        ["simulate", "--officers", "1", "--hours", "0.1", "--to-kafka"],
        ["up"],
        ["export", "--out", "x"],
        ["areas", "list"],
    ],
    ids="-".join,
)
def test_a_server_that_is_away_exits_3(words: list[str], tmp_path: Path) -> None:
    """A server that cannot be reached is told in one line, exit 3."""
    port = free_port()
    tracks = tmp_path / "tracks.csv"
    tracks.write_text(TRACKS)
    words = [str(tracks) if word == "tracks.csv" else word for word in words]
    done = run(*words, kafka=f"127.0.0.1:{port}", database=AWAY_DATABASE.format(port=port))
    assert done.returncode == 3, done.stderr
    assert re.fullmatch(r"patrol: .+\n", done.stderr)
    assert str(port) in done.stderr


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────

TOLERANCE_S = 30.0
"""How far an officer's counted time may be from the truth in an hour: positions are some metres wrong, and
whoever walks along an edge, or in and out of a station, is now and then counted on its other side."""


def simulated(folder: Path, seed: int = 1) -> Path:
    """A shift as files."""
    did("simulate", "--officers", "16", "--hours", "1", "--seed", str(seed), "--out", folder)
    return folder


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated shift."""
    return simulated(tmp_path_factory.mktemp("cli") / "shift")


def accounted(shift: Path, out: Path, *more: str) -> str:
    """What `patrol account` says of it."""
    return did(
        "account",
        *("--areas", shift / "areas.geojson", "--positions", shift / "positions.jsonl"),
        *("--duties", shift / "duties.jsonl", "--states", shift / "states.jsonl", "--out", out),
        *more,
    )


def test_accounts_of_a_simulated_shift_are_near_the_truth(shift: Path, tmp_path: Path) -> None:
    """Each officer's time by activity is the truth's within half a minute and the unknown; bytes repeat."""
    figures = json.loads(accounted(shift, tmp_path / "figures", "--json"))
    counted: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows(tmp_path / "figures" / "slices.csv"):
        length = (parse_time(row["end"]) - parse_time(row["start"])) / SECOND
        counted[row["duty_id"]][row["activity"]] += length
    truth = rows(shift / "truth.csv")
    assert len(truth) == len(counted) == 16
    for row in truth:
        found = counted[row["duty_id"]]
        for activity in ("on_patch", "off_patch", "not_visible", "break"):
            true = float(row[f"{activity}_s"])
            assert found[activity] - TOLERANCE_S <= true <= found[activity] + found["unknown"] + TOLERANCE_S
    [force] = figures["force"]
    assert 0.4 < force["share"] < 1
    assert figures["rows"]["slices"] == len(rows(tmp_path / "figures" / "slices.csv"))
    accounted(simulated(tmp_path / "again"), tmp_path / "figures again")
    assert contents(tmp_path / "again") == contents(shift)
    assert contents(tmp_path / "figures again") == contents(tmp_path / "figures")


def test_strict_accounts_exit_1_when_the_target_is_missed(shift: Path, tmp_path: Path) -> None:
    """With --strict, a force below the policy's target exits 1, and one that keeps it 0."""
    policy = tmp_path / "policy.toml"
    words: list[str | Path] = [
        *("account", "--areas", shift / "areas.geojson", "--positions", shift / "positions.jsonl"),
        *("--duties", shift / "duties.jsonl", "--strict", "--policy", policy, "--out", tmp_path / "out"),
    ]
    for target, code in ((0.99, 1), (0.01, 0)):
        policy.write_text(f"[[policy]]\ntarget = {target}\n")
        assert run(*words).returncode == code


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ── Servers ───────────────────────────────────────────────────────────────────────────────────────────────

TRACKS = (
    "device_id,time,lon,lat,kind\n"
    "R1,2026-01-26T10:00:00Z,-1.13,52.63,radio\n"
    "V1,2026-01-26T10:00:05Z,-1.12,52.62,vehicle\n"
    "R1,2026-01-26T10:00:10Z,-1.13,52.64,radio\n"
)


def sent(bootstrap: str, topic: str, count: int) -> list[Any]:
    """The first records of a topic; waits until there are so many."""
    consumer: Any = KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, consumer_timeout_ms=20_000
    )
    try:
        consumer.assign([TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)])
        consumer.seek_to_beginning()
        return [record for _, record in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


def test_areas_are_loaded_and_listed(embedded_broker: EmbeddedBroker, database: str, tmp_path: Path) -> None:
    """Areas are loaded after `patrol init`, the version in force is marked, a broken file is refused."""
    settings = {"kafka": embedded_broker.bootstrap, "database": database, "topic_prefix": "cliareas."}
    [(path, kind)] = [each for each in write_areas(demo_force(1), tmp_path) if each[1] == "neighbourhood"]
    load = ("areas", "load", path, "--kind", kind, "--from")
    done = run(*load, "2026-01-01", **settings)
    assert done.returncode == 2
    assert re.fullmatch(r"patrol: the database lacks .+: run 'patrol init' first\n", done.stderr)
    first = printed("init", **settings)
    assert "topic cliareas.radio.positions: created" in first
    assert "created" not in printed("init", **settings)
    assert "no areas yet" in printed("areas", "list", **settings)
    assert "version 1: 14 areas of kind neighbourhood" in printed(*load, "2026-01-01", **settings)
    assert "version 2: 14 areas of kind neighbourhood" in printed(*load, "2026-02-01", **settings)
    listed = json.loads(printed("areas", "list", "--json", **settings))
    assert [(item["version"], item["kind"], item["in_force"]) for item in listed] == [
        (1, "neighbourhood", False),
        (2, "neighbourhood", True),
    ]
    assert [item["valid_from"] for item in listed] == [
        "2026-01-01T00:00:00.000000Z",
        "2026-02-01T00:00:00.000000Z",
    ]
    marked = [line for line in printed("areas", "list", **settings).splitlines() if "in force" in line]
    assert any(re.match(r" *2 +neighbourhood ", line) for line in marked)
    assert not any(re.match(r" *1 +neighbourhood ", line) for line in marked)
    broken = tmp_path / "broken.geojson"
    broken.write_text("{}")
    done = run("areas", "load", broken, "--kind", "priority", "--from", "2026-01-01", **settings)
    assert done.returncode == 1
    assert "not published: 1 error" in done.stdout
    assert len(json.loads(printed("areas", "list", "--json", **settings))) == 2


def test_a_file_is_replayed_onto_topics(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """`patrol replay` sends each row to the topic of its kind, or all to one of the force's own."""
    settings = {"kafka": embedded_broker.bootstrap, "topic_prefix": "clireplay."}
    did("init", **settings, database=database)
    path = tmp_path / "tracks.csv"
    path.write_text(TRACKS)
    assert "sent 3 messages" in did("replay", path, "--speed", "0", **settings)
    radios = sent(embedded_broker.bootstrap, f"clireplay.{topics.RADIO_POSITIONS}", 2)
    vehicles = sent(embedded_broker.bootstrap, f"clireplay.{topics.VEHICLE_POSITIONS}", 1)
    assert [json.loads(record.value)["lat"] for record in radios] == [52.63, 52.64]
    assert [json.loads(record.value)["device_id"] for record in vehicles] == ["V1"]
    printed("replay", path, "--speed", "0", "--topic", topics.VEHICLE_POSITIONS, **settings)
    assert len(sent(embedded_broker.bootstrap, f"clireplay.{topics.VEHICLE_POSITIONS}", 4)) == 4
    refused = run("replay", path, "--topic", "none", **settings)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert (
        refused.stderr == "patrol: Kafka has no topic clireplay.none: run 'patrol init', or look at --topic\n"
    )


def test_a_simulated_shift_is_sent_to_kafka(embedded_broker: EmbeddedBroker, database: str) -> None:
    """`patrol simulate --to-kafka` sends as many messages as it says."""
    settings = {"kafka": embedded_broker.bootstrap, "topic_prefix": "clisimulate."}
    did("init", **settings, database=database)
    words = ("simulate", "--officers", "4", "--hours", "0.1", "--start", "2026-01-26T10:00:00Z", "--to-kafka")
    [(_, said)] = re.findall(r"(sent) ([\d,]+) messages", did(*words, **settings))
    count = int(said.replace(",", ""))
    found = [len(sent(settings["kafka"], f"clisimulate.{topic}", 1)) for topic in topics.RAW[:3]]
    assert found == [1, 1, 1]
    made = simulate(
        demo_force(1),
        officers=4,
        start=parse_time("2026-01-26T10:00:00Z"),
        hours=0.1,
        interval_s=5,
        seed=1,
    )
    assert count == sum(len(batch.value) for batch in made.messages())


# ── The demonstration ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_demonstration_has_a_figure_for_every_neighbourhood() -> None:
    """`patrol demo` ends by itself with exit 0 and a figure near the truth for each area patrolled."""
    said = did("demo", "--for", "25", "--officers", "16")
    force = demo_force(1)
    made = simulate(
        force, officers=16, start=parse_time("2026-11-23T07:00:00Z"), hours=10, interval_s=5, seed=1
    )
    patrolled = {area for duty in made.duties for area in duty.patch}
    assert len(patrolled) >= 5
    summary = said[said.index("The shift, and the truth") :]
    names = {area.area_id: area.name for area in force.areas() if area.kind == "neighbourhood"}
    for name in (*(names[area] for area in patrolled), "the force"):
        line = rf"^ +{name} +([\d.]+)% +[\d.]+%–[\d.]+% +([\d.]+)% +([\d.]+) pt"
        found = re.search(line, summary, re.MULTILINE)
        assert found, f"a figure for {name}: {summary}"
        assert 0 < float(found[1]) < 100
        assert float(found[3]) < 2
    for name in names.values():
        assert name in said


@pytest.mark.slow
def test_the_demonstration_ends_cleanly_when_interrupted() -> None:
    """Ctrl-C ends the demonstration with exit 0 and no traceback, and its processes with it."""
    process = subprocess.Popen(
        command("demo", "--officers", "16"),
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "faster than real time" in line:
            process.send_signal(signal.SIGINT)
    said = "".join(lines)  # the pipe is closed when the last process that holds it has ended
    assert process.wait(30) == 0, said
    process.stdout.close()
    assert "Traceback" not in said


def test_who_has_no_name_is_on_record_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container run by a bare number nobody has a name, and a change is on record all the same."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert username() == "user 54321"
