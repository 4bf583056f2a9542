"""The law of the house: imports run downwards, the core is pure, SQL stands in the store.

The folders are the law, and ``FLOORS`` is its picture; ``stream/README.md`` draws it. What a type checker
alone imports counts as much as any other import.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("web", "pipeline"),
    ("reports", "files"),
    ("store", "simulate", "embedded"),
    ("clock",),
    ("settings", "topics"),
    ("kafka_security",),
    ("secret_files",),
    ("core",),
    ("geo",),
)
"""From the top down. A folder, or a file beside the folders, imports lower floors only, and itself."""

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
    "psycopg_pool",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "urllib",
    "uuid",
}
"""Modules by which a server, a clock, chance or the environment would come into the core."""

MOMENTS = {"now", "utcnow", "today", "random", "default_rng"}
"""Attributes by which a clock or chance comes in through a module that is welcome for other things."""

STATEMENT = re.compile(
    r"\s*(select|insert into|update \w+ set|delete from|with (recursive )?\w+ as|create |alter |drop "
    r"|truncate |lock table|copy |set (local|session|transaction|statement)|listen |notify |declare "
    r"|analyze |vacuum)\b"
)
"""How a statement begins, in the lower case in which the house writes them."""

CURSOR_CALLS = {"execute", "executemany", "cursor"}
"""Methods of a connection that take a statement."""

SQL_OUTSIDE = {
    "stream/embedded.py": "starts a database server, and makes its database",
    "geo/boundaries/geopackage.py": "judges a file that is a database itself, before it is read",
}
"""Files that hold a statement though they are not in the store, and why."""


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


def room_of(module: str) -> str:
    """The folder of the law that a module belongs to; empty for what is none of ours."""
    parts = module.split(".")
    if parts[0] == "geo":
        return "geo"
    return parts[1] if parts[0] == "stream" and len(parts) > 1 else ""


def rises(room: str, tree: ast.AST, package: str) -> set[str]:
    """What a source of a room imports that is not below it."""
    floor = {name: at for at, names in enumerate(FLOORS) for name in names}
    return {
        name
        for name in imported(tree, package)
        if (other := room_of(name)) and other != room and floor[other] <= floor[room]
    }


def breaches_of_core(tree: ast.AST) -> set[str]:
    """What a source brings into the core that may not come in."""
    found = {name for name in imported(tree, "stream.core") if name.partition(".")[0] in OUTSIDE}
    return found | {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in MOMENTS
    }


def statements(tree: ast.AST) -> list[str]:
    """The SQL in a source: literals that begin as a statement does, and calls that run one."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if STATEMENT.match(text):
                found.append(text)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CURSOR_CALLS
        ):
            found.append(f".{node.func.attr}()")
    return found


@cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    """Every module of ``geo`` and ``stream`` by its dotted name."""
    found = {}
    for path in sorted([*(ROOT / "geo").rglob("*.py"), *(ROOT / "stream").rglob("*.py")]):
        if "node_modules" in path.parts:
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = (path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules that import each other, by Tarjan's strongly connected components."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in arrows.get(module, ()):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            at = stack.index(module)
            group, stack[at:] = set(stack[at:]), []
            if len(group) > 1:
                found.append(group)

    for module in sorted(arrows):
        if module not in number:
            visit(module)
    return found


def arrows() -> dict[str, set[str]]:
    """Which module imports which, those for types alone included."""
    known = modules()
    found = {}
    for name, (path, tree) in known.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        named = {item for item in imported(tree, package) if item in known}
        # ``from a import b`` names the package a too; where b is a module, a's own content is not used.
        used = {item for item in named if not any(other.startswith(f"{item}.") for other in named)}
        found[name] = used - {name}
    return found


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_run_downwards(name: str) -> None:
    """A module imports what lies on lower floors, or in its own folder, and nothing else."""
    path, tree = modules()[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    if name not in {"geo", "stream"}:
        assert rises(room_of(name), tree, package) == set()


def test_no_modules_import_each_other() -> None:
    """There is no circle of imports, not even by those that only the type checker follows."""
    assert circles(arrows()) == []


@pytest.mark.parametrize("name", [name for name in sorted(modules()) if name.startswith("stream.core")])
def test_the_core_is_pure(name: str) -> None:
    """No module of the core imports a server's library, a clock, chance or the environment."""
    assert breaches_of_core(modules()[name][1]) == set()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (path, _) in sorted(modules().items())
        if not name.startswith("stream.store") and path.relative_to(ROOT).as_posix() not in SQL_OUTSIDE
    ],
)
def test_sql_stands_in_the_store(name: str) -> None:
    """No module outside ``stream/store`` holds a statement or hands one to a connection."""
    assert statements(modules()[name][1]) == []


def test_no_package_takes_a_name_from_its_own_module() -> None:
    """A package imports no name that one of its modules has: the order of imports would decide."""
    known = modules()
    taken = [
        (name, item.name)
        for name, (path, tree) in known.items()
        if path.stem == "__init__"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for item in node.names
        if f"{name}.{item.name}" in known and node.module not in {name, f"{name}.{item.name}"}
    ]
    assert taken == []


def test_every_folder_has_its_floor() -> None:
    """What stands in ``stream`` is on one floor of the picture, and the picture shows nothing else."""
    there = {room_of(name) for name in modules() if room_of(name)}
    assert there == {name for names in FLOORS for name in names}
    assert all((ROOT / file).is_file() for file in SQL_OUTSIDE)


def test_every_room_says_what_it_is() -> None:
    """The first line of every module's docstring says what it is for."""
    silent = [
        name
        for name, (path, tree) in modules().items()
        if path.stem != "__init__" and not (ast.get_docstring(tree) or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("core", "from stream.store.ledger import Ledger"),
        ("core", "if TYPE_CHECKING:\n    from stream.settings import Settings"),
        ("core", "def late():\n    import stream.web"),
        ("store", "from stream.files.account import figures"),
        ("web", "from stream.pipeline import agents"),
        ("pipeline", "from stream.web.app import create_app"),
        ("pipeline", "from stream.cli import main"),
        ("files", "from stream import reports"),
        ("geo", "from stream.core.facts import Fixes"),
        ("store", "from ..web import app"),
    ],
)
def test_an_import_that_rises_is_caught(room: str, line: str) -> None:
    """An import of a higher floor, or of the other room on the same one, is found however it is written."""
    assert rises(room, ast.parse(line), f"stream.{room}")


@pytest.mark.parametrize(
    ("line", "breach"),
    [
        ("import time", "time"),
        ("import psycopg.rows", "psycopg.rows"),
        ("from kafka import KafkaConsumer", "kafka"),
        ("def late():\n    import random", "random"),
        ("from datetime import datetime\nx = datetime.now()", "now"),
        ("import numpy as np\nx = np.random.default_rng(1)", "default_rng"),
    ],
)
def test_what_makes_the_core_impure_is_caught(line: str, breach: str) -> None:
    """A clock, chance or a server is found however it is imported."""
    assert breach in breaches_of_core(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import UTC, date, datetime, time",
        "from stream.core.stays import Stays",
        "from stream.core import calendar",
        "from geo.matching.history import AreaHistory",
        "import numpy as np\nimport tomllib",
    ],
)
def test_what_may_come_into_the_core_is_let_in(line: str) -> None:
    """Values, arrays, ``geo`` and other core modules are no breach."""
    tree = ast.parse(line)
    assert breaches_of_core(tree) | rises("core", tree, "stream.core") == set()


@pytest.mark.parametrize(
    "line",
    [
        'x = "select 1"',
        'x = f"select {a} from fix"',
        'x = """\n    with a as (select 1) select * from a"""',
        'x = b"insert into fix values (1)"',
        "connection.execute(words)",
        "with connection.cursor() as cursor:\n    pass",
    ],
)
def test_a_statement_outside_the_store_is_caught(line: str) -> None:
    """A statement is found as text, as bytes, as a template, and where it is run."""
    assert statements(ast.parse(line))


def test_a_circle_is_caught() -> None:
    """Modules that import each other by way of a third are found as one circle."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def breaches_of_tests(source: str, package: str = "tests.core") -> set[str]:
    """The test modules that a source imports: what several of them need has a module of its own."""
    return {
        name
        for name in imported(ast.parse(source), package)
        if any(part.startswith("test_") for part in name.split(".")[:3])
    }


def test_no_module_imports_a_test_module() -> None:
    """Nothing in ``tests`` imports a ``test_*`` module."""
    found = {
        str(path.relative_to(ROOT)): breaches
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if (
            breaches := breaches_of_tests(
                path.read_text(encoding="utf-8"), ".".join(path.relative_to(ROOT).parent.parts)
            )
        )
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import tests.shell.test_ledger",
        "import tests.shell.test_ledger as ledger",
        "from tests.core.test_places import wards",
        "from tests.core import test_events as examples",
        "from . import test_events",
        "from .test_events import DUTY",
        "from ..shell.test_ledger import stored",
        "if TYPE_CHECKING:\n    from tests.core.test_abstraction import Case",
        "def late():\n    from tests.shell.test_ledger import stored",
    ],
)
def test_a_made_up_import_of_a_test_module_is_caught(line: str) -> None:
    """A test module is found however it is imported."""
    assert breaches_of_tests(line)


@pytest.mark.parametrize(
    "line",
    ["from tests.shell.stored import stored", "from tests import oracle", "from tests.real import DATA"],
)
def test_a_module_of_helpers_may_be_imported(line: str) -> None:
    """What is no test module may be imported by everybody."""
    assert breaches_of_tests(line) == set()
