"""OwnTracks: JSON objects with ``_type``; ``location`` is a position.

Source: the OwnTracks booklet, *JSON payloads*. ``tst`` is in seconds, ``vel`` in km/h; old versions of the
apps write numbers as text.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from stream.core.events import Reason
from stream.core.facts import SECOND
from stream.pipeline.bridge.outcomes import KMH, Fields, Origin, RejectedError, bad_value, event, missing

NAME: Final = "owntracks"
OTHERS: Final = frozenset(
    "beacon card cmd configuration dump lwt msg request status steps transition waypoint waypoints".split()  # noqa: SIM905
)
"""Types that carry no position of the device by their nature."""

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def decode(frame: bytes, origin: Origin) -> Fields | str:
    """One message → an event, or the type of something without a position.

    The device is the topic without its first level (``jane/phone``), else ``tid``: two letters that are
    soon given twice. A negative ``acc`` is how phones say that they have no position.
    """
    try:
        found = _decode(frame)
    except msgspec.ValidationError as failure:
        raise RejectedError(Reason.NOT_JSON, f"not a JSON object: {failure}") from None
    kind = found.get("_type")
    if isinstance(kind, str) and kind in OTHERS:
        return kind
    if kind is None:
        raise missing("_type is missing")
    if kind == "encrypted":
        raise bad_value("_type encrypted: there is no key here; switch the app's encryption off and use TLS")
    if kind != "location":
        raise bad_value(f"_type {str(kind)[:40]!r} is not one of OwnTracks'")
    numbers = {name: _number(found, name) for name in ("tst", "lat", "lon", "acc", "vel", "cog")}
    tst, lat, lon = numbers["tst"], numbers["lat"], numbers["lon"]
    if tst is None or lat is None or lon is None:
        gone = next(name for name in ("tst", "lat", "lon") if numbers[name] is None)
        raise missing(f"{gone} is missing")
    error, speed, heading = numbers["acc"], numbers["vel"], numbers["cog"]
    invalid = error is not None and error < 0
    return event(
        origin,
        device_id=_device(found, origin),
        time=round(tst * SECOND),
        lon=lon,
        lat=lat,
        error_m=error if error is not None and error > 0 else None,
        speed_mps=speed * KMH if speed is not None and speed >= 0 else None,
        heading_deg=heading if heading is not None and heading >= 0 else None,
        valid=False if invalid else None,
    )


def _device(found: dict[str, Any], origin: Origin) -> str | None:
    for topic in (origin.topic, found.get("topic")):
        if isinstance(topic, str) and topic.count("/") >= 2:
            return topic.split("/", 1)[1]
    tid = found.get("tid")
    return origin.device_id or (tid if isinstance(tid, str) else None)


def _number(found: dict[str, Any], name: str) -> float | None:
    value = found.get(name)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise bad_value(f"{name} {str(value)[:40]!r} is not a number")
