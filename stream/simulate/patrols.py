"""A unit's day: one or two officers together, from the briefing to the end of duty.

Where they go, when, in which radio state, when indoors and when on foot: exactly, as a path of straight
pieces. What a tracker makes of it, and what it counts as, come in later rooms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely

from stream.core.facts import SECOND
from stream.simulate.plane import DEGREE_M
from stream.simulate.streets import Way

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.simulate.streets import Router

MINUTE = 60 * SECOND
_TICK = 1_000  # what officers do begins on whole milliseconds, the resolution of the messages
_BREAK = 45 * MINUTE
_WALK_MPS = 1.4
_STROLL_MPS = 1.2
_RED = 0.12  # how often a crossing makes a car wait,
_RED_S = 14.0  # and how long on average
_SLOWEST = 0.75  # what the streets' own speeds are multiplied by at worst
_TO_THE_STATION_ON_FOOT_M, _ON_FOOT_M = 1_300.0, 2_500.0


@dataclass(frozen=True, slots=True)
class Unit:
    """Officers who spend their duty together.

    Attributes:
        role: ``npt``, ``pcso`` or ``response``.
        officers: how many, 1 or 2.
        homes: numbers of the home neighbourhoods, the first one the main one; empty for response.
        base: the premises to start from and return to, its number.
        custody: the premises to take prisoners to.
        court: the premises to give evidence in.
        drives: whether they take a vehicle.
        share: the share of the duty, less the break, that they mean to spend on their patch.
        escort: the state of one longer errand, 9 or 10; ``None`` for most.
        start: duty's start, microseconds.
        end: duty's end, microseconds.
    """

    role: str
    officers: int
    homes: tuple[int, ...]
    base: int
    custody: int
    court: int
    drives: bool
    share: float
    escort: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Where something truly was: straight lines at constant speed between vertices (lon/lat degrees).

    Attributes:
        time: ``int64[v]``, microseconds, never falling.
        lon: ``float64[v]``.
        lat: ``float64[v]``.
    """

    time: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Day:
    """What a unit did, written down as it goes. All times are microseconds since 1970.

    Attributes:
        states: radio states keyed, ``(time, state)``.
        indoors: when radio waves had a hard time, ``(start, end)``.
        walks: when they left their vehicle and came back to it, ``(start, end)``.
        drives: when they had a vehicle from their base, ``(start, end)``.
    """

    unit: Unit
    router: Router
    rng: np.random.Generator
    node: int
    time: int
    states: list[tuple[int, int]] = field(default_factory=list)
    indoors: list[tuple[int, int]] = field(default_factory=list)
    walks: list[tuple[int, int]] = field(default_factory=list)
    drives: list[tuple[int, int]] = field(default_factory=list)
    _places: list[NDArray[np.float64]] = field(default_factory=list)
    _times: list[NDArray[np.int64]] = field(default_factory=list)

    def key(self, state: int) -> None:
        """Keys a radio state now."""
        if self.time < self.unit.end:
            self.states.append((self.time, state))

    def stay(self, length: float, *, indoors: bool = False) -> None:
        """Stays where it is for a while (microseconds)."""
        until = self.time + max(int(length) // _TICK, 1) * _TICK
        here = self.router.streets.degrees[self.node]
        if indoors:
            self.indoors.append((self.time, until))
        self._leg(here, here, until)

    def _leg(self, here: NDArray[np.float64], there: NDArray[np.float64], until: int) -> None:
        """Goes straight from here to there, or stays where both are one."""
        self._places.append(np.stack((here, there)))
        self._times.append(np.array((self.time, until)))
        self.time = until

    def _go(self, way: Way, seconds: NDArray[np.float64]) -> float:
        """Goes a way; tells how many microseconds of it led outside the home neighbourhoods."""
        if len(way.nodes) < 2:
            return 0.0
        times = self.time + np.rint(seconds * SECOND).astype(np.int64)
        times[-1] = -(-times[-1] // _TICK) * _TICK
        self._places.append(self.router.streets.degrees[way.nodes])
        self._times.append(times)
        took = int(times[-1]) - self.time
        self.node, self.time = int(way.nodes[-1]), int(times[-1])
        at_home = np.isin(self.router.streets.neighbourhood[way.nodes], self.unit.homes)
        return took * (1.0 - float(at_home.mean()))

    def drive(self, node: int) -> float:
        """Goes by car, waiting at some crossings; tells the time in microseconds spent off the patch."""
        way = self.router.way(self.node, node, by_car=True)
        haste = 1.25 if self.unit.role == "response" else 1.0
        pace = haste * float(self.rng.uniform(_SLOWEST, 1.05))
        red = way.crossing & (self.rng.random(len(way.nodes)) < _RED / haste)
        red[0] = red[-1] = False
        if not red.any():
            return self._go(way, way.seconds / pace)
        waits = self.rng.exponential(_RED_S, int(red.sum()))
        # A vertex where the car waits stands twice: when it comes and when it goes on.
        twice = np.repeat(np.arange(len(red)), 1 + red)
        leaving = np.zeros(len(twice), np.bool_)
        leaving[1:] = twice[1:] == twice[:-1]
        held = np.zeros(len(twice))
        held[leaving] = waits
        stopped = Way(way.nodes[twice], way.metres[twice], way.seconds[twice], way.crossing[twice])
        return self._go(stopped, stopped.seconds / pace + np.cumsum(held))

    def walk(self, node: int) -> float:
        """Goes on foot; tells the time in microseconds that was spent off the patch."""
        way = self.router.way(self.node, node, by_car=False)
        return self._go(way, way.metres / (_WALK_MPS * float(self.rng.uniform(0.9, 1.1))))

    def beat(self, number: int, length: float) -> None:
        """Walks about in a priority area, off the streets too, standing here and there, and comes back.

        Args:
            number: the area's.
            length: about how long, microseconds.
        """
        area, streets = self.router.streets.hot[number], self.router.streets
        until, start = self.time + length, streets.degrees[self.node]
        here = start
        while True:
            there = _somewhere(area, self.rng)
            back = _seconds_on_foot(there, start) * SECOND
            if self.time + _seconds_on_foot(here, there) * SECOND + back > until:
                break
            self._cross(here, there)
            stand = min(float(self.rng.exponential(100.0)) * SECOND, until - self.time - back)
            if stand > 2 * _TICK:
                self._leg(there, there, self.time + int(stand) // _TICK * _TICK)
            here = there
        if here is start:
            self.stay(max(until - self.time, 1.0))
        else:
            self._cross(here, start)

    def _cross(self, here: NDArray[np.float64], there: NDArray[np.float64]) -> None:
        ticks = max(-(-int(_seconds_on_foot(here, there) * SECOND) // _TICK), 1)
        self._leg(here, there, self.time + ticks * _TICK)

    def walkable(self, node: int, most_m: float) -> bool:
        """Whether a node is at most so many metres away on foot; ways are looked for only where it may be."""
        degrees = self.router.streets.degrees
        crow = _seconds_on_foot(degrees[self.node], degrees[node]) * _STROLL_MPS
        return crow < most_m and self.metres_to(node) < most_m

    def metres_to(self, node: int) -> float:
        """Metres to a node on foot."""
        return float(self.router.way(self.node, node, by_car=False).metres[-1])

    def drive_to(self, node: int, start: int | None = None) -> float:
        """How many seconds a slow drive to a node takes, from here or from another node."""
        way = self.router.way(self.node if start is None else start, node, by_car=True)
        return float(way.seconds[-1]) / _SLOWEST + _RED * _RED_S * int(way.crossing.sum())

    def path(self) -> Path:
        """The way gone, cut off at the end of the duty."""
        time = np.concatenate(self._times)
        lon, lat = np.concatenate(self._places).T
        end = self.unit.end
        if time[-1] > end:
            kept = int(np.searchsorted(time, end))
            lon = np.append(lon[:kept], np.interp(end, time, lon))
            lat = np.append(lat[:kept], np.interp(end, time, lat))
            time = np.append(time[:kept], end)
        distinct = np.ones(len(time), np.bool_)
        distinct[1:] = (np.diff(time) > 0) | (np.diff(lon) != 0) | (np.diff(lat) != 0)
        return Path(time[distinct], lon[distinct], lat[distinct])


def _somewhere(area: shapely.Geometry, rng: np.random.Generator) -> NDArray[np.float64]:
    """A point in an area, lon and lat on a lattice of 1e-6 degrees."""
    west, south, east, north = area.bounds
    for _ in range(50):
        point: NDArray[np.float64] = np.round(rng.uniform((west, south), (east, north)), 6)
        if shapely.contains_xy(area, *point):
            return point
    within: NDArray[np.float64] = shapely.get_coordinates(shapely.point_on_surface(area))[0]
    return within


def _seconds_on_foot(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
    step = (there - here) * DEGREE_M
    return float(np.hypot(step[0] * np.cos(np.radians(here[1])), step[1])) / _STROLL_MPS


def day(unit: Unit, router: Router, rng: np.random.Generator) -> Day:
    """Lives through a unit's duty.

    The share of time on the patch is steered: errands elsewhere are taken on as long as there is time for
    them in what the unit may be away, so that neighbourhoods differ as they do in life.
    """
    street = router.streets
    base = int(street.premises[unit.base])
    log = Day(unit, router, rng, base, unit.start)
    length = unit.end - unit.start
    rest = _BREAK if length >= 6 * 60 * MINUTE else 0
    rest_at = unit.start + length * float(rng.uniform(0.4, 0.6))
    errand_at = unit.start + length * float(rng.uniform(0.15, 0.75))
    errand = unit.escort
    closing = min(rng.uniform(4, 10) * MINUTE, 0.03 * length)
    purse = (1.0 - unit.share) * (length - rest)  # time that may be spent away

    log.stay(min(rng.uniform(5, 14) * MINUTE, 0.04 * length), indoors=True)
    away = float(log.time - unit.start)
    taken = log.time
    log.key(2)
    away += _out(log)

    while True:
        back = _seconds_back(log, base) * SECOND
        left = unit.end - log.time - back - closing
        if left < 3 * MINUTE:
            break
        spare = purse - away - closing - back
        if rest and log.time >= rest_at and left > rest + 15 * MINUTE:
            away, taken = _rest(log, base, rest, away, taken)
            rest = 0
        elif errand is not None and log.time >= errand_at and left > 90 * MINUTE:
            away += _escort(log, errand)
            errand = None
        elif (
            unit.homes
            and min(spare, left - 20 * MINUTE) > 6 * MINUTE
            and away < purse * (log.time - unit.start) / length - 5 * MINUTE
        ):
            away += _elsewhere(log, min(left, spare + 8 * MINUTE))
        elif not unit.homes and rng.random() < 0.08:
            away += log.drive(base)
            log.stay(rng.uniform(8, 25) * MINUTE, indoors=True)
        else:
            away += _on_patrol(log, left)
    # Home again, the papers, the end.
    _home(log, base)
    if unit.drives:
        log.drives.append((taken, min(log.time, unit.end)))
    if log.time < unit.end:
        log.stay(unit.end - log.time, indoors=True)
    log.states = [each for each in log.states if each[0] < unit.end]
    return log


def _seconds_back(log: Day, base: int) -> float:
    if not log.unit.drives and log.walkable(base, _TO_THE_STATION_ON_FOOT_M):
        return log.metres_to(base) / (_WALK_MPS * 0.9)
    return log.drive_to(base)


def _home(log: Day, base: int) -> float:
    """Back to the base: on foot where it is near, else by car, their own or a lift."""
    if not log.unit.drives and log.walkable(base, _TO_THE_STATION_ON_FOOT_M):
        return log.walk(base)
    return log.drive(base)


def _out(log: Day) -> float:
    """From the base to the patch."""
    street = log.router.streets
    if not log.unit.homes:
        return _on_patrol(log, 60 * MINUTE)
    node = int(log.rng.choice(street.calls[log.unit.homes[0]][:4]))
    return _home(log, node)


def _choose(log: Day, places: NDArray[np.int64], reach_m: float) -> int:
    """One of several places, rather a near one, not the one here."""
    far = log.router.streets.metres_from(log.node, places)
    weight = np.where(places == log.node, 0.0, np.exp(-far / reach_m) + 1e-9)
    if weight.sum() == 0.0:
        return log.node
    return int(places[np.searchsorted(np.cumsum(weight) / weight.sum(), log.rng.random(), side="right")])


def _on_patrol(log: Day, left: float) -> float:
    """One stage of a patrol: somewhere new, and some time there. Tells the time off the patch."""
    street, rng, unit = log.router.streets, log.rng, log.unit
    homes = unit.homes or (int(rng.choice(_not_home(log))),)
    call = rng.random() < (0.15 if unit.homes else 0.7)
    beats = [each for home in homes for each in street.beats[home]]
    beat = beats[int(rng.integers(len(beats)))] if beats and not call and rng.random() < 0.4 else None
    places = np.concatenate([street.calls[home] for home in homes])
    to = _choose(log, places, 3_000.0 if unit.drives else 600.0) if beat is None else beat[1]
    by_car = unit.drives or not log.walkable(to, _ON_FOOT_M)
    base = int(street.premises[unit.base])
    there = log.drive_to(to) if by_car else log.metres_to(to) / (_WALK_MPS * 0.9)
    further = log.drive_to(base, to) - log.drive_to(base)
    left_there = left - (there + max(further, 0.0)) * SECOND
    if left_there < 2 * MINUTE:
        log.stay(min(left, rng.uniform(3, 8) * MINUTE))
        return 0.0
    if call:
        log.key(5)
    away = log.drive(to) if by_car else log.walk(to)
    if call:
        log.key(6)
    loop = (
        [int(each) for each in places if each != log.node and log.walkable(int(each), 700.0)]
        if by_car and beat is None
        else []
    )
    if beat is not None:
        _beat(log, beat[0], left_there, by_car=by_car)
    elif loop and not call and left_there > 25 * MINUTE and rng.random() < 0.5:
        start, car = log.time, log.node
        away += log.walk(loop[int(rng.integers(len(loop)))])
        log.stay(rng.uniform(1, 5) * MINUTE)
        away += log.walk(car)
        log.walks.append((start, log.time))
    else:
        log.stay(
            min(rng.uniform(2, 11) * MINUTE, left_there), indoors=bool(rng.random() < (0.5 if call else 0.2))
        )
    if call:
        log.key(2)
    return away


def _beat(log: Day, number: int, most: float, *, by_car: bool) -> None:
    """Some minutes in a priority area, most often seven to fifteen; on foot, the vehicle stays outside."""
    start = log.time
    log.beat(number, min(float(log.rng.lognormal(np.log(9.5), 0.55)), 40.0, most / MINUTE) * MINUTE)
    if by_car:
        log.walks.append((start, log.time))


def _not_home(log: Day) -> NDArray[np.int64]:
    """The neighbourhoods that have streets, but for the unit's own."""
    calls = log.router.streets.calls
    return np.array([at for at, own in enumerate(calls) if len(own) and at not in log.unit.homes], np.int64)


def _elsewhere(log: Day, most: float) -> float:
    """Help in another neighbourhood, or papers at the station. Tells the time off the patch."""
    street, rng, unit = log.router.streets, log.rng, log.unit
    others = _not_home(log)
    if not len(others) or most < 22 * MINUTE or rng.random() < 0.35:
        away = _home(log, int(street.premises[unit.base]))
        before = log.time
        log.stay(min(rng.uniform(6, 22) * MINUTE, max(most, 4 * MINUTE)), indoors=True)
        return away + log.time - before
    goal = _choose(log, street.centre[others], 3_500.0)
    other = int(others[street.centre[others] == goal][0])
    if street.beats[other] and rng.random() < 0.3:
        # A hand lent to the neighbours' priority area: no call, so no state is keyed.
        number, to = street.beats[other][int(rng.integers(len(street.beats[other])))]
        away = log.drive(to)
        before = log.time
        _beat(log, number, max(most - away * 2, 5 * MINUTE), by_car=True)
        return away + log.time - before + log.drive(int(street.centre[unit.homes[0]]))
    to = int(rng.choice(street.calls[other]))
    log.key(5)
    away = log.drive(to)
    log.key(6)
    before = log.time
    log.stay(
        min(rng.uniform(8, 35) * MINUTE, max(most - away * 2, 5 * MINUTE)), indoors=bool(rng.random() < 0.5)
    )
    away += log.time - before
    log.key(2)
    return away + log.drive(int(street.centre[unit.homes[0]]))


def _escort(log: Day, state: int) -> float:
    """A prisoner to custody (9), or evidence in court (10). Tells the time away."""
    street, rng = log.router.streets, log.rng
    start = log.time
    place = log.unit.custody if state == 9 else log.unit.court
    log.key(state)
    log.drive(int(street.premises[place]))
    log.stay(rng.uniform(20, 45) * MINUTE, indoors=True)
    log.key(2)
    return float(log.time - start)


def _rest(log: Day, base: int, rest: int, away: float, taken: int) -> tuple[float, int]:
    """Refreshments, at the station or in a café near by; at the station the vehicle may change."""
    rng, unit = log.rng, log.unit
    at_base = rng.random() < 0.5
    if at_base:
        away += _home(log, base)
        back = log.time
    log.key(4)
    log.stay(rest, indoors=True)
    log.key(2)
    if not at_base:
        return away, taken
    if unit.drives and rng.random() < 0.6:
        log.drives.append((taken, back))
        taken = log.time
    return away + _out(log), taken
