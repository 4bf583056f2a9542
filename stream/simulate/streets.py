"""The streets: a network that patrols move along, the places on it, and the quickest ways through it.

A network comes from ``drawn``, made up, or from ``osm``, an extract; here it is joined to a force's areas.
Officers and time come in later rooms.
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

_CALL_REACH_M = 1_600.0  # calls are not further from the middle: roads' far ends are for driving through
_CALLS = 12  # places worth going to in each neighbourhood, besides those in its priority areas
_YARD_MPS = 3.0
_DOOR_M = 1_500.0  # premises further than this from any street are nobody's station
_BEAT_M = 300.0  # and a priority area this far from any street is walked by nobody


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Streets as a graph; its edges may be bent.

    Attributes:
        degrees: ``float64[n, 2]``, lon and lat of the vertices.
        edges: ``int64[e, 2]``, vertices at the ends.
        mps: ``float64[e]``, metres a second at which cars drive along, 0 where they may not.
        walked: ``bool[e]``, whether people may walk along.
        shapes: for each edge the vertices between its ends, in order.
    """

    degrees: NDArray[np.float64]
    edges: NDArray[np.int64]
    mps: NDArray[np.float64]
    walked: NDArray[np.bool_]
    shapes: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """A network and the places on it that officers go to; all of them can be reached on foot and by car.

    Attributes:
        network: the streets, with a way to each premises' door.
        pieces: for each edge the metres from vertex to vertex along it.
        neighbourhood: ``int64[n]``, number of the neighbourhood a vertex stands in (as the area set orders
            neighbourhoods), -1 outside all.
        centre: ``int64[h]``, the vertex in the middle of each neighbourhood, -1 where it has no streets.
        calls: for each neighbourhood the vertices worth going to, its centre first; none without streets.
        beats: for each neighbourhood its priority areas, ``(number, the vertex nearest to its middle)``.
        premises: ``int64[p]``, the vertex inside each premises, in the order of the area set, -1 where it is
            too far from the streets.
        hot: ``object[a]``, the priority areas' geometries.
    """

    network: Network
    pieces: tuple[NDArray[np.float64], ...]
    neighbourhood: NDArray[np.int64]
    centre: NDArray[np.int64]
    calls: tuple[NDArray[np.int64], ...]
    beats: tuple[tuple[tuple[int, int], ...], ...]
    premises: NDArray[np.int64]
    hot: NDArray[np.object_]

    @property
    def degrees(self) -> NDArray[np.float64]:
        """``float64[n, 2]``, lon and lat of the vertices."""
        return self.network.degrees

    def metres_from(self, node: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far some vertices are from one as the crow flies, roughly: good enough to choose by."""
        step = (self.degrees[others] - self.degrees[node]) * (68_000.0, 111_195.0)
        return np.asarray(np.hypot(step[:, 0], step[:, 1]))


def components(nodes: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """``int64[n]``: the smallest node that each node can reach.

    Args:
        nodes: how many there are.
        edges: ``int64[e, 2]``, pairs of them.
    """
    label = np.arange(nodes)
    while True:
        before = label.copy()
        lowest = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        np.minimum.at(label, edges[:, 0], lowest)
        np.minimum.at(label, edges[:, 1], lowest)
        while (label[label] != label).any():
            label = label[label]
        if (before == label).all():
            return label


def largest(nodes: int, edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``bool[n]``: whether a node is in the largest part of a graph that hangs together."""
    label = components(nodes, edges)
    used = np.zeros(nodes, np.bool_)
    used[edges.ravel()] = True
    names, size = np.unique(label[used], return_counts=True)
    return used & (label == names[np.argmax(size)]) if len(names) else used


def outline(
    force: AreaSet,
) -> tuple[Plane, NDArray[np.object_], NDArray[np.object_], NDArray[np.float64]]:
    """``(plane, neighbourhoods, premises, middles float64[h, 2])`` of a force, in metres on the plane.

    Raises:
        ValueError: there is no neighbourhood.
    """
    kind = np.array([str(each) for each in force.kind])
    homes = force.geometry[kind == str(Kind.NEIGHBOURHOOD)]
    if not len(homes):
        raise ValueError("the force has no neighbourhood; load areas of kind neighbourhood first")
    plane = Plane.around(*shapely.total_bounds(homes))
    homes = shapely.transform(homes, plane.metres)
    buildings = shapely.transform(force.geometry[kind == str(Kind.PREMISES)], plane.metres)
    centroid = shapely.centroid(homes)
    heart = np.where(shapely.contains(homes, centroid), centroid, shapely.point_on_surface(homes))
    return plane, homes, buildings, shapely.get_coordinates(heart)


def settle(force: AreaSet, network: Network, seed: int) -> Streets:
    """Joins a network to a force's areas: doors, calls and beats; the same for the same input.

    Raises:
        ValueError: there is no neighbourhood, or none with a street in it.
    """
    rng = np.random.default_rng((seed, 0x58))
    plane, _, buildings, hearts = outline(force)
    rows = {kind: [at for at, each in enumerate(force.kind) if each == kind] for kind in Kind}
    reached = _reached(network)
    network, inside = _doors(network, plane, buildings, reached)
    reached = np.concatenate((reached, np.zeros(len(network.degrees) - len(reached), np.bool_)))

    metres = plane.metres(network.degrees)
    bends = [
        (one, *shape.tolist(), other)
        for (one, other), shape in zip(network.edges.tolist(), network.shapes, strict=True)
    ]
    size = np.array([len(each) for each in bends])
    step = np.diff(metres[np.concatenate(bends)], axis=0)
    last = np.cumsum(size)[:-1]
    pieces = np.split(np.delete(np.hypot(step[:, 0], step[:, 1]), last - 1), last - np.arange(1, len(size)))
    tree = shapely.STRtree(shapely.points(network.degrees))
    home, node = tree.query(force.geometry[rows[Kind.NEIGHBOURHOOD]], predicate="intersects")
    neighbourhood = np.full(len(network.degrees), -1)
    neighbourhood[node[::-1]] = home[::-1]  # the smallest id wins
    hot = force.geometry[rows[Kind.PRIORITY]]
    issue, held = tree.query(hot, predicate="intersects")

    # A call must be reached without leaving home, or patrols would spend their day on the roads around it.
    within = neighbourhood[network.edges[:, 0]] == neighbourhood[network.edges[:, 1]]
    part = components(len(metres), network.edges[within])

    calls, centre = [], []
    for at, heart in enumerate(hearts):
        own = np.flatnonzero((neighbourhood == at) & reached)
        if not len(own):
            calls.append(own)
            centre.append(-1)
            continue
        _, of, size = np.unique(part[own], return_inverse=True, return_counts=True)
        own = own[of == np.argmax(size)]
        far = np.hypot(*(metres[own] - heart).T)
        first = own[np.argmin(far)]
        weight = np.exp(-far / 900.0)
        weight[far > max(_CALL_REACH_M, float(np.sort(far)[:4].max()))] = 0.0
        some = rng.choice(
            own, min(_CALLS, int(np.count_nonzero(weight))), replace=False, p=weight / weight.sum()
        )
        some_hot = [np.intersect1d(held[issue == each], own)[:2] for each in np.unique(issue)]
        others = np.unique(np.concatenate((some, *some_hot)))
        calls.append(np.concatenate(((first,), others[others != first])))
        centre.append(int(first))
    if all(each < 0 for each in centre):
        raise ValueError("no street lies in any neighbourhood: the areas and the streets are of other places")
    return Streets(
        network=network,
        pieces=tuple(pieces),
        neighbourhood=neighbourhood,
        centre=np.array(centre, np.int64),
        calls=tuple(calls),
        beats=_beats(shapely.transform(hot, plane.metres), metres, neighbourhood, reached, len(hearts)),
        premises=inside,
        hot=hot,
    )


def _reached(network: Network) -> NDArray[np.bool_]:
    """``bool[n]``: crossings that can be reached both by car and on foot."""
    nodes = len(network.degrees)
    both = largest(nodes, network.edges[network.mps > 0]) & largest(nodes, network.edges[network.walked])
    if not both.any():
        raise ValueError("the streets have no crossing that can be reached both by car and on foot")
    return both


def _doors(
    network: Network, plane: Plane, buildings: NDArray[np.object_], reached: NDArray[np.bool_]
) -> tuple[Network, NDArray[np.int64]]:
    """A vertex inside each premises, with a way to the nearest street."""
    if not len(buildings):
        return network, np.empty(0, np.int64)
    crossings = np.flatnonzero(reached)
    inside = shapely.get_coordinates(shapely.point_on_surface(buildings))
    tree = shapely.STRtree(shapely.points(plane.metres(network.degrees[crossings])))
    (_, street), gap = tree.query_nearest(shapely.points(inside), return_distance=True, all_matches=False)
    near = gap < _DOOR_M
    number = np.where(near, len(network.degrees) + np.cumsum(near) - 1, -1)
    ways = np.column_stack((number, crossings[street]))[near]
    longer = Network(
        degrees=np.concatenate((network.degrees, plane.degrees(inside[near]))),
        edges=np.concatenate((network.edges, ways)),
        mps=np.concatenate((network.mps, np.full(len(ways), _YARD_MPS))),
        walked=np.concatenate((network.walked, np.ones(len(ways), np.bool_))),
        shapes=(*network.shapes, *(np.empty(0, np.int64) for _ in ways)),
    )
    return longer, number


def _beats(
    hot: NDArray[np.object_],
    metres: NDArray[np.float64],
    neighbourhood: NDArray[np.int64],
    reached: NDArray[np.bool_],
    homes: int,
) -> tuple[tuple[tuple[int, int], ...], ...]:
    """For each neighbourhood the priority areas whose nearest crossing is in it."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(homes)]
    crossings = np.flatnonzero(reached)
    if len(hot):
        tree = shapely.STRtree(shapely.points(metres[crossings]))
        near = tree.nearest(shapely.point_on_surface(hot))
        gap = shapely.distance(hot, shapely.points(metres[crossings[near]]))
        for number, (node, away) in enumerate(zip(crossings[near].tolist(), gap.tolist(), strict=True)):
            if neighbourhood[node] >= 0 and away < _BEAT_M:
                found[neighbourhood[node]].append((number, node))
    return tuple(tuple(each) for each in found)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A way through the streets.

    Attributes:
        nodes: ``int64[k]``, the vertices from its start to its end.
        metres: ``float64[k]``, how far it is to each.
        seconds: ``float64[k]``, how long a car needs to each, at the streets' own speeds; on foot, at 1 m/s.
        crossing: ``bool[k]``, whether a vertex is one where streets meet, in place of a bend.
    """

    nodes: NDArray[np.int64]
    metres: NDArray[np.float64]
    seconds: NDArray[np.float64]
    crossing: NDArray[np.bool_]


_Near = list[list[tuple[int, float, int]]]
"""For each vertex ``(neighbour, cost, edge)``."""


@dataclass(slots=True, eq=False)
class Router:
    """Quickest ways through the streets, by car and on foot, remembered by destination.

    A tree of ways to a place is grown only as far as its neighbourhood's own places at first; whoever comes
    from further away has it grown in full.
    """

    streets: Streets
    _near: tuple[_Near, _Near] = field(init=False)
    _first: list[int] = field(init=False)
    _pieces: list[list[float]] = field(init=False)
    _shapes: list[list[int]] = field(init=False)
    _mps: list[float] = field(init=False)
    _onward: dict[tuple[int, bool], tuple[dict[int, tuple[int, int]], bool]] = field(default_factory=dict)
    _ways: dict[tuple[int, int, bool], Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lists every vertex's neighbours once."""
        network = self.streets.network
        on_foot: _Near = [[] for _ in network.degrees]
        by_car: _Near = [[] for _ in network.degrees]
        metres = np.array([float(each.sum()) for each in self.streets.pieces])
        seconds = metres / np.where(network.mps > 0, network.mps, 1.0)
        for near, open_, costs in (
            (on_foot, network.walked, metres),
            (by_car, network.mps > 0, seconds),
        ):
            edges = np.flatnonzero(open_)
            ends, cost = network.edges[edges].tolist(), costs[edges].tolist()
            for edge, (one, other), gap in zip(edges.tolist(), ends, cost, strict=True):
                near[one].append((other, gap, edge))
                near[other].append((one, gap, edge))
        self._near = (on_foot, by_car)
        self._first, self._mps = network.edges[:, 0].tolist(), network.mps.tolist()
        self._pieces = [each.tolist() for each in self.streets.pieces]
        self._shapes = [each.tolist() for each in network.shapes]

    def way(self, start: int, end: int, *, by_car: bool) -> Way:
        """The quickest way between two places."""
        found = self._ways.get((start, end, by_car))
        if found is None:
            found = self._ways[start, end, by_car] = self._walk(start, end, by_car)
        return found

    def _walk(self, start: int, end: int, by_car: bool) -> Way:
        onward, whole = self._onward.get((end, by_car)) or self._grow(end, by_car, near=True)
        if start not in onward and not whole:
            onward, whole = self._grow(end, by_car, near=False)
        at = start
        nodes, metres, seconds, crossing = [start], [0.0], [0.0], [True]
        while at != end:
            following, edge = onward[at]
            backwards = self._first[edge] != at
            shape, pieces = self._shapes[edge], self._pieces[edge]
            if backwards:
                shape, pieces = shape[::-1], pieces[::-1]
            mps = self._mps[edge] if by_car else 1.0
            nodes += shape
            crossing += [False] * len(shape)
            nodes.append(following)
            crossing.append(True)
            for piece in pieces:
                metres.append(metres[-1] + piece)
                seconds.append(seconds[-1] + piece / mps)
            at = following
        return Way(np.array(nodes), np.array(metres), np.array(seconds), np.array(crossing))

    def _grow(self, end: int, by_car: bool, *, near: bool) -> tuple[dict[int, tuple[int, int]], bool]:
        """Dijkstra's algorithm backwards from the end: for each node reached the next one towards it."""
        home = int(self.streets.neighbourhood[end])
        wanted = set(self.streets.calls[home].tolist()) if near and home >= 0 else set()
        stop = bool(wanted)
        onward: dict[int, tuple[int, int]] = {}
        neighbours = self._near[by_car]
        queue = [(0.0, end, end, -1)]
        while queue:
            cost, node, nearer, edge = heapq.heappop(queue)
            if node in onward:
                continue
            onward[node] = nearer, edge
            wanted.discard(node)
            if stop and not wanted:
                break
            for other, gap, along in neighbours[node]:
                if other not in onward:
                    heapq.heappush(queue, (cost + gap, other, node, along))
        grown = onward, not queue
        self._onward[end, by_car] = grown
        return grown
