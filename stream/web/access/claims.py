"""Who gets which role, by what an OpenID provider says of them: a table in a TOML file.

It reads the file once and knows nothing of how the claims came. Whoever no line fits gets nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from stream.core.grants import SCOPED, Grant, GrantError, Role, grant_of
from stream.core.toml import TomlError, toml
from stream.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Claims = dict[str, Any]
NAMES = ("preferred_username", "upn", "email")
"""Claims that an account is called by, the first that is there, where the file names none."""
MOST_SCOPE = 500
"""Neighbourhoods that one claim may give."""
MOST_TEXT = 200


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """Who has a value in a claim gets a role, with a scope from here or from another claim."""

    claim: str
    value: str
    role: str
    neighbourhoods: list[str] = []
    neighbourhoods_claim: str = ""
    officer_claim: str = ""


class File(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    role: list[Line]
    scopes: str = "openid profile email"
    name: str = ""
    shown: str = "name"
    prompt: Literal["", "login", "select_account"] = ""


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody as the provider describes them.

    Attributes:
        subject: the provider's own id of them, which never changes.
        name: what their account is called.
        shown: what pages call them.
        grants: their roles; empty: nobody has given them one.
    """

    subject: str
    name: str
    shown: str
    grants: tuple[Grant, ...]


class Roles:
    """The table of a file.

    Args:
        path: the file, TOML.

    Raises:
        SettingsError: it cannot be used; one line that says what to write.
    """

    def __init__(self, path: str) -> None:
        try:
            content = Path(path).read_bytes().decode("utf-8-sig")
            self.file = msgspec.convert(toml(content), File)
        except OSError as error:
            raise SettingsError(f"PATROL_ROLES={path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"PATROL_ROLES={path}: it is not text in UTF-8: save it as UTF-8") from error
        except (TomlError, msgspec.ValidationError) as error:
            raise SettingsError(f"PATROL_ROLES={path}: {error}") from error
        if "openid" not in self.file.scopes.split():
            raise SettingsError(f"PATROL_ROLES={path}: scopes must have openid among them")
        for at, line in enumerate(self.file.role, 1):
            if why := _wrong(line):
                raise SettingsError(f"PATROL_ROLES={path}: [[role]] number {at}: {why}")
        if not self.file.role:
            raise SettingsError(f"PATROL_ROLES={path}: it has no [[role]], so nobody could do anything")

    def told(self, claims: Mapping[str, Any]) -> Told:
        """Somebody whose claims have been checked."""
        subject = str(claims["sub"])
        grants = {grant for line in self.file.role if (grant := _grant(line, claims)) is not None}
        wanted = (self.file.name,) if self.file.name else NAMES
        name = next((text for path in wanted if (text := _text(claims, path))), "")
        if not name:
            name = f"person-{hashlib.sha256(subject.encode()).hexdigest()[:12]}"
        order = list(Role)
        return Told(
            subject,
            name,
            _text(claims, self.file.shown) or name,
            tuple(sorted(grants, key=lambda item: (order.index(item.role), str(item)))),
        )


def values(claims: Mapping[str, Any], path: str) -> list[str]:
    """What is at a path in claims, as texts: ``groups``, ``realm_access.roles``.

    A name with dots in it is found as it stands before the dots lead inside. What is neither text nor a list
    of texts nor a number is nothing.
    """
    for found in _at(claims, path):
        items = found if isinstance(found, list) else [found]
        return [str(item) for item in items if isinstance(item, str | int) and not isinstance(item, bool)]
    return []


def _at(claims: Any, path: str) -> Iterator[Any]:
    if not isinstance(claims, dict):
        return
    if path in claims:
        yield claims[path]
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        if name in claims:
            yield from _at(claims[name], ".".join(parts[cut:]))


def _text(claims: Mapping[str, Any], path: str) -> str:
    found = values(claims, path)
    text = " ".join(found[0].split()) if len(found) == 1 else ""
    return text if text.isprintable() else ""


def _wrong(line: Line) -> str:
    """What makes no sense in a line; empty: nothing."""
    try:
        role = Role(line.role)
    except ValueError:
        return f"role {line.role!r} does not exist: write one of {', '.join(Role)}"
    if not line.claim or not line.value:
        return "claim and value must say something"
    if line.neighbourhoods and line.neighbourhoods_claim:
        return "neighbourhoods or neighbourhoods_claim, not both"
    scoped = bool(line.neighbourhoods or line.neighbourhoods_claim)
    if scoped and role not in SCOPED:
        return f"role {role} is for the whole force: leave neighbourhoods out"
    if role is Role.SERGEANT and not scoped:
        return "role sergeant needs neighbourhoods, or neighbourhoods_claim"
    if (role is Role.OFFICER) != bool(line.officer_claim):
        return "role officer, and no other, needs officer_claim: the claim with the officer's own id"
    try:
        if line.neighbourhoods:
            grant_of(f"{role}:{','.join(line.neighbourhoods)}")
    except GrantError as error:
        return str(error)
    return ""


def _grant(line: Line, claims: Mapping[str, Any]) -> Grant | None:
    """What a line gives somebody. Where a scope is missing it gives nothing, rather than the whole force."""
    if line.value not in values(claims, line.claim):
        return None
    role = Role(line.role)
    if line.officer_claim:
        officer = _text(claims, line.officer_claim)
        return Grant(role, officer=officer) if 0 < len(officer) <= MOST_TEXT else None
    scope = line.neighbourhoods
    if line.neighbourhoods_claim:
        scope = [
            item
            for item in values(claims, line.neighbourhoods_claim)[:MOST_SCOPE]
            if 0 < len(item) <= MOST_TEXT and item.isprintable()
        ]
        if not scope:
            return None
    return Grant(role, frozenset(scope) if scope else None)
