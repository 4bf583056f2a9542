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
from geo.history import UNKNOWN
from stream.calendar import rfc3339
from stream.facts import SECOND
from stream.overview import of_duties
from stream.shares import NEIGHBOURHOOD, OFFICER, shares
from stream.slices import ACTIVITIES, NO_DEVICE
from stream.store.track import DutyTrack, officer_duties, read_duty
from stream.web import description as api
from stream.web import schemas, shown
from stream.web.features import GEOJSON, answer
from stream.web.parameters import CRS84, ProblemError, known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stream.facts import Duty
    from stream.overview import Share
    from stream.policy import Policies
    from stream.shares import Figures
    from stream.web.boundaries import Boundaries
    from stream.web.pulse import Moment, Pulse
    from stream.web.shown import Json

HOUR = 3600 * SECOND
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
        return answer(shown.units_json(moment.units, moment.picture, pulse.policies, moment.names), GEOJSON)

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
                    {"duty_id": duty.duty_id, "from": rfc3339(duty.start), "to": shown.when(duty.end)}
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


def officers_json(
    moment: Moment, policies: Policies, wanted: Callable[[Duty], bool], *, timeline: bool = False
) -> list[Json]:
    """The officers of the running duties that are wanted: who is not on patch first.

    Args:
        moment: the present.
        policies: they name the states.
        wanted: which duties.
        timeline: with what each did since the duty's start.
    """
    depth = moment.depth
    numbers = [at for at in depth.tracks.running if wanted(depth.tracks.duties[at])]
    lines = shown.timelines(depth, numbers) if timeline else {}
    by_officer: Mapping[str, Share] = {
        item.figures.id: item for item in moment.shares if item.figures.scope == OFFICER
    }
    found = [
        {
            **shown.officer_json(
                at,
                depth,
                by_officer.get(depth.tracks.duties[at].officer_id),
                moment.picture.last_fix,
                policies,
                moment.names,
            ),
            **({"timeline": lines[at]} if timeline else {}),
        }
        for at in numbers
    ]
    return sorted(found, key=lambda item: (item["activity"] == "on_patch", item["name"], item["duty_id"]))


def neighbourhood_json(area_id: str, moment: Moment, policies: Policies) -> Json:
    """A neighbourhood: its figure, hour by hour, and its officers."""
    tracks = moment.depth.tracks
    numbers = [at for at in tracks.running if area_id in tracks.duties[at].patch]
    hours: list[Json] = []
    if numbers:
        begun = min(tracks.duties[at].start for at in numbers)
        part = of_duties(tracks.slices, numbers)
        duties = [tracks.duties[at] for at in numbers]
        for start in range(begun // HOUR * HOUR, moment.picture.as_of, HOUR):
            low, high = max(start, begun), min(start + HOUR, tracks.as_of)
            if low >= high:
                continue
            hours += [
                hour_json(item)
                for item in shares(part, duties, tracks.places, low, high)
                if (item.scope, item.id) == (NEIGHBOURHOOD, area_id)
            ]
    return {
        "as_of": rfc3339(moment.picture.as_of),
        "share": moment.neighbourhoods[area_id],
        "hours": hours,
        "officers": officers_json(moment, policies, lambda duty: area_id in duty.patch, timeline=True),
    }


def hour_json(item: Figures) -> Json:
    """The figure of an hour."""
    return {
        "from": rfc3339(item.start),
        "to": rfc3339(item.end),
        "share": item.share,
        "share_low": item.share_low,
        "share_high": item.share_high,
        "duty_s": shown.seconds(item.duty),
        "on_patch_s": shown.seconds(item.on_patch),
        "off_patch_s": shown.seconds(item.off_patch),
        "not_visible_s": shown.seconds(item.not_visible),
        "unknown_s": shown.seconds(item.unknown),
        "break_s": shown.seconds(item.on_break),
    }


def duty_json(track: DutyTrack, moment: Moment, policies: Policies) -> Json:
    """One duty: its slices as rule 12 has them, its devices' track, its figure."""
    duty, slices, names = track.duty, track.slices, moment.names
    rows = []
    for at in range(len(slices)):
        place = None if slices.place[at] == UNKNOWN else track.places[int(slices.place[at])]
        state, activity = int(slices.state[at]), int(slices.activity[at])
        device = int(slices.device[at])
        rows.append(
            {
                "start": rfc3339(int(slices.start[at])),
                "end": rfc3339(int(slices.end[at])),
                "activity": ACTIVITIES[activity],
                "reason": track.reasons[at],
                "where": names.place(place),
                "neighbourhood": None if place is None else place.neighbourhood,
                "premises": None if place is None else place.premises,
                "priorities": [] if place is None else list(place.priorities),
                "device_id": None if device == NO_DEVICE else track.device_ids[device],
                "ambiguous_s": shown.seconds(int(track.ambiguous[at])),
                "state": None if state < 0 else state,
                "state_name": shown.state_words(policies, duty.start, state),
            }
        )
    fixes = track.fixes
    running = duty.end is None or duty.end > moment.picture.as_of
    return {
        "duty": {
            "duty_id": duty.duty_id,
            "officer_id": duty.officer_id,
            "name": duty.name or duty.officer_id,
            "role": duty.role,
            "team": duty.team,
            "patch": list(duty.patch),
            "from": rfc3339(duty.start),
            "to": shown.when(duty.end),
            "running": running,
            "devices": [
                {
                    "device_id": item.device_id,
                    "kind": item.kind,
                    "from": shown.when(item.start),
                    "to": shown.when(item.end),
                }
                for item in duty.devices
            ],
        },
        "as_of": rfc3339(moment.picture.as_of),
        "slices": rows,
        "track": {
            "device_id": [track.fix_devices[at] for at in fixes.device.tolist()],
            "t_ms": (fixes.time // 1000).tolist(),
            "lon": fixes.lon.round(shown.DIGITS).tolist(),
            "lat": fixes.lat.round(shown.DIGITS).tolist(),
            "error_m": shown.maybe(fixes.error_m, 1),
            "ignored": track.ignored.tolist(),
        },
        "figure": shown.figure_json(track.figures, duty.name or duty.officer_id, track.target),
    }
