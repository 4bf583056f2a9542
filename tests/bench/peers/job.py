"""The job in Python: raw positions → valid ones → neighbourhoods → time by device and place → PostgreSQL.

Shared by those peers that are written in Python. Nothing of the project is imported: it is not installed
where they run.
"""

from __future__ import annotations

import math
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
import psycopg
import shapely

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017  # as in every other Python
MAX_GAP_US: Final = 300_000_000
PARKED_GAP_US: Final = 1_800_000_000
PARKED_M: Final = 50.0
MAX_ERROR_M: Final = 200.0
MAX_AHEAD: Final = timedelta(seconds=300)
EARTH_RADIUS_M: Final = 6_371_008.8

WRITE_AFTER: Final = 10_000
"""So many positions are written for together."""
WRITE_S: Final = 2.0
"""Or those of so many seconds, where fewer come."""

RADIO, VEHICLE = "radio.positions", "vehicle.positions"

UPSERT: Final = b"""
insert into place_time
select * from unnest(%s::text[], %s::text[], %s::bigint[])
on conflict (device_id, place) do update set us = excluded.us
"""

Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class Position(msgspec.Struct):
    """A position as radios and vehicles send it, as far as the job needs it."""

    device_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    time: Time
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    received: Time
    error_m: Annotated[float, msgspec.Meta(ge=0, le=MAX_ERROR_M)] | None = None


class Fix(NamedTuple):
    """A valid position.

    Attributes:
        time: microseconds since 1970.
    """

    device_id: str
    time: int
    lon: float
    lat: float


Track: TypeAlias = "tuple[int, float, float, str, dict[str, int]]"
"""What is known of a device: the last fix's time, lon, lat and place, and the time in each place."""
Spent: TypeAlias = "tuple[str, int]"
"""A place, and the time in it so far (microseconds)."""

_decode = msgspec.json.Decoder(Position).decode


def read(raw: bytes) -> Fix | None:
    """A message as a fix; None where it cannot be used."""
    try:
        said = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (said.lon == 0 and said.lat == 0) or said.time - said.received > MAX_AHEAD:
        return None
    return Fix(said.device_id, (said.time - EPOCH) // MICROSECOND, said.lon, said.lat)


class Ground:
    """The neighbourhoods.

    Args:
        path: a file with a line for each: id, tab, geometry as well-known binary in hexadecimal digits.
    """

    def __init__(self, path: Path) -> None:
        rows = sorted(line.split("\t") for line in path.read_text().splitlines())
        self._names = [name for name, _ in rows] + [""]
        self._shapes = shapely.from_wkb([shape for _, shape in rows])
        shapely.prepare(self._shapes)
        self._tree = shapely.STRtree(self._shapes)

    def place(self, lon: float, lat: float) -> str:
        """The neighbourhood of a point, of several the one with the smallest id; empty: outside all."""
        found = len(self._names) - 1
        for at in self._tree.query(shapely.points(lon, lat)).tolist():
            if at < found and shapely.intersects_xy(self._shapes[at], lon, lat):
                found = at
        return self._names[found]

    def places(self, lon: Sequence[float], lat: Sequence[float]) -> list[str]:
        """The same of many points at once."""
        table = np.array([lon, lat])
        point, area = self._tree.query(shapely.points(*table))
        hit = shapely.intersects_xy(self._shapes[area], *table[:, point])
        found = np.full(len(lon), len(self._names) - 1)
        np.minimum.at(found, point[hit], area[hit])
        return [self._names[at] for at in found.tolist()]


def metres(lon0: float, lat0: float, lon1: float, lat1: float) -> float:
    """The great circle between two points (degrees)."""
    lon0, lat0, lon1, lat1 = map(math.radians, (lon0, lat0, lon1, lat1))
    chord = (
        math.sin((lat1 - lat0) / 2) ** 2 + math.cos(lat0) * math.cos(lat1) * math.sin((lon1 - lon0) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(chord, 1.0)))


def after(track: Track | None, fix: Fix, place: str) -> tuple[Track, Spent | None]:
    """What is known of a device after another fix of it, and where that made it longer.

    The time since the last fix belongs to the place of the last fix if it was short, or if the device stayed
    where it was; otherwise it is unknown and belongs to none. A fix that is not later changes nothing.
    """
    if track is None:
        return (fix.time, fix.lon, fix.lat, place, {}), None
    time, lon, lat, was, spent = track
    took = fix.time - time
    if took <= 0:
        return track, None
    told = None
    if took <= MAX_GAP_US or (
        took <= PARKED_GAP_US and place == was and metres(lon, lat, fix.lon, fix.lat) <= PARKED_M
    ):
        spent[was] = total = spent.get(was, 0) + took
        told = was, total
    return (fix.time, fix.lon, fix.lat, place, spent), told


class Table:
    """Where the results go: ``place_time``, a row for each device and place."""

    def __init__(self, database: str) -> None:
        self._connection = psycopg.connect(database, autocommit=True)

    def write(self, rows: Mapping[tuple[str, str], int]) -> None:
        """Puts the time that devices were in places so far in place of what was there, in one transaction."""
        if rows:
            device, place = zip(*rows, strict=True)
            self._connection.execute(UPSERT, (list(device), list(place), list(rows.values())))


class Given(NamedTuple):
    """What a peer is told by its environment.

    Attributes:
        kafka: ``host:port``.
        database: PostgreSQL's DSN.
        prefix: of all topics' names, and of the consumer group's.
        areas: the file of neighbourhoods.
        folder: an empty one for whatever it wants to keep.
    """

    kafka: str
    database: str
    prefix: str
    areas: Path
    folder: Path

    @classmethod
    def here(cls) -> Given:
        """From ``PEER_KAFKA`` and so on."""
        kafka, database, prefix, areas, folder = (os.environ[f"PEER_{name.upper()}"] for name in cls._fields)
        return cls(kafka, database, prefix, Path(areas), Path(folder))

    @property
    def topics(self) -> tuple[str, str]:
        """The topics of raw positions."""
        return f"{self.prefix}{RADIO}", f"{self.prefix}{VEHICLE}"


def count(
    fixes: Iterable[tuple[Fix, str]], tracks: dict[str, Track], rows: dict[tuple[str, str], int]
) -> None:
    """Takes fixes with their places into what is known of all devices, and notes which rows changed."""
    for fix, place in fixes:
        tracks[fix.device_id], told = after(tracks.get(fix.device_id), fix, place)
        if told is not None:
            rows[fix.device_id, told[0]] = told[1]
