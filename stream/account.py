"""The accounting rules on files alone: no Kafka, no database.

A shell: it reads files and calls the core. What it counts is what the pipeline counts from the same facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from geo.areas import AreaSet, Kind
from geo.files import read_areas
from geo.history import AreaHistory
from stream import calendar, frames
from stream.events import Limits, Reject, decode_duties, decode_states
from stream.policy import BEGINNING
from stream.shares import shares
from stream.slices import newest, slices
from stream.stays import stays
from stream.tables import last_known, shares_table, slices_table, stays_table
from stream.tracks import TracksError, read_fixes, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from geo.places import Place
    from stream.facts import Duty, Fixes, StateReport
    from stream.policy import Policies
    from stream.shares import Figures
    from stream.slices import Slices
    from stream.stays import Stays

DAY_S = 86_400


class AccountError(ValueError):
    """A file cannot be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Everything read from the files.

    Attributes:
        rejects: by file, what was not usable and why.
    """

    areas: AreaSet
    fixes: Fixes
    duties: list[Duty]
    states: list[StateReport]
    rejects: dict[str, list[Reject]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What the facts amount to."""

    facts: Facts
    history: AreaHistory
    duties: list[Duty]
    stays: Stays
    slices: Slices
    figures: list[Figures]
    until: int

    def tables(self, policies: Policies) -> dict[str, pa.Table]:
        """The files of the public contract by name."""
        names, places = self.facts.fixes.device_ids, self.history.places
        return {
            "stays": stays_table(self.stays, names, places),
            "slices": slices_table(self.slices, self.duties, names, places, policies, until=self.until),
            "shares": shares_table(self.figures, policies),
        }


def limits(policies: Policies) -> Limits:
    """Rule 2's limits as the policy now in force sets them (the newest)."""
    policy = policies.policies[-1]
    return Limits(policy.retention_days * DAY_S, policy.max_error_m, policy.max_ahead_s)


def read(
    areas: Sequence[str], positions: Sequence[Path], duties: Path, states: Path | None, policies: Policies
) -> Facts:
    """Reads the files of ``patrol account``.

    Args:
        areas: file names, each perhaps with ``:kind`` behind it.

    Raises:
        AccountError, AreaFileError, TracksError, OSError: a file cannot be read or used.
    """
    rejects: dict[str, list[Reject]] = {}
    found = AreaSet.union(*(_areas(item) for item in areas))
    parts: list[Fixes] = []
    for path in positions:
        bad: list[Reject] = []
        for chunk in read_fixes(path, limits=limits(policies)):
            parts.append(chunk.fixes)
            bad += chunk.rejects
        rejects[str(path)] = bad
    booked, _, bad = decode_duties(_lines(duties))
    rejects[str(duties)] = bad
    keyed: list[StateReport] = []
    if states is not None:
        keyed, _, rejects[str(states)] = decode_states(_lines(states))
    return Facts(found, frames.join(parts), booked, keyed, rejects)


def _areas(item: str) -> AreaSet:
    path, _, kind = item.rpartition(":")
    if path and kind in set(Kind):
        return read_areas(Path(path), Kind(kind))
    return read_areas(Path(item))


def _lines(path: Path) -> list[bytes]:
    """The rows of a JSON lines or CSV file as JSON."""
    try:
        return [value for rows in read_rows(path) for value in rows.value]
    except TracksError as error:
        raise AccountError(str(error)) from error


PERIODS: dict[str, Callable[[int, int], list[tuple[int, int]]]] = {
    "all": lambda start, end: [(start, end)],
    "week": lambda start, end: list(calendar.weeks(start, end)),
    "day": lambda start, end: list(calendar.days(start, end)),
}
"""How figures may be split: over everything, by local ISO week, by local day (rule 19)."""


def account(facts: Facts, policies: Policies, *, by: str = "all", until: int | None = None) -> Account:
    """Counts stays, slices and shares from facts.

    Args:
        by: a key of ``PERIODS``.
        until: open duties are counted up to here (microseconds); None: the last closed slice or duty.
    """
    history = AreaHistory([(BEGINNING, facts.areas)])
    duties = newest(facts.duties)
    found = stays(facts.fixes, history, policies)
    counted = slices(duties, found, facts.fixes.device_ids, facts.states, history.places, policies)
    until = last_known(counted, duties) if until is None else until
    return Account(
        facts, history, duties, found, counted, figures(counted, duties, history.places, by, until), until
    )


def figures(
    counted: Slices, duties: Sequence[Duty], places: Sequence[Place], by: str, until: int
) -> list[Figures]:
    """The figures of all scopes for each period that the duties touch.

    A single period runs from the first duty's start to the last one's end.
    """
    starts = [duty.start for duty in duties if not duty.cancelled]
    ends = [until if duty.end is None else duty.end for duty in duties if not duty.cancelled]
    if not starts:
        return []
    found: list[Figures] = []
    for start, end in PERIODS[by](min(starts), max(*ends, min(starts))):
        found += shares(counted, duties, places, start, end)
    return found
