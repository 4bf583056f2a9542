"""Boundaries published and taken back while others count: no second lost or doubled, all of it on record."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core import calendar, frames
from stream.core.events import decode_positions
from stream.core.facts import Duty, Fixes, StateReport
from stream.core.policy import BEGINNING, limits
from stream.core.quality.doubts import Doubts
from stream.core.shares import shares
from stream.core.slices import Slices, newest, slices
from stream.core.stays import stays, take
from stream.files.sheets.contract import slices_table, stays_table
from stream.simulate import TOPICS, demo_force, simulate
from stream.store import areas as area_tables
from stream.store.ledger import Ledger
from stream.store.publications import PublicationError, publish, withdraw
from stream.store.reading.exports import derived
from stream.store.records import in_force_at, records, restatements, touched
from stream.store.schema import connect
from tests.shell.stored import POLICIES, TABLES, assert_consistent, empty, expected, migrated, stored
from tests.strategies import BINARY, World, areas, bookable_worlds, many, micros, world_fixes

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from stream.core.shares import Figures
    from stream.embedded import EmbeddedDatabase
    from stream.store.records import Restated
    from stream.store.schema import Connection
    from tests.strategies import Version

START = micros("2026-11-22T22:00:00+00:00")
"""A Sunday night shift: it ends in another week than it begins in."""

MIDDLE = micros("2026-11-22T23:20:00.500000+00:00")


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each test empties it."""
    with migrated(database_server, "boundaries_live") as found:
        yield found


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to the emptied database."""
    with connect(dsn) as opened:
        empty(opened)
        yield opened


# ── A shift ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shift:
    """A simulated shift as facts, and the boundaries before and after."""

    fixes: Fixes
    duties: tuple[Duty, ...]
    states: tuple[StateReport, ...]
    before: AreaSet
    after: AreaSet

    @property
    def until(self) -> int:
        """After everything."""
        return max(duty.end or duty.start for duty in self.duties) + 3_600_000_000

    def counted(self, *versions: tuple[int, AreaSet]) -> tuple[Slices, AreaHistory]:
        """The offline account under boundary versions."""
        history = AreaHistory(sorted(versions, key=lambda pair: pair[0]))
        found = stays(self.fixes, history, POLICIES)
        duties = newest(self.duties)
        return slices(duties, found, self.fixes.device_ids, self.states, history.places, POLICIES), history

    def tables(self, *versions: tuple[int, AreaSet]) -> tuple[list[object], list[object]]:
        """Stays and slices of the offline account, as rows."""
        counted, history = self.counted(*versions)
        found = stays(self.fixes, history, POLICIES)
        return (
            stays_table(found, self.fixes.device_ids, history.places).to_pylist(),
            slices_table(
                counted,
                newest(self.duties),
                self.fixes.device_ids,
                history.places,
                POLICIES,
                Doubts.none(),
                until=self.until,
            ).to_pylist(),
        )

    def figures(self, *versions: tuple[int, AreaSet]) -> dict[tuple[str, str, str], Figures]:
        """Each week's figures of the offline account, by week, scope and id."""
        counted, history = self.counted(*versions)
        duties = newest(self.duties)
        found: dict[tuple[str, str, str], Figures] = {}
        for start, end in calendar.weeks(START, self.until):
            week = calendar.week_name(calendar.local_day(start))
            for item in shares(counted, duties, history.places, start, end):
                found[week, item.scope, item.id] = item
        return found


@pytest.fixture(scope="module")
def shift() -> Shift:
    """Ten officers, three hours over a Sunday midnight; then each neighbourhood loses its west to another."""
    force = demo_force(3)
    made = simulate(force, officers=10, start=START, hours=3, interval_s=30, seed=5)
    values = [
        [
            value
            for part in made.messages()
            for topic, value in zip(part.topic, part.value, strict=True)
            if topic == at
        ]
        for at in range(len(TOPICS))
    ]
    decoded = [decode_positions(values[at], None, limits=limits(POLICIES)).fixes for at in (0, 1)]
    return Shift(frames.join(decoded), made.duties, made.states, force, shuffled(force))


def shuffled(force: AreaSet) -> AreaSet:
    """The force with the west of every neighbourhood given to the next one."""
    homes = force.only(Kind.NEIGHBOURHOOD).areas()
    halves = []
    for area in homes:
        west, south, east, north = area.geometry.bounds
        line = (west + east) / 2
        halves.append(
            (
                shapely.intersection(area.geometry, shapely.box(west, south, line, north)),
                shapely.intersection(area.geometry, shapely.box(line, south, east, north)),
            )
        )
    moved = []
    for number, area in enumerate(homes):
        shape = shapely.union_all([halves[number][1], halves[number - 1][0]])
        parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
        moved.append(replace(area, geometry=shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0]))
    rest = [area for area in force.areas() if area.kind is not Kind.NEIGHBOURHOOD]
    return AreaSet.of([*moved, *rest])


def release(
    connection: Connection,
    areas: AreaSet,
    start: int,
    *,
    now: int,
    why: str | None = "a test",
    dry: bool = False,
) -> tuple[Restated, ...]:
    """Publishes boundaries; gives what that restated."""
    return publish(
        connection,
        areas,
        start,
        file="test.geojson",
        sha256="0" * 64,
        by="tester",
        why=why,
        now=now,
        dry_run=dry,
    ).restated


def rows(connection: Connection, shift: Shift) -> tuple[list[object], list[object]]:
    """Stays and slices of the database, as rows."""
    found = derived(connection)
    return (
        stays_table(found.stays, found.device_ids, found.places).to_pylist(),
        slices_table(
            found.slices,
            found.duties,
            found.device_ids,
            found.places,
            POLICIES,
            Doubts.none(),
            until=shift.until,
        ).to_pylist(),
    )


def parts(fixes: Fixes, count: int, worker: int, workers: int) -> list[Fixes]:
    """A worker's batches: its own devices' fixes in the order of time."""
    mine = np.flatnonzero(fixes.device % workers == worker)
    mine = mine[np.argsort(fixes.time[mine], kind="stable")]
    return [take(fixes, part) for part in np.array_split(mine, count) if len(part)]


# ── Live ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("when", ["ahead of the facts", "behind the facts"])
def test_a_version_published_while_two_workers_count_loses_and_doubles_nothing(
    dsn: str, connection: Connection, shift: Shift, when: str
) -> None:
    """Published amid two workers' batches: stays and slices are the offline account's under both versions."""
    release(connection, shift.before, START - 3_600_000_000, now=shift.until)
    Ledger(connection).bookings(shift.duties, shift.states)
    reached = threading.Barrier(3)

    def work(worker: int) -> None:
        batches = parts(shift.fixes, 24, worker, 2)
        # Ahead: half an hour before the version takes effect. Behind: when all but an hour is counted.
        turn = 8 if when == "ahead of the facts" else 16
        with connect(dsn) as own:
            ledger = Ledger(own)
            for number, batch in enumerate(batches):
                if number == turn:
                    reached.wait(timeout=60)
                ledger.positions(batch)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(work, worker) for worker in (0, 1)]
        reached.wait(timeout=60)
        release(connection, shift.after, MIDDLE, now=shift.until)
        for future in done:
            future.result(timeout=120)
    both = ((START - 3_600_000_000, shift.before), (MIDDLE, shift.after))
    assert rows(connection, shift) == shift.tables(*both)
    assert rows(connection, shift) != shift.tables(both[0])
    assert_consistent(connection)


def test_taking_a_version_back_brings_the_former_totals_back(connection: Connection, shift: Shift) -> None:
    """Published for a time gone by and taken back: every row is what it was, and both stand on record."""
    opening = START - 3_600_000_000
    release(connection, shift.before, opening, now=shift.until)
    ledger = Ledger(connection)
    ledger.bookings(shift.duties, shift.states)
    ledger.positions(shift.fixes)
    former = rows(connection, shift)
    changed = release(connection, shift.after, MIDDLE, now=shift.until, why="the beats of the new year")
    for _ in Kind:  # one version each
        withdraw(connection, by="tester", why="too early", now=shift.until)
    assert rows(connection, shift) == former
    assert_consistent(connection)

    record = restatements(connection)
    assert [item.cause for item in record] == ["areas published", "areas withdrawn"]
    assert [item.why for item in record] == ["the beats of the new year", "too early"]
    assert record[0].restated == changed
    turned = [replace(item, before=item.after, after=item.before) for item in changed]
    assert list(record[1].restated) == turned
    kept = records(connection)
    assert [item.withdrawn_by for item in kept] == [None] * 3 + ["tester"] * 3
    assert records(connection, withdrawn=False) == kept[:3]
    again = area_tables.read(connection, kept[3].version.version, Kind.NEIGHBOURHOOD)
    assert again.area_id == shift.after.only(Kind.NEIGHBOURHOOD).area_id


def test_a_restatement_has_every_figure_that_changed_before_and_after(
    connection: Connection, shift: Shift
) -> None:
    """By week, scope and id: exactly the differences between the accounts under one version and under two."""
    opening = START - 3_600_000_000
    release(connection, shift.before, opening, now=shift.until)
    ledger = Ledger(connection)
    ledger.bookings(shift.duties, shift.states)
    ledger.positions(shift.fixes)
    shown = release(connection, shift.after, MIDDLE, now=shift.until, why=None, dry=True)
    done = release(connection, shift.after, MIDDLE, now=shift.until)
    assert shown == done
    before = shift.figures((opening, shift.before))
    after = shift.figures((opening, shift.before), (MIDDLE, shift.after))
    want = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert {(item.week, item.scope, item.id): (item.before, item.after) for item in done} == want
    assert {week for week, _, _ in want} == {"2026-W47", "2026-W48"}


def test_a_dry_run_changes_nothing_but_shows_everything(connection: Connection, shift: Shift) -> None:
    """Every table is as it was, and so is the number that the next version gets."""
    release(connection, shift.before, START - 3_600_000_000, now=shift.until)
    ledger = Ledger(connection)
    ledger.bookings(shift.duties, shift.states)
    ledger.positions(shift.fixes)
    former = dump(connection)
    shown = release(connection, shift.after, MIDDLE, now=shift.until, why=None, dry=True)
    assert shown
    withdraw(connection, Kind.NEIGHBOURHOOD, by="tester", why=None, now=shift.until, dry_run=True)
    with pytest.raises(PublicationError, match=r"say why with --why"):
        release(connection, shift.after, MIDDLE, now=shift.until, why=None)
    assert dump(connection) == former
    release(connection, shift.after, MIDDLE, now=shift.until)
    assert [item.version.version for item in records(connection)] == [1, 2, 3, 4, 5, 6]


def dump(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    return {
        name: connection.execute(f"select t::text from {name} t order by 1".encode()).fetchall()
        for name in TABLES.split(", ")
    }


def test_a_version_for_the_future_touches_no_figure_and_needs_no_reason(
    connection: Connection, shift: Shift
) -> None:
    """It is in force from its time on, and until then everything is as it was."""
    release(connection, shift.before, START - 3_600_000_000, now=shift.until)
    ledger = Ledger(connection)
    ledger.bookings(shift.duties, shift.states)
    ledger.positions(shift.fixes)
    former = rows(connection, shift)
    future = shift.until + 86_400_000_000
    assert release(connection, shift.after, future, now=shift.until, why=None) == ()
    assert rows(connection, shift) == former
    assert restatements(connection) == []

    def ground(time: int) -> object:
        return [shape.wkb for shape in in_force_at(connection, time, Kind.NEIGHBOURHOOD).geometry]

    assert ground(future - 1) == [s.wkb for s in shift.before.only(Kind.NEIGHBOURHOOD).geometry]
    assert ground(future) == [s.wkb for s in shift.after.only(Kind.NEIGHBOURHOOD).geometry]


def test_whose_patches_a_change_touches_is_read_from_the_duties(connection: Connection, shift: Shift) -> None:
    """Each changed neighbourhood has its own officers and the weeks of their duties within the period."""
    Ledger(connection).bookings(shift.duties, shift.states)
    ids = shift.before.only(Kind.NEIGHBOURHOOD).area_id
    monday = micros("2026-11-23T00:00:00+00:00")
    for low, high, weeks in (
        (START - 1, shift.until, {"2026-W47", "2026-W48"}),
        (monday, shift.until, {"2026-W48"}),
        (START - 1, monday, {"2026-W47"}),
    ):
        found = touched(connection, ids, low, high, now=shift.until)
        want = {
            area_id: {duty.officer_id for duty in shift.duties if area_id in duty.patch}
            for area_id in {name for duty in shift.duties for name in duty.patch}
        }
        assert {item.area_id: set(item.officers) for item in found} == want
        assert {week for item in found for week in item.weeks} == weeks
    assert touched(connection, ids, shift.until, shift.until + 1, now=shift.until) == []


# ── Any order ─────────────────────────────────────────────────────────────────────────────────────────────


def version_of(version: Version) -> tuple[int, AreaSet]:
    """A world's version as published."""
    start, found = version
    shapes = AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in found)
    return BEGINNING if start is None else start, shapes


@st.composite
def regimes(draw: st.DrawFn) -> tuple[World, list[bool]]:
    """A world with one version more, and which of its versions are taken back again."""
    world = draw(bookable_worlds())
    extra = draw(areas(BINARY))
    starts = [fix[1] for fix in world.fixes] or [world.as_of]
    world = replace(world, versions=(*world.versions, (draw(st.sampled_from(starts)), extra)))
    return world, [draw(st.booleans()) for _ in world.versions[1:]]


@many(30)
@given(made=regimes(), random=st.randoms(use_true_random=False), count=st.integers(1, 5))
def test_the_tables_are_those_of_the_versions_that_stand(
    dsn: str, made: tuple[World, list[bool]], random: random.Random, count: int
) -> None:
    """Facts, publications and withdrawals in any order: the tables are the account under what stands."""
    world, gone = made
    fixes, numbers = world_fixes(world), list(range(len(world.fixes)))
    random.shuffle(numbers)
    work: list[object] = [take(fixes, np.array(part, np.int64)) for part in np.array_split(numbers, count)]
    work += [*world.duties, *world.states, *range(1, len(world.versions))]
    random.shuffle(work)
    with connect(dsn) as connection:
        empty(connection)
        first, areas_ = version_of((0, world.versions[0][1]))
        publish_all(connection, areas_, first)
        ledger = Ledger(connection)
        for item in work:
            if isinstance(item, int):
                start, found = version_of(world.versions[item])
                publish_all(connection, found, start)
                if gone[item - 1]:
                    take_back(connection, len([k for k in Kind if k in found.kind]))
            elif isinstance(item, Fixes):
                ledger.positions(item)
            elif isinstance(item, Duty):
                ledger.bookings([item], [])
            elif isinstance(item, StateReport):
                ledger.bookings([], [item])
        standing = standing_of(connection)
        want, have = expected(replace(world, versions=standing)), stored(connection, world)
        assert have[0].to_pylist() == want[0].to_pylist()
        assert have[1].to_pylist() == want[1].to_pylist()
        assert_consistent(connection)


def publish_all(connection: Connection, found: AreaSet, start: int) -> None:
    """Publishes, with a reason."""
    if len(found):
        release(connection, found, start, now=START)


def take_back(connection: Connection, versions: int) -> None:
    """Takes the newest versions back, one by one."""
    for _ in range(versions):
        withdraw(connection, by="tester", why="a test", now=START)


def standing_of(connection: Connection) -> tuple[Version, ...]:
    """The versions that stand, put together: what is in force from each time at which anything changes."""
    published = area_tables.versions(connection)
    return tuple(
        (
            start,
            tuple(
                (area.kind.value, area.area_id, area.geometry)
                for area in in_force_at(connection, start).areas()
            ),
        )
        for start in sorted({item.valid_from for item in published})
    )
