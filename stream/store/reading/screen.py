"""What the live page shows, read in one go: figures, positions, the last day.

Reads only. A reader keeps at hand what seldom changes (names, places, closed slices) and asks only for what
is new, so that a second of a whole force costs a few queries, however long the shift is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import AreaSet, Kind
from geo.hours import OwnHours
from geo.matching.history import FOREVER
from stream.clock import UNKNOWN, chosen
from stream.core.facts import SECOND, Duty
from stream.core.live.overview import DAY, DayTracks, Picture, Standing, Units
from stream.core.quality.tracks import Extent
from stream.core.shares import TOTALS, totals
from stream.core.slices import HIDDEN, OFF_PATCH, ON_PATCH, Slices
from stream.store import areas
from stream.store.chunks import exactly
from stream.store.columns import ARRAY_HEADER, copy_out, literal
from stream.store.reading.doubtful import DoubtfulTime
from stream.store.reading.instant import instant, read_duties, slices_of
from stream.store.registry import Registry
from stream.store.tracks import SLICES, closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.windows import Rows
    from stream.store.areas import Version
    from stream.store.schema import Connection

SHOWN = 3600 * SECOND
"""A device not heard for longer than this is not shown, microseconds."""

MARGIN = 2 * 3600 * SECOND
"""How far beyond now the priority areas' hours are looked up at once, microseconds."""

HEAD = 2 + TOTALS
"""Numbers before the slices in what is read of a growing end: duty, closed, settled."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """Growing ends of duties: their keys, how far they are closed, sums, and slices as rows."""

    keys: NDArray[np.int64]
    closed: NDArray[np.int64]
    settled: NDArray[np.int64]
    rows: Rows


class Reader:
    """Reads pictures over one connection; not for several threads at once."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._places: list[Place] = []
        self._newest_place = -1
        self._duties: dict[tuple[int, int], Duty] = {}
        self._device_names: dict[int, str] = {}
        self._word = ""
        self._versions: list[Version] = []
        self._sets: dict[int, AreaSet] = {}
        self._in_force: tuple[tuple[int, ...], AreaSet] = ((), AreaSet.of(()))
        self._windows: OwnHours | None = None
        self._units = np.zeros(0, _UNIT)
        self._arrived = np.empty(0, np.int32)
        self._looked = False
        self._closed: dict[int, tuple[bytes, Rows]] = {}

    # ── every second ──────────────────────────────────────────────────────────────────────────────────────

    def picture(self, connection: Connection, clock: str, wall: int) -> Picture:
        """The state of things.

        Args:
            connection: outside any transaction; all is read as of one instant.
            clock: which says what is now: ``wall`` or ``events``.
            wall: the wall clock, microseconds since 1970.
        """
        with instant(connection):
            newest = self._read_units(connection)
            at = chosen(clock, lambda: newest, lambda: wall)()
            now = wall if at == UNKNOWN else at
            self._date_arrivals(now)
            self._read_areas(connection)
            found = self.standing(connection, now, at=at)
        return Picture(
            **{item.name: getattr(found, item.name) for item in fields(found)},
            as_of=now,
            newest=newest,
            areas=self._areas_at(now),
            units=self._shown(now),
            last_fix=self._last_fix(),
            unseen=self._unseen(),
            heard=self._newest_heard(),
        )

    def standing(self, connection: Connection, now: int, *, at: int | None = None) -> Standing:
        """The duties now running, with their sums.

        Args:
            connection: in a transaction that sees one instant.
            now: microseconds since 1970; nothing later counts.
            at: the time at which the duties run; None: now.
        """
        at = now if at is None else at
        keys, duties, ends = self._running(connection, at, at)
        self._read_places(connection)
        # Device clocks may be ahead: what is settled behind now does not count yet.
        early = np.flatnonzero(ends.closed > now)
        ahead = closed(
            connection,
            SLICES,
            ends.keys[early].astype(np.int32),
            np.full(len(early), now, np.int64),
            np.full(len(early), FOREVER, np.int64),
        )
        slices = self._slices(ends.rows)
        later = self._slices((early[ahead[0]], *ahead[1:]))
        table = ends.settled + totals(slices, duties, self._places, -FOREVER, now)
        table -= totals(later, duties, self._places, now, FOREVER)
        doubted = DoubtfulTime.of(connection, keys).sums(-FOREVER, now)
        return Standing(
            duties=duties,
            table=np.hstack([table, doubted]),
            ends=slices,
            places=self._places,
            far=self._far(connection, keys, duties, table, slices),
        )

    def _far(
        self,
        connection: Connection,
        keys: NDArray[np.int64],
        duties: Sequence[Duty],
        table: NDArray[np.int64],
        ends: Slices,
    ) -> bool:
        """Whether nobody was in any area so far, and the last position of every device lies far from all.

        Nothing is asked while anybody has been on patch, which is nearly always.
        """
        if table[:, ON_PATCH].any() or not table[:, [HIDDEN, OFF_PATCH]].any():
            return False
        inside = np.array([any(place[:3]) for place in self._places] + [False], np.bool_)
        if inside[ends.place].any():
            return False
        self._read_areas(connection)
        self._read_units(connection)
        extent = Extent.of(self._sets.values())
        booked = {item.device_id for duty in duties for item in duty.devices}
        rows = [key for key, name in self._device_names.items() if name in booked]
        units = self._units[np.array(rows, np.int64)]
        if extent is None or not len(units) or extent.is_near(units["lon"], units["lat"]).any():
            return False
        [(seen,)] = connection.execute(
            "select exists (select from slice join place using (place) where duty = any(%s) and "
            "(neighbourhood is not null or premises is not null or priorities <> '{}'))",
            [keys.tolist()],
        ).fetchall()
        return not seen

    def _read_units(self, connection: Connection) -> int:
        device, newest = copy_out(
            connection, f"select device, newest from stay_end where newest > {-FOREVER}", ["int4", "int8"]
        )
        if not len(device):
            return -FOREVER
        top = int(device.max()) + 1
        if top > len(self._units):
            more = np.zeros(top - len(self._units), _UNIT)
            more["time"] = -FOREVER
            self._units = np.concatenate([self._units, more])
        fresh = np.flatnonzero(self._units["time"][device] != newest)
        if len(fresh):
            fixes = exactly(connection, device[fresh], newest[fresh])
            keys = device[fresh][fixes.device]
            for name in ("time", "lon", "lat", "error_m", "speed_mps", "heading_deg"):
                self._units[name][keys] = getattr(fixes, name)
            key, place = copy_out(
                connection,
                "select device, coalesce(stays[cardinality(stays)], -1) from stay_end "
                f"where device = any({literal(keys, 'int4')})",
                ["int4", "int8"],
            )
            self._units["place"][key] = place
            self._arrived = np.append(self._arrived, keys)
            unmet = sorted(set(keys.tolist()) - self._device_names.keys())
            if unmet:
                self._device_names.update(
                    connection.execute(
                        "select device, device_id from device where device = any(%s)", [unmet]
                    ).fetchall()
                )
        return int(newest.max())

    def _shown(self, now: int) -> Units:
        shown = np.flatnonzero(self._units["time"] > now - SHOWN)
        names = [self._device_names[key] for key in shown.tolist()]
        shown = shown[np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)]
        rows = self._units[shown]
        return Units(
            tuple(sorted(names)),
            rows["time"].copy(),
            lon=rows["lon"].copy(),
            lat=rows["lat"].copy(),
            error_m=rows["error_m"].copy(),
            speed_mps=rows["speed_mps"].astype(np.float64),
            heading_deg=rows["heading_deg"].astype(np.float64),
            place=self._registry.to_numbers(rows["place"]),
        )

    def _last_fix(self) -> dict[str, int]:
        met = np.flatnonzero(self._units["time"] > -FOREVER).tolist()
        times = np.minimum(self._units["time"], self._units["heard"])
        return {self._device_names[key]: int(times[key]) for key in met}

    def _date_arrivals(self, now: int) -> None:
        """When what is new was heard: by its own time, but not after it was seen to come.

        Of what was there at the first look and is dated ahead it is not known when it came.
        """
        time = self._units["time"][self._arrived]
        latest = np.minimum(time, now) if self._looked else np.where(time > now, FOREVER, time)
        self._units["heard"][self._arrived] = latest
        self._arrived, self._looked = np.empty(0, np.int32), True

    def _unseen(self) -> frozenset[str]:
        rows = np.flatnonzero((self._units["heard"] == FOREVER) & (self._units["time"] > -FOREVER))
        return frozenset(self._device_names[key] for key in rows.tolist())

    def _newest_heard(self) -> int:
        heard = self._units["heard"]
        met = (heard < FOREVER) & (self._units["time"] > -FOREVER)
        return int(heard.max(initial=-FOREVER, where=met))

    def _read_areas(self, connection: Connection) -> None:
        word = areas.newest(connection)
        if word == self._word:
            return
        self._versions = areas.versions(connection)
        self._sets = {
            item.version: self._sets.get(item.version) or areas.read(connection, item.version, item.kind)
            for item in self._versions
        }
        self._word, self._in_force, self._windows = word, ((), AreaSet.of(())), None

    def _areas_at(self, now: int) -> AreaSet:
        numbers = tuple(item.version for item in areas.in_force(self._versions, now))
        if numbers != self._in_force[0]:
            self._in_force = (numbers, AreaSet.union(*(self._sets[number] for number in numbers)))
        return self._in_force[1]

    def _running(
        self, connection: Connection, low: int, high: int
    ) -> tuple[NDArray[np.int64], list[Duty], _Ends]:
        """Duties that touch a time, both ends included, in the order of their keys."""
        wanted = (
            "from duty d join slice_end e using (duty) where until_at is not null "
            "and tstzrange(start_at, until_at) "
            f"&& tstzrange(from_us({int(low)}), from_us({int(high)}), '[]') "
        )
        # A row's xmin is another one whenever it was written anew: a booking is read once a revision.
        stamp, length, flat = _series(
            connection,
            f"select d.xmin::text::int8, array[duty::int8, closed] || settled || slices {wanted}"
            "order by duty",
        )
        first = np.cumsum(length) - length
        keys, stamps = flat[first], stamp
        duties = self._named(connection, list(zip(keys.tolist(), stamps.tolist(), strict=True)))
        return keys, duties, _ends(length, flat)

    def _named(self, connection: Connection, wanted: Sequence[tuple[int, int]]) -> list[Duty]:
        missing = {key: stamp for key, stamp in wanted if (key, stamp) not in self._duties}
        if missing:
            for key, duty in read_duties(connection, "duty = any(%s)", [list(missing)]).items():
                self._duties[key, missing[key]] = duty
        if len(self._duties) > 4 * len(wanted) + 10_000:  # of days gone by
            kept = set(wanted)
            self._duties = {key: duty for key, duty in self._duties.items() if key in kept}
        return [self._duties[key] for key in wanted]

    def _read_places(self, connection: Connection) -> None:
        [(newest,)] = connection.execute("select coalesce(max(place), -1) from place").fetchall()
        if newest != self._newest_place:
            self._places = self._registry.places(connection, self._places)
            self._newest_place = newest

    def _slices(self, rows: Rows) -> Slices:
        return slices_of((*rows[:5], self._registry.to_numbers(rows[5]), rows[6]))

    # ── the last day ──────────────────────────────────────────────────────────────────────────────────────

    def tracks(self, connection: Connection, now: int) -> DayTracks:
        """The last day up to a time (microseconds), closed slices read only where they changed."""
        with instant(connection):
            self._read_areas(connection)
            keys, duties, ends = self._running(connection, now - DAY, now)
            marks = [
                row.tobytes()
                for row in np.column_stack([ends.closed, ends.settled]).astype(np.int64, order="C")
            ]
            stale = np.array(
                [
                    at
                    for at, (key, mark) in enumerate(zip(keys.tolist(), marks, strict=True))
                    if self._closed.get(key, (b"",))[0] != mark
                ],
                np.int64,
            )
            if len(stale):
                found = closed(
                    connection,
                    SLICES,
                    keys[stale].astype(np.int32),
                    np.full(len(stale), -FOREVER, np.int64),
                    np.full(len(stale), FOREVER, np.int64),
                )
                bounds = np.searchsorted(found[0], np.arange(len(stale) + 1)).tolist()
                for at, (low, high) in zip(stale.tolist(), pairwise(bounds), strict=True):
                    self._closed[int(keys[at])] = (marks[at], tuple(column[low:high] for column in found))
            self._read_places(connection)
        self._closed = {key: self._closed[key] for key in keys.tolist()}
        parts = [self._closed[key][1] for key in keys.tolist()]
        size = [len(part[1]) for part in parts]
        shut: Rows = tuple(
            np.concatenate([SLICES.empty()[at], *(part[at] for part in parts)]) for at in range(7)
        )
        shut = (np.repeat(np.arange(len(parts), dtype=np.int64), size), *shut[1:])
        table = [np.concatenate(pair) for pair in zip(shut, ends.rows, strict=True)]
        order = np.lexsort((table[1], table[0]))
        slices = self._slices(tuple(column[order] for column in table))
        # A duty's slices begin with it.
        first = min((duty.start for duty in duties), default=now)
        return DayTracks(
            now, tuple(duties), slices, self._places, self._windows_over(min(first, now - DAY), now)
        )

    def _windows_over(self, start: int, end: int) -> OwnHours:
        if self._windows is None or start < self._windows.reach[0] or end >= self._windows.reach[1]:
            starts = sorted({item.valid_from for item in self._versions})
            sets = [
                (
                    since,
                    AreaSet.union(
                        *(
                            self._sets[item.version]
                            for item in areas.in_force(self._versions, since)
                            if item.kind is Kind.PRIORITY
                        )
                    ),
                )
                for since in starts
            ]
            self._windows = OwnHours.of(sets, start - MARGIN, end + MARGIN)
        return self._windows


_UNIT = np.dtype(
    [
        ("time", np.int64),
        ("lon", np.float64),
        ("lat", np.float64),
        ("error_m", np.float64),
        ("speed_mps", np.float32),
        ("heading_deg", np.float32),
        ("place", np.int64),
        ("heard", np.int64),
    ]
)
_READ = (_UNIT.names or ())[:-1]


def _ends(length: NDArray[np.int64], flat: NDArray[np.int64]) -> _Ends:
    """Arrays ``duty, closed, settled…, slices…`` one after another → columns."""
    first = np.cumsum(length) - length
    head = flat[first[:, None] + np.arange(HEAD)] if len(first) else np.empty((0, HEAD), np.int64)
    body = np.ones(len(flat), np.bool_)
    body[(first[:, None] + np.arange(HEAD)).ravel()] = False
    table = flat[body].reshape(-1, SLICES.width)
    key = np.repeat(np.arange(len(length), dtype=np.int64), (length - HEAD) // SLICES.width)
    rows: Rows = (key, *(np.ascontiguousarray(table[:, at]) for at in range(SLICES.width)))
    return _Ends(head[:, 0].copy(), head[:, 1].copy(), head[:, 2:].copy(), rows)


def _series(
    connection: Connection, query: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a number and an array of numbers (int8): the numbers, the arrays' lengths, all their values."""
    found = connection.cursor(binary=True).execute(query.encode()).pgresult
    assert found is not None
    numbers = b"".join(found.get_value(row, 0) or b"" for row in range(found.ntuples))
    arrays = [(found.get_value(row, 1) or b"")[ARRAY_HEADER:] for row in range(found.ntuples)]
    values = np.frombuffer(b"".join(arrays), _ELEMENT)["value"].astype(np.int64)
    length = np.array([len(item) // _ELEMENT.itemsize for item in arrays], np.int64)
    return np.frombuffer(numbers, ">i8").astype(np.int64), length, values


_ELEMENT = np.dtype([("size", ">i4"), ("value", ">i8")])
"""An element of an array in PostgreSQL's binary format."""
