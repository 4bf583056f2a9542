"""The streets: a made-up network that patrols move along, and the shortest ways through it.

Blocks where a neighbourhood is small enough to be town, a handful of lanes in a village, and roads between.
Works on any set of areas, real ones included. Officers and time come in later rooms.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.areas import Kind
from stream.simulate.plane import Plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.areas import AreaSet

_TOWN_M2 = 20e6  # a neighbourhood of up to 20 km² is built up, a larger one has a village in it
_TOWN_REACH_M, _VILLAGE_REACH_M = 1_700.0, 290.0
_BLOCKS = 5_000  # about this many crossings in all towns together, so that real forces stay quick
_LANE_M = 240.0
_CALL_REACH_M = 1_600.0  # calls are not further from the middle: roads' far ends are for driving through
_CALLS = 12  # places worth going to in each neighbourhood, besides those in its priority areas


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """A network and the places on it that officers go to.

    Attributes:
        degrees: ``float64[n, 2]``, lon and lat of the nodes.
        near: for each node its neighbours as ``(node, metres)``.
        neighbourhood: ``int64[n]``, number of the neighbourhood a node stands in (as the area set orders
            neighbourhoods), -1 outside all.
        centre: ``int64[h]``, the node in the middle of each neighbourhood.
        calls: for each neighbourhood the nodes worth going to, its centre first.
        premises: ``int64[p]``, the node inside each premises, in the order of the area set.
    """

    degrees: NDArray[np.float64]
    near: tuple[tuple[tuple[int, float], ...], ...]
    neighbourhood: NDArray[np.int64]
    centre: NDArray[np.int64]
    calls: tuple[NDArray[np.int64], ...]
    premises: NDArray[np.int64]


@dataclass(slots=True, eq=False)
class _Drawing:
    """A network while it is being drawn, in metres."""

    nodes: NDArray[np.float64]
    edges: NDArray[np.int64]
    rng: np.random.Generator

    def add(self, nodes: NDArray[np.float64], edges: NDArray[np.int64]) -> None:
        self.edges = np.concatenate((self.edges, edges + len(self.nodes)))
        self.nodes = np.concatenate((self.nodes, nodes))

    def grid(self, ground: shapely.Geometry, spacing: float, kept: float) -> None:
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
        self.add(nodes[inside], renumbered[edges])

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
        self.edges = np.concatenate((self.edges, np.column_stack((chain[:-1], chain[1:]))))

    def components(self) -> NDArray[np.int64]:
        """``int64[n]``: the smallest node that each node can reach."""
        label = np.arange(len(self.nodes))
        while True:
            before = label.copy()
            lowest = np.minimum(label[self.edges[:, 0]], label[self.edges[:, 1]])
            np.minimum.at(label, self.edges[:, 0], lowest)
            np.minimum.at(label, self.edges[:, 1], lowest)
            label = label[label]
            if (before == label).all():
                return label


def streets(force: AreaSet, seed: int = 1) -> Streets:
    """Draws streets for a force, the same for the same areas and seed.

    Raises:
        ValueError: there is no neighbourhood.
    """
    rng = np.random.default_rng((seed, 0x57))
    rows = {kind: [at for at, each in enumerate(force.kind) if each == kind] for kind in Kind}
    homes = force.geometry[rows[Kind.NEIGHBOURHOOD]]
    if not len(homes):
        raise ValueError("the force has no neighbourhood; load areas of kind neighbourhood first")
    west, south, east, north = shapely.total_bounds(homes)
    plane = Plane(float(west + east) / 2, float(south + north) / 2)
    homes = shapely.transform(homes, plane.metres)
    buildings = shapely.transform(force.geometry[rows[Kind.PREMISES]], plane.metres)
    centroid = shapely.centroid(homes)
    heart = np.where(shapely.contains(homes, centroid), centroid, shapely.point_on_surface(homes))
    hearts = shapely.get_coordinates(heart)

    drawing = _Drawing(np.empty((0, 2)), np.empty((0, 2), np.int64), rng)
    town = shapely.area(homes) <= _TOWN_M2
    if town.any():
        ground = shapely.union_all(shapely.intersection(homes, shapely.buffer(heart, _TOWN_REACH_M))[town])
        drawing.grid(ground, float(np.clip(np.sqrt(ground.area / _BLOCKS), 135.0, 400.0)), 0.86)
    for at in np.flatnonzero(~town):
        drawing.grid(shapely.buffer(heart[at], _VILLAGE_REACH_M), 95.0, 1.0)
    _lanes(drawing, hearts, town)
    _clear(drawing, buildings)
    _join(drawing)
    inside = _doors(drawing, buildings)
    return _finish(drawing, plane=plane, force=force, rows=rows, hearts=hearts, inside=inside)


def _lanes(drawing: _Drawing, hearts: NDArray[np.float64], town: NDArray[np.bool_]) -> None:
    """Roads between neighbours that no blocks connect."""
    if len(hearts) < 3:
        pairs = np.array([(0, 1)] if len(hearts) == 2 else [], np.int64).reshape(-1, 2)
    else:
        triangles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(hearts)))
        corner = shapely.get_coordinates(triangles).reshape(len(triangles), 4, 2)[:, :3]
        number = shapely.STRtree(shapely.points(hearts)).nearest(shapely.points(corner.reshape(-1, 2)))
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


def _join(drawing: _Drawing) -> None:
    """Keeps what hangs together: small cut-off bits go, larger ones get a road to the rest."""
    label = drawing.components()
    names, size = np.unique(label, return_counts=True)
    main = names[np.argmax(size)]
    for name in names[(size >= 12) & (names != main)]:
        ours, theirs = np.flatnonzero(label == name), np.flatnonzero(label == main)
        nearest, gap = shapely.STRtree(shapely.points(drawing.nodes[theirs])).query_nearest(
            shapely.points(drawing.nodes[ours]), return_distance=True, all_matches=False
        )
        at = int(np.argmin(gap))
        drawing.lane(int(ours[nearest[0, at]]), int(theirs[nearest[1, at]]))
        label = drawing.components()
        main = label[theirs[0]]
    kept = label == main
    drawing.edges = (np.cumsum(kept) - 1)[drawing.edges[kept[drawing.edges[:, 0]]]]
    drawing.nodes = drawing.nodes[kept]


def _doors(drawing: _Drawing, buildings: NDArray[np.object_]) -> NDArray[np.int64]:
    """A node inside each premises, with a way to the nearest street."""
    if not len(buildings):
        return np.empty(0, np.int64)
    inside = shapely.get_coordinates(shapely.point_on_surface(buildings))
    street = shapely.STRtree(shapely.points(drawing.nodes)).nearest(shapely.points(inside))
    number = len(drawing.nodes) + np.arange(len(inside))
    drawing.nodes = np.concatenate((drawing.nodes, inside))
    drawing.edges = np.concatenate((drawing.edges, np.column_stack((number, street))))
    return number


def _finish(
    drawing: _Drawing,
    *,
    plane: Plane,
    force: AreaSet,
    rows: dict[Kind, list[int]],
    hearts: NDArray[np.float64],
    inside: NDArray[np.int64],
) -> Streets:
    degrees = plane.degrees(drawing.nodes)
    metres = plane.metres(degrees)
    length = np.hypot(*(metres[drawing.edges[:, 0]] - metres[drawing.edges[:, 1]]).T)
    near: list[list[tuple[int, float]]] = [[] for _ in degrees]
    for (one, other), gap in zip(drawing.edges.tolist(), length.tolist(), strict=True):
        near[one].append((other, gap))
        near[other].append((one, gap))

    points = shapely.points(degrees)
    outdoors = np.ones(len(degrees), np.bool_)
    outdoors[inside] = False
    tree = shapely.STRtree(points)
    home, node = tree.query(force.geometry[rows[Kind.NEIGHBOURHOOD]], predicate="intersects")
    neighbourhood = np.full(len(degrees), -1)
    neighbourhood[node[::-1]] = home[::-1]  # the smallest id has the last word
    issue, held = tree.query(force.geometry[rows[Kind.PRIORITY]], predicate="intersects")

    # A call must be reached without leaving home, or patrols would spend their day on the roads around it.
    within = neighbourhood[drawing.edges[:, 0]] == neighbourhood[drawing.edges[:, 1]]
    part = _Drawing(drawing.nodes, drawing.edges[within], drawing.rng).components()

    calls, centre = [], []
    for at, heart in enumerate(hearts):
        own = np.flatnonzero((neighbourhood == at) & outdoors)
        if not len(own):
            own = np.array([np.argmin(np.hypot(*(metres - heart).T))])
        _, of, size = np.unique(part[own], return_inverse=True, return_counts=True)
        own = own[of == np.argmax(size)]
        far = np.hypot(*(metres[own] - heart).T)
        first = own[np.argmin(far)]
        weight = np.exp(-far / 900.0)
        weight[far > max(_CALL_REACH_M, float(np.sort(far)[:4].max()))] = 0.0
        some = drawing.rng.choice(
            own, min(_CALLS, int(np.count_nonzero(weight))), replace=False, p=weight / weight.sum()
        )
        hot = [np.intersect1d(held[issue == each], own)[:2] for each in np.unique(issue)]
        others = np.unique(np.concatenate((some, *hot)))
        calls.append(np.concatenate(((first,), others[others != first])))
        centre.append(first)
    return Streets(
        degrees=degrees,
        near=tuple(tuple(each) for each in near),
        neighbourhood=neighbourhood,
        centre=np.array(centre, np.int64),
        calls=tuple(calls),
        premises=inside,
    )


@dataclass(slots=True, eq=False)
class Router:
    """Shortest ways through the streets, remembered by destination.

    A tree of ways to a place is grown only as far as its neighbourhood's own places at first; whoever comes
    from further away has it grown in full.
    """

    streets: Streets
    _onward: dict[int, tuple[dict[int, int], bool]] = field(default_factory=dict)
    _ways: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=dict)

    def way(self, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The way between two nodes.

        Returns:
            ``(int64[k] nodes from start to end, float64[k] metres gone at each)``.
        """
        found = self._ways.get((start, end))
        if found is None:
            found = self._ways[start, end] = self._walk(start, end)
        return found

    def _walk(self, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        onward, whole = self._onward.get(end) or self._grow(end, near=True)
        if start not in onward and not whole:
            onward, whole = self._grow(end, near=False)
        nodes, gone = [start], [0.0]
        while nodes[-1] != end:
            nearer = onward[nodes[-1]]
            gone.append(gone[-1] + next(gap for node, gap in self.streets.near[nodes[-1]] if node == nearer))
            nodes.append(nearer)
        return np.array(nodes), np.array(gone)

    def _grow(self, end: int, *, near: bool) -> tuple[dict[int, int], bool]:
        """Dijkstra's algorithm backwards from the end: for each node reached the next one towards it."""
        home = int(self.streets.neighbourhood[end])
        wanted = set(self.streets.calls[home].tolist()) if near and home >= 0 else set()
        stop = bool(wanted)
        onward: dict[int, int] = {}
        queue = [(0.0, end, end)]
        while queue:
            gone, node, nearer = heapq.heappop(queue)
            if node in onward:
                continue
            onward[node] = nearer
            wanted.discard(node)
            if stop and not wanted:
                break
            for other, gap in self.streets.near[node]:
                if other not in onward:
                    heapq.heappush(queue, (gone + gap, other, node))
        grown = onward, not queue
        self._onward[end] = grown
        return grown
