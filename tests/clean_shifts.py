"""How often clean facts are called doubtful: simulated shifts with real trackers, in which nothing is wrong.

By hand, larger than in the tests: ``python -m tests.clean_shifts --officers 300 --hours 10 --seeds 3 4 5``.
With ``--pinned`` devices repeat a position to the last digit until they are 30 m away from it, as many real
ones do while they stand.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geo.matching.history import AreaHistory
from stream.core import frames
from stream.core.events import decode_positions
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, Policies, limits
from stream.core.quality.devices import KINDS
from stream.core.quality.doubts import doubts
from stream.core.slices import newest, slices
from stream.core.stays import EARTH_RADIUS_M, in_order, stays
from stream.simulate import TOPICS, demo_force, simulate

if TYPE_CHECKING:
    from stream.core.facts import Fixes


class Clean(NamedTuple):
    """What was counted of a shift.

    Attributes:
        hours: officer-hours of duty.
        kinds: doubts by kind.
        doubtful_hours: officer-hours by kind.
    """

    hours: float
    kinds: Counter[str]
    doubtful_hours: Counter[str]

    @property
    def per_thousand(self) -> float:
        """Doubts in 1,000 officer-hours."""
        return 1000 * self.kinds.total() / self.hours


def pinned(fixes: Fixes, metres: float = 30.0) -> Fixes:
    """Fixes in order, each at the place of the one before it unless it is so far from it."""
    lon, lat = fixes.lon.copy(), fixes.lat.copy()
    device = fixes.device.tolist()
    for row in range(1, len(fixes)):
        if device[row] == device[row - 1]:
            here, there = (lon[row], lat[row]), (lon[row - 1], lat[row - 1])
            east = (here[0] - there[0]) * math.cos(math.radians(here[1]))
            if math.radians(math.hypot(east, here[1] - there[1])) * EARTH_RADIUS_M < metres:
                lon[row], lat[row] = there
    return replace(fixes, lon=lon, lat=lat)


def clean_shift(
    *, officers: int, hours: float, seed: int, interval_s: float = 15.0, pin: bool = False
) -> Clean:
    """The doubts of a simulated shift with real trackers.

    Args:
        officers: how many.
        hours: how long.
        seed: of the town and the shift.
        interval_s: seconds between reports.
        pin: whether devices repeat their position while they stand.
    """
    policies = Policies()
    made = simulate(
        demo_force(seed),
        officers=officers,
        start=1_794_816_000_000_000,
        hours=hours,
        interval_s=interval_s,
        seed=seed,
    )
    positions = [number for number, name in enumerate(TOPICS) if name.endswith(".positions")]
    joining = frames.Joining()
    for batch in made.messages():
        values = [batch.value[at] for at in np.flatnonzero(np.isin(batch.topic, positions)).tolist()]
        joining.add(decode_positions(values, None, limits=limits(policies)).fixes)
    fixes = in_order(joining.done())
    fixes = pinned(fixes) if pin else fixes
    history, duties = AreaHistory([(BEGINNING, made.force)]), newest(made.duties)
    found = stays(fixes, history, policies)
    counted = slices(duties, found, fixes.device_ids, made.states, history.places, policies)
    told = doubts(duties, fixes, found, counted, history.places, policies)
    kinds: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for kind, start, end in zip(told.kind.tolist(), told.start.tolist(), told.end.tolist(), strict=True):
        kinds[KINDS[kind]] += 1
        lengths[KINDS[kind]] += (end - start) / (3600 * SECOND)
    spent = sum(min(duty.end or made.end, made.end) - duty.start for duty in duties)
    return Clean(spent / (3600 * SECOND), kinds, lengths)


def main() -> None:
    """Prints the doubts of some shifts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--officers", type=int, default=200)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--interval", type=float, default=15.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--pinned", action="store_true")
    given = parser.parse_args()
    hours, count = 0.0, 0
    for seed in given.seeds:
        found = clean_shift(
            officers=given.officers,
            hours=given.hours,
            seed=seed,
            interval_s=given.interval,
            pin=given.pinned,
        )
        lengths = {kind: round(length, 2) for kind, length in found.doubtful_hours.items()}
        print(
            f"seed {seed}: {found.hours:,.0f} officer-hours, {found.per_thousand:.2f} doubts in 1,000: "
            f"{dict(found.kinds)}; hours {lengths}",
            flush=True,
        )
        hours, count = hours + found.hours, count + found.kinds.total()
    print(f"all: {count} doubts in {hours:,.0f} officer-hours, {1000 * count / hours:.3f} in 1,000")


if __name__ == "__main__":
    main()
