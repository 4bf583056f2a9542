"""The live figures: the duties now running, each from its start to now (rule 15).

Reads only; what is a figure is said in ``stream.core.shares``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from geo.areas import Kind
from stream import clock
from stream.clock import UNKNOWN
from stream.core.facts import SECOND
from stream.core.live.overview import Officers, numbers_of, own_duties, presence
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER, Figures, gather
from stream.store import areas
from stream.store.reading.instant import instant
from stream.store.reading.screen import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.clock import Clock
    from stream.core.facts import Duty
    from stream.core.live.overview import Presence
    from stream.core.policy import Policies
    from stream.settings import Settings
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Live:
    """One live figure with what stands beside it.

    Attributes:
        figures: from the start of the earliest of its own duties to now.
        name: of the neighbourhood or the officer.
        on_duty, on_patch: officers, counted as the live page counts them
        (``stream.core.live.overview.Officers``).
    """

    figures: Figures
    name: str
    target: float
    on_duty: int
    on_patch: int


def newest_event(connection: Connection) -> int:
    """Time of the newest fix counted, microseconds; ``UNKNOWN`` where there is none."""
    [(newest,)] = connection.execute("select max(newest) from stay_end").fetchall()
    return UNKNOWN if newest is None else int(newest)


def present(connection: Connection, settings: Settings, wall: Clock = clock.wall) -> int:
    """What is now by the clock that the settings name, microseconds; see ``stream.clock``."""
    return clock.chosen(settings.clock, lambda: newest_event(connection), wall)()


def live(connection: Connection, now: int, policies: Policies) -> list[Live]:
    """Figures of the force, of every neighbourhood in force, and of the officers on duty.

    Args:
        connection: outside any transaction; all is read as of one instant.
        now: microseconds since 1970.
        policies: their targets, and how old a position may be to be shown.
    """
    with instant(connection):
        found = Reader().standing(connection, now)
        published = areas.in_force(areas.versions(connection), now)
        names = {
            (NEIGHBOURHOOD, area_id): name
            for item in published
            if item.kind == Kind.NEIGHBOURHOOD
            for area_id, name in connection.execute(
                "select area_id, name from area where version = %s", [item.version]
            ).fetchall()
        }
    duties = found.duties
    figures = gather(
        found.table,
        duties,
        range(len(duties)),
        min((duty.start for duty in duties), default=now),
        now,
        neighbourhoods=[name for _, name in names],
        far=found.far,
    )
    names |= {(OFFICER, duty.officer_id): duty.name or duty.officer_id for duty in duties}
    names[FORCE, FORCE] = "the force"
    shown = presence(found.ends, duties, now, int(policies.at(now).max_gap_s * SECOND))
    own = own_duties(duties)
    return [
        _with_officers(item, names, duties, numbers_of(item, own, duties), shown, policies)
        for item in figures
    ]


def _with_officers(
    item: Figures,
    names: dict[tuple[str, str], str],
    duties: Sequence[Duty],
    numbers: Sequence[int],
    shown: Presence,
    policies: Policies,
) -> Live:
    start = min((duties[at].start for at in numbers), default=item.end)
    officers = Officers.of(duties, numbers, shown)
    return Live(
        replace(item, start=start),
        names.get((item.scope, item.id), item.id),
        policies.at(start).target,
        officers.on_duty,
        officers.on_patch,
    )
