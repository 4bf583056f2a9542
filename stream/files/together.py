"""What is counted together, from positions and bookings to slices, doubts and what the tracks are worth.

It only calls the core, and is the same whoever calls it: ``stream.files.account`` for everything at once,
``stream.files.spark`` for officers who share devices. Nothing is counted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stream.core.quality.devices import DeviceDoubts, device_doubts
from stream.core.quality.doubts import Doubts
from stream.core.quality.doubts import doubts as doubts_of
from stream.core.quality.tracks import Extent, Held, Tracked, renumbered, tracked
from stream.core.slices import Slices, slices
from stream.files.crowd import stays_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.matching.history import AreaHistory
    from stream.core.facts import Duty, Fixes, StateReport
    from stream.core.policy import Policies
    from stream.core.stays import Stays


class Bookings(NamedTuple):
    """Bookings and states, those of other officers perhaps among the stretches.

    Attributes:
        duties: newest revisions.
        states: of the duties' officers at least.
        held: when devices are booked, by the names in ``held_ids``.
    """

    duties: Sequence[Duty]
    states: Sequence[StateReport]
    held: Held
    held_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """What the facts of some devices and duties amount to.

    Attributes:
        stays: in the fixes' numbering of devices.
        slices: of the duties, in their order.
        doubts: the duties' doubtful time (rule 21).
        tracked: what the tracks are worth (rule 22); ``covered.row`` is a row of ``Bookings.held``.
        devices: when devices are in doubt.
    """

    stays: Stays
    slices: Slices
    doubts: Doubts
    tracked: Tracked
    devices: DeviceDoubts


def together(
    fixes: Fixes,
    booked: Bookings,
    history: AreaHistory,
    policies: Policies,
    *,
    jobs: int = 1,
) -> Together:
    """Counts facts that belong together: with each device all duties that name it, and the other way.

    Args:
        fixes: usable reports, in any order.
        booked: the duties and when devices are booked.
        history: the boundaries; learns the places that are met.
        policies: the settings of every rule.
        jobs: how many threads count stays.
    """
    mine = renumbered(booked.held, booked.held_ids, fixes.device_ids)
    extent = Extent.of(areas for _, areas in history.versions)
    seen: list[Tracked] = []
    doubted: list[DeviceDoubts] = []

    def look(reported: Fixes, ordered: Fixes) -> None:
        seen.append(tracked(reported, ordered, mine, extent, policies))
        doubted.append(device_doubts(ordered, policies))

    stays = stays_of_all(fixes, history, policies, jobs=jobs, look=look)
    if not seen:
        look(fixes, fixes)
    counted = slices(booked.duties, stays, fixes.device_ids, booked.states, history.places, policies)
    doubtful = doubts_of(booked.duties, fixes, stays, counted, history.places, policies)
    return Together(stays, counted, doubtful, Tracked.of_groups(seen), DeviceDoubts.joined(doubted))
