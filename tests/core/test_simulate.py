"""The simulated shift: its town, its truth, and the messages made of it."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.core.events import UsableLimits, decode_duties, decode_positions, decode_states
from stream.core.facts import SECOND, Duty
from stream.core.frames import join
from stream.core.policy import Policies
from stream.files import account
from stream.files.tracks import read_fixes
from stream.simulate import (
    FLAWS,
    FORMS,
    PERFECT,
    REAL,
    TOPICS,
    Messages,
    Simulation,
    demo_force,
    simulate,
    write,
)
from stream.simulate.patrols import Path as TruePath
from stream.simulate.plane import DEGREE_M
from stream.simulate.reports import Tracks
from stream.simulate.visited import true_slices
from stream.simulate.wire import Rows, position_values, rfc3339
from tests.simulated import fixes_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

START = 1_795_158_000 * SECOND  # 2026-11-20T07:00:00Z, a Friday
LIMITS = UsableLimits(retention_s=86_400)


@pytest.fixture(scope="module")
def force() -> AreaSet:
    """The demonstration force of seed 1."""
    return demo_force(1)


@pytest.fixture(scope="module")
def shift(force: AreaSet) -> Simulation:
    """Thirty officers, a whole shift, a report in half a minute."""
    return simulate(force, officers=30, start=START, hours=10, interval_s=30, seed=7)


@pytest.fixture(scope="module")
def sent(shift: Simulation) -> Messages:
    """All its messages in one batch."""
    return gathered(shift)


def gathered(simulation: Simulation) -> Messages:
    """All batches in one."""
    every = list(simulation.messages())
    return Messages(
        np.concatenate([each.send for each in every]),
        np.concatenate([each.topic for each in every]),
        [key for each in every for key in each.key],
        [value for each in every for value in each.value],
        np.concatenate([each.flaw for each in every]),
    )


def of_kind(force: AreaSet, kind: Kind) -> NDArray[np.object_]:
    """Geometries of one kind."""
    return force.only(kind).geometry


# --- The town --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 17, 4711])
def test_neighbourhoods_tessellate(seed: int) -> None:
    """Neighbourhoods leave no gap, do not overlap, and share their vertices exactly."""
    homes = of_kind(demo_force(seed), Kind.NEIGHBOURHOOD)
    assert shapely.coverage_is_valid(homes)
    whole = shapely.coverage_union_all(homes)
    assert whole.geom_type == "Polygon"
    assert not whole.interiors
    assert np.isclose(shapely.area(homes).sum(), whole.area, rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 17, 4711])
def test_town_has_what_a_demonstration_needs(seed: int) -> None:
    """A force has neighbourhoods, stations, custody, court and priority areas of the sizes asked for."""
    force = demo_force(seed)
    homes = force.only(Kind.NEIGHBOURHOOD)
    assert 12 <= len(homes) <= 16
    assert homes.area_id == tuple(f"DN{number:02d}" for number in range(1, len(homes) + 1))
    assert len(set(homes.name)) == len(homes)
    premises = force.only(Kind.PREMISES)
    uses = [each["use"] for each in premises.attributes]
    assert uses.count("police_station") >= 2
    assert {"custody", "court"} <= set(uses)
    assert shapely.covers(homes.geometry[:, None], premises.geometry[None, :]).any(axis=0).all()
    hot = force.only(Kind.PRIORITY)
    assert 8 <= len(hot) <= 10
    wide = shapely.minimum_bounding_radius(hot.geometry) * 2 * DEGREE_M
    assert ((wide > 140) & (wide < 700)).all()  # degrees of longitude count for more than they are
    assert all({"issue", "days", "hours"} <= each.keys() for each in hot.attributes)
    pairs = itertools.combinations(hot.geometry, 2)
    assert any(shapely.overlaps(one, other) for one, other in pairs)
    touched = shapely.intersects(homes.geometry[:, None], hot.geometry[None, :]).sum(axis=0)
    assert (touched > 1).any()


def test_town_is_the_seed_s() -> None:
    """One seed gives one force, another seed another."""
    one, again, other = (shapely.to_wkb(demo_force(seed).geometry).tolist() for seed in (5, 5, 6))
    assert one == again
    assert one != other


# --- The truth -------------------------------------------------------------------------------------------


def inside_box(a: tuple[int, int], b: tuple[int, int], low: int, high: int) -> Fraction:
    """Which part of the line a–b lies in the square between low and high, as Liang and Barsky clip."""
    enter, leave = Fraction(0), Fraction(1)
    for axis in (0, 1):
        step = b[axis] - a[axis]
        if step == 0:
            if not low <= a[axis] <= high:
                return Fraction(0)
            continue
        cuts = sorted((Fraction(low - a[axis], step), Fraction(high - a[axis], step)))
        enter, leave = max(enter, cuts[0]), min(leave, cuts[1])
    if a == b:
        return Fraction(1)
    return max(leave - enter, Fraction(0))


SQUARES = AreaSet.of(
    [
        Area(Kind.NEIGHBOURHOOD, "N", "North", shapely.box(10, 10, 40, 40)),
        Area(Kind.NEIGHBOURHOOD, "S", "South", shapely.box(10, -20, 40, 10)),
        Area(Kind.PREMISES, "P", "Station", shapely.box(20, 20, 30, 30)),
    ]
)
vertices = st.lists(
    # Odd numbers keep off the edges, where a line could run along one.
    st.tuples(st.integers(0, 25).map(lambda n: 2 * n + 1), st.integers(0, 25).map(lambda n: 2 * n + 1)),
    min_size=2,
    max_size=8,
)


@settings(deadline=None)
@given(vertices, st.lists(st.tuples(st.integers(0, 7), st.integers(1, 11)), max_size=4))
def test_truth_is_the_exact_part_of_each_leg(
    path: list[tuple[int, int]], keyed: list[tuple[int, int]]
) -> None:
    """True times equal those of exact rational clipping, to a few microseconds."""
    leg = 60 * SECOND
    time = np.arange(len(path)) * leg
    states = sorted({at * leg: state for at, state in keyed}.items())
    told = {"on": Fraction(0), "off": Fraction(0), "hidden": Fraction(0), "rest": Fraction(0)}
    for at, (a, b) in enumerate(itertools.pairwise(path)):
        state = max((each for each in states if each[0] <= at * leg), default=(0, 1))[1]
        premises = inside_box(a, b, 20, 30)
        on = inside_box(a, b, 10, 40) - premises
        if state == 11:
            continue
        if state == 4:
            told["rest"] += leg
        elif state in {8, 9, 10}:
            told["hidden"] += leg
        else:
            told["on"] += on * leg
            told["hidden"] += premises * leg
            told["off"] += (1 - on - premises) * leg
    lon, lat = np.array(path, float).T
    end = int(time[-1])
    pieces = true_slices(SQUARES, Duty("D", 1, "1", 0, end, ("N",)), TruePath(time, lon, lat), states)
    found = [pieces.time(activity) for activity in ("on_patch", "off_patch", "not_visible", "break")]
    # Each piece has two ends that are rounded to a microsecond; 1.5 more is for doubles.
    assert np.allclose(found, [float(each) for each in told.values()], rtol=0, atol=1.5 + len(pieces.start))
    assert sum(found) == sum(told.values())


def test_truth_sums_to_the_duties(shift: Simulation) -> None:
    """Every officer's true times by activity sum to the duty's length, with one break of 45 minutes."""
    truth = shift.truth()
    whole = truth.on_patch + truth.off_patch + truth.not_visible + truth.rest
    assert whole.tolist() == [(duty.end or 0) - duty.start for duty in shift.duties]
    assert set(truth.rest.tolist()) == {45 * 60 * SECOND}
    assert min(truth.on_patch.min(), truth.off_patch.min(), truth.not_visible.min()) >= 0


def test_truth_agrees_with_looking_every_second(shift: Simulation) -> None:
    """Looking at the true path each second, point by point, gives the same times within a few seconds."""
    truth, homes = shift.truth(), shift.force.only(Kind.NEIGHBOURHOOD)
    station = shapely.union_all(of_kind(shift.force, Kind.PREMISES))
    for row in range(0, len(shift.duties), 7):
        duty = shift.duties[row]
        assert duty.end is not None
        time = np.arange(duty.start, duty.end, SECOND) + SECOND // 2
        path = shift.paths[duty.officer_id]
        lon, lat = np.interp(time, path.time, path.lon), np.interp(time, path.time, path.lat)
        keyed = [(each.time, each.state) for each in shift.states if each.officer_id == duty.officer_id]
        at = np.searchsorted([each[0] for each in keyed], time, side="right")
        state = np.array([1, *(each[1] for each in keyed)])[at]
        mine = [home for home, name in zip(homes.geometry, homes.area_id, strict=True) if name in duty.patch]
        home = shapely.contains_xy(shapely.union_all(mine), lon, lat)
        hidden = np.isin(state, (8, 9, 10)) | shapely.contains_xy(station, lon, lat)
        counted = state != 4
        on_patch = np.count_nonzero(counted & ~hidden & home)
        assert abs(on_patch - truth.on_patch[row] / SECOND) < 30
        assert abs(np.count_nonzero(counted & hidden) - truth.not_visible[row] / SECOND) < 30


def test_neighbourhoods_spread_around_the_target(force: AreaSet) -> None:
    """Over a force some neighbourhoods fall short of 80%, more reach it, and none is out of this world."""
    simulation = simulate(force, officers=140, start=START, hours=10, interval_s=60, seed=3)
    truth = simulation.truth()
    homes = force.only(Kind.NEIGHBOURHOOD).area_id
    shares = [
        truth.share([row for row, duty in enumerate(simulation.duties) if home in duty.patch])
        for home in homes
    ]
    assert 0.75 < float(np.mean(shares)) < 0.87
    assert 0.5 < min(shares) < 0.74
    assert 0.86 < max(shares) < 0.97
    assert sum(share >= 0.75 for share in shares) > len(shares) / 2


def test_nobody_flies(shift: Simulation) -> None:
    """True paths are walked or driven: never faster than 21 m/s (but for the rounding of a millisecond)."""
    for path in shift.paths.values():
        east = np.diff(path.lon) * DEGREE_M * np.cos(np.radians(path.lat[:-1]))
        metres = np.hypot(east, np.diff(path.lat) * DEGREE_M)
        took = np.diff(path.time) / SECOND
        assert (took > 0).all()
        assert (metres <= took * 21.0 + 0.2).all()


# --- The bookings ----------------------------------------------------------------------------------------


def test_vehicles_are_shared_one_crew_at_a_time(shift: Simulation) -> None:
    """A vehicle has one crew at a time, different crews over the day, and some crews change vehicles."""
    held: dict[str, set[tuple[int, int]]] = {}
    changed = 0
    for duty in shift.duties:
        cars = [each for each in duty.devices if each.kind == "vehicle"]
        changed += len({each.device_id for each in cars}) > 1
        for car in cars:
            assert car.start is not None
            assert car.end is not None
            assert duty.start <= car.start < car.end <= (duty.end or 0)
            held.setdefault(car.device_id, set()).add((car.start, car.end))
    assert changed
    assert any(len(times) > 1 for times in held.values())
    for times in held.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(times)):
            assert end <= start


def test_roles_are_mixed(shift: Simulation) -> None:
    """There are neighbourhood officers, PCSOs and response officers, and only the latter have no patch."""
    roles = {duty.role for duty in shift.duties}
    assert roles == {"npt", "pcso", "response"}
    assert all((duty.patch == ()) == (duty.role == "response") for duty in shift.duties)


def test_the_last_booking_sent_is_the_duty(shift: Simulation, sent: Messages) -> None:
    """Bookings and states decode, and the newest revision of each duty is the simulation's own."""
    bookings = [
        value for value, topic in zip(sent.value, sent.topic, strict=True) if TOPICS[topic] == "duty.bookings"
    ]
    found, _, rejects = decode_duties(bookings)
    assert not rejects
    newest = {duty.duty_id: duty for duty in sorted(found, key=lambda duty: duty.revision)}
    assert newest == {duty.duty_id: duty for duty in shift.duties}
    assert len(found) > len(newest)
    keyed = [
        value for value, topic in zip(sent.value, sent.topic, strict=True) if TOPICS[topic] == "duty.states"
    ]
    states, _, rejects = decode_states(keyed)
    assert not rejects
    assert states == list(shift.states)


# --- The messages ----------------------------------------------------------------------------------------


def positions(sent: Messages) -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int8]]:
    """Values, send times and flaws of the positions among messages."""
    rows = np.flatnonzero(sent.topic < 2)
    return [sent.value[row] for row in rows.tolist()], sent.send[rows], sent.flaw[rows]


def test_a_message_is_usable_or_planned_not_to_be(sent: Messages) -> None:
    """Each position decodes, or is one of the planned unusable ones and is rejected for just that reason."""
    values, send, flaw = positions(sent)
    decoded = decode_positions(values, send, limits=LIMITS)
    assert [(reject.index, str(reject.reason)) for reject in decoded.rejects] == [
        (row, FLAWS[flaw[row]]) for row in np.flatnonzero(flaw).tolist()
    ]
    assert (decoded.fixes.time <= send[decoded.index]).all()


def test_every_flaw_occurs(force: AreaSet) -> None:
    """At a higher rate of trouble every kind of it occurs, doubled and late reports too."""
    rough = simulate(force, officers=20, start=START, hours=2, interval_s=10, seed=2)
    values, send, flaw = positions(gathered(rough))
    assert 0 < np.count_nonzero(flaw) < 0.005 * len(values)
    decoded = decode_positions(values, send, limits=LIMITS)
    identity = set(zip(decoded.fixes.device.tolist(), decoded.fixes.time.tolist(), strict=True))
    assert 0.002 < 1 - len(identity) / len(decoded.fixes) < 0.02
    assert ((send[decoded.index] - decoded.fixes.time) > 120 * SECOND).any()
    ordered = np.lexsort((send[decoded.index], decoded.fixes.device))
    backwards = np.diff(decoded.fixes.time[ordered]) < 0
    assert (backwards & (np.diff(decoded.fixes.device[ordered]) == 0)).any()


def test_messages_come_in_sending_order(shift: Simulation) -> None:
    """Send times never fall, within a batch and from one to the next, and batches stay small."""
    last, sizes = 0, []
    for batch in shift.messages():
        send = np.concatenate(([last], batch.send))
        assert (np.diff(send) >= 0).all()
        last = int(send[-1])
        sizes.append(len(batch))
        assert len(batch) == len(batch.key) == len(batch.value) == len(batch.topic) == len(batch.flaw)
    assert max(sizes) < 40_000
    assert len(sizes) > 3


def distances(simulation: Simulation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres east and north of the truth of each usable radio report, in order of device and time."""
    values, send, _ = positions(gathered(simulation))
    fixes = decode_positions(values, send, limits=LIMITS).fixes
    number = {name: row for row, name in enumerate(simulation.trackers.device_id)}
    device = np.array([number[name] for name in fixes.device_ids])[fixes.device]
    radio = ~simulation.trackers.vehicle[device]
    order = np.lexsort((fixes.time, device))
    order = order[radio[order]]
    tracks = Tracks(list({id(path): path for path in simulation.paths.values()}.values()))
    lon, lat, _, _ = tracks.at(simulation.trackers.path[device[order]], fixes.time[order])
    east = (fixes.lon[order] - lon) * DEGREE_M * np.cos(np.radians(lat))
    return east, (fixes.lat[order] - lat) * DEGREE_M


def test_perfect_trackers_tell_the_truth(force: AreaSet) -> None:
    """Without errors a report is the true position to the centimetre, and nothing is lost or doubled."""
    perfect = simulate(force, officers=12, start=START, hours=1, interval_s=20, seed=4, quality=PERFECT)
    east, north = distances(perfect)
    assert np.hypot(east, north).max() < 0.02
    values, _, flaw = positions(gathered(perfect))
    assert not flaw.any()
    assert len(set(values)) == len(values)
    radios = np.flatnonzero(~perfect.trackers.vehicle)
    wanted = (perfect.trackers.off - perfect.trackers.on)[radios] / (20 * SECOND)
    assert abs(len(east) - wanted.sum()) <= len(radios)


def test_position_errors_are_some_metres_and_have_a_memory(force: AreaSet) -> None:
    """Errors of radios are some ten metres as a rule, and the next report's is like the one before."""
    quality = replace(REAL, jumps=0.0)
    rough = simulate(force, officers=12, start=START, hours=2, interval_s=5, seed=4, quality=quality)
    east, north = distances(rough)
    assert 6.0 < np.sqrt((east**2 + north**2).mean()) < 16.0
    assert np.corrcoef(east[:-1], east[1:])[0, 1] > 0.7


def test_vehicles_are_where_their_crews_left_them(force: AreaSet) -> None:
    """A vehicle is with its crew unless they walk, and in the station's yard when nobody has it.

    Where a crew's duty ended on the road, it stays there.
    """
    perfect = simulate(force, officers=24, start=START, hours=8, interval_s=30, seed=9, quality=PERFECT)
    station = shapely.union_all(of_kind(force, Kind.PREMISES))
    values, send, _ = positions(gathered(perfect))
    fixes = decode_positions(values, send, limits=LIMITS).fixes
    crews: dict[str, list[tuple[int, int, str]]] = {}
    for duty in perfect.duties:
        for car in duty.devices[1:]:
            crews.setdefault(car.device_id, []).append((car.start or 0, car.end or 0, duty.officer_id))
    stranded = {car.device_id for duty in perfect.duties for car in duty.devices[1:] if car.end == duty.end}
    apart, together = 0, 0
    for code, name in enumerate(fixes.device_ids):
        rows = np.flatnonzero(fixes.device == code)
        if name not in crews:
            continue
        for row in rows.tolist():
            time = int(fixes.time[row])
            crew = [officer for start, end, officer in crews[name] if start <= time < end]
            here = np.array((fixes.lon[row], fixes.lat[row]))
            if not crew:
                after = time >= max(end for _, end, _ in crews[name])
                assert shapely.contains_xy(station, *here) or (after and name in stranded)
                continue
            path = perfect.paths[crew[0]]
            there = (np.interp(time, path.time, path.lon), np.interp(time, path.time, path.lat))
            metres = float(np.hypot(*((here - there) * DEGREE_M)))
            together += metres < 0.1
            apart += metres >= 0.1
            assert metres < 2_500
    assert together > apart > 0


# --- Seeds and files -------------------------------------------------------------------------------------


def digest(simulation: Simulation) -> str:
    """Of everything that is sent."""
    found = hashlib.sha256()
    for batch in simulation.messages():
        found.update(batch.send.tobytes() + batch.topic.tobytes() + b"\n".join(batch.key + batch.value))
    return found.hexdigest()


def test_a_seed_decides_everything(force: AreaSet) -> None:
    """The same seed gives the same bytes, made again or sent again; another seed gives others."""
    one, again, other = (
        simulate(force, officers=8, start=START, hours=1, interval_s=30, seed=seed) for seed in (1, 1, 2)
    )
    assert digest(one) == digest(one) == digest(again)
    assert digest(one) != digest(other)


def test_files_hold_everything(force: AreaSet, tmp_path: Path) -> None:
    """The files hold every message in sending order with its kind, every revision, areas and truth."""
    simulation = simulate(force, officers=8, start=START, hours=1, interval_s=10, seed=1)
    write(simulation, tmp_path / "out")
    sent = gathered(simulation)
    lines = (tmp_path / "out" / "positions.jsonl").read_bytes().splitlines()
    values, _, flaw = positions(sent)
    assert len(lines) == len(values)
    kinds = [TOPICS[topic].partition(".")[0] for topic in sent.topic.tolist() if topic < 2]
    for line, value, kind, wrong in zip(lines, values, kinds, flaw.tolist(), strict=True):
        if FLAWS[wrong] == "not_json":
            assert line == value
        else:
            assert json.loads(line) == {**json.loads(value), "kind": kind}
    for name, topic in (("duties.jsonl", "duty.bookings"), ("states.jsonl", "duty.states")):
        wanted = [
            value for value, at in zip(sent.value, sent.topic.tolist(), strict=True) if TOPICS[at] == topic
        ]
        assert (tmp_path / "out" / name).read_bytes().splitlines() == wanted
    areas = json.loads((tmp_path / "out" / "areas.geojson").read_bytes())
    assert {each["properties"]["kind"] for each in areas["features"]} == set(Kind)
    drawn = [shapely.from_geojson(json.dumps(each["geometry"])) for each in areas["features"]]
    assert shapely.equals_exact(drawn, shapely.orient_polygons(force.geometry), tolerance=0).all()
    with (tmp_path / "out" / "true_visits.csv").open() as file:
        listed = list(csv.DictReader(file))
    visits = simulation.true_visits()
    assert [(row["area_id"], row["officer_id"]) for row in listed] == list(
        zip(visits.area_id, visits.officer_id, strict=True)
    )
    assert [Fraction(row["dwell_s"]) * SECOND for row in listed] == visits.dwell.tolist()
    assert [row["start"] for row in listed] == [rfc3339(each) for each in visits.start.tolist()]
    with (tmp_path / "out" / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, duty in zip(rows, simulation.duties, strict=True):
        assert (row["officer_id"], row["duty_id"]) == (duty.officer_id, duty.duty_id)
        parts = [Fraction(row[name]) for name in ("on_patch_s", "off_patch_s", "not_visible_s", "break_s")]
        assert sum(parts) == Fraction((duty.end or 0) - duty.start, SECOND)


def test_the_accounting_finds_the_truth(force: AreaSet, tmp_path: Path) -> None:
    """From perfect trackers the accounting counts what was true, within what happens between two reports."""
    simulation = simulate(force, officers=24, start=START, hours=8, interval_s=5, seed=5, quality=PERFECT)
    write(simulation, tmp_path)
    policies = Policies()
    facts = account.read(
        [str(tmp_path / "areas.geojson")],
        [tmp_path / "positions.jsonl"],
        tmp_path / "duties.jsonl",
        tmp_path / "states.jsonl",
        policies,
    )
    counted = {each.id: each for each in account.account(facts, policies).figures if each.scope == "officer"}
    truth = simulation.truth()
    for row, officer in enumerate(truth.officer_id):
        figure = counted[officer]
        assert figure.on_break == truth.rest[row]
        assert figure.unknown == 0
        assert abs(figure.on_patch - int(truth.on_patch[row])) < 6 * SECOND
        assert abs(figure.not_visible - int(truth.not_visible[row])) < 6 * SECOND


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"officers": 0}, "officers"),
        ({"hours": 0.0}, "hours"),
        ({"hours": 0.001}, "hours"),
        ({"interval_s": 0.0}, "interval_s"),
    ],
)
def test_senseless_arguments_are_named(force: AreaSet, wrong: dict[str, float], said: str) -> None:
    """An argument that makes no sense is an error that names it."""
    right = {"officers": 2, "hours": 1.0, "interval_s": 30.0} | wrong
    with pytest.raises(ValueError, match=said):
        simulate(
            force,
            officers=int(right["officers"]),
            start=START,
            hours=right["hours"],
            interval_s=right["interval_s"],
            seed=1,
        )


def test_the_seed_alone_decides_what_people_do(force: AreaSet) -> None:
    """With another interval, quality or way of reporting the same people do the same at the same times."""
    one, *others = (
        simulate(force, officers=10, start=START, hours=4, seed=6, interval_s=interval, **how)
        for interval, how in (
            (5.0, {}),
            (900.0, {}),
            (1.0, {"quality": PERFECT}),
            (300.0, {"on_movement": True}),
        )
    )
    for other in others:
        assert other.duties == one.duties
        assert other.bookings == one.bookings
        assert other.states == one.states
        for officer, path in one.paths.items():
            for name in ("time", "lon", "lat"):
                assert getattr(other.paths[officer], name).tobytes() == getattr(path, name).tobytes()


def test_columns_are_what_the_messages_say(force: AreaSet) -> None:
    """The columns of all reports are those that decoding all messages gives, row by row."""
    simulation = simulate(force, officers=8, start=START, hours=2, interval_s=5, seed=3)
    values, send, _ = positions(gathered(simulation))
    decoded = decode_positions(values, send, limits=LIMITS).fixes
    columns = fixes_of(simulation)
    assert [columns.device_ids[each] for each in columns.device] == [
        decoded.device_ids[each] for each in decoded.device
    ]
    for name in ("time", "lon", "lat", "error_m", "speed_mps", "heading_deg"):
        assert np.array_equal(getattr(columns, name), getattr(decoded, name), equal_nan=True), name
    both = [fixes_of(simulation, topic) for topic in TOPICS[:2]]
    assert sum(map(len, both)) == len(columns)
    assert simulation.trackers.vehicle[both[1].device].all()
    assert not simulation.trackers.vehicle[both[0].device].any()


def test_parquet_holds_what_json_lines_hold(force: AreaSet, tmp_path: Path) -> None:
    """Of either form of positions the accounting reads the same fixes."""
    simulation = simulate(force, officers=6, start=START, hours=1, interval_s=5, seed=3)
    read = []
    for form in FORMS:
        write(simulation, tmp_path, form)
        fixes = [part.fixes for part in read_fixes(tmp_path / f"positions.{form}", limits=LIMITS)]
        read.append(join(fixes))
    one, other = read
    assert [one.device_ids[each] for each in one.device] == [other.device_ids[each] for each in other.device]
    for name in ("time", "lon", "lat", "error_m", "speed_mps", "heading_deg"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_a_force_without_a_station_is_refused(force: AreaSet) -> None:
    """Without premises there is nowhere to start from, and the error says so."""
    with pytest.raises(ValueError, match="premises"):
        simulate(force.only(Kind.NEIGHBOURHOOD), officers=2, start=START, hours=1, interval_s=30, seed=1)


@pytest.mark.parametrize("hours", [1 / 60, 0.1, 0.5, 3])
def test_short_shifts_work_too(force: AreaSet, hours: float) -> None:
    """A shift may be a minute long: duties end in time, and the truth still sums up."""
    simulation = simulate(force, officers=15, start=START, hours=hours, interval_s=5, seed=3)
    truth = simulation.truth()
    for row, duty in enumerate(simulation.duties):
        assert START <= duty.start < (duty.end or 0) <= START + round(hours * 3600) * SECOND
        parts = truth.on_patch[row] + truth.off_patch[row] + truth.not_visible[row] + truth.rest[row]
        assert parts == (duty.end or 0) - duty.start
    assert sum(map(len, simulation.messages())) > 0


@pytest.mark.shared
def test_real_wards_can_be_patrolled(shared_data: Path) -> None:
    """Streets and patrols can be made up on real boundaries as well."""
    areas = []
    for name, kind in (("wards_leicestershire", Kind.NEIGHBOURHOOD), ("premises", Kind.PREMISES)):
        for each in json.loads((shared_data / f"{name}.geojson").read_bytes())["features"]:
            told = each["properties"]
            id_, called = told.get("WD13CD", told.get("area_id")), told.get("WD13NM", told.get("name"))
            areas.append(Area(kind, id_, called, shapely.from_geojson(json.dumps(each["geometry"]))))
    simulation = simulate(AreaSet.of(areas), officers=40, start=START, hours=2, interval_s=60, seed=1)
    patched = [row for row, duty in enumerate(simulation.duties) if duty.patch]
    assert 0.3 < simulation.truth().share(patched) < 0.97


# --- The wire --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 4_000_000_000_000).map(lambda ms: ms * 1000),
            st.floats(-180, 180),
            st.floats(-90, 90),
            st.none() | st.floats(0, 999),
            st.floats(0, 99),
            st.none() | st.floats(0, 360),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_positions_are_written_as_they_are(
    rows: list[tuple[int, int, float, float, float | None, float, float | None]],
) -> None:
    """A position is the JSON of its numbers, to the places written, whatever their signs and sizes."""
    ids = ("2345001", "DV26AAA", "x;y z{}")
    device, time, lon, lat, error, speed, heading = zip(*rows, strict=True)
    columns = Rows(
        device=np.array(device),
        time=np.array(time),
        lon=np.array(lon),
        lat=np.array(lat),
        error_m=np.array(error, np.float64),
        speed=np.array(speed),
        heading=np.array(heading, np.float64),
        received=np.array(time) + 1000,
        send=np.array(time),
        flaw=np.zeros(len(rows), np.int8),
    )
    values = position_values(ids, columns)
    for value, row in zip(values, rows, strict=True):
        found = json.loads(value)
        assert found["device_id"] == ids[row[0]]
        assert found["time"].removesuffix("Z") == str(np.datetime64(row[1] // 1000, "ms"))
        assert found["received"].removesuffix("Z") == str(np.datetime64(row[1] // 1000 + 1, "ms"))
        assert abs(found["lon"] - row[2]) < 0.6e-7
        assert abs(found["lat"] - row[3]) < 0.6e-7
        for name, wanted, within in (
            ("error_m", row[4], 0.051),
            ("speed_mps", row[5], 0.051),
            ("heading_deg", row[6], 0.51),
        ):
            assert (found[name] is None) == (wanted is None)
            assert wanted is None or abs(found[name] - wanted) < within


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000_000_000))
def test_times_are_written_in_full(time: int) -> None:
    """RFC 3339 of a time names it exactly, with as many digits as it needs."""
    text = rfc3339(time)
    assert text.endswith("Z")
    assert np.datetime64(text.removesuffix("Z"), "us").astype(int) == time
