"""The parts of a summary's numbers: they add up to the microsecond, whatever is asked and however divided."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import LOCAL, Period, local_day, moment, parse_time
from stream.core.crewing import crewing
from stream.core.explaining.explanation import CAUSES, Explanation, cut_open, explain
from stream.core.explaining.parts import Found
from stream.core.explaining.wording import Named
from stream.core.facts import SECOND, Duty
from stream.core.policy import Policies
from stream.core.shares import NEIGHBOURHOOD, Figures
from stream.core.slices import ACTIVITIES, ON_BREAK, ON_PATCH, decisive, newest
from stream.core.stays import stays
from stream.core.summaries.details import Vehicles, crewed_hours, duty_by_stretch
from stream.core.summaries.model import Hour
from stream.core.summaries.parts import (
    DIVISIONS,
    DOUBT,
    FEW,
    MEASURES,
    NONE,
    NOWHERE,
    PREMISES_DECIDE,
    PRIORITY,
    STATUS_DECIDES,
    STRETCH,
    Question,
    answer,
    clock_s,
    duty_words,
    exact_words,
    seconds_words,
    told,
)
from tests.counted import RENAMED, Case
from tests.publics import GOOD, summary
from tests.strategies import BINARY, World, many, world_fixes, worlds
from tests.worlds import history_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOUR = 3600 * SECOND
NAMES = Named({})
WEEK = Period.week("2026-W47")


def explained(world: World) -> Iterator[tuple[Case, str, Explanation]]:
    """The duties of the neighbourhood that has the most, if any has, explained as a summary does it."""
    case = Case(world, RENAMED)
    case.slices = cut_open(case.slices, case.duties, world.as_of)
    patches = Counter(area for duty in case.duties for area in sorted(duty.patch))
    for area_id, _ in patches.most_common(1):
        yield (
            case,
            area_id,
            explain(
                Figures(NEIGHBOURHOOD, area_id, *world.period),
                case.slices,
                case.duties,
                case.places,
                case.device_ids,
                RENAMED,
                until=world.as_of,
            ),
        )


def by_hand(case: Case, area_id: str, rows: Iterable[int]) -> int:
    """The time of a patch's duties in the world's period in some rows of the slices."""
    low, high = case.world.period
    table = case.slices
    return sum(
        max(0, min(int(table.end[row]), high) - max(int(table.start[row]), low))
        for row in rows
        if area_id in case.duties[int(table.duty[row])].patch
    )


@many(8)
@given(worlds(BINARY))
def test_each_question_is_answered_by_the_slices_that_it_asks_for(world: World) -> None:
    """What is asked by activity, place, status, reason, officer or duty is the sum of just those slices."""
    for case, area_id, found in explained(world):
        table = case.slices
        what = [ACTIVITIES[number] for number in table.activity.tolist()]
        whose = [case.duties[number] for number in table.duty.tolist()]
        by_state = decisive(table, case.duties, RENAMED).tolist()
        where = [case.where(number) for number in table.place.tolist()]
        status = [case.state(duty, time) for duty, time in zip(whose, table.start.tolist(), strict=True)]
        rows, everything = range(len(table)), ",".join(ACTIVITIES)
        asked = [(Question(), [row for row in rows if what[row] != "break"])]
        asked += [
            (Question(activity=name), [row for row in rows if what[row] == name]) for name in ACTIVITIES
        ]
        asked += [
            (
                Question(activity=everything, officer=name),
                [row for row in rows if whose[row].officer_id == name],
            )
            for name in {duty.officer_id for duty in case.duties}
        ]
        asked += [
            (
                Question(duty=name),
                [row for row in rows if whose[row].duty_id == name and what[row] != "break"],
            )
            for name in {duty.duty_id for duty in case.duties}
        ]
        asked += [
            (
                Question(because=because),
                [row for row in rows if what[row] == "not_visible" and by_state[row] is decided],
            )
            for because, decided in ((STATUS_DECIDES, True), (PREMISES_DECIDE, False))
        ]
        known = {"on_patch", "off_patch", "not_visible"}
        asked += [
            (
                Question(
                    activity=",".join(known),
                    where=spot.neighbourhood or NOWHERE,
                    premises=spot.premises or NONE,
                ),
                [row for row in rows if what[row] in known and where[row] == spot],
            )
            for spot in set(found.wheres)
        ]
        asked += [
            (
                Question(activity=everything, state=str(meaning.state), called=meaning.name),
                [row for row in rows if status[row] == meaning],
            )
            for meaning in set(found.meanings)
            if meaning.state >= 0
        ]
        for question, chosen in asked:
            assert answer(found, question, NAMES).time == by_hand(case, area_id, chosen)
        silent = [
            answer(found, Question(cause=cause, activity="unknown"), NAMES).time for cause in CAUSES if cause
        ]
        assert sum(silent) == answer(found, Question(activity="unknown"), NAMES).time
        rest = answer(found, Question(cause=NONE), NAMES).time
        assert rest == answer(found, Question(), NAMES).time - sum(silent)


@many(8)
@given(worlds(BINARY), st.sampled_from(["", "on_patch", "not_visible", "unknown", ",".join(ACTIVITIES)]))
def test_parts_add_up_and_each_has_its_own_answer(world: World, activity: str) -> None:
    """However a number is divided, its parts sum to it; asked for alone, a part is as large."""
    for _, _, found in explained(world):
        for by, of in zip(sorted(DIVISIONS), ("", *MEASURES, "", ""), strict=True):
            whole = answer(found, Question(of=of, activity=activity, by=by), NAMES)
            assert whole.by == by
            assert sum(part.time for part in whole.parts) == whole.time
            assert all(part.time > 0 for part in whole.parts)
            if by == STRETCH:
                starts = [part.start for part in whole.parts]
                assert starts == sorted(starts)
                assert all(part.question is None and part.duty for part in whole.parts)
                continue
            if by not in {"day", "duty"}:
                times = [part.time for part in whole.parts]
                assert times == sorted(times, reverse=True)
            for part in whole.parts:
                assert part.question is not None
                if by == "activity" or not activity:
                    own = answer(found, replace(part.question, by=STRETCH), NAMES)
                    if by != "day" and part.words != "no radio status":
                        assert own.time == part.time
                        assert part.note == f"{len(own.parts)} stretch{'es' * (len(own.parts) != 1)}"


@many(8)
@given(worlds(BINARY))
def test_time_in_priority_areas_and_beside_them_is_all_of_it(world: World) -> None:
    """On patch, time in priority areas and beside them is all; so much is in doubt as the figure says."""
    for case, area_id, found in explained(world):

        def time(of: str, activity: str, found: Explanation = found) -> int:
            return answer(found, Question(of=of, activity=activity), NAMES).time

        assert time(PRIORITY, "on_patch") + time("beside", "on_patch") == time("", "on_patch")
        table = case.slices
        assert time(PRIORITY, "on_patch") == by_hand(
            case,
            area_id,
            [
                row
                for row in np.flatnonzero(table.activity == ON_PATCH).tolist()
                if case.places[int(table.place[row])].priorities
            ],
        )
        figures = [
            item for item in case.figures(*world.period) if (item.scope, item.id) == (NEIGHBOURHOOD, area_id)
        ]
        assert time(DOUBT, "on_patch") == sum(item.ambiguous_on for item in figures)
        assert time(DOUBT, "off_patch,not_visible") == sum(item.ambiguous_off for item in figures)


def test_few_stretches_are_listed_and_more_are_grouped() -> None:
    """Up to forty stretches stand one by one; more by officer, and those of one officer by day."""
    world = World((), (), (), (), 0, (0, 0))
    booked = Duty("D1", 1, "O1", 0, 200 * HOUR, ("N1",))
    for count in (FEW, FEW + 1):
        case = Case(world, Policies())
        case.slices = replace(
            case.slices,
            duty=np.zeros(count, np.int32),
            start=np.arange(count) * HOUR,
            end=np.arange(count) * HOUR + HOUR - SECOND,
            activity=np.full(count, ON_PATCH, np.int8),
            state=np.full(count, 1, np.int16),
            place=np.zeros(count, np.int32),
            device=np.zeros(count, np.int32),
        )
        found = explain(
            Figures(NEIGHBOURHOOD, "N1", 0, 200 * HOUR),
            case.slices,
            [booked],
            case.places,
            ("R1",),
            Policies(),
            until=200 * HOUR,
        )
        assert len(found.stretches) == count
        by = [
            answer(found, question, NAMES).by
            for question in (
                *(Question(), Question(officer="O1"), Question(duty="D1")),
                Question(officer="O1", day="2026-11-16"),
            )
        ]
        assert by == ([STRETCH] * 4 if count == FEW else ["officer", "day", "day", STRETCH])


# ── What is asked ─────────────────────────────────────────────────────────────────────────────────────────


AUTUMN, SPRING = Period.week("2026-W43"), Period.week("2026-W13")


@pytest.mark.parametrize(
    ("period", "asked", "start", "hours"),
    [
        (AUTUMN, {}, "2026-10-19T00:00:00+01:00", 169),
        (AUTUMN, {"day": "2026-10-25"}, "2026-10-25T00:00:00+01:00", 25),
        (AUTUMN, {"day": "2026-10-19"}, "2026-10-19T00:00:00+01:00", 24),
        (AUTUMN, {"day": "2026-10-25", "hour": "01"}, "2026-10-25T01:00:00+01:00", 1),
        (AUTUMN, {"day": "2026-10-25", "hour": "01", "again": "1"}, "2026-10-25T01:00:00+00:00", 1),
        (AUTUMN, {"day": "2026-10-25", "hour": "23"}, "2026-10-25T23:00:00+00:00", 1),
        (SPRING, {"day": "2026-03-29", "hour": "2"}, "2026-03-29T02:00:00+01:00", 1),
    ],
)
def test_a_question_is_about_its_week_day_or_hour(
    period: Period, asked: dict[str, str], start: str, hours: int
) -> None:
    """The time asked about is the week, the local day or the hour on the wall, of two the one asked for."""
    low, high = Question(**asked).span(period)
    assert (low, high - low) == (parse_time(start), hours * HOUR)


@pytest.mark.parametrize(
    ("period", "asked", "says"),
    [
        (AUTUMN, {"day": "tomorrow"}, "day=tomorrow is not a date: write it like 2026-11-16"),
        (AUTUMN, {"day": "2026-10-18"}, "day=2026-10-18 is not in 2026-W43"),
        (AUTUMN, {"day": "2026-10-26"}, "day=2026-10-26 is not in 2026-W43"),
        (SPRING, {"day": "2026-03-29", "hour": "1"}, "2026-03-29 has no hour 01: the clocks change"),
        (AUTUMN, {"day": "2026-10-25", "hour": "2", "again": "1"}, "has no second hour 02: the clocks"),
    ],
)
def test_a_time_that_is_not_in_the_week_is_refused(period: Period, asked: dict[str, str], says: str) -> None:
    """A day outside the week, what is no day, and an hour that there is not get a sentence that says so."""
    with pytest.raises(ValueError, match=says):
        Question(**asked).span(period)


# ── What a summary says of it ─────────────────────────────────────────────────────────────────────────────


def test_a_number_of_the_summary_is_known_by_its_question() -> None:
    """The figures of all, of an officer and of a duty, and time away by place and status, are found."""
    found = summary(GOOD)
    figures = found.figures
    assert told(found, Question()) == figures.duty
    assert told(found, Question(activity="on_patch")) == figures.on_patch
    assert told(found, Question(activity="off_patch,not_visible")) == figures.off_patch + figures.not_visible
    assert told(found, Question(activity="break")) == figures.on_break
    assert told(found, Question(of=PRIORITY, activity="on_patch")) == figures.priority
    assert told(found, Question(of="beside", activity="on_patch")) == figures.on_patch - figures.priority
    assert told(found, Question(of=PRIORITY, activity="unknown")) == 0
    assert told(found, Question(of=DOUBT, activity="on_patch")) == figures.ambiguous_on
    assert told(found, Question(of=DOUBT, activity="off_patch,not_visible")) == figures.ambiguous_off
    assert told(found, Question(of=DOUBT)) == figures.ambiguous_on + figures.ambiguous_off
    assert told(found, Question(of=DOUBT, activity="off_patch")) is None
    for officer in found.officers:
        asked = Question(officer=officer.officer_id)
        assert told(found, asked) == officer.figures.duty
        for line in officer.duties:
            assert told(found, replace(asked, duty=line.duty_id)) == line.figures.duty
            assert told(found, Question(duty=line.duty_id, activity="unknown")) == line.figures.unknown
            assert told(found, Question(duty=line.duty_id, officer="nobody")) is None
    assert told(found, Question(officer="nobody")) is None
    assert found.away
    for away in found.away:
        asked = Question(
            activity=away.activity,
            where=away.neighbourhood or NOWHERE,
            premises=away.premises or NONE,
            state=str(away.state),
            called=away.state_name,
        )
        assert told(found, asked) == away.time
        assert told(found, replace(asked, called="something else")) == 0
        for other in (
            replace(asked, officer="OFF0"),
            replace(asked, activity="on_patch"),
            replace(asked, of=DOUBT),
            replace(asked, premises=""),
        ):
            assert told(found, other) is None
    assert told(found, Question(because=STATUS_DECIDES)) is None
    assert told(found, Question(cause=NONE)) is None
    assert told(found, Question(day="2026-10-05")) is None


def test_an_hour_of_the_summary_is_known_by_its_question() -> None:
    """Of two hours with one name each has its own numbers; an hour that is not there has none."""
    first = Hour(
        day="2026-10-25",
        hour=1,
        again=False,
        start=0,
        end=HOUR,
        on_patch=7,
        priority=3,
        off_patch=5,
        on_break=11,
    )
    second = replace(first, again=True, on_patch=8, unknown=2)
    found = replace(summary(GOOD), hours=(first, second))
    asked = Question(day="2026-10-25", hour="01")
    assert told(found, asked) == 12
    assert told(found, replace(asked, again="1")) == 15
    assert told(found, replace(asked, activity="break")) == 11
    assert told(found, replace(asked, of="beside", activity="on_patch")) == 4
    assert told(found, replace(asked, hour="02")) is None
    assert told(found, replace(asked, day="2026-10-24")) is None
    assert told(found, replace(asked, officer="OFF0")) is None
    assert told(found, replace(asked, of=DOUBT)) is None


# ── In words ──────────────────────────────────────────────────────────────────────────────────────────────


def test_times_are_said_to_the_second() -> None:
    """Seconds, minutes and hours as people say them; the zone on the day on which the clocks change."""
    assert [seconds_words(whole) for whole in (0, 59, 60, 61, 3600, 3601, 22_205)] == [
        *("0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 1 s", "6 h 10 min 5 s")
    ]
    assert clock_s(parse_time("2026-11-16T07:08:09.9Z")) == "07:08:09"
    assert clock_s(parse_time("2026-10-25T00:30:05Z")) == "01:30:05 BST"
    assert exact_words([SECOND // 3] * 3) == ["1 s", "0 s", "0 s"]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("2026-11-16T17:00:00Z", "Mon 16 Nov 07:00 to 17:00"),
        ("2026-11-17T07:00:00Z", "Mon 16 Nov 07:00 to Tue 07:00"),
        (None, "Mon 16 Nov 07:00, still open"),
    ],
)
def test_a_duty_is_said_by_its_times(end: str | None, text: str) -> None:
    """From when to when, with the day where it is another one."""
    start = parse_time("2026-11-16T07:00:00Z")
    assert duty_words(Duty("D1", 1, "O1", start, None if end is None else parse_time(end))) == text


# ── Details ───────────────────────────────────────────────────────────────────────────────────────────────


@many(8)
@given(worlds(BINARY))
def test_the_stretches_of_a_duty_tile_it(world: World) -> None:
    """A duty's stretches are its slices cut at midnight, and those in the week sum to its figures there."""
    case = Case(world, RENAMED)
    case.slices = cut_open(case.slices, case.duties, world.as_of)
    week = replace(WEEK, start=world.period[0], end=world.period[1])
    for number, duty in enumerate(case.duties):
        found = Found(case.slices, case.duties, case.places, case.device_ids, world.as_of, 0, Named({}), None)
        told_ = duty_by_stretch(found, RENAMED, week, duty.duty_id)
        ends = np.minimum(case.slices.end, told_.until)
        rows = np.flatnonzero((case.slices.duty == number) & (case.slices.start < ends))
        assert sum(item.time for item in told_.stretches) == int((ends - case.slices.start)[rows].sum())
        ends_at = duty.start if duty.cancelled else world.as_of if duty.end is None else duty.end
        assert told_.until == max(duty.start + 1, ends_at)
        assert all(local_day(item.start) == local_day(item.end - 1) for item in told_.stretches)
        starts = [item.start for item in told_.stretches]
        assert starts == sorted(starts)
        for item in told_.stretches:
            assert item.inside == (week.start <= item.start < week.end)
            [row] = [
                row for row in rows.tolist() if case.slices.start[row] <= item.start < case.slices.end[row]
            ]
            assert item.activity == ACTIVITIES[int(case.slices.activity[row])]
            assert 0 <= item.doubt <= item.time
        inside = [item for item in told_.stretches if item.inside]
        times = told_.times()
        assert times["duty"] == sum(item.time for item in inside if item.activity != ACTIVITIES[ON_BREAK])
        assert times["break"] == sum(item.time for item in inside if item.activity == "break")
        assert times["ambiguous_on"] + times["ambiguous_off"] == sum(item.doubt for item in inside)


@many(15)
@given(worlds(BINARY))
def test_crewed_hours_sum_to_the_crewing(world: World) -> None:
    """Vehicle by vehicle, the hours sum to the neighbourhood's crewing, and name who was allocated then."""
    fixes, history, duties = world_fixes(world), history_of(world), newest(world.duties)
    found = stays(fixes, history, Policies())
    start, end = world.period
    whole = crewing(duties, found, fixes.device_ids, history.places, start, end)
    week = replace(WEEK, start=start, end=end)
    vehicles = Vehicles(duties, found, fixes.device_ids, history.places, end)
    for at, area_id in enumerate(whole.neighbourhood_ids[:-2]):
        rows = crewed_hours(vehicles, week, area_id)
        for hour in {int(value) for value in whole.hour.tolist()}:
            mine = (whole.neighbourhood == at) & (whole.hour == hour)
            own = [item for item in rows if item.start == hour]
            assert sum(item.single for item in own) == int(whole.single[mine].sum())
            assert sum(item.double for item in own) == int(whole.double[mine].sum())
        for item in rows:
            assert len(item.crew) >= (2 if item.double else 1)
            assert item.hour == moment(item.start).astimezone(LOCAL).hour
            assert {duty_id for _, duty_id in item.crew} <= {duty.duty_id for duty in duties}
            assert list(item.crew) == sorted(item.crew)
