"""What people say to alerts: seen, and not now. Over HTTP, from this program's own pages only.

It reads a request, writes a line to the database, and answers with the alert as it then is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from msgspec import Meta

from stream.core.facts import SECOND
from stream.store import alerts
from stream.web import description as api
from stream.web.access.reach import name_of, reach_of
from stream.web.answering import answer
from stream.web.live.figures import AlertJson, alert_json
from stream.web.live.seen import alert_seen
from stream.web.people import By, body_of
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from stream.store.alerts import Noted
    from stream.web.live.pulse import Pulse

ALERT_ID = api.in_path("alertId", "The alert's id.")

LONGEST_MIN = 24 * 60
"""The longest that an alert can be put off, minutes."""


class Snooze(By):
    """Who says it, and for how long there shall be silence."""

    minutes: Annotated[float, Meta(gt=0, le=LONGEST_MIN)]


def router(pulse: Pulse) -> APIRouter:
    """The paths by which people answer alerts."""
    routes = APIRouter(prefix="/api/v1/alerts/{alertId}", tags=["alerts"])

    def nothing(request: Request) -> ProblemError:
        return ProblemError(404, "NotFound", f"there is no alert {request.path_params['alertId']!r}")

    async def meant(request: Request) -> tuple[str, int]:
        """The alert that a request names, and now.

        Raises:
            ProblemError: it is about somebody or something that whoever asks may not see.
        """
        alert_id, reach = request.path_params["alertId"], reach_of(request)
        moment = await pulse.now()
        if not reach.whole:
            shown = [item.episode.alert_id for item in moment.alerts if alert_seen(item, moment, reach)]
            if alert_id not in shown:
                raise nothing(request)
        return alert_id, moment.picture.as_of

    def given(found: Noted | None, request: Request) -> Response:
        if found is None:
            raise nothing(request)
        return answer(alert_json(found))

    def operation(name: str, summary: str, content: type[By]) -> Any:
        return api.operation(name, summary, AlertJson, [ALERT_ID], content=content)

    @routes.post("/acknowledge", **operation("acknowledge", "An alert has been seen", By))
    async def acknowledge(request: Request) -> Response:
        by = name_of(request, (await body_of(request, By)).by)
        alert_id, now = await meant(request)
        return given(
            await pulse.ask(lambda connection: alerts.acknowledge(connection, alert_id, by, now)), request
        )

    @routes.post("/unacknowledge", **operation("unacknowledge", "An acknowledgement is taken back", By))
    async def unacknowledge(request: Request) -> Response:
        await body_of(request, By)
        alert_id, _ = await meant(request)
        return given(await pulse.ask(lambda connection: alerts.unacknowledge(connection, alert_id)), request)

    @routes.post("/snooze", **operation("snooze", "An alert is put off", Snooze))
    async def snooze(request: Request) -> Response:
        said = await body_of(request, Snooze)
        by = name_of(request, said.by)
        alert_id, now = await meant(request)
        until = now + int(said.minutes * 60 * SECOND)
        return given(
            await pulse.ask(lambda connection: alerts.snooze(connection, alert_id, by, until)), request
        )

    @routes.post("/unsnooze", **operation("unsnooze", "An alert is put off no longer", By))
    async def unsnooze(request: Request) -> Response:
        await body_of(request, By)
        alert_id, _ = await meant(request)
        return given(
            await pulse.ask(lambda connection: alerts.snooze(connection, alert_id, None, None)), request
        )

    return routes
