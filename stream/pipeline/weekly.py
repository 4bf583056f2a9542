"""The weekly timer: publishes last week's reports once a week, exactly once.

The day and hour are those of ``PATROL_REPORT_AT`` (``stream.settings``): Monday 06:00 unless set otherwise.
One worker, elected by a lock in the database, looks every few seconds whether something is due; the work is
done in a process of its own (this file run as a program), so that the worker goes on counting. What is due
follows from the database alone:

1. a week within ``report_weeks`` that was never published, the oldest first: the last one, or, after an
   outage, several;
2. the last four weeks, once for each Monday: where later facts changed a figure, the next number is
   published;
3. letters in the outbox that are due.

A week's reports, their letters and the note that the week is done are one transaction, so a process killed at
any instant leaves a week done or not begun; and reports are written under a lock by one at a time, who sees
what the others wrote (``stream.store.reports``). So each is there once, however many processes work on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from datetime import time as day_time
from typing import TYPE_CHECKING

import msgspec

from stream import clock
from stream.clock import UNKNOWN
from stream.core.calendar import LOCAL, WEEK, Period, local_day, microseconds
from stream.pipeline.elected import Elected
from stream.settings import Settings, weekly_at
from stream.store import outbox
from stream.store.doubts import judge_due
from stream.store.policies import in_force
from stream.store.reading.instant import first_duty
from stream.store.reading.live import newest_event, present
from stream.store.schema import Lock, connect, require
from stream.store.settled import restate_due, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.clock import Clock
    from stream.pipeline.mail import Delivered
    from stream.store.schema import Connection

log = logging.getLogger("stream.pipeline.weekly")  # also where this file is run as a program

AGAIN = 4
"""How many of the last weeks are checked again each Monday."""

BY = "weekly timer"
"""Who published, for the records."""

AT_WORK = "patrol reports"
"""The name of the process, for the server's own lists."""

PATIENCE_S = 900.0
"""How long reports wait for late positions: after an outage there is a backlog."""

FAREWELL_S = 3.5
"""How long the process may take to finish a letter when the worker is told to end: less than what Faust's own
farewell, which follows, leaves of the time that the worker has."""


# ── what is due ───────────────────────────────────────────────────────────────────────────────────────────


def last_due(now: int, at: tuple[int, int, int]) -> int:
    """The last time at or before now at which reports were due, microseconds.

    Args:
        now: microseconds since 1970.
        at: day of the week (Monday is 0), hour and minute, local; an hour that the clocks show twice is the
            first of them.
    """
    day, hour, minute = at
    today = local_day(now)
    candidate = today - timedelta(days=(today.weekday() - day) % 7)
    for weeks in (0, 1):
        found = datetime.combine(candidate - timedelta(weeks=weeks), day_time(hour, minute), LOCAL)
        if (due := microseconds(found)) <= now:
            break
    return due


def plan(connection: Connection, due: int, weeks: int) -> list[Period]:
    """The weeks to publish, or to look at again, for a time that was due; the oldest first.

    Args:
        connection: to the database.
        due: microseconds (see ``last_due``).
        weeks: how many weeks back what was never published is published late.
    """
    from stream.store import reports

    last = Period.around(WEEK, due).before(1)[0]
    known = [*last.before(max(weeks, AGAIN) - 1), last]
    ever, now = reports.runs(connection, due, [week.name for week in known])
    wanted = [
        week
        for ago, week in zip(range(len(known) - 1, -1, -1), known, strict=True)
        if (week.name not in ever and ago < weeks) or (week.name not in now and ago < AGAIN)
    ]
    if not wanted:
        return []
    first = first_duty(connection)
    return [] if first is None else [week for week in wanted if week.end > first]


# ── the work ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Done:
    """The result of publishing.

    Attributes:
        weeks: names of the weeks that were published or looked at again, in order.
        written: reports that are new, or have a new number.
    """

    weeks: tuple[str, ...]
    written: int


def publish_due(settings: Settings, *, wall: Clock) -> Done:
    """Publishes everything that is due (see above).

    Args:
        settings: database, clock, mail.
        wall: the clock, microseconds since 1970.

    Raises:
        SettingsError: the mail file cannot be used.
        SchemaError: run ``patrol init`` first.
        psycopg.Error: the database is away.
    """
    weeks: list[str] = []
    written = 0
    with connect(settings.database, name=AT_WORK) as connection:
        require(connection)
        now = present(connection, settings, wall)
        if now == UNKNOWN:
            return Done((), 0)
        due = last_due(now, weekly_at(settings.report_at))
        for week in plan(connection, due, settings.report_weeks):
            written += publish_week(connection, settings, week, due, now=now, wall=wall)
            weeks.append(week.name)
    return Done(tuple(weeks), written)


def send_due(settings: Settings, *, wall: Clock, stop: Callable[[], bool] = lambda: False) -> Delivered:
    """Sends the letters that are due.

    Args:
        settings: database and mail.
        wall: the clock, microseconds since 1970.
        stop: asked before each letter whether to end.

    Raises:
        SettingsError: the mail file cannot be used.
        psycopg.Error: the database is away.
    """
    from stream.pipeline.mail import deliver

    with connect(settings.database, name=AT_WORK) as connection:
        return deliver(connection, settings, wall=wall, stop=stop)


def publish_week(
    connection: Connection,
    settings: Settings,
    week: Period,
    due: int,
    *,
    now: int,
    wall: Clock,
) -> int:
    """Publishes one week for all neighbourhoods, with its letters and the note that it is done.

    Returns:
        how many reports were written.
    """
    from stream.pipeline.mail import read_mailing
    from stream.store import reports
    from stream.store.reading.summaries import summaries

    began = time.monotonic()
    mailing = read_mailing(settings.mail) if settings.mail else None
    judge_due(connection)
    settle(connection, [week.name])
    restate_due(connection, wall())
    counted = list(summaries(connection, in_force(connection), week, now=now))
    with connection.transaction():
        published = reports.publish(
            connection, counted, by=BY, now=wall(), letters=mailing.letters if mailing else lambda *_: ()
        )
        reports.note_run(connection, due, week.name, wall(), len(published.written))
    if mailing is not None:
        for area_id in sorted(mailing.recipients.keys() - {summary.area_id for summary in counted}):
            log.warning("mail file %s: no neighbourhood '%s' in %s", settings.mail, area_id, week.name)
    log.info(
        "reports of %s: %d published, %d unchanged (%.1f s)",
        week.name,
        len(published.written),
        published.unchanged,
        time.monotonic() - began,
    )
    return len(published.written)


# ── the timer ─────────────────────────────────────────────────────────────────────────────────────────────


class Timer(Elected):
    """Looks whether something is due: one worker at a time, elected by a lock in the database.

    Args:
        settings: database, clock, when reports are due, whether there is mail.
        wall: the clock, microseconds since 1970.
        steady: a monotonic clock, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        wall: Clock = clock.wall,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, Lock.TIMER, "patrol weekly timer")
        self._at = weekly_at(settings.report_at)
        self._wall, self._steady = wall, steady
        self._waiting: tuple[int, float] | None = None

    def look(self) -> bool:
        """Whether there is work, and this worker is elected to do it.

        Raises:
            psycopg.Error: the database is away; the next look connects again.
        """
        with self:
            return self.held() and self._look(self.connection())

    def _look(self, connection: Connection) -> bool:
        if self._settings.smtp and outbox.waiting(connection, self._wall()):
            return True
        now = present(connection, self._settings, self._wall)
        if now == UNKNOWN:
            return False
        due = last_due(now, self._at)
        return bool(plan(connection, due, self._settings.report_weeks)) and self._caught_up(connection, due)

    def _caught_up(self, connection: Connection, due: int) -> bool:
        """Whether positions are counted beyond the week's end, or have been waited for long enough."""
        if newest_event(connection) >= Period.around(WEEK, due).start:
            return True
        if self._waiting is None or self._waiting[0] != due:
            self._waiting = (due, self._steady())
        return self._steady() - self._waiting[1] >= PATIENCE_S


class RunError(RuntimeError):
    """The process that does the work failed; what it logged says why."""


async def run_apart(settings: Settings) -> None:
    """Does what is due in a process of its own, which ends with this one.

    Raises:
        RunError: it failed.
    """
    from stream.pipeline.ending import as_child

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.pipeline.weekly"),
        stdin=asyncio.subprocess.PIPE,
        env=as_child(os.environ),
        start_new_session=True,
    )
    try:
        # The settings go through a pipe: they hold passwords.
        await process.communicate(msgspec.json.encode(asdict(settings)))
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), FAREWELL_S)
            except TimeoutError:
                process.kill()
                await process.wait()
    if process.returncode:
        raise RunError(f"the process that publishes and sends ended with exit code {process.returncode}")


def main() -> None:
    """Does what is due, as a process started by a worker.

    When told to end it does so at once and drops what is not committed, except that a letter being sent is
    finished first.
    """
    from stream.pipeline.ending import end_with_parent, stopping
    from stream.pipeline.failures import exit_code, told
    from stream.pipeline.logs import start_logging
    from stream.pipeline.mail import Delivered

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    os.nice(10)
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    start_logging(settings.log)
    stop = threading.Event()
    try:
        done = publish_due(settings, wall=clock.wall)
        if done.weeks:
            log.info("%d reports of %s published", done.written, ", ".join(done.weeks))
        with stopping(stop.set, FAREWELL_S):
            sent = send_due(settings, wall=clock.wall, stop=stop.is_set)
        if sent != Delivered():
            log.info("letters: %d sent, %d failed, %d put off", sent.sent, sent.failed, sent.postponed)
    except Exception as error:
        if exit_code(error) is None:
            raise
        log.error("reports wait: %s", told(error))  # noqa: TRY400 - one line says it
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
