"""TETRA's Location Information Protocol: short and long location reports, as lines of hex.

Source: ETSI TS 100 392-18-1 V1.7.2, clauses 6.2.1 (short), 6.2.2 (long), and the elements of clause 6.3.
A line is ``[TIME] [ISSI] HEX``, parts separated by blanks, commas, semicolons or colons; TIME is when the
gateway received it, RFC 3339. HEX is the PDU, with or without the SDS protocol identifier ``0A`` before it.

Readings of what the specification leaves to the receiver:

* A report has no time of its own but *time elapsed*. Less than 5 s: it is of its receipt. More, or unknown:
  the position is from before, ``outdated``. A long report without any time information is of its receipt.
* Position error *not known* is what radios send that have no position: ``valid`` false.
* *Lost ability to determine location* and *positioning device off* repeat the last position: ``outdated``.
* A direction counts only where a speed above 0 is told; code 15 alone is said by radios that know none.
* A short report is 76 bits. ``0A`` also begins a bare report from some longitudes, so the length decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from stream.core.facts import SECOND
from stream.pipeline.bridge.dating import by_day_of_month
from stream.pipeline.bridge.outcomes import (
    KMH,
    NOT_A_FIX,
    Fields,
    Origin,
    RejectedError,
    bad_value,
    event,
    missing,
    stamped,
)

NAME: Final = "lip"

_LINE: Final = re.compile(r"(?:(\d{1,16})[\s,;:]+)?(?:0[xX])?([0-9A-Fa-f]+)", re.ASCII)
_SHORT_BITS: Final = 76
_PROTOCOL_BITS: Final = 8

_ERROR_M: Final = (2.0, 20.0, 200.0, 2_000.0, 20_000.0, 200_000.0, 20_000_000.0, None)
"""Position error codes (table 6.93): upper ends; over 200 km is anywhere; not known."""
_ERROR_UNKNOWN: Final = 7
_NO_ACCURACY: Final = 63  # best effort
_SPEED_UNKNOWN: Final = 126  # 126 is "more than", 127 "not known"
_UNDER_5_S: Final = 0
_REASONS: Final = {
    0: "power on",
    1: "power off",
    2: "emergency",
    3: "push to talk",
    4: "status",
    5: "transmit inhibit on",
    6: "transmit inhibit off",
    7: "system access",
    8: "DMO on",
    9: "enter service",
    10: "service loss",
    11: "cell reselection",
    12: "low battery",
    13: "car kit connected",
    14: "car kit disconnected",
    15: "asks for configuration",
    16: "arrival at destination",
    17: "arrival at a location",
    18: "approaching a location",
    19: "SDS type 1 entered",
    20: "user application",
    21: "lost ability to determine location",
    22: "regained ability to determine location",
    23: "leaving point",
    24: "ambience listening",
    25: "start of temporary reporting",
    26: "return to normal reporting",
    27: "call setup type 1",
    28: "call setup type 2",
    29: "positioning device on",
    30: "positioning device off",
    32: "response to a request",
    129: "max interval",
    130: "max distance",
}
"""Reasons for sending (table 6.97), in short."""
_WITHOUT_POSITION: Final = frozenset({21, 30})

# Of each velocity type (table 6.123): bits between speed and direction, of the direction, after it.
_VELOCITY: Final = ((0, 0, 0), (0, 0, 0), (0, 0, 3), (0, 0, 8), (0, 0, 14), (0, 8, 0), (3, 8, 3), (14, 8, 3))
_SHAPES: Final = {
    # Of each location shape (table 6.79) with a point: its accuracy, and bits of what follows it.
    1: ("", 0),
    2: ("radius", 0),
    3: ("radius", 6 + 8 + 3),
    4: ("", 12),
    5: ("radius", 12),
    6: ("radius", 6 + 8 + 12 + 3),
    7: ("radius", 12 + 3),
    8: ("radius", 6 + 8 + 12 + 3 + 3),
    10: ("error", 0),
}
_EXTENSIONS: Final = {
    1: "location request",
    4: "acknowledgement",
    5: "parameters",
    6: "trigger",
    7: "trigger",
    8: "trigger",
    9: "parameters",
    10: "reporting control",
    11: "reporting control",
    12: "backlog",
}
"""Other PDUs with an extension (table 6.92), which carry no position."""


@dataclass(slots=True)
class _Bits:
    """Reads unsigned numbers from the left."""

    value: int
    left: int

    def take(self, count: int) -> int:
        if count > self.left:
            raise bad_value("the report ends too early")
        self.left -= count
        return self.value >> self.left & (1 << count) - 1

    def signed(self, count: int) -> int:
        number = self.take(count)
        return number - (number >> (count - 1) << count)


_Report: TypeAlias = dict[str, Any]
"""The fields of an event that a report gives, but the speed in km/h.

``at``: the day of the month, and microseconds of the day.
"""


def decode(frame: bytes, origin: Origin) -> Fields | str:
    """One line → an event, or what a PDU without a position is."""
    text, origin = stamped(frame.decode("ascii", "replace").strip(), origin)
    found = _LINE.fullmatch(text)
    if found is None:
        raise bad_value("not a location report as hex: [TIME] [ISSI] HEX")
    device, digits = found.groups()
    bits = _pdu(digits)
    kind = bits.take(2)
    if kind == 0:
        return _event(_short(bits), device, origin)
    if kind != 1:
        raise bad_value(f"LIP PDU type {kind} is reserved")
    extension = bits.take(4)
    if extension in _EXTENSIONS:
        return _EXTENSIONS[extension]
    if extension != 3:
        raise bad_value(f"LIP PDU type extension {extension} is reserved")
    return _event(_long(bits), device, origin)


def _pdu(digits: str) -> _Bits:
    """The PDU's bits, without the protocol identifier before it."""
    bits = _Bits(int(digits, 16), len(digits) * 4)
    bare = _SHORT_BITS <= bits.left < _SHORT_BITS + _PROTOCOL_BITS
    if digits[:2].upper() == "0A" and not bare:
        bits.take(_PROTOCOL_BITS)
    return bits


def _event(report: _Report, device: str | None, origin: Origin) -> Fields:
    if at := report.pop("at", None):
        if origin.near is None:
            raise missing(
                "date: the report has a day and a time of day; say with --near when it was recorded"
            )
        day, time_of_day = at
        time = by_day_of_month(day, time_of_day, origin.near)
        if time is None:
            raise bad_value(f"no month near its receipt has a day {day}")
    elif origin.received is None or not origin.prompt:
        raise missing(
            "time: the report has none and may have waited; have the gateway write its own before it"
        )
    else:
        time = origin.received
    speed = report.pop("speed_kmh", None)
    report["speed_mps"] = None if speed is None else speed * KMH
    if not speed:
        report["heading_deg"] = None
    return event(origin, device_id=device, time=time, **report)


def _empty() -> _Report:
    return dict.fromkeys(("valid", "outdated", "reason"))  # in this order in the event


def _short(bits: _Bits) -> _Report:
    """Clause 6.2.1: elapsed 2 bits, longitude 25, latitude 24, error 3, speed 7, direction 4, 1 and 8."""
    report = _empty()
    if bits.take(2) != _UNDER_5_S:
        report["outdated"] = True
    _point(bits, report)
    _error(bits, report)
    report["speed_kmh"] = _speed(bits.take(7))
    report["heading_deg"] = bits.take(4) * 22.5
    _additional(bits, report)
    if bits.left >= 8:
        raise bad_value(f"a short location report of 76 bits has {bits.left} more")
    return report


def _long(bits: _Bits) -> _Report:
    """Clause 6.2.2: time data, location data, velocity data, acknowledgement, and 1 and 8 more.

    Optional elements that follow are not read.
    """
    report = _empty()
    _time_data(bits, report)
    _location_data(bits, report)
    velocity = bits.take(3)
    if velocity:
        between, direction, after = _VELOCITY[velocity]
        report["speed_kmh"] = _speed(bits.take(7))
        bits.take(between)
        if direction:
            report["heading_deg"] = bits.take(direction) * 360 / 256
        bits.take(after)
    bits.take(1)
    _additional(bits, report)
    return report


def _time_data(bits: _Bits, report: _Report) -> None:
    match bits.take(2):
        case 0:
            pass
        case 1:
            if bits.take(2) != _UNDER_5_S:
                report["outdated"] = True
        case 2:
            day, hour, minute, second = (bits.take(count) for count in (5, 5, 6, 6))
            if not (day and hour < 24 and minute < 60 and second < 60):
                raise bad_value(f"time of position: day {day}, {hour:02}:{minute:02}:{second:02}")
            report["at"] = day, ((hour * 60 + minute) * 60 + second) * SECOND
        case _:
            raise bad_value("time type 3 is reserved")


def _location_data(bits: _Bits, report: _Report) -> None:
    shape = bits.take(4)
    if shape == 0:
        raise RejectedError(NOT_A_FIX, "the report has no location")
    if shape == 9:
        raise bad_value("the location is an arc, not a point")
    if shape not in _SHAPES:
        raise bad_value(f"location shape {shape} is reserved")
    accuracy, more = _SHAPES[shape]
    _point(bits, report)
    if accuracy == "radius":
        code = bits.take(6)
        # Clause 6.3.14: 2 × 1.2^(code + 5) − 4 metres; of an ellipse it is half of the major axis.
        report["error_m"] = None if code == _NO_ACCURACY else round(2 * 1.2 ** (code + 5) - 4, 3)
    elif accuracy == "error":
        _error(bits, report)
    bits.take(more)


def _point(bits: _Bits, report: _Report) -> None:
    """Clauses 6.3.30 and 6.3.50: two's complement, 360° by 2^25 and 180° by 2^24."""
    report["lon"] = bits.signed(25) * 360 / 2**25
    report["lat"] = bits.signed(24) * 180 / 2**24


def _error(bits: _Bits, report: _Report) -> None:
    code = bits.take(3)
    report["error_m"] = _ERROR_M[code]
    if code == _ERROR_UNKNOWN:
        report["valid"] = False


def _speed(code: int) -> float | None:
    """Clause 6.3.17: 1 km/h a step up to 28, then 16 × 1.038^(code − 13)."""
    if code >= _SPEED_UNKNOWN:
        return None
    return float(code) if code <= 28 else 16 * 1.038 ** (code - 13)


def _additional(bits: _Bits, report: _Report) -> None:
    user_defined, code = bits.take(1), bits.take(8)
    if not user_defined:
        report["reason"] = _REASONS.get(code, f"code {code}")
        if code in _WITHOUT_POSITION:
            report["outdated"] = True
