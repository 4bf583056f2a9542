"""What was heard, as far as findings need it: for the duties now running, and for the duties of a period.

Reads only; what is found is said in ``stream.core.quality``. Of each device the first and the last positions
of its booked time are read, and its last one of all, not every position: enough to know whether it was heard
and where, and cheap at any size. What was rejected, and how late reports came, is in the counts of what was
heard (``stream.store.heard``), which are some seconds behind. Reports that came twice are not told here: for
that every position would have to be counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stream.core.calendar import day_numbers, microseconds
from stream.core.facts import SECOND, Fixes, StateReport
from stream.core.quality.devices import KINDS
from stream.core.quality.doubts import NamedDoubt
from stream.core.quality.findings import (
    FINDINGS,
    Examined,
    QualityFindings,
    day_findings,
    findings,
    long_duties,
)
from stream.core.quality.heard import TAKEN, Heard
from stream.core.quality.totals import faulty_days
from stream.core.quality.tracks import ANY_DUTY, Extent, Mistake, Tracked, held, renumbered, tracked
from stream.core.quality.wording import FAR_PART, JUMPS_PART, LEAST_JUMPS
from stream.core.slices import Slices
from stream.core.stays import in_order
from stream.core.summaries.examining import HeardFacts
from stream.store import chunks
from stream.store.heard import heard_between
from stream.store.reading.device_days import kept_days
from stream.store.reading.instant import fetch, instant, read_duties, scalars, us

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.tracks import DeviceDays
    from stream.store.schema import Connection

GRACE_S: Final = 900
"""A duty is not asked for its first positions before it has run so long."""
LATELY_S: Final = 86_400
"""How far back a device counts as heard at other times, and a booking as one that explains it."""
NOW_S: Final = 3600
"""A device that no duty names is told for so long after its last position."""

BEYOND: Final = 86_400 * SECOND
"""So long after a period its last duties may still be heard, microseconds."""

LIVE: Final = (
    *(str(mistake) for mistake in Mistake if mistake is not Mistake.LON_SIGN),
    "rejected",
    "clock_offset",
    "none_usable",
    "near_id",
    "two_ids",
    "never_heard",
    "frozen_beside",
    "unknown_patch",
    "too_long_duty",
    "open_duty",
    "overlapping_duties",
    "no_device",
    "unknown_state",
    "two_states",
    "state_without_duty",
    "not_booked",
    "far_from_force",
    "jump",
)
"""What can be said without every position: a lost sign of the longitude may also be a journey."""


def live_quality(
    connection: Connection,
    duties: Sequence[Duty],
    now: int,
    policies: Policies,
    *,
    heard: Heard,
    extent: Extent | None,
    neighbourhoods: Mapping[str, str],
    beyond: Sequence[Duty] = (),
) -> QualityFindings:
    """The findings about the duties now running; counts of positions are of those that were looked at.

    Args:
        connection: outside any transaction; all is read as of one instant.
        duties: those now running, newest revisions.
        now: microseconds since 1970.
        policies: their settings.
        heard: what was heard of late, of any devices; that of the duties' own is told.
        extent: the box around the areas in force; None: there are none.
        neighbourhoods: names of those in force by ``area_id``.
        beyond: of ``booked_beyond``, or none.
    """
    duties = sorted(
        (duty for duty in duties if duty.start <= now - GRACE_S * SECOND), key=lambda duty: duty.duty_id
    )
    booked, booked_ids = held(duties)
    with instant(connection):
        asked = [
            (booked_ids[device], start, min(end, now + 1))
            for device, start, end in zip(
                booked.device.tolist(), booked.start.tolist(), booked.end.tolist(), strict=True
            )
            if start <= now
        ]
        asked += [(name, now - LATELY_S * SECOND, now + 1) for name in booked_ids]
        asked += [(name, now - NOW_S * SECOND, now + 1) for name in _never_booked(connection, now)]
        fixes = _fixes(_first_and_last(connection, asked))
        states = _states(connection, duties, now)
        doubts = _doubts(connection, duties, now)
        seen = day_findings(*_odd_days(connection, duties, booked_ids, now))
    mine = renumbered(booked, booked_ids, fixes.device_ids)
    found = findings(
        Examined(
            duties,
            states,
            fixes.device_ids,
            _of_booked(heard, booked_ids, fixes.device_ids),
            Tracked.of_groups([tracked(fixes, fixes, mine, extent, policies)]),
            booked,
            booked_ids,
            Slices.none(),
            neighbourhoods if neighbourhoods else _any_patch(duties),
            {},
            now,
            doubts=doubts,
            policies=policies,
        )
    )
    told = QualityFindings.joined([found.only(*LIVE[:-2]), long_duties(beyond, now), seen.only(*LIVE[-2:])])
    return _without_few_rejects(told, heard)


def booked_beyond(connection: Connection, now: int) -> list[Duty]:
    """The duties that run by their bookings and do not count (rule 8a): too long, or open for too long.

    Without their devices.
    """
    which = (
        "not cancelled and start_at <= from_us(%s) and coalesce(end_at, 'infinity') > from_us(%s) "
        "and coalesce(until_at <= from_us(%s), true) order by duty_id"
    )
    return list(read_duties(connection, which, [now] * 3, devices=None).values())


def _odd_days(
    connection: Connection, duties: Sequence[Duty], names: Collection[str], now: int
) -> tuple[DeviceDays, tuple[str, ...]]:
    """The days of devices since the duties began, with jumps and positions far off where they are many."""
    first, last = _days_of(duties, now)
    days, device_ids = kept_days(connection, first, last, names)
    many = (days.jumps >= LEAST_JUMPS) & (days.jumps * JUMPS_PART > days.fixes)
    far = np.where(days.far * FAR_PART > days.fixes, days.far, 0)
    return replace(days, jumps=np.where(many, days.jumps, 0), far=far), device_ids


def _without_few_rejects(found: QualityFindings, heard: Heard) -> QualityFindings:
    """The findings without the rejects of devices that have few: every tracker errs now and then."""
    many = {(item.device_id, item.day) for item in faulty_days(heard)}
    rows = zip(found.finding.tolist(), found.id.tolist(), found.day.tolist(), strict=True)
    kind = FINDINGS.index("rejected")
    return found.take(
        np.array([number != kind or (found.texts[name], day) in many for number, name, day in rows], np.bool_)
    )


def heard_lately(connection: Connection, duties: Sequence[Duty], now: int) -> Heard:
    """What was heard of all devices on the local days of the duties now running, a day before now at most."""
    return heard_between(connection, *_days_of(duties, now))


def _days_of(duties: Sequence[Duty], now: int) -> tuple[int, int]:
    """The first and the last of the local days of the duties now running, a day before now at most."""
    begun = min((duty.start for duty in duties), default=now)
    first, last = day_numbers(np.array([max(begun, now - LATELY_S * SECOND), now], np.int64)).tolist()
    return min(first, last), last


def _of_booked(heard: Heard, booked_ids: Sequence[str], located: Sequence[str]) -> Heard:
    """What was heard of booked devices.

    One of which usable reports came, but none where positions were looked for, is silent now: that is not to
    be told as unusable.
    """
    met = set(located)
    usable = {heard.device_ids[code] for code in np.unique(heard.device[heard.verdict == TAKEN]).tolist()}
    return heard.of_devices({name for name in booked_ids if name in met or name not in usable})


def heard_in(connection: Connection, duties: Sequence[Duty], start: int, until: int) -> HeardFacts:
    """What was heard in a period of the devices of some duties, and of those that no duty names.

    Args:
        connection: in a transaction that sees one instant.
        duties: newest revisions, with their devices.
        start: the period's start, microseconds since 1970.
        until: up to when anything is counted, exclusive.
    """
    booked, booked_ids = held(duties)
    booked = booked.take(booked.duty != ANY_DUTY)
    low, high = np.maximum(booked.start, start), np.minimum(booked.end, until)
    stretches = {
        (booked_ids[device], first, last)
        for device, first, last in zip(booked.device.tolist(), low.tolist(), high.tolist(), strict=True)
        if first < last
    }
    strangers = _unbooked(connection, start, until) if stretches else []
    found = _first_and_last(connection, sorted(stretches | {(name, start, until) for name in strangers}))
    silent = sorted(set(booked_ids) - {row[0] for row in found})
    found += _first_and_last(connection, [(name, start, until) for name in silent])
    first, last = day_numbers(np.array([start, max(start, until - 1)], np.int64)).tolist()
    reports = heard_between(connection, first, last, booked_ids) if stretches else Heard.joined([])
    beyond = [
        (duties[number].duty_id, booked_ids[device], first, last)
        for number, device, begins, ends in zip(
            *(each.tolist() for each in (booked.duty, booked.device, booked.start, booked.end)), strict=True
        )
        for first, last in ((begins, min(ends, start)), (max(begins, until), min(ends, until + BEYOND)))
        if first < last
    ]
    return HeardFacts(_fixes(found), frozenset(strangers), reports, _spoke(connection, beyond))


def _spoke(connection: Connection, asked: Sequence[tuple[str, str, int, int]]) -> frozenset[tuple[str, str]]:
    """The duties and devices, of rows with a stretch ``[from, to)`` each, of which it has any fix."""
    if not asked:
        return frozenset()
    rows, *windows = _windows(connection, [row[1:] for row in asked])
    spoke = chunks.any_within(connection, *windows)
    return frozenset(asked[row][:2] for row in rows[spoke].tolist())


def _windows(
    connection: Connection, asked: Sequence[tuple[str, int, int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a known device's name, a start and an end: which they are, keys, starts and ends."""
    names = list({row[0] for row in asked})
    key_of = dict(
        fetch(connection, "select device_id, device from device where device_id = any(%s)", [names])
    )
    found = [(at, key_of[row[0]], *row[1:]) for at, row in enumerate(asked) if row[0] in key_of]
    rows, keys, low, high = np.array(found, np.int64).reshape(-1, 4).T
    return rows, keys, low, high


def _unbooked(connection: Connection, start: int, until: int) -> list[str]:
    """Devices heard in a period that no duty of the period names."""
    found = fetch(
        connection,
        "select device_id, device from device where device not in ("
        "select device from allocation join duty d using (duty) where not cancelled "
        "and tstzrange(d.start_at, coalesce(d.until_at, d.end_at)) && tstzrange(from_us(%s), from_us(%s)))",
        [start, until],
    )
    keys = np.array([key for _, key in found], np.int32)
    low, high = (np.full(len(keys), time, np.int64) for time in (start, until))
    heard = chunks.any_within(connection, keys, low, high)
    return [name for (name, _), spoke in zip(found, heard.tolist(), strict=True) if spoke]


def _any_patch(duties: Sequence[Duty]) -> dict[str, str]:
    """Before there are boundaries no patch is called unknown."""
    return {area: area for duty in duties for area in duty.patch}


def _never_booked(connection: Connection, now: int) -> list[str]:
    """Devices heard of late that no duty of late names."""
    return scalars(
        connection,
        "select device_id from stay_end e join device using (device) where newest > %s and newest <= %s "
        "and not exists (select from allocation a join duty d using (duty) where a.device = e.device "
        "and not cancelled and coalesce(d.until_at, d.end_at) > from_us(%s))",
        [now - NOW_S * SECOND, now, now - LATELY_S * SECOND],
    )


def _first_and_last(connection: Connection, asked: Sequence[tuple[str, int, int]]) -> list[Any]:
    """The first and the last fix of each device within ``[from, to)``, as far as there are any.

    Rows ``(device_id, time, lon, lat)``, times in microseconds.
    """
    rows, *windows = _windows(connection, asked)
    found = chunks.first_and_last(connection, *windows)
    names = [asked[at][0] for at in rows[found.device].tolist()]
    return list(zip(names, found.time.tolist(), found.lon.tolist(), found.lat.tolist(), strict=True))


def _fixes(rows: Sequence[Any]) -> Fixes:
    """Rows of ``_first_and_last`` in order, each once."""
    device_ids = sorted({row[0] for row in rows})
    code_of = {name: code for code, name in enumerate(device_ids)}
    missing = np.full(len(rows), np.nan)
    found = Fixes(
        np.array([code_of[row[0]] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.float64),
        missing,
        missing.astype(np.float32),
        missing.astype(np.float32),
        tuple(device_ids),
    )
    return in_order(found)


def _states(connection: Connection, duties: Sequence[Duty], now: int) -> list[StateReport]:
    """The states keyed in duties up to now, and those of late of officers who never had a duty."""
    never = (
        "select officer_id, time, state from state s join officer o using (officer) "
        "where time > from_us(%s) and time <= from_us(%s) "
        "and not exists (select from duty d where d.officer = o.officer and not cancelled)"
    )
    keyed = (
        "select distinct officer_id, time, state "
        "from unnest(%s::text[], %s::int8[]) as w (officer_id, low) join officer using (officer_id) "
        "join state using (officer) where time >= from_us(low) and time <= from_us(%s)"
    )
    begun = [[duty.officer_id for duty in duties], [duty.start for duty in duties], now]
    return [
        StateReport(name, microseconds(time), state)
        for query, values in ((never, [now - LATELY_S * SECOND, now]), (keyed, begun))
        for name, time, state in fetch(connection, query, values)
    ]


def _doubts(connection: Connection, duties: Sequence[Duty], now: int) -> list[NamedDoubt]:
    """The doubts of duties up to now, as they were judged last (rule 21)."""
    known = {duty.duty_id: duty for duty in duties}
    return [
        NamedDoubt(known[duty_id].officer_id, start, min(end, now), duty_id, KINDS[kind], device_id, other)
        for duty_id, start, end, kind, device_id, other in fetch(
            connection,
            f"select duty_id, {us('d.start_at')}, {us('d.end_at')}, d.kind, device_id, other from doubt d "
            "join duty using (duty) join device using (device) where duty_id = any(%s)",
            [list(known)],
        )
        if start < now
    ]
