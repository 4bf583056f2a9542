"""What is found about duties and states as booked (rule 22), against a literal recount beside every bound."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import local_day
from stream.core.facts import SECOND, Allocation, Duty, Fixes, StateReport
from stream.core.policy import Policies
from stream.core.quality.findings import DUTY, OFFICER, listed
from stream.files.account import Facts, account
from tests.shifts import force, micros
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = 3600 * SECOND
NIGHT = micros("2026-11-23T20:00:00+00:00")
UNTIL = NIGHT + 40 * HOUR
FINDINGS = (
    *("no_device", "open_duty", "too_long_duty"),
    *("overlapping_duties", "state_without_duty", "state_outside_duty"),
)
INSTANTS = st.builds(
    lambda hour, by: NIGHT + hour * HOUR + by,
    st.sampled_from([0, 1, 3, 4, 8, 16, 24, 25, 32, 40, 41]),
    st.sampled_from([0, 0, 0, 1, -1]),
)


@st.composite
def bookings(draw: st.DrawFn) -> list[Duty]:
    """Some duties of two officers, of any length, open or cancelled, with or without a radio."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        start = draw(INSTANTS)
        end = draw(st.none() | INSTANTS | st.sampled_from([start + 16 * HOUR, start + 24 * HOUR]))
        found.append(
            Duty(
                f"D{number}",
                1,
                draw(st.sampled_from(["7", "8"])),
                start,
                end if end is None or end > start else start + HOUR,
                ("E05001784",),
                draw(st.sampled_from([(), (Allocation("R1", "radio"),)])),
                cancelled=draw(st.sampled_from([False, False, False, True])),
            )
        )
    return found


Told = tuple[str, str, str, str, int, "int | None", str]


def recount(duties: Sequence[Duty], states: Sequence[StateReport]) -> list[Told]:
    """The findings as their sentences have them: ``(finding, scope, id, day, count, µs, detail)``."""
    told: list[Told] = []
    # Rule 8a: of more than 24 hours nothing counts, and of an open duty no more than that.
    booked = [duty for duty in duties if not duty.cancelled]
    live = [duty for duty in booked if duty.end is None or duty.end - duty.start <= 24 * HOUR]
    spans = {
        duty.duty_id: (
            duty.start,
            max(min(UNTIL, duty.start + 24 * HOUR), duty.start + 1) if duty.end is None else duty.end,
        )
        for duty in live
    }
    for duty in booked:
        lasting, day = (UNTIL if duty.end is None else duty.end) - duty.start, str(local_day(duty.start))
        if duty.start < UNTIL and not duty.devices and duty in live:
            time = min(lasting, 24 * HOUR)
            told.append(("no_device", DUTY, duty.duty_id, day, 1, time, ""))
        longest, name = (16, "open_duty") if duty.end is None else (24, "too_long_duty")
        if duty.start < UNTIL and lasting > longest * HOUR:
            told.append((name, DUTY, duty.duty_id, day, 1, lasting, duty.officer_id))
    for officer in {duty.officer_id for duty in live}:
        own = {duty.duty_id: spans[duty.duty_id] for duty in live if duty.officer_id == officer}
        edges = sorted({edge for span in own.values() for edge in span})
        twice: list[tuple[int, int]] = []
        names: set[str] = set()
        for low, high in pairwise(edges):
            here = [name for name, (start, end) in own.items() if start <= low and high <= end]
            if len(here) > 1:
                twice.append((low, high))
                names |= set(here)
        if twice:
            told.append(
                (
                    *("overlapping_duties", OFFICER, officer, str(local_day(twice[0][0])), len(names)),
                    *(sum(high - low for low, high in twice), listed(sorted(names))),
                )
            )
    keyed = {(item.officer_id, item.time, item.state) for item in states}
    outside: Counter[tuple[str, str]] = Counter()
    for officer in {item.officer_id for item in states}:
        own_spans = [spans[duty.duty_id] for duty in live if duty.officer_id == officer]
        if not own_spans and any(duty.officer_id == officer for duty in booked):
            continue
        times = sorted(time for name, time, _ in keyed if name == officer)
        if not own_spans:
            day = str(local_day(times[0]))
            told.append(("state_without_duty", OFFICER, officer, day, len(times), None, ""))
            continue
        for time in times:
            if not any(start <= time <= end for start, end in own_spans):
                outside[officer, str(local_day(time))] += 1
    told += [
        ("state_outside_duty", OFFICER, officer, day, count, None, "")
        for (officer, day), count in outside.items()
    ]
    return sorted(told, key=repr)


@many(150)
@given(
    bookings(),
    st.lists(
        st.builds(StateReport, st.sampled_from(["7", "8", "9"]), INSTANTS, st.sampled_from([4, 11])),
        max_size=8,
    ),
)
def test_bookings_and_states_are_told_as_a_recount_tells_them(
    duties: list[Duty], states: list[StateReport]
) -> None:
    """Duties without devices, open, too long or overlapping, and states in no duty, to the microsecond."""
    quality = account(Facts(force(), Fixes.none(), duties, states), Policies(), until=UNTIL).quality
    assert sorted(
        (
            (row.finding, row.scope, row.id, row.day, row.count, row.us, row.detail)
            for row in quality.rows(*FINDINGS)
        ),
        key=repr,
    ) == recount(duties, states)
