"""Clean shifts as the lines of files, for tests that put one fault into them.

A shift is made from a seed: a few officers with a radio each in a force of two neighbourhoods, who report
every minute or so, are silent now and then, and send on later what they could not send. Nothing is wrong with
it, and so nothing may be found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from stream.core.events import Reject, decode_duties, decode_positions, decode_states
from stream.core.facts import SECOND
from stream.core.policy import Policies, limits
from stream.core.quality.heard import heard
from stream.files.account import Account, Facts, account

if TYPE_CHECKING:
    from pathlib import Path

Event = dict[str, Any]

WEST, SOUTH, EAST, NORTH = -1.2, 52.6, -1.12, 52.63
MIDDLE = -1.16
AREAS = {"E05001784": (WEST, "Westmere"), "E05001785": (MIDDLE, "Eastholt")}
STARTS = (
    "2026-11-23T08:00:00",
    "2026-11-22T20:00:00",  # over a midnight
    "2026-10-24T19:00:00",  # over the end of summer time
    "2026-03-28T22:00:00",  # over its beginning
    "2026-07-01T22:30:00",  # local midnight is an hour before that of UTC
)


def text(time: int) -> str:
    """Microseconds since 1970 as RFC 3339."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)).isoformat()


def micros(value: str) -> int:
    """RFC 3339 as microseconds since 1970."""
    return (datetime.fromisoformat(value) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass(slots=True, repr=False)
class Shift:
    """The lines of three files, as objects.

    Attributes:
        start: when the first duty starts, microseconds since 1970 UTC.
        hours: how long the duties last.
        seed: what it was made from.
    """

    start: int
    hours: int
    seed: int = 0
    positions: list[Event] = field(default_factory=list)
    duties: list[Event] = field(default_factory=list)
    states: list[Event] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"clean_shift({self.seed})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))

    def of(self, device: str) -> list[Event]:
        """The positions of a device, which may be changed."""
        return [event for event in self.positions if event["device_id"] == device]

    def lines(self) -> list[bytes]:
        """The file of positions."""
        return [json.dumps(event).encode() for event in self.positions]

    def facts(self) -> Facts:
        """As read from files."""
        lines = self.lines()
        decoded = decode_positions(lines, None, limits=limits(Policies()))
        duties, _, bad = decode_duties([json.dumps(event).encode() for event in self.duties])
        states, _, worse = decode_states([json.dumps(event).encode() for event in self.states])
        assert not bad
        assert not worse
        rejects: dict[str, list[Reject]] = {"positions.jsonl": decoded.rejects}
        return Facts(force(), decoded.fixes, duties, states, rejects, (), heard(decoded.judged))

    def account(self) -> Account:
        """Counted."""
        return account(self.facts(), Policies())

    def write(self, folder: Path) -> list[str]:
        """Writes the files, and gives the words of the command that counts them."""
        folder.mkdir(exist_ok=True)
        words = ["account"]
        for name in ("positions", "duties", "states"):
            path = folder / f"{name}.jsonl"
            path.write_text("".join(f"{json.dumps(event)}\n" for event in getattr(self, name)), "utf-8")
            words += [f"--{name}", str(path)]
        features = [
            {
                "type": "Feature",
                "properties": {"area_id": area.area_id, "kind": str(area.kind), "name": area.name},
                "geometry": shapely.geometry.mapping(area.geometry),
            }
            for area in force().areas()
        ]
        path = folder / "areas.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
        return [*words, "--areas", str(path), "--out", str(folder / "out")]


def force() -> AreaSet:
    """Two neighbourhoods side by side."""
    return AreaSet.of(
        Area(Kind.NEIGHBOURHOOD, code, name, shapely.box(west, SOUTH, west + 0.04, NORTH))
        for code, (west, name) in AREAS.items()
    )


def clean_shift(seed: int) -> Shift:
    """A shift of one to four officers with which nothing is wrong."""
    rng = np.random.default_rng(seed)
    start = micros(f"{rng.choice(np.array(STARTS))}+00:00")
    shift = Shift(start, int(rng.integers(4, 7)), seed)
    for number in range(int(rng.integers(1, 4))):
        begin = start + int(rng.integers(0, 1800)) * SECOND
        _officer(shift, rng, number, begin, begin + shift.hours * 3600 * SECOND)
    shift.positions = [shift.positions[at] for at in rng.permutation(len(shift.positions)).tolist()]
    return shift


def _officer(shift: Shift, rng: np.random.Generator, number: int, begin: int, end: int) -> None:
    officer, device = f"{1001 + number}", f"{2_345_671 + number}"
    shift.duties.append(
        {
            "duty_id": f"D{number + 1}",
            "revision": 1,
            "officer_id": officer,
            "patch": [list(AREAS)[number % 2]],
            "start": text(begin),
            "end": text(end),
            "devices": [{"device_id": device, "kind": "radio"}],
        }
    )
    shift.states.append({"officer_id": officer, "time": text(end), "state": 11})
    shift.states.append({"officer_id": officer, "time": text((begin + end) // 2), "state": 4})
    step = int(rng.choice([30, 60, 120, 240])) * SECOND
    time, lon, lat = begin - step, MIDDLE, (SOUTH + NORTH) / 2
    back, lost = time, False
    while time < end + step:
        time += step
        if (
            time > back and rng.random() < 0.01
        ):  # no signal; what falls into it is sent on when it ends, or lost
            back = time + int(rng.integers(60, 4000)) * SECOND
            lost = rng.random() < 0.5
        if time < back and lost:
            continue
        lon = float(np.clip(lon + rng.normal(0, 2e-4), WEST, EAST))
        lat = float(np.clip(lat + rng.normal(0, 2e-4), SOUTH, NORTH))
        receipt = max(time, back) + int(rng.exponential(2.0) * SECOND)
        shift.positions.append(
            {"device_id": device, "time": text(time), "lon": lon, "lat": lat, "received": text(receipt)}
        )
        if rng.random() < 0.01:
            shift.positions.append(dict(shift.positions[-1]))


def clean_shifts() -> st.SearchStrategy[Shift]:
    """Clean shifts; a failing one is told by its seed."""
    return st.integers(0, 2**32 - 1).map(clean_shift)
