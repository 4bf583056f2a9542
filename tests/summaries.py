"""Summaries for tests of how they look: a believable week and month, designed empty cases, and odd ones.

Values only. The figures of a built summary agree with one another as counted ones do: hours, officers, duties
and abstraction sum to the whole.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st

from stream.core.calendar import LOCAL, Period, moment
from stream.core.facts import SECOND
from stream.core.policy import NOT_VISIBLE, Policy
from stream.core.quality.totals import ReportCounts
from stream.core.shares import NEIGHBOURHOOD, OFFICER, Figures
from stream.core.summaries.model import (
    Away,
    Basis,
    BoundaryVersion,
    Crewed,
    DutyLine,
    FactFinding,
    FactsWorth,
    FigureChange,
    Hour,
    OfficerSummary,
    Past,
    PriorityArea,
    Said,
    Summary,
    TeamFacts,
)
from stream.core.visits import PriorityFigures

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
WEEK = Period.week("2026-W47")
AUTUMN = Period.week("2026-W43")
"""169 hours: the clocks go back in it."""
SPRING = Period.week("2026-W13")
"""167 hours."""
MONTH = Period.month("2026-10")

SUMS = (
    "on_patch",
    "off_patch",
    "not_visible",
    "unknown",
    "on_break",
    "priority",
    "ambiguous_on",
    "ambiguous_off",
)
NAMES = (
    "PC Adeyemi",
    "PC Brown",
    "PCSO Clarke",
    "PC Dhillon",
    "PC Evans",
    "PCSO Farrow",
    "PC Grzyb",
    "PC Hughes",
)
AREAS = (
    ("P1", "Abbey Park Road shops", "shop theft", "Mon-Sat", "09:00-18:00"),
    ("P2", "Canal towpath", "robbery", "Fri,Sat", "20:00-04:00"),
    ("P3", "Frog Island", "speeding", "", "07:00-09:30"),
    ("P4", "St Margaret's bus station", "anti-social behaviour", "", ""),
    ("P5", "Woodgate allotments", "burglary", "Fri,Sat", "22:00-05:00"),
)


def figures(scope: str, name: str, period: Period, **times: Any) -> Figures:
    """Figures of a period, in microseconds."""
    return Figures(scope, name, period.start, period.end, **times)


def total(scope: str, name: str, period: Period, listed: Sequence[Figures]) -> Figures:
    """The sum of some figures."""
    return figures(scope, name, period, **{key: sum(getattr(one, key) for one in listed) for key in SUMS})


def hours_of(period: Period) -> list[Hour]:
    """The empty hours of a period."""
    found = []
    for start in range(period.start, period.end, HOUR):
        shown = moment(start).astimezone(LOCAL)
        found.append(
            Hour(
                day=shown.date().isoformat(),
                hour=shown.hour,
                again=bool(shown.fold),
                start=start,
                end=start + HOUR,
            )
        )
    return found


def empty(period: Period = WEEK, *, name: str = "Abbey", area_id: str = "E05013650") -> Summary:
    """Nobody was booked on, and nothing is known."""
    target = 0.8
    policy: dict[str, Any] = msgspec.to_builtins(Policy(), str_keys=True)
    return Summary(
        period=period.kind,
        name=period.name,
        start=period.start,
        end=period.end,
        area_id=area_id,
        area_name=name,
        figures=figures(NEIGHBOURHOOD, area_id, period),
        past=tuple(
            Past(name=item.name, figures=None, target=target) for item in [*period.before(11), period]
        ),
        hours=tuple(hours_of(period)),
        areas=(),
        away=(),
        crewed=Crewed(),
        officers=(),
        teams=(),
        said=Said(verdict=("No duty time, so no figure.",)),
        basis=Basis(
            target=target,
            policy=policy,
            policy_from=None,
            policy_sha256="5f1d3c" + "0" * 58,
            boundaries=(),
            as_of=None,
            until=period.end,
        ),
        quality=FactsWorth(),
    )


def _worth(whole: Figures, many: int, name: str = "R0012345") -> FactsWorth:
    """So many findings about the facts; the first could turn a verdict that is met."""
    questioned = whole.on_patch // 8 if many else 0
    after = replace(whole, only_doubtful_on=questioned)
    verdict, then = whole.verdict(0.8), after.verdict(0.8)
    return FactsWorth(
        findings=tuple(
            FactFinding(
                finding="never_heard" if number % 2 else "near_id",
                scope="device",
                id=f"{name}-{number}",
                day="2026-11-16",
                count=1 + number,
                time=None if number % 2 else number * HOUR,
                detail="12345;" + name,
            )
            for number in range(many)
        ),
        doubtful=(("frozen", 35 * MINUTE),) if many else (),
        reports=ReportCounts(
            taken=120_345,
            rejected=(("not_a_fix", 12), ("zero_position", 3)),
            delayed=120_000,
            delay_median=2,
            delay_p95=9,
        )
        if many
        else None,
        questioned=questioned,
        proven=after.proven,
        possible=after.possible,
        verdict=then,
        turning=(
            f"The verdict “{verdict}” stands by the rules; without {questioned // HOUR} h of duty time whose "
            f"facts are probably wrong (2 radios with wrong clocks) it would be “{then}”."
        )
        if verdict != then
        else "",
        said=tuple(
            f"Device {name!r} of duty D-{number}-1 was never heard, but '12345' was, which no duty names: "
            "they differ in zeros at the front. Write one id in bookings and trackers; ids are compared "
            "character by character."
            for number in range(many)
        ),
    )


def believable(
    period: Period = WEEK,
    *,
    seed: int = 7,
    officers: int = 7,
    areas: int = 5,
    on: float = 0.815,
    area_id: str = "E05013650",
    name: str = "Abbey",
    changes: int = 1,
    found: int = 3,
) -> Summary:
    """A neighbourhood's period as it might be.

    Args:
        period: which.
        seed: another gives another.
        officers: how many, up to eight.
        areas: how many priority areas, up to five.
        on: about what share was on patch.
        area_id: the neighbourhood.
        name: of it.
        changes: how many restatements.
        found: how many findings about the facts.
    """
    chance = random.Random(seed)
    hours = {hour.start: dict.fromkeys((*SUMS[:6],), 0) for hour in hours_of(period)}
    crew: list[OfficerSummary] = []
    days = (period.end - period.start) // (24 * HOUR)
    for number in range(officers):
        duties = []
        for day in range(number % 3, days, 2 if number < 5 else 3):
            start = period.start + day * 24 * HOUR + chance.choice((7, 9, 14)) * HOUR
            end = start + 8 * HOUR
            duties.append(
                _duty(chance, period, f"D-{number}-{day}", f"10{number:02d}", start, end, hours, on)
            )
        crew.append(
            OfficerSummary(
                officer_id=f"10{number:02d}",
                name=NAMES[number],
                role="pcso" if "PCSO" in NAMES[number] else "npt",
                figures=total(OFFICER, f"10{number:02d}", period, [duty.figures for duty in duties]),
                team="NC04" if number != 6 else "NC07",
                team_months=(3, 14, 27, 1, 60, 8, 2, 12)[number],
                team_at_least=number in (2, 4),
                duties=tuple(duties),
            )
        )
    whole = total(NEIGHBOURHOOD, area_id, period, [one.figures for one in crew])
    wanted = _priority(chance, period, areas)
    listed = tuple(
        replace(
            hour,
            on_patch=hours[hour.start]["on_patch"],
            off_patch=hours[hour.start]["off_patch"],
            not_visible=hours[hour.start]["not_visible"],
            unknown=hours[hour.start]["unknown"],
            on_break=hours[hour.start]["on_break"],
            priority=hours[hour.start]["priority"],
            wanted=tuple(area.area_id for area in wanted if _due(area, hour)),
        )
        for hour in hours_of(period)
    )
    return replace(
        empty(period, name=name, area_id=area_id),
        figures=whole,
        past=_past(chance, period, area_id, whole, on),
        hours=listed,
        areas=wanted,
        away=_away(chance, whole),
        crewed=Crewed(
            single=sum(range(24)) * 20 * MINUTE,
            double=24 * 35 * MINUTE,
            single_by_hour=tuple(hour * 20 * MINUTE for hour in range(24)),
            double_by_hour=(35 * MINUTE,) * 24,
        ),
        officers=tuple(sorted(crew, key=lambda one: (one.name, one.officer_id))),
        teams=(
            TeamFacts(
                team="NC04",
                officers=officers,
                experienced=3,
                perhaps=1,
                months=12.0,
                joined=("PC Dhillon",),
                left=(),
            ),
        ),
        said=Said(
            verdict=(
                f"On patch {whole.on_patch // HOUR} h of {whole.duty // HOUR} h.",
                "What is unknown or in doubt could turn it either way.",
            ),
            costs=(
                "12 h 10 min at Euston Street station (PC Adeyemi 6 h, PC Brown 6 h 10 min; the longest 2 h)",
                "9 h 5 min on calls in Westcotes (at scene 7 h, en route 2 h 5 min; PC Evans 9 h 5 min)",
                "6 h court at Leicester Magistrates (PC Hughes 6 h)",
                "5 h 20 min no signal (PCSO Clarke 5 h 20 min)",
                "4 h 2 min outside every neighbourhood (available 4 h 2 min; PC Dhillon 4 h 2 min)",
                "1 h 3 min in 4 smaller items",
            ),
            notes=("22 min in doubt (too near the patch's edge, or crossing it).",),
        ),
        basis=replace(
            empty(period).basis,
            boundaries=(
                BoundaryVersion(
                    kind="neighbourhood", version=3, valid_from=None, file="wards.geojson", sha256="ab" * 32
                ),
                BoundaryVersion(
                    kind="priority",
                    version=12,
                    valid_from=period.start + 50 * HOUR,
                    file="priority-november.gpkg",
                    sha256="cd" * 32,
                ),
            ),
            as_of=period.end - 3 * MINUTE,
        ),
        changes=tuple(
            FigureChange(
                number=41 + number,
                recorded_at=period.end + (26 + number) * HOUR,
                cause="later facts" if number else "areas published",
                by="jsmith",
                why="towpath redrawn",
                before=replace(
                    whole, on_patch=whole.on_patch - 40 * MINUTE, off_patch=whole.off_patch + 40 * MINUTE
                ),
                after=whole,
            )
            for number in range(changes)
        ),
        quality=_worth(whole, found),
    )


def _duty(
    chance: random.Random,
    period: Period,
    duty_id: str,
    officer_id: str,
    start: int,
    end: int,
    hours: dict[int, dict[str, int]],
    on: float,
) -> DutyLine:
    times = dict.fromkeys(SUMS, 0)
    for at in range(start, min(end, period.end), HOUR):
        left = HOUR
        spent = hours[at]
        if at == start + 4 * HOUR:
            times["on_break"] += 30 * MINUTE
            spent["on_break"] += 30 * MINUTE
            left -= 30 * MINUTE
        patch = min(left, int(left * on * chance.uniform(0.75, 1.3)) // SECOND * SECOND)
        wanted = int(patch * chance.uniform(0, 0.5)) // SECOND * SECOND
        rest = left - patch
        off = int(rest * chance.uniform(0.2, 0.6)) // SECOND * SECOND
        hidden = int((rest - off) * chance.uniform(0.5, 0.9)) // SECOND * SECOND
        for key, time in (
            ("on_patch", patch),
            ("priority", wanted),
            ("off_patch", off),
            ("not_visible", hidden),
            ("unknown", rest - off - hidden),
        ):
            times[key] += time
            spent[key] += time
        times["ambiguous_on"] += patch // 60
        times["ambiguous_off"] += off // 30
    return DutyLine(
        duty_id=duty_id,
        start=start,
        end=end,
        team="NC04",
        figures=figures(OFFICER, officer_id, period, **times),
    )


def _due(area: PriorityArea, hour: Hour) -> bool:
    if area.always or not area.hours:
        return False
    if area.days == "Fri,Sat" and date.fromisoformat(hour.day).weekday() not in (4, 5):
        return False
    first, last = int(area.hours[:2]), int(area.hours[6:8])
    return first <= hour.hour < last if first < last else hour.hour >= first or hour.hour < last


def _priority(chance: random.Random, period: Period, count: int) -> tuple[PriorityArea, ...]:
    found = []
    for at, (area_id, name, issue, days, hours) in enumerate(AREAS[:count]):
        visits = 0 if at == 2 else chance.randint(3, 24)
        officer = visits * chance.randint(4, 14) * MINUTE
        found.append(
            PriorityArea(
                area_id=area_id,
                name=name,
                issue=issue,
                days=days,
                hours=hours,
                always=not days and not hours,
                own_time=20 * HOUR,
                figures=PriorityFigures(
                    area_id,
                    period.start,
                    period.end,
                    visits=visits,
                    visits_in_window=visits * 2 // 3,
                    visits_others=visits // 6,
                    visits_by_length=(visits - visits // 2, visits // 2, 0, 0),
                    officer_time=officer,
                    patrol_time=officer * 2 // 3,
                    officer_time_in_window=officer // 2,
                    patrol_time_in_window=officer // 3,
                    others_time=officer // 6,
                    last_visit_end=period.end - 5 * HOUR if visits else None,
                ),
            )
        )
    return tuple(sorted(found, key=lambda area: (area.name, area.area_id)))


def _past(chance: random.Random, period: Period, area_id: str, whole: Figures, on: float) -> tuple[Past, ...]:
    found = []
    for at, item in enumerate(period.before(11)):
        duty = 200 * HOUR
        patch = int(duty * (on + chance.uniform(-0.06, 0.06)))
        unknown = int((duty - patch) * chance.uniform(0, 0.3))
        known = figures(
            NEIGHBOURHOOD,
            area_id,
            item,
            on_patch=patch,
            unknown=unknown,
            off_patch=duty - patch - unknown,
            ambiguous_on=patch // 80,
        )
        found.append(Past(name=item.name, figures=None if at == 3 else known, target=0.75 if at < 4 else 0.8))
    return (*found, Past(name=period.name, figures=whole if whole.duty else None, target=0.8))


def _away(chance: random.Random, whole: Figures) -> tuple[Away, ...]:
    def item(activity: str, place: str, station: str, state: int, name: str, time: int) -> Away:
        return Away(
            activity=activity,
            neighbourhood=place,
            neighbourhood_name={"E2": "Westcotes", "E3": "Castle", "E05013650": "Abbey"}.get(place, place),
            premises=station,
            premises_name="Euston Street station" if station else "",
            state=state,
            state_name=name,
            time=time,
            before=(time // 2, None, time * 2, chance.randint(0, 5) * HOUR),
        )

    off, hidden = whole.off_patch, whole.not_visible
    found = [
        item("off_patch", "E2", "", 6, "at_scene", off // 2),
        item("off_patch", "outside", "", 2, "available", off // 5),
        item("off_patch", "E3", "", 5, "en_route", off - off // 2 - off // 5),
        item(NOT_VISIBLE, "E05013650", "S1", 2, "available", hidden // 2),
        item(NOT_VISIBLE, "E3", "", 10, "court", hidden // 4),
        item(NOT_VISIBLE, "", "", 8, "unavailable", hidden - hidden // 2 - hidden // 4),
    ]
    return tuple(sorted((one for one in found if one.time), key=lambda one: -one.time))


def running() -> Summary:
    """A week that still runs."""
    found = believable()
    until = found.start + 60 * HOUR
    return replace(found, complete=False, basis=replace(found.basis, as_of=until - MINUTE, until=until))


def alone() -> Summary:
    """One officer, no priority area, no restatement, nothing found against the facts."""
    return believable(officers=1, areas=0, changes=0, found=0)


# ── Odd ones ──────────────────────────────────────────────────────────────────────────────────────────────

MARKUP = '<img src=x onerror="document.title=1">'
ODD_NAMES = (
    MARKUP,
    "=cmd|' /C calc'!A0",
    "+44 1",
    "-1",
    "@SUM(A1)",
    "\tTab",
    "#let x = 1 $y$ \\ *bold* _it_",
    "李四 и Ńguyễn محمد",
    "A" * 300,
    "word " * 80,
    "a\u200db\u202ec",
    "bell\x07 and \x00 null",
    "two\r\nlines",
    '"quoted", and; more',
    "😀",
    "",
)


def odd_names() -> st.SearchStrategy[str]:
    """Names that a form could trip over."""
    return st.one_of(st.sampled_from(ODD_NAMES), st.text(st.characters(codec="utf-8"), max_size=40))


@cache
def _base(period: Period, kind: str) -> Summary:
    if kind == "empty":
        return empty(period)
    if kind == "alone":
        return believable(period, officers=1, areas=1)
    return believable(period, on=0.815 if kind == "full" else 0.2)


@dataclass(frozen=True, slots=True)
class Odd:
    """What an odd summary is made of; it is told in one line, where the summary itself would take pages.

    Attributes:
        period: which.
        kind: ``empty``, ``full``, ``alone`` or ``poor``.
        name: of everything that has one.
        many: how many there are of what lists.
        micro: microseconds on patch too many.
        unknown: times the unknown time.
        target: the share promised.
        complete: the period is over.
    """

    period: Period
    kind: str
    name: str
    many: int
    micro: int
    unknown: int
    target: float
    complete: bool

    @property
    def summary(self) -> Summary:
        """The summary."""
        found, name, many = _base(self.period, self.kind), self.name, self.many
        areas = tuple(
            replace(area, area_id=f"{area.area_id}-{number}", name=f"{name} {number}", issue=name)
            for area in found.areas[:1]
            for number in range(many)
        )
        return replace(
            found,
            area_name=name,
            figures=replace(
                found.figures,
                on_patch=found.figures.on_patch + self.micro,
                unknown=found.figures.unknown * self.unknown,
            ),
            areas=areas or found.areas,
            officers=tuple(replace(one, name=name, role=name, team=name) for one in found.officers),
            teams=tuple(
                replace(team, team=name, joined=(name,) * many, left=(name,)) for team in found.teams
            ),
            said=Said(verdict=(name,) * 3, costs=(name * 3,) * many, notes=(name,) * min(many, 9)),
            away=tuple(
                replace(one, neighbourhood_name=name, premises_name=name, state_name=name)
                for one in found.away
            ),
            basis=replace(
                found.basis,
                target=self.target,
                boundaries=tuple(replace(one, file=name) for one in found.basis.boundaries) * (1 + many // 9),
            ),
            changes=tuple(replace(change, why=name, by=name, before=None) for change in found.changes) * many,
            quality=None if many == 1 else _worth(found.figures, many, name),
            complete=self.complete,
        )


def odd() -> st.SearchStrategy[Odd]:
    """Summaries with odd names, times, targets, and numbers of things."""
    return st.builds(
        Odd,
        period=st.sampled_from((WEEK, AUTUMN, SPRING, MONTH)),
        kind=st.sampled_from(("empty", "full", "alone", "poor")),
        name=odd_names(),
        many=st.sampled_from((0, 1, 9, 27)),
        micro=st.sampled_from((0, 1, 29_999_999, 30_000_001)),
        unknown=st.sampled_from((0, 1, 40)),
        target=st.sampled_from((0.8, 0.0, 1.0, 0.825, 0.33)),
        complete=st.booleans(),
    )
