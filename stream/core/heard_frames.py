"""Heard frames: how the positions of raw partitions were judged, message by message, in one Kafka message.

Pure functions between columns and bytes, beside ``stream.core.frames``. They carry what ``Heard`` counts,
with the offset of each report on its topic from outside: so whoever counts can leave out what has come
before, however the messages were cut when they were read again.

A heard frame is ``MAGIC``, the version, the header's length, and the CRC-32 of all that follows it
(``uint32`` each); the header (msgpack: spans, device names, and of each column its least value and its
width), and the columns one after another: unsigned little-endian numbers above the least value, none where
all are equal.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np

from stream.core.calendar import day_numbers
from stream.core.events import REASONS, text_fault
from stream.core.frames import FrameError
from stream.core.quality.heard import NO_DAY, TAKEN, Heard, HeardRows, counted, heard_rows
from stream.core.times import EARLIEST, LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.events import Decoded

MAGIC: Final = b"PVHD"
VERSION: Final = 1

_PREFIX: Final = struct.Struct("<4sIII")
_COLUMNS: Final = (("device", np.int32), ("day", np.int32), ("verdict", np.int8), ("delay", np.int32))
_ALL: Final[tuple[tuple[str, Any], ...]] = (("offset", np.int64), *_COLUMNS)
_WIDTHS: Final = (0, 1, 2, 4, 8)
_LARGE: Final = 1 << 62
_PARTITIONS: Final = 1 << 31
_NAME_MAX: Final = 249
_FIRST_DAY, _LAST_DAY = day_numbers(np.array([EARLIEST, LATEST - 1], np.int64)).tolist()

RawPartition: TypeAlias = "tuple[str, int, str]"
"""A partition of a topic from outside: ``(topic, partition, incarnation)``."""


class HeardSpan(msgspec.Struct, frozen=True, array_like=True):
    """Messages of one partition of a topic from outside, one after another.

    Attributes:
        topic: its full name.
        partition: of it.
        incarnation: the topic's own id in Kafka, another one after it was deleted and made again.
        start: the first message's offset.
        end: the last one's, exclusive.
        rows: how many of them are reports that could be read; they follow those of the span before.
    """

    topic: str
    partition: int
    incarnation: str
    start: int
    end: int
    rows: int

    @property
    def source(self) -> RawPartition:
        """Where it was read from."""
        return self.topic, self.partition, self.incarnation


@dataclass(frozen=True, slots=True, eq=False)
class HeardFrame:
    """How messages of some raw partitions were judged.

    Attributes:
        spans: which messages, of each partition in the order of their offsets.
        offset: ``int64[n]``, of the reports among them, rising within a span.
        rows: ``n`` reports, in the same order.
    """

    spans: tuple[HeardSpan, ...]
    offset: NDArray[np.int64]
    rows: HeardRows

    def __len__(self) -> int:
        return len(self.offset)


def of_partitions(decoded: Decoded, topic: str, offsets: Mapping[int, NDArray[np.int64]]) -> HeardFrame:
    """How messages of raw partitions were judged; of which incarnation of their topic is to be put in.

    Args:
        decoded: all of them as one batch, the partitions one after another.
        topic: where they were read from.
        offsets: by partition, in the order of the batch, its messages' offsets, rising; at least one each.
    """
    rows, index = heard_rows(decoded.judged), decoded.judged_index
    if (index[1:] < index[:-1]).any():
        order = np.argsort(index)
        rows, index = rows.take(order), index[order]
    ends = np.cumsum([len(offset) for offset in offsets.values()])
    count = np.diff(np.searchsorted(index, ends), prepend=0).tolist()
    spans = tuple(
        HeardSpan(topic, partition, "", int(offset[0]), int(offset[-1]) + 1, reports)
        for (partition, offset), reports in zip(offsets.items(), count, strict=True)
    )
    return HeardFrame(spans, np.concatenate(list(offsets.values()))[index], rows)


def without(frame: HeardFrame, offsets: Mapping[int, Sequence[int]]) -> HeardFrame:
    """The same messages without the reports at some offsets: they were heard before.

    Args:
        frame: as ``of_partitions`` makes it.
        offsets: by partition, in any order.
    """
    kept, spans, first = np.ones(len(frame.offset), np.bool_), [], 0
    for span in frame.spans:
        mine = slice(first, first + span.rows)
        gone = np.array(offsets.get(span.partition, ()), np.int64)
        kept[mine] = ~np.isin(frame.offset[mine], gone)
        spans.append(msgspec.structs.replace(span, rows=int(kept[mine].sum())))
        first += span.rows
    return HeardFrame(tuple(spans), frame.offset[kept], frame.rows.take(kept))


class _Header(msgspec.Struct, array_like=True):
    spans: tuple[HeardSpan, ...]
    device_ids: tuple[str, ...]
    columns: tuple[tuple[int, int], ...]


_read_header: Final = msgspec.msgpack.Decoder(_Header).decode


def encode(frame: HeardFrame) -> bytes:
    """A heard frame → bytes; of the device names only those that occur are written."""
    rows = frame.rows
    device, device_ids = _compact(rows)
    # In the usual case every message is a report, and nothing is left of the offsets.
    columns = [frame.offset - _unbroken(frame.spans), device, rows.day, rows.verdict, rows.delay]
    told, parts = [], []
    for column in columns:
        least, most = (int(column.min()), int(column.max())) if len(column) else (0, 0)
        width = next(width for width in _WIDTHS if most - least < 1 << 8 * width)
        told.append((least, width))
        if width:
            # A difference too large for the column's own type is right in as many unsigned bits.
            parts.append((column - column.dtype.type(least)).astype(f"<u{width}").tobytes())
    header = msgspec.msgpack.encode(_Header(frame.spans, device_ids, tuple(told)))
    body = b"".join((header, *parts))
    return _PREFIX.pack(MAGIC, VERSION, len(header), zlib.crc32(body)) + body


def decode(data: bytes | memoryview) -> HeardFrame:
    """Bytes → the heard frame.

    Raises:
        FrameError: not a heard frame, of another version, cut short, or damaged.
    """
    if len(data) < _PREFIX.size or data[:4] != MAGIC:
        raise FrameError("not a heard frame: it does not begin with PVHD")
    _, version, header_bytes, checksum = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise FrameError(
            f"a heard frame of version {version}, known here is {VERSION}: update the reader first"
        )
    body = memoryview(data)[_PREFIX.size :]
    if zlib.crc32(body) != checksum:
        raise FrameError(
            f"a heard frame cut short or damaged: its {len(body)} bytes do not match their checksum"
        )
    # From here on the bytes are as they were written; what is still wrong was written so.
    try:
        header = _read_header(body[:header_bytes])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise FrameError(f"a heard frame with an unreadable header: {failure}") from failure
    if not all(0 <= span.start <= span.start + span.rows <= span.end < _LARGE for span in header.spans):
        raise FrameError("a heard frame with a span of more reports than messages")
    count = sum(span.rows for span in header.spans)
    widths = [width for _, width in header.columns]
    if len(widths) != len(_ALL) or not set(widths) <= set(_WIDTHS):
        raise FrameError("a heard frame with other columns than are known")
    if len(body) - header_bytes != count * sum(widths):
        raise FrameError(f"a heard frame of {count} reports has {len(body) - header_bytes} bytes of columns")
    at = header_bytes
    values: list[NDArray[Any]] = []
    for (least, width), (_, kind) in zip(header.columns, _ALL, strict=True):
        above = np.frombuffer(body, f"<u{width}", count, at) if width else np.empty(0, np.uint8)
        limits = np.iinfo(kind)
        if not limits.min <= least <= least + int(above.max(initial=0)) <= limits.max:
            raise FrameError("a heard frame with numbers that are too large")
        values.append(above.astype(kind) + kind(least) if width else np.full(count, least, kind))
        at += count * width
    offset, device, day, verdict, delay = values
    rows = HeardRows(device, day, verdict, delay, header.device_ids)
    if count and not -1 <= int(rows.device.min()) <= int(rows.device.max()) < len(rows.device_ids):
        raise FrameError(f"a heard frame whose reports point beyond its {len(rows.device_ids)} device names")
    if fault := _fault(header.spans, rows):
        raise FrameError(f"a heard frame that cannot be counted: {fault}")
    return HeardFrame(header.spans, offset + _unbroken(header.spans), rows)


def _fault(spans: Sequence[HeardSpan], rows: HeardRows) -> str:
    """What no writer of ours says, and no database could keep; empty where there is nothing."""
    for span in spans:
        if not 0 <= span.partition < _PARTITIONS:
            return f"partition {span.partition}"
        for text in (span.topic, span.incarnation):
            if len(text) > _NAME_MAX or not text.isprintable():
                return "a topic or its id is no text"
    if len(set(rows.device_ids)) < len(rows.device_ids):
        return "a device is named twice"
    for name in rows.device_ids:
        if fault := text_fault(name):
            return f"a device_id {fault}"
    if not ((rows.verdict >= TAKEN) & (rows.verdict < len(REASONS))).all():
        return "a verdict is none that is known here"
    if not ((rows.day == NO_DAY) | ((rows.day >= _FIRST_DAY) & (rows.day <= _LAST_DAY))).all():
        return "a day is not of the years 2000 to 2099"
    return ""


def join(parts: Sequence[HeardFrame]) -> HeardFrame:
    """Several frames as one, in their order; a device's name stands there once."""
    code_of: dict[str, int] = {}
    columns: list[tuple[NDArray[Any], ...]] = [tuple(np.empty(0, kind) for _, kind in _COLUMNS)]
    for part in parts:
        rows = part.rows
        new = [name for name in rows.device_ids if name not in code_of]
        code_of.update(zip(new, range(len(code_of), len(code_of) + len(new)), strict=True))
        # The one behind the last is that of -1.
        codes = np.array([*map(code_of.__getitem__, rows.device_ids), -1], np.int32)
        columns.append((codes[rows.device], rows.day, rows.verdict, rows.delay))
    device, day, verdict, delay = (np.concatenate(column) for column in zip(*columns, strict=True))
    return HeardFrame(
        tuple(span for part in parts for span in part.spans),
        np.concatenate([np.empty(0, np.int64), *(part.offset for part in parts)]),
        HeardRows(device, day, verdict, delay, tuple(code_of)),
    )


def split(frame: HeardFrame, most: int) -> list[HeardFrame]:
    """The same in frames of at most so many reports, in the order in which they must be counted."""
    if len(frame) <= most:
        return [frame]
    made, at = [], 0
    for span in frame.spans:
        for low in range(0, max(span.rows, 1), most):
            high = min(low + most, span.rows)
            some = np.arange(at + low, at + high)
            start = span.start if not low else int(frame.offset[at + low])
            end = span.end if high == span.rows else int(frame.offset[at + high])
            piece = msgspec.structs.replace(span, start=start, end=end, rows=high - low)
            made.append(HeardFrame((piece,), frame.offset[some], frame.rows.take(some)))
        at += span.rows
    return made


def fresh(
    found: Sequence[HeardFrame], passed: Mapping[RawPartition, int]
) -> tuple[Heard, dict[RawPartition, int]]:
    """What is counted by frames for the first time, each message once, and how far that reaches.

    Args:
        found: frames, in the order in which they came.
        passed: of each raw partition the offset before which all messages are counted; missing is none.

    Returns:
        ``(counts, reached)``: what came for the first time, and what ``passed`` becomes with it, of the
        partitions concerned.
    """
    every = join(found)
    reached: dict[RawPartition, int] = {}
    new = np.zeros(len(every), np.bool_)
    at = 0
    for span in every.spans:
        known = reached.get(span.source, passed.get(span.source, 0))
        some = slice(at, at + span.rows)
        new[some] = known <= span.start or every.offset[some] >= known
        at += span.rows
        reached[span.source] = max(known, span.end)
    return counted(every.rows if new.all() else every.rows.take(new)), reached


def _compact(rows: HeardRows) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The devices without the names that no report has."""
    present = np.zeros(len(rows.device_ids) + 1, np.bool_)
    present[rows.device] = True  # -1 is the one behind the last
    present[-1] = True
    if present.all():
        return rows.device, rows.device_ids
    code = (np.cumsum(present) - 1).astype(np.int32)
    code[-1] = -1
    names = tuple(rows.device_ids[at] for at in np.flatnonzero(present[:-1]).tolist())
    return code[rows.device], names


def _unbroken(spans: Sequence[HeardSpan]) -> NDArray[np.int64]:
    """The offsets of the reports if every message of each span was one, from its first on."""
    parts = [np.arange(span.start, span.start + span.rows, dtype=np.int64) for span in spans]
    return np.concatenate([np.empty(0, np.int64), *parts])
