"""Slices and figures against set algebra in PostgreSQL: the same facts, and no line of code in common."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import given

from geo.matching.history import UNKNOWN
from stream.core.abstraction import abstraction
from stream.core.policy import BEGINNING, DEFAULT_STATES, Policies, Policy, State
from stream.core.shares import shares
from stream.core.slices import ACTIVITIES, NO_DEVICE, NO_STATE, newest, reason, slices, whole_slices
from stream.core.stays import stays
from tests.oracle import multiranges
from tests.strategies import BINARY, DECIMAL, Grid, World, many, micros, world_fixes, worlds
from tests.worlds import busy_world, history_of, horizon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stream.core.shares import Figures

CHANGE = micros("2026-11-23T08:10:00+00:00")
STRICTER = {
    **DEFAULT_STATES,
    1: State("on_duty", "not_visible"),
    4: State("refreshments"),
    6: State("at_scene", "break"),
    9: State("prisoner_escort", "off_duty"),
}
POLICIES = Policies((BEGINNING, CHANGE), (Policy(), replace(Policy(), states=STRICTER)))
"""The default, and from ten minutes into most worlds on another one."""

MEANINGS = {
    number: {code: (state.counts, state.name) for code, state in policy.states.items()}
    for number, policy in enumerate(POLICIES.policies)
}


@pytest.fixture(scope="module")
def connection(database_server: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection with the multirange views, and nothing that stays."""
    with psycopg.connect(database_server.dsn, autocommit=True) as connection:
        multiranges.prepare(connection)
        yield connection


@dataclass(frozen=True)
class Counted:
    """What the core makes of a world."""

    facts: multiranges.Facts
    slices: list[tuple[object, ...]]
    figures: list[Figures]
    abstraction: dict[tuple[object, ...], int]


def count(world: World) -> Counted:
    """The core's slices and figures, and the facts that they were counted from."""
    fixes, history = world_fixes(world), history_of(world)
    duties, until = newest(world.duties), horizon(world)
    found_stays = stays(fixes, history, POLICIES)
    fine = slices(duties, found_stays, fixes.device_ids, world.states, history.places, POLICIES)
    found = shares(fine, duties, history.places, *world.period)
    items = abstraction(fine, duties, history.places, POLICIES, found)

    whole, _ = whole_slices(fine, duties, history.places, POLICIES, until=until)
    rows: list[tuple[object, ...]] = []
    columns = (whole.duty, whole.start, whole.end, whole.activity, whole.state, whole.place, whole.device)
    for number, start, end, activity, state, at, device in zip(*(c.tolist() for c in columns), strict=True):
        duty, place = duties[number], None if at == UNKNOWN else history.places[at]
        name = "" if state == NO_STATE else POLICIES.at(duty.start).state(state).name
        rows.append(
            (
                *(duty.officer_id, duty.duty_id, start, end),
                *(ACTIVITIES[activity], reason(activity, name, place)),
                None if place is None else tuple(place[:3]),
                None if device == NO_DEVICE else fixes.device_ids[device],
            )
        )

    def where(number: int) -> multiranges.Where:
        return multiranges.UNKNOWN if number == UNKNOWN else multiranges.Where(*history.places[number])

    stay_columns = (found_stays.device, found_stays.start, found_stays.end, found_stays.place)
    facts = multiranges.Facts(
        stays=[
            (fixes.device_ids[device], start, end, where(place))
            for device, start, end, place in zip(*(c.tolist() for c in stay_columns), strict=True)
        ],
        duties=world.duties,
        states=world.states,
        policies=[int(duty.start >= CHANGE) for duty in world.duties],
        period=world.period,
        horizon=until,
    )
    itemised = {
        (
            "" if item.scope == "force" else item.id,
            item.scope,
            item.activity,
            *item.where,
            item.meaning.state,
        ): item.time
        for item in items
    }
    return Counted(facts, sorted(rows, key=lambda row: (row[0], row[2])), found, itemised)  # type: ignore[arg-type]


def assert_equal(connection: psycopg.Connection[Any], found: Sequence[Counted]) -> None:
    """Slices, figures and their items of all worlds are those of the multiranges, to the microsecond."""
    multiranges.load(connection, [each.facts for each in found], MEANINGS)
    rows: dict[int, list[tuple[object, ...]]] = defaultdict(list)
    for world, *row in multiranges.slices(connection):
        rows[world].append(tuple(row))
    figures = multiranges.figures(connection)
    itemised = multiranges.abstraction(connection)
    for world, each in enumerate(found):
        assert each.slices == rows[world], world
        seen = set()
        for item in each.figures:
            key = (world, item.scope, "" if item.scope == "force" else item.id)
            seen.add(key)
            want = figures.get(key, (item.has_share, 0, 0, 0, 0, 0, 0, 0, 0))
            have = (item.on_patch, item.off_patch, item.not_visible, item.unknown, item.on_break)
            assert (item.has_share, *have, item.priority, item.ambiguous_on, item.ambiguous_off) == want, key
        assert {key for key in figures if key[0] == world} <= seen
        assert each.abstraction == {
            (key[2], key[1], *key[3:]): time for key, time in itemised.items() if key[0] == world
        }


@many(15)
@given(world=worlds(BINARY))
def test_slices_and_figures_are_what_multiranges_make_of_them(
    connection: psycopg.Connection[Any], world: World
) -> None:
    """Of any world, slices, figures and abstraction equal PostgreSQL's set algebra to the microsecond."""
    assert_equal(connection, [count(world)])


@pytest.mark.parametrize("grid", [BINARY, DECIMAL])
def test_many_worlds_at_once_are_what_multiranges_make_of_them(
    connection: psycopg.Connection[Any], grid: Grid
) -> None:
    """Of sixty busy worlds in one go: likewise, also on a grid where coordinates are rounded."""
    found = [count(busy_world(seed, grid)) for seed in range(60)]
    assert_equal(connection, found)
    # And they were worth it: every activity, officers without a share, ambiguous time of both sorts.
    assert {row[4] for each in found for row in each.slices} == set(ACTIVITIES)
    every = [item for each in found for item in each.figures]
    assert any(not item.has_share for item in every)
    assert sum(item.ambiguous_on > 0 for item in every) > 50
    assert sum(item.ambiguous_off > 0 for item in every) > 50
