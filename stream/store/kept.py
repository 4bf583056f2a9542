"""Up to where facts are gone, for whoever counts: what is older is not counted again, whatever comes.

Figures that were counted from all facts stay as they are once the facts are deleted; counted from the rest
they would be others. Deleting is in ``retention``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stream.core.calendar import LOCAL, moment

if TYPE_CHECKING:
    from stream.store.schema import Connection

COUNTED_FROM: Final = "(select counted_from from kept_from)"
"""SQL: nothing before this time, microseconds, is counted again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Times up to which something is gone, microseconds; ``-FOREVER``: nothing is.

    Attributes:
        counted_from: stays and slices before are not counted again; no booking changes duties begun before.
        facts_from: positions before are deleted, but for those that a hold keeps.
        off_duty_to: positions before are deleted where they lie outside duties.
        slices_from: slices, stays, bookings and states before are deleted, but for holds.
    """

    counted_from: int
    facts_from: int
    off_duty_to: int
    slices_from: int


def kept(connection: Connection) -> Kept:
    """Up to where what is gone."""
    [row] = connection.execute(
        "select counted_from, facts_from, off_duty_to, slices_from from kept_from"
    ).fetchall()
    return Kept(*(int(str(time)) for time in row))


def gone_words(time: int) -> str:
    """A sentence of what is gone: of the time before this one, microseconds."""
    return (
        f"positions before {moment(time).astimezone(LOCAL):%Y-%m-%d %H:%M} have been or may be deleted, as "
        "retention asks: what was counted from them stays, and cannot be counted again"
    )
