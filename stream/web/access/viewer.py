"""Who asks: a person or a program with the roles that it has been given, each with its scope.

It knows nothing of how they signed in. What a role may see stands in the table of rights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stream.core.grants import Grant, Role

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["Entrance", "Grant", "Loopback", "Role", "Viewer", "viewer_of"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever asks, signed in.

    Attributes:
        account: the account's name, as it goes on record; unique.
        name: what a page calls them.
        grants: their roles.
        means: how they showed who they are: ``session``, ``token``, or ``demonstration``, where nobody does.
    """

    account: str
    name: str
    grants: tuple[Grant, ...]
    means: str = "session"

    @property
    def roles(self) -> frozenset[Role]:
        """Their roles without scopes."""
        return frozenset(grant.role for grant in self.grants)


class Entrance(Protocol):
    """Tells who asks."""

    async def viewer(self, connection: HTTPConnection) -> Viewer | None:
        """Whoever made a request; None where nobody is signed in."""


class Loopback:
    """Whoever reaches a port of this machine only, where nobody signs in: every role, the whole force."""

    everybody = Viewer(
        "loopback",
        "this machine",
        tuple(Grant(role) for role in Role if role is not Role.OFFICER),
        "demonstration",
    )

    async def viewer(self, _connection: HTTPConnection) -> Viewer | None:
        """Everybody."""
        return self.everybody


def viewer_of(connection: HTTPConnection) -> Viewer | None:
    """Whoever made a request, as the door found out; None where nobody has to be signed in."""
    found: Viewer | None = connection.state.viewer
    return found
