"""Frames: many fixes in one Kafka message, columns as they lie in memory; and events packed as lines.

Pure functions between columns and bytes. No Kafka, no JSON parsing, no judgement of the fixes: only whether
the bytes are intact.

A frame is ``MAGIC``, the version, the header's length, and the CRC-32 of all that follows it (``uint32``
each); the header (msgpack: number of fixes, device names, meta), zero bytes up to a multiple of eight, and
the columns one after another. All numbers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from stream.core.facts import Fixes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAGIC: Final = b"PVFX"
VERSION: Final = 1

_PREFIX: Final = struct.Struct("<4sIII")
# The eight-byte columns come first, so that each column begins at a multiple of its own width.
_COLUMNS: Final = (
    ("time", np.dtype("<i8")),
    ("lon", np.dtype("<f8")),
    ("lat", np.dtype("<f8")),
    ("error_m", np.dtype("<f8")),
    ("speed_mps", np.dtype("<f4")),
    ("heading_deg", np.dtype("<f4")),
    ("device", np.dtype("<i4")),
)
FIX_BYTES: Final = sum(kind.itemsize for _, kind in _COLUMNS)
"""What a fix takes in a frame, beside its share of the names: 44 bytes."""


class FrameError(ValueError):
    """Bytes that are not a complete frame of a known version; the message says what is wrong with them."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame read: its fixes (columns that cannot be written to), and what its writer noted about it."""

    fixes: Fixes
    meta: Mapping[str, int | str]


class _Header(msgspec.Struct, array_like=True):
    count: int
    device_ids: tuple[str, ...]
    meta: dict[str, int | str]


_read_header: Final = msgspec.msgpack.Decoder(_Header).decode


def encode(fixes: Fixes, *, meta: Mapping[str, int | str] | None = None) -> bytes:
    """Fixes → the bytes of a frame; of the device names only those that occur are written.

    Args:
        fixes: any number, in any order; the order is kept.
        meta: notes for people and gauges, such as the time of receipt; nothing is computed from them.
    """
    fixes = compact(fixes)
    header = msgspec.msgpack.encode(_Header(len(fixes), fixes.device_ids, dict(meta or {})))
    gap = bytes(-(_PREFIX.size + len(header)) % 8)
    columns = [np.ascontiguousarray(getattr(fixes, name), kind).tobytes() for name, kind in _COLUMNS]
    body = b"".join((header, gap, *columns))
    return _PREFIX.pack(MAGIC, VERSION, len(header), zlib.crc32(body)) + body


def decode(data: bytes | memoryview) -> Frame:
    """The bytes of a frame → its fixes; the columns look into ``data``, nothing is copied.

    Raises:
        FrameError: not a frame, of another version, cut short, or damaged.
    """
    if len(data) < _PREFIX.size or data[:4] != MAGIC:
        raise FrameError("not a frame: it does not begin with PVFX")
    _, version, header_bytes, checksum = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise FrameError(f"a frame of version {version}, known here is {VERSION}: update the reader first")
    body = memoryview(data)[_PREFIX.size :]
    if zlib.crc32(body) != checksum:
        raise FrameError(f"a frame cut short or damaged: its {len(body)} bytes do not match their checksum")
    # From here on the bytes are as they were written; what is still wrong was written so.
    try:
        header = _read_header(body[:header_bytes])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise FrameError(f"a frame with an unreadable header: {failure}") from failure
    at = header_bytes + -(_PREFIX.size + header_bytes) % 8
    if len(set(header.device_ids)) < len(header.device_ids):
        raise FrameError("a frame that names a device twice")
    if header.count < 0 or len(body) - at != header.count * FIX_BYTES:
        raise FrameError(f"a frame for {header.count} fixes has {len(body) - at} bytes of columns")
    columns: dict[str, Any] = {}
    for name, kind in _COLUMNS:
        columns[name] = np.frombuffer(body, kind, header.count, at)
        columns[name].flags.writeable = False
        at += header.count * kind.itemsize
    device = columns["device"]
    if header.count and not 0 <= int(device.min()) <= int(device.max()) < len(header.device_ids):
        raise FrameError(f"a frame whose fixes point beyond its {len(header.device_ids)} device names")
    return Frame(Fixes(**columns, device_ids=header.device_ids), MappingProxyType(header.meta))


def partition_of(key: str, partitions: int) -> int:
    """The partition that everything of a device, or of an officer, goes to: CRC-32 of the UTF-8 name."""
    return zlib.crc32(key.encode()) % partitions


def split(fixes: Fixes, partitions: int, max_fixes: int) -> list[tuple[int, Fixes]]:
    """Divides fixes into what goes into one frame each.

    Args:
        fixes: in any order.
        partitions: how many partitions the topic of frames has.
        max_fixes: the most fixes of one frame.

    Returns:
        ``(partition, fixes)``, ascending by partition: all fixes of a device in one partition, sorted by
        device, those of one device in the order in which they came.
    """
    if partitions < 1 or max_fixes < 1:
        raise ValueError(f"{partitions} partitions and {max_fixes} fixes a frame: both must be at least 1")
    fixes = compact(fixes)
    names = fixes.device_ids
    owner = np.array([partition_of(name, partitions) for name in names], np.int64)
    # Devices are renumbered so that those of one partition follow each other; one sort then does it all.
    by_owner = np.argsort(owner, kind="stable")
    rank = np.empty(len(names), np.int32)
    rank[by_owner] = np.arange(len(names), dtype=np.int32)
    device = rank[fixes.device]
    # Numbers of 16 bits are sorted by their digits: several times as fast, and nearly always enough.
    order = np.argsort(device.astype(np.uint16) if len(names) <= 2**16 else device, kind="stable")
    device = device[order]
    bounds = np.searchsorted(owner[by_owner][device], np.arange(partitions + 1)).tolist()
    divided: list[tuple[int, Fixes]] = []
    for partition in range(partitions):
        for low in range(bounds[partition], bounds[partition + 1], max_fixes):
            high = min(low + max_fixes, bounds[partition + 1])
            # Sorted and without absent names: a run of fixes has a run of devices.
            first, last = int(device[low]), int(device[high - 1])
            run = tuple(names[i] for i in by_owner[first : last + 1].tolist())
            part = fixes.take(order[low:high])
            part = replace(part, device=device[low:high] - np.int32(first), device_ids=run)
            divided.append((partition, part))
    return divided


def select(fixes: Fixes, rows: NDArray[np.integer]) -> Fixes:
    """The fixes of ``rows`` (``int[m]``), in that order, with only the device names that occur."""
    return compact(fixes.take(rows))


def compact(fixes: Fixes) -> Fixes:
    """The same fixes without the device names that none of them has."""
    present = np.zeros(len(fixes.device_ids), np.bool_)
    present[fixes.device] = True
    if present.all():
        return fixes
    renumbered = (np.cumsum(present) - 1).astype(np.int32)
    names = tuple(fixes.device_ids[i] for i in np.flatnonzero(present).tolist())
    return replace(fixes, device=renumbered[fixes.device], device_ids=names)


def join(parts: Sequence[Fixes]) -> Fixes:
    """Several batches of fixes as one, in their order; a device's name stands there once."""
    joining = Joining()
    for part in parts:
        joining.add(part)
    return joining.done()


class Joining:
    """Collects batches of fixes column by column, so that joining them needs little extra memory."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self._columns: dict[str, list[Any]] = {
            name: [np.empty(0, kind)] for name, kind in (("device", np.int32), *_COLUMNS[:-1])
        }

    def add(self, part: Fixes) -> None:
        """Takes one more batch."""
        codes = [self._code_of.setdefault(name, len(self._code_of)) for name in part.device_ids]
        self._columns["device"].append(np.array(codes, np.int32)[part.device])
        for name, _ in _COLUMNS[:-1]:
            self._columns[name].append(getattr(part, name))

    def done(self) -> Fixes:
        """All of them as one; the batches are released."""
        joined = {name: np.concatenate(self._columns.pop(name)) for name in list(self._columns)}
        return Fixes(**joined, device_ids=tuple(self._code_of))


def encode_lines(values: Sequence[bytes]) -> bytes:
    """Valid JSON events → one message, an event a line.

    A line feed inside an event can only stand between its tokens, where JSON takes a space as well.
    """
    return b"\n".join([value.replace(b"\n", b" ") if b"\n" in value else value for value in values])


def decode_lines(data: bytes) -> list[bytes]:
    """What :func:`encode_lines` packed."""
    return data.split(b"\n") if data else []
