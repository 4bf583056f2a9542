"""Deletes what is older than it may be, says what it deleted, and proves it.

In this order, each step in transactions of its own, so that one that is killed is done again:

1. *Outside duties.* Hours of devices in which no duty had them, and none within ``margin_us``, are deleted
   once they are older than a late booking may be. The fixes near a duty decide its first and its last leg
   (rule 4) and whether they are jumps (3), so they stay with it; and so do fixes on the very spot of
   those, to the last digit, for how long a receiver stands on one spot decides whether it is
   frozen (21). What is left is counted as ever.
2. *Positions* of whole days are deleted by dropping their partitions. First it is said that nothing before a
   time is counted again (``kept``), while nobody counts: so no figure is ever counted from half of its facts.
   That time is later than the days that are dropped by a margin and the longest duty, so what is counted on
   has its past. What a hold keeps is copied out first, and stays.
3. *Slices*, stays, bookings and states of whole weeks, but for duties on hold. Figures of settled weeks and
   published reports stay.

Every deletion is put on record with a hash over what it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import psycopg

from stream.core import calendar
from stream.core.columns import search
from stream.core.facts import SECOND
from stream.core.keeping import RetentionError
from stream.core.quality.elsewhere import extent_of
from stream.core.quality.intervals import union
from stream.store import areas, chunks, policies
from stream.store.chunks import DAY, HOUR
from stream.store.columns import literal
from stream.store.doubts import judge_due
from stream.store.kept import Kept, kept
from stream.store.ledger import Ledger
from stream.store.reading.instant import fetch, us
from stream.store.schema import Lock, alone
from stream.store.settled import restate_due

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.core.keeping import Terms
    from stream.core.policy import Policies
    from stream.store.schema import Connection

OFF_DUTY, FIXES, SLICES, STAYS, BOOKINGS, STATES = (
    *("positions outside duties", "positions", "slices", "stays"),
    *("bookings", "states"),
)
"""Kinds of what is deleted, as they are put on record."""

TOGETHER: Final = 100
"""Of so many devices hours are deleted in one transaction."""

PATIENCE_MS: Final = 2000
"""So long dropping a day waits for those who read, and others for it; then it is left for the next time."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was, or would be, deleted.

    Attributes:
        kind: one of the above.
        start: from when it is, microseconds.
        end: until when, exclusive.
        rows: how much: positions, slices, and so on.
        bytes: about how many that were.
        held: rows kept there for holds.
        sha256: of what was deleted; empty where it only would be.
    """

    kind: str
    start: int
    end: int
    rows: int
    bytes: int
    held: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What retention came to.

    Attributes:
        deletions: in their order.
        left: days whose partitions somebody read for too long: the next run drops them.
        kept: up to where what is gone now.
    """

    deletions: tuple[Deletion, ...]
    left: int
    kept: Kept


def margin_us(found: Policies) -> int:
    """How far around a duty positions are kept: all that rules 3, 4 and 21 look at from within it."""
    return max(
        HOUR,
        *(
            int(SECOND * (policy.parked_gap_s + 2 * policy.max_gap_s + 2 * policy.double_within_s))
            for policy in found.policies
        ),
    )


def counted_later_us(found: Policies) -> int:
    """So much later than the oldest positions the time is from which is counted; whole days."""
    longest = max(policy.longest_duty for policy in found.policies)
    return -(-(longest + margin_us(found)) // DAY) * DAY


def retain(
    connection: Connection,
    terms: Terms,
    now: int,
    *,
    by: str,
    why: str = "its time is over",
    dry: bool = False,
) -> Outcome:
    """Deletes what is older than the terms say.

    Args:
        connection: outside any transaction.
        terms: how long what is kept.
        now: microseconds since 1970.
        by: who, for the record.
        why: the reason, for the record.
        dry: nothing is deleted, and it is told what would be.

    Raises:
        psycopg.Error: the database refused or went away; what was deleted until then is on record.
    """
    with alone(connection, Lock.RETENTION):
        if not dry:
            judge_due(connection)
            restate_due(connection)
        task = _Task(connection, terms, now, by, why, dry, policies.in_force(connection))
        deletions = [*task.outside_duties(), *task.positions(), *task.slices()]
        if not dry:
            connection.execute("update kept_from set looked_at = now(), left_over = %s", [task.left])
        return Outcome(tuple(deletions), task.left, kept(connection))


@dataclass(slots=True)
class _Task:
    connection: Connection
    terms: Terms
    now: int
    by: str
    why: str
    dry: bool
    policies: Policies
    left: int = 0

    # ── outside duties ────────────────────────────────────────────────────────────────────────────────────

    def outside_duties(self) -> Iterator[Deletion]:
        """Hours of devices in which no duty had them, day by day."""
        line = (self.now - int(self.terms.off_duty_h * HOUR)) // HOUR * HOUR
        held = chunks.span(self.connection)
        if held is not None:
            first = max(held[0], kept(self.connection).facts_from) // DAY * DAY
            for day in range(first, line, DAY):
                yield from self._outside_duties(day, min(day + DAY, line))
        if not self.dry:
            self.connection.execute("update kept_from set off_duty_to = greatest(off_duty_to, %s)", [line])

    def _outside_duties(self, low: int, high: int) -> Iterator[Deletion]:
        window = self._claimed(low - 2 * DAY, high + 2 * DAY)
        found = fetch(
            self.connection,
            "select device, fix_hour(at) as hour, sum(n)::int8, sum(octet_length(data))::int8, "
            "coalesce(bool_or(exists (select from suspect s where s.device = r.device "
            f"and s.hour = fix_hour(at) / {HOUR})), false) from ("
            "select device, at, n, data from fix_open where at >= %s and at < %s union all "
            "select device, at, n, data from fix_chunk where at >= %s and at < %s) r "
            "group by 1, 2 order by 1, 2",
            [low, high, low, high],
        )
        device, hour, count, size, still = np.array(found, np.int64).reshape(-1, 5).T
        which = ~window.meets(device, hour, hour + HOUR)
        candidates = which & (still > 0)
        if candidates.any():
            which[candidates] = ~self._stood_there(window, device[candidates], hour[candidates], low, high)
        device, hour, count, size = (column[which] for column in (device, hour, count, size))
        if not len(device):
            return
        digest = hashlib.sha256()
        gone = 0
        if not self.dry:
            self._note_hours(device, hour)
            ledger = Ledger(self.connection)
            keys = np.unique(device)
            for some in np.split(keys, range(TOGETHER, len(keys), TOGETHER)):
                mine = np.isin(device, some)
                digest.update(self._digest(device[mine], hour[mine]))
                gone += ledger.forget(device[mine].astype(np.int32), hour[mine])
            # Whether any was suspect no longer matters.
            self.connection.execute(
                f"delete from suspect s using unnest({literal(device, 'int4')}, {literal(hour // HOUR)}) "
                "w (d, h) where s.device = w.d and s.hour = w.h".encode()
            )
        yield self._record(
            Deletion(
                *(OFF_DUTY, int(hour.min()), int(hour.max()) + HOUR),
                *(gone if not self.dry else int(count.sum()), int(size.sum())),
                sha256=digest.hexdigest(),
            )
        )

    def _stood_there(
        self, window: _Windows, device: NDArray[np.int64], hour: NDArray[np.int64], low: int, high: int
    ) -> NDArray[np.bool_]:
        """Hours with a fix of a run on one spot that reaches to where a duty has the device: ``bool[n]``."""
        stays = np.zeros(len(device), np.bool_)
        keys = np.unique(device)
        for some in np.split(keys, range(TOGETHER, len(keys), TOGETHER)):
            begin, end = (np.full(len(some), time, np.int64) for time in (low - DAY, high + DAY))
            fixes = chunks.around(self.connection, some, begin, end, before=1, after=1)
            same = np.zeros(len(fixes) + 1, np.bool_)
            same[1:-1] = (np.diff(fixes.device) == 0) & (np.diff(fixes.lon) == 0) & (np.diff(fixes.lat) == 0)
            run = np.cumsum(~same[:-1]) - 1
            whose = some[fixes.device].astype(np.int64)
            claimed = window.meets(whose, fixes.time // HOUR * HOUR, fixes.time // HOUR * HOUR + HOUR)
            # What goes on beyond what is looked at may reach anywhere.
            claimed |= (fixes.time < low - DAY) | (fixes.time > high + DAY)
            reaches = np.zeros(int(run[-1]) + 1 if len(run) else 0, np.bool_)
            alone_ = np.bincount(run, minlength=len(reaches)) == 1
            reaches[run[claimed]] = True
            kept_ = reaches[run] & ~alone_[run]
            there = np.unique(np.stack([whose[kept_], fixes.time[kept_] // HOUR * HOUR]), axis=1)
            mine = np.flatnonzero(np.isin(device, some))
            pairs = set(zip(*(row.tolist() for row in there), strict=True)) if there.size else set()
            stays[mine] = [
                pair in pairs for pair in zip(device[mine].tolist(), hour[mine].tolist(), strict=True)
            ]
        return stays

    def _claimed(self, low: int, high: int) -> _Windows:
        """When devices are booked, whether or not that counts, with what lies around: not to be deleted."""
        longest = max(policy.longest_duty for policy in self.policies.policies)
        return _Windows.of(
            fetch(
                self.connection,
                f"select a.device, {us('greatest(d.start_at, a.start_at)')} - %(m)s, least("
                f"{us('a.end_at')}, coalesce({us('d.end_at')}, {us('d.start_at')} + %(long)s)) + %(m)s "
                "from allocation a join duty d using (duty) where not d.cancelled "
                "and d.start_at < from_us(%(high)s) and coalesce(d.end_at, 'infinity') > from_us(%(low)s)",
                {
                    "m": margin_us(self.policies),
                    "long": longest,
                    "low": low - longest - DAY,
                    "high": high + DAY,
                },
            )
        )

    def _held(self) -> _Windows:
        """When devices were booked for duties on hold, with what lies around."""
        return _Windows.of(
            fetch(
                self.connection,
                f"select a.device, {us('greatest(d.start_at, a.start_at)')} - %(m)s, least("
                f"{us('a.end_at')}, coalesce({us('d.until_at')}, {us('d.end_at')}, {us('d.start_at')})) "
                "+ %(m)s "
                "from allocation a join duty d using (duty) join hold h using (duty_id) "
                "where h.released_at is null",
                {"m": margin_us(self.policies)},
            )
        )

    def _note_hours(self, device: NDArray[np.int64], hour: NDArray[np.int64]) -> None:
        """Keeps whether any position in hours that are deleted lay near an area (rule 15)."""
        known: dict[int, bool] = dict(
            self.connection.execute(
                "select at, near from erased_hour where at = any(%s)", [np.unique(hour).tolist()]
            ).fetchall()
        )
        versions = areas.by_time(self.connection)
        near = {at: bool(known.get(at)) for at in np.unique(hour).tolist()}
        near |= {
            at: self._any_near(versions, np.unique(device[hour == at]), at)
            for at, known_ in near.items()
            if not known_
        }
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into erased_hour (at, near) values (%s, %s) "
                "on conflict (at) do update set near = erased_hour.near or excluded.near",
                sorted(near.items()),
            )

    def _any_near(
        self, versions: Sequence[tuple[int, AreaSet]], devices: NDArray[np.int64], hour: int
    ) -> bool:
        extent = extent_of(versions, hour, hour + HOUR)
        if extent is None:
            return False
        for some in np.split(devices, range(chunks.TOGETHER, len(devices), chunks.TOGETHER)):
            begin = np.full(len(some), hour, np.int64)
            found = chunks.around(self.connection, some, begin, begin + HOUR - 1)
            if extent.is_near(found.lon, found.lat).any():
                return True
        return False

    def _digest(self, device: NDArray[np.int64], hour: NDArray[np.int64]) -> bytes:
        """SHA-256 over the runs of hours of devices, in order."""
        [(found,)] = self.connection.execute(
            "select coalesce(sha256(string_agg(sha256(int4send(r.device) || int8send(r.at) || r.data), "
            "''::bytea order by r.device, r.at)), ''::bytea) from (select * from fix_open "
            "where at >= %(low)s and at < %(high)s union all select * from fix_chunk "
            "where at >= %(low)s and at < %(high)s) r "
            f"join unnest({literal(device, 'int4')}, {literal(hour)}) w (d, h) "
            "on r.device = w.d and fix_hour(r.at) = w.h".encode(),
            {"low": int(hour.min()), "high": int(hour.max()) + HOUR},
        ).fetchall()
        return bytes(found)

    # ── positions ─────────────────────────────────────────────────────────────────────────────────────────

    def positions(self) -> Iterator[Deletion]:
        """Positions of whole days, by dropping their partitions."""
        line = (self.now - self.terms.fixes_days * DAY) // DAY * DAY
        counted_from = line + counted_later_us(self.policies)
        days = sorted(day for day in chunks.partitions(self.connection) if day < line)
        if not self.dry:
            with self.connection.transaction():
                areas.hold(self.connection, publishing=True)
                self.connection.execute(
                    "update kept_from set counted_from = greatest(counted_from, %s), "
                    "facts_from = greatest(facts_from, %s)",
                    [counted_from, line],
                )
                self.connection.execute(
                    "delete from doubt_due t using duty d where d.duty = t.duty "
                    "and d.until_at <= from_us(%s)",
                    [counted_from],
                )
                chunks.forget_context(self.connection, line)
        held = self._held()
        for day in days:
            yield from self._drop(day, held)
        yield from self._loose(line, held)
        if not self.dry:
            self.connection.execute("delete from suspect where hour < %s", [line // HOUR])

    def _drop(self, day: int, held: _Windows) -> Iterator[Deletion]:
        """The partition of a day, and what of the day waits beside it."""
        rows = fetch(
            self.connection,
            "select device, at, n from fix_chunk where at >= %s and at < %s order by device, at",
            [day, day + DAY],
        )
        device, at, count = np.array(rows, np.int64).reshape(-1, 3).T
        keep = held.meets(device, at // HOUR * HOUR, at // HOUR * HOUR + HOUR)
        said = Deletion(
            *(FIXES, day, day + DAY, int(count[~keep].sum())),
            chunks.size_of(self.connection, day),
            held=int(count[keep].sum()),
        )
        if self.dry:
            if said.rows:
                yield said
            return
        if len(device):
            self._note_hours(device, at // HOUR * HOUR)
        digest = self._digest(device[~keep], at[~keep] // HOUR * HOUR) if (~keep).any() else b""
        try:
            with self.connection.transaction():
                chunks.drop_day(self.connection, day, device[keep], at[keep], PATIENCE_MS)
                said = self._record(replace(said, sha256=digest.hex()))
        except psycopg.errors.LockNotAvailable:
            self.left += 1
            return
        yield said

    def _loose(self, line: int, held: _Windows) -> Iterator[Deletion]:
        """Positions of days without a partition, and of a version that wrote one a row."""
        rows = fetch(
            self.connection,
            "select device, at, n, octet_length(data) from fix_open where at < %s order by device, at",
            [line],
        )
        device, at, count, size = np.array(rows, np.int64).reshape(-1, 4).T
        gone = ~held.meets(device, at // HOUR * HOUR, at // HOUR * HOUR + HOUR)
        for day in np.unique(at[gone] // DAY * DAY).tolist():
            mine = gone & (at // DAY * DAY == day)
            said = Deletion(
                *(FIXES, day, day + DAY, int(count[mine].sum()), int(size[mine].sum())),
                held=int(count[~gone & (at // DAY * DAY == day)].sum()),
            )
            if not self.dry:
                self._note_hours(device[mine], at[mine] // HOUR * HOUR)
                digest = self._digest(device[mine], at[mine] // HOUR * HOUR)
                with self.connection.transaction():
                    self.connection.execute(
                        f"delete from fix_open f using unnest({literal(device[mine], 'int4')}, "
                        f"{literal(at[mine])}) w (d, a) where f.device = w.d and f.at = w.a".encode()
                    )
                    said = self._record(replace(said, sha256=digest.hex()))
            yield said
        if not self.dry:
            self.connection.execute("delete from fix_row where time < from_us(%s)", [line])

    # ── slices ────────────────────────────────────────────────────────────────────────────────────────────

    def slices(self) -> Iterator[Deletion]:
        """Slices, stays, bookings and states of whole weeks that are over."""
        old = self.now - self.terms.slices_days * DAY
        line = calendar.week_bounds(calendar.week_name(calendar.local_day(old)))[0]
        line = min(line, kept(self.connection).counted_from)
        free = "not exists (select from hold h where h.duty_id = d.duty_id and h.released_at is null)"
        over = f"coalesce(d.until_at, d.end_at, d.start_at) <= from_us(%(line)s) and {free}"
        steps: tuple[tuple[str, str, str], ...] = (
            (
                SLICES,
                "slice",
                f"delete from slice t using duty d where d.duty = t.duty and {over}",
            ),
            (
                STATES,
                "state",
                (
                    "delete from state t where time < from_us(%(line)s) and not exists (select from duty d "
                    "join hold h using (duty_id) where d.officer = t.officer and h.released_at is null "
                    "and t.time >= d.start_at and t.time <= coalesce(d.end_at, 'infinity'))"
                ),
            ),
            (
                STAYS,
                "stay",
                (
                    "delete from stay t where end_at <= from_us(%(line)s) and not exists (select from "
                    "allocation a join duty d using (duty) join hold h using (duty_id) where h.released_at "
                    "is null and a.device = t.device and t.start_at < coalesce(d.end_at, 'infinity') "
                    "and t.end_at > d.start_at)"
                ),
            ),
            (
                BOOKINGS,
                "duty",
                f"delete from duty t using duty d where d.duty = t.duty and {over}",
            ),
        )
        if line <= kept(self.connection).slices_from and not self.dry:
            [(some,)] = self.connection.execute(
                f"select exists (select from duty d where {over})".encode(), {"line": line}
            ).fetchall()
            if not some:
                return
        with self.connection.transaction():
            areas.hold(self.connection, publishing=True)
            if not self.dry:
                for table in ("doubt", "doubtful", "doubt_due", "policy_outdated", "slice_end", "recomputed"):
                    self.connection.execute(
                        f"delete from {table} t using duty d where d.duty = t.duty and {over}".encode(),
                        {"line": line},
                    )
            for kind, table, statement in steps:
                if self.dry:
                    condition = statement.partition(" where ")[2]
                    tables = f"{table} t" + (", duty d" if " using duty d" in statement else "")
                    [(rows, first)] = self.connection.execute(
                        f"select count(*), min({_BEGIN[table]}) from {tables} where {condition}".encode(),
                        {"line": line},
                    ).fetchall()
                    said = Deletion(kind, _us_of(first, line), line, int(rows), 0)
                else:
                    if table == "duty":
                        self.connection.execute(
                            "delete from duty_revision r using duty d where d.duty_id = r.duty_id and "
                            f"{over}".encode(),
                            {"line": line},
                        )
                        self.connection.execute(
                            f"delete from allocation a using duty d where a.duty = d.duty and {over}"
                            "".encode(),
                            {"line": line},
                        )
                    [(rows, first, size, digest)] = self.connection.execute(
                        f"with gone as ({statement} returning t.*) select count(*), min({_BEGIN[table]}), "
                        "coalesce(sum(octet_length(t::text)), 0)::int8, encode(sha256(coalesce(string_agg("
                        "sha256(convert_to(t::text, 'UTF8')), ''::bytea order by t::text), ''::bytea)), "
                        "'hex') from gone t".encode(),
                        {"line": line},
                    ).fetchall()
                    said = Deletion(kind, _us_of(first, line), line, int(rows), int(size), sha256=str(digest))
                    if said.rows:
                        self._record(said)
                if said.rows:
                    yield said
            if not self.dry:
                chunks.forget_old_ends(self.connection, line)
                self.connection.execute(
                    "update kept_from set slices_from = greatest(slices_from, %s)", [line]
                )

    # ── the record ────────────────────────────────────────────────────────────────────────────────────────

    def _record(self, said: Deletion) -> Deletion:
        """Puts a deletion on record, chained to the one before it."""
        if self.dry:
            return said
        row = self.connection.execute("select chain from deletion order by deletion desc limit 1").fetchone()
        chain = _chain("" if row is None else str(row[0]), said, self.why, self.by)
        self.connection.execute(
            "insert into deletion (kind, start_at, end_at, held, rows, bytes, sha256, why, deleted_by, "
            "chain) values (%s, from_us(%s), from_us(%s), %s, %s, %s, %s, %s, %s, %s)",
            [
                *(said.kind, said.start, said.end, said.held, said.rows, said.bytes, said.sha256),
                *(self.why, self.by, chain),
            ],
        )
        return said


def verified(connection: Connection) -> int:
    """How many deletions are on record, chained as they were written.

    Raises:
        RetentionError: one was changed, or is missing; the message says which.
    """
    before = ""
    rows = connection.execute(
        f"select deletion, kind, {us('start_at')}, {us('end_at')}, rows, bytes, held, sha256, why, "
        "deleted_by, chain from deletion order by deletion"
    ).fetchall()
    for number, kind, start, end, count, size, held, sha256, why, by, chain in rows:
        said = Deletion(kind, int(start), int(end), count, size, held, sha256)
        if _chain(before, said, why, by) != chain:
            raise RetentionError(f"the record of deletions was changed at or before number {number}")
        before = chain
    return len(rows)


def older(connection: Connection, terms: Terms, now: int) -> list[str]:
    """What is there although it is older than the terms say, but for holds and the last hours: sentences."""
    dry = retain(connection, terms, now, by="", dry=True)
    return [
        f"{item.rows:,} {item.kind} from {calendar.moment(item.start):%Y-%m-%d %H:%M} UTC"
        for item in dry.deletions
        if item.rows
    ]


_BEGIN: Final = {"slice": "t.start_at", "state": "t.time", "stay": "t.start_at", "duty": "t.start_at"}


def _us_of(moment: object, default: int) -> int:
    return calendar.microseconds(moment) if isinstance(moment, datetime) else default


def _chain(before: str, said: Deletion, why: str, by: str) -> str:
    text = "\0".join(
        map(
            str,
            (
                *(before, said.kind, said.start, said.end, said.held, said.rows, said.bytes, said.sha256),
                *(why, by),
            ),
        )
    )
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Stretches of devices, joined, by device and time.

    Attributes:
        device: ``int64[n]``, keys.
        start: ``int64[n]``, microseconds.
        end: ``int64[n]``, exclusive.
    """

    device: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int]]) -> _Windows:
        device, start, end = np.array(rows, np.int64).reshape(-1, 3).T
        return cls(*union(device, start, end))

    def meets(
        self, device: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether stretches of devices have any time in common with them: ``bool[n]``."""
        first, behind = (np.searchsorted(self.device, device, side) for side in ("left", "right"))
        at = search(self.end, first, behind, start, right=True)
        found = at < behind
        found[found] = self.start[at[found]] < end[found]
        return found
