"""The demonstration's shift: there is something to see in it, the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from geo.hours import OwnHours
from stream.cli.demo import HOURS, SHIFT, UNVISITED_S
from stream.core.calendar import parse_time
from stream.core.facts import SECOND
from stream.core.live.alerts import NOBODY_ON_PATCH, PRIORITY_UNVISITED, TRACKER_SILENT
from stream.core.live.overview import DAY, DayTracks, deepen, nobody_since
from stream.core.policy import Policies
from stream.core.slices import ON_PATCH, UNSEEN, slices, up_to
from stream.core.stays import stays
from stream.files.account import history_of
from stream.settings import Settings
from stream.simulate import demo_force, simulate
from tests.simulated import fixes_of

STEP = 300 * SECOND
"""How often it is looked at, microseconds: five seconds of the ten minutes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is alarming at an instant: kind and what it is about."""

    time: int
    alarming: frozenset[tuple[str, str]]


@cache
def seen() -> tuple[Seen, ...]:
    """The demonstration's shift with its default seed and officers, looked at from its start to its end."""
    force, policies, settings = demo_force(1), Policies(), Settings()
    start = parse_time(SHIFT)
    made = simulate(force, officers=60, start=start, hours=HOURS, interval_s=30, seed=1)
    history, fixes = history_of(force), fixes_of(made)
    found = slices(
        made.duties,
        stays(fixes, history, policies),
        fixes.device_ids,
        made.states,
        history.places,
        policies,
    )
    windows = OwnHours.of([(0, force)], start - DAY, made.end + DAY)
    looks = []
    for now in range(start + STEP, made.end, STEP):
        depth = deepen(
            DayTracks(now, made.duties, up_to(found, now + SECOND), history.places, windows), force, policies
        )
        there = {
            area
            for at, duty in enumerate(made.duties)
            for area in duty.patch
            if depth.presence.activity[at] == ON_PATCH
        }
        alarming = {
            (NOBODY_ON_PATCH, area)
            for area, since in nobody_since(depth).items()
            if area not in there and now - since >= settings.alert_nobody_on_patch_s * SECOND
        }
        alarming |= {
            (PRIORITY_UNVISITED, item.area_id)
            for item in depth.awaited
            if (since := item.waiting_since(depth.begun)) is not None and now - since >= UNVISITED_S * SECOND
        }
        alarming |= {
            (TRACKER_SILENT, duty.officer_id)
            for at, duty in enumerate(made.duties)
            if depth.presence.activity[at] == UNSEEN
        }
        looks.append(Seen(now, frozenset(alarming)))
    return tuple(looks)


def come_and_gone(kind: str) -> set[str]:
    """What was alarming for a look or more, and then not any more, before the shift was over."""
    ids: set[str] = set()
    for one, other in zip(seen(), seen()[1:], strict=False):
        ids |= {about for said, about in one.alarming - other.alarming if said == kind}
    return ids


def test_neighbourhoods_are_deserted_and_manned_again() -> None:
    """While the demonstration runs an alert comes and goes by itself."""
    assert len(come_and_gone(NOBODY_ON_PATCH)) >= 3


def test_priority_areas_wait_and_are_visited() -> None:
    """Priority areas wait for a visit within their hours, some of them early on, and are visited at last."""
    assert len(come_and_gone(PRIORITY_UNVISITED)) >= 3
    first = next(look.time for look in seen() if any(kind == PRIORITY_UNVISITED for kind, _ in look.alarming))
    assert first <= parse_time(SHIFT) + HOURS * 3600 * SECOND / 4


def test_trackers_fall_silent_and_are_heard_again() -> None:
    """There are gaps: officers whose position is unknown for a while."""
    assert len(come_and_gone(TRACKER_SILENT)) >= 3
