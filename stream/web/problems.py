"""The API's error answers (RFC 9457)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class ProblemJson(msgspec.Struct):
    """An error: RFC 9457, and under ``code`` and ``description`` as OGC API Features has it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    description: str


class ProblemError(Exception):
    """A request that cannot be answered: an HTTP status, a code for programs and a line for people."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description


def bad(description: str) -> ProblemError:
    """A request with an invalid parameter."""
    return ProblemError(400, "InvalidParameterValue", description)


def known(pairs: Iterable[tuple[str, str]], names: Iterable[str]) -> dict[str, str]:
    """Parameters by name.

    Raises:
        ProblemError: one is not among the names, or is given twice.
    """
    names = tuple(names)
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in names:
            listed = f"; known here: {', '.join(names)}" if names else "; none is known here"
            raise bad(f"unknown parameter {name!r}{listed}")
        if name in given:
            raise bad(f"{name} is given twice")
        given[name] = value
    return given
