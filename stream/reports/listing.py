"""The tables of a summary, for every form: typed cells with headings and notes.

Pure: values in, values out.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from stream.core.abstraction import OUTSIDE
from stream.core.explaining.explanation import exact
from stream.core.facts import SECOND
from stream.core.policy import NOT_VISIBLE
from stream.reports import view
from stream.reports.grid import COUNT, INSTANT, PART, SHARE, TEXT, TIME, Cell, GridColumn, GridRow, Table
from stream.reports.view import LENGTHS, away_minutes, parts, reading, time_title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stream.core.shares import Figures
    from stream.core.summaries.model import (
        Away,
        DutyLine,
        FigureChange,
        Hour,
        OfficerSummary,
        Past,
        PriorityArea,
        Summary,
    )
    from stream.reports.view import Reading

Item = TypeVar("Item")
Field: TypeAlias = "tuple[GridColumn, Callable[[Item], Cell]]"
"""A column, and what stands in it for an item."""


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
        *facts_tables(summary),
        changes_table(summary),
    )


def annex(summary: Summary) -> tuple[Table, ...]:
    """The tables behind the first page, in the order in which people read them."""
    return (
        away_table(summary),
        crewing_table(summary),
        officers_table(summary),
        teams_table(summary),
        *facts_tables(summary),
        duties_table(summary),
        areas_table(summary),
        changes_table(summary),
    )


def _table(
    name: str, title: str, items: Iterable[Item], *fields: Field[Item], empty: str = "None.", **more: Any
) -> Table:
    """A table with a row for each item; ``more`` is said to :class:`Table`."""
    rows = tuple(GridRow(tuple(cell(item) for _, cell in fields), item) for item in items)
    return Table(name, title, tuple(column for column, _ in fields), rows, empty=empty, **more)


def _spent(of: Callable[[Item], Figures | Hour | None]) -> tuple[Field[Item], ...]:
    """Duty time and its parts."""

    def field(name: str, kind: str, key: str) -> Field[Item]:
        return GridColumn(name, kind, key=key), lambda item: getattr(of(item), key, None)

    return (
        field("duty time", TIME, "duty"),
        field("on patch", PART, "on_patch"),
        field("off patch", PART, "off_patch"),
        field("not visible", PART, "not_visible"),
        field("unknown", PART, "unknown"),
    )


def _shares(of: Callable[[Item], Figures | None]) -> tuple[Field[Item], ...]:
    """The share and its bounds, which no target changes."""
    return (
        (GridColumn("share on patch", SHARE, "share", "duty"), lambda item: reading(of(item), 0.0).share),
        (GridColumn("at least", SHARE), lambda item: reading(of(item), 0.0).low),
        (GridColumn("at most", SHARE), lambda item: reading(of(item), 0.0).high),
    )


def _figures(item: Past | OfficerSummary) -> Figures | None:
    return item.figures


def _of(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _seen(hour: Hour) -> int:
    """The duty time that a share may be of: none where nothing is known of it (rule 15)."""
    return hour.duty if hour.duty > hour.unknown else 0


def _aim(summary: Summary) -> Fraction:
    return exact(summary.basis.target)


def first_page(summary: Summary) -> dict[str, Any]:
    """What the first page says in words, whatever shows it."""
    areas, more_areas = view.first_areas(summary)
    reasons, more_reasons = view.first_reasons(summary)
    all_basis = view.basis(summary)
    facts, more_facts = view.first_facts(summary)
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
        "said": [view.short(text, 150) for text in summary.said.verdict[:4]],
        "reasons": reasons,
        "more_reasons": more_reasons,
        "notes": [
            view.short(text, 110)
            for text in summary.said.notes[: 1 if facts and view.crowded(summary) else 2]
        ],
        "facts": facts,
        "more_facts": more_facts,
        "all_facts": view.facts_said(summary),
        "basis": [view.short(text, 200) for text in all_basis],
        "all_basis": all_basis,
        "restated": view.short(view.restated(summary), 200),
        "terms": view.TERMS,
    }


def trend_table(summary: Summary) -> Table:
    """The last periods."""
    table = _table(
        "trend",
        f"The last {len(summary.past)} {summary.period}s",
        summary.past,
        (GridColumn(summary.period), lambda past: past.name),
        *_shares(_figures),
        (GridColumn("target", SHARE), lambda past: exact(past.target)),
        (
            GridColumn("verdict"),
            lambda past: (said := reading(past.figures, past.target)).verdict or said.sentence,
        ),
        *_spent(_figures),
        target=_aim(summary),
    )
    return replace(table, rows=tuple(replace(row, target=exact(row.of.target)) for row in table.rows))


def time_table(summary: Summary) -> Table:
    """Where the time went."""
    duty = summary.figures.duty
    return _table(
        "time",
        time_title(summary),
        parts(summary),
        (GridColumn("what"), lambda part: part.label),
        (GridColumn("officer time", PART), lambda part: part.time),
        (
            GridColumn("of duty time", SHARE),
            lambda part: _of(part.time, 0 if part.key == "break" else duty),
        ),
    )


def hours_table(summary: Summary) -> Table:
    """Every hour."""
    return _table(
        "hours",
        "Hour by hour",
        summary.hours,
        (GridColumn("day"), lambda hour: hour.day),
        (GridColumn("hour"), lambda hour: f"{hour.hour:02d}:00{' (again)' if hour.again else ''}"),
        (GridColumn("starts", INSTANT, read=False), lambda hour: hour.start),
        *_spent(lambda hour: hour),
        (GridColumn("in priority areas", TIME, key="priority"), lambda hour: hour.priority),
        (GridColumn("break", TIME, key="break"), lambda hour: hour.on_break),
        (GridColumn("share on patch", SHARE), lambda hour: _of(hour.on_patch, _seen(hour))),
        (GridColumn("priority areas due"), lambda hour: ", ".join(hour.wanted)),
        target=_aim(summary),
    )


def clock_words(area: PriorityArea) -> str:
    """When a priority area needs visits."""
    if area.always:
        return "always"
    return " ".join(word for word in (area.days, area.hours) if word) or "always"


def areas_table(summary: Summary) -> Table:
    """Priority areas and their visits."""

    def of_length(at: int) -> Callable[[PriorityArea], Cell]:
        return lambda area: area.figures.visits_by_length[at]

    return _table(
        "priority_areas",
        "Priority areas",
        summary.areas,
        (GridColumn("priority area"), lambda area: area.name),
        (GridColumn("priority area id", read=False), lambda area: area.area_id),
        (GridColumn("issue"), lambda area: area.issue),
        (GridColumn("its own days and hours", short="own hours"), clock_words),
        (GridColumn("visits", COUNT, key="visits"), lambda area: area.figures.visits),
        (
            GridColumn("visits in its own hours", COUNT, "in own hours", "own_hours"),
            lambda area: area.figures.visits_in_window,
        ),
        (
            GridColumn("visits by other teams", COUNT, "by others", "others"),
            lambda area: area.figures.visits_others,
        ),
        *(
            (GridColumn(f"visits of {length}", COUNT, length, f"length{at}"), of_length(at))
            for at, length in enumerate(LENGTHS)
        ),
        (GridColumn("officer time", TIME, key="visits"), lambda area: area.figures.officer_time),
        (GridColumn("patrol time", TIME, key="visits"), lambda area: area.figures.patrol_time),
        (
            GridColumn("officer time in its own hours", TIME, "officer time, own hours"),
            lambda area: area.figures.officer_time_in_window,
        ),
        (
            GridColumn("patrol time in its own hours", TIME, "patrol time, own hours"),
            lambda area: area.figures.patrol_time_in_window,
        ),
        (GridColumn("officer time of other teams", TIME, "of others"), lambda area: area.figures.others_time),
        (GridColumn("last visit ended", INSTANT, "last visit"), lambda area: area.figures.last_visit_end),
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

    def back(periods: int) -> Callable[[Away], Cell]:
        return lambda item: item.before[-periods] if periods <= len(item.before) else None

    table = _table(
        "abstraction",
        "Abstraction: where, in which state, how long",
        summary.away,
        (GridColumn("where"), away_words),
        (GridColumn("neighbourhood id", read=False), lambda item: item.neighbourhood),
        (GridColumn("premises id", read=False), lambda item: item.premises),
        (GridColumn("state", COUNT, read=False), lambda item: item.state),
        (
            GridColumn("activity"),
            lambda item: "off patch" if item.activity != NOT_VISIBLE else "not visible",
        ),
        (GridColumn("radio state"), lambda item: item.state_name.replace("_", " ")),
        (GridColumn(summary.name, TIME, key="away"), lambda item: item.time),
        (
            GridColumn("part of duty time", SHARE, "of duty"),
            lambda item: _of(item.time, summary.figures.duty),
        ),
        *((GridColumn(name, TIME), back(many - at)) for at, name in enumerate(names)),
        note="– in an earlier period: nobody had duty time then.",
        empty="Nobody was off patch or not visible.",
    )
    rows = zip(table.rows, away_minutes(summary), strict=True)
    return replace(table, rows=tuple(replace(row, minutes=minutes) for row, minutes in rows))


def crewing_table(summary: Summary) -> Table:
    """Vehicle time by hour of the day."""
    crewed = summary.crewed
    table = _table(
        "crewing",
        "Crewing: vehicle time in the neighbourhood by hour of the day, vehicles of all teams",
        range(24),
        (GridColumn("hour"), lambda hour: f"{hour:02d}:00"),
        (GridColumn("one officer", TIME, key="crewing"), lambda hour: crewed.single_by_hour[hour]),
        (GridColumn("two or more", TIME, key="crewing"), lambda hour: crewed.double_by_hour[hour]),
    )
    return replace(table, rows=(*table.rows, GridRow(("all day", crewed.single, crewed.double))))


def tenure(officer: OfficerSummary) -> str:
    """How long an officer has been in the current team."""
    if officer.team_months is None:
        return "no team"
    months = f"{officer.team_months} month{'' if officer.team_months == 1 else 's'}"
    return f"{'at least ' if officer.team_at_least else ''}{months}"


def officers_table(summary: Summary) -> Table:
    """Each officer."""
    return _table(
        "officers",
        "Officers",
        summary.officers,
        (GridColumn("officer"), lambda officer: officer.name),
        (GridColumn("officer id", read=False), lambda officer: officer.officer_id),
        (GridColumn("role"), lambda officer: officer.role),
        (GridColumn("team"), lambda officer: officer.team),
        (GridColumn("time in the team", short="tenure"), tenure),
        (GridColumn("duties", COUNT), lambda officer: len(officer.duties)),
        *_spent(_figures),
        *_shares(_figures),
        note="Off-patch and not-visible time together are an officer's abstraction. The target is for the "
        "neighbourhood: an officer's share is not a verdict on the officer.",
        empty="No officer of the neighbourhood was booked on.",
        target=_aim(summary),
    )


def duties_table(summary: Summary) -> Table:
    """Each officer's duties."""

    def figures(row: tuple[OfficerSummary, DutyLine]) -> Figures:
        return row[1].figures

    return _table(
        "duties",
        "Duties of each officer",
        [(officer, duty) for officer in summary.officers for duty in officer.duties],
        (GridColumn("officer"), lambda row: row[0].name),
        (GridColumn("officer id", read=False), lambda row: row[0].officer_id),
        (GridColumn("duty"), lambda row: row[1].duty_id),
        (GridColumn("from", INSTANT), lambda row: row[1].start),
        (GridColumn("to", INSTANT), lambda row: row[1].end),
        (GridColumn("team"), lambda row: row[1].team),
        *_spent(figures),
        _shares(figures)[0],
        note="From and to are as booked; times are the part within the period. “–” under to: still open.",
        empty="No duty was booked.",
        target=_aim(summary),
    )


def teams_table(summary: Summary) -> Table:
    """The teams of the neighbourhood's officers."""
    return _table(
        "teams",
        "Teams at the end of the period",
        summary.teams,
        (GridColumn("team"), lambda team: team.team),
        (GridColumn("officers", COUNT), lambda team: team.officers),
        (GridColumn("experienced in it", COUNT, "experienced"), lambda team: team.experienced),
        (GridColumn("the record cannot tell", COUNT, "cannot tell"), lambda team: team.perhaps),
        (
            GridColumn("months that count as experienced", COUNT, "months needed"),
            lambda team: int(team.months) if team.months == int(team.months) else Fraction(str(team.months)),
        ),
        (GridColumn("joined"), lambda team: ", ".join(team.joined)),
        (GridColumn("left"), lambda team: ", ".join(team.left)),
        empty="No booking names a team.",
    )


def facts_tables(summary: Summary) -> tuple[Table, ...]:
    """What was found about the facts and what was counted of them; no table where nobody looked."""
    worth = summary.quality
    if worth is None:
        return ()
    lines: list[tuple[Cell, ...]] = [
        (item.finding.replace("_", " "), item.scope, item.id, item.day, item.count, item.time, item.detail)
        for item in worth.findings
    ]
    if worth.questioned:
        lines.append(("touched by serious findings", *[""] * 3, None, worth.questioned, ""))
    if (reports := worth.reports) is not None:
        lines.append(("usable reports", *[""] * 3, reports.taken, None, ""))
        lines += [("rejected reports", *[""] * 3, count, None, why) for why, count in reports.rejected]
        lines += [
            (f"delay of {percent} in 100 at most", *[""] * 3, reports.delayed, delay * SECOND, "")
            for percent, delay in ((50, reports.delay_median), (95, reports.delay_p95))
            if delay is not None
        ]
    return (
        _table(
            "facts",
            "What the facts are worth",
            lines,
            (GridColumn("finding"), itemgetter(0)),
            (GridColumn("of"), itemgetter(1)),
            (GridColumn("id"), itemgetter(2)),
            (GridColumn("day"), itemgetter(3)),
            (GridColumn("how often", COUNT), itemgetter(4)),
            (GridColumn("time", TIME), itemgetter(5)),
            (GridColumn("detail"), lambda line: str(line[6]).replace(";", "; ")),
            note="Findings change neither the figure nor its verdict.",
            empty=view.NOTHING_FOUND,
        ),
    )


def _bounds_words(found: Reading) -> str:
    """``missed, 58.1% to 62.3%``; empty where there is no share."""
    return f"{found.verdict}, {found.low_words} to {found.high_words}" if found.verdict else ""


def changes_table(summary: Summary) -> Table:
    """All restatements, with the bounds and the verdict before and after."""
    target = summary.basis.target

    def figures(when: str, of: Callable[[FigureChange], Figures | None]) -> tuple[Field[FigureChange], ...]:
        def column(
            name: str, kind: str, cell: Callable[[Reading], Cell], *, read: bool
        ) -> Field[FigureChange]:
            return GridColumn(f"{name} {when}", kind, read=read), lambda change: cell(
                reading(of(change), target)
            )

        def time(name: str, key: str, *, read: bool = True) -> Field[FigureChange]:
            return (
                GridColumn(f"{name} {when}", TIME, f"{name.removesuffix(' time')}, {when}", read=read),
                lambda change: getattr(of(change), key, None),
            )

        return (
            time("on patch", "on_patch"),
            time("duty time", "duty"),
            column("share", SHARE, lambda found: found.share, read=True),
            column("verdict", TEXT, _bounds_words, read=True),
            column("at least", SHARE, lambda found: found.low, read=False),
            column("at most", SHARE, lambda found: found.high, read=False),
            time("doubtful time", "doubtful", read=False),
        )

    return _table(
        "restatements",
        "Restatements",
        summary.changes,
        (GridColumn("recorded", INSTANT), lambda change: change.recorded_at),
        (GridColumn("number", COUNT), lambda change: change.number),
        (GridColumn("cause"), lambda change: change.cause),
        (GridColumn("by"), lambda change: change.by),
        (GridColumn("why"), lambda change: change.why),
        *figures("before", lambda change: change.before),
        *figures("after", lambda change: change.after),
        empty="None: the figure is as first counted.",
        target=_aim(summary),
    )
