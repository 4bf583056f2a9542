"""Policies loaded while a world is counted: nothing before their date changes, and live equals offline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from stream.core.facts import SECOND, Allocation, Duty
from stream.core.policy import BEGINNING, DEFAULT_STATES, Policies, Policy, State, counted_by, differences
from stream.core.slices import newest
from stream.store import policies, recompute
from stream.store.doubts import judge_due
from stream.store.ledger import Ledger
from stream.store.schema import connect
from stream.store.week_figures import difference, week_figures
from tests.shell.stored import (
    assert_consistent,
    empty,
    fine_expected,
    fine_stored,
    in_time,
    migrated,
    publish,
    put_in_force,
)
from tests.strategies import (
    BINARY,
    DAY,
    HOUR,
    OPENINGS,
    World,
    bookable_worlds,
    many,
    world_fixes,
    wrongly_booked,
)
from tests.worlds import horizon, wandering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stream.embedded import EmbeddedDatabase
    from stream.store.records import Restated
    from stream.store.schema import Connection
    from stream.store.settled import Recomputed

STATES = DEFAULT_STATES | {6: State("crime scene", "not_visible"), 9: State("escort", "visible")}
RESTING = DEFAULT_STATES | {1: State("on duty", "break")}

SOME_POLICIES = st.builds(
    Policy,
    jump_speed_mps=st.sampled_from((80.0, 5.0, 400.0)),
    max_gap_s=st.sampled_from((300.0, 60.0, 29.0)),
    parked_gap_s=st.sampled_from((1800.0, 600.0, 7200.0)),
    parked_distance_m=st.sampled_from((50.0, 0.0, 500.0)),
    default_error_m=st.sampled_from((10.0, 0.0, 60.0)),
    target=st.sampled_from((0.8, 0.5)),
    states=st.sampled_from((DEFAULT_STATES, STATES, RESTING)),
)


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "policy_worlds") as dsn, connect(dsn) as opened:
        yield opened


def loaded(connection: Connection, wanted: Policies, since: int) -> policies.Loaded:
    """A policy loaded as the command does it."""
    return policies.load(connection, wanted, since, by="tester", why="a test")


def again(connection: Connection, world: World) -> tuple[Recomputed, ...]:
    """Everything counted again."""
    moments = [fix[1] for fix in world.fixes] + [duty.start for duty in world.duties]
    return recomputed(
        connection, (min(moments) - 1, horizon(world) + 1), recompute.horizon(connection, horizon(world))
    )


def recomputed(connection: Connection, period: tuple[int, int], until: int) -> tuple[Recomputed, ...]:
    """A period counted again; open duties are counted up to a time."""
    recompute.hold(connection)
    edition, ledger = policies.edition(connection), Ledger(connection)
    plan = recompute.plan(connection, *period)
    recompute.begin(connection, plan, until)
    for part in plan:
        recompute.count(ledger, part, until)
    return recompute.conclude(connection, period, until, by="tester", why="a test", edition=edition)


def in_all(outcomes: Sequence[Recomputed]) -> tuple[Restated, ...]:
    """What several restatements, each of which begins where the one before it ended, come to."""
    found: dict[tuple[str, str, str], Restated] = {}
    for outcome in outcomes:
        for item in outcome.restated:
            key = item.week, item.scope, item.id
            assert key not in found or found[key].after == item.before
            found[key] = replace(item, before=found[key].before if key in found else item.before)
    before = {key: item.before for key, item in found.items() if item.before is not None}
    after = {key: item.after for key, item in found.items() if item.after is not None}
    return tuple(difference(before, after))


def listed(connection: Connection) -> set[str]:
    """The duties that were counted by a policy that has been replaced."""
    return {
        str(name)
        for (name,) in connection.execute("select duty_id from duty_policy where outdated").fetchall()
    }


def of(rows: Sequence[tuple[object, ...]], names: set[str], *, but: bool = False) -> list[tuple[object, ...]]:
    """The slices of some duties, or of all others."""
    return [row for row in rows if (row[0] in names) is not but]


def moments(world: World) -> list[int]:
    """Times in and about the world at which a policy may come into force."""
    times = sorted({fix[1] for fix in world.fixes} | {duty.start for duty in world.duties} | {world.as_of})
    return [BEGINNING, *times, *(time + 1 for time in times), times[-1] + 10**12]


@many(60)
@given(data=st.data(), world=bookable_worlds(), parts=st.integers(1, 6))
def test_live_equals_offline_with_policies_that_are_loaded_meanwhile(
    connection: Connection, data: st.DataObject, world: World, parts: int
) -> None:
    """Whatever is loaded when: duties not listed as outdated are those of the offline account with the same
    dated policies; counted again, all are, the list is empty, and what changed is put down to the policy.
    """
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    # Bookings and states come when they come, in part after a policy was loaded.
    booked, told = (data.draw(st.integers(0, parts)) for _ in range(2))
    pieces = in_time(world, parts)
    when = data.draw(st.lists(st.integers(0, parts), min_size=1, max_size=3).map(sorted))
    for number in range(parts + 1):
        for _ in range(when.count(number)):
            before = policies.in_force(connection)
            since = data.draw(st.sampled_from(moments(world)))
            loaded(connection, Policies((BEGINNING,), (data.draw(SOME_POLICIES),)), since)
            for item in differences(before, policies.in_force(connection)):
                assert item.start >= since
        if number == booked:
            ledger.bookings(world.duties, [])
        if number == told:
            ledger.bookings([], world.states)
        if number < parts:
            ledger.positions(pieces[number])
    rules = policies.in_force(connection)
    assert_consistent(connection)
    stays, slices = fine_expected(world, rules)
    older = listed(connection)
    assert of(fine_stored(connection)[1], older, but=True) == of(slices, older, but=True)

    until = recompute.horizon(connection, horizon(world))
    start = min([duty.start for duty in world.duties], default=0)
    judge_due(connection)
    was = week_figures(connection, start, until)
    outcomes = again(connection, world)
    assert fine_stored(connection) == (stays, slices)
    assert listed(connection) == set()
    assert {item.cause for item in outcomes} <= {"policy"}
    changed = tuple(item for outcome in outcomes for item in outcome.restated)
    assert changed == tuple(difference(was, week_figures(connection, start, until)))
    assert not changed or older
    assert again(connection, world) == ()


@many(40)
@given(data=st.data(), world=bookable_worlds(), policy=SOME_POLICIES)
def test_a_policy_loaded_from_a_date_changes_nothing_before_it(
    connection: Connection, data: st.DataObject, world: World, policy: Policy
) -> None:
    """All counted again: duties and stays that end before its date, less one leg, are as they were."""
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    for part in in_time(world, 3):
        ledger.positions(part)
    stays, slices = fine_stored(connection)
    since = data.draw(st.sampled_from(moments(world)[1:]))
    loaded(connection, Policies((BEGINNING,), (policy,)), since)
    assert fine_stored(connection) == (stays, slices)
    again(connection, world)
    low = since - int(max(policy.parked_gap_s, policy.max_gap_s, 1800) * 1_000_000)
    ended = {duty.duty_id for duty in world.duties if duty.end is not None and duty.end <= low}
    after = fine_stored(connection)
    assert of(after[1], ended) == of(slices, ended)
    assert [row for row in after[0] if int(str(row[2])) <= low] == [
        row for row in stays if int(str(row[2])) <= low
    ]


@many(15)
@given(
    world=wrongly_booked(),
    longest=st.sampled_from((10 * HOUR, 30 * HOUR, 366 * DAY, 2 * HOUR)),
    data=st.data(),
)
def test_another_longest_duty_counts_from_its_date_and_when_recomputed(
    connection: Connection, world: World, longest: int, data: st.DataObject
) -> None:
    """Loaded for the past it outdates just what counts otherwise by it; counted again, all is as offline."""
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(world_fixes(world))
    before = fine_stored(connection)
    start = min((duty.start for duty in world.duties), default=0)
    until = recompute.horizon(connection, horizon(world))
    judge_due(connection)
    was = week_figures(connection, start, until)

    since = data.draw(
        st.sampled_from([BEGINNING, *(duty.start + more for duty in world.duties for more in (0, 1))])
    )
    loaded(connection, Policies((BEGINNING,), (Policy(longest_duty_s=longest / SECOND),)), since)
    rules = policies.in_force(connection)
    assert fine_stored(connection) == before
    other = {
        now.duty_id
        for was_, now in zip(newest(world.duties), newest(world.duties, rules), strict=True)
        if not now.cancelled and (was_.counts, was_.until) != (now.counts, now.until)
    }
    assert listed(connection) == other

    outcomes = again(connection, world)
    assert_consistent(connection)
    assert fine_stored(connection) == fine_expected(world, rules)
    assert listed(connection) == set()
    assert in_all(outcomes) == tuple(difference(was, week_figures(connection, start, until)))
    assert {item.cause for item in outcomes} <= {"policy", "facts"}
    assert again(connection, world) == ()


@pytest.mark.parametrize("longest", [2, 30], ids=["no longer", "for the first time"])
def test_a_week_that_a_duty_reaches_only_by_the_one_policy_is_on_record(
    connection: Connection, longest: int
) -> None:
    """An open duty from Sunday 18:00 on counts up to Monday 00:00 or beyond it: Monday's week, too, had
    figures that it has no more, or has some that it had not.
    """
    empty(connection)
    start = OPENINGS[0] - 14 * HOUR
    put_in_force(
        connection,
        Policies((BEGINNING,), (Policy(longest_duty_s=(32 - longest) * HOUR / SECOND),)),
    )
    world = replace(wandering(1), duties=(Duty("D1", 1, "O1", start, None, ("N1",)),), fixes=(), states=())
    publish(connection, world)
    Ledger(connection).bookings(world.duties, [])
    until = start + 40 * HOUR
    was = week_figures(connection, start, until)
    loaded(connection, Policies((BEGINNING,), (Policy(longest_duty_s=longest * HOUR / SECOND),)), BEGINNING)
    [outcome] = recomputed(connection, (start, until), until)
    now = week_figures(connection, start, until)
    assert outcome.restated == tuple(difference(was, now))
    of_officer = {item.week: (item.before, item.after) for item in outcome.restated if item.id == "O1"}
    assert of_officer.keys() == {"2026-W47", "2026-W48"}
    assert (of_officer["2026-W48"][0] is None, of_officer["2026-W48"][1] is None) == (
        longest == 30,
        longest == 2,
    )


@pytest.mark.parametrize(("booked", "longest"), [(25, 30), (20, 10), (None, 10), (None, 30)])
def test_a_worker_that_kept_copies_counts_on_by_the_longest_duty_that_was_recomputed(
    connection: Connection, booked: int | None, longest: int
) -> None:
    """Loaded and recomputed by others between its batches: what it counts afterwards is as offline."""
    empty(connection)
    put_in_force(connection)
    start = OPENINGS[0]
    fixes = [("R1", start + n * 300 * SECOND, *BINARY.at(n % 5, 1.0), 10.0) for n in range(300)]
    areas = tuple(
        ("neighbourhood", f"N{n}", shapely.box(*BINARY.at(n * 2, 0), *BINARY.at(n * 2 + 2, 6)))
        for n in range(2)
    )
    end = None if booked is None else start + booked * HOUR
    duty = Duty("D1", 1, "O1", start, end, ("N1",), (Allocation("R1", "radio"),))
    until = start + 26 * HOUR
    world = World(tuple(fixes), ((None, areas),), (duty,), (), until, (start, until))
    publish(connection, world)
    worker, parts = Ledger(connection), in_time(world, 5)
    worker.bookings(world.duties, world.states)
    worker.positions(parts[0])
    loaded(connection, Policies((BEGINNING,), (Policy(longest_duty_s=longest * HOUR / SECOND),)), BEGINNING)
    worker.positions(parts[1])
    assert listed(connection) == {"D1"}
    again(connection, world)
    for part in parts[2:]:
        worker.positions(part)
    assert_consistent(connection)
    assert listed(connection) == set()
    assert fine_stored(connection) == fine_expected(world, policies.in_force(connection))


def test_a_worker_that_had_begun_counts_by_what_was_loaded_meanwhile(connection: Connection) -> None:
    """Loaded for all times before the first fix came: no duty is outdated, and all is counted by it."""
    world = replace(wandering(1), states=())
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, [])
    wanted = Policies((BEGINNING,), (Policy(max_gap_s=20.0, parked_gap_s=20.0),))
    assert loaded(connection, wanted, BEGINNING).outdated == ()
    for part in in_time(world, 3):
        ledger.positions(part)
    assert fine_stored(connection) == fine_expected(world, wanted) != fine_expected(world)


def test_a_duty_that_ended_just_before_is_listed_where_a_jump_after_it_may_change_it(
    connection: Connection,
) -> None:
    """A device leaves its patch on a leg that ends at a fix after the date, which is a jump from then on."""
    start = 1_795_420_800_000_000
    minute = 60_000_000
    ground = shapely.box(*BINARY.at(0, 0), *BINARY.at(4, 4))
    fixes = [("R1", start + at * minute, *BINARY.at(x, 1), None) for at, x in ((0, 1), (4, 40), (8, 1))]
    duty = Duty("D1", 1, "O1", start, start + 2 * minute, ("N1",), (Allocation("R1", "radio"),))
    world = World(
        tuple(fixes),
        ((None, (("neighbourhood", "N1", ground),)),),
        (duty,),
        (),
        start + 480 * minute,
        (start, start + 480 * minute),
    )
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, [])
    ledger.positions(world_fixes(world))
    before = fine_stored(connection)
    loaded(connection, Policies((BEGINNING,), (Policy(jump_speed_mps=0.5),)), start + 3 * minute)
    assert listed(connection) == {"D1"}
    again(connection, world)
    assert fine_stored(connection) == fine_expected(world, policies.in_force(connection)) != before


def test_of_both_causes_each_is_told_by_itself(connection: Connection) -> None:
    """Rows altered behind the program's back in one duty, another policy for a later: two restatements."""
    world = wandering(4)
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    for part in in_time(world, 20):
        ledger.positions(part)
    starts = sorted(duty.start for duty in world.duties)
    since = starts[-1] + 1_200_000_000
    until = recompute.horizon(connection, horizon(world))
    loaded(connection, Policies((BEGINNING,), (Policy(max_gap_s=20.0, parked_gap_s=20.0),)), since)
    older = listed(connection)
    assert 0 < len(older) < len({duty.duty_id for duty in world.duties})
    changed = connection.execute(
        "update slice s set activity = 4 from duty_policy p where p.duty = s.duty and not outdated "
        "and activity = 3 returning duty_id"
    ).fetchall()
    assert changed
    was = week_figures(connection, starts[0], until)
    facts, policy = again(connection, world)
    assert (facts.cause, policy.cause) == ("facts", "policy")
    now = week_figures(connection, starts[0], until)
    assert fine_stored(connection) == fine_expected(world, policies.in_force(connection))
    # One begins where the other ends, and together they are all that changed.
    first = {(item.week, item.scope, item.id): item for item in facts.restated}
    second = {(item.week, item.scope, item.id): item for item in policy.restated}
    for key in first.keys() & second.keys():
        assert first[key].after == second[key].before
    for item in difference(was, now):
        key = item.week, item.scope, item.id
        begun = first.get(key, second.get(key))
        ended = second.get(key, first.get(key))
        assert begun is not None
        assert ended is not None
        assert (begun.before, ended.after) == (item.before, item.after)


def test_what_only_matters_when_a_figure_is_read_outdates_nothing(connection: Connection) -> None:
    """A target, a visit's length or a state's name loaded for the past: no duty needs to be counted again."""
    world = wandering(5)
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(in_time(world, 1)[0])
    read = replace(
        Policy(target=0.5, visit_min_s=1.0), states=DEFAULT_STATES | {2: State("free"), 77: State("drill")}
    )
    assert counted_by(read) == counted_by(Policy())
    assert loaded(connection, Policies((BEGINNING,), (read,)), BEGINNING).outdated == ()
    assert again(connection, world) == ()


def test_the_list_of_outdated_duties_is_kept_until_all_of_each_was_counted_again(
    connection: Connection,
) -> None:
    """Half a duty, another officer, or a policy loaded meanwhile: it stays on the list."""
    world = wandering(6)
    empty(connection)
    put_in_force(connection)
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(in_time(world, 1)[0])
    loaded(connection, Policies((BEGINNING,), (Policy(max_gap_s=20.0, parked_gap_s=20.0),)), BEGINNING)
    everything = listed(connection)
    [first] = policies.outdated(connection)
    assert (first.version, first.duties) == (1, len(everything))
    start, end = first.start, first.end
    with connection.transaction(force_rollback=True):
        policies.counted_again(connection, start + 1, end - 1, None, 2)
        rest = listed(connection)
        assert {duty.duty_id for duty in world.duties if duty.start == start} & everything <= rest
    with connection.transaction(force_rollback=True):
        policies.counted_again(connection, start, end, "O1", 2)
        others = {duty.duty_id for duty in world.duties if duty.officer_id != "O1"} & everything
        assert listed(connection) == others
        assert others
    loaded(connection, Policies((BEGINNING,), (Policy(max_gap_s=40.0, parked_gap_s=40.0),)), BEGINNING)
    policies.counted_again(connection, start, end, None, 2)
    assert listed(connection) == everything
    policies.counted_again(connection, start, end, None, 3)
    assert listed(connection) == set()
