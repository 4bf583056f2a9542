"""What a command does not import, so that it starts quickly."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Kind
from geo.matching.history import FOREVER
from stream import clock
from stream.cli.common import KINDS
from stream.cli.explain import LEVELS
from stream.core.explaining import explanation
from stream.pipeline.processes import ABSENT, HTTP_CLIENT, loading

PROJECT = Path(__file__).resolve().parents[2]

HEAVY = {
    "aiokafka",
    "asyncio",
    "babel",
    "concurrent.futures",
    "convertbng",
    "fastapi",
    "faust",
    "geopandas",
    "hashlib",
    "jinja2",
    "kafka",
    "msgspec",
    "multiprocessing",
    "numpy",
    "pandas",
    "prometheus_client",
    "psycopg",
    "pyarrow",
    "pyogrio",
    "pyproj",
    "python_calamine",
    "rich",
    "shapely",
    "socket",
    "ssl",
    "typst",
    "uvicorn",
    "xlsxwriter",
}
"""What takes long to import, or belongs to servers."""

HELPS = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from stream.cli import patrol
def helps(command, *words):
    with redirect_stdout(StringIO()) as said:
        assert patrol([*words, "--help"], standalone_mode=False) == 0
    assert "Usage:" in said.getvalue()
    for name, item in getattr(command, "commands", {}).items():
        helps(item, *words, name)
helps(patrol)
print(json.dumps(sorted(sys.modules)))
"""
PART = """
import json, sys
import {}
print(json.dumps(sorted(sys.modules)))
"""
WORKER = """
import asyncio, inspect, json, os, sys
os.environ.update(PATROL_KAFKA="localhost:9", PATROL_DATABASE="postgresql://localhost:9/none")
from stream.cli import serve
def made(work):
    from stream.pipeline.agents import Worker
    from stream.settings import load
    async def make():
        return Worker(load(), asyncio.Event())
    asyncio.run(make()).close()
serve.until_told = made
serve.worker.callback(without_timers=False)
assert not inspect.modulesbyfile, "inspect has looked at the file of every module"
{}
print(json.dumps(sorted(sys.modules)))
"""
"""All of a worker up to its first question to a server."""

LEFT_OUT = (*ABSENT, HTTP_CLIENT)


def imported(program: str) -> set[str]:
    """The modules that a program says it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return set(found)


def test_the_help_of_no_command_imports_what_takes_long() -> None:
    """To print any command's --help neither arrays, databases, Kafka nor the web are imported."""
    assert imported(HELPS) & HEAVY == set()


@pytest.mark.parametrize(
    ("part", "spared"),
    [
        (
            "stream.pipeline.agents",
            {
                "fastapi",
                "geopandas",
                "pandas",
                "pyarrow",
                "pyogrio",
                "pyproj",
                "rich",
                "smtplib",
                "stream.core.summaries",
                "stream.files",
                "stream.reports",
                "stream.simulate",
                "stream.web",
                "uvicorn",
            },
        ),
        (
            "stream.pipeline.ingest",
            {"fastapi", "faust", "geopandas", "pandas", "pyarrow", "stream.files", "stream.web"},
        ),
    ],
)
def test_a_part_imports_nothing_of_the_others(part: str, spared: set[str]) -> None:
    """A worker starts without pages, files and reports, ingest also without agents."""
    assert imported(PART.format(part)) & spared == set()


def test_a_worker_imports_nothing_that_it_never_uses() -> None:
    """A worker that is made has no colours, codec or HTTP client, and looked at no module's file."""
    spared = {"aiohttp", "pygments", *LEFT_OUT}
    assert imported(WORKER.format("")) & spared == set()


def test_what_stayed_out_can_be_imported_later() -> None:
    """What a worker left out while it was loaded is found as ever by whoever asks for it afterwards."""
    later = f"import {', '.join(LEFT_OUT)}; assert aiohttp.client.ClientSession is aiohttp.ClientSession"
    assert imported(WORKER.format(later)) >= {"aiohttp", *LEFT_OUT}


@given(
    before=st.sets(st.sampled_from(LEFT_OUT)),
    collects=st.booleans(),
    failure=st.sampled_from([None, OSError]),
)
def test_loading_changes_nothing_for_good(
    before: set[str], collects: bool, failure: type[Exception] | None
) -> None:
    """What was imported before stays, no stand-in is left, the collector is as it was: also on failure."""
    held = {name: ModuleType(name) for name in before}
    collected = gc.isenabled()
    try:
        with patch.dict(sys.modules):
            for name in LEFT_OUT:
                sys.modules.pop(name, None)
            sys.modules.update(held)
            (gc.enable if collects else gc.disable)()
            with contextlib.suppress(OSError), loading():
                assert not gc.isenabled()
                assert {name: sys.modules[name] for name in before} == held
                for name in set(ABSENT) - before:
                    with pytest.raises(ModuleNotFoundError):
                        __import__(name)
                if failure is not None:
                    raise failure
            assert gc.isenabled() == collects
            assert {name: sys.modules[name] for name in LEFT_OUT if name in sys.modules} == held
    finally:
        gc.unfreeze()
        (gc.enable if collected else gc.disable)()


def test_what_is_written_twice_for_the_sake_of_help_is_the_same() -> None:
    """Choices that --help lists without importing where they come from are those."""
    assert isinstance(KINDS, click.Choice)
    assert list(KINDS.choices) == [kind.value for kind in Kind]
    assert LEVELS == explanation.LEVELS
    assert clock.UNKNOWN == -FOREVER
