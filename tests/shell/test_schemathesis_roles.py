"""The HTTP API against its own description, as each role: nothing breaks it, or opens what is closed."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from stream.settings import Settings
from stream.web.access.rights import ROUTES, allowed
from stream.web.access.viewer import Role
from stream.web.app import create_app
from tests.described import JUDGED_BY_SCHEMA, OPERATIONS
from tests.shell.town import MINUTE, NOON, duty, town_called
from tests.viewing import Chosen, everyone, somebody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.web.access.viewer import Viewer

CLOSED = "Not Found"
"""What is said of a path that does not exist."""

CHECKED = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in JUDGED_BY_SCHEMA]

VIEWERS: dict[str, Viewer] = {str(role): who for role, who in everyone().items()} | {
    "sergeant of N1": somebody(Role.SERGEANT, ["N1"])
}


@pytest.fixture(scope="module")
def served(database_server: EmbeddedDatabase) -> Iterator[tuple[str, Chosen]]:
    """The application over a town, on a port, and whoever asks it."""
    entrance = Chosen()
    with town_called(database_server, "schemathesis_roles") as town, socket.socket() as listening:
        town.begin(duty("O1", "N1", NOON, NOON + 480 * MINUTE), duty("O2", "N2", NOON, None))
        town.put(R1="west", R2="east")
        town.go(20, 60)
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        app = create_app(Settings(database=town.dsn, clock="events"), entrance=entrance)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", entrance
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("name", VIEWERS)
def test_the_api_keeps_to_its_description_for_each_role(served: tuple[str, Chosen], name: str) -> None:
    """Whatever a role asks, the answer is one that is described, and what is closed to it says only that."""
    address, entrance = served
    entrance.who = who = VIEWERS[name]
    for operation in OPERATIONS.values():
        template = operation.path.replace("{featureId}", "{featureId:path}")
        rule = ROUTES[operation.method.upper(), _ruled(template)]
        closed = not rule.open and not allowed(who, rule)
        asked(operation, address, closed=closed)


def asked(operation: Any, address: str, *, closed: bool) -> None:
    """Asks an operation rightly, and looks whether the answer is described, and says nothing where closed."""

    @settings(
        max_examples=2,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(GenerationMode.POSITIVE))
    def ask(case: Any) -> None:
        answer = case.call_and_validate(base_url=address, checks=CHECKED, timeout=30)
        if closed:
            assert (answer.status_code, answer.json()["detail"]) == (404, CLOSED)

    ask()


def _ruled(path: str) -> str:
    """The route of a described path: what may hold a slash is written otherwise there."""
    if path.startswith("/collections/") and path.endswith("/items"):
        return "/collections/{collectionId}/items"
    known = {route.replace(":path}", "}"): route for _, route in ROUTES}
    return known[path.replace(":path}", "}")]
