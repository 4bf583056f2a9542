"""The live figures over HTTP: what the page starts from, the stream of what changes, and what lies behind it.

It reads a request, asks the pulse and writes the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from msgspec import Meta

from geo.areas import Kind
from stream.store.bounded import NoAnswerError
from stream.store.reading.device_days import devices_seen
from stream.store.reading.duty_track import officer_duties, read_duty
from stream.store.record import ANYBODY
from stream.web.access.consulted import consulted
from stream.web.access.reach import reach_of
from stream.web.answering import GEOJSON, ShapeJson, answer, with_more
from stream.web.boundaries.parameters import CRS84
from stream.web.description import AREA_ID, in_path, operation
from stream.web.live.device_days import AFTER, DAY, LIMIT, DeviceDaysJson, asked, device_days_json
from stream.web.live.figures import LiveJson
from stream.web.live.officers import (
    DutyDetailJson,
    NeighbourhoodJson,
    OfficerNowJson,
    duty_json,
    neighbourhood_json,
    officer_now_json,
)
from stream.web.live.pulse import EVENTS_SENT
from stream.web.live.quality import QualityJson
from stream.web.live.seen import alerted, officers_of, only, seen
from stream.web.live.units import UnitsJson, units_json
from stream.web.problems import ProblemError, known

if TYPE_CHECKING:
    from stream.web.boundaries.published import Boundaries, InForce
    from stream.web.live.pulse import Pulse
    from stream.web.live.quality import LiveQuality

EVENT_STREAM = "text/event-stream"

STREAM = (
    "First `snapshot`, unless Last-Event-ID is still remembered. Then `share`, only what changed visibly; "
    "`units`: columns of the devices that moved, and `gone`; `alert`: one alert; `areas`, only those that "
    "changed; and every second `pulse`, whose id a page comes back with. What each says: Snapshot, "
    "ChangedShares, UnitColumns, Alert, ChangedAreas, Pulse."
)
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The last event that the page has; what followed is sent, as far as it is remembered.",
    "schema": str,
}
PURPOSE_SAID = {
    "name": "Patrol-Purpose",
    "in": "header",
    "required": False,
    "description": "Why it is looked at, percent-encoded UTF-8; it goes on record.",
    "schema": str,
}
OFFICER_ID = in_path("officerId", "The officer's id.")
DUTY_ID = in_path("dutyId", "The duty's id.")


class AreaJson(msgspec.Struct):
    """What is said of an area; with it stands whatever its publisher said besides, as text."""

    id: str
    name: str


class AreaFeatureJson(msgspec.Struct, tag_field="type", tag="Feature"):
    """An area as GeoJSON."""

    id: str
    geometry: ShapeJson
    properties: AreaJson


class AreaFeaturesJson(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    """The areas of one kind."""

    features: list[AreaFeatureJson]


class AreasJson(msgspec.Struct):
    """The areas in force, whole."""

    version: str
    neighbourhood: AreaFeaturesJson
    priority: AreaFeaturesJson
    premises: AreaFeaturesJson


def router(pulse: Pulse, boundaries: Boundaries, trust: LiveQuality) -> APIRouter:
    """The paths of the live figures.

    Args:
        pulse: reads the database.
        boundaries: the published areas.
        trust: says what the facts are worth.
    """
    routes = APIRouter(prefix="/api/v1", tags=["live"])
    drawn: dict[tuple[int, ...], tuple[bytes, bytes, str]] = {}

    def features(period: InForce | None) -> AreaFeaturesJson:
        if period is None:
            return AreaFeaturesJson([])
        shapes = boundaries.shapes(period.version)
        found = []
        for at, area in enumerate(shapes.areas):
            others = {name: value for name, value in area.attributes.items() if name not in ("id", "name")}
            said = with_more(AreaJson(area.area_id, area.name), others)
            found.append(AreaFeatureJson(area.area_id, shapes.geojson(CRS84, at), said))
        return AreaFeaturesJson(found)

    def whole(now: int) -> tuple[bytes, bytes, str]:
        """The areas in force as JSON, plain and compressed, and their tag."""
        periods = {
            kind: next((item for item in boundaries.periods(kind) if item.meets(now, now)), None)
            for kind in Kind
        }
        key = tuple(0 if item is None else item.version.version for item in periods.values())
        found = drawn.get(key)
        if found is None:
            body = msgspec.json.encode(
                AreasJson(
                    version=".".join(map(str, key)),
                    neighbourhood=features(periods[Kind.NEIGHBOURHOOD]),
                    priority=features(periods[Kind.PRIORITY]),
                    premises=features(periods[Kind.PREMISES]),
                )
            )
            found = (body, gzipped(body), f'"{hashlib.sha256(body).hexdigest()[:20]}"')
            drawn.clear()
            drawn[key] = found
        return found

    async def about_anybody(request: Request, what: str) -> None:
        """Puts on record that facts were shown that may be about any officer."""
        if not reach_of(request).nobody and not await consulted(request).listed(request, what, {ANYBODY}):
            raise NoAnswerError

    @routes.get("/live", **operation("live", "The figures now", LiveJson))
    async def live(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        moment = seen(await pulse.now(), reach_of(request))
        may = await consulted(request).listed(request, "live figures", alerted(moment))
        return answer(pulse.live_json(only(moment, may)))

    @routes.get(
        "/quality", **operation("quality", "What the facts behind the live figures are worth", QualityJson)
    )
    async def quality(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        found = await trust.seen(reach_of(request))
        await about_anybody(request, "quality")
        return answer(found)

    @routes.get(
        "/quality/devices",
        **operation(
            "deviceDays", "What the trackers were seen to do on a day", DeviceDaysJson, [DAY, AFTER, LIMIT]
        ),
    )
    async def device_days(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("day", "after", "limit"))
        now = (await pulse.now()).picture.as_of
        day, after, limit = asked(given, now)
        ground = reach_of(request).persons
        found = await pulse.ask(
            lambda connection: devices_seen(
                connection,
                day,
                now,
                pulse.policies,
                after=after,
                limit=limit,
                patches=None if ground is None else sorted(ground),
            )
        )
        await about_anybody(request, "devices of a day")
        return answer(device_days_json(found, day, now))

    @routes.get("/units", **operation("units", "The devices' last positions", UnitsJson, media=GEOJSON))
    async def units(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        moment = seen(await pulse.now(), reach_of(request))
        may = await consulted(request).listed(request, "devices", officers_of(moment))
        moment = only(moment, may)
        return answer(units_json(moment.units, moment.picture, pulse.policies, moment.names), GEOJSON)

    @routes.get(
        "/stream",
        **operation(
            "stream",
            "What changes, as server-sent events",
            Annotated[str, Meta(description=STREAM)],
            [LAST_EVENT_ID],
            media=EVENT_STREAM,
            also=EVENTS_SENT,
        ),
    )
    async def stream(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        compress = accepts_gzip(request.headers.get("accept-encoding", ""))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}
        if compress:
            headers["Content-Encoding"] = "gzip"

        async def admit(officers: frozenset[str]) -> bool:
            return await consulted(request).listed(request, "live page", officers) == officers

        last_id = request.headers.get("last-event-id")
        news = pulse.stream(last_id, compress=compress, reach=reach_of(request), admit=admit)
        return StreamingResponse(news, media_type=EVENT_STREAM, headers=headers)

    @routes.get("/areas", **operation("areas", "The areas in force, whole", AreasJson))
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
        **operation("neighbourhood", "A neighbourhood and its officers", NeighbourhoodJson, [AREA_ID]),
    )
    async def neighbourhood(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        area_id = request.path_params["areaId"]
        moment = await pulse.now()
        if area_id not in moment.neighbourhoods:
            raise ProblemError(404, "NotFound", f"there is no neighbourhood {area_id!r} in force now")
        found = neighbourhood_json(area_id, moment, pulse.policies, reach_of(request))
        officers = {item.officer_id for item in found.officers}
        may = await consulted(request).listed(request, "neighbourhood", officers)
        shown = [item for item in found.officers if item.officer_id in may]
        return answer(msgspec.structs.replace(found, officers=shown))

    @routes.get(
        "/officers/{officerId}",
        **operation("officer", "An officer and the present duty", OfficerNowJson, [OFFICER_ID]),
    )
    async def officer(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        officer_id = request.path_params["officerId"]
        reach = reach_of(request)
        missing = ProblemError(404, "NotFound", f"there is no officer {officer_id!r}")
        if not reach.may_be(officer_id):
            raise missing
        moment = await pulse.now()
        duties = await pulse.ask(
            lambda connection: officer_duties(connection, officer_id, reach.patches(officer_id))
        )
        if not duties:
            raise missing
        await consulted(request).opened(request, "officer", officer_id)
        return answer(officer_now_json(duties, moment, pulse.policies, reach))

    @routes.get(
        "/officers/{officerId}/duties/{dutyId:path}",
        **operation(
            "duty",
            "Slices and track of one duty",
            DutyDetailJson,
            [OFFICER_ID, DUTY_ID, PURPOSE_SAID],
            problems=(428,),
        ),
    )
    async def duty(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        officer_id, duty_id = request.path_params["officerId"], request.path_params["dutyId"]
        missing = ProblemError(404, "NotFound", f"officer {officer_id!r} has no duty {duty_id!r}")
        reach = reach_of(request)
        if not reach.may_be(officer_id):
            raise missing
        moment = await pulse.now()
        now, patches = moment.picture.as_of, reach.patches(officer_id)
        track = await pulse.ask(
            lambda connection: read_duty(connection, officer_id, duty_id, now, pulse.policies, patches)
        )
        if track is None:
            raise missing
        looking, why = consulted(request), consulted(request).reason(request)
        await looking.opened(request, "duty", officer_id, why=why, details={"duty": duty_id})
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
