"""The simulation: a force's shift from a seed, with its messages and its truth, and as files.

Puts the rooms before it together: streets, units, their days, vehicles, bookings, reports, truth. How it is
written to files stands in ``files``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stream.core.facts import SECOND, StateReport
from stream.simulate.drawn import draw
from stream.simulate.patrols import MINUTE, day
from stream.simulate.receivers import REAL, Quality, Reporting
from stream.simulate.reports import TOPICS, Messages, Reports, Trackers, Tracks, messages
from stream.simulate.roster import duties, units, vehicles
from stream.simulate.streets import Router, settle
from stream.simulate.visited import TrueSlices, TrueVisits, Truth, true_slices, true_visits
from stream.simulate.wire import duty_value, state_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geo.areas import AreaSet
    from stream.core.facts import Duty
    from stream.simulate.patrols import Day, Path
    from stream.simulate.streets import Network

_RADIO_ON = 2 * MINUTE  # radios are switched on so long before duty and off so long after
_KEYED = 400_000  # a keyed state needs so many microseconds to the control room


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A shift that never was.

    Attributes:
        force: where.
        start: microseconds since 1970.
        end: microseconds since 1970; messages about it are sent up to some ten minutes later.
        seed: what it was made from.
        quality: how good its trackers are.
        reporting: when they report.
        duties: the final revision of every duty.
        bookings: every revision as ``(send time, duty)``, in sending order.
        states: radio states keyed, in order of time.
        paths: each officer's true path, by ``officer_id``.
        trackers: the devices.
    """

    force: AreaSet
    start: int
    end: int
    seed: int
    quality: Quality
    reporting: Reporting
    duties: tuple[Duty, ...]
    bookings: tuple[tuple[int, Duty], ...]
    states: tuple[StateReport, ...]
    paths: Mapping[str, Path]
    trackers: Trackers
    _tracks: Tracks
    _keyed: Mapping[str, tuple[tuple[int, int], ...]]
    _slices: dict[tuple[int, tuple[str, ...], int], TrueSlices] = field(default_factory=dict)

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
        return messages(self.reports(), others)

    def reports(self) -> Reports:
        """Everything that trackers measure and send, from the start; the same each time it is asked."""
        return Reports(
            self.trackers,
            self._tracks,
            reporting=self.reporting,
            quality=self.quality,
            rng=np.random.default_rng((self.seed, 0x52)),
        )

    def truth(self) -> Truth:
        """What everybody's time truly was."""
        pieces = [self.true_slices(duty) for duty in self.duties]
        return Truth(
            tuple(duty.officer_id for duty in self.duties),
            tuple(duty.duty_id for duty in self.duties),
            *(
                np.array([each.time(activity) for each in pieces], np.int64)
                for activity in ("on_patch", "off_patch", "not_visible", "break")
            ),
        )

    def keyed(self, officer_id: str) -> tuple[tuple[int, int], ...]:
        """An officer's radio states as ``(time, state)``, in order."""
        return self._keyed.get(officer_id, ())

    def true_slices(self, duty: Duty) -> TrueSlices:
        """What a duty's time truly was, piece by piece.

        Args:
            duty: one of ``duties``.
        """
        # The two of a crew were in the same places in the same states.
        path = self.paths[duty.officer_id]
        crew = (id(path), duty.patch, duty.start)
        if crew not in self._slices:
            self._slices[crew] = true_slices(self.force, duty, path, self.keyed(duty.officer_id))
        return self._slices[crew]

    def true_visits(self, *, join_s: float = 60.0, least_s: float = 120.0) -> TrueVisits:
        """Everybody's true visits to priority areas (rule 17), by area, officer and start.

        Args:
            join_s: absences up to this long are joined, seconds.
            least_s: the shortest visit, seconds.
        """
        known: dict[tuple[int, tuple[str, ...], int], TrueVisits] = {}
        found = []
        for duty in self.duties:
            path = self.paths[duty.officer_id]
            crew = (id(path), duty.patch, duty.start)
            if crew not in known:
                pieces = self.true_slices(duty)
                known[crew] = true_visits(self.force, duty, path, pieces, join_s=join_s, least_s=least_s)
            found.append(known[crew].of(duty.officer_id))
        return TrueVisits.together(found)


def simulate(
    force: AreaSet,
    *,
    officers: int,
    start: int,
    hours: float,
    interval_s: float,
    seed: int,
    quality: Quality | None = None,
    on_movement: bool = False,
    network: Network | None = None,
) -> Simulation:
    """Lets officers patrol a force for one shift.

    Args:
        force: neighbourhoods, and premises to start from; priority areas draw patrols.
        officers: how many in all: 60% neighbourhood officers, 15% PCSOs, 25% response.
        start: the shift's start, microseconds since 1970; a multiple of a second.
        hours: its length; duties begin up to ten minutes into it and end up to ten minutes before its end.
        interval_s: seconds between a device's reports, at least 0.1.
        seed: the same seed (and force and numbers) gives the same bytes; with another interval, quality or
            way of reporting, the same people do the same at the same times, and only the reports differ.
        quality: how good the trackers are; None: ``REAL``.
        on_movement: trackers report when they have moved or turned, and each ``interval_s`` at the latest.
        network: the streets to move along; None: they are made up.

    Raises:
        ValueError: an argument is invalid; says which and what to do.
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
    street = settle(force, draw(force, seed) if network is None else network, seed)
    router = Router(street)
    crews = units(force, street, officers, start=start, end=end, rng=np.random.default_rng((seed, 0x55)))
    days = [day(unit, router, np.random.default_rng((seed, 0x44, at))) for at, unit in enumerate(crews)]
    paths = [each.path() for each in days]
    given, plates, driven = vehicles(days)
    booked, bookings = duties(force, crews, given, np.random.default_rng((seed, 0x42)))
    quality = REAL if quality is None else quality
    rng = np.random.default_rng((seed, 0x51))

    crewed = [(duty, number) for number, crew in enumerate(booked) for duty in crew]
    quiet: list[tuple[int, int, int, bool]] = []
    indoors: list[tuple[int, int, int]] = []
    for device, (_, number) in enumerate(crewed):
        quiet += _silences(device, days[number], quality, rng)
        indoors += [(device, *times) for times in days[number].indoors]
    on_duty = [days[number].unit for _, number in crewed]
    driven_paths = range(len(paths), len(paths) + len(plates))
    trackers = Trackers(
        device_id=(*(duty.devices[0].device_id for duty, _ in crewed), *plates),
        vehicle=np.arange(len(crewed) + len(plates)) >= len(crewed),
        path=np.array((*(number for _, number in crewed), *driven_paths), np.int64),
        on=np.array((*(unit.start - _RADIO_ON for unit in on_duty), *(start for _ in plates)), np.int64),
        off=np.array((*(unit.end + _RADIO_ON for unit in on_duty), *(end for _ in plates)), np.int64),
        quiet=quiet,
        indoors=indoors,
    )
    keyed = {duty.officer_id: tuple(days[number].states) for duty, number in crewed}
    states = [StateReport(officer, *each) for officer, some in keyed.items() for each in some]
    return Simulation(
        force=force,
        start=start,
        end=end,
        seed=seed,
        quality=quality,
        reporting=Reporting(interval_s, on_movement),
        duties=tuple(duty for duty, _ in crewed),
        bookings=tuple(bookings),
        states=tuple(sorted(states, key=lambda state: (state.time, state.officer_id))),
        paths={duty.officer_id: paths[number] for duty, number in crewed},
        trackers=trackers,
        _tracks=Tracks([*paths, *driven]),
        _keyed=keyed,
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
            quiet.append((device, start, end, bool(rng.random() >= quality.lost)))
    return quiet
