"""A layer of a boundary file as it was read, before it is judged; the error where it cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
"""Characters that control a terminal or the direction of writing; no name needs them."""


def printable(text: str) -> str:
    """A text that is safe to show: control characters are escaped, as Python does."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


LONGEST = 200
"""Characters of an id or a name."""


def unfit(text: str) -> bool:
    """Whether an id or a name is too long, or has characters that control a terminal or text direction."""
    return len(text) > LONGEST or printable(text) != text


class AreaFileError(ValueError):
    """A boundary file that cannot be used; the text is one line that says what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Limits on what a file may cost this machine.

    Attributes:
        file_bytes: size of the file, and of each file inside an archive.
        unpacked_bytes: size of everything inside an archive.
        ratio: how much an archive may grow by when unpacked, once it is over 10 MB.
        entries: files in an archive.
        features: rows of a layer.
        vertices: vertices of all its shapes.
        seconds: time to read it.
        memory_bytes: memory of the process that reads it.
    """

    file_bytes: int = 256 << 20
    unpacked_bytes: int = 512 << 20
    ratio: int = 200
    entries: int = 1_000
    features: int = 100_000
    vertices: int = 10_000_000
    seconds: float = 60.0
    memory_bytes: int = 3 << 30


LIMITS = ReadingLimits()
"""More than any force's boundaries need: all of England's wards in full detail just fit."""


@dataclass(frozen=True, slots=True, eq=False)
class RawLayer:
    """One layer just as its file has it.

    Attributes:
        source: the file's name, for messages.
        layer: the layer's name.
        driver: GDAL's word for the format.
        crs: the reference system that the file names, as WKT or a code; None where it names none.
        geometry: ``object[n]`` of shapely geometries in the file's own numbers, 2D or 3D; None where missing.
        columns: names of the other columns.
        values: one tuple a column, each ``n`` texts or None.
        unclosed: ``bool[n]``, whether a ring had to be closed to be read.
        curved: whether shapes have arcs, which reading turned into short straight lines.
        notes: what GDAL remarked.
    """

    source: str
    layer: str
    driver: str
    crs: str | None
    geometry: NDArray[np.object_]
    columns: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...]
    unclosed: NDArray[np.bool_]
    curved: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.geometry)
