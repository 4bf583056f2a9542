"""What is said of the database where nothing matches: no share, no verdict, but the reason."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
import shapely
from click.testing import CliRunner

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.writing import areas_geojson
from stream.cli import patrol
from stream.core.calendar import Period, microseconds, rfc3339, week_bounds
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.policy import Policies
from stream.core.shares import FAR, FORCE, NEIGHBOURHOOD, NO_POSITION, OFFICER, Figures
from stream.settings import Settings
from stream.store import areas as published
from stream.store.ledger import Ledger
from stream.store.reading.exports import derived
from stream.store.reading.live import live
from stream.store.reading.sight import Eyes
from stream.store.reading.summaries import force_period, summaries
from stream.store.schema import connect, migrate
from tests.strategies import fix_columns, micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stream.store.schema import Connection

NOON = micros("2026-11-23T12:00:00+00:00")
WEST, SOUTH = -1.14, 52.62
GROUND = shapely.box(WEST, SOUTH, WEST + 0.02, SOUTH + 0.02)
MISTAKES: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "swapped": lambda lon, lat: (lat, lon),
    "longitude's sign": lambda lon, lat: (-lon, lat),
    "both signs": lambda lon, lat: (-lon, -lat),
    "another force": lambda lon, lat: (lon + 3, lat - 1),
}


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection to a database with the schema, and one neighbourhood in force."""
    with connect(database) as opened:
        migrate(opened)
        ground = Area(Kind.NEIGHBOURHOOD, "N1", "Abbey", GROUND, {})
        published.publish(
            opened, AreaSet.of([ground]), Kind.NEIGHBOURHOOD, 0, file="wards.geojson", sha256="ab12", by="gis"
        )
        yield opened


def booked(number: int, patch: str = "N1") -> Duty:
    """An officer's duty with a radio."""
    return Duty(f"D{number}", 1, f"O{number}", NOON, None, (patch,), (Allocation(f"R{number}", "radio"),))


def walk(
    number: int, chance: random.Random, change: Callable[[float, float], tuple[float, float]] | None
) -> list[tuple[str, int, float, float, float | None]]:
    """Twenty minutes about the patch's middle, a fix a minute, with the coordinates changed."""
    here = (WEST + 0.01 + chance.uniform(-0.005, 0.005), SOUTH + 0.01 + chance.uniform(-0.005, 0.005))
    lon, lat = change(*here) if change else here
    return [(f"R{number}", NOON + at * 60 * SECOND, lon + at * 1e-5, lat, 10.0) for at in range(21)]


def told(connection: Connection, now: int) -> dict[tuple[str, str], Figures]:
    """The live figures, which are the same for the topic and for the page."""
    found = {
        (item.figures.scope, item.figures.id): item.figures for item in live(connection, now, Policies())
    }
    seen = Eyes(Settings(), wall=lambda: now).look(connection).shares
    assert {(item.figures.scope, item.figures.id): item.figures for item in seen} == found
    return found


def of_the_week(connection: Connection, now: int) -> tuple[str | None, str | None]:
    """Why the weekly summary has no share, and its verdict; the list of all neighbourhoods says the same."""
    week = Period.week("2026-W48")
    [summary] = summaries(connection, Policies(), week, now=now)
    listed = force_period(connection, Policies(), week, now).counted["N1"][1][-1].figures
    assert listed is not None
    assert listed.without_share == summary.figures.without_share
    assert all(item.figures.far == summary.figures.far for item in summary.officers)
    return summary.figures.without_share, summary.figures.verdict(0.8)


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_positions_that_all_lie_far_from_the_areas_give_no_live_figure(
    connection: Connection, mistake: str
) -> None:
    """Where all positions lie elsewhere nothing is ``missed``; one officer near, and all have figures."""
    chance = random.Random(mistake)
    officers = chance.randint(2, 5)
    ledger = Ledger(connection)
    ledger.bookings([booked(number) for number in range(officers + 2)], [])
    now = NOON + 1200 * SECOND
    for item in told(connection, now).values():
        assert (item.share, item.without_share) == (None, NO_POSITION)
    ledger.positions(
        fix_columns([each for number in range(officers) for each in walk(number, chance, MISTAKES[mistake])])
    )
    found = told(connection, now)
    for number in range(officers):
        item = found[OFFICER, f"O{number}"]
        assert (item.without_share, item.share, item.verdict(0.8)) == (FAR, None, None)
        assert item.off_patch == 1200 * SECOND
    assert found[OFFICER, f"O{officers}"].without_share == NO_POSITION
    assert found[FORCE, FORCE].without_share == found[NEIGHBOURHOOD, "N1"].without_share == FAR
    assert of_the_week(connection, now) == (FAR, None)
    ledger.positions(fix_columns(walk(officers + 1, chance, None)))
    found = told(connection, now)
    assert found[FORCE, FORCE].share == 1 / (officers + 2)
    assert of_the_week(connection, now) == (None, "missed")
    for number in range(officers):
        assert found[OFFICER, f"O{number}"].verdict(0.8) == "missed"


@pytest.mark.parametrize(
    ("patch", "change", "radio", "why"),
    [
        ("N1", MISTAKES["swapped"], 1, "no position lies within 5 km of any area"),
        ("N1", None, 2, "no device that a duty names was heard"),
        ("N9", None, 1, "no duty's patch is a neighbourhood of the boundaries given"),
        ("N1", None, 1, ""),
    ],
)
def test_an_export_of_what_does_not_match_has_the_reason_and_no_shares(
    connection: Connection,
    database: str,
    tmp_path: Path,
    patch: str,
    change: Callable[[float, float], tuple[float, float]] | None,
    radio: int,
    why: str,
) -> None:
    """Where nothing matches ``patrol export`` writes no shares.csv, takes away an older one, and exits 1."""
    ledger = Ledger(connection)
    ledger.bookings([booked(1, patch)], [])
    ledger.positions(fix_columns(walk(radio, random.Random(patch), change)))
    found = derived(connection).unmatched
    assert bool(found) == bool(why)
    (tmp_path / "shares.csv").write_text("an earlier run's\n")
    done = CliRunner(env={"PATROL_DATABASE": database}).invoke(patrol, ["export", "--out", str(tmp_path)])
    assert done.exit_code == (1 if why else 0), done.output
    assert (tmp_path / "shares.csv").exists() == (not why)
    assert (tmp_path / "slices.csv").exists()
    assert f"patrol: no figure and no verdict: {why}" in done.stderr if why else not done.stderr


WEEKS = ("2026-W47", "2026-W48", "2026-W49")


def explained(words: list[str], environment: dict[str, str]) -> str | None:
    """Why the figure that ``patrol explain`` gives has no share."""
    done = CliRunner(env=environment).invoke(patrol, ["explain", "--json", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    reason = json.loads(done.stdout)["without_share"]
    assert reason is None or isinstance(reason, str)
    return reason


@pytest.mark.parametrize("elsewhere", [0, 1, 2])
def test_a_week_in_which_the_whole_force_was_elsewhere_is_told_alike_everywhere(
    connection: Connection, database: str, tmp_path: Path, elsewhere: int
) -> None:
    """Of three weeks one has exchanged coordinates: in it nobody missed anything, wherever it is asked.

    So say its own summary and those of later weeks, the list of all neighbourhoods, the export, the account
    of the same facts as files, and the explanations of both.
    """
    ledger = Ledger(connection)
    lines: dict[str, list[dict[str, object]]] = {"positions": [], "duties": []}
    for number, week in enumerate(WEEKS):
        start, _ = week_bounds(week)
        start += 12 * 3600 * SECOND
        duty = replace(booked(1), duty_id=f"D{number}", start=start, end=start + 1200 * SECOND)
        walked = walk(1, random.Random(number), MISTAKES["swapped"] if number == elsewhere else None)
        fixes = [(name, time - NOON + start, lon, lat, error) for name, time, lon, lat, error in walked]
        ledger.bookings([duty], [])
        ledger.positions(fix_columns(fixes))
        lines["duties"].append(
            {
                "duty_id": duty.duty_id,
                "revision": 1,
                "officer_id": "O1",
                "patch": ["N1"],
                "start": rfc3339(start),
                "end": rfc3339(start + 1200 * SECOND),
                "devices": [{"device_id": "R1", "kind": "radio"}],
            }
        )
        lines["positions"] += [
            {"device_id": name, "time": rfc3339(time), "lon": lon, "lat": lat, "error_m": error}
            for name, time, lon, lat, error in fixes
        ]
    _, now = week_bounds(WEEKS[-1])
    wanted = {week: FAR if number == elsewhere else None for number, week in enumerate(WEEKS)}

    for number, week in enumerate(WEEKS):
        [summary] = summaries(connection, Policies(), Period.week(week), now=now)
        past = {item.name: item.figures.without_share for item in summary.past if item.figures is not None}
        assert past == {name: wanted[name] for name in WEEKS[: number + 1]}
        listed = force_period(connection, Policies(), Period.week(week), now).counted["N1"][1]
        assert {item.name: item.figures.without_share for item in listed if item.figures} == past

    (tmp_path / "areas.geojson").write_bytes(
        areas_geojson(AreaSet.of([Area(Kind.NEIGHBOURHOOD, "N1", "Abbey", GROUND)]))
    )
    for name, events in lines.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    files = ["--areas", f"{tmp_path / 'areas.geojson'}:neighbourhood"]
    files += ["--positions", str(tmp_path / "positions.jsonl"), "--duties", str(tmp_path / "duties.jsonl")]
    environment = {"PATROL_DATABASE": database}
    for words in (["export", "--no-quality"], ["account", *files]):
        out = tmp_path / words[0]
        CliRunner(env=environment).invoke(
            patrol, [*words, "--by", "week", "--out", str(out)], catch_exceptions=False
        )
        rows = list(csv.DictReader((out / "shares.csv").read_text().splitlines()))
        assert len(rows) == 9
        for row in rows:
            week = Period.around("week", microseconds(datetime.fromisoformat(row["from"]))).name
            assert (row["share"] == "", row["verdict"] == "") == (wanted[week] is not None,) * 2, row
    assert (tmp_path / "export" / "shares.csv").read_bytes() == (
        tmp_path / "account" / "shares.csv"
    ).read_bytes()
    for week in WEEKS:
        for whose in (["--force"], ["--officer", "O1"], ["--neighbourhood", "N1"]):
            asked = [*whose, "--week", week]
            assert explained(asked, environment) == explained([*asked, *files], {}) == wanted[week]
