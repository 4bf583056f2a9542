"""A summary's numbers again: one neighbourhood and period, row by row from the tables of the database.

Written from the accounting rules, their readings and what ``stream.core.summaries.model`` says of each field;
no function that counts a summary, a figure, a visit or a crew is called. Slices, stays, bookings, boundaries
and restatements are read with plain selects, and then every number is summed by itself, as one would with a
pencil. Only values of ``stream`` come in: what a summary, its figures and a policy are made of.

``recount`` gives a ``Summary`` like the program's; its sentences are left empty. ``tests.oracle.reading``
says where two summaries differ.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import shapely

from stream.core.facts import Allocation, Duty
from stream.core.shares import Figures
from stream.core.summaries.model import (
    Away,
    Basis,
    BoundaryVersion,
    Crewed,
    DutyLine,
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
from stream.store import chunks
from tests.oracle.exact import Place
from tests.oracle.slices import Slice, allocated, counted_to, duty_at
from tests.oracle.tenure import Settings, Tenure, team_facts, tenures
from tests.oracle.visits import own_time, priority, visits
from tests.oracle.worth import facts_worth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from stream.core.policy import Policies, Policy

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
SECOND = 1_000_000
FOREVER = 2**62
WEEK, MONTH = "week", "month"
OUTSIDE = "outside"
KINDS = ("neighbourhood", "priority", "premises")

Span = tuple[int, int]
"""``[start, end)``, µs since 1970 UTC."""


# ── The calendar ──────────────────────────────────────────────────────────────────────────────────────────


def _midnight(day: date) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=LONDON) - EPOCH) // timedelta(microseconds=1)


def _wall(t: int) -> datetime:
    return (EPOCH + timedelta(microseconds=t)).astimezone(LONDON)


def bounds(name: str) -> Span:
    """A week like ``2026-W47`` or a month like ``2026-11``, between local midnights."""
    if "W" in name:
        monday = date.fromisocalendar(int(name[:4]), int(name[6:]), 1)
        return _midnight(monday), _midnight(monday + timedelta(days=7))
    first = date(int(name[:4]), int(name[5:]), 1)
    return _midnight(first), _midnight((first + timedelta(days=31)).replace(day=1))


def earlier(name: str, count: int) -> list[str]:
    """The names of so many periods before, the oldest first."""
    found = []
    for _ in range(count):
        last = _wall(bounds(name)[0] - 1)
        year, week, _ = last.isocalendar()
        name = f"{year:04d}-W{week:02d}" if "W" in name else f"{last:%Y-%m}"
        found.append(name)
    return found[::-1]


# ── What is read ──────────────────────────────────────────────────────────────────────────────────────────


class Row(NamedTuple):
    """A slice as it stands in the tables, with what of it decides."""

    duty_id: str
    officer_id: str
    start: int
    end: int
    activity: str
    state: int
    place: Place | None
    ambiguous: bool
    device: str | None


class Version(NamedTuple):
    """A published version of one kind of areas; ``areas`` by id: name, shape, what else was said."""

    kind: str
    version: int
    valid_from: int | None
    file: str
    sha256: str
    areas: dict[str, tuple[str, Any, dict[str, str]]]

    @property
    def opens(self) -> int:
        """From when on it is in force."""
        return -FOREVER if self.valid_from is None else self.valid_from


_TIME = "(extract(epoch from nullif(nullif({0}, 'infinity'), '-infinity')) * 1000000)::int8"


def _us(column: str) -> str:
    return _TIME.format(column)


COUNTS = "not d.cancelled and (d.end_at is null or d.end_at - d.start_at <= interval '24 hours')"
"""Rules 8 and 8a in SQL: which duties count."""

_POSITIONS: dict[str, dict[str, list[tuple[int, float, float]]]] = {}


class Tables:
    """Reads the tables, open ends as ``None`` cut to ``until``."""

    def __init__(self, connection: psycopg.Connection[Any], until: int) -> None:
        self._connection = connection
        self.until = until
        self.duties = self._duties()

    def ask(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows."""
        return self._connection.execute(text.encode(), values or None).fetchall()

    def positions(self) -> dict[str, list[tuple[int, float, float]]]:
        """Time, longitude and latitude of every fix by device, in order; read again where they changed."""
        [(mark,)] = self.ask(
            "select md5(string_agg(md5(device_id || ' ' || at || data::text), '' order by device, at)) "
            "from (select * from fix_open union all select * from fix_chunk) r join device using (device)"
        )
        if mark not in _POSITIONS:
            # The view `fix` has the same (``tests/shell/test_chunks.py``), and takes a hundred times as long.
            known = self.ask("select device, device_id from device")
            keys = np.array([key for key, _ in known], np.int64)
            low, high = np.full(len(keys), -FOREVER, np.int64), np.full(len(keys), FOREVER, np.int64)
            fixes = chunks.around(self._connection, keys, low, high)
            _POSITIONS.clear()
            _POSITIONS[mark] = {}
            rows = zip(fixes.time.tolist(), fixes.lon.tolist(), fixes.lat.tolist(), strict=True)
            for at, row in zip(fixes.device.tolist(), rows, strict=True):
                _POSITIONS[mark].setdefault(known[at][1], []).append(row)
        return _POSITIONS[mark]

    def _duties(self) -> dict[str, Duty]:
        held: dict[str, list[Allocation]] = {}
        for duty_id, device_id, kind, start, end in self.ask(
            f"select duty_id, device_id, kind, {_us('a.start_at')}, {_us('a.end_at')} from allocation a "
            "join duty using (duty) join device using (device) order by duty_id, position"
        ):
            held.setdefault(duty_id, []).append(Allocation(device_id, kind, start, end))
        return {
            duty_id: Duty(
                *(duty_id, revision, officer_id, start, end, tuple(patch)),
                *(tuple(held.get(duty_id, ())), False, name, role, team),
            )
            for duty_id, revision, officer_id, start, end, patch, name, role, team in self.ask(
                f"select duty_id, revision, officer_id, {_us('start_at')}, {_us('end_at')}, patch, name, "
                f"role, team from duty d join officer using (officer) where {COUNTS} "
                "order by start_at, duty_id"
            )
        }

    def slices(self, condition: str, *values: object) -> list[Row]:
        """Slices that count, by officer and start; what still runs is cut at ``until``."""
        found = []
        for (
            duty_id,
            start,
            end,
            activity,
            state,
            known,
            neighbourhood,
            premises,
            priorities,
            near,
            device,
        ) in self.ask(
            f"select duty_id, {_us('s.start_at')}, {_us('s.end_at')}, a.name, s.state, s.place is not null, "
            "p.neighbourhood, p.premises, p.priorities, p.near, v.device_id from slices s "
            "join activity a using (activity) "
            "left join device v using (device) "
            f"join duty d using (duty) left join place p using (place) where {COUNTS} and {condition} "
            "order by s.officer, s.start_at",
            *values,
        ):
            duty = self.duties[duty_id]
            end = self.until if end is None else end  # noqa: PLW2901
            if start >= end:
                continue
            place = Place(neighbourhood, premises, tuple(sorted(priorities))) if known else None
            ambiguous = False
            if known:
                # Which grounds the position may belong to: some of the patch, and some not of it (rule 14).
                own = "" if premises is not None else neighbourhood or ""
                may = [name in duty.patch for name in {own, *near}]
                ambiguous = any(may) and not all(may)
            found.append(Row(duty_id, duty.officer_id, start, end, activity, state, place, ambiguous, device))
        return found

    def versions(self) -> list[Version]:
        """What was published and not withdrawn, by kind, time and number."""
        areas: dict[int, dict[str, tuple[str, Any, dict[str, str]]]] = {}
        for version, area_id, name, shape, said in self.ask(
            "select version, area_id, name, geometry, attributes from area"
        ):
            areas.setdefault(version, {})[area_id] = (name, shapely.from_wkb(bytes(shape)), said)
        rows = self.ask(
            f"select kind, version, {_us('valid_from')}, file, sha256 from area_version "
            "where withdrawn is null"
        )
        order = ("neighbourhood", "priority", "premises")
        found = [
            Version(kind, version, opens, file, sha256, areas.get(version, {}))
            for kind, version, opens, file, sha256 in rows
        ]
        return sorted(found, key=lambda item: (order.index(item.kind), item.opens, item.version))


def in_force(versions: Iterable[Version], kind: str, period: Span) -> list[tuple[Span, Version]]:
    """Which version of a kind holds when, within a period."""
    mine = [item for item in versions if item.kind == kind]
    found = []
    for low, high in pairwise(
        sorted({*period, *(item.opens for item in mine if period[0] < item.opens < period[1])})
    ):
        begun = [item for item in mine if item.opens <= low]
        if begun:
            found.append(((low, high), begun[-1]))
    return found


# ── The figure (rules 13 to 15) ───────────────────────────────────────────────────────────────────────────


def _cut(span: Span, period: Span) -> int:
    return max(0, min(span[1], period[1]) - max(span[0], period[0]))


def sums(rows: Iterable[Row], period: Span, name: tuple[str, str], *, until: int | None = None) -> Figures:
    """Slices cut to a period, added up by what they count as."""
    part = (period[0], period[1] if until is None else min(period[1], until))
    spent = dict.fromkeys(("on_patch", "off_patch", "not_visible", "unknown", "break"), 0)
    inside = doubtful_on = doubtful_off = 0
    for row in rows:
        time = _cut((row.start, row.end), part)
        spent[row.activity] += time
        if row.activity == "on_patch" and row.place is not None and row.place.priorities:
            inside += time
        if row.ambiguous and row.activity == "on_patch":
            doubtful_on += time
        elif row.ambiguous:
            doubtful_off += time
    return Figures(
        *(*name, *period, spent["on_patch"], spent["off_patch"], spent["not_visible"], spent["unknown"]),
        *(spent["break"], inside, True, doubtful_on, doubtful_off),
    )


class Judged(NamedTuple):
    """A share, its bounds and verdict."""

    share: Fraction
    low: Fraction
    high: Fraction
    verdict: str


def _duty(figures: Figures) -> int:
    """Time in duty less breaks (rule 13)."""
    return figures.on_patch + figures.off_patch + figures.not_visible + figures.unknown


def judged(figures: Figures, target: float) -> Judged | None:
    """Rules 13 and 14 in fractions; None where nothing is known of any duty time."""
    duty = _duty(figures)
    if duty == figures.unknown:
        return None
    low = Fraction(figures.on_patch - figures.ambiguous_on - figures.only_doubtful_on, duty)
    off = figures.ambiguous_off + figures.only_doubtful_off
    high = Fraction(figures.on_patch + figures.unknown + off, duty)
    wanted = Fraction(repr(target))  # the target as it is written: 0.8 is four fifths
    verdict = "met" if low >= wanted else "missed" if high < wanted else "not proven"
    return Judged(Fraction(figures.on_patch, duty), low, high, verdict)


# ── The parts of a summary ────────────────────────────────────────────────────────────────────────────────


def _settings(policies: Policies, t: int) -> tuple[int, Policy]:
    """The policy in force at a time, and since when."""
    return [pair for pair in zip(policies.starts, policies.policies, strict=True) if pair[0] <= t][-1]


def _hours(rows: Sequence[Row], period: Span, until: int, own: dict[str, list[Span]]) -> tuple[Hour, ...]:
    """``own``: of each area that names days or hours, its own time in the period."""
    found = []
    rest = sorted(rows, key=lambda row: row.start)
    for low in range(period[0], period[1], HOUR):
        wall = _wall(low)
        rest = [row for row in rest if row.end > low]
        here = list(takewhile(lambda row: row.start < low + HOUR, rest))  # noqa: B023 - used at once
        part = sums(here, (low, low + HOUR), ("", ""), until=until)
        found.append(
            Hour(
                day=wall.date().isoformat(),
                hour=wall.hour,
                again=wall.fold == 1,
                start=low,
                end=low + HOUR,
                on_patch=part.on_patch,
                priority=part.priority,
                off_patch=part.off_patch,
                not_visible=part.not_visible,
                unknown=part.unknown,
                on_break=part.on_break,
                wanted=tuple(
                    sorted(
                        name for name, parts in own.items() if any(_cut(p, (low, low + HOUR)) for p in parts)
                    )
                ),
            )
        )
    return tuple(found)


def _published(
    versions: Sequence[Version], area_id: str, period: Span
) -> dict[str, tuple[str, dict[str, str]]]:
    """Priority areas that touch the neighbourhood while both are in force: by id the last name and words."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for span, ground in in_force(versions, "neighbourhood", period):
        if area_id not in ground.areas:
            continue
        shape = ground.areas[area_id][1]
        for _, wanted in in_force(versions, "priority", span):
            for name in wanted.areas:
                # One that only meets it at a border has no ground in it. By the predicate, which is exact:
                # the overlay may lose a sliver that is thinner than its own rounding.
                if shapely.relate(shape, wanted.areas[name][1]).startswith("2"):
                    found[name] = ("", {})
    for _, wanted in in_force(versions, "priority", period):
        for name in found:
            if name in wanted.areas:
                found[name] = (wanted.areas[name][0], wanted.areas[name][2])
    return found


def _areas(
    tables: Tables, versions: Sequence[Version], policies: Policies, area_id: str, period: Span
) -> tuple[tuple[PriorityArea, ...], dict[str, list[Span]]]:
    """The priority areas by name, and the own time of those that name days or hours."""
    wishes = [
        (
            item.opens,
            {name: (said.get("days"), said.get("hours")) for name, (_, _, said) in item.areas.items()},
        )
        for item in versions
        if item.kind == "priority"
    ]

    def visiting(t: int) -> tuple[int, int]:
        _, policy = _settings(policies, t)
        return round(policy.visit_join_s * SECOND), round(policy.visit_min_s * SECOND)

    found, timed = [], {}
    for name, (title, said) in _published(versions, area_id, period).items():
        seen = tables.slices("s.activity in (3, 4) and %s = any(p.priorities)", name)
        made = visits(
            [
                Slice(row.officer_id, row.duty_id, row.start, row.end, row.activity, "", row.place, None)
                for row in seen
            ],
            visiting,
        )
        span = (period[0], min(period[1], tables.until))
        counted = priority(name, made, span, wishes)
        there = []
        for officer_id in sorted({visit.officer_id for visit in made}):
            mine = priority(name, [visit for visit in made if visit.officer_id == officer_id], span, wishes)
            if mine.officer_time:
                there.append((officer_id, mine.officer_time, mine.officer_own))
        own = own_time(name, *period, wishes)
        always = not said.get("days") and not said.get("hours")
        if not always:
            timed[name] = own
        found.append(
            PriorityArea(
                area_id=name,
                name=title,
                issue=said.get("issue") or "",
                days=said.get("days") or "",
                hours=said.get("hours") or "",
                always=always,
                own_time=sum(high - low for low, high in own),
                figures=PriorityFigures(
                    area_id=name,
                    start=period[0],
                    end=period[1],
                    visits=counted.visits,
                    visits_in_window=counted.visits_in_window,
                    visits_others=counted.visits_others,
                    visits_by_length=counted.by_length,
                    officer_time=counted.officer_time,
                    patrol_time=counted.patrol_time,
                    officer_time_in_window=counted.officer_own,
                    patrol_time_in_window=counted.patrol_own,
                    others_time=counted.others,
                    last_visit_end=counted.last_end,
                ),
                by_officer=tuple(there),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.name, item.area_id))), timed


def _away(
    tables: Tables,
    rows: Sequence[Row],
    policies: Policies,
    names: dict[tuple[str, str], str],
    periods: Sequence[Span],
) -> tuple[Away, ...]:
    """Abstraction of the last of the periods, and of those before it."""
    spent: dict[tuple[str, str, str, int, str], list[int]] = {}
    whose: dict[tuple[str, str, str, int, str], dict[str, int]] = {}
    duty = [0] * len(periods)
    for row in rows:
        meaning = _settings(policies, tables.duties[row.duty_id].start)[1].states.get(row.state)
        where = ("", "")
        if row.place is not None:
            where = (row.place.neighbourhood or OUTSIDE, row.place.premises or "")
        item = (row.activity, *where, row.state, meaning.name if meaning else f"state_{row.state}")
        for at, (low, high) in enumerate(periods):
            time = _cut((row.start, row.end), (low, min(high, tables.until)))
            if row.activity != "break":
                duty[at] += time
            if row.activity in ("off_patch", "not_visible") and time:
                spent.setdefault(item, [0] * len(periods))[at] += time
                if at == len(periods) - 1:
                    mine = whose.setdefault(item, {})
                    mine[row.officer_id] = mine.get(row.officer_id, 0) + time
    found = [
        Away(
            activity=activity,
            neighbourhood=ground,
            neighbourhood_name=names.get(("neighbourhood", ground), ground),
            premises=premises,
            premises_name=names.get(("premises", premises), premises),
            state=state,
            state_name=called,
            time=times[-1],
            before=tuple(time if whole else None for time, whole in zip(times[:-1], duty[:-1], strict=True)),
            by_officer=tuple(sorted(whose.get((activity, ground, premises, state, called), {}).items())),
        )
        for (activity, ground, premises, state, called), times in spent.items()
    ]
    return tuple(
        sorted(
            found, key=lambda item: (-item.time, item.activity, item.neighbourhood, item.premises, item.state)
        )
    )


def _crewed(tables: Tables, area_id: str, period: Span) -> Crewed:
    """Rule 18, vehicle by vehicle and instant by instant, where the vehicle is known to be in it."""
    low, high = period[0], min(period[1], tables.until)
    spent = {1: [0] * 24, 2: [0] * 24}
    held: dict[str, set[str]] = {}
    mine: dict[str, list[Duty]] = {}
    for duty in tables.duties.values():
        if duty.start < high and counted_to(duty) > low:
            mine.setdefault(duty.officer_id, []).append(duty)
            for item in duty.devices:
                if item.kind != "radio":
                    held.setdefault(item.device_id, set()).add(duty.officer_id)
    stays: dict[str, list[Span]] = {}
    for device_id, start, end in tables.ask(
        f"select device_id, {_us('s.start_at')}, {_us('s.end_at')} from stays s join device using (device) "
        "join place using (place) where neighbourhood = %s and start_at < from_us(%s) "
        "and end_at > from_us(%s)",
        *(area_id, high, low),
    ):
        stays.setdefault(device_id, []).append((max(low, start), min(high, end)))
    for vehicle in sorted(held.keys() & stays.keys()):
        crews = [duty for name in sorted(held[vehicle]) for duty in mine[name]]
        edges = {edge for stay in stays[vehicle] for edge in stay}
        for duty in crews:
            edges |= {duty.start, tables.until, counted_to(duty)}
            for item in duty.devices:
                edges.update(allocated(duty, item, max(duty.start, tables.until)))
        for stay in sorted(stays[vehicle]):
            here = sorted({t for t in edges if stay[0] <= t <= stay[1]} | _full_hours(stay))
            for start, end in pairwise(here):
                crew = len(
                    [name for name in held[vehicle] if _aboard(start, vehicle, mine[name], tables.until)]
                )
                if crew:
                    spent[min(crew, 2)][_wall(start).hour] += end - start
    return Crewed(
        single=sum(spent[1]),
        double=sum(spent[2]),
        single_by_hour=tuple(spent[1]),
        double_by_hour=tuple(spent[2]),
    )


def _full_hours(span: Span) -> set[int]:
    return set(range((span[0] // HOUR + 1) * HOUR, span[1], HOUR))


def _aboard(t: int, vehicle: str, duties: Sequence[Duty], until: int) -> bool:
    duty = duty_at(t, duties, FOREVER)
    return duty is not None and any(
        item.device_id == vehicle and item.kind != "radio" and low <= t < high
        for item in duty.devices
        for low, high in (allocated(duty, item, max(duty.start, until)),)
    )


def _officers(
    rows: Sequence[Row], duties: Sequence[Duty], found: dict[str, Tenure], period: Span, until: int
) -> tuple[OfficerSummary, ...]:
    listed = []
    for officer_id in sorted({duty.officer_id for duty in duties}):
        mine = [duty for duty in duties if duty.officer_id == officer_id]
        spent = [row for row in rows if row.officer_id == officer_id]
        known = found[officer_id]
        names = [duty.name for duty in mine if duty.name]
        roles = [duty.role for duty in mine if duty.role]
        listed.append(
            OfficerSummary(
                officer_id=officer_id,
                name=names[-1] if names else officer_id,
                role=roles[-1] if roles else "",
                figures=sums(spent, period, ("officer", officer_id), until=until),
                team=known.team,
                team_months=known.months,
                team_at_least=known.at_least,
                duties=tuple(
                    DutyLine(
                        duty_id=duty.duty_id,
                        start=duty.start,
                        end=duty.end,
                        team=duty.team or "",
                        figures=sums(
                            [row for row in spent if row.duty_id == duty.duty_id],
                            *(period, ("officer", officer_id)),
                            until=until,
                        ),
                    )
                    for duty in mine
                ),
            )
        )
    return tuple(sorted(listed, key=lambda item: (item.name, item.officer_id)))


def _changes(tables: Tables, name: str, area_id: str, period: Span) -> tuple[FigureChange, ...]:
    def figures(values: list[int | None] | None) -> Figures | None:
        if values is None:
            return None
        sums = [value or 0 for value in values] + [0] * (11 - len(values))
        on_break, hidden, unknown, on_patch, off_patch, inside, unsure_on, unsure_off = sums[:8]
        return Figures(
            *("neighbourhood", area_id, *period, on_patch, off_patch, hidden, unknown, on_break, inside),
            *(True, unsure_on, unsure_off, sums[8], sums[9], sums[10]),
        )

    return tuple(
        FigureChange(
            number=number,
            recorded_at=recorded_at,
            cause=cause,
            by=by,
            why=why,
            before=figures(before),
            after=figures(after),
        )
        for number, recorded_at, cause, by, why, before, after in tables.ask(
            f"select restatement, {_us('recorded_at')}, cause, recorded_by, why, before, after "
            "from restated join restatement using (restatement) "
            "where scope = 'neighbourhood' and id = %s and week = %s order by restatement",
            *(area_id, name),
        )
    )


def _basis(
    tables: Tables, versions: Sequence[Version], policies: Policies, period: Span, rows: Sequence[Row]
) -> Basis:
    since, policy = _settings(policies, period[0])
    settings = json.loads(json.dumps(asdict(policy)))  # states by their numbers as text
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    known = [
        min(row.end, period[1], tables.until)
        for row in rows
        if row.place is not None and row.start < tables.until
    ]
    boundaries = []
    for kind in ("neighbourhood", "priority", "premises"):
        for _, item in in_force(versions, kind, period):
            line = BoundaryVersion(
                kind=kind,
                version=item.version,
                valid_from=item.valid_from or None,  # 1970, before all facts, is how tables say: ever since
                file=item.file,
                sha256=item.sha256,
            )
            if line not in boundaries:
                boundaries.append(line)
    return Basis(
        target=policy.target,
        policy=settings,
        policy_from=None if since <= -FOREVER else since,
        policy_sha256=hashlib.sha256(text.encode()).hexdigest(),
        boundaries=tuple(boundaries),
        as_of=max(known, default=None),
        until=tables.until,
    )


# ── All of it ─────────────────────────────────────────────────────────────────────────────────────────────


def recount(
    connection: psycopg.Connection[Any],
    policies: Policies,
    name: str,
    area_id: str,
    *,
    now: int,
    past: int,
    before: int,
) -> Summary:
    """The summary of a neighbourhood and period, counted again.

    Args:
        connection: to a database that nobody writes to meanwhile.
        policies: by which it was counted.
        name: of the period, ``2026-W47`` or ``2026-11``.
        area_id: the neighbourhood.
        now: µs; the period still runs where it ends later, and is counted up to the newest fix.
        past: how many periods before are wanted for the trend.
        before: how many for abstraction.
    """
    period = bounds(name)
    complete = period[1] <= now
    [(newest,)] = connection.execute(
        f"select {_us('max(time)')} from fixes(from_us(%s), from_us(%s))".encode(),
        period,
    ).fetchall()
    until = period[1] if complete else period[0] if newest is None else newest
    tables = Tables(connection, until)
    versions = tables.versions()
    names: dict[tuple[str, str], str] = {}
    for kind in ("neighbourhood", "premises"):
        for _, item in in_force(versions, kind, period):
            names |= {(kind, key): title for key, (title, _, _) in item.areas.items()}

    trend = [*earlier(name, max(past, before)), name]
    first = bounds(trend[0])[0]
    rows = tables.slices(
        "%s = any(d.patch) and s.start_at < from_us(%s) and s.end_at > from_us(%s)", area_id, until, first
    )
    mine = [
        duty
        for duty in tables.duties.values()
        if area_id in duty.patch and duty.start < until and counted_to(duty) > period[0]
    ]
    now_rows = [row for row in rows if row.end > period[0]]
    scope = ("neighbourhood", area_id)
    figures = sums(now_rows, period, scope, until=until)

    def at_the_time(week: str) -> Past:
        span = bounds(week)
        found = sums(rows, span, scope, until=until)
        return Past(
            name=week,
            figures=found if _duty(found) else None,
            target=_settings(policies, span[0])[1].target,
        )

    areas, timed = _areas(tables, versions, policies, area_id, period)
    # Who is in which team is asked of the period's end, of a running one as far as is known.
    policy = _settings(policies, until)[1]
    settings = Settings(policy.team_months, policy.lent_days, policy.unseen_days)
    known = tenures(tables.duties.values(), until, settings)
    officers = _officers(now_rows, mine, known, period, until)
    teams = []
    for team in sorted({officer.team for officer in officers if officer.team}):
        facts = team_facts(known, team, period, settings)
        teams.append(
            TeamFacts(
                team=team,
                officers=facts.officers,
                experienced=facts.experienced,
                perhaps=facts.perhaps,
                months=policy.team_months,
                joined=facts.joined,
                left=facts.left,
            )
        )
    target = _settings(policies, period[0])[1].target
    stands = judged(figures, target)
    worth = facts_worth(
        *(tables, mine, now_rows, period),
        [item for kind in KINDS for _, item in in_force(versions, kind, period)],
        policies,
        (
            figures.on_patch - figures.ambiguous_on,
            figures.on_patch + figures.unknown + figures.ambiguous_off,
            figures.on_patch + figures.off_patch + figures.not_visible + figures.unknown,
        ),
        None if stands is None else stands.verdict,
        target,
        area_id,
    )
    return Summary(
        period=WEEK if "W" in name else MONTH,
        name=name,
        start=period[0],
        end=period[1],
        area_id=area_id,
        area_name=names.get(("neighbourhood", area_id), area_id),
        figures=figures,
        past=tuple(at_the_time(week) for week in trend[len(trend) - 1 - past :]),
        hours=_hours(now_rows, period, until, timed),
        areas=areas,
        away=_away(
            tables, rows, policies, names, [bounds(week) for week in trend[len(trend) - 1 - before :]]
        ),
        crewed=_crewed(tables, area_id, period),
        officers=officers,
        teams=tuple(teams),
        said=Said(),
        basis=_basis(tables, versions, policies, period, now_rows),
        changes=_changes(tables, name, area_id, period),
        complete=complete,
        quality=worth,
    )
