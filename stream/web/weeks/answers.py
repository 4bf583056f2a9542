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
from stream.core.json_types import Count, Date, Part, Seconds, Time, extended, told
from stream.core.live.share_event import FigureJson, Verdict, figure_json
from stream.core.shares import seconds
from stream.core.summaries.examining import TOLD
from stream.core.summaries.model import TeamFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.core.calendar import Period
    from stream.core.shares import Figures
    from stream.core.summaries.model import (
        Away,
        Basis,
        FactsWorth,
        FigureChange,
        OfficerSummary,
        PriorityArea,
        Summary,
    )
    from stream.reports.force import NeighbourhoodLine
    from stream.store.reports import Entry, Reported


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
    return told(
        ForceWeekJson,
        period,
        week=period.name,
        complete=complete,
        neighbourhoods=tuple(
            extended(
                ForceWeekFigureJson,
                _figure(line.figures, line.name, line.target),
                published=_published(line.entry),
            )
            for line in lines
        ),
    )


def week_answer(found: Reported) -> WeekJson:
    """A neighbourhood's week, whole."""
    summary, target = found.summary, found.summary.basis.target
    crewed = summary.crewed
    return told(
        WeekJson,
        summary,
        week=summary.name,
        published=_published(found.entry),
        figure=extended(
            WeekFigureJson,
            _figure(summary.figures, summary.area_name, target),
            ambiguous_on_patch_s=seconds(summary.figures.ambiguous_on),
            ambiguous_off_patch_s=seconds(summary.figures.ambiguous_off),
        ),
        past=tuple(
            WeekPastJson(
                item.name,
                item.target,
                None if item.figures is None else item.figures.verdict(item.target),
                None if item.figures is None else told(TimesJson, item.figures),
            )
            for item in summary.past
        ),
        hours=tuple(told(WeekHourJson, item, priority_areas=item.wanted) for item in summary.hours),
        priority_areas=tuple(map(_area, summary.areas)),
        abstraction=tuple(map(_away, summary.away)),
        crewing=told(
            WeekCrewingJson,
            crewed,
            single_by_hour_s=tuple(map(seconds, crewed.single_by_hour)),
            double_by_hour_s=tuple(map(seconds, crewed.double_by_hour)),
        ),
        officers=tuple(_officer(item, target) for item in summary.officers),
        said=told(WeekSaidJson, summary.said),
        quality=None if summary.quality is None else _quality(summary.quality, summary.figures),
        basis=_basis(summary.basis),
        restatements=tuple(_change(item, summary) for item in summary.changes),
    )


def _published(entry: Entry | None) -> PublishedJson | None:
    return None if entry is None else told(PublishedJson, entry, at=rfc3339(entry.published_at))


def _figure(found: Figures, name: str, target: float) -> FigureJson:
    """A figure as ``visibility.shares`` has it, but with its shares as they are."""
    exact = {"share": found.share, "share_low": found.share_low, "share_high": found.share_high}
    return msgspec.structs.replace(figure_json(found, name, target), **exact)


def _area(item: PriorityArea) -> WeekAreaJson:
    found = item.figures
    return told(
        WeekAreaJson,
        item,
        found,
        id=item.area_id,
        own_hours_s=seconds(item.own_time),
        visits_in_hours=found.visits_in_window,
        visits_by_other_teams=found.visits_others,
        visits_by_length=tuple(found.visits_by_length),
        officer_s=seconds(found.officer_time),
        officer_in_hours_s=seconds(found.officer_time_in_window),
        officer_by_other_teams_s=seconds(found.others_time),
        patrol_s=seconds(found.patrol_time),
        patrol_in_hours_s=seconds(found.patrol_time_in_window),
    )


def _away(item: Away) -> WeekAwayJson:
    before = tuple(None if time is None else seconds(time) for time in item.before)
    return told(WeekAwayJson, item, seconds=seconds(item.time), seconds_before=before)


def _officer(item: OfficerSummary, target: float) -> WeekOfficerJson:
    return told(
        WeekOfficerJson,
        item,
        item.figures,
        verdict=item.figures.verdict(target),
        abstraction_s=seconds(item.away),
        duties=tuple(told(WeekDutyJson, duty, duty.figures) for duty in item.duties),
    )


def _quality(found: FactsWorth, figures: Figures) -> WeekQualityJson:
    known, reports = figures.share is not None, found.reports
    return told(
        WeekQualityJson,
        found,
        findings=tuple(
            told(WeekFactFindingJson, item, seconds=None if item.time is None else seconds(item.time))
            for item in found.findings
        ),
        doubtful=tuple(WeekDoubtfulJson(kind, seconds(time)) for kind, time in found.doubtful),
        reports=None
        if reports is None
        else told(
            WeekReportsJson,
            reports,
            rejected=dict(reports.rejected),
            delay_median_s=reports.delay_median,
            delay_p95_s=reports.delay_p95,
        ),
        share_low=found.proven / figures.duty if known else None,
        share_high=found.possible / figures.duty if known else None,
    )


def _basis(found: Basis) -> WeekBasisJson:
    boundaries = (told(WeekBoundariesJson, item, kind=Kind(item.kind)) for item in found.boundaries)
    return told(WeekBasisJson, found, boundaries=tuple(boundaries))


def _change(item: FigureChange, summary: Summary) -> RestatementJson:
    before, after = (
        None if figures is None else _figure(figures, summary.area_name, summary.basis.target)
        for figures in (item.before, item.after)
    )
    return told(RestatementJson, item, before=before, after=after)
