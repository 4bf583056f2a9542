"""The live figures over HTTP: what the page starts from, the stream of what changes, and what lies behind it.

A shell: it reads a request, asks the pulse and writes the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from geo.areas import Kind
from stream.core.calendar import rfc3339
from stream.core.json_types import when
from stream.store.reading.duty_track import officer_duties, read_duty
from stream.web import description as api
from stream.web import schemas
from stream.web.answering import GEOJSON, answer
from stream.web.boundaries.parameters import CRS84
from stream.web.live import answers
from stream.web.live.officers import duty_json, neighbourhood_json, officers_json
from stream.web.problems import ProblemError, known

if TYPE_CHECKING:
    from stream.web.boundaries.published import Boundaries
    from stream.web.live.pulse import Pulse

EVENT_STREAM = "text/event-stream"


def router(pulse: Pulse, boundaries: Boundaries) -> APIRouter:
    """The paths of the live figures.

    Args:
        pulse: reads the database.
        boundaries: the published areas.
    """
    routes = APIRouter(prefix="/api/v1", tags=["live"])
    drawn: dict[tuple[int, ...], tuple[bytes, bytes, str]] = {}

    def whole(now: int) -> tuple[bytes, bytes, str]:
        """The areas in force as JSON, plain and compressed, and their tag."""
        periods = {
            kind: next((item for item in boundaries.periods(kind) if item.meets(now, now)), None)
            for kind in Kind
        }
        key = tuple(0 if item is None else item.version.version for item in periods.values())
        found = drawn.get(key)
        if found is None:
            made: dict[str, Any] = {"version": ".".join(map(str, key))}
            for kind, period in periods.items():
                shapes = None if period is None else boundaries.shapes(period.version)
                made[kind.value] = {
                    "type": "FeatureCollection",
                    "features": []
                    if shapes is None
                    else [
                        {
                            "type": "Feature",
                            "id": area.area_id,
                            "geometry": shapes.geojson(CRS84, at),
                            "properties": {**dict(area.attributes), "id": area.area_id, "name": area.name},
                        }
                        for at, area in enumerate(shapes.areas)
                    ],
                }
            body = msgspec.json.encode(made)
            found = (body, gzipped(body), f'"{hashlib.sha256(body).hexdigest()[:20]}"')
            drawn.clear()
            drawn[key] = found
        return found

    @routes.get("/live", **api.operation("live", "The figures now", schemas.LIVE))
    async def live(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        return answer(pulse.live_json(await pulse.now()))

    @routes.get(
        "/units", **api.operation("units", "The devices' last positions", schemas.UNITS, media=GEOJSON)
    )
    async def units(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        moment = await pulse.now()
        return answer(answers.units_json(moment.units, moment.picture, pulse.policies, moment.names), GEOJSON)

    @routes.get(
        "/stream",
        **api.operation(
            "stream",
            "What changes, as server-sent events",
            schemas.STREAM,
            [schemas.LAST_EVENT_ID],
            media=EVENT_STREAM,
        ),
    )
    async def stream(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        compress = accepts_gzip(request.headers.get("accept-encoding", ""))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}
        if compress:
            headers["Content-Encoding"] = "gzip"
        news = pulse.stream(request.headers.get("last-event-id"), compress=compress)
        return StreamingResponse(news, media_type=EVENT_STREAM, headers=headers)

    @routes.get("/areas", **api.operation("areas", "The areas in force, whole", schemas.AREAS))
    async def areas(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        now = (await pulse.now()).picture.as_of
        # In a thread: it asks the database, which may take its time.
        body, packed, tag = await asyncio.to_thread(whole, now)
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            return Response(
                packed, media_type="application/json", headers={**headers, "Content-Encoding": "gzip"}
            )
        return Response(body, media_type="application/json", headers=headers)

    @routes.get(
        "/neighbourhoods/{areaId}",
        **api.operation("neighbourhood", "A neighbourhood and its officers", schemas.HOME, [schemas.AREA_ID]),
    )
    async def neighbourhood(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        area_id = request.path_params["areaId"]
        moment = await pulse.now()
        if area_id not in moment.neighbourhoods:
            raise ProblemError(404, "NotFound", f"there is no neighbourhood {area_id!r} in force now")
        return answer(neighbourhood_json(area_id, moment, pulse.policies))

    @routes.get(
        "/officers/{officerId}",
        **api.operation(
            "officer", "An officer and the present duty", schemas.OFFICER_NOW, [schemas.OFFICER_ID]
        ),
    )
    async def officer(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        officer_id = request.path_params["officerId"]
        moment = await pulse.now()
        found = officers_json(moment, pulse.policies, lambda duty: duty.officer_id == officer_id)
        duties = await pulse.ask(lambda connection: officer_duties(connection, officer_id))
        if not duties:
            raise ProblemError(404, "NotFound", f"there is no officer {officer_id!r}")
        return answer(
            {
                "officer_id": officer_id,
                "name": duties[0].name or officer_id,
                "officer": found[0] if found else None,
                "duties": [
                    {"duty_id": duty.duty_id, "from": rfc3339(duty.start), "to": when(duty.end)}
                    for duty in duties
                ],
            }
        )

    @routes.get(
        "/officers/{officerId}/duties/{dutyId:path}",
        **api.operation(
            "duty", "Slices and track of one duty", schemas.DUTY, [schemas.OFFICER_ID, schemas.DUTY_ID]
        ),
    )
    async def duty(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        officer_id, duty_id = request.path_params["officerId"], request.path_params["dutyId"]
        moment = await pulse.now()
        now = moment.picture.as_of
        track = await pulse.ask(
            lambda connection: read_duty(connection, officer_id, duty_id, now, pulse.policies)
        )
        if track is None:
            raise ProblemError(404, "NotFound", f"officer {officer_id!r} has no duty {duty_id!r}")
        return answer(duty_json(track, moment, pulse.policies))

    return routes


def accepts_gzip(header: str) -> bool:
    """Whether an ``Accept-Encoding`` header takes gzip."""
    for part in header.split(","):
        name, _, weight = part.strip().partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def gzipped(body: bytes) -> bytes:
    """A whole body as gzip."""
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(body) + packer.flush()
