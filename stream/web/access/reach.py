"""How far a viewer sees: whose figures, which officers, and themselves. Of grants and nothing else.

An officer is seen through a duty: it is in a viewer's reach where its patch includes one of the viewer's
neighbourhoods, or where it is their own. So an officer who changed neighbourhoods is seen in each of them
for the duties there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from stream.web.access.viewer import Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from starlette.requests import HTTPConnection

    from stream.core.facts import Duty
    from stream.web.access.viewer import Grant, Viewer

Ground: TypeAlias = frozenset[str] | None
"""Neighbourhoods by id; None: the whole force."""

NOWHERE: Final[frozenset[str]] = frozenset()

PERSONS: Final = frozenset({Role.INSPECTOR, Role.SERGEANT})
"""Who sees officers by name, and where they are."""

FIGURES: Final = PERSONS | {Role.ANALYST, Role.DISPLAY}
"""Who sees figures of neighbourhoods."""

SUMMARIES: Final = PERSONS | {Role.ANALYST}
"""Who sees weekly summaries."""


def within(ground: Ground, area_id: str | None) -> bool:
    """Whether a neighbourhood lies in a ground; what lies in none is seen by whoever sees the force."""
    return ground is None or area_id in ground


def meets(ground: Ground, areas: Iterable[str]) -> bool:
    """Whether one of some neighbourhoods lies in a ground; of none, whether it is the whole force."""
    return ground is None or not ground.isdisjoint(areas)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far somebody sees; equal for equal rights.

    Attributes:
        figures: the neighbourhoods whose figures they see.
        persons: those whose officers they see, by name and on the map.
        pseudonyms: those of which they see summaries with pseudonyms in place of officers.
        own: the officers' ids that they are themselves.
    """

    figures: Ground
    persons: Ground
    pseudonyms: Ground
    own: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether nothing is kept from them that the force's pages show."""
        return self.figures is None and self.persons is None

    @property
    def nobody(self) -> bool:
        """Whether they see no officer at all, not even themselves."""
        return self.persons == NOWHERE and not self.own

    def figure(self, area_id: str | None) -> bool:
        """Whether they see a neighbourhood's figure."""
        return within(self.figures, area_id)

    def named(self, area_id: str | None) -> bool:
        """Whether they see the officers of a neighbourhood."""
        return within(self.persons, area_id)

    def officer(self, officer_id: str, patch: Collection[str]) -> bool:
        """Whether they see an officer on a duty with a patch."""
        return meets(self.persons, patch) or officer_id in self.own

    def duty(self, duty: Duty) -> bool:
        """Whether they see a duty, and its officer in it."""
        return self.officer(duty.officer_id, duty.patch)

    def may_be(self, officer_id: str) -> bool:
        """Whether any duty of an officer can be in reach; nothing has to be read to say that none is."""
        return self.persons != NOWHERE or officer_id in self.own

    def patches(self, officer_id: str) -> list[str] | None:
        """Of an officer's duties those are seen whose patch has one of these; None: all of them."""
        return None if self.persons is None or officer_id in self.own else sorted(self.persons)


EVERYTHING: Final = Reach(None, None, None)
"""All that there is."""


@lru_cache(4096)
def ground(grants: tuple[Grant, ...], roles: frozenset[Role]) -> Ground:
    """The neighbourhoods that grants of some roles reach together."""
    found: set[str] = set()
    for grant in grants:
        if grant.role in roles:
            if grant.neighbourhoods is None:
                return None
            found |= grant.neighbourhoods
    return frozenset(found)


@lru_cache(4096)
def reach(grants: tuple[Grant, ...]) -> Reach:
    """How far grants reach."""
    return Reach(
        ground(grants, FIGURES),
        ground(grants, PERSONS),
        ground(grants, frozenset({Role.ANALYST})),
        frozenset(
            grant.officer for grant in grants if grant.role is Role.OFFICER and grant.officer is not None
        ),
    )


def reach_of(connection: HTTPConnection) -> Reach:
    """How far whoever made a request sees, as the table of rights found out."""
    found: Reach = connection.state.reach
    return found


def ground_of(connection: HTTPConnection) -> Ground:
    """The neighbourhoods that the roles which may ask this reach, as the table of rights found out."""
    found: Ground = connection.state.ground
    return found


def name_of(connection: HTTPConnection, said: str) -> str:
    """Under which name somebody acts: their own where they signed in, whatever the request says."""
    viewer: Viewer | None = connection.state.viewer
    return said.strip() if viewer is None or viewer.means == "demonstration" else viewer.name
