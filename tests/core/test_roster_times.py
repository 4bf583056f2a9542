"""Local times of a roster: every form that is read, every one that is refused, and both clock changes."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import parse_time
from stream.core.facts import SECOND
from stream.files.roster.mapping import TimeReading
from stream.files.roster.times import (
    LocalTime,
    RefusedRowError,
    TimeSpan,
    instants,
    instants_of,
    local_day_of,
    read_duration,
    read_time,
    span,
)

if TYPE_CHECKING:
    from stream.files.foreign import Cell

HOUR = 3600 * SECOND
PLAIN = TimeReading()
MONDAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("cell", "hours"),
    [
        ("07:00", 7), ("7:00", 7), ("0700", 7), ("700", 7), ("7.00", 7), ("07:00:00", 7), ("07:00:00.000", 7),
        ("7am", 7), ("7:30 pm", 19.5), ("07.30PM", 19.5), ("7 a.m.", 7), ("12am", 0), ("12 pm", 12),
        ("0700hrs", 7), ("07:00h", 7), ("0000", 0), ("0", 0), (0, 0), ("24:00", 24), ("2400", 24), (700, 7),
        (700.0, 7), (1530, 15.5), (time(7), 7), (time(6, 59, 59, 999_999), 7), (timedelta(hours=24), 24),
        (date(1900, 1, 1), 24), (datetime(1899, 12, 30, 7), 7), (datetime(1899, 12, 31, 7), 7),  # noqa: DTZ001
        (" 07:00 ", 7), ("07\xa0:00", None),
    ],
)  # fmt: skip
def test_a_time_of_day_in_its_forms(cell: Cell, hours: float | None) -> None:
    """Times of day are read in all usual forms, typed or as text, up to 24:00."""
    if hours is None:
        with pytest.raises(RefusedRowError):
            read_time([cell], PLAIN)
        return
    assert read_time([cell], PLAIN) == LocalTime(clock=round(hours * HOUR))


@pytest.mark.parametrize(
    "cell",
    ["23/11/2026", "23/11/26", "23-11-2026", "23.11.2026", "2026-11-23", "2026/11/23", "20261123", 20261123,
     "23 Nov 2026", "23-Nov-26", "23rd November 2026", "Mon 23 Nov 2026", "Monday, 23 November 2026",
     "23 Sept 2026", MONDAY],
)  # fmt: skip
def test_a_day_in_its_forms(cell: Cell) -> None:
    """Days are read in all usual forms, the day before the month, two-digit years as of this century."""
    found = read_time([cell], PLAIN)
    assert found is not None
    assert found.day == (date(2026, 9, 23) if cell == "23 Sept 2026" else MONDAY)
    assert found.clock is None


@pytest.mark.parametrize(
    "cells",
    [
        ["23/11/2026 07:00"], ["2026-11-23T07:00:00"], ["23/11/2026, 0700"], ["23 Nov 2026 at 7am"],
        ["23/11/2026", "07:00"], [MONDAY, time(7)], [MONDAY, "0700"], ["23 Nov", "2026 07:00"],
        [datetime(2026, 11, 23), time(7)], [datetime(2026, 11, 23, 7)],  # noqa: DTZ001 # local
        [datetime(2026, 11, 23, 6, 59, 59, 999_900)],  # noqa: DTZ001 # as spreadsheets have 7:00
    ],
)  # fmt: skip
def test_a_day_and_a_time_together_or_joined(cells: list[Cell]) -> None:
    """A day and a time in one cell, or in two that are joined, make one moment."""
    found = read_time(cells, PLAIN)
    assert found is not None
    assert (found.day, found.clock) == (MONDAY, 7 * HOUR)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("7", "7 could be several times; say in [time] numbers"),
        (7.5, "7.5 could be several times; say in [time] numbers"),
        (0.2917, "0.2917 could be several times; say in [time] numbers"),
        (46349, "46349 could be several times; Excel's number of a day?"),
        ("11/23/2026", "'11/23/2026' has no such month; is it [time] dates = \"month-first\"?"),
        ("31/02/2026", "'31/02/2026' is no day of the calendar"),
        ("23 Foo 2026", "'23 Foo 2026' has no month that is known"),
        ("23/11/1926", "1926-11-23 lies outside the years 2000 to 2099"),
        ("12:60", "'12:60' is no time of day"),
        ("24:01", "'24:01' is no time of day"),
        ("13pm", "'13pm' is no time of day"),
        ("late", "'late' is no date or time; say in [time] format how it is written"),
        (True, "True is not a time"),
        ("-07:00", "'-07:00' is no date or time"),
        (-1, "-1 is not a time"),
        (timedelta(hours=25), "'1 day, 1:00:00' is no time of day"),
    ],
)
def test_what_could_be_several_times_or_none_is_refused(cell: Cell, message: str) -> None:
    """What is no time, or could be several, is refused with the setting that would tell."""
    with pytest.raises(RefusedRowError) as caught:
        read_time([cell], PLAIN)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("numbers", "cell", "found"),
    [
        ("hhmm", 30, LocalTime(clock=HOUR // 2)),
        ("hhmm", "7", LocalTime(clock=7 * HOUR // 60)),
        ("hours", 7.5, LocalTime(clock=7 * HOUR + HOUR // 2)),
        ("hours", "7,5", LocalTime(clock=7 * HOUR + HOUR // 2)),
        ("h.mm", 7.3, LocalTime(clock=7 * HOUR + HOUR // 2)),
        ("h.mm", "7.05", LocalTime(clock=7 * HOUR + HOUR // 12)),
        ("h.mm", 7, LocalTime(clock=7 * HOUR)),
        ("days", 0.2916666667, LocalTime(clock=7 * HOUR)),
        ("days", "0.29167", LocalTime(clock=7 * HOUR)),
        ("days", "1", LocalTime(clock=24 * HOUR)),
        ("days", 46349, LocalTime(date(2026, 11, 23), typed_day=True)),
        ("days", 46349.2916666667, LocalTime(date(2026, 11, 23), 7 * HOUR)),
        ("days", 46349.9999999998, LocalTime(date(2026, 11, 24), 0)),
    ],
)
def test_bare_numbers_are_what_the_mapping_says(numbers: str, cell: Cell, found: LocalTime) -> None:
    """With [time] numbers a bare number is a time in that form, and no other."""
    assert read_time([cell], TimeReading(numbers=numbers)) == found  # type: ignore[arg-type] # one of them


@pytest.mark.parametrize(
    ("cell", "minutes"),
    [("8:30", 510), ("8h30", 510), ("8 h 30 min", 510), ("8.5", 510), (8.5, 510), ("8,5", 510),
     ("510 min", 510), ("8 hours", 480), (timedelta(hours=8), 480), (time(8), 480), ("36:00", 2160), (8, 480),
     (datetime(1900, 1, 1, 6), 1800)],  # noqa: DTZ001 # how workbooks say 30 hours
)  # fmt: skip
def test_a_duration_in_its_forms(cell: Cell, minutes: int) -> None:
    """Durations are read in all usual forms."""
    assert read_duration([cell], PLAIN) == minutes * 60 * SECOND


@pytest.mark.parametrize("cell", ["0", 0, "-1", "x", "8:60", True, MONDAY, "8:30:61"])
def test_what_is_no_duration_is_refused(cell: Cell) -> None:
    """Nothing, less than nothing, and what is no duration are refused."""
    with pytest.raises(RefusedRowError, match="is no duration"):
        read_duration([cell], PLAIN)


def test_durations_as_minutes_and_with_a_point() -> None:
    """[time] duration says what a bare number of a duration counts."""
    assert read_duration(["510"], TimeReading(duration="minutes")) == 510 * 60 * SECOND
    assert read_duration([8.3], TimeReading(duration="h.mm")) == 510 * 60 * SECOND


def test_forms_that_are_given_are_the_only_ones() -> None:
    """With [time] format, texts of any other form are refused; typed cells are what they are."""
    how = TimeReading(format=("%m/%d/%y", "%H:%M"))
    assert read_time(["11/23/26"], how) == LocalTime(MONDAY)
    assert read_time(["07:00"], how) == LocalTime(clock=7 * HOUR)
    assert read_time([time(7)], how) == LocalTime(clock=7 * HOUR)
    assert read_time(["11/23/69"], how) == LocalTime(date(2069, 11, 23))
    with pytest.raises(RefusedRowError, match="is not of the form %m/%d/%y or %H:%M"):
        read_time(["23/11/2026"], how)


def test_times_that_know_their_zone_need_no_other() -> None:
    """A typed time with its offset, and milliseconds since 1970 as on the topics, are that instant."""
    aware = datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"))
    milliseconds = int(aware.timestamp()) * 1000
    cells: list[Cell] = [aware, milliseconds, str(milliseconds), float(milliseconds)]
    for cell in cells:
        found = read_time([cell], PLAIN)
        assert found is not None
        assert found.day is not None
        assert instants_of(found.day, found, PLAIN) == (_z("2026-10-25 00:30"),)


# --- The clock changes ------------------------------------------------------------------------------------


@given(
    st.sampled_from([date(2026, 3, 29), date(2026, 10, 25), MONDAY]),
    st.integers(0, 24 * 60),
    st.sampled_from(["Europe/London", "UTC", "Europe/Berlin"]),
)
def test_local_times_are_the_instants_that_show_them(day: date, minute: int, zone: str) -> None:
    """A local time is each instant at which clocks of the zone show it: none, one or two; found by search."""
    wanted = datetime.combine(day, time()) + timedelta(minutes=minute)
    middle = wanted.replace(tzinfo=UTC)
    shown = {
        round(at.timestamp()) * SECOND
        for quarter in range(-16, 17)
        for at in [middle + timedelta(minutes=15 * quarter)]
        if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted
    }
    found = instants(day, minute * 60 * SECOND, zone)
    assert set(found) == shown
    assert list(found) == sorted(found)


def _span(start: str, end: str, day: str, twice: str = "refuse", end_day: str | None = None) -> TimeSpan:
    how = TimeReading(twice=twice)  # type: ignore[arg-type] # one of them
    first = read_time([start], how)
    assert first is not None
    return span(
        first,
        read_time([end], how),
        None,
        how,
        day=date.fromisoformat(day),
        end_day=date.fromisoformat(end_day) if end_day else None,
    )


def _z(text: str) -> int:
    return parse_time(f"{text.replace(' ', 'T')}:00Z")


def test_nights_in_which_the_clocks_change_last_as_long_as_they_do() -> None:
    """22:00 to 06:00 is seven hours in spring and nine in autumn."""
    spring, autumn = _span("22:00", "06:00", "2026-03-28"), _span("22:00", "06:00", "2026-10-24")
    assert [(found.end or 0) - found.start for found in (spring, autumn)] == [7 * HOUR, 9 * HOUR]


@given(
    st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0), st.sampled_from(["days", "hours"])
)
def test_a_number_however_large_is_a_time_or_refused(number: float, kind: str) -> None:
    """No number is too large to be judged, as a day or a time or as a duration."""
    how = TimeReading(numbers=kind)  # type: ignore[arg-type] # one of them
    start = read_time(["22:00"], PLAIN)
    assert start is not None
    with suppress(RefusedRowError):
        read_time([number], how)
    with suppress(RefusedRowError):
        found = span(start, None, read_duration([number], how), how, day=date(2026, 11, 23))
        assert found.end is None or found.end < _z("2100-01-01 00:00")


def test_a_duration_counts_real_hours() -> None:
    """Eight hours from 22:00 end at 07:00 in spring and at 05:00 in autumn."""
    start = read_time(["22:00"], PLAIN)
    assert start is not None
    spring = span(start, None, 8 * HOUR, PLAIN, day=date(2026, 3, 28))
    autumn = span(start, None, 8 * HOUR, PLAIN, day=date(2026, 10, 24))
    assert (spring.end, autumn.end) == (_z("2026-03-29 06:00"), _z("2026-10-25 05:00"))


def test_an_hour_that_does_not_exist_is_refused_by_name() -> None:
    """A time in the hour that is left out in spring is refused, and the message says why."""
    with pytest.raises(
        RefusedRowError, match="2026-03-29 01:30 does not exist: the clocks go forward"
    ) as caught:
        _span("01:30", "09:00", "2026-03-29")
    assert caught.value.reason == "no_such_hour"


def test_the_hour_that_comes_twice_is_refused_unless_the_mapping_says_which() -> None:
    """A time in the hour that comes twice in autumn is refused; where the mapping says which, it is taken."""
    with pytest.raises(RefusedRowError, match="2026-10-25 01:30 comes twice") as caught:
        _span("22:00", "01:30", "2026-10-24")
    assert caught.value.reason == "hour_twice"
    start = _z("2026-10-24 21:00")
    assert _span("22:00", "01:30", "2026-10-24", "first") == TimeSpan(
        start, _z("2026-10-25 00:30"), twice=True
    )
    assert _span("22:00", "01:30", "2026-10-24", "second") == TimeSpan(
        start, _z("2026-10-25 01:30"), twice=True
    )


@given(
    st.integers(0, 23),
    st.integers(0, 23),
    st.sampled_from(["", "23/11/2026 ", "23 Nov 2026 "]),
    st.booleans(),
)
def test_two_times_are_not_one_with_an_offset(start: int, end: int, day: str, colon: bool) -> None:
    """0700-1700 in a column of starts is refused, and not taken for a time far from UTC."""
    form = "{:02d}:00-{:02d}:00" if colon else "{:02d}00-{:02d}00"
    if end:
        with pytest.raises(RefusedRowError, match=r"two times.*columns\.times"):
            read_time([day + form.format(start, end)], PLAIN)


def test_a_cell_that_says_its_offset_needs_no_mapping() -> None:
    """BST, GMT or an offset in the cell tells the two hours apart."""
    assert _span("22:00", "01:30 BST", "2026-10-24").end == _z("2026-10-25 00:30")
    assert _span("22:00", "01:30 GMT", "2026-10-24").end == _z("2026-10-25 01:30")
    assert _span("22:00", "2026-10-25T01:30:00+01:00", "2026-10-24").end == _z("2026-10-25 00:30")


def test_where_one_possibility_is_left_it_is_taken() -> None:
    """01:45 to 01:15 of one day can only be the first hour and the second; without the day it is refused."""
    found = _span("01:45", "01:15", "2026-10-25", end_day="2026-10-25")
    assert found == TimeSpan(_z("2026-10-25 00:45"), _z("2026-10-25 01:15"))
    with pytest.raises(RefusedRowError, match="both come twice, and the end may be on the same day"):
        _span("01:45", "01:15", "2026-10-25", "first")


@pytest.mark.parametrize(
    ("start", "end", "day", "end_day", "message"),
    [
        ("07:00", "07:00", "2026-11-23", None, "start and end are the same time of day: nothing, or 24 h?"),
        ("07:00", "06:00", "2026-11-23", "2026-11-23", "the end, 2026-11-23 06:00, is not after the start"),
        ("23/11/2026", "17:00", "2026-11-23", None, "the start on 2026-11-23 has no time of day"),
        ("07:00", "23/11/2026", "2026-11-23", None, "the end has no time of day"),
    ],
)
def test_ends_that_make_no_duty_are_refused(
    start: str, end: str, day: str, end_day: str | None, message: str
) -> None:
    """An end that is not after the start, or could be so in two ways, is refused."""
    with pytest.raises(RefusedRowError) as caught:
        _span(start, end, day, end_day=end_day)
    assert str(caught.value).startswith(message)


def test_24_00_is_the_midnight_after() -> None:
    """24:00 ends a duty at midnight, and 00:00 does the same; a start at 24:00 is on the next day."""
    assert _span("16:00", "24:00", "2026-11-23").end == _z("2026-11-24 00:00")
    assert _span("16:00", "00:00", "2026-11-23").end == _z("2026-11-24 00:00")
    late = _span("24:00", "06:00", "2026-11-23", end_day="2026-11-24")
    assert local_day_of(late.start, PLAIN) == date(2026, 11, 24)
