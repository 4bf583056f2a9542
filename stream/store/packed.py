"""Runs of fixes as bytes and back: what a device reported within an hour, in about six bytes a fix, exactly.

Numbers that trackers send are short decimals in steady steps. So each column becomes whole numbers (the
fewest decimals that give every value again to the last bit), these become differences from the one before,
and 16 differences together are written with as many bits as the largest of them needs: binary packing of
differences, as in D. Lemire and L. Boytsov, *Decoding billions of integers per second through vectorization*
(2015). Where a value is no such decimal (NaN with a payload, -0.0, 1e308), the run's column is written as it
is. No general compressor follows: it would gain nothing, and so SQL can read it as well (``fix_rows`` of
migration 0012 is ``unpack`` in SQL).

A run, in order: a byte for the form (1); four for the step, the usual difference of times; a byte for each
column's mode (``RAW``, else the exponent of ten, with ``GAPS`` where values are missing); for each column a
byte for the width of its first value, and one for that of each 16 more; then all columns' numbers, bit after
bit, the highest first. Signed numbers are folded (0, -1, 1, -2, … are 0, 1, 2, 3, …); with ``GAPS`` 0 stands
for NaN and all others are one more.

Columns in, bytes out, and the reverse; no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORM: Final = 1
TOGETHER: Final = 16
"""So many differences share a width: 8 take a little less room, and SQL longer."""

HEAD: Final = 11
"""Bytes before the widths."""

RAW: Final = 128
"""A mode: the numbers are the values' bits (times: microseconds from the first), with no difference taken."""

GAPS: Final = 64
"""Beside the exponent in a mode: some values are NaN."""

DECIMALS: Final = range(16)
TIME_UNITS: Final = (6, 3, 0)
"""Exponents of ten by which times may be divided, the largest first."""

WHOLE: Final = 2.0**53
"""Whole numbers up to here have a float64 each."""

_KINDS: Final[tuple[type[np.floating[Any]], ...]] = (*[np.float64] * 3, *[np.float32] * 2)
COLUMNS: Final = 1 + len(_KINDS)
_BITS: Final = {np.float64: np.uint64, np.float32: np.uint32}


class RunError(ValueError):
    """Bytes that are no run of fixes; the message says what is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs of fixes, packed.

    Attributes:
        at: ``int64[m]``, time of the first fix of each, microseconds since 1970.
        count: ``int64[m]``, how many fixes each has.
        data: ``uint8[…]``, their bytes, one after another.
        ends: ``int64[m + 1]``, where each begins and ends.
    """

    at: NDArray[np.int64]
    count: NDArray[np.int64]
    data: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, at: Sequence[int], count: Sequence[int], data: Sequence[bytes]) -> Runs:
        """Runs as a database gives them."""
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array([len(x) for x in data], np.int64))])
        flat = np.frombuffer(b"".join(data), np.uint8)
        return cls(np.array(at, np.int64), np.array(count, np.int64), flat, ends)


# ── packing ───────────────────────────────────────────────────────────────────────────────────────────────


def pack(columns: Sequence[NDArray[Any]], bounds: NDArray[np.int64]) -> Runs:
    """Fixes, in order, as runs.

    Args:
        columns: times (``int64[n]``, microseconds, rising within each run, over less than an hour),
            longitudes, latitudes, errors (``float64[n]``), speeds and headings (``float32[n]``); any values.
        bounds: ``int64[m + 1]``, where each run begins and ends; none is empty.
    """
    first, count = bounds[:-1], np.diff(bounds)
    time = columns[0]
    at = time[first]
    if not len(first):
        return Runs(at, count, np.empty(0, np.uint8), np.zeros(1, np.int64))
    run = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(run)) - first[run]
    blocks = _blocks(count)
    opening = np.cumsum(blocks) - blocks
    opens = np.flatnonzero((within == 0) | ((within - 1) % TOGETHER == 0))
    size = np.diff(np.append(opens, len(run)))

    modes = np.empty((COLUMNS, len(first)), np.uint8)
    folded = []
    modes[0], step, numbers = _times(time, first, count, run)
    folded.append(numbers)
    for number, kind in enumerate(_KINDS, 1):
        modes[number], numbers = _numbers(columns[number], kind, first, run)
        folded.append(numbers)

    widths = [_bit_length(np.maximum.reduceat(numbers, opens)) for numbers in folded]
    room = np.stack([np.add.reduceat(width * size, opening) for width in widths])  # bits, by column and run
    length = HEAD + COLUMNS * blocks + (room.sum(axis=0) + 7) // 8
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)])
    data = np.zeros(int(ends[-1]) // 8 * 8 + 16, np.uint8)

    start = ends[:-1]
    data[start] = FORM
    data[start[:, None] + np.arange(1, 5)] = step.astype(">u4").view(np.uint8).reshape(-1, 4)
    data[start[:, None] + np.arange(5, HEAD)] = modes.T
    block_run = np.repeat(np.arange(len(first)), blocks)
    block_at = start[block_run] + HEAD + np.arange(len(block_run)) - opening[block_run]
    words = np.zeros(len(data) // 8, np.uint64)
    bit = (start + HEAD + COLUMNS * blocks) * 8
    for number in range(COLUMNS):
        data[block_at + number * blocks[block_run]] = widths[number]
        width = np.repeat(widths[number], size)
        before = np.cumsum(width) - width
        _put(words, bit[run] + before - before[first][run], width, folded[number])
        bit = bit + room[number]
    data |= words.astype(">u8").view(np.uint8)
    return Runs(at, count, data[: int(ends[-1])], ends)


def _blocks(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many widths a column of so many values has: one for the first, one for each 16 more."""
    return 1 + (count + TOGETHER - 2) // TOGETHER


def _times(
    time: NDArray[np.int64], first: NDArray[np.int64], count: NDArray[np.int64], run: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint64]]:
    """Times as a mode and a step of each run, and folded numbers."""
    since = time - time[first][run]
    mode = np.zeros(len(first), np.uint8)
    for exponent in reversed(TIME_UNITS):
        mode[np.bitwise_and.reduceat(since % 10**exponent == 0, first)] = exponent
    since //= (10 ** mode.astype(np.int64))[run]
    gap = np.diff(since, prepend=0)
    # The usual difference is the middle one of three: a silence is none of them, nearly always.
    some = [np.minimum(first + 1 + (count - 1) * part // 4, first + count - 1) for part in (1, 2, 3)]
    step = np.maximum(np.sort(gap[np.stack(some)], axis=0)[1], 0)
    step[count == 1] = 0
    gap -= step[run]
    gap[first] = 0
    return mode, step, _fold(gap)


def _numbers(
    values: NDArray[Any], kind: type[np.floating[Any]], first: NDArray[np.int64], run: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Values as a mode of each run, and folded numbers."""
    values = np.ascontiguousarray(values, kind)
    bits = values.view(_BITS[kind])
    missing = bits == np.array([np.nan], kind).view(_BITS[kind])[0]
    mode, whole = _decimals(values, missing, first, run)
    raw = (mode == RAW)[run]
    gaps = np.logical_or.reduceat(missing, first) & (mode != RAW)
    # What is missing is as the one before, for the differences.
    known = np.maximum.accumulate(np.where(missing, 0, np.arange(len(values)) + 1)) - 1
    kept = known >= first[run]
    whole = np.where(kept, whole[np.maximum(known, 0)], 0)
    change = np.diff(whole, prepend=0)
    change[first] = whole[first]
    folded = _fold(change)
    with_gaps = gaps[run]
    folded[with_gaps] += np.uint64(1)
    folded[missing & with_gaps] = 0
    if raw.any():
        folded[raw] = bits[raw]
    return np.where(gaps, mode | GAPS, mode).astype(np.uint8), folded


def _decimals(
    values: NDArray[Any], missing: NDArray[np.bool_], first: NDArray[np.int64], run: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The fewest decimals of each run, ``RAW`` where none do, and the whole numbers."""
    mode = np.full(len(first), RAW, np.uint8)
    whole = np.zeros(len(values), np.int64)
    size = np.diff(np.append(first, len(values)))
    last = first + size - 1
    for decimals in DECIMALS:
        asked = mode == RAW
        if not asked.any():
            break
        # The last value of a run tells quickly whether it takes more.
        ends = last[asked]
        asked[asked] = missing[ends] | _exact(values[ends], decimals)[0]
        if asked.any():
            rows = np.flatnonzero(asked[run])
            fits, found = _exact(values[rows], decimals)
            starts = np.cumsum(size[asked]) - size[asked]
            asked[asked] = np.logical_and.reduceat(fits | missing[rows], starts)
            mode[asked] = decimals
            whole[rows] = found
    return mode, whole


def _exact(values: NDArray[Any], decimals: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which values are whole numbers over a power of ten, to the last bit, and the whole numbers."""
    tens = float(10**decimals)
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.rint(values.astype(np.float64) * tens)
        fits = np.abs(found) < WHOLE
        fits &= (found / tens).astype(values.dtype) == values
        fits &= (found != 0) | ~np.signbit(values)
        return fits, np.where(fits, found, 0).astype(np.int64)


def _fold(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _unfold(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (numbers >> np.uint64(1)).view(np.int64) ^ -(numbers & np.uint64(1)).view(np.int64)


def _bit_length(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    high, low = numbers >> np.uint64(32), numbers & np.uint64(0xFFFF_FFFF)
    # Below 2**53 a float's exponent is the number of bits.
    above, below = (np.frexp(part.astype(np.float64))[1] for part in (high, low))
    return np.where(high > 0, above + 32, below).astype(np.int64)


def _put(
    words: NDArray[np.uint64], at: NDArray[np.int64], width: NDArray[np.int64], numbers: NDArray[np.uint64]
) -> None:
    """Writes numbers of so many bits each from bits on that are all 0 yet."""
    some = width > 0
    at, width, numbers = at[some], width[some], numbers[some]
    word, room = at >> 6, 64 - (at & 63) - width
    inside = room >= 0
    np.add.at(words, word[inside], numbers[inside] << room[inside].astype(np.uint64))
    over = ~inside
    spill = -room[over]
    np.add.at(words, word[over], numbers[over] >> spill.astype(np.uint64))
    np.add.at(words, word[over] + 1, numbers[over] << (64 - spill).astype(np.uint64))


# ── unpacking ─────────────────────────────────────────────────────────────────────────────────────────────


def unpack(runs: Runs) -> list[NDArray[Any]]:
    """The fixes of runs, one run after another.

    Returns:
        columns as ``pack`` takes them.

    Raises:
        RunError: the bytes are of another form, or too few.
    """
    count, start = runs.count, runs.ends[:-1]
    if not len(runs):
        return [np.empty(0, np.int64), *(np.empty(0, kind) for kind in _KINDS)]
    blocks = _blocks(count)
    length = np.diff(runs.ends)
    if (length < HEAD + COLUMNS * blocks).any() or (runs.data[start] != FORM).any():
        raise RunError("bytes of another form among the stored fixes: a newer program wrote them")
    data = np.concatenate([runs.data, np.zeros(16 - len(runs.data) % 8, np.uint8)])
    words = data.view(">u8").astype(np.uint64)
    first = np.cumsum(count) - count
    run = np.repeat(np.arange(len(runs)), count)
    within = np.arange(len(run)) - first[run]
    opens = np.flatnonzero((within == 0) | ((within - 1) % TOGETHER == 0))
    size = np.diff(np.append(opens, len(run)))
    opening = np.cumsum(blocks) - blocks
    block_run = np.repeat(np.arange(len(runs)), blocks)
    block_at = start[block_run] + HEAD + np.arange(len(block_run)) - opening[block_run]
    bit = (start + HEAD + COLUMNS * blocks) * 8
    step = data[start[:, None] + np.arange(1, 5)].copy().view(">u4").ravel().astype(np.int64)
    columns: list[NDArray[Any]] = []
    for number in range(COLUMNS):
        widths = data[block_at + number * blocks[block_run]].astype(np.int64)
        width = np.repeat(widths, size)
        before = np.cumsum(width) - width
        room = np.add.reduceat(widths * size, opening)
        if ((bit + room + 7) // 8 > runs.ends[1:]).any() or (widths > 64).any():
            raise RunError("bytes are missing among the stored fixes: restore them from a backup")
        numbers = _get(words, bit[run] + before - before[first][run], width)
        bit = bit + room
        mode = data[start + 5 + number]
        if number == 0:
            columns.append(_times_of(numbers, mode, step, runs.at, first, run))
        else:
            columns.append(_values_of(numbers, mode, _KINDS[number - 1], first, run))
    return columns


def _get(words: NDArray[np.uint64], at: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.uint64]:
    word, skip = at >> 6, (at & 63).astype(np.uint64)
    found: NDArray[np.uint64] = words[word] << skip
    over = np.flatnonzero((at & 63) + width > 64)
    found[over] |= words[word[over] + 1] >> (np.uint64(64) - skip[over])
    found >>= (64 - np.maximum(width, 1)).astype(np.uint64)
    found[width == 0] = 0
    return found


def _times_of(
    numbers: NDArray[np.uint64],
    mode: NDArray[np.uint8],
    step: NDArray[np.int64],
    at: NDArray[np.int64],
    first: NDArray[np.int64],
    run: NDArray[np.int64],
) -> NDArray[np.int64]:
    raw = mode == RAW
    gap = _unfold(numbers) + step[run]
    gap[first] = 0
    since = _summed(gap, first, run) * (10 ** np.where(raw, 0, mode).astype(np.int64))[run]
    if raw.any():
        since = np.where(raw[run], numbers.view(np.int64), since)
    return at[run] + since


def _values_of(
    numbers: NDArray[np.uint64],
    mode: NDArray[np.uint8],
    kind: type[np.floating[Any]],
    first: NDArray[np.int64],
    run: NDArray[np.int64],
) -> NDArray[Any]:
    raw = (mode == RAW)[run]
    gaps = ((mode & GAPS) > 0)[run]
    missing = gaps & (numbers == 0)
    folded = np.where(missing, 0, numbers - gaps.astype(np.uint64))
    folded[raw] = 0
    tens = 10.0 ** (mode & (GAPS - 1)).astype(np.float64)
    values = (_summed(_unfold(folded), first, run) / tens[run]).astype(kind)
    values[missing] = np.nan
    if raw.any():
        values[raw] = numbers[raw].astype(_BITS[kind]).view(kind)
    return values


def _summed(change: NDArray[np.int64], first: NDArray[np.int64], run: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.cumsum(change)
    return total - (total[first] - change[first])[run]
