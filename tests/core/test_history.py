"""Versions of the areas under one numbering of places."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import FOREVER, UNKNOWN, AreaHistory
from geo.matching.places import Place, PlaceIndex
from stream.core.policy import Policies
from stream.core.stays import stays, whole_stays
from tests.strategies import BINARY, areas, fix_columns, many, spots

TIMES = st.integers(-(10**15), 4 * 10**15)
VERSIONS = st.lists(st.tuples(TIMES, areas()), max_size=4, unique_by=lambda version: version[0]).map(
    lambda versions: [
        (start, AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in rows))
        for start, rows in sorted(versions, key=lambda version: version[0])
    ]
)
POINTS = st.lists(spots().map(lambda spot: BINARY.at(*spot)), min_size=1, max_size=8)


@given(st.lists(TIMES, max_size=5, unique=True).map(sorted), st.lists(TIMES, max_size=10))
def test_the_version_in_force_is_the_last_that_began(starts: list[int], times: list[int]) -> None:
    """Rule 6: at every instant, and at each version's first, that with the latest start not after it."""
    history = AreaHistory([(start, AreaSet.of([])) for start in starts])
    asked = [*times, *starts]
    expected = [max((n for n, start in enumerate(starts) if start <= time), default=-1) for time in asked]
    found = history.version_at(np.array(asked, np.int64))
    assert found.tolist() == expected
    for time, version in zip(asked, expected, strict=True):
        low, high = history.span(version)
        assert low <= time < high


@many(80)
@given(VERSIONS, POINTS)
def test_places_of_all_versions_have_common_numbers(
    versions: list[tuple[int, AreaSet]], points: list[tuple[float, float]]
) -> None:
    """A place found under a version is the one that the version's own index finds, whatever its number."""
    history = AreaHistory(versions)
    lon, lat = (np.array([point[axis] for point in points]) for axis in (0, 1))
    for number, (_, found) in enumerate(versions):
        alone = PlaceIndex(found)
        wanted = [alone.place(place) for place in alone.locate(lon, lat).tolist()]
        assert [history.places[place] for place in history.locate(number, lon, lat).tolist()] == wanted
    assert len(set(history.places)) == len(history.places)
    assert history.places[0] == Place(None, None, ())


@many(40)
@given(VERSIONS, POINTS, POINTS)
def test_crossings_are_those_of_the_version(
    versions: list[tuple[int, AreaSet]], here: list[tuple[float, float]], there: list[tuple[float, float]]
) -> None:
    """A leg is divided where the version's own index divides it, into the same places."""
    history = AreaHistory(versions)
    legs = list(zip(here, there, strict=False))
    lon0, lat0 = (np.array([leg[0][axis] for leg in legs]) for axis in (0, 1))
    lon1, lat1 = (np.array([leg[1][axis] for leg in legs]) for axis in (0, 1))
    for number, (_, found) in enumerate(versions):
        alone = PlaceIndex(found)
        wanted, pieces = (
            alone.crossings(lon0, lat0, lon1, lat1),
            history.crossings(number, lon0, lat0, lon1, lat1),
        )
        assert pieces.leg.tolist() == wanted.leg.tolist()
        assert pieces.start.tolist() == wanted.start.tolist()
        assert [history.places[at] for at in pieces.place.tolist()] == [
            alone.place(at) for at in wanted.place.tolist()
        ]


def test_before_the_first_version_everything_is_unknown() -> None:
    """Rule 6: no boundaries, no place: points and whole legs alike."""
    history = AreaHistory([(0, AreaSet.of([]))])
    lon, lat = np.array([-1.1, -1.2]), np.array([52.6, 52.7])
    assert history.locate(-1, lon, lat).tolist() == [UNKNOWN, UNKNOWN]
    pieces = history.crossings(-1, lon, lat, lon, lat)
    assert (pieces.leg.tolist(), pieces.start.tolist()) == ([0, 1], [0.0, 0.0])
    assert pieces.place.tolist() == [UNKNOWN, UNKNOWN]
    assert history.span(-1) == (-FOREVER, 0)


def test_places_met_before_keep_their_numbers() -> None:
    """Numbers handed in stay, new places come behind them, and a number once given is given again."""
    known = [Place(None, None, ()), Place("N7", None, ("P1",))]
    history = AreaHistory([], places=known)
    assert history.number(Place("N7", None, ("P1",))) == 1
    assert history.number(Place("N8", None, ())) == 2
    assert history.number(Place("N8", None, ())) == 2
    assert history.places == [*known, Place("N8", None, ())]
    assert len(known) == 2


@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("after", [-1, 0, 1, 2, 10**7])
def test_a_leg_is_in_the_newer_version_from_its_first_microsecond_on(after: int, still: bool) -> None:
    """Rule 6: a leg over a change of version is split there, though but a microsecond of it is left."""
    box = shapely.box(-1.2, 52.6, -1.1, 52.7)
    older, newer = (AreaSet.of([Area(Kind.NEIGHBOURHOOD, name, "", box)]) for name in ("N1", "N2"))
    history = AreaHistory([(0, older), (10**15, newer)])
    begin, end = 10**15 - (600 if still else 60) * 10**6, 10**15 + after
    there = -1.15 if still else -1.1499
    fixes = fix_columns([("R1", begin, -1.15, 52.65, None), ("R1", end, there, 52.65, None)])
    found = whole_stays(stays(fixes, history, Policies()), history.places)
    names = [history.places[place].neighbourhood for place in found.place.tolist()]
    told = list(zip(names, found.start.tolist(), found.end.tolist(), strict=True))
    assert told == [("N1", begin, min(end, 10**15)), ("N2", 10**15, end)][: 1 + (after > 0)]


@pytest.mark.parametrize("starts", [(1, 1), (2, 1)])
def test_versions_out_of_order_are_refused(starts: tuple[int, int]) -> None:
    """Two versions from one instant, or in falling order, decide nothing."""
    with pytest.raises(ValueError, match="in the order of the times they come into force"):
        AreaHistory([(start, AreaSet.of([])) for start in starts])
