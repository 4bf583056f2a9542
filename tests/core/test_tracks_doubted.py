"""What a tracker doubts is no fix, whatever file says it (rule 2a): exactly the doubted rows, by name."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.events import Reason
from tests.tracks import (
    FORMS,
    Point,
    angle,
    everything,
    points,
    rows_of,
    sentence,
    text_of,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Doubts = dict[int, int]
"""By the number of a point, which of a form's ways of doubting it is said in."""

CLEAN: tuple[dict[str, object], ...] = (
    {},
    {"valid": True},
    {"valid": "A", "outdated": "no"},
    {"valid": 1, "outdated": 0},
    {"outdated": None},
)
DOUBTED: tuple[dict[str, object], ...] = (
    {"valid": False},
    {"valid": "V"},
    {"valid": 0},
    {"outdated": True},
    {"outdated": "yes"},
    {"error_m": -1},
)


def _events(track: Sequence[Point], doubts: Doubts, spice: int) -> list[dict[str, object]]:
    return [
        {**row, **(DOUBTED[doubts[n] % len(DOUBTED)] if n in doubts else CLEAN[(spice + n) % len(CLEAN)])}
        for n, row in enumerate(rows_of(track))
    ]


def doubted_jsonl(track: Sequence[Point], doubts: Doubts, spice: int) -> bytes:
    """JSON lines with flags of all kinds."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in _events(track, doubts, spice))


def doubted_csv(track: Sequence[Point], doubts: Doubts, spice: int) -> bytes:
    """CSV with columns of flags, as Python writes their values."""
    events = _events(track, doubts, spice)
    file = io.StringIO()
    table = csv.DictWriter(file, [*rows_of(track)[0], "error_m", "outdated", "valid"])
    table.writeheader()
    table.writerows(events)
    return file.getvalue().encode()


def doubted_parquet(track: Sequence[Point], doubts: Doubts, spice: int) -> bytes:
    """Parquet: typed flags, or with an odd ``spice`` flags as texts or numbers."""
    rows: list[dict[str, object]] = []
    for n, (row, point) in enumerate(zip(rows_of(track), track, strict=True)):
        way = doubts.get(n)
        valid = None if way is None and n % 2 else way is None or way % 3 != 0
        outdated, error = way is not None and way % 3 == 1, -2.5 if way is not None and way % 3 == 2 else 0.0
        rows.append({**row, "time": point.moment, "valid": valid, "outdated": outdated, "error_m": error})
    table = pa.Table.from_pylist(rows)
    if spice % 3:
        kind = pa.string() if spice % 3 == 1 else pa.int8()
        for name in ("valid", "outdated"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def doubted_gpx(track: Sequence[Point], doubts: Doubts, spice: int) -> bytes:
    """GPX with the kind of fix and the number of satellites."""
    clean = ("", "<fix>3d</fix><sat>09</sat>", "<fix>2d</fix>", "<sat>10</sat>", "<fix>dgps</fix>")
    doubted = ("<fix>none</fix>", "<sat>0</sat>", "<fix>3d</fix><sat>00</sat>", "<fix>None</fix>")
    found = "".join(
        f'<trkpt lat="{point.degrees[1]!r}" lon="{point.degrees[0]!r}"><time>{text_of(point)}</time>'
        f"{doubted[doubts[n] % len(doubted)] if n in doubts else clean[(spice + n) % len(clean)]}</trkpt>"
        for n, point in enumerate(track)
    )
    return f"<gpx><trk><name>track</name><trkseg>{found}</trkseg></trk></gpx>".encode()


def doubted_nmea(track: Sequence[Point], doubts: Doubts, spice: int) -> bytes:
    """RMC and GGA in either order; one of the two, or both, say that there was no fix."""
    ways = [
        ("V", "N", 0),
        ("A", "E", 6),
        ("A", "A", 6),
        ("A", "M", 7),
        ("A", "S", 1),
        ("A", "A", 0),
        ("V", "", 1),
    ]
    made = ""
    for n, point in enumerate(track):
        status, mode, quality = (
            ways[doubts[n] % len(ways)] if n in doubts else ("A", "ADPRF"[n % 5], 1 + n % 5)
        )
        clock, day = f"{point.moment:%H%M%S}.{point.time_cs % 100:02d}", f"{point.moment:%d%m%y}"
        where = f"{angle(point.lat_minutes, 2, 'SN')},{angle(point.lon_minutes, 3, 'WE')}"
        empty = n in doubts and doubts[n] % 2 and status == "V"
        rmc = sentence(
            f"GNRMC,{clock},{status},{',,,' if empty else where},1.0,{point.course},{day},,,{mode},V"
        )
        gga = sentence(f"GNGGA,{clock},{where},{quality},08,0.9,80.0,M,47.0,M,,")
        made += rmc + gga if (spice + n) % 2 else gga + rmc
    return made.encode()


DOUBTED_FORMS: dict[str, Callable[[Sequence[Point], Doubts, int], bytes]] = {
    "jsonl": doubted_jsonl,
    "csv": doubted_csv,
    "parquet": doubted_parquet,
    "gpx": doubted_gpx,
    "nmea": doubted_nmea,
}


@settings(max_examples=60, deadline=None)
@given(
    points,
    st.dictionaries(st.integers(0, 11), st.integers(0, 41), max_size=6),
    st.sampled_from(sorted(DOUBTED_FORMS)),
    st.integers(0, 5),
)
def test_exactly_what_the_tracker_doubts_is_rejected(
    track: list[Point], doubts: Doubts, form: str, spice: int
) -> None:
    """Each doubted point of a random track is rejected as no fix, with its device; all others are kept."""
    assert set(DOUBTED_FORMS) == set(FORMS)
    with TemporaryDirectory() as name:
        found = everything(written(Path(name), f"track.{form}", DOUBTED_FORMS[form](track, doubts, spice)))
    kept = [n for n in range(len(track)) if n not in doubts]
    assert found.fixes.time.tolist() == [track[n].time for n in kept]
    assert np.isnan(found.fixes.error_m).all()
    assert {reject.reason for reject in found.rejects} <= {Reason.NOT_A_FIX}
    assert len(found.rejects) == len(track) - len(kept)
    assert [reject.time for reject in found.rejects] == [
        track[n].time for n in sorted(doubts) if n < len(track)
    ]
    assert {reject.device_id for reject in found.rejects} <= {"track"}


@settings(max_examples=40, deadline=None)
@given(points)
def test_a_clean_track_is_never_doubted(track: list[Point]) -> None:
    """Nothing of a track without a word of doubt is rejected, in any form."""
    with TemporaryDirectory() as name:
        for form, write in FORMS.items():
            assert not everything(written(Path(name), f"track.{form}", write(track))).rejects, form


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("GPRMC,120000,V,5230.0,N,00100.0,W,1.0,90,201126,,", "RMC has status V"),
        ("GPRMC,120000,A,5230.0,N,00100.0,W,1.0,90,201126,,,E", "mode E, estimated by dead reckoning"),
        ("GPRMC,120000,A,5230.0,N,00100.0,W,1.0,90,201126,,,N", "mode N, no fix"),
        ("GPGGA,120000,5230.0,N,00100.0,W,8,8,1,80,M,,,,", "quality 8, simulated"),
        ("GPGGA,120000,5230.0,N,00100.0,W,1,00,1,80,M,,,,", "counts 0 satellites"),
        ("GPGGA,,,,,,0,00,99.99,,,,,,", "quality 0, no fix"),
    ],
)
def test_nmea_says_why_it_is_no_fix(line: str, said: str, tmp_path: Path) -> None:
    """The detail names the sentence and what it says, with or without a time, and the line."""
    found = everything(written(tmp_path, "a.nmea", sentence(line).encode()))
    assert [(reject.index, reject.reason) for reject in found.rejects] == [(1, Reason.NOT_A_FIX)]
    assert said in found.rejects[0].detail


def test_a_receiver_without_a_fix_does_not_set_the_day(tmp_path: Path) -> None:
    """The date of a sentence without a fix is not taken for the positions that follow."""
    data = sentence("GPRMC,115959,A,5230.0,N,00100.0,W,1.0,90,201126,,,A")
    data += sentence("GPRMC,120000,V,,,,,,,060126,,,N")
    data += sentence("GPGGA,120001,5230.0,N,00100.0,W,1,8,1,80,M,,,,")
    found = everything(written(tmp_path, "a.nmea", data.encode()))
    days = found.fixes.time.astype("datetime64[us]").astype("datetime64[D]")
    assert [str(day) for day in days] == ["2026-11-20", "2026-11-20"]
