"""Schemas of the live API's parameters and answers, for the OpenAPI document. Values only."""

from __future__ import annotations

from geo.areas import Kind
from stream.core.live.alerts import ACT, KINDS, LOOK
from stream.core.live.projection import OUTLOOKS
from stream.core.shares import SCOPES, VERDICTS
from stream.core.slices import ACTIVITIES
from stream.store.reading.sight import TROUBLES
from stream.web.description import Json, in_path


def record(required: str = "", /, **properties: Json) -> Json:
    """An object: all its properties are always there, unless those that are get named."""
    return {"type": "object", "properties": properties, "required": required.split() or list(properties)}


def listed(items: Json) -> Json:
    """A list of such."""
    return {"type": "array", "items": items}


TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
TIME: Json = {"type": "string", "format": "date-time"}


def maybe(schema: Json) -> Json:
    """The same, or null."""
    return {**schema, "nullable": True}


def one_of(*values: str) -> Json:
    """One of some words."""
    return {"type": "string", "enum": list(values)}


FLAG: Json = {"type": "boolean"}
SECONDS: Json = {"type": "number", "minimum": 0}
PART: Json = {"type": "number", "minimum": 0, "maximum": 1}
WHOLE: Json = {"type": "integer"}
ACTIVITY = one_of(*ACTIVITIES, "off_duty")

# ── Parameters ────────────────────────────────────────────────────────────────────────────────────────────

LAST_EVENT_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The last event that the page has; what followed is sent, as far as it is remembered.",
    "schema": TEXT,
}
AREA_ID = in_path("areaId", "The id of a neighbourhood.", TEXT)
OFFICER_ID = in_path("officerId", "The officer's id.", TEXT)
DUTY_ID = in_path("dutyId", "The duty's id.", TEXT)
JOB_ID = in_path("jobId", "The job's id.", TEXT)

# ── Figures ───────────────────────────────────────────────────────────────────────────────────────────────

_SPENT = ("duty_s", "on_patch_s", "off_patch_s", "not_visible_s", "unknown_s", "break_s")
_TIMES = dict.fromkeys(_SPENT, SECONDS)
_SHARES = {name: maybe(PART) for name in ("share", "share_low", "share_high")}
FIGURE_FIELDS: dict[str, Json] = {
    "scope": one_of(*SCOPES),
    "id": TEXT,
    "name": TEXT,
    "from": TIME,
    "to": TIME,
    **_TIMES,
    "priority_s": SECONDS,
    **_SHARES,
    "target": PART,
    "verdict": maybe(one_of(*VERDICTS)),
}
FIGURE = record(**FIGURE_FIELDS)
AWAY = record(where=TEXT, place_id=TEXT, activity=one_of(*ACTIVITIES), state=TEXT, seconds=SECONDS)
SHARE = record(
    **FIGURE_FIELDS,
    officers_on_duty=COUNT,
    officers_on_patch=COUNT,
    officers_silent=COUNT,
    officers_on_break=COUNT,
    projected=maybe(PART),
    projected_low=maybe(PART),
    projected_high=maybe(PART),
    projected_best=maybe(PART),
    projected_worst=maybe(PART),
    outlook=maybe(one_of(*OUTLOOKS)),
    shift_done=maybe(PART),
    abstraction=listed(AWAY),
    abstraction_s=SECONDS,
    need=NUMBER,
    nobody_since=maybe(TIME),
)
FRESH = record(
    newest_event=maybe(TIME),
    age_s=maybe(SECONDS),
    lag_s=maybe(SECONDS),
    state=one_of("live", "late", "stale", "empty"),
    text=TEXT,
    trouble=maybe(one_of(*TROUBLES)),
    worker_silent_s=maybe(SECONDS),
)
AWAITED = record(
    id=TEXT,
    name=TEXT,
    issue=TEXT,
    days=TEXT,
    hours=TEXT,
    in_hours=FLAG,
    neighbourhood=maybe(TEXT),
    last_visit_end=maybe(TIME),
    someone_there=COUNT,
    since_s=maybe(SECONDS),
    visits=COUNT,
    officer_s=SECONDS,
    overdue=FLAG,
    waiting_since=maybe(TIME),
)
ALERT = record(
    alert_id=TEXT,
    kind=one_of(*KINDS),
    scope=TEXT,
    id=TEXT,
    level=one_of(ACT, LOOK),
    text=TEXT,
    since=TIME,
    raised=maybe(TIME),
    cleared=maybe(TIME),
    acknowledged=maybe(record(at=TIME, by=TEXT)),
    snoozed_until=maybe(TIME),
)
LIVE = record(
    as_of=TIME,
    fresh=FRESH,
    force=SHARE,
    neighbourhoods=listed(SHARE),
    priority_areas=listed(AWAITED),
    alerts=listed(ALERT),
    settings=record(
        target=PART,
        timezone=TEXT,
        basemap=maybe(record("kind", kind=one_of("raster", "pmtiles"), tiles=TEXT, url=TEXT)),
        stale_s=SECONDS,
    ),
)

# ── Units and areas ───────────────────────────────────────────────────────────────────────────────────────

_POINT = record(
    type=one_of("Point"), coordinates={"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
)
UNIT = record(
    device_id=TEXT,
    kind=one_of("radio", "vehicle"),
    officers=listed(record(officer_id=TEXT, name=TEXT)),
    time=TIME,
    age_s=SECONDS,
    heading_deg=maybe(NUMBER),
    speed_mps=maybe(NUMBER),
    error_m=maybe(NUMBER),
    neighbourhood=maybe(TEXT),
    premises=maybe(TEXT),
    priorities=listed(TEXT),
    where=TEXT,
    activity=maybe(ACTIVITY),
    state=maybe(TEXT),
)
UNITS = record(
    type=one_of("FeatureCollection"),
    timeStamp=TIME,
    features=listed(record(type=one_of("Feature"), id=TEXT, geometry=_POINT, properties=UNIT)),
)
_SHAPE = record(type=one_of("Polygon", "MultiPolygon"), coordinates={"type": "array", "items": {}})
AREA_FEATURES = record(
    type=one_of("FeatureCollection"),
    features=listed(
        record(
            type=one_of("Feature"), id=TEXT, geometry=_SHAPE, properties=record("id name", id=TEXT, name=TEXT)
        )
    ),
)
AREAS = record(version=TEXT, **{kind.value: AREA_FEATURES for kind in Kind})
STREAM: Json = {
    "type": "string",
    "description": "First `snapshot`: {live, units}, unless Last-Event-ID is still remembered. Then `share`: "
    "{as_of, fresh, force?, neighbourhoods}, only what changed visibly; `units`: columns of the devices that "
    "moved, and `gone`; `alert`: one alert; `areas`: {priority_areas}, only those that changed; and every "
    "second `pulse`: {as_of, fresh}, whose id a page comes back with.",
}

# ── Officers ──────────────────────────────────────────────────────────────────────────────────────────────

_OFFICER: dict[str, Json] = dict(
    officer_id=TEXT,
    name=TEXT,
    role=maybe(TEXT),
    team=maybe(TEXT),
    patch=listed(TEXT),
    duty_id=TEXT,
    to=maybe(TIME),
    state=maybe(WHOLE),
    state_name=TEXT,
    activity=ACTIVITY,
    place=TEXT,
    since=maybe(TIME),
    on_patch_s=maybe(SECONDS),
    duty_s=maybe(SECONDS),
    **_SHARES,
    off_patch_since=maybe(TIME),
    why=TEXT,
    last_fix=maybe(TIME),
    device_id=maybe(TEXT),
    **{"from": TIME},
)
OFFICER = record(**_OFFICER)
_STRETCH: Json = {
    "type": "array",
    "description": "Start and end in milliseconds since 1970, and the activity.",
    "items": {"anyOf": [WHOLE, one_of(*ACTIVITIES)]},
    "minItems": 3,
    "maxItems": 3,
}
_AT_HOME = record(**_OFFICER, timeline=listed(_STRETCH))
HOUR = record(to=TIME, **_SHARES, **_TIMES, **{"from": TIME})
HOME = record(as_of=TIME, share=SHARE, hours=listed(HOUR), officers=listed(_AT_HOME))
OFFICER_NOW = record(
    officer_id=TEXT,
    name=TEXT,
    officer=maybe(OFFICER),
    duties=listed(record(duty_id=TEXT, to=maybe(TIME), **{"from": TIME})),
)
SLICE = record(
    start=TIME,
    end=TIME,
    activity=one_of(*ACTIVITIES),
    reason=TEXT,
    where=TEXT,
    neighbourhood=maybe(TEXT),
    premises=maybe(TEXT),
    priorities=listed(TEXT),
    device_id=maybe(TEXT),
    ambiguous_s=SECONDS,
    state=maybe(WHOLE),
    state_name=TEXT,
)
_HELD = record(device_id=TEXT, kind=one_of("radio", "vehicle"), to=maybe(TIME), **{"from": maybe(TIME)})
DUTY = record(
    duty=record(
        duty_id=TEXT,
        officer_id=TEXT,
        name=TEXT,
        role=maybe(TEXT),
        team=maybe(TEXT),
        patch=listed(TEXT),
        to=maybe(TIME),
        running=FLAG,
        devices=listed(_HELD),
        **{"from": TIME},
    ),
    as_of=TIME,
    slices=listed(SLICE),
    track=record(
        device_id=listed(TEXT),
        t_ms=listed(WHOLE),
        lon=listed(NUMBER),
        lat=listed(NUMBER),
        error_m=listed(maybe(NUMBER)),
        ignored={**listed(FLAG), "description": "Whether it is a jump that no movement explains (rule 3)."},
    ),
    figure=FIGURE,
)


# ── Boundaries ────────────────────────────────────────────────────────────────────────────────────────────

FILE: Json = {
    **record(
        "file",
        file={"type": "string", "format": "binary"},
        kind=one_of(*(kind.value for kind in Kind)),
        layer=TEXT,
        id_column=TEXT,
        name_column=TEXT,
        crs=TEXT,
        encoding=TEXT,
        accept=listed(TEXT),
        by=TEXT,
        why=TEXT,
    ),
    "additionalProperties": False,
}
JOB_NAME = record(job=TEXT)
JOB = record(
    job=TEXT,
    file=TEXT,
    state=one_of("running", "done", "failed"),
    progress=PART,
    step=TEXT,
    error=maybe(TEXT),
    result=maybe(
        record(
            may_be_published=FLAG,
            findings=listed({"type": "object"}),
            findings_geojson={"type": "object"},
            areas_geojson={"type": "object"},
            diff=maybe({"type": "object"}),
            summary={"type": "object"},
        )
    ),
)
TOUCHED_FROM = record(
    touched=listed(record(area_id=TEXT, officers=listed(TEXT), weeks=listed(TEXT))), **{"from": TIME}
)
FROM_DATE: Json = {
    "name": "from",
    "in": "query",
    "required": True,
    "description": "A local date, from its midnight on, or a time.",
    "schema": TEXT,
}
OUTCOME = record(
    version=WHOLE,
    versions=listed(WHOLE),
    counted_anew_from=TIME,
    devices=COUNT,
    restatement=maybe(WHOLE),
    figures_changed=COUNT,
)
_VERSION = record(
    version=WHOLE,
    kind=one_of(*(kind.value for kind in Kind)),
    valid_from=TIME,
    areas=COUNT,
    file=TEXT,
    sha256=TEXT,
    loaded_at=TIME,
    loaded_by=TEXT,
    why=maybe(TEXT),
    findings=listed({"type": "object"}),
    in_force=FLAG,
    withdrawn_at=maybe(TIME),
    withdrawn_by=maybe(TEXT),
    withdrawn_why=maybe(TEXT),
)
HISTORY = record(versions=listed(_VERSION))
