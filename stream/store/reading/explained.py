"""What ``patrol explain`` and ``patrol teams`` look at: from files, or just so much of the database.

A shell that only reads. An explanation needs the whole duties behind its figure and nothing else, so of the
database only these are read, however many years it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core.calendar import microseconds, moment
from stream.core.explaining.explanation import cut_open
from stream.core.explaining.parts import Found, area_names
from stream.core.explaining.wording import Named, moment_words, officer_names
from stream.core.facts import Duty
from stream.core.policy import BEGINNING
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER
from stream.core.slices import Slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
    from stream.store import areas, bookings
    from stream.store.columns import copy_out, literal
    from stream.store.reading.live import newest_event
    from stream.store.registry import Registry

    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
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
        keys = connection.execute(
            f"select distinct officer, duty from duty join officer using (officer) "
            f"where not cancelled and start_at < %(end)s and (end_at is null or end_at > %(start)s) "
            f"and {mine}".encode(),
            {"wanted": wanted, "start": moment(start), "end": moment(end)},
        ).fetchall()
        inside = {duty for _, duty in keys}
        officers = bookings.read_officers(connection, {officer for officer, _ in keys}, start)
        duties = sorted(
            ((key, duty) for item in officers.values() for key, duty in item.duties.items() if key in inside),
            key=lambda pair: pair[1].duty_id,
        )
        registry = Registry()
        places = registry.places(connection, ())
        devices = connection.execute("select device, device_id from device order by device_id").fetchall()
        duty, begins, ends, activity, state, place, device = copy_out(
            connection,
            "select duty, start_at, end_at, activity, state, coalesce(place, -1), coalesce(device, -1) "
            f"from slices where duty = any({literal(np.array([key for key, _ in duties], np.int64))})",
            ["int4", "time", "time", "int2", "int2", "int4", "int4"],
        )
        published = areas.versions(connection)
        chosen = [
            item
            for item in published
            if start < item.valid_from < end or item in areas.in_force(published, start)
        ]
        sets = [areas.read(connection, item.version, item.kind) for item in chosen]
    number = _renumber([key for key, _ in duties])[duty]
    order = np.lexsort((begins, number))
    device_number = _renumber([key for key, _ in devices])
    found = Slices(
        number[order],
        begins[order],
        ends[order],
        activity[order].astype(np.int8),
        state[order],
        registry.to_numbers(place)[order],
        device_number[device][order],
    )
    return Found(
        cut_open(found, until),
        [duty for _, duty in duties],
        places,
        [name for _, name in devices],
        until,
        min((item.valid_from for item in published), default=FOREVER),
        Named(
            area_names(*sets) | officer_names(duty for _, duty in duties),
            tuple(
                f"{item.kind.value} version {item.version}"
                + ("" if item.valid_from <= BEGINNING else f" from {moment_words(item.valid_from)}")
                for item in chosen
            ),
            None if newest == -FOREVER else newest,
        ),
        None if booked[0] is None else (microseconds(booked[0]), microseconds(booked[1])),
    )


def all_duties(connection: Connection) -> list[Duty]:
    """All duties of the database without their devices, as team facts need them."""
    return [
        Duty(
            duty_id,
            revision,
            officer_id,
            microseconds(start),
            None if end is None else microseconds(end),
            cancelled=cancelled,
            name=name,
            team=team,
        )
        for duty_id, revision, officer_id, start, end, cancelled, name, team in connection.execute(
            "select duty_id, revision, officer_id, start_at, end_at, cancelled, name, team "
            "from duty join officer using (officer)"
        )
    ]


def _renumber(keys: Sequence[int]) -> NDArray[np.int32]:
    """Database keys → positions, as a table to index; -1 stays -1."""
    table = np.full(max(keys, default=-1) + 2, -1, np.int32)
    table[list(keys)] = np.arange(len(keys), dtype=np.int32)
    return table
