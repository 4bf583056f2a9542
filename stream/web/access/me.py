"""``GET /api/v1/me``: who asks, with which roles, and which pages they may open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from stream.web.access.demonstration import CHOICES
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


class SeeAsJson(msgspec.Struct, frozen=True):
    """Something that the demonstration shows the pages as."""

    key: str
    title: str
    chosen: bool


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
    administers: Annotated[bool, Meta(description="Whether they make accounts for others.")]
    see_as: Annotated[
        list[SeeAsJson], Meta(description="The demonstration's menu; empty where people sign in.")
    ]


def me_json(viewer: Viewer, see_as: str = "") -> MeJson:
    """Who somebody is, and what they may open.

    Args:
        viewer: whoever asks.
        see_as: what they chose of the demonstration's menu; empty where there is none.
    """
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
        viewer.means != "demonstration" and Role.ADMINISTRATOR in viewer.roles,
        [SeeAsJson(key, item.title, key == see_as) for key, item in CHOICES.items()] if see_as else [],
    )


def router() -> APIRouter:
    """The path that says who asks."""
    routes = APIRouter(prefix="/api/v1", tags=["access"])

    @routes.get("/me", **operation("me", "Who asks, and what they may open", MeJson))
    async def me(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        viewer = viewer_of(request)
        assert viewer is not None  # the table of rights asks for one
        return answer(me_json(viewer, getattr(request.state, "see_as", "")))

    return routes
