"""Coordinates as systems write them → degrees: decimal commas, minutes, letters, grids, points in "
"one cell.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.files.foreign import blank, float_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.files.foreign import Cell

_PLAIN: Final = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[-+]?\.\d+", re.ASCII)
_COMMA: Final = re.compile(r"([-+]?\d{1,3}),(\d+)", re.ASCII)
_GROUPED: Final = re.compile(r"[-+]?\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?", re.ASCII)
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+", re.ASCII)
_MANGLED: Final = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}", re.ASCII)
_PARTS: Final = re.compile(r"\d+(?:[.,]\d+)?", re.ASCII)
_LETTER: Final = re.compile(r"[NSEWOnsewo]")
_WKT: Final = re.compile(
    rf"(?:SRID=(\d+);)?\s*POINT\s*(?:Z|M|ZM)?\s*\(\s*({_PLAIN.pattern})\s+({_PLAIN.pattern})(?:\s+\S+)*?\s*\)",
    re.IGNORECASE | re.ASCII,
)
_GRID: Final = re.compile(
    r"([HNOST][A-HJ-Z])\s*(\d{2,5})\s*(\d{2,5})|([HNOST][A-HJ-Z])\s*(\d{4,10})", re.ASCII
)
_PAIR: Final = re.compile(r"\(?\s*([^;|]+?)\s*(?:[;|]|,\s+|\s+)\s*([^;|]+?)\s*\)?")


def number_of(cell: Cell) -> float | None:
    """A number in a cell: with a decimal comma or point, groups of thousands, or as typed; None for none."""
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        return float_of(cell)
    if not isinstance(cell, str):
        return None
    text = " ".join(cell.strip().strip("°").split()).replace("\u2212", "-")
    if _PLAIN.fullmatch(text):
        return float_of(text)
    if match := _COMMA.fullmatch(text):
        return float(f"{match[1]}.{match[2]}")
    if _GROUPED.fullmatch(text):
        return float(re.sub(r"[,' ]", "", text))
    return None


def metres_of(cell: Cell) -> float | None:
    """Metres of the grid: ``458,123`` has a comma for thousands, for no easting has three decimals."""
    if isinstance(cell, str) and _THOUSANDS.fullmatch(cell.strip()):
        return float(cell.replace(",", ""))
    return number_of(cell)


def mangled(cell: Cell) -> bool:
    """Whether a spreadsheet has put points for thousands into a coordinate (``3.946.166.166``)."""
    return isinstance(cell, str) and bool(_MANGLED.fullmatch(cell.strip()))


def angle_of(cell: Cell) -> float | None:
    """An angle: a number, or degrees with minutes and seconds, with ``N``, ``S``, ``E`` or ``W``."""
    found = number_of(cell)
    if found is not None or not isinstance(cell, str):
        return found
    text = cell.strip()
    letters = _LETTER.findall(text)
    parts = _PARTS.findall(text)
    numbers = [float(part.replace(",", ".")) for part in parts]
    rest = re.sub(r"[-+\d.,\s°º˚*'’′\"”″:dmsNSEWOnsewo]", "", text)
    if rest or not 1 <= len(numbers) <= 3 or len(letters) > 1 or any(each >= 60 for each in numbers[1:]):
        return None
    if any(not part.isdigit() for part in parts[:-1]) or re.search(r".-|, ", text):
        return None  # two numbers rather than degrees and minutes
    if len(numbers) == 1 and not letters:
        return None
    value = math.fsum(number / 60**power for power, number in enumerate(numbers))
    west = letters and letters[0].upper() in "SW"
    return -value if west or text.startswith("-") else value


def minutes_of(value: float) -> float | None:
    """Degrees of a number as receivers write it, ``5238.2140`` for 52° 38.2140′; None for no such."""
    degrees, minutes = divmod(abs(value), 100)
    return None if minutes >= 60 else math.copysign(degrees + minutes / 60, value)


def is_side(cell: Cell, letters: str) -> bool:
    """Whether a cell is one letter for a hemisphere."""
    return isinstance(cell, str) and len(cell.strip()) == 1 and cell.strip().upper() in letters


def point_of(cell: Cell) -> tuple[str, float, float, float] | None:
    """A point in one cell.

    Returns:
        ``(form, first, second, error_m)``: ``wkt`` (x, y), ``grid`` (easting and northing of the middle of a
        square of a grid reference, and half its diagonal) or ``pair`` (in the order written).
        ``error_m`` is NaN where the text says none. None for no point.
    """
    if not isinstance(cell, str) or blank(cell):
        return None
    text = cell.strip()
    if match := _WKT.fullmatch(text):
        x, y = float_of(match[2]), float_of(match[3])
        return None if x is None or y is None else ("wkt", x, y, math.nan)
    if found := _grid_reference(text):
        return "grid", *found
    text = text.removeprefix("[").removesuffix("]")
    # "52.6369,-1.1398" is a pair; "52,6369" alone is a number with a decimal comma.
    halves = re.fullmatch(r"([-+]?\d+\.\d+)\s*,\s*([-+]?\d+\.\d+)", text, re.ASCII) or _PAIR.fullmatch(text)
    if halves is None:
        return None
    first, second = angle_of(halves[1]), angle_of(halves[2])
    if first is None or second is None:
        return None
    letters = [(_LETTER.findall(halves[at]) or [""])[0].upper() for at in (1, 2)]
    if letters[0] in {"E", "W"} and letters[1] in {"N", "S"}:
        first, second = second, first
    return "pair", first, second, math.nan


def _grid_reference(text: str) -> tuple[float, float, float] | None:
    match = _GRID.fullmatch(text.upper())
    if match is None:
        return None
    letters, east, north = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], "")
    if not north:
        if len(east) % 2:
            return None
        east, north = east[: len(east) // 2], east[len(east) // 2 :]
    if len(east) != len(north):
        return None
    big, small = ("ABCDEFGHJKLMNOPQRSTUVWXYZ".index(letter) for letter in letters)
    # Squares of 500 km from S at the origin, each of 25 squares of 100 km, row by row from the north-west.
    x = (big % 5 - 2) * 5 + small % 5
    y = (3 - big // 5) * 5 + 4 - small // 5
    size = 10 ** (5 - len(east))
    middle = size / 2
    return (
        x * 100_000 + int(east) * size + middle,
        y * 100_000 + int(north) * size + middle,
        math.hypot(middle, middle),
    )


def degrees_of_grid(
    east: Sequence[float], north: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """British National Grid → ``(lon, lat)`` in degrees, NaN outside of it."""
    from geo.boundaries.crs import grid_to_lonlat

    e, n = np.array(east, np.float64), np.array(north, np.float64)
    lon, lat = np.full(len(e), np.nan), np.full(len(e), np.nan)
    inside = (e > 0) & (e < 700_000) & (n > 0) & (n < 1_300_000)
    if inside.any():
        lon[inside], lat[inside] = grid_to_lonlat(e[inside], n[inside])
    return lon, lat


def in_britain(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie in or near the United Kingdom, by a box."""
    found: NDArray[np.bool_] = (lon > -8.8) & (lon < 2.1) & (lat > 49.7) & (lat < 61.1)
    return found


LOST_SIGN: Final = (
    "longitudes have lost their sign: they lie in the North Sea, and west of Greenwich with a minus"
)


def not_in_britain(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> str:
    """What is to be said where most of at least one position are not in Britain; empty where they are."""
    here = in_britain(lon, lat).mean()
    if here < 0.5 < in_britain(-lon, lat).mean() and (lon > 0).mean() > 0.5:
        return LOST_SIGN
    where = f"around lat {np.median(lat):.2f}, lon {np.median(lon):.2f}"
    return f"most positions are not in Britain: {where}" if here < 0.5 else ""
