"""Summaries for the weekly pages: as they were published, or counted now, and what their numbers are made of.

Reads only: it asks the database once for each answer, and lets the core count. Requests are answered by
threads, a few at a time: whoever counts a week does not keep others from reading a published one.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stream.clock import UNKNOWN
from stream.core.calendar import WEEK, Period
from stream.core.explaining.wording import Named
from stream.core.pseudonyms import Pseudonyms
from stream.core.shares import NEIGHBOURHOOD, Figures
from stream.core.summaries.counting import summarise
from stream.core.summaries.details import crewed_hours, duty_by_stretch
from stream.core.summaries.model import FormError
from stream.core.summaries.parts import names_of
from stream.core.summaries.reduced import Hidden, with_pseudonyms, without_others
from stream.reports import force
from stream.store import areas, reports
from stream.store.policies import Known
from stream.store.reading.explained import duty_from_database
from stream.store.reading.instant import first_duty
from stream.store.reading.live import present
from stream.store.reading.scope import outside
from stream.store.reading.summaries import facts_of, force_period, vehicles_of
from stream.store.reports import Reported
from stream.web.access.reach import EVERYTHING
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from stream.clock import Clock
    from stream.core.explaining.parts import Found as Explainable
    from stream.core.policy import Policies
    from stream.core.summaries.counting import SummaryFacts
    from stream.core.summaries.details import CrewedHour, StretchedDuty, Vehicles
    from stream.core.summaries.model import Summary
    from stream.reports.force import NeighbourhoodLine
    from stream.settings import Settings
    from stream.store.pool import Pool
    from stream.store.reading.summaries import ForcePeriod
    from stream.store.reports import Entry
    from stream.store.schema import Connection
    from stream.web.access.reach import Reach

    Found = TypeVar("Found")

AT_ONCE = 4
"""So many questions are asked of the database at once; others wait for their turn."""

WAITING = 16
"""So many may wait for their turn; who comes then is asked to come again, lest all threads stand here."""

KEPT = 4_000
"""Of so many published reports what the force's page says is kept: they never change."""

NOBODY = Hidden(frozenset())

COUNTING = 1
"""So many of them may count: it is work for a processor, of which the live page wants its part."""


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourhoodWeek:
    """Whose numbers a page takes apart, and what they are compared with.

    Attributes:
        published: the newest report and what it says; None where there is none that can be read.
    """

    period: Period
    area_id: str
    names: Named
    published: tuple[Entry, Summary] | None

    @property
    def area_name(self) -> str:
        """The neighbourhood's name."""
        return self.names.name(NEIGHBOURHOOD, self.area_id)


@dataclass(slots=True, eq=False)
class Shelf:
    """Reads summaries.

    Args:
        settings: clock.
        pool: connections to the database.
        wall: the clock, microseconds since 1970.
    """

    settings: Settings
    pool: Pool
    wall: Clock
    known: Known = field(default_factory=Known)
    pseudonyms: Pseudonyms = field(init=False)
    _told: dict[str, NeighbourhoodLine] = field(default_factory=dict)
    _turn: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))
    _queue: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(WAITING))
    _counting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(COUNTING)
    )

    def __post_init__(self) -> None:
        # Without a key of the force's own pseudonyms last as long as this process.
        self.pseudonyms = Pseudonyms(self.settings.pseudonym_key or secrets.token_hex(32))

    @property
    def policies(self) -> Policies:
        """The policies in force when the database was last asked something."""
        return self.known.policies

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

    def ask(self, question: Callable[[Connection, int], Found]) -> Found:
        """Asks the database something; the question is told the time that decides whether a week is over.

        Raises:
            psycopg.OperationalError: it cannot be reached.
            SchemaError: run ``patrol init`` first.
        """
        with self._in_turn(self._turn), self.pool.connection(patient=True) as connection:
            self.known.now(connection)
            return question(connection, present(connection, self.settings, self.wall))

    def shown(self, now: int) -> int:
        """The instant that pages show: the wall clock's where no now is known."""
        return self.wall() if now == UNKNOWN else now

    # ── one neighbourhood ─────────────────────────────────────────────────────────────────────────────────

    def summary(self, period: Period, area_id: str, number: int | None = None) -> Reported:
        """The summary of a neighbourhood: of the number asked for, else as published last, else counted now.

        Raises:
            ProblemError: there is no such number, or nothing is known of such a neighbourhood then; or it was
                published by a program with another form of summaries.
        """

        def read(connection: Connection, now: int) -> Reported | SummaryFacts | None:
            try:
                found = reports.reported(connection, period.name, area_id, number)
            except FormError as error:
                raise ProblemError(409, "Conflict", str(error)) from error
            if found is not None or number is not None:
                return found
            return facts_of(connection, self.policies, period, area_id, now)

        found = self.ask(read)
        if found is None:
            what = "neighbourhood" if number is None else f"report number {number} of"
            raise _nothing(what, area_id, period)
        if isinstance(found, Reported):
            return found
        with self._in_turn(self._counting):
            [summary] = summarise(found, period, self.policies, [area_id])
        return Reported(summary)

    def hidden(self, period: Period, area_id: str, reach: Reach) -> Hidden:
        """Whom somebody is not to see in a neighbourhood's week; nobody where they see the whole force."""
        if reach.persons is None:
            return NOBODY
        patches = sorted(reach.persons) if reach.named(area_id) else []
        return Hidden(self.ask(lambda connection, _: outside(connection, patches, period.start, period.end)))

    def seen(self, found: Reported, period: Period, area_id: str, reach: Reach) -> Reported:
        """So much of a summary as somebody may see: with pseudonyms where they see no officers of it."""
        if reach.persons is None:
            return found
        hidden = self.hidden(period, area_id, reach)
        if reach.named(area_id):
            return replace(found, summary=without_others(found.summary, hidden))
        return replace(
            found,
            summary=with_pseudonyms(found.summary, hidden, self.pseudonyms),
            later=tuple(replace(item, by="", why="") for item in found.later),
        )

    def behind(self, period: Period, area_id: str) -> tuple[NeighbourhoodWeek, SummaryFacts]:
        """What a summary is counted from.

        Raises:
            ProblemError: nothing is known of the neighbourhood then.
        """

        def read(connection: Connection, now: int) -> tuple[NeighbourhoodWeek, SummaryFacts]:
            facts = facts_of(connection, self.policies, period, area_id, now)
            if facts is None:
                raise _nothing("neighbourhood", area_id, period)
            return _week(connection, period, area_id, names_of(facts, period)), facts

        return self.ask(read)

    def crewing(self, period: Period, area_id: str) -> tuple[NeighbourhoodWeek, list[CrewedHour]]:
        """Vehicles in a neighbourhood by hour and crew.

        Raises:
            ProblemError: nothing is known of the neighbourhood then.
        """

        def read(connection: Connection, now: int) -> tuple[NeighbourhoodWeek, Vehicles]:
            found = vehicles_of(connection, period, area_id, now)
            if found is None:
                raise _nothing("neighbourhood", area_id, period)
            vehicles, names = found
            return _week(connection, period, area_id, names), vehicles

        week, vehicles = self.ask(read)
        return week, crewed_hours(vehicles, period, area_id)

    def duty(self, period: Period, duty_id: str, reach: Reach = EVERYTHING) -> tuple[StretchedDuty, Named]:
        """A duty stretch by stretch, and the names of the areas in force at the period's end.

        Raises:
            ProblemError: there is none of that name in the period that may be seen.
        """

        def read(connection: Connection, now: int) -> tuple[Explainable, Named]:
            found = duty_from_database(connection, duty_id, period, now)
            if found is None or not any(
                duty.duty_id == duty_id and reach.duty(duty) for duty in found.duties
            ):
                raise _nothing("duty", duty_id, period)
            return found, Named(areas.names(connection, period.end - 1))

        found, names = self.ask(read)
        return duty_by_stretch(found, self.policies, period, duty_id), names

    # ── the force ─────────────────────────────────────────────────────────────────────────────────────────

    def last(self) -> Period:
        """The last week that is over, where there is anything in it, else the present one."""

        def read(connection: Connection, now: int) -> Period:
            this = Period.around(WEEK, self.shown(now))
            [last] = this.before(1)
            first = first_duty(connection)
            return last if first is None or first < last.end else this

        return self.ask(read)

    def force(self, period: Period, *, whole: bool) -> tuple[list[NeighbourhoodLine], bool]:
        """All neighbourhoods of a period: as published, else as counted now.

        Args:
            period: the week.
            whole: with the weeks before and, of published reports, the visits to priority areas.

        Returns:
            ``(lines, complete)``: and whether the period is over.

        Raises:
            ProblemError: one was published by a program with another form of summaries.
        """

        def read(connection: Connection, now: int) -> ForcePeriod:
            found = force_period(connection, self.policies, period, now)
            if len(self._told) > KEPT:
                self._told = {}
            for item in found.entries if whole else ():
                if item.sha256 not in self._told:
                    try:
                        summary = reports.read(connection, period.name, item.area_id, item.number)
                    except FormError as error:
                        raise ProblemError(409, "Conflict", str(error)) from error
                    assert summary is not None
                    self._told[item.sha256] = force.line(summary, item)
            return found

        with self._in_turn(self._counting):
            found = self.ask(read)
            lines = [self._told[item.sha256] if whole else force.line_of(item) for item in found.entries]
        for area_id, (name, past) in found.counted.items():
            figures = past[-1].figures or Figures(NEIGHBOURHOOD, area_id, period.start, period.end)
            target = past[-1].target
            lines.append(force.NeighbourhoodLine(area_id, name, figures, target, past))
        return sorted(lines, key=lambda item: item.area_id), found.complete


def _nothing(what: str, name: str, period: Period) -> ProblemError:
    return ProblemError(404, "NotFound", f"there is no {what} {name!r} in {period.name}")


def _week(connection: Connection, period: Period, area_id: str, names: Named) -> NeighbourhoodWeek:
    try:
        found = reports.reported(connection, period.name, area_id)
    except FormError:
        found = None  # nothing can be compared with what cannot be read
    published = (found.entry, found.summary) if found is not None and found.entry is not None else None
    return NeighbourhoodWeek(period, area_id, names, published)
