"""Team facts from the bookings: against a slow reading of them, and cases a person would ask about."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import day_start, local_day, parse_time
from stream.core.facts import SECOND, Duty
from stream.core.policy import Policy
from stream.core.teams import DAY, Move, Teams, months_between, teams
from stream.files.sheets.contract import officers_table, teams_table
from stream.files.sheets.explanations import teams_json
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

HOUR = 3600 * SECOND
POLICY = Policy()
BEGAN = parse_time("2025-01-06T07:00:00Z")

STEPS = (0, 1, 2, 7, 13, 14, 15, 27, 28, 29, 60, 365, 366)
"""Days between duties at which a rule turns over."""


# ── Against a slow reading ────────────────────────────────────────────────────────────────────────────────


@st.composite
def bookings(draw: st.DrawFn) -> list[Duty]:
    """Duties of a few officers, now here, now there, some cancelled, some without a team."""
    found = []
    for officer in ("O1", "O2", "O3"):
        time = BEGAN + draw(st.sampled_from((0, 28, 29))) * DAY
        for number in range(draw(st.sampled_from((7, 6, 5, 2, 1, 0)))):
            time += draw(st.sampled_from(STEPS)) * DAY * min(number, 1)
            time += draw(st.sampled_from((0, 0, 0, 1, -1, HOUR))) * min(number, 1)
            length = draw(st.sampled_from((10 * HOUR, 1, 40 * DAY, None)))
            found.append(
                Duty(
                    f"D-{officer}-{draw(st.sampled_from('AB'))}{number}",
                    1,
                    officer,
                    time,
                    None if length is None else time + length,
                    cancelled=draw(st.sampled_from((False,) * 6 + (True,))),
                    team=draw(st.sampled_from(("A", "B", "A", "B", "C", None, ""))),
                )
            )
    return list(draw(st.permutations(found)))


def stretches(duties: Sequence[Duty], lent_days: float) -> list[tuple[str, int]]:
    """Each team with the start of its first duty: duties strictly between two of one team are struck out.

    For as long as there is a pair of duties of one team, with a duty elsewhere right after the first and less
    than so many days from that one to the second, all between is a secondment and is struck out, the earliest
    pair first.
    """
    kept = [duty for duty in duties if duty.team]
    struck = True
    while struck:
        struck = False
        for first in range(len(kept)):
            back = [n for n in range(first + 1, len(kept)) if kept[n].team == kept[first].team]
            if not back or back[0] == first + 1:
                continue
            if kept[back[0]].start - kept[first + 1].start <= lent_days * 24 * HOUR:
                kept = kept[: first + 1] + kept[back[0] :]
                struck = True
                break
    return [
        (duty.team or "", duty.start)
        for number, duty in enumerate(kept)
        if number == 0 or kept[number - 1].team != duty.team
    ]


def months(first: date, last: date) -> int:
    """How often a month can be added before the last day is passed; days that a month lacks are let stand."""
    count = 0
    while True:
        year, month = divmod(first.month + count, 12)
        if (first.year + year, month + 1, first.day) > (last.year, last.month, last.day):
            return count
        count += 1


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Duty], int, int, int]:
    """Bookings, a present and a period whose ends fall on what could make a difference."""
    booked = draw(bookings())
    ends = [duty.end for duty in booked if duty.end is not None]
    days = [0, 1, 28, 60]
    seen = [time + more * DAY for time in ends for more in days]
    starts = [BEGAN, *(duty.start for duty in booked)]
    late = max(starts) + 30 * DAY
    as_of = draw(st.sampled_from([late, late, late, *starts, *seen])) + draw(st.sampled_from((0, 0, 1, -1)))
    edges = st.builds(int.__add__, st.sampled_from([*starts, late]), st.sampled_from((0, 0, 1)))
    start, end = sorted((draw(edges), draw(edges)))
    return booked, as_of, *draw(st.sampled_from(((start, end), (BEGAN, late))))


@many(300)
@given(
    cases(),
    st.sampled_from((POLICY, Policy(team_months=1, lent_days=0, unseen_days=1), Policy(lent_days=60))),
)
def test_team_facts_are_those_of_a_slow_reading(
    case: tuple[list[Duty], int, int, int], policy: Policy
) -> None:
    """For any bookings: present teams, months, shares, joiners, leavers and the unseen, read literally."""
    booked, as_of, start, end = case
    found = teams(booked, policy, as_of, start, end)
    counting = [duty for duty in booked if duty.counts and duty.start < as_of]
    beginning = min((duty.start for duty in counting), default=0)
    members: dict[str, tuple[str | None, int | None, int | None, bool, bool]] = {}
    moves: list[tuple[int, str, str, str | None]] = []
    for officer in {duty.officer_id for duty in counting}:
        mine = sorted(
            (duty for duty in counting if duty.officer_id == officer),
            key=lambda duty: (duty.start, duty.duty_id),
        )
        runs = stretches(mine, policy.lent_days)
        old = mine[0].start <= beginning + policy.unseen_days * 24 * HOUR
        seen = max(min(as_of, duty.start + 24 * HOUR if duty.end is None else duty.end) for duty in mine)
        now, since = runs[-1] if runs else (None, None)
        members[officer] = (
            now,
            since,
            None if since is None else months(local_day(since), local_day(as_of)),
            old and len(runs) == 1,
            seen <= as_of - policy.unseen_days * 24 * HOUR,
        )
        for number, (name, time) in enumerate(runs):
            if start <= time < end and (number or not old):
                moves.append((time, officer, name, runs[number - 1][0] if number else None))
    assert {
        item.officer_id: (item.team, item.since, item.months, item.at_least, item.unseen)
        for item in found.members
    } == members
    for team in found.teams:
        own = {name: item for name, item in members.items() if item[0] == team.team}
        there = {name for name, item in own.items() if not item[4]}
        proven = {name for name in there if (own[name][2] or 0) >= policy.team_months}
        perhaps = {name for name in there - proven if own[name][3]}
        assert set(team.officers) == there
        assert set(team.unseen) == set(own) - there
        assert team.share_low == (float(Fraction(len(proven), len(there))) if there else None)
        assert team.share_high == (float(Fraction(len(proven) + len(perhaps), len(there))) if there else None)
        joined = sorted(move[:2] for move in moves if move[2] == team.team)
        assert [(move.time, move.officer_id) for move in team.joiners] == joined
        left = sorted(move[:2] for move in moves if move[3] == team.team)
        assert [(move.time, move.officer_id) for move in team.leavers] == left
    for move in (move for team in found.teams for move in team.joiners):
        assert (move.time, move.officer_id, move.team, move.before) in moves
    named = {item[0] for item in members.values()} | {name for move in moves for name in move[2:]}
    assert [team.team for team in found.teams] == sorted(name for name in named if name)


@many(100)
@given(bookings(), st.randoms(use_true_random=False))
def test_the_order_of_bookings_cannot_matter(booked: list[Duty], random: object) -> None:
    """Bookings in any order give the same facts."""
    again = list(booked)
    random.shuffle(again)  # type: ignore[attr-defined]
    as_of = BEGAN + 800 * DAY
    assert teams(booked, POLICY, as_of, BEGAN, as_of) == teams(again, POLICY, as_of, BEGAN, as_of)


@many(100)
@given(bookings(), st.integers(1, 900))
def test_an_officer_is_counted_once(booked: list[Duty], present: int) -> None:
    """Every officer seen of late with a team is in exactly one team, and shares keep their order."""
    as_of = BEGAN + present * DAY
    found = teams(booked, POLICY, as_of, BEGAN, as_of)
    there = [name for team in found.teams for name in (*team.officers, *team.unseen)]
    assert sorted(there) == sorted(item.officer_id for item in found.members if item.team)
    for team in found.teams:
        if team.share_low is not None and team.share_high is not None:
            assert 0 <= team.share_low <= team.share_high <= 1
    joined = sorted(
        (move for team in found.teams for move in team.joiners if move.before),
        key=lambda move: (move.time, move.officer_id),
    )
    left = sorted(
        (move for team in found.teams for move in team.leavers),
        key=lambda move: (move.time, move.officer_id),
    )
    assert joined == left


# ── Cases ─────────────────────────────────────────────────────────────────────────────────────────────────


def duty(officer: str, team: str | None, start: int) -> Duty:
    """A duty of ten hours."""
    return Duty(f"{officer}-{start}", 1, officer, start, start + 10 * HOUR, team=team)


def shifts(officer: str, *rows: tuple[str, str | None]) -> list[Duty]:
    """Duties of an officer from 07:00: ``(day, team)``."""
    return [duty(officer, team, parse_time(f"{day}T07:00:00Z")) for day, team in rows]


def weekly(officer: str, team: str, first: str, weeks: int) -> list[Duty]:
    """A duty a week from a day on."""
    start = parse_time(f"{first}T07:00:00Z")
    return [duty(officer, team, start + number * 7 * DAY) for number in range(weeks)]


def facts(*duties: list[Duty], as_of: str, since: str = "2024-01-01") -> Teams:
    """Team facts of some officers' duties."""
    end = parse_time(as_of)
    return teams([booked for item in duties for booked in item], POLICY, end, parse_time(since), end)


RECORD = shifts("R", ("2024-01-01", "Z"))
"""Somebody else's duty, long ago: the record begins here."""


def test_an_officer_who_changes_team_on_a_wednesday() -> None:
    """A change within a week ends one run and begins another at the first duty of the new team."""
    moved = shifts("O1", ("2026-11-16", "A"), ("2026-11-17", "A"), ("2026-11-18", "B"), ("2026-11-19", "B"))
    found = facts(RECORD, moved, as_of="2026-11-20", since="2026-11-18")
    [member] = [item for item in found.members if item.officer_id == "O1"]
    assert (member.team, member.since, member.months) == ("B", parse_time("2026-11-18T07:00:00Z"), 0)
    by_name = {team.team: team for team in found.teams}
    move = Move("O1", "B", "A", parse_time("2026-11-18T07:00:00Z"))
    assert by_name["A"].leavers == by_name["B"].joiners == (move,)
    assert by_name["A"].joiners == by_name["B"].leavers == ()
    assert by_name["A"].officers == ()
    assert by_name["A"].share_low is None


@pytest.mark.parametrize(
    ("back", "team_since"),
    [
        ("2026-11-16", "2025-11-03"),  # lent from the 2nd, back on the 16th: 14 days
        ("2026-11-17", "2026-11-17"),  # 15 days: away, and back as one who joined anew
    ],
)
def test_a_lend_of_fourteen_days_is_no_change_of_team(back: str, team_since: str) -> None:
    """Back within 14 days of the first duty elsewhere, an officer never left; a day later he did."""
    steady = weekly("O1", "A", "2025-11-03", 52)  # the last on 26 October 2026
    lent = shifts("O1", ("2026-11-02", "B"), ("2026-11-09", "C"), (back, "A"))
    found = facts(RECORD, steady, lent, as_of="2026-11-20", since="2026-01-01")
    [member] = [item for item in found.members if item.officer_id == "O1"]
    assert (member.team, member.since) == ("A", parse_time(f"{team_since}T07:00:00Z"))
    moves = [move for team in found.teams for move in team.joiners]
    assert bool(moves) == (back == "2026-11-17")


def test_one_who_is_not_back_yet_is_in_the_new_team() -> None:
    """The newest duty says the present team: whether it is a secondment, only the next one can tell."""
    steady = weekly("O1", "A", "2025-11-03", 52)
    away = shifts("O1", ("2026-11-02", "B"))
    [member] = [m for m in facts(RECORD, steady, away, as_of="2026-11-03").members if m.officer_id == "O1"]
    assert (member.team, member.months) == ("B", 0)


def test_the_beginning_of_the_record_is_no_joining() -> None:
    """Whose first duty lies within 28 days of the record's own beginning has been there at least so long."""
    old = weekly("O1", "A", "2026-01-01", 46)
    new = weekly("O2", "A", "2026-01-30", 42)  # 29 days after the record's beginning
    found = facts(old, new, as_of="2026-11-16")
    assert [(m.officer_id, m.months, m.at_least) for m in found.members] == [
        ("O1", 10, True),
        ("O2", 9, False),
    ]
    [team] = found.teams
    assert (team.share_low, team.share_high) == (0.0, 0.5)
    assert [(move.officer_id, move.before) for move in team.joiners] == [("O2", None)]


def test_a_year_in_the_team_is_experience() -> None:
    """Twelve whole months by the calendar are enough, at the record's beginning too."""
    old = weekly("O1", "A", "2025-11-16", 52)
    young = weekly("O2", "A", "2025-11-17", 52)
    found = facts(old, young, as_of="2026-11-16")
    [team] = found.teams
    assert team.experienced == ("O1",)
    assert team.perhaps == ("O2",)
    assert (team.share_low, team.share_high) == (0.5, 1.0)


def test_one_not_seen_for_28_days_is_listed_apart_and_has_not_left() -> None:
    """Who has had no duty for 28 days is neither in the team's share nor a leaver."""
    gone = weekly("O1", "A", "2025-01-06", 80)  # the last on 13 July 2026
    there = weekly("O2", "A", "2025-01-06", 97)  # the last on 9 November 2026
    found = facts(RECORD, gone, there, as_of="2026-11-16")
    team = next(team for team in found.teams if team.team == "A")
    assert (team.officers, team.unseen, team.leavers) == (("O2",), ("O1",), ())
    member = next(item for item in found.members if item.officer_id == "O1")
    assert local_day(member.last_seen).isoformat() == "2026-07-13"


def test_cancelled_and_teamless_duties_say_nothing_of_teams() -> None:
    """A cancelled duty counts for nothing; one without a team shows that the officer was seen, no more."""
    duties = shifts("O1", ("2026-09-01", "A"), ("2026-11-10", None))
    gone = [Duty("X", 1, "O1", parse_time("2026-11-12T07:00:00Z"), None, cancelled=True, team="B")]
    none = shifts("O2", ("2026-11-10", None))
    found = facts(RECORD, duties, gone, none, as_of="2026-11-16")
    assert [(m.officer_id, m.team, m.unseen) for m in found.members] == [
        ("O1", "A", False),
        ("O2", None, False),
        ("R", "Z", True),
    ]


@pytest.mark.parametrize(
    ("since", "as_of", "count"),
    [
        ("2025-11-23", "2026-11-22", 11),
        ("2025-11-23", "2026-11-23", 12),
        ("2026-01-31", "2026-02-28", 0),
        ("2026-01-31", "2026-03-01", 1),
        ("2024-02-29", "2025-02-28", 11),
        ("2024-02-29", "2025-03-01", 12),
        ("2026-10-25", "2026-11-25", 1),
    ],
)
def test_months_are_whole_calendar_months(since: str, as_of: str, count: int) -> None:
    """A month is whole on the same day of the next, or on the day after where that month has no such day."""
    assert months_between(parse_time(since) + 22 * HOUR, parse_time(as_of)) == count


def test_tables_say_what_was_found() -> None:
    """``teams.csv`` and ``officers.csv`` have a row a team and an officer; JSON has the moves as well."""
    moved = shifts("O1", ("2026-11-16", "A"), ("2026-11-18", "B"))
    found = facts(RECORD, moved, as_of="2026-11-20")
    columns = ["team", "officers", "share_low", "joiners", "leavers", "unseen"]
    rows = teams_table(found).select(columns).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("A", "0", "", "1", "1", "0"),
        ("B", "1", "0.000000000", "1", "0", "0"),
        ("Z", "0", "", "0", "0", "1"),
    ]
    rows = officers_table(found).select(["officer_id", "team", "since", "months", "at_least"]).to_pylist()
    assert rows[0] == {
        "officer_id": "O1",
        "team": "B",
        "since": "2026-11-18T07:00:00.000000Z",
        "months": "0",
        "at_least": "false",
    }
    said = teams_json(found)
    assert said["teams"][1]["joiners"] == [
        {"officer_id": "O1", "team": "B", "before": "A", "time": "2026-11-18T07:00:00.000000Z"}
    ]
    nobody = teams([], POLICY, day_start(local_day(0)), 0, 1)
    assert teams_table(nobody).num_rows == officers_table(nobody).num_rows == 0
