"""Duties → teams: how long each officer has been in the present team, who joined and who left.

Values in, values out; no Kafka, no database, no clock. Everything is read from the bookings alone: a booking
names its team, and nothing is known from before the first one.

An officer's duties with a team, in the order of their starts, make *runs*: a run is a stretch in one team. A
duty elsewhere ends it, unless the officer is back within ``lent_days`` of its start: an officer seconded for
a few shifts stays in the team. One who is not back yet is in the new team at once: the next duty may show
that it was a secondment, and then it was one from the beginning.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.core.calendar import local_day
from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stream.core.facts import Duty
    from stream.core.policy import Policy

DAY = 86_400 * SECOND
"""Microseconds in 24 hours: secondments and silences are measured in days of that length."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of an officer's duties in one team, short secondments to others left aside.

    Attributes:
        team: which.
        since: start of its first duty, microseconds since 1970 UTC.
        until: start of the first duty in the next team, at which this run ends; None: the present team.
        at_least: nothing is known from before ``since``, because the record itself begins about then.
    """

    team: str
    since: int
    until: int | None
    at_least: bool


@dataclass(frozen=True, slots=True)
class Member:
    """An officer and the present team.

    Attributes:
        team: the team of the newest duty that has one; None where none has.
        since: start of the first duty of the run, microseconds; None without a team.
        months: whole calendar months since then, local dates; None without a team.
        at_least: the run reaches back to the beginning of the record, so it may be longer.
        last_seen: end of the last duty, of any team or none; not later than the day asked about.
        unseen: no duty for ``unseen_days``: in no other team yet, as far as is known.
    """

    officer_id: str
    name: str | None
    team: str | None
    since: int | None
    months: int | None
    at_least: bool
    last_seen: int
    unseen: bool


@dataclass(frozen=True, slots=True)
class Move:
    """An officer's change of team: one leaver there, one joiner here, at one instant.

    Attributes:
        team: the team joined.
        before: the team left; None for an officer whose first known duty this is.
        time: start of the first duty in the team joined, microseconds.
    """

    officer_id: str
    team: str
    before: str | None
    time: int


@dataclass(frozen=True, slots=True)
class Team:
    """The facts of one team.

    Attributes:
        officers: those whose present team this is and who were seen recently.
        experienced: of them, those with at least ``team_months`` known months.
        perhaps: of them, those with fewer known months whose run reaches back to the record's beginning.
        joiners, leavers: moves within the period, in the order of their times.
        unseen: those whose team this was when last seen, at least ``unseen_days`` ago.
    """

    team: str
    officers: tuple[str, ...]
    experienced: tuple[str, ...]
    perhaps: tuple[str, ...]
    joiners: tuple[Move, ...]
    leavers: tuple[Move, ...]
    unseen: tuple[str, ...]

    @property
    def share_low(self) -> float | None:
        """The share of officers proven to be experienced; None in a team without officers."""
        return len(self.experienced) / len(self.officers) if self.officers else None

    @property
    def share_high(self) -> float | None:
        """The share if all those for whom the record cannot tell were experienced."""
        known = len(self.experienced) + len(self.perhaps)
        return known / len(self.officers) if self.officers else None


@dataclass(frozen=True, slots=True)
class Teams:
    """The facts of all teams as of an instant, and their moves in a period ``[start, end)``."""

    as_of: int
    start: int
    end: int
    members: tuple[Member, ...]
    teams: tuple[Team, ...]


def runs(duties: Sequence[Duty], policy: Policy, *, at_least: bool) -> list[Run]:
    """The runs of one officer.

    Args:
        duties: the officer's duties with a team, sorted by start.
        policy: its ``lent_days``.
        at_least: whether the record begins about when the officer's own does.
    """
    found: list[Run] = []
    numbers: dict[str, list[int]] = {}
    for number, duty in enumerate(duties):
        numbers.setdefault(duty.team or "", []).append(number)
    team, since, back = "", 0, -1
    for number, duty in enumerate(duties):
        if duty.team == team or number < back:
            continue
        if team:
            # Back in the old team soon enough? Then everything until then is a secondment, wherever it was.
            mine = numbers[team]
            later = bisect_left(mine, number)
            if later < len(mine) and duties[mine[later]].start - duty.start <= policy.lent_days * DAY:
                back = mine[later]
                continue
            found.append(Run(team, since, duty.start, at_least and not found))
        team, since = duty.team or "", duty.start
    if team:
        found.append(Run(team, since, None, at_least and not found))
    return found


def months_between(since: int, as_of: int) -> int:
    """Whole calendar months from one instant's local date to another's.

    A month is whole on the same day of the next one: 31 January to 28 February is none, to 1 March is one.
    """
    first, last = local_day(since), local_day(as_of)
    return (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)


def teams(
    duties: Iterable[Duty],
    policy: Policy,
    as_of: int,
    start: int,
    end: int,
    *,
    beginning: int | None = None,
) -> Teams:
    """Who is in which team, since when, and who moved.

    Args:
        duties: newest revisions (``stream.core.slices.newest``). Those that do not count tell nothing (rules
            8 and 8a), nor does what starts at ``as_of`` or later; duties without a team tell that the officer
            was seen.
        policy: ``team_months``, ``lent_days`` and ``unseen_days``, as in force at ``as_of``.
        as_of: the instant that is the present, microseconds since 1970 UTC.
        start: the period in which moves are listed, microseconds.
        end: its end, exclusive.
        beginning: when the record begins, microseconds, where not all duties are given: those of a team's
            officers, ever, say all of that team but not this. None: with the first duty given.

    Returns:
        officers by id and teams by name: every team that has an officer, had one that is no longer seen, or
        had a move.
    """
    booked: dict[str, list[Duty]] = {}
    for duty in duties:
        if duty.counts and duty.start < as_of:
            booked.setdefault(duty.officer_id, []).append(duty)
    for mine in booked.values():
        mine.sort(key=lambda duty: (duty.start, duty.duty_id))
    if beginning is None:
        beginning = min((mine[0].start for mine in booked.values()), default=as_of)
    members: list[Member] = []
    moves: list[Move] = []
    for officer_id in sorted(booked):
        mine = booked[officer_id]
        early = mine[0].start - beginning <= policy.unseen_days * DAY
        stretches = runs([duty for duty in mine if duty.team], policy, at_least=early)
        members.append(_member(mine, stretches, policy, as_of))
        before = None
        for run in stretches:
            if start <= run.since < end and not run.at_least:
                moves.append(Move(officer_id, run.team, before, run.since))
            before = run.team
    moves.sort(key=lambda move: (move.time, move.officer_id))
    return Teams(as_of, start, end, tuple(members), _gather(members, moves, policy))


def _member(duties: Sequence[Duty], stretches: Sequence[Run], policy: Policy, as_of: int) -> Member:
    seen = max(min(duty.until, as_of) for duty in duties)
    names = [duty.name for duty in duties if duty.name]
    now = stretches[-1] if stretches else None
    return Member(
        duties[0].officer_id,
        names[-1] if names else None,
        now.team if now else None,
        now.since if now else None,
        months_between(now.since, as_of) if now else None,
        at_least=now.at_least if now else False,
        last_seen=seen,
        unseen=as_of - seen >= policy.unseen_days * DAY,
    )


def _gather(members: Sequence[Member], moves: Sequence[Move], policy: Policy) -> tuple[Team, ...]:
    names = {item.team for item in members if item.team} | {
        team for move in moves for team in (move.team, move.before) if team
    }
    mine: Mapping[str, list[Member]] = {name: [] for name in names}
    joined: Mapping[str, list[Move]] = {name: [] for name in names}
    left: Mapping[str, list[Move]] = {name: [] for name in names}
    for item in members:
        if item.team:
            mine[item.team].append(item)
    for move in moves:
        joined[move.team].append(move)
        if move.before:
            left[move.before].append(move)
    found = []
    for name in sorted(names):
        seen = [item for item in mine[name] if not item.unseen]
        old = [item.officer_id for item in seen if (item.months or 0) >= policy.team_months]
        found.append(
            Team(
                name,
                tuple(item.officer_id for item in seen),
                tuple(old),
                tuple(item.officer_id for item in seen if item.at_least and item.officer_id not in old),
                tuple(joined[name]),
                tuple(left[name]),
                tuple(item.officer_id for item in mine[name] if item.unseen),
            )
        )
    return tuple(found)
