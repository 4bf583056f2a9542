"""Where shares are heading, and who is where: what the live page shows, against literal oracles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.hours import OwnHours
from geo.matching.history import FOREVER, UNKNOWN
from stream.core.facts import SECOND, Duty
from stream.core.live.overview import SIGNED_OFF, Awaited, DayTracks, LiveShare, Officers, due_since, presence
from stream.core.live.projection import (
    CERTAIN_MET,
    CERTAIN_MISS,
    LEAST,
    LIKELY_MISS,
    OPEN,
    TIMES,
    TOO_EARLY,
    outlook,
    project,
    remaining,
)
from stream.core.shares import MISSED, NEIGHBOURHOOD, Figures
from stream.core.slices import HIDDEN, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN
from tests.duty_rows import Row, columns
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = 3600 * SECOND
MINUTE = 60 * SECOND

# ── Projection ────────────────────────────────────────────────────────────────────────────────────────────

TIME = st.integers(0, 10 * HOUR)


@st.composite
def figures(draw: st.DrawFn) -> Figures:
    """A figure such as there may be: what is ambiguous is part of what it is ambiguous of."""
    on, off, hidden, unknown, rest = (draw(TIME) for _ in range(5))
    return Figures(
        NEIGHBOURHOOD,
        "A",
        0,
        HOUR,
        on_patch=on,
        off_patch=off,
        not_visible=hidden,
        unknown=unknown,
        on_break=rest,
        priority=draw(st.integers(0, on)),
        ambiguous_on=draw(st.integers(0, on)),
        ambiguous_off=draw(st.integers(0, off + hidden)),
    )


@many(200)
@given(figures(), figures(), st.integers(0, 20))
def test_when_the_last_hour_comes_again_it_is_added(counted: Figures, late: Figures, times: int) -> None:
    """If what is left is some times the last hour, that is added to the figure as often, exactly."""
    past = late.duty + late.on_break
    found = project(counted, late, times * past, 1)
    if past < LEAST:
        assert found is None
        return
    assert found == replace(
        counted, **{name: getattr(counted, name) + times * getattr(late, name) for name in TIMES}
    )


@many(200)
@given(figures(), figures(), TIME)
def test_a_projection_lies_within_its_bounds(counted: Figures, late: Figures, rest: int) -> None:
    """A projected share lies between its bounds and is one of 0 to 1; nothing left, it is the share now."""
    found = project(counted, late, rest, 1)
    assert project(counted, late, 0, 1) in (None, counted)
    if found is None or found.share is None or found.share_low is None or found.share_high is None:
        return
    assert 0 <= found.share_low <= found.share <= found.share_high <= 1
    assert abs(found.duty + found.on_break - counted.duty - counted.on_break - rest) <= len(TIMES)


@pytest.mark.parametrize(("duties", "enough"), [(1, True), (2, True), (3, False)])
def test_how_a_shift_begins_says_nothing(duties: int, enough: bool) -> None:
    """Less than half an hour of the officers' time, on average, makes no projection."""
    late = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=HOUR)
    assert (project(late, late, HOUR, duties) is not None) is enough


def test_without_a_share_there_is_no_projection() -> None:
    """A figure that has no share is not projected."""
    late = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=HOUR, has_share=False)
    assert project(late, late, HOUR, 1) is None


@many(300)
@given(figures(), TIME, st.lists(st.integers(0, 1000), min_size=6, max_size=6), st.floats(0.01, 0.99))
def test_no_way_to_go_on_leaves_the_best_and_the_worst(
    counted: Figures, rest: int, ways: list[int], target: float
) -> None:
    """However the rest is spent, breaks and doubts too, the end lies between the worst and the best."""
    found = outlook(counted, None, rest, 1, 0.25)
    if found is None:
        assert counted.share is None
        return
    parts = [rest * way // max(1, sum(ways)) for way in ways]
    end = replace(
        counted,
        on_patch=counted.on_patch + parts[0] + parts[1],
        ambiguous_on=counted.ambiguous_on + parts[1],
        off_patch=counted.off_patch + parts[2] + parts[3],
        ambiguous_off=counted.ambiguous_off + parts[3],
        unknown=counted.unknown + parts[4],
        on_break=counted.on_break + parts[5],
    )
    assert end.share_low is not None
    assert end.share_high is not None
    assert found.worst <= end.share_low + 1e-12
    assert found.best >= end.share_high - 1e-12
    word = found.word(target)
    if word == CERTAIN_MISS:
        assert end.share_high < target + 1e-12
    if word == CERTAIN_MET:
        assert end.share_low >= target - 1e-12


@pytest.mark.parametrize(
    ("on", "off", "late_on", "rest", "word"),
    [
        (0, 40, 0, 560, TOO_EARLY),  # a slow start
        (100, 40, 60, 460, TOO_EARLY),
        (100, 60, 0, 440, LIKELY_MISS),
        (100, 60, 60, 440, OPEN),  # the last hour would mend it
        (150, 30, 0, 420, OPEN),  # one bad hour of a good shift
        (240, 120, 30, 240, LIKELY_MISS),
        (250, 110, 58, 240, OPEN),
        (240, 121, 60, 239, CERTAIN_MISS),
        (480, 20, 0, 100, CERTAIN_MET),
        (400, 60, 0, 40, CERTAIN_MET),
        (300, 100, 0, 0, CERTAIN_MISS),
    ],
)
def test_what_is_said_of_the_end_of_a_shift(on: int, off: int, late_on: int, rest: int, word: str) -> None:
    """Nothing is said early on; a miss is likely if it is one now and the last hour would not mend it."""
    counted = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=on * MINUTE, off_patch=off * MINUTE)
    late = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=late_on * MINUTE, off_patch=(60 - late_on) * MINUTE)
    found = outlook(counted, late, rest * MINUTE, 1, 0.25)
    assert found is not None
    assert found.word(0.8) == word
    assert (found.ahead is None) == (found.done < 0.25)


@many(200)
@given(figures(), figures(), TIME, st.integers(0, 4))
def test_breaks_are_booked_time_that_is_over(
    counted: Figures, late: Figures, rest: int, quarters: int
) -> None:
    """What is over of the booked time includes the breaks, and by it the last hour says something or not."""
    found = outlook(counted, late, rest, 1, quarters / 4)
    if found is None:
        return
    past = sum((counted.on_patch, counted.off_patch, counted.not_visible, counted.unknown, counted.on_break))
    assert found.done == past / (past + rest)
    early = 4 * past < quarters * (past + rest)
    assert found.ahead == (None if early else project(counted, late, rest, 1))


@pytest.mark.parametrize(("on_break", "word"), [(0, TOO_EARLY), (60, LIKELY_MISS)])
def test_a_break_brings_the_end_nearer(on_break: int, word: str) -> None:
    """Who has had a break is as far into the shift as who worked through it."""
    counted = Figures(NEIGHBOURHOOD, "A", 0, HOUR, off_patch=100 * MINUTE, on_break=on_break * MINUTE)
    late = Figures(NEIGHBOURHOOD, "A", 0, HOUR, off_patch=60 * MINUTE)
    found = outlook(counted, late, 480 * MINUTE, 1, 0.25)
    assert found is not None
    assert found.word(0.8) == word


def test_an_hour_of_breaks_is_an_hour() -> None:
    """The last hour says something also where it was a break, and what is left goes on as breaks then."""
    counted = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=HOUR)
    late = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=15 * MINUTE, on_break=45 * MINUTE)
    assert project(counted, late, 2 * HOUR, 1) == replace(
        counted, on_patch=HOUR + 30 * MINUTE, on_break=90 * MINUTE
    )


@many(200)
@given(figures(), figures(), TIME, st.floats(0.01, 0.99))
def test_a_likely_miss_is_one_now_and_at_this_rate(
    counted: Figures, late: Figures, rest: int, target: float
) -> None:
    """A miss is called likely only where the figure so far and the projected one are misses by rule 14."""
    found = outlook(counted, late, rest, 1, 0.25)
    if found is None or found.word(target) != LIKELY_MISS:
        return
    assert found.done >= 0.25
    assert counted.verdict(target) == MISSED
    assert found.ahead is not None
    assert found.ahead.verdict(target) == MISSED


def test_what_is_left_of_duties() -> None:
    """What is left is up to each duty's end, or the usual end of one that has none; never below 0."""
    duties = [
        Duty("a", 1, "1", 0, 8 * HOUR),
        Duty("b", 1, "2", HOUR, None),
        Duty("c", 1, "3", -20 * HOUR, None),
        Duty("d", 1, "4", 0, 2 * HOUR),
    ]
    assert remaining(duties, 2 * HOUR, 10 * HOUR) == 6 * HOUR + 9 * HOUR


# ── Presence ──────────────────────────────────────────────────────────────────────────────────────────────

PATIENCE = 300


@st.composite
def shifts(draw: st.DrawFn) -> list[list[Row]]:
    """Some duties' slices, with gaps in which the officer is off duty."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        rows, time = [], draw(st.integers(0, 500))
        for _ in range(draw(st.integers(0, 12))):
            time += draw(st.sampled_from((0, 0, 0, 100)))
            end = time + draw(st.sampled_from((1, 50, 299, 300, 301, 900)))
            activity = draw(st.integers(0, 4))
            place = UNKNOWN if activity == UNSEEN else draw(st.integers(0, 3))
            rows.append(Row(time, end, activity, draw(st.integers(0, 9)), place))
            time = end
        found.append(rows)
    return found


def literally(rows: Sequence[Row], begun: int, now: int) -> tuple[int, int, int, int, int]:
    """What one officer does: activity, place, since, off patch since, last on patch; one slice at a time."""
    booked = any(row.start <= now < row.end for row in rows)
    past = [row._replace(end=min(row.end, now)) for row in rows if row.start <= now]
    told = [row for row in past if row.activity != UNSEEN or row.end - row.start >= PATIENCE]
    last_on = max((row.end for row in told if row.activity == ON_PATCH), default=-FOREVER)
    if not booked:
        return SIGNED_OFF, UNKNOWN, begun, FOREVER, last_on
    if not told:
        return UNSEEN, UNKNOWN, min(begun, now), FOREVER, last_on
    newest = told[-1]
    since = newest.start
    for row in reversed(told):
        if row.activity != newest.activity:
            break
        since = row.start
    off_since = FOREVER
    if newest.activity in (OFF_PATCH, HIDDEN):
        for row in reversed(told):
            if row.activity == ON_PATCH:
                break
            if row.activity not in (UNSEEN, ON_BREAK):
                off_since = row.start
    return newest.activity, newest.place, since, off_since, last_on


@many(300)
@given(shifts(), st.integers(0, 4000))
def test_presence_is_what_one_sees_slice_by_slice(shift: list[list[Row]], now: int) -> None:
    """Who does what, where and since when is what a literal look at each slice says."""
    begins = [own[0].start if own else 7 for own in shift]
    duties = [Duty(str(at), 1, str(at), begin, None) for at, begin in enumerate(begins)]
    found = presence(columns(shift), duties, now, PATIENCE)
    for at, own in enumerate(shift):
        wanted = literally(own, begins[at], now)
        told = (
            int(found.activity[at]),
            int(found.place[at]),
            int(found.since[at]),
            int(found.off_since[at]),
            int(found.last_on[at]),
        )
        assert told == wanted


# ── Need, and waiting ─────────────────────────────────────────────────────────────────────────────────────


def share(
    on: int, off: int, on_duty: int, on_patch: int, ahead: float | None = None, *, on_break: int = 0
) -> LiveShare:
    """A neighbourhood's figure."""
    counted = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=on, off_patch=off)
    projected = None
    if ahead is not None:
        projected = replace(counted, on_patch=round(ahead * 1000), off_patch=1000 - round(ahead * 1000))
    found = outlook(counted, None, 1000, 1, 0.25)
    found = None if found is None else replace(found, ahead=projected)
    return LiveShare(counted, "A", 0.8, Officers(on_duty, on_patch, 0, on_break), found, ())


@pytest.mark.parametrize(
    ("on_duty", "on_patch", "on_break", "deserted"),
    [
        (2, 0, 0, True),
        (2, 0, 1, True),
        (2, 0, 2, False),
        (2, 1, 0, False),
        (2, 1, 1, False),
        (0, 0, 0, False),
    ],
)
def test_who_is_on_a_break_is_not_missed(on_duty: int, on_patch: int, on_break: int, deserted: bool) -> None:
    """A neighbourhood is deserted where somebody ought to be on patch and nobody is."""
    item = share(90, 10, on_duty, on_patch, 0.9, on_break=on_break)
    assert item.deserted is deserted
    assert (item.need >= 3) is deserted


# ── Since when somebody ought to be there ─────────────────────────────────────────────────────────────────


def due_literally(
    shift: Sequence[Sequence[Row]], patches: Sequence[tuple[str, ...]], now: int
) -> dict[str, int]:
    """For each area, back from now instant by instant: since when somebody was on duty and not on a break."""
    found = {}
    for area in {area for patch in patches for area in patch}:
        rows = [
            row
            for own, patch in zip(shift, patches, strict=True)
            if area in patch
            for row in own
            if row.activity != ON_BREAK
        ]
        time = now
        while any(row.start <= time < row.end for row in rows):
            time -= 1
        if time < now:
            found[area] = time + 1
    return found


@many(200)
@given(shifts(), st.integers(0, 1500), st.data())
def test_since_when_somebody_ought_to_be_there(shift: list[list[Row]], now: int, data: st.DataObject) -> None:
    """Since when somebody ought to be on patch is what a look at each instant says, area by area."""
    patches = [tuple(sorted(data.draw(st.sets(st.sampled_from("ABC"))))) for _ in shift]
    duties = tuple(Duty(str(at), 1, str(at), 0, None, patch) for at, patch in enumerate(patches))
    windows = OwnHours.of([], 0, 1)
    tracks = DayTracks(now, duties, columns(shift), (), windows)
    assert due_since(tracks) == due_literally(shift, patches, now)


def test_what_needs_looking_at_comes_first() -> None:
    """Nobody on patch before a projected miss, that before a present one; nobody on duty last."""
    in_order = [
        share(90, 10, 3, 0, 0.5),
        share(90, 10, 3, 0, 0.9),
        share(90, 10, 3, 1, 0.3),
        share(90, 10, 3, 1, 0.79),
        share(60, 40, 3, 1, 0.9),
        share(79, 21, 3, 3),
        share(85, 15, 3, 3, 0.85),
        share(95, 5, 3, 3, 0.95),
        share(0, 0, 0, 0),
    ]
    needs = [item.need for item in in_order]
    assert needs == sorted(needs, reverse=True)
    assert len(set(needs)) == len(needs)


@pytest.mark.parametrize(
    ("on", "need"), [(80, 0.2), (79, 1.01), (100, 0.0), (0, 1.8)], ids=["reached", "below", "all", "none"]
)
def test_a_share_that_just_reaches_the_target_is_not_below_it(on: int, need: float) -> None:
    """Need is the time not on patch where the target is reached; one more than what is missing where not."""
    counted = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=on, off_patch=100 - on)
    item = LiveShare(counted, "A", 0.8, Officers(3, 1, 0, 0), None, ())
    assert item.need == pytest.approx(need)


def test_a_projection_that_just_reaches_the_target_is_not_a_miss() -> None:
    """Only a share that is heading below the target counts as one."""
    assert share(95, 5, 3, 1, 0.8).need == pytest.approx(0.05)
    assert share(95, 5, 3, 1, 0.799).need == pytest.approx(2.001)


@pytest.mark.parametrize("on", [0, 100])
def test_with_nobody_on_duty_nothing_is_needed(on: int) -> None:
    """A figure without anybody on duty, or without a share, needs -1."""
    assert share(on, 0, 0, 0).need == -1
    assert share(0, 0, 3, 0).need == -1


@pytest.mark.parametrize(
    ("in_hours", "present", "last", "since"),
    [
        (True, 0, 500, 500),
        (True, 0, None, 200),
        (True, 0, 50, 100),
        (True, 1, 500, None),
        (False, 0, 500, None),
    ],
)
def test_since_when_an_area_waits(in_hours: bool, present: int, last: int | None, since: int | None) -> None:
    """An area waits from its last visit, the beginning of its hours or of the record, whichever is latest."""
    area = Awaited("P", "P", "", "", "", in_hours, 100 if in_hours else FOREVER, last, present, 0, 0)
    assert area.waiting_since(200) == since
