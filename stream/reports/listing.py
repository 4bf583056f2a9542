"""Summary → its tables, for every form: typed cells and what has to be said of them.

Pure: values in, values out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from stream.abstraction import OUTSIDE
from stream.explanation import exact
from stream.policy import NOT_VISIBLE
from stream.reports.grid import COUNT, INSTANT, PART, SHARE, TIME, Column, Row, Table
from stream.reports.view import LENGTHS, away_minutes, parts, reading, time_title

if TYPE_CHECKING:
    from stream.shares import Figures
    from stream.summary import Away, Change, Officer, PriorityArea, Summary


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


def _figures(figures: Figures | None) -> tuple[int | Fraction | None, ...]:
    if figures is None:
        return (None,) * 10
    found = reading(figures, 0.0)
    return (
        figures.duty,
        figures.on_patch,
        figures.off_patch,
        figures.not_visible,
        figures.unknown,
        figures.on_break,
        figures.priority,
        found.share,
        found.low,
        found.high,
    )


def _aim(summary: Summary) -> Fraction:
    return exact(summary.basis.target)


def trend_table(summary: Summary) -> Table:
    """The last periods."""
    return Table(
        "trend",
        f"The last {len(summary.past)} {summary.period}s",
        (
            Column(summary.period),
            Column("share on patch", SHARE, "share", "duty"),
            Column("at least", SHARE),
            Column("at most", SHARE),
            Column("target", SHARE),
            Column("verdict"),
            Column("duty time", TIME, key="duty"),
            Column("on patch", PART, key="on_patch"),
            Column("off patch", PART, key="off_patch"),
            Column("not visible", PART, key="not_visible"),
            Column("unknown", PART, key="unknown"),
        ),
        tuple(
            Row(
                (
                    past.name,
                    (found := reading(past.figures, past.target)).share,
                    found.low,
                    found.high,
                    found.target,
                    found.verdict or "no duty time",
                    *_figures(past.figures)[:5],
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
        (Column("what"), Column("officer time", PART), Column("of duty time", SHARE)),
        tuple(
            Row(
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
            Column("day"),
            Column("hour"),
            Column("starts", INSTANT, read=False),
            Column("duty time", TIME, key="duty"),
            Column("on patch", PART, key="on_patch"),
            Column("off patch", PART, key="off_patch"),
            Column("not visible", PART, key="not_visible"),
            Column("unknown", PART, key="unknown"),
            Column("in priority areas", TIME, key="priority"),
            Column("break", TIME, key="break"),
            Column("share on patch", SHARE),
            Column("priority areas due"),
        ),
        tuple(
            Row(
                (
                    hour.day,
                    f"{hour.hour:02d}:00{' (again)' if hour.again else ''}",
                    hour.start,
                    hour.duty,
                    hour.on_patch,
                    hour.off_patch,
                    hour.not_visible,
                    hour.unknown,
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
    """When a priority area wants visits."""
    if area.always:
        return "always"
    return " ".join(word for word in (area.days, area.hours) if word) or "always"


def areas_table(summary: Summary) -> Table:
    """Priority areas and their visits."""
    return Table(
        "priority_areas",
        "Priority areas",
        (
            Column("priority area"),
            Column("priority area id", read=False),
            Column("issue"),
            Column("its own days and hours", short="own hours"),
            Column("visits", COUNT, key="visits"),
            Column("visits in its own hours", COUNT, "in own hours", "own_hours"),
            Column("visits by other teams", COUNT, "by others", "others"),
            *(
                Column(f"visits of {length}", COUNT, length, f"length{at}")
                for at, length in enumerate(LENGTHS)
            ),
            Column("officer time", TIME, key="visits"),
            Column("patrol time", TIME, key="visits"),
            Column("officer time in its own hours", TIME, "officer time, own hours"),
            Column("patrol time in its own hours", TIME, "patrol time, own hours"),
            Column("officer time of other teams", TIME, "of others"),
            Column("last visit ended", INSTANT, "last visit"),
        ),
        tuple(
            Row(
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
        empty="No priority area touches this neighbourhood.",
    )


def away_words(item: Away) -> str:
    """Where somebody was away."""
    if item.premises:
        return f"at {item.premises_name or item.premises}"
    if item.neighbourhood == OUTSIDE:
        return "outside every neighbourhood"
    return (
        f"in {item.neighbourhood_name or item.neighbourhood}" if item.neighbourhood else "where nobody knows"
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
            Column("where"),
            Column("neighbourhood id", read=False),
            Column("premises id", read=False),
            Column("state", COUNT, read=False),
            Column("activity"),
            Column("radio state"),
            Column(summary.name, TIME, key="away"),
            Column("part of duty time", SHARE, "of duty"),
            *(Column(name, TIME) for name in names),
        ),
        tuple(
            Row(
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
        empty="Nobody was off patch or out of sight.",
    )


def crewing_table(summary: Summary) -> Table:
    """Vehicle time by hour of the day."""
    crewed = summary.crewed
    return Table(
        "crewing",
        "Crewing: vehicle time in the neighbourhood, whoever's vehicles they are, by hour of the day",
        (
            Column("hour"),
            Column("one officer", TIME, key="crewing"),
            Column("two or more", TIME, key="crewing"),
        ),
        (
            *(
                Row((f"{hour:02d}:00", one, two), hour)
                for hour, (one, two) in enumerate(
                    zip(crewed.single_by_hour, crewed.double_by_hour, strict=True)
                )
            ),
            Row(("all day", crewed.single, crewed.double)),
        ),
    )


def tenure(officer: Officer) -> str:
    """How long an officer has been in the present team."""
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
            Column("officer"),
            Column("officer id", read=False),
            Column("role"),
            Column("team"),
            Column("time in the team", short="tenure"),
            Column("duties", COUNT),
            Column("duty time", TIME, key="duty"),
            Column("on patch", PART, key="on_patch"),
            Column("off patch", PART, key="off_patch"),
            Column("not visible", PART, key="not_visible"),
            Column("unknown", PART, key="unknown"),
            Column("share on patch", SHARE, "share", "duty"),
            Column("at least", SHARE),
            Column("at most", SHARE),
        ),
        tuple(
            Row(
                (
                    officer.name,
                    officer.officer_id,
                    officer.role,
                    officer.team,
                    tenure(officer),
                    len(officer.duties),
                    *_figures(officer.figures)[:5],
                    *_figures(officer.figures)[7:],
                ),
                officer,
            )
            for officer in summary.officers
        ),
        note="Off patch and not visible together are an officer's abstraction. The target is the "
        "neighbourhood's: an officer's share is no verdict on the officer.",
        empty="No officer of the neighbourhood was booked on.",
        target=_aim(summary),
    )


def duties_table(summary: Summary) -> Table:
    """Each officer's duties."""
    return Table(
        "duties",
        "Duties of each officer",
        (
            Column("officer"),
            Column("officer id", read=False),
            Column("duty"),
            Column("from", INSTANT),
            Column("to", INSTANT),
            Column("team"),
            Column("duty time", TIME, key="duty"),
            Column("on patch", PART, key="on_patch"),
            Column("off patch", PART, key="off_patch"),
            Column("not visible", PART, key="not_visible"),
            Column("unknown", PART, key="unknown"),
            Column("share on patch", SHARE, "share", "duty"),
        ),
        tuple(
            Row(
                (
                    officer.name,
                    officer.officer_id,
                    duty.duty_id,
                    duty.start,
                    duty.end,
                    duty.team,
                    *_figures(duty.figures)[:5],
                    _figures(duty.figures)[7],
                ),
                (officer, duty),
            )
            for officer in summary.officers
            for duty in officer.duties
        ),
        note="From and to are as booked; the time is what of it lies in the period. – under to: still open.",
        empty="No duty was booked.",
        target=_aim(summary),
    )


def teams_table(summary: Summary) -> Table:
    """The teams of the neighbourhood's officers."""
    return Table(
        "teams",
        "Teams, as of the period's end",
        (
            Column("team"),
            Column("officers", COUNT),
            Column("experienced in it", COUNT, "experienced"),
            Column("the record cannot tell", COUNT, "cannot tell"),
            Column("months that count as experienced", COUNT, "months asked"),
            Column("joined"),
            Column("left"),
        ),
        tuple(
            Row(
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
            Column("recorded", INSTANT),
            Column("number", COUNT),
            Column("cause"),
            Column("by"),
            Column("why"),
            Column("on patch before", TIME, "on patch, before"),
            Column("duty time before", TIME, "duty, before"),
            Column("share before", SHARE),
            Column("on patch after", TIME, "on patch, after"),
            Column("duty time after", TIME, "duty, after"),
            Column("share after", SHARE),
        ),
        tuple(Row(_change(change), change) for change in summary.changes),
        empty="None: the figure stands as it was first counted.",
        target=_aim(summary),
    )


def _change(change: Change) -> tuple[str | int | Fraction | None, ...]:
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
