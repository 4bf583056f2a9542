"""The record of restatements (rule 20), and settled weeks, of whose figures it says everything.

A week is *settled* from when its reports are first about to be published. From then on ``settled`` has its
figures as they are on record: every restatement of such a week begins where the one before it ended, and the
last one ends at what the tables say.

Whoever counts marks, in the same transaction, the facts that reach into a settled week (``restatement_due``).
A little later one elected worker compares the figures of these weeks with those on record. A mark only says
where to look, and what to name as the reason: where nothing differs nothing is written, and what was
overlooked is found with the next mark of that week. Marks are taken away by the transaction that writes the
restatement and has seen what they stand for, so killed at any instant each change is on record once.

Publications and recomputes put on record what they change themselves; what later facts changed before is put
on record first, as a restatement of its own.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from geo.matching.history import FOREVER
from stream.core import calendar
from stream.core.calendar import LOCAL, moment
from stream.core.shares import DOUBT_TOTALS, OFFICER
from stream.store import areas
from stream.store.doubts import judge_due
from stream.store.late import MARK, Mark
from stream.store.reading.instant import fetch, scalars, us
from stream.store.records import DUTIES, FACTS, LATER, POLICY, Restated, figures_on_record, times
from stream.store.schema import Lock, alone, lock
from stream.store.week_figures import difference, doubtful, week_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stream.store.schema import Connection
    from stream.store.week_figures import WeekFigures, WeekTable

WORKER: Final = "worker"
"""Who restates what later facts changed, for the record."""

NAMED: Final = 6
"""So many facts are named as the reason of a restatement; of the rest it is said how many they are."""


# ── the record ────────────────────────────────────────────────────────────────────────────────────────────


def record(
    connection: Connection,
    cause: str,
    version: int | None,
    since: int,
    by: str,
    why: str,
    restated: Sequence[Restated],
    now: int | None = None,
) -> int:
    """Puts a restatement on record (rule 20), with the boundaries or policy concerned; gives its number.

    It is recorded now by the server's clock, or at the time given (microseconds).
    """
    row = connection.execute(
        "insert into restatement (cause, version, since, recorded_by, why, recorded_at) "
        "values (%s, %s, %s, %s, %s, coalesce(from_us(%s), now())) returning restatement",
        [cause, version, moment(since), by, why, now],
    ).fetchone()
    number = int(str(row[0])) if row else 0
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into restated (restatement, scope, id, week, had_share, has_share, before, after) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                [
                    number,
                    item.scope,
                    item.id,
                    item.week,
                    *(
                        figures.has_share
                        for figures in (item.before or item.after, item.after or item.before)
                        if figures is not None
                    ),
                    *(None if figures is None else times(figures) for figures in (item.before, item.after)),
                ]
                for item in restated
            ],
        )
    _accept(connection, restated)
    return number


def _accept(connection: Connection, restated: Sequence[Restated]) -> None:
    """Of settled weeks, what is on record now."""
    known = _settled(connection, {item.week for item in restated})
    rows = [item for item in restated if item.week in known]
    with connection.cursor() as cursor:
        cursor.executemany(
            "delete from settled where week = %s and scope = %s and id = %s",
            [[item.week, item.scope, item.id] for item in rows],
        )
    _write(connection, {(item.week, item.scope, item.id): item.after for item in rows if item.after})


def _settled(connection: Connection, weeks: Iterable[str]) -> set[str]:
    return set(
        scalars(
            connection,
            "select week from settled_week where week = any(%s) and settled_at is not null",
            [sorted(weeks)],
        )
    )


def _write(connection: Connection, figures: WeekFigures) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into settled (week, scope, id, has_share, times) values (%s, %s, %s, %s, %s)",
            [[*key, item.has_share, times(item)] for key, item in figures.items()],
        )


def on_record(connection: Connection, week: str) -> WeekFigures:
    """The figures of a settled week as they are on record."""
    bounds = calendar.week_bounds(week)
    return {
        (week, scope, name): figures_on_record(sums, scope, name, *bounds, has_share=has_share)
        for scope, name, has_share, sums in fetch(
            connection, "select scope, id, has_share, times from settled where week = %s", [week]
        )
    }


# ── settling a week ───────────────────────────────────────────────────────────────────────────────────────


def settle(connection: Connection, weeks: Iterable[str]) -> None:
    """Settles weeks that are not.

    First it is said that they will be, while nobody counts, so that every batch from then on marks what
    reaches into them; then their figures are kept, and whatever is counted meanwhile is in them or marked.

    Args:
        connection: outside any transaction.
        weeks: local ISO weeks that are over, like ``2026-W47``.
    """
    wanted = sorted(weeks)
    new = sorted(set(wanted) - _settled(connection, wanted))
    if not new:
        return
    with connection.transaction():
        areas.hold(connection, publishing=True)
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into settled_week (week, end_at) values (%s, from_us(%s)) on conflict do nothing",
                [[week, calendar.week_bounds(week)[1]] for week in new],
            )
    judge_due(connection)
    for week in new:
        with alone(connection, Lock.RESTATEMENTS), connection.transaction():
            connection.execute("set transaction isolation level repeatable read")
            if not _settled(connection, [week]):
                _, end = calendar.week_bounds(week)
                risen = notes(connection, end, week).get(week, {})
                _write(connection, _as_it_is(connection, week, risen))
                connection.execute("update settled_week set settled_at = now() where week = %s", [week])


def _as_it_is(connection: Connection, week: str, risen: Mapping[int, Rise]) -> WeekFigures:
    """A week's figures as the tables say, less what a recompute that has not ended yet changed."""
    start, end = calendar.week_bounds(week)
    [found] = week_tables(connection, start, end, before=end, also=list(risen))
    return _steps(found, risen)[0]


# ── what later facts changed ──────────────────────────────────────────────────────────────────────────────


def restate_due(connection: Connection, now: int | None = None) -> int:
    """Puts on record what later facts changed in settled weeks; gives how many figures that were.

    Weeks whose reports were published by a program that settled none are settled first.

    Args:
        connection: outside any transaction.
        now: when it is recorded, microseconds; None: by the server's clock.

    Raises:
        psycopg.Error: the database refused or went away.
    """
    settle(
        connection,
        scalars(
            connection,
            "select distinct period from report where kind = 'week' "
            "and not exists (select from settled_week where week = period and settled_at is not null)",
        ),
    )
    if not scalars(connection, "select 1 where exists (select from restatement_due)"):
        return 0
    judge_due(connection)
    with alone(connection, Lock.RESTATEMENTS), connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        return restate(connection, now)


def restate_within(connection: Connection) -> None:
    """The same in the caller's transaction, in which nobody counts, before it changes figures itself.

    What a recompute that has not ended yet has changed so far is put on record too.
    """
    lock(connection, Lock.RESTATEMENTS)
    restate(connection)
    run = fetch(connection, f"select {us('until_at')}, edition, begun_by, why from recompute_run")
    until, edition, by, why = run[0] if run else (FOREVER, None, WORKER, "a recompute that was broken off")
    record_notes(connection, until, by=by, why=why, edition=edition)


def restate(connection: Connection, now: int | None = None) -> int:
    """The same, in a transaction that sees one instant or in which nobody counts; it has the lock."""
    rows = fetch(
        connection,
        f"select mark, {MARK} from restatement_due order by mark",
    )
    if not rows:
        return 0
    marks = [Mark(*row[1:]) for row in rows]
    count = 0
    for week in scalars(
        connection,
        "select week from settled_week where settled_at is not null "
        "and end_at > (select min(start_at) from restatement_due) order by week",
    ):
        start, end = calendar.week_bounds(week)
        reasons = [item for item in marks if item.low < end and item.high > start]
        if reasons:
            risen = notes(connection, end, week).get(week, {})
            count += _restate_week(connection, week, _as_it_is(connection, week, risen), reasons, now)
    connection.execute("delete from restatement_due where mark = any(%s)", [[row[0] for row in rows]])
    return count


def _restate_week(
    connection: Connection, week: str, figures: WeekFigures, marks: Sequence[Mark], now: int | None = None
) -> int:
    """Puts on record where a settled week's figures are not those on record; gives how many."""
    restated = list(difference(on_record(connection, week), figures))
    if restated:
        officers = {item.id for item in restated if item.scope == OFFICER}
        found = [item for item in marks if item.officer in officers] or list(marks)
        cause = DUTIES if found and all(item.kind == "duty" for item in found) else LATER
        record(connection, cause, None, calendar.week_bounds(week)[0], WORKER, reason(found), restated, now)
    return len(restated)


def reason(marks: Iterable[Mark]) -> str:
    """The facts in a sentence's part: ``positions of 2345678 from 2026-11-22 23:50 to 2026-11-23 00:10``."""
    spans: dict[tuple[str, str, int | None], tuple[int, int]] = {}
    for item in marks:
        key = item.kind, item.name, item.revision
        low, high = spans.get(key, (item.first, item.last))
        spans[key] = min(low, item.first), max(high, item.last)
    facts = {key: span for key, span in spans.items() if key[0] != "doubt"} or spans
    words = []
    for (kind, name, revision), (low, high) in sorted(facts.items(), key=lambda pair: pair[1]):
        start, end = (f"{moment(time).astimezone(LOCAL):%Y-%m-%d %H:%M}" for time in (low, high))
        words.append(
            {
                "positions": f"positions of {name} from {start} to {end}",
                "state": f"a state of officer {name} from {start}",
                "duty": f"revision {revision} of duty {name}",
                "doubt": f"duty {name} judged again for contradictions (rule 21)",
            }[kind]
        )
    more = len(words) - NAMED
    return "; ".join(words[:NAMED]) + (f"; and {more:,} more" if more > 0 else "") or "facts counted since"


# ── what a recompute changed ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rise:
    """What counting a duty again changed of a week.

    Attributes:
        cause: ``facts`` or ``policy``.
        times: by how much each sum rose, doubtful time too; microseconds.
        present: whether any of it counted in the week before; None: as now.
    """

    cause: str
    times: tuple[int, ...]
    present: bool | None


def _steps(found: WeekTable, risen: Mapping[int, Rise]) -> tuple[WeekFigures, WeekFigures, WeekFigures]:
    """A week's figures before, as other facts alone make them, and as the policy makes them too."""
    passed, table = [found.figures(found.table)], found.table.copy()
    present: dict[int, bool] = {}
    for cause in (POLICY, FACTS):
        for row, key in enumerate(found.keys):
            rise = risen.get(key)
            if rise is not None and rise.cause == cause:
                table[row] -= rise.times
                if rise.present is not None:
                    present[key] = rise.present
        passed.append(found.figures(table, present))
    now, facts, before = passed
    return before, facts, now


def notes(connection: Connection, until: int, week: str | None = None) -> dict[str, dict[int, Rise]]:
    """What the notes of a recompute say by week and duty's key, of the duties for which that is something.

    Args:
        connection: in a transaction that sees one instant, or in which nobody counts.
        until: open duties and the last week are looked at up to here, microseconds.
        week: only this one.
    """
    found: dict[str, dict[int, Rise]] = {}
    weeks: dict[str, list[Any]] = defaultdict(list)
    for name, *said in fetch(
        connection,
        "select week, r.duty, times, doubtful, present, exists ("
        f"select from policy_outdated o where o.duty = r.duty), {us('start_at')}, "
        f"case when not cancelled then {us('until_at')} end from recomputed r left join duty d using (duty) "
        "where %s::text is null or week = %s",
        [week, week],
    ):
        weeks[name].append(said)
    for name, rows in weeks.items():
        start, end = calendar.week_bounds(name)
        now = doubtful(connection, start, min(end, until), [duty for duty, *_ in rows])
        for duty, rise, before, present, older, opens, closes in rows:
            after = now.get(duty, (0,) * DOUBT_TOTALS)
            more = [a - b for a, b in zip(after, after if before is None else before, strict=True)]
            there = closes is not None and max(opens, start) < min(closes, end, until)
            if any(rise) or any(more) or present not in (None, there):
                found.setdefault(name, {})[duty] = Rise(POLICY if older else FACTS, (*rise, *more), present)
    return found


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What a recompute, and any before it that was broken off, amounted to, for one cause.

    Attributes:
        restatement: its number in the records.
        restated: the figures that changed, by week, scope and id.
        cause: ``facts``, or ``policy`` where another policy had counted the duties.
    """

    restatement: int
    restated: tuple[Restated, ...]
    cause: str = FACTS


def record_notes(
    connection: Connection, until: int, *, by: str, why: str, edition: int | None, since: int = FOREVER
) -> tuple[Recomputed, ...]:
    """Puts on record what the notes of a recompute say, and takes them away: a restatement for each cause.

    Of both causes, the facts come first: the policy's restatement begins where theirs ends.

    Args:
        connection: in a transaction that sees one instant, or in which nobody counts; it has the lock.
        until: as for ``notes``.
        by: who recomputes.
        why: the reason.
        edition: the newest policy on record when it began.
        since: the start of what was counted again, microseconds.

    Returns:
        those with figures that changed.
    """
    found = notes(connection, until)
    connection.execute("delete from recomputed")
    restated: dict[str, list[Restated]] = {FACTS: [], POLICY: []}
    settled = _settled(connection, found)
    for week, risen in sorted(found.items()):
        start, end = calendar.week_bounds(week)
        since = min(since, start)
        for table in week_tables(connection, start, until, before=end, also=list(risen)):
            passed = _steps(table, risen)
            if week in settled:
                _restate_week(connection, week, passed[0], ())
            for cause, was, now in zip((FACTS, POLICY), passed, passed[1:], strict=False):
                restated[cause] += difference(was, now)
    return tuple(
        Recomputed(
            record(connection, cause, edition if cause == POLICY else None, since, by, why, items),
            tuple(items),
            cause,
        )
        for cause, items in restated.items()
        if items
    )
