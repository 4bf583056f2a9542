"""Numpy columns to and from PostgreSQL in its binary formats, without a Python object per row.

In: "COPY, Binary Format" of PostgreSQL's manual, a row is its number of fields, then each field's length
and its bytes, big endian. Out: the same bytes of each value, joined by the server into a few large ones, or
arrays of values. With fixed-width types a table is one structured array either way. A shell; it knows no
table by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg.adapt import Dumper, Loader
from psycopg.postgres import types
from psycopg.pq import Format

from geo.matching.history import FOREVER
from stream.core.columns import ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from psycopg.abc import Buffer

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

SENDERS = {
    "bool": "boolsend",
    "int2": "int2send",
    "int4": "int4send",
    "int8": "int8send",
    "float4": "float4send",
    "float8": "float8send",
    "time": "timestamptz_send",
}
"""PostgreSQL's functions that give a value's bytes as in binary COPY."""

ARRAY_HEADER = 20
"""Bytes before the elements of an array of one dimension."""

INTEGER = np.dtype([("size", ">i4"), ("value", ">i8")])
"""An element of ``int8[]``."""

BLOCK = 100_000
"""Rows that come as one value of bytes: taking COPY's rows one by one costs ten times as much."""


@dataclass(frozen=True, slots=True, eq=False)
class BinaryColumn:
    """One column of a table: its name, its type (a key of ``WIDTHS``; ``time`` is timestamptz) and values."""

    name: str
    type: str
    values: NDArray[Any]


def rows(columns: Sequence[BinaryColumn], null: frozenset[str] = frozenset()) -> bytes:
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
        table[f"v{number}"] = _moments(column.values) if column.type == "time" else column.values
    return table.tobytes()


def _moments(us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Microseconds since 1970 as PostgreSQL keeps them; from ``FOREVER`` on, infinity."""
    limits = np.iinfo(np.int64)
    finite = us - POSTGRES_EPOCH_US
    return np.where(us >= FOREVER, limits.max, np.where(us <= -FOREVER, limits.min, finite))


def copy_in(
    connection: Connection,
    table: str,
    columns: Sequence[BinaryColumn],
    *,
    null_where: NDArray[np.bool_] | None = None,
    nullable: frozenset[str] = frozenset(),
) -> None:
    """Appends rows to a table.

    Args:
        connection: in whichever transaction it is.
        table: its name.
        columns: one or more, all of length n.
        null_where: ``bool[n]``, rows in which the columns of ``nullable`` are NULL.
        nullable: their names.
    """
    if not len(columns[0].values):
        return
    parts = [rows(columns)]
    if null_where is not None and null_where.any():

        def only(which: NDArray[np.bool_]) -> list[BinaryColumn]:
            return [BinaryColumn(column.name, column.type, column.values[which]) for column in columns]

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
        connection: in whichever transaction it is.
        query: SQL; values are put in with ``literal``, which takes integers only.
        types: a key of ``WIDTHS`` for each column; ``time`` comes as microseconds since 1970,
            infinity as ``FOREVER``.

    Raises:
        ValueError: a value is NULL.
    """
    names = [f"c{number}" for number in range(len(types))]
    row = " || ".join(f"{SENDERS[kind]}({name})" for name, kind in zip(names, types, strict=True))
    blocks = (
        connection.cursor(binary=True)
        .execute(
            f"select count(*), string_agg({row}, ''::bytea order by n) from "
            f"(select *, row_number() over () as n from ({query}) q ({', '.join(names)})) b "
            f"group by (n - 1) / {BLOCK} order by (n - 1) / {BLOCK}".encode()
        )
        .fetchall()
    )
    layout = np.dtype([(name, WIDTHS[kind]) for name, kind in zip(names, types, strict=True)])
    table = np.frombuffer(b"".join(data or b"" for _, data in blocks), layout)
    if len(table) != sum(count for count, _ in blocks):
        raise ValueError(f"a row with NULL in it cannot be a row of columns: {query}")
    found = []
    for number, name in enumerate(types):
        values = table[f"c{number}"]
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        if name == "time":
            endless = np.abs(native) > FOREVER  # PostgreSQL's infinities are the ends of int64
            finite = np.where(endless, 0, native) + POSTGRES_EPOCH_US
            native = np.where(endless, np.where(native > 0, FOREVER, -FOREVER), finite)
        found.append(native)
    return found


def series_out(
    connection: Connection, query: str, types: Sequence[str]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """The result of a query whose rows hold arrays, as columns in native byte order: many values, few rows.

    Three times as fast as ``copy_out``, for the server need not put rows together.

    Args:
        connection: in whichever transaction it is.
        query: SQL; first which row of the answer it is, int4 from 0, then its arrays (null: empty), which are
            of one length and hold no NULL.
        types: a key of ``WIDTHS`` for the arrays' elements; not ``time``.

    Returns:
        ``(length, columns)``: ``int64[rows]``, how many values came of each row, and the values of all.
    """
    found = connection.cursor(binary=True).execute(query.encode()).pgresult
    assert found is not None
    rows = sorted(range(found.ntuples), key=lambda row: int.from_bytes(found.get_value(row, 0) or b"", "big"))
    columns = []
    length = np.zeros(len(rows), np.int64)
    for number, name in enumerate(types, 1):
        width = np.dtype(WIDTHS[name])
        element = np.dtype([("size", ">i4"), ("value", width)])
        parts = []
        for at, row in enumerate(rows):
            data = (found.get_value(row, number) or b"")[ARRAY_HEADER:]
            parts.append(data)
            length[at] = len(data) // element.itemsize
        columns.append(np.frombuffer(b"".join(parts), element)["value"].astype(width.newbyteorder("=")))
    return length, columns


class IntegersLoader(Loader):
    """``int8[]`` in binary → ``int64[n]``; no element may be NULL."""

    format = Format.BINARY

    def load(self, data: Buffer) -> NDArray[np.int64]:
        """The values of one array."""
        return np.frombuffer(data[ARRAY_HEADER:], INTEGER)["value"].astype(np.int64)


class IntegersDumper(Dumper):
    """``int[n]`` → ``int8[]`` in binary."""

    format = Format.BINARY
    oid = types["int8"].array_oid

    def dump(self, obj: NDArray[np.integer]) -> Buffer:
        """The bytes of one array."""
        size = len(obj)
        # Dimensions, whether there are NULLs, the elements' type; of each dimension its size and first one.
        head = [int(size > 0), 0, types["int8"].oid, *([size, 1] if size else [])]
        elements = np.empty(size, INTEGER)
        elements["size"], elements["value"] = 8, obj
        return np.array(head, ">i4").tobytes() + elements.tobytes()


def parts_of_arrays(sent: bytes, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values of many ``int8[]``, one after another as PostgreSQL sends them, of which the sizes are known."""
    words = np.frombuffer(sent, ">u4")
    # Three words before the elements, five where there are any; three of each: its size, and two of value.
    long = np.where(size > 0, 5, 3) + 3 * size
    _, number = ranges(np.zeros(len(size), np.int64), size)
    at = np.repeat(np.cumsum(long) - long + 5, size) + 3 * number
    high, low = words[at + 1].astype(np.uint64), words[at + 2].astype(np.uint64)
    return ((high << np.uint64(32)) | low).view(np.int64)


def literal(values: NDArray[np.integer], type_name: str = "int8") -> str:
    """Integers as an SQL array literal."""
    return f"'{{{','.join(map(str, values.tolist()))}}}'::{type_name}[]"
