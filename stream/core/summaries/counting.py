"""Slices → summaries of neighbourhoods (rules 13 to 20), as a sergeant signs them.

Columns in, values out; no Kafka, no database, no clock. Everything is summed in whole microseconds by the
same functions as the live figures; here it is put together for a period and a neighbourhood, with the periods
before it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import AreaSet, Kind
from geo.hours import ALWAYS, OwnHours, when
from geo.matching.history import UNKNOWN
from stream.core.abstraction import abstraction
from stream.core.calendar import LOCAL, MONTH, WEEK, moment
from stream.core.columns import offsets, ranges
from stream.core.crewing import by_hour_of_day
from stream.core.explaining.explanation import explain
from stream.core.explaining.parts import area_names
from stream.core.explaining.wording import Named as Names
from stream.core.explaining.wording import officer_names, words
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, canonical, settings_of
from stream.core.quality.doubts import Doubts, named
from stream.core.quality.elsewhere import in_force
from stream.core.quality.findings import grounds
from stream.core.quality.tracks import Extent
from stream.core.shares import (
    NEIGHBOURHOOD,
    OFFICER,
    PRIORITY,
    Figures,
    clip,
    doubt_totals,
    figures_of,
    totals,
)
from stream.core.slices import ON_PATCH, Slices
from stream.core.summaries.examining import Examiner
from stream.core.summaries.model import (
    Away,
    Basis,
    BoundaryVersion,
    Crewed,
    DutyLine,
    FigureChange,
    Hour,
    OfficerSummary,
    Past,
    PriorityArea,
    Said,
    Summary,
    TeamFacts,
)
from stream.core.summaries.worth import Behind, worth
from stream.core.teams import Teams, teams
from stream.core.visits import PriorityFigures, Visits, priority_figures, reach, visits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.calendar import Period
    from stream.core.crewing import Crewing
    from stream.core.facts import Duty
    from stream.core.policy import Policies, Policy
    from stream.core.summaries.examining import HeardFacts
    from stream.core.summaries.model import FactsWorth

PERIODS = 12
"""How many periods the trend shows, the one asked about among them."""

EARLIER = {WEEK: 4, MONTH: 1}
"""How many earlier periods abstraction is compared with."""

VISITS_REACH = 36 * 3600 * SECOND
"""How far around a period slices are read for visits: a longer one is taken to begin that long before.

It then counts in the period as it would anyway: begun before it, and its minutes cut to it.
"""

HOUR = 3600 * SECOND


@dataclass(frozen=True, slots=True, eq=False)
class SummaryFacts:
    """What summaries of one period are counted from.

    Attributes:
        slices: no open ends (``stream.core.explaining.explanation.cut_open``). Of every duty that has one of
            the neighbourhoods in its patch and touches the period, all; where it only touches one of the
            ``EARLIER`` ones, at least those off patch or not visible; of any other duty those in the
            neighbourhoods' priority areas within ``VISITS_REACH`` of the period.
        duties, places, device_ids: what the slices' numbers point at.
        versions: the boundaries by the time from which they are in force, microseconds, as far as they
            concern the period and ``VISITS_REACH`` around it.
        boundaries_from: since when there are any, microseconds; ``FOREVER``: there are none.
        boundaries: what is on record of the versions in force in the period.
        until: up to when anything is counted, microseconds: the period's end once it is over.
        complete: whether the period is over.
        crewing: of the period.
        booked: all duties of the officers concerned and of their teams, ever; devices are not asked for.
        beginning: start of the first duty of all, microseconds: where the record begins.
        past: by neighbourhood the figures of the ``PERIODS`` - 1 periods before, oldest first; None where
            nobody had duty time.
        changes: by neighbourhood.
        outdated: by duty the policy's number by which it was counted, where another is in force for its time.
        doubts: the duties' doubtful time (rule 21); by default none is known.
        heard: what was heard in the period; None: summaries do not say what their facts are worth.
        far: whether no position of the period lies near any area (``stream.core.shares.Figures.far``).
        uncounted: duties with one of the neighbourhoods in their patch that were booked for some of the
            period and are too long to count (rule 8a).
    """

    slices: Slices
    duties: Sequence[Duty]
    places: Sequence[Place]
    device_ids: Sequence[str]
    versions: Sequence[tuple[int, AreaSet]]
    boundaries_from: int
    boundaries: Sequence[BoundaryVersion]
    until: int
    complete: bool
    crewing: Crewing
    booked: Sequence[Duty]
    beginning: int
    past: Mapping[str, Sequence[Figures | None]]
    changes: Mapping[str, Sequence[FigureChange]]
    outdated: Mapping[str, int] = field(default_factory=dict)
    doubts: Doubts = field(default_factory=Doubts.none)
    heard: HeardFacts | None = None
    far: bool = False
    uncounted: Sequence[Duty] = ()


def earlier(period: Period) -> list[Period]:
    """The periods before, with which abstraction is compared, oldest first."""
    return period.before(EARLIER[period.kind])


def neighbourhoods(versions: Sequence[tuple[int, AreaSet]], period: Period) -> list[str]:
    """The ids of the neighbourhoods in force at any time of a period, sorted."""
    found = in_force(versions, period.start, period.end)
    return sorted({area_id for _, areas in found for area_id in areas.names(Kind.NEIGHBOURHOOD)})


def own_duties(duties: Sequence[Duty], period: Period, area_id: str) -> list[Duty]:
    """A neighbourhood's own duties that touch a period."""
    return [duty for duty in duties if area_id in duty.patch and duty.is_in(period.start, period.end)]


def touching(versions: Sequence[tuple[int, AreaSet]], period: Period) -> dict[str, list[str]]:
    """By neighbourhood the priority areas that share ground with it at any time of a period, sorted."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, areas in in_force(versions, period.start, period.end):
        grounds, wanted = areas.only(Kind.NEIGHBOURHOOD), areas.only(Kind.PRIORITY)
        if not len(grounds) or not len(wanted):
            continue
        tree = shapely.STRtree(grounds.geometry)
        at, ground = tree.query(wanted.geometry, predicate="intersects")
        shared = shapely.relate_pattern(
            np.asarray(grounds.geometry)[ground], np.asarray(wanted.geometry)[at], "T********"
        )
        for number, area in zip(ground[shared].tolist(), at[shared].tolist(), strict=True):
            found[grounds.area_id[number]].add(wanted.area_id[area])
    return {area_id: sorted(names) for area_id, names in found.items()}


def summarise(
    record: SummaryFacts, period: Period, policies: Policies, area_ids: Sequence[str]
) -> Iterator[Summary]:
    """The summaries of some neighbourhoods, in the order asked for.

    Args:
        record: everything that concerns them.
        period: the week or month.
        policies: the rules' settings.
        area_ids: ids of neighbourhoods; an unknown one has no duties, and its id for a name.
    """
    common = _Common.of(record, period, policies, area_ids)
    for area_id in area_ids:
        yield _summary(common, area_id)


# ── What all neighbourhoods have in common ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _Common:
    record: SummaryFacts
    period: Period
    policies: Policies
    names: dict[tuple[str, str], str]
    wanted: dict[str, list[str]]
    attributes: dict[str, Mapping[str, str]]
    windows: OwnHours
    priority: dict[str, PriorityFigures]
    visitors: dict[str, tuple[tuple[str, int, int], ...]]
    crewed: dict[str, Crewed]
    teams: Teams
    team_policy: Policy
    basis: Basis
    members: dict[str, list[int]]
    bounds: NDArray[np.int64]
    order: NDArray[np.int64]
    examiner: Examiner | None

    @classmethod
    def of(cls, record: SummaryFacts, period: Period, policies: Policies, area_ids: Sequence[str]) -> _Common:
        sets = [areas for _, areas in in_force(record.versions, period.start, period.end)]
        attributes = {
            area_id: said
            for areas in sets
            for kind, area_id, said in zip(areas.kind, areas.area_id, areas.attributes, strict=True)
            if kind is Kind.PRIORITY
        }
        members: dict[str, list[int]] = defaultdict(list)
        for number, duty in enumerate(record.duties):
            if duty.counts:
                for area_id in duty.patch:
                    members[area_id].append(number)
        own = sorted({number for area_id in area_ids for number in members.get(area_id, ())})
        order = np.argsort(record.slices.duty, kind="stable")
        visits_ = visits_about(record, period, policies)
        teams_ = team_list(record, period, policies)
        return cls(
            record,
            period,
            policies,
            area_names(*sets),
            touching(record.versions, period),
            attributes,
            OwnHours.of(record.versions, period.start, period.end),
            {item.area_id: item for item in priority_figures(visits_, period.start, period.end)},
            _visitors(visits_, period),
            _crewed(record.crewing),
            teams_,
            policies.at(teams_.as_of),
            _basis(record, period, policies),
            dict(members),
            offsets(record.slices.duty[order], len(record.duties)),
            order,
            None
            if record.heard is None
            else Examiner(
                record.heard,
                period.start,
                record.until,
                policies,
                extent=Extent.of(sets),
                neighbourhoods={
                    area_id: name
                    for areas in sets
                    for area_id, name in areas.names(Kind.NEIGHBOURHOOD).items()
                },
                grounds=grounds(record.versions),
                duties=[*(record.duties[number] for number in own), *record.uncounted],
                booked=record.booked,
            ),
        )


def visits_about(record: SummaryFacts, period: Period, policies: Policies) -> Visits:
    """The visits to all priority areas in a period and somewhat around it."""
    slices = record.slices
    near = np.flatnonzero(
        (slices.end > period.start - VISITS_REACH) & (slices.start < period.end + VISITS_REACH)
    )
    slices = slices.take(near)
    low, high = reach(slices, record.duties, record.until)
    windows = OwnHours.of(record.versions, min(low, period.start), max(high, period.end))
    return visits(slices, record.duties, record.places, policies, windows, until=record.until)


def team_list(record: SummaryFacts, period: Period, policies: Policies) -> Teams:
    """The teams as of the period's end, or of now where it still runs."""
    as_of = period.end if record.complete else record.until
    return teams(
        record.booked, policies.at(as_of), as_of, period.start, period.end, beginning=record.beginning
    )


def _visitors(found: Visits, period: Period) -> dict[str, tuple[tuple[str, int, int], ...]]:
    """By priority area each officer's time inside within the period, and of it in the area's own hours."""
    low = np.maximum(found.inside_start, period.start)
    high = np.minimum(found.inside_end, period.end)
    rows = np.flatnonzero(low < high)
    visit, time = found.inside_visit[rows], (high - low)[rows]
    pair = found.area[visit].astype(np.int64) * max(1, len(found.officer_ids)) + found.officer[visit]
    pairs, at = np.unique(pair, return_inverse=True)
    inside, own = np.zeros(len(pairs), np.int64), np.zeros(len(pairs), np.int64)
    np.add.at(inside, at, time)
    np.add.at(own, at, np.where(found.inside_in_window[rows], time, 0))
    listed: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for key, whole, part in zip(pairs.tolist(), inside.tolist(), own.tolist(), strict=True):
        area, officer = divmod(key, len(found.officer_ids))
        listed[found.area_ids[area]].append((found.officer_ids[officer], whole, part))
    return {area_id: tuple(sorted(rows_)) for area_id, rows_ in listed.items()}


def _crewed(crewing: Crewing) -> dict[str, Crewed]:
    single, double = by_hour_of_day(crewing)
    return {
        area_id: Crewed(
            single=int(single[at].sum()),
            double=int(double[at].sum()),
            single_by_hour=tuple(single[at].tolist()),
            double_by_hour=tuple(double[at].tolist()),
        )
        for at, area_id in enumerate(crewing.neighbourhood_ids)
    }


def _basis(record: SummaryFacts, period: Period, policies: Policies) -> Basis:
    at = int(policies.number_at(np.array([period.start], np.int64))[0])
    since, policy = policies.starts[at], policies.policies[at]
    return Basis(
        target=policy.target,
        policy=settings_of(policy),
        policy_from=None if since <= BEGINNING else since,
        policy_sha256=hashlib.sha256(canonical(policy)).hexdigest(),
        boundaries=tuple(record.boundaries),
        as_of=None,
        until=record.until,
    )


# ── One neighbourhood ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """The duties that a neighbourhood's figures are of, their slices and doubts; everything renumbered.

    Of the doubts all but ``other``, which may be another neighbourhood's duty.
    """

    slices: Slices
    duties: list[Duty]
    places: list[Place]
    doubts: Doubts

    @classmethod
    def of(cls, common: _Common, area_id: str, start: int, end: int) -> _Own:
        """Those of the duties that touch ``[start, end)``."""
        record = common.record
        numbers = np.array(
            [number for number in common.members.get(area_id, ()) if record.duties[number].is_in(start, end)],
            np.int64,
        )
        owner, rows = ranges(common.bounds[numbers], common.bounds[numbers + 1])
        rows = common.order[rows]
        found = record.slices.take(rows)
        known = found.place != UNKNOWN
        used, renumbered = np.unique(found.place[known], return_inverse=True)
        place = np.full(len(found), UNKNOWN, np.int32)
        place[known] = renumbered
        slices = replace(found, duty=owner.astype(np.int32), place=place)
        number_of = np.full(len(record.duties), -1, np.int32)
        number_of[numbers] = np.arange(len(numbers))
        doubts = replace(record.doubts, duty=number_of[record.doubts.duty])
        return cls(
            slices,
            [record.duties[number] for number in numbers.tolist()],
            [record.places[number] for number in used.tolist()],
            doubts.take(doubts.duty >= 0),
        )

    def in_time(self) -> list[int]:
        """Numbers of the duties in the order of their starts."""
        return sorted(
            range(len(self.duties)),
            key=lambda number: (self.duties[number].start, self.duties[number].duty_id),
        )


def _summary(common: _Common, area_id: str) -> Summary:
    record, period, policies = common.record, common.period, common.policies
    own = _Own.of(common, area_id, period.start, min(period.end, record.until))
    about = own.duties, own.places, period.start, period.end
    table = np.hstack([totals(own.slices, *about), doubt_totals(own.slices, own.doubts, *about)])
    present = own.in_time()

    def figures(scope: str, name: str, numbers: Sequence[int]) -> Figures:
        found = figures_of(scope, name, period.start, period.end, table[list(numbers)].sum(axis=0))
        return replace(found, far=record.far)

    whole = figures(NEIGHBOURHOOD, area_id, present)
    names = common.names | officer_names(own.duties)
    wanted = common.wanted.get(area_id, [])
    low, high = clip(own.slices, period.start, period.end)
    heard = high[(low < high) & (own.slices.place != UNKNOWN)]
    outdated = {record.outdated[item.duty_id] for item in own.duties if item.duty_id in record.outdated}
    return Summary(
        period=period.kind,
        name=period.name,
        start=period.start,
        end=period.end,
        area_id=area_id,
        area_name=names.get((NEIGHBOURHOOD, area_id)) or area_id,
        figures=whole,
        past=_past(common, area_id, whole),
        hours=_hours(own, common, wanted),
        areas=_areas(common, wanted),
        away=_away(common, whole, names),
        crewed=common.crewed.get(area_id, Crewed()),
        officers=_officers(own, present, common, names, figures),
        teams=_team_facts(own, present, common),
        said=_said(common, own, whole, names),
        basis=replace(
            common.basis,
            policy_versions=policies.versions_in(
                min([period.start, *(own.duties[number].start for number in present)]),
                min(period.end, record.until),
            ),
            policy_outdated=tuple(sorted(outdated)),
            as_of=int(heard.max()) if len(heard) else None,
        ),
        changes=tuple(record.changes.get(area_id, ())),
        complete=record.complete,
        quality=_quality(common, own, whole, names),
    )


def _past(common: _Common, area_id: str, whole: Figures) -> tuple[Past, ...]:
    before = common.period.before(PERIODS - 1)
    known = common.record.past.get(area_id) or [None] * len(before)
    listed = [*zip(before, known, strict=True), (common.period, whole)]
    return tuple(
        Past(
            name=item.name,
            figures=figures if figures is not None and figures.duty else None,
            target=common.policies.at(item.start).target,
        )
        for item, figures in listed
    )


def _hours(own: _Own, common: _Common, wanted: Sequence[str]) -> tuple[Hour, ...]:
    period = common.period
    low, high = clip(own.slices, period.start, period.end)
    rows = np.flatnonzero(low < high)
    low, high = low[rows], high[rows]
    # The hours of London's clock begin when those of UTC do.
    first, count = period.start // HOUR, (period.end - period.start) // HOUR
    part, hour = ranges(low // HOUR, -(-high // HOUR))
    length = np.minimum(high[part], (hour + 1) * HOUR) - np.maximum(low[part], hour * HOUR)
    activity = own.slices.activity[rows][part]
    table = np.zeros((count, PRIORITY + 1), np.int64)
    np.add.at(table, (hour - first, activity), length)
    prioritised = np.array([bool(place.priorities) for place in own.places] + [False], np.bool_)
    inside = (activity == ON_PATCH) & prioritised[own.slices.place[rows][part]]
    np.add.at(table[:, PRIORITY], (hour - first)[inside], length[inside])

    asked: dict[int, list[str]] = defaultdict(list)
    for area_id in wanted:
        if when(common.attributes.get(area_id, {})) == ALWAYS:
            continue
        touched = {
            number
            for opens, closes in common.windows.of_area(area_id)
            for number in range(opens // HOUR, -(-closes // HOUR))
        }
        for number in sorted(touched):
            asked[number].append(area_id)
    found = []
    for at, sums in enumerate(table.tolist()):
        start = (first + at) * HOUR
        shown = moment(start).astimezone(LOCAL)
        on_break, not_visible, unknown, on_patch, off_patch, priority = sums
        found.append(
            Hour(
                day=shown.date().isoformat(),
                hour=shown.hour,
                again=bool(shown.fold),
                start=start,
                end=start + HOUR,
                on_patch=on_patch,
                priority=priority,
                off_patch=off_patch,
                not_visible=not_visible,
                unknown=unknown,
                on_break=on_break,
                wanted=tuple(asked[first + at]) if first + at in asked else (),
            )
        )
    return tuple(found)


def _areas(common: _Common, wanted: Sequence[str]) -> tuple[PriorityArea, ...]:
    period = common.period
    found = []
    for area_id in wanted:
        said = common.attributes.get(area_id, {})
        found.append(
            PriorityArea(
                area_id=area_id,
                name=common.names.get((Kind.PRIORITY.value, area_id)) or area_id,
                issue=str(said.get("issue") or ""),
                days=str(said.get("days") or ""),
                hours=str(said.get("hours") or ""),
                always=when(said) == ALWAYS,
                own_time=sum(closes - opens for opens, closes in common.windows.of_area(area_id)),
                figures=common.priority.get(area_id) or PriorityFigures(area_id, period.start, period.end),
                by_officer=common.visitors.get(area_id, ()),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.name, item.area_id)))


def _away(common: _Common, whole: Figures, names: Mapping[tuple[str, str], str]) -> tuple[Away, ...]:
    period, before = common.period, earlier(common.period)
    known = common.record.past.get(whole.id) or [None] * (PERIODS - 1)
    then = known[len(known) - len(before) :]
    own = _Own.of(common, whole.id, before[0].start, period.end)
    figures = [figure for figure in then if figure is not None]
    starts = [None if figure is None else item.start for item, figure in zip(before, then, strict=True)]
    spent: dict[tuple[str, str, str, int, str], dict[int, int]] = defaultdict(dict)
    given: dict[tuple[str, str, str, int, str], list[tuple[str, int]]] = defaultdict(list)
    officers = [
        replace(whole, scope=OFFICER, id=officer_id)
        for officer_id in sorted({duty.officer_id for duty in own.duties})
    ]
    counted = [*figures, whole, *officers]
    for entry in abstraction(own.slices, own.duties, own.places, common.policies, counted):
        key = (entry.activity, *entry.where, *entry.meaning)
        if entry.scope == OFFICER:
            given[key].append((entry.id, entry.time))
        else:
            spent[key][entry.start] = entry.time
    ground, building = Kind.NEIGHBOURHOOD.value, Kind.PREMISES.value
    found = {
        key: Away(
            activity=activity,
            neighbourhood=neighbourhood,
            neighbourhood_name=names.get((ground, neighbourhood), neighbourhood),
            premises=premises,
            premises_name=names.get((building, premises), premises),
            state=state,
            state_name=name,
            time=times.get(period.start, 0),
            before=tuple([None if at is None else times.get(at, 0) for at in starts]),
            by_officer=tuple(sorted(given.get(key, ()))),
        )
        for key, times in spent.items()
        for activity, neighbourhood, premises, state, name in [key]
    }
    return tuple(found[key] for key in sorted(found, key=lambda key: (-found[key].time, key)))


def _officers(
    own: _Own,
    present: Sequence[int],
    common: _Common,
    names: Mapping[tuple[str, str], str],
    figures: Callable[[str, str, Sequence[int]], Figures],
) -> tuple[OfficerSummary, ...]:
    mine: dict[str, list[int]] = defaultdict(list)
    for number in present:
        mine[own.duties[number].officer_id].append(number)
    members = {member.officer_id: member for member in common.teams.members}
    found = []
    for officer_id, numbers in mine.items():
        member = members.get(officer_id)
        roles = [own.duties[number].role for number in numbers if own.duties[number].role]
        found.append(
            OfficerSummary(
                officer_id=officer_id,
                name=names.get((OFFICER, officer_id), officer_id),
                role=roles[-1] or "" if roles else "",
                figures=figures(OFFICER, officer_id, numbers),
                team=(member.team or "") if member else "",
                team_months=member.months if member else None,
                team_at_least=member.at_least if member else False,
                duties=tuple(
                    DutyLine(
                        duty_id=own.duties[number].duty_id,
                        start=own.duties[number].start,
                        end=own.duties[number].end,
                        team=own.duties[number].team or "",
                        figures=figures(OFFICER, officer_id, [number]),
                    )
                    for number in numbers
                ),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.name, item.officer_id)))


def _team_facts(own: _Own, present: Sequence[int], common: _Common) -> tuple[TeamFacts, ...]:
    officers = {own.duties[number].officer_id for number in present}
    members = {member.officer_id: member for member in common.teams.members}
    chosen = {member.team for name in officers if (member := members.get(name)) and member.team}

    def named(officer_id: str) -> str:
        return members[officer_id].name or officer_id

    return tuple(
        TeamFacts(
            team=team.team,
            officers=len(team.officers),
            experienced=len(team.experienced),
            perhaps=len(team.perhaps),
            months=common.team_policy.team_months,
            joined=tuple(named(move.officer_id) for move in team.joiners),
            left=tuple(named(move.officer_id) for move in team.leavers),
        )
        for team in common.teams.teams
        if team.team in chosen
    )


def _said(common: _Common, own: _Own, whole: Figures, names: Mapping[tuple[str, str], str]) -> Said:
    record = common.record
    found = explain(
        whole,
        own.slices,
        own.duties,
        own.places,
        record.device_ids,
        common.policies,
        until=record.until,
        boundaries_from=record.boundaries_from,
        doubts=named(own.doubts, own.duties, record.device_ids),
    )
    text = words(found, Names(names))
    return Said(verdict=text.verdict, costs=text.costs, notes=(*text.warnings, *text.notes))


def _quality(
    common: _Common, own: _Own, whole: Figures, names: Mapping[tuple[str, str], str]
) -> FactsWorth | None:
    if common.examiner is None:
        return None
    record, target = common.record, common.basis.target
    behind = Behind(
        whole,
        target,
        own.slices,
        own.duties,
        own.places,
        record.device_ids,
        own.doubts,
        [duty for duty in record.uncounted if whole.id in duty.patch],
    )
    return worth(behind, common.examiner, common.policies, record.until, Names(names))
