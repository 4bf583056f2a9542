"""What the peers' benchmark sends, and what must come of it.

The units of ``tests.bench.roaming``, with what the job has to tell apart: reports that cannot be used,
reports that come twice, and devices that are silent for a while, parked or not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.areas import Kind
from stream.core.stays import distance_m
from tests.bench.peers.job import MAX_GAP_US, PARKED_GAP_US, PARKED_M
from tests.bench.roaming import CELL, INTERVAL_MS, ROUND_S, Roaming, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.areas import AreaSet

SILENCES_S = {7: 600, 8: 600, 9: 2_000, 10: 299}
"""How long devices are silent once, by the last two digits of their number, modulo 50."""
PARKED = (8, 9)
"""Those of them that stay where they are."""
LONGEST_S = max(SILENCES_S.values())
WRONG_EACH = 97
"""Of so many reports of a device one is wrong."""
ROUND_PARKED = 0.0001
"""How far a parked one seems to move, degrees."""
VERTICES = 25
"""Of each side of a neighbourhood: a hundred in all, as real ones have."""
US = 1_000


def wrong(kind: int, name: str, time_ms: int) -> bytes:
    """A report that must not be counted; each kind would change the result if it was."""
    time, hour_later = (f"{np.datetime64(ms, 'ms')}Z" for ms in (time_ms, time_ms + 3_600_000))
    said: dict[str, Any] = {"device_id": name, "time": time, "lon": 0.5, "lat": 49.5, "received": time}
    if kind == 1:
        del said["lon"]
    elif kind == 2:
        said["lon"] = 200.0
    elif kind == 3:
        said |= {"lon": 0.0, "lat": 0.0}
    elif kind == 4:
        said["error_m"] = 500.0
    elif kind == 5:
        said["time"] = hour_later
    elif kind == 6:
        said["time"] = "yesterday"
    elif kind == 7:
        said["lat"] = None
    body = json.dumps(said).encode()
    return body[: len(body) // 2] if kind == 0 else body


REPEATED = 8
"""The kind of wrong report that is the device's last one again."""


class Reports(Roaming):
    """Some turns of reports.

    Args:
        size: of the force.
        turns: how many reports of each.
        latest_ms: no report is from after this.
    """

    def __init__(self, size: Size, turns: int, latest_ms: int) -> None:
        super().__init__(size)
        self.turns = turns
        last = np.arange(size.units) % 50
        self._silence_ms = np.zeros(size.units, np.int64)
        for digits, silence_s in SILENCES_S.items():
            self._silence_ms[last == digits] = silence_s * 1000
        self._radius[np.isin(last, PARKED)] = ROUND_PARKED
        long_ms = turns * INTERVAL_MS + LONGEST_S * 1000
        # Not over the moment at which everybody goes back to the start.
        back_ms = latest_ms // (ROUND_S * 1000) * (ROUND_S * 1000)
        self.start_ms = (latest_ms if latest_ms - long_ms > back_ms else back_ms - 1) - long_ms

    def areas(self) -> AreaSet:
        """With as many vertices as real ones; the same areas otherwise."""
        plain = super().areas()
        return replace(plain, geometry=shapely.segmentize(plain.geometry, CELL / VERTICES * (1 + 1e-9)))

    def times_ms(self, turn: int) -> NDArray[np.int64]:
        """When each unit reports."""
        late = self._silence_ms * (turn >= self.turns // 2)
        found: NDArray[np.int64] = self.start_ms + turn * INTERVAL_MS + self.phase_ms + late
        return found

    def _wrong(self, unit: NDArray[np.int64], turn: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (unit + turn) % WRONG_EACH == 0
        return found

    def said(self, unit: NDArray[np.int64], time_ms: NDArray[np.int64], turn: int) -> list[bytes]:
        """What units say at times, some of it wrong."""
        said = super().said(unit, time_ms, turn)
        for at in np.flatnonzero(self._wrong(unit, turn)).tolist():
            who = unit[at : at + 1]
            kind = int(who[0]) % (REPEATED + 1)
            if kind < REPEATED:
                said[at] = wrong(kind, self.names[who[0]], int(time_ms[at]))
            elif turn:
                (said[at],) = super().said(who, self.times_ms(turn - 1)[who], turn - 1)
            else:
                said[at] = b"[]"
        return said

    def right(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """The result by the rules of the job, worked out in another way: all reports of a device in a row.

        Returns:
            microseconds by device and place, and of each device how many are of legs over an edge.
        """
        everybody = np.arange(self.size.units)
        parts = []
        for turn in range(self.turns):
            unit = everybody[~self._wrong(everybody, turn)]
            time = self.times_ms(turn)[unit]
            parts.append((unit, time, *(np.round(column, 6) for column in self.where(unit, time, turn)[:2])))
        unit, time, lon, lat = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((time, unit))
        unit, time, lon, lat = unit[order], time[order], lon[order], lat[order]
        areas = self.areas().only(Kind.NEIGHBOURHOOD)
        names = [*areas.area_id, ""]
        place = np.full(len(unit), len(areas.area_id))
        np.minimum.at(place, *shapely.STRtree(areas.geometry).query(shapely.points(lon, lat), "intersects"))
        took = np.diff(time) * US
        same = place[1:] == place[:-1]
        near = distance_m(lon[:-1], lat[:-1], lon[1:], lat[1:]) <= PARKED_M
        counts = (took <= MAX_GAP_US) | ((took <= PARKED_GAP_US) & same & near)
        counts &= unit[1:] == unit[:-1]
        rows, at = np.unique(unit[:-1][counts] * len(names) + place[:-1][counts], return_inverse=True)
        sums = np.zeros(len(rows), np.int64)
        np.add.at(sums, at, took[counts])
        over = np.zeros(len(everybody), np.int64)
        np.add.at(over, unit[:-1][counts & ~same], took[counts & ~same])
        return (
            {
                (self.names[row // len(names)], names[row % len(names)]): us
                for row, us in zip(rows.tolist(), sums.tolist(), strict=True)
            },
            dict(zip(self.names, over.tolist(), strict=True)),
        )
