"""The table of rights: what each route, stream event and command shows, and to whom.

A route that is not in the table does not start (:func:`settled`). The table decides before anything is read
(:func:`permit`): whoever may not ask is answered as for what does not exist. What an answer holds for whom is
reduced in ``stream.web.access.reduced``, field by field as ``stream.web.access.fields`` classifies them.
``deploy/rights.md`` is printed from here (``patrol web --rights``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import Request  # noqa: TC002 - FastAPI reads the annotation
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from stream.web.access.reach import FIGURES, PERSONS, SUMMARIES, ground, reach, within
from stream.web.access.viewer import Role
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI

    from stream.web.access.viewer import Viewer

LIVE: Final = FIGURES | {Role.OFFICER}
TRACKS: Final = PERSONS | {Role.OFFICER}
AREAS: Final = LIVE | {Role.GIS}
AUDITOR: Final = frozenset({Role.AUDITOR})
OFFICER: Final = frozenset({Role.OFFICER})
GIS: Final = frozenset({Role.GIS})
MONITORING: Final = frozenset({Role.MONITORING})
ADMINISTRATOR: Final = frozenset({Role.ADMINISTRATOR})

WORDS: Final = {
    Role.INSPECTOR: "inspector",
    Role.SERGEANT: "sergeant",
    Role.GIS: "GIS officer",
    Role.ANALYST: "analyst",
    Role.OFFICER: "officer",
    Role.AUDITOR: "auditor",
    Role.ADMINISTRATOR: "administrator",
    Role.DISPLAY: "display",
    Role.MONITORING: "monitoring",
}
"""The roles as people call them."""


class RightsError(RuntimeError):
    """A route has no line in the table of rights; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may ask something, and how far that reaches.

    Attributes:
        shows: what it answers, for people.
        roles: who may ask; None: whoever is signed in.
        scope: how the answer is cut to a viewer's neighbourhoods or to themselves, for people.
        area: the part of the path that names a neighbourhood, which has to be in the ground of the roles.
        nothing: what is said where it is not, as of one that does not exist.
        open: answered without signing in.
    """

    shows: str
    roles: frozenset[Role] | None = None
    scope: str = "the same for all of them"
    area: str = ""
    nothing: str = ""
    open: bool = False


OWN_GROUND = "own neighbourhoods"
OWN_DUTIES = "duties whose patch has one of the own neighbourhoods; an officer: their own"
IN_FORCE = "there is no neighbourhood {area!r} in force now"
IN_WEEK = "there is no neighbourhood {area!r} in {week}"


def _of_week(shows: str, roles: frozenset[Role], scope: str = OWN_GROUND) -> Rule:
    return Rule(shows=shows, roles=roles, scope=scope, area="areaId", nothing=IN_WEEK)


def _files() -> Iterator[tuple[tuple[str, str], Rule]]:
    for ending, what in (("html", "page"), ("pdf", "PDF"), ("xlsx", "workbook"), ("zip", "CSV files")):
        path = f"/weeks/{{week}}/{{areaId:path}}.{ending}"
        shows = f"a weekly summary as {what}, with officers"
        yield ("GET", path), _of_week(shows, SUMMARIES, f"{OWN_GROUND}; an analyst: with pseudonyms")


_REDUCED_FIGURES = (
    "figures, alerts and priority areas of the own neighbourhoods; officers of the own neighbourhoods; an "
    "officer: the force's figure and themselves; an analyst and a display: no officers and no devices"
)

ROUTES: Final[Mapping[tuple[str, str], Rule]] = {
    # Health
    ("GET", "/healthz"): Rule(shows="that the process is up", open=True),
    ("GET", "/readyz"): Rule(shows="that it can serve", roles=MONITORING),
    ("GET", "/metrics"): Rule(shows="counts, without persons", roles=MONITORING),
    # Who asks
    ("GET", "/api/v1/me"): Rule(shows="who asks: name, roles, scopes, pages", scope="themselves"),
    # Signing in
    ("GET", "/sign-in"): Rule(shows="the sign-in page", open=True),
    ("GET", "/sign-in/style.css"): Rule(shows="its style", open=True),
    ("POST", "/sign-in"): Rule(shows="signs in", open=True),
    ("POST", "/sign-in/password"): Rule(shows="chooses a password after a one-time password", open=True),
    ("GET", "/sign-in/provider"): Rule(shows="the way to the OpenID provider's page", open=True),
    ("GET", "/sign-in/provider/back"): Rule(shows="signs in with what the provider gave", open=True),
    ("GET", "/sign-out/provider"): Rule(shows="the way back after signing out at the provider", open=True),
    ("POST", "/sign-out/provider"): Rule(
        shows="signs out whom the provider's signed message names", open=True
    ),
    ("POST", "/sign-out"): Rule(shows="signs out", scope="themselves"),
    ("GET", "/account"): Rule(shows="one's own account, sessions and tokens", scope="themselves"),
    **{
        ("POST", f"/account/{said}"): Rule(shows=shows, scope="themselves")
        for said, shows in (
            ("password", "changes one's own password"),
            ("sessions/end", "ends one's own sessions"),
            ("tokens", "makes a token of some of one's own roles"),
            ("tokens/end", "ends one's own token"),
        )
    },
    ("POST", "/see-as"): Rule(shows="chooses what the demonstration shows the pages as", scope="themselves"),
    ("GET", "/accounts"): Rule(shows="all accounts", roles=ADMINISTRATOR),
    ("POST", "/accounts"): Rule(shows="makes an account", roles=ADMINISTRATOR),
    ("GET", "/accounts/{name}"): Rule(
        shows="an account, its roles, sessions and tokens", roles=ADMINISTRATOR
    ),
    ("POST", "/accounts/{name}/{what}"): Rule(
        shows="gives an account other roles or a one-time password, locks it, ends its sessions and tokens",
        roles=ADMINISTRATOR,
        scope="not one's own roles, lock and password",
    ),
    # The record
    ("GET", "/api/v1/record"): Rule(shows="who did what about whom, without positions", roles=AUDITOR),
    ("GET", "/record"): Rule(shows="who did what about whom, without positions", roles=AUDITOR),
    ("GET", "/record/verify"): Rule(shows="whether the record is whole", roles=AUDITOR),
    ("GET", "/api/v1/me/looked"): Rule(shows="who looked at them", roles=OFFICER, scope="themselves"),
    ("GET", "/looked"): Rule(shows="who looked at them", roles=OFFICER, scope="themselves"),
    # Descriptions and the frames of pages, which hold no figures
    ("GET", "/"): Rule(shows="the live page without its figures, or where things are"),
    ("GET", "/page"): Rule(shows="the live page without its figures", roles=LIVE),
    ("GET", "/api"): Rule(shows="the API's description"),
    ("GET", "/api/v1/openapi.json"): Rule(shows="the API's description"),
    # Areas
    ("GET", "/conformance"): Rule(shows="which standards are kept", roles=AREAS),
    ("GET", "/collections"): Rule(shows="kinds of published areas", roles=AREAS),
    ("GET", "/collections/{collectionId}"): Rule(shows="a kind of published areas", roles=AREAS),
    ("GET", "/collections/{collectionId}/items"): Rule(shows="published areas", roles=AREAS),
    ("GET", "/collections/{collectionId}/items/{featureId:path}"): Rule(
        shows="a published area", roles=AREAS
    ),
    ("GET", "/api/v1/areas"): Rule(shows="the areas in force", roles=AREAS),
    ("GET", "/basemap.pmtiles"): Rule(shows="the map below the areas", roles=AREAS),
    # Live
    ("GET", "/api/v1/live"): Rule(shows="the live figures", roles=LIVE, scope=_REDUCED_FIGURES),
    ("GET", "/api/v1/stream"): Rule(shows="what changes, live", roles=LIVE, scope=_REDUCED_FIGURES),
    ("GET", "/api/v1/units"): Rule(
        shows="devices, their positions and officers",
        roles=TRACKS,
        scope=f"devices of {OWN_DUTIES}; devices that nobody has: only who sees the whole force",
    ),
    ("GET", "/api/v1/quality"): Rule(
        shows="what the facts are worth",
        roles=FIGURES,
        scope="findings about the own neighbourhoods' duties, officers and devices; an analyst and a "
        "display: about none",
    ),
    ("GET", "/api/v1/quality/devices"): Rule(
        shows="what trackers were seen to do on a day",
        roles=PERSONS,
        scope="devices booked that day by duties whose patch has one of the own neighbourhoods",
    ),
    ("GET", "/api/v1/neighbourhoods/{areaId}"): Rule(
        shows="a neighbourhood, its hours and its officers",
        roles=FIGURES,
        scope=f"{OWN_GROUND}; an analyst and a display: without officers",
        area="areaId",
        nothing=IN_FORCE,
    ),
    ("GET", "/api/v1/officers/{officerId}"): Rule(
        shows="an officer and their duties", roles=TRACKS, scope=OWN_DUTIES
    ),
    ("GET", "/api/v1/officers/{officerId}/duties/{dutyId:path}"): Rule(
        shows="the slices and the track of a duty", roles=TRACKS, scope=OWN_DUTIES
    ),
    **{
        ("POST", f"/api/v1/alerts/{{alertId}}/{said}"): Rule(
            shows=shows, roles=PERSONS, scope="alerts of the own neighbourhoods and officers"
        )
        for said, shows in (
            ("acknowledge", "says that an alert has been seen"),
            ("unacknowledge", "takes that back"),
            ("snooze", "puts an alert off"),
            ("unsnooze", "takes that back"),
        )
    },
    # Weeks
    ("GET", "/api/v1/neighbourhoods/{areaId:path}/weeks/{week}"): _of_week(
        "a weekly summary, with officers", SUMMARIES, f"{OWN_GROUND}; an analyst: with pseudonyms"
    ),
    ("GET", "/api/v1/weeks/{week}"): Rule(
        shows="the week of all neighbourhoods", roles=SUMMARIES, scope=OWN_GROUND
    ),
    ("GET", "/weeks"): Rule(shows="where the last week is", roles=SUMMARIES),
    ("GET", "/weeks/{week}"): Rule(shows="the week of all neighbourhoods", roles=SUMMARIES, scope=OWN_GROUND),
    ("GET", "/weeks/{week}/duties/{dutyId:path}"): Rule(
        shows="a duty stretch by stretch", roles=TRACKS, scope=OWN_DUTIES
    ),
    ("POST", "/weeks/{week}/duties/{dutyId:path}"): Rule(
        shows="the same, with a purpose for the record", roles=TRACKS, scope=OWN_DUTIES
    ),
    ("GET", "/weeks/{week}/{areaId:path}"): _of_week(
        "a weekly summary, with officers", SUMMARIES, f"{OWN_GROUND}; an analyst: with pseudonyms"
    ),
    ("GET", "/weeks/{week}/{areaId:path}/parts"): _of_week("the parts of a number, by officer", PERSONS),
    ("GET", "/weeks/{week}/{areaId:path}/visits/{priorityId:path}"): _of_week(
        "visits to a priority area, by duty", PERSONS, f"{OWN_GROUND}; links to {OWN_DUTIES}"
    ),
    ("GET", "/weeks/{week}/{areaId:path}/crewing"): _of_week(
        "vehicles and their crews", PERSONS, f"{OWN_GROUND}; names of {OWN_DUTIES}"
    ),
    ("GET", "/weeks/{week}/{areaId:path}/team"): _of_week(
        "who is in the teams", PERSONS, f"{OWN_GROUND}; officers of theirs"
    ),
    **dict(_files()),
    **{
        ("GET", path): Rule(
            shows="what has been restated",
            roles=SUMMARIES,
            scope="the force's and own neighbourhoods' figures; officers' only who sees the whole force",
        )
        for path in ("/api/v1/restatements", "/restatements")
    },
    # Months: what residents may see
    ("GET", "/months"): Rule(shows="where the last month is"),
    ("GET", "/months/{month}"): Rule(shows="what residents may see of a month"),
    ("GET", "/months/{month}/{areaId:path}"): Rule(shows="what residents may see of a neighbourhood"),
    ("GET", "/postcode"): Rule(shows="where a postcode lies"),
    # Boundaries
    ("GET", "/boundaries"): Rule(shows="the boundary page without its content", roles=GIS),
    ("POST", "/api/v1/boundaries/check"): Rule(shows="checks a file of areas", roles=GIS),
    ("GET", "/api/v1/boundaries/jobs/{jobId}"): Rule(
        shows="how far a check has come, and what it found", roles=GIS, scope="no officers but their number"
    ),
    ("GET", "/api/v1/boundaries/jobs/{jobId}/touched"): Rule(
        shows="which patches a publication reaches", roles=GIS, scope="no officers but their number"
    ),
    ("POST", "/api/v1/boundaries/publish"): Rule(shows="publishes a checked file", roles=GIS),
    ("GET", "/api/v1/boundaries/history"): Rule(shows="what was published", roles=GIS),
    ("POST", "/api/v1/boundaries/take-back"): Rule(shows="takes a version back", roles=GIS),
}
"""By method and path template, as FastAPI has them."""

MOUNTS: Final[Mapping[str, str]] = {"/static": "scripts, styles and pictures of the pages: no figures"}
"""Folders that are served to everybody, signed in or not."""

EVENTS: Final[Mapping[str, Rule]] = {
    "snapshot": Rule(shows="all there is to see", roles=LIVE, scope=_REDUCED_FIGURES),
    "share": Rule(
        shows="figures that changed",
        roles=LIVE,
        scope="the force's and the own neighbourhoods'; an officer: the force's",
    ),
    "units": Rule(
        shows="devices that moved",
        roles=TRACKS,
        scope=f"devices of {OWN_DUTIES}; devices that nobody has: only who sees the whole force",
    ),
    "alert": Rule(
        shows="an alert",
        roles=LIVE,
        scope="the force's; the own neighbourhoods' and their priority areas'; of the own neighbourhoods' "
        "officers; an officer: the force's and their own",
    ),
    "areas": Rule(
        shows="priority areas that changed",
        roles=FIGURES,
        scope="those in the own neighbourhoods; those in none: only who sees the whole force",
    ),
    "pulse": Rule(shows="the time, and how old the data are", roles=LIVE),
}
"""By name of the stream's events."""

PAGES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("Live", "/page"),
    "/weeks": ("Weeks", "/weeks"),
    "/restatements": ("Restatements", "/restatements"),
    "/boundaries": ("Boundaries", "/boundaries"),
    "/months": ("Months for residents", "/months"),
    "/postcode": ("Postcodes", "/postcode"),
    "/record": ("The record", "/record"),
    "/looked": ("Who looked at you", "/looked"),
}
"""Pages that a menu may lead to: title, and the path whose rule says who may open it."""


@dataclass(frozen=True, slots=True)
class CommandRule:
    """Whom a command is for.

    Attributes:
        person: what they do in the force; all of them have an account of the server, or of the database.
        names: whether what it prints, writes or sends names officers, devices or duties.
    """

    person: str
    names: bool


OPERATOR, ANALYST_, GIS_, SERGEANT_ = "operator", "analyst", "GIS officer", "sergeant"
AUDITOR_ = "auditor"

COMMANDS: Final[Mapping[str, CommandRule]] = {
    "demo": CommandRule("anybody: made-up officers", names=True),
    "up": CommandRule(OPERATOR, names=False),
    "init": CommandRule(OPERATOR, names=False),
    "ingest": CommandRule(OPERATOR, names=False),
    "worker": CommandRule(OPERATOR, names=False),
    "timers": CommandRule(OPERATOR, names=True),
    "web": CommandRule(OPERATOR, names=False),
    "areas check": CommandRule(GIS_, names=False),
    "areas diff": CommandRule(GIS_, names=True),
    "areas export": CommandRule(GIS_, names=False),
    "areas load": CommandRule(GIS_, names=True),
    "areas rollback": CommandRule(GIS_, names=True),
    "areas list": CommandRule(GIS_, names=False),
    "areas restatements": CommandRule(ANALYST_, names=True),
    **{
        f"people {name}": CommandRule(OPERATOR, names=True)
        for name in ("list", "add", "password", "lock", "unlock", "roles", "token")
    },
    "policy check": CommandRule(ANALYST_, names=False),
    "policy diff": CommandRule(ANALYST_, names=False),
    "policy load": CommandRule(ANALYST_, names=False),
    "policy list": CommandRule(ANALYST_, names=False),
    "doctor": CommandRule(OPERATOR, names=True),
    "account": CommandRule(ANALYST_, names=True),
    "simulate": CommandRule("anybody: made-up officers", names=True),
    "replay": CommandRule(OPERATOR, names=True),
    "roster import": CommandRule(OPERATOR, names=True),
    "bridge": CommandRule(OPERATOR, names=False),
    "status": CommandRule(OPERATOR, names=False),
    "dead-letters list": CommandRule(OPERATOR, names=False),
    "dead-letters show": CommandRule(OPERATOR, names=True),
    "dead-letters replay": CommandRule(OPERATOR, names=False),
    "export": CommandRule(ANALYST_, names=True),
    "recompute": CommandRule(ANALYST_, names=True),
    "restatements": CommandRule(ANALYST_, names=True),
    "report weekly": CommandRule(SERGEANT_, names=True),
    "report publish": CommandRule(OPERATOR, names=True),
    "report public": CommandRule("press office", names=False),
    "postcode": CommandRule("anybody", names=False),
    "explain": CommandRule(SERGEANT_, names=True),
    "teams": CommandRule(SERGEANT_, names=True),
    "publish site": CommandRule("press office", names=False),
    "hold add": CommandRule("data protection officer", names=True),
    "hold list": CommandRule("data protection officer", names=True),
    "hold release": CommandRule("data protection officer", names=True),
    "person erase": CommandRule("data protection officer", names=True),
    "person export": CommandRule("data protection officer", names=True),
    "retain": CommandRule(OPERATOR, names=False),
    "audit head": CommandRule(AUDITOR_, names=False),
    "audit list": CommandRule(AUDITOR_, names=True),
    "audit search": CommandRule(AUDITOR_, names=True),
    "audit unusual": CommandRule(AUDITOR_, names=True),
    "audit verify": CommandRule(AUDITOR_, names=False),
}
"""By command, with its group before it."""


def rule_of(method: str, path: str) -> Rule | None:
    """The rule of a route by its template; None where it has none."""
    return ROUTES.get((method, path))


def allowed(viewer: Viewer, rule: Rule) -> bool:
    """Whether somebody has a role that a rule asks for."""
    return rule.roles is None or not rule.roles.isdisjoint(viewer.roles)


async def permit(request: Request) -> None:
    """Decides on a request by the table, before anything is read; every route depends on it.

    Raises:
        ProblemError: nobody is signed in.
        HTTPException: they may not ask this; it says what is said of a path that does not exist.
        ProblemError: the neighbourhood is not in their scope; it says what is said of one that does not
            exist.
    """
    rule = ROUTES[request.method, request.scope["route"].path]
    viewer: Viewer | None = request.state.viewer
    if rule.open:
        return
    if viewer is None:
        raise ProblemError(401, "SignIn", "sign in first")
    if not allowed(viewer, rule):
        raise HTTPException(404)
    request.state.reach = reach(viewer.grants)
    request.state.ground = None if rule.roles is None else ground(viewer.grants, rule.roles)
    if rule.area:
        area = request.path_params[rule.area]
        if not within(request.state.ground, area):
            said = rule.nothing.format(area=area, week=request.path_params.get("week"))
            raise ProblemError(404, "NotFound", said)


def settled(app: FastAPI) -> None:
    """Checks that every route has its line in the table, and asks it.

    Raises:
        RightsError: one has none, or does not ask.
    """
    for found in iter_route_contexts(app.routes):
        path = found.path or ""
        if isinstance(found.original_route, Mount):
            if path not in MOUNTS:
                raise RightsError(f"{path} is served as a folder, and is not in the table of rights")
            continue
        if not isinstance(found.original_route, APIRoute):
            raise RightsError(f"{path} is no route that can ask the table of rights")
        if permit not in [item.call for item in found.dependant.dependencies]:
            raise RightsError(f"{path} does not ask the table of rights")
        for method in found.methods or ():
            if (method, path) not in ROUTES:
                raise RightsError(
                    f"{method} {path} is not in the table of rights (stream/web/access/rights.py)"
                )
