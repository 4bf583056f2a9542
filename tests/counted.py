"""A world, counted: for tests of what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geo.matching.history import UNKNOWN
from stream.core.abstraction import Meaning, Where
from stream.core.policy import Policies, parse_policies
from stream.core.shares import Figures, shares
from stream.core.slices import newest, slices
from stream.core.stays import stays
from tests.strategies import World, world_fixes
from tests.worlds import history_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.slices import Slices

RENAMED = parse_policies(
    """
    [[policy]]
    [[policy]]
    from = 2026-11-23T08:05:00Z
    states.1 = { name = "patrol", counts = "visible" }
    states.6 = { name = "busy", counts = "not_visible" }
    """
)
"""In the middle of most worlds two states get other names, and one another meaning."""


class Case:
    """A world, counted: slices with no open end, and what they point at."""

    def __init__(self, world: World, policies: Policies) -> None:
        fixes = world_fixes(world)
        history = history_of(world)
        self.duties: Sequence[Duty] = newest(world.duties)
        self.device_ids = fixes.device_ids
        self.slices: Slices = slices(
            self.duties,
            stays(fixes, history, policies),
            fixes.device_ids,
            world.states,
            history.places,
            policies,
        )
        self.places: Sequence[Place] = history.places
        self.world, self.policies = world, policies

    def figures(self, start: int, end: int) -> list[Figures]:
        """The figures of all scopes."""
        return shares(self.slices, self.duties, self.places, start, end)

    def state(self, duty: Duty, time: int) -> Meaning:
        """Rule 10, read once more: the last state keyed in the duty, of several at once the greatest."""
        keyed = [
            (report.time, report.state)
            for report in self.world.states
            if report.officer_id == duty.officer_id and duty.start <= report.time <= time
        ]
        code = max(keyed)[1] if keyed else 1
        return Meaning(code, self.policies.at(duty.start).state(code).name)

    def where(self, place: int) -> Where:
        """Where a place is, in the words of the abstraction."""
        if place == UNKNOWN:
            return Where("", "")
        found = self.places[place]
        return Where(found.neighbourhood or "outside", found.premises or "")
