"""NMEA 0183 sentences of receivers, with an id before them or not: RMC, GGA, GLL and GNS.

The sentences of one moment make one event. It leaves as soon as one of the next moment comes, or when the
sender has been quiet (``flush``). The date is that of the newest RMC; where none has come yet, that of the
receipt. Sentences are parsed by pynmeagps; here they are put together, and what they say of their own
validity is kept: status V, mode N, E, M or S, quality 0, 6, 7 or 8, and no satellites used (NMEA 0183
version 4.1, RMC, GGA, GNS).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, time
from functools import partial
from typing import Any, Final

from pynmeagps import NMEAReader
from pynmeagps.nmeahelpers import calc_checksum

from stream.core.events import KNOT, Reason
from stream.core.facts import SECOND
from stream.pipeline.bridge.dating import DAY, by_time_of_day
from stream.pipeline.bridge.outcomes import (
    NOT_A_FIX,
    FeedOther,
    FeedReject,
    Fields,
    Origin,
    Outcome,
    RejectedError,
    bad_value,
    event,
    missing,
    outcome,
    stamped,
)

NAME: Final = "nmea"

_TAG: Final = re.compile(r"\\([^\\]*)\\")
"""A tag block of NMEA 0183 version 4, of which the source (``s:``) is the id."""
_PREFIX: Final = re.compile(
    r"(?:(?:imei|id)\s*[:=]\s*)?([A-Za-z0-9][\w.-]{0,63})\s*[,;: ]\s*", re.I | re.ASCII
)
_START: Final = re.compile(r"[$!]")
_SENTENCE: Final = re.compile(r"\$([A-Z]{2})([A-Z]{3}),([ -)+-~]*)(?:\*([0-9A-Fa-f]{2}))?", re.ASCII)
_TAKEN: Final = {"RMC": 9, "GGA": 8, "GLL": 6, "GNS": 8}
"""The sentences with a position, and how many fields each has at least."""
_LATITUDE_AT: Final = {"RMC": 3, "GGA": 2, "GLL": 1, "GNS": 2}
"""Which field is the latitude; the longitude is two further on."""
_PAST_AN_HOUR: Final = re.compile(r"\d*[6-9]\d(?:\.\d*)?", re.ASCII)
"""``ddmm.mm`` with minutes that are none, as of decimal degrees without their point."""
_OTHER: Final = re.compile(r"[$!][A-Z]{2,8}(?:,|\*|$)", re.ASCII)
_NOT_BY_SATELLITES: Final = frozenset("NEMS")
_NO_QUALITY: Final = frozenset({0, 6, 7, 8})


@dataclass(slots=True)
class _Moment:
    """What the sentences of one device and time of day said together: an event's fields, and its validity."""

    device_id: str | None
    time_of_day: int
    origin: Origin
    raw: list[bytes] = field(default_factory=list)
    day: date | None = None
    said: dict[str, Any] = field(default_factory=dict)
    valid: bool = True


@dataclass(slots=True)
class Nmea:
    """The decoder of one connection."""

    _moment: _Moment | None = None
    _device: str | None = None
    _day: date | None = None
    _day_time: int = 0
    _checked: bool = False

    @property
    def pending(self) -> bool:
        """Whether an event waits for more sentences of its moment."""
        return self._moment is not None

    def feed(self, frame: bytes, origin: Origin) -> list[Outcome]:
        """One line → the events that it completes, and what cannot be used of it.

        Several sentences in one line, as when a line's end got lost, are several.
        """
        text = frame.decode("latin-1")
        starts = [found.start() for found in _START.finditer(text)]
        if not starts:
            return [FeedReject(NAME, Reason.BAD_VALUE, "no NMEA sentence", (frame,))]
        try:
            before, origin = stamped(text[: starts[0]].lstrip(), origin)
        except RejectedError as failure:
            return [FeedReject(NAME, failure.reason, failure.detail, (frame,))]
        self._name(before)
        found: list[Outcome] = []
        for start, end in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True):
            piece = text[max(start, starts[0]) : end].strip()
            found += self._sentence(piece, frame[start:end], origin)
        return found

    def flush(self) -> list[Outcome]:
        """The sender is quiet: the moment is complete."""
        moment, self._moment = self._moment, None
        if moment is None:
            return []
        return [outcome(NAME, tuple(moment.raw), partial(self._event, moment))]

    def _name(self, before: str) -> None:
        """An id before the sentence holds for this one and for those after it that have none."""
        for tag in _TAG.findall(before):
            for part in tag.partition("*")[0].split(","):
                if part.startswith("s:"):
                    self._device = part[2:].strip() or None
        if found := _PREFIX.fullmatch(_TAG.sub("", before).lstrip()):
            self._device = found[1]

    def _sentence(self, text: str, raw: bytes, origin: Origin) -> list[Outcome]:
        try:
            found = _SENTENCE.fullmatch(text)
            if found is None or found[2] not in _TAKEN:
                if not _OTHER.match(text) or text[3:6] in _TAKEN:
                    raise bad_value("a broken NMEA sentence")
                return [FeedOther(NAME, "other sentence", (raw,))]
            if found[4] is None and self._checked:
                raise bad_value("no checksum, where this sender writes one: the sentence broke off")
            said = _parse(text, has_checksum=found[4] is not None)
            self._checked |= found[4] is not None
            return self._take(found[2], said, raw, origin)
        except RejectedError as failure:
            return [FeedReject(NAME, failure.reason, failure.detail, (raw,))]

    def _take(self, kind: str, said: Any, raw: bytes, origin: Origin) -> list[Outcome]:
        valid = _valid(kind, said)
        at = said.time
        lon, lat = said.lon, said.lat
        located = isinstance(lon, float) and isinstance(lat, float)
        if not located or not isinstance(at, time):
            held = self._moment
            same = held is not None and isinstance(at, time) and held.time_of_day == _of_day(at)
            if not valid and held is not None and same and held.device_id == self._device:
                held.raw.append(raw)
                held.valid = False  # of one moment, either all of it is a fix or nothing
                return []
            if not valid:
                raise RejectedError(NOT_A_FIX, f"{kind} without a position: the receiver had no fix")
            raise missing(f"{kind} has no {'time' if located else 'position'} that can be read")
        if said.NS not in {"N", "S"} or said.EW not in {"E", "W"}:
            raise bad_value(f"{kind} has hemispheres {said.NS!r} and {said.EW!r}")
        of_day = _of_day(at)
        done: list[Outcome] = []
        moment = self._moment
        if moment is None or moment.time_of_day != of_day or moment.device_id != self._device:
            done = self.flush()
            self._moment = moment = _Moment(self._device, of_day, origin)
        moment.raw.append(raw)
        moment.valid &= valid
        if kind == "RMC" or "lon" not in moment.said:
            moment.said |= {"lon": lon, "lat": lat}
        if kind == "RMC":
            day = said.date if isinstance(said.date, date) else None
            if day is not None:
                self._day, self._day_time = day, of_day
                moment.day = day
            speed = _number(said.spd)
            moment.said["speed_mps"] = None if speed is None else speed * KNOT
            moment.said["heading_deg"] = _number(said.cog)
        elif kind in {"GGA", "GNS"}:
            moment.said["satellites"] = said.numSV if isinstance(said.numSV, int) else None
            moment.said["hdop"] = _number(said.HDOP)
        return done

    def _event(self, moment: _Moment) -> Fields:
        valid, at = None if moment.valid else False, self._time(moment)
        return event(moment.origin, device_id=moment.device_id, time=at, valid=valid, **moment.said)

    def _time(self, moment: _Moment) -> int:
        if moment.day is not None:
            return _midnight(moment.day) + moment.time_of_day
        if self._day is not None:
            # The newest RMC may be of before midnight.
            return by_time_of_day(moment.time_of_day, _midnight(self._day) + self._day_time)
        if moment.origin.near is not None:
            return by_time_of_day(moment.time_of_day, moment.origin.near)
        raise missing("date: no RMC sentence has told it; say with --near when it was recorded")


def _parse(text: str, *, has_checksum: bool) -> Any:
    """A sentence by its fields' names; fields that cannot be read are empty."""
    content = text[1:]
    if has_checksum:
        content, _, told = content.rpartition("*")
        made = calc_checksum(content)
        if told.upper() != made:
            raise bad_value(f"checksum {told.upper()}, its text makes {made}")
    whole = f"${content}*{calc_checksum(content)}\r\n".encode("ascii")
    try:
        said = NMEAReader.parse(whole)
    except Exception as failure:  # the parser has kinds of its own, and lets others through for odd fields
        raise bad_value(f"the sentence cannot be read: {str(failure)[:80]}") from None
    fields, needed = content.split(","), _TAKEN[content[2:5]]
    if said is None or len(fields) <= needed:
        raise bad_value(f"{content[2:5]} with {len(fields) - 1} fields: at least {needed} are needed")
    at = _LATITUDE_AT[content[2:5]]
    for angle in (fields[at], fields[at + 2]):
        if _PAST_AN_HOUR.fullmatch(angle):
            raise bad_value(f"{content[2:5]} has an angle of 60 minutes or more: {angle[:20]}")
    if content[2:5] == "RMC" and fields[9] and not isinstance(said.date, date):
        raise bad_value(f"RMC has a date that is none: {fields[9][:20]}")
    return _Said(said)


class _Said:
    """A parsed sentence; what it does not have is empty."""

    def __init__(self, parsed: Any) -> None:
        self._parsed = parsed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parsed, name, "")


def _valid(kind: str, said: Any) -> bool:
    modes = str(said.posMode)
    if kind in {"RMC", "GLL"}:
        return said.status == "A" and modes not in _NOT_BY_SATELLITES
    if kind == "GNS":
        return bool(set(modes) - _NOT_BY_SATELLITES) and said.numSV != 0
    return said.quality not in _NO_QUALITY and said.quality != "" and said.numSV != 0


def _of_day(at: time) -> int:
    return ((at.hour * 60 + at.minute) * 60 + at.second) * SECOND + at.microsecond


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _midnight(day: date) -> int:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY
