"""Summaries of weeks that a person can add up in the head: what is expected is written out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import shapely

from geo.areas import Area, AreaSet, Kind
from stream.core.calendar import Period, parse_time
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import Policies
from stream.store import areas, publications
from stream.store.ledger import Ledger
from stream.store.reading.summaries import summaries
from stream.store.schema import connect
from tests.oracle.reading import differences, parts_that_do_not_add_up
from tests.oracle.summaries import recount
from tests.shell.stored import migrated, put_in_force
from tests.strategies import BINARY, Fix, fix_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.core.summaries.model import Hour, OfficerSummary, PriorityArea, Summary, TeamFacts
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
POLICIES = Policies()
LATER = parse_time("2027-06-01T00:00:00Z")
"""When people look: all weeks here are long over."""

SPOTS = {
    "west": (1.0, 2.0),
    "north": (1.0, 6.0),
    "market": (3.0, 6.0),
    "east": (15.0, 2.0),
    "edge": (7.0, 2.0),
}
"""In grid units of some 130 m by 220 m: half way from north to market is the market's edge, and half way from
west to east the border."""


def _ground(area_id: str, name: str, west: float, east: float) -> Area:
    return Area(Kind.NEIGHBOURHOOD, area_id, name, shapely.box(*BINARY.at(west, 0), *BINARY.at(east, 8)))


def _market(**said: str) -> Area:
    ground = shapely.box(*BINARY.at(2, 5), *BINARY.at(4, 7))
    return Area(Kind.PRIORITY, "P1", "the market", ground, {"issue": "theft"} | said)


@dataclass
class Facts:
    """Two neighbourhoods, ``N1`` in the west and ``N2`` in the east, and what happened there."""

    connection: Connection
    ledger: Ledger
    _rows: list[Fix] = field(default_factory=list)
    _where: dict[str, tuple[int, str]] = field(default_factory=dict)

    def publish(self, *found: Area, since: int = 0) -> None:
        """Publishes areas before anything is counted."""
        everything = AreaSet.of(found)
        for kind in Kind:
            if kind in everything.kind:
                areas.publish(
                    self.connection, everything, kind, since, file=f"{kind}.gpkg", sha256="ab", by="test"
                )

    def book(
        self,
        officer: str,
        patch: str,
        start: int,
        hours: float | None,
        *more: Allocation,
        team: str | None = None,
    ) -> Duty:
        """Books a duty with a radio."""
        duty = Duty(
            duty_id=f"D-{officer}-{start}",
            revision=1,
            officer_id=officer,
            start=start,
            end=None if hours is None else start + int(hours * HOUR),
            patch=(patch,),
            devices=(Allocation(f"R{officer}", "radio"), *more),
            name=f"PC {officer}",
            role="npt",
            team=team,
        )
        self.ledger.bookings([duty], ())
        return duty

    def key(self, officer: str, time: int, state: int) -> None:
        """Keys a state."""
        self.ledger.bookings((), [StateReport(officer, time, state)])

    def stand(self, device: str, spot: str, start: int, end: int) -> None:
        """A device at a spot from one time to another, with a report at each and every five minutes between.

        Where it stood elsewhere until now, it comes over in a straight line in half a minute: the reports are
        15 s before and after, so that half way, often an edge, is passed just now.
        """
        last = self._where.get(device)
        moves = last is not None and last[0] == start and last[1] != spot
        if moves:
            assert last is not None
            del self._rows[-1]
            self._rows.append((device, start - 15 * SECOND, *BINARY.at(*SPOTS[last[1]]), None))
            self._rows.append((device, start + 15 * SECOND, *BINARY.at(*SPOTS[spot]), None))
        times = {*range(start + 5 * MINUTE if moves else start, end, 5 * MINUTE), end}
        self._rows += [(device, time, *BINARY.at(*SPOTS[spot]), None) for time in sorted(times)]
        self._where[device] = (end, spot)

    def tell(self) -> None:
        """Everything that devices have to tell is told."""
        if self._rows:
            self.ledger.positions(fix_columns(self._rows))
        self._rows.clear()

    def summary(self, name: str, area_id: str = "N1", *, now: int = LATER) -> Summary:
        """A neighbourhood's summary; what the oracle counts is the same."""
        self.tell()
        period = Period.named("week" if "W" in name else "month", name)
        [found] = summaries(self.connection, POLICIES, period, area_ids=[area_id], now=now)
        before = 4 if "W" in name else 1
        rules = recount(
            self.connection, POLICIES, name, area_id, now=now, past=len(found.past) - 1, before=before
        )
        lines = differences(rules, found) + parts_that_do_not_add_up(found)
        assert not lines, "\n".join(lines[:40])
        return found


WEST, EAST = _ground("N1", "Westcotes", 0, 8), _ground("N2", "Eastgate", 8, 16)


@pytest.fixture(scope="module")
def opened(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each test empties it."""
    with migrated(database_server, "cases") as dsn, connect(dsn) as connection:
        put_in_force(connection, POLICIES)
        yield connection


@pytest.fixture
def facts(opened: Connection) -> Facts:
    """Two neighbourhoods and nothing else."""
    opened.execute(
        "truncate area, area_version, fix_row, fix_open, fix_chunk, allocation, state, stay, stay_end, "
        "slice, slice_end, duty_revision, duty, officer, device, restated, restatement, recomputed, heard "
        "restart identity"
    )
    found = Facts(opened, Ledger(opened))
    found.publish(WEST, EAST)
    return found


def at(text: str) -> int:
    """A time, UTC where nothing else is said."""
    return parse_time(text if "+" in text else f"{text}+00:00")


def hour(found: Summary, day: str, number: int, *, again: bool = False) -> Hour:
    """One hour of a summary."""
    [row] = [row for row in found.hours if (row.day, row.hour, row.again) == (day, number, again)]
    return row


def area(found: Summary) -> PriorityArea:
    """The one priority area of a summary."""
    [row] = found.areas
    return row


def officer(found: Summary, name: str) -> OfficerSummary:
    """One officer of a summary."""
    [row] = [row for row in found.officers if row.officer_id == name]
    return row


def team(found: Summary, name: str) -> TeamFacts:
    """One team of a summary."""
    [row] = [row for row in found.teams if row.team == name]
    return row


def test_a_night_over_monday_is_divided_between_the_weeks(facts: Facts) -> None:
    """Sunday 22:00 to Monday 07:00: two hours in one week, seven in the next; a visit is the first's."""
    facts.publish(_market())
    start, midnight = at("2026-11-22T22:00"), at("2026-11-23T00:00")
    duty = facts.book("1", "N1", start, 9)
    facts.stand("R1", "north", start, midnight - 10 * MINUTE)
    facts.stand("R1", "market", midnight - 10 * MINUTE, midnight + 11 * MINUTE)
    facts.stand("R1", "north", midnight + 11 * MINUTE, start + 9 * HOUR)

    sunday, monday = facts.summary("2026-W47"), facts.summary("2026-W48")
    assert (sunday.figures.on_patch, monday.figures.on_patch) == (2 * HOUR, 7 * HOUR)
    assert (sunday.figures.priority, monday.figures.priority) == (10 * MINUTE, 11 * MINUTE)
    assert [row.on_patch for row in sunday.hours if row.duty] == [HOUR] * 2
    assert [(row.day, row.hour) for row in monday.hours if row.duty] == [
        ("2026-11-23", number) for number in range(7)
    ]
    for found in (sunday, monday):
        assert (found.verdict, found.figures.share) == ("met", 1.0)
        [line] = officer(found, "1").duties
        assert (line.duty_id, line.start, line.end) == (duty.duty_id, start, start + 9 * HOUR)
        assert line.figures.on_patch == found.figures.on_patch

    seen, gone_on = area(sunday).figures, area(monday).figures
    assert (seen.visits, seen.visits_by_length, seen.officer_time) == (1, (0, 0, 0, 1), 10 * MINUTE)
    assert seen.last_visit_end == midnight + 11 * MINUTE
    assert (gone_on.visits, gone_on.officer_time, gone_on.last_visit_end) == (0, 11 * MINUTE, None)
    assert [past.name for past in monday.past][-2:] == ["2026-W47", "2026-W48"]
    assert monday.past[-2].figures == sunday.figures
    assert all(past.figures is None for past in monday.past[:-2])


def test_the_week_in_which_the_clocks_go_back_has_169_hours(facts: Facts) -> None:
    """An hour comes twice: ten hours from 22:00 to 07:00, half an hour more of the market's own."""
    facts.publish(_market(hours="00:30-01:30"))
    start, end = at("2026-10-24T22:00+01:00"), at("2026-10-25T07:00+00:00")
    facts.book("1", "N1", start, 10, Allocation("V1", "vehicle"))
    for device in ("R1", "V1"):
        facts.stand(device, "west", start, end)
    found = facts.summary("2026-W43")

    assert len(found.hours) == 169
    assert found.end - found.start == 169 * HOUR
    assert found.figures.on_patch == 10 * HOUR
    twice = [hour(found, "2026-10-25", 1, again=again) for again in (False, True)]
    assert [(row.start, row.on_patch) for row in twice] == [
        (at("2026-10-25T00:00"), HOUR),
        (at("2026-10-25T01:00"), HOUR),
    ]
    assert [row.wanted for row in twice] == [("P1",), ("P1",)]
    assert sum(bool(row.wanted) for row in found.hours) == 2 * 7 + 1
    assert area(found).own_time == 7 * HOUR + 30 * MINUTE
    assert not area(found).always
    assert (found.crewed.single, found.crewed.double) == (10 * HOUR, 0)
    assert found.crewed.single_by_hour[:3] == (HOUR, 2 * HOUR, HOUR)
    assert found.crewed.single_by_hour[22:] == (HOUR, HOUR)


def test_the_week_in_which_the_clocks_go_forward_has_167_hours(facts: Facts) -> None:
    """An hour is left out: eight hours from 22:00 to 07:00, half an hour less of the market's own."""
    facts.publish(_market(hours="00:30-01:30"))
    start, end = at("2026-03-28T22:00+00:00"), at("2026-03-29T07:00+01:00")
    facts.book("1", "N1", start, 8, Allocation("V1", "vehicle"))
    for device in ("R1", "V1"):
        facts.stand(device, "west", start, end)
    found = facts.summary("2026-W13")

    assert len(found.hours) == 167
    assert found.figures.on_patch == 8 * HOUR
    sunday = [row for row in found.hours if row.day == "2026-03-29"]
    assert [row.hour for row in sunday] == [0, *range(2, 24)]
    assert [row.on_patch for row in sunday[:7]] == [HOUR] * 6 + [0]
    assert sum(bool(row.wanted) for row in found.hours) == 2 * 7 - 1
    assert area(found).own_time == 6 * HOUR + 30 * MINUTE
    assert found.crewed.single_by_hour[:4] == (HOUR, 0, HOUR, HOUR)
    assert found.crewed.single == 8 * HOUR


def test_an_officer_who_changes_team_on_wednesday_counts_in_both(facts: Facts) -> None:
    """Two shifts for the old neighbourhood, three for the new; the team is the new, with no month in it."""
    for name, first in (("1", "2025-09-01T08:00"), ("2", "2025-09-02T08:00"), ("3", "2026-08-03T08:00")):
        facts.book(name, "N2" if name == "3" else "N1", at(first), 8, team="B" if name == "3" else "A")
    for number, day in enumerate(("16", "17", "18", "19", "20")):
        start = at(f"2026-11-{day}T08:00")
        home, spot, new = ("N1", "west", "A") if number < 2 else ("N2", "east", "B")
        facts.book("1", home, start, 8, team=new)
        facts.stand("R1", spot, start, start + 8 * HOUR)
    facts.book("2", "N1", at("2026-11-20T08:00"), 8, team="A")
    facts.book("3", "N2", at("2026-11-20T08:00"), 8, team="B")

    old, new_home = facts.summary("2026-W47", "N1"), facts.summary("2026-W47", "N2")
    assert [row.officer_id for row in old.officers] == ["1", "2"]
    assert [row.officer_id for row in new_home.officers] == ["1", "3"]
    assert officer(old, "1").figures.on_patch == 16 * HOUR
    assert officer(new_home, "1").figures.on_patch == 24 * HOUR
    assert [line.team for line in officer(old, "1").duties] == ["A", "A"]
    assert [line.team for line in officer(new_home, "1").duties] == ["B"] * 3
    for found in (old, new_home):
        moved = officer(found, "1")
        assert (moved.team, moved.team_months, moved.team_at_least) == ("B", 0, False)
    # The first of them was there when the record began: fourteen months at least.
    stayed = officer(old, "2")
    assert (stayed.team, stayed.team_months, stayed.team_at_least) == ("A", 14, True)
    # The other was not: from 3 August to 23 November there are three whole months.
    third = officer(new_home, "3")
    assert (third.team, third.team_months, third.team_at_least) == ("B", 3, False)
    left, joined = team(old, "A"), team(new_home, "B")
    assert (left.officers, left.experienced, left.perhaps) == (1, 1, 0)
    assert (left.joined, left.left) == ((), ("PC 1",))
    assert (joined.officers, joined.experienced, joined.perhaps) == (2, 0, 0)
    assert (joined.joined, joined.left) == (("PC 1",), ())


def test_a_neighbourhood_without_duties_has_visits_and_no_share(facts: Facts) -> None:
    """Nobody is booked for it: no figure, never 0%; a colleague's visit and car are there all the same."""
    facts.publish(_market(days="Mon-Fri", hours="09:00-17:00"))
    start = at("2026-11-17T08:00")
    facts.book("1", "N2", start, 8, Allocation("V1", "vehicle", start + HOUR, start + 3 * HOUR))
    facts.stand("R1", "north", start, start + 2 * HOUR)
    facts.stand("R1", "market", start + 2 * HOUR, start + 2 * HOUR + 4 * MINUTE)
    facts.stand("R1", "north", start + 2 * HOUR + 4 * MINUTE, start + 8 * HOUR)
    facts.stand("V1", "west", start, start + 8 * HOUR)
    found = facts.summary("2026-W47", "N1")

    assert (found.figures.duty, found.figures.share, found.verdict) == (0, None, None)
    assert (found.officers, found.teams, found.away) == ((), (), ())
    assert all(past.figures is None for past in found.past)
    assert len(found.hours) == 168
    assert sum(row.duty + row.on_break for row in found.hours) == 0
    visited = area(found)
    assert (visited.days, visited.hours, visited.issue) == ("Mon-Fri", "09:00-17:00", "theft")
    assert visited.own_time == 40 * HOUR
    figures = visited.figures
    assert (figures.visits, figures.visits_others, figures.visits_in_window) == (1, 1, 1)
    assert (figures.visits_by_length, figures.others_time) == ((1, 0, 0, 0), 4 * MINUTE)
    assert (found.crewed.single, found.crewed.double) == (2 * HOUR, 0)
    assert found.crewed.single_by_hour[9:11] == (HOUR, HOUR)
    assert found.name == "2026-W47"
    assert found.area_name == "Westcotes"


def test_a_single_officer_is_the_figure(facts: Facts) -> None:
    """Of eight hours six on patch, one in the next ward, one unheard: 75%, which proves nothing."""
    start = at("2026-11-18T08:00")
    facts.book("1", "N1", start, 8)
    facts.stand("R1", "west", start, start + 6 * HOUR)
    facts.stand("R1", "east", start + 6 * HOUR, start + 7 * HOUR)
    facts.key("1", start + 6 * HOUR + 30 * MINUTE, 6)
    found = facts.summary("2026-W47")

    figures = found.figures
    assert (figures.on_patch, figures.off_patch, figures.unknown) == (6 * HOUR, HOUR, HOUR)
    assert (figures.not_visible, figures.on_break, figures.priority) == (0, 0, 0)
    # The leg over the border takes half a minute, and nobody saw when it passed.
    assert (figures.ambiguous_on, figures.ambiguous_off) == (15 * SECOND, 15 * SECOND)
    assert figures.share == 0.75
    assert figures.share_low == (6 * 3600 - 15) / 28_800
    assert figures.share_high == (7 * 3600 + 15) / 28_800
    assert found.verdict == "not proven"
    [only] = found.officers
    assert (only.name, only.role, only.team, only.team_months) == ("PC 1", "npt", "", None)
    assert only.figures.on_patch == figures.on_patch
    assert only.away == HOUR
    assert {(item.neighbourhood_name, item.state_name, item.time) for item in found.away} == {
        ("Eastgate", "on_duty", 30 * MINUTE),
        ("Eastgate", "at_scene", 30 * MINUTE),
    }
    assert all(item.before == (None,) * 4 for item in found.away)
    assert [row.hour for row in found.hours if row.unknown] == [15]
    assert found.areas == ()


def test_boundaries_that_move_amid_the_week_divide_it_and_are_on_record(facts: Facts) -> None:
    """A spot that is the neighbour's from Wednesday noon on: twelve hours on patch and twelve off."""
    for day in ("17", "18", "19"):
        start = at(f"2026-11-{day}T08:00")
        facts.book("1", "N1", start, 8)
        facts.stand("R1", "edge", start, start + 8 * HOUR)
    facts.tell()
    noon = at("2026-11-18T12:00")
    publications.publish(
        facts.connection,
        AreaSet.of([_ground("N1", "Old Westcotes", 0, 6), _ground("N2", "Eastgate", 6, 16), _market()]),
        noon,
        file="new.gpkg",
        sha256="cd",
        by="A. Mapper",
        why="ward review",
        now=at("2026-11-23T09:00"),
    )
    found = facts.summary("2026-W47")

    assert found.area_name == "Old Westcotes"
    assert (found.figures.on_patch, found.figures.off_patch) == (12 * HOUR, 12 * HOUR)
    assert hour(found, "2026-11-18", 11).on_patch == HOUR
    assert hour(found, "2026-11-18", 12).off_patch == HOUR
    assert [(item.kind, item.version, item.valid_from) for item in found.basis.boundaries] == [
        ("neighbourhood", 1, None),
        ("neighbourhood", 2, noon),
        ("priority", 3, noon),
    ]
    # The market is wanted from then on: of the week four and a half days are left.
    assert (area(found).own_time, area(found).always) == (108 * HOUR, True)
    [change] = found.changes
    assert (change.cause, change.by, change.why) == ("areas published", "A. Mapper", "ward review")
    assert change.before is not None
    assert change.after is not None
    assert (change.before.on_patch, change.before.off_patch) == (24 * HOUR, 0)
    assert (change.after.on_patch, change.after.off_patch) == (12 * HOUR, 12 * HOUR)
    assert found.verdict == "missed"


def test_a_week_that_runs_is_counted_up_to_now(facts: Facts) -> None:
    """Wednesday noon: Tuesday's shift and four hours of today's, nothing of what is booked to come."""
    now = at("2026-11-18T12:00")
    for day in ("17", "18", "19"):
        facts.book("1", "N1", at(f"2026-11-{day}T08:00"), 8)
    facts.stand("R1", "west", at("2026-11-17T08:00"), at("2026-11-17T16:00"))
    facts.stand("R1", "west", at("2026-11-18T08:00"), now)
    found = facts.summary("2026-W47", now=now)

    assert not found.complete
    assert (found.basis.as_of, found.basis.until) == (now, now)
    assert (found.figures.on_patch, found.figures.duty) == (12 * HOUR, 12 * HOUR)
    assert found.verdict == "met"
    assert len(found.hours) == 168
    assert sum(row.duty for row in found.hours if row.start >= now) == 0
    assert len(officer(found, "1").duties) == 2
    assert facts.summary("2026-W46", now=now).complete


# ── What the facts are worth ──────────────────────────────────────────────────────────────────────────────


def test_each_fault_of_the_facts_is_told_of_the_duties_that_it_touches(facts: Facts) -> None:
    """A mistyped id, exchanged coordinates, an unknown patch, duties that cannot be right: one line each."""
    start = at("2026-11-17T08:00")
    facts.book("1", "N1", start, 8)
    facts.stand("R1", "west", start, start + 8 * HOUR)
    facts.book("002", "N1", start, 8)  # heard as R002, booked with a blank
    facts.ledger.bookings([_booked("typo", start, 8, "r 002")], ())
    facts.stand("R002", "west", start - 5 * HOUR, start + HOUR)
    facts.book("3", "N1", start, 8)
    facts._rows += [("R3", start + step * 5 * MINUTE, *BINARY.at(1, 2)[::-1], None) for step in range(60)]
    facts.ledger.bookings([_booked("patch", start, 8, "R4", patch=("N1", "n 1"))], ())
    facts.stand("R4", "east", start, start + 8 * HOUR)
    facts.ledger.bookings([_booked("long", start, 30, "R5")], ())
    facts.stand("R5", "west", start, start + 30 * HOUR)
    facts.ledger.bookings([_booked("open", start, None, "R6")], ())
    facts.stand("R6", "west", start, start + 20 * HOUR)
    facts.ledger.bookings([_booked("bare", start, 8)], ())
    facts.ledger.bookings([_booked("twice", start, 8, "R7")], ())
    facts.ledger.bookings([_booked("again", start + 6 * HOUR, 8, "R7", officer="twice")], ())
    facts.stand("R7", "west", start, start + 14 * HOUR)
    found = facts.summary("2026-W47")
    assert found.quality is not None
    told = {(row.finding, row.scope, row.id) for row in found.quality.findings}
    assert told == {
        ("unknown_patch", "patch", "n 1"),
        ("swapped_coordinates", "device", "R3"),
        ("near_id", "device", "r 002"),
        ("never_heard", "device", "r 002"),
        ("too_long_duty", "duty", "long"),
        ("open_duty", "duty", "open"),
        ("overlapping_duties", "officer", "twice"),
        ("no_device", "duty", "bare"),
    }
    assert found.quality.questioned
    lines = " ".join(found.quality.said)
    for words in (
        "longitude and latitude exchanged",
        "r 002",
        "was booked for 30 hours and counts for nothing",
        "names no device",
    ):
        assert words in lines


def test_a_radio_under_another_id_is_named(facts: Facts) -> None:
    """R0012345 is booked and silent, 12345 is heard and not booked: told together."""
    start = at("2026-11-17T08:00")
    facts.ledger.bookings([_booked("typo", start, 8, "0012345")], ())
    facts.stand("12345", "west", start, start + 8 * HOUR)
    facts.ledger.bookings([_booked("later", start + 8 * 24 * HOUR, 8, "12345")], ())
    found = facts.summary("2026-W47")
    assert found.quality is not None
    assert [(row.finding, row.id) for row in found.quality.findings] == [
        ("near_id", "0012345"),
        ("never_heard", "0012345"),
    ]
    assert "but '12345' was: they differ in zeros at the front" in found.quality.said[0]
    assert found.quality.turning == ""  # all of it is unknown already


def test_two_radios_under_nearly_one_id_are_asked_about(facts: Facts) -> None:
    """0012345 and 12345, both booked and both heard: told once, with the one that fewer duties name first."""
    start = at("2026-11-17T08:00")
    for name, radio in (("one", "0012345"), ("two", "12345")):
        facts.ledger.bookings([_booked(name, start, 8, radio)], ())
        facts.stand(radio, "west", start, start + 8 * HOUR)
    facts.ledger.bookings([_booked("more", start + 24 * HOUR, 8, "12345", officer="two")], ())
    facts.stand("12345", "west", start + 24 * HOUR, start + 32 * HOUR)
    found = facts.summary("2026-W47")
    assert found.quality is not None
    [row] = found.quality.findings
    assert (row.finding, row.id, row.detail, row.count) == ("two_ids", "0012345", "12345", 1)
    assert "both booked and both heard: they differ in zeros at the front" in found.quality.said[0]
    assert found.quality.turning == ""


def test_what_was_kept_of_reports_can_turn_the_verdict(facts: Facts) -> None:
    """A day on patch whose reports all came an hour late is met, and would be not proven without it."""
    start = at("2026-11-17T08:00")
    facts.book("1", "N1", start, 8)
    facts.stand("R1", "west", start, start + 8 * HOUR)
    facts.tell()
    connection = facts.connection
    connection.execute(
        "insert into heard (device, day, verdict, delay, count) select device, 20774, "
        "array[-1, 3]::smallint[], array[3600, 3600], array[480, 7] from device where device_id = 'R1'"
    )
    for area_ids in (["N1"], None):
        period = Period.week("2026-W47")
        found = next(
            item
            for item in summaries(connection, POLICIES, period, area_ids=area_ids, now=LATER)
            if item.area_id == "N1"
        )
        assert found.verdict == "met"
        worth = found.quality
        assert worth is not None
        assert worth.verdict == "not proven"
        assert "1 radio with a wrong clock" in worth.turning
        assert worth.reports is not None
        assert (worth.reports.taken, worth.reports.delay_median) == (480, 3600)
        assert worth.reports.rejected == (("not_a_fix", 7),)
        assert worth.questioned == 8 * HOUR


def _booked(
    name: str,
    start: int,
    hours: float | None,
    *devices: str,
    patch: tuple[str, ...] = ("N1",),
    officer: str | None = None,
) -> Duty:
    return Duty(
        duty_id=name,
        revision=1,
        officer_id=officer or name,
        start=start,
        end=None if hours is None else start + int(hours * HOUR),
        patch=patch,
        devices=tuple(Allocation(device, "radio") for device in devices),
    )
