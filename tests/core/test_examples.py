"""The worked examples of the accounting rules, and cases a person would ask about, through the core.

Patch A is a square whose east edge is the meridian ``EDGE``; a fix lies so many metres east of that edge
(negative: inside A) and some way north of A's south side. Expectations read as little timelines: from, to (in
seconds), activity, reason.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from shapely.geometry import box

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import FOREVER, UNKNOWN, AreaHistory
from stream.core.calendar import day_bounds, days, week_bounds, weeks
from stream.core.events import Reason, decode_positions
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import BEGINNING, Policies, Policy, limits
from stream.core.shares import Figures, shares
from stream.core.slices import ACTIVITIES, NO_DEVICE, NO_STATE, newest, reason, slices, whole_slices
from stream.core.stays import EARTH_RADIUS_M, stays, whole_stays
from tests.strategies import fix_columns, micros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely import Polygon

    from stream.core.slices import Slices

EDGE, SOUTH = -1.125, 52.625
POLICIES = Policies()
STATE_NAMES = {code: state.name for code, state in POLICIES.policies[0].states.items()} | {NO_STATE: ""}

Fix = tuple[str, int, float, float, "float | None"]
Row = tuple[float, float, str, str]


def east(metres: float) -> float:
    """The longitude so many metres east of A's edge, on the parallel of the fixes."""
    return EDGE + math.degrees(metres / (EARTH_RADIUS_M * math.cos(math.radians(SOUTH + 0.005))))


def fix(seconds: float, metres: float, device_id: str = "R1") -> Fix:
    """A fix with an error of 10 m."""
    return (device_id, round(seconds * SECOND), east(metres), SOUTH + 0.005, 10.0)


def held(start_s: int, end_s: int, metres: float = -500, device_id: str = "R1") -> list[Fix]:
    """A fix each 30 s at one spot, by default deep in A."""
    return [fix(seconds, metres, device_id) for seconds in range(start_s, end_s + 1, 30)]


A = Area(Kind.NEIGHBOURHOOD, "A", "A", box(EDGE - 0.02, SOUTH, EDGE, SOUTH + 0.02))
B = Area(Kind.NEIGHBOURHOOD, "B", "B", box(EDGE, SOUTH, EDGE + 0.02, SOUTH + 0.02))
STATION = Area(Kind.PREMISES, "S", "Station", box(east(-600), SOUTH, east(-400), SOUTH + 0.02))


def areas(*found: Area, start: int = BEGINNING) -> tuple[int, AreaSet]:
    """One version of the boundaries."""
    return start, AreaSet.of(found)


def duty(start_s: float, end_s: float | None, *devices: Allocation, **more: object) -> Duty:
    """O1's duty with patch A, by default with radio R1."""
    plain = Duty(
        "D1",
        1,
        "O1",
        round(start_s * SECOND),
        None if end_s is None else round(end_s * SECOND),
        ("A",),
        devices or (Allocation("R1", "radio"),),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def keyed(seconds: float, state: int, officer_id: str = "O1") -> StateReport:
    """A state keyed at a time."""
    return StateReport(officer_id, round(seconds * SECOND), state)


class Case:
    """A small case, counted."""

    def __init__(
        self,
        fixes: Sequence[Fix],
        duties: Sequence[Duty],
        states: Sequence[StateReport] = (),
        *versions: tuple[int, AreaSet],
    ) -> None:
        self.fixes, self.duties = fix_columns(fixes), newest(duties)
        self.history = AreaHistory(versions or [areas(A)])
        found = stays(self.fixes, self.history, POLICIES)
        names, places = self.fixes.device_ids, self.history.places
        self.fine = slices(self.duties, found, names, states, places, POLICIES)
        # As rules 7 and 12 have them, without what is near.
        self.stays = whole_stays(found, places)
        self.slices, _ = whole_slices(self.fine, self.duties, places, POLICIES, until=FOREVER)

    def rows(self, duty_id: str = "D1") -> list[Row]:
        """The slices of one duty as ``(start s, end s, activity, reason)``."""
        number = [duty.duty_id for duty in self.duties].index(duty_id)
        return [self._row(self.slices, at) for at in np.flatnonzero(self.slices.duty == number).tolist()]

    def _row(self, found: Slices, at: int) -> Row:
        place = None if found.place[at] == UNKNOWN else self.history.places[found.place[at]]
        activity = int(found.activity[at])
        return (
            int(found.start[at]) / SECOND,
            int(found.end[at]) / SECOND,
            ACTIVITIES[activity],
            reason(activity, STATE_NAMES[int(found.state[at])], place),
        )

    def devices(self) -> list[str]:
        """The source device of each slice, empty where there is none."""
        return ["" if at == NO_DEVICE else self.fixes.device_ids[at] for at in self.slices.device.tolist()]

    def known(self) -> list[tuple[float, float, str]]:
        """The stays as ``(start s, end s, neighbourhood)``: ``-`` outside, ``?`` unknown."""
        return [
            (
                start / SECOND,
                end / SECOND,
                "?" if place == UNKNOWN else self.history.places[place].neighbourhood or "-",
            )
            for start, end, place in zip(
                self.stays.start.tolist(), self.stays.end.tolist(), self.stays.place.tolist(), strict=True
            )
        ]

    def figures(self, start_s: float, end_s: float) -> dict[tuple[str, str], Figures]:
        """The figures of a period by scope and id."""
        found = shares(
            self.fine, self.duties, self.history.places, round(start_s * SECOND), round(end_s * SECOND)
        )
        return {(item.scope, item.id): item for item in found}


# ── The worked examples ───────────────────────────────────────────────────────────────────────────────────


def test_crossing() -> None:
    """Crossing: 0 s in A 100 m from the edge, 10 s outside 100 m from it: on patch [0, 5), off [5, 10)."""
    # The edge may fall a rounding error of a coordinate to either side: some nanometres, no microsecond.
    assert Case([fix(0, -100), fix(10, 100)], [duty(0, 10)]).rows() == [
        (0, 5, "on_patch", ""),
        (5, 10, "off_patch", "outside"),
    ]


def test_short_gap() -> None:
    """Short gap: 0 s in A, 300 s in A: on patch 300 s."""
    assert Case([fix(0, -100), fix(300, -200)], [duty(0, 300)]).rows() == [(0, 300, "on_patch", "")]


def test_long_gap() -> None:
    """Long gap: 0 s in A, 301 s in A, 51 m away: unknown 301 s."""
    assert Case([fix(0, -100), fix(301, -151)], [duty(0, 301)]).rows() == [(0, 301, "unknown", "")]


def test_parked() -> None:
    """Parked: 0 s in A, 1,800 s in A, 20 m away: on patch 1,800 s."""
    assert Case([fix(0, -100), fix(1800, -120)], [duty(0, 1800)]).rows() == [(0, 1800, "on_patch", "")]


def test_vehicle_helps() -> None:
    """Vehicle helps: radio silent 0-600 s, allocated vehicle in A with a fix each 30 s: on patch 600 s."""
    booked = duty(0, 600, Allocation("R1", "radio"), Allocation("V1", "vehicle"))
    case = Case(held(0, 600, device_id="V1"), [booked])
    assert case.rows() == [(0, 600, "on_patch", "")]
    assert case.devices() == ["V1"]


def test_station_inside_a() -> None:
    """Station inside A: radio in premises inside A 0-600 s: not visible 600 s, because of the premises."""
    case = Case(held(0, 600), [duty(0, 600)], (), areas(A, STATION))
    assert case.rows() == [(0, 600, "not_visible", "S")]


def test_break() -> None:
    """Break: a 10 h duty with 45 min in state 4, the rest in A: share 1.0 of 33,300 s."""
    states = [keyed(14_400, 4), keyed(14_400 + 2_700, 2)]
    figure = Case(held(0, 36_000), [duty(0, 36_000)], states).figures(0, 36_000)["officer", "O1"]
    assert figure.share == 1.0
    assert figure.duty == 33_300 * SECOND
    assert figure.on_break == 2_700 * SECOND


def test_unknown() -> None:
    """Unknown: an 8 h duty, 6 h in A, 1 h off, 1 h no signal: 0.75, 0.875 possible, not proven at 0.80."""
    fixes = [*held(0, 21_570), fix(21_585, -500), fix(21_615, 500), *held(21_630, 25_200, 500)]
    figure = Case(fixes, [duty(0, 28_800)]).figures(0, 28_800)["neighbourhood", "A"]
    assert figure.share == 0.75
    assert figure.unknown == 3_600 * SECOND
    assert (figure.on_patch + figure.unknown) / figure.duty == 0.875
    assert figure.share_low is not None
    assert figure.share_high is not None
    # When in its 30 s the one leg passed the edge, nobody saw: half of it counts on patch, half off it.
    assert figure.share_low == (21_600 - 15) / 28_800
    assert figure.share_high == (21_600 + 3_600 + 15) / 28_800
    assert figure.verdict(0.80) == "not proven"


def test_invalid() -> None:
    """Invalid: 8 h in A, a fix a minute; those of the last 7 h not valid: 0.125, high 1, not proven."""
    start = micros("2026-11-23T08:00:00+00:00")
    messages = [
        msgspec.json.encode(
            {
                "device_id": "R1",
                "time": (start + minute * 60 * SECOND) // 1000,
                "lon": east(-500),
                "lat": SOUTH + 0.005,
                "valid": minute <= 60,
            }
        )
        for minute in range(481)
    ]
    decoded = decode_positions(messages, None, limits=limits(POLICIES))
    assert {reject.reason for reject in decoded.rejects} == {Reason.NOT_A_FIX}
    assert len(decoded.rejects) == 420
    used = decoded.fixes
    fixes: list[Fix] = [
        ("R1", time - start, lon, lat, None)
        for time, lon, lat in zip(used.time.tolist(), used.lon.tolist(), used.lat.tolist(), strict=True)
    ]
    figure = Case(fixes, [duty(0, 28_800)]).figures(0, 28_800)["neighbourhood", "A"]
    assert (figure.on_patch, figure.unknown) == (3_600 * SECOND, 25_200 * SECOND)
    assert (figure.share, figure.share_high, figure.verdict(0.80)) == (0.125, 1.0, "not proven")


@pytest.mark.parametrize("metres", [(160_000,), (160_000, 160_010, 160_000, 160_050, 160_000)])
def test_impossible(metres: tuple[float, ...]) -> None:
    """Impossible: fixes each 60 s in A, five 160 km away, in A: unknown between those in A."""
    far = [fix(600 + 60 * at, metres[at % len(metres)]) for at in range(1, 6)]
    case = Case([*held(0, 600), *far, *held(960, 1800)], [duty(0, 1800)])
    assert case.rows() == [
        (0, 600, "on_patch", ""),
        (600, 960, "unknown", ""),
        (960, 1800, "on_patch", ""),
    ]


def test_impossible_alone() -> None:
    """A lone fix 160 km away is a jump and is ignored; without one after it the leg there is unknown."""
    booked = [duty(0, 600)]
    assert Case([*held(0, 300), fix(315, 160_000), *held(330, 600)], booked).rows() == [
        (0, 600, "on_patch", "")
    ]
    assert Case([*held(0, 300), fix(315, 160_000)], booked).rows() == [
        (0, 300, "on_patch", ""),
        (300, 600, "unknown", ""),
    ]


def test_who_stays_far_away_is_there() -> None:
    """Rule 4a: more than max_gap between two impossible legs counts where it is seen; the legs do not."""
    case = Case([*held(0, 600), *held(630, 960, 160_000), *held(990, 1800)], [duty(0, 1800)])
    assert case.rows() == [
        (0, 600, "on_patch", ""),
        (600, 630, "unknown", ""),
        (630, 960, "off_patch", "outside"),
        (960, 990, "unknown", ""),
        (990, 1800, "on_patch", ""),
    ]


def test_who_leaves_another_way_was_there() -> None:
    """Rule 4a: where the fixes on both sides cannot be joined either, which of them is wrong is not known."""
    case = Case([*held(0, 600), *held(630, 690, 80_000), *held(720, 1200, 160_000)], [duty(0, 1200)])
    assert case.rows() == [
        (0, 600, "on_patch", ""),
        (600, 630, "unknown", ""),
        (630, 690, "off_patch", "outside"),
        (690, 720, "unknown", ""),
        (720, 1200, "off_patch", "outside"),
    ]


@pytest.mark.parametrize(("metres", "known"), [(490, True), (510, False)])
def test_a_short_impossible_leg_may_be_an_error(metres: int, known: bool) -> None:
    """Rule 4a: between two impossible legs of at most apart_m the device is where its positions are."""
    there = [fix(second, -500 - metres) for second in (61, 62, 63, 64, 65)]
    case = Case([*held(0, 60), *there, *held(66, 126)], [duty(0, 120)])
    assert case.rows() == [
        (0, 60, "on_patch", ""),
        *([(60, 61, "unknown", ""), (61, 65, "on_patch", ""), (65, 66, "unknown", "")] if known else []),
        *([] if known else [(60, 66, "unknown", "")]),
        (66, 120, "on_patch", ""),
    ]


@pytest.mark.parametrize("error_m", [0.0, None])
def test_zero_error(error_m: float | None) -> None:
    """Zero error: a fix a minute 1.4 m inside A with an error of 0 counts as with none: low 0, high 1."""
    fixes: list[Fix] = [(*fix(second, -1.4)[:4], error_m) for second in range(0, 3601, 60)]
    figure = Case(fixes, [duty(0, 3600)]).figures(0, 3600)["neighbourhood", "A"]
    assert (figure.share, figure.share_low, figure.share_high) == (1.0, 0.0, 1.0)
    assert figure.verdict(0.80) == "not proven"


# ── Rules 3 to 6: fixes, legs, versions ───────────────────────────────────────────────────────────────────


def test_a_leg_is_cut_where_the_boundaries_change() -> None:
    """Rule 6: an officer standing still across a change of version is in A before it and in B after it."""
    west: Polygon = A.geometry
    moved = replace(B, geometry=west)
    versions = [areas(A), areas(moved, start=100 * SECOND)]
    case = Case([fix(0, -500), fix(300, -500)], [duty(0, 300)], (), *versions)
    assert case.known() == [(0, 100, "A"), (100, 300, "B")]
    assert case.rows() == [(0, 100, "on_patch", ""), (100, 300, "off_patch", "B")]


def test_a_version_that_changes_nothing_here_divides_no_stay() -> None:
    """Rule 7: a stay goes on through a version in which its place is the same."""
    versions = [areas(A), areas(A, B, start=100 * SECOND)]
    assert Case([fix(0, -500), fix(300, -500)], [duty(0, 300)], (), *versions).known() == [(0, 300, "A")]


def test_before_the_first_version_nobody_knows_where() -> None:
    """Rule 6: before any boundaries were published the place is unknown, from then on it is known."""
    case = Case([fix(0, -500), fix(300, -500)], [duty(0, 300)], (), areas(A, start=100 * SECOND))
    assert case.known() == [(0, 100, "?"), (100, 300, "A")]
    assert case.rows() == [(0, 100, "unknown", ""), (100, 300, "on_patch", "")]


def test_a_moving_leg_is_cut_at_the_version_and_at_the_edge() -> None:
    """Rules 4 and 6: who crosses into B at 5 s is outside from 8 s on, when B is no more."""
    versions = [areas(A, B), areas(A, start=8 * SECOND)]
    case = Case([fix(0, -100), fix(10, 100)], [duty(0, 10)], (), *versions)
    assert case.known() == [(0, 5, "A"), (5, 8, "B"), (8, 10, "-")]


def test_a_jump_is_ignored_between_its_neighbours() -> None:
    """Rule 3: a fix 20 km away for ten seconds does not take the officer off the patch."""
    case = Case([fix(0, -500), fix(10, 20_000), fix(20, -500)], [duty(0, 20)])
    assert case.rows() == [(0, 20, "on_patch", "")]


# ── Rules 8 to 10: duties, devices, states ────────────────────────────────────────────────────────────────


def test_two_duties_of_one_officer_share_no_instant() -> None:
    """Rule 8: where two duties overlap, the time belongs to the one that began later, and only to it."""
    second = duty(300, 600, duty_id="D2")
    case = Case(held(0, 900), [duty(0, 900), second])
    assert case.rows("D1") == [(0, 300, "on_patch", ""), (600, 900, "on_patch", "")]
    assert case.rows("D2") == [(300, 600, "on_patch", "")]
    assert case.figures(0, 900)["force", "force"].duty == 900 * SECOND


def test_a_cancelled_duty_counts_for_nothing() -> None:
    """Rule 8: a later revision replaces the earlier one, and cancelled means no time at all."""
    case = Case(held(0, 600), [duty(0, 600), duty(0, 600, revision=2, cancelled=True)])
    assert case.rows() == []
    assert case.figures(0, 600)["force", "force"].share is None


def test_the_radio_is_believed_before_a_vehicle() -> None:
    """Rule 9: while the radio's stay is known the vehicle is not asked, however late it was allocated."""
    booked = duty(0, 600, Allocation("V1", "vehicle", 300 * SECOND), Allocation("R1", "radio"))
    case = Case([*held(0, 600), *held(0, 600, 500, "V1")], [booked])
    assert case.rows() == [(0, 600, "on_patch", "")]
    assert case.devices() == ["R1"]


def test_the_vehicle_allocated_last_is_believed_first() -> None:
    """Rule 9: of two vehicles the one allocated later counts while it is known, then the other again."""
    booked = duty(
        0, 900, Allocation("V1", "vehicle", 0, 900 * SECOND), Allocation("V2", "vehicle", 300 * SECOND)
    )
    case = Case([*held(0, 900, -500, "V1"), *held(300, 600, 500, "V2")], [booked])
    assert case.rows() == [
        (0, 300, "on_patch", ""),
        (300, 600, "off_patch", "outside"),
        (600, 900, "on_patch", ""),
    ]
    assert case.devices() == ["V1", "V2", "V1"]


def test_both_crew_get_the_vehicle_s_time_and_a_parked_one_earns_nothing() -> None:
    """Rule 9: two officers in one car count twice; the car before its allocation counts for nobody."""
    car = Allocation("V1", "vehicle", 300 * SECOND, 600 * SECOND)
    crew = [duty(0, 600, car), duty(0, 600, car, duty_id="D2", officer_id="O2")]
    case = Case(held(0, 600, device_id="V1"), crew)
    for duty_id in ("D1", "D2"):
        assert case.rows(duty_id) == [(0, 300, "unknown", ""), (300, 600, "on_patch", "")]
    assert case.figures(0, 600)["force", "force"].on_patch == 600 * SECOND


def test_of_several_states_at_one_instant_the_greatest_counts() -> None:
    """Rule 10: states 2, 9 and 4 keyed at one instant mean 9, in whatever order they came."""
    states = [keyed(300, 2), keyed(300, 9), keyed(300, 4)]
    for order in (states, states[::-1], states[1:] + states[:1]):
        assert Case(held(0, 600), [duty(0, 600)], order).rows() == [
            (0, 300, "on_patch", ""),
            (300, 600, "not_visible", "prisoner_escort"),
        ]


def test_a_state_of_an_earlier_duty_does_not_last() -> None:
    """Rule 10: every duty begins in state 1, even where the last one ended unavailable."""
    case = Case(held(0, 900), [duty(0, 300), duty(600, 900, duty_id="D2")], [keyed(100, 8), keyed(450, 10)])
    assert case.rows("D1") == [(0, 100, "on_patch", ""), (100, 300, "not_visible", "unavailable")]
    assert case.rows("D2") == [(600, 900, "on_patch", "")]


def test_state_11_is_no_time_at_all() -> None:
    """Rule 11: off-duty time inside a duty is neither duty nor break, and the slices leave it out."""
    case = Case(held(0, 900), [duty(0, 900)], [keyed(300, 11), keyed(600, 2)])
    assert case.rows() == [(0, 300, "on_patch", ""), (600, 900, "on_patch", "")]
    assert case.figures(0, 900)["officer", "O1"].duty == 600 * SECOND


def test_an_open_duty_is_counted_to_the_period_s_end() -> None:
    """Rule 8: a duty without an end runs on, unknown after its last fix, as far as the period asks."""
    case = Case(held(0, 600), [duty(0, None)])
    figure = case.figures(0, 800)["officer", "O1"]
    assert (figure.on_patch, figure.unknown) == (600 * SECOND, 200 * SECOND)


def test_an_open_duty_counts_for_its_first_24_hours_and_then_no_further() -> None:
    """Rule 8a: heard for two days on end, a duty that nobody ended has 24 hours of duty time."""
    case = Case(held(0, 48 * 3600), [duty(0, None)])
    assert case.rows() == [(0, 24 * 3600, "on_patch", "")]
    assert case.figures(0, 48 * 3600)["force", "force"].duty == 24 * 3600 * SECOND
    assert case.figures(24 * 3600, 48 * 3600)["force", "force"].duty == 0


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [(24 * 3600, True), (24 * 3600 + 1e-6, False), (8760 * 3600, False)],
)
def test_a_booking_of_more_than_24_hours_counts_for_nothing(seconds: float, counts: bool) -> None:
    """Rule 8a: one of exactly 24 hours counts, a microsecond more does not, nor does one of a year."""
    case = Case(held(0, 600), [duty(0, seconds)])
    figure = case.figures(0, 600)["force", "force"]
    assert figure.on_patch == (600 * SECOND if counts else 0)


def test_a_local_day_of_25_hours_is_longer_than_24() -> None:
    """Rule 8a is of elapsed time: midnight to midnight where the clocks go back is too long."""
    start, end = day_bounds(date(2026, 10, 25))
    assert end - start == 25 * 3600 * SECOND
    for until, counted in ((end, 0), (end - 3600 * SECOND, 24 * 3600 * SECOND)):
        case = Case([], [replace(duty(0, 1), start=start, end=until)])
        assert case.figures(start / SECOND, end / SECOND)["force", "force"].duty == counted


def test_a_duty_that_counts_for_nothing_takes_no_time_from_another() -> None:
    """Rules 8 and 8a: the duty that started latest has the time, but not one that is booked for a year."""
    year = duty(300, 8760 * 3600, duty_id="D2")
    case = Case(held(0, 600), [duty(0, 600), year])
    assert case.rows() == [(0, 600, "on_patch", "")]
    revised = replace(year, revision=2, end=case.duties[0].end)
    again = Case(held(0, 600), [duty(0, 600), year, revised])
    assert {str(item.duty_id): item.until - item.start for item in again.duties} == {
        "D1": 600 * SECOND,
        "D2": 300 * SECOND,
    }


def test_how_long_a_duty_may_be_is_for_the_policy_at_its_start_to_say() -> None:
    """Rule 8a: under another policy the same booking counts, or an open one counts for less."""
    policies = Policies(
        (BEGINNING, micros("2026-11-24T00:00:00+00:00")), (Policy(), Policy(longest_duty_s=36_000))
    )
    hour = 3600 * SECOND
    for day, longest in (("2026-11-23", 24), ("2026-11-24", 10)):
        start = micros(f"{day}T07:00:00+00:00")
        booked = [
            replace(duty(0, 1, duty_id=name), start=start, end=None if end is None else start + end * hour)
            for name, end in (("short", 10), ("long", 11), ("open", None))
        ]
        found = {item.duty_id: (item.until - item.start) // hour for item in newest(booked, policies)}
        assert found == {"short": 10, "long": 11 if longest > 11 else 0, "open": longest}


# ── Rules 13, 15 and 19: figures and periods ──────────────────────────────────────────────────────────────


def test_a_duty_with_two_neighbourhoods_counts_in_each_and_once_in_the_force() -> None:
    """Rule 15: a patch of A and B is at home in both; each gets the whole duty, the force only one."""
    both = duty(0, 600, patch=("A", "B"))
    alone = duty(0, 600, Allocation("R2", "radio"), duty_id="D2", officer_id="O2")
    fixes = [*held(0, 300), *held(330, 600, 500), *held(0, 600, 500, "R2")]
    figures = Case(fixes, [both, alone], (), areas(A, B)).figures(0, 600)
    assert figures["neighbourhood", "B"].duty == 600 * SECOND
    assert figures["neighbourhood", "B"].share == 1.0
    assert figures["neighbourhood", "A"].duty == 1200 * SECOND
    assert figures["neighbourhood", "A"].share == 0.5
    assert figures["force", "force"].duty == 1200 * SECOND


def test_no_duty_time_is_no_figure() -> None:
    """Rule 15: a period without duty time, or all break, has no share, neither 0 nor 1."""
    case = Case(held(0, 600), [duty(0, 600)], [keyed(0, 4)])
    for start, end in ((0, 600), (700, 800)):
        assert case.figures(start, end)["force", "force"].share is None
    assert case.figures(0, 600)["officer", "O1"].on_break == 600 * SECOND


def test_a_duty_without_a_patch_has_no_share() -> None:
    """Rule 8: a response officer's time is listed under the officer, without share, and not in the force."""
    figures = Case(held(0, 600), [duty(0, 600, patch=())]).figures(0, 600)
    assert figures["officer", "O1"].duty == 600 * SECOND
    assert figures["officer", "O1"].share is None
    assert figures["force", "force"].duty == 0


def test_a_figure_is_seconds_over_seconds() -> None:
    """Rule 15: an hour at 100% and three at 0% make 25%, not 50%."""
    second = duty(0, 10_800, Allocation("R2", "radio"), duty_id="D2", officer_id="O2")
    case = Case([*held(0, 3_600), *held(0, 10_800, 500, "R2")], [duty(0, 3_600), second])
    assert case.figures(0, 10_800)["neighbourhood", "A"].share == 0.25


@pytest.mark.parametrize(("week", "hours"), [("2026-W13", 167), ("2026-W43", 169), ("2026-W47", 168)])
def test_the_weeks_of_the_clock_changes(week: str, hours: int) -> None:
    """Rule 19: an officer on duty around the clock has 167 hours in March's week, 169 in October's."""
    start, end = week_bounds(week)
    shift = 12 * 3_600 * SECOND
    shifts = range(start - 2 * shift, end + 2 * shift, shift)
    case = Case([], [replace(duty(0, 1, duty_id=f"D{at}"), start=at, end=at + shift) for at in shifts])
    assert case.figures(start / SECOND, end / SECOND)["force", "force"].duty == hours * 3_600 * SECOND


def test_a_night_shift_is_divided_at_midnight_and_at_monday() -> None:
    """Rule 19: Sunday 22:00 to Monday 06:00, summer time: two hours of one day and week, six of the next."""
    start, end = micros("2026-07-19T22:00:00+01:00"), micros("2026-07-20T06:00:00+01:00")
    case = Case([], [replace(duty(0, 1), start=start, end=end)])
    for parts in (list(days(start, end)), list(weeks(start, end))):
        found = [shares(case.slices, case.duties, case.history.places, *part)[0].duty for part in parts]
        assert found == [2 * 3_600 * SECOND, 6 * 3_600 * SECOND]
