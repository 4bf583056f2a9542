"""One officer: all that is held, written out; the name goes, and stays away; holds keep what is disputed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from stream.cli import patrol
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.keeping import Terms
from stream.store import chunks
from stream.store.chunks import DAY, HOUR
from stream.store.holds import HoldError, holds, place, release
from stream.store.kept import kept
from stream.store.ledger import Ledger
from stream.store.persons import PersonError, erase, held_on
from stream.store.retention import retain, verified
from stream.store.schema import connect
from tests.shell.stored import assert_consistent, empty, fine_stored, in_time, migrated, publish
from tests.strategies import BINARY, World, micros
from tests.worlds import wandering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.embedded import EmbeddedDatabase

OPENING = micros("2026-11-16T08:00:00+00:00")
ID, NAME = "C0456", "PC 456 =Ångström <b>"


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each test empties it."""
    with migrated(database_server, "persons") as found:
        yield found


def shift() -> World:
    """One officer's shift with a radio that goes on reporting after it, and a colleague beside."""
    world = wandering(1)
    fixes = [
        (device, OPENING + minute * 60 * SECOND, *BINARY.at(1 + minute % 3, 1), None)
        for device in ("R456", "R2")
        for minute in range(-300, 900)
    ]
    duties = (
        Duty("D1", 1, ID, OPENING, OPENING + 5 * HOUR, ("N0",), (Allocation("R456", "radio"),), name=NAME),
        Duty(
            "D2",
            1,
            "C9",
            OPENING,
            OPENING + 5 * HOUR,
            ("N0",),
            (Allocation("R2", "radio"),),
            name="PC 9 Other",
        ),
    )
    states = (StateReport(ID, OPENING + HOUR, 4), StateReport(ID, OPENING + 2 * HOUR, 2))
    return World(tuple(fixes), world.versions[:1], duties, states, OPENING + DAY, (OPENING, OPENING + DAY))


def filled(dsn: str) -> World:
    """The shift in the emptied database, closed."""
    world = shift()
    with connect(dsn) as connection:
        empty(connection)
        connection.execute("delete from erased_person")
        publish(connection, world)
        ledger = Ledger(connection)
        ledger.bookings(world.duties, world.states)
        for part in in_time(world, 3):
            ledger.positions(part)
        chunks.close_due(connection, worth=10)
    return world


def test_all_that_is_held_is_written_and_nothing_outside_duties(dsn: str, tmp_path: Path) -> None:
    """The files say the same, no cell is a formula, no name is markup, and tracks end with the duty."""
    filled(dsn)
    done = CliRunner().invoke(
        patrol, ["person", "export", ID, "--out", str(tmp_path / "out")], env={"PATROL_DATABASE": dsn}
    )
    assert done.exit_code == 0, done.output
    held = json.loads((tmp_path / "out" / "everything.json").read_text())
    assert [duty["duty_id"] for duty in held["duties"]] == ["D1"]
    assert len(held["states"]) == 2
    assert held["record"][-1]["kind"] == "disclosure"
    for file in (tmp_path / "out").glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))
        assert len(rows) == 1 + len(held[file.stem])
        assert not any(cell.startswith("=") for row in rows for cell in row)
    times = [
        str(found.text)
        for found in ElementTree.parse(tmp_path / "out" / "track_0001.gpx").iter()
        if found.tag.endswith("}time")
    ]
    assert len(times) == 300
    assert min(times) >= "2026-11-16T08:00:00"
    assert max(times) < "2026-11-16T13:00:00"
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<b>" not in page
    assert "Ångström" in page
    assert "PC 9" not in page


def test_the_name_goes_the_figures_stay_and_late_messages_do_not_bring_it_back(dsn: str) -> None:
    """After erasing no table but the record has id or name; slices are the same; what is late is veiled."""
    world = filled(dsn)
    with connect(dsn) as connection:
        before = fine_stored(connection)
        new = erase(connection, ID, why="request 17", by="test", now=OPENING + DAY)
        assert erase(connection, ID, why="again", by="test", now=OPENING + DAY) == new
        assert fine_stored(connection) == before
        Ledger(connection).bookings(
            [replace(world.duties[0], revision=2, patch=("N1",)), replace(world.duties[0], duty_id="D7")],
            [StateReport(ID, OPENING + 3 * HOUR, 8)],
        )
        tables = connection.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace "
            "and relname <> 'record_entry'"
        ).fetchall()
        for (table,) in tables:
            for text in (ID, NAME):
                found = connection.execute(
                    f"select count(*) from {table} t where strpos(t::text, %s) > 0".encode(), [text]
                ).fetchone()
                assert found == (0,), (table, text)
        with pytest.raises(PersonError, match="nothing is held"):
            held_on(connection, "C-nobody")
        assert [row["officer_id"] for row in held_on(connection, new).tables["officer"]] == [new]
        assert len(held_on(connection, new).tables["duties"]) == 2
        assert_consistent(connection)


def test_an_officer_on_duty_or_on_hold_is_not_erased(dsn: str) -> None:
    """A hold, a duty that runs, and a reason that is missing each refuse in one line; nothing is changed."""
    filled(dsn)
    with connect(dsn) as connection:
        with pytest.raises(PersonError, match="D1 has not ended"):
            erase(connection, ID, why="request", by="test", now=OPENING + HOUR)
        with pytest.raises(PersonError, match="needs a reason"):
            erase(connection, ID, why=" ", by="test", now=OPENING + DAY)
        number = place(connection, "D1", why="CO/1/26", by="test")
        with pytest.raises(PersonError, match=f"D1 is on hold .CO/1/26.: release hold {number} first"):
            erase(connection, ID, why="request", by="test", now=OPENING + DAY)
        assert held_on(connection, ID).tables["duties"][0]["name"] == NAME


def test_a_hold_keeps_what_its_duty_needs_until_it_is_released(dsn: str) -> None:
    """With everything past its time, facts and slices of the duty on hold stay; released, they go too."""
    filled(dsn)
    terms, now = Terms(48, 8, 60), OPENING + 500 * DAY
    with connect(dsn) as connection:
        with pytest.raises(HoldError, match="no duty 'D99'"):
            place(connection, "D99", why="x", by="test")
        number = place(connection, "D1", why="CO/1/26", by="test")
        done = retain(connection, terms, now, by="test")
        assert {item.kind for item in done.deletions} >= {
            "positions outside duties",
            "positions",
            "slices",
            "bookings",
        }
        left = held_on(connection, ID)
        assert len(left.tracks["D1"][0][1]) == 300
        assert left.tables["slices"]
        assert left.tables["states"]
        with pytest.raises(PersonError, match="nothing is held"):
            held_on(connection, "C9-none")
        assert connection.execute("select count(*) from duty").fetchone() == (1,)
        assert retain(connection, terms, now, by="test").deletions == ()
        assert release(connection, number, why="closed", by="test").released_by == "test"
        retain(connection, terms, now, by="test")
        for table in ("fix_open", "fix_chunk", "slice", "duty", "stay", "state", "duty_revision"):
            assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,), table
        assert retain(connection, terms, now, by="test", dry=True).deletions == ()
        assert verified(connection) > 0
        assert kept(connection).slices_from > OPENING
        assert [item.released_why for item in holds(connection, every=True)] == ["closed"]
        with pytest.raises(Exception, match="on record for good"):
            connection.execute("update deletion set rows = 0")
