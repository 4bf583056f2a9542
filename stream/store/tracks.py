"""Stays and slices in the database: closed rows in constrained tables, the growing end in one narrow row.

Both are *tracks*: for each key (a device, a duty) intervals that do not overlap, in order. A steady stream of
positions only rewrites the ends; a row enters the constrained table once nothing in order can change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geo.matching.history import FOREVER, UNKNOWN
from stream.core.columns import in_time_order, offsets
from stream.core.windows import Rows, difference
from stream.store.columns import BinaryColumn, copy_in, copy_out, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of track is laid out: tables and columns.

    Attributes:
        table: closed rows.
        ends: the growing ends, with the rows of each key flattened in an array column named like the view.
        view: the array column, and the view of all rows, closed and growing.
        key: the key's column.
        values: names of the value columns.
        types: their types in binary COPY.
        nullable: value columns that are NULL where the place is unknown.
    """

    table: str
    ends: str
    view: str
    key: str
    values: tuple[str, ...]
    types: tuple[str, ...]
    nullable: frozenset[str]

    @property
    def width(self) -> int:
        """Numbers a row takes in the array column: start, end and the values."""
        return 2 + len(self.values)

    @property
    def selected(self) -> str:
        """The value columns in SQL, ``UNKNOWN`` in the place of NULL."""
        return ", ".join(
            f"coalesce({name}, {UNKNOWN})" if name in self.nullable else name for name in self.values
        )

    def empty(self) -> Rows:
        """No rows."""
        kinds = {"int2": np.int16, "int4": np.int32, "int8": np.int64}
        nothing = np.empty(0, np.int64)
        return (nothing, nothing, nothing, *(np.empty(0, kinds[name]) for name in self.types))


STAYS = Layout("stay", "stay_end", "stays", "device", ("place",), ("int4",), frozenset({"place"}))
SLICES = Layout(
    "slice",
    "slice_end",
    "slices",
    "duty",
    ("activity", "state", "place", "device"),
    ("int2", "int2", "int4", "int4"),
    frozenset({"place", "device"}),
)


CONTEXT = np.dtype([("time", "<i8"), ("lon", "<f8"), ("lat", "<f8"), ("error_m", "<f8")])
"""A fix in ``stay_end.context``."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What counting again changed.

    Attributes:
        keys: ``int32[n]``, the duties counted.
        duties: as many.
        gone: rows that are no more; their keys are positions in ``duties``, their places numbers.
        added: rows that were not there.
    """

    keys: NDArray[np.int32]
    duties: list[Duty]
    gone: Rows
    added: Rows


def rows_of(layout: Layout, size: NDArray[np.int64], flat: NDArray[np.int64]) -> Rows:
    """Array columns of keys 0, 1, 2, …, one after another, of which the sizes are known → rows."""
    table = flat.reshape(-1, layout.width)
    values = [table[:, 2 + number].astype(column.dtype) for number, column in enumerate(layout.empty()[3:])]
    key = np.repeat(np.arange(len(size), dtype=np.int64), size // layout.width)
    return (key, np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]), *values)


def unpack(layout: Layout, flat: Sequence[Sequence[int] | NDArray[np.int64]]) -> Rows:
    """Array columns of keys 0, 1, 2, … → rows."""
    parts = [np.asarray(row, np.int64) for row in flat]
    return rows_of(
        layout,
        np.array([len(part) for part in parts], np.int64),
        np.concatenate([np.empty(0, np.int64), *parts]),
    )


def part_of(layout: Layout) -> np.dtype[Any]:
    """A row as a copy of it is kept: start, end and the values."""
    values = zip(layout.values, layout.empty()[3:], strict=True)
    return np.dtype([("start", "<i8"), ("end", "<i8"), *((name, column.dtype) for name, column in values)])


def to_parts(layout: Layout, rows: Rows) -> NDArray[Any]:
    """Rows → what is kept of them."""
    found = np.empty(len(rows[0]), part_of(layout))
    for name, column in zip(found.dtype.names or (), rows[1:], strict=True):
        found[name] = column
    return found


def from_parts(bounds: NDArray[np.int64], parts: NDArray[Any]) -> Rows:
    """What was kept of keys 0, 1, 2, … → rows."""
    key = np.repeat(np.arange(len(bounds) - 1, dtype=np.int64), np.diff(bounds))
    return (key, *(np.ascontiguousarray(parts[name]) for name in parts.dtype.names or ()))


def closed(
    connection: Connection,
    layout: Layout,
    keys: NDArray[np.integer],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> Rows:
    """Closed rows that overlap or touch windows.

    Args:
        connection: in the transaction that holds the locks.
        layout: which kind of track.
        keys: ``int[n]``, database keys.
        low: ``int64[n]``, microseconds.
        high: ``int64[n]``.

    Returns:
        rows with keys 0 … n-1, in order.
    """
    if not len(keys):
        return layout.empty()
    found = copy_out(
        connection,
        f"select w.i, start_at, end_at, {layout.selected} from unnest({literal(np.arange(len(keys)))}, "
        f"{literal(keys, 'int4')}, {literal(low)}, {literal(high)}) w (i, k, low, high), "
        f"lateral (select * from {layout.table} t where t.{layout.key} = w.k "
        f"and end_at >= from_us(w.low) and start_at <= from_us(w.high) offset 0) t order by w.i, start_at",
        ["int8", "time", "time", *layout.types],
    )
    return tuple(found)


def every(connection: Connection, layout: Layout, which: str) -> Rows:
    """Rows that meet a condition in SQL, closed and growing, in order; their keys are the database's."""
    return concatenate(
        tuple(
            copy_out(
                connection,
                f"select {layout.key}, start_at, end_at, {layout.selected} from {layout.view} where {which}",
                ["int4", "time", "time", *layout.types],
            )
        )
    )


def replace_closed(
    connection: Connection,
    layout: Layout,
    keys: NDArray[np.integer],
    old: Rows,
    new: Rows,
    *,
    extra: Sequence[BinaryColumn] = (),
) -> None:
    """Writes the difference between the closed rows as they were and as they are.

    Args:
        connection: in the transaction that holds the locks.
        layout: which kind of track.
        keys: database keys behind the rows' keys 0 … n-1.
        old: rows as ``closed`` gave them.
        new: rows as they should be.
        extra: further columns of the table for ``new``, such as the officer.
    """
    gone, added = difference(old, new)
    if gone.any():
        connection.execute(
            f"delete from {layout.table} t using unnest({literal(keys[old[0][gone]], 'int4')}, "
            f"{literal(old[2][gone])}) w (k, until) "
            f"where t.{layout.key} = w.k and t.end_at = from_us(w.until)".encode()
        )
    if added.any():
        columns = [
            BinaryColumn(layout.key, "int4", keys[new[0][added]]),
            BinaryColumn("start_at", "time", new[1][added]),
            BinaryColumn("end_at", "time", new[2][added]),
            *(
                BinaryColumn(name, kind, values[added])
                for name, kind, values in zip(layout.values, layout.types, new[3:], strict=True)
            ),
            *(BinaryColumn(column.name, column.type, column.values[added]) for column in extra),
        ]
        place = new[3 + layout.values.index("place")][added]
        copy_in(connection, layout.table, columns, null_where=place == UNKNOWN, nullable=layout.nullable)


def firsts(rows: Rows, keys: int) -> NDArray[np.int64]:
    """Start of each key's first row: ``int64[keys]``, ``FOREVER`` where it has none."""
    first = np.full(keys, FOREVER, np.int64)
    np.minimum.at(first, rows[0], rows[1])
    return first


def settled_before(rows: Rows, watermark: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows that nothing in order can change: those before the first that reaches its key's watermark."""
    reaches = rows[2] >= watermark[rows[0]]
    count = np.append(np.cumsum(reaches), 0)  # the last is what stands before the first row
    first = np.searchsorted(rows[0], rows[0])
    settled: NDArray[np.bool_] = count[:-1] == count[first - 1]
    return settled


def rewrite_ends(
    connection: Connection,
    layout: Layout,
    keys: NDArray[np.integer],
    rows: Rows,
    columns: Mapping[str, NDArray[Any]],
    context: tuple[NDArray[np.int64], NDArray[Any]] | None = None,
) -> None:
    """Updates growing ends.

    Args:
        connection: in the transaction that holds the locks.
        layout: which kind of track.
        keys: ``int[n]``, database keys.
        rows: the rows that still grow, with keys 0 … n-1, in order.
        columns: further ones by name: ``int64[n]``, ``bool[n]``, or ``int64[n, k]`` for arrays.
        context: of stays, where each key's last fixes are, ``int64[n + 1]``, and these.
    """
    if not len(keys):
        return
    bounds = offsets(rows[0], len(keys)) * layout.width
    given: dict[str, Any] = {
        "flat": np.stack([column.astype(np.int64) for column in rows[1:]], axis=1).ravel()
    }
    row = {"key": keys, "low": bounds[:-1] + 1, "high": bounds[1:]}
    # One array for all rows, of which each takes its part: nothing is staged, and there is one statement.
    values = {layout.view: "(%(flat)s::int8[])[w.low:w.high]"}
    for name, column in columns.items():
        if column.ndim == 1:
            row[name] = column
            values[name] = f"w.{name} <> 0" if column.dtype == np.bool_ else f"w.{name}"
        else:
            size = column.shape[1]
            row["number"], given[f"all_{name}"] = np.arange(len(keys)), column.ravel()
            values[name] = f"(%(all_{name})s::int8[])[w.number * {size} + 1:w.number * {size} + {size}]"
    if context is not None:
        around, fixes = context
        row["first"], row["size"] = around[:-1] * CONTEXT.itemsize + 1, np.diff(around) * CONTEXT.itemsize
        given["context"] = fixes.tobytes()
        values["context"] = "substr(%(context)s::bytea, w.first::int4, w.size::int4)"
    given |= {f"w_{name}": column for name, column in row.items()}
    arrays = ", ".join(f"%(w_{name})s::int8[]" for name in row)
    assignments = ", ".join(f"{name} = {value}" for name, value in values.items())
    connection.execute(
        f"update {layout.ends} e set {assignments} from unnest({arrays}) w ({', '.join(row)}) "
        f"where e.{layout.key} = w.key::int4".encode(),
        given,
    )


def concatenate(*tables: Rows) -> Rows:
    """Rows of several tables, in order of key and start."""
    table: list[NDArray[Any]] = [np.concatenate(columns) for columns in zip(*tables, strict=True)]
    order = in_time_order(table[0], table[1])
    return tuple(column[order] for column in table)


def pick(rows: Rows, which: NDArray[np.bool_] | NDArray[np.integer]) -> Rows:
    """Some rows."""
    return tuple(column[which] for column in rows)
