"""The reports: what trackers make of the true paths, and the messages that carry it, in sending order.

Position error, silence, late and doubled reports and a few that nobody can use. Made window by window in
columns, so that millions of messages pass through a few megabytes. The truth is not changed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from stream.facts import SECOND
from stream.simulate.plane import DEGREE_M
from stream.simulate.wire import position_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stream.simulate.patrols import Path

TOPICS: Final = ("radio.positions", "vehicle.positions", "duty.bookings", "duty.states")
"""What ``Messages.topic`` points at, before any prefix."""
FLAWS: Final = ("", "not_json", "zero_position", "error_too_large", "in_future")
"""What ``Messages.flaw`` points at: usable, or the reason for which it must be rejected."""

_MS = 1_000
_DAY = 86_400 * SECOND
_ERROR_MEMORY_S = 40.0  # how long a receiver's error keeps its direction
_PARKED_S = 120.0  # a parked vehicle reports this seldom


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the trackers and their network are; rates are shares of all reports.

    Attributes:
        error_m: a device's typical distance from the truth lies between these, metres.
        doubled: sent twice, sometimes with another position error.
        late: arrives one to ten minutes late.
        unusable: accompanied by a message that must be rejected.
        silent: how likely a stay indoors silences a radio; half of what is silenced comes late, half never.
        holes: how often a radio loses its signal outdoors, per hour.
    """

    error_m: tuple[float, float] = (5.0, 8.0)
    doubled: float = 0.005
    late: float = 0.004
    unusable: float = 0.0005
    silent: float = 0.3
    holes: float = 0.05


PERFECT: Final = Quality((0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0)
"""Trackers that never err and never fall silent: for measuring the accounting alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Trackers:
    """Every radio and vehicle tracker; columns of one row a device.

    Attributes:
        device_id: seven characters each.
        vehicle: ``bool[d]``, whether it is a vehicle's.
        path: ``int64[d]``, the number of the true path it follows.
        on: ``int64[d]``, microseconds, when it begins to report.
        off: ``int64[d]``, microseconds, when it stops.
        quiet: ``(device, start, end, late)``: silences, microseconds; ``late`` tells whether what fell into
            one is sent when it ends. Those of one device do not overlap.
    """

    device_id: tuple[str, ...]
    vehicle: NDArray[np.bool_]
    path: NDArray[np.int64]
    on: NDArray[np.int64]
    off: NDArray[np.int64]
    quiet: Sequence[tuple[int, int, int, bool]]


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """Some messages in sending order.

    Attributes:
        send: ``int64[n]``, when each is sent, microseconds since 1970, never falling, also from one batch to
            the next.
        topic: ``int8[n]``, index into ``TOPICS``.
        key: device or officer id.
        value: JSON, or what a broken sender makes of it.
        flaw: ``int8[n]``, index into ``FLAWS``, 0 for what is usable.
    """

    send: NDArray[np.int64]
    topic: NDArray[np.int8]
    key: list[bytes]
    value: list[bytes]
    flaw: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.send)


class _Rows(NamedTuple):
    """Reports on their way, columns of one row each."""

    device: NDArray[np.int64]
    time: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    error_m: NDArray[np.float64]
    speed: NDArray[np.float64]
    heading: NDArray[np.float64]
    received: NDArray[np.int64]
    send: NDArray[np.int64]
    flaw: NDArray[np.int8]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> _Rows:
        return _Rows._make(column[rows] for column in self)

    def then(self, *others: _Rows) -> _Rows:
        return _Rows._make(np.concatenate(columns) for columns in zip(self, *others, strict=True))


class Tracks:
    """True paths laid end to end, so that many positions are looked up at once."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._lon = np.concatenate([path.lon for path in paths])
        self._lat = np.concatenate([path.lat for path in paths])
        time = np.concatenate([path.time for path in paths])
        size = np.array([len(path.time) for path in paths])
        self._end = np.cumsum(size)
        self._start = self._end - size
        self._first, self._last = time[self._start], time[self._end - 1]
        self._origin = int(time.min())
        self._span = int(time.max()) - self._origin + 1
        self._time = time - self._origin
        self._key = np.repeat(np.arange(len(paths)), size) * self._span + self._time

    def at(
        self, path: NDArray[np.int64], time: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Where things are at some times; before its first vertex and after its last one each stands still.

        Returns:
            ``(lon, lat, speed m/s, heading degrees)``, each ``float64[n]``; heading is NaN where it stands.
        """
        within = np.clip(time, self._first[path], self._last[path]) - self._origin
        leg = np.searchsorted(self._key, path * self._span + within, side="right") - 1
        leg = np.clip(leg, self._start[path], np.maximum(self._end[path] - 2, self._start[path]))
        after = np.minimum(leg + 1, self._end[path] - 1)
        took = self._time[after] - self._time[leg]
        part = (within - self._time[leg]) / np.maximum(took, 1)
        dlon, dlat = self._lon[after] - self._lon[leg], self._lat[after] - self._lat[leg]
        lat = self._lat[leg] + part * dlat
        east, north = dlon * DEGREE_M * np.cos(np.radians(lat)), dlat * DEGREE_M
        outside = (time < self._first[path]) | (time > self._last[path])
        speed = np.where(outside, 0.0, np.hypot(east, north) / np.maximum(took, 1) * SECOND)
        heading = np.where(speed > 0, np.degrees(np.arctan2(east, north)) % 360.0, np.nan)
        return self._lon[leg] + part * dlon, lat, speed, heading


@dataclass(slots=True, eq=False)
class _Receivers:
    """The error of every receiver: a random walk that is pulled back to the truth (Ornstein-Uhlenbeck)."""

    typical_m: NDArray[np.float64]
    memory: float
    now: NDArray[np.float64]
    rng: np.random.Generator

    def errors(self, steps: int) -> NDArray[np.float64]:
        """``float64[steps, d, 2]``: metres east and north at the next steps."""
        kick = self.rng.standard_normal((steps, len(self.typical_m), 2)) * np.sqrt(1 - self.memory**2)
        for step in range(steps):
            kick[step] += self.memory * self.now
            self.now = kick[step]
        # The typical distance is the root mean square of both axes together.
        error: NDArray[np.float64] = kick * (self.typical_m / np.sqrt(2.0))[None, :, None]
        return error


def reports(
    trackers: Trackers,
    tracks: Tracks,
    *,
    interval: int,
    quality: Quality,
    rng: np.random.Generator,
    others: Sequence[tuple[int, int, bytes, bytes]],
) -> Iterator[Messages]:
    """All messages of a simulation in sending order, window by window.

    Args:
        trackers: the devices.
        tracks: the true paths.
        interval: microseconds between a device's reports, whole milliseconds.
        quality: how good they are.
        rng: makes the errors; the same state gives the same messages.
        others: bookings and states, ``(send, topic, key, value)`` in sending order.
    """
    low, high = quality.error_m
    typical = rng.uniform(low, high, len(trackers.device_id)) * np.where(trackers.vehicle, 0.6, 1.0)
    receivers = _Receivers(
        typical,
        float(np.exp(-interval / SECOND / _ERROR_MEMORY_S)),
        rng.standard_normal((len(typical), 2)),
        rng,
    )
    phase = rng.integers(0, interval // _MS, len(typical)) * _MS
    origin, end = int(trackers.on.min()), int(trackers.off.max())
    quiet = _Quiet(trackers)
    steps = max(1, 60 * SECOND // interval, 20_000 // len(typical))
    keys = [name.encode() for name in trackers.device_id]
    pending: _Rows | None = None
    passed = 0
    for first in range(0, (end - origin) // interval + 1, steps):
        made = _window(
            trackers,
            tracks,
            receivers,
            phase=phase,
            origin=origin,
            interval=interval,
            first=first,
            steps=steps,
        )
        made = _sent(made, quiet, quality, rng)
        pending = made if pending is None else pending.then(made)
        until = origin + (first + steps) * interval
        due = pending.send < until
        ready, pending = pending.take(due), pending.take(~due)
        upto = passed
        while upto < len(others) and others[upto][0] < until:
            upto += 1
        yield _messages(ready, trackers, keys, others[passed:upto])
        passed = upto
    assert pending is not None
    yield _messages(pending, trackers, keys, others[passed:])


def _window(
    trackers: Trackers,
    tracks: Tracks,
    receivers: _Receivers,
    *,
    phase: NDArray[np.int64],
    origin: int,
    interval: int,
    first: int,
    steps: int,
) -> _Rows:
    """What all devices measure in some steps of their interval."""
    devices = len(phase)
    step = np.repeat(np.arange(first, first + steps), devices)
    device = np.tile(np.arange(devices), steps)
    error = receivers.errors(steps).reshape(-1, 2)
    time = origin + step * interval + phase[device]
    here = (time >= trackers.on[device]) & (time < trackers.off[device])
    step, device, time, error = step[here], device[here], time[here], error[here]
    lon, lat, speed, heading = tracks.at(trackers.path[device], time)
    seldom = max(1, round(_PARKED_S * SECOND / interval))
    kept = (speed > 0) | ~trackers.vehicle[device] | ((step + device) % seldom == 0)
    size = np.hypot(error[:, 0], error[:, 1])
    told = np.maximum(receivers.typical_m[device] * 1.3 + 0.2 * size, 1.0)
    rows = _Rows(
        device=device,
        time=time,
        lon=lon + error[:, 0] / (DEGREE_M * np.cos(np.radians(lat))),
        lat=lat + error[:, 1] / DEGREE_M,
        error_m=told,
        speed=speed,
        heading=heading,
        received=time,
        send=time,
        flaw=np.zeros(len(time), np.int8),
    )
    return rows.take(kept)


class _Quiet:
    """When devices are silent: looked up for many reports at once."""

    def __init__(self, trackers: Trackers) -> None:
        rows = sorted(trackers.quiet)
        self._origin = int(trackers.on.min())
        self._span = int(trackers.off.max()) - self._origin + _DAY
        self._start = np.array(
            [each * self._span + start - self._origin for each, start, _, _ in rows], np.int64
        )
        self._end = np.array([each * self._span + end - self._origin for each, _, end, _ in rows], np.int64)
        self._late = np.array([late for *_, late in rows], np.bool_)

    def find(
        self, device: NDArray[np.int64], time: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Of each report ``(lost, late, microseconds since the silence began, until it ends)``."""
        if not len(self._start):
            never = np.zeros(len(time), np.bool_)
            return never, never, np.zeros(len(time), np.int64), np.zeros(len(time), np.int64)
        key = device * self._span + time - self._origin
        row = np.maximum(np.searchsorted(self._start, key, side="right") - 1, 0)
        inside = (key >= self._start[row]) & (key < self._end[row])
        late = self._late[row]
        return inside & ~late, inside & late, key - self._start[row], self._end[row] - key


def _sent(rows: _Rows, quiet: _Quiet, quality: Quality, rng: np.random.Generator) -> _Rows:
    """When and how often each report is sent, and what is wrong with it."""
    lost, late, since, left = quiet.find(rows.device, rows.time)
    delay = 0.3 * SECOND + rng.exponential(0.4 * SECOND, len(rows.time))
    slow = rng.random(len(delay)) < quality.late
    delay[slow] += rng.uniform(60, 600, int(slow.sum())) * SECOND
    # What waited out a silence follows in its own order, 170 times as fast as it was measured.
    delay = np.where(late, left + SECOND + since * 0.006, delay)
    error = np.where(rng.random(len(delay)) < 0.005, np.nan, rows.error_m)
    rows = _on_the_way(rows._replace(error_m=error), delay, rng).take(~lost)

    again = rows.take(rng.random(len(rows.time)) < quality.doubled)
    count = len(again.time)
    moved = (rng.random(count) < 0.5) * rng.normal(0, 4e-5, count)
    again = again._replace(lat=again.lat + moved, error_m=again.error_m + np.where(moved == 0, 0.0, 6.0))
    again = _on_the_way(again, again.received - again.time + rng.uniform(0.1, 30, count) * SECOND, rng)

    bad = rows.take(rng.random(len(rows.time)) < quality.unusable)
    flaw = rng.integers(1, len(FLAWS), len(bad.time)).astype(np.int8)
    zero = flaw == FLAWS.index("zero_position")
    bad = bad._replace(
        flaw=flaw,
        lon=np.where(zero, 0.0, bad.lon),
        lat=np.where(zero, 0.0, bad.lat),
        error_m=np.where(flaw == FLAWS.index("error_too_large"), 500.0, bad.error_m),
        time=bad.time + np.where(flaw == FLAWS.index("in_future"), _DAY, 0),
    )
    return rows.then(again, bad)


def _on_the_way(rows: _Rows, delay: NDArray[np.float64], rng: np.random.Generator) -> _Rows:
    """Received so long after the measurement, and sent on a moment later."""
    received = rows.time + delay.astype(np.int64) // _MS * _MS
    return rows._replace(received=received, send=received + rng.integers(20, 200, len(received)) * _MS)


def _messages(
    rows: _Rows, trackers: Trackers, keys: list[bytes], others: Sequence[tuple[int, int, bytes, bytes]]
) -> Messages:
    rows = rows.take(np.lexsort((rows.time, rows.device, rows.send)))
    value = position_values(
        trackers.device_id,
        device=rows.device,
        time=rows.time,
        lon=rows.lon,
        lat=rows.lat,
        error_m=rows.error_m,
        speed_mps=rows.speed,
        heading_deg=rows.heading,
        received=rows.received,
    )
    for at in np.flatnonzero(rows.flaw == FLAWS.index("not_json")).tolist():
        value[at] = value[at][: 30 + at % 60]
    key = [keys[device] for device in rows.device.tolist()]
    topic = trackers.vehicle[rows.device].astype(np.int8)
    if not others:
        return Messages(rows.send, topic, key, value, rows.flaw)
    send = np.concatenate(([each[0] for each in others], rows.send))
    order = np.argsort(send, kind="stable")
    key, value = [each[2] for each in others] + key, [each[3] for each in others] + value
    return Messages(
        send[order],
        np.concatenate((np.array([each[1] for each in others], np.int8), topic))[order],
        [key[at] for at in order.tolist()],
        [value[at] for at in order.tolist()],
        np.concatenate((np.zeros(len(others), np.int8), rows.flaw))[order],
    )
