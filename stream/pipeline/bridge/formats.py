"""The decoders by name, and which one a frame is for where nobody says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from stream.core.events import Reason
from stream.core.facts import SECOND
from stream.pipeline.bridge import framing, lip, nmea, owntracks, taip, traccar
from stream.pipeline.bridge.outcomes import FeedReject, outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.pipeline.bridge.framing import Frame
    from stream.pipeline.bridge.outcomes import Fields, Origin, Outcome

AUTO: Final = "auto"
FORMATS: Final = (AUTO, traccar.NAME, nmea.NAME, taip.NAME, lip.NAME, owntracks.NAME)
"""What ``--as`` takes."""

_TYPE: Final = re.compile(rb'"_type"\s*:')
_HEX: Final = re.compile(rb"[\d\s,;:.TtZz+-]*(?:0[xX])?[0-9A-Fa-f]{4,}")


@dataclass(frozen=True, slots=True)
class _EachFrame:
    """A decoder of frames that have nothing to do with each other."""

    feed: Callable[[bytes, Origin], list[Outcome]]
    pending: bool = False

    def flush(self) -> list[Outcome]:
        return []


def _each(name: str, decode: Callable[[bytes, Origin], Fields | str]) -> _EachFrame:
    return _EachFrame(lambda frame, origin: [outcome(name, (frame,), partial(decode, frame, origin))])


@dataclass(slots=True)
class _Guessing:
    """Every frame to the decoder that it looks like; the formats' frames begin differently."""

    decoders: dict[str, Decoder]

    @property
    def pending(self) -> bool:
        return self.decoders[nmea.NAME].pending

    def feed(self, frame: bytes, origin: Origin) -> list[Outcome]:
        name = guess(frame)
        if name is None:
            return [FeedReject(AUTO, Reason.BAD_VALUE, "in none of the formats known", (frame,))]
        return self.decoders[name].feed(frame, origin)

    def flush(self) -> list[Outcome]:
        return self.decoders[nmea.NAME].flush()


Decoder: TypeAlias = _EachFrame | nmea.Nmea | _Guessing
"""Frames of one sender → outcomes; every frame comes out exactly once, whole or in its parts.

``feed`` takes the next frame, ``flush`` says that the sender is quiet or has gone; ``pending`` is whether
something waits for either.
"""


def guess(frame: bytes) -> str | None:
    """The name of the format that a frame looks like; None where it is none."""
    if frame.startswith(b"{"):
        return owntracks.NAME if _TYPE.search(frame) else traccar.NAME
    if b">" in frame and frame.endswith(b"<"):
        return taip.NAME
    if b"$" in frame or b"!" in frame:
        return nmea.NAME
    return lip.NAME if _HEX.fullmatch(frame) else None


def decoder(name: str, *, gps_ahead_s: float = 0.0) -> Decoder:
    """A new decoder for one sender.

    Args:
        name: one of ``FORMATS``.
        gps_ahead_s: how many seconds the time of day in TAIP reports is ahead of UTC.
    """
    made: dict[str, Decoder] = {
        taip.NAME: _EachFrame(taip.Taip(round(gps_ahead_s * SECOND)).feed),
        nmea.NAME: nmea.Nmea(),
    }
    for each in (traccar, owntracks, lip):
        made[each.NAME] = _each(each.NAME, each.decode)
    return _Guessing(made) if name == AUTO else made[name]


def framer(name: str, limit: int = framing.MAX_FRAME) -> framing.Framer:
    """A new framer for one sender of a format."""
    return framing.Framer(framing.TAIP if name == taip.NAME else framing.ANY, limit)


def too_long(name: str, frame: Frame) -> FeedReject:
    """What becomes of a frame that was cut."""
    detail = f"a frame of {frame.length} bytes; at most {len(frame.data)} are taken, and kept here"
    return FeedReject(name, Reason.BAD_VALUE, detail, (frame.data,))
