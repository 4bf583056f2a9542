"""The roster: who is on duty, in which units, with which radios and vehicles, and how the bookings say so.

Units are made from the force and a seed; their days are lived in the room before. No positions are made here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import Kind
from stream.core.facts import SECOND, Allocation, Duty
from stream.simulate.patrols import MINUTE, Path, Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.simulate.patrols import Day
    from stream.simulate.streets import Streets

_MIX = (("npt", 0.60), ("response", 0.25), ("pcso", 0.15))
_TITLE = {"npt": "PC", "response": "PC", "pcso": "PCSO"}
_FIRST_OFFICER, _FIRST_RADIO = 1001, 2_345_001


def units(
    force: AreaSet, street: Streets, officers: int, *, start: int, end: int, rng: np.random.Generator
) -> list[Unit]:
    """Puts officers into units of one or two.

    Raises:
        ValueError: the force has no premises to start from, or none near a street.
    """
    premises = [at for at, kind in enumerate(force.kind) if kind == Kind.PREMISES]
    if not premises:
        raise ValueError("the force has no premises; patrols need a station to start from")
    open_ = [at for at, node in enumerate(street.premises.tolist()) if node >= 0]
    if not open_:
        raise ValueError("no premises are near a street; patrols need a station to start from")
    uses = {at: force.attributes[premises[at]].get("use", "") for at in open_}
    stations = [at for at, use in uses.items() if "station" in use] or open_
    custody = next((at for at, use in uses.items() if "custody" in use), stations[0])
    court = next((at for at, use in uses.items() if "court" in use), stations[0])
    shares = _shares(len(street.centre), rng)
    patrolled = np.flatnonzero(street.centre >= 0)
    order = rng.permutation(patrolled)
    hours_long = (end - start) / (60 * MINUTE)
    stagger = min(10 * MINUTE, 0.02 * (end - start))

    made: list[Unit] = []
    count = dict.fromkeys(_TITLE, 0)
    turn = 0
    while (so_far := sum(count.values())) < officers:
        role = min(_MIX, key=lambda each: (count[each[0]] + 1) / each[1])[0]
        pair = so_far + 2 <= officers and rng.random() < {"npt": 0.3, "response": 0.5, "pcso": 0.25}[role]
        size = 2 if pair else 1
        count[role] += size
        if role == "response":
            homes: tuple[int, ...] = ()
            base = stations[int(rng.integers(len(stations)))]
            share, drives = 0.0, True
        else:
            home = int(order[turn % len(order)])
            turn += 1
            far = street.metres_from(int(street.centre[home]), street.premises[stations])
            base = stations[int(np.argmin(far))]
            homes = (home,)
            if role == "npt" and size == 1 and len(order) > 1 and rng.random() < 0.08:
                far_off = street.metres_from(int(street.centre[home]), street.centre[patrolled])
                homes = (home, int(patrolled[np.argsort(far_off, kind="stable")[1]]))
            share = float((shares[home] + rng.normal(0, 0.03)).clip(0.4, 0.94))
            drives = role == "npt" and (far.min() > 1_300.0 or bool(rng.random() < 0.5))
        escort = None
        if hours_long >= 4 and rng.random() < 0.05 and role != "pcso":
            escort = 9 if rng.random() < 0.7 else 10
        early, late = (_whole_seconds(rng.uniform(0, stagger)) for _ in range(2))
        made.append(
            Unit(role, size, homes, base, custody, court, drives, share, escort, start + early, end - late)
        )
    return made


def _shares(neighbourhoods: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The share that each neighbourhood's officers mean to reach: some in the 60s, most from 75 to 90%."""
    quantile = (np.arange(neighbourhoods) + rng.uniform(0.3, 0.7)) / max(neighbourhoods, 1)
    spread: NDArray[np.float64] = np.interp(
        quantile, (0.0, 0.15, 0.25, 0.8, 1.0), (0.64, 0.71, 0.79, 0.90, 0.94)
    )
    mixed: NDArray[np.float64] = spread[rng.permutation(neighbourhoods)]
    return mixed


def _whole_seconds(length: float) -> int:
    return int(length) // SECOND * SECOND


def vehicles(days: list[Day]) -> tuple[list[list[Allocation]], list[str], list[Path]]:
    """Gives every outing a vehicle that stands free at the unit's base, a new one where there is none.

    Returns:
        ``(allocations of each unit, vehicle ids, each vehicle's true path)``. A vehicle stands in the yard
        when nobody has it, and where its crew left it when they walk.
    """
    trips = sorted(
        (start, end, number) for number, day in enumerate(days) for start, end in day.drives if start < end
    )
    fleet: dict[int, list[tuple[int, int]]] = {}  # base: (free from, vehicle)
    ids: list[str] = []
    pieces: list[list[Path]] = []
    given: list[list[Allocation]] = [[] for _ in days]
    for start, end, number in trips:
        day = days[number]
        yard = fleet.setdefault(day.unit.base, [])
        last = given[number][-1].device_id if given[number] else None
        free = [at for at, (since, car) in enumerate(yard) if since <= start and ids[car] != last]
        if free:
            _, car = yard.pop(free[0])
        else:
            car = len(ids)
            ids.append(_plate(car))
            pieces.append([])
        pieces[car].append(_driven(day, start, end))
        if end < day.unit.end:
            yard.append((end, car))
        given[number].append(Allocation(ids[car], "vehicle", start, end))
    return given, ids, [_joined(each) for each in pieces]


def _plate(number: int) -> str:
    """Seven characters, like every device id here: the messages are made in columns of one width."""
    letters = "".join(chr(65 + number // 26**place % 26) for place in (2, 1, 0))
    return f"DV26{letters}"


def _driven(day: Day, start: int, end: int) -> Path:
    """A vehicle's part of its crew's path: without their walks."""
    path = day.path()
    kept = (path.time >= start) & (path.time <= end)
    for left, back in day.walks:
        kept &= (path.time <= left) | (path.time >= min(back, day.unit.end))
    # A walk that the end of duty cut short leaves the car where it was.
    cut = [left for left, back in day.walks if back > day.unit.end]
    if cut:
        kept &= path.time <= cut[0]
    return Path(path.time[kept], path.lon[kept], path.lat[kept])


def _joined(pieces: list[Path]) -> Path:
    return Path(
        np.concatenate([each.time for each in pieces]),
        np.concatenate([each.lon for each in pieces]),
        np.concatenate([each.lat for each in pieces]),
    )


def duties(
    force: AreaSet, units_: list[Unit], given: list[list[Allocation]], rng: np.random.Generator
) -> tuple[list[tuple[Duty, ...]], list[tuple[int, Duty]]]:
    """Books everybody on.

    Returns:
        ``(the final duties of each unit's officers, every revision as (send time, duty) in sending order)``.
        The first revision is known some minutes ahead with the radio alone; each vehicle taken or handed back
        makes another; one duty in five has no end until it ends.
    """
    names = [id_ for id_, kind in zip(force.area_id, force.kind, strict=True) if kind == Kind.NEIGHBOURHOOD]
    final: list[tuple[Duty, ...]] = []
    sent: list[tuple[int, Duty]] = []
    officer = _FIRST_OFFICER
    for unit, cars in zip(units_, given, strict=True):
        crew = []
        for _ in range(unit.officers):
            radio = Allocation(str(_FIRST_RADIO + officer - _FIRST_OFFICER), "radio")
            whole = Duty(
                duty_id=f"D-{officer}-{np.datetime64(unit.start, 'us').item():%Y%m%d}",
                revision=1,
                officer_id=str(officer),
                start=unit.start,
                end=unit.end,
                patch=tuple(sorted(names[home] for home in unit.homes)),
                devices=(radio, *cars),
                name=f"{_TITLE[unit.role]} {officer}",
                role=unit.role,
                team=names[unit.homes[0]] if unit.homes else f"RESPONSE-{unit.base + 1}",
            )
            open_ended = bool(rng.random() < 0.2)
            revisions = _revisions(whole, open_ended=open_ended, ahead=int(rng.integers(120, 900)) * SECOND)
            sent += revisions
            crew.append(revisions[-1][1])
            officer += 1
        final.append(tuple(crew))
    return final, sorted(sent, key=lambda each: (each[0], each[1].duty_id))


def _revisions(whole: Duty, *, open_ended: bool, ahead: int) -> list[tuple[int, Duty]]:
    radio, cars = whole.devices[0], whole.devices[1:]
    until = None if open_ended else whole.end
    rows = [(whole.start - ahead, replace(whole, end=until, devices=(radio,)))]
    for at, car in enumerate(cars):
        assert car.start is not None
        assert car.end is not None
        taken = (radio, *cars[:at], replace(car, end=None))
        rows.append((car.start, replace(whole, end=until, devices=taken, revision=len(rows) + 1)))
        back = (radio, *cars[: at + 1])
        rows.append((car.end, replace(whole, end=until, devices=back, revision=len(rows) + 1)))
    if open_ended:
        assert whole.end is not None
        rows.append((whole.end, replace(whole, revision=len(rows) + 1)))
    return rows
