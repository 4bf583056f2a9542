"""The conditions behind alerts: what is happening now that somebody may need to know, in plain words.

Values in, values out; no Kafka, no database, no clock. Whether an alert is raised, and when it clears, is
decided in ``stream.core.live.alerts``. Texts say since when, not for how long, so that they do not change by
themselves.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from geo.areas import Kind
from geo.matching.history import FOREVER, UNKNOWN
from stream.core.calendar import LOCAL, local_day, moment
from stream.core.explaining.parts import area_names
from stream.core.explaining.wording import plain_percent
from stream.core.facts import SECOND
from stream.core.live.alerts import (
    FEED_STOPPED,
    KINDS,
    NOBODY_ON_PATCH,
    OFF_PATCH_LONG,
    PRIORITY_UNVISITED,
    PROJECTED_MISS,
    TRACKER_SILENT,
    Condition,
    Observation,
)
from stream.core.live.overview import SIGNED_OFF, nobody_since
from stream.core.live.projection import CERTAIN_MISS, LIKELY_MISS
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from geo.areas import AreaSet
    from stream.core.facts import Duty
    from stream.core.live.overview import Depth, LiveShare, Picture

PRIORITY = "priority"
"""The scope of alerts about priority areas."""

HEARD = 120 * SECOND
"""A device silent for less than this is not called silent, microseconds."""


def conditions(
    picture: Picture, shares: Sequence[LiveShare], depth: Depth, silent_for: int, stopped_after: int
) -> Observation:
    """The conditions that hold now.

    While the feed is stopped nothing else can be judged, because every officer would seem silent. While no
    neighbourhood is in force, nothing about patches can be judged.

    Args:
        picture: the live picture.
        shares: of the force, neighbourhoods and officers.
        depth: of the last day.
        silent_for: for how long nothing at all has been received, microseconds.
        stopped_after: how long a silence means that the feed has stopped, microseconds.
    """
    now = picture.as_of
    time = now + silent_for if now == picture.newest else now
    if silent_for >= stopped_after:
        text = f"No positions received since {clock(picture.newest, now, seconds=True)}"
        stopped = Condition(FEED_STOPPED, FORCE, FORCE, text, time - silent_for)
        return Observation(time, (stopped,), frozenset(KINDS) - {FEED_STOPPED})
    # Nobody can be on patch in a neighbourhood that is not in force: that is a matter of boundaries.
    grounds = picture.areas.names(Kind.NEIGHBOURHOOD)
    judged = [item for item in shares if item.figures.scope != NEIGHBOURHOOD or item.figures.id in grounds]
    if not grounds:
        found = (*_unvisited(depth, now), *_silent(picture, depth))
        unjudged = frozenset({NOBODY_ON_PATCH, PROJECTED_MISS, OFF_PATCH_LONG})
        return Observation(time, tuple({item.key: item for item in found}.values()), unjudged)
    found = (
        *_nobody(judged, depth, now),
        *_projected(judged),
        *_unvisited(depth, now),
        *_away(depth, picture.areas, now),
        *_silent(picture, depth),
    )
    return Observation(time, tuple({item.key: item for item in found}.values()))


def clock(time: int, now: int, *, seconds: bool = False) -> str:
    """A local time of day, with its date where that is not today."""
    shown, day, of_day = _local(time, seconds)
    return shown if day == local_day(now) else f"{shown} on {of_day}"


@lru_cache(8192)
def _local(time: int, seconds: bool) -> tuple[str, date, str]:
    """A local time of day, its day, and that in words: of what lasts it is asked with every look."""
    local = moment(time).astimezone(LOCAL)
    return (f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"), local_day(time), f"{local.day} {local:%B}"


def _nobody(shares: Sequence[LiveShare], depth: Depth, now: int) -> Iterator[Condition]:
    since = nobody_since(depth)
    for item in shares:
        area = item.figures.id
        if item.figures.scope == NEIGHBOURHOOD and item.deserted and area in since:
            due = item.officers.on_duty - item.officers.on_break
            officers = "1 officer is" if due == 1 else f"{due} officers are"
            # Officers on a break are not counted: nobody expects them on patch.
            text = f"{item.name}: nobody on patch since {clock(since[area], now)}; {officers} on duty"
            yield Condition(NOBODY_ON_PATCH, NEIGHBOURHOOD, area, text, since[area])


def _projected(shares: Sequence[LiveShare]) -> Iterator[Condition]:
    for item in shares:
        if item.figures.scope == OFFICER or item.outlook is None:
            continue
        word, target = item.outlook.word(item.target), plain_percent(Fraction(str(item.target)))
        if word == CERTAIN_MISS:
            text = (
                f"{item.name}: can no longer reach {target}, even with everyone on patch until the shift ends"
            )
        elif word == LIKELY_MISS and item.projected is not None and item.projected.share is not None:
            text = (
                f"{item.name}: heading for {_percent(item.projected.share)} at the end of the shift, "
                f"below {target}, if the last hour's pattern continues"
            )
        else:
            continue
        yield Condition(PROJECTED_MISS, item.figures.scope, item.figures.id, text)


def _percent(value: float) -> str:
    return f"{int(value * 100 + 1e-9)}%"  # down: 79.9 is not 80


def _unvisited(depth: Depth, now: int) -> Iterator[Condition]:
    for item in depth.awaited:
        since = item.waiting_since(depth.begun)
        if since is not None:
            text = f"{item.name}: no visit since {clock(since, now)}, within its own hours"
            yield Condition(PRIORITY_UNVISITED, PRIORITY, item.area_id, text, since)


def _away(depth: Depth, areas: AreaSet, now: int) -> Iterator[Condition]:
    tracks, shown = depth.tracks, depth.presence
    names = area_names(areas)
    gone = (shown.off_since != FOREVER) & (shown.activity != SIGNED_OFF)
    for at in tracks.running:
        if not gone[at] or not tracks.duties[at].patch:
            continue
        duty, since = tracks.duties[at], int(shown.off_since[at])
        place = None if shown.place[at] == UNKNOWN else tracks.places[int(shown.place[at])]
        if place is None:
            where = ""
        elif place.premises is not None:
            where = f": at {names.get((Kind.PREMISES, place.premises), place.premises)}"
        elif place.neighbourhood is not None:
            where = f": in {names.get((Kind.NEIGHBOURHOOD, place.neighbourhood), place.neighbourhood)}"
        else:
            where = ": outside the force"
        text = f"{duty.name or duty.officer_id}: off patch since {clock(since, now)}{where}"
        yield Condition(OFF_PATCH_LONG, OFFICER, duty.officer_id, text, since)


def _silent(picture: Picture, depth: Depth) -> Iterator[Condition]:
    tracks, shown, now = depth.tracks, depth.presence, picture.as_of
    off = (shown.activity == SIGNED_OFF).tolist()
    last, lately = picture.last_fix, now - HEARD
    for at in tracks.running:
        duty = tracks.duties[at]
        # Nearly always a device that is held for the whole duty was heard just now.
        if off[at] or _lately(duty, last, lately):
            continue
        held = [
            item
            for item in duty.devices
            if (item.start is None or item.start <= now) and (item.end is None or item.end > now)
        ]
        if not held:
            continue
        since = max(duty.start, *(last.get(item.device_id, duty.start) for item in held))
        if since <= lately:
            devices = ", ".join(f"{item.kind} {item.device_id}" for item in held)
            text = f"{duty.name or duty.officer_id}: no position since {clock(since, now)} ({devices})"
            yield Condition(TRACKER_SILENT, OFFICER, duty.officer_id, text, since)


def _lately(duty: Duty, last: Mapping[str, int], lately: int) -> bool:
    for item in duty.devices:
        if item.start is None and item.end is None and last.get(item.device_id, lately) > lately:
            return True
    return False
