"""The rules' settings, effective-dated.

Values only. Every threshold of the accounting rules is a setting here, with the rule's number. A *policy*
is in force from a date until the next one's: a leg is judged by the policy at its start, a duty by the policy
at its start, so a later change never rewrites what was counted under an earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 -- msgspec reads the types of Policy's fields
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from geo.matching.history import FOREVER
from stream.core.calendar import LOCAL, microseconds, moment
from stream.core.events import UsableLimits, text_fault
from stream.core.facts import LONGEST_DUTY_S, SECOND
from stream.core.toml import TomlError, toml

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


BEGINNING = -(2**62)
"""The start of a first policy or area version: before every event (microseconds)."""

VISIBLE, BREAK, NOT_VISIBLE, OFF_DUTY = "visible", "break", "not_visible", "off_duty"
COUNTS = (VISIBLE, BREAK, NOT_VISIBLE, OFF_DUTY)
MAX_STATE = 255
MAX_NUMBER = 1_000_000_000
"""The largest value of a setting: thirty years of seconds, which every clock and interval can hold."""


class PolicyError(ValueError):
    """A policy file that cannot be used; the message says what to correct."""


@dataclass(frozen=True, slots=True)
class State:
    """What a radio status means: its name, and how its time counts (one of ``COUNTS``)."""

    name: str
    counts: str = VISIBLE


DEFAULT_STATES: dict[int, State] = {
    0: State("emergency"),
    1: State("on_duty"),
    2: State("available"),
    3: State("standby"),
    4: State("refreshments", BREAK),
    5: State("en_route"),
    6: State("at_scene"),
    7: State("committed"),
    8: State("unavailable", NOT_VISIBLE),
    9: State("prisoner_escort", NOT_VISIBLE),
    10: State("court", NOT_VISIBLE),
    11: State("off_duty", OFF_DUTY),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """One set of settings; the defaults are the accounting rules' own.

    Attributes:
        max_error_m: rule 2, a report with a larger error is rejected, metres.
        max_ahead_s: rule 2, how far a report's time may be ahead of its receipt, seconds.
        retention_days: rule 2, facts older than this at receipt are rejected, days.
        jump_speed_mps: rules 3 and 4a, metres a second.
        longest_duty_s: rule 8a, a booked duty that is longer counts for nothing, and an open one no further,
            seconds.
        max_gap_s: rules 4 and 4a, the longest leg on which the device is held to have moved straight,
            seconds.
        parked_gap_s: rule 4, the longest leg on which a device that did not move is held to have stayed,
            seconds.
        parked_distance_m: rule 4, metres.
        default_error_m: rule 14, the error of a fix that does not state one, metres.
        target: rule 13, the share promised, 0 to 1.
        visit_join_s: rule 17, absences up to this long are joined, seconds.
        visit_min_s: rule 17, the shortest visit, seconds.
        double_speed_mps: rule 21, how fast both legs at a turn of two interleaved tracks are, m/s.
        double_turns: rule 21, how many such turns make a device doubtful.
        double_within_s: rule 21, the time within which they lie, and within which stretches are joined,
            seconds.
        frozen_s: rule 21, the shortest run of equal coordinates that may be a frozen receiver, seconds.
        frozen_speed_mps: rule 21, a fix of such a run that states a higher speed speaks against it, metres a
            second.
        apart_m: rule 21, how far an officer's devices are from each other to contradict; rule 4a, how
            long two impossible legs are at least for what lies between to be unknown, metres.
        apart_s: rule 21, and for how long, seconds.
        apart_speed_mps: rule 21, how fast a vehicle's leg is that is somewhere else than its officer's radio,
            metres a second.
        team_months: how many whole months in one team make an officer experienced in it.
        lent_days: an absence from a team up to this long, in days, is a secondment and no change of team.
        unseen_days: an officer without a duty for this long, in days, is listed as not seen.
        states: rule 10, what each radio status means; a status not named here counts as visible.
    """

    max_error_m: float = 200.0
    max_ahead_s: float = 300.0
    retention_days: float = 400.0
    jump_speed_mps: float = 80.0
    longest_duty_s: float = float(LONGEST_DUTY_S)
    max_gap_s: float = 300.0
    parked_gap_s: float = 1800.0
    parked_distance_m: float = 50.0
    default_error_m: float = 10.0
    target: float = 0.80
    visit_join_s: float = 60.0
    visit_min_s: float = 120.0
    double_speed_mps: float = 40.0
    double_turns: float = 6.0
    double_within_s: float = 900.0
    frozen_s: float = 1800.0
    frozen_speed_mps: float = 2.0
    apart_m: float = 500.0
    apart_s: float = 900.0
    apart_speed_mps: float = 5.0
    team_months: float = 12.0
    lent_days: float = 14.0
    unseen_days: float = 28.0
    states: Mapping[int, State] = field(default_factory=lambda: dict(DEFAULT_STATES))

    def state(self, code: int) -> State:
        """The meaning of a radio status; an unnamed one is visible and called by its number."""
        return self.states.get(code) or State(f"state_{code}")

    @property
    def longest_duty(self) -> int:
        """``longest_duty_s`` in microseconds."""
        return round(self.longest_duty_s * SECOND)


@dataclass(frozen=True, slots=True)
class Policies:
    """Policies in the order in which they come into force.

    Attributes:
        starts: microseconds since 1970 UTC, strictly rising; the first is ``BEGINNING``.
        policies: as many policies.
        versions: their numbers on record; empty where they are from a file.
        edition: the newest number on record when these were read; 0 where they are from a file.
    """

    starts: tuple[int, ...] = (BEGINNING,)
    policies: tuple[Policy, ...] = (Policy(),)
    versions: tuple[int, ...] = field(default=(), compare=False)
    edition: int = field(default=0, compare=False)

    def number_at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which policy is in force at each time: ``int64[n]``, an index into ``policies``."""
        if len(self.starts) == 1:
            return np.zeros(len(times), np.int64)
        return np.searchsorted(np.asarray(self.starts, np.int64), times, side="right").astype(np.int64) - 1

    def at(self, time_us: int) -> Policy:
        """The policy in force at a time (microseconds)."""
        return self.policies[int(self.number_at(np.array([time_us], np.int64))[0])]

    def versions_in(self, start: int, end: int) -> tuple[int, ...]:
        """The numbers on record of those in force at any time of ``[start, end)`` (microseconds)."""
        ends = (*self.starts[1:], FOREVER)
        return tuple(
            version
            for version, low, high in zip(self.versions, self.starts, ends, strict=False)
            if low < end and high > start
        )

    def setting(
        self, get: Callable[[Policy], float], times: NDArray[np.int64]
    ) -> NDArray[np.float64] | np.float64:
        """One setting at each time: a scalar where there is one policy, else ``float64[n]``."""
        values = np.array([get(policy) for policy in self.policies], np.float64)
        return np.float64(values[0]) if len(values) == 1 else values[self.number_at(times)]


# ── what a policy says, and where two differ ──────────────────────────────────────────────────────────────

READ_SETTINGS = frozenset(
    {"target", "visit_join_s", "visit_min_s", "team_months", "lent_days", "unseen_days"}
)
"""Settings that apply when a figure is read: no stay and no slice depends on them."""

RECEIPT_SETTINGS = frozenset({"max_error_m", "max_ahead_s", "retention_days"})
"""Settings that apply when a report is received (rule 2): no stored fact depends on them afterwards."""


def settings_of(policy: Policy) -> dict[str, Any]:
    """Every setting by name, as JSON has it: ``states`` by number, with name and what they count as."""
    found: dict[str, Any] = msgspec.to_builtins(policy, str_keys=True)
    return found


def canonical(policy: Policy) -> bytes:
    """The same as JSON with sorted keys and no blanks: equal policies have equal bytes."""
    return msgspec.json.encode(settings_of(policy), order="sorted")


def policy_of(settings: Mapping[str, Any]) -> Policy:
    """The reverse of ``settings_of``; a setting that is not there has its default.

    Raises:
        PolicyError: it has a setting that this program does not know, or a value of another kind.
    """
    known = {item.name for item in fields(Policy)}
    if unknown := sorted(settings.keys() - known):
        raise PolicyError(
            f"a policy on record has the setting '{unknown[0]}', which this program does not know: "
            "use the newer program that loaded it"
        )
    try:
        return msgspec.convert(settings, Policy, str_keys=True)
    except msgspec.ValidationError as error:
        raise PolicyError(f"a policy on record cannot be read: {error}") from error


def counted_by(policy: Policy) -> dict[str, Any]:
    """The part of a policy on which stays and slices depend: by equal parts they are counted alike."""
    found = {
        name: value
        for name, value in settings_of(policy).items()
        if name not in READ_SETTINGS | RECEIPT_SETTINGS
    }
    # A name changes nothing, and a status that is not named is visible.
    found["states"] = {
        code: state["counts"] for code, state in found["states"].items() if state["counts"] != VISIBLE
    }
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that two sets of policies give different values for a time.

    Attributes:
        start: from when, microseconds; ``BEGINNING``: always.
        end: until when, exclusive; ``FOREVER``: for good.
        setting: its name; of a radio status ``states.12``.
        before: the one value, in words.
        after: the other.
    """

    start: int
    end: int
    setting: str
    before: str
    after: str


def spans(first: Policies, second: Policies, since: int = BEGINNING) -> list[tuple[int, int, Policy, Policy]]:
    """``(start, end, policy of the one, of the other)`` of the times in which two differ, in order.

    Args:
        first: the one.
        second: the other.
        since: from where on, microseconds.
    """
    edges = sorted({since, *(start for start in (*first.starts, *second.starts) if start > since)})
    found: list[tuple[int, int, Policy, Policy]] = []
    for start, end in zip(edges, [*edges[1:], FOREVER], strict=True):
        one, other = first.at(start), second.at(start)
        if canonical(one) == canonical(other):
            continue
        if found and found[-1][1:] == (start, one, other):
            found[-1] = (found[-1][0], end, one, other)
        else:
            found.append((start, end, one, other))
    return found


def differences(first: Policies, second: Policies, since: int = BEGINNING) -> list[Difference]:
    """What two sets of policies say differently, by time and setting; empty where they are alike.

    Args: see ``spans``.
    """
    found = []
    for start, end, one, other in spans(first, second, since):
        before, after = _said(one), _said(other)
        found += [
            Difference(start, end, name, before.get(name, "not named"), after.get(name, "not named"))
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]
    return found


def _said(policy: Policy) -> dict[str, str]:
    said = settings_of(policy)
    states = said.pop("states")
    return {
        **{name: _plain(value) for name, value in said.items()},
        **{f"states.{code}": f"{state['name']} ({state['counts']})" for code, state in states.items()},
    }


def _plain(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, int | float) else str(value)


def as_toml(policies: Policies) -> str:
    """A policy file that says the same: what differs from the defaults, with dates."""
    default = settings_of(Policy())
    lines = []
    for start, policy in zip(policies.starts, policies.policies, strict=True):
        lines.append("[[policy]]")
        if start > BEGINNING:
            local = moment(start).astimezone(LOCAL)
            midnight = local.time() == time()
            lines.append(f"from = {local.date().isoformat() if midnight else local.isoformat()}")
        for name, value in settings_of(policy).items():
            if name == "states":
                lines += [
                    f'states.{code} = {{ name = {_quoted(state["name"])}, counts = "{state["counts"]}" }}'
                    for code, state in value.items()
                    if default["states"].get(code) != state
                ]
            elif value != default[name]:
                lines.append(f"{name} = {_plain(value) if not isinstance(value, str) else _quoted(value)}")
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    # JSON's way to write a text is TOML's too, but for one character, which JSON leaves as it is.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


# ── policy files ──────────────────────────────────────────────────────────────────────────────────────────


def parse_policies(text: str) -> Policies:
    """Policies from TOML: one ``[[policy]]`` table each, with ``from`` (a local date or a time with offset).

    Only what differs from the default needs to be said. The first may leave ``from`` out: it then holds from
    the beginning; with it, the defaults hold until then. States are given as
    ``states.8 = { name = "unavailable", counts = "not_visible" }``.

    Raises:
        PolicyError: text that is not TOML, an unknown setting, an invalid value, or dates out of order.
    """
    try:
        document = toml(text)
    except TomlError as error:
        found = re.search(r"^\s*(\w+)\s*=\s*(\d+),(\d+)\s*(?:#|$)", text, re.MULTILINE | re.ASCII)
        hint = f"; write {found[1]} = {found[2]}.{found[3]}, with a point" if found else ""
        raise PolicyError(f"the policy file is not TOML: {error}{hint}") from error
    tables: Sequence[dict[str, Any]] = document.get("policy", [])
    unknown = sorted(set(document) - {"policy"})
    if unknown or not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise PolicyError("a policy file holds [[policy]] tables and nothing else; see stream/README.md")
    starts: list[int] = []
    policies: list[Policy] = []
    for number, table in enumerate(tables):
        if number == 0 and "from" in table:
            # Only a change is given: until then the rules' defaults are in force.
            starts.append(BEGINNING)
            policies.append(Policy())
        start = _start(table.pop("from", None), first=number == 0)
        if starts and start <= starts[-1]:
            raise PolicyError(f"policy {number + 1}: its 'from' must be later than the one before it")
        starts.append(start)
        policies.append(_policy(table, number + 1))
    return Policies(tuple(starts), tuple(policies))


def _start(value: object, *, first: bool) -> int:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=LOCAL)
        return microseconds(value)
    if isinstance(value, date):
        return microseconds(datetime.combine(value, time(), LOCAL))
    if value is None and first:
        return BEGINNING
    if isinstance(value, str):
        raise PolicyError(f'from = "{value}": write the date without quotes, from = YYYY-MM-DD')
    raise PolicyError("each policy after the first needs 'from = YYYY-MM-DD', the day it comes into force")


def _policy(table: dict[str, Any], number: int) -> Policy:
    states = dict(DEFAULT_STATES)
    given = table.pop("states", {})
    if not isinstance(given, dict):
        raise PolicyError(
            f"policy {number}: states must be a table of radio statuses, like states.8 = {{ … }}"
        )
    for code, meaning in given.items():
        numbered = code.isascii() and code.isdigit() and int(code) <= MAX_STATE
        if not (numbered and isinstance(meaning, dict) and set(meaning) <= {"name", "counts"}):
            raise PolicyError(
                f"policy {number}: states.{code} must be a status from 0 to {MAX_STATE} = {{ name, counts }}"
            )
        state = State(str(meaning.get("name", f"state_{code}")), str(meaning.get("counts", VISIBLE)))
        if fault := text_fault(state.name):
            raise PolicyError(f"policy {number}: states.{code}.name {fault}")
        if state.counts not in COUNTS:
            raise PolicyError(
                f"policy {number}: states.{code}.counts must be one of {', '.join(COUNTS)}, "
                f"not '{state.counts}'{_nearest(state.counts, COUNTS)}"
            )
        states[int(code)] = state
    known = {item.name for item in fields(Policy)} - {"states"}
    for name, value in table.items():
        if name not in known:
            raise PolicyError(
                f"policy {number}: unknown setting '{name}'{_nearest(name, [*known, 'from', 'states'])}; "
                f"known: {', '.join(sorted(known))}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMBER:
            raise PolicyError(
                f"policy {number}: {name} must be a number, zero or more and at most {MAX_NUMBER:,}"
            )
    policy = replace(Policy(), states=states, **{name: float(value) for name, value in table.items()})
    if policy.parked_gap_s < policy.max_gap_s:
        raise PolicyError(f"policy {number}: parked_gap_s must be at least max_gap_s")
    if policy.target > 1:
        raise PolicyError(f"policy {number}: target is a share from 0 to 1: write 0.8 for 80%")
    return policy


def _nearest(word: str, known: Sequence[str]) -> str:
    found = get_close_matches(word, known, 1)
    return f" (perhaps {found[0]}?)" if found else ""


DAY_S = 86_400


def limits(policies: Policies) -> UsableLimits:
    """Rule 2's limits: those of the policy in force at a report's own time."""
    first, *later = (
        UsableLimits(policy.retention_days * DAY_S, policy.max_error_m, policy.max_ahead_s)
        for policy in policies.policies
    )
    return replace(first, later=tuple(zip(policies.starts[1:], later, strict=True)))
