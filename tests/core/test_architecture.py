"""Who may come in where: the core reaches no shell, ``geo`` reaches no ``stream``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CORE = (
    *("abstraction", "alerts", "calendar", "columns", "conditions", "crewing", "events", "explanation"),
    *("facts", "frames", "overview", "policy", "postcodes", "projection", "public", "shares", "slices"),
    *("stays", "summarising", "summary", "teams", "visits", "windows", "wording"),
)
"""The rooms of ``stream`` that are pure; everything else in it is a shell."""

OUTSIDE = {
    "aiokafka",
    "asyncio",
    "click",
    "faust",
    "http",
    "kafka",
    "mode",
    "os",
    "psycopg",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "urllib",
    "uuid",
}
"""Modules by which a server, a clock, chance or the environment would come in."""

MOMENTS = {"now", "utcnow", "today", "random", "default_rng"}
"""Attributes by which a clock or chance comes in through a module that is welcome for other things."""


def imported(tree: ast.AST, package: str) -> set[str]:
    """Every module that a source imports, anywhere in it; of ``from a import b`` both ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.update({base, *(f"{base}.{item.name}" for item in node.names)})
    return found


def breaches_of_core(source: str) -> set[str]:
    """What a source brings into the core that may not come in."""
    tree = ast.parse(source)
    found = set()
    for name in imported(tree, "stream"):
        first, _, rest = name.partition(".")
        if first in OUTSIDE or (first == "stream" and rest and rest.split(".")[0] not in CORE):
            found.add(name)
    return found | {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in MOMENTS
    }


def breaches_of_geo(source: str) -> set[str]:
    """What a source brings into ``geo`` that may not come in."""
    return {
        name
        for name in imported(ast.parse(source), "geo")
        if name.partition(".")[0] in {"stream", "tests", "kafka", "aiokafka", "faust", "psycopg"}
    }


def geo_modules() -> list[Path]:
    """All sources of ``geo``."""
    return sorted((ROOT / "geo").rglob("*.py"))


@pytest.mark.parametrize("name", CORE)
def test_the_core_reaches_no_shell(name: str) -> None:
    """No core room imports a shell, a server's library, a clock or chance."""
    assert breaches_of_core((ROOT / "stream" / f"{name}.py").read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("path", geo_modules(), ids=lambda path: path.stem)
def test_geo_reaches_no_stream(path: Path) -> None:
    """Nothing in ``geo`` knows of officers, Kafka or the database."""
    assert breaches_of_geo(path.read_text(encoding="utf-8")) == set()


def test_every_room_of_stream_says_whether_it_is_core_or_shell() -> None:
    """A core room calls itself one in its docstring, and no other does."""
    said = {
        path.stem
        for path in (ROOT / "stream").glob("*.py")
        if "core room" in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    }
    assert said == set(CORE)


@pytest.mark.parametrize(
    ("line", "breach"),
    [
        ("import time", "time"),
        ("import psycopg.rows", "psycopg.rows"),
        ("from kafka import KafkaConsumer", "kafka"),
        ("from stream import ingest", "stream.ingest"),
        ("from stream.store.ledger import Ledger", "stream.store.ledger"),
        ("from . import agents", "stream.agents"),
        ("from .web import pages", "stream.web"),
        ("def late():\n    import random", "random"),
        ("if TYPE_CHECKING:\n    from stream.settings import Settings", "stream.settings"),
        ("from datetime import datetime\nx = datetime.now()", "now"),
        ("import numpy as np\nx = np.random.default_rng(1)", "default_rng"),
    ],
)
def test_a_made_up_bad_core_room_is_caught(line: str, breach: str) -> None:
    """A clock, chance, a server or a shell is found however it is imported."""
    assert breach in breaches_of_core(line)


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import UTC, date, datetime, time",
        "from stream.stays import Stays",
        "from stream import calendar",
        "from geo.history import AreaHistory",
        "import numpy as np\nimport tomllib",
    ],
)
def test_what_may_come_into_the_core_is_let_in(line: str) -> None:
    """Values, arrays, ``geo`` and other core rooms are no breach."""
    assert breaches_of_core(line) == set()


@pytest.mark.parametrize("line", ["from stream.facts import Fixes", "import stream", "import psycopg"])
def test_a_made_up_bad_room_of_geo_is_caught(line: str) -> None:
    """``geo`` may not look back into ``stream``."""
    assert breaches_of_geo(line)


def test_the_lists_name_what_there_is() -> None:
    """Every core room exists, so that none escapes by being renamed."""
    assert all((ROOT / "stream" / f"{name}.py").is_file() for name in CORE)
    assert len(geo_modules()) > 5
