"""Bytes, however they are cut into pieces, → frames: lines, and TAIP's ``>`` … ``<``.

Pure, and the same frames come out whatever the pieces. A frame that is too long comes out cut, and marked so:
its end is looked for, but not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_FRAME: Final = 65_536
"""The longest frame taken, bytes: far over what any of the formats needs."""
ANY, TAIP = "any", "taip"
"""How frames end: at a line's end, and at ``<`` if they begin with ``>``; or always at ``<`` too."""

_LINE: Final = re.compile(rb"[\r\n\0]")
_ANGLE: Final = re.compile(rb"[\r\n\0<]")
_BLANK: Final = b" \t\r\n\0"


class Frame(NamedTuple):
    """One frame without what ends it (but with TAIP's ``<``), and how long it was before it was cut."""

    data: bytes
    length: int

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        return self.length == len(self.data)


@dataclass(slots=True)
class Framer:
    """Cuts a stream of bytes into frames.

    Attributes:
        ends: ``ANY`` or ``TAIP``.
        limit: the longest frame, bytes.
    """

    ends: str = ANY
    limit: int = MAX_FRAME
    _held: bytearray = field(default_factory=bytearray)
    _length: int = 0

    @property
    def length(self) -> int:
        """How long the frame is that has not ended yet, bytes."""
        return self._length

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in the next piece of the stream."""
        found: list[Frame] = []
        at = 0
        while at < len(data):
            if not self._length:
                at = len(data) - len(data[at:].lstrip(_BLANK))
                if at == len(data):
                    break
            first = self._held[0] if self._held else data[at]
            end = (_ANGLE if self.ends == TAIP or first == ord(">") else _LINE).search(data, at)
            stop = len(data) if end is None else end.end() if end[0] == b"<" else end.start()
            self._length += stop - at
            self._held += data[at : min(stop, at + self.limit - len(self._held))]
            at = stop if end is None else end.end()
            if end is not None:
                found.append(self._cut())
        return found

    def close(self) -> list[Frame]:
        """What is left when nothing more will come: senders leave out the last line's end."""
        return [self._cut()] if self._length else []

    def _cut(self) -> Frame:
        whole = self._length == len(self._held)
        data = bytes(self._held).rstrip(b" \t") if whole else bytes(self._held)
        frame = Frame(data, len(data) if whole else self._length)
        self._held, self._length = bytearray(), 0
        return frame
