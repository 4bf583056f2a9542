"""TAIP, the Trimble ASCII Interface Protocol: PV and LN reports, ``>RPV…;ID=…;*CC<``.

Source: Trimble's receiver manuals, appendix *TAIP*. Times are seconds of the day, without a date; speeds
are in miles an hour; the checksum is the exclusive or of everything from ``>`` to ``*``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from stream.core.facts import SECOND
from stream.pipeline.bridge.dating import DAY, by_time_of_day
from stream.pipeline.bridge.outcomes import (
    MPH,
    Fields,
    Origin,
    Outcome,
    bad_value,
    event,
    missing,
    outcome,
    stamped,
)

NAME: Final = "taip"

_MESSAGE: Final = re.compile(r">([A-Z])([A-Z]{2})([^;<>]*)((?:;[^;<>]*)*)<")
_REPORTS: Final = {
    "PV": re.compile(
        r"(?P<time>\d{5})(?P<lat>[+-]\d{2})(?P<lat_part>\d{5})(?P<lon>[+-]\d{3})(?P<lon_part>\d{5})"
        r"(?P<speed>\d{3})(?P<heading>\d{3})(?P<source>\d)(?P<age>\d)",
        re.ASCII,
    ),
    # The points are not sent by Trimble's own receivers; others write them.
    "LN": re.compile(
        r"(?P<time>\d{5})\.?(?P<time_part>\d{3})(?P<lat>[+-]\d{2})\.?(?P<lat_part>\d{7})(?P<lon>[+-]\d{3})\.?"
        r"(?P<lon_part>\d{7})[+-]\d{6}\.?\d{2}(?P<speed>\d{3})\.?(?P<speed_part>\d)[+-]\d{3}\.?\d"
        r"(?P<heading>\d{3})\.?(?P<heading_part>\d)(?P<satellites>\d{2})(?P<listed>.*)(?P<source>\d)(?P<age>\d)",
        re.ASCII,
    ),
}
_POSITIONS: Final = frozenset({"CP", "EV", "GP", "UV", "US"})
"""Messages with a position that are not taken: they come beside PV or LN, or can be configured away."""
_NO_FIX: Final = {"6": "dead reckoning", "8": "degraded dead reckoning", "9": "no fix"}


@dataclass(frozen=True, slots=True)
class Taip:
    """The decoder.

    Attributes:
        gps_ahead: how far the receivers' time of day is ahead of UTC, microseconds: 18 s in receivers that
            send GPS time, 0 in those that send UTC.
    """

    gps_ahead: int = 0

    def feed(self, frame: bytes, origin: Origin) -> list[Outcome]:
        """One frame → what is in it; a message that was begun and broken off is one too."""
        # What comes before the first > is noise of the line, and belongs to the first message.
        cuts = [at for at, byte in enumerate(frame) if byte == ord(">")][1:]
        spans = zip([0, *cuts], [*cuts, len(frame)], strict=True)
        raws = [frame[start:end] for start, end in spans]
        return [outcome(NAME, (raw,), partial(self._decode, raw, origin)) for raw in raws]

    def _decode(self, raw: bytes, origin: Origin) -> Fields | str:
        text, origin = stamped(raw.decode("ascii", "replace"), origin)
        found = _MESSAGE.fullmatch(text[max(text.find(">"), 0) :].rstrip())
        if found is None:
            raise bad_value("not a TAIP message: >RPV…< or >RLN…<")
        qualifier, kind, body, tail = found.groups()
        device = None
        for part in tail.split(";")[1:]:
            if part.startswith("*"):
                _check(found[0], part)
            elif part.startswith("ID="):
                device = part[3:].strip() or None
        if qualifier == "R" and kind in _REPORTS:
            return self._report(kind, body, device, origin)
        if kind in _POSITIONS and qualifier in "RE":
            raise bad_value(f"a TAIP {kind} message has a position but is not taken: have PV or LN sent")
        return "other message"

    def _report(self, kind: str, body: str, device: str | None, origin: Origin) -> Fields:
        found = _REPORTS[kind].fullmatch(body)
        if found is None:
            raise bad_value(f"{'an' if kind == 'LN' else 'a'} {kind} report of another form")
        said = found.groupdict()

        def number(name: str) -> float:
            part = said.get(f"{name}_part")
            return int(said[name]) if part is None else float(f"{said[name]}.{part}")

        satellites = int(said["satellites"]) if "satellites" in said else None
        if satellites is not None and len(said["listed"]) < satellites * 4:
            raise bad_value(f"an LN report of {satellites} satellites that does not list them")
        validity = _validity(said["source"], said["age"])
        if satellites == 0:
            validity["valid"] = False
        return event(
            origin,
            device_id=device,
            time=self._time(int(said["time"]) * SECOND + int(said.get("time_part", 0)) * 1000, origin),
            lon=number("lon"),
            lat=number("lat"),
            speed_mps=number("speed") * MPH,
            heading_deg=number("heading"),
            satellites=satellites,
            **validity,
        )

    def _time(self, time_of_day: int, origin: Origin) -> int:
        if time_of_day >= DAY:
            raise bad_value(f"time of day {time_of_day // SECOND} s is beyond the day's end")
        if origin.near is None:
            raise missing("date: a TAIP report has only a time of day; say with --near when it was recorded")
        return by_time_of_day((time_of_day - self.gps_ahead) % DAY, origin.near)


def checksum(text: str) -> int:
    """The exclusive or of characters."""
    made = 0
    for character in text:
        made ^= ord(character)
    return made & 0xFF


def _check(message: str, part: str) -> None:
    told, made = part[1:], checksum(message[: message.rindex("*") + 1])
    if not re.fullmatch(r"[0-9A-Fa-f]{2}", told) or int(told, 16) != made:
        raise bad_value(f"checksum {told[:8] or 'missing'}, its text makes {made:02X}")


def _validity(source: str, age: str) -> dict[str, bool]:
    """What the receiver says of its own report: no fix or none by satellites; older than ten seconds."""
    said: dict[str, bool] = {}
    if source in _NO_FIX or age not in "12":
        said["valid"] = False
    if age == "1":
        said["outdated"] = True
    return said
