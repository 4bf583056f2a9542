"""What is on record: boundary versions, who published them and why, and all restatements (rule 20).

It reads. Nothing is published, taken back or counted here. Commands, pages and the API all read restatements
by ``restatement_page``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from geo.areas import AreaSet, Kind
from stream.core import calendar
from stream.core.calendar import Period, microseconds
from stream.core.shares import DOUBT_TOTALS, FORCE, NEIGHBOURHOOD, OFFICER, TOTALS, figures_of
from stream.store import areas
from stream.store.reading.instant import fetch, us

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from stream.core.shares import Figures
    from stream.store.schema import Connection

PUBLISHED, WITHDRAWN = "areas published", "areas withdrawn"
FACTS, POLICY = "facts", "policy"
LATER, DUTIES = "later facts", "duties"
MONTH_AGAIN = "month published again"
CAUSES: Final = (LATER, DUTIES, PUBLISHED, WITHDRAWN, FACTS, POLICY, MONTH_AGAIN)
"""Why figures are restated: by facts counted since a week was settled, ``duties`` where these are revised
duties and nothing else; by boundaries; by a recompute, ``policy`` where another policy had counted the
duties; and of a month, because its reports were published again."""


def times(item: Figures) -> list[int]:
    """A figure's sums as they stand on record, microseconds.

    Break, not visible, unknown, on patch, off patch; of on patch the part within priority areas and the
    ambiguous part; ambiguous time off patch or in premises; doubtful time, and of it the parts on patch and
    not that are not ambiguous as well.
    """
    return [
        item.on_break,
        item.not_visible,
        item.unknown,
        item.on_patch,
        item.off_patch,
        item.priority,
        item.ambiguous_on,
        item.ambiguous_off,
        item.doubtful,
        item.only_doubtful_on,
        item.only_doubtful_off,
    ]


@dataclass(frozen=True, slots=True)
class Restated:
    """One figure of one week before and after; None where there was, or is, none.

    Attributes:
        week: like ``2026-W47``; of a month whose reports were published again, like ``2026-10``.
        bounded: ambiguous time was counted, so that there are bounds; not in the oldest records.
        doubted: so was doubtful time.
    """

    week: str
    scope: str
    id: str
    before: Figures | None
    after: Figures | None
    bounded: bool = True
    doubted: bool = True


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version with everything on record about it."""

    version: areas.Version
    why: str | None
    findings: list[Mapping[str, object]]
    withdrawn_at: int | None
    withdrawn_by: str | None
    withdrawn_why: str | None


def records(connection: Connection, *, withdrawn: bool = True) -> list[VersionRecord]:
    """All versions with their records, the oldest first; withdrawn ones only if asked for."""
    said = {
        number: others
        for number, *others in fetch(
            connection,
            f"select version, why, findings, {us('withdrawn')}, withdrawn_by, withdrawn_why "
            "from area_version",
        )
    }
    published = areas.versions(connection, withdrawn=withdrawn)
    return [VersionRecord(item, *said[item.version]) for item in published]


@dataclass(frozen=True, slots=True)
class Restatement:
    """One entry of the record (rule 20); ``version`` is that of the boundaries or policy concerned.

    Attributes:
        since: from when on all was counted again, microseconds.
        restated: figures that it changed.
        figures: how many of them are asked for; on a page ``restated`` may hold only some of these.
    """

    number: int
    cause: str
    version: int | None
    since: int
    recorded_at: int
    recorded_by: str
    why: str
    restated: tuple[Restated, ...]
    figures: int


class RestatedPlace(NamedTuple):
    """The place of a restated figure in the record."""

    number: int
    week: str
    scope: str
    id: str


@dataclass(frozen=True, slots=True)
class RestatementPage:
    """Restatements, the newest first; in each the newest week first, then force, neighbourhoods, officers.

    Attributes:
        following: the last figure's place, where there are more behind it.
        names: of neighbourhoods and officers by scope and id, as they are called last.
    """

    restatements: list[Restatement]
    following: RestatedPlace | None = None
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)


def restatements(
    connection: Connection,
    *,
    since: int | None = None,
    periods: Collection[str] | None = None,
    neighbourhoods: Collection[str] = (),
) -> list[Restatement]:
    """All restatements with the figures that they changed, the oldest first, by week, scope and id.

    Args:
        connection: to the database.
        since: only those recorded from this time on, microseconds.
        periods: only figures of these weeks or months, and restatements that have any; None: of all.
        neighbourhoods: only figures of these, and restatements that have any.
    """
    found = restatement_page(connection, since=since, periods=periods, neighbourhoods=neighbourhoods)
    return in_order(found.restatements)


def periods_asked(week: str | None, month: str | None) -> tuple[str, ...] | None:
    """The weeks and months whose figures are asked for; None: all.

    Args:
        week: only this one; None: any.
        month: only this one, and the weeks that it has days of; None: any.

    Raises:
        ValueError: there is no such week or month.
    """
    weeks = None if week is None else (Period.week(week).name,)
    if month is None:
        return weeks
    both = (*Period.month(month).weeks, month)
    return both if weeks is None else tuple(name for name in both if name in weeks)


def in_order(found: Iterable[Restatement]) -> list[Restatement]:
    """The same restatements the oldest first, and the figures of each by week, scope and id."""
    return [
        replace(item, restated=tuple(sorted(item.restated, key=attrgetter("week", "scope", "id"))))
        for item in sorted(found, key=lambda item: item.number)
    ]


_ASKED = (
    "recorded_at >= coalesce(from_us(%(since)s), '-infinity') "
    "and (%(cause)s::text is null or cause = %(cause)s) "
    "and (%(periods)s::text[] is null or week = any(%(periods)s)) and (%(neighbourhoods)s::text[] = '{}' "
    "or scope = 'neighbourhood' and id = any(%(neighbourhoods)s)) and (%(officers)s or scope <> 'officer') "
    "and (%(ground)s::text[] is null or scope <> 'neighbourhood' or id = any(%(ground)s))"
)
_BEHIND = (
    "and (restatement < %(number)s or restatement = %(number)s and (week < %(week)s or week = %(week)s "
    'and (scope collate "C", id collate "C") > (%(scope)s, %(id)s)))'
)


def restatement_page(
    connection: Connection,
    *,
    since: int | None = None,
    periods: Collection[str] | None = None,
    neighbourhoods: Collection[str] = (),
    cause: str | None = None,
    after: RestatedPlace | None = None,
    limit: int | None = None,
    ground: Collection[str] | None = None,
    officers: bool = True,
) -> RestatementPage:
    """Restatements with the figures that they changed, the newest first: a page of so many figures, or all.

    Args:
        connection: to the database.
        since: only those recorded from this time on, microseconds.
        periods: only figures of these weeks or months, and restatements that have any; None: of all.
        neighbourhoods: only figures of these, and restatements that have any.
        cause: one of ``CAUSES``.
        after: only what comes behind this figure.
        limit: of figures, 1 or more; None: all.
        ground: of neighbourhoods only figures of these; None: of all.
        officers: with figures of officers.
    """
    asked = {
        "since": since,
        "periods": None if periods is None else list(periods),
        "neighbourhoods": list(neighbourhoods),
        "cause": cause,
        "limit": None if limit is None else limit + 1,
        "ground": None if ground is None else list(ground),
        "officers": officers,
        **({} if after is None else after._asdict()),
    }
    changed: dict[int, list[Restated]] = defaultdict(list)
    rows = fetch(
        connection,
        "select restatement, week, scope, id, coalesce(had_share, has_share), has_share, before, after "
        "from restated join restatement using (restatement) "
        f"where {_ASKED} {'' if after is None else _BEHIND} "
        'order by restatement desc, week desc, scope collate "C", id collate "C" limit %(limit)s',
        asked,
    )
    more = limit is not None and len(rows) > limit
    for number, *row in rows[:limit]:
        changed[number].append(_restated(*row))
    found = [
        Restatement(number, cause, version, from_when, at, by, why, tuple(changed[number]), figures)
        for number, cause, version, from_when, at, by, why, figures in fetch(
            connection,
            f"select restatement, cause, version, {us('since')}, {us('recorded_at')}, recorded_by, why, "
            "count(*) from restatement join restated using (restatement) "
            f"where {_ASKED} and restatement = any(%(numbers)s) "
            "group by restatement order by restatement desc",
            asked | {"numbers": list(changed)},
        )
    ]
    last = RestatedPlace(*rows[limit - 1][:4]) if more and limit is not None else None
    return RestatementPage(found, last, _names(connection, chain.from_iterable(changed.values())))


def _names(connection: Connection, restated: Iterable[Restated]) -> dict[tuple[str, str], str]:
    """What neighbourhoods and officers are called last; of those that are no longer there too."""
    ids: dict[str, set[str]] = defaultdict(set)
    for item in restated:
        ids[item.scope].add(item.id)
    texts = {
        NEIGHBOURHOOD: "select distinct on (area_id) area_id, name "
        "from area join area_version using (version) "
        "where kind = 'neighbourhood' and area_id = any(%s) order by area_id, version desc",
        OFFICER: "select distinct on (officer_id) officer_id, name from officer join duty using (officer) "
        "where officer_id = any(%s) order by officer_id, start_at desc, duty desc",
    }
    found = {(FORCE, FORCE): "the force"}
    for scope, text in texts.items():
        named = fetch(connection, text, [sorted(ids[scope])])
        found |= {(scope, name): called for name, called in named if called}
    return found


def _restated(
    week: str,
    scope: str,
    name: str,
    had_share: bool,
    has_share: bool,
    before: Sequence[int | None] | None,
    after: Sequence[int | None] | None,
) -> Restated:
    known = [row for row in (before, after) if row is not None]
    period = Period.called(week)
    was, now = (
        None
        if row is None
        else figures_on_record(row, scope, name, period.start, period.end, has_share=share)
        for row, share in ((before, had_share), (after, has_share))
    )
    return Restated(
        week,
        scope,
        name,
        was,
        now,
        bounded=all(None not in row for row in known),
        doubted=all(len(row) == TOTALS + DOUBT_TOTALS for row in known),
    )


def figures_on_record(
    sums: Sequence[int | None], scope: str, name: str, start: int, end: int, *, has_share: bool = True
) -> Figures:
    """Figures from sums as ``times`` gives them; what an old record did not count is 0."""
    row = np.array([item or 0 for item in sums], np.int64)
    return figures_of(scope, name, start, end, row, has_share=has_share)


@dataclass(frozen=True, slots=True)
class Touched:
    """A neighbourhood that differs between two versions, and whose patch it is in a period.

    Attributes:
        officers: ids of officers with a duty that has it in its patch.
        weeks: local ISO weeks in which they have, like ``2026-W47``.
    """

    area_id: str
    officers: tuple[str, ...]
    weeks: tuple[str, ...]


def touched(
    connection: Connection, area_ids: Sequence[str], start: int, end: int, *, now: int
) -> list[Touched]:
    """Whose patches hold the neighbourhoods asked for, and in which weeks, from the duties that count.

    Args:
        connection: to the database.
        area_ids: neighbourhoods.
        start: microseconds.
        end: exclusive; ``FOREVER`` for no end.
        now: open duties are looked at up to here, microseconds.
    """
    officers: dict[str, set[str]] = {name: set() for name in area_ids}
    weeks: dict[str, set[str]] = {name: set() for name in area_ids}
    for officer, patch, opens, closes, still_on in connection.execute(
        "select officer_id, patch, start_at, until_at, end_at is null from duty "
        "join officer using (officer) where patch && %s::text[] and start_at < from_us(%s) "
        "and until_at > from_us(%s)",
        [list(area_ids), end, start],
    ).fetchall():
        low = max(start, microseconds(opens))
        high = min(end, microseconds(closes))
        high = min(high, max(now, low + 1)) if still_on else high
        names = {calendar.week_name(calendar.local_day(monday)) for monday, _ in calendar.weeks(low, high)}
        for area_id in officers.keys() & set(patch):
            officers[area_id].add(str(officer))
            weeks[area_id] |= names
    return [
        Touched(area_id, tuple(sorted(officers[area_id])), tuple(sorted(weeks[area_id])))
        for area_id in sorted(officers)
        if officers[area_id]
    ]


def in_force_at(connection: Connection, time_us: int, kind: Kind | None = None) -> AreaSet:
    """The areas in force at a time (microseconds), of one kind or of all."""
    chosen = areas.in_force(areas.versions(connection), time_us)
    return AreaSet.union(
        *(areas.read(connection, item.version, item.kind) for item in chosen if kind in (None, item.kind))
    )
