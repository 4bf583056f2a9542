"""NMEA 0183: RMC and GGA sentences of a receiver; the device is the file's name.

What a sentence says against its own position (rule 2a) stands against all that was said of that moment.
"""

from __future__ import annotations

import re
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.events import KNOT, Reason, Reject
from stream.core.times import parse_time
from stream.files.tracks.rows import TrackRows, event_json, open_file, stem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SENTENCE: Final = re.compile(r"\$([A-Z0-9]{2})(RMC|GGA),([^*]*)(?:\*([0-9A-Fa-f]{2}))?\s*$", re.ASCII)
_CLOCK: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)(\.\d+)?", re.ASCII)
_RMC_FIELDS, _GGA_FIELDS = 9, 6
_NO_FIX: Final = {"N": "no fix", "E": "estimated by dead reckoning", "M": "put in by hand", "S": "simulated"}
"""The modes of RMC without satellites. The navigational status behind it is not asked: receivers that do not
judge their own safety always say V there."""
_NO_FIX_QUALITY: Final = {0: "no fix", 6: _NO_FIX["E"], 7: _NO_FIX["M"], 8: _NO_FIX["S"]}


@dataclass(slots=True)
class _Epoch:
    """What the sentences of one moment said together."""

    line: int
    clock: str
    day: date | None = None
    lon: float | None = None
    lat: float | None = None
    speed: float | None = None
    course: float | None = None
    doubt: str = ""


class _Nmea:
    """Sentences to events: RMC and GGA of one time of day are one fix; the date is the newest RMC's."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.values: list[bytes] = []
        self.lines: list[int] = []
        self.rejects: list[Reject] = []
        self._day: date | None = None
        self._day_clock = ""
        self._epoch: _Epoch | None = None

    def take(self, number: int, text: str) -> None:
        """Reads one line."""
        if "$" not in text:
            if text.strip() and "!" not in text:
                self._refuse(number, Reason.BAD_VALUE, "no NMEA sentence")
            return
        sentence = text[text.index("$") :]
        match = _SENTENCE.match(sentence)
        if match is None:
            if re.match(r"\$..(RMC|GGA)", sentence):
                self._refuse(number, Reason.BAD_VALUE, "a broken RMC or GGA sentence")
            return
        _, kind, body, told = match.groups()
        if told is not None:
            made = 0
            for sign in sentence[1 : sentence.index("*")]:
                made ^= ord(sign)
            if made != int(told, 16):
                self._refuse(number, Reason.BAD_VALUE, f"checksum {told.upper()}, its text makes {made:02X}")
                return
        fields = body.split(",")
        try:
            self._rmc(number, fields) if kind == "RMC" else self._gga(number, fields)
        except (ValueError, IndexError):
            self._refuse(number, Reason.BAD_VALUE, f"{kind} cannot be read: {body[:60]}")

    def _rmc(self, number: int, fields: list[str]) -> None:
        if len(fields) < _RMC_FIELDS:
            raise ValueError(fields)
        mode = fields[11] if len(fields) > 11 else ""
        if fields[1] != "A":
            self._doubt(number, fields[0], f"RMC has status {fields[1] or 'none'}", fields[8])
            return
        if mode in _NO_FIX:
            self._doubt(number, fields[0], f"RMC has mode {mode}, {_NO_FIX[mode]}", fields[8])
            return
        lon, lat = _angle(fields[4], fields[5], "WE"), _angle(fields[2], fields[3], "SN")
        day = _date(fields[8])
        speed, course = _maybe(fields[6]), _maybe(fields[7])
        epoch = self._at(number, fields[0])
        self._day, self._day_clock = day, epoch.clock
        epoch.day, epoch.lon, epoch.lat, epoch.course = day, lon, lat, course
        epoch.speed = None if speed is None else speed * KNOT

    def _gga(self, number: int, fields: list[str]) -> None:
        if len(fields) < _GGA_FIELDS:
            raise ValueError(fields)
        quality = int(fields[5] or 0)
        if quality in _NO_FIX_QUALITY:
            why = f"GGA has quality {quality}, {_NO_FIX_QUALITY[quality]}"
        else:
            seen = fields[6] if len(fields) > 6 else ""
            why = "GGA counts 0 satellites" if re.fullmatch(r"0+", seen, re.ASCII) else ""
        if why:
            self._doubt(number, fields[0], why)
            return
        lon, lat = _angle(fields[3], fields[4], "WE"), _angle(fields[1], fields[2], "SN")
        epoch = self._at(number, fields[0])
        if epoch.lon is None:
            epoch.lon, epoch.lat = lon, lat

    def _at(self, number: int, text: str) -> _Epoch:
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise ValueError(text)
        hour, minute, second, part = match.groups()
        fraction = (part or "").rstrip("0").rstrip(".")
        clock = f"{hour}:{minute}:{second}{fraction}"
        if self._epoch is None or self._epoch.clock != clock:
            self.flush()
            self._epoch = _Epoch(number, clock)
        return self._epoch

    def _doubt(self, number: int, clock: str, why: str, day: str = "") -> None:
        """A sentence that says that there was no fix, whether or not it knows the time."""
        try:
            epoch = self._at(number, clock)
        except ValueError:
            self.flush()
            self._refuse(number, Reason.NOT_A_FIX, f"no position: {why}")
            return
        epoch.doubt = epoch.doubt or why
        with suppress(ValueError):
            epoch.day = _date(day)  # and no other moment's: a receiver without a fix may not know the day

    def flush(self) -> None:
        """Ends the moment: its fix is complete."""
        epoch, self._epoch = self._epoch, None
        if epoch is None:
            return
        day = epoch.day
        if day is None and self._day is not None:
            # A GGA has no date of its own: the last RMC's, or the day after it after midnight.
            later = int(epoch.clock[:2]) + 12 <= int(self._day_clock[:2])
            day = self._day + timedelta(days=1) if later else self._day
        if epoch.doubt:
            time = None if day is None else parse_time(f"{day.isoformat()}T{epoch.clock}Z")
            self._refuse(epoch.line, Reason.NOT_A_FIX, f"no position: {epoch.doubt}", time)
            return
        if day is None:
            self._refuse(
                epoch.line, Reason.MISSING_FIELD, "date: no RMC sentence before this GGA has told it"
            )
            return
        found = {"lon": epoch.lon, "lat": epoch.lat, "speed_mps": epoch.speed, "heading_deg": epoch.course}
        numbers = {name: repr(value) for name, value in found.items() if value is not None}
        self.values.append(event_json(self.device, f"{day.isoformat()}T{epoch.clock}Z", numbers))
        self.lines.append(epoch.line)

    def _refuse(self, number: int, reason: Reason, detail: str, time: int | None = None) -> None:
        # Whatever the sentence was, the receiver was heard.
        self.rejects.append(Reject(number, reason, detail, self.device, time))

    def rows(self) -> TrackRows:
        """What was read since the last time."""
        made = TrackRows(self.values, np.array(self.lines, np.int64), self.rejects)
        self.values, self.lines, self.rejects = [], [], []
        return made


def _date(text: str) -> date:
    """``ddmmyy`` → a day."""
    day = date(2000 + int(text[4:6]), int(text[2:4]), int(text[:2]))
    # GPS began in 1980; such a day is refused for what it looks like (rule 2c).
    return day.replace(year=day.year - 100) if int(text[4:6]) >= 80 else day


def _angle(text: str, side: str, sides: str) -> float:
    """``dddmm.mmmm`` and a letter → degrees."""
    if side not in sides or not side:
        raise ValueError(side)
    if not re.fullmatch(r"\d{3,5}(\.\d+)?", text, re.ASCII):
        raise ValueError(text)
    whole, _, fraction = text.partition(".")
    degrees = int(whole[:-2]) + float(f"{whole[-2:]}.{fraction or 0}") / 60
    return degrees if side == sides[1] else -degrees


def _maybe(text: str) -> float | None:
    return float(text) if text else None


def read_nmea(path: Path, chunk: int) -> Iterator[TrackRows]:
    """Reads NMEA sentences; a fix stands at the line of its first sentence."""
    state = _Nmea(stem(path))
    with closing(open_file(path)) as file:
        for number, line in enumerate(file, start=1):
            state.take(number, line.decode("ascii", "replace"))
            if len(state.values) + len(state.rejects) >= chunk:
                yield state.rows()
    state.flush()
    yield state.rows()
