"""Bytes from outside → columns of fixes, duties and states, and rejects with named reasons (rule 2).

Pure functions, no Kafka, no clock; when a message was received is an argument. Bad input is a value here,
never an exception: every message comes out exactly once, accepted or rejected. No geometry and no time
accounting may come in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np

from stream.core.facts import MAX_TEXT, SECOND, Allocation, Duty, Fixes, StateReport
from stream.core.frames import select
from stream.core.times import EARLIEST, LATEST, TIME_WANTED, looks_like, parse_time, parse_times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")

KNOT: Final = 1852 / 3600
"""Metres a second in a knot: Traccar reports speed in knots."""
UNKNOWN: Final = -1
"""A receipt that is not known; every time of receipt outside the years 2000 to 2099 counts as unknown."""
MAX_REVISION: Final = 2**31 - 1


class Reason(StrEnum):
    """Why a message was rejected (rule 2). The words are public: they are in the dead letters' headers."""

    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    BAD_VALUE = "bad_value"
    NOT_A_FIX = "not_a_fix"
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
    """A message that cannot be used.

    Attributes:
        index: its position in the batch.
        reason: why, in a word.
        detail: why, in a line for people.
        device_id: of a position whose device can be told: it was heard, whatever is wrong with the position.
        time: when it says it was, microseconds since 1970, where that is a time that is taken.
    """

    index: int
    reason: Reason
    detail: str
    device_id: str | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Every report of a batch whose device can be told: what it is judged by, and how (rule 22).

    Attributes:
        device: ``int32[n]``, index into ``device_ids``.
        time: ``int64[n]``, microseconds since 1970 UTC; 0 where ``time_ok`` is False.
        time_ok: ``bool[n]``, whether the time could be read.
        dated: ``bool[n]``, whether the time says on which day it was: it could be read, and is not itself a
            reason to reject the report, be it the first one or not (rules 2 and 2c).
        receipt: ``int64[n]``, microseconds since 1970 UTC, negative where unknown.
        verdict: ``int8[n]``, the index in ``REASONS`` of why it was rejected, -1 where it is usable.
        device_ids: the names that ``device`` points at, bad ones of rejected reports among them.
    """

    device: NDArray[np.int32]
    time: NDArray[np.int64]
    time_ok: NDArray[np.bool_]
    dated: NDArray[np.bool_]
    receipt: NDArray[np.int64]
    verdict: NDArray[np.int8]
    device_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A batch of positions decoded.

    Attributes:
        fixes: the accepted ones, in the order of the messages.
        index: ``int64[len(fixes)]``, which message each fix came from, ascending.
        rejects: the others, ascending by ``index``.
        judged: all whose device can be told, in no particular order.
        judged_index: ``int64[len(judged)]``, which message each of them came from.
    """

    fixes: Fixes
    index: NDArray[np.int64]
    rejects: list[Reject]
    judged: Judged
    judged_index: NDArray[np.int64]


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
        received: ``int64[n]``, when each message reached Kafka, microseconds since 1970, ``UNKNOWN`` where
            that is not known; ``None`` where nothing is known (files). The earlier of it and the event's own
            ``received`` (in Traccar's form ``serverTime``) counts; with neither, a time is judged neither too
            old nor in the future.
        limits: what is unusable.
        traccar: whether Traccar's forward form is taken beside the project's own.
    """
    parts, malformed = _decode(values, _position_shapes(values, traccar=traccar))
    rejects, lost, lost_index = _of_devices(malformed, received, limits, traccar=traccar)
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
            own += [row.position.server_time for row in part.rows]
    lon, lat, error, speed, heading = np.concatenate([_numbers(part) for part in parts], axis=1)
    sensible(error, speed, heading)

    device, names = _numbered(ids)
    time, time_ok = parse_times(times)
    receipt = _receipts(own, received, index)
    faults = {code: fault for code, name in enumerate(names) if (fault := text_fault(name))}
    device_ok = ~np.isin(device, list(faults)) if faults else np.True_

    doubts = _doubts(parts)
    verdict = judge(time, lon, lat, error, receipt, limits=limits, doubted=doubts.doubted)
    verdict[~(time_ok & device_ok) | doubts.unreadable] = REASONS.index(Reason.BAD_VALUE)
    for i in np.flatnonzero(verdict >= 0).tolist():
        reason, heard = REASONS[verdict[i]], device[i] not in faults
        taken = bool(time_ok[i]) and EARLIEST <= time[i] < LATEST
        if reason is Reason.NOT_A_FIX:
            detail = (
                doubts.detail(i)
                or f"error_m {error[i]:.7g} is negative: so receivers say that they had no fix"
            )
        elif reason is not Reason.BAD_VALUE:
            detail = _explain(
                reason,
                limits.at(int(time[i])),
                time=int(time[i]),
                receipt=int(receipt[i]),
                lon=float(lon[i]),
                lat=float(lat[i]),
                error_m=float(error[i]),
            )
        elif not heard:
            detail = f"device_id {faults[int(device[i])]}"
        elif not taken:
            known = int(receipt[i]) if EARLIEST <= receipt[i] < LATEST else None
            detail = f"time {_untaken(times[i], known)}"
        else:
            detail = doubts.detail(i)
        at = int(time[i]) if taken else None
        rejects.append(Reject(int(index[i]), reason, detail, ids[i] if heard else None, at))
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
    dated = _dated(time, time_ok, receipt, verdict, limits)
    judged = Judged(device, time, time_ok, dated, receipt, verdict, names)
    if len(lost):
        judged = _joined(judged, lost)
    return Decoded(select(fixes, good), index[good], rejects, judged, np.concatenate([index, lost_index]))


def _dated(
    time: NDArray[np.int64],
    time_ok: NDArray[np.bool_],
    receipt: NDArray[np.int64],
    verdict: NDArray[np.int8],
    limits: UsableLimits,
) -> NDArray[np.bool_]:
    """Whether each report's own time says on which day it was heard."""
    dated = verdict < 0
    refused = np.flatnonzero(~dated & time_ok & (verdict != REASONS.index(Reason.BAD_VALUE)))
    dated[refused] = _timely(time[refused], receipt[refused], limits)
    return dated


def _of_devices(
    malformed: Sequence[tuple[Reject, object]],
    received: NDArray[np.int64] | None,
    limits: UsableLimits,
    *,
    traccar: bool,
) -> tuple[list[Reject], Judged, NDArray[np.int64]]:
    """Names the devices of reports that are malformed elsewhere: they were heard, whatever they said.

    So of a tracker that leaves its coordinates blank, or counts time in days, it is known that it reports.

    Args:
        malformed: the rejects, each with what its message holds.
        received: as for ``decode_positions``.
        limits: as for ``decode_positions``.
        traccar: as for ``decode_positions``.

    Returns:
        ``(rejects, judged, index)``: all of them; and those whose device can be told as they were judged,
        with the message that each of these came from.
    """
    rejects = [reject for reject, _ in malformed]
    named = {
        row: said for row, (_, found) in enumerate(malformed) if (said := _named(found, traccar=traccar))
    }
    rows, ids = list(named), [name for name, _, _ in named.values()]
    times, own = ([said[at] for said in named.values()] for at in (1, 2))
    index = np.array([rejects[row].index for row in rows], np.int64)
    time, taken = parse_times(times)
    taken &= (time >= EARLIEST) & (time < LATEST)
    time[~taken] = 0
    for row, name, at, known in zip(rows, ids, time.tolist(), taken.tolist(), strict=True):
        rejects[row] = replace(rejects[row], device_id=name, time=at if known else None)
    verdict = np.array([REASONS.index(rejects[row].reason) for row in rows], np.int8)
    receipt = _receipts(own, received, index)
    device, names = _numbered(ids)
    dated = _dated(time, taken, receipt, verdict, limits)
    return rejects, Judged(device, time, taken, dated, receipt, verdict, names), index


def _named(found: object, *, traccar: bool) -> tuple[str, object, object] | None:
    """The device of a report that could not be decoded, its time and its receipt, as far as it has them."""
    if not isinstance(found, dict):
        return None
    device, position = found.get("device"), found.get("position")
    if traccar and isinstance(device, dict) and isinstance(position, dict):
        name, time, own = device.get("uniqueId"), position.get("fixTime"), position.get("serverTime")
    else:
        name, time, own = found.get("device_id"), found.get("time"), found.get("received")
    return (name, time, own) if isinstance(name, str) and not text_fault(name) else None


def _numbered(ids: Sequence[str]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Names as numbers, and the names behind them."""
    names = tuple(dict.fromkeys(ids))
    code_of = {name: code for code, name in enumerate(names)}
    return np.fromiter(map(code_of.__getitem__, ids), np.int32, len(ids)), names


def _joined(one: Judged, other: Judged) -> Judged:
    """What was judged in two parts."""
    names = tuple(dict.fromkeys(one.device_ids + other.device_ids))
    code_of = {name: code for code, name in enumerate(names)}
    code = np.array([code_of[name] for name in other.device_ids], np.int32)
    return Judged(
        np.concatenate([one.device, code[other.device]]),
        np.concatenate([one.time, other.time]),
        np.concatenate([one.time_ok, other.time_ok]),
        np.concatenate([one.dated, other.dated]),
        np.concatenate([one.receipt, other.receipt]),
        np.concatenate([one.verdict, other.verdict]),
        names,
    )


def sensible(
    error_m: NDArray[np.float64], speed_mps: NDArray[np.float64], heading_deg: NDArray[np.float64]
) -> None:
    """Replaces, in place, values that say nothing by NaN, as if they were missing.

    So an error of 0 (rule 2b): no receiver is without error. A negative one does say something, and stays.
    """
    error_m[error_m == 0] = math.nan
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
    doubted: NDArray[np.bool_] | None = None,
) -> NDArray[np.int8]:
    """Judges well-formed positions, wherever they were read (rule 2).

    Args:
        time: ``int64[n]``, microseconds since 1970.
        lon: ``float64[n]``, degrees; what is not finite is out of range.
        lat: ``float64[n]``, degrees.
        error_m: ``float64[n]``, metres, NaN where missing; a negative one says that there was no fix.
        receipt: ``int64[n]``, microseconds, ``UNKNOWN`` or of other years than 2000 to 2099 where unknown.
        limits: what is unusable.
        doubted: ``bool[n]``, what the tracker itself doubts (rule 2a); None: nothing more than a negative
            error says.

    Returns:
        ``int8[n]``: the index in ``REASONS`` of the first reason that applies, -1 where the fix is usable.
    """
    no_fix = error_m < 0 if doubted is None else doubted | (error_m < 0)
    verdict = _judge(time, lon, lat, error_m, receipt, no_fix, limits)
    for start, later in limits.later:
        at = time >= start
        if at.any():
            where = lon[at], lat[at], error_m[at]
            verdict[at] = _judge(time[at], *where, receipt[at], no_fix[at], later)
    return verdict


def uncountable(fixes: Fixes) -> str:
    """What is wrong with fixes that did not come through ``decode_positions``; empty where nothing is.

    No policy can allow it, so none of them was ever judged usable: whoever wrote them is not ours.
    """
    for name in fixes.device_ids:
        if fault := text_fault(name):
            return f"a device_id {fault}"
    if not ((fixes.time >= EARLIEST) & (fixes.time < LATEST)).all():
        return "a time is not of the years 2000 to 2099"
    if not ((np.abs(fixes.lon) <= 180) & (np.abs(fixes.lat) <= 90)).all():
        return "lon must be within ±180 and lat within ±90"
    if (fixes.error_m < 0).any() or np.isinf(fixes.error_m).any():
        return "error_m must be a number of metres"
    return ""


def _timely(time: NDArray[np.int64], receipt: NDArray[np.int64], limits: UsableLimits) -> NDArray[np.bool_]:
    """Whether times alone are no reason to reject a report, wherever it was: ``bool[n]``."""
    degrees, error = np.ones(len(time)), np.full(len(time), math.nan)
    return judge(time, degrees, degrees, error, receipt, limits=limits) < 0


def _judge(
    time: NDArray[np.int64],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    error_m: NDArray[np.float64],
    receipt: NDArray[np.int64],
    no_fix: NDArray[np.bool_],
    limits: UsableLimits,
) -> NDArray[np.int8]:
    verdict = np.full(len(time), -1, np.int8)
    known = (receipt >= EARLIEST) & (receipt < LATEST)
    age = np.where(known, receipt, time) - time
    # Written from the last reason to the first, so that the first one stays.
    verdict[age > round(limits.retention_s * SECOND)] = REASONS.index(Reason.TOO_OLD)
    ahead = (-age > round(limits.max_ahead_s * SECOND)) | (time >= LATEST)
    verdict[ahead] = REASONS.index(Reason.IN_FUTURE)
    verdict[error_m > limits.max_error_m] = REASONS.index(Reason.ERROR_TOO_LARGE)
    verdict[(lon == 0) & (lat == 0)] = REASONS.index(Reason.ZERO_POSITION)
    verdict[~((np.abs(lon) <= 180) & (np.abs(lat) <= 90))] = REASONS.index(Reason.OUT_OF_RANGE)
    verdict[no_fix] = REASONS.index(Reason.NOT_A_FIX)
    verdict[time < EARLIEST] = REASONS.index(Reason.BAD_VALUE)
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


def _receipts(
    own: list[object], received: NDArray[np.int64] | None, index: NDArray[np.int64]
) -> NDArray[np.int64]:
    """When the messages of ``index`` were received, by what they say themselves and by Kafka."""
    record = np.full(len(index), UNKNOWN, np.int64) if received is None else received[index]
    return _earlier(_received(own), record)


def _earlier(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The earlier of two times of receipt, of which either may be unknown."""

    def known(receipt: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where((receipt >= EARLIEST) & (receipt < LATEST), receipt, LATEST)

    earlier = np.minimum(known(a), known(b))
    return np.where(earlier == LATEST, UNKNOWN, earlier)


def _untaken(value: object, receipt: int | None = None) -> str:
    """What is wrong with a time that is not taken, and what it looks like."""
    fault = TIME_WANTED if parse_time(value) is None else "not of the years 2000 to 2099"
    guess = looks_like(value, receipt)
    return f"{_short(value)} is {fault}" + (f"; it looks like {guess}" if guess else "")


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
    valid: Any = None
    outdated: Any = None


class _TraccarPosition(msgspec.Struct, gc=False):
    time: _Time = msgspec.field(name="fixTime")
    longitude: float
    latitude: float
    accuracy: _Number = math.nan
    speed: _Number = math.nan
    course: _Number = math.nan
    valid: Any = None
    outdated: Any = None
    server_time: Any = msgspec.field(name="serverTime", default=None)
    attributes: msgspec.Raw = msgspec.Raw(b"")


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
    """A form that messages may have.

    Attributes:
        decode: its decoder.
        needed: the fields it cannot do without.
        mark: a field that shows it.
        times: the fields that hold a time.
    """

    decode: Callable[[Any], Any]
    needed: tuple[tuple[str, ...], ...]
    mark: str
    times: tuple[tuple[str, ...], ...]


def _shape(kind: type[Any], *needed: str, mark: str, times: tuple[str, ...] = ("time",)) -> _Shape:
    paths, moments = (tuple(tuple(name.split(".")) for name in names) for names in (needed, times))
    return _Shape(msgspec.json.Decoder(kind).decode, paths, mark, moments)


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
    times=("position.fixTime",),
)
_DUTY: Final = _shape(_Booking, *NEEDED["duties"], mark="duty_id", times=("start", "end"))
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


def _decode(
    values: Sequence[bytes | None], shapes: tuple[_Shape, ...]
) -> tuple[list[_Part], list[tuple[Reject, object]]]:
    """Decodes a batch, each message in the first form that fits it; the others with what they hold."""
    parts: list[_Part] = []
    failures: dict[int, dict[_Shape, Exception]] = {}
    left = np.arange(len(values), dtype=np.int64)
    for shape in shapes:
        rows, failed = _rows(shape, [values[i] for i in left.tolist()] if parts else values)
        parts.append(_Part(shape, np.delete(left, list(failed)), rows))
        left = left[list(failed)]
        for i, failure in zip(left.tolist(), failed.values(), strict=True):
            failures.setdefault(i, {})[shape] = failure
    malformed: list[tuple[Reject, object]] = []
    for i in left.tolist():
        reason, detail, found = _diagnose(values[i], failures[i])
        malformed.append((Reject(i, reason, detail), found))
    return parts, malformed


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


def _diagnose(value: bytes | None, failures: Mapping[_Shape, Exception]) -> tuple[Reason, str, object]:
    """Why a message could not be decoded, and what it holds: looked at again, without any expectation."""
    if value is None:
        return Reason.NOT_JSON, "the message has no value", None
    try:
        found = msgspec.json.decode(value)
    except UnicodeDecodeError as failure:
        return Reason.NOT_JSON, f"not UTF-8: {failure.reason}", None
    except RecursionError:
        return Reason.NOT_JSON, "nested too deeply", None
    except msgspec.ValidationError as failure:  # JSON in form, but with a number that is too large
        return Reason.BAD_VALUE, _curt(str(failure)), None
    except msgspec.DecodeError as failure:
        return Reason.NOT_JSON, _curt(str(failure)), None
    if not isinstance(found, dict):
        return Reason.NOT_JSON, "not a JSON object", None
    shape = min(failures, key=lambda shape: (shape.mark not in found, shape is _TRACCAR))

    def inner(path: tuple[str, ...]) -> Any:
        value: Any = found
        for name in path:
            value = value.get(name) if isinstance(value, dict) else value
        return value

    for path in shape.needed:
        if inner(path) is None:
            return Reason.MISSING_FIELD, f"{'.'.join(path)} is missing{_meant(path, inner(path[:-1]))}", found
    for path in shape.times:
        if isinstance(value_of := inner(path), float):
            return Reason.BAD_VALUE, f"{'.'.join(path)} {_untaken(value_of)}", found
    return Reason.BAD_VALUE, _curt(str(failures[shape])), found


_ALSO: Final = {
    "device_id": ("deviceid", "device", "unitid", "radioid", "imei"),
    "officer_id": ("officerid", "officer", "collar", "collarnumber"),
    "duty_id": ("dutyid", "duty", "shiftid"),
    "time": ("timestamp", "datetime", "gpstime", "fixtime"),
    "lon": ("lng", "long", "longitude"),
    "lat": ("latitude",),
    "start": ("from", "starttime"),
    "state": ("status", "statecode", "statuscode"),
}
"""What other systems call a field, in small letters and without separators."""


def _meant(path: tuple[str, ...], around: object) -> str:
    """The fields that probably are the missing one under another name: they are named, never taken for it."""
    name = path[-1]
    meant = {_plain(name), *_ALSO.get(name, ())}
    near = [
        f"{'.'.join((*path[:-1], key))!r}"
        for key, value in (around if isinstance(around, dict) else {}).items()
        if key != name and not isinstance(value, dict | list) and _plain(key) in meant
    ]
    if not near:
        return ""
    there = f"{' and '.join(map(_curt, near[:2]))} {'are' if len(near) > 1 else 'is'} there"
    return f"; {there}: if that is meant, send it as {name}"


def _plain(name: str) -> str:
    """A field's name in small letters, without separators: ``Device_ID`` is ``deviceid``."""
    return "".join(filter(str.isalnum, name.casefold()))


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


# --- What the tracker itself doubts (rule 2a) -------------------------------------------------------------

_UNSAID, _YES, _NO, _UNREADABLE = range(4)
_EITHER: Final[dict[object, int]] = {
    None: _UNSAID,
    "": _UNSAID,
    True: _YES,  # and so 1 and 1.0
    False: _NO,
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "1.0"), _YES),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "0.0"), _NO),
}
"""Flags as systems write them, small letters."""
_VALID: Final[dict[object, int]] = {
    **_EITHER,
    # As NMEA and GPX say it, and what people make of that.
    **dict.fromkeys(("a", "valid", "ok", "fix", "2d", "3d", "dgps", "pps"), _YES),
    **dict.fromkeys(
        ("v", "invalid", "void", "none", "no fix", "no_fix", "nofix", "no satellites", "not valid"), _NO
    ),
}
_DOUBTFUL_ATTRIBUTES: Final = re.compile(
    rb'"sat"\s*:\s*"?\s*[+-]?0|"approximate"\s*:\s*(?:true|1|")', re.IGNORECASE
)
"""Finds nearly only attributes that say so; the others need not be decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class _Doubts:
    """What the trackers of a batch say about their own positions, in the order of its parts.

    Attributes:
        doubted: ``bool[n]``, the tracker doubts the position itself.
        unreadable: ``bool[n]``, a flag says neither yes nor no.
        valid, outdated: the flags as they stand in the messages; empty where none has one.
        attributes: by row, what Traccar's attributes say.
    """

    doubted: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    valid: list[object]
    outdated: list[object]
    attributes: dict[int, str]

    def detail(self, row: int) -> str:
        """What a message says that makes it doubtful, or cannot be read; empty where it says nothing."""
        for name, values, words, bad, why in (
            ("valid", self.valid, _VALID, _NO, "the tracker doubts its own position"),
            ("outdated", self.outdated, _EITHER, _YES, "the position is repeated from before"),
        ):
            said = _flag(values[row], words) if values else _UNSAID
            if said == _UNREADABLE:
                return f"{name} {_short(values[row])} is neither true nor false"
            if said == bad and not self.unreadable[row]:
                return f"{name} is {_short(values[row])}: {why}"
        return self.attributes.get(row, "")


def _doubts(parts: Sequence[_Part]) -> _Doubts:
    rows: list[Any] = []
    attributes: dict[int, str] = {}
    for part in parts:
        if part.shape is _TRACCAR:
            found = [row.position for row in part.rows]
            for i, row in enumerate(found, start=len(rows)):
                if _DOUBTFUL_ATTRIBUTES.search(row.attributes) and (why := _attribute_doubt(row.attributes)):
                    attributes[i] = why
        else:
            found = part.rows
        rows = rows + found if rows else found
    doubted, unreadable = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    doubted[list(attributes)] = True
    kept: list[list[object]] = []
    for name, words, bad in (("valid", _VALID, _NO), ("outdated", _EITHER, _YES)):
        values: list[object] = list(map(attrgetter(name), rows))
        if values.count(None) == len(values):
            kept.append([])
            continue
        try:
            said = np.fromiter(map(words.__getitem__, values), np.int8, len(values))
        except (KeyError, TypeError):
            said = np.fromiter((_flag(value, words) for value in values), np.int8, len(values))
        doubted |= said == bad
        unreadable |= said == _UNREADABLE
        kept.append(values)
    return _Doubts(doubted, unreadable, kept[0], kept[1], attributes)


def _flag(value: object, words: Mapping[object, int]) -> int:
    """What a flag of any type says."""
    if isinstance(value, str):
        return words.get(value.strip().lower(), _UNREADABLE)
    return words[value] if value is None or value in (0, 1) else _UNREADABLE


def says_fix(value: object) -> bool | None:
    """What a flag ``valid`` of any type says, as systems write it (rule 2a): True where it says nothing.

    Returns:
        None where it says neither yes nor no.
    """
    said = _flag(value, _VALID)
    return None if said == _UNREADABLE else said != _NO


def _attribute_doubt(attributes: msgspec.Raw) -> str:
    """Why Traccar's attributes say that a position was computed without satellites; empty where not."""
    try:
        found = msgspec.json.decode(attributes)
    except _FAILURES:
        return ""
    if not isinstance(found, dict):
        return ""
    count = found.get("sat")
    if isinstance(count, str):
        count = int(count) if count.strip().isdecimal() and len(count) < MAX_TEXT else None
    if not isinstance(count, bool) and count == 0:
        return "attributes.sat is 0: computed without satellites"
    if _flag(found.get("approximate"), _EITHER) == _YES:
        return "attributes.approximate is true: computed from the mobile network, without satellites"
    return ""


# --- Duties and states: thousands, so one by one ---------------------------------------------------------


class _BadValueError(ValueError):
    """A well-formed message with impossible content."""


def _one_by_one(
    values: Sequence[bytes | None], shape: _Shape, make: Callable[[Any], T]
) -> tuple[list[T], NDArray[np.int64], list[Reject]]:
    parts, malformed = _decode(values, (shape,))
    rejects = [reject for reject, _ in malformed]
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
    if time is None or not EARLIEST <= time < LATEST:
        raise _BadValueError(f"{field} {_untaken(value)}")
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
        case Reason.IN_FUTURE if time >= LATEST:
            return "time is after 2099"
        case Reason.IN_FUTURE:
            ahead = (time - receipt) / SECOND
            return f"time is {ahead:.3f} s ahead of receipt, at most {limits.max_ahead_s:.7g} s are taken"
        case _:
            late = (receipt - time) / SECOND
            guess = looks_like(time // 1000, receipt)
            return f"time is {late:.0f} s before receipt, at most {limits.retention_s:.7g} s are taken" + (
                f"; it looks like {guess}" if guess else ""
            )
