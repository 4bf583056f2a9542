"""From devices to officers, the same for every method and for the truth: duty, states, devices, visits.

What is compared is how positions become time, so that everything after it is done once, here (rules 8 to 11
and 17). That it is what the accounting does is proved by ``tests/core/test_accuracy.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.facts import SECOND
from tests.accuracy.spans import covers, difference, intersection, joined, length, spans, union
from tests.accuracy.world import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream.core.facts import Allocation, Duty, StateReport
    from tests.accuracy.methods import Presence
    from tests.accuracy.spans import Spans
    from tests.accuracy.world import Key, World

BREAK: Final = 4
HIDDEN: Final = (8, 9, 10)
OFF: Final = 11
JOIN: Final = 60 * SECOND
SHORTEST: Final = 120 * SECOND


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """Visits of one officer to one area (rule 17), in order.

    Attributes:
        when: from the entry to the last exit.
        inside: microseconds inside, all visits together.
    """

    when: Spans
    inside: int


def in_state(duty: Duty, states: Sequence[StateReport], *wanted: int) -> Spans:
    """When the officer was in some states during a duty (rule 10)."""
    assert duty.end is not None
    keyed = sorted((state.time, state.state) for state in states if duty.start <= state.time < duty.end)
    opens = [duty.start, *(time for time, _ in keyed)]
    closes = [*(time for time, _ in keyed), duty.end]
    codes = [1, *(code for _, code in keyed)]
    return spans([(a, b) for a, b, code in zip(opens, closes, codes, strict=True) if code in wanted])


def visible(duty: Duty, states: Sequence[StateReport]) -> Spans:
    """The duty without breaks and without states in which nobody is visible."""
    assert duty.end is not None
    return difference(spans([(duty.start, duty.end)]), in_state(duty, states, BREAK, *HIDDEN, OFF))


def counted(duty: Duty, states: Sequence[StateReport]) -> int:
    """Duty time (rule 13), microseconds."""
    assert duty.end is not None
    return duty.end - duty.start - length(in_state(duty, states, BREAK, OFF))


def at_work(world: World, duty: Duty, presence: Mapping[str, Presence]) -> dict[Key, Spans]:
    """When an officer was, visibly, in the home patch and in each priority area, by one method.

    Rule 9: the radio where it is known, else the vehicle allocated latest, else nobody knows.
    """
    left = visible(duty, world.states.get(duty.officer_id, ()))
    found: dict[Key, list[Spans]] = {}
    for device in sorted(duty.devices, key=lambda item: _rank(item, duty)):
        by = presence.get(device.device_id)
        if by is None:
            continue
        held = spans([(device.start or duty.start, device.end or duty.end or ALWAYS[1])])
        seen = intersection(intersection(left, held), by.known)
        left = difference(left, seen)
        for key, inside in by.inside.items():
            if key[0] == "area" or key[1:] == duty.patch:
                found.setdefault(key, []).append(intersection(seen, inside))
    return {key: time for key, parts in found.items() if len(time := union(*parts))}


def _rank(device: Allocation, duty: Duty) -> tuple[bool, int, str]:
    return device.kind != "radio", -max(duty.start, device.start or duty.start), device.device_id


def truly_at_work(world: World, duty: Duty) -> dict[Key, Spans]:
    """The same from the true path."""
    left = visible(duty, world.states.get(duty.officer_id, ()))
    wanted = [key for key in world.polygons if key[0] == "area" or (duty.patch and key[1:] == duty.patch)]
    found = {key: intersection(left, world.truly(duty.officer_id, key)) for key in wanted}
    return {key: time for key, time in found.items() if len(time)}


def visits(inside: Spans, *, join: int = JOIN, shortest: int = SHORTEST) -> Visits:
    """Visits from the time inside an area: absences of at most ``join`` joined, ``shortest`` or longer."""
    whole = joined(inside, join)
    whole = whole[whole[:, 1] - whole[:, 0] >= shortest]
    kept = covers(whole, inside[:, 0])
    return Visits(whole, int((inside[:, 1] - inside[:, 0])[np.asarray(kept)].sum()))
