"""Documentation is tested: what is public explains itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def sources() -> list[Path]:
    """All modules of both packages that have anything in them."""
    return sorted(
        path
        for package in ("geo", "stream")
        for path in (ROOT / package).rglob("*.py")
        if path.stat().st_size
    )


def silent(source: str) -> list[str]:
    """Public functions, classes and methods without a docstring; ``module`` where the module has none."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["module"]
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def inherited(owner: ast.ClassDef, name: str) -> bool:
        """Whether a base class in the same module says what the method does."""
        bases = [
            classes[base.id] for base in owner.bases if isinstance(base, ast.Name) and base.id in classes
        ]
        return any(
            getattr(node, "name", "") == name and ast.get_docstring(node)
            for base in bases
            for node in base.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ) or any(inherited(base, name) for base in bases)

    def look(nodes: list[ast.stmt], owner: ast.ClassDef | None) -> None:
        for node in nodes:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if node.name.startswith("_"):
                continue
            # A property's setter says nothing that its getter has not said; nor does an overload.
            marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
            known = owner is not None and inherited(owner, node.name)
            if not ast.get_docstring(node) and not known and not marks & {"setter", "overload"}:
                found.append(f"{owner.name}.{node.name}" if owner else node.name)
            if isinstance(node, ast.ClassDef):
                look(node.body, node)

    look(tree.body, None)
    return found


@pytest.mark.parametrize(
    "path", sources(), ids=lambda path: path.relative_to(ROOT).with_suffix("").as_posix()
)
def test_everything_public_has_a_docstring(path: Path) -> None:
    """Each module says what it is, and every public function, class and method in it what it does."""
    assert silent(path.read_text(encoding="utf-8")) == []


def test_a_made_up_silent_module_is_caught() -> None:
    """The walk finds modules, functions, classes and methods without a word, and passes over private ones."""
    source = """
def talk(): ...
class Room:
    def door(self): ...
    def _lock(self): ...
    async def open(self):
        '''Opens.'''
class Hall(Room):
    async def open(self): ...
    def close(self): ...
def _hidden(): ...
"""
    assert silent(source) == ["module", "talk", "Room", "Room.door", "Hall", "Hall.close"]
