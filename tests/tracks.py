"""A track as a file of each form says it, and what is read of such a file."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st

from stream.core.events import KNOT, UsableLimits
from stream.core.facts import SECOND
from stream.files.tracks import read_fixes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stream.files.tracks import TrackFixes

LIMITS = UsableLimits(retention_s=86_400)
START = 1_795_158_000 * SECOND


@dataclass(frozen=True)
class Point:
    """A fix such that every form can say it: minutes of arc with five places, knots with two."""

    time_cs: int
    lon_minutes: int
    lat_minutes: int
    knots: int
    course: int

    @property
    def time(self) -> int:
        """Microseconds since 1970."""
        return START + self.time_cs * 10_000

    @property
    def degrees(self) -> tuple[float, float]:
        """Lon and lat."""
        return self.lon_minutes / 1e5 / 60, self.lat_minutes / 1e5 / 60

    @property
    def moment(self) -> datetime:
        """The time as Python has it."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.time)


points = st.lists(
    st.builds(
        Point,
        st.integers(0, 30_000_000),
        st.integers(-179 * 6_000_000, 179 * 6_000_000),
        st.integers(1, 89 * 6_000_000),
        st.integers(0, 9999),
        st.integers(0, 360),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda point: point.time_cs,
).map(lambda found: sorted(found, key=lambda point: point.time_cs))


def text_of(point: Point) -> str:
    """RFC 3339."""
    return point.moment.isoformat().replace("+00:00", "Z")


def rows_of(track: Sequence[Point]) -> list[dict[str, object]]:
    """Events as dictionaries."""
    return [
        {
            "device_id": "track",
            "time": text_of(point),
            "lon": point.degrees[0],
            "lat": point.degrees[1],
            "speed_mps": point.knots / 100 * KNOT,
            "heading_deg": point.course,
        }
        for point in track
    ]


def as_jsonl(track: Sequence[Point]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows_of(track))


def as_csv(track: Sequence[Point]) -> bytes:
    """CSV with a column more than is known."""
    file = io.StringIO()
    table = csv.DictWriter(file, ["heading_deg", "device_id", "time", "lat", "lon", "speed_mps", "colour"])
    table.writeheader()
    table.writerows({**row, "colour": 'blue, "light"'} for row in rows_of(track))
    return file.getvalue().encode()


def as_parquet(track: Sequence[Point]) -> bytes:
    """Parquet with a typed time."""
    rows: list[dict[str, object]] = [
        {**row, "time": point.moment} for row, point in zip(rows_of(track), track, strict=True)
    ]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def as_gpx(track: Sequence[Point]) -> bytes:
    """GPX 1.1 with the common extension."""
    found = "".join(
        f'<trkpt lat="{row["lat"]!r}" lon="{row["lon"]!r}"><ele>80.0</ele><time>{row["time"]}</time>'
        f"<extensions><x:TrackPointExtension><x:speed>{row['speed_mps']!r}</x:speed>"
        f"<x:course>{row['heading_deg']}</x:course></x:TrackPointExtension></extensions></trkpt>"
        for row in rows_of(track)
    )
    return (
        '<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"'
        ' xmlns:x="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">'
        f"<trk><name>track</name><trkseg>{found}</trkseg></trk></gpx>"
    ).encode()


def sentence(body: str) -> str:
    """A sentence with its checksum."""
    return f"${body}*{reduce(lambda made, sign: made ^ ord(sign), body, 0):02X}\r\n"


def angle(hundred_thousandths: int, width: int, sides: str) -> str:
    """Minutes of arc as ``ddmm.mmmmm,N``."""
    degrees, minutes = divmod(abs(hundred_thousandths), 6_000_000)
    side = sides[hundred_thousandths >= 0]
    return f"{degrees:0{width}d}{minutes // 100_000:02d}.{minutes % 100_000:05d},{side}"


def as_nmea(track: Sequence[Point]) -> bytes:
    """GGA, RMC and a sentence of no interest for each fix, as receivers send them."""
    found = ""
    for point in track:
        clock, day = f"{point.moment:%H%M%S}.{point.time_cs % 100:02d}", f"{point.moment:%d%m%y}"
        where = f"{angle(point.lat_minutes, 2, 'SN')},{angle(point.lon_minutes, 3, 'WE')}"
        found += sentence(f"GNGGA,{clock},{where},1,08,0.9,80.0,M,47.0,M,,")
        found += sentence(f"GNRMC,{clock},A,{where},{point.knots / 100:.2f},{point.course},{day},,,A")
        found += sentence("GPGSV,1,1,00")
    return found.encode()


FORMS = {"jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet, "gpx": as_gpx, "nmea": as_nmea}


def written(folder: Path, name: str, data: bytes) -> Path:
    """A file."""
    path = folder / name
    path.write_bytes(data)
    return path


def everything(path: Path, chunk: int = 50_000) -> TrackFixes:
    """All of a file that fits into one chunk."""
    found = list(read_fixes(path, limits=LIMITS, chunk=chunk))
    assert len(found) == 1
    return found[0]
