"""Frames give back exactly what was put in, or say that they are damaged."""

from __future__ import annotations

import json
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.facts import Fixes
from stream.core.frames import (
    FIX_BYTES,
    FrameError,
    compact,
    decode,
    decode_lines,
    encode,
    encode_lines,
    join,
    partition_of,
    select,
    split,
)

_NAMES = ("r1", "r2", "FX12ABC", "ü-3", "x" * 200, "4")
_ROW = st.tuples(
    st.integers(0, len(_NAMES) - 1),
    st.integers(-(2**62), 2**62),
    *[st.floats(allow_infinity=False)] * 3,
    *[st.floats(allow_infinity=False, width=32)] * 2,
)


def _fixes(rows: list[tuple[Any, ...]]) -> Fixes:
    device, time, lon, lat, error, speed, heading = zip(*rows, strict=True) if rows else ([],) * 7
    return Fixes(
        device=np.array(device, np.int32),
        time=np.array(time, np.int64),
        lon=np.array(lon, np.float64),
        lat=np.array(lat, np.float64),
        error_m=np.array(error, np.float64),
        speed_mps=np.array(speed, np.float32),
        heading_deg=np.array(heading, np.float32),
        device_ids=_NAMES,
    )


_FIXES = st.lists(_ROW, max_size=30).map(_fixes)


def _rows(fixes: Fixes) -> list[tuple[object, ...]]:
    """Each fix as values that compare to the bit, NaN too."""
    columns = (fixes.time, fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg)
    names = [fixes.device_ids[code] for code in fixes.device.tolist()]
    return list(zip(names, *([cell.tobytes() for cell in column] for column in columns), strict=True))


def _used(fixes: Fixes) -> bool:
    """Whether each name stands once in the table and is pointed at."""
    codes = set(fixes.device.tolist())
    return codes == set(range(len(fixes.device_ids))) and len(set(fixes.device_ids)) == len(codes)


@given(_FIXES, st.dictionaries(st.text(max_size=5), st.integers(-(2**63), 2**63) | st.text(max_size=5)))
def test_a_frame_gives_back_what_was_put_in(fixes: Fixes, meta: dict[str, int | str]) -> None:
    """Every column comes back to the bit, in the same order, with only the names that occur."""
    frame = decode(encode(fixes, meta=meta))
    assert _rows(frame.fixes) == _rows(fixes)
    assert _used(frame.fixes)
    assert dict(frame.meta) == meta


@given(_FIXES, st.data())
def test_a_damaged_frame_is_refused(fixes: Fixes, data: st.DataObject) -> None:
    """Any byte changed, any part cut off or added: the frame is refused, never read wrongly."""
    whole = encode(fixes)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    for spoilt in (bytes(changed), whole[:at], whole + b"\0", whole[at + 1 :]):
        with pytest.raises(FrameError):
            decode(spoilt)


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no frame are refused with a FrameError and nothing else."""
    with pytest.raises(FrameError):
        decode(data)


@pytest.mark.parametrize(
    ("header", "columns", "complaint"),
    [
        (msgspec.msgpack.encode([1, ["r1"], {}]), FIX_BYTES - 1, "a frame for 1 fixes has 43 bytes"),
        (msgspec.msgpack.encode([-1, ["r1"], {}]), 0, "a frame for -1 fixes"),
        (msgspec.msgpack.encode([1, [], {}]), FIX_BYTES, "beyond its 0 device names"),
        (msgspec.msgpack.encode([1, ["r1", "r1"], {}]), FIX_BYTES, "names a device twice"),
        (msgspec.msgpack.encode([1]), 0, "unreadable header"),
        (b"\xc1", 0, "unreadable header"),
        (b"\x93\x00\x91\xa1\xff\x80", 0, "unreadable header"),
    ],
)
def test_a_frame_that_was_written_wrongly_is_refused(header: bytes, columns: int, complaint: str) -> None:
    """A frame with a good checksum but an impossible header is refused, and the message says why."""
    body = header + bytes(-len(header) % 8) + bytes(columns)
    whole = b"PVFX" + b"".join(n.to_bytes(4, "little") for n in (1, len(header), zlib.crc32(body))) + body
    with pytest.raises(FrameError, match=complaint):
        decode(whole)


def test_a_later_version_is_refused_by_its_number() -> None:
    """A frame of a version not known here is refused, and the message names the version."""
    with pytest.raises(FrameError, match="version 2, known here is 1"):
        decode(b"PVFX\2" + encode(_fixes([]))[5:])


def test_reading_a_frame_copies_nothing() -> None:
    """The columns read are views of the message, aligned to their width, and cannot be written to."""
    data = encode(_fixes([(1, 5, 1.0, 2.0, 3.0, 4.0, 5.0)] * 3))
    frame = decode(data)
    memory = np.frombuffer(data, np.uint8)
    for name in ("time", "lon", "lat", "error_m", "speed_mps", "heading_deg", "device"):
        column = getattr(frame.fixes, name)
        assert np.shares_memory(column, memory), name
        assert column.flags.aligned, name
        assert not column.flags.writeable, name


@given(_FIXES, st.integers(1, 5), st.integers(1, 8))
def test_splitting_loses_and_repeats_nothing(fixes: Fixes, partitions: int, most: int) -> None:
    """Every fix is in exactly one part; the parts are no larger than asked for, and none is empty."""
    parts = split(fixes, partitions, most)
    assert sorted(row for _, part in parts for row in _rows(part)) == sorted(_rows(fixes))
    assert all(1 <= len(part) <= most and _used(part) for _, part in parts)


@given(_FIXES, st.integers(1, 5), st.integers(1, 8))
def test_a_devices_fixes_go_to_one_partition_in_their_order(fixes: Fixes, partitions: int, most: int) -> None:
    """A device's partition is that of its name, and its fixes keep their order within it."""
    parts = split(fixes, partitions, most)
    for name in _NAMES:
        mine = [(p, row) for p, part in parts for row in _rows(part) if row[0] == name]
        assert {p for p, _ in mine} <= {zlib.crc32(name.encode()) % partitions}
        assert [row for _, row in mine] == [row for row in _rows(fixes) if row[0] == name]


def test_the_partition_of_a_name_is_for_ever() -> None:
    """The function from names to partitions is public and must never change: these are its values."""
    assert [partition_of(name, 8) for name in ("2345678", "FX12ABC", "1001", "ü-3")] == [3, 1, 1, 1]


def test_splitting_into_nothing_is_refused() -> None:
    """No partitions, or frames without room, are a mistake of the caller."""
    for partitions, most in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            split(_fixes([]), partitions, most)


def test_more_devices_than_fit_in_16_bits_are_split_as_well() -> None:
    """With over 65,536 devices, each fix still comes with its own device."""
    names = tuple(f"d{i}" for i in range(70_000))
    n = len(names)
    zeros, zeros32 = np.zeros(n), np.zeros(n, np.float32)
    fixes = Fixes(
        np.arange(n, dtype=np.int32)[::-1], np.arange(n), zeros, zeros, zeros, zeros32, zeros32, names
    )
    found = {
        part.device_ids[code]: at
        for _, part in split(fixes, 3, 10_000)
        for code, at in zip(part.device.tolist(), part.time.tolist(), strict=True)
    }
    assert found == {f"d{n - 1 - at}": at for at in range(n)}


@given(st.lists(_FIXES, max_size=4))
def test_joining_keeps_all_in_order(parts: list[Fixes]) -> None:
    """Joined batches have all fixes in their order, and each name once."""
    joined = join([compact(part) for part in parts])
    assert _rows(joined) == [row for part in parts for row in _rows(part)]
    assert _used(joined)


@given(_FIXES, st.data())
def test_selecting_takes_the_rows_asked_for(fixes: Fixes, data: st.DataObject) -> None:
    """Selected rows come in the order asked for, with only the names that occur."""
    rows = data.draw(st.lists(st.integers(0, len(fixes) - 1))) if len(fixes) else []
    chosen = select(fixes, np.array(rows, np.int64))
    assert _rows(chosen) == [_rows(fixes)[i] for i in rows]
    assert _used(chosen)


_JSON = st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.lists(st.none()))


@given(st.lists(st.tuples(_JSON, st.sampled_from([None, 0, 2])), max_size=6))
def test_events_packed_as_lines_mean_the_same(events: list[tuple[dict[str, Any], int | None]]) -> None:
    """JSON events, even printed over several lines, come back one by one with the same meaning."""
    values = [json.dumps(event, indent=indent).encode() for event, indent in events]
    assert [json.loads(line) for line in decode_lines(encode_lines(values))] == [e for e, _ in events]
