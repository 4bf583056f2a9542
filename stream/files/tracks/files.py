"""Files of tracks: which form a file has, and its rows as messages or as fixes."""

from __future__ import annotations

import gzip
import re
import zlib
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core import frames
from stream.core.events import Reject, UsableLimits, decode_positions
from stream.core.quality.heard import Heard, heard
from stream.files.tracks.gpx import read_gpx
from stream.files.tracks.nmea import read_nmea
from stream.files.tracks.rows import TrackRows, TracksError, open_file
from stream.files.tracks.tables import as_rows, group_ranges, parquet_parts, read_csv, read_parquet
from stream.files.tracks.typed import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from stream.core.events import Reject, UsableLimits
    from stream.core.facts import Fixes

CHUNK: Final = 50_000
"""Rows at a time."""
_TYPED_CHUNK: Final = 500_000
"""Rows at a time where they are columns already."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackFixes:
    """Some rows of a file as fixes.

    Attributes:
        fixes: what is usable (rule 2, judged by the event's own receipt where it states one).
        line: ``int64[len(fixes)]``, where each stands in the file, as in :class:`TrackRows`.
        rejects: the others; ``index`` is their line.
        heard: what was heard of each device by day, rejects among it (rule 22).
    """

    fixes: Fixes
    line: NDArray[np.int64]
    rejects: list[Reject]
    heard: Heard


def read_fixes(
    path: Path, *, limits: UsableLimits, chunk: int = CHUNK, groups: range | None = None
) -> Iterator[TrackFixes]:
    """Reads a file of tracks as fixes, in the file's order.

    Args:
        path: the file; its form is told by its name, else by its first bytes; ``.gz`` is unpacked.
        limits: what is unusable (rule 2).
        chunk: rows at a time, about.
        groups: of a Parquet file, which row groups to read (see ``row_groups``); None: all.

    Raises:
        OSError: the file cannot be opened.
        TracksError: it is in no form known here, or lacks a column.
    """
    if form_of(path) == "parquet":
        yield from _read_typed(path, limits, max(chunk, _TYPED_CHUNK), groups)
        return
    for rows in read_rows(path, chunk=chunk):
        yield _decoded(rows, limits)


def _decoded(rows: TrackRows, limits: UsableLimits) -> TrackFixes:
    """Messages → fixes."""
    decoded = decode_positions(rows.value, None, limits=limits, traccar=True)
    found = [replace(reject, index=int(rows.line[reject.index])) for reject in decoded.rejects]
    rejects = sorted(found + rows.rejects, key=lambda reject: reject.index)
    return TrackFixes(decoded.fixes, rows.line[decoded.index], rejects, heard(decoded.judged))


def row_groups(path: Path, rows: int) -> list[range | None]:
    """What of a file can be read apart from the rest: row groups of about so many rows; None: the whole.

    Raises:
        OSError, TracksError: as for :func:`read_fixes`.
    """
    return [None] if form_of(path) != "parquet" else list(group_ranges(path, rows))


def _read_typed(path: Path, limits: UsableLimits, chunk: int, groups: range | None) -> Iterator[TrackFixes]:
    """Parquet: plain rows as the columns they are, the others as messages."""
    for part in parquet_parts(path, chunk, groups):
        found = None if isinstance(part, TrackRows) else plain(part.batch, limits)
        if isinstance(part, TrackRows) or found is None:
            yield _decoded(part if isinstance(part, TrackRows) else as_rows(part), limits)
            continue
        told = TrackFixes(found.fixes, part.number + found.row, [], heard(found.judged))
        if len(found.odd):
            # A row may have been too odd for the fast path, and be good on the other.
            other = _decoded(as_rows(part, found.odd), limits)
            fixes = frames.join([told.fixes, other.fixes])
            line = np.concatenate([told.line, other.line])
            order = np.argsort(line)
            told = TrackFixes(
                frames.select(fixes, order),
                line[order],
                other.rejects,
                Heard.joined([told.heard, other.heard]),
            )
        yield told


def read_rows(path: Path, *, chunk: int = CHUNK) -> Iterator[TrackRows]:
    """Reads a file of tracks as messages, in the file's order; JSON lines pass unchanged.

    A table of radio states (``officer_id``, ``time``, ``state``) is read in the same way, and so is a CSV of
    bookings (``duty_id``, ``officer_id``, ``start`` and more).

    Args:
        path: the file, as for :func:`read_fixes`.
        chunk: rows at a time, about.

    Raises:
        OSError: the file cannot be opened.
        TracksError: it is in no form known here, or lacks a column.
    """
    try:
        yield from _READERS[form_of(path)](path, chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as failure:
        raise TracksError(
            f"{path.name}: its compression is damaged ({failure}); copy the file again"
        ) from failure


_GPX: Final = re.compile(rb"<(\w+:)?gpx\b")
_WORKBOOKS: Final = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}


def form_of(path: Path) -> str:
    """Which form a file has: ``csv``, ``jsonl``, ``parquet``, ``gpx`` or ``nmea``.

    Raises:
        OSError: the file cannot be opened.
        TracksError: it is none of them.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    form = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if form is None:
        with closing(open_file(path)) as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith(b"<") and _GPX.search(start):  # other XML is none of ours
            return "gpx"
        for mark, guess in (
            (b"{", "jsonl"),
            (b"PAR1", "parquet"),
            (b"$", "nmea"),
            (b"!", "nmea"),
        ):
            if start.startswith(mark):
                return guess
        first = start.split(b"\n", 1)[0]
        if (b"device_id" in first or b"officer_id" in first) and b"," in first:
            return "csv"
        raise TracksError(
            f"{path.name}: not a form of tracks; give CSV, JSON lines (.jsonl), Parquet, GPX or NMEA. "
            + (
                "Take a workbook to 'patrol doctor', and one of bookings on to 'patrol roster import'"
                if suffixes and suffixes[-1] in _WORKBOOKS
                else "'patrol doctor' says what a file is and what takes it"
            )
        )
    return form


def _read_jsonl(path: Path, chunk: int) -> Iterator[TrackRows]:
    with closing(open_file(path)) as file:
        number = 0
        while lines := list(islice(file, chunk)):
            if number == 0:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            values = [line.strip() for line in lines]
            at = np.fromiter(map(bool, values), np.bool_, len(values))
            line = np.flatnonzero(at) + number + 1
            yield TrackRows(
                values if len(line) == len(values) else [each for each in values if each], line, []
            )
            number += len(lines)


_READERS: Final[dict[str, Callable[[Path, int], Iterator[TrackRows]]]] = {
    "csv": read_csv,
    "jsonl": _read_jsonl,
    "parquet": read_parquet,
    "gpx": read_gpx,
    "nmea": read_nmea,
}
_SUFFIXES: Final = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".gpx": "gpx",
    ".nmea": "nmea",
}
