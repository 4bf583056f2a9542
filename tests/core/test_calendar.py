"""Local days and weeks, against the oracle that asks every hour which it belongs to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core import calendar
from tests import oracle
from tests.strategies import many, micros

DATES = st.dates(date(2020, 1, 1), date(2037, 12, 31))
TIMES = st.integers(micros("2020-01-01T00:00:00+00:00"), micros("2037-12-31T00:00:00+00:00"))
CHANGES = st.sampled_from(
    [
        micros("2026-03-29T01:00:00+00:00"),
        micros("2026-10-25T01:00:00+00:00"),
        micros("2026-10-26T00:00:00+00:00"),
        micros("2027-01-04T00:00:00+00:00"),
    ]
)
NEAR = st.builds(int.__add__, CHANGES, st.integers(-90_000_000_000, 90_000_000_000))


@many(60)
@given(DATES)
def test_a_day_is_the_hours_that_the_clock_says_belong_to_it(day: date) -> None:
    """The bounds of every local day are the oracle's, which looks at each hour."""
    assert calendar.day_bounds(day) == oracle.day_bounds(day)


@pytest.mark.parametrize(
    ("week", "hours"),
    [("2026-W13", 167), ("2026-W43", 169), ("2026-W47", 168), ("2026-W53", 168), ("2020-W53", 168)],
)
def test_a_week_is_the_hours_that_the_clock_says_belong_to_it(week: str, hours: int) -> None:
    """The bounds of a week are the oracle's; those of the clock changes have 167 and 169 hours."""
    start, end = calendar.week_bounds(week)
    assert (start, end) == oracle.week_bounds(week)
    assert end - start == hours * 3_600_000_000


@many(100)
@given(st.one_of(TIMES, NEAR), st.integers(0, 12 * 86_400_000_000))
def test_days_and_weeks_divide_an_interval_as_the_oracle_does(start: int, length: int) -> None:
    """The days and weeks that an interval touches, cut to it, are the oracle's pieces of it."""
    end = start + length
    for parts, wanted in (
        (calendar.days(start, end), oracle.split_by_day(start, end)),
        (calendar.weeks(start, end), oracle.split_by_week(start, end)),
    ):
        cut = [(max(low, start), min(high, end)) for low, high in parts]
        assert [part for part in cut if part[0] < part[1]] == [(low, high) for _, low, high in wanted]


@given(st.one_of(TIMES, NEAR), st.integers(1, 40 * 86_400_000_000))
def test_days_and_weeks_follow_each_other_without_a_hole(start: int, length: int) -> None:
    """Each day and each week ends where the next begins, and together they hold the interval."""
    for parts in (list(calendar.days(start, start + length)), list(calendar.weeks(start, start + length))):
        assert parts[0][0] <= start < parts[0][1]
        assert parts[-1][0] < start + length <= parts[-1][1]
        assert all(one[1] == two[0] for one, two in pairwise(parts))


@given(DATES)
def test_a_week_s_name_leads_back_to_it(day: date) -> None:
    """Every day lies in the week that it names."""
    start, end = calendar.week_bounds(calendar.week_name(day))
    assert start <= calendar.day_start(day) < end


@given(TIMES)
def test_an_instant_survives_being_written_and_read(time_us: int) -> None:
    """RFC 3339 and back, or an aware moment and back, is the same microsecond."""
    assert calendar.parse_time(calendar.rfc3339(time_us)) == time_us
    assert calendar.microseconds(calendar.moment(time_us)) == time_us


@given(TIMES)
def test_an_instant_lies_in_its_own_local_day(time_us: int) -> None:
    """``local_day`` and ``day_bounds`` agree."""
    start, end = calendar.day_bounds(calendar.local_day(time_us))
    assert start <= time_us < end


def test_a_date_is_its_local_midnight() -> None:
    """In summer a day begins at 23:00 UTC of the day before."""
    assert calendar.parse_time("2026-07-20") == micros("2026-07-19T23:00:00+00:00")
    assert calendar.parse_time("2026-11-23T09:15:03+01:00") == micros("2026-11-23T08:15:03+00:00")


@pytest.mark.parametrize("text", ["", "today", "2026-02-30", "2026-11-23T08:15:03", "23/11/2026"])
def test_what_is_no_time_is_refused_with_both_forms_shown(text: str) -> None:
    """Neither a time with offset nor a date: the message shows how to write each."""
    with pytest.raises(ValueError, match=r"is not a time: write 2026-11-23 .* or 2026-11-23T08:15:03Z"):
        calendar.parse_time(text)


@pytest.mark.parametrize("week", ["2026-47", "2026-W7", "2026-W54", "2026-W00", "W47", "2026-W47 "])
def test_what_is_no_week_is_refused(week: str) -> None:
    """A week that the year does not have, or that is written otherwise, is refused."""
    with pytest.raises(ValueError, match=r"week|W47"):
        calendar.week_bounds(week)


def test_a_moment_without_an_offset_is_refused() -> None:
    """Nobody guesses whether a bare time is local or UTC."""
    with pytest.raises(ValueError, match="has no offset: write for example 2026-11-23T08:15:00Z"):
        calendar.microseconds(datetime(2026, 11, 23, 8, 15))  # noqa: DTZ001
    assert calendar.microseconds(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=7)) == 7


@many(80)
@given(st.sampled_from([calendar.WEEK, calendar.MONTH]), NEAR | TIMES, st.integers(0, 4))
def test_a_period_is_the_days_that_its_name_says(kind: str, time_us: int, count: int) -> None:
    """A week or month holds the local days of its name, from midnight to midnight; it is over at its end.

    Its name leads back to it, the next one begins where it ends, and those before it lie without a hole.
    """
    period = calendar.Period.around(kind, time_us)
    day = calendar.local_day(time_us)
    first = day - timedelta(days=day.weekday()) if kind == calendar.WEEK else day.replace(day=1)
    last = first + timedelta(days=6) if kind == calendar.WEEK else first + timedelta(days=31)
    while kind == calendar.MONTH and last.month != first.month:
        last -= timedelta(days=1)
    assert (period.start, period.end) == (
        calendar.day_start(first),
        calendar.day_start(last + timedelta(days=1)),
    )
    assert period.name == (f"{first:%G-W%V}" if kind == calendar.WEEK else f"{first:%Y-%m}")
    assert calendar.Period.named(kind, period.name) == period
    assert period.next.start == period.end
    assert [period.is_over(now) for now in (period.start, period.end - 1, period.end)] == [False, False, True]
    chain = [*period.before(count), period]
    assert len(chain) == count + 1
    assert all(one.next == two for one, two in pairwise(chain))


def test_the_weeks_of_a_period_to_the_end_of_all_time_end_with_it() -> None:
    """The last week that has a Monday is there, and nothing is looked for behind it."""
    end = calendar.microseconds(datetime(9999, 12, 31, 23, 59, tzinfo=UTC))
    found = list(calendar.weeks(calendar.microseconds(datetime(9999, 12, 20, tzinfo=UTC)), end))
    assert [calendar.local_day(start).isoformat() for start, _ in found] == ["9999-12-20", "9999-12-27"]
    assert found[-1][1] == end
