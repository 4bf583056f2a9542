"""Tracks from files: one fix is one fix whatever form it came in, and bad rows are values with reasons."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.events import KNOT, Reason, decode_states
from stream.core.facts import SECOND, StateReport
from stream.files.tracks import TracksError, form_of, read_fixes, read_rows
from tests.tracks import (
    FORMS,
    LIMITS,
    Point,
    as_gpx,
    as_jsonl,
    as_parquet,
    everything,
    points,
    sentence,
    written,
)

if TYPE_CHECKING:
    from stream.files.tracks import TrackFixes

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
        (sentence("GPRMC,120000,V,,,,,,,201126,,"), Reason.NOT_A_FIX),
        (sentence("GPRMC,,V,,,,,,,,,,N"), Reason.NOT_A_FIX),
        (sentence("GPGGA,120000,5230.0,N,00100.0,W,1,8,1,80,M,,,,"), Reason.MISSING_FIELD),  # no date yet
        (sentence("GPGGA,120000,,,,,0,0,,,M,,,,"), Reason.NOT_A_FIX),
        (
            sentence("GPRMC,120000,A,5230.0,N,00100.0,W,1.0,90,250887,,"),
            Reason.BAD_VALUE,
        ),  # 2,048 weeks early
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
        ("a.csv", b"device_id;time;lon;lat\n", "'patrol doctor' says what the file is"),
        ("a.csv", b"device_id,time,lon,lat,Valid\n", "column 'Valid' is not read: write 'valid'"),
        ("a.csv", b"duty_id,officer_id,start,end,Cancelled\n", "column 'Cancelled' is not read"),
        ("a.csv", b"duty_id,officer_id,start,END\n", "write 'end', or rename it"),
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
