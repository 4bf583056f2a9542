"""Live figures that are kept up to date say what a question from scratch says; all news of them is told."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND, Duty, StateReport
from stream.core.live.conditions import conditions
from stream.core.live.share_event import share_event
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.stays import take
from stream.pipeline.publisher import Publisher
from stream.settings import Settings
from stream.store import areas as area_tables
from stream.store import policies
from stream.store.doubts import judge_due
from stream.store.ledger import Ledger
from stream.store.reading.live import LiveFigures, live
from stream.store.reading.sight import Eyes
from stream.store.schema import Lock, connect
from tests.shell.stored import await_release, empty, migrated, put_in_force
from tests.shell.town import NOON, SPOTS, Town, duty, town_called
from tests.strategies import areas, bookable_worlds, fix_columns, many, world_fixes

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from stream.core.live.alerts import Observation
    from stream.core.live.overview import LiveShare
    from stream.core.live.share_event import ShareEvent
    from stream.embedded import EmbeddedDatabase
    from stream.store.reading.sight import Sight
    from stream.store.schema import Connection
    from tests.strategies import World

MINUTE, APART = 60 * SECOND, 15 * SECOND


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "figures_kept") as made:
        yield made


@pytest.fixture(scope="module")
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with connect(dsn) as opened:
        yield opened


def event_of(item: LiveShare) -> ShareEvent:
    """A figure as it is published."""
    return share_event(item.figures, item.name, item.target, item.officers.on_duty, item.officers.on_patch)


def key_of(item: LiveShare) -> str:
    """Its key on ``visibility.shares``."""
    return "force" if item.figures.scope == "force" else f"{item.figures.scope}:{item.figures.id}"


def at_once(item: LiveShare) -> tuple[Any, ...]:
    """What of a figure is news whenever it changes."""
    figures, officers = item.figures, item.officers
    start = figures.start if officers.on_duty else None
    told = figures.without_share, figures.has_share, figures.verdict(item.target)
    return (
        *(item.name, item.target, start, *told, officers.on_duty, officers.on_patch),
        (figures.duty + figures.on_break) // MINUTE,
    )


def rest(item: LiveShare) -> tuple[Any, ...]:
    """What of it is news where facts changed."""
    figures = item.figures
    shares = figures.share, figures.share_low, figures.share_high
    times = figures.on_patch, figures.off_patch, figures.not_visible, figures.unknown, figures.on_break
    return (
        *(None if share is None else round(share * 1000) for share in shares),
        *(time // MINUTE for time in (*times, figures.priority, figures.doubtful, figures.duty)),
    )


def made_of(officer_id: str, patch: tuple[str, ...]) -> set[tuple[str, bool]]:
    """The figures that a duty is part of: their keys, and whether it is one of duties with a patch."""
    if not patch:
        return {(f"officer:{officer_id}", False)}
    return {(key, True) for key in ("force", f"officer:{officer_id}", *(f"neighbourhood:{n}" for n in patch))}


FACTS = (
    "select duty_id, officer_id, patch, d::text, closed, settled, slices, "
    "(select array_agg(f::text order by f::text) from doubtful f where f.duty = d.duty) "
    "from duty d join slice_end using (duty) join officer using (officer) "
    "where start_at <= from_us(%(now)s) and from_us(%(now)s) < until_at"
)
"""All that is known of the duties now running: no figure is made of others, whatever becomes of them."""


class Reader:
    """Somebody who reads the topic from its beginning, and knows from scratch what ought to be told."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.told: dict[str, LiveShare] = {}
        self._at: dict[str, int] = {}
        self._moved: set[tuple[str, bool]] = set()
        self._facts: dict[str, tuple[Any, ...]] = {}
        self._now = 0

    def hears(self, messages: list[tuple[bytes, bytes]], now: int) -> None:
        """Checks what is told at a time: all that is news and nothing that is not, as it is."""
        found = live(self.connection, now, policies.in_force(self.connection))
        fresh = {key_of(item): item for item in found}
        assert len(fresh) == len(found)
        facts = {row[0]: row for row in self.connection.execute(FACTS.encode(), {"now": now}).fetchall()}
        changed = {
            key
            for name in facts.keys() | self._facts.keys()
            if facts.get(name) != self._facts.get(name)
            for row in (facts.get(name), self._facts.get(name))
            if row is not None
            for key in made_of(*row[1:3])
        }
        self._moved |= changed
        still = now == self._now and not changed
        self._facts, self._now = facts, now
        said = {key.decode(): value for key, value in messages}
        assert len(said) == len(messages)
        for key, item in fresh.items():
            known = self.told.get(key)
            news = known is None or at_once(item) != at_once(known)
            due = known is None or now - self._at[key] >= APART
            moved = known is None or (due and rest(item) != rest(known))
            other = known is None or replace(event_of(item), end="") != replace(event_of(known), end="")
            if news or (moved and (key, item.figures.has_share) in self._moved):
                assert key in said
            if key in said:
                assert news or moved or (still and other)
                assert said.pop(key) == msgspec.json.encode(event_of(item))
                self.told[key], self._at[key] = item, now
                self._moved -= {(key, False), (key, True)}
        assert said == {}


def observed(sight: Sight) -> Observation:
    """The conditions that hold."""
    return conditions(sight.picture, sight.shares, sight.depth, 0, 60 * SECOND)


def work_of(world: World, random: random.Random, parts: int) -> list[Any]:
    """The world's facts as batches, bookings and states, in any order."""
    fixes = world_fixes(world)
    rows = list(range(len(fixes)))
    rows += random.sample(rows, len(rows) // 4)
    if random.random() < 0.5:
        random.shuffle(rows)
    else:
        rows.sort(key=lambda at: fixes.time[at])
    work: list[Any] = [take(fixes, np.array(part, np.int64)) for part in np.array_split(rows, parts)]
    for item in (*world.duties, *world.states):
        work.insert(random.randrange(len(work) + 1), item)
    return work


def done(connection: Connection, ledger: Ledger, item: Any) -> None:
    """Does one piece of work."""
    if isinstance(item, Duty):
        ledger.bookings([item], [])
    elif isinstance(item, StateReport):
        ledger.bookings([], [item])
    elif isinstance(item, Policy):
        policies.load(connection, Policies((BEGINNING,), (item,)), BEGINNING, by="x", why="w")
    elif isinstance(item, tuple):
        start, rows = item
        found = AreaSet.of(Area(Kind(kind), name, f"{name} {start}", shape) for kind, name, shape in rows)
        with connection.transaction():
            for kind in Kind:
                area_tables.publish(connection, found, kind, start, file="test", sha256="", by="test")
            ledger.recount(start)
    elif item == "judge":
        judge_due(connection)
    else:
        ledger.positions(item)


@many(10)
@given(
    world=bookable_worlds(),
    again=areas(),
    random=st.randoms(use_true_random=False),
    parts=st.integers(1, 8),
)
def test_what_is_kept_is_what_is_asked_from_scratch(
    dsn: str, connection: Connection, world: World, again: tuple[Any, ...], random: random.Random, parts: int
) -> None:
    """After any facts, boundaries, policy and doubts every figure kept is a fresh one, and all news is told.

    Publishers come and go meanwhile; the next one tells everything.
    """
    empty(connection)
    put_in_force(connection)
    work: list[Any] = [(start or 0, rows) for start, rows in sorted(world.versions, key=lambda v: v[0] or 0)]
    first = len(work)
    work += work_of(world, random, parts)
    for item in ((world.period[0], again), Policy(target=0.5, max_gap_s=120.0), "judge", "judge", "gone"):
        work.insert(random.randrange(first, len(work) + 1), item)
    now = world.period[0]
    ledgers = [Ledger(connection), Ledger(connection)]
    kept = LiveFigures()
    listener = Reader(connection)
    settings = Settings(database=dsn, projection_done=0.0)

    def wall() -> int:
        return now

    watch = Eyes(settings, wall)
    first_elected, other = (Publisher(settings, wall=wall) for _ in range(2))
    with contextlib.closing(first_elected), contextlib.closing(other):
        publisher = first_elected
        for at, item in enumerate(work):
            if item == "gone":
                publisher.close()
                await_release(connection, Lock.PUBLISHER)
                publisher, listener.told = other, {}  # all is news again
                continue
            done(connection, ledgers[at % 2], item)
            if at >= first and random.random() < 0.5:
                now += random.choice((0, 1, SECOND, 7 * SECOND, 61 * SECOND, 400 * SECOND, 2000 * SECOND))
                tally = kept.look(connection, now, policies.in_force(connection))
                rows = np.flatnonzero(tally.told)
                wanted = [event_of(one) for one in live(connection, now, policies.in_force(connection))]
                assert sorted(tally.events(rows), key=repr) == sorted(wanted, key=repr)
                listener.hears(publisher.changed(), now)
                seen, fresh = watch.watch(connection), Eyes(settings, wall).look(connection)
                heard = seen.picture.last_fix
                # When a position that is dated ahead was seen to come, only who was there then can know.
                assert heard.keys() == fresh.picture.last_fix.keys()
                assert all(heard[name] <= time for name, time in fresh.picture.last_fix.items())
                wanted_seen = dataclasses.replace(
                    fresh, picture=dataclasses.replace(fresh.picture, last_fix=heard)
                )
                assert observed(seen) == observed(wanted_seen)
        for _ in range(2):
            listener.hears(publisher.changed(), now)
    for figure in live(connection, now, policies.in_force(connection)):
        told = event_of(listener.told[key_of(figure)])
        assert replace(told, start="", end="") == replace(event_of(figure), start="", end="")


def test_another_database_in_its_place_is_read_anew(database_server: EmbeddedDatabase) -> None:
    """Where another server answers, or another database, nothing of the one before is kept."""
    kept = LiveFigures()
    with town_called(database_server, "kept_one") as one, town_called(database_server, "kept_two") as two:
        one.begin(duty("O1", "N1", NOON, None), duty("O2", "N2", NOON, None))
        two.begin(duty("O3", "N2", NOON, None), duty("O4", "N1", NOON, None))
        one.put(R1="west", R2="away")
        two.put(R3="west", R4="away")
        for town in (one, two, two, one):
            now = town.go(5)
            tally = kept.look(town.connection, now, Policies())
            wanted = [event_of(item) for item in live(town.connection, now, Policies())]
            said = tally.events(np.arange(len(tally.told)))
            assert sorted(said, key=repr) == sorted(wanted, key=repr)


def test_news_is_of_the_duties_that_a_figure_is_made_of(database: str) -> None:
    """An officer's bookings that are not running are no news, whatever becomes of them; a duty that goes is.

    It is also where its officer is signed off, so that no count changes, and the others stay as they were.
    """
    one, two = duty("O1", "N1", NOON, None), duty("O2", "N1", NOON, None)
    town = Town(database).begin(one, two)
    publisher = Publisher(Settings(database=database, projection_done=0.0), wall=lambda: town.now)
    listener = Reader(town.connection)

    def told(minutes: float) -> set[str]:
        now = town.go(minutes)
        messages = publisher.changed()
        listener.hears(messages, now)
        return {key.decode() for key, _ in messages}

    with contextlib.closing(town), contextlib.closing(publisher):
        town.put(R1="west")
        town.go(0.05)
        town.key("O2", 11)
        town.go(5)
        town.put(R1="away")
        town.go(5)
        town.put(R1="")
        assert "officer:O1" in told(0.1)
        for number, (start, end, cancelled) in enumerate(
            [(0, 60, True), (-60, 0, False), (0, 10_000, False)]  # the last one is too long (rule 8a)
        ):
            other = duty("O1", "N2", NOON + start * MINUTE, NOON + end * MINUTE)
            town.book(dataclasses.replace(other, duty_id=f"X{number}", cancelled=cancelled))
            before = listener.told["officer:O1"]
            assert told(0.1) == set()
            [now] = [
                item for item in live(town.connection, town.now, Policies()) if key_of(item) == "officer:O1"
            ]
            assert rest(now) != rest(before)  # the clock alone
        town.book(dataclasses.replace(two, revision=2, cancelled=True))
        assert told(0.01) == {"force", "neighbourhood:N1"}


def test_a_late_visit_that_changes_no_sum_is_seen(database: str) -> None:
    """Late fixes that turn time off patch into a visit change no sum; whoever keeps closed rows sees them."""
    town = Town(database).begin(duty("O3", "N2", NOON, None))
    with contextlib.closing(town):
        town.put(R3="west")
        left = town.go(5)
        town.put(R3="")
        town.go(280 / 60)
        for spot in ("west", "east", "west"):
            town.put(R3=spot)
            town.go(5)
        settings = Settings(database=town.dsn)
        kept = Eyes(settings, lambda: town.now)
        [before] = [item for item in kept.watch(town.connection).depth.awaited if item.area_id == "P1"]
        assert before.last_visit_end is None
        town.ledger.positions(
            fix_columns([("R3", left + after * SECOND, *SPOTS["market"], None) for after in (60, 200)])
        )
        seen, fresh = (
            eyes.watch(town.connection).depth.awaited for eyes in (kept, Eyes(settings, lambda: town.now))
        )
        assert seen == fresh
        assert [item.last_visit_end is None for item in seen if item.area_id == "P1"] == [False]
