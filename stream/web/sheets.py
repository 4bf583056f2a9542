"""The weekly pages that are not reports: parts of a number, visits, crewing, teams, duties, notices; as HTML.

Values in, texts out; nothing is read, counted or sent here. The summaries' own pages are made by
``stream.reports``; here they only get the strip above them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from geo.history import FOREVER
from stream.calendar import LOCAL, Period, local_day, moment
from stream.explanation import exact
from stream.facts import SECOND
from stream.slices import ACTIVITIES
from stream.visits import LENGTHS
from stream.web.parts import (
    ACTIVITY_WORDS,
    DIVISIONS,
    STRETCH,
    Question,
    clock_s,
    duty_words,
    exact_words,
    told,
)
from stream.wording import (
    apportion,
    clock,
    day_words,
    duration,
    moment_words,
    percent,
    period_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stream.shares import Figures
    from stream.store.reports import Entry
    from stream.summary import Change, Summary
    from stream.teams import Member, Teams
    from stream.web.particulars import CrewedHour, DutySheet, VisitList
    from stream.web.parts import Answer, Part
    from stream.wording import Basis as Names

HERE = Path(__file__).parent / "weekly_pages"

Link = tuple[str, str]
"""Words and where they lead; an empty address: nowhere."""

PAGE = 500
"""So many parts are shown on a page."""

HEIGHTS = {"on_patch": 1.0, "off_patch": 0.7, "not_visible": 0.45, "unknown": 0.85, "break": 0.2}
"""How high an activity's bar is: no colour is needed to tell them apart."""

LENGTH_WORDS = ("under 5 minutes", "5 to 10 minutes", "10 to 20 minutes", "20 minutes and over")
assert len(LENGTH_WORDS) == len(LENGTHS) + 1


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the strip above a page."""

    text: str
    links: tuple[Link, ...] = ()
    warn: bool = False


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> Markup:
    return Markup((HERE / "style.css").read_text("utf-8"))


def bar(links: Sequence[Link] = (), told_: Sequence[Told] = (), name: str = "This page") -> Markup:
    """The strip above a page.

    Args:
        links: what belongs to this page.
        told_: what has to be known about it.
        name: of the links, for those who do not see them.
    """
    template = _environment().get_template("bar.html.jinja")
    return Markup(template.render(links=links, told=told_, links_name=name))


def under_bar(document: str, strip: Markup) -> str:
    """A whole document with the strip at the top of its body."""
    if 'rel="icon"' not in document:
        document = document.replace("<head>", '<head>\n<link rel="icon" href="data:,">', 1)
    found = re.search(r"<body[^>]*>", document)
    at = found.end() if found else 0
    return f"{document[:at]}\n{strip}{document[at:]}"


def _page(
    name: str,
    *,
    links: Sequence[Link] = (),
    told_: Sequence[Told] = (),
    trail: Sequence[Link] = (),
    **said: Any,
) -> str:
    template = _environment().get_template(f"{name}.html.jinja")
    return template.render(style=_style(), bar=bar(links, told_), trail=trail, **said)


def notice(heading: str, text: str, ways: Sequence[Link]) -> str:
    """A page that says what is not there, or cannot be, and where to go instead."""
    return _page("notice", heading=heading, text=text, ways=ways)


# ── Addresses ─────────────────────────────────────────────────────────────────────────────────────────────


def week_path(week: str, area_id: str = "", *rest: str, **query: str) -> str:
    """The address of a week, of a neighbourhood's, or of what is behind it."""
    parts = ["/weeks", week, *([quote(area_id, safe="")] if area_id else [])]
    parts += [quote(item, safe="") for item in rest]
    said = urlencode([(key, value) for key, value in query.items() if value])
    return "/".join(parts) + (f"?{said}" if said else "")


def parts_path(week: str, area_id: str, question: Question) -> str:
    """The address of a number's parts."""
    said = question.link(page=question.page)
    return week_path(week, area_id, "parts") + (f"?{said}" if said else "")


def duty_path(week: str, duty_id: str, start: int = 0, end: int = 0) -> str:
    """The address of a duty, with a stretch of it marked."""
    path = week_path(week, "duties", duty_id)
    return f"{path}?from={start // 1000}&to={-(-end // 1000)}#shown" if end else path


def live_officer(officer_id: str, duty_id: str) -> str:
    """Where the live page shows an officer's duty on the map, with playback."""
    return f"/#/o/{quote(officer_id, safe='')}/d/{quote(duty_id, safe='')}"


# ── What has to be known ──────────────────────────────────────────────────────────────────────────────────


def provenance(
    summary: Summary, entry: Entry | None, newest: Entry | None, later: Sequence[Change], path: str
) -> list[Told]:
    """Which report it is, or that it is none; what has changed since.

    Args:
        summary: what is shown.
        entry: of the published report; None: it was counted now.
        newest: the newest published number; None: none.
        later: restatements since the report was published.
        path: the page's address without a number.
    """
    if entry is None:
        so_far = "" if summary.complete else " The period still runs: so far."
        return [Told(f"Not yet published: counted now from what is on record.{so_far}")]
    lines = []
    when = f"published {moment_words(entry.published_at)} by {entry.published_by}"
    earlier = tuple((f"number {at}", f"{path}?number={at}") for at in range(1, entry.number))
    if newest is not None and newest.number != entry.number:
        lines.append(
            Told(
                f"This is number {entry.number}, {when}. What counts is number {newest.number}:",
                ((f"see number {newest.number}", path),),
                warn=True,
            )
        )
    elif entry.number > 1:
        lines.append(
            Told(f"Number {entry.number}, {when}; restated since it was first published. Before:", earlier)
        )
    else:
        lines.append(Told(f"Number 1, {when}."))
    if later:
        last = later[-1]
        before, after = (_share_words(item, summary.basis.target) for item in (last.before, last.after))
        why = f" ({last.why})" if last.why else ""
        lines.append(
            Told(
                f"Restated {moment_words(last.recorded_at)}, after this was published: {last.cause}{why}: "
                f"{before} before, {after} after.",
                warn=True,
            )
        )
    return lines


def _share_words(figures: Figures | None, target: float) -> str:
    from fractions import Fraction

    if figures is None or figures.share is None:
        return "no figure"
    return percent(Fraction(figures.on_patch, figures.duty), exact(target))


def of_week(week: str, area_id: str, area_name: str) -> tuple[Link, ...]:
    """The way from all neighbourhoods to one."""
    return (
        (f"All neighbourhoods, {week}", week_path(week)),
        (area_name, week_path(week, area_id)),
    )


# ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────


def parts_page(
    answer: Answer,
    period: Period,
    area_id: str,
    area_name: str,
    *,
    published: tuple[Entry, Summary] | None,
    until: int,
) -> str:
    """The parts of a number.

    Args:
        answer: as counted now.
        period: the week.
        area_id: the neighbourhood.
        area_name: its name.
        published: the newest report, to be compared with.
        until: up to when open duties are counted, microseconds.
    """
    week, question = period.name, answer.question
    [total] = exact_words([answer.time])
    texts = exact_words([part.time for part in answer.parts])
    page = min(max(int(question.page or 1), 1), max(1, -(-len(answer.parts) // PAGE)))
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
    pages = max(1, -(-len(answer.parts) // PAGE))
    path = parts_path(week, area_id, Question())
    return _page(
        "parts",
        trail=of_week(week, area_id, area_name),
        answer=answer,
        rows=rows,
        week=week,
        when=_when(period),
        area_name=area_name,
        total=total,
        words=", ".join(answer.words),
        percent=_part_of(answer),
        notes=_compared(answer, period, published, until),
        heading="Stretch" if answer.by == STRETCH else DIVISIONS[answer.by].capitalize(),
        divisions=[
            (words, f"{path}?{question.link(by=name)}", name == answer.by)
            for name, words in DIVISIONS.items()
        ],
        pages=pages,
        first=low + 1,
        last=min(high, len(answer.parts)),
        turns=[(str(at), f"{path}?{question.link(page=str(at))}", at == page) for at in range(1, pages + 1)],
    )


def _href(part: Part, week: str, area_id: str) -> str:
    if part.question is not None:
        return parts_path(week, area_id, part.question)
    return duty_path(week, part.duty, part.start, part.end)


def _when(period: Period) -> str:
    return period_words(period.start, period.end).replace(f"week {period.name}, ", f"{period.name}, ")


def _part_of(answer: Answer) -> str:
    from fractions import Fraction

    if not answer.duty:
        return "No duty time."
    [whole] = exact_words([answer.duty])
    if "break" in answer.question.activities:
        return f"beside {whole} of duty time; breaks are no part of it"
    if answer.time == answer.duty:
        return "all of the duty time"
    return f"{percent(Fraction(answer.time, answer.duty))} of {whole} of duty time"


def _compared(
    answer: Answer, period: Period, published: tuple[Entry, Summary] | None, until: int
) -> Iterable[str]:
    """Where parts are of another number than the published one, that is said."""
    if until < period.end:
        yield f"The week still runs: counted up to {moment_words(until)}."
    if published is None:
        return
    entry, summary = published
    before = told(summary, answer.question)
    if before is not None and before != answer.time:
        [text] = exact_words([before])
        yield (
            f"As published (number {entry.number}, {moment_words(entry.published_at)}) this was {text}. "
            "Something that arrived later changed it; the parts below are as counted now."
        )


# ── Visits ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Which:
    """Which visits are asked about; None: all.

    Attributes:
        length: 0 to 3.
        others: made by other teams.
        own_hours: with any time in the area's own hours.
    """

    length: int | None = None
    others: bool = False
    own_hours: bool = False

    def query(self, **other: Any) -> dict[str, str]:
        """As parameters, or a like one."""
        said = {"length": self.length, "others": self.others, "in_hours": self.own_hours} | other
        return {
            "length": "" if said["length"] is None else str(said["length"]),
            "others": "1" if said["others"] else "",
            "in_hours": "1" if said["in_hours"] else "",
        }


def visits_page(
    found: VisitList,
    which: Which,
    period: Period,
    area_id: str,
    area_name: str,
    priority: tuple[str, str],
    *,
    published: tuple[Entry, Summary] | None,
) -> str:
    """The visits to a priority area, one by one.

    Args:
        found: as counted now.
        which: of them.
        period: the week.
        area_id: the neighbourhood.
        area_name: its name.
        priority: the priority area's id and name.
        published: the newest report, to be compared with.
    """
    week = period.name
    chosen = [
        item
        for item in found.visits
        if (which.length is None or (item.length == which.length and item.begun))
        and not (which.others and item.home_team)
        and not (which.own_hours and not item.own_hours)
    ]
    inside, own = [item.inside for item in chosen], [item.own for item in chosen]
    inside_words, own_words = exact_words(inside), exact_words(own)
    whole = which == Which()
    figures = found.figures
    together, together_own = sum(inside) - figures.patrol_time, sum(own) - figures.patrol_time_in_window
    notes = []
    if published is not None:
        entry, summary = published
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
    return _page(
        "visits",
        trail=of_week(week, area_id, area_name),
        week=week,
        when=_when(period),
        area=priority[1],
        area_name=area_name,
        begun=begun,
        filter_words=_which_words(which),
        notes=notes,
        choices=[
            (words, week_path(week, area_id, "visits", priority[0], **item.query()), item == which)
            for words, item in choices
        ],
        rows=[
            {
                "visit": item,
                "when": _span(item.start, item.end),
                "href": duty_path(week, item.duty_id, item.start, item.end) if item.duty_id else "",
                "length": LENGTH_WORDS[item.length],
                "inside": text,
                "own": own_text,
            }
            for item, text, own_text in zip(chosen, inside_words, own_words, strict=True)
        ],
        whole=whole,
        officer=sum(inside),
        officer_words=exact_words([sum(inside)])[0],
        officer_own=sum(own),
        officer_own_words=exact_words([sum(own)])[0],
        together=together,
        together_words=exact_words([together])[0],
        together_own=together_own,
        together_own_words=exact_words([together_own])[0],
        patrol=figures.patrol_time,
        patrol_words=exact_words([figures.patrol_time])[0],
        patrol_own=figures.patrol_time_in_window,
        patrol_own_words=exact_words([figures.patrol_time_in_window])[0],
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


def _span(start: int, end: int) -> str:
    return f"{day_words(local_day(start), year=False)} {clock_s(start)}–{clock_s(end)}"


# ── Crewing ───────────────────────────────────────────────────────────────────────────────────────────────


def crewing_page(
    found: Sequence[CrewedHour],
    hour: int | None,
    period: Period,
    area_id: str,
    area_name: str,
    *,
    published: tuple[Entry, Summary] | None,
) -> str:
    """Vehicles in the neighbourhood by hour and crew.

    Args:
        found: as counted now.
        hour: of the clock on the wall, over all days; None: all.
        period: the week.
        area_id: the neighbourhood.
        area_name: its name.
        published: the newest report, to be compared with.
    """
    chosen = [item for item in found if hour is None or item.hour == hour]
    single, double = [item.single for item in chosen], [item.double for item in chosen]
    single_words, double_words = exact_words(single), exact_words(double)
    notes = []
    if published is not None:
        entry, summary = published
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
    return _page(
        "crewing",
        trail=of_week(period.name, area_id, area_name),
        week=period.name,
        when=_when(period),
        area_name=area_name,
        asked="" if hour is None else f" from {hour:02d}:00 to {hour + 1:02d}:00, all days",
        hour=hour is not None,
        all=week_path(period.name, area_id, "crewing"),
        notes=notes,
        single=sum(single),
        single_words=exact_words([sum(single)])[0],
        double=sum(double),
        double_words=exact_words([sum(double)])[0],
        rows=[
            {
                "item": item,
                "when": f"{day_words(local_day(item.start), year=False)} {clock(item.start)}",
                "crew": [(name, duty_path(period.name, duty_id)) for name, duty_id in item.crew],
                "single": one,
                "double": two,
            }
            for item, one, two in zip(chosen, single_words, double_words, strict=True)
        ],
    )


# ── Teams ─────────────────────────────────────────────────────────────────────────────────────────────────


def team_page(
    found: Teams,
    chosen: Sequence[str],
    months: float,
    period: Period,
    area_id: str,
    area_name: str,
) -> str:
    """Who is in the teams, since when.

    Args:
        found: all teams.
        chosen: names of those that are asked about.
        months: how many whole months make an officer experienced.
        period: the week.
        area_id: the neighbourhood.
        area_name: its name.
    """
    members = {item.officer_id: item for item in found.members}

    def named(officer_id: str) -> str:
        return members[officer_id].name or officer_id

    teams = []
    for team in found.teams:
        if team.team not in chosen:
            continue
        listed = [members[name] for name in (*team.officers, *team.unseen)]
        moves = [
            f"{named(move.officer_id)} joined {moment_words(move.time)}"
            + (f" from {move.before}" if move.before else ", the first booking of all")
            for move in team.joiners
        ]
        moves += [
            f"{named(move.officer_id)} left {moment_words(move.time)} for {move.team}"
            for move in team.leavers
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
    return _page(
        "team",
        trail=of_week(period.name, area_id, area_name),
        week=period.name,
        area_name=area_name,
        as_of=moment_words(found.as_of),
        months=f"{months:g}",
        notes=(),
        teams=teams,
    )


def _counts_as(item: Member, experienced: Sequence[str], perhaps: Sequence[str]) -> str:
    if item.unseen:
        return "not seen of late, not counted"
    if item.officer_id in experienced:
        return "experienced"
    return "perhaps: the record begins with it" if item.officer_id in perhaps else "not yet experienced"


# ── One duty ──────────────────────────────────────────────────────────────────────────────────────────────


def duty_page(
    sheet: DutySheet, period: Period, names: Names, *, marked: tuple[int, int] | None, kind: str
) -> str:
    """One duty, on a line and stretch by stretch.

    Args:
        sheet: as counted now.
        period: the week that asks.
        names: of areas.
        marked: from when to when stretches are to be marked, microseconds.
        kind: of the names of neighbourhoods.
    """
    duty, week = sheet.duty, period.name
    start, end = duty.start, max(sheet.until, duty.start + 1)
    times = sheet.times()
    shown = [(name, ACTIVITY_WORDS[name], times[name]) for name in HEIGHTS]
    time_words = exact_words([value for _, _, value in shown])
    rows, first, before = [], True, None
    for item, text in zip(sheet.stretches, exact_words([item.time for item in sheet.stretches]), strict=True):
        # What is asked about is said in milliseconds.
        hit = marked is not None and item.start < marked[1] and item.end > marked[0] + 1000
        day = local_day(item.start)
        named = "" if day == before else f"{day_words(day, year=False)} "
        before = day
        rows.append(
            {
                "item": item,
                "when": f"{named}{clock_s(item.start)}–{clock_s(item.end)}",
                "time": text,
                "doubt": exact_words([item.doubt])[0] if item.doubt else "",
                "marked": hit,
                "first": hit and first,
            }
        )
        first = first and not hit
    notes = []
    if not (period.start <= start and end <= period.end):
        notes.append(f"Part of this duty lies outside {week}: it is shown in grey and not added up here.")
    if duty.end is None:
        notes.append(f"Not ended yet: counted up to {moment_words(sheet.until)}.")
    doubt = times["ambiguous_on"] + times["ambiguous_off"]
    also = []
    if times["priority"]:
        also.append(f"{exact_words([times['priority']])[0]} of the time on patch in priority areas")
    if doubt:
        also.append(f"{exact_words([doubt])[0]} in doubt")
    return _page(
        "duty",
        trail=(
            (f"All neighbourhoods, {week}", week_path(week)),
            *((names.name(kind, area_id), week_path(week, area_id)) for area_id in duty.patch[:3]),
        ),
        sheet=sheet,
        week=week,
        when=duty_words(duty),
        patch=[(names.name(kind, area_id), week_path(week, area_id)) for area_id in duty.patch],
        devices=[
            f"{item.device_id} ({item.kind}"
            + ("" if item.start is None else f" from {clock(item.start)}")
            + ("" if item.end is None or item.end >= FOREVER else f" to {clock(item.end)}")
            + ")"
            for item in duty.devices
        ],
        playback=live_officer(duty.officer_id, duty.duty_id),
        notes=notes,
        heights=HEIGHTS,
        activities=list(ACTIVITY_WORDS.items()),
        **_line(sheet, period, start, end),
        caption=f"Time in {week} by what it counts as",
        times=[
            (name, words, value, text) for (name, words, value), text in zip(shown, time_words, strict=True)
        ],
        duty=times["duty"],
        duty_words=exact_words([times["duty"]])[0],
        also=("; ".join(also) + ".").capitalize() if also else "",
        rows=rows,
        stretches_words=f"{len(rows)} stretches, cut at midnight; together they are the whole duty, "
        "less time signed off",
    )


def _line(sheet: DutySheet, period: Period, start: int, end: int) -> dict[str, Any]:
    def x(time: int) -> float:
        return round(1000 * (time - start) / (end - start), 2)

    hour = 3600 * SECOND
    step = next(item for item in (1, 2, 3, 6, 12, 24, 48, 96, 10**6) if (end - start) / (item * hour) <= 14)
    ticks = []
    for at in range(-(-start // hour) * hour, end + 1, hour):
        local = moment(at).astimezone(LOCAL)
        if local.hour % min(step, 24) == 0 and (step <= 24 or local.toordinal() % (step // 24) == 0):
            spot = x(at)
            anchor = "start" if spot < 20 else "end" if spot > 980 else "middle"
            ticks.append((spot, f"{local.hour:02d}:00", anchor))
    bars = [
        {
            "activity": item.activity,
            "x": x(item.start),
            "width": round(max(x(item.end) - x(item.start), 0.4), 2),
            "y": round(54 - 48 * HEIGHTS[item.activity], 2),
            "height": round(48 * HEIGHTS[item.activity], 2),
            "words": f"{_span(item.start, item.end)}: {item.words}",
        }
        for item in sheet.stretches
    ]
    spent = {name: sum(item.time for item in sheet.stretches if item.activity == name) for name in ACTIVITIES}
    minutes = apportion(list(spent.values()))
    told_ = ", ".join(
        f"{ACTIVITY_WORDS[name]} {duration(said)}"
        for (name, time), said in zip(spent.items(), minutes, strict=True)
        if time
    )
    return {
        "ticks": ticks,
        "bars": bars,
        "edges": [x(at) for at in (period.start, period.end) if start < at < end],
        "line_words": f"The whole duty by what it counts as: {told_ or 'nothing yet'}. "
        "The table below has every stretch.",
    }


# ── Months ────────────────────────────────────────────────────────────────────────────────────────────────

STATES = {
    "shown": "",
    "nobody": "no officer of its own was on duty",
    "few": "no figure: too few officers gave it",
    "shared": "no figure: with a neighbour's it would tell of few officers",
}
"""What became of a neighbourhood's figure in a public month."""


def months_page(period: Period, rows: Sequence[tuple[str, str, str]], about: Told) -> str:
    """The neighbourhoods of a month, for the public.

    Args:
        period: the month.
        rows: name, address, and what became of its figure.
        about: what it rests on.
    """
    return _page(
        "months",
        told_=[about],
        month=f"{moment(period.start).astimezone(LOCAL):%B %Y}",
        rows=[(name, href, STATES[state]) for name, href, state in rows],
    )
