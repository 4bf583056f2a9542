"""Rows: what every form of a file of tracks becomes, and the small tools that make them.

Texts and numbers as JSON, nothing about any one form.
"""

from __future__ import annotations

import gzip
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from stream.core.events import Reject

NUMBER: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
"""What JSON takes for a number."""
_WHOLE: Final = re.compile(rb"\s*(?:code|state|status)?\s*0*(0|[1-9][0-9]{0,8})(?:\.0*)?\s*", re.IGNORECASE)


class TracksError(ValueError):
    """A file that cannot be read as tracks at all; one line that says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackRows:
    """Some rows of a file as messages.

    Attributes:
        value: position events as JSON, good or bad.
        line: ``int64[n]``, where each stands in the file, from 1: the line (CSV, JSON lines, NMEA), the row
            (Parquet), the point (GPX).
        rejects: rows that could not even be made a message; ``index`` is their line.
    """

    value: list[bytes]
    line: NDArray[np.int64]
    rejects: list[Reject]


def open_file(path: Path) -> BinaryIO:
    """Opens a file for reading bytes, unpacked where its name ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def stem(path: Path) -> str:
    """A file's name without its endings: the device's name where a file does not say one."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def number_json(text: bytes) -> bytes:
    """A number as JSON; anything else stays a text, and will be rejected as one."""
    try:
        value = float(text)
    except ValueError:
        return text_json(text)
    return repr(value).encode() if math.isfinite(value) else text_json(text)


def text_json(text: bytes) -> bytes:
    """A text as JSON; what is not UTF-8 stays so, and will be rejected for that."""
    try:
        return msgspec.json.encode(text.decode())
    except UnicodeDecodeError:
        return b'"' + text + b'"'


def whole_json(text: bytes) -> bytes:
    """A whole number as JSON, also ``04``, ``4.0`` and ``Code 4``; anything else as it is elsewhere."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match else number_json(text)


def event_json(device: str, time: str | None, numbers: dict[str, str], valid: str | None = None) -> bytes:
    """A position event from texts; ``valid`` is what the file says of that, None where it says nothing."""
    parts = [b'{"device_id":' + msgspec.json.encode(device)]
    if time:
        parts.append(b'"time":' + msgspec.json.encode(time))
    if valid is not None:
        parts.append(b'"valid":' + msgspec.json.encode(valid))
    for name, text in numbers.items():
        cell = text.strip().encode()
        parts.append(f'"{name}":'.encode() + (cell if re.match(NUMBER.encode(), cell) else number_json(cell)))
    return b",".join(parts) + b"}"
