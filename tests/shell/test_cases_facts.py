"""Facts as trackers and files get them wrong, through ``patrol account``: each is told, none is believed.

A beat of eight hours in Westmere, with one thing wrong; files are made here, in the shape that people sent.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stream.cli import patrol
from stream.core.events import decode_duties, decode_states
from stream.core.facts import Duty
from stream.core.policy import Policies, limits
from stream.files.account import AccountError
from stream.files.tracks import read_fixes, read_rows
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
DUTY: dict[str, object] = {
    "duty_id": "D1",
    "revision": 1,
    "officer_id": "1001",
    "patch": ["W1"],
    "start": "2026-11-23T08:00:00Z",
    "end": "2026-11-23T16:00:00Z",
    "devices": [{"device_id": "R1", "kind": "radio"}],
}


def box(area_id: str, west: float) -> dict[str, object]:
    """A neighbourhood, 0.04 by 0.03 degrees."""
    ring = [[west, 52.6], [west + 0.04, 52.6], [west + 0.04, 52.63], [west, 52.63], [west, 52.6]]
    return {
        "type": "Feature",
        "properties": {"area_id": area_id, "kind": "neighbourhood", "name": area_id},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def text(minute: float) -> str:
    """The time so many minutes after the duty's start."""
    return (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def beat(**more: object) -> list[dict[str, Any]]:
    """A position a minute from start to end."""
    return [
        {"device_id": "R1", "time": text(minute), "lon": -1.18, "lat": 52.615, **more}
        for minute in range(481)
    ]


def lines(path: Path, events: Sequence[dict[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


class Done:
    """What ``patrol account`` made of the files: its exit code, what it said, the force's figure."""

    def __init__(
        self,
        folder: Path,
        positions: Sequence[dict[str, Any]],
        duties: Sequence[dict[str, Any]] | str = (DUTY,),
        states: Sequence[dict[str, Any]] | str | None = None,
    ) -> None:
        areas = folder / "areas.geojson"
        features = [box("W1", -1.2), box("E1", -1.16)]
        areas.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        files = {"positions": lines(folder / "positions.jsonl", positions)}
        for name, found in (("duties", duties), ("states", states)):
            if isinstance(found, str):
                files[name] = folder / f"{name}.csv"
                files[name].write_text(found)
            elif found is not None:
                files[name] = lines(folder / f"{name}.jsonl", found)
        words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
        done = CliRunner().invoke(
            patrol, ["account", "--areas", str(areas), *words, "--out", str(folder / "out")]
        )
        refused = isinstance(
            done.exception, AccountError
        )  # which the command's main prints, and exits with 2
        self.code, self.said = 2 if refused else done.exit_code, done.output + str(done.exception or "")
        self.force: dict[str, str] = {}
        if self.code == 0:
            with (folder / "out" / "shares.csv").open() as file:
                self.force = next(row for row in csv.DictReader(file) if row["scope"] == "force")

    def share(self) -> tuple[float, float, float, str]:
        """The force's share, its bounds and the verdict."""
        row = self.force
        return float(row["share"]), float(row["share_low"]), float(row["share_high"]), row["verdict"]


def test_what_traccar_calls_invalid_is_not_credited(tmp_path: Path) -> None:
    """An hour valid, then seven of the last coordinates, not valid and outdated: 12.5 %, the rest unknown."""
    forwarded = [
        {
            "position": {
                "fixTime": text(minute),
                "outdated": minute > 60,
                "valid": minute <= 60,
                "latitude": 52.615,
                "longitude": -1.18,
                "accuracy": 0.0,
                "attributes": {"sat": 9},
            },
            "device": {"uniqueId": "R1"},
        }
        for minute in range(481)
    ]
    done = Done(tmp_path, forwarded)
    assert done.share() == (0.125, 0.125, 1.0, "not proven")
    assert "left out 420 not_a_fix" in done.said


def test_an_error_of_zero_is_as_good_as_none(tmp_path: Path) -> None:
    """1.4 m from the edge the bounds are 0 and 1, whether the error is said to be 0 or not said."""
    told = []
    for number, more in enumerate(({"error_m": 0}, {})):
        folder = tmp_path / str(number)
        folder.mkdir()
        told.append(Done(folder, beat(**{"lon": -1.16002, **more})).share())
    assert told == [(1.0, 0.0, 1.0, "not proven")] * 2


def test_unix_seconds_are_named(tmp_path: Path) -> None:
    """Positions in seconds: nothing is counted, and the refusal says how many and that these are seconds."""
    begin = int(START.timestamp())
    done = Done(tmp_path, [{**event, "time": begin + 60 * at} for at, event in enumerate(beat())])
    assert done.code == 2
    assert "left out 481 bad_value" in done.said
    assert "looks like Unix seconds (2026-11-23T08:00:00Z)" in done.said


def test_unix_seconds_of_duties_and_states_are_named(tmp_path: Path) -> None:
    """A duty and a state in seconds are left out by name, and the duty that is right is counted."""
    begin = int(START.timestamp())
    other = {**DUTY, "duty_id": "D2", "officer_id": "1002", "start": begin, "end": begin + 28_800}
    state = {"officer_id": "1001", "time": begin + 3600, "state": 4}
    done = Done(tmp_path, beat(), [DUTY, other], [state])
    assert done.share()[:1] == (1.0,)
    assert done.said.count("left out 1 bad_value") == 2
    assert "row 2: bad_value: start 1795420800 is not of the years" in done.said
    assert "row 1: bad_value: time 1795424400 is not of the years" in done.said


@many(10)
@given(first=st.integers(1, 470), count=st.integers(1, 6))
def test_a_lost_sign_is_no_drive(first: int, count: int) -> None:
    """Reports 160 km east: a lone one costs nothing, several at most their minutes, and none is off patch."""
    with TemporaryDirectory() as name:
        events = beat()
        for event in events[first : first + count]:
            event["lon"] = 1.18
        done = Done(Path(name), events)
    lost = 0 if count == 1 else (count + 1) * 60
    assert float(done.force["unknown_s"]) == lost
    assert float(done.force["off_patch_s"]) == 0
    assert done.share()[2:] == (1.0, "met")


def test_states_as_people_key_them(tmp_path: Path) -> None:
    """04 and 4.0 are 4; words, codes over 255 and empty cells are left out, each at its row."""
    table = "officer_id,time,state\n" + "".join(
        f"{officer},{text(minute)},{code}\n"
        for officer, minute, code in (
            (1001, 60, "04"),
            (1001, 90, "2"),
            (1001, 120, "4.0"),
            (1001, 150, "2"),
            (1001, 180, "REFS"),
            (1001, 190, "256"),
            (1001, 200, ""),
            (9999, 210, "4"),
        )
    )
    done = Done(tmp_path, beat(), states=table)
    assert float(done.force["break_s"]) == 3600
    assert "left out 2 bad_value, 1 missing_field" in done.said
    assert "row 6: bad_value" in done.said


CODES = st.one_of(
    st.integers(0, 300).flatmap(
        lambda code: st.sampled_from(
            [f"{code}", f"{code:02}", f"{code}.0", f"{code}.", f" {code} ", f"Code {code}", f"STATUS{code}"]
        ).map(lambda said: (said, code))
    ),
    st.sampled_from(["REFS", "-4", "4.5", "4,0", "x4", "Code", "4 4", "1e1000", "nan", "\t"]).map(
        lambda said: (said, None)
    ),
)


@given(st.lists(CODES, min_size=1, max_size=8))
def test_every_code_is_taken_or_left_out_at_its_row(codes: list[tuple[str, int | None]]) -> None:
    """A code however written is the whole number in it, up to 255; anything else is rejected at its row."""
    with TemporaryDirectory() as name:
        path = Path(name) / "states.csv"
        file = io.StringIO()
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["officer_id", "time", "state"])
        table.writerows(["1001", text(at), said] for at, (said, _) in enumerate(codes))
        path.write_text(file.getvalue())
        [rows] = read_rows(path)
    states, index, rejects = decode_states(rows.value)
    good = [at for at, (_, code) in enumerate(codes) if code is not None and code <= 255]
    assert index.tolist() == good
    assert [state.state for state in states] == [codes[at][1] for at in good]
    assert sorted(reject.index for reject in rejects) == [at for at in range(len(codes)) if at not in good]


def test_bookings_as_a_table(tmp_path: Path) -> None:
    """A CSV of bookings counts like JSON lines, its device column being the officer's radio."""
    header = "duty_id,revision,officer_id,start,end,patch,device_id\n"
    done = Done(tmp_path, beat(), f"{header}D1,1,1001,{text(0)},{text(480)},W1,R1\n")
    assert done.share() == (1.0, 1.0, 1.0, "met")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("duty_id,start,end\nD1,x,y\n", "no column 'officer_id'"),
        ("duty_id,officer_id,start\nD1,1001\nD2,1001,noon\n", "left out 2 bad_value; row 2"),
        ("duty_id,officer_id,start\n\nD1,1001,1795420800\n", "row 3: bad_value: start 1795420800"),
    ],
)
def test_a_table_that_is_none_says_why(table: str, said: str, tmp_path: Path) -> None:
    """Bookings that cannot be read are refused with the column or the row, and what is wrong with it."""
    done = Done(tmp_path, beat(), table)
    assert done.code == 2
    assert said in done.said


def test_a_duty_twice_without_revisions_is_told(tmp_path: Path) -> None:
    """Of two rows with one duty and no revisions the second is left out: nobody can say which counts."""
    row = f"D1,1001,{text(0)},{text(480)},W1,R1\n"
    done = Done(tmp_path, beat(), "duty_id,officer_id,start,end,patch,radio\n" + row + row)
    assert done.share() == (1.0, 1.0, 1.0, "met")
    assert "row 3: bad_value: duty_id 'D1' stands in line 2 too" in done.said


def test_a_quotation_mark_that_is_not_closed_is_told_with_the_lines_that_it_takes(tmp_path: Path) -> None:
    """A row that swallowed those behind it says how many, of positions and of bookings: it is no one row."""
    rows = [f"R1,{text(minute)},-1.18,52.615" for minute in range(481)]
    rows[100] = f'"{rows[100]}'
    positions = tmp_path / "broken.csv"
    positions.write_text("\n".join(("device_id,time,lon,lat", *rows, "")))
    [reject] = [item for part in read_rows(positions) for item in part.rejects]
    assert "makes one row of 381 lines: correct it" in reject.detail
    row = f",1001,{text(0)},{text(480)},W1,R1"
    done = Done(tmp_path, beat(), f'duty_id,officer_id,start,end,patch,radio\nD0{row}\n"D1{row}\nD2{row}\n')
    assert "row 3: bad_value: 1 columns where the header has 6; a quotation mark" in done.said
    assert "makes one row of 2 lines" in done.said


def test_one_number_and_revision_for_two_bookings_is_told(tmp_path: Path) -> None:
    """Of bookings that differ under one number and revision, the line of what does not count is told.

    Sent twice alike, or revised, it is one booking, and nothing is said.
    """
    other = {**DUTY, "officer_id": "1002"}
    for at, (rows, lines) in enumerate(
        (
            ([DUTY, other], [1]),
            ([other, DUTY], [2]),
            ([DUTY, other, DUTY], [1, 3]),
            ([DUTY, DUTY], []),
            ([DUTY, {**other, "revision": 2}], []),
        )
    ):
        folder = tmp_path / str(at)
        folder.mkdir()
        done = Done(folder, beat(), rows)
        assert done.code == 0
        if lines:
            assert f"left out {len(lines)} bad_value" in done.said
            assert f"row {lines[0]}: bad_value: duty_id 'D1' revision 1 stands in line " in done.said
        else:
            assert "left out" not in done.said


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters=";"),
    min_size=1,
    max_size=6,
)
BOOKINGS = st.lists(
    st.fixed_dictionaries(
        {
            "duty_id": NAMES,
            "revision": st.integers(0, 9),
            "officer_id": NAMES,
            "start": st.just(text(0)),
            "end": st.sampled_from([text(480), "", str(int(START.timestamp() + 600) * 1000)]),
            "patch": st.lists(NAMES, max_size=3),
            "radio": st.lists(NAMES, max_size=2),
            "vehicle": st.lists(NAMES, max_size=2),
            "team": st.one_of(st.just(""), NAMES),
            "cancelled": st.sampled_from(["", "true", "No", "1"]),
        }
    ),
    max_size=6,
)


@given(BOOKINGS)
def test_a_table_of_bookings_is_what_json_lines_say(rows: list[dict[str, Any]]) -> None:
    """Bookings written as a table and as JSON lines are the same duties, lists, names and all."""
    columns = list(rows[0]) if rows else ["duty_id", "officer_id", "start"]
    file = io.StringIO()
    table = csv.DictWriter(file, columns)
    table.writeheader()
    table.writerows(
        {name: "; ".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in rows
    )
    with TemporaryDirectory() as name:
        path = Path(name) / "duties.csv"
        path.write_bytes(b"\xef\xbb\xbf" + file.getvalue().encode())
        parts = list(read_rows(path))
    found, _, rejects = decode_duties([value for part in parts for value in part.value])
    said = [
        {
            "duty_id": row["duty_id"],
            "revision": row["revision"],
            "officer_id": row["officer_id"],
            "start": row["start"],
            "end": (int(row["end"]) if row["end"].isdecimal() else row["end"]) or None,
            "patch": row["patch"],
            "devices": [
                {"device_id": name, "kind": kind} for kind in ("radio", "vehicle") for name in row[kind]
            ],
            "team": row["team"],
            "cancelled": row["cancelled"] in {"true", "1"},
        }
        for row in rows
    ]
    wanted, _, none = decode_duties([json.dumps(event).encode() for event in said])
    assert (found, rejects, none) == (wanted, [], [])
    assert all(isinstance(duty, Duty) for duty in found)


@given(NAMES, st.sampled_from(["positions", "states"]))
def test_other_tables_may_name_duties_too(name: str, kind: str) -> None:
    """A column of duties beside positions or states does not make them bookings."""
    said = name.replace('"', '""')
    rows = {
        "positions": f'duty_id,device_id,start,time,lon,lat\n"{said}",R1,x,{text(0)},-1.1,52.6\n',
        "states": f'duty_id,officer_id,start,time,state\n"{said}",1001,x,{text(0)},4\n',
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(rows[kind], newline="")
        if kind == "positions":
            [found] = read_fixes(path, limits=limits(Policies()))
            assert len(found.fixes) == 1
        else:
            assert len(decode_states([value for part in read_rows(path) for value in part.value])[0]) == 1
