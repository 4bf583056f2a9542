"""The real data beside the project (``../shared/data``), for tests that ask for it and where it is there."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import shapely

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND
from tests.strategies import EPOCH, Fix

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parents[2] / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data (../shared/data) is not here")


def wards() -> AreaSet:
    """The real neighbourhoods, priority areas and premises."""
    rows = []
    for file, kind, id_, name in (
        ("wards_leicestershire.geojson", Kind.NEIGHBOURHOOD, "WD13CD", "WD13NM"),
        ("priority_areas.geojson", Kind.PRIORITY, "area_id", "name"),
        ("premises.geojson", Kind.PREMISES, "area_id", "name"),
    ):
        for feature in json.loads((DATA / file).read_text())["features"]:
            about = feature["properties"]
            geometry = shapely.geometry.shape(feature["geometry"])
            rows.append(Area(kind, about[id_], about[name], geometry))
    return AreaSet.of(rows)


def observed(rows: Mapping[str, list[Fix]]) -> dict[str, list[Fix]]:
    """Tracks cut where no more was heard for over 300 s."""
    found: dict[str, list[Fix]] = {}
    for name, track in rows.items():
        track.sort(key=lambda fix: fix[1])
        run: list[Fix] = []
        for fix in track:
            if run and fix[1] - run[-1][1] > 300 * SECOND:
                found[f"{name}/{run[0][1]}"], run = run, []
            if not run or fix[1] > run[-1][1]:
                run.append(fix)
        found[f"{name}/{run[0][1]}"] = run
    return {name: run for name, run in found.items() if len(run) > 1}


def buses(data: Path) -> dict[str, list[Fix]]:
    """Real vehicles on a bus route, moved onto the wards of Leicester."""
    rows: dict[str, list[Fix]] = defaultdict(list)
    with (data / "liverpool_bus_route14_2026-01-26.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(f"{row['timestamp']}+00:00")
            rows[row["vehicle_id"]].append(
                (
                    row["vehicle_id"],
                    (at - EPOCH) // timedelta(microseconds=1),
                    round(float(row["longitude"]) + 1.7835, 6),
                    round(float(row["latitude"]) - 0.8091, 6),
                    None,
                )
            )
    return observed(rows)


def couriers(data: Path) -> dict[str, list[Fix]]:
    """Real phones on foot and driving, around the middle of Leicester."""
    rows: dict[str, list[Fix]] = defaultdict(list)
    with gzip.open(data / "courier_tracks_xy.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            whole, _, rest = row["timestamp"].partition(".")
            at = datetime.fromisoformat(f"{whole}+00:00")
            rows[row["track"]].append(
                (
                    row["track"],
                    (at - EPOCH) // timedelta(microseconds=1) + int(rest.ljust(6, "0")[:6]),
                    -1.1398 + float(row["x"]) / 67_480,
                    52.6369 + float(row["y"]) / 111_195,
                    None,
                )
            )
    return observed(rows)
