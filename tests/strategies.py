"""Small random worlds that provoke trouble, for properties of the accounting rules.

A world is everything that the rules look at: fixes, versions of boundaries, duties, radio states, and the
instants at which somebody looks. Boundaries lie on a grid of some 130 by 220 m, so that edges are shared,
fixes fall on edges and vertices, and things happen at the same instant. Only facts may come in here, none of
the rules.

On the binary grid every coordinate is a short binary fraction: differences and products of coordinates are
then exact in doubles, and two right programs agree to the microsecond. On the decimal grid they are not, and
a crossing may be off by one microsecond, or a point on a slanted edge fall to the other side.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon
from shapely.geometry import MultiPoint

from stream.core.facts import SECOND, Allocation, Duty, Fixes, StateReport

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_T = TypeVar("_T")

Shape: TypeAlias = "Polygon | MultiPolygon"
Area: TypeAlias = "tuple[str, str, Shape]"
"""``(kind, area_id, polygon)``."""

Fix: TypeAlias = tuple[str, int, float, float, "float | None"]
"""``(device_id, time in µs, lon, lat, error_m)``."""

Version: TypeAlias = "tuple[int | None, tuple[Area, ...]]"
"""``(valid_from in µs, areas)``; ``None`` means from the beginning of time."""

NEIGHBOURHOODS = ("N1", "N10", "N2", "N3")
PREMISES = ("B1", "B2")
PRIORITIES = ("P1", "P10", "P2")
RADIOS = ("R1", "R2")
VEHICLES = ("V1", "V2")
OFFICERS = ("O1", "O2")
STATES = (1, 4, 11, 8, 9, 10, 6, 0)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def many(examples: int) -> settings:
    """So many examples by ``make fuzz``, six tenths of them by ``make test``; no limit on the time of one."""
    if settings.get_current_profile_name() != "fuzz":
        examples = -(-examples * 6 // 10)
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def micros(text: str) -> int:
    """Microseconds since 1970 of an ISO time with offset."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


OPENINGS = (
    micros("2026-11-23T08:00:00+00:00"),
    micros("2026-11-22T23:50:00+00:00"),  # ten minutes before a Monday
    micros("2026-10-25T00:40:00+00:00"),  # the clocks go back at 01:00
    micros("2026-11-23T08:00:00.250001+00:00"),
)
"""When a world begins."""

GAPS = (
    30 * SECOND,
    300 * SECOND,
    300 * SECOND + 1,
    300 * SECOND - 1,
    1800 * SECOND,
    1800 * SECOND + 1,
    1800 * SECOND - 1,
    10 * SECOND,
    7,
    1,
)
"""Times between fixes at which a rule turns over, µs."""


class Grid(NamedTuple):
    """Where the grid's vertex is and how wide a unit is, in degrees."""

    lon: float
    lat: float
    unit: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The lon and lat of a point given in units."""
        return self.lon + x * self.unit, self.lat + y * self.unit


BINARY = Grid(-1.125, 52.625, 2.0**-9)
DECIMAL = Grid(-1.14, 52.63, 0.002)


@dataclass(frozen=True)
class World:
    """Everything that the rules look at.

    Attributes:
        fixes: reports of every device, in any order, with repeated identities.
        versions: boundaries, the first in force from the beginning of time, no two from the same instant.
        duties: revisions of duties, in any order, some delivered twice.
        states: radio states, in any order.
        as_of: the instant up to which open duties are counted, µs.
        period: ``(from, to)``, µs.
    """

    fixes: tuple[Fix, ...]
    versions: tuple[Version, ...]
    duties: tuple[Duty, ...]
    states: tuple[StateReport, ...]
    as_of: int
    period: tuple[int, int]


def fix_columns(fixes: Sequence[Fix]) -> Fixes:
    """Fix tuples as columns, rows in the same order; speed and heading are missing."""
    device_ids = tuple(sorted({fix[0] for fix in fixes}))
    return Fixes(
        device=np.array([device_ids.index(fix[0]) for fix in fixes], dtype=np.int32),
        time=np.array([fix[1] for fix in fixes], dtype=np.int64),
        lon=np.array([fix[2] for fix in fixes], dtype=np.float64),
        lat=np.array([fix[3] for fix in fixes], dtype=np.float64),
        error_m=np.array([np.nan if fix[4] is None else fix[4] for fix in fixes], dtype=np.float64),
        speed_mps=np.full(len(fixes), np.nan, dtype=np.float32),
        heading_deg=np.full(len(fixes), np.nan, dtype=np.float32),
        device_ids=device_ids,
    )


def world_fixes(world: World) -> Fixes:
    """The world's fixes as columns."""
    return fix_columns(world.fixes)


# What does not depend on anything drawn is made once: Hypothesis examines every new strategy before it draws
# from it, which takes longer than the drawing.

_whole = functools.cache(st.integers)
_EITHER = st.booleans()


@functools.cache
def _any_of(*items: Hashable) -> st.SearchStrategy[Any]:
    return st.sampled_from(items)


# Shapes, in grid units. Each strategy begins with the plainest, which is what a failure shrinks to.


def _ring(grid: Grid, vertices: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [grid.at(x, y) for x, y in vertices]


def _box(x: int, y: int, w: int, h: int) -> list[tuple[float, float]]:
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


@st.composite
def rectangles(draw: st.DrawFn, grid: Grid) -> Shape:
    """Rectangles on grid lines: many share an edge or a vertex."""
    x, y = draw(_whole(0, 4)), draw(_whole(0, 4))
    return Polygon(_ring(grid, _box(x, y, draw(_whole(1, 4)), draw(_whole(1, 4)))))


@st.composite
def holed(draw: st.DrawFn, grid: Grid) -> Shape:
    """A square with a hole: a box inside it, or a triangle that touches its west edge in one point."""
    x, y, size = draw(_whole(0, 2)), draw(_whole(0, 2)), draw(_whole(3, 5))
    hole = _box(x + 1, y + 1, 1, 1)
    if draw(_EITHER):
        hole = [(x, y + 1), (x + 1, y + 2), (x + 2, y + 1)]
    return Polygon(_ring(grid, _box(x, y, size, size)), [_ring(grid, hole)])


@st.composite
def islands(draw: st.DrawFn, grid: Grid) -> Shape:
    """Two boxes of one area, apart or touching in a vertex."""
    x, y = draw(_whole(0, 2)), draw(_whole(0, 2))
    dx, dy = draw(_whole(1, 3)), draw(_whole(1, 3))
    boxes = (_box(x, y, 1, 1), _box(x + dx, y + dy, 1, 1))
    return MultiPolygon([Polygon(_ring(grid, box)) for box in boxes])


_EIGHT_REACHES = st.lists(st.integers(1, 8), min_size=8, max_size=8)


@st.composite
def stars(draw: st.DrawFn, grid: Grid) -> Shape:
    """Eight vertices around a centre, each nearer or farther: slanted edges, mostly not convex."""
    x, y = draw(_whole(2, 4)), draw(_whole(2, 4))
    around = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
    reach = draw(_EIGHT_REACHES)
    return Polygon(
        _ring(grid, [(x + dx * r / 4, y + dy * r / 4) for (dx, dy), r in zip(around, reach, strict=True)])
    )


_POINTS_IN_SIXTEENTHS = st.lists(
    st.tuples(st.integers(0, 96), st.integers(0, 96)), min_size=3, max_size=6, unique=True
)


@st.composite
def hulls(draw: st.DrawFn, grid: Grid) -> Shape:
    """The convex hull of a few points, at any slant."""
    vertices = draw(_POINTS_IN_SIXTEENTHS)
    hull = MultiPoint(vertices).convex_hull
    if hull.geom_type != "Polygon":  # they lie on one line
        (x, y), *_ = vertices
        return Polygon(_ring(grid, [(x / 16, y / 16), (x / 16 + 1, y / 16), (x / 16, y / 16 + 1)]))
    return Polygon(_ring(grid, [(x / 16, y / 16) for x, y in hull.exterior.coords]))


@functools.cache
def shapes(grid: Grid) -> st.SearchStrategy[Shape]:
    """Any one shape."""
    return st.one_of(rectangles(grid), stars(grid), holed(grid), hulls(grid), islands(grid))


@st.composite
def tilings(draw: st.DrawFn, grid: Grid) -> tuple[Shape, Shape]:
    """A rectangle cut in two by a line, mostly slanted: two shapes that share just that edge."""
    low, high = draw(_whole(1, 5)), draw(_whole(1, 5))
    return (
        Polygon(_ring(grid, [(0, 0), (low, 0), (high, 4), (0, 4)])),
        Polygon(_ring(grid, [(low, 0), (6, 0), (6, 4), (high, 4)])),
    )


@functools.cache
def _tilings_or_none(grid: Grid) -> st.SearchStrategy[tuple[Shape, ...]]:
    return st.one_of(tilings(grid), st.just(()))


@functools.cache
def _some_shapes(grid: Grid, least: int, most: int) -> st.SearchStrategy[list[Shape]]:
    return st.lists(shapes(grid), min_size=least, max_size=most)


@functools.cache
def _named_shapes(grid: Grid, names: tuple[str, ...]) -> st.SearchStrategy[list[tuple[str, Shape]]]:
    return st.lists(st.tuples(st.sampled_from(names), shapes(grid)), max_size=len(names), unique_by=_first)


_NEIGHBOURHOODS_IN_ANY_ORDER = st.permutations(NEIGHBOURHOODS)


@st.composite
def areas(draw: st.DrawFn, grid: Grid = BINARY) -> tuple[Area, ...]:
    """One version's areas: neighbourhoods that touch or overlap, premises, overlapping priority areas."""
    ids = draw(_NEIGHBOURHOODS_IN_ANY_ORDER)
    grounds = list(draw(_tilings_or_none(grid)))
    grounds += draw(_some_shapes(grid, 0 if grounds else 1, 4 - len(grounds)))
    found: list[Area] = [("neighbourhood", area_id, shape) for area_id, shape in zip(ids, grounds)]  # noqa: B905
    for kind, names in (("premises", PREMISES), ("priority", PRIORITIES)):
        found += [(kind, area_id, shape) for area_id, shape in draw(_named_shapes(grid, names))]
    return tuple(found)


def _first(pair: tuple[str, Shape]) -> str:
    return pair[0]


def _lists(elements: st.SearchStrategy[_T], most: int, usual: int) -> st.SearchStrategy[list[_T]]:
    """Lists that are shorter than usual only now and then."""
    usually = st.lists(elements, min_size=usual, max_size=most)
    return st.one_of(usually, usually, st.lists(elements, max_size=usual))


# Fixes.


@functools.cache
def gaps() -> st.SearchStrategy[int]:
    """Times between fixes, µs: at and around the limits, on and off whole seconds."""
    return st.one_of(
        st.sampled_from(GAPS),
        st.integers(1, 40).map(lambda s: s * 10 * SECOND),
        st.integers(1, 400 * SECOND),
        st.integers(1, 2000 * SECOND),
    )


@functools.cache
def spots() -> st.SearchStrategy[tuple[float, float]]:
    """Points in grid units: vertices and edges of the grid, quarters, and sixteenths (some 8 by 14 m)."""
    return st.one_of(
        st.tuples(st.integers(0, 6), st.integers(0, 6)),
        st.tuples(st.integers(-4, 28), st.integers(-4, 28)).map(lambda p: (p[0] / 4, p[1] / 4)),
        st.tuples(st.integers(-16, 112), st.integers(-16, 112)).map(lambda p: (p[0] / 16, p[1] / 16)),
    )


_NORTH_M = 111_195.0
_EAST_M = _NORTH_M * 0.608
"""Metres in a degree at the grids' latitude, about."""
_FASTEST_MPS = 70.0


@functools.cache
def _moves(most: int) -> st.SearchStrategy[list[str]]:
    return _lists(st.sampled_from(("go", "rest", "nudge", "spike", "again")), most, usual=3)


@st.composite
def tracks(
    draw: st.DrawFn, device_id: str, opening: int, grid: Grid = BINARY, max_size: int = 8
) -> list[Fix]:
    """The fixes of one device in order of time, with far jumps, some for a while, and repeated identities.

    Most ways are driven as fast as anybody may, some faster than anybody can.
    """
    time = opening + draw(_any_of(0, 60 * SECOND, 1, -300 * SECOND))
    x, y = draw(spots())
    fixes: list[Fix] = []
    for move in draw(_moves(max_size)):
        far, was = 0.0, (x, y)
        stays: list[int] = []
        if move == "go":
            x, y = draw(spots())
        elif move == "nudge":
            x, y = x + draw(_whole(-6, 6)) / 16, y + draw(_whole(-6, 6)) / 16
        elif move == "spike":
            far = draw(_any_of(64.0, 6.0, -20.0))
            stays += draw(_any_of((), (), (30,), (60, 10, 1), (250,), (150, 150), (150, 151)))
        if not (move == "again" and fixes):
            gap = draw(gaps())
            east, north = ((x - was[0]) * grid.unit * _EAST_M, (y - was[1]) * grid.unit * _NORTH_M)
            if draw(_whole(0, 7)):  # the odd microseconds of a gap stay
                gap += (
                    -(-max(0, int(math.hypot(east, north) / _FASTEST_MPS * SECOND) - gap) // SECOND) * SECOND
                )
            time += gap
        elif draw(_EITHER):
            x, y = draw(spots())
        for pause in (0, *stays):
            time += pause * SECOND
            error = draw(_any_of(10.0, None, 5.0, 60.0))
            fixes.append((device_id, time, *grid.at(x + far, y), error))
    return fixes


@st.composite
def flickers(draw: st.DrawFn, device_id: str, opening: int, grid: Grid = BINARY) -> list[Fix]:
    """A device that is said to be here, then kilometres away, then here again, sometimes for minutes."""
    time = opening
    fixes: list[Fix] = []
    for far in draw(st.lists(st.sampled_from((0.0, 0.0, 0.0, 64.0, 64.0, 200.0)), max_size=30)):
        time += draw(_any_of(10, 60, 60, 100, 150, 300, 301, 900)) * SECOND
        x, y = draw(_any_of((0.5, 0.5), (0.75, 0.5), (1.5, 1.0)))
        fixes.append((device_id, time, *grid.at(x + far, y), 10.0))
    return fixes


# Duties and states.


@st.composite
def _allocations(draw: st.DrawFn, edges: st.SearchStrategy[int | None]) -> Allocation:
    device_id = draw(_any_of(*RADIOS, *VEHICLES))
    return Allocation(
        device_id,
        "radio" if device_id in RADIOS else "vehicle",
        draw(edges),
        draw(edges),
    )


_PATCHES = st.one_of(
    st.just(NEIGHBOURHOODS),
    st.just(NEIGHBOURHOODS[:2]),
    st.sets(st.sampled_from((*NEIGHBOURHOODS, "N9")), max_size=3).map(lambda ids: tuple(sorted(ids))),
)


class _Long(int):
    """A length of time, not an instant."""


_LENGTHS = st.sampled_from((3600 * SECOND, 600 * SECOND, 7200 * SECOND, 1, 0)).map(_Long)


@st.composite
def _duties(
    draw: st.DrawFn,
    duty_id: str,
    starts: st.SearchStrategy[int],
    ends: st.SearchStrategy[int | None],
    devices: st.SearchStrategy[list[Allocation]],
) -> list[Duty]:
    """Every revision of one duty: perhaps moved, given to another, cancelled or brought back."""
    revisions: list[Duty] = []
    for revision in range(1, 1 + draw(_any_of(1, 1, 1, 2, 3))):
        start, end = draw(starts), draw(ends)
        if isinstance(end, _Long):
            end = start + end
        revisions.append(
            Duty(
                duty_id=duty_id,
                revision=revision,
                officer_id=draw(_any_of(*OFFICERS)),
                start=start,
                end=None if end is None else max(start, end),
                patch=draw(_PATCHES),
                devices=tuple(draw(devices)),
                cancelled=revision > 1 and draw(_EITHER),
            )
        )
    return revisions


_areas = functools.cache(areas)
_tracks = functools.cache(tracks)


@st.composite
def worlds(draw: st.DrawFn, grid: Grid = BINARY) -> World:
    """A whole world on a grid; ``BINARY`` where equality to the microsecond is asked."""
    opening = draw(_any_of(*OPENINGS))
    fixes = [fix for device_id in RADIOS + VEHICLES for fix in draw(_tracks(device_id, opening, grid))]
    pool = sorted({opening + k * 300 * SECOND for k in range(-2, 14)} | {fix[1] for fix in fixes})
    moments = st.builds(int.__add__, st.sampled_from(pool), _any_of(0, 0, 1, -1, 500_000))

    starts = st.one_of(st.sampled_from(pool[:6]), moments)
    ends = st.one_of(_LENGTHS, st.none(), moments)
    devices = _lists(_allocations(st.one_of(st.none(), st.none(), moments)), 3, usual=1)

    versions: list[Version] = [(None, draw(_areas(grid)))]
    for valid_from in draw(st.lists(moments, max_size=2, unique=True)):
        again = draw(_any_of("new", "same", "fewer"))
        last = versions[-1][1]
        versions.append(
            (valid_from, draw(_areas(grid)) if again == "new" else last if again == "same" else last[1:])
        )

    duties = [
        duty for k in range(draw(_whole(1, 3))) for duty in draw(_duties(f"D{k + 1}", starts, ends, devices))
    ]
    duties += draw(st.lists(st.sampled_from(duties), max_size=1))
    states = draw(_lists(st.builds(StateReport, _any_of(*OFFICERS), moments, _any_of(*STATES)), 8, usual=3))
    wide = (pool[0], pool[-1] + 3600 * SECOND)
    cut = st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))
    return World(
        fixes=tuple(draw(st.permutations(fixes))),
        versions=tuple(versions),
        duties=tuple(draw(st.permutations(duties))),
        states=tuple(draw(st.permutations(states))),
        as_of=draw(st.one_of(st.just(wide[1]), moments)),
        period=draw(st.one_of(st.just(wide), cut)),
    )


def bookable_worlds(grid: Grid = BINARY) -> st.SearchStrategy[World]:
    """Worlds without duties that end as they begin: of those a ledger is never told, ingest rejects them."""
    return worlds(grid).map(
        lambda world: replace(
            world, duties=tuple(duty for duty in world.duties if duty.end is None or duty.end > duty.start)
        )
    )


HOUR = 3600 * SECOND
DAY = 24 * HOUR


@st.composite
def wrongly_booked(draw: st.DrawFn) -> World:
    """Worlds whose duty system errs: ends in another year or never, starts on its first day, a day too many.

    Some are put right, or cancelled, by a later revision. Ends that duty systems write for none are among
    them, and bookings of a day to the microsecond, such as those over the night when the clocks change.
    """
    world = draw(bookable_worlds())
    duties: list[Duty] = []
    for duty in world.duties:
        start, end, back = duty.start, duty.end, draw(st.sampled_from((0, HOUR, 23 * HOUR, DAY, 25 * HOUR)))
        kinds = ("right", "open", "weeks", "year", "epoch", "never", "day", "more", "long_ago")
        match draw(st.sampled_from(kinds)):
            case "open":
                start, end = start - back, None
            case "weeks":
                start, end = start - back - 20 * DAY, draw(st.sampled_from((None, start + HOUR)))
            case "year":
                end = start + 365 * DAY
            case "epoch":
                start, end = draw(st.integers(0, DAY)), end or start + HOUR
            case "never":
                end = draw(
                    st.sampled_from((micros("9999-12-31T23:59:59+00:00"), micros("2099-12-31T00:00+00:00")))
                )
            case "day":
                start, end = start - back % DAY, start - back % DAY + DAY
            case "more":
                start, end = start - back % DAY, start - back % DAY + DAY + draw(st.sampled_from((1, HOUR)))
            case "long_ago":
                start, end = micros("2000-01-01T00:00:00+00:00"), None
        duties.append(replace(duty, start=start, end=end))
        if draw(st.integers(0, 3)) == 0:
            duties.append(replace(duty, revision=duty.revision + 10, cancelled=draw(st.booleans())))
    return replace(world, duties=tuple(duties))
