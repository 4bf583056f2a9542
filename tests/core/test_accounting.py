"""The core against the independent, slow reading of the accounting rules in ``tests.oracle``."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from geo.matching.history import FOREVER, UNKNOWN, AreaHistory
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.shares import shares
from stream.core.slices import ACTIVITIES, NO_DEVICE, NO_STATE, newest, reason, slices, whole_slices
from stream.core.stays import stays, take, whole_stays
from tests import oracle
from tests.oracle.stays import kept, nobody_drove, without_jumps
from tests.strategies import (
    BINARY,
    DAY,
    DECIMAL,
    HOUR,
    OPENINGS,
    World,
    areas,
    fix_columns,
    flickers,
    many,
    world_fixes,
    worlds,
    wrongly_booked,
)
from tests.worlds import busy_world, history_of, horizon

if TYPE_CHECKING:
    from stream.core.facts import Fixes
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from tests.strategies import Area, Fix


STATE_NAMES = {code: state.name for code, state in Policies().policies[0].states.items()} | {NO_STATE: ""}


def plain_stays(found: Stays, fixes: Fixes, history: AreaHistory) -> dict[str, list[tuple[int, int, object]]]:
    """Columns → the oracle's form: whole stays, without what is near."""
    found = whole_stays(found, history.places)
    table: dict[str, list[tuple[int, int, object]]] = {name: [] for name in fixes.device_ids}
    for device, start, end, place in zip(found.device, found.start, found.end, found.place, strict=True):
        where = None if place == UNKNOWN else tuple(history.places[place][:3])
        table[fixes.device_ids[device]].append((int(start), int(end), where))
    return table


def plain_slices(found: Slices, world: World, fixes: Fixes, history: AreaHistory) -> list[tuple[object, ...]]:
    """Columns → the oracle's form: whole slices, open ends clipped at the horizon."""
    duties = newest(world.duties)
    found, _ = whole_slices(found, duties, history.places, Policies(), until=horizon(world))
    rows: list[tuple[object, ...]] = []
    for number, duty in enumerate(duties):
        for at in np.flatnonzero(found.duty == number):
            place = None if found.place[at] == UNKNOWN else history.places[found.place[at]]
            activity = int(found.activity[at])
            rows.append(
                (
                    duty.officer_id,
                    duty.duty_id,
                    int(found.start[at]),
                    min(int(found.end[at]), horizon(world)),
                    ACTIVITIES[activity],
                    reason(activity, STATE_NAMES[int(found.state[at])], place),
                    None if place is None else tuple(place[:3]),
                    None if found.device[at] == NO_DEVICE else fixes.device_ids[found.device[at]],
                )
            )
    return sorted((row for row in rows if row[2] < row[3]), key=lambda row: (row[0], row[2]))  # type: ignore[operator]


@many(200)
@given(worlds(BINARY))
def test_stays_equal_the_oracle_to_the_microsecond(world: World) -> None:
    """The stays of every device are those of the rules read literally, to the microsecond."""
    fixes, history = world_fixes(world), history_of(world)
    expected = {
        name: [(s, e, None if p is None else tuple(p)) for s, e, p in rows]
        for name, rows in oracle.stays(world.fixes, world.versions).items()
    }
    assert plain_stays(stays(fixes, history, Policies()), fixes, history) == expected


@many(150)
@given(flickers("R1", OPENINGS[0]), areas())
def test_what_nobody_drove_is_that_of_the_oracle(track: list[Fix], ground: tuple[Area, ...]) -> None:
    """Tracks that leap away and back, sometimes for minutes, are unknown where the rules say so."""
    fixes = fix_columns(track)
    history = history_of(World((), ((None, ground),), (), (), 0, (0, 0)))
    expected = {
        name: [(s, e, None if p is None else tuple(p)) for s, e, p in rows]
        for name, rows in oracle.stays(track, [(None, ground)]).items()
    }
    assert plain_stays(stays(fixes, history, Policies()), fixes, history) == expected


@many(100)
@given(world=wrongly_booked(), longest=st.sampled_from((DAY, DAY, DAY, 10 * HOUR, 30 * HOUR, 2 * HOUR)))
def test_slices_of_wrong_bookings_are_those_of_the_oracle(world: World, longest: int) -> None:
    """Bookings of years, from 1970, to 9999, open for weeks, revised or cancelled: slice by slice."""
    policies = Policies((BEGINNING,), (Policy(longest_duty_s=longest / SECOND),))
    fixes, history = world_fixes(world), history_of(world)
    duties = newest(world.duties, policies)
    found = slices(
        duties, stays(fixes, history, policies), fixes.device_ids, world.states, history.places, policies
    )
    expected = oracle.slices(
        oracle.stays(world.fixes, world.versions),
        world.duties,
        world.states,
        as_of=horizon(world),
        longest=longest,
    )
    assert plain_slices(found, world, fixes, history) == [tuple(row) for row in expected]


def test_the_worlds_have_legs_of_all_kinds() -> None:
    """Random worlds are no vacuous test: of their legs many cross an edge, and some nobody drove."""
    found: list[World] = [busy_world(at) for at in range(12)]

    @seed(1)
    @settings(max_examples=100, phases=[Phase.generate], database=None, deadline=None)
    @given(worlds(BINARY))
    def collect(world: World) -> None:
        found.append(world)

    collect()
    crossings, lost = [0, 0], [0, 0]
    for at, world in enumerate(found):
        kind = int(at >= 12)
        for device_id, tiles in oracle.stays(world.fixes, world.versions).items():
            crossings[kind] += sum(one[2] is not None and two[2] is not None for one, two in pairwise(tiles))
            track = without_jumps(kept([fix for fix in world.fixes if fix[0] == device_id]), 80.0)
            lost[kind] += sum(nobody_drove(track, 80.0, 300))
    assert crossings[0] > 300
    assert crossings[1] > 100
    assert min(lost) > 10


@many(120)
@given(worlds(BINARY))
def test_slices_and_shares_equal_the_oracle(world: World) -> None:
    """Slices and figures are those of the rules read literally, to the microsecond."""
    fixes, history, policies = world_fixes(world), history_of(world), Policies()
    duties = newest(world.duties)
    found = slices(
        duties, stays(fixes, history, policies), fixes.device_ids, world.states, history.places, policies
    )
    expected = oracle.slices(
        oracle.stays(world.fixes, world.versions), world.duties, world.states, as_of=horizon(world)
    )
    rows = [(*row[:6], None if row[6] is None else tuple(row[6]), row[7]) for row in expected]
    assert plain_slices(found, world, fixes, history) == sorted(rows, key=lambda row: (row[0], row[2]))

    start, end = world.period[0], world.period[1]
    wanted = oracle.shares(expected, world.duties, (start, end))
    figures = {
        (item.scope, "" if item.scope == "force" else item.id): item
        for item in shares(found, duties, history.places, start, end)
    }
    for scope, want in wanted.items():
        have = figures.get(scope)
        assert (have.duty if have else 0) == want.duty
        if have:
            assert (
                have.on_patch,
                have.off_patch,
                have.not_visible,
                have.unknown,
                have.on_break,
                have.priority,
            ) == (
                want.on_patch,
                want.off_patch,
                want.not_visible,
                want.unknown,
                want.break_,
                want.priority,
            )
            assert have.share == (None if want.share is None else float(want.share))
    assert all(figure.duty == 0 for scope, figure in figures.items() if scope not in wanted)


@many(60)
@given(worlds(BINARY), st.randoms(use_true_random=False))
def test_the_order_of_facts_cannot_matter(world: World, random: object) -> None:
    """Fixes shuffled and doubled, duties and states in another order: the same slices."""
    fixes, history, policies = world_fixes(world), history_of(world), Policies()
    rows = list(range(len(fixes))) * 2
    random.shuffle(rows)  # type: ignore[attr-defined]
    again = take(fixes, np.array(rows, np.int64))
    duties, states = list(world.duties) * 2, list(world.states) * 2
    random.shuffle(duties)  # type: ignore[attr-defined]
    random.shuffle(states)  # type: ignore[attr-defined]
    one = slices(
        newest(world.duties),
        stays(fixes, history, policies),
        fixes.device_ids,
        world.states,
        history.places,
        policies,
    )
    two = slices(
        newest(duties), stays(again, history, policies), fixes.device_ids, states, history.places, policies
    )
    assert plain_slices(one, world, fixes, history) == plain_slices(two, world, fixes, history)


@many(120)
@given(worlds(DECIMAL))
def test_the_slices_of_a_duty_tile_it_exactly(world: World) -> None:
    """The slices of a duty neither overlap nor leave a hole: what is missing is state 11 or another's."""
    fixes, history, policies = world_fixes(world), history_of(world), Policies()
    duties = newest(world.duties)
    counted = slices(
        duties, stays(fixes, history, policies), fixes.device_ids, world.states, history.places, policies
    )
    # The same duties with no positions and no states: all that each duty covers.
    nothing = take(fixes, np.empty(0, np.int64))
    covered = slices(
        duties, stays(nothing, history, policies), fixes.device_ids, (), history.places, policies
    )
    # And with state 11 counted like any other.
    paid = [report for report in world.states if report.state == 11]
    for number, duty in enumerate(duties):
        mine = counted.duty == number
        start, end = counted.start[mine], counted.end[mine]
        assert np.all(start[1:] >= end[:-1])
        assert np.all(start < end)
        whole = covered.duty == number
        gone = int(np.sum(covered.end[whole] - covered.start[whole])) - int(np.sum(end - start))
        assert gone >= 0
        if not any(report.officer_id == duty.officer_id for report in paid):
            assert gone == 0
            if len(start):
                assert start[0] == covered.start[whole][0]
                assert end[-1] == covered.end[whole][-1] <= (FOREVER if duty.end is None else duty.end)


@many(60)
@given(worlds(BINARY), st.sampled_from([0.0, -0.0, -1.0]))
def test_an_error_of_nothing_counts_as_none(world: World, error_m: float) -> None:
    """Errors of 0 and less, as stored before the rule, count as missing wherever they are used (rule 2b)."""
    history, policies, duties = history_of(world), Policies(), newest(world.duties)
    figures = []
    for missing in (None, error_m):
        fixes = fix_columns([(*fix[:4], missing if fix[4] is None else fix[4]) for fix in world.fixes])
        found = slices(
            duties, stays(fixes, history, policies), fixes.device_ids, world.states, history.places, policies
        )
        figures.append(shares(found, duties, history.places, *world.period))
    assert figures[0] == figures[1]
