"""A quarter of a small force, made up: twelve neighbourhoods, some thirty officers, early, late and night.

Facts only. Officers go from spot to spot as patrols do, help elsewhere, sit in stations, fall silent; they
change teams, are lent, come and go; two share a car; boundaries, priority areas and the policy change amid
the quarter, and so do the clocks. Reports are a minute to five apart, so that the whole stays small. Times
have microseconds, so that nothing comes out even by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND, Allocation, Duty, Fixes, StateReport
from stream.core.policy import BEGINNING, DEFAULT_STATES, Policies, Policy, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ACROSS, UP = 4, 3
CELL = 0.02
WEST, SOUTH = -1.2, 52.5
FIRST, WEEKS = date(2026, 9, 14), 13
"""A Monday, and how many weeks from it on: the clocks go back in the sixth."""


def local(day: date, hour: int = 0, minute: int = 0) -> int:
    """A time of the clock on the wall, µs since 1970 UTC."""
    at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=LONDON)
    return (at - EPOCH) // timedelta(microseconds=1)


def after(weeks: int, days: int = 0) -> date:
    """A day of the quarter."""
    return FIRST + timedelta(days=7 * weeks + days)


def vertex(number: int) -> tuple[float, float]:
    """The south-western vertex of a neighbourhood's ground."""
    row, column = divmod(number, ACROSS)
    return WEST + column * CELL, SOUTH + row * CELL


def neighbourhoods(shift: float = 0.0) -> list[Area]:
    """Twelve squares; the border between the first two lies ``shift`` degrees more to the east."""
    found = []
    for number in range(ACROSS * UP):
        west, south = vertex(number)
        low = west + (shift if number == 1 else 0.0)
        high = west + CELL + (shift if number == 0 else 0.0)
        found.append(
            Area(
                Kind.NEIGHBOURHOOD,
                f"N{number:02}",
                f"Ward {number}",
                shapely.box(low, south, high, south + CELL),
            )
        )
    return found


def _box(
    kind: Kind, area_id: str, name: str, at: tuple[float, float], wide: float, said: dict[str, str]
) -> Area:
    return Area(kind, area_id, name, shapely.box(*at, at[0] + wide, at[1] + wide), said)


def priorities(*, later: bool = False) -> list[Area]:
    """Priority areas: with own days and hours and without, over a border, at a border, one in another."""
    x, y = vertex(0)
    made: list[tuple[str, str, tuple[float, float], float, dict[str, str]]] = [
        (
            *("P00", "the market", (x + 0.004, y + 0.004), 0.003),
            {"issue": "theft", "days": "Mon-Sat", "hours": "08:00-20:00" if later else "09:00-17:30"},
        ),
        (
            *("P01", "the mile", (x + CELL - 0.002, y + 0.012), 0.004),
            {"issue": "violence", "days": "Fri,Sat,Sun", "hours": "21:00-03:00"},
        ),
        ("P02", "the park", (x + 0.003, y + 0.003), 0.006, {"issue": "nuisance"}),
        ("P03", "the bridge", (x + CELL, y + 0.001), 0.002, {"issue": "cars", "hours": "00:30-06:00"}),
    ]
    for number in range(3, ACROSS * UP, 2):
        west, south = vertex(number)
        words = {"issue": "burglary"} | ({"days": "Mon-Fri"} if number % 4 == 1 else {})
        made.append((f"P{number + 10}", f"Place {number}", (west + 0.005, south + 0.005), 0.004, words))
    return [_box(Kind.PRIORITY, *row) for row in made if not later or row[0] != "P17"]


def premises(*, later: bool = False) -> list[Area]:
    """A station, a court, and later a second station."""
    found = []
    for number, name in ((0, "North Street station"), (5, "the court"), (1, "South Street station")):
        west, south = vertex(number)
        if later or number != 1:
            spot = (west + 0.014, south + 0.014)
            found.append(_box(Kind.PREMISES, f"S{number:02}", name, spot, 0.0015, {"use": "station"}))
    return found


AMID = local(after(7, 2), 12)
"""Wednesday noon of the eighth week: other borders and other hours of priority areas."""

OPENED = local(after(9, 1))
"""Tuesday of the tenth week: a station opens, which is told only when the quarter is nearly over."""

POLICIES = Policies(
    (BEGINNING, local(after(5, 3))),
    (
        Policy(),
        Policy(
            target=0.55,
            visit_min_s=180.0,
            states=dict(DEFAULT_STATES) | {3: State("waiting", "not_visible"), 5: State("on the way")},
        ),
    ),
)
"""Another target, and other meanings of states, from a Thursday on."""

END = local(after(WEEKS - 1, 3), 12, 34) + 567_891
"""How far facts go: past noon of the last week's Thursday."""

SHIFTS = ((7, 10), (14, 10), (22, 9))
"""Local hour of the start and hours of length."""

STEPS_S = (60, 240, 240, 300, 300, 300, 300)


@dataclass(frozen=True, slots=True, eq=False)
class Quarter:
    """Everything that is known.

    Attributes:
        duties, states: as received.
        fixes: in the order of their times.
    """

    duties: tuple[Duty, ...]
    states: tuple[StateReport, ...]
    fixes: Fixes


def quarter(seed: int = 1, *, officers: int = 32) -> Quarter:
    """The quarter, up to ``END``."""
    chance = np.random.default_rng(seed)
    made = _Made(chance, END)
    for week in range(WEEKS):
        for day in range(7):
            made.day(after(week, day), week, officers)
    return made.quarter()


class _Made:
    """Collects a day at a time."""

    def __init__(self, chance: Generator, end: int) -> None:
        self._chance = chance
        self._end = end
        self._duties: list[Duty] = []
        self._states: list[StateReport] = []
        self._rows: dict[str, list[tuple[int, float, float, float]]] = {}

    def day(self, day: date, week: int, officers: int) -> None:
        """The shifts that begin on a day."""
        cars: dict[tuple[int, int], tuple[int, int]] = {}
        for officer in range(officers):
            if self._rests(officer, day, week):
                continue
            hour, length = SHIFTS[(week + officer // 3) % 3]
            start = local(day, hour)
            if start < self._end:
                self._shift(officer, day, week, (start, start + length * HOUR), hour, cars)

    def _rests(self, officer: int, day: date, week: int) -> bool:
        if (day.toordinal() + officer) % 7 >= 5:
            return True
        # One joins in the seventh week, one leaves in the ninth, one is away for long.
        return (
            (officer == 11 and week < 6) or (officer == 15 and week > 8) or (officer == 20 and 3 <= week < 8)
        )

    def _home(self, officer: int, day: date, week: int) -> int:
        number = officer % (ACROSS * UP)
        if officer == 3 and day >= after(4, 2):  # changes team on a Wednesday
            return 6
        if officer == 7 and week == 5:  # lent for a week
            return 2
        return number

    def _shift(
        self,
        officer: int,
        day: date,
        week: int,
        span: tuple[int, int],
        hour: int,
        cars: dict[tuple[int, int], tuple[int, int]],
    ) -> None:
        chance, home = self._chance, self._home(officer, day, week)
        response = officer >= 30
        patch: tuple[str, ...] = () if response else (f"N{home:02}",)
        if officer % 12 == 4:
            patch = (f"N{home:02}", f"N{home + 1:02}")
        devices = [Allocation(f"R{officer:03}", "radio")]
        track = self._walk(home, span, response=response)
        if chance.random() < 0.6:
            low = span[0] + int(chance.integers(0, 3 * HOUR))
            held = cars.get((home, hour))
            if held is None:
                high = low + int(chance.integers(HOUR, 5 * HOUR))
                cars[home, hour] = (low, high)
                self._tell(f"V{home:02}", [row for row in track if low - HOUR <= row[0] <= high])
            else:  # the second officer gets in later and out earlier
                low, high = (
                    held[0] + int(chance.integers(0, HOUR)),
                    held[1] - int(chance.integers(0, HOUR // 2)),
                )
            if low < high:
                devices.append(
                    Allocation(f"V{home:02}", "vehicle", low, None if chance.random() < 0.1 else high)
                )
        late = int(chance.integers(0, 40 * MINUTE)) * int(chance.random() < 0.3)
        still_on = span[1] > self._end
        duty = Duty(
            duty_id=f"D{officer:03}-{day:%m%d}",
            revision=1,
            officer_id=f"O{officer:03}",
            start=span[0],
            end=None if still_on and officer % 2 else span[1] + late,
            patch=patch,
            devices=tuple(devices),
            cancelled=bool(chance.random() < 0.01),
            name=f"PC Name{officer % 31:02}",
            role="response" if response else "pcso" if officer % 5 == 0 else "npt",
            team=None if officer == 29 else "T-RESPONSE" if response else f"T{home // 2:02}",
        )
        self._duties.append(duty)
        if chance.random() < 0.01:  # booked twice: the later start counts while it lasts
            again = replace(
                duty, duty_id=f"{duty.duty_id}b", start=span[0] + 4 * HOUR, end=span[0] + 6 * HOUR
            )
            self._duties.append(again)
        self._key(officer, span)
        if chance.random() > 0.02:  # else the radio is silent throughout
            self._tell(f"R{officer:03}", track)

    def _key(self, officer: int, span: tuple[int, int]) -> None:
        """Radio states: a meal, calls, court, off and on again."""
        chance = self._chance
        for state, often, most in (
            *((4, 0.9, 45), (6, 0.5, 90), (3, 0.3, 30), (5, 0.4, 15), (8, 0.15, 60), (9, 0.06, 120)),
            *((10, 0.04, 150), (11, 0.03, 30), (77, 0.02, 10)),
        ):
            if chance.random() < often:
                at = int(chance.integers(span[0], span[1]))
                self._states.append(StateReport(f"O{officer:03}", at, state))
                lasts = int(chance.integers(MINUTE, most * MINUTE))
                self._states.append(StateReport(f"O{officer:03}", at + lasts, 2))

    def _spot(self, home: int, *, response: bool) -> tuple[float, float]:
        chance = self._chance
        what = chance.random()
        where = home if not response and what < 0.8 else int(chance.integers(ACROSS * UP))
        west, south = vertex(where)
        if what < 0.12 or what > 0.95:  # a priority area: the market, the mile, or the place of the square
            spots = {0: (0.005, 0.005), 1: (0.001, 0.014)}
            east, north = spots.get(where, (0.007, 0.007))
            return west + east, south + north
        if 0.8 < what < 0.88:
            number = (0, 5, 1)[int(chance.integers(3))]
            west, south = vertex(number)
            return west + 0.0147, south + 0.0147
        if 0.88 < what < 0.9:
            return WEST - 0.05, SOUTH
        east, north = chance.uniform(0.001, CELL - 0.001, 2).tolist()
        return west + east, south + north

    def _walk(
        self, home: int, span: tuple[int, int], *, response: bool
    ) -> list[tuple[int, float, float, float]]:
        """Reports from spot to spot; now and then none for a while."""
        chance = self._chance
        step = int(chance.choice(STEPS_S)) * SECOND - int(chance.integers(0, 2 * SECOND))
        time = span[0] + int(chance.integers(-5 * MINUTE, 5 * MINUTE))
        rows: list[tuple[int, float, float, float]] = []
        while time < span[1]:
            spot = self._spot(home, response=response)
            count = max(1, int(chance.integers(2 * MINUTE, 50 * MINUTE)) // step)
            if chance.random() < 0.05:
                time += int(chance.integers(6 * MINUTE, 50 * MINUTE))
            error = float(chance.choice((5.0, 10.0, 30.0, np.nan)))
            for east, north in chance.normal(0, 0.00012, (count, 2)).tolist():
                rows.append((time, spot[0] + east, spot[1] + north, error))
                time += step
        return rows

    def _tell(self, device_id: str, rows: Sequence[tuple[int, float, float, float]]) -> None:
        self._rows.setdefault(device_id, []).extend(rows)

    def quarter(self) -> Quarter:
        """What was collected."""
        names = tuple(sorted(self._rows))
        table = np.array(
            [
                (number, *row)
                for number, name in enumerate(names)
                for row in self._rows[name]
                if row[0] < self._end
            ],
            [("device", "i4"), ("time", "i8"), ("lon", "f8"), ("lat", "f8"), ("error_m", "f8")],
        )
        table = table[np.lexsort((table["device"], table["time"]))]
        nothing = np.full(len(table), np.nan, np.float32)
        fixes = Fixes(
            device=table["device"].copy(),
            time=table["time"].copy(),
            lon=table["lon"].copy(),
            lat=table["lat"].copy(),
            error_m=table["error_m"].copy(),
            speed_mps=nothing,
            heading_deg=nothing,
            device_ids=names,
        )
        states = tuple(state for state in self._states if state.time < self._end)
        return Quarter(tuple(self._duties), states, fixes)


def before_it_is_over() -> tuple[tuple[Kind, AreaSet, int], ...]:
    """What is published in good time: kind, areas, from when."""
    return (
        (Kind.NEIGHBOURHOOD, AreaSet.of(neighbourhoods()), 0),
        (Kind.PRIORITY, AreaSet.of(priorities()), 0),
        (Kind.PREMISES, AreaSet.of(premises()), 0),
        (Kind.NEIGHBOURHOOD, AreaSet.of(neighbourhoods(0.003)), AMID),
        (Kind.PRIORITY, AreaSet.of(priorities(later=True)), AMID),
    )
