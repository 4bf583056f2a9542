"""Small worlds at real speeds whose facts contradict each other, or do not (rule 21).

A town of two neighbourhoods, each some three kilometres wide, with a station and open country around it.
Officers walk and drive in it; into some worlds one or more faults are put: two devices on one id, a frozen
receiver, a radio booked twice, a radio that is not where its officer's vehicle is. Only facts may come in
here, and what the core makes of them; none of the rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.facts import SECOND, Allocation, Duty, Fixes, StateReport
from stream.core.policy import BEGINNING, Policies
from stream.core.quality.doubts import Doubts, doubts, named
from stream.core.shares import shares
from stream.core.slices import ACTIVITIES, NO_DEVICE, NO_STATE, newest, reason, slices, whole_slices
from stream.core.stays import EARTH_RADIUS_M, stays, whole_stays
from tests import oracle
from tests.strategies import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from numpy.random import Generator

    from geo.matching.places import Place
    from stream.core.shares import Figures
    from stream.core.slices import Slices
    from stream.core.stays import Stays

OPENING = micros("2026-11-23T08:00:00+00:00")
POLICIES = Policies()
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND

WEST, SOUTH = -1.18, 52.60
METRE_NORTH = math.degrees(1 / EARTH_RADIUS_M)
METRE_EAST = METRE_NORTH / math.cos(math.radians(SOUTH))


def at(east_m: float, north_m: float) -> tuple[float, float]:
    """Lon and lat so many metres east and north of the town's south-west vertex."""
    return WEST + east_m * METRE_EAST, SOUTH + north_m * METRE_NORTH


def ground(east_m: float, north_m: float, width_m: float, height_m: float) -> shapely.Polygon:
    """A rectangle, metres from the town's south-west vertex."""
    return shapely.box(*at(east_m, north_m), *at(east_m + width_m, north_m + height_m))


PATCH_A = Area(Kind.NEIGHBOURHOOD, "A", "Abbey", ground(0, 0, 3000, 3000))
PATCH_B = Area(Kind.NEIGHBOURHOOD, "B", "Belgrave", ground(3000, 0, 3000, 3000))
STATION = Area(Kind.PREMISES, "S", "Station", ground(1000, 1000, 100, 100))
TOWN = (PATCH_A, PATCH_B, STATION)


class Report(NamedTuple):
    """A position as a device reports it."""

    device_id: str
    time: int
    lon: float
    lat: float
    error_m: float | None = 8.0
    speed_mps: float | None = None


Spot = tuple[float, float]
"""Metres east and north of the town's south-west vertex."""


def columns(reports: Sequence[Report]) -> Fixes:
    """Reports as columns, rows in the same order."""
    device_ids = tuple(sorted({item.device_id for item in reports}))
    number = {name: n for n, name in enumerate(device_ids)}

    def column(values: Sequence[float | None]) -> list[float]:
        return [math.nan if value is None else value for value in values]

    return Fixes(
        np.array([number[item.device_id] for item in reports], np.int32),
        np.array([item.time for item in reports], np.int64),
        np.array([item.lon for item in reports], np.float64),
        np.array([item.lat for item in reports], np.float64),
        np.array(column([item.error_m for item in reports]), np.float64),
        np.array(column([item.speed_mps for item in reports]), np.float32),
        np.full(len(reports), np.nan, np.float32),
        device_ids,
    )


def standing(
    device_id: str,
    spot: Spot,
    start: int,
    end: int,
    *,
    step: int = MINUTE,
    speed_mps: float | None = None,
    error_m: float | None = 8.0,
) -> list[Report]:
    """A device at one spot, to the last digit, a report every ``step`` from start to end inclusive."""
    return [Report(device_id, time, *at(*spot), error_m, speed_mps) for time in range(start, end + 1, step)]


def moving(
    device_id: str,
    start: int,
    end: int,
    where: Callable[[float], Spot],
    *,
    step: int = MINUTE,
    speed_mps: float | None = None,
) -> list[Report]:
    """A device that is where a function of the seconds since ``start`` says, a report every ``step``."""
    return [
        Report(device_id, time, *at(*where((time - start) / SECOND)), 8.0, speed_mps)
        for time in range(start, end + 1, step)
    ]


def circle(centre: Spot, radius_m: float, mps: float) -> Callable[[float], Spot]:
    """The way around a circle at a speed."""

    def where(seconds: float) -> Spot:
        angle = seconds * mps / radius_m
        return centre[0] + radius_m * math.cos(angle), centre[1] + radius_m * math.sin(angle)

    return where


def duty(
    name: str,
    officer: str,
    start: int,
    end: int | None,
    *devices: str | Allocation,
    patch: tuple[str, ...] = ("A",),
) -> Duty:
    """A duty with devices: names that begin with V are vehicles, the others radios."""
    held = tuple(
        item
        if isinstance(item, Allocation)
        else Allocation(item, "vehicle" if item.startswith("V") else "radio")
        for item in devices
    )
    return Duty(name, 1, officer, start, end, patch, held)


class Row(NamedTuple):
    """A doubt as people name it."""

    duty_id: str
    start: int
    end: int
    kind: str
    device_id: str
    other_id: str


@dataclass(frozen=True, eq=False)
class Counted:
    """Facts, and what the core makes of them.

    Attributes:
        reports, booked, keyed: the facts, in any order.
        areas: the boundaries.
        policies: the settings.
    """

    reports: Sequence[Report]
    booked: Sequence[Duty]
    keyed: Sequence[StateReport] = ()
    areas: Sequence[Area] = TOWN
    policies: Policies = POLICIES

    @cached_property
    def fixes(self) -> Fixes:
        """The reports as columns."""
        return columns(self.reports)

    @cached_property
    def history(self) -> AreaHistory:
        """The boundaries."""
        return AreaHistory([(BEGINNING, AreaSet.of(self.areas))])

    @cached_property
    def duties(self) -> list[Duty]:
        """The revisions that count."""
        return newest(self.booked)

    @cached_property
    def stays(self) -> Stays:
        """Where devices were."""
        return stays(self.fixes, self.history, self.policies)

    @cached_property
    def slices(self) -> Slices:
        """What the duties' time counts as."""
        names = self.fixes.device_ids
        return slices(self.duties, self.stays, names, self.keyed, self.history.places, self.policies)

    @cached_property
    def doubts(self) -> Doubts:
        """The doubtful time."""
        return doubts(self.duties, self.fixes, self.stays, self.slices, self.history.places, self.policies)

    def rows(self) -> list[Row]:
        """The doubts by name."""
        return [
            Row(item.duty_id, item.start, item.end, item.kind, item.device_id, item.other_id)
            for item in named(self.doubts, self.duties, self.fixes.device_ids)
        ]

    def figures(self, start: int, end: int) -> dict[tuple[str, str], Figures]:
        """The figures of a period by scope and id."""
        found = shares(self.slices, self.duties, self.history.places, start, end, doubts=self.doubts)
        return {(item.scope, item.id): item for item in found}

    def oracle_stays(self) -> dict[str, list[oracle.Stay]]:
        """The stays as the oracle has them."""
        whole, names = whole_stays(self.stays, self.history.places), self.fixes.device_ids
        found: dict[str, list[oracle.Stay]] = {name: [] for name in names}
        for device, start, end, place in zip(
            *(column.tolist() for column in (whole.device, whole.start, whole.end, whole.place)), strict=True
        ):
            found[names[device]].append((start, end, self._place(place)))
        return found

    def oracle_slices(self, until: int) -> list[oracle.Slice]:
        """The slices as the oracle has them."""
        whole, _ = whole_slices(self.slices, self.duties, self.history.places, self.policies, until=until)
        policy, found = self.policies.policies[0], []
        for row in range(len(whole)):
            duty, state = self.duties[whole.duty[row]], int(whole.state[row])
            place, device = self._place(int(whole.place[row])), int(whole.device[row])
            activity, name = int(whole.activity[row]), "" if state == NO_STATE else policy.state(state).name
            found.append(
                oracle.Slice(
                    duty.officer_id,
                    duty.duty_id,
                    int(whole.start[row]),
                    int(whole.end[row]),
                    ACTIVITIES[activity],
                    reason(activity, name, None if place is None else self._known(int(whole.place[row]))),
                    place,
                    None if device == NO_DEVICE else self.fixes.device_ids[device],
                )
            )
        return found

    def _known(self, number: int) -> Place:
        return self.history.places[number]

    def _place(self, number: int) -> oracle.Place | None:
        if number == UNKNOWN:
            return None
        found = self._known(number)
        return oracle.Place(found.neighbourhood, found.premises, found.priorities)


def two_days(random: Random) -> tuple[list[Report], list[Duty]]:
    """Two days of two cars and three radios that change hands, with a fault of every kind now and then.

    The cars stand at the station over each change of hands, on one spot to the last digit: so a doubt of a
    car may reach over duties.
    """
    reports: list[Report] = []
    booked: list[Duty] = []
    for number, car in enumerate(("V1", "V2")):
        at = OPENING
        while at < OPENING + 40 * HOUR:
            long = random.choice([20, 40, 90, 200]) * MINUTE
            if random.random() < 0.5:
                spot = random.choice([(1050.0, 1050.0), (1500.0, 1500.0), (4500.0, 1500.0)])
                speed = random.choice([None, None, 0.0, 8.3])
                reports += standing(car, spot, at, at + long, step=5 * MINUTE, speed_mps=speed)
            else:
                centre = random.choice([(1500.0, 1500.0), (4500.0, 1500.0), (3000.0, 1500.0)])
                reports += moving(car, at, at + long, circle(centre, 700 + 10 * number, 9.0), step=MINUTE)
            at += long + random.choice([1, 4, 40]) * MINUTE
    for radio in ("R1", "R2", "R3"):
        at = OPENING
        while at < OPENING + 40 * HOUR:
            long = random.choice([30, 60, 120]) * MINUTE
            centre = random.choice([(1500.0, 1500.0), (1500.0, 1500.0), (4500.0, 1500.0)])
            walk = moving(radio, at, at + long, circle(centre, 300, 1.4), step=2 * MINUTE)
            if random.random() < 0.15:  # another device under the same id
                walk += moving(radio, at + 7_000_000, at + long, circle((5500, 2500), 100, 1.4), step=MINUTE)
            reports += walk
            at += long + random.choice([2, 10, 50]) * MINUTE
    for turn in range(5):
        start = OPENING + 8 * turn * HOUR
        for officer, radio in (("O1", "R1"), ("O2", "R2"), ("O3", "R3")):
            held = [radio if random.random() < 0.8 else "R1"]
            held += random.sample(["V1", "V2"], random.choice([0, 1, 1, 2]))
            early, late = random.choice([0, 20]) * MINUTE, random.choice([0, 30]) * MINUTE
            booked.append(
                duty(
                    f"{officer}-{turn}", officer, start + early, start + 8 * HOUR + late, *held, patch=("A",)
                )
            )
    return reports, booked


# ── Worlds made from a seed ───────────────────────────────────────────────────────────────────────────────

FAULTS = ("two_devices", "frozen_moving", "frozen_still", "shared_radio", "apart")
"""What may be put into a world; each leaves its own kind of doubt, if it lasts long enough."""

Path = list[tuple[int, float, float]]
"""Where something is when: microseconds, metres east and north; straight between."""


def _walk(rng: Generator, start: int, end: int, spot: Spot, low_mps: float, high_mps: float) -> Path:
    """A way from spot to spot in and around the town."""
    time, (x, y) = start, spot
    path: Path = [(time, x, y)]
    while time < end:
        to = (float(rng.uniform(-500, 6500)), float(rng.uniform(-500, 3500)))
        if low_mps < 3:
            to = (x + float(rng.uniform(-400, 400)), y + float(rng.uniform(-400, 400)))
        time += max(SECOND, round(math.dist((x, y), to) / float(rng.uniform(low_mps, high_mps)) * SECOND))
        x, y = to
        path.append((time, x, y))
    return path


def _along(path: Path, time: int) -> Spot:
    times = [entry[0] for entry in path]
    return (
        float(np.interp(time, times, [entry[1] for entry in path])),
        float(np.interp(time, times, [entry[2] for entry in path])),
    )


def _outing(rng: Generator, start: int, end: int) -> tuple[Path, Path]:
    """A car and its officer: they drive together, then the officer walks while the car is parked."""
    spot = (float(rng.uniform(0, 6000)), float(rng.uniform(0, 3000)))
    car, officer = [(start, *spot)], [(start, *spot)]
    time = start
    while time < end:
        until = time + int(rng.integers(8, 40)) * MINUTE
        drive = [entry for entry in _walk(rng, time, until, spot, 6, 16) if entry[0] <= until]
        car += drive
        officer += drive
        time, spot = drive[-1][0], drive[-1][1:]
        until = time + int(rng.integers(5, 40)) * MINUTE
        stroll = [entry for entry in _walk(rng, time, until, spot, 0.8, 1.8) if entry[0] <= until]
        officer += [*stroll, (until, *spot)]
        car.append((until, *spot))
        time = until
    return car, officer


def _reported(
    rng: Generator, name: str, path: Path, start: int, end: int, steps_s: tuple[int, int]
) -> list[Report]:
    """What a device says that moves along a path: with errors of some metres, gaps, and perhaps speeds."""
    found, time, speaks = [], start, bool(rng.random() < 0.7)
    when, east, north = (np.array(column, np.float64) for column in zip(*path, strict=True))
    while time <= end:
        (before_x, x), (before_y, y) = (
            np.interp([time - SECOND, time], when, column).tolist() for column in (east, north)
        )
        before = before_x, before_y
        speed = math.dist((x, y), before) if speaks and rng.random() < 0.9 else None
        spot = at(x + float(rng.normal(0, 4)), y + float(rng.normal(0, 4)))
        found.append(Report(name, time, *spot, float(rng.uniform(3, 15)), speed))
        time += int(rng.integers(steps_s[0] * SECOND, steps_s[1] * SECOND))
        if rng.random() < 0.01:
            time += int(rng.integers(4, 40)) * MINUTE
    return found


def doubtful_world(seed: int, faults: frozenset[str] = frozenset()) -> Counted:
    """Three hours of a crew with one car and of an officer alone with another, and faults put in."""
    rng = np.random.default_rng(seed)
    start, end = OPENING, OPENING + 3 * HOUR
    car, crew = _outing(rng, start, end)
    own, single = _outing(rng, start, end)
    tracks = {
        "R1": _reported(rng, "R1", crew, start, end, (25, 90)),
        "R2": _reported(rng, "R2", crew, start, end, (25, 90)),
        "V1": _reported(rng, "V1", car, start, end, (10, 40)),
        "R3": _reported(rng, "R3", single, start, end, (25, 90)),
        "V2": _reported(rng, "V2", own, start, end, (10, 40)),
    }

    def window() -> tuple[int, int]:
        opens = start + int(rng.integers(0, 100)) * MINUTE
        return opens, opens + int(rng.integers(10, 110)) * MINUTE + int(rng.integers(SECOND))

    def held(name: str, kind: str) -> Allocation:
        some = (None, None) if rng.random() < 0.6 else sorted(int(rng.integers(start, end)) for _ in range(2))
        return Allocation(name, kind, *some)

    if "two_devices" in faults:
        opens, closes = window()
        # Another officer somewhere else, a copy of the track 1.8 km to the east, or an old position repeated.
        ways: list[Path] = [
            _walk(rng, start, end, (float(rng.uniform(0, 6000)), 1000.0), 1, 8),
            [(time, x + 1800, y) for time, x, y in crew],
            [(start, *_along(crew, opens))],
        ]
        other = ways[int(rng.integers(len(ways)))]
        tracks["R1"] += _reported(rng, "R1", other, opens, closes, (25, 60))
    for fault, name in (("frozen_moving", "R2"), ("frozen_still", "R3")):
        if fault in faults:
            opens, closes = window()
            inside = [item for item in tracks[name] if opens <= item.time < closes]
            speeds = (
                rng.uniform(0, 9, len(inside)).tolist() if fault == "frozen_moving" else [None] * len(inside)
            )
            stuck = [
                item._replace(lon=inside[0].lon, lat=inside[0].lat, speed_mps=speed)
                for item, speed in zip(inside, speeds, strict=True)
            ]
            tracks[name] = [item for item in tracks[name] if not opens <= item.time < closes] + stuck
    if "apart" in faults:
        opens, closes = window()
        x, y = _along(single, opens)
        left = _walk(rng, opens, closes, (x, y), 0.8, 1.8)
        tracks["R3"] = [item for item in tracks["R3"] if not opens <= item.time < closes]
        tracks["R3"] += _reported(rng, "R3", left, opens, closes - 1, (25, 90))
        tracks["V2"] = [item for item in tracks["V2"] if not opens <= item.time < closes]
        drive = _walk(rng, opens, closes, _along(own, opens), 6, 16)
        tracks["V2"] += _reported(rng, "V2", drive, opens, closes - 1, (10, 40))

    patches = [("A",), ("B",), ("A", "B"), ()]

    def patch() -> tuple[str, ...]:
        return patches[int(rng.integers(4))]

    booked = [
        duty("D1", "O1", start, end, held("R1", "radio"), held("V1", "vehicle"), patch=patch()),
        duty("D2", "O2", start + 5 * MINUTE, end, held("R2", "radio"), held("V1", "vehicle"), patch=patch()),
        duty("D3", "O3", start, None, Allocation("R3", "radio"), held("V2", "vehicle"), patch=patch()),
    ]
    if "shared_radio" in faults:
        opens, closes = window()
        shared = Allocation(("R1", "R2", "R3")[int(rng.integers(3))], "radio", None, closes)
        booked.append(duty("D4", "O4", opens, end, shared, patch=patch()))
    if rng.random() < 0.3:
        booked.append(duty("D5", "O3", start + HOUR, start + 2 * HOUR, "R3", "V2", patch=patch()))
    if rng.random() < 0.2:
        booked.append(replace(booked[1], revision=2, cancelled=bool(rng.random() < 0.5)))
    keyed = [
        StateReport(
            f"O{int(rng.integers(1, 5))}", int(rng.integers(start, end)), int(rng.choice([1, 4, 6, 8, 11]))
        )
        for _ in range(int(rng.integers(0, 6)))
    ]
    reports = [item for track in tracks.values() for item in track]
    return Counted([reports[n] for n in rng.permutation(len(reports)).tolist()], booked, keyed)
