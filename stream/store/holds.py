"""Holds: duties whose facts are kept, whatever their age, because a complaint or a challenge is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.store.reading.instant import fetch, us

if TYPE_CHECKING:
    from stream.store.schema import Connection


class HoldError(ValueError):
    """It cannot be done; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A duty on hold, or that was.

    Attributes:
        hold: its number.
        officer_id: whose duty; empty where the duty is gone.
        placed_at: microseconds.
        released_at: microseconds; None: it stands.
    """

    hold: int
    duty_id: str
    officer_id: str
    why: str
    placed_by: str
    placed_at: int
    released_by: str | None
    released_why: str | None
    released_at: int | None


def place(connection: Connection, duty_id: str, *, why: str, by: str) -> int:
    """Puts a duty on hold; gives the hold's number.

    Raises:
        HoldError: there is no such duty, or no reason is given.
    """
    if not why.strip():
        raise HoldError("a hold needs a reason: write the complaint's or the challenge's number")
    row = connection.execute(
        "insert into hold (duty_id, why, placed_by) select duty_id, %s, %s from duty where duty_id = %s "
        "returning hold",
        [why, by, duty_id],
    ).fetchone()
    if row is None:
        raise HoldError(
            f"there is no duty '{duty_id}' in the database: see 'patrol explain', or the bookings"
        )
    return int(str(row[0]))


def release(connection: Connection, number: int, *, why: str, by: str) -> Hold:
    """Releases a hold: what is older than it may be goes with the next retention.

    Raises:
        HoldError: there is no such hold, it is released already, or no reason is given.
    """
    if not why.strip():
        raise HoldError("releasing a hold needs a reason")
    row = connection.execute(
        "update hold set released_by = %s, released_why = %s, released_at = now() "
        "where hold = %s and released_at is null returning hold",
        [by, why, number],
    ).fetchone()
    if row is None:
        raise HoldError(f"there is no hold {number} that stands; see 'patrol hold list'")
    [found] = [item for item in holds(connection, every=True) if item.hold == number]
    return found


def holds(connection: Connection, *, every: bool = False) -> list[Hold]:
    """Holds that stand, or all there ever were, by number."""
    return [
        Hold(*row)
        for row in fetch(
            connection,
            f"select hold, h.duty_id, coalesce(officer_id, ''), why, placed_by, {us('placed_at')}, "
            f"released_by, released_why, {us('released_at')} from hold h left join duty d using (duty_id) "
            "left join officer using (officer) where %s or released_at is null order by hold",
            [every],
        )
    ]


def holding(connection: Connection, officer_id: str) -> list[Hold]:
    """Holds that stand on duties of an officer."""
    return [item for item in holds(connection) if item.officer_id == officer_id]
