"""Runs of fixes as bytes: whatever the values, what comes out is what went in, to the last bit."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.store.packed import RunError, Runs, pack, unpack
from tests.hostile import HOSTILE, hostile_columns
from tests.strategies import many

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR = 3_600_000_000


def same(one: list[NDArray[Any]], other: list[NDArray[Any]]) -> bool:
    """Whether columns are equal to the last bit."""
    return [column.tobytes() for column in one] == [column.tobytes() for column in other]


@many(100)
@given(columns=hostile_columns(), data=st.data())
def test_what_comes_out_is_what_went_in(columns: list[NDArray[Any]], data: st.DataObject) -> None:
    """Any values, cut into any runs, are the same to the last bit when they are unpacked."""
    count = len(columns[0])
    cuts = data.draw(st.sets(st.integers(1, max(count - 1, 1)))) if count else set()
    bounds = np.array(sorted({0, count, *(cut for cut in cuts if cut < count)}), np.int64)
    runs = pack(columns, bounds if count else np.zeros(1, np.int64))
    assert runs.count.tolist() == np.diff(bounds).tolist() if count else not len(runs)
    assert same(unpack(runs), columns)
    # As a database gives them: each by itself, in any order.
    ends = runs.ends.tolist()
    pieces = [runs.data[low:high].tobytes() for low, high in itertools.pairwise(ends)]
    for number, piece in enumerate(pieces):
        alone = unpack(Runs.of([int(runs.at[number])], [int(runs.count[number])], [piece]))
        assert same(alone, [column[bounds[number] : bounds[number + 1]] for column in columns])


@pytest.mark.parametrize("count", [1, 2, 16, 17, 18, 33, 100_000])
def test_a_run_has_any_length(count: int) -> None:
    """One fix, some, and a hundred thousand within an hour come out as they went in."""
    chance = np.random.default_rng(count)
    time = 1_795_000_000_000_000 // HOUR * HOUR + np.sort(chance.choice(HOUR, count, replace=False))
    degrees = np.round(chance.uniform(-180, 180, (2, count)), 7)
    error = np.where(chance.random(count) < 0.1, np.nan, np.round(chance.uniform(1, 200, count)))
    small = chance.uniform(0, 40, (2, count)).astype(np.float32)
    columns = [time, *degrees, error, *small]
    assert same(unpack(pack(columns, np.array([0, count], np.int64))), columns)


def test_each_hostile_value_alone_and_among_others_comes_out() -> None:
    """No value spoils itself or its neighbours, in any column."""
    for value in HOSTILE:
        for at in range(1, 6):
            columns: list[NDArray[Any]] = [np.arange(40, dtype=np.int64) * 5_000_000]
            columns += [np.full(40, 52.1234567) for _ in range(3)] + [np.full(40, 1.5, np.float32)] * 2
            columns[at] = columns[at].copy()
            with np.errstate(over="ignore"):
                columns[at][20] = value
            assert same(unpack(pack(columns, np.array([0, 17, 40], np.int64))), columns), (value, at)


def test_steady_decimals_take_few_bytes() -> None:
    """A tracker that reports each five seconds with seven decimals takes under seven bytes a fix."""
    chance = np.random.default_rng(1)
    count = 720
    walk = np.cumsum(chance.normal(0, 200, (2, count)), axis=1)
    columns: list[NDArray[Any]] = [
        np.arange(count, dtype=np.int64) * 5_000_000 + 64_000,
        np.round(-1.14 + walk[0] * 1e-7, 7),
        np.round(52.63 + walk[1] * 1e-7, 7),
        np.round(chance.normal(8, 2, count)),
        np.round(chance.uniform(0, 3, count), 1).astype(np.float32),
        np.full(count, np.nan, np.float32),
    ]
    runs = pack(columns, np.array([0, count], np.int64))
    assert len(runs.data) < 7 * count


def test_bytes_that_are_no_run_are_refused() -> None:
    """Another form, and bytes that end too early, are an error that says so and never a wrong position."""
    columns: list[NDArray[Any]] = [np.arange(5, dtype=np.int64), *(np.arange(5) * 0.1 for _ in range(3))]
    columns += [np.zeros(5, np.float32)] * 2
    whole = pack(columns, np.array([0, 5], np.int64)).data.tobytes()
    for length in range(len(whole)):
        with pytest.raises(RunError, match="bytes"):
            unpack(Runs.of([0], [5], [whole[:length]]))
    with pytest.raises(RunError, match="newer program"):
        unpack(Runs.of([0], [5], [b"\x02" + whole[1:]]))
