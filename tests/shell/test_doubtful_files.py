"""Doubt on the command line: what ``patrol account`` and ``patrol explain`` say and write of it."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from click.testing import CliRunner

from stream.cli import patrol
from stream.core.calendar import rfc3339
from tests.doubtful_worlds import HOUR, MINUTE, OPENING, TOWN, circle, moving, standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from click.testing import Result

    from tests.doubtful_worlds import Report

IN_A = (1500.0, 1500.0)
FILES = ("--areas", "areas.geojson", "--positions", "positions.jsonl", "--duties", "duties.jsonl")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def booking(name: str, officer: str, start: int, end: int, *devices: str) -> dict[str, Any]:
    """A booking as it is sent, with patch A."""
    return {
        "duty_id": name,
        "revision": 1,
        "officer_id": officer,
        "name": f"PC {officer}",
        "role": "npt",
        "team": "NC04",
        "patch": ["A"],
        "start": rfc3339(start),
        "end": rfc3339(end),
        "devices": [
            {"device_id": item, "kind": "vehicle" if item.startswith("V") else "radio"} for item in devices
        ],
    }


def put(folder: Path, reports: Sequence[Report], bookings: Sequence[dict[str, Any]]) -> None:
    """The files of a small account."""
    features = [
        {
            "type": "Feature",
            "properties": {"area_id": area.area_id, "name": area.name, "kind": area.kind.value},
            "geometry": json.loads(shapely.to_geojson(area.geometry)),
        }
        for area in TOWN
    ]
    (folder / "areas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    lines = []
    for item in reports:
        line: dict[str, Any] = {"device_id": item.device_id, "time": rfc3339(item.time)}
        line |= {"lon": item.lon, "lat": item.lat, "error_m": item.error_m}
        lines.append(line | ({} if item.speed_mps is None else {"speed_mps": item.speed_mps}))
    (folder / "positions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / "duties.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in bookings))


def did(*words: str) -> Result:
    """Runs the command, which must succeed."""
    done = CliRunner().invoke(patrol, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def frozen(folder: Path) -> None:
    """An hour on foot in A, then seven in which the receiver repeats one position at 8.3 m/s."""
    end = OPENING + 8 * HOUR
    walk = moving("R1", OPENING, OPENING + HOUR - MINUTE, circle(IN_A, 300, 1.4))
    stuck = standing("R1", IN_A, OPENING + HOUR, end, speed_mps=8.3, error_m=6.0)
    put(folder, [*walk, *stuck], [booking("D1", "1001", OPENING, end, "R1")])


def test_a_frozen_receiver(tmp_path: Path) -> None:
    """Seven hours of one position at speed: share 1.0, low 0.125, not proven, and both commands say why."""
    frozen(tmp_path)
    done = did("account", *FILES, "--out", "out")
    [row] = rows(tmp_path / "out" / "doubts.csv")
    assert row == {
        "officer_id": "1001",
        "duty_id": "D1",
        "start": "2026-11-23T09:00:00.000000Z",
        "end": "2026-11-23T16:00:00.000000Z",
        "kind": "frozen",
        "device_id": "R1",
        "other_id": "",
    }
    for row in rows(tmp_path / "out" / "shares.csv"):
        assert (row["share"], row["share_low"], row["share_high"]) == (
            "1.000000000",
            "0.125000000",
            "1.000000000",
        )
        assert (row["verdict"], row["doubtful_s"], row["attested_s"]) == (
            "not proven",
            "25200.000000",
            "0.000000",
        )
    assert "between 12.5% and 100.0%: not proven at 80.0%; 0.0% unknown, 87.5% doubtful" in done.stdout
    for word in ("PC 1001 (1001)", "D1", "7 h", "09:00–16:00", "R1 repeats one position", "receiver checked"):
        assert word in done.stderr
    said = did("explain", "--officer", "1001", "--day", "2026-11-23", *FILES).stdout
    assert "between 12.5% and 100.0%): not proven." in said
    assert "it would be between 100.0% and 100.0%" in said
    assert "7 h doubtful, because the facts contradict each other:" in said
    assert "R1 repeats one position to the last digit and says that it is moving" in said


def test_a_radio_booked_to_two_officers(tmp_path: Path) -> None:
    """Both duties, the radio and the time they share are named, in the files, on screen and as JSON."""
    end = OPENING + 8 * HOUR
    put(
        tmp_path,
        standing("R1", IN_A, OPENING, end),
        [
            booking("D1", "1001", OPENING, end, "R1"),
            booking("D2", "1002", OPENING + 2 * HOUR, end, "R1"),
        ],
    )
    done = did("account", *FILES, "--out", "out")
    found = rows(tmp_path / "out" / "doubts.csv")
    assert [(row["duty_id"], row["kind"], row["other_id"]) for row in found] == [
        ("D1", "shared_radio", "1002"),
        ("D2", "shared_radio", "1001"),
    ]
    assert {(row["start"][11:16], row["end"][11:16]) for row in found} == {("10:00", "16:00")}
    for word in ("duty D1", "duty D2", "radio R1", "10:00–16:00", "correct the bookings"):
        assert word in done.stderr
    answer = json.loads(did("explain", "--force", "--day", "2026-11-23", *FILES, "--json").stdout)
    assert answer["doubtful_s"] == 12 * 3600
    assert [(item["duty_id"], item["other_id"]) for item in answer["doubts"]] == [
        ("D1", "1002"),
        ("D2", "1001"),
    ]
    assert (
        json.loads(did("account", *FILES, "--out", "out", "--json").stdout)["force"][0]["doubtful_s"] == 43200
    )


def test_doubtful_seconds_add_up(tmp_path: Path) -> None:
    """An officer's doubtful seconds in slices.csv sum to those in shares.csv, whatever --until says."""
    frozen(tmp_path)
    for until in ("2026-11-23T09:30:00Z", "2026-11-23T08:30:00Z", "2026-11-23T16:00:00Z"):
        did("account", *FILES, "--out", "out", "--until", until)
        slices, shares = (rows(tmp_path / "out" / f"{name}.csv") for name in ("slices", "shares"))
        officer = next(row for row in shares if row["scope"] == "officer")
        assert sum(float(row["doubtful_s"]) for row in slices) == float(officer["doubtful_s"])
        assert all(
            row["end"] <= until.replace("Z", ".000000Z") for row in rows(tmp_path / "out" / "doubts.csv")
        )


def test_a_clean_account_names_no_doubt(tmp_path: Path) -> None:
    """A walk in A with a receiver that moves: doubts.csv has its header alone, and nobody speaks of doubt."""
    end = OPENING + HOUR
    put(
        tmp_path,
        moving("R1", OPENING, end, circle(IN_A, 300, 1.4)),
        [booking("D1", "1001", OPENING, end, "R1")],
    )
    done = did("account", *FILES, "--out", "out")
    assert rows(tmp_path / "out" / "doubts.csv") == []
    assert "doubtful" not in done.output
    assert "contradict" not in did("explain", "--force", "--day", "2026-11-23", *FILES).output
