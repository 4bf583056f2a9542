"""Figures, units and alerts as JSON: what the page and other programs are given.

Values in, plain dictionaries out; nothing is read, counted or sent here. Times are RFC 3339 in UTC, but in
columns of many, where they are whole milliseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from geo.areas import Kind
from geo.matching.history import UNKNOWN
from stream.core.abstraction import OUTSIDE
from stream.core.calendar import rfc3339
from stream.core.columns import coalesce
from stream.core.facts import SECOND
from stream.core.json_types import Time, when
from stream.core.live.alerts import ACT, KINDS, LOOK
from stream.core.live.overview import SIGNED_OFF, of_duties
from stream.core.live.share_event import share_event
from stream.core.slices import ACTIVITIES, HIDDEN, NO_STATE, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN, up_to
from stream.web.plain import DIGITS, Names, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geo.matching.places import Place
    from stream.core.abstraction import Item
    from stream.core.facts import Duty
    from stream.core.live.overview import Awaited, Depth, LiveShare, Picture, Presence
    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.store.alerts import Noted
    from stream.store.reading.sight import Fresh
    from stream.web.description import Json

AlertKind = Annotated[str, Meta(extra_json_schema={"enum": list(KINDS)})]
Level = Annotated[str, Meta(extra_json_schema={"enum": [ACT, LOOK]})]


def fresh_json(fresh: Fresh) -> Json:
    """How old the data are, as the page has it."""
    return {
        "newest_event": when(fresh.newest),
        "age_s": None if fresh.age_s is None else round(fresh.age_s, 1),
        "lag_s": None if fresh.lag_s is None else round(fresh.lag_s, 1),
        "state": fresh.state,
        "text": fresh.text,
        "trouble": fresh.trouble or None,
        "worker_silent_s": None if fresh.worker_silent_s is None else round(fresh.worker_silent_s, 1),
    }


def state_words(policies: Policies, start: int, state: int) -> str:
    """A radio status in words, under the policy at a duty's start."""
    return "" if state == NO_STATE else policies.at(start).state(state).name.replace("_", " ")


def activity_name(activity: int) -> str:
    """The name of an activity; ``off_duty`` for who is booked on and off duty."""
    return "off_duty" if activity == SIGNED_OFF else ACTIVITIES[activity]


def share_json(share: LiveShare, names: Names, nobody_since: int | None = None) -> Json:
    """A live figure with what stands beside it."""
    outlook, ahead = share.outlook, share.projected
    return {
        **msgspec.to_builtins(
            share_event(
                share.figures, share.name, share.target, share.officers.on_duty, share.officers.on_patch
            )
        ),
        "projected": _rounded(ahead.share if ahead else None),
        "projected_low": _rounded(ahead.share_low if ahead else None),
        "projected_high": _rounded(ahead.share_high if ahead else None),
        "projected_best": _rounded(outlook.best if outlook else None),
        "projected_worst": _rounded(outlook.worst if outlook else None),
        "outlook": outlook.word(share.target) if outlook and share.officers.on_duty else None,
        "shift_done": _rounded(outlook.done if outlook else None),
        "abstraction": [away_json(item, names) for item in share.away],
        "abstraction_s": seconds(share.figures.off_patch + share.figures.not_visible),
        "need": round(share.need, 4),
        "officers_silent": share.officers.silent,
        "officers_on_break": share.officers.on_break,
        "nobody_since": when(nobody_since),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def away_json(item: Item, names: Names) -> Json:
    """One item of abstraction."""
    where = item.where
    if where.premises:
        words, place_id = names.of(Kind.PREMISES, where.premises), where.premises
    elif where.neighbourhood == OUTSIDE:
        words, place_id = "outside the force", ""
    elif where.neighbourhood:
        words, place_id = names.of(Kind.NEIGHBOURHOOD, where.neighbourhood), where.neighbourhood
    else:
        words, place_id = "position unknown", ""
    return {
        "where": words,
        "place_id": place_id,
        "activity": item.activity,
        "state": item.meaning.name.replace("_", " "),
        "seconds": seconds(item.time),
    }


def visible(share: Json) -> tuple[Any, ...]:
    """What a person can see of a figure: it is sent again when that changes, not every second.

    A tenth of a per cent of the share and its bounds, a per cent of what is projected and of the shift's part
    that is done, a minute of abstraction and of each of its items, an officer.
    """

    def per(name: str, parts: int) -> int | None:
        return None if share[name] is None else round(share[name] * parts)

    return (
        *(per(name, 1000) for name in ("share", "share_low", "share_high")),
        *(per(name, 100) for name in ("projected", "projected_low", "projected_high")),
        *(per(name, 100) for name in ("projected_best", "projected_worst", "shift_done")),
        *(share[name] for name in ("name", "target", "verdict", "nobody_since", "outlook")),
        share["from"] if share["officers_on_duty"] else None,  # nobody's period begins now, whenever that is
        *(share[name] for name in ("officers_on_duty", "officers_on_patch", "officers_silent")),
        share["officers_on_break"],
        int(share["abstraction_s"] // 60),
        tuple((item["where"], item["state"], int(item["seconds"] // 60)) for item in share["abstraction"]),
    )


def area_json(item: Awaited, now: int, begun: int, overdue_after: int, neighbourhood: str | None) -> Json:
    """A priority area and how it stands with its visits."""
    waiting = item.waiting_since(begun)
    since = None if item.last_visit_end is None else max(0, now - item.last_visit_end)
    return {
        "id": item.area_id,
        "name": item.name,
        "issue": item.issue,
        "days": item.days,
        "hours": item.hours,
        "in_hours": item.in_hours,
        "neighbourhood": neighbourhood,
        "last_visit_end": when(item.last_visit_end),
        "someone_there": item.present,
        "since_s": None if since is None else 0.0 if item.present else float(since // SECOND),
        "visits": item.visits,
        "officer_s": seconds(item.officer_time),
        "overdue": waiting is not None and now - waiting >= overdue_after,
        "waiting_since": when(waiting),
    }


def awaited_visibly(area: Json) -> tuple[Any, ...]:
    """What of a priority area is news: not its age, which anybody's clock can tell."""
    moving = {"since_s", "officer_s", *(["last_visit_end"] if area["someone_there"] else [])}
    return (*(value for name, value in area.items() if name not in moving), int(area["officer_s"] // 60))


class AcknowledgedJson(msgspec.Struct, frozen=True):
    """Who has seen an alert, and when."""

    at: Time
    by: str


class AlertJson(msgspec.Struct, frozen=True):
    """An alert, and what people said to it."""

    alert_id: str
    kind: AlertKind
    scope: str
    id: str
    since: Time
    raised: Time | None
    text: str
    cleared: Time | None
    acknowledged: AcknowledgedJson | None
    snoozed_until: Time | None
    level: Level


def alert_json(item: Noted) -> AlertJson:
    """An alert as the page has it."""
    episode = item.episode
    at, by = item.acknowledged_at, item.acknowledged_by
    return AlertJson(
        alert_id=episode.alert_id,
        kind=episode.kind,
        scope=episode.scope,
        id=episode.id,
        since=rfc3339(episode.since),
        raised=when(episode.raised),
        text=episode.text,
        cleared=when(episode.cleared),
        acknowledged=None if at is None or by is None else AcknowledgedJson(rfc3339(at), by),
        snoozed_until=when(item.snoozed_until),
        level=episode.level,
    )


# ── Units ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ShownUnit:
    """A device on the map, as far as it is compared with what it was.

    Attributes:
        officers: those who have it now, by duty's number.
        names: what they are called, in one line; None where nobody has it.
        activity: of the first of them, None where nobody has it.
    """

    device_id: str
    time: int
    lon: float
    lat: float
    error_m: float | None
    speed_mps: float | None
    heading_deg: float | None
    place: int
    kind: str
    officers: tuple[str, ...]
    names: str | None
    activity: str | None
    state: int


def called(duty: Duty) -> str:
    """What the officer of a duty is called."""
    return duty.name or duty.officer_id


def holders(duties: Sequence[Duty], now: int) -> dict[str, list[tuple[int, str]]]:
    """By device: the duties to which it is allocated now, with what kind it is."""
    found: dict[str, list[tuple[int, str]]] = {}
    for number, duty in enumerate(duties):
        for item in duty.devices:
            if (item.start is None or item.start <= now) and (item.end is None or item.end > now):
                found.setdefault(item.device_id, []).append((number, item.kind))
    return found


def units_of(picture: Picture, shown: Presence) -> dict[str, ShownUnit]:
    """Every device heard of late.

    Args:
        picture: the state of things.
        shown: what the officers of its duties do.
    """
    held = holders(picture.duties, picture.as_of)
    units = picture.units
    activity, state = shown.activity.tolist(), shown.state.tolist()
    found = {}
    for device_id, time, lon, lat, error, speed, heading, place in zip(
        units.device_id,
        units.time.tolist(),
        np.round(units.lon, DIGITS).tolist(),
        np.round(units.lat, DIGITS).tolist(),
        maybe(units.error_m, 1),
        maybe(units.speed_mps, 1),
        maybe(units.heading_deg, 0),
        units.place.tolist(),
        strict=True,
    ):
        own = held.get(device_id, ())
        first = own[0][0] if own else -1
        found[device_id] = ShownUnit(
            device_id,
            time,
            lon,
            lat,
            error,
            speed,
            heading,
            place,
            own[0][1] if own else "radio",
            tuple(picture.duties[number].officer_id for number, _ in own),
            ", ".join(called(picture.duties[number]) for number, _ in own) or None,
            activity_name(activity[first]) if own else None,
            state[first] if own else NO_STATE,
        )
    return found


def maybe(column: np.typing.NDArray[np.float64], decimals: int) -> list[float | None]:
    """Numbers rounded, those that are missing as None."""
    missing = np.isnan(column).tolist()
    values = np.round(column, decimals).tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def columns_of(units: Sequence[ShownUnit], *, whole: bool) -> Json:
    """Units as columns.

    Args:
        units: which.
        whole: with what seldom changes: the kind of device, who has it, and what they are called.
    """
    found: Json = {
        "ids": [item.device_id for item in units],
        "lon": [item.lon for item in units],
        "lat": [item.lat for item in units],
        "t_ms": [item.time // 1000 for item in units],
        "heading": [None if item.heading_deg is None else int(item.heading_deg) for item in units],
        "activity": [item.activity for item in units],
    }
    if whole:
        found["kind"] = [item.kind for item in units]
        found["officers"] = [item.officers for item in units]
        found["names"] = [item.names for item in units]
    return found


def units_json(units: Mapping[str, ShownUnit], picture: Picture, policies: Policies, names: Names) -> Json:
    """Units as GeoJSON."""
    duties = {duty.officer_id: duty for duty in picture.duties}
    features = []
    for item in units.values():
        place = None if item.place == UNKNOWN else picture.places[item.place]
        owners = [duties[officer] for officer in item.officers]
        features.append(
            {
                "type": "Feature",
                "id": item.device_id,
                "geometry": {"type": "Point", "coordinates": [item.lon, item.lat]},
                "properties": {
                    "device_id": item.device_id,
                    "kind": item.kind,
                    "officers": [{"officer_id": duty.officer_id, "name": called(duty)} for duty in owners],
                    "time": rfc3339(item.time),
                    "age_s": seconds(max(0, picture.as_of - item.time)),
                    "heading_deg": item.heading_deg,
                    "speed_mps": item.speed_mps,
                    "error_m": item.error_m,
                    "neighbourhood": None if place is None else place.neighbourhood,
                    "premises": None if place is None else place.premises,
                    "priorities": [] if place is None else list(place.priorities),
                    "where": names.place(place),
                    "activity": item.activity,
                    "state": state_words(policies, owners[0].start, item.state) if owners else None,
                },
            }
        )
    return {"type": "FeatureCollection", "timeStamp": rfc3339(picture.as_of), "features": features}


# ── Officers ──────────────────────────────────────────────────────────────────────────────────────────────


def officer_json(
    at: int,
    depth: Depth,
    share: LiveShare | None,
    last_fix: Mapping[str, int],
    policies: Policies,
    names: Names,
) -> Json:
    """An officer on duty: what they do, where, since when, and the figure of the duties now running.

    Args:
        at: number of the duty in ``depth.tracks.duties``.
        depth: of the last day.
        share: the officer's figure.
        last_fix: by device.
        policies: they name the states.
        names: of areas.
    """
    shown, duty = depth.presence, depth.tracks.duties[at]
    activity, state = int(shown.activity[at]), int(shown.state[at])
    place = None if shown.place[at] == UNKNOWN else depth.tracks.places[int(shown.place[at])]
    heard = [
        (last_fix[item.device_id], item.device_id)
        for item in duty.devices
        if item.device_id in last_fix and last_fix[item.device_id] >= duty.start
    ]
    newest = max(heard, default=None)
    figures = None if share is None else share.figures
    state_name = state_words(policies, duty.start, state)
    return {
        "officer_id": duty.officer_id,
        "name": called(duty),
        "role": duty.role,
        "team": duty.team,
        "patch": list(duty.patch),
        "duty_id": duty.duty_id,
        "from": rfc3339(duty.start),
        "to": when(duty.end),
        "state": None if state == NO_STATE else state,
        "state_name": state_name,
        "activity": activity_name(activity),
        "place": names.place(place),
        "since": when(int(shown.since[at])),
        "on_patch_s": None if figures is None else seconds(figures.on_patch),
        "duty_s": None if figures is None else seconds(figures.duty),
        "share": _rounded(None if figures is None else figures.share),
        "share_low": _rounded(None if figures is None else figures.share_low),
        "share_high": _rounded(None if figures is None else figures.share_high),
        "off_patch_since": when(int(shown.off_since[at])),
        "why": why(activity, state_name, place, names),
        "last_fix": when(None if newest is None else newest[0]),
        "device_id": None if newest is None else newest[1],
    }


def timelines(depth: Depth, numbers: Sequence[int]) -> dict[int, list[tuple[int, int, str]]]:
    """What officers did, one activity after another, up to the time of the depth.

    Args:
        depth: of the last day.
        numbers: of duties in ``depth.tracks.duties``.

    Returns:
        by the duty's number: start, end (milliseconds since 1970) and name of the activity.
    """
    part = up_to(of_duties(depth.tracks.slices, numbers), depth.tracks.as_of)
    row, start, end = coalesce(part.start, part.end, [part.duty, part.activity])
    found: dict[int, list[tuple[int, int, str]]] = {number: [] for number in numbers}
    for at, low, high, activity in zip(
        part.duty[row].tolist(), start.tolist(), end.tolist(), part.activity[row].tolist(), strict=True
    ):
        found[numbers[at]].append((low // 1000, high // 1000, ACTIVITIES[activity]))
    return found


def why(activity: int, state: str, place: Place | None, names: Names) -> str:
    """What an officer does, in plain words."""
    where = names.place(place)
    if activity == ON_PATCH:
        return f"on patch, {where}"
    if activity == OFF_PATCH:
        there = where if place is not None and place.neighbourhood is None else f"in {where}"
        return f"off patch, {there}, {state}" if state else f"off patch, {there}"
    if activity == HIDDEN:
        return f"at {where}" if place is not None and place.premises is not None else f"not visible, {state}"
    if activity == ON_BREAK:
        return "on a break"
    if activity == UNSEEN:
        return "no position known"
    return "off duty"


def figure_json(figures: Figures, name: str, target: float) -> Json:
    """A figure by itself."""
    event: Json = msgspec.to_builtins(share_event(figures, name, target, 0, 0))
    return {key: value for key, value in event.items() if not key.startswith("officers_")}
