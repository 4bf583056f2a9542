"""Schemas of the live API's parameters and answers, for the OpenAPI document. Values only."""

from __future__ import annotations

from stream.core.shares import SCOPES, VERDICTS
from stream.core.slices import ACTIVITIES
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

AREA_ID = in_path("areaId", "The id of a neighbourhood.", TEXT)

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
