"""Recounts settled figures from stored facts, and corrects the tables where they differ.

The stays of a period, and the slices of the duties that touch it, are recounted by the functions that count
them live, in parts of bounded size, each a transaction of its own under the same locks; so the pipeline may
run meanwhile, and several programs may share the parts. Where nothing differs, nothing is written.

What a part changes is noted in its own transaction, by duty and week (``recomputed``), and the notes become
one restatement (rule 20). Stopped or killed at any instant, the parts that were done are done, and their
notes are there for the next recompute, which puts them into its restatement. Which parts there are, and which
of them are done, is on record too, so that the same recompute goes on where it was (``start``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import psycopg

from geo.matching.history import FOREVER
from stream.core import calendar
from stream.core.facts import SECOND
from stream.core.quality.intervals import merged
from stream.core.shares import DOUBT_TOTALS, TOTALS, totals
from stream.core.slices import Slices
from stream.store import chunks, policies
from stream.store.doubts import judge_due
from stream.store.kept import COUNTED_FROM, gone_words, kept
from stream.store.ledger import Chunk
from stream.store.policies import COUNTED_TO
from stream.store.reading.instant import fetch, read_duties, us
from stream.store.reading.live import newest_event
from stream.store.schema import Lock, alone, try_lock
from stream.store.settled import Recomputed, record_notes, restate
from stream.store.week_figures import doubtful

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.core.windows import Rows
    from stream.store.desk import Desk
    from stream.store.ledger import Ledger
    from stream.store.schema import Connection
    from stream.store.tracks import Changes

Interval: TypeAlias = tuple[int, int]

PART_FIXES = 400_000
"""About how many fixes one transaction looks at: it holds its devices that long (a second)."""

INTERVAL_S = 5
"""Seconds between fixes, where a guess is needed of how many there are."""


class RecomputeError(ValueError):
    """It cannot be done; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recounted:
    """What was looked at, and what it changed.

    Attributes:
        fixes: looked at.
        devices: whose stays were recounted.
        duties: whose slices were.
        changed: duties whose sums changed, in a part.
    """

    fixes: int = 0
    devices: int = 0
    duties: int = 0
    changed: int = 0

    def __add__(self, other: Recounted) -> Recounted:
        return Recounted(
            self.fixes + other.fixes,
            self.devices + other.devices,
            self.duties + other.duties,
            self.changed + other.changed,
        )


def hold(connection: Connection) -> None:
    """Takes the lock for recomputing, until the connection ends, and judges doubts that are due (rule 21).

    So what later facts brought is not attributed to the recompute.

    Raises:
        RecomputeError: somebody else has it.
    """
    if not try_lock(connection, Lock.RECOMPUTE):
        raise RecomputeError("another 'patrol recompute' is at work on this database: wait until it ends")
    judge_due(connection)


# ── what is counted together ──────────────────────────────────────────────────────────────────────────────


def plan(connection: Connection, start: int, end: int, officer_id: str | None = None) -> list[Chunk]:
    """Parts of a period, day by day: what shares devices stays together as far as a part has room.

    A duty that touches two days is in a part of each. Facts that came at one time lie together: so days are
    read faster than weeks of fewer devices.

    Args:
        connection: to the database.
        start: the period's start, microseconds.
        end: its end, exclusive.
        officer_id: only this officer's duties, and the devices they hold.

    Raises:
        RecomputeError: there is no such officer.
    """
    if officer_id is not None and not _officer_known(connection, officer_id):
        raise RecomputeError(f"there is no officer '{officer_id}' in the database: see the bookings")
    gone = kept(connection).counted_from
    if end <= gone:
        raise RecomputeError(gone_words(gone))
    start = max(start, gone)
    # The facts have a beginning and an end: time beyond them costs nothing.
    held = chunks.span(connection)
    first, last = held or (None, None)
    spans = [(max(held[0], start), min(held[1] + 1, end))] if held else []
    spans += [
        (max(low, start), min(high + 1, end))
        for low, high in connection.execute(
            f"select {us('start_at')}, {us(COUNTED_TO)} from duty where not cancelled "
            "and (%(first)s::bigint is null or start_at < from_us(%(first)s) "
            "or coalesce(end_at, 'infinity') > from_us(%(last)s))".encode(),
            {"first": first, "last": last},
        ).fetchall()
    ]
    days = {
        (max(low, start), min(high, end))
        for since, until in merged(span for span in spans if span[0] < span[1])
        for low, high in calendar.days(since, until)
    }
    most = max(policy.longest_duty for policy in policies.in_force(connection).policies)
    return [part for low, high in sorted(days) for part in _plan(connection, low, high, most, officer_id)]


def _plan(connection: Connection, start: int, end: int, most: int, officer_id: str | None) -> Iterator[Chunk]:
    # Those that count, and those that may do so by the policies in force by now (rule 8a).
    duties = connection.execute(
        "select duty, officer from duty join officer using (officer) where start_at < from_us(%s) "
        "and (until_at > from_us(%s) or coalesce(end_at, 'infinity') > from_us(%s) "
        f"and start_at >= from_us(%s)) and start_at >= from_us({COUNTED_FROM}) "
        "and (%s::text is null or officer_id = %s) order by officer, start_at, duty",
        [end, start, start, start - most, officer_id, officer_id],
    ).fetchall()
    held: dict[int, list[int]] = defaultdict(list)
    span: dict[int, float] = defaultdict(float)
    for duty, device, seconds in connection.execute(
        "select a.duty, device, extract(epoch from least(coalesce(d.until_at, from_us(%s)), from_us(%s)) "
        "- greatest(d.start_at, from_us(%s)))::float8 from allocation a join duty d using (duty) "
        "where duty = any(%s) order by duty, position",
        [end, end, start, [duty for duty, _ in duties]],
    ).fetchall():
        held[duty].append(device)
        span[device] += max(seconds, 0.0)
    known = {device for (device,) in connection.execute("select device from device").fetchall()}
    loose = sorted(known - span.keys()) if officer_id is None else []
    # Devices allocated to nobody, such as cars in the yard: on the road for a third of the time.
    loose_s = (end - start) / SECOND / 3
    yield from _packed([duty for duty, _ in duties], held, span, loose, loose_s, start, end)


def _officer_known(connection: Connection, officer_id: str) -> bool:
    row = connection.execute("select from officer where officer_id = %s", [officer_id]).fetchone()
    return row is not None


def _packed(
    duties: Sequence[int],
    held: dict[int, list[int]],
    span: dict[int, float],
    loose: Sequence[int],
    loose_s: float,
    start: int,
    end: int,
) -> Iterator[Chunk]:
    """Groups that share devices, one after another, as long as a part has room."""
    parent: dict[int, int] = {device: device for device in span}

    def root(device: int) -> int:
        while parent[device] != device:
            parent[device] = device = parent[parent[device]]
        return device

    for devices in held.values():
        for device in devices[1:]:
            parent[root(device)] = root(devices[0])
    # In the order of officers: groups by their first duty, and within a large group neighbours stay together.
    first: dict[int, int] = {}
    for number, duty in enumerate(duties):
        if duty in held:
            first.setdefault(root(held[duty][0]), number)
    order = sorted(
        range(len(duties)),
        key=lambda number: (
            first[root(held[duties[number]][0])] if duties[number] in held else number,
            number,
        ),
    )
    own: list[int] = []
    mine: dict[int, None] = {}
    given: set[int] = set()
    size = 0.0
    limit = PART_FIXES * INTERVAL_S

    def part() -> Chunk:
        return Chunk(np.array(sorted(mine), np.int32), tuple(own), start, end)

    for number in order:
        new = [device for device in held.get(duties[number], ()) if device not in given]
        weight = sum(span[device] for device in new)
        if own and size + weight > limit:
            yield part()
            own, mine, size = [], {}, 0.0
        own.append(duties[number])
        mine |= dict.fromkeys(new)
        given.update(new)
        size += weight
    for device in loose:
        if size + loose_s > limit and (own or mine):
            yield part()
            own, mine, size = [], {}, 0.0
        mine[device] = None
        size += loose_s
    if own or mine:
        yield part()


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A recompute on record, with what is left of it.

    Attributes:
        parts: by number, those that are not done.
        total: how many there were at its start.
        until: open duties are counted up to here, microseconds.
        edition: the newest policy on record when it began.
        begun: when it began, microseconds; None: just now.
    """

    parts: dict[int, Chunk]
    total: int
    until: int
    edition: int
    begun: int | None = None


def start(
    connection: Connection,
    period: tuple[int, int],
    officer_id: str | None,
    until: int,
    *,
    by: str,
    why: str,
    anew: bool = False,
) -> Run:
    """Puts a recompute on record, or takes up the one on record where that is of the same period and officer.

    What was stopped or killed goes on with the parts that were not done: facts that came since are counted
    already, by the same policies. Where others were loaded since, it begins anew.

    Args:
        connection: who called ``hold``.
        period: start and end, microseconds.
        officer_id: as for ``plan``.
        until: open duties are counted up to here, microseconds.
        by: who recomputes.
        why: the reason, for the records.
        anew: whether one on record is left aside; what it changed is on record with this one.

    Raises:
        RecomputeError: there is no such officer.
    """
    edition = policies.edition(connection)
    known = fetch(
        connection,
        f"select {us('until_at')}, {us('begun_at')} from recompute_run where start_at = from_us(%s) "
        "and end_at = from_us(%s) and officer is not distinct from %s and edition = %s",
        [*period, officer_id, edition],
    )
    if known and not anew:
        [(until, begun)] = known
        parts = {
            number: Chunk(np.array(devices, np.int32), tuple(duties), low, high)
            for number, devices, duties, low, high in fetch(
                connection,
                f"select part, devices, duties, {us('start_at')}, {us('end_at')} from recompute_part "
                "where not done order by part",
            )
        }
        [(total,)] = fetch(connection, "select count(*) from recompute_part")
        begin(connection, list(parts.values()), until)
        return Run(parts, total, until, edition, begun)
    parts = dict(enumerate(plan(connection, *period, officer_id)))
    begin(connection, list(parts.values()), until)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from recompute_run")
        cursor.execute("delete from recompute_part")
        cursor.execute(
            "insert into recompute_run (start_at, end_at, officer, edition, until_at, begun_by, why) "
            "values (from_us(%s), from_us(%s), %s, %s, from_us(%s), %s, %s)",
            [*period, officer_id, edition, until, by, why],
        )
        cursor.executemany(
            "insert into recompute_part (part, devices, duties, start_at, end_at) "
            "values (%s, %s, %s, from_us(%s), from_us(%s))",
            [
                [number, part.devices.tolist(), list(part.duties), part.start, part.end]
                for number, part in parts.items()
            ],
        )
    return Run(parts, len(parts), until, edition)


def unfinished(connection: Connection) -> tuple[int, int, str, int, int] | None:
    """The recompute that has not ended: start and end (microseconds), by whom, parts done, and all parts."""
    found = fetch(
        connection,
        f"select {us('start_at')}, {us('end_at')}, begun_by, "
        "(select count(*) from recompute_part where done), (select count(*) from recompute_part) "
        "from recompute_run",
    )
    return found[0] if found else None


def begin(connection: Connection, parts: Sequence[Chunk], until: int) -> None:
    """Notes the doubtful time of all duties in the parts before the first is counted.

    Whoever judges one of them again may judge others with it. What an earlier recompute that was killed noted
    of these duties stays, and what it noted of others that it did not come to count is dropped.

    Args:
        connection: who called ``hold``.
        parts: of ``plan``.
        until: as for ``count``.
    """
    keys = sorted({duty for part in parts for duty in part.duties})
    with connection.transaction():
        connection.execute("delete from recomputed where not counted and not duty = any(%s)", [keys])
        booked = read_duties(connection, "duty = any(%s)", [keys], devices=None)
        _note_before(connection, booked, booked, until, counted=False)


# ── counting a part ───────────────────────────────────────────────────────────────────────────────────────


def count(ledger: Ledger, part: Chunk, until: int) -> Recounted:
    """Recounts a part, in one transaction, with a note of what that changed.

    Args:
        ledger: over a connection of the caller's own.
        part: of ``plan``.
        until: open slices are summed up to here, microseconds; the same for all parts.
    """
    changed = 0

    def note(desk: Desk, changes: Changes, before: Mapping[int, Duty]) -> None:
        nonlocal changed
        found = _risen(desk, changes, until)
        changed = len({duty for duty, _ in found})
        now = dict(zip(changes.keys.tolist(), changes.duties, strict=True))
        _note_before(desk.connection, {**now, **before}, now, until)
        _keep(desk.connection, found)

    fixes = ledger.again(part, note)
    return Recounted(fixes, len(part.devices), len(part.duties), changed)


def finish(connection: Connection, number: int) -> None:
    """Puts on record that a part (by its number) is done; killed just before, it is done once more."""
    connection.execute("update recompute_part set done = true where part = %s", [number])


def _risen(desk: Desk, changes: Changes, until: int) -> dict[tuple[int, str], NDArray[np.int64]]:
    """By duty and local week, how much each sum rose; those that rose by nothing are left out."""
    low = min((int(rows[1].min()) for rows in (changes.gone, changes.added) if len(rows[1])), default=FOREVER)
    high = max((int(rows[2].max()) for rows in (changes.gone, changes.added) if len(rows[2])), default=low)
    found: dict[tuple[int, str], NDArray[np.int64]] = {}
    if low >= min(high, until):
        return found
    for start, end in calendar.weeks(low, min(high, until)):
        week = calendar.week_name(calendar.local_day(start))
        sums = [
            totals(_slices(rows), changes.duties, desk.history.places, start, min(end, until))
            for rows in (changes.gone, changes.added)
        ]
        rise = sums[1] - sums[0]
        for number in np.flatnonzero(rise.any(axis=1)).tolist():
            found[int(changes.keys[number]), week] = rise[number]
    return found


def _slices(rows: Rows) -> Slices:
    return Slices(
        rows[0].astype(np.int32), rows[1], rows[2], rows[3].astype(np.int8), rows[4], rows[5], rows[6]
    )


def _keep(connection: Connection, risen: dict[tuple[int, str], NDArray[np.int64]]) -> None:
    """Adds what rose to the notes."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into recomputed (duty, week, times) values (%s, %s, %s) "
            "on conflict (duty, week) do update set times = (select array_agg(a + b order by n) "
            "from unnest(recomputed.times, excluded.times) with ordinality r (a, b, n))",
            [[duty, week, rise.tolist()] for (duty, week), rise in sorted(risen.items())],
        )


def _note_before(
    connection: Connection,
    before: Mapping[int, Duty],
    now: Mapping[int, Duty],
    until: int,
    *,
    counted: bool = True,
) -> None:
    """Notes what is not known afterwards of duties by local week, where nothing is noted yet.

    That is the doubtful time as it was judged before, and whether any of the duty counted in the week: how
    long a duty may be is for the policy to say (rule 8a), so it may end in another week than before.

    Args:
        connection: to the database.
        before: the duties by key, as they were counted before.
        now: the same as they are counted now.
        until: open ones and the last week are looked at up to here, microseconds.
        counted: they are counted again in this very transaction; else they will be.
    """
    if counted:  # also where by now none of the duty counts in a week in which some did
        connection.execute("update recomputed set counted = true where duty = any(%s)", [list(now)])
    weeks: dict[Interval, dict[int, bool]] = defaultdict(dict)
    for duties in (now, before):
        for key, duty in duties.items():
            for start, end in calendar.weeks(duty.start, min(duty.until, until)):
                weeks[start, end][key] = before[key].is_in(start, min(end, until))
    for (start, end), present in sorted(weeks.items()):
        keys = list(present)
        judged = doubtful(connection, start, min(end, until), keys)
        sums = np.array([judged.get(key, (0,) * DOUBT_TOTALS) for key in keys], np.int64).T
        connection.execute(
            "insert into recomputed (duty, week, times, doubtful, counted, present) "
            "select duty, %s, array_fill(0::bigint, array[%s]), array[a, b, c], %s, present "
            "from unnest(%s::int[], %s::bool[], %s::int8[], %s::int8[], %s::int8[]) "
            "r (duty, present, a, b, c) "
            "on conflict (duty, week) do update set counted = recomputed.counted or excluded.counted",
            [
                *(calendar.week_name(calendar.local_day(start)), TOTALS, counted, keys),
                *(list(present.values()), *(column.tolist() for column in sums)),
            ],
        )


# ── what it amounts to ────────────────────────────────────────────────────────────────────────────────────


def horizon(connection: Connection, now: int) -> int:
    """Up to where open duties are counted, microseconds: now, or the newest event where that is later."""
    return max(now, newest_event(connection))


def conclude(
    connection: Connection,
    period: tuple[int, int],
    until: int,
    *,
    by: str,
    why: str,
    edition: int,
    officer_id: str | None = None,
) -> tuple[Recomputed, ...]:
    """Makes restatements of the notes, one for each cause, and drops them (rule 20).

    The figures after are those of the tables; before, they were less by what rose. So what the pipeline
    counted meanwhile is in both, and is not attributed to the recompute. Doubtful time is judged here, before
    anything is told: what other facts meanwhile changed in it, in the duties counted again, is told with it.
    Of both causes, the facts come first: the policy's restatement begins where theirs ends.

    Args:
        connection: who called ``hold``.
        period: what was counted again, microseconds.
        until: as given to ``count``.
        by: who recomputes.
        why: the reason, for the records.
        edition: the newest policy on record when it began.
        officer_id: as given to ``plan``.

    Returns:
        those with figures that changed.
    """
    judge_due(connection)
    while True:
        try:
            with alone(connection, Lock.RESTATEMENTS), connection.transaction():
                connection.execute("set transaction isolation level repeatable read")
                restate(connection)
                outcomes = record_notes(connection, until, by=by, why=why, edition=edition, since=period[0])
                policies.counted_again(connection, *period, officer_id, edition)
                connection.execute("delete from recompute_run")
                connection.execute("delete from recompute_part")
                return outcomes
        except psycopg.errors.SerializationFailure:
            continue  # a policy was loaded in the same moment: what it says of these duties is read again
