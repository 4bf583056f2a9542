"""A unit's day: one or two officers together, from the briefing to the end of duty.

Where they go, when, in which radio state, when indoors and when on foot: exactly, as a path of straight
pieces. What a tracker makes of it, and what it counts as, come in later rooms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stream.facts import SECOND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.simulate.streets import Router

MINUTE = 60 * SECOND
_TICK = 1_000  # what officers do begins on whole milliseconds, the resolution of the messages
_BREAK = 45 * MINUTE
_WALK_MPS = 1.4
_TO_THE_STATION_ON_FOOT_M = 1_300.0


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
    _nodes: list[NDArray[np.int64]] = field(default_factory=list)
    _times: list[NDArray[np.int64]] = field(default_factory=list)

    def key(self, state: int) -> None:
        """Keys a radio state now."""
        if self.time < self.unit.end:
            self.states.append((self.time, state))

    def stay(self, length: float, *, indoors: bool = False) -> None:
        """Stays where it is for a while (microseconds)."""
        until = self.time + max(int(length) // _TICK, 1) * _TICK
        self._nodes.append(np.array((self.node, self.node)))
        self._times.append(np.array((self.time, until)))
        if indoors:
            self.indoors.append((self.time, until))
        self.time = until

    def go(self, node: int, speed_mps: float) -> float:
        """Goes to a node; tells how many microseconds of the way led through the home neighbourhoods."""
        nodes, gone = self.router.way(self.node, node)
        if len(nodes) < 2:
            return 0.0
        times = self.time + np.rint(gone / speed_mps * SECOND).astype(np.int64)
        times[-1] = -(-times[-1] // _TICK) * _TICK
        self._nodes.append(nodes)
        self._times.append(times)
        took = int(times[-1]) - self.time
        self.node, self.time = node, int(times[-1])
        at_home = np.isin(self.router.streets.neighbourhood[nodes], self.unit.homes)
        return took * float(at_home.mean())

    def drive(self, node: int) -> float:
        """Goes by car; tells the time in microseconds that was spent off the patch."""
        before = self.time
        urgent = self.unit.role == "response"
        at_home = self.go(node, float(self.rng.uniform(10.0 if urgent else 8.0, 14.0)))
        return self.time - before - at_home

    def walk(self, node: int) -> float:
        """Goes on foot; tells the time in microseconds that was spent off the patch."""
        before = self.time
        at_home = self.go(node, _WALK_MPS * float(self.rng.uniform(0.9, 1.1)))
        return self.time - before - at_home

    def metres_to(self, node: int) -> float:
        """Metres to a node along the streets."""
        return float(self.router.way(self.node, node)[1][-1])

    def path(self) -> Path:
        """The way gone, cut off at the end of the duty."""
        nodes, time = np.concatenate(self._nodes), np.concatenate(self._times)
        lon, lat = self.router.streets.degrees[nodes].T
        end = self.unit.end
        if time[-1] > end:
            kept = int(np.searchsorted(time, end))
            lon = np.append(lon[:kept], np.interp(end, time, lon))
            lat = np.append(lat[:kept], np.interp(end, time, lat))
            time = np.append(time[:kept], end)
        distinct = np.ones(len(time), np.bool_)
        distinct[1:] = (np.diff(time) > 0) | (np.diff(lon) != 0) | (np.diff(lat) != 0)
        return Path(time[distinct], lon[distinct], lat[distinct])


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
        back = log.metres_to(base) / _speed_back(log) * SECOND
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


def _speed_back(log: Day) -> float:
    near = (
        not log.unit.drives
        and log.metres_to(int(log.router.streets.premises[log.unit.base])) < _TO_THE_STATION_ON_FOOT_M
    )
    return _WALK_MPS * 0.9 if near else 9.0


def _home(log: Day, base: int) -> float:
    """Back to the base: on foot where it is near, else by car, their own or a lift."""
    if not log.unit.drives and log.metres_to(base) < _TO_THE_STATION_ON_FOOT_M:
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
    degrees = log.router.streets.degrees
    step = (degrees[places] - degrees[log.node]) * (68_000.0, 111_195.0)
    far = np.hypot(step[:, 0], step[:, 1])
    weight = np.where(places == log.node, 0.0, np.exp(-far / reach_m) + 1e-9)
    if weight.sum() == 0.0:
        return log.node
    return int(places[np.searchsorted(np.cumsum(weight) / weight.sum(), log.rng.random(), side="right")])


def _on_patrol(log: Day, left: float) -> float:
    """One stage of a patrol: somewhere new, and some time there. Tells the time off the patch."""
    street, rng, unit = log.router.streets, log.rng, log.unit
    if unit.homes:
        places = np.concatenate([street.calls[home] for home in unit.homes])
    else:
        places = street.calls[int(rng.integers(len(street.calls)))]
    call = rng.random() < (0.15 if unit.homes else 0.7)
    to = _choose(log, places, 3_000.0 if unit.drives else 600.0)
    by_car = unit.drives or log.metres_to(to) > 2_500
    base, pace = int(street.premises[unit.base]), (9.0 if by_car else 1.25)
    further = float(log.router.way(to, base)[1][-1]) - log.metres_to(base)
    left_there = left - (log.metres_to(to) / pace + max(further, 0.0) / 9.0) * SECOND
    if left_there < 2 * MINUTE:
        log.stay(min(left, rng.uniform(3, 8) * MINUTE))
        return 0.0
    if call:
        log.key(5)
    away = log.drive(to) if by_car else log.walk(to)
    if call:
        log.key(6)
    loop = (
        [int(each) for each in places if each != log.node and log.metres_to(int(each)) < 700.0]
        if by_car
        else []
    )
    if by_car and loop and not call and left_there > 25 * MINUTE and rng.random() < 0.5:
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


def _elsewhere(log: Day, most: float) -> float:
    """Help in another neighbourhood, or papers at the station. Tells the time off the patch."""
    street, rng, unit = log.router.streets, log.rng, log.unit
    others = np.array([at for at in range(len(street.calls)) if at not in unit.homes], np.int64)
    if not len(others) or most < 22 * MINUTE or rng.random() < 0.35:
        away = _home(log, int(street.premises[unit.base]))
        before = log.time
        log.stay(min(rng.uniform(6, 22) * MINUTE, max(most, 4 * MINUTE)), indoors=True)
        return away + log.time - before
    goal = _choose(log, street.centre[others], 3_500.0)
    to = int(rng.choice(street.calls[int(others[street.centre[others] == goal][0])]))
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
