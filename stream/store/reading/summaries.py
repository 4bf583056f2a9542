"""Just so much of the database as summaries of a period are counted from, as of one instant.

Reads only; ``stream.core.summaries.counting`` counts. For one neighbourhood only what concerns it is read, so
that a page need not wait for a force; for all of them everything is read once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import AreaSet, Kind
from geo.matching.history import FOREVER, UNKNOWN
from geo.matching.places import Place
from stream.core.calendar import moment
from stream.core.crewing import crewing
from stream.core.explaining.explanation import cut_open
from stream.core.explaining.parts import area_names
from stream.core.explaining.wording import Named
from stream.core.facts import Duty
from stream.core.policy import BEGINNING
from stream.core.quality.elsewhere import anywhere, extent_of, in_force
from stream.core.shares import DOUBT_TOTALS, NEIGHBOURHOOD, TOTALS, Figures, figures_of, totals
from stream.core.slices import HIDDEN, OFF_PATCH, Slices, up_to
from stream.core.stays import Stays
from stream.core.summaries.counting import (
    PERIODS,
    VISITS_REACH,
    SummaryFacts,
    earlier,
    neighbourhoods,
    own_duties,
    summarise,
    touching,
)
from stream.core.summaries.details import Vehicles
from stream.core.summaries.model import BoundaryVersion, Past
from stream.store import areas, reports
from stream.store.columns import literal
from stream.store.reading.doubtful import DoubtfulTime, doubts_of
from stream.store.reading.elsewhere import all_far
from stream.store.reading.instant import (
    devices_of,
    ever_booked,
    fetch,
    first_duty,
    instant,
    numbering,
    read_duties,
    scalars,
    slices_of,
    us,
)
from stream.store.reading.live import newest_event
from stream.store.reading.quality import heard_in
from stream.store.tracks import SLICES, STAYS, concatenate, every, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stream.core.calendar import Period
    from stream.core.policy import Policies
    from stream.core.summaries.model import Summary
    from stream.core.windows import Rows
    from stream.store.reports import Entry
    from stream.store.schema import Connection

DUTY = 0
PLACE, DEVICE = 5, 6
"""Columns of a slice's rows."""


def summaries(
    connection: Connection,
    policies: Policies,
    period: Period,
    *,
    area_ids: Sequence[str] | None = None,
    now: int,
) -> Iterator[Summary]:
    """The summaries of a period, by the neighbourhoods' ids.

    Everything is read, as of one instant, before the first is given.

    Args:
        connection: outside any transaction.
        policies: the rules' settings.
        period: the week or month.
        area_ids: neighbourhoods; None: every one that was in force, or had a duty, in the period.
        now: microseconds; it decides only whether the period is over.
    """
    with instant(connection):
        record, chosen = record_of(connection, policies, period, area_ids, now)
    return summarise(record, period, policies, chosen)


def facts_of(
    connection: Connection, policies: Policies, period: Period, area_id: str, now: int
) -> SummaryFacts | None:
    """What one neighbourhood's summary is counted from; None where nothing is known of it in the period.

    Args: see ``summaries``.
    """
    with instant(connection):
        record, _ = record_of(connection, policies, period, [area_id], now)
    known = area_id in neighbourhoods(record.versions, period)
    return record if known or own_duties(record.duties, period, area_id) else None


def vehicles_of(
    connection: Connection, period: Period, area_id: str, now: int
) -> tuple[Vehicles, Named] | None:
    """What one neighbourhood's crewing is counted from, and the names of areas; None as in ``facts_of``."""
    with instant(connection):
        versions = _published(connection, period).versions
        if area_id not in neighbourhoods(versions, period) and not len(
            _own(connection, period.start, period.end, [area_id]).keys
        ):
            return None
        found = _vehicles(connection, period, _until(connection, period, now), [area_id])
    return found, Named(area_names(*(item for since, item in versions if since < period.end)))


@dataclass(frozen=True, slots=True, eq=False)
class ForcePeriod:
    """All neighbourhoods of a period: as published, else as counted now.

    Attributes:
        entries: the newest published report of each neighbourhood that has one.
        counted: of each of the others its name, and its figures up to now after those of the periods before.
        complete: whether the period is over.
    """

    entries: list[Entry]
    counted: dict[str, tuple[str, tuple[Past, ...]]]
    complete: bool


def force_period(connection: Connection, policies: Policies, period: Period, now: int) -> ForcePeriod:
    """What is known of all neighbourhoods of a period, as of one instant.

    Args: see ``summaries``.
    """
    with instant(connection):
        entries = reports.listing(connection, period.name)
        versions = _published(connection, period).versions
        present = replace(period, end=_until(connection, period, now))
        periods = [*period.before(PERIODS - 2), present]
        there = {item.area_id for item in entries}
        missing = set(neighbourhoods(versions, period)) - there
        past = figures_by_period(connection, periods, None) if missing else {}
    names = area_names(*(item for _, item in in_force(versions, period.start, period.end)))
    missing |= {area_id for area_id, figures in past.items() if figures[-1] is not None} - there
    counted = {}
    for area_id in sorted(missing):
        *before, last = past.get(area_id) or [None]
        figures = [*before, None if last is None else replace(last, end=period.end)]
        counted[area_id] = (
            names.get((NEIGHBOURHOOD, area_id)) or area_id,
            tuple(
                Past(name=item.name, figures=figure, target=policies.at(item.start).target)
                for item, figure in zip(periods[-len(figures) :], figures, strict=True)
            ),
        )
    return ForcePeriod(entries, counted, period.is_over(now))


def _until(connection: Connection, period: Period, now: int) -> int:
    """Up to when anything of a period is counted: its end once it is over, else the newest position."""
    if period.is_over(now):
        return period.end
    return min(max(newest_event(connection), period.start), period.end)


@dataclass(frozen=True, slots=True, eq=False)
class _Published:
    """The versions of the boundaries that concern a period."""

    versions: list[tuple[int, AreaSet]]
    on_record: list[BoundaryVersion]
    since: int


def record_of(
    connection: Connection, policies: Policies, period: Period, area_ids: Sequence[str] | None, now: int
) -> tuple[SummaryFacts, list[str]]:
    """What ``summaries`` counts from, and of which neighbourhoods; in the caller's transaction."""
    published = _published(connection, period)
    complete, until = period.is_over(now), _until(connection, period, now)
    low, high = earlier(period)[0].start, period.end + VISITS_REACH
    own = _own(connection, low, period.end, area_ids)
    within = own.touching(period)
    if area_ids is None:
        patches = {area_id for at in np.flatnonzero(within).tolist() for area_id in own.patches[at]}
        chosen = sorted(patches.union(neighbourhoods(published.versions, period)))
    else:
        chosen = list(area_ids)
    shared = touching(published.versions, period)
    wanted = sorted({name for area_id in chosen for name in shared.get(area_id, ())})

    rows = concatenate(
        _slices(connection, own.keys[within]),
        _slices(connection, own.keys[~within], f"activity in ({HIDDEN}, {OFF_PATCH})"),
        _visiting(connection, own.keys, wanted, period.start - VISITS_REACH, high),
    )
    keys = np.unique(np.append(rows[DUTY], own.keys))
    duties = _duties(connection, keys, period)
    places, place = places_of(connection, rows[PLACE])
    mine = np.isin(keys, own.keys[within])
    officers = sorted({own.officers[at] for at in np.flatnonzero(within).tolist()})
    device_ids, device = devices_of(connection)
    named = None if area_ids is None else chosen
    vehicles = _vehicles(connection, period, until, named)
    found = _plain(rows, place, keys)
    found = replace(found, device=device[found.device]).take(np.lexsort((found.start, found.duty)))
    record = SummaryFacts(
        # What is booked beyond now is not unknown time yet.
        slices=cut_open(found, duties, until) if complete else up_to(found, until),
        duties=duties,
        places=places,
        device_ids=device_ids,
        doubts=doubts_of(connection, keys.tolist(), device_ids),
        versions=published.versions,
        boundaries_from=published.since,
        boundaries=published.on_record,
        until=until,
        complete=complete,
        crewing=crewing(
            vehicles.duties, vehicles.stays, vehicles.device_ids, vehicles.places, period.start, until
        ),
        booked=ever_booked(connection, None if area_ids is None else officers),
        beginning=until if (first := first_duty(connection)) is None else first,
        past=figures_by_period(connection, period.before(PERIODS - 1), named),
        changes=reports.recorded_changes(connection, period, chosen),
        heard=heard_in(connection, [duties[at] for at in np.flatnonzero(mine).tolist()], period.start, until),
        uncounted=_uncounted(connection, period, until, area_ids),
        far=not anywhere(found, places, period.start, until)
        and all_far(connection, extent_of(published.versions, period.start, period.end), period.start, until),
        outdated=dict(
            connection.execute(
                "select duty_id, version from policy_outdated join duty using (duty) where duty = any(%s)",
                [keys.tolist()],
            ).fetchall()
        ),
    )
    return record, chosen


# ── Boundaries ────────────────────────────────────────────────────────────────────────────────────────────


def _published(connection: Connection, period: Period) -> _Published:
    listed = areas.versions(connection)
    low, high = period.start - VISITS_REACH, period.end + VISITS_REACH
    before = [item.valid_from for item in listed if item.valid_from <= low]
    times = sorted({item.valid_from for item in listed if low < item.valid_from < high})
    times = [max(before), *times] if before else times
    used = {time: areas.in_force(listed, time) for time in times}
    sets = {
        item.version: areas.read(connection, item.version, item.kind)
        for chosen in used.values()
        for item in chosen
    }
    within = areas.in_force(listed, period.start)
    within += [item for item in listed if period.start < item.valid_from < period.end]
    kinds = list(Kind)
    return _Published(
        [(time, AreaSet.union(*(sets[item.version] for item in used[time]))) for time in times],
        [
            BoundaryVersion(
                kind=item.kind.value,
                version=item.version,
                valid_from=None if item.valid_from <= max(BEGINNING, 0) else item.valid_from,
                file=item.file,
                sha256=item.sha256,
            )
            for item in sorted(
                within, key=lambda item: (kinds.index(item.kind), item.valid_from, item.version)
            )
        ],
        min((item.valid_from for item in listed), default=FOREVER),
    )


# ── Duties ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _OwnDuties:
    """The duties that count and have one of the neighbourhoods in their patch, up to where they count."""

    keys: NDArray[np.int64]
    officers: list[int]
    patches: list[tuple[str, ...]]
    start: list[int]
    end: list[int]

    def touching(self, period: Period) -> NDArray[np.bool_]:
        """Which of them touch a period."""
        start, end = np.array(self.start, np.int64), np.array(self.end, np.int64)
        found: NDArray[np.bool_] = (start < period.end) & (end > period.start)
        return found


def _own(connection: Connection, low: int, high: int, area_ids: Sequence[str] | None) -> _OwnDuties:
    ids = None if area_ids is None else list(area_ids)
    found = fetch(
        connection,
        f"select duty, officer, patch, {us('start_at')}, {us('until_at')} from duty "
        "where until_at is not null and tstzrange(start_at, until_at) && tstzrange(%s, %s) "
        "and (%s::text[] is null and patch <> '{}' or patch && %s::text[]) order by duty",
        [moment(low), moment(high), ids, ids],
    )
    return _OwnDuties(
        np.array([row[0] for row in found], np.int64),
        [row[1] for row in found],
        [tuple(row[2]) for row in found],
        [row[3] for row in found],
        [row[4] for row in found],
    )


def _uncounted(
    connection: Connection, period: Period, until: int, area_ids: Sequence[str] | None
) -> list[Duty]:
    """The duties booked for some of a period that are too long to count (rule 8a), without their devices."""
    ids = None if area_ids is None else list(area_ids)
    which = (
        "not cancelled and until_at is null and start_at < from_us(%s) and end_at > from_us(%s) "
        "and (%s::text[] is null and patch <> '{}' or patch && %s::text[]) order by duty_id"
    )
    return list(
        read_duties(
            connection, which, [min(until, period.end), period.start, ids, ids], devices=None
        ).values()
    )


def _duties(connection: Connection, keys: NDArray[np.int64], period: Period) -> list[Duty]:
    """The duties behind sorted keys; with their devices where they touch the period."""
    touching_ = f"d.start_at < from_us({period.end}) and d.until_at > from_us({period.start})"
    which = "duty = any(%s) order by duty"
    return list(read_duties(connection, which, [keys.tolist()], devices=touching_).values())


# ── Slices ────────────────────────────────────────────────────────────────────────────────────────────────


def _slices(connection: Connection, duties: NDArray[np.int64], condition: str = "true") -> Rows:
    """Slices of duties that meet a condition, closed and growing; their keys are those of the database."""
    if not len(duties):
        return SLICES.empty()
    return every(connection, SLICES, f"duty = any({literal(duties, 'int4')}) and {condition}")


def _visiting(
    connection: Connection, own: NDArray[np.int64], wanted: Sequence[str], low: int, high: int
) -> Rows:
    """Slices of other duties in the priority areas."""
    places = scalars(connection, "select place from place where priorities && %s::text[]", [list(wanted)])
    if not places:
        return SLICES.empty()
    inside = literal(np.array(places, np.int64), "int4")
    others = scalars(
        connection,
        f"select duty from duty where start_at < from_us({high}) "
        f"and until_at > from_us({low}) and not duty = any({literal(own, 'int4')})",
    )
    within = f"place = any({inside}) and end_at > from_us({low}) and start_at < from_us({high})"
    return _slices(connection, np.array(others, np.int64), within)


def places_of(connection: Connection, keys: NDArray[np.integer]) -> tuple[list[Place], NDArray[np.int32]]:
    """The places behind keys, and for each key its number among them; ``UNKNOWN`` stays ``UNKNOWN``."""
    used = np.unique(keys[keys != UNKNOWN])
    found = {
        key: Place(neighbourhood, premises, tuple(priorities), tuple(near))
        for key, neighbourhood, premises, priorities, near in connection.execute(
            "select place, neighbourhood, premises, priorities, near from place where place = any(%s)",
            [used.tolist()],
        )
    }
    return [found[key] for key in used.tolist()], numbering(used.tolist())[keys]


# ── Crewing ───────────────────────────────────────────────────────────────────────────────────────────────


def _vehicles(connection: Connection, period: Period, until: int, area_ids: Sequence[str] | None) -> Vehicles:
    """What crewing of the period is counted from; where neighbourhoods are named, only theirs is whole."""
    rows = fetch(
        connection,
        "select distinct device, device_id, officer from allocation a join device using (device) "
        "join duty d using (duty) where kind <> 'radio' and d.start_at < %s and d.until_at > %s",
        [moment(until), moment(period.start)],
    )
    names = dict(sorted({(device, name) for device, name, _ in rows}))
    stays = _stays(connection, sorted(names), period.start, until, area_ids)
    met = set(stays[0].tolist()) if area_ids is not None else names.keys()
    officers = sorted({officer for device, _, officer in rows if device in met})
    held = scalars(
        connection,
        "select duty from duty where officer = any(%s) and start_at < %s and until_at > %s order by duty",
        [officers, moment(until), moment(period.start)],
    )
    duties = sorted(
        _duties(connection, np.array(held, np.int64), period),
        key=lambda duty: duty.duty_id,
    )
    places, place = places_of(connection, stays[3])
    keys = sorted(names, key=lambda key: names[key])
    found = Stays(numbering(keys)[stays[0]], stays[1], stays[2], place)
    counted = found.take(np.lexsort((found.start, found.device)))
    return Vehicles(duties, counted, [names[key] for key in keys], places, until)


def _stays(
    connection: Connection, devices: Sequence[int], low: int, high: int, area_ids: Sequence[str] | None
) -> Rows:
    """Stays of devices that touch a period, all or those in some neighbourhoods; keys of the database."""
    if not devices or low >= high:
        return STAYS.empty()
    which = f"device = any({literal(np.array(devices, np.int64), 'int4')})"
    if area_ids is not None:
        places = scalars(
            connection, "select place from place where neighbourhood = any(%s)", [list(area_ids)]
        )
        which += f" and place = any({literal(np.array(places, np.int64), 'int4')})"
    return every(connection, STAYS, f"{which} and end_at > from_us({low}) and start_at < from_us({high})")


# ── The periods before ────────────────────────────────────────────────────────────────────────────────────


def figures_by_period(
    connection: Connection, periods: Sequence[Period], area_ids: Sequence[str] | None
) -> dict[str, list[Figures | None]]:
    """The neighbourhoods' figures of periods that follow each other, oldest first; None without duty time.

    In a period in which the whole force was elsewhere they have no share, as in its own summaries.

    Of a duty that lies within one period the sums stand in its growing end; only those over an edge, or
    still open, are counted from their slices.
    """
    low, high = periods[0].start, periods[-1].end
    own = _own(connection, low, high, area_ids)
    edges = np.array([item.start for item in periods] + [high], np.int64)
    start, end = np.array(own.start, np.int64), np.array(own.end, np.int64)
    first = np.searchsorted(edges, start, side="right") - 1
    inside = (first >= 0) & (end <= edges[np.clip(first + 1, 0, len(periods))])

    sums = np.zeros((len(own.keys), len(periods), TOTALS + DOUBT_TOTALS), np.int64)
    settled, growing = _sums(connection, own, np.flatnonzero(inside))
    sums[np.flatnonzero(inside), first[inside], :TOTALS] = settled + growing
    doubtful = DoubtfulTime.of(connection, own.keys)
    for number, item in enumerate(periods):
        sums[:, number, TOTALS:] = doubtful.sums(item.start, item.end)
    over = np.flatnonzero(~inside)
    if len(over):
        rows = _slices(connection, own.keys[over])
        places, place = places_of(connection, rows[PLACE])
        counted = _plain(rows, place, own.keys[over])
        duties = [_bare(own, at) for at in over.tolist()]
        for number, item in enumerate(periods):
            sums[over, number, :TOTALS] = totals(counted, duties, places, item.start, item.end)

    wanted = None if area_ids is None else set(area_ids)
    members: dict[str, list[int]] = defaultdict(list)
    for at, patch in enumerate(own.patches):
        for area_id in patch:
            if wanted is None or area_id in wanted:
                members[area_id].append(at)
    found: dict[str, list[Figures | None]] = {}
    for area_id, rows_of in members.items():
        figures = [
            figures_of(NEIGHBOURHOOD, area_id, item.start, item.end, row)
            for item, row in zip(periods, sums[rows_of].sum(axis=0), strict=True)
        ]
        found[area_id] = [item if item.duty else None for item in figures]
    for number, item in enumerate(periods):
        known = [figure for each in found.values() if (figure := each[number]) is not None]
        if any(figure.off_patch for figure in known) and not any(figure.on_patch for figure in known):
            extent = extent_of(_published(connection, item).versions, item.start, item.end)
            far = all_far(connection, extent, item.start, item.end)
            for each in found.values():
                if (figure := each[number]) is not None:
                    each[number] = replace(figure, far=far)
    return found


def _sums(
    connection: Connection, own: _OwnDuties, which: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of whole duties the sums of what is closed, and of what still grows: ``int64[n, TOTALS]`` each."""
    settled = np.zeros((len(which), TOTALS), np.int64)
    if not len(which):
        return settled, settled
    keys = own.keys[which]
    found = fetch(
        connection,
        "select duty, settled, slices from slice_end "
        f"where duty = any({literal(keys, 'int4')}) order by duty",
    )
    at = np.searchsorted(keys, np.array([row[0] for row in found], np.int64))
    settled[at] = np.array([row[1] for row in found], np.int64).reshape(-1, TOTALS)
    rows = unpack(SLICES, [row[2] for row in found])
    rows = (keys[at][rows[0]], *rows[1:])
    places, place = places_of(connection, rows[PLACE])
    duties = [_bare(own, number) for number in which.tolist()]
    return settled, totals(_plain(rows, place, keys), duties, places, -FOREVER, FOREVER)


def _plain(rows: Rows, place: NDArray[np.int32], keys: NDArray[np.int64]) -> Slices:
    return slices_of((np.searchsorted(keys, rows[DUTY]), *rows[1:PLACE], place, rows[DEVICE]))


def _bare(own: _OwnDuties, at: int) -> Duty:
    """So much of a duty as sums depend on."""
    start, end = own.start[at], own.end[at]
    return Duty(str(own.keys[at]), 1, "", start, end, own.patches[at], longest=end - start)
