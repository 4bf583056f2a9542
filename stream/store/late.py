"""Facts that reach into settled weeks, marked in the transaction that counts them (rule 20).

A mark changes nothing: it says where figures on record may be others by now, and why. What becomes of it is
in ``settled``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from geo.matching.history import FOREVER
from stream.store.reading.instant import fetch, us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty, StateReport
    from stream.store.schema import Connection
    from stream.store.tracks import Changes

SETTLED: Final = f"(select coalesce({us('max(end_at)')}, {-FOREVER}) from settled_week)"
"""SQL: before this time, microseconds, there are settled weeks."""

MARK: Final = (
    f"kind, name, {us('start_at')}, {us('end_at')}, {us('first_at')}, {us('last_at')}, officer, revision"
)
"""SQL: the columns of a ``Mark``."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fact that may have changed figures of settled weeks.

    Attributes:
        kind: ``positions``, ``state``, ``duty`` or ``doubt``.
        name: of the device, the duty or, of a state, the officer.
        low: what it may have changed begins here, microseconds.
        high: and ends here.
        first: time of the first of the facts themselves, microseconds.
        last: of the last.
        officer: whose figures it may have changed; None: not known.
        revision: of a duty.
    """

    kind: str
    name: str
    low: int
    high: int
    first: int
    last: int
    officer: str | None = None
    revision: int | None = None


def mark(connection: Connection, marks: Iterable[Mark]) -> None:
    """Writes marks, in the transaction that counts the facts."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into restatement_due "
            "(kind, name, start_at, end_at, first_at, last_at, officer, revision) values "
            "(%s, %s, from_us(%s), from_us(%s), from_us(%s), from_us(%s), %s, %s)",
            [
                [
                    *(item.kind, item.name, item.low, item.high, item.first, item.last),
                    *(item.officer, item.revision),
                ]
                for item in marks
            ],
        )


def mark_positions(
    connection: Connection,
    settled: int,
    keys: NDArray[np.int32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    changes: Changes | None,
) -> None:
    """Marks positions that changed what duties did before a time.

    Args:
        connection: in the transaction that counts them.
        settled: the time, microseconds (``SETTLED``).
        keys: ``int32[n]``, of their devices.
        low: ``int64[n]``, when the first of each is.
        high: ``int64[n]``, and the last.
        changes: what counting them changed.
    """
    reach = {} if changes is None else _changed(changes, settled)
    if not reach:
        return
    names: dict[str, int] = {
        name: int(np.searchsorted(keys, key))
        for key, name in fetch(
            connection, "select device, device_id from device where device = any(%s)", [keys.tolist()]
        )
    }
    mark(
        connection,
        [
            Mark("positions", name, *span, first, min(last, max(first, settled)), duty.officer_id)
            for duty, span in reach.values()
            for name in sorted({item.device_id for item in duty.devices} & names.keys())
            for first, last in [(int(low[names[name]]), int(high[names[name]]))]
        ],
    )


def mark_bookings(
    connection: Connection,
    settled: int,
    revised: Sequence[Duty],
    before: Mapping[str, Duty],
    states: Iterable[StateReport],
    changes: Changes | None,
) -> None:
    """Marks revised duties and radio states that reach before a time.

    Args:
        connection: in the transaction that counts them.
        settled: the time, microseconds (``SETTLED``).
        revised: the duties, as they count from now on.
        before: by ``duty_id``, as they counted until now.
        states: the new states.
        changes: what counting them changed.
    """
    marks = []
    for duty in revised:
        was = before.get(duty.duty_id, duty)
        low, high = min(duty.start, was.start), max(duty.until, was.until)
        if low < settled:
            marks += [
                Mark("duty", duty.duty_id, low, high, low, high, officer, duty.revision)
                for officer in sorted({duty.officer_id, was.officer_id})
            ]
    early: dict[str, list[int]] = defaultdict(list)
    for report in states:
        if report.time < settled:
            early[report.officer_id].append(report.time)
    if early and changes is not None:
        for duty, (low, high) in _changed(changes, settled).values():
            if found := early.get(duty.officer_id):
                marks.append(
                    Mark("state", duty.officer_id, low, high, min(found), max(found), duty.officer_id)
                )
    if marks:
        mark(connection, marks)


def _changed(changes: Changes, settled: int) -> dict[int, tuple[Duty, tuple[int, int]]]:
    """The duties of which anything before a time is not what it was, and from when to when; by position."""
    was, now = (
        {
            (number, start, min(end, settled), *others)
            for number, start, end, *others in zip(*(column[early].tolist() for column in rows), strict=True)
        }
        for rows in (changes.gone, changes.added)
        for early in [np.flatnonzero(rows[1] < settled)]
    )
    found: dict[int, tuple[Duty, tuple[int, int]]] = {}
    for number, start, end, *_ in was ^ now:
        _, (low, high) = found.get(number, (None, (start, end)))
        found[number] = changes.duties[number], (min(low, start), max(high, end))
    return found
