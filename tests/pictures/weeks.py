"""Twelve weeks of the demonstration force: early and late shifts, told to the database as a worker does it.

The simulator invents a new force of officers for each seed. Here the officers whom it gives a neighbourhood
become that neighbourhood's team, who take turns, so that a team has the same people week after week.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import Kind
from stream.core.calendar import Period, week_bounds
from stream.core.facts import SECOND
from stream.core.stays import take
from stream.simulate import demo_force, simulate
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import migrate
from tests.simulated import fixes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.core.facts import Duty, Fixes, StateReport
    from stream.simulate import Simulation
    from stream.store.schema import Connection

SEED = 1
WEEK = "2026-W47"
BEFORE = 11
"""Weeks before it, each of a few shifts of other days: enough for the line of the last weeks."""

SHIFTS_BEFORE = 2
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
STARTS_H = (7, 14)
HOURS, INTERVAL_S = 10.0, 30.0
OFFICERS = 56
TEAM = 8
"""Officers who share a team's shifts."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift's facts.

    Attributes:
        duties, states, fixes: as received.
    """

    duties: tuple[Duty, ...]
    states: tuple[StateReport, ...]
    fixes: Fixes

    def moved(self, by: int) -> Shift:
        """The same so many microseconds later."""
        return Shift(
            tuple(_moved(duty, by) for duty in self.duties),
            tuple(replace(state, time=state.time + by) for state in self.states),
            replace(self.fixes, time=self.fixes.time + by),
        )


def _moved(duty: Duty, by: int) -> Duty:
    assert duty.end is not None
    devices = tuple(
        item
        if item.start is None or item.end is None
        else replace(item, start=item.start + by, end=item.end + by)
        for item in duty.devices
    )
    ident = f"{duty.duty_id}-{by // DAY}"
    return replace(duty, duty_id=ident, start=duty.start + by, end=duty.end + by, devices=devices)


def shifts() -> Iterator[Shift]:
    """The shifts of the week, two a day."""
    force = demo_force(SEED)
    begin, _ = week_bounds(WEEK)
    for day in range(7):
        for turn, hour in enumerate(STARTS_H):
            simulation = simulate(
                force,
                officers=OFFICERS,
                start=begin + day * DAY + hour * HOUR,
                hours=HOURS,
                interval_s=INTERVAL_S,
                seed=SEED + 2 * day + turn,
            )
            yield _named(simulation, day, turn)


def _named(simulation: Simulation, day: int, turn: int) -> Shift:
    """A simulated shift, worked by the teams' own officers with devices of their own."""
    who: dict[str, str] = {}
    devices: dict[str, str] = {}
    counted: dict[str, int] = {}
    duties = []
    for duty in simulation.duties:
        team = duty.patch[0] if duty.patch else "DN00"
        place = counted[team] = counted.get(team, -1) + 1
        if place >= TEAM // 2 and duty.patch:
            continue
        officer = f"{int(team[2:]) * 100 + 1000 + (3 * day + place + turn * TEAM // 2) % TEAM:d}"
        if not duty.patch:
            officer = f"{2900 + place + 50 * turn:d}"
        who[duty.officer_id] = officer
        for item in duty.devices:
            devices.setdefault(
                item.device_id, f"234{officer}" if item.kind == "radio" else f"{item.device_id}{'EL'[turn]}"
            )
        title = "PCSO" if duty.role == "pcso" else "PC"
        duties.append(
            replace(
                duty,
                duty_id=f"D-{officer}-{day}",
                officer_id=officer,
                name=f"{title} {officer}",
                team=duty.team if duty.patch else "RESPONSE",
                devices=tuple(replace(item, device_id=devices[item.device_id]) for item in duty.devices),
            )
        )
    fixes = fixes_of(simulation)
    kept = np.array([name in devices for name in fixes.device_ids])
    fixes = take(fixes, kept[fixes.device])
    ids = tuple(devices.get(name, name) for name in fixes.device_ids)
    states = (
        replace(state, officer_id=who[state.officer_id])
        for state in simulation.states
        if state.officer_id in who
    )
    return Shift(tuple(duties), tuple(states), replace(fixes, device_ids=ids))


def fill(connection: Connection) -> int:
    """Writes the weeks into an empty database.

    Returns:
        the end of the last one, microseconds.
    """
    migrate(connection)
    force = demo_force(SEED)
    for kind in Kind:
        areas.publish(connection, force, kind, 0, file="demonstration", sha256="-", by="make pictures")
    ledger = Ledger(connection)
    made = list(shifts())
    chance = np.random.default_rng(SEED)
    for back in range(BEFORE, 0, -1):
        chosen = sorted(chance.choice(len(made), SHIFTS_BEFORE, replace=False).tolist())
        for number in chosen:
            _tell(ledger, made[number].moved(-7 * back * DAY))
    for shift in made:
        _tell(ledger, shift)
    connection.execute("vacuum analyze")
    return week_bounds(WEEK)[1]


def _tell(ledger: Ledger, shift: Shift) -> None:
    ledger.bookings(shift.duties, shift.states)
    ledger.positions(shift.fixes)


def period() -> Period:
    """The week that is summarised."""
    return Period.week(WEEK)
