"""The small faults: each source as a syntax tree, and every place in it where one thing can be another.

A mutant replaces one expression or statement in the source's bytes; all other lines stay where they are, so
that the line numbers of what fails are those of the source.
"""

from __future__ import annotations

import ast
import copy
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
DROPPED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)
"""Statements that can be left out without a name going missing."""


UNSEEN = {"strict", "copy", "kind"}
"""Arguments that say how sure somebody is (``zip``) or how something is done (numpy), not what."""

SYMMETRIC = {"min", "max", "minimum", "maximum", "fmin", "fmax", "hypot", "changes"}
"""Functions whose arguments may stand in any order."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        path: of the source, from the root.
        line: where it is, counted from 1.
        function: the qualified name of the innermost function around it, as its code object has it; empty for
            what runs when the module is imported.
        kind: what sort of fault.
        low, high: the bytes of the source that are replaced.
        text: what stands there instead.
    """

    path: str
    line: int
    function: str
    kind: str
    low: int
    high: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """The source with the fault in it."""
        return source[: self.low] + self.text.encode() + source[self.high :]

    def changed(self, source: bytes) -> tuple[str, str]:
        """The lines that differ, before and after, each side as one line of text."""
        rows = self.diff(source, around=0).splitlines()[2:]
        gone, come = (
            " ".join(row[1:].strip() for row in rows if row[0] == sign and row[1:].strip()) for sign in "-+"
        )
        return gone, come

    def diff(self, source: bytes, around: int = 1) -> str:
        """The fault for people, with some lines around it."""
        before = source.decode().splitlines()
        after = self.applied(source).decode().splitlines()
        return "\n".join(difflib.unified_diff(before, after, self.path, self.path, n=around, lineterm=""))


def mutants(path: str, source: bytes) -> list[Mutant]:
    """Every mutant of a source, in the order of its lines.

    Left alone is what no test of behaviour could notice or what is not behaviour: docstrings, annotations,
    decorators, texts, and imports for type checkers.

    Args:
        path: the source's, from the root.
        source: its bytes.
    """
    maker = _Maker(path, source)
    maker.visit(ast.parse(source))
    return sorted(maker.found, key=lambda item: (item.low, item.high, item.kind, item.text))


class _Maker(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._starts = [0]
        for row in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(row))
        self._names: list[str] = []
        self._function = ""

    def _add(self, node: ast.expr | ast.stmt, kind: str, becomes: ast.AST) -> None:
        assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: PT018
        text = ast.unparse(becomes)
        lost = node.end_lineno - node.lineno - text.count("\n")
        if isinstance(node, ast.stmt):
            text += "\n" * max(lost, 0)
        else:
            text = f"({text}{chr(10) * max(lost, 0)})"
        low = self._starts[node.lineno - 1] + node.col_offset
        high = self._starts[node.end_lineno - 1] + node.end_col_offset
        self.found.append(Mutant(self._path, node.lineno, self._function, kind, low, high, text))

    # What is left alone.

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts, and Python 3.11 does not say where the parts of one are."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Said to type checkers."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The value, not the annotation."""
        if node.value is not None and "TypeAlias" not in ast.unparse(node.annotation):
            self.visit(node.value)

    def visit_match_case(self, node: ast.match_case) -> None:
        """The body, not the pattern."""
        for item in (*([node.guard] if node.guard else []), *node.body):
            self.visit(item)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Left out, but not said otherwise."""
        self._add(node, "dropped statement", ast.Pass())

    # Where they are.

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """What its body holds."""
        self._names.append(node.name)
        for item in node.body:
            self.visit(item)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults run outside, the body inside."""
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        before = self._function
        self._function = ".".join((*self._names, node.name))
        self._names += [node.name, "<locals>"]
        for item in node.body:
            self.visit(item)
        del self._names[-2:]
        self._function = before

    # What can be another thing.

    def visit_If(self, node: ast.If) -> None:
        """Asked the other way round."""
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._negated(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        """What it asks is mutated, not turned round: that would never end."""
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Asked the other way round."""
        self._negated(node.test)
        self.generic_visit(node)

    def _negated(self, test: ast.expr) -> None:
        if not isinstance(test, ast.Compare | ast.UnaryOp):  # they have their own opposites
            self._add(test, "negated", ast.UnaryOp(ast.Not(), test))

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Without its conditions."""
        for test in node.ifs:
            self._add(test, "dropped filter", ast.Constant(True))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Each comparison, its bound and its opposite."""
        for at, op in enumerate(node.ops):
            for other in COMPARED[type(op)]:
                after = copy.deepcopy(node)
                after.ops[at] = other()
                self._add(node, "comparison", after)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """The opposite operation, but not between texts, lists or types."""
        other = CALCULATED.get(type(node.op))
        sides = (node.left, node.right)
        texts = any(
            isinstance(side, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp)
            or (isinstance(side, ast.Constant) and not isinstance(side.value, int | float))
            for side in sides
        )
        if other is not None and not texts:
            self._add(node, "arithmetic", ast.BinOp(node.left, other(), node.right))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """The opposite operation, or left out."""
        other = CALCULATED.get(type(node.op))
        if other is not None:
            self._add(node, "arithmetic", ast.AugAssign(node.target, other(), node.value))
        self._add(node, "dropped statement", ast.Pass())
        self.visit(node.value)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """``and`` for ``or``, and each part left out."""
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add(node, "boolean", ast.BoolOp(other, node.values))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Without ``not``, ``~`` or the minus."""
        if not isinstance(node.op, ast.UAdd):
            self._add(node, "negated", node.operand)
        self.visit(node.operand)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Whole numbers one more and one less, others twice and half as large, truths turned round."""
        if isinstance(node.value, bool):
            self._add(node, "constant", ast.Constant(not node.value))
        elif isinstance(node.value, int):
            self._add(node, "constant", ast.Constant(node.value + 1))
            self._add(node, "constant", ast.Constant(node.value - 1))
        elif isinstance(node.value, float):
            self._add(node, "constant", ast.Constant(2 * node.value if node.value else 1.0))
            self._add(node, "constant", ast.Constant(node.value / 2 if node.value else -1.0))

    def visit_Call(self, node: ast.Call) -> None:
        """Each keyword left out, neighbouring arguments of one kind exchanged."""
        for at, item in enumerate(node.keywords):
            if item.arg is not None and item.arg not in UNSEEN:
                kept = [*node.keywords[:at], *node.keywords[at + 1 :]]
                self._add(node, "dropped argument", ast.Call(node.func, node.args, kept))
        for at, (one, two) in enumerate(zip(node.args, node.args[1:], strict=False)):
            alike = type(one) is type(two) and isinstance(one, ast.Name | ast.Attribute | ast.Subscript)
            alike = alike and ast.unparse(node.func).split(".")[-1] not in SYMMETRIC
            if alike and ast.unparse(one) != ast.unparse(two) and "isinstance" not in ast.unparse(node.func):
                args = [*node.args[:at], two, one, *node.args[at + 2 :]]
                self._add(node, "swapped arguments", ast.Call(node.func, args, node.keywords))
        for part in (
            node.func,
            *node.args,
            *(item.value for item in node.keywords if item.arg not in UNSEEN),
        ):
            self.visit(part)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """A slice without a bound, or with one beside it."""
        if isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
            for name in ("lower", "upper"):
                bound = getattr(node.slice, name)
                if bound is None:
                    continue
                others: list[ast.expr | None] = [None]
                if not isinstance(bound, ast.Constant):
                    others.append(ast.BinOp(bound, ast.Add(), ast.Constant(1)))
                for other in others:
                    after = copy.deepcopy(node)
                    setattr(after.slice, name, other)
                    self._add(node, "slice", after)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """Nothing in place of a value."""
        if node.value is not None:
            if not (isinstance(node.value, ast.Constant) and node.value.value is None):
                self._add(node, "return value", ast.Return(ast.Constant(None)))
            self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Left out; docstrings stay."""
        if isinstance(node.value, ast.Constant):
            return
        self._add(node, "dropped statement", ast.Pass())
        self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Left out where it changes something that is there already."""
        if all(isinstance(target, ast.Subscript | ast.Attribute) for target in node.targets):
            self._add(node, "dropped statement", ast.Pass())
        self.visit(node.value)

    def visit_Continue(self, node: ast.Continue) -> None:
        """Left out."""
        self._add(node, "dropped statement", ast.Pass())

    def visit_Break(self, node: ast.Break) -> None:
        """Left out."""
        self._add(node, "dropped statement", ast.Pass())


def generated(sources: dict[str, bytes]) -> Iterator[Mutant]:
    """The mutants of several sources, those that are still a program."""
    for path in sorted(sources):
        yield from mutants(path, sources[path])
