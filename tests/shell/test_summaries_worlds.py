"""Summaries of small random worlds that provoke trouble: every number is the oracle's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.core.calendar import Period
from stream.core.policy import BEGINNING, DEFAULT_STATES, Policies, Policy, State
from stream.store import areas as area_tables
from stream.store.ledger import Ledger
from stream.store.reading.summaries import summaries
from stream.store.schema import connect
from tests.oracle.reading import differences, parts_that_do_not_add_up
from tests.oracle.summaries import recount
from tests.shell.stored import empty, migrated, put_in_force
from tests.strategies import NEIGHBOURHOODS, World, bookable_worlds, many, world_fixes, wrongly_booked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

SECOND = 1_000_000
NAMES = ("2026-W43", "2026-W44", "2026-W47", "2026-W48", "2026-10", "2026-11")
"""The weeks and months that worlds lie in: about Mondays, and where the clocks go back."""

SAID: dict[str, dict[str, str]] = {
    "P1": {"issue": "theft", "days": "Sun,Mon", "hours": "23:30-01:30"},
    "P10": {},
    "P2": {"hours": "00:30-01:15"},
}
"""What priority areas say of themselves."""


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "summary_worlds") as dsn, connect(dsn) as opened:
        yield opened


def fill(connection: Connection, world: World, rules: Policies) -> None:
    """The emptied database with a world in it, counted."""
    empty(connection)
    put_in_force(connection, rules)
    for start, rows in sorted(world.versions, key=lambda item: BEGINNING if item[0] is None else item[0]):
        found = AreaSet.of(
            Area(Kind(kind), name, f"{name} town", shape, SAID.get(name, {})) for kind, name, shape in rows
        )
        for kind in Kind:
            since = 0 if start is None else start
            area_tables.publish(connection, found, kind, since, file="test", sha256="", by="test")
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    ledger.positions(world_fixes(world))


def compare(connection: Connection, world: World, rules: Policies, name: str, now: int) -> None:
    """Every neighbourhood's summary against the oracle's."""
    period = Period.named("week" if "W" in name else "month", name)
    asked = list(NEIGHBOURHOODS)
    for found in summaries(connection, rules, period, area_ids=asked, now=now):
        past, before = len(found.past) - 1, 4 if found.period == "week" else 1
        want = recount(connection, rules, name, found.area_id, now=now, past=past, before=before)
        lines = differences(want, found) + parts_that_do_not_add_up(found)
        assert not lines, f"{name} {found.area_id}:\n" + "\n".join(lines[:20])


@st.composite
def policies(draw: st.DrawFn, world: World) -> Policies:
    """One policy, or another from amid the world on."""
    states = dict(DEFAULT_STATES) | {6: State("on a scene", "not_visible"), 9: State("escort", "visible")}
    found = [
        Policy(
            target=draw(st.sampled_from((0.8, 0.5, 1.0))),
            visit_join_s=draw(st.sampled_from((60.0, 0.0, 300.0))),
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
    world = draw(st.one_of(bookable_worlds(), wrongly_booked()))
    return world, draw(policies(world))


@many(25)
@given(made=ruled_worlds(), name=st.sampled_from(NAMES))
def test_a_summary_of_any_world_is_that_of_the_rules(
    connection: Connection, made: tuple[World, Policies], name: str
) -> None:
    """Revised, cancelled, open and overlapping duties, boundaries and policies that change: the oracle's."""
    world, rules = made
    fill(connection, world, rules)
    compare(connection, world, rules, name, Period.named("month", "2027-06").start)


@many(15)
@given(made=ruled_worlds(), months=st.booleans())
def test_a_summary_of_a_world_that_goes_on_is_that_of_the_rules(
    connection: Connection, made: tuple[World, Policies], months: bool
) -> None:
    """Asked amid the world, its week and month are counted as far as facts go, booked time to come is not."""
    world, rules = made
    fill(connection, world, rules)
    now = max([world.as_of, *(fix[1] for fix in world.fixes), *(report.time for report in world.states)])
    period = Period.around("month" if months else "week", now)
    assume(now < period.end)
    compare(connection, world, rules, period.name, now)
