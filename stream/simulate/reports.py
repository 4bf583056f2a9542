"""The reports: what trackers make of the true paths, and the messages that carry it, in sending order.

When a tracker reports, silence, late and doubled reports and a few that nobody can use; how far positions err
was decided in ``receivers``. Made window by window in columns, so that millions of messages pass through a
few megabytes. The truth is not changed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.facts import SECOND
from stream.simulate.plane import DEGREE_M
from stream.simulate.receivers import Errors
from stream.simulate.wire import Rows, position_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stream.simulate.patrols import Path
    from stream.simulate.receivers import Quality, Reporting

TOPICS: Final = ("radio.positions", "vehicle.positions", "duty.bookings", "duty.states")
"""What ``Messages.topic`` points at, before any prefix."""
FLAWS: Final = ("", "not_json", "zero_position", "error_too_large", "in_future")
"""What ``Messages.flaw`` points at: usable, or the reason for which it must be rejected."""

_MS = 1_000
_DAY = 86_400 * SECOND
_LOOKS = 20_000  # a window is a minute, or this many looks at a position if that is longer
_PARKED_S = 120.0  # a parked vehicle reports this seldom
_DRIVEN_MPS = 3.5  # whoever is faster drives


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
        indoors: ``(device, start, end)``: when a device was in a building. Those of one do not overlap.
    """

    device_id: tuple[str, ...]
    vehicle: NDArray[np.bool_]
    path: NDArray[np.int64]
    on: NDArray[np.int64]
    off: NDArray[np.int64]
    quiet: Sequence[tuple[int, int, int, bool]]
    indoors: Sequence[tuple[int, int, int]]


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
        self.middle = float(self._lat.mean())

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


class Reports:
    """Everything that trackers measure and send, window by window, in order of measuring."""

    def __init__(
        self,
        trackers: Trackers,
        tracks: Tracks,
        *,
        reporting: Reporting,
        quality: Quality,
        rng: np.random.Generator,
    ) -> None:
        """Starts every tracker.

        Args:
            trackers: the devices.
            tracks: the true paths.
            reporting: when they report.
            quality: how good they are.
            rng: makes the errors; the same state gives the same messages.
        """
        self._trackers, self._tracks, self._quality, self._rng = trackers, tracks, quality, rng
        self._reporting, self._tick = reporting, reporting.tick
        devices = len(trackers.device_id)
        spread = np.exp(quality.spread * rng.standard_normal(devices) - quality.spread**2)
        self._errors = Errors(quality.foot, quality.vehicle, quality.claim, spread, self._tick / SECOND, rng)
        self._phase = rng.integers(0, self._tick // _MS, devices) * _MS
        self._origin, self._end = int(trackers.on.min()), int(trackers.off.max())
        self._quiet = _Quiet(trackers.quiet, self._origin, self._end)
        inside = [(device, start, end, True) for device, start, end in trackers.indoors]
        self._inside = _Quiet(inside, self._origin, self._end)
        self._last = _Last(devices)

    @property
    def trackers(self) -> Trackers:
        """The devices."""
        return self._trackers

    def windows(self) -> Iterator[tuple[int, Rows]]:
        """``(time up to which everything was measured, microseconds; reports)``, to be asked for once."""
        tick = self._tick
        steps = max(1, 60 * SECOND // tick, _LOOKS // len(self._phase))
        for first in range(0, (self._end - self._origin) // tick + 1, steps):
            made = self._sent(self._measured(first, steps))
            yield self._origin + (first + steps) * tick, made

    def _measured(self, first: int, steps: int) -> Rows:
        """What all devices measure in some steps, of all their looks those that they report."""
        trackers, devices = self._trackers, len(self._phase)
        step = first + np.arange(steps)
        # Device by device, so that places on one path are looked up one after the other.
        device = np.repeat(np.arange(devices), steps)
        time = (self._origin + self._phase[:, None] + step * self._tick).ravel()
        lon, lat, speed, heading = self._tracks.at(trackers.path[device], time)
        _, inside, _, _ = self._inside.find(device, time)
        shape = (devices, steps)
        east, north, told = self._errors.next(
            (trackers.vehicle[device] | (speed > _DRIVEN_MPS)).reshape(shape).T,
            (speed == 0.0).reshape(shape).T,
            np.where(inside, self._quality.indoors, 1.0).reshape(shape).T,
        )
        east, north, told = (np.ascontiguousarray(each.T).ravel() for each in (east, north, told))
        here = (time >= trackers.on[device]) & (time < trackers.off[device])
        if self._reporting.on_movement:
            squeezed = DEGREE_M * float(np.cos(np.radians(self._tracks.middle)))
            kept = self._last.moved(
                self._reporting,
                time=time.reshape(shape),
                east=(lon * squeezed + east).reshape(shape),
                north=(lat * DEGREE_M + north).reshape(shape),
                heading=np.where(speed >= 1.0, heading, np.nan).reshape(shape),
                here=here.reshape(shape),
            ).ravel()
        else:
            seldom = max(1, round(_PARKED_S * SECOND / self._tick))
            turn = (np.tile(step, devices) + device) % seldom == 0
            kept = here & ((speed > 0) | ~trackers.vehicle[device] | turn)
        jump = self._rng.random(len(time)) < self._quality.jumps
        far = self._rng.uniform(3_000, 30_000, int(jump.sum()))
        angle = self._rng.uniform(0, 2 * np.pi, len(far))
        east[jump] += far * np.cos(angle)
        north[jump] += far * np.sin(angle)
        rows = Rows(
            device=device,
            time=time,
            lon=lon + east / (DEGREE_M * np.cos(np.radians(lat))),
            lat=lat + north / DEGREE_M,
            error_m=told,
            speed=speed,
            heading=heading,
            received=time,
            send=time,
            flaw=np.zeros(len(time), np.int8),
        )
        return rows.take(kept)

    def _sent(self, rows: Rows) -> Rows:
        """When and how often each report is sent, and what is wrong with it."""
        quality, rng = self._quality, self._rng
        lost, late, since, left = self._quiet.find(rows.device, rows.time)
        delay = 0.3 * SECOND + rng.exponential(0.4 * SECOND, len(rows.time))
        slow = rng.random(len(delay)) < quality.late
        delay[slow] += rng.uniform(60, 600, int(slow.sum())) * SECOND
        # What waited out a silence follows in its own order, 170 times as fast as it was measured.
        delay = np.where(late, left + SECOND + since * 0.006, delay)
        rows = _on_the_way(_as_written(rows), delay, rng).take(~lost)

        again = rows.take(rng.random(len(rows.time)) < quality.doubled)
        count = len(again.time)
        moved = (rng.random(count) < 0.5) * rng.normal(0, 4e-5, count)
        again = again._replace(lat=again.lat + moved, error_m=again.error_m + np.where(moved == 0, 0.0, 6.0))
        delay = again.received - again.time + rng.uniform(0.1, 30, count) * SECOND
        again = _on_the_way(_as_written(again), delay, rng)

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


class _Last:
    """What every device reported last, and whether it has moved enough since to report again."""

    def __init__(self, devices: int) -> None:
        self._time = np.full(devices, -_DAY * 100_000)
        self._east, self._north = np.zeros(devices), np.zeros(devices)
        self._heading = np.full(devices, np.nan)

    def moved(
        self,
        reporting: Reporting,
        *,
        time: NDArray[np.int64],
        east: NDArray[np.float64],
        north: NDArray[np.float64],
        heading: NDArray[np.float64],
        here: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """``bool[d, steps]``: which looks at a position are reported (metres, degrees, microseconds)."""
        kept = np.zeros(here.shape, np.bool_)
        longest = reporting.interval_s * SECOND - reporting.tick / 2
        for at in range(here.shape[1]):
            far = np.hypot(east[:, at] - self._east, north[:, at] - self._north) >= reporting.distance_m
            turned = np.abs((heading[:, at] - self._heading + 180.0) % 360.0 - 180.0) >= reporting.turn_deg
            now = here[:, at] & (far | turned | (time[:, at] - self._time >= longest))
            kept[:, at] = now
            self._time = np.where(now, time[:, at], self._time)
            self._east = np.where(now, east[:, at], self._east)
            self._north = np.where(now, north[:, at], self._north)
            # The way it went when it last moved: who stands has no heading.
            new = now & ~np.isnan(heading[:, at])
            self._heading = np.where(new, heading[:, at], self._heading)
        return kept


class _Quiet:
    """When devices are silent, or indoors: looked up for many reports at once."""

    def __init__(self, quiet: Sequence[tuple[int, int, int, bool]], origin: int, end: int) -> None:
        rows = sorted(quiet)
        self._origin, self._span = origin, end - origin + _DAY
        self._start = np.array([each * self._span + start - origin for each, start, _, _ in rows], np.int64)
        self._end = np.array([each * self._span + until - origin for each, _, until, _ in rows], np.int64)
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


def _as_written(rows: Rows) -> Rows:
    """Numbers as a message can say them: coordinates to 1e-7, tenths of metres, whole degrees."""
    return rows._replace(
        lon=np.rint(rows.lon * 1e7) / 1e7,
        lat=np.rint(rows.lat * 1e7) / 1e7,
        error_m=np.rint(rows.error_m * 10) / 10,
        speed=np.rint(rows.speed * 10) / 10,
        heading=np.rint(rows.heading),
    )


def _on_the_way(rows: Rows, delay: NDArray[np.float64], rng: np.random.Generator) -> Rows:
    """Received so long after the measurement, and sent on a moment later."""
    received = rows.time + delay.astype(np.int64) // _MS * _MS
    return rows._replace(received=received, send=received + rng.integers(20, 200, len(received)) * _MS)


def messages(made: Reports, others: Sequence[tuple[int, int, bytes, bytes]]) -> Iterator[Messages]:
    """All messages of a simulation in sending order, window by window.

    Args:
        made: the reports.
        others: bookings and states, ``(send, topic, key, value)`` in sending order.
    """
    trackers = made.trackers
    keys = [name.encode() for name in trackers.device_id]
    passed = 0
    for until, ready in in_sending_order(made):
        upto = passed
        while upto < len(others) and (until is None or others[upto][0] < until):
            upto += 1
        yield _messages(ready, trackers, keys, others[passed:upto])
        passed = upto


def in_sending_order(made: Reports) -> Iterator[tuple[int | None, Rows]]:
    """``(time up to which everything is sent; reports in sending order)``; None at the end."""
    pending: Rows | None = None
    for until, rows in made.windows():
        pending = rows if pending is None else pending.then(rows)
        due = pending.send < until
        ready, pending = pending.take(due), pending.take(~due)
        yield until, ready.take(np.lexsort((ready.time, ready.device, ready.send)))
    assert pending is not None
    yield None, pending.take(np.lexsort((pending.time, pending.device, pending.send)))


def _messages(
    rows: Rows, trackers: Trackers, keys: list[bytes], others: Sequence[tuple[int, int, bytes, bytes]]
) -> Messages:
    value = position_values(trackers.device_id, rows)
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
