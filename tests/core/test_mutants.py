"""The tool that puts faults into the sources: what it makes, what it leaves alone, whom it asks."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import equivalents, identity
from tests.mutants.copying import ROOT, asked_files, sources
from tests.mutants.making import Mutant, mutants
from tests.mutants.running import chosen, nearness


def made(source: str) -> set[str]:
    """What the mutated line of a one-line body becomes, for each mutant."""
    return {item.changed(source.encode())[1] for item in mutants("a.py", source.encode())}


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("x = a < b", {"x = (a <= b)", "x = (a >= b)"}),
        ("x = a == b", {"x = (a != b)"}),
        ("x = a in b", {"x = (a not in b)"}),
        ("x = a + b", {"x = (a - b)"}),
        ("x = a and b", {"x = (a or b)"}),
        ("x = not a", {"x = (a)"}),
        ("x = 3", {"x = (4)", "x = (2)"}),
        ("x = 3.0", {"x = (6.0)", "x = (1.5)"}),
        ("x = True", {"x = (False)"}),
        ("x = f(a, b)", {"x = (f(b, a))"}),
        ("x = f(a, key=b)", {"x = (f(a))"}),
        ("x = a[b:]", {"x = (a[:])", "x = (a[b + 1:])"}),
        ("f()", {"pass"}),
        ("x += a", {"x -= a", "pass"}),
        ("x = a if b else c", {"x = (a if not b else c)", "x = a if (not b) else c"}),
        ("x = [a for a in b if c]", {"x = [a for a in b if (True)]"}),
    ],
)
def test_each_kind_of_fault_is_made(line: str, becomes: set[str]) -> None:
    """A line has its mutants, and no others."""
    found = made(line)
    assert found <= becomes
    assert found


@pytest.mark.parametrize(
    "line",
    [
        '"""What it is."""',
        "import a",
        "x: int",
        'x = "a"',
        "x = zip(a, strict=True)",
        "x = np.minimum(a, b)",
        'x = f"{a + 1}"',
        "@dataclass(frozen=True)\nclass A:\n    pass",
        "assert a < b",
        "if TYPE_CHECKING:\n    x = 1 < 2",
    ],
)
def test_what_is_no_behaviour_is_left_alone(line: str) -> None:
    """Texts, annotations, decorators, assertions and what only type checkers read have no mutants."""
    assert made(line) == set()


@pytest.mark.parametrize("path", sources(ROOT))
def test_every_mutant_is_a_program_with_the_same_lines(path: str) -> None:
    """A mutant of any source is another program, and what is not mutated stays on its line."""
    source = sources(ROOT, path)[path]
    before = ast.dump(ast.parse(source))
    found = mutants(path, source)
    assert len(set(found)) == len(found)
    for item in found[:: max(1, len(found) // 10)]:
        after = item.applied(source)
        assert after.count(b"\n") == source.count(b"\n")
        assert ast.dump(ast.parse(after)) != before
        assert item.low <= item.high
        assert source[: item.low].count(b"\n") == item.line - 1


def test_the_function_is_named_as_its_code_is() -> None:
    """A mutant's function has the qualified name that tracing the tests gives."""
    source = (
        b"x = 1\nclass A:\n    def f(self, y=2):\n        def g():\n            return 3\n        return g\n"
    )
    assert {(item.function, item.line) for item in mutants("a.py", source)} == {
        ("", 1),
        ("", 3),
        ("A.f.<locals>.g", 5),
        ("A.f", 6),
    }


def test_core_geo_and_ledger_are_mutated() -> None:
    """The rooms that are to be mutated are found, wherever they stand."""
    found = Counter(Path(path).stem for path in sources(ROOT))
    assert {"slices", "shares", "alerts", "places", "legs", "ledger", "duties", "bookings"} <= set(found)
    assert {"checks", "crs", "diffs"} & set(found)
    assert len(found) > 30


def test_every_equivalent_is_a_mutant_of_today() -> None:
    """What is listed as equivalent can still be made, and says why it changes nothing."""
    known = equivalents()
    assert all(why.strip() for why in known.values())
    functions = {key[:2] for key in known}
    today = {
        identity(item, source)
        for path, source in sources(ROOT).items()
        for item in mutants(path, source)
        if (Path(path).stem, item.function) in functions
    }
    assert set(known) <= today


def test_the_nearest_files_come_first(tmp_path: Path) -> None:
    """Files of tests named like the module come first, then importers, directly or not, then the rest."""
    for name, imported in (
        ("stream/a", "stream.core.slices"),
        ("tests/test_slices_others", "stream.b"),
        ("tests/test_visits", "stream.core.slices"),
        ("tests/test_ledger", "stream.a"),
        ("tests/test_calendar", "stream.b"),
        ("tests/test_translices", "stream.b"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(f"import {imported}")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("tests/*.py"))
    assert nearness(tmp_path, "stream/core/slices.py", files) == [
        ["tests/test_slices_others.py"],
        ["tests/test_visits.py"],
        ["tests/test_ledger.py"],
        ["tests/test_calendar.py", "tests/test_translices.py"],
    ]


def test_tests_are_asked_that_call_the_function() -> None:
    """Tests that call the function are asked, the quicker ones first, as many as the time allows."""
    call = "stream/slices.py:slices"
    reach = {
        "one": {
            "shared": [],
            "tests": {
                "slow": {"seconds": 5, "calls": [call]},
                "quick": {"seconds": 2, "calls": [call]},
                "other": {"seconds": 1, "calls": ["stream/slices.py:pick"]},
            },
        },
        "two": {"shared": [call], "tests": {"by fixture": {"seconds": 3, "calls": []}}},
    }
    mutant = Mutant("stream/slices.py", 1, "slices", "constant", 0, 1, "2")
    assert chosen(mutant, reach, 100) == (["quick", "by fixture", "slow"], 10)
    assert chosen(mutant, reach, 6) == (["quick", "by fixture"], 5)
    assert chosen(mutant, reach, 100, others=True) == (["quick", "by fixture", "slow", "other"], 11)
    assert chosen(replace(mutant, function="gone"), reach, 100) == ([], 0)
    assert chosen(replace(mutant, function=""), reach, 100) == (["other", "quick", "by fixture", "slow"], 11)


def test_no_test_is_asked_that_needs_a_browser() -> None:
    """Files of tests that need a browser or Kafka are not asked, those of the core are."""
    asked = asked_files(ROOT)
    assert "tests/core/test_visits.py" in asked
    assert not [name for name in asked if "test_page" in name or "mutants" in name]
