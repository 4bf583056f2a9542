"""What every form of a summary says: readings, parts, sentences (the tables are in ``listing``).

Pure: values in, values out; no clock. A percentage is never rounded across its target, minutes that belong
together add up, and what is unknown is stated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.core.calendar import local_day
from stream.core.explaining.explanation import exact
from stream.core.explaining.wording import (
    MINUTE,
    MONTHS,
    apportion,
    day_words,
    duration,
    moment_words,
    no_share_words,
    percent,
    period_words,
    plain_percent,
)
from stream.core.facts import SECOND
from stream.core.policy import NOT_VISIBLE
from stream.core.shares import NOT_PROVEN
from stream.reports.grid import GridColumn, GridRow, Table, divided, time_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from stream.core.shares import Figures
    from stream.core.summaries.model import Away, Hour, Past, PriorityArea, Summary


LENGTHS = ("2–5 min", "5–10 min", "10–20 min", "20 min or more")
"""The lengths of visits (rule 17)."""

FIRST = {"week": 5, "month": 3}
"""How many priority areas, and how many reasons, the first page shows; the annex has all of them."""

CROWDED = {"week": 1400, "month": 900}
"""Characters above which the first page is set in smaller type."""

NOTHING_FOUND = "Nothing was found that speaks against these facts."

LONG = 60
"""Characters of a name on the first page."""

TERMS: list[tuple[str, str]] = list(
    json.loads((Path(__file__).parent / "terms.json").read_text("utf-8")).items()
)
"""Explanations of terms, for readers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure against its target, in numbers and in words.

    Attributes:
        share, low, high: None where there is no share.
        verdict: ``met``, ``missed``, ``not proven``; None where there is no share.
        shape: a shape for the verdict.
        share_words, low_words, high_words, target_words: in per cent; ``–`` where there is none.
        sentence: all of it.
    """

    share: Fraction | None
    low: Fraction | None
    high: Fraction | None
    target: Fraction
    verdict: str | None
    shape: str
    share_words: str
    low_words: str
    high_words: str
    target_words: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Step:
    """A period of the trend: its name, a short one, and its reading."""

    name: str
    label: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class TimePart:
    """A part of the time: the key of its colour and links, its label, length and share of the duty time."""

    key: str
    label: str
    time: int
    words: str
    percent: str


def reading(figures: Figures | None, target: float) -> Reading:
    """A figure against a target; None where there is no figure."""
    aim = exact(target)
    if figures is None or figures.share is None:
        words = "no duty time"
        if figures is not None and figures.duty:
            words = f"{no_share_words(figures)}, so no share"
        return Reading(None, None, None, aim, None, "–", "–", "–", "–", plain_percent(aim), words)
    duty = figures.duty
    share = Fraction(figures.on_patch, duty)
    low, high = Fraction(figures.proven, duty), Fraction(figures.possible, duty)
    verdict = figures.verdict(target)
    said = [percent(value, aim) for value in (share, low, high)]
    return Reading(
        share,
        low,
        high,
        aim,
        verdict,
        SHAPES[str(verdict)],
        said[0],
        said[1],
        said[2],
        plain_percent(aim),
        f"{said[0]} on patch, between {said[1]} and {said[2]}; target {plain_percent(aim)} {verdict}",
    )


def step(past: Past) -> Step:
    """A period of the trend."""
    return Step(past.name, _label(past.name), reading(past.figures, past.target))


def _label(name: str) -> str:
    """``W47``, ``Nov``; with the year where one begins."""
    year, _, rest = name.partition("-")
    if rest.startswith("W"):
        return f"{rest} {year}" if rest == "W01" else rest
    month = MONTHS[int(rest) - 1]
    return f"{month} {year}" if rest == "01" else month


def split_hidden(summary: Summary) -> tuple[int, int]:
    """Not-visible time in premises, and by radio status (rule 11)."""
    inside = sum(
        item.time for item in summary.away if item.activity == NOT_VISIBLE and not _by_state(summary, item)
    )
    inside = min(inside, summary.figures.not_visible)
    return inside, summary.figures.not_visible - inside


def _by_state(summary: Summary, item: Away) -> bool:
    states = summary.basis.policy.get("states") or {}
    meaning: Any = states.get(str(item.state)) or {}
    return meaning.get("counts") == NOT_VISIBLE or not item.premises


def away_minutes(summary: Summary) -> list[int]:
    """Each item of abstraction in minutes that add up to those said of it in ``parts``."""
    _, _, off, inside, status, _ = _minutes(summary)
    groups: list[list[int]] = [[], [], []]
    for at, item in enumerate(summary.away):
        hidden = item.activity == NOT_VISIBLE
        groups[0 if not hidden else 2 if _by_state(summary, item) else 1].append(at)
    said = [0] * len(summary.away)
    for rows, whole in zip(groups, (off, inside, status), strict=True):
        times = [summary.away[at].time for at in rows]
        # In an old form, items may not add up to the figures: then each is rounded by itself.
        fits = abs(sum(times) - whole * MINUTE) < MINUTE
        for at, minutes in zip(rows, apportion(times, whole if fits else None), strict=True):
            said[at] = minutes
    return said


def _minutes(summary: Summary) -> tuple[int, int, int, int, int, int]:
    """On patch outside and in priority areas, off patch, in premises, by status, unknown, in shown minutes.

    As in every table, on patch is rounded to the nearest minute; the rest of the duty time is apportioned.
    """
    figures = summary.figures
    [duty] = apportion([figures.duty])
    on, off, hidden, unknown = divided(
        [figures.on_patch, figures.off_patch, figures.not_visible, figures.unknown], duty
    )
    outside, priority = apportion([figures.on_patch - figures.priority, figures.priority], on)
    inside, status = apportion(list(split_hidden(summary)), hidden)
    return outside, priority, off, inside, status, unknown


def parts(summary: Summary) -> tuple[TimePart, ...]:
    """Where the time went: parts of the duty time, whose minutes add up to it, and breaks."""
    figures = summary.figures
    inside, status = split_hidden(summary)
    listed = [
        ("on", "on patch, outside priority areas", figures.on_patch - figures.priority),
        ("priority", "in priority areas on patch", figures.priority),
        ("off", "off patch", figures.off_patch),
        ("premises", "in premises", inside),
        ("status", "not visible by status", status),
        ("unknown", "unknown", figures.unknown),
    ]
    found = [
        TimePart(
            key,
            label,
            time,
            time_words(time, said),
            percent(Fraction(time, figures.duty)) if figures.duty else "–",
        )
        for (key, label, time), said in zip(listed, _minutes(summary), strict=True)
    ]
    return (
        *found,
        TimePart("break", "breaks, not duty time", figures.on_break, time_words(figures.on_break), "–"),
    )


def duty_words(summary: Summary) -> str:
    """The duty time in words."""
    return time_words(summary.figures.duty)


def time_title(summary: Summary) -> str:
    """The heading of where the time went."""
    if not summary.figures.duty:
        return "Where the duty time went: no duty time"
    return f"Where {duty_words(summary)} of duty time went"


def title(summary: Summary) -> str:
    """``Abbey, week 2026-W47, Mon 16 Nov to Sun 22 Nov 2026``."""
    return f"{summary.area_name}, {period_title(summary)}"


def period_title(summary: Summary) -> str:
    """The period, and how far it is counted where it is still running."""
    words = period_words(summary.start, summary.end)
    if summary.period == "month":
        words = f"{local_day(summary.start):%B %Y}, {words}"
    return words if summary.complete else f"{words}: so far, up to {moment_words(summary.basis.until)}"


def standing(summary: Summary) -> str:
    """The verdict as a heading: the target, and whether it was met."""
    found = reading(summary.figures, summary.basis.target)
    if found.verdict is None:
        why = no_share_words(summary.figures) if summary.figures.duty else "nobody had duty time"
        return f"No share: {why}"
    if found.verdict == NOT_PROVEN:
        return f"Cannot say whether the {found.target_words} target {_met(summary)}: {_open(summary)}"
    so_far = "" if summary.complete else " so far"
    return f"Target of {found.target_words} {found.verdict}{so_far}"


def _met(summary: Summary) -> str:
    return "was met" if summary.complete else "is being met"


def _open(summary: Summary) -> str:
    """What leaves a verdict open."""
    missing = summary.figures.unknown
    return f"{hours_said(missing)} of positions are missing" if missing else "positions are too near an edge"


def compared(summary: Summary) -> str:
    """The share compared with the period before."""
    if len(summary.past) < 2:
        return ""
    now, then = summary.figures.share, summary.past[-2].figures
    if now is None or then is None or then.share is None:
        return f"No share in {summary.past[-2].name} to compare with." if now is not None else ""
    share = Fraction(summary.figures.on_patch, summary.figures.duty)
    points = round((share - Fraction(then.on_patch, then.duty)) * 1000)
    before = reading(then, summary.past[-2].target)
    if not points:
        return f"As in {summary.past[-2].name} ({before.share_words})."
    way = "more" if points > 0 else "less"
    return (
        f"{abs(points) / 10:.1f} percentage points {way} than in {summary.past[-2].name} "
        f"({before.share_words}, {before.verdict})."
    )


def _numbered(versions: Sequence[int]) -> str:
    *most, last = map(str, versions)
    return f"versions {', '.join(most)} and {last}" if most else f"version {last}"


def basis(summary: Summary) -> tuple[str, ...]:
    """What the summary is based on, one sentence each."""
    found = summary.basis
    since = (
        f"in force since {moment_words(found.policy_from)}" if found.policy_from is not None else "in force"
    )
    policy = found.policy_sha256[:12]
    lines = [f"Target {plain_percent(exact(found.target))}, under the policy {since} (sha256 {policy})."]
    if found.policy_versions:
        lines.append(f"Counted under {_numbered(found.policy_versions)} of the policy.")
    if found.policy_outdated:
        lines.append(
            f"Some of its duties were counted under {_numbered(found.policy_outdated)} of the policy, "
            "since replaced for their time."
        )
    if found.boundaries:
        said = [
            f"{item.kind} version {item.version}"
            + (f" from {moment_words(item.valid_from)}" if item.valid_from is not None else "")
            + f" ({item.file}, sha256 {item.sha256[:12]})"
            for item in found.boundaries
        ]
        lines.append(f"Boundaries: {'; '.join(said)}.")
    else:
        lines.append("No boundaries were in force.")
    lines.append(
        f"Newest position counted: {moment_words(found.as_of)}."
        if found.as_of is not None
        else "No position was received in the period."
    )
    if not summary.complete:
        lines.append(
            f"The period is still running: open duties are counted up to {moment_words(found.until)}."
        )
    return tuple(lines)


def share_sentence(summary: Summary) -> str:
    """The sentence after the share; without a share, the whole sentence."""
    found, duty = reading(summary.figures, summary.basis.target), duty_words(summary)
    if found.share is not None:
        between = f"between {found.low_words} and {found.high_words}"
        said = f"of {duty} of duty time on patch, {between}."
        return " ".join(part for part in (said, compared(summary), turning(summary)) if part)
    return no_share(summary)


def no_share(summary: Summary) -> str:
    """The sentence that says why there is no share."""
    if summary.figures.duty:
        why = no_share_words(summary.figures)
        return f"{duty_words(summary)} of duty time, and no share: {why}."
    return f"Nobody had duty time in this {summary.period}: there is no figure to give."


def turning(summary: Summary) -> str:
    """The sentence that says that the verdict rests on facts that are probably wrong; else empty."""
    return summary.quality.turning if summary.quality is not None else ""


def facts_said(summary: Summary) -> tuple[str, ...]:
    """What the facts are worth, a sentence or two for each kind of finding; empty where nobody looked."""
    if summary.quality is None:
        return ()
    return summary.quality.said or (NOTHING_FOUND,)


def areas_note(summary: Summary) -> str:
    """How many priority areas nobody visited."""
    if not summary.areas:
        return ""
    missed = unvisited(summary.areas)
    return f"{missed} of {len(summary.areas)} without a visit" if missed else "each had a visit"


def restated(summary: Summary) -> str:
    """The newest restatement in a sentence; empty where there is none."""
    if not summary.changes:
        return ""
    newest = summary.changes[-1]
    many = len(summary.changes)
    count = "Restated" if many == 1 else f"Restated {many} times, last"
    target = summary.basis.target
    before, after = reading(newest.before, target), reading(newest.after, target)
    return (
        f"{count} {moment_words(newest.recorded_at)} ({newest.cause}): "
        f"before {change_words(before)}, after {change_words(after)}."
    )


def change_words(found: Reading) -> str:
    """A restated figure: the share, its bounds and its verdict."""
    if found.share is None:
        return "no share"
    return f"{found.share_words} (between {found.low_words} and {found.high_words}, {found.verdict})"


# ── What the first page has room for ──────────────────────────────────────────────────────────────────────


def short(name: str, letters: int = LONG) -> str:
    """A name, cut off if it is very long."""
    words = " ".join(name.split())
    return words if len(words) <= letters else f"{words[: letters - 1].rstrip()}…"


def first_areas(summary: Summary) -> tuple[tuple[PriorityArea, ...], int]:
    """The priority areas for the first page, those without a visit first, and how many more there are."""
    ranked = sorted(summary.areas, key=lambda area: (area.figures.visits > 0, area.figures.patrol_time))
    most = FIRST[summary.period]
    chosen = ranked[:most] if len(ranked) > most else list(summary.areas)
    return tuple(chosen), len(ranked) - len(chosen)


def visits_words(area: PriorityArea) -> str:
    """How many visits an area had."""
    found = area.figures
    if not found.visits:
        return "no visit"
    own = "" if area.always else f", {found.visits_in_window} in its own hours"
    others = f", {found.visits_others} by other teams" if found.visits_others else ""
    return f"{found.visits} visit{'' if found.visits == 1 else 's'}{own}{others}"


def first_reasons(summary: Summary) -> tuple[tuple[str, ...], int]:
    """The largest costs for the first page, and how many more there are."""
    costs = summary.said.costs
    chosen = costs[: FIRST[summary.period]]
    return tuple(short(text, 150) for text in chosen), len(costs) - len(chosen)


def first_facts(summary: Summary) -> tuple[str, int]:
    """The worst kind of findings about the facts for the first page, and how many more kinds there are."""
    said = facts_said(summary)
    return (short(said[0], 110 if crowded(summary) else 240), len(said) - 1) if said else ("", 0)


def dense(summary: Summary) -> bool:
    """Whether the first page has so much text that it needs smaller type."""
    # The section about the facts takes as much room again as its words.
    facts = [turning(summary), *facts_said(summary)[:1] * 2]
    return _letters(summary) + sum(min(len(text), 200) for text in facts) > CROWDED[summary.period]


def crowded(summary: Summary) -> bool:
    """Whether it has so much text even without what is said of the facts."""
    return _letters(summary) > CROWDED[summary.period]


def _letters(summary: Summary) -> int:
    reasons, _ = first_reasons(summary)
    texts = [
        *(short(text, 150) for text in summary.said.verdict[:4]),
        *reasons,
        *basis(summary),
        restated(summary),
    ]
    texts += [short(text, 150) for area in first_areas(summary)[0] for text in (area.name, area.issue)]
    return sum(min(len(text), 200) for text in texts)


def days(summary: Summary) -> list[date]:
    """The local days of the period."""
    first, last = local_day(summary.start), local_day(summary.end - 1)
    return [type(first).fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]


def hour_rows(summary: Summary, *, brief: bool = False) -> Iterator[tuple[str, list[tuple[Any, str]]]]:
    """The hours of the chart in words: a day, and its cells with the hour or None.

    Args:
        summary: the values.
        brief: for narrow columns.
    """
    known = {(hour.day, hour.hour, hour.again): hour for hour in summary.hours}
    columns = columns_of(summary.hours)
    for day in days(summary):
        cells: list[tuple[Any, str]] = []
        for number, again in columns:
            hour = known.get((day.isoformat(), number, again))
            due = ", area due" if hour is not None and hour.wanted else ""
            if hour is None:
                cells.append((None, "×" if brief else "no such hour"))
            elif not hour.duty:
                words = "–" + "*" * bool(hour.wanted) if brief else "no duty" + due
                cells.append((hour, words))
            else:
                on, whole = apportion([hour.on_patch])[0], apportion([hour.duty])[0]
                words = f"{on}/{whole}" + "*" * bool(hour.wanted) if brief else f"{on} of {whole} min{due}"
                cells.append((hour, words))
        yield day_words(day, year=False), cells


def hour_names(summary: Summary) -> list[str]:
    """Headings of the columns of ``hour_rows``."""
    return [f"{number:02d}{' again' if again else ''}" for number, again in columns_of(summary.hours)]


def hour_table(summary: Summary) -> Table:
    """The hours as a table of days."""
    return Table(
        "hours",
        "Officer-minutes on patch, hour by hour",
        (GridColumn("day"), *(GridColumn(name) for name in hour_names(summary))),
        tuple(
            GridRow((day, *(words for _, words in cells))) for day, cells in hour_rows(summary, brief=True)
        ),
        note="On patch/on duty; – nobody on duty; × no such hour; * within a priority area's own hours.",
    )


def hours_said(time: int) -> str:
    """Time in hours and minutes."""
    return duration((time + MINUTE // 2) // MINUTE) if time else "0 min"


def unvisited(areas: Sequence[PriorityArea]) -> int:
    """How many priority areas had no visit."""
    return sum(1 for area in areas if not area.figures.visits)


def made_at(summary: Summary) -> int:
    """The creation time written into files: that of the newest fact, seconds since 1970."""
    time = summary.basis.as_of if summary.basis.as_of is not None else summary.end
    return time // SECOND


SHAPES = {"met": "▲", "missed": "▼", "not proven": "◆"}
"""A shape for each verdict, so that colour is never the only sign."""


def columns_of(hours: Sequence[Hour]) -> list[tuple[int, bool]]:
    """The local hours in a period: 24, and a second 01 where the clocks go back in it."""
    found = {(hour, False) for hour in range(24)} | {(hour.hour, hour.again) for hour in hours}
    return sorted(found)
