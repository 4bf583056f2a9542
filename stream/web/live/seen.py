"""A moment, and what of it somebody may see: figures, alerts and devices cut to their reach.

Values in, values out. What is cut are the values of which every answer and event is made, so that no answer
has to think of it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from stream.core.live.conditions import PRIORITY
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from stream.core.explaining.wording import Named
    from stream.core.facts import Duty
    from stream.core.live.overview import Depth, LiveShare, Picture
    from stream.store.alerts import Noted
    from stream.store.reading.sight import Fresh
    from stream.web.access.reach import Reach
    from stream.web.live.figures import PriorityAreaJson, ShareJson
    from stream.web.live.units import ShownUnit


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """All that the page is made of at an instant."""

    picture: Picture
    depth: Depth
    shares: tuple[LiveShare, ...]
    alerts: tuple[Noted, ...]
    units: dict[str, ShownUnit]
    names: Named
    fresh: Fresh
    force: ShareJson
    neighbourhoods: dict[str, ShareJson]
    areas: dict[str, PriorityAreaJson]


def seen(moment: Moment, reach: Reach) -> Moment:
    """So much of a moment as somebody may see; the picture itself stays whole, and is no answer."""
    if reach.whole:
        return moment
    booked = _booked(moment)
    return replace(
        moment,
        alerts=tuple(
            _without_names(item, reach) for item in moment.alerts if _alert_seen(item, moment, booked, reach)
        ),
        units={
            name: found
            for name, item in moment.units.items()
            if (found := unit_seen(item, reach)) is not None
        },
        neighbourhoods={
            area_id: item for area_id, item in moment.neighbourhoods.items() if reach.figure(area_id)
        },
        areas={name: item for name, item in moment.areas.items() if reach.figure(item.neighbourhood)},
    )


def officers_of(moment: Moment) -> frozenset[str]:
    """The ids of the officers who are shown: those who have a device, and those whom an alert is about."""
    holders = (holder.officer_id for unit in moment.units.values() for holder in unit.holders)
    return frozenset(holders) | alerted(moment)


def alerted(moment: Moment) -> frozenset[str]:
    """The ids of the officers whom an alert is about."""
    return frozenset(item.episode.id for item in moment.alerts if item.episode.scope == OFFICER)


def only(moment: Moment, officers: Collection[str]) -> Moment:
    """A moment with some of its officers alone: devices and alerts of others are left out."""
    if officers_of(moment) <= set(officers):
        return moment
    return replace(
        moment,
        alerts=tuple(
            item for item in moment.alerts if item.episode.scope != OFFICER or item.episode.id in officers
        ),
        units={
            name: unit
            for name, unit in moment.units.items()
            if all(holder.officer_id in officers for holder in unit.holders)
        },
    )


def unit_seen(unit: ShownUnit, reach: Reach) -> ShownUnit | None:
    """A device with those of its officers whom somebody sees; None where they see none of them."""
    if reach.persons is None:
        return unit
    holders = tuple(item for item in unit.holders if reach.officer(item.officer_id, item.patch))
    if len(holders) == len(unit.holders):
        return unit if holders else None
    return replace(unit, holders=holders) if holders else None


def alert_seen(item: Noted, moment: Moment, reach: Reach) -> bool:
    """Whether somebody sees an alert."""
    return _alert_seen(item, moment, _booked(moment), reach)


def _booked(moment: Moment) -> Mapping[str, Sequence[Duty]]:
    """The duties of the last day by officer."""
    found: dict[str, list[Duty]] = {}
    for duty in chain(moment.depth.tracks.duties, moment.picture.duties):
        found.setdefault(duty.officer_id, []).append(duty)
    return found


def _alert_seen(item: Noted, moment: Moment, booked: Mapping[str, Sequence[Duty]], reach: Reach) -> bool:
    if reach.whole:
        return True
    scope, name = item.episode.scope, item.episode.id
    if scope == FORCE:
        return True
    if scope == NEIGHBOURHOOD:
        return reach.figure(name)
    if scope == PRIORITY:
        area = moment.areas.get(name)
        return reach.figure(None if area is None else area.neighbourhood)
    if scope != OFFICER:
        return False
    if reach.persons is None or name in reach.own:
        return True
    # An alert is about a duty, and an officer may have had another one in another neighbourhood today.
    start, end = item.episode.since, item.episode.cleared
    until = moment.picture.as_of if end is None else end
    meant = [duty for duty in booked.get(name, ()) if duty.start <= until and duty.until >= start]
    return bool(meant) and all(reach.duty(duty) for duty in meant)


def _without_names(item: Noted, reach: Reach) -> Noted:
    """An alert that does not say who has seen it, for whoever sees no names."""
    if not reach.nobody or item.acknowledged_by is None:
        return item
    return replace(item, acknowledged_by="", snoozed_by=None)
