"""State codes, ids and field names that other systems write: told by name, never guessed (rule 22)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import local_day
from stream.core.events import Reason, decode_duties, decode_positions, decode_states
from stream.core.facts import SECOND
from stream.core.policy import Policies, Policy, State, limits
from stream.core.quality.findings import DEVICE, OFFICER
from stream.core.quality.wording import warnings
from stream.files.account import account
from tests.shifts import Shift, clean_shifts, micros, text
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from stream.core.quality.findings import QualityFinding

CODES = ("unknown_state", "two_states")


def told(shift: Shift, *findings: str) -> tuple[list[QualityFinding], list[str]]:
    """The findings of some kinds, and everything that is said in words."""
    quality = shift.account().quality
    return quality.rows(*findings), warnings(quality)


@st.composite
def keyed(draw: st.DrawFn) -> tuple[Shift, dict[tuple[str, int], list[int]]]:
    """A clean shift with states at any whole minutes of it: by officer and time, the codes, each once."""
    shift = draw(clean_shifts())
    reports: dict[tuple[str, int], set[int]] = {}
    for officer in sorted({duty["officer_id"] for duty in shift.duties}):
        for minute in draw(st.lists(st.integers(-30, shift.hours * 60 + 30), max_size=12)):
            codes = draw(st.sets(st.sampled_from((1, 2, 4, 5, 8, 12, 40, 255)), min_size=1, max_size=2))
            reports.setdefault((officer, shift.start + minute * 60 * SECOND), set()).update(codes)
    shift.states = [
        {"officer_id": officer, "time": text(time), "state": code}
        for (officer, time), codes in reports.items()
        for code in codes
    ]
    shift.states += draw(st.lists(st.sampled_from(shift.states), max_size=3)) if shift.states else []
    shift.states = draw(st.permutations(shift.states))
    return shift, {key: sorted(codes) for key, codes in reports.items()}


@many(40)
@given(keyed())
def test_states_that_no_policy_names_or_that_exclude_each_other_are_told(
    found: tuple[Shift, dict[tuple[str, int], list[int]]],
) -> None:
    """Unknown codes, and five instants a day with two that count differently, are told, in any order."""
    shift, reports = found
    spans = [(duty["officer_id"], micros(duty["start"]), micros(duty["end"])) for duty in shift.duties]
    unknown: dict[tuple[str, str], int] = {}
    doubled: dict[tuple[str, date], list[str]] = {}
    for (officer, time), codes in reports.items():
        if not any(who == officer and start <= time < end for who, start, end in spans):
            continue
        for code in codes:
            if code > 11:
                unknown[officer, str(code)] = unknown.get((officer, str(code)), 0) + 1
        if {4, 8}.intersection(codes) and len(codes) > 1:
            doubled.setdefault((officer, local_day(time)), []).append(";".join(map(str, codes)))
    several = Counter(
        (officer, both) for (officer, _), day in doubled.items() if len(day) > 4 for both in day
    )
    rows, said = told(shift, *CODES)
    for finding, want in zip(CODES, (unknown, several), strict=True):
        have: dict[tuple[str, str], int] = {}
        for row in rows:
            if row.finding == finding:
                assert row.scope == OFFICER
                have[row.id, row.detail] = have.get((row.id, row.detail), 0) + row.count
        assert have == want
    for _, told_code in unknown:
        assert any(f"state {told_code} was keyed" in line and "policy" in line for line in said)
    assert any("different states at one instant" in line for line in said) == bool(several)


@many(10)
@given(clean_shifts(), st.integers(12, 255))
def test_a_state_that_the_policy_names_is_known(shift: Shift, code: int) -> None:
    """Named in the policy of the duty's start, a code is no finding, whatever it counts as."""
    time = micros(shift.duties[0]["start"]) + SECOND
    shift.states = [{"officer_id": shift.duties[0]["officer_id"], "time": text(time), "state": code}]
    policy = Policy()
    named = Policies(policies=(replace(policy, states={**policy.states, code: State("training")}),))
    assert [row.detail for row in shift.account().quality.rows("unknown_state")] == [str(code)]
    assert account(shift.facts(), named).quality.rows("unknown_state") == []


SPELT: dict[str, Callable[[str], str]] = {
    "'.0' at the end": lambda name: f"{name}.0",
    "zeros at the front": lambda name: f"0{name}",
    "blanks": lambda name: f" {name}",
}


@many(30)
@given(clean_shifts(), st.sampled_from(sorted(SPELT)))
def test_an_officer_under_two_ids_is_named(shift: Shift, kind: str) -> None:
    """A duty booked under an id that a spreadsheet has changed is told with the one that has more duties."""
    duty = shift.duties[0]
    spoiled = SPELT[kind](duty["officer_id"])
    for at in (1, 2):
        before = micros(duty["start"]) - at * 48 * 3600 * SECOND
        shift.duties.append(
            {**duty, "duty_id": f"D9{at}", "start": text(before), "end": text(before + SECOND)}
        )
    duty["officer_id"] = spoiled
    rows, said = told(shift, "near_id")
    want = spoiled.strip(), shift.duties[-1]["officer_id"]
    if kind == "blanks":  # blanks around an id are kept: nothing is guessed
        want = spoiled, want[1]
    assert [(row.scope, row.id, row.detail, row.count) for row in rows] == [(OFFICER, *want, 1)]
    [line] = [line for line in said if "counted as two" in line]
    assert f"differ in {kind}" in line


@many(30)
@given(clean_shifts(), st.sampled_from(sorted(SPELT)))
def test_a_device_booked_under_two_ids_is_named(shift: Shift, kind: str) -> None:
    """An id never heard is told with the one that another duty names rightly and that was heard."""
    duty = shift.duties[0]
    name = duty["devices"][0]["device_id"]
    after = micros(duty["end"]) + 48 * 3600 * SECOND
    spoiled = SPELT[kind](name)
    shift.duties.append(
        {
            **duty,
            "duty_id": "D9",
            "start": text(after),
            "end": text(after + 3600 * SECOND),
            "devices": [{"device_id": spoiled, "kind": "radio"}],
        }
    )
    rows, said = told(shift, "near_id")
    assert [(row.scope, row.id, row.detail) for row in rows] == [(DEVICE, spoiled, name)]
    [line] = [line for line in said if "differ in" in line]
    assert f"device {spoiled!r} of duty D9 was never heard, but {name!r} was: they differ in {kind}" in line


@many(20)
@given(clean_shifts(), st.integers(20, 60))
def test_a_device_frozen_beside_another_is_named(shift: Shift, minutes: int) -> None:
    """A radio that repeats one position while its officer's car is elsewhere is told by day, with the car."""
    duty = shift.duties[0]
    radio, start = duty["devices"][0]["device_id"], micros(duty["start"])
    duty["devices"].append({"device_id": "CAR", "kind": "vehicle"})
    shift.positions = [event for event in shift.positions if event["device_id"] != radio]
    for at in range(minutes + 1):
        time = text(start + at * 60 * SECOND)
        shift.positions.append({"device_id": radio, "time": time, "lon": -1.19, "lat": 52.61})
        there = -1.17 + 1e-4 * (at % 2)
        shift.positions.append({"device_id": "CAR", "time": time, "lon": there, "lat": 52.61})
    rows, said = told(shift, "frozen_beside", "frozen")
    long_enough = minutes >= 30
    assert {(row.scope, row.id, row.finding, row.detail) for row in rows} == (
        {(DEVICE, radio, "frozen_beside", "CAR")} if long_enough else set()
    )
    if long_enough:
        assert sum(row.us or 0 for row in rows) == minutes * 60 * SECOND
    assert any("of the same officer is elsewhere" in line for line in said) == long_enough


# ── Names of fields ───────────────────────────────────────────────────────────────────────────────────────

POSITION = {"device_id": "R1", "time": "2026-11-23T08:00:00Z", "lon": -1.1, "lat": 52.6}
DUTY = {"duty_id": "D1", "revision": 1, "officer_id": "1001", "start": "2026-11-23T08:00:00Z"}
STATE = {"officer_id": "1001", "time": "2026-11-23T08:00:00Z", "state": 4}


def respelt(name: str) -> st.SearchStrategy[str]:
    """A field's name in other capitals or with other separators, never as it should be."""
    cases = (str.upper, str.title, str.capitalize, lambda text: text.title()[0].lower() + text.title()[1:])
    return (
        st.tuples(st.sampled_from(cases), st.sampled_from(("_", "-", " ", "")))
        .map(lambda pair: pair[0](name).replace("_", pair[1]))
        .filter(lambda made: made != name)
    )


@given(st.data(), st.sampled_from((POSITION, DUTY, STATE)))
def test_a_field_in_other_capitals_is_refused_and_named(data: st.DataObject, event: dict[str, Any]) -> None:
    """A field under a name of other capitals or separators is missing; the reject says which was meant."""
    needed = sorted(event.keys() - {"revision"})
    name = data.draw(st.sampled_from(needed))
    other = data.draw(respelt(name))
    value = json.dumps({other if key == name else key: value for key, value in event.items()}).encode()
    if event is POSITION:
        rejects = decode_positions([value], None, limits=limits(Policies())).rejects
    else:
        rejects = (decode_duties if event is DUTY else decode_states)([value])[2]
    [reject] = rejects
    assert reject.reason == Reason.MISSING_FIELD
    assert reject.detail.startswith(f"{name} is missing; {other!r} is there")


@given(st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), st.integers(), max_size=4))
def test_other_fields_are_not_taken_for_a_missing_one(others: dict[str, int]) -> None:
    """Nothing is named where no field is like the missing one."""
    value = json.dumps({**others, **{key: POSITION[key] for key in ("time", "lon", "lat")}}).encode()
    [reject] = decode_positions([value], None, limits=limits(Policies())).rejects
    assert (reject.reason, reject.detail) == (Reason.MISSING_FIELD, "device_id is missing")
