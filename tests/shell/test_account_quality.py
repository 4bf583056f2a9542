"""`patrol account` says what its facts are worth, and gives no figure where nothing matches."""

from __future__ import annotations

import csv
import gzip
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from stream.cli import patrol
from stream.core.facts import SECOND
from stream.files.account import AccountError
from tests.shifts import Shift, micros, text

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

START = micros("2026-11-23T08:00:00+00:00")


def shift(*devices: tuple[str, str], kind: str = "radio") -> Shift:
    """Duties of eight hours in Westmere, each of an officer with the device that is booked, and heard as."""
    made = Shift(START, 8)
    for number, (booked, heard) in enumerate(devices, start=1):
        made.duties.append(
            {
                "duty_id": f"D{number}",
                "revision": 1,
                "officer_id": f"{1000 + number}",
                "patch": ["E05001784"],
                "start": text(START),
                "end": text(START + 8 * 3600 * SECOND),
                "devices": [{"device_id": booked, "kind": kind}],
            }
        )
        made.positions += [
            {"device_id": heard, "time": text(START + at * 60 * SECOND), "lon": -1.18, "lat": 52.615}
            for at in range(481)
        ]
    return made


def account(made: Shift, folder: Path, *more: str) -> Result:
    """What `patrol account` says of it."""
    return CliRunner().invoke(patrol, [*made.write(folder), *more])


def quality(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """The rows of quality.csv by scope, id and finding."""
    with (folder / "out" / "quality.csv").open(encoding="utf-8", newline="") as file:
        return {(row["scope"], row["id"], row["finding"]): row for row in csv.DictReader(file)}


def test_a_clean_shift_is_counted_without_a_warning(tmp_path: Path) -> None:
    """Of a clean shift there is a figure, nothing on standard error, and quality.csv with plain counts."""
    done = account(shift(("R1", "R1")), tmp_path)
    assert done.exit_code == 0
    assert done.stderr == ""
    assert "100.0% of 8.0 h on patch" in done.stdout
    assert set(quality(tmp_path)) == {
        ("duty", "D1", "positions"),
        ("duty", "D1", "decided"),
        *(("device", "R1", name) for name in ("positions", "interval_median", "interval_p95", "decided")),
    }
    assert quality(tmp_path)["device", "R1", "interval_median"] == {
        "scope": "device",
        "id": "R1",
        "day": "2026-11-23",
        "finding": "interval_median",
        "count": "480",
        "seconds": "60.000000",
        "detail": "",
    }


def test_a_clock_an_hour_slow_is_told_before_the_figure(tmp_path: Path) -> None:
    """A device that stamps everything an hour early is told with the hour, before the figure."""
    made = shift(("R1", "R1"))
    for event in made.positions:
        event["received"] = event["time"]
        event["time"] = text(micros(event["time"]) - 3600 * SECOND)
    done = account(made, tmp_path)
    assert done.exit_code == 0
    assert "481 reports of device 'R1' came 3,600 s after their own time, all alike" in done.stderr
    assert "the clock is 1 hour behind" in done.stderr
    assert done.output.index("1 hour behind") < done.output.index("the force, ")
    row = quality(tmp_path)["device", "R1", "clock_offset"]
    assert (row["count"], row["seconds"], row["detail"]) == ("481", "3600.000000", "1 hour behind")


def test_a_slow_clock_is_told_of_what_traccar_forwards(tmp_path: Path) -> None:
    """What Traccar forwards, compressed too: its ``serverTime`` shows that the clock is an hour slow."""
    made = shift(("R1", "R1"))
    words = made.write(tmp_path)
    forwarded = [
        {
            "position": {
                "fixTime": text(micros(event["time"]) - 3600 * SECOND),
                "serverTime": event["time"],
                "longitude": event["lon"],
                "latitude": event["lat"],
            },
            "device": {"uniqueId": event["device_id"]},
        }
        for event in made.positions
    ]
    path = tmp_path / "forwarded.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f"{json.dumps(event)}\n" for event in forwarded).encode()))
    words[words.index("--positions") + 1] = str(path)
    done = CliRunner().invoke(patrol, words)
    assert done.exit_code == 0
    assert "the clock is 1 hour behind" in done.stderr
    assert quality(tmp_path)["device", "R1", "clock_offset"]["detail"] == "1 hour behind"


def test_a_clock_that_is_ahead_is_told_though_nothing_is_usable(tmp_path: Path) -> None:
    """Where every report is rejected because its clock is ahead, the error says by how much."""
    made = shift(("R1", "R1"))
    for event in made.positions:
        event["received"] = event["time"]
        event["time"] = text(micros(event["time"]) + 3600 * SECOND)
    done = account(made, tmp_path)
    assert isinstance(done.exception, AccountError)
    assert "no usable position" in str(done.exception)
    assert "the clock of device 'R1' is 1 hour ahead" in str(done.exception)


def test_ids_that_are_nearly_equal_are_told_and_not_counted(tmp_path: Path) -> None:
    """Where no booked device was heard there is no figure, but the id that is nearly the same of each."""
    made = shift(("0012345", "12345"), ("FX12ABC", "fx12abc "), ("R3", " R3"))
    done = account(made, tmp_path)
    assert done.exit_code == 1
    assert "no figure and no verdict: no device that a duty names was heard" in done.stderr
    for duty, booked, heard in (
        ("D1", "0012345", "12345"),
        ("D2", "FX12ABC", "fx12abc "),
        ("D3", "R3", " R3"),
    ):
        assert f"device {booked!r} of duty {duty} was never heard, but {heard!r} was" in done.stderr
        assert quality(tmp_path)["device", booked, "near_id"]["detail"] == heard
    assert "the force" not in done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"stays.csv", "slices.csv", "quality.csv"}


def test_exchanged_coordinates_are_told_and_not_counted(tmp_path: Path) -> None:
    """Where longitude and latitude are exchanged there is no verdict, and no file left of an earlier one."""
    made = shift(("R1", "R1"))
    assert account(made, tmp_path).exit_code == 0
    assert (tmp_path / "out" / "shares.csv").exists()
    for event in made.positions:
        event["lon"], event["lat"] = event["lat"], event["lon"]
    done = account(made, tmp_path)
    assert done.exit_code == 1
    assert "no position lies within 5 km of any area" in done.stderr
    assert "with longitude and latitude exchanged they would lie among them" in done.stderr
    assert "missed" not in done.output
    assert not (tmp_path / "out" / "shares.csv").exists()
    assert quality(tmp_path)["device", "R1", "swapped_coordinates"]["count"] == "481"


@pytest.mark.parametrize(
    ("fault", "said"), [("", ""), ("clock", "wrong clocks"), ("id", "ids that are nearly the same")]
)
def test_what_the_facts_are_worth_stands_under_the_verdict(tmp_path: Path, fault: str, said: str) -> None:
    """The line under the force's verdict names the kinds of findings; of clean facts there is none."""
    made = shift(("R1", "R1"), ("R2", "r2" if fault == "id" else "R2"))
    for event in made.of("R1") if fault == "clock" else ():
        event["received"] = event["time"]
        event["time"] = text(micros(event["time"]) - 3600 * SECOND)
    lines = account(made, tmp_path).stdout.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("the force, ")]
    below = lines[at + 1 :]
    assert below == ([f"  facts in question (said above): {said}"] if said else [])


def explained(made: Shift, folder: Path, *words: str) -> Result:
    """What `patrol explain` says of its day."""
    files = made.write(folder)
    return CliRunner().invoke(
        patrol, ["explain", *words, "--day", "2026-11-23", *files[1 : files.index("--out")]]
    )


def test_a_mistyped_patch_alone_gives_no_figure(tmp_path: Path) -> None:
    """Where no duty's patch is in the boundaries there is no verdict but what was probably meant: exit 1."""
    made = shift(("R1", "R1"))
    made.duties[0]["patch"] = ["E5001784"]
    done = account(made, tmp_path)
    assert done.exit_code == 1
    assert "missed" not in done.output
    assert "no figure and no verdict: no duty's patch is a neighbourhood of the bound" in done.stderr
    assert "is E05001784 meant?" in done.stderr
    assert explained(made, tmp_path, "--officer", "1001").exit_code == 1


def test_a_mistyped_patch_among_others_is_told_first_and_in_the_explanations(tmp_path: Path) -> None:
    """Where some patches are unknown, the first warning names the figures, and each explanation says it."""
    made = shift(("R1", "R1"), ("R2", "02"), ("R3", "R3"))
    made.duties[0]["patch"] = ["E5001784"]
    done = account(made, tmp_path)
    assert done.exit_code == 0
    first = done.stderr.splitlines()[0]
    assert "is E05001784 meant?" in first
    assert "the figures of E5001784, of officer '1001' and of the force are concerned" in first
    said = (
        "1 duty has a patch that no boundary knows (E5001784: is E05001784 meant?), so that its time cannot"
    )
    for words, concerned in (
        (["--officer", "1001"], True),
        (["--neighbourhood", "E5001784"], True),
        (["--force"], True),
        (["--officer", "1003"], False),
        (["--neighbourhood", "E05001784"], False),
    ):
        told = explained(made, tmp_path, *words)
        assert told.exit_code == 0
        assert (said in told.stdout.split("\n\n", 1)[0]) is concerned
    made.duties[0]["patch"] = ["E5001784", "E05001784"]
    told = explained(made, tmp_path, "--officer", "1001")
    assert (
        "1 duty has a patch of which no boundary knows a part (E5001784: is E05001784 meant?)" in told.stdout
    )


def test_an_explanation_says_what_its_own_facts_are_worth(tmp_path: Path) -> None:
    """A wrong clock, an id nearly the same and a silent radio stand beside the figures that they concern.

    In the text and in the JSON, on standard output; beside the figures of others they do not stand.
    """
    made = shift(("R1", "R1"), ("R2", "02"), ("R3", "r3"), ("R4", "R4"), ("R5", "V5"))
    for event in made.of("R1"):
        event["received"] = event["time"]
        event["time"] = text(micros(event["time"]) - 3600 * SECOND)
    made.duties[4]["devices"].append({"device_id": "V5", "kind": "vehicle"})
    made.positions.append({**made.of("R4")[0], "device_id": "R5", "time": text(START - 3600 * SECOND)})
    said = {
        "1001": "Facts in question: 481 reports of device 'R1' came 3,600 s after their own time",
        "1002": "Facts in question: device 'R2' of duty D2 was never heard. Check",
        "1003": "Facts in question: device 'R3' of duty D3 was never heard, but 'r3' was",
        "1004": "",
        "1005": "Facts in question: device 'R5' was silent for the whole of duty 'D5'.",
    }
    for officer, line in said.items():
        lines = explained(made, tmp_path, "--officer", officer).stdout.splitlines()
        told = [item for item in lines if item.startswith("Facts in question")]
        assert len(told) == bool(line)
        assert all(item.startswith(line) for item in told)
        # Right under the verdict: nothing that is wrong with the facts changes a figure.
        assert lines[2 : 2 + len(told)] == told
        notes = json.loads(explained(made, tmp_path, "--officer", officer, "--json").stdout)["words"]["notes"]
        assert [item for item in notes if item.startswith("Facts in question")] == told
    whole = explained(made, tmp_path, "--force").stdout
    assert all(line in whole for line in said.values())


def test_a_figure_that_there_is_not_is_not_explained(tmp_path: Path) -> None:
    """`patrol explain` of files of which nothing matches gives the reason and the cause, and exits with 1."""
    words = shift(("0012345", "12345")).write(tmp_path)
    files = words[1 : words.index("--out")]
    done = CliRunner().invoke(patrol, ["explain", "--force", "--day", "2026-11-23", *files])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "no figure and no verdict: no device that a duty names was heard" in done.stderr
    assert "'12345' was" in done.stderr


@pytest.mark.parametrize("wrong", [1, 5])
def test_lost_signs_of_some_positions_are_told(tmp_path: Path, wrong: int) -> None:
    """One position, or five in a row, with the sign of the longitude lost are told."""
    made = shift(("R1", "R1"))
    for event in made.positions[100 : 100 + wrong]:
        event["lon"] = -event["lon"]
    done = account(made, tmp_path)
    assert done.exit_code == 0
    said = "5 positions of device 'R1' lie" if wrong > 1 else "1 position of device 'R1' lies"
    assert f"{said} outside the areas: with the sign of the longitude turned" in done.stderr
    assert quality(tmp_path)["device", "R1", "longitude_sign"]["count"] == str(wrong)


def test_states_of_an_unknown_officer_are_told(tmp_path: Path) -> None:
    """A state of an officer who has no duty is told, and rejected states are in quality.csv by file."""
    made = shift(("R1", "R1"))
    made.states = [
        {"officer_id": "1001", "time": text(START + 3600 * SECOND), "state": 4},
        {"officer_id": "1001", "time": text(START + 7200 * SECOND), "state": "REFS"},
        {"officer_id": "9999", "time": text(START + 7200 * SECOND), "state": 4},
    ]
    done = account(made, tmp_path)
    assert done.exit_code == 0
    assert "1 state of officer '9999', who has no duty" in done.stderr
    found = quality(tmp_path)
    assert found["officer", "9999", "state_without_duty"]["count"] == "1"
    row = found["input", "states.jsonl", "rejected"]
    assert (row["count"], row["detail"]) == ("1", "bad_value")


def test_json_says_the_same(tmp_path: Path) -> None:
    """With --json a program gets the warnings, or why there is no figure, and the same exit codes."""
    made = shift(("R1", "R1"), ("R2", "02"))
    done = account(made, tmp_path, "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["unmatched"] == []
    assert any("'R2'" in line for line in said["warnings"])
    assert said["force"]
    made.duties = made.duties[1:]
    done = account(made, tmp_path, "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert "no device that a duty names was heard" in said["unmatched"][0]
    assert said["force"] == []
    assert "no figure and no verdict" in done.stderr


def test_no_file_that_is_read_is_written_over(tmp_path: Path) -> None:
    """An account whose folder has its own bookings under the name of one of its files is refused whole."""
    made = shift(("R1", "R1"))
    made.write(tmp_path)
    bookings = tmp_path / "teams.csv"
    bookings.write_text("duty_id,officer_id,start\nD1,1001,2026-11-23T08:00:00Z\n")
    content = bookings.read_bytes()
    words = ["--areas", str(tmp_path / "areas.geojson"), "--positions", str(tmp_path / "positions.jsonl")]
    link = tmp_path / "sent.csv"
    link.symlink_to(bookings)
    for duties in (bookings, link):
        done = CliRunner().invoke(
            patrol, ["account", *words, "--duties", str(duties), "--out", str(tmp_path)]
        )
        assert done.exit_code == 2, done.output
        assert "which is read: name another folder" in done.output
    assert bookings.read_bytes() == content
    assert not (tmp_path / "shares.csv").exists()
