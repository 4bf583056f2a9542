"""Officers of a neighbourhood, and its hours, as the live API says them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geo.matching.history import UNKNOWN
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND
from stream.core.json_types import when
from stream.core.live.overview import of_duties
from stream.core.shares import NEIGHBOURHOOD, OFFICER, shares
from stream.core.slices import ACTIVITIES, NO_DEVICE
from stream.web import plain
from stream.web.live import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stream.core.facts import Duty
    from stream.core.live.overview import LiveShare
    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.store.reading.duty_track import DutyTrack
    from stream.web.description import Json
    from stream.web.live.pulse import Moment


HOUR = 3600 * SECOND


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
    lines = answers.timelines(depth, numbers) if timeline else {}
    by_officer: Mapping[str, LiveShare] = {
        item.figures.id: item for item in moment.shares if item.figures.scope == OFFICER
    }
    found = [
        {
            **answers.officer_json(
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
        "duty_s": plain.seconds(item.duty),
        "on_patch_s": plain.seconds(item.on_patch),
        "off_patch_s": plain.seconds(item.off_patch),
        "not_visible_s": plain.seconds(item.not_visible),
        "unknown_s": plain.seconds(item.unknown),
        "break_s": plain.seconds(item.on_break),
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
                "ambiguous_s": plain.seconds(int(track.ambiguous[at])),
                "state": None if state < 0 else state,
                "state_name": answers.state_words(policies, duty.start, state),
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
            "to": when(duty.end),
            "running": running,
            "devices": [
                {
                    "device_id": item.device_id,
                    "kind": item.kind,
                    "from": when(item.start),
                    "to": when(item.end),
                }
                for item in duty.devices
            ],
        },
        "as_of": rfc3339(moment.picture.as_of),
        "slices": rows,
        "track": {
            "device_id": [track.fix_devices[at] for at in fixes.device.tolist()],
            "t_ms": (fixes.time // 1000).tolist(),
            "lon": fixes.lon.round(plain.DIGITS).tolist(),
            "lat": fixes.lat.round(plain.DIGITS).tolist(),
            "error_m": answers.maybe(fixes.error_m, 1),
            "ignored": track.ignored.tolist(),
        },
        "figure": answers.figure_json(track.figures, duty.name or duty.officer_id, track.target),
    }
