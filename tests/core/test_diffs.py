"""One version against another: what the difference says, against ground cut and given by hand."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.crs import area_m2
from geo.boundaries.diffs import MOVED_M2, Flow, diff
from geo.boundaries.reading import read_areas
from tests.real import DATA, needs_data

WEST, SOUTH, SIDE = -1.3, 52.5, 0.04
FORCE = shapely.box(WEST, SOUTH, WEST + SIDE, SOUTH + SIDE)
METRE = 1 / 111_200


def parted(cuts: tuple[float, float], names: tuple[str, str, str] = ("A", "B", "C")) -> AreaSet:
    """The force in three strips, cut from west to east at two shares of its width."""
    edges = (0.0, *sorted(cuts), 1.0)
    return AreaSet.of(
        Area(
            Kind.NEIGHBOURHOOD,
            ident,
            ident,
            shapely.box(WEST + low * SIDE, SOUTH, WEST + high * SIDE, SOUTH + SIDE),
        )
        for ident, low, high in zip(names, edges, edges[1:], strict=False)
    )


cuts = st.tuples(st.floats(0.05, 0.45), st.floats(0.55, 0.95))


@given(cuts)
def test_nothing_differs_from_itself(at: tuple[float, float]) -> None:
    """A version against itself is an empty difference, and false."""
    found = diff(parted(at), parted(at))
    assert not found
    assert found.flows == ()


@settings(max_examples=30, deadline=None)
@given(cuts, cuts)
def test_what_one_loses_another_gains(before: tuple[float, float], after: tuple[float, float]) -> None:
    """Where both versions cover the same ground, each area's flows in less its flows out are its growth."""
    old, new = parted(before), parted(after)
    found = diff(old, new)
    growth = dict(zip(old.area_id, area_m2(new.geometry) - area_m2(old.geometry), strict=True))
    for ident, grown in growth.items():
        came = sum(flow.size_m2 for flow in found.flows if flow.to_id == ident)
        went = sum(flow.size_m2 for flow in found.flows if flow.from_id == ident)
        # Each of at most two edges may have moved by less than what counts as a move.
        assert came - went == pytest.approx(grown, abs=2 * 0.06 * 4_500 + 2 * MOVED_M2)
    moved = {change.area_id: change for change in found.moved}
    for ident, change in moved.items():
        assert change.gained_m2 == pytest.approx(
            sum(flow.size_m2 for flow in found.flows if flow.to_id == ident), abs=2 * MOVED_M2
        )
    assert not any((found.added, found.removed, found.renamed, found.changed))


@settings(max_examples=30, deadline=None)
@given(cuts, cuts)
def test_the_way_back_is_the_way_there_reversed(
    before: tuple[float, float], after: tuple[float, float]
) -> None:
    """The difference from new to old has the same flows the other way."""
    there, back = diff(parted(before), parted(after)), diff(parted(after), parted(before))
    turned = [Flow(flow.kind, flow.to_id, flow.from_id, flow.size_m2) for flow in back.flows]
    key = {(flow.from_id, flow.to_id): flow.size_m2 for flow in turned}
    assert key == pytest.approx({(flow.from_id, flow.to_id): flow.size_m2 for flow in there.flows})


def test_a_strip_given_away_is_one_flow() -> None:
    """A tenth of the force from A to B: A lost it, B gained it, C is not concerned."""
    found = diff(parted((0.3, 0.7)), parted((0.2, 0.7)))
    [flow] = found.flows
    strip = area_m2(shapely.box(WEST + 0.2 * SIDE, SOUTH, WEST + 0.3 * SIDE, SOUTH + SIDE))[0]
    assert (flow.kind, flow.from_id, flow.to_id) == (Kind.NEIGHBOURHOOD, "A", "B")
    assert flow.size_m2 == pytest.approx(strip)
    assert [(change.area_id, round(change.gained_m2 - change.lost_m2)) for change in found.moved] == [
        ("A", -round(strip)),
        ("B", round(strip)),
    ]


def test_areas_added_and_removed_have_flows() -> None:
    """A new area takes its ground from those that had it; one that goes leaves it to those that have it."""
    two = AreaSet.of(area for area in parted((0.3, 0.7)).areas() if area.area_id != "C")
    found = diff(two, parted((0.3, 0.6)))
    assert found.added == ((Kind.NEIGHBOURHOOD, "C"),)
    assert {(flow.from_id, flow.to_id) for flow in found.flows} == {("B", "C"), (None, "C")}
    found = diff(parted((0.3, 0.6)), two)
    assert found.removed == ((Kind.NEIGHBOURHOOD, "C"),)
    assert {(flow.from_id, flow.to_id) for flow in found.flows} == {("C", "B"), ("C", None)}


def test_ground_that_is_kept_does_not_flow() -> None:
    """A new area drawn over an old one that stays as it is takes nothing from it."""
    shape = shapely.box(WEST, SOUTH, WEST + 0.02, SOUTH + 0.02)
    over = shapely.box(WEST, SOUTH, WEST + 0.01, SOUTH + 0.01)
    old = AreaSet.of([Area(Kind.PRIORITY, "A", "A", shape)])
    new = AreaSet.union(old, AreaSet.of([Area(Kind.PRIORITY, "B", "B", over)]))
    found = diff(old, new)
    assert found.added == ((Kind.PRIORITY, "B"),)
    assert (found.moved, found.flows) == ((), ())


def test_names_and_attributes_are_told_apart_from_ground() -> None:
    """A new name is renamed, new hours are changed, and neither has moved."""
    shape = shapely.box(WEST, SOUTH, WEST + 0.01, SOUTH + 0.01)
    old = AreaSet.of([Area(Kind.PRIORITY, "P", "Market", shape, {"hours": "20:00-04:00", "issue": "theft"})])
    new = AreaSet.of(
        [Area(Kind.PRIORITY, "P", "Market Place", shape, {"hours": "21:00-04:00", "days": "Fri"})]
    )
    found = diff(old, new)
    assert [(change.before, change.after) for change in found.renamed] == [("Market", "Market Place")]
    assert found.changed[0].attributes == (
        ("days", None, "Fri"),
        ("hours", "20:00-04:00", "21:00-04:00"),
        ("issue", "theft", None),
    )
    assert found.moved == ()
    assert found


def test_kinds_do_not_mix() -> None:
    """Ground of a neighbourhood never flows to premises that bear its id."""
    shape = shapely.box(WEST, SOUTH, WEST + 0.01, SOUTH + 0.01)
    old = AreaSet.of([Area(Kind.NEIGHBOURHOOD, "X", "X", shape)])
    new = AreaSet.of([Area(Kind.PREMISES, "X", "X", shape)])
    found = diff(old, new)
    assert found.added == ((Kind.PREMISES, "X"),)
    assert found.removed == ((Kind.NEIGHBOURHOOD, "X"),)
    assert [(flow.kind, flow.from_id, flow.to_id) for flow in found.flows] == [
        (Kind.NEIGHBOURHOOD, "X", None),
        (Kind.PREMISES, None, "X"),
    ]


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 6.28), st.floats(0, 6.28))
def test_rounding_moves_nothing(one: float, other: float) -> None:
    """Vertices moved by a centimetre, as another coordinate system moves them, are no change."""
    old = parted((0.3, 0.7))
    rough = np.array([shapely.segmentize(shape, SIDE / 10) for shape in old.geometry], dtype=object)
    # One vertex goes one way, whichever area it belongs to.
    shaken = shapely.transform(rough, lambda xy: xy + 0.01 * METRE * np.sin(xy[:, ::-1] * 1e6 + (one, other)))
    new = AreaSet.of(
        Area(Kind.NEIGHBOURHOOD, ident, ident, shape)
        for ident, shape in zip(old.area_id, shaken, strict=True)
    )
    assert not diff(old, new)


@needs_data
@pytest.mark.shared
def test_the_wards_do_not_differ_between_formats() -> None:
    """The wards from degrees and from the grid are one version."""
    degrees = read_areas(DATA / "wards_leicestershire.geojson", Kind.NEIGHBOURHOOD)
    grid = read_areas(DATA / "wards_leicestershire_bng_shp.zip", Kind.NEIGHBOURHOOD)
    found = diff(degrees, grid)
    assert not found
    assert found.flows == ()
