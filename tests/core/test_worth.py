"""What a summary's facts are worth: what could turn its verdict, against a count instant by instant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER
from geo.matching.places import Place
from stream.core.calendar import LOCAL, Period, moment
from stream.core.events import REASONS, Reason
from stream.core.explaining.wording import Named
from stream.core.facts import Allocation, Duty, Fixes
from stream.core.policy import Policies
from stream.core.quality.doubts import Doubts
from stream.core.quality.heard import NO_DELAY, TAKEN, Heard
from stream.core.shares import MET, NEIGHBOURHOOD, NOT_PROVEN, doubt_totals, figures_of, totals
from stream.core.slices import HIDDEN, NO_DEVICE, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN, Slices
from stream.core.summaries.examining import Examiner, HeardFacts, mostly_rejected
from stream.core.summaries.model import FactFinding, Summary, decode, encode
from stream.core.summaries.worth import Behind, overlapping, questioned, touched, worth
from stream.reports import listing, page, view
from tests.strategies import many
from tests.summaries import believable

if TYPE_CHECKING:
    from collections.abc import Sequence

WEEK = Period.week("2026-W47")
HOUR = 3_600_000_000
STEP = HOUR
"""Everything in these worlds begins and ends at full hours, so that an hour is an instant."""
POLICIES = Policies()
PLACES = (
    Place("N1", None, (), ()),
    Place("N2", None, (), ()),
    Place("N1", None, (), ("N2",)),  # too near the edge to be sure
    Place("N1", "S1", (), ()),
)
DEVICES = ("R1", "R2", "V1")
COURT, FREE = 10, 2


class Told(NamedTuple):
    """A made-up figure's facts."""

    slices: Slices
    duties: list[Duty]
    doubts: Doubts
    found: list[FactFinding]
    target: float


def finding(kind: str, scope: str, name: str, day: str = "") -> FactFinding:
    """A finding of which only what it touches matters."""
    return FactFinding(finding=kind, scope=scope, id=name, day=day, count=1, time=None, detail="")


@st.composite
def tolds(draw: st.DrawFn) -> Told:
    """Two or three duties of one or two officers, their hours, doubts, and findings about them."""
    duties, rows = [], []
    for number in range(draw(st.integers(1, 3))):
        start = draw(st.integers(-6, 60))
        length = draw(st.integers(1, 30))
        duties.append(
            Duty(
                f"D{number}",
                1,
                draw(st.sampled_from(("O1", "O2"))),
                WEEK.start + start * HOUR,
                WEEK.start + (start + length) * HOUR,
                draw(st.sampled_from((("N1",), ("N1", "N9")))),
                tuple(
                    Allocation(name, "radio" if name[0] == "R" else "vehicle")
                    for name in draw(st.sets(st.sampled_from(DEVICES), min_size=1))
                ),
            )
        )
        for at in range(start, start + length):
            activity = draw(st.sampled_from((ON_PATCH, OFF_PATCH, HIDDEN, UNSEEN, ON_BREAK)))
            by_state = activity == HIDDEN and draw(st.booleans())
            place = {ON_PATCH: draw(st.sampled_from((0, 2))), OFF_PATCH: 1, UNSEEN: -1}.get(activity, 3)
            device = -1 if activity == UNSEEN else draw(st.integers(0, 2))
            rows.append(
                (number, WEEK.start + at * HOUR, activity, COURT if by_state else FREE, place, device)
            )
    table = np.array(sorted(rows), np.int64)
    slices = Slices(
        table[:, 0].astype(np.int32),
        table[:, 1].copy(),
        table[:, 1] + HOUR,
        table[:, 2].astype(np.int8),
        table[:, 3].astype(np.int16),
        table[:, 4].astype(np.int32),
        np.where(table[:, 5] < 0, NO_DEVICE, table[:, 5]).astype(np.int32),
    )
    some = np.flatnonzero(
        np.isin(slices.activity, (ON_PATCH, OFF_PATCH))
        & np.array(draw(st.lists(st.booleans(), min_size=len(slices), max_size=len(slices))))
    )
    nothing = np.zeros(len(some), np.int32)
    doubts = Doubts(
        slices.duty[some],
        slices.start[some],
        slices.end[some],
        nothing.astype(np.int8),
        nothing,
        np.full(len(some), ""),
    )
    days = st.integers(15, 19).map(lambda day: f"2026-11-{day}")
    found = draw(
        st.lists(
            st.one_of(
                st.builds(
                    finding,
                    st.sampled_from(("clock_offset", "swapped_coordinates", "rejected", "latitude_sign")),
                    st.just("device"),
                    st.sampled_from((*DEVICES, "X")),
                    days,
                ),
                st.builds(
                    finding,
                    st.sampled_from(("never_heard", "none_usable", "near_id")),
                    st.just("device"),
                    st.sampled_from((*DEVICES, "X")),
                ),
                st.builds(
                    finding,
                    st.sampled_from(("too_long_duty", "open_duty", "no_device", "never_heard")),
                    st.just("duty"),
                    st.sampled_from(("D0", "D1", "D7")),
                ),
                st.builds(finding, st.just("unknown_patch"), st.just("patch"), st.sampled_from(("N9", "N8"))),
                st.builds(
                    finding, st.just("overlapping_duties"), st.just("officer"), st.sampled_from(("O1", "O2"))
                ),
            ),
            max_size=4,
        )
    )
    return Told(slices, duties, doubts, found, draw(st.sampled_from((0.0, 0.3, 0.5, 0.8, 1.0))))


def behind(told: Told) -> Behind:
    """The figure that they are of."""
    about = told.duties, PLACES, WEEK.start, WEEK.end
    sums = np.hstack([totals(told.slices, *about), doubt_totals(told.slices, told.doubts, *about)])
    whole = figures_of(NEIGHBOURHOOD, "N1", WEEK.start, WEEK.end, sums.sum(axis=0))
    return Behind(whole, told.target, told.slices, told.duties, PLACES, DEVICES, told.doubts)


def after(told: Told) -> Behind:
    """The same with what the findings touch taken as not known."""
    made = behind(told)
    overlaps = {
        name: overlapping([duty for duty in told.duties if duty.officer_id == name], WEEK.end)
        for name in ("O1", "O2")
    }
    time = touched(told.found, told.slices, told.duties, PLACES, DEVICES, POLICIES, overlaps=overlaps)
    return replace(made, figures=made.without(time))


def by_hours(told: Told) -> tuple[int, int, int]:
    """Proven, possible and duty time, hour by hour: what is doubtful, ambiguous or touched is left open."""
    proven = possible = whole = 0
    for at in range(len(told.slices)):
        duty = told.duties[int(told.slices.duty[at])]
        start, activity = int(told.slices.start[at]), int(told.slices.activity[at])
        if not WEEK.start <= start < WEEK.end or activity == ON_BREAK:
            continue
        whole += HOUR
        on = activity == ON_PATCH
        by_state = int(told.slices.state[at]) == COURT
        left_open = (on and int(told.slices.place[at]) == 2) or (
            any(
                int(told.doubts.duty[row]) == int(told.slices.duty[at])
                and int(told.doubts.start[row]) == start
                for row in range(len(told.doubts))
            )
        )
        if activity == UNSEEN:
            possible += HOUR
            continue
        device = DEVICES[int(told.slices.device[at])]
        day = moment(start).astimezone(LOCAL).date().isoformat()
        radios = {item.device_id for item in duty.devices if item.kind == "radio"}
        others = [
            other
            for other in told.duties
            if other is not duty
            and other.officer_id == duty.officer_id
            and other.start <= start < (other.end or 0)
        ]
        for item in told.found:
            if item.finding in ("clock_offset", "swapped_coordinates", "rejected", "latitude_sign"):
                left_open |= item.id == device and item.day == day and not by_state
            if item.finding in ("never_heard", "none_usable") and item.scope == "device":
                left_open |= item.id in radios and not by_state
            if item.finding == "open_duty":
                left_open |= item.id == duty.duty_id
            if item.finding == "unknown_patch":
                left_open |= item.id in duty.patch and not by_state
            if item.finding == "overlapping_duties":
                left_open |= item.id == duty.officer_id and bool(others)
        if on and not left_open:
            proven += HOUR
        if on or left_open:
            possible += HOUR
    return proven, possible, whole


@many(150)
@given(told=tolds())
def test_what_serious_findings_touch_is_left_open_to_the_hour(told: Told) -> None:
    """The bounds without what they touch are those of a count of every hour, and so is the verdict."""
    found = after(told).figures
    proven, possible, whole = by_hours(told)
    assert (found.proven, found.possible, found.duty) == (proven, possible, whole)
    if found.unknown == whole:
        assert found.verdict(told.target) is None  # nothing is known, so there is nothing to turn (15)
    else:
        target = told.target
        verdict = MET if proven >= target * whole else "missed" if possible < target * whole else NOT_PROVEN
        assert found.verdict(target) == verdict


@many(100)
@given(told=tolds())
def test_findings_widen_bounds_and_change_nothing_else(told: Told) -> None:
    """The share stays; a verdict stays or is not proven; what is questioned is how much the bounds widen."""
    before, now = behind(told).figures, after(told).figures
    assert now.proven <= before.proven
    assert now.possible >= before.possible
    assert replace(now, only_doubtful_on=0, only_doubtful_off=0) == replace(
        before, only_doubtful_on=0, only_doubtful_off=0
    )
    assert now.verdict(told.target) in (before.verdict(told.target), NOT_PROVEN)
    widened = (before.proven - now.proven) + (now.possible - before.possible)
    assert questioned(before, now) == widened
    assert (widened == 0) == (before == now)


# ── A verdict that rests on a wrong clock ─────────────────────────────────────────────────────────────────


def reports(*rows: tuple[str, int, int, int]) -> Heard:
    """Reports of the week's Tuesday: ``(device, verdict, delay in seconds, how many)``."""
    names = tuple(sorted({row[0] for row in rows}))
    listed = sorted((names.index(name), verdict, delay, count) for name, verdict, delay, count in rows)
    table = np.array(listed, np.int64).reshape(-1, 4)
    return Heard(
        table[:, 0].astype(np.int32),
        np.full(len(table), 20_774, np.int32),
        table[:, 1].astype(np.int8),
        table[:, 2].astype(np.int32),
        table[:, 3].copy(),
        names,
    )


def one_day(activities: Sequence[int] = (ON_PATCH,) * 8) -> tuple[Slices, Duty]:
    """A duty on Tuesday 17 November, 08:00 to 16:00, an hour of each activity, decided by R1."""
    start = WEEK.start + 32 * HOUR
    count = len(activities)
    duty = Duty(
        "D1", 1, "O1", start, start + count * HOUR, ("N1",), (Allocation("R1", "radio"),), name="PC One"
    )
    times = start + np.arange(count) * HOUR
    kinds = np.array(activities, np.int8)
    slices = Slices(
        np.zeros(count, np.int32),
        times,
        times + HOUR,
        kinds,
        np.full(count, FREE, np.int16),
        np.where(kinds == ON_PATCH, 0, np.where(kinds == UNSEEN, -1, 1)).astype(np.int32),
        np.where(kinds == UNSEEN, NO_DEVICE, 0).astype(np.int32),
    )
    return slices, duty


def positions(*rows: tuple[str, int, float, float]) -> Fixes:
    """Positions by device and time."""
    names = tuple(sorted({row[0] for row in rows}))
    listed = sorted((names.index(name), time, lon, lat) for name, time, lon, lat in rows)
    missing = np.full(len(listed), np.nan)
    return Fixes(
        np.array([row[0] for row in listed], np.int32),
        np.array([row[1] for row in listed], np.int64),
        np.array([row[2] for row in listed], np.float64),
        np.array([row[3] for row in listed], np.float64),
        missing,
        missing.astype(np.float32),
        missing.astype(np.float32),
        names,
    )


def examined(
    heard: HeardFacts, activities: Sequence[int] = (ON_PATCH,) * 8, *, duty: Duty | None = None
) -> tuple[Behind, Examiner]:
    """A day's figure, and what looks into its facts."""
    slices, booked = one_day(activities)
    duties = [duty or booked]
    about = duties, PLACES, WEEK.start, WEEK.end
    whole = figures_of(NEIGHBOURHOOD, "N1", WEEK.start, WEEK.end, totals(slices, *about).sum(axis=0))
    made = Behind(whole, 0.8, slices, duties, PLACES, ("R1",), Doubts.none())
    return made, Examiner(
        heard,
        WEEK.start,
        WEEK.end,
        POLICIES,
        extent=None,
        neighbourhoods={"N1": "Abbey", "N2": "Castle"},
        grounds={"N1": [(-FOREVER, FOREVER)], "N2": [(-FOREVER, FOREVER)]},
        duties=duties,
        booked=duties,
    )


EIGHT = WEEK.start + 32 * HOUR
SEEN = positions(("R1", EIGHT, -1.1, 52.6), ("R1", EIGHT + 7 * HOUR, -1.1, 52.6))


def test_a_verdict_that_rests_on_a_wrong_clock_says_so() -> None:
    """Eight hours on patch, all told an hour late: met stands, and would be not proven without them."""
    facts = HeardFacts(SEEN, frozenset(), reports(("R1", TAKEN, 3600, 480)))
    made, examiner = examined(facts)
    found = worth(made, examiner, POLICIES, WEEK.end, Named({}))
    assert (made.figures.verdict(0.8), found.verdict) == (MET, NOT_PROVEN)
    assert found.questioned == 8 * HOUR
    assert found.turning == (
        "The verdict “met” stands by the rules; without 8 h of duty time whose facts are probably wrong "
        "(1 radio with a wrong clock) it would be “not proven”."
    )
    [row] = found.findings
    assert (row.finding, row.scope, row.id, row.day, row.count) == (
        "clock_offset",
        "device",
        "R1",
        "2026-11-17",
        480,
    )
    assert "the clock is 1 hour behind" in found.said[0]
    assert found.reports is not None
    assert (found.reports.taken, found.reports.delay_median, found.reports.delay_p95) == (480, 3600, 3600)


def test_nothing_against_the_facts_is_said_to_be_nothing() -> None:
    """A radio that was heard, on a known patch, in a duty of eight hours: no finding, no sentence."""
    made, examiner = examined(HeardFacts(SEEN, frozenset(), Heard.joined([])))
    found = worth(made, examiner, POLICIES, WEEK.end, Named({}))
    assert (found.findings, found.said, found.turning, found.questioned, found.reports) == (
        (),
        (),
        "",
        0,
        None,
    )
    assert (found.verdict, found.proven, found.possible) == (MET, 8 * HOUR, 8 * HOUR)


def test_the_radio_that_was_meant_is_named() -> None:
    """R0012345 was never heard, 12345 was and nobody booked it: both stand in one line, with what to do."""
    _, booked = one_day()
    duty = replace(booked, devices=(Allocation("0012345", "radio"),))
    heard = positions(("12345", EIGHT, -1.1, 52.6))
    made, examiner = examined(
        HeardFacts(heard, frozenset({"12345"}), Heard.joined([])), (UNSEEN,) * 8, duty=duty
    )
    found = worth(made, examiner, POLICIES, WEEK.end, Named({}))
    assert {row.finding for row in found.findings} == {"near_id", "never_heard"}
    [said] = found.said
    assert said.startswith(
        "Device '0012345' of duty D1 was never heard, but '12345' was: they differ in zeros at the front"
    )
    assert "Write one id" in said
    assert (found.questioned, found.turning) == (0, "")  # it is unknown already


def test_a_duty_that_has_just_begun_is_not_asked_about() -> None:
    """Ten minutes of a duty within the period are too short to say that its radio was never heard."""
    _, booked = one_day()
    late = replace(booked, start=WEEK.end - HOUR // 6, end=WEEK.end + 8 * HOUR)
    _, examiner = examined(HeardFacts.none(), duty=late)
    assert not len(examiner.found([late]))
    longer = replace(late, start=WEEK.end - HOUR)
    _, examiner = examined(HeardFacts.none(), duty=longer)
    assert len(examiner.found([longer]))


def test_a_radio_that_spoke_in_the_rest_of_its_duty_was_heard() -> None:
    """A night shift silent until midnight of Sunday and heard in the new week was not "never heard"."""
    _, booked = one_day()
    late = replace(booked, start=WEEK.end - 2 * HOUR, end=WEEK.end + 6 * HOUR)
    [radio] = late.devices
    for duty_id, lines in (("D1", 0), ("D2", 2)):  # that of another duty says nothing
        facts = replace(HeardFacts.none(), outside=frozenset({(duty_id, radio.device_id)}))
        _, examiner = examined(facts, duty=late)
        assert len(examiner.found([late]).only("never_heard")) == lines


@pytest.mark.parametrize(("rejected", "told"), [(9, False), (10, False), (12, True), (40, True)])
def test_more_than_a_small_part_rejected_is_told(rejected: int, told: bool) -> None:
    """Of a hundred reports more than ten, and never fewer than ten; who says "no fix" tells nothing wrong."""
    wrong, *honest = (
        REASONS.index(name) for name in (Reason.OUT_OF_RANGE, Reason.NOT_A_FIX, Reason.ZERO_POSITION)
    )
    heard = reports(("R1", TAKEN, NO_DELAY, 100 - rejected), ("R1", wrong, 1, rejected))
    assert [row.count for row in mostly_rejected(heard)] == [rejected] * told
    for indoors in honest:
        heard = reports(("R1", TAKEN, NO_DELAY, 100 - rejected), ("R1", indoors, 1, rejected))
        assert not mostly_rejected(heard)


# ── Stored summaries ──────────────────────────────────────────────────────────────────────────────────────


def as_stored_before(summary: Summary) -> bytes:
    """A summary as a program stored it that did not know what facts are worth."""
    fields = msgspec.json.decode(encode(summary))
    del fields["quality"]
    return msgspec.json.encode(fields)


def test_a_summary_stored_before_is_read_and_shown_as_it_was() -> None:
    """Without what its facts are worth it has no section, table or sentence about them."""
    old = decode(as_stored_before(believable()))
    assert old.quality is None
    assert old == replace(believable(), quality=None)
    assert "What the facts are worth" not in page.html(old)
    assert "facts" not in {table.name for table in listing.tables(old)}
    assert (view.turning(old), view.facts_said(old)) == ("", ())


def test_the_section_stands_on_the_page_and_in_the_tables() -> None:
    """The turning sentence is in the first paragraph; where nothing was found that is said."""
    summary = believable()
    assert summary.quality is not None
    text = page.html(summary)
    first = text[text.index('class="share"') : text.index("</p>", text.index('class="share"'))]
    assert summary.quality.turning
    assert summary.quality.turning in first
    assert summary.quality.turning in view.share_sentence(summary)
    assert text.count("What the facts are worth</h") == 2
    assert view.NOTHING_FOUND in page.html(believable(found=0))
    [table] = listing.facts_tables(summary)
    assert len(table.rows) > len(summary.quality.findings)
