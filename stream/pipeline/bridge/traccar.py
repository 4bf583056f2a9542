"""Traccar's forwarded positions (``forward.type`` json, kafka or mqtt): ``{"position": …, "device": …}``.

Source: Traccar's API reference, models Position and Device; speed is in knots.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stream.core.events import KNOT
from stream.core.times import TIME_WANTED, parse_time
from stream.pipeline.bridge.outcomes import Fields, Origin, bad_value, event, missing

NAME: Final = "traccar"


class _ForwardedPosition(msgspec.Struct):
    fix_time: str | int | None = msgspec.field(name="fixTime", default=None)
    latitude: float | None = None
    longitude: float | None = None
    accuracy: float | None = None
    speed: float | None = None
    course: float | None = None
    valid: Any = None
    outdated: Any = None
    server_time: Any = msgspec.field(name="serverTime", default=None)
    attributes: Any = None


class _ForwardedDevice(msgspec.Struct):
    unique_id: str | None = msgspec.field(name="uniqueId", default=None)


class _Forward(msgspec.Struct):
    position: _ForwardedPosition | None = None
    device: _ForwardedDevice | None = None


_decode: Final = msgspec.json.Decoder(_Forward).decode


def decode(frame: bytes, origin: Origin) -> Fields:
    """One forwarded position → an event.

    ``valid`` and ``outdated`` go along as they are; ``attributes.sat`` 0 and ``attributes.approximate``
    (from the mobile network) say that there was no fix either. ``accuracy`` 0 means that it is unknown.
    ``serverTime`` is the receipt, where that is earlier than ours.
    """
    try:
        found = _decode(frame)
    except msgspec.ValidationError as failure:
        raise bad_value(str(failure)) from None
    position = found.position
    if position is None:
        raise missing("position is missing")
    if position.fix_time is None:
        raise missing("position.fixTime is missing")
    if position.longitude is None or position.latitude is None:
        raise missing("position.longitude or position.latitude is missing")
    unique_id = found.device.unique_id if found.device is not None else None
    if not unique_id and origin.device_id is None:
        raise missing("device.uniqueId is missing: have Traccar forward the device too")
    time = parse_time(position.fix_time)
    if time is None:
        raise bad_value(f"position.fixTime {str(position.fix_time)[:60]!r} is {TIME_WANTED}")
    attributes = position.attributes if isinstance(position.attributes, dict) else {}
    satellites = _count(attributes.get("sat"))
    without = satellites == 0 or attributes.get("approximate") is True
    return event(
        origin,
        device_id=unique_id,
        time=time,
        lon=position.longitude,
        lat=position.latitude,
        received=parse_time(position.server_time),
        error_m=position.accuracy or None,
        speed_mps=None if position.speed is None else position.speed * KNOT,
        heading_deg=position.course,
        valid=False if without else position.valid,
        outdated=position.outdated,
        satellites=satellites,
        hdop=_finite(attributes.get("hdop")),
        motion=_flag(attributes.get("motion")),
        ignition=_flag(attributes.get("ignition")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
