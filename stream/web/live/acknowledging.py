"""What people say to alerts: seen, and not now. Over HTTP, from this program's own pages only.

A shell: it reads a request, writes a line to the database, and answers with the alert as it then is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, Request, Response

from stream.core.facts import SECOND
from stream.store import alerts
from stream.web import description as api
from stream.web import schemas
from stream.web.answering import answer
from stream.web.live import answers
from stream.web.people import body_of
from stream.web.problems import ProblemError, bad

if TYPE_CHECKING:
    from stream.store.alerts import Noted
    from stream.web.live.pulse import Pulse

LONGEST_MIN = 24 * 60
"""The longest that an alert can be put off, minutes."""


class By(msgspec.Struct, forbid_unknown_fields=True):
    """Who says it."""

    by: str


class Snooze(msgspec.Struct, forbid_unknown_fields=True):
    """Who says it, and for how long there shall be silence."""

    by: str
    minutes: float


def router(pulse: Pulse) -> APIRouter:
    """The paths by which people answer alerts."""
    routes = APIRouter(prefix="/api/v1/alerts/{alertId}", tags=["alerts"])

    def given(found: Noted | None, request: Request) -> Response:
        if found is None:
            raise ProblemError(404, "NotFound", f"there is no alert {request.path_params['alertId']!r}")
        return answer(answers.alert_json(found))

    def operation(name: str, summary: str, content: api.Json) -> Any:
        return api.operation(name, summary, schemas.ALERT, [schemas.ALERT_ID], content=content)

    @routes.post("/acknowledge", **operation("acknowledge", "An alert has been seen", schemas.BY))
    async def acknowledge(request: Request) -> Response:
        said = await body_of(request, By)
        alert_id, now = request.path_params["alertId"], (await pulse.now()).picture.as_of
        return given(
            await pulse.ask(
                lambda connection: alerts.acknowledge(connection, alert_id, said.by.strip(), now)
            ),
            request,
        )

    @routes.post(
        "/unacknowledge", **operation("unacknowledge", "An acknowledgement is taken back", schemas.BY)
    )
    async def unacknowledge(request: Request) -> Response:
        await body_of(request, By)
        alert_id = request.path_params["alertId"]
        return given(await pulse.ask(lambda connection: alerts.unacknowledge(connection, alert_id)), request)

    @routes.post("/snooze", **operation("snooze", "An alert is put off", schemas.SNOOZE))
    async def snooze(request: Request) -> Response:
        said = await body_of(request, Snooze)
        if not 0 < said.minutes <= LONGEST_MIN:
            raise bad(f"minutes must be above 0 and at most {LONGEST_MIN:,}")
        alert_id = request.path_params["alertId"]
        until = (await pulse.now()).picture.as_of + int(said.minutes * 60 * SECOND)
        return given(
            await pulse.ask(lambda connection: alerts.snooze(connection, alert_id, said.by.strip(), until)),
            request,
        )

    @routes.post("/unsnooze", **operation("unsnooze", "An alert is put off no longer", schemas.BY))
    async def unsnooze(request: Request) -> Response:
        await body_of(request, By)
        alert_id = request.path_params["alertId"]
        return given(
            await pulse.ask(lambda connection: alerts.snooze(connection, alert_id, None, None)), request
        )

    return routes
