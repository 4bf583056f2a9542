"""The rules' settings, effective-dated.

Values only. Every threshold of the accounting rules is a setting here, with the rule's number. A *policy*
is in force from a date until the next one's: a leg is judged by the policy at its start, a duty by the policy
at its start, so a later change never rewrites what was counted under an earlier one.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import numpy as np

from stream.core.calendar import LOCAL, microseconds
from stream.core.events import UsableLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray


BEGINNING = -(2**62)
"""The start of a first policy or area version: before every event (microseconds)."""

VISIBLE, BREAK, NOT_VISIBLE, OFF_DUTY = "visible", "break", "not_visible", "off_duty"
COUNTS = (VISIBLE, BREAK, NOT_VISIBLE, OFF_DUTY)
MAX_STATE = 255


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
        jump_speed_mps: rule 3, metres a second.
        max_gap_s: rule 4, the longest leg on which the device is held to have moved straight, seconds.
        parked_gap_s: rule 4, the longest leg on which a device that did not move is held to have stayed,
            seconds.
        parked_distance_m: rule 4, metres.
        default_error_m: rule 14, the error of a fix that does not state one, metres.
        target: rule 13, the share promised, 0 to 1.
        visit_join_s: rule 17, absences up to this long are joined, seconds.
        visit_min_s: rule 17, the shortest visit, seconds.
        team_months: how many whole months in one team make an officer experienced in it.
        lent_days: an absence from a team up to this long, in days, is a secondment and no change of team.
        unseen_days: an officer without a duty for this long, in days, is listed as not seen.
        states: rule 10, what each radio status means; a status not named here counts as visible.
    """

    max_error_m: float = 200.0
    max_ahead_s: float = 300.0
    retention_days: float = 400.0
    jump_speed_mps: float = 80.0
    max_gap_s: float = 300.0
    parked_gap_s: float = 1800.0
    parked_distance_m: float = 50.0
    default_error_m: float = 10.0
    target: float = 0.80
    visit_join_s: float = 60.0
    visit_min_s: float = 120.0
    team_months: float = 12.0
    lent_days: float = 14.0
    unseen_days: float = 28.0
    states: Mapping[int, State] = field(default_factory=lambda: dict(DEFAULT_STATES))

    def state(self, code: int) -> State:
        """The meaning of a radio status; an unnamed one is visible and called by its number."""
        return self.states.get(code) or State(f"state_{code}")


@dataclass(frozen=True, slots=True)
class Policies:
    """Policies in the order in which they come into force.

    Attributes:
        starts: microseconds since 1970 UTC, strictly rising; the first is ``BEGINNING``.
        policies: as many policies.
    """

    starts: tuple[int, ...] = (BEGINNING,)
    policies: tuple[Policy, ...] = (Policy(),)

    def number_at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which policy is in force at each time: ``int64[n]``, an index into ``policies``."""
        if len(self.starts) == 1:
            return np.zeros(len(times), np.int64)
        return np.searchsorted(np.asarray(self.starts, np.int64), times, side="right").astype(np.int64) - 1

    def at(self, time_us: int) -> Policy:
        """The policy in force at a time (microseconds)."""
        return self.policies[int(self.number_at(np.array([time_us], np.int64))[0])]

    def setting(
        self, get: Callable[[Policy], float], times: NDArray[np.int64]
    ) -> NDArray[np.float64] | np.float64:
        """One setting at each time: a scalar where there is one policy, else ``float64[n]``."""
        values = np.array([get(policy) for policy in self.policies], np.float64)
        return np.float64(values[0]) if len(values) == 1 else values[self.number_at(times)]


def parse_policies(text: str) -> Policies:
    """Policies from TOML: one ``[[policy]]`` table each, with ``from`` (a local date or a time with offset).

    Only what differs from the default needs to be said. The first may leave ``from`` out: it then holds from
    the beginning; with it, the defaults hold until then. States are given as
    ``states.8 = { name = "unavailable", counts = "not_visible" }``.

    Raises:
        PolicyError: text that is not TOML, an unknown setting, an invalid value, or dates out of order.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"the policy file is not TOML: {error}") from error
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
        if state.counts not in COUNTS:
            raise PolicyError(f"policy {number}: states.{code}.counts must be one of {', '.join(COUNTS)}")
        states[int(code)] = state
    known = {item.name for item in fields(Policy)} - {"states"}
    for name, value in table.items():
        if name not in known:
            raise PolicyError(f"policy {number}: unknown setting '{name}'; known: {', '.join(sorted(known))}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise PolicyError(f"policy {number}: {name} must be a number, zero or more")
    policy = replace(Policy(), states=states, **{name: float(value) for name, value in table.items()})
    if policy.parked_gap_s < policy.max_gap_s:
        raise PolicyError(f"policy {number}: parked_gap_s must be at least max_gap_s")
    if policy.target > 1:
        raise PolicyError(f"policy {number}: target is a share from 0 to 1: write 0.8 for 80%")
    return policy


DAY_S = 86_400


def limits(policies: Policies) -> UsableLimits:
    """Rule 2's limits as the policy now in force sets them (the newest)."""
    policy = policies.policies[-1]
    return UsableLimits(policy.retention_days * DAY_S, policy.max_error_m, policy.max_ahead_s)
