"""The accuracy benchmark is right itself: its truth, its algebra, and what it makes of each method."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.areas import Kind
from geo.matching.history import AreaHistory
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, Policies
from stream.core.shares import OFFICER, shares
from stream.core.slices import newest, slices
from stream.core.stays import stays
from stream.core.visits import visits as counted_visits
from stream.simulate import PERFECT
from stream.simulate.plane import DEGREE_M
from tests.accuracy import methods, overlay
from tests.accuracy.__main__ import HERE, INTERVALS
from tests.accuracy.scores import IN_AREA, JOINED, ON_PATCH, VISITS, Errors, measure, summary
from tests.accuracy.spans import covers, difference, intersection, joined, length, spans, union
from tests.accuracy.tables import BEGIN, END, from_csv, in_order, markdown, put_in, to_csv
from tests.accuracy.world import ACROSS_M, START, Track, World, force, inside_exactly, world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.accuracy.spans import Spans

KEY = ("area", "A")
SQUARE = shapely.box(0, 0, 100, 100)
HOLED = shapely.difference(shapely.Point(0, 0).buffer(80), shapely.box(-20, -20, 25, 30))

intervals = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


@pytest.fixture(scope="module")
def noisy() -> World:
    """Eight officers for three hours with real errors, a report in 20 s."""
    return world(3, 20.0, officers=8, hours=3.0)


@pytest.fixture(scope="module")
def perfect() -> World:
    """The same officers with trackers that never err, a report a second and one wherever they turn."""
    made = world(3, 1.0, officers=8, hours=3.0, quality=PERFECT)
    number = {name: at for at, name in enumerate(made.fixes.device_ids)}
    columns = []
    for duty in made.duties:
        path = made.simulation.paths[duty.officer_id]
        time = np.unique(np.concatenate((path.time, np.arange(path.time[0], path.time[-1], SECOND))))
        # Where a path has two vertices at one time it jumps; none of these does.
        assert len(np.unique(path.time)) == len(path.time)
        lon, lat = np.interp(time, path.time, path.lon), np.interp(time, path.time, path.lat)
        columns.append((np.full(len(time), number[duty.devices[0].device_id]), time, lon, lat))
    device, time, lon, lat = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((time, device))
    nothing = np.full(len(time), np.nan, np.float32)
    fixes = replace(
        made.fixes,
        device=device[order].astype(np.int32),
        time=time[order],
        lon=lon[order],
        lat=lat[order],
        error_m=np.zeros(len(time)),
        speed_mps=nothing,
        heading_deg=nothing,
    )
    return World(made.simulation, fixes)


def track(rows: Sequence[tuple[float, float, float]], area: shapely.Geometry = SQUARE) -> Track:
    """A device's fixes as ``(second, east, north)``."""
    table = np.array(rows, np.float64)
    return Track("R", np.rint(table[:, 0] * SECOND).astype(np.int64), table[:, 1:], {KEY: area})


def wandering(seed: int, steps: int = 150) -> Track:
    """A device that never stands, around the middle of a holed disc."""
    rng = np.random.default_rng(seed)
    metres = np.cumsum(rng.normal(0, 9, (steps, 2)), axis=0)
    time = np.cumsum(rng.integers(1, 40, steps))
    return track(list(zip(time.tolist(), *metres.T.tolist(), strict=True)), HOLED)


def in_seconds(found: Spans) -> list[tuple[float, float]]:
    """Spans for people."""
    return [(start / SECOND, end / SECOND) for start, end in found.tolist()]


def members(rows: list[tuple[int, int]]) -> set[int]:
    """The whole numbers in some intervals."""
    return {number for start, end in rows for number in range(start, end)}


class Tracks:
    """As much of a world as the methods look at that count track by track."""

    def __init__(self, interval_s: int, track: Track) -> None:
        self.interval, self._track = interval_s * SECOND, track

    def tracks(self) -> tuple[Track, ...]:
        """The only one."""
        return (self._track,)


def only(track: Track) -> World:
    """A world of one device that reports each minute."""
    return cast("World", Tracks(60, track))


@given(one=intervals, other=intervals, gap=st.integers(0, 5))
@settings(deadline=None)
def test_the_algebra_of_spans_is_that_of_sets(
    one: list[tuple[int, int]], other: list[tuple[int, int]], gap: int
) -> None:
    """Union, intersection, difference, length and membership are those of sets of instants."""
    a, b, everything = spans(one), spans(other), np.arange(-2, 50)
    cases = [
        (union(a, b), members(one) | members(other)),
        (intersection(a, b), members(one) & members(other)),
        (difference(a, b), members(one) - members(other)),
    ]
    for found, expected in cases:
        assert set(everything[covers(found, everything)].tolist()) == expected
        assert length(found) == len(expected)
        assert (found[1:, 0] > found[:-1, 1]).all()
    closed = joined(a, gap)
    assert (closed[1:, 0] - closed[:-1, 1] > gap).all()
    assert not len(difference(a, closed))
    assert all(end - start <= gap for start, end in difference(closed, a).tolist())


def test_priority_areas_are_150_metres_across() -> None:
    """Every priority area of the benchmark is a disc 150 m across, give or take a tenth of a metre or two."""
    drawn = force(1)
    discs = [shape for shape, kind in zip(drawn.geometry, drawn.kind, strict=True) if kind == Kind.PRIORITY]
    assert len(discs) == 42
    for disc in discs:
        west, south, east, north = disc.bounds
        assert (east - west) * DEGREE_M * np.cos(np.radians(south)) == pytest.approx(ACROSS_M, abs=0.4)
        assert (north - south) * DEGREE_M == pytest.approx(ACROSS_M, abs=0.4)


def test_another_interval_has_the_same_truth(noisy: World) -> None:
    """The same seed at another interval: the same duties, states and true time, other reports."""
    other = world(3, 60.0, officers=8, hours=3.0)
    assert other.simulation.states == noisy.simulation.states
    assert [duty.duty_id for duty in other.duties] == [duty.duty_id for duty in noisy.duties]
    assert len(other.fixes) < len(noisy.fixes) / 2
    for duty in noisy.duties:
        one, two = (overlay.truly_at_work(ground, duty) for ground in (noisy, other))
        assert one.keys() == two.keys()
        assert all((one[key] == two[key]).all() for key in one)


def test_the_truth_is_the_simulators_own(noisy: World) -> None:
    """Time on patch, duty time and visits are what the simulator says of itself, to a few microseconds."""
    said = noisy.simulation.truth()
    visited = noisy.simulation.true_visits()
    rows = list(zip(visited.area_id, visited.officer_id, visited.dwell.tolist(), strict=True))
    assert rows
    for at, name in enumerate(said.duty_id):
        duty = next(each for each in noisy.duties if each.duty_id == name)
        found = overlay.truly_at_work(noisy, duty)
        whole = said.on_patch[at] + said.off_patch[at] + said.not_visible[at]
        assert overlay.counted(duty, noisy.states.get(duty.officer_id, ())) == whole
        if duty.patch:
            on_patch = length(found.get(("patch", *duty.patch), spans()))
            assert on_patch == pytest.approx(int(said.on_patch[at]), abs=100)
        for key in noisy.polygons:
            if key[0] == "area":
                mine = overlay.visits(found.get(key, spans()))
                theirs = [time for area, who, time in rows if (area, who) == (key[1], duty.officer_id)]
                assert len(mine.when) == len(theirs)
                assert mine.inside == pytest.approx(sum(theirs), abs=100)


def test_the_overlay_is_what_the_accounting_does(noisy: World) -> None:
    """For this project's stays, duty time, time on patch and visits are slices', shares' and visits' own."""
    history, policies, duties = (
        AreaHistory([(BEGINNING, noisy.simulation.force)]),
        Policies(),
        newest(noisy.duties),
    )
    found = stays(noisy.fixes, history, policies)
    cut = slices(duties, found, noisy.fixes.device_ids, noisy.simulation.states, history.places, policies)
    period = noisy.simulation.start, noisy.simulation.end
    figures = {
        each.id: each for each in shares(cut, duties, history.places, *period) if each.scope == OFFICER
    }
    visited = counted_visits(cut, duties, history.places, policies, until=noisy.simulation.end)
    who = np.array(visited.officer_ids)[visited.officer] if len(visited) else np.empty(0, np.str_)
    where = np.array(visited.area_ids)[visited.area] if len(visited) else np.empty(0, np.str_)
    presence = methods.ours(noisy)
    seen = 0
    for duty in duties:
        mine = overlay.at_work(noisy, duty, presence)
        figure = figures[duty.officer_id]
        assert figure.duty == overlay.counted(duty, noisy.states.get(duty.officer_id, ()))
        if duty.patch:
            assert length(mine.get(("patch", *duty.patch), spans())) == figure.on_patch
        for key in noisy.polygons:
            if key[0] == "area":
                each = overlay.visits(mine.get(key, spans()))
                rows = (who == duty.officer_id) & (where == key[1])
                theirs = np.column_stack((visited.start[rows], visited.end[rows]))
                assert each.when.tolist() == theirs[np.argsort(theirs[:, 0])].tolist()
                assert each.inside == int(visited.dwell[rows].sum())
                seen += len(each.when)
    assert seen


@pytest.mark.parametrize("name", ["ours", "meos"])
def test_without_noise_interpolation_is_the_truth(name: str, perfect: World) -> None:
    """Fixes without error, wherever a path turns: this project and MEOS are right to 10 ms."""
    errors = measure(perfect, [method for method in methods.METHODS if method.name == name])
    for figure in (ON_PATCH, IN_AREA):
        values = errors.of[figure, name]
        assert values
        assert max(map(abs, values)) < 0.01 / 60
    assert not any(errors.of[VISITS, name if name == "ours" else name + JOINED])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_movingpandas_and_meos_are_asked_rightly(seed: int) -> None:
    """On a device that never stands both give the exact time in a holed area.

    MEOS to microseconds; the clip, which holds instants less than 10 ms apart for one, to so much a crossing.
    """
    wanderer = wandering(seed)
    truth = inside_exactly(wanderer.time, wanderer.metres, HOLED)
    by_meos = methods.interpolated(only(wanderer))["R"].inside.get(KEY, spans())
    by_clip = methods.clipped(only(wanderer))["R"].inside.get(KEY, spans())
    assert length(by_meos) == pytest.approx(length(truth), abs=4 * (len(truth) + 1))
    assert length(by_clip) == pytest.approx(length(truth), abs=20_000 * (len(truth) + 1))


def test_a_device_that_stands_exactly_still_is_kept() -> None:
    """Between two fixes at one point a device is there, for MovingPandas as for MEOS."""
    still = only(track([(0, -50, 50), (100, 50, 50), (400, 50, 50), (500, 150, 50)]))
    for method in (methods.clipped, methods.interpolated):
        assert in_seconds(method(still)["R"].inside[KEY]) == [(50.0, 450.0)]


def test_pings_count_their_interval() -> None:
    """A fix counts one interval from its time on, also before a gap; slight lateness makes no gap."""
    pings = track([(0, 50, 50), (60, 50, 50), (121, 150, 50), (180, 50, 50), (900, 50, 50)])
    by = methods.counted_pings(only(pings))["R"]
    assert in_seconds(by.inside[KEY]) == [(0.0, 121.0), (180.0, 240.0), (900.0, 960.0)]
    assert in_seconds(by.known) == [(0.0, 240.0), (900.0, 960.0)]


def test_events_are_paired_as_traccar_pairs_them() -> None:
    """Entries and exits are at the fixes' own times, gaps do not matter, what is never left is not told."""
    rows = [(0, 50, 50), (60, 150, 50), (120, 50, 50), (2000, 50, 50), (2060, 150, 50), (2120, 50, 50)]
    by = methods.paired_events(only(track(rows)))["R"]
    assert in_seconds(by.inside[KEY]) == [(0.0, 60.0), (120.0, 2060.0)]
    assert in_seconds(by.known) == [(0.0, 2120.0)]


def moving(vertices: Sequence[tuple[float, float, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A path as its times and places."""
    found = track(vertices)
    return found.time, found.metres


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([(0, -100, 50), (30, 200, 50)], [(10.0, 20.0)]),
        ([(0, 50, 50), (10, 50, 50), (20, 150, 50)], [(0.0, 15.0)]),
        ([(0, 100, 50), (10, 100, 50), (20, 200, 50)], [(0.0, 10.0)]),
        ([(0, 0, 200), (10, 0, -100), (20, 300, -100)], [(10 / 3, 20 / 3)]),
        ([(0, 200, 200), (10, 300, 200)], []),
    ],
    ids=["through", "stands, then leaves", "stands on the edge", "along the edge", "never"],
)
def test_the_truth_of_simple_paths(
    path: list[tuple[float, float, float]], expected: list[tuple[float, float]]
) -> None:
    """The exact time of a path in a square, its edge included, is what a ruler says."""
    found = in_seconds(inside_exactly(*moving(path), SQUARE))
    assert found == [pytest.approx(each, abs=1e-6) for each in expected]


def test_visits_join_short_absences_and_drop_short_stops() -> None:
    """Rule 17: 60 s of absence are joined and 61 s are not; 120 s make a visit and 119 s do not."""
    rows = [(0, 100), (160, 200), (261, 380), (1000, 1120)]
    found = overlay.visits(spans([(a * SECOND, b * SECOND) for a, b in rows]))
    assert in_seconds(found.when) == [(0.0, 200.0), (1000.0, 1120.0)]
    assert found.inside == 260 * SECOND


def test_the_summary_is_of_absolute_errors() -> None:
    """Median, mean and 95th percentile are of the size of errors, the bias keeps their sign."""
    errors = Errors()
    errors.of[ON_PATCH, "ours"] += [-1.0, 0.0, 0.04, 3.0]
    (row,) = summary(5.0, errors)
    assert (row.count, row.median, row.mean, row.bias, row.exact) == (4, 0.52, 1.01, 0.51, 0.5)
    assert row.p95 == pytest.approx(2.7)


def test_the_published_tables_are_those_of_the_results() -> None:
    """The README's tables say what results.csv says, in every digit; the picture is there."""
    text = (HERE / "results.csv").read_text(encoding="utf-8")
    rows = from_csv(text)
    assert to_csv(in_order(rows)) == text
    assert {row.interval_s for row in rows} == set(INTERVALS)
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    assert put_in(readme, markdown(rows)) == readme
    assert "![" in readme
    assert "errors.svg" in readme
    assert re.match(r"<\?xml.*?>\s*<!DOCTYPE svg", (HERE / "errors.svg").read_text(encoding="utf-8"), re.S)


def test_a_readme_without_marks_is_refused() -> None:
    """Where the marks are missing, no table is put anywhere."""
    with pytest.raises(ValueError, match="no lines"):
        put_in("# Accuracy\n", "| table |\n")
    assert put_in(f"a\n{BEGIN}old{END}z\n", "new") == f"a\n{BEGIN}\nnew\n{END}z\n"


def test_the_shift_starts_on_a_monday_morning() -> None:
    """2026-11-16 08:00 UTC, as the README says."""
    assert str(np.datetime64(START, "us")) == "2026-11-16T08:00:00.000000"
