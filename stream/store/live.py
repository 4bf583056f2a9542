"""The live figures: the duties now running, each from its start to now (rule 15).

A shell that only reads; what is a figure is said in ``stream.shares``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.areas import Kind
from geo.history import FOREVER
from stream.facts import SECOND, Duty
from stream.shares import FORCE, NEIGHBOURHOOD, OFFICER, TOTALS, Figures, gather, totals
from stream.slices import ON_PATCH, UNSEEN, Slices
from stream.store import areas
from stream.store.registry import Registry
from stream.store.tracks import SLICES, closed, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.policy import Policies
    from stream.store.schema import Connection
    from stream.windows import Rows


@dataclass(frozen=True, slots=True)
class Live:
    """One live figure with what stands beside it.

    Attributes:
        figures: from the start of the earliest of its own duties to now.
        name: of the neighbourhood or the officer.
        on_duty: officers now on duty.
        on_patch: those whose newest stay, not older than ``max_gap``, is on their patch (provisional,
            rule 4).
    """

    figures: Figures
    name: str
    target: float
    on_duty: int
    on_patch: int


def newest_event(connection: Connection) -> int:
    """Time of the newest fix counted, microseconds; minus ``FOREVER`` where there is none."""
    [(newest,)] = connection.execute("select max(newest) from stay_end").fetchall()
    return -FOREVER if newest is None else int(newest)


def live(connection: Connection, now: int, policies: Policies) -> list[Live]:
    """Figures of the force, of every neighbourhood in force, and of the officers on duty.

    Args:
        connection: outside any transaction; all is read as of one instant.
        now: microseconds since 1970.
        policies: their targets, and how old a position may be to be shown.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        found = (
            connection.cursor(binary=True)
            .execute(
                "select duty_id, officer_id, (extract(epoch from start_at) * 1000000)::int8, "
                "(extract(epoch from end_at) * 1000000)::int8, patch, coalesce(name, officer_id), "
                "slices, settled, duty, closed "
                "from duty join officer using (officer) join slice_end using (duty) "
                "where not cancelled and start_at <= from_us(%s) "
                "and (end_at is null or end_at > from_us(%s)) order by duty_id",
                [now, now],
            )
            .fetchall()
        )
        registry = Registry()
        places = registry.places(connection, ())
        # Device clocks may be ahead: what is settled behind now does not count yet.
        early = np.array([number for number, row in enumerate(found) if row[9] > now], np.int64)
        ahead = closed(
            connection,
            SLICES,
            np.array([found[number][8] for number in early.tolist()], np.int32),
            np.full(len(early), now, np.int64),
            np.full(len(early), FOREVER, np.int64),
        )
        published = areas.in_force(areas.versions(connection), now)
        names = {
            (NEIGHBOURHOOD, area_id): name
            for item in published
            if item.kind == Kind.NEIGHBOURHOOD
            for area_id, name in connection.execute(
                "select area_id, name from area where version = %s", [item.version]
            ).fetchall()
        }
    duties = [Duty(row[0], 0, row[1], row[2], row[3], tuple(row[4]), name=row[5]) for row in found]
    ends = _slices(unpack(SLICES, [row[6] for row in found]), registry)
    later = _slices((early[ahead[0]], *ahead[1:]), registry)
    table = np.array([row[7] for row in found], np.int64).reshape(-1, TOTALS)
    table = table + totals(ends, duties, places, -FOREVER, now)
    table -= totals(later, duties, places, now, FOREVER)
    names |= {(OFFICER, duty.officer_id): duty.name or duty.officer_id for duty in duties}
    names[FORCE, FORCE] = "the force"
    here = _on_patch_now(ends, duties, now, policies)
    figures = gather(
        table,
        duties,
        range(len(duties)),
        min((duty.start for duty in duties), default=now),
        now,
        neighbourhoods=[name for scope, name in names if scope == NEIGHBOURHOOD],
    )
    return [_with_officers(item, names, duties, here, policies) for item in figures]


def _slices(rows: Rows, registry: Registry) -> Slices:
    return Slices(
        rows[0].astype(np.int32),
        rows[1],
        rows[2],
        rows[3].astype(np.int8),
        rows[4],
        registry.to_numbers(rows[5]),
        rows[6],
    )


def _on_patch_now(ends: Slices, duties: Sequence[Duty], now: int, policies: Policies) -> set[str]:
    """Officers whose newest known slice is on patch and not too old to be shown (rule 4)."""
    patience = int(policies.at(now).max_gap_s * SECOND)
    shown = np.flatnonzero((ends.start <= now) & (ends.end > now - patience) & (ends.activity != UNSEEN))
    # In order of time: of a duty's slices the newest stays.
    current = dict(zip(ends.duty[shown].tolist(), ends.activity[shown].tolist(), strict=True))
    return {duties[number].officer_id for number, activity in current.items() if activity == ON_PATCH}


def _with_officers(
    item: Figures,
    names: dict[tuple[str, str], str],
    duties: Sequence[Duty],
    here: set[str],
    policies: Policies,
) -> Live:
    if item.scope == OFFICER:
        own = [duty for duty in duties if duty.officer_id == item.id and bool(duty.patch) == item.has_share]
    elif item.scope == FORCE:
        own = [duty for duty in duties if duty.patch]
    else:
        own = [duty for duty in duties if item.id in duty.patch]
    who = {duty.officer_id for duty in own}
    start = min((duty.start for duty in own), default=item.end)
    return Live(
        replace(item, start=start),
        names.get((item.scope, item.id), item.id),
        policies.at(start).target,
        len(who),
        len(who & here),
    )
