"""Policies: what is said is what counts, from the day it is said for, and nonsense is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core.calendar import day_start, local_day
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import (
    BEGINNING,
    COUNTS,
    DEFAULT_STATES,
    Policies,
    Policy,
    PolicyError,
    State,
    parse_policies,
)
from stream.core.shares import shares
from stream.core.slices import slices
from stream.core.stays import stays
from tests.strategies import BINARY, fix_columns, micros

NUMBERS = [item.name for item in fields(Policy) if item.name != "states"]
TIMES = st.integers(-(10**15), 4 * 10**15)


@given(st.lists(TIMES, max_size=6, unique=True).map(sorted), st.lists(TIMES, max_size=20))
def test_the_policy_in_force_is_the_last_that_began(starts: list[int], times: list[int]) -> None:
    """At every instant the policy is that with the latest start not after it."""
    begun = (BEGINNING, *starts)
    policies = Policies(begun, tuple(Policy(target=number / 100) for number in range(len(begun))))
    asked = np.array([*times, *starts], np.int64)
    expected = [max(number for number, start in enumerate(begun) if start <= time) for time in asked.tolist()]
    assert policies.number_at(asked).tolist() == expected
    for time, number in zip(asked.tolist(), expected, strict=True):
        assert policies.at(time) is policies.policies[number]
    found = np.broadcast_to(policies.setting(lambda policy: policy.target, asked), len(asked))
    assert found.tolist() == [number / 100 for number in expected]


def test_without_a_word_the_rules_defaults_hold() -> None:
    """A table that says nothing is the accounting rules' own policy, from the beginning of time."""
    assert parse_policies("[[policy]]") == Policies()


@given(st.data())
def test_what_a_policy_file_says_is_what_counts(data: st.DataObject) -> None:
    """Any settings written down come back; those not written keep the rules' default."""
    said = data.draw(
        st.fixed_dictionaries(
            {}, optional={name: st.one_of(st.integers(0, 3000), st.floats(0, 1e6)) for name in NUMBERS}
        )
    )
    numbers: dict[str, Any] = {name: float(value) for name, value in said.items()}
    expected = replace(Policy(), **numbers)
    text = "[[policy]]\n" + "".join(f"{name} = {value}\n" for name, value in said.items())
    if expected.parked_gap_s < expected.max_gap_s or expected.target > 1:
        with pytest.raises(
            PolicyError, match=r"policy 1: (parked_gap_s must be at least max_gap_s|target is)"
        ):
            parse_policies(text)
    else:
        assert parse_policies(text).policies == (expected,)


def test_a_first_policy_with_a_date_changes_nothing_before_it() -> None:
    """A file that holds only a change leaves what came before it under the rules' defaults."""
    found = parse_policies("[[policy]]\nfrom = 2027-01-01\ntarget = 0.9\n")
    assert found.at(micros("2026-11-23T12:00:00Z")) == Policy()
    assert found.at(micros("2027-01-01T00:00:00Z")).target == 0.9


def test_dates_are_local_and_times_may_say_their_offset() -> None:
    """A date means its local midnight, a bare time is local, a time with offset is that instant."""
    found = parse_policies(
        "[[policy]]\n[[policy]]\nfrom = 2026-07-20\n[[policy]]\nfrom = 2026-07-21T12:00:00\n"
        "[[policy]]\nfrom = 2026-07-21T12:00:00Z\n"
    )
    assert found.starts == (
        BEGINNING,
        micros("2026-07-20T00:00:00+01:00"),
        micros("2026-07-21T12:00:00+01:00"),
        micros("2026-07-21T12:00:00+00:00"),
    )


def test_a_state_is_named_and_counted_as_said() -> None:
    """Rule 10: one state may be redefined; the others stay, and an unnamed one is visible."""
    policy = parse_policies('[[policy]]\nstates.6 = { name = "crime_scene", counts = "not_visible" }').at(0)
    assert policy.state(6) == State("crime_scene", "not_visible")
    assert {code: policy.state(code) for code in DEFAULT_STATES if code != 6} == {
        code: state for code, state in DEFAULT_STATES.items() if code != 6
    }
    assert policy.state(77) == State("state_77", "visible")
    assert {state.counts for state in DEFAULT_STATES.values()} == set(COUNTS)


BAD = [
    ("", "holds [[policy]] tables and nothing else"),
    ("policy = 3", "holds [[policy]] tables and nothing else"),
    ("[[policy]]\n[other]\n", "holds [[policy]] tables and nothing else"),
    ("[[policy]", "is not TOML"),
    ("[[policy]]\nmax_gap = 3", "unknown setting 'max_gap' (perhaps max_gap_s?); known: apart_m, apart_s"),
    ("[[policy]]\nmax_gap_s = -1", "max_gap_s must be a number, zero or more"),
    ("[[policy]]\nmax_gap_s = nan", "max_gap_s must be a number, zero or more"),
    ("[[policy]]\nmax_gap_s = inf", "max_gap_s must be a number, zero or more"),
    ("[[policy]]\nmax_gap_s = true", "max_gap_s must be a number, zero or more"),
    ("[[policy]]\nmax_gap_s = '3'", "max_gap_s must be a number, zero or more"),
    ("[[policy]]\ntarget = 80", "target is a share from 0 to 1"),
    ("[[policy]]\nmax_gap_s = 1801", "parked_gap_s must be at least max_gap_s"),
    ("[[policy]]\n[[policy]]", "needs 'from = YYYY-MM-DD'"),
    ("[[policy]]\n[[policy]]\nfrom = 3", "needs 'from = YYYY-MM-DD'"),
    (
        "[[policy]]\n[[policy]]\nfrom = 2026-02-01\n[[policy]]\nfrom = 2026-01-01",
        "policy 3: its 'from' must be later than the one before it",
    ),
    ("[[policy]]\nstates.256 = { name = 'x' }", "states.256 must be a status from 0 to 255"),
    ("[[policy]]\nstates.on = { name = 'x' }", "states.on must be a status from 0 to 255"),
    ("[[policy]]\nstates.6 = 'break'", "states.6 must be a status from 0 to 255 = { name, counts }"),
    ("[[policy]]\nstates.6 = { counts = 'rest' }", "states.6.counts must be one of visible, break"),
    ("[[policy]]\nstates.6 = { counts = 'brake' }", "not 'brake' (perhaps break?)"),
    ('[[policy]]\nstates.6 = { name = "\\u0000" }', "states.6.name '\\x00' has characters"),
    (
        "[[policy]]\nvisit_join_s = 1e10",
        "zero or more and at most 1,000,000,000",
    ),
    ("[[policy]]\ntarge = 0.8", "unknown setting 'targe' (perhaps target?)"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_nonsense_is_refused_in_one_line(text: str, message: str) -> None:
    """A policy that cannot be used is refused with a line that says what to mend."""
    with pytest.raises(PolicyError) as caught:
        parse_policies(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["policy = [3]", "[[policy]]\nstates = 5", "[[policy]]\nstates.\"²\" = { name = 'x' }"]
)
def test_wrong_kinds_of_values_are_refused_in_one_line(text: str) -> None:
    """A policy that is no table, or states that are none, are refused and do not end in a traceback."""
    with pytest.raises(PolicyError):
        parse_policies(text)


def test_a_later_policy_rewrites_nothing_counted_before() -> None:
    """A leg and a duty are judged by the policy at their start, so the week before the change stands."""
    start = micros("2026-11-23T00:00:00+00:00")
    later = Policy(max_gap_s=60.0, states={**DEFAULT_STATES, 6: State("at_scene", "not_visible")})
    both = Policies((BEGINNING, start), (Policy(), later))
    fixes = fix_columns(
        [
            ("R1", start + second * SECOND, *BINARY.at(2 + second / 600, 1), None)
            for second in range(-900, 901, 300)
        ]
    )
    area = Area(Kind.NEIGHBOURHOOD, "N1", "N1", box(*BINARY.at(0, 0), *BINARY.at(4, 4)))
    history = AreaHistory([(BEGINNING, AreaSet.of([area]))])
    duties = [
        Duty(
            name, 1, "O1", start + low * SECOND, start + high * SECOND, ("N1",), (Allocation("R1", "radio"),)
        )
        for name, low, high in (("D1", -900, 0), ("D2", 0, 900))
    ]
    states = [StateReport("O1", start - 300 * SECOND, 6), StateReport("O1", start + 600 * SECOND, 6)]

    def counted(policies: Policies, low: int, high: int) -> tuple[int, int, int]:
        found = slices(
            duties, stays(fixes, history, policies), fixes.device_ids, states, history.places, policies
        )
        figure = shares(found, duties, history.places, start + low * SECOND, start + high * SECOND)[0]
        return figure.on_patch // SECOND, figure.not_visible // SECOND, figure.unknown // SECOND

    assert counted(both, -900, 0) == counted(Policies(), -900, 0) == (900, 0, 0)
    assert counted(Policies(), 0, 900) == (900, 0, 0)
    # From the change on, a gap of 300 s is too long and state 6 hides.
    assert counted(both, 0, 900) == (0, 300, 600)
    assert day_start(local_day(start)) == start
