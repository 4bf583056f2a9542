"""What a simulated shift sends, as the core has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stream.core.facts import Fixes
from stream.simulate import TOPICS
from stream.simulate.reports import in_sending_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stream.simulate import Simulation

_COLUMNS: Mapping[str, tuple[str, type[np.number[Any]]]] = {
    "device": ("device", np.int32),
    "time": ("time", np.int64),
    "lon": ("lon", np.float64),
    "lat": ("lat", np.float64),
    "error_m": ("error_m", np.float64),
    "speed_mps": ("speed", np.float32),
    "heading_deg": ("heading", np.float32),
}
"""The columns of fixes: from which of the reports, and as what."""


def fixes_of(simulation: Simulation, topic: str | None = None) -> Fixes:
    """The usable reports as columns, in sending order: what decoding the messages gives, but quicker.

    Doubled and late ones are among them, unusable ones are not; ``device`` points at all trackers.

    Args:
        simulation: the shift.
        topic: those of ``radio.positions`` or ``vehicle.positions`` alone.
    """
    wanted = None if topic is None else bool(TOPICS[:2].index(topic))
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}
    for _, rows in in_sending_order(simulation.reports()):
        kept = rows.flaw == 0
        if wanted is not None:
            kept &= simulation.trackers.vehicle[rows.device] == wanted
        for name, (source, kind) in _COLUMNS.items():
            columns[name].append(getattr(rows, source)[kept].astype(kind, copy=False))
    found = {}
    for name, parts in columns.items():
        found[name] = np.concatenate(parts)
        parts.clear()  # at once: a force's day is gigabytes
    return Fixes(**found, device_ids=simulation.trackers.device_id)
