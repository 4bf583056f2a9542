"""Writes tables: columns of values and times as Arrow arrays, tables as CSV or Parquet.

Rows stay in the order given, times and seconds have six decimals, so that equal facts give equal bytes. In
CSV no text begins a formula (``stream.core.spreadsheets``); Parquet has every text as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from stream.core.spreadsheets import FORMULA, NUMBER, defused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


Form = Literal["csv", "parquet"]
"""The forms in which tables are written."""

_TIMES: Final = frozenset({"start", "end", "from", "to", "hour", "last_seen", "as_of"})
"""Columns of times in every table."""
_NUMBERS: Final = frozenset({"seconds", "share", "share_low", "share_high", "target"})
"""Columns of numbers, beside those whose names end in ``_s``."""


def write(tables: dict[str, pa.Table], folder: Path, form: Form = "csv") -> None:
    """Writes each table as ``NAME.csv`` or ``NAME.parquet`` into a folder, made where it is missing.

    A disk that is full leaves the folder as it was: half a file, or files of two accounts, would be believed.

    Raises:
        OSError: the folder cannot be made, or not all of the files be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        folder / f".{name}.{form}.part": (folder / f"{name}.{form}", table) for name, table in tables.items()
    }
    try:
        for part, (path, table) in parts.items():
            try:
                if form == "parquet":
                    parquet.write_table(typed(table), part, compression="zstd")
                    continue
                with part.open("wb") as file:
                    file.write(f"{','.join(table.column_names)}\n".encode())
                    for batch in table.to_batches(max_chunksize=LINES):
                        file.write("".join(f"{line}\n" for line in _lines(batch)).encode())
            except OSError as failure:
                raise OSError(
                    failure.errno, f"{failure.strerror}; no file was changed", str(path)
                ) from failure
        for part, (path, _) in parts.items():
            part.replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


LINES = 100_000
"""Lines that are written at a time."""


def typed(table: pa.Table) -> pa.Table:
    """The same table with times as timestamps in UTC and numbers as numbers; what is empty is null."""
    columns = []
    for name in table.column_names:
        column = table.column(name)
        moment, number = name in _TIMES, name in _NUMBERS or name.endswith("_s")
        if pa.types.is_string(column.type) and (moment or number):
            said = pc.if_else(pc.equal(column, ""), None, column)
            column = said.cast(pa.timestamp("us", "UTC") if moment else pa.float64())
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _lines(batch: pa.RecordBatch) -> list[str]:
    """Rows as lines of CSV (RFC 4180): only what holds a comma, a quote or a line's end stands in quotes."""
    columns = []
    for column in batch.columns:
        text = pc.fill_null(column.cast(pa.string()), "")
        if pa.types.is_string(column.type):
            text = _defused(text)
        special = pc.match_substring_regex(text, '[",\r\n]')
        if pc.any(special).as_py():
            inside = pc.replace_substring(text, '"', '""')
            text = pc.if_else(special, pc.binary_join_element_wise('"', inside, '"', ""), text)
        columns.append(text)
    return list(pc.binary_join_element_wise(*columns, ",").to_pylist())


def _defused(texts: pa.Array) -> pa.Array:
    """The same texts without a formula: nearly all as they are, and those without a look at each."""
    formula = pc.match_substring_regex(texts, FORMULA)
    if not pc.any(formula).as_py():
        return texts
    formula = pc.and_not(formula, pc.match_substring_regex(texts, NUMBER))
    some = [defused(text) for text in pc.filter(texts, formula).to_pylist()]
    return pc.replace_with_mask(texts, formula, pa.array(some, pa.string()))


def seconds(us: Sequence[int]) -> list[str]:
    """Microseconds as seconds with six decimals."""
    return [f"{value // 1_000_000}.{value % 1_000_000:06d}" for value in us]


def ratio(value: float | None) -> str:
    """A share with nine decimals; empty where there is none."""
    return "" if value is None else f"{value:.9f}"


def times(us: NDArray[np.int64]) -> pa.Array:
    """Microseconds since 1970 as RFC 3339 texts."""
    text = pc.strftime(pa.array(us, pa.timestamp("us")), "%Y-%m-%dT%H:%M:%S")
    return pc.binary_join_element_wise(text, "Z", "")


def named(names: Sequence[str], number: NDArray[np.integer]) -> pa.Array:
    """Numbers looked up in a list of names."""
    return pa.DictionaryArray.from_arrays(
        pa.array(number.astype(np.int32)), pa.array(list(names) or [""], pa.string())
    ).cast(pa.string())


def ranks(names: Sequence[str]) -> NDArray[np.int64]:
    """The rank of each name, ``int64[n]``, equal names alike; that of an empty one where there is none."""
    return np.unique(np.array(names or [""], dtype=object), return_inverse=True)[1]


def counts(values: Iterable[int]) -> pa.Array:
    """Whole numbers."""
    return pa.array(list(values), pa.int64())


def texts(values: Sequence[str]) -> pa.Array:
    """Texts."""
    return pa.array(values, pa.string())
