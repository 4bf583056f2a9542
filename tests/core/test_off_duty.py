"""What is shown of tracks: time in duties, and nothing else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given

from stream.core.off_duty import in_duty, on_duty
from stream.core.policy import Policies
from stream.core.slices import newest, slices
from stream.core.stays import stays
from tests.strategies import many, world_fixes, worlds
from tests.worlds import history_of

if TYPE_CHECKING:
    from tests.strategies import World

POLICIES = Policies()


@many(60)
@given(worlds())
def test_shown_time_is_that_of_devices_allocated_to_officers_on_duty(world: World) -> None:
    """An instant of a stay is shown if, and only if, a slice of a duty that holds its device covers it."""
    fixes, history = world_fixes(world), history_of(world)
    duties = newest(world.duties)
    found = stays(fixes, history, POLICIES)
    counted = slices(duties, found, fixes.device_ids, world.states, history.places, POLICIES)
    shown = in_duty(found, counted, duties, fixes.device_ids)

    covered = [
        (name.device_id, max(start, name.start or start), min(end, name.end or end))
        for duty, start, end in zip(
            counted.duty.tolist(), counted.start.tolist(), counted.end.tolist(), strict=True
        )
        for name in duties[duty].devices
    ]
    edges = sorted(
        {time for _, *pair in covered for time in pair} | {*found.start.tolist(), *found.end.tolist()}
    )
    rows = list(zip(*(column.tolist() for column in (found.device, found.start, found.end)), strict=True))
    parts = list(zip(*(column.tolist() for column in (shown.device, shown.start, shown.end)), strict=True))
    for low, high in itertools.pairwise(edges):
        for device, name in enumerate(fixes.device_ids):
            there = any(item == device and start <= low and end >= high for item, start, end in rows)
            duty = any(item == name and start <= low and end >= high for item, start, end in covered)
            told = any(item == device and start <= low and end >= high for item, start, end in parts)
            assert told == (there and duty)
    whose, begins, ends = on_duty(counted, duties, fixes.device_ids)
    assert (ends > begins).all()
    assert ((whose[1:] > whose[:-1]) | (begins[1:] > ends[:-1])).all()


@given(worlds())
def test_without_duties_nothing_is_shown(world: World) -> None:
    """Devices that nobody booked have tracks, of which nothing is shown."""
    fixes, history = world_fixes(replace(world, duties=())), history_of(world)
    found = stays(fixes, history, POLICIES)
    counted = slices([], found, fixes.device_ids, [], history.places, POLICIES)
    assert not len(in_duty(found, counted, [], fixes.device_ids))
