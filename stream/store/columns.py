"""Numpy columns to and from PostgreSQL's binary COPY, without a Python object per row.

The format is that of PostgreSQL's manual, "COPY, Binary Format": a row is its number of fields, then for each
field its length and its bytes, big endian. With fixed-width types a table is one structured array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geo.history import FOREVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.store.schema import Connection

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC, from which PostgreSQL counts microseconds, since 1970."""

WIDTHS = {
    "bool": "?",
    "int2": ">i2",
    "int4": ">i4",
    "int8": ">i8",
    "float4": ">f4",
    "float8": ">f8",
    "time": ">i8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a table: its name, its type (a key of ``WIDTHS``; ``time`` is timestamptz) and values."""

    name: str
    type: str
    values: NDArray[Any]


def rows(columns: Sequence[Column], null: frozenset[str] = frozenset()) -> bytes:
    """Rows in binary COPY format; the columns named in ``null`` are NULL throughout."""
    fields: list[tuple[str, str]] = [("n", ">i2")]
    for number, column in enumerate(columns):
        fields.append((f"l{number}", ">i4"))
        if column.name not in null:
            fields.append((f"v{number}", WIDTHS[column.type]))
    table = np.empty(len(columns[0].values), fields)
    table["n"] = len(columns)
    for number, column in enumerate(columns):
        if column.name in null:
            table[f"l{number}"] = -1
            continue
        table[f"l{number}"] = np.dtype(WIDTHS[column.type]).itemsize
        values = column.values - POSTGRES_EPOCH_US if column.type == "time" else column.values
        table[f"v{number}"] = values
    return table.tobytes()


def copy_in(
    connection: Connection,
    table: str,
    columns: Sequence[Column],
    *,
    null_where: NDArray[np.bool_] | None = None,
    nullable: frozenset[str] = frozenset(),
) -> None:
    """Appends rows to a table.

    Args:
        null_where: ``bool[n]``, rows in which the columns of ``nullable`` are NULL.
        nullable: their names.
    """
    if not len(columns[0].values):
        return
    parts = [rows(columns)]
    if null_where is not None and null_where.any():

        def only(which: NDArray[np.bool_]) -> list[Column]:
            return [Column(column.name, column.type, column.values[which]) for column in columns]

        parts = [rows(only(~null_where)), rows(only(null_where), nullable)]
    names = ", ".join(column.name for column in columns)
    with connection.cursor().copy(f"copy {table} ({names}) from stdin (format binary)".encode()) as copy:
        copy.write(HEADER)
        for part in parts:
            copy.write(part)
        copy.write(TRAILER)


def copy_out(connection: Connection, query: str, types: Sequence[str]) -> list[NDArray[Any]]:
    """The result of a query as columns in native byte order; no value may be NULL.

    Args:
        query: SQL; values are put in with ``literal``, which takes integers only.
        types: a key of ``WIDTHS`` for each column; ``time`` comes as microseconds since 1970,
            infinity as ``FOREVER``.
    """
    with connection.cursor().copy(f"copy ({query}) to stdout (format binary)".encode()) as copy:
        data = b"".join(bytes(block) for block in copy)
    fields = [("n", ">i2")]
    for number, name in enumerate(types):
        fields += [(f"l{number}", ">i4"), (f"v{number}", WIDTHS[name])]
    table = np.frombuffer(
        data, fields, offset=len(HEADER), count=(len(data) - len(HEADER) - 2) // np.dtype(fields).itemsize
    )
    found = []
    for number, name in enumerate(types):
        values = table[f"v{number}"]
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        if name == "time":
            endless = native == np.iinfo(np.int64).max
            native = np.where(endless, FOREVER, np.where(endless, 0, native) + POSTGRES_EPOCH_US)
        found.append(native)
    return found


def literal(values: NDArray[np.integer], type_name: str = "int8") -> str:
    """Integers as an SQL array literal."""
    return f"'{{{','.join(map(str, values.tolist()))}}}'::{type_name}[]"
