"""Publishing boundaries and taking them back, with everything affected recounted and recorded.

One transaction a publication. While it runs nothing is counted, so no second is counted under both
versions or under neither; as soon as it is committed, every worker's next batch uses the new version
(``areas.newest``). Its effect on figures already counted is a *restatement* (rule 20): what changed, when,
why, and each week's figures before and after. A dry run does all of it, and rolls it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Required, TypedDict, Unpack

import numpy as np
import psycopg

from geo.areas import AreaSet, Kind
from geo.matching.history import FOREVER
from stream.core import calendar
from stream.core.calendar import moment
from stream.core.shares import DOUBT_TOTALS, Figures, gather, totals
from stream.core.slices import Slices
from stream.store import areas
from stream.store.columns import copy_out
from stream.store.doubts import judge_within
from stream.store.ledger import Ledger
from stream.store.reading.instant import fetch, first_duty, numbering, read_duties
from stream.store.reading.live import newest_event
from stream.store.records import Restated, times
from stream.store.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.store.schema import Connection

PUBLISHED, WITHDRAWN = "areas published", "areas withdrawn"

WeekFigures = dict[tuple[str, str, str], Figures]
"""Figures of whole weeks by ``(week, scope, id)``."""


class PublicationError(ValueError):
    """A publication that is refused; the message says what to do."""


class Decision(TypedDict, total=False):
    """Who decides on boundaries, and how far it goes.

    Attributes:
        by: who publishes or takes back.
        why: the reason; needed where figures change that were counted already.
        now: microseconds; the week that it lies in is counted up to here.
        dry_run: take everything back in the end; False where it is not said.
    """

    by: Required[str]
    why: Required[str | None]
    now: Required[int]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """The result of a publication, or of taking one back.

    Attributes:
        versions: the versions published or withdrawn.
        since: from when on everything was recounted, microseconds.
        devices: how many devices had fixes after that.
        restatement: its number in the records; None where no figure changed.
        restated: the figures that changed, by week, scope and id.
    """

    versions: tuple[int, ...]
    since: int
    devices: int
    restatement: int | None
    restated: tuple[Restated, ...]


def publish(
    connection: Connection,
    found: AreaSet,
    valid_from: int,
    *,
    file: str,
    sha256: str,
    findings: Sequence[Mapping[str, object]] = (),
    **decision: Unpack[Decision],
) -> Publication:
    """Publishes areas, a version for each kind among them, and recounts what they affect.

    Args:
        connection: to the database.
        found: the areas.
        valid_from: when they come into force, microseconds.
        file: the name of the file they came from.
        sha256: of the file.
        findings: what the checks said, as rows.
        decision: see ``Decision``.

    Raises:
        PublicationError: there are no areas, or figures change and no reason was given; nothing was written.
    """
    kinds = [kind for kind in Kind if kind in found.kind]
    if not kinds:
        raise PublicationError(f"{file}: has no areas that could be published")

    def write() -> tuple[int, ...]:
        numbers = []
        for kind in kinds:
            number = areas.publish(
                connection, found, kind, valid_from, file=file, sha256=sha256, by=decision["by"]
            )
            rows = [row for row in findings if row.get("kind") in (None, kind.value)]
            connection.execute(
                "update area_version set why = %s, findings = %s::jsonb where version = %s",
                [decision["why"], json.dumps(rows, ensure_ascii=False), number],
            )
            numbers.append(number)
        return tuple(numbers)

    return _carry_out(connection, write, valid_from, PUBLISHED, **decision)


def withdraw(connection: Connection, kind: Kind | None = None, **decision: Unpack[Decision]) -> Publication:
    """Takes the newest version (of one kind, or of all) back: it stays readable, and counts for nothing.

    Args:
        connection: to the database.
        kind: which kind's newest version.
        decision: see ``Decision``.

    Raises:
        PublicationError: there is no version to take back, or figures change and no reason was given.
    """
    with connection.transaction():
        areas.hold(connection, publishing=True)
        chosen = [item for item in areas.versions(connection) if kind is None or item.kind == kind]
        if not chosen:
            of = f" of kind {kind}" if kind else ""
            raise PublicationError(f"there is no version{of} to take back; see 'patrol areas list --all'")
        last = chosen[-1]

        def write() -> tuple[int, ...]:
            # The wall clock: two versions withdrawn in one transaction must not look like one.
            connection.execute(
                "update area_version set withdrawn = clock_timestamp(), withdrawn_by = %s, "
                "withdrawn_why = %s where version = %s",
                [decision["by"], decision["why"], last.version],
            )
            return (last.version,)

        return _carry_out(connection, write, last.valid_from, WITHDRAWN, **decision)


def _carry_out(
    connection: Connection,
    write: Callable[[], tuple[int, ...]],
    since: int,
    cause: str,
    **decision: Unpack[Decision],
) -> Publication:
    """Figures before; the change; everything recounted; figures after; the record."""
    by, why, dry_run = decision["by"], decision["why"], decision.get("dry_run", False)
    with connection.transaction() as transaction:
        areas.hold(connection, publishing=True)
        until = max(decision["now"], newest_event(connection))
        judge_within(connection)  # what later facts brought is not this publication's
        before = week_figures(connection, since, until)
        last = _last_number(connection)
        versions = write()
        devices = Ledger(connection).recount(since)
        judge_within(connection)
        after = week_figures(connection, since, until)
        restated = tuple(difference(before, after))
        if restated and not why and not dry_run:
            _give_back(connection, last)
            weeks = sorted({item.week for item in restated})
            raise PublicationError(
                f"{len(restated):,} figures of {_listed(weeks)} would change: say why with --why TEXT "
                "(--dry-run shows them)"
            )
        number = None
        if restated and not dry_run:
            number = record(connection, cause, versions[0], since, by, why or "", restated)
        outcome = Publication(versions, since, devices, number, restated)
        if dry_run:
            _give_back(connection, last)
            raise psycopg.Rollback(transaction)
    return outcome


def _last_number(connection: Connection) -> tuple[int, bool]:
    row = connection.execute("select last_value, is_called from area_version_version_seq").fetchone()
    assert row is not None
    return int(row[0]), bool(row[1])


def _give_back(connection: Connection, last: tuple[int, bool]) -> None:
    """An attempt that fails uses up no numbers: a sequence does not roll back, and nobody else uses it."""
    connection.execute("select setval('area_version_version_seq', %s, %s)", list(last))


def _listed(weeks: Sequence[str]) -> str:
    return f"week {weeks[0]}" if len(weeks) == 1 else f"the {len(weeks)} weeks {weeks[0]} to {weeks[-1]}"


def record(
    connection: Connection,
    cause: str,
    version: int | None,
    since: int,
    by: str,
    why: str,
    restated: Sequence[Restated],
) -> int:
    """Puts a restatement on record (rule 20), with the boundaries or policy concerned; gives its number."""
    row = connection.execute(
        "insert into restatement (cause, version, since, recorded_by, why) values (%s, %s, %s, %s, %s) "
        "returning restatement",
        [cause, version, moment(since), by, why],
    ).fetchone()
    number = int(str(row[0])) if row else 0
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into restated (restatement, scope, id, week, has_share, before, after) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [
                [
                    number,
                    item.scope,
                    item.id,
                    item.week,
                    all(figures.has_share for figures in (item.before, item.after) if figures),
                    *(None if figures is None else times(figures) for figures in (item.before, item.after)),
                ]
                for item in restated
            ],
        )
    return number


def difference(before: WeekFigures, after: WeekFigures) -> Iterator[Restated]:
    """The figures that changed, if only in what is doubtful, by week, scope and id."""
    for week, scope, name in sorted(before.keys() | after.keys()):
        was, now = before.get((week, scope, name)), after.get((week, scope, name))
        if (was and times(was)) != (now and times(now)):
            yield Restated(week, scope, name, was, now)


def week_figures(connection: Connection, since: int, until: int) -> WeekFigures:
    """The figures of every scope for each local week from the one that a time lies in (rules 15, 19, 21).

    What is doubtful is as it was judged last (``stream.store.doubts``).

    Args:
        connection: to the database.
        since: microseconds.
        until: open duties and the last week are counted up to here, microseconds.
    """
    found: WeekFigures = {}
    for week in week_tables(connection, since, until):
        found |= week.figures(week.table)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class WeekTable:
    """The sums that a local week's figures are made of.

    Attributes:
        name: like ``2026-W47``.
        start: Monday 00:00, microseconds.
        end: the next, or until when it is counted.
        keys: of the duties, as many.
        duties: those that count.
        table: ``int64[duties, TOTALS + DOUBT_TOTALS]``.
    """

    name: str
    start: int
    end: int
    keys: list[int]
    duties: list[Duty]
    table: NDArray[np.int64]

    def figures(
        self, table: NDArray[np.int64], present: Mapping[int, bool] | None = None
    ) -> dict[tuple[str, str, str], Figures]:
        """The figures of the whole week that these sums, or others of the same duties, make.

        Args:
            table: as ``table``.
            present: of duties by their keys, whether any time of them counted in the week, where that was
                another than now.

        Returns:
            by week, scope and id; none at all where no duty is in the week.
        """
        said = present or {}
        inside = [
            number
            for number, (key, duty) in enumerate(zip(self.keys, self.duties, strict=True))
            if said.get(key, duty.is_in(self.start, self.end)) or table[number].any()
        ]
        if not inside:
            return {}
        whole = calendar.week_bounds(self.name)
        return {(self.name, item.scope, item.id): item for item in gather(table, self.duties, inside, *whole)}


def week_tables(
    connection: Connection,
    since: int,
    until: int,
    *,
    before: int | None = None,
    also: Collection[int] = (),
) -> Iterator[WeekTable]:
    """The sums of each local week from the one that a time lies in.

    Args:
        connection: to the database.
        since: microseconds.
        until: open duties and the last week are counted up to here, microseconds.
        before: only weeks that begin before this time, and those without duties too.
        also: keys of duties that are among them wherever they end by now, unless they are cancelled.
    """
    if before is None:
        first = first_duty(connection)
        since = FOREVER if first is None else max(since, first)
    last = until if before is None else min(until, before)
    if since >= last:
        return
    bounds = list(calendar.weeks(since, last))
    low, high = bounds[0][0], bounds[-1][1]
    registry = Registry()
    places = registry.places(connection, ())
    booked = read_duties(
        connection,
        # What counts for nothing now may have counted before, by another policy.
        "not cancelled and (coalesce(until_at, end_at) > from_us(%s) or duty = any(%s)) order by duty_id",
        [low, list(also)],
        devices=None,
    )
    keys, duties = list(booked), list(booked.values())
    duty, start, end, activity, state, place = copy_out(
        connection,
        "select s.duty, s.start_at, s.end_at, activity, state, coalesce(place, -1) from slices s "
        "join duty d on d.duty = s.duty and not d.cancelled "
        f"where s.end_at > from_us({int(low)}) and s.start_at < from_us({int(high)})",
        ["int4", "time", "time", "int2", "int2", "int4"],
    )
    counted = Slices(
        numbering(keys)[duty],
        start,
        end,
        activity.astype(np.int8),
        state,
        registry.to_numbers(place),
        np.full(len(duty), -1, np.int32),
    )
    for opens, closes in _touched(bounds, duties) if before is None else bounds:
        week = calendar.week_name(calendar.local_day(opens))
        stop = min(closes, until)
        sums = totals(counted, duties, places, opens, stop)
        found = doubtful(connection, opens, stop)
        none = (0,) * DOUBT_TOTALS
        doubt = np.array([found.get(key, none) for key in keys], np.int64).reshape(-1, DOUBT_TOTALS)
        yield WeekTable(week, opens, stop, keys, duties, np.hstack([sums, doubt]))


def _touched(bounds: Sequence[tuple[int, int]], duties: Sequence[Duty]) -> list[tuple[int, int]]:
    """The weeks in which any duty counts: a mistyped year makes no others."""
    duties = [duty for duty in duties if duty.counts]
    opens = np.array([start for start, _ in bounds], np.int64)
    first = np.searchsorted(opens, [duty.start for duty in duties], side="right") - 1
    last = np.searchsorted(opens, np.array([duty.until for duty in duties], np.int64) - 1, side="right")
    steps = np.zeros(len(bounds) + 1, np.int64)
    np.add.at(steps, np.maximum(first, 0), 1)
    np.add.at(steps, np.maximum(last, 1), -1)
    return [bounds[at] for at in np.flatnonzero(np.cumsum(steps)[:-1]).tolist()]


def doubtful(
    connection: Connection, start: int, end: int, duties: Sequence[int] | None = None
) -> dict[int, tuple[int, ...]]:
    """Doubtful time of a period as it was judged last: the columns of ``doubt_totals`` by duty's key.

    Args:
        connection: to the database.
        start: microseconds.
        end: microseconds, exclusive.
        duties: keys; only these.
    """
    return {
        duty: tuple(sums)
        for duty, *sums in fetch(
            connection,
            "select duty, doubtful, doubtful_on, doubtful_off from doubtful_times(from_us(%s), from_us(%s)) "
            "where %s::int[] is null or duty = any(%s)",
            [start, end, *[None if duties is None else list(duties)] * 2],
        )
    }
