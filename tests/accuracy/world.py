"""One simulated shift: its ground, the reports that every method gets alike, and the exact truth.

The truth is the true path laid over the polygons with shapely; nothing of the accounting comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND
from stream.core.stays import in_order
from stream.simulate import demo_force, simulate
from stream.simulate.plane import Plane
from tests.accuracy.spans import spans
from tests.simulated import fixes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty, Fixes, StateReport
    from stream.simulate import Quality, Simulation
    from tests.accuracy.spans import Spans

Key: TypeAlias = tuple[str, ...]
"""A polygon that time is counted in: ``("patch", id, …)`` or ``("area", id)``, without premises."""

START: Final = 1_794_816_000_000_000
"""2026-11-16 08:00 UTC, a Monday."""
ACROSS_M: Final = 150.0
AREAS_EACH: Final = 3
ALWAYS: Final = (-(2**62), 2**62)


def force(seed: int) -> AreaSet:
    """The demonstration force of a seed, with discs 150 m across for priority areas.

    Three in each neighbourhood, within 700 m of its middle, so that some overlap or lie across an edge.
    """
    drawn = demo_force(seed)
    rng = np.random.default_rng((seed, 0xACC))
    angle = (np.arange(32) + 0.5) * 2 * np.pi / 32
    rim = ACROSS_M / 2 / np.cos(np.pi / 32) * np.column_stack((np.cos(angle), np.sin(angle)))
    areas = [area for area in drawn.areas() if area.kind != Kind.PRIORITY]
    discs = []
    for home in [area for area in areas if area.kind == Kind.NEIGHBOURHOOD]:
        middle = shapely.centroid(home.geometry)
        plane = Plane(middle.x, middle.y)
        for number in range(AREAS_EACH):
            turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, 700.0)
            centre = reach * np.array((np.cos(turn), np.sin(turn)))
            disc = shapely.Polygon(plane.degrees(rim + centre))
            discs.append(
                Area(Kind.PRIORITY, f"{home.area_id}-P{number + 1}", f"{home.name} {number + 1}", disc)
            )
    return AreaSet.of([*areas, *discs])


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The fixes of one device in order, one an identity (rules 1 and 2).

    Attributes:
        device_id: whose.
        time: ``int64[n]``, microseconds.
        metres: ``float64[n, 2]``, east and north on the world's plane.
        wanted: the polygons (metres) that it may have been in and somebody asks about.
    """

    device_id: str
    time: NDArray[np.int64]
    metres: NDArray[np.float64]
    wanted: dict[Key, shapely.Geometry]


@dataclass(frozen=True, eq=False)
class World:
    """A shift, its reports and its truth.

    Attributes:
        simulation: where it comes from.
        fixes: what every method gets: usable reports in order, one an identity.
    """

    simulation: Simulation
    fixes: Fixes

    @property
    def interval(self) -> int:
        """Microseconds between a device's reports, as set."""
        return round(self.simulation.reporting.interval_s * SECOND)

    @property
    def duties(self) -> Sequence[Duty]:
        """The duties, by ``duty_id``."""
        return sorted(self.simulation.duties, key=lambda duty: duty.duty_id)

    @cached_property
    def states(self) -> dict[str, list[StateReport]]:
        """The radio states of each officer."""
        found: dict[str, list[StateReport]] = {}
        for state in self.simulation.states:
            found.setdefault(state.officer_id, []).append(state)
        return found

    @cached_property
    def plane(self) -> Plane:
        """Metres around the force's middle; keeps straight lines straight."""
        west, south, east, north = shapely.total_bounds(self.simulation.force.geometry).tolist()
        return Plane((west + east) / 2, (south + north) / 2)

    @cached_property
    def polygons(self) -> dict[Key, shapely.Geometry]:
        """Every home patch and priority area without the premises in it, in metres."""
        ground = self.simulation.force
        shapes = shapely.transform(ground.geometry, self.plane.metres)
        rows = list(zip(ground.kind, ground.area_id, shapes, strict=True))
        premises = shapely.union_all([shape for kind, _, shape in rows if kind == Kind.PREMISES])
        found: dict[Key, shapely.Geometry] = {
            ("area", name): shapely.difference(shape, premises)
            for kind, name, shape in rows
            if kind == Kind.PRIORITY
        }
        for patch in sorted({duty.patch for duty in self.duties if duty.patch}):
            homes = [shape for kind, name, shape in rows if kind == Kind.NEIGHBOURHOOD and name in patch]
            found["patch", *patch] = shapely.difference(shapely.union_all(homes), premises)
        for shape in found.values():
            shapely.prepare(shape)
        return found

    def tracks(self) -> Iterator[Track]:
        """The devices one after another, each with the polygons that its duties ask about."""
        patches: dict[str, set[Key]] = {}
        for duty in self.duties:
            for device in duty.devices:
                patches.setdefault(device.device_id, set()).update(
                    [("patch", *duty.patch)] if duty.patch else []
                )
        fixes = self.fixes
        bounds = np.searchsorted(fixes.device, np.arange(len(fixes.device_ids) + 1))
        for number, name in enumerate(fixes.device_ids):
            rows = slice(bounds[number], bounds[number + 1])
            metres = self.plane.metres(np.column_stack((fixes.lon[rows], fixes.lat[rows])))
            if name not in patches or not len(metres):
                continue
            reach = shapely.box(*metres.min(axis=0), *metres.max(axis=0))
            wanted = {
                key: shape
                for key, shape in self.polygons.items()
                if (key[0] == "area" or key in patches[name]) and shapely.intersects(shape, reach)
            }
            yield Track(name, fixes.time[rows], metres, wanted)

    def truly(self, officer_id: str, key: Key) -> Spans:
        """When an officer truly was in a polygon."""
        path = self.simulation.paths[officer_id]
        metres = self.plane.metres(np.column_stack((path.lon, path.lat)))
        return inside_exactly(path.time, metres, self.polygons[key])


def world(
    seed: int, interval_s: float, *, officers: int, hours: float, quality: Quality | None = None
) -> World:
    """A shift from a seed; the same seed at another interval has the same true paths, duties and states."""
    simulation = simulate(
        force(seed),
        officers=officers,
        start=START,
        hours=hours,
        interval_s=interval_s,
        seed=seed,
        quality=quality,
    )
    return World(simulation, in_order(fixes_of(simulation)))


def inside_exactly(time: NDArray[np.int64], metres: NDArray[np.float64], area: shapely.Geometry) -> Spans:
    """When something that moves in straight lines at constant speed is in an area (closed).

    Args:
        time: ``int64[n]``, microseconds, never falling.
        metres: ``float64[n, 2]``, where it is then.
        area: prepared or not.
    """
    ends = np.stack((metres[:-1], metres[1:]), 1)
    step = ends[:, 1] - ends[:, 0]
    far = (step**2).sum(axis=1)
    took = np.diff(time)
    lines = shapely.linestrings(ends)
    whole = shapely.contains_properly(area, lines)
    whole |= (far == 0) & shapely.intersects_xy(area, ends[:, 0, 0], ends[:, 0, 1])
    found = [np.column_stack((time[:-1], time[1:]))[whole]]
    some = np.flatnonzero(~whole & (far > 0) & shapely.intersects(area, lines))
    parts, owner = shapely.get_parts(shapely.intersection(lines[some], area), return_index=True)
    straight = shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    parts, leg = parts[straight], some[owner[straight]]
    for_each = [shapely.get_coordinates(shapely.get_point(parts, at)) for at in (0, -1)]
    share = [((xy - ends[leg, 0]) * step[leg]).sum(axis=1) / far[leg] for xy in for_each]
    low, high = np.minimum(*share), np.maximum(*share)
    at = [time[leg] + np.rint(part.clip(0, 1) * took[leg]).astype(np.int64) for part in (low, high)]
    found.append(np.column_stack(at))
    return spans(np.concatenate(found))
