"""A setting that cannot work is told when a process starts, in one line, and not when it is needed."""

from __future__ import annotations

import asyncio
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.cli import main
from stream.embedded import free_port
from stream.pipeline.starting import check_session
from stream.settings import Settings, SettingsError, check_files
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stream.embedded import EmbeddedBroker
    from tests.shell.kafka import RealKafka

NOWHERE = "postgresql:///none?host=/nowhere"


@pytest.fixture
def left(
    no_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, list[str]]]:
    """Runs a command with settings; gives its exit code and the lines that it wrote."""

    def run(words: str, **settings: object) -> tuple[object, list[str]]:
        for name, value in settings.items():
            monkeypatch.setenv(f"PATROL_{name.upper()}", str(value))
        monkeypatch.setattr(sys, "argv", ["patrol", *shlex.split(words)])
        with pytest.raises(SystemExit) as leaving:
            main()
        return leaving.value.code, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize("words", ["up", "web"])
def test_a_file_that_is_not_there_is_told_at_once(
    left: Callable[..., tuple[object, list[str]]], words: str, tmp_path: Path
) -> None:
    """A basemap or a file of postcodes that cannot be read ends the command with its name."""
    servers = {"kafka": f"127.0.0.1:{free_port()}", "database": NOWHERE}
    code, said = left(words, **servers, postcodes=tmp_path / "gone.csv")
    why = "No such file or directory: give a CSV with postcode, lat and long"
    assert (code, said) == (2, [f"patrol: PATROL_POSTCODES={tmp_path}/gone.csv: {why}"])
    codes = tmp_path / "codes.csv"
    codes.write_text("postcode,lat,long\n")
    what = "give a PMTiles file, or a tile address with {z}, {x} and {y}"
    for basemap, wrong in (
        (tmp_path / "gone.pmtiles", "No such file or directory"),
        (tmp_path, "Is a directory"),
        ("https://tiles.example/style.json", "No such file or directory"),
        (codes, "is no PMTiles file"),
    ):
        code, said = left(words, **servers, postcodes=codes, basemap=basemap)
        assert (code, said) == (2, [f"patrol: PATROL_BASEMAP={basemap}: {wrong}: {what}"])


@many(100)
@given(name=st.text(min_size=1, max_size=300))
def test_any_name_of_a_file_is_judged(name: str) -> None:
    """Whatever the setting holds, it names a file that can be read, or is refused by name."""
    for settings in (Settings(basemap=f"/nowhere/{name}"), Settings(postcodes=f"/nowhere/{name}")):
        if "{z}" not in settings.basemap:
            with pytest.raises(SettingsError, match=r"^PATROL_(BASEMAP|POSTCODES)="):
                check_files(settings)


@pytest.mark.kafka
@pytest.mark.parametrize("session_s", [0.05, 1801.0, 1e12])
def test_a_session_time_that_the_broker_refuses_is_told(
    left: Callable[..., tuple[object, list[str]]], real_kafka: RealKafka, database: str, session_s: float
) -> None:
    """Whichever command is first to ask the broker, it says so in one line."""
    servers = {"kafka": real_kafka.bootstrap, "database": database, "topic_prefix": "told."}
    for words in ("init", "ingest", "worker"):
        code, said = left(words, **servers, session_s=session_s)
        assert code == 2, said
        assert said[-1].startswith(
            f"patrol: PATROL_SESSION_S={session_s:g}: the broker takes no such session time"
        )
        assert len(said) == 1


def test_a_session_time_that_the_broker_takes_is_passed(any_broker: EmbeddedBroker | RealKafka) -> None:
    """The usual time and one of a second are taken, twice in a row: nobody is left in a group."""
    for session_s in (10.0, 1.0, 1.0):
        asyncio.run(check_session(Settings(kafka=any_broker.bootstrap, session_s=session_s)))


def test_copies_that_topics_lack_are_told(
    left: Callable[..., tuple[object, list[str]]], any_broker: EmbeddedBroker | RealKafka, database: str
) -> None:
    """Topics with one copy are refused where three are wanted, and taken where one is."""
    servers = {"kafka": any_broker.bootstrap, "database": database, "topic_prefix": "copies."}
    assert left("init", **servers)[0] == 0
    why = (
        "Kafka keeps 1 of the 3 copies that PATROL_REPLICATION wants: it is for new topics only; add copies "
        "with Kafka's own kafka-reassign-partitions.sh, or set PATROL_REPLICATION=1"
    )
    for words in ("init", "up"):
        code, said = left(words, **servers, replication=3)
        assert (code, said) == (2, [f"patrol: topic copies.radio.positions and 9 more: {why}"]), words
    code, said = left("init --check", **servers, replication=3)
    assert code == 1
    assert said == []  # what is missing is an answer, and goes to standard output
    assert left("init --check", **servers, replication=1)[0] == 0
