"""All live figures of a force at once, as columns, and which of them are news (rule 15).

Columns and values in, columns and values out; no Kafka, no database, no clock. What the figures are is said
in ``stream.core.shares`` and ``overview``; here they are the same numbers for thousands of scopes together,
because they are looked at with every batch, and only few of them are then told.

A figure is news when a person would see another one: at once where its counts of officers, its verdict, its
target, its name, its beginning or the reason for having no share changed, and with every whole minute of its
officers' time; where facts of one of its duties changed, or a duty is no longer one of them, also with every
whole minute of any part of it, and every tenth of a per cent of the share and its bounds, some time after it
was told last. (Early in a shift each report moves an officer's share by more than a tenth.) Without new facts
shares move with the clock alone, by the seconds since each last position; that is no news before it makes a
minute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from geo.matching.history import FOREVER
from stream.core.columns import offsets
from stream.core.facts import SECOND
from stream.core.json_types import rounded_all, when
from stream.core.live.overview import SIGNED_OFF, LiveShare, Officers, presence
from stream.core.live.share_event import ShareEvent
from stream.core.shares import (
    AMBIGUOUS_OFF,
    AMBIGUOUS_ON,
    DOUBT_TOTALS,
    DOUBTFUL,
    FORCE,
    NEIGHBOURHOOD,
    OFFICER,
    ONLY_DOUBTFUL_OFF,
    ONLY_DOUBTFUL_ON,
    PRIORITY,
    REASONS,
    TOTALS,
    VERDICTS,
    figures_of,
)
from stream.core.slices import HIDDEN, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.core.live.overview import Presence, Standing
    from stream.core.policy import Policies

MINUTE = 60 * SECOND
WORKED = (HIDDEN, UNSEEN, ON_PATCH, OFF_PATCH)
PARTS = (ON_BREAK, *WORKED, PRIORITY, DOUBTFUL)
"""The times that a person sees of a figure, as columns of its sums."""
SHARED = len(REASONS)
"""Where there is no reason to have no share."""
AT_ONCE = 7
"""How many numbers of a figure are news at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Scopes:
    """Which duties the figures are made of, a row a figure; an officer's may have one with and one without.

    Attributes:
        duties: those now running.
        keys: scope and id of each row.
        names: the rows' names.
        patched: ``bool[n]``, whether the row's duties have a patch (rule 8).
        other: ``int64[n]``, the row of the same officer's duties without a patch, or with one; -1 for none.
        starts: ``int64[n]``, start of the first of the row's duties, microseconds; ``FOREVER`` for none.
        row, duty: ``int64[m]``, rows and the numbers of their duties, by row.
        officer: ``int64[m]``, a number for the duty's officer.
        alone: whether no officer has two duties in one row.
    """

    duties: Sequence[Duty]
    keys: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    patched: NDArray[np.bool_]
    other: NDArray[np.int64]
    starts: NDArray[np.int64]
    row: NDArray[np.int64]
    duty: NDArray[np.int64]
    officer: NDArray[np.int64]
    alone: bool

    @classmethod
    def of(cls, duties: Sequence[Duty], names: Mapping[str, str]) -> Scopes:
        """The force, the neighbourhoods in force and those of any patch, and the officers.

        Args:
            duties: those now running.
            names: of the neighbourhoods in force, by id.
        """
        members: dict[tuple[str, str, bool], list[int]] = {(FORCE, FORCE, True): []}
        members |= {(NEIGHBOURHOOD, area, True): [] for area in names}
        called = {(NEIGHBOURHOOD, area): name for area, name in names.items()}
        called[FORCE, FORCE] = "the force"
        who: dict[str, int] = {}
        for number, duty in enumerate(duties):
            called[OFFICER, duty.officer_id] = duty.name or duty.officer_id
            who.setdefault(duty.officer_id, len(who))
            mine = [(OFFICER, duty.officer_id, bool(duty.patch))]
            mine += [(NEIGHBOURHOOD, area, True) for area in duty.patch]
            mine += [(FORCE, FORCE, True)] if duty.patch else []
            for key in mine:
                members.setdefault(key, []).append(number)
        row = np.repeat(np.arange(len(members)), [len(item) for item in members.values()])
        at = np.array([number for item in members.values() for number in item], np.int64)
        officer = np.array([who[item.officer_id] for item in duties], np.int64)[at]
        starts = np.array([item.start for item in duties], np.int64)
        first = np.full(len(members), FOREVER)
        np.minimum.at(first, row, starts[at])
        rows = {key: number for number, key in enumerate(members)}
        return cls(
            duties,
            tuple((scope, name) for scope, name, _ in members),
            tuple(called.get((scope, name), name) for scope, name, _ in members),
            np.array([patched for _, _, patched in members], np.bool_),
            np.array([rows.get((*key[:2], not key[2]), -1) for key in members], np.int64),
            first,
            row,
            at,
            officer,
            len(np.unique(row * max(1, len(who)) + officer)) == len(row),
        )

    def tally(self, found: Standing, now: int, policies: Policies) -> Tally:
        """The figures as they stand.

        Args:
            found: how the same duties stand.
            now: microseconds since 1970 UTC.
            policies: the targets, and how long a silent officer is shown as last seen (rule 4).
        """
        table = found.table
        if table.shape[1] < TOTALS + DOUBT_TOTALS:
            table = np.hstack([table, np.zeros((len(table), DOUBT_TOTALS), np.int64)])
        sums = self.sums(table)
        shown = presence(found.ends, self.duties, now, int(policies.at(now).max_gap_s * SECOND))
        doing = shown.activity[self.duty]
        touched = np.zeros(len(self.keys), np.bool_)
        if found.touched is None:
            touched[:] = True
        else:
            touched[self.row[found.touched[self.duty]]] = True
        # Who is booked with a patch too, but was off duty (state 11) all that time, worked without one.
        spent = np.asarray(sums[:, :PRIORITY].any(axis=1))
        gives_way = np.where(self.patched, ~spent & spent[self.other], ~spent | spent[self.other])
        starts = np.where(self.starts == FOREVER, now, self.starts)
        instants, which = np.unique(starts, return_inverse=True)
        return Tally(
            self,
            now,
            sums,
            starts,
            np.array([policies.at(start).target for start in instants.tolist()], np.float64)[which],
            self._officers(doing != SIGNED_OFF),
            self._officers(doing == ON_PATCH),
            self._officers(doing == UNSEEN),
            self._officers(doing == ON_BREAK),
            shown,
            found.far,
            touched,
            (self.other < 0) | ~gives_way,
        )

    def sums(self, table: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums by row: ``int64[n, …]``, of numbers of each duty, ``int64[duties, …]``."""
        bounds = offsets(self.row, len(self.keys))
        until = np.zeros((len(self.row) + 1, *table.shape[1:]), np.int64)
        np.cumsum(table[self.duty], axis=0, out=until[1:])
        return until[bounds[1:]] - until[bounds[:-1]]

    def _officers(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        """By row, how many officers have one of these duties: ``int64[n]``."""
        row = self.row[which]
        if not self.alone:
            pairs = np.unique(row * (int(self.officer.max(initial=0)) + 1) + self.officer[which])
            row = pairs // (int(self.officer.max(initial=0)) + 1)
        return np.bincount(row, minlength=len(self.keys))


class KeptScopes:
    """The scopes of the duties that were running last, made anew where others are, or the names changed."""

    def __init__(self) -> None:
        self._scopes: Scopes | None = None
        self._names: Mapping[str, str] = {}

    def of(self, duties: Sequence[Duty], names: Mapping[str, str]) -> Scopes:
        """As ``Scopes.of``; the very same again while it may be."""
        found = self._scopes
        if (
            found is None
            or names != self._names
            or len(duties) != len(found.duties)
            or not all(map(is_, duties, found.duties))
        ):
            found, self._names = Scopes.of(duties, names), names
            self._scopes = found
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The figures of scopes at an instant, a row a figure.

    Attributes:
        scopes: of what.
        as_of: the instant, microseconds since 1970 UTC.
        sums: ``int64[n, TOTALS + DOUBT_TOTALS]``, microseconds.
        starts: ``int64[n]``, from when on, microseconds.
        targets: ``float64[n]``.
        on_duty, on_patch, silent, on_break: ``int64[n]``, officers.
        shown: what the duties' officers do.
        far: whether no position lies near any area.
        touched: ``bool[n]``, whether facts of any of its duties changed.
        told: ``bool[n]``, whether the row is a figure: of an officer's two only one is.
    """

    scopes: Scopes
    as_of: int
    sums: NDArray[np.int64]
    starts: NDArray[np.int64]
    targets: NDArray[np.float64]
    on_duty: NDArray[np.int64]
    on_patch: NDArray[np.int64]
    silent: NDArray[np.int64]
    on_break: NDArray[np.int64]
    shown: Presence
    far: bool
    touched: NDArray[np.bool_]
    told: NDArray[np.bool_]

    def share(self, row: int) -> LiveShare:
        """A figure with what stands beside it, without outlook and abstraction."""
        scopes = self.scopes
        begun, patched = int(self.starts[row]), bool(scopes.patched[row])
        figures = figures_of(*scopes.keys[row], begun, self.as_of, self.sums[row], has_share=patched)
        counts = (int(count[row]) for count in (self.on_duty, self.on_patch, self.silent, self.on_break))
        return LiveShare(
            replace(figures, far=True) if self.far else figures,
            scopes.names[row],
            float(self.targets[row]),
            Officers(*counts),
        )

    def events(self, rows: NDArray[np.int64]) -> list[ShareEvent]:
        """Figures as they are published: what ``share_event`` says of ``share``, of thousands together.

        Args:
            rows: ``int64[k]``, of which figures.
        """
        scopes, sums = self.scopes, self.sums[rows]
        duty, why, *parts, verdict = (column[rows] for column in self._judged())
        instants, which = np.unique(self.starts[rows], return_inverse=True)
        starts = [when(start) for start in instants.tolist()]
        seconds = {
            name: (sums[:, column] / SECOND).tolist()
            for name, column in (
                ("on_patch_s", ON_PATCH),
                ("off_patch_s", OFF_PATCH),
                ("not_visible_s", HIDDEN),
                ("unknown_s", UNSEEN),
                ("break_s", ON_BREAK),
                ("priority_s", PRIORITY),
                ("doubtful_s", DOUBTFUL),
            )
        }
        shares: list[list[float | None]] = [[*rounded_all(part)] for part in parts]
        for row in np.flatnonzero(why < SHARED).tolist():
            for share in shares:
                share[row] = None
        columns: dict[str, Iterable[object]] = {
            "scope": [scopes.keys[row][0] for row in rows.tolist()],
            "id": [scopes.keys[row][1] for row in rows.tolist()],
            "name": [scopes.names[row] for row in rows.tolist()],
            "start": [starts[at] for at in which.tolist()],
            "end": [when(self.as_of)] * len(rows),
            "duty_s": (duty / SECOND).tolist(),
            **seconds,
            **dict(zip(("share", "share_low", "share_high"), shares, strict=True)),
            "target": self.targets[rows].tolist(),
            "verdict": [(*VERDICTS, None)[at] for at in verdict.tolist()],
            "without_share": [(*REASONS, None)[at] for at in why.tolist()],
            "officers_on_duty": self.on_duty[rows].tolist(),
            "officers_on_patch": self.on_patch[rows].tolist(),
        }
        ordered = [columns[name] for name in ShareEvent.__struct_fields__]
        return [ShareEvent(*values) for values in zip(*ordered, strict=True)]

    def seen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a person sees of each figure, as numbers: all that is news at once, and the rest.

        Where there is no share, or nobody's beginning, there is a number that stands for it.
        """
        sums = self.sums
        duty, why, *parts, verdict = self._judged()
        start = np.where(self.on_duty > 0, self.starts, -1)
        minutes = (duty + sums[:, ON_BREAK]) // MINUTE
        at_once = [start, self.targets, why, verdict, self.on_duty, self.on_patch, minutes]
        shares = [np.where(why < SHARED, -1, np.round(part * 1000)) for part in parts]
        times = [sums[:, column] // MINUTE for column in PARTS]
        rest = [*shares, *times, duty // MINUTE]
        return np.column_stack(at_once).astype(np.float64), np.column_stack(rest).astype(np.float64)

    def _judged(self) -> tuple[NDArray[Any], ...]:
        """Of each figure what ``Figures`` says.

        Returns:
            ``(duty, why, share, low, high, verdict)``: microseconds; why there is no share, in the order of
                ``REASONS``, ``SHARED`` where there is one; the share and its bounds where there is one; and
                the verdict in the order of ``VERDICTS``, one more than the last where there is none.
        """
        sums, targets = self.sums, self.targets
        duty = sums[:, list(WORKED)].sum(axis=1)
        silent = sums[:, UNSEEN] == duty
        far = np.full(len(duty), self.far)
        why = np.select([duty == 0, ~self.scopes.patched, silent, far], [0, 1, 2, 3], SHARED)
        with_share = np.maximum(duty, 1)
        on = sums[:, ON_PATCH]
        low = (on - sums[:, AMBIGUOUS_ON] - sums[:, ONLY_DOUBTFUL_ON]) / with_share
        high = (on + sums[:, UNSEEN] + sums[:, AMBIGUOUS_OFF] + sums[:, ONLY_DOUBTFUL_OFF]) / with_share
        verdict = np.where(
            why < SHARED, len(VERDICTS), np.select([low >= targets, high < targets], [0, 1], 2)
        )
        return duty, why, on / with_share, low, high, verdict


class News:
    """What was told of each figure last, as a person sees it.

    Args:
        apart: so long after a figure was told its tenths and its parts' minutes are news again, microseconds.
    """

    def __init__(self, apart: int) -> None:
        self._apart = apart
        self._scopes: Scopes | None = None
        self._told = _Told.nothing(0)
        self._as_of = 0

    def take(self, tally: Tally) -> list[ShareEvent]:
        """The figures that are news; from now on they are told.

        Where time stands still and nothing comes any more (a replay has ended), all that is not told to the
        microsecond is news once.
        """
        self._told, left = self._of(tally.scopes)
        told, touched = self._told, tally.touched | left
        at_once, rest = tally.seen()
        told.moved[touched] = True
        due = told.moved & ((tally.as_of - told.at >= self._apart) | (tally.as_of < told.at))
        fresh = (at_once != told.at_once).any(axis=1) | (due & (rest != told.rest).any(axis=1))
        if tally.as_of == self._as_of and not touched.any():
            fresh |= (tally.sums != told.sums).any(axis=1)
        fresh &= tally.told
        told.at_once[~tally.told] = np.nan  # a row that is no figure now is news when it becomes one
        told.at_once[fresh], told.rest[fresh], told.sums[fresh] = (
            at_once[fresh],
            rest[fresh],
            tally.sums[fresh],
        )
        told.at[fresh], told.moved[fresh] = tally.as_of, False
        self._scopes, self._as_of = tally.scopes, tally.as_of
        return tally.events(np.flatnonzero(fresh))

    def _of(self, scopes: Scopes) -> tuple[_Told, NDArray[np.bool_]]:
        """What was told, by these rows; and which a duty left, or was in by another revision: ``bool[n]``."""
        before, left = self._scopes, np.zeros(len(scopes.keys), np.bool_)
        if scopes is before:
            return self._told, left
        found = _Told.nothing(len(scopes.keys))
        if before is not None:
            known = {key: row for row, key in enumerate(_identities(before))}
            rows = np.array([known.get(key, -1) for key in _identities(scopes)], np.int64)
            met = np.flatnonzero(rows >= 0)
            for name in ("at_once", "rest", "sums", "at", "moved"):
                getattr(found, name)[met] = getattr(self._told, name)[rows[met]]
            # What a duty was in before is not seen by the duties that are there now.
            here = set(map(id, scopes.duties))
            gone = np.array([id(duty) not in here for duty in before.duties], np.bool_)
            left[met] = np.isin(rows[met], before.row[gone[before.duty]])
        return found, left


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What was told of figures last; equal to nothing where nothing was.

    Attributes:
        at_once, rest: as ``Tally.seen`` gives them.
        sums: as in ``Tally``.
        at: ``int64[n]``, as of when, microseconds.
        moved: ``bool[n]``, whether facts changed, or a duty left, since.
    """

    at_once: NDArray[np.float64]
    rest: NDArray[np.float64]
    sums: NDArray[np.int64]
    at: NDArray[np.int64]
    moved: NDArray[np.bool_]

    @classmethod
    def nothing(cls, rows: int) -> _Told:
        """Of so many figures."""
        return cls(
            np.full((rows, AT_ONCE), np.nan),
            np.full((rows, len(PARTS) + 4), np.nan),
            np.zeros((rows, TOTALS + DOUBT_TOTALS), np.int64),
            np.zeros(rows, np.int64),
            np.zeros(rows, np.bool_),
        )


def _identities(scopes: Scopes) -> list[tuple[tuple[str, str], str, bool]]:
    return list(zip(scopes.keys, scopes.names, scopes.patched.tolist(), strict=True))
