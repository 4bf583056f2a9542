"""The wire: facts as the JSON of the public contract.

Positions by the hundred thousand, all rows at once in a matrix of bytes where every field has its place and
short numbers are filled up with spaces; bookings and states one by one. What is said is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from stream.core.calendar import moment
from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Allocation, Duty, StateReport


def _table(texts: Sequence[str]) -> NDArray[np.uint8]:
    """``uint8[n, w]``: texts of one width."""
    return np.frombuffer("".join(texts).encode(), np.uint8).reshape(len(texts), -1)


_THREE: Final = _table([f"{number:03d}" for number in range(1000)])
_FOUR: Final = _table([f"{number:04d}" for number in range(10_000)])
_TENTHS: Final = _table([f"{number / 10:5.1f}" for number in range(10_000)] + [" null"])
_DEGREES: Final = _table([f"{number:4d}" for number in range(361)] + ["null"])
_WHOLE: Final = _table(
    [f"{number:4d}" for number in range(181)] + [f"{f'-{number}':>4}" for number in range(181)]
)


class Rows(NamedTuple):
    """Reports on their way, columns of one row each.

    Attributes:
        device: ``int64[n]``, the device's number.
        time: ``int64[n]``, microseconds; whole milliseconds are written.
        lon: ``float64[n]``, degrees, written to 1e-7.
        lat: ``float64[n]``, degrees, written to 1e-7.
        error_m: ``float64[n]``, below 1,000, NaN for null.
        speed: ``float64[n]``, metres a second, below 1,000.
        heading: ``float64[n]``, degrees, NaN for null.
        received: ``int64[n]``, microseconds; whole milliseconds are written.
        send: ``int64[n]``, microseconds.
        flaw: ``int8[n]``, what is wrong with it, 0 for nothing.
    """

    device: NDArray[np.int64]
    time: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    error_m: NDArray[np.float64]
    speed: NDArray[np.float64]
    heading: NDArray[np.float64]
    received: NDArray[np.int64]
    send: NDArray[np.int64]
    flaw: NDArray[np.int8]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Rows:
        """Some rows."""
        return Rows._make(column[rows] for column in self)

    def then(self, *others: Rows) -> Rows:
        """These rows and those of others."""
        return Rows._make(np.concatenate(columns) for columns in zip(self, *others, strict=True))


def position_values(device_ids: Sequence[str], rows: Rows) -> list[bytes]:
    """Position events as JSON (topics ``radio.positions``, ``vehicle.positions``); ids of one length."""
    if not len(rows.device):
        return []
    parts: list[tuple[bytes, NDArray[np.uint8]]] = [
        (b'{"device_id":"', _table(device_ids)[rows.device]),
        (b'","time":"', _times(rows.time)),
        (b'","lon":', _coordinate(rows.lon)),
        (b',"lat":', _coordinate(rows.lat)),
        (b',"error_m":', _TENTHS[_index(rows.error_m * 10, 10_000)]),
        (b',"speed_mps":', _TENTHS[_index(rows.speed * 10, 10_000)]),
        (b',"heading_deg":', _DEGREES[_index(rows.heading, 361)]),
        (b',"received":"', _times(rows.received)),
    ]
    row = b"".join(name + bytes(cells.shape[1]) for name, cells in parts) + b'"}'
    out = np.empty((len(rows.device), len(row)), np.uint8)
    out[:] = np.frombuffer(row, np.uint8)
    column = 0
    for name, cells in parts:
        column += len(name)
        out[:, column : column + cells.shape[1]] = cells
        column += cells.shape[1]
    values: list[bytes] = out.view(f"S{len(row)}").ravel().tolist()
    return values


def _index(value: NDArray[np.float64], missing: int) -> NDArray[np.int64]:
    missed = np.isnan(value)
    return np.where(missed, missing, np.rint(np.where(missed, 0.0, value)).clip(0, missing - 1)).astype(
        np.int64
    )


def _times(time: NDArray[np.int64]) -> NDArray[np.uint8]:
    """``uint8[n, 24]``: RFC 3339 in UTC with milliseconds."""
    second, micros = np.divmod(time, SECOND)
    seconds, which = np.unique(second, return_inverse=True)
    out = np.full((len(time), 24), ord("Z"), np.uint8)
    out[:, :19] = _table(np.datetime_as_string(seconds.astype("datetime64[s]")).tolist())[which]
    out[:, 19] = ord(".")
    out[:, 20:23] = _THREE[micros // 1000]
    return out


def _coordinate(degrees: NDArray[np.float64]) -> NDArray[np.uint8]:
    """``uint8[n, 12]``: degrees with seven digits behind the point."""
    lattice = np.rint(np.abs(degrees) * 1e7).astype(np.int64)
    whole, rest = np.divmod(lattice, 10_000_000)
    out = np.empty((len(degrees), 12), np.uint8)
    out[:, :4] = _WHOLE[np.where((degrees < 0) & (lattice > 0), whole + 181, whole)]
    out[:, 4] = ord(".")
    out[:, 5:8], out[:, 8:12] = _THREE[rest // 10_000], _FOUR[rest % 10_000]
    return out


def rfc3339(time: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC, with as many digits as it needs."""
    spec = "seconds" if time % SECOND == 0 else "milliseconds" if time % 1000 == 0 else "microseconds"
    return moment(time).replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def duty_value(duty: Duty) -> bytes:
    """A booking as JSON (topic ``duty.bookings``)."""
    found: dict[str, Any] = {
        "duty_id": duty.duty_id,
        "revision": duty.revision,
        "officer_id": duty.officer_id,
        "name": duty.name,
        "role": duty.role,
        "team": duty.team,
        "patch": duty.patch,
        "start": rfc3339(duty.start),
        "end": None if duty.end is None else rfc3339(duty.end),
        "cancelled": duty.cancelled,
        "devices": [_allocation(each) for each in duty.devices],
    }
    return msgspec.json.encode(found)


def _allocation(device: Allocation) -> dict[str, str]:
    found = {"device_id": device.device_id, "kind": device.kind}
    if device.start is not None:
        found["start"] = rfc3339(device.start)
    if device.end is not None:
        found["end"] = rfc3339(device.end)
    return found


def state_value(state: StateReport) -> bytes:
    """A radio state as JSON (topic ``duty.states``)."""
    return msgspec.json.encode(
        {"officer_id": state.officer_id, "time": rfc3339(state.time), "state": state.state}
    )
