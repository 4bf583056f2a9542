"""From the messages of a batch to one transaction of the ledger, for each stage of the worker.

Nothing here may raise for a message that cannot be read: it is told to ``broken``, which keeps it among the
dead letters, and the others are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stream import topics
from stream.core import frames, heard_frames
from stream.core.events import decode_duties, decode_states, uncountable

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.core.facts import Duty, Fixes, StateReport
    from stream.core.heard_frames import HeardFrame
    from stream.store.ledger import Counted, Ledger, Offset

    Broken = Callable[[Any, str], None]


def fixes(ledger: Ledger, messages: list[Any], offsets: list[Offset], broken: Broken) -> Counted:
    """Frames of fixes → one transaction, or a few; some may be left (``Counted.rest``)."""
    found: list[Fixes] = []
    for message in messages:
        try:
            part = frames.decode(message.value or b"").fixes
        except frames.FrameError as error:
            broken(message, str(error))
            continue
        if fault := uncountable(part):
            broken(message, f"a frame of fixes that cannot be counted: {fault}")
            continue
        found.append(part)
    return ledger.positions(frames.join(found), offsets, patient=False)


def heard(ledger: Ledger, messages: list[Any], offsets: list[Offset], broken: Broken) -> Counted:
    """Heard frames → one transaction."""
    found: list[HeardFrame] = []
    for message in messages:
        try:
            found.append(heard_frames.decode(message.value or b""))
        except frames.FrameError as error:
            broken(message, str(error))
    return ledger.heard(found, offsets)


def bookings(ledger: Ledger, messages: list[Any], offsets: list[Offset], broken: Broken) -> Counted:
    """Lines of duties and states → one transaction, or a few; some may be left (``Counted.rest``)."""
    duties: list[Duty] = []
    states: list[StateReport] = []
    for message in messages:
        lines = frames.decode_lines(message.value or b"")
        kind = (dict(message.headers or {}).get(topics.KIND_HEADER) or b"").decode(errors="replace")
        if kind == topics.KIND_DUTIES:
            new, _, rejects = decode_duties(lines)
            duties += new
        elif kind == topics.KIND_STATES:
            keyed, _, rejects = decode_states(lines)
            states += keyed
        else:
            broken(message, f"kind {kind!r} is neither duties nor states")
            continue
        if rejects:
            broken(message, rejects[0].detail)
    return ledger.bookings(duties, states, offsets, patient=False)


def halves_of_frame(value: bytes) -> tuple[bytes, ...]:
    """A frame of fixes as two, by devices first; nothing where it cannot be divided."""
    try:
        found = frames.decode(value).fixes
    except frames.FrameError:
        return ()
    if len(found) < 2:
        return ()
    order = np.argsort(found.device, kind="stable")
    apart = np.flatnonzero(np.diff(found.device[order])) + 1
    middle = len(found) // 2 if not len(apart) else int(apart[len(apart) // 2])
    return tuple(frames.encode(frames.select(found, rows)) for rows in (order[:middle], order[middle:]))


def halves_of_lines(value: bytes) -> tuple[bytes, ...]:
    """Lines of duties or states as two messages; nothing where there is one line."""
    lines = frames.decode_lines(value)
    middle = len(lines) // 2
    return tuple(map(frames.encode_lines, (lines[:middle], lines[middle:]))) if middle else ()


def undivided(_value: bytes) -> tuple[bytes, ...]:
    """A message whose parts are of no use without each other."""
    return ()
