"""Officers of a neighbourhood, and its hours; and one officer's duty in all detail.

Values in, structs out; nothing is read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from geo.matching.history import UNKNOWN
from stream.core.calendar import rfc3339
from stream.core.columns import coalesce
from stream.core.facts import SECOND
from stream.core.json_types import Part, Seconds, Time, extended, rounded, seconds_ms, told, when
from stream.core.live.overview import of_duties
from stream.core.live.share_event import FigureJson, figure_json
from stream.core.shares import NEIGHBOURHOOD, OFFICER, shares
from stream.core.slices import (
    ACTIVITIES,
    HIDDEN,
    NO_DEVICE,
    NO_STATE,
    OFF_PATCH,
    ON_BREAK,
    ON_PATCH,
    UNSEEN,
    up_to,
)
from stream.web.access.reach import EVERYTHING
from stream.web.live.figures import Activity, ShareJson, place_words
from stream.web.live.units import (
    DIGITS,
    DeviceKind,
    Doing,
    activity_name,
    called,
    known_numbers,
    state_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geo.matching.places import Place
    from stream.core.explaining.wording import Named
    from stream.core.facts import Duty
    from stream.core.live.overview import Depth, LiveShare
    from stream.core.policy import Policies
    from stream.store.reading.duty_track import DutyTrack
    from stream.web.access.reach import Reach
    from stream.web.live.seen import Moment

HOUR = 3600 * SECOND
SHOWN = 48 * HOUR
"""How far back a neighbourhood is shown hour by hour, microseconds, however long its duties are."""

Stretch = Annotated[
    tuple[int, int, Activity],
    Meta(description="Start and end in milliseconds since 1970, and the activity."),
]


class OfficerJson(msgspec.Struct, frozen=True):
    """An officer on duty: what they do, where, since when, and the figure of the duties now running."""

    officer_id: str
    name: str
    role: str | None
    team: str | None
    patch: list[str]
    duty_id: str
    start: Time = msgspec.field(name="from")
    end: Time | None = msgspec.field(name="to")
    state: int | None
    state_name: str
    activity: Doing
    place: str
    since: Time | None
    on_patch_s: Seconds | None
    duty_s: Seconds | None
    share: Part | None
    share_low: Part | None
    share_high: Part | None
    off_patch_since: Time | None
    why: str
    last_fix: Time | None
    device_id: str | None


class OfficerAtHomeJson(OfficerJson, frozen=True):
    """An officer of a neighbourhood, with what each did since the duty's start."""

    timeline: list[Stretch]


class HourJson(msgspec.Struct, frozen=True):
    """The figure of an hour."""

    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    share: Part | None
    share_low: Part | None
    share_high: Part | None
    duty_s: Seconds
    on_patch_s: Seconds
    off_patch_s: Seconds
    not_visible_s: Seconds
    unknown_s: Seconds
    break_s: Seconds


class NeighbourhoodJson(msgspec.Struct, frozen=True):
    """A neighbourhood: its figure, hour by hour, and its officers, those first who are not on patch."""

    as_of: Time
    share: ShareJson
    hours: list[HourJson]
    officers: list[OfficerAtHomeJson]


CountedTo = Annotated[
    Time | None,
    Meta(
        description="Up to where it counts (rule 8a): its end, of an open duty the end of the longest duty; "
        "null: it is booked for too long, and counts for nothing until it is revised."
    ),
]


class BookedJson(msgspec.Struct, frozen=True):
    """A duty as it is booked."""

    duty_id: str
    counted_to: CountedTo
    start: Time = msgspec.field(name="from")
    end: Time | None = msgspec.field(name="to")


class OfficerNowJson(msgspec.Struct, frozen=True):
    """An officer, the duty that is running, and the newest duties, the newest first."""

    officer_id: str
    name: str
    officer: Annotated[OfficerJson | None, Meta(description="Null where no duty of theirs is running.")]
    duties: list[BookedJson]


class SliceJson(msgspec.Struct, frozen=True):
    """A piece of a duty that counts as one activity."""

    start: Time
    end: Time
    activity: Activity
    reason: str
    where: str
    neighbourhood: str | None
    premises: str | None
    priorities: list[str]
    device_id: str | None
    ambiguous_s: Seconds
    state: int | None
    state_name: str


class HeldJson(msgspec.Struct, frozen=True):
    """A device that an officer has, for all of the duty where no times are given."""

    device_id: str
    kind: DeviceKind
    start: Time | None = msgspec.field(name="from")
    end: Time | None = msgspec.field(name="to")


class DutyJson(msgspec.Struct, frozen=True):
    """A duty as it is booked, whole."""

    duty_id: str
    officer_id: str
    name: str
    role: str | None
    team: str | None
    patch: list[str]
    counted_to: CountedTo
    start: Time = msgspec.field(name="from")
    end: Time | None = msgspec.field(name="to")
    running: bool
    devices: list[HeldJson]


class TrackJson(msgspec.Struct, frozen=True):
    """Reported positions as columns."""

    device_id: list[str]
    t_ms: list[int]
    lon: list[float]
    lat: list[float]
    error_m: list[float | None]
    ignored: Annotated[
        list[bool], Meta(description="Whether it is a jump that no movement explains (rule 3).")
    ]


class DutyDetailJson(msgspec.Struct, frozen=True):
    """One duty: its slices as rule 12 has them, its devices' track, its figure."""

    duty: DutyJson
    as_of: Time
    slices: list[SliceJson]
    track: TrackJson
    figure: FigureJson


def officers_json(moment: Moment, policies: Policies, wanted: Callable[[Duty], bool]) -> list[OfficerJson]:
    """The officers of the running duties that are wanted: who is not on patch first.

    Args:
        moment: the present.
        policies: they name the states.
        wanted: which duties.
    """
    depth = moment.depth
    by_officer: Mapping[str, LiveShare] = {
        item.figures.id: item for item in moment.shares if item.figures.scope == OFFICER
    }
    found = [
        officer_json(
            at,
            depth,
            by_officer.get(depth.tracks.duties[at].officer_id),
            moment.picture.last_fix,
            policies,
            moment.names,
        )
        for at in depth.tracks.running
        if wanted(depth.tracks.duties[at])
    ]
    return sorted(found, key=lambda item: (item.activity == ACTIVITIES[ON_PATCH], item.name, item.duty_id))


def officer_json(
    at: int,
    depth: Depth,
    share: LiveShare | None,
    last_fix: Mapping[str, int],
    policies: Policies,
    names: Named,
) -> OfficerJson:
    """An officer on duty.

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
    return told(
        OfficerJson,
        duty,
        name=called(duty),
        state=None if state == NO_STATE else state,
        state_name=state_name,
        activity=activity_name(activity),
        place=place_words(place, names),
        since=when(int(shown.since[at])),
        on_patch_s=None if figures is None else seconds_ms(figures.on_patch),
        duty_s=None if figures is None else seconds_ms(figures.duty),
        share=None if figures is None else rounded(figures.share),
        share_low=None if figures is None else rounded(figures.share_low),
        share_high=None if figures is None else rounded(figures.share_high),
        off_patch_since=when(int(shown.off_since[at])),
        why=why(activity, state_name, place, names),
        last_fix=when(None if newest is None else newest[0]),
        device_id=None if newest is None else newest[1],
    )


def timelines(depth: Depth, numbers: Sequence[int]) -> dict[str, list[Stretch]]:
    """What officers did, one activity after another, up to the time of the depth.

    Args:
        depth: of the last day.
        numbers: of duties in ``depth.tracks.duties``.

    Returns:
        by the duty's id: start, end (milliseconds since 1970) and name of the activity.
    """
    part = up_to(of_duties(depth.tracks.slices, numbers), depth.tracks.as_of)
    row, start, end = coalesce(part.start, part.end, [part.duty, part.activity])
    ids = [depth.tracks.duties[number].duty_id for number in numbers]
    found: dict[str, list[Stretch]] = {duty_id: [] for duty_id in ids}
    for at, low, high, activity in zip(
        part.duty[row].tolist(), start.tolist(), end.tolist(), part.activity[row].tolist(), strict=True
    ):
        found[ids[at]].append((low // 1000, high // 1000, ACTIVITIES[activity]))
    return found


def why(activity: int, state: str, place: Place | None, names: Named) -> str:
    """What an officer does, in plain words."""
    where = place_words(place, names)
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


def neighbourhood_json(
    area_id: str, moment: Moment, policies: Policies, reach: Reach = EVERYTHING
) -> NeighbourhoodJson:
    """A neighbourhood: its figure, hour by hour, and those of its officers who may be seen.

    Args:
        area_id: which.
        moment: the present.
        policies: they name the states.
        reach: how far whoever asks sees.
    """
    tracks = moment.depth.tracks
    numbers = [at for at in tracks.running if area_id in tracks.duties[at].patch]
    hours: list[HourJson] = []
    if numbers:
        begun = max(min(tracks.duties[at].start for at in numbers), moment.picture.as_of - SHOWN)
        part = of_duties(tracks.slices, numbers)
        duties = [tracks.duties[at] for at in numbers]
        for start in range(begun // HOUR * HOUR, moment.picture.as_of, HOUR):
            low, high = max(start, begun), min(start + HOUR, tracks.as_of)
            if low >= high:
                continue
            hours += [
                told(HourJson, item, digits=3)
                for item in shares(part, duties, tracks.places, low, high)
                if (item.scope, item.id) == (NEIGHBOURHOOD, area_id)
            ]
    lines = timelines(moment.depth, numbers)
    return NeighbourhoodJson(
        as_of=rfc3339(moment.picture.as_of),
        share=moment.neighbourhoods[area_id],
        hours=hours,
        officers=[
            extended(OfficerAtHomeJson, item, timeline=lines[item.duty_id])
            for item in officers_json(
                moment, policies, lambda duty: area_id in duty.patch and reach.duty(duty)
            )
        ],
    )


def counted_to(duty: Duty) -> str | None:
    """Up to where a duty counts, None where it counts for nothing (rule 8a)."""
    return when(duty.until if duty.counts else None)


def officer_now_json(
    duties: Sequence[Duty], moment: Moment, policies: Policies, reach: Reach = EVERYTHING
) -> OfficerNowJson:
    """An officer.

    Args:
        duties: the officer's newest that may be seen, at least one, the newest first.
        moment: the present.
        policies: they name the states.
        reach: how far whoever asks sees.
    """
    officer_id = duties[0].officer_id
    running = officers_json(moment, policies, lambda duty: duty.officer_id == officer_id and reach.duty(duty))
    return OfficerNowJson(
        officer_id=officer_id,
        name=called(duties[0]),
        officer=running[0] if running else None,
        duties=[told(BookedJson, duty, counted_to=counted_to(duty)) for duty in duties],
    )


def duty_json(track: DutyTrack, moment: Moment, policies: Policies) -> DutyDetailJson:
    """One duty: its slices as rule 12 has them, its devices' track, its figure."""
    duty, slices, names = track.duty, track.slices, moment.names
    rows = []
    for at in range(len(slices)):
        place = None if slices.place[at] == UNKNOWN else track.places[int(slices.place[at])]
        state, device = int(slices.state[at]), int(slices.device[at])
        rows.append(
            SliceJson(
                start=rfc3339(int(slices.start[at])),
                end=rfc3339(int(slices.end[at])),
                activity=ACTIVITIES[int(slices.activity[at])],
                reason=track.reasons[at],
                where=place_words(place, names),
                neighbourhood=None if place is None else place.neighbourhood,
                premises=None if place is None else place.premises,
                priorities=[] if place is None else list(place.priorities),
                device_id=None if device == NO_DEVICE else track.device_ids[device],
                ambiguous_s=seconds_ms(int(track.ambiguous[at])),
                state=None if state < 0 else state,
                state_name=state_words(policies, duty.start, state),
            )
        )
    fixes = track.fixes
    return DutyDetailJson(
        duty=told(
            DutyJson,
            duty,
            name=called(duty),
            running=duty.counts and duty.until > moment.picture.as_of,
            counted_to=counted_to(duty),
            devices=[told(HeldJson, item) for item in duty.devices],
        ),
        as_of=rfc3339(moment.picture.as_of),
        slices=rows,
        track=TrackJson(
            device_id=[track.fix_devices[at] for at in fixes.device.tolist()],
            t_ms=(fixes.time // 1000).tolist(),
            lon=fixes.lon.round(DIGITS).tolist(),
            lat=fixes.lat.round(DIGITS).tolist(),
            error_m=known_numbers(fixes.error_m, 1),
            ignored=track.ignored.tolist(),
        ),
        figure=figure_json(track.figures, called(duty), track.target),
    )
