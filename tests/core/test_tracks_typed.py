"""Parquet with typed columns: the fast road gives what the rows read as messages give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from stream.core.events import decode_positions
from stream.core.policy import Policies, limits
from stream.files.tracks import read_fixes, read_rows
from stream.files.tracks.typed import plain

if TYPE_CHECKING:
    from pathlib import Path

    from hypothesis.strategies import SearchStrategy

    from stream.core.facts import Fixes

LIMITS = limits(Policies())
NOON = 1_795_780_800_000_000
"""Microseconds; some noon of 2026."""

numbers: SearchStrategy[float | None] = st.none() | st.sampled_from(
    [0.0, -0.0, 52.6, -1.1, 8.0, 200.0, 200.5, -3.0, 400.0, 1e7, float("nan"), float("inf"), 1e-9]
)
moments: SearchStrategy[int | None] = st.none() | st.sampled_from(
    [
        *(NOON, NOON + 1, NOON - 1, NOON + 301 * 10**6, NOON + 299 * 10**6, NOON - 401 * 86_400 * 10**6),
        *(-5, 0, 4_102_444_800_000_000, 4_102_444_799_999_999, 9_000_000_000_000_000),
    ]
)
positions = st.fixed_dictionaries(
    {
        "device_id": st.none() | st.sampled_from(["R1", "R2", "", "\x01", "a" * 400, "ä", 'q"']),
        "time": moments,
        "lon": numbers,
        "lat": numbers,
        "error_m": numbers,
        "speed_mps": numbers,
        "heading_deg": numbers,
        "received": moments,
    }
)
plain_positions = st.fixed_dictionaries(
    {
        "device_id": st.sampled_from(["R1", "R2", "V9"]),
        "time": st.integers(NOON, NOON + 10**7),
        "lon": st.floats(-2, 0),
        "lat": st.floats(52, 53),
        "error_m": st.none() | st.floats(0, 100),
        "speed_mps": st.none(),
        "heading_deg": st.none() | st.floats(0, 360),
        "received": st.none() | st.integers(NOON, NOON + 10**7),
    }
)


def rows(fixes: Fixes, line: Any) -> list[tuple[object, ...]]:
    """Fixes as values; NaN as a word, since it equals nothing."""
    columns = (fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg)
    return [
        (int(at), fixes.device_ids[device], time, *("nan" if value != value else value for value in values))  # noqa: PLR0124
        for at, device, time, *values in zip(
            line, fixes.device, fixes.time.tolist(), *(column.tolist() for column in columns), strict=True
        )
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(positions | plain_positions, min_size=1, max_size=12),
    st.sampled_from(["us", "ms"]),
    st.sets(st.sampled_from(["error_m", "speed_mps", "heading_deg", "received"])),
    st.sampled_from(["Europe/London", "UTC", "+05:30"]),
)
def test_typed_columns_are_read_as_their_rows_would_be(
    tmp_path: Path, table: list[dict[str, Any]], unit: str, missing: set[str], zone: str
) -> None:
    """Whatever stands in typed columns, fixes, lines and rejects are those of the rows as messages."""
    kinds = {
        "device_id": pa.string(),
        "time": pa.timestamp(unit, zone),
        "received": pa.timestamp(unit, zone),
    }
    names = [name for name in table[0] if name not in missing]
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in names])
    scale = 1 if unit == "us" else 1000
    told = [
        {
            name: row[name] // scale if name in {"time", "received"} and row[name] is not None else row[name]
            for name in names
        }
        for row in table
    ]
    path = tmp_path / "typed.parquet"
    columns = {
        name: pa.array([row[name] for row in told], pa.int64()).cast(kinds[name])
        if name in {"time", "received"}
        else [row[name] for row in told]
        for name in names
    }
    parquet.write_table(pa.table(columns, schema=schema), path)
    (found,) = read_fixes(path, limits=LIMITS)
    (messages,) = read_rows(path)
    wanted = decode_positions(messages.value, None, limits=LIMITS)
    assert rows(found.fixes, found.line) == rows(wanted.fixes, wanted.index + 1)
    assert [(reject.index, reject.reason, reject.detail) for reject in found.rejects] == [
        (reject.index + 1, reject.reason, reject.detail) for reject in wanted.rejects
    ]


@pytest.mark.parametrize(
    ("column", "kind"),
    [("time", pa.string()), ("time", pa.timestamp("us")), ("lon", pa.float32()), ("device_id", pa.int64())],
)
def test_columns_that_need_reading_take_the_other_road(column: str, kind: pa.DataType) -> None:
    """Texts for times, times without a zone, short floats and numbers for names are not taken as they are."""
    good = {
        "device_id": pa.array(["1"]),
        "time": pa.array([NOON]).cast(pa.timestamp("us", "UTC")),
        "lon": pa.array([-1.0]),
        "lat": pa.array([52.0]),
    }
    assert plain(pa.table(good).to_batches()[0], LIMITS) is not None
    bad = good | {column: good[column].cast(kind)}
    assert plain(pa.table(bad).to_batches()[0], LIMITS) is None


def test_many_plain_rows_stay_in_their_order(tmp_path: Path) -> None:
    """Rows, devices and lines of a long file come in the file's order, odd rows between plain ones."""
    rng = np.random.default_rng(5)
    count = 5_000
    device = rng.integers(0, 40, count)
    error = rng.uniform(0, 220, count)
    table = pa.table(
        {
            "device_id": pa.array([f"R{number}" for number in device]),
            "time": pa.array(NOON + np.arange(count)).cast(pa.timestamp("us", "UTC")),
            "lon": rng.uniform(-1.2, -1.0, count),
            "lat": rng.uniform(52.5, 52.7, count),
            "error_m": error,
        }
    )
    path = tmp_path / "long.parquet"
    parquet.write_table(table, path)
    (found,) = read_fixes(path, limits=LIMITS)
    good = np.flatnonzero(error <= 200)
    assert found.line.tolist() == (good + 1).tolist()
    assert [found.fixes.device_ids[at] for at in found.fixes.device] == [f"R{at}" for at in device[good]]
    assert len(found.rejects) == count - len(good) > 0
