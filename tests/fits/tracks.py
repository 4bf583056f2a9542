"""The real tracks, as they lie beside the project: nothing is cleaned here but what is no new position."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EARTH_DEGREE_M = 111_195.0


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Positions of one device in order of time.

    Attributes:
        time: ``float64[n]``, seconds.
        metres: ``float64[n, 2]``, on a plane.
        on_foot: ``bool[n]``, as the data say.
    """

    time: NDArray[np.float64]
    metres: NDArray[np.float64]
    on_foot: NDArray[np.bool_]


def couriers(folder: Path) -> list[Track]:
    """Telephones of couriers, about every 5 seconds, on foot and driving."""
    rows: dict[str, list[tuple[float, float, float, bool]]] = {}
    with gzip.open(folder / "courier_tracks_xy.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            time = float(np.datetime64(row["timestamp"]).astype("datetime64[us]").astype(np.int64)) / 1e6
            rows.setdefault(row["track"], []).append(
                (time, float(row["x"]), float(row["y"]), row["groundtruth"] == "OnFoot")
            )
    return [_track(each) for each in rows.values()]


def buses(folder: Path) -> list[Track]:
    """Buses of one route in one direction, a track each trip, about every 24 seconds.

    A bus that stands reports one position again and again; the first is kept.
    """
    rows: dict[tuple[str, str], list[tuple[float, float, float, bool]]] = {}
    with (folder / "liverpool_bus_route14_2026-01-26.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    middle = np.mean([(float(row["longitude"]), float(row["latitude"])) for row in found], axis=0)
    scale = EARTH_DEGREE_M * np.array((np.cos(np.radians(middle[1])), 1.0))
    for row in found:
        time = float(
            np.datetime64(row["timestamp"].replace(" ", "T")).astype("datetime64[s]").astype(np.int64)
        )
        here = (np.array((float(row["longitude"]), float(row["latitude"]))) - middle) * scale
        rows.setdefault((row["vehicle_id"], row["trip_id"]), []).append((time, *here.tolist(), False))
    tracks = []
    for each in rows.values():
        track = _track(sorted(each))
        new = np.concatenate(([True], np.hypot(*np.diff(track.metres, axis=0).T) >= 0.5))
        tracks.append(Track(track.time[new], track.metres[new], track.on_foot[new]))
    return tracks


def _track(rows: list[tuple[float, float, float, bool]]) -> Track:
    time, east, north, on_foot = zip(*rows, strict=True)
    return Track(np.array(time), np.column_stack((east, north)), np.array(on_foot))
