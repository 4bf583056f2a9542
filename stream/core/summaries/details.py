"""The details behind the weekly summary's visits, crewing, teams and duties, one by one.

Pure: facts in (``counting.SummaryFacts``), lists out that add up to the summary's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stream.core.calendar import LOCAL, moment
from stream.core.crewing import HOUR, crewing
from stream.core.explaining.explanation import explain
from stream.core.shares import OFFICER, Figures
from stream.core.slices import ACTIVITIES, spans
from stream.core.summaries.counting import visits_about
from stream.core.summaries.parts import device_of, what
from stream.core.visits import LENGTHS, PriorityFigures, priority_figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.calendar import Period
    from stream.core.explaining.parts import Found
    from stream.core.explaining.wording import Named as Names
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.stays import Stays
    from stream.core.summaries.counting import SummaryFacts


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
    """The visits of a period to one priority area, in time order."""
    found = visits_about(record, period, policies)
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
    running = [duty for duty in duties if duty.is_on(time)]
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
        start: of the hour, microseconds; ``hour`` in local time.
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
    """Vehicle by vehicle and hour by hour, in time order; sums to the neighbourhood's crewing."""
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
        stays = found.stays.take(mine)
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
class StretchedDuty:
    """A duty, stretch by stretch.

    Attributes:
        until: up to when it is counted, microseconds: its end, or the newest event.
        stretches: in time order; they tile the duty, less time off duty.
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


def duty_by_stretch(found: Found, policies: Policies, period: Period, duty_id: str) -> StretchedDuty:
    """A duty stretch by stretch, all of it, with what of it lies in a period.

    Args:
        found: the officer's duties about it, this one among them.
        policies: they name the states.
        period: the week asked about.
        duty_id: which duty.
    """
    number = next(at for at, duty in enumerate(found.duties) if duty.duty_id == duty_id)
    duty = found.duties[number]
    mine: NDArray[np.bool_] = found.slices.duty == number
    end = max(duty.start + 1, duty.until_by(found.until))
    explained = explain(
        Figures(OFFICER, duty.officer_id, duty.start, end, has_share=bool(duty.patch)),
        found.slices.take(mine),
        found.duties,
        found.places,
        found.device_ids,
        policies,
        until=found.until,
        boundaries_from=found.boundaries_from,
    )
    table = explained.stretches
    rows = np.argsort(table.start, kind="stable").tolist()
    return StretchedDuty(
        duty,
        duty.name or duty.officer_id,
        end,
        tuple(
            Stretch(
                int(table.start[row]),
                int(table.end[row]),
                ACTIVITIES[int(table.activity[row])],
                what(explained, row, found.basis),
                device_of(explained, row),
                int(table.ambiguous[row]),
                int(table.priority[row]),
                period.start <= int(table.start[row]) < period.end,
            )
            for row in rows
        ),
    )
