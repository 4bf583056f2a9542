"""``patrol explain`` of wrong clocks: files and the database say the same of the same reports."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from geo.areas import AreaSet, Kind
from geo.boundaries.writing import write_areas
from stream.cli import patrol
from stream.core.calendar import rfc3339
from stream.core.events import decode_duties, decode_positions
from stream.core.heard_frames import HeardFrame, HeardSpan
from stream.core.policy import Policies, limits
from stream.core.quality.heard import heard_rows
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.schema import connect
from tests.doubtful_worlds import HOUR, MINUTE, OPENING, TOWN, at
from tests.shell.stored import empty, migrated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.embedded import EmbeddedDatabase


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each test empties it."""
    with migrated(database_server, "explain_clocks") as found:
        yield found


def shift(behind: dict[str, int]) -> tuple[list[bytes], list[bytes]]:
    """Positions and bookings of three officers on two days, each radio's clock so far behind."""
    lon, lat = at(1500.0, 1500.0)
    positions, booked = [], []
    for number, (radio, late) in enumerate(behind.items()):
        for day in range(2):
            start = OPENING + 24 * day * HOUR
            booked.append(
                {
                    "duty_id": f"D{number}-{day}",
                    "revision": 1,
                    "officer_id": f"O{number}",
                    "name": f"PC {number}",
                    "patch": ["A"],
                    "devices": [{"device_id": radio, "kind": "radio"}],
                    "start": rfc3339(start),
                    "end": rfc3339(start + 8 * HOUR),
                }
            )
            for step in range(0, 8 * 60 + 1, 2):
                received = start + step * MINUTE
                positions.append(
                    {
                        "device_id": radio,
                        "lon": lon + 1e-6 * (step % 7),
                        "lat": lat,
                        "time": rfc3339(received - late),
                        "received": rfc3339(received),
                    }
                )
    made = [[json.dumps(row).encode() for row in rows] for rows in (positions, booked)]
    return made[0], made[1]


def into_files(folder: Path, positions: list[bytes], booked: list[bytes]) -> list[str]:
    """The files, and the options that name them."""
    write_areas(AreaSet.of(TOWN), str(folder / "areas.geojson"))
    (folder / "positions.jsonl").write_bytes(b"\n".join(positions))
    (folder / "duties.jsonl").write_bytes(b"\n".join(booked))
    return [
        *("--areas", str(folder / "areas.geojson"), "--positions", str(folder / "positions.jsonl")),
        *("--duties", str(folder / "duties.jsonl")),
    ]


def into_database(dsn: str, positions: list[bytes], booked: list[bytes]) -> None:
    """The same through the ledger, and what was heard of it."""
    with connect(dsn) as connection:
        empty(connection)
        for kind in Kind:
            areas.publish(connection, AreaSet.of(TOWN), kind, 0, file="t", sha256="", by="test")
        decoded = decode_positions(positions, None, limits=limits(Policies()))
        ledger = Ledger(connection)
        ledger.bookings(decode_duties(booked)[0], [])
        ledger.positions(decoded.fixes)
        span = HeardSpan("radio.positions", 0, "one life", 0, len(positions), len(decoded.judged))
        rows = heard_rows(decoded.judged)
        ledger.heard([HeardFrame((span,), decoded.judged_index, rows)])


def did(*words: str, database: str = "") -> str:
    """Runs the command with the database or none; gives what it printed."""
    given: dict[str, str | None] = {name: None for name in os.environ if name.startswith("PATROL_")}
    done = CliRunner().invoke(patrol, words, env=given | {"PATROL_DATABASE": database or None})
    assert done.exit_code == 0, done.output
    return done.stdout


def in_question(text: str) -> list[str]:
    """What an explanation says of its facts."""
    return [line for line in text.splitlines() if line.startswith("Facts in question")]


@pytest.mark.parametrize(
    ("scope", "period"),
    [
        (["--officer", "O1"], ["--week", "2026-W48"]),
        (["--neighbourhood", "A"], ["--week", "2026-W48"]),
        (["--force"], ["--week", "2026-W48"]),
        (["--force"], ["--from", "2026-11-24", "--to", "2026-11-25"]),
    ],
)
@pytest.mark.parametrize("late", [HOUR, -HOUR, 30 * MINUTE])
def test_a_wrong_clock_is_told_alike_from_files_and_database(
    dsn: str, tmp_path: Path, scope: list[str], period: list[str], late: int
) -> None:
    """A clock an hour behind or ahead, half an hour, or a whole shift: one text in both, beside the verdict,
    and where no clock is wrong none.
    """
    made = shift({"R0": 3_000_000, "R1": late, "R2": 2_000_000})
    into_database(dsn, *made)
    files = did("explain", *scope, *period, *into_files(tmp_path, *made))
    stored = did("explain", *scope, *period, database=dsn)
    said, other = in_question(files), in_question(stored)
    if "--from" in period:  # other counts are of all days in files, and of the duties' days in the database
        said, other = ([line for line in lines if "clock" in line] for lines in (said, other))
    assert said == other
    [line] = [line for line in said if "clock" in line]
    assert "'R1'" in line
