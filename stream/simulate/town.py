"""The demonstration force: a country town, its suburbs and the villages around it, all invented.

Boundaries, stations and priority areas drawn from a seed; no real boundary or name is in it. Streets,
officers and time come in later rooms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from stream.simulate.plane import Plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLANE = Plane(lon=-0.93, lat=52.52)
_CENTRE = "Marlbeck Market"
_SUBURBS = ("Tanners Row", "Nether Holt", "Quarry Hill", "Larkmoor", "Eastmeads", "Priors Lea", "Gaswater")
_VILLAGES = ("Wexcombe Parva", "Great Ottering", "Hallowby", "Stoke Merrow", "Thistledon", "Long Aldwick")
_TOWN_M, _VILLAGE_M, _EDGE_M = 2_600.0, 7_200.0, 10_500.0

_ISSUES = (
    ("night-time violence", "Fri-Sat", "20:00-04:00"),
    ("retail theft", "Mon-Sat", "10:00-19:00"),
    ("anti-social behaviour", "Mon-Sun", "16:00-23:00"),
    ("vehicle crime", "Mon-Sun", "18:00-06:00"),
    ("street drinking", "Thu-Sun", "12:00-22:00"),
    ("burglary", "Mon-Fri", "09:00-17:00"),
)


def demo_force(seed: int = 1) -> AreaSet:
    """An invented force: 14 neighbourhoods that tessellate, 9 priority areas and 5 premises.

    The town is some 9 km across with six villages around it. Neighbours share their vertices exactly; two
    priority areas overlap, and one lies across a neighbourhood's edge. One seed always gives one force.
    """
    rng = np.random.default_rng((seed, 0x70))
    centres = _centres(rng)
    cells = _tessellation(centres, rng)
    centres = shapely.get_coordinates(shapely.centroid(cells))
    areas = [
        Area(Kind.NEIGHBOURHOOD, f"DN{number:02d}", name, _in_degrees(cell))
        for number, (name, cell) in enumerate(
            zip((_CENTRE, *_SUBURBS, *_VILLAGES), cells, strict=True), start=1
        )
    ]
    areas += _premises(centres, rng)
    areas += _priorities(centres, cells, rng)
    return AreaSet.of(areas)


def _centres(rng: np.random.Generator) -> NDArray[np.float64]:
    """``float64[14, 2]`` metres: the market place, the suburbs in a ring, the villages in a wider one."""
    rows = [np.zeros((1, 2))]
    for count, radius in ((len(_SUBURBS), _TOWN_M), (len(_VILLAGES), _VILLAGE_M)):
        angle = (np.arange(count) + rng.uniform(-0.22, 0.22, count)) * 2 * np.pi / count + rng.uniform(
            0, 6.28
        )
        reach = radius * rng.uniform(0.9, 1.1, count)
        rows.append(np.column_stack((reach * np.cos(angle), reach * np.sin(angle))))
    return np.concatenate(rows)


def _tessellation(centres: NDArray[np.float64], rng: np.random.Generator) -> list[shapely.Polygon]:
    """Voronoi cells whose shared borders wander: one polygon in metres for each centre.

    A border is drawn once and then used by both sides, which is what makes the vertices shared.
    """
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = _EDGE_M * (1 + 0.06 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.04 * np.sin(5 * angle))
    rim = shapely.Polygon(np.column_stack((reach * np.cos(angle), reach * np.sin(angle))))
    spokes = shapely.voronoi_polygons(
        shapely.MultiPoint(centres), extend_to=rim.buffer(5_000), only_edges=True
    )
    noded = shapely.get_parts(shapely.line_merge(shapely.union_all([spokes, rim.exterior])))
    borders = noded[shapely.covers(rim.buffer(1.0), noded)]
    strength = 0.09
    while True:
        # The whole figure is redrawn with a calmer hand where two borders happened to cross.
        drawn = [_wander(shapely.get_coordinates(border), strength, rng) for border in borders]
        lines = [shapely.LineString(_PLANE.metres(_PLANE.degrees(line))) for line in drawn]
        cells = list(shapely.get_parts(shapely.polygonize(lines)))
        if len(cells) == len(centres) and _apart(lines):
            break
        strength *= 0.7
    order = shapely.contains(np.array(cells)[None, :], shapely.points(centres)[:, None])
    return [cells[int(np.flatnonzero(row)[0])] for row in order]


def _wander(line: NDArray[np.float64], strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Displaces midpoints sideways, again and again, until pieces are shorter than 220 m; ends stay."""
    while True:
        step = np.diff(line, axis=0)
        length = np.hypot(step[:, 0], step[:, 1])
        if length.max() < 220:
            return line
        shift = rng.normal(0, strength, len(step)).clip(-2 * strength, 2 * strength)
        middle = (line[:-1] + line[1:]) / 2 + shift[:, None] * np.column_stack((-step[:, 1], step[:, 0]))
        longer = np.empty((len(line) + len(middle), 2))
        longer[0::2], longer[1::2] = line, middle
        line = longer


def _apart(lines: list[shapely.LineString]) -> bool:
    """Whether lines meet nowhere but at their ends."""
    alone = all(shapely.is_simple(lines))
    tree = shapely.STRtree(lines)
    one, other = tree.query(lines, predicate="intersects")
    one, other = one[one < other], other[one < other]
    shared = shapely.intersection(np.array(lines)[one], np.array(lines)[other])
    ends = shapely.boundary(np.array(lines)[one])
    return bool(alone and shapely.covers(ends, shared).all())


def _in_degrees(polygon: shapely.Polygon) -> shapely.Polygon:
    return shapely.transform(polygon, _PLANE.degrees)


def _near(
    centre: NDArray[np.float64], low: float, high: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(low, high)
    return np.asarray(centre + np.array((reach * np.cos(angle), reach * np.sin(angle))))


def _premises(centres: NDArray[np.float64], rng: np.random.Generator) -> list[Area]:
    """Three stations, a custody suite and a court: rectangles of 60 to 90 m."""
    suburb, village = len(_SUBURBS), len(_VILLAGES)
    north = 1 + int(rng.integers(suburb))
    plan = (
        ("Marlbeck police station", "police_station", _near(centres[0], 120, 250, rng)),
        (f"{_SUBURBS[north - 1]} police station", "police_station", _near(centres[north], 100, 300, rng)),
        ("Marlbeck county court", "court", _near(centres[0], 420, 550, rng)),
        ("Gaswater custody suite", "custody", _near(centres[suburb], 350, 500, rng)),
    )
    far = 1 + suburb + int(rng.integers(village))
    name = f"{_VILLAGES[far - 1 - suburb]} police house"
    areas = []
    for number, (label, use, centre) in enumerate(
        (*plan, (name, "police_station", _near(centres[far], 80, 200, rng))), start=1
    ):
        half = rng.uniform(30, 45, 2)
        vertices = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        turn = rng.uniform(0, np.pi)
        spin = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
        outline = shapely.Polygon((vertices[:, None, :] * spin.T[None, :, :]).sum(axis=2) + centre)
        areas.append(Area(Kind.PREMISES, f"DP{number:02d}", label, _in_degrees(outline), {"use": use}))
    return areas


def _priorities(
    centres: NDArray[np.float64], cells: list[shapely.Polygon], rng: np.random.Generator
) -> list[Area]:
    """Nine blobs of 150 to 400 m: two that overlap, one across an edge, the rest where people live."""
    suburb = len(_SUBURBS)
    first = _near(centres[0], 100, 300, rng)
    edge = shapely.line_merge(shapely.intersection(cells[0].exterior, cells[1].exterior))
    middle = shapely.get_coordinates(shapely.line_interpolate_point(edge, 0.5, normalized=True))[0]
    where = [first, first + np.array((150.0, 60.0)), middle]
    where += [_near(centres[1 + number], 200, 700, rng) for number in rng.permutation(suburb)[:4]]
    where += [
        _near(centres[1 + suburb + number], 50, 250, rng) for number in rng.permutation(len(_VILLAGES))[:2]
    ]
    areas = []
    for number, centre in enumerate(where):
        issue, days, hours = _ISSUES[number % len(_ISSUES)]
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        size = rng.uniform(95, 165) * (1 + rng.uniform(-0.18, 0.18, len(angle)))
        outline = centre + np.column_stack((size * np.cos(angle), size * np.sin(angle)))
        home = int(np.argmin(shapely.distance(np.array(cells), shapely.Point(centre))))
        place = (_CENTRE, *_SUBURBS, *_VILLAGES)[home]
        told = {"issue": issue, "days": days, "hours": hours}
        blob = _in_degrees(shapely.Polygon(outline))
        areas.append(Area(Kind.PRIORITY, f"DA{number + 1:02d}", f"{place} ({issue})", blob, told))
    return areas
