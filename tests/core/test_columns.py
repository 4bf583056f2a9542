"""The small tools over sorted columns, against plain loops."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.columns import changes, coalesce, in_time_order, offsets, ranges, search

SMALL = st.integers(-6, 12)


def column(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A column of whole numbers."""
    return np.array(values, np.int64)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=8))
def test_ranges_are_pythons_own(bounds: list[tuple[int, int]]) -> None:
    """Every integer of every range in order, with its range; one that ends before it starts is empty."""
    row, value = ranges(column([low for low, _ in bounds]), column([high for _, high in bounds]))
    expected = [(at, item) for at, (low, high) in enumerate(bounds) for item in range(low, high)]
    assert list(zip(row.tolist(), value.tolist(), strict=True)) == expected


LARGE = st.one_of(SMALL, st.sampled_from((-(2**62), 2**62, 1_795_420_800_000_000)))


@given(st.lists(st.tuples(st.one_of(SMALL, st.just(2**31 - 1)), LARGE), max_size=12))
def test_the_order_by_key_and_time_is_a_stable_sort(rows: list[tuple[int, int]]) -> None:
    """However far keys and times reach, rows come by key, then by time, equal ones as they stood."""
    found = in_time_order(column([key for key, _ in rows]), column([time for _, time in rows]))
    assert found.tolist() == sorted(range(len(rows)), key=rows.__getitem__)


@given(st.lists(st.integers(0, 6), max_size=20).map(sorted))
def test_offsets_say_where_each_group_starts(group: list[int]) -> None:
    """The rows between two offsets are those of the group, empty groups among them."""
    bounds = offsets(column(group), 7).tolist()
    assert len(bounds) == 8
    for number in range(7):
        assert group[bounds[number] : bounds[number + 1]] == [item for item in group if item == number]


@given(
    st.lists(st.lists(SMALL, max_size=6).map(sorted), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), SMALL), max_size=10),
    st.booleans(),
)
def test_search_is_searchsorted_in_every_slice(
    parts: list[list[int]], wanted: list[tuple[int, int]], right: bool
) -> None:
    """Each value is looked up in its own sorted slice and in no other."""
    values = column([item for part in parts for item in part])
    start = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    asked = [(number % len(parts), value) for number, value in wanted]
    found = search(
        values,
        column([start[number] for number, _ in asked]),
        column([start[number + 1] for number, _ in asked]),
        column([value for _, value in asked]),
        right=right,
    )
    side = "right" if right else "left"
    assert found.tolist() == [
        start[number] + int(np.searchsorted(parts[number], value, side=side))  # type: ignore[call-overload]
        for number, value in asked
    ]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12))
def test_changes_mark_the_first_row_of_each_run(rows: list[tuple[int, int]]) -> None:
    """A row is marked where it differs from the one before it in any column."""
    found = changes(column([a for a, _ in rows]), column([b for _, b in rows]))
    assert found.tolist() == [at == 0 or rows[at] != rows[at - 1] for at in range(len(rows))]


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 3), st.integers(0, 4)), max_size=9
    )
)
def test_coalesce_joins_what_touches_and_is_alike(steps: list[tuple[int, int, int, int]]) -> None:
    """Second by second the joined intervals say what the given ones said, and no two could be joined."""
    rows, clock = [], {0: 0, 1: 0}
    for owner, kind, gap, length in sorted(steps, key=lambda step: step[0]):
        begin = clock[owner] + gap // 2
        clock[owner] = begin + length
        rows.append((owner, kind, begin, begin + length))
    keys, values, starts, ends = (column([row[number] for row in rows]) for number in range(4))
    at, start, end = coalesce(starts, ends, [keys, values])
    said = {(k, t): v for k, v, low, high in rows for t in range(low, high)}
    joined = list(zip(keys[at].tolist(), values[at].tolist(), start.tolist(), end.tolist(), strict=True))
    assert {(k, t): v for k, v, low, high in joined for t in range(low, high)} == said
    runs = groupby(sorted((k, t) for k, t in said), lambda item: (item[0], said[item]))
    expected = 0
    for _, run in runs:
        seconds = [t for _, t in run]
        expected += 1 + sum(1 for one, two in pairwise(seconds) if two != one + 1)
    assert len(joined) == expected
