"""Policies: what is said is what counts, from the day it is said for, and nonsense is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core.calendar import day_start, local_day
from stream.core.events import judge, text_fault
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import (
    BEGINNING,
    COUNTS,
    DEFAULT_STATES,
    Policies,
    Policy,
    PolicyError,
    State,
    as_toml,
    canonical,
    differences,
    limits,
    parse_policies,
    policy_of,
    settings_of,
)
from stream.core.shares import shares
from stream.core.slices import slices
from stream.core.stays import stays
from stream.settings import SettingsError, read_policies
from tests.strategies import BINARY, fix_columns, micros

if TYPE_CHECKING:
    from pathlib import Path

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
    ("[[policy]]\ntarget = 0,85", "; write target = 0.85, with a point"),
    ("[[policy]]\nfrom = '2027-01-01'", "write the date without quotes, from = YYYY-MM-DD"),
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


# ── policies compared, and as they are on record ──────────────────────────────────────────────────────────

ODD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp")), min_size=1, max_size=20)
VALUES = st.floats(0, 1e9) | st.integers(0, 10**9).map(float) | st.sampled_from((0.1 + 0.2, 1e-300, 5e-324))
ANY_POLICY = st.builds(
    lambda values, target, gaps, states: replace(
        Policy(**values),
        target=target,
        max_gap_s=min(gaps),
        parked_gap_s=max(gaps),
        states=DEFAULT_STATES | states,
    ),
    st.fixed_dictionaries(
        {}, optional={name: VALUES for name in NUMBERS if name not in {"target", "max_gap_s", "parked_gap_s"}}
    ),
    st.floats(0, 1),
    st.tuples(VALUES, VALUES),
    st.dictionaries(
        st.integers(0, 255),
        st.builds(State, ODD.filter(lambda name: not text_fault(name)), st.sampled_from(COUNTS)),
        max_size=4,
    ),
)
DATES = st.integers(micros("1970-01-02T00:00:00+00:00"), micros("2099-01-01T00:00:00+00:00"))


@st.composite
def dated(draw: st.DrawFn) -> Policies:
    """Some policies, each from a time on."""
    starts = (BEGINNING, *sorted(draw(st.sets(DATES, max_size=3))))
    return Policies(starts, tuple(draw(ANY_POLICY) for _ in starts))


@given(ANY_POLICY)
def test_a_policy_comes_back_from_its_record(policy: Policy) -> None:
    """Written as canonical JSON and read, it is the same; without a setting, that has its default."""
    settings = msgspec.json.decode(canonical(policy))
    assert policy_of(settings) == policy
    assert canonical(policy_of(settings)) == canonical(policy)
    for name in settings:
        left = {key: value for key, value in settings.items() if key != name}
        assert policy_of(left) == replace(policy, **{name: getattr(Policy(), name)})


@given(dated())
def test_policies_come_back_from_the_file_that_says_them(policies: Policies) -> None:
    """What `as_toml` writes says the same, whatever the names, numbers and times."""
    assert differences(policies, parse_policies(as_toml(policies))) == []


@given(dated(), dated(), DATES)
def test_two_policies_differ_where_a_setting_does(one: Policies, other: Policies, since: int) -> None:
    """At each instant the differences named are those between the two in force; none are named before."""
    found = differences(one, other, since)
    edges = sorted({since, since - 1, *one.starts, *other.starts, *(item.end - 1 for item in found)})
    for time in edges:
        named = {item.setting for item in found if item.start <= time < item.end}
        if time < since:
            assert not named
            continue
        said = [
            {**settings_of(policy), **{f"states.{k}": v for k, v in settings_of(policy)["states"].items()}}
            for policy in (one.at(time), other.at(time))
        ]
        for name in said[0].keys() | said[1].keys():
            if name != "states" and (name in named) != (said[0].get(name) != said[1].get(name)):
                # Named or not by fifteen digits, as people read them.
                assert abs(said[0][name] - said[1][name]) <= 1e-14 * said[0][name]


@given(dated(), st.data())
def test_a_report_is_judged_by_the_limits_of_its_own_time(policies: Policies, data: st.DataObject) -> None:
    """Each of many reports at once is usable or not as by the policy in force at its time alone (rule 2)."""
    times = st.sampled_from(policies.starts[1:] or (micros("2026-11-16T00:00:00+00:00"),))
    rows = data.draw(
        st.lists(st.tuples(times, st.sampled_from((-1, 0, 1)), VALUES, VALUES, st.booleans()), max_size=20)
    )
    time = np.array([at + by for at, by, *_ in rows], np.int64)
    error = np.array([row[2] for row in rows], np.float64)
    off = np.array([int(row[3]) * SECOND * (1 if row[4] else -1) for row in rows], np.int64)
    receipt = np.maximum(time + off, 0)
    lon = np.full(len(rows), 1.0)
    found = judge(time, lon, lon, error, receipt, limits=limits(policies))
    for at in range(len(rows)):
        row = slice(at, at + 1)
        alone = Policies((BEGINNING,), (policies.at(int(time[at])),))
        wanted = judge(time[row], lon[row], lon[row], error[row], receipt[row], limits=limits(alone))
        assert found[at] == wanted[0]
        assert replace(limits(policies).at(int(time[at])), later=()) == limits(alone)


@given(st.sampled_from(("utf-8", "utf-8-sig", "utf-16")), st.booleans(), dated())
def test_a_policy_file_is_read_as_windows_writes_it(
    tmp_path_factory: pytest.TempPathFactory, encoding: str, crlf: bool, policies: Policies
) -> None:
    """With a byte order mark, in UTF-16, with carriage returns: it says the same."""
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(as_toml(policies), encoding=encoding, newline="\r\n" if crlf else "\n")
    assert differences(policies, read_policies(str(path))) == []


def test_a_policy_file_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Bytes that are not UTF-8: one line, and what to save it as."""
    path = tmp_path / "policy.toml"
    path.write_bytes("[[policy]]\nstates.6 = { name = 'café' }\n".encode("latin-1"))
    with pytest.raises(SettingsError, match="not text in UTF-8: save it as UTF-8"):
        read_policies(str(path))
