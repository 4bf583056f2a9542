"""What was accepted and Kafka does not have yet: on disk, or in memory.

On disk it is a folder of segments, files that are only appended to. A record is its length, the CRC of its
bytes and the bytes; what a crash left half written at a segment's end is cut off at the next start. The file
``sent`` says how far Kafka has everything; a segment that Kafka has is deleted. So what was accepted comes
out in order, at least once, whatever is killed in between. SQLite would do the same and more, but statements
stand in the store alone, and a queue needs none.

When it is full it accepts nothing more, and what it has stays: no hole is made in tracks that were accepted
already. Whoever can wait (TCP, MQTT) waits; a datagram cannot, and is dropped and counted.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import struct
import zlib
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 8 * 2**20
_HEAD: Final = struct.Struct(">II")
_RETRY_S: Final = 1.0


class BufferFolderError(OSError):
    """The folder cannot be used as a buffer; the message says why."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A message for Kafka: the topic without its prefix, the key, the value, and headers."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest records that Kafka does not have, and where the next ones begin."""

    records: Sequence[Record]
    end: tuple[int, int]


class MemoryBuffer:
    """A short queue in memory: accepted is what Kafka has. Sources fill it, and the sender empties it.

    Args:
        limit: the most records held.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._first = 0
        self._left = asyncio.Event()
        self._arrived = asyncio.Event()

    @property
    def count(self) -> int:
        """Records that Kafka does not have yet."""
        return len(self._records)

    @property
    def size(self) -> int:
        """Bytes of their values."""
        return self._bytes

    @property
    def full(self) -> bool:
        """Whether it accepts nothing at the moment."""
        return len(self._records) >= self._limit

    async def accept(self, records: Sequence[Record]) -> None:
        """Takes records and returns when Kafka has them; waits while it is full."""
        await self._until(lambda: not self.full)
        self._put(records)
        last = self._first + len(self._records)
        await self._until(lambda: self._first >= last)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._left.clear()
            await self._left.wait()

    def offer(self, records: Sequence[Record]) -> bool:
        """Takes records, without a promise: they are lost if this process is killed.

        Returns:
            False where it is full: then nothing is taken.
        """
        if self.full:
            return False
        self._put(records)
        return True

    def _put(self, records: Sequence[Record]) -> None:
        self._records += records
        self._bytes += sum(len(record.value) for record in records)
        self._arrived.set()

    async def next(self, at_most: int) -> Batch:
        """The oldest records, at least one; the same ones again until they are ``done``."""
        await self._arrived.wait()
        records = [self._records[at] for at in range(min(at_most, len(self._records)))]
        return Batch(records, (0, self._first + len(records)))

    def done(self, batch: Batch) -> None:
        """Forgets a batch."""
        for record in batch.records:
            self._bytes -= len(record.value)
            self._records.popleft()
        self._first = batch.end[1]
        if not self._records:
            self._arrived.clear()
        self._left.set()

    async def close(self) -> None:
        """Nothing is held that could be kept."""


class DiskBuffer:
    """A folder of segments.

    Args:
        folder: where; it is made where it is missing, and belongs to one process at a time.
        limit_bytes: the most that its files may take.

    Raises:
        BufferFolderError: the folder cannot be written, or another process has it.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max(limit_bytes // 8, 1))
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (folder / "lock").open("w")
        except OSError as failure:
            raise BufferFolderError(f"--buffer {folder} cannot be used: {failure.strerror}") from failure
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise BufferFolderError(
                f"--buffer {folder} is in use by another bridge: give each its own"
            ) from None
        self._sizes: dict[int, int] = {}
        self._count = 0
        self._tail: IO[bytes] | None = None
        self._waiting: list[tuple[bytes, asyncio.Future[None] | None]] = []
        self._written = self._unwritten = 0  # numbers, because metrics are asked for in another thread
        self._writing = asyncio.Lock()
        self._room = asyncio.Event()
        self._arrived = asyncio.Event()
        self._failed = False
        self._closed = False
        self._begin()

    @property
    def count(self) -> int:
        """Records that Kafka does not have yet."""
        return self._count

    @property
    def size(self) -> int:
        """Bytes of its files, and of what waits to be written."""
        return self._written + self._unwritten

    @property
    def full(self) -> bool:
        """Whether it accepts nothing at the moment: at its limit, or the disk takes nothing."""
        return self._failed or self.size >= self._limit

    async def accept(self, records: Sequence[Record]) -> None:
        """Takes records; returns when they are on disk, waits while it is full."""
        while self.full and not self._failed:
            self._room.clear()
            await self._room.wait()
        written = asyncio.get_running_loop().create_future()
        self._put(records, written)
        await self._write()
        await written

    def offer(self, records: Sequence[Record]) -> bool:
        """Takes records that are on disk a moment later."""
        if self.full:
            return False
        self._put(records, None)
        _in_background(self._write())
        return True

    async def next(self, at_most: int) -> Batch:
        """The oldest records."""
        while True:
            records, end = self._read(at_most)
            if records:
                return Batch(records, end)
            self._arrived.clear()
            await self._arrived.wait()

    def done(self, batch: Batch) -> None:
        """Writes down that Kafka has a batch, and deletes segments that it has whole."""
        self._count -= len(batch.records)
        self._from = batch.end
        self._remember()
        self._sweep()

    async def close(self) -> None:
        """Writes what was offered, and lets go of the folder."""
        if self._waiting and not self._failed:
            await self._write()
        self._closed = True
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        self._lock.close()

    # --- Writing -------------------------------------------------------------------------------------------

    def _put(self, records: Sequence[Record], written: asyncio.Future[None] | None) -> None:
        made = bytearray()
        for record in records:
            data = _encode(record)
            made += _HEAD.pack(len(data), zlib.crc32(data)) + data
        self._waiting.append((bytes(made), written))
        self._unwritten += len(made)
        self._count += len(records)

    async def _write(self) -> None:
        """Writes all that waits; whoever comes first writes for those who come meanwhile."""
        async with self._writing:
            while self._waiting and not self._closed:
                taken, self._waiting = self._waiting, []
                data = b"".join(part for part, _ in taken)
                try:
                    number = self._segment()
                    await asyncio.to_thread(self._append, number, data)
                except OSError as failure:
                    self._waiting = taken + self._waiting
                    if not self._failed:
                        why = failure.strerror or failure
                        log.warning("the buffer cannot be written: %s; waiting", why)
                    self._failed = True
                    await asyncio.sleep(_RETRY_S)
                    continue
                if self._failed:
                    log.info("the buffer can be written again")
                self._failed = False
                # Here and not in the thread: others walk over the sizes meanwhile.
                self._sizes[number] = self._sizes.get(number, 0) + len(data)
                self._written += len(data)
                self._unwritten -= len(data)
                for _, written in taken:
                    if written is not None and not written.done():
                        written.set_result(None)
                self._arrived.set()
                self._room.set()

    def _segment(self) -> int:
        """The number of the segment that is written to: a new one when it is full, or after a failure."""
        newest = max(self._sizes)
        if not self._sizes[newest] or (self._tail is not None and self._sizes[newest] < self._segment_bytes):
            return newest
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        return newest + 1

    def _append(self, number: int, data: bytes) -> None:
        """Writes bytes; after a failure the segment is left as it is, and never written to again."""
        try:
            if self._tail is None:
                self._tail = self._path(number).open("wb", buffering=0)
                folder = os.open(self._folder, os.O_RDONLY)
                try:
                    os.fsync(folder)  # the file's name has to survive too
                finally:
                    os.close(folder)
            left = memoryview(data)
            while left:
                left = left[self._tail.write(left) :]
            os.fsync(self._tail.fileno())
        except OSError:
            if self._tail is not None:
                self._tail.close()
                self._tail = None
            raise

    # --- Reading -------------------------------------------------------------------------------------------

    def _read(self, at_most: int) -> tuple[list[Record], tuple[int, int]]:
        records: list[Record] = []
        segment, offset = self._from
        while len(records) < at_most:
            if offset >= self._sizes[segment]:
                later = [number for number in self._sizes if number > segment]
                if not later:
                    break
                segment, offset = min(later), 0
                continue
            before = offset
            for data, end in _scan(self._path(segment), offset, self._sizes[segment]):
                records.append(_decode(data))
                offset = end
                if len(records) == at_most:
                    break
            if offset == before:
                log.error("%s: what follows byte %d is damaged and lost", self._path(segment), offset)
                offset = self._sizes[segment]
        return records, (segment, offset)

    def _remember(self) -> None:
        part = self._folder / "sent.part"
        part.write_text(f"{self._from[0]} {self._from[1]}\n")
        part.replace(self._folder / "sent")

    def _sweep(self) -> None:
        for number in sorted(self._sizes):
            if number >= self._from[0]:
                break
            self._path(number).unlink(missing_ok=True)
            self._written -= self._sizes.pop(number)
        self._room.set()

    # --- Beginning -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Takes up what an earlier process left."""
        found = sorted(int(path.stem) for path in self._folder.glob("*.segment") if path.stem.isdecimal())
        try:
            segment, offset = map(int, (self._folder / "sent").read_text().split())
        except (OSError, ValueError):
            segment, offset = (found[0] if found else 1), 0
        newest = max([*found, segment]) + 1
        for number in found:
            path = self._path(number)
            size = path.stat().st_size
            good = 0
            for _, end in _scan(path, 0, size):
                good = end
                if (number, end) > (segment, offset):
                    self._count += 1
            if good < size:
                log.warning("%s: cut off %d bytes that a crash left half written", path, size - good)
                os.truncate(path, good)
            if good:
                self._sizes[number] = good
            else:
                path.unlink()
        self._written = sum(self._sizes.values())
        # What is written from now on has a file of its own.
        self._sizes[newest] = 0
        first = min(number for number in self._sizes if number >= segment)
        self._from = (first, min(offset, self._sizes[first]) if first == segment else 0)
        self._sweep()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012}.segment"


Buffer: TypeAlias = MemoryBuffer | DiskBuffer
"""What sources fill and the sender empties."""


def _scan(path: Path, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """The whole records of a segment from an offset on, each with the offset after it."""
    with path.open("rb") as file:
        file.seek(start)
        at = start
        while at + _HEAD.size <= end:
            length, crc = _HEAD.unpack(file.read(_HEAD.size))
            if at + _HEAD.size + length > end:
                return
            data = file.read(length)
            if len(data) != length or zlib.crc32(data) != crc:
                return
            at += _HEAD.size + length
            yield data, at


_tasks: set[asyncio.Task[None]] = set()


def _in_background(work: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
