"""What stands behind the weekly summary's visits, crewing, teams and duties, one by one.

Pure: facts in (``counting.SummaryFacts``), lists out that sum to what the summary says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.hours import OwnHours
from stream.core.calendar import LOCAL, moment
from stream.core.crewing import HOUR, crewing
from stream.core.explaining.explanation import explain
from stream.core.shares import OFFICER, Figures
from stream.core.slices import ACTIVITIES, Slices, spans
from stream.core.stays import Stays
from stream.core.summaries.counting import VISITS_REACH
from stream.core.summaries.parts import device_of, what
from stream.core.teams import teams
from stream.core.visits import LENGTHS, PriorityFigures, priority_figures, reach, visits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.calendar import Period
    from stream.core.explaining.wording import Named as Names
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.summaries.counting import SummaryFacts
    from stream.core.teams import Teams


# ── Visits ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """A visit, cut to a period where times are added up.

    Attributes:
        start, end: of the whole visit, microseconds.
        begun: it begins in the period, so it counts as a visit of it.
        length: 0 to 3, which of the four lengths (rule 17).
        inside: time really inside in the period; ``own``: of it in the area's own hours.
        own_hours: any of the whole visit was in them.
        home_team: any of it was on the officer's own patch.
        duty_id: of the duty that it begins in; empty where none is known.
    """

    officer_id: str
    name: str
    start: int
    end: int
    begun: bool
    length: int
    inside: int
    own: int
    own_hours: bool
    home_team: bool
    duty_id: str


@dataclass(frozen=True, slots=True, eq=False)
class VisitList:
    """The visits to a priority area in a period, and what they amount to."""

    visits: tuple[Visit, ...]
    figures: PriorityFigures


def visit_list(
    record: SummaryFacts, period: Period, policies: Policies, area_id: str, names: Names
) -> VisitList:
    """The visits of a period to one priority area, in the order of time."""
    slices = record.slices
    near = (slices.end > period.start - VISITS_REACH) & (slices.start < period.end + VISITS_REACH)
    slices = Slices(*(getattr(slices, item.name)[near] for item in fields(Slices)))
    low, high = reach(slices, record.duties)
    windows = OwnHours.of(record.versions, min(low, period.start), max(high, period.end))
    found = visits(slices, record.duties, record.places, policies, windows)
    listed = {item.area_id: item for item in priority_figures(found, period.start, period.end)}
    figures = listed.get(area_id) or PriorityFigures(area_id, period.start, period.end)
    if area_id not in found.area_ids:
        return VisitList((), figures)
    length = np.maximum(
        np.minimum(found.inside_end, period.end) - np.maximum(found.inside_start, period.start), 0
    )
    inside, own = np.zeros(len(found), np.int64), np.zeros(len(found), np.int64)
    np.add.at(inside, found.inside_visit, length)
    np.add.at(own, found.inside_visit, np.where(found.inside_in_window, length, 0))
    begun = (found.start >= period.start) & (found.start < period.end)
    of_length = np.searchsorted(LENGTHS, found.end - found.start, side="right")
    mine: dict[str, list[Duty]] = {}
    for duty in record.duties:
        mine.setdefault(duty.officer_id, []).append(duty)
    rows = np.flatnonzero((found.area == found.area_ids.index(area_id)) & (begun | (inside > 0)))
    made = []
    for row in rows.tolist():
        officer_id, start = found.officer_ids[int(found.officer[row])], int(found.start[row])
        made.append(
            Visit(
                officer_id,
                names.name(OFFICER, officer_id),
                start,
                int(found.end[row]),
                bool(begun[row]),
                int(of_length[row]),
                int(inside[row]),
                int(own[row]),
                bool(found.in_window[row] > 0),
                bool(found.home_team[row]),
                _duty_at(mine.get(officer_id, ()), start),
            )
        )
    return VisitList(tuple(sorted(made, key=lambda item: (item.start, item.officer_id))), figures)


def _duty_at(duties: Sequence[Duty], time: int) -> str:
    """Id of the duty that an officer is on: of several the one that started latest (rule 8)."""
    running = [
        duty
        for duty in duties
        if not duty.cancelled and duty.start <= time and (duty.end is None or time < duty.end)
    ]
    return max(running, key=lambda duty: (duty.start, duty.duty_id)).duty_id if running else ""


# ── Crewing ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class Vehicles:
    """What crewing is counted from.

    Attributes:
        duties: with their devices.
        stays: of the vehicles, by device and time.
        device_ids, places: what the stays' numbers point at.
        until: up to when open duties are counted, microseconds.
    """

    duties: Sequence[Duty]
    stays: Stays
    device_ids: Sequence[str]
    places: Sequence[Place]
    until: int


@dataclass(frozen=True, slots=True)
class CrewedHour:
    """Time of one vehicle in the neighbourhood in one hour, by crew.

    Attributes:
        start: of the hour, microseconds; ``hour`` as the clock on the wall shows it.
        single, double: microseconds with one officer and with more.
        crew: ``(name, duty_id)`` of who was allocated to it at any time of the hour.
    """

    vehicle: str
    start: int
    hour: int
    single: int
    double: int
    crew: tuple[tuple[str, str], ...]


def crewed_hours(found: Vehicles, period: Period, area_id: str) -> list[CrewedHour]:
    """Vehicle by vehicle and hour by hour, in the order of time; sums to the neighbourhood's crewing."""
    held: dict[str, list[tuple[int, int, Duty]]] = {}
    for number, low, high in zip(*(column.tolist() for column in spans(found.duties)), strict=True):
        duty = found.duties[number]
        for item in duty.devices:
            begin = max(low, low if item.start is None else item.start)
            end = min(high, high if item.end is None else item.end)
            if item.kind != "radio" and begin < end:
                held.setdefault(item.device_id, []).append((begin, end, duty))
    rows = []
    for number, vehicle in enumerate(found.device_ids):
        mine = found.stays.device == number
        if not mine.any() or vehicle not in held:
            continue
        stays = Stays(*(getattr(found.stays, item.name)[mine] for item in fields(Stays)))
        only = _with_only(found.duties, vehicle)
        part = crewing(only, stays, found.device_ids, found.places, period.start, found.until)
        if area_id not in part.neighbourhood_ids:
            continue
        chosen = np.flatnonzero(part.neighbourhood == part.neighbourhood_ids.index(area_id))
        for row in chosen.tolist():
            start = int(part.hour[row])
            crew = {
                (duty.name or duty.officer_id, duty.duty_id)
                for begin, end, duty in held[vehicle]
                if begin < start + HOUR and end > start
            }
            rows.append(
                CrewedHour(
                    vehicle,
                    start,
                    moment(start).astimezone(LOCAL).hour,
                    int(part.single[row]),
                    int(part.double[row]),
                    tuple(sorted(crew)),
                )
            )
    return sorted(rows, key=lambda item: (item.start, item.vehicle))


def _with_only(duties: Sequence[Duty], vehicle: str) -> list[Duty]:
    """The duties with this vehicle alone: others' hours are not asked about."""
    return [
        replace(duty, devices=tuple(item for item in duty.devices if item.device_id == vehicle))
        for duty in duties
    ]


# ── Teams ─────────────────────────────────────────────────────────────────────────────────────────────────


def team_list(record: SummaryFacts, period: Period, policies: Policies) -> Teams:
    """The teams as the summary has them: as of the period's end, or of now where it still runs."""
    as_of = period.end if record.complete else record.until
    return teams(
        record.booked, policies.at(as_of), as_of, period.start, period.end, beginning=record.beginning
    )


# ── One duty ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a duty, within one local day.

    Attributes:
        activity: one of ``ACTIVITIES``.
        words: what it is, in words.
        doubt, priority: microseconds of it in doubt, and on patch in priority areas.
        device: the device that said where, or should have; empty: there was none.
        inside: it lies in the week asked about.
    """

    start: int
    end: int
    activity: str
    words: str
    device: str
    doubt: int
    priority: int
    inside: bool

    @property
    def time(self) -> int:
        """Microseconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class DutySheet:
    """A duty, stretch by stretch.

    Attributes:
        until: up to when it is counted, microseconds: its end, or the newest event.
        stretches: in the order of time; they tile the duty, less time off duty.
    """

    duty: Duty
    name: str
    until: int
    stretches: tuple[Stretch, ...]

    def times(self) -> dict[str, int]:
        """Time in the week by activity, and ``duty``, ``priority``, ``ambiguous_on``, ``ambiguous_off``."""
        mine = [item for item in self.stretches if item.inside]
        found = {name: sum(item.time for item in mine if item.activity == name) for name in ACTIVITIES}
        found["duty"] = sum(found.values()) - found["break"]
        found["priority"] = sum(item.priority for item in mine)
        found["ambiguous_on"] = sum(item.doubt for item in mine if item.activity == "on_patch")
        found["ambiguous_off"] = sum(item.doubt for item in mine if item.activity != "on_patch")
        return found


def duty_sheet(
    slices: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    device_ids: Sequence[str],
    policies: Policies,
    period: Period,
    *,
    duty_id: str,
    until: int,
    boundaries_from: int,
    names: Names,
) -> DutySheet:
    """A duty stretch by stretch, all of it, with what of it lies in a period.

    Args:
        slices: of the officer's duties, no open ends.
        duties: those behind ``slices.duty``.
        places: those behind ``slices.place``.
        device_ids: the names behind ``slices.device``.
        policies: they name the states.
        period: the week asked about.
        duty_id: which duty; it is among them.
        until: up to when open duties are counted, microseconds.
        boundaries_from: since when there are boundaries, microseconds.
        names: of areas.
    """
    number = next(at for at, duty in enumerate(duties) if duty.duty_id == duty_id)
    duty = duties[number]
    mine: NDArray[np.bool_] = slices.duty == number
    own = Slices(*(getattr(slices, item.name)[mine] for item in fields(Slices)))
    end = max(duty.start + 1, until if duty.end is None else duty.end)
    found = explain(
        Figures(OFFICER, duty.officer_id, duty.start, end, has_share=bool(duty.patch)),
        own,
        duties,
        places,
        device_ids,
        policies,
        until=until,
        boundaries_from=boundaries_from,
    )
    table = found.stretches
    rows = np.argsort(table.start, kind="stable").tolist()
    return DutySheet(
        duty,
        duty.name or duty.officer_id,
        end,
        tuple(
            Stretch(
                int(table.start[row]),
                int(table.end[row]),
                ACTIVITIES[int(table.activity[row])],
                what(found, row, names),
                device_of(found, row),
                int(table.ambiguous[row]),
                int(table.priority[row]),
                period.start <= int(table.start[row]) < period.end,
            )
            for row in rows
        ),
    )
