"""The demonstration's entrance: nobody signs in, and a menu shows the pages as each role sees them.

It is for made-up officers on this machine only. What somebody chose stands in a cookie; it is no secret, and
whoever writes another word into it sees what the menu would have shown anyway.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from stream.core.grants import Grant, Role
from stream.store.reading.example import example
from stream.store.schema import SchemaError
from stream.web.access.viewer import Viewer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection

    from stream.store.pool import Pool
    from stream.store.reading.example import Example

COOKIE: Final = "patrol-see-as"
FIRST: Final = "inspector"
RETRY_S: Final = 1.0
"""So long after nobody was found to be an example nobody is looked for."""


@dataclass(frozen=True, slots=True)
class As:
    """Something to see the pages as.

    Attributes:
        title: in the menu.
        begin: the page that it begins at.
    """

    title: str
    begin: str


CHOICES: Final[Mapping[str, As]] = {
    "inspector": As("inspector: the whole force", "/page"),
    "sergeant": As("sergeant: one neighbourhood", "/page"),
    "gis": As("GIS officer: areas, no persons", "/boundaries"),
    "officer": As("officer: themselves", "/page"),
    "analyst": As("analyst: figures, no names", "/page"),
    "display": As("wall display: figures, no names", "/page?wall"),
    "auditor": As("auditor: the record, no movements", "/record"),
    "public": As("the public: months, no one", "/months"),
}
"""What the menu offers, by the word in the cookie."""


class Demonstration:
    """Tells who asks by what they chose to see the pages as.

    Args:
        pool: the database, of which the sergeant's neighbourhood and the officer are taken.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._example: Example | None = None
        self._looked = -RETRY_S

    async def viewer(self, connection: HTTPConnection) -> Viewer | None:
        """Whoever was chosen; noted in the request's state is which it is."""
        chosen = connection.cookies.get(COOKIE, FIRST)
        if chosen not in CHOICES:
            chosen = FIRST
        connection.scope.setdefault("state", {})["see_as"] = chosen
        found = await self._found() if chosen in ("sergeant", "officer") else None
        return Viewer(
            f"demonstration {chosen}", CHOICES[chosen].title, grants(chosen, found), "demonstration"
        )

    async def _found(self) -> Example | None:
        if self._example is None and time.monotonic() - self._looked >= RETRY_S:
            self._looked = time.monotonic()
            try:
                self._example = await asyncio.to_thread(self._pool.ask, example)
            except (psycopg.Error, SchemaError):
                return None
        return self._example


def grants(chosen: str, found: Example | None) -> tuple[Grant, ...]:
    """The roles of what was chosen; before there is a duty, a sergeant's and an officer's show nobody."""
    if chosen == "public":
        return ()
    if chosen == "sergeant":
        return (Grant(Role.SERGEANT, frozenset({found.area_id} if found else ())),)
    if chosen == "officer":
        return (Grant(Role.OFFICER, officer=found.officer_id if found else ""),)
    return (Grant(Role(chosen)),)
