"""Roles that people and programs are given, how far each reaches, their text, and what makes no sense.

What a role may see stands in the table of rights (``stream.web.access``), not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Role(StrEnum):
    """What somebody does in the force."""

    INSPECTOR = "inspector"
    """The live picture of the force or of a local policing area."""
    SERGEANT = "sergeant"
    """Own neighbourhoods and the officers whose patch includes one of them."""
    GIS = "gis"
    """Areas, and no persons."""
    ANALYST = "analyst"
    """Figures, with pseudonyms in place of officers."""
    OFFICER = "officer"
    """What is held about themselves."""
    AUDITOR = "auditor"
    """The record, and no movements."""
    ADMINISTRATOR = "administrator"
    """Accounts and tokens, and no movements."""
    DISPLAY = "display"
    """A wall display: the force's figures, and no names."""
    MONITORING = "monitoring"
    """A program that reads metrics and health."""


SCOPED = frozenset({Role.INSPECTOR, Role.SERGEANT, Role.GIS, Role.ANALYST, Role.DISPLAY})
"""Roles that may be for some neighbourhoods only."""

LONGEST_ID = 200
"""The most characters of an id in a scope."""


class GrantError(ValueError):
    """A role that does not exist, or a scope that makes no sense; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role and how far it reaches.

    Attributes:
        role: the role.
        neighbourhoods: the neighbourhoods' ids; None: all of the force.
        officer: the officer's id of whoever is an officer; None otherwise.
    """

    role: Role
    neighbourhoods: frozenset[str] | None = None
    officer: str | None = None

    def __str__(self) -> str:
        """As ``grant_of`` reads it: ``sergeant:NC04,NC05``."""
        scope = sorted(self.neighbourhoods or ()) or ([self.officer] if self.officer else [])
        return f"{self.role}:{','.join(scope)}" if scope else str(self.role)


def grant_of(text: str) -> Grant:
    """The grant that a text says: ``inspector``, ``sergeant:NC04,NC05``, ``officer:1001``.

    Raises:
        GrantError: there is no such role, or its scope makes no sense.
    """
    name, colon, rest = text.strip().partition(":")
    try:
        role = Role(name.strip())
    except ValueError:
        raise GrantError(f"role {name.strip()!r} does not exist: write one of {', '.join(Role)}") from None
    scope = [part.strip() for part in rest.split(",") if part.strip()]
    if colon and not scope:
        raise GrantError(f"{text.strip()!r}: an id is missing behind the colon")
    if any(len(part) > LONGEST_ID or not part.isprintable() for part in scope):
        raise GrantError(f"{role}: an id has at most {LONGEST_ID} visible characters")
    if role is Role.OFFICER:
        if len(scope) != 1:
            raise GrantError("role officer needs the officer's own id: write officer:1001")
        return Grant(role, officer=scope[0])
    if role is Role.SERGEANT and not scope:
        raise GrantError("role sergeant needs neighbourhoods: write sergeant:NC04,NC05")
    if scope and role not in SCOPED:
        raise GrantError(f"role {role} is for the whole force: write {role} alone")
    return Grant(role, frozenset(scope) if scope else None)


def grants_of(texts: Iterable[str]) -> tuple[Grant, ...]:
    """The grants that texts say, each once, in the order of the roles.

    Raises:
        GrantError: one makes no sense.
    """
    order = list(Role)
    return tuple(
        sorted({grant_of(text) for text in texts}, key=lambda item: (order.index(item.role), str(item)))
    )
