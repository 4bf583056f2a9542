"""What is said of the facts themselves (rule 22): counted as an oracle counts, and faults told by name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geo.areas import AreaSet, Kind
from stream.core import frames
from stream.core.calendar import day_numbers, day_of_number, local_day, rfc3339
from stream.core.events import REASONS, decode_positions
from stream.core.facts import SECOND
from stream.core.policy import Policies, limits
from stream.core.quality.clocks import clock_offsets, offset_words
from stream.core.quality.findings import DEVICE, DUTY, FINDINGS, OFFICER, PATCH
from stream.core.quality.heard import Gathered, Heard, heard
from stream.core.quality.ids import Lookup, difference, skeleton, written_twice
from stream.core.quality.wording import warnings
from stream.files.account import Facts, account
from tests.oracle.quality import recount, silences, silences_by_day
from tests.shifts import Shift, clean_shifts, force, micros, text
from tests.strategies import many
from tests.tracker_days import some_days

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from stream.core.quality.findings import QualityFinding
    from stream.files.account import Account

LIMITS = limits(Policies())
PLAIN = FINDINGS[: FINDINGS.index("far_from_force")]
"""The findings that are only counts, and that a clean world has too."""

# ── What was heard, against the oracle ────────────────────────────────────────────────────────────────────

OPENINGS = [micros(f"{day}T23:30:00+00:00") for day in ("2026-07-01", "2026-10-24", "2026-11-22")]


@st.composite
def reports(draw: st.DrawFn) -> dict[str, Any]:
    """A report that may be good, bad, late, ahead, repeated, or next to a midnight."""
    time = draw(st.sampled_from(OPENINGS)) + draw(
        st.integers(0, 7200).map(lambda s: s * SECOND)
        | st.integers(0, 3600 * SECOND)
        | st.sampled_from([1800 * SECOND, 1800 * SECOND - 1, 5400 * SECOND])
    )
    late = draw(
        st.none()
        | st.integers(-400, 4000).map(lambda s: s * SECOND)
        | st.integers(0, 70 * SECOND)
        | st.sampled_from(
            [3600 * SECOND, -3600 * SECOND, 300 * SECOND, -300 * SECOND - 1, 3 * 86_400 * SECOND]
        )
        | st.just(401 * 86_400 * SECOND)
    )
    event: dict[str, Any] = {
        "device_id": draw(st.sampled_from(["R1", "R2", "ä,1", '"'])),
        "time": draw(st.sampled_from([text(time)] * 9 + ["yesterday", time // 1000, 45_984.5])),
        "lon": draw(st.sampled_from([-1.18, -1.17, -1.16, 0.0, 181.0])),
        "lat": draw(st.sampled_from([52.61, 52.62, 0.0, 52.61, 52.62, 0.0, None, "52,61"])),
        "error_m": draw(st.sampled_from([None, 5.0, 200.0, 200.5])),
    }
    if late is not None:
        event["received"] = text(time + late)
    return event


def as_lines(events: Sequence[dict[str, Any]]) -> list[bytes]:
    """Events as the lines of a file."""
    return [json.dumps(event).encode() for event in events]


def counted(batches: Sequence[Sequence[bytes]]) -> Account:
    """What the lines amount to, read in such batches, without duties."""
    decoded = [decode_positions(batch, None, limits=LIMITS) for batch in batches]
    fixes = frames.join([item.fixes for item in decoded])
    facts = Facts(force(), fixes, [], [], {}, (), Heard.joined([heard(item.judged) for item in decoded]))
    return account(facts, Policies())


def plain_rows(found: Account) -> list[tuple[object, ...]]:
    """The plain counts by device and day, as the oracle has them."""
    kinds = ("positions", "repeated", "rejected", "interval", "delay")
    return sorted(
        (
            (row.id, row.day, row.finding, row.count, row.us, row.detail)
            for row in found.quality.rows()
            if row.scope == DEVICE and row.finding.startswith(kinds)
        ),
        key=repr,
    )


@many(100)
@given(st.lists(reports(), max_size=40), st.integers(0, 3), st.randoms(use_true_random=False))
def test_counts_intervals_and_delays_are_those_of_a_recount(
    events: list[dict[str, Any]], times: int, random: Any
) -> None:
    """Positions, repeats, rejects, intervals and delays by device and day are those counted line by line."""
    lines = as_lines([*events, *(random.choice(events) for _ in range(times) if events)])
    assert plain_rows(counted([lines])) == recount(lines)


@many(100)
@given(st.lists(reports(), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_neither_order_nor_batches_matter(events: list[dict[str, Any]], random: Any) -> None:
    """The same lines in another order, read in other batches, give the same findings."""
    lines = as_lines(events)
    shuffled = random.sample(lines, len(lines))
    cuts = sorted(random.choices(range(len(lines) + 1), k=3))
    batches = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    one, two = counted([lines]).quality, counted(batches).quality
    assert one.rows() == two.rows()
    assert one.texts == two.texts


def same(one: Heard, two: Heard) -> bool:
    """Whether two multisets are equal."""
    columns = ("device", "day", "verdict", "delay", "count")
    return one.device_ids == two.device_ids and all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in columns
    )


@many(30)
@given(st.lists(st.lists(reports(), max_size=12), min_size=3, max_size=3))
def test_what_was_heard_is_a_monoid(batches: list[list[dict[str, Any]]]) -> None:
    """Joined in any order and grouping the counts are equal, and joining nothing changes nothing."""
    a, b, c = (heard(decode_positions(as_lines(batch), None, limits=LIMITS).judged) for batch in batches)
    every = Heard.joined([a, b, c])
    assert same(every, Heard.joined([Heard.joined([c, a]), b]))
    assert same(every, Heard.joined([a, Heard.joined([b, c])]))
    assert same(every, Heard.joined([every, Heard.joined([])]))
    gathered = Gathered()
    for part in (c, b, a):
        gathered.add(part)
    assert same(every, gathered.done())
    whole = as_lines([event for batch in batches for event in batch])
    assert same(every, heard(decode_positions(whole, None, limits=LIMITS).judged))


@many(100)
@given(st.lists(st.integers(0, 4_102_444_799_999_999), max_size=30))
def test_days_of_many_times_are_those_of_each(times: list[int]) -> None:
    """The local days of a column of times are those that the calendar gives one by one."""
    days = day_numbers(np.array(times, np.int64)).tolist()
    assert [day_of_number(day) for day in days] == [local_day(time) for time in times]


# ── Clean worlds ──────────────────────────────────────────────────────────────────────────────────────────


@many(30)
@given(clean_shifts())
def test_a_clean_world_has_plain_counts_alone(shift: Shift) -> None:
    """Of a clean world nothing is found but plain counts, nothing is warned of, and there is a figure."""
    found = shift.account()
    assert {row.finding for row in found.quality.rows()} <= set(PLAIN)
    assert warnings(found.quality) == []
    assert found.unmatched() == []


@many(20)
@given(clean_shifts())
def test_silences_are_those_of_a_recount(shift: Shift) -> None:
    """Silences of each duty are its stretches over five minutes without a report, counted one by one."""
    found = {
        row.id: (row.count, row.us) for row in shift.account().quality.rows("silent") if row.scope == DUTY
    }
    for duty in shift.duties:
        times = [micros(event["time"]) for event in shift.of(duty["devices"][0]["device_id"])]
        wanted = silences(times, micros(duty["start"]), micros(duty["end"]))
        assert found.get(duty["duty_id"], (0, 0)) == wanted


@many(40)
@given(chance=st.randoms(use_true_random=False))
def test_silences_by_day_are_those_of_a_recount(chance: random.Random) -> None:
    """Of each device and day: over midnights and clock changes, in duties that overlap, touch or are open."""
    days = some_days(chance)
    decoded = decode_positions(list(days.lines), None, limits=limits(Policies()))
    found = account(Facts(force(), decoded.fixes, list(days.duties), []), Policies(), until=days.until)
    told = {
        (row.id, row.day): (row.count, row.us) for row in found.quality.rows("silent") if row.scope == DEVICE
    }
    wanted = {}
    for name in {item.device_id for duty in found.duties if duty.counts for item in duty.devices}:
        fixes = decoded.fixes
        mine = [at for at, code in enumerate(fixes.device.tolist()) if fixes.device_ids[code] == name]
        booked: list[tuple[int, int | None]] = [
            (duty.start, duty.until)
            for duty in found.duties
            if duty.counts and name in {item.device_id for item in duty.devices}
        ]
        for day, silent in silences_by_day(fixes.time[mine].tolist(), booked, days.until).items():
            wanted[name, day] = silent
    assert told == wanted


@many(30)
@given(clean_shifts())
def test_the_time_that_devices_decided_is_that_of_the_slices(shift: Shift) -> None:
    """By duty and by device and day, the time that devices decided sums to that of their slices."""
    found = shift.account()
    rows = found.quality.rows("decided")
    sliced = found.slices.device >= 0
    total = int((found.slices.end - found.slices.start)[sliced].sum())
    for scope in (DUTY, DEVICE):
        assert sum(row.us or 0 for row in rows if row.scope == scope) == total
    assert all(0 < (row.us or 0) <= 25 * 3600 * SECOND for row in rows if row.scope == DEVICE)


@many(30)
@given(clean_shifts())
def test_quality_changes_no_figure(shift: Shift) -> None:
    """Figures are the same whether or not anything is known of receipts and rejects."""
    facts = shift.facts()
    without = Facts(facts.areas, facts.fixes, facts.duties, facts.states)
    assert account(facts, Policies()).figures == account(without, Policies()).figures


# ── One fault in a clean world is told by name ────────────────────────────────────────────────────────────


def told(found: Account, finding: str) -> list[QualityFinding]:
    """The findings of one kind; every other kind in a world with one fault follows from it."""
    return found.quality.rows(finding)


def ids_of(shift: Shift) -> list[str]:
    """The radios of a shift."""
    return [duty["devices"][0]["device_id"] for duty in shift.duties]


FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
SPOILED: dict[str, Callable[[str], str]] = {
    "zeros at the front": lambda name: f"00{name}",
    "blanks": lambda name: f"{name[:3]} {name[3:]} ",
    "'.0' at the end": lambda name: f"{name}.0",
    "punctuation": lambda name: f"'{name[:2]}-{name[2:]}",
    "full-width characters": lambda name: name.translate(FULL_WIDTH),
    "a number shown in scientific form": lambda name: f"{name[0]}.{name[1:]}E+6",
}
LETTERS: dict[str, Callable[[str], str]] = {
    "characters that look alike": lambda name: name.replace("A", "\u0410"),
    "upper and lower case": str.lower,
    "zeros inside": lambda name: name.replace("12", "0012"),
    "blanks": lambda name: f"\u00a0{name}",
}


@many(30)
@given(clean_shifts(), st.sampled_from(sorted(SPOILED)), st.booleans())
def test_a_device_under_a_nearly_equal_id_is_named(shift: Shift, kind: str, booking: bool) -> None:
    """A device that is booked under one id and heard under one that is nearly the same is told with both."""
    name = ids_of(shift)[0]
    spoiled = SPOILED[kind](name)
    changed = [shift.duties[0]["devices"][0]] if booking else shift.of(name)
    for item in changed:
        item["device_id"] = spoiled
    found = shift.account()
    booked, seen = (spoiled, name) if booking else (name, spoiled)
    assert [(row.id, row.detail) for row in told(found, "near_id")] == [(booked, seen)]
    assert [row.id for row in told(found, "never_heard")] == [shift.duties[0]["duty_id"], booked]
    [line] = [line for line in warnings(found.quality) if "nearly" in line or "differ in" in line]
    assert f"device {booked!r} of duty D1 was never heard, but {seen!r} was" in line
    assert f"differ in {kind}" in line
    assert bool(found.unmatched()) == (len(shift.duties) == 1)


@many(20)
@given(clean_shifts())
def test_a_device_heard_under_two_ids_is_named(shift: Shift) -> None:
    """A device that is sometimes heard without its zeros at the front is told as probably one device."""
    name = f"00{ids_of(shift)[0]}"
    mine = shift.of(ids_of(shift)[0])
    shift.duties[0]["devices"][0]["device_id"] = name
    for at, event in enumerate(mine):
        if at % 3:
            event["device_id"] = name
    found = shift.account()
    [row] = told(found, "near_id")
    assert (row.id, row.detail) == (name, name[2:])
    [line] = [line for line in warnings(found.quality) if "differ in" in line]
    assert line.startswith(f"device {name[2:]!r} was heard, which no duty names, but {name!r} is booked")
    assert found.unmatched() == []


@many(20)
@given(
    clean_shifts(),
    st.sampled_from(("zeros at the front", "blanks", "'.0' at the end", "full-width characters")),
)
def test_two_booked_devices_under_nearly_equal_ids_are_told(shift: Shift, kind: str) -> None:
    """Two devices, both booked and both heard, under ids that are nearly the same: whether they are one is
    asked, and no figure changes by it.
    """
    assume(len(shift.duties) > 1)
    name, other = ids_of(shift)[:2]
    spoiled = SPOILED[kind](name)
    for item in (*shift.of(other), shift.duties[1]["devices"][0]):
        item["device_id"] = spoiled
    found = shift.account()
    [row] = told(found, "two_ids")
    assert {row.id, row.detail} == {name, spoiled}
    assert told(found, "near_id") == []
    [line] = [line for line in warnings(found.quality) if "both booked and both heard" in line]
    assert f"differ in {kind}" in line
    assert "Are these two trackers, or one" in line


@many(100)
@given(st.integers(1, 9), st.data())
def test_ids_of_a_fleet_are_not_one_id_written_twice(length: int, data: st.DataObject) -> None:
    """Of a clean fleet, whose ids are as long as each other in one kind of letters, with or without
    punctuation, no two are told, also where it counts in O and 0, or I, L and 1.
    """
    codes = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-./", min_size=length, max_size=length)
    one = data.draw(codes)
    other = data.draw(codes | st.just(turned(one)))
    assert not written_twice(one, other) or one == other


def turned(code: str) -> str:
    """A code with each character that looks like another one turned into it."""
    return code.translate(str.maketrans("0O1ILB8", "O0LL1B8"))


def test_what_writes_an_id_twice() -> None:
    """Zeros at the front, case, blanks and a Cyrillic letter may be one tracker; the next number is not."""
    for other in ("12345", "0012345 ", "００12345"):
        assert written_twice("0012345", other) or other == "0012345"
    assert written_twice("FX12ABC", "fx12 abc")
    assert written_twice("FX12ABC", "FX12\u0410BC")
    for one, other in (
        ("12345", "12346"),
        ("1-23", "12-3"),
        ("LC01", "LC1"),
        ("CAR O", "CAR 0"),
        ("12", "120"),
    ):
        assert not written_twice(one, other)


@pytest.mark.parametrize("kind", sorted(LETTERS))
def test_letters_that_are_nearly_equal_are_named(kind: str) -> None:
    """Call signs that differ in case, alphabet or blanks have one skeleton, and the difference is said."""
    name = "FX12ABC"
    spoiled = LETTERS[kind](name)
    assert spoiled != name
    assert Lookup([spoiled, "FX12ABD"]).near(name) == [spoiled]
    assert difference(name, spoiled) == kind


@many(100)
@given(st.text(st.characters(codec="utf-8"), max_size=12), st.text("ABC0123", min_size=1, max_size=8))
def test_ids_that_are_nearly_the_same_are_so_both_ways(one: str, other: str) -> None:
    """Nearly the same is mutual, never the same id itself, and a skeleton is its own."""
    assert (one in Lookup([one]).near(other)) == (other in Lookup([other]).near(one))
    assert Lookup([one, other]).near(one) in ([], [other])
    assert skeleton(skeleton(other)) == skeleton(other)


@many(100)
@given(st.integers(1, 9_999_999), st.integers(1, 9_999_999))
def test_different_numbers_are_not_nearly_the_same(one: int, other: int) -> None:
    """Two different numbers are never taken for one."""
    assume(one != other)
    assert Lookup([str(one), f"0{one}"]).near(str(other)) == []


@many(30)
@given(
    clean_shifts(),
    st.integers(2, 56).flatmap(lambda n: st.sampled_from([n, -n])),
    st.integers(0, 2**32 - 1),
)
def test_a_clock_that_is_wrong_is_named(shift: Shift, quarters: int, seed: int) -> None:
    """A device whose clock is off by half an hour or more, either way, is told with by how much it is."""
    rng = np.random.default_rng(seed)
    offset = quarters * 900 * SECOND
    name = ids_of(shift)[0]
    mine = shift.of(name)
    for event in mine:
        sent = micros(event["time"])
        event["received"] = text(sent + int(rng.exponential(2.0) * SECOND))
        event["time"] = text(sent - offset)
    rows = told(shift.account(), "clock_offset")
    assert {row.id for row in rows} == {name}
    assert {row.detail for row in rows} == {offset_words(quarters * 900)}
    assert all(abs((row.us or 0) - offset) <= 120 * SECOND for row in rows)
    # A day with fewer than ten reports says nothing.
    assert len(mine) - 20 <= sum(row.count for row in rows) <= len(mine)


@many(20)
@given(clean_shifts(), st.integers(2, 8))
def test_a_clock_that_is_wrong_for_part_of_the_day_is_named(shift: Shift, hours: int) -> None:
    """A tracker that is off only for part of a shift is told too, with the reports that show it."""
    name = ids_of(shift)[0]
    mine = sorted(shift.of(name), key=lambda event: str(event["time"]))
    for event in mine[len(mine) // 2 :]:
        sent = micros(event["time"])
        event["time"] = text(sent - hours * 3600 * SECOND)
        event["received"] = text(sent + SECOND)
    rows = told(shift.account(), "clock_offset")
    assert {(row.id, row.detail) for row in rows} == {(name, f"{hours} hours behind")}


def test_reports_sent_on_after_a_silence_are_no_wrong_clock() -> None:
    """Reports kept through hours without signal and sent in one burst have no constant delay."""
    start = OPENINGS[2]
    for length in (1600, 1800, 3600, 7200, 20_000):
        for step in (5, 15, 60):
            times = [start + at * SECOND for at in range(0, length, step)]
            burst = start + length * SECOND
            events = [
                {"device_id": "R1", "time": text(time), "lon": -1.18, "lat": 52.61, "received": text(burst)}
                for time in times
            ]
            judged = decode_positions(as_lines(events), None, limits=LIMITS).judged
            assert clock_offsets(heard(judged)) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3600, "1 hour behind"),
        (3660, "1 hour behind"),
        (-19_800, "5 hours 30 minutes ahead"),
        (1800, "30 minutes behind"),
        (86_400 + 3600, "1 day 1 hour behind"),
        (2280, "38 minutes behind"),
    ],
)
def test_offsets_are_said_in_hours(seconds: int, words: str) -> None:
    """An offset near a quarter of an hour is said as such, any other to the minute."""
    assert offset_words(seconds) == words


MISTAKES = {
    "swapped_coordinates": lambda lon, lat: (lat, lon),
    "longitude_sign": lambda lon, lat: (-lon, lat),
    "latitude_sign": lambda lon, lat: (lon, -lat),
    "both_signs": lambda lon, lat: (-lon, -lat),
    "swapped_and_sign": lambda lon, lat: (lat, -lon),
}


@many(30)
@given(clean_shifts(), st.sampled_from(sorted(MISTAKES)), st.sampled_from([0.0, 0.3]))
def test_misplaced_positions_are_named(shift: Shift, mistake: str, after: float) -> None:
    """Coordinates exchanged or with a lost sign, always or from some time on, are told by what was done."""
    name = ids_of(shift)[0]
    mine = sorted(shift.of(name), key=lambda event: str(event["time"]))
    wrong = mine[int(after * len(mine)) :]
    first = wrong[0]["time"]
    wrong = [event for event in mine if event["time"] >= first]
    for event in wrong:
        event["lon"], event["lat"] = MISTAKES[mistake](event["lon"], event["lat"])
    found = shift.account()
    rows = [row for kind in MISTAKES for row in told(found, kind)]
    assert {(row.id, row.finding) for row in rows} == {(name, mistake)}
    assert sum(row.count for row in rows) == len({event["time"] for event in wrong})
    assert warnings(found.quality)[0].startswith(f"{sum(row.count for row in rows):,} position")
    nothing = len(shift.duties) == 1 and not after
    assert bool(found.unmatched()) == nothing
    if nothing:
        assert "no position lies within 5 km of any area" in found.unmatched()[0]


def journey(times: Sequence[int]) -> Shift:
    """An officer who drives as far east of Greenwich as the force lies west of it, and back."""
    shift = Shift(times[0], 8)
    out = np.linspace(-1.16, 1.16, len(times) // 2)
    for time, lon in zip(times, [*out, *out[::-1]], strict=False):
        shift.positions.append({"device_id": "R1", "time": text(time), "lon": float(lon), "lat": 52.61})
    shift.duties.append(
        {
            "duty_id": "D1",
            "revision": 1,
            "officer_id": "1001",
            "patch": ["E05001784"],
            "start": text(times[0]),
            "end": text(times[-1]),
            "devices": [{"device_id": "R1", "kind": "radio"}],
        }
    )
    return shift


DOUBTED: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "not valid": ("not_a_fix", lambda event: {"valid": False}),
    "outdated": ("not_a_fix", lambda event: {"valid": True, "outdated": "1"}),
    "a negative error": ("not_a_fix", lambda event: {"error_m": -1}),
    "Unix seconds": ("bad_value", lambda event: {"time": micros(event["time"]) // SECOND}),
    "a spreadsheet's days": ("bad_value", lambda event: {"time": micros(event["time"]) / 86_400e6 + 25_569}),
    "1,024 weeks early": (
        "too_old",
        lambda event: {"time": text(micros(event["time"]) - 1024 * 7 * 86_400 * SECOND)},
    ),
    "2,048 weeks early": (
        "bad_value",
        lambda event: {"time": text(micros(event["time"]) - 2048 * 7 * 86_400 * SECOND)},
    ),
    "0 and 0": ("zero_position", lambda event: {"lon": 0.0, "lat": 0}),
    "no coordinates": ("missing_field", lambda event: {"lon": None, "lat": None}),
    "blank coordinates": ("bad_value", lambda event: {"lon": "", "lat": ""}),
    "decimal commas": ("bad_value", lambda event: {"lat": str(event["lat"]).replace(".", ",")}),
    "an error in words": ("bad_value", lambda event: {"error_m": "n/a"}),
}
"""What is done to a report, and the reason for which it must be rejected."""


@many(40)
@given(clean_shifts(), st.sampled_from(sorted(DOUBTED)), st.integers(1, 40))
def test_unusable_reports_are_told_of_their_device(shift: Shift, kind: str, count: int) -> None:
    """Reports that the tracker doubts, or with times in other units, are told by device, reason and number.

    Nothing is told of any other device, and figures are those without these reports.
    """
    name, (reason, spoil) = ids_of(shift)[0], DOUBTED[kind]
    gone = set(sorted({event["time"] for event in shift.of(name)}, key=micros)[5 : 5 + count])
    wrong = [event for event in shift.of(name) if event["time"] in gone]
    others = replace(shift, positions=[event for event in shift.positions if event not in wrong])
    for event in wrong:
        event.update(spoil(event))
    found = shift.account()
    rows = told(found, "rejected")
    assert {(row.id, row.detail) for row in rows if row.scope == DEVICE} == {(name, reason)}
    assert sum(row.count for row in rows if row.scope == DEVICE) == len(wrong)
    assert found.figures == others.account().figures


@many(20)
@given(clean_shifts(), st.floats(1.0, 20.0))
def test_a_device_far_from_the_force_is_told(shift: Shift, degrees: float) -> None:
    """A device that reports from far north of all areas is told, and no other is."""
    name = ids_of(shift)[-1]
    for event in shift.of(name):
        event["lat"] += degrees
    found = shift.account()
    assert {row.id for row in told(found, "far_from_force")} == {name}
    [line] = [line for line in warnings(found.quality) if repr(name) in line and "km" in line]
    assert line


@pytest.mark.parametrize("every", [2, 3, 20])
def test_a_device_that_mostly_jumps_is_told(every: int) -> None:
    """Where over a quarter of a device's positions are ignored as jumps, that is said; of a few it is not."""
    shift = journey([OPENINGS[2] + at * SECOND for at in range(0, 7200, 30)])
    for at, event in enumerate(shift.positions):
        event["lon"] = -1.18 if at % every else -1.14
    found = shift.account()
    said = [line for line in warnings(found.quality) if "ignored as jumps" in line]
    assert len(said) == (every < 4)
    assert sum(row.count for row in told(found, "jump")) >= 10


def test_a_journey_is_not_a_lost_sign() -> None:
    """Somebody who drives to the mirrored place is only far away, however rarely the device reports."""
    start = OPENINGS[2]
    for step in (60, 600, 3600):
        found = journey([start + at * SECOND for at in range(0, 8 * 3600, step)]).account()
        assert told(found, "longitude_sign") == []
        assert told(found, "far_from_force") != []


@many(20)
@given(clean_shifts(), st.sampled_from(["open", "long", "twice", "no device", "unknown device", "silent"]))
def test_a_wrong_booking_is_named(shift: Shift, kind: str) -> None:
    """Duties that are open, too long, overlap, or name no device or one that was not heard, are told."""
    duty = shift.duties[0]
    start = micros(duty["start"])
    hours = 3600 * SECOND
    match kind:
        case "open":
            duty["end"] = None
            shift.duties.append(
                {**duty, "duty_id": "D9", "officer_id": "1009", "start": text(start + 20 * hours),
                 "end": text(start + 28 * hours), "patch": []}
            )  # fmt: skip
            wanted = ("open_duty", "D1")
        case "long":
            duty["end"] = text(start + 8 * 24 * hours)
            wanted = ("too_long_duty", "D1")
        case "twice":
            shift.duties.append({**duty, "duty_id": "D9", "start": text(start + hours)})
            wanted = ("overlapping_duties", "1001")
        case "no device":
            duty["devices"] = []
            wanted = ("no_device", "D1")
        case "unknown device":
            duty["devices"] = [{"device_id": "ABC", "kind": "radio"}]
            wanted = ("never_heard", "ABC")
        case _:
            shift.positions = [e for e in shift.positions if e["device_id"] != ids_of(shift)[0]]
            shift.positions.append(
                {"device_id": ids_of(shift)[0], "time": text(start - 2 * hours), "lon": -1.18, "lat": 52.61}
            )
            wanted = ("never_heard", "D1")
    found = shift.account()
    rows = told(found, wanted[0])
    assert wanted[1] in {row.id for row in rows}
    if wanted[0] == "overlapping_duties":
        assert [(row.us, row.detail) for row in rows] == [((shift.hours - 1) * hours, "D1;D9")]
    assert any(repr(wanted[1]) in line or f" {wanted[1]} " in line for line in warnings(found.quality))


@many(20)
@given(clean_shifts(), st.sampled_from(["0E05001784", "E5001784", "e05001784", "Westmere", "E99999999"]))
def test_an_unknown_patch_is_named_with_the_one_that_was_meant(shift: Shift, patch: str) -> None:
    """A patch that no boundary knows is told first, with the neighbourhood meant and the figures concerned.

    Meant is the one of nearly that id, or of that name.
    """
    for duty in shift.duties:
        duty["patch"] = [patch]
    found = shift.account()
    [row] = [row for row in told(found, "unknown_patch") if row.scope == PATCH]
    assert (row.id, row.count) == (patch, len(shift.duties))
    assert row.detail == ("" if patch == "E99999999" else "E05001784")
    officers = {duty["officer_id"] for duty in shift.duties}
    assert {row.id for row in told(found, "unknown_patch") if row.scope == OFFICER} == officers
    first = warnings(found.quality)[0]
    assert first.startswith(f"no area file has the neighbourhood {patch}, the patch of")
    assert f"the figures of {patch}, of officer" in first
    assert all(repr(officer) in first for officer in officers)


@many(20)
@given(clean_shifts(), st.data())
def test_a_patch_that_is_no_longer_in_force_is_told_of_each_duty(shift: Shift, data: st.DataObject) -> None:
    """Where new boundaries no longer have a duty's patch, how much of the duty that concerns is told."""
    facts = shift.facts()
    ends = [duty.end or duty.start for duty in facts.duties]
    at = data.draw(st.integers(min(duty.start for duty in facts.duties) - 1, max(ends) + 1))
    renamed = AreaSet.of(
        replace(area, area_id=f"{area.area_id}-27") for area in force().only(Kind.NEIGHBOURHOOD).areas()
    )
    found = account(replace(facts, later=((at, renamed),)), Policies(), until=max(ends))
    lost = {
        (duty.duty_id, area): (duty.end or 0) - max(duty.start, at)
        for duty in facts.duties
        for area in duty.patch
        if (duty.end or 0) > at
    }
    rows = told(found, "patch_not_in_force")
    assert {(row.id, row.detail): row.us for row in rows} == lost
    assert not told(found, "unknown_patch")
    assert bool(lost) == any(
        "is not among the boundaries in force" in line for line in warnings(found.quality)
    )
    assert not told(shift.account(), "patch_not_in_force")


@many(20)
@given(clean_shifts(), st.sampled_from(["E5001784", "Westmere", "E99999999"]), st.booleans())
def test_patches_that_no_boundary_knows_give_no_figure(shift: Shift, patch: str, spare: bool) -> None:
    """There is no figure exactly where not one duty has a patch in the boundaries, and the reason is said."""
    for duty in shift.duties:
        duty["patch"] = [patch, "E05001785"] if spare else [patch]
    why = shift.account().unmatched()
    assert bool(why) is not spare
    if why:
        assert why[0].endswith("no duty's patch is a neighbourhood of the boundaries given")
        assert f"The patches are {patch!r}; the neighbourhoods are 'E05001784', 'E05001785'." in why
        assert any("is E05001784 meant?" in line for line in why) is (patch != "E99999999")


@many(20)
@given(clean_shifts(), st.sampled_from(["01001", "9999"]))
def test_states_of_an_officer_without_a_duty_are_named(shift: Shift, officer: str) -> None:
    """States of an officer who has no duty are told, with the officer who was probably meant."""
    shift.states += [{"officer_id": officer, "time": text(shift.start), "state": 4}] * 2
    found = shift.account()
    [row] = told(found, "state_without_duty")
    assert (row.id, row.count, row.detail) == (officer, 1, "1001" if officer == "01001" else "")
    assert any(f"officer {officer!r}, who has no duty" in line for line in warnings(found.quality))


@many(20)
@given(clean_shifts(), st.data())
def test_a_device_of_a_duty_yet_to_begin_is_no_stranger(shift: Shift, data: st.DataObject) -> None:
    """Counted up to any time, no device is said to be in no duty that a duty of another time names."""
    facts = shift.facts()
    until = data.draw(st.integers(0, max(duty.end or duty.start for duty in facts.duties)))
    found = account(facts, Policies(), until=until)
    assert not told(found, "not_booked")


@many(20)
@given(clean_shifts(), st.integers(1, 30))
def test_a_device_that_no_duty_names_is_named(shift: Shift, count: int) -> None:
    """A device that was heard and is in no booking is told with how much was heard of it."""
    shift.positions += [
        {"device_id": "SPARE", "time": text(shift.start + at * SECOND), "lon": -1.18, "lat": 52.61}
        for at in range(count)
    ]
    found = shift.account()
    assert [(row.id, row.count) for row in told(found, "not_booked")] == [("SPARE", count)]
    assert any("'SPARE', which no duty names" in line for line in warnings(found.quality))


@many(30)
@given(clean_shifts(), st.sampled_from(sorted(DOUBTED)))
def test_a_device_of_which_nothing_can_be_used_is_named(shift: Shift, kind: str) -> None:
    """A device that was heard, but never with a usable position, is told apart from one never heard."""
    assume(len(shift.duties) > 1)
    mine, (reason, spoil) = shift.of(ids_of(shift)[0]), DOUBTED[kind]
    for event in mine:
        event.update(spoil(event))
    found = shift.account()
    [row] = told(found, "none_usable")
    assert (row.count, row.detail) == (len(mine), f"{len(mine)} {reason}")
    assert ids_of(shift)[0] not in {item.id for item in told(found, "never_heard")}


@many(30)
@given(
    clean_shifts(),
    st.sampled_from(["frozen", "two_devices"]),
    st.booleans(),
    st.integers(-6, 6).map(lambda n: n * 3600),
)
def test_a_device_that_contradicts_itself_is_named(
    shift: Shift, kind: str, booked: bool, moved_s: int
) -> None:
    """A frozen device, or two under one id, are told by day with their time, whoever the time belongs to.

    Also where no duty names the device, so that no share depends on it.
    """
    name = ids_of(shift)[0] if booked else "SPARE"
    shift.positions = [event for event in shift.positions if event["device_id"] != name]
    start = shift.start + moved_s * SECOND
    minutes = 300
    for at in range(minutes + 1):
        away = 0.03 * (at % 2) if kind == "two_devices" else 0.0
        shift.positions.append(
            {
                "device_id": name,
                "time": text(start + at * 10 * SECOND),
                "lon": -1.18 + away,
                "lat": 52.61,
                "speed_mps": 9.0,
            }
        )
    found = shift.account()
    rows = told(found, kind)
    assert {row.id for row in rows} == {name}
    days = [row.day for row in rows]
    assert days == sorted({str(local_day(start + at * 10 * SECOND)) for at in (1, minutes - 1)})
    total = sum(row.us or 0 for row in rows)
    whole = minutes * 10 * SECOND
    assert total == whole if kind == "frozen" else whole - 60 * SECOND <= total <= whole
    if kind == "frozen":
        assert rows[0].detail.startswith(f"{rfc3339(start)}/")
        assert rows[-1].detail.endswith(f"/{rfc3339(start + whole)}")
    [line] = [
        line
        for line in warnings(found.quality)
        if line.startswith(f"device {name!r} ") and "Have the" in line
    ]
    assert ("repeats one position" in line) is (kind == "frozen")


@many(30)
@given(clean_shifts(), *[st.booleans()] * 4)
def test_a_duty_that_a_shared_vehicle_decides_is_named(
    shift: Shift, silent: bool, shared: bool, driving: bool, later: bool
) -> None:
    """A duty is told exactly where its radio was silent and a vehicle that others held decides all of it."""
    [first, *_] = shift.duties
    start, end = micros(first["start"]), micros(first["end"])
    if silent:
        shift.positions = [e for e in shift.positions if e["device_id"] != ids_of(shift)[0]]
    if driving:
        first["devices"].append({"device_id": "V1", "kind": "vehicle"})
        shift.positions += [
            {"device_id": "V1", "time": text(at), "lon": -1.18, "lat": 52.61}
            for at in range(start, end, 60 * SECOND)
        ]
    if shared:
        held = {"device_id": "V1", "kind": "vehicle"}
        moved = end - start if later else 0
        times = {"start": text(start + moved), "end": text(end + moved)}
        shift.duties.append({**first, **times, "duty_id": "D9", "officer_id": "9999", "devices": [held]})
    found = shift.account()
    rows = told(found, "carried_by_vehicle")
    if not (silent and shared and driving and not later):
        assert rows == []
        return
    [row] = rows
    assert (row.scope, row.id, row.count, row.detail) == (DUTY, "D1", 1, "1001;V1")
    assert row.us == sum(item.us or 0 for item in told(found, "decided") if item.id == "D1")
    [line] = [line for line in warnings(found.quality) if "'V1'" in line]
    assert line.startswith(
        "the radio of officer '1001' was not heard during duty 'D1'; all of its known time ("
    )
    assert "is that of vehicle 'V1', which 1 other officer held too" in line


def test_a_radio_that_is_never_booked_after_all_carries_nothing() -> None:
    """A radio of a cancelled duty, or allocated outside its duty, is no booked radio that was silent."""
    shift = journey([OPENINGS[2] + at * SECOND for at in range(0, 3600, 60)])
    [duty] = shift.duties
    before = text(shift.start - 3600 * SECOND)
    outside = {"device_id": "R7", "kind": "radio", "start": before, "end": text(shift.start)}
    vehicle = {"device_id": "R1", "kind": "vehicle"}
    shift.duties += [
        {**duty, "duty_id": "D7", "officer_id": "7", "devices": [outside, vehicle]},
        {
            **duty,
            "duty_id": "D8",
            "officer_id": "8",
            "cancelled": True,
            "devices": [{**outside, "device_id": "R8"}],
        },
    ]
    assert told(shift.account(), "carried_by_vehicle") == []


def test_many_of_a_kind_are_one_line() -> None:
    """Of many findings of one kind a few are told, then how many more there are."""
    shift = journey([OPENINGS[2] + at * SECOND for at in range(0, 3600, 60)])
    shift.duties += [
        {**shift.duties[0], "duty_id": f"X{n}", "officer_id": f"{n}", "devices": []} for n in range(99)
    ]
    [line] = [line for line in warnings(shift.account().quality) if "names no device" in line]
    assert line.count("names no device") == 3
    assert "; and 96 more in quality.csv. " in line


# ── Where nothing matches there is no figure ──────────────────────────────────────────────────────────────


@many(20)
@given(clean_shifts(), st.integers(3, 300).flatmap(lambda n: st.sampled_from([n, -n])))
def test_positions_of_other_days_give_no_figure(shift: Shift, days: int) -> None:
    """Where the positions' days are not the duties' days, that is the reason, and both are said."""
    for event in shift.positions:
        event["time"] = text(micros(event["time"]) + days * 86_400 * SECOND)
        event.pop("received")
    why = shift.account().unmatched()
    assert "no position lies within a duty" in why[0]
    assert why[1].startswith("The positions are of ")
    assert "the duties of" in why[1]


@pytest.mark.parametrize("quarters", [-32, -18, -10, 10, 22, 32])
def test_positions_of_other_hours_give_no_figure(quarters: int) -> None:
    """Where only the hours differ, the hours by which the clocks are off are named."""
    offset = quarters * 900 * SECOND
    start = micros("2026-11-23T12:00:00+00:00")
    shift = journey([start + at * SECOND for at in range(0, 7200, 60)])
    for event in shift.positions:
        event["time"] = text(micros(event["time"]) - offset)
    why = shift.account().unmatched()
    assert "no position lies within a duty" in why[0]
    assert f"are {offset_words(quarters * 900)}, 119 of 120 positions" in why[1]


@many(30)
@given(clean_shifts())
def test_devices_that_no_duty_names_give_no_figure(shift: Shift) -> None:
    """Where no device that a duty names was heard, that is the reason, with what is named and heard."""
    for event in shift.positions:
        event["device_id"] = f"X{event['device_id']}"
    why = shift.account().unmatched()
    assert "no device that a duty names was heard" in why[0]
    assert "'2345671'" in why[1]
    assert "'X2345671'" in why[1]


@many(20)
@given(clean_shifts(), st.sampled_from(["Westmere", "E05001784|E05001785", " e05001784", "E99999999"]))
def test_patches_that_no_boundary_has_give_no_figure(shift: Shift, patch: str) -> None:
    """Where no patch is among the areas nothing can be on patch, which says nothing about the officers."""
    for duty in shift.duties:
        duty["patch"] = [patch]
    why = shift.account().unmatched()
    assert "no duty's patch is a neighbourhood of the boundaries given" in why[0]
    assert repr(patch) in why[1]
    assert "'E05001784'" in why[1]


def test_one_patch_that_is_among_the_areas_is_enough_for_a_figure() -> None:
    """A patch that nobody knows beside one that is known is a finding, and no reason for no figure."""
    shift = journey([OPENINGS[2] + at * SECOND for at in range(0, 3600, 60)])
    shift.duties.append({**shift.duties[0], "duty_id": "D2", "officer_id": "1002", "patch": ["E99999999"]})
    assert shift.account().unmatched() == []


@many(20)
@given(clean_shifts(), st.integers(1, 400), st.booleans())
def test_allocations_outside_of_their_duties_give_no_figure(shift: Shift, hours: int, other: bool) -> None:
    """Where devices are allocated when their officers are not on duty, that is the cause, and it is said."""
    for duty in shift.duties:
        end = micros(duty["end"]) + hours * 3600 * SECOND
        for device in duty["devices"]:
            device |= {"start": text(end), "end": text(end + 3600 * SECOND)}
        if other:
            duty["devices"].append({"device_id": f"N{duty['duty_id']}", "kind": "radio"})
    why = shift.account().unmatched()
    assert "no position lies within a duty" in why[0]
    assert "allocated outside of their duties" in why[1]


def test_day_and_month_exchanged_are_a_likely_cause() -> None:
    """Positions of 4 March beside duties of 3 April: the dates were read the other way round."""
    shift = journey([micros("2026-04-03T08:00:00+00:00") + at * SECOND for at in range(0, 3600, 60)])
    for event in shift.positions:
        event["time"] = event["time"].replace("2026-04-03", "2026-03-04")
    assert any("day and month exchanged" in line for line in shift.account().unmatched())


def test_every_reason_fits_the_columns() -> None:
    """Findings, scopes and reasons are few enough for the small numbers that stand for them."""
    assert len(FINDINGS) == len(set(FINDINGS)) < 128
    assert len(REASONS) < 128
