"""Parquet: columns with types, so that nothing has to be guessed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from stream.files.foreign.table import Cell, ForeignError, ForeignRow

if TYPE_CHECKING:
    from stream.files.foreign.table import ForeignLimits


def parquet_rows(
    content: bytes, name: str, sample: int | None, limits: ForeignLimits
) -> tuple[tuple[str, ...], list[ForeignRow], bool]:
    """The columns, the rows (of the sample), and whether these are all.

    Raises:
        ForeignError: it is damaged or too large.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(pa.BufferReader(content)) as file:
            names = tuple(str(each) for each in file.schema_arrow.names)
            count = file.metadata.num_rows
            if len(names) > limits.columns:
                raise ForeignError(
                    f"{name}: has {len(names):,} columns, at most {limits.columns:,} are taken"
                )
            wanted = count if sample is None else min(sample, count)
            if wanted > limits.rows or wanted * len(names) > limits.cells:
                raise ForeignError(f"{name}: has {count:,} rows, at most {limits.rows:,} are taken at once")
            rows: list[ForeignRow] = []
            for batch in file.iter_batches(batch_size=min(max(wanted, 1), 50_000)):
                columns = [_plain(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    if len(rows) >= wanted:
                        break
                    rows.append(ForeignRow(len(rows) + 1, cells))
                if len(rows) >= wanted:
                    break
    except (pa.ArrowException, OSError, UnicodeDecodeError) as failure:
        raise ForeignError(f"{name}: not Parquet: {' '.join(str(failure).split())[:160]}") from failure
    return names, rows, len(rows) >= count


def _plain(column: Any) -> list[Cell]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return [_cell(value) for value in column.to_pylist()]


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float | bool | dt.date | dt.time | dt.timedelta):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
