"""Schemas of the weekly summaries' parameters and answers, for the OpenAPI document. Values only."""

from __future__ import annotations

from geo.areas import Kind
from stream.core.shares import VERDICTS
from stream.web.description import COUNT, TEXT, TIME, Json, in_path, listed, record
from stream.web.schemas import FIGURE_FIELDS, FLAG, PART, SECONDS, WHOLE, maybe, one_of

WEEK_PATTERN = "^(19[789][0-9]|20[0-9]{2})-W(0[1-9]|[1-4][0-9]|5[0-3])$"
"""Names of ISO weeks of the years of which anything may be known."""

MONTH_PATTERN = "^(19[789][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])$"

WEEK: Json = in_path("week", "An ISO week.", {"type": "string", "pattern": WEEK_PATTERN})
NUMBER: Json = {
    "name": "number",
    "in": "query",
    "required": False,
    "description": "Which published report; without it the newest, or, where none is published, the week as "
    "it is counted now.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
}

_PUBLISHED = maybe(record(number={"type": "integer", "minimum": 1}, at=TIME, sha256=TEXT))
_SHARES = {name: maybe(PART) for name in ("share", "share_low", "share_high")}
_SPENT = ("duty_s", "on_patch_s", "off_patch_s", "not_visible_s", "unknown_s", "break_s", "priority_s")
_TIMES = dict.fromkeys(_SPENT, SECONDS)
_VERDICT = maybe(one_of(*VERDICTS))
_FIGURE = record(**FIGURE_FIELDS)
_PAST = record(week=TEXT, target=PART, verdict=_VERDICT, figure=maybe(record(**_TIMES, **_SHARES)))
_HOUR = record(
    day={"type": "string", "format": "date"},
    hour={"type": "integer", "minimum": 0, "maximum": 23},
    again=FLAG,
    to=TIME,
    **_TIMES,
    priority_areas=listed(TEXT),
    **{"from": TIME},
)
_AREA = record(
    id=TEXT,
    name=TEXT,
    issue=TEXT,
    days=TEXT,
    hours=TEXT,
    always=FLAG,
    own_hours_s=SECONDS,
    visits=COUNT,
    visits_in_hours=COUNT,
    visits_by_other_teams=COUNT,
    visits_by_length={**listed(COUNT), "description": "Under 5 minutes, 5 to 10, 10 to 20, 20 and over."},
    officer_s=SECONDS,
    officer_in_hours_s=SECONDS,
    officer_by_other_teams_s=SECONDS,
    patrol_s=SECONDS,
    patrol_in_hours_s=SECONDS,
    last_visit_end=maybe(TIME),
)
_AWAY = record(
    activity=one_of("off_patch", "not_visible"),
    neighbourhood=TEXT,
    neighbourhood_name=TEXT,
    premises=TEXT,
    premises_name=TEXT,
    state=WHOLE,
    state_name=TEXT,
    seconds=SECONDS,
    seconds_before={
        **listed(maybe(SECONDS)),
        "description": "The same in each of the weeks before, oldest first; null: nobody had duty time.",
    },
)
_BY_HOUR = {**listed(SECONDS), "minItems": 24, "maxItems": 24}
_CREWING = record(single_s=SECONDS, double_s=SECONDS, single_by_hour_s=_BY_HOUR, double_by_hour_s=_BY_HOUR)
_DUTY = record(duty_id=TEXT, to=maybe(TIME), team=TEXT, **_TIMES, **_SHARES, **{"from": TIME})
_OFFICER = record(
    officer_id=TEXT,
    name=TEXT,
    role=TEXT,
    **_TIMES,
    **_SHARES,
    verdict=_VERDICT,
    abstraction_s=SECONDS,
    team=TEXT,
    team_months=maybe(WHOLE),
    team_at_least=FLAG,
    duties=listed(_DUTY),
)
_TEAM = record(
    team=TEXT,
    officers=COUNT,
    experienced=COUNT,
    perhaps=COUNT,
    months=SECONDS,
    joined=listed(TEXT),
    left=listed(TEXT),
)
_BOUNDARIES = record(
    kind=one_of(*(kind.value for kind in Kind)),
    version=WHOLE,
    valid_from=maybe(TIME),
    file=TEXT,
    sha256=TEXT,
)
_CHANGE = record(
    number=maybe(WHOLE),
    recorded_at=TIME,
    cause=TEXT,
    by=TEXT,
    why=TEXT,
    before=maybe(_FIGURE),
    after=maybe(_FIGURE),
)
SUMMARY = record(
    week=TEXT,
    to=TIME,
    complete=FLAG,
    published=_PUBLISHED,
    figure=record(**FIGURE_FIELDS, ambiguous_on_patch_s=SECONDS, ambiguous_off_patch_s=SECONDS),
    past=listed(_PAST),
    hours=listed(_HOUR),
    priority_areas=listed(_AREA),
    abstraction=listed(_AWAY),
    crewing=_CREWING,
    officers=listed(_OFFICER),
    teams=listed(_TEAM),
    said=record(verdict=listed(TEXT), costs=listed(TEXT), notes=listed(TEXT)),
    basis=record(
        target=PART,
        policy={"type": "object"},
        policy_from=maybe(TIME),
        policy_sha256=TEXT,
        boundaries=listed(_BOUNDARIES),
        as_of=maybe(TIME),
        until=TIME,
    ),
    restatements=listed(_CHANGE),
    **{"from": TIME},
)
FORCE = record(
    week=TEXT,
    to=TIME,
    complete=FLAG,
    neighbourhoods=listed(record(**FIGURE_FIELDS, published=_PUBLISHED)),
    **{"from": TIME},
)
