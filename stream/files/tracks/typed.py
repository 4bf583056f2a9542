"""Columns of positions as they are: Parquet whose types leave nothing to be read.

The fast road beside ``stream.files.tracks.tables``, to the same end: what a value means is judged by
``stream.core.events``, and rows that are not plain take the other road.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from stream.core.events import UNKNOWN, Judged, judge, sensible, text_fault
from stream.core.facts import SECOND, Fixes
from stream.core.times import EARLIEST, LATEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.core.events import UsableLimits

_FIRST: Final = EARLIEST // SECOND
_LAST: Final = LATEST // SECOND
_NUMBERS: Final = ("lon", "lat", "error_m", "speed_mps", "heading_deg")


class Plain(NamedTuple):
    """A batch of typed positions.

    Attributes:
        fixes: those that are usable, in their order.
        row: ``int64[len(fixes)]``, which row of the batch each is.
        odd: ``int64[k]``, the rows that have to be read in the other way, rejected ones among them.
        judged: the usable ones with their receipts.
    """

    fixes: Fixes
    row: NDArray[np.int64]
    odd: NDArray[np.int64]
    judged: Judged


def plain(batch: Any, limits: UsableLimits) -> Plain | None:
    """The usable positions of an Arrow batch; None where its types need the other path.

    Args:
        batch: columns with the event's names; ``device_id`` texts, ``time`` and perhaps ``received``
            timestamps with a zone, numbers float64 or whole, ``valid`` and ``outdated`` booleans.
        limits: what is unusable (rule 2).
    """
    import pyarrow as pa

    kinds = {field.name: field.type for field in batch.schema}
    moments = [kinds[name] for name in ("time", "received") if name in kinds]
    numbers = [kinds[name] for name in _NUMBERS if name in kinds]
    flags = [name for name in ("valid", "outdated") if name in kinds]
    if not (
        (pa.types.is_string(kinds["device_id"]) or pa.types.is_large_string(kinds["device_id"]))
        and all(pa.types.is_timestamp(kind) and kind.tz is not None and kind.unit != "ns" for kind in moments)
        and all(
            pa.types.is_float64(kind) or (pa.types.is_integer(kind) and kind.bit_width <= 32)
            for kind in numbers
        )
        and all(pa.types.is_boolean(kinds[name]) for name in flags)
    ):
        return None
    count = batch.num_rows
    values = {name: _numbers(batch, name, count) for name in _NUMBERS}
    time, said = _moments(batch, "time", count)
    receipt, clear = _moments(batch, "received", count)
    device = batch.column("device_id").dictionary_encode()
    names = device.dictionary.to_pylist()
    code = device.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    bad = np.array([bool(text_fault(name)) for name in names] + [True], np.bool_)

    odd = bad[code] | ~said
    if "received" in kinds:
        odd |= ~clear & ~batch.column("received").is_null().to_numpy(zero_copy_only=False)
    for name in _NUMBERS:
        column, empty = values[name]
        # NaN that is written out is no number, and a position without one of its needed numbers is none.
        odd |= np.isnan(column) & (~empty if name not in {"lon", "lat"} else True)
    for name in flags:
        usual = name == "valid"
        odd |= batch.column(name).fill_null(usual).to_numpy(zero_copy_only=False) != usual
    lon, lat, error, speed, heading = (values[name][0] for name in _NUMBERS)
    sensible(error, speed, heading)
    odd |= judge(time, lon, lat, error, receipt, limits=limits) >= 0
    good = np.flatnonzero(~odd)
    fixes = Fixes(
        code[good],
        time[good],
        lon[good],
        lat[good],
        error[good],
        speed[good].astype(np.float32),
        heading[good].astype(np.float32),
        tuple(names),
    )
    fixes = _named(fixes)
    usable = np.ones(len(good), np.bool_)
    taken = np.full(len(good), -1, np.int8)
    judged = Judged(fixes.device, fixes.time, usable, usable, receipt[good], taken, fixes.device_ids)
    return Plain(fixes, good, np.flatnonzero(odd), judged)


def _named(fixes: Fixes) -> Fixes:
    """The same fixes with only the names that occur, in the order in which they do."""
    present, first, code = np.unique(fixes.device, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    names = tuple(fixes.device_ids[number] for number in present[order].tolist())
    return replace(fixes, device=rank[code], device_ids=names)


def _numbers(batch: Any, name: str, count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column of numbers, NaN where empty, and where it is empty."""
    if name not in batch.schema.names:
        return np.full(count, np.nan), np.ones(count, np.bool_)
    cells = batch.column(name)
    empty = cells.is_null().to_numpy(zero_copy_only=False)
    column = np.array(cells.cast("float64").fill_null(np.nan).to_numpy(zero_copy_only=False), np.float64)
    return column, empty


def _moments(batch: Any, name: str, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A column of times in microseconds, ``UNKNOWN`` where there is none, and where there is one."""
    import pyarrow as pa
    from pyarrow import compute as pc

    if name not in batch.schema.names:
        return np.full(count, UNKNOWN, np.int64), np.zeros(count, np.bool_)
    cells = batch.column(name)
    said = cells.is_valid()
    # Times of other years are judged on the other path, which also words the reason.
    for edge, fits in ((_FIRST, pc.greater_equal), (_LAST, pc.less)):
        limit = pa.scalar(edge, pa.timestamp("s", "UTC")).cast(cells.type)
        said = pc.and_(said, fits(cells, limit))
    said = said.fill_null(False)
    micros = pc.if_else(said, cells, None).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return (
        np.array(micros.fill_null(UNKNOWN).to_numpy(zero_copy_only=False), np.int64),
        said.to_numpy(zero_copy_only=False),
    )
