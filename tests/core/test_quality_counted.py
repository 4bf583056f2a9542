"""Columns of the findings (rule 22) against literal recounts, with values beside every bound."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER
from stream.core.facts import SECOND, Fixes
from stream.core.policy import Policies, Policy
from stream.core.quality.clocks import ClockOffset, clock_offsets
from stream.core.quality.heard import NO_DELAY, TAKEN, Heard, rounded_delays
from stream.core.quality.ids import Lookup
from stream.core.quality.tracks import ANY_DUTY, Held, tracked
from stream.core.stays import distance_m, perhaps_faster
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence

# ── clocks ────────────────────────────────────────────────────────────────────────────────────────────────

Late = tuple[int, int, int, int]
"""``(device, day, delay, count)``."""

DELAYS = st.sampled_from([-3600, 3600, 1800]).flatmap(
    lambda usual: st.sampled_from(
        [
            *(sign * bound + by for sign in (-1, 1) for bound in (1500,) for by in (-1, 0, 1)),
            *(usual + sign * bound + by for sign in (-1, 1) for bound in (300, 1200) for by in (-1, 0, 1)),
            *(usual + by for by in range(-2, 3)),
            *(0, 1, NO_DELAY),
        ]
    )
)


def as_heard(rows: Sequence[Late]) -> Heard:
    """Rows → columns, counted."""
    device, day, delay, count = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return Heard.joined(
        [
            Heard(
                device.astype(np.int32),
                day.astype(np.int32),
                np.full(len(rows), TAKEN, np.int8),
                delay.astype(np.int32),
                count,
                ("R1", "R2"),
            )
        ]
    )


def wrong_clocks(rows: Sequence[Late]) -> list[ClockOffset]:
    """What the constants' sentences say, word by word."""
    found = []
    for (device, day), group in groupby(sorted(rows), key=lambda row: row[:2]):
        delays = [delay for *_, delay, count in group if delay != NO_DELAY for _ in range(count)]
        for side in (1, -1):
            late = sorted(side * delay for delay in delays if side * delay >= 1500)
            if not late:
                continue
            middle = late[(len(late) + 1) // 2 - 1]
            alike = sum(abs(delay - middle) <= 300 for delay in late)
            around = sum(abs(side * delay - middle) <= 1200 for delay in delays)
            if alike >= 10 and alike >= 0.25 * len(delays) and alike >= 0.9 * around:
                found.append(ClockOffset(device, day, alike, side * middle))
    return found


@many(300)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([20_000, 20_001]), DELAYS, st.integers(1, 12)),
        min_size=1,
        max_size=9,
    )
)
def test_clocks_are_judged_as_the_rule_says(rows: list[Late]) -> None:
    """Delays at, just below and just above every bound: told are the clocks that a recount tells."""
    assert clock_offsets(as_heard(rows)) == wrong_clocks(rows)


# ── delays ────────────────────────────────────────────────────────────────────────────────────────────────


@many(150)
@given(
    st.lists(
        st.builds(
            lambda sign, seconds, by: sign * (seconds * SECOND + by),
            st.sampled_from([-1, 1]),
            st.sampled_from([0, 1, 59, 60, 61, 65, 594, 595, 599, 600, 601, 630, 172_799, 172_800, 172_801])
            | st.integers(0, 400_000)
            | st.integers(2**31 - 10_000, 2**32),
            st.sampled_from([0, 1, -1, 499_999, 500_001, -400_000]),
        ),
        max_size=8,
    )
)
def test_delays_are_rounded_as_is_said(delays: list[int]) -> None:
    """To 1 s below a minute, 10 s below ten, 60 s below two days, else an hour; never past 68 years."""
    wanted = []
    for delay in delays:
        seconds = delay / SECOND
        size = abs(seconds)
        step = 1 if size < 60 else 10 if size < 600 else 60 if size < 172_800 else 3600
        most = NO_DELAY - 1 - 3600
        wanted.append(max(min(round(seconds / step) * step, most), -most))
    assert rounded_delays(np.array(delays, np.int64)).tolist() == wanted


# ── silences ──────────────────────────────────────────────────────────────────────────────────────────────

NOON = 1_795_435_200 * SECOND
GAPS = Policies(
    (Policies().starts[0], NOON + 1000 * SECOND), (Policy(max_gap_s=300.0), Policy(max_gap_s=120.0))
)
INSTANTS = st.builds(
    lambda mark, by: NOON + mark * SECOND + by,
    st.sampled_from([0, 120, 300, 420, 600, 900, 1000, 1120, 1300, 1420, 1500, 1800]),
    st.sampled_from([0, 0, 1, -1]),
)


def at_times(times: Sequence[tuple[int, int]]) -> Fixes:
    """Fixes of devices 0 to 2 at times, in order, all on one spot."""
    count = len(times)
    nothing = np.full(count, np.nan, np.float32)
    return Fixes(
        np.array([device for device, _ in times], np.int32),
        np.array([time for _, time in times], np.int64),
        np.full(count, -1.18),
        np.full(count, 52.61),
        np.full(count, 8.0),
        nothing,
        nothing,
        ("R0", "R1", "R2"),
    )


@many(150)
@given(
    st.sets(st.tuples(st.integers(0, 2), INSTANTS), max_size=14).map(sorted),
    st.lists(
        st.tuples(st.integers(-1, 2), INSTANTS, INSTANTS | st.just(FOREVER)).filter(lambda r: r[1] < r[2]),
        max_size=6,
    ),
)
def test_silences_of_booked_stretches_are_those_of_a_recount(
    times: list[tuple[int, int]], booked: list[tuple[int, int, int]]
) -> None:
    """Reports and silences of each booked stretch, whichever policy it begins under, whether it has an end.

    A silence is longer than the limit of the policy where it begins; a stretch without an end has none behind
    its last report.
    """
    wanted, unclear = [], set()
    for row, (device, start, end) in enumerate(booked):
        inside = [time for name, time in times if name == device and start <= time < end]
        if not inside:
            continue
        ends = [(start, inside[0]), (inside[-1], inside[-1] if end == FOREVER else end)]
        quiet = [b - a for a, b in pairwise(inside) if b - a > GAPS.at(a).max_gap_s * SECOND]
        quiet += [b - a for a, b in ends if b - a > GAPS.at(a).max_gap_s * SECOND]
        if GAPS.at(start) != GAPS.at(inside[-1]):
            unclear.add(row)
        wanted.append((row, len(inside), len(quiet), sum(quiet)))
    fixes = at_times(times)
    allocations = Held(
        np.full(len(booked), ANY_DUTY, np.int32),
        np.array([device for device, *_ in booked], np.int32),
        np.array([start for _, start, _ in booked], np.int64),
        np.array([end for *_, end in booked], np.int64),
    )
    found = tracked(fixes, fixes, allocations, None, GAPS).covered
    columns = (found.row, found.fixes, found.gaps, found.silent)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    assert [row[:2] for row in rows] == [row[:2] for row in wanted]
    assert [row for row in rows if row[0] not in unclear] == [row for row in wanted if row[0] not in unclear]


@pytest.mark.parametrize("count", [2, 16_385, 16_386, 40_000])
def test_no_leg_that_is_too_fast_is_missed_however_many_there_are(count: int) -> None:
    """Of a long track every leg faster than the limit is among those that may be, none of two devices is.

    So is no leg that is slower than half the limit.
    """
    rng = np.random.default_rng(count)
    nothing = np.full(count, np.nan, np.float32)
    fixes = Fixes(
        np.sort(rng.integers(0, 5, count)).astype(np.int32),
        np.cumsum(rng.integers(1, 60, count)) * SECOND,
        -1.18 + np.cumsum(rng.normal(0, 0.003, count)),
        52.61 + 0.01 * rng.random(count),
        np.full(count, 8.0),
        *(nothing, nothing),
        tuple(f"R{number}" for number in range(5)),
    )
    found = perhaps_faster(fixes, 40.0)
    speed = distance_m(fixes.lon[:-1], fixes.lat[:-1], fixes.lon[1:], fixes.lat[1:]) / (
        np.diff(fixes.time) / SECOND
    )
    one = fixes.device[1:] == fixes.device[:-1]
    assert found[one & (speed > 40.0)].all()
    assert not found[~one | (speed < 20.0)].any()


# ── ids ───────────────────────────────────────────────────────────────────────────────────────────────────


@many(100)
@given(st.integers(10**8, 10**15 - 1), st.integers(1, 5), st.sampled_from(["", " ", "\t"]))
def test_a_number_in_scientific_form_is_near_to_every_number_that_it_may_be(
    number: int, places: int, blank: str
) -> None:
    """What a spreadsheet shows of a number is near to it, with blanks around it too, and it to the number.

    A number that is shown otherwise is not, and among no ids nothing is near.
    """
    shown = f"{blank}{number:.{places}E}{blank}"
    other = str(number + 10 ** len(str(number)))
    assert Lookup([str(number), other]).near(shown) == [str(number)]
    assert Lookup([shown]).near(str(number)) == [shown]
    assert Lookup([shown]).near(other) == []
    assert Lookup([]).near(shown) == []
