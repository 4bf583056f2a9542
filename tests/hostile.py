"""Columns of fixes with values that a float can have and no tracker should send."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR = 3_600_000_000
START = 1_795_158_000_000_000 // HOUR * HOUR

PAYLOAD: float = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_BEEF))[0]
HOSTILE = (
    *(0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-300, 1e308, -1.7976931348623157e308),
    *(math.inf, -math.inf, math.nan, PAYLOAD, 2.0**53, 2.0**53 - 1, 0.1 + 0.2, 1 / 3, 180.0, -89.9999999),
    *(9007199254740993.0, 1e22, 1e23, 123456.7890123, 1e-15, 1e-16),
)
"""Values at the edges of what is a short decimal, and far beyond."""

_DOUBLES = st.one_of(
    st.sampled_from(HOSTILE),
    st.floats(width=64),
    st.integers(-18_000_000_000, 18_000_000_000).map(lambda number: number / 1e7),
    st.integers(-2000, 2000).map(lambda number: number / 10),
)
_SINGLES = st.one_of(
    st.sampled_from([0.0, -0.0, math.nan, math.inf, 1.401298464324817e-45, 3.4028234663852886e38]),
    st.floats(width=32),
    st.integers(0, 4000).map(lambda number: number / 10),
)


@st.composite
def times(draw: st.DrawFn, most: int = 60) -> NDArray[np.int64]:
    """Rising times within one hour: steady, in whole seconds, or to the microsecond."""
    count = draw(st.integers(0, most))
    unit = draw(st.sampled_from([1, 1000, 64_000, 1_000_000, 5_000_000]))
    places = draw(st.sets(st.integers(0, (HOUR - 1) // unit), min_size=count, max_size=count))
    return START + np.array(sorted(places), np.int64) * unit


def _column(draw: st.DrawFn, values: st.SearchStrategy[float], count: int, kind: type) -> NDArray[Any]:
    few = draw(st.lists(values, min_size=1, max_size=4))
    chosen = draw(st.lists(st.sampled_from(few) | values, min_size=count, max_size=count))
    return np.array(chosen, kind)


@st.composite
def hostile_columns(draw: st.DrawFn, most: int = 60) -> list[NDArray[Any]]:
    """Times, longitudes, latitudes, errors, speeds and headings of one hour: any bits floats can have."""
    time = draw(times(most))
    doubles = [_column(draw, _DOUBLES, len(time), np.float64) for _ in range(3)]
    singles = [_column(draw, _SINGLES, len(time), np.float32) for _ in range(2)]
    return [time, *doubles, *singles]
