"""Letters waiting to be sent: queued with their report, settled one by one.

What a letter says and how it is sent is in ``stream.pipeline.mail``. A letter being sent is locked, so
that each is sent once, however many processes send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.core.calendar import moment
from stream.store.reading.instant import fetch, us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.store.schema import Connection

QUEUED, SENT, FAILED = "queued", "sent", "failed"


@dataclass(frozen=True, slots=True)
class Letter:
    """To whom a report goes, and the Message-ID under which it does, however often it is tried."""

    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter in the outbox.

    Attributes:
        report: the report's key.
        attempts: how often it has been tried.
        published_at: microseconds.
        document: the report as published; ``before`` the number before it, None for the first.
    """

    report: int
    letter: Letter
    attempts: int
    published_at: int
    number: int
    document: bytes
    before: bytes | None


def queue(connection: Connection, report: int, letters: Iterable[Letter], now: int) -> None:
    """Writes letters of a report, to be sent from now on; in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into outbox (report, recipient, message_id, queued_at, next_try) "
            "values (%s, %s, %s, %s, %s)",
            [[report, item.recipient, item.message_id, moment(now), moment(now)] for item in letters],
        )


def waiting(connection: Connection, now: int) -> bool:
    """Whether a letter is due."""
    row = connection.execute(
        "select exists (select from outbox where state = 'queued' and next_try <= %s)", [moment(now)]
    ).fetchone()
    return row == (True,)


def take(connection: Connection, now: int) -> Waiting | None:
    """The next letter that is due, locked until the transaction ends; None where there is none."""
    found = fetch(
        connection,
        f"select o.report, o.recipient, o.message_id, o.attempts, {us('r.published_at')}, r.number, "
        "r.document, (select b.document from report b "
        "where b.period = r.period and b.area_id = r.area_id and b.number = r.number - 1) "
        "from outbox o join report r using (report) where o.state = 'queued' and o.next_try <= %s "
        "order by o.next_try, o.report, o.recipient limit 1 for update of o skip locked",
        [moment(now)],
    )
    return next((Waiting(row[0], Letter(row[1], row[2]), *row[3:]) for row in found), None)


def settle(connection: Connection, item: Waiting, state: str, now: int, reason: str | None = None) -> None:
    """A letter was sent, or is given up for a reason."""
    connection.execute(
        "update outbox set state = %s, attempts = attempts + 1, settled_at = %s, last_error = %s "
        "where report = %s and recipient = %s",
        [state, moment(now), reason, item.report, item.letter.recipient],
    )


def postpone(connection: Connection, item: Waiting, until: int, reason: str) -> None:
    """A letter is tried again later."""
    connection.execute(
        "update outbox set attempts = attempts + 1, next_try = %s, last_error = %s "
        "where report = %s and recipient = %s",
        [moment(until), reason, item.report, item.letter.recipient],
    )


def hold_back(connection: Connection, now: int, until: int, reason: str) -> int:
    """Puts off every letter that is due, because the server is away; returns how many."""
    return connection.execute(
        "update outbox set attempts = attempts + 1, next_try = %s, last_error = %s "
        "where (report, recipient) in (select report, recipient from outbox "
        "where state = 'queued' and next_try <= %s for update skip locked)",
        [moment(until), reason, moment(now)],
    ).rowcount


def give_up(connection: Connection, before: int, now: int) -> int:
    """Gives up letters that were queued before a time and tried in vain since; gives how many."""
    return connection.execute(
        "update outbox set state = 'failed', settled_at = %s, last_error = 'given up: ' || last_error "
        "where (report, recipient) in (select report, recipient from outbox "
        "where state = 'queued' and queued_at < %s and attempts > 0 for update skip locked)",
        [moment(now), moment(before)],
    ).rowcount
