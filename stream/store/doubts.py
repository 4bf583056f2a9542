"""Doubts in the database (rule 21): what may be doubtful is marked while counting, and judged a little later.

Whoever counts marks, in the same transaction, the duties whose facts changed (``doubt_due``), and the hours
in which a device may contradict itself (``suspect``): few, so that a steady stream costs next to nothing.
``judge`` takes the marks away and writes what ``stream.core.quality.doubts`` finds. The core decides what is
doubtful; here it is only said which facts have to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from geo.matching.history import FOREVER
from stream.core.columns import changes, coalesce, ranges
from stream.core.facts import SECOND, Duty, Fixes
from stream.core.quality.apart import may_be_apart
from stream.core.quality.devices import device_doubts, frozen_runs
from stream.core.quality.doubts import Doubts, doubtful_parts, doubts
from stream.core.slices import ambiguous
from stream.core.stays import perhaps_faster, take
from stream.store import late
from stream.store.chunks import around
from stream.store.columns import literal
from stream.store.kept import COUNTED_FROM
from stream.store.policies import in_force
from stream.store.reading.instant import Numbered, fetch, read_duties, scalars, us
from stream.store.schema import Lock, alone, lock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.policy import Policies
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.store.schema import Connection

HOUR: Final = 3600 * SECOND


# ── marks, in the transaction that counts ─────────────────────────────────────────────────────────────────


def mark_due(connection: Connection, duties: NDArray[np.int64]) -> None:
    """Marks duties, ``int64[n]`` keys, as to be judged again; the caller has locked their officers.

    Whoever takes marks away has to lock these officers too: so one that stands is enough, and is not touched.
    """
    connection.execute(
        "insert into doubt_due (duty) select duty from unnest(%s::int4[]) w (duty) where not exists ("
        "select from doubt_due d where d.duty = w.duty and not d.taken) "
        "on conflict (duty) do update set taken = false where doubt_due.taken",
        [duties],
    )


def mark_sharing(connection: Connection, devices: Collection[int], duties: Collection[Duty]) -> None:
    """Marks duties of any officer that hold one of these devices (keys) about the time of these duties.

    Longer than they run by ``LONG``: a doubt of a device may reach from one duty into others, and must end
    there when the first is cancelled, or moved, and no longer says where its officer was meanwhile.
    """
    if not devices or not duties:
        return
    connection.execute(
        "insert into doubt_due (duty) select distinct duty from allocation join duty d using (duty) "
        "where device = any(%s) and d.start_at <= from_us(%s) "
        "and d.until_at >= from_us(%s) "
        # Their officers are not locked: so the row is, for whoever takes the marks away to wait.
        "order by duty on conflict (duty) do update set taken = false",
        [
            sorted(devices),
            min(max(duty.until for duty in duties) + LONG, FOREVER),
            min(duty.start for duty in duties) - LONG,
        ],
    )


def mark_suspect(
    connection: Connection,
    known: set[tuple[int, int]],
    keys: NDArray[np.int32],
    device: NDArray[np.int64],
    hour: NDArray[np.int64],
) -> None:
    """Marks hours of devices as worth a look.

    Args:
        connection: in the transaction that counts.
        known: those that this program has marked already, by key and hour; what is new comes in.
        keys: the devices' database keys.
        device: ``int64[n]``, positions in ``keys``.
        hour: ``int64[n]``, since 1970.
    """
    new = {(int(keys[at]), when) for at, when in zip(device.tolist(), hour.tolist(), strict=True)} - known
    if not new:
        return
    rows = sorted(new)
    connection.execute(
        "insert into suspect (device, hour) select * from unnest(%s::int[], %s::int[]) "
        "on conflict do nothing",
        [[key for key, _ in rows], [when for _, when in rows]],
    )
    known |= new


def suspicious(
    fixes: Fixes, changed: NDArray[np.bool_], policies: Policies
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The hours in which devices may contradict themselves, by two fixes that follow each other.

    Wherever a device is frozen, or two share its id, there are such pairs in every hour; whether it is so is
    seen only from longer stretches.

    Args:
        fixes: in order, jumps among them.
        changed: ``bool[n]``, those that are new: pairs of others were looked at when they came.
        policies: they say what is fast.

    Returns:
        ``(device, hour)``: ``int64[m]`` each, hours since 1970; the pair's own and those between.
    """
    device, time, lon, lat = fixes.device, fixes.time, fixes.lon, fixes.lat
    still = (device[1:] == device[:-1]) & (lon[1:] == lon[:-1]) & (lat[1:] == lat[:-1])
    fast = perhaps_faster(fixes, min(policy.double_speed_mps for policy in policies.policies))
    at = np.flatnonzero((changed[1:] | changed[:-1]) & (still | fast))
    device, first, last = device[at], time[at] // HOUR, time[at + 1] // HOUR
    fresh = changes(device, first, last)  # whoever stands does so from fix to fix
    owner, hour = ranges(first[fresh], last[fresh] + 1)
    return device[fresh][owner].astype(np.int64), hour


# ── judging, a little later ───────────────────────────────────────────────────────────────────────────────

TOGETHER: Final = 5000
"""How many duties are judged in one transaction: for each of these the devices' numbering is read."""

MOST_HOURS: Final = 1000
"""About so many hours of fixes are read at once: many hours of very many devices may come together."""

LONGEST_H: Final = 24
"""A duty counts as so many hours at most where it is only asked about how many fixes there are."""

MARGIN: Final = 3600 * SECOND
"""How far around a duty its devices' fixes are read: more than the two stretches that a turn depends on."""

FURTHER: Final = 6 * 3600 * SECOND
"""How much further, while a device stands on one spot where that ends."""

LONG: Final = 2 * 24 * 3600 * SECOND
"""How far around a duty others are judged again with it, to which a doubt of the same device was given."""


def judge_due(connection: Connection, *, wait: bool = True) -> int:
    """Judges all duties that are due, by the policies in force; gives how many.

    Killed at any instant, what was judged is written and what was not is still due.

    Args:
        connection: outside any transaction.
        wait: for officers whom somebody else has locked; otherwise their duties stay due, and nobody who
            counts waits for officers that are locked here while others are waited for.

    Raises:
        psycopg.Error: the database refused or went away.
    """
    judged, last = 0, -1
    with alone(connection, Lock.DOUBTS):
        while (taken := _take(connection, last, wait=wait)) is not None:
            due, last = taken
            if due:
                with connection.transaction():
                    connection.execute("set transaction isolation level repeatable read")
                    _judge(connection, due)
                _done(connection, due)
            judged += len(due)
    return judged


def judge_within(connection: Connection) -> None:
    """Judges all duties that are due, in the caller's transaction, which lets nobody count meanwhile.

    Whoever publishes boundaries needs it (``stream.store.areas.hold``): what follows from them is known, and
    on record, when they come into force.

    Raises:
        psycopg.Error: the database refused or went away.
    """
    lock(connection, Lock.DOUBTS)
    last = -1
    while (taken := _take(connection, last)) is not None:
        due, last = taken
        _judge(connection, due)
        _done(connection, due)


def _done(connection: Connection, due: Sequence[int]) -> None:
    connection.execute("delete from doubt_due where duty = any(%s) and taken", [due])


def _take(connection: Connection, after: int, *, wait: bool = True) -> tuple[list[int], int] | None:
    """Takes the marks of the next duties away: whoever changes their facts from now on marks them again.

    A transaction that marked them before has ended then, for it holds their officers until it does.

    Returns:
        the duties, and the last that was looked at; None: there are no more.
    """
    with connection.transaction():
        due = scalars(
            connection,
            "select duty from doubt_due where duty > %s order by duty limit %s",
            [after, TOGETHER],
        )
        if not due:
            return None
        held = connection.execute(
            "select officer from officer where officer in (select officer from duty where duty = any(%s)) "
            f"order by officer for update{'' if wait else ' skip locked'}".encode(),
            [due],
        ).fetchall()
        taken = connection.execute(
            "update doubt_due set taken = true where duty = any(%s) "
            "and duty in (select duty from duty where officer = any(%s)) returning duty",
            [due, [officer for (officer,) in held]],
        ).fetchall()
    return sorted(duty for (duty,) in taken), due[-1]


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """All that the doubts of some duties depend on, in the core's numbering.

    Attributes:
        numbered: devices and places.
        keys: of the duties, as many.
        duties: those to be judged, and the others of that time that they may depend on.
        judged: keys of those to be judged.
        fixes: of the devices that may be in doubt, and of those beside them.
        stays: of the devices of the duties to be judged, and of those beside them.
        slices: of the duties to be judged.
    """

    numbered: Numbered
    keys: list[int]
    duties: list[Duty]
    judged: list[int]
    fixes: Fixes
    stays: Stays
    slices: Slices


def _judge(connection: Connection, due: Sequence[int]) -> None:
    """Judges duties, and those that their devices' doubts reach into; the transaction sees one instant."""
    policies = in_force(connection)
    numbered = Numbered.of(connection)
    due = _judged_still(connection, due)
    for some in _portions(connection, due):
        found, beside = _evidence(connection, numbered, some, policies)
        beside = set(_judged_still(connection, sorted(beside)))
        if not beside <= set(some):
            found, _ = _evidence(connection, numbered, sorted(beside.union(some)), policies)
        _write(
            connection,
            found,
            doubts(found.duties, found.fixes, found.stays, found.slices, numbered.places, policies),
        )


def _judged_still(connection: Connection, duties: Sequence[int]) -> list[int]:
    """Those of some duties whose facts are still there: doubts of others stay as they were judged."""
    return scalars(
        connection,
        "select duty from duty where duty = any(%s) "
        f"and coalesce(until_at, end_at, 'infinity') > from_us({COUNTED_FROM}) order by duty",
        [list(duties)],
    )


Interval: TypeAlias = tuple[int, int]


def _evidence(
    connection: Connection, numbered: Numbered, judged: Sequence[int], policies: Policies
) -> tuple[_Evidence, set[int]]:
    """What the doubts of duties depend on, and the duties into which these doubts may reach."""
    own = read_duties(connection, f"duty = any({literal(np.array(judged, np.int64), 'int4')})")
    key_of = numbered.keys()
    windows: dict[int, Interval] = {}
    for duty in own.values():
        for item in duty.devices if duty.counts else ():
            _widen(windows, key_of[item.device_id], (duty.start, duty.until))
    fixes = _fixes(connection, numbered, _suspect(connection, windows))
    reached = [
        (key_of[numbered.device_ids[device]], (start, end))
        for found in (device_doubts(fixes, policies), frozen_runs(fixes, policies))
        for device, start, end in zip(
            found.device.tolist(), found.start.tolist(), found.end.tolist(), strict=True
        )
    ]
    spans = [*windows.values(), *(interval for _, interval in reached)]
    low, high = min((start for start, _ in spans), default=0), max((end for _, end in spans), default=0)
    known = own | _concerned(connection, windows, (low, high))
    beside = _doubted(connection, windows)
    wanted = dict(windows)
    for device, interval in reached:
        meeting = {key: duty for key, duty in known.items() if _meets(duty, interval)}
        theirs = {
            key
            for key, duty in meeting.items()
            if any(key_of[item.device_id] == device for item in duty.devices)
        }
        beside |= theirs
        officers = {known[key].officer_id for key in theirs}
        for duty in meeting.values():  # what the same officers hold meanwhile may be elsewhere
            if duty.officer_id in officers:
                for item in duty.devices:
                    _widen(wanted, key_of[item.device_id], interval)
    stays = _stays(connection, numbered, wanted)
    apart = may_be_apart(list(own.values()), numbered.device_ids, stays, numbered.places, policies)
    if reached or len(apart):
        moving = {key_of[numbered.device_ids[number]] for number in apart.tolist()}
        seen = wanted if reached else {device: wanted[device] for device in moving}
        fixes = _fixes(connection, numbered, {**_suspect(connection, wanted), **seen})
    keys = sorted(known, key=lambda key: known[key].duty_id)
    which = f"duty = any({literal(np.array(sorted(own), np.int64), 'int4')})"
    return _Evidence(
        numbered,
        keys,
        [known[key] for key in keys],
        sorted(own),
        fixes,
        stays,
        numbered.slices(connection, keys, which),
    ), beside


# ── what is written ───────────────────────────────────────────────────────────────────────────────────────


def _write(connection: Connection, found: _Evidence, judged: Doubts) -> None:
    """Writes the doubts of the duties judged, where they are not what they were."""
    slices, key = found.slices, np.array(found.keys, np.int64)
    judged = judged.take(np.isin(key[judged.duty], found.judged))
    devices = found.numbered.keys()
    names = found.numbered.device_ids
    kinds = [
        (*row[:2], devices[names[row[2]]], *row[3:])
        for row in zip(
            key[judged.duty].tolist(),
            judged.kind.tolist(),
            judged.device.tolist(),
            judged.other.tolist(),
            judged.start.tolist(),
            judged.end.tolist(),
            strict=True,
        )
    ]
    _replace(connection, "doubt", ("duty", "kind", "device", "other"), found.judged, kinds)
    row, start, end = doubtful_parts(slices, judged)
    duty, activity = slices.duty[row], slices.activity[row].astype(np.int64)
    unsure = ambiguous(found.duties, duty, slices.place[row], found.numbered.places)
    first, start, end = coalesce(start, end, [duty, activity, unsure])
    parts = [key[duty][first], activity[first], unsure[first], start, end]
    together = list(zip(*(column.tolist() for column in parts), strict=True))
    other = _replace(connection, "doubtful", ("duty", "activity", "ambiguous"), found.judged, together)
    if other:
        _mark_late(connection, found, other)


def _mark_late(connection: Connection, found: _Evidence, rows: Iterable[tuple[Any, ...]]) -> None:
    """Marks duties of which other time in settled weeks is doubtful than before (rule 20)."""
    [(settled,)] = fetch(connection, f"select {late.SETTLED}")
    reach: dict[int, Interval] = {}
    for row in rows:
        _widen(reach, row[0], row[-2:])
    duties = dict(zip(found.keys, found.duties, strict=True))
    late.mark(
        connection,
        [
            late.Mark("doubt", duties[key].duty_id, low, high, low, high, duties[key].officer_id)
            for key, (low, high) in sorted(reach.items())
            if low < settled
        ],
    )


def _replace(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    duties: Sequence[int],
    rows: Sequence[tuple[object, ...]],
) -> set[tuple[Any, ...]]:
    """Makes a table say this of duties, and nothing else; rows end with start and end in microseconds.

    Returns:
        the rows that are no more, or are new.
    """
    names = ", ".join(columns)
    before = fetch(
        connection,
        f"select {names}, {us('start_at')}, {us('end_at')} from {table} where duty = any(%s)",
        [list(duties)],
    )
    if sorted(before) == sorted(rows):
        return set()
    connection.execute(f"delete from {table} where duty = any(%s)".encode(), [list(duties)])
    with connection.cursor() as cursor:
        cursor.executemany(
            f"insert into {table} ({names}, start_at, end_at) "
            f"values ({'%s, ' * len(columns)}from_us(%s), from_us(%s))".encode(),
            rows,
        )
    return set(before) ^ set(rows)


# ── what is read ──────────────────────────────────────────────────────────────────────────────────────────


def _concerned(connection: Connection, devices: Collection[int], interval: Interval) -> dict[int, Duty]:
    """Duties of a time, by key, on which the doubts of devices (keys) may depend.

    Those of the officers who held one, and of everybody who held what these officers held: whether a device
    is alone in some place is told by the others of the same officer, if nobody else has them.
    """
    low, high = interval
    meets = f"duty.start_at < from_us({high}) and until_at > from_us({low})"
    held = "from allocation h join duty using (duty) where"
    officers = scalars(
        connection, f"select distinct officer {held} h.device = any(%s) and {meets}", [sorted(devices)]
    )
    theirs = scalars(connection, f"select distinct h.device {held} officer = any(%s) and {meets}", [officers])
    which = f"(officer = any(%s) or duty in (select duty {held} h.device = any(%s))) and {meets}"
    return read_duties(connection, which, [officers, theirs])


def _portions(connection: Connection, due: Sequence[int]) -> list[list[int]]:
    """Duties in parts around which no more fixes are read than fit into memory."""
    hours = dict(
        fetch(
            connection,
            "select duty, sum(least(extract(epoch from until_at - duty.start_at) / 3600, %s) + %s)::float8 "
            "from duty join allocation a using (duty) where duty = any(%s) and until_at is not null "
            "and exists (select from suspect s where s.device = a.device and s.hour between "
            "floor(extract(epoch from duty.start_at) / 3600) and floor(extract(epoch from until_at) / 3600)) "
            "group by duty",
            [LONGEST_H, 2 * MARGIN / HOUR, list(due)],
        )
    )
    number = np.cumsum([hours.get(duty, 0.0) for duty in due]) // MOST_HOURS
    return [np.array(due)[number == each].tolist() for each in np.unique(number)]


def _meets(duty: Duty, interval: Interval) -> bool:
    return duty.is_in(*interval)


def _widen(windows: dict[int, Interval], device: int, interval: Interval) -> None:
    low, high = windows.get(device, interval)
    windows[device] = min(low, interval[0]), max(high, interval[1])


def _suspect(connection: Connection, windows: Mapping[int, Interval]) -> dict[int, Interval]:
    """Of some devices (keys) and times those where a device may contradict itself."""
    keys = sorted(windows)
    return {
        key: windows[key]
        for (key,) in fetch(
            connection,
            "select w.device from unnest(%s::int[], %s::int8[], %s::int8[]) w (device, low, high) "
            "where exists (select from suspect s where s.device = w.device and s.hour between low and high)",
            [
                keys,
                [(windows[key][0] - MARGIN) // HOUR for key in keys],
                [(windows[key][1] + MARGIN) // HOUR for key in keys],
            ],
        )
    }


def _doubted(connection: Connection, windows: Mapping[int, Interval]) -> set[int]:
    """Duties that have a doubt of one of these devices (keys) about then: it may be none any more."""
    keys = sorted(windows)
    return {
        duty
        for (duty,) in connection.execute(
            "select distinct duty from doubt d "
            "join unnest(%s::int[], %s::int8[], %s::int8[]) w (device, low, high) "
            "on d.device = w.device and d.start_at < from_us(w.high) and d.end_at > from_us(w.low)",
            [
                keys,
                [windows[key][0] - LONG for key in keys],
                [min(windows[key][1] + LONG, FOREVER) for key in keys],
            ],
        )
    }


def _fixes(connection: Connection, numbered: Numbered, windows: Mapping[int, Interval]) -> Fixes:
    """All fixes of devices (keys) in their windows and around them; further, while one stands on one spot."""
    asked = {key: (low - MARGIN, min(high + MARGIN, FOREVER)) for key, (low, high) in windows.items()}
    while True:
        keys = np.array(sorted(asked), np.int64)
        low, high = (np.array([asked[key][at] for key in keys.tolist()], np.int64) for at in range(2))
        found = around(connection, keys, low, high, before=1, after=1)
        window, time, lon, lat = found.device, found.time, found.lon, found.lat
        still = (window[1:] == window[:-1]) & (lon[1:] == lon[:-1]) & (lat[1:] == lat[:-1])
        out_before = still & (time[:-1] < low[window[:-1]])
        out_behind = still & (time[1:] > high[window[1:]])
        if not (out_before.any() or out_behind.any()):
            break
        for key in keys[window[:-1][out_before]].tolist():
            asked[key] = asked[key][0] - FURTHER, asked[key][1]
        for key in keys[window[1:][out_behind]].tolist():
            asked[key] = asked[key][0], asked[key][1] + FURTHER
    device = numbered.devices(keys[window])
    found = replace(found, device=device, device_ids=numbered.device_ids)
    return take(found, np.lexsort((time, device)))


def _stays(connection: Connection, numbered: Numbered, windows: Mapping[int, Interval]) -> Stays:
    """The stays of devices (keys) that touch their windows."""
    keys = np.array(sorted(windows), np.int64)
    low, high = (np.array([windows[key][at] for key in keys.tolist()], np.int64) for at in range(2))
    return numbered.stays(
        connection,
        f"exists (select from unnest({literal(keys, 'int4')}, {literal(low)}, {literal(high)}) "
        "w (device, low, high) where w.device = stays.device and start_at < from_us(high) "
        "and end_at > from_us(low))",
    )
