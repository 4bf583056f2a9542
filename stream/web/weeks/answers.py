"""Summaries as JSON: all that ``summaries.model.Summary`` holds, in the contract's names and units.

Values in, plain dictionaries out. Times of day are RFC 3339 in UTC, durations seconds to the microsecond,
shares 0 to 1. Equal summaries give equal texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.core.calendar import rfc3339
from stream.core.shares import NEIGHBOURHOOD
from stream.core.summaries.model import seconds

if TYPE_CHECKING:
    from stream.core.shares import Figures
    from stream.core.summaries.model import (
        Away,
        BoundaryVersion,
        Crewed,
        DutyLine,
        FigureChange,
        Hour,
        OfficerSummary,
        Past,
        PriorityArea,
        TeamFacts,
    )
    from stream.store.reports import Entry
    from stream.web.description import Json
    from stream.web.weeks.shelf import Sheet, ShelfLine


def week_json(sheet: Sheet) -> Json:
    """A neighbourhood's week, whole."""
    summary = sheet.summary
    target = summary.basis.target
    return {
        "week": summary.name,
        "from": rfc3339(summary.start),
        "to": rfc3339(summary.end),
        "complete": summary.complete,
        "published": published_json(sheet.entry),
        "figure": {
            **figure_json(summary.figures, summary.area_name, target),
            "ambiguous_on_patch_s": seconds(summary.figures.ambiguous_on),
            "ambiguous_off_patch_s": seconds(summary.figures.ambiguous_off),
        },
        "past": [past_json(item) for item in summary.past],
        "hours": [hour_json(item) for item in summary.hours],
        "priority_areas": [area_json(item) for item in summary.areas],
        "abstraction": [away_json(item) for item in summary.away],
        "crewing": crewed_json(summary.crewed),
        "officers": [officer_json(item, target) for item in summary.officers],
        "teams": [team_json(item) for item in summary.teams],
        "said": {
            "verdict": list(summary.said.verdict),
            "costs": list(summary.said.costs),
            "notes": list(summary.said.notes),
        },
        "basis": {
            "target": target,
            "policy": summary.basis.policy,
            "policy_from": when(summary.basis.policy_from),
            "policy_sha256": summary.basis.policy_sha256,
            "boundaries": [boundaries_json(item) for item in summary.basis.boundaries],
            "as_of": when(summary.basis.as_of),
            "until": rfc3339(summary.basis.until),
        },
        "restatements": [change_json(item, summary.area_name, target) for item in summary.changes],
    }


def force_json(week: str, start: int, end: int, lines: list[ShelfLine], *, complete: bool) -> Json:
    """All neighbourhoods of a week."""
    return {
        "week": week,
        "from": rfc3339(start),
        "to": rfc3339(end),
        "complete": complete,
        "neighbourhoods": [
            {**figure_json(line.figures, line.name, line.target), "published": published_json(line.entry)}
            for line in lines
        ],
    }


def published_json(entry: Entry | None) -> Json | None:
    """Which published report it is; None: none, it was counted now."""
    if entry is None:
        return None
    return {"number": entry.number, "at": rfc3339(entry.published_at), "sha256": entry.sha256}


def when(time: int | None) -> str | None:
    """A time as RFC 3339, None for none."""
    return None if time is None else rfc3339(time)


def times_json(figures: Figures) -> Json:
    """Time by activity, and the share with its bounds."""
    return {
        "duty_s": seconds(figures.duty),
        "on_patch_s": seconds(figures.on_patch),
        "off_patch_s": seconds(figures.off_patch),
        "not_visible_s": seconds(figures.not_visible),
        "unknown_s": seconds(figures.unknown),
        "break_s": seconds(figures.on_break),
        "priority_s": seconds(figures.priority),
        "share": figures.share,
        "share_low": figures.share_low,
        "share_high": figures.share_high,
    }


def figure_json(figures: Figures, name: str, target: float) -> Json:
    """A figure as ``visibility.shares`` has it."""
    return {
        "scope": NEIGHBOURHOOD,
        "id": figures.id,
        "name": name,
        "from": rfc3339(figures.start),
        "to": rfc3339(figures.end),
        **times_json(figures),
        "target": target,
        "verdict": figures.verdict(target),
    }


def past_json(item: Past) -> Json:
    """A week of the trend."""
    return {
        "week": item.name,
        "target": item.target,
        "verdict": None if item.figures is None else item.figures.verdict(item.target),
        "figure": None if item.figures is None else times_json(item.figures),
    }


def hour_json(item: Hour) -> Json:
    """An hour of the week."""
    return {
        "day": item.day,
        "hour": item.hour,
        "again": item.again,
        "from": rfc3339(item.start),
        "to": rfc3339(item.end),
        "duty_s": seconds(item.duty),
        "on_patch_s": seconds(item.on_patch),
        "off_patch_s": seconds(item.off_patch),
        "not_visible_s": seconds(item.not_visible),
        "unknown_s": seconds(item.unknown),
        "break_s": seconds(item.on_break),
        "priority_s": seconds(item.priority),
        "priority_areas": list(item.wanted),
    }


def area_json(item: PriorityArea) -> Json:
    """A priority area and its visits (rule 17)."""
    found = item.figures
    return {
        "id": item.area_id,
        "name": item.name,
        "issue": item.issue,
        "days": item.days,
        "hours": item.hours,
        "always": item.always,
        "own_hours_s": seconds(item.own_time),
        "visits": found.visits,
        "visits_in_hours": found.visits_in_window,
        "visits_by_other_teams": found.visits_others,
        "visits_by_length": list(found.visits_by_length),
        "officer_s": seconds(found.officer_time),
        "officer_in_hours_s": seconds(found.officer_time_in_window),
        "officer_by_other_teams_s": seconds(found.others_time),
        "patrol_s": seconds(found.patrol_time),
        "patrol_in_hours_s": seconds(found.patrol_time_in_window),
        "last_visit_end": when(found.last_visit_end),
    }


def away_json(item: Away) -> Json:
    """An item of abstraction (rule 16), and the same in the weeks before."""
    return {
        "activity": item.activity,
        "neighbourhood": item.neighbourhood,
        "neighbourhood_name": item.neighbourhood_name,
        "premises": item.premises,
        "premises_name": item.premises_name,
        "state": item.state,
        "state_name": item.state_name,
        "seconds": seconds(item.time),
        "seconds_before": [None if time is None else seconds(time) for time in item.before],
    }


def crewed_json(item: Crewed) -> Json:
    """Crewing (rule 18)."""
    return {
        "single_s": seconds(item.single),
        "double_s": seconds(item.double),
        "single_by_hour_s": [seconds(time) for time in item.single_by_hour],
        "double_by_hour_s": [seconds(time) for time in item.double_by_hour],
    }


def officer_json(item: OfficerSummary, target: float) -> Json:
    """An officer of the neighbourhood, and the duties."""
    return {
        "officer_id": item.officer_id,
        "name": item.name,
        "role": item.role,
        **times_json(item.figures),
        "verdict": item.figures.verdict(target),
        "abstraction_s": seconds(item.away),
        "team": item.team,
        "team_months": item.team_months,
        "team_at_least": item.team_at_least,
        "duties": [duty_json(line) for line in item.duties],
    }


def duty_json(item: DutyLine) -> Json:
    """One duty: as booked, and what of it lies in the week."""
    return {
        "duty_id": item.duty_id,
        "from": rfc3339(item.start),
        "to": when(item.end),
        "team": item.team,
        **times_json(item.figures),
    }


def team_json(item: TeamFacts) -> Json:
    """A team."""
    return {
        "team": item.team,
        "officers": item.officers,
        "experienced": item.experienced,
        "perhaps": item.perhaps,
        "months": item.months,
        "joined": list(item.joined),
        "left": list(item.left),
    }


def boundaries_json(item: BoundaryVersion) -> Json:
    """A version of the boundaries."""
    return {
        "kind": item.kind,
        "version": item.version,
        "valid_from": when(item.valid_from),
        "file": item.file,
        "sha256": item.sha256,
    }


def change_json(item: FigureChange, name: str, target: float) -> Json:
    """A restatement (rule 20)."""
    return {
        "number": item.number,
        "recorded_at": rfc3339(item.recorded_at),
        "cause": item.cause,
        "by": item.by,
        "why": item.why,
        "before": None if item.before is None else figure_json(item.before, name, target),
        "after": None if item.after is None else figure_json(item.after, name, target),
    }
