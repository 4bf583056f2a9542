"""What becomes of a frame: an event for a topic, a reject with a reason, or nothing, by its nature.

Pure: no clock, no Kafka. When something was received is an argument.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from stream.core.calendar import rfc3339
from stream.core.events import Reason, text_fault
from stream.core.times import TIME_WANTED, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOT_A_FIX: Final = "not_a_fix"
"""The reason of a report that has no position because the device had none (rule 2a)."""
KMH: Final = 1 / 3.6
"""Metres a second in a kilometre an hour."""
MPH: Final = 1609.344 / 3600
"""Metres a second in a mile an hour."""

_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d\S*?)[\s,;]+", re.ASCII)
_FIRST: Final = -62_135_596_800_000_000
_LAST: Final = 253_402_300_799_999_999
"""The years 1 to 9999, which can be written down; whether a time is sensible is judged by ingest."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a frame came from, as far as a decoder needs to know.

    Attributes:
        device_id: whose it is, where it does not say so itself; None where that is unknown.
        received: when it was received, microseconds since 1970; None for files.
        near: a time less than half a day from when it was sent, to date reports that have only a time of
            day; None where there is none.
        prompt: whether it was received within seconds of being sent, so that its receipt can stand for a time
            that it does not have.
        topic: the MQTT topic; empty for other sources.
    """

    device_id: str | None = None
    received: int | None = None
    near: int | None = None
    prompt: bool = False
    topic: str = ""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """A position of a device.

    Attributes:
        format: the feed's format.
        fields: the event by the contract's names.
        raw: the frames that it was made from.
    """

    format: str
    fields: Mapping[str, object]
    raw: tuple[bytes, ...]

    @property
    def device_id(self) -> str:
        """Whose position it is."""
        return str(self.fields["device_id"])

    def value(self) -> bytes:
        """The message for Kafka."""
        return msgspec.json.encode(self.fields)


@dataclass(frozen=True, slots=True)
class FeedReject:
    """Frames that cannot be used: the reason as in dead letters, and a line for people."""

    format: str
    reason: str
    detail: str
    raw: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FeedOther:
    """Frames that carry no position by their nature, such as a list of satellites.

    Attributes:
        kind: what they are; one of few words, because it becomes a metric's label.
    """

    format: str
    kind: str
    raw: tuple[bytes, ...]


Outcome = FeedEvent | FeedReject | FeedOther


class RejectedError(Exception):
    """A frame cannot be used; for use inside a decoder."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


Fields = dict[str, object]
"""An event by the contract's names."""


def outcome(format_: str, raw: tuple[bytes, ...], decode: Callable[[], Fields | str]) -> Outcome:
    """What becomes of frames.

    Args:
        format_: the feed's format.
        raw: the frames.
        decode: gives the event, or the kind of what carries no position; raises where they cannot be used.
    """
    try:
        found = decode()
    except RejectedError as failure:
        return FeedReject(format_, failure.reason, failure.detail, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        return FeedReject(format_, Reason.NOT_JSON, str(failure), raw)
    return FeedOther(format_, found, raw) if isinstance(found, str) else FeedEvent(format_, found, raw)


def bad_value(detail: str) -> RejectedError:
    """A value makes no sense."""
    return RejectedError(Reason.BAD_VALUE, detail)


def missing(detail: str) -> RejectedError:
    """Something needed is not there."""
    return RejectedError(Reason.MISSING_FIELD, detail)


def stamped(text: str, origin: Origin) -> tuple[str, Origin]:
    """A frame without the time that a gateway wrote before it, and its origin by that time.

    The time is RFC 3339 with an offset; a blank, comma or semicolon follows.

    Raises:
        RejectedError: something that looks like such a time is none.
    """
    found = _STAMP.match(text)
    if found is None:
        return text, origin
    time = parse_time(found[1])
    if time is None:
        raise bad_value(f"the gateway's time {found[1][:40]!r} is {TIME_WANTED}")
    return text[found.end() :], replace(origin, received=time, near=time, prompt=True)


def event(
    origin: Origin,
    *,
    device_id: str | None,
    time: int,
    lon: float,
    lat: float,
    received: int | None = None,
    **more: object,
) -> Fields:
    """An event from what a decoder found.

    Args:
        origin: where the frames came from.
        device_id: as the report names it; None or empty: as the origin does.
        time: microseconds since 1970.
        lon: degrees.
        lat: degrees.
        received: an earlier time of receipt that the report itself knows.
        more: further fields; those that are None are left out.

    Raises:
        RejectedError: there is no device, or a number is none.
    """
    device = device_id or origin.device_id
    if not device:
        raise missing("device_id: the report has none; name it with --device")
    if fault := text_fault(device):
        raise bad_value(f"device_id {fault}")
    if not _FIRST <= time <= _LAST:
        raise bad_value("time is not of the years 1 to 9999")
    times = [at for at in (origin.received, received) if at is not None and _FIRST <= at <= _LAST]
    fields: Fields = {"device_id": device, "time": rfc3339(time), "lon": lon, "lat": lat}
    for name in ("error_m", "speed_mps", "heading_deg"):
        fields[name] = more.pop(name, None)
    fields["received"] = rfc3339(min(times)) if times else None
    fields |= more
    for name, value in fields.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise bad_value(f"{name} is not a finite number")
    return {name: value for name, value in fields.items() if value is not None}
