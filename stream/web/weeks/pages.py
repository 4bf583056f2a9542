"""The weekly pages that are not reports: parts of a number, visits, crewing, teams, duties, notices; as HTML.

Values in, texts out; nothing is read, counted or sent here. The summaries' own pages are made by
``stream.reports``; here they only get the strip above them.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from stream.core.calendar import local_day
from stream.core.explaining.wording import (
    clock,
    day_words,
    moment_words,
    percent,
)
from stream.core.summaries.parts import (
    DIVISIONS,
    STRETCH,
    Question,
    exact_words,
    told,
)
from stream.core.summaries.reduced import ANOTHER, ANOTHER_VEHICLE
from stream.core.visits import LENGTHS
from stream.web.weeks.paths import Which, duty_path, parts_path, week_path
from stream.web.weeks.questions import query_of
from stream.web.weeks.strip import period_title, render, span_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from stream.core.summaries.details import CrewedHour, Visit, VisitList
    from stream.core.summaries.parts import AnswerPart, PartsAnswer
    from stream.core.summaries.reduced import Hidden
    from stream.core.teams import Member, Teams
    from stream.web.weeks.shelf import NeighbourhoodWeek


PAGE = 500
"""So many parts are shown on a page."""

LENGTH_WORDS = ("under 5 minutes", "5 to 10 minutes", "10 to 20 minutes", "20 minutes and over")
assert len(LENGTH_WORDS) == len(LENGTHS) + 1


# ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────


def parts_page(answer: PartsAnswer, of: NeighbourhoodWeek, *, until: int) -> str:
    """The parts of a number.

    Args:
        answer: as counted now.
        of: whose number it is.
        until: up to when open duties are counted, microseconds.
    """
    week, area_id, question = of.period.name, of.area_id, answer.question
    texts = exact_words([part.time for part in answer.parts])
    pages = max(1, -(-len(answer.parts) // PAGE))
    page = min(max(int(question.page or 1), 1), pages)
    low, high = (page - 1) * PAGE, page * PAGE
    most = max((part.time for part in answer.parts), default=1)
    rows = [
        {
            "part": part,
            "time": text,
            "width": round(100 * part.time / most, 2),
            "href": _href(part, week, area_id),
        }
        for part, text in zip(answer.parts[low:high], texts[low:high], strict=True)
    ]
    path = parts_path(week, area_id, Question())
    return _render(
        "parts",
        of,
        answer=answer,
        rows=rows,
        words=", ".join(answer.words),
        percent=_part_of(answer),
        notes=_compared(answer, of, until),
        heading="Stretch" if answer.by == STRETCH else DIVISIONS[answer.by].capitalize(),
        divisions=[
            (words, f"{path}?{query_of(question, by=name)}", name == answer.by)
            for name, words in DIVISIONS.items()
        ],
        pages=pages,
        first=low + 1,
        last=min(high, len(answer.parts)),
        turns=[
            (str(at), f"{path}?{query_of(question, page=str(at))}", at == page) for at in range(1, pages + 1)
        ],
    )


def _render(name: str, of: NeighbourhoodWeek, **said: Any) -> str:
    """A page behind a neighbourhood's week."""
    week = of.period.name
    trail = (
        (f"All neighbourhoods, {week}", week_path(week)),
        (of.area_name, week_path(week, of.area_id)),
    )
    when = period_title(of.period)
    return render(name, trail=trail, week=week, when=when, area_name=of.area_name, **said)


def _href(part: AnswerPart, week: str, area_id: str) -> str:
    if part.question is not None:
        return parts_path(week, area_id, part.question)
    return duty_path(week, part.duty, part.start, part.end)


def _part_of(answer: PartsAnswer) -> str:
    if not answer.duty:
        return "No duty time."
    [whole] = exact_words([answer.duty])
    if "break" in answer.question.activities:
        return f"beside {whole} of duty time; breaks are not part of it"
    if answer.time == answer.duty:
        return "all of the duty time"
    return f"{percent(Fraction(answer.time, answer.duty))} of {whole} of duty time"


def _compared(answer: PartsAnswer, of: NeighbourhoodWeek, until: int) -> Iterable[str]:
    """Where parts are of another number than the published one, that is said."""
    if until < of.period.end:
        yield f"The week still runs: counted up to {moment_words(until)}."
    if of.published is None:
        return
    entry, summary = of.published
    before = told(summary, answer.question)
    if before is not None and before != answer.time:
        [text] = exact_words([before])
        yield (
            f"As published (number {entry.number}, {moment_words(entry.published_at)}) this was {text}. "
            "Something that arrived later changed it; the parts below are as counted now."
        )


# ── Visits ────────────────────────────────────────────────────────────────────────────────────────────────


def visits_without(found: VisitList, hidden: Hidden) -> VisitList:
    """The visits without the names, and the links to duties, of officers who are hidden."""

    def shown(item: Visit) -> Visit:
        foreign = item.duty_id in hidden.texts or item.officer_id in hidden.texts
        return replace(item, officer_id="", name=ANOTHER, duty_id="") if foreign else item

    return replace(found, visits=tuple(map(shown, found.visits))) if hidden.texts else found


def visits_page(found: VisitList, which: Which, of: NeighbourhoodWeek, priority: tuple[str, str]) -> str:
    """The visits to a priority area, one by one.

    Args:
        found: as counted now.
        which: of them.
        of: the neighbourhood.
        priority: the priority area's id and name.
    """
    week = of.period.name
    chosen = [
        item
        for item in found.visits
        if (which.length is None or (item.length == which.length and item.begun))
        and not (which.others and item.home_team)
        and not (which.own_hours and not item.own_hours)
    ]
    inside, own = [item.inside for item in chosen], [item.own for item in chosen]
    inside_words, own_words = exact_words(inside), exact_words(own)
    figures = found.figures
    notes = []
    if of.published is not None:
        entry, summary = of.published
        before = next((item.figures for item in summary.areas if item.area_id == priority[0]), None)
        if before is not None and before != figures:
            notes.append(
                f"As published (number {entry.number}) it was {before.visits} visits and "
                f"{exact_words([before.officer_time])[0]} of officer time; something that arrived later "
                "changed it."
            )
    choices = [
        ("all", Which()),
        *((words, Which(length=at)) for at, words in enumerate(LENGTH_WORDS)),
        ("by other teams", Which(others=True)),
        ("in its own hours", Which(own_hours=True)),
    ]
    begun = sum(item.begun for item in chosen)
    return _render(
        "visits",
        of,
        area=priority[1],
        begun=begun,
        filter_words=_which_words(which),
        notes=notes,
        choices=[
            (words, week_path(week, of.area_id, "visits", priority[0], **item.query()), item == which)
            for words, item in choices
        ],
        rows=[
            {
                "visit": item,
                "when": span_words(item.start, item.end),
                "href": duty_path(week, item.duty_id, item.start, item.end) if item.duty_id else "",
                "length": LENGTH_WORDS[item.length],
                "inside": text,
                "own": own_text,
            }
            for item, text, own_text in zip(chosen, inside_words, own_words, strict=True)
        ],
        whole=which == Which(),
        officer=sum(inside),
        officer_own=sum(own),
        patrol=figures.patrol_time,
        patrol_own=figures.patrol_time_in_window,
    )


def _which_words(which: Which) -> str:
    said = ["Visits that begin in the week"]
    if which.length is not None:
        said.append(f"lasting {LENGTH_WORDS[which.length]}")
    if which.others:
        said.append("by other teams' officers")
    if which.own_hours:
        said.append("with any time in the area's own days and hours")
    return ", ".join(said) + "; and the time inside that falls into it."


# ── Crewing ───────────────────────────────────────────────────────────────────────────────────────────────


def crewing_without(found: list[CrewedHour], hidden: Hidden) -> list[CrewedHour]:
    """Vehicles and crews without the names of those that are hidden."""

    def shown(item: CrewedHour) -> CrewedHour:
        vehicle = ANOTHER_VEHICLE if item.vehicle in hidden.texts else item.vehicle
        crew = ((ANOTHER, "") if duty in hidden.texts else (name, duty) for name, duty in item.crew)
        return replace(item, vehicle=vehicle, crew=tuple(sorted(crew)))

    return [shown(item) for item in found] if hidden.texts else found


def crewing_page(found: Sequence[CrewedHour], hour: int | None, of: NeighbourhoodWeek) -> str:
    """Vehicles in the neighbourhood by hour and crew.

    Args:
        found: as counted now.
        hour: local time, over all days; None: all.
        of: the neighbourhood.
    """
    week = of.period.name
    chosen = [item for item in found if hour is None or item.hour == hour]
    single, double = [item.single for item in chosen], [item.double for item in chosen]
    single_words, double_words = exact_words(single), exact_words(double)
    notes = []
    if of.published is not None:
        entry, summary = of.published
        crewed = summary.crewed
        before = (
            (crewed.single, crewed.double)
            if hour is None
            else (crewed.single_by_hour[hour], crewed.double_by_hour[hour])
        )
        if before != (sum(single), sum(double)):
            one, two = exact_words(before)
            notes.append(
                f"As published (number {entry.number}) it was {one} with one officer and {two} with two or "
                "more; something that arrived later changed it."
            )
    return _render(
        "crewing",
        of,
        asked="" if hour is None else f" from {hour:02d}:00 to {hour + 1:02d}:00, all days",
        hour=hour is not None,
        all=week_path(week, of.area_id, "crewing"),
        notes=notes,
        single=sum(single),
        double=sum(double),
        rows=[
            {
                "item": item,
                "when": f"{day_words(local_day(item.start), year=False)} {clock(item.start)}",
                "crew": [(name, duty_path(week, duty_id) if duty_id else "") for name, duty_id in item.crew],
                "single": one,
                "double": two,
            }
            for item, one, two in zip(chosen, single_words, double_words, strict=True)
        ],
    )


# ── Teams ─────────────────────────────────────────────────────────────────────────────────────────────────


def team_page(
    found: Teams,
    chosen: Collection[str | None],
    months: float,
    of: NeighbourhoodWeek,
    shown: Collection[str] | None = None,
) -> str:
    """Who is in the teams, since when.

    Args:
        found: all teams.
        chosen: names of those that are asked about.
        months: how many whole months make an officer experienced.
        of: the neighbourhood.
        shown: the officers who may be named; None: all.
    """
    members = {item.officer_id: item for item in found.members}

    def named(officer_id: str) -> str:
        return members[officer_id].name or officer_id

    teams = []
    for team in found.teams:
        if team.team not in chosen:
            continue
        listed = [members[name] for name in (*team.officers, *team.unseen) if shown is None or name in shown]
        moves = [
            f"{named(move.officer_id)} joined {moment_words(move.time)}"
            + (f" from {move.before}" if move.before else ", the first booking of all")
            for move in team.joiners
            if shown is None or move.officer_id in shown
        ]
        moves += [
            f"{named(move.officer_id)} left {moment_words(move.time)} for {move.team}"
            for move in team.leavers
            if shown is None or move.officer_id in shown
        ]
        teams.append(
            {
                "name": team.team,
                "experienced": len(team.experienced),
                "perhaps": len(team.perhaps),
                "members": [
                    {
                        "name": item.name or item.officer_id,
                        "since": "" if item.since is None else moment_words(item.since),
                        "months": f"{'at least ' if item.at_least else ''}{item.months}",
                        "counts": _counts_as(item, team.experienced, team.perhaps),
                        "seen": moment_words(item.last_seen),
                    }
                    for item in sorted(
                        listed, key=lambda item: (item.name or item.officer_id, item.officer_id)
                    )
                ],
                "moves": moves,
            }
        )
    return _render(
        "team",
        of,
        as_of=moment_words(found.as_of),
        months=f"{months:g}",
        notes=(),
        teams=teams,
    )


def _counts_as(item: Member, experienced: Sequence[str], perhaps: Sequence[str]) -> str:
    if item.unseen:
        return "not seen recently, not counted"
    if item.officer_id in experienced:
        return "experienced"
    return "perhaps: the record begins with it" if item.officer_id in perhaps else "not yet experienced"
