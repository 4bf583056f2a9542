"""Who is in which team and since when, told from the bookings as a person would tell it.

Duties come in. An officer's duties that name a team are laid out in the order of their starts; wherever one
team's follow each other with duties elsewhere between, and the first of those is so few days before the
return, what is between was a secondment and is struck out. What is left says when each team began. Months are
calendar months of local dates. What the record cannot tell: an officer whose first duty is within the first
days of the whole record may have been in the first team for long.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from stream.core.facts import Duty

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
HOUR = 3_600_000_000


class Settings(NamedTuple):
    """The policy's: months of experience, days of a secondment, days until nobody knows."""

    months: float
    lent: float
    unseen: float


class Tenure(NamedTuple):
    """One officer as of an instant; ``moves`` are ``(time, team left or None, team joined)``."""

    name: str
    team: str
    months: int | None
    at_least: bool
    unseen: bool
    moves: tuple[tuple[int, str | None, str], ...]


class Facts(NamedTuple):
    """One team as of an instant."""

    officers: int
    experienced: int
    perhaps: int
    joined: tuple[str, ...]
    left: tuple[str, ...]


def _local(t: int) -> date:
    return (EPOCH + timedelta(microseconds=t)).astimezone(LONDON).date()


def whole_months(since: int, until: int) -> int:
    """How often the day of the month has come round, a month without that day not counting until the next."""
    first, last, count = _local(since), _local(until), 0
    month, year = first.month, first.year
    while True:
        month, year = (1, year + 1) if month == 12 else (month + 1, year)
        if (last.year, last.month, last.day) < (year, month, first.day):
            return count
        count += 1


def _without_secondments(duties: Sequence[Duty], lent: float) -> list[Duty]:
    kept = list(duties)
    while True:
        for at, (duty, after) in enumerate(pairwise(kept)):
            if after.team == duty.team:
                continue
            back = next((n for n in range(at + 2, len(kept)) if kept[n].team == duty.team), None)
            if back is not None and kept[back].start - after.start <= lent * DAY:
                del kept[at + 1 : back]
                break
        else:
            return kept


def tenures(duties: Iterable[Duty], as_of: int, settings: Settings) -> dict[str, Tenure]:
    """Each officer who was booked before an instant.

    Args:
        duties: the revisions that count; cancelled ones and those of more than 24 hours (rule 8a) are left
            out here.
        as_of: the instant, µs.
        settings: as in force.
    """
    known = [
        duty
        for duty in duties
        if not duty.cancelled
        and duty.start < as_of
        and (duty.end is None or duty.end - duty.start <= 24 * HOUR)
    ]
    began = min((duty.start for duty in known), default=as_of)
    found = {}
    for officer_id in sorted({duty.officer_id for duty in known}):
        mine = sorted(
            (duty for duty in known if duty.officer_id == officer_id),
            key=lambda duty: (duty.start, duty.duty_id),
        )
        early = mine[0].start - began <= settings.unseen * DAY
        kept = _without_secondments([duty for duty in mine if duty.team], settings.lent)
        firsts = [duty for n, duty in enumerate(kept) if n == 0 or kept[n - 1].team != duty.team]
        moves = [
            (duty.start, firsts[n - 1].team if n else None, str(duty.team))
            for n, duty in enumerate(firsts)
            if n or not early
        ]
        seen = max(min(duty.start + 24 * HOUR if duty.end is None else duty.end, as_of) for duty in mine)
        named = [duty.name for duty in mine if duty.name]
        found[officer_id] = Tenure(
            str(named[-1]) if named else officer_id,
            str(firsts[-1].team) if firsts else "",
            whole_months(firsts[-1].start, as_of) if firsts else None,
            early and len(firsts) == 1,
            as_of - seen >= settings.unseen * DAY,
            tuple(moves),
        )
    return found


def team_facts(found: dict[str, Tenure], team: str, period: tuple[int, int], settings: Settings) -> Facts:
    """A team's officers seen of late, and who came and went in a period."""
    present = [item for item in found.values() if item.team == team and not item.unseen]
    old = [item for item in present if item.months is not None and item.months >= settings.months]
    moves = sorted(
        (time, officer_id, before, after)
        for officer_id, item in found.items()
        for time, before, after in item.moves
        if period[0] <= time < period[1]
    )
    return Facts(
        len(present),
        len(old),
        sum(item.at_least and item not in old for item in present),
        tuple(found[who].name for _, who, _, after in moves if after == team),
        tuple(found[who].name for _, who, before, _ in moves if before == team),
    )
