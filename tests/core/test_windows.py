"""A stretch counted anew and put into the rest equals the whole counted anew."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core.columns import offsets
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, Policies
from stream.core.stays import (
    Stays,
    distance_m,
    impossible,
    in_order,
    jumps,
    legs_to_stays,
    lost_legs,
    perhaps_faster,
    stays,
    take,
)
from stream.core.windows import difference, rejudged, splice, widened
from tests.strategies import BINARY, areas, fix_columns, flickers, many, tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.core.facts import Fixes
    from stream.core.windows import Rows

Batch: TypeAlias = "tuple[Fixes, NDArray[np.bool_], AreaHistory, int]"

OPENING = 1_795_420_800_000_000
POLICIES = Policies()


def rows_of(found: Stays) -> Rows:
    """Stays as rows."""
    return (found.device.astype(np.int64), found.start, found.end, found.place)


def listed(rows: Rows) -> list[tuple[Any, ...]]:
    """Rows as tuples."""
    return list(zip(*(column.tolist() for column in rows), strict=True))


def table(rows: list[tuple[int, int, int, int]]) -> Rows:
    """Tuples as rows in order."""
    found = np.array(sorted(rows), np.int64).reshape(-1, 4)
    return tuple(found[:, number].copy() for number in range(4))


@st.composite
def tilings(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Up to three keys with intervals of 0 to 20 that do not overlap; alike ones may touch."""
    rows = []
    for key in range(3):
        marks = sorted(draw(st.sets(st.integers(0, 20), max_size=7)))
        for low, high in pairwise(marks):
            if draw(st.booleans()) or draw(st.booleans()):
                rows.append((key, low, high, draw(st.integers(0, 1))))
    return rows


def instants(rows: Rows) -> dict[tuple[int, int], int]:
    """What holds at each whole instant."""
    return {
        (key, time): value for key, low, high, value in listed(rows) for time in range(int(low), int(high))
    }


@given(
    tilings(), tilings(), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=3)
)
def test_splice_replaces_the_window_and_nothing_else(
    old: list[tuple[int, int, int, int]],
    new: list[tuple[int, int, int, int]],
    windows: list[tuple[int, int]],
) -> None:
    """Instant by instant: within a key's window the new rows hold, outside it the old ones."""
    low = np.array([min(pair) for pair in windows], np.int64)
    high = np.array([max(pair) for pair in windows], np.int64)
    inside = [(k, max(a, int(low[k])), min(b, int(high[k])), v) for k, a, b, v in new]
    found = splice(table(old), table([row for row in inside if row[1] < row[2]]), low, high)

    before, after = instants(table(old)), instants(table(new))
    expected = {}
    for key in range(3):
        for time in range(21):
            source = after if low[key] <= time < high[key] else before
            if (key, time) in source:
                expected[key, time] = source[key, time]
    assert instants(found) == expected
    rows = listed(found)
    assert rows == sorted(rows)
    for one, two in pairwise(rows):
        assert one[0] != two[0] or one[2] < two[1] or (one[2] == two[1] and one[3] != two[3])


@given(tilings(), tilings())
def test_difference_is_that_of_two_sets(
    old: list[tuple[int, int, int, int]], new: list[tuple[int, int, int, int]]
) -> None:
    """Rows gone are those of the old table that the new one lacks; rows added the other way round."""
    before, after = table(old), table(new)
    gone, added = difference(before, after)
    assert {row for row, out in zip(listed(before), gone.tolist(), strict=True) if out} == set(old) - set(new)
    assert {row for row, out in zip(listed(after), added.tolist(), strict=True) if out} == set(new) - set(old)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Fixes of two devices in order, which of them are late, the areas, and the neighbours loaded."""
    found = [
        fix
        for device in ("R1", "V1")
        for fix in draw(st.one_of(tracks(device, OPENING, BINARY, 14), flickers(device, OPENING)))
    ]
    fixes = in_order(fix_columns(found))
    late = np.array(draw(st.lists(st.booleans(), min_size=len(fixes), max_size=len(fixes))), np.bool_)
    rare = np.array(draw(st.lists(st.booleans(), min_size=len(fixes), max_size=len(fixes))), np.bool_)
    history = AreaHistory(
        [(BEGINNING, AreaSet.of(Area(Kind(kind), name, name, shape) for kind, name, shape in draw(areas())))]
    )
    return fixes, late & rare, history, draw(st.sampled_from((0, 1, 2, 3, 4, 5, 8, 12, 30)))


@many(150)
@given(batches())
def test_counting_the_window_anew_is_counting_all_anew(
    batch: Batch,
) -> None:
    """Late fixes among a few neighbours: unless more are asked for, splicing gives the stays of all."""
    fixes, late, history, neighbours = batch
    old, whole = stays(take(fixes, ~late), history, POLICIES), stays(fixes, history, POLICIES)
    for device in np.unique(fixes.device[late]).tolist():
        own = np.flatnonzero(fixes.device == device)
        changed = np.flatnonzero(late[own])
        first, last = max(changed[0] - neighbours, 0), min(changed[-1] + neighbours, len(own) - 1)
        near = own[first : last + 1]
        part = take(fixes, near)
        ignored = jumps(part, POLICIES)
        bounds = np.array([0, len(near)], np.int64)
        more_before, more_after = np.array([first > 0]), np.array([last < len(own) - 1])
        window = rejudged(bounds, part.time, ignored, late[near], more_before, more_after)
        kept = take(part, ~ignored)
        lost = lost_legs(kept, POLICIES)
        earlier = take(part, ~late[near])
        driven = not (
            impossible(kept, POLICIES).any()
            or impossible(take(earlier, ~jumps(earlier, POLICIES)), POLICIES).any()
        )
        if not driven:
            window = widened(
                window, bounds, part.time, ignored, more_before, more_after, np.array([True]), 300 * SECOND
            )
        if window.short[0]:
            # More neighbours are asked for, and there are more.
            assert first > 0 or last < len(own) - 1
            assert neighbours < 4 or ignored.any() or not driven
            continue
        event("counted anew" if driven else "counted anew among legs that nobody drove")
        rows = np.arange(window.first[0], window.last[0] + 1)
        rows = rows[~ignored[rows]]
        leg = (np.cumsum(~ignored) - 1)[rows[:-1]]
        new = legs_to_stays(take(part, rows), history, POLICIES, lost[leg])
        renamed = (np.zeros(len(new), np.int64), new.start, new.end, new.place)
        mine, wanted = old.device == device, whole.device == device
        before = (np.zeros(int(mine.sum()), np.int64), *(column[mine] for column in rows_of(old)[1:]))
        after = (np.zeros(int(wanted.sum()), np.int64), *(column[wanted] for column in rows_of(whole)[1:]))
        assert listed(splice(before, renamed, window.low, window.high)) == listed(after)


@many(150)
@given(batches(), st.sampled_from((0.0, 0.5, 15.0, 70.0)), st.integers(1, 4))
def test_no_leg_too_fast_is_passed_over(batch: Batch, limit_mps: float, block: int) -> None:
    """Legs that are too fast are found at the seams of blocks too, and never between two devices."""
    fixes, *_ = batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream.core.stays._BLOCK", block)
        found = perhaps_faster(fixes, limit_mps)
    same = fixes.device[1:] == fixes.device[:-1]
    length = distance_m(fixes.lon[:-1], fixes.lat[:-1], fixes.lon[1:], fixes.lat[1:])
    assert not (same & (length > limit_mps * np.diff(fixes.time) / SECOND) & ~found).any()
    assert not (found & ~same).any()
    assert found.tolist() == perhaps_faster(fixes, limit_mps).tolist()


@many(150)
@given(batches())
def test_where_no_leg_is_too_fast_none_was_before_the_late_fixes(batch: Batch) -> None:
    """Devices with an impossible leg among the fixes that are not late have one that may be, with them."""
    fixes, late, *_ = batch
    earlier = take(fixes, ~late)
    kept = take(earlier, ~jumps(earlier, POLICIES))
    had = set(kept.device[:-1][impossible(kept, POLICIES)].tolist())
    event("had one" if had else "had none")
    assert had <= set(fixes.device[:-1][perhaps_faster(fixes, POLICIES.policies[0].jump_speed_mps)].tolist())


@many(200)
@given(st.data())
def test_no_more_is_counted_anew_than_needs_be(data: st.DataObject) -> None:
    """A window reaches to the nearest fix two places off that surely is no jump, and no farther."""
    lengths = data.draw(st.lists(st.integers(1, 14), min_size=1, max_size=3))
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    size = int(bounds[-1])
    flags = st.lists(st.booleans(), min_size=size, max_size=size)
    ignored, changed = (np.array(data.draw(flags), np.bool_) for _ in range(2))
    changed &= np.array(data.draw(flags), np.bool_)
    changed[[data.draw(st.integers(low, high - 1)) for low, high in pairwise(bounds.tolist())]] = True
    more = st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths))
    before, after = (np.array(data.draw(more), np.bool_) for _ in range(2))
    time = np.arange(size, dtype=np.int64) * 10
    found = rejudged(bounds, time, ignored, changed, before, after)
    for track, (low, high) in enumerate(pairwise(bounds.tolist())):
        own = [row for row in range(low, high) if changed[row]]
        sound = [row for row in range(low, high) if not ignored[row]]
        left = [row for row in sound if row <= own[0] - 2 and not (row == low and before[track])]
        right = [row for row in sound if row >= own[-1] + 2 and not (row == high - 1 and after[track])]
        assert found.first[track] == max(left, default=low)
        assert found.last[track] == min(right, default=high - 1)
        assert found.low[track] == time[found.first[track]]
        assert found.high[track] == time[found.last[track]]
        assert bool(found.short[track]) is bool((not left and before[track]) or (not right and after[track]))


def test_a_batch_of_no_tracks_has_no_windows() -> None:
    """Nothing in, nothing out."""
    nothing, none = np.empty(0, np.int64), np.empty(0, np.bool_)
    window = rejudged(offsets(nothing, 0), nothing, none, none, none, none)
    assert len(window.first) == len(window.low) == len(window.short) == 0


def test_the_window_of_the_only_fixes_is_the_whole_track() -> None:
    """Where all fixes are at hand and few, everything is counted anew, from the first to the last."""
    time = np.arange(3, dtype=np.int64)
    window = rejudged(
        np.array([0, 3], np.int64),
        time,
        np.zeros(3, np.bool_),
        np.array([False, True, False]),
        np.zeros(1, np.bool_),
        np.zeros(1, np.bool_),
    )
    assert (window.low[0], window.high[0]) == (time[0], time[2])
    assert (window.first[0], window.last[0]) == (0, 2)


@pytest.mark.parametrize(
    ("more_before", "more_after"), [(True, False), (False, True), (True, True), (False, False)]
)
def test_the_outermost_fix_at_hand_is_not_trusted(more_before: bool, more_after: bool) -> None:
    """Whether the first or last fix at hand is a jump, only one beyond it could tell: more are asked for."""
    time = np.arange(5, dtype=np.int64)
    window = rejudged(
        np.array([0, 5], np.int64),
        time,
        np.zeros(5, np.bool_),
        np.array([False, False, True, False, False]),
        np.array([more_before]),
        np.array([more_after]),
    )
    assert bool(window.short[0]) is (more_before or more_after)
    if not window.short[0]:
        assert (window.low[0], window.high[0]) == (time[0], time[4])


@many(20)
@given(st.integers(0, 2**32 - 1), st.floats(1, 60))
def test_noise_of_a_report_a_second_loses_only_the_legs_that_are_too_fast(seed: int, noise_m: float) -> None:
    """A standing receiver's error, anew each second, makes legs too fast; between them it is known (4a)."""
    north, east = np.random.default_rng(seed).normal(0, noise_m, (2, 600))
    fixes = fix_columns(
        [
            ("R1", OPENING + second * SECOND, -1.13 + x / 67_700, 52.63 + y / 111_195, None)
            for second, (x, y) in enumerate(zip(east.tolist(), north.tolist(), strict=True))
        ]
    )
    kept = take(fixes, ~jumps(fixes, POLICIES))
    lost = lost_legs(kept, POLICIES)
    event(f"{'some' if lost.any() else 'no'} legs are too fast")
    assert np.array_equal(lost, impossible(kept, POLICIES))
