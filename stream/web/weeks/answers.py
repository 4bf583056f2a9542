"""Summaries as JSON: all that ``summaries.model.Summary`` holds, in the contract's names and units.

Values in, structs out, of which the JSON and its description are made. Times of day are RFC 3339 in UTC,
durations seconds to the microsecond, shares 0 to 1. Equal summaries give equal texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from geo.areas import Kind
from stream.core.calendar import rfc3339
from stream.core.json_types import Count, Date, Part, Seconds, Time, when
from stream.core.live.share_event import FigureJson, Verdict, figure_json
from stream.core.shares import seconds
from stream.core.summaries.examining import TOLD
from stream.core.summaries.model import TeamFacts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from stream.core.calendar import Period
    from stream.core.shares import Figures
    from stream.core.summaries.model import (
        Away,
        Basis,
        DutyLine,
        FactsWorth,
        FigureChange,
        Hour,
        OfficerSummary,
        PriorityArea,
        Summary,
    )
    from stream.reports.force import NeighbourhoodLine
    from stream.store.reports import Entry, Reported

    Spent: TypeAlias = tuple[float, float, float, float, float, float, float]
    Share: TypeAlias = float | None

ByHour = Annotated[tuple[Seconds, ...], Meta(min_length=24, max_length=24)]


class PublishedJson(msgspec.Struct, frozen=True):
    """Which published report it is."""

    number: Annotated[int, Meta(ge=1)]
    at: Time
    sha256: str


class SpentJson(msgspec.Struct, frozen=True):
    """Time by activity."""

    duty_s: Seconds
    on_patch_s: Seconds
    off_patch_s: Seconds
    not_visible_s: Seconds
    unknown_s: Seconds
    break_s: Seconds
    priority_s: Seconds


class TimesJson(SpentJson, frozen=True):
    """Time by activity, and the share with its bounds."""

    share: Part | None
    share_low: Part | None
    share_high: Part | None


class WeekFigureJson(FigureJson, frozen=True):
    """The week's figure."""

    ambiguous_on_patch_s: Seconds
    ambiguous_off_patch_s: Seconds


class WeekPastJson(msgspec.Struct, frozen=True):
    """A week of the trend."""

    week: str
    target: Part
    verdict: Verdict | None
    figure: TimesJson | None


class WeekHourJson(SpentJson, frozen=True):
    """An hour of the week."""

    day: Date
    hour: Annotated[int, Meta(ge=0, le=23)]
    again: bool
    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    priority_areas: tuple[str, ...]


class WeekAreaJson(msgspec.Struct, frozen=True):
    """A priority area and its visits (rule 17)."""

    id: str
    name: str
    issue: str
    days: str
    hours: str
    always: bool
    own_hours_s: Seconds
    visits: Count
    visits_in_hours: Count
    visits_by_other_teams: Count
    visits_by_length: Annotated[
        tuple[Count, ...], Meta(description="Under 5 minutes, 5 to 10, 10 to 20, 20 and over.")
    ]
    officer_s: Seconds
    officer_in_hours_s: Seconds
    officer_by_other_teams_s: Seconds
    patrol_s: Seconds
    patrol_in_hours_s: Seconds
    last_visit_end: Time | None


class WeekAwayJson(msgspec.Struct, frozen=True):
    """An item of abstraction (rule 16), and the same in the weeks before."""

    activity: Annotated[str, Meta(extra_json_schema={"enum": ["off_patch", "not_visible"]})]
    neighbourhood: str
    neighbourhood_name: str
    premises: str
    premises_name: str
    state: int
    state_name: str
    seconds: Seconds
    seconds_before: Annotated[
        tuple[Seconds | None, ...],
        Meta(description="The same in each of the weeks before, oldest first; null: nobody had duty time."),
    ]


class WeekCrewingJson(msgspec.Struct, frozen=True):
    """Crewing (rule 18)."""

    single_s: Seconds
    double_s: Seconds
    single_by_hour_s: ByHour
    double_by_hour_s: ByHour


class WeekDutyJson(TimesJson, frozen=True):
    """One duty: as booked, and what of it lies in the week."""

    duty_id: str
    start: Time = msgspec.field(name="from")
    end: Time | None = msgspec.field(name="to")
    team: str


class WeekOfficerJson(TimesJson, frozen=True):
    """An officer of the neighbourhood, and the duties."""

    officer_id: str
    name: str
    role: str
    verdict: Verdict | None
    abstraction_s: Seconds
    team: str
    team_months: int | None
    team_at_least: bool
    duties: tuple[WeekDutyJson, ...]


class WeekSaidJson(msgspec.Struct, frozen=True):
    """Why the figure is what it is, in sentences."""

    verdict: tuple[str, ...]
    costs: tuple[str, ...]
    notes: tuple[str, ...]


class WeekFactFindingJson(msgspec.Struct, frozen=True):
    """A finding about the facts behind the week's figure, as in ``quality.csv``; of a doubt its kind."""

    scope: str
    id: str
    day: Annotated[str, Meta(description="Local day; empty where there is none.")]
    finding: Annotated[str, Meta(extra_json_schema={"enum": list(TOLD)})]
    count: Count
    seconds: Seconds | None
    detail: str


class WeekDoubtfulJson(msgspec.Struct, frozen=True):
    """How much of the week's duty time is doubtful by one kind of doubt (rule 21)."""

    kind: str
    seconds: Seconds


class WeekReportsJson(msgspec.Struct, frozen=True):
    """What was heard of the booked devices on the week's days."""

    taken: Count
    rejected: Annotated[dict[str, Count], Meta(description="By reason.")]
    delayed: Annotated[Count, Meta(description="Of so many usable reports the delay is known.")]
    delay_median_s: int | None
    delay_p95_s: int | None


class WeekQualityJson(msgspec.Struct, frozen=True):
    """What the facts behind the week's figure are worth (rule 22)."""

    findings: Annotated[tuple[WeekFactFindingJson, ...], Meta(description="The worst kind first.")]
    doubtful: tuple[WeekDoubtfulJson, ...]
    reports: Annotated[WeekReportsJson | None, Meta(description="Null where reports were not counted.")]
    questioned_s: Annotated[
        Seconds, Meta(description="What the bounds would leave open besides if serious facts were not known.")
    ]
    share_low: Annotated[Part | None, Meta(description="The lower bound then.")]
    share_high: Annotated[Part | None, Meta(description="The upper bound then.")]
    verdict: Annotated[
        Verdict | None, Meta(description="The verdict then; the one that counts is `figure`'s.")
    ]
    turning: Annotated[str, Meta(description="Says so where the verdict would be another; else empty.")]
    said: Annotated[tuple[str, ...], Meta(description="The findings in words, a kind each.")]


class WeekBoundariesJson(msgspec.Struct, frozen=True):
    """A version of the boundaries."""

    kind: Kind
    version: int
    valid_from: Time | None
    file: str
    sha256: str


class WeekBasisJson(msgspec.Struct, frozen=True):
    """What a summary is based on."""

    target: Part
    policy: Mapping[str, float | Mapping[str, Mapping[str, str]]]
    policy_from: Time | None
    policy_sha256: str
    policy_versions: tuple[int, ...]
    policy_outdated: tuple[int, ...]
    boundaries: tuple[WeekBoundariesJson, ...]
    as_of: Time | None
    until: Time


class RestatementJson(msgspec.Struct, frozen=True):
    """A restatement (rule 20)."""

    number: int | None
    recorded_at: Time
    cause: str
    by: str
    why: str
    before: FigureJson | None
    after: FigureJson | None


class WeekJson(msgspec.Struct, frozen=True):
    """A neighbourhood's week, whole."""

    week: str
    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    complete: bool
    published: PublishedJson | None
    figure: WeekFigureJson
    past: tuple[WeekPastJson, ...]
    hours: tuple[WeekHourJson, ...]
    priority_areas: tuple[WeekAreaJson, ...]
    abstraction: tuple[WeekAwayJson, ...]
    crewing: WeekCrewingJson
    officers: tuple[WeekOfficerJson, ...]
    teams: tuple[TeamFacts, ...]
    said: WeekSaidJson
    quality: Annotated[
        WeekQualityJson | None, Meta(description="Null in reports from before it was counted.")
    ]
    basis: WeekBasisJson
    restatements: tuple[RestatementJson, ...]


class ForceWeekFigureJson(FigureJson, frozen=True):
    """A neighbourhood's figure in the week of all."""

    published: PublishedJson | None


class ForceWeekJson(msgspec.Struct, frozen=True):
    """All neighbourhoods of a week."""

    week: str
    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    complete: bool
    neighbourhoods: tuple[ForceWeekFigureJson, ...]


# ── Made of values ────────────────────────────────────────────────────────────────────────────────────────


def force_week_answer(period: Period, lines: Iterable[NeighbourhoodLine], *, complete: bool) -> ForceWeekJson:
    """All neighbourhoods of a week."""
    return ForceWeekJson(
        period.name,
        rfc3339(period.start),
        rfc3339(period.end),
        complete,
        tuple(
            ForceWeekFigureJson(
                **msgspec.structs.asdict(_figure(line.figures, line.name, line.target)),
                published=_published(line.entry),
            )
            for line in lines
        ),
    )


def week_answer(found: Reported) -> WeekJson:
    """A neighbourhood's week, whole."""
    summary, target = found.summary, found.summary.basis.target
    crewed, said = summary.crewed, summary.said
    return WeekJson(
        summary.name,
        rfc3339(summary.start),
        rfc3339(summary.end),
        summary.complete,
        _published(found.entry),
        WeekFigureJson(
            **msgspec.structs.asdict(_figure(summary.figures, summary.area_name, target)),
            ambiguous_on_patch_s=seconds(summary.figures.ambiguous_on),
            ambiguous_off_patch_s=seconds(summary.figures.ambiguous_off),
        ),
        tuple(
            WeekPastJson(
                item.name,
                item.target,
                None if item.figures is None else item.figures.verdict(item.target),
                None if item.figures is None else TimesJson(*_times(item.figures)),
            )
            for item in summary.past
        ),
        tuple(map(_hour, summary.hours)),
        tuple(map(_area, summary.areas)),
        tuple(map(_away, summary.away)),
        WeekCrewingJson(
            seconds(crewed.single),
            seconds(crewed.double),
            tuple(map(seconds, crewed.single_by_hour)),
            tuple(map(seconds, crewed.double_by_hour)),
        ),
        tuple(_officer(item, target) for item in summary.officers),
        summary.teams,
        WeekSaidJson(said.verdict, said.costs, said.notes),
        None if summary.quality is None else _quality(summary.quality, summary.figures),
        _basis(summary.basis),
        tuple(_change(item, summary) for item in summary.changes),
    )


def _published(entry: Entry | None) -> PublishedJson | None:
    return None if entry is None else PublishedJson(entry.number, rfc3339(entry.published_at), entry.sha256)


def _spent(item: Figures | Hour) -> Spent:
    return (
        seconds(item.duty),
        seconds(item.on_patch),
        seconds(item.off_patch),
        seconds(item.not_visible),
        seconds(item.unknown),
        seconds(item.on_break),
        seconds(item.priority),
    )


def _times(item: Figures) -> tuple[*Spent, Share, Share, Share]:
    return (*_spent(item), item.share, item.share_low, item.share_high)


def _figure(found: Figures, name: str, target: float) -> FigureJson:
    """A figure as ``visibility.shares`` has it, but with its shares as they are."""
    exact = {"share": found.share, "share_low": found.share_low, "share_high": found.share_high}
    return msgspec.structs.replace(figure_json(found, name, target), **exact)


def _hour(item: Hour) -> WeekHourJson:
    return WeekHourJson(
        *_spent(item),
        *(item.day, item.hour, item.again),
        *(rfc3339(item.start), rfc3339(item.end), item.wanted),
    )


def _area(item: PriorityArea) -> WeekAreaJson:
    found = item.figures
    return WeekAreaJson(
        *(item.area_id, item.name, item.issue, item.days, item.hours, item.always),
        seconds(item.own_time),
        *(found.visits, found.visits_in_window, found.visits_others, tuple(found.visits_by_length)),
        seconds(found.officer_time),
        seconds(found.officer_time_in_window),
        seconds(found.others_time),
        seconds(found.patrol_time),
        seconds(found.patrol_time_in_window),
        when(found.last_visit_end),
    )


def _away(item: Away) -> WeekAwayJson:
    return WeekAwayJson(
        *(item.activity, item.neighbourhood, item.neighbourhood_name, item.premises, item.premises_name),
        *(item.state, item.state_name, seconds(item.time)),
        tuple(None if time is None else seconds(time) for time in item.before),
    )


def _officer(item: OfficerSummary, target: float) -> WeekOfficerJson:
    return WeekOfficerJson(
        *_times(item.figures),
        *(item.officer_id, item.name, item.role, item.figures.verdict(target), seconds(item.away)),
        *(item.team, item.team_months, item.team_at_least),
        tuple(map(_duty, item.duties)),
    )


def _duty(item: DutyLine) -> WeekDutyJson:
    return WeekDutyJson(*_times(item.figures), item.duty_id, rfc3339(item.start), when(item.end), item.team)


def _quality(found: FactsWorth, figures: Figures) -> WeekQualityJson:
    known, reports = figures.share is not None, found.reports
    return WeekQualityJson(
        tuple(
            WeekFactFindingJson(
                *(item.scope, item.id, item.day, item.finding, item.count),
                *(None if item.time is None else seconds(item.time), item.detail),
            )
            for item in found.findings
        ),
        tuple(WeekDoubtfulJson(kind, seconds(time)) for kind, time in found.doubtful),
        None
        if reports is None
        else WeekReportsJson(
            *(reports.taken, dict(reports.rejected), reports.delayed),
            *(reports.delay_median, reports.delay_p95),
        ),
        seconds(found.questioned),
        found.proven / figures.duty if known else None,
        found.possible / figures.duty if known else None,
        found.verdict,
        found.turning,
        found.said,
    )


def _basis(found: Basis) -> WeekBasisJson:
    return WeekBasisJson(
        *(found.target, found.policy, when(found.policy_from), found.policy_sha256),
        *(found.policy_versions, found.policy_outdated),
        tuple(
            WeekBoundariesJson(Kind(item.kind), item.version, when(item.valid_from), item.file, item.sha256)
            for item in found.boundaries
        ),
        *(when(found.as_of), rfc3339(found.until)),
    )


def _change(item: FigureChange, summary: Summary) -> RestatementJson:
    before, after = (
        None if figures is None else _figure(figures, summary.area_name, summary.basis.target)
        for figures in (item.before, item.after)
    )
    return RestatementJson(
        *(item.number, rfc3339(item.recorded_at), item.cause, item.by, item.why),
        *(before, after),
    )
