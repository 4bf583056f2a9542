"""The watch over a real database: facts come in, alerts ring and clear, and survive whoever watches."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from geo.areas import AreaSet, Kind
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND
from stream.core.live.alerts import (
    FEED_STOPPED,
    KINDS,
    NOBODY_ON_PATCH,
    OFF_PATCH_LONG,
    PRIORITY_UNVISITED,
    PROJECTED_MISS,
    TRACKER_SILENT,
)
from stream.pipeline.watcher import Watcher
from stream.settings import Settings
from stream.store import alerts
from stream.store import areas as tables
from stream.store.schema import Lock
from tests.shell.stored import await_release
from tests.shell.town import MINUTE, NOON, TOWN, Town, duty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

HOUR = 60 * MINUTE

DEAF = {
    f"alert_{name}_s": 1e9
    for name in ("nobody_on_patch", "projected_miss", "priority_unvisited", "off_patch")
}
DEAF |= {"alert_tracker_silent_s": 1e9, "alert_feed_stopped_s": 1e9, "alert_clear_s": 120.0}
"""Settings under which nothing rings."""


class Guard:
    """A town, and somebody who watches it every half minute of its time."""

    def __init__(self, town: Town, **settings: Any) -> None:
        self.town = town
        self.settings = replace(Settings(database=town.dsn), **{**DEAF, **settings})
        self.watcher = self.another()
        self.told: list[dict[str, Any]] = []

    def another(self) -> Watcher:
        """A watcher with the town's clock."""
        return Watcher(self.settings, wall=lambda: self.town.now, steady=lambda: self.town.now / SECOND)

    def look(self) -> list[dict[str, Any]]:
        """What is told now."""
        found = [json.loads(value) for _, value in self.watcher.changed()]
        self.told += found
        return found

    def go(self, minutes: float) -> list[dict[str, Any]]:
        """Time goes on, with a look every half minute; all that was told meanwhile."""
        found = []
        for _ in range(int(minutes * 2)):
            self.town.go(0.5)
            found += self.look()
        return found

    def open(self) -> dict[str, str]:
        """Open alerts: kind by id."""
        return {
            item.episode.id: item.episode.kind
            for item in alerts.noted(self.town.connection, self.town.now)
            if item.episode.cleared is None
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.close()


@pytest.fixture
def town(database: str) -> Iterator[Town]:
    """Three officers from noon on: two of the west, one of the east, all where they belong."""
    made = Town(database).begin(
        duty("O1", "N1", NOON, NOON + 8 * HOUR),
        duty("O2", "N1", NOON, NOON + 8 * HOUR),
        duty("O3", "N2", NOON, None),
    )
    made.put(R1="west", R2="west vertex", R3="east")
    yield made
    made.close()


def test_nothing_rings_while_all_is_well(town: Town) -> None:
    """Officers on their patches, visits made and positions coming in ring no bell."""
    with Guard(town, **{name: getattr(Settings(), name) for name in DEAF}) as guard:
        town.put(R2="market")
        assert guard.go(40) == []


def test_nobody_on_patch_rings_and_clears(town: Town) -> None:
    """A neighbourhood whose officers are all elsewhere rings, and clears when one has come back."""
    with Guard(town, alert_nobody_on_patch_s=600.0) as guard:
        guard.go(5)
        left = town.now
        town.put(R1="east", R2="station")
        assert guard.go(9) == []
        [rung] = guard.go(2)
        assert (rung["kind"], rung["scope"], rung["id"], rung["cleared"]) == (
            NOBODY_ON_PATCH,
            "neighbourhood",
            "N1",
            None,
        )
        assert rung["level"] == "act"
        assert rfc3339(left) < rung["since"] < rfc3339(left + 10 * SECOND)  # on the leg that left
        assert rung["text"] == "Westcotes: nobody on patch since 12:05; 2 officers are on duty"
        town.put(R1="west")
        assert guard.go(1.5) == []
        [cleared] = guard.go(2)
        assert cleared["alert_id"] == rung["alert_id"]
        assert cleared["cleared"] is not None
        assert guard.open() == {}


@pytest.mark.parametrize("gone", ["one", "all"])
def test_no_bell_rings_for_a_neighbourhood_that_is_not_in_force(town: Town, gone: str) -> None:
    """Whose boundary was taken away cannot be on patch: neither nobody on patch nor a miss rings."""
    kept = [area for area in TOWN.only(Kind.NEIGHBOURHOOD).areas() if gone == "one" and area.area_id != "N1"]
    if kept:
        tables.publish(
            town.connection, AreaSet.of(kept), Kind.NEIGHBOURHOOD, town.now, file="-", sha256="-", by="-"
        )
    else:
        town.connection.execute("update area_version set withdrawn = now() where kind = 'neighbourhood'")
    ringing = {"alert_nobody_on_patch_s": 60.0, "alert_projected_miss_s": 60.0}
    with Guard(town, **ringing, projection_done=0.0) as guard:
        guard.go(30)
        assert "N1" not in guard.open()


def test_an_edge_rings_no_bell_twice(town: Town) -> None:
    """An officer who goes to and fro over the edge of the patch every minute rings once."""
    with Guard(town, alert_nobody_on_patch_s=300.0) as guard:
        town.put(R3="west")
        guard.go(6)
        for _ in range(10):
            town.put(R3="east")
            guard.go(1)
            town.put(R3="west")
            guard.go(1)
        assert len({item["alert_id"] for item in guard.told}) == 1
        assert all(item["cleared"] is None for item in guard.told)


def test_a_priority_area_waits_within_its_hours_only(town: Town) -> None:
    """An area without a visit rings within its own days and hours; another's day has not come."""
    with Guard(town, alert_priority_unvisited_s=1800.0) as guard:
        town.put(R1="market")
        guard.go(5)
        town.put(R1="west")
        assert guard.go(29) == []
        [rung] = guard.go(2)
        assert (rung["kind"], rung["scope"], rung["id"]) == (PRIORITY_UNVISITED, "priority", "P1")
        assert rung["text"] == "the market: no visit since 12:05, within its own hours"
        town.put(R1="market")
        [cleared] = guard.go(4)
        assert cleared["cleared"] is not None


def test_an_officer_off_patch_for_long_rings(town: Town) -> None:
    """An officer off patch rings, with where that is; a break in between changes nothing."""
    with Guard(town, alert_off_patch_s=1200.0) as guard:
        guard.go(2)
        town.put(R1="station")
        guard.go(10)
        town.key("O1", 4)
        guard.go(2)
        town.key("O1", 2)
        told = guard.go(9)
        assert [(item["kind"], item["id"]) for item in told] == [(OFF_PATCH_LONG, "O1")]
        assert told[0]["text"] == "PC O1: off patch since 12:02: at West Street station"


def test_a_silent_tracker_rings_and_an_officer_off_duty_does_not(town: Town) -> None:
    """An officer on duty whose radio is silent rings; one who has signed off does not."""
    with Guard(town, alert_tracker_silent_s=600.0) as guard:
        guard.go(2)
        town.put(R1="", R2="")
        town.key("O2", 11)
        told = guard.go(12)
        assert [(item["kind"], item["id"]) for item in told] == [(TRACKER_SILENT, "O1")]
        assert told[0]["text"] == "PC O1: no position since 12:02 (radio R1)"
        town.put(R1="west")
        assert [item["alert_id"] for item in guard.go(3)] == [told[0]["alert_id"]]
        assert guard.open() == {}


def test_a_feed_that_stops_rings_one_bell(town: Town) -> None:
    """When nothing comes from anybody, that rings, not every officer; the first position clears it."""
    settings = {"alert_feed_stopped_s": 60.0, "alert_tracker_silent_s": 300.0}
    with Guard(town, **settings, alert_nobody_on_patch_s=300.0) as guard:
        guard.go(2)
        silent = town.now
        town.put(R1="", R2="", R3="")
        told = guard.go(10)
        assert [(item["kind"], item["scope"], item["since"]) for item in told] == [
            (FEED_STOPPED, "force", rfc3339(silent))
        ]
        town.put(R1="west", R2="west", R3="east")
        [cleared] = guard.go(1)
        assert (cleared["kind"], cleared["cleared"]) == (FEED_STOPPED, rfc3339(town.now - MINUTE // 2))


def test_a_miss_that_is_likely_rings_when_enough_of_the_shift_is_over(town: Town) -> None:
    """How a shift begins rings no bell; what the stated part of it shows does, with its figure."""
    with Guard(town, alert_projected_miss_s=600.0, projection_done=0.125) as guard:
        town.put(R2="station")
        assert guard.go(60) == []
        told = guard.go(12)
        assert {(item["kind"], item["id"]) for item in told} == {(PROJECTED_MISS, "N1")}
        heading = "Westcotes: heading for 49% at the end of the shift, below 80%"
        assert f"{heading}, if the last hour's pattern continues" in {item["text"] for item in told}


def test_a_miss_that_is_certain_rings_however_early(town: Town) -> None:
    """As soon as the rest of the shift cannot make good what is lost, that rings, and not before."""
    with Guard(town, alert_projected_miss_s=60.0, projection_done=1.0) as guard:
        town.put(R1="east", R2="station")
        town.go(90)
        assert guard.go(6) == []  # of 8 hours 96 minutes may be lost
        told = guard.go(3)
        assert [(item["id"], item["text"]) for item in told] == [
            ("N1", "Westcotes: can no longer reach 80%, even with everyone on patch until the shift ends")
        ]


def test_nobody_on_patch_does_not_ring_while_all_are_on_a_break(town: Town) -> None:
    """Officers on refreshments are not missed; how long nobody was on patch counts from the break's end."""
    with Guard(town, alert_nobody_on_patch_s=300.0) as guard:
        guard.go(5)
        town.key("O3", 4)
        town.put(R3="station")
        assert guard.go(45) == []
        town.key("O3", 2)
        back = town.now
        assert guard.go(4.5) == []
        [told] = guard.go(1)
        assert (told["kind"], told["id"], told["since"]) == (NOBODY_ON_PATCH, "N2", rfc3339(back))
        assert told["text"].endswith("; 1 officer is on duty")


def test_every_kind_has_its_setting() -> None:
    """For every kind of alert there is a setting, and it is the one that is used."""
    from stream.pipeline.watcher import patience

    times = {kind: at for at, kind in enumerate(KINDS, 1)}
    names = {
        NOBODY_ON_PATCH: "nobody_on_patch",
        PROJECTED_MISS: "projected_miss",
        PRIORITY_UNVISITED: "priority_unvisited",
        OFF_PATCH_LONG: "off_patch",
        TRACKER_SILENT: "tracker_silent",
        FEED_STOPPED: "feed_stopped",
    }
    given: dict[str, Any] = {f"alert_{names[kind]}_s": float(value) for kind, value in times.items()}
    settings = replace(Settings(), **given)
    assert {kind: item.raise_after for kind, item in patience(settings).items()} == {
        kind: value * SECOND for kind, value in times.items()
    }


def test_what_people_say_never_hides_a_clearing(town: Town) -> None:
    """An alert that was acknowledged and put off clears all the same, and keeps who said what."""
    with Guard(town, alert_nobody_on_patch_s=300.0) as guard:
        town.put(R3="west")
        [rung] = guard.go(6)
        said = alerts.acknowledge(town.connection, rung["alert_id"], "Insp A", town.now)
        assert said is not None
        assert said.acknowledged_by == "Insp A"
        first = said.acknowledged_at
        alerts.snooze(town.connection, rung["alert_id"], "Insp B", town.now + HOUR)
        alerts.acknowledge(town.connection, rung["alert_id"], "Insp C", town.now + 1)
        town.put(R3="east")
        [cleared] = guard.go(3)
        assert cleared["cleared"] is not None
        noted = alerts.one(town.connection, rung["alert_id"])
        assert noted is not None
        assert (noted.acknowledged_by, noted.acknowledged_at, noted.snoozed_by) == ("Insp A", first, "Insp B")
        assert noted.episode.cleared is not None


def test_one_watches_and_another_takes_over(town: Town) -> None:
    """While one watches another is told nothing; when it is gone, the other goes on with the same alerts."""
    chosen = {"alert_nobody_on_patch_s": 300.0, "alert_projected_miss_s": 3600.0, "projection_done": 0.05}
    with Guard(town, **chosen) as guard:
        town.put(R3="west")
        [rung] = guard.go(6)
        other = guard.another()
        assert other.changed() == []
        guard.go(34)
        pending = alerts.load(town.connection).episodes
        assert {item.kind for item in pending if item.raised is None} == {PROJECTED_MISS}
        guard.watcher.close()
        await_release(town.connection, Lock.WATCH)
        guard.watcher = other
        [again] = guard.look()
        assert (again["alert_id"], again["cleared"]) == (rung["alert_id"], None)
        assert alerts.load(town.connection).episodes == pending  # what has not rung goes on too
        town.put(R3="east")
        assert {item["alert_id"] for item in guard.go(3)} == {rung["alert_id"]}


def test_a_watch_that_lost_the_database_goes_on(town: Town) -> None:
    """A connection that breaks is an error once; the next look connects, watches and tells what is open."""
    with Guard(town, alert_nobody_on_patch_s=300.0) as guard:
        town.put(R3="west")
        [rung] = guard.go(6)
        town.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'patrol watch'"
        )
        await_release(town.connection, Lock.WATCH)
        with pytest.raises(psycopg.OperationalError):
            guard.go(1)
        assert {item["alert_id"] for item in guard.go(1)} == {rung["alert_id"]}
        held = town.connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' "
            "and ((classid::bigint << 32) | objid::bigint) = %s",
            [Lock.WATCH],
        ).fetchone()
        assert held == (1,)
