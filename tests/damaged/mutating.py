"""Sound inputs → damaged ones, at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

TOKENS = (
    *(b"null", b"true", b"{}", b"[]", b'""', b"0", b"-1", b"-0.0", b"1e308", b"1e400", b"NaN", b"Infinity"),
    *(b"9" * 19, b"9" * 400, b"1" + b"0" * 5000, b"0x10", b"1_000", "٣".encode(), "１２".encode()),
    *(b"\x00", b"\\u0000", b"\\ud800", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\x85"),
    *(b"2026-02-30", b"0000-01-01T00:00:00Z", b"9999-12-31T23:59:60Z", b"24:00", b"31/02/2026"),
    *(b"2026-W53-8", b"'", b'"', b";", b",", b"\t", b"=1+1", b"@SUM(A1)", b"<script>", b"../../etc/passwd"),
    *(b"[" * 600, b'{"a":' * 600, b'"' + b"x" * 70_000 + b'"', "\u202e".encode(), "\u2028".encode()),
    *(b"%s%n", b"${x}", "ﬀ".encode(), b"EPSG:0"),
)
"""What readers of text stumble over."""


def _flipped(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    found = bytearray(data)
    for _times in range(chance.choice([1, 1, 2, 8])):
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _set(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Bytes that are lengths and counts where the form is binary."""
    at = chance.randrange(len(data) + 1)
    value = chance.choice([b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"])
    return data[:at] + value + data[at + len(value) :]


def _cut(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _without(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    low, high = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:low] + data[min(high, low + chance.choice([1, 4, 40, 4000])) :]


def _doubled(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    low, high = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:low] + data[low:high] * chance.choice([2, 2, 3, 30]) + data[high:]


def _mixed(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _told(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """A token in place of a word, a number or nothing."""
    at = chance.randrange(len(data) + 1)
    length = chance.choice([0, 0, 1, 2, 4, 10, 20])
    return data[:at] + chance.choice(TOKENS) + data[at + length :]


def _valued(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """A token in place of a value: after a colon, up to the next comma."""
    places = [at + 1 for at, byte in enumerate(data[:4000]) if byte in b":,=>"]
    if not places:
        return data
    low = chance.choice(places)
    ends = [at for at in (data.find(end, low) for end in (b",", b"}", b"]", b"\n", b"<")) if at >= 0]
    return data[:low] + chance.choice(TOKENS) + data[min(ends, default=len(data)) :]


CHANGES: tuple[Change, ...] = (
    _flipped,
    _set,
    _cut,
    _without,
    _doubled,
    _mixed,
    _told,
    _told,
    _valued,
    _valued,
)
LONGEST = 300_000


def damaged(corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """One of a corpus after a few changes, now and then none."""
    data = chance.choice(corpus)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 4])):
        data = chance.choice(CHANGES)(data, chance, corpus)[:LONGEST]
    return data
