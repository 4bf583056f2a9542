"""Looks into the facts behind the figures of a period (rule 22): what was found about some duties.

Facts in, values out; what follows from it is in ``stream.core.summaries.worth``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.columns import offsets, search
from stream.core.facts import SECOND, Fixes
from stream.core.quality.devices import KINDS
from stream.core.quality.findings import DEVICE, DUTY, FINDINGS, OFFICER, SCOPES, Examined, day_text, findings
from stream.core.quality.heard import Heard
from stream.core.quality.ids import Lookup
from stream.core.quality.totals import faulty_days, totals
from stream.core.quality.tracks import ANY_DUTY, Mistake, Tracked, held, renumbered, tracked
from stream.core.slices import Slices
from stream.core.stays import take
from stream.core.summaries.model import FactFinding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.doubts import NamedDoubt
    from stream.core.quality.findings import QualityFindings
    from stream.core.quality.totals import ReportCounts
    from stream.core.quality.tracks import Extent, Held

GRACE_S: Final = 900
"""A duty that lies in the period for less than this is not asked about: its radio may not have spoken yet."""
REJECTED: Final = "rejected"
MISPLACED: Final = tuple(str(mistake) for mistake in Mistake if mistake is not Mistake.LON_SIGN)
"""The first and last positions alone do not tell a lost sign of the longitude from a journey."""
TOLD: Final = (
    "unknown_patch",
    "patch_not_in_force",
    *MISPLACED,
    "near_id",
    "two_ids",
    "none_usable",
    "never_heard",
    "clock_offset",
    REJECTED,
    "too_long_duty",
    "open_duty",
    "overlapping_duties",
    "no_device",
    *KINDS,
)
"""What a summary tells of its facts, the worst first."""
EXAMINED: Final = tuple(name for name in TOLD if name not in (REJECTED, *KINDS))
"""Of these, what ``stream.core.quality.findings`` finds."""


@dataclass(frozen=True, slots=True, eq=False)
class HeardFacts:
    """What was heard in a period, as far as findings need it.

    Attributes:
        positions: sorted by device and time, each once. Of each stretch for which a duty has a device the
            first and the last in the period; of a device that was silent in all of these, and of one that no
            duty of the period names, the first and the last of the whole period.
        strangers: the devices that no duty of the period names.
        heard: reports of booked devices on the period's days, and their delays; empty where nobody counted.
        outside: ids of duties and devices of theirs that were heard in the duty before the period, or up to a
            day after it: what was silent at the period's edge alone was not "never heard".
    """

    positions: Fixes
    strangers: frozenset[str]
    heard: Heard
    outside: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def none(cls) -> HeardFacts:
        """Nothing is known."""
        return cls(Fixes.none(), frozenset(), Heard.joined([]))


class Examiner:
    """Looks into the facts behind the figures of a period, one neighbourhood after another.

    Args:
        facts: what was heard.
        start: the period's start, microseconds since 1970.
        until: up to when anything is counted, microseconds.
        policies: the rules' settings.
        extent: the box around the areas in force in the period; None: there are none.
        neighbourhoods: names of those in force in the period by id; empty: no patch is called unknown.
        grounds: when each neighbourhood is in force (``stream.core.quality.findings.grounds``).
        duties: all those that may be asked about, with their devices; those that are booked for too long to
            count (rule 8a) among them.
        booked: all duties of the officers concerned in the period, at least.
    """

    def __init__(
        self,
        facts: HeardFacts,
        start: int,
        until: int,
        policies: Policies,
        *,
        extent: Extent | None,
        neighbourhoods: Mapping[str, str],
        grounds: Mapping[str, Sequence[tuple[int, int]]],
        duties: Sequence[Duty],
        booked: Iterable[Duty],
    ) -> None:
        self._facts = facts
        self._start, self._until = start, until
        self._policies = policies
        self._extent = extent
        self._neighbourhoods = neighbourhoods
        self._grounds = grounds
        self._strangers = Lookup(facts.strangers)
        positions = facts.positions
        self._code = {name: code for code, name in enumerate(positions.device_ids)}
        self._bounds = offsets(positions.device, len(positions.device_ids))
        self._booked: dict[str, list[Duty]] = defaultdict(list)
        for duty in booked:
            if duty.is_in(start, until):
                self._booked[duty.officer_id].append(duty)
        everything, self._suspects = self._found(duties)
        self._nothing = everything.take(np.zeros(len(everything), np.bool_))
        self._suspects |= {row.id for row in everything.rows()}

    def booked(self, officer_id: str) -> Sequence[Duty]:
        """An officer's duties in the period, of any patch."""
        return self._booked.get(officer_id, ())

    def found(self, duties: Sequence[Duty]) -> QualityFindings:
        """The findings about some duties of the period, but for what was rejected.

        Most neighbourhoods have none: all their duties were looked at together before, and only where a
        duty, device or officer of theirs came up they are looked at alone, so that what is told of them does
        not depend on others.

        Args:
            duties: with their devices.
        """
        names = {item.device_id for duty in duties for item in duty.devices}
        names |= {name for duty in duties for name in (duty.duty_id, duty.officer_id)}
        return self._nothing if self._suspects.isdisjoint(names) else self._found(duties)[0]

    def _found(self, duties: Sequence[Duty]) -> tuple[QualityFindings, set[str]]:
        """The findings, and the devices of which any position lies outside of the areas."""
        asked = [
            duty
            for duty in duties
            if duty.too_long or _length(duty, self._start, self._until) >= GRACE_S * SECOND
        ]
        own = {duty.duty_id for duty in asked}
        others = [
            replace(duty, devices=(), patch=())
            for officer_id in sorted({duty.officer_id for duty in asked})
            for duty in self.booked(officer_id)
            if duty.duty_id not in own
        ]
        every = sorted([*asked, *others], key=lambda duty: duty.duty_id)
        booked, booked_ids = held(every)
        booked = replace(
            booked, start=np.maximum(booked.start, self._start), end=np.minimum(booked.end, self._until)
        )
        booked = booked.take(booked.start < booked.end)
        near = {other for name in booked_ids for other in self._strangers.near(name)}
        fixes, inside = self._positions(booked, booked_ids, near)
        mine = renumbered(booked, booked_ids, fixes.device_ids)
        found = findings(
            Examined(
                every,
                (),
                fixes.device_ids,
                self._facts.heard.of_devices(frozenset(booked_ids)),
                Tracked.of_groups([tracked(fixes, fixes, mine, self._extent, self._policies)]),
                booked,
                booked_ids,
                Slices.none(),
                self._neighbourhoods or {area: area for duty in every for area in duty.patch},
                {},
                self._until,
                grounds=self._grounds,
            )
        ).only(*EXAMINED)
        found = self._never_heard(found, own)
        # Not told: duties without their devices, and the coordinates of positions outside of booked time.
        foreign = {duty.duty_id for duty in others}
        odd = np.array([text in foreign for text in found.texts], np.bool_)
        keep = ~(odd[found.id] & (found.scope == SCOPES.index(DUTY)))
        seen = np.array([text in inside for text in found.texts], np.bool_)
        misplaced = np.isin(found.finding, [FINDINGS.index(name) for name in MISPLACED])
        outside: set[str] = set()
        if self._extent is not None:
            away = np.unique(fixes.device[~self._extent.is_near(fixes.lon, fixes.lat)])
            outside = {fixes.device_ids[number] for number in away.tolist()}
        return found.take(keep & (seen[found.id] | ~misplaced)), outside

    def _never_heard(self, found: QualityFindings, duty_ids: set[str]) -> QualityFindings:
        """The findings without duties and devices that were heard outside of the period."""
        spoke = [(duty_id, name) for duty_id, name in self._facts.outside if duty_id in duty_ids]
        if not spoke:
            return found
        names = {DUTY: {duty_id for duty_id, _ in spoke}, DEVICE: {name for _, name in spoke}}
        return found.take(
            np.array(
                [
                    finding != FINDINGS.index("never_heard") or found.texts[name] not in names[SCOPES[scope]]
                    for finding, scope, name in zip(
                        found.finding.tolist(), found.scope.tolist(), found.id.tolist(), strict=True
                    )
                ],
                np.bool_,
            )
        )

    def heard(self, duties: Sequence[Duty]) -> Heard:
        """The reports of the devices of some duties on the period's days."""
        return self._facts.heard.of_devices({item.device_id for duty in duties for item in duty.devices})

    def reports(self, duties: Sequence[Duty]) -> ReportCounts | None:
        """What was heard of the devices of some duties; None where nothing was counted."""
        heard = self.heard(duties)
        return totals(heard) if len(heard) else None

    def _positions(
        self, booked: Held, booked_ids: Sequence[str], near: Iterable[str]
    ) -> tuple[Fixes, set[str]]:
        """The first and the last of each duty's stretches, one of any other device; and whose the former are.

        What was read for the duties of others must not matter.
        """
        found = self._facts.positions
        code = np.array([self._code.get(name, -1) for name in booked_ids], np.int64)
        rows = np.flatnonzero(booked.duty != ANY_DUTY)
        rows = rows[code[booked.device[rows]] >= 0]
        device = code[booked.device[rows]]
        first, last = self._bounds[device], self._bounds[device + 1]
        low = search(found.time, first, last, booked.start[rows])
        high = search(found.time, first, last, booked.end[rows])
        some = low < high
        chosen = {*low[some].tolist(), *(high[some] - 1).tolist()}
        inside = {found.device_ids[number] for number in np.unique(device[some]).tolist()}
        others = ({*booked_ids, *near} & self._code.keys()) - inside
        chosen |= {int(self._bounds[self._code[name]]) for name in others}
        names = sorted(inside | others)
        number = np.full(len(found.device_ids), -1, np.int32)
        number[[self._code[name] for name in names]] = np.arange(len(names), dtype=np.int32)
        at = np.array(sorted(chosen), np.int64)
        return replace(take(found, at), device=number[found.device[at]], device_ids=tuple(names)), inside


def _length(duty: Duty, start: int, end: int) -> int:
    return min(end, duty.until) - max(start, duty.start)


# ── What was found ────────────────────────────────────────────────────────────────────────────────────────


def listed(found: QualityFindings, heard: Heard) -> list[FactFinding]:
    """The findings that a summary tells, the worst kind first, each thing once.

    Args:
        found: what ``Examiner.found`` gave.
        heard: the reports of the same devices.
    """
    rows = found.rows()
    silent = {row.id for row in rows if (row.finding, row.scope) == ("never_heard", DEVICE)}
    kept = [
        FactFinding(
            finding=row.finding,
            scope=row.scope,
            id=row.id,
            day=row.day,
            count=row.count,
            time=row.us,
            detail=row.detail,
        )
        for row in rows
        if not (row.finding == "unknown_patch" and row.scope == OFFICER)
        and not (row.finding == "never_heard" and row.scope == DUTY and {*row.detail.split(";")} <= silent)
    ]
    return _in_order([*kept, *mostly_rejected(heard)])


def mostly_rejected(heard: Heard) -> list[FactFinding]:
    """Devices and days of which more than a small part of the reports was rejected, as faulty."""
    return [
        FactFinding(
            finding=REJECTED,
            scope=DEVICE,
            id=item.device_id,
            day=day_text(item.day),
            count=sum(count for _, count in item.rejected),
            time=None,
            detail=";".join([f"of {item.reports}", *(f"{count} {name}" for name, count in item.rejected)]),
        )
        for item in faulty_days(heard)
    ]


def doubted(found: Sequence[NamedDoubt]) -> list[FactFinding]:
    """Doubtful time of duties as findings, a row for each duty, kind, device and other (rule 21).

    Args:
        found: the doubts, cut to the period.
    """
    groups: dict[tuple[str, str, str, str], list[NamedDoubt]] = defaultdict(list)
    for item in found:
        groups[item.kind, item.duty_id, item.device_id, item.other_id].append(item)
    return _in_order(
        FactFinding(
            finding=kind,
            scope=DUTY,
            id=duty_id,
            day="",
            count=len(items),
            time=sum(item.end - item.start for item in items),
            detail=";".join(name for name in names if name),
        )
        for (kind, duty_id, *names), items in groups.items()
    )


def _in_order(found: Iterable[FactFinding]) -> list[FactFinding]:
    return sorted(
        found,
        key=lambda item: (
            *(TOLD.index(item.finding), -(item.time or 0), -item.count),
            *(item.id, item.day, item.detail),
        ),
    )
