"""Tracks from files: one fix is one fix whatever form it came in, and bad rows are values with reasons."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.events import KNOT, Reason, UsableLimits, decode_states
from stream.core.facts import SECOND, StateReport
from stream.files.tracks import TracksError, form_of, read_fixes, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

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


# --- One fix is one fix ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(points)
def test_every_form_gives_the_same_fixes(track: list[Point]) -> None:
    """CSV, JSON lines, Parquet, GPX and NMEA of one track give equal fixes."""
    with TemporaryDirectory() as name:
        for form, write in FORMS.items():
            found = everything(written(Path(name), f"track.{form}", write(track)))
            assert not found.rejects, form
            fixes = found.fixes
            assert fixes.device_ids == ("track",), form
            assert fixes.time.tolist() == [point.time for point in track], form
            assert np.allclose(fixes.lon, [point.degrees[0] for point in track], rtol=0, atol=1e-12), form
            assert np.allclose(fixes.lat, [point.degrees[1] for point in track], rtol=0, atol=1e-12), form
            assert np.allclose(fixes.speed_mps, [point.knots / 100 * KNOT for point in track], rtol=1e-6), (
                form
            )
            assert fixes.heading_deg.tolist() == [point.course for point in track], form
            assert np.isnan(fixes.error_m).all(), form


@settings(max_examples=30, deadline=None)
@given(points, st.sampled_from(sorted(FORMS)), st.integers(1, 5))
def test_chunks_do_not_matter(track: list[Point], form: str, chunk: int) -> None:
    """Read in chunks of any size, a file gives the same messages at the same lines."""
    with TemporaryDirectory() as name:
        path = written(Path(name), f"track.{form}", FORMS[form](track))
        whole, parts = list(read_rows(path)), list(read_rows(path, chunk=chunk))
        assert [value for rows in parts for value in rows.value] == whole[0].value
        assert [line for rows in parts for line in rows.line.tolist()] == whole[0].line.tolist()


@pytest.mark.parametrize("form", ["csv", "jsonl", "gpx", "nmea"])
def test_forms_are_told_by_name_or_content(form: str, tmp_path: Path) -> None:
    """A form is known by the file's ending, also before .gz, else by how the file begins."""
    data = FORMS[form]([Point(1, 2, 3, 4, 5)])
    zipped = written(tmp_path, f"track.{form.upper()}.gz", gzip.compress(data))
    assert form_of(zipped) == form_of(written(tmp_path, "track", data)) == form
    assert len(everything(zipped).fixes) == 1


def test_json_lines_pass_unchanged(tmp_path: Path) -> None:
    """JSON lines become messages byte for byte, good or bad; blank lines are nothing."""
    lines = [b'\xef\xbb\xbf{"device_id":"1"}', b"", b"  ", b'{"a": \xff}\r', b"[1]"]
    rows = next(read_rows(written(tmp_path, "a.jsonl", b"\n".join(lines))))
    assert rows.value == [b'{"device_id":"1"}', b'{"a": \xff}', b"[1]"]
    assert rows.line.tolist() == [1, 4, 5]


def test_traccar_lines_are_taken(tmp_path: Path) -> None:
    """What Traccar forwards may stand in a file too."""
    line = {
        "device": {"uniqueId": "FX12ABC"},
        "position": {"fixTime": "2026-11-23T08:15:03Z", "latitude": 52.6, "longitude": -1.1, "speed": 10},
    }
    fixes = everything(written(tmp_path, "a.jsonl", json.dumps(line).encode())).fixes
    assert fixes.device_ids == ("FX12ABC",)
    assert np.isclose(fixes.speed_mps[0], 10 * KNOT)


def test_tables_of_states_are_read_too(tmp_path: Path) -> None:
    """A CSV of radio states becomes the state events of the contract."""
    data = b"officer_id,state,time\n1001,4,2026-11-23T12:00:00Z\n1001,x,2026-11-23T12:00:01Z\n"
    rows = next(read_rows(written(tmp_path, "states.csv", data)))
    states, index, rejects = decode_states(rows.value)
    assert states == [StateReport("1001", 1_795_435_200 * SECOND, 4)]
    assert [int(at) for at in index] == [0]
    assert [reject.reason for reject in rejects] == [Reason.BAD_VALUE]


# --- Bad rows --------------------------------------------------------------------------------------------


def reasons(found: TrackFixes) -> dict[int, Reason]:
    """The reason at each line."""
    return {reject.index: reject.reason for reject in found.rejects}


def test_bad_csv_rows_are_rejected_at_their_lines(tmp_path: Path) -> None:
    """Each bad row of a CSV is rejected with its reason and line, and the good ones around it are kept."""
    data = b"""\xef\xbb\xbfdevice_id,time,lon,lat,error_m,extra
good,2026-11-20T10:00:00Z,-1.0,52.0,8,x
good,1795158000000,-01.0,+52.0,,x

short,2026-11-20T10:00:00Z,-1.0
"quo""ted",2026-11-20T10:00:00+01:00,-1.0,52.0,8,x
\xff,2026-11-20T10:00:00Z,-1.0,52.0,8,x
,2026-11-20T10:00:00Z,-1.0,52.0,8,x
bad,2026-11-20T10:00:00,-1.0,52.0,8,x
bad,2026-11-20T10:00:00Z,nan,52.0,8,x
bad,2026-11-20T10:00:00Z,0,0,8,x
bad,2026-11-20T10:00:00Z,-1.0,152.0,8,x
bad,2026-11-20T10:00:00Z,-1.0,52.0,500,x
bad,2026-11-20T10:00:00Z,-1.0,,8,x
,,,,,
good,2026-11-20T10:00:01Z,-1.0,52.0,8,x
"""
    found = everything(written(tmp_path, "a.csv", data))
    assert found.line.tolist() == [2, 3, 6, 16]
    assert set(found.fixes.device_ids) == {"good", 'quo"ted'}
    assert reasons(found) == {
        5: Reason.BAD_VALUE,
        7: Reason.NOT_JSON,
        8: Reason.MISSING_FIELD,
        9: Reason.BAD_VALUE,
        10: Reason.BAD_VALUE,
        11: Reason.ZERO_POSITION,
        12: Reason.OUT_OF_RANGE,
        13: Reason.ERROR_TOO_LARGE,
        14: Reason.MISSING_FIELD,
    }


def test_a_file_s_own_receipt_is_judged(tmp_path: Path) -> None:
    """A time far ahead of the row's own ``received`` is rejected, in a file as on a topic."""
    data = b"""device_id,time,lon,lat,received
a,2026-11-20T10:10:00Z,-1.0,52.0,2026-11-20T10:00:00Z
a,2026-11-20T10:00:00Z,-1.0,52.0,2026-11-25T10:00:00Z
a,2026-11-20T10:00:00Z,-1.0,52.0,
"""
    found = everything(written(tmp_path, "a.csv", data))
    assert reasons(found) == {2: Reason.IN_FUTURE, 3: Reason.TOO_OLD}
    assert found.line.tolist() == [4]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("$GPRMC,120000,A,5230.0,N,00100.0,W,1.0,90,201126,,*00", Reason.BAD_VALUE),  # checksum
        (sentence("GPRMC,120000,V,,,,,,,201126,,"), Reason.MISSING_FIELD),
        (sentence("GPGGA,120000,5230.0,N,00100.0,W,1,8,1,80,M,,,,"), Reason.MISSING_FIELD),  # no date yet
        (sentence("GPGGA,120000,,,,,0,0,,,M,,,,"), Reason.MISSING_FIELD),
        (sentence("GPRMC,120000,A,5230.0,N,00100.0,W,1.0,90,321326,,"), Reason.BAD_VALUE),
        (sentence("GPRMC,250000,A,5230.0,N,00100.0,W,1.0,90,201126,,"), Reason.BAD_VALUE),
        (sentence("GPRMC,120000,A,5230.0,X,00100.0,W,1.0,90,201126,,"), Reason.BAD_VALUE),
        (sentence("GPRMC,120000,A"), Reason.BAD_VALUE),
        ("$GPRMC,120000,A,52\n", Reason.BAD_VALUE),
        ("what is this\n", Reason.BAD_VALUE),
    ],
)
def test_bad_sentences_are_rejected(line: str, reason: Reason, tmp_path: Path) -> None:
    """A sentence that is broken, has no position or no date is rejected, and the next one is read."""
    good = sentence("GPRMC,130000,A,5230.0,N,00100.0,W,1.0,90,201126,,")
    found = everything(written(tmp_path, "a.nmea", (line.rstrip("\r\n") + "\r\n" + good).encode()))
    assert reasons(found) == {1: reason}
    assert found.line.tolist() == [2]


def test_gga_takes_the_date_across_midnight(tmp_path: Path) -> None:
    """A GGA after midnight belongs to the day after the last RMC's."""
    data = sentence("GPRMC,235959,A,5230.0,N,00100.0,W,1.0,90,311226,,")
    data += sentence("GPGGA,000001,5230.0,N,00100.0,W,1,8,1,80,M,,,,")
    time = everything(written(tmp_path, "a.nmea", data.encode())).fixes.time.astype("datetime64[us]")
    assert [str(each)[:19] for each in time] == ["2026-12-31T23:59:59", "2027-01-01T00:00:01"]


def test_gpx_that_breaks_off_keeps_what_it_said(tmp_path: Path) -> None:
    """The points before the end of a GPX file that breaks off are kept, and the break is a reject."""
    data = as_gpx([Point(1, 2, 3, 4, 5), Point(2, 2, 3, 4, 5)])
    found = everything(written(tmp_path, "a.gpx", data[: data.index(b"</trkseg>")]))
    assert len(found.fixes) == 2
    assert reasons(found) == {3: Reason.BAD_VALUE}


def test_gpx_tracks_without_a_name_take_the_file_s(tmp_path: Path) -> None:
    """Each track of a GPX file is a device by its name, and by the file's name where it has none."""
    point = '<trkpt lat="52" lon="-1"><time>2026-11-20T10:00:00Z</time></trkpt>'
    track = f"<trkseg>{point}</trkseg></trk>"
    data = (
        f"<gpx><trk><name> Car 7 </name>{track}<trk>{track}<trk><trkseg><trkpt lat='x'/></trkseg></trk></gpx>"
    )
    found = everything(written(tmp_path, "walk.gpx", data.encode()))
    assert [found.fixes.device_ids[code] for code in found.fixes.device] == ["Car 7", "walk"]
    assert reasons(found) == {3: Reason.MISSING_FIELD}


def test_damaged_compression_is_told(tmp_path: Path) -> None:
    """A compressed file that breaks off is refused in one line, after what could be read."""
    data = gzip.compress(as_jsonl([Point(at, 2, 3, 4, 5) for at in range(200)]))
    path = written(tmp_path, "a.jsonl.gz", data[:-20])
    with pytest.raises(TracksError, match=r"a.jsonl.gz: its compression is damaged"):
        list(read_rows(path))
    path = written(tmp_path, "b.csv.gz", b"no gzip")
    with pytest.raises(TracksError, match=r"b.csv.gz: its compression is damaged"):
        list(read_rows(path))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["csv", "jsonl", "gpx", "nmea", "parquet", "unknown"]), st.binary(max_size=300))
def test_no_bytes_are_an_accident(form: str, data: bytes) -> None:
    """Whatever a file holds, it is read with rejects or refused as a whole in one line."""
    with TemporaryDirectory() as name:
        path = written(Path(name), f"a.{form}", data)
        refusal = ""
        try:
            for found in read_fixes(path, limits=LIMITS):
                assert len(found.line) == len(found.fixes)
        except TracksError as failure:
            refusal = str(failure)
        assert "\n" not in refusal


@pytest.mark.parametrize("at", [0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_damaged_parquet_file_is_refused_or_cut(at: float, tmp_path: Path) -> None:
    """Parquet with some bytes overwritten is refused in one line, or read up to the damage."""
    data = bytearray(as_parquet([Point(at, 2, 3, 4, 5) for at in range(2000)]))
    place = int(len(data) * at)
    data[place : place + 40] = bytes(range(40))
    path = written(tmp_path, "a.parquet", bytes(data))
    try:
        found = list(read_fixes(path, limits=LIMITS, chunk=100))
    except TracksError as refusal:
        found = []
        assert str(refusal).startswith("a.parquet: not Parquet")  # noqa: PT017
    assert all(len(each.line) == len(each.fixes) for each in found)


@settings(max_examples=100, deadline=None)
@given(points, st.sampled_from(["csv", "gpx", "jsonl", "nmea"]), st.integers(0, 2**32), st.integers(1, 4))
def test_damage_is_an_accident_to_its_own_row_at_most(
    track: list[Point], form: str, seed: int, damages: int
) -> None:
    """Bytes changed anywhere in a file never raise anything but the one clear refusal."""
    rng = random.Random(seed)
    data = bytearray(FORMS[form](track))
    for _ in range(damages):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with TemporaryDirectory() as name:
        path = written(Path(name), f"a.{form}", bytes(data))
        try:
            kept = sum(len(found.fixes) for found in read_fixes(path, limits=LIMITS))
        except TracksError:
            return
        if form in {"csv", "jsonl"} and not any(sign in data for sign in b'"'):
            assert kept >= len(track) - 2 * damages


# --- Files that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"id,time,lon,lat\n", "no column 'device_id'"),
        ("a.csv", b"", "no column 'device_id'"),
        ("a.csv", b"device_id,time,lon,lat,lon\n", "two columns are named 'lon'"),
        ("a.parquet", b"nothing", "not Parquet"),
        ("a.dat", b"hello", "give CSV, JSON lines"),
    ],
)
def test_a_file_that_is_none_says_what_to_do(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    """A file that holds no tracks is refused in one line that names it."""
    with pytest.raises(TracksError, match=re.escape(said)) as refusal:
        list(read_rows(written(tmp_path, name, data)))
    assert str(refusal.value).startswith(name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "data"), [("a.csv", b"device_id,time,lon,lat\n"), ("a.jsonl", b""), ("a.nmea", b"")]
)
def test_an_empty_file_has_no_rows(name: str, data: bytes, tmp_path: Path) -> None:
    """A file without rows gives none."""
    assert not [value for rows in read_rows(written(tmp_path, name, data)) for value in rows.value]
