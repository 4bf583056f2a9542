"""Rule 8a in the core: how much of a booking counts, and that it is no part of the booking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from stream.core import calendar
from stream.core.explaining.explanation import cut_open, explain
from stream.core.facts import LONGEST_DUTY_S, SECOND, Duty
from stream.core.policy import BEGINNING, Policies, Policy, counted_by
from stream.core.shares import OFFICER, shares
from stream.core.slices import booking, canonical, newest, spans
from tests.counted import Case
from tests.strategies import HOUR, World, many, micros, wrongly_booked
from tests.worlds import wandering

if TYPE_CHECKING:
    from datetime import date


@many(100)
@given(world=wrongly_booked())
def test_no_officer_has_more_than_the_longest_duty_from_one(world: World) -> None:
    """However a duty is booked, no more of it counts than the longest duty; of what is too long, nothing."""
    duties = newest(world.duties)
    number, start, end = spans(duties)
    for at, duty in enumerate(duties):
        time = int((end - start)[number == at].sum())
        assert time <= LONGEST_DUTY_S * SECOND
        if duty.end is not None and duty.end - duty.start > LONGEST_DUTY_S * SECOND:
            assert (time, duty.counts, duty.until) == (0, False, duty.start)
        assert duty.until_by(duty.start) <= duty.until


def test_how_long_a_duty_may_be_is_no_part_of_the_booking() -> None:
    """Two programs with other policies hold the same revision for the same, and keep it alike."""
    duty = Duty("D1", 1, "O1", micros("2026-11-23T08:00:00+00:00"), None)
    [other] = newest([duty], Policies((BEGINNING,), (Policy(longest_duty_s=3600.0),)))
    assert other.longest == HOUR
    assert other == duty
    assert canonical(other) == canonical(duty)
    assert "longest" not in booking(other)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 43_200.0])
def test_stored_figures_depend_on_the_longest_duty(seconds: float) -> None:
    """It is among the settings by which duties are counted, so loading another for the past outdates some."""
    assert counted_by(Policy(longest_duty_s=seconds)) != counted_by(Policy())


def test_a_figure_of_thousands_of_years_is_explained_by_the_days_that_have_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked for 1900 to 9999, with a duty of 2000 and a booking to 9999: few midnights are looked up."""
    world = wandering(2)
    long = replace(world.duties[0], revision=9, end=micros("9999-12-31T00:00:00+00:00"))
    old = replace(world.duties[1], duty_id="OLD", start=micros("2000-01-01T00:00:00+00:00"), end=None)
    case = Case(replace(world, duties=(*world.duties, long, old)), Policies())
    slices = cut_open(case.slices, case.duties, world.as_of)
    period = micros("1900-01-01T00:00:00+00:00"), micros("9999-01-01T00:00:00+00:00")
    looked: list[date] = []
    midnight = calendar.day_start

    def noted(day: date) -> int:
        looked.append(day)
        return midnight(day)

    monkeypatch.setattr(calendar, "day_start", noted)
    for figure in shares(slices, case.duties, case.places, *period):
        found = explain(
            *(figure, slices, case.duties, case.places, case.device_ids, Policies()), until=world.as_of
        )
        table = found.stretches
        assert int((table.end - table.start).sum()) == figure.duty + figure.on_break
        ends = [duty for duty in case.duties if duty.officer_id == figure.id and duty.too_long]
        assert figure.scope != OFFICER or len(found.uncounted) == len(ends)
    assert 0 < len(looked) < 200
