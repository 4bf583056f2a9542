"""The stays of very many devices: the same core, a group at a time, on several processors.

Around ``stream.core.stays``: it gives what the core gives for all devices at once. Groups bound the memory;
numpy releases Python's lock while it works, so threads use several processors.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from stream.core.stays import Stays, in_order, stays, take

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from geo.matching.history import AreaHistory
    from stream.core.facts import Fixes
    from stream.core.policy import Policies

AT_ONCE = 1_000_000
"""Fixes that are counted together, as far as whole devices allow."""


def groups(device: NDArray[np.int32], devices: int, at_once: int) -> list[tuple[int, int]]:
    """Ranges of device numbers with about so many fixes each, ``[from, to)``, none empty."""
    before = np.concatenate([[0], np.cumsum(np.bincount(device, minlength=devices))])
    found, low = [], 0
    while low < devices:
        high = max(low + 1, int(np.searchsorted(before, before[low] + at_once, side="right")) - 1)
        if before[high] > before[low]:
            found.append((low, high))
        low = high
    return found


def stays_of_all(
    fixes: Fixes,
    history: AreaHistory,
    policies: Policies,
    *,
    jobs: int = 1,
    at_once: int = AT_ONCE,
    look: Callable[[Fixes, Fixes], None] | None = None,
) -> Stays:
    """The stays of all devices (see ``stream.core.stays.stays``), in bounded memory.

    Args:
        fixes: any reports, in any order.
        history: the area versions; learns the places that are met.
        policies: the settings of rules 3, 4 and 14.
        jobs: how many threads.
        at_once: about how many fixes each takes at a time.
        look: is given each group's fixes as reported, and the same after rule 1, from any thread and in any
            order; so that whatever else is to be known of a track need not sort it again.
    """
    parts = groups(fixes.device, len(fixes.device_ids), at_once)
    # Each thread has a history of its own, since a history learns; which group goes to which is fixed.
    histories = [history, *(history.again() for _ in range(min(jobs, len(parts)) - 1))]

    def work(number: int) -> list[Stays]:
        found = []
        for low, high in parts[number :: len(histories)]:
            reported = take(fixes, np.flatnonzero((fixes.device >= low) & (fixes.device < high)))
            ordered = in_order(reported)
            if look is not None:
                look(reported, ordered)
            found.append(stays(ordered, histories[number], policies))
        return found

    if len(histories) == 1:
        done = [work(0)]
    else:
        with ThreadPoolExecutor(len(histories)) as pool:
            done = list(pool.map(work, range(len(histories))))
    for own, found in zip(histories[1:], done[1:], strict=True):
        number = np.array([*(history.number(place) for place in own.places), -1], np.int32)
        for at, item in enumerate(found):
            found[at] = Stays(item.device, item.start, item.end, number[item.place])
    return _joined([done[at % len(done)][at // len(done)] for at in range(len(parts))], fixes)


def _joined(parts: Sequence[Stays], fixes: Fixes) -> Stays:
    if not parts:
        return Stays(fixes.device[:0], fixes.time[:0], fixes.time[:0], fixes.device[:0])
    return Stays.joined(parts)
