"""Stays of a crowd: groups and threads change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.policy import Policies
from stream.core.stays import stays
from stream.files.crowd import groups, stays_of_all
from tests.strategies import DECIMAL, World, many, world_fixes, worlds
from tests.worlds import history_of

if TYPE_CHECKING:
    from geo.matching.history import AreaHistory
    from stream.core.stays import Stays


def rows(found: Stays, history: AreaHistory) -> list[tuple[object, ...]]:
    """Columns → values, places written out."""
    return [
        (device, start, end, None if place < 0 else history.places[place])
        for device, start, end, place in zip(
            *(column.tolist() for column in (found.device, found.start, found.end, found.place)), strict=True
        )
    ]


@many(60)
@given(worlds(DECIMAL), st.integers(1, 3), st.integers(1, 20))
def test_groups_and_threads_change_no_stay(world: World, jobs: int, at_once: int) -> None:
    """However the devices are grouped, and on however many threads, the stays are those of all at once."""
    fixes, one, other = world_fixes(world), history_of(world), history_of(world)
    found = stays_of_all(fixes, other, Policies(), jobs=jobs, at_once=at_once)
    assert rows(found, other) == rows(stays(fixes, one, Policies()), one)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 30))
def test_groups_hold_every_device_once(devices: list[int], at_once: int) -> None:
    """Every device with fixes is in one group; a group is larger than asked only for a single device."""
    found = groups(np.array(devices, np.int32), 10, at_once)
    members = [device for low, high in found for device in range(low, high)]
    assert members == sorted(set(members))
    assert set(devices) <= set(members)
    for low, high in found:
        size = sum(low <= device < high for device in devices)
        assert size >= 1
        assert size <= at_once or high == low + 1
