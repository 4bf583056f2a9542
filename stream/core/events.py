"""Bytes from outside → columns of fixes, duties and states, and rejects with named reasons (rule 2).

Pure functions, no Kafka, no clock; when a message was received is an argument. Bad input is a value here,
never an exception: every message comes out exactly once, accepted or rejected. No geometry and no time
accounting may come in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np

from stream.core.facts import MAX_TEXT, SECOND, Allocation, Duty, Fixes, StateReport
from stream.core.frames import select
from stream.core.times import TIME_WANTED, parse_time, parse_times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")

KNOT: Final = 1852 / 3600
"""Metres a second in a knot: Traccar reports speed in knots."""
UNKNOWN: Final = -1
"""A receipt that is not known; every negative time of receipt counts as unknown."""
MAX_REVISION: Final = 2**31 - 1
EARLIEST: Final = 0
LATEST: Final = 4_102_444_800_000_000
"""1970 and 2100: one duty with a mistyped year would swamp the force's figure."""


class Reason(StrEnum):
    """Why a message was rejected (rule 2). The words are public: they are in the dead letters' headers."""

    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    BAD_VALUE = "bad_value"
    OUT_OF_RANGE = "out_of_range"
    ZERO_POSITION = "zero_position"
    ERROR_TOO_LARGE = "error_too_large"
    IN_FUTURE = "in_future"
    TOO_OLD = "too_old"


REASONS: Final = tuple(Reason)
"""All reasons in the order in which they are checked; the first that applies is given."""


@dataclass(frozen=True, slots=True)
class UsableLimits:
    """What makes a well-formed position unusable (rule 2).

    Attributes:
        retention_s: how many seconds older than its receipt a fix may be (how long facts are kept).
        max_error_m: the largest ``error_m`` taken.
        max_ahead_s: how many seconds ahead of its receipt a fix may be.
        later: others that apply instead to fixes from a time on: ``(microseconds, limits)``, in time order.
    """

    retention_s: float
    max_error_m: float = 200.0
    max_ahead_s: float = 300.0
    later: tuple[tuple[int, UsableLimits], ...] = ()

    def at(self, time: int) -> UsableLimits:
        """Those that apply to a fix of that time (microseconds)."""
        found = self
        for start, limits in self.later:
            found = limits if time >= start else found
        return found


@dataclass(frozen=True, slots=True)
class Reject:
    """A message that cannot be used: its position in the batch, the reason, and a line for people."""

    index: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A batch of positions decoded.

    Attributes:
        fixes: the accepted ones, in the order of the messages.
        index: ``int64[len(fixes)]``, which message each fix came from, ascending.
        rejects: the others, ascending by ``index``.
    """

    fixes: Fixes
    index: NDArray[np.int64]
    rejects: list[Reject]


def decode_positions(
    values: Sequence[bytes | None],
    received: NDArray[np.int64] | None,
    *,
    limits: UsableLimits,
    traccar: bool = False,
) -> Decoded:
    """Decodes a batch of position events and rejects what cannot be used (rule 2).

    Args:
        values: the messages, one JSON object each; ``None`` (a tombstone) is rejected.
        received: ``int64[n]``, when each message reached Kafka, microseconds since 1970, negative where
            unknown; ``None`` where nothing is known (files). The earlier of it and the event's own
            ``received`` counts; with neither, a time is judged neither too old nor in the future.
        limits: what is unusable.
        traccar: whether Traccar's forward form is taken beside the project's own.
    """
    parts, rejects = _decode(values, _position_shapes(values, traccar=traccar))
    index = np.concatenate([part.index for part in parts])
    ids: list[str] = []
    times: list[object] = []
    own: list[object] = []
    for part in parts:
        if part.shape is _NATIVE:
            ids += [row.device_id for row in part.rows]
            times += [row.time for row in part.rows]
            own += [row.received for row in part.rows]
        else:
            ids += [row.device.unique_id for row in part.rows]
            times += [row.position.time for row in part.rows]
            own += [None] * len(part.rows)
    lon, lat, error, speed, heading = np.concatenate([_numbers(part) for part in parts], axis=1)
    sensible(error, speed, heading)

    names = tuple(dict.fromkeys(ids))
    code_of = {name: code for code, name in enumerate(names)}
    device = np.fromiter(map(code_of.__getitem__, ids), np.int32, len(ids))
    time, time_ok = parse_times(times)
    record = np.full(len(ids), UNKNOWN, np.int64) if received is None else received[index]
    receipt = _earlier(_received(own), record)
    faults = {code: fault for code, name in enumerate(names) if (fault := text_fault(name))}
    device_ok = ~np.isin(device, list(faults)) if faults else np.True_

    verdict = judge(time, lon, lat, error, receipt, limits=limits)
    verdict[~(time_ok & device_ok)] = REASONS.index(Reason.BAD_VALUE)
    for i in np.flatnonzero(verdict >= 0).tolist():
        reason = REASONS[verdict[i]]
        if reason is not Reason.BAD_VALUE:
            detail = _explain(
                reason,
                limits.at(int(time[i])),
                time=int(time[i]),
                receipt=int(receipt[i]),
                lon=float(lon[i]),
                lat=float(lat[i]),
                error_m=float(error[i]),
            )
        elif device[i] in faults:
            detail = f"device_id {faults[int(device[i])]}"
        else:
            detail = f"time {_short(times[i])} is {TIME_WANTED}"
        rejects.append(Reject(int(index[i]), reason, detail))
    rejects.sort(key=lambda reject: reject.index)

    good = np.flatnonzero(verdict < 0)
    if len(parts) > 1:
        good = good[np.argsort(index[good])]
    fixes = Fixes(
        device=device,
        time=time,
        lon=lon,
        lat=lat,
        error_m=error,
        speed_mps=speed.astype(np.float32),
        heading_deg=heading.astype(np.float32),
        device_ids=names,
    )
    # The names of rejected messages are dropped: they may be bad ones.
    return Decoded(select(fixes, good), index[good], rejects)


def sensible(
    error_m: NDArray[np.float64], speed_mps: NDArray[np.float64], heading_deg: NDArray[np.float64]
) -> None:
    """Replaces, in place, values that make no sense for a position by NaN, as if they were missing."""
    error_m[error_m < 0] = math.nan
    speed_mps[~((speed_mps >= 0) & (speed_mps < 1e6))] = math.nan
    heading_deg[~((heading_deg >= 0) & (heading_deg <= 360))] = math.nan


def judge(
    time: NDArray[np.int64],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    error_m: NDArray[np.float64],
    receipt: NDArray[np.int64],
    *,
    limits: UsableLimits,
) -> NDArray[np.int8]:
    """Judges well-formed positions, wherever they were read (rule 2).

    Args:
        time: ``int64[n]``, microseconds since 1970.
        lon: ``float64[n]``, degrees; what is not finite is out of range.
        lat: ``float64[n]``, degrees.
        error_m: ``float64[n]``, metres, NaN where missing.
        receipt: ``int64[n]``, microseconds, negative where unknown.
        limits: what is unusable.

    Returns:
        ``int8[n]``: the index in ``REASONS`` of the first reason that applies, -1 where the fix is usable.
    """
    verdict = _judge(time, lon, lat, error_m, receipt, limits)
    for start, later in limits.later:
        rows = time >= start
        if rows.any():
            verdict[rows] = _judge(time[rows], lon[rows], lat[rows], error_m[rows], receipt[rows], later)
    return verdict


def _judge(
    time: NDArray[np.int64],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    error_m: NDArray[np.float64],
    receipt: NDArray[np.int64],
    limits: UsableLimits,
) -> NDArray[np.int8]:
    verdict = np.full(len(time), -1, np.int8)
    known = receipt >= 0
    age = np.where(known, receipt, time) - time
    # Written from the last reason to the first, so that the first one stays.
    verdict[(age > round(limits.retention_s * SECOND)) | (time < EARLIEST)] = REASONS.index(Reason.TOO_OLD)
    ahead = (-age > round(limits.max_ahead_s * SECOND)) | (time >= LATEST)
    verdict[ahead] = REASONS.index(Reason.IN_FUTURE)
    verdict[error_m > limits.max_error_m] = REASONS.index(Reason.ERROR_TOO_LARGE)
    verdict[(lon == 0) & (lat == 0)] = REASONS.index(Reason.ZERO_POSITION)
    verdict[~((np.abs(lon) <= 180) & (np.abs(lat) <= 90))] = REASONS.index(Reason.OUT_OF_RANGE)
    return verdict


def decode_duties(values: Sequence[bytes | None]) -> tuple[list[Duty], NDArray[np.int64], list[Reject]]:
    """Decodes bookings (rule 8): the duties accepted, the index of each one's message, and the rejects."""
    return _one_by_one(values, _DUTY, _duty)


def decode_states(
    values: Sequence[bytes | None],
) -> tuple[list[StateReport], NDArray[np.int64], list[Reject]]:
    """Decodes radio states (rule 10): the reports, the index of each one's message, and the rejects."""
    return _one_by_one(values, _STATE, _state)


# --- Times -----------------------------------------------------------------------------------------------


def _received(values: list[object]) -> NDArray[np.int64]:
    """The events' own times of receipt, ``UNKNOWN`` where there is no valid one."""
    if values.count(None) == len(values):
        return np.full(len(values), UNKNOWN, np.int64)
    time, ok = parse_times(values)
    time[~ok] = UNKNOWN
    return time


def _earlier(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(a < 0, b, np.where(b < 0, a, np.minimum(a, b)))


# --- The forms that messages have ------------------------------------------------------------------------

_Time = str | int
_Number = float | None


class _Position(msgspec.Struct, gc=False):
    device_id: str
    time: _Time
    lon: float
    lat: float
    error_m: _Number = math.nan
    speed_mps: _Number = math.nan
    heading_deg: _Number = math.nan
    received: Any = None


class _TraccarPosition(msgspec.Struct, gc=False):
    time: _Time = msgspec.field(name="fixTime")
    longitude: float
    latitude: float
    accuracy: _Number = math.nan
    speed: _Number = math.nan
    course: _Number = math.nan


class _TraccarDevice(msgspec.Struct, gc=False):
    unique_id: str = msgspec.field(name="uniqueId")


class _TraccarForward(msgspec.Struct, gc=False):
    position: _TraccarPosition
    device: _TraccarDevice


class _Allocated(msgspec.Struct, gc=False):
    device_id: str
    kind: Literal["radio", "vehicle"]
    start: _Time | None = None
    end: _Time | None = None


class _Booking(msgspec.Struct, gc=False):
    duty_id: str
    revision: Annotated[int, msgspec.Meta(ge=0, le=MAX_REVISION)]
    officer_id: str
    start: _Time
    end: _Time | None = None
    patch: list[str] | None = None
    devices: list[_Allocated] | None = None
    cancelled: bool = False
    name: str | None = None
    role: str | None = None
    team: str | None = None


class _Status(msgspec.Struct, gc=False):
    officer_id: str
    time: _Time
    state: Annotated[int, msgspec.Meta(ge=0, le=255)]


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """A form that messages may have: its decoder, the fields it cannot do without, and one that shows it."""

    decode: Callable[[Any], Any]
    needed: tuple[tuple[str, ...], ...]
    mark: str


def _shape(kind: type[Any], *needed: str, mark: str) -> _Shape:
    return _Shape(msgspec.json.Decoder(kind).decode, tuple(tuple(name.split(".")) for name in needed), mark)


NEEDED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "positions": ("device_id", "time", "lon", "lat"),
        "duties": ("duty_id", "revision", "officer_id", "start"),
        "states": ("officer_id", "time", "state"),
    }
)
"""The fields that an event of each kind cannot do without."""

_NATIVE: Final = _shape(_Position, *NEEDED["positions"], mark="device_id")
_TRACCAR: Final = _shape(
    _TraccarForward,
    *("device.uniqueId", "position.fixTime", "position.longitude", "position.latitude"),
    mark="position",
)
_DUTY: Final = _shape(_Booking, *NEEDED["duties"], mark="duty_id")
_STATE: Final = _shape(_Status, *NEEDED["states"], mark="state")


# --- Decoding --------------------------------------------------------------------------------------------

_FAILURES: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)
"""What a decoder raises; TypeError where there is no value at all (a tombstone)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The messages of one form: which ones (``int64[n]``, ascending), and what they say."""

    shape: _Shape
    index: NDArray[np.int64]
    rows: list[Any]


def _decode(values: Sequence[bytes | None], shapes: tuple[_Shape, ...]) -> tuple[list[_Part], list[Reject]]:
    """Decodes a batch, each message in the first form that fits it."""
    parts: list[_Part] = []
    failures: dict[int, dict[_Shape, Exception]] = {}
    left = np.arange(len(values), dtype=np.int64)
    for shape in shapes:
        rows, failed = _rows(shape, [values[i] for i in left.tolist()] if parts else values)
        parts.append(_Part(shape, np.delete(left, list(failed)), rows))
        left = left[list(failed)]
        for i, failure in zip(left.tolist(), failed.values(), strict=True):
            failures.setdefault(i, {})[shape] = failure
    return parts, [Reject(i, *_diagnose(values[i], failures[i])) for i in left.tolist()]


def _rows(shape: _Shape, values: Sequence[bytes | None]) -> tuple[list[Any], dict[int, Exception]]:
    """Decodes message by message: the rows, and the failures by position.

    Joining the messages and decoding them as lines in one call was measured too: joining, and looking whether
    that is safe (no message with a line feed in it or two objects), costs more than the calls that it saves.
    """
    rows: list[Any] = []
    failed: dict[int, Exception] = {}
    decoded = map(shape.decode, values)
    while True:
        try:
            rows.extend(decoded)  # after a failure the rows so far stay, and ``map`` goes on with the next
        except _FAILURES as failure:
            failed[len(rows) + len(failed)] = failure
        else:
            return rows, failed


def _diagnose(value: bytes | None, failures: Mapping[_Shape, Exception]) -> tuple[Reason, str]:
    """Why a message could not be decoded: looked at again, without any expectation."""
    if value is None:
        return Reason.NOT_JSON, "the message has no value"
    try:
        found = msgspec.json.decode(value)
    except UnicodeDecodeError as failure:
        return Reason.NOT_JSON, f"not UTF-8: {failure.reason}"
    except RecursionError:
        return Reason.NOT_JSON, "nested too deeply"
    except msgspec.ValidationError as failure:  # JSON in form, but with a number that is too large
        return Reason.BAD_VALUE, str(failure)
    except msgspec.DecodeError as failure:
        return Reason.NOT_JSON, str(failure)
    if not isinstance(found, dict):
        return Reason.NOT_JSON, "not a JSON object"
    shape = min(failures, key=lambda shape: (shape.mark not in found, shape is _TRACCAR))
    for path in shape.needed:
        inner: Any = found
        for name in path:
            inner = inner.get(name) if isinstance(inner, dict) else inner
        if inner is None:
            return Reason.MISSING_FIELD, f"{'.'.join(path)} is missing"
    return Reason.BAD_VALUE, _curt(str(failures[shape]))


def _position_shapes(values: Sequence[bytes | None], *, traccar: bool) -> tuple[_Shape, ...]:
    """The forms to try, the likelier one first: a topic usually has one kind of writer."""
    if not traccar:
        return (_NATIVE,)
    first = values[0] if values else None
    return (_TRACCAR, _NATIVE) if first and b'"position"' in first else (_NATIVE, _TRACCAR)


def _numbers(part: _Part) -> NDArray[np.float64]:
    """``float64[5, n]``: lon, lat, error_m, speed_mps, heading_deg; ``None`` becomes NaN."""
    columns = np.empty((5, len(part.rows)))
    if part.shape is _NATIVE:
        rows, names = part.rows, ("lon", "lat", "error_m", "speed_mps", "heading_deg")
    else:
        rows = [row.position for row in part.rows]
        names = ("longitude", "latitude", "accuracy", "speed", "course")
    for column, name in zip(columns, names, strict=True):
        column[:] = np.fromiter(map(attrgetter(name), rows), np.float64, len(rows))
    if part.shape is _TRACCAR:
        columns[2, columns[2] == 0] = math.nan  # Traccar says 0 where it does not know
        columns[3] *= KNOT
    return columns


# --- Duties and states: thousands, so one by one ---------------------------------------------------------


class _BadValueError(ValueError):
    """A well-formed message with impossible content."""


def _one_by_one(
    values: Sequence[bytes | None], shape: _Shape, make: Callable[[Any], T]
) -> tuple[list[T], NDArray[np.int64], list[Reject]]:
    parts, rejects = _decode(values, (shape,))
    made: list[T] = []
    index: list[int] = []
    for part in parts:
        for i, row in zip(part.index.tolist(), part.rows, strict=True):
            try:
                made.append(make(row))
            except _BadValueError as failure:
                rejects.append(Reject(i, Reason.BAD_VALUE, str(failure)))
            else:
                index.append(i)
    rejects.sort(key=lambda reject: reject.index)
    return made, np.array(index, np.int64), rejects


def _duty(row: _Booking) -> Duty:
    start, end = _time("start", row.start), _time_or_none("end", row.end)
    if end is not None and end <= start:
        raise _BadValueError(f"end {_short(row.end)} is not after start {_short(row.start)}")
    return Duty(
        duty_id=_text("duty_id", row.duty_id),
        revision=row.revision,
        officer_id=_text("officer_id", row.officer_id),
        start=start,
        end=end,
        patch=tuple(sorted({_text("patch", area) for area in row.patch or ()})),
        devices=tuple(_allocation(device) for device in row.devices or ()),
        cancelled=row.cancelled,
        name=_text_or_none("name", row.name),
        role=_text_or_none("role", row.role),
        team=_text_or_none("team", row.team),
    )


def _allocation(row: _Allocated) -> Allocation:
    start, end = _time_or_none("devices.start", row.start), _time_or_none("devices.end", row.end)
    if start is not None and end is not None and end <= start:
        raise _BadValueError(f"devices: end {_short(row.end)} is not after start {_short(row.start)}")
    return Allocation(_text("devices.device_id", row.device_id), row.kind, start, end)


def _state(row: _Status) -> StateReport:
    return StateReport(_text("officer_id", row.officer_id), _time("time", row.time), row.state)


def _time(field: str, value: str | int) -> int:
    time = parse_time(value)
    if time is None:
        raise _BadValueError(f"{field} {_short(value)} is {TIME_WANTED}")
    if not EARLIEST <= time < LATEST:
        raise _BadValueError(f"{field} {_short(value)} lies outside the years 1970 to 2099")
    return time


def _time_or_none(field: str, value: str | int | None) -> int | None:
    return None if value is None else _time(field, value)


def _text(field: str, value: str) -> str:
    if fault := text_fault(value):
        raise _BadValueError(f"{field} {fault}")
    return value


def _text_or_none(field: str, value: str | None) -> str | None:
    return _text(field, value) if value else None


_TEXT: Final = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{1,{MAX_TEXT}}}")
"""No control characters and no halves of surrogate pairs: a database would refuse them."""


def text_fault(value: str) -> str:
    """What is wrong with an identifier or name; empty where nothing is."""
    if _TEXT.fullmatch(value):
        return ""
    if not value:
        return "is empty"
    if len(value) > MAX_TEXT:
        return f"has {len(value)} characters, at most {MAX_TEXT} are taken"
    return f"{_short(value)} has characters that are not text"


# --- Small tools -----------------------------------------------------------------------------------------


def _short(value: object) -> str:
    return _curt(ascii(value), 60)


def _curt(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _explain(
    reason: Reason, limits: UsableLimits, *, time: int, receipt: int, lon: float, lat: float, error_m: float
) -> str:
    match reason:
        case Reason.OUT_OF_RANGE:
            return f"lon {lon:.7g}, lat {lat:.7g}: lon must be within ±180 and lat within ±90"
        case Reason.ZERO_POSITION:
            return "lon 0, lat 0: the receiver had no position"
        case Reason.ERROR_TOO_LARGE:
            return f"error_m {error_m:.7g} is over {limits.max_error_m:.7g}"
        case Reason.IN_FUTURE:
            ahead = (time - receipt) / SECOND
            return f"time is {ahead:.3f} s ahead of receipt, at most {limits.max_ahead_s:.7g} s are taken"
        case _:
            late = (receipt - time) / SECOND
            return f"time is {late:.0f} s before receipt, at most {limits.retention_s:.7g} s are taken"
