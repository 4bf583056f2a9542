"""Tables of tracks, states and bookings: CSV and Parquet with the event's field names.

Columns become JSON column by column; what a value means is judged by ``stream.core.events``.
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from stream.core.events import NEEDED, Reason, Reject
from stream.core.spreadsheets import restored
from stream.files.tracks.rows import (
    NUMBER,
    TrackRows,
    TracksError,
    number_json,
    open_file,
    text_json,
    whole_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_TEXTS: Final = ("device_id", "officer_id", "time", "received", "kind", "reason", "valid", "outdated")
_NUMBERS: Final = ("lon", "lat", "error_m", "speed_mps", "heading_deg", "state")
_BOOKING_NEEDED: Final = ("duty_id", "officer_id", "start")
_BOOKING_TEXTS: Final = (*_BOOKING_NEEDED[:2], "name", "role", "team")
_BOOKING_DEVICES: Final = {"radio": "radio", "device_id": "radio", "vehicle": "vehicle"}
"""The columns of a booking that name devices for the whole duty, and what they are."""
_BOOKING: Final = (*_BOOKING_TEXTS, "revision", "start", "end", "patch", "cancelled", *_BOOKING_DEVICES)
_DECIDING: Final = frozenset(
    {"received", "valid", "outdated", "error_m", "revision", "end", "patch", "cancelled", "radio", "vehicle"}
)
"""Fields that a table may lack, and that decide what is counted."""
_ANY_BYTES: Final = (
    "latin-1"  # Arrow stumbles over broken rows that are not UTF-8, so that all are made to be
)
_HEADER_BYTES: Final = 100_000
UNREADABLE: Final = "not readable from here on"
_INTEGER: Final = r"^-?(0|[1-9][0-9]{0,17})$"
_CODE: Final = r"^(0|[1-9][0-9]{0,8})$"
_PLAIN_TEXT: Final = r"^[ !#-\[\]-~]+$"  # printable ASCII without what JSON must escape


def read_csv(path: Path, chunk: int) -> Iterator[TrackRows]:
    """Reads CSV with a header; columns that are not the event's are passed over.

    A table of bookings has ``duty_id``, ``officer_id``, ``start``, and perhaps ``end``, ``patch``, ``radio``
    (or ``device_id``) and ``vehicle``, each several joined by a semicolon, ``name``, ``role``, ``team``,
    ``cancelled`` and ``revision``. A booking without a revision is the first; its duty stands there once.
    """
    from pyarrow import ArrowInvalid
    from pyarrow import csv as arrow

    with closing(open_file(path)) as file:
        first = file.readline(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    header = [name.strip() for name in next(csv.reader(first.splitlines()[:1]), [])]
    if _of_bookings(header):
        yield from _read_bookings(path, header, chunk)
        return
    present = _columns(path, header)
    blank = b"{" + b",".join(f'"{name}":null'.encode() for name in present) + b"}"
    broken: list[Reject] = []

    def refuse(row: Any) -> str:
        detail = _columns_told(row.actual_columns, row.expected_columns, 1 + (row.text or "").count("\n"))
        broken.append(Reject(int(row.number), Reason.BAD_VALUE, detail))
        return "skip"

    with closing(open_file(path)) as file:
        try:
            batches = arrow.open_csv(
                file,
                # One thread, so that rows have numbers.
                read_options=arrow.ReadOptions(
                    use_threads=False,
                    encoding=_ANY_BYTES,
                    column_names=header,
                    skip_rows=1,
                    block_size=max(chunk * 128, 1 << 16),
                ),
                parse_options=arrow.ParseOptions(invalid_row_handler=refuse, ignore_empty_lines=False),
                convert_options=arrow.ConvertOptions(
                    column_types=dict.fromkeys(present, "binary"),
                    include_columns=list(present),
                    strings_can_be_null=False,
                ),
            )
        except ArrowInvalid as failure:
            if "Empty CSV" in str(failure):  # a header and nothing else
                return
            raise TracksError(f"{path.name}: not CSV: {_line(failure)}") from failure
        number = 2
        while True:
            try:
                batch = batches.read_next_batch()
            except StopIteration:
                break
            except (
                ArrowInvalid
            ) as failure:  # a row that is longer than a block, as in a file that is not a table
                broken.append(Reject(number, Reason.BAD_VALUE, f"not CSV from here on: {_line(failure)}"))
                break
            # Refused rows have numbers too, and may have been met ahead of the batch.
            refused = np.array([reject.index for reject in broken], np.int64)
            reach = np.arange(number, number + batch.num_rows + len(refused))
            line = np.setdiff1d(reach, refused)[: batch.num_rows]
            number = int(line[-1]) + 1 if len(line) else number
            value = _json(_restored(batch), present, encoding=_ANY_BYTES)
            if blank in value:
                told = np.fromiter((each != blank for each in value), np.bool_, len(value))
                line, value = line[told], [each for each in value if each != blank]
            yield TrackRows(value, line, [reject for reject in broken if reject.index < number])
            broken = [reject for reject in broken if reject.index >= number]
        if broken:
            yield TrackRows([], np.empty(0, np.int64), broken)


def read_parquet(path: Path, chunk: int) -> Iterator[TrackRows]:
    """Reads Parquet whose columns may be texts or typed; ``line`` is the row."""
    from pyarrow import ArrowException

    for part in parquet_parts(path, chunk):
        if isinstance(part, TrackRows):
            yield part
            continue
        try:
            yield as_rows(part)
        except ArrowException as failure:
            yield _unreadable(part.number, failure)
            return


class ParquetPart(NamedTuple):
    """Some rows of a Parquet file.

    Attributes:
        batch: an Arrow batch with the event's fields that the file has.
        number: the number of its first row.
        present: the fields' names.
    """

    batch: Any
    number: int
    present: tuple[str, ...]


def as_rows(part: ParquetPart, rows: NDArray[np.int64] | None = None) -> TrackRows:
    """A part of a file, or some rows of it, as messages."""
    import pyarrow as pa

    at = np.arange(part.batch.num_rows) if rows is None else rows
    batch = part.batch if rows is None else part.batch.take(pa.array(rows))
    return TrackRows(_json(batch, part.present), part.number + at, [])


def parquet_parts(path: Path, chunk: int, groups: range | None = None) -> Iterator[ParquetPart | TrackRows]:
    """A Parquet file, or some of its row groups, a part at a time.

    Where it cannot be read further, rows that say so.
    """
    from pyarrow import ArrowException

    with _opened(path) as file:
        try:
            names = file.schema_arrow.names
        except (ArrowException, OSError, UnicodeDecodeError) as failure:
            raise TracksError(f"{path.name}: not Parquet: {_line(failure)}") from failure
        present = _columns(path, names)
        some = range(file.num_row_groups) if groups is None else groups
        batches = file.iter_batches(batch_size=chunk, columns=list(present), row_groups=list(some))
        number = 1 + sum(file.metadata.row_group(group).num_rows for group in range(some.start))
        while True:
            try:
                batch = next(batches, None)
            except (ArrowException, OSError) as failure:
                yield _unreadable(number, failure)
                return
            if batch is None:
                return
            yield ParquetPart(batch, number, present)
            number += batch.num_rows


def group_ranges(path: Path, rows: int) -> Iterator[range]:
    """The row groups of a Parquet file in ranges of about so many rows.

    Raises:
        OSError: the file cannot be opened.
        TracksError: it is not Parquet.
    """
    with _opened(path) as file:
        first, count = 0, 0
        for group in range(file.num_row_groups):
            if count >= rows:
                yield range(first, group)
                first, count = group, 0
            count += file.metadata.row_group(group).num_rows
        yield range(first, file.num_row_groups)


def _opened(path: Path) -> Any:
    from pyarrow import ArrowException, parquet

    path.open("rb").close()  # a missing file is not a Parquet error
    try:
        return parquet.ParquetFile(path)
    except (ArrowException, OSError, UnicodeDecodeError) as failure:
        raise TracksError(f"{path.name}: not Parquet: {_line(failure)}") from failure


def _unreadable(number: int, failure: Exception) -> TrackRows:
    broken = Reject(number, Reason.BAD_VALUE, f"{UNREADABLE}: {_line(failure)}")
    return TrackRows([], np.empty(0, np.int64), [broken])


def _line(failure: Exception) -> str:
    return " ".join(str(failure).split())[:200]


def _columns(path: Path, header: list[str]) -> tuple[str, ...]:
    """The event's fields that a table has.

    Raises:
        TracksError: one that is needed is missing, or a name stands there twice.
    """
    # Radio states come as tables too; any other table is taken for one of positions.
    needed = NEEDED["states" if set(NEEDED["states"]) <= set(header) else "positions"]
    return _known(path, header, needed, (*_TEXTS, *_NUMBERS))


def _known(path: Path, header: list[str], needed: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(wanted)
    for name in header:
        # Passed over, a cancelled booking would count, and what is no fix would be one.
        meant = name.casefold()
        if name != meant and meant in _DECIDING and meant in wanted and meant not in header:
            raise TracksError(f"{path.name}: the column {name!r} is not read: write {meant!r}, or rename it")
    for name in needed:
        if name not in header:
            listed = ", ".join(header)[:200] or "none"
            raise TracksError(
                f"{path.name}: no column {name!r}; its columns are {listed}; "
                "'patrol doctor' says what the file is, and what takes it"
            )
    present = tuple(name for name in header if name in wanted)
    for name in present:
        if header.count(name) > 1:
            raise TracksError(f"{path.name}: two columns are named {name!r}; rename one")
    return present


def _columns_told(found: int, wanted: int, lines: int) -> str:
    """What is wrong with a row of so many columns, which may have swallowed the lines behind it."""
    told = f"{found} columns where the header has {wanted}"
    if lines == 1:
        return told
    return f"{told}; a quotation mark that is not closed makes one row of {lines:,} lines: correct it"


def _of_bookings(header: list[str]) -> bool:
    """Whether a table is one of bookings; others may have columns of that name beside their own."""
    others = (NEEDED["positions"], NEEDED["states"])
    return "duty_id" in header and not any(set(needed) <= set(header) for needed in others)


def _read_bookings(path: Path, header: list[str], chunk: int) -> Iterator[TrackRows]:
    """Bookings are thousands, and have lists in them, so row by row."""
    present = _known(path, header, _BOOKING_NEEDED, _BOOKING)
    seen: dict[str, int] = {}
    with (
        closing(open_file(path)) as file,
        # What is not UTF-8 stays so, and is rejected for that.
        io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text,
    ):
        table = csv.reader(text)
        values: list[bytes] = []
        lines: list[int] = []
        rejects: list[Reject] = []
        next(table)
        number = table.line_num + 1
        while True:
            try:
                cells = next(table, None)
            except csv.Error as failure:
                rejects.append(Reject(number, Reason.BAD_VALUE, f"not CSV from here on: {failure}"))
                cells = None
            if cells is None or len(values) + len(rejects) >= chunk:
                yield TrackRows(values, np.array(lines, np.int64), rejects)
                values, lines, rejects = [], [], []
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                row = {
                    name: restored(cell.strip())
                    for name, cell in zip(header, cells, strict=False)
                    if name in present
                }
                duty = row["duty_id"] if len(cells) == len(header) else ""
                if len(cells) != len(header):
                    told = _columns_told(len(cells), len(header), table.line_num - number + 1)
                    rejects.append(Reject(number, Reason.BAD_VALUE, told))
                elif duty and "revision" not in present and duty in seen:
                    told = (
                        f"duty_id {duty!a} stands in line {seen[duty]} too; number them in a column revision"
                    )
                    rejects.append(Reject(number, Reason.BAD_VALUE, told))
                else:
                    seen.setdefault(duty, number)
                    values.append(_booking_json(row))
                    lines.append(number)
            number = table.line_num + 1


def _booking_json(row: dict[str, str]) -> bytes:
    """A row of bookings as an event; what is empty is left out."""

    def cell(text: str) -> bytes:
        return text_json(text.encode("utf-8", "surrogateescape"))

    def items(text: str) -> list[bytes]:
        return [cell(item.strip()) for item in text.split(";") if item.strip()]

    parts = [b'"%s":%s' % (name.encode(), cell(row[name])) for name in _BOOKING_TEXTS if row.get(name)]
    for name in ("start", "end"):
        text = row.get(name, "")
        time = text.encode() if re.fullmatch(_INTEGER, text) else cell(text)
        parts += [b'"%s":%s' % (name.encode(), time)] if text else []
    parts.append(b'"revision":' + whole_json(row.get("revision", "1").encode("utf-8", "surrogateescape")))
    if flag := row.get("cancelled", "").lower():
        parts.append(b'"cancelled":' + _FLAGS.get(flag, cell(flag)))
    parts.append(b'"patch":[%s]' % b",".join(items(row.get("patch", ""))))
    devices = [
        b'{"device_id":%s,"kind":"%s"}' % (name, kind.encode())
        for column, kind in _BOOKING_DEVICES.items()
        for name in items(row.get(column, ""))
    ]
    parts.append(b'"devices":[%s]' % b",".join(devices))
    return b"{" + b",".join(parts) + b"}"


_FLAGS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), b"true"),
    **dict.fromkeys(("false", "f", "no", "n", "0"), b"false"),
}


def _json(batch: Any, names: Iterable[str], *, encoding: str = "utf-8") -> list[bytes]:
    """Rows of a table as JSON objects; what is empty becomes null.

    Args:
        batch: an Arrow batch, its texts UTF-8.
        names: the columns to take.
        encoding: what gives back the bytes that stood in the file, where they came in disguise.
    """
    import pyarrow as pa
    from pyarrow import compute as pc

    parts: list[Any] = []
    for name in names:
        cells = _as_binary(batch.column(name))
        parts.append(pa.scalar(f'{"," if parts else "{"}"{name}":'.encode(), pa.binary()))
        empty = pc.equal(pc.binary_length(cells), 0)
        quoted = pc.binary_join_element_wise(
            *(
                pa.scalar(each, pa.binary()) if isinstance(each, bytes) else each
                for each in (b'"', cells, b'"')
            ),
            pa.scalar(b"", pa.binary()),
        )
        if name in _NUMBERS:
            made, fits = cells, pc.match_substring_regex(cells, _CODE if name == "state" else NUMBER)
        elif name in {"time", "received"}:
            whole = pc.match_substring_regex(cells, _INTEGER)
            made, fits = pc.if_else(whole, cells, quoted), pc.match_substring_regex(cells, _PLAIN_TEXT)
        else:
            made, fits = quoted, pc.match_substring_regex(cells, _PLAIN_TEXT)
        odd = pc.and_(pc.invert(fits), pc.invert(empty))
        if pc.any(odd).as_py():
            turned = whole_json if name == "state" else number_json if name in _NUMBERS else text_json
            told = [cell.decode().encode(encoding) for cell in pc.filter(cells, odd).to_pylist()]
            some = pa.array([turned(cell) for cell in told], pa.binary())
            made = pc.replace_with_mask(made, odd, some)
        parts.append(pc.if_else(empty, pa.scalar(b"null", pa.binary()), made))
    parts.append(pa.scalar(b"}", pa.binary()))
    return cast("list[bytes]", pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary())).to_pylist())


def _restored(batch: Any) -> Any:
    """The same columns of bytes, each in the disguise of ``_ANY_BYTES``, with the texts that were defused."""
    import pyarrow as pa
    from pyarrow import compute as pc

    for at, name in enumerate(batch.schema.names):
        cells = batch.column(at)
        marked = pc.match_substring(cells, b"'")
        if name in _TEXTS and pc.any(marked).as_py():
            told = (cell.decode().encode(_ANY_BYTES) for cell in pc.filter(cells, marked).to_pylist())
            some = [
                restored(cell.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
                for cell in told
            ]
            some = [cell.decode(_ANY_BYTES).encode() for cell in some]
            cells = pc.replace_with_mask(cells, marked, pa.array(some, pa.binary()))
            batch = batch.set_column(at, name, cells)
    return batch


def _as_binary(cells: Any) -> Any:
    """Any column as bytes, nulls as empty: times with a zone as RFC 3339, numbers in their shortest form."""
    import pyarrow as pa
    from pyarrow import compute as pc

    kind = cells.type
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            cells = cells.cast(pa.timestamp("us", "UTC"), safe=False)
        cells = pc.replace_substring(cells.cast(pa.string()), " ", "T", max_replacements=1)
    elif not pa.types.is_binary(kind):
        cells = cells.cast(pa.string())
    cells = cells.cast(pa.binary())
    return pc.fill_null(cells, b"") if cells.null_count else cells
