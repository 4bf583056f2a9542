"""The views and functions for people with SQL say what the core says, to the microsecond, in any world."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER, UNKNOWN
from stream.core.abstraction import abstraction
from stream.core.calendar import microseconds, moment
from stream.core.facts import Allocation, Duty, StateReport
from stream.core.live.overview import standing_shares
from stream.core.policy import BEGINNING, DEFAULT_STATES, Policies, Policy, State
from stream.core.shares import shares
from stream.core.slices import (
    ACTIVITIES,
    HIDDEN,
    NO_DEVICE,
    Slices,
    ambiguous,
    decisive,
    newest,
    reason,
    slices,
)
from stream.core.stays import stays, take
from stream.core.visits import priority_figures, visits
from stream.store.areas import measure
from stream.store.ledger import Ledger
from stream.store.policies import load
from stream.store.reading.screen import Reader
from stream.store.schema import connect
from tests import oracle
from tests.shell.stored import (
    assert_consistent,
    empty,
    expected,
    fine_expected,
    fine_stored,
    migrated,
    publish,
    put_in_force,
    stored,
)
from tests.strategies import BINARY, World, bookable_worlds, many, world_fixes, wrongly_booked
from tests.worlds import history_of, horizon, wandering

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from datetime import datetime
    from decimal import Decimal

    from geo.matching.places import Place
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection
    from tests.strategies import Area


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "views") as dsn, connect(dsn) as opened:
        yield opened


@st.composite
def policies(draw: st.DrawFn, world: World) -> Policies:
    """One policy, or two with a change amid the world."""
    states = dict(DEFAULT_STATES) | {6: State("on a scene", "not_visible"), 9: State("escort", "visible")}
    found = [
        Policy(
            target=draw(st.sampled_from((0.8, 0.5, 1.0))),
            visit_join_s=draw(st.sampled_from((60.0, 0.0, 300.0, 30.000001))),
            visit_min_s=draw(st.sampled_from((120.0, 30.0, 0.0))),
            states=draw(st.sampled_from((DEFAULT_STATES, states))),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    starts = [BEGINNING, draw(st.sampled_from([fix[1] for fix in world.fixes] or [world.as_of]))]
    return Policies(tuple(starts[: len(found)]), tuple(found))


@st.composite
def ruled_worlds(draw: st.DrawFn) -> tuple[World, Policies]:
    """A world and by which policies it is counted."""
    world = draw(bookable_worlds())
    return world, draw(policies(world))


def counted(world: World, rules: Policies) -> tuple[Slices, list[Duty], list[Place], tuple[str, ...]]:
    """What the core counts from all facts at once: slices, and what their numbers stand for."""
    fixes, history = world_fixes(world), history_of(world)
    duties = newest(world.duties, rules)
    found = stays(fixes, history, rules)
    table = slices(duties, found, fixes.device_ids, world.states, history.places, rules)
    return table, duties, list(history.places), fixes.device_ids


def us(value: datetime) -> int:
    """A time of the database, microseconds."""
    return microseconds(value)


def whole_us(seconds: Decimal) -> int:
    """Seconds with their decimals as microseconds."""
    assert (seconds * 1_000_000) % 1 == 0
    return int(seconds * 1_000_000)


@many(60)
@given(made=ruled_worlds())
def test_the_views_say_what_the_core_says(connection: Connection, made: tuple[World, Policies]) -> None:
    """Slices in words, figures with bounds, abstraction and visits: row by row what the core counts."""
    world, rules = made
    compare(connection, world, rules)


@many(25)
@given(world=wrongly_booked(), random=st.randoms(use_true_random=False), parts=st.integers(1, 5))
def test_wrong_bookings_in_any_order_count_as_they_do_offline(
    connection: Connection, world: World, random: random.Random, parts: int
) -> None:
    """Tables, views, live figures: all are what the core counts of all facts at once, and so the oracle."""
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger, fixes = Ledger(connection), world_fixes(world)
    rows = list(range(len(fixes)))
    random.shuffle(rows)
    work: list[object] = [take(fixes, np.array(part, np.int64)) for part in np.array_split(rows, parts)]
    work += [("duty", duty) for duty in (*world.duties, *world.duties[:1])]
    work += [("state", report) for report in world.states]
    random.shuffle(work)
    for item in work:
        if isinstance(item, tuple):
            kind, value = item
            ledger.bookings([value] if kind == "duty" else [], [value] if kind == "state" else [])
        else:
            ledger.positions(item)  # type: ignore[arg-type]
    assert_consistent(connection)
    want, have = expected(world), stored(connection, world)
    assert have[0].to_pylist() == want[0].to_pylist()
    assert have[1].to_pylist() == want[1].to_pylist()
    assert fine_stored(connection) == fine_expected(world)

    core = counted(world, Policies())
    assert_slices(connection, core, Policies())
    assert_figures(connection, core, Policies(), world.period)
    assert_visits(connection, core, Policies(), world)

    now = world.as_of
    live = standing_shares(Reader().standing(connection, now), now, {}, Policies())[1]
    table, duties, places, _ = core
    running = [duty for duty in duties if duty.is_on(now)]
    assert {duty.duty_id for duty in running} == {duty.duty_id for duty in oracle.running(world.duties, now)}
    on = np.array([duty.is_on(now) for duty in duties], np.bool_)
    mine = table.take(on[table.duty] if len(table) else np.zeros(0, np.bool_))
    begun = min([duty.start for duty in running], default=now)
    figures = {
        (item.scope, item.id): (item.duty, item.on_patch, item.unknown)
        for item in shares(mine, duties, places, begun, now)
        if item.duty or item.on_break
    }
    assert {
        (item.figures.scope, item.figures.id): (
            item.figures.duty,
            item.figures.on_patch,
            item.figures.unknown,
        )
        for item in live
        if item.figures.duty or item.figures.on_break
    } == figures


@pytest.mark.parametrize("join_s", [0.0, 20.0, 60.0, 600.0])
def test_the_views_say_what_the_core_says_of_a_long_walk(connection: Connection, join_s: float) -> None:
    """Twelve devices for hours, in and out of overlapping priority areas: slices, figures, many visits."""
    stripes = [shapely.box(*BINARY.at(x, -20), *BINARY.at(x + 1, 28)) for x in range(-20, 28, 2)]
    busy: tuple[Area, ...] = (
        ("priority", "P1", shapely.MultiPolygon(stripes)),
        ("priority", "P2", shapely.box(*BINARY.at(2, 2), *BINARY.at(6, 9))),
    )
    world = wandering(int(join_s) + 7)
    world = replace(
        world,
        versions=tuple((at, (*(a for a in found if a[1] != "P1"), *busy)) for at, found in world.versions),
    )
    amid = world.period[0] + 5_000_000_000
    rules = Policies(
        (BEGINNING, amid),
        (Policy(visit_join_s=join_s, visit_min_s=10.0), Policy(visit_join_s=45.0, visit_min_s=30.0)),
    )
    for period in (world.period, (world.period[0] + 1_234_567_891, amid + 987_654_321)):
        assert compare(connection, replace(world, period=period), rules) > 5


@pytest.mark.parametrize(("absence_us", "visited"), [(60_000_000, 1), (60_000_001, 2)])
def test_an_absence_of_exactly_a_minute_is_joined(
    connection: Connection, absence_us: int, visited: int
) -> None:
    """A break of 60 s amid ten minutes in a priority area leaves one visit; a microsecond more, two."""
    start = 1_795_420_800_000_000
    ground = shapely.box(*BINARY.at(0, 0), *BINARY.at(4, 4))
    fixes = tuple(("R1", start + at * 60_000_000, *BINARY.at(2, 2), None) for at in range(11))
    duty = Duty("D1", 1, "O1", start, start + 600_000_000, ("N1",), (Allocation("R1", "radio"),))
    away = start + 200_000_000
    world = World(
        fixes,
        ((None, (("neighbourhood", "N1", ground), ("priority", "P1", ground))),),
        (duty,),
        (StateReport("O1", away, 4), StateReport("O1", away + absence_us, 2)),
        start + 600_000_000,
        (start, start + 600_000_000),
    )
    assert compare(connection, world, Policies()) == visited


def compare(connection: Connection, world: World, rules: Policies) -> int:
    """Fills the emptied database with a world, and holds every view against the core; gives the visits."""
    empty(connection)
    put_in_force(connection, rules)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(world_fixes(world))
    core = counted(world, rules)
    assert_slices(connection, core, rules)
    assert_figures(connection, core, rules, world.period)
    return assert_visits(connection, core, rules, world)


def assert_slices(
    connection: Connection,
    core: tuple[Slices, list[Duty], list[Place], tuple[str, ...]],
    rules: Policies,
) -> None:
    """``officer_slices``."""
    table, duties, places, device_ids = core
    unclear = ambiguous(duties, table.duty, table.place, places).tolist()
    decided = decisive(table, duties, rules).tolist()
    want = []
    for row in range(len(table)):
        duty, number = duties[int(table.duty[row])], int(table.place[row])
        place = None if number == UNKNOWN else places[number]
        state = int(table.state[row])
        name = rules.at(duty.start).state(state).name
        activity = int(table.activity[row])
        device = int(table.device[row])
        want.append(
            (
                duty.officer_id,
                duty.duty_id,
                int(table.start[row]),
                int(table.end[row]),
                ACTIVITIES[activity],
                reason(activity, name if decided[row] and activity == HIDDEN else "", place),
                place is not None,
                place.neighbourhood if place else None,
                place.premises if place else None,
                list(place.priorities) if place else [],
                None if device == NO_DEVICE else device_ids[device],
                state,
                name,
                unclear[row],
            )
        )
    found = connection.execute(
        "select officer_id, duty_id, start_at, nullif(end_at, 'infinity'), activity, reason, known, "
        "neighbourhood, premises, priorities, device_id, state, state_name, ambiguous from officer_slices"
    ).fetchall()
    have = [(*row[:2], us(row[2]), FOREVER if row[3] is None else us(row[3]), *row[4:]) for row in found]
    assert sorted(have, key=lambda row: row[1:3]) == sorted(want, key=lambda row: row[1:3])


def assert_figures(
    connection: Connection,
    core: tuple[Slices, list[Duty], list[Place], tuple[str, ...]],
    rules: Policies,
    period: tuple[int, int],
) -> None:
    """``shares`` and ``abstraction``."""
    table, duties, places, _ = core
    start, end = period
    figures = shares(table, duties, places, start, end)
    target = rules.at(start).target
    want = {
        (item.scope, item.id): (
            *(item.duty, item.on_patch, item.off_patch, item.not_visible, item.unknown, item.on_break),
            item.priority,
            *(item.share, item.share_low, item.share_high, target, item.verdict(target)),
        )
        for item in figures
    }
    asked = [moment(start), moment(end)]
    have = {
        (row[0], row[1]): (*map(whole_us, row[2:9]), *row[9:])
        for row in connection.execute(
            "select scope, id, duty_s, on_patch_s, off_patch_s, not_visible_s, unknown_s, break_s, "
            "priority_s, share, share_low, share_high, target, verdict from shares(%s, %s)",
            asked,
        ).fetchall()
    }
    assert have == want

    items = abstraction(table, duties, places, rules, figures)
    parts = {
        (item.scope, item.id, item.activity, *item.where, *item.meaning): item.time
        for item in items
        if item.time
    }
    assert len(parts) == len([item for item in items if item.time])
    found = connection.execute("select * from abstraction(%s, %s)", asked).fetchall()
    assert {row[:-1]: whole_us(row[-1]) for row in found} == parts


def assert_visits(
    connection: Connection,
    core: tuple[Slices, list[Duty], list[Place], tuple[str, ...]],
    rules: Policies,
    world: World,
) -> int:
    """``visits``, ``visits_of`` and ``priority_visits``."""
    table, duties, places, _ = core
    all_of_them = visits(table, duties, places, rules, until=horizon(world))
    inside: list[list[tuple[int, int]]] = [[] for _ in range(len(all_of_them))]
    for at, low, high in zip(
        all_of_them.inside_visit.tolist(),
        all_of_them.inside_start.tolist(),
        all_of_them.inside_end.tolist(),
        strict=True,
    ):
        inside[at].append((low, high))
    want = [
        (
            all_of_them.area_ids[all_of_them.area[at]],
            int(all_of_them.start[at]),
            all_of_them.officer_ids[all_of_them.officer[at]],
            int(all_of_them.end[at]),
            int(all_of_them.dwell[at]),
            bool(all_of_them.home_team[at]),
            inside[at],
        )
        for at in range(len(all_of_them))
    ]
    columns = "area_id, start_at, officer_id, end_at, dwell_s, home_team, inside"

    def plain(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        return sorted(
            (
                row[0],
                us(row[1]),  # type: ignore[arg-type]
                row[2],
                us(row[3]),  # type: ignore[arg-type]
                whole_us(row[4]),  # type: ignore[arg-type]
                row[5],
                [(us(part.lower), us(part.upper)) for part in row[6]],  # type: ignore[attr-defined]
            )
            for row in rows
        )

    assert plain(connection.execute(f"select {columns} from visits".encode()).fetchall()) == sorted(want)
    start, end = world.period
    if start >= end:
        return len(want)
    asked = [moment(start), moment(end)]
    touching = connection.execute(f"select {columns} from visits_of(%s, %s)".encode(), asked).fetchall()
    assert plain(touching) == sorted(row for row in want if row[1] < end and row[3] > start)

    priorities = {
        item.area_id: (
            item.visits,
            item.officer_time,
            item.patrol_time,
            item.others_time,
            *item.visits_by_length,
        )
        for item in priority_figures(all_of_them, start, end)
    }
    found = {
        row[0]: (row[1], *map(whole_us, row[2:5]), *row[5:])
        for row in connection.execute("select * from priority_visits(%s, %s)", asked).fetchall()
    }
    assert {name: row for name, row in found.items() if any(row)} == priorities
    return len(want)


def test_the_settings_of_the_views_are_those_of_the_policies(connection: Connection) -> None:
    """Each from its date on; a policy that others replaced is gone from them."""
    start = 1_795_420_800_000_000
    rules = Policies((BEGINNING, start), (Policy(), Policy(target=0.85, visit_join_s=90.5)))
    put_in_force(connection, Policies())
    assert load(connection, rules, BEGINNING, by="test", why="a test").versions == (2,)
    assert connection.execute(
        "select isfinite(valid_from), target, visit_join, visit_min, valid_to = 'infinity' "
        "from policy_span order by valid_from"
    ).fetchall() == [
        (False, 0.8, timedelta(seconds=60), timedelta(seconds=120), False),
        (True, 0.85, timedelta(seconds=90.5), timedelta(seconds=120), True),
    ]
    assert load(connection, Policies(), BEGINNING, by="test", why="a test").replaced == (2,)
    assert connection.execute("select distinct target, visit_join from policy").fetchall() == [
        (0.8, timedelta(seconds=60))
    ]
    assert connection.execute(
        "select count(distinct (state, name, counts)) from policy_state"
    ).fetchall() == [(len(DEFAULT_STATES),)]


# ── A whole force that is elsewhere ───────────────────────────────────────────────────────────────────────


def far_by_hand(world: World) -> bool:
    """Whether all positions of the period lie over 5 km from the box around all areas in force in it."""
    low, high = world.period
    starts = [BEGINNING if start is None else start for start, _ in world.versions]
    ends = [*starts[1:], FOREVER]
    shapes = [
        shape
        for (_, rows), start, end in zip(world.versions, starts, ends, strict=True)
        if start < high and end > low
        for _, _, shape in rows
    ]
    spots = [(lon, lat) for _, time, lon, lat, _ in world.fixes if low <= time < high]
    if not shapes or not spots:
        return False
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    for lon, lat in spots:
        x, y = min(max(lon, west), east), min(max(lat, south), north)
        degrees = math.dist((0, 0), ((lon - x) * math.cos(math.radians(lat)), lat - y))
        if degrees * 111_195 < 5_000:
            return False
    return True


@many(40)
@given(data=st.data(), world=bookable_worlds(), east=st.sampled_from((0.0, 0.02, 0.3)), old=st.booleans())
def test_a_force_that_is_elsewhere_has_no_share_in_sql(
    connection: Connection, data: st.DataObject, world: World, east: float, old: bool
) -> None:
    """Positions moved a little or far to the east of everything: ``shares`` gives none for the reason for
    which summaries give none; boxes that an older program did not keep are filled in, and not guessed.
    """
    fixes = tuple((name, time, lon + east, lat, error) for name, time, lon, lat, error in world.fixes)
    world = replace(world, fixes=fixes)
    put_in_force(connection)
    empty(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(world_fixes(world))
    if old:
        connection.execute("update area set west = null, south = null, east = null, north = null")
        assert said_far(connection, world) is False
        measure(connection)
    far = said_far(connection, world)
    slices_, _, places, _ = counted(world, Policies())
    inside = np.array([*(any(place[:3]) for place in places), False], np.bool_)
    low, high = world.period
    touched = (slices_.end > low) & (slices_.start < high) & (slices_.start < slices_.end)
    seen = bool(inside[slices_.place[touched]].any())
    assert far == (far_by_hand(world) and not seen)
    rows = connection.execute(
        "select share, share_low, share_high, verdict, duty_s, unknown_s from shares(%s, %s)",
        [moment(low), moment(high)],
    ).fetchall()
    if far:
        assert all(row[:4] == (None, None, None, None) for row in rows)


def said_far(connection: Connection, world: World) -> bool:
    """What ``everybody_far`` says of the world's period."""
    [(found,)] = connection.execute(
        "select everybody_far(%s, %s)", [moment(world.period[0]), moment(world.period[1])]
    ).fetchall()
    return bool(found)


def test_exchanged_coordinates_of_a_whole_force_are_no_share_in_sql(connection: Connection) -> None:
    """Longitudes and latitudes exchanged: off patch all day, and neither share nor verdict; as they should
    be: both.
    """
    world = wandering(2)
    for turned, verdicts in ((True, {None}), (False, {"met", "missed", "not proven", None})):
        fixes = tuple(
            (name, time, *((lat, lon) if turned else (lon, lat)), error)
            for name, time, lon, lat, error in world.fixes
        )
        put_in_force(connection)
        empty(connection)
        publish(connection, world)
        ledger = Ledger(connection)
        ledger.bookings(world.duties, world.states)
        ledger.positions(world_fixes(replace(world, fixes=fixes)))
        rows = connection.execute(
            "select verdict, off_patch_s from shares(%s, %s) where scope = 'force'",
            [moment(world.period[0]), moment(world.period[1])],
        ).fetchall()
        assert {row[0] for row in rows} <= verdicts
        assert (None in {row[0] for row in rows}) is turned
        assert all(row[1] > 0 for row in rows)
