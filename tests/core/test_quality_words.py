"""What is said of the facts in words (rule 22), and of which duties it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import local_day
from stream.core.events import Reason, Reject
from stream.core.facts import SECOND
from stream.core.policy import Policies
from stream.core.quality.findings import DEVICE, DUTY, INPUT, OFFICER, UNDATED, concerning
from stream.core.quality.wording import notes, warnings
from stream.files.account import account
from tests.shifts import Shift, clean_shifts, micros, text
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = 3600 * SECOND
DAY = 24 * HOUR
MORNING = micros("2026-11-23T08:00:00+00:00")


def booked(number: int, start: int, end: int, *devices: str, **others: Any) -> dict[str, Any]:
    """A duty of an officer of that number; devices that begin with V are vehicles."""
    return {
        "duty_id": f"D{number}",
        "revision": 1,
        "officer_id": f"{1000 + number}",
        "patch": ["E05001784"],
        "start": text(start),
        "end": text(end),
        "devices": [
            {"device_id": name, "kind": "vehicle" if name.startswith("V") else "radio"} for name in devices
        ],
        **others,
    }


def reports(device: str, start: int, end: int, *, lat: float = 52.61) -> list[dict[str, Any]]:
    """A report a minute, each a little to the east of the last one."""
    return [
        {"device_id": device, "time": text(time), "lon": -1.19 + 1e-5 * at, "lat": lat}
        for at, time in enumerate(range(start, end, 60 * SECOND))
    ]


def world(duties: Sequence[dict[str, Any]], *tracks: Sequence[dict[str, Any]]) -> Shift:
    """Duties and the reports of some devices."""
    return Shift(MORNING, 4, positions=[event for track in tracks for event in track], duties=list(duties))


# ── of which duties ───────────────────────────────────────────────────────────────────────────────────────

FAULTS = ("none", "never heard", "nothing usable", "far away", "other id", "overlapping", "off duty")


def spoil(shift: Shift, number: int, fault: str) -> None:
    """Puts a fault into a duty of a shift, its device or its officer."""
    duty = shift.duties[number]
    [device] = duty["devices"]
    mine = shift.of(device["device_id"])
    start = micros(duty["start"])
    match fault:
        case "never heard":
            device["device_id"] = f"N{number}"
        case "nothing usable":
            for event in mine:
                event["valid"] = False
        case "far away":
            for event in mine[::2]:
                event["lat"] += 4.0
        case "other id":
            device["device_id"] = f"00{device['device_id']}"
        case "overlapping":
            shift.duties.append({**duty, "duty_id": f"X{number}", "start": text(start + HOUR)})
        case "off duty":
            before = {"officer_id": duty["officer_id"], "time": text(start - 30 * HOUR), "state": 4}
            shift.states.append(before)


@many(40)
@given(
    clean_shifts(),
    st.lists(st.sampled_from(FAULTS), min_size=4, max_size=4),
    st.sets(st.integers(0, 5), max_size=3),
    st.integers(-30, 10),
    st.integers(1, 30),
    st.booleans(),
)
def test_what_concerns_a_figure_is_that_of_its_duties_and_days(
    shift: Shift, faults: list[str], chosen: set[int], begins: int, hours: int, midnight: bool
) -> None:
    """Of some duties, a period: their own rows, whenever they are of a duty or hold for a device as such.

    Everything else is of a day, and concerns the figure only where the day is one of the period's.
    """
    for number in range(len(shift.duties)):
        spoil(shift, number, faults[number])
    found, duties = shift.account().quality, shift.facts().duties
    mine = [duty for number, duty in enumerate(duties) if number in chosen]
    start = shift.start + begins * HOUR
    if midnight:
        start -= start % DAY
    end = start + (DAY if midnight else hours * HOUR)
    own = {(DUTY, duty.duty_id) for duty in mine} | {(OFFICER, duty.officer_id) for duty in mine}
    own |= {(DEVICE, item.device_id) for duty in mine for item in duty.devices}
    first, last = str(local_day(start)), str(local_day(end - 1))
    assert concerning(found, mine, start, end).rows() == [
        row
        for row in found.rows()
        if (row.scope, row.id) in own
        and (row.scope == DUTY or row.finding in UNDATED or first <= row.day <= last)
    ]


@pytest.mark.parametrize("duties", [1, 3, 5])
def test_a_radio_that_was_silent_on_a_duty_is_noted_beside_its_figure(duties: int) -> None:
    """Noted are devices silent for the whole of a duty that another device decides; of many, a few.

    Not noted are devices that were heard, however briefly, and what a warning has said already: that a device
    was never heard, or that a vehicle decides which others held too.
    """
    start, end = MORNING, MORNING + 4 * HOUR
    every = [booked(n, start, end, f"R{n}", f"V{n}") for n in range(1, duties + 1)]
    tracks = [reports(f"R{n}", start - HOUR, start - 50 * 60 * SECOND) for n in range(1, duties + 1)]
    tracks += [reports(f"V{n}", start, end) for n in range(1, duties + 1)]
    every += [booked(7, start, end, "R7", "V7"), booked(8, start, end, "R8"), booked(9, start, end, "R9")]
    every += [booked(6, start, end, "V6", "R6")]
    tracks += [reports("V7", start, end), reports("R8", start, end), reports("R6", start, start + SECOND)]
    tracks += [reports("V6", start, end)]
    shift = world(every, *tracks)
    found, facts = shift.account().quality, shift.facts()
    said = notes(found, facts.duties, start, end)
    told = [f"device 'R{n}' was silent for the whole of duty 'D{n}'" for n in range(1, min(duties, 3) + 1)]
    more = "; and 2 more" if duties == 5 else ""
    assert said[-1] == f"{'; '.join(told)}{more}. Where its officer was, another device says."
    assert said[:-1] == warnings(concerning(found, facts.duties, start, end), where="")
    assert any("R7" in line and "never heard" in line for line in said[:-1])
    others = [duty for duty in facts.duties if duty.duty_id in {"D6", "D7", "D8"}]
    assert not [line for line in notes(found, others, start, end) if "silent for the whole" in line]


# ── in which order, and with which numbers ────────────────────────────────────────────────────────────────


def test_the_longest_overlaps_are_told_first() -> None:
    """Overlaps are told with their hours, the longest first, of equal ones by officer."""
    duties = []
    for number, hours in ((1, 2), (2, 5), (3, 2), (4, 1)):
        end = MORNING + 8 * HOUR
        duties.append(booked(number, MORNING, end, f"R{number}"))
        duties.append({**duties[-1], "duty_id": f"E{number}", "start": text(end - hours * HOUR)})
    [line] = [line for line in warnings(world(duties).account().quality) if "overlap by" in line]
    assert line.startswith(
        "duties D2, E2 of officer 1002 overlap by 5.0 h; duties D1, E1 of officer 1001 overlap by 2.0 h; "
        "duties D3, E3 of officer 1003 overlap by 2.0 h; and 1 more in quality.csv. "
    )


def test_the_longest_duties_are_told_first() -> None:
    """Duties that are too long are told with their hours, the longest first, of equal ones by name."""
    duties = [
        booked(number, MORNING, MORNING + hours * HOUR, f"R{number}")
        for number, hours in ((1, 200), (2, 400), (3, 200), (4, 190))
    ]
    tracks = reports("R1", MORNING + 399 * HOUR, MORNING + 401 * HOUR)
    [line] = [line for line in warnings(world(duties, tracks).account().quality) if "was booked for" in line]
    assert line.startswith(
        "duty 'D2' of officer 1002 was booked for 400 hours and counts for nothing until it is revised; "
        "duty 'D1' of officer 1001 was booked for 200 hours and counts for nothing until it is revised; "
        "duty 'D3' of officer 1003 was booked for 200 hours and counts for nothing until it is revised; "
        "and 1 more in quality.csv. "
    )


@pytest.mark.parametrize(("far", "told"), [(29, False), (30, False), (31, True)])
def test_a_device_is_mostly_far_when_more_than_half_of_its_reports_are(far: int, told: bool) -> None:
    """Of sixty reports thirty far from every area are not most of them, thirty-one are."""
    start, middle, end = MORNING, MORNING + far * 60 * SECOND, MORNING + HOUR
    tracks = [reports("R1", start, middle, lat=56.0), reports("R1", middle, end)]
    said = warnings(world([booked(1, start, end, "R1")], *tracks).account().quality)
    assert any("was mostly more than 50 km from every area on 2026-11-23" in line for line in said) is told


def test_positions_of_devices_that_no_duty_names_are_summed() -> None:
    """How many positions are of devices that no duty names is their sum over devices and days."""
    start, end = MORNING, MORNING + HOUR
    others = [reports("S1", start, end), reports("S1", start + DAY, end + DAY), reports("S2", start, end)]
    quality = world([booked(1, start, end, "R1")], reports("R1", start, end), *others).account().quality
    assert any(
        line.startswith("180 positions of devices 'S1', 'S2', which no duty names")
        for line in warnings(quality)
    )


def test_what_was_left_out_of_a_file_is_counted_by_reason() -> None:
    """Each file's unusable lines are rows of their own: the file, the reason, and how many; of no day."""
    shift = world([booked(1, MORNING, MORNING + HOUR, "R1")], reports("R1", MORNING, MORNING + HOUR))
    rejects = {
        "a.csv": [
            Reject(at, reason, "") for at, reason in enumerate([Reason.NOT_JSON, Reason.IN_FUTURE] * 2)
        ],
        "b.csv": [Reject(0, Reason.NOT_JSON, "")],
        "c.csv": [],
    }
    found = account(replace(shift.facts(), rejects=rejects), Policies()).quality
    assert [
        (row.id, row.day, row.count, row.us, row.detail)
        for row in found.rows("rejected")
        if row.scope == INPUT
    ] == [
        ("a.csv", "", 2, None, "in_future"),
        ("a.csv", "", 2, None, "not_json"),
        ("b.csv", "", 1, None, "not_json"),
    ]


@pytest.mark.parametrize("devices", [1, 4, 5])
def test_a_wrong_clock_is_told_by_the_offset_that_most_reports_show(devices: int) -> None:
    """Of several days the one with the most reports is told, with all reports of that offset and no other.

    Five devices with one offset point at whatever receives them all.
    """
    days = ((0, 120, 3600), (1, 100, 3600), (2, 90, 5400))
    tracks = []
    for number in range(devices):
        for day, minutes, late in days:
            start = MORNING + day * DAY
            track = reports(f"R{number}", start, start + minutes * 60 * SECOND)
            tracks.append(
                [{**event, "received": text(micros(event["time"]) + late * SECOND)} for event in track]
            )
    duties = [booked(number, MORNING, MORNING + 3 * DAY - HOUR, f"R{number}") for number in range(devices)]
    [line] = [line for line in warnings(world(duties, *tracks).account().quality) if "all alike" in line]
    assert line.startswith(f"{220 * devices:,} reports of device")
    assert "came 3,600 s after their own time, all alike: " in line
    assert ("either the clocks are 1 hour behind, or that of whatever receives" in line) is (devices == 5)
    assert ("the clock is 1 hour behind. " in line) is (devices < 5)
