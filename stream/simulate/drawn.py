"""A made-up street network: blocks where people live close together, lanes in villages, roads between.

Drawn over any set of areas, real ones included, where no map is given. Places, ways, officers and time come
in later rooms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from stream.simulate.streets import Network, components, outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.areas import AreaSet

_TOWN_M2 = 20e6  # a neighbourhood of up to 20 km² is built up, a larger one has a village in it
_TOWN_REACH_M, _VILLAGE_REACH_M = 1_700.0, 290.0
_BLOCKS = 5_000  # about this many crossings in all towns together, so that real forces stay quick
_LANE_M = 240.0
_TOWN_MPS, _VILLAGE_MPS, _LANE_MPS = 10.0, 8.0, 15.0


@dataclass(slots=True, eq=False)
class _Drawing:
    """A network while it is being drawn, in metres."""

    nodes: NDArray[np.float64]
    edges: NDArray[np.int64]
    mps: NDArray[np.float64]
    rng: np.random.Generator

    def add(self, nodes: NDArray[np.float64], edges: NDArray[np.int64], mps: float) -> None:
        self.connect(edges + len(self.nodes), mps)
        self.nodes = np.concatenate((self.nodes, nodes))

    def connect(self, edges: NDArray[np.int64], mps: float) -> None:
        self.edges = np.concatenate((self.edges, edges))
        self.mps = np.concatenate((self.mps, np.full(len(edges), mps)))

    def grid(self, ground: shapely.Geometry, spacing: float, kept: float, mps: float) -> None:
        """Blocks over some ground: a turned grid whose crossings are a little off, some streets missing."""
        west, south, east, north = ground.bounds
        middle = np.array(((west + east) / 2, (south + north) / 2))
        half = int(np.hypot(east - west, north - south) / 2 / spacing) + 1
        steps = np.arange(-half, half + 1)
        columns, rows = np.meshgrid(steps, steps)
        turn = self.rng.uniform(0, np.pi / 2)
        flat = np.column_stack((columns.ravel(), rows.ravel())) * spacing
        flat = flat + self.rng.normal(0, 0.12 * spacing, flat.shape).clip(-0.3 * spacing, 0.3 * spacing)
        east_of = flat[:, 0] * np.cos(turn) - flat[:, 1] * np.sin(turn)
        north_of = flat[:, 0] * np.sin(turn) + flat[:, 1] * np.cos(turn)
        nodes = np.column_stack((east_of, north_of)) + middle
        shapely.prepare(ground)
        inside = np.asarray(shapely.contains_xy(ground, nodes[:, 0], nodes[:, 1]))
        number = np.arange(len(nodes)).reshape(columns.shape)
        edges = np.concatenate(
            (
                np.column_stack((number[:, :-1].ravel(), number[:, 1:].ravel())),
                np.column_stack((number[:-1, :].ravel(), number[1:, :].ravel())),
            )
        )
        edges = edges[inside[edges].all(axis=1)]
        edges = edges[self.rng.random(len(edges)) < kept]
        renumbered = np.cumsum(inside) - 1
        self.add(nodes[inside], renumbered[edges], mps)

    def lane(self, one: int, other: int) -> None:
        """A winding road between two nodes."""
        start, end = self.nodes[one], self.nodes[other]
        length = float(np.hypot(*(end - start)))
        count = max(int(length / _LANE_M), 1)
        share = (np.arange(1, count) / count)[:, None]
        side = np.array((-(end - start)[1], (end - start)[0])) / max(length, 1.0)
        sway = 70.0 * np.sin(share * np.pi) * np.cumsum(self.rng.normal(0, 0.5, (count - 1, 1)), axis=0)
        between = start + share * (end - start) + sway.clip(-260, 260) * side
        first = len(self.nodes)
        self.nodes = np.concatenate((self.nodes, between))
        chain = np.concatenate(((one,), np.arange(first, first + count - 1), (other,)))
        self.connect(np.column_stack((chain[:-1], chain[1:])), _LANE_MPS)


def draw(force: AreaSet, seed: int) -> Network:
    """Draws streets for a force, the same for the same areas and seed.

    Raises:
        ValueError: there is no neighbourhood.
    """
    rng = np.random.default_rng((seed, 0x57))
    plane, homes, buildings, hearts = outline(force)
    drawing = _Drawing(np.empty((0, 2)), np.empty((0, 2), np.int64), np.empty(0), rng)
    town = shapely.area(homes) <= _TOWN_M2
    heart = shapely.points(hearts)
    if town.any():
        ground = shapely.union_all(shapely.intersection(homes, shapely.buffer(heart, _TOWN_REACH_M))[town])
        spacing = float(np.clip(np.sqrt(ground.area / _BLOCKS), 135.0, 400.0))
        drawing.grid(ground, spacing, 0.86, _TOWN_MPS)
    for at in np.flatnonzero(~town):
        drawing.grid(shapely.buffer(heart[at], _VILLAGE_REACH_M), 95.0, 1.0, _VILLAGE_MPS)
    _lanes(drawing, hearts, town)
    _clear(drawing, buildings)
    _join(drawing)
    return Network(
        degrees=plane.degrees(drawing.nodes),
        edges=drawing.edges,
        mps=drawing.mps,
        walked=np.ones(len(drawing.edges), np.bool_),
        shapes=tuple(np.empty(0, np.int64) for _ in drawing.edges),
    )


def _lanes(drawing: _Drawing, hearts: NDArray[np.float64], town: NDArray[np.bool_]) -> None:
    """Roads between neighbours that no blocks connect."""
    if len(hearts) < 3:
        pairs = np.array([(0, 1)] if len(hearts) == 2 else [], np.int64).reshape(-1, 2)
    else:
        triangles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(hearts)))
        vertex = shapely.get_coordinates(triangles).reshape(len(triangles), 4, 2)[:, :3]
        number = shapely.STRtree(shapely.points(hearts)).nearest(shapely.points(vertex.reshape(-1, 2)))
        number = number.reshape(-1, 3)
        pairs = np.sort(np.concatenate((number[:, :2], number[:, 1:], number[:, ::2])), axis=1)
        pairs = np.unique(pairs, axis=0)
    tree = shapely.STRtree(shapely.points(drawing.nodes))
    for one, other in pairs:
        step = hearts[other] - hearts[one]
        length = float(np.hypot(*step))
        if town[one] and town[other] and length < 2 * _TOWN_REACH_M:
            continue
        reach = np.where(town[[one, other]], _TOWN_REACH_M, _VILLAGE_REACH_M).clip(0, length / 2)
        towards = np.stack((hearts[one] + step * reach[0] / length, hearts[other] - step * reach[1] / length))
        start, end = tree.nearest(shapely.points(towards))
        if start != end:
            drawing.lane(int(start), int(end))


def _clear(drawing: _Drawing, buildings: NDArray[np.object_]) -> None:
    """Takes away streets through premises."""
    lines = shapely.linestrings(drawing.nodes[drawing.edges])
    blocked = shapely.STRtree(lines).query(shapely.buffer(buildings, 8.0), predicate="intersects")[1]
    drawing.edges = np.delete(drawing.edges, np.unique(blocked), axis=0)
    drawing.mps = np.delete(drawing.mps, np.unique(blocked))


def _join(drawing: _Drawing) -> None:
    """Keeps what hangs together: small cut-off bits go, larger ones get a road to the rest."""
    label = components(len(drawing.nodes), drawing.edges)
    names, size = np.unique(label, return_counts=True)
    main = names[np.argmax(size)]
    for name in names[(size >= 12) & (names != main)]:
        ours, theirs = np.flatnonzero(label == name), np.flatnonzero(label == main)
        nearest, gap = shapely.STRtree(shapely.points(drawing.nodes[theirs])).query_nearest(
            shapely.points(drawing.nodes[ours]), return_distance=True, all_matches=False
        )
        at = int(np.argmin(gap))
        drawing.lane(int(ours[nearest[0, at]]), int(theirs[nearest[1, at]]))
        label = components(len(drawing.nodes), drawing.edges)
        main = label[theirs[0]]
    kept = label == main
    drawing.mps = drawing.mps[kept[drawing.edges[:, 0]]]
    drawing.edges = (np.cumsum(kept) - 1)[drawing.edges[kept[drawing.edges[:, 0]]]]
    drawing.nodes = drawing.nodes[kept]
