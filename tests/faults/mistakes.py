"""Mistakes put in on purpose, to see that the campaign notices them.

``python -m tests.faults.mistakes MISTAKE ingest`` runs a process of the project with the mistake in it: what
is right in the program is changed here, in the process alone.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from stream.cli import main
from stream.pipeline.ending import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stream.core.facts import Fixes
    from stream.store.ledger import Offset

WINDOW_S = 0.5
"""For so long what was acknowledged is not yet written."""


def ack_before_commit() -> None:
    """The frames' offsets are on record before what they hold is."""
    from stream.core import frames
    from stream.store.ledger import Counted, Ledger

    positions, bookings = Ledger.positions, Ledger.bookings

    def wrong_positions(
        self: Ledger, fixes: Fixes, passed: Iterable[Offset] = (), *, patient: bool = True
    ) -> Counted:
        positions(self, frames.select(fixes, np.arange(0)), passed)
        time.sleep(WINDOW_S)
        return positions(self, fixes, patient=patient)

    def wrong_bookings(
        self: Ledger,
        duties: Sequence[Any],
        states: Sequence[Any],
        passed: Iterable[Offset] = (),
        *,
        patient: bool = True,
    ) -> Counted:
        bookings(self, [], [], passed)
        time.sleep(WINDOW_S)
        return bookings(self, duties, states, patient=patient)

    _replace(Ledger, "positions", wrong_positions)
    _replace(Ledger, "bookings", wrong_bookings)


def no_offset_check() -> None:
    """Offsets on record are not looked at: everything is counted as if it were new."""
    from stream.core import heard_frames
    from stream.store import heard
    from stream.store.ledger import Ledger
    from stream.store.reading import progress

    fresh = heard_frames.fresh
    _replace(heard, "fresh", lambda frames, _passed: fresh(frames, {}))
    _replace(Ledger, "passed", lambda *_: {})
    _replace(progress, "offsets", lambda _: {})


def _replace(where: Any, name: str, value: Any) -> None:
    if not hasattr(where, name):
        sys.exit(f"{where.__name__} has no {name}: this mistake has to be written anew")
    setattr(where, name, value)


MISTAKES: dict[str, Callable[[], None]] = {
    "ack-before-commit": ack_before_commit,
    "no-offset-check": no_offset_check,
}


def command(mistake: str, part: str) -> list[str]:
    """A process of the project with a mistake in it."""
    return [sys.executable, "-m", "tests.faults.mistakes", mistake, part]


if __name__ == "__main__":
    end_with_parent()
    MISTAKES[sys.argv.pop(1)]()
    main()
