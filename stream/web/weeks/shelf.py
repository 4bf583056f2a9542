"""Summaries for the weekly pages: as they were published, or counted now, and what their numbers are made of.

A shell that only reads. Requests are answered by threads, a few at a time, each over a connection of its own
that is kept for the next one: whoever counts a week does not keep others from reading a published one.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import psycopg

from geo.matching.history import FOREVER
from stream.core.calendar import WEEK, Period, local_day, microseconds, moment
from stream.core.shares import NEIGHBOURHOOD, OFFICER, Figures
from stream.core.stays import Stays
from stream.core.summaries.counting import in_force, neighbourhoods, summarise
from stream.core.summaries.details import Vehicles, duty_sheet
from stream.core.summaries.model import Past, Summary, decode, encode
from stream.reports import force
from stream.settings import EVENTS
from stream.store import areas, bookings, reports
from stream.store.reading.explained import from_database
from stream.store.reading.live import newest_event
from stream.store.reading.summaries import numbering, past_figures, places_of, record_of, stays_of
from stream.store.schema import connect, require
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from stream.core.explaining.parts import Found as Found_
    from stream.core.policy import Policies
    from stream.core.summaries.counting import SummaryFacts
    from stream.core.summaries.details import DutySheet
    from stream.core.summaries.model import FigureChange
    from stream.settings import Settings
    from stream.store.reports import Entry
    from stream.store.schema import Connection

    Found = TypeVar("Found")

AT_ONCE = 4
"""So many questions are asked of the database at once; others wait for their turn."""

WAITING = 16
"""So many may wait for their turn; who comes then is asked to come again, lest all threads stand here."""

KEPT = 4_000
"""Of so many published reports what the force's page says is kept: they never change."""

COUNTING = 1
"""So many of them may count: it is work for a processor, of which the live page wants its part."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A summary and where it is from.

    Attributes:
        entry: of the published report; None: it was counted now.
        document: the summary as it is stored.
        newest: the newest published number; None: there is none.
    """

    summary: Summary
    document: bytes
    entry: Entry | None
    newest: Entry | None


@dataclass(frozen=True, slots=True, eq=False)
class ShelfLine:
    """A neighbourhood in the force's list.

    Attributes:
        entry: of the published report; None: counted now.
        past: figures of the periods before, oldest first; None where nobody had duty time, or nobody knows.
    """

    area_id: str
    name: str
    figures: Figures
    target: float
    entry: Entry | None
    past: tuple[Figures | None, ...] = ()


@dataclass(frozen=True, slots=True)
class _After(Period):
    """The period after one that is known only up to some time.

    Attributes:
        until: microseconds.
    """

    until: int

    def before(self, count: int) -> list[Period]:
        """The periods before this one, the last of them as far as it is known."""
        found = Period(self.kind, self.name, self.start, self.end).before(count)
        return [*found[:-1], replace(found[-1], end=self.until)]


@dataclass(slots=True, eq=False)
class Shelf:
    """Reads summaries.

    Args:
        settings: database, policies, clock.
        wall: the clock, microseconds since 1970.
    """

    settings: Settings
    wall: Callable[[], int]
    policies: Policies = field(init=False)
    _told: dict[str, force.NeighbourhoodLine] = field(default_factory=dict)
    _free: queue.LifoQueue[Connection] = field(default_factory=queue.LifoQueue)
    _turn: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))
    _queue: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(WAITING))
    _counting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(COUNTING)
    )

    def __post_init__(self) -> None:
        self.policies = self.settings.policies()

    @contextlib.contextmanager
    def _in_turn(self, turn: threading.BoundedSemaphore) -> Iterator[None]:
        """Waits for one of a few, but not behind too many others.

        Raises:
            ProblemError: too many are waiting.
        """
        if not self._queue.acquire(blocking=False):
            raise ProblemError(503, "NotReady", "too many summaries are asked for at once; try again")
        try:
            with turn:
                yield
        finally:
            self._queue.release()

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, question: Callable[[Connection], Found]) -> Found:
        """Asks the database something, over a connection that may be made anew.

        Raises:
            psycopg.OperationalError: it cannot be reached.
            SchemaError: run ``patrol init`` first.
        """
        with self._in_turn(self._turn):
            connection = self._taken()
            try:
                return question(connection)
            finally:
                if connection.closed or connection.broken:
                    connection.close()
                else:
                    self._free.put(connection)

    def _taken(self) -> Connection:
        while True:
            try:
                connection = self._free.get_nowait()
            except queue.Empty:
                connection = connect(
                    self.settings.database,
                    name="patrol web weekly",
                    connect_s=self.settings.database_connect_s,
                    statement_s=self.settings.database_statement_s,
                )
                try:
                    require(connection)
                except BaseException:
                    connection.close()
                    raise
                return connection
            try:
                connection.execute("select 1")  # the server may have gone and come back meanwhile
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        while True:
            try:
                self._free.get_nowait().close()
            except queue.Empty:
                return

    def now(self, connection: Connection) -> int:
        """The time that decides whether a week is over, microseconds."""
        if self.settings.clock == EVENTS:
            newest = newest_event(connection)
            if newest > -FOREVER:
                return newest
        return self.wall()

    # ── one neighbourhood ─────────────────────────────────────────────────────────────────────────────────

    def sheet(self, period: Period, area_id: str, number: int | None = None) -> Sheet | None:
        """The summary of a neighbourhood: of the number asked for, else as published last, else counted now.

        Returns:
            None where there is no such number, or nothing is known of such a neighbourhood then.

        Raises:
            FormError: it was published by a program with another form of summaries.
        """
        found = self.published(period, area_id, number)
        return found if found is not None or number is not None else self.counted(period, area_id)

    def published(self, period: Period, area_id: str, number: int | None = None) -> Sheet | None:
        """A published report, the newest where no number is given; None where there is none.

        Raises:
            FormError: it was published by a program with another form of summaries.
        """

        def read(connection: Connection) -> Sheet | None:
            listed = reports.numbers(connection, period.name, area_id)
            entry = next((one for one in reversed(listed) if number in (None, one.number)), None)
            if entry is None:
                return None
            document = reports.document(connection, period.name, area_id, entry.number)
            assert document is not None
            return Sheet(decode(document), document, entry, listed[-1])

        return self.ask(read)

    def later(self, period: Period, area_id: str, entry: Entry) -> list[FigureChange]:
        """What is on record as restated since a report was published, the oldest first."""

        def read(connection: Connection) -> list[FigureChange]:
            found = reports.changes(connection, period.name, area_id)
            return [item for item in found if item.recorded_at > entry.published_at]

        return self.ask(read)

    def area_names(self, period: Period) -> dict[tuple[str, str], str]:
        """Names of areas by kind and id, those in force last in a period."""

        def read(connection: Connection) -> dict[tuple[str, str], str]:
            listed = [item for item in areas.versions(connection) if item.valid_from < period.end]
            chosen = areas.in_force(listed, period.end - 1)
            sets = [areas.read(connection, item.version, item.kind) for item in chosen]
            return {
                (kind.value, area_id): name
                for found in sets
                for kind, area_id, name in zip(found.kind, found.area_id, found.name, strict=True)
            }

        return self.ask(read)

    def counted(self, period: Period, area_id: str) -> Sheet | None:
        """The summary as it would be counted now; None where nothing is known of the neighbourhood then."""
        record = self.record(period, area_id)
        if record is None:
            return None
        with self._in_turn(self._counting):
            [summary] = summarise(record, period, self.policies, [area_id])
        return Sheet(summary, encode(summary), None, None)

    def record(self, period: Period, area_id: str) -> SummaryFacts | None:
        """What a summary is counted from; None where nothing is known of the neighbourhood then."""

        def read(connection: Connection) -> SummaryFacts | None:
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                now = self.now(connection)
                record, _ = record_of(connection, self.policies, period, [area_id], now)
            known = area_id in neighbourhoods(record.versions, period)
            booked = any(
                area_id in duty.patch
                and duty.start < period.end
                and (duty.end is None or duty.end > period.start)
                for duty in record.duties
            )
            return record if known or booked else None

        return self.ask(read)

    def duty(self, period: Period, duty_id: str) -> DutySheet | None:
        """A duty stretch by stretch; None where there is none of that name in the period."""

        def read(connection: Connection) -> tuple[Found_, int] | None:
            row = connection.execute(
                "select officer_id, (extract(epoch from start_at) * 1000000)::int8, "
                "(extract(epoch from end_at) * 1000000)::int8 from duty join officer using (officer) "
                "where duty_id = %s and not cancelled",
                [duty_id],
            ).fetchone()
            if row is None:
                return None
            officer_id, start, end = (
                str(row[0]),
                int(str(row[1])),
                None if row[2] is None else int(str(row[2])),
            )
            until = max(newest_event(connection), start)
            if self.now(connection) >= period.end:
                until = max(until, period.end)
            high = until if end is None else end
            if start >= period.end or high <= period.start:
                return None
            found = from_database(
                connection, start, max(high, start + 1), scope=OFFICER, wanted=officer_id, until=until
            )
            return found, until

        answer = self.ask(read)
        if answer is None:
            return None
        found, until = answer
        return duty_sheet(
            found.slices,
            found.duties,
            found.places,
            found.device_ids,
            self.policies,
            period,
            duty_id=duty_id,
            until=until,
            boundaries_from=found.boundaries_from,
            names=found.basis,
        )

    def vehicles(self, period: Period, area_id: str) -> Vehicles:
        """What the crewing of a neighbourhood is counted from."""

        def read(connection: Connection) -> Vehicles:
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                newest, now = newest_event(connection), self.now(connection)
                until = period.end if now >= period.end else min(max(newest, period.start), period.end)
                rows = connection.execute(
                    "select distinct device, device_id, officer from allocation a join device using (device) "
                    "join duty d using (duty) where kind <> 'radio' and not cancelled and d.start_at < %s "
                    "and (d.end_at is null or d.end_at > %s)",
                    [moment(until), moment(period.start)],
                ).fetchall()
                names = {int(str(device)): str(name) for device, name, _ in rows}
                stays = stays_of(connection, sorted(names), period.start, until, [area_id])
                met = set(stays[0].tolist())
                officers = bookings.read_officers(
                    connection,
                    {int(str(officer)) for device, _, officer in rows if device in met},
                    period.start,
                )
                places, place = places_of(connection, stays[3])
            duties = sorted(
                (duty for item in officers.values() for duty in item.duties.values() if not duty.cancelled),
                key=lambda duty: duty.duty_id,
            )
            keys = sorted(names, key=lambda key: names[key])
            device = numbering(keys)[stays[0]]
            order = np.lexsort((stays[1], device))
            return Vehicles(
                duties,
                Stays(device[order], stays[1][order], stays[2][order], place[order]),
                [names[key] for key in keys],
                places,
                until,
            )

        return self.ask(read)

    # ── the force ─────────────────────────────────────────────────────────────────────────────────────────

    def present(self) -> Period:
        """The week that now lies in."""
        return self.ask(lambda connection: Period.around(WEEK, self.now(connection)))

    def begun(self) -> int | None:
        """When the first duty of all began, microseconds; None: there is none."""

        def read(connection: Connection) -> int | None:
            row = connection.execute("select min(start_at) from duty where not cancelled").fetchone()
            return None if row is None or row[0] is None else microseconds(row[0])

        return self.ask(read)

    def lines(self, period: Period) -> tuple[list[ShelfLine], bool]:
        """All neighbourhoods of a period, by id: as published, else as counted now.

        Returns:
            ``(lines, complete)``: and whether the period is over.
        """

        def read(connection: Connection) -> tuple[list[ShelfLine], bool]:
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                entries = {item.area_id: item for item in reports.listing(connection, period.name)}
                listed = areas.versions(connection)
                now = self.now(connection)
                times = sorted({item.valid_from for item in listed if item.valid_from < period.end})
                chosen = {
                    item.version: item
                    for time in times
                    for item in areas.in_force(listed, time)
                    if item.kind.value == NEIGHBOURHOOD
                }
                sets = {key: areas.read(connection, key, item.kind) for key, item in chosen.items()}
                versions = [
                    (time, sets[item.version])
                    for time in times
                    for item in areas.in_force(listed, time)
                    if item.version in sets
                ]
                known = set(neighbourhoods(versions, period)) | entries.keys()
                # Asked about the period after it, the periods before end with this one.
                complete = now >= period.end
                until = (
                    period.end if complete else min(max(newest_event(connection), period.start), period.end)
                )
                after = _After(period.next.kind, period.next.name, period.next.start, period.next.end, until)
                past = past_figures(connection, after, None) if known - entries.keys() else {}
            names = {
                area_id: name
                for _, found in in_force(versions, period.start, period.end)
                for area_id, name in zip(found.area_id, found.name, strict=True)
            }
            known |= {area_id for area_id, figures in past.items() if figures[-1] is not None}
            target = self.policies.at(period.start).target
            return [
                self._line(area_id, names, period, target, entries.get(area_id), past.get(area_id) or [])
                for area_id in sorted(known)
            ], complete

        with self._in_turn(self._counting):
            return self.ask(read)

    def side_by_side(self, period: Period) -> tuple[list[force.NeighbourhoodLine], bool, bool]:
        """The same with the weeks before and, of published reports, the visits to priority areas.

        Returns:
            ``(lines, complete, published)``: whether the period is over, and all of it published.

        Raises:
            FormError: one was published by a program with another form of summaries.
        """
        lines, complete = self.lines(period)

        def read(connection: Connection) -> None:
            for item in wanted:
                found = reports.read(connection, period.name, item.area_id, item.number)
                assert found is not None
                said = "" if item.number == 1 else f"number {item.number}"
                self._told[item.sha256] = force.line(found, said)

        wanted = [item.entry for item in lines if item.entry and item.entry.sha256 not in self._told]
        if wanted:
            if len(self._told) > KEPT:
                self._told = {}
            self.ask(read)
        # Where none is published the page says so once.
        some = complete and any(item.entry for item in lines)
        return (
            [
                self._told[item.entry.sha256] if item.entry else self._so_far(item, period, named=some)
                for item in lines
            ],
            complete,
            all(item.entry for item in lines),
        )

    def _so_far(self, item: ShelfLine, period: Period, *, named: bool) -> force.NeighbourhoodLine:
        before = period.before(len(item.past))
        listed = [*zip(before, item.past, strict=True), (period, item.figures if item.figures.duty else None)]
        return force.NeighbourhoodLine(
            area_id=item.area_id,
            name=item.name,
            figures=item.figures,
            target=item.target,
            past=tuple(
                Past(name=then.name, figures=figures, target=self.policies.at(then.start).target)
                for then, figures in listed
            ),
            said="counted now" if named else "",
        )

    @staticmethod
    def _line(
        area_id: str,
        names: dict[str, str],
        period: Period,
        target: float,
        entry: Entry | None,
        past: Sequence[Figures | None],
    ) -> ShelfLine:
        if entry is not None:
            return ShelfLine(area_id, entry.area_name, entry.figures, entry.target, entry)
        nothing = Figures(NEIGHBOURHOOD, area_id, period.start, period.end)
        figures = replace(past[-1], end=period.end) if past and past[-1] else nothing
        return ShelfLine(area_id, names.get(area_id) or area_id, figures, target, None, tuple(past[:-1]))


def reached(period: Period) -> bool:
    """Whether a period lies in the years of which anything may be known."""
    return 0 <= local_day(period.start).year - 1971 < 129
