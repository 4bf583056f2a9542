"""The answer: what a file is, what was understood, what does not fit, and the command that takes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from stream.core.calendar import LOCAL, moment
from stream.files.roster.rows import DutyPiece

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.core.facts import Duty, StateReport
    from stream.files.doctor.position_map import MappedPosition

SHOWN: Final = 5
"""Rows that are shown as understood."""
NO_ERRORS: Final = "no position says how large its error is: the policy's default_error_m is taken"
MISFITS_SHOWN: Final = 5
"""Row numbers that are named of each reason."""


class MisfitGroup(msgspec.Struct, frozen=True):
    """Rows that do not fit, by reason.

    Attributes:
        reason: in a few words.
        count: how many.
        first: the numbers of the first of them, as an editor or a spreadsheet shows them.
        example: what stands in the first.
    """

    reason: str
    count: int
    first: list[int]
    example: str


class Diagnosis(msgspec.Struct):
    """What a file, or one of its tables, seems to be.

    Attributes:
        name: the file, with the member or sheet.
        kind: what it holds; ``mapping`` is a file of ours that says how to read another.
        form: what was detected: encoding, delimiter, packing.
        rows: how many were looked at.
        complete: False where the file has more.
        usable: how many could be read.
        columns: our field → their columns; under an empty name all columns of an unknown table.
        form_of_values: units, zone and the like, as understood.
        understood: the first rows as read, by our fields; ``row`` is the row's number.
        misfits: rows that do not fit.
        faults: what is wrong with the whole of it.
        unsure: what was guessed and needs a person's eye.
        missing: of an unknown table, what was looked for in vain.
        notes: what else there is to know.
        as_is: whether the command takes the file as it is; else a mapping is needed.
        command: what takes it; ``MAP.toml`` in it stands for the mapping.
        then: the command after it.
        mapping: the draft of a mapping (TOML), of an unknown table with blanks to fill; empty where none is
            needed, or where no header was found.
        declared: whether it was read by a mapping that was given, and nothing guessed.
    """

    name: str
    kind: Literal["positions", "duties", "states", "areas", "policy", "mapping", "unknown"]
    form: str
    rows: int = 0
    complete: bool = True
    usable: int = 0
    columns: dict[str, list[str]] = {}
    form_of_values: dict[str, str] = {}
    understood: list[dict[str, str]] = []
    misfits: list[MisfitGroup] = []
    faults: list[str] = []
    unsure: list[str] = []
    missing: list[str] = []
    notes: list[str] = []
    as_is: bool = False
    command: str = ""
    then: str = ""
    mapping: str = ""
    declared: bool = False

    @property
    def clean(self) -> bool:
        """Whether the command takes all of it as it stands."""
        return (self.as_is or self.declared) and not (self.misfits or self.faults or self.missing)


def grouped(misfits: Iterable[tuple[int, str, str]]) -> list[MisfitGroup]:
    """Rows that do not fit by reason, the most frequent first.

    Args:
        misfits: number, reason and detail of each, in the file's order.
    """
    found: dict[str, tuple[list[int], str, int]] = {}
    for number, reason, detail in misfits:
        first, example, count = found.get(reason, ([], detail, 0))
        if len(first) < MISFITS_SHOWN:
            first.append(number)
        found[reason] = (first, example, count + 1)
    groups = [MisfitGroup(reason, count, first, example) for reason, (first, example, count) in found.items()]
    return sorted(groups, key=lambda group: -group.count)


def local(time: int | None) -> str:
    """A time for people: local, with the zone's letters; empty for none."""
    return "" if time is None else f"{moment(time).astimezone(LOCAL):%a %d %b %Y %H:%M:%S %Z}"


def number(value: float, digits: int) -> str:
    """A number for people; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def shown_position(item: MappedPosition) -> dict[str, str]:
    """A position as understood, for people: its row's number, then its fields as in an event."""
    return {
        "row": str(item.number),
        "device_id": item.device_id,
        "time": local(item.time),
        "lon": number(item.lon, 5),
        "lat": number(item.lat, 5),
        "error_m": number(item.error_m, 0),
        "speed_mps": number(item.speed_mps, 1),
        "heading_deg": number(item.heading_deg, 0),
    }


def shown_state(row: int, item: StateReport) -> dict[str, str]:
    """A radio state as understood, for people, with its row's number."""
    return {
        "row": str(row),
        "officer_id": item.officer_id,
        "time": local(item.time),
        "state": str(item.state),
    }


def shown_duty(row: int, item: Duty) -> dict[str, str]:
    """A duty, or a piece of one, as understood, for people, with its row's number."""
    return {
        "row": str(row),
        **({} if isinstance(item, DutyPiece) else {"duty_id": item.duty_id}),
        "officer_id": item.officer_id,
        "start": local(item.start),
        "end": local(item.end),
        "team": item.team or "",
        "patch": ";".join(item.patch),
        "devices": ";".join(f"{each.kind} {each.device_id}" for each in item.devices),
        "cancelled": "yes" if item.cancelled else "",
    }
