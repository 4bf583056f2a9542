"""One duty whole: its slices, the positions of its devices, its figure. For the page that shows a shift.

Reads only; what the slices and figures are is said in the core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geo.matching.history import UNKNOWN
from stream.core.shares import OFFICER, Figures, shares
from stream.core.slices import Slices, decisive, reason, whole_slices
from stream.core.stays import jumps, take
from stream.store.chunks import around
from stream.store.reading.doubtful import doubts_of
from stream.store.reading.instant import Numbered, instant, read_duties

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty, Fixes
    from stream.core.policy import Policies
    from stream.store.schema import Connection

MOST_DUTIES = 60
"""How many duties of an officer are listed, the newest first."""


@dataclass(frozen=True, slots=True, eq=False)
class DutyTrack:
    """One duty.

    Attributes:
        slices: as rule 12 has them, but with the radio status in force throughout, cut to now.
        reasons: of each slice.
        ambiguous: ``int64[m]``, microseconds of each (rule 14).
        device_ids: the names behind ``slices.device``.
        fixes: reported positions of the devices while they were allocated, by device and time.
        ignored: ``bool[n]``, which fixes are jumps that no movement explains (rule 3).
        fix_devices: the names behind ``fixes.device``.
        figures: of the duty up to now.
    """

    duty: Duty
    slices: Slices
    reasons: tuple[str, ...]
    ambiguous: NDArray[np.int64]
    places: Sequence[Place]
    device_ids: tuple[str, ...]
    fixes: Fixes
    ignored: NDArray[np.bool_]
    fix_devices: tuple[str, ...]
    figures: Figures
    target: float


def officer_duties(
    connection: Connection, officer_id: str, patches: Sequence[str] | None = None
) -> list[Duty]:
    """An officer's newest duties, the newest first, without cancelled ones.

    Args:
        connection: to the database.
        officer_id: whose.
        patches: only duties whose patch has one of these neighbourhoods; None: all.
    """
    which = f"officer_id = %s and not cancelled and {_PATCHED} order by start_at desc, duty_id limit %s"
    given = [officer_id, *_patched(patches), MOST_DUTIES]
    return list(read_duties(connection, which, given, devices=None).values())


_PATCHED = "(%s::text[] is null or patch && %s::text[])"


def _patched(patches: Sequence[str] | None) -> list[list[str] | None]:
    return [None if patches is None else list(patches)] * 2


def read_duty(
    connection: Connection,
    officer_id: str,
    duty_id: str,
    now: int,
    policies: Policies,
    patches: Sequence[str] | None = None,
) -> DutyTrack | None:
    """One duty up to a time; None where the officer has no such duty.

    Args:
        connection: outside any transaction; all is read as of one instant.
        officer_id: whose.
        duty_id: which.
        now: microseconds.
        policies: they judge it.
        patches: only where its patch has one of these neighbourhoods; None: wherever.
    """
    with instant(connection):
        which = f"duty_id = %s and officer_id = %s and not cancelled and {_PATCHED}"
        booked = read_duties(connection, which, [duty_id, officer_id, *_patched(patches)])
        if not booked:
            return None
        [(key, duty)] = booked.items()
        numbered = Numbered.of(connection)
        one = numbered.slices(connection, [key], f"duty = {int(key)}")
        doubts = doubts_of(connection, [key], numbered.device_ids)
        until = min(now, duty.until)
        fixes, ignored = _fixes(connection, duty, until, policies)
    # Signed off within a duty is off duty (rule 11): what was reported then is not shown.
    at = np.searchsorted(one.start, fixes.time, side="right") - 1
    on_duty = (at >= 0) & (fixes.time <= one.end[at]) if len(one) else np.zeros(len(fixes), np.bool_)
    fixes, ignored = take(fixes, on_duty), ignored[on_duty]
    places = numbered.places
    whole, unsure = whole_slices(one, [duty], places, policies, until=until)
    decides = decisive(whole, [duty], policies)
    policy = policies.at(duty.start)
    reasons = tuple(
        reason(
            int(whole.activity[at]),
            policy.state(int(whole.state[at])).name if decides[at] else "",
            None if whole.place[at] == UNKNOWN else places[int(whole.place[at])],
        )
        for at in range(len(whole))
    )
    # The status in force when each began, also where it did not decide.
    in_force = np.searchsorted(one.start, whole.start, side="right") - 1
    told = Slices(
        whole.duty, whole.start, whole.end, whole.activity, one.state[in_force], whole.place, whole.device
    )
    begun = min(duty.start, until)
    counted = shares(one, [duty], places, begun, max(until, begun + 1), doubts=doubts)
    found = [item for item in counted if item.scope == OFFICER]
    figures = found[0] if found else Figures(OFFICER, officer_id, begun, until, has_share=bool(duty.patch))
    return DutyTrack(
        duty,
        told,
        reasons,
        unsure,
        places,
        numbered.device_ids,
        fixes,
        ignored,
        fixes.device_ids,
        figures,
        policies.at(duty.start).target,
    )


def _fixes(
    connection: Connection, duty: Duty, until: int, policies: Policies
) -> tuple[Fixes, NDArray[np.bool_]]:
    """Reported positions of the duty's devices while they were allocated to it, and which are jumps."""
    key_of: dict[str, int] = dict(
        connection.execute(
            "select device_id, device from device where device_id = any(%s)",
            [[item.device_id for item in duty.devices]],
        ).fetchall()
    )
    held = [
        (at, key_of[item.device_id], begin, end)
        for at, item in enumerate(duty.devices)
        if item.device_id in key_of
        and (begin := max(duty.start, item.start or duty.start)) <= (end := min(until, item.end or until))
    ]
    which, key, low, high = (
        (np.array(column, np.int64) for column in zip(*held, strict=True))
        if held
        else (np.empty(0, np.int64),) * 4
    )
    # A jump is judged by its neighbours, which may lie just outside the allocation.
    found = around(connection, key, low, high, before=1, after=1)
    own = (found.time >= low[found.device]) & (found.time <= high[found.device])
    names = tuple(item.device_id for item in duty.devices)
    found = replace(found, device=which[found.device].astype(np.int32), device_ids=names)
    return take(found, own), jumps(found, policies)[own]
