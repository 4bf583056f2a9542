"""The figures of whole local weeks (rules 15, 19, 21), and how they differ: what restatements consist of.

It reads the slices and doubts in the tables as they are. What is on record is elsewhere (``settled``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import FOREVER
from stream.core import calendar
from stream.core.shares import DOUBT_TOTALS, Figures, gather, totals
from stream.core.slices import Slices
from stream.store.columns import copy_out
from stream.store.reading.instant import fetch, first_duty, numbering, read_duties
from stream.store.records import Restated, times
from stream.store.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.store.schema import Connection

WeekFigures = dict[tuple[str, str, str], Figures]
"""Figures of whole weeks by ``(week, scope, id)``."""


def difference(before: WeekFigures, after: WeekFigures) -> Iterator[Restated]:
    """The figures that changed, by week, scope and id, if only in what is doubtful or in having a share."""
    for week, scope, name in sorted(before.keys() | after.keys()):
        was, now = before.get((week, scope, name)), after.get((week, scope, name))
        if _said(was) != _said(now):
            yield Restated(week, scope, name, was, now)


def _said(item: Figures | None) -> tuple[bool, list[int]] | None:
    return None if item is None else (item.has_share, times(item))


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
