"""The simulation: a force's shift from a seed, with its messages and its truth, and as files.

Puts the rooms before it together: streets, units, their days, vehicles, bookings, reports, truth.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import shapely

from stream.facts import SECOND, StateReport
from stream.simulate.patrols import MINUTE, day
from stream.simulate.reports import TOPICS, Messages, Quality, Trackers, Tracks, reports
from stream.simulate.roster import duties, units, vehicles
from stream.simulate.streets import Router, streets
from stream.simulate.truth import Truth, true_time
from stream.simulate.wire import duty_value, state_value

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator, Mapping

    from geo.areas import AreaSet
    from stream.facts import Duty
    from stream.simulate.patrols import Day, Path

_RADIO_ON = 2 * MINUTE  # radios are switched on so long before duty and off so long after
_KEYED = 400_000  # a keyed state needs so many microseconds to the control room


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A shift that never was.

    Attributes:
        force: where.
        start: microseconds since 1970.
        end: microseconds since 1970; messages about it are sent up to some ten minutes later.
        interval_s: seconds between a device's reports.
        seed: what it was made from.
        quality: how good its trackers are.
        duties: the final revision of every duty.
        bookings: every revision as ``(send time, duty)``, in sending order.
        states: radio states keyed, in order of time.
        paths: each officer's true path, by ``officer_id``.
        trackers: the devices.
    """

    force: AreaSet
    start: int
    end: int
    interval_s: float
    seed: int
    quality: Quality
    duties: tuple[Duty, ...]
    bookings: tuple[tuple[int, Duty], ...]
    states: tuple[StateReport, ...]
    paths: Mapping[str, Path]
    trackers: Trackers
    _tracks: Tracks

    def messages(self) -> Iterator[Messages]:
        """All messages in sending order, in batches of about a minute; the same each time it is asked."""
        booked = [
            (send, TOPICS.index("duty.bookings"), duty.officer_id.encode(), duty_value(duty))
            for send, duty in self.bookings
        ]
        keyed = [
            (state.time + _KEYED, TOPICS.index("duty.states"), state.officer_id.encode(), state_value(state))
            for state in self.states
        ]
        others = sorted(booked + keyed, key=lambda each: each[:3])
        rng = np.random.default_rng((self.seed, 0x52))
        interval = _interval(self.interval_s)
        return reports(
            self.trackers, self._tracks, interval=interval, quality=self.quality, rng=rng, others=others
        )

    def truth(self) -> Truth:
        """What everybody's time truly was."""
        keyed: dict[str, list[tuple[int, int]]] = {}
        for state in self.states:
            keyed.setdefault(state.officer_id, []).append((state.time, state.state))
        known: dict[tuple[int, tuple[str, ...], int], tuple[int, int, int, int]] = {}
        rows = []
        for duty in self.duties:
            assert duty.end is not None
            path = self.paths[duty.officer_id]
            # The two of a crew were in the same places in the same states.
            crew = (id(path), duty.patch, duty.start)
            if crew not in known:
                states = keyed.get(duty.officer_id, [])
                known[crew] = true_time(self.force, duty.patch, path, states, start=duty.start, end=duty.end)
            rows.append(known[crew])
        columns = np.array(rows, np.int64).reshape(-1, 4).T
        officers = tuple(duty.officer_id for duty in self.duties)
        return Truth(officers, tuple(duty.duty_id for duty in self.duties), *columns)


def _interval(interval_s: float) -> int:
    return round(interval_s * 1000) * 1000


def simulate(
    force: AreaSet,
    *,
    officers: int,
    start: int,
    hours: float,
    interval_s: float,
    seed: int,
    quality: Quality | None = None,
) -> Simulation:
    """Lets officers patrol a force for one shift.

    Args:
        force: neighbourhoods, and premises to start from; priority areas draw patrols.
        officers: how many in all: 60 % neighbourhood officers, 15 % PCSOs, 25 % response.
        start: the shift's start, microseconds since 1970; a multiple of a second.
        hours: its length; duties begin up to ten minutes into it and end up to ten minutes before its end.
        interval_s: seconds between a device's reports, at least 0.1.
        seed: the same seed (and force and numbers) gives the same bytes.
        quality: how good the trackers are.

    Raises:
        ValueError: an argument makes no sense; says which and what to do.
    """
    if officers < 1:
        raise ValueError(f"officers is {officers}; simulate at least 1")
    if not hours > 0:
        raise ValueError(f"hours is {hours}; give a length above 0")
    if not 0.1 <= interval_s <= 3600:
        raise ValueError(f"interval_s is {interval_s}; give 0.1 to 3600 seconds between reports")
    start = start // SECOND * SECOND
    end = start + round(hours * 3600) * SECOND
    if end - start < 60 * SECOND:
        raise ValueError(f"hours is {hours}; simulate at least a minute")
    street = streets(force, seed)
    router = Router(street)
    crews = units(force, street, officers, start=start, end=end, rng=np.random.default_rng((seed, 0x55)))
    days = [day(unit, router, np.random.default_rng((seed, 0x44, at))) for at, unit in enumerate(crews)]
    paths = [each.path() for each in days]
    given, plates, driven = vehicles(days)
    booked, bookings = duties(force, crews, given, np.random.default_rng((seed, 0x42)))
    quality = Quality() if quality is None else quality
    rng = np.random.default_rng((seed, 0x51))

    ids: list[str] = []
    follows: list[int] = []
    on: list[int] = []
    off: list[int] = []
    quiet: list[tuple[int, int, int, bool]] = []
    for number, (crew, each) in enumerate(zip(booked, days, strict=True)):
        for duty in crew:
            quiet += _silences(len(ids), each, quality, rng)
            ids.append(duty.devices[0].device_id)
            follows.append(number)
            on.append(each.unit.start - _RADIO_ON)
            off.append(each.unit.end + _RADIO_ON)
    radios = len(ids)
    trackers = Trackers(
        device_id=(*ids, *plates),
        vehicle=np.arange(radios + len(plates)) >= radios,
        path=np.array((*follows, *range(len(paths), len(paths) + len(plates))), np.int64),
        on=np.array((*on, *(start for _ in plates)), np.int64),
        off=np.array((*off, *(end for _ in plates)), np.int64),
        quiet=quiet,
    )
    states = [
        StateReport(duty.officer_id, time, state)
        for crew, each in zip(booked, days, strict=True)
        for duty in crew
        for time, state in each.states
    ]
    return Simulation(
        force=force,
        start=start,
        end=end,
        interval_s=interval_s,
        seed=seed,
        quality=quality,
        duties=tuple(duty for crew in booked for duty in crew),
        bookings=tuple(bookings),
        states=tuple(sorted(states, key=lambda state: (state.time, state.officer_id))),
        paths={duty.officer_id: path for crew, path in zip(booked, paths, strict=True) for duty in crew},
        trackers=trackers,
        _tracks=Tracks([*paths, *driven]),
    )


def _silences(
    device: int, each: Day, quality: Quality, rng: np.random.Generator
) -> list[tuple[int, int, int, bool]]:
    """When a radio is silent: in some buildings, and in some holes of the network."""
    found: list[tuple[int, int]] = [
        (start + round(rng.uniform(5, 40)) * SECOND, end)
        for start, end in each.indoors
        if end - start > 3 * MINUTE and rng.random() < quality.silent
    ]
    hours = (each.unit.end - each.unit.start) / (60 * MINUTE)
    holes = rng.uniform(each.unit.start, each.unit.end, rng.poisson(quality.holes * hours))
    found += [(int(at), int(at + rng.uniform(1, 8) * MINUTE)) for at in holes]
    quiet: list[tuple[int, int, int, bool]] = []
    for start, end in sorted(found):
        if not quiet or start >= quiet[-1][2]:
            quiet.append((device, start, end, bool(rng.random() < 0.5)))
    return quiet


def write(simulation: Simulation, out_dir: pathlib.Path) -> None:
    """Writes a simulation as files, in memory that does not grow with its length.

    ``positions.jsonl`` holds every position message as it was sent, the unusable ones too, with ``kind``
    added where there is an object to add it to; ``duties.jsonl`` every revision, ``states.jsonl``,
    ``areas.geojson`` and ``truth.csv`` (seconds to the microsecond).
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    names = ("positions.jsonl", "positions.jsonl", "duties.jsonl", "states.jsonl")
    tail = (b',"kind":"radio"}\n', b',"kind":"vehicle"}\n')
    with (
        (out_dir / names[0]).open("wb") as positions,
        (out_dir / names[2]).open("wb") as booked,
        (out_dir / names[3]).open("wb") as keyed,
    ):
        files = (positions, positions, booked, keyed)
        for batch in simulation.messages():
            lines: tuple[list[bytes], ...] = ([], [], [])
            for topic, value in zip(batch.topic.tolist(), batch.value, strict=True):
                if topic > 1:
                    lines[topic - 1].append(value + b"\n")
                elif value.endswith(b"}"):
                    lines[0].append(value[:-1] + tail[topic])
                else:
                    lines[0].append(value + b"\n")
            for file, some in zip(files[1:], lines, strict=True):
                file.write(b"".join(some))
    (out_dir / "areas.geojson").write_bytes(areas_geojson(simulation.force))
    with (out_dir / "truth.csv").open("w", newline="", encoding="utf-8") as told:
        truth = simulation.truth()
        table = csv.writer(told, lineterminator="\n")
        table.writerow(("officer_id", "duty_id", "on_patch_s", "off_patch_s", "not_visible_s", "break_s"))
        columns = (truth.on_patch, truth.off_patch, truth.not_visible, truth.rest)
        for officer, duty, *times in zip(truth.officer_id, truth.duty_id, *columns, strict=True):
            table.writerow((officer, duty, *(f"{time // SECOND}.{time % SECOND:06d}" for time in times)))


def areas_geojson(force: AreaSet) -> bytes:
    """A force's areas as one GeoJSON file, each with its ``kind``."""
    features = [
        {
            "type": "Feature",
            "properties": {
                "area_id": each.area_id,
                "kind": str(each.kind),
                "name": each.name,
                **each.attributes,
            },
            "geometry": msgspec.json.decode(shapely.to_geojson(each.geometry)),
        }
        for each in force.areas()
    ]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})
