"""How many fixes a second one core takes through stays, slices and shares.

A simulated shift of an invented force, decoded beforehand; processor time of one thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import AreaHistory
from stream.core import frames
from stream.core.events import decode_positions
from stream.core.policy import BEGINNING, Policies, limits
from stream.core.quality.doubts import doubts
from stream.core.shares import shares
from stream.core.slices import newest, slices
from stream.core.stays import in_order, stays
from stream.simulate import TOPICS, demo_force, simulate
from tests.bench import Row, show

if TYPE_CHECKING:
    from stream.core.facts import Fixes
    from stream.simulate import Simulation

OFFICERS, HOURS, INTERVAL_S, SEED = 500, 3.0, 5.0, 1
ROUNDS = 5


def shift(officers: int = OFFICERS, hours: float = HOURS) -> Simulation:
    """The shift that is measured."""
    return simulate(
        demo_force(SEED),
        officers=officers,
        start=1_794_816_000_000_000,
        hours=hours,
        interval_s=INTERVAL_S,
        seed=SEED,
    )


def fixes_of(simulation: Simulation) -> Fixes:
    """Its usable positions in sending order."""
    positions = [number for number, name in enumerate(TOPICS) if name.endswith(".positions")]
    parts = []
    for batch in simulation.messages():
        values = [batch.value[at] for at in np.flatnonzero(np.isin(batch.topic, positions)).tolist()]
        parts.append(decode_positions(values, None, limits=limits(Policies())).fixes)
    return frames.join(parts)


def run() -> list[Row]:
    """Measures."""
    policies, simulation = Policies(), shift()
    history = AreaHistory([(BEGINNING, simulation.force)])
    arrived = fixes_of(simulation)
    fixes, duties = in_order(arrived), newest(simulation.duties)
    best: dict[str, float] = {}

    def clock(name: str, began: float) -> float:
        now = time.process_time()
        best[name] = min(best.get(name, np.inf), now - began)
        return now

    for _ in range(ROUNDS):
        start = now = time.process_time()
        found = stays(fixes, history, policies)
        now = clock("stays", now)
        counted = slices(duties, found, fixes.device_ids, simulation.states, history.places, policies)
        now = clock("slices", now)
        shares(counted, duties, history.places, simulation.start, simulation.end)
        clock("shares", now)
        now = clock("all", start)
        doubts(duties, fixes, found, counted, history.places, policies)
        clock("doubts", now)
        now = time.process_time()
        in_order(arrived)
        clock("order", now)
    count = len(fixes)
    note = f"{count:,} fixes, {len(found):,} stays, {len(counted):,} slices of {OFFICERS} officers"
    return [
        Row("core: stays, slices and shares", count / best["all"], "fixes/s", note),
        Row("  stays alone", count / best["stays"], "fixes/s"),
        Row("  slices alone", count / best["slices"], "fixes/s"),
        Row("  shares alone", count / best["shares"], "fixes/s"),
        Row("  doubts alone, beside them", count / best["doubts"], "fixes/s"),
        Row("  putting fixes of all devices mixed in order, before", count / best["order"], "fixes/s"),
    ]


if __name__ == "__main__":
    print(show(run()))
