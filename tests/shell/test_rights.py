"""The table of rights: every route for every role, and what is said to those who may not ask."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click
import msgspec
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stream.cli import patrol
from stream.settings import Settings
from stream.web import description
from stream.web.access.document import committed, document
from stream.web.access.fields import FIELDS, Says, says
from stream.web.access.rights import COMMANDS, EVENTS, PAGES, ROUTES, RightsError, allowed, settled
from stream.web.access.viewer import Role
from stream.web.app import create_app
from stream.web.live.figures import FreshJson, LiveJson
from stream.web.live.officers import NeighbourhoodJson
from stream.web.live.pulse import EVENTS_SENT
from stream.web.live.quality import QualityJson
from tests.shell.town import MINUTE, NOON, Town, duty, town_called
from tests.viewing import Asking, Chosen, asking, everyone, somebody

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from stream.embedded import EmbeddedDatabase

HOUR = 60 * MINUTE
WEEK = "2026-W47"
EXAMPLES = {
    "collectionId": "neighbourhood",
    "featureId": "N1",
    "areaId": "N1",
    "officerId": "O1",
    "dutyId": "D-O1",
    "alertId": "none",
    "jobId": "none",
    "week": WEEK,
    "month": "2026-10",
    "priorityId": "P1",
    "name": "nobody",
    "what": "roles",
}
"""What the parts of paths may be in the town."""

SLOW = re.compile(r"\.(pdf|xlsx|html|zip)$")
"""Files that take their time: of these a number is asked for that there is not."""

ENDLESS = ("GET", "/api/v1/stream")


def filled(path: str, **other: str) -> str:
    """A path template with values in it."""
    return re.sub(r"{(\w+)(:path)?}", lambda found: {**EXAMPLES, **other}[found[1]], path)


@pytest.fixture(scope="module")
def client(database_server: EmbeddedDatabase) -> Iterator[Asking]:
    """The application over a town with an officer in each of two neighbourhoods."""
    with town_called(database_server, "rights") as town:
        begun(town)
        with asking(Settings(database=town.dsn, clock="events")) as found:
            yield found


@pytest.fixture
def entrance(client: Asking) -> Chosen:
    """Says who asks."""
    return client.entrance


def begun(town: Town) -> None:
    """An hour in which O1 patrols the west and O2 the east, and a radio that nobody has."""
    town.begin(duty("O1", "N1", NOON, NOON + 8 * HOUR), duty("O2", "N2", NOON, NOON + 8 * HOUR))
    town.put(R1="west", R2="east", R9="market")
    town.go(60, 60)


def asked(client: Asking, method: str, path: str) -> httpx.Response:
    """An answer; where something is to be changed, nothing is sent that could."""
    content: dict[str, Any] = {"json": {}} if method == "POST" else {}
    return client.request(method, path, **content)


def told(answer: httpx.Response) -> tuple[int, str | None, bytes]:
    """What can be seen of an answer."""
    return answer.status_code, answer.headers.get("content-type"), answer.content


@pytest.mark.parametrize("role", Role)
def test_every_route_answers_the_roles_of_the_table_and_nobody_else(
    client: Asking, entrance: Chosen, role: Role
) -> None:
    """Whoever has a role that the table names is answered; all others as for a path that does not exist."""
    entrance.who = everyone()[role]
    wrong = []
    for (method, path), rule in ROUTES.items():
        may = rule.open or allowed(entrance.who, rule)
        if (method, path) == ENDLESS and may:
            continue
        number = "?number=99" if SLOW.search(path) else ""
        answer = told(asked(client, method, filled(path) + number))
        missing = told(asked(client, "GET", "/there-is-no-such-path"))
        if (answer == missing) is may or answer[0] in (401, 500):
            wrong.append((method, path, answer))
    assert wrong == []


PROVIDER_S = {"/sign-in/provider", "/sign-in/provider/back", "/sign-out/provider"}


def test_nothing_but_what_is_open_answers_whoever_is_not_signed_in(client: Asking, entrance: Chosen) -> None:
    """Without a viewer every route that is not open is answered with 401 and no word about what is there.

    What is open and changes something is for our own pages: who does not say where it comes from is refused.
    """
    entrance.who = None
    for (method, path), rule in ROUTES.items():
        status, _, body = told(asked(client, method, filled(path)))
        # No provider is set: its paths lead nowhere.
        open_status = 404 if path in PROVIDER_S else 200 if method == "GET" else 403
        assert (status == open_status) if rule.open else (status == 401 and b"sign in first" in body), path


@pytest.mark.parametrize("reader", ["application/json", "text/html"])
def test_a_neighbourhood_out_of_scope_is_as_one_that_does_not_exist(
    client: Asking, entrance: Chosen, reader: str
) -> None:
    """A sergeant asking for another's neighbourhood gets what one gets who asks for one that is not there."""
    ruled = [(method, path) for (method, path), rule in ROUTES.items() if rule.area]
    assert len(ruled) > 8
    for method, path in ruled:
        entrance.who = somebody(Role.SERGEANT, ["N1"])
        foreign = client.request(method, filled(path, areaId="N2"), headers={"accept": reader})
        entrance.who = everyone()[Role.INSPECTOR]
        missing = client.request(method, filled(path, areaId="N9"), headers={"accept": reader})
        assert foreign.status_code == missing.status_code == 404, path
        assert foreign.headers["content-type"] == missing.headers["content-type"], path
        assert foreign.text == missing.text.replace("N9", "N2"), path


def test_the_table_has_no_line_too_many(client: Asking) -> None:
    """Every line is of a route, and so is every page of the menu."""
    there = {
        (method, found.path)
        for found in iter_route_contexts(client.app.routes)
        for method in found.methods or ()
    }
    assert set(ROUTES) <= there
    assert {("GET", ruled) for _, ruled in PAGES.values()} <= set(ROUTES)
    assert {("GET", path) for path in PAGES} <= set(ROUTES)


def test_a_route_that_is_not_in_the_table_does_not_start() -> None:
    """An application with a route, a folder or a plain endpoint that the table does not know is refused."""
    app = create_app(Settings(database="postgresql:///nowhere"))
    settled(app)

    def made(add: Any) -> FastAPI:
        fresh = create_app(Settings(database="postgresql:///nowhere"))
        add(fresh)
        return fresh

    routes = APIRouter()
    routes.get("/api/v1/everything")(lambda: None)
    for add in (
        lambda app: app.get("/api/v1/everything")(lambda: None),
        lambda app: app.include_router(routes),
        lambda app: app.put("/api/v1/live")(lambda: None),
        lambda app: app.routes.append(Route("/api/v1/live", lambda _: None)),
        lambda app: app.routes.append(Mount("/files", StaticFiles(directory="/"))),
    ):
        with pytest.raises(RightsError):
            settled(made(add))
    plain = FastAPI(openapi_url=None)
    plain.get("/healthz")(lambda: None)
    with pytest.raises(RightsError, match="does not ask"):
        settled(plain)


def test_every_event_of_the_stream_is_in_the_table() -> None:
    """As many kinds of events are ruled as are described, and each is sent by that name."""
    assert len(EVENTS) == len(EVENTS_SENT)


def types_of(kind: Any, found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The structs in a type, with their fields, and those in theirs."""
    if isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)):
        if kind.__name__ not in found:
            hints = get_type_hints(kind, include_extras=True)
            names = [name for name in hints if not name.startswith("_")]
            found[kind.__name__] = set(names)
            for name in names:
                types_of(hints[name], found)
        return found
    for part in get_args(kind):
        types_of(part, found)
    return found


def answered() -> dict[str, set[str]]:
    """All types of all answers, events and problems with their fields."""
    found: dict[str, set[str]] = {}
    for described, also in description._OPERATIONS.values():
        for response in described["responses"].values():
            for content in response["content"].values():
                types_of(content["schema"], found)
        for kind in also:
            types_of(kind, found)
    return found


def test_every_field_of_every_answer_is_classified(client: Asking) -> None:
    """What a field says of a person stands in the table, once; a field that is new is missed there."""
    found = answered()
    assert found.keys() == FIELDS.keys()
    for name, fields in found.items():
        classified = [field for group in FIELDS[name].values() for field in group]
        assert sorted(classified) == sorted(fields), name

    class New(FreshJson, frozen=True):
        """With a field more."""

        whose: str

    assert "whose" in types_of(New, {})["New"]
    with pytest.raises(KeyError, match="New"):
        says("New", "whose")


def personal(value: Any) -> Iterator[tuple[str, str, Any]]:
    """Each field in an answer that says something of a person, and what it holds."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from personal(item)
    elif isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
        name = type(value).__name__
        for field in FIELDS[name][Says.NOTHING]:
            yield from personal(getattr(value, field))
        about = getattr(value, "scope", "officer") in ("officer", "duty", "device")
        for kind in (Says.IDENTITY, Says.DEVICE, Says.DOING, Says.STAFF, *([Says.SCOPED] if about else [])):
            for field in FIELDS[name].get(kind, ()):
                yield name, field, getattr(value, field)


@pytest.mark.parametrize("role", [Role.ANALYST, Role.DISPLAY])
def test_viewers_without_persons_get_no_field_that_says_something_of_one(
    client: Asking, entrance: Chosen, role: Role
) -> None:
    """Fields that say who, which device or where are empty, or not there, in all live answers."""
    asked_for = {
        "/api/v1/live": LiveJson,
        "/api/v1/quality": QualityJson,
        "/api/v1/neighbourhoods/N1": NeighbourhoodJson,
    }
    for path, kind in asked_for.items():
        told_of = {}
        for who in (everyone()[Role.INSPECTOR], everyone()[role]):
            answer = client.get(path, who)
            assert answer.status_code == 200, path
            found = personal(msgspec.json.decode(answer.content, type=kind))
            told_of[who.account] = [item for item in found if item[2] not in ("", None, [], ())]
        assert told_of[f"a-{role}"] == [], path
    assert told_of["a-inspector"]


def commands(group: click.Group, before: str = "") -> Iterator[str]:
    """All commands, each with its group before it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_is_in_the_table() -> None:
    """The table says of each command, and of none that is not there, whom it is for and what it names."""
    assert sorted(COMMANDS) == sorted(commands(patrol))


def test_the_document_is_what_the_table_says() -> None:
    """`deploy/rights.md` is what `patrol web --rights` prints."""
    assert committed().read_text(encoding="utf-8") == document(), (
        "run: patrol web --rights > deploy/rights.md"
    )


def test_me_says_who_asks_and_what_they_may_open(client: Asking, entrance: Chosen) -> None:
    """Name, roles, scopes and pages are the viewer's own, and each page that is named opens."""
    for role, viewer in everyone().items():
        entrance.who = viewer
        said = client.get("/api/v1/me").json()
        assert (said["account"], said["name"], said["signed_in"]) == (viewer.account, viewer.name, True)
        assert [item["role"] for item in said["grants"]] == [role]
        for page in said["pages"]:
            assert client.get(page["path"], headers={"accept": "text/html"}).status_code in (200, 302)
    entrance.who = somebody(Role.SERGEANT, ["N2", "N1"])
    said = client.get("/api/v1/me").json()
    assert said["grants"] == [{"role": "sergeant", "neighbourhoods": ["N1", "N2"], "officer": None}]
    entrance.who = everyone()[Role.AUDITOR]
    assert not {"/", "/weeks", "/boundaries"} & {
        item["path"] for item in client.get("/api/v1/me").json()["pages"]
    }
