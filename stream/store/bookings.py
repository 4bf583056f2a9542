"""Duties, allocations and radio states in the database.

It reads and writes; which revision counts is decided in the core. A counter on each officer's and each
device's row goes up in the transaction that changes them: whoever keeps copies asks for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from geo.matching.history import FOREVER
from stream.core.calendar import moment
from stream.core.facts import Duty, StateReport
from stream.core.slices import booking, newest
from stream.store.reading import instant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from stream.core.policy import Policies
    from stream.store.registry import Registry
    from stream.store.schema import Connection


@dataclass(slots=True)
class BookedOfficer:
    """What an officer is booked for and keyed: duties by key, and states."""

    duties: dict[int, Duty] = field(default_factory=dict)
    states: list[StateReport] = field(default_factory=list)


def lock_officers(connection: Connection, officers: Collection[int]) -> None:
    """Locks officers' rows in the order of their keys until the transaction ends."""
    connection.execute(
        "select from officer where officer = any(%s) order by officer for update", [sorted(officers)]
    )


def read_officers(connection: Connection, officers: Collection[int], since: int) -> dict[int, BookedOfficer]:
    """Duties that end after a time (microseconds), and the states from the first of these duties on.

    Duties that do not count (rules 8 and 8a) end as they were booked.

    Returns:
        by officer's key, duties by duty's key.
    """
    wanted = sorted(officers)
    found: dict[int, BookedOfficer] = {officer: BookedOfficer() for officer in wanted}
    names: dict[str, int] = dict(
        connection.execute(
            "select officer_id, officer from officer where officer = any(%s)", [wanted]
        ).fetchall()
    )
    which = "officer = any(%s) and coalesce(until_at, end_at, 'infinity') > from_us(%s)"
    first: dict[int, int] = {}
    for key, duty in instant.read_duties(connection, which, [wanted, max(since, 0)]).items():
        officer = names[duty.officer_id]
        found[officer].duties[key] = duty
        if since <= 0 or duty.counts:  # of one that does not, from years ago, none is needed
            first[officer] = min(first.get(officer, FOREVER), duty.start)
    if first:
        for officer, *reported in instant.fetch(
            connection,
            f"select officer, officer_id, {instant.us('time')}, state from state "
            "join unnest(%s::int[], %s::int8[]) as w(officer, since) using (officer) "
            "join officer using (officer) where time >= from_us(since)",
            [list(first), list(first.values())],
        ):
            found[officer].states.append(StateReport(*reported))
    return found


def read_duties(connection: Connection, duty_ids: Collection[str]) -> dict[str, tuple[int, int, Duty]]:
    """Duties by ``duty_id`` as they count now: ``(duty's key, officer's key, duty)``."""
    found = instant.read_duties(connection, "duty_id = any(%s)", [sorted(duty_ids)])
    officers: dict[int, int] = dict(
        connection.execute("select duty, officer from duty where duty = any(%s)", [list(found)]).fetchall()
    )
    return {duty.duty_id: (key, officers[key], duty) for key, duty in found.items()}


def duties_of(
    officers: Collection[BookedOfficer], wanted: Collection[int] | None = None
) -> tuple[list[int], list[Duty]]:
    """The duties of officers, all or those behind some keys, by name: their keys, and they themselves."""
    found = sorted(
        (
            (key, duty)
            for item in officers
            for key, duty in item.duties.items()
            if wanted is None or key in wanted
        ),
        key=lambda pair: pair[1].duty_id,
    )
    return [key for key, _ in found], [duty for _, duty in found]


def record_revisions(connection: Connection, duties: Iterable[Duty]) -> None:
    """Keeps every revision as it was received; a repetition changes nothing."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into duty_revision (duty_id, revision, digest, body) values (%s, %s, %s, %s::jsonb) "
            "on conflict do nothing",
            [
                [duty.duty_id, duty.revision, hashlib.sha256(body).hexdigest(), body.decode()]
                for duty in duties
                for body in [msgspec.json.encode(booking(duty))]
            ],
        )


def record_states(
    connection: Connection, states: Iterable[StateReport], officers: Mapping[str, int]
) -> list[StateReport]:
    """Keeps states; gives those that were not known yet."""
    new = []
    for report in states:
        done = connection.execute(
            "insert into state (officer, time, state) values (%s, %s, %s) on conflict do nothing",
            [officers[report.officer_id], moment(report.time), report.state],
        )
        if done.rowcount:
            new.append(report)
    return new


def write_duties(
    connection: Connection, registry: Registry, duties: Sequence[Duty], officers: Mapping[str, int]
) -> None:
    """Writes the revisions that count, with their allocations."""
    touched: set[int] = set()
    for duty in duties:
        [(key,)] = connection.execute(
            "insert into duty "
            "(duty_id, officer, revision, start_at, end_at, patch, cancelled, name, role, team, longest_us) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (duty_id) do update set "
            "officer = excluded.officer, revision = excluded.revision, start_at = excluded.start_at, "
            "end_at = excluded.end_at, patch = excluded.patch, cancelled = excluded.cancelled, "
            "name = excluded.name, role = excluded.role, team = excluded.team, "
            "longest_us = excluded.longest_us returning duty",
            [
                duty.duty_id,
                officers[duty.officer_id],
                duty.revision,
                moment(duty.start),
                None if duty.end is None else moment(duty.end),
                list(duty.patch),
                duty.cancelled,
                duty.name,
                duty.role,
                duty.team,
                duty.longest,
            ],
        ).fetchall()
        connection.execute("insert into slice_end (duty) values (%s) on conflict do nothing", [key])
        gone = connection.execute("delete from allocation where duty = %s returning device", [key]).fetchall()
        touched.update(device for (device,) in gone)
        held = registry.devices(connection, [item.device_id for item in duty.devices]).tolist()
        touched.update(held)
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into allocation (duty, position, device, kind, start_at, end_at) "
                "values (%s, %s, %s, %s, %s, %s)",
                [
                    [
                        key,
                        position,
                        device,
                        item.kind,
                        None if item.start is None else moment(item.start),
                        None if item.end is None else moment(item.end),
                    ]
                    for position, (device, item) in enumerate(zip(held, duty.devices, strict=True))
                ],
            )
    connection.execute("update stay_end set booked = booked + 1 where device = any(%s)", [sorted(touched)])


def raise_counters(connection: Connection, officers: Iterable[int]) -> None:
    """Marks every program's copy of these officers' duties and states as out of date."""
    connection.execute("update officer set facts = facts + 1 where officer = any(%s)", [sorted(officers)])


def counting(known: Duty | None, received: Iterable[Duty], policies: Policies) -> Duty:
    """Of one duty's revisions, stored and received, the one that counts (rules 8 and 8a)."""
    return newest([*([known] if known else []), *received], policies)[0]
