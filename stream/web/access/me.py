"""``GET /api/v1/me``: who asks, with which roles, and which pages they may open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from stream.web.access.reach import NOWHERE, reach
from stream.web.access.rights import PAGES, ROUTES, allowed
from stream.web.access.viewer import Role, viewer_of
from stream.web.answering import answer
from stream.web.description import operation
from stream.web.problems import known

if TYPE_CHECKING:
    from stream.web.access.viewer import Viewer


class GrantJson(msgspec.Struct, frozen=True):
    """A role and how far it reaches."""

    role: Role
    neighbourhoods: Annotated[list[str] | None, Meta(description="Ids; null: all of the force.")]
    officer: Annotated[str | None, Meta(description="The officer that an officer is; null otherwise.")]


class PageJson(msgspec.Struct, frozen=True):
    """A page that may be opened."""

    path: str
    title: str


class MeJson(msgspec.Struct, frozen=True):
    """Who asks."""

    account: Annotated[str, Meta(description="As it goes on record.")]
    name: Annotated[str, Meta(description="As pages show it; what is done is signed with it.")]
    signed_in: Annotated[
        bool, Meta(description="False: on the server's own machine, where nobody signs in, a name is asked.")
    ]
    grants: list[GrantJson]
    pages: Annotated[list[PageJson], Meta(description="Pages that may be opened, in the order of a menu.")]
    persons: Annotated[bool, Meta(description="Whether any officer's name or position may be seen.")]
    answers_alerts: Annotated[bool, Meta(description="Whether alerts may be acknowledged and put off.")]


def me_json(viewer: Viewer) -> MeJson:
    """Who somebody is, and what they may open."""
    found = reach(viewer.grants)
    return MeJson(
        viewer.account,
        viewer.name,
        viewer.means != "demonstration",
        [
            GrantJson(
                grant.role,
                None if grant.neighbourhoods is None else sorted(grant.neighbourhoods),
                grant.officer,
            )
            for grant in viewer.grants
        ],
        [
            PageJson(path, title)
            for path, (title, ruled) in PAGES.items()
            if allowed(viewer, ROUTES["GET", ruled])
        ],
        not found.nobody,
        found.persons != NOWHERE,
    )


def router() -> APIRouter:
    """The path that says who asks."""
    routes = APIRouter(prefix="/api/v1", tags=["access"])

    @routes.get("/me", **operation("me", "Who asks, and what they may open", MeJson))
    async def me(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        viewer = viewer_of(request)
        assert viewer is not None  # the table of rights asks for one
        return answer(me_json(viewer))

    return routes
