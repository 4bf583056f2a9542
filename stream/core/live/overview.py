"""What a control room needs at a glance: where everybody is, and where each share is heading.

Columns and values in, values out; no Kafka, no database, no clock. There are two depths, at different cost:
the figures and who is where right now come from the growing ends alone, every second; since when, what the
time went to and where a share is heading need the whole of the last day, a little less often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import Kind
from geo.matching.history import FOREVER, UNKNOWN
from stream.core.abstraction import Item, abstraction
from stream.core.calendar import day_start, local_day
from stream.core.columns import changes, ranges
from stream.core.facts import SECOND
from stream.core.live.projection import CERTAIN_MISS, LOOK_BACK, outlook, remaining
from stream.core.shares import FAR, FORCE, NEIGHBOURHOOD, NO_POSITION, OFFICER, Figures, gather, shares
from stream.core.slices import HIDDEN, NO_STATE, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN, Slices
from stream.core.visits import priority_figures, visits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.hours import OwnHours
    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.live.projection import Outlook
    from stream.core.policy import Policies

DAY = 24 * 3600 * SECOND
"""How far back the screen looks, microseconds."""

TOP = 5
"""How many items of abstraction a figure shows."""

SIGNED_OFF = -1
"""In place of an activity: booked on, but off duty (state 11), so nothing is counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The last position of every device heard recently, a row a device, sorted by name.

    Attributes:
        device_id: names.
        time: ``int64[n]``, microseconds since 1970 UTC.
        lon, lat: ``float64[n]``, degrees.
        error_m, speed_mps, heading_deg: ``float64[n]``, NaN where not reported.
        place: ``int32[n]``, where its newest stay is, or ``UNKNOWN``.
    """

    device_id: tuple[str, ...]
    time: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    error_m: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    place: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """What each duty's officer is doing at an instant, a row a duty.

    Attributes:
        activity: ``int8[n]``, index into ``ACTIVITIES``, provisional for up to ``max_gap`` (rule 4), or
            ``SIGNED_OFF``.
        state: ``int16[n]``, the radio status in force.
        place: ``int32[n]``, or ``UNKNOWN``.
        since: ``int64[n]``, when this activity began, microseconds.
        off_since: ``int64[n]``, since when not on patch, breaks and silence left aside; ``FOREVER`` for
            officers who are on patch, on a break or unseen.
        last_on: ``int64[n]``, the last instant on patch; ``-FOREVER`` where there was none.
    """

    activity: NDArray[np.int8]
    state: NDArray[np.int16]
    place: NDArray[np.int32]
    since: NDArray[np.int64]
    off_since: NDArray[np.int64]
    last_on: NDArray[np.int64]


def presence(slices: Slices, duties: Sequence[Duty], now: int, patience: int) -> Presence:
    """What officers are doing at an instant.

    Args:
        slices: of the duties, sorted by duty and time; perhaps only the newest of each.
        duties: the duties behind ``slices.duty``.
        now: microseconds since 1970 UTC.
        patience: how long a silent officer is shown as last seen (rule 4), microseconds.
    """
    count = len(duties)
    begun = np.flatnonzero(slices.start <= now)
    duty, start = slices.duty[begun], slices.start[begun]
    booked = np.zeros(count, np.bool_)
    booked[duty[slices.end[begun] > now]] = True
    end = np.minimum(slices.end[begun], now)
    activity = slices.activity[begun].copy()
    # What is unknown for a moment only is not shown as such.
    kept = np.flatnonzero((activity != UNSEEN) | (end - start >= patience))

    first = np.array([item.start for item in duties], np.int64)
    shown = Presence(
        np.where(booked, UNSEEN, SIGNED_OFF).astype(np.int8),
        np.full(count, NO_STATE, np.int16),
        np.full(count, UNKNOWN, np.int32),
        np.minimum(first, now),
        np.full(count, FOREVER, np.int64),
        np.full(count, -FOREVER, np.int64),
    )
    shown.state[duty] = slices.state[begun]  # in time order: the newest stays
    duty, start, end, activity = duty[kept], start[kept], end[kept], activity[kept]
    row = np.arange(len(duty))
    opens = np.maximum.accumulate(np.where(changes(duty, activity), row, 0))
    here = booked[duty]
    shown.activity[duty[here]] = activity[here]
    shown.place[duty[here]] = slices.place[begun][kept][here]
    shown.since[duty[here]] = start[opens[here]]
    shown.since[~booked] = first[~booked]
    on = activity == ON_PATCH
    np.maximum.at(shown.last_on, duty[on], end[on])

    told = np.flatnonzero((activity != UNSEEN) & (activity != ON_BREAK))
    away = (activity == OFF_PATCH) | (activity == HIDDEN)
    number = np.arange(len(told))
    opens = np.maximum.accumulate(np.where(changes(duty[told], away[told]), number, 0))
    shown.off_since[duty[told]] = start[told[opens]]
    now_away = (shown.activity == OFF_PATCH) | (shown.activity == HIDDEN)
    shown.off_since[~now_away] = FOREVER
    return shown


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The duties now running and how their sums stand.

    Attributes:
        duties: those now running.
        table: ``int64[duties, TOTALS + DOUBT_TOTALS]``, their sums up to now (``stream.core.shares``).
        ends: their newest slices, sorted by duty and time.
        places: the places behind all place numbers.
        far: whether no position of its duties lies near any area (``stream.core.shares.Figures.far``).
        touched: ``bool[duties]``, those of which anything differs from the last reading; None: not known.
    """

    duties: Sequence[Duty]
    table: NDArray[np.int64]
    ends: Slices
    places: Sequence[Place]
    far: bool = False
    touched: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture(Standing):
    """The live picture at an instant, as it was read.

    Attributes:
        as_of: the instant, microseconds since 1970 UTC.
        newest: the newest event's time, ``-FOREVER`` where there is none.
        areas: the areas now in force.
        units: the devices' last positions.
        last_fix: by device, when it was last heard: the time of its last position or, where a clock that is
            ahead dated it later than it came, when it was seen to come.
        unseen: devices whose last position was dated ahead when it was looked at first, so that it is
            not known when it came.
        heard: when any device was last heard, ``-FOREVER`` where that is not known.
    """

    as_of: int
    newest: int
    areas: AreaSet
    units: Units
    last_fix: Mapping[str, int]
    unseen: frozenset[str] = frozenset()
    heard: int = -FOREVER


@dataclass(frozen=True, slots=True, eq=False)
class DayTracks:
    """The last day: duties that touch it, and all their slices.

    Attributes:
        as_of: microseconds; nothing after it is known.
        duties: without cancelled ones.
        slices: sorted by duty and time.
        places: the places behind ``slices.place``.
        windows: the priority areas' own days and hours, over all of it.
    """

    as_of: int
    duties: tuple[Duty, ...]
    slices: Slices
    places: Sequence[Place]
    windows: OwnHours

    @property
    def running(self) -> list[int]:
        """Numbers of the duties now running."""
        return [number for number, duty in enumerate(self.duties) if duty.is_on(self.as_of)]


@dataclass(frozen=True, slots=True)
class Awaited:
    """A priority area and the visits it had (rule 17).

    Attributes:
        area_id, name, issue, days, hours: its own.
        in_hours: whether its own days and hours are now.
        window_start: when its present hours began, microseconds; the beginning of the record where they have
            not; ``FOREVER`` outside its hours.
        last_visit_end: the end of the last visit of the last 24 hours, None without any.
        present: officers there now.
        visits, officer_time: since local midnight; microseconds.
    """

    area_id: str
    name: str
    issue: str
    days: str
    hours: str
    in_hours: bool
    window_start: int
    last_visit_end: int | None
    present: int
    visits: int
    officer_time: int

    def waiting_since(self, begun: int) -> int | None:
        """Since when it waits for a visit; None outside its hours, or while somebody is there.

        Args:
            begun: the beginning of the record, microseconds.
        """
        if not self.in_hours or self.present:
            return None
        return max(self.window_start, begun if self.last_visit_end is None else self.last_visit_end)


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """Everything that needs the whole of the last day.

    Attributes:
        tracks: what it was made of.
        presence: of ``tracks.duties``.
        late: the figures of the last hour, by scope and id.
        away: the largest items of abstraction (rule 16), by scope and id.
        awaited: the priority areas in force.
        begun: the beginning of the record: when the first of the duties began, microseconds.
        due: by neighbourhood, since when its officers on duty have not all been on a break, microseconds;
            without those where they all are now, or nobody is on duty.
    """

    tracks: DayTracks
    presence: Presence
    late: Mapping[tuple[str, str], Figures]
    away: Mapping[tuple[str, str], tuple[Item, ...]]
    awaited: tuple[Awaited, ...]
    begun: int
    due: Mapping[str, int]


def of_duties(slices: Slices, numbers: Sequence[int]) -> Slices:
    """The slices of some duties, which are renumbered in that order."""
    number = np.full(max(int(slices.duty.max(initial=-1)), *numbers, -1) + 1, -1, np.int32)
    number[list(numbers)] = np.arange(len(numbers), dtype=np.int32)
    found = slices.take(number[slices.duty] >= 0)
    return replace(found, duty=number[found.duty])


def deepen(tracks: DayTracks, areas: AreaSet, policies: Policies) -> Depth:
    """Looks at the whole of the last day.

    Args:
        tracks: the last day.
        areas: the areas in force.
        policies: the rules' settings.
    """
    now, places = tracks.as_of, tracks.places
    patience = int(policies.at(now).max_gap_s * SECOND)
    live = tracks.running
    # The figures of the duties now running: the others' slices are left out.
    table = of_duties(tracks.slices, live)
    table = table.take(table.start < now)
    duties = [tracks.duties[at] for at in live]
    begun = min((duty.start for duty in duties), default=now)
    figures = [item for item in shares(table, duties, places, begun, now) if item.scope != OFFICER]
    recent = np.flatnonzero(table.end > now - LOOK_BACK)
    late = shares(table.take(recent), duties, places, now - LOOK_BACK, now)
    away: dict[tuple[str, str], list[Item]] = {}
    for item in abstraction(table, duties, places, policies, figures):
        away.setdefault((item.scope, item.id), []).append(item)
    shown = presence(tracks.slices, tracks.duties, now, patience)
    return Depth(
        tracks,
        shown,
        {(item.scope, item.id): item for item in late},
        {key: tuple(items[:TOP]) for key, items in away.items()},
        awaited(tracks, areas, policies, shown),
        min((duty.start for duty in tracks.duties), default=now),
        due_since(tracks),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """Stretches of duties without a break, of slices that are not at hand.

    Attributes:
        duty: ``int64[n]``, numbers of the duties.
        start: ``int64[n]``, microseconds since 1970 UTC.
        end: ``int64[n]``, exclusive.
    """

    duty: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def due_since(tracks: DayTracks, covered: Covered | None = None) -> dict[str, int]:
    """By neighbourhood: since when somebody should have been on patch there, without a pause.

    Officers on a break or off duty (state 11) need not be: while that applies to all of them, nobody should
    be. Neighbourhoods where it applies now are left out.

    Args:
        tracks: the last day.
        covered: what of it is not in its slices.

    Returns:
        microseconds, by ``area_id``.
    """
    slices, now = tracks.slices, tracks.as_of
    names = sorted({area for duty in tracks.duties for area in duty.patch})
    number = {name: at for at, name in enumerate(names)}
    owned = np.array([len(duty.patch) for duty in tracks.duties], np.int64)
    areas = np.array([number[area] for duty in tracks.duties for area in duty.patch], np.int64)
    rows = np.flatnonzero((slices.activity != ON_BREAK) & (slices.start <= now))
    duty, start, end = slices.duty[rows], slices.start[rows], slices.end[rows]
    if covered is not None:
        duty = np.concatenate([duty, covered.duty])
        start, end = np.concatenate([start, covered.start]), np.concatenate([end, covered.end])
    first = np.cumsum(owned) - owned
    at, entry = ranges(first[duty], first[duty] + owned[duty])
    area, start, end = areas[entry], start[at], end[at]
    order = np.lexsort((start, area))
    area, start, end = area[order], start[order], np.minimum(end[order], now + 1)
    # The latest end so far within each neighbourhood: those of the one before lie below its own times.
    lift = area * (2 * (now + 1 - int(start.min(initial=now))))
    reach = np.maximum.accumulate(end + lift) - lift
    opens = changes(area)
    opens[1:] |= start[1:] > reach[:-1]
    begins = start[np.maximum.accumulate(np.where(opens, np.arange(len(area)), 0))]
    last = np.flatnonzero(np.append(area[1:] != area[:-1], True)) if len(area) else np.zeros(0, np.int64)
    return {names[area[at]]: int(begins[at]) for at in last.tolist() if reach[at] > now}


def awaited(tracks: DayTracks, areas: AreaSet, policies: Policies, shown: Presence) -> tuple[Awaited, ...]:
    """How the priority areas in force stand with their visits.

    Args:
        tracks: the last day; of the slices those in priority areas suffice.
        areas: the areas in force.
        policies: what makes a visit.
        shown: what the officers do.
    """
    now, slices = tracks.as_of, tracks.slices
    inside = np.array([bool(place.priorities) for place in tracks.places] + [False], np.bool_)
    rows = np.flatnonzero(inside[slices.place] & (slices.start < now))
    part = slices.take(rows)
    part = replace(part, end=np.minimum(part.end, now))
    found = visits(part, tracks.duties, tracks.places, policies, tracks.windows, until=now)
    wanted = [area for area in areas.areas() if area.kind is Kind.PRIORITY]
    ids = [area.area_id for area in wanted]
    today = {
        item.area_id: item for item in priority_figures(found, day_start(local_day(now)), now, areas=ids)
    }
    last = dict.fromkeys(found.area_ids, -FOREVER)
    for at, area_id in enumerate(found.area_ids):
        ends = found.end[found.area == at]
        last[area_id] = int(ends.max()) if len(ends) else -FOREVER
    present: dict[str, set[str]] = {}
    visible = np.flatnonzero((shown.activity == ON_PATCH) | (shown.activity == OFF_PATCH))
    for at in visible.tolist():
        if shown.place[at] != UNKNOWN:
            for area_id in tracks.places[shown.place[at]].priorities:
                present.setdefault(area_id, set()).add(tracks.duties[at].officer_id)
    made = []
    for area in wanted:
        window = [(low, high) for low, high in tracks.windows.of_area(area.area_id) if low <= now < high]
        end = last.get(area.area_id, -FOREVER)
        figure = today[area.area_id]
        made.append(
            Awaited(
                area.area_id,
                area.name,
                area.attributes.get("issue") or "",
                area.attributes.get("days") or "",
                area.attributes.get("hours") or "",
                bool(window),
                window[0][0] if window else FOREVER,
                end if end > now - DAY else None,
                len(present.get(area.area_id, ())),
                figure.visits,
                figure.officer_time,
            )
        )
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Officers:
    """How many officers of a figure are doing what at an instant.

    Attributes:
        on_duty: booked on, and not off duty by their state (rule 11).
        on_patch: of these; provisional for up to ``max_gap`` (rule 4).
        silent: those whose position is unknown.
        on_break: on a break.
    """

    on_duty: int
    on_patch: int
    silent: int
    on_break: int

    @classmethod
    def of(cls, duties: Sequence[Duty], numbers: Iterable[int], shown: Presence) -> Officers:
        """Counts the officers of some duties.

        Args:
            duties: those behind ``shown``.
            numbers: which of them.
            shown: what their officers do.
        """
        who: dict[int, set[str]] = {}
        for at in numbers:
            who.setdefault(int(shown.activity[at]), set()).add(duties[at].officer_id)
        present = {officer for activity, some in who.items() if activity != SIGNED_OFF for officer in some}
        return cls(len(present), *(len(who.get(activity, ())) for activity in (ON_PATCH, UNSEEN, ON_BREAK)))


def own_duties(duties: Sequence[Duty]) -> dict[tuple[str, str], list[int]]:
    """By scope and id: the numbers of the duties that a figure is made of (rule 15).

    An officer's are all, with a patch or without; ``numbers_of`` tells which of them count in a figure.
    """
    own: dict[tuple[str, str], list[int]] = {}
    for number, duty in enumerate(duties):
        keys = [(OFFICER, duty.officer_id)]
        keys += [(FORCE, FORCE), *((NEIGHBOURHOOD, area) for area in duty.patch)] if duty.patch else []
        for key in keys:
            own.setdefault(key, []).append(number)
    return own


def numbers_of(
    item: Figures, own: Mapping[tuple[str, str], list[int]], duties: Sequence[Duty]
) -> Sequence[int]:
    """The numbers of a figure's own duties."""
    numbers = own.get((item.scope, item.id), [])
    if item.scope != OFFICER:
        return numbers
    return [at for at in numbers if bool(duties[at].patch) == item.has_share]


@dataclass(frozen=True, slots=True)
class LiveShare:
    """A live figure with what stands beside it (rule 15).

    Attributes:
        figures: from the start of the earliest of its own duties to now.
        name: of the neighbourhood, the officer or the force.
        target: rule 13's.
        officers: how many of its own do what.
        outlook: what may become of it until the shifts now running end (``stream.core.live.projection``);
            None too where only the growing ends were looked at.
        away: the largest items of abstraction.
        need: how urgently it needs attention, the greater the more (``need``).
    """

    figures: Figures
    name: str
    target: float
    officers: Officers
    outlook: Outlook | None = None
    away: tuple[Item, ...] = ()

    @property
    def projected(self) -> Figures | None:
        """The figure at the end of the shifts if it goes on as in the last hour; None: too early to tell."""
        return None if self.outlook is None else self.outlook.ahead

    @property
    def deserted(self) -> bool:
        """Whether officers are on duty, not all of them on a break, and none is on patch."""
        return self.officers.on_duty > self.officers.on_break and not self.officers.on_patch

    @property
    def need(self) -> float:
        """How urgently it needs attention, the greater the more.

        3 and more: nobody on patch where somebody should be. 2 to 3: heading below the target, or certain to
        miss it, by how much. 1 to 2: below it now, by how much. 0 to 1: the rest, by the time not on patch.
        -1: nobody on duty.
        """
        share = self.figures.share
        if share is None and self.figures.without_share in (NO_POSITION, FAR):
            share = 0.0  # whether nobody is there or nobody is seen, somebody has to look
        if not self.officers.on_duty or share is None:
            return -1.0
        ahead = self.projected.share if self.projected is not None else None
        missing = max(0.0, self.target - (share if ahead is None else ahead))
        if self.deserted:
            return 3.0 + missing
        certain = self.outlook is not None and self.outlook.word(self.target) == CERTAIN_MISS
        if certain or (ahead is not None and ahead < self.target):
            return 2.0 + missing
        return 1.0 + (self.target - share) if share < self.target else 1.0 - share


def standing_shares(
    found: Standing, now: int, names: Mapping[str, str], policies: Policies
) -> tuple[Presence, list[LiveShare]]:
    """What the officers do, and the figures of the force, of neighbourhoods and of officers on duty.

    The figures are what the growing ends alone tell: without outlook and abstraction.

    Args:
        found: the duties now running.
        now: microseconds since 1970 UTC.
        names: of the neighbourhoods in force by id.
        policies: the targets, and how long a silent officer is shown as last seen (rule 4).
    """
    duties = found.duties
    begun = min((duty.start for duty in duties), default=now)
    figures = gather(found.table, duties, range(len(duties)), begun, now, neighbourhoods=names, far=found.far)
    shown = presence(found.ends, duties, now, int(policies.at(now).max_gap_s * SECOND))
    called = {(NEIGHBOURHOOD, area_id): name for area_id, name in names.items()}
    called |= {(OFFICER, duty.officer_id): duty.name or duty.officer_id for duty in duties}
    called[FORCE, FORCE] = "the force"
    own = own_duties(duties)
    made = []
    for item in figures:
        numbers = numbers_of(item, own, duties)
        start = min((duties[at].start for at in numbers), default=now)
        name = called.get((item.scope, item.id), item.id)
        officers = Officers.of(duties, numbers, shown)
        made.append(LiveShare(replace(item, start=start), name, policies.at(start).target, officers))
    return shown, made


def picture_shares(
    picture: Picture, depth: Depth, policies: Policies, usual: int, least_done: float
) -> tuple[Presence, tuple[LiveShare, ...]]:
    """``standing_shares`` with outlooks and abstraction.

    Args:
        picture: the state of things.
        depth: of the last day, perhaps some seconds older.
        policies: the targets.
        usual: how long a duty without an end is expected to last, microseconds.
        least_done: how much of the booked time must be over before a share is projected, 0 to 1.
    """
    duties, now = picture.duties, picture.as_of
    shown, found = standing_shares(picture, now, picture.areas.names(Kind.NEIGHBOURHOOD), policies)
    own = own_duties(duties)
    made = []
    for item in found:
        key = (item.figures.scope, item.figures.id)
        numbers = numbers_of(item.figures, own, duties)
        rest = remaining((duties[at] for at in numbers), now, usual)
        ahead = outlook(item.figures, depth.late.get(key), rest, len(numbers), least_done)
        made.append(replace(item, outlook=ahead, away=depth.away.get(key, ())))
    return shown, tuple(made)


def nobody_since(depth: Depth) -> dict[str, int]:
    """By neighbourhood: since when nobody was on patch there while somebody should have been, microseconds.

    Applies to neighbourhoods with nobody on patch (``Share.deserted``). Officers who have gone home count
    too: the last one seen there may have ended their duty.
    """
    seen: dict[str, int] = {}
    for duty, last_on in zip(depth.tracks.duties, depth.presence.last_on.tolist(), strict=True):
        for area in duty.patch:
            seen[area] = max(seen.get(area, -FOREVER), last_on)
    return {area: max(since, seen[area]) for area, since in depth.due.items()}
