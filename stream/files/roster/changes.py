"""What an export says that the last import did not: new facts, revisions, and what vanished.

Pure: an export's facts and those known before go in, the facts to be sent come out. What vanished is never
cancelled unless that is asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from stream.files.roster.facts import alike, duties_of
from stream.files.roster.mapping import RosterError
from stream.files.roster.times import local_day_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from stream.core.facts import Duty, StateReport
    from stream.files.roster.mapping import RosterMapping
    from stream.files.roster.rows import ReadRows, RefusedRow

Vanished = Literal["ask", "keep", "cancel"]
"""What becomes of what vanished: it is listed and the answer is no, it stays, or it is cancelled."""


@dataclass(frozen=True, slots=True)
class RosterDays:
    """The local days that an export covers, both included, and the teams; ``teams`` None is all of them."""

    first: date
    last: date
    teams: frozenset[str | None] | None = None


@dataclass(slots=True)
class RosterChanges:
    """What is different from the last import.

    Attributes:
        found: what the rows of the export say.
        new: duties that were not known.
        changed: ``(before, now)`` of duties that have a new revision.
        cancelled: likewise of those that vanished and were to be cancelled.
        vanished: duties known before that the export should have and has not, and that were left alone.
        new_states: states that were not known.
        vanished_states: states known before that the export should have; they cannot be taken back.
        unchanged: how many duties and states are as they were.
        elsewhere: by team, how many duties known before of the days covered are of teams that the export has
            not; they are left alone.
        refused: rows not taken, by number.
        told: what was understood in a way that somebody should know, and how often.
        covers: the days and teams that were compared; None where there is not one row with a day.
        unreadable: whether a row was refused that does not even tell whose it is: then nothing is cancelled.
    """

    found: ReadRows
    new: list[Duty] = field(default_factory=list)
    changed: list[tuple[Duty, Duty]] = field(default_factory=list)
    cancelled: list[tuple[Duty, Duty]] = field(default_factory=list)
    vanished: list[Duty] = field(default_factory=list)
    new_states: list[StateReport] = field(default_factory=list)
    vanished_states: list[StateReport] = field(default_factory=list)
    unchanged: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedRow] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    covers: RosterDays | None = None
    unreadable: bool = False

    @property
    def empty(self) -> bool:
        """Whether no row has a duty or a state, or might have had one."""
        return not (self.found.pieces or self.found.states or self.found.refused)

    @property
    def duties(self) -> list[Duty]:
        """The revisions to be sent, by id."""
        revised = [now for _, now in (*self.changed, *self.cancelled)]
        return sorted([*self.new, *revised], key=lambda duty: duty.duty_id)


def compare(
    found: ReadRows,
    mapping: RosterMapping,
    duties: Mapping[str, Duty],
    states: Collection[StateReport],
    *,
    vanished: Vanished = "ask",
    first: date | None = None,
    last: date | None = None,
) -> RosterChanges:
    """Holds an export against what was imported before.

    Args:
        found: what its rows say.
        mapping: tells the zone, and whether it has teams.
        duties: the newest revision of each duty imported before, by id.
        states: the states imported before.
        vanished: what becomes of duties that the export should have and has not.
        first: the first local day that the export covers; None: the first that it has.
        last: likewise the last.

    Raises:
        RosterError: states are to be cancelled, which nobody can.
    """
    changes = RosterChanges(found, told=Counter(found.told))
    if mapping.of_states:
        if vanished == "cancel":
            raise RosterError("a state cannot be taken back: say --vanished keep")
        changes.refused = sorted(found.refused, key=lambda row: row.row)
        _compare_states(found, mapping, states, changes, first, last)
        return changes
    made = duties_of(found.pieces, duties)
    changes.told += made.told
    changes.refused = sorted([*found.refused, *made.refused], key=lambda row: row.row)
    changes.unreadable = any(not row.officer_id and not row.duty_id for row in changes.refused)
    for duty_id, duty in made.duties.items():
        before = duties.get(duty_id)
        if before is None:
            changes.new.append(replace(duty, revision=max(duty.revision, 1)))
        elif alike(before, duty):
            changes.unchanged += 1
        else:
            changes.changed.append((before, replace(duty, revision=max(duty.revision, before.revision + 1))))
    days = [piece.day for piece in found.pieces] + [row.day for row in changes.refused if row.day]
    days += found.days
    if (covers := _covers(days, first, last)) is None:
        return changes
    if mapping.columns.team:
        covers = replace(covers, teams=frozenset(piece.team for piece in found.pieces))
    changes.covers = covers
    for duty_id, duty in sorted(duties.items()):
        if duty_id in made.duties or duty.cancelled:
            continue
        day = local_day_of(duty.start, mapping.time)
        if not covers.first <= day <= covers.last:
            continue
        if covers.teams is not None and duty.team not in covers.teams:
            changes.elsewhere[duty.team or ""] += 1
            continue
        if any(_may_be(row, duty, day) for row in changes.refused):
            continue
        if vanished == "cancel" and not changes.unreadable:
            changes.cancelled.append((duty, replace(duty, revision=duty.revision + 1, cancelled=True)))
        else:
            changes.vanished.append(duty)
    return changes


def _compare_states(
    found: ReadRows,
    mapping: RosterMapping,
    states: Collection[StateReport],
    changes: RosterChanges,
    first: date | None,
    last: date | None,
) -> None:
    known, there = set(states), {state for _, state in found.states}
    changes.new_states = sorted(there - known, key=_order)
    changes.unchanged = len(there & known)
    days = [local_day_of(state.time, mapping.time) for state in there]
    changes.covers = covers = _covers([*days, *(row.day for row in found.refused if row.day)], first, last)
    if covers is None:
        return
    for state in sorted(known - there, key=_order):
        day = local_day_of(state.time, mapping.time)
        doubtful = any(
            row.officer_id in {"", state.officer_id} and row.day in {None, day} for row in found.refused
        )
        if covers.first <= day <= covers.last and not doubtful:
            changes.vanished_states.append(state)


def _covers(days: Sequence[date], first: date | None, last: date | None) -> RosterDays | None:
    if not days and (first is None or last is None):
        return None
    return RosterDays(first or min(days), last or max(days))


def _may_be(row: RefusedRow, duty: Duty, day: date) -> bool:
    """Whether a refused row may be of a duty, which then has not vanished."""
    if row.duty_id:
        return duty.duty_id == row.duty_id or duty.duty_id.startswith(f"{row.duty_id}~")
    if row.officer_id != duty.officer_id:
        return False
    return row.day is None or abs(row.day - day) <= timedelta(days=1)


def _order(state: StateReport) -> tuple[int, str, int]:
    return state.time, state.officer_id, state.state
