"""The tables of a summary, for every form: typed cells with headings and notes.

Pure: values in, values out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from stream.core.abstraction import OUTSIDE
from stream.core.explaining.explanation import exact
from stream.core.policy import NOT_VISIBLE
from stream.reports import view
from stream.reports.grid import COUNT, INSTANT, PART, SHARE, TIME, GridColumn, GridRow, Table
from stream.reports.view import LENGTHS, away_minutes, parts, reading, time_title

if TYPE_CHECKING:
    from stream.core.shares import Figures
    from stream.core.summaries.model import (
        Away,
        FigureChange,
        Hour,
        OfficerSummary,
        PriorityArea,
        Summary,
    )


def tables(summary: Summary) -> tuple[Table, ...]:
    """All tables, as workbook and CSV have them; pages and PDF take those that they show by name."""
    return (
        trend_table(summary),
        time_table(summary),
        hours_table(summary),
        areas_table(summary),
        away_table(summary),
        crewing_table(summary),
        officers_table(summary),
        duties_table(summary),
        teams_table(summary),
        changes_table(summary),
    )


SPENT = (
    GridColumn("duty time", TIME, key="duty"),
    GridColumn("on patch", PART, key="on_patch"),
    GridColumn("off patch", PART, key="off_patch"),
    GridColumn("not visible", PART, key="not_visible"),
    GridColumn("unknown", PART, key="unknown"),
)
"""Duty time and its parts (``_spent``)."""


def _spent(item: Figures | Hour | None) -> tuple[int | None, ...]:
    if item is None:
        return (None,) * len(SPENT)
    return item.duty, item.on_patch, item.off_patch, item.not_visible, item.unknown


def _aim(summary: Summary) -> Fraction:
    return exact(summary.basis.target)


def first_page(summary: Summary) -> dict[str, Any]:
    """What the first page says in words, whatever shows it."""
    areas, more_areas = view.first_areas(summary)
    reasons, more_reasons = view.first_reasons(summary)
    all_basis = view.basis(summary)
    return {
        "title": view.title(summary),
        "name": view.short(summary.area_name) or summary.area_id,
        "standing": view.standing(summary),
        "time_title": view.time_title(summary),
        "areas": [
            [
                view.short(area.name or area.area_id, 34),
                view.short(area.issue, 24) or "–",
                view.short(clock_words(area), 26),
                view.visits_words(area),
                view.hours_said(area.figures.officer_time),
                view.hours_said(area.figures.patrol_time),
            ]
            for area in areas
        ],
        "areas_note": view.areas_note(summary),
        "more_areas": more_areas,
        "said": [view.short_said(text) for text in summary.said.verdict[:4]],
        "reasons": reasons,
        "more_reasons": more_reasons,
        "notes": [view.short(text, 110) for text in summary.said.notes[:2]],
        "basis": [view.short(text, 200) for text in all_basis],
        "all_basis": all_basis,
        "restated": view.short(view.restated(summary), 200),
        "terms": view.TERMS,
    }


def trend_table(summary: Summary) -> Table:
    """The last periods."""
    return Table(
        "trend",
        f"The last {len(summary.past)} {summary.period}s",
        (
            GridColumn(summary.period),
            GridColumn("share on patch", SHARE, "share", "duty"),
            GridColumn("at least", SHARE),
            GridColumn("at most", SHARE),
            GridColumn("target", SHARE),
            GridColumn("verdict"),
            *SPENT,
        ),
        tuple(
            GridRow(
                (
                    past.name,
                    (found := reading(past.figures, past.target)).share,
                    found.low,
                    found.high,
                    found.target,
                    found.verdict or "no duty time",
                    *_spent(past.figures),
                ),
                past,
                exact(past.target),
            )
            for past in summary.past
        ),
        target=_aim(summary),
    )


def time_table(summary: Summary) -> Table:
    """Where the time went."""
    found = parts(summary)
    return Table(
        "time",
        time_title(summary),
        (GridColumn("what"), GridColumn("officer time", PART), GridColumn("of duty time", SHARE)),
        tuple(
            GridRow(
                (
                    part.label,
                    part.time,
                    Fraction(part.time, summary.figures.duty)
                    if summary.figures.duty and part.key != "break"
                    else None,
                ),
                part,
            )
            for part in found
        ),
    )


def hours_table(summary: Summary) -> Table:
    """Every hour."""
    return Table(
        "hours",
        "Hour by hour",
        (
            GridColumn("day"),
            GridColumn("hour"),
            GridColumn("starts", INSTANT, read=False),
            *SPENT,
            GridColumn("in priority areas", TIME, key="priority"),
            GridColumn("break", TIME, key="break"),
            GridColumn("share on patch", SHARE),
            GridColumn("priority areas due"),
        ),
        tuple(
            GridRow(
                (
                    hour.day,
                    f"{hour.hour:02d}:00{' (again)' if hour.again else ''}",
                    hour.start,
                    *_spent(hour),
                    hour.priority,
                    hour.on_break,
                    Fraction(hour.on_patch, hour.duty) if hour.duty else None,
                    ", ".join(hour.wanted),
                ),
                hour,
            )
            for hour in summary.hours
        ),
        target=_aim(summary),
    )


def clock_words(area: PriorityArea) -> str:
    """When a priority area needs visits."""
    if area.always:
        return "always"
    return " ".join(word for word in (area.days, area.hours) if word) or "always"


def areas_table(summary: Summary) -> Table:
    """Priority areas and their visits."""
    return Table(
        "priority_areas",
        "Priority areas",
        (
            GridColumn("priority area"),
            GridColumn("priority area id", read=False),
            GridColumn("issue"),
            GridColumn("its own days and hours", short="own hours"),
            GridColumn("visits", COUNT, key="visits"),
            GridColumn("visits in its own hours", COUNT, "in own hours", "own_hours"),
            GridColumn("visits by other teams", COUNT, "by others", "others"),
            *(
                GridColumn(f"visits of {length}", COUNT, length, f"length{at}")
                for at, length in enumerate(LENGTHS)
            ),
            GridColumn("officer time", TIME, key="visits"),
            GridColumn("patrol time", TIME, key="visits"),
            GridColumn("officer time in its own hours", TIME, "officer time, own hours"),
            GridColumn("patrol time in its own hours", TIME, "patrol time, own hours"),
            GridColumn("officer time of other teams", TIME, "of others"),
            GridColumn("last visit ended", INSTANT, "last visit"),
        ),
        tuple(
            GridRow(
                (
                    area.name,
                    area.area_id,
                    area.issue,
                    clock_words(area),
                    area.figures.visits,
                    area.figures.visits_in_window,
                    area.figures.visits_others,
                    *area.figures.visits_by_length,
                    area.figures.officer_time,
                    area.figures.patrol_time,
                    area.figures.officer_time_in_window,
                    area.figures.patrol_time_in_window,
                    area.figures.others_time,
                    area.figures.last_visit_end,
                ),
                area,
            )
            for area in summary.areas
        ),
        empty="There are no priority areas in this neighbourhood.",
    )


def away_words(item: Away) -> str:
    """Where the time away was spent."""
    if item.premises:
        return f"at {item.premises_name or item.premises}"
    if item.neighbourhood == OUTSIDE:
        return "outside every neighbourhood"
    return (
        f"in {item.neighbourhood_name or item.neighbourhood}"
        if item.neighbourhood
        else "at an unknown location"
    )


def away_table(summary: Summary) -> Table:
    """Abstraction, with the periods before."""
    many = max((len(item.before) for item in summary.away), default=0)
    names = [past.name for past in summary.past[:-1]][-many:] if many else []
    names = [f"{many - at} before" for at in range(many - len(names))] + names
    return Table(
        "abstraction",
        "Abstraction: where, in which state, how long",
        (
            GridColumn("where"),
            GridColumn("neighbourhood id", read=False),
            GridColumn("premises id", read=False),
            GridColumn("state", COUNT, read=False),
            GridColumn("activity"),
            GridColumn("radio state"),
            GridColumn(summary.name, TIME, key="away"),
            GridColumn("part of duty time", SHARE, "of duty"),
            *(GridColumn(name, TIME) for name in names),
        ),
        tuple(
            GridRow(
                (
                    away_words(item),
                    item.neighbourhood,
                    item.premises,
                    item.state,
                    "off patch" if item.activity != NOT_VISIBLE else "not visible",
                    item.state_name.replace("_", " "),
                    item.time,
                    Fraction(item.time, summary.figures.duty) if summary.figures.duty else None,
                    *((None,) * (many - len(item.before))),
                    *item.before,
                ),
                item,
                minutes=minutes,
            )
            for item, minutes in zip(summary.away, away_minutes(summary), strict=True)
        ),
        note="– in an earlier period: nobody had duty time then.",
        empty="Nobody was off patch or not visible.",
    )


def crewing_table(summary: Summary) -> Table:
    """Vehicle time by hour of the day."""
    crewed = summary.crewed
    return Table(
        "crewing",
        "Crewing: vehicle time in the neighbourhood by hour of the day, vehicles of all teams",
        (
            GridColumn("hour"),
            GridColumn("one officer", TIME, key="crewing"),
            GridColumn("two or more", TIME, key="crewing"),
        ),
        (
            *(
                GridRow((f"{hour:02d}:00", one, two), hour)
                for hour, (one, two) in enumerate(
                    zip(crewed.single_by_hour, crewed.double_by_hour, strict=True)
                )
            ),
            GridRow(("all day", crewed.single, crewed.double)),
        ),
    )


def tenure(officer: OfficerSummary) -> str:
    """How long an officer has been in the current team."""
    if officer.team_months is None:
        return "no team"
    months = f"{officer.team_months} month{'' if officer.team_months == 1 else 's'}"
    return f"{'at least ' if officer.team_at_least else ''}{months}"


def officers_table(summary: Summary) -> Table:
    """Each officer."""
    return Table(
        "officers",
        "Officers",
        (
            GridColumn("officer"),
            GridColumn("officer id", read=False),
            GridColumn("role"),
            GridColumn("team"),
            GridColumn("time in the team", short="tenure"),
            GridColumn("duties", COUNT),
            *SPENT,
            GridColumn("share on patch", SHARE, "share", "duty"),
            GridColumn("at least", SHARE),
            GridColumn("at most", SHARE),
        ),
        tuple(
            GridRow(
                (
                    officer.name,
                    officer.officer_id,
                    officer.role,
                    officer.team,
                    tenure(officer),
                    len(officer.duties),
                    *_spent(officer.figures),
                    (found := reading(officer.figures, 0.0)).share,
                    found.low,
                    found.high,
                ),
                officer,
            )
            for officer in summary.officers
        ),
        note="Off-patch and not-visible time together are an officer's abstraction. The target is for the "
        "neighbourhood: an officer's share is not a verdict on the officer.",
        empty="No officer of the neighbourhood was booked on.",
        target=_aim(summary),
    )


def duties_table(summary: Summary) -> Table:
    """Each officer's duties."""
    return Table(
        "duties",
        "Duties of each officer",
        (
            GridColumn("officer"),
            GridColumn("officer id", read=False),
            GridColumn("duty"),
            GridColumn("from", INSTANT),
            GridColumn("to", INSTANT),
            GridColumn("team"),
            *SPENT,
            GridColumn("share on patch", SHARE, "share", "duty"),
        ),
        tuple(
            GridRow(
                (
                    officer.name,
                    officer.officer_id,
                    duty.duty_id,
                    duty.start,
                    duty.end,
                    duty.team,
                    *_spent(duty.figures),
                    reading(duty.figures, 0.0).share,
                ),
                (officer, duty),
            )
            for officer in summary.officers
            for duty in officer.duties
        ),
        note="From and to are as booked; times are the part within the period. “–” under to: still open.",
        empty="No duty was booked.",
        target=_aim(summary),
    )


def teams_table(summary: Summary) -> Table:
    """The teams of the neighbourhood's officers."""
    return Table(
        "teams",
        "Teams at the end of the period",
        (
            GridColumn("team"),
            GridColumn("officers", COUNT),
            GridColumn("experienced in it", COUNT, "experienced"),
            GridColumn("the record cannot tell", COUNT, "cannot tell"),
            GridColumn("months that count as experienced", COUNT, "months needed"),
            GridColumn("joined"),
            GridColumn("left"),
        ),
        tuple(
            GridRow(
                (
                    team.team,
                    team.officers,
                    team.experienced,
                    team.perhaps,
                    int(team.months) if team.months == int(team.months) else Fraction(str(team.months)),
                    ", ".join(team.joined),
                    ", ".join(team.left),
                ),
                team,
            )
            for team in summary.teams
        ),
        empty="No booking names a team.",
    )


def changes_table(summary: Summary) -> Table:
    """All restatements."""
    return Table(
        "restatements",
        "Restatements",
        (
            GridColumn("recorded", INSTANT),
            GridColumn("number", COUNT),
            GridColumn("cause"),
            GridColumn("by"),
            GridColumn("why"),
            GridColumn("on patch before", TIME, "on patch, before"),
            GridColumn("duty time before", TIME, "duty, before"),
            GridColumn("share before", SHARE),
            GridColumn("on patch after", TIME, "on patch, after"),
            GridColumn("duty time after", TIME, "duty, after"),
            GridColumn("share after", SHARE),
        ),
        tuple(GridRow(_change(change), change) for change in summary.changes),
        empty="None: the figure is as first counted.",
        target=_aim(summary),
    )


def _change(change: FigureChange) -> tuple[str | int | Fraction | None, ...]:
    def said(figures: Figures | None) -> tuple[int | Fraction | None, ...]:
        if figures is None:
            return (None, None, None)
        return figures.on_patch, figures.duty, reading(figures, 0.0).share

    return (
        change.recorded_at,
        change.number,
        change.cause,
        change.by,
        change.why,
        *said(change.before),
        *said(change.after),
    )
