"""Worlds as the core takes them, and worlds made from a seed.

Hypothesis draws those of ``tests.strategies`` piece by piece; these are made in one go, and are larger.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import BEGINNING
from tests.strategies import (
    BINARY,
    NEIGHBOURHOODS,
    OFFICERS,
    OPENINGS,
    PRIORITIES,
    RADIOS,
    VEHICLES,
    Fix,
    Grid,
    Shape,
    Version,
    World,
)


def horizon(world: World) -> int:
    """A time after everything in the world, to which open duties are counted."""
    ends = [duty.end or duty.start for duty in world.duties]
    return max([world.as_of, world.period[1], *ends, *(fix[1] for fix in world.fixes)])


def history_of(world: World) -> AreaHistory:
    """The world's boundary versions, as the core takes them."""
    return AreaHistory(
        [
            (
                BEGINNING if start is None else start,
                AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in areas),
            )
            for start, areas in sorted(world.versions, key=lambda v: BEGINNING if v[0] is None else v[0])
        ]
    )


def wandering(seed: int) -> World:
    """Twelve devices over four neighbourhoods: walks, gaps, jumps, duties that end in between."""
    random = np.random.default_rng(seed)
    start = 1_795_420_800_000_000
    box = [(0, 0), (4, 0), (0, 4), (4, 4)]
    shapes = [
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(x, y), *BINARY.at(x + 4, y + 4)))
        for n, (x, y) in enumerate(box)
    ]
    shapes.append(("premises", "B1", shapely.box(*BINARY.at(3, 3), *BINARY.at(3.5, 3.5))))
    shapes.append(("priority", "P1", shapely.Point(BINARY.at(4, 2)).buffer(BINARY.unit * 0.7, quad_segs=3)))
    later = [area for area in shapes if area[1] != "N3"]
    fixes = []
    for device in range(12):
        x, y, time = float(random.uniform(1, 7)), float(random.uniform(1, 7)), start
        away = 0
        for _ in range(int(random.integers(100, 400))):
            time += (
                int(
                    random.choice(
                        [5, 5, 5, 15, 60, 301, 900, 2000], p=[0.3, 0.3, 0.2, 0.1, 0.06, 0.02, 0.01, 0.01]
                    )
                )
                * 1_000_000
            )
            if random.random() < 0.7:
                x, y = x + float(random.normal(0, 0.15)), y + float(random.normal(0, 0.15))
            # Mostly a jump, sometimes somewhere else for a while.
            away = away - 1 if away > 0 else int(random.choice([1, 1, 1, 8])) if random.random() < 0.02 else 0
            jump = 30.0 if away else 0.0
            fixes.append((f"{'RV'[device % 2]}{device}", time, *BINARY.at(x + jump, y), None))
    duties = [
        Duty(
            f"D{n}-{part}",
            int(random.integers(1, 3)),
            f"O{n}",
            start + part * 3_000_000_000 - (600_000_000 if n == 2 else 0),
            None if n == 3 and part else start + (part + 1) * 3_000_000_000,
            (f"N{n % 4}",) if n < 5 else (),
            (
                Allocation(f"R{2 * n}", "radio"),
                Allocation(f"V{2 * (n // 2) + 1}", "vehicle", start + 1_000_000_000, start + 4_000_000_000),
            ),
        )
        for n in range(6)
        for part in range(3)
    ]
    states = [
        StateReport(
            f"O{int(random.integers(6))}",
            start + int(random.integers(9000)) * 1_000_000,
            int(random.choice([1, 4, 8, 11, 2])),
        )
        for _ in range(40)
    ]
    end = start + 12_000_000_000
    return World(
        tuple(fixes),
        ((None, tuple(shapes)), (start + 4_000_000_000, tuple(later))),
        tuple(duties),
        tuple(states),
        end,
        (start, end),
    )


_ERRORS = (10.0, None, 5.0, 60.0)


_GAPS = np.array([30, 30, 30, 60, 60, 10, 300, 301, 900]) * SECOND


def busy_world(seed: int, grid: Grid = BINARY) -> World:
    """A world from a seed: some eighty fixes, two to four duties, on ground with shared edges and holes."""
    rng = np.random.default_rng(seed)
    opening = int(rng.choice(np.array(OPENINGS)))
    length = 3600 * SECOND

    def moment() -> int:
        return opening + int(rng.integers(0, 60)) * 60 * SECOND + int(rng.choice([0, 0, 1, -1, 500_000]))

    def box(x: float, y: float, w: float, h: float) -> Shape:
        return shapely.Polygon([grid.at(*at) for at in ((x, y), (x + w, y), (x + w, y + h), (x, y + h))])

    def ground() -> tuple[tuple[str, str, Shape], ...]:
        low, high = (int(value) for value in rng.integers(1, 6, 2))
        west = shapely.Polygon([grid.at(*at) for at in ((0, 0), (low, 0), (high, 6), (0, 6))])
        east = shapely.Polygon([grid.at(*at) for at in ((low, 0), (6, 0), (6, 6), (high, 6))])
        x, y = (int(value) for value in rng.integers(0, 4, 2))
        ring = shapely.Polygon(box(x, y, 3, 3).exterior.coords, [box(x + 1, y + 1, 1, 1).exterior.coords])
        pair = shapely.MultiPolygon([box(x, y, 1, 1), box(x + 1, y + 1, 1, 1)])
        grounds = [west, east, [ring, pair][int(rng.integers(2))]]
        names = [NEIGHBOURHOODS[at] for at in rng.permutation(len(NEIGHBOURHOODS)).tolist()]
        found = [("neighbourhood", *pair) for pair in zip(names[:3], grounds, strict=True)]
        x, y = (value / 2 for value in rng.integers(0, 9, 2).tolist())
        found.append(("premises", "B1", box(x, y, 0.5, 1)))
        found += [
            ("priority", name, box(x / 2, y / 2, 2, 1.5))
            for name in PRIORITIES[: int(rng.integers(1, 4))]
            for x, y in rng.integers(0, 7, (1, 2)).tolist()
        ]
        return tuple(found)

    def track(name: str) -> list[Fix]:
        time, (x, y) = opening - 60 * SECOND * int(rng.integers(0, 3)), rng.integers(0, 97, 2) / 16
        found: list[Fix] = []
        for _ in range(int(rng.integers(12, 30))):
            found.append((name, time, *grid.at(float(x), float(y)), _ERRORS[int(rng.integers(4))]))
            move = rng.random()
            time += int(rng.choice(_GAPS)) if move < 0.8 else int(rng.integers(1, 300 * SECOND))
            if move < 0.6:
                x, y = x + rng.integers(-16, 17) / 16, y + rng.integers(-16, 17) / 16
            elif move < 0.7:
                x, y = rng.integers(0, 7, 2)
            elif move < 0.72:
                far = grid.at(float(x) + 64, float(y))
                found += [
                    (name, time - back, *far, 10.0) for back in range(int(rng.choice([1, 1, 5])), 0, -1)
                ]
            x, y = min(max(x, -1), 7), min(max(y, -1), 7)
        return found

    def duty(name: str, officer: str, start: int) -> Duty:
        size = int(rng.integers(0, 3))
        patch = sorted(rng.choice([*NEIGHBOURHOODS, "N9"], size, replace=False).tolist())
        held = (None, None, None, moment())
        devices = tuple(
            Allocation(device, kind, held[int(rng.integers(4))], held[int(rng.integers(4))])
            for device, kind in (
                (RADIOS[OFFICERS.index(officer)], "radio"),
                *((VEHICLES[at], "vehicle") for at in rng.integers(0, 2, int(rng.integers(1, 3))).tolist()),
            )
        )
        end = None if rng.random() < 0.2 else start + int(rng.choice([length, length // 2]))
        return Duty(name, 1, officer, start, end, tuple(patch), devices)

    versions: list[Version] = [(None, ground())]
    if rng.random() < 0.4:
        versions.append((moment(), ground()))
    duties = [duty("D1", "O1", opening), duty("D2", "O2", opening + int(rng.integers(0, 10)) * 60 * SECOND)]
    if rng.random() < 0.5:
        duties.append(duty("D3", "O1", moment()))
    if rng.random() < 0.3:
        duties.append(replace(duties[1], revision=2, patch=duties[0].patch, cancelled=rng.random() < 0.3))
    states = tuple(
        StateReport(OFFICERS[int(rng.integers(2))], moment(), int(rng.choice([1, 2, 3, 4, 6, 8, 9, 11])))
        for _ in range(int(rng.integers(0, 10)))
    )
    fixes = [fix for name in (*RADIOS, *VEHICLES) for fix in track(name)]
    return World(
        fixes=tuple(fixes[at] for at in rng.permutation(len(fixes)).tolist()),
        versions=tuple(versions),
        duties=tuple(duties),
        states=states,
        as_of=opening + 2 * length,
        period=(opening, opening + 2 * length) if rng.random() < 0.7 else (moment(), opening + length),
    )


def busy(grid: Grid = BINARY) -> st.SearchStrategy[World]:
    """Busy worlds; a failing one is told by its seed."""
    return st.integers(0, 2**32 - 1).map(lambda seed: busy_world(seed, grid))
