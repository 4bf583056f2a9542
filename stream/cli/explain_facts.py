"""What ``patrol explain`` and ``patrol teams`` look at: from files, or just so much of the database.

A shell that only reads. An explanation needs the whole duties behind its figure and nothing else, so of the
database only these are read, however many years it holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from geo.history import FOREVER
from stream.calendar import microseconds, moment
from stream.explanation import cut_open
from stream.facts import Duty
from stream.policy import BEGINNING
from stream.shares import FORCE, NEIGHBOURHOOD, OFFICER
from stream.slices import Slices
from stream.wording import Basis, moment_words, officer_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.places import Place
    from stream.events import Reject
    from stream.policy import Policies
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Whole duties with their slices, and what they rest on.

    Attributes:
        slices: of all duties that touch the period, and perhaps of others; no open ends.
        duties, places, device_ids: what the slices' numbers point at.
        until: up to when open duties are counted, microseconds.
        boundaries_from: since when there are boundaries, microseconds.
        basis: names, and what figures rest on.
        booked: the first and the last start of a duty of whom was asked about, ever; None: there is none.
        left_out: what could not be used, in lines.
    """

    slices: Slices
    duties: Sequence[Duty]
    places: Sequence[Place]
    device_ids: Sequence[str]
    until: int
    boundaries_from: int
    basis: Basis
    booked: tuple[int, int] | None
    left_out: tuple[str, ...] = ()


def from_files(
    areas: Sequence[str],
    positions: Sequence[Path],
    duties: Path,
    states: Path | None,
    policies: Policies,
    *,
    scope: str,
    wanted: str,
    until: int | None,
) -> Found:
    """Reads and counts the files of ``patrol account``.

    Raises:
        AccountError, AreaFileError, TracksError, OSError: a file cannot be read or used.
    """
    from stream.account import account, doubts, read

    facts = read(areas, positions, duties, states, policies)
    done = account(facts, policies, until=until)
    starts = [duty.start for duty in done.duties if is_of(duty, scope, wanted)]
    newest = int(facts.fixes.time.max()) if len(facts.fixes) else None
    return Found(
        cut_open(done.slices, done.until),
        done.duties,
        done.history.places,
        facts.fixes.device_ids,
        done.until,
        BEGINNING,
        Basis(
            area_names(facts.areas, *(found for _, found in facts.later)) | officer_names(done.duties),
            tuple(PurePath(item).name for item in areas),
            newest,
        ),
        (min(starts), max(starts)) if starts else None,
        (*left_out_lines(facts.rejects), *doubts(facts)),
    )


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
    from stream.store.live import newest_event
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
        Basis(
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


def area_names(*sets: AreaSet) -> dict[tuple[str, str], str]:
    """The areas' names by ``(kind, id)``; of several versions the last one's."""
    return {
        (kind.value, area_id): name
        for areas in sets
        for kind, area_id, name in zip(areas.kind, areas.area_id, areas.name, strict=True)
    }


def left_out_lines(rejects: Mapping[str, Sequence[Reject]]) -> tuple[str, ...]:
    """What of each file could not be used and why, a line a file."""
    found = []
    for name, items in rejects.items():
        reasons = sorted(Counter(str(item.reason) for item in items).items())
        if reasons:
            found.append(f"{name}: left out {', '.join(f'{count} {reason}' for reason, count in reasons)}")
    return tuple(found)


def is_of(duty: Duty, scope: str, wanted: str) -> bool:
    """Whether a duty is an officer's, a neighbourhood's or the force's."""
    if duty.cancelled:
        return False
    if scope == OFFICER:
        return duty.officer_id == wanted
    return bool(duty.patch) if scope == FORCE else wanted in duty.patch


def _renumber(keys: Sequence[int]) -> NDArray[np.int32]:
    """Database keys → positions, as a table to index; -1 stays -1."""
    table = np.full(max(keys, default=-1) + 2, -1, np.int32)
    table[list(keys)] = np.arange(len(keys), dtype=np.int32)
    return table
