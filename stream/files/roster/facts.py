"""Pieces of duty → duties with ids that a later import finds again.

An export's own number is the duty's id. Without one the id is made of the officer, the local day of the start
and a number: ``1001-20261123-1``. A further piece of one number or day gets the next number, ``~2`` or
``-2``. What the last import called a piece decides first, so that a moved shift is a revision of its duty and
not a new one: pieces of unchanged times keep their number, then those nearest to each other in time are
matched. A shift moved to another day has a new id where the export has no numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from stream.core.events import text_fault
from stream.core.facts import Duty
from stream.files.roster.rows import RefusedRow, by_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stream.files.roster.rows import DutyPiece

_FOREVER: Final = 2**63 - 1


@dataclass(slots=True)
class RosterDuties:
    """The duties of an export.

    Attributes:
        duties: by id; their ``revision`` is the export's own, 0 where it has none.
        refused: rows that contradict each other.
        told: what was understood in a way that somebody should know, and how often.
    """

    duties: dict[str, Duty] = field(default_factory=dict)
    refused: list[RefusedRow] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)


def duties_of(pieces: Iterable[DutyPiece], known: Mapping[str, Duty]) -> RosterDuties:
    """Joins the rows of each duty, and gives it its id; the order of the rows does not matter.

    Args:
        pieces: what the rows say.
        known: the newest revision of each duty that was imported before, by id.
    """
    found = RosterDuties()
    groups: dict[tuple[str, bool], list[DutyPiece]] = defaultdict(list)
    for piece in pieces:
        base = piece.duty_id or f"{piece.officer_id}-{piece.day:%Y%m%d}"
        groups[base, bool(piece.duty_id)].append(piece)
    for (base, own), group in sorted(groups.items()):
        joined = _joined(group, found, own=own)
        for number, rows in _numbered(joined, base, known, own=own):
            _add(found, _id(base, number, own=own), rows)
    return found


def _joined(group: list[DutyPiece], found: RosterDuties, *, own: bool) -> list[list[DutyPiece]]:
    """The rows of one number or day, those of the same times together; what contradicts itself is refused."""
    if own:
        if len({piece.officer_id for piece in group}) > 1:
            _refuse(found, group, f"{_rows(group)} give duty {group[0].duty_id} to different officers")
            return []
        newest = max(piece.revision for piece in group)
        found.told["superseded"] += sum(piece.revision < newest for piece in group)
        group = [piece for piece in group if piece.revision == newest]
    times: dict[tuple[int, int], list[DutyPiece]] = defaultdict(list)
    for piece in group:
        times[piece.start, _FOREVER if piece.end is None else piece.end].append(piece)
    joined = []
    for key in sorted(times):
        rows = times[key]
        differ = [
            name
            for name in ("name", "role", "team", "patch", "cancelled")
            if len({getattr(piece, name) for piece in rows}) > 1
        ]
        if differ:
            _refuse(found, rows, f"{_rows(rows)} are of one duty and differ in {', '.join(differ)}")
        else:
            joined.append(rows)
    live = [rows for rows in joined if not rows[0].cancelled]
    overlapping = [
        (one, other) for one, other in pairwise(live) if one[0].end is None or other[0].start < one[0].end
    ]
    if overlapping and own:
        every = [piece for rows in joined for piece in rows]
        _refuse(
            found,
            every,
            f"{_rows(every)} give duty {group[0].duty_id} times that overlap; which counts? Map "
            "columns.revision, or columns.cancelled",
        )
        return []
    found.told["overlap"] += len(overlapping)
    return joined


def _numbered(
    joined: Sequence[list[DutyPiece]], base: str, known: Mapping[str, Duty], *, own: bool
) -> list[tuple[int, list[DutyPiece]]]:
    """Numbers the pieces of one number or day, as the last import did where it knew them."""
    before: dict[int, Duty] = {}
    while (duty := known.get(_id(base, len(before) + 1, own=own))) is not None:
        before[len(before) + 1] = duty
    following = len(before) + 1
    left = list(range(len(joined)))
    number_of: dict[int, int] = {}

    def match(at: int, number: int) -> None:
        number_of[at] = number
        left.remove(at)
        del before[number]

    for at in list(left):
        times = joined[at][0].start, joined[at][0].end
        if same := [number for number, duty in before.items() if (duty.start, duty.end) == times]:
            match(at, min(same, key=lambda number: (before[number].cancelled, number)))
    while left and before:
        # Cancelled ones last: where a duty was cancelled and another made instead, that is one that moved.
        *_, at, number = min(
            (before[number].cancelled, abs(joined[at][0].start - before[number].start), at, number)
            for at in left
            for number in before
        )
        match(at, number)
    for at in list(left):
        number_of[at] = following
        following += 1
    return [(number_of[at], joined[at]) for at in sorted(number_of, key=number_of.__getitem__)]


def _add(found: RosterDuties, duty_id: str, rows: list[DutyPiece]) -> None:
    if fault := text_fault(duty_id):
        _refuse(found, rows, f"the duty's id {fault}")
        return
    if duty_id in found.duties:
        _refuse(found, rows, f"{_rows(rows)}: there is another duty {duty_id} in the export")
        return
    first = rows[0]
    devices = {device: None for piece in rows for device in piece.devices}
    said: dict[str, Any] = {
        item.name: getattr(first, item.name) for item in fields(Duty) if item.name != "longest"
    }
    duty = Duty(**said | {"duty_id": duty_id, "devices": tuple(sorted(devices, key=by_kind))})
    found.duties[duty_id] = duty
    if not duty.cancelled:
        found.told["no_patch"] += not duty.patch
        found.told["no_device"] += not duty.devices
        found.told["too_long"] += duty.too_long


def _refuse(found: RosterDuties, rows: Iterable[DutyPiece], detail: str) -> None:
    for piece in rows:
        found.refused.append(
            RefusedRow(piece.row, "contradiction", detail, piece.officer_id, piece.duty_id, piece.day)
        )


def _id(base: str, number: int, *, own: bool) -> str:
    if own:
        return base if number == 1 else f"{base}~{number}"
    return f"{base}-{number}"


def _rows(rows: Iterable[DutyPiece]) -> str:
    numbers = sorted({piece.row for piece in rows})
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    return f"rows {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def alike(one: Duty, other: Duty) -> bool:
    """Whether two revisions say the same."""
    return replace(one, revision=0) == replace(other, revision=0)
