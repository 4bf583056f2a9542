"""Facts → doubts: the time of duties in which the facts contradict each other (rule 21).

Columns in, columns out; no Kafka, no database, no clock. Doubt is judged on the facts alone, fixes after
rules 1 and 2, so the order in which they arrived makes no difference. It changes no share, only the bounds
(``stream.core.shares``).

The steps: ``devices`` finds what one device's own fixes contradict, ``allocated`` what bookings and other
devices do, ``apart`` when a radio is not where its officer's vehicle is; here each duty gets its doubtful
time.

For a part of a track the doubts come out the same if enough is known around it. Whether an instant is in
doubt depends

* for ``two_devices`` on the device's fixes within twice ``double_within_s``, and one more on each side;
* for ``frozen`` on all fixes of the run of equal coordinates, on one fix before and after it, and on the
  stays, legs and allocations of the officer's other devices during the run;
* for ``shared_radio`` on the radio's allocations at that instant;
* for ``apart`` on the duty, and on both devices' legs and stays within ``apart_s`` + ``max_gap_s`` of it.

A leg depends on two fixes on each side, since one that is a jump is left out. So a fix that comes, changes or
goes at a time *t* can change ``two_devices`` and ``apart`` only of its device and within those distances of
*t*, measured from the second fix before it to the second after it; and ``frozen`` of the runs that it is in
or next to, and of those of other devices of an officer who then held its device, as far as they reach over
these fixes. A changed booking can change ``shared_radio`` and ``apart`` while its old or its new revision
allocates the device, and ``frozen`` of all runs that touch that time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stream.core.columns import Columns, changes, coalesce, offsets, ranges
from stream.core.quality.allocated import beside_others, holdings, shared
from stream.core.quality.apart import apart
from stream.core.quality.devices import APART, KINDS, NO_OTHER, SHARED_RADIO, DeviceDoubts, alone, frozen_runs
from stream.core.quality.intervals import divided, union
from stream.core.quality.movement import Movements
from stream.core.slices import HIDDEN, NO_DEVICE, OFF_PATCH, ON_PATCH, decisive
from stream.core.stays import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty, Fixes
    from stream.core.policy import Policies
    from stream.core.quality.apart import Apart
    from stream.core.slices import Slices
    from stream.core.stays import Stays


@dataclass(frozen=True, slots=True, eq=False)
class Doubts(Columns):
    """Doubtful time of duties, sorted by duty, start, kind, device and other (rule 21).

    Only time that a position decided: no break, nothing that a state decides, nothing unknown. Rows of one
    duty, kind, device and other are disjoint and do not touch; those of different kinds may overlap
    (``doubtful`` counts nothing twice).

    Attributes:
        duty: ``int32[m]``, index into the duties given.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive.
        kind: ``int8[m]``, index into ``KINDS``.
        device: ``int32[m]``, the stays' numbering: the device in doubt; of ``apart`` the radio.
        other: ``str[m]``. Of ``shared_radio`` the other officer's id; of ``apart`` the vehicle's; of
            ``frozen`` that of the device that was elsewhere, empty where the device's own speeds say it;
            else empty.
    """

    duty: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: NDArray[np.int8]
    device: NDArray[np.int32]
    other: NDArray[np.str_]

    @classmethod
    def none(cls) -> Doubts:
        """No doubts."""
        number, time = np.empty(0, np.int32), np.empty(0, np.int64)
        return cls(number, time, time, np.empty(0, np.int8), number, np.empty(0, "U1"))

    def up_to(self, until: int) -> Doubts:
        """Doubts cut at an instant (microseconds)."""
        found = self.take(self.start < until)
        return replace(found, end=np.minimum(found.end, until))


class NamedDoubt(NamedTuple):
    """A doubt by the names of those concerned; times in microseconds since 1970 UTC, half open.

    Attributes:
        kind: one of ``KINDS``.
        device_id: the device in doubt; of ``apart`` the radio.
        other_id: the other officer or device, empty where there is none.
    """

    officer_id: str
    start: int
    end: int
    duty_id: str
    kind: str
    device_id: str
    other_id: str


def named(found: Doubts, duties: Sequence[Duty], device_ids: Sequence[str]) -> list[NamedDoubt]:
    """Doubts by name, in the same order.

    Args:
        found: doubts.
        duties: the duties behind ``found.duty``.
        device_ids: the names behind ``found.device``.
    """
    rows = zip(*(getattr(found, item.name).tolist() for item in fields(found)), strict=True)
    return [
        NamedDoubt(
            duties[duty].officer_id,
            start,
            end,
            duties[duty].duty_id,
            KINDS[kind],
            device_ids[device],
            other,
        )
        for duty, start, end, kind, device, other in rows
    ]


def doubts(
    duties: Sequence[Duty],
    fixes: Fixes,
    stays: Stays,
    slices: Slices,
    places: Sequence[Place],
    policies: Policies,
) -> Doubts:
    """The doubtful time of all duties.

    Args:
        duties: newest revisions (``newest``), with all duties that allocate a device that occurs.
        fixes: usable reports, in any order.
        stays: what ``stays`` gave for them, in the same numbering of devices.
        slices: what ``slices`` gave for the duties.
        places: the places behind the place numbers.
        policies: two devices are judged by the policy at each turn, a frozen run by the one at its start,
            devices apart by the one at the duty's start.
    """
    tracks = Movements.of(in_order(fixes), stays, policies)
    held = holdings(duties, tracks.number)
    runs = frozen_runs(tracks.fixes, policies)
    found = [
        alone(tracks.fixes, runs, policies),
        beside_others(runs.take(~runs.moving), held, tracks, policies),
        shared(duties, held),
    ]
    decided = slices.take(by_position(slices, duties, places, policies))
    names = fixes.device_ids
    own = _of_duties(DeviceDoubts.joined(found), decided, duties, names)
    away = _of_stretches(apart(duties, places, tracks, policies), decided, len(duties), names)
    return _in_order(Doubts.joined([own, away]))


def doubtful(slices: Slices, found: Doubts) -> NDArray[np.int64]:
    """Doubtful microseconds of each slice, in one doubt or several: ``int64[m]``, nothing twice.

    Args:
        slices: sorted by duty and time, perhaps cut or joined; those of length zero or less have none.
        found: what ``doubts`` gave for the same numbering of duties.
    """
    total = np.zeros(len(slices), np.int64)
    row, start, end = doubtful_parts(slices, found)
    np.add.at(total, row, end - start)
    return total


def doubtful_parts(
    slices: Slices, found: Doubts
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The doubtful parts of slices, disjoint and in order: ``(row, start, end)``.

    Args: see ``doubtful``.
    """
    nothing = np.empty(0, np.int64)
    if not len(found) or not len(slices):
        return nothing, nothing, nothing
    duty, start, end = union(found.duty.astype(np.int64), found.start, found.end)
    bounds = offsets(duty, int(max(slices.duty.max(), duty.max())) + 1)
    low, high = bounds[slices.duty], bounds[slices.duty.astype(np.int64) + 1]
    row, _, start, end = divided(slices.start, slices.end, low, high, start, end)
    real = start < end
    return row[real], start[real], end[real]


def by_position(
    slices: Slices, duties: Sequence[Duty], places: Sequence[Place], policies: Policies
) -> NDArray[np.bool_]:
    """Slices that a position decided: on patch, off it, or not visible for the premises: ``bool[m]``."""
    inside = np.array([item.premises is not None for item in places] + [False], np.bool_)[slices.place]
    hidden = (slices.activity == HIDDEN) & inside
    if hidden.any():
        hidden &= ~decisive(slices, duties, policies)
    seen = (slices.activity == ON_PATCH) | (slices.activity == OFF_PATCH) | hidden
    decided: NDArray[np.bool_] = seen & (slices.device != NO_DEVICE)
    return decided


def _of_duties(
    found: DeviceDoubts, decided: Slices, duties: Sequence[Duty], device_ids: Sequence[str]
) -> Doubts:
    """The parts of slices whose source is a device in doubt."""
    if not len(found) or not len(decided):
        return Doubts.none()
    rows = np.flatnonzero(np.isin(decided.device, found.device))
    rows = rows[np.argsort(decided.device[rows], kind="stable")]  # by device, duty and time
    device, duty = decided.device[rows], decided.duty[rows]
    start, end = decided.start[rows], decided.end[rows]
    # The slices of one device and duty follow one another; those of a shared device need not.
    group = np.flatnonzero(changes(device, duty))
    until = np.append(group[1:], len(rows))[: len(group)]
    bounds = offsets(device[group], int(max(device.max(initial=0), found.device.max())) + 1)
    row, at = ranges(bounds[found.device], bounds[found.device.astype(np.int64) + 1])
    who = [duty.officer_id for duty in duties]
    known = {name: number for number, name in enumerate(dict.fromkeys(who))}
    officer = np.array([*(known[name] for name in who), -1], np.int64)
    shares = found.kind == SHARED_RADIO
    others = np.where(shares, found.other, NO_OTHER)
    # Devices, officers by duty, and nobody: by the number of either, or by NO_OTHER.
    names = np.array([*device_ids, *who, ""])
    told = np.where(shares, len(device_ids) + found.other, found.other)
    foreign = officer[duty[group[at]]] != officer[others[row]]
    row, at = row[foreign], at[foreign]
    part, piece, low, high = divided(found.start[row], found.end[row], group[at], until[at], start, end)
    row = row[part]
    return Doubts(
        duty[piece],
        low,
        high,
        found.kind[row],
        found.device[row],
        names[told[row]],
    )


def _of_stretches(found: Apart, decided: Slices, duties: int, device_ids: Sequence[str]) -> Doubts:
    """The parts of slices of the duties whose devices are apart, whichever device decided them."""
    bounds = offsets(decided.duty, duties)
    first, last = bounds[found.duty], bounds[found.duty + 1]
    row, _, start, end = divided(found.start, found.end, first, last, decided.start, decided.end)
    return Doubts(
        found.duty[row].astype(np.int32),
        start,
        end,
        np.full(len(row), APART, np.int8),
        found.radio[row].astype(np.int32),
        np.array([*device_ids, ""])[found.vehicle[row]],
    )


def _in_order(found: Doubts) -> Doubts:
    """Doubts sorted, touching ones of one kind, device and other joined."""
    found = found.take(np.lexsort((found.start, found.other, found.device, found.kind, found.duty)))
    row, start, end = coalesce(found.start, found.end, [found.duty, found.kind, found.device, found.other])
    found = replace(found.take(row), start=start, end=end)
    return sorted_doubts(found)


def sorted_doubts(found: Doubts) -> Doubts:
    """Doubts in the order of ``Doubts``."""
    return found.take(np.lexsort((found.other, found.device, found.kind, found.start, found.duty)))
