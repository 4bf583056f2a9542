"""Explanations: parts that sum to the figure exactly, and words that contradict neither it nor each other."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.matching.history import FOREVER, UNKNOWN
from geo.matching.places import Place
from stream.core.calendar import LOCAL, day_bounds, local_day, moment, parse_time, week_bounds
from stream.core.explaining.explanation import CAUSES, LEVELS, Explanation, Stretch, cut_open, exact, explain
from stream.core.explaining.wording import (
    MINUTE,
    Named,
    apportion,
    costs,
    duration,
    moment_words,
    officer_names,
    percent,
    period_words,
    stretch_words,
    words,
)
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.policy import Policies, Policy, parse_policies
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER, Figures, shares
from stream.core.slices import ACTIVITIES, NO_DEVICE, Slices
from stream.files.sheets.explanations import explanation_json, parts_table
from tests.counted import RENAMED, Case
from tests.strategies import BINARY, World, many, worlds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

HOUR = 60 * MINUTE


# ── The parts ─────────────────────────────────────────────────────────────────────────────────────────────


def explained(
    world: World, policies: Policies = RENAMED, *, positions: bool = False
) -> Iterable[tuple[Case, Explanation]]:
    """Every figure of a world's period, explained; with or without the times of positions at hand."""
    case = Case(world, policies)
    case.slices = cut_open(case.slices, case.duties, world.as_of)
    reported = {name: times_of(world, name) for name in case.device_ids} if positions else {}
    for figure in case.figures(*world.period):
        yield (
            case,
            explain(
                figure,
                case.slices,
                case.duties,
                case.places,
                case.device_ids,
                policies,
                until=world.as_of,
                reported=reported,
            ),
        )


def times_of(world: World, device_id: str) -> NDArray[np.int64]:
    """The times of a device's positions, in order."""
    return np.array(sorted({fix[1] for fix in world.fixes if fix[0] == device_id}), np.int64)


def by_activity(found: Explanation) -> dict[str, int]:
    """The microseconds of the stretches by activity."""
    total: Counter[str] = Counter()
    for activity, start, end in zip(
        found.stretches.activity.tolist(),
        found.stretches.start.tolist(),
        found.stretches.end.tolist(),
        strict=True,
    ):
        total[ACTIVITIES[activity]] += end - start
    return total


@many(30)
@given(worlds(BINARY))
def test_the_stretches_sum_to_the_figure_exactly(world: World) -> None:
    """In any world every figure is the exact sum of its stretches, activity by activity, ambiguity too."""
    for _, found in explained(world):
        figure, total, table = found.figures, by_activity(found), found.stretches
        assert total["on_patch"] == figure.on_patch
        assert total["off_patch"] == figure.off_patch
        assert total["not_visible"] == figure.not_visible
        assert total["unknown"] == figure.unknown
        assert total["break"] == figure.on_break
        assert int(table.priority.sum()) == figure.priority
        on = table.activity == ACTIVITIES.index("on_patch")
        assert int(table.ambiguous[on].sum()) == figure.ambiguous_on
        assert int(table.ambiguous[~on].sum()) == figure.ambiguous_off
        assert np.all((table.ambiguous >= 0) & (table.ambiguous <= table.end - table.start))


def said_of(found: Explanation, level: str, row: int) -> object:
    """What a stretch says at a level."""
    table = found.stretches
    duty = found.duties[table.duty[row]]
    return {
        "activity": int(table.activity[row]),
        "where": (int(table.cause[row]), 0 if table.cause[row] else found.wheres[table.where[row]]),
        "state": found.meanings[table.state[row]],
        "officer": duty.officer_id,
        "day": int(table.day[row]),
        "stretch": row,
    }[level]


def leaves(found: Explanation, parts: Sequence[Stretch], levels: Sequence[str]) -> list[int]:
    """Checks that parts sum to what they are parts of, and say the same; gives the rows of the last level."""
    below = []
    heads = [said_of(found, levels[0], part.row) for part in parts]
    assert len(set(heads)) == len(heads)
    for part in parts:
        assert part.level == levels[0]
        assert part.time > 0
        if part.level == levels[-1]:
            assert part.parts == ()
            below.append(part.row)
            continue
        for name in ("time", "ambiguous", "priority"):
            assert sum(getattr(item, name) for item in part.parts) == getattr(part, name)
        if levels[1] in {"where", "state", "officer"}:
            assert all(one.time >= two.time for one, two in pairwise(part.parts))
        rows = leaves(found, part.parts, levels[1:])
        assert {said_of(found, part.level, row) for row in rows} == {said_of(found, part.level, part.row)}
        below += rows
    return below


@many(25)
@given(worlds(BINARY), st.sampled_from(LEVELS[::-1]))
def test_each_part_is_the_exact_sum_of_its_own_parts(world: World, depth: str) -> None:
    """The tree, cut at any depth, sums exactly at every branch; at full depth each stretch is one leaf."""
    for _, found in explained(world):
        levels = [level for level in LEVELS if found.figures.scope != OFFICER or level != "officer"]
        if depth not in levels:
            continue
        parts = found.parts(depth)
        rows = leaves(found, parts, levels[: levels.index(depth) + 1])
        total = {ACTIVITIES[found.stretches.activity[part.row]]: part.time for part in parts}
        assert total == by_activity(found)
        assert depth != LEVELS[-1] or sorted(rows) == list(range(len(found.stretches)))


@many(25)
@given(worlds(BINARY))
def test_the_stretches_are_the_slices_cut_at_midnight(world: World) -> None:
    """No stretch overlaps another, each lies in one local day, and together they are the duties' slices."""
    for case, found in explained(world):
        table, figure = found.stretches, found.figures
        for number, duty in enumerate(found.duties):
            mine = np.flatnonzero(table.duty == number)
            assert np.all(table.start[mine][1:] >= table.end[mine][:-1])
            member = {
                FORCE: bool(duty.patch),
                NEIGHBOURHOOD: figure.id in duty.patch,
                OFFICER: duty.officer_id == figure.id and bool(duty.patch) is figure.has_share,
            }[figure.scope]
            wanted = [
                (max(int(low), figure.start), min(int(high), figure.end), int(activity))
                for low, high, owner, activity in zip(
                    *(case.slices.start, case.slices.end, case.slices.duty, case.slices.activity),
                    strict=True,
                )
                if owner == number and member
            ]
            covered = sum(max(0, high - low) for low, high, _ in wanted)
            assert int((table.end - table.start)[mine].sum()) == covered
            for row in mine.tolist():
                inside = sum(
                    max(0, min(high, int(table.end[row])) - max(low, int(table.start[row])))
                    for low, high, activity in wanted
                    if activity == table.activity[row]
                )
                assert inside == table.end[row] - table.start[row]
        for row in range(len(table)):
            start, end = day_bounds(local_day(int(table.start[row])))
            assert start <= table.start[row] < table.end[row] <= end
            assert local_day(int(table.start[row])).toordinal() == table.day[row]


def why(case: Case, duty: Duty, time: int, *, positions: bool) -> tuple[str, str]:
    """Why a position is unknown at an instant, and the device that should have said it, read once more."""
    held = [
        (item.kind != "radio", -max(duty.start, item.start or duty.start), item.device_id)
        for item in duty.devices
        if max(duty.start, item.start or duty.start)
        <= time
        < min(
            FOREVER if duty.end is None else duty.end,
            FOREVER if item.end is None else item.end,
        )
    ]
    if not held:
        return "no_device", ""
    device = min(held)[2]
    number = list(case.duties).index(duty)
    known = sorted(
        (int(case.slices.start[at]), int(case.slices.end[at]), case.device_ids[case.slices.device[at]])
        for at in range(len(case.slices))
        if case.slices.duty[at] == number and case.slices.place[at] != UNKNOWN
    )
    if not known:
        return "not_heard", device
    if time < min(known)[0]:
        return "before_first", device
    if time >= max(known)[1]:
        return "after_last", device
    before = max(item for item in known if item[1] <= time)
    behind = min(item for item in known if item[0] > time)
    times = [before[1], behind[0]]
    if positions:
        times += [at for at in times_of(case.world, device).tolist() if before[1] < at < behind[0]]
    heard = all(later - at <= 300 * SECOND for at, later in pairwise(sorted(times)))
    leapt = before[2] == behind[2] == device and heard
    return ("impossible" if leapt else "gap"), device


@many(25)
@given(worlds(BINARY), st.booleans())
def test_unknown_time_has_its_cause_at_every_instant(world: World, positions: bool) -> None:
    """Each unknown stretch has, at its start and its last microsecond, the cause and device found by hand."""
    for case, found in explained(world, positions=positions):
        table = found.stretches
        for row in range(len(table)):
            cause = CAUSES[table.cause[row]]
            assert (cause != "") == (ACTIVITIES[table.activity[row]] == "unknown")
            if not cause:
                continue
            duty = found.duties[table.duty[row]]
            at = int(table.device[row])
            device = "" if at == NO_DEVICE else found.device_ids[at]
            for time in (int(table.start[row]), int(table.end[row]) - 1):
                assert (cause, device) == why(case, duty, time, positions=positions)


@many(20)
@given(worlds(BINARY))
def test_tables_and_json_lose_nothing(world: World) -> None:
    """``parts.csv`` and the JSON tree sum to the figure too, to the microsecond."""
    basis = Named({})
    for _, found in explained(world):
        rows = parts_table(found).to_pylist()
        figure = found.figures
        total: Counter[str] = Counter()
        for row in rows:
            total[row["activity"]] += round(Fraction(row["seconds"]) * SECOND)
        assert total == by_activity(found)
        assert sum(round(Fraction(row["priority_s"]) * SECOND) for row in rows) == figure.priority
        said = explanation_json(found, basis, depth="stretch")
        assert {part["activity"]: round(part["seconds"] * SECOND) for part in said["parts"]} == total
        rest = sum(round(cost["seconds"] * SECOND) for cost in said["costs"])
        assert rest + figure.on_patch == figure.duty


def test_a_depth_that_there_is_not_is_refused() -> None:
    """Only the levels that there are can be asked for."""
    with pytest.raises(ValueError, match="tuple"):
        story().parts("leaf")


# ── The words ─────────────────────────────────────────────────────────────────────────────────────────────


@many(300)
@given(st.lists(st.integers(0, 10**9), max_size=8))
def test_minutes_said_add_up(times: list[int]) -> None:
    """Apportioned minutes add up to the rounded sum, and each is its time rounded down or up."""
    said = apportion(times)
    assert abs(sum(said) * MINUTE - sum(times)) * 2 <= MINUTE
    for time, minutes in zip(times, said, strict=True):
        assert floor(time / MINUTE) <= minutes <= ceil(time / MINUTE)
    for total in {floor(sum(times) / MINUTE), ceil(sum(times) / MINUTE)}:
        assert sum(apportion(times, total)) == total


SHARES = st.one_of(
    st.fractions(0, 1, max_denominator=10**6),
    st.builds(
        Fraction, st.sampled_from((799_600, 800_400, 799_999, 800_001, 800_000, 999_999, 1)), st.just(10**6)
    ),
)


@many(300)
@given(SHARES, SHARES, st.sampled_from((0.8, 0.85, 0.8333, 0.9999, 1.0, 0.5)))
def test_no_percentage_contradicts_its_verdict(one: Fraction, two: Fraction, target: float) -> None:
    """What is below the target is shown below it, what reaches it is not, and the order of shares is kept."""
    limit = exact(target)
    shown = {value: Fraction(percent(value, limit).removesuffix("%")) / 100 for value in (one, two)}
    for value, text in shown.items():
        assert (text >= limit) == (value >= limit)
        assert (text == 0) == (value == 0)
        assert (text == 1) == (value == 1)
        assert abs(text - value) <= Fraction(1, 1000)
    assert (shown[one] <= shown[two]) or one > two


def test_a_share_just_short_is_not_rounded_up() -> None:
    """79.96% misses 80%, and is not shown as 80.0%."""
    assert percent(Fraction(7996, 10000), Fraction(4, 5)) == "79.9%"
    assert percent(Fraction(7996, 10000)) == "80.0%"
    assert percent(Fraction(4, 5), Fraction(4, 5)) == "80.0%"
    assert percent(Fraction(80004, 100000), exact(0.8)) == "80.0%"
    assert percent(Fraction(83334, 100000), exact(0.8333)) == "83.33%"


DURATION = r"(?:\d+ h(?: \d+ min)?|\d+ min|under a minute)"


def minutes_of(text: str) -> int:
    """A duration in words as minutes."""
    hours, rest = re.search(r"(\d+) h", text), re.search(r"(\d+) min", text)
    return 60 * int(hours[1] if hours else 0) + int(rest[1] if rest else 0)


def leading(text: str) -> str:
    """The duration that a sentence begins with."""
    found = re.match(DURATION, text)
    assert found is not None
    return found[0]


@many(30)
@given(worlds(BINARY), st.integers(1, 4))
def test_what_is_said_adds_up_to_what_is_said(world: World, most: int) -> None:
    """The minutes read from the sentences sum: time on patch and all items are the duty time."""
    basis = Named({})
    for _, found in explained(world):
        said = words(found, basis, most=most)
        _, all_costs = costs(found, basis)
        table = found.stretches
        rows = np.sort(np.concatenate([cost.rows for cost in all_costs] or [np.empty(0, np.intp)]))
        away = [ACTIVITIES[at] not in {"on_patch", "break"} for at in table.activity.tolist()]
        assert rows.tolist() == np.flatnonzero(away).tolist()
        told = sum(minutes_of(leading(text)) for text in said.costs)
        head = re.match(rf"On patch ({DURATION}) of ({DURATION})", said.verdict[0])
        if head:
            assert minutes_of(head[1]) + told == minutes_of(head[2])
            assert abs(minutes_of(head[1]) * MINUTE - found.figures.on_patch) * 2 <= MINUTE
            assert abs(minutes_of(head[2]) * MINUTE - found.figures.duty) * 2 <= MINUTE
        for cost, text in zip(all_costs, said.costs, strict=False):
            parts = re.search(rf"\(((?:[^;]+ {DURATION}, )+[^;]+ {DURATION});", text)
            if parts and cost.what in text:
                inside = sum(minutes_of(item) for item in re.findall(DURATION, parts[1]))
                assert inside == cost.minutes == minutes_of(leading(text))


@many(30)
@given(worlds(BINARY), st.sampled_from((0.2, 0.5, 0.8, 1.0)))
def test_the_sentences_agree_with_the_verdict(world: World, target: float) -> None:
    """``met``, ``missed`` and ``not proven`` stand beside percentages that say the same."""
    for _, found in explained(world, Policies(policies=(Policy(target=target),))):
        figure, limit = found.figures, exact(target)
        said = " ".join(words(found, Named({})).verdict)
        head = re.match(r".* \(([\d.]+)%; between ([\d.]+)% and ([\d.]+)%\): ([a-z ]+)\.", said)
        if figure.share is None:
            assert head is None
            assert said.startswith(("No home patch", "No duty time", "No position known"))
            continue
        assert head is not None
        share, low, high = (Fraction(head[number]) / 100 for number in (1, 2, 3))
        assert low <= share <= high
        assert head[4] == figure.verdict(target)
        assert (head[4] == "met") == (low >= limit)
        assert (head[4] == "missed") == (high < limit)
        assert ("short of the target of" in said) == (share < limit)
        assert (" above the target" in said or "Exactly on the target" in said) == (share >= limit)
        assert "the target reached" not in said or share < limit


# ── Worked cases ──────────────────────────────────────────────────────────────────────────────────────────

PLACES = (
    Place(None, None, ()),
    Place("E1", None, ()),
    Place("E1", None, ("P1",)),
    Place("E2", None, ()),
    Place("E3", "B1", ()),
    Place("E1", None, (), ("E2",)),
    Place("E2", None, (), ("E1",)),
)
OUT, HOME, HOT, WEST, STATION, NEAR_EDGE, OVER_EDGE = range(7)
NAMES = {
    (NEIGHBOURHOOD, "E1"): "Abbey",
    (NEIGHBOURHOOD, "E2"): "Westcotes",
    (NEIGHBOURHOOD, "E3"): "Castle",
    ("premises", "B1"): "Euston Street station",
}
BREAK, NOT_VISIBLE, LOST, ON, OFF = range(5)
RADIO = Allocation("R1", "radio")

Row = tuple[int, int, int, int]
"""``(minutes, activity, place, state)``."""


def at(text: str) -> int:
    """A local time as microseconds."""
    return parse_time(moment(0).strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=LOCAL).isoformat())


def booked(duty_id: str, start: str, rows: Sequence[Row], **more: object) -> tuple[Duty, Sequence[Row]]:
    """A duty of PC 1001 on patch Abbey, as long as its rows."""
    began = at(start)
    end = began + sum(row[0] for row in rows) * MINUTE
    plain = Duty(duty_id, 1, "1001", began, end, ("E1",), (RADIO,), name="PC Green")
    return replace(plain, **more), rows  # type: ignore[arg-type]


def laid(duties: Sequence[tuple[Duty, Sequence[Row]]]) -> tuple[Slices, list[Duty]]:
    """Duties and their timelines as slices."""
    table = []
    for number, (duty, rows) in enumerate(duties):
        time = duty.start
        for minutes, activity, place, state in rows:
            device = NO_DEVICE if place == UNKNOWN else 0
            table.append((number, time, time + minutes * MINUTE, activity, state, place, device))
            time += minutes * MINUTE
    columns = np.array(table, np.int64).reshape(-1, 7).T
    types = (np.int32, np.int64, np.int64, np.int8, np.int16, np.int32, np.int32)
    return Slices(*(column.astype(kind) for column, kind in zip(columns, types, strict=True))), [
        duty for duty, _ in duties
    ]


def told(
    duties: Sequence[tuple[Duty, Sequence[Row]]],
    period: tuple[int, int],
    who: tuple[str, str] = (OFFICER, "1001"),
    policies: Policies = Policies(),  # noqa: B008
    **more: Any,
) -> Explanation:
    """A worked case, explained."""
    slices, booked_ = laid(duties)
    figures: list[Figures] = shares(slices, booked_, PLACES, *period)
    [figure] = [item for item in figures if (item.scope, item.id) == who]
    return explain(figure, slices, booked_, PLACES, ("R1",), policies, until=period[1], **more)


MONDAY = booked(
    "D1",
    "2026-11-16 07:00",
    (
        (30, NOT_VISIBLE, STATION, 2),
        (120, ON, HOME, 2),
        (20, OFF, WEST, 5),
        (70, OFF, WEST, 6),
        (40, BREAK, STATION, 4),
        (29, LOST, UNKNOWN, 2),
        (171, ON, HOT, 2),
        (8, ON, NEAR_EDGE, 2),
        (4, OFF, OVER_EDGE, 2),
        (88, NOT_VISIBLE, STATION, 1),
        (20, NOT_VISIBLE, WEST, 10),
    ),
)
TUESDAY = booked(
    "D2",
    "2026-11-17 22:00",
    (
        (26, LOST, UNKNOWN, 1),
        (60, ON, HOME, 2),
        (70, NOT_VISIBLE, STATION, 2),
        (304, ON, HOME, 2),
        (20, OFF, OUT, 2),
    ),
)
WEEK = week_bounds("2026-W47")


def story() -> Explanation:
    """PC Green's week."""
    return told([MONDAY, TUESDAY], WEEK)


def test_a_week_as_a_sergeant_would_tell_it() -> None:
    """The worked week: who and when, the verdict, what it cost, what is in doubt, what it rests on."""
    basis = Named(NAMES | officer_names([MONDAY[0]]), ("wards.gpkg",), at("2026-11-22 23:10"))
    said = words(story(), basis)
    assert said.title == "PC Green (1001), week 2026-W47, Mon 16 Nov to Sun 22 Nov 2026"
    assert said.verdict == (
        "On patch 11 h 3 min of 17 h 20 min (63.8%; between 63.0% and 69.4%): missed.",
        "2 h 49 min short of the target of 80%.",
        (
            "Had the largest item (3 h 8 min at Euston Street station) been on patch, it would be 81.8%: "
            "the target reached."
        ),
    )
    assert said.costs == (
        "3 h 8 min at Euston Street station (Mon 07:00–07:30, 15:12–16:40, Tue 23:26–Wed 00:36)",
        "1 h 30 min on calls in Westcotes (at scene 1 h 10 min, en route 20 min; Mon 09:30–11:00)",
        "29 min no signal (Mon 11:40–12:09)",
        "26 min no signal before the duty's first position (Tue 22:00–22:26)",
        "20 min court in Westcotes (Mon 16:40–17:00)",
        "20 min outside every neighbourhood (available; Wed 05:40–06:00)",
        "4 min in Westcotes (available; Mon 15:08–15:12)",
    )
    assert said.notes == (
        (
            "12 min in doubt (too near the patch's edge, or crossing it): 8 min counted on patch, "
            "4 min counted off it."
        ),
        "2 h 51 min of the time on patch in priority areas.",
        "40 min of breaks, not duty time.",
        "Target 80%, under the policy in force.",
        "Boundaries: wards.gpkg.",
        "Data as of Sun 22 Nov 2026 23:10.",
    )


def test_a_day_takes_its_part_of_a_night_shift() -> None:
    """A night shift is divided at midnight, and within a day no day is named."""
    said = words(told([MONDAY, TUESDAY], day_bounds(local_day(at("2026-11-18 12:00")))), Named(NAMES))
    assert said.title == "1001, Wed 18 Nov 2026"
    assert said.verdict[0].startswith("On patch 5 h 4 min of 6 h (84.4%; between 84.4% and 84.4%): met.")
    assert said.verdict[1] == "16 min above the target of 80%."
    assert said.costs == (
        "36 min at Euston Street station (00:00–00:36)",
        "20 min outside every neighbourhood (available; 05:40–06:00)",
    )


def test_a_neighbourhood_is_told_by_officers() -> None:
    """Of a neighbourhood the officers behind an item are named, in minutes that add up, and its longest."""
    other = booked(
        "D3",
        "2026-11-16 07:00",
        ((50, NOT_VISIBLE, STATION, 2), (70, ON, HOME, 2)),
        officer_id="1002",
        name="PC Brown",
    )
    basis = Named(NAMES | officer_names([MONDAY[0], other[0]]))
    said = words(told([MONDAY, TUESDAY, other], WEEK, (NEIGHBOURHOOD, "E1")), basis, most=2)
    assert said.title == "Abbey (E1), week 2026-W47, Mon 16 Nov to Sun 22 Nov 2026"
    assert said.costs == (
        (
            "3 h 58 min at Euston Street station (PC Green 3 h 8 min, PC Brown 50 min; the longest PC Green "
            "Mon 15:12–16:40)"
        ),
        (
            "1 h 30 min on calls in Westcotes (at scene 1 h 10 min, en route 20 min; PC Green; the longest "
            "PC Green Mon 09:30–11:00)"
        ),
        "1 h 39 min in 5 smaller items",
    )


def test_silence_is_told_apart() -> None:
    """No device, a device never heard, one heard later or no more, and a gap are five different things."""
    silent = booked("D1", "2026-11-16 07:00", ((60, LOST, UNKNOWN, 1),))
    held = booked(
        "D2",
        "2026-11-17 07:00",
        (
            (60, LOST, UNKNOWN, 1),
            (60, ON, HOME, 1),
            (60, LOST, UNKNOWN, 1),
            (60, ON, HOME, 1),
            (60, LOST, UNKNOWN, 1),
        ),
        devices=(Allocation("R1", "radio", at("2026-11-17 07:15"), at("2026-11-17 11:30")),),
    )
    said = words(told([silent, held], WEEK), Named({}))
    assert said.costs == (
        "1 h with no position in the whole duty (Mon 07:00–08:00)",
        "1 h no signal (Tue 09:00–10:00)",
        "45 min with no device allocated (Tue 07:00–07:15, 11:30–12:00)",
        "45 min no signal before the duty's first position (Tue 07:15–08:00)",
        "30 min no signal after the duty's last position (Tue 11:00–11:30)",
    )
    early = told([silent], WEEK, boundaries_from=at("2026-11-16 07:20"))
    assert words(early, Named({})).costs == (
        "40 min with no position in the whole duty (07:20–08:00)".replace("(", "(Mon "),
        "20 min before any boundaries (Mon 07:00–07:20)",
    )


def test_the_silent_device_is_the_one_that_would_be_believed() -> None:
    """Of several silent devices the radio is named, else the vehicle allocated last (rule 9)."""
    vehicles = (Allocation("V1", "vehicle"), Allocation("V2", "vehicle", at("2026-11-16 07:10")))
    row = ((60, LOST, UNKNOWN, 1),)
    for devices, wanted in (
        (vehicles, [("V1", 10), ("V2", 50)]),
        (
            (*vehicles, Allocation("R1", "radio", at("2026-11-16 07:30"))),
            [("V1", 10), ("V2", 20), ("R1", 30)],
        ),
    ):
        found = told([booked("D1", "2026-11-16 07:00", row, devices=devices)], WEEK)
        rows = parts_table(found).to_pylist()
        assert [(item["device_id"], round(float(item["seconds"]) / 60)) for item in rows] == wanted
        assert {item["source"] for item in rows} == {"vehicle", *(["radio"] if len(devices) > 2 else [])}


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (
            ((480, ON, HOME, 1), (120, OFF, WEST, 1)),
            ("On patch 8 h of 10 h (80.0%; between 80.0% and 80.0%): met.", "Exactly on the target of 80%."),
        ),
        (
            ((470, ON, HOME, 1), (60, LOST, UNKNOWN, 1), (70, OFF, WEST, 1)),
            (
                "On patch 7 h 50 min of 10 h (78.3%; between 78.3% and 88.3%): not proven.",
                "10 min short of the target of 80%.",
                "Not proven: unknown or doubtful time could decide it either way.",
                (
                    "Had the largest item (1 h 10 min in Westcotes) been on patch, it would be 90.0%: "
                    "the target reached."
                ),
            ),
        ),
        (
            ((240, ON, HOME, 1), (10, OFF, OUT, 6), (350, BREAK, HOME, 4)),
            (
                "On patch 4 h of 4 h 10 min (96.0%; between 96.0% and 96.0%): met.",
                "40 min above the target of 80%.",
            ),
        ),
        (((30, BREAK, HOME, 4),), ("No duty time, so no figure.",)),
    ],
    ids=["exactly", "not-proven", "met", "nothing"],
)
def test_verdicts_in_words(rows: Sequence[Row], verdict: tuple[str, ...]) -> None:
    """Exactly the target is met; what is missing and what the largest item cost is said where it is short."""
    assert words(told([booked("D1", "2026-11-16 07:00", rows)], WEEK), Named(NAMES)).verdict == verdict


def test_no_home_patch_no_share_and_what_is_left_out() -> None:
    """Without a home patch there is time and no share; beside duties with one, those without are named."""
    roaming = booked("D2", "2026-11-17 07:00", ((60, OFF, WEST, 1),), patch=())
    alone = words(told([roaming], WEEK), Named(NAMES))
    assert alone.verdict == ("No home patch, so no share: 1 h of duty time.",)
    assert alone.costs == ("1 h in Westcotes (on duty; Tue 07:00–08:00)",)
    both = told([MONDAY, roaming], WEEK)
    assert [both.duties[number].duty_id for number in both.left_out] == ["D2"]
    assert "Not in this figure: 1 duty without a home patch." in words(both, Named(NAMES)).notes


def test_a_policy_is_named_with_its_date_and_an_open_duty_with_its_end() -> None:
    """The target comes from the policy at the period's start; a running duty is counted up to an instant."""
    policies = parse_policies("[[policy]]\nfrom = 2026-11-16\ntarget = 0.8333\n")
    open_ = (replace(MONDAY[0], end=None), MONDAY[1])
    slices, duties = laid([open_])
    until = at("2026-11-16 12:00")
    slices = cut_open(replace(slices, end=np.append(slices.end[:-1], FOREVER)), duties, until)
    [figure] = [item for item in shares(slices, duties, PLACES, *WEEK) if item.scope == OFFICER]
    notes = words(explain(figure, slices, duties, PLACES, ("R1",), policies, until=until), Named(NAMES)).notes
    assert "Target 83.33%, under the policy in force since Mon 16 Nov 2026 00:00." in notes
    assert "Duties still open are counted up to Mon 16 Nov 2026 12:00." in notes


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-10-19 00:00", "2026-10-26 00:00", "week 2026-W43, Mon 19 Oct to Sun 25 Oct 2026"),
        ("2026-12-28 00:00", "2027-01-04 00:00", "week 2026-W53, Mon 28 Dec 2026 to Sun 3 Jan 2027"),
        ("2026-10-25 00:00", "2026-10-26 00:00", "Sun 25 Oct 2026"),
        ("2026-10-01 00:00", "2026-11-01 00:00", "Thu 1 Oct 2026 to Sat 31 Oct 2026"),
        ("2026-11-16 07:00", "2026-11-16 17:00", "Mon 16 Nov 2026 07:00 to Mon 16 Nov 2026 17:00"),
    ],
)
def test_periods_have_their_names(start: str, end: str, text: str) -> None:
    """Weeks and days are called by name, in the weeks of the clock changes too."""
    assert period_words(at(start), at(end)) == text


def test_clocks_that_change_name_their_zone() -> None:
    """On the day on which the clocks go back, 01:30 says which of the two it is."""
    first = parse_time("2026-10-25T00:30:00Z")
    assert moment_words(first) == "Sun 25 Oct 2026 01:30 BST"
    assert moment_words(first + HOUR) == "Sun 25 Oct 2026 01:30 GMT"
    assert moment_words(first + 48 * HOUR) == "Tue 27 Oct 2026 00:30"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (25 * HOUR, "09:12–10:40"),
        (25 * HOUR + 1, "Mon 09:12–10:40"),
        (8 * 24 * HOUR, "Mon 09:12–10:40"),
        (8 * 24 * HOUR + 1, "Mon 16 Nov 09:12–10:40"),
    ],
)
def test_a_stretch_names_its_day_as_far_as_the_period_needs(span: int, text: str) -> None:
    """Within a day, even one of 25 hours, no day is named; within a week its name; else its date."""
    assert stretch_words(at("2026-11-16 09:12"), at("2026-11-16 10:40"), span) == text


def test_a_stretch_over_midnight_names_both_days() -> None:
    """Where a stretch ends on another day than it began, both are named, however short the period."""
    assert stretch_words(at("2026-11-16 22:00"), at("2026-11-17 02:00"), 10 * HOUR) == "Mon 22:00–Tue 02:00"


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "under a minute"), (1, "1 min"), (60, "1 h"), (370, "6 h 10 min"), (6000, "100 h")],
)
def test_durations_in_words(minutes: int, text: str) -> None:
    """Hours and minutes as people say them."""
    assert duration(minutes) == text
