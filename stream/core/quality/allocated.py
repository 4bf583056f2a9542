"""What bookings contradict: radios shared by two officers, and frozen devices beside others (rule 21).

Duties, tracks and runs of equal coordinates in, devices in doubt out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stream.core.columns import changes
from stream.core.facts import SECOND
from stream.core.quality.devices import FROZEN, SHARED_RADIO, of_kind
from stream.core.quality.intervals import common, merged, without
from stream.core.quality.movement import Movement, near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.devices import DeviceDoubts, Runs
    from stream.core.quality.movement import Movements

    Interval: TypeAlias = tuple[int, int]


class Holding(NamedTuple):
    """A device allocated to an officer by a duty that counts, cut to the duty."""

    device: int
    officer: str
    radio: bool
    start: int
    end: int


def holdings(duties: Sequence[Duty], number: Mapping[str, int]) -> list[Holding]:
    """Every allocation of every duty that counts, of devices that were heard."""
    return [item for duty in duties for item in holdings_of(duty, number)]


def holdings_of(duty: Duty, number: Mapping[str, int]) -> Iterable[Holding]:
    """The allocations of a duty, cut to what counts of it: none where nothing does (rules 8 and 8a)."""
    close = duty.until
    for item in duty.devices:
        start = duty.start if item.start is None else max(duty.start, item.start)
        end = close if item.end is None else min(item.end, close)
        if item.device_id in number and start < end:
            yield Holding(number[item.device_id], duty.officer_id, item.kind == "radio", start, end)


class Book:
    """Holdings by some key of theirs, to be asked for by time."""

    def __init__(self, held: Iterable[Holding], key: Callable[[Holding], int | str]) -> None:
        self._items: dict[int | str, list[Holding]] = {}
        for item in sorted(held, key=lambda item: item.start):
            self._items.setdefault(key(item), []).append(item)
        self._starts = {name: [item.start for item in items] for name, items in self._items.items()}
        # How far the holdings so far reach: rising, so that those that end before a time are skipped.
        self._reach = {
            name: list(accumulate((item.end for item in items), max)) for name, items in self._items.items()
        }

    def during(self, key: int | str, start: int, end: int) -> list[Holding]:
        """Those that touch ``[start, end)``."""
        if key not in self._items:
            return []
        low, high = bisect_right(self._reach[key], start), bisect_left(self._starts[key], end)
        return [item for item in self._items[key][low:high] if item.end > start]

    def clusters(self) -> Iterable[list[Holding]]:
        """Those of one key that overlap, directly or by others."""
        for name, items in self._items.items():
            first = 0
            for at in range(1, len(items) + 1):
                if at == len(items) or items[at].start >= self._reach[name][at - 1]:
                    yield items[first:at]
                    first = at


def shared(duties: Sequence[Duty], held: Iterable[Holding]) -> DeviceDoubts:
    """Radios while they are allocated to two or more officers, a row for each of the others."""
    first: dict[str, int] = {}
    for at, duty in enumerate(duties):
        first.setdefault(duty.officer_id, at)
    rows = []
    for items in Book((item for item in held if item.radio), lambda item: item.device).clusters():
        officers = sorted({item.officer for item in items})
        for officer in officers if len(officers) > 1 else ():
            own = merged((item.start, item.end) for item in items if item.officer == officer)
            rest = merged((item.start, item.end) for item in items if item.officer != officer)
            rows += [(items[0].device, low, high, first[officer]) for low, high in common(own, rest)]
    table = np.array(sorted(rows), np.int64).reshape(-1, 4)
    device, start, end, other = (table[:, column].copy() for column in range(4))
    return of_kind(SHARED_RADIO, device, start, end, other)


def beside_others(runs: Runs, held: Sequence[Holding], tracks: Movements, policies: Policies) -> DeviceDoubts:
    """Frozen runs in which another device of the same officer, and of nobody else, was elsewhere for long.

    Of several such devices the first by name is told.
    """
    rank = np.argsort(np.argsort(np.array([*tracks.fixes.device_ids, ""])))
    limits = [policies.policies[at] for at in policies.number_at(runs.start).tolist()]
    rows = [(run, other, *part) for run, other, parts in company(runs, held) for part in parts]
    if not rows:
        return of_kind(FROZEN, runs.device[:0], runs.start[:0], runs.end[:0])
    table = np.array(rows, np.int64)
    of, others, start, end = (table[:, column].copy() for column in range(4))
    row, start, end = tracks.while_known(others, start, end)
    of, others = of[row], others[row]
    legs = tracks.legs(others)
    row, leg, start, end = legs.during(others, start, end)
    of, others = of[row], others[row]
    # A device that stands still is a leg that leads nowhere.
    still = np.zeros(len(of))
    spot = Movement(start, np.ones(len(of)), runs.lon[of], runs.lat[of], still, still)
    metres = np.array([limit.apart_m for limit in limits])[of]
    near_from, near_to = near(spot, legs.ways(leg), start, end, metres)
    pair, back = np.unique(of * len(rank) + rank[others], return_inverse=True)
    away = np.zeros(len(pair), np.int64)
    np.add.at(away, back, (end - start) - (near_to - near_from))
    of, told = np.divmod(pair, len(rank))
    enough = np.flatnonzero(away > np.array([limit.apart_s for limit in limits])[of] * SECOND)
    enough = enough[changes(of[enough])]
    of, others = of[enough], np.argsort(rank)[told[enough]]
    return of_kind(FROZEN, runs.device[of], runs.start[of], runs.end[of], others)


def company(runs: Runs, held: Sequence[Holding]) -> Iterable[tuple[int, int, list[Interval]]]:
    """When an officer with a frozen device holds another that nobody else holds: ``(run, other, when)``."""
    by_device, by_officer = Book(held, lambda item: item.device), Book(held, lambda item: item.officer)
    for run, (device, start, end) in enumerate(
        zip(runs.device.tolist(), runs.start.tolist(), runs.end.tolist(), strict=True)
    ):
        mine: dict[str, list[Interval]] = {}
        for item in by_device.during(device, start, end):
            mine.setdefault(item.officer, []).append((max(item.start, start), min(item.end, end)))
        when: dict[int, list[Interval]] = {}
        for officer, parts in mine.items():
            company: dict[int, list[Interval]] = {}
            for item in by_officer.during(officer, start, end):
                if item.device != device:
                    company.setdefault(item.device, []).append((item.start, item.end))
            for other, held_too in company.items():
                taken = merged(
                    (item.start, item.end)
                    for item in by_device.during(other, start, end)
                    if item.officer != officer
                )
                when.setdefault(other, []).extend(without(common(merged(parts), merged(held_too)), taken))
        yield from ((run, other, when[other]) for other in sorted(when) if when[other])
