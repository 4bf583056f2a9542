"""A whole force's quarter, put straight into the tables: 2,700 officers, thirteen weeks, millions of slices.

Too many positions to be told one by one, so none are: stays are drawn (some half an hour in one place, mostly
the own ward), slices are counted from them by the core as ever, and both are copied in as closed rows, week
after week, as a pipeline would have left them. Primary keys are made when all is in; the exclusion
constraints, which nobody reads by, are not made again: they would take longer than all the rest. Everything
follows from the seed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN
from geo.matching.places import Place, PlaceIndex
from stream.core.calendar import day_start
from stream.core.columns import offsets
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import Policies
from stream.core.shares import totals
from stream.core.slices import slices
from stream.core.stays import Stays
from stream.store import areas as area_tables
from stream.store.columns import BinaryColumn, copy_in
from stream.store.schema import migrate
from tests.real import DATA
from tests.tessellations import wiggly_world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from stream.core.slices import Slices
    from stream.store.schema import Connection

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
MONDAY = date(2026, 8, 24)
"""The first day: the clocks go back in the ninth week."""

STAY_MIN = 25.0
CAR_STAY_MIN = 60.0
SHIFTS = 5
OFFICERS_A_CAR = 6
STARTS = (8, 14, 22)


def force() -> tuple[str, AreaSet]:
    """The real wards, priority areas and premises, else made-up ones of like size."""
    if not DATA.is_dir():
        return "made-up wards", wiggly_world(1, 171, 17_000, priorities=40)
    rows = []
    for file, kind, id_, name in (
        ("wards_leicestershire.geojson", Kind.NEIGHBOURHOOD, "WD13CD", "WD13NM"),
        ("priority_areas.geojson", Kind.PRIORITY, "area_id", "name"),
        ("premises.geojson", Kind.PREMISES, "area_id", "name"),
    ):
        for feature in json.loads((DATA / file).read_text(encoding="utf-8"))["features"]:
            about = feature["properties"]
            said = {key: str(about[key]) for key in ("issue", "days", "hours") if about.get(key)}
            shape = shapely.geometry.shape(feature["geometry"])
            rows.append(Area(kind, about[id_], about[name], shape, said))
    return "real wards", AreaSet.of(rows)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where one can be, as places: numbers into ``places``.

    Attributes:
        wards: ids, sorted.
        own: by ward, its places, the plain one many times over; every one is in it.
        anywhere: places of all wards with priority areas or premises among them.
    """

    places: list[Place]
    wards: list[str]
    own: list[NDArray[np.int32]]
    anywhere: NDArray[np.int32]

    @classmethod
    def of(cls, areas: AreaSet, chance: Generator) -> Ground:
        """Asks the index for the places of points within each area."""
        index = PlaceIndex(areas)
        points = [
            chance.uniform(shapely.bounds(shape)[:2], shapely.bounds(shape)[2:], (60, 2))
            for shape in areas.geometry
        ]
        table = np.concatenate(points)
        found = [index.place(number).exact() for number in index.locate(table[:, 0], table[:, 1]).tolist()]
        wards = sorted(areas.only(Kind.NEIGHBOURHOOD).area_id)
        places: list[Place] = sorted(
            set(found), key=lambda place: (place.neighbourhood or "", place.premises or "", place.priorities)
        )
        plain = list(places)
        own = []
        for at, ward in enumerate(wards):
            mine = [number for number, place in enumerate(plain) if place.neighbourhood == ward]
            # Near the border of the next ward in the list, whichever it is: only that it is another matters.
            near = [
                Place(ward, None, (), (wards[at - 1],)),
                Place(ward, None, (), tuple(sorted(("", wards[at - 1])))),
            ]
            places += near
            bare = next(number for number in mine if plain[number] == Place(ward, None, ()))
            own.append(np.array([bare] * 2 * len(mine) + mine + [len(places) - 1, len(places) - 2], np.int32))
        special = [number for number, place in enumerate(plain) if place.priorities or place.premises]
        return cls(places, wards, own, np.array(special * 3 + list(range(len(plain))), np.int32))


def fill(connection: Connection, *, officers: int, weeks: int, seed: int = 1) -> tuple[str, Sequence[str]]:
    """Makes the schema and fills it; gives where the boundaries come from and the neighbourhoods' ids."""
    chance = np.random.default_rng(seed)
    name, areas = force()
    migrate(connection)
    for kind in sorted(set(areas.kind)):
        area_tables.publish(connection, areas, kind, 0, file=f"{kind}.geojson", sha256="ab" * 32, by="bench")
    ground = Ground.of(areas, chance)
    _Filling(connection, chance, ground, officers).run(weeks)
    return name, ground.wards


class _Filling:
    """Puts a week at a time into the tables."""

    def __init__(self, connection: Connection, chance: Generator, ground: Ground, officers: int) -> None:
        self._connection = connection
        self._chance = chance
        self._ground = ground
        self._officers = officers
        cars = -(-officers // OFFICERS_A_CAR)
        self._device_ids = (
            *(f"R{number:05}" for number in range(officers)),
            *(f"V{number:05}" for number in range(cars)),
        )
        self._duties = 0
        self._last = np.zeros(len(self._device_ids), np.int64)

    def run(self, weeks: int) -> None:
        """All of it; keys are the numbers plus one, as the identity columns would give them."""
        with self._connection.transaction():
            held = self._without_constraints()
            self._names()
            for week in range(weeks):
                self._week(week)
            self._ends()
            for table, constraint, text in held:
                self._connection.execute(f"alter table {table} add constraint {constraint} {text}".encode())
        self._connection.execute("vacuum analyze")

    def _without_constraints(self) -> list[tuple[str, str, str]]:
        held = [
            (str(table), str(name), str(text))
            for table, name, text in self._connection.execute(
                "select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint "
                "where conrelid in ('stay'::regclass, 'slice'::regclass) and contype in ('p', 'x') "
                "order by contype desc"
            ).fetchall()
        ]
        for table, name, _ in held:
            self._connection.execute(f"alter table {table} drop constraint {name}".encode())
        return [row for row in held if row[2].startswith("PRIMARY KEY")]

    def _copy(self, what: str, rows: Sequence[Sequence[object]]) -> None:
        with self._connection.cursor().copy(f"copy {what} from stdin".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def _names(self) -> None:
        self._copy("device (device_id)", [(name,) for name in self._device_ids])
        self._copy("officer (officer_id)", [(f"O{number:05}",) for number in range(self._officers)])
        self._connection.execute("delete from place")
        self._connection.execute("alter table place alter place restart with 1")
        self._copy(
            "place (neighbourhood, premises, priorities, near)",
            [
                (place.neighbourhood, place.premises, list(place.priorities), list(place.near))
                for place in self._ground.places
            ],
        )

    def _home(self, officer: int, week: int) -> int:
        """Their ward; one in forty changes it after six weeks."""
        return (officer + (week >= 6) * (officer % 40 == 0)) % len(self._ground.wards)

    def _booked(self, week: int) -> tuple[list[Duty], list[StateReport]]:
        chance = self._chance
        duties, states = [], []
        meals = chance.integers(2 * HOUR, 6 * HOUR, (self._officers, SHIFTS))
        minute = chance.integers(0, MINUTE, (self._officers, SHIFTS))
        calls = chance.integers(0, 9 * HOUR, (self._officers, SHIFTS, 3))
        codes = chance.choice(
            (6, 5, 7, 3, 8, 9, 10), (self._officers, SHIFTS), p=(0.4, 0.2, 0.1, 0.15, 0.07, 0.04, 0.04)
        )
        for officer in range(self._officers):
            home = self._home(officer, week)
            ward = self._ground.wards[home]
            for shift in range(SHIFTS):
                day = MONDAY + timedelta(days=7 * week + (shift + officer) % 7)
                start = day_start(day) + STARTS[(officer // 7 + week) % 3] * HOUR
                devices = [Allocation(self._device_ids[officer], "radio")]
                if (officer + shift) % 2:
                    car = self._device_ids[self._officers + officer // OFFICERS_A_CAR]
                    devices.append(Allocation(car, "vehicle", start + HOUR, start + 6 * HOUR))
                duties.append(
                    Duty(
                        duty_id=f"D{week:02}-{officer:05}-{shift}",
                        revision=1,
                        officer_id=f"O{officer:05}",
                        start=start,
                        end=start + 10 * HOUR,
                        patch=(ward,) if officer % 9 else (),
                        devices=tuple(devices),
                        name=f"PC {officer:05}",
                        role="npt" if officer % 9 else "response",
                        team=f"T{home // 4:02}",
                    )
                )
                meal = start + int(meals[officer, shift]) + int(minute[officer, shift])
                first, second, third = sorted((start + calls[officer, shift]).tolist())
                states += [
                    StateReport(f"O{officer:05}", time, state)
                    for time, state in (
                        *((meal, 4), (meal + 40 * MINUTE, 2), (first, int(codes[officer, shift]))),
                        *((second, 2), (third, 6)),
                    )
                ]
        return duties, states

    def _drawn(
        self, low: NDArray[np.int64], high: NDArray[np.int64], home: NDArray[np.int64], minutes: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Stays that tile intervals: whose, start, end, place."""
        chance = self._chance
        count = np.maximum(1, chance.poisson((high - low) / (minutes * MINUTE)))
        whose = np.repeat(np.arange(len(low)), count)
        cut = chance.uniform(0, 1, len(whose))
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
        cut[bounds[:-1]] = 0.0
        start = low[whose] + (cut * (high - low)[whose]).astype(np.int64)
        order = np.lexsort((start, whose))
        start = start[order]
        end = np.append(start[1:], 0)
        end[bounds[1:] - 1] = high
        own = self._ground.own
        sizes = np.array([len(row) for row in own])
        first = offsets(np.repeat(np.arange(len(own)), sizes), len(own))[:-1]
        ward = home[whose]
        place = np.concatenate(own)[first[ward] + chance.integers(0, sizes[ward])]
        luck = chance.uniform(0, 1, len(whose))
        place = np.where(luck < 0.18, chance.choice(self._ground.anywhere, len(whose)), place)
        place = np.where(luck > 0.97, UNKNOWN, place).astype(np.int32)
        kept = start < end
        return whose[kept], start[kept], end[kept], place[kept]

    def _week(self, week: int) -> None:
        duties, states = self._booked(week)
        officer = np.repeat(np.arange(self._officers), SHIFTS)
        home = np.array([self._home(number, week) for number in range(self._officers)])
        opens = np.array([duty.start for duty in duties], np.int64)
        whose, start, end, place = self._drawn(opens, opens + 10 * HOUR, home[officer], STAY_MIN)
        cars = len(self._device_ids) - self._officers
        monday = day_start(MONDAY + timedelta(days=7 * week))
        low, high = (np.full(cars, time, np.int64) for time in (monday, monday + 7 * 24 * HOUR))
        car, car_start, car_end, car_place = self._drawn(
            low, high, home[np.arange(cars) * OFFICERS_A_CAR % self._officers], CAR_STAY_MIN
        )
        found = Stays(
            np.concatenate([officer[whose], car + self._officers]).astype(np.int32),
            np.concatenate([start, car_start]),
            np.concatenate([end, car_end]),
            np.concatenate([place, car_place]).astype(np.int32),
        )
        order = np.lexsort((found.start, found.device))
        found = Stays(found.device[order], found.start[order], found.end[order], found.place[order])
        np.maximum.at(self._last, found.device, found.end)
        counted = slices(duties, found, self._device_ids, states, self._ground.places, Policies())
        self._write(duties, officer, states, found, counted)

    def _write(
        self,
        duties: Sequence[Duty],
        officer: NDArray[np.int64],
        states: Sequence[StateReport],
        found: Stays,
        counted: Slices,
    ) -> None:
        first = self._duties + 1
        self._duties += len(duties)

        def moment(us: int) -> str:
            return f"{np.datetime64(us, 'us')}Z"

        self._copy(
            "duty (duty_id, officer, revision, start_at, end_at, patch, cancelled, name, role, team)",
            [
                (
                    *(duty.duty_id, who + 1, 1, moment(duty.start), moment(duty.end or 0), list(duty.patch)),
                    *(False, duty.name, duty.role, duty.team),
                )
                for duty, who in zip(duties, officer.tolist(), strict=True)
            ],
        )
        numbers = {name: number + 1 for number, name in enumerate(self._device_ids)}
        self._copy(
            "allocation (duty, position, device, kind, start_at, end_at)",
            [
                (
                    *(first + at, position, numbers[item.device_id], item.kind),
                    *(None if time is None else moment(time) for time in (item.start, item.end)),
                )
                for at, duty in enumerate(duties)
                for position, item in enumerate(duty.devices)
            ],
        )
        columns = [
            BinaryColumn(
                "officer", "int4", np.array([int(item.officer_id[1:]) + 1 for item in states], np.int32)
            ),
            BinaryColumn("time", "time", np.array([item.time for item in states], np.int64)),
            BinaryColumn("state", "int2", np.array([item.state for item in states], np.int16)),
        ]
        self._connection.execute(
            "create temp table keyed (like state) on commit drop" if first == 1 else "truncate keyed"
        )
        copy_in(self._connection, "keyed", columns)
        self._connection.execute("insert into state select distinct * from keyed")

        order = np.argsort(found.end, kind="stable")
        columns = [
            BinaryColumn("device", "int4", (found.device + 1)[order]),
            BinaryColumn("start_at", "time", found.start[order]),
            BinaryColumn("end_at", "time", found.end[order]),
            BinaryColumn("place", "int4", (found.place + 1)[order]),
        ]
        nowhere = found.place[order] == UNKNOWN
        copy_in(self._connection, "stay", columns, null_where=nowhere, nullable=frozenset({"place"}))
        order = np.argsort(counted.end, kind="stable")
        columns = [
            BinaryColumn("duty", "int4", (counted.duty + first)[order].astype(np.int32)),
            BinaryColumn("officer", "int4", (officer[counted.duty] + 1)[order].astype(np.int32)),
            BinaryColumn("start_at", "time", counted.start[order]),
            BinaryColumn("end_at", "time", counted.end[order]),
            BinaryColumn("activity", "int2", counted.activity[order].astype(np.int16)),
            BinaryColumn("state", "int2", counted.state[order]),
            BinaryColumn("place", "int4", (counted.place + 1)[order]),
            BinaryColumn("device", "int4", (counted.device + 1)[order]),
        ]
        nowhere = counted.place[order] == UNKNOWN
        copy_in(
            self._connection,
            "slice",
            columns,
            null_where=nowhere,
            nullable=frozenset({"place", "device"}),
        )
        sums = totals(counted, duties, self._ground.places, -(2**62), 2**62)
        self._copy(
            "slice_end (duty, closed, settled)",
            [
                (first + at, duty.end, row)
                for at, (duty, row) in enumerate(zip(duties, sums.tolist(), strict=True))
            ],
        )

    def _ends(self) -> None:
        self._copy(
            "stay_end (device, whole, closed, newest)",
            [(number + 1, False, last, last) for number, last in enumerate(self._last.tolist())],
        )
