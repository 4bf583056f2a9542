"""A wrong time is told for what it looks like (rule 2c): the mistake is named, with the day meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.events import Reason, UsableLimits, decode_duties, decode_positions, decode_states
from stream.core.facts import SECOND
from stream.core.times import EARLIEST, LATEST, looks_like, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = UsableLimits(retention_s=400 * 86_400)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)

moments = st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
"""Milliseconds of the years in which such messages are sent."""


def _spreadsheet(at: datetime) -> float:
    return (at - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1)


def _millis(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


MISTAKES: dict[str, tuple[Callable[[datetime], object], str]] = {
    "Unix seconds as a number": (lambda at: _millis(at) // 1000, "Unix seconds"),
    "Unix seconds with a fraction": (lambda at: _millis(at) / 1000, "Unix seconds"),
    "Unix seconds as text": (lambda at: str(_millis(at) // 1000), "Unix seconds"),
    "Unix seconds read as milliseconds": (
        lambda at: (EPOCH + timedelta(milliseconds=_millis(at) // 1000)).isoformat(timespec="milliseconds"),
        "Unix seconds",
    ),
    "milliseconds as text": (lambda at: str(_millis(at)), "milliseconds"),
    "microseconds": (lambda at: _millis(at) * 1000, "microseconds"),
    "nanoseconds": (lambda at: _millis(at) * 1_000_000, "nanoseconds"),
    "a day number": (lambda at: int(_spreadsheet(at)), "a spreadsheet's day number"),
    "a day number with a fraction": (lambda at: _spreadsheet(at) + 1e-9, "a spreadsheet's day number"),
    "a day number as text": (lambda at: f"{_spreadsheet(at) + 1e-9:.9f}", "a spreadsheet's day number"),
    "a day number with a comma": (
        lambda at: f"{_spreadsheet(at) + 1e-9:.9f}".replace(".", ","),
        "a spreadsheet's day number",
    ),
}
"""By mistake: the time as it is sent, and what it is said to look like, with its day behind it."""


@pytest.mark.parametrize("mistake", MISTAKES)
@given(at=moments)
def test_a_time_counted_otherwise_is_named_with_its_day(mistake: str, at: datetime) -> None:
    """A time in other units is rejected as a bad value, in all three events, and said to be what it is."""
    write, name = MISTAKES[mistake]
    sent = write(at)
    position = {"device_id": "R1", "lon": -1.1, "lat": 52.6, "time": sent}
    duty = {"duty_id": "D1", "revision": 1, "officer_id": "1001", "start": sent}
    state = {"officer_id": "1001", "state": 4, "time": sent}
    told = [
        *decode_positions([json.dumps(position).encode()], None, limits=LIMITS).rejects,
        *decode_duties([json.dumps(duty).encode()])[2],
        *decode_states([json.dumps(state).encode()])[2],
    ]
    assert [reject.reason for reject in told] == [Reason.BAD_VALUE] * 3
    assert all(f"it looks like {name} ({at:%Y-%m-%d}" in reject.detail for reject in told)


@given(
    at=moments,
    rounds=st.sampled_from([1, 2]),
    late=st.timedeltas(timedelta(hours=-47), timedelta(hours=47)),
    known=st.booleans(),
)
def test_a_rolled_over_week_is_named(at: datetime, rounds: int, late: timedelta, known: bool) -> None:
    """A receiver's time 1,024 or 2,048 weeks early is never taken where it is known when it was received."""
    early = at - 1024 * rounds * WEEK
    position = {"device_id": "R1", "lon": -1.1, "lat": 52.6, "time": early.isoformat()}
    received = np.array([_millis(at + late) * 1000 if known else -1])
    rejects = decode_positions([json.dumps(position).encode()], received, limits=LIMITS).rejects
    if known:
        assert [f"it looks like {1024 * rounds:,} weeks early" in reject.detail for reject in rejects] == [
            True
        ]
        assert rejects[0].reason is (Reason.BAD_VALUE if early.year < 2000 else Reason.TOO_OLD)
    else:
        # Without a receipt only a year before 2000 betrays it.
        assert ["weeks early" in reject.detail for reject in rejects] == [True] * (early.year < 2000)


@given(at=moments, digits=st.sampled_from([3, 6]))
def test_a_sound_time_is_taken_and_looks_like_nothing_else(at: datetime, digits: int) -> None:
    """A time as the contract has it is never said to be a mistake, as text or as a number."""
    text = at.isoformat(timespec="milliseconds" if digits == 3 else "microseconds")
    for value in (text, text.replace("+00:00", "Z"), _millis(at)):
        read = parse_time(value)
        assert read is not None
        assert EARLIEST <= read < LATEST
        assert looks_like(value, read + 60 * SECOND) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "never set"),
        ("1970-01-01T00:00:00Z", "never set"),
        ("1899-12-30T08:00:00Z", "time of day without its date"),
        ("1980-01-06T00:03:00Z", "has not learned the date yet"),
        ("2026-11-23T08:00:00", "a local time"),
        ("23/11/2026 08:00", "a local time"),
        (" 2026-11-23T08:00:00Z", "a time with blanks around it"),
        (20261123080000, "the digits of a date"),
        ("20261123", "the digits of a date"),
        ("next Monday", ""),
        (5, ""),
        (float("nan"), ""),
        (10**400, ""),
        (True, ""),
        (None, ""),
        ([1795420800], ""),
    ],
)
def test_other_mistakes_are_named_too(value: object, said: str) -> None:
    """What real systems send besides is named, and nothing is made up for what is not known."""
    found = looks_like(value)
    assert said in found
    assert bool(found) is bool(said)
