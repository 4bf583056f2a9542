"""What ``patrol explain`` and ``patrol teams`` look at: from files, or just so much of the database.

Reads only. An explanation needs the whole duties behind its figure and nothing else, so of the database only
these are read, however many years it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.areas import Kind
from geo.matching.history import FOREVER
from stream.core.calendar import day_numbers, microseconds, moment
from stream.core.explaining.explanation import cut_open, silences
from stream.core.explaining.parts import Found, area_names, near_ids
from stream.core.explaining.wording import Named, moment_words, officer_names
from stream.core.policy import BEGINNING
from stream.core.quality.elsewhere import anywhere
from stream.core.quality.tracks import Extent
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER
from stream.store import areas, bookings
from stream.store.chunks import around
from stream.store.columns import literal
from stream.store.heard import heard_between
from stream.store.reading.doubtful import doubts_of
from stream.store.reading.elsewhere import all_far
from stream.store.reading.instant import Numbered, fetch, instant, scalars
from stream.store.reading.live import newest_event
from stream.store.reading.quality import live_quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.core.calendar import Period
    from stream.core.policy import Policies
    from stream.core.quality.findings import QualityFindings
    from stream.core.slices import Slices
    from stream.store.schema import Connection


def from_database(
    connection: Connection, start: int, end: int, *, scope: str, wanted: str, until: int | None
) -> Found:
    """Reads the duties of an officer, a neighbourhood or the force that touch a period, with their slices.

    Args:
        connection: outside any transaction; all is read as of one instant.
        start: the period's start, microseconds.
        end: its end, exclusive.
        scope: ``officer``, ``neighbourhood`` or ``force``.
        wanted: the officer's or neighbourhood's id.
        until: open duties are counted up to here; None: the newest position.
    """
    with instant(connection):
        newest = newest_event(connection)
        if until is None:
            until = newest if newest > -FOREVER else start
        mine = {
            OFFICER: "officer_id = %(wanted)s",
            NEIGHBOURHOOD: "patch @> array[%(wanted)s]",
            FORCE: "cardinality(patch) > 0",
        }[scope]
        [booked] = connection.execute(
            f"select min(start_at), max(start_at) from duty join officer using (officer) "
            f"where not cancelled and {mine}".encode(),
            {"wanted": wanted},
        ).fetchall()
        others: list[str] = []
        if booked[0] is None and scope != FORCE:
            named = "officer_id" if scope == OFFICER else "unnest(patch)"
            others = scalars(
                connection,
                f"select distinct {named} from duty join officer using (officer) where not cancelled",
            )
        keys = connection.execute(
            f"select distinct officer, duty from duty join officer using (officer) "
            "where not cancelled and start_at < %(end)s and coalesce(until_at, end_at) > %(start)s "
            f"and {mine}".encode(),
            {"wanted": wanted, "start": moment(start), "end": moment(end)},
        ).fetchall()
        inside = {duty for _, duty in keys}
        officers = bookings.read_officers(connection, {officer for officer, _ in keys}, start)
        numbered = Numbered.of(connection)
        known, duties = bookings.duties_of(officers.values(), inside)
        chosen = literal(np.array(known, np.int64))
        slices = numbered.slices(connection, known, f"duty = any({chosen})")
        doubts = doubts_of(connection, known, numbered.device_ids)
        published = areas.versions(connection)
        reported = _reported(connection, slices, numbered.device_ids)
        concerned = [
            item
            for item in published
            if start < item.valid_from < end or item in areas.in_force(published, start)
        ]
        sets = [areas.read(connection, item.version, item.kind) for item in concerned]
        far = not anywhere(slices, numbered.places, start, min(end, until)) and all_far(
            connection, Extent.of(sets), start, min(end, until)
        )
    names = area_names(*sets)
    return Found(
        cut_open(slices, duties, until),
        duties,
        numbered.places,
        numbered.device_ids,
        until,
        min((item.valid_from for item in published), default=FOREVER),
        Named(
            names | officer_names(duties),
            tuple(
                f"{item.kind.value} version {item.version}"
                + ("" if item.valid_from <= BEGINNING else f" from {moment_words(item.valid_from)}")
                for item in concerned
            ),
            None if newest == -FOREVER else newest,
            frozenset(area for kind, area in names if kind == NEIGHBOURHOOD) or None,
        ),
        None if booked[0] is None else (microseconds(booked[0]), microseconds(booked[1])),
        doubts=doubts,
        near=near_ids(wanted, others),
        reported=reported,
        far=far,
    )


def _reported(
    connection: Connection, slices: Slices, device_ids: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    """The times of the positions within seeming silences, by device and in order."""
    row, start, end = silences(slices)
    names = [device_ids[number] for number in slices.device[row].tolist()]
    key_of = dict(
        fetch(connection, "select device_id, device from device where device_id = any(%s)", [names])
    )
    fixes = around(connection, np.array([key_of[name] for name in names], np.int64), start, end)
    found: dict[str, list[NDArray[np.int64]]] = {}
    for at in np.unique(fixes.device).tolist():
        found.setdefault(names[at], []).append(fixes.time[fixes.device == at])
    return {name: np.unique(np.concatenate(found[name])) for name in sorted(found)}


def quality_of(connection: Connection, found: Found, end: int, policies: Policies) -> QualityFindings:
    """What can be said of the facts behind an explanation without reading every position (rule 22).

    Args:
        connection: outside any transaction.
        found: what was read, with the duties.
        end: the period's end, microseconds.
        policies: those in force.
    """
    published = [item for _, item in areas.by_time(connection)]
    until = min(found.until, end)
    begun = min((duty.start for duty in found.duties), default=until)
    first, last = day_numbers(np.array([min(begun, until), until], np.int64)).tolist()
    devices = {item.device_id for duty in found.duties for item in duty.devices}
    return live_quality(
        connection,
        found.duties,
        until,
        policies,
        heard=heard_between(connection, first, last, devices),
        extent=Extent.of(published),
        neighbourhoods={
            area_id: name for item in published for area_id, name in item.names(Kind.NEIGHBOURHOOD).items()
        },
    )


def duty_from_database(connection: Connection, duty_id: str, period: Period, now: int) -> Found | None:
    """Reads what a duty is explained from, counted up to the newest position.

    Args:
        connection: outside any transaction.
        duty_id: which duty.
        period: the duty touches it.
        now: microseconds; once the period is over, an open duty is counted to its end at least.

    Returns:
        None where there is none of that name in the period.
    """
    row = connection.execute(
        "select officer_id, start_at, end_at, until_at from duty join officer using (officer) "
        "where duty_id = %s and not cancelled",
        [duty_id],
    ).fetchone()
    if row is None:
        return None
    officer_id, start = str(row[0]), microseconds(row[1])
    until = max(newest_event(connection), start, period.end if now >= period.end else start)
    counted = start if row[3] is None else microseconds(row[3])
    end = min(until, counted) if row[2] is None else microseconds(row[2])
    if start >= period.end or end <= period.start:
        return None
    return from_database(
        connection, start, max(end, start + 1), scope=OFFICER, wanted=officer_id, until=until
    )
