"""Visits to priority areas against the oracle, to the microsecond, and examples that people can check."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from geo.areas import Area, AreaSet, Kind
from geo.hours import LOCAL, OwnHours, when
from geo.matching.history import FOREVER, AreaHistory
from geo.matching.places import Place
from stream.core import calendar
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.slices import ACTIVITIES, NO_DEVICE, NO_STATE, Slices, newest, slices
from stream.core.stays import stays
from stream.core.visits import PriorityFigures, Visits, priority_figures, reach, visits
from stream.files.sheets.arrow import write
from stream.files.sheets.contract import priorities_table, visits_table
from tests import oracle
from tests.oracle.slices import Slice
from tests.oracle.visits import Visit, Wishes, own_time, priority
from tests.oracle.visits import visits as oracle_visits
from tests.strategies import BINARY, PRIORITIES, World, fix_columns, many, micros, world_fixes, worlds
from tests.worlds import history_of, horizon

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

DAYS = (None, "Mon-Fri", "Fri,Sun", "Sun", "Sat-Mon", "at times")
HOURS = (
    None,
    "20:00-04:00",
    "00:30-01:30",
    "01:15-01:45",
    "23:30-00:00",
    "00:00-24:00",
    "08:05-09:10",
    "late",
)
WISHES = st.tuples(st.sampled_from(DAYS), st.sampled_from(HOURS))


def areas_of(wishes: Wishes) -> AreaSet:
    """Priority areas with the days and hours wished, somewhere."""
    return AreaSet.of(
        Area(
            Kind.PRIORITY,
            area_id,
            area_id,
            box(*BINARY.at(0, 0), *BINARY.at(1, 1)),
            {key: text for key, text in zip(("days", "hours"), pair, strict=True) if text is not None},
        )
        for area_id, pair in wishes.items()
    )


def windows_of(versions: Sequence[tuple[int, Wishes]], start: int, end: int) -> OwnHours:
    """The windows of versions of wishes."""
    return OwnHours.of([(opens, areas_of(wishes)) for opens, wishes in versions], start, end)


def plain(found: Visits) -> list[Visit]:
    """Columns → the oracle's form; stretches divided by the areas' own hours are put together."""
    inside: list[list[tuple[int, int]]] = [[] for _ in range(len(found))]
    for visit, low, high in zip(
        found.inside_visit.tolist(), found.inside_start.tolist(), found.inside_end.tolist(), strict=True
    ):
        if inside[visit] and inside[visit][-1][1] == low:
            inside[visit][-1] = (inside[visit][-1][0], high)
        else:
            inside[visit].append((low, high))
    return [
        Visit(
            found.area_ids[found.area[at]],
            found.officer_ids[found.officer[at]],
            int(found.start[at]),
            int(found.end[at]),
            bool(found.home_team[at]),
            tuple(inside[at]),
        )
        for at in range(len(found))
    ]


def check_columns(found: Visits, versions: Sequence[tuple[int, Wishes]] | None) -> None:
    """What the columns say of time is what the stretches inside say, and the areas' own hours are cut out."""
    for at, visit in enumerate(plain(found)):
        assert found.dwell[at] == sum(high - low for low, high in visit.inside)
        own = [
            part
            for low, high in visit.inside
            for part in ([(low, high)] if versions is None else own_time(visit.area_id, low, high, versions))
        ]
        rows = (found.inside_visit == at) & found.inside_in_window
        assert sorted(zip(found.inside_start[rows], found.inside_end[rows], strict=True)) == own
        assert found.in_window[at] == sum(high - low for low, high in own)
    assert np.all(np.diff(found.inside_visit) >= 0)


def check_figures(
    found: Visits,
    wanted: Sequence[Visit],
    period: tuple[int, int],
    versions: Sequence[tuple[int, Wishes]] | None,
) -> None:
    """The figures of every area are the oracle's, an area without any among them."""
    figures = {item.area_id: item for item in priority_figures(found, *period, areas=PRIORITIES)}
    assert list(figures) == sorted(figures)
    assert set(PRIORITIES) <= set(figures)
    for area_id, item in figures.items():
        want = priority(area_id, wanted, period, versions)
        assert item == PriorityFigures(
            area_id,
            *period,
            visits=want.visits,
            visits_in_window=want.visits_in_window,
            visits_others=want.visits_others,
            visits_by_length=want.by_length,
            officer_time=want.officer_time,
            patrol_time=want.patrol_time,
            officer_time_in_window=want.officer_own,
            patrol_time_in_window=want.patrol_own,
            others_time=want.others,
            last_visit_end=want.last_end,
        )
        assert item.officer_time >= item.patrol_time >= item.patrol_time_in_window
        assert item.officer_time >= item.officer_time_in_window >= item.patrol_time_in_window
        assert item.officer_time >= item.others_time
        assert item.visits == sum(item.visits_by_length)


# Slices made directly: everything that turns on the length of an absence, a visit or a window.


@dataclass(frozen=True)
class Shift:
    """Slices of a few officers, with the wishes of the areas and the policies that they are judged by.

    Attributes:
        rows: ``(duty, start, end, activity, place)``.
        until: what has no end is cut here.
    """

    duties: tuple[Duty, ...]
    rows: tuple[tuple[int, int, int, int, int], ...]
    places: tuple[Place, ...]
    versions: tuple[tuple[int, Wishes], ...]
    policies: Policies
    until: int
    period: tuple[int, int]

    def slices(self, order: Sequence[int] | None = None) -> Slices:
        """The rows as columns, in the order given."""
        rows = [self.rows[at] for at in (range(len(self.rows)) if order is None else order)]
        table = np.array(rows, np.int64).reshape(-1, 5)
        return Slices(
            duty=table[:, 0].astype(np.int32),
            start=table[:, 1].copy(),
            end=table[:, 2].copy(),
            activity=table[:, 3].astype(np.int8),
            state=np.full(len(rows), NO_STATE, np.int16),
            place=table[:, 4].astype(np.int32),
            device=np.full(len(rows), NO_DEVICE, np.int32),
        )

    def plain_slices(self) -> list[Slice]:
        """The rows in the oracle's form."""
        found = []
        for duty, start, end, activity, place in self.rows:
            item = self.duties[duty]
            stop = min(end, self.until) if item.end is None else end
            where = oracle.Place(*self.places[place][:3])
            if start < stop:
                found.append(
                    Slice(item.officer_id, item.duty_id, start, stop, ACTIVITIES[activity], "", where, None)
                )
        return found

    def settings(self) -> Callable[[int], tuple[int, int]]:
        """The policies in the oracle's form."""

        def at(time: int) -> tuple[int, int]:
            policy = self.policies.at(time)
            return round(policy.visit_join_s * SECOND), round(policy.visit_min_s * SECOND)

        return at

    def windows(self) -> OwnHours:
        """The areas' own hours as far as needed."""
        return windows_of(self.versions, *reach(self.slices(), self.duties, self.until))

    def visits(self, order: Sequence[int] | None = None) -> Visits:
        """The visits by the core."""
        return visits(
            self.slices(order), self.duties, self.places, self.policies, self.windows(), until=self.until
        )


PLACES = (
    Place(None, None, ()),
    Place("N1", None, ("P1",)),
    Place("N1", None, ("P1", "P2")),
    Place("N2", None, ("P2",)),
    Place("N2", None, ("P1", "P10")),
    Place("N1", None, ()),
)
QUIET = (micros("2026-11-23T08:00:00+00:00"), micros("2026-11-22T23:20:00+00:00"))
OPENINGS = (
    *QUIET,
    micros("2026-10-25T00:10:00+00:00"),  # 01:10, and the clocks go back at 02:00
    micros("2026-03-29T00:10:00+00:00"),  # the clocks go forward at 01:00
)
PIECES = st.one_of(
    st.sampled_from([60 * SECOND, 120 * SECOND, 1, 60 * SECOND + 1, 60 * SECOND - 1, 30 * SECOND]),
    st.sampled_from([119_999_999, 299_999_999, 300 * SECOND, 600 * SECOND, 1200 * SECOND, 1_199_999_999]),
    st.integers(1, 200 * SECOND),
    st.integers(1, 3600 * SECOND),
)


@st.composite
def policies(draw: st.DrawFn) -> Policies:
    """The defaults, or policies that change while officers are about."""
    if draw(st.booleans()):
        return Policies()
    starts = draw(st.lists(st.integers(0, 3600), min_size=1, max_size=3, unique=True))
    settings = [
        Policy(visit_join_s=draw(st.sampled_from((60.0, 30.0, 200.0, 0.0))), visit_min_s=shortest)
        for shortest in draw(
            st.lists(
                st.sampled_from((120.0, 60.0, 400.0, 0.0)), min_size=len(starts) + 1, max_size=len(starts) + 1
            )
        )
    ]
    opening = draw(st.sampled_from(OPENINGS))
    return Policies((BEGINNING, *(opening + s * SECOND for s in sorted(starts))), tuple(settings))


@st.composite
def shifts(draw: st.DrawFn, openings: Sequence[int] = OPENINGS) -> Shift:
    """Officers who go in and out of priority areas, over two duties each."""
    opening = draw(st.sampled_from(openings))
    duties: list[Duty] = []
    rows: list[tuple[int, int, int, int, int]] = []
    ends = [opening]
    for officer in ("O1", "O2", "O3")[: draw(st.integers(1, 3))]:
        at = opening + draw(st.sampled_from((0, 60 * SECOND, 1)))
        for half in range(draw(st.integers(1, 2))):
            number, began = len(duties), at
            for activity, place, length, gone in draw(
                st.lists(
                    st.tuples(
                        st.sampled_from((3, 3, 4, 4, 0, 1, 2)),
                        st.integers(0, len(PLACES) - 1),
                        PIECES,
                        st.sampled_from((0, 0, 0, 60 * SECOND, 60 * SECOND + 1)),
                    ),
                    max_size=6,
                )
            ):
                rows.append((number, at, at + length, activity, place))
                at += length + gone
            duties.append(Duty(f"D{number}", 1, officer, began, at + 1))
            ends.append(at)
            open_end = half == 1 and rows and rows[-1][0] == number and draw(st.booleans())
            if open_end:
                rows[-1] = (number, rows[-1][1], FOREVER, *rows[-1][3:])
                duties[-1] = replace(duties[-1], end=None)
    versions: list[tuple[int, Wishes]] = [(BEGINNING, draw(_wishes()))]
    changes = sorted(draw(st.lists(st.integers(1, 7200), max_size=2, unique=True)))
    versions += [(opening + later * SECOND + 7, draw(_wishes())) for later in changes]
    moments = st.one_of(st.sampled_from(ends), st.integers(opening, max(ends) + SECOND))
    pair = st.tuples(moments, moments).map(lambda p: (min(p), max(p)))
    whole = st.just((opening, max(ends) + 7200 * SECOND))
    return Shift(
        tuple(duties),
        tuple(rows),
        PLACES,
        tuple(versions),
        draw(policies()),
        draw(st.one_of(st.just(max(ends) + 600 * SECOND), moments)),
        draw(st.one_of(whole, pair)),
    )


def _wishes() -> st.SearchStrategy[dict[str, tuple[str | None, str | None]]]:
    return st.one_of(
        st.fixed_dictionaries(dict.fromkeys(PRIORITIES, WISHES)),
        st.fixed_dictionaries({"P1": WISHES}),
    )


@many(400)
@given(shifts())
def test_visits_made_of_any_slices_equal_the_oracle(shift: Shift) -> None:
    """Visits and figures are the rule's, read literally, whatever lasts a microsecond more or less."""
    found, wanted = shift.visits(), oracle_visits(shift.plain_slices(), shift.settings())
    assert plain(found) == wanted
    check_columns(found, shift.versions)
    check_figures(found, wanted, shift.period, shift.versions)


@many(80)
@given(worlds(BINARY), st.data())
def test_visits_of_a_world_equal_the_oracle(world: World, data: st.DataObject) -> None:
    """From fixes, duties and states to visits and figures: to the microsecond what the rules say."""
    fixes, history = world_fixes(world), history_of(world)
    duties, until = newest(world.duties), horizon(world)
    versions: list[tuple[int, Wishes]] = sorted(
        (
            BEGINNING if opens is None else opens,
            {name: data.draw(WISHES) for kind, name, _ in areas if kind == "priority"},
        )
        for opens, areas in world.versions
    )
    counted = slices(
        duties, stays(fixes, history, Policies()), fixes.device_ids, world.states, history.places, Policies()
    )
    own = windows_of(versions, *reach(counted, duties, until))
    found = visits(counted, duties, history.places, Policies(), own, until=until)
    wanted = oracle_visits(
        oracle.slices(oracle.stays(world.fixes, world.versions), world.duties, world.states, as_of=until)
    )
    assert plain(found) == wanted
    check_columns(found, versions)
    check_figures(found, wanted, world.period, versions)


@many(100)
@given(shifts())
def test_without_windows_all_time_is_the_area_s_own(shift: Shift) -> None:
    """An area of which nothing is said has every hour for its own."""
    found = visits(shift.slices(), shift.duties, shift.places, shift.policies, until=shift.until)
    check_columns(found, None)
    assert np.array_equal(found.dwell, found.in_window)
    unknown = windows_of([], *reach(shift.slices(), shift.duties, shift.until))
    again = visits(shift.slices(), shift.duties, shift.places, shift.policies, unknown, until=shift.until)
    assert np.array_equal(again.in_window, found.dwell)


def same(one: Visits, two: Visits) -> bool:
    """Whether two answers are alike in every column."""
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in Visits.__slots__)


@many(100)
@given(shifts(), st.randoms(use_true_random=False))
def test_the_order_of_slices_duties_and_places_cannot_matter(shift: Shift, random: object) -> None:
    """Slices, duties and places in any order and numbering give the same columns."""
    order = list(range(len(shift.rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert same(shift.visits(), shift.visits(order))
    turned = replace(
        shift,
        duties=shift.duties[::-1],
        places=shift.places[::-1],
        rows=tuple(
            (len(shift.duties) - 1 - duty, start, end, activity, len(shift.places) - 1 - place)
            for duty, start, end, activity, place in shift.rows
        ),
    )
    assert same(shift.visits(), turned.visits())


@many(100)
@given(shifts())
def test_names_are_only_names(shift: Shift) -> None:
    """Officers and areas called otherwise make the same visits under their new names."""
    officers = {"O1": "O9", "O2": "O10", "O3": "A"}
    names = {"P1": "Z", "P2": "Q", "P10": "QQ"}
    renamed = replace(
        shift,
        duties=tuple(replace(duty, officer_id=officers[duty.officer_id]) for duty in shift.duties),
        places=tuple(
            place._replace(priorities=tuple(sorted(names[name] for name in place.priorities)))
            for place in shift.places
        ),
        versions=tuple(
            (opens, {names[name]: pair for name, pair in wishes.items()}) for opens, wishes in shift.versions
        ),
    )
    before, after = plain(shift.visits()), plain(renamed.visits())
    assert sorted(after) == sorted(
        visit._replace(area_id=names[visit.area_id], officer_id=officers[visit.officer_id])
        for visit in before
    )
    figures = {item.area_id: item for item in priority_figures(renamed.visits(), *shift.period)}
    for item in priority_figures(shift.visits(), *shift.period):
        assert figures[names[item.area_id]] == replace(item, area_id=names[item.area_id])


@many(100)
@given(shifts(QUIET), st.integers(1, 8))
def test_a_week_later_everything_is_a_week_later(shift: Shift, weeks: int) -> None:
    """Shifted by whole weeks, with no change of the clocks between, visits and figures are the same."""
    by = weeks * 7 * 86_400 * SECOND
    one = replace(shift, policies=Policies())
    two = replace(
        one,
        duties=tuple(
            replace(d, start=d.start + by, end=None if d.end is None else d.end + by) for d in one.duties
        ),
        rows=tuple(
            (duty, start + by, end if end == FOREVER else end + by, activity, place)
            for duty, start, end, activity, place in one.rows
        ),
        versions=tuple(
            (opens if opens == BEGINNING else opens + by, wishes) for opens, wishes in one.versions
        ),
        until=one.until + by,
        period=(one.period[0] + by, one.period[1] + by),
    )
    before, after = one.visits(), two.visits()
    for name in ("area", "officer", "dwell", "in_window", "home_team", "inside_visit", "inside_in_window"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    for name in ("start", "end", "inside_start", "inside_end"):
        assert np.array_equal(getattr(before, name) + by, getattr(after, name))
    moved = [
        replace(
            item,
            start=item.start + by,
            end=item.end + by,
            last_visit_end=None if item.last_visit_end is None else item.last_visit_end + by,
        )
        for item in priority_figures(before, *one.period)
    ]
    assert moved == priority_figures(after, *two.period)


@many(100)
@given(shifts(), st.data())
def test_the_figures_of_parts_of_a_period_sum_to_those_of_the_whole(
    shift: Shift, data: st.DataObject
) -> None:
    """Divided at any instant, numbers, lengths and minutes add up: nothing is counted twice or lost."""
    start, end = shift.period
    middle = data.draw(st.integers(start, end))
    found = shift.visits()
    whole, *parts = (
        {item.area_id: item for item in priority_figures(found, low, high, areas=PRIORITIES)}
        for low, high in ((start, end), (start, middle), (middle, end))
    )
    for area_id, item in whole.items():
        for name in (
            *("visits", "visits_others", "visits_in_window", "officer_time", "patrol_time"),
            *("officer_time_in_window", "patrol_time_in_window", "others_time"),
        ):
            assert getattr(item, name) == sum(getattr(part[area_id], name) for part in parts)
        lengths = [part[area_id].visits_by_length for part in parts]
        assert item.visits_by_length == tuple(map(sum, zip(*lengths, strict=True)))


@many(60)
@given(worlds(BINARY), st.data())
def test_a_duty_divided_in_two_makes_the_same_visits(world: World, data: st.DataObject) -> None:
    """Booked as one duty or as two that touch, an officer makes the same visits."""
    fixes, history = world_fixes(world), history_of(world)
    until = horizon(world)

    def one_device_a_kind(duty: Duty) -> Duty:
        kinds = {item.kind: item for item in reversed(duty.devices)}
        return replace(duty, officer_id=duty.duty_id, devices=tuple(kinds.values()))

    duties = [one_device_a_kind(duty) for duty in newest(world.duties) if not duty.cancelled]
    divided = []
    for duty in duties:
        end = until if duty.end is None else duty.end
        middle = data.draw(st.integers(min(duty.start, end), end))
        divided += [replace(duty, duty_id=f"{duty.duty_id}a", end=middle)]
        divided += [replace(duty, duty_id=f"{duty.duty_id}b", start=max(middle, duty.start))]
    found = []
    for booked in (duties, divided):
        counted = slices(
            newest(booked),
            stays(fixes, history, Policies()),
            fixes.device_ids,
            (),
            history.places,
            Policies(),
        )
        found.append(visits(counted, newest(booked), history.places, Policies(), until=until))
    assert same(*found)


# Windows by themselves.


@many(150)
@given(
    st.lists(
        st.tuples(st.integers(-100_000, 100_000), st.dictionaries(st.sampled_from(PRIORITIES), WISHES)),
        max_size=3,
        unique_by=lambda version: version[0],
    ),
    st.sampled_from(OPENINGS),
    st.integers(-200_000, 100_000),
    st.integers(0, 200_000),
)
def test_windows_are_the_minutes_that_the_clock_on_the_wall_says(
    later: list[tuple[int, Mapping[str, tuple[str | None, str | None]]]],
    opening: int,
    start: int,
    length: int,
) -> None:
    """Each area's intervals are those found by asking every minute, over changes of clocks and versions."""
    versions = [(opening + at * SECOND, wishes) for at, wishes in sorted(later, key=lambda pair: pair[0])]
    low, high = opening + start * SECOND, opening + (start + length) * SECOND
    found = windows_of(versions, low, high)
    assert found.area_ids == tuple(sorted({name for _, wishes in versions for name in wishes}))
    for area_id in found.area_ids:
        assert found.of_area(area_id) == own_time(area_id, low, high, versions)


def windows(start: str, end: str, days: str | None, hours: str | None) -> list[str]:
    """The windows of one area between two times, as local texts."""
    found = windows_of([(BEGINNING, {"P1": (days, hours)})], micros(start), micros(end))

    def text(time: int) -> str:
        return calendar.moment(time).astimezone(LOCAL).strftime("%a %H:%M %Z")

    return [f"{text(low)} to {text(high)}" for low, high in found.of_area("P1")]


SPRING = ("2026-03-28T12:00:00+00:00", "2026-03-30T12:00:00+00:00")
AUTUMN = ("2026-10-24T12:00:00+00:00", "2026-10-26T12:00:00+00:00")


@pytest.mark.parametrize(
    ("span", "days", "hours", "wanted"),
    [
        (
            ("2026-11-27T12:00:00+00:00", "2026-11-30T12:00:00+00:00"),
            "Fri-Sat",
            "20:00-04:00",
            ["Fri 20:00 GMT to Sat 04:00 GMT", "Sat 20:00 GMT to Sun 04:00 GMT"],
        ),
        (SPRING, None, "00:30-01:30", ["Sun 00:30 GMT to Sun 02:00 BST", "Mon 00:30 BST to Mon 01:30 BST"]),
        (SPRING, "Sun", "01:15-01:45", []),
        (SPRING, "Sun", None, ["Sun 00:00 GMT to Mon 00:00 BST"]),
        (SPRING, "Sat", "22:00-02:30", ["Sat 22:00 GMT to Sun 02:30 BST"]),
        (AUTUMN, "Sun", "00:30-01:30", ["Sun 00:30 BST to Sun 01:30 BST", "Sun 01:00 GMT to Sun 01:30 GMT"]),
        (AUTUMN, "Sun", "01:30-03:00", ["Sun 01:30 BST to Sun 01:00 GMT", "Sun 01:30 GMT to Sun 03:00 GMT"]),
        (AUTUMN, "Sun", "01:00-02:00", ["Sun 01:00 BST to Sun 02:00 GMT"]),
        (AUTUMN, "Sun", None, ["Sun 00:00 BST to Mon 00:00 GMT"]),
        (AUTUMN, "Sat", "22:00-02:00", ["Sat 22:00 BST to Sun 02:00 GMT"]),
    ],
)
def test_windows_over_midnight_and_over_the_changes_of_the_clocks(
    span: tuple[str, str], days: str | None, hours: str | None, wanted: list[str]
) -> None:
    """Hours belong to the day they begin on; an hour shown twice counts twice, one left out never."""
    assert windows(*span, days, hours) == wanted


@pytest.mark.parametrize(
    ("week", "hours", "night"), [("2026-W13", 167, 55), ("2026-W43", 169, 57), ("2026-W47", 168, 56)]
)
def test_windows_fill_weeks_of_167_and_169_hours(week: str, hours: int, night: int) -> None:
    """Every day, all day is the whole week; 20:00 to 04:00 gains or loses the hour of the change."""
    bounds = calendar.week_bounds(week)
    versions: list[tuple[int, Wishes]] = [
        (BEGINNING, {"P1": ("Mon-Sun", None), "P2": (None, "20:00-04:00"), "P3": (None, None)})
    ]
    found = windows_of(versions, *bounds)
    length = {name: sum(high - low for low, high in found.of_area(name)) for name in found.area_ids}
    assert found.of_area("P1") == found.of_area("P3") == [bounds]
    assert length == {"P1": hours * 3600 * SECOND, "P2": night * 3600 * SECOND, "P3": length["P1"]}


def test_one_clock_for_areas_and_calendar() -> None:
    """Areas' own hours and the calendar's days go by the same clock."""
    assert LOCAL is calendar.LOCAL


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({}, (tuple(range(7)), (0, 1440))),
        ({"days": "Mon-Sat"}, (tuple(range(6)), (0, 1440))),
        ({"days": "whenever", "hours": "20:00-04:00"}, (tuple(range(7)), (1200, 240))),
        ({"days": "Sun", "hours": "after dark"}, ((6,), (0, 1440))),
        ({"days": "", "hours": ""}, (tuple(range(7)), (0, 1440))),
    ],
)
def test_what_cannot_be_read_was_not_said(
    attributes: dict[str, str], wanted: tuple[tuple[int, ...], tuple[int, int]]
) -> None:
    """Badly written days leave every day, badly written hours all hours; each counts for itself."""
    assert when(attributes) == wanted


# Examples.

MONDAY = micros("2026-11-23T08:00:00+00:00")


class Stint(NamedTuple):
    """An officer's time as text, a letter a minute.

    ``P`` is on patch in P1 and ``b`` there in P1 and P2, ``O`` off patch in P1 and P10, ``.`` on patch in no
    priority area. In P1, but not visible there: ``B`` on a break, ``H`` in a hidden state. ``?`` is unknown,
    a blank off duty.
    """

    officer: str
    text: str


MEANS = {"P": (3, 1), "O": (4, 4), "B": (0, 1), "H": (1, 1), "?": (2, 0), ".": (3, 5), "b": (3, 2)}


def told(*stints: Stint, start: int = MONDAY, unit: int = 60 * SECOND) -> Shift:
    """A shift of officers' time drawn as text, a letter a unit."""
    rows, duties = [], []
    for number, stint in enumerate(stints):
        duties.append(Duty(f"D{number}", 1, stint.officer, start, start + len(stint.text) * unit, ("N1",)))
        for at, letter in enumerate(stint.text):
            if letter != " ":
                rows.append((number, start + at * unit, start + (at + 1) * unit, *MEANS[letter]))
    whole = (start, start + max(len(stint.text) for stint in stints) * unit)
    return Shift(
        tuple(duties), tuple(rows), PLACES, ((BEGINNING, {"P1": (None, None)}),), Policies(), whole[1], whole
    )


def listed(found: Visits, start: int = MONDAY) -> list[tuple[str, str, float, float, float, bool]]:
    """Visits as ``(area, officer, from, to, dwell, home_team)``, in seconds since the start."""
    return [
        (
            visit.area_id,
            visit.officer_id,
            (visit.start - start) / SECOND,
            (visit.end - start) / SECOND,
            sum(high - low for low, high in visit.inside) / SECOND,
            visit.home_team,
        )
        for visit in plain(found)
    ]


def test_absences_of_a_minute_are_joined_longer_ones_are_not() -> None:
    """Out for 60 s is one visit, out for 61 s are two, of which the one under two minutes is none."""
    minute = told(Stint("O1", "PPP.PP"))
    assert listed(minute.visits()) == [("P1", "O1", 0, 360, 300, True)]
    longer = told(Stint("O1", "P" * 180 + "." * 61 + "P" * 119), unit=SECOND)
    assert listed(longer.visits()) == [("P1", "O1", 0, 180, 180, True)]
    enough = told(Stint("O1", "P" * 180 + "." * 61 + "P" * 120), unit=SECOND)
    assert [row[2:4] for row in listed(enough.visits())] == [(0, 180), (241, 361)]


def test_a_visit_s_length_counts_the_absences_its_dwell_does_not() -> None:
    """In 60 s, out 60 s, in 60 s: a visit of three minutes with two minutes inside."""
    assert listed(told(Stint("O1", "P.P")).visits()) == [("P1", "O1", 0, 180, 120, True)]
    assert listed(told(Stint("O1", "P..P")).visits()) == []


@pytest.mark.parametrize("letter", ["B", "H", "?", " "])
def test_a_break_a_state_no_signal_and_time_off_duty_are_absences(letter: str) -> None:
    """What is no visible time inside is an absence, though the officer may well be there."""
    assert listed(told(Stint("O1", f"PP{letter}PP")).visits()) == [("P1", "O1", 0, 300, 240, True)]
    assert listed(told(Stint("O1", f"PP{letter * 2}PP")).visits()) == [
        ("P1", "O1", 0, 120, 120, True),
        ("P1", "O1", 240, 360, 120, True),
    ]


def test_two_officers_together_are_twice_the_officers_and_one_patrol() -> None:
    """Together for 4 of 9 minutes: 13 officer-minutes, 9 patrol-minutes."""
    shift = told(Stint("O1", "PPPPPP..."), Stint("O2", "..PPPPPPP"))
    (figures,) = priority_figures(shift.visits(), *shift.period)
    assert (figures.visits, figures.officer_time, figures.patrol_time) == (2, 780 * SECOND, 540 * SECOND)
    assert figures.visits_by_length == (0, 2, 0, 0)
    assert figures.last_visit_end == MONDAY + 540 * SECOND


def test_an_area_over_a_ward_edge_is_one_visit_of_the_home_team() -> None:
    """An officer who crosses the edge of the patch inside the area makes one visit, in part on patch."""
    assert listed(told(Stint("O1", "PPOO")).visits()) == [
        ("P1", "O1", 0, 240, 240, True),
        ("P10", "O1", 120, 240, 120, False),
    ]


def test_help_from_another_team_is_counted_apart() -> None:
    """Minutes by officers who were never on their own patch in the visit are other teams'."""
    shift = told(Stint("O1", "PPPPP"), Stint("O2", "..OOO"))
    figures = {item.area_id: item for item in priority_figures(shift.visits(), *shift.period)}
    assert (figures["P1"].visits, figures["P1"].visits_others) == (2, 1)
    assert (figures["P1"].officer_time, figures["P1"].others_time) == (480 * SECOND, 180 * SECOND)
    assert (figures["P10"].visits_others, figures["P10"].others_time) == (1, 180 * SECOND)


def test_areas_that_overlap_are_all_visited() -> None:
    """Time where two areas overlap is a visit to each."""
    assert listed(told(Stint("O1", "PbbP")).visits()) == [
        ("P1", "O1", 0, 240, 240, True),
        ("P2", "O1", 60, 180, 120, True),
    ]


def test_a_visit_goes_on_from_one_duty_into_the_next() -> None:
    """An officer who goes straight from one duty into the next has not left."""
    shift = told(Stint("O1", "PP"), Stint("O1", "  PP"))
    assert listed(shift.visits()) == [("P1", "O1", 0, 240, 240, True)]
    assert listed(told(Stint("O1", "P"), Stint("O1", "  P")).visits()) == [("P1", "O1", 0, 180, 120, True)]


def test_a_visit_is_counted_where_it_starts_and_its_minutes_where_they_fall() -> None:
    """A visit over a period's edge is one visit of the first period, its minutes are in both."""
    shift = told(Stint("O1", "PPPPPP"))
    first, second = ((MONDAY, MONDAY + 240 * SECOND), (MONDAY + 240 * SECOND, MONDAY + 600 * SECOND))
    (before,) = priority_figures(shift.visits(), *first)
    (after,) = priority_figures(shift.visits(), *second)
    assert (before.visits, before.visits_by_length, before.officer_time) == (1, (0, 1, 0, 0), 240 * SECOND)
    assert (after.visits, after.visits_by_length, after.officer_time) == (0, (0, 0, 0, 0), 120 * SECOND)
    assert (before.last_visit_end, after.last_visit_end) == (MONDAY + 360 * SECOND, None)


def test_visits_by_length_turn_over_at_5_10_and_20_minutes() -> None:
    """2, 5, 10 and 20 minutes begin a bin each; a second less is the bin before, or no visit."""
    lengths = (119, 120, 299, 300, 599, 600, 1199, 1200, 3000)
    shift = told(Stint("O1", (". " * 31).join("P" * length for length in lengths)), unit=SECOND)
    (figures,) = priority_figures(shift.visits(), *shift.period)
    assert figures.visits_by_length == (2, 2, 2, 2)


def test_an_area_that_nobody_visited_is_listed_with_zeros_when_asked_for() -> None:
    """Areas named are in the figures whether or not anybody was there; nothing else is made up."""
    shift = told(Stint("O1", "...."))
    assert priority_figures(shift.visits(), *shift.period) == []
    assert priority_figures(shift.visits(), *shift.period, areas=("P7",)) == [
        PriorityFigures("P7", *shift.period)
    ]


def test_in_window_time_over_midnight() -> None:
    """Friday night's hours go on until Saturday 04:00, and begin anew on Saturday at 20:00 only."""
    start = micros("2026-11-28T03:30:00+00:00")
    shift = replace(
        told(Stint("O1", "P" * 60), start=start),
        versions=((BEGINNING, {"P1": ("Fri", "20:00-04:00")}),),
    )
    found = shift.visits()
    assert found.dwell.tolist() == [3600 * SECOND]
    assert found.in_window.tolist() == [1800 * SECOND]
    assert found.inside_in_window.tolist() == [True, False]
    (figures,) = priority_figures(found, start + 1200 * SECOND, start + 2400 * SECOND)
    assert (figures.officer_time, figures.officer_time_in_window) == (1200 * SECOND, 600 * SECOND)


def test_the_version_in_force_says_what_an_area_s_hours_are() -> None:
    """Republished with other hours in the midst of a visit, each part goes by its own version."""
    shift = replace(
        told(Stint("O1", "P" * 40)),
        versions=((BEGINNING, {"P1": (None, "08:00-08:10")}), (MONDAY + 1200 * SECOND, {"P1": (None, None)})),
    )
    assert shift.visits().in_window.tolist() == [1800 * SECOND]


def test_in_autumn_the_hour_that_comes_twice_is_in_the_hours_twice() -> None:
    """01:00 to 02:00 on the night the clocks go back is two hours of the area's own."""
    shift = replace(
        told(Stint("O1", "P" * 240), start=micros("2026-10-24T23:00:00+00:00")),
        versions=((BEGINNING, {"P1": ("Sun", "01:00-02:00")}),),
    )
    assert shift.visits().in_window.tolist() == [7200 * SECOND]


def test_in_spring_the_hour_that_is_left_out_is_in_no_hours() -> None:
    """00:30 to 01:30 on the night the clocks go forward is half an hour of the area's own."""
    shift = replace(
        told(Stint("O1", "P" * 240), start=micros("2026-03-28T23:00:00+00:00")),
        versions=((BEGINNING, {"P1": ("Sun", "00:30-01:30")}),),
    )
    assert shift.visits().in_window.tolist() == [1800 * SECOND]


def test_the_policy_at_a_visit_s_start_judges_all_of_it() -> None:
    """A policy that comes into force during a visit changes that visit in nothing."""
    policies = Policies(
        (BEGINNING, MONDAY + 60 * SECOND), (Policy(), Policy(visit_join_s=0.0, visit_min_s=600.0))
    )
    shift = replace(told(Stint("O1", "PP.PP...PP.PP")), policies=policies)
    assert [row[2:4] for row in listed(shift.visits())] == [(0, 300)]


def test_the_policy_at_the_next_visit_s_start_judges_the_next() -> None:
    """Once an absence has ended a visit, the next one goes by the policy that is in force by then."""
    policies = Policies((BEGINNING, MONDAY + 120 * SECOND), (Policy(), Policy(visit_join_s=180.0)))
    shift = replace(told(Stint("O1", "PP..PP..PP...PP....PP")), policies=policies)
    assert [row[2:4] for row in listed(shift.visits())] == [(0, 120), (240, 900), (1140, 1260)]


def test_only_visits_over_a_change_of_policy_are_followed_row_by_row() -> None:
    """Of many visits only those over a change of policy are followed row by row, which takes long."""
    shift = told(*(Stint(f"O{officer}", "PPP.." * 40) for officer in range(8)))
    change = Policies((BEGINNING, MONDAY + 101 * 60 * SECOND), (Policy(), Policy(visit_join_s=61.0)))
    lines = 0

    def watch(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        lines += event == "line" and frame.f_code.co_name == "_fresh"
        return watch if frame.f_code.co_name == "_fresh" else None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        replace(shift, policies=change).visits()
    finally:
        sys.settrace(before)
    assert 0 < lines < 200  # there are 960 rows


@pytest.mark.parametrize(("text", "hours"), [("..PPP", "07:00-08:02"), ("PPP..", "08:03-09:00")])
def test_a_visit_that_only_touches_the_hours_has_no_stretch_in_them(text: str, hours: str) -> None:
    """Hours and visits are half open: where one ends and the other begins they have nothing in common."""
    shift = replace(told(Stint("O1", text)), versions=((BEGINNING, {"P1": (None, hours)}),))
    assert shift.visits().inside_in_window.tolist() == [False]


def test_what_has_no_end_is_counted_up_to_a_time() -> None:
    """Of an open duty visits are counted up to the time told, whatever end its last slice has."""
    shift = told(Stint("O1", "PP"))
    open_ = replace(
        shift,
        duties=(replace(shift.duties[0], end=None),),
        rows=(shift.rows[0], (*shift.rows[1][:2], FOREVER, *shift.rows[1][3:])),
        until=MONDAY + 200 * SECOND,
    )
    assert listed(open_.visits()) == [("P1", "O1", 0, 200, 200, True)]
    assert reach(open_.slices(), open_.duties, open_.until) == (MONDAY, open_.until)


def test_windows_that_do_not_reach_far_enough_are_refused() -> None:
    """Visits outside the time that the windows tell of are an error, not time outside the area's hours."""
    shift = told(Stint("O1", "PPPP"))
    short = windows_of(shift.versions, MONDAY, MONDAY + 180 * SECOND)
    with pytest.raises(ValueError, match="reach"):
        visits(shift.slices(), shift.duties, PLACES, Policies(), short, until=shift.until)


def test_nothing_comes_of_nothing(tmp_path: Path) -> None:
    """No slices, no duties, no places: no visits, no figures, files with a head and no rows."""
    nothing = Shift((), (), (), (), Policies(), 0, (0, 0))
    assert reach(nothing.slices(), (), 0) == (0, 0)
    found = nothing.visits()
    assert (len(found), found.area_ids, priority_figures(found, 0, 1)) == (0, (), [])
    write({"visits": visits_table(found), "priorities": priorities_table([])}, tmp_path)
    assert (tmp_path / "visits.csv").read_text("utf-8").splitlines() == [
        "area_id,officer_id,start,end,dwell_s,in_window_s,home_team"
    ]
    assert len((tmp_path / "priorities.csv").read_text("utf-8").splitlines()) == 1


def test_from_positions_to_the_files() -> None:
    """Two officers walk into a priority area, one takes a break there: the files say so."""
    areas = AreaSet.of(
        [
            Area(Kind.NEIGHBOURHOOD, "N1", "N1", box(*BINARY.at(0, 0), *BINARY.at(4, 4))),
            Area(
                Kind.PRIORITY,
                "P1",
                "P1",
                box(*BINARY.at(2, 0), *BINARY.at(6, 4)),
                {"hours": "08:05-09:00", "days": "Mon"},
            ),
        ]
    )
    history = AreaHistory([(BEGINNING, areas)])
    fixes = fix_columns(
        [
            (device, MONDAY + at * SECOND, *BINARY.at(x, 1), None)
            for device, path in {
                "R1": ((0, 1.0), (200, 3.0), (500, 3.0), (800, 3.0)),
                "R2": ((0, 5.0), (200, 5.0), (400, 5.0), (800, 7.0), (1000, 7.0)),
            }.items()
            for at, x in path
        ]
    )
    duties = [
        Duty(f"D{n}", 1, f"O{n}", MONDAY, MONDAY + 800 * SECOND, ("N1",), (Allocation(f"R{n}", "radio"),))
        for n in (1, 2)
    ]
    states = [StateReport("O1", MONDAY + 400 * SECOND, 4), StateReport("O1", MONDAY + 460 * SECOND, 2)]
    counted = slices(
        duties, stays(fixes, history, Policies()), fixes.device_ids, states, history.places, Policies()
    )
    until = MONDAY + 800 * SECOND
    own = OwnHours.of([(BEGINNING, areas)], *reach(counted, duties, until))
    found = visits(counted, duties, history.places, Policies(), own, until=until)
    table = visits_table(found)
    assert table.column_names == [
        *("area_id", "officer_id", "start", "end", "dwell_s", "in_window_s", "home_team")
    ]
    assert [",".join(row.values()) for row in table.to_pylist()] == [
        "P1,O2,2026-11-23T08:00:00.000000Z,2026-11-23T08:06:40.000000Z,400.000000,100.000000,false",
        "P1,O1,2026-11-23T08:01:40.000000Z,2026-11-23T08:13:20.000000Z,640.000000,440.000000,true",
    ]
    figures = priorities_table(priority_figures(found, MONDAY, MONDAY + 3600 * SECOND, areas=("P0", "P1")))
    assert figures.column_names == [
        *("area_id", "from", "to", "visits", "officer_s", "patrol_s", "officer_in_window_s"),
        *(
            "patrol_in_window_s",
            "other_teams_s",
            "visits_2_5",
            "visits_5_10",
            "visits_10_20",
            "visits_over_20",
        ),
    ]
    period = "2026-11-23T08:00:00.000000Z,2026-11-23T09:00:00.000000Z"
    assert [",".join(map(str, row.values())) for row in figures.to_pylist()] == [
        f"P0,{period},0,{','.join(['0.000000'] * 5)},0,0,0,0",
        f"P1,{period},2,1040.000000,740.000000,540.000000,440.000000,400.000000,0,1,1,0",
    ]
