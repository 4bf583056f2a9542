"""The live figures, priority areas and alerts as the API says them; and how much of them a person can see.

Values in, structs out; nothing is read, counted or sent here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from geo.areas import Kind
from stream.core.abstraction import OUTSIDE
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND
from stream.core.json_types import Count, Part, Seconds, Time, extended, rounded, seconds_ms, told, when
from stream.core.live.alerts import ACT, KINDS, LOOK
from stream.core.live.projection import OUTLOOKS
from stream.core.live.share_event import ShareEvent, share_event
from stream.core.slices import ACTIVITIES
from stream.store.reading.sight import EMPTY, LATE, LIVE, STALE, TROUBLES

if TYPE_CHECKING:
    from geo.matching.places import Place
    from stream.core.abstraction import Item
    from stream.core.explaining.wording import Named
    from stream.core.live.overview import Awaited, LiveShare
    from stream.store.alerts import Noted
    from stream.store.reading.sight import Fresh

Activity = Annotated[str, Meta(extra_json_schema={"enum": list(ACTIVITIES)})]
Outlook = Annotated[
    str,
    Meta(
        description="What is said of the end of the shift: sure things first, then what is likely.",
        extra_json_schema={"enum": list(OUTLOOKS)},
    ),
]
Trouble = Annotated[
    str,
    Meta(
        description="Why nothing can be read; or that nobody counts, or looks for alerts.",
        extra_json_schema={"enum": list(TROUBLES)},
    ),
]


class FreshJson(msgspec.Struct, frozen=True):
    """How old the data are."""

    newest_event: Time | None
    age_s: Seconds | None
    lag_s: Seconds | None
    state: Annotated[str, Meta(extra_json_schema={"enum": [LIVE, LATE, STALE, EMPTY]})]
    text: str
    trouble: Trouble | None
    worker_silent_s: Seconds | None


class AbstractionJson(msgspec.Struct, frozen=True):
    """Duty time spent away from the patch, in one place and one radio status."""

    where: str
    place_id: str
    activity: Activity
    state: str
    seconds: Seconds


class ShareJson(ShareEvent, frozen=True):
    """A live figure with what stands beside it."""

    projected: Part | None
    projected_low: Part | None
    projected_high: Part | None
    projected_best: Annotated[
        Part | None, Meta(description="If all that is left of the shifts were on patch.")
    ]
    projected_worst: Annotated[Part | None, Meta(description="If nothing of it were.")]
    outlook: Outlook | None
    shift_done: Part | None
    abstraction: list[AbstractionJson]
    abstraction_s: Seconds
    need: Annotated[float, Meta(description="How much it needs looking at; the greater the more.")]
    officers_silent: Count
    officers_on_break: Count
    nobody_since: Time | None


class PriorityAreaJson(msgspec.Struct, frozen=True):
    """A priority area and how it stands with its visits."""

    id: str
    name: str
    issue: str
    days: str
    hours: str
    in_hours: bool
    neighbourhood: str | None
    last_visit_end: Time | None
    someone_there: Count
    since_s: Seconds | None
    visits: Count
    officer_s: Seconds
    overdue: bool
    waiting_since: Time | None


class AcknowledgedJson(msgspec.Struct, frozen=True):
    """Who has seen an alert, and when."""

    at: Time
    by: str


class AlertJson(msgspec.Struct, frozen=True):
    """An alert, and what people said to it."""

    alert_id: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": list(KINDS)})]
    scope: str
    id: str
    since: Time
    raised: Time | None
    text: str
    cleared: Time | None
    acknowledged: AcknowledgedJson | None
    snoozed_until: Time | None
    level: Annotated[str, Meta(extra_json_schema={"enum": [ACT, LOOK]})]


class RasterJson(msgspec.Struct, frozen=True, tag_field="kind", tag="raster"):
    """A map of tiles that are pictures."""

    tiles: Annotated[str, Meta(description="Their address, with {z}, {x} and {y}.")]


class PmtilesJson(msgspec.Struct, frozen=True, tag_field="kind", tag="pmtiles"):
    """A map in one file."""

    url: str


class SettingsJson(msgspec.Struct, frozen=True):
    """What a page has to know of the settings."""

    target: Part
    timezone: str
    basemap: RasterJson | PmtilesJson | None
    stale_s: Seconds
    jump_speed_mps: Annotated[
        float, Meta(description="A leg faster than this was driven by nobody (rule 4a), metres a second.")
    ]
    max_gap_s: Annotated[
        Seconds, Meta(description="On a longer leg no straight line is assumed (rule 4), seconds.")
    ]


class LiveJson(msgspec.Struct, frozen=True):
    """The whole of what is live: the figures in the order in which they need looking at."""

    as_of: Time
    fresh: FreshJson
    force: ShareJson
    neighbourhoods: list[ShareJson]
    priority_areas: list[PriorityAreaJson]
    alerts: list[AlertJson]
    settings: SettingsJson


def place_words(place: Place | None, names: Named) -> str:
    """Where that is, in words."""
    if place is None:
        return "position unknown"
    if place.premises is not None:
        return names.name(Kind.PREMISES, place.premises)
    if place.neighbourhood is not None:
        return names.name(Kind.NEIGHBOURHOOD, place.neighbourhood)
    return "outside the force"


def fresh_json(fresh: Fresh) -> FreshJson:
    """How old the data are."""

    def tenths(age: float | None) -> float | None:
        return None if age is None else round(age, 1)

    return FreshJson(
        newest_event=when(fresh.newest),
        age_s=tenths(fresh.age_s),
        lag_s=tenths(fresh.lag_s),
        state=fresh.state,
        text=fresh.text,
        trouble=fresh.trouble or None,
        worker_silent_s=tenths(fresh.worker_silent_s),
    )


def share_json(share: LiveShare, names: Named, nobody_since: int | None = None) -> ShareJson:
    """A live figure with what stands beside it."""
    outlook, ahead, officers = share.outlook, share.projected, share.officers
    return extended(
        ShareJson,
        share_event(share.figures, share.name, share.target, officers.on_duty, officers.on_patch),
        projected=rounded(ahead.share if ahead else None),
        projected_low=rounded(ahead.share_low if ahead else None),
        projected_high=rounded(ahead.share_high if ahead else None),
        projected_best=rounded(outlook.best if outlook else None),
        projected_worst=rounded(outlook.worst if outlook else None),
        outlook=outlook.word(share.target) if outlook and officers.on_duty else None,
        shift_done=rounded(outlook.done if outlook else None),
        abstraction=[abstraction_json(item, names) for item in share.away],
        abstraction_s=seconds_ms(share.figures.off_patch + share.figures.not_visible),
        need=round(share.need, 4),
        officers_silent=officers.silent,
        officers_on_break=officers.on_break,
        nobody_since=when(nobody_since),
    )


def abstraction_json(item: Item, names: Named) -> AbstractionJson:
    """One item of abstraction."""
    where = item.where
    if where.premises:
        words, place_id = names.name(Kind.PREMISES, where.premises), where.premises
    elif where.neighbourhood == OUTSIDE:
        words, place_id = "outside the force", ""
    elif where.neighbourhood:
        words, place_id = names.name(Kind.NEIGHBOURHOOD, where.neighbourhood), where.neighbourhood
    else:
        words, place_id = place_words(None, names), ""
    state = item.meaning.name.replace("_", " ")
    return AbstractionJson(words, place_id, item.activity, state, seconds_ms(item.time))


def visible(share: ShareJson) -> tuple[Any, ...]:
    """What a person can see of a figure: it is sent again when that changes, not every second.

    A tenth of a per cent of the share and its bounds, a per cent of what is projected and of the shift's part
    that is done, a minute of abstraction and of each of its items, an officer.
    """

    def per(parts: int, *values: float | None) -> tuple[int | None, ...]:
        return tuple(None if value is None else round(value * parts) for value in values)

    return (
        *per(1000, share.share, share.share_low, share.share_high),
        *per(100, share.projected, share.projected_low, share.projected_high),
        *per(100, share.projected_best, share.projected_worst, share.shift_done),
        *(share.name, share.target, share.verdict, share.nobody_since, share.outlook),
        share.start if share.officers_on_duty else None,  # nobody has a period that begins now
        *(share.officers_on_duty, share.officers_on_patch, share.officers_silent, share.officers_on_break),
        int(share.abstraction_s // 60),
        tuple((item.where, item.state, int(item.seconds // 60)) for item in share.abstraction),
    )


def area_json(
    item: Awaited, now: int, begun: int, overdue_after: int, neighbourhood: str | None
) -> PriorityAreaJson:
    """A priority area and how it stands with its visits."""
    waiting = item.waiting_since(begun)
    since = None if item.last_visit_end is None else max(0, now - item.last_visit_end)
    return told(
        PriorityAreaJson,
        item,
        id=item.area_id,
        neighbourhood=neighbourhood,
        someone_there=item.present,
        since_s=None if since is None else 0.0 if item.present else float(since // SECOND),
        officer_s=seconds_ms(item.officer_time),
        overdue=waiting is not None and now - waiting >= overdue_after,
        waiting_since=when(waiting),
    )


def awaited_visibly(area: PriorityAreaJson) -> PriorityAreaJson:
    """What of a priority area is news: not its age, which anybody's clock can tell."""
    return msgspec.structs.replace(
        area,
        since_s=None,
        officer_s=area.officer_s // 60,
        last_visit_end=None if area.someone_there else area.last_visit_end,
    )


def alert_json(item: Noted) -> AlertJson:
    """An alert, and what people said to it."""
    at, by = item.acknowledged_at, item.acknowledged_by
    return told(
        AlertJson,
        item.episode,
        acknowledged=None if at is None or by is None else AcknowledgedJson(rfc3339(at), by),
        snoozed_until=when(item.snoozed_until),
    )


def basemap_json(setting: str) -> RasterJson | PmtilesJson | None:
    """The map below the areas, as the setting names it: a raster tile address, or a PMTiles file."""
    if not setting:
        return None
    return RasterJson(setting) if "{z}" in setting else PmtilesJson("/basemap.pmtiles")
