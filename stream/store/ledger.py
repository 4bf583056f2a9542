"""One batch, one transaction (or a few, where others are met): the order of a commit.

Steps 3 to 6 are in ``positions`` (with ``gathering``), 7 to 9 in ``duties``; the copies that the steps use
are in ``desk``.

Positions:

1. Names become keys; new devices get their rows (committed on their own, harmless if the rest fails).
2. The transaction opens. No boundaries are published and no policies loaded until it ends, and those in force
are read if they are not at hand.
3. The devices' growing ends are locked, in the order of their keys.
4. The neighbours of the new fixes are gathered: from the growing end where the new fixes are the newest, from
   the facts where they came late. What is only a repetition falls out here.
5. The core recounts the stays of each window and splices them into the old ones. 6. Fixes, stays and growing
ends are written. 7. The duties to which the devices were allocated in the windows are found; their officers
are locked. 8. The core recounts the slices of the windows and splices them into the old ones. 9. Slices and
growing ends are written. 10. The offsets of the frames are recorded, and the transaction commits. Only then
is the frame acknowledged.

Bookings and states take the same path from step 7 on, after locking the devices that they allocate. Because
a booking locks the devices it allocates, a fix is never counted past a booking that is being written.

Nobody waits for another who has something else to do. In step 3 devices that somebody else has locked are
passed over, and so are those of officers whom somebody else has locked; the other officers are locked with
their devices. What is left has its transaction afterwards, and when nothing of it is free, the first device
(or duty, or officer) is waited for, before anything else is locked. Everybody locks devices before officers,
and both in the order of their keys; who waits in step 7, for an officer of a duty long before the new fixes,
may wait in a circle once, and is then tried again, and so is a recompute that gives duties another limit.
Offsets are recorded in the last transaction of a batch.

Places that nobody met before get their rows over a connection of their own (``registry``), which commits at
once: nobody waits for a place until another's transaction ends, and if that fails they do no harm.

What was heard (rule 22) is a transaction of its own, which none of these waits for (``heard``).

Killed at any instant, the database holds all of a transaction or nothing of it, and the frames come again
unless their offsets are recorded. A frame counted twice changes nothing, since facts are sets. A worker that
has lost a partition without knowing it yet still writes facts, but under the same locks, so it does no harm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import psycopg

from geo.matching.history import FOREVER
from stream.core.columns import in_time_order, offsets
from stream.core.stays import in_order, take
from stream.store import bookings, chunks, doubts, duties, gathering, heard, late, positions, veils
from stream.store.desk import Desk
from stream.store.gathering import Batch, Wait, with_device
from stream.store.schema import Lock, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty, Fixes, StateReport
    from stream.core.heard_frames import HeardFrame
    from stream.store.schema import Connection
    from stream.store.tracks import Changes

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Parted = TypeVar("_Parted", Batch, "Booked")

OWN_KEYS = frozenset({"place_pkey", "device_pkey", "officer_pkey", "duty_pkey"})
"""Constraints on keys that the database gives. In a copy made from a template its sequences fall back when
the server crashes: then it gives keys again that are taken, and each try takes it further."""
MOST_KEYS = 1000
"""So many keys that are taken are passed over in a row."""

BUSY_FOR = 20
"""So many batches are counted in parts after somebody else was met; who counts alone counts all at once."""
MOST_BOOKED, MOST_KEYED_STATES = 50, 500
"""So many duties, or states, are counted at once: for as long, others cannot count their officers."""

RECOUNTED = 200
"""How many devices are recounted at once."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a partition of one incarnation of a topic has been counted.

    Attributes:
        topic: its full name.
        partition: its number.
        incarnation: the topic's own id in Kafka.
        next_offset: the first offset that is not counted.
        sent: when the last message counted was sent, microseconds since 1970; None: not known.
    """

    topic: str
    partition: int
    incarnation: str
    next_offset: int
    sent: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What a batch amounted to.

    Attributes:
        fixes: fixes that were new, or better than the one they replaced.
        repeated: fixes that were known.
        duties: bookings that changed what counts.
        states: states that were new.
        heard: reports of positions, usable or not, that were not counted before.
        rest: counts what was left because somebody else had it locked; None: nothing was.
    """

    fixes: int = 0
    repeated: int = 0
    duties: int = 0
    states: int = 0
    heard: int = 0
    rest: Callable[[Ledger], Counted] | None = None

    def plus(self, more: Counted) -> Counted:
        """Of two batches together, with nothing left."""
        return Counted(
            self.fixes + more.fixes,
            self.repeated + more.repeated,
            self.duties + more.duties,
            self.states + more.states,
            self.heard + more.heard,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What is counted again in one transaction.

    Attributes:
        devices: ``int32[n]``, keys in order: their stays of the period.
        duties: keys: their slices, whole.
        start: the period's start, microseconds.
        end: its end, exclusive.
    """

    devices: NDArray[np.int32]
    duties: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Booked:
    """Bookings and states of a batch."""

    duties: list[Duty]
    states: list[StateReport]

    def __len__(self) -> int:
        return len(self.duties) + len(self.states)

    def parts(self) -> list[Booked]:
        """The same in parts, so that nobody is locked for long; a duty's revisions are in one of them."""
        names = sorted({duty.duty_id for duty in self.duties})
        part = {name: at // MOST_BOOKED for at, name in enumerate(names)}
        found = [Booked([], []) for _ in range(0, len(names), MOST_BOOKED)]
        for duty in self.duties:
            found[part[duty.duty_id]].duties.append(duty)
        keyed = sorted(self.states, key=lambda report: report.officer_id)
        found += [
            Booked([], keyed[at : at + MOST_KEYED_STATES]) for at in range(0, len(keyed), MOST_KEYED_STATES)
        ]
        return found or [self]

    @classmethod
    def joined(cls, parts: Sequence[Booked]) -> Booked:
        """Of some parts of a batch."""
        return cls(
            [duty for part in parts for duty in part.duties],
            [report for part in parts for report in part.states],
        )

    def first(self) -> Booked:
        """One duty's revisions, or where there are none one officer's states."""
        if self.duties:
            return Booked([duty for duty in self.duties if duty.duty_id == self.duties[0].duty_id], [])
        return Booked([], self.states[:1])

    def names(self, stored: Mapping[str, tuple[int, int, Duty]]) -> tuple[list[str], list[str]]:
        """Devices and officers that these are of, and those of the same duties as they counted until now."""
        ids = {duty.duty_id for duty in self.duties}
        every = [*self.duties, *(duty for name, (_, _, duty) in stored.items() if name in ids)]
        devices = {item.device_id for duty in every for item in duty.devices}
        officers = {duty.officer_id for duty in every} | {report.officer_id for report in self.states}
        return sorted(devices), sorted(officers)

    def divided(self, busy: Collection[str], officers: Collection[str]) -> tuple[Booked, Booked]:
        """Those that can be counted now, and the others.

        Args:
            busy: ids of duties that cannot.
            officers: ids of those whose states can.
        """
        now, later = Booked([], []), Booked([], [])
        for duty in self.duties:
            (later if duty.duty_id in busy else now).duties.append(duty)
        for report in self.states:
            (now if report.officer_id in officers else later).states.append(report)
        return now, later


class Ledger:
    """Writes facts and what follows from them, a batch a transaction, over one connection.

    Not for several threads at once. After any exception from the database the copies that the desk keeps are
    dropped, so that the next call starts from what was committed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._desk = Desk(connection)
        self._crowded = 0

    def positions(self, fixes: Fixes, frames: Iterable[Offset] = (), *, patient: bool = True) -> Counted:
        """Counts fixes, in any order, repeated or not, and records the frames they came from.

        Args:
            fixes: usable ones.
            frames: recorded with the last of them.
            patient: as in ``bookings``.

        Raises:
            psycopg.Error: the database refused or went away; the frames are not recorded.
        """
        passed = list(frames)
        return self._attempt(lambda: self._positions(fixes, passed, patient=patient))

    def bookings(
        self,
        duties: Sequence[Duty],
        states: Sequence[StateReport],
        frames: Iterable[Offset] = (),
        *,
        patient: bool = True,
    ) -> Counted:
        """Counts bookings and radio states, in any order, repeated or not.

        Args:
            duties: revisions.
            states: of officers.
            frames: recorded with the last of them.
            patient: waits for what somebody else has locked when it has nothing else to do; otherwise leaves
                it to ``Counted.rest``, so that whoever has other work can do it first.

        Raises:
            psycopg.Error: the database refused or went away; the frames are not recorded.
        """
        passed = list(frames)
        booked = Booked([*duties], [*states])
        return self._attempt(lambda: self._bookings(booked, passed, patient=patient))

    def heard(self, found: Sequence[HeardFrame], frames: Iterable[Offset] = ()) -> Counted:
        """Counts how positions were judged (rule 22), each message once, and records the frames.

        It touches none of what the others write, and so waits for nobody but its like.

        Raises:
            psycopg.Error: the database refused or went away; nothing of it is written.
        """
        passed = list(frames)
        return self._attempt(lambda: self._heard(found, passed))

    def recount(self, start: int) -> int:
        """Recounts all stays and slices from a time on from the facts, in the caller's transaction.

        The caller holds the boundaries for publishing, so nobody else counts meanwhile.

        Returns:
            how many devices were looked at.
        """
        self._desk.forget()
        self._desk.registry.aside = False  # nobody waits for the places that it makes, and it may be undone
        self._desk.open()
        keys = chunks.heard(self._connection, start)
        for part in np.split(keys, range(RECOUNTED, len(keys), RECOUNTED)):
            low, high = np.full(len(part), start, np.int64), np.full(len(part), FOREVER, np.int64)
            self._count(Batch(part, None, low, high))
        return len(keys)

    def again(self, part: Chunk, note: Callable[[Desk, Changes, dict[int, Duty]], None]) -> int:
        """Counts stays and slices again from the facts, under the same locks as everybody who counts.

        Args:
            part: which.
            note: is told, in the transaction, what that changed; and the duties by key, as they were, that
                count up to somewhere else than before.

        Returns:
            how many fixes were looked at.

        Raises:
            psycopg.Error: the database refused or went away; nothing of the part is written.
        """
        return self._attempt(lambda: self._again(part, note))

    def _again(self, part: Chunk, note: Callable[[Desk, Changes, dict[int, Duty]], None]) -> int:
        with self._connection.transaction():
            self._desk.open()
            beside, limited = duties.limit_again(self._desk, part.duties, part.devices.tolist())
            count = len(part.devices)
            low, high = np.full(count, part.start, np.int64), np.full(count, part.end - 1, np.int64)
            batch, moved = Batch(part.devices, None, low, high), None
            if count:
                batch, ends = self._not_before(batch, gathering.lock(self._desk, batch)[1])
            if len(batch.keys):
                moved = positions.count(self._desk, batch, ends)
            changes = duties.count(self._desk, duties.again(self._desk, {*part.duties, *beside}, moved))
            if changes is not None:
                note(self._desk, changes, limited)
            return 0 if moved is None else moved.changed

    def answers(self) -> Counted:
        """Asks the database whether it is there; nothing is counted.

        Raises:
            psycopg.Error: it is not, or this connection is cut.
        """
        self._connection.execute("select")
        return Counted()

    def passed(self, topic: str, incarnation: str) -> dict[int, int]:
        """The next offset to count of each partition of this incarnation of a topic."""
        return dict(
            self._connection.execute(
                "select partition, next_offset from frame_offset where topic = %s and incarnation = %s",
                [topic, incarnation],
            ).fetchall()
        )

    def _attempt(self, work: Callable[[], _T]) -> _T:
        tries = 0
        while True:
            try:
                return work()
            except (
                psycopg.errors.DeadlockDetected,
                psycopg.errors.SerializationFailure,
            ):
                self._desk.forget()
            except psycopg.errors.UniqueViolation as refusal:
                self._desk.forget()
                tries += 1
                if refusal.diag.constraint_name not in OWN_KEYS or tries > MOST_KEYS:
                    raise
            except BaseException:
                self._desk.forget()
                raise

    def _positions(self, fixes: Fixes, frames: list[Offset], *, patient: bool) -> Counted:
        batch, names = self._batch(in_order(fixes))
        offered = 0 if batch.fixes is None else len(batch.fixes)

        def count(part: Batch, wait: Wait, *, last: bool) -> tuple[Counted, Batch]:
            with self._connection.transaction():
                self._desk.open()
                free, changed = self._count(part, wait)
                if last and free.all():
                    self._record(frames)
            return Counted(fixes=changed), part.only(~free)

        total, left = self._in_parts(batch, count, patient=patient)
        if left is None or left.fixes is None:
            return replace(total, repeated=offered - total.fixes)
        # By name: whoever counts them may have another connection by then.
        rest = replace(left.fixes, device_ids=tuple(names[key] for key in left.keys.tolist()))
        repeated = offered - total.fixes - len(rest)
        return replace(total, repeated=repeated, rest=lambda ledger: ledger.positions(rest, frames))

    def _in_parts(
        self, work: _Parted, count: Callable[..., tuple[Counted, _Parted]], *, patient: bool = True
    ) -> tuple[Counted, _Parted | None]:
        """Counts work in parts: first of all what nobody else has locked, and again what is left.

        Args:
            work: a batch of positions, or of bookings and states.
            count: makes one transaction of a part; told for whom it waits, and whether the part is the last.
                It gives what that came to, and what is left of the part.
            patient: waits when nothing of it is free; otherwise that is left.

        Returns:
            what it came to, and what is left.
        """
        total, wait = Counted(), Wait.NONE
        while True:
            left: list[_Parted] = []
            before = len(work)
            parts = work.parts() if self._crowded else [work]
            for at, part in enumerate(parts):
                counted, rest = count(part, wait, last=at + 1 == len(parts) and not left)
                wait = Wait.NONE
                total = total.plus(counted)
                if len(rest):
                    left.append(rest)
            self._crowded = BUSY_FOR if left else max(0, self._crowded - 1)
            if not left:
                return total, None
            work = type(work).joined(left)
            if len(work) == before:  # there is nothing else to do
                if not patient:
                    return total, work
                wait = Wait.FIRST

    def _batch(self, fixes: Fixes) -> tuple[Batch, dict[int, str]]:
        """Step 1: names become keys, and rows go in their order; gives the names by key, too."""
        present, device = np.unique(fixes.device, return_inverse=True)
        names = [fixes.device_ids[number] for number in present.tolist()]
        keys = self._desk.registry.devices(self._connection, names)
        order = np.argsort(keys)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        fixes = with_device(fixes, rank[device])
        fixes = take(fixes, in_time_order(fixes.device, fixes.time))
        bounds = offsets(fixes.device, len(keys))
        batch = Batch(keys[order], fixes, fixes.time[bounds[:-1]], fixes.time[bounds[1:] - 1])
        return batch, dict(zip(keys.tolist(), names, strict=True))

    def _count(self, batch: Batch, wait: Wait = Wait.ALL) -> tuple[NDArray[np.bool_], int]:
        """Steps 3 to 9.

        Args:
            batch: what is to be counted.
            wait: for which devices that somebody else has locked; the others are left.

        Returns:
            which of the devices were counted, and how many of their fixes were new, or better than the ones
            they replaced.
        """
        free, ends = gathering.lock(self._desk, batch, wait)
        if not free.all():
            batch = batch.only(free)
        batch, ends = self._not_before(batch, ends)
        if batch.fixes is None or not len(batch.keys):
            return free, self._count_locked(batch, ends)
        parts = gathering.portions(batch, ends, 2 * positions.widest_gap(self._desk.policies))
        if len(parts) == 1:
            return free, self._count_locked(batch, ends)
        return free, sum(self._count_locked(batch.only(which), ends.only(which)) for which in parts)

    def _not_before(self, batch: Batch, ends: gathering.Ends) -> tuple[Batch, gathering.Ends]:
        """What of a batch is counted: nothing from before facts were deleted (``stream.store.kept``)."""
        since = self._desk.counted_from
        if not len(batch.keys) or int(batch.low.min()) >= since:
            return batch, ends
        if batch.fixes is None:
            batch = replace(batch, low=np.maximum(batch.low, since))
            which = batch.low <= batch.high
        else:
            late_ = int((batch.fixes.time < since).sum())
            log.info("%d positions came after the facts of their time had been deleted: not counted", late_)
            fixes = take(batch.fixes, batch.fixes.time >= since)
            bounds = offsets(fixes.device, len(batch.keys))
            which = np.diff(bounds) > 0
            low = batch.low.copy()
            low[which] = fixes.time[bounds[:-1][which]]
            batch = replace(batch, fixes=fixes, low=low)
        return batch.only(which), ends.only(which)

    def forget(self, keys: NDArray[np.int32], hours: NDArray[np.int64]) -> int:
        """Deletes the positions of hours of devices, and counts what follows from that: unknown time.

        Args:
            keys: ``int32[n]``, the devices of the hours; whole hours of positions outside any duty.
            hours: ``int64[n]``, their beginnings; no pair occurs twice.

        Returns:
            how many positions those were.

        Raises:
            psycopg.Error: the database refused or went away; nothing is deleted.
        """
        return self._attempt(lambda: self._forget(keys, hours))

    def _forget(self, keys: NDArray[np.int32], hours: NDArray[np.int64]) -> int:
        connection = self._connection
        whose = np.unique(keys)
        with connection.transaction():
            self._desk.open()
            first, last = np.full(len(whose), FOREVER, np.int64), np.full(len(whose), -FOREVER, np.int64)
            at = np.searchsorted(whose, keys)
            np.minimum.at(first, at, hours)
            np.maximum.at(last, at, hours + chunks.HOUR)
            batch = Batch(whose, None, first, last)
            _, ends = gathering.lock(self._desk, batch)
            gone = chunks.delete(connection, keys, hours)
            around = chunks.around(connection, whose, first, last, before=1, after=1)
            bounds = offsets(around.device, len(whose))
            left = np.diff(bounds) > 0
            chunks.forget_ends(connection, whose[~left], self._desk.counted_from)
            batch, ends = batch.only(left), ends.only(left)
            begin, behind = bounds[:-1][left], bounds[1:][left]
            batch = replace(batch, low=around.time[begin], high=around.time[behind - 1])
            self._count_locked(*self._not_before(batch, ends))
        self._desk.forget()
        return gone

    def _count_locked(self, batch: Batch, ends: gathering.Ends) -> int:
        """Steps 4 to 9 of devices that are locked; gives how many fixes were new or better."""
        moved = positions.count(self._desk, batch, ends) if len(batch.keys) else None
        if moved is None:
            return 0
        # Where the facts are what they were, slices are too unless a stay of their devices is another.
        which = moved.differs if batch.fixes is None else None
        changes = duties.count(self._desk, duties.touched_by(self._desk, moved, which))
        if batch.fixes is not None:
            late.mark_positions(
                self._connection, self._desk.settled, batch.keys, batch.low, batch.high, changes
            )
        return moved.changed

    def _bookings(self, booked: Booked, frames: list[Offset], *, patient: bool) -> Counted:
        total, left = self._in_parts(booked, partial(self._book, frames), patient=patient)
        if left is None:
            return total
        duties, states = left.duties, left.states
        return replace(total, rest=lambda ledger: ledger.bookings(duties, states, frames))

    def _book(self, frames: list[Offset], batch: Booked, wait: Wait, *, last: bool) -> tuple[Counted, Booked]:
        """One transaction of bookings and states; gives what it came to, and what is left.

        Args:
            frames: recorded where nothing is left.
            batch: what is to be counted.
            wait: for whose devices and officers that somebody else has locked; the others are left.
            last: whether nothing but this is left.
        """
        connection, registry = self._connection, self._desk.registry
        batch = Booked(*veils.veiled(connection, batch.duties, batch.states))
        stored = bookings.read_duties(connection, {duty.duty_id for duty in batch.duties})
        devices, names = batch.names(stored)
        officers = registry.officers(connection, names)
        keys = dict(zip(devices, registry.devices(connection, devices).tolist(), strict=True))
        with connection.transaction():
            self._desk.open()
            # Whose name was erased a moment ago is left, and counted under the pseudonym next time.
            batch = Booked(*veils.veiled(connection, batch.duties, batch.states))
            if self._desk.counted_from > -FOREVER:
                batch = self._bookable(batch)
            if wait is Wait.FIRST and len(batch):
                first = batch.first().names(stored)
                self._lock("stay_end", "device", (keys[name] for name in first[0]), wait=True)
                self._lock("officer", "officer", (officers[name] for name in first[1]), wait=True)
            held = self._lock("stay_end", "device", keys.values())
            keys = {name: key for name, key in keys.items() if key in held}
            held = self._lock("officer", "officer", officers.values())
            officers = {name: key for name, key in officers.items() if key in held}
            now = bookings.read_duties(connection, {duty.duty_id for duty in batch.duties})
            # What counted until now may be another officer's, or have other devices.
            busy = {
                duty.duty_id
                for duty in (*batch.duties, *(duty for _, _, duty in now.values()))
                if duty.officer_id not in officers
                or not keys.keys() >= {item.device_id for item in duty.devices}
            }
            ready, rest = batch.divided(busy, officers)
            received: dict[str, list[Duty]] = {}
            for duty in ready.duties:
                received.setdefault(duty.duty_id, []).append(duty)
            now = {duty_id: known for duty_id, known in now.items() if duty_id in received}
            changed: list[Duty] = []
            for duty_id, revisions in received.items():
                known = now.get(duty_id)
                counts = bookings.counting(known[2] if known else None, revisions, self._desk.policies)
                if known is None or counts != known[2]:
                    changed.append(counts)
            bookings.record_revisions(connection, ready.duties)
            new_states = bookings.record_states(connection, ready.states, officers)
            windows = duties.book(self._desk, changed, new_states, now, officers)
            sharing = [*changed, *(duty for _, _, duty in now.values())]
            held = {keys[item.device_id] for duty in sharing for item in duty.devices}
            doubts.mark_sharing(connection, held, sharing)
            changes = duties.count(self._desk, windows)
            before = {name: duty for name, (_, _, duty) in now.items()}
            late.mark_bookings(connection, self._desk.settled, changed, before, new_states, changes)
            if last and not len(rest):
                self._record(frames)
        return Counted(duties=len(changed), states=len(new_states)), rest

    def _bookable(self, batch: Booked) -> Booked:
        """What of bookings and states is counted; revisions of duties begun before it are put on record only.

        A duty that began before facts were deleted, or would begin then, stays as it was counted.
        """
        since = self._desk.counted_from
        known = bookings.read_duties(self._connection, {duty.duty_id for duty in batch.duties})
        begun = {name: duty.start for name, (_, _, duty) in known.items()}
        early = [
            duty for duty in batch.duties if min(duty.start, begun.get(duty.duty_id, duty.start)) < since
        ]
        if not early and all(state.time >= since for state in batch.states):
            return batch
        log.info("bookings or states came after the facts of their time had been deleted: not counted")
        bookings.record_revisions(self._connection, early)
        refused = {id(duty) for duty in early}
        return Booked(
            [duty for duty in batch.duties if id(duty) not in refused],
            [state for state in batch.states if state.time >= since],
        )

    def _lock(self, table: str, key: str, keys: Iterable[int], *, wait: bool = False) -> set[int]:
        """Locks rows in the order of their keys until the transaction ends; gives the keys of those locked.

        Args:
            table: whose rows.
            key: the name of its key.
            keys: which.
            wait: for those that somebody else has locked; otherwise these are passed over.
        """
        how = "for update" if wait else "for update skip locked"
        rows = self._connection.execute(
            f"select {key} from {table} where {key} = any(%s) order by {key} {how}".encode(), [sorted(keys)]
        )
        return {locked for (locked,) in rows}

    def _heard(self, found: Sequence[HeardFrame], frames: list[Offset]) -> Counted:
        registry = self._desk.registry
        registry.devices(
            self._connection, sorted({name for frame in found for name in frame.rows.device_ids})
        )
        with self._connection.transaction():
            lock(self._connection, Lock.HEARD)
            reports = heard.count(self._connection, found, registry)
            self._record(frames)
        return Counted(heard=reports)

    def _record(self, frames: Iterable[Offset]) -> None:
        """Step 10: within one incarnation an offset only rises; a topic made again starts afresh."""
        for item in frames:
            self._connection.execute(
                "insert into frame_offset (topic, partition, incarnation, next_offset, sent_at) "
                "values (%s, %s, %s, %s, from_us(%s)) on conflict (topic, partition) do update "
                "set incarnation = excluded.incarnation, "
                "sent_at = coalesce(excluded.sent_at, frame_offset.sent_at), "
                "next_offset = case when frame_offset.incarnation = excluded.incarnation "
                "then greatest(frame_offset.next_offset, excluded.next_offset) else excluded.next_offset end",
                [item.topic, item.partition, item.incarnation, item.next_offset, item.sent],
            )
