"""What the live page shows, read in one go: figures, positions, the last day.

Reads only. A reader keeps at hand what seldom changes (names, places, closed slices) and asks only for what
is new, so that a second of a whole force costs a few queries, however long the shift is.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import AreaSet, Kind
from geo.hours import OwnHours
from geo.matching.history import FOREVER
from stream.clock import UNKNOWN, chosen
from stream.core.facts import SECOND, Duty
from stream.core.live.overview import DAY, Covered, DayTracks, Picture, Standing, Units
from stream.core.live.projection import LOOK_BACK
from stream.core.live.watched import needed
from stream.core.quality.tracks import Extent
from stream.core.shares import TOTALS, totals
from stream.core.slices import HIDDEN, OFF_PATCH, ON_PATCH, Slices
from stream.store import areas
from stream.store.chunks import exactly
from stream.store.columns import copy_out, literal, series_out
from stream.store.reading.doubtful import DoubtfulTime
from stream.store.reading.ends import KeptEnds
from stream.store.reading.instant import instant, numbering, read_duties, slices_of
from stream.store.registry import Registry
from stream.store.tracks import SLICES, closed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.policy import Policies
    from stream.core.windows import Rows
    from stream.store.areas import Version
    from stream.store.reading.ends import GrowingEnds
    from stream.store.schema import Connection

SHOWN = 3600 * SECOND
"""A device not heard for longer than this is not shown, microseconds."""

MARGIN = 2 * 3600 * SECOND
"""How far beyond now the priority areas' hours are looked up at once, microseconds."""


class _Kept:
    """Of the closed slices of the last day those that alerts depend on."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.now = -FOREVER
        self.rows: Rows = SLICES.empty()
        self.covered = Covered(*(np.empty(0, np.int64) for _ in range(3)))

    def take(
        self,
        fresh: Mapping[int, Rows],
        slices_of_rows: Callable[[Rows], Slices],
        places: Sequence[Place],
        keys: NDArray[np.int64],
    ) -> None:
        """Takes closed slices in the place of those of the same duties, and drops those of other duties.

        Args:
            fresh: rows by the duty's key.
            slices_of_rows: rows → slices, with the places' numbers.
            places: the places behind them.
            keys: of the duties of the last day, in order.
        """
        gone = np.array(sorted(fresh), np.int64)
        stay = np.isin(self.rows[0], keys) & ~np.isin(self.rows[0], gone)
        along = np.isin(self.covered.duty, keys) & ~np.isin(self.covered.duty, gone)
        parts = [fresh[key] for key in gone.tolist()]
        made: Rows = tuple(
            np.concatenate([SLICES.empty()[at], *(part[at] for part in parts)]) for at in range(7)
        )
        made = (np.repeat(np.arange(len(parts), dtype=np.int64), [len(part[1]) for part in parts]), *made[1:])
        which, covered = needed(slices_of_rows(made), places, self.now - LOOK_BACK, self.patience)
        made = (gone[made[0]], *made[1:])
        self.rows = tuple(
            np.concatenate([old[stay], new[which]]) for old, new in zip(self.rows, made, strict=True)
        )
        self.covered = Covered(
            np.concatenate([self.covered.duty[along], gone[covered.duty]]),
            np.concatenate([self.covered.start[along], covered.start]),
            np.concatenate([self.covered.end[along], covered.end]),
        )


class _Arrivals:
    """When devices were last heard: by the time of their newest fix, but not after it was seen to come.

    Of what was there at the first look and is dated ahead it is not known when it came.
    """

    def __init__(self) -> None:
        self._time = self._heard = np.empty(0, np.int64)
        self._looked = False

    def look(self, keys: NDArray[np.integer], newest: NDArray[np.int64], now: int) -> None:
        """Looks at the newest fixes of all devices (keys, times) at an instant, microseconds."""
        more = np.full(max(0, int(keys.max(initial=-1)) + 1 - len(self._time)), -FOREVER, np.int64)
        self._time, self._heard = np.append(self._time, more), np.append(self._heard, more)
        fresh = self._time[keys] != newest
        key, time = keys[fresh], newest[fresh]
        self._time[key] = time
        self._heard[key] = np.minimum(time, now) if self._looked else np.where(time > now, FOREVER, time)
        self._looked = True

    def last(self, names: Mapping[int, str]) -> dict[str, int]:
        """When each device was heard; its fix's own time where that is not known."""
        times = np.minimum(self._time, self._heard)
        return {names[key]: int(times[key]) for key in np.flatnonzero(times > -FOREVER).tolist()}

    def unseen(self, names: Mapping[int, str]) -> frozenset[str]:
        """The devices of which it is not known."""
        return frozenset(names[key] for key in np.flatnonzero(self._heard == FOREVER).tolist())

    def newest(self) -> int:
        """When any was heard; ``-FOREVER`` where that is not known of any."""
        return int(self._heard.max(initial=-FOREVER, where=self._heard < FOREVER))


class Reader:
    """Reads pictures over one connection; not for several threads at once."""

    def __init__(self) -> None:
        self._server = ""
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
        self._arrivals = _Arrivals()
        self._closed: dict[int, Rows] = {}
        self._marks = _NO_MARKS
        self._kept = _Kept(0)
        self._doubted: dict[int, set[tuple[int, int, bool, bool]]] = {}
        self._now_ends, self._day_ends = KeptEnds(), KeptEnds()

    # ── every second ──────────────────────────────────────────────────────────────────────────────────────

    def picture(self, connection: Connection, clock: str, wall: int) -> Picture:
        """The state of things.

        Args:
            connection: outside any transaction; all is read as of one instant.
            clock: which says what is now: ``wall`` or ``events``.
            wall: the wall clock, microseconds since 1970.
        """
        with instant(connection):
            self._follow(connection)
            newest = self._read_units(connection)
            at = chosen(clock, lambda: newest, lambda: wall)()
            now = wall if at == UNKNOWN else at
            met = np.flatnonzero(self._units["time"] > -FOREVER)
            self._arrivals.look(met, self._units["time"][met], now)
            self._read_areas(connection)
            found = self._standing(connection, now, at)
        return Picture(
            **{item.name: getattr(found, item.name) for item in fields(found)},
            as_of=now,
            newest=newest,
            areas=self._areas_at(now),
            units=self._shown(now),
            last_fix=self._arrivals.last(self._device_names),
            unseen=self._arrivals.unseen(self._device_names),
            heard=self._arrivals.newest(),
        )

    def watch(
        self, connection: Connection, clock: str, wall: int, policies: Policies
    ) -> tuple[Picture, DayTracks, Covered]:
        """The state of things as far as alerts depend on it: no units, and of the last day what is needed.

        Args:
            connection: outside any transaction; all is read as of one instant.
            clock: which says what is now: ``wall`` or ``events``.
            wall: the wall clock, microseconds since 1970.
            policies: how long a silent officer is shown as last seen (rule 4).
        """
        with instant(connection):
            self._follow(connection)
            keys, times = self._last_fixes(connection)
            newest = int(times.max(initial=-FOREVER))
            at = chosen(clock, lambda: newest, lambda: wall)()
            now = wall if at == UNKNOWN else at
            self._arrivals.look(keys, times, now)
            self._read_areas(connection)
            found = self._standing(connection, now, at)
            tracks, covered = self._watched(connection, now, int(policies.at(now).max_gap_s * SECOND))
        picture = Picture(
            **{item.name: getattr(found, item.name) for item in fields(found)},
            as_of=now,
            newest=newest,
            areas=self._areas_at(now),
            units=_NOBODY,
            last_fix=self._arrivals.last(self._device_names),
            unseen=self._arrivals.unseen(self._device_names),
            heard=self._arrivals.newest(),
        )
        return picture, tracks, covered

    def _last_fixes(self, connection: Connection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The devices that a fix is there of, by key, and the time of the newest of each."""
        _, (device, newest) = series_out(
            connection,
            f"select 0, array_agg(device::int8), array_agg(newest) from stay_end where newest > {-FOREVER}",
            ["int8", "int8"],
        )
        self._name(connection, device.tolist())
        return device, newest

    def _name(self, connection: Connection, keys: Sequence[int]) -> None:
        """Learns the names of devices that were not met yet."""
        unmet = sorted(set(keys) - self._device_names.keys())
        if unmet:
            self._device_names.update(
                connection.execute(
                    "select device, device_id from device where device = any(%s)", [unmet]
                ).fetchall()
            )

    def standing(self, connection: Connection, now: int) -> Standing:
        """The duties now running, with their sums.

        Args:
            connection: in a transaction that sees one instant.
            now: microseconds since 1970; nothing later counts.
        """
        self._follow(connection)
        return self._standing(connection, now, now)

    def grounds(self, connection: Connection, now: int) -> Mapping[str, str]:
        """Names by id of the neighbourhoods in force.

        Args:
            connection: in a transaction that sees one instant.
            now: microseconds since 1970.
        """
        self._read_areas(connection)
        return self._areas_at(now).names(Kind.NEIGHBOURHOOD)

    def _standing(self, connection: Connection, now: int, at: int) -> Standing:
        ends = self._now_ends.read(connection, at, at)
        keys, duties = ends.keys, self._named(connection, self._now_ends, ends)
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
        doubts = DoubtfulTime.of(connection, keys)
        doubted = doubts.by_duty()
        others = {
            key for key in doubted.keys() | self._doubted.keys() if doubted.get(key) != self._doubted.get(key)
        }
        self._doubted = doubted
        return Standing(
            duties=duties,
            table=np.hstack([table, doubts.sums(-FOREVER, now)]),
            ends=slices,
            places=self._places,
            far=self._far(connection, keys, duties, table, slices),
            touched=ends.touched | np.isin(keys, sorted(others)),
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
            self._name(connection, keys.tolist())
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

    def _named(self, connection: Connection, kept: KeptEnds, ends: GrowingEnds) -> list[Duty]:
        """The bookings behind growing ends, each read once a revision."""
        if kept.duties is not None:
            return kept.duties
        wanted = list(zip(ends.keys.tolist(), ends.stamps.tolist(), strict=True))
        missing = {key: stamp for key, stamp in wanted if (key, stamp) not in self._duties}
        if missing:
            for key, duty in read_duties(connection, "duty = any(%s)", [list(missing)]).items():
                self._duties[key, missing[key]] = duty
        if len(self._duties) > 4 * len(wanted) + 10_000:  # of days gone by
            allowed = set(wanted)
            self._duties = {key: duty for key, duty in self._duties.items() if key in allowed}
        kept.duties = [self._duties[key] for key in wanted]
        return kept.duties

    def _follow(self, connection: Connection) -> None:
        """Forgets everything where another server answers: its transactions have other numbers."""
        [(server,)] = connection.execute(
            "select concat(pg_postmaster_start_time(), ' ', oid) from pg_database "
            "where datname = current_database()"
        ).fetchall()
        if server != self._server:
            self.__init__()  # type: ignore[misc]
            self._server = server

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
            self._follow(connection)
            self._read_areas(connection)
            ends = self._day_ends.read(connection, now - DAY, now)
            duties = self._named(connection, self._day_ends, ends)
            for key, part in self._changed(connection, ends).items():
                self._closed[key] = part
            self._read_places(connection)
        keys = ends.keys.tolist()
        self._closed = {key: self._closed[key] for key in keys}
        parts = list(self._closed.values())
        size = [len(part[1]) for part in parts]
        shut: Rows = tuple(
            np.concatenate([SLICES.empty()[at], *(part[at] for part in parts)]) for at in range(7)
        )
        shut = (np.repeat(np.arange(len(parts), dtype=np.int64), size), *shut[1:])
        return self._day(now, duties, shut, ends)

    def _watched(self, connection: Connection, now: int, patience: int) -> tuple[DayTracks, Covered]:
        """The last day, without the closed slices that no alert depends on (``stream.core.live.watched``).

        Args:
            connection: in a transaction that sees one instant.
            now: microseconds since 1970.
            patience: how long a silent officer is shown as last seen (rule 4), microseconds.
        """
        kept = self._kept
        if patience != kept.patience or now < kept.now:
            kept = self._kept = _Kept(patience)
            self._marks = _NO_MARKS
        kept.now = now
        ends = self._day_ends.read(connection, now - DAY, now)
        duties = self._named(connection, self._day_ends, ends)
        fresh = self._changed(connection, ends)
        kept.take(fresh, self._slices, self._places, ends.keys)
        rows = numbering(ends.keys.tolist())[kept.rows[0]].astype(np.int64), *kept.rows[1:]
        covered = Covered(
            numbering(ends.keys.tolist())[kept.covered.duty].astype(np.int64),
            kept.covered.start,
            kept.covered.end,
        )
        return self._day(now, duties, rows, ends), covered

    def _changed(self, connection: Connection, ends: GrowingEnds) -> dict[int, Rows]:
        """The closed slices, by duty, of those of which they are others than when this was last asked."""
        keys = ends.keys.tolist()
        marks = np.column_stack([ends.closed, ends.settled])
        known, before = self._marks
        at = np.minimum(np.searchsorted(known, ends.keys), max(0, len(known) - 1))
        same = np.zeros(len(keys), np.bool_)
        if len(known):
            same = (known[at] == ends.keys) & (before[at] == marks).all(axis=1)
        stale = np.flatnonzero(~same)
        found = closed(
            connection,
            SLICES,
            ends.keys[stale].astype(np.int32),
            np.full(len(stale), -FOREVER, np.int64),
            np.full(len(stale), FOREVER, np.int64),
        )
        self._marks = ends.keys, marks
        bounds = np.searchsorted(found[0], np.arange(len(stale) + 1)).tolist()
        return {
            keys[at]: tuple(column[low:high] for column in found)
            for at, (low, high) in zip(stale.tolist(), pairwise(bounds), strict=True)
        }

    def _day(self, now: int, duties: Sequence[Duty], shut: Rows, ends: GrowingEnds) -> DayTracks:
        """The last day of closed and growing slices, whose keys are the numbers of the duties."""
        table = [np.concatenate(pair) for pair in zip(shut, ends.rows, strict=True)]
        order = np.lexsort((table[1], table[0]))
        slices = self._slices(tuple(column[order] for column in table))
        # A duty's slices begin with it.
        first = min((duty.start for duty in duties), default=now)
        windows = self._windows_over(min(first, now - DAY), now)
        return DayTracks(now, tuple(duties), slices, self._places, windows)

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


_NO_MARKS = np.empty(0, np.int64), np.empty((0, 1 + TOTALS), np.int64)
"""Of no duties: their keys, and by what it is seen that their closed slices are others."""

_NOBODY = Units((), *(np.empty(0, kind) for kind in (np.int64, *[np.float64] * 5, np.int32)))

_UNIT = np.dtype(
    [
        ("time", np.int64),
        ("lon", np.float64),
        ("lat", np.float64),
        ("error_m", np.float64),
        ("speed_mps", np.float32),
        ("heading_deg", np.float32),
        ("place", np.int64),
    ]
)
