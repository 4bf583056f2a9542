"""Months for tests of the public page: what officers did, and the summaries that come of it.

A month is told by what each officer spent on each reason, so that a test knows whose every minute is, and can
move one from here to there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st

from stream.core.calendar import month_bounds
from stream.core.facts import SECOND
from stream.core.policy import Policy
from stream.core.postcodes import Lookup, LookupOutcome, Neighbourhood
from stream.core.shares import NEIGHBOURHOOD, OFFICER, Figures
from stream.core.summaries import disclosure
from stream.core.summaries.disclosure import Public, PublicReason, publish
from stream.core.summaries.model import (
    Away,
    Basis,
    Crewed,
    DutyLine,
    OfficerSummary,
    Past,
    PriorityArea,
    Said,
    Summary,
    TeamFacts,
)
from stream.core.visits import PriorityFigures
from stream.reports.public import finder_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MONTH = "2026-10"
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a duty went to, microseconds; ``doubt_on`` is part of ``on``, ``doubt_off`` of time off patch."""

    on: int = 0
    calls: int = 0
    other_work: int = 0
    station: int = 0
    custody: int = 0
    unavailable: int = 0
    no_signal: int = 0
    on_break: int = 0
    doubt_on: int = 0
    doubt_off: int = 0


REASONS = ("calls", "other_work", "station", "custody", "unavailable", "no_signal")
AWAY = {
    "calls": ("off_patch", "OTHER", "", 6, "at_scene"),
    "other_work": ("off_patch", "OTHER", "", 2, "available"),
    "station": ("not_visible", "HERE", "STATION", 2, "available"),
    "custody": ("not_visible", "OTHER", "", 10, "court"),
    "unavailable": ("not_visible", "HERE", "", 8, "unavailable"),
}
"""Activity, neighbourhood, premises and state of each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """An officer and their duties in the month, each with its patch."""

    officer_id: str
    name: str = ""
    team: str = ""
    duties: tuple[tuple[str, Spent], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """A priority area: who was in it how long, and of that in its own hours, and the visits by length."""

    area_id: str = "Q1"
    name: str = "Market Place"
    issue: str = "shoplifting"
    days: str = "Mon-Sat"
    hours: str = "10:00-18:00"
    visitors: tuple[tuple[str, int, int], ...] = ()
    lengths: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All of a month."""

    workers: tuple[Worked, ...] = ()
    areas: tuple[Visited, ...] = ()
    target: float = 0.8
    policy: Mapping[str, Any] = field(default_factory=dict)


def _figures(scope: str, name: str, spent: Iterable[Spent]) -> Figures:
    start, end = month_bounds(MONTH)
    total = {item.name: 0 for item in fields(Spent)}
    for line in spent:
        for item in fields(Spent):
            total[item.name] += getattr(line, item.name)
    return Figures(
        scope,
        name,
        start,
        end,
        on_patch=total["on"],
        off_patch=total["calls"] + total["other_work"],
        not_visible=total["station"] + total["custody"] + total["unavailable"],
        unknown=total["no_signal"],
        on_break=total["on_break"],
        ambiguous_on=total["doubt_on"],
        ambiguous_off=total["doubt_off"],
    )


def _away(lines: Sequence[tuple[str, Spent]], *, known: bool) -> tuple[Away, ...]:
    found = []
    for reason, (activity, area, premises, state, state_name) in AWAY.items():
        given: dict[str, int] = defaultdict(int)
        for officer_id, spent in lines:
            given[officer_id] += getattr(spent, reason)
        given = defaultdict(int, {name: time for name, time in given.items() if time})
        if given:
            found.append(
                Away(
                    activity=activity,
                    neighbourhood=area,
                    neighbourhood_name=f"The {area} ward",
                    premises=premises,
                    premises_name=f"The {premises} house" if premises else "",
                    state=state,
                    state_name=state_name,
                    time=sum(given.values()),
                    by_officer=tuple(sorted(given.items())) if known else (),
                )
            )
    return tuple(sorted(found, key=lambda item: -item.time))


def _area(item: Visited, *, known: bool) -> PriorityArea:
    start, end = month_bounds(MONTH)
    inside, own = sum(row[1] for row in item.visitors), sum(row[2] for row in item.visitors)
    return PriorityArea(
        area_id=item.area_id,
        name=item.name,
        issue=item.issue,
        days=item.days,
        hours=item.hours,
        always=not item.days and not item.hours,
        own_time=200 * HOUR,
        figures=PriorityFigures(
            item.area_id,
            start,
            end,
            visits=sum(item.lengths),
            visits_by_length=item.lengths,
            officer_time=inside,
            patrol_time=inside,
            officer_time_in_window=own,
            patrol_time_in_window=own,
        ),
        by_officer=item.visitors if known else (),
    )


def summary(
    world: World,
    area_id: str = "HERE",
    *,
    name: str = "Abbey",
    month: str = MONTH,
    period: str = "month",
    complete: bool = True,
    known: bool = True,
) -> Summary:
    """The summary of one neighbourhood's month: of the duties that have it in their patch (``A+B``).

    Args:
        world: the month.
        area_id: the neighbourhood.
        name: what it is called.
        month: what the period is called.
        period: ``week`` or ``month``.
        complete: whether it is over.
        known: whether it says whose time away and in priority areas it was.
    """
    start, end = month_bounds(MONTH)
    officers = []
    lines: list[tuple[str, Spent]] = []
    for number, worker in enumerate(world.workers):
        own = [
            DutyLine(
                duty_id=f"D-{worker.officer_id}-{at}",
                start=start + at * 24 * HOUR,
                end=start + (at * 24 + 10) * HOUR,
                team=worker.team,
                figures=_figures(OFFICER, worker.officer_id, [spent]),
            )
            for at, (patch, spent) in enumerate(worker.duties)
            if area_id in patch.split("+")
        ]
        spent = [spent for patch, spent in worker.duties if area_id in patch.split("+")]
        if not own:
            continue
        lines += [(worker.officer_id, line) for line in spent]
        officers.append(
            OfficerSummary(
                officer_id=worker.officer_id,
                name=worker.name or f"PC {number}",
                role="npt",
                figures=_figures(OFFICER, worker.officer_id, spent),
                team=worker.team,
                team_months=7,
                team_at_least=False,
                duties=tuple(own),
            )
        )
    figures = _figures(NEIGHBOURHOOD, area_id, [line for _, line in lines])
    policy = msgspec.to_builtins(replace(Policy(), target=world.target), str_keys=True) | dict(world.policy)
    return Summary(
        period=period,
        name=month,
        start=start,
        end=end,
        area_id=area_id,
        area_name=name,
        figures=figures,
        past=(Past(name=month, figures=figures, target=world.target),),
        hours=(),
        areas=tuple(_area(item, known=known) for item in world.areas),
        away=_away(lines, known=known),
        crewed=Crewed(),
        officers=tuple(officers),
        teams=tuple(
            TeamFacts(team=team, officers=1, experienced=1, perhaps=0, months=12.0, joined=(), left=())
            for team in sorted({worker.team for worker in world.workers if worker.team})
        ),
        said=Said(verdict=tuple(f"{worker.name} was away." for worker in world.workers)),
        basis=Basis(
            target=world.target,
            policy=policy,
            policy_from=None,
            policy_sha256="0" * 64,
            boundaries=(),
            as_of=end - 1,
            until=end,
        ),
        complete=complete,
    )


def team(count: int = 5, **hours: float) -> tuple[Worked, ...]:
    """Officers who spent much the same, in hours; each a little more than the one before."""
    return tuple(
        Worked(
            officer_id=f"OFF{number}",
            name=f"Constable Quill-{number}",
            team=f"Lions-{number % 2}",
            duties=(
                (
                    "HERE",
                    Spent(**{key: int(value * HOUR * (1 + number / 20)) for key, value in hours.items()}),
                ),
            ),
        )
        for number in range(count)
    )


GOOD = World(
    workers=team(
        6, on=110, calls=9, other_work=4, station=6, custody=2.5, no_signal=1.5, on_break=8, doubt_on=1.2
    ),
    areas=(
        Visited(
            visitors=tuple((f"OFF{number}", 7 * HOUR, 5 * HOUR) for number in range(5)),
            lengths=(38, 21, 9, 3),
        ),
        Visited(area_id="Q2", name="Station Road", issue="burglary", days="Fri,Sun", hours="20:00-04:00"),
        Visited(
            area_id="Q3",
            name="Rowley Fields",
            issue="",
            days="",
            hours="",
            visitors=(("OFF1", HOUR, 0),),
            lengths=(2, 1, 0, 0),
        ),
    ),
)
"""A month as many are."""


def times(most: int = 60) -> st.SearchStrategy[int]:
    """Times of all sizes, often none."""
    return st.one_of(
        st.just(0),
        st.integers(1, 90).map(lambda minutes: minutes * MINUTE),
        st.integers(1, most).map(lambda hours: hours * HOUR),
        st.integers(1, most * HOUR),
    )


@st.composite
def spends(draw: st.DrawFn) -> Spent:
    """What a duty went to."""
    found = {name: draw(times(20)) for name in REASONS}
    on = draw(times())
    return Spent(
        on=on,
        **found,
        on_break=draw(times(5)),
        doubt_on=draw(st.integers(0, on)),
        doubt_off=draw(st.integers(0, found["calls"] + found["other_work"] + found["station"])),
    )


@st.composite
def worlds(draw: st.DrawFn, *, patches: Sequence[str] = ("HERE",), least: int = 0, most: int = 5) -> World:
    """Months with few officers and many, alike and unlike."""
    count = draw(st.integers(least, most))
    alike = draw(st.booleans())
    common = draw(spends())
    workers = tuple(
        Worked(
            officer_id=f"OFF{number}",
            name=f"Constable Quill-{number}",
            team=f"Lions-{number % 2}",
            duties=tuple(
                (draw(st.sampled_from(patches)), common if alike and draw(st.booleans()) else draw(spends()))
                for _ in range(draw(st.sampled_from([1, 1, 2])))
            ),
        )
        for number in range(count)
    )
    areas = []
    for number in range(draw(st.integers(0, 2))):
        visitors = []
        for who in range(draw(st.integers(0, 5))):
            inside = draw(times(10))
            visitors.append((f"OFF{who}", inside, draw(st.integers(0, inside))))
        lengths = tuple(draw(st.integers(0, 12)) for _ in range(4)) if visitors else (0, 0, 0, 0)
        areas.append(
            Visited(
                area_id=f"Q{number}",
                name=f"Place {number}",
                days=draw(st.sampled_from(["", "Mon-Fri", "never"])),
                visitors=tuple(row for row in visitors if row[1]),
                lengths=(lengths[0], lengths[1], lengths[2], lengths[3])
                if any(row[1] for row in visitors)
                else (0, 0, 0, 0),
            )
        )
    target = draw(st.sampled_from([0.8, 0.8, 0.75, 0.805, 0.5]))
    return World(workers=workers, areas=tuple(areas), target=target)


@st.composite
def shown_worlds(draw: st.DrawFn) -> World:
    """Months of which the share is always shown: some officers much alike, some who are not."""
    reason, other = draw(st.permutations(REASONS))[:2]
    more = draw(times(5))
    alike = {"on": 60 * HOUR, reason: 20 * HOUR, other: more}
    extra = draw(worlds(most=2))
    names = [f"OFF{number}" for number in range(4 + len(extra.workers))]
    lines: list[tuple[tuple[str, Spent], ...]] = [(("HERE", Spent(**alike)),)] * 4
    lines += [worker.duties for worker in extra.workers]
    workers = tuple(
        Worked(officer_id=name, name=f"Constable Quill-{name}", duties=duties)
        for name, duties in zip(names, lines, strict=True)
    )
    return replace(extra, workers=workers)


PAGE = publish(summary(GOOD))


def pages() -> list[Public]:
    """Pages with every state and reason."""
    shown = PAGE
    assert shown.share is not None
    every = tuple(PublicReason(key=key, percent=number) for number, key in enumerate(disclosure.REASONS))
    area = shown.areas[0]
    return [
        shown,
        replace(shown, reasons=every, corrected=True),
        replace(shown, share=replace(shown.share, verdict="missed", on_patch_hours=0)),
        replace(shown, share=replace(shown.share, verdict="not proven", low=83.0, high=83.0)),
        *(
            replace(shown, share=None, reasons=(), state=state)
            for state in ("few", "nobody", "shared", "unseen")
        ),
        replace(
            shown,
            areas=(
                replace(area, visits=None, by_length=(None, 0, 0, 0), patrol_hours=1, in_hours=None),
                replace(area, visits=0, by_length=(0, 0, 0, 0), patrol_hours=0),
                replace(area, days="Sat", hours="never"),
                replace(area, never_in_hours=True),
            ),
        ),
    ]


def answers() -> list[Lookup]:
    """Answers of every kind."""
    place = Neighbourhood("N1", "Abbey")
    many = tuple(Neighbourhood(f"N{number}", f"Ward {number}") for number in range(40))
    return [
        Lookup(asked="x", outcome=LookupOutcome.NO_POSTCODE, suggestions=("AB1 1AA",)),
        Lookup(asked="", outcome=LookupOutcome.EMPTY),
        Lookup(asked="AB1 1AA", outcome=LookupOutcome.FOUND, postcode="AB1 1AA", neighbourhood=place),
        Lookup(asked="AB1 1AA", outcome=LookupOutcome.OUTSIDE, postcode="AB1 1AA"),
        Lookup(asked="AB1 1AA", outcome=LookupOutcome.NO_POSITION, postcode="AB1 1AA"),
        Lookup(asked="AB1 1AA", outcome=LookupOutcome.UNKNOWN, postcode="AB1 1AA"),
        Lookup(asked="AB1", outcome=LookupOutcome.PARTIAL, postcode="AB1", neighbourhoods=many),
        Lookup(asked="AB1", outcome=LookupOutcome.PARTIAL, postcode="AB1"),
    ]


def finder(answer: Lookup | None, language: str = "en") -> str:
    """The finder's page with an answer."""
    return finder_html(answer, language, action="/find", link=lambda name: f"/area/{name}")
