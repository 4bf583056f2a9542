"""Where shares are heading, and who is where: what the live page shows, against literal oracles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.history import FOREVER, UNKNOWN
from stream.facts import SECOND, Duty
from stream.overview import SIGNED_OFF, Awaited, Share, presence
from stream.projection import LEAST, TIMES, project, remaining
from stream.shares import NEIGHBOURHOOD, Figures
from stream.slices import HIDDEN, NO_DEVICE, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN, Slices
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = 3600 * SECOND

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


class Row(NamedTuple):
    """A slice of one duty."""

    start: int
    end: int
    activity: int
    state: int
    place: int


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


def columns(shift: Sequence[Sequence[Row]]) -> Slices:
    """Slices as columns."""
    rows = [(duty, *row) for duty, own in enumerate(shift) for row in own]
    table = np.array(rows, np.int64).reshape(-1, 6)
    return Slices(
        table[:, 0].astype(np.int32),
        table[:, 1].copy(),
        table[:, 2].copy(),
        table[:, 3].astype(np.int8),
        table[:, 4].astype(np.int16),
        table[:, 5].astype(np.int32),
        np.full(len(table), NO_DEVICE, np.int32),
    )


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


def share(on: int, off: int, on_duty: int, on_patch: int, ahead: float | None = None) -> Share:
    """A neighbourhood's figure."""
    counted = Figures(NEIGHBOURHOOD, "A", 0, HOUR, on_patch=on, off_patch=off)
    projected = None
    if ahead is not None:
        projected = replace(counted, on_patch=round(ahead * 1000), off_patch=1000 - round(ahead * 1000))
    return Share(counted, "A", 0.8, on_duty, on_patch, 0, projected, ())


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
