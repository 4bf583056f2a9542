"""What a command does not import, so that it starts quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from geo.areas import Kind
from geo.matching.history import FOREVER
from stream import clock
from stream.cli.common import KINDS
from stream.cli.explain import LEVELS
from stream.core.explaining import explanation

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


def test_what_is_written_twice_for_the_sake_of_help_is_the_same() -> None:
    """Choices that --help lists without importing where they come from are those."""
    assert isinstance(KINDS, click.Choice)
    assert list(KINDS.choices) == [kind.value for kind in Kind]
    assert LEVELS == explanation.LEVELS
    assert clock.UNKNOWN == -FOREVER
